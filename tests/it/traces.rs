//! POE's TRACE_* and ASSERT_*: the traces of each target, and the texts of the checks. `tracing-sane-exit` asks that a traced
//! kernel ends like one that is not.

use crate::laws_kit::{kernel, ms, run};
use crate::traced::Trace;
use poe::event::{DEFAULT, START, STOP};
use poe::{Event, HandlerResult, Kernel, Session, Signal};

const PING: Event<u32> = Event::new("ping");

/// A session that does a little of everything.
fn busy_session() -> poe::SessionBuilder<u32> {
    Session::builder(7_u32)
        .on(START, |cx, ()| -> HandlerResult {
            cx.alias_set("busy")?;
            cx.refcount_increment(cx.session_id(), "tag")?;
            cx.sig("USR1", "on usr1");
            cx.signal(cx.session_id(), "USR1", ())?;
            cx.delay_set("tick", ms(5), ());
            cx.yield_to(PING, 1);
            Ok(())
        })
        .on(PING, |_, _| ())
        .on("on usr1", |_, _: Signal| ())
        .on("tick", |cx, ()| -> HandlerResult {
            cx.refcount_decrement(cx.session_id(), "tag")?;
            cx.alias_remove("busy")?;
            Ok(())
        })
        .on(STOP, |_, ()| ())
}

async fn traced(filter: &str) -> Vec<String> {
    let trace = Trace::of(filter);
    let kernel = kernel();
    busy_session().create(&kernel).unwrap();
    run(&kernel).await;
    trace.lines()
}

/// Asserts that the lines hold these, in that order.
#[track_caller]
fn in_order(lines: &[String], wanted: &[&str]) {
    let mut left = lines.iter();
    for part in wanted {
        assert!(
            left.any(|line| line.contains(part)),
            "{part:?} is not there, in that order:\n{}",
            lines.join("\n")
        );
    }
}

#[tokio::test(start_paused = true)]
async fn events_are_traced_when_they_are_posted_and_when_they_are_dispatched() {
    #[cfg(unix)]
    crate::in_child::in_child!();
    let lines = traced("poe::events=trace").await;
    in_order(
        &lines,
        &[
            "dispatch session=1 event=_start sender=kernel",
            "post to=1 from=1 event=ping place=tests/it/traces.rs:",
            "dispatch session=1 event=ping sender=1",
            "dispatch session=1 event=tick",
            "dispatch session=1 event=_stop",
        ],
    );
    assert!(lines.iter().all(|line| line.contains("poe::events: ")), "{lines:?}");
}

#[tokio::test(start_paused = true)]
async fn timers_are_traced_when_they_are_set() {
    #[cfg(unix)]
    crate::in_child::in_child!();
    let lines = traced("poe::timers=trace").await;
    in_order(&lines, &["poe::timers: set session=1 event=tick"]);
    assert!(lines[0].ends_with(" due_in=0.005000s"), "{lines:?}");

    let trace = Trace::of("poe::timers=trace");
    let kernel = kernel();
    Session::builder(())
        .on(START, |cx, ()| {
            cx.delay("long", 7200.5, ());
            cx.delay("short", std::time::Duration::from_nanos(1600), ());
            cx.alarm("past", std::time::UNIX_EPOCH, ());
            cx.delay("overdue", -0.25, ());
        })
        .create(&kernel)
        .unwrap();
    kernel.stop_all().unwrap();
    let due: Vec<String> = trace
        .lines()
        .iter()
        .filter_map(|line| line.split("due_in=").nth(1).map(str::to_owned))
        .collect();
    assert_eq!(
        (&*due[0], &*due[1], &*due[3]),
        ("7200.500000s", "0.000002s", "-0.250000s")
    );
    assert!(due[2].starts_with('-') && due[2].len() > 15, "{due:?}");
}

#[tokio::test(start_paused = true)]
async fn reference_counts_are_traced_with_the_hold_and_the_rest() {
    #[cfg(unix)]
    crate::in_child::in_child!();
    let lines = traced("poe::refcnt=trace").await;
    in_order(
        &lines,
        &[
            "held session=1 refs=1 kind=alias name=\"busy\"",
            "held session=1 refs=2 kind=refcount name=\"tag\"",
            "kind=timer name=\"tick\"",
            "kind=event name=\"ping\"",
            "dispatching session=1 refs=",
            "released session=1 refs=1 kind=refcount name=\"tag\"",
            "released session=1 refs=0 kind=alias name=\"busy\"",
        ],
    );
}

