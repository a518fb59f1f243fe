//! `POE::Test::Loops::k_alarms`

use crate::laws_kit::*;
use poe::event::{DEFAULT, START};
use poe::{Context, HandlerResult, Session, TimerId};
use std::time::SystemTime;

fn wait() -> SystemTime {
    SystemTime::now() + ms(500)
}

/// What the numbered timers of a path said, in order.
async fn paths(name: &'static str, set: impl Fn(&mut Cx<'_>) + 'static) -> Vec<String> {
    let kernel = kernel();
    echo(set)
        .on(name, |_, id: &'static str| say(id))
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    said()
}

#[tokio::test(start_paused = true)]
async fn a_single_alarm_rings() {
    assert_eq!(paths("one", |cx| cx.alarm("one", wait(), "1.1")).await, ["1.1"]);
}

#[tokio::test(start_paused = true)]
async fn a_second_alarm_supersedes_the_first() {
    let rang = paths("two", |cx| {
        cx.alarm("two", wait(), "2.1");
        cx.alarm("two", wait(), "2.2");
    });
    assert_eq!(rang.await, ["2.2"]);
}

#[tokio::test(start_paused = true)]
async fn added_alarms_ring_in_order() {
    let rang = paths("three", |cx| {
        let at = wait();
        cx.alarm_set("three", at, "3.1");
        cx.alarm_set("three", at, "3.2");
    });
    assert_eq!(rang.await, ["3.1", "3.2"]);
}

#[tokio::test(start_paused = true)]
async fn alarm_clears_added_ones_and_alarm_add_adds_to_it() {
    let rang = paths("four", |cx| {
        let at = wait();
        cx.alarm("four", at, "4.1");
        cx.alarm_set("four", at, "4.2");
        cx.alarm("four", at, "4.3");
        cx.alarm_set("four", at, "4.4");
    });
    assert_eq!(rang.await, ["4.3", "4.4"]);
}

#[tokio::test(start_paused = true)]
async fn a_cleared_alarm_or_delay_does_not_ring() {
    let rang = paths("five", |cx| {
        cx.alarm("five", wait(), "5.1");
        assert_eq!(cx.alarm_clear("five"), 1);
        cx.delay("five", ms(500), "10.1");
        assert_eq!(cx.alarm_clear("five"), 1);
    });
    assert_eq!(rang.await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn delays_ring_supersede_and_add_like_alarms() {
    let rang = paths("six", |cx| cx.delay("six", ms(500), "6.1"));
    assert_eq!(rang.await, ["6.1"]);
    let rang = paths("seven", |cx| {
        cx.delay("seven", ms(500), "7.1");
        cx.delay("seven", ms(500), "7.2");
    });
    assert_eq!(rang.await, ["7.2"]);
    let rang = paths("eight", |cx| {
        cx.delay_set("eight", ms(500), "8.1");
        cx.delay_set("eight", ms(500), "8.2");
    });
    assert_eq!(rang.await, ["8.1", "8.2"]);
    let rang = paths("nine", |cx| {
        cx.delay("nine", ms(500), "9.1");
        cx.delay_set("nine", ms(500), "9.2");
        cx.delay("nine", ms(500), "9.3");
        cx.delay_set("nine", ms(500), "9.4");
    });
    assert_eq!(rang.await, ["9.3", "9.4"]);
}

/// Path eleven: timers among six hundred others stand in due order, also those that were moved past their equals.
#[tokio::test(start_paused = true)]
async fn alarms_are_kept_in_order_among_many() {
    let kernel = kernel();
    Session::builder(())
        .on(START, |cx, ()| -> HandlerResult {
            let at = |second: u64| SystemTime::now() + ms(second * 1000);
            let twenty_five = at(25);
            let [c, b, a] = ["025_3", "025_2", "025_1"].map(|name| cx.alarm_set(name, twenty_five, ()));
            cx.alarm_adjust(a, -0.01)?;
            cx.alarm_adjust(c, 0.01)?;
            let _ = b;
            // Any order will do, as long as it is not theirs.
            let fill: Vec<String> = (0..600).map(|n| format!("fill_{n}")).collect();
            for (n, name) in fill.iter().enumerate() {
                cx.alarm(name, at(1 + n as u64 * 7919 % 299), ());
            }
            for second in [100, 200, 300, 50, 150, 250, 350, 75, 175, 275, 325, 225, 125] {
                cx.alarm(format!("{second:03}"), at(second), ());
            }
            let two_hundred_five = at(205);
            let [c, _, a] = ["206", "205", "204"].map(|name| cx.alarm_set(name, two_hundred_five, ()));
            cx.alarm_adjust(a, -0.01)?;
            cx.alarm_adjust(c, 0.01)?;
            for name in &fill {
                assert_eq!(cx.alarm_clear(name), 1);
            }
            let left: Vec<String> = cx.alarm_remove_all().iter().map(|a| a.event.to_string()).collect();
            assert_eq!(
                left,
                [
                    "025_1", "025_2", "025_3", "050", "075", "100", "125", "150", "175", "200", "204", "205", "206",
                    "225", "250", "275", "300", "325", "350"
                ]
            );
            Ok(())
        })
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
}

type Delays<'k> = Context<'k, Vec<TimerId>>;

/// The second half of the file: timers by ID, removed one by one, then all.
#[tokio::test(start_paused = true)]
async fn a_removed_alarm_comes_back_with_all_it_was_set_with() {
    let kernel = kernel();
    Session::builder(Vec::new())
        .on(START, |cx: &mut Delays<'_>, ()| -> HandlerResult {
            let at = wait();
            let ids = [1_u32, 2, 3].map(|n| cx.alarm_set("test", at, n));
            let mut alarm = cx.alarm_remove(ids[1])?;
            assert_eq!((alarm.event.as_str(), alarm.id), ("test", ids[1]));
            assert_eq!(alarm.arg.take::<u32>(), Some(2));
            let apart = alarm.due.duration_since(at).unwrap_or_else(|e| e.duration());
            assert!(apart < ms(2));
            assert!(cx.alarm_remove(ids[1]).unwrap_err().is_no_such_timer());
            let left: Vec<_> = cx.alarm_remove_all().into_iter().map(|a| a.id).collect();
            assert_eq!(left, [ids[0], ids[2]]);
            Ok(())
        })
        .on(DEFAULT, |_, unhandled| say(unhandled.event))
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["_stop"]);
}

