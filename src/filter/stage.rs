//! Filters above filters, which turn records into records; a byte filter as one of them; and POE::Filter::RecordBlock, which groups
//! several records into one.

use super::{Filter, FilterError};
use crate::debug::debug_fields;
use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;
use std::fmt;
use std::num::NonZeroUsize;

/// Turns records into records, above a [`Filter`].
///
/// [`Map`](super::Map), [`Grep`](super::Grep) and [`RecordBlock`](super::RecordBlock) are stages. A stage has the methods of a
/// filter, but is fed records instead of bytes. [`FilterExt::then`](crate::filter::FilterExt::then) puts one above a filter; the two together are a filter. A stage can
/// also be used alone:
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
/// use poe::filter::{Filter, FilterError, FilterExt, Line, Stage};
/// use std::collections::VecDeque;
///
/// /// Every n-th line is a sample; output is unchanged.
/// struct Sample { n: usize, seen: usize, waiting: VecDeque<String> }
/// impl Sample {
///     fn of(n: usize) -> Self { Sample { n, seen: 0, waiting: VecDeque::new() } }
/// }
/// impl Stage for Sample {
///     type RawInput = String;
///     type Input = String;
///     type Output = String;
///     type RawOutput = String;
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
/// assert!(filter.fresh().get(b"a\n").is_empty()); // it starts counting again
/// assert!(Line::new().then(Sample::of(0)).check().is_err());
/// ```
#[doc(alias = "POE::Filter")]
pub trait Stage: 'static {
    /// The record that the filter below yields.
    type RawInput: 'static;

    /// The record that this stage yields.
    type Input: 'static;

    /// The record that [`put`](Self::put) takes.
    type Output: 'static;

    /// The record that the filter below takes.
    type RawOutput: 'static;

    /// Whether records may still wait in the stage after [`next_record`](Self::next_record) has returned `None`.
    ///
    /// Then the caller keeps a copy of their wire bytes for a switch of filters. Leave it true unless you know better.
    #[doc(hidden)]
    const KEEPS: bool = true;

    /// Appends a record to the waiting ones.
    fn feed(&mut self, record: Self::RawInput);

    /// Takes one record; `None` when more input is needed.
    ///
    /// # Errors
    /// The error that takes the place of a record.
    fn next_record(&mut self) -> Result<Option<Self::Input>, FilterError>;

    /// Appends the records for the filter below that this record becomes: one, several, or none.
    ///
    /// # Errors
    /// The record has no form below; `under` is unchanged then.
    fn put(&mut self, record: Self::Output, under: &mut Vec<Self::RawOutput>) -> Result<(), FilterError>;

    /// Returns how many records it was fed and has not used. (For [`ByteStage`]: how many of their bytes.)
    fn waiting(&self) -> usize;

    /// Takes the waiting records; the stage is at a boundary afterwards.
    ///
    /// Results that were made and not yielded stay, for [`take_made`](Self::take_made).
    fn take_pending(&mut self) -> Vec<Self::RawInput>;

    /// Takes the results of a record of which others were yielded already. The default is empty.
    ///
    /// A stage that makes several records from one has such results between two calls of [`next_record`](Self::next_record). A wheel
    /// delivers them before it changes the filter.
    fn take_made(&mut self) -> Vec<Self::Input> {
        Vec::new()
    }

    /// Copies the first `units` waiting units as one record; `None` for all but [`ByteStage`], whose units are bytes.
    #[doc(hidden)]
    fn front(&self, _units: usize) -> Option<Self::RawInput> {
        None
    }

    /// As [`Filter::owed`]; `None` for all but [`ByteStage`].
    #[doc(hidden)]
    fn owed(&self) -> Option<u8> {
        None
    }

    /// As [`Filter::has_rest`].
    #[doc(hidden)]
    fn has_rest(&self) -> bool {
        false
    }

    /// Returns another stage with the same settings that has seen no record (`clone`).
    fn fresh(&self) -> Self
    where
        Self: Sized;

    /// Checks the settings.
    ///
    /// # Errors
    /// A fatal error that [is about a setting](FilterError::invalid_setting). The default returns none.
    fn check(&self) -> Result<(), FilterError> {
        Ok(())
    }

    /// Feeds records and takes every resulting record, in order.
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

