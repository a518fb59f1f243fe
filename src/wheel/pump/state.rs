//! The state that a wheel's value and its task share: flags, filters, the stream, and the output buffer.

use super::erased::{Formatter, Parser, follow};
use super::handle::{BoxedDuplex, Events};
use super::input::Reading;
use super::output::Writing;
use crate::driver::{BLOCK_SIZE, Driver};
use crate::filter::Seam;
use crate::id::TaskId;
use crate::kernel::{Core, StreamSnapshot};
use crate::name::Name;
use crate::wheel::base::Base;
use bytes::Bytes;
use std::cell::{Cell, OnceCell, RefCell};
use std::io;
use std::rc::Rc;
use std::time::Duration;

/// The state that a wheel's value and its task share.
pub(crate) struct PumpState {
    /// Shared by the pumps of one wheel.
    pub(crate) base: Rc<Base>,
    /// `None` before the task is started, or if there is no session for it.
    pub(crate) task: Cell<Option<TaskId>>,
    /// Taken while it is in use; `None` when the task is over, or the stream was taken from the wheel.
    io: Cell<Option<BoxedDuplex>>,
    /// Empty while the filter is in use, and for wheels that do not read.
    parser: Cell<Option<Box<dyn Parser>>>,
    formatter: Cell<Option<Box<dyn Formatter>>>,
    pub(crate) seam: Cell<Seam>,
    pub(crate) driver: Driver,
    pub(crate) events: RefCell<Events>,
    /// High and low mark, if the wheel has marks.
    pub(crate) marks: Cell<Option<(usize, usize)>>,
    /// A method has crossed the high mark or written; the events are sent directly after the handler that called it.
    pub(super) acted: Cell<bool>,
    /// The state of the reading side.
    pub(super) reading: Cell<Reading>,
    /// The state of the writing side.
    pub(super) writing: Cell<Writing>,
    /// The most bytes that the next read may take.
    block: Cell<usize>,
    /// The error of a write outside the task, which is to be reported.
    pub(super) write_error: Cell<Option<io::Error>>,
    /// Each put into an empty queue is written at once.
    pub(super) auto_flush: bool,
    /// How long the peer may take no bytes of the output when the connection is closed.
    flush_timeout: Duration,
    /// The flush timeout counts, though the wheel is not closed yet.
    pub(super) flush_limited: Cell<bool>,
    /// The task and the stream are gone.
    pub(super) over: Cell<bool>,
    /// Set in `close`: how long to drain the peer's input.
    pub(super) closing: Cell<Option<Duration>>,
    /// There was nothing to read when the stream was polled last.
    pub(crate) dry: Cell<bool>,
    /// Bytes that were read and written so far.
    pub(super) read: Cell<u64>,
    pub(super) written: Cell<u64>,
    /// A byte was read or written, for the limits on the peer.
    pub(super) progress: Cell<bool>,
    /// A record was delivered to the session.
    pub(crate) given: Cell<bool>,
    /// The task's poll is on the stack, so that it need not be scheduled.
    pub(super) polling: Cell<bool>,
    /// There is a request for the next turn in the I/O phase, and not for a poll between two events.
    pub(super) wants_turn: Cell<bool>,
    /// A new filter may see records in the bytes of the old one.
    pub(super) reparse: Cell<bool>,
    /// A flushed event is due as soon as nothing waits, even if nothing is left to write.
    pub(super) flush_due: Cell<bool>,
    /// The splice that the wheel is part of.
    pub(crate) link: RefCell<Option<Rc<dyn Link>>>,
    /// The wheel of which this is one pump of several.
    pub(super) part: OnceCell<Box<dyn Part>>,
}

/// The behaviour of a wheel with several pumps where it differs from that of a single pump.
pub(crate) trait Part {
    /// Whether there is an event for errors.
    fn has_error_event(&self) -> bool;
    /// Reports an error, or the end of the input. `None`: the wheel is gone.
    fn failed(&self, core: &Core, error: crate::wheel::IoError) -> Option<()>;
    /// The end of the input has been reported. `None`: the wheel is gone.
    fn ended(&self, core: &Core) -> Option<()>;
    /// Returns the wheel's name in reports.
    fn name(&self) -> Name;
}

/// The notifications that a splice needs from its wheels.
pub(crate) trait Link {
    /// The wheel's output has fallen to the low mark, or has ended.
    fn drained(&self, state: &PumpState);
    /// The wheel's input has ended, in good order or with an error.
    fn ended(&self, state: &PumpState);
    /// Takes an error, or the end of the input, instead of the wheel's event.
    fn failed(&self, error: crate::wheel::IoError);
    /// The wheel's poll is over: the splice may report its end now.
    ///
    /// `waits`: the stream had nothing more to read in this poll. Returns true to ask for another poll.
    fn settle(self: Rc<Self>, state: &PumpState, core: &Core, waits: bool) -> bool;
}

