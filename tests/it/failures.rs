//! The policy for unhandled failures: `OnFailure`.

use crate::in_child::in_child;
use crate::laws_kit::*;
use poe::event::{START, STOP};
use poe::{CallError, Event, HandlerResult, Kernel, Name, OnFailure, Session, SessionBuilder, SessionId, Signal};
use std::cell::RefCell;
use std::rc::Rc;

use OnFailure::{StopKernel, StopSession};

/// A kernel on virtual time with that policy.
fn with_policy(policy: OnFailure) -> Kernel {
    poe::testing::builder().on_failure(policy).build()
}

/// A session that watches DIE, and lives for 50 ms if nothing stops it.
fn hears(name: &'static str, handles: bool) -> SessionBuilder<()> {
    watches_die(name, handles, 50)
}

/// Records the calls of the hook for unhandled failures: session, event, and text.
fn watch_failures(kernel: &Kernel) {
    kernel.on_unhandled_failure(|die| say(format!("hook: {} in {}: {}", die.event, nm(die.session), die.failure)));
}

/// Grandparent (parent (failing (grandchild), sibling)), and a stranger. The policy is the failing session's own.
fn family(kernel: &Kernel, own: Option<OnFailure>, who_handles: &'static str) -> SessionId {
    let failing = move || {
        let builder = hears("failing", who_handles == "failing").on("go", move |cx, ()| -> HandlerResult {
            cx.create(hears("grandchild", who_handles == "grandchild"))?;
            cx.yield_to("fail", ());
            Ok(())
        });
        match own {
            Some(policy) => builder.on_failure(policy),
            None => builder,
        }
    };
    let made = Rc::new(RefCell::new(None));
    let id = made.clone();
    let parent = move || {
        let id = id.clone();
        hears("parent", who_handles == "parent").on("go", move |cx, ()| -> HandlerResult {
            let failing = cx.create(failing())?;
            cx.create(hears("sibling", false))?;
            cx.post(failing, "go", ())?;
            *id.borrow_mut() = Some(failing);
            Ok(())
        })
    };
    let grandparent = hears("grandparent", who_handles == "grandparent")
        .on("go", move |cx, ()| -> HandlerResult {
            let parent = cx.create(parent())?;
            cx.call::<_, ()>(parent, "go", ())?;
            Ok(())
        })
        .create(kernel)
        .unwrap();
    kernel.call::<_, ()>(grandparent, "go", ()).unwrap();
    life("stranger", lives(50)).create(kernel).unwrap();
    said();
    made.take().unwrap()
}

#[tokio::test(start_paused = true)]
async fn an_unhandled_failure_stops_its_session_and_descendants_and_tells_the_ancestors() {
    let kernel = with_policy(StopSession);
    watch_failures(&kernel);
    family(&kernel, None, "nobody");
    kernel.run_one_timeslice().await.unwrap();
    kernel.run_one_timeslice().await.unwrap();
    kernel.run_one_timeslice().await.unwrap();
    let lines = said();
    let expected = [
        "failing create grandchild (grandchild started)",
        // The order of DIE (law L67) …
        "grandchild gets DIE of failing: on purpose",
        "failing gets DIE of failing: on purpose",
        "parent gets DIE of failing: on purpose",
        "grandparent gets DIE of failing: on purpose",
        // … and that of stopping (law L32), children first.
        "grandchild stop",
        "failing lose grandchild (grandchild stopped)",
        "failing stop",
        "parent lose failing (failing stopped)",
        "hook: fail in failing: on purpose",
    ];
    assert_eq!(lines, expected);
    // The others end in their own time, and so does the run.
    run(&kernel).await;
    let mut stops: Vec<_> = said().into_iter().filter(|line| line.ends_with("stop")).collect();
    stops.sort();
    assert_eq!(
        stops,
        ["grandparent stop", "parent stop", "sibling stop", "stranger stop"]
    );
}

