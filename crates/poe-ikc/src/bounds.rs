//! What bounds an `Ikc`, and what it counts.

use std::time::Duration;

/// What bounds an `Ikc`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) channels: usize,
    pub(crate) calls: usize,
    pub(crate) proxies: usize,
    pub(crate) output: usize,
    pub(crate) unreachable: usize,
    pub(crate) handshake: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Bounds {
            channels: 1024,
            calls: 65_536,
            proxies: 1024,
            output: 64 * 1024 * 1024,
            unreachable: 0,
            handshake: Duration::from_secs(30),
        }
    }
}

/// What has happened so far: see [`Ikc::counters`](crate::Ikc::counters).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Messages sent to other kernels and to this one.
    pub sent: u64,
    /// Messages received.
    pub received: u64,
    /// Requests that were refused: malformed, not published, no such session, or failed in their handler.
    pub refused: u64,
    /// Error reports received.
    pub errors: u64,
    /// Replies that nobody waits for: too late, from the wrong peer, or invented.
    pub unexpected_replies: u64,
    /// Connections dropped because of what the peer sent, or did not send in time.
    pub dropped: u64,
    /// Connections refused because there were too many.
    pub turned_away: u64,
    /// Posts on NATS for which there was no kernel.
    pub unclaimed: u64,
    /// Durable posts that this kernel has handled without a failure.
    pub durable_handled: u64,
    /// Durable posts that came to this kernel although they had been delivered before, here or elsewhere.
    pub durable_redelivered: u64,
    /// Durable posts that this kernel has put to the dead letters.
    pub dead_letters: u64,
}
