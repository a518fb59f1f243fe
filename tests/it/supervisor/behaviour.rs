//! What a supervisor promises, one promise a test.

use super::kit::{FAIL, World, pass};
use poe::component::{
    Backoff, ChildChange, ChildEnd, ChildReport, ChildSpec, ChildState, NextStep, Restart, Starter, Strategy,
    Supervisor, SupervisorEnd,
};
use poe::event::START;
use poe::{Event, HandlerResult, KERNEL_SHUTDOWN, Kernel, OnFailure, Session, SessionId, Signal, testing};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;
use tokio::time::Instant;

const NOTE: Event<u32> = Event::new("note");
const LIFE: Event<()> = Event::new("life");
const MOMENT: Duration = Duration::from_millis(20);

fn kernel() -> Kernel {
    testing::builder().on_failure(OnFailure::StopSession).build()
}

/// A kernel that does not end when it has only aliases left, and the session that keeps it.
fn busy_kernel() -> (Kernel, SessionId) {
    let kernel = kernel();
    let idler = Session::builder(()).on(START, |cx, ()| cx.delay(LIFE, Duration::from_secs(1_000_000), ()));
    let idler = idler.create(&kernel).unwrap();
    (kernel, idler)
}

/// A child that lives until it is stopped.
fn idle(name: &str) -> ChildSpec {
    ChildSpec::new(name, |cx: &mut Starter<'_>| {
        cx.create(Session::builder(()).on(START, |cx, ()| cx.delay(LIFE, Duration::from_secs(1_000_000), ())))
    })
}

/// A child that notes what it gets.
fn noting(seen: &Rc<RefCell<Vec<u32>>>) -> ChildSpec {
    let seen = seen.clone();
    let child = ChildSpec::new("noting", move |cx: &mut Starter<'_>| {
        let seen = seen.clone();
        let session = Session::builder(())
            .on(START, |_, ()| ())
            .on(NOTE, move |_, n| seen.borrow_mut().push(n))
            .on(FAIL, |_, ()| -> HandlerResult { Err("it was told to".into()) });
        cx.create(session)
    });
    child.alias("noting")
}

fn dead_notes(kernel: &Kernel) -> Rc<RefCell<Vec<u32>>> {
    let dead = Rc::new(RefCell::new(Vec::new()));
    let letters = dead.clone();
    kernel.on_dead_letter(move |letter| {
        if letter.event == "note" {
            letters.borrow_mut().push(letter.arg.downcast::<u32>().unwrap());
        }
    });
    dead
}

#[tokio::test(start_paused = true)]
async fn posts_between_two_lives_wait_for_the_next_and_those_that_were_queued_are_dead_letters() {
    let ((kernel, idler), seen) = (busy_kernel(), Rc::default());
    let dead = dead_notes(&kernel);
    let child = noting(&seen).backoff(Backoff::new().first(Duration::from_secs(1)).jitter(0.0));
    let supervisor = Supervisor::builder(Strategy::OneForOne)
        .child(child)
        .start(&kernel)
        .unwrap();
    kernel.post("noting", NOTE, 1).unwrap();
    pass(&kernel, MOMENT).await;
    let first = supervisor.child("noting").unwrap();
    kernel.post("noting", FAIL, ()).unwrap();
    // The DIE stands behind this one, which is handled, but before the next.
    kernel.post("noting", NOTE, 2).unwrap();
    let poster = Session::builder(())
        .on(START, |cx, ()| cx.yield_to("late", ()))
        .on("late", |cx, ()| {
            cx.post("noting", NOTE, 3).unwrap();
        });
    poster.create(&kernel).unwrap();
    pass(&kernel, MOMENT).await;
    assert!(matches!(supervisor.children()[0].state, ChildState::Waiting(_)));
    assert_eq!((seen.take(), dead.take()), (vec![1, 2], vec![3]));
    kernel.post("noting", NOTE, 4).unwrap();
    pass(&kernel, MOMENT).await;
    kernel.post("noting", NOTE, 5).unwrap();
    // A caller cannot wait.
    assert!(kernel.call("noting", NOTE, 6).is_err());
    pass(&kernel, Duration::from_secs(2)).await;
    assert_ne!(supervisor.child("noting").unwrap(), first);
    assert_eq!((seen.take(), dead.take()), (vec![4, 5], vec![]));
    supervisor.shutdown();
    pass(&kernel, MOMENT).await;
    assert!(
        kernel.post("noting", NOTE, 7).is_err(),
        "the alias is gone with the child"
    );
    kernel.signal(idler, "KILL", ()).unwrap();
    pass(&kernel, MOMENT).await;
    testing::assert_no_leaks(&kernel);
}

