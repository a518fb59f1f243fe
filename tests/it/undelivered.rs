//! An event without a handler is logged at level DEBUG, with its name, session, sender and place, whatever the reason.

use crate::in_child::in_child;
use crate::laws_kit::{go, kernel, life, lives, ms, run};
use crate::traced::Trace;
use poe::event::START;
use poe::{Event, Kernel, Nfa, Session};

const HEARD: Event<poe::Signal> = Event::new("heard");

/// The lines about lost events: `event session sender file reason`.
fn lost(trace: &Trace) -> Vec<String> {
    let field = |line: &str, name: &str| {
        let (_, rest) = line.split_once(&format!(" {name}="))?;
        // A text stands in quotation marks.
        let end = match rest.strip_prefix('"') {
            Some(text) => text.find('"')? + 2,
            None => rest.find(' ').unwrap_or(rest.len()),
        };
        Some(rest[..end].trim_matches('"').to_owned())
    };
    let lines = trace.lines();
    let lost = lines.iter().filter(|line| line.contains("an event is lost: "));
    lost.map(|line| {
        assert!(line.starts_with("DEBUG"), "{line}");
        let why = line.split("an event is lost: ").nth(1).unwrap();
        let why = why.split(" event=").next().unwrap();
        let place = field(line, "place").unwrap();
        let (file, number) = place.rsplit_once(':').unwrap().0.rsplit_once(':').unwrap();
        assert!(file.ends_with(".rs") && number.parse::<u32>().is_ok(), "{line}");
        let [event, session, sender] = ["event", "session", "sender"].map(|name| field(line, name).unwrap());
        format!("{event} to {session} from {sender}: {why}")
    })
    .collect()
}

const NO_HANDLER: &str = "the session has no handler for it";

#[tokio::test(start_paused = true)]
async fn an_event_without_a_handler_is_logged() {
    in_child!();
    let trace = Trace::of("poe=debug");
    let kernel = kernel();
    let a = life("A", |cx| {
        cx.yield_to("yielded", ());
        cx.delay("delayed", ms(5), ());
        cx.spawn(async {}, "spawned");
        cx.sig("USR1", "signalled");
        let me = cx.session_id();
        assert!(cx.call::<(), ()>(me, "called by itself", ()).is_err());
        cx.signal(me, "USR1", ()).unwrap();
    })
    .create(&kernel)
    .unwrap();
    kernel.post(a, "posted", ()).unwrap();
    assert!(kernel.call::<(), ()>(a, "called", ()).is_err());
    let handle = kernel.handle();
    handle.post(a, "posted from elsewhere", ()).unwrap();
    run(&kernel).await;
    let mut told = lost(&trace);
    told.sort();
    let mut expected = ["called by itself", "yielded", "delayed", "spawned"]
        .map(|event| format!("{event} to 1 from 1: {NO_HANDLER}"))
        .to_vec();
    expected.extend(
        ["called", "posted", "posted from elsewhere", "signalled"]
            .map(|event| format!("{event} to 1 from kernel: {NO_HANDLER}")),
    );
    expected.sort();
    assert_eq!(told, expected);
}

/// And what has a handler, or an option or `_default` for one, is not; nor are the events of a session's life.
#[tokio::test(start_paused = true)]
async fn an_event_that_is_handled_is_not_reported() {
    in_child!();
    let trace = Trace::of("poe=debug");
    let kernel = kernel();
    Session::builder(())
        .on(START, |cx, ()| -> poe::HandlerResult {
            cx.yield_to("anything", ());
            cx.create(
                Session::builder(())
                    .on(START, |cx, ()| cx.yield_to("go", ()))
                    .on("go", |_, ()| ()),
            )?;
            Ok(())
        })
        .on(poe::event::DEFAULT, |_, _| ())
        .create(&kernel)
        .unwrap();
    Session::builder(())
        .on(START, |cx, ()| -> poe::HandlerResult {
            cx.create(Session::builder(()).on(START, lives_a_little).on("bye", |_, ()| ()))?;
            Ok(())
        })
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(lost(&trace), [""; 0]);
}

fn lives_a_little(cx: &mut poe::Context<'_, ()>, _: ()) {
    cx.delay("bye", ms(5), ());
}

