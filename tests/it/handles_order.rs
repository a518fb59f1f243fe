//! Messages from other threads: their order, their times, and undelivered ones.

use crate::laws_kit::*;
use poe::event::START;
use poe::{
    Event, Kernel, KernelHandle, OnFailure, Reply, Session, Signal,
    inspect::{DeadLetter, EventType},
};
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

const ADD: Event<u64> = Event::new("add");
const TOTAL: Event<(), u64> = Event::new("total");

/// A session `sum` that adds and returns its total, until it is stopped.
fn sum(kernel: &Kernel) -> poe::SessionId {
    Session::builder(0_u64)
        .on(START, |cx, ()| {
            named(cx.session_id(), "sum");
            cx.refcount_increment(cx.session_id(), "stays").unwrap();
            cx.alias_set("sum").unwrap();
        })
        .on(ADD, |cx, n| {
            *cx.heap += n;
            say(format!("add {n}"));
        })
        .on(TOTAL, |cx, ()| Reply(*cx.heap))
        .on("end", |cx, ()| drop(cx.refcount_decrement(cx.session_id(), "stays")))
        .create(kernel)
        .unwrap()
}

fn letters(kernel: &Kernel) -> Rc<RefCell<Vec<DeadLetter>>> {
    let letters = Rc::new(RefCell::new(Vec::new()));
    let put = letters.clone();
    kernel.on_dead_letter(move |letter| put.borrow_mut().push(letter));
    letters
}

fn number(letter: &DeadLetter) -> Option<u64> {
    letter.arg.downcast_ref::<u64>().copied()
}

#[tokio::test]
async fn a_call_sees_every_earlier_post_of_its_handle_and_of_clones_and_no_later_one() {
    let kernel = Kernel::new();
    sum(&kernel);
    let handle = kernel.handle();
    let clone = handle.clone();
    handle.post("sum", ADD, 1).unwrap();
    clone.post("sum", ADD, 2).unwrap();
    let first = handle.call("sum", TOTAL, ());
    clone.post("sum", ADD, 4).unwrap();
    let second = clone.call("sum", TOTAL, ());
    handle.post("sum", "end", ()).unwrap();
    kernel.run().await.unwrap();
    assert_eq!((first.await.unwrap(), second.await.unwrap()), (3, 7));
}

#[tokio::test]
async fn posts_calls_and_signals_of_one_thread_arrive_in_the_order_in_which_they_were_sent() {
    let kernel = Kernel::new();
    let id = Session::builder(())
        .on(START, |cx, ()| {
            cx.sig("note", "on note");
            cx.refcount_increment(cx.session_id(), "stays").unwrap();
        })
        .on("post", |_, n: u32| say(format!("post {n}")))
        .on("call", |_, n: u32| say(format!("call {n}")))
        .on("on note", |_, signal: Signal| {
            say(format!("signal {}", signal.arg::<u32>().unwrap()))
        })
        .on("end", |cx, ()| drop(cx.refcount_decrement(cx.session_id(), "stays")))
        .create(&kernel)
        .unwrap();
    let handle = kernel.handle();
    std::thread::spawn(move || {
        let mut replies = Vec::new();
        for n in 0..200_u32 {
            match n % 3 {
                0 => handle.post(id, "post", n).unwrap(),
                1 => replies.push(handle.call::<_, ()>(id, "call", n)),
                _ => handle.signal(id, "note", n).unwrap(),
            }
        }
        handle.post(id, "end", ()).unwrap();
    })
    .join()
    .unwrap();
    kernel.run().await.unwrap();
    let expected: Vec<_> = (0..200)
        .map(|n| format!("{} {n}", ["post", "call", "signal"][n % 3]))
        .collect();
    assert_eq!(said(), expected);
}

#[tokio::test]
async fn a_call_is_an_event_of_the_queue_behind_what_waits_and_holds_its_session() {
    let kernel = Kernel::new();
    let id = life("S", nothing)
        .on(TOTAL, |_, ()| {
            say("total");
            Reply(5)
        })
        .create(&kernel)
        .unwrap();
    let handle = kernel.handle();
    let reply = handle.call(id, TOTAL, ());
    kernel.post(id, "bye", ()).unwrap();
    kernel.run().await.unwrap();
    assert_eq!(reply.await.unwrap(), 5);
    assert_eq!(said(), ["total", "S stop"]);
}

