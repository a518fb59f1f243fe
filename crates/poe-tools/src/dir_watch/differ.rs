//! What has changed in a directory, from listings of it. No I/O, no clock.
//!
//! A name is in one of these states; `seen` is what the last listing had, `reported` what the program knows:
//!
//! | state | when | next |
//! |---|---|---|
//! | known | `seen == reported` | pending, when a listing differs |
//! | pending | `seen != reported` | known, when a listing that began [`confirm`](Differ::confirm) later has the same; reported then |
//!
//! Two equal listings apart in time make the report exact. A file's time stamps have the granularity of a clock tick, so a file that is
//! written twice within a tick looks the same after both; one whose stamp is older than a tick cannot be written without a new stamp.
//! And a listing that was made during a rename may have both names or neither.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::OsString;
use std::time::{Duration, SystemTime};

/// What a listing says of a file. A change of the file changes its stamp.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) is_dir: bool,
    pub(super) len: u64,
    pub(super) modified: SystemTime,
    /// Device and number, where the system has them.
    pub(super) id: Option<(u64, u64)>,
    /// The time of the last change of anything, in seconds and nanoseconds; zero where the system does not have it.
    pub(super) changed: (i64, i64),
}

/// What a rename does not change.
type Identity = ((u64, u64), u64, SystemTime);

