//! `t/20_resources/00_base/events.pm`: how many events wait, by target and by sender, and what clears timers and posts.

use crate::laws_kit::*;
use crate::peek_kit::Peek as _;
use poe::{SessionId, TimerId};

/// Events to a session and from it, and the references that it has.
fn counts(cx: &Cx<'_>, id: SessionId) -> (usize, usize, usize) {
    let snapshot = cx.snapshot();
    (
        snapshot.event_count_to(id),
        snapshot.event_count_from(id),
        snapshot.get_session_refcount(id),
    )
}

/// A session past its marker: nothing waits for it.
fn settled(f: impl Fn(&mut Cx<'_>) + 'static) -> poe::SessionBuilder<()> {
    life("S", |cx| cx.delay("go", ms(10), ())).on("go", move |cx, ()| f(cx))
}

#[tokio::test(start_paused = true)]
async fn a_timer_is_an_event_to_its_session_and_none_from_it() {
    let kernel = kernel();
    let stranger = life("stranger", nothing).create(&kernel).unwrap();
    run(&kernel).await;
    settled(move |cx| {
        let me = cx.session_id();
        assert_eq!(counts(cx, me), (0, 0, 0));
        cx.alarm_set("event", epoch(0), ());
        assert_eq!(counts(cx, me), (1, 0, 1));
        assert_eq!(counts(cx, stranger), (0, 0, 0));
        let snapshot = cx.snapshot();
        assert_eq!(
            (snapshot.event_count_to("nothing"), snapshot.event_count_from("nothing")),
            (0, 0)
        );
    })
    .on("event", |cx, ()| say(format!("{:?}", counts(cx, cx.session_id()))))
    .create(&kernel)
    .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["stranger stop", "(0, 0, 0)", "S stop"]);
}

#[tokio::test(start_paused = true)]
async fn timers_are_cleared_by_id_by_name_and_all() {
    let kernel = kernel();
    settled(|cx| {
        let me = cx.session_id();
        let names = ["timer", "timer", "timer", "other-timer"];
        let ids: Vec<TimerId> = (1..)
            .zip(names)
            .map(|(n, name)| cx.alarm_set(name, epoch(n), n))
            .collect();
        assert_eq!(counts(cx, me), (4, 0, 4));

        let mut removed = cx.alarm_remove(ids[1]).unwrap();
        assert_eq!((removed.event.as_str(), removed.arg.take::<u64>()), ("timer", Some(2)));
        assert_eq!(removed.due, epoch(2));
        assert_eq!(counts(cx, me), (3, 0, 3));
        assert!(cx.alarm_remove(ids[1]).unwrap_err().is_no_such_timer());
        assert_eq!(counts(cx, me), (3, 0, 3));

        assert_eq!(cx.alarm_clear("timer"), 2);
        assert_eq!(counts(cx, me), (1, 0, 1));
        assert_eq!(cx.alarm_clear("timer"), 0);

        let removed = cx.alarm_remove_all();
        assert_eq!(removed.len(), 1);
        assert_eq!((removed[0].event.as_str(), removed[0].due), ("other-timer", epoch(4)));
        assert_eq!(counts(cx, me), (0, 0, 0));
        say("looked");
    })
    .on("timer", |_, _: u64| say("never"))
    .create(&kernel)
    .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["looked", "S stop"]);
}

/// Nobody reaches the timers of another session, dead or alive.
#[tokio::test(start_paused = true)]
async fn another_sessions_timers_stay() {
    let kernel = kernel();
    life("owner", |cx| cx.delay("timer", ms(50), ()))
        .on("timer", |_, ()| say("timer"))
        .create(&kernel)
        .unwrap();
    settled(|cx| {
        assert_eq!(cx.alarm_clear("timer"), 0);
        assert!(cx.alarm_remove_all().is_empty());
    })
    .create(&kernel)
    .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["S stop", "timer", "owner stop"]);
}

#[tokio::test(start_paused = true)]
async fn a_stopped_session_takes_its_messages_both_ways() {
    let kernel = kernel();
    let other = life("other", |cx| cx.delay("bye", ms(100), ()))
        .on("event-2", |_, ()| say("event-2"))
        .create(&kernel)
        .unwrap();
    let victim = life("victim", |cx| cx.delay("bye", ms(100), ()))
        .on("send", move |cx, ()| {
            cx.post(other, "event-2", ()).unwrap();
            cx.yield_to("event-3", ());
        })
        .on("event-1", |_, ()| say("event-1"))
        .create(&kernel)
        .unwrap();
    settled(move |cx| {
        let me = cx.session_id();
        cx.call::<(), ()>(victim, "send", ()).unwrap();
        cx.post(victim, "event-1", ()).unwrap();
        // Its timer, its own post and ours; what it sent. Ours counts as ours too.
        assert_eq!(counts(cx, victim), (3, 1, 4));
        assert_eq!(counts(cx, other), (2, 0, 2));
        assert_eq!(counts(cx, me), (0, 1, 1));
        cx.signal(victim, "TERM", ()).unwrap();
        cx.delay("after", ms(1), (victim, other));
    })
    .on("after", |cx, (victim, other): (SessionId, SessionId)| {
        assert_eq!(counts(cx, victim), (0, 0, 0));
        assert_eq!(counts(cx, other), (1, 0, 1));
        assert_eq!(counts(cx, cx.session_id()), (0, 0, 0));
        say("counted");
    })
    .create(&kernel)
    .unwrap();
    // What was posted before the signal arrives; what is posted now does not.
    run(&kernel).await;
    assert_eq!(
        said(),
        ["event-2", "event-1", "victim stop", "counted", "S stop", "other stop"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_session_that_never_was_gets_nothing() {
    let gone = life("gone", nothing).create(&kernel()).unwrap();
    let kernel = kernel();
    settled(move |cx| {
        assert!(cx.post(gone, "event", ()).unwrap_err().is_no_such_session());
        assert_eq!(counts(cx, cx.session_id()), (0, 0, 0));
    })
    .create(&kernel)
    .unwrap();
    run(&kernel).await;
    assert_eq!(kernel.snapshot().queue.len(), 0);
    assert_eq!(said(), ["S stop"]);
}
