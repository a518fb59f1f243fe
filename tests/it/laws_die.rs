//! Laws H: failing handlers, DIE, and what ends a run.

use crate::laws_kit::*;
use poe::event::{START, STOP};
use poe::{HandlerResult, Kernel, Session, SessionBuilder, Signal};

/// A session that watches DIE, and lives for 5 ms if nothing stops it.
fn hears(name: &'static str, handles: bool) -> SessionBuilder<()> {
    watches_die(name, handles, 5)
}

#[tokio::test(start_paused = true)]
async fn l66_a_failure_is_a_die_behind_what_waits_with_a_record() {
    let kernel = kernel();
    let s = life("S", |cx| {
        cx.sig("DIE", "die");
        cx.yield_to("fail", ());
        cx.yield_to("waits already", ());
    })
    .on("fail", |_, ()| fail("on purpose"))
    .on("waits already", |_, ()| say("waits already"))
    .on("die", |cx, signal: Signal| {
        let die = signal.die().unwrap();
        assert_eq!((signal.name().as_str(), die.event.as_str()), ("DIE", "fail"));
        assert_eq!(die.caller_state.as_ref().unwrap(), "_start");
        assert_eq!((die.session, die.sender), (cx.session_id(), cx.session_id()));
        assert!(die.place.file().ends_with("laws_die.rs"));
        assert!(cx.sender().is_kernel());
        say(&die.failure);
        cx.sig_handled();
    })
    .create(&kernel)
    .unwrap();
    run(&kernel).await;
    assert_eq!(s.get(), 1);
    assert_eq!(said(), ["waits already", "on purpose", "S stop"]);
}

#[tokio::test(start_paused = true)]
async fn l66_a_panic_and_a_wrong_argument_take_the_same_road() {
    let kernel = kernel();
    hears("S", true)
        .on("panics", |_, ()| panic!("ouch"))
        .on("wants a number", |_, n: u32| say(n))
        .on(START, |cx, ()| {
            named(cx.session_id(), "S");
            cx.sig("DIE", "die");
            cx.yield_to("panics", ());
            cx.yield_to("wants a number", "text");
        })
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    let said = said();
    assert_eq!(said[0], "S gets DIE of S: panicked: ouch");
    assert!(said[1].contains("u32") && said[1].contains("str"), "{}", said[1]);
    assert_eq!(said[2..], ["S stop"]);
}

/// Grandparent, parent with two children; the elder one fails.
fn family(kernel: &Kernel, who_handles: &'static str) {
    hears("grandparent", who_handles == "grandparent")
        .on("go", move |cx, ()| -> HandlerResult {
            cx.create(
                hears("parent", who_handles == "parent").on("go", move |cx, ()| -> HandlerResult {
                    let elder = cx.create(hears("elder", false).on("go", |cx, ()| -> HandlerResult {
                        cx.create(hears("grandchild", false))?;
                        cx.yield_to("fail", ());
                        Ok(())
                    }))?;
                    cx.create(hears("younger", false))?;
                    cx.post(elder, "go", ())?;
                    said();
                    Ok(())
                }),
            )
            .and_then(|parent| Ok(cx.post(parent, "go", ())?))?;
            Ok(())
        })
        .create(kernel)
        .and_then(|id| Ok(kernel.post(id, "go", ())?))
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn l67_die_goes_down_and_across_then_up_but_not_to_siblings() {
    let kernel = kernel();
    family(&kernel, "grandparent");
    run(&kernel).await;
    let heard: Vec<_> = said().into_iter().filter(|l| l.contains("gets DIE")).collect();
    assert_eq!(
        heard,
        ["grandchild", "elder", "parent", "grandparent"].map(|n| format!("{n} gets DIE of elder: on purpose"))
    );
}

#[tokio::test(start_paused = true)]
async fn l68_with_catching_off_no_die_is_sent_and_run_returns_the_failure() {
    let kernel = poe::testing::builder().catch_exceptions(false).build();
    let other = life("other", lives(50)).create(&kernel).unwrap();
    hears("S", true)
        .on(START, |cx, ()| {
            named(cx.session_id(), "S");
            cx.sig("DIE", "die");
            cx.yield_to("fail", ());
        })
        .create(&kernel)
        .unwrap();
    assert_eq!(run_to_failure(&kernel).await, "on purpose");
    assert!(!kernel.is_alive(other));
    assert_eq!(said(), ["S stop", "other stop"]);
}

#[tokio::test(start_paused = true)]
async fn l69_unhandled_all_get_their_stop_and_the_first_failure_is_the_runs() {
    let kernel = kernel();
    life("bystander", lives(50)).create(&kernel).unwrap();
    for (name, text) in [("A", "first"), ("B", "second")] {
        life(name, go)
            .on("go", move |_, ()| fail(text))
            .create(&kernel)
            .unwrap();
    }
    assert_eq!(run_to_failure(&kernel).await, "first");
    let mut stops = said();
    stops.sort();
    assert_eq!(stops, ["A stop", "B stop", "bystander stop"]);
    life("again", lives(1)).create(&kernel).unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["again stop"]);
}

