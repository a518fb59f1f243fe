//! Misuse of calls, identifiers and introspection: mistakes of a program are errors, and never end the process.

use poe::event::{LEAVE, START, STOP};
use poe::{
    Context, Error, Event, HandlerResult, Kernel, Nfa, Reply, Session, TaskId, TimerId, extend::Caller,
    nfa::TransitionKind, testing,
};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

const ENTER: Event<()> = Event::new("enter");
const TICK: Event<()> = Event::new("tick");
const DEEP: Event<u32, u32> = Event::new("deep");

/// Runs a test on a thread with Rust's default stack, where an unlimited recursion would end the process.
fn on_a_thread(test: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new()
        .stack_size(2 << 20)
        .spawn(test)
        .unwrap()
        .join()
        .unwrap();
}

/// Timers and tasks of two kernels have the same numbers; each kernel refuses those of the other.
#[tokio::test(start_paused = true)]
async fn identifiers_of_another_kernel_name_nothing() {
    let (here, there) = (testing::kernel(), testing::kernel());
    let foreign: Rc<Cell<Option<(TimerId, TaskId)>>> = Rc::default();
    let give = foreign.clone();
    Session::builder(())
        .on(START, move |cx, ()| {
            let alarm = cx.delay_set(TICK, 60.0, ());
            give.set(Some((alarm, cx.spawn(std::future::pending::<()>(), TICK))));
        })
        .on(TICK, |_, ()| ())
        .create(&there)
        .unwrap();
    let (alarm, task) = foreign.get().unwrap();
    Session::builder(Vec::new())
        .on(START, move |cx, ()| {
            let mine = cx.delay_set("precious", 1.0, "timer");
            let work = cx.spawn(async { "task" }, "done");
            assert_eq!(
                (mine.get(), work.get()),
                (alarm.get(), task.get()),
                "the numbers are the same"
            );
            assert_ne!(mine, alarm);
            assert_ne!(work, task);
            assert!(cx.alarm_remove(alarm).unwrap_err().is_no_such_timer());
            assert!(cx.alarm_adjust(alarm, 5.0).unwrap_err().is_no_such_timer());
            assert!(cx.delay_adjust(alarm, 5.0).unwrap_err().is_no_such_timer());
            assert!(!cx.cancel(task));
        })
        .on("precious", |cx, text: &'static str| cx.heap.push(text))
        .on("done", |cx, text: &'static str| cx.heap.push(text))
        .on(STOP, |cx, ()| assert_eq!(*cx.heap, ["task", "timer"]))
        .create(&here)
        .unwrap();
    here.run().await.unwrap();
}

/// Law L16: the kernel accepts and drops any call, as in POE.
#[test]
fn a_call_to_the_kernel_is_no_failure() {
    const X: Event<()> = Event::new("x");
    const TEXT: Event<(), String> = Event::new("text");
    let kernel = Kernel::new();
    let goes_on = Rc::new(Cell::new(false));
    let flag = goes_on.clone();
    kernel.call(kernel.id(), X, ()).unwrap();
    Session::builder(())
        .on(START, move |cx, ()| -> HandlerResult {
            cx.call(cx.kernel_id(), X, ())?;
            let () = cx.call(cx.kernel_id(), "anything", ())?;
            // A reply of a type that the kernel cannot make is an error, with the argument.
            assert!(cx.call(cx.kernel_id(), TEXT, ()).unwrap_err().is_unhandled());
            flag.set(true);
            Ok(())
        })
        .create(&kernel)
        .unwrap();
    kernel.run_blocking().unwrap();
    assert!(goes_on.get());
}

/// A session that calls itself.
fn calls_itself(cx: &mut Context<'_, ()>, depth: u32) -> Reply<u32> {
    match cx.call(cx.session_id(), DEEP, depth + 1) {
        Ok(deepest) => Reply(deepest),
        Err(error) => {
            assert!(error.is_too_deep(), "{error}");
            assert!(error.to_string().contains("call_stack"), "{error}");
            assert_eq!(error.into_arg(), Some(depth + 1));
            Reply(depth)
        }
    }
}

#[test]
fn calls_nested_too_deep_are_an_error() {
    on_a_thread(|| {
        let kernel = Kernel::new();
        let id = Session::builder(())
            .on(START, |_, ()| ())
            .on(DEEP, calls_itself)
            .create(&kernel)
            .unwrap();
        let deepest = kernel.call(id, DEEP, 0).unwrap();
        assert!(deepest > 30, "{deepest}");
        // The limit is about the stack, so nothing is used up.
        assert!(kernel.call(id, DEEP, 0).unwrap().abs_diff(deepest) < 5);
    });
}

#[test]
fn the_limit_of_nested_calls_is_a_setting() {
    let deepest = |bytes| {
        let kernel = Kernel::builder().call_stack(bytes).build();
        let id = Session::builder(())
            .on(START, |_, ()| ())
            .on(DEEP, calls_itself)
            .create(&kernel)
            .unwrap();
        kernel.call(id, DEEP, 0).unwrap()
    };
    let (some, more) = (deepest(100_000), deepest(400_000));
    assert!(some > 2 && more > 2 * some, "{some}, {more}");
}

/// Two sessions that call each other, while the kernel runs; the failure is the outermost handler's.
#[test]
fn sessions_that_call_each_other_for_ever_fail() {
    on_a_thread(|| {
        let kernel = Kernel::new();
        let ping = |other: &'static str, own: &'static str| {
            Session::builder(())
                .on(START, move |cx, ()| cx.alias_set(own))
                .on(DEEP, move |cx, n| -> HandlerResult<Reply<u32>> {
                    Ok(Reply(cx.call(other, DEEP, n + 1)?))
                })
                .create(&kernel)
                .unwrap()
        };
        ping("a", "b");
        let first = ping("b", "a");
        kernel.post(first, DEEP, 0).unwrap();
        let error = kernel.run_blocking().unwrap_err();
        assert!(
            error.to_string().contains("too deep") || error.to_string().contains("DIE"),
            "{error}"
        );
    });
}

/// Each session creates the next one in its own `_start`.
fn nest(caller: &mut impl Caller, count: &Rc<Cell<u32>>) -> Result<(), Error> {
    let counter = count.clone();
    let start = move |cx: &mut Context<'_, ()>, ()| -> HandlerResult {
        counter.set(counter.get() + 1);
        match nest(cx, &counter) {
            Err(error) if error.is_too_deep() => Ok(()),
            other => Ok(other?),
        }
    };
    caller.create(Session::builder(()).on(START, start)).map(drop)
}

#[test]
fn sessions_created_in_each_other_for_ever_are_an_error() {
    on_a_thread(|| {
        let kernel = Kernel::new();
        let count = Rc::new(Cell::new(0));
        nest(&mut &kernel, &count).unwrap();
        assert!(count.get() > 30, "{}", count.get());
        assert_eq!(kernel.session_count(), count.get() as usize);
    });
}

#[test]
fn callbacks_and_machines_nested_too_deep_are_an_error() {
    on_a_thread(|| {
        const AGAIN: Event<((), u32), u32> = Event::new("again");
        let kernel = Kernel::new();
        let id = Session::builder(())
            .on(START, |_, ()| ())
            .on(DEEP, |cx, n| -> HandlerResult<Reply<u32>> {
                Ok(Reply(cx.callback(AGAIN, ()).call(cx, n)?))
            })
            .on(AGAIN, |cx, ((), n)| match cx.callback(AGAIN, ()).call(cx, n + 1) {
                Err(error) if error.is_too_deep() => Reply(n),
                other => Reply(other.unwrap()),
            })
            .create(&kernel)
            .unwrap();
        assert!(kernel.call(id, DEEP, 0).unwrap() > 30);

        // Two states that enter each other at once, for ever.
        let machine = Nfa::builder(())
            .immediate()
            .state("a", |s| s.on(ENTER, |cx, ()| cx.goto_state("b", ENTER, ())))
            .state("b", |s| s.on(ENTER, |cx, ()| cx.goto_state("a", ENTER, ())))
            .start(&kernel)
            .unwrap();
        let error = machine.goto_state(&kernel, "a", ENTER, ()).unwrap_err();
        assert!(error.to_string().contains("failed"), "{error}");
    });
}

/// The tree of sessions may be as deep as it likes: nothing that walks it recurses.
#[test]
fn a_tree_of_sessions_may_be_very_deep() {
    const DESCEND: Event<u32> = Event::new("descend");
    fn node(caller: &mut impl Caller) -> poe::SessionId {
        caller
            .create(Session::builder(()).on(START, |_, ()| ()).on(DESCEND, |cx, left| {
                if left > 0 {
                    let child = node(cx);
                    cx.post(child, DESCEND, left - 1).unwrap();
                }
                cx.refcount_increment(cx.session_id(), "stays").unwrap();
            }))
            .unwrap()
    }
    on_a_thread(|| {
        let kernel = Kernel::new();
        let root = node(&mut &kernel);
        kernel.post(root, DESCEND, 20_000).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            while kernel.session_count() < 20_001 {
                kernel.run_one_timeslice().await.unwrap();
            }
            assert_eq!(kernel.why_alive().sessions.len(), 20_001);
            kernel.signal(root, "my own", ()).unwrap();
            kernel.signal(root, "TERM", ()).unwrap();
            kernel.run().await.unwrap();
        });
        assert_eq!(kernel.session_count(), 0);
    });
}

