//! What a wheel's value and its task share: flags, filters, the stream, and the octets that wait.

use super::erased::{Entering, Formatter, Leaving, Parser};
use super::handle::BoxedDuplex;
use super::tell::Events;
use crate::driver::{BLOCK_SIZE, Output, SysRW};
use crate::filter::{Filter, Seam, Stream};
use crate::id::TaskId;
use crate::kernel::Core;
use crate::name::Name;
use crate::wheel::base::Base;
use crate::wheel::error::{PutError, PutErrorKind};
use bytes::{Bytes, BytesMut};
use std::any::type_name;
use std::cell::{Cell, OnceCell, RefCell};
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// How full a wheel's output is, as its watermarks see it; the answer of `put`.
///
/// ```
/// assert!(!poe::wheel::Level::Normal.is_high());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Below the high mark, or there is none.
    Normal,
    /// At or above the high mark: better wait for the low event.
    High,
}

impl Level {
    /// Whether the high mark is reached.
    #[must_use]
    pub fn is_high(self) -> bool {
        self == Level::High
    }
}

/// Where the output stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Sending {
    Open,
    /// Takes nothing more; shut down as soon as everything is written.
    Finishing,
    /// To be shut down at once.
    Shutting,
    /// Shut down.
    Shut,
    /// A write has failed: what is queued stays.
    Failed,
}

/// What a wheel's value and its task share.
pub(crate) struct State {
    /// Shared by the pumps of one wheel.
    pub(crate) base: Rc<Base>,
    /// Nothing before the task is started, or if there is no session for it.
    pub(crate) task: Cell<Option<TaskId>>,
    /// Out while it is in use; gone when the task is over, or the stream was taken from the wheel.
    io: Cell<Option<BoxedDuplex>>,
    /// Empty while the filter is in use, and for wheels that do not read.
    parser: Cell<Option<Box<dyn Parser>>>,
    formatter: Cell<Option<Box<dyn Formatter>>>,
    pub(crate) seam: Cell<Seam>,
    pub(crate) driver: SysRW,
    pub(crate) events: RefCell<Events>,
    /// High and low, if the wheel has marks.
    pub(crate) marks: Cell<Option<(usize, usize)>>,
    /// The output has reached the high mark and not yet fallen to the low one.
    pub(super) high: Cell<bool>,
    /// … and nobody has been told of the former.
    pub(super) high_due: Cell<bool>,
    /// There is an input filter, and an event for its records.
    listens: Cell<bool>,
    paused: Cell<bool>,
    /// By a splice, for as long as the other wheel has enough.
    throttled: Cell<bool>,
    /// Octets that the next read may take.
    block: Cell<usize>,
    /// The end of the input, or an error, was reported.
    pub(super) ended: Cell<bool>,
    /// By `shutdown_input`.
    input_shut: Cell<bool>,
    /// The filter can go no further.
    pub(super) broken: Cell<bool>,
    pub(super) sending: Cell<Sending>,
    /// A write outside the task has failed so, which is to be reported.
    pub(super) write_error: Cell<Option<io::Error>>,
    /// Something was written that the stream may still hold.
    pub(super) unflushed: Cell<bool>,
    /// Each put into an empty queue is written at once.
    auto_flush: bool,
    /// The task is gone, and the stream with it.
    pub(super) over: Cell<bool>,
    /// Set by `close`: how long to be polite.
    pub(super) closing: Cell<Option<Duration>>,
    /// The task's poll is on the stack, so that it need not be scheduled.
    pub(super) polling: Cell<bool>,
    /// The task was scheduled for its output only.
    pub(super) put_only: Cell<bool>,
    /// A new filter may see records in what the old one left.
    pub(super) reparse: Cell<bool>,
    /// A flushed event is due as soon as nothing waits, even if nothing is left to write.
    pub(super) flush_due: Cell<bool>,
    /// The splice that the wheel is part of.
    pub(crate) link: RefCell<Option<Rc<dyn Link>>>,
    /// The wheel of which this is one pump of several.
    pub(super) part: OnceCell<Box<dyn Part>>,
}

