//! Two filters, one for each direction.

use super::{Filter, FilterError};
use bytes::{Bytes, BytesMut};

/// A pair reads with the first filter and writes with the second.
///
/// ```
/// use bytes::BytesMut;
/// use poe::filter::{Filter, FilterExt, Line, Raw};
/// let mut pair = (Line::new(), Raw::new());
/// assert_eq!(pair.get(b"a line\r\n").remove(0).unwrap(), "a line");
/// let mut out = BytesMut::new();
/// pair.put("as it is".into(), &mut out).unwrap();
/// assert_eq!(out, "as it is");
/// ```
impl<I: Filter, O: Filter> Filter for (I, O) {
    type Input = I::Input;
    type Output = O::Output;

    fn feed(&mut self, bytes: &[u8]) {
        self.0.feed(bytes);
    }

    fn next_record(&mut self) -> Result<Option<I::Input>, FilterError> {
        self.0.next_record()
    }

    fn put(&mut self, record: O::Output, out: &mut BytesMut) -> Result<(), FilterError> {
        self.1.put(record, out)
    }

    fn pending(&self) -> &[u8] {
        self.0.pending()
    }

    fn take_pending(&mut self) -> Bytes {
        self.0.take_pending()
    }

    fn on_wire(&self) -> usize {
        self.0.on_wire()
    }

    fn has_rest(&self) -> bool {
        self.0.has_rest()
    }

    fn take_made(&mut self) -> Vec<I::Input> {
        self.0.take_made()
    }

    fn owed(&self) -> Option<u8> {
        self.0.owed()
    }

    fn fresh(&self) -> Self {
        (self.0.fresh(), self.1.fresh())
    }

    fn check(&self) -> Result<(), FilterError> {
        self.0.check()?;
        self.1.check()
    }
}
