//! How a session comes into being: `_start`, `_child create`, parents, the grace period.

use super::{Cx, child_facts, kernel, named, nm, posted};
use poe::event::{CHILD, DEFAULT, PARENT, START, STOP};
use poe::{Reply, Session, SessionBuilder};
use std::cell::RefCell;
use std::rc::Rc;

/// A session that tells all of its life.
fn session(name: &'static str, start: impl Fn(&mut Cx<'_>) + 'static) -> SessionBuilder<()> {
    Session::builder(())
        .on(START, move |cx, ()| {
            named(cx.session_id(), name);
            out!("{name} _start (sender {})", nm(cx.sender()));
            start(cx);
            out!("{name} _start ends");
            Reply(format!("{name} started"))
        })
        .on(CHILD, move |cx, child| {
            out!("{name} _child {}, sender {}", child_facts(child), nm(cx.sender()))
        })
        .on(PARENT, move |_, parent| {
            out!("{name} _parent {} to {}", nm(parent.old), nm(parent.new))
        })
        .on(STOP, move |_, ()| {
            out!("{name} _stop");
            Reply(format!("{name} stopped"))
        })
}

fn quiet(_: &mut Cx<'_>) {}

pub(crate) async fn play() {
    let kernel = kernel();
    out!("== arguments of _start");
    session("S", quiet)
        .on(START, |cx, (a, b, c): (i32, &'static str, i32)| {
            named(cx.session_id(), "S");
            out!("S _start (sender {})", nm(cx.sender()));
            out!("args: {a} {b} {c}");
            out!("S _start ends");
        })
        .args((1, "two", 3))
        .create(&kernel)
        .unwrap();
    kernel.run().await.unwrap();

    out!("== nested: P makes C makes D");
    session("G", |cx| {
        cx.create(session("P", |cx| {
            cx.create(session("C", |cx| {
                cx.create(session("D", quiet)).unwrap();
            }))
            .unwrap();
            out!("P goes on");
        }))
        .unwrap();
    })
    .create(&kernel)
    .unwrap();
    out!("create returned");
    kernel.run().await.unwrap();

    out!("== made inside a called handler: child of the callee");
    session("callee", |cx| cx.alias_set("callee").unwrap())
        .on("make", |cx, ()| {
            cx.create(session("made", quiet)).unwrap();
        })
        .on("done", |cx, ()| cx.alias_remove("callee"))
        .create(&kernel)
        .unwrap();
    session("caller", |cx| cx.yield_to("go", ()))
        .on("go", |cx, ()| {
            cx.call::<(), ()>("callee", "make", ()).unwrap();
            cx.create(session("own", quiet)).unwrap();
            cx.post("callee", "done", ()).unwrap();
        })
        .create(&kernel)
        .unwrap();
    kernel.run().await.unwrap();

    out!("== a session that holds nothing may still be posted to by its creator");
    session("creator", |cx| {
        let child = cx
            .create(session("bare", quiet).on("hello", |_, ()| out!("bare got hello")))
            .unwrap();
        out!("post: {}", posted(cx.post(child, "hello", ())));
    })
    .create(&kernel)
    .unwrap();
    kernel.run().await.unwrap();

    out!("== detach in _start: no create, no lose");
    session("old parent", |cx| {
        cx.create(session("loner", |cx| {
            out!("detach: {}", i32::from(cx.detach_myself().is_ok()))
        }))
        .unwrap();
        cx.create(session("stays", quiet)).unwrap();
    })
    .create(&kernel)
    .unwrap();
    kernel.run().await.unwrap();

    out!("== no _start: nothing is created");
    let nothing = Session::builder(())
        .on(DEFAULT, |_, _| out!("_default!"))
        .on(STOP, |_, ()| out!("_stop!"))
        .create(&kernel);
    out!(
        "create returned {}",
        if nothing.is_ok() { "a session" } else { "nothing" }
    );
    assert!(nothing.unwrap_err().is_no_start());
    kernel.run().await.unwrap();

    out!("== gone during _start: no create");
    session("watcher", |cx| {
        cx.alias_set("watcher").unwrap();
        cx.yield_to("go", ());
    })
    .on("go", |cx, ()| {
        let child = cx.create(session("brief", |cx| cx.stop_all()));
        out!(
            "create returned {}",
            if child.is_ok() { "a session" } else { "nothing" }
        );
    })
    .create(&kernel)
    .unwrap();
    kernel.run().await.unwrap();

    out!("== IDs");
    let ids: Rc<RefCell<Vec<u64>>> = Rc::default();
    for _ in 0..3 {
        let ids = ids.clone();
        session("i", move |cx| ids.borrow_mut().push(cx.session_id().get()))
            .create(&kernel)
            .unwrap();
    }
    let one_more = ids.borrow().windows(2).all(|w| w[1] == w[0] + 1);
    out!("one more each time: {}", if one_more { "yes" } else { "no" });
    kernel.run().await.unwrap();
}
