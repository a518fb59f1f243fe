//! `t/10_units/07_exceptions/01_normal.t`

use crate::laws_kit::*;
use poe::Signal;

#[tokio::test(start_paused = true)]
async fn a_die_is_caught_and_handled_and_the_kernel_goes_on() {
    let kernel = kernel();
    life("S", |cx| {
        cx.sig("DIE", "avoid_death");
        cx.yield_to("death", ());
        cx.delay("party", ms(500), ());
    })
    .on("death", |_, ()| fail("OMG THEY CANCELLED FRIENDS"))
    .on("avoid_death", |cx, signal: Signal| {
        assert_eq!(signal.name(), "DIE");
        let die = signal.die().unwrap();
        assert_eq!(die.caller_state.as_ref().unwrap(), "_start");
        assert_eq!(die.failure.to_string(), "OMG THEY CANCELLED FRIENDS");
        say("avoided");
        cx.sig_ignore("DIE");
        cx.sig_handled();
    })
    .on("party", |_, ()| say("party"))
    .create(&kernel)
    .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["avoided", "party", "S stop"]);
}