// Undelivered messages.

#[tokio::test]
async fn a_post_of_the_wrong_type_is_a_dead_letter_and_stops_no_session() {
    for failing in [OnFailure::StopKernel, OnFailure::StopSession] {
        let kernel = Kernel::builder().on_failure(failing).build();
        let letters = letters(&kernel);
        let id = sum(&kernel);
        let handle = kernel.handle();
        handle.post("sum", "add", 1_i64).unwrap();
        handle.post("sum", "add", "two").unwrap();
        handle.post("sum", "add", String::from("three")).unwrap();
        handle.post("sum", "add", ()).unwrap();
        handle.post("sum", ADD, 5).unwrap();
        handle.post("sum", "end", ()).unwrap();
        run(&kernel).await;
        assert_eq!(said(), ["add 5"]);
        let letters = letters.borrow();
        let types: Vec<_> = letters.iter().map(|letter| letter.arg.type_name()).collect();
        assert_eq!(types, ["i64", "&str", "alloc::string::String", "()"]);
        assert!(
            letters[0]
                .target
                .starts_with(&format!("session {id}: event `add` takes `u64`")),
            "{}",
            letters[0].target
        );
        assert!(letters[0].place.file().ends_with("handles_order.rs"));
    }
}

#[tokio::test]
async fn a_wrong_type_inside_the_kernel_is_a_failure_as_ever_also_in_the_handler_of_a_remote_post() {
    let kernel = Kernel::new();
    let letters = letters(&kernel);
    life("S", |cx| cx.alias_set("S").unwrap())
        .on("go", |cx, ()| -> poe::HandlerResult {
            let me = cx.session_id();
            cx.call::<_, ()>(me, "number", "text")?;
            Ok(())
        })
        .on("number", |_, n: u64| say(n))
        .create(&kernel)
        .unwrap();
    kernel.handle().post("S", "go", ()).unwrap();
    let error = kernel.run().await.unwrap_err();
    assert!(error.failure().unwrap().wrong_type().is_some());
    assert!(letters.borrow().is_empty());
    said();
}

#[tokio::test]
async fn a_post_to_a_missing_event_is_a_dead_letter_unless_default_takes_it() {
    let kernel = Kernel::new();
    let letters = letters(&kernel);
    let id = sum(&kernel);
    echo(|cx| cx.alias_set("echo").unwrap()).create(&kernel).unwrap();
    let handle = kernel.handle();
    handle.post("sum", "addd", 1_u64).unwrap();
    handle.post("echo", "addd", 2_u64).unwrap();
    handle.post("sum", "end", ()).unwrap();
    kernel.run().await.unwrap();
    assert_eq!(said(), ["addd"]);
    let letters = letters.borrow();
    assert_eq!(letters.len(), 1);
    assert_eq!((letters[0].event.as_str(), number(&letters[0])), ("addd", Some(1)));
    assert_eq!(letters[0].target, format!("session {id} has no handler for it"));
}