/// As in POE, where the machine object outlives its session.
#[tokio::test]
async fn a_machine_tells_its_last_state_after_its_end() {
    let kernel = Kernel::new();
    let machine = Nfa::builder(())
        .state("blue", |s| s.on(ENTER, |cx, ()| cx.goto_state("red", ENTER, ())))
        .state("red", |s| s.on(ENTER, |cx, ()| cx.stop()).on(LEAVE, |_, ()| ()))
        .start(&kernel)
        .unwrap();
    assert_eq!(machine.current_state(), None);
    machine.goto_state(&kernel, "blue", ENTER, ()).unwrap();
    let clone = machine.clone();
    kernel.run().await.unwrap();
    assert!(!kernel.is_alive(machine.id()));
    for machine in [machine, clone] {
        assert_eq!(machine.current_state().as_deref(), Some(&"red"));
        let kinds: Vec<_> = machine.transitions().iter().map(|t| t.kind).collect();
        assert_eq!(kinds, [TransitionKind::Start, TransitionKind::Goto]);
        assert_eq!(machine.with_runstate(|()| ()), None, "the run state is gone");
    }
}

/// Methods that need only a name take any key, whatever its argument is.
#[tokio::test(start_paused = true)]
async fn what_needs_a_name_alone_takes_any_key() {
    const WITH_TEXT: Event<String, u32> = Event::new("with text");
    let kernel = testing::kernel();
    Session::builder(())
        .on(START, |cx, ()| {
            cx.delay(WITH_TEXT, 60.0, "late".to_owned());
            assert_eq!(cx.alarm_clear(WITH_TEXT), 1);
            cx.delay(WITH_TEXT, 60.0, "late".to_owned());
            assert_eq!(cx.alarm_clear("with text"), 1);
            assert!(cx.state_remove(WITH_TEXT));
            assert!(!cx.state_remove("with text".to_owned()));
            assert!(!cx.state_remove(LEAVE));
        })
        .on(WITH_TEXT, |_, _| Reply(7))
        .create(&kernel)
        .unwrap();
    Nfa::builder(())
        .on(WITH_TEXT, |_, _| Reply(7))
        .state("only", |s| {
            s.on(ENTER, |cx, ()| {
                cx.state_timeout(WITH_TEXT, 60.0, "late".to_owned());
                assert!(cx.state_timeout_clear(WITH_TEXT));
                assert!(cx.state_remove(WITH_TEXT));
            })
        })
        .enter("only", ENTER, ())
        .start(&kernel)
        .unwrap();
    kernel.run().await.unwrap();
}

