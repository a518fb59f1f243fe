//! Callbacks: like postbacks, but the handler runs at once and its result comes back.

use super::{Cx, kernel, named, nm, or_undef, soon};
use poe::event::{PARENT, START, STOP};
use poe::{CallError, Callback, Event, Reply, Session, SessionBuilder};
use std::cell::RefCell;
use std::rc::Rc;

const DOUBLE: Event<(&'static str, i64), i64> = Event::new("double");

type Doubler = Callback<&'static str, i64, i64>;

fn session(name: &'static str, start: impl Fn(&mut Cx<'_>) + 'static) -> SessionBuilder<()> {
    Session::builder(())
        .on(START, move |cx, ()| {
            named(cx.session_id(), name);
            start(cx);
        })
        .on(STOP, move |_, ()| out!("{name} _stop"))
        .on(DOUBLE, move |cx, (mine, theirs)| {
            let (sender, state, active) = (
                nm(cx.sender()),
                or_undef(cx.caller_state()),
                or_undef(cx.active_event()),
            );
            out!("{name}.double ({mine}) ({theirs}), sender {sender}, caller state {state}, active {active}");
            Reply(2 * theirs)
        })
}

fn answer<A>(what: &str, result: Result<i64, CallError<A>>) {
    match result {
        Ok(n) => out!("{what}: {n}"),
        Err(e) => out!("{what}: undef, error {}", super::call_errno(&e)),
    }
}

pub(crate) async fn play() {
    let kernel = kernel();
    out!("== from another session");
    session("server", |cx| cx.alias_set("server").unwrap())
        .on("ask", |cx, callback: Doubler| {
            answer("server gets", callback.call(cx, 21));
            out!("server goes on");
        })
        .on("done", |cx, ()| cx.alias_remove("server"))
        .create(&kernel)
        .unwrap();
    session("client", |cx| cx.yield_to("go", ()))
        .on("go", |cx, ()| {
            cx.post("server", "ask", cx.callback(DOUBLE, "mine")).unwrap();
            cx.post("server", "done", ()).unwrap();
        })
        .create(&kernel)
        .unwrap();
    kernel.run().await.unwrap();

    out!("== from the session itself: as in a self-call");
    session("S", |cx| cx.yield_to("go", ()))
        .on("go", |cx, ()| {
            let callback: Doubler = cx.callback(DOUBLE, "1 2");
            cx.yield_to("queued", ());
            answer("result", callback.call(cx, 4));
        })
        .on("queued", |_, ()| out!("S.queued"))
        .create(&kernel)
        .unwrap();
    kernel.run().await.unwrap();

    out!("== outside any session");
    let kept: Rc<RefCell<Option<Doubler>>> = Rc::default();
    let keep = kept.clone();
    session("S", move |cx| *keep.borrow_mut() = Some(cx.callback(DOUBLE, "mine")))
        .create(&kernel)
        .unwrap();
    let callback = kept.take().unwrap();
    answer("result", callback.call(&kernel, 5));
    drop(callback);
    kernel.run().await.unwrap();

    out!("== it holds its session, and shares the tag of the postbacks");
    session("S", |cx| {
        let id = cx.session_id();
        let callback = RefCell::new(Some(cx.callback(DOUBLE, "")));
        let postback = RefCell::new(Some(cx.postback::<_, i64>(DOUBLE_POSTED, "")));
        cx.create(
            session("holder", |cx| {
                cx.detach_myself().unwrap();
                cx.delay("first", soon(20), ());
            })
            .on(PARENT, |_, _| ())
            .on("first", move |cx, ()| {
                drop(postback.take());
                cx.delay("second", soon(20), ());
            })
            .on("second", move |cx, ()| {
                let callback = callback.take().unwrap();
                answer("still there", callback.call(&mut *cx, 6));
                drop(callback);
                cx.delay("third", soon(20), ());
            })
            .on("third", move |cx, ()| {
                out!(
                    "S is there: {}",
                    if cx.is_alive(id) { nm(id) } else { "undef".to_owned() }
                );
            }),
        )
        .unwrap();
    })
    .create(&kernel)
    .unwrap();
    kernel.run().await.unwrap();

    out!("== after the session's death, and weakened");
    let kept: Rc<RefCell<Vec<Doubler>>> = Rc::default();
    let keep = kept.clone();
    let victim = session("victim", move |cx| keep.borrow_mut().push(cx.callback(DOUBLE, "")))
        .create(&kernel)
        .unwrap();
    let keep = kept.clone();
    session("weak", move |cx| {
        keep.borrow_mut().push(cx.callback(DOUBLE, "").weaken())
    })
    .create(&kernel)
    .unwrap();
    let at_start = kept.clone();
    session("killer", move |cx| {
        cx.signal(victim, "TERM", ()).unwrap();
        answer("weak one, session there", at_start.borrow()[1].call(&mut *cx, 7));
        cx.delay("go", soon(20), ());
    })
    .on("go", move |cx, ()| {
        answer("victim is gone", kept.borrow()[0].call(&mut *cx, 8));
        answer("weak one is gone", kept.borrow()[1].call(&mut *cx, 9));
        kept.borrow_mut().clear();
    })
    .create(&kernel)
    .unwrap();
    kernel.run().await.unwrap();
}

/// The same event without its answer, for a postback.
const DOUBLE_POSTED: Event<(&'static str, i64)> = Event::new("double");
