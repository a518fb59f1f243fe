//! Which Tokio runtime we are in, and waiting that survives a change of it.
//!
//! A kernel may be run by one runtime after another. What was registered with a runtime (a descriptor, a timer) hears nothing
//! more once that runtime is gone, or stands still because nobody drives it. So whatever is registered notes where, and
//! registers anew when it is polled in another runtime; the kernel polls all of its tasks when that happens.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::runtime::{Handle, Id};
use tokio::time::{Instant, Sleep, sleep_until};

/// The runtime that something is registered with.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Home(Option<Id>);

impl Home {
    /// The runtime that we are in, if we are in one.
    pub(crate) fn here() -> Self {
        Home(Handle::try_current().ok().map(|runtime| runtime.id()))
    }

    /// True once after each change of the runtime. Outside of any runtime there is nothing to move to.
    pub(crate) fn has_moved(&mut self) -> bool {
        let here = Home::here();
        let moved = here.0.is_some() && here != *self;
        if moved {
            *self = here;
        }
        moved
    }
}

/// A pause that goes on in another runtime, should the one that it began in go away.
pub(crate) struct Pause {
    until: Instant,
    sleep: Pin<Box<Sleep>>,
    home: Home,
}

impl Pause {
    /// # Panics
    /// Outside a Tokio runtime that drives timers.
    pub(crate) fn new(time: Duration) -> Self {
        let now = Instant::now();
        // As far as Tokio's own timers go.
        let until = now
            .checked_add(time)
            .unwrap_or(now + Duration::from_secs(86_400 * 365 * 30));
        Pause {
            until,
            sleep: Box::pin(sleep_until(until)),
            home: Home::here(),
        }
    }
}

impl Future for Pause {
    type Output = ();
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.home.has_moved() {
            self.sleep = Box::pin(sleep_until(self.until));
        }
        self.sleep.as_mut().poll(cx)
    }
}
