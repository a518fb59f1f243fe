//! Kernels on several threads: servers spread over them, posts between them, their common end.

use crate::socket_kit::within;
use poe::component::{KernelPool, PoolHandle, TcpServer};
use poe::event::START;
use poe::{Event, Session, SessionId};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const PING: Event<(PoolHandle, Vec<SessionId>, u32)> = Event::new("ping");
const DONE: Event<tokio::sync::mpsc::UnboundedSender<u32>> = Event::new("done");

/// A request to a server that says which thread it is on.
async fn served_by(addr: std::net::SocketAddr) -> String {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(b"who are you?\r\n").await.unwrap();
    let mut all = String::new();
    stream.read_to_string(&mut all).await.unwrap();
    all
}

fn who_am_i(
    server: poe::component::TcpServerBuilder<(), poe::filter::Line>,
) -> poe::component::TcpServerBuilder<(), poe::filter::Line> {
    server.client_input(|cx, _| {
        cx.client().put(std::thread::current().name().unwrap_or("?"));
        cx.client().shutdown();
    })
}

#[tokio::test]
async fn clients_are_dealt_out_to_all_kernels() {
    let pool = KernelPool::new(2).unwrap();
    let server = pool.serve("127.0.0.1:0", who_am_i).await.unwrap();
    let addr = server.local_addr();
    let mut seen = BTreeSet::new();
    within(async {
        // By their ports, and so by chance: a hundred fair coins do not all fall on one side.
        for _ in 0..100 {
            seen.insert(served_by(addr).await);
        }
    })
    .await;
    if cfg!(target_os = "linux") {
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), ["poe-0\r\n", "poe-1\r\n"]);
    }
    let report = within(pool.shutdown(Duration::from_secs(10))).await;
    assert!(report.is_clean(), "{report}");
    assert!(TcpStream::connect(addr).await.is_err());
}

#[tokio::test]
async fn sessions_of_different_kernels_post_to_each_other() {
    const LAPS: u32 = 300;
    let pool = KernelPool::new(3).unwrap();
    let (done, mut finished) = tokio::sync::mpsc::unbounded_channel();
    let players = pool
        .each(|kernel, _| async move {
            Session::builder(None)
                .on(START, |cx, ()| {
                    cx.refcount_increment(cx.session_id(), "plays").map(drop)
                })
                .on(DONE, |cx, done| *cx.heap = Some(done))
                .on(PING, |cx, (pool, players, lap)| {
                    let own = players.iter().position(|p| *p == cx.session_id()).unwrap();
                    match (lap, &*cx.heap) {
                        (LAPS, Some(done)) => done.send(lap).unwrap(),
                        _ => {
                            let next = players[(own + 1) % players.len()];
                            pool.post(next, PING, (pool.clone(), players, lap + 1)).unwrap();
                        }
                    }
                })
                .create(&kernel)
        })
        .await
        .unwrap();
    let handle = pool.handle();
    for player in &players {
        handle.post(*player, DONE, done.clone()).unwrap();
    }
    handle
        .post(players[0], PING, (handle.clone(), players.clone(), 0))
        .unwrap();
    assert_eq!(within(finished.recv()).await, Some(LAPS));
    // They hold themselves, so they have to be stopped: the report says whom and why.
    let report = within(pool.shutdown(Duration::from_millis(20))).await;
    assert!(report.is_clean() || report.unclean.len() == 3, "{report}");
}

#[tokio::test]
async fn a_pools_server_ends_its_clients_in_good_order_and_counts_them() {
    let pool = KernelPool::new(2).unwrap();
    let server = pool
        .serve("127.0.0.1:0", |server| {
            server
                .client_connected(|cx| {
                    for i in 0..20_000 {
                        cx.client().put(format!("line {i}"));
                    }
                })
                .client_input(|_, _| ())
        })
        .await
        .unwrap();
    let mut streams = Vec::new();
    for _ in 0..8 {
        streams.push(TcpStream::connect(server.local_addr()).await.unwrap());
    }
    within(async { while server.connections().await.iter().sum::<usize>() < 8 {} }).await;
    server.shutdown_clients();
    for stream in &mut streams {
        let mut all = String::new();
        within(stream.read_to_string(&mut all)).await.unwrap();
        assert_eq!(all.lines().count(), 20_000);
    }
    let report = within(pool.shutdown(Duration::from_secs(10))).await;
    assert!(report.is_clean(), "{report}");
}

#[tokio::test]
async fn what_cannot_be_started_is_an_error_and_a_failed_kernel_goes_on() {
    let pool = KernelPool::new(2).unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let refused = pool.serve(taken.local_addr().unwrap(), who_am_i).await;
    assert!(refused.unwrap_err().to_string().contains("in use"));
    let no_input = pool.serve("127.0.0.1:0", |server| server.concurrency(1)).await;
    assert!(no_input.unwrap_err().to_string().contains("add `client_input`"));
    // A session that fails with nobody to handle it stops the sessions of its kernel, not the kernel.
    pool.each(|kernel, number| async move {
        Session::builder(())
            .on(START, |cx, ()| cx.yield_to("fail", ()))
            .on("fail", move |_, ()| assert_ne!(number, 1, "on purpose"))
            .create(&kernel)
    })
    .await
    .unwrap();
    // A server that was there when it failed would be stopped as well.
    pool.each(|kernel, _| async move {
        while kernel.session_count() > 0 {
            tokio::task::yield_now().await;
        }
        Ok::<(), poe::Error>(())
    })
    .await
    .unwrap();
    let server = pool.serve("127.0.0.1:0", who_am_i).await.unwrap();
    within(async {
        for _ in 0..20 {
            assert!(served_by(server.local_addr()).await.starts_with("poe-"));
        }
    })
    .await;
    let report = within(pool.shutdown(Duration::from_secs(10))).await;
    assert_eq!(report.unclean.len(), 1, "{report}");
    assert!(report.unclean[0].1.contains("on purpose"), "{report}");
}

/// The same function makes a server for one kernel.
#[tokio::test]
async fn the_same_code_serves_on_one_kernel() {
    let kernel = poe::Kernel::new();
    let server = who_am_i(TcpServer::builder("127.0.0.1:0"))
        .start(&kernel)
        .await
        .unwrap();
    let talk = async {
        assert!(!served_by(server.local_addr().unwrap()).await.is_empty());
        server.shutdown();
    };
    crate::socket_kit::run_with(&kernel, talk).await;
}
