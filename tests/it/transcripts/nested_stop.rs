//! Four sessions, each the child of the one before, of which one calls `stop`; then the kernel runs anew. After the end of
//! POE's `ses_session`.

use super::{Cx, kernel, soon};
use poe::event::{CHILD, PARENT, START, STOP};
use poe::{Session, SessionBuilder};

const DEPTH: u32 = 4;

fn stops(cx: &mut Cx<'_>, n: u32) {
    out!("{n} stops the kernel");
    cx.stop_all();
    let active = if cx.active_session().is_kernel() {
        "kernel"
    } else {
        "another"
    };
    let event = cx.active_event().unwrap();
    out!("stopped; active {active}, event {event}, {} events", cx.event_count());
    let left: Vec<String> = (1..=DEPTH)
        .filter(|n| cx.alias_resolve(format!("test{n}")).is_ok())
        .map(|n| n.to_string())
        .collect();
    out!("aliases left: {}", left.join(" "));
}

fn nest(n: u32, last: u32) -> SessionBuilder<()> {
    Session::builder(())
        .on(START, move |cx, ()| {
            out!("{n} _start");
            if n < DEPTH {
                cx.create(nest(n + 1, last)).unwrap();
            }
            cx.delay("nonexistent", soon(3_600_000), ());
            cx.alias_set(&format!("test{n}")).unwrap();
            if n == last {
                cx.yield_to("stop", ());
            }
            out!("{n} _start ends");
        })
        .on(PARENT, move |_, _| out!("{n} _parent!"))
        .on(CHILD, move |_, child| out!("{n} _child {}", child.reason))
        .on(STOP, move |cx, ()| {
            let itself = cx.active_session() == cx.session_id();
            out!("{n} _stop, active {}", if itself { "itself" } else { "another" });
        })
        .on("stop", move |cx, ()| stops(cx, n))
}

pub(crate) async fn play() {
    let kernel = kernel();
    for (title, last) in [("the outermost stops the kernel", 1), ("the innermost does", DEPTH)] {
        out!("== {title}");
        nest(1, last).create(&kernel).unwrap();
        kernel.run().await.unwrap();
        out!("run returned");
    }

    out!("== and a new run works");
    Session::builder(())
        .on(START, |cx, ()| {
            out!("_start");
            cx.yield_to("woot", ());
            cx.delay("narf", soon(20), ());
        })
        .on("woot", |_, ()| out!("woot"))
        .on("narf", |_, ()| out!("narf"))
        .on(STOP, |_, ()| out!("_stop"))
        .create(&kernel)
        .unwrap();
    kernel.run().await.unwrap();
    out!("run returned");
}
