//! Postbacks: what they hold, their arguments and sender, what becomes of them when the session is gone.

use super::{Cx, kernel, named, nm, or_undef, soon};
use poe::event::{PARENT, START, STOP};
use poe::{Event, Kernel, Postback, Session, SessionBuilder};
use std::cell::RefCell;
use std::rc::Rc;

const ANSWER: Event<(&'static str, &'static str)> = Event::new("answer");

type Answer = Postback<&'static str, &'static str>;

fn session(name: &'static str, start: impl Fn(&mut Cx<'_>) + 'static) -> SessionBuilder<()> {
    Session::builder(())
        .on(START, move |cx, ()| {
            named(cx.session_id(), name);
            start(cx);
        })
        .on(STOP, move |_, ()| out!("{name} _stop"))
        .on(ANSWER, move |cx, (mine, theirs)| {
            let (sender, state) = (nm(cx.sender()), or_undef(cx.caller_state()));
            out!("{name}.answer ({mine}) ({theirs}), sender {sender}, caller state {state}");
        })
}

/// POE's postbacks return 0 whatever happens; ours hand the argument back if nobody is there.
fn sent(postback: &Answer, arg: &'static str) -> &'static str {
    match postback.post(arg) {
        Ok(()) => "0",
        Err(refused) => {
            assert!(refused.is_no_such_session());
            assert_eq!(refused.into_arg(), arg);
            "refused"
        }
    }
}

fn is_there(kernel: poe::KernelRef<'_>, id: poe::SessionId) -> String {
    if kernel.is_alive(id) {
        nm(id)
    } else {
        "undef".to_owned()
    }
}

pub(crate) async fn play() {
    let kernel = kernel();
    out!("== arguments, result, sender, caller state");
    session("server", |cx| cx.alias_set("server").unwrap())
        .on("ask", |_, postback: Answer| {
            out!("server invokes it: {}", sent(&postback, "a b"));
            out!("and again: {}", sent(&postback, ""));
        })
        .on("done", |cx, ()| cx.alias_remove("server"))
        .create(&kernel)
        .unwrap();
    session("client", |cx| cx.yield_to("go", ()))
        .on("go", |cx, ()| {
            let postback: Answer = cx.postback(ANSWER, "1 2");
            cx.post("server", "ask", postback.clone()).unwrap();
            out!("client invokes its own: {}", sent(&postback, "c"));
            cx.post("server", "done", ()).unwrap();
        })
        .create(&kernel)
        .unwrap();
    kernel.run().await.unwrap();

    out!("== invoked outside any session");
    let kept: Rc<RefCell<Option<Answer>>> = Rc::default();
    let keep = kept.clone();
    session("S", move |cx| *keep.borrow_mut() = Some(cx.postback(ANSWER, "mine")))
        .create(&kernel)
        .unwrap();
    let postback = kept.take().unwrap();
    out!("result: {}", sent(&postback, "theirs"));
    drop(postback);
    kernel.run().await.unwrap();

    out!("== in a self-call the caller state is the outer event");
    session("S", |cx| cx.yield_to("outer", ()))
        .on("outer", |cx, ()| {
            let me = cx.session_id();
            cx.call::<(), ()>(me, "inner", ()).unwrap();
        })
        .on("inner", |cx, ()| {
            let postback: Answer = cx.postback(ANSWER, "");
            sent(&postback, "");
        })
        .create(&kernel)
        .unwrap();
    kernel.run().await.unwrap();

    out!("== each one holds its session, however many");
    session("S", |cx| {
        let id = cx.session_id();
        let held: Vec<Answer> = ["1", "2"].map(|n| cx.postback(ANSWER, n)).into();
        let held = Rc::new(RefCell::new(held));
        let last = held.clone();
        cx.create(
            session("holder", |cx| {
                cx.detach_myself().unwrap();
                cx.delay("first", soon(20), ());
            })
            .on(PARENT, |_, _| ())
            .on("first", move |cx, ()| {
                out!("S is there: {}", is_there(cx.kernel, id));
                held.borrow_mut().remove(0);
                cx.delay("second", soon(20), ());
            })
            .on("second", move |cx, ()| {
                out!("S is there: {}", is_there(cx.kernel, id));
                sent(&last.borrow()[0], "last");
                last.borrow_mut().clear();
                cx.delay("third", soon(20), ());
            })
            .on("third", move |cx, ()| out!("S is there: {}", is_there(cx.kernel, id))),
        )
        .unwrap();
    })
    .create(&kernel)
    .unwrap();
    kernel.run().await.unwrap();

    out!("== after the session was killed");
    let kept: Rc<RefCell<Option<Answer>>> = Rc::default();
    let keep = kept.clone();
    let victim = session("victim", move |cx| {
        *keep.borrow_mut() = Some(cx.postback(ANSWER, "mine"))
    })
    .create(&kernel)
    .unwrap();
    session("killer", move |cx| {
        cx.signal(victim, "TERM", ()).unwrap();
        cx.delay("go", soon(20), ());
    })
    .on("go", move |_, ()| {
        let postback = kept.take().unwrap();
        out!("result: {}", sent(&postback, "theirs"));
        drop(postback);
        out!("dropped");
    })
    .create(&kernel)
    .unwrap();
    kernel.run().await.unwrap();

    weakened(&kernel).await;

    out!("== a postback in an argument list is dropped after the event");
    session("receiver", |cx| cx.alias_set("receiver").unwrap())
        .on("take", |_, _: Answer| out!("taken"))
        .create(&kernel)
        .unwrap();
    session("S", |cx| {
        let postback: Answer = cx.postback(ANSWER, "");
        cx.post("receiver", "take", postback).unwrap();
    })
    .create(&kernel)
    .unwrap();
    kernel.run().await.unwrap();
}

async fn weakened(kernel: &Kernel) {
    out!("== weakened: it holds nothing, and works while the session lives");
    let weak: Rc<RefCell<Option<Answer>>> = Rc::default();
    let (keep, inside) = (weak.clone(), weak.clone());
    session("S", move |cx| {
        let postback: Answer = cx.postback(ANSWER, "mine");
        // By value: that it is itself that comes back is what the type says.
        *keep.borrow_mut() = Some(postback.weaken().weaken());
        out!("weaken gives itself: yes");
        cx.delay("timer", soon(20), ());
    })
    .on("timer", move |_, ()| {
        out!("S timer");
        sent(inside.borrow().as_ref().unwrap(), "from within");
    })
    .create(kernel)
    .unwrap();
    session("other", |cx| cx.delay("go", soon(40), ()))
        .on("go", move |_, ()| {
            let weak = weak.take().unwrap();
            out!("after its death: {}", sent(&weak, "too late"));
        })
        .create(kernel)
        .unwrap();
    kernel.run().await.unwrap();
}
