//! POE's `exc/01_normal`, `exc/03_not_handled`, `whelan-dieprop` and `grinnz-die-in-die`.

use super::{Cx, kernel, soon};
use poe::event::{CHILD, START, STOP};
use poe::{Failure, HandlerResult, Kernel, Session, SessionBuilder, Signal};

fn session(name: &'static str, start: impl Fn(&mut Cx<'_>) -> HandlerResult + 'static) -> SessionBuilder<()> {
    Session::builder(())
        .on(START, move |cx, ()| start(cx))
        .on(CHILD, move |_, child| out!("{name} _child {}", child.reason))
        .on(STOP, move |_, ()| out!("{name} _stop"))
}

fn fails(text: &str) -> HandlerResult {
    Err(Failure::msg(text))
}

async fn run(kernel: &Kernel) {
    let Err(error) = kernel.run().await else {
        out!("run returned");
        return;
    };
    out!("run threw");
    let text = error.failure().unwrap().to_string();
    let mut found: Vec<(usize, &str)> = ["first error", "second error"]
        .into_iter()
        .filter_map(|what| Some((text.find(what)?, what)))
        .collect();
    found.sort();
    for (_, what) in found {
        out!("  {what}");
    }
}

async fn one_session(kernel: &Kernel) {
    out!("== caught and handled");
    session("S", |cx| {
        cx.sig("DIE", "avoid");
        cx.yield_to("death", ());
        cx.delay("party", soon(30), ());
        Ok(())
    })
    .on("death", |_, ()| fails("first error"))
    .on("avoid", |cx, signal: Signal| {
        let die = signal.die().unwrap();
        let from = die.caller_state.as_ref().unwrap();
        out!("{} of {}, from {from}", signal.name(), die.event);
        cx.sig_ignore("DIE");
        cx.sig_handled();
    })
    .on("party", |_, ()| out!("party"))
    .create(kernel)
    .unwrap();
    run(kernel).await;

    out!("== watched, not handled");
    session("other", |cx| {
        cx.delay("last_breath", soon(50), ());
        Ok(())
    })
    .on("last_breath", |_, ()| out!("last breath!"))
    .create(kernel)
    .unwrap();
    session("S", |cx| {
        cx.sig("DIE", "mock");
        cx.yield_to("death", ());
        Ok(())
    })
    .on("death", |_, ()| fails("first error"))
    .on("mock", |_, signal: Signal| out!("S hears {}", signal.name()))
    .create(kernel)
    .unwrap();
    run(kernel).await;
}

/// A parent that watches, and a child that fails and may watch.
fn family(kernel: &Kernel, child_watches: bool, child_handles: bool, parent: fn(&mut Cx<'_>) -> HandlerResult) {
    session("parent", move |cx| {
        cx.sig("DIE", "exception");
        cx.create(
            session("child", move |cx| {
                if child_watches {
                    cx.sig("DIE", "exception");
                }
                cx.yield_to("throw", ());
                Ok(())
            })
            .on("throw", |_, ()| fails("first error"))
            .on("exception", move |cx, _: Signal| {
                out!("child hears it");
                if child_handles {
                    cx.sig_handled();
                }
            }),
        )?;
        Ok(())
    })
    .on("exception", move |cx, _: Signal| {
        out!("parent hears it");
        parent(cx)
    })
    .create(kernel)
    .unwrap();
}

pub(crate) async fn play() {
    let kernel = kernel();
    one_session(&kernel).await;

    out!("== the child hears it, then the parent, who handles it");
    family(&kernel, true, false, |cx| {
        cx.sig_handled();
        Ok(())
    });
    run(&kernel).await;

    out!("== the child handles it, and the parent hears it all the same");
    family(&kernel, true, true, |_| Ok(()));
    run(&kernel).await;

    out!("== in _start, and once more in the handler");
    session("S", |cx| {
        cx.sig("DIE", "sig_DIE");
        fails("first error")
    })
    .on("sig_DIE", |_, signal: Signal| {
        out!("{} of {}", signal.name(), signal.die().unwrap().event);
        fails("second error")
    })
    .create(&kernel)
    .unwrap();
    run(&kernel).await;

    out!("== the parent's handler fails for the child's failure");
    family(&kernel, false, false, |_| fails("second error"));
    run(&kernel).await;
}
