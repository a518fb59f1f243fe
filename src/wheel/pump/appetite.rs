//! The size of one read.
//!
//! Nothing else of the kernel runs between the records of one read. A block of 64 KiB can hold 32 768 lines, whose handlers
//! would make other wheels wait for long. So the next block is sized by the records of the last one. It depends on the
//! bytes alone, and never on time or on the kernel's budget, so that the same input gives the same order of events.

use crate::driver::BLOCK_SIZE;

/// The number of records of one read to aim at: as many as a slice has time for.
const RECORDS: usize = 1024;

/// The least bytes that a read takes, however small the records are.
const LEAST: usize = 16_384;

pub(crate) struct Appetite {
    block: usize,
    /// Bytes of the last read, and the records seen since.
    bytes: usize,
    records: usize,
}

impl Appetite {
    pub(crate) fn new() -> Self {
        Appetite {
            block: BLOCK_SIZE,
            bytes: 0,
            records: 0,
        }
    }

    /// Returns how many bytes the next read may take, at most `most`.
    pub(crate) fn next(&mut self, most: usize) -> usize {
        if self.records > RECORDS {
            self.block = (self.bytes * RECORDS / self.records).clamp(LEAST, BLOCK_SIZE);
        } else if self.bytes >= self.block && self.records * 2 <= RECORDS {
            // A whole block, and room for twice the records.
            self.block = (self.block * 2).min(BLOCK_SIZE);
        }
        (self.bytes, self.records) = (0, 0);
        self.block.min(most)
    }

    pub(crate) fn has_read(&mut self, bytes: usize) {
        self.bytes = bytes;
    }

    pub(crate) fn has_seen(&mut self) {
        self.records += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_shrink_with_small_records_and_grow_with_large_ones() {
        let mut appetite = Appetite::new();
        let mut read = |records: usize| {
            let block = appetite.next(BLOCK_SIZE);
            appetite.has_read(block);
            (0..records).for_each(|_| appetite.has_seen());
            block
        };
        assert_eq!(read(32_768), BLOCK_SIZE);
        assert_eq!(read(1024), LEAST, "1024 records would be 2 KiB");
        assert_eq!(read(10), LEAST, "1024 records are what is aimed at");
        assert_eq!(read(0), 2 * LEAST, "a whole block with few records");
        assert_eq!(read(1200), 4 * LEAST);
        assert_eq!(read(1), 4 * LEAST * 1024 / 1200);
    }
}
