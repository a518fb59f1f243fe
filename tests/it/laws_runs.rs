//! Laws L: running, ending, running again, and dropping a run.

use crate::laws_kit::*;
use poe::event::{START, STOP};
use poe::{HandlerResult, KERNEL_SHUTDOWN, Session};
use std::cell::Cell;
use std::rc::Rc;
use std::time::SystemTime;

#[tokio::test(start_paused = true)]
async fn l85_run_returns_at_once_without_sessions_and_after_the_last_one_with() {
    let kernel = kernel();
    let began = tokio::time::Instant::now();
    run(&kernel).await;
    assert_eq!(began.elapsed(), ms(0));
    life("S", lives(30)).create(&kernel).unwrap();
    run(&kernel).await;
    assert_eq!((began.elapsed(), said()), (ms(30), vec!["S stop".to_owned()]));
}

#[tokio::test(start_paused = true)]
async fn l86_it_runs_again_also_after_a_failure_and_ids_go_on() {
    let kernel = kernel();
    let first = life("first", lives(1)).create(&kernel).unwrap();
    run(&kernel).await;
    let second = life("second", go)
        .on("go", |_, ()| fail("on purpose"))
        .create(&kernel)
        .unwrap();
    assert_eq!(run_to_failure(&kernel).await, "on purpose");
    let third = life("third", lives(1)).create(&kernel).unwrap();
    run(&kernel).await;
    assert_eq!((first.get(), second.get(), third.get()), (1, 2, 3));
    assert_eq!(said(), ["first stop", "second stop", "third stop"]);
}

/// What a run without sessions finds in the queue, it drops: a signal for everybody does not meet the sessions of the next run.
#[tokio::test(start_paused = true)]
async fn l86_a_signal_that_nobody_was_left_for_is_not_for_the_next_run() {
    for in_slices in [false, true] {
        let kernel = kernel();
        let first = life("A", |_| {})
            .on("stop all", |cx, ()| cx.stop_all())
            .create(&kernel)
            .unwrap();
        kernel.signal(kernel.id(), "INT", ()).unwrap();
        kernel.call::<(), ()>(first, "stop all", ()).unwrap();
        if in_slices {
            assert!(!kernel.run_one_timeslice().await.unwrap());
        } else {
            kernel.run().await.unwrap();
        }
        assert!(kernel.snapshot().queue.is_empty());
        life("B", |cx| {
            cx.delay("work", ms(1), ());
        })
        .on("work", |_, ()| say("B works"))
        .create(&kernel)
        .unwrap();
        kernel.run().await.unwrap();
        assert_eq!(said(), ["A stop", "B works", "B stop"]);
    }
}

#[tokio::test(start_paused = true)]
async fn l87_after_stop_the_rest_of_the_handler_speaks_for_the_kernel() {
    let kernel = kernel();
    life("A", lives(50)).create(&kernel).unwrap();
    life("B", go)
        .on("go", |cx, ()| -> HandlerResult {
            cx.yield_to("never", ());
            cx.stop_all();
            assert!(cx.active_session().is_kernel());
            assert_eq!((cx.active_event().unwrap().as_str(), cx.event_count()), ("go", 0));
            cx.yield_to("never", ());
            cx.create(life("C", go).on("go", |cx, ()| say(format!("C go, made by {}", nm(cx.sender())))))?;
            Ok(())
        })
        .on("never", |_, ()| say("never"))
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["B stop", "A stop", "C go, made by C", "C stop"]);
}

/// Also in a `_stop`, after which its session is still there for a while: what it posts then is the kernel's, and stays when
/// the session goes. In a handler that is called from there the session speaks again.
#[tokio::test(start_paused = true)]
async fn l87_in_ones_own_stop_too() {
    let kernel = kernel();
    life("S", nothing)
        .on(STOP, |cx, ()| -> HandlerResult {
            cx.stop_all();
            let new = cx.create(
                life("new", |cx| cx.delay("bye", ms(5), ()))
                    .on("hello", |cx, how: &str| say(format!("{how} from {}", nm(cx.sender())))),
            )?;
            cx.post(new, "hello", "hello")?;
            cx.yield_to("never", ());
            cx.call::<(), ()>(cx.session_id(), "called", ())?;
            cx.post(new, "hello", "goodbye")?;
            Ok(())
        })
        .on("called", |cx, ()| {
            // With the session, which has only its end before it, this goes.
            cx.post(cx.session_id(), "never", ()).unwrap();
        })
        .on("never", |_, ()| say("never"))
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["hello from kernel", "goodbye from kernel", "new stop"]);
}

