//! What ReadWrite and Run share: a stream, its filters, the octets that wait, and the task that moves them.
//!
//! The wheel's value and its task share a [`State`]. The value sets flags and has the task polled as soon as the current
//! handler returns; but for an explicit flush it leaves the stream alone. Neither keeps a borrow while a handler, a filter
//! or a drop of the user's runs: filters and the stream are taken out of their cells, used, and put back.
//!
//! One poll is: what the methods asked for (marks, records of a new filter); a write pass; one read, its records, and a
//! write pass for what their handlers put. A short read has emptied the socket, so the stream is asked once more, which
//! costs no system call and registers the waker; what comes of that waits for the next poll. So there is one block per
//! poll, and the queue's events go in between (driver row D6).

mod closing;
mod erased;
pub(crate) mod handle;
mod output;
mod settings;
mod state;
mod tell;

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
use crate::error::Failure;
use crate::kernel::Core;
use crate::kernel::task::Task;
use closing::Closing;
use output::Sending;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use tell::{die, report, tell, tell_high, tell_low};
use tokio::io::ReadBuf;

/// Records of one read that are delivered in one go; the rest waits until the queue has had its turn.
const RECORDS: usize = 256;

/// Write passes in one poll: each can be caused by the events of the one before.
const PASSES: usize = 8;

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
    /// The stream has the waker for input.
    armed: bool,
    /// It has woken itself to go on reading in the next I/O phase. A put before that only writes: otherwise handlers that
    /// put would draw in input faster than the queue can take what it leads to.
    again: bool,
    backlog: Backlog,
    /// The end that was met when reading ahead.
    end: Option<End>,
    /// The end was told, and the wheel's other pumps are told of it once a filter changed at the end has given its records.
    ending: bool,
    closing: Option<Closing>,
}

impl Pump {
    pub(crate) fn new(state: Rc<State>) -> Self {
        Pump {
            state,
            armed: false,
            again: false,
            backlog: Backlog::None,
            end: None,
            ending: false,
            closing: None,
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
        if state.closing.get().is_none() {
            // Nothing: the wheel was dropped or closed by a handler.
            let _: Option<()> = self.run(&state, core, cx);
            state.put_only.set(false);
            if state.reparse.get() {
                // A handler of this poll has changed the filter: at the end of the input, say.
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
        let sent = match state.sending.get() {
            Sending::Shut => true,
            Sending::Failed => state.part.get().is_some(),
            _ => false,
        };
        if sent && state.is_input_shut() {
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
            self.again = false;
        }
        tell_high(state, core)?;
        if put_only && self.again && !state.reparse.get() {
            return self.write(state, core, cx);
        }
        let ahead = self.backlog == Backlog::Ahead && !state.is_paused();
        if state.reparse.take() || ahead || self.backlog == Backlog::Begun {
            self.records(state, core, cx)?;
        }
        if self.ending {
            self.end_part(state, core)?;
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
        let block = state.block();
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
        if octets == block {
            // There is certainly more; others first.
            self.again = true;
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
                self.again = true;
                cx.waker().wake_by_ref();
            }
        }
        Some(())
    }

    /// Reads once, straight into the filter.
    fn read(&mut self, state: &State, core: &Core, cx: &mut Context<'_>) -> Poll<Result<usize, End>> {
        let block = state.block();
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
            let _ = guarded(state, core, || state.with_parser(|parser| parser.start(octets)));
            Poll::Ready(Ok(read.len()))
        })
    }

    /// Delivers the records that the filter sees.
    fn records(&mut self, state: &State, core: &Core, cx: &mut Context<'_>) -> Option<()> {
        self.backlog = Backlog::None;
        let id = state.base.id();
        let mut place = Record::NONE;
        for _ in 0..RECORDS {
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
                    state.base.deliver_from(core, &mut place)?;
                }
                Some(Err(error)) => {
                    state.broken.set(error.is_fatal());
                    report(state, core, IoError::filter("read", id, error))?;
                }
            }
            tell_high(state, core)?;
        }
        self.backlog = Backlog::Begun;
        self.again = true;
        cx.waker().wake_by_ref();
        Some(())
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
        if state.reparse.get() || self.backlog != Backlog::None {
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
            let waiting = state.out_octets() > 0;
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
                Poll::Pending => return Some(()),
            }
            if state.out_octets() == 0 {
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
