//! The crate's effect on the signals of the process: none unless it is asked for, and nothing permanent. Each test has
//! a separate process; many of them must end by a signal that is not ignored in a background job or under `nohup`.

use crate::in_child::{Ended, in_child, is_in_child, run, this_test};
use crate::laws_kit::{life, ms, poll_once};
use poe::component::{Backoff, KernelPool, TcpClient, TcpServer};
use poe::event::START;
use poe::{Event, KERNEL_SHUTDOWN, Kernel, Session, Signal, hosts};
use rustix::process::{Signal as Number, getpid, kill_process};
use std::os::unix::process::ExitStatusExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

const HEARD: Event<Signal> = Event::new("heard");
const GO: Event<()> = Event::new("go");

fn raise(number: Number) {
    kill_process(getpid(), number).unwrap();
}

/// Raises a signal that must be the end of this process.
fn die_of(number: Number) -> ! {
    raise(number);
    std::thread::sleep(Duration::from_secs(20));
    panic!("{number:?} was sent, and the process is still here");
}

/// Raises a signal that must not be the end of this process, and sees it arrive.
async fn survive(number: Number) {
    let mut arrivals = signal(SignalKind::from_raw(number.as_raw())).unwrap();
    // When the second one has come, the handler of the first has returned.
    for _ in 0..2 {
        raise(number);
        within(arrivals.recv()).await.unwrap();
    }
}

async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(60), future)
        .await
        .expect("it comes in time")
}

/// Whether this process has a handler for the signal, which Linux tells.
#[cfg(target_os = "linux")]
fn is_caught(number: Number) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
    u64::from_str_radix(caught.trim(), 16).unwrap() >> (number.as_raw() - 1) & 1 == 1
}

/// A session that watches a signal until it gets `go`.
fn watcher(kernel: &Kernel, name: &'static str) -> poe::SessionId {
    life("watcher", move |cx| {
        cx.sig(name, HEARD);
        cx.alias_set("watcher").unwrap();
        cx.refcount_increment(cx.session_id(), "for ever").unwrap();
    })
    .on(HEARD, |cx, _| cx.sig_handled())
    .on(GO, move |cx, ()| cx.sig_ignore(name))
    .create(kernel)
    .unwrap()
}

/// Runs what is due, without waiting.
async fn turn(kernel: &Kernel) {
    let _ = tokio::time::timeout(ms(20), kernel.serve()).await;
}

async fn every_component(kernel: &Kernel) -> KernelPool {
    let server = TcpServer::builder("127.0.0.1:0")
        .client_input(|cx, line| cx.client().put(line))
        .start(kernel)
        .await
        .unwrap();
    TcpServer::builder("127.0.0.1:0")
        .acceptor(|_, _| ())
        .start(kernel)
        .await
        .unwrap();
    TcpClient::builder(server.local_addr().unwrap())
        .backoff(Backoff::new())
        .start(kernel)
        .unwrap();
    let pool = KernelPool::new(1).unwrap();
    pool.serve("127.0.0.1:0", |server| {
        server.client_input(|cx, line| cx.client().put(line))
    })
    .await
    .unwrap();
    life("one that ends in good order", |cx| {
        cx.sig(KERNEL_SHUTDOWN, HEARD);
        cx.alias_set("orderly").unwrap();
    })
    .on(HEARD, |cx, _| cx.sig_handled())
    .create(kernel)
    .unwrap();
    turn(kernel).await;
    pool
}

#[tokio::test]
async fn no_component_takes_a_signal_of_the_process() {
    in_child!(dies: Number::TERM);
    let kernel = Kernel::new();
    let _pool = every_component(&kernel).await;
    #[cfg(target_os = "linux")]
    for number in [Number::TERM, Number::INT, Number::HUP, Number::QUIT] {
        assert!(!is_caught(number), "{number:?}");
    }
    die_of(Number::TERM);
}

#[tokio::test]
async fn a_component_that_has_gone_leaves_no_handler_behind() {
    in_child!(dies: Number::TERM);
    let kernel = Kernel::new();
    let pool = every_component(&kernel).await;
    assert!(within(kernel.shutdown(Duration::from_secs(20))).await.is_clean());
    assert!(within(pool.shutdown(Duration::from_secs(20))).await.is_clean());
    drop(kernel);
    die_of(Number::TERM);
}

