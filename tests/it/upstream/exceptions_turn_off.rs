//! `t/10_units/07_exceptions/02_turn_off.t`: CATCH_EXCEPTIONS is a setting of the kernel here.

use crate::laws_kit::*;

#[tokio::test(start_paused = true)]
async fn run_gives_the_plain_error_and_stop_still_runs() {
    let kernel = poe::testing::builder().catch_exceptions(false).build();
    life("S", |cx| {
        say("started");
        cx.yield_to("death", ());
    })
    .on("death", |_, ()| fail("OMG THEY CANCELLED FRIENDS"))
    .create(&kernel)
    .unwrap();
    assert_eq!(run_to_failure(&kernel).await, "OMG THEY CANCELLED FRIENDS");
    assert_eq!(said(), ["started", "S stop"]);
}
