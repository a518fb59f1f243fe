//! An exception in `_start`: the session lives on, the parent is told, the constructor returns, DIE comes later.

use super::{given, kernel, posted, told};
use poe::event::{CHILD, START, STOP};
use poe::{Failure, HandlerResult, Kernel, Reply, Session, Signal};

/// `who` handles DIE: the parent, the child or nobody.
fn family(kernel: &Kernel, who: &'static str) {
    Session::builder(())
        .on(START, |cx, ()| {
            cx.sig("DIE", "died");
            cx.yield_to("go", ());
            cx.yield_to("after", ());
        })
        .on("go", move |cx, ()| {
            let child = cx.create(
                Session::builder(())
                    .on(START, |cx, ()| -> HandlerResult {
                        out!("child _start");
                        cx.sig("DIE", "died");
                        cx.yield_to("event", ());
                        Err(Failure::msg("start trouble"))
                    })
                    .on("event", |_, ()| out!("child event"))
                    .on("died", move |cx, signal: Signal| {
                        let die = signal.die().unwrap();
                        out!("child hears DIE: event {}, error {}", die.event, die.failure);
                        if who == "child" {
                            cx.sig_handled();
                        }
                    })
                    .on(STOP, |_, ()| {
                        out!("child _stop");
                        Reply("stopped")
                    }),
            );
            out!(
                "create returned {}",
                if child.is_ok() { "a session" } else { "nothing" }
            );
            out!("post to it: {}", posted(cx.post(child.unwrap(), "event", ())));
        })
        .on("after", |_, ()| out!("parent goes on"))
        .on("died", move |cx, _: Signal| {
            out!("parent hears DIE");
            if who == "parent" {
                cx.sig_handled();
            }
        })
        .on(CHILD, |_, child| {
            out!("parent _child {} ({})", child.reason, given(child.result))
        })
        .on(STOP, |_, ()| out!("parent _stop"))
        .create(kernel)
        .unwrap();
}

pub(crate) async fn play() {
    let kernel = kernel();
    for who in ["child", "parent", "nobody"] {
        out!("== handled by {who}");
        family(&kernel, who);
        told(kernel.run().await);
    }
    out!("== outside any session");
    let session = Session::builder(())
        .on(START, |_, ()| -> HandlerResult { Err(Failure::msg("first breath")) })
        .on(STOP, |_, ()| out!("_stop"))
        .create(&kernel);
    out!(
        "create returned {}",
        if session.is_ok() { "a session" } else { "nothing" }
    );
    told(kernel.run().await);
}