#[tokio::test]
async fn an_accepted_post_whose_session_stops_first_is_a_dead_letter() {
    type Ender = fn(&mut Cx<'_>);
    let enders: [(&str, Ender); 4] = [
        ("stop", |cx| cx.stop_all()),
        ("a failure", |_| panic!("on purpose")),
        ("a signal", |cx| cx.signal(cx.session_id(), "TERM", ()).unwrap()),
        ("its end", |cx| drop(cx.alias_remove("worker"))),
    ];
    for (how, ender) in enders {
        for policy in [OnFailure::StopKernel, OnFailure::StopSession] {
            let kernel = Kernel::builder().on_failure(policy).build();
            let letters = letters(&kernel);
            let done = Rc::new(Cell::new(0_u64));
            let count = done.clone();
            life("worker", |cx| cx.alias_set("worker").unwrap())
                .on("job", move |cx, n: u64| {
                    count.set(count.get() + 1);
                    if n == 1 {
                        ender(cx);
                    }
                })
                .create(&kernel)
                .unwrap();
            let handle = kernel.handle();
            for n in 0..5_u64 {
                handle.post("worker", "job", n).unwrap();
            }
            let _ = kernel.run().await;
            let dead = letters.borrow().len() as u64;
            assert_eq!(
                done.get() + dead,
                5,
                "{how} {policy:?}: {} done, {dead} dead",
                done.get()
            );
            let last = letters.borrow().last().and_then(number);
            assert!(dead == 0 || last == Some(4), "{how}");
            if how == "stop" {
                assert_eq!(dead, 3);
            }
        }
    }
    said();
}

#[tokio::test]
async fn a_message_after_the_last_session_is_a_dead_letter_of_the_next_run() {
    let kernel = Kernel::new();
    let letters = letters(&kernel);
    let handle = kernel.handle();
    life("S", nothing).create(&kernel).unwrap();
    kernel.run().await.unwrap();
    handle.post("worker", ADD, 9).unwrap();
    assert!(letters.borrow().is_empty());
    kernel.run().await.unwrap();
    assert_eq!(letters.borrow().iter().map(number).collect::<Vec<_>>(), [Some(9)]);
    // Without any session, before any run.
    let kernel = Kernel::new();
    let letters = self::letters(&kernel);
    kernel.handle().post("worker", ADD, 8).unwrap();
    kernel.run().await.unwrap();
    assert_eq!(letters.borrow().iter().map(number).collect::<Vec<_>>(), [Some(8)]);
    said();
}

#[tokio::test]
async fn what_the_kernel_never_took_in_is_a_dead_letter_when_it_is_dropped() {
    let kernel = Kernel::new();
    let letters = letters(&kernel);
    let id = sum(&kernel);
    let handle = kernel.handle();
    handle.post(id, ADD, 1).unwrap();
    let queued = handle.call(id, TOTAL, ());
    kernel.run_one_timeslice().await.unwrap();
    assert_eq!(queued.await.unwrap(), 1);
    handle.post(id, ADD, 2).unwrap();
    handle.post(id, ADD, 3).unwrap();
    drop(kernel);
    assert_eq!(
        letters.borrow().iter().map(number).collect::<Vec<_>>(),
        [Some(2), Some(3)]
    );
    assert!(handle.post(id, ADD, 4).unwrap_err().is_closed());
    said();
}

#[tokio::test]
async fn a_send_postback_to_a_handler_of_another_type_is_a_dead_letter() {
    let kernel = Kernel::new();
    let letters = letters(&kernel);
    life("S", |cx| {
        let postback = cx.send_postback::<u32, u32>("done", 1);
        std::thread::spawn(move || postback.post(2).unwrap()).join().unwrap();
    })
    .on("done", |_, (text, n): (String, u32)| say(format!("{text} {n}")))
    .create(&kernel)
    .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["S stop"]);
    assert_eq!(letters.borrow().len(), 1);
    assert_eq!(letters.borrow()[0].arg.downcast_ref::<(u32, u32)>(), Some(&(1, 2)));
}

#[tokio::test]
async fn a_remote_call_of_the_wrong_type_is_the_callers_error_and_no_die() {
    let kernel = Kernel::new();
    sum(&kernel);
    let handle = kernel.handle();
    let wrong = handle.call::<_, u64>("sum", "add", "text");
    let missing = handle.call::<_, u64>("sum", "addd", 7_u64);
    let nobody = handle.call("nobody", TOTAL, ());
    let answer = handle.call::<_, String>("sum", "total", ());
    handle.post("sum", "end", ()).unwrap();
    run(&kernel).await;
    let wrong = wrong.await.unwrap_err();
    assert!(wrong.is_wrong_argument() && !wrong.is_died());
    assert_eq!(wrong.into_arg(), Some("text"));
    let missing = missing.await.unwrap_err();
    assert!(missing.is_unhandled());
    assert_eq!(missing.into_arg(), Some(7));
    assert!(nobody.await.unwrap_err().is_no_such_session());
    assert!(answer.await.unwrap_err().is_wrong_reply());
}