#[tokio::test(start_paused = true)]
async fn l89_two_alarms_for_one_instant_stay_in_order_and_an_alarm_is_a_wall_time() {
    let kernel = kernel();
    let when = SystemTime::now() + ms(20);
    echo(move |cx| {
        cx.alarm_set("first", when, ());
        cx.delay_set("delay", ms(10), ());
        cx.alarm_set("second", when, ());
        let id = cx.alarm_set("third", when, ());
        // Moving by zero keeps the position among equals, and returns the wall time.
        let due = cx.alarm_adjust(id, 0.0).unwrap();
        let apart = due.duration_since(when).unwrap_or_else(|e| e.duration());
        assert!(apart < ms(2), "{apart:?} apart");
    })
    .create(&kernel)
    .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["delay", "first", "second", "third"]);
}

#[tokio::test(start_paused = true)]
async fn l90_many_aliases_for_a_session_one_session_for_an_alias() {
    let kernel = kernel();
    let one = life("one", |cx| {
        cx.alias_set("a").unwrap();
        cx.alias_set("b").unwrap();
        cx.delay("bye", ms(5), ());
    })
    .create(&kernel)
    .unwrap();
    life("two", move |cx| {
        assert!(cx.alias_set("a").unwrap_err().is_alias_taken());
        // Removal is private to the owner.
        assert!(cx.alias_remove("a").unwrap_err().is_not_permitted());
        assert_eq!(cx.alias_resolve("b").unwrap(), one);
    })
    .create(&kernel)
    .unwrap();
    // An alias keeps its session only while something else can still act.
    run(&kernel).await;
    assert_eq!(kernel.resolve("a"), None);
    assert_eq!(said(), ["two stop", "one stop"]);
}

#[tokio::test(start_paused = true)]
async fn a_run_inside_a_run_is_refused() {
    let kernel = kernel();
    let inner = kernel.clone();
    life("S", go)
        .on("go", move |_, ()| {
            let refused = poll_once(inner.run()).unwrap().unwrap_err();
            assert!(refused.is_already_running());
            assert!(inner.stop_all().unwrap_err().is_busy());
            say("refused twice");
        })
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["refused twice", "S stop"]);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_dropped_loses_nothing() {
    let kernel = kernel();
    life("S", |cx| {
        cx.delay_set("tick", ms(10), 1_u32);
        cx.delay_set("tick", ms(30), 2_u32);
    })
    .on("tick", |_, n: u32| say(n))
    .create(&kernel)
    .unwrap();
    assert!(tokio::time::timeout(ms(20), kernel.run()).await.is_err());
    assert_eq!(said(), ["1"]);
    run(&kernel).await;
    assert_eq!(said(), ["2", "S stop"]);
}

#[tokio::test(start_paused = true)]
async fn run_while_looks_at_its_flag_before_each_slice() {
    let kernel = kernel();
    let flag = Rc::new(Cell::new(true));
    let lower = flag.clone();
    Session::builder(0_u32)
        .on(START, |cx, ()| cx.yield_to("step", ()))
        .on("step", move |cx, ()| {
            *cx.heap += 1;
            lower.set(*cx.heap < 3);
            cx.yield_to("step", ());
        })
        .on(STOP, |cx, ()| say(*cx.heap))
        .create(&kernel)
        .unwrap();
    kernel.run_while(&flag).await.unwrap();
    assert_eq!(kernel.session_count(), 1);
    kernel.stop_all().unwrap();
    assert_eq!(said(), ["3"]);
}

