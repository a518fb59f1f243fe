//! `call` against `post`: at once, nested, to oneself, to nobody, to the kernel.

use super::{Cx, call_errno, kernel, named, nm, or_undef, soon};
use poe::event::{START, STOP};
use poe::{CallError, Context, Failure, HandlerResult, PostError, Reply, Session, SessionBuilder, SessionId, Signal};
use std::cell::Cell;

/// The session and handler that run, the sender, and the event during which it was called.
fn facts<H>(cx: &Context<'_, H>) -> String {
    format!(
        "{}.{}: sender {}, caller state {}, active {} {}",
        nm(cx.session_id()),
        cx.event(),
        nm(cx.sender()),
        or_undef(cx.caller_state()),
        nm(cx.active_session()),
        or_undef(cx.active_event())
    )
}

fn answer<A, R>(what: &str, result: Result<R, CallError<A>>, show: impl Fn(R) -> String) {
    match result {
        Ok(value) => out!("{what}: {}, error none", show(value)),
        Err(e) => out!("{what}: undef, error {}", call_errno(&e)),
    }
}

fn nothing((): ()) -> String {
    "undef".to_owned()
}

fn number(n: i64) -> String {
    n.to_string()
}

fn sent<A>(what: &str, result: Result<(), PostError<A>>) {
    match result {
        Ok(()) => out!("{what}: 1, error none"),
        Err(_) => out!("{what}: undef, error ESRCH"),
    }
}

fn session(name: &'static str, start: impl Fn(&mut Cx<'_>) + 'static) -> SessionBuilder<()> {
    Session::builder(())
        .on(START, move |cx, ()| {
            named(cx.session_id(), name);
            start(cx);
        })
        .on(STOP, |_, ()| ())
}

