//! How many restarts there may be within a period.

use std::collections::VecDeque;
use std::time::Duration;

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
mod tests {
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
