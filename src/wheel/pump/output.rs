//! The output of a wheel: puts, writes, watermarks, and its end.

use super::super::error::{IoError, PutError, PutErrorKind};
use super::Pump;
use super::handle::emit_unwritten;
use super::state::PumpState;
use crate::bridge::runtime::{Pause, explained};
use crate::driver::Output;
use crate::kernel::Core;
use bytes::BytesMut;
use std::any::type_name;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::ReadBuf;

/// The state of a wheel's output relative to its watermarks; `put` returns it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Below the high mark, or there is none.
    Normal,
    /// At or above the high mark: wait for the low event before you put more.
    High,
}

impl Level {
    /// Whether the high mark is reached.
    #[must_use]
    pub fn is_high(self) -> bool {
        self == Level::High
    }
}

/// The state of the output.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Sending {
    Open,
    /// Accepts nothing more; shut down as soon as everything is written.
    Finishing,
    /// Will be shut down at once.
    Shutting,
    /// Shut down.
    Shut,
    /// A write has failed: queued bytes stay.
    Failed,
}

/// The reports that a wheel has not sent when it is taken apart, which the next one on its stream sends.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PendingReports {
    /// The high mark was reported, and the sender waits for the low one.
    low: bool,
    /// Something was written that the stream may still hold.
    flush: bool,
}

