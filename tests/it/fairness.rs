//! The kernel always yields to its host: beside a flood the host's tasks, other clients and timers still run.
//!
//! Nothing here measures time. Each flood lasts until its victim has done its part, so that a kernel that does not yield
//! never ends; the test fails then after a minute.

use crate::peek_kit::Peek as _;
use poe::component::TcpServer;
use poe::event::START;
use poe::{Context, Event, Kernel, Session};
use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

const AGAIN: Event<()> = Event::new("again");
const TICK: Event<u32> = Event::new("tick");
const ENDED: Event<()> = Event::new("ended");

/// Far more than any of these takes.
const DEADLINE: Duration = Duration::from_secs(60);

/// Runs a test on a separate thread, so that one that never yields fails instead of hanging.
fn in_time<T: Send + 'static>(test: impl FnOnce() -> T + Send + 'static) -> T {
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(test));
        let _ = tell.send(result);
    });
    match told.recv_timeout(DEADLINE) {
        Ok(Ok(value)) => value,
        Ok(Err(panic)) => std::panic::resume_unwind(panic),
        Err(_) => panic!("the kernel has not yielded for a minute"),
    }
}

/// The same on a current-thread runtime.
fn on_tokio<F: Future<Output = ()>>(test: impl FnOnce() -> F + Send + 'static) {
    in_time(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(test());
    });
}

