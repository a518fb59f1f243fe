//! `t/20_resources/00_base/signals.pm`: the watchers, the classes of signals, the effect of "handled", and the sessions that are freed.

use crate::laws_kit::*;
use crate::peek_kit::Peek as _;
use poe::event::DEFAULT;
use poe::{Kernel, Session, SessionBuilder, SessionId, Signal, inspect::SignalClass};
use std::collections::BTreeMap;

#[cfg(unix)]
#[test]
fn at_least_int_can_be_watched() {
    assert!(Kernel::safe_signals().contains(&"INT"));
    assert!(!Kernel::safe_signals().contains(&"SEGV"));
}

/// A session that watches each signal by an event, and stays for an hour.
fn watching(name: &'static str, signals: &'static [(&'static str, &'static str, i32)]) -> SessionBuilder<()> {
    life(name, move |cx| {
        for (signal, event, extra) in signals {
            cx.sig_with(signal, *event, *extra);
        }
        cx.delay("bye", ms(3_600_000), ());
    })
    .on("ignore", |cx, signal: &'static str| cx.sig_ignore(signal))
    .on("watch", |cx, (signal, event): (&'static str, &'static str)| {
        cx.sig(signal, event)
    })
    .on(DEFAULT, move |_, mut unhandled| {
        let signal = unhandled.arg.take::<Signal>().unwrap();
        say(format!(
            "{name} {} {} {:?}",
            unhandled.event,
            signal.name(),
            signal.extra::<i32>()
        ));
    })
}

fn watchers(kernel: &Kernel, signal: &str) -> Vec<(SessionId, String)> {
    let snapshot = kernel.snapshot();
    let watchers = snapshot.signal_watchers(signal).into_iter();
    watchers.map(|(id, event)| (id, event.to_owned())).collect()
}

#[tokio::test(start_paused = true)]
async fn a_session_has_one_watcher_per_signal_and_what_it_was_made_with() {
    let kernel = kernel();
    let first = watching("first", &[("signal-1", "event-1", 123), ("signal-2", "event-2", 456)]);
    let first = first.create(&kernel).unwrap();
    let second = watching("second", &[("signal-2", "event-3", 789)])
        .create(&kernel)
        .unwrap();
    let s = kernel.snapshot();
    assert!(s.is_signal_watched("signal-1") && s.is_signal_watched("signal-2"));
    assert!(!s.is_signal_watched("signal-0"));
    assert!(s.is_signal_watched_by_session("signal-1", first));
    assert!(s.is_signal_watched_by_session("signal-2", first));
    assert!(!s.is_signal_watched_by_session("signal-1", second));
    assert_eq!(watchers(&kernel, "signal-1"), [(first, "event-1".to_owned())]);
    assert_eq!(
        watchers(&kernel, "signal-2"),
        [(first, "event-2".to_owned()), (second, "event-3".to_owned())]
    );
    kernel.signal(kernel.id(), "signal-2", ()).unwrap();
    kernel.run_one_timeslice().await.unwrap();
    assert_eq!(
        said(),
        ["second event-3 signal-2 Some(789)", "first event-2 signal-2 Some(456)"]
    );

    kernel.call::<_, ()>(first, "ignore", "signal-2").unwrap();
    assert_eq!(watchers(&kernel, "signal-1"), [(first, "event-1".to_owned())]);
    assert_eq!(watchers(&kernel, "signal-2"), [(second, "event-3".to_owned())]);

    for signal in ["signal-3", "signal-4", "signal-5", "signal-6"] {
        kernel.call::<_, ()>(first, "watch", (signal, "event-3")).unwrap();
    }
    let s = kernel.snapshot();
    assert_eq!(
        s.signals_watched_by_session(first),
        BTreeMap::from([
            ("signal-1", "event-1"),
            ("signal-3", "event-3"),
            ("signal-4", "event-3"),
            ("signal-5", "event-3"),
            ("signal-6", "event-3"),
        ])
    );

    kernel.signal(first, "KILL", ()).unwrap();
    kernel.run_one_timeslice().await.unwrap();
    assert!(!kernel.is_alive(first));
    assert!(!kernel.snapshot().is_signal_watched("signal-1"));
    assert_eq!(watchers(&kernel, "signal-2"), [(second, "event-3".to_owned())]);
    kernel.stop_all().unwrap();
    let s = kernel.snapshot();
    assert!(!s.is_signal_watched("signal-2") && !s.is_signal_watched_by_session("signal-2", second));
    assert!(!s.is_signal_watched_by_session("nonexistent", second));
}

#[test]
fn the_classes() {
    for terminal in ["HUP", "INT", "QUIT", "TERM", "KILL", "IDLE", "DIE"] {
        assert_eq!(SignalClass::of(terminal), SignalClass::Terminal);
    }
    for always in ["ZOMBIE", "UIDESTROY"] {
        assert_eq!(SignalClass::of(always), SignalClass::NonMaskable);
    }
    for benign in ["nonexistent", "USR1", "ALRM", "PIPE", "CHLD", "quit"] {
        assert_eq!(SignalClass::of(benign), SignalClass::Benign);
    }
}

/// Whether a session that a signal touches lives on, and what it said.
async fn survives(signal: &'static str, watches: bool, handles: bool) -> bool {
    let kernel = kernel();
    let id = Session::builder(())
        .on(poe::event::START, move |cx, ()| {
            if watches {
                cx.sig(signal, "signal");
            }
            cx.delay("bye", ms(100), ());
        })
        .on("signal", move |cx, signal: Signal| {
            say(signal.name());
            if handles {
                cx.sig_handled();
            }
        })
        .create(&kernel)
        .unwrap();
    let untouched = life("untouched", lives(100)).create(&kernel).unwrap();
    kernel.signal(id, signal, ()).unwrap();
    kernel.run_one_timeslice().await.unwrap();
    let survives = kernel.is_alive(id);
    assert!(kernel.is_alive(untouched));
    assert_eq!(said().is_empty(), !watches);
    kernel.stop_all().unwrap();
    said();
    survives
}

#[tokio::test(start_paused = true)]
async fn each_class_of_signal_stops_its_sessions() {
    for (signal, unwatched, watched, handled) in [
        ("nonexistent", true, true, true),
        ("QUIT", false, false, true),
        ("UIDESTROY", false, false, false),
    ] {
        assert_eq!(survives(signal, false, false).await, unwatched, "{signal}");
        assert_eq!(survives(signal, true, false).await, watched, "{signal}, watched");
        assert_eq!(survives(signal, true, true).await, handled, "{signal}, handled");
    }
}

/// The state of one dispatch is not left for the next.
#[tokio::test(start_paused = true)]
async fn handled_is_of_one_dispatch() {
    let kernel = kernel();
    life("S", |cx| {
        cx.sig("QUIT", "once");
        cx.delay("bye", ms(100), ());
    })
    .on("once", |cx, _: Signal| {
        say("handled");
        cx.sig_handled();
        cx.sig("QUIT", "twice");
    })
    .on("twice", |_, _: Signal| say("not handled"))
    .create(&kernel)
    .unwrap();
    for _ in 0..2 {
        kernel.signal("S", "QUIT", ()).unwrap_err();
        kernel.signal(kernel.session_by_number(1).unwrap(), "QUIT", ()).unwrap();
    }
    run(&kernel).await;
    assert_eq!(said(), ["handled", "not handled", "S stop"]);
}
