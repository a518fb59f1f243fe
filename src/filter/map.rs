//! POE::Filter::Map: each record replaced by what a closure makes of it.

use super::{FilterError, Stage};
use std::collections::VecDeque;
use std::fmt;
use std::rc::Rc;

type Get<A, B> = Rc<dyn Fn(A, &mut VecDeque<B>) -> Result<(), FilterError>>;
type Put<C, D> = Rc<dyn Fn(C, &mut Vec<D>) -> Result<(), FilterError>>;

/// Replaces records on their way in and out (`POE::Filter::Map`); [`Filter::map`](super::Filter::map) makes one in place.
///
/// `RawI` becomes `I` on the way in, `O` becomes `RawO` on the way out. Copies by `fresh` share the closures.
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
///
/// A record of which nothing is made is gone, and the next one follows at once. (POE then waits for more input first.)
///
/// The two ways can have records of different types, and their closures can be changed:
///
/// ```
/// use poe::filter::{Map, Stage};
/// let mut stage = Map::new(
///     |line: String| line.split(' ').map(str::to_owned).collect::<Vec<_>>(),
///     |words: Vec<String>| words.join(" "),
/// );
/// stage.feed("GET /Pie".to_owned());
/// stage.feed("GET /Peas".to_owned());
/// assert_eq!(stage.next_record().unwrap().unwrap(), ["GET", "/Pie"]);
/// assert_eq!(stage.pending().collect::<Vec<_>>(), ["GET /Peas"]);
/// stage.modify_get(|line| [vec![line.to_lowercase()]]); // any number of records, here one
/// assert_eq!(stage.next_record().unwrap().unwrap(), ["get /peas"]);
///
/// stage.modify_put(|words| words); // a record of each word
/// let mut under = Vec::new();
/// stage.put(vec!["200".to_owned(), "OK".to_owned()], &mut under).unwrap();
/// assert_eq!(under, ["200", "OK"]);
/// ```
#[doc(alias = "POE::Filter::Map")]
pub struct Map<RawI, I = RawI, O = I, RawO = O> {
    get: Get<RawI, I>,
    put: Put<O, RawO>,
    waiting: VecDeque<RawI>,
    /// What was made of the last record taken.
    ready: VecDeque<I>,
}

impl<RawI: 'static, I: 'static, O: 'static, RawO: 'static> Map<RawI, I, O, RawO> {
    /// One record of each.
    #[must_use]
    #[doc(alias = "Get")]
    #[doc(alias = "Put")]
    pub fn new(get: impl Fn(RawI) -> I + 'static, put: impl Fn(O) -> RawO + 'static) -> Self {
        Self::flat(move |record| Some(get(record)), move |record| Some(put(record)))
    }

    /// Any number of records of each: an `Option`, a `Vec`, any iterator.
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

    /// One record of each, or an error in its place.
    ///
    /// ```
    /// use poe::filter::{FilterError, Map, Stage};
    /// let mut numbers = Map::fallible(
    ///     |text: String| text.parse::<u32>().map_err(FilterError::custom),
    ///     |number: u32| Ok(number.to_string()),
    /// );
    /// let got = numbers.get(["1".to_owned(), "x".to_owned(), "3".to_owned()]);
    /// assert!(got[0].is_ok() && got[1].is_err() && got[2].is_ok());
    /// ```
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

    /// Changes what is made on the way in, from the next record on.
    #[doc(alias = "modify")]
    pub fn modify_get<In: IntoIterator<Item = I>>(&mut self, get: impl Fn(RawI) -> In + 'static) {
        self.get = getter(get);
    }

    /// Changes what is made on the way out, from the next record on.
    #[doc(alias = "modify")]
    pub fn modify_put<Out: IntoIterator<Item = RawO>>(&mut self, put: impl Fn(O) -> Out + 'static) {
        self.put = putter(put);
    }

    /// The records that wait, untouched.
    pub fn pending(&self) -> impl Iterator<Item = &RawI> {
        self.waiting.iter()
    }
}

impl<T: 'static> Map<T> {
    /// The same closure both ways (`Code`).
    #[must_use]
    #[doc(alias = "Code")]
    pub fn code(code: impl Fn(T) -> T + 'static) -> Self {
        let code = Rc::new(code);
        let put = code.clone();
        Self::new(move |record| code(record), move |record| put(record))
    }

    /// Changes the closure for both ways.
    ///
    /// ```
    /// use poe::filter::{Map, Stage};
    /// let mut map = Map::code(|n: i32| n + 1);
    /// map.modify_code(|n| n * 2);
    /// assert_eq!(map.get([5]).remove(0).unwrap(), 10);
    /// ```
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

impl<RawI, I, O, RawO> fmt::Debug for Map<RawI, I, O, RawO> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Map")
            .field("waiting", &self.waiting.len())
            .field("ready", &self.ready.len())
            .finish()
    }
}