/// A service without signal handling ends by signals, whatever components it has.
#[tokio::test]
async fn a_service_with_a_server_ends_by_term() {
    in_child!(dies: Number::TERM);
    let kernel = Kernel::new();
    TcpServer::builder("127.0.0.1:0").start(&kernel).await.unwrap();
    Session::builder(())
        .on(START, |cx, ()| cx.yield_to("tick", 0_u32))
        .on("tick", |cx, n: u32| {
            if n == 2 {
                raise(Number::TERM);
            }
            assert!(n < 2000, "TERM came at the second tick");
            cx.delay("tick", ms(10), n + 1);
        })
        .create(&kernel)
        .unwrap();
    kernel.run().await.unwrap();
}

#[tokio::test]
async fn the_default_action_is_back_when_the_last_session_ignores_the_signal() {
    in_child!(dies: Number::TERM);
    let kernel = Kernel::new();
    let (one, two) = (watcher(&kernel, "TERM"), Kernel::new());
    let other = watcher(&two, "TERM");
    survive(Number::TERM).await;
    kernel.post(one, GO, ()).unwrap();
    turn(&kernel).await;
    // The other kernel's session watches yet.
    survive(Number::TERM).await;
    two.post(other, GO, ()).unwrap();
    turn(&two).await;
    die_of(Number::TERM);
}

#[tokio::test]
async fn the_default_action_is_back_when_the_last_session_has_ended() {
    in_child!(dies: Number::ALARM);
    let kernel = Kernel::new();
    watcher(&kernel, "ALRM");
    survive(Number::ALARM).await;
    kernel.stop_all().unwrap();
    turn(&kernel).await;
    die_of(Number::ALARM);
}

#[tokio::test]
async fn the_default_action_is_back_when_the_last_kernel_is_dropped() {
    in_child!(dies: Number::PROF);
    let kernel = Kernel::new();
    watcher(&kernel, "PROF");
    survive(Number::PROF).await;
    drop(kernel);
    die_of(Number::PROF);
}

#[test]
fn the_default_action_is_back_when_runtime_and_kernel_are_dropped_in_any_order() {
    in_child!(dies: Number::USR1);
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().build().unwrap()
    };
    for kernel_first in [true, false] {
        let (runtime, kernel) = (runtime(), Kernel::new());
        runtime.block_on(async {
            watcher(&kernel, "USR1");
            turn(&kernel).await;
            survive(Number::USR1).await;
        });
        if kernel_first {
            drop(kernel);
            drop(runtime);
        } else {
            drop(runtime);
            // It is still watched, and what comes is heard of in the next runtime.
            raise(Number::USR1);
            drop(kernel);
        }
    }
    die_of(Number::USR1);
}

/// And with a watcher that is back, it is off again.
#[tokio::test]
async fn a_signal_may_be_watched_again_after_its_default_action_was_back() {
    in_child!(dies: Number::USR2);
    let kernel = Kernel::new();
    for _ in 0..3 {
        let session = watcher(&kernel, "USR2");
        turn(&kernel).await;
        survive(Number::USR2).await;
        kernel.signal(session, "KILL", ()).unwrap();
        turn(&kernel).await;
    }
    die_of(Number::USR2);
}

#[tokio::test]
async fn a_handler_that_stood_before_the_first_watcher_stays() {
    in_child!();
    let count = Arc::new(AtomicUsize::new(0));
    signal_hook::flag::register_usize(signal_hook::consts::SIGTERM, count.clone(), 7).unwrap();
    let mut own = signal(SignalKind::interrupt()).unwrap();
    let kernel = Kernel::new();
    for name in ["TERM", "INT"] {
        let session = watcher(&kernel, name);
        turn(&kernel).await;
        kernel.signal(session, "KILL", ()).unwrap();
        turn(&kernel).await;
    }
    drop(kernel);
    survive(Number::TERM).await;
    assert_eq!(count.load(Ordering::SeqCst), 7);
    survive(Number::INT).await;
    within(own.recv()).await.unwrap();
}