/// A timer of the host, a few times.
async fn host_timer() {
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Runs the kernel until the host has done its part; the kernel must not end before.
async fn beside<T>(kernel: &Kernel, host: impl Future<Output = T>) -> T {
    tokio::select! {
        ended = kernel.run() => panic!("the kernel has ended: {ended:?}"),
        done = host => done,
    }
}

#[test]
fn a_future_that_wakes_itself_lets_the_host_run() {
    on_tokio(|| async {
        let kernel = Kernel::new();
        let (done, seen) = (Rc::new(Cell::new(false)), Rc::new(Cell::new(false)));
        let (done_too, seen_too) = (done.clone(), seen.clone());
        Session::builder(())
            .on(START, move |cx, ()| {
                let done = done_too.clone();
                let wakes_itself = poll_fn(move |cx| {
                    if done.get() {
                        return Poll::Ready(());
                    }
                    cx.waker().wake_by_ref();
                    Poll::Pending
                });
                cx.spawn(wakes_itself, ENDED);
            })
            .on(ENDED, move |_, ()| seen_too.set(true))
            .create(&kernel)
            .unwrap();
        beside(&kernel, host_timer()).await;
        done.set(true);
        kernel.run().await.unwrap();
        assert!(seen.get());
    });
}

#[test]
fn a_stream_that_always_has_an_item_lets_the_host_and_timers_run() {
    on_tokio(|| async {
        let kernel = Kernel::new();
        Session::builder(())
            .on(START, |cx, ()| {
                cx.attach(futures_util::stream::repeat(1_u8), "item");
                cx.delay(TICK, Duration::from_millis(1), 5);
            })
            .on("item", |_, _: Option<u8>| ())
            .on(TICK, tick)
            .create(&kernel)
            .unwrap();
        let (ran, ()) = tokio::join!(kernel.run(), host_timer());
        ran.unwrap();
    });
}

/// Stops its session after so many ticks.
fn tick(cx: &mut Context<'_, ()>, n: u32) {
    match n {
        0 => cx.stop_all(),
        n => cx.delay(TICK, Duration::from_millis(1), n - 1),
    }
}

/// A session that copies for ever, beside its own timer, on whatever host polls this.
async fn copies_for_ever() {
    let kernel = Kernel::new();
    Session::builder(())
        .on(START, |cx, ()| {
            let copy = async { tokio::io::copy(&mut tokio::io::repeat(0), &mut tokio::io::sink()).await };
            cx.spawn(copy, "copied");
            cx.delay(TICK, Duration::from_millis(1), 5);
        })
        .on("copied", |_, _: std::io::Result<u64>| unreachable!("it never ends"))
        .on(TICK, tick)
        .create(&kernel)
        .unwrap();
    kernel.run().await.unwrap();
}

fn runtime(multi: bool) -> tokio::runtime::Runtime {
    let mut builder = match multi {
        false => tokio::runtime::Builder::new_current_thread(),
        true => tokio::runtime::Builder::new_multi_thread(),
    };
    builder.worker_threads(2).enable_all().build().unwrap()
}

#[test]
fn a_spawned_copy_leaves_the_thread_on_every_host() {
    in_time(|| runtime(false).block_on(copies_for_ever()));
    in_time(|| runtime(true).block_on(copies_for_ever()));
    for multi in [false, true] {
        in_time(move || {
            let local = tokio::task::LocalSet::new();
            let ran = local.spawn_local(copies_for_ever());
            runtime(multi).block_on(local);
            assert!(ran.now_or_never_done());
        });
    }
    in_time(|| {
        let local = tokio::task::LocalSet::new();
        runtime(false).block_on(local.run_until(copies_for_ever()));
    });
    // The host has switched the budget off.
    in_time(|| runtime(false).block_on(tokio::task::unconstrained(copies_for_ever())));
    // Executors that know of none.
    in_time(|| {
        let drivers = runtime(true);
        let _entered = drivers.enter();
        crate::hosts::futures_executor(copies_for_ever());
    });
    in_time(|| {
        let drivers = runtime(true);
        let _entered = drivers.enter();
        crate::hosts::futures_executor(async {
            tokio::join!(copies_for_ever(), copies_for_ever());
        });
    });
}

trait Done {
    fn now_or_never_done(self) -> bool;
}

impl Done for tokio::task::JoinHandle<()> {
    fn now_or_never_done(self) -> bool {
        futures_util::FutureExt::now_or_never(self).is_some_and(|ended| ended.is_ok())
    }
}

/// What a program's futures spawn on the `LocalSet` that polls them on such a host runs as well.
#[test]
fn a_host_without_a_budget_can_still_spawn_local() {
    in_time(|| {
        let drivers = runtime(true);
        let _entered = drivers.enter();
        crate::hosts::futures_executor(async {
            let kernel = Kernel::new();
            Session::builder(0_u32)
                .on(START, |cx, ()| {
                    let work = async {
                        let inner = tokio::task::spawn_local(async {
                            tokio::time::sleep(Duration::from_millis(1)).await;
                            41_u32
                        });
                        inner.await.unwrap() + 1
                    };
                    cx.spawn(work, "worked");
                })
                .on("worked", |cx, n: u32| *cx.heap = n)
                .on(poe::event::STOP, |cx, ()| assert_eq!(*cx.heap, 42))
                .create(&kernel)
                .unwrap();
            kernel.run().await.unwrap();
        });
    });
}

/// A host whose other branch has used the budget up before it polls the kernel does not stop the kernel's tasks.
#[test]
fn a_host_that_has_no_budget_left_polls_the_kernels_tasks_all_the_same() {
    on_tokio(|| async {
        let greedy = async { tokio::io::copy(&mut tokio::io::repeat(0), &mut tokio::io::sink()).await };
        tokio::select! {
            biased;
            _ = greedy => unreachable!("it never ends"),
            () = copies_for_ever() => {}
        }
    });
}

/// Sends lines until it is stopped.
fn flood(addr: SocketAddr, until: Arc<AtomicBool>) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        let mut stream = TcpStream::connect(addr).unwrap();
        stream.set_write_timeout(Some(Duration::from_millis(100))).unwrap();
        let lines = b"x\n".repeat(32_768);
        while !until.load(Ordering::Relaxed) {
            // A kernel that is over takes no more; one that is slow makes it wait.
            let _ = stream.write(&lines);
        }
    })
}

/// Sends lines and reads the echoes, one after the other, and then stops the flood.
fn ask(addr: SocketAddr, until: Arc<AtomicBool>) {
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.set_nodelay(true).unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    for n in 0..20 {
        stream.write_all(format!("echo {n}\n").as_bytes()).unwrap();
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        assert_eq!(line.trim_end(), format!("echo {n}"));
    }
    until.store(true, Ordering::Relaxed);
}

/// An echo server that is slow enough for its peers to always have more for it.
async fn server(kernel: &Kernel) -> SocketAddr {
    let server = TcpServer::builder("127.0.0.1:0")
        .client_input(|cx, line: String| {
            let began = std::time::Instant::now();
            while began.elapsed() < Duration::from_micros(2) {}
            if line.starts_with("echo") {
                cx.client().put(line);
            }
        })
        .start(kernel)
        .await
        .unwrap();
    server.local_addr().unwrap()
}

