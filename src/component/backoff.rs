//! How long to wait before the next attempt.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// Waits that grow with each failure, up to a limit, and differ by chance, so that a thousand clients do not all come back
/// in the same instant (`TcpClientBuilder::backoff`).
///
/// | setting | default |
/// |---|---|
/// | [`first`](Self::first) | 500 ms |
/// | [`longest`](Self::longest) | 30 s |
/// | [`factor`](Self::factor) | 2 |
/// | [`jitter`](Self::jitter) | 0.5: a wait is cut by up to a half of it |
/// | [`attempts`](Self::attempts) | for ever |
///
/// ```
/// use poe::component::Backoff;
/// use std::time::Duration;
/// let backoff = Backoff::new()
///     .first(Duration::from_secs(1))
///     .longest(Duration::from_secs(10))
///     .factor(3.0)
///     .jitter(0.0)
///     .attempts(5);
/// let waits: Vec<_> = (0..5).map(|failures| backoff.wait(failures).map(|wait| wait.as_secs())).collect();
/// assert_eq!(waits, [Some(1), Some(3), Some(9), Some(10), None]);
/// ```
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    factor: f64,
    jitter: f64,
    attempts: Option<u32>,
}

impl Default for Backoff {
    fn default() -> Self {
        Backoff {
            first: Duration::from_millis(500),
            longest: Duration::from_secs(30),
            factor: 2.0,
            jitter: 0.5,
            attempts: None,
        }
    }
}

impl Backoff {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Backoff::default()
    }

    /// The wait after the first failure.
    #[must_use]
    pub fn first(mut self, wait: Duration) -> Self {
        self.first = wait;
        self
    }

    /// No wait is longer than that.
    #[must_use]
    pub fn longest(mut self, wait: Duration) -> Self {
        self.longest = wait;
        self
    }

    /// Each wait is that many times the one before; at least 1.
    #[must_use]
    pub fn factor(mut self, factor: f64) -> Self {
        self.factor = factor.max(1.0);
        self
    }

    /// Which part of a wait may be cut off by chance, between 0 (none) and 1 (all of it).
    #[must_use]
    pub fn jitter(mut self, part: f64) -> Self {
        self.jitter = part.clamp(0.0, 1.0);
        self
    }

    /// Gives up after that many attempts in a row that have come to nothing.
    #[must_use]
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = Some(attempts);
        self
    }

    /// The wait after that many failures in a row, the last one not counted; `None`: give up.
    #[must_use]
    pub fn wait(&self, failures: u32) -> Option<Duration> {
        // The standard library's seed of hash maps is the one source of chance in it, and good enough for this.
        self.wait_by(failures, RandomState::new().hash_one(failures))
    }

    fn wait_by(&self, failures: u32, chance: u64) -> Option<Duration> {
        if self
            .attempts
            .is_some_and(|attempts| failures.saturating_add(1) >= attempts)
        {
            return None;
        }
        let grown = self.first.as_secs_f64() * self.factor.powi(failures.min(1000) as i32);
        let whole = grown.min(self.longest.as_secs_f64());
        let chance = chance as f64 / u64::MAX as f64;
        Duration::try_from_secs_f64(whole * (1.0 - self.jitter * chance)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_cut_by_the_jitter_at_most_and_never_longer_than_the_limit() {
        let backoff = Backoff::new();
        for failures in [0, 1, 5, 40, u32::MAX] {
            let longest = backoff.wait_by(failures, 0).unwrap();
            let shortest = backoff.wait_by(failures, u64::MAX).unwrap();
            assert!(longest <= Duration::from_secs(30));
            assert_eq!(shortest, longest / 2, "after {failures}");
            let wait = backoff.wait(failures).unwrap();
            assert!(shortest <= wait && wait <= longest);
        }
    }

    #[test]
    fn it_gives_up_after_the_attempts_it_was_given() {
        let backoff = Backoff::new().attempts(3);
        let waits: Vec<bool> = (0..4).map(|failures| backoff.wait(failures).is_some()).collect();
        assert_eq!(waits, [true, true, false, false]);
    }

    #[test]
    fn odd_settings_are_made_even() {
        let backoff = Backoff::new().factor(0.1).jitter(7.0).longest(Duration::MAX);
        assert!(backoff.wait_by(3, 0).unwrap() >= Duration::from_millis(500));
        assert_eq!(backoff.wait_by(3, u64::MAX), Some(Duration::ZERO));
        assert!(backoff.wait(1000).is_some());
    }
}
