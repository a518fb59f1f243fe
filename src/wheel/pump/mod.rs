//! The shared core of ReadWrite and Run: a stream, its filters, the output buffer, and the task that moves the bytes.
//!
//! The wheel's value and its task share a [`PumpState`]. The value sets flags and has the task polled as soon as the current
//! handler returns; except for an explicit flush it does not touch the stream. Neither keeps a borrow while a handler, a filter
//! or a user's drop runs: filters and the stream are taken out of their cells, used, and put back.
//!
//! A turn in the I/O phase is: the methods' requests (watermarks, records of a new filter); a write pass; one read, its
//! records, and a write pass for the output of their handlers. A short read has emptied the socket, so the stream is polled once
//! more, which costs no system call and registers the waker; the result is the block of the next turn. So there is
//! one block per turn, and queued events go in between (driver row D6). A turn that is too long for the kernel's pace
//! pauses between two records, and continues there ([`Resume`]).
//!
//! After a handler that put something, or changed the filter, the task is polled for that alone, and reads nothing.

mod erased;
pub(crate) mod handle;
mod limits;
mod output;
#[cfg(not(target_family = "wasm"))]
mod sockets;
#[cfg(target_family = "wasm")]
#[path = "sockets_elsewhere.rs"]
mod sockets;
mod state;

pub use erased::Input;
pub(crate) use erased::{Formatter, Parser, Record, TypedFormatter, TypedParser, follow};
pub(crate) use handle::Events;
#[cfg(unix)]
pub(crate) use handle::log_unreported;
pub(crate) use limits::Appetite;
pub(crate) use limits::Limits;
pub(crate) use limits::{DEFAULT_MARKS, Settings, check_marks, watermark_settings};
pub(crate) use output::FLUSH_TIMEOUT;
pub use output::Level;
pub(crate) use output::PendingReports;
#[cfg(unix)]
pub(crate) use state::Part;
pub(crate) use state::{Link, PumpState, Setup};

use super::error::IoError;
use crate::bridge::runtime::{Home, cannot_move, explained};
use crate::error::Failure;
use crate::kernel::Core;
use crate::kernel::task::Task;
use handle::{die, emit, emit_high, emit_low, report};
use limits::Watch;
use output::{Closing, Sending, Stall, give_up};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use tokio::io::ReadBuf;

/// The most write passes in one poll: each can be caused by the events of the one before.
const PASSES: usize = 8;

/// Where a poll that paused between two records continues.
#[derive(Clone, Copy)]
enum Resume {
    /// A poll between two events: the records of a new filter.
    Output,
    /// A turn: the records before its read. If they belong to a block read ahead, it was full or not.
    Old(Option<bool>),
    /// A turn: the records of its read, which filled the block or did not.
    New(bool),
}

enum End {
    Eof,
    Error(io::Error),
}

/// The wheel's task.
pub(crate) struct Pump {
    state: Rc<PumpState>,
    /// The filter has a block that was read ahead, which was full or not.
    ahead: Option<bool>,
    resume: Option<Resume>,
    /// The stream had nothing more to read in this poll.
    armed: bool,
    appetite: Appetite,
    /// The end that was met when reading ahead.
    end: Option<End>,
    /// The end was reported. The wheel's other pumps are told once a filter changed at the end has yielded its records.
    ending: bool,
    closing: Option<Closing>,
    /// Runs while the peer takes nothing of an output that is to be closed.
    stall: Option<Stall>,
    /// The limits on the peer, if there are any …
    watch: Option<Box<Watch>>,
    /// … and whether a record was made since they were checked.
    seen: bool,
    /// The runtime with which the stream is registered, if known …
    home: Home,
    /// … and the number of the kernel's change of runtime that it was noted at.
    epoch: Option<u32>,
}

impl Pump {
    pub(crate) fn new(state: Rc<PumpState>, limits: Limits) -> Self {
        Pump {
            watch: Watch::new(limits),
            seen: false,
            state,
            ahead: None,
            resume: None,
            armed: false,
            appetite: Appetite::new(),
            end: None,
            ending: false,
            closing: None,
            stall: None,
            home: Home::here(),
            epoch: None,
        }
    }
}

impl Drop for Pump {
    fn drop(&mut self) {
        self.state.over.set(true);
        let io = self.state.take_io();
        let ended = self.state.ended.get() || self.end.is_some() || self.state.sending.get() == Sending::Failed;
        if let Some(io) = io.filter(|_| !ended) {
            io.read_away();
        }
        let link = self.state.link.take();
        if let Some(link) = link {
            link.drained(&self.state);
        }
    }
}

