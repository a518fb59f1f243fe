//! When each entry is due, by the wall clock and its jumps. No kernel, no clock: times are arguments.
//!
//! An entry has a next time. [`Plan::due`] takes the entries whose time has come, and gives each its next one. [`Plan::set_back`] gives them new
//! times when the clock was set back. A clock that was set forward, or a machine that has slept, only makes entries late.

use croner::{Cron as Pattern, JobType};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A clock that goes back by more was wrong before: then nothing that has run counts any more. (Vixie cron's limit as well.)
pub(super) const CORRECTION: Duration = Duration::from_secs(3 * 3600);

/// The most times that are counted as missed.
pub(super) const MOST_MISSED: u32 = 1000;

pub(super) struct Plan<E> {
    zone: TimeZone,
    entries: BTreeMap<u64, Entry<E>>,
    queue: BTreeSet<(Timestamp, u64)>,
    last_id: u64,
}

struct Entry<E> {
    pattern: Pattern,
    next: Timestamp,
    /// The last time that it was due for.
    last: Option<Timestamp>,
    value: E,
}

/// An entry whose time has come.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) id: u64,
    /// The last time at which it should have run.
    pub(super) scheduled: Timestamp,
    /// How many earlier times had passed as well.
    pub(super) missed: u32,
    /// It never comes again.
    pub(super) is_last: bool,
}

