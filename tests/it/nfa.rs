//! Laws L: state machines (POE::NFA), and what they have beyond POE.

use crate::laws_kit::{echo, fail, kernel, ms, named, nm, run, run_to_failure, said, say};
use poe::event::{CHILD, DEFAULT, LEAVE, SILENT, START, STOP};
use poe::{
    Event, HandlerResult, Machine, Nfa, Reply, Session, Signal,
    nfa::{NfaBuilder, TransitionKind},
};
use std::rc::Rc;

#[derive(PartialEq, Eq, Hash, Debug, Clone, Copy)]
enum State {
    Red,
    Green,
    Blue,
}
use State::{Blue, Green, Red};

const ENTER: Event<()> = Event::new("enter");
const NEXT: Event<()> = Event::new("next");
const JOB: Event<u32> = Event::new("job");

type Mx<'k> = Machine<'k, State, Vec<u32>>;

fn machine() -> NfaBuilder<State, Vec<u32>> {
    Nfa::builder(Vec::new())
}

/// Logs the event and the state in which it is handled.
fn told(cx: &mut Mx<'_>, (): ()) {
    say(format!("{} in {:?}", cx.event(), cx.current_state().unwrap()));
}

#[tokio::test(start_paused = true)]
async fn l80_the_first_goto_acts_before_it_returns_and_later_ones_are_queued() {
    let kernel = kernel();
    let machine = machine()
        .state(Red, |s| s.on(ENTER, told).on("a", told))
        .state(Green, |s| s.on(ENTER, told).on("b", told))
        .start(&kernel)
        .unwrap();
    assert_eq!(machine.current_state(), None);
    machine.goto_state(&kernel, Red, ENTER, ()).unwrap();
    assert_eq!(said(), ["enter in Red"]);
    assert_eq!(machine.current_state(), Some(Rc::new(Red)));
    kernel.post(machine.id(), "a", ()).unwrap();
    machine.goto_state(&kernel, Green, ENTER, ()).unwrap();
    kernel.post(machine.id(), "b", ()).unwrap();
    assert_eq!(said(), [""; 0]);
    run(&kernel).await;
    assert_eq!(said(), ["a in Red", "enter in Green", "b in Green"]);
    assert_eq!(machine.current_state(), Some(Rc::new(Green)), "the last one");
    let gone = machine.goto_state(&kernel, Red, ENTER, ()).unwrap_err();
    assert!(gone.is_no_such_session());
}

#[tokio::test(start_paused = true)]
async fn l80_another_session_may_bring_a_machine_into_a_state() {
    let kernel = kernel();
    let machine = machine()
        .state(Red, |s| {
            s.on(ENTER, |cx, ()| {
                say(format!("sent by itself: {}", cx.sender() == cx.session_id()));
                assert!(cx.caller_state().is_none());
                cx.delay("bye", ms(5), ());
            })
            .on("bye", |_, ()| ())
        })
        .start(&kernel)
        .unwrap();
    let inside = machine.clone();
    echo(move |cx| {
        inside.goto_state(cx, Red, ENTER, ()).unwrap();
        say(format!("{:?}", inside.current_state()));
    })
    .create(&kernel)
    .unwrap();
    assert_eq!(said(), ["sent by itself: true", "Some(Red)"]);
    run(&kernel).await;
}

