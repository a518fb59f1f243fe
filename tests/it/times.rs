//! Times of any size: infinities, not a number, the ends of every type. Nothing panics, wraps round or comes at once that
//! should never come.

use crate::laws_kit::{ms, said, say};
use crate::properties::{check, paused_runtime};
use poe::component::{Backoff, TcpClient, TcpServer};
use poe::event::START;
use poe::testing;
use poe::wheel::{ReadWrite, Splice, splice};
use poe::{Delta, Event, HandlerResult, Kernel, Session};
use proptest::prelude::*;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, SystemTime};

const RANG: Event<usize> = Event::new("rang");
const AGAIN: Event<usize> = Event::new("again");

/// The kernel's scale around its beginning, in nanoseconds: 146 years before, 438 after.
const FIRST: i128 = -(1 << 62);
const LAST: i128 = (3 << 62) - 2;

/// How long the kernel is run, in virtual time.
const WINDOW: Duration = Duration::from_secs(3600);

#[derive(Clone, Copy, Debug)]
enum When {
    Seconds(f64),
    Span(Duration),
    Wall(SystemTime),
}

/// How the timer is set, or moved to where it is to be.
#[derive(Clone, Copy, Debug)]
enum How {
    Set,
    /// Set an hour ahead and moved.
    Adjust,
}

impl When {
    fn delta(self) -> Delta {
        match self {
            When::Seconds(seconds) => seconds.into(),
            When::Span(span) => span.into(),
            When::Wall(_) => Duration::ZERO.into(),
        }
    }

    /// Nanoseconds from the kernel's beginning, at that wall time; as far as the scale reaches.
    fn due(self, began: SystemTime) -> i128 {
        let nanos = match self {
            When::Seconds(seconds) => (seconds * 1e9).round() as i128,
            When::Span(span) => span.as_nanos() as i128,
            When::Wall(wall) => match wall.duration_since(began) {
                Ok(after) => after.as_nanos() as i128,
                Err(before) => -(before.duration().as_nanos() as i128),
            },
        };
        nanos.clamp(FIRST, LAST)
    }
}

fn any_span() -> impl Strategy<Value = Duration> {
    prop_oneof![
        Just(Duration::MAX),
        Just(Duration::ZERO),
        Just(Duration::from_secs(u64::MAX)),
        Just(Duration::from_nanos(u64::MAX)),
        (any::<u64>(), 0..1_000_000_000_u32).prop_map(|(secs, nanos)| Duration::new(secs, nanos)),
        (0..3_000_u64).prop_map(Duration::from_secs),
        (4_000..u64::from(u32::MAX)).prop_map(Duration::from_secs),
    ]
}

fn any_seconds() -> impl Strategy<Value = f64> {
    prop_oneof![
        Just(f64::INFINITY),
        Just(f64::NEG_INFINITY),
        Just(f64::NAN),
        Just(1e300),
        Just(-1e300),
        Just(f64::MAX),
        Just(f64::MIN),
        Just(1.7e29),
        Just(-0.0),
        any::<f64>(),
        -1e10..1e10,
        -100.0..3000.0,
    ]
}

fn any_wall() -> impl Strategy<Value = SystemTime> {
    let from = prop_oneof![Just(SystemTime::UNIX_EPOCH), Just(SystemTime::now())];
    (from, any_span(), any::<bool>()).prop_map(|(from, span, after)| {
        // The system's times end somewhere, too: as far as it goes.
        let mut span = span;
        loop {
            let moved = if after {
                from.checked_add(span)
            } else {
                from.checked_sub(span)
            };
            match moved {
                Some(wall) => return wall,
                None => span /= 2,
            }
        }
    })
}

fn any_when() -> impl Strategy<Value = When> {
    prop_oneof![
        any_seconds().prop_map(When::Seconds),
        any_span().prop_map(When::Span),
        any_wall().prop_map(When::Wall),
    ]
}

fn any_timers() -> impl Strategy<Value = Vec<(When, How)>> {
    let how = prop_oneof![Just(How::Set), Just(How::Adjust)];
    prop::collection::vec((any_when(), how), 1..12)
}

