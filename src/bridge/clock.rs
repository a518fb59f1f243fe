//! The kernel's clock: nanoseconds on the kernel's own scale, which also covers times before the kernel began.

use super::runtime::Home;
use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};
use tokio::time::{Instant, Sleep};

/// The kernel's beginning on its scale, so that past alarms need no sign.
const ORIGIN: u64 = 1 << 62;

/// The last time on the scale, 438 years after the kernel's beginning.
///
/// Later times are cut to it. No timer fires at it: the wake-up is not armed for it. The next value means "no timer" in the queue.
pub(crate) const LAST: u64 = u64::MAX - 1;

/// The largest number of nanoseconds that a time is moved by: more than the longest `Duration`.
pub(crate) const LARGEST_SHIFT: i128 = 1 << 100;

/// How far the wall clock may drift from the kept offset before the next conversion of an alarm takes a new one.
const STEP: u64 = 10_000_000;

pub(crate) struct Clock {
    source: Source,
    wall_base: SystemTime,
    /// Wall time minus kernel time, in nanoseconds, at the last conversion. Kept while the two clocks agree, so that
    /// two alarms for the same instant are due at the same instant (law L89).
    wall_offset: Cell<i64>,
    /// The last reading. It is never later than now, and free to read.
    latest: Cell<u64>,
}

enum Source {
    #[cfg(target_os = "linux")]
    System { base: i128 },
    #[cfg(not(target_os = "linux"))]
    System { base: std::time::Instant },
    /// Tokio's clock, which `tokio::time::pause` stops.
    #[cfg_attr(not(feature = "testing"), allow(dead_code))]
    Tokio { base: tokio::time::Instant },
}

#[cfg(target_os = "linux")]
fn read(id: rustix::time::ClockId) -> i128 {
    let t = rustix::time::clock_gettime(id);
    i128::from(t.tv_sec) * 1_000_000_000 + i128::from(t.tv_nsec)
}

/// A clock for other threads, which dates what they send on the kernel's scale.
#[derive(Clone, Copy)]
pub(crate) struct SendClock {
    #[cfg(target_os = "linux")]
    base: Option<i128>,
    #[cfg(not(target_os = "linux"))]
    base: Option<std::time::Instant>,
}

impl SendClock {
    /// Returns the time; `u64::MAX` under virtual time, which only the kernel's thread can read.
    ///
    /// Such messages are dated when the kernel takes them in.
    pub(crate) fn now(self) -> u64 {
        match self.base {
            #[cfg(target_os = "linux")]
            Some(base) => ORIGIN + (read(rustix::time::ClockId::Monotonic) - base) as u64,
            #[cfg(not(target_os = "linux"))]
            Some(base) => ORIGIN + base.elapsed().as_nanos() as u64,
            None => u64::MAX,
        }
    }
}

impl Clock {
    /// Returns the same clock for other threads.
    pub(crate) fn to_send(&self) -> SendClock {
        match self.source {
            Source::System { base } => SendClock { base: Some(base) },
            Source::Tokio { .. } => SendClock { base: None },
        }
    }

    /// Makes a clock that reads the system's monotonic clock.
    pub(crate) fn system() -> Self {
        #[cfg(target_os = "linux")]
        let base = read(rustix::time::ClockId::Monotonic);
        #[cfg(not(target_os = "linux"))]
        let base = std::time::Instant::now();
        Self::new(Source::System { base })
    }

    /// Makes a clock that reads Tokio's clock, for virtual time.
    #[cfg(feature = "testing")]
    pub(crate) fn tokio() -> Self {
        Self::new(Source::Tokio {
            base: tokio::time::Instant::now(),
        })
    }

    fn new(source: Source) -> Self {
        let wall_base = SystemTime::now();
        Clock {
            source,
            wall_base,
            wall_offset: Cell::new(0),
            latest: Cell::new(ORIGIN),
        }
    }