#[tokio::test]
async fn a_signal_to_a_session_that_is_not_there_is_a_dead_letter() {
    let kernel = Kernel::new();
    let letters = letters(&kernel);
    kernel.handle().signal("nobody", "reload", 7_u64).unwrap();
    kernel.run().await.unwrap();
    let letters = letters.borrow();
    assert_eq!((letters[0].event.as_str(), number(&letters[0])), ("reload", Some(7)));
}

// The end of a run.

#[tokio::test]
async fn after_a_run_that_failed_everything_is_refused_at_once_with_its_argument() {
    let kernel = Kernel::new();
    sum(&kernel);
    life("bad", |cx| cx.alias_set("bad").unwrap())
        .on("boom", |_, ()| -> Reply<u64> { panic!("a bug") })
        .create(&kernel)
        .unwrap();
    let handle = kernel.handle();
    let boom = handle.call::<_, u64>("bad", "boom", ());
    let behind = handle.call::<_, u64>("sum", "slow", String::from("behind it"));
    let asker = async {
        assert!(boom.await.unwrap_err().is_died());
        let error = behind.await.unwrap_err();
        assert!(error.is_unhandled() || error.is_no_such_session(), "{error}");
    };
    let (served, ()) = tokio::join!(kernel.serve(), asker);
    assert!(served.unwrap_err().is_died());
    for target in ["sum", "nobody"] {
        let error = handle.call::<_, u64>(target, "total", 7_u64).await.unwrap_err();
        assert!(error.is_closed(), "{error}");
        assert_eq!(error.to_string(), "cannot call `total`: the kernel's run has ended");
        assert_eq!(error.into_arg(), Some(7));
        let refused = handle.post(target, ADD, 7).unwrap_err();
        assert!(refused.is_closed() && refused.into_arg() == 7);
    }
    // A new session makes a run possible again.
    sum(&kernel);
    handle.post("sum", ADD, 1).unwrap();
    let total = handle.call("sum", TOTAL, ());
    handle.post("sum", "end", ()).unwrap();
    kernel.run().await.unwrap();
    assert_eq!(total.await.unwrap(), 1);
    said();
}

#[tokio::test]
async fn a_call_that_waits_in_the_inbox_when_the_run_fails_gets_an_error() {
    let kernel = Kernel::new();
    let handle = kernel.handle();
    let kept = Rc::new(RefCell::new(None));
    let keep = kept.clone();
    let own = handle.clone();
    sum(&kernel);
    life("bad", go)
        .on("go", move |_, ()| {
            // It will not be taken in before the failure has ended the run.
            *keep.borrow_mut() = Some(own.call("sum", TOTAL, ()));
            panic!("a bug");
        })
        .create(&kernel)
        .unwrap();
    assert!(kernel.run().await.is_err());
    let call = kept.take().unwrap();
    let error = tokio::time::timeout(Duration::from_secs(60), call)
        .await
        .unwrap()
        .unwrap_err();
    assert!(error.is_closed() || error.is_no_such_session(), "{error}");
    said();
}

#[tokio::test]
async fn after_a_run_that_ended_well_calls_are_refused_until_there_is_something_to_run() {
    let kernel = Kernel::new();
    let handle = kernel.handle();
    let early = handle.call("sum", TOTAL, ()); // nothing has run yet: it may wait
    sum(&kernel);
    handle.post("sum", "end", ()).unwrap();
    kernel.run().await.unwrap();
    assert_eq!(early.await.unwrap(), 0);
    assert!(handle.call("sum", TOTAL, ()).await.unwrap_err().is_closed());
    sum(&kernel);
    let total = handle.call("sum", TOTAL, ());
    handle.post("sum", "end", ()).unwrap();
    kernel.run().await.unwrap();
    assert_eq!(total.await.unwrap(), 0);
}

