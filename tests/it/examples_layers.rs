//! The examples stages and classes: layers on top of this crate.

use poe::event::START;
use poe::{Event, Kernel, Session, testing};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;
use tokio::time::Instant;

#[allow(dead_code, unreachable_pub, reason = "the example's `main` is not the test's")]
#[path = "../../examples/stages.rs"]
mod stages;

#[allow(dead_code, unreachable_pub, reason = "the example's `main` is not the test's")]
#[path = "../../examples/classes.rs"]
mod classes;

type Log = Rc<RefCell<Vec<String>>>;

/// An app on virtual time with the kitchen of the example, and what it says.
fn kitchen() -> (Kernel, stages::App, stages::Stage<stages::Order, String>, Log) {
    let kernel = testing::kernel();
    let app = stages::App::new(kernel.clone());
    let log = Log::default();
    let said = log.clone();
    let table = stages::kitchen(&app, Duration::from_secs(60), move |line| said.borrow_mut().push(line)).unwrap();
    (kernel, app, table, log)
}

#[tokio::test(start_paused = true)]
async fn a_stage_asks_others_and_replies_or_gives_up() {
    let order = |slices| stages::Order { slices, sugar: true };
    let (_kernel, app, table, log) = kitchen();
    let began = Instant::now();
    let breakfast = app.ask(table, order(2)).await.unwrap();
    assert_eq!(breakfast.as_deref(), Ok("2 slices of toast and a cup with sugar"));
    assert_eq!(began.elapsed(), Duration::from_secs(90));
    assert_eq!(
        *log.borrow(),
        ["an order of 2 slices", "the toaster pops, somebody waits"]
    );

    let (_kernel, app, table, log) = kitchen();
    assert_eq!(app.ask(table, order(5)).await.unwrap(), Err(stages::GivenUp));
    assert_eq!(*log.borrow(), ["an order of 5 slices", "5 slices do not fit"]);
}

/// Below the layer are sessions: one of them asks a stage with a post, and loses interest.
#[tokio::test(start_paused = true)]
async fn a_session_asks_a_stage_with_a_post_and_what_it_gives_up_is_given_up_below() {
    const BREAKFAST: Event<Option<String>> = Event::new("breakfast");
    const LEAVE: Event<poe::TaskId> = Event::new("leave");
    let (kernel, _app, table, log) = kitchen();
    Session::builder(log.clone())
        .on(START, move |cx, ()| {
            for (slices, patience) in [(1, 100.0), (2, 10.0)] {
                let (stage, event, request, reply) = table.event(stages::Order { slices, sugar: false });
                cx.post(stage, event, request).map_err(|error| error.to_string())?;
                let waits = cx.spawn(async { reply.await.ok() }, BREAKFAST);
                cx.delay_set(LEAVE, patience, waits);
            }
            Ok::<_, poe::Failure>(())
        })
        .on(LEAVE, |cx, waits| {
            cx.cancel(waits);
        })
        .on(BREAKFAST, |cx, breakfast| {
            cx.heap.borrow_mut().push(breakfast.unwrap_or_default())
        })
        .create(&kernel)
        .unwrap();
    kernel.run().await.unwrap();
    let expected = [
        "an order of 1 slices",
        "an order of 2 slices",
        "the toaster pops, somebody waits",
        "the toaster pops, nobody waits",
        "1 slices of toast and a cup without sugar",
    ];
    assert_eq!(*log.borrow(), expected);
    testing::assert_no_leaks(&kernel);
}

#[tokio::test(start_paused = true)]
async fn a_structs_methods_are_handlers_and_a_role_adds_to_them() {
    use classes::Class;
    let kernel = testing::kernel();
    let shepherd = classes::Shepherd {
        name: "Cid".to_owned(),
        tired_after: 3,
        ..classes::Shepherd::default()
    };
    let id = shepherd.spawn(&kernel).unwrap();
    let names = testing::run_for(&kernel, Duration::from_millis(1500)).await;
    names.unwrap();
    // Two have been counted; the role's event tells.
    assert_eq!(kernel.call("Cid", Event::<(), usize>::new("lines"), ()).unwrap(), 2);
    kernel.run().await.unwrap();
    assert!(!kernel.is_alive(id));
}
