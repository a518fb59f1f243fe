//! `POE::Test::Loops::k_aliases`

use crate::laws_kit::*;
use poe::event::{START, STOP};
use poe::{HandlerResult, Session, Signal};

#[tokio::test(start_paused = true)]
async fn aliases_are_set_again_resolved_and_listed() {
    let kernel = kernel();
    Session::builder((0, 0))
        .on(START, |cx, ()| -> HandlerResult {
            cx.sig("IDLE", "sigidle");
            cx.sig("ZOMBIE", "sigzombie");
            let me = cx.session_id();
            cx.alias_set("new name")?;
            cx.alias_set("new name")?;
            assert_eq!(cx.alias_resolve(me)?, me);
            assert_eq!(cx.alias_resolve("new name")?, me);
            assert!(cx.alias_resolve("nonexistent").unwrap_err().is_no_such_session());
            assert!(cx.is_alive(me) && cx.is_alive(cx.kernel_id()));
            assert_eq!(cx.alias_list(), ["new name"]);
            cx.alias_set("second name")?;
            let mut both = cx.alias_list_of(me)?;
            both.sort();
            assert_eq!(both, ["new name", "second name"]);
            Ok(())
        })
        .on("sigidle", |cx, _: Signal| {
            cx.heap.0 += 1;
            cx.sig_handled();
        })
        .on("sigzombie", |cx, _: Signal| {
            cx.heap.1 += 1;
            cx.sig_handled();
        })
        .on(STOP, |cx, ()| say(format!("{:?}", *cx.heap)))
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    // One of each; that they are handled does not keep it.
    assert_eq!(said(), ["(1, 1)"]);
}

#[tokio::test(start_paused = true)]
async fn a_removed_alias_holds_no_session_until_idle() {
    let kernel = kernel();
    life("S", |cx| {
        cx.alias_set("a_sample_alias").unwrap();
        cx.alias_remove("a_sample_alias").unwrap();
        cx.sig("IDLE", "sig");
        cx.sig("ZOMBIE", "sig");
    })
    .on("sig", |_, signal: Signal| say(signal.name()))
    .create(&kernel)
    .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["S stop"]);
}
