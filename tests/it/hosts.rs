//! The hosts of a kernel: every way to have a `!Send` future polled on one thread.

use poe::event::START;
use poe::{Event, Kernel, Reply, Session};
use std::time::Duration;

const DOUBLE: Event<u32, u32> = Event::new("double");

/// A kernel on real time whose session doubles numbers until it is asked to end.
fn doubler() -> Kernel {
    let kernel = Kernel::new();
    Session::builder(())
        .on(START, |cx, ()| -> poe::HandlerResult {
            cx.alias_set("doubler")?;
            cx.refcount_increment(cx.session_id(), "on duty")?;
            Ok(())
        })
        .on(DOUBLE, |_, n| Reply(2 * n))
        .on("go", |cx, ()| {
            cx.refcount_decrement(cx.session_id(), "on duty").map(|_| ())
        })
        .create(&kernel)
        .unwrap();
    kernel
}

/// Calls the kernel from another thread, and ends its session.
fn ask(kernel: &Kernel) -> std::thread::JoinHandle<u32> {
    let handle = kernel.handle();
    std::thread::spawn(move || {
        let answer = futures_util::future::FutureExt::boxed(async move {
            let answer = handle.call("doubler", DOUBLE, 21).await.unwrap();
            handle.post("doubler", "go", ()).unwrap();
            answer
        });
        tokio_test::block_on(answer)
    })
}

/// A session with a timer and a task, which both need the host's drivers.
fn with_timer(kernel: &Kernel) {
    Session::builder(())
        .on(START, |cx, ()| {
            cx.delay("tick", Duration::from_millis(2), ());
            cx.spawn(async { tokio::time::sleep(Duration::from_millis(1)).await }, "slept");
        })
        .on("tick", |_, ()| ())
        .on("slept", |_, ()| ())
        .create(kernel)
        .unwrap();
}

async fn serves() {
    let kernel = doubler();
    with_timer(&kernel);
    let asked = ask(&kernel);
    kernel.run().await.unwrap();
    assert_eq!(asked.join().unwrap(), 42);
    assert_eq!(kernel.session_count(), 0);
}

#[test]
fn a_current_thread_runtime() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(serves());
}

#[test]
fn block_on_of_a_multi_threaded_runtime() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(serves());
}

#[test]
fn a_local_set_in_a_multi_threaded_runtime() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        // Two kernels side by side, as local tasks.
        let (a, b) = tokio::join!(tokio::task::spawn_local(serves()), tokio::task::spawn_local(serves()));
        a.unwrap();
        b.unwrap();
    });
}

#[test]
fn a_separate_thread_inside_a_service() {
    let service = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    service.block_on(async {
        let (tell, told) = tokio::sync::oneshot::channel();
        let thread = std::thread::spawn(move || {
            let kernel = doubler();
            tell.send(kernel.handle()).unwrap();
            kernel.run_blocking().unwrap();
        });
        let handle = told.await.unwrap();
        let handlers: Vec<_> = (0..10)
            .map(|n| {
                let handle = handle.clone();
                tokio::spawn(async move { handle.call("doubler", DOUBLE, n).await.unwrap() })
            })
            .collect();
        for (n, handler) in handlers.into_iter().enumerate() {
            assert_eq!(handler.await.unwrap(), 2 * n as u32);
        }
        handle.post("doubler", "go", ()).unwrap();
        tokio::task::spawn_blocking(|| thread.join().unwrap()).await.unwrap();
        assert!(handle.is_closed());
    });
}

#[test]
fn another_executor_with_a_runtime_driven_elsewhere() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let _entered = runtime.enter();
    futures_executor(serves());
}

/// An executor that knows nothing of Tokio: it parks its thread between polls.
pub(crate) fn futures_executor(future: impl Future<Output = ()>) {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = std::sync::Arc::new(Unpark(std::thread::current())).into();
    let mut cx = std::task::Context::from_waker(&waker);
    let mut future = std::pin::pin!(future);
    while future.as_mut().poll(&mut cx).is_pending() {
        std::thread::park();
    }
}

#[test]
fn a_program_without_a_runtime() {
    let kernel = doubler();
    with_timer(&kernel);
    let asked = ask(&kernel);
    kernel.run_blocking().unwrap();
    assert_eq!(asked.join().unwrap(), 42);
}
