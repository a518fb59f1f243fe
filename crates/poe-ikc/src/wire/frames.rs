//! Frames of a stream, several at a time.

use bytes::{Bytes, BytesMut};
use poe::filter::{Block, Filter, FilterError};

/// The most frames of a record: the kernel may pause between two records, and not within one.
const MAX_FRAMES: usize = 32;

/// Cuts a stream into frames, as [`Block`] does; a record is all frames that have come, up to a number.
#[derive(Debug)]
pub(crate) struct Frames {
    block: Block,
    /// What is wrong behind the frames that were returned last.
    error: Option<FilterError>,
}

impl Frames {
    pub(crate) fn new(longest: usize) -> Self {
        let block = Block::new().max_length(longest).max_buffer(2 * longest + 64);
        Frames { block, error: None }
    }
}

impl Filter for Frames {
    type Input = Vec<Bytes>;
    type Output = Bytes;

    fn feed(&mut self, bytes: &[u8]) {
        self.block.feed(bytes);
    }

    fn next_record(&mut self) -> Result<Option<Vec<Bytes>>, FilterError> {
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        let Some(first) = self.block.next_record()? else {
            return Ok(None);
        };
        let mut frames = Vec::with_capacity(MAX_FRAMES);
        frames.push(first);
        while frames.len() < MAX_FRAMES {
            match self.block.next_record() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => {
                    self.error = Some(error);
                    break;
                }
            }
        }
        Ok(Some(frames))
    }

    fn put(&mut self, record: Bytes, out: &mut BytesMut) -> Result<(), FilterError> {
        self.block.put(record, out)
    }

    fn pending(&self) -> &[u8] {
        self.block.pending()
    }

    fn take_pending(&mut self) -> Bytes {
        self.error = None;
        self.block.take_pending()
    }

    fn fresh(&self) -> Self {
        Frames {
            block: self.block.fresh(),
            error: None,
        }
    }

    fn check(&self) -> Result<(), FilterError> {
        self.block.check()
    }
}

/// Writes what precedes a frame: its length in decimal, and a NUL.
pub(crate) fn put_length(mut length: usize, out: &mut BytesMut) {
    let (mut header, mut at) = ([0; 21], 20);
    loop {
        at -= 1;
        // The remainder of ten is a digit.
        header[at] = b'0' + (length % 10) as u8;
        length /= 10;
        if length == 0 {
            break;
        }
    }
    out.extend_from_slice(&header[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_written_in_decimal_with_a_nul() {
        for length in [0, 9, 10, 1234, usize::MAX] {
            let mut out = BytesMut::new();
            put_length(length, &mut out);
            assert_eq!(out, format!("{length}\0").as_bytes());
        }
    }
}
