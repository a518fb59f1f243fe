//! Exceptions with catching off; after POE's `exc/02_turn_off`.

use super::{Cx, kernel_builder, soon, told};
use poe::event::{CHILD, START, STOP};
use poe::{CallError, Failure, HandlerResult, Kernel, Session, SessionBuilder, Signal, Target};

fn session(name: &'static str, start: impl Fn(&mut Cx<'_>) + 'static) -> SessionBuilder<()> {
    let life = match name {
        "A" => 30,
        "B" => 60,
        _ => 90,
    };
    Session::builder(())
        .on(START, move |cx, ()| {
            cx.alias_set(name).unwrap();
            cx.sig("DIE", "died");
            cx.delay("bye", soon(life), ());
            start(cx);
        })
        .on("boom", move |_, ()| -> HandlerResult {
            out!("{name} boom");
            Err(Failure::msg(format!("boom in {name}")))
        })
        .on("died", move |cx, _: Signal| {
            out!("{name} hears DIE");
            cx.sig_handled();
        })
        .on("waits", move |_, ()| out!("{name} waits"))
        .on("bye", move |cx, ()| {
            out!("{name} leaves");
            cx.alias_remove(name)
        })
        .on(CHILD, |_, _| ())
        .on(STOP, move |_, ()| out!("{name} _stop"))
}

fn attempt<'t>(cx: &mut Cx<'_>, whom: impl Into<Target<'t>>, event: &str) {
    match cx.call::<(), ()>(whom, event, ()) {
        Ok(()) => out!("call returned"),
        Err(error) => out!("call threw {}", Failure::from(error)),
    }
}

fn go(cx: &mut Cx<'_>) {
    cx.yield_to("go", ());
}

fn nothing(_: &mut Cx<'_>) {}

async fn run(kernel: &Kernel) {
    told(kernel.run().await);
}

pub(crate) async fn play() {
    let kernel = kernel_builder().catch_exceptions(false).build();
    out!("== in a queued handler: what waits is lost, all stop, run throws");
    session("A", |cx| {
        cx.yield_to("boom", ());
        cx.yield_to("waits", ());
    })
    .create(&kernel)
    .unwrap();
    run(&kernel).await;

    out!("== in a called session: the caller may catch it, and all goes on");
    session("B", nothing).create(&kernel).unwrap();
    session("A", go)
        .on("go", |cx, ()| {
            attempt(cx, "B", "boom");
            cx.yield_to("waits", ());
        })
        .create(&kernel)
        .unwrap();
    run(&kernel).await;

    out!("== in a call to oneself");
    session("A", go)
        .on("go", |cx, ()| {
            attempt(cx, cx.session_id(), "boom");
            cx.yield_to("waits", ());
        })
        .create(&kernel)
        .unwrap();
    run(&kernel).await;

    out!("== through two calls, caught by the first caller");
    session("C", nothing).create(&kernel).unwrap();
    session("B", nothing)
        .on("relay", |cx, ()| -> Result<(), CallError<()>> {
            out!("B relays");
            cx.call::<(), ()>("C", "boom", ())?;
            out!("not reached");
            Ok(())
        })
        .create(&kernel)
        .unwrap();
    session("A", go)
        .on("go", |cx, ()| attempt(cx, "B", "relay"))
        .create(&kernel)
        .unwrap();
    run(&kernel).await;

    out!("== in _stop: one _stop, and run throws");
    session("A", nothing)
        .on("bye", |cx, ()| cx.alias_remove("A"))
        .on(STOP, |_, ()| -> HandlerResult {
            out!("A _stop");
            Err(Failure::msg("stop of A"))
        })
        .create(&kernel)
        .unwrap();
    run(&kernel).await;

    out!("== the next run is clean");
    session("A", nothing).create(&kernel).unwrap();
    run(&kernel).await;
}