pub(crate) async fn play() {
    let kernel = kernel();
    out!("== ahead of everything queued, nested, on one heap");
    session("B", |cx| cx.alias_set("B").unwrap())
        .on("ask", |cx, n: i64| -> HandlerResult<Reply<i64>> {
            out!("{}", facts(cx));
            let asker = cx.sender();
            let sum: i64 = cx.call(asker, "add", n)?;
            out!("B got {sum}; {}", facts(cx));
            Ok(Reply(sum * 10))
        })
        .on("done", |cx, ()| cx.alias_remove("B"))
        .create(&kernel)
        .unwrap();
    Session::builder(0_i64)
        .on(START, |cx, ()| {
            named(cx.session_id(), "A");
            *cx.heap = 5;
            cx.yield_to("queued", ());
            cx.yield_to("go", ());
            cx.yield_to("queued", ());
        })
        .on(STOP, |_, ()| ())
        .on("queued", |cx, ()| out!("{}", facts(cx)))
        .on("go", |cx, ()| -> HandlerResult {
            cx.yield_to("posted_in_go", ());
            out!("{}", facts(cx));
            *cx.heap = 6;
            let result: i64 = cx.call("B", "ask", 1_i64)?;
            out!("A got {result}, total {}; {}", *cx.heap, facts(cx));
            cx.post("B", "done", ())?;
            Ok(())
        })
        .on("add", |cx, n: i64| {
            out!("{}", facts(cx));
            *cx.heap += n;
            Reply(*cx.heap)
        })
        .on("posted_in_go", |cx, ()| out!("{}", facts(cx)))
        .create(&kernel)
        .unwrap();
    kernel.run().await.unwrap();

    out!("== calling oneself leaves the outer event in place");
    session("A", |cx| cx.yield_to("outer", ()))
        .on("outer", |cx, ()| -> HandlerResult {
            let me = cx.session_id();
            out!("{}", facts(cx));
            let result: i64 = cx.call(me, "inner", 1_i64)?;
            out!("result: {result}");
            out!("{}", facts(cx));
            let thrown = cx.call::<(), ()>(me, "throws", ());
            out!(
                "threw at once: {}",
                thrown.map_or_else(|e| Failure::from(e).to_string(), |()| "no".to_owned())
            );
            Ok(())
        })
        .on("inner", |cx, depth: i64| -> HandlerResult<Reply<i64>> {
            let me = cx.session_id();
            out!("depth {depth}; {}", facts(cx));
            if depth == 2 {
                cx.yield_to("posted", ());
                return Ok(Reply(1));
            }
            let deeper: i64 = cx.call(me, "inner", depth + 1)?;
            Ok(Reply(deeper + 1))
        })
        .on("throws", |_, ()| -> HandlerResult {
            Err(Failure::msg("inner trouble"))
        })
        .on("posted", |cx, ()| out!("{}", facts(cx)))
        .create(&kernel)
        .unwrap();
    kernel.run().await.unwrap();

    out!("== an exception in another session does not come back");
    session("B", |cx| {
        cx.alias_set("B").unwrap();
        cx.sig("DIE", "caught");
    })
    .on("throws", |_, ()| -> HandlerResult {
        Err(Failure::msg("callee trouble"))
    })
    .on("caught", |cx, signal: Signal| {
        let die = signal.die().unwrap();
        out!(
            "DIE in {}: event {}, dest {}, source {}, from state {}, error {}",
            nm(cx.session_id()),
            die.event,
            nm(die.session),
            nm(die.sender),
            or_undef(die.caller_state.clone()),
            die.failure
        );
        cx.sig_handled();
        cx.alias_remove("B")
    })
    .create(&kernel)
    .unwrap();
    session("A", |cx| cx.yield_to("go", ()))
        .on("go", |cx, ()| {
            answer("call", cx.call("B", "throws", ()), nothing);
            out!("A goes on");
        })
        .create(&kernel)
        .unwrap();
    kernel.run().await.unwrap();

    out!("== results and errors");
    session("B", |cx| cx.alias_set("B").unwrap())
        .on("seven", |_, ()| Reply(7_i64))
        .on("undef", |_, ()| ())
        .on("done", |cx, ()| cx.alias_remove("B"))
        .create(&kernel)
        .unwrap();
    session("A", |cx| cx.yield_to("go", ()))
        .on("mine", |_, ()| Reply(8_i64))
        .on("go", |cx, ()| {
            let me = cx.session_id();
            let kernel = cx.kernel_id();
            answer("call B seven", cx.call("B", "seven", ()), number);
            answer("call B undef", cx.call("B", "undef", ()), nothing);
            answer("[D6] call B missing", cx.call("B", "missing", ()), nothing);
            answer("call self mine", cx.call(me, "mine", ()), number);
            answer("[D6] call self missing", cx.call(me, "missing", ()), nothing);
            answer("call nobody", cx.call("nobody", "seven", ()), number);
            sent("post nobody", cx.post("nobody", "seven", ()));
            sent("post B missing", cx.post("B", "missing", ()));
            answer("call kernel", cx.call(kernel, "anything", ()), number);
            sent("post kernel", cx.post(kernel, "anything", ()));
            cx.post("B", "done", ()).unwrap();
        })
        .create(&kernel)
        .unwrap();
    kernel.run().await.unwrap();

    out!("== from outside any session");
    let outside = session("A", |cx| {
        cx.refcount_increment(cx.session_id(), "outside").unwrap();
    })
    .on("who", |cx, ()| {
        out!("{}", facts(cx));
        Reply(9_i64)
    })
    .on("done", |cx, ()| {
        out!("{}", facts(cx));
        cx.refcount_decrement(cx.session_id(), "outside").map(drop)
    })
    .create(&kernel)
    .unwrap();
    answer("call", kernel.call(outside, "who", ()), number);
    sent("post", kernel.post(outside, "done", ()));
    kernel.run().await.unwrap();

    out!("== a posted question holds its sender, a called one does not");
    Session::builder(Cell::new(None::<SessionId>))
        .on(START, |cx, ()| cx.alias_set("server"))
        .on(STOP, |_, ()| ())
        .on("posted", |cx, ()| {
            out!("the asker is there: {}", nm(cx.sender()));
            cx.post(cx.sender(), "reply", "to the post").unwrap();
        })
        .on("called", |cx, ()| {
            cx.heap.set(Some(cx.sender()));
            cx.delay("answer", soon(30), ());
            Reply("later")
        })
        .on("answer", |cx, ()| {
            sent("late answer", cx.post(cx.heap.get().unwrap(), "reply", "to the call"));
            cx.alias_remove("server")
        })
        .create(&kernel)
        .unwrap();
    session("asks by post", |cx| cx.post("server", "posted", ()).unwrap())
        .on("reply", |_, what: &'static str| out!("reply {what}"))
        .on(STOP, |_, ()| out!("stop of asks by post"))
        .create(&kernel)
        .unwrap();
    session("asks by call", |cx| {
        let answer: &'static str = cx.call("server", "called", ()).unwrap();
        out!("answer: {answer}");
    })
    .on("reply", |_, what: &'static str| out!("reply {what}"))
    .on(STOP, |_, ()| out!("stop of asks by call"))
    .create(&kernel)
    .unwrap();
    kernel.run().await.unwrap();
}
