//! Timers by ID: setting, adjusting, removing, all of them at once, and the errors.

use super::{Cx, epoch, errno, is_about, kernel, seconds, soon};
use poe::event::{START, STOP};
use poe::{AnyArg, Error, Session, TimerId, inspect::Timer};
use std::cell::Cell;
use std::rc::Rc;
use std::time::SystemTime;

/// An epoch that this test will not see.
const FAR: i64 = 4_000_000_000;

fn answer<T>(what: &str, result: Result<T, Error>, show: impl Fn(T) -> String) {
    match result {
        Ok(value) => out!("{what}: {}", show(value)),
        Err(e) => out!("{what}: undef, error {}", errno(&e)),
    }
}

fn adjusted(what: &str, result: Result<SystemTime, Error>) {
    answer(what, result, seconds);
}

fn text(arg: AnyArg) -> String {
    arg.downcast::<&'static str>().unwrap_or("").to_owned()
}

fn list(alarm: Timer) -> String {
    format!("{} {} [{}]", alarm.event, seconds(alarm.due), text(alarm.arg))
}

fn about(what: &str, time: SystemTime, from_now: u64) {
    let found = if is_about(time, from_now) {
        format!("now + {from_now}")
    } else {
        seconds(time)
    };
    out!("{what}: {found}");
}

fn by_id(cx: &mut Cx<'_>, foreign: TimerId) -> TimerId {
    out!("== IDs");
    let ids = [
        cx.alarm_set("e", epoch(FAR), ()),
        cx.delay_set("e", 1000.0, ()),
        cx.alarm_set("e", epoch(FAR), ()),
    ];
    out!(
        "positive: {}",
        if ids.iter().any(|id| id.get() == 0) {
            "no"
        } else {
            "yes"
        }
    );
    out!(
        "growing: {}",
        if ids.is_sorted_by(|a, b| a.get() < b.get()) {
            "yes"
        } else {
            "no"
        }
    );
    out!("removed {}", cx.alarm_remove_all().len());

    out!("== removing");
    let r = cx.alarm_set("r", epoch(FAR), "1 2 three");
    out!("list: {}", list(cx.alarm_remove(r).unwrap()));
    let r = cx.alarm_set("s", epoch(FAR), "");
    out!("scalar: {}", list(cx.alarm_remove(r).unwrap()));
    answer("again", cx.alarm_remove(r), list);
    let r = cx.delay_set("t", 1000.0, "x");
    let alarm = cx.alarm_remove(r).unwrap();
    let at = if is_about(alarm.due, 1000) {
        "at now + 1000".to_owned()
    } else {
        seconds(alarm.due)
    };
    out!("a delay: {} {at} [{}]", alarm.event, text(alarm.arg));

    out!("== adjusting");
    let a = cx.alarm_set("a", epoch(FAR), ());
    adjusted("alarm_adjust +5", cx.alarm_adjust(a, 5.0));
    adjusted("alarm_adjust -7", cx.alarm_adjust(a, -7.0));
    adjusted("alarm_adjust 0", cx.alarm_adjust(a, 0.0));
    about("delay_adjust of an alarm", cx.delay_adjust(a, 500.0).unwrap(), 500);
    let d = cx.delay_set("d", 1000.0, ());
    about("alarm_adjust of a delay", cx.alarm_adjust(d, -100.0).unwrap(), 900);
    cx.alarm_remove_all();

    out!("== errors");
    answer("alarm_remove of a foreign one", cx.alarm_remove(foreign), list);
    adjusted("alarm_adjust of a foreign one", cx.alarm_adjust(foreign, 1.0));
    adjusted("[D2] delay_adjust of a foreign one", cx.delay_adjust(foreign, 1.0));
    let gone = cx.alarm_set("gone", epoch(FAR), ());
    cx.alarm_remove(gone).unwrap();
    answer("alarm_remove of a removed one", cx.alarm_remove(gone), list);
    adjusted("alarm_adjust of a removed one", cx.alarm_adjust(gone, 1.0));
    adjusted("[D2] delay_adjust of a removed one", cx.delay_adjust(gone, 1.0));

    out!("== all at once, in due order");
    cx.alarm_set("third", epoch(FAR + 3), "c");
    cx.alarm_set("first", epoch(FAR + 1), "a");
    cx.alarm_set("second", epoch(FAR + 2), "b");
    cx.alarm_set("first_again", epoch(FAR + 1), "a a");
    cx.yield_to("posted", ());
    for alarm in cx.alarm_remove_all() {
        out!("[D3] {}", list(alarm));
    }
    cx.delay("by_name", 5000.0, ());
    let record = cx.alarm_remove_all().remove(0);
    out!(
        "[D3] a delay: {} {}",
        record.event,
        if is_about(record.due, 5000) {
            "at now + 5000"
        } else {
            "at another time"
        }
    );
    out!("nothing left: {}", cx.alarm_remove_all().len());

    out!("== fired");
    cx.delay_set("fired", soon(20), ())
}

pub(crate) async fn play() {
    let kernel = kernel();
    let foreign = Rc::new(Cell::new(None));
    let (setter, owner) = (foreign.clone(), foreign.clone());
    Session::builder(())
        .on(START, move |cx, ()| {
            setter.set(Some(cx.alarm_set("never", epoch(FAR), "")));
            cx.alias_set("owner").unwrap();
        })
        .on("never", |_, _: &'static str| out!("never!"))
        .on("let_go", move |cx, ()| {
            let gone = cx.alarm_remove(owner.get().unwrap()).unwrap();
            out!("the owner removes its own: {}", list(gone));
            cx.alias_remove("owner").unwrap();
        })
        .on(STOP, |_, ()| ())
        .create(&kernel)
        .unwrap();
    let fired = Rc::new(Cell::new(None));
    let firing = fired.clone();
    Session::builder(())
        .on(START, move |cx, ()| fired.set(Some(by_id(cx, foreign.get().unwrap()))))
        .on("posted", |_, ()| out!("a posted event is no timer: it arrives"))
        .on("fired", move |cx, ()| {
            let fired = firing.get().unwrap();
            answer("alarm_remove of the one that fires", cx.alarm_remove(fired), list);
            adjusted("alarm_adjust of the one that fires", cx.alarm_adjust(fired, 1.0));
            cx.post("owner", "let_go", ()).unwrap();
        })
        .on(STOP, |_, ()| ())
        .create(&kernel)
        .unwrap();
    kernel.run().await.unwrap();
}
