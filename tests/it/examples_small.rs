//! The examples alarms and custom_filter, at work.

use crate::filter_kit::{good, seen};
use poe::Kernel;
use poe::filter::{Filter, FilterExt};
use std::cell::RefCell;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[allow(dead_code, unreachable_pub, reason = "the example's `main` is not the test's")]
#[path = "../../examples/alarms.rs"]
mod alarms;

#[allow(dead_code, unreachable_pub, reason = "the example's `main` is not the test's")]
#[path = "../../examples/custom_filter.rs"]
mod custom_filter;

thread_local! {
    static TOLD: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

#[tokio::test(start_paused = true)]
async fn alarms_ring_are_moved_and_taken_back() {
    let kernel = poe::testing::kernel();
    let began = tokio::time::Instant::now();
    alarms::start_cook(&kernel, Duration::from_secs(1), |line| {
        TOLD.with_borrow_mut(|told| told.push(line.to_owned()));
    })
    .unwrap();
    kernel.run().await.unwrap();
    assert_eq!(
        TOLD.take(),
        [
            "ready: soft",
            "cold water: medium takes a minute longer",
            // Both after seven minutes: a timer that is moved goes behind its equals (law L3).
            "taken out before it was ready: hard",
            "ready: medium",
            "nothing has happened for a long time",
            "the pot is empty",
        ]
    );
    // The last egg was ready after seven minutes, and 400 s later nothing had happened.
    assert_eq!(began.elapsed(), Duration::from_secs(820));
    poe::testing::assert_no_leaks(&kernel);
}

#[test]
fn custom_filter_keeps_the_contract() {
    let bytes = b"5:hello,0:,3:a,b,";
    for cut in 0..=bytes.len() {
        let mut filter = custom_filter::Netstring::new(10);
        let (one, other) = bytes.split_at(cut);
        assert_eq!(good(&mut filter, &[one, other]), ["hello", "", "a,b"], "cut at {cut}");
        assert!(filter.pending().is_empty());
    }
    for wrong in ["x", ":", "11:", "99999", "5:helloX", "-1:"] {
        let mut filter = custom_filter::Netstring::new(10);
        let records: Vec<_> = filter.get(wrong.as_bytes()).into_iter().map(seen).collect();
        assert!(matches!(&records[..], [Err((true, false, _))]), "{wrong}: {records:?}");
        assert_eq!(filter.take_pending(), wrong.as_bytes());
        assert_eq!(good(&mut filter, &[b"2:ok,"]), ["ok"], "whole again");
    }
}

#[tokio::test]
async fn custom_filter_serves() {
    let kernel = Kernel::new();
    let server = custom_filter::start_server(&kernel, "127.0.0.1:0").await.unwrap();
    let address = server.local_name();
    let client = async {
        let mut stream = TcpStream::connect(address.to_string()).await.unwrap();
        stream.write_all(b"5:hello,3:abc,").await.unwrap();
        let mut answer = [0; 14];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"5:olleh,3:cba,");
        // Bytes that are not a netstring end the connection.
        stream.write_all(b"hello").await.unwrap();
        assert_eq!(stream.read(&mut answer).await.unwrap(), 0);
    };
    tokio::select! {
        served = kernel.serve() => panic!("{served:?}"),
        done = tokio::time::timeout(Duration::from_secs(20), client) => done.unwrap(),
    }
}