/// Timers of any time, by each method that takes one: those that are due in the window ring in the order of their times,
/// and no other does.
#[test]
fn timers_of_any_time_ring_in_order_or_not_yet() {
    check(400, any_timers(), |timers| {
        let (rang, began) = paused_runtime().block_on(async {
            let kernel = testing::kernel();
            let (rang, began) = (Rc::new(RefCell::new(Vec::new())), Rc::new(Cell::new(SystemTime::now())));
            let (log, set, at) = (rang.clone(), timers.clone(), began.clone());
            Session::builder(())
                .on(START, move |cx, ()| -> HandlerResult {
                    // The wall time that the kernel began with, told by a timer that is due now.
                    let now = cx.delay_set(RANG, Duration::ZERO, usize::MAX);
                    at.set(cx.alarm_remove(now)?.due);
                    for (n, (when, how)) in set.iter().enumerate() {
                        match (when, how) {
                            (When::Wall(wall), _) => drop(cx.alarm_set(RANG, *wall, n)),
                            (_, How::Set) => drop(cx.delay_set(RANG, when.delta(), n)),
                            (_, How::Adjust) => {
                                let id = cx.delay_set(RANG, WINDOW * 2, n);
                                cx.delay_adjust(id, when.delta())?;
                            }
                        }
                    }
                    Ok(())
                })
                .on(RANG, move |_, n| log.borrow_mut().push(n))
                .create(&kernel)
                .unwrap();
            testing::run_for(&kernel, WINDOW).await.unwrap();
            (rang.take(), began.get())
        });
        let due: Vec<i128> = timers.iter().map(|(when, _)| when.due(began)).collect();
        let window = WINDOW.as_nanos() as i128;
        let near = |due: i128| (due - window).abs() < 1_000_000_000;
        prop_assert!(
            rang.iter().all(|n| due[*n] <= window || near(due[*n])),
            "{:?} of {:?}",
            rang,
            due
        );
        let missing = (0..due.len()).filter(|n| due[*n] < window && !near(due[*n]) && !rang.contains(n));
        prop_assert_eq!(missing.count(), 0, "{:?} of {:?}", rang, due);
        prop_assert!(rang.iter().is_sorted_by_key(|n| due[*n]), "{:?} of {:?}", rang, due);
        Ok(())
    });
}

/// A timer that is moved by any span is where it should be, and says so.
#[test]
fn a_timer_is_adjusted_by_any_span() {
    check(300, (any_when(), any_when()), |(first, by)| {
        paused_runtime().block_on(async {
            let kernel = testing::kernel();
            let rang = Rc::new(Cell::new(0));
            let count = rang.clone();
            Session::builder(())
                .on(START, move |cx, ()| -> HandlerResult {
                    let id = cx.delay_set(RANG, first.delta(), 0);
                    let at = cx.alarm_adjust(id, by.delta())?;
                    let again = cx.alarm_adjust(id, Duration::ZERO)?;
                    assert_eq!(at, again);
                    assert_eq!(cx.alarm_remove(id)?.due, at);
                    cx.delay_set(AGAIN, by.delta(), 0);
                    cx.delay(AGAIN, first.delta(), 1);
                    assert_eq!(cx.alarm_clear("again"), 1);
                    Ok(())
                })
                .on(RANG, move |_, _| count.set(count.get() + 1))
                .create(&kernel)
                .unwrap();
            testing::run_for(&kernel, WINDOW).await.unwrap();
            assert_eq!(rang.get(), 0, "it was removed");
            assert_eq!(kernel.session_count(), 0);
        });
        Ok(())
    });
}

/// The system's own clock and timer: what is never due does not ring at once, and is no busy loop.
#[tokio::test]
async fn a_timer_that_is_never_due_does_not_ring() {
    for slack in [Duration::ZERO, ms(2), Duration::MAX] {
        let kernel = Kernel::builder().timer_slack(slack).build();
        Session::builder(())
            .on(START, |cx, ()| {
                for never in [f64::INFINITY, 1e300, f64::MAX, 1.7e29, 1e12] {
                    cx.delay_set(RANG, never, 0);
                }
                cx.delay_set(RANG, Duration::MAX, 0);
                for now in [f64::NEG_INFINITY, -1e300, f64::NAN, 0.0] {
                    cx.delay_set(AGAIN, now, 0);
                }
            })
            .on(RANG, |_, _| say("rang"))
            .on(AGAIN, |_, _| say("now"))
            .create(&kernel)
            .unwrap();
        let still_waiting = tokio::time::timeout(ms(100), kernel.run()).await;
        assert!(still_waiting.is_err(), "its timers keep the session");
        // With no limit to their lateness timers need not ring, but a shutdown ends.
        let at_once = said();
        assert!(
            slack == Duration::MAX || at_once == ["now"; 4],
            "{slack:?}: {at_once:?}"
        );
        assert!(!at_once.contains(&"rang".to_owned()));
        assert!(kernel.shutdown(Duration::MAX).await.is_clean());
    }
}

