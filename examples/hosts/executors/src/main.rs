//! Any executor that takes a `!Send` future can poll a kernel, as long as a Tokio runtime with timers and sockets runs
//! somewhere and is entered on the kernel's thread.
//!
//! Each host here runs the same kernel: timers, a future, a line through a TCP server and back, a call from another
//! thread. The package `glib` beside this one shows a host with a main loop for graphics.

use futures::executor::LocalPool;
use futures::task::LocalSpawnExt;
use poe::component::{TcpClient, TcpServer};
use poe::event::START;
use poe::{Event, HandlerResult, Kernel, Reply, Session};
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, LocalOptions, Runtime};
use tokio::task::LocalSet;

const TICK: Event<u32> = Event::new("tick");
const SLEPT: Event<()> = Event::new("slept");
const ECHOED: Event<String> = Event::new("echoed");
const DOUBLE: Event<u32, u32> = Event::new("double");
const DONE: Event<&'static str> = Event::new("done");

fn main() {
    host("a current-thread runtime", || {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(serves());
    });
    host("a LocalRuntime", || {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build_local(LocalOptions::default())
            .expect("a runtime");
        // Its tasks need no `LocalSet`.
        let kernels = async {
            let (a, b) = (tokio::task::spawn_local(serves()), tokio::task::spawn_local(serves()));
            futures::future::join(a, b).await
        };
        let (a, b) = runtime.block_on(kernels);
        a.and(b).expect("neither panics");
    });
    host("block_on of a runtime with many threads", || {
        elsewhere(2).block_on(serves())
    });
    host("a LocalSet in a runtime with many threads", || {
        let local = LocalSet::new();
        local.spawn_local(serves());
        elsewhere(2).block_on(local);
    });
    host("a thread of its own beside a runtime with many threads", || {
        let service = elsewhere(2);
        let drivers = service.handle().clone();
        let thread = std::thread::spawn(move || drivers.block_on(serves()));
        service.block_on(async { tokio::time::sleep(Duration::from_millis(1)).await });
        thread.join().expect("it does not panic");
    });
    host("futures::executor::block_on, the drivers elsewhere", || {
        let drivers = elsewhere(1);
        let _entered = drivers.enter();
        futures::executor::block_on(serves());
    });
    host("two kernels in futures' LocalPool, the drivers elsewhere", || {
        let drivers = elsewhere(1);
        let _entered = drivers.enter();
        let mut pool = LocalPool::new();
        for _ in 0..2 {
            pool.spawner().spawn_local(serves()).expect("the pool takes it");
        }
        pool.run();
    });
    host(
        "two kernels and a timer of smol's in its LocalExecutor, the drivers elsewhere",
        || {
            let drivers = elsewhere(1);
            let _entered = drivers.enter();
            let executor = smol::LocalExecutor::new();
            let kernels = [executor.spawn(serves()), executor.spawn(serves())];
            let slept = executor.spawn(smol::Timer::after(Duration::from_millis(5)));
            smol::block_on(executor.run(async {
                for kernel in kernels {
                    kernel.await;
                }
                slept.await;
            }));
        },
    );
}

fn host(name: &str, run: impl FnOnce()) {
    let began = Instant::now();
    run();
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{name} took {:?}",
        began.elapsed()
    );
    println!("{name}: served");
}

fn elsewhere(threads: usize) -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .build()
        .expect("a runtime")
}

/// A kernel that uses all that a host must give, and ends.
async fn serves() {
    let kernel = Kernel::new();
    let server = TcpServer::builder("127.0.0.1:0")
        .client_input(|cx, line: String| cx.client().put(line))
        .start(&kernel)
        .await
        .expect("a server");
    let address = server.local_name().clone();
    Session::builder(vec!["timer", "future", "echo", "thread"])
        .on(START, |cx, ()| {
            cx.delay(TICK, Duration::from_millis(2), 1);
            cx.spawn(tokio::time::sleep(Duration::from_millis(3)), SLEPT);
            cx.alias_set("asked")
        })
        .on(TICK, |cx, n| match n {
            5 => cx.yield_to(DONE, "timer"),
            _ => cx.delay(TICK, Duration::from_millis(2), n + 1),
        })
        .on(SLEPT, |cx, ()| cx.yield_to(DONE, "future"))
        .on(ECHOED, |cx, line| {
            assert_eq!(line, "there and back");
            cx.yield_to(DONE, "echo");
        })
        .on(DOUBLE, |_, n| Reply(2 * n))
        .on(DONE, |cx, what| {
            cx.heap.retain(|left| *left != what);
            if cx.heap.is_empty() {
                cx.stop_all();
            }
        })
        .create(&kernel)
        .expect("a session");
    TcpClient::builder(address)
        .connected(|cx| cx.server().put("there and back"))
        .server_input(|cx, line: String| -> HandlerResult {
            cx.server().shutdown();
            cx.post("asked", ECHOED, line)?;
            Ok(())
        })
        .start(&kernel)
        .expect("a client");
    let handle = kernel.handle();
    let thread = std::thread::spawn(move || {
        let answer = futures::executor::block_on(handle.call("asked", DOUBLE, 21)).expect("an answer");
        handle.post("asked", DONE, "thread").expect("an open kernel");
        answer
    });
    kernel.serve().await.expect("nobody fails");
    assert_eq!(thread.join().expect("it does not panic"), 42);
    assert!(kernel.why_alive().is_empty());
}
