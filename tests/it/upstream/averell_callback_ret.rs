//! `t/90_regression/averell-callback-ret.t`

use crate::laws_kit::*;
use poe::event::{START, STOP};
use poe::{Callback, Event, Reply, Session};

const ANSWER: Event<((), ()), u32> = Event::new("callback_event");

#[tokio::test(start_paused = true)]
async fn a_callback_returns_the_reply_of_its_handler() {
    let kernel = kernel();
    Session::builder(None::<Callback<(), (), u32>>)
        .on(START, |cx, ()| {
            *cx.heap = Some(cx.callback(ANSWER, ()));
            cx.yield_to("try_callback", ());
        })
        .on("try_callback", |cx, ()| {
            let callback = cx.heap.take().unwrap();
            say(callback.call(cx, ()).unwrap());
        })
        .on(ANSWER, |_, _| Reply(42))
        .on(STOP, |_, ()| say("stop"))
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["42", "stop"]);
}