#[tokio::test(start_paused = true)]
async fn under_both_policies_who_handles_a_die_keeps_all_alive() {
    for policy in [StopKernel, StopSession] {
        for who in ["grandchild", "failing", "parent", "grandparent"] {
            let kernel = with_policy(policy);
            watch_failures(&kernel);
            family(&kernel, None, who);
            for _ in 0..3 {
                kernel.run_one_timeslice().await.unwrap();
            }
            assert_eq!(kernel.session_count(), 6, "{who}");
            kernel.run().await.unwrap();
            let lines = said();
            assert!(!lines.iter().any(|line| line.starts_with("hook")), "{lines:?}");
            assert_eq!(
                lines
                    .iter()
                    .filter(|line| line.contains(" gets DIE of failing: "))
                    .count(),
                4
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn under_both_policies_a_die_is_queued_behind_what_waits() {
    for policy in [StopKernel, StopSession] {
        let kernel = with_policy(policy);
        life("S", |cx| {
            cx.yield_to("fail", ());
            cx.yield_to("waits already", ());
        })
        .on("fail", |cx, ()| -> HandlerResult {
            cx.yield_to("comes before the DIE", ());
            fail("on purpose")
        })
        .on("waits already", |_, ()| say("waits already"))
        .on("comes before the DIE", |cx, ()| {
            say("comes before the DIE");
            cx.yield_to("is behind it", ());
        })
        .on("is behind it", |_, ()| say("is behind it"))
        .create(&kernel)
        .unwrap();
        let ended = kernel.run().await;
        assert_eq!(ended.is_err(), policy == StopKernel);
        assert_eq!(said(), ["waits already", "comes before the DIE", "S stop"]);
    }
}

#[tokio::test(start_paused = true)]
async fn the_policy_is_its_own_or_the_nearest_ancestors_or_the_kernels() {
    let policies = [None, Some(StopKernel), Some(StopSession)];
    for kernels in [StopKernel, StopSession] {
        for grandparents in policies {
            for parents in policies {
                for own in policies {
                    let kernel = with_policy(kernels);
                    let build = |name, policy| {
                        let builder: SessionBuilder<()> = life(name, lives(5));
                        match policy {
                            Some(policy) => SessionBuilder::on_failure(builder, policy),
                            None => builder,
                        }
                    };
                    let grandparent = build("grandparent", grandparents).on("go", move |cx, ()| -> HandlerResult {
                        let parent = build("parent", parents).on("go", move |cx, ()| -> HandlerResult {
                            let child = cx.create(build("child", own).on("fail", |_, ()| fail("on purpose")))?;
                            cx.post(child, "fail", ())?;
                            Ok(())
                        });
                        let parent = cx.create(parent)?;
                        cx.call::<_, ()>(parent, "go", ())?;
                        Ok(())
                    });
                    let grandparent = grandparent.create(&kernel).unwrap();
                    kernel.call::<_, ()>(grandparent, "go", ()).unwrap();
                    let policy = own.or(parents).or(grandparents).unwrap_or(kernels);
                    let ended = kernel.run().await;
                    assert_eq!(
                        ended.is_err(),
                        policy == StopKernel,
                        "{kernels:?} {grandparents:?} {parents:?} {own:?}"
                    );
                    said();
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_policy_goes_with_the_tree_and_not_with_the_creator() {
    let kernel = Kernel::builder().build();
    let parent = life("parent", lives(5))
        .on("go", |cx, ()| -> HandlerResult {
            let child = cx.create(life("child", lives(5)).on("fail", |_, ()| fail("on purpose")))?;
            cx.detach_child(child)?; // the kernel's child inherits the kernel's policy
            cx.post(child, "fail", ())?;
            Ok(())
        })
        .on_failure(StopSession)
        .create(&kernel)
        .unwrap();
    kernel.call::<_, ()>(parent, "go", ()).unwrap();
    assert!(kernel.run().await.unwrap_err().is_died());
    said();
}

#[tokio::test(start_paused = true)]
async fn stop_kernel_of_one_session_ends_the_run_of_a_kernel_that_would_isolate() {
    let kernel = with_policy(StopSession);
    watch_failures(&kernel);
    life("stranger", lives(50)).create(&kernel).unwrap();
    life("vital", go)
        .on("go", |_, ()| fail("on purpose"))
        .on_failure(StopKernel)
        .create(&kernel)
        .unwrap();
    assert_eq!(run_to_failure(&kernel).await, "on purpose");
    assert_eq!(said(), ["vital stop", "hook: go in vital: on purpose", "stranger stop"]);
}

#[tokio::test(start_paused = true)]
async fn a_failure_in_start_follows_the_policy_and_the_parent_still_gets_child_create() {
    for policy in [StopKernel, StopSession] {
        let kernel = with_policy(StopSession);
        watch_failures(&kernel);
        life("parent", lives(50))
            .on("go", move |cx, ()| -> HandlerResult {
                let child = cx.create(
                    Session::builder(())
                        .on(START, |cx, ()| -> HandlerResult {
                            named(cx.session_id(), "child");
                            fail("in _start")
                        })
                        .on(STOP, |_, ()| say("child stop"))
                        .on_failure(policy),
                )?;
                say(format!("it lives: {}", cx.is_alive(child)));
                Ok(())
            })
            .create(&kernel)
            .and_then(|id| Ok(kernel.post(id, "go", ())?))
            .unwrap();
        let ended = kernel.run().await;
        let lines = said();
        assert_eq!(lines[..2], ["parent create child (undef)", "it lives: true"]);
        match policy {
            StopSession => {
                ended.unwrap();
                let rest = [
                    "child stop",
                    "parent lose child (())",
                    "hook: _start in child: in _start",
                    "parent stop",
                ];
                assert_eq!(lines[2..], rest);
            }
            StopKernel => {
                assert_eq!(ended.unwrap_err().failure().unwrap().to_string(), "in _start");
                assert!(lines.contains(&"hook: _start in child: in _start".to_owned()));
            }
            _ => unreachable!("there are two policies"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_in_stop_follows_the_policy_and_is_never_a_die() {
    for policy in [StopKernel, StopSession] {
        let kernel = with_policy(StopKernel);
        watch_failures(&kernel);
        life("other", lives(50)).create(&kernel).unwrap();
        life("parent", |cx| {
            cx.sig("DIE", "die");
            cx.delay("bye", ms(50), ());
        })
        .on("die", |_, _: Signal| say("a DIE"))
        .on("go", move |cx, ()| -> HandlerResult {
            cx.create(
                Session::builder(())
                    .on(START, |cx, ()| named(cx.session_id(), "child"))
                    .on(STOP, |_, ()| fail("in _stop"))
                    .on_failure(policy),
            )?;
            Ok(())
        })
        .create(&kernel)
        .and_then(|id| Ok(kernel.post(id, "go", ())?))
        .unwrap();
        let ended = kernel.run().await;
        assert_eq!(ended.is_err(), policy == StopKernel);
        let lines = said();
        assert!(!lines.contains(&"a DIE".to_owned()), "{lines:?}");
        assert_eq!(
            lines.iter().filter(|l| *l == "hook: _stop in child: in _stop").count(),
            1,
            "{lines:?}"
        );
        assert!(lines.contains(&"parent lose child (undef)".to_owned()), "{lines:?}");
    }
}

/// A session whose handler of DIE fails, too.
fn fails_twice(name: &'static str, handles: bool, text: &'static str) -> SessionBuilder<()> {
    life(name, |cx| {
        cx.sig("DIE", "die");
        cx.delay("bye", ms(50), ());
    })
    .on("fail", |_, ()| fail("the first"))
    .on("die", move |cx, _: Signal| {
        if handles {
            cx.sig_handled();
        }
        fail(text)
    })
}

#[tokio::test(start_paused = true)]
async fn a_failure_in_a_die_handler_stops_its_session_also_if_the_first_was_handled() {
    for handled in [true, false] {
        let kernel = with_policy(StopSession);
        watch_failures(&kernel);
        life("stranger", lives(50)).create(&kernel).unwrap();
        let id = fails_twice("S", handled, "the second").create(&kernel).unwrap();
        kernel.post(id, "fail", ()).unwrap();
        run(&kernel).await;
        let both = "the first\nAdditional error thrown in handler for previous error:\nthe second";
        let hook = match handled {
            // Only the new error …
            true => "hook: die in S: the second".to_owned(),
            // … and else one message, the original first (law L70).
            false => format!("hook: fail in S: {both}"),
        };
        assert_eq!(said(), ["S stop".to_owned(), hook, "stranger stop".to_owned()]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_in_an_ancestors_die_handler_follows_the_ancestors_policy() {
    for (parents, own) in [
        (StopKernel, StopSession),
        (StopSession, StopKernel),
        (StopSession, StopSession),
    ] {
        for handled in [true, false] {
            let kernel = with_policy(StopSession);
            watch_failures(&kernel);
            life("stranger", lives(50)).create(&kernel).unwrap();
            let parent = fails_twice("parent", handled, "the second")
                .on("go", move |cx, ()| -> HandlerResult {
                    let child = life("child", lives(50))
                        .on("fail", |_, ()| fail("the first"))
                        .on_failure(own);
                    let child = cx.create(child)?;
                    cx.post(child, "fail", ())?;
                    said();
                    Ok(())
                })
                .on_failure(parents)
                .create(&kernel)
                .unwrap();
            kernel.call::<_, ()>(parent, "go", ()).unwrap();
            let ended = kernel.run().await;
            let lines = said();
            let hooks: Vec<_> = lines
                .iter()
                .filter(|line| line.starts_with("hook"))
                .map(String::as_str)
                .collect();
            let (first, second) = ("hook: fail in child: the first", "hook: die in parent: the second");
            let text = ended.err().map(|error| error.failure().unwrap().to_string());
            match (parents, own, handled) {
                (StopKernel, _, _) => assert_eq!(text.as_deref(), Some("the second")),
                (_, StopKernel, false) => assert_eq!(text.as_deref(), Some("the first")),
                _ => assert_eq!(text, None),
            }
            let expected: &[&str] = if handled { &[second] } else { &[first, second] };
            let mut sorted = hooks.clone();
            sorted.sort_unstable_by_key(|line| line.contains("second"));
            assert_eq!(sorted, expected, "{parents:?} {own:?} {handled}");
            assert!(lines.contains(&"child stop".to_owned()) && lines.contains(&"parent stop".to_owned()));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_after_stop_in_the_same_handler_follows_the_policy_that_the_session_had() {
    for policy in [StopKernel, StopSession] {
        let kernel = with_policy(StopKernel);
        watch_failures(&kernel);
        let id = life("S", lives(5))
            .on("go", |cx, ()| -> HandlerResult {
                cx.stop_all();
                fail("after stop")
            })
            .on_failure(policy)
            .create(&kernel)
            .unwrap();
        kernel.post(id, "go", ()).unwrap();
        assert_eq!(kernel.run().await.is_err(), policy == StopKernel);
        assert_eq!(said(), ["S stop", "hook: go in S: after stop"]);
    }
}

#[tokio::test(start_paused = true)]
async fn l13_a_failed_call_to_oneself_is_the_callers_own_matter_under_both_policies() {
    for policy in [StopKernel, StopSession] {
        let kernel = with_policy(policy);
        watch_failures(&kernel);
        life("S", lives(5))
            .on("go", |cx, ()| {
                let me = cx.session_id();
                let error: CallError<()> = cx.call::<_, ()>(me, "fail", ()).unwrap_err();
                say(error.is_died());
            })
            .on("fail", |_, ()| fail("on purpose"))
            .create(&kernel)
            .and_then(|id| Ok(kernel.post(id, "go", ())?))
            .unwrap();
        run(&kernel).await;
        assert_eq!(said(), ["true", "S stop"]);
    }
}

#[tokio::test(start_paused = true)]
async fn l15_a_failed_call_to_another_is_the_callees_die_and_the_caller_lives() {
    let kernel = with_policy(StopSession);
    watch_failures(&kernel);
    let callee = hears("callee", false).create(&kernel).unwrap();
    life("caller", lives(50))
        .on("go", move |cx, ()| {
            let error = cx.call::<_, ()>(callee, "fail", ()).unwrap_err();
            say(format!("died: {}, alive: {}", error.is_died(), cx.is_alive(callee)));
        })
        .create(&kernel)
        .and_then(|id| Ok(kernel.post(id, "go", ())?))
        .unwrap();
    run(&kernel).await;
    let lines = [
        "died: true, alive: true",
        "callee gets DIE of callee: on purpose",
        "callee stop",
        "hook: fail in callee: on purpose",
        "caller stop",
    ];
    assert_eq!(said(), lines);
}

#[tokio::test(start_paused = true)]
async fn with_catching_off_no_policy_counts() {
    let kernel = poe::testing::builder()
        .catch_exceptions(false)
        .on_failure(StopSession)
        .build();
    watch_failures(&kernel);
    life("stranger", lives(50)).create(&kernel).unwrap();
    hears("S", true)
        .on_failure(StopSession)
        .create(&kernel)
        .and_then(|id| Ok(kernel.post(id, "fail", ())?))
        .unwrap();
    assert_eq!(run_to_failure(&kernel).await, "on purpose");
    assert_eq!(said(), ["hook: fail in S: on purpose", "S stop", "stranger stop"]);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_fails_with_catching_off_is_not_reported() {
    let kernel = poe::testing::builder().catch_exceptions(false).build();
    watch_failures(&kernel);
    let callee = life("callee", lives(5))
        .on("fail", |_, ()| fail("on purpose"))
        .create(&kernel)
        .unwrap();
    assert!(kernel.call::<_, ()>(callee, "fail", ()).unwrap_err().is_died());
    run(&kernel).await;
    assert_eq!(said(), ["callee stop"]);
}

#[tokio::test(start_paused = true)]
async fn a_die_of_the_programs_own_stops_by_the_targets_policy() {
    for policy in [StopKernel, StopSession] {
        let kernel = with_policy(policy);
        let parent = life("parent", lives(50))
            .on("go", |cx, ()| -> HandlerResult {
                let child = cx.create(life("child", lives(50)))?;
                cx.signal(child, "DIE", ())?;
                said();
                Ok(())
            })
            .create(&kernel)
            .unwrap();
        kernel.call::<_, ()>(parent, "go", ()).unwrap();
        kernel.run_one_timeslice().await.unwrap();
        // Without a record the sessions just stop (law L71): the ancestors, too, or not.
        assert_eq!(kernel.is_alive(parent), policy == StopSession);
        run(&kernel).await;
        assert_eq!(
            said(),
            ["child stop", "parent lose child (child stopped)", "parent stop"]
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_alias_of_a_failed_session_is_free_and_it_can_be_started_again() {
    let kernel = with_policy(StopSession);
    let worker = || {
        life("worker", |cx| cx.alias_set("worker").unwrap())
            .on("fail", |_, ()| fail("on purpose"))
            .on("work", |_, ()| say("works"))
    };
    let starter = life("starter", lives(50))
        .on("start", move |cx, ()| cx.create(worker()).map(drop))
        .create(&kernel)
        .unwrap();
    kernel.post(starter, "start", ()).unwrap();
    while kernel.resolve("worker").is_none() {
        kernel.run_one_timeslice().await.unwrap();
    }
    kernel.post("worker", "fail", ()).unwrap();
    while kernel.resolve("worker").is_some() {
        kernel.run_one_timeslice().await.unwrap();
    }
    kernel.post(starter, "start", ()).unwrap();
    while kernel.resolve("worker").is_none() {
        kernel.run_one_timeslice().await.unwrap();
    }
    kernel.post("worker", "work", ()).unwrap();
    run(&kernel).await;
    assert!(said().contains(&"works".to_owned()));
}

type Letter = (String, Option<u64>, String);

/// Records the dead letters: the event, its number, and its target.
fn letters(kernel: &Kernel) -> Rc<RefCell<Vec<Letter>>> {
    let letters = Rc::new(RefCell::new(Vec::new()));
    let put = letters.clone();
    kernel.on_dead_letter(move |letter| {
        let arg = letter.arg.downcast::<u64>().ok();
        put.borrow_mut().push((letter.event.to_string(), arg, letter.target));
    });
    letters
}

const JOB: Event<u64> = Event::new("job");

#[tokio::test(start_paused = true)]
async fn what_the_purge_of_a_failed_session_takes_is_dead_letters_with_their_arguments() {
    let kernel = with_policy(StopSession);
    let letters = letters(&kernel);
    let other = life("other", lives(50)).on(JOB, |_, n| say(n)).create(&kernel).unwrap();
    let failing = life("failing", nothing)
        .on("go", move |cx, ()| {
            cx.yield_to("fail", ());
            cx.delay(JOB, ms(10), 1); // a timer
            cx.yield_to("again", ());
        })
        .on("again", move |cx, ()| -> HandlerResult {
            // The DIE stands in the queue by now: this comes behind it.
            cx.yield_to(JOB, 2); // to it
            cx.post(other, JOB, 3)?; // from it
            Ok(())
        })
        .on("fail", |_, ()| fail("on purpose"))
        .on(JOB, |_, n| say(n))
        .create(&kernel)
        .unwrap();
    kernel.post(failing, "go", ()).unwrap();
    kernel.post(other, JOB, 4).unwrap(); // has nothing to do with it
    run(&kernel).await;
    assert_eq!(said(), ["4", "failing stop", "other stop"]);
    let letters = letters.borrow();
    let found: Vec<_> = letters
        .iter()
        .map(|(event, n, _)| (event.as_str(), n.unwrap()))
        .collect();
    assert_eq!(found, [("job", 1), ("job", 2), ("job", 3)]);
    assert_eq!(letters[1].2, format!("session {failing} has stopped"));
    assert_eq!(
        letters[2].2,
        format!("session {other}, but its sender, session {failing}, has stopped")
    );
}

#[tokio::test(start_paused = true)]
async fn what_the_purge_takes_from_a_session_that_just_ends_is_dropped_as_ever() {
    let kernel = with_policy(StopSession);
    let letters = letters(&kernel);
    let id = life("S", |cx| {
        cx.sig("TERM", "term");
        cx.delay(JOB, ms(10), 1);
    })
    .create(&kernel)
    .unwrap();
    kernel.signal(id, "TERM", ()).unwrap();
    kernel.post(id, JOB, 2).unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["S stop"]);
    assert!(letters.borrow().is_empty());
}

#[tokio::test(start_paused = true)]
async fn under_stop_kernel_the_queued_events_of_all_sessions_are_dead_letters() {
    let kernel = with_policy(StopKernel);
    let letters = letters(&kernel);
    let other = life("other", lives(50)).on(JOB, |_, n| say(n)).create(&kernel).unwrap();
    life("failing", go)
        .on("go", |_, ()| fail("on purpose"))
        .create(&kernel)
        .unwrap();
    life("third", go)
        .on("go", move |cx, ()| cx.yield_to("later", ()))
        .on("later", move |cx, ()| cx.post(other, JOB, 7).unwrap())
        .create(&kernel)
        .unwrap();
    kernel.signal(other, "reload", 5_u64).unwrap();
    assert_eq!(run_to_failure(&kernel).await, "on purpose");
    said();
    let letters = letters.borrow();
    let found: Vec<_> = letters.iter().map(|(event, n, _)| (event.as_str(), *n)).collect();
    assert!(found.contains(&("bye", None)), "{found:?}");
    assert!(found.contains(&("later", None)), "{found:?}");
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_reported_when_its_session_stops_before_its_die() {
    let kernel = with_policy(StopSession);
    watch_failures(&kernel);
    let id = life("S", nothing)
        .on("fail", |_, ()| fail("on purpose"))
        .create(&kernel)
        .unwrap();
    kernel.post(id, "fail", ()).unwrap();
    kernel.signal(id, "TERM", ()).unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["S stop", "hook: fail in S: on purpose"]);
}

#[tokio::test(start_paused = true)]
async fn two_failures_of_one_generation_stop_both_sessions_and_no_other() {
    let kernel = with_policy(StopSession);
    watch_failures(&kernel);
    life("third", lives(50)).create(&kernel).unwrap();
    for (name, text) in [("A", "first"), ("B", "second")] {
        life(name, go)
            .on("go", move |_, ()| fail(text))
            .create(&kernel)
            .unwrap();
    }
    run(&kernel).await;
    let lines = [
        "A stop",
        "hook: go in A: first",
        "B stop",
        "hook: go in B: second",
        "third stop",
    ];
    assert_eq!(said(), lines);
}

#[tokio::test(start_paused = true)]
async fn a_machines_failure_follows_its_policy() {
    const ENTER: Event<()> = Event::new("enter");
    for policy in [StopKernel, StopSession] {
        let kernel = with_policy(StopKernel);
        life("stranger", lives(50)).create(&kernel).unwrap();
        poe::Nfa::builder(())
            .state("only", |s| s.on(ENTER, |_, ()| -> HandlerResult { fail("in a state") }))
            .on_failure(policy)
            .enter("only", ENTER, ())
            .start(&kernel)
            .unwrap();
        let ended = kernel.run().await;
        assert_eq!(ended.is_err(), policy == StopKernel);
        assert_eq!(said(), ["stranger stop"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_task_or_future_follows_the_policy_of_its_session() {
    let kernel = with_policy(StopSession);
    watch_failures(&kernel);
    life("stranger", lives(50)).create(&kernel).unwrap();
    life("S", |cx| {
        cx.spawn(async { panic!("in a future") }, Event::<()>::new("done"));
    })
    .create(&kernel)
    .unwrap();
    run(&kernel).await;
    assert_eq!(
        said(),
        ["S stop", "hook: done in S: panicked: in a future", "stranger stop"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_panics_takes_nothing_along_and_is_replaced_by_a_later_one() {
    let kernel = with_policy(StopSession);
    kernel.on_unhandled_failure(|_| panic!("in the hook"));
    let failing = |name| life(name, go).on("go", |_, ()| fail("on purpose"));
    failing("A").create(&kernel).unwrap();
    run(&kernel).await;
    watch_failures(&kernel);
    failing("B").create(&kernel).unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["A stop", "B stop", "hook: go in B: on purpose"]);
}

#[tokio::test(start_paused = true)]
async fn the_record_names_event_session_sender_and_place() {
    let kernel = with_policy(StopSession);
    let seen = Rc::new(RefCell::new(None));
    let put = seen.clone();
    kernel.on_unhandled_failure(move |die| *put.borrow_mut() = Some(die.clone()));
    let failing = life("failing", lives(5))
        .on("fail", |_, ()| fail("on purpose"))
        .create(&kernel)
        .unwrap();
    let sender = life("sender", go)
        .on("go", move |cx, ()| cx.post(failing, "fail", ()).unwrap())
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    said();
    let die = seen.take().unwrap();
    assert_eq!(
        (die.event, die.session, die.sender),
        (Name::from("fail"), failing, sender)
    );
    assert_eq!(die.caller_state, Some(Name::from("go")));
    assert!(die.place.file().ends_with("failures.rs"));
    assert_eq!(die.failure.to_string(), "on purpose");
}

#[test]
fn an_unhandled_failure_is_logged_once_at_error_under_either_policy() {
    in_child!();
    let trace = crate::traced::Trace::of("poe=error");
    for policy in [StopKernel, StopSession] {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build();
        runtime.unwrap().block_on(async {
            let kernel = with_policy(policy);
            life("stranger", lives(50)).create(&kernel).unwrap();
            life("S", go)
                .on("go", |_, ()| fail("on purpose"))
                .create(&kernel)
                .unwrap();
            assert_eq!(kernel.run().await.is_err(), policy == StopKernel);
        });
        let lines = trace.lines();
        assert_eq!(lines.len(), 1, "{lines:?}");
        for part in [
            "ERROR",
            "on purpose",
            "event=go",
            "session=2",
            "sender=2",
            "place=tests/it/laws_kit.rs",
        ] {
            assert!(lines[0].contains(part), "no {part} in {lines:?}");
        }
    }
}
