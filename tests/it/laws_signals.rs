//! Laws G: signals through the tree of sessions. Those of the operating system are in `os_signals`.

use crate::laws_kit::*;
use crate::peek_kit::Peek as _;
use poe::event::{START, STOP};
use poe::{Event, HandlerResult, Kernel, Reply, Session, SessionBuilder, Signal, inspect::SignalClass};
use std::cell::Cell;
use std::rc::Rc;

const HEARD: Event<Signal> = Event::new("heard");

/// A session of that name that logs signals, and handles none.
fn hears(name: &'static str, signals: &'static [&'static str]) -> SessionBuilder<()> {
    life(name, move |cx| {
        for signal in signals {
            cx.sig(signal, HEARD);
        }
        cx.alias_set(name).unwrap();
        cx.delay("bye", ms(50), ());
    })
    .on("bye", move |cx, ()| {
        let _ = cx.alias_remove(name);
    })
    .on(HEARD, move |_, signal| say(format!("{name} hears {}", signal.name())))
}

/// The tree A(B(C)), D(E); all of them watch `signals`.
fn tree(kernel: &Kernel, signals: &'static [&'static str]) {
    hears("A", signals)
        .on("grow", move |cx, ()| {
            cx.create(hears("B", signals).on("grow", move |cx, ()| {
                cx.create(hears("C", signals)).unwrap();
            }))
            .unwrap();
            cx.call::<(), ()>("B", "grow", ()).unwrap();
        })
        .create(kernel)
        .unwrap();
    kernel.call::<(), ()>("A", "grow", ()).unwrap();
    hears("D", signals)
        .on("grow", move |cx, ()| {
            cx.create(hears("E", signals)).unwrap();
        })
        .create(kernel)
        .unwrap();
    kernel.call::<(), ()>("D", "grow", ()).unwrap();
    said();
}

fn heard() -> Vec<String> {
    said().into_iter().filter(|line| line.contains("hears")).collect()
}

