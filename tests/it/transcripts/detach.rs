//! Leaving one's parent: the order of events, errors, what the tree is like meanwhile.

use super::{Cx, child_facts, errno, kernel, named, nm, soon};
use poe::event::{CHILD, ChildReason, PARENT, START, STOP};
use poe::{Error, Reply, Session, SessionBuilder, SessionId, Signal};
use std::cell::Cell;
use std::rc::Rc;

fn answer(what: &str, result: Result<(), Error>) {
    match result {
        Ok(()) => out!("{what}: 1"),
        Err(e) => out!("{what}: undef, error {}", errno(&e)),
    }
}

fn session(name: &'static str, start: impl Fn(&mut Cx<'_>) + 'static) -> SessionBuilder<()> {
    Session::builder(())
        .on(START, move |cx, ()| {
            named(cx.session_id(), name);
            start(cx);
            Reply(format!("{name} started"))
        })
        .on(CHILD, move |cx, child| {
            out!("{name} _child {}, sender {}", child_facts(child), nm(cx.sender()))
        })
        .on(PARENT, move |cx, parent| {
            out!(
                "{name} _parent {} to {}, sender {}",
                nm(parent.old),
                nm(parent.new),
                nm(cx.sender())
            );
        })
        .on(STOP, move |_, ()| {
            out!("{name} _stop");
            Reply(format!("{name} stopped"))
        })
}

fn go(cx: &mut Cx<'_>) {
    cx.yield_to("go", ());
}

/// A `_start` that waits for `done`.
fn lives(millis: u64) -> impl Fn(&mut Cx<'_>) {
    move |cx| cx.delay("done", soon(millis), ())
}

pub(crate) async fn play() {
    let kernel = kernel();
    out!("== detach_myself");
    session("parent", go)
        .on("go", |cx, ()| {
            cx.create(
                session("child", |cx| cx.yield_to("leave", ()))
                    .on("leave", |cx, ()| {
                        answer("detach_myself", cx.detach_myself());
                        answer("once more", cx.detach_myself());
                        cx.yield_to("done", ());
                    })
                    .on("done", |_, ()| out!("child is done")),
            )
            .unwrap();
            cx.yield_to("done", ());
        })
        .on("done", |_, ()| out!("parent is done"))
        .create(&kernel)
        .unwrap();
    kernel.run().await.unwrap();

    out!("== detach_child");
    session("parent", go)
        .on("go", |cx, ()| {
            let child = cx
                .create(session("child", lives(40)).on("done", |_, ()| out!("child is done")))
                .unwrap();
            answer("detach_child", cx.detach_child(child));
            answer("once more", cx.detach_child(child));
            cx.delay("done", soon(20), ());
        })
        .on("done", |_, ()| out!("parent is done"))
        .create(&kernel)
        .unwrap();
    kernel.run().await.unwrap();

    out!("== errors");
    let nobody = super::id_of("child");
    session("grandparent", go)
        .on("go", move |cx, ()| {
            let grandchild = Rc::new(Cell::new(None));
            let made = grandchild.clone();
            cx.create(
                session("parent", move |cx| {
                    let id = cx
                        .create(session("grandchild", lives(20)).on("done", |_, ()| ()))
                        .unwrap();
                    made.set(Some(id));
                    cx.alias_set("parent").unwrap();
                    cx.delay("done", soon(40), ());
                })
                .on("done", |cx, ()| cx.alias_remove("parent")),
            )
            .unwrap();
            let (me, kernel) = (cx.session_id(), cx.kernel_id());
            answer("a grandchild", cx.detach_child(grandchild.get().unwrap()));
            answer("oneself", cx.detach_child(me));
            answer("the kernel", cx.detach_child(kernel));
            answer("nobody", cx.detach_child(nobody));
            answer("detach_myself of a child of the kernel", cx.detach_myself());
            let parent = cx.alias_resolve("parent").unwrap();
            answer("by alias", cx.detach_child(parent));
        })
        .create(&kernel)
        .unwrap();
    kernel.run().await.unwrap();

    out!("== the children of who leaves stay with it");
    session("top", go)
        .on("go", |cx, ()| {
            cx.create(
                session("middle", |cx| {
                    cx.create(session("low", lives(20)).on("done", |_, ()| out!("low is done")))
                        .unwrap();
                    cx.yield_to("leave", ());
                })
                .on("leave", |cx, ()| cx.detach_myself()),
            )
            .unwrap();
        })
        .create(&kernel)
        .unwrap();
    kernel.run().await.unwrap();

    out!("== while the two handlers run the tree is still the old one");
    session("parent", go)
        .on("go", |cx, ()| {
            let child = cx
                .create(
                    session("child", lives(20))
                        .on("done", |_, ()| ())
                        .on("ask", |_, what: &'static str| Reply(format!("{what}: child answers")))
                        .on(PARENT, |cx, parent| {
                            out!("child _parent {} to {}", nm(parent.old), nm(parent.new));
                            let answer: String = cx.call(parent.old, "ask", "in _parent").unwrap();
                            out!("{answer}");
                        }),
                )
                .unwrap();
            cx.detach_child(child)
        })
        .on("ask", |_, what: &'static str| Reply(format!("{what}: parent answers")))
        .on(CHILD, |cx, child| {
            let (reason, id) = (child.reason, child.session);
            out!("parent _child {}, sender {}", child_facts(child), nm(cx.sender()));
            if reason == ChildReason::Lose {
                let answer: String = cx.call(id, "ask", "in lose").unwrap();
                out!("{answer}");
            }
        })
        .create(&kernel)
        .unwrap();
    kernel.run().await.unwrap();

    out!("== signals to the old parent no longer arrive");
    session("parent", |cx| {
        cx.sig("HELLO", "hello");
        cx.yield_to("go", ());
    })
    .on("go", |cx, ()| {
        let me = cx.session_id();
        let child = cx
            .create(
                session("child", |cx| {
                    cx.sig("HELLO", "hello");
                    cx.delay("done", soon(20), ());
                })
                .on("hello", |_, signal: Signal| {
                    out!("child hears {}", signal.arg::<&str>().unwrap())
                })
                .on("done", |_, ()| ()),
            )
            .unwrap();
        cx.signal(me, "HELLO", "one").unwrap();
        cx.yield_to("leave", child);
    })
    .on("leave", |cx, child: SessionId| {
        let me = cx.session_id();
        cx.detach_child(child).unwrap();
        cx.signal(me, "HELLO", "two").unwrap();
    })
    .on("hello", |_, signal: Signal| {
        out!("parent hears {}", signal.arg::<&str>().unwrap())
    })
    .create(&kernel)
    .unwrap();
    kernel.run().await.unwrap();
}
