//! POE's rt23181-sigchld-rc: to withdraw a wait that never was is harmless.

use poe::Session;
use poe::event::{START, STOP};
use std::cell::Cell;
use std::rc::Rc;

#[tokio::test(start_paused = true)]
async fn to_withdraw_a_wait_that_never_was_is_harmless() {
    let kernel = crate::laws_kit::kernel();
    let stopped = Rc::new(Cell::new(false));
    let flag = stopped.clone();
    Session::builder(())
        .on(START, |cx, ()| cx.yield_to("test", ()))
        .on("test", |cx, ()| assert!(!cx.sig_child_clear(12)))
        .on(STOP, move |_, ()| flag.set(true))
        .create(&kernel)
        .unwrap();
    crate::laws_kit::run(&kernel).await;
    assert!(stopped.get());
}