#[tokio::test]
async fn keep_signal_handlers_leaves_a_signal_without_effect() {
    in_child!();
    // Whichever kernel comes first.
    for (name, number, first) in [("TERM", Number::TERM, true), ("INT", Number::INT, false)] {
        let (keeps, other) = (Kernel::builder().keep_signal_handlers().build(), Kernel::new());
        for kernel in if first { [&keeps, &other] } else { [&other, &keeps] } {
            watcher(kernel, name);
            turn(kernel).await;
        }
        drop((keeps, other));
        survive(number).await;
        let later = Kernel::new();
        watcher(&later, name);
        turn(&later).await;
        drop(later);
        survive(number).await;
    }
}

/// After its last watcher each signal has the effect that it had before the first.
#[tokio::test]
async fn each_signal_is_after_its_last_watcher_what_it_was_before_the_first() {
    const SIGNAL: &str = "POE_TEST_SIGNAL";
    const WATCHED: &str = "POE_TEST_WATCHED";
    let name = this_test!();
    if is_in_child(name) {
        let signal = std::env::var(SIGNAL).unwrap();
        let number = signal_hook_number(&signal);
        if std::env::var(WATCHED).is_ok() {
            let kernel = Kernel::new();
            let session = watcher(
                &kernel,
                Kernel::safe_signals().iter().find(|name| **name == signal).unwrap(),
            );
            turn(&kernel).await;
            kernel.signal(session, "KILL", ()).unwrap();
            turn(&kernel).await;
        }
        raise(number);
        // HandlerResult by another thread, maybe, which is to have its time.
        std::thread::sleep(ms(300));
        return;
    }
    let outcome = |signal: &str, watched: bool| {
        let ended: Ended = run(name, |command| {
            command.env(SIGNAL, signal);
            if watched {
                command.env(WATCHED, "1");
            }
        });
        (ended.status.signal(), ended.status.code(), ended.was_stopped)
    };
    // signal-hook takes the default of IO, which is the end of the process on Linux, for being ignored.
    let signals = Kernel::safe_signals().iter().filter(|name| **name != "IO");
    for signal in signals {
        assert_eq!(outcome(signal, true), outcome(signal, false), "{signal}");
    }
}

fn signal_hook_number(name: &str) -> Number {
    let raw = (1..32).find(|n| signal_hook::low_level::signal_name(*n) == Some(&format!("SIG{name}")));
    Number::from_named_raw(raw.unwrap()).unwrap()
}

/// As from `nohup`, or from a script that starts the program in the background: watchers get the signal, and no
/// other process ends by it.
#[tokio::test]
async fn a_signal_ignored_from_the_start_reaches_its_watchers_and_is_ignored_afterwards() {
    let name = this_test!();
    if !is_in_child(name) {
        let ended = run(name, |command| {
            let myself = command.get_program().to_owned();
            let args: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
            let mut shell = std::process::Command::new("sh");
            shell
                .args(["-c", "trap '' INT HUP; exec \"$@\"", "sh"])
                .arg(myself)
                .args(args);
            *command = shell;
        });
        assert!(ended.status.success(), "{}\n{}", ended.status, ended.told());
        return;
    }
    raise(Number::INT);
    raise(Number::HUP);
    let kernel = Kernel::new();
    let heard = std::rc::Rc::new(std::cell::Cell::new(0));
    let count = heard.clone();
    Session::builder(())
        .on(START, |cx, ()| {
            cx.sig("INT", HEARD);
            cx.sig("HUP", HEARD);
            cx.refcount_increment(cx.session_id(), "waits").unwrap();
            raise(Number::INT);
            raise(Number::HUP);
        })
        .on(HEARD, move |cx, signal| {
            cx.sig_handled();
            cx.sig_ignore(signal.name());
            count.set(count.get() + 1);
            if count.get() == 2 {
                cx.refcount_decrement(cx.session_id(), "waits").unwrap();
            }
        })
        .create(&kernel)
        .unwrap();
    within(kernel.run()).await.unwrap();
    assert_eq!(heard.get(), 2);
    drop(kernel);
    survive(Number::INT).await;
    survive(Number::HUP).await;
    // `terminated` watches, too, and leaves it as it was.
    let asked = hosts::terminated().unwrap();
    raise(Number::INT);
    assert_eq!(within(asked).await, "INT");
    survive(Number::INT).await;
}

