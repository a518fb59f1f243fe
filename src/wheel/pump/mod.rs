//! What ReadWrite and Run share: a stream, its filters, the bytes that wait, and the task that moves them.
//!
//! The wheel's value and its task share a [`State`]. The value sets flags and has the task polled as soon as the current
//! handler returns; but for an explicit flush it leaves the stream alone. Neither keeps a borrow while a handler, a filter
//! or a drop of the user's runs: filters and the stream are taken out of their cells, used, and put back.
//!
//! A turn in the I/O phase is: what the methods asked for (marks, records of a new filter); a write pass; one read, its
//! records, and a write pass for what their handlers put. A short read has emptied the socket, so the stream is asked once
//! more, which costs no system call and registers the waker; what comes of that is the block of the next turn. So there is
//! one block per turn, and the queue's events go in between (driver row D6). A turn that is too long for the kernel's pace
//! pauses between two records, and goes on there ([`Cut`]).
//!
//! After a handler that put something, or changed the filter, the task is polled for that alone, and reads nothing.

mod appetite;
mod closing;
mod erased;
pub(crate) mod handle;
mod output;
mod settings;
mod state;
mod tell;

pub(crate) use appetite::Appetite;
pub(crate) use closing::FLUSH_TIMEOUT;
pub use erased::Input;
pub(crate) use erased::{Formatter, Parser, Record, TypedFormatter, TypedParser, follow};
pub use output::Level;
pub(crate) use output::Owed;
pub(crate) use settings::{Settings, check_marks, watermark_settings};
#[cfg(unix)]
pub(crate) use state::Part;
pub(crate) use state::{Link, Setup, State};
pub(crate) use tell::Events;
#[cfg(unix)]
pub(crate) use tell::log_unreported;

use super::error::IoError;
use crate::bridge::runtime::{Home, cannot_move, explained};
use crate::error::Failure;
use crate::kernel::Core;
use crate::kernel::task::Task;
use closing::{Closing, Stall, give_up};
use output::Sending;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use tell::{die, report, tell, tell_high, tell_low};
use tokio::io::ReadBuf;

/// Write passes in one poll: each can be caused by the events of the one before.
const PASSES: usize = 8;

/// Where a poll that paused between two records goes on.
#[derive(Clone, Copy)]
enum Cut {
    /// A poll between two events: the records that a new filter sees.
    Output,
    /// A turn: the records that were there before its read. If they are those of a block read ahead, it was a whole one or not.
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
    state: Rc<State>,
    /// The filter has a block that was read ahead: a whole one, or not.
    ahead: Option<bool>,
    cut: Option<Cut>,
    /// The stream had nothing more to read in this poll.
    armed: bool,
    appetite: Appetite,
    /// The end that was met when reading ahead.
    end: Option<End>,
    /// The end was told, and the wheel's other pumps are told of it once a filter changed at the end has given its records.
    ending: bool,
    closing: Option<Closing>,
    /// Runs while an output that is to be closed stands still.
    stall: Option<Stall>,
    /// Where the stream is registered, as far as this is known …
    home: Home,
    /// … and as of which change of the kernel's runtime.
    epoch: Option<u32>,
}

