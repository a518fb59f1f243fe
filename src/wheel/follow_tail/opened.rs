//! An open plain file: where reading begins, the reading itself, and the test for truncation.
//!
//! The size that the system reports is not trusted: for a file under `/proc` it is 0, whatever the file contains, and under `/sys` it is
//! more than that. So it is only a hint where a read can tell the truth.

use super::ahead::Ahead;
use super::source::{Seen, Start};
use super::state::TailState;
use crate::driver::BLOCK_SIZE;
use crate::kernel::Core;
use std::fs::{File, Metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, FileTypeExt};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// Bytes that are read before the end of a file whose content is skipped, to find where the last record begins.
const BACK: u64 = 4096;

pub(super) struct Opened {
    file: Arc<File>,
    pub(super) offset: u64,
    pub(super) seen: Seen,
    /// The file has been replaced, and is being read to its end.
    pub(super) leaving: bool,
    /// Bytes before this offset are skipped, if they existed when the file was opened.
    skipped_to: u64,
    /// The end is searched by reading, because the size does not tell it.
    finding: Option<Start>,
    /// The file has no positions: reading goes on where it stopped.
    sequential: bool,
    /// The next read may block: a thread does it.
    waits: bool,
    ahead: Ahead,
    /// The system can read cached bytes, and refuse the rest.
    #[cfg(target_os = "linux")]
    knows: bool,
}

/// The result of one read.
pub(super) enum Got {
    /// The filter was given this many bytes.
    Bytes,
    /// The filter was given bytes that are to be skipped.
    Skipped,
    /// The search for the end goes on, and the filter was given nothing.
    Nothing,
    /// There is nothing more for now.
    End,
}

impl Opened {
    /// Begins where the wheel is to begin. Where the file's size does not tell the position, reading finds it.
    pub(super) fn new(mut file: File, found: &Metadata, start: Start) -> Self {
        let seen = Seen::of(found);
        let size = match found.file_type().is_block_device() {
            true => file.seek(SeekFrom::End(0)).unwrap_or(0),
            false => seen.size,
        };
        let is_told = size > 0 || matches!(start, Start::At(0));
        let mut opened = Opened {
            file: Arc::new(file),
            offset: 0,
            seen,
            leaving: false,
            skipped_to: 0,
            finding: (!is_told).then_some(start),
            sequential: false,
            waits: false,
            ahead: Ahead::default(),
            #[cfg(target_os = "linux")]
            knows: true,
        };
        if is_told {
            match start {
                Start::Skip => (opened.offset, opened.skipped_to) = (size.saturating_sub(BACK), size),
                Start::At(bytes) if bytes <= size || opened.has_byte_before(bytes) => opened.offset = bytes,
                Start::At(_) => opened.offset = size,
                Start::Back(bytes) => opened.offset = size.saturating_sub(bytes),
            }
        }
        opened
    }

    /// Feeds the filter with the last part of the skipped bytes; false if there are no more. Bytes appended
    /// from now on are not touched.
    pub(super) fn read_skipped(&mut self, state: &TailState, core: &Core) -> io::Result<bool> {
        let left = usize::try_from(self.skipped_to.saturating_sub(self.offset)).unwrap_or(usize::MAX);
        Ok(left > 0 && self.read_some(core, left, false, |bytes| feed(state, bytes))? > 0)
    }

    /// Reads a block. Pending while a thread reads it.
    pub(super) fn poll_read(&mut self, state: &TailState, core: &Core, cx: &mut Context<'_>) -> Poll<io::Result<Got>> {
        if let Some(start) = self.finding {
            return Poll::Ready(self.find(start, state, core));
        }
        // Under virtual time nothing else runs meanwhile.
        let mut in_memory = !core.is_virtual();
        loop {
            if self.waits {
                let feed = |bytes: &[u8]| feed(state, bytes);
                let read = ready!(self.ahead.poll_read(core, &self.file, self.offset, cx, feed))?;
                self.waits = read == BLOCK_SIZE;
                if read > 0 {
                    self.offset += read as u64;
                    return Poll::Ready(Ok(Got::Bytes));
                }
                // At the end nothing blocks.
                in_memory = false;
            }
            match self.read_some(core, usize::MAX, in_memory, |bytes| feed(state, bytes)) {
                Err(error) if in_memory && error.kind() == io::ErrorKind::WouldBlock => self.waits = true,
                read => {
                    let read = read?;
                    self.waits = in_memory && read == BLOCK_SIZE && !self.sequential;
                    return Poll::Ready(Ok(if read == 0 { Got::End } else { Got::Bytes }));
                }
            }
        }
    }

