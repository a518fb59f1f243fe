//! Laws A: the queue, time, and slices.

use crate::laws_kit::*;
use poe::event::{START, STOP};
use poe::{Session, SessionId, Signal};
use std::cell::Cell;
use std::rc::Rc;
use std::time::SystemTime;

#[tokio::test(start_paused = true)]
async fn l01_one_queue_by_due_time_then_arrival() {
    let kernel = kernel();
    echo(|cx| {
        let at = SystemTime::now() + ms(30);
        for n in 0..500_u32 {
            cx.alarm_set(n.to_string(), at, ());
        }
        cx.delay("early", ms(10), ());
        for n in 0..2000_u32 {
            cx.yield_to(format!("y{n}"), ());
        }
    })
    .create(&kernel)
    .unwrap();
    run(&kernel).await;
    let mut expected: Vec<String> = (0..2000).map(|n| format!("y{n}")).collect();
    expected.push("early".to_owned());
    expected.extend((0..500).map(|n| n.to_string()));
    assert_eq!(said(), expected);
}

#[tokio::test(start_paused = true)]
async fn l02_posts_and_signals_are_strictly_first_come_first_served() {
    let kernel = kernel();
    echo(|cx| {
        let me = cx.session_id();
        cx.sig("HELLO", "signal");
        cx.yield_to("1", ());
        cx.signal(me, "HELLO", ()).unwrap();
        cx.post(me, "2", ()).unwrap();
        cx.signal(me, "HELLO", ()).unwrap();
        cx.yield_to("3", ());
    })
    .create(&kernel)
    .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["1", "signal", "2", "signal", "3"]);
}

#[tokio::test(start_paused = true)]
async fn l03_timers_keep_their_exact_due_time() {
    let kernel = kernel();
    echo(|cx| {
        cx.yield_to("a", ());
        cx.delay("d", 0.0, ());
        cx.yield_to("b", ());
        cx.delay("one ago", -1.0, ());
        cx.delay("five ago", -5.0, ());
        cx.alarm("epoch", epoch(1), ());
        let x = cx.alarm_set("x", epoch(100), ());
        let y = cx.alarm_set("y", epoch(100), ());
        cx.alarm_set("z", epoch(100), ());
        cx.alarm_adjust(x, 0.0).unwrap();
        cx.alarm_adjust(y, 7.0).unwrap();
        cx.alarm_adjust(y, -7.0).unwrap();
    })
    .create(&kernel)
    .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["epoch", "x", "z", "y", "five ago", "one ago", "a", "d", "b"]);
}

#[tokio::test(start_paused = true)]
async fn l04_timer_against_post_is_due_time_against_post_time() {
    let kernel = kernel();
    echo(|cx| {
        cx.delay("timer", ms(20), ());
        busy(50);
        cx.yield_to("post", ());
    })
    .create(&kernel)
    .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["timer", "post"]);
    echo(|cx| {
        cx.delay("timer", ms(20), ());
        cx.yield_to("post", ());
        busy(50);
    })
    .create(&kernel)
    .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["post", "timer"]);
}

/// Without descriptors: their part in a slice is with the tests of what watches them.
#[tokio::test(start_paused = true)]
async fn l05_a_slice_waits_then_dispatches_what_is_due_then_collects() {
    let kernel = kernel();
    let began = tokio::time::Instant::now();
    life("S", |cx| cx.delay("tick", ms(20), ()))
        .on("tick", |_, ()| say("tick"))
        .create(&kernel)
        .unwrap();
    assert!(kernel.run_one_timeslice().await.unwrap());
    assert!(
        said().is_empty(),
        "the marker of the new session was due, the timer was not"
    );
    assert!(kernel.run_one_timeslice().await.unwrap());
    assert!(began.elapsed() >= ms(20));
    assert_eq!(said(), ["tick", "S stop"]);
    assert!(!kernel.run_one_timeslice().await.unwrap());
}

