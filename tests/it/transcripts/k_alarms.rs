//! Timers by name, and what is left, in order, of some hundred that are set, moved and cleared; after POE's `k_alarms`.

use super::{Cx, epoch, kernel, soon};
use poe::event::{START, STOP};
use poe::{HandlerResult, Session};
use std::time::SystemTime;

type Path = (&'static str, fn(&mut Cx<'_>));

fn at() -> SystemTime {
    SystemTime::now() + soon(1000)
}

const PATHS: [Path; 10] = [
    ("one", |cx| cx.alarm("one", at(), "1.1")),
    ("two", |cx| {
        let at = at();
        cx.alarm("two", at, "2.1");
        cx.alarm("two", at, "2.2");
    }),
    ("three", |cx| {
        let at = at();
        cx.alarm_set("three", at, "3.1");
        cx.alarm_set("three", at, "3.2");
    }),
    ("four", |cx| {
        let at = at();
        cx.alarm("four", at, "4.1");
        cx.alarm_set("four", at, "4.2");
        cx.alarm("four", at, "4.3");
        cx.alarm_set("four", at, "4.4");
    }),
    ("five", |cx| {
        cx.alarm("five", at(), "5.1");
        cx.alarm_clear("five");
    }),
    ("six", |cx| cx.delay("six", soon(10), "6.1")),
    ("seven", |cx| {
        cx.delay("seven", soon(10), "7.1");
        cx.delay("seven", soon(10), "7.2");
    }),
    ("eight", |cx| {
        cx.delay_set("eight", soon(10), "8.1");
        cx.delay_set("eight", soon(10), "8.2");
    }),
    ("nine", |cx| {
        cx.delay("nine", soon(10), "9.1");
        cx.delay_set("nine", soon(10), "9.2");
        cx.delay("nine", soon(10), "9.3");
        cx.delay_set("nine", soon(10), "9.4");
    }),
    ("ten", |cx| {
        cx.delay("ten", soon(10), "10.1");
        cx.alarm_clear("ten");
    }),
];

const BASE: i64 = 4_000_000_000;

fn among_many(cx: &mut Cx<'_>) -> HandlerResult {
    let [third, _, first] = [3, 2, 1].map(|n| cx.alarm_set(format!("at 25, {n}"), epoch(BASE + 25), ()));
    cx.alarm_adjust(first, -1.0)?;
    cx.alarm_adjust(third, 1.0)?;
    for n in 0..200 {
        cx.alarm_set(format!("fill {}", n % 7), epoch(BASE + 1 + n * 7919 % 299), ());
    }
    for n in [100, 200, 300, 50, 150, 250, 350, 75, 175] {
        cx.alarm(format!("at {n}"), epoch(BASE + n), ());
    }
    let equal = [1, 2, 3, 4, 5].map(|n| cx.alarm_set(format!("equal {n}"), epoch(BASE + 205), ()));
    cx.alarm_adjust(equal[1], 0.0)?;
    cx.alarm_adjust(equal[0], 10.0)?;
    cx.alarm_adjust(equal[0], -10.0)?;
    cx.alarm_remove(equal[3])?;
    for n in 0..7 {
        cx.alarm_clear(format!("fill {n}"));
    }
    for alarm in cx.alarm_remove_all() {
        let at = alarm.due.duration_since(epoch(BASE)).unwrap();
        out!("{} at {}", alarm.event, at.as_secs());
    }
    Ok(())
}

pub(crate) async fn play() {
    let kernel = kernel();
    for (name, set) in PATHS {
        out!("== path {name}");
        Session::builder(())
            .on(START, move |cx, ()| {
                set(cx);
                out!("{} set", cx.event_count());
            })
            .on(name, |_, id: &'static str| out!("rings: {id}"))
            .on(STOP, |_, ()| out!("_stop"))
            .create(&kernel)
            .unwrap();
        kernel.run().await.unwrap();
    }

    out!("== in order among many");
    Session::builder(())
        .on(START, |cx, ()| among_many(cx))
        .on(STOP, |_, ()| out!("_stop"))
        .create(&kernel)
        .unwrap();
    kernel.run().await.unwrap();
}