/// What a wheel with several pumps does otherwise than one that is a pump and nothing else.
pub(crate) trait Part {
    /// Tells of an error, or of the end of the input. `None`: the wheel is gone.
    fn failed(&self, core: &Core, error: crate::wheel::IoError) -> Option<()>;
    /// The end of the input has been told. `None`: the wheel is gone.
    fn ended(&self, core: &Core) -> Option<()>;
    /// The wheel's name in reports.
    fn name(&self) -> Name;
}

/// What a splice wants to know of its wheels.
pub(crate) trait Link {
    /// The wheel's output has fallen to the low mark, or has ended.
    fn drained(&self, state: &State);
    /// The wheel's input has ended, well or by an error.
    fn ended(&self, state: &State);
    /// An error, instead of the wheel's event.
    fn failed(&self, error: crate::wheel::IoError);
    /// The wheel's poll is over: the time to tell of the end of it all.
    fn settle(&self, core: &Core);
}

/// What a wheel that is taken apart has not come to, and the next one on its stream is to do.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Owed {
    /// The high mark was told of, and who puts waits for the low one.
    low: bool,
    /// Something was written that the stream may still hold.
    flush: bool,
}

/// All that a wheel is started with.
pub(crate) struct Setup {
    pub(crate) io: BoxedDuplex,
    pub(crate) parser: Option<Box<dyn Parser>>,
    pub(crate) formatter: Box<dyn Formatter>,
    pub(crate) events: Events,
    pub(crate) marks: Option<(usize, usize)>,
    pub(crate) driver: SysRW,
    pub(crate) auto_flush: bool,
}

impl State {
    pub(crate) fn new(base: impl Into<Rc<Base>>, setup: Setup) -> Rc<Self> {
        Rc::new(State {
            base: base.into(),
            task: Cell::new(None),
            io: Cell::new(Some(setup.io)),
            listens: Cell::new(setup.parser.is_some()),
            parser: Cell::new(setup.parser),
            formatter: Cell::new(Some(setup.formatter)),
            seam: Cell::new(Seam::new()),
            block: Cell::new(setup.driver.block_size().min(BLOCK_SIZE)),
            driver: setup.driver,
            events: RefCell::new(setup.events),
            marks: Cell::new(setup.marks),
            high: Cell::new(false),
            high_due: Cell::new(false),
            paused: Cell::new(false),
            throttled: Cell::new(false),
            ended: Cell::new(false),
            input_shut: Cell::new(false),
            broken: Cell::new(false),
            sending: Cell::new(Sending::Open),
            write_error: Cell::new(None),
            unflushed: Cell::new(false),
            auto_flush: setup.auto_flush,
            over: Cell::new(false),
            closing: Cell::new(None),
            polling: Cell::new(false),
            put_only: Cell::new(false),
            reparse: Cell::new(false),
            flush_due: Cell::new(false),
            link: RefCell::default(),
            part: OnceCell::new(),
        })
    }

    /// Makes it a pump of several; they are over when both directions are, in whatever way.
    #[cfg_attr(not(unix), allow(dead_code))]
    pub(crate) fn set_part(&self, part: Box<dyn Part>) {
        let _already_one = self.part.set(part);
    }

