//! An exception in `_stop`: no DIE; the parent is told, the session is freed; the error comes out of `run`.

use super::{given, kernel, soon, told};
use poe::event::{CHILD, ChildReason, START, STOP};
use poe::{Failure, HandlerResult, Session, SessionBuilder, Signal};

fn session(name: &'static str) -> SessionBuilder<()> {
    Session::builder(())
        .on(START, |_, ()| ())
        .on(CHILD, move |_, child| {
            if child.reason != ChildReason::Create {
                out!("{name} _child {} ({})", child.reason, given(child.result));
            }
        })
        .on(STOP, move |_, ()| out!("{name} _stop"))
        .on("died", move |_, _: Signal| out!("{name} hears DIE!"))
}

/// One whose `_stop` fails.
fn fails(name: &'static str, error: &'static str) -> SessionBuilder<()> {
    session(name).on(STOP, move |_, ()| -> HandlerResult {
        out!("{name} _stop");
        Err(Failure::msg(error))
    })
}

pub(crate) async fn play() {
    let kernel = kernel();
    out!("== alone");
    fails("S", "stop").create(&kernel).unwrap();
    told(kernel.run().await);

    out!("== the parent is told, nobody hears DIE");
    session("P")
        .on(START, |cx, ()| {
            cx.sig("DIE", "died");
            cx.create(fails("C", "stop of C").on(START, |cx, ()| cx.sig("DIE", "died")))
                .unwrap();
        })
        .create(&kernel)
        .unwrap();
    told(kernel.run().await);

    out!("== the next item is dispatched, then all stop");
    session("other")
        .on(START, |cx, ()| {
            cx.delay("timer", soon(30), ());
            cx.delay("later", soon(60), ());
        })
        .on("timer", |cx, ()| {
            out!("other timer");
            cx.yield_to("later", ());
        })
        .on("later", |_, ()| out!("later!"))
        .create(&kernel)
        .unwrap();
    fails("S", "stop of S").create(&kernel).unwrap();
    told(kernel.run().await);

    out!("== a later one replaces it");
    fails("second", "stop of second").create(&kernel).unwrap();
    fails("first", "stop of first").create(&kernel).unwrap();
    told(kernel.run().await);

    out!("== it replaces an unhandled exception");
    fails("S", "stop of S")
        .on(START, |cx, ()| cx.alias_set("S"))
        .create(&kernel)
        .unwrap();
    session("T")
        .on(START, |cx, ()| cx.yield_to("boom", ()))
        .on("boom", |_, ()| -> HandlerResult { Err(Failure::msg("boom")) })
        .create(&kernel)
        .unwrap();
    told(kernel.run().await);

    out!("== a new run works");
    session("S")
        .on(START, |cx, ()| cx.yield_to("fine", ()))
        .on("fine", |_, ()| out!("fine"))
        .create(&kernel)
        .unwrap();
    told(kernel.run().await);
}
