//! Cron under virtual time, with a wall clock that is set: changes of summer time, jumps in both directions, lifetimes, limits.

use crate::kit::{Log, virtually};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use poe::event::START;
use poe::{Event, Session, testing};
use poe_tools::{Cron, CronBuilder, CronTick, MissedRuns};
use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, SystemTime};
use tokio::time::Instant;

const TICK: Event<CronTick> = Event::new("tick");
const HOUR: Duration = Duration::from_secs(3600);

/// A wall clock that goes with virtual time, and can be set.
#[derive(Clone)]
struct Clock {
    began: Instant,
    at: Rc<Cell<SystemTime>>,
}

impl Clock {
    fn at(local: &str) -> Self {
        let at: jiff::civil::DateTime = local.parse().unwrap();
        let at = at.to_zoned(zone()).unwrap().timestamp();
        Clock {
            began: Instant::now(),
            at: Rc::new(Cell::new(at.into())),
        }
    }

    fn now(&self) -> SystemTime {
        self.at.get() + self.began.elapsed()
    }

    fn forward(&self, by: Duration) {
        self.at.set(self.at.get() + by);
    }

    fn back(&self, by: Duration) {
        self.at.set(self.at.get() - by);
    }

    fn builder(&self) -> CronBuilder {
        let clock = self.clone();
        Cron::builder()
            .time_zone("Europe/Berlin")
            .unwrap()
            .clock(move || clock.now())
    }
}

fn zone() -> TimeZone {
    TimeZone::get("Europe/Berlin").unwrap()
}

fn local(time: SystemTime) -> String {
    let time = Timestamp::try_from(time).unwrap().to_zoned(zone());
    time.strftime("%d %H:%M %Z").to_string()
}

/// What is done to the clock, after so many hours.
type Changes = Vec<(f64, Box<dyn Fn(&Clock)>)>;

