//! A kernel on its own thread, and runs that end after a while.

use poe::component::TcpServer;
use poe::event::START;
use poe::testing;
use poe::{Event, Failure, HandlerResult, KERNEL_SHUTDOWN, Kernel, OnFailure, Reply, Session, Signal};
use std::sync::mpsc;
use std::time::Duration;
use tokio::time::timeout;

const ADD: Event<u64, u64> = Event::new("add");
const FAIL: Event<()> = Event::new("fail");
const LIMIT: Duration = Duration::from_secs(30);

/// A session that adds up.
fn counter(kernel: &Kernel) -> Result<(), poe::Error> {
    Session::builder(0)
        .on(START, |cx, ()| cx.alias_set("counter"))
        .on(ADD, |cx, n| {
            *cx.heap += n;
            Reply(*cx.heap)
        })
        .on(FAIL, |_, ()| -> HandlerResult { Err(Failure::msg("a bug")) })
        .create(kernel)
        .map(drop)
}

#[test]
fn a_program_without_a_runtime_has_a_kernel_on_a_thread_of_that_name() {
    let (names, name) = mpsc::channel();
    let (handle, thread) = Kernel::builder()
        .spawn_thread("orders", async move |kernel| {
            names
                .send((
                    std::thread::current().name().map(str::to_owned),
                    kernel.name().to_string(),
                ))
                .unwrap();
            counter(kernel)
        })
        .unwrap();
    assert_eq!(name.recv().unwrap(), (Some("orders".to_owned()), "orders".to_owned()));
    handle.post("counter", ADD, 40).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        assert_eq!(handle.call("counter", ADD, 2).await.unwrap(), 42);
        assert!(!thread.is_finished());
        timeout(LIMIT, thread.shutdown(LIMIT)).await.unwrap().unwrap();
        assert!(handle.is_closed());
    });
}

#[tokio::test]
async fn setup_may_wait_for_sessions_of_its_own_kernel() {
    let (handle, thread) = Kernel::builder()
        .spawn_thread_async("orders", async |kernel| {
            counter(kernel)?;
            assert_eq!(kernel.handle().call("counter", ADD, 7).await?, 7);
            let server = TcpServer::builder("127.0.0.1:0").client_input(|cx, line| cx.client().put(line));
            server.start(kernel).await.map(drop)
        })
        .await
        .unwrap();
    assert_eq!(handle.call("counter", ADD, 1).await.unwrap(), 8);
    timeout(LIMIT, thread.shutdown(LIMIT)).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_setup_that_fails_or_panics_is_the_error_and_nothing_runs() {
    let failed = Kernel::builder().spawn_thread("a", async |kernel| Session::builder(()).create(kernel).map(drop));
    assert!(failed.unwrap_err().to_string().contains("has no `_start` handler"));
    let panicked = Kernel::builder()
        .spawn_thread_async("b", async |_| panic!("a bug"))
        .await;
    assert_eq!(
        panicked.unwrap_err().to_string(),
        "the setup of the kernel `b` panicked: a bug"
    );
    let ended = Kernel::builder().spawn_thread("c", async |kernel| {
        counter(kernel)?;
        tokio::task::yield_now().await; // it serves from now on
        kernel.stop_all()?;
        std::future::pending().await
    });
    assert_eq!(
        ended.unwrap_err().to_string(),
        "the run of the kernel `c` ended during its setup"
    );
}

#[tokio::test]
async fn a_failing_session_stops_itself_only_unless_the_builder_says_otherwise() {
    let (handle, thread) = Kernel::builder()
        .spawn_thread("lenient", async |kernel| {
            counter(kernel)?;
            Session::builder(())
                .on(START, |cx, ()| cx.alias_set("other"))
                .on(ADD, |_, n| Reply(n))
                .create(kernel)
                .map(drop)
        })
        .unwrap();
    handle.post("counter", FAIL, ()).unwrap();
    assert_eq!(handle.call("other", ADD, 1).await.unwrap(), 1);
    assert!(handle.call("counter", ADD, 1).await.unwrap_err().is_no_such_session());
    timeout(LIMIT, thread.shutdown(LIMIT)).await.unwrap().unwrap();

    let strict = Kernel::builder().on_failure(OnFailure::StopKernel);
    let (handle, thread) = strict.spawn_thread("strict", async |kernel| counter(kernel)).unwrap();
    handle.post("counter", FAIL, ()).unwrap();
    let error = timeout(LIMIT, thread.join()).await.unwrap().unwrap_err();
    assert!(error.to_string().ends_with("failed: a bug"), "{error}");
    assert!(handle.is_closed());
}

#[tokio::test]
async fn join_waits_for_the_end_that_the_kernel_makes_itself() {
    let (handle, thread) = Kernel::builder()
        .spawn_thread("short", async |kernel| counter(kernel))
        .unwrap();
    handle.signal(handle.kernel_id(), "TERM", ()).unwrap();
    timeout(LIMIT, thread.join()).await.unwrap().unwrap();
    // Without a session the last handle ends it.
    let (handle, thread) = Kernel::builder().spawn_thread("empty", async |_| Ok(())).unwrap();
    drop(handle);
    timeout(LIMIT, thread.join()).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_shutdown_that_has_to_stop_sessions_says_which() {
    let (_handle, thread) = Kernel::builder()
        .spawn_thread("stubborn", async |kernel| {
            Session::builder(())
                .on(START, |cx, ()| {
                    cx.sig(KERNEL_SHUTDOWN, "shutdown");
                    cx.delay("work", 3600.0, ());
                })
                .on("shutdown", |cx, _: Signal| cx.sig_handled())
                .create(kernel)
                .map(drop)
        })
        .unwrap();
    let error = timeout(LIMIT, thread.shutdown(Duration::from_millis(20)))
        .await
        .unwrap()
        .unwrap_err();
    let text = error.to_string();
    assert!(
        text.starts_with("the kernel `stubborn` did not end by itself: 1 session had to be stopped"),
        "{text}"
    );
    assert!(text.contains("timer `work`"), "{text}");
}

#[tokio::test]
async fn a_dropped_thread_goes_on() {
    let (handle, thread) = Kernel::builder()
        .spawn_thread("detached", async |kernel| counter(kernel))
        .unwrap();
    drop(thread);
    assert_eq!(handle.call("counter", ADD, 1).await.unwrap(), 1);
    handle.signal(handle.kernel_id(), "TERM", ()).unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_run_for_a_while_leaves_what_is_not_over() {
    let kernel = testing::kernel();
    let began = tokio::time::Instant::now();
    Session::builder(())
        .on(START, |cx, ()| cx.delay("end", Duration::from_secs(60), ()))
        .on("end", |_, ()| ())
        .create(&kernel)
        .unwrap();
    assert!(!kernel.run_for(Duration::from_secs(20)).await.unwrap());
    assert!(!kernel.serve_for(Duration::from_secs(20)).await.unwrap());
    assert_eq!(began.elapsed().as_secs(), 40);
    assert!(kernel.run_for(Duration::from_secs(60)).await.unwrap());
    assert_eq!(began.elapsed().as_secs(), 60);
    let handle = kernel.handle();
    assert!(
        !kernel.serve_for(Duration::from_secs(5)).await.unwrap(),
        "the handle keeps it"
    );
    drop(handle);
    assert!(kernel.serve_for(Duration::from_secs(5)).await.unwrap());
    assert_eq!(began.elapsed().as_secs(), 65);
}
