//! Futures, streams and blocking work whose results arrive as events.

use crate::laws_kit::*;
use poe::event::{START, STOP};
use poe::{Session, Signal, TaskId};
use tokio::time::sleep;

#[tokio::test(start_paused = true)]
async fn a_futures_result_arrives_as_an_event_and_holds_the_session_until_then() {
    let kernel = kernel();
    life("S", |cx| {
        cx.spawn(
            async {
                sleep(ms(20)).await;
                7_u32
            },
            "done",
        );
    })
    .on("done", |_, n: u32| say(n))
    .create(&kernel)
    .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["7", "S stop"]);
}

#[tokio::test(start_paused = true)]
async fn a_streams_items_arrive_in_order_and_then_its_end() {
    let kernel = kernel();
    life("S", |cx| {
        cx.attach(futures_util::stream::iter(["a", "b", "c"]), "item");
    })
    .on("item", |_, item: Option<&'static str>| say(item.unwrap_or("end")))
    .create(&kernel)
    .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["a", "b", "c", "end", "S stop"]);
}

#[tokio::test]
async fn blocking_work_is_done_on_another_thread() {
    let kernel = poe::Kernel::new();
    let here = std::thread::current().id();
    life("S", |cx| {
        cx.blocking(|| std::thread::current().id(), "done");
    })
    .on("done", move |_, there: std::thread::ThreadId| say(there == here))
    .create(&kernel)
    .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["false", "S stop"]);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_panics_is_its_sessions_die() {
    let kernel = kernel();
    life("S", |cx| {
        cx.sig("DIE", "die");
        cx.spawn(async { panic!("in the task") }, "done");
    })
    .on("done", |_, ()| say("never"))
    .on("die", |cx, signal: Signal| {
        say(&signal.die().unwrap().failure);
        cx.sig_handled();
    })
    .create(&kernel)
    .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["panicked: in the task", "S stop"]);
}

/// Logs its drop.
struct Guard;

impl Drop for Guard {
    fn drop(&mut self) {
        say("future dropped");
    }
}

async fn endless(_guard: Guard) {
    std::future::pending::<()>().await;
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_task_is_dropped_at_once_and_holds_no_more() {
    let kernel = kernel();
    Session::builder(None::<TaskId>)
        .on(START, |cx, ()| {
            *cx.heap = Some(cx.spawn(endless(Guard), "done"));
            cx.delay("cancel", ms(5), ());
        })
        .on("cancel", |cx, ()| {
            let id = cx.heap.take().unwrap();
            assert!(cx.cancel(id));
            assert!(!cx.cancel(id));
            say("cancelled");
        })
        .on(STOP, |_, ()| say("stop"))
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["future dropped", "cancelled", "stop"]);
}

#[tokio::test(start_paused = true)]
async fn a_task_ends_with_its_session() {
    let kernel = kernel();
    life("S", |cx| {
        cx.spawn(endless(Guard), "done");
    })
    .create(&kernel)
    .unwrap();
    assert!(tokio::time::timeout(ms(10), kernel.run()).await.is_err());
    kernel.stop_all().unwrap();
    assert_eq!(said(), ["S stop", "future dropped"]);
}