/// Runs entries for a time of virtual hours, with a clock that is changed meanwhile. Returns what came: the time for which it came, the time at
/// which it came if that is another one, and what was missed.
fn run(
    clock_at: &str,
    make: impl Fn(CronBuilder) -> CronBuilder,
    patterns: &[&'static str],
    hours: u32,
    changes: Changes,
) -> Vec<String> {
    virtually(async {
        let kernel = testing::kernel();
        let (clock, log) = (Clock::at(clock_at), Log::default());
        let cron = make(clock.builder()).start(&kernel).unwrap();
        for pattern in patterns {
            let (cron, pattern, clock) = (cron.clone(), *pattern, clock.clone());
            Session::builder(log.clone())
                .on(START, move |cx, ()| cron.add(cx, pattern, TICK).map(drop))
                .on(TICK, move |cx, tick| {
                    let late = clock.now().duration_since(tick.scheduled).unwrap();
                    let mut line = local(tick.scheduled);
                    // It is looked at twice a minute.
                    if late > Duration::from_secs(31) {
                        line += &format!(" late {}m", late.as_secs() / 60);
                    }
                    if tick.missed > 0 {
                        line += &format!(" missed {}", tick.missed);
                    }
                    cx.heap.add(line);
                })
                .create(&kernel)
                .unwrap();
        }
        let (times, acts): (Vec<f64>, Vec<_>) = changes.into_iter().unzip();
        Session::builder(clock)
            .on(START, move |cx, ()| {
                for (n, hours) in times.iter().enumerate() {
                    cx.delay_set("change", hours * 3600.0, n);
                }
            })
            .on("change", move |cx, n: usize| acts[n](&cx.heap))
            .create(&kernel)
            .unwrap();
        testing::run_for(&kernel, HOUR * hours).await.unwrap();
        log.lines()
    })
}

#[test]
fn summer_time_begins_and_ends() {
    let as_is = |cron| cron;
    // The hour from 2 to 3 is left out.
    let lines = run("2026-03-28T22:00", as_is, &["30 2 * * *", "0 */2 * * *"], 30, vec![]);
    let expected = [
        "29 00:00 CET",
        "29 03:00 CEST",
        "29 04:00 CEST",
        "29 06:00 CEST",
        "29 08:00 CEST",
        "29 10:00 CEST",
        "29 12:00 CEST",
        "29 14:00 CEST",
        "29 16:00 CEST",
        "29 18:00 CEST",
        "29 20:00 CEST",
        "29 22:00 CEST",
        "30 00:00 CEST",
        "30 02:00 CEST",
        "30 02:30 CEST",
        "30 04:00 CEST",
    ];
    assert_eq!(lines, expected);
    // The hour from 2 to 3 comes twice.
    let lines = run("2026-10-25T00:45", as_is, &["30 2 * * *", "*/30 * * * *"], 4, vec![]);
    let expected = [
        "25 01:00 CEST",
        "25 01:30 CEST",
        "25 02:00 CEST",
        "25 02:30 CEST",
        "25 02:30 CEST",
        "25 02:00 CET",
        "25 02:30 CET",
        "25 03:00 CET",
        "25 03:30 CET",
    ];
    assert_eq!(lines, expected);
}

fn set(at: f64, how: impl Fn(&Clock) + 'static) -> Changes {
    vec![(at, Box::new(how))]
}

#[test]
fn a_clock_that_is_set_forward_or_a_machine_that_sleeps_has_missed_times() {
    let patterns = ["0 * * * *", "30 2 * * *"];
    let forward = || set(0.75, |clock| clock.forward(10 * HOUR));
    let lines = run("2026-06-01T00:15", |cron| cron, &patterns, 3, forward());
    // At 1 o'clock it is 11, and ten have passed.
    assert_eq!(
        lines,
        [
            "01 02:30 CEST late 510m",
            "01 11:00 CEST missed 10",
            "01 12:00 CEST",
            "01 13:00 CEST"
        ]
    );
    let lines = run(
        "2026-06-01T00:15",
        |cron| cron.missed(MissedRuns::Skip),
        &patterns,
        3,
        forward(),
    );
    assert_eq!(lines, ["01 11:00 CEST missed 10", "01 12:00 CEST", "01 13:00 CEST"]);
    // A whole year: what is counted has a limit.
    let lines = run(
        "2026-06-01T00:15",
        |cron| cron,
        &["*/5 * * * *"],
        1,
        set(0.01, |clock| clock.forward(8760 * HOUR)),
    );
    assert_eq!(lines[0].split(" missed ").nth(1), Some("1000"), "{lines:?}");
    assert_eq!(lines.len(), 13, "{lines:?}");
}

#[test]
fn a_clock_that_is_set_back_repeats_no_fixed_time_unless_it_was_wrong_before() {
    let patterns = ["0 */2 * * *", "30 2 * * *"];
    let lines = run(
        "2026-06-01T01:45",
        |cron| cron,
        &patterns,
        6,
        set(1.0, |clock| clock.back(2 * HOUR)),
    );
    // At 2:45 it is 0:45 again.
    let expected = ["01 02:00 CEST", "01 02:30 CEST", "01 02:00 CEST", "01 04:00 CEST"];
    assert_eq!(lines, expected);
    let lines = run(
        "2026-06-01T01:45",
        |cron| cron,
        &patterns,
        6,
        set(1.0, |clock| clock.back(4 * HOUR)),
    );
    // At 2:45 it is 22:45 of the day before.
    let expected = [
        "01 02:00 CEST",
        "01 02:30 CEST",
        "01 00:00 CEST",
        "01 02:00 CEST",
        "01 02:30 CEST",
    ];
    assert_eq!(lines, expected);
    // Small corrections, as of a time server, are not noticed at all.
    let tuned = (1..50).map(|n| {
        (
            f64::from(n) * 0.1,
            Box::new(|clock: &Clock| clock.back(Duration::from_millis(300))) as Box<dyn Fn(&Clock)>,
        )
    });
    let lines = run("2026-06-01T01:45", |cron| cron, &["0 * * * *"], 5, tuned.collect());
    assert_eq!(
        lines,
        [
            "01 02:00 CEST",
            "01 03:00 CEST",
            "01 04:00 CEST",
            "01 05:00 CEST",
            "01 06:00 CEST"
        ]
    );
}

#[test]
fn an_entry_holds_its_session_until_it_is_removed_and_ends_with_it() {
    virtually(async {
        let kernel = testing::kernel();
        let clock = Clock::at("2026-06-01T01:45");
        let cron = clock.builder().alias("cron").start(&kernel).unwrap();
        let (first, second) = (cron.clone(), cron.clone());
        let ends = Session::builder(0)
            .on(START, move |cx, ()| first.add(cx, "0 * * * *", TICK).map(drop))
            .on(TICK, |cx, _| {
                *cx.heap += 1;
                if *cx.heap == 3 {
                    cx.signal(cx.session_id(), "KILL", ()).unwrap();
                }
            })
            .create(&kernel)
            .unwrap();
        Session::builder(())
            .on(START, move |cx, ()| second.add(cx, "*/10 * * * *", TICK).map(drop))
            .on(TICK, move |cx, tick| {
                assert!(cx.why_alive().to_string().contains("cron `*/10 * * * *`"));
                if local(tick.scheduled) == "01 05:00 CEST" {
                    assert!(cron.next(tick.entry).unwrap() > tick.scheduled);
                    assert!(!cx.is_alive(ends));
                    assert!(cron.remove(tick.entry) && !cron.remove(tick.entry));
                }
            })
            .create(&kernel)
            .unwrap();
        let began = Instant::now();
        kernel.run().await.unwrap();
        // Nothing is left, not even the component, which nothing could happen to any more.
        assert_eq!(began.elapsed().as_secs(), (3 * 60 + 15) * 60);
        testing::assert_no_leaks(&kernel);
    });
}

#[test]
fn bad_patterns_and_too_many_entries_are_refused() {
    virtually(async {
        let kernel = testing::kernel();
        assert!(
            Cron::builder()
                .time_zone("Europe/Atlantis")
                .unwrap_err()
                .to_string()
                .contains("Atlantis")
        );
        let cron = Clock::at("2026-06-01T01:45")
            .builder()
            .max_entries(2)
            .start(&kernel)
            .unwrap();
        Session::builder(())
            .on(START, move |cx, ()| {
                let invalid = cron.add(cx, "61 * * * *", TICK).unwrap_err();
                assert!(
                    invalid.is_invalid() && invalid.to_string().contains("`61 * * * *`"),
                    "{invalid}"
                );
                assert!(cron.add(cx, "0 0 30 2 *", TICK).unwrap_err().is_never());
                for _ in 0..2 {
                    cron.add(cx, "@daily", TICK).unwrap();
                }
                assert!(cron.add(cx, "@daily", TICK).unwrap_err().is_full());
                cron.shutdown(cx);
                let cron = cron.clone();
                cx.state("later", move |cx, ()| {
                    assert!(
                        cron.add(cx, "@daily", TICK)
                            .unwrap_err()
                            .to_string()
                            .contains("shut down")
                    );
                });
                cx.yield_to("later", ());
            })
            .create(&kernel)
            .unwrap();
        kernel.run().await.unwrap();
        testing::assert_no_leaks(&kernel);
    });
}
