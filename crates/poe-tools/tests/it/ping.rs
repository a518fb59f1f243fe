//! Ping on the loopback, where the system lets the tests do that.

use crate::kit::{Log, finish};
use poe::event::START;
use poe::{Event, Kernel, Session};
use poe_tools::{Ping, PingError, Pong};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

const PONG: Event<Result<Pong, PingError>> = Event::new("pong");

/// A hundred addresses of the loopback, all at once through ten places, and one that never replies.
#[tokio::test]
async fn every_request_has_its_own_reply_or_an_error_that_names_the_cure() {
    let kernel = Kernel::new();
    let ping = Ping::builder()
        .parallel(10)
        .capacity(101)
        .retries(2)
        .timeout(Duration::from_secs(5));
    let ping = ping.start(&kernel).unwrap();
    let log = Log::default();
    let counted = ping.clone();
    Session::builder(log.clone())
        .on(START, move |cx, ()| -> poe::HandlerResult {
            for n in 0..100 {
                ping.ping(cx, [127, 0, 0, n + 1], PONG)?;
            }
            ping.ping(cx, Ipv6Addr::LOCALHOST, PONG)?;
            assert!(ping.ping(cx, Ipv4Addr::LOCALHOST, PONG).unwrap_err().is_full());
            Ok(())
        })
        .on(PONG, |cx, pong| {
            match pong {
                Ok(pong) => {
                    assert!(pong.round_trip < Duration::from_secs(5) && pong.attempt == 1);
                    cx.heap.add(pong.address.to_string());
                }
                // The system does not let us, or has no such address.
                Err(error) if error.is_not_permitted() => {
                    assert!(error.to_string().contains("ping_group_range"), "{error}");
                    cx.heap.add(error.address().to_string());
                }
                Err(error) => {
                    assert!(error.address().is_ipv6() && error.as_io().is_some(), "{error}");
                    cx.heap.add(error.address().to_string());
                }
            }
        })
        .create(&kernel)
        .unwrap();
    finish(&kernel).await;
    let mut expected: Vec<String> = (1..=100).map(|n| format!("127.0.0.{n}")).collect();
    expected.push("::1".to_owned());
    let mut lines = log.lines();
    expected.sort();
    lines.sort();
    assert_eq!((lines, counted.pending()), (expected, 0));
}

#[tokio::test]
async fn a_cancelled_request_leaves_nothing_and_after_a_shutdown_those_that_wait_go_on() {
    let kernel = Kernel::new();
    let ping = Ping::builder().start(&kernel).unwrap();
    let log = Log::default();
    let counted = ping.clone();
    Session::builder(log.clone())
        .on(START, move |cx, ()| -> poe::HandlerResult {
            let cancelled = ping.ping(cx, Ipv4Addr::LOCALHOST, "never")?;
            ping.ping(cx, Ipv4Addr::LOCALHOST, PONG)?;
            assert_eq!(ping.pending(), 2);
            assert!(cx.cancel(cancelled));
            assert_eq!(ping.pending(), 1);
            ping.shutdown(cx);
            Ok(())
        })
        .on(PONG, |cx, _| cx.heap.add("told"))
        .create(&kernel)
        .unwrap();
    finish(&kernel).await;
    assert_eq!((log.lines(), counted.pending()), (vec!["told".to_owned()], 0));
    Session::builder(())
        .on(START, move |cx, ()| {
            assert!(!counted.ping(cx, Ipv4Addr::LOCALHOST, PONG).unwrap_err().is_full());
        })
        .create(&kernel)
        .unwrap();
    finish(&kernel).await;
}
