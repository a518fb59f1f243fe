//! What ReadWrite and Run share: a stream, its filters, the octets that wait, and the task that moves them.
//!
//! The wheel's value and its task share a [`State`]. The task alone has the stream; the value only sets flags and has
//! the task polled as soon as the current handler returns. Neither keeps a borrow while a handler, a filter or a drop of
//! the user's runs: filters are taken out of their cells, used, and put back.
//!
//! One poll is: what the methods asked for (marks, records of a new filter); a write pass; one read, its records, and a
//! write pass for what their handlers put. A short read has emptied the socket, so the stream is asked once more, which
//! costs no system call and registers the waker; what comes of that waits for the next poll. So there is one block per
//! poll, and the queue's events go in between (driver row D6).

use super::base::Base;
use super::error::{IoError, PutError, PutErrorKind};
use crate::arg::AnyArg;
use crate::driver::Output;
use crate::error::{Failure, drop_quietly};
use crate::event::Posts;
use crate::filter::{Filter, FilterError, Seam};
use crate::id::{TaskId, WheelId};
use crate::kernel::task::Task;
use crate::kernel::{Core, READ_BUFFER};
use crate::name::{HeldName, Name, NameIdx};
use bytes::{Bytes, BytesMut};
use std::any::{Any, type_name};
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// Records of one read that are delivered in one go; the rest waits until the queue has had its turn.
const RECORDS: usize = 256;

/// Write passes in one poll: each can be caused by the events of the one before.
const PASSES: usize = 8;

/// Octets that a closing wheel takes from its peer at most before it gives up being polite.
const DRAINED: usize = 16 * 1024 * 1024;

/// The argument of an input event: a record, and the wheel that read it.
///
/// ```
/// use poe::{Event, States, wheel::Input};
/// const LINE: Event<Input<String>> = Event::new("line");
/// let states = States::<Vec<String>>::new().on(LINE, |cx, input| cx.heap.push(input.record));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[doc(alias = "InputEvent")]
pub struct Input<T> {
    /// What the filter made of the octets.
    pub record: T,
    /// The wheel's ID, for sessions that have several.
    pub wheel: WheelId,
}

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

/// Whatever can be read from and written to.
pub(crate) trait Duplex: AsyncRead + AsyncWrite {}

impl<T: AsyncRead + AsyncWrite> Duplex for T {}

pub(crate) type BoxedDuplex = Pin<Box<dyn Duplex>>;

/// An input filter whose type is forgotten, with the event that takes its records.
pub(crate) trait Parser {
    fn start(&mut self, octets: &[u8]);
    fn next(&mut self, wheel: WheelId) -> Result<Option<AnyArg>, FilterError>;
    fn event(&self) -> NameIdx;
    fn pending(&self) -> &[u8];
    fn take_pending(&mut self) -> Bytes;
    fn owed(&self) -> Option<u8>;
}

pub(crate) struct TypedParser<F: Filter> {
    filter: F,
    event: HeldName,
    /// Makes the event's argument of a record.
    wrap: fn(F::Input, WheelId) -> AnyArg,
}

impl<F: Filter> TypedParser<F> {
    pub(crate) fn new(filter: F, event: impl Posts<Input<F::Input>>) -> Self {
        TypedParser {
            filter,
            event: HeldName::new(event.key()),
            wrap: |record, wheel| AnyArg::new(Input { record, wheel }),
        }
    }

    /// One whose event takes the bare record: for sessions with one wheel.
    pub(crate) fn bare(filter: F, event: impl Posts<F::Input>) -> Self {
        TypedParser {
            filter,
            event: HeldName::new(event.key()),
            wrap: |record, _| AnyArg::new(record),
        }
    }
}

impl<F: Filter> Parser for TypedParser<F> {
    fn start(&mut self, octets: &[u8]) {
        self.filter.get_one_start(octets);
    }
    fn next(&mut self, wheel: WheelId) -> Result<Option<AnyArg>, FilterError> {
        let record = self.filter.get_one()?;
        Ok(record.map(|record| (self.wrap)(record, wheel)))
    }
    fn event(&self) -> NameIdx {
        self.event.idx()
    }
    fn pending(&self) -> &[u8] {
        self.filter.get_pending()
    }
    fn take_pending(&mut self) -> Bytes {
        self.filter.take_pending()
    }
    fn owed(&self) -> Option<u8> {
        self.filter.owed()
    }
}