#[tokio::test(start_paused = true)]
async fn no_more_than_1024_posts_are_kept_for_a_child() {
    let ((kernel, _), seen) = (busy_kernel(), Rc::default());
    let dead = dead_notes(&kernel);
    let child = noting(&seen).backoff(Backoff::new().first(Duration::from_secs(1)));
    let supervisor = Supervisor::builder(Strategy::OneForOne)
        .child(child)
        .start(&kernel)
        .unwrap();
    kernel.post("noting", FAIL, ()).unwrap();
    pass(&kernel, MOMENT).await;
    for n in 0..1030 {
        kernel.post("noting", NOTE, n).unwrap();
    }
    pass(&kernel, MOMENT).await;
    assert_eq!(dead.take(), (1024..1030).collect::<Vec<_>>());
    pass(&kernel, Duration::from_secs(2)).await;
    assert_eq!(seen.take(), (0..1024).collect::<Vec<_>>());
    supervisor.shutdown();
    pass(&kernel, MOMENT).await;
    assert!(dead.take().is_empty());
}

#[tokio::test(start_paused = true)]
async fn waits_grow_with_each_failure_in_a_row_and_begin_anew_after_a_period_of_life() {
    let (kernel, world) = (kernel(), World::default());
    let began = Instant::now();
    let waits = Rc::new(RefCell::new(Vec::new()));
    let seen = waits.clone();
    let backoff = Backoff::new().first(Duration::from_millis(100)).jitter(0.0);
    let supervisor = Supervisor::builder(Strategy::OneForOne)
        .intensity(10, Duration::from_secs(10))
        .child(world.leaf("a").backoff(backoff))
        .on_report(move |report| match &report.change {
            ChildChange::Ended {
                next: NextStep::Restart { after },
                ..
            } => {
                seen.borrow_mut().push((began.elapsed().as_millis(), after.as_millis()));
            }
            ChildChange::Started { .. } => seen.borrow_mut().push((began.elapsed().as_millis(), 0)),
            _ => {}
        });
    let supervisor = supervisor.start(&kernel).unwrap();
    for _ in 0..3 {
        world.tell(&kernel, "a", FAIL);
        pass(&kernel, Duration::from_secs(1)).await;
    }
    pass(&kernel, Duration::from_secs(11)).await;
    world.tell(&kernel, "a", FAIL);
    pass(&kernel, Duration::from_secs(1)).await;
    let expected = [
        (0, 0),
        (0, 100),
        (100, 0),
        (1000, 200),
        (1200, 0),
        (2000, 400),
        (2400, 0),
        (14_000, 100),
        (14_100, 0),
    ];
    assert_eq!(*waits.borrow(), expected);
    assert_eq!(supervisor.children()[0].restarts, 4);
}

