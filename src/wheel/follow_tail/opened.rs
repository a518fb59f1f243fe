//! A plain file that is open: where reading begins, what is read, and whether the file was cut short.
//!
//! The size that the system tells is not trusted: of a file under `/proc` it is 0, whatever the file holds, and of one under `/sys` it is
//! more than that. So it is only a hint where a read can tell the truth.

use super::ahead::Ahead;
use super::source::{Seen, Start};
use super::state::State;
use crate::driver::BLOCK_SIZE;
use crate::kernel::Core;
use std::fs::{File, Metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, FileTypeExt};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// Bytes that are read, to find where the last record begins, before the end of a file whose content is skipped.
const BACK: u64 = 4096;

pub(super) struct Opened {
    file: Arc<File>,
    pub(super) offset: u64,
    pub(super) seen: Seen,
    /// It was seen to have been replaced, and is being read to its end.
    pub(super) leaving: bool,
    /// What stands before this is skipped, as far as it was there when the file was opened.
    skipped_to: u64,
    /// The end is looked for by reading, because the size does not tell it.
    finding: Option<Start>,
    /// It has no places: reading goes on where it stopped.
    sequential: bool,
    /// The next read may have to wait: a thread does it.
    waits: bool,
    ahead: Ahead,
    /// The system can read what is in memory, and refuse the rest.
    #[cfg(target_os = "linux")]
    knows: bool,
}

/// What one read came to.
pub(super) enum Got {
    /// The filter was given so many bytes.
    Bytes,
    /// The filter was given bytes that are to be skipped.
    Skipped,
    /// The end was looked for, and the filter was given nothing.
    Nothing,
    /// There is nothing more, for now.
    End,
}

impl Opened {
    /// Begins where the wheel is to begin. Where the size of the file does not say where that is, reading finds it out.
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

    /// Gives the filter the last part of what is to be skipped; false if there is no more of it. What is appended to the file from
    /// now on is not touched.
    pub(super) fn read_skipped(&mut self, state: &State, core: &Core) -> io::Result<bool> {
        let left = usize::try_from(self.skipped_to.saturating_sub(self.offset)).unwrap_or(usize::MAX);
        Ok(left > 0 && self.read_some(core, left, false, |bytes| feed(state, bytes))? > 0)
    }

    /// Reads a block. Pending while a thread reads it.
    pub(super) fn poll_read(&mut self, state: &State, core: &Core, cx: &mut Context<'_>) -> Poll<io::Result<Got>> {
        if let Some(start) = self.finding {
            return Poll::Ready(self.find(start, state, core));
        }
        // Under virtual time nothing else goes on meanwhile.
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
                // The end, where there is nothing to wait for.
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

    /// Looks for the end by reading.
    fn find(&mut self, start: Start, state: &State, core: &Core) -> io::Result<Got> {
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
                    // A file may be one that waits for what is still to come, such as the kernel's log.
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

    /// Reads what is in memory; `WouldBlock` if nothing of it is. `None` if the system cannot do that with this file.
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

    /// How the file is now, by its handle.
    pub(super) fn metadata(&self) -> io::Result<Metadata> {
        self.file.metadata()
    }

    /// Whether it has become shorter than it was, going by how the system sees it now.
    pub(super) fn is_shorter(&self, now: &Seen) -> bool {
        if now.size >= self.seen.size.max(self.offset) {
            return false;
        }
        // A size that does not change although there is more to read says nothing. What stands before the place that was read to does.
        let says_nothing = now.size == self.seen.size && (self.sequential || self.has_byte_before(self.offset));
        !says_nothing
    }

    fn has_byte_before(&self, offset: u64) -> bool {
        offset > 0 && matches!(self.file.read_at(&mut [0], offset - 1), Ok(1))
    }

    /// Begins anew.
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

/// Gives bytes to the filter, but for one that belonged to the filter before it.
pub(super) fn feed(state: &State, mut bytes: &[u8]) {
    if let Some((first, rest)) = bytes.split_first()
        && state.owed.take() == Some(*first)
    {
        bytes = rest;
    }
    state.with_parser(|parser| parser.start(bytes));
}