/// The old side of a switch, as [`Seam`] wants it.
struct Leaving(Box<dyn Parser>);

impl Filter for Leaving {
    type Input = ();
    type Output = ();
    fn get_one_start(&mut self, octets: &[u8]) {
        self.0.start(octets);
    }
    fn get_one(&mut self) -> Result<Option<()>, FilterError> {
        Ok(None)
    }
    fn put(&mut self, (): (), _: &mut BytesMut) -> Result<(), FilterError> {
        Ok(())
    }
    fn get_pending(&self) -> &[u8] {
        self.0.pending()
    }
    fn take_pending(&mut self) -> Bytes {
        self.0.take_pending()
    }
    fn owed(&self) -> Option<u8> {
        self.0.owed()
    }
    fn fresh(&self) -> Self {
        unreachable!("the old side of a switch is not copied")
    }
}

/// The new side of it.
struct Entering(Box<dyn Parser>);

impl Filter for Entering {
    type Input = ();
    type Output = ();
    fn get_one_start(&mut self, octets: &[u8]) {
        self.0.start(octets);
    }
    fn get_one(&mut self) -> Result<Option<()>, FilterError> {
        Ok(None)
    }
    fn put(&mut self, (): (), _: &mut BytesMut) -> Result<(), FilterError> {
        Ok(())
    }
    fn get_pending(&self) -> &[u8] {
        self.0.pending()
    }
    fn take_pending(&mut self) -> Bytes {
        self.0.take_pending()
    }
    fn fresh(&self) -> Self {
        unreachable!("the new side of a switch is not copied")
    }
}

/// An output filter whose type is forgotten.
pub(crate) trait Formatter {
    /// Takes the record out of an `Option` of its type; leaves it there if it is of another.
    fn put(&mut self, record: &mut dyn Any, out: &mut BytesMut) -> Result<(), PutErrorKind>;
}

pub(crate) struct TypedFormatter<F>(pub(crate) F);

impl<F: Filter> Formatter for TypedFormatter<F> {
    fn put(&mut self, record: &mut dyn Any, out: &mut BytesMut) -> Result<(), PutErrorKind> {
        let given = match record.downcast_mut::<Option<F::Output>>() {
            Some(slot) => slot.take(),
            None => converted(record),
        };
        match given {
            Some(record) => self.0.put(record, out).map_err(PutErrorKind::Filter),
            None => Err(PutErrorKind::WrongType {
                takes: type_name::<F::Output>(),
                given: "",
            }),
        }
    }
}

/// Literals and owned text or octets for filters that take `String` or `Bytes`: what one would write `into()` for.
fn converted<O: 'static>(record: &mut dyn Any) -> Option<O> {
    fn same<T: 'static, O: 'static>(value: T) -> Option<O> {
        let mut slot = Some(value);
        let slot: &mut dyn Any = &mut slot;
        slot.downcast_mut::<Option<O>>()?.take()
    }
    let takes = std::any::TypeId::of::<O>();
    if takes == std::any::TypeId::of::<String>() {
        let text = record.downcast_mut::<Option<&'static str>>()?.take()?;
        return same(text.to_owned());
    }
    if takes == std::any::TypeId::of::<Bytes>() {
        let octets = if let Some(slot) = record.downcast_mut::<Option<&'static str>>() {
            Bytes::from_static(slot.take()?.as_bytes())
        } else if let Some(slot) = record.downcast_mut::<Option<String>>() {
            Bytes::from(slot.take()?)
        } else {
            Bytes::from(record.downcast_mut::<Option<Vec<u8>>>()?.take()?)
        };
        return same(octets);
    }
    None
}

/// The names of a wheel's events, but for the input's, which goes with the filter.
#[derive(Default)]
pub(crate) struct Events {
    pub(crate) error: Option<HeldName>,
    pub(crate) flushed: Option<HeldName>,
    pub(crate) high: Option<HeldName>,
    pub(crate) low: Option<HeldName>,
}

