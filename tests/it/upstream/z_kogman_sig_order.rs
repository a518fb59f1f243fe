//! `POE::Test::Loops::z_kogman_sig_order`: the traces of its seven scenarios, as the file itself has them. (The transcript
//! `kogman_sig_order` plays these and more beside Perl.)

use crate::laws_kit::{kernel, run, said, say};
use poe::event::{CHILD, DEFAULT, START, STOP};
use poe::{Session, SessionBuilder, Signal};
use std::time::Duration;

/// A chain of sessions; of each generation its name, the signal that it watches, and the milliseconds of its work.
type Generation = (&'static str, Option<&'static str>, Option<u64>);

fn chain(signal: &'static str, generations: Vec<Generation>) -> SessionBuilder<()> {
    let (name, watches, work) = generations[0];
    let younger = generations[1..].to_vec();
    let is_first = name == "session";
    Session::builder(())
        .on(START, move |cx, ()| {
            say(format!("enter_start {name}"));
            if !younger.is_empty() {
                cx.create(chain(signal, younger.clone())).unwrap();
            }
            if let Some(watched) = watches {
                cx.sig(watched, watched);
            }
            if let Some(millis) = work {
                cx.delay("bar", Duration::from_millis(millis), ());
            }
            if is_first {
                cx.signal(cx.session_id(), signal, ()).unwrap();
            }
            say(format!("leave_start {name}"));
        })
        .on(CHILD, move |_, _| say(format!("child {name}")))
        .on(STOP, move |_, ()| say(format!("stop {name}")))
        .on(DEFAULT, move |_, unhandled| {
            say(format!("default {} {name}", unhandled.event));
        })
        .on("foo", move |_, _: Signal| say(format!("foo {name}")))
}

async fn trace(signal: &'static str, generations: &[Generation]) -> Vec<String> {
    let kernel = kernel();
    chain(signal, generations.to_vec()).create(&kernel).unwrap();
    run(&kernel).await;
    said()
}

#[tokio::test(start_paused = true)]
async fn simple_signal_on_one_session() {
    let trace = trace("foo", &[("session", Some("foo"), None)]).await;
    assert_eq!(
        trace,
        [
            "enter_start session",
            "leave_start session",
            "foo session",
            "stop session"
        ]
    );
}

const BORN: [&str; 5] = [
    "enter_start session",
    "enter_start child",
    "leave_start child",
    "child session",
    "leave_start session",
];
const GONE: [&str; 3] = ["stop child", "child session", "stop session"];

#[tokio::test(start_paused = true)]
async fn signal_on_parent_with_an_oblivious_child() {
    let trace = trace("foo", &[("session", Some("foo"), None), ("child", None, Some(100))]).await;
    assert_eq!(trace[..5], BORN);
    assert_eq!(trace[5..7], ["foo session", "default bar child"]);
    assert_eq!(trace[7..], GONE);
}

#[tokio::test(start_paused = true)]
async fn signal_on_child_then_parent() {
    let both: [Generation; 2] = [("session", Some("foo"), None), ("child", Some("foo"), Some(100))];
    let trace = trace("foo", &both).await;
    assert_eq!(trace[..5], BORN);
    assert_eq!(trace[5..8], ["foo child", "foo session", "default bar child"]);
    assert_eq!(trace[8..], GONE);
}

#[tokio::test(start_paused = true)]
async fn term_on_child_then_parent() {
    let both: [Generation; 2] = [("session", Some("TERM"), None), ("child", Some("TERM"), Some(1000))];
    let trace = trace("TERM", &both).await;
    assert_eq!(trace[..5], BORN);
    assert_eq!(trace[5..7], ["default TERM child", "default TERM session"]);
    assert_eq!(trace[7..], GONE);
}

#[tokio::test(start_paused = true)]
async fn term_without_handlers_on_child_then_parent() {
    let trace = trace("TERM", &[("session", None, None), ("child", None, Some(1000))]).await;
    assert_eq!(trace[..5], BORN);
    assert_eq!(trace[5..], GONE);
}

const THREE_BORN: [&str; 8] = [
    "enter_start session",
    "enter_start child",
    "enter_start grandchild",
    "leave_start grandchild",
    "child child",
    "leave_start child",
    "child session",
    "leave_start session",
];
const THREE_GONE: [&str; 5] = [
    "stop grandchild",
    "child child",
    "stop child",
    "child session",
    "stop session",
];

#[tokio::test(start_paused = true)]
async fn term_on_grandchild_then_child_with_a_handler_then_parent() {
    let three: [Generation; 3] = [
        ("session", None, None),
        ("child", Some("TERM"), Some(1000)),
        ("grandchild", None, Some(1000)),
    ];
    let trace = trace("TERM", &three).await;
    assert_eq!(trace[..8], THREE_BORN);
    assert_eq!(trace[8], "default TERM child");
    assert_eq!(trace[9..], THREE_GONE);
}

#[tokio::test(start_paused = true)]
async fn term_without_handlers_on_grandchild_then_child_then_parent() {
    let three: [Generation; 3] = [
        ("session", None, None),
        ("child", None, Some(1000)),
        ("grandchild", None, Some(1000)),
    ];
    let trace = trace("TERM", &three).await;
    assert_eq!(trace[..8], THREE_BORN);
    assert_eq!(trace[8..], THREE_GONE);
}