#[tokio::test(start_paused = true)]
async fn shutdown_waits_for_those_who_end_and_stops_the_rest_at_its_limit() {
    let kernel = kernel();
    life("quick", |cx| cx.sig(KERNEL_SHUTDOWN, "term"))
        .on("term", |cx, _: poe::Signal| {
            cx.sig_handled();
            cx.sig_ignore(KERNEL_SHUTDOWN);
            cx.delay("bye", ms(10), ());
        })
        .create(&kernel)
        .unwrap();
    life("stubborn", |cx| {
        cx.sig(KERNEL_SHUTDOWN, "term");
        cx.delay("bye", ms(10_000), ());
    })
    .on("term", |cx, _: poe::Signal| cx.sig_handled())
    .create(&kernel)
    .unwrap();
    let began = tokio::time::Instant::now();
    let (served, report) = tokio::join!(kernel.serve(), kernel.shutdown(ms(100)));
    served.unwrap();
    assert!(!report.is_clean());
    assert_eq!(began.elapsed(), ms(100));
    assert_eq!(said(), ["quick stop", "stubborn stop"]);
    assert_eq!(kernel.session_count(), 0);
}

/// A session that ends when it is asked to, and one that does not.
fn quick_and_stubborn(kernel: &poe::Kernel) {
    life("quick", |cx| {
        cx.sig(KERNEL_SHUTDOWN, "term");
        cx.delay("bye", ms(10_000), ());
    })
    .on("term", |cx, _: poe::Signal| {
        cx.sig_handled();
        cx.delay("bye", ms(10), ());
    })
    .create(kernel)
    .unwrap();
    life("stubborn", |cx| {
        cx.sig(KERNEL_SHUTDOWN, "term");
        cx.delay("bye", ms(10_000), ());
    })
    .on("term", |cx, _: poe::Signal| cx.sig_handled())
    .create(kernel)
    .unwrap();
}

/// As in a hand-made `select` that goes on to the shutdown with the other future still in its hands.
#[tokio::test(start_paused = true)]
async fn shutdown_does_not_need_the_run_under_way_to_be_polled() {
    let kernel = kernel();
    for serve in [true, false] {
        quick_and_stubborn(&kernel);
        let mut run = if serve { kernel.serve() } else { kernel.run() };
        assert!(poll_once(&mut run).is_none());
        let began = tokio::time::Instant::now();
        let shutdown = tokio::time::timeout(ms(5000), kernel.shutdown(ms(100)));
        let report = shutdown.await.expect("the limit holds");
        assert_eq!((report.stopped.len(), began.elapsed()), (1, ms(100)), "{report}");
        assert_eq!(said(), ["quick stop", "stubborn stop"]);
        // The run ends at the next poll, even if there is new work.
        let late = life("late", lives(20)).create(&kernel).unwrap();
        poll_once(&mut run).expect("it has ended").unwrap();
        kernel.run().await.unwrap();
        assert!(!kernel.is_alive(late));
        assert_eq!(said(), ["late stop"]);
    }
}