/// Quadratic work would take minutes here.
#[test]
fn snapshots_take_time_in_proportion_to_what_there_is() {
    const SESSIONS: usize = 30_000;
    let kernel = Kernel::new();
    let names: Rc<RefCell<Vec<String>>> = Rc::default();
    let busy = Session::builder(())
        .on(START, |cx, ()| {
            for n in 0..SESSIONS {
                cx.delay_set(format!("timer {n}"), Duration::from_secs(3600), ());
            }
        })
        .create(&kernel)
        .unwrap();
    for n in 0..SESSIONS {
        let names = names.clone();
        Session::builder(())
            .on(START, move |cx, ()| {
                let signal = format!("signal {n}");
                cx.sig(&signal, "event");
                names.borrow_mut().push(signal);
                cx.delay("late", 3600.0, ());
                cx.post(busy, SILENT_EVENT, ()).unwrap();
            })
            .create(&kernel)
            .unwrap();
    }
    let snapshot = kernel.snapshot();
    assert_eq!(snapshot.sessions.len(), SESSIONS + 1);
    assert_eq!(snapshot.session(busy).unwrap().events_to, 2 * SESSIONS + 1);
    let watched = snapshot
        .sessions
        .iter()
        .filter(|s| snapshot.session(s.id).is_some_and(|s| s.signals.len() == 1));
    assert_eq!(watched.count(), SESSIONS);
    assert_eq!(kernel.why_alive().sessions[0].holds.len(), SESSIONS + 2);
}

const SILENT_EVENT: Event<()> = Event::new("silent");

/// The queue must not be searched for each session that ends: that would take minutes here.
#[test]
fn stopping_many_sessions_with_much_queued_takes_time_in_proportion() {
    const SESSIONS: usize = 20_000;
    let kernel = Kernel::new();
    let busy = Session::builder(())
        .on(START, |cx, ()| cx.alias_set("busy"))
        .create(&kernel)
        .unwrap();
    for _ in 0..SESSIONS {
        Session::builder(())
            .on(START, move |cx, ()| {
                cx.delay("late", 3600.0, ());
                cx.post(busy, SILENT_EVENT, ()).unwrap();
            })
            .create(&kernel)
            .unwrap();
    }
    kernel.stop_all().unwrap();
    assert_eq!(kernel.session_count(), 0);
}