#[tokio::test(start_paused = true)]
async fn an_event_for_a_missing_session_is_logged() {
    in_child!();
    let trace = Trace::of("poe=debug");
    let kernel = kernel();
    let gone = life("gone", |_| ()).create(&kernel).unwrap();
    kernel.post(kernel.id(), "to the kernel", ()).unwrap();
    run(&kernel).await;
    assert!(kernel.post(gone, "late", ()).is_err());
    assert!(kernel.call::<(), ()>(gone, "late call", ()).is_err());
    assert!(kernel.post("nobody", "to an alias", ()).is_err());
    kernel.handle().post(kernel.id(), "from elsewhere", ()).unwrap();
    life("A", |cx| {
        let postback = cx.postback("weak", ()).weaken();
        let me = cx.session_id();
        cx.stop_all();
        let _ = postback.post(());
        cx.yield_to("to itself", ());
        cx.delay("later", ms(5), ());
        let _ = cx.post(me, "by its ID", ());
    })
    .create(&kernel)
    .unwrap();
    kernel.serve().await.unwrap();
    let ended = "the session has ended";
    let mut told = lost(&trace);
    told.sort();
    let mut expected = [
        "late to 1 from kernel: the session has ended, or never was".to_owned(),
        "late call to 1 from kernel: the session has ended, or never was".to_owned(),
        "to an alias to nobody from kernel: no session has the alias".to_owned(),
        "to the kernel to kernel from kernel: the kernel has no handlers".to_owned(),
        "weak to 2 from kernel: the session has ended, or never was".to_owned(),
        format!("to itself to 2 from 2: {ended}"),
        format!("later to 2 from 2: {ended}"),
        "by its ID to 2 from kernel: the session has ended, or never was".to_owned(),
        "from elsewhere to kernel from kernel: the kernel has no handlers".to_owned(),
    ];
    expected.sort();
    assert_eq!(told, expected);
}

/// What waits for a session goes with it, and what it has sent (L9).
#[tokio::test(start_paused = true)]
async fn an_event_whose_session_stops_before_its_turn_is_logged() {
    in_child!();
    let trace = Trace::of("poe=debug");
    let kernel = kernel();
    let other = life("other", lives(50))
        .on("from A", |_, ()| ())
        .create(&kernel)
        .unwrap();
    life("A", go)
        .on("go", move |cx, ()| {
            cx.delay("later", ms(5), ());
            cx.yield_to("soon", ());
            cx.post(other, "from A", ()).unwrap();
            // A signal without a watcher is normal.
            cx.signal(cx.session_id(), "unheard", ()).unwrap();
            cx.stop_all();
        })
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    let mut told = lost(&trace);
    told.sort();
    assert_eq!(
        told,
        [
            "bye to 1 from 1: the session has ended",
            "from A to 1 from 2: its sender has ended",
            "later to 2 from 2: the session has ended",
            "soon to 2 from 2: the session has ended",
        ]
    );
}

/// A machine refuses what its state does not know, and that is a failure; what it has put off goes with it.
#[tokio::test(start_paused = true)]
async fn the_postponed_events_of_a_machine_are_logged_when_it_ends() {
    in_child!();
    const CAR: Event<u32> = Event::new("car");
    let trace = Trace::of("poe=debug");
    let kernel = kernel();
    let machine = Nfa::builder(())
        .state("red", |s| s.on(CAR, |cx, n| cx.postpone(n)))
        .immediate()
        .start(&kernel)
        .unwrap();
    machine.goto_state(&kernel, "red", poe::event::SILENT, ()).unwrap();
    kernel.post(machine.id(), CAR, 1).unwrap();
    kernel.post(machine.id(), CAR, 2).unwrap();
    run(&kernel).await;
    assert_eq!(
        lost(&trace),
        ["car to 1 from kernel: the machine has ended, which had postponed it"; 2]
    );
}

#[cfg(unix)]
#[tokio::test]
async fn an_event_of_a_wheel_or_a_child_without_a_handler_is_logged() {
    in_child!();
    let trace = Trace::of("poe=debug");
    let kernel = Kernel::new();
    Session::builder(None)
        .on(START, |cx, ()| -> poe::HandlerResult {
            let (near, far) = tokio::io::duplex(64);
            drop(far);
            let wheel = poe::wheel::ReadWrite::builder(near)
                .input(poe::filter::Line::new(), "line")
                .error("broken");
            *cx.heap = Some(wheel.start(cx)?);
            let child = std::process::Command::new("true").spawn()?;
            cx.sig_child(child, "ended", ())?;
            cx.sig("CHLD", HEARD);
            cx.delay("drop", ms(300), ());
            Ok(())
        })
        .on("drop", |cx, ()| *cx.heap = None::<poe::wheel::ReadWrite>)
        .create(&kernel)
        .unwrap();
    tokio::time::timeout(std::time::Duration::from_secs(60), kernel.run())
        .await
        .unwrap()
        .unwrap();
    let mut told = lost(&trace);
    told.sort();
    let from = |who: &str, event: &str| format!("{event} to 1 from {who}: {NO_HANDLER}");
    assert_eq!(
        told,
        [from("1", "broken"), from("kernel", "ended"), from("kernel", "heard")]
    );
}
