//! Delays between attempts, and how many attempts there may be within a period.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::hash::{BuildHasher, RandomState};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

/// Delays that grow with each failure, up to a limit, and are shortened at random, so that a thousand clients do not
/// all reconnect at the same instant (`TcpClientBuilder::backoff`).
///
/// | setting | default |
/// |---|---|
/// | [`first`](Self::first) | 500 ms |
/// | [`longest`](Self::longest) | 30 s |
/// | [`factor`](Self::factor) | 2 |
/// | [`jitter`](Self::jitter) | 0.5: a delay is shortened by up to a half |
/// | [`attempts`](Self::attempts) | no limit |
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
    /// Returns the default settings.
    #[must_use]
    pub fn new() -> Self {
        Backoff::default()
    }

    /// Sets the delay after the first failure.
    #[must_use]
    pub fn first(mut self, wait: Duration) -> Self {
        self.first = wait;
        self
    }

    /// Sets the longest delay.
    #[must_use]
    pub fn longest(mut self, wait: Duration) -> Self {
        self.longest = wait;
        self
    }

    /// Sets by how much each delay is longer than the one before; at least 1, and NaN counts as 1.
    #[must_use]
    pub fn factor(mut self, factor: f64) -> Self {
        // The maximum of NaN and 1 is 1.
        self.factor = factor.max(1.0);
        self
    }

    /// Sets which part of a delay may be cut off at random, from 0 (nothing; also NaN) to 1 (all of it).
    #[must_use]
    pub fn jitter(mut self, part: f64) -> Self {
        self.jitter = if part.is_nan() { 0.0 } else { part.clamp(0.0, 1.0) };
        self
    }

    /// Gives up after this many failed attempts in a row; 0 counts as 1.
    #[must_use]
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = Some(attempts);
        self
    }

    /// Returns the delay after `failures` earlier failures in a row; `None` to give up.
    #[must_use]
    pub fn wait(&self, failures: u32) -> Option<Duration> {
        // The seed of hash maps is the only source of randomness in the standard library, and good enough here.
        self.wait_by(failures, RandomState::new().hash_one(failures))
    }

    fn wait_by(&self, failures: u32, chance: u64) -> Option<Duration> {
        if self
            .attempts
            .is_some_and(|attempts| failures.saturating_add(1) >= attempts)
        {
            return None;
        }
        let first = self.first.min(self.longest);
        let grown = match self.factor.powi(i32::try_from(failures).unwrap_or(i32::MAX)) {
            factor if factor == 1.0 || first.is_zero() => first,
            factor => self.longest.min(seconds(first.as_secs_f64() * factor)),
        };
        let chance = chance as f64 / u64::MAX as f64;
        Some(match self.jitter * chance {
            0.0 => grown,
            cut => grown.min(seconds(grown.as_secs_f64() * (1.0 - cut))),
        })
    }
}

/// Converts seconds, limited to the longest duration.
fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}

// Helpers for futures that are not tasks: catch a panic, and wait for the first of two.
/// Waits for a future; a panic becomes an error.
pub(super) async fn caught<F: Future>(future: F) -> std::thread::Result<F::Output> {
    let mut future = pin!(future);
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
        Ok(polled) => polled.map(Ok),
        Err(payload) => Poll::Ready(Err(payload)),
    })
    .await
}

/// The output of the future that was ready first.
pub(super) enum First<A, B> {
    Left(A),
    Right(B),
}

/// Waits for one of two futures, and drops the other. The left one is polled first.
pub(super) async fn first<A: Future, B: Future>(left: A, right: B) -> First<A::Output, B::Output> {
    let (mut left, mut right) = (pin!(left), pin!(right));
    poll_fn(|cx| {
        if let Poll::Ready(output) = left.as_mut().poll(cx) {
            return Poll::Ready(First::Left(output));
        }
        right.as_mut().poll(cx).map(First::Right)
    })
    .await
}

// How many restarts there may be within a period.
/// A sliding window over the times of restarts.
#[derive(Clone, Debug)]
pub(super) struct Intensity {
    /// So many restarts …
    times: usize,
    /// … within this time.
    period: Duration,
    /// When the last ones were, the oldest first; never more than `times`.
    at: VecDeque<Duration>,
}

impl Intensity {
    pub(super) fn new(times: usize, period: Duration) -> Self {
        Intensity {
            times,
            period,
            at: VecDeque::new(),
        }
    }

    pub(super) fn times(&self) -> usize {
        self.times
    }

    pub(super) fn period(&self) -> Duration {
        self.period
    }

    /// Notes a restart at `now`, counted from any fixed time. Returns false if it is one too many.
    pub(super) fn allows(&mut self, now: Duration) -> bool {
        while self.at.front().is_some_and(|at| now.saturating_sub(*at) > self.period) {
            self.at.pop_front();
        }
        let allowed = self.at.len() < self.times;
        if allowed {
            self.at.push_back(now);
        }
        allowed
    }
}

#[cfg(test)]
mod intensity_tests {
    use super::*;

    #[test]
    fn a_restart_counts_for_the_period_and_not_longer() {
        let seconds = Duration::from_secs;
        let mut intensity = Intensity::new(2, seconds(10));
        let allowed = [0, 5, 10, 11, 14, 15, 16].map(|at| intensity.allows(seconds(at)));
        assert_eq!(allowed, [true, true, false, true, false, false, true]);
        assert!(!Intensity::new(0, seconds(10)).allows(seconds(0)));
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

    #[test]
    fn no_setting_makes_it_give_up_or_exceed_the_limit() {
        let odd = [
            f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
            -1.0,
            0.0,
            0.5,
            1.0,
            1e300,
            f64::MAX,
        ];
        let spans = [
            Duration::ZERO,
            Duration::from_nanos(1),
            Duration::from_secs(30),
            Duration::MAX,
        ];
        for (factor, jitter) in odd.iter().flat_map(|factor| odd.map(|jitter| (*factor, jitter))) {
            for (first, longest) in spans.iter().flat_map(|first| spans.map(|longest| (*first, longest))) {
                let backoff = Backoff::new()
                    .factor(factor)
                    .jitter(jitter)
                    .first(first)
                    .longest(longest);
                for failures in [0, 1, 2, 1000, u32::MAX] {
                    let (least, most) = (backoff.wait_by(failures, u64::MAX), backoff.wait_by(failures, 0));
                    let (least, most) = (
                        least.expect("no limit of attempts"),
                        most.expect("no limit of attempts"),
                    );
                    assert!(
                        least <= most && most <= longest,
                        "{backoff:?} after {failures}: {least:?} to {most:?}"
                    );
                    assert!(most >= first.min(longest), "{backoff:?} after {failures}: {most:?}");
                }
            }
        }
    }
}
