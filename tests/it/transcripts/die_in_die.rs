//! An exception in a handler of DIE, and one after `stop`.

use super::{Cx, kernel};
use poe::event::{CHILD, START, STOP};
use poe::{Failure, HandlerResult, Kernel, Session, SessionBuilder, Signal};

async fn run(kernel: &Kernel) {
    match kernel.run().await {
        Ok(()) => out!("run returned"),
        Err(error) => {
            out!("run threw");
            for line in error.failure().unwrap().to_string().lines() {
                out!("  | {line}");
            }
        }
    }
}

fn trouble(text: &str) -> HandlerResult {
    Err(Failure::msg(text))
}

fn session(name: &'static str) -> SessionBuilder<()> {
    Session::builder(())
        .on(START, move |cx, ()| cx.alias_set(name))
        .on(CHILD, |_, _| ())
        .on(STOP, move |_, ()| out!("{name} _stop"))
}

/// One whose `boom` fails, and whose handler of DIE is given.
fn booms(name: &'static str, died: impl Fn(&mut Cx<'_>) -> HandlerResult + 'static) -> SessionBuilder<()> {
    session(name)
        .on(START, move |cx, ()| {
            cx.alias_set(name).unwrap();
            cx.sig("DIE", "died");
            cx.yield_to("boom", ());
        })
        .on("boom", |_, ()| trouble("first trouble"))
        .on("died", move |cx, _: Signal| died(cx))
}

pub(crate) async fn play() {
    let kernel = kernel();
    out!("== not handled, and one more");
    session("other").create(&kernel).unwrap();
    booms("S", |_| {
        out!("S hears DIE");
        trouble("second trouble")
    })
    .create(&kernel)
    .unwrap();
    run(&kernel).await;

    out!("== handled, and one more: only the new one");
    booms("S", |cx| {
        out!("S hears DIE");
        cx.sig_handled();
        trouble("second trouble")
    })
    .create(&kernel)
    .unwrap();
    run(&kernel).await;

    out!("== the parent handles what the child makes worse");
    session("P")
        .on(START, |cx, ()| {
            cx.alias_set("P").unwrap();
            cx.sig("DIE", "died");
            cx.create(booms("C", |_| {
                out!("C hears DIE");
                trouble("second trouble")
            }))
            .unwrap();
        })
        .on("died", |cx, _: Signal| {
            out!("P hears DIE");
            cx.sig_handled();
        })
        .create(&kernel)
        .unwrap();
    run(&kernel).await;

    out!("== after stop, straight out of run");
    Session::builder(())
        .on(START, |cx, ()| {
            cx.sig("DIE", "died");
            cx.create(session("child")).unwrap();
            cx.yield_to("boom", ());
        })
        .on("boom", |cx, ()| {
            cx.stop_all();
            out!("goes on");
            trouble("after the end")
        })
        .on("died", |_, _: Signal| out!("hears DIE!"))
        .on(CHILD, |_, _| ())
        .on(STOP, |_, ()| out!("_stop"))
        .create(&kernel)
        .unwrap();
    run(&kernel).await;

    out!("== a new run works");
    session("S")
        .on(START, |cx, ()| {
            cx.alias_set("S").unwrap();
            cx.yield_to("boom", ());
        })
        .on("boom", |cx, ()| {
            out!("fine");
            cx.alias_remove("S")
        })
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
}
