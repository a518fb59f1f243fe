//! `t/10_units/07_exceptions/03_not_handled.t`

use crate::laws_kit::*;
use poe::Signal;

#[tokio::test(start_paused = true)]
async fn a_watcher_that_does_not_handle_it_saves_no_session() {
    let kernel = kernel();
    life("S", |cx| {
        cx.sig("DIE", "mock_death");
        cx.yield_to("death", ());
    })
    .on("death", |_, ()| fail("OMG THEY CANCELLED FRIENDS"))
    .on("mock_death", |_, signal: Signal| say(signal.name()))
    .create(&kernel)
    .unwrap();
    life("other", |cx| cx.delay("last_breath", ms(500), ()))
        .on("last_breath", |_, ()| say("it lives"))
        .create(&kernel)
        .unwrap();
    assert_eq!(run_to_failure(&kernel).await, "OMG THEY CANCELLED FRIENDS");
    assert_eq!(said(), ["DIE", "S stop", "other stop"]);
}