#[tokio::test(start_paused = true)]
async fn l70_a_failure_in_a_die_handler_is_fatal_also_when_the_first_was_handled() {
    for handled in [true, false] {
        let kernel = kernel();
        life("S", |cx| {
            cx.sig("DIE", "die");
            cx.yield_to("go", ());
        })
        .on("go", |_, ()| fail("the first"))
        .on("die", move |cx, _: Signal| {
            if handled {
                cx.sig_handled();
            }
            fail("the second")
        })
        .create(&kernel)
        .unwrap();
        let text = run_to_failure(&kernel).await;
        if handled {
            assert_eq!(text, "the second");
        } else {
            let first = text.find("the first").unwrap();
            assert!(text.find("the second").unwrap() > first, "{text}");
        }
        assert_eq!(said(), ["S stop"]);
    }
}

#[tokio::test(start_paused = true)]
async fn l71_the_sender_may_be_gone_when_die_is_handled() {
    let kernel = kernel();
    let s = hears("S", true)
        .on("die", |cx, signal: Signal| {
            say(format!("sender alive: {}", cx.is_alive(signal.die().unwrap().sender)));
            cx.sig_handled();
        })
        .create(&kernel)
        .unwrap();
    life("sender", move |cx| cx.post(s, "fail", ()).unwrap())
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["sender stop", "sender alive: false", "S stop"]);
}

#[tokio::test(start_paused = true)]
async fn l71_a_die_of_the_users_own_without_a_record_just_stops() {
    let kernel = kernel();
    let id = life("S", lives(50)).create(&kernel).unwrap();
    life("T", lives(5)).create(&kernel).unwrap();
    kernel.signal(id, "DIE", ()).unwrap();
    run(&kernel).await;
    assert_eq!(said()[0], "S stop");
}

/// Only what the kernel raises for a failure makes a failure in its handlers fatal (L70).
#[tokio::test(start_paused = true)]
async fn l71_a_handler_that_fails_on_a_die_of_the_users_own_raises_another_die() {
    let kernel = kernel();
    let id = life("S", |cx| {
        cx.sig("DIE", "die");
        cx.delay("bye", ms(5), ());
    })
    .on("die", |cx, signal: Signal| -> HandlerResult {
        cx.sig_handled();
        say(format!("a failure: {}", signal.die().is_some()));
        match signal.die() {
            None => fail("while it heard DIE"),
            Some(_) => Ok(()),
        }
    })
    .on("bye", |_, ()| ())
    .create(&kernel)
    .unwrap();
    kernel.signal(id, "DIE", ()).unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["a failure: false", "a failure: true", "S stop"]);
}

#[tokio::test(start_paused = true)]
async fn l37_a_failure_in_stop_ends_the_run_after_lose_and_freeing() {
    let kernel = kernel();
    life("P", go)
        .on("go", |cx, ()| -> HandlerResult {
            cx.create(
                Session::builder(())
                    .on(START, |cx, ()| named(cx.session_id(), "C"))
                    .on(STOP, |_, ()| fail("in _stop")),
            )?;
            Ok(())
        })
        .create(&kernel)
        .unwrap();
    assert_eq!(run_to_failure(&kernel).await, "in _stop");
    let said = said();
    assert!(said.iter().any(|l| l.starts_with("P lose C")), "{said:?}");
    assert!(said.iter().any(|l| l == "P stop"), "{said:?}");
}