#[tokio::test]
async fn a_call_whose_session_stops_first_gets_an_error_with_its_argument() {
    let kernel = Kernel::builder().on_failure(OnFailure::StopSession).build();
    life("other", lives(20)).create(&kernel).unwrap();
    let id = life("S", nothing)
        .on("fail", |_, ()| fail("on purpose"))
        .on("again", |cx, ()| cx.yield_to("fail", ()))
        .on("ask", |_, n: u64| Reply(n))
        .create(&kernel)
        .unwrap();
    let handle = kernel.handle();
    handle.post(id, "fail", ()).unwrap();
    let before_the_die = handle.call::<_, u64>(id, "ask", 1_u64);
    let ran = async {
        assert_eq!(before_the_die.await.unwrap(), 1);
        let error = handle.call::<_, u64>(id, "ask", 2_u64).await.unwrap_err();
        assert!(error.is_no_such_session());
        assert_eq!(error.into_arg(), Some(2));
    };
    let (run, ()) = tokio::join!(kernel.run(), ran);
    run.unwrap();
    // A call in the queue behind the DIE.
    let kernel = Kernel::builder().on_failure(OnFailure::StopSession).build();
    let handle = kernel.handle();
    let kept = Rc::new(RefCell::new(None));
    let keep = kept.clone();
    let id = life("S", nothing)
        .on("fail", move |_, ()| fail("on purpose"))
        .on("ask", |_, n: u64| Reply(n))
        .create(&kernel)
        .unwrap();
    life("asker", go)
        .on("go", move |cx, ()| {
            cx.post(id, "fail", ()).unwrap();
            cx.yield_to("ask", ());
        })
        .on("ask", move |_, ()| {
            *keep.borrow_mut() = Some(handle.call::<_, u64>(id, "ask", 3_u64))
        })
        .create(&kernel)
        .unwrap();
    kernel.run().await.unwrap();
    let error = kept.take().unwrap().await.unwrap_err();
    assert!(error.is_no_such_session(), "{error}");
    assert_eq!(error.into_arg(), Some(3));
    said();
}

