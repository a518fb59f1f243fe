//! `t/10_units/06_queues/01_array.t`, by what a session sees of the queue: its timers. The priorities are milliseconds.

use crate::laws_kit::*;
use poe::event::DEFAULT;
use poe::{AlarmId, Session};
use std::cell::Cell;
use std::rc::Rc;

fn sets(cx: &Cx<'_>, events: &[(&'static str, u64)]) -> Vec<AlarmId> {
    events
        .iter()
        .map(|(name, at)| cx.delay_set(*name, ms(*at), ()))
        .collect()
}

fn names(alarms: &[poe::Alarm]) -> Vec<String> {
    alarms.iter().map(|a| a.event.to_string()).collect()
}

#[tokio::test(start_paused = true)]
async fn it_dequeues_by_priority_and_numbers_go_on() {
    let kernel = kernel();
    echo(|cx| {
        let ids = sets(cx, &[("one", 1), ("tre", 3), ("two", 2)]);
        let serials: Vec<u64> = ids.iter().map(|id| id.get()).collect();
        assert_eq!(serials, [1, 2, 3]);
        assert_eq!(cx.event_count(), 3);
    })
    .create(&kernel)
    .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["one", "two", "tre"]);
}

#[tokio::test(start_paused = true)]
async fn items_are_removed_by_id_by_their_owner_alone_and_once() {
    let kernel = kernel();
    let of_another = Rc::new(Cell::new(None));
    let put = of_another.clone();
    echo(move |cx| put.set(Some(cx.delay_set("e", ms(5), ()))))
        .create(&kernel)
        .unwrap();
    echo(move |cx| {
        let ids = sets(cx, &[("a", 1), ("c", 3), ("b", 2), ("d", 4)]);
        for (id, name) in [(2, "b"), (1, "c"), (3, "d")] {
            assert_eq!(cx.alarm_remove(ids[id]).unwrap().event, *name);
        }
        assert!(
            cx.alarm_remove(of_another.get().unwrap())
                .unwrap_err()
                .is_not_permitted()
        );
        assert!(cx.alarm_remove(ids[3]).unwrap_err().is_no_such_alarm());
    })
    .create(&kernel)
    .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["a", "e"]);
}

#[tokio::test(start_paused = true)]
async fn items_that_come_to_one_priority_are_first_in_first_out() {
    let kernel = kernel();
    echo(|cx| {
        let ids = sets(cx, &[("a", 10), ("b", 20), ("c", 30), ("d", 40), ("e", 50), ("f", 60)]);
        cx.alarm_adjust(ids[4], -0.015).unwrap();
        cx.alarm_adjust(ids[1], 0.015).unwrap();
        // `e` got there first, `b` second.
        assert_eq!(names(&cx.alarm_remove_all()), ["a", "c", "e", "b", "d", "f"]);
    })
    .create(&kernel)
    .unwrap();
    run(&kernel).await;
}

/// A thousand in no order, all moved, half of them each way first.
async fn thousand(moves: impl Fn(&Cx<'_>, AlarmId, u64) + 'static, shift: i64) {
    let kernel = kernel();
    let began = tokio::time::Instant::now();
    Session::builder(())
        .on(poe::event::START, move |cx, ()| {
            let shuffled = (0..1000_u64).map(|n| 2000 + n * 387 % 1000);
            let ids: Vec<_> = shuffled.map(|at| (cx.delay_set("item", ms(at), at), at)).collect();
            for odd in [0, 1] {
                for (id, at) in ids.iter().filter(|(_, at)| at % 2 == odd) {
                    moves(cx, *id, *at);
                }
            }
        })
        .on("item", move |_, at: u64| {
            let due = ms(at.saturating_add_signed(shift));
            let took = began.elapsed();
            assert!(took >= due && took < due + ms(2), "{at}: {took:?}");
            say(at);
        })
        .on(DEFAULT, |_, _| ())
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(said(), (2000..3000).map(|n| n.to_string()).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_thousand_items_keep_their_order_when_all_are_adjusted() {
    thousand(
        |cx, id, _| {
            cx.alarm_adjust(id, -1.0).unwrap();
        },
        -1000,
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_thousand_items_keep_their_order_when_all_are_set_anew() {
    thousand(
        |cx, id, at| {
            cx.delay_adjust(id, ms(at + 500)).unwrap();
        },
        500,
    )
    .await;
}
