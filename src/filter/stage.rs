//! Filters above filters: records in, records out; and a byte filter as one of them.

use super::{Filter, FilterError};
use bytes::{Bytes, BytesMut};
use std::fmt;

/// Turns records into records, above a [`Filter`]: what [`Map`](super::Map), [`Grep`](super::Grep) and
/// [`RecordBlock`](super::RecordBlock) are.
///
/// It has the steps of a filter, but is fed records instead of bytes. [`Filter::then`] puts one above a filter, and the
/// two are a filter again. A stage can also be used by itself:
///
/// ```
/// use poe::filter::{RecordBlock, Stage};
/// let mut pairs = RecordBlock::<u8>::new(2);
/// assert_eq!(pairs.get([1, 2, 3]).into_iter().map(Result::unwrap).collect::<Vec<_>>(), [[1, 2]]);
/// assert_eq!(pairs.waiting(), 1);
/// let mut under = Vec::new();
/// pairs.put(vec![8, 9], &mut under).unwrap();
/// assert_eq!(under, [8, 9]);
/// ```
///
/// Laws 1 and 2 of filters hold with records for bytes. A stage takes no more than it needs: it is asked before it is
/// fed, and fed one record at a time, so that a switch of filters finds the rest in the filter below.
///
/// # Implementing one
///
/// ```
/// use poe::filter::{Filter, FilterError, Line, Stage};
/// use std::collections::VecDeque;
///
/// /// Every n-th line is a sample; what is put goes out as it is.
/// struct Sample { n: usize, seen: usize, waiting: VecDeque<String> }
/// impl Sample {
///     fn of(n: usize) -> Self { Sample { n, seen: 0, waiting: VecDeque::new() } }
/// }
/// impl Stage for Sample {
///     type RawInput = String;
///     type Input = String;
///     type Output = String;
///     type RawOutput = String;
///     const KEEPS: bool = false; // `None` says that nothing waits
///     fn feed(&mut self, line: String) { self.waiting.push_back(line) }
///     fn next_record(&mut self) -> Result<Option<String>, FilterError> {
///         self.check()?;
///         while let Some(line) = self.waiting.pop_front() {
///             self.seen += 1;
///             if self.seen % self.n == 0 {
///                 return Ok(Some(line));
///             }
///         }
///         Ok(None)
///     }
///     fn put(&mut self, line: String, under: &mut Vec<String>) -> Result<(), FilterError> { Ok(under.push(line)) }
///     fn waiting(&self) -> usize { self.waiting.len() }
///     fn take_pending(&mut self) -> Vec<String> { self.waiting.drain(..).collect() }
///     fn owed(&self) -> Option<u8> { None } // as for all stages that know no bytes
///     fn fresh(&self) -> Self { Sample::of(self.n) }
///     fn check(&self) -> Result<(), FilterError> {
///         if self.n == 0 {
///             return Err(FilterError::invalid_setting("a sample of none"));
///         }
///         Ok(())
///     }
/// }
/// let mut filter = Line::new().then(Sample::of(2));
/// let got: Vec<String> = filter.get(b"a\nb\nc\nd\n").into_iter().map(Result::unwrap).collect();
/// assert_eq!(got, ["b", "d"]);
/// assert!(filter.fresh().get(b"a\n").is_empty()); // it counts anew
/// assert!(Line::new().then(Sample::of(0)).check().is_err());
/// ```
#[doc(alias = "POE::Filter")]
pub trait Stage: 'static {
    /// The record that the filter below yields.
    type RawInput: 'static;

    /// The record that this yields.
    type Input: 'static;

    /// The record that [`put`](Self::put) takes.
    type Output: 'static;

    /// The record that the filter below takes.
    type RawOutput: 'static;

    /// Whether records may still wait in it after [`next_record`](Self::next_record) has said `None`. Then whoever drives it
    /// keeps a copy of what they were on the wire, for a switch of filters. True, unless you know better.
    const KEEPS: bool = true;

    /// Appends a record to those that wait.
    fn feed(&mut self, record: Self::RawInput);

    /// Takes one record; `None` when more is needed.
    ///
    /// # Errors
    /// What stands in the place of a record.
    fn next_record(&mut self) -> Result<Option<Self::Input>, FilterError>;

    /// Appends what the filter below is to put for this record: one record, or several, or none.
    ///
    /// # Errors
    /// If the record has no form below; `under` is then as it was.
    fn put(&mut self, record: Self::Output, under: &mut Vec<Self::RawOutput>) -> Result<(), FilterError>;

    /// How many records it was fed and has not used. (For [`ByteStage`]: how many bytes of them.)
    fn waiting(&self) -> usize;

    /// Takes what waits; it is at a boundary afterwards. Results that were made and not given stay, for
    /// [`take_made`](Self::take_made).
    fn take_pending(&mut self) -> Vec<Self::RawInput>;

    /// Takes the results that were made of a record of which others were given already. Empty, unless you override it.
    ///
    /// A stage that makes several records of one has such results between two calls of [`next_record`](Self::next_record). A wheel
    /// delivers them before it changes the filter.
    ///
    /// ```
    /// use poe::filter::{Map, Stage};
    /// let mut words = Map::flat(|line: &str| line.split(' ').collect::<Vec<_>>(), |word: &str| [word]);
    /// words.feed("one two three");
    /// assert_eq!(words.next_record().unwrap(), Some("one"));
    /// assert_eq!(words.take_made(), ["two", "three"]);
    /// ```
    fn take_made(&mut self) -> Vec<Self::Input> {
        Vec::new()
    }

    /// Copies the first so many units that wait, as one record. `None` for all but [`ByteStage`], whose units are bytes.
    ///
    /// ```
    /// use poe::filter::{Line, ByteStage, Stage};
    /// let mut lines = ByteStage(Line::new());
    /// lines.feed("one\ntwo".into());
    /// assert_eq!(lines.front(5).unwrap(), "one\nt");
    /// ```
    fn front(&self, _units: usize) -> Option<Self::RawInput> {
        None
    }

    /// As [`Filter::owed`]; `None` for all but [`ByteStage`].
    fn owed(&self) -> Option<u8> {
        None
    }

    /// Another stage of the same settings that has seen no record (`clone`).
    fn fresh(&self) -> Self
    where
        Self: Sized;

    /// Whether the settings make sense.
    ///
    /// # Errors
    /// A fatal error that [is about a setting](FilterError::invalid_setting). Unless you override it, there is none.
    fn check(&self) -> Result<(), FilterError> {
        Ok(())
    }

    /// Feeds records and takes every one that comes of it, in order.
    fn get(&mut self, records: impl IntoIterator<Item = Self::RawInput>) -> Vec<Result<Self::Input, FilterError>>
    where
        Self: Sized,
    {
        for record in records {
            self.feed(record);
        }
        let mut given = Vec::new();
        while let Some(record) = self.next_record().transpose() {
            let broken = record.as_ref().is_err_and(FilterError::is_fatal);
            given.push(record);
            if broken {
                break;
            }
        }
        given
    }
}