#[tokio::test]
async fn a_kernel_that_is_dropped_answers_calls_of_its_inbox_and_of_its_queue() {
    let kernel = Kernel::new();
    let id = sum(&kernel);
    let handle = kernel.handle();
    kernel.post(id, ADD, 1).unwrap();
    let queued = handle.call::<_, u64>(id, "ask", 1_u64);
    let other = life("other", |cx| cx.yield_to("go", ()))
        .on("go", |cx, ()| cx.yield_to("go", ()))
        .create(&kernel)
        .unwrap();
    kernel.run_one_timeslice().await.unwrap();
    let waiting = handle.call::<_, u64>(other, "ask", 2_u64);
    drop(kernel);
    assert!(queued.await.unwrap_err().is_unhandled());
    let error = waiting.await.unwrap_err();
    assert!(error.is_closed());
    assert_eq!(error.into_arg(), Some(2));
    said();
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_refuses_calls_afterwards_too() {
    let kernel = Kernel::new();
    sum(&kernel);
    let handle = kernel.handle();
    let report = kernel.shutdown(Duration::from_secs(1)).await;
    assert!(report.error.is_none());
    assert!(handle.call("sum", TOTAL, ()).await.unwrap_err().is_closed());
}

// Timeouts.

#[tokio::test(start_paused = true)]
async fn a_call_whose_time_is_over_is_withdrawn_if_it_was_not_dispatched() {
    let kernel = Kernel::new();
    sum(&kernel);
    let handle = kernel.handle();
    let late = handle.call::<_, ()>("sum", "add", 100_u64).timeout(ms(50));
    let in_time = handle.call("sum", TOTAL, ()).timeout(Duration::from_secs(3600));
    let error = late.await.unwrap_err();
    assert!(error.is_timed_out());
    assert_eq!(error.into_arg(), Some(100));
    handle.post("sum", "end", ()).unwrap();
    kernel.run().await.unwrap();
    // It was withdrawn: nothing was added, although it stands in the queue ahead of this one.
    assert_eq!(in_time.await.unwrap(), 0);
    assert!(said().is_empty());
}

#[tokio::test]
async fn a_call_that_is_being_handled_when_its_time_is_over_is_not_withdrawn() {
    let handle_and_id = mpsc::channel();
    let (tell, told) = handle_and_id;
    let (release, released) = mpsc::channel::<()>();
    let thread = std::thread::spawn(move || {
        let kernel = Kernel::new();
        let done = Rc::new(Cell::new(0));
        let count = done.clone();
        let id = Session::builder(())
            .on(START, |cx, ()| {
                cx.refcount_increment(cx.session_id(), "stays").map(drop)
            })
            .on("slow", move |cx, n: u64| {
                released.recv().unwrap();
                count.set(n);
                drop(cx.refcount_decrement(cx.session_id(), "stays"));
                Reply(n)
            })
            .create(&kernel)
            .unwrap();
        tell.send((kernel.handle(), id)).unwrap();
        kernel.run_blocking().unwrap();
        done.get()
    });
    let (handle, id) = told.recv().unwrap();
    let error = handle
        .call::<_, u64>(id, "slow", 7_u64)
        .timeout(ms(200))
        .await
        .unwrap_err();
    assert!(error.is_timed_out());
    assert_eq!(error.into_arg(), None, "a handler has got it");
    release.send(()).unwrap();
    assert_eq!(thread.join().unwrap(), 7);
}

#[test]
fn a_timeout_needs_the_callers_timer_and_says_so_without_one() {
    let kernel = Kernel::new();
    let handle = kernel.handle();
    let error = poll_once(handle.call("sum", TOTAL, ()).timeout(ms(5)))
        .unwrap()
        .unwrap_err();
    assert!(error.is_no_runtime());
    assert_eq!(error.into_arg(), Some(()));
    // A runtime whose time driver is off.
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let error = runtime
        .block_on(handle.call("sum", TOTAL, ()).timeout(ms(5)))
        .unwrap_err();
    assert!(error.is_no_runtime());
    // The limit may be set outside of the runtime that it is awaited in.
    let call = handle.call("sum", TOTAL, ()).timeout(ms(5));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    assert!(runtime.block_on(call).unwrap_err().is_timed_out());
    // Without a timeout none is needed.
    drop(kernel);
    assert!(
        poll_once(handle.call("sum", TOTAL, ()))
            .unwrap()
            .unwrap_err()
            .is_closed()
    );
    // A refusal comes first.
    let refused = poll_once(handle.call("sum", TOTAL, ()).timeout(ms(5))).unwrap();
    assert!(refused.unwrap_err().is_closed());
}

#[tokio::test(start_paused = true)]
async fn limits_of_all_sizes_are_kept() {
    let kernel = Kernel::new();
    let handle = kernel.handle();
    assert!(
        handle
            .call("sum", TOTAL, ())
            .timeout(Duration::ZERO)
            .await
            .unwrap_err()
            .is_timed_out()
    );
    let mut endless = pin!(handle.call("sum", TOTAL, ()).timeout(Duration::MAX));
    assert!(
        tokio::time::timeout(Duration::from_secs(1_000_000), &mut endless)
            .await
            .is_err()
    );
    drop(kernel);
    assert!(endless.await.unwrap_err().is_closed());
}

// Dates.

/// What comes first: a message that was sent at 30 ms, or a timer that is due at `timer`, if the kernel is busy from 5 ms on
/// until both are over.
async fn first_of(timer: u64, send: impl Fn(&KernelHandle, poe::SessionId) + Send + Clone + 'static) -> Vec<String> {
    let kernel = Kernel::new();
    let handle = kernel.handle();
    life("S", move |cx| {
        cx.sig("note", "note");
        cx.delay("timer", ms(timer), ());
        cx.delay("busy", ms(5), ());
        let (to, handle, send) = (cx.session_id(), handle.clone(), send.clone());
        cx.refcount_increment(to, "thread").unwrap();
        std::thread::spawn(move || {
            std::thread::sleep(ms(300));
            send(&handle, to);
        });
    })
    .on("busy", |_, ()| std::thread::sleep(ms(1000)))
    .on("timer", |_, ()| say("timer"))
    .on("message", |cx, ()| {
        say("message");
        drop(cx.refcount_decrement(cx.session_id(), "thread"));
    })
    .on("note", |cx, _: Signal| {
        say("message");
        drop(cx.refcount_decrement(cx.session_id(), "thread"));
    })
    .create(&kernel)
    .unwrap();
    kernel.run().await.unwrap();
    let mut lines = said();
    lines.pop();
    lines
}

#[tokio::test]
async fn a_message_is_dated_when_it_was_sent_whatever_it_is() {
    type Send = fn(&KernelHandle, poe::SessionId);
    let ways: [Send; 3] = [
        |handle, to| handle.post(to, "message", ()).unwrap(),
        |handle, to| drop(handle.call::<_, ()>(to, "message", ())),
        |handle, to| handle.signal(to, "note", ()).unwrap(),
    ];
    for send in ways {
        assert_eq!(first_of(650, send).await, ["message", "timer"]);
        assert_eq!(first_of(20, send).await, ["timer", "message"]);
    }
}

#[tokio::test]
async fn a_send_postback_is_dated_when_it_was_sent() {
    let kernel = Kernel::new();
    life("S", |cx| {
        cx.delay("timer", ms(650), ());
        cx.delay("busy", ms(5), ());
        let back = cx.send_postback::<(), ()>("message", ());
        std::thread::spawn(move || {
            std::thread::sleep(ms(300));
            back.post(()).unwrap();
        });
    })
    .on("busy", |_, ()| std::thread::sleep(ms(1000)))
    .on("timer", |_, ()| say("timer"))
    .on("message", |_, ((), ())| say("message"))
    .create(&kernel)
    .unwrap();
    kernel.run().await.unwrap();
    assert_eq!(said(), ["message", "timer", "S stop"]);
}

#[tokio::test]
async fn a_message_is_not_dated_before_a_post_that_is_queued_already() {
    // Sent at 300 ms; at 1005 ms the kernel itself posts, behind a timer that was due at 650 ms; then it takes the message in.
    let kernel = Kernel::new();
    let handle = kernel.handle();
    life("S", move |cx| {
        cx.delay("timer", ms(650), ());
        cx.delay("busy", ms(5), ());
        let (to, handle) = (cx.session_id(), handle.clone());
        cx.refcount_increment(to, "thread").unwrap();
        std::thread::spawn(move || {
            std::thread::sleep(ms(300));
            handle.post(to, "message", ()).unwrap();
        });
    })
    .on("busy", |cx, ()| {
        std::thread::sleep(ms(1000));
        cx.yield_to("own post", ());
    })
    .on("own post", |_, ()| say("own post"))
    .on("timer", |_, ()| say("timer"))
    .on("message", |cx, ()| {
        say("message");
        drop(cx.refcount_decrement(cx.session_id(), "thread"));
    })
    .create(&kernel)
    .unwrap();
    kernel.run().await.unwrap();
    assert_eq!(said(), ["timer", "own post", "message", "S stop"]);
}

#[tokio::test(start_paused = true)]
async fn under_virtual_time_a_message_is_dated_when_it_is_taken_in() {
    let kernel = kernel();
    let handle = kernel.handle();
    let id = life("S", |cx| cx.delay("timer", ms(10), ()))
        .on("timer", |_, ()| say("timer"))
        .on("message", |_, ()| say("message"))
        .create(&kernel)
        .unwrap();
    handle.post(id, "message", ()).unwrap();
    tokio::time::advance(ms(20)).await;
    kernel.run().await.unwrap();
    assert_eq!(said(), ["timer", "message", "S stop"]);
}

#[tokio::test]
async fn a_remote_call_shows_in_a_snapshot_by_the_name_of_its_event() {
    let kernel = Kernel::new();
    let seen = Rc::new(RefCell::new(Vec::new()));
    let put = seen.clone();
    let own = kernel.clone();
    let id = life("S", nothing)
        .on("first", move |_, ()| {
            for event in own.snapshot().queue {
                put.borrow_mut().push((event.event, event.kind));
            }
        })
        .on(TOTAL, |cx, ()| {
            assert!(cx.caller_state().is_none() && cx.sender().is_kernel());
            Reply(1)
        })
        .create(&kernel)
        .unwrap();
    let handle = kernel.handle();
    handle.post(id, "first", ()).unwrap();
    let total = handle.call(id, TOTAL, ());
    handle.post(id, "bye", ()).unwrap();
    kernel.run().await.unwrap();
    assert_eq!(total.await.unwrap(), 1);
    let seen = seen.borrow();
    let expected = [
        ("total".to_owned(), EventType::Call),
        ("bye".to_owned(), EventType::User),
    ];
    assert_eq!(seen[..], expected);
    said();
}

// The end of `serve`.

/// A waker that hands its wake-up to the executor's thread, and takes its time to return, as a preempted thread would.
struct Unpark(mpsc::SyncSender<()>, Duration);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        let _ = self.0.send(());
        std::thread::sleep(self.1);
    }
}