/// With a budget of one event, the exact mode. Otherwise the generations are the same, but the host's I/O is polled
/// only when the budget is spent (decision 14); the alternation with a readable descriptor is not in question here.
#[tokio::test(start_paused = true)]
async fn l06_due_is_measured_once_when_the_queue_phase_begins() {
    for kernel in [kernel(), exact_kernel()] {
        life("S", |cx| {
            cx.yield_to("a1", ());
            cx.yield_to("a2", ());
        })
        .on("a1", |cx, ()| {
            say("a1");
            cx.yield_to("b", ());
            cx.delay("overdue", -1.0, ());
            cx.alarm("older", epoch(100), ());
            cx.delay("zero", 0.0, ());
        })
        .on("a2", |_, ()| say("a2"))
        .on("b", |_, ()| say("b"))
        .on("overdue", |_, ()| say("overdue"))
        .on("older", |_, ()| say("older"))
        .on("zero", |_, ()| say("zero"))
        .create(&kernel)
        .unwrap();
        kernel.run_one_timeslice().await.unwrap();
        assert_eq!(said(), ["a1", "older", "overdue", "a2"]);
        kernel.run_one_timeslice().await.unwrap();
        assert_eq!(said(), ["b", "zero", "S stop"]);
        run(&kernel).await;
    }
}

/// Shown with a paused clock: a timer for the present instant does not run before the sweep.
#[tokio::test(start_paused = true)]
async fn l06_a_timer_set_for_this_instant_belongs_to_the_next_slice() {
    for kernel in [kernel(), exact_kernel()] {
        life("brief", |_| ()).create(&kernel).unwrap();
        life("S", |cx| cx.yield_to("a", ()))
            .on("a", |cx, ()| cx.delay("zero", 0.0, ()))
            .on("zero", |_, ()| say("zero"))
            .create(&kernel)
            .unwrap();
        run(&kernel).await;
        assert_eq!(said(), ["brief stop", "zero", "S stop"]);
    }
}

#[tokio::test(start_paused = true)]
async fn l07_an_event_lets_go_of_its_ends_before_its_handler_runs() {
    let kernel = kernel();
    let inside = kernel.clone();
    let receiver = life("receiver", nothing)
        .on("event", move |_, ()| {
            let why = inside.why_alive();
            assert!(why.sessions.iter().all(|s| s.holds.is_empty()), "{why}");
            say(format!("{} alive", why.sessions.len()));
        })
        .create(&kernel)
        .unwrap();
    life("sender", move |cx| cx.post(receiver, "event", ()).unwrap())
        .create(&kernel)
        .unwrap();
    // The receiver's handler runs when both sessions' own markers have gone.
    kernel.post(receiver, "event", ()).unwrap();
    let done = kernel.run().await;
    done.unwrap_err();
    let said = said();
    assert_eq!(said.last().map(String::as_str), Some("receiver stop"), "{said:?}");
}

/// Text is an alias and an ID is an ID: neither is taken for the other, as POE does (a deviation).
#[tokio::test(start_paused = true)]
async fn l08_a_target_is_an_alias_or_an_id_and_neither_is_taken_for_the_other() {
    let kernel = kernel();
    let with_alias = |cx: &mut Cx<'_>| {
        cx.alias_set("2").unwrap();
        cx.delay("bye", ms(50), ());
    };
    let one = life("one", with_alias).create(&kernel).unwrap();
    let two = life("two", |cx| {
        // An unknown alias is an error that says so (D1).
        assert!(cx.alias_resolve("1").unwrap_err().is_no_such_session());
        assert_eq!(cx.alias_resolve("2").unwrap().get(), 1);
        cx.delay("bye", ms(10), ());
    })
    .create(&kernel)
    .unwrap();
    assert_eq!((one.get(), two.get()), (1, 2));
    assert_eq!(
        [kernel.resolve("2"), kernel.resolve(two), kernel.resolve("1")],
        [Some(one), Some(two), None]
    );
    assert_eq!(kernel.session_by_number(2), Some(two));
    kernel.signal(two, "KILL", ()).unwrap();
    kernel.run_one_timeslice().await.unwrap();
    // The ID of a session that has stopped finds no session, whatever alias has the same spelling.
    assert_eq!([kernel.resolve("2"), kernel.resolve(two)], [Some(one), None]);
    assert_eq!(kernel.session_by_number(2), None);
    assert!(kernel.post(two, "bye", ()).unwrap_err().is_no_such_session());
    run(&kernel).await;
    assert_eq!(said(), ["two stop", "one stop"]);
}