    /// Whether time is Tokio's, so that Tokio's timers must be used and not the system's.
    pub(crate) fn is_tokio(&self) -> bool {
        matches!(self.source, Source::Tokio { .. })
    }

    /// Returns the precise time.
    #[inline]
    pub(crate) fn now(&self) -> u64 {
        let now = match &self.source {
            #[cfg(target_os = "linux")]
            Source::System { base } => ORIGIN + (read(rustix::time::ClockId::Monotonic) - base) as u64,
            #[cfg(not(target_os = "linux"))]
            Source::System { base } => since_origin(base.elapsed()),
            // A test may have moved the paused clock by any span.
            Source::Tokio { base } => since_origin(base.elapsed()),
        };
        self.latest.set(now);
        now
    }

    /// Returns the last reading: a time that has certainly passed.
    #[inline]
    pub(crate) fn last(&self) -> u64 {
        self.latest.get()
    }

    /// Updates [`last`](Self::last), from a coarse clock where that is cheaper.
    #[inline]
    pub(crate) fn refresh_coarse(&self) {
        self.now_if_due(u64::MAX);
    }

    /// Returns the precise time if it has reached `due`.
    ///
    /// Where a coarse clock is cheaper it is read first: it can only be late, by at most a tick, so it rules out most deadlines
    /// for a fifth of the price.
    #[inline]
    pub(crate) fn now_if_due(&self, due: u64) -> Option<u64> {
        #[cfg(target_os = "linux")]
        if let Source::System { base } = &self.source {
            const TICK: u64 = 10_500_000;
            let coarse = ORIGIN + (read(rustix::time::ClockId::MonotonicCoarse) - base).max(0) as u64;
            if coarse + TICK < due {
                self.latest.set(self.latest.get().max(coarse));
                return None;
            }
        }
        let now = self.now();
        (now >= due).then_some(now)
    }

    /// Returns the precise time if the last reading was already past `due`; free otherwise.
    ///
    /// For checks that are so frequent that the clock was read a moment ago.
    #[inline(always)]
    pub(crate) fn now_if_due_cached(&self, due: u64) -> Option<u64> {
        // Not with `then`, which would be a call in the middle of the loop.
        if self.latest.get() >= due {
            Some(self.now())
        } else {
            None
        }
    }

    /// Returns the time from `now` to `due`.
    pub(crate) fn until(now: u64, due: u64) -> Duration {
        Duration::from_nanos(due.saturating_sub(now))
    }

    /// Returns the kernel time `delta` nanoseconds from `now`, or the nearest end of the scale.
    ///
    /// `delta` is never beyond [`LARGEST_SHIFT`] in either direction, so the sum does not overflow.
    #[inline]
    pub(crate) fn shifted(now: u64, delta: i128) -> u64 {
        debug_assert!(delta.abs() <= LARGEST_SHIFT);
        (i128::from(now) + delta).clamp(0, i128::from(LAST)) as u64
    }

    /// Returns the kernel time `span` after `now`, or the end of the scale.
    #[inline]
    pub(crate) fn after(now: u64, span: Duration) -> u64 {
        // The longest `Duration` is within `LARGEST_SHIFT`.
        Clock::shifted(now, span.as_nanos() as i128)
    }

    /// Returns the kept offset; computes it if there is none.
    #[inline]
    fn offset(&self) -> i64 {
        match self.wall_offset.get() {
            0 => self.fresh_offset(),
            kept => kept,
        }
    }

    /// Computes the offset from both clocks.
    #[cold]
    #[inline(never)]
    fn fresh_offset(&self) -> i64 {
        let fresh = match &self.source {
            Source::Tokio { .. } => nanos_since_epoch(self.wall_base).saturating_sub(ORIGIN as i64),
            Source::System { .. } => nanos_since_epoch(SystemTime::now()).saturating_sub_unsigned(self.now()),
        };
        if fresh.abs_diff(self.wall_offset.get()) > STEP {
            self.wall_offset.set(fresh);
        }
        self.wall_offset.get()
    }