#[test]
fn dropping_the_last_handle_ends_serve_however_the_threads_are_scheduled() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let _entered = runtime.enter();
    for (round, handles) in [(50, 1), (0, 1), (0, 3), (20, 2)]
        .into_iter()
        .chain((0..300).map(|n| (0, 1 + n % 3)))
    {
        let kernel = Kernel::new();
        let all: Vec<_> = (0..handles).map(|_| kernel.handle()).collect();
        let (wake, woken) = mpsc::sync_channel(64);
        let waker = Waker::from(Arc::new(Unpark(wake, ms(round))));
        let mut cx = Context::from_waker(&waker);
        let mut serving = pin!(kernel.serve());
        assert!(serving.as_mut().poll(&mut cx).is_pending());
        let threads: Vec<_> = all
            .into_iter()
            .map(|handle| std::thread::spawn(move || drop(handle)))
            .collect();
        loop {
            assert!(
                woken.recv_timeout(Duration::from_secs(60)).is_ok(),
                "nobody wakes `serve` any more"
            );
            if serving.as_mut().poll(&mut cx).is_ready() {
                break;
            }
        }
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    }
}

#[test]
fn a_handle_that_is_dropped_while_serve_is_being_polled_ends_it() {
    // The handle goes inside the poll: by a handler, and by the drop of a heap.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let kernel = Kernel::new();
        let handle = kernel.handle();
        let drops = Arc::new(AtomicU32::new(0));
        let count = drops.clone();
        Session::builder(Some(handle))
            .on(START, |cx, ()| cx.yield_to("go", ()))
            .on("go", move |cx, ()| {
                count.fetch_add(1, Ordering::Relaxed);
                drop(cx.heap.take());
            })
            .create(&kernel)
            .unwrap();
        Session::builder(kernel.handle())
            .on(START, |_, ()| ())
            .create(&kernel)
            .unwrap();
        tokio::time::timeout(Duration::from_secs(60), kernel.serve())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(drops.load(Ordering::Relaxed), 1);
    });
}