#[tokio::test(start_paused = true)]
async fn l08_targets_are_resolved_when_posting_and_handlers_when_dispatching() {
    let kernel = kernel();
    life("one", |cx| {
        cx.alias_set("desk").unwrap();
        go(cx);
    })
    .on("go", |cx, ()| {
        cx.post("desk", "hello", "before").unwrap();
        cx.alias_remove("desk").unwrap();
        cx.state("hello", |_, what: &'static str| {
            say(format!("one, the new handler: {what}"))
        });
        cx.create(
            life("two", |cx| cx.alias_set("desk").unwrap()).on("hello", |cx, what: &'static str| {
                say(format!("two: {what}"));
                cx.alias_remove("desk")
            }),
        )
        .unwrap();
        cx.post("desk", "hello", "after").unwrap();
    })
    .on("hello", |_, _: &'static str| say("the old handler"))
    .create(&kernel)
    .unwrap();
    run(&kernel).await;
    let heard: Vec<String> = said().into_iter().filter(|s| s.contains(": ")).collect();
    assert_eq!(heard, ["one, the new handler: before", "two: after"]);
}

#[tokio::test(start_paused = true)]
async fn l09_freeing_a_session_purges_what_it_sent_and_what_it_was_sent() {
    let kernel = kernel();
    let receiver = life("receiver", lives(30))
        .on("hello", |_, what: &'static str| say(what))
        .create(&kernel)
        .unwrap();
    let sender = life("sender", move |cx| {
        cx.signal(cx.session_id(), "TERM", ()).unwrap();
        cx.post(receiver, "hello", "from the killed one").unwrap();
        cx.yield_to("bye", ());
    })
    .create(&kernel)
    .unwrap();
    life("healthy", move |cx| {
        cx.post(receiver, "hello", "from the healthy one").unwrap();
        cx.post(sender, "bye", ()).unwrap();
    })
    .create(&kernel)
    .unwrap();
    run(&kernel).await;
    assert_eq!(
        said(),
        ["sender stop", "from the healthy one", "healthy stop", "receiver stop"]
    );
}

/// What holds a session was in an event that goes with another one: its mark comes before those of the receivers of what that one
/// has sent, whose marks are later, and which go first (law L29). Found by a random program (seed 20261210, 30728).
#[tokio::test(start_paused = true)]
async fn l09_a_postback_in_a_purged_event_is_let_go_before_what_the_session_has_sent() {
    for ended_by in ["KILL", "DIE"] {
        let kernel = kernel();
        let receiver = life("receiver", |_| ()).create(&kernel).unwrap();
        let giver = life("giver", |_| ())
            .on("give", |cx, to: SessionId| {
                let postback = cx.postback("back", ()) as poe::Postback<(), ()>;
                cx.post(to, "given", postback)
            })
            .create(&kernel)
            .unwrap();
        let ending = Session::builder(())
            .on(START, |_, ()| ())
            .on("go", move |cx, ()| {
                cx.call::<_, ()>(giver, "give", cx.session_id()).unwrap();
                cx.post("nobody", "gone", ()).unwrap_err();
            })
            .on(STOP, move |cx, ()| {
                say("ending stop");
                cx.post(receiver, "hello", ()).unwrap();
            })
            .create(&kernel)
            .unwrap();
        kernel.post(ending, "go", ()).unwrap();
        kernel.signal(ending, ended_by, ()).unwrap();
        run(&kernel).await;
        assert_eq!(said(), ["ending stop", "receiver stop", "giver stop"], "{ended_by}");
    }
}

#[tokio::test(start_paused = true)]
async fn l10_posting_is_not_bounded() {
    let kernel = kernel();
    let count = Rc::new(Cell::new(0_u32));
    let counter = count.clone();
    Session::builder(())
        .on(START, |cx, ()| (0..200_000).for_each(|_| cx.yield_to("event", ())))
        .on("event", move |_, ()| counter.set(counter.get() + 1))
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(count.get(), 200_000);
}

#[tokio::test(start_paused = true)]
async fn l11_handlers_are_atomic() {
    let kernel = kernel();
    life("S", |cx| {
        cx.sig("HELLO", "heard");
        go(cx);
    })
    .on("go", |cx, ()| {
        let me = cx.session_id();
        say("begins");
        cx.yield_to("posted", ());
        cx.delay("overdue", -1.0, ());
        cx.signal(me, "HELLO", ()).unwrap();
        cx.call::<(), ()>(me, "called", ()).unwrap();
        say("ends");
    })
    .on("posted", |_, ()| say("posted"))
    .on("overdue", |_, ()| say("overdue"))
    .on("heard", |_, _: Signal| say("heard"))
    .on("called", |_, ()| say("called"))
    .on(STOP, |_, ()| ())
    .create(&kernel)
    .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["begins", "called", "ends", "overdue", "posted", "heard"]);
}