/// A filter of bytes above one that yields bytes: lines inside blocks, say.
///
/// How frames and records are cut has nothing to do with each other: a record may begin in one frame and end in the next.
/// The rest of a frame of which a record was given is pending as a frame of its own, made by the lower filter's `put`:
///
/// ```
/// use poe::filter::{Block, Filter, Line, ByteStage};
/// let mut filter = Block::new().then(ByteStage(Line::new()));
/// filter.feed(b"7\0one\ntwo");
/// assert_eq!(filter.next_record().unwrap().unwrap(), "one");
/// assert_eq!(filter.take_pending(), "3\0two");
/// ```
///
/// ```
/// use poe::filter::{Block, Filter, Line, ByteStage};
/// let mut filter = Block::new().then(ByteStage(Line::new()));
/// let lines: Vec<String> = filter.get(b"3\0one2\0\n\n4\0two\n").into_iter().map(Result::unwrap).collect();
/// assert_eq!(lines, ["one", "", "two"]);
/// ```
pub struct ByteStage<F>(pub F);

impl<F: Filter> Stage for ByteStage<F> {
    type RawInput = Bytes;
    type Input = F::Input;
    type Output = F::Output;
    type RawOutput = Bytes;

    fn feed(&mut self, record: Bytes) {
        self.0.feed(&record);
    }

    fn next_record(&mut self) -> Result<Option<F::Input>, FilterError> {
        self.0.next_record()
    }

    fn put(&mut self, record: F::Output, under: &mut Vec<Bytes>) -> Result<(), FilterError> {
        let mut out = BytesMut::new();
        self.0.put(record, &mut out)?;
        under.push(out.freeze());
        Ok(())
    }

    fn waiting(&self) -> usize {
        self.0.pending().len()
    }

    fn take_pending(&mut self) -> Vec<Bytes> {
        let bytes = self.0.take_pending();
        if bytes.is_empty() { Vec::new() } else { vec![bytes] }
    }

    fn take_made(&mut self) -> Vec<F::Input> {
        self.0.take_made()
    }

    fn front(&self, units: usize) -> Option<Bytes> {
        let waiting = self.0.pending();
        Some(Bytes::copy_from_slice(&waiting[..units.min(waiting.len())]))
    }

    fn owed(&self) -> Option<u8> {
        self.0.owed()
    }

    fn fresh(&self) -> Self {
        ByteStage(self.0.fresh())
    }

    fn check(&self) -> Result<(), FilterError> {
        self.0.check()
    }
}

impl<F: fmt::Debug> fmt::Debug for ByteStage<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ByteStage").field(&self.0).finish()
    }
}
