//! How a session goes: the order of the sweep; gain, `_parent`, `_stop`, lose; what works meanwhile.

use super::{Cx, child_facts, id_of, kernel, named, nm, posted, soon};
use poe::event::{CHILD, ChildReason, PARENT, START, STOP};
use poe::{Kernel, Reply, Session, SessionBuilder, Signal};
use std::cell::Cell;

fn plain(name: &'static str) -> SessionBuilder<()> {
    session(name, |_| (), |_| ())
}

/// A session that tells how it ends; `create` of children is told by [`loud`] ones only.
fn session(
    name: &'static str,
    start: impl Fn(&mut Cx<'_>) + 'static,
    stop: impl Fn(&mut Cx<'_>) + 'static,
) -> SessionBuilder<()> {
    Session::builder(())
        .on(START, move |cx, ()| {
            named(cx.session_id(), name);
            start(cx);
            Reply(format!("{name} started"))
        })
        .on(CHILD, move |cx, child| {
            if child.reason != ChildReason::Create {
                out!("{name} _child {}, sender {}", child_facts(child), nm(cx.sender()));
            }
        })
        .on(PARENT, move |cx, parent| {
            out!(
                "{name} _parent {} to {}, sender {}",
                nm(parent.old),
                nm(parent.new),
                nm(cx.sender())
            );
        })
        .on(STOP, move |cx, ()| {
            out!(
                "{name} _stop, sender {}, active {}",
                nm(cx.sender()),
                nm(cx.active_session())
            );
            stop(cx);
            Reply(format!("{name} stopped"))
        })
}

/// Reports created children, too.
fn loud(name: &'static str, builder: SessionBuilder<()>) -> SessionBuilder<()> {
    builder.on(CHILD, move |cx, child| {
        out!("{name} _child {}, sender {}", child_facts(child), nm(cx.sender()))
    })
}

fn lives(millis: u64) -> impl Fn(&mut Cx<'_>) {
    move |cx| cx.delay("bye", soon(millis), ())
}

pub(crate) async fn play() {
    let kernel = kernel();
    out!("== four idle sessions stop newest first");
    for name in ["idle 1", "idle 2", "idle 3", "idle 4"] {
        plain(name).create(&kernel).unwrap();
    }
    kernel.run().await.unwrap();

    out!("== marked anew, first to go");
    for name in ["idle 1", "idle 2", "idle 3", "idle 4"] {
        plain(name).create(&kernel).unwrap();
    }
    session("toucher", |cx| cx.yield_to("touch", ()), |_| ())
        .on("touch", |cx, ()| {
            let id = id_of("idle 2");
            out!("up to {}", cx.refcount_increment(id, "touch").unwrap());
            out!("down to {}", cx.refcount_decrement(id, "touch").unwrap());
        })
        .create(&kernel)
        .unwrap();
    kernel.run().await.unwrap();

    out!("== a parent follows its last child, behind all that were marked before");
    let three = |cx: &mut Cx<'_>| {
        for name in ["child 1", "child 2", "child 3"] {
            cx.create(plain(name)).unwrap();
        }
    };
    session("P", three, |_| ()).create(&kernel).unwrap();
    plain("Q").create(&kernel).unwrap();
    kernel.run().await.unwrap();

    out!("== an event that held both: its sender goes first");
    let id = plain("receiver")
        .on("event", |_, ()| out!("receiver got the event"))
        .create(&kernel)
        .unwrap();
    let start = move |cx: &mut Cx<'_>| {
        cx.refcount_increment(id, "held").unwrap();
        cx.delay("go", soon(20), ());
    };
    session("sender", start, |_| ())
        .on("go", move |cx, ()| {
            cx.post(id, "event", ()).unwrap();
            cx.refcount_decrement(id, "held").map(drop)
        })
        .create(&kernel)
        .unwrap();
    kernel.run().await.unwrap();

    out!("== once the sweep has begun a revival is too late");
    let older = plain("older")
        .on("revive", |cx, ()| {
            cx.alias_set("older").unwrap();
            cx.delay("later", soon(20), ());
            out!("older took an alias and set a timer");
        })
        .on("later", |_, ()| out!("later!"))
        .create(&kernel)
        .unwrap();
    session("newer", |_| (), move |cx| cx.call(older, "revive", ()).unwrap())
        .create(&kernel)
        .unwrap();
    kernel.run().await.unwrap();

    out!("== a reference that a _stop lets go of");
    let hold = |cx: &mut Cx<'_>| {
        cx.refcount_increment(cx.session_id(), "hold").unwrap();
    };
    let held = session("held", hold, |_| ()).create(&kernel).unwrap();
    let release = move |cx: &mut Cx<'_>| out!("down to {}", cx.refcount_decrement(held, "hold").unwrap());
    session("holder", |_| (), release).create(&kernel).unwrap();
    kernel.run().await.unwrap();

    out!("== stopped while a child lives: gain, _parent, _stop, lose");
    session("P", |cx| cx.yield_to("go", ()), |_| ())
        .on("go", |cx, ()| {
            let middle = cx
                .create(
                    session("M", |cx| cx.sig("TERM", "term"), |_| ()).on("term", |cx, _: Signal| {
                        cx.create(session("C", lives(20), |_| ()).on("bye", |_, ()| out!("C says bye")))
                            .unwrap();
                        out!("M leaves TERM unhandled");
                    }),
                )
                .unwrap();
            cx.signal(middle, "TERM", ()).unwrap();
        })
        .create(&kernel)
        .unwrap();
    kernel.run().await.unwrap();

    what_works(&kernel).await;

    out!("== a session made in _stop goes to the parent without a word");
    let makes_late = |cx: &mut Cx<'_>| {
        let late = session("late", lives(20), |_| ()).on("bye", |_, ()| out!("late says bye"));
        cx.create(loud("late", late)).unwrap();
    };
    let parent = session("P", |cx| cx.yield_to("go", ()), |_| ()).on("go", move |cx, ()| {
        cx.create(loud("S", session("S", |_| (), makes_late))).unwrap();
    });
    loud("P", parent).create(&kernel).unwrap();
    kernel.run().await.unwrap();

    out!("== stop, from within: children first, the caller last, each once");
    let start = |cx: &mut Cx<'_>| {
        cx.alias_set("A").unwrap();
        let start = |cx: &mut Cx<'_>| {
            cx.alias_set("B").unwrap();
            cx.create(session("C", |cx| cx.alias_set("C").unwrap(), |_| ()))
                .unwrap();
        };
        cx.create(session("B", start, |_| ())).unwrap();
        cx.yield_to("go", ());
        cx.yield_to("never", ());
    };
    session("A", start, |_| ())
        .on("go", |cx, ()| {
            cx.stop_all();
            out!("A goes on");
        })
        .on("never", |_, ()| out!("never!"))
        .create(&kernel)
        .unwrap();
    kernel.run().await.unwrap();
}

