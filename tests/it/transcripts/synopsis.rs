//! Ten sessions, each counts to ten by yielding to itself: the first program of POE's manual.

use super::kernel;
use poe::event::{START, STOP};
use poe::{Session, States};

pub(crate) async fn play() {
    let kernel = kernel();
    let counter = States::<u32>::new()
        .on(START, |cx, ()| {
            out!("Session {} has started.", cx.session_id());
            cx.yield_to("increment", ());
        })
        .on("increment", |cx, ()| {
            *cx.heap += 1;
            out!("Session {} counted to {}.", cx.session_id(), *cx.heap);
            if *cx.heap < 10 {
                cx.yield_to("increment", ());
            }
        })
        .on(STOP, |cx, ()| out!("Session {} has stopped.", cx.session_id()));
    for _ in 0..10 {
        Session::builder(0).inline_states(&counter).create(&kernel).unwrap();
    }
    kernel.run().await.unwrap();
}