/// Everything that a wheel is started with.
pub(crate) struct Setup {
    pub(crate) io: BoxedDuplex,
    pub(crate) parser: Option<Box<dyn Parser>>,
    pub(crate) formatter: Box<dyn Formatter>,
    pub(crate) events: Events,
    pub(crate) marks: Option<(usize, usize)>,
    pub(crate) driver: Driver,
    pub(crate) auto_flush: bool,
    pub(crate) flush_timeout: Duration,
}

impl PumpState {
    pub(crate) fn new(base: impl Into<Rc<Base>>, setup: Setup) -> Rc<Self> {
        Rc::new(PumpState {
            base: base.into(),
            task: Cell::new(None),
            io: Cell::new(Some(setup.io)),
            reading: Cell::new(Reading::new(setup.parser.is_some())),
            writing: Cell::new(Writing::new()),
            parser: Cell::new(setup.parser),
            formatter: Cell::new(Some(setup.formatter)),
            seam: Cell::new(Seam::new()),
            block: Cell::new(setup.driver.block_size.min(BLOCK_SIZE)),
            driver: setup.driver,
            events: RefCell::new(setup.events),
            marks: Cell::new(setup.marks),
            acted: Cell::new(false),
            write_error: Cell::new(None),
            auto_flush: setup.auto_flush,
            flush_timeout: setup.flush_timeout,
            flush_limited: Cell::new(false),
            over: Cell::new(false),
            closing: Cell::new(None),
            dry: Cell::new(false),
            read: Cell::new(0),
            written: Cell::new(0),
            progress: Cell::new(false),
            given: Cell::new(false),
            polling: Cell::new(false),
            wants_turn: Cell::new(false),
            reparse: Cell::new(false),
            flush_due: Cell::new(false),
            link: RefCell::default(),
            part: OnceCell::new(),
        })
    }

    /// Makes it a pump of several. They are over when both directions are, for any reason.
    #[cfg_attr(not(unix), allow(dead_code))]
    pub(crate) fn set_part(&self, part: Box<dyn Part>) {
        let _already_one = self.part.set(part);
    }

    /// Has the task polled for its output when the current handler returns; and, if it wants more, in the next I/O phase.
    pub(crate) fn schedule(&self) {
        if !self.polling.get() && !self.over.get() {
            self.base.schedule(self.task.get());
        }
    }

    /// The end of the wheel's value, at once.
    pub(crate) fn end(&self) {
        // A closed wheel's task goes on alone.
        if self.base.is_alive()
            && let Some(task) = self.task.take()
        {
            self.base.end([task]);
        }
    }

    /// Uses the stream, out of its cell. Nothing if it is in use up the stack, or gone.
    pub(crate) fn with_io<T>(&self, f: impl FnOnce(&mut BoxedDuplex) -> T) -> Option<T> {
        let mut io = self.io.take()?;
        let result = f(&mut io);
        if self.over.get() {
            drop(io);
        } else {
            self.io.set(Some(io));
        }
        Some(result)
    }

    /// Takes the stream for good.
    pub(crate) fn take_io(&self) -> Option<BoxedDuplex> {
        self.io.take()
    }