    /// Has the task polled when the current handler returns.
    pub(crate) fn schedule(&self) {
        if !self.polling.get() && !self.over.get() {
            self.base.schedule(self.task.get());
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

    /// Gives it back, to a wheel that has come to nothing by that.
    pub(crate) fn put_back_io(&self, io: BoxedDuplex) {
        self.io.set(Some(io));
    }

    /// Puts a record, by the output filter.
    pub(crate) fn put<T: 'static>(&self, record: T) -> Result<Level, PutError<T>> {
        if self.is_output_closed() {
            return Err(PutError::new(PutErrorKind::Closed, Some(record)));
        }
        let before = self.out_octets();
        let mut record = Some(record);
        let result = self.with_formatter(|formatter| self.append(|out| formatter.put(&mut record, out)));
        match result {
            Some(Ok(())) => {
                let level = self.level();
                if self.out_octets() != before {
                    self.put_only.set(true);
                    if before == 0 && self.auto_flush {
                        self.write_now();
                    }
                    self.schedule();
                }
                Ok(level)
            }
            Some(Err(PutErrorKind::WrongType { takes, .. })) => {
                let given = type_name::<T>();
                Err(PutError::new(PutErrorKind::WrongType { takes, given }, record))
            }
            Some(Err(kind)) => Err(PutError::new(kind, record)),
            None => Err(PutError::new(PutErrorKind::Busy, record)),
        }
    }

    fn append<T>(&self, f: impl FnOnce(&mut BytesMut) -> T) -> T {
        Output::append(self.driver.output(), f)
    }

    /// Octets that come from another wheel, as they are.
    pub(crate) fn pass(&self, octets: &[u8]) {
        if !octets.is_empty() && !self.is_output_closed() {
            self.append(|out| out.extend_from_slice(octets));
            self.put_only.set(true);
            self.schedule();
        }
    }

    pub(crate) fn out_octets(&self) -> usize {
        self.driver.out_octets()
    }

    /// One write pass outside the task. What comes of it is told when the task is polled next.
    pub(crate) fn write_now(&self) {
        let open = matches!(self.sending.get(), Sending::Open | Sending::Finishing);
        let (Some(core), Some(task), true) = (self.base.core(), self.task.get(), open) else {
            return;
        };
        let Some(waker) = core.tasks.waker(task) else { return };
        self.put_only.set(true);
        match self.flush(&mut Context::from_waker(&waker)) {
            Poll::Ready(Ok(true)) => self.flush_due.set(true),
            Poll::Ready(Err(error)) => {
                self.sending.set(Sending::Failed);
                self.write_error.set(Some(error));
            }
            Poll::Ready(Ok(false)) | Poll::Pending => {}
        }
        self.schedule();
    }

    /// Writes until everything is in the system's hands, or it would block. `Ok(false)`: there is more, but others wait.
    pub(super) fn flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let flushed = self.with_io(|io| {
            self.unflushed.set(true);
            let write = |octets: &[u8]| io.as_mut().poll_write(cx, octets);
            if !ready!(Output::flush(self.driver.output(), write))? {
                return Poll::Ready(Ok(false));
            }
            ready!(io.as_mut().poll_flush(cx))?;
            self.unflushed.set(false);
            Poll::Ready(Ok(true))
        });
        flushed.unwrap_or(Poll::Pending)
    }

    /// Compares the output with the high mark, and notes a crossing.
    pub(crate) fn level(&self) -> Level {
        match self.marks.get() {
            Some((high, _)) if self.out_octets() >= high => {
                if !self.high.replace(true) {
                    self.high_due.set(true);
                }
                Level::High
            }
            _ => Level::Normal,
        }
    }

    /// What the next wheel is to do.
    pub(crate) fn owes(&self) -> Owed {
        Owed {
            low: self.high.get() && !self.high_due.get(),
            flush: self.unflushed.get() || self.flush_due.get(),
        }
    }

    /// Begins where another wheel was, and with octets that wait: who waits for the low mark must hear of it, and nobody
    /// need put anything for that.
    pub(crate) fn take_up(&self, owed: Owed) {
        self.high.set(owed.low);
        self.flush_due.set(owed.flush);
        self.level();
    }

    /// Something is to be told that has to do with the output alone.
    pub(crate) fn note_output(&self) {
        self.put_only.set(true);
    }

    /// A flushed event when nothing waits, whatever is written until then.
    pub(crate) fn ask_flush(&self) {
        self.flush_due.set(true);
    }

    pub(crate) fn pause(&self, paused: bool) {
        self.paused.set(paused);
        // A resumed wheel has to read.
        self.put_only.set(false);
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.paused.get()
    }

    /// Nothing can be put any more.
    pub(crate) fn is_output_closed(&self) -> bool {
        self.over.get() || self.sending.get() != Sending::Open
    }

    pub(crate) fn shut_input(&self) {
        if !self.input_shut.replace(true) {
            self.with_io(|io| io.as_mut().close_input());
        }
        self.put_only.set(false);
    }

    /// The task's poll is on the stack.
    pub(crate) fn is_polling(&self) -> bool {
        self.polling.get()
    }

