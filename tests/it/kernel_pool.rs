//! Kernels on several threads: servers spread over them, posts between them, their shutdown.

use crate::socket_kit::within;
use poe::component::{AfterFailure, KernelPool, PoolHandle, PoolOutcome, TcpServer};
use poe::event::START;
use poe::{Event, Failure, HandlerResult, Kernel, OnFailure, Session, SessionId};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const PING: Event<(PoolHandle, Vec<SessionId>, u32)> = Event::new("ping");
const DONE: Event<tokio::sync::mpsc::UnboundedSender<u32>> = Event::new("done");

/// A request to a server that says which thread it is on.
async fn served_by(addr: std::net::SocketAddr) -> String {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(b"which kernel?\r\n").await.unwrap();
    let mut all = String::new();
    stream.read_to_string(&mut all).await.unwrap();
    all
}

fn who_am_i(
    server: poe::component::TcpServerBuilder<(), poe::filter::Line>,
) -> poe::component::TcpServerBuilder<(), poe::filter::Line, poe::component::WithCallbacks> {
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
    // They hold themselves, so they have to be stopped: the report names them, with the reason.
    let report = within(pool.shutdown(Duration::from_millis(20))).await;
    assert!(report.is_clean() || report.unclean.len() == 3, "{report}");
}

#[tokio::test]
async fn a_pools_server_ends_its_clients_in_good_order_and_counts_them() {
    let pool = KernelPool::new(2).unwrap();
    let server = pool
        .serve("127.0.0.1:0", |server| {
            server.client_connected(|cx| {
                for i in 0..20_000 {
                    cx.client().put(format!("line {i}"));
                }
            })
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
async fn a_failed_start_is_an_error_and_a_failed_kernel_goes_on() {
    let pool = KernelPool::new(2).unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let refused = pool.serve(taken.local_addr().unwrap(), who_am_i).await;
    assert!(refused.unwrap_err().to_string().contains("in use"));
    let odd = pool.serve("127.0.0.1:0", |server| server.watermarks(1, 2)).await;
    assert!(odd.unwrap_err().to_string().contains("0 < low < high"));
    // A session that fails with nobody to handle it stops the sessions of its kernel, not the kernel.
    pool.each(|kernel, number| async move {
        Session::builder(())
            .on_failure(OnFailure::StopKernel)
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

fn fails_on_request(
    server: poe::component::TcpServerBuilder<(), poe::filter::Line>,
) -> poe::component::TcpServerBuilder<(), poe::filter::Line, poe::component::WithCallbacks> {
    server.client_input(|cx, line| -> HandlerResult {
        if line == "fail" {
            return Err(Failure::msg("as asked"));
        }
        cx.client().put(std::thread::current().name().unwrap_or("?"));
        cx.client().shutdown();
        Ok(())
    })
}

async fn ask(addr: std::net::SocketAddr, line: &str) -> String {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(format!("{line}\r\n").as_bytes()).await.unwrap();
    let mut all = String::new();
    // A connection that fails may be reset.
    let _ = stream.read_to_string(&mut all).await;
    all
}

/// A session that stops everything on its kernel on request.
const FAIL: Event<()> = Event::new("fail");

fn fragile(kernel: &Kernel) -> Result<SessionId, poe::Error> {
    Session::builder(())
        .on_failure(OnFailure::StopKernel)
        .on(START, |cx, ()| cx.alias_set("fragile"))
        .on(FAIL, |_, ()| panic!("fragile"))
        .create(kernel)
}

#[tokio::test]
async fn a_failing_client_affects_nothing_else() {
    let pool = KernelPool::new(2).unwrap();
    let server = pool.serve("127.0.0.1:0", fails_on_request).await.unwrap();
    within(async {
        for _ in 0..6 {
            assert_eq!(ask(server.local_addr(), "fail").await, "");
            let failure = pool.next_failure().await;
            assert_eq!(failure.outcome, PoolOutcome::SessionStopped);
            assert!(failure.error.to_string().contains("as asked"), "{failure}");
            assert!(ask(server.local_addr(), "hello").await.starts_with("poe-"));
        }
    })
    .await;
    assert!(within(pool.shutdown(Duration::from_secs(10))).await.is_clean());
}

#[tokio::test]
async fn a_kernel_that_fails_is_started_again_with_its_servers_and_its_setup() {
    let setups = Arc::new(AtomicUsize::new(0));
    let told = Arc::new(AtomicUsize::new(0));
    let (count, tell) = (setups.clone(), told.clone());
    let pool = KernelPool::builder(2)
        .setup(move |kernel, _| {
            count.fetch_add(1, SeqCst);
            async move { fragile(&kernel).map(drop) }
        })
        .on_failure(move |failure| {
            assert_eq!(failure.outcome, PoolOutcome::Restarted);
            tell.fetch_add(1, SeqCst);
            panic!("a hook may panic, too");
        })
        .start()
        .unwrap();
    let server = pool.serve("127.0.0.1:0", who_am_i).await.unwrap();
    within(async {
        for round in 1..=3 {
            for number in 0..2 {
                pool.handle().kernel(number).unwrap().post("fragile", FAIL, ()).unwrap();
                let failure = pool.next_failure().await;
                assert_eq!((failure.kernel, failure.outcome), (number, PoolOutcome::Restarted));
                assert!(failure.error.failure().unwrap().is_panic());
            }
            assert_eq!(setups.load(SeqCst), 2 + 2 * round);
            // Both serve again, and no client is refused.
            let mut seen = BTreeSet::new();
            for _ in 0..60 {
                seen.insert(served_by(server.local_addr()).await);
            }
            if cfg!(target_os = "linux") {
                assert_eq!(seen.len(), 2);
            }
        }
    })
    .await;
    assert_eq!(told.load(SeqCst), 6);
    let report = within(pool.shutdown(Duration::from_secs(10))).await;
    assert!(
        report.to_string().contains("fragile"),
        "a failure is no clean end: {report}"
    );
}

#[tokio::test]
async fn a_kernel_that_is_not_to_be_restarted_leaves_its_clients_to_the_others() {
    let pool = KernelPool::builder(2)
        .after_failure(AfterFailure::Rebalance)
        .setup(|kernel, _| async move { fragile(&kernel).map(drop) })
        .start()
        .unwrap();
    let server = pool.serve("127.0.0.1:0", who_am_i).await.unwrap();
    pool.handle().kernel(0).unwrap().post("fragile", FAIL, ()).unwrap();
    within(async {
        assert_eq!(pool.next_failure().await.outcome, PoolOutcome::Abandoned);
        for _ in 0..40 {
            assert_eq!(served_by(server.local_addr()).await, "poe-1\r\n");
        }
        // The kernel itself is there, and takes what it is given.
        let sessions = pool
            .each(|kernel, _| async move { Ok(kernel.session_count()) })
            .await
            .unwrap();
        assert_eq!(sessions[0], 0);
        let again = pool.each(|kernel, n| async move {
            let again = (n == 0).then(|| fragile(&kernel));
            again.transpose().map(drop)
        });
        again.await.unwrap();
        let sessions = pool
            .each(|kernel, _| async move { Ok(kernel.session_count()) })
            .await
            .unwrap();
        assert_eq!(sessions[0], 1);
    })
    .await;
}

#[tokio::test]
async fn a_kernel_that_fails_again_and_again_is_given_up() {
    let pool = KernelPool::builder(1)
        .restarts(2, Duration::from_secs(3600))
        .setup(|kernel, _| async move { fragile(&kernel).map(drop) })
        .start()
        .unwrap();
    let server = pool.serve("127.0.0.1:0", who_am_i).await.unwrap();
    within(async {
        for outcome in [PoolOutcome::Restarted, PoolOutcome::Restarted, PoolOutcome::Abandoned] {
            pool.handle().kernel(0).unwrap().post("fragile", FAIL, ()).unwrap();
            assert_eq!(pool.next_failure().await.outcome, outcome);
        }
        assert!(TcpStream::connect(server.local_addr()).await.is_err());
    })
    .await;
}

struct PanicsWhenDropped;

impl Drop for PanicsWhenDropped {
    fn drop(&mut self) {
        panic!("dropped");
    }
}

#[tokio::test]
async fn a_panic_in_each_is_an_error_of_that_call() {
    let pool = KernelPool::new(2).unwrap();
    let sessions = pool.each(|kernel, _| async move {
        Session::builder(())
            .on(START, |cx, ()| {
                cx.refcount_increment(cx.session_id(), "stays").map(drop)
            })
            .create(&kernel)
    });
    sessions.await.unwrap();
    let in_future = pool.each(|_, n| async move { if n == 0 { panic!("in the future") } else { Ok(n) } });
    let error = within(in_future).await.unwrap_err().to_string();
    assert!(
        error.contains("kernel 0") && error.contains("panicked: in the future"),
        "{error}"
    );
    let in_closure = pool.each(|_, n| {
        assert!(n == 0, "in the closure");
        async move { Ok(n) }
    });
    let error = within(in_closure).await.unwrap_err().to_string();
    assert!(
        error.contains("kernel 1") && error.contains("in the closure"),
        "{error}"
    );
    let payload = pool.each(|_, n| async move {
        if n == 1 {
            std::panic::panic_any(PanicsWhenDropped);
        }
        Ok(())
    });
    within(payload).await.unwrap_err();
    // Their sessions are as they were.
    let counts = within(pool.each(|kernel, n| async move { Ok((n, kernel.session_count())) }))
        .await
        .unwrap();
    assert_eq!(counts, [(0, 1), (1, 1)]);
}

#[tokio::test]
async fn a_shutdown_keeps_its_limit_beside_work_that_never_ends() {
    let pool = KernelPool::new(2).unwrap();
    let asked = pool.each(|_, _| async { std::future::pending::<Result<(), poe::Error>>().await });
    assert!(tokio::time::timeout(Duration::from_millis(50), asked).await.is_err());
    let began = std::time::Instant::now();
    let report = within(pool.shutdown(Duration::from_millis(100))).await;
    assert!(report.is_clean(), "{report}");
    assert!(began.elapsed() < Duration::from_secs(20));
}

/// The thread that measures the limit ends when it is not needed any more.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_limit_of_a_shutdown_leaves_no_thread_behind() {
    crate::in_child::in_child!();
    let counts = || {
        let tasks = std::fs::read_dir("/proc/self/task").unwrap();
        let names = tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
        names.filter(|name| name.trim() == "poe-pool-limit").count()
    };
    let pool = KernelPool::new(1).unwrap();
    let report = within(pool.shutdown(Duration::from_secs(3600))).await;
    assert!(report.is_clean(), "{report}");
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while counts() > 0 {
        assert!(std::time::Instant::now() < deadline, "it waits for the whole hour");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[tokio::test]
async fn a_shutdown_leaves_blocked_threads_behind() {
    let (releases, blocked): (Vec<_>, Vec<_>) = (0..2).map(|_| std::sync::mpsc::channel::<()>()).unzip();
    let blocked = std::sync::Mutex::new(blocked);
    let pool = KernelPool::new(3).unwrap();
    let (started, mut starts) = tokio::sync::mpsc::unbounded_channel();
    let each = pool.each(move |kernel, n| {
        let blocked = (n > 0).then(|| blocked.lock().unwrap().pop()).flatten();
        let started = started.clone();
        async move {
            let session = Session::builder(()).on(START, |cx, ()| cx.yield_to("block", ()));
            let session = session.on("block", move |_, ()| {
                started.send(()).unwrap();
                if let Some(blocked) = &blocked {
                    let _ = blocked.recv();
                }
            });
            session.create(&kernel).map(drop)
        }
    });
    each.await.unwrap();
    for _ in 0..3 {
        within(starts.recv()).await;
    }
    let report = within(pool.shutdown(Duration::from_millis(50))).await;
    let blocked: Vec<usize> = report.unclean.iter().map(|(index, _)| *index).collect();
    assert_eq!(blocked, [1, 2]);
    assert!(report.to_string().contains("blocks its thread"), "{report}");
    drop(releases);
}

#[tokio::test]
async fn a_server_that_was_shut_down_still_lets_go_of_its_clients_and_does_not_come_back() {
    let pool = KernelPool::builder(1)
        .setup(|kernel, _| async move { fragile(&kernel).map(drop) })
        .start()
        .unwrap();
    let server = pool
        .serve("127.0.0.1:0", |server| {
            server.client_input(|cx, line| cx.client().put(line))
        })
        .await
        .unwrap();
    within(async {
        let mut stream = TcpStream::connect(server.local_addr()).await.unwrap();
        stream.write_all(b"hello\r\n").await.unwrap();
        stream.read_exact(&mut [0; 7]).await.unwrap();
        server.shutdown();
        server.shutdown_clients();
        assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0);
        pool.handle().kernel(0).unwrap().post("fragile", FAIL, ()).unwrap();
        assert_eq!(pool.next_failure().await.outcome, PoolOutcome::Restarted);
        assert!(TcpStream::connect(server.local_addr()).await.is_err());
    })
    .await;
}