    /// The kind of the wheel, for its counters.
    pub(super) fn kind(&self) -> &'static str {
        if self.part.get().is_some() { "Run" } else { "ReadWrite" }
    }

    /// Gives the stream back, to a wheel that could not be taken apart.
    pub(crate) fn put_back_io(&self, io: BoxedDuplex) {
        self.io.set(Some(io));
    }

    pub(crate) fn pause(&self, paused: bool) {
        self.update_reading(|reading| reading.pause(paused));
        if !paused {
            self.wants_turn.set(true);
        }
    }

    /// What a snapshot shows of the wheel.
    pub(super) fn stream_snapshot(&self) -> StreamSnapshot {
        StreamSnapshot {
            bytes_read: self.read.get(),
            bytes_written: self.written.get(),
            buffered: self.buffered_bytes(),
            high_mark: self.marks.get().map(|(high, _)| high),
            is_paused: self.is_paused(),
        }
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.reading.get().is_paused()
    }

    pub(crate) fn shut_input(&self) {
        let was_shut = self.reading.get().is_shut();
        self.update_reading(Reading::shut);
        if !was_shut {
            self.with_io(|io| io.as_mut().close_input());
        }
    }

    /// Whether the task's poll is on the stack.
    pub(crate) fn is_polling(&self) -> bool {
        self.polling.get()
    }

    /// Whether no input will be read any more.
    pub(crate) fn is_input_over(&self) -> bool {
        self.over.get() || self.reading.get().is_over()
    }

    /// Stops all events, but writes the output and ends the connection in good order.
    pub(crate) fn close(&self, linger: Duration) {
        self.closing.set(Some(linger));
    }

    /// The wheel is about to be closed: from now on the flush timeout limits its output.
    pub(crate) fn limit_flush(&self) {
        self.flush_limited.set(true);
        self.schedule();
    }

    pub(super) fn flush_timeout(&self) -> Duration {
        self.flush_timeout
    }

    /// Whether there is a stream that can still be closed in good order.
    pub(crate) fn is_closable(&self) -> bool {
        !self.over.get() && !self.writing.get().has_failed()
    }

    /// Changes the input filter; pending bytes move into the new one. The caller drops the old one.
    pub(crate) fn set_parser(&self, next: Box<dyn Parser>) -> Option<impl Sized + use<>> {
        self.update_reading(Reading::set_filter);
        self.note_reparse();
        match self.parser.take() {
            Some(old) => Some(self.join(old, next)),
            None => {
                self.parser.set(Some(next));
                None
            }
        }
    }

    /// Returns the input filter's pending bytes, for the next reader of the stream.
    pub(crate) fn leave(&self) -> (Bytes, Seam) {
        let mut seam = self.seam.get();
        let Some(mut old) = self.parser.take() else {
            return (Bytes::new(), seam);
        };
        seam.leave(old.owed());
        (old.take_pending(), seam)
    }

    /// Notes that the filter may see records without new bytes.
    pub(crate) fn note_reparse(&self) {
        self.reparse.set(true);
        self.wants_turn.set(true);
    }

    /// Sets whether records have an event.
    pub(crate) fn set_listens(&self, listens: bool) {
        self.update_reading(|reading| reading.set_event(listens));
        self.note_reparse();
    }

    pub(crate) fn listens(&self) -> bool {
        self.reading.get().has_event()
    }

    /// Lets a splice pause or resume the input.
    pub(crate) fn throttle(&self, throttled: bool) {
        let before = self.reading.get();
        self.reading.set(before.throttle(throttled));
        if before.is_throttled() && !throttled {
            self.wants_turn.set(true);
            self.schedule();
        }
    }

    /// Sets how many bytes the next read may take.
    pub(crate) fn set_block(&self, bytes: usize) {
        self.block.set(bytes.clamp(1, self.driver.block_size.min(BLOCK_SIZE)));
    }

    pub(super) fn block(&self) -> usize {
        self.block.get()
    }

    /// Lets `next` follow `old`.
    fn join(&self, mut old: Box<dyn Parser>, next: Box<dyn Parser>) -> Box<dyn Parser> {
        let mut next = follow(&mut *old, next, self.base.id());
        let mut seam = self.seam.get();
        seam.leave(old.owed());
        next.start(&old.take_pending());
        self.seam.set(seam);
        self.parser.set(Some(next));
        old
    }

    pub(crate) fn set_formatter(&self, formatter: Box<dyn Formatter>) {
        drop(self.formatter.replace(Some(formatter)));
    }

    /// Uses the input filter outside of its cell. `None` if the wheel has none, or it is in use up the stack.
    pub(crate) fn with_parser<T>(&self, f: impl FnOnce(&mut dyn Parser) -> T) -> Option<T> {
        let mut parser = self.parser.take()?;
        let result = f(&mut *parser);
        match self.parser.take() {
            None => self.parser.set(Some(parser)),
            // A filter that changes its own wheel's filter while it parses: as odd as it is harmless.
            Some(newer) => drop(self.join(parser, newer)),
        }
        Some(result)
    }

    /// Uses the output filter in the same way; it is put back even if it panics.
    pub(crate) fn with_formatter<T>(&self, f: impl FnOnce(&mut dyn Formatter) -> T) -> Option<T> {
        struct Lent<'a>(&'a PumpState, Option<Box<dyn Formatter>>);
        impl Drop for Lent<'_> {
            fn drop(&mut self) {
                let newer = self.0.formatter.take();
                let (stays, goes) = match newer {
                    Some(newer) => (Some(newer), self.1.take()),
                    None => (self.1.take(), None),
                };
                self.0.formatter.set(stays);
                drop(goes);
            }
        }
        let mut lent = Lent(self, Some(self.formatter.take()?));
        let result = f(&mut **lent.1.as_mut()?);
        drop(lent);
        Some(result)
    }

    /// Whether there is an input filter.
    #[cfg_attr(not(unix), allow(dead_code))]
    pub(crate) fn has_parser(&self) -> bool {
        self.with_parser(|_| ()).is_some()
    }

    /// Whether a filter waits for input that may come.
    pub(super) fn is_reading(&self) -> bool {
        self.reading.get().reads()
    }

    pub(super) fn update_reading(&self, change: impl FnOnce(Reading) -> Reading) {
        self.reading.set(change(self.reading.get()));
    }

    pub(super) fn update_writing(&self, change: impl FnOnce(Writing) -> Writing) {
        self.writing.set(change(self.writing.get()));
    }
}
