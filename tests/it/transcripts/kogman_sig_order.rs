//! Signals through one to three generations, as complete traces of every handler; after POE's `z_kogman_sig_order`.

use super::{Cx, kernel};
use poe::event::{CHILD, DEFAULT, START, STOP};
use poe::{Session, SessionBuilder, Signal};
use std::time::Duration;

#[derive(Clone, Copy)]
struct Plan {
    signal: &'static str,
    generations: u32,
    /// The generations that watch.
    watch: &'static [u32],
    /// The event that they watch with: `foo` has a handler, any other goes to `_default`.
    by: &'static str,
}

impl Plan {
    /// The youngest has work to do; where the signal is terminal the others have as well.
    fn works(&self, generation: u32) -> bool {
        generation > 1 && (generation == self.generations || self.signal == "TERM")
    }

    fn start(&self, cx: &mut Cx<'_>, generation: u32) {
        if generation < self.generations {
            cx.create(chain(generation + 1, *self)).unwrap();
        }
        if self.watch.contains(&generation) {
            cx.sig(self.signal, self.by);
        }
        if self.works(generation) {
            let work = if self.signal == "TERM" { 1000 } else { 30 };
            cx.delay("bar", Duration::from_millis(work), ());
        }
        if generation == 1 {
            cx.signal(cx.session_id(), self.signal, ()).unwrap();
        }
    }
}

fn chain(generation: u32, plan: Plan) -> SessionBuilder<()> {
    Session::builder(())
        .on(START, move |cx, ()| {
            out!("{generation}: _start");
            plan.start(cx, generation);
            out!("{generation}: _start ends");
        })
        .on(CHILD, move |_, child| out!("{generation}: _child {}", child.reason))
        .on(STOP, move |_, ()| out!("{generation}: _stop"))
        .on(DEFAULT, move |_, unhandled| {
            out!("{generation}: _default {}", unhandled.event)
        })
        .on("foo", move |_, _: Signal| out!("{generation}: foo"))
}

pub(crate) async fn play() {
    let kernel = kernel();
    let scenarios: [(&str, &str, u32, &[u32], &str); 9] = [
        ("harmless, one generation", "foo", 1, &[1], "foo"),
        ("harmless, the child does not watch", "foo", 2, &[1], "foo"),
        ("harmless, both watch", "foo", 2, &[1, 2], "foo"),
        ("harmless, three generations", "foo", 3, &[1, 2, 3], "foo"),
        ("terminal, both watch, neither handles", "TERM", 2, &[1, 2], "TERM"),
        ("terminal, nobody watches", "TERM", 2, &[], "TERM"),
        ("terminal, the middle of three watches", "TERM", 3, &[2], "TERM"),
        ("terminal, three generations, nobody watches", "TERM", 3, &[], "TERM"),
        ("terminal, three generations, all watch", "TERM", 3, &[1, 2, 3], "TERM"),
    ];
    for (title, signal, generations, watch, by) in scenarios {
        out!("== {title}");
        chain(
            1,
            Plan {
                signal,
                generations,
                watch,
                by,
            },
        )
        .create(&kernel)
        .unwrap();
        kernel.run().await.unwrap();
    }
}
