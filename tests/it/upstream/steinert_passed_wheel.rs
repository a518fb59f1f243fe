//! `t/90_regression/steinert-passed-wheel.t`: a wheel that travels as an event's argument is gone when the handler is, and
//! holds its session no longer.

use crate::laws_kit::*;
use poe::event::{START, STOP};
use poe::filter::Line;
use poe::wheel::{Input, ReadWrite};
use poe::{Event, HandlerResult, Reply, Session};

const INPUT: Event<Input<String>> = Event::new("got_input");
const DESTRUCTO: Event<ReadWrite> = Event::new("destructo");

#[tokio::test(start_paused = true)]
async fn a_wheel_as_an_argument_dies_in_time() {
    let kernel = kernel();
    let (near, far) = tokio::io::duplex(64);
    let near = std::cell::Cell::new(Some(near));
    Session::builder(())
        .on(START, move |cx, ()| -> HandlerResult {
            let near = near.take().unwrap();
            let wheel = ReadWrite::builder(near).input(Line::new(), INPUT).start(cx)?;
            cx.yield_to(DESTRUCTO, wheel);
            Ok(())
        })
        .on(INPUT, |_, _| ())
        .on(DESTRUCTO, |cx, _wheel| {
            say(format!(
                "{} wheel",
                cx.snapshot().session(cx.session_id()).unwrap().wheels.len()
            ));
        })
        .on(STOP, |_, ()| say("normal shutdown"))
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["1 wheel", "normal shutdown"]);
    drop(far);
}

/// Its handler may even answer with it: nobody asked, so the answer is dropped.
#[tokio::test(start_paused = true)]
async fn a_wheel_that_is_returned_dies_in_time() {
    let kernel = kernel();
    let (near, _far) = tokio::io::duplex(64);
    let near = std::cell::Cell::new(Some(near));
    Session::builder(())
        .on(START, move |cx, ()| -> HandlerResult {
            let near = near.take().unwrap();
            let wheel = ReadWrite::builder(near).input(Line::new(), INPUT).start(cx)?;
            cx.yield_to("destructo", wheel);
            Ok(())
        })
        .on(INPUT, |_, _| ())
        .on("destructo", |_, wheel: ReadWrite| Reply(wheel))
        .on(STOP, |_, ()| say("normal shutdown"))
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["normal shutdown"]);
}