/// Every other setting that is a time, a factor or a count.
#[test]
fn settings_take_times_of_any_size() {
    check(
        40,
        (any_span(), any_span(), any_seconds(), any::<u32>()),
        |(span, other, factor, count)| {
            let backoff = Backoff::new().first(span).longest(other).factor(factor).jitter(factor);
            for failures in [0, 1, count, u32::MAX] {
                let wait = backoff.wait(failures).expect("there is no limit of attempts");
                prop_assert!(wait <= other);
            }
            paused_runtime().block_on(async {
                let builder = Kernel::builder()
                    .slice(span)
                    .timer_slack(other)
                    .report_slow_handlers(span);
                let kernel = builder.budget(count).build();
                let client = TcpClient::builder("127.0.0.1:1")
                    .connect_timeout(span)
                    .linger(span)
                    .backoff(backoff);
                let client = client.start(&kernel).unwrap();
                let server = TcpServer::builder("127.0.0.1:0").linger(span);
                let server = server.start(&kernel).await.unwrap();
                client.shutdown();
                server.shutdown();
                kernel.shutdown(span).await;
                let kernel = testing::kernel();
                Session::builder(None::<Splice>)
                    .on(START, move |cx, ()| -> HandlerResult {
                        let wheel = || ReadWrite::builder(tokio::io::duplex(8).0).start(cx);
                        wheel()?.close(span);
                        *cx.heap = Some(splice(wheel()?, wheel()?).drain_timeout(span).start(cx)?);
                        cx.delay("end", ms(1), ());
                        Ok(())
                    })
                    .on("end", |cx, ()| *cx.heap = None)
                    .create(&kernel)
                    .unwrap();
                testing::run_for(&kernel, span).await.unwrap();
            });
            Ok(())
        },
    );
}

/// The same of wheels on files and programs, of a machine's timers, and of hand-shakes.
#[cfg(unix)]
#[test]
fn wheels_and_machines_take_times_of_any_size() {
    use poe::Nfa;
    use poe::filter::Line;
    use poe::wheel::{FollowTail, Input, Run};
    const LINE: Event<Input<String>> = Event::new("line");
    const ENTER: Event<()> = Event::new("enter");
    const LATE: Event<()> = Event::new("late");
    check(10, (any_span(), any_seconds()), |(span, seconds)| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let kernel = Kernel::new();
            Session::builder(None::<(FollowTail, Run)>)
                .on(START, move |cx, ()| -> HandlerResult {
                    let tail = FollowTail::builder(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
                        .poll_interval(span)
                        .input(Line::new(), LINE);
                    let run = Run::shell("exec sleep 3600").no_stdin().start(cx)?;
                    run.stop(span);
                    *cx.heap = Some((tail.start(cx)?, run));
                    cx.delay("end", ms(20), ());
                    Ok(())
                })
                .on("end", |cx, ()| *cx.heap = None)
                .create(&kernel)
                .unwrap();
            Nfa::builder(())
                .state("waiting", move |s| {
                    s.on(ENTER, move |cx, ()| {
                        cx.state_timeout(LATE, seconds, ());
                        cx.state_timeout(LATE, span, ());
                        // It is there, unless the time was over at once.
                        let _ = cx.state_timeout_clear(LATE);
                    })
                    .on(LATE, |_, ()| ())
                })
                .enter("waiting", ENTER, ())
                .start(&kernel)
                .unwrap();
            let ran = tokio::time::timeout(Duration::from_secs(60), kernel.run()).await;
            ran.expect("it ends").unwrap();
        });
        Ok(())
    });
}
