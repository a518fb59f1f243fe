//! Handlers by name: the fallback, and adding, replacing and removing at run time.

use super::{Cx, given, kernel, named, nm, soon};
use poe::event::{CHILD, Child, DEFAULT, START, STOP, Unhandled};
use poe::{AnyArg, HandlerResult, Reply, Session, SessionBuilder, Signal, States};

fn session(name: &'static str, start: impl Fn(&mut Cx<'_>) + 'static) -> SessionBuilder<()> {
    Session::builder(()).on(START, move |cx, ()| {
        named(cx.session_id(), name);
        start(cx);
    })
}

/// What an event carried, as Perl's list of arguments reads.
fn args(arg: AnyArg) -> String {
    let arg = match arg.downcast::<&'static str>() {
        Ok(text) => return text.to_owned(),
        Err(arg) => arg,
    };
    let arg = match arg.downcast::<Child>() {
        Ok(child) => return format!("{}, {}, {}", child.reason, nm(child.session), given(child.result)),
        Err(arg) => arg,
    };
    match arg.downcast::<Signal>() {
        Ok(s) => format!(
            "{}, {}, {}",
            s.name(),
            s.arg::<&str>().unwrap(),
            s.extra::<&str>().unwrap()
        ),
        Err(_) => String::new(),
    }
}

pub(crate) async fn play() {
    let kernel = kernel();
    out!("== every event without a handler, life-cycle events too");
    session("S", |cx| {
        let me = cx.session_id();
        cx.yield_to("yielded", "1, 2");
        cx.delay("timer", soon(20), "x");
        cx.sig_with("HELLO", "hello", "watcher");
        cx.signal(me, "HELLO", "signal").unwrap();
        cx.create(session("C", |_| ())).unwrap();
        let answer: &'static str = cx.call(me, "called", "3").unwrap();
        out!("called: {answer}");
    })
    .on("known", |_, ()| out!("known!"))
    .on(DEFAULT, |cx, unhandled| {
        let Unhandled { event, arg, .. } = unhandled;
        out!("{} for {event} ({}), sender {}", cx.event(), args(arg), nm(cx.sender()));
        Reply("from _default")
    })
    .create(&kernel)
    .unwrap();
    kernel.run().await.unwrap();

    out!("== its value counts: as the answer of a call, as the value of _stop");
    session("parent", |cx| cx.yield_to("go", ()))
        .on(STOP, |_, ()| ())
        .on(CHILD, |_, child| {
            out!("_child {}: {}", child.reason, given(child.result))
        })
        .on("go", |cx, ()| {
            let child = cx
                .create(
                    session("child", |_| ())
                        .on(START, |cx, ()| {
                            named(cx.session_id(), "child");
                            Reply("started")
                        })
                        .on(DEFAULT, |_, unhandled| Reply(format!("default of {}", unhandled.event))),
                )
                .unwrap();
            let answer: String = cx.call(child, "question", ()).unwrap();
            out!("call: {answer}");
        })
        .create(&kernel)
        .unwrap();
    kernel.run().await.unwrap();

    out!("== the arguments survive being passed on");
    session("S", |cx| cx.yield_to("odd", "some random args"))
        .on(STOP, |_, ()| ())
        .on(DEFAULT, |cx, unhandled| cx.yield_to("again", unhandled.arg))
        .on("again", |_, args: &'static str| out!("args: {args}"))
        .create(&kernel)
        .unwrap();
    kernel.run().await.unwrap();

    out!("== no handler and no _default: nothing happens");
    session("S", |cx| {
        cx.yield_to("nobody", ());
        cx.yield_to("somebody", ());
    })
    .on("somebody", |_, ()| out!("somebody"))
    .on(STOP, |_, ()| out!("S _stop"))
    .create(&kernel)
    .unwrap();
    kernel.run().await.unwrap();

    out!("== added, replaced and removed while the events are queued");
    session("S", |cx| {
        cx.yield_to("added", ());
        cx.yield_to("replaced", ());
        cx.yield_to("removed", ());
        cx.state("added", |_, ()| out!("added: there"));
        out!("add: 0");
        cx.state("replaced", |_, ()| out!("replaced: new"));
        assert!(cx.state_remove("removed"));
        assert!(!cx.state_remove("never was there"));
    })
    .on("replaced", |_, ()| out!("replaced: old"))
    .on("removed", |_, ()| out!("removed!"))
    .on(DEFAULT, |_, unhandled| {
        if !unhandled.event.starts_with('_') {
            out!("_default {}", unhandled.event);
        }
    })
    .create(&kernel)
    .unwrap();
    kernel.run().await.unwrap();

    out!("== a handler replaces itself, another one removes itself");
    session("S", |cx| {
        for event in ["changing", "changing", "leaving", "leaving"] {
            cx.yield_to(event, ());
        }
    })
    .on("changing", |cx, ()| {
        cx.state("changing", |_, ()| out!("changing: second"));
        out!("changing: first");
    })
    .on("leaving", |cx, ()| {
        cx.state_remove("leaving");
        out!("leaving: once");
    })
    .on(STOP, |_, ()| ())
    .create(&kernel)
    .unwrap();
    kernel.run().await.unwrap();

    out!("== the handler of one session is not touched by another");
    let shared = States::<u32>::new().on(STOP, |_, ()| ()).on("event", |cx, ()| {
        *cx.heap += 1;
        out!("{}: original, heap {}", nm(cx.session_id()), *cx.heap);
    });
    Session::builder(0)
        .inline_states(&shared)
        .on(START, |cx, ()| {
            named(cx.session_id(), "one");
            cx.yield_to("event", ());
            cx.yield_to("event", ());
            cx.state("event", |cx, ()| {
                *cx.heap += 1;
                out!("one: replaced, heap {}", *cx.heap);
            });
        })
        .create(&kernel)
        .unwrap();
    Session::builder(0)
        .inline_states(&shared)
        .on(START, |cx, ()| {
            named(cx.session_id(), "two");
            cx.yield_to("event", ());
            cx.yield_to("event", ());
        })
        .create(&kernel)
        .unwrap();
    kernel.run().await.unwrap();

    out!("== events named like POE's own");
    Session::builder(0_u32)
        .on(START, |cx, argument: Option<&'static str>| -> HandlerResult {
            named(cx.session_id(), "S");
            out!(
                "_start, sender {}, argument {}",
                nm(cx.sender()),
                argument.unwrap_or("none")
            );
            *cx.heap += 1;
            if *cx.heap == 1 {
                cx.yield_to("_start", Some("posted"));
                cx.yield_to("_stop", ());
                cx.yield_to("after", ());
            }
            Ok(())
        })
        .args(None::<&'static str>)
        .on(STOP, |cx, ()| out!("_stop, sender {}", nm(cx.sender())))
        .on("after", |_, ()| out!("after"))
        .create(&kernel)
        .unwrap();
    kernel.run().await.unwrap();
}
