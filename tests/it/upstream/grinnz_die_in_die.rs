//! `t/90_regression/grinnz-die-in-die.t`

use crate::laws_kit::*;
use poe::event::START;
use poe::{Failure, HandlerResult, Session, Signal};

#[tokio::test(start_paused = true)]
async fn both_texts_reach_the_caller_of_run() {
    let kernel = kernel();
    Session::builder(())
        .on(START, |cx, ()| -> HandlerResult {
            cx.sig("DIE", "sig_DIE");
            Err(Failure::msg("original error"))
        })
        .on("sig_DIE", |_, signal: Signal| {
            say(&signal.die().unwrap().event);
            fail("error in error handler")
        })
        .create(&kernel)
        .unwrap();
    let told = run_to_failure(&kernel).await;
    assert_eq!(said(), ["_start"]);
    let at = |text: &str| told.find(text).unwrap_or_else(|| panic!("{told}"));
    assert!(at("original error") < at("error in error handler"));
}