/// A guard that exists while the task's poll is on the stack.
struct Polling<'a>(&'a PumpState);

impl<'a> Polling<'a> {
    fn enter(state: &'a PumpState) -> Self {
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
        if self.epoch != Some(core.runtime_epoch()) {
            self.follow_runtime(&state, core.runtime_epoch());
        }
        if state.closing.get().is_none() {
            self.armed = false;
            // `None`: a handler has dropped or closed the wheel.
            let _: Option<()> = if core.is_turn() {
                if self.resume.is_none() {
                    state.wants_turn.set(false);
                }
                self.turn(&state, core, cx)
            } else {
                self.output(&state, core, cx)
            };
            if self.resume.is_some() {
                core.pause_turn();
                return Poll::Pending;
            }
            if self.watch.is_some() {
                let _gone: Option<()> = self.look_at_limits(&state, core, cx);
            }
            // A handler of this poll may have changed the filter, for example at the end of the input, or resumed the input.
            if state.wants_turn.get() || state.reparse.get() {
                cx.waker().wake_by_ref();
            }
            let link = state.link.borrow().clone();
            if let Some(link) = link
                && link.settle(&state, core, self.armed)
            {
                cx.waker().wake_by_ref();
            }
        }
        if let Some(linger) = state.closing.get() {
            return self.poll_close(&state, linger, core, cx);
        }
        let sent = matches!(state.sending.get(), Sending::Shut | Sending::Failed);
        if sent && self.has_input_ended(&state) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

impl Pump {
    /// Nothing more comes from the stream, and a filter set at its end has seen all bytes. If the output
    /// is over, too, the wheel keeps nothing alive.
    fn has_input_ended(&self, state: &PumpState) -> bool {
        let looked_at = self.ahead.is_none() && self.resume.is_none() && !self.ending && !state.reparse.get();
        state.is_input_shut() || (state.ended.get() && looked_at)
    }

    /// Reports the limits that are over. `None`: the wheel is gone.
    #[cold]
    fn look_at_limits(&mut self, state: &PumpState, core: &Core, cx: &mut Context<'_>) -> Option<()> {
        loop {
            // A closed wheel has its own limits.
            if !state.base.is_alive() || state.closing.get().is_some() {
                return None;
            }
            let watch = self.watch.as_mut()?;
            watch.note(state, std::mem::take(&mut self.seen));
            match watch.poll(state, cx) {
                Poll::Pending => return Some(()),
                Poll::Ready(error) => report(state, core, error)?,
            }
        }
    }

    /// Another runtime may run the kernel now. A stream that cannot be registered with it fails.
    #[cold]
    fn follow_runtime(&mut self, state: &PumpState, epoch: u32) {
        if !self.home.has_moved() {
            self.epoch = Some(epoch);
            return;
        }
        match state.with_io(|io| io.as_mut().follow_runtime()) {
            Some(Ok(())) => self.epoch = Some(epoch),
            Some(Err(error)) => {
                self.epoch = Some(epoch);
                self.end = Some(End::Error(cannot_move(&error)));
                if !state.is_output_closed() {
                    state.fail_output(cannot_move(&error));
                }
            }
            // In use up the stack: next time.
            None => self.home = Home::default(),
        }
    }

    /// A poll between two events: reports the watermarks, delivers the records of a new filter, and writes.
    ///
    /// `None`: the wheel is gone, stop at once.
    fn output(&mut self, state: &PumpState, core: &Core, cx: &mut Context<'_>) -> Option<()> {
        emit_high(state, core)?;
        let resume = matches!(self.resume, Some(Resume::Output));
        if resume || (self.resume.is_none() && state.reparse.take()) {
            self.records(state, core, Resume::Output)?;
            if self.resume.is_some() {
                return Some(());
            }
        }
        if self.ending {
            self.end_part(state, core)?;
        }
        self.write(state, core, cx)
    }

    /// A turn, or the rest of one. `None`: the wheel is gone, stop at once.
    fn turn(&mut self, state: &PumpState, core: &Core, cx: &mut Context<'_>) -> Option<()> {
        let whole = match self.resume.take() {
            Some(Resume::New(whole)) => {
                self.records(state, core, Resume::New(whole))?;
                Some(whole)
            }
            resume => {
                let (resumed, mut block) = match resume {
                    Some(Resume::Old(block)) => (true, block),
                    other => (other.is_some(), None),
                };
                if !resumed {
                    emit_high(state, core)?;
                }
                let ahead = self.ahead.is_some() && !state.is_paused();
                if resumed || state.reparse.take() || ahead {
                    block = block.or(self.ahead.take());
                    self.records(state, core, Resume::Old(block))?;
                    if self.resume.is_some() {
                        return Some(());
                    }
                }
                if self.ending {
                    self.end_part(state, core)?;
                }
                self.write(state, core, cx)?;
                if self.ahead.is_none()
                    && state.is_reading()
                    && let Some(end) = self.end.take()
                {
                    self.end_input(state, core, end)?;
                    return self.write(state, core, cx);
                }
                match block {
                    // This turn's block was read ahead.
                    Some(_) => block,
                    None => self.read_block(state, core, cx)?,
                }
            }
        };
        let Some(whole) = whole.filter(|_| self.resume.is_none()) else {
            return Some(());
        };
        self.write(state, core, cx)?;
        if self.ahead.is_some() || !state.is_reading() {
            return Some(());
        }
        if whole {
            // There is certainly more; others first.
            cx.waker().wake_by_ref();
            return Some(());
        }
        let block = self.appetite.next(state.block());
        match self.read(state, core, cx, block) {
            Poll::Pending => self.armed = true,
            Poll::Ready(read) => {
                match read {
                    Ok(bytes) => self.ahead = Some(bytes == block),
                    Err(end) => self.end = Some(end),
                }
                cx.waker().wake_by_ref();
            }
        }
        Some(())
    }

    /// The read of a turn, and its records. Returns whether it filled the block; `None` inside if there is nothing more to do.
    fn read_block(&mut self, state: &PumpState, core: &Core, cx: &mut Context<'_>) -> Option<Option<bool>> {
        if self.ahead.is_some() || !state.is_reading() {
            return Some(None);
        }
        let block = self.appetite.next(state.block());
        let Poll::Ready(read) = self.read(state, core, cx, block) else {
            self.armed = true;
            return Some(None);
        };
        match read {
            Ok(bytes) => {
                let whole = bytes == block;
                self.records(state, core, Resume::New(whole))?;
                Some(Some(whole))
            }
            Err(end) => {
                self.end_input(state, core, end)?;
                self.write(state, core, cx)?;
                Some(None)
            }
        }
    }

    /// Reads once, straight into the filter.
    fn read(&mut self, state: &PumpState, core: &Core, cx: &mut Context<'_>, block: usize) -> Poll<Result<usize, End>> {
        core.with_read_buffer(|buffer| {
            let mut buffer = ReadBuf::new(&mut buffer[..block]);
            loop {
                let Some(read) = state.with_io(|io| io.as_mut().poll_read(cx, &mut buffer)) else {
                    return Poll::Pending;
                };
                state.dry.set(read.is_pending());
                match ready!(read) {
                    Ok(()) => break,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Poll::Ready(Err(End::Error(explained(error)))),
                }
            }
            let read = buffer.filled();
            if read.is_empty() {
                return Poll::Ready(Err(End::Eof));
            }
            let mut seam = state.seam.get();
            let bytes = seam.trim(read);
            state.seam.set(seam);
            core.count_step();
            self.appetite.has_read(read.len());
            state.progress.set(true);
            let _ = guarded(state, core, || state.with_parser(|parser| parser.start(bytes)));
            Poll::Ready(Ok(read.len()))
        })
    }

    /// Delivers the records in the filter. If the kernel must yield before their end, `self.resume` says where to continue.
    fn records(&mut self, state: &PumpState, core: &Core, resume: Resume) -> Option<()> {
        self.resume = None;
        let id = state.base.id();
        let mut place = Record::NONE;
        loop {
            if state.is_input_shut() || state.broken.get() || !state.listens() {
                return Some(());
            }
            let next = guarded(state, core, || {
                state.with_parser(|parser| parser.next(id, &mut place)).flatten()
            });
            match next.flatten() {
                None => return Some(()),
                Some(Ok(())) => {
                    state.given.set(true);
                    self.seen = true;
                    self.appetite.has_seen();
                    state.base.deliver_from(core, &mut place)?;
                }
                Some(Err(error)) => {
                    self.seen = true;
                    self.appetite.has_seen();
                    state.broken.set(error.is_fatal());
                    report(state, core, IoError::filter("read", id, error))?;
                    // Errors without an event are work, too.
                    core.count_step();
                }
            }
            if state.acted.take() {
                emit_acted(state, core)?;
            }
            if core.must_yield() {
                self.resume = Some(resume);
                return Some(());
            }
        }
    }

    fn end_input(&mut self, state: &PumpState, core: &Core, end: End) -> Option<()> {
        state.ended.set(true);
        let link = state.link.borrow().clone();
        if let Some(link) = link {
            link.ended(state);
        }
        let error = match end {
            End::Eof => IoError::eof(state.base.id()),
            End::Error(error) => IoError::io("read", state.base.id(), error),
        };
        report(state, core, error)?;
        self.ending = state.part.get().is_some();
        self.end_part(state, core)
    }

    /// Tells the wheel's other pumps of the end of the input, unless a filter set at the end still has bytes of the
    /// old one to parse.
    fn end_part(&mut self, state: &PumpState, core: &Core) -> Option<()> {
        if state.reparse.get() || self.ahead.is_some() || self.resume.is_some() {
            return Some(());
        }
        if std::mem::take(&mut self.ending)
            && let Some(part) = state.part.get()
        {
            state.shut_input();
            return part.ended(core);
        }
        Some(())
    }

    /// Writes the output, reports it, and writes the output of the handlers that this calls.
    fn write(&mut self, state: &PumpState, core: &Core, cx: &mut Context<'_>) -> Option<()> {
        for _ in 0..PASSES {
            if let Some(error) = state.write_error.take() {
                return report(state, core, IoError::io("write", state.base.id(), error));
            }
            match state.sending.get() {
                Sending::Shut | Sending::Failed => return Some(()),
                Sending::Shutting => {
                    let shut = state.with_io(|io| {
                        let shut = ready!(io.as_mut().poll_shutdown(cx));
                        io.as_mut().close_output();
                        Poll::Ready(shut)
                    });
                    if let Some(Poll::Ready(shut)) = shut {
                        state.sending.set(Sending::Shut);
                        drained(state);
                        if let Err(error) = shut {
                            report_shutdown(state, error);
                        }
                    }
                    return Some(());
                }
                Sending::Open | Sending::Finishing => {}
            }
            let waiting = state.buffered_bytes() > 0;
            if !waiting && !state.unflushed.get() && !state.flush_due.get() {
                if state.sending.get() == Sending::Open {
                    return Some(());
                }
                state.sending.set(Sending::Shutting);
                continue;
            }
            let written = state.flush(cx);
            if let Poll::Ready(Err(error)) = written {
                state.sending.set(Sending::Failed);
                drained(state);
                return report(state, core, IoError::io("write", state.base.id(), error));
            }
            drained(state);
            emit_low(state, core)?;
            match written {
                Poll::Ready(Ok(true)) => {}
                Poll::Ready(_) => break,
                Poll::Pending if state.finishing.get() && self.poll_stall(state, cx).is_ready() => {
                    return report(state, core, give_up(state));
                }
                Poll::Pending => return Some(()),
            }
            if state.buffered_bytes() == 0 {
                state.flush_due.set(false);
                emit(state, core, |events| &events.flushed)?;
            }
            emit_high(state, core)?;
        }
        cx.waker().wake_by_ref();
        Some(())
    }
}

/// Sends the events of what the last handler did with the wheel's methods, ahead of the next record: an error of a write, marks
/// that were crossed, and a flush after which nothing was put.
#[cold]
fn emit_acted(state: &PumpState, core: &Core) -> Option<()> {
    if let Some(error) = state.write_error.take() {
        drained(state);
        return report(state, core, IoError::io("write", state.base.id(), error));
    }
    emit_low(state, core)?;
    let open = matches!(state.sending.get(), Sending::Open | Sending::Finishing);
    if open && state.flush_due.get() && !state.unflushed.get() && state.buffered_bytes() == 0 {
        state.flush_due.set(false);
        drained(state);
        emit(state, core, |events| &events.flushed)?;
    }
    emit_high(state, core)
}

/// Tells a splice that the output's end did not reach the peer. Without a splice there is nothing to report: the peer is gone.
fn report_shutdown(state: &PumpState, error: io::Error) {
    // A peer that has ended its side may have closed its socket, which some systems report here.
    let gone = state.ended.get() && error.kind() == io::ErrorKind::NotConnected;
    let link = state.link.borrow().clone();
    if let Some(link) = link
        && !gone
    {
        link.failed(IoError::io("shutdown", state.base.id(), error));
    }
}

/// Tells a splice the state of the output.
fn drained(state: &PumpState) {
    let link = state.link.borrow().clone();
    if let Some(link) = link {
        link.drained(state);
    }
}

/// Uses the input filter. A panic of it is a `DIE` of the session, like a handler's, and the end of the input;
/// the output goes on.
fn guarded<T>(state: &PumpState, core: &Core, f: impl FnOnce() -> Option<T>) -> Option<Option<T>> {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(result) => Some(result),
        Err(payload) => {
            state.broken.set(true);
            die(state, core, &Failure::from_panic(payload));
            None
        }
    }
}
