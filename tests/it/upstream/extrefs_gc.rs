//! `t/20_resources/00_base/extrefs_gc.pm`

use crate::laws_kit::*;
use poe::Signal;
use poe::event::{START, STOP};

#[tokio::test(start_paused = true)]
async fn a_bystander_whose_last_count_goes_in_a_stop_ends_before_idle() {
    let kernel = kernel();
    let bystander = life("bystander", |cx| {
        cx.refcount_increment(cx.session_id(), "just hold me").unwrap();
    })
    .create(&kernel)
    .unwrap();
    life("idler", |cx| {
        cx.sig("IDLE", "got_sigidle");
        cx.alias_set("stayin_alive").unwrap();
    })
    .on("got_sigidle", |_, _: Signal| say("idle"))
    .create(&kernel)
    .unwrap();
    poe::Session::builder(())
        .on(START, |cx, ()| {
            let me = cx.session_id();
            assert_eq!(cx.refcount_increment(me, "just hold me").unwrap(), 1);
            assert_eq!(cx.refcount_decrement(me, "just hold me").unwrap(), 0);
            cx.yield_to("do_something", ());
        })
        .on("do_something", |_, ()| say("runs"))
        .on(STOP, move |cx, ()| {
            say("holder stop");
            cx.refcount_decrement(bystander, "just hold me").unwrap();
        })
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["runs", "holder stop", "bystander stop", "idle", "idler stop"]);
}
