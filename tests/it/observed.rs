//! Observers of a kernel, and looks from other threads.

use poe::component::{Backoff, ChildReport, ChildSpec, Strategy, Supervisor};
use poe::event::START;
use poe::inspect::{DeadLetter, Die, Dispatch, Look, Observation, Observer, Outcome};
use poe::{Event, HandlerResult, Kernel, OnFailure, Session, testing};
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

const WORK: Event<u32> = Event::new("work");
const FAIL: Event<()> = Event::new("fail");

#[derive(Default)]
struct Notes {
    lines: RefCell<Vec<String>>,
    /// Dispatches that it wants yet.
    wanted: Cell<usize>,
    polls: Cell<usize>,
}

impl Notes {
    fn note(&self, line: String) {
        self.lines.borrow_mut().push(line);
    }

    fn take(&self) -> Vec<String> {
        self.lines.take()
    }
}

struct Watch(Rc<Notes>);

impl Observer for Watch {
    fn wants_dispatches(&self) -> bool {
        self.0.wanted.get() > 0
    }

    fn dispatched(&self, dispatch: &Dispatch<'_>) {
        self.0.wanted.set(self.0.wanted.get() - 1);
        let outcome = match dispatch.outcome {
            Outcome::Handled => "handled".to_owned(),
            Outcome::Unhandled => "unhandled".to_owned(),
            Outcome::Failed(failure) => failure.to_string(),
            _ => unreachable!("no other outcome"),
        };
        let place = dispatch.place.file().ends_with("observed.rs");
        assert!(place || dispatch.event.starts_with('_'), "{dispatch:?}");
        self.0
            .note(format!("{} {} {outcome}", dispatch.session, dispatch.event));
    }

    fn wants_polls(&self) -> bool {
        true
    }

    fn polled(&self, _: Duration) {
        self.0.polls.set(self.0.polls.get() + 1);
    }

    fn failed(&self, die: &Die, consequence: &str) {
        self.0.note(format!(
            "failed: {} in {} of {}: {consequence}",
            die.failure, die.event, die.session
        ));
    }

    fn dead_letter(&self, letter: &DeadLetter) {
        self.0.note(format!("dead letter: {}, {}", letter.event, letter.target));
    }

    fn reported(&self, report: &dyn Any) {
        if let Some(report) = report.downcast_ref::<ChildReport>() {
            self.0.note(format!("report: {report}"));
        }
    }
}

fn worker() -> poe::SessionBuilder<u32> {
    Session::builder(0)
        .on(START, |cx, ()| -> HandlerResult {
            cx.refcount_increment(cx.session_id(), "alive")?;
            Ok(cx.alias_set("worker")?)
        })
        .on(WORK, |cx, n| *cx.heap += n)
        .on(FAIL, |_, ()| -> HandlerResult { Err("on purpose".into()) })
}

#[tokio::test(start_paused = true)]
async fn an_observer_sees_each_dispatch_that_it_wants_and_no_more() {
    let kernel = testing::builder().on_failure(OnFailure::StopSession).build();
    let notes = Rc::new(Notes::default());
    let observation = kernel.observe(Watch(notes.clone()));
    let id = worker().create(&kernel).unwrap();
    kernel.post(id, WORK, 1).unwrap();
    testing::run_for(&kernel, Duration::from_millis(1)).await.unwrap();
    assert_eq!(notes.take(), Vec::<String>::new(), "it wants none");
    assert!(notes.polls.get() > 0);

    notes.wanted.set(2);
    for _ in 0..5 {
        kernel.post(id, WORK, 1).unwrap();
    }
    testing::run_for(&kernel, Duration::from_millis(1)).await.unwrap();
    assert_eq!(notes.take(), ["1 work handled", "1 work handled"], "it wants two");

    notes.wanted.set(100);
    kernel.post(id, "unknown", ()).unwrap();
    kernel.post(id, FAIL, ()).unwrap();
    kernel.post(id, WORK, 1).unwrap();
    testing::run_for(&kernel, Duration::from_millis(1)).await.unwrap();
    let seen = notes.take();
    assert_eq!(&seen[..2], ["1 unknown unhandled", "1 fail on purpose"]);
    let failure = "failed: on purpose in fail of 1: the session and its descendants are stopped";
    assert!(seen.iter().any(|line| line == failure), "{seen:?}");

    kernel.handle().post("worker", WORK, 1).unwrap();
    testing::run_for(&kernel, Duration::from_millis(1)).await.unwrap();
    assert!(
        notes
            .take()
            .contains(&"dead letter: work, no session has the alias `worker`".to_owned())
    );

    // When it is removed it is dropped, and gets nothing more.
    observation.end();
    testing::run_for(&kernel, Duration::from_millis(1)).await.unwrap();
    assert_eq!(Rc::strong_count(&notes), 1);
}