#[tokio::test]
async fn a_handle_can_be_made_again_after_the_last_was_dropped() {
    let kernel = Kernel::new();
    drop(kernel.handle());
    let handle = kernel.handle();
    let mut serving = kernel.serve();
    assert!(tokio::time::timeout(ms(20), &mut serving).await.is_err());
    drop(handle);
    tokio::time::timeout(Duration::from_secs(60), serving)
        .await
        .unwrap()
        .unwrap();
}

// Reports.

#[tokio::test]
async fn a_shutdown_that_ends_beyond_its_limit_says_so() {
    let kernel = Kernel::new();
    life("S", |cx| {
        cx.sig(poe::KERNEL_SHUTDOWN, "end");
        cx.refcount_increment(cx.session_id(), "stays").unwrap();
    })
    .on("end", |cx, _: Signal| {
        cx.sig_handled();
        std::thread::sleep(ms(120)); // much longer than the limit
        drop(cx.refcount_decrement(cx.session_id(), "stays"));
    })
    .create(&kernel)
    .unwrap();
    let report = kernel.shutdown(ms(20)).await;
    assert!(!report.is_clean());
    assert!(report.late >= ms(90), "{:?}", report.late);
    assert!(report.to_string().contains("after"), "{report}");
    said();
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_in_time_is_not_late() {
    let kernel = kernel();
    life("S", |cx| {
        cx.sig(poe::KERNEL_SHUTDOWN, "end");
        cx.refcount_increment(cx.session_id(), "stays").unwrap();
    })
    .on("end", |cx, _: Signal| {
        cx.sig_handled();
        cx.delay("bye", ms(900), ());
        drop(cx.refcount_decrement(cx.session_id(), "stays"));
    })
    .create(&kernel)
    .unwrap();
    let report = kernel.shutdown(ms(1000)).await;
    assert!(report.is_clean(), "{report}");
    assert_eq!(report.late, Duration::ZERO);
    assert!(
        kernel.shutdown(Duration::ZERO).await.is_clean(),
        "there was nothing left"
    );
    said();
}
