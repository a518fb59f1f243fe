//! POE::Filter::Map: replaces each record with the result of a closure.

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
