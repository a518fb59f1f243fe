//! POE::Filter::RecordBlock: groups several records into one.

use super::{FilterError, Stage};
use crate::debug::debug_fields;
use std::collections::VecDeque;
use std::num::NonZeroUsize;

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