    /// Converts a wall time to kernel time, once, so that a later step of the wall clock moves no timer.
    pub(crate) fn due_at(&self, wall: SystemTime) -> u64 {
        let nanos = match wall.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(after) => after.as_nanos().cast_signed(),
            Err(before) => -before.duration().as_nanos().cast_signed(),
        };
        Clock::shifted(0, nanos - i128::from(self.fresh_offset()))
    }

    /// Converts a kernel time to wall time with the offset of the last alarm, without reading the clocks.
    #[inline]
    pub(crate) fn wall(&self, due: u64) -> SystemTime {
        let soon = i64::try_from(due).ok().and_then(|due| due.checked_add(self.offset()));
        match soon.and_then(|nanos| u64::try_from(nanos).ok()) {
            // Every system's clock can represent the next 292 years.
            Some(nanos) => SystemTime::UNIX_EPOCH + Duration::from_nanos(nanos),
            None => self.far_wall(due),
        }
    }

    #[cold]
    fn far_wall(&self, due: u64) -> SystemTime {
        let nanos = i128::from(due) + i128::from(self.offset());
        let magnitude = Duration::from_nanos(u64::try_from(nanos.unsigned_abs()).unwrap_or(u64::MAX));
        let wall = if nanos >= 0 {
            SystemTime::UNIX_EPOCH.checked_add(magnitude)
        } else {
            SystemTime::UNIX_EPOCH.checked_sub(magnitude)
        };
        // A system whose clock cannot represent it: Windows begins in the year 1601.
        wall.unwrap_or(SystemTime::UNIX_EPOCH)
    }
}

#[cfg_attr(not(any(not(target_os = "linux"), feature = "testing")), allow(dead_code))]
fn since_origin(elapsed: Duration) -> u64 {
    ORIGIN
        .saturating_add(u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX))
        .min(LAST)
}

/// Returns nanoseconds since 1970 in 64 bits: from 1678 to 2262. Times beyond are cut to that.
fn nanos_since_epoch(wall: SystemTime) -> i64 {
    match wall.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_nanos()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |n| -n),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wall_times_convert_there_and_back() {
        let clock = Clock::system();
        let wall = SystemTime::UNIX_EPOCH + Duration::from_nanos(1_234_567_890_123_456_789);
        let due = clock.due_at(wall);
        assert_eq!(due, clock.due_at(wall), "one instant is one due time");
        let back = clock.wall(due);
        assert!(
            due == 0 || back == wall,
            "a time before the scale is clamped to its beginning"
        );
    }

    #[test]
    fn times_beyond_the_scale_are_cut_to_its_ends() {
        for now in [0, ORIGIN, LAST] {
            assert_eq!(Clock::shifted(now, LARGEST_SHIFT), LAST);
            assert_eq!(Clock::shifted(now, -LARGEST_SHIFT), 0);
        }
        let clock = Clock::system();
        let in_years = |years: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(years * 31_556_952);
        let times = [0, 56, 230, 300, 400].map(|years| clock.due_at(in_years(years)));
        assert!(
            times.is_sorted() && times[2] < times[3] && times[3] < times[4],
            "{times:?}"
        );
        let far = clock.due_at(in_years(5_000_000));
        assert_eq!(far, LAST);
        assert!(clock.wall(far) > in_years(400));
        assert!(clock.wall(0) < in_years(0));
    }

    #[test]
    fn a_deadline_is_reached_neither_early_nor_never() {
        let clock = Clock::system();
        let now = clock.now();
        assert!(clock.now_if_due(now).is_some());
        assert_eq!(clock.now_if_due(now + 3_600_000_000_000), None);
        assert!(clock.now_if_due(now + 3_000_000).is_none_or(|at| at >= now + 3_000_000));
    }
}

// The one wake-up for the head of the queue.
//
// On Linux it is a timerfd: Tokio's own timers round to a millisecond, which would make every timer some 0.6 ms late,
// seven times later than Perl's POE. Elsewhere, and under virtual time, it is Tokio's sleep.
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
