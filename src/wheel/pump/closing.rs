//! The orderly end of a connection: the output is written, and the peer's input is drained.
//!
//! | time limit | counts from |
//! |---|---|
//! | flush timeout | the last byte that the peer took of the waiting output; each one starts it anew |
//! | linger | the first time that everything is written and the peer has nothing to say |

use super::Pump;
use super::emit::emit_unwritten;
use super::output::Sending;
use super::state::PumpState;
use crate::bridge::runtime::Pause;
use crate::kernel::Core;
use crate::wheel::error::IoError;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::ReadBuf;

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
