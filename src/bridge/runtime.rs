//! The current Tokio runtime, and waiting that survives a change of it.
//!
//! A kernel may be run by one runtime after another. A descriptor or timer that was registered with a runtime gets no
//! wake-up once that runtime is gone or is not driven any more. So every such object notes its runtime, and
//! registers again when it is polled in another one; the kernel polls all of its tasks when that happens.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::runtime::{Handle, Id};
use tokio::time::{Sleep, sleep_until};

pub(crate) use tokio::time::Instant;

/// Whether a kernel of this process has been run by more than one runtime.
static SEVERAL: AtomicBool = AtomicBool::new(false);

/// The runtime with which an object is registered.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Home(Option<Id>);

impl Home {
    /// Returns the current runtime, if there is one.
    pub(crate) fn here() -> Self {
        Home(Handle::try_current().ok().map(|runtime| runtime.id()))
    }

    /// The home of a stream that the caller has made, who knows when and where.
    ///
    /// As long as every kernel has had one runtime it is the current one. After that nobody can tell: then the stream is registered
    /// anew at its first poll. (A stream that was accepted in the first runtime may become a wheel in the second.)
    pub(crate) fn of_a_given() -> Self {
        match SEVERAL.load(Ordering::Relaxed) {
            true => Home::default(),
            false => Home::here(),
        }
    }

    /// Notes that a kernel of this process is run by a second runtime.
    pub(crate) fn there_are_several() {
        SEVERAL.store(true, Ordering::Relaxed);
    }

    /// Returns true once after each change of the runtime. Outside of any runtime nothing moves.
    pub(crate) fn has_moved(&mut self) -> bool {
        let here = Home::here();
        let moved = here.0.is_some() && here != *self;
        if moved {
            *self = here;
        }
        moved
    }
}

/// Polls a stream, and registers it with the current runtime if that is necessary.
///
/// If the stream waits or fails and was registered with another runtime than the one that polls now, `again` registers it
/// here, and it is polled once more.
pub(crate) fn poll_here<S, T>(
    home: &mut Home,
    stream: &mut S,
    mut poll: impl FnMut(&mut S) -> Poll<io::Result<T>>,
    again: impl FnOnce(&mut S) -> io::Result<()>,
) -> Poll<io::Result<T>> {
    let polled = poll(stream);
    let gone = match &polled {
        Poll::Ready(Ok(_)) => return polled,
        Poll::Ready(Err(error)) => is_gone(error),
        Poll::Pending => false,
    };
    if !home.has_moved() && !gone {
        return polled;
    }
    if let Err(error) = again(stream) {
        *home = Home::default();
        return Poll::Ready(Err(cannot_move(&error)));
    }
    poll(stream).map_err(explained)
}

/// Whether an error says that the runtime of an object has been shut down. Tokio has no type for it.
fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::Other && error.get_ref().is_some_and(|why| why.to_string().contains(SHUT_DOWN))
}

/// Tokio's text for this error, of streams and of timers.
const SHUT_DOWN: &str = "A Tokio 1.x context was found, but it is being shutdown";

/// Adds the cause and the cure to a stream's error, if its cause is that its runtime is gone.
pub(crate) fn explained(error: io::Error) -> io::Error {
    if !is_gone(&error) {
        return error;
    }
    let cure = "keep that runtime for as long as the stream, or use a `SocketStream`, `TcpStream` or `UnixStream` (also under TLS), \
                which move";
    let what = format!(
        "the Tokio runtime that the stream is registered with has been shut down, and this type of stream cannot move to \
         another one ({error}); {cure}"
    );
    io::Error::new(error.kind(), what)
}

/// Makes the error of an object that could not be registered with the runtime that polls now.
pub(crate) fn cannot_move(error: &io::Error) -> io::Error {
    io::Error::new(
        error.kind(),
        format!("cannot register with the runtime that runs the kernel now: {error}"),
    )
}

/// The time by Tokio's clock, which tests may pause.
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// A pause that continues in another runtime if its first runtime goes away.
pub(crate) struct Pause {
    until: Instant,
    sleep: Pin<Box<Sleep>>,
    home: Home,
}

impl Pause {
    /// Starts a pause.
    ///
    /// # Panics
    /// Outside a Tokio runtime that drives timers.
    pub(crate) fn new(time: Duration) -> Self {
        let now = Instant::now();
        // The longest time that Tokio's timers support.
        let until = now
            .checked_add(time)
            .unwrap_or(now + Duration::from_secs(86_400 * 365 * 30));
        Pause::until_instant(until)
    }

    /// # Panics
    /// Outside a Tokio runtime that drives timers.
    pub(crate) fn until_instant(until: Instant) -> Self {
        Pause {
            until,
            sleep: Box::pin(sleep_until(until)),
            home: Home::here(),
        }
    }

    /// When it is over.
    pub(crate) fn until(&self) -> Instant {
        self.until
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