#[tokio::test(start_paused = true)]
async fn an_observer_sees_a_supervisors_children() {
    let kernel = testing::kernel();
    let notes = Rc::new(Notes::default());
    let _observation = kernel.observe(Watch(notes.clone()));
    let supervisor = Supervisor::builder(Strategy::OneForOne)
        .name("boss")
        .child(
            ChildSpec::new("worker", |cx| cx.create(worker()))
                .backoff(Backoff::new().first(Duration::from_secs(1)).jitter(0.0)),
        )
        .start(&kernel)
        .unwrap();
    testing::run_for(&kernel, Duration::from_millis(1)).await.unwrap();
    kernel.post("worker", FAIL, ()).unwrap();
    testing::run_for(&kernel, Duration::from_secs(2)).await.unwrap();
    let seen = notes.take();
    let reports: Vec<_> = seen.iter().filter(|line| line.starts_with("report")).collect();
    assert_eq!(reports.len(), 3, "{seen:?}");
    assert!(
        reports[1].contains("on purpose") && reports[2].contains("1 restart so far"),
        "{seen:?}"
    );
    assert!(
        seen.iter().any(|line| line.starts_with("failed: on purpose")),
        "{seen:?}"
    );
    supervisor.shutdown();
    kernel.run().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_an_observer_harms_nobody() {
    struct Bad;
    impl Observer for Bad {
        fn wants_dispatches(&self) -> bool {
            true
        }
        fn dispatched(&self, _: &Dispatch<'_>) {
            panic!("an observer's own fault");
        }
    }
    let kernel = testing::kernel();
    let _observation = kernel.observe(Bad);
    let id = worker().create(&kernel).unwrap();
    kernel.post(id, WORK, 1).unwrap();
    testing::run_for(&kernel, Duration::from_millis(1)).await.unwrap();
    assert!(kernel.is_alive(id));
}

/// What a look returns, while the kernel runs for a moment.
async fn look<T: Send + 'static>(
    kernel: &Kernel,
    observation: &Observation,
    look: impl FnOnce(Look<'_>) -> T + Send + 'static,
) -> T {
    // From another thread, as an inspector does.
    let observation = observation.clone();
    let asked = std::thread::spawn(move || observation.look(look)).join().unwrap();
    testing::run_for(kernel, Duration::from_millis(1)).await.unwrap();
    asked.await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn another_thread_looks_at_a_kernel_in_parts() {
    let kernel = testing::kernel();
    let observation = kernel.observe(Watch(Rc::default()));
    let parent = Session::builder(())
        .on(START, |cx, ()| -> HandlerResult {
            cx.alias_set("parent")?;
            for number in 0..25_u32 {
                let child = Session::builder(number).on(START, |cx, ()| {
                    let hours = Duration::from_secs(3600 * u64::from(30 - *cx.heap));
                    cx.delay(WORK, hours, 0);
                });
                cx.create(child.on(WORK, |_, _| ()))?;
            }
            for _ in 0..3 {
                cx.spawn(std::future::pending::<()>(), "never");
            }
            cx.sig("reload", "on reload");
            Ok(())
        })
        .create(&kernel)
        .unwrap();

    testing::run_for(&kernel, Duration::from_millis(1)).await.unwrap();
    let stats = look(&kernel, &observation, |kernel| kernel.stats()).await;
    assert_eq!(
        (stats.sessions, stats.sessions_created, stats.timers, stats.tasks),
        (26, 26, 25, 3)
    );
    assert_eq!((stats.queue, stats.timers_set, stats.is_running), (0, 25, true));

    // Pages have every session once, with what the whole snapshot has of it.
    let (mut rows, mut from, mut pages) = (Vec::new(), Some(0), 0);
    while let Some(start) = from {
        let page = look(&kernel, &observation, move |kernel| kernel.sessions(start, 10)).await;
        assert!(page.sessions.len() <= 10);
        (from, pages) = (page.next, pages + 1);
        rows.extend(page.sessions);
    }
    assert_eq!(pages, 3);
    rows.sort_by_key(|row| row.id);
    let whole = kernel.snapshot();
    assert_eq!(rows.len(), whole.sessions.len());
    for (row, session) in rows.iter().zip(&whole.sessions) {
        assert_eq!(
            (row.id, row.parent, &row.aliases),
            (session.id, session.parent, &session.aliases)
        );
        assert_eq!(
            (row.refcount, row.heap_type, row.place),
            (session.refcount, session.heap_type, session.place)
        );
        // One session alone is the same as in the whole.
        let id = row.id;
        let alone = look(&kernel, &observation, move |kernel| kernel.session(id))
            .await
            .unwrap();
        assert_eq!(format!("{alone:?}"), format!("{session:?}"));
    }

    let timers = look(&kernel, &observation, |kernel| kernel.timers(4)).await;
    let expected: Vec<_> = whole
        .queue
        .iter()
        .filter(|event| event.due.is_some())
        .take(4)
        .cloned()
        .collect();
    assert_eq!(timers, expected, "those that are due first");
    assert_eq!(timers[0].destination.get(), 26, "the youngest");
    let page = look(&kernel, &observation, |kernel| kernel.tasks(0, 2)).await;
    assert_eq!(
        (page.tasks.len(), page.tasks[0].0, &*page.tasks[0].1.name),
        (2, parent, "never")
    );
    let rest = look(&kernel, &observation, move |kernel| kernel.tasks(page.next.unwrap(), 2)).await;
    assert_eq!((rest.tasks.len(), rest.next), (1, None));
    let named = look(&kernel, &observation, |kernel| {
        (kernel.session_by_number(1), kernel.session("nobody").is_none())
    });
    assert_eq!(named.await, (Some(parent), true));
    let why = look(&kernel, &observation, |kernel| kernel.why_alive().to_string()).await;
    assert!(why.contains("task `never`"), "{why}");
    // A handle, to do something.
    look(&kernel, &observation, |kernel| {
        kernel
            .handle()
            .signal(kernel.session_by_number(1).unwrap(), "KILL", ())
            .unwrap()
    })
    .await;
    testing::run_for(&kernel, Duration::from_millis(1)).await.unwrap();
    assert_eq!(kernel.session_count(), 0);

    drop(kernel);
    assert!(observation.is_closed());
    assert!(observation.look(|kernel| kernel.stats()).await.is_none());
    assert!(observation.probe().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_probe_waits_as_long_as_an_event_does() {
    let kernel = testing::kernel();
    let observation = kernel.observe(Watch(Rc::default()));
    let id = worker().create(&kernel).unwrap();
    let probe = observation.probe();
    let queued = {
        testing::run_for(&kernel, Duration::from_millis(1)).await.unwrap();
        probe.await.unwrap()
    };
    assert_eq!(
        queued,
        Duration::ZERO,
        "nothing is ahead of it, and virtual time stands still"
    );
    assert_eq!(
        kernel.snapshot().kernel_refcount,
        1,
        "it has left nothing behind: the worker is the kernel's child"
    );
    // It keeps no run alive.
    kernel.refcount_decrement(id, "alive").unwrap();
    kernel.run().await.unwrap();
}

#[tokio::test]
async fn an_observation_keeps_neither_kernel_nor_service_alive() {
    let kernel = Kernel::new();
    let observation = kernel.observe(Watch(Rc::default()));
    tokio::time::timeout(Duration::from_secs(20), kernel.serve())
        .await
        .expect("there is no handle")
        .unwrap();
    drop(kernel);
    assert!(observation.is_closed());
}

#[tokio::test]
async fn a_snapshot_has_what_a_wheel_has_read_and_written() {
    use poe::filter::Line;
    use poe::wheel::{Input, ReadWrite};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    const LINE: Event<Input<String>> = Event::new("line");
    let kernel = Kernel::new();
    let observation = kernel.observe(Watch(Rc::default()));
    let (mine, mut peer) = tokio::io::duplex(8);
    let stream = Cell::new(Some(mine));
    Session::builder(None)
        .on(START, move |cx, ()| -> HandlerResult {
            let wheel = ReadWrite::builder(stream.take().unwrap())
                .input(Line::new(), LINE)
                .watermarks(1000, 10);
            *cx.heap = Some(wheel.start(cx)?);
            Ok(())
        })
        .on(LINE, |cx, input| {
            let text = "x".repeat(98);
            if let Some(wheel) = &mut *cx.heap {
                wheel.put(text).unwrap();
                wheel.pause_input();
            }
            drop(input);
        })
        .create(&kernel)
        .unwrap();
    let talk = async {
        peer.write_all(b"go\r\n").await.unwrap();
        let mut first = [0; 5];
        peer.read_exact(&mut first).await.unwrap();
        loop {
            let page = observation.look(|kernel| kernel.tasks(0, 10)).await.unwrap();
            let seen = page.tasks[0].1.stream.unwrap();
            assert_eq!((seen.bytes_read, seen.high_mark, seen.is_paused), (4, Some(1000), true));
            assert_eq!(seen.bytes_written as usize + seen.buffered, 100, "{seen:?}");
            if seen.bytes_written >= 8 {
                assert!(seen.bytes_written <= 13, "the peer has taken no more: {seen:?}");
                break;
            }
        }
        observation
            .look(|kernel| {
                kernel
                    .handle()
                    .signal(kernel.session_by_number(1).unwrap(), "KILL", ())
                    .unwrap()
            })
            .await
            .unwrap();
    };
    let (ran, ()) = tokio::join!(kernel.run(), talk);
    ran.unwrap();
}
