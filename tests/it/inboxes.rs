//! Sessions with limited inboxes, and waiting for the end of a session from outside.

use crate::laws_kit::ms;
use poe::event::{Overflow, START};
use poe::inspect::SessionEnd;
use poe::{Event, Failure, HandlerResult, Kernel, OnFailure, Reply, Session, SessionId, testing};
use proptest::prelude::*;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

const VALUE: Event<u32> = Event::new("value");
const ASK: Event<u32, u32> = Event::new("ask");
const GO: Event<()> = Event::new("go");
const SEND: Event<Vec<u32>> = Event::new("send");

type Values = Rc<RefCell<Vec<u32>>>;

/// A session that keeps what it gets, and has room for so many.
fn receiver(kernel: &Kernel, room: usize, overflow: Overflow) -> (SessionId, Values) {
    let got = Values::default();
    let kept = got.clone();
    let id = Session::builder(())
        .inbox(room, overflow)
        .on(START, |cx, ()| {
            // An idle kernel ends sessions that have only an alias.
            cx.refcount_increment(cx.session_id(), "test").unwrap();
            cx.alias_set("receiver")
        })
        .on(VALUE, move |_, n| kept.borrow_mut().push(n))
        .on(ASK, |_, n| Reply(n + 1))
        .create(kernel)
        .unwrap();
    (id, got)
}

/// A session that posts values to the receiver, and keeps those that it gets back.
fn sender(kernel: &Kernel, refused: &Values) -> SessionId {
    let back = refused.clone();
    Session::builder(())
        .on(START, |cx, ()| cx.refcount_increment(cx.session_id(), "test").map(drop))
        .on(GO, |_, ()| ())
        .on(SEND, move |cx, values| {
            for value in values {
                if let Err(error) = cx.post("receiver", VALUE, value) {
                    assert!(error.is_full(), "{error}");
                    back.borrow_mut().push(error.into_arg());
                }
            }
        })
        .create(kernel)
        .unwrap()
}

/// Dispatches what waits, and an event more, because a slice without any would wait for one.
async fn slice(kernel: &Kernel, other: SessionId) {
    kernel.post(other, GO, ()).unwrap();
    kernel.run_one_timeslice().await.unwrap();
}

/// The values of dead letters.
fn dead_letters(kernel: &Kernel) -> Values {
    let dead = Values::default();
    let kept = dead.clone();
    kernel.on_dead_letter(move |letter| kept.borrow_mut().push(letter.arg.downcast::<u32>().unwrap()));
    dead
}