/// A child's heap keeps the giver alive, an event of its parent's the receiver. The child is stopped first, and its heap is dropped
/// when both have been: the giver's mark is the later one, so it is collected first (law L29). Found by a random program
/// (seed 20261302, 20535).
#[tokio::test(start_paused = true)]
async fn l29_heaps_of_signaled_sessions_are_dropped_when_all_have_been_stopped() {
    type Given = poe::Postback<(), ()>;
    for signal in ["TERM", "KILL", "DIE", "UIDESTROY"] {
        let kernel = kernel();
        let receiver = life("receiver", |_| ()).create(&kernel).unwrap();
        let giver = life("giver", |_| ())
            .on("give", |cx, ()| Reply(cx.postback("back", ()) as Given))
            .create(&kernel)
            .unwrap();
        let parent = Session::builder(())
            .on(START, |_, ()| ())
            .on("go", move |cx, ()| -> HandlerResult {
                let child = Session::builder(None::<Given>)
                    .on(START, move |cx, ()| {
                        *cx.heap = Some(cx.call(giver, "give", ()).unwrap())
                    })
                    .on(STOP, |_, ()| say("child stop"));
                cx.create(child)?;
                Ok(cx.post(receiver, "hello", ())?)
            })
            .on(STOP, |_, ()| say("parent stop"))
            .create(&kernel)
            .unwrap();
        kernel.post(parent, "go", ()).unwrap();
        kernel.signal(parent, signal, ()).unwrap();
        run(&kernel).await;
        assert_eq!(
            said(),
            ["child stop", "parent stop", "giver stop", "receiver stop"],
            "{signal}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn l45_a_signal_queues_with_posts_and_is_lost_with_its_target() {
    let kernel = kernel();
    let a = hears("A", &["note"])
        .on("post", |_, n: i32| say(n))
        .create(&kernel)
        .unwrap();
    kernel.post(a, "post", 1).unwrap();
    kernel.signal(a, "note", ()).unwrap();
    kernel.post(a, "post", 2).unwrap();
    let dead = hears("dead", &["note"]).create(&kernel).unwrap();
    kernel.signal(dead, "KILL", ()).unwrap();
    kernel.signal(dead, "note", ()).unwrap();
    run(&kernel).await;
    let told: Vec<String> = said()
        .into_iter()
        .filter(|l| !l.contains("stop") && !l.contains("lose"))
        .collect();
    assert_eq!(told, ["1", "A hears note", "2"]);
    let refused = kernel.signal(dead, "note", "mine").unwrap_err();
    assert!(refused.is_no_such_session());
    assert_eq!(refused.into_arg(), "mine");
}

#[tokio::test(start_paused = true)]
async fn l46_the_deepest_generation_first_and_the_target_last() {
    let kernel = kernel();
    tree(&kernel, &["note"]);
    kernel.signal(kernel.id(), "note", ()).unwrap();
    run(&kernel).await;
    assert_eq!(
        heard(),
        [
            "C hears note",
            "E hears note",
            "B hears note",
            "D hears note",
            "A hears note"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn l46_a_signal_touches_sessions_that_do_not_watch_it() {
    let kernel = kernel();
    life("A", lives(50)).create(&kernel).unwrap();
    kernel.signal("nobody", "TERM", ()).unwrap_err();
    kernel.signal(kernel.id(), "TERM", ()).unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["A stop"]);
}

#[tokio::test(start_paused = true)]
async fn l47_of_siblings_the_youngest_first() {
    let kernel = kernel();
    for name in ["A", "B", "C"] {
        hears(name, &["note"]).create(&kernel).unwrap();
    }
    kernel.signal(kernel.id(), "note", ()).unwrap();
    run(&kernel).await;
    assert_eq!(heard(), ["C hears note", "B hears note", "A hears note"]);
}

#[tokio::test(start_paused = true)]
async fn l48_targets_and_watchers_are_as_they_were_when_the_dispatch_began() {
    let kernel = kernel();
    let late = Rc::new(Cell::new(false));
    let flag = late.clone();
    // B is asked first; it takes A's watcher away, gives D's a beginning, and makes a session.
    hears("A", &["note"])
        .on("deaf", |cx, ()| cx.sig_ignore("note"))
        .create(&kernel)
        .unwrap();
    hears("D", &[])
        .on("listen", |cx, ()| cx.sig("note", HEARD))
        .create(&kernel)
        .unwrap();
    hears("B", &["note"])
        .on(HEARD, move |cx, signal| -> HandlerResult {
            say(format!("B hears {}", signal.name()));
            if !flag.replace(true) {
                cx.call::<(), ()>("A", "deaf", ())?;
                cx.call::<(), ()>("D", "listen", ())?;
                cx.create(hears("new", &["note"]))?;
            }
            Ok(())
        })
        .create(&kernel)
        .unwrap();
    kernel.signal(kernel.id(), "note", ()).unwrap();
    kernel.signal(kernel.id(), "note", ()).unwrap();
    run(&kernel).await;
    assert!(late.get());
    assert_eq!(
        heard(),
        [
            "B hears note",
            "A hears note",
            "new hears note",
            "B hears note",
            "D hears note"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn l49_what_the_watcher_is_given() {
    let kernel = kernel();
    life("A", |cx| {
        cx.sig_with("note", HEARD, 7_u8);
        cx.yield_to("send", ());
    })
    .on("send", |cx, ()| {
        let me = cx.session_id();
        cx.signal(me, "note", String::from("text")).unwrap();
    })
    .on(HEARD, |cx, signal| {
        assert_eq!(signal.name(), "note");
        assert_eq!(signal.arg::<String>().unwrap(), "text");
        assert_eq!(signal.extra::<u8>(), Some(&7));
        assert!(cx.sender().is_kernel());
        assert_eq!(cx.caller_state().unwrap(), "send");
        assert_eq!(cx.caller_place().file(), file!());
        assert_eq!(cx.event(), "heard");
        say("heard");
    })
    .create(&kernel)
    .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["heard", "A stop"]);
}

#[tokio::test(start_paused = true)]
async fn l50_handled_counts_at_once_and_by_a_call_but_not_by_a_post() {
    for (how, survives) in [("call", true), ("post", false), ("return", false)] {
        let kernel = kernel();
        life("A", |cx| cx.sig("INT", HEARD))
            .on(HEARD, move |cx, _| -> HandlerResult {
                let me = cx.session_id();
                match how {
                    "call" => cx.call::<(), ()>(me, "handle", ())?,
                    "post" => cx.post(me, "handle", ())?,
                    _ => {}
                }
                Ok(())
            })
            .on("handle", |cx, ()| cx.sig_handled())
            .on("still here", |_, ()| say("still here"))
            .create(&kernel)
            .unwrap();
        kernel.signal(kernel.id(), "INT", ()).unwrap();
        kernel.post(kernel.id(), "swallowed", ()).unwrap();
        let a = kernel.session_by_number(1).unwrap();
        kernel.post(a, "still here", ()).unwrap();
        run(&kernel).await;
        assert_eq!(said().contains(&"still here".to_owned()), survives, "{how}");
    }
}

#[tokio::test(start_paused = true)]
async fn l51_unhandled_terminal_stops_all_that_it_touched_children_first() {
    let kernel = kernel();
    tree(&kernel, &["TERM"]);
    kernel.signal("A", "TERM", ()).unwrap();
    run(&kernel).await;
    let stops: Vec<String> = said().into_iter().filter(|l| l.ends_with(" stop")).collect();
    assert_eq!(stops, ["C stop", "B stop", "A stop", "E stop", "D stop"]);
}

#[tokio::test(start_paused = true)]
async fn l51_no_handler_can_mask_a_zombie() {
    let kernel = kernel();
    hears("A", &["UIDESTROY"])
        .on(HEARD, |cx, _| cx.sig_handled())
        .create(&kernel)
        .unwrap();
    kernel.signal("A", "UIDESTROY", ()).unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["A stop"]);
}

#[tokio::test(start_paused = true)]
async fn l52_siblings_and_ancestors_hear_nothing() {
    let kernel = kernel();
    tree(&kernel, &["note"]);
    kernel.signal("B", "note", ()).unwrap();
    run(&kernel).await;
    assert_eq!(heard(), ["C hears note", "B hears note"]);
}

#[tokio::test(start_paused = true)]
async fn l54_pipe_goes_to_all_and_a_watcher_that_stops_the_kernel_silences_the_rest() {
    let kernel = kernel();
    hears("A", &["PIPE"]).create(&kernel).unwrap();
    hears("B", &["PIPE"]).create(&kernel).unwrap();
    kernel.signal(kernel.id(), "PIPE", ()).unwrap();
    run(&kernel).await;
    assert_eq!(heard(), ["B hears PIPE", "A hears PIPE"]);

    hears("A", &["PIPE"]).create(&kernel).unwrap();
    hears("B", &["PIPE"])
        .on(HEARD, |cx, _| {
            say("B hears and stops");
            cx.stop_all();
        })
        .create(&kernel)
        .unwrap();
    kernel.signal(kernel.id(), "PIPE", ()).unwrap();
    run(&kernel).await;
    assert_eq!(heard(), ["B hears and stops"]);
}

#[tokio::test(start_paused = true)]
async fn d14_cld_is_chld() {
    let kernel = kernel();
    hears("A", &["CLD"]).create(&kernel).unwrap();
    kernel.signal("A", "CHLD", ()).unwrap();
    kernel.signal("A", "CLD", ()).unwrap();
    run(&kernel).await;
    assert_eq!(heard(), ["A hears CHLD", "A hears CHLD"]);
}

/// A signal of the system has one name, with and without SIG, wherever it is named. Case counts, as in POE.
#[tokio::test(start_paused = true)]
async fn a_signal_of_the_system_has_one_name_everywhere() {
    for name in Kernel::safe_signals() {
        let long = format!("SIG{name}");
        for (watched, raised) in [(*name, &*long), (&*long, *name), (&*long, &*long)] {
            let kernel = kernel();
            let watched = watched.to_owned();
            let ignored = if watched == *name {
                long.clone()
            } else {
                (*name).to_owned()
            };
            let id = life("A", move |cx| {
                cx.sig(&watched, HEARD);
                cx.delay("ignore", ms(10), ());
                cx.delay("bye", ms(50), ());
            })
            .on(HEARD, |cx, signal| {
                say(signal.name());
                cx.sig_handled();
            })
            .on("ignore", move |cx, ()| cx.sig_ignore(&ignored))
            .create(&kernel)
            .unwrap();
            let snapshot = kernel.snapshot();
            for spelled in [*name, &*long] {
                assert!(snapshot.is_signal_watched(spelled));
                assert!(snapshot.is_signal_watched_by_session(spelled, id));
                assert_eq!(snapshot.signal_watchers(spelled)[&id], "heard");
            }
            assert_eq!(
                snapshot.signals_watched_by_session(id).into_keys().collect::<Vec<_>>(),
                [*name]
            );
            let handle = kernel.handle();
            kernel.signal(id, raised, ()).unwrap();
            handle.signal(id, raised, ()).unwrap();
            kernel.run_one_timeslice().await.unwrap();
            assert_eq!(said(), [*name; 2], "{raised}");
            tokio::time::sleep(ms(20)).await;
            kernel.run_one_timeslice().await.unwrap();
            assert!(!kernel.snapshot().is_signal_watched(name));
            kernel.signal(id, "KILL", ()).unwrap();
            run(&kernel).await;
            said();
        }
        assert_eq!(SignalClass::of(&long), SignalClass::of(name));
        let refused = kernel().signal("nobody", &long, ()).unwrap_err();
        assert!(refused.to_string().contains(&format!("`{name}`")), "{refused}");
    }
    assert_eq!(SignalClass::of("SIGKILL"), SignalClass::Terminal);
    // Other names are custom signals.
    let kernel = kernel();
    hears("A", &["usr1", "SIGreload"]).create(&kernel).unwrap();
    for raised in ["USR1", "SIGUSR1", "reload", "usr1", "SIGreload", "SIGusr1"] {
        kernel.signal("A", raised, ()).unwrap();
    }
    run(&kernel).await;
    assert_eq!(heard(), ["A hears usr1", "A hears SIGreload"]);
}
