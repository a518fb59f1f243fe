//! POE::Filter::RecordBlock: several records as one.

use super::{FilterError, Stage};
use std::collections::VecDeque;
use std::fmt;
use std::num::NonZeroUsize;

/// Groups records into lists of a fixed size, and takes lists apart again (`POE::Filter::RecordBlock`).
///
/// ```
/// use bytes::BytesMut;
/// use poe::filter::{Filter, Line, RecordBlock};
/// let mut pairs = Line::new().literal("\n").then(RecordBlock::new(2));
/// let got = pairs.get(b"name\nvalue\nname 2\n");
/// assert_eq!(got[0].as_ref().unwrap(), &["name", "value"]);
/// assert_eq!(pairs.pending(), b"name 2\n"); // as it came, so that another filter can have it
/// let mut out = BytesMut::new();
/// pairs.put(vec!["a".into(), "b".into()], &mut out).unwrap();
/// assert_eq!(&out[..], b"a\nb\n");
/// ```
///
/// Lists of any length can be put. Usually their records go out at once; with [`check_put`](Self::check_put) only whole
/// blocks do, and the rest [waits](Self::put_pending) for what is put next.
///
/// ```
/// use poe::filter::{RecordBlock, Stage};
/// let mut blocks = RecordBlock::<u8>::new(2).check_put(true);
/// assert!(blocks.blocksize() == 2 && blocks.checkput());
/// let mut under = Vec::new();
/// blocks.put(vec![1, 2, 3], &mut under).unwrap();
/// assert_eq!(under, [1, 2]);
/// assert_eq!(blocks.put_pending().collect::<Vec<_>>(), [&3]);
/// blocks.set_checkput(false);
/// blocks.put(vec![4], &mut under).unwrap();
/// assert_eq!(under, [1, 2, 3, 4]);
/// ```
#[doc(alias = "POE::Filter::RecordBlock")]
pub struct RecordBlock<I, O = I> {
    size: usize,
    check_put: bool,
    waiting: VecDeque<I>,
    leaving: VecDeque<O>,
}

impl<I: 'static, O: 'static> RecordBlock<I, O> {
    /// Lists of so many records. Zero is an error at `check`, and at first use.
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

    /// Puts whole blocks only.
    #[must_use]
    #[doc(alias = "CheckPut")]
    pub fn check_put(mut self, check: bool) -> Self {
        self.check_put = check;
        self
    }

    /// How many records make a list.
    #[must_use]
    pub fn blocksize(&self) -> usize {
        self.size
    }

    /// Changes how many records make a list; what waits is grouped anew. (POE ignores a size of zero; it has no form
    /// here.)
    ///
    /// ```
    /// use poe::filter::{RecordBlock, Stage};
    /// let mut blocks = RecordBlock::<u8>::new(4);
    /// assert!(blocks.get([1, 2, 3]).is_empty());
    /// blocks.set_blocksize(2.try_into().unwrap());
    /// assert_eq!(blocks.next_record().unwrap().unwrap(), [1, 2]);
    /// ```
    #[doc(alias = "blocksize")]
    pub fn set_blocksize(&mut self, size: NonZeroUsize) {
        self.size = size.get();
    }

    /// Whether whole blocks only are put.
    #[must_use]
    pub fn checkput(&self) -> bool {
        self.check_put
    }

    /// Changes whether whole blocks only are put. What waits goes out before the next list.
    #[doc(alias = "checkput")]
    pub fn set_checkput(&mut self, check: bool) {
        self.check_put = check;
    }

    /// The records on their way in that wait for their list to be full.
    pub fn pending(&self) -> impl Iterator<Item = &I> {
        self.waiting.iter()
    }

    /// The records that were put and wait for their block to be full; none unless [`checkput`](Self::checkput).
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

impl<I, O> fmt::Debug for RecordBlock<I, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordBlock")
            .field("size", &self.size)
            .field("check_put", &self.check_put)
            .field("waiting", &self.waiting.len())
            .field("leaving", &self.leaving.len())
            .finish()
    }
}