#[derive(Clone, Debug)]
enum Step {
    /// Sender 0 or 1 posts so many.
    Post(usize, u32),
    /// All that waits is dispatched.
    Run,
    /// A sender is killed, and with it its posts; another one takes its place.
    Kill(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0_usize..2, 1_u32..8).prop_map(|(from, count)| Step::Post(from, count)),
        2 => Just(Step::Run),
        1 => (0_usize..2).prop_map(Step::Kill),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_limited_inbox_is_a_queue_with_that_room(
        room in 1_usize..6,
        policy in 0..3,
        steps in prop::collection::vec(step(), 1..30),
    ) {
        let overflow = [Overflow::DropOldest, Overflow::DropNewest, Overflow::Refuse][policy as usize];
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        let outcome: Result<(), TestCaseError> = runtime.block_on(async {
            let kernel = testing::kernel();
            let (_, got) = receiver(&kernel, room, overflow);
            let (refused, dead) = (Values::default(), dead_letters(&kernel));
            let mut senders = [sender(&kernel, &refused), sender(&kernel, &refused)];
            slice(&kernel, senders[0]).await;
            let mut model: VecDeque<(usize, u32)> = VecDeque::new();
            let (mut expected, mut lost) = (Vec::new(), Vec::new());
            let mut next = 0;
            for step in steps {
                match step {
                    Step::Post(from, count) => {
                        let values: Vec<u32> = (next..next + count).collect();
                        next += count;
                        for value in &values {
                            model.push_back((from, *value));
                            if model.len() > room {
                                let out = if overflow == Overflow::DropOldest { model.pop_front() } else { model.pop_back() };
                                lost.push(out.unwrap().1);
                            }
                        }
                        kernel.call(senders[from], SEND, values).unwrap_or(());
                    }
                    Step::Run => {
                        slice(&kernel, senders[0]).await;
                        expected.extend(model.drain(..).map(|(_, value)| value));
                    }
                    Step::Kill(which) => {
                        let state = kernel.why_alive().sessions.into_iter().find(|s| s.inbox.is_some()).unwrap();
                        prop_assert_eq!(state.inbox.unwrap().waiting, model.len());
                        kernel.handle().signal(senders[which], "KILL", ()).unwrap();
                        // KILL overtakes the posts, and what it does is done before they are dispatched.
                        slice(&kernel, senders[1 - which]).await;
                        model.retain(|(from, _)| *from != which);
                        expected.extend(model.drain(..).map(|(_, value)| value));
                        senders[which] = sender(&kernel, &refused);
                    }
                }
            }
            slice(&kernel, senders[0]).await;
            expected.extend(model.drain(..).map(|(_, value)| value));
            prop_assert_eq!(&*got.borrow(), &expected);
            let back = if overflow == Overflow::Refuse { &refused } else { &dead };
            prop_assert_eq!(&*back.borrow(), &lost);
            Ok(())
        });
        outcome?;
    }
}

#[tokio::test(start_paused = true)]
async fn handles_meet_the_limit_too_and_why_alive_shows_it() {
    let kernel = testing::kernel();
    let (id, got) = receiver(&kernel, 2, Overflow::Refuse);
    let dead = dead_letters(&kernel);
    let handle = kernel.handle();
    kernel.run_one_timeslice().await.unwrap();
    for n in 1..=3 {
        handle.post("receiver", VALUE, n).unwrap();
    }
    let refused = handle.call("receiver", ASK, 4);
    // Signals and timers have no limit.
    handle.signal(id, "USR1", ()).unwrap();
    kernel.post(id, VALUE, 5).unwrap();
    let full = kernel.post(id, VALUE, 6);
    assert!(full.is_ok(), "nothing was taken in yet, so one more has room");
    let full = kernel.post(id, VALUE, 7).unwrap_err();
    assert!(full.is_full());
    assert_eq!(
        full.to_string(),
        format!("cannot post `value`: the inbox of session {id} is full (2 posts); try again later")
    );
    let report = kernel.why_alive().to_string();
    assert!(
        report.contains("inbox: 2 of 2 posts wait, 1 were lost (Refuse)"),
        "{report}"
    );
    kernel.run_one_timeslice().await.unwrap();
    assert_eq!(*got.borrow(), [5, 6], "what came first has the room");
    assert_eq!(*dead.borrow(), [1, 2, 3]);
    let error = refused.await.unwrap_err();
    assert!(error.is_full(), "{error}");
    handle.post("receiver", VALUE, 8).unwrap();
    kernel.run_one_timeslice().await.unwrap();
    assert_eq!(*got.borrow(), [5, 6, 8]);
}

#[tokio::test(start_paused = true)]
async fn a_session_without_a_limit_beside_one_with_a_limit_has_none() {
    let kernel = testing::kernel();
    receiver(&kernel, 1, Overflow::Refuse);
    let count = Rc::new(RefCell::new(0));
    let counted = count.clone();
    let other = Session::builder(())
        .on(START, |cx, ()| (0..100).for_each(|n| cx.yield_to(VALUE, n)))
        .on(VALUE, move |_, _| *counted.borrow_mut() += 1)
        .create(&kernel)
        .unwrap();
    for n in 0..100 {
        kernel.post(other, VALUE, n).unwrap();
    }
    kernel.run_one_timeslice().await.unwrap();
    assert_eq!(*count.borrow(), 200);
}