/// Where the output stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sending {
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
    pub(crate) base: Base,
    /// Empty while the filter is in use, and for wheels that do not read.
    parser: Cell<Option<Box<dyn Parser>>>,
    formatter: Cell<Option<Box<dyn Formatter>>>,
    seam: Cell<Seam>,
    pub(crate) output: RefCell<Output>,
    pub(crate) events: RefCell<Events>,
    /// High and low, if the wheel has marks.
    pub(crate) marks: Cell<Option<(usize, usize)>>,
    /// The output has reached the high mark and not yet fallen to the low one.
    high: Cell<bool>,
    /// … and nobody has been told of the former.
    high_due: Cell<bool>,
    paused: Cell<bool>,
    /// The end of the input, or an error, was reported.
    ended: Cell<bool>,
    /// By `shutdown_input`.
    input_shut: Cell<bool>,
    /// The filter can go no further.
    broken: Cell<bool>,
    sending: Cell<Sending>,
    /// The task is gone, and the stream with it.
    over: Cell<bool>,
    /// Set by `close`: how long to be polite.
    closing: Cell<Option<Duration>>,
    /// The task's poll is on the stack, so that it need not be scheduled.
    polling: Cell<bool>,
    /// The task was scheduled for its output only.
    put_only: Cell<bool>,
    /// A new filter may see records in what the old one left.
    reparse: Cell<bool>,
    /// An explicit flush: reported even if there is nothing to write.
    flush_asked: Cell<bool>,
}

impl State {
    pub(crate) fn new(
        base: Base,
        parser: Option<Box<dyn Parser>>,
        formatter: Box<dyn Formatter>,
        events: Events,
        marks: Option<(usize, usize)>,
    ) -> Rc<Self> {
        Rc::new(State {
            base,
            parser: Cell::new(parser),
            formatter: Cell::new(Some(formatter)),
            seam: Cell::new(Seam::new()),
            output: RefCell::default(),
            events: RefCell::new(events),
            marks: Cell::new(marks),
            high: Cell::new(false),
            high_due: Cell::new(false),
            paused: Cell::new(false),
            ended: Cell::new(false),
            input_shut: Cell::new(false),
            broken: Cell::new(false),
            sending: Cell::new(Sending::Open),
            over: Cell::new(false),
            closing: Cell::new(None),
            polling: Cell::new(false),
            put_only: Cell::new(false),
            reparse: Cell::new(false),
            flush_asked: Cell::new(false),
        })
    }

    /// Has the task polled when the current handler returns.
    pub(crate) fn schedule(&self, task: Option<TaskId>) {
        if !self.polling.get() && !self.over.get() {
            self.base.schedule(task);
        }
    }

    pub(crate) fn put<T: 'static>(&self, record: T) -> Result<Level, PutError<T>> {
        if self.is_output_closed() {
            return Err(PutError::new(PutErrorKind::Closed, Some(record)));
        }
        let Some(mut formatter) = self.formatter.take() else {
            return Err(PutError::new(PutErrorKind::Busy, Some(record)));
        };
        let mut record = Some(record);
        let result = Output::append(&self.output, |out| formatter.put(&mut record, out));
        let replaced = self.formatter.take();
        let used = match replaced {
            Some(newer) => {
                self.formatter.set(Some(newer));
                Some(formatter)
            }
            None => {
                self.formatter.set(Some(formatter));
                None
            }
        };
        drop(used);
        if let Err(kind) = result {
            let kind = match kind {
                PutErrorKind::WrongType { takes, .. } => PutErrorKind::WrongType {
                    takes,
                    given: type_name::<T>(),
                },
                other => other,
            };
            return Err(PutError::new(kind, record));
        }
        Ok(self.level())
    }

    /// Compares the output with the high mark, and notes a crossing.
    pub(crate) fn level(&self) -> Level {
        match self.marks.get() {
            Some((high, _)) if self.output.borrow().octets() >= high => {
                if !self.high.replace(true) {
                    self.high_due.set(true);
                }
                Level::High
            }
            _ => Level::Normal,
        }
    }

    pub(crate) fn note_put(&self) {
        self.put_only.set(true);
    }

    pub(crate) fn ask_flush(&self) {
        self.put_only.set(true);
        self.flush_asked.set(true);
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
        self.input_shut.set(true);
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
            self.output.borrow_mut().discard();
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
        self.reparse.set(true);
        let old = self.parser.take();
        Some(self.join(old?, next))
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

    /// Whether a filter waits for input that may come.
    fn is_reading(&self) -> bool {
        let closed = self.paused.get() || self.ended.get() || self.input_shut.get() || self.broken.get();
        if closed {
            return false;
        }
        let parser = self.parser.take();
        let there = parser.is_some();
        self.parser.set(parser);
        there
    }
}

