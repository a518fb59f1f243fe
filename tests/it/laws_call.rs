//! Laws B: `call` against `post`.

use crate::laws_kit::*;
use poe::event::{START, STOP};
use poe::{Context, Failure, HandlerResult, Reply, Session, SessionId, Signal};
use std::cell::Cell;
use std::rc::Rc;

/// The active session and event, and the sender and its event.
fn facts<H>(cx: &Context<'_, H>) -> String {
    let event = cx.active_event().map_or_else(|| "-".to_owned(), |e| e.to_string());
    let caller = cx.caller_state().map_or_else(|| "-".to_owned(), |e| e.to_string());
    format!("{} {event} from {} {caller}", nm(cx.active_session()), nm(cx.sender()))
}

#[tokio::test(start_paused = true)]
async fn l12_a_call_runs_at_once_nests_and_restores_who_is_active() {
    let kernel = kernel();
    let b = life("B", nothing)
        .on("ask", |cx, n: i64| -> HandlerResult<Reply<i64>> {
            let asker = cx.sender();
            say(facts(cx));
            let sum: i64 = cx.call(asker, "add", n)?;
            Ok(Reply(sum * 10))
        })
        .create(&kernel)
        .unwrap();
    Session::builder(5_i64)
        .on(START, |cx, ()| {
            named(cx.session_id(), "A");
            cx.yield_to("go", ());
            cx.yield_to("queued", ());
        })
        .on("queued", |_, ()| say("queued"))
        .on("go", move |cx, ()| -> HandlerResult {
            *cx.heap = 6;
            let answer: i64 = cx.call(b, "ask", 1_i64)?;
            say(format!("{answer} {} {}", *cx.heap, facts(cx)));
            Ok(())
        })
        .on("add", |cx, n: i64| {
            say(facts(cx));
            *cx.heap += n;
            Reply(*cx.heap)
        })
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(
        said(),
        [
            "B ask from A go",
            "A add from B ask",
            "70 7 A go from A _start",
            "queued",
            "B stop"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn l13_a_call_to_oneself_is_a_bare_invocation() {
    let kernel = kernel();
    life("A", |cx| cx.yield_to("outer", ()))
        .on("outer", |cx, ()| -> HandlerResult {
            let me = cx.session_id();
            cx.call::<(), ()>(me, "inner", ())?;
            let thrown = cx.call::<(), ()>(me, "throws", ()).unwrap_err();
            assert!(thrown.is_died());
            say(Failure::from(thrown));
            Ok(())
        })
        .on("inner", |cx, ()| say(format!("{}: {}", cx.event(), facts(cx))))
        .on("throws", |_, ()| fail("straight to the caller"))
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(
        said(),
        ["inner: A outer from A outer", "straight to the caller", "A stop"]
    );
}

#[tokio::test(start_paused = true)]
async fn l14_a_call_returns_the_handlers_value_or_that_there_is_no_session() {
    let kernel = kernel();
    let dead = life("dead", nothing).create(&kernel).unwrap();
    run(&kernel).await;
    let b = life("B", nothing)
        .on("seven", |_, ()| Reply(7_u8))
        .create(&kernel)
        .unwrap();
    life("A", go)
        .on("go", move |cx, ()| {
            assert_eq!(cx.call::<(), u8>(b, "seven", ()).unwrap(), 7);
            assert!(
                cx.call::<(), u8>("nobody", "seven", ())
                    .unwrap_err()
                    .is_no_such_session()
            );
            let refused = cx.call::<&str, u8>(dead, "seven", "kept").unwrap_err();
            assert!(refused.is_no_such_session());
            assert_eq!(refused.into_arg(), Some("kept"));
            say("asked");
        })
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    assert!(said().contains(&"asked".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn l15_a_failure_in_another_session_does_not_come_back() {
    let kernel = kernel();
    let b = life("B", |cx| cx.sig("DIE", "died"))
        .on("throws", |_, ()| fail("trouble"))
        .on("died", |cx, signal: Signal| {
            let die = signal.die().unwrap();
            say(format!(
                "DIE in {}: {} sent by {}",
                nm(die.session),
                die.event,
                nm(die.sender)
            ));
            cx.sig_handled();
        })
        .create(&kernel)
        .unwrap();
    life("A", go)
        .on("go", move |cx, ()| {
            let thrown = cx.call::<(), ()>(b, "throws", ()).unwrap_err();
            assert!(thrown.is_died());
            say("A goes on");
        })
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["A goes on", "A stop", "DIE in B: throws sent by A", "B stop"]);
}

/// The other half of the law: with catching off `call` returns the failure, and the caller may go on.
#[tokio::test(start_paused = true)]
async fn l15_without_catching_the_failure_comes_out_of_call() {
    let kernel = poe::testing::builder().catch_exceptions(false).build();
    let b = life("B", nothing)
        .on("throws", |_, ()| fail("trouble"))
        .create(&kernel)
        .unwrap();
    life("A", go)
        .on("go", move |cx, ()| {
            let thrown = cx.call::<(), ()>(b, "throws", ()).unwrap_err();
            say(Failure::from(thrown));
        })
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(said()[0], "trouble");
}

/// Posts to the kernel are dropped. POE's `call` returns 0; ours returns an error, because a reply has
/// a type.
#[tokio::test(start_paused = true)]
async fn l16_the_kernel_is_a_target() {
    let kernel = kernel();
    let id = kernel.id();
    kernel.post(id, "anything", ()).unwrap();
    life("S", move |cx| {
        cx.post(id, "anything", 1).unwrap();
        cx.call::<(), ()>(id, "anything", ()).unwrap();
        assert_eq!(cx.call::<(), i64>(id, "anything", ()).unwrap(), 0);
    })
    .create(&kernel)
    .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["S stop"]);
}

#[tokio::test(start_paused = true)]
async fn l16_a_post_to_the_kernel_holds_its_sender_until_its_turn() {
    for posts in [false, true] {
        let kernel = kernel();
        for name in ["T", "S"] {
            life(name, |cx| cx.yield_to("last", ()))
                .on("last", move |cx, ()| {
                    if posts && name == "S" {
                        cx.post(cx.kernel_id(), "anything", ()).unwrap();
                    }
                })
                .create(&kernel)
                .unwrap();
        }
        run(&kernel).await;
        // The last marked goes first, unless it is held for one slice more.
        let expected = if posts {
            ["T stop", "S stop"]
        } else {
            ["S stop", "T stop"]
        };
        assert_eq!(said(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn l17_a_post_holds_its_sender_and_a_call_does_not() {
    let kernel = kernel();
    let asker = Rc::new(Cell::new(None::<SessionId>));
    let (keep, late) = (asker.clone(), asker);
    let server = life("server", nothing)
        .on("posted", |cx, ()| cx.post(cx.sender(), "reply", ()).unwrap())
        .on("called", move |cx, ()| {
            keep.set(Some(cx.sender()));
            cx.delay("answer", ms(30), ());
        })
        .on("answer", move |cx, ()| {
            let refused = cx.post(late.get().unwrap(), "reply", ()).unwrap_err();
            say(format!("late: no such session {}", refused.is_no_such_session()));
        })
        .create(&kernel)
        .unwrap();
    life("by post", move |cx| cx.post(server, "posted", ()).unwrap())
        .on("reply", |_, ()| say("reply"))
        .create(&kernel)
        .unwrap();
    life("by call", move |cx| cx.call::<(), ()>(server, "called", ()).unwrap())
        .on(STOP, |_, ()| say("by call stop"))
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(
        said(),
        [
            "by call stop",
            "reply",
            "by post stop",
            "late: no such session true",
            "server stop"
        ]
    );
}