#[tokio::test(start_paused = true)]
async fn a_refused_yield_is_a_dead_letter() {
    let kernel = testing::kernel();
    let dead = dead_letters(&kernel);
    let id = Session::builder(())
        .inbox(2, Overflow::Refuse)
        .on(START, |_, ()| ())
        .on(GO, |cx, ()| (0..4).for_each(|n| cx.yield_to(VALUE, n)))
        .on(VALUE, |_, _| ())
        .create(&kernel)
        .unwrap();
    kernel.post(id, GO, ()).unwrap();
    kernel.run().await.unwrap();
    assert_eq!(*dead.borrow(), [2, 3]);
}

/// Makes a session that fails, one that ends, and one that stays, and asks how each ends.
#[tokio::test(start_paused = true)]
async fn each_way_of_ending_is_told() {
    let kernel = testing::builder().on_failure(OnFailure::StopSession).build();
    Session::builder(())
        .on(START, |cx, ()| -> HandlerResult {
            cx.create(Session::builder(()).on(START, |cx, ()| cx.alias_set("child")))?;
            Ok(cx.alias_set("fails")?)
        })
        .on(GO, |_, ()| -> HandlerResult { Err(Failure::msg("out of paper")) })
        .create(&kernel)
        .unwrap();
    Session::builder(())
        .on(START, |cx, ()| cx.alias_set("killed"))
        .create(&kernel)
        .unwrap();
    Session::builder(())
        .on(START, |cx, ()| cx.alias_set("ends"))
        .on(GO, |cx, ()| cx.alias_remove("ends").map(drop))
        .create(&kernel)
        .unwrap();
    let handle = kernel.handle();
    let client = async move {
        let [fails, child, killed, ends] = ["fails", "child", "killed", "ends"].map(|name| handle.ended(name));
        let limited = handle.ended("ends").timeout(ms(5));
        assert!(limited.await.unwrap_err().is_timed_out());
        handle.post("fails", GO, ()).unwrap();
        let end = fails.await.unwrap();
        assert!(
            end.to_string().starts_with("event `go` failed: out of paper (sent at "),
            "{end}"
        );
        assert!(matches!(child.await.unwrap(), SessionEnd::Signal(name) if name == "DIE"));
        handle.signal("killed", "KILL", ()).unwrap();
        assert!(matches!(killed.await.unwrap(), SessionEnd::Signal(name) if name == "KILL"));
        handle.post("ends", GO, ()).unwrap();
        assert!(matches!(ends.await.unwrap(), SessionEnd::Normal));
        assert!(handle.ended("ends").await.unwrap_err().is_no_such_session());
    };
    kernel.serve_until(client, Duration::from_secs(1)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_run_by_a_failure_is_told_to_all_who_wait() {
    let kernel = testing::kernel();
    for alias in ["fails", "other"] {
        Session::builder(())
            .on(START, move |cx, ()| cx.alias_set(alias))
            .on(GO, |_, ()| -> HandlerResult { Err(Failure::msg("out of paper")) })
            .create(&kernel)
            .unwrap();
    }
    let handle = kernel.handle();
    let (fails, other) = (handle.ended("fails"), handle.ended("other"));
    handle.post("fails", GO, ()).unwrap();
    kernel.serve().await.unwrap_err();
    assert!(matches!(fails.await.unwrap(), SessionEnd::Failed { .. }));
    assert!(matches!(other.await.unwrap(), SessionEnd::Signal(name) if name == "DIE"));
}

#[tokio::test(start_paused = true)]
async fn a_kernel_that_is_dropped_ends_the_wait_with_an_error() {
    let kernel = testing::kernel();
    Session::builder(())
        .on(START, |cx, ()| cx.alias_set("stays"))
        .create(&kernel)
        .unwrap();
    let ended = kernel.handle().ended("stays");
    kernel.run_one_timeslice().await.unwrap();
    drop(kernel);
    assert!(ended.await.unwrap_err().is_closed());
}