impl PumpState {
    /// Puts a record with the output filter.
    pub(crate) fn put<T: 'static>(&self, record: T) -> Result<Level, PutError<T>> {
        if self.is_output_closed() {
            return Err(PutError::new(PutErrorKind::Closed, Some(record)));
        }
        let before = self.buffered_bytes();
        let mut record = Some(record);
        let result = self.with_formatter(|formatter| self.append(|out| formatter.put(&mut record, out)));
        match result {
            Some(Ok(())) => {
                let level = self.level();
                if self.buffered_bytes() != before {
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
        Output::append(&self.driver.output, f)
    }

    /// Appends bytes of another wheel, unchanged.
    pub(crate) fn pass(&self, bytes: &[u8]) {
        if !bytes.is_empty() && !self.is_output_closed() {
            self.append(|out| out.extend_from_slice(bytes));
            self.schedule();
        }
    }

    pub(crate) fn buffered_bytes(&self) -> usize {
        self.driver.output.borrow().bytes()
    }

    /// Runs one write pass outside the task. Its result is reported when the task is polled next.
    pub(crate) fn write_now(&self) {
        let open = matches!(self.sending.get(), Sending::Open | Sending::Finishing);
        let (Some(core), Some(task), true) = (self.base.core(), self.task.get(), open) else {
            return;
        };
        let Some(waker) = core.tasks.waker(task) else { return };
        self.acted.set(true);
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

    /// Writes until the system has all bytes, or it would block. `Ok(false)`: there is more, but others wait.
    pub(super) fn flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let flushed = self.with_io(|io| {
            self.unflushed.set(true);
            let write = |bytes: &[u8]| {
                let written = io.as_mut().poll_write(cx, bytes);
                if written.is_ready() {
                    self.progress.set(true);
                }
                written
            };
            if !ready!(Output::flush(&self.driver.output, write))? {
                return Poll::Ready(Ok(false));
            }
            ready!(io.as_mut().poll_flush(cx))?;
            self.unflushed.set(false);
            Poll::Ready(Ok(true))
        });
        flushed.unwrap_or(Poll::Pending).map_err(explained)
    }

    /// Ends the output after an error. The error is reported to the waiting bytes' event, or else to the next `put`.
    pub(super) fn fail_output(&self, error: io::Error) {
        self.sending.set(Sending::Failed);
        if self.buffered_bytes() > 0 {
            self.write_error.set(Some(error));
        }
    }

    /// Compares the output with the high mark, and notes a crossing.
    pub(crate) fn level(&self) -> Level {
        match self.marks.get() {
            Some((high, _)) if self.buffered_bytes() >= high => {
                if !self.high.replace(true) {
                    self.high_due.set(true);
                    self.acted.set(true);
                }
                Level::High
            }
            _ => Level::Normal,
        }
    }

    /// Returns the reports that the next wheel has to send.
    pub(crate) fn pending_reports(&self) -> PendingReports {
        PendingReports {
            low: self.high.get() && !self.high_due.get(),
            flush: self.unflushed.get() || self.flush_due.get(),
        }
    }

    /// Continues another wheel's output, with its waiting bytes: the low event must come even if nothing more is put.
    pub(crate) fn restore(&self, reports: PendingReports) {
        self.high.set(reports.low);
        self.flush_due.set(reports.flush);
        self.level();
    }

    /// Sends a flushed event once nothing waits, whatever is written until then.
    pub(crate) fn ask_flush(&self) {
        self.flush_due.set(true);
    }

    /// Whether nothing can be put any more.
    pub(crate) fn is_output_closed(&self) -> bool {
        self.over.get() || self.sending.get() != Sending::Open
    }

    /// Whether the output has ended, and nothing more will be done about it.
    pub(crate) fn is_output_over(&self) -> bool {
        self.over.get() || matches!(self.sending.get(), Sending::Shut | Sending::Failed)
    }

    /// Ends the output; earlier puts are written before, or not.
    pub(crate) fn shut_output(&self, flush: bool) {
        let now = self.sending.get();
        let next = match (now, flush) {
            (Sending::Open, true) => Sending::Finishing,
            (Sending::Open | Sending::Finishing, false) => Sending::Shutting,
            _ => now,
        };
        if next == Sending::Shutting {
            self.driver.output.borrow_mut().discard();
        }
        self.sending.set(next);
    }
}

// The orderly end of a connection: the output is written, and the peer's input is drained.
//
// | time limit | counts from |
// |---|---|
// | flush timeout | the last byte that the peer took of the waiting output; each one starts it anew |
// | linger | the first time that everything is written and the peer has nothing to say |
/// The most bytes that a closing wheel reads from its peer before it closes the socket.
const DRAINED: usize = 16 * 1024 * 1024;

/// The default flush timeout: how long the peer of a closing wheel may take no bytes.
pub(crate) const FLUSH_TIMEOUT: Duration = Duration::from_secs(30);

/// An output of which the peer takes nothing.
pub(super) struct Stall {
    /// The bytes written when the output stopped.
    written: u64,
    timer: Pause,
}

/// Gives the peer up: resets the connection, if possible. Returns the error that reports it.
#[cold]
pub(super) fn give_up(state: &PumpState) -> IoError {
    let (bytes, limit) = (state.buffered_bytes(), state.flush_timeout());
    state.sending.set(Sending::Failed);
    state.with_io(|io| io.as_mut().abort());
    IoError::unwritten_after(state.base.id(), bytes, limit)
}

/// A wheel that is being closed in good order.
pub(super) struct Closing {
    linger: Duration,
    /// Runs from the first time that the peer has nothing to say.
    timer: Option<Pause>,
    drained: usize,
    /// The stream's output is shut down.
    shut: bool,
}

impl Pump {
    /// Ready when the peer has taken nothing for too long.
    pub(super) fn poll_stall(&mut self, state: &PumpState, cx: &mut Context<'_>) -> Poll<()> {
        let written = state.driver.output.borrow().written();
        let stall = match self.stall.take() {
            Some(stall) if stall.written == written => stall,
            _ => Stall {
                written,
                timer: Pause::new(state.flush_timeout()),
            },
        };
        Pin::new(&mut self.stall.insert(stall).timer).poll(cx)
    }

    /// Writes the rest, ends the output, and reads until the peer ends its output, too.
    ///
    /// A socket that is closed with unread input, or that gets input after it was closed, is reset by the system, which then
    /// drops bytes that were written and have not arrived.
    pub(super) fn poll_close(
        &mut self,
        state: &PumpState,
        linger: Duration,
        core: &Core,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
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

    fn close_step(&mut self, state: &PumpState, closing: &mut Closing, core: &Core, cx: &mut Context<'_>) -> Poll<()> {
        if !closing.shut {
            if !matches!(state.sending.get(), Sending::Shut | Sending::Failed) {
                let shut = match state.flush(cx) {
                    Poll::Ready(Ok(true)) => state.with_io(|io| io.as_mut().poll_shutdown(cx)),
                    Poll::Ready(Ok(false)) => {
                        cx.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                    Poll::Ready(Err(_)) => None,
                    Poll::Pending => Some(Poll::Pending),
                };
                match shut {
                    Some(Poll::Ready(Ok(()))) => {}
                    Some(Poll::Pending) => {
                        ready!(self.poll_stall(state, cx));
                        emit_unwritten(state, core, give_up(state));
                        return Poll::Ready(());
                    }
                    Some(Poll::Ready(Err(_))) | None => return Poll::Ready(()),
                }
                state.with_io(|io| io.as_mut().close_output());
            }
            closing.shut = true;
        }
        if state.ended.get() || self.end.is_some() || closing.linger.is_zero() {
            return Poll::Ready(());
        }
        // Like any other wheel it reads once in a turn, and not between two events.
        if core.is_turn() {
            let read = core.with_read_buffer(|buffer| {
                let mut buffer = ReadBuf::new(buffer);
                let Some(read) = state.with_io(|io| io.as_mut().poll_read(cx, &mut buffer)) else {
                    return Poll::Ready(0);
                };
                Poll::Ready(ready!(read).map_or(0, |()| buffer.filled().len()))
            });
            core.count_step();
            match read {
                Poll::Ready(0) => return Poll::Ready(()),
                Poll::Ready(bytes) => closing.drained += bytes,
                Poll::Pending if !state.task.get().is_some_and(|task| core.tasks.linger(task)) => {
                    return Poll::Ready(());
                }
                Poll::Pending => {
                    let linger = closing.linger;
                    let timer = closing.timer.get_or_insert_with(|| Pause::new(linger));
                    return Pin::new(timer).poll(cx);
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