#[tokio::test(start_paused = true)]
async fn a_child_that_does_not_end_is_killed_at_its_limit_and_the_ones_before_it_wait() {
    let (kernel, world) = (kernel(), World::default());
    world.drains.borrow_mut().insert("b".into(), Duration::from_secs(60));
    world.drains.borrow_mut().insert("c".into(), Duration::from_secs(1));
    let ends = Rc::new(RefCell::new(Vec::new()));
    let (seen, began) = (ends.clone(), Instant::now());
    let supervisor = Supervisor::builder(Strategy::OneForOne)
        .child(world.leaf("a"))
        .child(world.leaf("b").shutdown(Duration::from_secs(2)))
        .child(world.leaf("c"))
        .on_report(move |report: &ChildReport| {
            if let ChildChange::Ended {
                end: ChildEnd::AskedFor { killed },
                ..
            } = &report.change
            {
                seen.borrow_mut()
                    .push((report.child.to_string(), *killed, began.elapsed().as_secs()));
            }
        });
    let supervisor = supervisor.start(&kernel).unwrap();
    // The kernel's shutdown leaves the order to the supervisor.
    let report = kernel.shutdown(Duration::from_secs(30)).await;
    assert!(report.is_clean(), "{report}");
    let expected = [("c", false, 1), ("b", true, 3), ("a", false, 3)];
    assert_eq!(
        *ends.borrow(),
        expected.map(|(child, killed, at)| (child.to_owned(), killed, at))
    );
    assert_eq!(
        world.log.take(),
        ["start a", "start b", "start c", "stop c", "stop b", "stop a"]
    );
    assert!(matches!(supervisor.outcome(), Some(SupervisorEnd::AskedFor)));
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_is_over_while_a_child_is_stopped_starts_then() {
    let (kernel, world) = (kernel(), World::default());
    world.drains.borrow_mut().insert("b".into(), Duration::from_secs(3));
    let backoff = Backoff::new().first(Duration::from_secs(1)).jitter(0.0);
    let supervisor = Supervisor::builder(Strategy::OneForOne)
        .child(world.leaf("a").backoff(backoff))
        .child(world.leaf("b"));
    let supervisor = supervisor.start(&kernel).unwrap();
    world.tell(&kernel, "a", FAIL);
    pass(&kernel, MOMENT).await;
    supervisor.stop_child("b").unwrap();
    pass(&kernel, Duration::from_secs(2)).await;
    assert_eq!(world.log.take(), ["start a", "start b", "stop b"]);
    pass(&kernel, Duration::from_secs(2)).await;
    assert_eq!(world.log.take(), ["start a"]);
    assert!(supervisor.child("a").is_some() && supervisor.child("b").is_none());
}

#[tokio::test(start_paused = true)]
async fn siblings_wait_for_a_child_that_is_prepared() {
    let (kernel, world) = (kernel(), World::default());
    let (first, later) = (world.clone(), world.clone());
    let slow = ChildSpec::prepared(
        "b",
        move || {
            first.log.push("prepare b");
            async {
                tokio::time::sleep(Duration::from_secs(1)).await;
                Ok::<_, std::io::Error>(())
            }
        },
        move |cx, ()| later.start(cx, "b"),
    );
    let supervisor = Supervisor::builder(Strategy::OneForAll)
        .child(world.leaf("a"))
        .child(slow)
        .child(world.leaf("c"));
    let supervisor = supervisor.start(&kernel).unwrap();
    pass(&kernel, MOMENT).await;
    assert_eq!(world.log.take(), ["start a", "prepare b"]);
    assert_eq!(supervisor.children()[1].state, ChildState::Starting);
    pass(&kernel, Duration::from_secs(2)).await;
    assert_eq!(world.log.take(), ["start b", "start c"]);
    world.tell(&kernel, "a", FAIL);
    pass(&kernel, MOMENT).await;
    assert_eq!(world.log.take(), ["stop c", "stop b", "start a", "prepare b"]);
    // A shutdown does not wait for it.
    supervisor.shutdown();
    pass(&kernel, MOMENT).await;
    assert_eq!(world.log.take(), ["stop a"]);
    assert!(supervisor.outcome().is_some());
    testing::assert_no_leaks(&kernel);
}

#[tokio::test(start_paused = true)]
async fn a_start_that_fails_in_the_function_is_the_error_of_start_and_later_ones_are_failures() {
    let (kernel, world) = (testing::kernel(), World::default());
    world.bad_starts.borrow_mut().insert("b".into(), 1);
    let built = Supervisor::builder(Strategy::OneForOne)
        .name("shop")
        .child(world.leaf("a"))
        .child(world.leaf("b"));
    let error = built.start(&kernel).unwrap_err().to_string();
    assert_eq!(error, "the supervisor `shop` could not start its child `b`: not now");
    kernel.run().await.unwrap();
    assert_eq!(world.log.take(), ["start a", "no start b", "stop a"]);

    // With POE's policy for failures the run ends.
    let bad = |_: &mut Starter<'_>| -> Result<SessionId, poe::Failure> { panic!("a bug") };
    let late = ChildSpec::prepared(
        "late",
        || async { Err::<(), _>("no disk") },
        |_, ()| -> HandlerResult<_> { unreachable!() },
    );
    let start = ChildSpec::new("start", |cx: &mut Starter<'_>| {
        cx.create(Session::builder(()).on(START, |_, ()| -> HandlerResult { Err("no `_start`".into()) }))
    });
    for (child, text) in [(late, "no disk"), (start, "no `_start`")] {
        let name = child.name().to_owned();
        let built = Supervisor::builder(Strategy::OneForOne)
            .name("shop")
            .child(world.leaf("a"))
            .child(child);
        let supervisor = built.start(&kernel).unwrap();
        let error = kernel.run().await.unwrap_err().to_string();
        let end = format!("the supervisor `shop` gives up: its child `{name}` could not be started: {text}");
        assert!(error.ends_with(&end), "{error}");
        assert!(matches!(supervisor.outcome(), Some(SupervisorEnd::Failed(failure)) if failure.to_string() == end));
        assert_eq!(world.log.take(), ["start a", "stop a"]);
    }
    let error = Supervisor::builder(Strategy::OneForOne)
        .child(ChildSpec::new("bad", bad))
        .start(&kernel)
        .unwrap_err();
    assert!(error.to_string().ends_with("panicked: a bug"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn too_many_restarts_say_how_many_and_why() {
    let (kernel, world) = (testing::kernel(), World::default());
    let built = Supervisor::builder(Strategy::OneForOne)
        .alias("shop")
        .intensity(1, Duration::from_secs(5));
    built.child(world.leaf("a")).start(&kernel).unwrap();
    world.tell(&kernel, "a", FAIL);
    pass(&kernel, MOMENT).await;
    world.tell(&kernel, "a", FAIL);
    let error = kernel.run().await.unwrap_err().to_string();
    let end = "the supervisor `shop` gives up: more than 1 restarts within 5s; the last was of its child `a`: failed: it was told to";
    assert!(error.contains(end), "{error}");
}

#[tokio::test(start_paused = true)]
async fn the_attempts_of_a_backoff_are_a_limit_too() {
    let (kernel, world) = (testing::kernel(), World::default());
    world.bad_starts.borrow_mut().insert("a".into(), 0);
    let backoff = Backoff::new().first(Duration::from_secs(1)).attempts(3);
    Supervisor::builder(Strategy::OneForOne)
        .child(world.leaf("a").backoff(backoff))
        .start(&kernel)
        .unwrap();
    world.bad_starts.borrow_mut().insert("a".into(), 100);
    world.tell(&kernel, "a", FAIL);
    let error = kernel.run().await.unwrap_err().to_string();
    assert!(
        error.ends_with("3 failures in a row; the last was of its child `a`: not now"),
        "{error}"
    );
    assert_eq!(world.log.take(), ["start a", "no start a", "no start a"]);
}

#[tokio::test(start_paused = true)]
async fn reports_say_who_why_where_how_often_and_when_next() {
    const REPORT: Event<ChildReport> = Event::new("report");
    let (kernel, world) = (kernel(), World::default());
    let lines = Rc::new(RefCell::new(Vec::new()));
    let log = lines.clone();
    let reader = Session::builder(())
        .on(START, |cx, ()| cx.alias_set("reader"))
        .on(REPORT, move |_, report: ChildReport| {
            log.borrow_mut().push(report.to_string())
        });
    reader.create(&kernel).unwrap();
    let supervisor = Supervisor::builder(Strategy::OneForOne)
        .name("shop")
        .child(
            world
                .leaf("a")
                .backoff(Backoff::new().first(Duration::from_secs(1)).jitter(0.0)),
        )
        .child(world.leaf("b").restart(Restart::Temporary))
        .subscribe("reader", REPORT)
        .start(&kernel)
        .unwrap();
    pass(&kernel, MOMENT).await;
    let place = format!("{}:{}", file!(), line!() + 1);
    kernel.post(supervisor.child("a").unwrap(), FAIL, ()).unwrap();
    world.kill(&kernel, "b");
    pass(&kernel, Duration::from_secs(2)).await;
    supervisor.shutdown();
    pass(&kernel, Duration::from_secs(2)).await;
    let (lines, place) = (lines.take(), place);
    let text = lines.iter().map(|line| {
        let line = line.replacen("supervisor `shop`: child ", "", 1);
        match line.find(&place) {
            Some(_) => {
                line.split(&place).next().unwrap().to_owned()
                    + "HERE"
                    + line.split(&place).nth(1).unwrap().split_once(')').unwrap().1
            }
            None => line,
        }
    });
    let text: Vec<String> = text.collect();
    assert_eq!(
        text,
        [
            "`a` started as session 3",
            "`b` started as session 4",
            "`b` (session 4) failed: stopped by the signal KILL; it stays down",
            "`a` (session 3) failed: it was told to (event `fail`, sent at HERE; it is restarted after 1s",
            "`a` started as session 5 (1 restart so far)",
            "`a` (session 5) ended as asked; it stays down (1 restart so far)",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn only_a_childs_own_failure_counts() {
    let (kernel, world) = (kernel(), World::default());
    let reports = Rc::new(RefCell::new(Vec::new()));
    let (seen, own) = (reports.clone(), world.clone());
    let parent = ChildSpec::new("parent", move |cx: &mut Starter<'_>| {
        let below = own.clone();
        let session = Session::builder(()).on(START, move |cx, ()| -> HandlerResult {
            below.log.push("start parent");
            cx.delay(LIFE, Duration::from_secs(1_000_000), ());
            let grandchild = Session::builder(())
                .on(START, |cx, ()| cx.delay(LIFE, 1_000_000.0, ()))
                .on(FAIL, |_, ()| -> HandlerResult { Err("below".into()) });
            let id = cx.create(grandchild)?;
            below.sessions.borrow_mut().insert("below".into(), id);
            Ok(())
        });
        cx.create(session.on_failure(OnFailure::StopSession))
    });
    let supervisor = Supervisor::builder(Strategy::OneForOne)
        .child(parent)
        .on_report(move |report| seen.borrow_mut().push(report.change.clone()))
        .start(&kernel)
        .unwrap();
    pass(&kernel, MOMENT).await;
    world.tell(&kernel, "below", FAIL);
    pass(&kernel, MOMENT).await;
    assert_eq!(reports.take().len(), 1, "only the start");
    assert_eq!(world.log.take(), ["start parent"]);
    // And its failure in `_stop` is one.
    supervisor.stop_child("parent").unwrap();
    let stopping = ChildSpec::new("stopping", |cx: &mut Starter<'_>| {
        let session = Session::builder(()).on(START, |cx, ()| cx.yield_to("nothing", ()));
        cx.create(session.on(poe::event::STOP, |_, ()| -> HandlerResult { Err("in `_stop`".into()) }))
    });
    supervisor
        .start_child(stopping.restart(Restart::Transient).backoff(Backoff::new()))
        .unwrap();
    pass(&kernel, MOMENT).await;
    let ended = reports.take().into_iter().find_map(|change| match change {
        ChildChange::Ended {
            end: ChildEnd::Failed(failure),
            next,
            ..
        } => Some((failure.failure.to_string(), next)),
        _ => None,
    });
    let (why, next) = ended.unwrap();
    assert_eq!(why, "in `_stop`");
    assert!(matches!(next, NextStep::Restart { .. }));
}

#[tokio::test(start_paused = true)]
async fn a_child_that_handles_its_die_goes_on() {
    const DIE: Event<Signal> = Event::new("die");
    let (kernel, world) = (kernel(), World::default());
    let own = world.clone();
    let brave = ChildSpec::new("brave", move |cx: &mut Starter<'_>| {
        let log = own.log.clone();
        let session = Session::builder(())
            .on(START, move |cx, ()| -> HandlerResult {
                log.push("start brave");
                cx.sig("DIE", DIE);
                cx.delay(LIFE, Duration::from_secs(1_000_000), ());
                Err("a `_start` that fails".into())
            })
            .on(DIE, |cx, _| cx.sig_handled());
        cx.create(session)
    });
    let supervisor = Supervisor::builder(Strategy::OneForOne)
        .child(brave)
        .child(world.leaf("next"))
        .start(&kernel)
        .unwrap();
    assert_eq!(supervisor.children()[0].state, ChildState::Starting);
    pass(&kernel, MOMENT).await;
    assert!(supervisor.child("brave").is_some());
    assert_eq!(world.log.take(), ["start brave", "start next"]);
}

#[tokio::test(start_paused = true)]
async fn a_child_of_a_supervisor_is_made_with_its_starter() {
    let kernel = kernel();
    let other = Session::builder(()).on(START, |cx, ()| cx.delay(LIFE, 1_000_000.0, ()));
    let other = other.create(&kernel).unwrap();
    let built = Supervisor::builder(Strategy::OneForOne).child(ChildSpec::new("other", move |_: &mut Starter<'_>| {
        Ok::<_, poe::Error>(other)
    }));
    let error = built.start(&kernel).unwrap_err().to_string();
    assert!(error.contains("is not a child of its supervisor"), "{error}");
    assert!(kernel.is_alive(other));
}

#[tokio::test(start_paused = true)]
async fn names_and_aliases_are_checked() {
    let kernel = kernel();
    let twice = Supervisor::builder(Strategy::OneForOne)
        .child(idle("a"))
        .child(idle("a"))
        .start(&kernel);
    assert!(twice.unwrap_err().to_string().contains("has a child `a` already"));
    let owner = Session::builder(()).on(START, |cx, ()| -> HandlerResult {
        cx.alias_set("taken")?;
        cx.delay(LIFE, 1_000_000.0, ());
        Ok(())
    });
    owner.create(&kernel).unwrap();
    let taken = Supervisor::builder(Strategy::OneForOne)
        .child(idle("a").alias("taken"))
        .start(&kernel);
    assert!(taken.unwrap_err().to_string().contains("the alias `taken` is taken"));
    let supervisor = Supervisor::builder(Strategy::OneForOne)
        .child(idle("a"))
        .start(&kernel)
        .unwrap();
    assert!(supervisor.start_child(idle("a")).is_err());
    assert!(
        supervisor
            .stop_child("b")
            .unwrap_err()
            .to_string()
            .contains("has no child `b`")
    );
    // One that is added later and has a taken alias cannot be started.
    supervisor.start_child(idle("b").alias("taken")).unwrap();
    pass(&kernel, MOMENT).await;
    assert_eq!(supervisor.children().len(), 1);
    supervisor.shutdown();
    pass(&kernel, MOMENT).await;
    assert!(
        supervisor
            .start_child(idle("c"))
            .unwrap_err()
            .to_string()
            .ends_with("has ended")
    );
}

#[tokio::test(start_paused = true)]
async fn a_handler_can_start_a_supervisor_and_a_stop_of_the_kernel_starts_nothing_again() {
    let (kernel, world) = (kernel(), World::default());
    let (made, own) = (Rc::new(RefCell::new(None)), world.clone());
    let keep = made.clone();
    let starter = Session::builder(()).on(START, move |cx, ()| -> HandlerResult {
        let built = Supervisor::builder(Strategy::OneForAll)
            .child(own.leaf("a"))
            .child(own.leaf("b"));
        *keep.borrow_mut() = Some(cx.start(built)?);
        cx.delay(LIFE, 1_000_000.0, ());
        Ok(())
    });
    starter.create(&kernel).unwrap();
    pass(&kernel, MOMENT).await;
    assert_eq!(world.log.take(), ["start a", "start b"]);
    kernel.stop_all().unwrap();
    kernel.run().await.unwrap();
    assert_eq!(world.log.take(), [""; 0]);
    let supervisor: Supervisor = made.take().unwrap();
    assert!(matches!(supervisor.outcome(), Some(SupervisorEnd::Normal)));
    testing::assert_no_leaks(&kernel);
}

#[tokio::test(start_paused = true)]
async fn an_idle_kernel_ends_a_supervisor_and_a_signal_ends_it_with_its_children() {
    let (kernel, world) = (kernel(), World::default());
    let supervisor = Supervisor::builder(Strategy::OneForOne).start(&kernel).unwrap();
    kernel.run().await.unwrap();
    assert!(matches!(supervisor.outcome(), Some(SupervisorEnd::Normal)));
    let supervisor = Supervisor::builder(Strategy::OneForOne)
        .child(world.leaf("a"))
        .start(&kernel)
        .unwrap();
    kernel.signal(supervisor.session_id(), "TERM", ()).unwrap();
    kernel.run().await.unwrap();
    assert_eq!(world.log.take(), ["start a"]);
    assert!(matches!(supervisor.outcome(), Some(SupervisorEnd::Normal)));
    testing::assert_no_leaks(&kernel);
}

#[tokio::test(start_paused = true)]
async fn a_component_can_be_a_child() {
    let kernel = kernel();
    let server = ChildSpec::new("echo", |cx: &mut Starter<'_>| {
        let echo = poe::component::TcpServer::builder("memory:echo").client_input(|cx, line| cx.client().put(line));
        Ok::<_, poe::Error>(cx.start(echo)?.session_id())
    });
    let supervisor = Supervisor::builder(Strategy::OneForOne)
        .child(server)
        .start(&kernel)
        .unwrap();
    let first = supervisor.child("echo").unwrap();
    for _ in 0..2 {
        kernel.signal(supervisor.child("echo").unwrap(), "KILL", ()).unwrap();
        pass(&kernel, MOMENT).await;
    }
    assert_ne!(supervisor.child("echo").unwrap(), first);
    assert!(testing::connect(&kernel, "memory:echo").is_ok());
    let report = kernel.shutdown(Duration::from_secs(5)).await;
    assert!(report.is_clean(), "{report}");
}

#[tokio::test(start_paused = true)]
async fn a_session_that_watches_the_shutdown_is_asked_once() {
    const ASKED: Event<Signal> = Event::new("asked once");
    let kernel = kernel();
    let asked = Rc::new(RefCell::new(Vec::new()));
    let seen = asked.clone();
    let outer = move |name: &'static str| {
        let seen = seen.clone();
        ChildSpec::new(name, move |cx: &mut Starter<'_>| {
            let seen = seen.clone();
            let session = Session::builder(())
                .on(START, |cx, ()| {
                    cx.sig(KERNEL_SHUTDOWN, ASKED);
                    cx.delay(LIFE, 1_000_000.0, ());
                })
                .on(ASKED, move |_, _| seen.borrow_mut().push(name));
            cx.create(session)
        })
    };
    let leaf = outer.clone();
    let inner = ChildSpec::supervisor("inner", move || {
        Supervisor::builder(Strategy::OneForOne)
            .child(leaf("a"))
            .child(leaf("b"))
    });
    Supervisor::builder(Strategy::OneForOne)
        .child(outer("x"))
        .child(inner)
        .child(outer("y"))
        .start(&kernel)
        .unwrap();
    pass(&kernel, MOMENT).await;
    let report = kernel.shutdown(Duration::from_secs(5)).await;
    assert!(report.is_clean(), "{report}");
    assert_eq!(*asked.borrow(), ["y", "b", "a", "x"]);
}