#[test]
fn beside_flooding_peers_another_clients_lines_are_echoed_and_the_host_runs() {
    for flooders in [1, 4] {
        on_tokio(move || async move {
            let kernel = Kernel::new();
            let addr = server(&kernel).await;
            let until = Arc::new(AtomicBool::new(false));
            let floods: Vec<_> = (0..flooders).map(|_| flood(addr, until.clone())).collect();
            beside(&kernel, host_timer()).await;
            let over = until.clone();
            let asker = tokio::task::spawn_blocking(move || ask(addr, over));
            beside(&kernel, asker).await.unwrap();
            assert!(until.load(Ordering::Relaxed));
            floods.into_iter().for_each(|flood| flood.join().unwrap());
        });
    }
}

#[test]
fn beside_a_flood_of_connects_a_clients_lines_are_echoed_and_the_host_runs() {
    on_tokio(|| async {
        let kernel = Kernel::new();
        let addr = server(&kernel).await;
        let until = Arc::new(AtomicBool::new(false));
        let connects: Vec<_> = (0..2)
            .map(|_| {
                let until = until.clone();
                std::thread::spawn(move || {
                    while !until.load(Ordering::Relaxed) {
                        drop(TcpStream::connect(addr));
                    }
                })
            })
            .collect();
        beside(&kernel, host_timer()).await;
        let over = until.clone();
        let asker = tokio::task::spawn_blocking(move || ask(addr, over));
        beside(&kernel, asker).await.unwrap();
        connects.into_iter().for_each(|connect| connect.join().unwrap());
    });
}

#[test]
fn a_timer_set_in_the_past_for_ever_lets_the_host_run_and_shutdown_holds_its_limit() {
    on_tokio(|| async {
        let kernel = Kernel::new();
        endless_generation(&kernel);
        beside(&kernel, host_timer()).await;
        let report = kernel.shutdown(Duration::from_millis(20)).await;
        // The signal is behind that generation, so the session did not get it.
        assert_eq!(report.stopped.len(), 1, "{report}");
        assert_eq!(kernel.session_count(), 0);
    });
}

/// A session with a generation that never ends (law L6).
fn endless_generation(kernel: &Kernel) -> poe::SessionId {
    let again = |cx: &mut Context<'_, ()>, ()| {
        cx.delay_set(AGAIN, -3600.0, ());
    };
    Session::builder(())
        .on(START, again)
        .on(AGAIN, again)
        .create(kernel)
        .unwrap()
}

#[test]
fn a_shutdown_beside_a_run_holds_its_limit_in_a_generation_that_never_ends() {
    on_tokio(|| async {
        let kernel = Kernel::new();
        endless_generation(&kernel);
        let (ran, report) = tokio::join!(kernel.run(), async {
            host_timer().await;
            kernel.shutdown(Duration::from_millis(20)).await
        });
        ran.unwrap();
        assert_eq!(report.stopped.len(), 1, "{report}");
    });
}

#[test]
fn kill_by_a_handle_acts_in_a_generation_that_never_ends_and_other_signals_wait() {
    for whole_kernel in [false, true] {
        on_tokio(move || async move {
            let kernel = Kernel::new();
            let session = endless_generation(&kernel);
            let handle = kernel.handle();
            let target = if whole_kernel { kernel.id() } else { session };
            handle.signal(target, "TERM", ()).unwrap();
            beside(&kernel, host_timer()).await;
            let killer = std::thread::spawn(move || handle.signal(target, "KILL", ()).unwrap());
            kernel.run().await.unwrap();
            killer.join().unwrap();
            assert_eq!(kernel.session_count(), 0);
        });
    }
}

#[test]
fn kill_by_a_handle_overtakes_a_full_inbox() {
    on_tokio(|| async {
        let kernel = Kernel::builder().inbox_capacity(1).build();
        let session = endless_generation(&kernel);
        let handle = kernel.handle();
        handle.post(session, AGAIN, ()).unwrap();
        assert!(handle.signal(session, "TERM", ()).unwrap_err().is_full());
        handle.signal(session, "KILL", ()).unwrap();
        kernel.run().await.unwrap();
    });
}