#[tokio::test(start_paused = true)]
async fn sessions_are_traced_from_creation_to_end() {
    #[cfg(unix)]
    crate::in_child::in_child!();
    let wanted = ["created session=1", "stopping session=1", "freed session=1"];
    in_order(&traced("poe::sessions=trace").await, &wanted);
}

#[tokio::test(start_paused = true)]
async fn signals_are_traced_from_the_watcher_to_the_sessions_that_they_stop() {
    #[cfg(unix)]
    crate::in_child::in_child!();
    let trace = Trace::of("poe::signals=trace");
    let kernel = kernel();
    let id = busy_session().create(&kernel).unwrap();
    kernel.run_one_timeslice().await.unwrap();
    kernel.signal(id, "TERM", ()).unwrap();
    run(&kernel).await;
    in_order(
        &trace.lines(),
        &[
            "watched signal=\"USR1\" session=1 event=\"on usr1\"",
            "dispatch signal=USR1 to=1",
            "delivered signal=USR1 session=1 event=on usr1",
            "dispatch signal=TERM to=1",
            "stops signal=TERM session=1",
        ],
    );
}

#[cfg(unix)]
#[tokio::test]
async fn files_are_traced_from_the_watcher_to_its_end() {
    #[cfg(unix)]
    crate::in_child::in_child!();
    use poe::unix::{SelectMode, Selected, Watched};
    const READY: Event<Selected> = Event::new("ready");
    let trace = Trace::of("poe::files=trace");
    let kernel = Kernel::new();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(writer);
    Session::builder(Watched::new(reader).unwrap())
        .on(START, |cx, ()| -> HandlerResult {
            let watched = cx.heap.clone();
            cx.select(&watched, SelectMode::Read, READY, ())?;
            assert!(cx.select_pause(&watched, SelectMode::Read) && cx.select_resume(&watched, SelectMode::Read));
            Ok(())
        })
        .on(READY, |cx, selected| {
            assert!(cx.select_clear(&selected.handle, SelectMode::Read))
        })
        .create(&kernel)
        .unwrap();
    tokio::time::timeout(ms(10_000), kernel.run()).await.unwrap().unwrap();
    let lines = trace.lines();
    in_order(
        &lines,
        &[
            ": watched descriptor=",
            ": paused ",
            ": resumed ",
            ": ready ",
            ": ignored ",
        ],
    );
    assert!(
        lines[0].contains("mode=Read session=1 event=ready place=tests/it/traces.rs:"),
        "{lines:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_session_that_is_destroyed_tells_what_it_was() {
    #[cfg(unix)]
    crate::in_child::in_child!();
    let lines = traced("poe::destroy=trace").await;
    assert_eq!(lines.len(), 1, "{lines:?}");
    let wanted = "destroyed session=1 heap=\"u32\" options=[] handlers=[\"_start\", \"_stop\", ";
    assert!(lines[0].contains(wanted), "{lines:?}");
}

/// A session that makes one mistake after another, and ignores the results.
async fn mistakes(kernel: &Kernel) -> Result<(), poe::Error> {
    let other = Session::builder(())
        .on(START, |cx, ()| {
            cx.alias_set("taken").unwrap();
            cx.delay_set("tick", ms(100), ());
        })
        .on("tick", |_, ()| ());
    other.create(kernel).unwrap();
    Session::builder(())
        .on(START, |cx, ()| {
            let mistakes: [&str; 5] = ["post", "alias", "resolve", "count", "timer"];
            for mistake in mistakes {
                cx.yield_to(mistake, ());
            }
            cx.sig("DIE", "on die");
        })
        .on("post", |cx, ()| drop(cx.post("nobody", PING, 1)))
        .on("alias", |cx, ()| drop(cx.alias_set("taken")))
        .on("resolve", |cx, ()| drop(cx.alias_resolve("nobody")))
        .on("count", |cx, ()| drop(cx.refcount_decrement(cx.session_id(), "none")))
        .on("timer", |cx, ()| {
            let id = cx.delay_set("never", ms(10), ());
            cx.alarm_remove(id).unwrap();
            drop(cx.alarm_remove(id));
        })
        .on("on die", |cx, signal: Signal| {
            cx.sig_handled();
            crate::laws_kit::say(&signal.die().unwrap().failure);
        })
        .on(DEFAULT, |_, _| ())
        .create(kernel)
        .unwrap();
    kernel.run().await
}

const MISTAKES: [&str; 5] = [
    "post",
    "alias_set",
    "alias_resolve",
    "refcount_decrement",
    "alarm_remove",
];

#[tokio::test(start_paused = true)]
async fn returned_errors_are_traced_with_the_place_of_the_call() {
    #[cfg(unix)]
    crate::in_child::in_child!();
    let trace = Trace::of("poe::retvals=trace");
    mistakes(&kernel()).await.unwrap();
    let lines = trace.lines();
    assert_eq!(lines.len(), 5, "{lines:?}");
    for (line, method) in lines.iter().zip(MISTAKES) {
        assert!(line.contains(&format!("poe::retvals: {method} failed: ")), "{line}");
        assert!(
            line.contains("session=2 ") && line.contains("place=tests/it/traces.rs:"),
            "{line}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn assert_retvals_makes_each_of_them_a_die_that_names_the_culprit() {
    let kernel = poe::testing::builder().assert_retvals(true).build();
    mistakes(&kernel).await.unwrap();
    let died = crate::laws_kit::said();
    assert_eq!(died.len(), 5, "{died:?}");
    for (text, method) in died.iter().zip(MISTAKES) {
        assert!(text.contains(&format!("{method} at tests/it/traces.rs:")), "{text}");
    }
    assert!(
        died[1].contains("the alias `taken` is taken by session 1"),
        "{}",
        died[1]
    );
}

#[tokio::test(start_paused = true)]
async fn without_assert_retvals_nothing_of_that_happens() {
    mistakes(&kernel()).await.unwrap();
    assert!(crate::laws_kit::said().is_empty());
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "post at tests/it/traces.rs:")]
async fn assert_retvals_outside_of_handlers_is_a_panic_of_the_caller() {
    let kernel = poe::testing::builder().assert_retvals(true).build();
    let _ = kernel.post("nobody", PING, 1);
}

#[tokio::test(start_paused = true)]
async fn assert_data_finds_nothing_in_a_consistent_kernel() {
    let kernel = poe::testing::builder().budget(1).assert_data(true).build();
    busy_session().create(&kernel).unwrap();
    let parent = Session::builder(())
        .on(START, |cx, ()| {
            for n in 0..5 {
                let child = Session::builder(())
                    .on(START, move |cx, ()| {
                        cx.delay_set("end", ms(n), ());
                        cx.spawn(async move { tokio::time::sleep(ms(2 * n)).await }, "end");
                        let postback = cx.postback::<u8, u8>("end", 1);
                        cx.delay_set("with a postback", ms(3), postback);
                    })
                    .on(DEFAULT, |_, _| ());
                cx.create(child).unwrap();
            }
        })
        .on(DEFAULT, |_, _| ());
    parent.create(&kernel).unwrap();
    let held = kernel.hold_session(kernel.session_by_number(1).unwrap()).unwrap();
    while !kernel.snapshot().queue.is_empty() {
        kernel.run_one_timeslice().await.unwrap();
        kernel.check().unwrap();
    }
    drop(held);
    run(&kernel).await;
}

/// `tracing-sane-exit`: with everything traced the same happens, and the end comes as soon.
#[tokio::test(start_paused = true)]
async fn everything_traced_ends_as_well() {
    #[cfg(unix)]
    crate::in_child::in_child!();
    let started = tokio::time::Instant::now();
    let lines = traced("poe=trace").await;
    assert!(lines.len() > 20, "{lines:?}");
    assert_eq!(started.elapsed().as_millis(), 5, "when its timer was due");
}

/// A subscriber is a user's code: it may look at the kernel, which lends nothing of itself to it.
#[tokio::test(start_paused = true)]
async fn a_subscriber_may_ask_the_kernel() {
    use std::cell::RefCell;
    thread_local! {
        static KERNEL: RefCell<Option<Kernel>> = const { RefCell::new(None) };
    }
    struct Asks;
    impl std::io::Write for Asks {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let kernel = KERNEL.with_borrow(Clone::clone);
            if let Some(kernel) = kernel {
                assert!(kernel.snapshot().sessions.len() <= 1);
                let _ = kernel.resolve("busy");
            }
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter("poe=trace")
        .with_writer(|| Asks)
        .finish();
    let guard = tracing::subscriber::set_default(subscriber);
    let kernel = kernel();
    KERNEL.set(Some(kernel.clone()));
    busy_session().create(&kernel).unwrap();
    run(&kernel).await;
    KERNEL.set(None);
    drop(guard);
}
