//! POE::Filter::Map, which replaces each record with the result of a closure, and POE::Filter::Grep, which keeps the records that a
//! closure accepts.

use super::{FilterError, Stage};
use crate::debug::debug_fields;
use std::collections::VecDeque;
use std::rc::Rc;

type Get<A, B> = Rc<dyn Fn(A, &mut VecDeque<B>) -> Result<(), FilterError>>;
type Put<C, D> = Rc<dyn Fn(C, &mut Vec<D>) -> Result<(), FilterError>>;

/// Replaces records on input and output (`POE::Filter::Map`); [`FilterExt::map`](super::FilterExt::map) makes one in place.
///
/// `RawI` becomes `I` on input, `O` becomes `RawO` on output. `fresh` copies share the closures, which can be changed.
/// If a closure makes nothing of a record, the next one follows at once. (POE waits for more input first.)
///
/// ```
/// use poe::filter::{Map, Stage};
/// let mut shout = Map::code(|word: String| word.to_uppercase());
/// assert_eq!(shout.get(["a".to_owned()]).remove(0).unwrap(), "A");
/// let mut words = Map::flat(
///     |line: String| line.split(' ').map(str::to_owned).collect::<Vec<_>>(),
///     |word: String| Some(word),
/// );
/// let got: Vec<String> = words.get(["one two".to_owned(), "three".to_owned()]).into_iter().map(Result::unwrap).collect();
/// assert_eq!(got, ["one", "two", "three"]);
/// ```
#[doc(alias = "POE::Filter::Map")]
pub struct Map<RawI, I = RawI, O = I, RawO = O> {
    get: Get<RawI, I>,
    put: Put<O, RawO>,
    waiting: VecDeque<RawI>,
    /// The results of the last record taken.
    ready: VecDeque<I>,
}

impl<RawI: 'static, I: 'static, O: 'static, RawO: 'static> Map<RawI, I, O, RawO> {
    /// Makes one record from each.
    #[must_use]
    #[doc(alias = "Get")]
    #[doc(alias = "Put")]
    pub fn new(get: impl Fn(RawI) -> I + 'static, put: impl Fn(O) -> RawO + 'static) -> Self {
        Self::flat(move |record| Some(get(record)), move |record| Some(put(record)))
    }

    /// Makes any number of records from each: an `Option`, a `Vec`, any iterator.
    #[must_use]
    pub fn flat<In: IntoIterator<Item = I>, Out: IntoIterator<Item = RawO>>(
        get: impl Fn(RawI) -> In + 'static,
        put: impl Fn(O) -> Out + 'static,
    ) -> Self {
        Map {
            get: getter(get),
            put: putter(put),
            waiting: VecDeque::new(),
            ready: VecDeque::new(),
        }
    }

    /// Makes one record from each, or an error in its place.
    #[must_use]
    pub fn fallible(
        get: impl Fn(RawI) -> Result<I, FilterError> + 'static,
        put: impl Fn(O) -> Result<RawO, FilterError> + 'static,
    ) -> Self {
        Map {
            get: Rc::new(move |record, ready| {
                ready.push_back(get(record)?);
                Ok(())
            }),
            put: Rc::new(move |record, under| {
                under.push(put(record)?);
                Ok(())
            }),
            waiting: VecDeque::new(),
            ready: VecDeque::new(),
        }
    }

    /// Changes the closure for input, from the next record on.
    #[doc(alias = "modify")]
    pub fn modify_get<In: IntoIterator<Item = I>>(&mut self, get: impl Fn(RawI) -> In + 'static) {
        self.get = getter(get);
    }

    /// Changes the closure for output, from the next record on.
    #[doc(alias = "modify")]
    pub fn modify_put<Out: IntoIterator<Item = RawO>>(&mut self, put: impl Fn(O) -> Out + 'static) {
        self.put = putter(put);
    }

    /// Returns the waiting records, unchanged.
    pub fn pending(&self) -> impl Iterator<Item = &RawI> {
        self.waiting.iter()
    }
}

impl<T: 'static> Map<T> {
    /// Makes a stage with the same closure in both directions (`Code`).
    #[must_use]
    #[doc(alias = "Code")]
    pub fn code(code: impl Fn(T) -> T + 'static) -> Self {
        let code = Rc::new(code);
        let put = code.clone();
        Self::new(move |record| code(record), move |record| put(record))
    }

    /// Changes the closure in both directions.
    #[doc(alias = "modify")]
    pub fn modify_code(&mut self, code: impl Fn(T) -> T + 'static) {
        let code = Rc::new(code);
        let put = code.clone();
        self.modify_get(move |record| Some(code(record)));
        self.modify_put(move |record| Some(put(record)));
    }
}

fn getter<A: 'static, B: 'static, In: IntoIterator<Item = B>>(get: impl Fn(A) -> In + 'static) -> Get<A, B> {
    Rc::new(move |record, ready| {
        ready.extend(get(record));
        Ok(())
    })
}

fn putter<C: 'static, D: 'static, Out: IntoIterator<Item = D>>(put: impl Fn(C) -> Out + 'static) -> Put<C, D> {
    Rc::new(move |record, under| {
        under.extend(put(record));
        Ok(())
    })
}