/// Messages that come faster than they are handled: the host runs, timers fire, and the inbox is bounded.
#[test]
fn beside_a_flood_of_messages_timers_ring_and_the_queue_stays_bounded() {
    const CAPACITY: usize = 1000;
    const WORK: Event<u64> = Event::new("work");
    on_tokio(|| async {
        let kernel = Kernel::builder().inbox_capacity(CAPACITY).build();
        let most = Rc::new(Cell::new(0));
        let seen = most.clone();
        let session = Session::builder(())
            .on(START, |cx, ()| cx.delay(TICK, Duration::from_millis(1), 10))
            .on(WORK, |_, _| {
                let began = std::time::Instant::now();
                while began.elapsed() < Duration::from_micros(5) {}
            })
            .on(TICK, move |cx, n| {
                let waiting = cx.snapshot().event_count_to(cx.session_id());
                seen.set(seen.get().max(waiting));
                tick(cx, n);
            })
            .create(&kernel)
            .unwrap();
        let until = Arc::new(AtomicBool::new(false));
        let floods: Vec<_> = (0..2)
            .map(|_| {
                let (handle, until) = (kernel.handle(), until.clone());
                std::thread::spawn(move || {
                    while !until.load(Ordering::Relaxed) {
                        let _ = handle.post(session, WORK, 1);
                    }
                })
            })
            .collect();
        let (ran, ()) = tokio::join!(kernel.run(), host_timer());
        ran.unwrap();
        until.store(true, Ordering::Relaxed);
        floods.into_iter().for_each(|flood| flood.join().unwrap());
        // The queue may hold less than the capacity when a look brings as much again, and a slice begins with another look.
        assert!(most.get() > 0 && most.get() <= 3 * CAPACITY, "{} wait", most.get());
    });
}

#[cfg(unix)]
mod unix {
    use super::*;
    use poe::filter::{Line, Raw};
    use poe::wheel::{FollowTail, Input, Run};
    use poe::{
        HandlerResult, Signal, WheelId,
        unix::{SelectMode, Selected, Watched},
    };
    use std::io::Read;

    const FLOOD: Event<Input<String>> = Event::new("flood");
    const OTHER: Event<Input<String>> = Event::new("other");
    const CLOSED: Event<WheelId> = Event::new("closed");

    /// `yes`, with handlers that are slower than it is.
    fn yes(kernel: &Kernel, run: poe::wheel::RunBuilder) {
        let run = Cell::new(Some(run));
        Session::builder(Vec::<Run>::new())
            .on(START, move |cx, ()| -> HandlerResult {
                cx.sig("USR1", "usr1");
                let yes = run.take().unwrap().stdout(Line::new(), FLOOD).start(cx)?;
                let other = Run::shell("echo hello; kill -USR1 $PPID")
                    .stdout(Line::new(), OTHER)
                    .close(CLOSED)
                    .start(cx)?;
                *cx.heap = vec![yes, other];
                Ok(())
            })
            .on(FLOOD, |_, input| {
                let shouted: Vec<String> = (0..10).map(|_| input.record.to_uppercase()).collect();
                assert_eq!(shouted.len(), 10);
            })
            .on(OTHER, |_, input| assert_eq!(input.record, "hello"))
            .on(CLOSED, |cx, wheel| cx.heap.retain(|run| run.id() != wheel))
            .on("usr1", |cx, _: Signal| {
                // The host and the signal have come through.
                cx.heap.clear();
                cx.sig_ignore("USR1");
            })
            .create(kernel)
            .unwrap();
    }

    #[test]
    fn beside_an_endless_pipe_the_host_another_program_and_a_signal_come_through() {
        crate::in_child::in_child!();
        on_tokio(|| async {
            let kernel = Kernel::new();
            yes(&kernel, Run::shell("exec yes"));
            let (ran, ()) = tokio::join!(kernel.run(), host_timer());
            ran.unwrap();
        });
    }

    #[cfg(feature = "pty")]
    #[test]
    fn beside_an_endless_terminal_the_host_another_program_and_a_signal_come_through() {
        crate::in_child::in_child!();
        on_tokio(|| async {
            let kernel = Kernel::new();
            yes(&kernel, Run::shell("exec yes").conduit(poe::wheel::Conduit::Pty));
            let (ran, ()) = tokio::join!(kernel.run(), host_timer());
            ran.unwrap();
        });
    }

