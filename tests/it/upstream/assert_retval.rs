//! `t/10_units/03_base/12_assert_retval.t`: what fails says so. Where POE returns a number that its ASSERT_RETVALS makes
//! fatal, ours returns an error, which a handler that ends by `?` makes fatal.

use crate::laws_kit::*;
use poe::event::START;
use poe::{HandlerResult, Session, SessionId};

/// A session of an earlier time, and one of a kernel that has never had so many.
async fn unknown() -> [SessionId; 2] {
    let kernel = kernel();
    let make = || life("gone", nothing).create(&kernel).unwrap();
    let (first, second) = (make(), make());
    run(&kernel).await;
    said();
    [first, second]
}

#[tokio::test(start_paused = true)]
async fn unknown_sessions_have_no_id_and_no_references() {
    let gone = unknown().await;
    let kernel = kernel();
    life("S", move |cx| {
        for id in gone {
            assert!(!cx.is_alive(id));
            assert!(cx.alias_resolve(id).unwrap_err().is_no_such_session());
            assert!(cx.refcount_increment(id, "tag").unwrap_err().is_no_such_session());
            assert!(cx.refcount_decrement(id, "tag").unwrap_err().is_no_such_session());
        }
        say("asked");
    })
    .create(&kernel)
    .unwrap();
    assert!(kernel.session_by_number(999).is_none());
    assert_eq!(kernel.resolve(gone[0]), None);
    run(&kernel).await;
    assert_eq!(said()[0], "asked");
}

#[tokio::test(start_paused = true)]
async fn timers_that_are_gone_or_of_another_session_are_neither_moved_nor_removed() {
    let kernel = kernel();
    let owner = Session::builder(None)
        .on(START, |cx, ()| {
            let id = cx.delay_set("timer", ms(50), ());
            *cx.heap = Some(id);
        })
        .on("which", |cx, ()| poe::Reply(cx.heap.unwrap()))
        .on("timer", |_, ()| say("timer"))
        .create(&kernel)
        .unwrap();
    life("S", move |cx| {
        let foreign = cx.call(owner, "which", ()).unwrap();
        assert!(cx.alarm_remove(foreign).unwrap_err().is_not_permitted());
        assert!(cx.alarm_adjust(foreign, 1.0).unwrap_err().is_not_permitted());
        assert!(cx.delay_adjust(foreign, 1.0).unwrap_err().is_not_permitted());
        let own = cx.alarm_set("own", epoch(1), ());
        cx.alarm_remove(own).unwrap();
        assert!(cx.alarm_remove(own).unwrap_err().is_no_such_timer());
        assert!(cx.alarm_adjust(own, 1.0).unwrap_err().is_no_such_timer());
        assert!(cx.delay_adjust(own, 1.0).unwrap_err().is_no_such_timer());
    })
    .create(&kernel)
    .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["S stop", "timer"]);
}

#[tokio::test(start_paused = true)]
async fn a_handler_makes_such_an_error_fatal_by_a_question_mark() {
    for (name, wants) in [("moo", "alias `moo`"), ("narf", "narf")] {
        let kernel = kernel();
        life("owner", |cx| cx.alias_set("moo").unwrap())
            .create(&kernel)
            .unwrap();
        life("S", go)
            .on("go", move |cx, ()| -> HandlerResult {
                cx.alias_remove(name)?;
                say("not reached");
                Ok(())
            })
            .create(&kernel)
            .unwrap();
        let failure = run_to_failure(&kernel).await;
        assert!(
            failure.contains(wants) || failure.contains("another session"),
            "{failure}"
        );
        assert!(!said().contains(&"not reached".to_owned()));
    }
}