impl<E> Plan<E> {
    pub(super) fn new(zone: TimeZone) -> Self {
        Plan {
            zone,
            entries: BTreeMap::new(),
            queue: BTreeSet::new(),
            last_id: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Adds an entry; `None` if its time never comes.
    pub(super) fn add(&mut self, pattern: Pattern, value: E, now: Timestamp) -> Option<u64> {
        let next = after(&pattern, &self.zone, now)?;
        self.last_id += 1;
        let id = self.last_id;
        self.queue.insert((next, id));
        let entry = Entry {
            pattern,
            next,
            last: None,
            value,
        };
        self.entries.insert(id, entry);
        Some(id)
    }

    pub(super) fn remove(&mut self, id: u64) -> Option<E> {
        let entry = self.entries.remove(&id)?;
        self.queue.remove(&(entry.next, id));
        Some(entry.value)
    }

    /// Removes the entries that do not pass, and returns them.
    pub(super) fn remove_unless(&mut self, keep: impl Fn(&E) -> bool) -> Vec<E> {
        let entries = self.entries.iter();
        let ids: Vec<u64> = entries
            .filter(|(_, entry)| !keep(&entry.value))
            .map(|(id, _)| *id)
            .collect();
        ids.into_iter().filter_map(|id| self.remove(id)).collect()
    }

    pub(super) fn get(&self, id: u64) -> Option<&E> {
        self.entries.get(&id).map(|entry| &entry.value)
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &E> {
        self.entries.values().map(|entry| &entry.value)
    }

    /// Returns the next time of an entry.
    pub(super) fn next_of(&self, id: u64) -> Option<Timestamp> {
        self.entries.get(&id).map(|entry| entry.next)
    }

    /// Returns when the first entry is due.
    pub(super) fn next(&self) -> Option<Timestamp> {
        self.queue.first().map(|(next, _)| *next)
    }

    /// Takes the entries whose time has come, in the order of their times. An entry that never comes again stays until it is removed.
    pub(super) fn due(&mut self, now: Timestamp) -> Vec<Due> {
        let mut due = Vec::new();
        while let Some(&(next, id)) = self.queue.first()
            && next <= now
        {
            self.queue.pop_first();
            let Some(entry) = self.entries.get_mut(&id) else {
                continue;
            };
            let (mut scheduled, mut missed) = (next, 0);
            let mut following = after(&entry.pattern, &self.zone, next);
            while let Some(time) = following.filter(|time| *time <= now) {
                missed += 1;
                if missed >= MOST_MISSED {
                    following = after(&entry.pattern, &self.zone, now);
                    break;
                }
                scheduled = time;
                following = after(&entry.pattern, &self.zone, time);
            }
            entry.last = Some(scheduled);
            let is_last = following.is_none();
            due.push(Due {
                id,
                scheduled,
                missed,
                is_last,
            });
            if let Some(time) = following {
                entry.next = time;
                self.queue.insert((time, id));
            }
        }
        due.sort_by_key(|due| (due.scheduled, due.id));
        due
    }

    /// The clock was set back by so much, to `now`.
    ///
    /// Entries for fixed times of the day do not run again for times that they have run for, unless that was a correction.
    pub(super) fn set_back(&mut self, by: Duration, now: Timestamp) {
        self.queue.clear();
        for (id, entry) in &mut self.entries {
            let is_fixed = entry.pattern.determine_job_type() == JobType::FixedTime;
            let from = match entry.last {
                Some(last) if is_fixed && by <= CORRECTION => last.max(now),
                _ => now,
            };
            if let Some(next) = after(&entry.pattern, &self.zone, from) {
                entry.next = next;
            }
            self.queue.insert((entry.next, *id));
        }
    }
}

/// Returns the first time of a pattern after another; `None` if there is none.
fn after(pattern: &Pattern, zone: &TimeZone, time: Timestamp) -> Option<Timestamp> {
    let mut from = time.to_zoned(zone.clone());
    // The library gives up at a day that a time zone leaves out as a whole, as Samoa's did in 2011; the next day has a new search.
    for _ in 0..2 {
        match pattern.find_next_occurrence(&from, false) {
            Ok(next) => return Some(next.timestamp()),
            Err(_) => from = from.checked_add(jiff::SignedDuration::from_hours(24)).ok()?,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::{Date, DateTime};
    use jiff::tz::AmbiguousOffset;
    use jiff::{SignedDuration, ToSpan};
    use proptest::prelude::*;
    use std::str::FromStr;

    const ZONES: [&str; 6] = [
        "UTC",
        "Europe/Berlin",
        "America/New_York",
        "Australia/Lord_Howe", // half an hour
        "Asia/Kathmandu",
        "America/Santiago", // at midnight
    ];

    fn zone(name: &str) -> TimeZone {
        TimeZone::get(name).unwrap()
    }

    /// All times of a pattern between two, as a plan gives them when it is asked as often as that.
    fn planned(
        pattern: &str,
        zone: &TimeZone,
        from: Timestamp,
        until: Timestamp,
        every: SignedDuration,
    ) -> Vec<Timestamp> {
        let mut plan = Plan::new(zone.clone());
        plan.add(Pattern::from_str(pattern).unwrap(), (), from);
        let (mut now, mut found) = (from, Vec::new());
        while now < until {
            now = (now + every).min(until);
            for due in plan.due(now) {
                assert!(due.missed == 0 || every > SignedDuration::from_secs(60));
                found.push(due.scheduled);
            }
        }
        found
    }

    /// Days with something about them: changes of the clock, leap days, ends of months.
    fn day() -> impl Strategy<Value = Date> {
        let year = 2020..2032_i16;
        let special = prop_oneof![
            Just((3, 29)),
            Just((10, 25)),
            Just((3, 8)),
            Just((11, 1)),
            Just((4, 5)),
            Just((10, 4)),
            Just((9, 6)),
            Just((2, 28)),
            Just((12, 31)),
        ];
        (year, special, -4..5_i64).prop_map(|(year, (month, day), shift)| {
            jiff::civil::date(year, month, day).checked_add(shift.days()).unwrap()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 50, ..ProptestConfig::default() })]

        /// Patterns that repeat within the day come at each minute whose local time matches, looked at one by one.
        #[test]
        fn repeating_patterns_skip_a_gap_and_run_through_both_hours(
            day in day(),
            zone_name in prop::sample::select(&ZONES[..]),
            step in prop::sample::select(&[5_i64, 10, 20, 30][..]),
            hours in prop::sample::select(&["*", "*/2", "1-3", "0,2,23"][..]),
        ) {
            let zone = zone(zone_name);
            let from = day.to_zoned(zone.clone()).unwrap().timestamp() + SignedDuration::from_secs(7);
            let until = from + SignedDuration::from_hours(72);
            let of_hours = |hour: i8| match hours {
                "*" => true,
                "*/2" => hour % 2 == 0,
                "1-3" => (1..4).contains(&hour),
                _ => [0, 2, 23].contains(&hour),
            };
            let mut expected = Vec::new();
            let mut minute = from + SignedDuration::from_secs(53);
            while minute <= until {
                let local = minute.to_zoned(zone.clone());
                if of_hours(local.hour()) && i64::from(local.minute()) % step == 0 {
                    expected.push(minute);
                }
                minute += SignedDuration::from_mins(1);
            }
            let pattern = format!("*/{step} {hours} * * *");
            prop_assert_eq!(planned(&pattern, &zone, from, until, SignedDuration::from_secs(30)), expected);
        }

        /// A fixed time of the day comes once a day: moved out of a gap, and the first of two.
        #[test]
        fn fixed_times_come_once_a_day(
            day in day(),
            zone_name in prop::sample::select(&ZONES[..]),
            (hour, minute) in (0..5_i8, prop::sample::select(&[0_i8, 15, 30, 59][..])),
        ) {
            let zone = zone(zone_name);
            let from = day.to_zoned(zone.clone()).unwrap().timestamp() - SignedDuration::from_secs(1);
            let until = from + SignedDuration::from_hours(96);
            let mut expected = Vec::new();
            for shift in 0..6 {
                let civil: DateTime = day.checked_add(shift.days()).unwrap().at(hour, minute, 0, 0);
                let ambiguous = zone.to_ambiguous_timestamp(civil);
                let at = match ambiguous.offset() {
                    AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(civil).unwrap(),
                    AmbiguousOffset::Fold { before, .. } => before.to_timestamp(civil).unwrap(),
                    AmbiguousOffset::Gap { .. } => {
                        // The first moment after the gap: the minute at which the offset changes.
                        let mut at = ambiguous.earlier().unwrap();
                        let old = zone.to_offset(at);
                        while zone.to_offset(at) == old {
                            at += SignedDuration::from_mins(1);
                        }
                        at
                    }
                };
                expected.extend([at].into_iter().filter(|at| *at > from && *at <= until));
            }
            let pattern = format!("{minute} {hour} * * *");
            prop_assert_eq!(planned(&pattern, &zone, from, until, SignedDuration::from_secs(60)), expected);
        }

        /// However seldom the clock is looked at, no time is lost: each is reported or counted as missed.
        #[test]
        fn late_looks_count_what_they_have_missed(
            day in day(),
            looks in prop::collection::vec(1..5000_i64, 1..40),
            pattern in prop::sample::select(&["*/7 * * * *", "0 * * * *", "30 2 * * *", "0 0 29 2 *"][..]),
        ) {
            let zone = zone("Europe/Berlin");
            let from = day.to_zoned(zone.clone()).unwrap().timestamp();
            let until = from + SignedDuration::from_mins(looks.iter().sum());
            let all = planned(pattern, &zone, from, until, SignedDuration::from_secs(60));
            let mut plan = Plan::new(zone);
            plan.add(Pattern::from_str(pattern).unwrap(), (), from);
            let (mut now, mut reported) = (from, 0);
            for look in looks {
                now += SignedDuration::from_mins(look);
                for due in plan.due(now) {
                    reported += 1 + due.missed as usize;
                    prop_assert_eq!(due.scheduled, all[reported - 1]);
                }
            }
            prop_assert_eq!(reported, all.len());
        }
    }

    #[test]
    fn leap_days_last_days_and_times_that_never_come() {
        let utc = TimeZone::UTC;
        let from = jiff::civil::date(2026, 1, 1).to_zoned(utc.clone()).unwrap().timestamp();
        let next = |pattern: &str, count: usize| {
            let pattern = Pattern::from_str(pattern).unwrap();
            let mut times = vec![from];
            for _ in 0..count {
                times.push(after(&pattern, &utc, times[times.len() - 1]).unwrap());
            }
            times[1..].iter().map(|time| time.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(next("0 0 29 2 *", 2), ["2028-02-29T00:00:00Z", "2032-02-29T00:00:00Z"]);
        assert_eq!(
            next("0 12 L * *", 3),
            ["2026-01-31T12:00:00Z", "2026-02-28T12:00:00Z", "2026-03-31T12:00:00Z"]
        );
        assert_eq!(
            next("30 15 3 * * *", 2),
            ["2026-01-01T03:15:30Z", "2026-01-02T03:15:30Z"]
        );
        assert_eq!(next("@yearly", 2), ["2027-01-01T00:00:00Z", "2028-01-01T00:00:00Z"]);
        for never in ["0 0 30 2 *", "0 0 31 4 *"] {
            assert_eq!(
                Plan::new(utc.clone()).add(Pattern::from_str(never).unwrap(), (), from),
                None
            );
        }
        let mut plan = Plan::new(utc);
        let id = plan
            .add(Pattern::from_str("0 0 0 1 6 * 2026").unwrap(), (), from)
            .unwrap();
        let due = plan.due(from + SignedDuration::from_hours(24 * 365));
        assert!(due[0].is_last && due[0].id == id && plan.next().is_none());
    }

    #[test]
    fn a_day_that_a_zone_leaves_out_as_a_whole_takes_the_next_time_along() {
        // Samoa went over the date line: there was no 30th of December 2011. The library gives up there.
        let zone = zone("Pacific/Apia");
        let from = jiff::civil::date(2011, 12, 29)
            .to_zoned(zone.clone())
            .unwrap()
            .timestamp();
        let until = from + SignedDuration::from_hours(72);
        let times = planned("0 12 * * *", &zone, from, until, SignedDuration::from_secs(60));
        let days: Vec<String> = times
            .iter()
            .map(|time| time.to_zoned(zone.clone()).date().to_string())
            .collect();
        assert_eq!(days, ["2011-12-29", "2012-01-01"]);
    }
}