    #[test]
    fn beside_a_large_file_that_is_followed_the_host_runs() {
        on_tokio(|| async {
            let path = std::env::temp_dir().join(format!("poe-fair-{}", std::process::id()));
            std::fs::File::create(&path).unwrap().set_len(1 << 40).unwrap();
            let kernel = Kernel::new();
            let file = path.clone();
            Session::builder(None)
                .on(START, move |cx, ()| -> HandlerResult {
                    let tail = FollowTail::builder(&file).input(Raw::new(), "block").seek(0);
                    *cx.heap = Some(tail.start(cx)?);
                    Ok(())
                })
                .on("block", |_, _: Input<bytes::Bytes>| ())
                .create(&kernel)
                .unwrap();
            beside(&kernel, host_timer()).await;
            kernel.stop_all().unwrap();
            std::fs::remove_file(path).unwrap();
        });
    }

    #[test]
    fn beside_files_that_are_always_ready_the_queue_and_the_host_run() {
        const READABLE: Event<Selected> = Event::new("readable");
        on_tokio(|| async {
            let kernel = Kernel::new();
            let file = std::fs::File::open("Cargo.toml").unwrap();
            for _ in 0..3 {
                let watched = Watched::new(&file).unwrap();
                Session::builder(())
                    .on(START, move |cx, ()| -> HandlerResult {
                        cx.delay(TICK, Duration::from_millis(1), 5);
                        Ok(cx.select(&watched, SelectMode::Read, READABLE, ())?)
                    })
                    .on(READABLE, |_, _| ())
                    .on(TICK, tick)
                    .create(&kernel)
                    .unwrap();
            }
            let (ran, ()) = tokio::join!(kernel.run(), host_timer());
            ran.unwrap();
        });
    }

    /// Law L77, with the reactor on another thread that wakes each watcher separately: each readiness is reported to all
    /// before any of them gets the next one.
    #[test]
    fn l77_watchers_of_one_file_get_events_in_turn_on_every_host() {
        const READABLE: Event<Selected> = Event::new("readable");
        const WRITE: Event<u32> = Event::new("write");
        const BYTES: u32 = 100;
        async fn watch(one_value: bool, budget: u32) {
            let kernel = Kernel::builder().budget(budget).build();
            let (reader, writer) = std::io::pipe().unwrap();
            let (reader, shared) = (Rc::new(reader), Rc::new(std::cell::RefCell::new(Vec::new())));
            let watched = Watched::new(&*reader).unwrap();
            for who in 0..3_u32 {
                let watched = if one_value {
                    watched.clone()
                } else {
                    Watched::new(&*reader).unwrap()
                };
                let (reader, told) = (reader.clone(), shared.clone());
                Session::builder(())
                    .on(START, move |cx, ()| cx.select(&watched, SelectMode::Read, READABLE, ()))
                    .on(READABLE, move |_, _| -> HandlerResult {
                        told.borrow_mut().push(who);
                        if who == 1 {
                            (&*reader).read_exact(&mut [0])?;
                        }
                        Ok(())
                    })
                    .create(&kernel)
                    .unwrap();
            }
            Session::builder(())
                .on(START, |cx, ()| cx.delay(WRITE, Duration::from_millis(1), 0))
                .on(WRITE, move |cx, n| {
                    if n == BYTES {
                        return cx.stop_all();
                    }
                    (&writer).write_all(b"x").unwrap();
                    cx.delay(WRITE, Duration::from_millis(1), n + 1);
                })
                .create(&kernel)
                .unwrap();
            kernel.run().await.unwrap();
            let told = shared.borrow();
            for round in told.chunks(3) {
                let mut round = round.to_vec();
                round.sort_unstable();
                assert!(round.len() < 3 || round == [0, 1, 2], "{told:?}");
            }
            assert!(told.len() > 30, "{told:?}");
        }
        for (one_value, budget) in [(true, 1024), (true, 1), (false, 1024)] {
            in_time(move || runtime(true).block_on(watch(one_value, budget)));
            in_time(move || runtime(false).block_on(watch(one_value, budget)));
        }
    }
}