/// A time since the epoch in seconds, which may lie before it.
fn since_epoch(time: SystemTime) -> i64 {
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => after.as_secs_f64().round() as i64,
        Err(before) => -(before.duration().as_secs_f64().round() as i64),
    }
}

/// Alarms of the years about 1970 are overdue, and ring in the order of their times after they were moved about.
#[tokio::test(start_paused = true)]
async fn overdue_alarms_are_moved_and_ring_in_their_order() {
    let kernel = kernel();
    Session::builder(())
        .on(START, |cx, ()| {
            cx.alarm_set("test_13", epoch(1), 13);
        })
        .on("test_13", |cx, n: i32| -> HandlerResult {
            assert_eq!(n, 13);
            cx.delay("test_16", ms(500), 16);
            cx.delay("test_17", ms(500), 17);
            assert_eq!(cx.alarm_remove_all().len(), 2);

            let mut filler = Vec::new();
            for (n, at, moves) in [
                (18, 50, &[(-1.0, 49), (1.0, 50)][..]),
                (19, 52, &[(-4.0, 48), (4.0, 52)]),
                (20, 49, &[(2.0, 51), (2.0, 53), (-2.0, 51)]),
                (21, 50, &[(-10.0, 40), (20.0, 60), (-100.0, -40)]),
                (22, 50, &[(100.0, 150)]),
            ] {
                if n == 21 {
                    filler.extend((1..=100).map(|at| cx.alarm_set("filler", epoch(at), 0)));
                }
                let id = cx.alarm_set(format!("test_{n}"), epoch(at), n);
                for (by, new) in moves {
                    assert_eq!(since_epoch(cx.alarm_adjust(id, *by)?), *new, "alarm {n} by {by}");
                }
            }
            for id in filler {
                cx.alarm_remove(id)?;
            }
            Ok(())
        })
        .on(DEFAULT, |_, mut unhandled| {
            if unhandled.event.starts_with("test_") {
                say(unhandled.arg.take::<i32>().unwrap());
            }
        })
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["21", "18", "20", "19", "22"]);
}
