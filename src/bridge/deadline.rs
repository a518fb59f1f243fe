//! The one wake-up for the head of the queue.
//!
//! On Linux it is a timerfd: Tokio's own timers round to a millisecond, which would make every timer some 0.6 ms late,
//! seven times later than Perl's POE. Elsewhere, and under virtual time, it is Tokio's sleep.

use crate::bridge::clock::{Clock, LAST};
use crate::bridge::runtime::Home;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep};

/// Tokio's timers have a resolution of a millisecond.
const MILLISECOND: u32 = 1_000_000;

#[derive(Default)]
pub(crate) struct Deadline {
    /// The kernel time that is armed, or `None`.
    armed: Option<u64>,
    sleep: Option<Pin<Box<Sleep>>>,
    #[cfg(target_os = "linux")]
    timer: Option<super::reactor::Timer>,
    /// The runtime with which these are registered.
    home: Home,
}

impl Deadline {
    /// Arranges that the task of `cx` is woken at `due`; from [`LAST`] on, never. Ready means: read the clock now.
    ///
    /// # Panics
    /// Outside a Tokio runtime, or in one without its time and I/O drivers.
    pub(crate) fn poll(&mut self, clock: &Clock, due: u64, slack: u64, cx: &mut Context<'_>) -> Poll<()> {
        self.move_in();
        // A timer for a time beyond the scale: it never fires.
        if due >= LAST {
            self.disarm();
            return Poll::Pending;
        }
        #[cfg(target_os = "linux")]
        if !clock.is_tokio() && slack < 1_000_000 {
            return self.poll_timer(clock, due.saturating_add(slack), cx);
        }
        self.poll_sleep(clock, due.saturating_add(slack), cx)
    }

    /// The same with Tokio's timer, which rounds up to a millisecond and needs no descriptor of its own.
    pub(crate) fn poll_coarse(&mut self, clock: &Clock, due: u64, cx: &mut Context<'_>) -> Poll<()> {
        self.move_in();
        if due >= LAST {
            return Poll::Pending;
        }
        self.poll_sleep(clock, due, cx)
    }

    /// Drops what is registered with another runtime.
    fn move_in(&mut self) {
        if self.home.has_moved() {
            self.armed = None;
            self.sleep = None;
            #[cfg(target_os = "linux")]
            {
                self.timer = None;
            }
        }
    }

    fn disarm(&mut self) {
        if self.armed.take().is_some() {
            self.sleep = None;
            #[cfg(target_os = "linux")]
            if let Some(timer) = &self.timer {
                timer.disarm();
            }
        }
    }

    #[cfg(target_os = "linux")]
    fn poll_timer(&mut self, clock: &Clock, due: u64, cx: &mut Context<'_>) -> Poll<()> {
        if self.timer.is_none() {
            match super::reactor::Timer::new() {
                Ok(timer) => self.timer = Some(timer),
                Err(error) => {
                    tracing::debug!(target: "poe::timers", %error, "no timerfd: timers round to a millisecond");
                    return self.poll_sleep(clock, due, cx);
                }
            }
        }
        let now = clock.now();
        if due <= now {
            return Poll::Ready(());
        }
        let Some(timer) = &mut self.timer else {
            return Poll::Ready(());
        };
        if self.armed != Some(due) {
            self.armed = Some(due);
            timer.arm(Clock::until(now, due));
        }
        match timer.poll_expired(cx) {
            Poll::Ready(()) => {
                self.armed = None;
                Poll::Ready(())
            }
            Poll::Pending => Poll::Pending,
        }
    }

    fn poll_sleep(&mut self, clock: &Clock, due: u64, cx: &mut Context<'_>) -> Poll<()> {
        let now = clock.now();
        if due <= now {
            return Poll::Ready(());
        }
        let mut wait = Clock::until(now, due);
        if clock.is_tokio() {
            // A paused clock advances in whole milliseconds from where it was paused, but sleeps are rounded up on a grid
            // that begins elsewhere, which would make some a millisecond late. Each sleep is set to the beginning of its last
            // millisecond, so it ends on the first one that is not too early.
            let last = wait.as_nanos().div_ceil(u128::from(MILLISECOND)) - 1;
            wait = Duration::from_nanos(1) + Duration::from_millis(u64::try_from(last).unwrap_or(u64::MAX));
        }
        let sleep = match &mut self.sleep {
            Some(sleep) => {
                if self.armed != Some(due) {
                    sleep.as_mut().reset(Instant::now() + wait);
                }
                sleep
            }
            none => none.insert(Box::pin(tokio::time::sleep(wait))),
        };
        self.armed = Some(due);
        match sleep.as_mut().poll(cx) {
            Poll::Ready(()) => {
                self.armed = None;
                self.sleep = None;
                Poll::Ready(())
            }
            Poll::Pending => Poll::Pending,
        }
    }
}