/// Octets in the filter that nobody has looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Backlog {
    None,
    /// A block of which some records were delivered.
    Begun,
    /// A whole block, read ahead.
    Ahead,
}

enum End {
    Eof,
    Error(io::Error),
}

/// The wheel's task.
pub(crate) struct Pump {
    state: Rc<State>,
    io: BoxedDuplex,
    /// The stream has the waker for input.
    armed: bool,
    /// Something was written that the stream may still hold.
    unflushed: bool,
    backlog: Backlog,
    /// The end that was met when reading ahead.
    end: Option<End>,
    closing: Option<Closing>,
}

/// A wheel that is being closed in good order.
struct Closing {
    linger: Duration,
    timer: Option<Pin<Box<Sleep>>>,
    drained: usize,
    /// The stream's output is shut down.
    shut: bool,
}

impl Pump {
    pub(crate) fn new(state: Rc<State>, io: BoxedDuplex) -> Self {
        Pump {
            state,
            io,
            armed: false,
            unflushed: false,
            backlog: Backlog::None,
            end: None,
            closing: None,
        }
    }
}

impl Drop for Pump {
    fn drop(&mut self) {
        self.state.over.set(true);
    }
}

/// While the task's poll is on the stack.
struct Polling<'a>(&'a State);

impl<'a> Polling<'a> {
    fn enter(state: &'a State) -> Self {
        state.polling.set(true);
        Polling(state)
    }
}

impl Drop for Polling<'_> {
    fn drop(&mut self) {
        self.0.polling.set(false);
    }
}