impl Pump {
    pub(crate) fn new(state: Rc<State>) -> Self {
        Pump {
            state,
            ahead: None,
            cut: None,
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
        drop(self.state.take_io());
        let link = self.state.link.take();
        if let Some(link) = link {
            link.drained(&self.state);
        }
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
        if self.epoch != Some(core.runtime_epoch()) {
            self.follow_runtime(&state, core.runtime_epoch());
        }
        if state.closing.get().is_none() {
            self.armed = false;
            // Nothing: the wheel was dropped or closed by a handler.
            let _: Option<()> = if core.is_turn() {
                if self.cut.is_none() {
                    state.wants_turn.set(false);
                }
                self.turn(&state, core, cx)
            } else {
                self.output(&state, core, cx)
            };
            if self.cut.is_some() {
                core.pause_turn();
                return Poll::Pending;
            }
            // A handler of this poll may have changed the filter, at the end of the input, say, or resumed the input.
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
    /// Nothing more comes from the stream, and what a filter set at its end has to look at has been looked at. With an output
    /// that is over, too, the wheel keeps nothing alive.
    fn has_input_ended(&self, state: &State) -> bool {
        let looked_at = self.ahead.is_none() && self.cut.is_none() && !self.ending && !state.reparse.get();
        state.is_input_shut() || (state.ended.get() && looked_at)
    }

    /// Another runtime may run the kernel now. A stream that cannot be registered with it fails.
    #[cold]
    fn follow_runtime(&mut self, state: &State, epoch: u32) {
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

    /// A poll between two events: tells of the marks, delivers what a new filter sees, and writes. `None`: the wheel is gone,
    /// stop at once.
    fn output(&mut self, state: &State, core: &Core, cx: &mut Context<'_>) -> Option<()> {
        tell_high(state, core)?;
        let cut = matches!(self.cut, Some(Cut::Output));
        if cut || (self.cut.is_none() && state.reparse.take()) {
            self.records(state, core, Cut::Output)?;
            if self.cut.is_some() {
                return Some(());
            }
        }
        if self.ending {
            self.end_part(state, core)?;
        }
        self.write(state, core, cx)
    }

    /// A turn, or the rest of one. `None`: the wheel is gone, stop at once.
    fn turn(&mut self, state: &State, core: &Core, cx: &mut Context<'_>) -> Option<()> {
        let whole = match self.cut.take() {
            Some(Cut::New(whole)) => {
                self.records(state, core, Cut::New(whole))?;
                Some(whole)
            }
            cut => {
                let (resumed, mut block) = match cut {
                    Some(Cut::Old(block)) => (true, block),
                    other => (other.is_some(), None),
                };
                if !resumed {
                    tell_high(state, core)?;
                }
                let ahead = self.ahead.is_some() && !state.is_paused();
                if resumed || state.reparse.take() || ahead {
                    block = block.or(self.ahead.take());
                    self.records(state, core, Cut::Old(block))?;
                    if self.cut.is_some() {
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
        let Some(whole) = whole.filter(|_| self.cut.is_none()) else {
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

    /// The read of a turn, and its records. Gives whether it filled the block; nothing if there is nothing more to do.
    fn read_block(&mut self, state: &State, core: &Core, cx: &mut Context<'_>) -> Option<Option<bool>> {
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
                self.records(state, core, Cut::New(whole))?;
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
    fn read(&mut self, state: &State, core: &Core, cx: &mut Context<'_>, block: usize) -> Poll<Result<usize, End>> {
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
            let _ = guarded(state, core, || state.with_parser(|parser| parser.start(bytes)));
            Poll::Ready(Ok(read.len()))
        })
    }

    /// Delivers the records that the filter sees. If the kernel must yield before their end, `self.cut` says where to go on.
    fn records(&mut self, state: &State, core: &Core, cut: Cut) -> Option<()> {
        self.cut = None;
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
                    self.appetite.has_seen();
                    state.base.deliver_from(core, &mut place)?;
                }
                Some(Err(error)) => {
                    self.appetite.has_seen();
                    state.broken.set(error.is_fatal());
                    report(state, core, IoError::filter("read", id, error))?;
                    // Errors that no event tells of are work, too.
                    core.count_step();
                }
            }
            tell_high(state, core)?;
            if core.must_yield() {
                self.cut = Some(cut);
                return Some(());
            }
        }
    }

    fn end_input(&mut self, state: &State, core: &Core, end: End) -> Option<()> {
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

    /// Tells the wheel's other pumps of the end of the input, unless a filter set at the end still has to look at what the
    /// old one held.
    fn end_part(&mut self, state: &State, core: &Core) -> Option<()> {
        if state.reparse.get() || self.ahead.is_some() || self.cut.is_some() {
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

    /// Writes what waits, tells of it, and writes what was put when it was told.
    fn write(&mut self, state: &State, core: &Core, cx: &mut Context<'_>) -> Option<()> {
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
            tell_low(state, core)?;
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
                tell(state, core, |events| &events.flushed)?;
            }
            tell_high(state, core)?;
        }
        cx.waker().wake_by_ref();
        Some(())
    }
}

/// Tells a splice that the output's end did not reach the peer. A wheel by itself has nobody to tell: its peer is gone.
fn report_shutdown(state: &State, error: io::Error) {
    // A peer that has ended its side may have closed its socket altogether, which some systems report here.
    let gone = state.ended.get() && error.kind() == io::ErrorKind::NotConnected;
    let link = state.link.borrow().clone();
    if let Some(link) = link
        && !gone
    {
        link.failed(IoError::io("shutdown", state.base.id(), error));
    }
}

/// Tells a splice how the output stands.
fn drained(state: &State) {
    let link = state.link.borrow().clone();
    if let Some(link) = link {
        link.drained(state);
    }
}

/// Uses the input filter. If it panics that is a `DIE` of the session, as a handler's would be, and the end of the input;
/// the output goes on.
fn guarded<T>(state: &State, core: &Core, f: impl FnOnce() -> Option<T>) -> Option<Option<T>> {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(result) => Some(result),
        Err(payload) => {
            state.broken.set(true);
            die(state, core, &Failure::from_panic(payload));
            None
        }
    }
}