    /// Searches for the end by reading.
    fn find(&mut self, start: Start, state: &TailState, core: &Core) -> io::Result<Got> {
        let is_first = self.offset == 0;
        let skips = matches!(start, Start::Skip);
        let read = self.read_some(core, usize::MAX, false, |bytes| {
            if skips {
                feed(state, bytes);
            }
        })?;
        // An empty file that was written to since it was opened.
        let is_told = is_first && self.file.metadata()?.len() > 0;
        if read > 0 && !is_told {
            return Ok(if skips { Got::Skipped } else { Got::Nothing });
        }
        self.finding = None;
        match start {
            Start::Skip if read > 0 => return Ok(Got::Bytes),
            Start::Skip => {}
            _ if is_told => self.offset = 0,
            Start::At(bytes) => self.offset = self.offset.min(bytes),
            Start::Back(bytes) => self.offset = self.offset.saturating_sub(bytes),
        }
        Ok(if skips { Got::End } else { Got::Nothing })
    }

    /// Reads up to `most` bytes. With `in_memory` it fails with `WouldBlock` where it would have to wait, if the system can tell.
    fn read_some(&mut self, core: &Core, most: usize, in_memory: bool, f: impl FnOnce(&[u8])) -> io::Result<usize> {
        let read = core.with_read_buffer(|buffer| {
            let most = most.min(buffer.len());
            let buffer = &mut buffer[..most];
            let read = loop {
                let read = match self.sequential {
                    true => (&*self.file).read(buffer),
                    false if in_memory => match self.read_in_memory(buffer) {
                        Some(read) => break read?,
                        None => self.file.read_at(buffer, self.offset),
                    },
                    false => self.file.read_at(buffer, self.offset),
                };
                match read {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    // Some files wait for later content, such as the kernel's log.
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break 0,
                    Err(error) if is_not_seekable(&error) && !self.sequential => self.sequential = true,
                    read => break read?,
                }
            };
            f(&buffer[..read]);
            io::Result::Ok(read)
        })?;
        self.offset += read as u64;
        Ok(read)
    }

    /// Reads cached bytes; `WouldBlock` if none are cached. `None` if the system cannot do that with this file.
    #[cfg(target_os = "linux")]
    fn read_in_memory(&mut self, buffer: &mut [u8]) -> Option<io::Result<usize>> {
        use rustix::io::{Errno, ReadWriteFlags, preadv2};
        while self.knows {
            let mut buffers = [io::IoSliceMut::new(buffer)];
            match preadv2(&*self.file, &mut buffers, self.offset, ReadWriteFlags::NOWAIT) {
                Err(Errno::INTR) => {}
                Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL | Errno::SPIPE | Errno::PERM) => self.knows = false,
                read => return Some(read.map_err(io::Error::from)),
            }
        }
        None
    }

    #[cfg(not(target_os = "linux"))]
    fn read_in_memory(&mut self, _: &mut [u8]) -> Option<io::Result<usize>> {
        None
    }

    /// Returns the present metadata of the open file.
    pub(super) fn metadata(&self) -> io::Result<Metadata> {
        self.file.metadata()
    }

    /// Whether the file has become shorter, according to its present metadata.
    pub(super) fn is_shorter(&self, now: &Seen) -> bool {
        if now.size >= self.seen.size.max(self.offset) {
            return false;
        }
        // A size that does not change although there is more to read proves nothing. A read just before the offset does.
        let says_nothing = now.size == self.seen.size && (self.sequential || self.has_byte_before(self.offset));
        !says_nothing
    }

    fn has_byte_before(&self, offset: u64) -> bool {
        offset > 0 && matches!(self.file.read_at(&mut [0], offset - 1), Ok(1))
    }

    /// Begins again at the start.
    pub(super) fn rewind(&mut self, now: Seen) {
        self.seen = now;
        self.offset = 0;
        self.leaving = false;
        (self.finding, self.skipped_to) = (None, 0);
        (self.waits, self.ahead) = (false, Ahead::default());
    }
}

fn is_not_seekable(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::SPIPE.raw_os_error())
}

/// Feeds the filter, without a byte that belonged to the previous filter.
pub(super) fn feed(state: &TailState, mut bytes: &[u8]) {
    if let Some((first, rest)) = bytes.split_first()
        && state.skip_next.take() == Some(*first)
    {
        bytes = rest;
    }
    state.with_parser(|parser| parser.start(bytes));
}
