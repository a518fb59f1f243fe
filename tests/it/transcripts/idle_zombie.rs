//! When nothing can happen any more: IDLE, ZOMBIE, what is idle and what averts them.

use super::{kernel, soon};
use poe::event::{CHILD, START, STOP};
use poe::{Context, Kernel, Session, Signal};
use std::cell::Cell;
use std::rc::Rc;

/// How often the session has heard IDLE.
type Idles = u32;
type Act = fn(&mut Context<'_, Idles>);

/// What a session with an alias does when it hears IDLE and ZOMBIE.
#[derive(Clone, Copy)]
struct Does {
    start: Act,
    idle: Act,
    zombie: Act,
}

const NOTHING: Does = Does {
    start: |_| (),
    idle: |_| (),
    zombie: |_| (),
};

async fn scenario(kernel: &Kernel, title: &str, does: Does) {
    out!("== {title}");
    Session::builder(0)
        .on(START, move |cx, ()| {
            cx.alias_set("the one").unwrap();
            cx.sig("IDLE", "idle");
            cx.sig("ZOMBIE", "zombie");
            (does.start)(cx);
        })
        .on("idle", move |cx, signal: Signal| {
            *cx.heap += 1;
            out!("idle {}, args: {}", *cx.heap, signal.name());
            (does.idle)(cx);
        })
        .on("zombie", move |cx, _: Signal| {
            out!("zombie");
            cx.sig_handled();
            (does.zombie)(cx);
        })
        .on("timer", |_, ()| out!("timer"))
        .on("event", |_, ()| out!("event"))
        .on(STOP, |_, ()| out!("stop"))
        .create(kernel)
        .unwrap();
    kernel.run().await.unwrap();
    out!("run returned");
}

pub(crate) async fn play() {
    let kernel = kernel();
    let handled: Act = |cx| cx.sig_handled();
    scenario(&kernel, "not handled: everybody stops, no ZOMBIE", NOTHING).await;
    scenario(
        &kernel,
        "handled: ZOMBIE, which cannot be handled",
        Does {
            idle: handled,
            ..NOTHING
        },
    )
    .await;
    let idle: Act = |cx| {
        cx.sig_handled();
        if *cx.heap == 1 {
            cx.yield_to("event", ());
        }
    };
    scenario(
        &kernel,
        "handled, and a post averts ZOMBIE: idle again later",
        Does { idle, ..NOTHING },
    )
    .await;
    let idle: Act = |cx| {
        cx.sig_handled();
        if *cx.heap < 3 {
            cx.delay("timer", soon(20), ());
        }
    };
    scenario(&kernel, "handled, and a timer averts ZOMBIE", Does { idle, ..NOTHING }).await;
    let idle: Act = |cx| cx.yield_to("event", ());
    scenario(
        &kernel,
        "a post alone does not help: IDLE was not handled",
        Does { idle, ..NOTHING },
    )
    .await;
    let idle: Act = |cx| {
        cx.sig_handled();
        cx.refcount_increment(cx.session_id(), "late").unwrap();
    };
    let title = "an extra reference taken in the handler comes too late for ZOMBIE";
    scenario(&kernel, title, Does { idle, ..NOTHING }).await;
    let zombie: Act = |cx| {
        cx.yield_to("event", ());
        cx.delay("timer", soon(20), ());
    };
    scenario(
        &kernel,
        "what a ZOMBIE handler posts is lost",
        Does {
            idle: handled,
            zombie,
            ..NOTHING
        },
    )
    .await;
    let idle: Act = |cx| {
        cx.sig_handled();
        cx.alias_remove("the one").unwrap();
    };
    scenario(
        &kernel,
        "letting the alias go in the handler: no ZOMBIE needed",
        Does { idle, ..NOTHING },
    )
    .await;
    let start: Act = |cx| cx.delay("timer", soon(30), ());
    scenario(&kernel, "a timer means not idle", Does { start, ..NOTHING }).await;
    let start: Act = |cx| {
        let id = cx.session_id();
        cx.refcount_increment(id, "busy").unwrap();
        cx.create(
            Session::builder(())
                .on(START, |cx, ()| cx.delay("release", soon(40), ()))
                .on("release", move |cx, ()| {
                    out!("releases it: {}", cx.refcount_decrement(id, "busy").unwrap())
                })
                .on(STOP, |_, ()| ()),
        )
        .unwrap();
    };
    scenario(&kernel, "an extra reference means not idle", Does { start, ..NOTHING }).await;
    one_saves_all(&kernel).await;
    slice_by_slice(&kernel).await;
}

async fn one_saves_all(kernel: &Kernel) {
    out!("== one who handles IDLE saves all, ZOMBIE takes all");
    let watch = |cx: &mut Context<'_, Idles>, alias: &str| {
        cx.alias_set(alias).unwrap();
        cx.sig("IDLE", "heard");
        cx.sig("ZOMBIE", "heard");
    };
    Session::builder(0)
        .on(START, move |cx, ()| {
            watch(cx, "parent");
            cx.create(
                Session::builder(0)
                    .on(START, move |cx, ()| watch(cx, "child"))
                    .on("heard", |_, signal: Signal| out!("child hears {}", signal.name()))
                    .on(STOP, |_, ()| out!("child stops")),
            )
            .unwrap();
        })
        .on("heard", |cx, signal: Signal| {
            out!("parent hears {}", signal.name());
            cx.sig_handled();
            if signal.name() == "IDLE" {
                *cx.heap += 1;
                if *cx.heap == 1 {
                    cx.delay("work", soon(20), ());
                }
            }
        })
        .on("work", |_, ()| out!("parent works"))
        .on(CHILD, |_, _| ())
        .on(STOP, |_, ()| out!("parent stops"))
        .create(kernel)
        .unwrap();
    kernel.run().await.unwrap();
    out!("run returned");
}

async fn slice_by_slice(kernel: &Kernel) {
    out!("== slice by slice from outside there is no ZOMBIE");
    let stopped = Rc::new(Cell::new(false));
    let stops = stopped.clone();
    Session::builder(0)
        .on(START, |cx, ()| {
            cx.alias_set("the one").unwrap();
            cx.sig("IDLE", "idle");
            cx.sig("ZOMBIE", "zombie");
        })
        .on("idle", |cx, _: Signal| {
            *cx.heap += 1;
            out!("idle {}", *cx.heap);
            if *cx.heap < 4 {
                cx.sig_handled();
            }
        })
        .on("zombie", |_, _: Signal| out!("zombie!"))
        .on(STOP, move |_, ()| {
            out!("stop");
            stops.set(true);
        })
        .create(kernel)
        .unwrap();
    while !stopped.get() {
        kernel.run_one_timeslice().await.unwrap();
    }
    out!(
        "no session left: {}",
        if kernel.run_one_timeslice().await.unwrap() {
            "no"
        } else {
            "yes"
        }
    );
    kernel.run().await.unwrap();
}