impl Task for Pump {
    fn poll(&mut self, core: &Core, cx: &mut Context<'_>) -> Poll<()> {
        let state = self.state.clone();
        let _polling = Polling::enter(&state);
        if state.closing.get().is_none() {
            // Nothing: the wheel was dropped or closed by a handler.
            let _: Option<()> = self.run(&state, core, cx);
            state.put_only.set(false);
        }
        if let Some(linger) = state.closing.get() {
            return self.poll_close(&state, linger, core, cx);
        }
        let sent = state.sending.get() == Sending::Shut;
        if sent && state.input_shut.get() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

impl Pump {
    /// One poll's work. `None`: the wheel is gone, stop at once.
    fn run(&mut self, state: &State, core: &Core, cx: &mut Context<'_>) -> Option<()> {
        let put_only = state.put_only.take();
        if !put_only {
            self.armed = false;
        }
        tell_high(state, core)?;
        let ahead = self.backlog == Backlog::Ahead && !state.paused.get();
        if state.reparse.take() || ahead || self.backlog == Backlog::Begun {
            self.records(state, core, cx)?;
        }
        self.write(state, core, cx)?;
        if self.backlog == Backlog::None
            && state.is_reading()
            && let Some(end) = self.end.take()
        {
            self.end_input(state, core, end)?;
            return self.write(state, core, cx);
        }
        if self.backlog != Backlog::None || (put_only && self.armed) || !state.is_reading() {
            return Some(());
        }
        let Poll::Ready(read) = self.read(state, core, cx) else {
            self.armed = true;
            return Some(());
        };
        let octets = match read {
            Ok(octets) => octets,
            Err(end) => {
                self.end_input(state, core, end)?;
                return self.write(state, core, cx);
            }
        };
        self.records(state, core, cx)?;
        self.write(state, core, cx)?;
        if self.backlog != Backlog::None || !state.is_reading() {
            return Some(());
        }
        if octets == READ_BUFFER {
            // There is certainly more; others first.
            cx.waker().wake_by_ref();
            return Some(());
        }
        match self.read(state, core, cx) {
            Poll::Pending => self.armed = true,
            Poll::Ready(read) => {
                match read {
                    Ok(_) => self.backlog = Backlog::Ahead,
                    Err(end) => self.end = Some(end),
                }
                cx.waker().wake_by_ref();
            }
        }
        Some(())
    }

    /// Reads once, straight into the filter.
    fn read(&mut self, state: &State, core: &Core, cx: &mut Context<'_>) -> Poll<Result<usize, End>> {
        core.with_read_buffer(|buffer| {
            let mut buffer = ReadBuf::new(buffer);
            loop {
                match ready!(self.io.as_mut().poll_read(cx, &mut buffer)) {
                    Ok(()) => break,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Poll::Ready(Err(End::Error(error))),
                }
            }
            let read = buffer.filled();
            if read.is_empty() {
                return Poll::Ready(Err(End::Eof));
            }
            let mut seam = state.seam.get();
            let octets = seam.trim(read);
            state.seam.set(seam);
            state.with_parser(|parser| parser.start(octets));
            Poll::Ready(Ok(read.len()))
        })
    }

    /// Delivers the records that the filter sees.
    fn records(&mut self, state: &State, core: &Core, cx: &mut Context<'_>) -> Option<()> {
        self.backlog = Backlog::None;
        for _ in 0..RECORDS {
            if state.input_shut.get() || state.broken.get() {
                return Some(());
            }
            let next = state.with_parser(|parser| (parser.event(), parser.next(state.base.id())));
            match next {
                None | Some((_, Ok(None))) => return Some(()),
                Some((event, Ok(Some(arg)))) => deliver(state, core, event, arg)?,
                Some((_, Err(error))) => {
                    state.broken.set(error.is_fatal());
                    report(state, core, IoError::filter("read", state.base.id(), error))?;
                }
            }
            tell_high(state, core)?;
        }
        self.backlog = Backlog::Begun;
        cx.waker().wake_by_ref();
        Some(())
    }

    fn end_input(&mut self, state: &State, core: &Core, end: End) -> Option<()> {
        state.ended.set(true);
        let error = match end {
            End::Eof => IoError::eof(state.base.id()),
            End::Error(error) => IoError::io("read", state.base.id(), error),
        };
        report(state, core, error)
    }

    /// Writes what waits, tells of it, and writes what was put when it was told.
    fn write(&mut self, state: &State, core: &Core, cx: &mut Context<'_>) -> Option<()> {
        for _ in 0..PASSES {
            match state.sending.get() {
                Sending::Shut | Sending::Failed => return Some(()),
                Sending::Shutting => {
                    if self.io.as_mut().poll_shutdown(cx).is_ready() {
                        // An error here means that there is no peer left to tell.
                        state.sending.set(Sending::Shut);
                    }
                    return Some(());
                }
                Sending::Open | Sending::Finishing => {}
            }
            let waiting = state.output.borrow().octets() > 0;
            if !waiting && !self.unflushed && !state.flush_asked.get() {
                if state.sending.get() == Sending::Open {
                    return Some(());
                }
                state.sending.set(Sending::Shutting);
                continue;
            }
            let written = self.flush(state, cx);
            if let Poll::Ready(Err(error)) = written {
                state.sending.set(Sending::Failed);
                return report(state, core, IoError::io("write", state.base.id(), error));
            }
            tell_low(state, core)?;
            match written {
                Poll::Ready(Ok(true)) => {}
                Poll::Ready(_) => break,
                Poll::Pending => return Some(()),
            }
            if state.output.borrow().octets() == 0 {
                state.flush_asked.set(false);
                tell(state, core, |events| &events.flushed)?;
            }
            tell_high(state, core)?;
        }
        cx.waker().wake_by_ref();
        Some(())
    }

    /// Writes until everything is in the system's hands, or it would block.
    fn flush(&mut self, state: &State, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let io = &mut self.io;
        self.unflushed = true;
        if !ready!(Output::flush(&state.output, |octets| io
            .as_mut()
            .poll_write(cx, octets)))?
        {
            return Poll::Ready(Ok(false));
        }
        ready!(io.as_mut().poll_flush(cx))?;
        self.unflushed = false;
        Poll::Ready(Ok(true))
    }

    /// Writes the rest, says goodbye, and reads what the peer still had to say: closing a socket with unread input
    /// makes the system reset it, and the peer may lose what was written before.
    fn poll_close(&mut self, state: &State, linger: Duration, core: &Core, cx: &mut Context<'_>) -> Poll<()> {
        let mut closing = self.closing.take().unwrap_or(Closing {
            linger,
            timer: None,
            drained: 0,
            shut: false,
        });
        let result = self.close_step(state, &mut closing, core, cx);
        self.closing = Some(closing);
        result
    }

    fn close_step(&mut self, state: &State, closing: &mut Closing, core: &Core, cx: &mut Context<'_>) -> Poll<()> {
        if !closing.shut {
            if !matches!(state.sending.get(), Sending::Shut | Sending::Failed) {
                match ready!(self.flush(state, cx)) {
                    Ok(true) => {}
                    Ok(false) => {
                        cx.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                    Err(_) => return Poll::Ready(()),
                }
                if ready!(self.io.as_mut().poll_shutdown(cx)).is_err() {
                    return Poll::Ready(());
                }
            }
            closing.shut = true;
        }
        if state.ended.get() || self.end.is_some() || closing.linger.is_zero() {
            return Poll::Ready(());
        }
        for _ in 0..PASSES {
            let read = core.with_read_buffer(|buffer| {
                let mut buffer = ReadBuf::new(buffer);
                let read = ready!(self.io.as_mut().poll_read(cx, &mut buffer));
                Poll::Ready(read.map_or(0, |()| buffer.filled().len()))
            });
            match read {
                Poll::Ready(0) => return Poll::Ready(()),
                Poll::Ready(octets) => closing.drained += octets,
                // Only a peer that is still sending could be hurt; one that is silent need not be waited for.
                Poll::Pending if closing.drained == 0 => return Poll::Ready(()),
                Poll::Pending => {
                    let linger = closing.linger;
                    let timer = closing
                        .timer
                        .get_or_insert_with(|| Box::pin(tokio::time::sleep(linger)));
                    return timer.as_mut().poll(cx);
                }
            }
            if closing.drained > DRAINED {
                return Poll::Ready(());
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// Dispatches an event to the wheel's session. `None`: the wheel is gone.
fn deliver(state: &State, core: &Core, event: NameIdx, arg: AnyArg) -> Option<()> {
    state.base.deliver(core, event, arg)
}

/// Dispatches an event that carries the wheel's ID, if the wheel has it.
fn tell(state: &State, core: &Core, which: impl FnOnce(&Events) -> &Option<HeldName>) -> Option<()> {
    let event = which(&state.events.borrow()).as_ref().map(HeldName::idx);
    match event {
        Some(event) => deliver(state, core, event, AnyArg::new(state.base.id())),
        None => Some(()),
    }
}

fn tell_high(state: &State, core: &Core) -> Option<()> {
    if state.high_due.take() {
        tell(state, core, |events| &events.high)?;
    }
    Some(())
}

fn tell_low(state: &State, core: &Core) -> Option<()> {
    if let Some((_, low)) = state.marks.get()
        && state.high.get()
        && state.output.borrow().octets() <= low
    {
        state.high.set(false);
        tell(state, core, |events| &events.low)?;
    }
    Some(())
}

/// Dispatches an error event. Without one, an error of the filter is a `DIE` of the session; others are silent.
fn report(state: &State, core: &Core, error: IoError) -> Option<()> {
    let event = state.events.borrow().error.as_ref().map(HeldName::idx);
    if let Some(event) = event {
        return deliver(state, core, event, AnyArg::new(error));
    }
    if error.as_filter().is_some() {
        let what = Name::from(&*format!("ReadWrite {}", state.base.id()));
        core.raise_for_task(state.base.owner(), what, &Failure::from(error), state.base.place());
    } else {
        drop_quietly(error);
    }
    state.base.is_alive().then_some(())
}
