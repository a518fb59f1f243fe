//! A kernel that talks to itself.

use crate::kit::*;
use poe::event::START;
use poe::{Event, Session};
use poe_ikc::{Ikc, RemoteError};
use std::time::Duration;

const SUM: Event<Result<i64, RemoteError>> = Event::new("sum");
const DONE: Event<Result<(), RemoteError>> = Event::new("done");

#[tokio::test(start_paused = true)]
async fn calls_and_posts_to_its_own_name_and_id_come_back() {
    let own = side(Ikc::builder("Pulse").alias("Beat"));
    let (ikc, log) = (own.ikc.clone(), own.log.clone());
    Session::builder(())
        .on(START, move |cx, ()| -> poe::HandlerResult {
            for kernel in ["Pulse", "Beat", ikc.id(), "*"] {
                assert_eq!(
                    ikc.post(&format!("poe://{kernel}/test"), NOTE, kernel.replace(ikc.id(), "id"))?,
                    1
                );
            }
            ikc.call(cx, "poe://Pulse/test", ADD, (20, 22), SUM, LONG)?;
            ikc.call(cx, "poe://Pulse/test", NOTE, "called".to_owned(), DONE, LONG)?;
            Ok(())
        })
        .on(SUM, move |_, sum| log.add(format!("sum {sum:?}")))
        .on(DONE, |_, done| assert_eq!(done, Ok(())))
        .create(&own.kernel)
        .unwrap();
    own.kernel.run().await.unwrap();
    assert_eq!(
        own.log.lines(),
        [
            "note Pulse",
            "note Beat",
            "note id",
            "note *",
            "note called",
            "sum Ok(42)"
        ]
    );
    assert_eq!((own.ikc.pending_calls(), own.ikc.counters().refused), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn what_is_not_published_is_refused_and_counted() {
    let own = side(Ikc::builder("Pulse"));
    own.ikc.publish("nobody", |p| p.event(ADD));
    let (ikc, log) = (own.ikc.clone(), own.log.clone());
    Session::builder(())
        .on(START, move |cx, ()| -> poe::HandlerResult {
            for session in ["test", "other", "nobody"] {
                let event = Event::<(i64, i64), i64>::new(if session == "test" { "secret" } else { "add" });
                ikc.call(cx, &format!("poe://Pulse/{session}"), event, (1, 2), SUM, LONG)?;
            }
            // The handler takes numbers.
            ikc.call::<_, i64>(cx, "poe://Pulse/test", "add", "text", SUM, LONG)?;
            ikc.call::<_, i64>(cx, "poe://Pulse/test", "fail", (), SUM, LONG)?;
            ikc.call::<_, i64>(cx, "poe://Pulse/test", "panic", (), SUM, LONG)?;
            Ok(())
        })
        .on(SUM, move |_, sum| {
            let error = sum.unwrap_err();
            log.add(format!("{} {} {error}", error.is_refused(), error.is_failed()));
        })
        .create(&own.kernel)
        .unwrap();
    own.kernel.run().await.unwrap();
    let lines = own.log.lines();
    assert_eq!(lines.len(), 6, "{lines:#?}");
    assert!(lines[0].contains("true false") && lines[0].contains("Session 'test' has not published state 'secret'"));
    assert!(
        lines[1].contains("true false") && lines[1].contains("Session 'other' is not available for remote kernels")
    );
    assert!(lines[2].contains("true false") && lines[2].contains("Unknown session 'nobody'"));
    assert!(lines[3].contains("false true") && lines[3].contains("does not take this value"));
    assert!(lines[4].contains("false true") && lines[4].contains("no such luck"));
    assert!(lines[5].contains("false true") && lines[5].contains("out of cheese"));
    assert_eq!(own.ikc.counters().refused, 6);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_kernel_gives_the_argument_back() {
    let own = side(Ikc::builder("Pulse"));
    let error = own.ikc.post("poe://Other/test", NOTE, "text".to_owned()).unwrap_err();
    assert!(error.is_unknown_kernel());
    assert_eq!(
        error.to_string(),
        "cannot send to `poe://Other/test`: no kernel of that name is connected"
    );
    assert_eq!(error.into_arg(), "text");
    let error = own.ikc.post("poe:/test", NOTE, "text".to_owned()).unwrap_err();
    assert!(error.is_unknown_kernel(), "there is no default kernel");
    for bad in ["poe://Pulse/test/note", "poe://Pulse", "", "poe://a\tb/c"] {
        let error = own.ikc.post(bad, NOTE, "text".to_owned()).unwrap_err();
        assert!(error.is_bad_address(), "{bad}");
    }
    own.kernel.run().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn retracted_events_cannot_be_reached() {
    let own = side(Ikc::builder("Pulse"));
    assert!(own.ikc.retract("test", &["note", "list"]));
    assert!(!own.ikc.retract("test", &["note"]));
    own.ikc.post("poe://Pulse/test", NOTE, "lost".to_owned()).unwrap();
    own.kernel.run().await.unwrap();
    assert_eq!((own.ikc.counters().refused, own.log.lines().len()), (1, 0));
    assert!(own.ikc.retract_session("test") && own.ikc.published().is_empty());
}

#[tokio::test(start_paused = true)]
async fn after_a_shutdown_nothing_is_sent() {
    let own = side(Ikc::builder("Pulse"));
    own.ikc.shutdown();
    own.kernel.run().await.unwrap();
    let error = own.ikc.post("poe://Pulse/test", NOTE, "late".to_owned()).unwrap_err();
    assert!(error.is_closed());
    let (stream, _peer) = tokio::io::duplex(64);
    assert!(own.ikc.attach(stream, true).is_err());
}

#[tokio::test(start_paused = true)]
async fn a_call_over_does_not_keep_the_kernel_running() {
    let own = side(Ikc::builder("Pulse"));
    let ikc = own.ikc.clone();
    Session::builder(())
        .on(START, move |cx, ()| -> poe::HandlerResult {
            Ok(ikc.call(cx, "poe://Pulse/test", ADD, (1, 2), SUM, Duration::from_secs(1_000_000))?)
        })
        .on(SUM, |_, sum| assert_eq!(sum, Ok(3)))
        .create(&own.kernel)
        .unwrap();
    let began = tokio::time::Instant::now();
    own.kernel.run().await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(1000));
}