/// A byte filter above a filter that yields bytes, such as lines inside blocks.
///
/// The boundaries of frames and records are independent: a record may begin in one frame and end in the next.
/// The rest of a frame of which a record was yielded is pending as a frame of its own, which the lower filter's `put` makes:
///
/// ```
/// use poe::filter::{Block, ByteStage, Filter, FilterExt, Line};
/// let mut filter = Block::new().then(ByteStage(Line::new()));
/// filter.feed(b"7\0one\ntwo");
/// assert_eq!(filter.next_record().unwrap().unwrap(), "one");
/// assert_eq!(filter.take_pending(), "3\0two");
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
        if self.0.has_rest() {
            self.0.pending().len()
        } else {
            self.0.on_wire()
        }
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

    fn has_rest(&self) -> bool {
        self.0.has_rest()
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

// POE::Filter::RecordBlock: groups several records into one.
/// Groups records into lists of a fixed size, and takes lists apart again (`POE::Filter::RecordBlock`).
///
/// ```
/// use bytes::BytesMut;
/// use poe::filter::{Filter, FilterExt, Line, RecordBlock};
/// let mut pairs = Line::new().literal("\n").then(RecordBlock::new(2));
/// let got = pairs.get(b"name\nvalue\nname 2\n");
/// assert_eq!(got[0].as_ref().unwrap(), &["name", "value"]);
/// assert_eq!(pairs.pending(), b"name 2\n"); // as it came, so that another filter can have it
/// let mut out = BytesMut::new();
/// pairs.put(vec!["a".into(), "b".into()], &mut out).unwrap();
/// assert_eq!(&out[..], b"a\nb\n");
/// ```
///
/// Lists of any length can be put. By default their records are put at once; with [`check_put`](Self::check_put) only whole
/// blocks are, and the rest [waits](Self::put_pending) for the next put.
#[doc(alias = "POE::Filter::RecordBlock")]
pub struct RecordBlock<I, O = I> {
    size: usize,
    check_put: bool,
    waiting: VecDeque<I>,
    leaving: VecDeque<O>,
}

impl<I: 'static, O: 'static> RecordBlock<I, O> {
    /// Makes lists of `size` records. Zero is an error at `check`, and at first use.
    #[must_use]
    #[doc(alias = "BlockSize")]
    pub fn new(size: usize) -> Self {
        RecordBlock {
            size,
            check_put: false,
            waiting: VecDeque::new(),
            leaving: VecDeque::new(),
        }
    }

    /// Sets whether only whole blocks are put; default false.
    #[must_use]
    #[doc(alias = "CheckPut")]
    pub fn check_put(mut self, check: bool) -> Self {
        self.check_put = check;
        self
    }

    /// Returns the number of records in a list.
    #[must_use]
    pub fn blocksize(&self) -> usize {
        self.size
    }

    /// Changes the number of records in a list; waiting records are grouped anew. (POE ignores a size of zero.)
    #[doc(alias = "blocksize")]
    pub fn set_blocksize(&mut self, size: NonZeroUsize) {
        self.size = size.get();
    }

    /// Whether only whole blocks are put.
    #[must_use]
    pub fn checkput(&self) -> bool {
        self.check_put
    }

    /// Changes whether only whole blocks are put. Waiting records are put before the next list.
    #[doc(alias = "checkput")]
    pub fn set_checkput(&mut self, check: bool) {
        self.check_put = check;
    }

    /// Returns the input records that wait until their list is full.
    pub fn pending(&self) -> impl Iterator<Item = &I> {
        self.waiting.iter()
    }

    /// Returns the output records that wait until their block is full; none unless [`checkput`](Self::checkput).
    pub fn put_pending(&self) -> impl Iterator<Item = &O> {
        self.leaving.iter().filter(|_| self.check_put)
    }
}

impl<I: 'static, O: 'static> Stage for RecordBlock<I, O> {
    type RawInput = I;
    type Input = Vec<I>;
    type Output = Vec<O>;
    type RawOutput = O;

    fn feed(&mut self, record: I) {
        self.waiting.push_back(record);
    }

    fn next_record(&mut self) -> Result<Option<Vec<I>>, FilterError> {
        self.check()?;
        Ok((self.waiting.len() >= self.size).then(|| self.waiting.drain(..self.size).collect()))
    }

    fn put(&mut self, record: Vec<O>, under: &mut Vec<O>) -> Result<(), FilterError> {
        self.check()?;
        self.leaving.extend(record);
        let whole = if self.check_put {
            self.leaving.len() - self.leaving.len() % self.size
        } else {
            self.leaving.len()
        };
        under.extend(self.leaving.drain(..whole));
        Ok(())
    }

    fn waiting(&self) -> usize {
        self.waiting.len()
    }

    fn take_pending(&mut self) -> Vec<I> {
        self.waiting.drain(..).collect()
    }

    fn fresh(&self) -> Self {
        Self::new(self.size).check_put(self.check_put)
    }

    fn check(&self) -> Result<(), FilterError> {
        if self.size == 0 {
            return Err(FilterError::invalid_setting("a block of records needs at least one"));
        }
        Ok(())
    }
}

debug_fields!([I, O] RecordBlock<I, O>, "RecordBlock", |this| {
    size: this.size,
    check_put: this.check_put,
    waiting: this.waiting.len(),
    leaving: this.leaving.len(),
});
