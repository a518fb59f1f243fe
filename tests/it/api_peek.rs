//! POE::API::Peek, row by row: each test puts the row's question to a snapshot.

use crate::laws_kit::{kernel, ms, nothing};
use crate::peek_kit::Peek as _;
use poe::event::{START, STOP};
use poe::testing::assert_no_leaks;
use poe::{
    Context, Event, Kernel, Nfa, Session, SessionBuilder, SessionId, Signal,
    inspect::{EventId, EventType, HoldKind, SignalClass, Snapshot},
};
use std::time::Duration;

const PING: Event<()> = Event::new("ping");

/// A session that a timer of a minute keeps alive.
fn lasting(start: impl Fn(&mut Context<'_, ()>) + 'static) -> SessionBuilder<()> {
    Session::builder(())
        .on(START, move |cx, ()| {
            cx.delay_set("later", Duration::from_secs(60), ());
            start(cx);
        })
        .on("later", |_, ()| ())
        .on(PING, |_, ()| ())
        .on(STOP, |_, ()| ())
}

/// Dispatches waiting events, so that new sessions have lost their markers.
async fn settle(kernel: &Kernel) {
    assert!(kernel.run_one_timeslice().await.unwrap());
}

async fn three(kernel: &Kernel) -> (SessionId, SessionId, SessionId) {
    let alone = lasting(nothing).create(kernel).unwrap();
    let parent = lasting(|cx| {
        cx.alias_set("parent").unwrap();
        cx.alias_set("a parent").unwrap();
        cx.create(lasting(|cx| cx.alias_set("child").unwrap())).unwrap();
    });
    let parent = parent.create(kernel).unwrap();
    settle(kernel).await;
    (alone, parent, kernel.resolve("child").unwrap())
}

#[tokio::test(start_paused = true)]
async fn id_is_the_kernels() {
    let kernel = kernel();
    assert_eq!(kernel.snapshot().kernel_id, kernel.id());
    assert!(kernel.snapshot().kernel_id.is_kernel());
}

#[tokio::test(start_paused = true)]
async fn is_kernel_running_tells_the_truth() {
    let kernel = kernel();
    assert!(!kernel.snapshot().is_running);
    Session::builder(())
        .on(START, |cx, ()| {
            assert!(!cx.snapshot().is_running);
            cx.yield_to(PING, ());
        })
        .on(PING, |cx, ()| assert!(cx.snapshot().is_running))
        .create(&kernel)
        .unwrap();
    kernel.run().await.unwrap();
    assert!(!kernel.snapshot().is_running);
}

#[tokio::test(start_paused = true)]
async fn active_event_and_current_session_are_those_of_the_running_handler() {
    let kernel = kernel();
    let outside = kernel.snapshot();
    assert_eq!((outside.active_session, outside.active_event), (kernel.id(), None));
    lasting(|cx| {
        let inside = cx.snapshot();
        assert_eq!(inside.active_session, cx.session_id());
        assert_eq!(inside.active_event.as_deref(), Some("_start"));
    })
    .create(&kernel)
    .unwrap();
}

#[tokio::test(start_paused = true)]
async fn which_loop_is_tokio() {
    assert_eq!(kernel().snapshot().which_loop, "Tokio");
}

#[tokio::test(start_paused = true)]
async fn memory_sizes_grow_with_what_is_held() {
    let kernel = kernel();
    let empty = kernel.snapshot().memory_size;
    let small = Session::builder(()).on(START, |_, ()| ()).create(&kernel).unwrap();
    let large = Session::builder([0_u8; 4096])
        .on(START, |_, ()| ())
        .create(&kernel)
        .unwrap();
    for _ in 0..1000 {
        kernel.post(small, PING, ()).unwrap();
    }
    let snapshot = kernel.snapshot();
    assert!(snapshot.memory_size > empty + 1000 * 48);
    let (small, large) = (snapshot.session(small).unwrap(), snapshot.session(large).unwrap());
    assert!(
        large.memory_size > 4096 && large.memory_size < 5000,
        "{}",
        large.memory_size
    );
    assert!(small.memory_size > 1000 * 48, "{}", small.memory_size);
}

#[tokio::test(start_paused = true)]
async fn event_list_and_session_event_list_have_the_handlers_names_sorted() {
    let kernel = kernel();
    let (alone, ..) = three(&kernel).await;
    let snapshot = kernel.snapshot();
    assert_eq!(snapshot.session_event_list(alone), ["_start", "_stop", "later", "ping"]);
    let list = snapshot.event_list();
    assert_eq!(list.len(), 3, "the kernel is left out");
    assert_eq!(list[&alone], snapshot.session_event_list(alone));
    assert!(snapshot.session_event_list("nobody").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_machine_shows_the_handlers_of_all_its_states() {
    let kernel = kernel();
    let id = Nfa::builder(7_u8)
        .state("one", |s| s.on(PING, |_, ()| ()).on("b", |_, ()| ()))
        .state("two", |s| s.on("a", |_, ()| ()))
        .option("mine", "yes")
        .enter("one", PING, ())
        .start(&kernel)
        .unwrap()
        .id();
    let snapshot = kernel.snapshot();
    let machine = snapshot.session(id).unwrap();
    assert_eq!(machine.events, ["a", "b", "ping"]);
    assert_eq!(machine.heap_type, "u8");
    assert_eq!(machine.options["mine"], "1");
}

#[tokio::test(start_paused = true)]
async fn get_session_children_and_parent_are_the_direct_ones() {
    let kernel = kernel();
    let (alone, parent, child) = three(&kernel).await;
    let snapshot = kernel.snapshot();
    assert_eq!(snapshot.get_session_children(kernel.id()), [alone, parent]);
    assert_eq!(snapshot.get_session_children(parent), [child]);
    assert_eq!(snapshot.session(parent).unwrap().children, [child]);
    assert!(snapshot.get_session_children(child).is_empty());
    assert_eq!(snapshot.get_session_parent(child), Some(parent));
    assert_eq!(snapshot.get_session_parent(parent), Some(kernel.id()));
    assert_eq!(snapshot.get_session_parent(kernel.id()), None);
}

#[tokio::test(start_paused = true)]
async fn is_session_child_is_about_direct_children() {
    let kernel = kernel();
    let (alone, parent, child) = three(&kernel).await;
    let snapshot = kernel.snapshot();
    assert!(snapshot.is_session_child(parent, child));
    assert!(snapshot.is_session_child("parent", "child"));
    assert!(snapshot.is_session_child(kernel.id(), parent));
    assert!(!snapshot.is_session_child(kernel.id(), child), "a grandchild");
    assert!(!snapshot.is_session_child(alone, child));
    assert!(
        !snapshot.is_session_child("nobody", kernel.id()),
        "none is not none's child"
    );
}

#[tokio::test(start_paused = true)]
async fn sessions_are_resolved_by_id_and_by_alias() {
    let kernel = kernel();
    let (alone, parent, _) = three(&kernel).await;
    let snapshot = kernel.snapshot();
    assert_eq!(snapshot.resolve(alone), Some(alone));
    assert_eq!(snapshot.resolve("parent"), Some(parent));
    assert_eq!(snapshot.resolve(kernel.id()), Some(kernel.id()));
    assert_eq!(snapshot.session(alone).unwrap().id, alone);
    assert_eq!(snapshot.resolve_alias("a parent"), Some(parent));
    assert_eq!(snapshot.resolve_alias("nobody"), None);
    kernel.stop_all().unwrap();
    assert_eq!(kernel.snapshot().resolve(alone), None);
    assert_eq!(snapshot.resolve(alone), Some(alone), "a snapshot stays what it was");
}

#[tokio::test(start_paused = true)]
async fn get_session_refcount_is_the_sum_of_all_that_holds() {
    let kernel = kernel();
    let (alone, parent, child) = three(&kernel).await;
    let snapshot = kernel.snapshot();
    // A timer; a timer, two aliases and a child; a timer and an alias.
    let counts = [alone, parent, child].map(|id| snapshot.get_session_refcount(id));
    assert_eq!(counts, [1, 4, 2]);
    assert_eq!(snapshot.get_session_refcount(kernel.id()), 2, "its children");
    assert_eq!(snapshot.get_session_refcount("nobody"), 0);
    for session in &snapshot.sessions {
        let held: usize = session.holds.iter().map(|hold| hold.count).sum();
        assert_eq!(held, session.refcount, "{session}");
    }
}

#[tokio::test(start_paused = true)]
async fn session_count_and_session_list_leave_the_kernel_out() {
    let kernel = kernel();
    let (alone, parent, child) = three(&kernel).await;
    let snapshot = kernel.snapshot();
    assert_eq!(snapshot.session_count(), 3);
    assert_eq!(snapshot.session_list(), [alone, parent, child]);
}

#[tokio::test(start_paused = true)]
async fn session_alias_list_and_count() {
    let kernel = kernel();
    let (alone, parent, _) = three(&kernel).await;
    let snapshot = kernel.snapshot();
    assert_eq!(snapshot.session_alias_list(parent), ["a parent", "parent"]);
    assert_eq!(snapshot.session_alias_count(parent), 2);
    assert_eq!(snapshot.session_alias_count(alone), 0);
}

#[tokio::test(start_paused = true)]
async fn session_id_loggable_has_number_and_aliases() {
    let kernel = kernel();
    let (alone, parent, _) = three(&kernel).await;
    let snapshot = kernel.snapshot();
    assert_eq!(snapshot.session_id_loggable(alone).unwrap(), "session 1");
    assert_eq!(
        snapshot.session_id_loggable(parent).unwrap(),
        "session 2 (a parent, parent)"
    );
    assert_eq!(snapshot.session_id_loggable(kernel.id()).unwrap(), "session kernel");
    assert_eq!(snapshot.session_id_loggable("nobody"), None);
}

#[tokio::test(start_paused = true)]
async fn event_count_to_and_from_count_an_event_to_oneself_once() {
    let kernel = kernel();
    let (alone, parent, child) = three(&kernel).await;
    lasting(move |cx| {
        cx.alias_set("sender").unwrap();
        cx.yield_to(PING, ());
        cx.post(alone, PING, ()).unwrap();
        cx.post(child, PING, ()).unwrap();
    })
    .create(&kernel)
    .unwrap();
    kernel.post(parent, PING, ()).unwrap();
    let snapshot = kernel.snapshot();
    // Each has a timer; the sender also has its post to itself, and its marker.
    assert_eq!(snapshot.event_count_to("sender"), 3);
    assert_eq!(snapshot.event_count_from("sender"), 2);
    assert_eq!(snapshot.event_count_to(alone), 2);
    assert_eq!(snapshot.event_count_from(alone), 0);
    assert_eq!(snapshot.event_count_from(kernel.id()), 1);
    let sender = snapshot.session("sender").unwrap();
    assert_eq!((sender.events_to, sender.events_from), (3, 2));
}

#[tokio::test(start_paused = true)]
async fn event_queue_dump_is_in_the_order_of_dispatch() {
    let kernel = kernel();
    let id = lasting(|cx| {
        cx.yield_to("first", ());
        let overdue = cx.delay_set("overdue", -1.0, ());
        let soon = cx.delay_set("soon", ms(10), ());
        cx.yield_to("second", ());
        cx.signal(cx.session_id(), "USR1", ()).unwrap();
        assert_eq!((overdue.get(), soon.get()), (2, 3));
    })
    .create(&kernel)
    .unwrap();
    let snapshot = kernel.snapshot();
    let dump: Vec<_> = snapshot.queue.iter().map(|e| (&*e.event, e.kind.as_str())).collect();
    let wanted = [
        ("overdue", "Alarm"),
        ("first", "User"),
        ("second", "User"),
        ("USR1", "_signal"),
        ("_garbage_collect", "_garbage_collect"),
        ("soon", "Alarm"),
        ("later", "Alarm"),
    ];
    assert_eq!(dump, wanted);
    for (index, event) in snapshot.queue.iter().enumerate() {
        assert_eq!(event.index, index);
        assert_eq!((event.source, event.destination), (id, id));
        assert_eq!(event.due.is_some(), event.kind == EventType::Alarm);
        assert!(event.place.file().ends_with("api_peek.rs"));
    }
    assert!(matches!(snapshot.queue[0].id, EventId::Timer(id) if id.get() == 2));
    assert!(snapshot.queue[0].due < snapshot.queue[5].due);
    assert!(snapshot.queue[5].due < snapshot.queue[6].due);
    let timers: Vec<_> = snapshot.timers_of(id).iter().map(|e| &*e.event).collect();
    assert_eq!(timers, ["overdue", "soon", "later"]);
}

#[tokio::test(start_paused = true)]
async fn the_dump_is_what_is_dispatched_then() {
    let kernel = kernel();
    let seen = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
    let log = seen.clone();
    Session::builder(())
        .on(START, |cx, ()| {
            for n in 0..40_u64 {
                match n % 4 {
                    0 => cx.yield_to("e", n),
                    1 => drop(cx.delay_set("e", ms(n * 7 % 11), n)),
                    2 => drop(cx.delay_set("e", -1.0 / (n as f64), n)),
                    _ => now_and_then(n),
                }
            }
        })
        .on("e", move |cx, n: u64| {
            log.borrow_mut().push((n, cx.caller_place()));
        })
        .create(&kernel)
        .unwrap();
    let queue = kernel.snapshot().queue;
    let places: Vec<_> = queue.iter().filter(|e| e.event == "e").map(|e| e.place).collect();
    kernel.run().await.unwrap();
    let dispatched: Vec<_> = seen.borrow().iter().map(|(_, place)| *place).collect();
    assert_eq!(places.len(), 30);
    assert_eq!(places, dispatched);
}

/// Advances the clock at times, so that timers are overdue when others are set.
fn now_and_then(n: u64) {
    if n % 10 == 3 {
        crate::laws_kit::busy(1);
    }
}

#[tokio::test(start_paused = true)]
async fn extref_count_counts_sessions_and_the_sessions_count_tags() {
    let kernel = kernel();
    let (alone, parent, child) = three(&kernel).await;
    for (id, tag) in [(alone, "a"), (alone, "b"), (alone, "a"), (child, "c")] {
        kernel.refcount_increment(id, tag).unwrap();
    }
    let snapshot = kernel.snapshot();
    assert_eq!(snapshot.extref_count(), 2);
    let counts = [alone, parent, child].map(|id| snapshot.get_session_extref_count(id));
    assert_eq!(counts, [2, 0, 1]);
    let tags = &snapshot.session(alone).unwrap().refcounts;
    let tags: Vec<_> = tags.iter().map(|tag| (&*tag.tag, tag.count)).collect();
    assert_eq!(tags, [("a", 2), ("b", 1)]);
}

#[tokio::test(start_paused = true)]
async fn postbacks_show_by_their_events() {
    let kernel = kernel();
    let id = Session::builder(Vec::new())
        .on(START, |cx, ()| {
            for _ in 0..2 {
                let postback = cx.postback::<(), ()>("done", ());
                cx.heap.push(postback);
            }
        })
        .create(&kernel)
        .unwrap();
    let snapshot = kernel.snapshot();
    let postbacks = &snapshot.session(id).unwrap().postbacks;
    assert_eq!((&*postbacks[0].tag, postbacks[0].count), ("done", 2));
    assert_eq!(snapshot.get_session_extref_count(id), 1);
}

#[cfg(unix)]
#[tokio::test]
async fn handles_are_tracked_by_mode_and_counted_once() {
    use poe::unix::{SelectMode, Selected, Watched};
    const READY: Event<Selected> = Event::new("ready");
    let kernel = Kernel::new();
    let (one, other) = std::os::unix::net::UnixStream::pair().unwrap();
    let (one, other) = (Watched::new(one).unwrap(), Watched::new(other).unwrap());
    let watched = (one.clone(), other.clone());
    let both = lasting(move |cx| {
        cx.select(&watched.0, SelectMode::Read, READY, ()).unwrap();
        cx.select(&watched.0, SelectMode::Write, READY, ()).unwrap();
        cx.select(&watched.1, SelectMode::Read, READY, ()).unwrap();
        assert!(cx.select_pause(&watched.1, SelectMode::Read));
    });
    let both = both.create(&kernel).unwrap();
    let shared = one.clone();
    let single = lasting(move |cx| cx.select(&shared, SelectMode::Read, READY, ()).unwrap());
    let single = single.create(&kernel).unwrap();
    let snapshot = kernel.snapshot();
    assert!(snapshot.is_handle_tracked(&one, SelectMode::Read));
    assert!(snapshot.is_handle_tracked(&one, SelectMode::Write));
    assert!(!snapshot.is_handle_tracked(&one, SelectMode::Expedite));
    assert!(!snapshot.is_handle_tracked(&other, SelectMode::Write));
    assert_eq!(snapshot.handle_count(), 2);
    assert_eq!(snapshot.session_handle_count(both), 2);
    assert_eq!(snapshot.session_handle_count(single), 1);
    let files = &snapshot.session(both).unwrap().files;
    assert_eq!(files.len(), 3);
    assert!(
        files
            .iter()
            .all(|file| file.event == "ready" && file.place.file().ends_with("api_peek.rs"))
    );
    assert_eq!(files.iter().filter(|file| file.is_paused).count(), 1);
    kernel.stop_all().unwrap();
}

#[cfg(unix)]
#[tokio::test]
async fn session_pid_count_simply_works() {
    crate::in_child::in_child!();
    const ENDED: Event<poe::unix::ProcessExit> = Event::new("ended");
    let kernel = Kernel::new();
    let child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
    let pid = child.id();
    let id = Session::builder(Some(child))
        .on(START, |cx, ()| -> poe::HandlerResult {
            if let Some(mut child) = cx.heap.take() {
                cx.sig_child(&child, ENDED, ())?;
                child.kill()?;
                *cx.heap = Some(child);
            }
            Ok(())
        })
        .on(ENDED, |cx, _| {
            assert_eq!(cx.snapshot().session_pid_count(cx.session_id()), 0);
        })
        .create(&kernel)
        .unwrap();
    let snapshot = kernel.snapshot();
    assert_eq!(snapshot.session_pid_count(id), 1);
    let awaited = &snapshot.session(id).unwrap().pids[0];
    assert_eq!((awaited.pid, &*awaited.event), (pid, "ended"));
    kernel.run().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn safe_signals_and_signal_types() {
    let snapshot = kernel().snapshot();
    assert_eq!(snapshot.get_signal_type("TERM"), SignalClass::Terminal);
    assert_eq!(snapshot.get_signal_type("ZOMBIE"), SignalClass::NonMaskable);
    assert_eq!(snapshot.get_signal_type("USR1"), SignalClass::Benign);
    #[cfg(unix)]
    {
        let safe = Kernel::safe_signals();
        assert!(safe.contains(&"USR1") && !safe.contains(&"SEGV"));
    }
}

#[tokio::test(start_paused = true)]
async fn signal_watchers_by_signal_and_by_session() {
    let kernel = kernel();
    let on = |signal: &'static str, event: &'static str| {
        lasting(move |cx| {
            cx.sig(signal, event);
            cx.sig("TERM", "on term");
        })
        .on("on term", |_, _: Signal| ())
        .create(&kernel)
        .unwrap()
    };
    let (one, two) = (on("mine", "on mine"), on("other", "on other"));
    let snapshot = kernel.snapshot();
    assert!(snapshot.is_signal_watched("mine") && !snapshot.is_signal_watched("HUP"));
    assert!(snapshot.is_signal_watched_by_session("mine", one));
    assert!(!snapshot.is_signal_watched_by_session("mine", two));
    let of_one: Vec<_> = snapshot.signals_watched_by_session(one).into_iter().collect();
    assert_eq!(of_one, [("TERM", "on term"), ("mine", "on mine")]);
    let of_term: Vec<_> = snapshot.signal_watchers("TERM").into_iter().collect();
    assert_eq!(of_term, [(one, "on term"), (two, "on term")]);
    assert!(snapshot.signal_watchers("HUP").is_empty());
}

#[tokio::test]
async fn wheels_and_tasks_show_with_their_places() {
    use poe::filter::Line;
    use poe::wheel::{Input, ReadWrite};
    const LINE: Event<Input<String>> = Event::new("line");
    let kernel = Kernel::new();
    let (near, _far) = tokio::io::duplex(64);
    let near = std::cell::Cell::new(Some(near));
    let id = Session::builder(None)
        .on(START, move |cx, ()| {
            cx.spawn(std::future::pending::<()>(), "never");
            let io = near.take().unwrap();
            *cx.heap = Some(ReadWrite::builder(io).input(Line::new(), LINE).start(cx));
        })
        .create(&kernel)
        .unwrap();
    let snapshot = kernel.snapshot();
    let session = snapshot.session(id).unwrap();
    assert_eq!(
        (&*session.tasks[0].name, session.tasks[0].kind),
        ("never", HoldKind::Task)
    );
    assert_eq!(
        (&*session.wheels[0].name, session.wheels[0].kind),
        ("ReadWrite 1", HoldKind::Wheel)
    );
    assert!(session.wheels[0].place.file().ends_with("api_peek.rs"));
    assert_eq!((session.tasks.len(), session.wheels.len()), (1, 1));
    kernel.stop_all().unwrap();
    assert_no_leaks(&kernel);
}

#[tokio::test(start_paused = true)]
async fn options_and_the_place_of_creation_show() {
    let kernel = kernel();
    let line = line!() + 1;
    let id = lasting(nothing).option("Mine", "on").create(&kernel).unwrap();
    let snapshot = kernel.snapshot();
    let session = snapshot.session(id).unwrap();
    assert_eq!(session.options["mine"], "1");
    assert_eq!(session.place.line(), line);
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_prints_for_people() {
    let kernel = kernel();
    three(&kernel).await;
    let text = kernel.snapshot().to_string();
    let wanted = [
        "kernel on Tokio, not running; 3 sessions, 3 events\n",
        "session 2 (a parent, parent), child of kernel, heap (), created at ",
        "4 references, 1 event to it and 0 from it\n  handles _start, _stop, later, ping\n",
        "  alias `parent` (",
        "\nqueue:\n  0: Alarm `later`, 1 to 1, timer 1 (",
    ];
    for part in wanted {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_is_data_for_other_threads() {
    fn is_plain<T: Send + Sync + Clone + 'static>(_: &T) {}
    let kernel = kernel();
    three(&kernel).await;
    let snapshot: Snapshot = kernel.snapshot();
    is_plain(&snapshot);
    let count = std::thread::spawn(move || snapshot.session_count()).join().unwrap();
    assert_eq!(count, 3);
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_serializes() {
    let kernel = kernel();
    three(&kernel).await;
    let json = serde_json::to_value(kernel.snapshot()).unwrap();
    assert_eq!(json["kernel_id"], 0);
    assert_eq!(json["sessions"][1]["aliases"][1], "parent");
    assert_eq!(json["sessions"][1]["children"][0], 3);
    assert_eq!(json["queue"][0]["event"], "later");
    assert_eq!(json["queue"][0]["id"]["timer"], 1);
    let place = json["sessions"][0]["place"].as_str().unwrap();
    assert!(place.contains("api_peek.rs:"), "{place}");
    assert_eq!(json["sessions"][0]["holds"][0]["kind"], "timer");
}
