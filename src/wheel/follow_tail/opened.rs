//! An open plain file: where reading begins, the reading itself, and the test for truncation.
//!
//! The size that the system reports is not trusted: for a file under `/proc` it is 0, whatever the file contains, and under `/sys` it is
//! more than that. So it is only a hint where a read can tell the truth.

use super::super::base::Base;
use super::super::pump::{Parser, follow};
use super::source::{Seen, Start};
use crate::arg::AnyArg;
use crate::bridge::threads::Job;
use crate::driver::BLOCK_SIZE;
use crate::id::WheelId;
use crate::kernel::Core;
use crate::name::HeldName;
use bytes::Bytes;
use std::cell::{Cell, RefCell};
use std::fs::{File, Metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, FileTypeExt};
use std::pin::Pin;
use std::rc::Rc;
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
    if cfg!(feature = "metrics")
        && let Some(core) = state.base.core()
    {
        core.count_traffic("FollowTail", crate::kernel::count::Traffic::ReadBytes, bytes.len());
    }
    if let Some((first, rest)) = bytes.split_first()
        && state.skip_next.take() == Some(*first)
    {
        bytes = rest;
    }
    state.with_parser(|parser| parser.start(bytes));
}

// Reads on a thread while a file has more than one block to read.
//
// A read of a file that was not read lately waits for the disk, for another machine, or for memory, and the whole
// kernel would wait with it. So the kernel's thread reads only bytes that are certainly cached: mostly the end of a file, which
// has just been written. A block that filled the buffer shows that there is more, and a thread reads on from there,
// one block ahead of the session.
#[derive(Default)]
pub(super) struct Ahead {
    reading: Option<Job<Block>>,
    /// The buffer of the last block, for the next one but one.
    spare: Vec<u8>,
}

struct Block {
    buffer: Vec<u8>,
    read: io::Result<usize>,
}

impl Ahead {
    /// Passes the block at `offset` to `f`, and starts to read the next one if this one is full.
    ///
    /// Ready with 0 at the end of the file, or if there is no thread: then the caller reads.
    pub(super) fn poll_read(
        &mut self,
        core: &Core,
        file: &Arc<File>,
        offset: u64,
        cx: &mut Context<'_>,
        f: impl FnOnce(&[u8]),
    ) -> Poll<io::Result<usize>> {
        let spare = &mut self.spare;
        let reading = self
            .reading
            .get_or_insert_with(|| start(core, file, offset, std::mem::take(spare)));
        let done = ready!(Pin::new(reading).poll(cx));
        self.reading = None;
        let Ok(Block { buffer, read }) = done else {
            return Poll::Ready(Ok(0));
        };
        let read = read?;
        if read == BLOCK_SIZE {
            let next = start(core, file, offset + read as u64, std::mem::take(&mut self.spare));
            self.reading = Some(next);
        }
        f(&buffer[..read]);
        self.spare = buffer;
        Poll::Ready(Ok(read))
    }
}

fn start(core: &Core, file: &Arc<File>, offset: u64, mut buffer: Vec<u8>) -> Job<Block> {
    let file = file.clone();
    core.threads.run(move || {
        buffer.resize(BLOCK_SIZE, 0);
        let read = loop {
            match file.read_at(&mut buffer, offset) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break Ok(0),
                read => break read,
            }
        };
        Block { buffer, read }
    })
}

// The state that a FollowTail's value and its task share: the filter, the events, the position.
/// Makes an event's argument from the bytes of an unfinished record.
pub(super) type Flush = Rc<dyn Fn(Bytes, WheelId) -> Option<AnyArg>>;

/// The names of all events except the input's.
#[derive(Default)]
pub(super) struct Events {
    pub(super) error: Option<HeldName>,
    pub(super) reset: Option<HeldName>,
    pub(super) idle: Option<HeldName>,
}

/// The state that the wheel's value and its task share.
pub(super) struct TailState {
    pub(super) base: Base,
    /// The name of the file in errors.
    pub(super) what: String,
    /// Empty while the filter is in use.
    parser: Cell<Option<Box<dyn Parser>>>,
    /// Belongs to the filter that the wheel was made with; removed when that is changed.
    pub(super) flush: RefCell<Option<Flush>>,
    pub(super) events: RefCell<Events>,
    /// Where reading continues, if the file is open and has positions.
    pub(super) offset: Cell<Option<u64>>,
    /// A new filter may see records in the bytes of the old one.
    pub(super) reparse: Cell<bool>,
    /// The byte that the old filter would have skipped next.
    pub(super) skip_next: Cell<Option<u8>>,
}

impl TailState {
    pub(super) fn new(
        base: Base,
        what: String,
        parser: Box<dyn Parser>,
        flush: Option<Flush>,
        events: Events,
    ) -> Rc<Self> {
        Rc::new(TailState {
            base,
            what,
            parser: Cell::new(Some(parser)),
            flush: RefCell::new(flush),
            events: RefCell::new(events),
            offset: Cell::new(None),
            reparse: Cell::new(false),
            skip_next: Cell::new(None),
        })
    }

    /// Uses the filter outside of its cell. `None` if it is in use up the stack.
    pub(super) fn with_parser<T>(&self, f: impl FnOnce(&mut dyn Parser) -> T) -> Option<T> {
        let mut parser = self.parser.take()?;
        let result = f(&mut *parser);
        match self.parser.take() {
            None => self.parser.set(Some(parser)),
            Some(newer) => drop(self.join(parser, newer)),
        }
        Some(result)
    }

    /// Replaces the filter; the caller drops the old one.
    pub(super) fn set_parser(&self, next: Box<dyn Parser>) -> Option<Box<dyn Parser>> {
        self.reparse.set(true);
        match self.parser.take() {
            Some(old) => Some(self.join(old, next)),
            None => {
                self.parser.set(Some(next));
                None
            }
        }
    }

    fn join(&self, mut old: Box<dyn Parser>, next: Box<dyn Parser>) -> Box<dyn Parser> {
        let mut next = follow(&mut *old, next, self.base.id());
        self.skip_next.set(old.owed().or(self.skip_next.get()));
        next.start(&old.take_pending());
        self.parser.set(Some(next));
        old
    }
}