    pub(super) fn is_input_shut(&self) -> bool {
        self.input_shut.get()
    }

    /// No input will be read any more.
    pub(crate) fn is_input_over(&self) -> bool {
        self.over.get() || self.ended.get() || self.input_shut.get() || self.broken.get()
    }

    /// The output has ended, and nothing more will be done about it.
    pub(crate) fn is_output_over(&self) -> bool {
        self.over.get() || matches!(self.sending.get(), Sending::Shut | Sending::Failed)
    }

    /// Ends the output; what was put is written before, or not.
    pub(crate) fn shut_output(&self, flush: bool) {
        let now = self.sending.get();
        let next = match (now, flush) {
            (Sending::Open, true) => Sending::Finishing,
            (Sending::Open | Sending::Finishing, false) => Sending::Shutting,
            _ => now,
        };
        if next == Sending::Shutting {
            self.driver.output().borrow_mut().discard();
        }
        self.sending.set(next);
    }

    /// No event any more, but the output is written and the connection ended in good order.
    pub(crate) fn close(&self, linger: Duration) {
        self.closing.set(Some(linger));
    }

    /// Whether there is a stream that can still be closed in good order.
    pub(crate) fn is_closable(&self) -> bool {
        !self.over.get() && self.sending.get() != Sending::Failed
    }

    /// Changes the input filter; what was pending moves into the new one. The old one is dropped by the caller.
    pub(crate) fn set_parser(&self, next: Box<dyn Parser>) -> Option<impl Sized + use<>> {
        self.broken.set(false);
        self.listens.set(true);
        self.note_reparse();
        match self.parser.take() {
            Some(old) => Some(self.join(old, next)),
            None => {
                self.parser.set(Some(next));
                None
            }
        }
    }

    /// What the input filter leaves to whoever follows on the same stream.
    pub(crate) fn leave(&self) -> (Bytes, Seam) {
        let Some(old) = self.parser.take() else {
            return (Bytes::new(), self.seam.get());
        };
        let (mut old, mut next, mut seam) = (Leaving(old), Stream::new(), self.seam.get());
        seam.switch(&mut old, &mut next);
        (next.take_pending(), seam)
    }

    /// The filter may see records without having got octets.
    pub(crate) fn note_reparse(&self) {
        self.reparse.set(true);
        self.put_only.set(false);
    }

    /// Whether records have an event.
    pub(crate) fn set_listens(&self, listens: bool) {
        self.listens.set(listens);
        self.note_reparse();
    }

    pub(super) fn listens(&self) -> bool {
        self.listens.get()
    }

    /// A splice holds the input back, or lets it go on.
    pub(crate) fn throttle(&self, throttled: bool) {
        if self.throttled.replace(throttled) != throttled && !throttled {
            self.put_only.set(false);
            self.schedule();
        }
    }

    /// How many octets the next read may take.
    pub(crate) fn set_block(&self, octets: usize) {
        self.block
            .set(octets.clamp(1, self.driver.block_size().min(BLOCK_SIZE)));
    }

    pub(super) fn block(&self) -> usize {
        self.block.get()
    }

    /// Lets `next` follow `old`.
    fn join(&self, old: Box<dyn Parser>, next: Box<dyn Parser>) -> Leaving {
        let (mut old, mut next) = (Leaving(old), Entering(next));
        let mut seam = self.seam.get();
        seam.switch(&mut old, &mut next);
        self.seam.set(seam);
        self.parser.set(Some(next.0));
        old
    }

    pub(crate) fn set_formatter(&self, formatter: Box<dyn Formatter>) {
        drop(self.formatter.replace(Some(formatter)));
    }

    /// Uses the input filter, out of its cell. Nothing if the wheel has none, or it is in use up the stack.
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

    /// Uses the output filter, likewise; it is put back also if it panics.
    pub(crate) fn with_formatter<T>(&self, f: impl FnOnce(&mut dyn Formatter) -> T) -> Option<T> {
        struct Lent<'a>(&'a State, Option<Box<dyn Formatter>>);
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
        let closed = self.paused.get() || self.throttled.get() || self.ended.get() || self.input_shut.get();
        !closed && !self.broken.get() && self.listens.get()
    }
}
