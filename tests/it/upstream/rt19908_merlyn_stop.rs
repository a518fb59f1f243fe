//! `t/90_regression/rt19908-merlyn-stop.t`

use crate::laws_kit::*;
use poe::Session;
use poe::event::{START, STOP};

#[tokio::test(start_paused = true)]
async fn a_failure_in_stop_ends_run_with_it_after_one_stop() {
    let kernel = kernel();
    Session::builder(())
        .on(START, |_, ()| ())
        .on(STOP, |_, ()| {
            say("stop");
            fail("stop")
        })
        .create(&kernel)
        .unwrap();
    assert_eq!(run_to_failure(&kernel).await, "stop");
    assert_eq!(said(), ["stop"]);
}
