//! Running. One turn of the loop, a *slice*, is:
//!
//! 1. The I/O phase. Messages from other threads are taken in. Then the tasks that were ready when the phase began take
//!    their turns, in the order in which they became ready: one read, one batch of accepts, one item of a stream each.
//!    I/O events run their handlers now, ahead of the queue. A sweep follows. Then the watchers of files that are ready
//!    are told: readers, writers, expedited (law L5). What becomes ready meanwhile, or again, waits for the next slice.
//! 2. If nothing is queued, watched, held or spawned, the signal IDLE is queued (laws L40 to L44).
//! 3. If nothing is due, the future arms the wake-up for the first timer and waits.
//! 4. What is due now is the slice's *generation*: its events are dispatched in order. What they post belongs to the
//!    next one; a timer that they set in the past still runs in this one, first (law L6).
//! 5. A sweep stops the sessions that nothing keeps alive (laws L28, L29).
//!
//! After `budget` pieces of work of any kind, or about 100 µs, the future yields to its host. A yield is a pause: the next
//! poll goes on at the same point (`state::At`), in the middle of a generation, of a turn, or of the records of one read.
//! During a pause nothing of this kernel runs and no order changes. Messages from other threads join the queue at each
//! pause; only KILL by a handle and the limit of a shutdown act then.
//!
//! The kernel's own parts are polled outside Tokio's cooperative budget, because the pace above bounds them. What a session
//! spawns or attaches is polled on a budget (`guests.rs`).

mod drive;
mod driver_lock;
mod guests;
mod pace;
mod running;
mod slices;
mod state;

pub use drive::RunFuture;
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
    Yield,
    /// The mode's end.
    Done,
}

/// What one of several futures that could drive the kernel does in a poll.
enum Role {
    Drive,
    Wait,
    Leave,
}