async fn what_works(kernel: &Kernel) {
    out!("== what works inside _stop, and inside the parent's lose");
    let start = |cx: &mut Cx<'_>| {
        cx.alias_set("bystander").unwrap();
        cx.delay("bye", soon(60), ());
    };
    session("bystander", start, |_| ())
        .on("hello", |cx, ()| {
            out!("bystander got hello from {}", nm(cx.sender()));
            Reply("hello back")
        })
        .on("bye", |cx, ()| {
            out!("bystander leaves");
            cx.alias_remove("bystander")
        })
        .create(kernel)
        .unwrap();
    let stop = |cx: &mut Cx<'_>| {
        let me = cx.session_id();
        out!("resolves: {}", nm(cx.alias_resolve(me).unwrap()));
        out!(
            "call to another: {}",
            cx.call::<_, &'static str>("bystander", "hello", ()).unwrap()
        );
        out!("call to itself: {}", cx.call::<_, &'static str>(me, "ask", ()).unwrap());
        out!("post to another: {}", posted(cx.post("bystander", "hello", ())));
        cx.yield_to("echo", ());
        cx.delay("timer", soon(20), ());
        out!("alias_set: {}", super::code(cx.alias_set("gone soon")));
        out!("refcount: {}", cx.refcount_increment(me, "dropped").unwrap());
    };
    let start = |cx: &mut Cx<'_>| {
        cx.yield_to("go", ());
        cx.delay("bye", soon(40), ());
    };
    let lost = std::rc::Rc::new(Cell::new(None));
    let dead = lost.clone();
    session("P", start, |_| ())
        .on("go", move |cx, ()| {
            cx.create(
                session("S", |_| (), stop)
                    .on("ask", |cx, ()| {
                        out!("S answers {}", nm(cx.sender()));
                        Reply("an answer")
                    })
                    .on("echo", |_, ()| out!("echo!"))
                    .on("timer", |_, ()| out!("timer!")),
            )
            .unwrap();
        })
        .on("hello", |_, ()| out!("hello!"))
        .on(CHILD, move |cx, child| {
            let (reason, id) = (child.reason, child.session);
            if reason != ChildReason::Lose {
                return;
            }
            out!("P _child {}, sender {}", child_facts(child), nm(cx.sender()));
            out!(
                "P calls the dead: {}",
                cx.call::<_, &'static str>(id, "ask", ()).unwrap()
            );
            out!("P posts to it: {}", posted(cx.post(id, "echo", ())));
            out!("P holds it: {}", cx.refcount_increment(id, "dropped").unwrap());
            lost.set(Some(id));
        })
        .on("bye", move |cx, ()| {
            let id = dead.get().unwrap();
            out!(
                "S resolves: {}",
                cx.alias_resolve(id).map_or_else(|_| "undef".to_owned(), nm)
            );
            out!(
                "its alias: {}",
                cx.alias_resolve("gone soon").map_or_else(|_| "undef".to_owned(), nm)
            );
            out!("post to it: {}", posted(cx.post(id, "echo", ())));
        })
        .create(kernel)
        .unwrap();
    kernel.run().await.unwrap();
}
