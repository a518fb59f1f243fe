//! `t/90_regression/leolo-sig-die.t`, with catching off: what a call gives, and that an error from a called handler leaves
//! `run` as it is. (Most of the file is about Perl's `$SIG{__DIE__}`; a panic hook, which comes closest, stays whose it
//! is.)

use crate::laws_kit::*;
use poe::event::START;
use poe::{Event, Failure, HandlerResult, Reply, Session};

const SCALAR: Event<(), i32> = Event::new("scalar_ctx");
const ARRAY: Event<(), Vec<i32>> = Event::new("array_ctx");

#[tokio::test(start_paused = true)]
async fn calls_return_the_replies_of_their_handlers_and_an_error_leaves_run_plain() {
    let kernel = poe::testing::builder().catch_exceptions(false).build();
    Session::builder(())
        .on(START, |cx, ()| cx.yield_to("step2", ()))
        .on("step2", |cx, ()| -> HandlerResult {
            let me = cx.session_id();
            assert_eq!(cx.call(me, SCALAR, ())?, 42);
            assert_eq!(cx.call(me, ARRAY, ())?, (1..=17).collect::<Vec<_>>());
            say("step2");
            cx.post(me, "step3", ())?;
            Ok(())
        })
        .on(SCALAR, |_, ()| Reply(42))
        .on(ARRAY, |_, ()| Reply((1..=17).collect::<Vec<_>>()))
        .on("step3", |cx, ()| -> HandlerResult {
            let me = cx.session_id();
            assert_eq!(cx.call(me, SCALAR, ())?, 42);
            cx.call::<(), ()>(me, "array_ctx3", ())?;
            say("returned unexpectedly");
            Ok(())
        })
        .on("array_ctx3", |_, ()| -> HandlerResult {
            Err(Failure::msg("array_ctx3\nmore\n"))
        })
        .create(&kernel)
        .unwrap();
    let told = run_to_failure(&kernel).await;
    assert!(told.contains("array_ctx3\nmore\n"), "{told:?}");
    assert_eq!(said(), ["step2"]);
}