impl Stamp {
    fn identity(&self) -> Option<Identity> {
        Some((self.id?, self.len, self.modified))
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Change {
    New,
    Modified,
    Removed,
    RenamedFrom(OsString),
    Settled,
}

struct Entry {
    seen: Option<Stamp>,
    reported: Option<Stamp>,
    /// The end of the first listing that had `seen`.
    since: Duration,
    /// The end of the first listing that differed from `reported`.
    pending: Option<Duration>,
    settled: bool,
}

/// The state of a directory's names.
pub(super) struct Differ {
    /// How long a change is seen before it is reported.
    pub(super) confirm: Duration,
    /// How long a name may keep changing until it is reported all the same.
    pub(super) patience: Duration,
    /// How long a file is unchanged until it is settled.
    pub(super) quiet: Option<Duration>,
    /// A rename is one change, and not a removal and a new file.
    pub(super) renames: bool,
    entries: BTreeMap<OsString, Entry>,
}

impl Differ {
    pub(super) fn new(confirm: Duration, patience: Duration) -> Self {
        Differ {
            confirm,
            patience,
            quiet: None,
            renames: false,
            entries: BTreeMap::new(),
        }
    }

    /// Takes a listing that was made between two times. Returns what is to be reported, in this order: removed, renamed, new, modified,
    /// settled; each by name.
    pub(super) fn step(
        &mut self,
        mut listing: HashMap<OsString, Stamp>,
        began: Duration,
        ended: Duration,
    ) -> Vec<(Change, OsString, Stamp)> {
        for (name, entry) in &mut self.entries {
            let now = listing.remove(name);
            if entry.seen != now {
                entry.seen = now;
                entry.since = ended;
            }
            if entry.seen == entry.reported {
                entry.pending = None;
            } else {
                entry.pending.get_or_insert(ended);
            }
        }
        self.entries.extend(listing.into_iter().map(|(name, stamp)| {
            let entry = Entry {
                seen: Some(stamp),
                reported: None,
                since: ended,
                pending: Some(ended),
                settled: false,
            };
            (name, entry)
        }));
        // A file that came and went between two reports.
        self.entries
            .retain(|_, entry| entry.seen.is_some() || entry.reported.is_some());
        self.report(began)
    }

    fn report(&mut self, now: Duration) -> Vec<(Change, OsString, Stamp)> {
        let (confirm, patience) = (self.confirm, self.patience);
        let is_due = |entry: &Entry| {
            let confirmed = entry.pending.map(|_| entry.since + confirm);
            let forced = entry.pending.map(|pending| pending + patience);
            confirmed.min(forced).is_some_and(|due| now >= due)
        };
        let (mut removed, mut renamed, mut new, mut modified, mut settled) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut held = HashSet::new();
        for (from, to) in self.pairs() {
            let both_due = [&from, &to].iter().all(|name| is_due(&self.entries[*name]));
            if both_due && let Some(old) = self.entries.remove(&from) {
                if let Some(entry) = self.entries.get_mut(&to)
                    && let Some(stamp) = entry.seen.clone()
                {
                    (entry.reported, entry.pending, entry.settled) = (entry.seen.clone(), None, old.settled);
                    renamed.push((Change::RenamedFrom(from), to, stamp));
                }
            } else {
                // Until the other half is confirmed, or turns out to be something else.
                held.extend([from, to]);
            }
        }
        for (name, entry) in &mut self.entries {
            if is_due(entry) && !held.contains(name) {
                let report = match (&entry.reported, &entry.seen) {
                    (Some(old), None) => Some((&mut removed, Change::Removed, old)),
                    (None, Some(seen)) => Some((&mut new, Change::New, seen)),
                    (Some(_), Some(seen)) => Some((&mut modified, Change::Modified, seen)),
                    (None, None) => None,
                };
                if let Some((list, change, stamp)) = report {
                    list.push((change, name.clone(), stamp.clone()));
                }
                (entry.reported, entry.pending, entry.settled) = (entry.seen.clone(), None, false);
            }
            if let (Some(quiet), None, false, Some(seen)) = (self.quiet, entry.pending, entry.settled, &entry.seen)
                && now >= entry.since + quiet
            {
                entry.settled = true;
                settled.push((Change::Settled, name.clone(), seen.clone()));
            }
        }
        self.entries
            .retain(|_, entry| entry.seen.is_some() || entry.reported.is_some());
        removed.extend(renamed.into_iter().chain(new).chain(modified).chain(settled));
        removed
    }

    /// Names that are gone, each with the new name that has the same file.
    fn pairs(&self) -> Vec<(OsString, OsString)> {
        let mut come = HashMap::new();
        let pending = || {
            self.entries
                .iter()
                .filter(|(_, entry)| self.renames && entry.pending.is_some())
        };
        for (name, entry) in pending() {
            if let (None, Some(id)) = (&entry.reported, entry.seen.as_ref().and_then(Stamp::identity)) {
                come.entry(id).or_insert(name);
            }
        }
        let gone = pending().filter(|(_, entry)| entry.seen.is_none());
        gone.filter_map(|(name, entry)| {
            // Of several names that are gone, the first one is renamed.
            let new = come.remove(&entry.reported.as_ref()?.identity()?)?;
            Some((name.clone(), new.clone()))
        })
        .collect()
    }

    /// Returns the files that were reported and are there, by name.
    pub(super) fn present(&self) -> Vec<(OsString, Stamp)> {
        let known = self.entries.iter().filter(|(_, entry)| entry.seen.is_some());
        known
            .filter_map(|(name, entry)| Some((name.clone(), entry.reported.clone()?)))
            .collect()
    }

    /// Returns when the next listing may find something to report of what is known now.
    pub(super) fn due(&self) -> Option<Duration> {
        let of = |entry: &Entry| match (entry.pending, self.quiet) {
            (Some(pending), _) => Some((entry.since + self.confirm).min(pending + self.patience)),
            (None, Some(quiet)) if !entry.settled => Some(entry.since + quiet),
            (None, _) => None,
        };
        self.entries.values().filter_map(of).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    /// A directory in memory, whose clock ticks when it is told to.
    #[derive(Clone, Default)]
    struct Fs {
        files: HashMap<OsString, Stamp>,
        next_id: u64,
        tick: i64,
    }

    #[derive(Clone, Debug)]
    enum Do {
        Write(u8, u64),
        Rename(u8, u8),
        Remove(u8),
        Tick,
        List(u64),
    }

    impl Fs {
        fn name(n: u8) -> OsString {
            format!("{n}").into()
        }

        fn time(&self) -> SystemTime {
            SystemTime::UNIX_EPOCH + Duration::from_secs(self.tick as u64)
        }

        fn act(&mut self, what: &Do) {
            match *what {
                Do::Write(n, len) => {
                    let old = self.files.get(&Fs::name(n)).and_then(|old| old.id);
                    let id = old.unwrap_or_else(|| {
                        self.next_id += 1;
                        (1, self.next_id)
                    });
                    let stamp = Stamp {
                        is_dir: false,
                        len,
                        modified: self.time(),
                        id: Some(id),
                        changed: (self.tick, 0),
                    };
                    self.files.insert(Fs::name(n), stamp);
                }
                Do::Rename(from, to) if from != to => {
                    if let Some(mut stamp) = self.files.remove(&Fs::name(from)) {
                        stamp.changed = (self.tick, 0);
                        self.files.insert(Fs::name(to), stamp);
                    }
                }
                Do::Remove(n) => drop(self.files.remove(&Fs::name(n))),
                Do::Rename(..) | Do::List(_) => {}
                Do::Tick => self.tick += 1,
            }
        }
    }

    fn act() -> impl Strategy<Value = Do> {
        prop_oneof![
            4 => (0..6_u8, 0..3_u64).prop_map(|(n, len)| Do::Write(n, len)),
            3 => (0..6_u8, 0..6_u8).prop_map(|(from, to)| Do::Rename(from, to)),
            2 => (0..6_u8).prop_map(Do::Remove),
            2 => Just(Do::Tick),
        ]
    }

    /// What the program knows of the directory from reports alone.
    fn follow(
        known: &mut HashMap<OsString, Stamp>,
        reports: Vec<(Change, OsString, Stamp)>,
    ) -> Result<(), TestCaseError> {
        for (change, name, stamp) in reports {
            match change {
                Change::New => prop_assert!(known.insert(name, stamp).is_none()),
                Change::Modified => {
                    let old = known.insert(name, stamp.clone());
                    prop_assert!(old.is_some_and(|old| old != stamp));
                }
                Change::Removed => prop_assert_eq!(known.remove(&name), Some(stamp)),
                Change::RenamedFrom(from) => {
                    let old = known.remove(&from);
                    prop_assert_eq!(old.and_then(|old| old.identity()), stamp.identity());
                    prop_assert!(known.insert(name, stamp).is_none());
                }
                Change::Settled => prop_assert_eq!(known.get(&name), Some(&stamp)),
            }
        }
        Ok(())
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

        /// Reports tell the directory, however listings and changes are mixed.
        #[test]
        fn reports_add_up_to_the_directory(
            acts in prop::collection::vec(prop_oneof![3 => act(), 2 => (1..80_u64).prop_map(Do::List)], 0..80),
            renames in any::<bool>(),
        ) {
            let mut differ = Differ::new(MS(50), MS(500));
            differ.renames = renames;
            let (mut fs, mut known, mut now) = (Fs::default(), HashMap::new(), MS(0));
            for what in acts.into_iter().chain([Do::List(50), Do::List(50), Do::List(50), Do::List(50)]) {
                if let Do::List(after) = what {
                    now += MS(after);
                    let reports = differ.step(fs.files.clone(), now, now);
                    prop_assert!(renames || reports.iter().all(|(change, ..)| !matches!(change, Change::RenamedFrom(_))));
                    follow(&mut known, reports)?;
                }
                fs.act(&what);
            }
            prop_assert_eq!(known, fs.files);
            prop_assert!(differ.due().is_none());
        }

        /// Between two rests each name is reported once, with the difference between the rests.
        #[test]
        fn each_change_between_two_rests_is_reported_once(
            batches in prop::collection::vec(prop::collection::vec(act(), 0..12), 1..6),
        ) {
            let mut differ = Differ::new(MS(50), MS(500));
            let (mut fs, mut now) = (Fs::default(), MS(0));
            for batch in batches {
                let before = fs.files.clone();
                for what in batch {
                    fs.act(&what);
                }
                let mut reports = Vec::new();
                for _ in 0..3 {
                    now += MS(60);
                    reports.extend(differ.step(fs.files.clone(), now, now));
                }
                let mut expected = Vec::new();
                for n in 0..6 {
                    let name = Fs::name(n);
                    let change = match (before.get(&name), fs.files.get(&name)) {
                        (None, Some(new)) => Some((Change::New, new)),
                        (Some(old), None) => Some((Change::Removed, old)),
                        (Some(old), Some(new)) if old != new => Some((Change::Modified, new)),
                        _ => None,
                    };
                    expected.extend(change.map(|(change, stamp)| (change, name, stamp.clone())));
                }
                reports.sort_by(|a, b| a.1.cmp(&b.1));
                prop_assert_eq!(reports, expected);
            }
        }
    }

    fn fs(acts: &[Do]) -> Fs {
        let mut fs = Fs::default();
        acts.iter().for_each(|what| fs.act(what));
        fs
    }

    #[test]
    fn a_rename_is_one_change_also_if_a_listing_had_both_names_or_neither() {
        let before = fs(&[Do::Write(1, 7)]);
        let mut after = before.clone();
        after.act(&Do::Tick);
        after.act(&Do::Rename(1, 2));
        let both = before
            .files
            .iter()
            .chain(&after.files)
            .map(|(name, stamp)| (name.clone(), stamp.clone()));
        let (both, neither): (HashMap<_, _>, HashMap<_, _>) = (both.collect(), HashMap::new());
        for during in [both, neither, after.files.clone()] {
            let mut differ = Differ::new(MS(50), MS(500));
            differ.renames = true;
            differ.step(before.files.clone(), MS(0), MS(0));
            assert_eq!(differ.step(before.files.clone(), MS(50), MS(50)).len(), 1);
            let mut reports = differ.step(during, MS(100), MS(100));
            for time in [150, 200, 250] {
                reports.extend(differ.step(after.files.clone(), MS(time), MS(time)));
            }
            let [(Change::RenamedFrom(old), new, _)] = &reports[..] else {
                panic!("{reports:?}")
            };
            assert_eq!((old, new), (&Fs::name(1), &Fs::name(2)));
        }
    }

    #[test]
    fn a_second_write_within_a_tick_is_not_lost() {
        let mut differ = Differ::new(MS(50), MS(500));
        let mut fs = fs(&[Do::Write(1, 7)]);
        assert!(differ.step(fs.files.clone(), MS(0), MS(1)).is_empty());
        fs.act(&Do::Write(1, 7)); // within the tick of the first: it looks the same
        assert!(differ.step(fs.files.clone(), MS(20), MS(21)).is_empty());
        // Reported only now, with both writes in the file.
        assert_eq!(differ.due(), Some(MS(51)));
        assert_eq!(differ.step(fs.files.clone(), MS(51), MS(52)).len(), 1);
        fs.act(&Do::Tick); // which takes less than 50 ms
        fs.act(&Do::Write(1, 7));
        differ.step(fs.files.clone(), MS(60), MS(61));
        assert!(matches!(
            differ.step(fs.files, MS(120), MS(121))[..],
            [(Change::Modified, ..)]
        ));
    }

    #[test]
    fn a_file_that_never_rests_is_reported_now_and_then_and_settles_when_it_rests() {
        let mut differ = Differ::new(MS(50), MS(500));
        differ.quiet = Some(MS(2000));
        let (mut fs, mut reports) = (Fs::default(), Vec::new());
        for step in 0..100_u64 {
            if step < 40 {
                fs.act(&Do::Tick);
                fs.act(&Do::Write(1, step));
            }
            let now = MS(step * 60);
            reports.extend(
                differ
                    .step(fs.files.clone(), now, now)
                    .into_iter()
                    .map(|(change, ..)| (step, change)),
            );
        }
        // Each 500 ms; then the last state, and 2 s after the last write.
        let expected = [
            (9, Change::New),
            (19, Change::Modified),
            (29, Change::Modified),
            (39, Change::Modified),
        ];
        assert_eq!(reports[..4], expected);
        assert_eq!(reports[4..], [(73, Change::Settled)]);
    }
}