#[tokio::test(start_paused = true)]
async fn l80_a_machine_that_is_brought_into_no_state_is_collected_silently() {
    let kernel = kernel();
    let machine = machine().state(Red, |s| s.on(STOP, told)).start(&kernel).unwrap();
    assert!(kernel.is_alive(machine.id()));
    run(&kernel).await;
    assert!(!kernel.is_alive(machine.id()));
    assert_eq!(said(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn l81_leave_comes_before_the_change_and_entry_after_it() {
    let kernel = kernel();
    machine()
        .state(Red, |s| {
            s.on(ENTER, |cx, ()| cx.goto_state(Green, JOB, 7)).on(LEAVE, told)
        })
        .state(Green, |s| {
            s.on(JOB, |cx, n| {
                say(n);
                assert_eq!(cx.sender(), cx.session_id());
                assert_eq!(cx.caller_state(), None);
                cx.yield_to(NEXT, ());
            })
            .on(LEAVE, told)
            .on(NEXT, |cx, ()| cx.goto_state(Green, SILENT, ()))
        })
        .enter(Red, ENTER, ())
        .start(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["leave in Red", "7", "leave in Green"]);
}

#[tokio::test(start_paused = true)]
async fn l81_a_change_that_cannot_be_made_is_a_failure_and_changes_nothing() {
    for (to, event, text) in [
        (Blue, "enter", "machine 2 tried to enter the nonexistent state Blue"),
        (
            Green,
            "absent",
            "machine 2 tried to enter the state Green by `absent`, for which it has no handler",
        ),
    ] {
        let kernel = kernel();
        Session::builder(())
            .on(START, move |cx, ()| {
                cx.sig("DIE", "caught");
                cx.start(
                    machine()
                        .state(Red, |s| {
                            s.on(ENTER, move |cx, ()| -> HandlerResult {
                                cx.goto_state(to, event, ())?;
                                cx.yield_to(NEXT, ());
                                Ok(())
                            })
                            .on(NEXT, told)
                            .on(LEAVE, told)
                        })
                        .state(Green, |s| s.on(ENTER, told))
                        .enter(Red, ENTER, ()),
                )
                .unwrap();
                cx.delay("bye", ms(5), ());
            })
            .on(CHILD, |_, _| ())
            .on("bye", |cx, ()| cx.sig_ignore("DIE"))
            .on("caught", |cx, signal: Signal| {
                say(&signal.die().unwrap().failure);
                cx.sig_handled();
            })
            .create(&kernel)
            .unwrap();
        run(&kernel).await;
        assert_eq!(said(), ["next in Red", text]);
    }
}

#[tokio::test(start_paused = true)]
async fn l81_a_failing_leave_keeps_the_old_state() {
    let kernel = kernel();
    let id = machine()
        .state(Red, |s| {
            s.on(ENTER, |cx, ()| -> HandlerResult {
                cx.sig("DIE", "caught");
                cx.goto_state(Green, ENTER, ())
            })
            .on(LEAVE, |_, ()| fail("stuck"))
            .on("caught", |cx, signal: Signal| {
                told(cx, ());
                say(&signal.die().unwrap().failure);
                cx.sig_handled();
                cx.sig_ignore("DIE");
            })
        })
        .state(Green, |s| s.on(ENTER, told))
        .enter(Red, ENTER, ())
        .start(&kernel)
        .unwrap()
        .id();
    run(&kernel).await;
    assert_eq!(said(), ["caught in Red", "stuck"]);
    assert!(!kernel.is_alive(id));
}

#[tokio::test(start_paused = true)]
async fn l82_calls_nest_and_each_return_brings_its_value() {
    let kernel = kernel();
    machine()
        .state(Red, |s| {
            s.on(ENTER, |cx, ()| cx.call_state(JOB, Green, ENTER, ()))
                .on(LEAVE, told)
                .on(JOB, |cx, n| {
                    told(cx, ());
                    say(n);
                })
        })
        .state(Green, |s| {
            s.on(ENTER, |cx, ()| cx.call_state(JOB, Blue, ENTER, ()))
                .on(JOB, |cx, n| cx.return_state(n + 1))
                .on(LEAVE, told)
        })
        .state(Blue, |s| s.on(ENTER, |cx, ()| cx.return_state(40_u32)).on(LEAVE, told))
        .enter(Red, ENTER, ())
        .start(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(
        said(),
        [
            "leave in Red",
            "leave in Green",
            "leave in Blue",
            "leave in Green",
            "job in Red",
            "41"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn l82_a_return_without_a_call_and_one_to_an_unknown_event_are_failures() {
    let kernel = kernel();
    machine()
        .state(Red, |s| s.on(ENTER, |cx, ()| cx.return_state(1)))
        .enter(Red, ENTER, ())
        .start(&kernel)
        .unwrap();
    assert_eq!(
        run_to_failure(&kernel).await,
        "machine 1 tried to return from a state that was not called"
    );
    machine()
        .state(Red, |s| {
            s.on(ENTER, |cx, ()| cx.call_state::<_, u32>("absent", Green, ENTER, ()))
        })
        .state(Green, |s| s.on(ENTER, |cx, ()| cx.return_state(1_u32)))
        .enter(Red, ENTER, ())
        .start(&kernel)
        .unwrap();
    assert_eq!(
        run_to_failure(&kernel).await,
        "machine 2 tried to enter the state Red by `absent`, for which it has no handler"
    );
}

#[tokio::test(start_paused = true)]
async fn l83_with_immediate_the_old_handler_goes_on_in_the_new_state() {
    let kernel = kernel();
    machine()
        .immediate()
        .state(Red, |s| {
            s.on(ENTER, |cx, ()| -> HandlerResult {
                cx.runstate.push(1);
                cx.goto_state(Green, ENTER, ())?;
                say(format!(
                    "{:?} {:?} {:?}",
                    cx.state_of_event(),
                    cx.current_state(),
                    cx.runstate
                ));
                let refused = cx.goto_state(Blue, ENTER, ()).unwrap_err();
                say(refused);
                Ok(())
            })
            .on(LEAVE, told)
        })
        .state(Green, |s| {
            s.on(ENTER, |cx, ()| {
                cx.runstate.push(2);
                told(cx, ());
            })
        })
        .enter(Red, ENTER, ())
        .start(&kernel)
        .unwrap();
    assert_eq!(
        said(),
        [
            "leave in Red",
            "enter in Green",
            "Some(Red) Some(Green) [1, 2]",
            "machine 1 tried to enter the nonexistent state Blue"
        ]
    );
    run(&kernel).await;
}

#[tokio::test(start_paused = true)]
async fn l83_a_leave_handler_cannot_change_the_state_at_once() {
    let kernel = kernel();
    machine()
        .immediate()
        .state(Red, |s| {
            s.on(ENTER, |cx, ()| cx.goto_state(Green, SILENT, ()))
                .on(LEAVE, |cx, ()| cx.goto_state(Red, SILENT, ()))
        })
        .state(Green, |s| s)
        .enter(Red, ENTER, ())
        .start(&kernel)
        .unwrap();
    assert_eq!(
        run_to_failure(&kernel).await,
        "machine 1 asked for another change of its state while it leaves one"
    );
}

#[tokio::test(start_paused = true)]
async fn l84_the_states_own_handler_then_a_shared_one_then_the_default_then_a_failure() {
    let kernel = kernel();
    machine()
        .on("both", |_, ()| say("never"))
        .on("shared", |cx, ()| {
            say("shared:");
            told(cx, ());
        })
        .state(Red, |s| {
            s.on(ENTER, |cx, ()| -> HandlerResult {
                for event in ["both", "shared", "unknown"] {
                    cx.yield_to(event, ());
                }
                cx.goto_state(Green, SILENT, ())?;
                cx.yield_to("shared", ());
                cx.yield_to("unknown", ());
                Ok(())
            })
            .on("both", told)
            .on(DEFAULT, |_, unhandled| say(format!("default: {}", unhandled.event)))
        })
        .state(Green, |s| s)
        .enter(Red, ENTER, ())
        .start(&kernel)
        .unwrap();
    let failure = run_to_failure(&kernel).await;
    assert!(
        failure.starts_with("event `unknown` was sent from tests/it/nfa.rs:"),
        "{failure}"
    );
    assert!(
        failure.ends_with("nor a _default in its current state, Green"),
        "{failure}"
    );
    assert_eq!(
        said(),
        [
            "both in Red",
            "shared:",
            "shared in Red",
            "default: unknown",
            "shared:",
            "shared in Green"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn l84_an_event_before_the_first_state_is_a_failure() {
    let kernel = kernel();
    let machine = machine().state(Red, |s| s.on(NEXT, told)).start(&kernel).unwrap();
    kernel.post(machine.id(), NEXT, ()).unwrap();
    let failure = run_to_failure(&kernel).await;
    assert!(failure.ends_with("as it is in no state yet"), "{failure}");
}

#[tokio::test(start_paused = true)]
async fn d8_life_cycle_events_need_no_handler() {
    let kernel = kernel();
    machine()
        .state(Red, |s| {
            s.on(ENTER, |cx, ()| {
                cx.create(echo(|_| say("child"))).unwrap();
            })
        })
        .enter(Red, ENTER, ())
        .start(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["child"]);
}

#[tokio::test(start_paused = true)]
async fn d7_callbacks_of_a_machine_hold_it_until_they_are_weakened() {
    let kernel = kernel();
    let slot = Rc::new(std::cell::RefCell::new(None));
    let (put, get) = (slot.clone(), slot);
    let id = machine()
        .state(Red, |s| {
            s.on(ENTER, move |cx, ()| {
                *put.borrow_mut() = Some(cx.callback::<u32, u32, u32>("product", 2));
            })
            .on("product", |_, (a, b): (u32, u32)| Reply(a * b))
        })
        .enter(Red, ENTER, ())
        .start(&kernel)
        .unwrap()
        .id();
    echo(|cx| cx.delay("weaken", ms(5), ()))
        .on("weaken", move |cx, ()| {
            let callback = get.borrow_mut().take().unwrap();
            say(callback.call(&mut *cx, 21).unwrap());
            let weak = callback.weaken();
            // It goes with the next sweep only.
            say(weak.call(&mut *cx, 4).unwrap());
            *get.borrow_mut() = Some(weak);
            cx.delay("again", ms(5), ());
        })
        .create(&kernel)
        .unwrap();
    tokio::select! {
        _ = kernel.run() => {}
        () = tokio::time::sleep(ms(2)) => say(kernel.is_alive(id)),
    }
    run(&kernel).await;
    assert_eq!(said(), ["true", "42", "8", "again"]);
    assert!(!kernel.is_alive(id));
}

#[tokio::test(start_paused = true)]
async fn a_machine_without_that_first_state_or_its_entry_handler_is_not_made() {
    let kernel = kernel();
    let error = machine().enter(Red, ENTER, ()).start(&kernel).unwrap_err();
    assert!(error.to_string().ends_with("has no state Red"), "{error}");
    let error = machine()
        .state(Red, |s| s)
        .enter(Red, ENTER, ())
        .start(&kernel)
        .unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("cannot enter Red by `enter`, which has no handler there"),
        "{error}"
    );
    let error = machine().start(&kernel).unwrap_err();
    assert!(error.to_string().ends_with("has no states"), "{error}");
    assert_eq!(kernel.session_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn states_go_by_text_as_well_also_by_text_made_at_run_time() {
    let kernel = kernel();
    Nfa::builder(())
        .state("one".to_owned(), |s| {
            s.on(ENTER, |cx, ()| cx.goto_state("two", ENTER, ()))
        })
        .state(format!("t{}", "wo"), |s| {
            s.on(ENTER, |cx, ()| say(cx.current_state().unwrap()))
        })
        .enter("one".to_owned(), ENTER, ())
        .start(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["two"]);
}

#[tokio::test(start_paused = true)]
async fn stop_is_queued_ends_the_machine_whatever_holds_it_and_loses_what_is_behind() {
    let kernel = kernel();
    machine()
        .on(NEXT, told)
        .state(Red, |s| {
            s.on(ENTER, |cx, ()| {
                cx.alias_set("held").unwrap();
                cx.delay(NEXT, ms(60_000), ());
                cx.yield_to(NEXT, ());
                cx.stop();
                cx.yield_to(NEXT, ());
            })
            .on(LEAVE, told)
        })
        .enter(Red, ENTER, ())
        .start(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["next in Red"]);
}

#[tokio::test(start_paused = true)]
async fn a_failing_entry_handler_is_a_die_of_the_machine() {
    let kernel = kernel();
    machine()
        .state(Red, |s| s.on(ENTER, |_, ()| fail("no good")))
        .enter(Red, ENTER, ())
        .start(&kernel)
        .unwrap();
    assert_eq!(run_to_failure(&kernel).await, "no good");
}

#[tokio::test(start_paused = true)]
async fn a_machine_is_called_and_answers_and_calls_itself_with_its_run_state_at_hand() {
    let kernel = kernel();
    let id = machine()
        .state(Red, |s| {
            s.on("outer", |cx, n: u32| -> HandlerResult<Reply<usize>> {
                cx.runstate.push(n);
                let me = cx.session_id();
                let inner: usize = cx.call(me, "inner", ())?;
                Ok(Reply(inner + cx.runstate.len()))
            })
            .on("inner", |cx, ()| {
                cx.runstate.push(0);
                Reply(10_usize)
            })
        })
        .enter(Red, SILENT, ())
        .start(&kernel)
        .unwrap()
        .id();
    assert_eq!(kernel.call::<_, usize>(id, "outer", 5_u32).unwrap(), 12);
    run(&kernel).await;
}

// Beyond POE.

#[tokio::test(start_paused = true)]
async fn postponed_events_come_in_order_after_a_change_and_ahead_of_the_queue() {
    let kernel = kernel();
    let id = machine()
        .state(Red, |s| {
            s.on(ENTER, |cx, ()| -> HandlerResult {
                cx.yield_to(JOB, 1);
                cx.yield_to(JOB, 2);
                cx.goto_state(Red, SILENT, ())?;
                cx.yield_to(NEXT, ());
                Ok(())
            })
            .on(JOB, |cx, n| {
                cx.postpone(n);
                assert_eq!(cx.postponed_count(), n as usize);
            })
            .on(NEXT, |cx, ()| -> HandlerResult {
                told(cx, ());
                cx.yield_to(JOB, 3);
                cx.goto_state(Green, ENTER, ())?;
                cx.yield_to(JOB, 4);
                Ok(())
            })
        })
        .state(Green, |s| {
            s.on(ENTER, told).on(JOB, |cx, n| {
                say(format!("{n} from {}", nm(cx.sender())));
                assert_eq!(
                    cx.caller_state().unwrap(),
                    if n < 3 { "poe_nfa_goto_state" } else { "next" }
                );
            })
        })
        .enter(Red, ENTER, ())
        .start(&kernel)
        .unwrap()
        .id();
    named(id, "itself");
    run(&kernel).await;
    assert_eq!(
        said(),
        [
            "next in Red",
            "enter in Green",
            "1 from itself",
            "2 from itself",
            "3 from itself",
            "4 from itself"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_postponed_again_keeps_its_place() {
    let kernel = kernel();
    machine()
        .state(Red, |s| {
            s.on(ENTER, |cx, ()| -> HandlerResult {
                for n in 1..=4 {
                    cx.yield_to(JOB, n);
                }
                cx.goto_state(Green, SILENT, ())?;
                cx.yield_to(JOB, 5);
                cx.goto_state(Blue, SILENT, ())
            })
            .postpone("job")
        })
        .state(Green, |s| {
            s.on(JOB, |cx, n| match n {
                2 | 4 | 5 => cx.postpone(n),
                _ => say(format!("{n} in Green")),
            })
        })
        .state(Blue, |s| s.on(JOB, |_, n| say(format!("{n} in Blue"))))
        .enter(Red, ENTER, ())
        .start(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(
        said(),
        ["1 in Green", "3 in Green", "2 in Blue", "4 in Blue", "5 in Blue"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_postponed_event_that_changes_the_state_at_once_lets_the_rest_see_the_new_one() {
    let kernel = kernel();
    machine()
        .immediate()
        .state(Red, |s| {
            s.on(ENTER, |cx, ()| {
                for n in 1..=3 {
                    cx.yield_to(JOB, n);
                }
                cx.yield_to(NEXT, ());
            })
            .on(NEXT, |cx, ()| -> HandlerResult {
                cx.goto_state(Green, SILENT, ())?;
                say("the handler ends first");
                Ok(())
            })
            .postpone_others()
        })
        .state(Green, |s| {
            s.on(JOB, |cx, n| -> HandlerResult {
                say(format!("{n} in Green"));
                if n == 1 {
                    cx.postpone(10_u32);
                    cx.goto_state(Blue, SILENT, ())?;
                }
                Ok(())
            })
        })
        .state(Blue, |s| s.on(JOB, |_, n| say(format!("{n} in Blue"))))
        .enter(Red, ENTER, ())
        .start(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(
        said(),
        [
            "the handler ends first",
            "1 in Green",
            "10 in Blue",
            "2 in Blue",
            "3 in Blue"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_failing_postponed_event_is_its_own_failure() {
    let kernel = kernel();
    machine()
        .on("caught", |cx, signal: Signal| {
            say(format!(
                "{}: {}",
                signal.die().unwrap().event,
                signal.die().unwrap().failure
            ));
            cx.sig_handled();
            cx.sig_ignore("DIE");
        })
        .state(Red, |s| {
            s.on(ENTER, |cx, ()| {
                cx.sig("DIE", "caught");
                cx.yield_to(JOB, 1);
                cx.yield_to(JOB, 2);
                cx.goto_state(Green, SILENT, ())
            })
            .postpone("job")
        })
        .state(Green, |s| {
            s.on(JOB, |_, n| -> HandlerResult {
                say(n);
                if n == 1 { fail("one failed") } else { Ok(()) }
            })
        })
        .enter(Red, ENTER, ())
        .start(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["1", "2", "job: one failed"]);
}

#[tokio::test(start_paused = true)]
async fn postponed_events_keep_no_session_alive_and_are_dropped_with_the_machine() {
    let kernel = kernel();
    let witness = Rc::new(());
    let id = machine()
        .state(Red, |s| s.postpone("witness"))
        .enter(Red, SILENT, ())
        .start(&kernel)
        .unwrap()
        .id();
    kernel.post(id, "witness", witness.clone()).unwrap();
    run(&kernel).await;
    assert_eq!(Rc::strong_count(&witness), 1);
}

#[tokio::test(start_paused = true)]
async fn a_state_timeout_ends_with_its_state() {
    let kernel = kernel();
    machine()
        .state(Red, |s| {
            s.on(ENTER, |cx, ()| {
                cx.state_timeout("late", ms(30), ());
                cx.state_timeout("late", ms(20), ());
                cx.delay(NEXT, ms(10), ());
                // Going to the same state is no change.
                cx.goto_state(Red, SILENT, ())
            })
            .on(NEXT, |cx, ()| cx.goto_state(Green, ENTER, ()))
            .on("late", told)
        })
        .state(Green, |s| {
            s.on(ENTER, |cx, ()| {
                cx.state_timeout("late", ms(20), ());
                cx.state_timeout("cleared", ms(10), ());
                assert!(cx.state_timeout_clear("cleared"));
                assert!(!cx.state_timeout_clear("cleared"));
            })
            .on("late", told)
        })
        .enter(Red, ENTER, ())
        .start(&kernel)
        .unwrap();
    let began = tokio::time::Instant::now();
    run(&kernel).await;
    assert_eq!(said(), ["late in Green"]);
    assert_eq!(began.elapsed(), ms(30));
}

#[tokio::test(start_paused = true)]
async fn the_log_keeps_the_newest_transitions() {
    let kernel = kernel();
    let machine = machine()
        .log(3)
        .state(Red, |s| {
            s.on(ENTER, |cx, ()| cx.goto_state(Green, SILENT, ())).on(NEXT, told)
        })
        .state(Green, |s| {
            s.on(NEXT, |cx, ()| cx.call_state::<_, ()>("back", Blue, ENTER, ()))
                .on("back", told)
        })
        .state(Blue, |s| s.on(ENTER, |cx, ()| cx.return_state(())))
        .start(&kernel)
        .unwrap();
    let seen = Rc::new(std::cell::RefCell::new(Vec::new()));
    machine.goto_state(&kernel, Red, ENTER, ()).unwrap();
    let first = machine.transitions();
    assert_eq!(first.len(), 1);
    assert_eq!(
        (first[0].kind, &first[0].from, &*first[0].to),
        (TransitionKind::Start, &None, &Red)
    );
    assert!(first[0].place.file().ends_with("nfa.rs"));
    let (log, copy) = (seen.clone(), machine.clone());
    Session::builder(())
        .on(START, move |cx, ()| {
            cx.post(copy.id(), NEXT, ()).unwrap();
            cx.delay("look", ms(5), ());
            cx.refcount_increment(copy.id(), "look").unwrap();
        })
        .on("look", move |cx, ()| {
            *log.borrow_mut() = machine.transitions().iter().map(ToString::to_string).collect();
            cx.refcount_decrement(machine.id(), "look").unwrap();
        })
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(
        *seen.borrow(),
        [
            "goto Red -> Green",
            "call Green -> Blue (enter)",
            "return Blue -> Green (back)"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn without_catching_a_failing_postponed_event_ends_the_delivery() {
    let kernel = poe::testing::builder().catch_exceptions(false).build();
    machine()
        .state(Red, |s| {
            s.on(ENTER, |cx, ()| {
                cx.yield_to(JOB, 1);
                cx.yield_to(JOB, 2);
                cx.goto_state(Green, SILENT, ())
            })
            .postpone("job")
        })
        .state(Green, |s| {
            s.on(JOB, |_, n| -> HandlerResult {
                say(n);
                fail("one failed")
            })
        })
        .enter(Red, ENTER, ())
        .start(&kernel)
        .unwrap();
    assert_eq!(run_to_failure(&kernel).await, "one failed");
    assert_eq!(said(), ["1"]);
}
