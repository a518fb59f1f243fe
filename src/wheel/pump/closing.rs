//! The orderly end of a connection: what was put is written, and the peer is heard out.

use super::output::Sending;
use super::state::State;
use super::{PASSES, Pump};
use crate::bridge::runtime::Pause;
use crate::kernel::Core;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::ReadBuf;

/// Bytes that a closing wheel takes from its peer at most, before it hangs up.
const DRAINED: usize = 16 * 1024 * 1024;

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
    /// Writes the rest, says goodbye, and reads what the peer still says until it says goodbye, too. A socket that is closed
    /// with unread input, or that gets input after it was closed, is reset by the system, which then forgets what was
    /// written and has not arrived.
    pub(super) fn poll_close(
        &mut self,
        state: &State,
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

    fn close_step(&mut self, state: &State, closing: &mut Closing, core: &Core, cx: &mut Context<'_>) -> Poll<()> {
        if !closing.shut {
            if !matches!(state.sending.get(), Sending::Shut | Sending::Failed) {
                match ready!(state.flush(cx)) {
                    Ok(true) => {}
                    Ok(false) => {
                        cx.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                    Err(_) => return Poll::Ready(()),
                }
                let Some(shut) = state.with_io(|io| io.as_mut().poll_shutdown(cx)) else {
                    return Poll::Ready(());
                };
                if ready!(shut).is_err() {
                    return Poll::Ready(());
                }
                state.with_io(|io| io.as_mut().close_output());
            }
            closing.shut = true;
        }
        if state.ended.get() || self.end.is_some() || closing.linger.is_zero() {
            return Poll::Ready(());
        }
        // No handler runs here, so that what is thrown away may be more than one block.
        for _ in 0..PASSES {
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