#[tokio::test]
async fn a_process_is_asked_to_end_by_term_and_by_int() {
    in_child!(dies: Number::TERM);
    let mut asked = hosts::terminated().unwrap();
    for (number, name) in [(Number::TERM, "TERM"), (Number::INT, "INT"), (Number::TERM, "TERM")] {
        assert!(poll_once(&mut asked).is_none());
        raise(number);
        assert_eq!(within(&mut asked).await, name);
    }
    // Sessions may watch besides, and one of both is enough.
    let kernel = Kernel::new();
    let session = watcher(&kernel, "TERM");
    turn(&kernel).await;
    drop(asked);
    survive(Number::TERM).await;
    kernel.post(session, GO, ()).unwrap();
    turn(&kernel).await;
    die_of(Number::TERM);
}

#[test]
fn terminated_needs_a_runtime_and_says_so() {
    let error = hosts::terminated().unwrap_err().to_string();
    assert!(error.contains("TERM") && error.contains("Tokio runtime"), "{error}");
}

/// TERM comes again while the shutdown is under way, as from `timeout`, and does not cut it short.
#[tokio::test]
async fn serve_until_terminated_finishes_its_work_and_restores_the_default_action() {
    in_child!(dies: Number::TERM);
    let kernel = Kernel::new();
    Session::builder(())
        .on(START, |cx, ()| {
            cx.sig(KERNEL_SHUTDOWN, HEARD);
            cx.alias_set("works").unwrap();
            cx.delay("raise", ms(5), ());
        })
        .on("raise", |_, ()| raise(Number::TERM))
        .on(HEARD, |cx, _| {
            cx.sig_handled();
            raise(Number::TERM);
            cx.delay("done", ms(50), ());
        })
        .on("done", |_, ()| println!("done"))
        .create(&kernel)
        .unwrap();
    let served = kernel.serve_until(hosts::terminated().unwrap(), Duration::from_secs(20));
    let report = within(served).await.unwrap();
    assert!(report.is_clean(), "{report}");
    die_of(Number::TERM);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn watching_kernel_shutdown_installs_no_handler() {
    in_child!();
    let caught = || {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        status
            .lines()
            .find(|line| line.starts_with("SigCgt"))
            .unwrap()
            .to_owned()
    };
    let before = caught();
    let kernel = Kernel::new();
    watcher(&kernel, KERNEL_SHUTDOWN);
    turn(&kernel).await;
    assert_eq!(caught(), before);
    assert_eq!(
        poe::inspect::SignalClass::of(KERNEL_SHUTDOWN),
        poe::inspect::SignalClass::Terminal
    );
    assert!(!Kernel::safe_signals().contains(&KERNEL_SHUTDOWN));
    watcher(&Kernel::new(), "USR1");
    assert_ne!(caught(), before);
}

/// With SIG and without it is the same signal, and the default action is off.
#[tokio::test]
async fn a_signal_of_the_process_may_be_watched_with_sig_before_its_name() {
    in_child!(dies: Number::USR2);
    let kernel = Kernel::new();
    Session::builder(())
        .on(START, |cx, ()| {
            cx.sig("SIGUSR2", HEARD);
            cx.refcount_increment(cx.session_id(), "waits").unwrap();
            raise(Number::USR2);
        })
        .on(HEARD, |cx, signal| {
            assert_eq!(signal.name(), "USR2");
            cx.sig_ignore("SIGUSR2");
            cx.refcount_decrement(cx.session_id(), "waits").unwrap();
        })
        .create(&kernel)
        .unwrap();
    within(kernel.run()).await.unwrap();
    die_of(Number::USR2);
}

/// A watcher of `usr2` waits for a signal that never comes; the log says so.
#[tokio::test]
async fn a_lookalike_of_a_signal_is_logged() {
    in_child!();
    let trace = crate::traced::Trace::of("poe=debug");
    let kernel = Kernel::new();
    life("A", |cx| {
        cx.sig("reload", HEARD);
        cx.sig("USR1", HEARD);
        cx.sig("SIGusr2", HEARD);
    })
    .create(&kernel)
    .unwrap();
    let lines = trace.lines();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("SIGusr2") && lines[0].contains("USR2"), "{lines:?}");
}
