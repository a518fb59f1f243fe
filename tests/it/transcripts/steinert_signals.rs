//! Nested sessions get a signal's arguments whole, send one another signals while one is dispatched, and stop the kernel in
//! the last handler; after POE's `z_steinert_signal_integrity`.

use super::{Cx, kernel, soon};
use poe::event::{CHILD, ChildReason, START, STOP};
use poe::{Kernel, Session, SessionBuilder, Signal};

/// The handler of MOO, by generation and by the signal's first argument.
type Moo = fn(u32, &mut Cx<'_>, i32);
type Term = fn(u32, &mut Cx<'_>);

fn chain(n: u32, depth: u32, moo: Moo, term: Option<Term>) -> SessionBuilder<()> {
    Session::builder(())
        .on(START, move |cx, ()| {
            if n < depth {
                cx.create(chain(n + 1, depth, moo, term)).unwrap();
            }
            cx.alias_set(&format!("s{n}")).unwrap();
            cx.sig_with("MOO", "moo", format!("own {n}"));
            if term.is_some() {
                cx.sig("TERM", "term");
            }
            cx.delay("bye", soon(50), ());
        })
        .on("moo", move |cx, signal: Signal| {
            let own = signal.extra::<String>().unwrap();
            let (number, text) = match signal.arg::<(i32, &'static str)>() {
                Some((number, colour)) => (*number, format!("{number} {colour}")),
                None => {
                    let number = *signal.arg::<i32>().unwrap();
                    (number, number.to_string())
                }
            };
            out!("{n}: {} {} {text} {own}", cx.event(), signal.name());
            moo(n, cx, number);
        })
        .on("term", move |cx, _: Signal| {
            out!("{n}: TERM");
            if let Some(term) = term {
                term(n, cx);
            }
        })
        .on("posted", move |_, ()| out!("{n}: posted"))
        .on("bye", move |cx, ()| {
            cx.sig_ignore("MOO");
            cx.sig_ignore("TERM");
            cx.alias_remove(&format!("s{n}"))
        })
        .on(CHILD, move |_, child| {
            if child.reason != ChildReason::Create {
                out!("{n}: _child {}", child.reason);
            }
        })
        .on(STOP, move |_, ()| out!("{n}: _stop"))
}

fn quiet(_: u32, _: &mut Cx<'_>, _: i32) {}

async fn run(kernel: &Kernel) {
    kernel.run().await.unwrap();
}

pub(crate) async fn play() {
    let kernel = kernel();
    out!("== arguments, the signal's and the watcher's own");
    chain(1, 2, quiet, None).create(&kernel).unwrap();
    kernel.signal(kernel.id(), "MOO", (99, "red")).unwrap();
    run(&kernel).await;

    out!("== signals out of a signal's handler wait until all have heard the first");
    let sends: Moo = |n, cx, number| {
        if number == 1 {
            if n != 2 {
                cx.signal(cx.kernel_id(), "MOO", 10 + n as i32).unwrap();
            }
            cx.post("s1", "posted", ()).unwrap();
        }
    };
    chain(1, 3, sends, None).create(&kernel).unwrap();
    kernel.signal(kernel.id(), "MOO", 1).unwrap();
    run(&kernel).await;

    out!("== each dispatch is handled for itself");
    let handles: Moo = |n, cx, _| {
        if n == 2 {
            cx.signal("s1", "TERM", ()).unwrap();
            cx.sig_handled();
        }
    };
    chain(1, 2, handles, Some(|_, _| ())).create(&kernel).unwrap();
    kernel.signal(kernel.id(), "MOO", 2).unwrap();
    run(&kernel).await;

    out!("== handled by the middle one of three");
    let middle: Term = |n, cx| {
        if n == 2 {
            cx.sig_handled();
        }
    };
    chain(1, 3, quiet, Some(middle)).create(&kernel).unwrap();
    kernel.signal("s1", "TERM", ()).unwrap();
    run(&kernel).await;

    out!("== the last handler stops the kernel");
    let stops: Moo = |n, cx, _| {
        if n == 1 {
            cx.stop_all();
            out!("stopped");
        }
    };
    chain(1, 3, stops, None).create(&kernel).unwrap();
    kernel.signal("s1", "MOO", 3).unwrap();
    kernel.post("s1", "posted", ()).unwrap();
    run(&kernel).await;

    out!("== to the parent both hear it, to the child it alone");
    chain(1, 2, quiet, None).create(&kernel).unwrap();
    Session::builder(())
        .on(START, |cx, ()| cx.yield_to("go", ()))
        .on("go", |cx, ()| {
            cx.signal("s1", "MOO", 4).unwrap();
            cx.signal("s2", "MOO", 5).unwrap();
            cx.delay("bye", soon(100), ());
        })
        .on("bye", |_, ()| ())
        .on(STOP, |_, ()| out!("sender _stop"))
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
}
