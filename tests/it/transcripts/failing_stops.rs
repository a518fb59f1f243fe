//! Eight runs, of which one fails in a `_stop`, and where such a failure surfaces; after POE's `k_signals_rerun`.

use super::{given, kernel, soon, told};
use poe::event::{CHILD, ChildReason, PARENT, START, STOP};
use poe::{Failure, HandlerResult, Kernel, Reply, Session};

async fn one_run(kernel: &Kernel, die_on_bad_exit: bool, exit: u32) {
    Session::builder(())
        .on(START, move |cx, ()| -> HandlerResult {
            cx.create(
                Session::builder(())
                    .on(START, |cx, ()| -> HandlerResult {
                        cx.refcount_increment(cx.session_id(), "running")?;
                        cx.delay("ended", soon(10), ());
                        Ok(())
                    })
                    .on("ended", |cx, ()| -> HandlerResult {
                        out!("ended");
                        cx.refcount_decrement(cx.session_id(), "running")?;
                        Ok(())
                    })
                    .on(PARENT, |_, _| out!("_parent!"))
                    .on(STOP, move |_, ()| -> HandlerResult<Reply<&'static str>> {
                        out!("inner _stop");
                        if die_on_bad_exit && exit != 0 {
                            return Err(Failure::msg("bad exit"));
                        }
                        Ok(Reply("fine"))
                    }),
            )?;
            Ok(())
        })
        .on(CHILD, |_, child| {
            if child.reason == ChildReason::Lose {
                out!("_child lose {}", given(child.result));
            }
        })
        .on(STOP, |_, ()| out!("outer _stop"))
        .create(kernel)
        .unwrap();
    told(kernel.run().await);
}

pub(crate) async fn play() {
    let kernel = kernel();
    for die_on_bad_exit in [false, true] {
        for exit in [0, 1, 0, 0] {
            out!("== fatal {}, exit {exit}", u8::from(die_on_bad_exit));
            one_run(&kernel, die_on_bad_exit, exit).await;
        }
    }

    out!("== a failing _stop while others have work: they stop after the next event");
    Session::builder(())
        .on(START, |cx, ()| {
            cx.delay("tick", soon(30), ());
            cx.delay("tock", soon(60), ());
        })
        .on("tick", |_, ()| out!("tick"))
        .on("tock", |_, ()| out!("tock!"))
        .on(STOP, |_, ()| out!("worker _stop"))
        .create(&kernel)
        .unwrap();
    Session::builder(())
        .on(START, |_, ()| ())
        .on(STOP, |_, ()| -> HandlerResult {
            out!("failing _stop");
            Err(Failure::msg("in _stop"))
        })
        .create(&kernel)
        .unwrap();
    told(kernel.run().await);

    out!("== stop in a handler, and a failing _stop by it");
    Session::builder(())
        .on(START, |cx, ()| -> HandlerResult {
            cx.create(
                Session::builder(())
                    .on(START, |cx, ()| cx.alias_set("a"))
                    .on(STOP, |_, ()| -> HandlerResult {
                        out!("child _stop");
                        Err(Failure::msg("first"))
                    }),
            )?;
            cx.yield_to("go", ());
            Ok(())
        })
        .on("go", |cx, ()| {
            cx.stop_all();
            out!("stopped");
        })
        .on(CHILD, |_, _| ())
        .on(STOP, |_, ()| out!("parent _stop"))
        .create(&kernel)
        .unwrap();
    told(kernel.run().await);

    out!("== the next is clean");
    Session::builder(())
        .on(START, |cx, ()| cx.yield_to("go", ()))
        .on("go", |_, ()| out!("go"))
        .on(STOP, |_, ()| out!("_stop"))
        .create(&kernel)
        .unwrap();
    told(kernel.run().await);
}
