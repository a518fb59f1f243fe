//! Running. One turn of the loop, a *slice*, is:
//!
//! 1. Messages from other threads are taken in, and tasks that were woken are polled: I/O events run their handlers
//!    now, ahead of the queue. A sweep follows.
//! 2. If nothing is queued, watched, held or spawned, the signal IDLE is queued (laws L40 to L44).
//! 3. If nothing is due, the future arms the wake-up for the first timer and waits.
//! 4. What is due now is the slice's *generation*: its events are dispatched in order. What they post belongs to the
//!    next one; a timer that they set in the past still runs in this one, first (law L6).
//! 5. A sweep stops the sessions that nothing keeps alive (laws L28, L29).
//!
//! After `budget` events or about 100 µs the future gives way to its host, and goes on in the same generation.

mod drive;
mod pace;
mod running;
mod seat;
mod slices;
mod state;

pub use drive::Run;
pub(super) use state::RunState;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Until nothing can happen any more.
    Run,
    /// Until it is stopped.
    Serve,
    /// One slice.
    Slice,
}

enum Step {
    /// The host's turn; there is more to do.
    GiveWay,
    /// The mode's end.
    Done,
}

/// What one of several futures that could drive the kernel does in a poll.
enum Part {
    Drive,
    Wait,
    Leave,
}
