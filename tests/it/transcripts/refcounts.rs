//! Extra references: counts, who may take them, revival before the sweep.

use super::{Cx, errno, kernel, soon};
use poe::event::{START, STOP};
use poe::{Error, Session, SessionBuilder, Signal};

fn answer(what: &str, result: Result<u64, Error>) {
    match result {
        Ok(n) => out!("{what}: {n}"),
        Err(e) => out!("{what}: undef, error {}", errno(&e)),
    }
}

fn session(name: &'static str, start: impl Fn(&mut Cx<'_>) + 'static) -> SessionBuilder<()> {
    Session::builder(())
        .on(START, move |cx, ()| start(cx))
        .on(STOP, move |_, ()| out!("{name} _stop"))
}

/// A `_start` that takes a reference on its own session.
fn takes(tag: &'static str) -> impl Fn(&mut Cx<'_>) {
    move |cx| {
        cx.refcount_increment(cx.session_id(), tag).unwrap();
    }
}

pub(crate) async fn play() {
    let kernel = kernel();
    out!("== counts of tags");
    // A session that has been: what POE's script asks for by a number that was never given out.
    let unknown = Session::builder(()).on(START, |_, ()| ()).create(&kernel).unwrap();
    kernel.run().await.unwrap();
    session("S", move |cx| {
        let id = cx.session_id();
        answer("one up", cx.refcount_increment(id, "one"));
        answer("one up", cx.refcount_increment(id, "one"));
        answer("two up", cx.refcount_increment(id, "two"));
        answer("one down", cx.refcount_decrement(id, "one"));
        answer("one down", cx.refcount_decrement(id, "one"));
        answer("one up again", cx.refcount_increment(id, "one"));
        answer("one down", cx.refcount_decrement(id, "one"));
        answer("two down", cx.refcount_decrement(id, "two"));
        answer("unknown session up", cx.refcount_increment(unknown, "x"));
        answer("unknown session down", cx.refcount_decrement(unknown, "x"));
    })
    .create(&kernel)
    .unwrap();
    kernel.run().await.unwrap();

    out!("== a tag holds, any session may let go");
    let held = session("held", takes("hold"))
        .on("hello", |_, ()| out!("held got hello"))
        .create(&kernel)
        .unwrap();
    session("other", |cx| cx.delay("go", soon(20), ()))
        .on("go", move |cx, ()| {
            cx.post(held, "hello", ()).unwrap();
            cx.delay("release", soon(20), ());
        })
        .on("release", move |cx, ()| {
            answer("up from outside", cx.refcount_increment(held, "hold"));
            answer("down from outside", cx.refcount_decrement(held, "hold"));
            answer("down from outside", cx.refcount_decrement(held, "hold"));
            cx.delay("look", soon(20), ());
        })
        .on("look", move |cx, ()| {
            answer("afterwards", cx.refcount_increment(held, "hold"))
        })
        .create(&kernel)
        .unwrap();
    kernel.run().await.unwrap();

    out!("== up and down in _start does not end it");
    session("S", |cx| {
        let id = cx.session_id();
        cx.refcount_increment(id, "x").unwrap();
        cx.refcount_decrement(id, "x").unwrap();
        cx.yield_to("event", ());
    })
    .on("event", |_, ()| out!("S runs"))
    .create(&kernel)
    .unwrap();
    kernel.run().await.unwrap();

    out!("== revived before the sweep");
    let weak = session("weak", |cx| cx.yield_to("last", ()))
        .on("last", |_, ()| out!("weak's last event"))
        .on("more", |cx, ()| {
            out!("one more");
            cx.refcount_decrement(cx.session_id(), "revived").map(drop)
        })
        .create(&kernel)
        .unwrap();
    session("helper", |cx| cx.yield_to("go", ()))
        .on("go", move |cx, ()| {
            out!("revived: {}", cx.refcount_increment(weak, "revived").unwrap())
        })
        .on(STOP, move |cx, ()| {
            out!("helper _stop");
            cx.post(weak, "more", ()).unwrap(); // Lost: its sender goes.
        })
        .create(&kernel)
        .unwrap();
    session("poster", |cx| cx.delay("go", soon(20), ()))
        .on("go", move |cx, ()| cx.post(weak, "more", ()).unwrap())
        .create(&kernel)
        .unwrap();
    kernel.run().await.unwrap();

    out!("== released in a _stop, before IDLE");
    let bystander = session("bystander", takes("hold")).create(&kernel).unwrap();
    session("idler", |cx| {
        cx.alias_set("idler").unwrap();
        cx.sig("IDLE", "idle");
    })
    .on("idle", |_, _: Signal| out!("IDLE"))
    .create(&kernel)
    .unwrap();
    session("holder", |cx| cx.yield_to("event", ()))
        .on("event", |_, ()| out!("holder runs"))
        .on(STOP, move |cx, ()| {
            out!("holder _stop");
            out!("down to {}", cx.refcount_decrement(bystander, "hold").unwrap());
        })
        .create(&kernel)
        .unwrap();
    kernel.run().await.unwrap();

    out!("== below zero");
    session("S", |cx| {
        let id = cx.session_id();
        answer("[D5] down from nothing", cx.refcount_decrement(id, "x"));
        answer("[D5] up", cx.refcount_increment(id, "x"));
        answer("[D5] up", cx.refcount_increment(id, "x"));
        answer("[D5] down", cx.refcount_decrement(id, "x"));
        cx.refcount_decrement(id, "x").unwrap();
    })
    .create(&kernel)
    .unwrap();
    kernel.run().await.unwrap();
}
