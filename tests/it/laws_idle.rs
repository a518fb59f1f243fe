//! Laws F: IDLE and ZOMBIE.

use crate::laws_kit::*;
use poe::event::START;
use poe::{Context, Session, SessionBuilder, Signal};
use std::time::Duration;

/// A session with an alias that logs IDLE (with a count) and ZOMBIE, and runs an action on IDLE.
fn listener(idle: impl Fn(&mut Context<'_, u32>) + 'static) -> SessionBuilder<u32> {
    Session::builder(0)
        .on(START, |cx, ()| {
            cx.alias_set("listener").unwrap();
            cx.sig("IDLE", "idle");
            cx.sig("ZOMBIE", "zombie");
        })
        .on("idle", move |cx, _: Signal| {
            *cx.heap += 1;
            say(format!("idle {}", *cx.heap));
            idle(cx);
        })
        .on("zombie", |cx, _: Signal| {
            say("zombie");
            cx.sig_handled();
        })
        .on("event", |_, ()| say("event"))
        .on(poe::event::STOP, |_, ()| say("stop"))
}

#[tokio::test(start_paused = true)]
async fn l40_idle_is_when_nothing_is_queued_watched_held_or_spawned() {
    let kernel = kernel();
    let id = listener(|_| ()).create(&kernel).unwrap();
    life("timer", lives(10)).create(&kernel).unwrap();
    life("releases", |cx| cx.delay("go", ms(20), ()))
        .on("go", move |cx, ()| cx.refcount_decrement(id, "busy").map(drop))
        .create(&kernel)
        .unwrap();
    life("works", |cx| {
        cx.spawn(tokio::time::sleep(ms(30)), "bye");
    })
    .create(&kernel)
    .unwrap();
    kernel.refcount_increment(id, "busy").unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["timer stop", "releases stop", "works stop", "idle 1", "stop"]);
}

#[tokio::test(start_paused = true)]
async fn l41_unhandled_idle_stops_all_and_one_who_handles_it_saves_all() {
    let kernel = kernel();
    life("P", |cx| {
        cx.alias_set("P").unwrap();
        cx.create(life("C", |cx| cx.alias_set("C").unwrap())).unwrap();
    })
    .create(&kernel)
    .unwrap();
    said();
    run(&kernel).await;
    assert_eq!(said(), ["C stop", "P lose C (C stopped)", "P stop"]);

    life("saved", |cx| cx.alias_set("saved").unwrap())
        .create(&kernel)
        .unwrap();
    listener(|cx| {
        if *cx.heap == 1 {
            cx.sig_handled();
            cx.delay("event", ms(10), ());
        }
    })
    .create(&kernel)
    .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["idle 1", "event", "idle 2", "stop", "saved stop"]);
}

#[tokio::test(start_paused = true)]
async fn l42_zombie_comes_when_handling_idle_was_in_vain() {
    let kernel = kernel();
    listener(|cx| cx.sig_handled()).create(&kernel).unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["idle 1", "zombie", "stop"]);
    // A post averts it, an extra reference comes too late, and IDLE recurs at each later idleness.
    listener(|cx| {
        cx.sig_handled();
        if *cx.heap == 1 {
            cx.yield_to("event", ());
        } else {
            cx.refcount_increment(cx.session_id(), "late").unwrap();
        }
    })
    .create(&kernel)
    .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["idle 1", "event", "idle 2", "zombie", "stop"]);
    // A post alone does not save a session that did not handle IDLE.
    listener(|cx| cx.yield_to("event", ())).create(&kernel).unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["idle 1", "stop"]);
}

#[tokio::test(start_paused = true)]
async fn l43_slices_from_outside_never_make_a_zombie() {
    let kernel = kernel();
    listener(|cx| {
        if *cx.heap < 4 {
            cx.sig_handled();
        }
    })
    .create(&kernel)
    .unwrap();
    while kernel.run_one_timeslice().await.unwrap() {}
    assert_eq!(said(), ["idle 1", "idle 2", "idle 3", "idle 4", "stop"]);
}

/// Law L6's exception holds for the slice of IDLE as for others.
#[tokio::test(start_paused = true)]
async fn l6_a_timer_that_a_handler_of_idle_sets_into_the_past_runs_in_its_slice() {
    let kernel = kernel();
    listener(|cx| {
        if *cx.heap == 1 {
            cx.sig_handled();
            cx.delay("overdue", -1.0, ());
        }
    })
    .on("overdue", |_, ()| say("overdue"))
    .create(&kernel)
    .unwrap();
    let mut lines = said();
    while lines.is_empty() {
        assert!(kernel.run_one_timeslice().await.unwrap());
        lines = said();
    }
    assert_eq!(lines, ["idle 1", "overdue"]);
    kernel.stop_all().unwrap();
    said();
}

/// The half about extra references; that a paused or dead watched descriptor is not idle either belongs to the tests of
/// what watches them.
#[tokio::test(start_paused = true)]
async fn l44_a_reference_count_keeps_the_kernel_from_idle() {
    let kernel = kernel();
    let id = listener(|_| ()).create(&kernel).unwrap();
    kernel.refcount_increment(id, "forgotten").unwrap();
    let forever = tokio::time::timeout(Duration::from_secs(86_400), kernel.run()).await;
    assert!(forever.is_err(), "it would wait for ever");
    assert!(said().is_empty());
    kernel.refcount_decrement(id, "forgotten").unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["idle 1", "stop"]);
}