impl<RawI: 'static, I: 'static, O: 'static, RawO: 'static> Stage for Map<RawI, I, O, RawO> {
    type RawInput = RawI;
    type Input = I;
    type Output = O;
    type RawOutput = RawO;
    const KEEPS: bool = false;

    fn feed(&mut self, record: RawI) {
        self.waiting.push_back(record);
    }

    fn next_record(&mut self) -> Result<Option<I>, FilterError> {
        loop {
            if let Some(record) = self.ready.pop_front() {
                return Ok(Some(record));
            }
            let Some(record) = self.waiting.pop_front() else {
                return Ok(None);
            };
            (self.get)(record, &mut self.ready)?;
        }
    }

    fn put(&mut self, record: O, under: &mut Vec<RawO>) -> Result<(), FilterError> {
        (self.put)(record, under)
    }

    fn waiting(&self) -> usize {
        self.waiting.len()
    }

    fn take_pending(&mut self) -> Vec<RawI> {
        self.waiting.drain(..).collect()
    }

    fn take_made(&mut self) -> Vec<I> {
        self.ready.drain(..).collect()
    }

    fn fresh(&self) -> Self {
        Map {
            get: self.get.clone(),
            put: self.put.clone(),
            waiting: VecDeque::new(),
            ready: VecDeque::new(),
        }
    }
}

debug_fields!([RawI, I, O, RawO] Map<RawI, I, O, RawO>, "Map", |this| {
    waiting: this.waiting.len(),
    ready: this.ready.len(),
});

// POE::Filter::Grep: only the records that a closure accepts.
type Holds<T> = Rc<dyn Fn(&T) -> bool>;

/// Lets only some records through (`POE::Filter::Grep`); [`FilterExt::grep`](super::FilterExt::grep) makes one in place.
///
/// A record that is rejected on input is dropped, and the next one follows at once. A record that is rejected on output is not
/// put, which is not an error. `fresh` copies share the closures. Each direction can have its own closure, which can be changed.
///
/// ```
/// use poe::filter::{Grep, Stage};
/// let mut odd = Grep::code(|n: &u32| n % 2 == 1);
/// let got: Vec<u32> = odd.get([1, 1, 2, 3, 5]).into_iter().map(Result::unwrap).collect();
/// assert_eq!(got, [1, 1, 3, 5]);
/// ```
#[doc(alias = "POE::Filter::Grep")]
pub struct Grep<I, O = I> {
    get: Holds<I>,
    put: Holds<O>,
    waiting: VecDeque<I>,
}

impl<I: 'static, O: 'static> Grep<I, O> {
    /// Makes a stage with one closure for each direction.
    #[must_use]
    #[doc(alias = "Get")]
    #[doc(alias = "Put")]
    pub fn new(get: impl Fn(&I) -> bool + 'static, put: impl Fn(&O) -> bool + 'static) -> Self {
        Grep {
            get: Rc::new(get),
            put: Rc::new(put),
            waiting: VecDeque::new(),
        }
    }

    /// Changes the closure for input, from the next record on.
    #[doc(alias = "modify")]
    pub fn modify_get(&mut self, get: impl Fn(&I) -> bool + 'static) {
        self.get = Rc::new(get);
    }

    /// Changes the closure for output, from the next record on.
    #[doc(alias = "modify")]
    pub fn modify_put(&mut self, put: impl Fn(&O) -> bool + 'static) {
        self.put = Rc::new(put);
    }

    /// Returns the waiting records, unchanged.
    pub fn pending(&self) -> impl Iterator<Item = &I> {
        self.waiting.iter()
    }
}

impl<T: 'static> Grep<T> {
    /// Makes a stage with the same closure in both directions (`Code`).
    #[must_use]
    #[doc(alias = "Code")]
    pub fn code(code: impl Fn(&T) -> bool + 'static) -> Self {
        let code: Holds<T> = Rc::new(code);
        Grep {
            get: code.clone(),
            put: code,
            waiting: VecDeque::new(),
        }
    }

    /// Changes the closure in both directions.
    #[doc(alias = "modify")]
    pub fn modify_code(&mut self, code: impl Fn(&T) -> bool + 'static) {
        self.get = Rc::new(code);
        self.put = self.get.clone();
    }
}

impl<I: 'static, O: 'static> Stage for Grep<I, O> {
    type RawInput = I;
    type Input = I;
    type Output = O;
    type RawOutput = O;
    const KEEPS: bool = false;

    fn feed(&mut self, record: I) {
        self.waiting.push_back(record);
    }

    fn next_record(&mut self) -> Result<Option<I>, FilterError> {
        while let Some(record) = self.waiting.pop_front() {
            if (self.get)(&record) {
                return Ok(Some(record));
            }
        }
        Ok(None)
    }

    fn put(&mut self, record: O, under: &mut Vec<O>) -> Result<(), FilterError> {
        if (self.put)(&record) {
            under.push(record);
        }
        Ok(())
    }

    fn waiting(&self) -> usize {
        self.waiting.len()
    }

    fn take_pending(&mut self) -> Vec<I> {
        self.waiting.drain(..).collect()
    }

    fn fresh(&self) -> Self {
        Grep {
            get: self.get.clone(),
            put: self.put.clone(),
            waiting: VecDeque::new(),
        }
    }
}

debug_fields!([I, O] Grep<I, O>, "Grep", |this| { waiting: this.waiting.len() });