/// There is no session to stop, but a `serve` that waits for sessions.
#[tokio::test(start_paused = true)]
async fn a_shutdown_ends_a_kernel_without_sessions() {
    let kernel = kernel();
    let both = async { tokio::join!(kernel.serve(), kernel.shutdown(ms(100))) };
    let (served, report) = tokio::time::timeout(ms(1000), both).await.expect("it ends");
    served.unwrap();
    assert!(report.is_clean());
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_that_is_given_up_leaves_its_work_to_the_run() {
    let kernel = kernel();
    quick_and_stubborn(&kernel);
    let began = tokio::time::Instant::now();
    let run = async {
        kernel.run().await.unwrap();
        began.elapsed()
    };
    let (took, given_up) = tokio::join!(run, tokio::time::timeout(ms(5), kernel.shutdown(ms(100))));
    assert!(given_up.is_err());
    assert_eq!(
        (took, said()),
        (ms(100), vec!["quick stop".to_owned(), "stubborn stop".into()])
    );
    assert!(
        !kernel.shutdown(ms(100)).await.is_clean(),
        "the report stays for who asks again"
    );

    // And to the next shutdown, while the first is kept.
    quick_and_stubborn(&kernel);
    let mut run = kernel.serve();
    assert!(poll_once(&mut run).is_none());
    let mut first = Box::pin(kernel.shutdown(ms(100)));
    assert!(poll_once(&mut first).is_none());
    assert_eq!(kernel.shutdown(ms(50)).await.stopped.len(), 1);
    assert!(first.await.is_clean());
    run.await.unwrap();
}

/// The run is a separate task: it waits for the shutdown, and is woken by its end.
#[tokio::test(start_paused = true)]
async fn shutdown_and_run_may_be_tasks_of_their_own() {
    let kernel = std::rc::Rc::new(kernel());
    quick_and_stubborn(&kernel);
    let local = tokio::task::LocalSet::new();
    let (for_run, for_shutdown) = (kernel.clone(), kernel.clone());
    let run = local.spawn_local(async move { for_run.serve().await });
    let shutdown = local.spawn_local(async move {
        tokio::time::sleep(ms(10)).await;
        for_shutdown.shutdown(ms(100)).await
    });
    local.await;
    run.await.unwrap().unwrap();
    assert_eq!(shutdown.await.unwrap().stopped.len(), 1);
}

/// Nothing is lost of a failure, and nothing is left of it.
#[tokio::test(start_paused = true)]
async fn a_failure_during_a_shutdown_is_in_the_report_and_returned_by_the_run() {
    let kernel = kernel();
    let fails = |kernel: &poe::Kernel| {
        life("fails", |cx| {
            cx.sig(KERNEL_SHUTDOWN, "term");
            cx.delay("bye", ms(10_000), ());
        })
        .on("term", |cx, _: poe::Signal| {
            cx.sig_handled();
            fail("at the end")
        })
        .create(kernel)
        .unwrap();
    };
    fails(&kernel);
    let (served, report) = tokio::join!(kernel.serve(), kernel.shutdown(ms(100)));
    assert!(served.unwrap_err().to_string().contains("at the end"));
    assert!(report.error.unwrap().to_string().contains("at the end"));

    fails(&kernel);
    let mut run = kernel.run();
    assert!(poll_once(&mut run).is_none());
    let report = kernel.shutdown(ms(100)).await;
    assert!(report.error.unwrap().to_string().contains("at the end"));
    drop(run);
    kernel.run().await.unwrap();
}

/// A shutdown that one of the kernel's own tasks waits for is driven by the run.
#[tokio::test(start_paused = true)]
async fn a_task_of_the_kernel_may_shut_it_down() {
    let kernel = kernel();
    let inner = kernel.clone();
    quick_and_stubborn(&kernel);
    life("asks", move |cx| {
        let kernel = inner.clone();
        cx.sig(KERNEL_SHUTDOWN, "term");
        cx.spawn(async move { kernel.shutdown(ms(100)).await.stopped.len() }, "shut");
    })
    .on("term", |cx, _: poe::Signal| cx.sig_handled())
    .on("shut", |_, _: usize| say("never: it is stopped with the others"))
    .create(&kernel)
    .unwrap();
    tokio::time::timeout(ms(5000), kernel.run())
        .await
        .expect("the limit holds")
        .unwrap();
    assert_eq!(said(), ["quick stop", "asks stop", "stubborn stop"]);
}

#[test]
fn a_kernel_that_never_ran_says_whom_it_drops_and_why_they_were_alive() {
    #[cfg(unix)]
    crate::in_child::in_child!();
    let trace = crate::traced::Trace::of("poe::sessions=warn");
    let kernel = poe::Kernel::new();
    Session::builder(())
        .on(START, |cx, ()| cx.alias_set("forgotten"))
        .create(&kernel)
        .unwrap();
    drop(kernel);
    let told = trace.lines().join("\n");
    assert!(told.contains("kernel dropped while sessions are alive"), "{told}");
    assert!(
        told.contains("alias `forgotten`") && told.contains("laws_runs.rs:"),
        "{told}"
    );
}

/// It serves until the future completes, and not longer than the limit from then on.
#[tokio::test(start_paused = true)]
async fn serve_until_shuts_down_when_its_future_completes() {
    let kernel = kernel();
    quick_and_stubborn(&kernel);
    let began = tokio::time::Instant::now();
    let report = kernel.serve_until(tokio::time::sleep(ms(50)), ms(100)).await.unwrap();
    assert_eq!((report.stopped.len(), began.elapsed()), (1, ms(150)), "{report}");
    assert_eq!(said(), ["quick stop", "stubborn stop"]);
    assert_eq!(kernel.session_count(), 0);
    // It stays up without a session, for there is a handle; and the kernel is as new.
    let handle = kernel.handle();
    life("late", lives(10)).create(&kernel).unwrap();
    let began = tokio::time::Instant::now();
    let report = kernel.serve_until(tokio::time::sleep(ms(50)), ms(100)).await.unwrap();
    assert!(report.is_clean(), "{report}");
    assert_eq!((said(), began.elapsed()), (vec!["late stop".to_owned()], ms(50)));
    drop(handle);
}

/// What is kept in the future, as the watching of a signal is, is kept until the shutdown is over.
#[tokio::test(start_paused = true)]
async fn serve_until_drops_its_future_after_the_shutdown() {
    struct Guard;
    impl Drop for Guard {
        fn drop(&mut self) {
            say("dropped");
        }
    }
    let kernel = kernel();
    quick_and_stubborn(&kernel);
    let guard = Guard;
    let end = std::future::poll_fn(move |_| {
        let _kept = &guard;
        std::task::Poll::Ready(())
    });
    kernel.serve_until(end, ms(100)).await.unwrap();
    assert_eq!(said(), ["quick stop", "stubborn stop", "dropped"]);
}

#[tokio::test(start_paused = true)]
async fn serve_until_ends_with_the_kernel_if_that_ends_first() {
    let kernel = kernel();
    life("A", |cx| cx.yield_to("go", ()))
        .on("go", |_, ()| fail("before its end"))
        .create(&kernel)
        .unwrap();
    let failed = kernel.serve_until(std::future::pending::<()>(), ms(100)).await;
    assert!(failed.unwrap_err().to_string().contains("before its end"));
    life("B", |cx| cx.stop_all()).create(&kernel).unwrap();
    assert_eq!(said(), ["A stop", "B stop"]);
    let handle = kernel.handle();
    life("C", lives(10_000)).create(&kernel).unwrap();
    handle.signal(handle.kernel_id(), "TERM", ()).unwrap();
    let report = kernel.serve_until(std::future::pending::<()>(), ms(100)).await.unwrap();
    assert!(report.is_clean(), "{report}");
    assert_eq!(said(), ["C stop"]);
    // A failure that the shutdown brings is in its report.
    life("D", |cx| {
        cx.sig(KERNEL_SHUTDOWN, "ends");
        cx.delay("bye", ms(10_000), ());
    })
    .on("ends", |cx, _: poe::Signal| {
        cx.sig_handled();
        fail("at its end")
    })
    .create(&kernel)
    .unwrap();
    let report = kernel.serve_until(std::future::ready(()), ms(100)).await.unwrap();
    assert!(report.error.unwrap().to_string().contains("at its end"));
}

/// TERM is nothing to a shutdown, and KERNEL_SHUTDOWN nothing to the system.
#[tokio::test(start_paused = true)]
async fn a_shutdown_sends_its_own_signal_and_no_term() {
    let kernel = kernel();
    life("A", |cx| {
        for name in ["TERM", "INT", KERNEL_SHUTDOWN] {
            cx.sig(name, "signal");
        }
        cx.delay("bye", ms(10), ());
    })
    .on("signal", |cx, signal: poe::Signal| {
        say(signal.name());
        cx.sig_handled();
    })
    .create(&kernel)
    .unwrap();
    let report = kernel.shutdown(ms(100)).await;
    assert!(report.is_clean(), "{report}");
    assert_eq!(said(), ["KERNEL_SHUTDOWN", "A stop"]);
}
