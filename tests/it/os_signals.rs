//! Laws G again: signals of the operating system, and the ends of child processes. Each test has a separate process,
//! and the real clock; it waits only for what it has started, with a deadline.

use crate::in_child::in_child;
use crate::laws_kit::{life, ms, said, say};
use poe::event::START;
use poe::testing::assert_no_leaks;
use poe::{Event, Kernel, Session, Signal, unix::ProcessExit};
use rustix::process::{Pid, Signal as Number, getpid, kill_process};
use std::cell::Cell;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const HEARD: Event<Signal> = Event::new("heard");
const ENDED: Event<ProcessExit<&'static str>> = Event::new("ended");

async fn run(kernel: &Kernel) {
    let run = tokio::time::timeout(Duration::from_secs(20), kernel.run());
    run.await
        .unwrap_or_else(|_| panic!("it hangs:\n{}", kernel.why_alive()))
        .unwrap();
    assert_no_leaks(kernel);
}

fn raise(number: Number) {
    kill_process(getpid(), number).unwrap();
}

fn kill(pid: u32, number: Number) {
    kill_process(Pid::from_raw(pid as i32).unwrap(), number).unwrap();
}

fn sh(script: &str) -> Child {
    Command::new("sh")
        .args(["-c", script])
        .stdin(Stdio::null())
        .spawn()
        .unwrap()
}

/// A child that ends with its standard input.
fn waiting(code: u8) -> Child {
    let script = format!("read line; exit {code}");
    Command::new("sh")
        .args(["-c", &script])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap()
}

#[tokio::test]
async fn l53_a_watched_signal_of_the_system_goes_to_all_sessions() {
    in_child!();
    let kernel = Kernel::new();
    for name in ["A", "B"] {
        life(name, |cx| {
            cx.sig("USR1", HEARD);
            cx.refcount_increment(cx.session_id(), "waits").unwrap();
        })
        .on(HEARD, move |cx, signal: Signal| {
            assert!(cx.sender().is_kernel());
            say(format!("{name} hears {}", signal.name()));
            cx.refcount_decrement(cx.session_id(), "waits").unwrap();
        })
        .create(&kernel)
        .unwrap();
    }
    // Raised by the handler that watched it, too: the listener stands at once.
    life("C", |cx| {
        cx.sig("USR2", HEARD);
        raise(Number::USR2);
        cx.refcount_increment(cx.session_id(), "waits").unwrap();
    })
    .on(HEARD, |cx, signal: Signal| {
        say(format!("C hears {}", signal.name()));
        raise(Number::USR1);
        cx.refcount_decrement(cx.session_id(), "waits").unwrap();
    })
    .create(&kernel)
    .unwrap();
    run(&kernel).await;
    let told = said();
    assert_eq!(told[..2], ["C hears USR2", "C stop"]);
    assert_eq!(told[2..4], ["B hears USR1", "A hears USR1"]);
}

#[tokio::test]
async fn l53_a_signal_that_has_come_is_delivered_before_the_kernel_is_idle() {
    in_child!();
    // The system gives the signal to whichever thread it likes, and that may take a while. Tokio's action is the older one, so
    // when this one has been taken the signal has come.
    fn raise_and_wait(come: &Arc<AtomicBool>) {
        come.store(false, Ordering::SeqCst);
        raise(Number::USR1);
        while !come.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
    }
    let kernel = Kernel::new();
    let come = Arc::new(AtomicBool::new(false));
    let again = come.clone();
    // Nothing but an alias keeps the session, and each signal comes in the last handler that there is.
    Session::builder(0)
        .on(START, move |cx, ()| -> poe::HandlerResult {
            cx.alias_set("idle")?;
            cx.sig("USR1", HEARD);
            signal_hook::flag::register(signal_hook::consts::SIGUSR1, come.clone())?;
            raise_and_wait(&come);
            Ok(())
        })
        .on(HEARD, move |cx, _| {
            *cx.heap += 1;
            say(format!("signal {}", cx.heap));
            if *cx.heap < 3 {
                raise_and_wait(&again);
            }
        })
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["signal 1", "signal 2", "signal 3"]);
}

#[tokio::test]
async fn l53_a_terminal_signal_of_the_system_stops_all_sessions() {
    in_child!();
    let kernel = Kernel::new();
    life("A", |cx| {
        cx.sig("TERM", HEARD);
        cx.alias_set("A").unwrap();
        cx.refcount_increment(cx.session_id(), "for ever").unwrap();
        cx.yield_to("go", ());
    })
    .on("go", |_, ()| raise(Number::TERM))
    .on(HEARD, |_, signal| say(signal.name()))
    .create(&kernel)
    .unwrap();
    life("B", |cx| cx.delay("bye", ms(60_000), ())).create(&kernel).unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["TERM", "B stop", "A stop"]);
}

#[test]
fn l53_an_unwatched_signal_is_the_end_of_the_process() {
    if std::env::var("POE_TEST_UNWATCHED").is_err() {
        let name = "os_signals::l53_an_unwatched_signal_is_the_end_of_the_process";
        let ended = Command::new(std::env::current_exe().unwrap())
            .args([name, "--exact", "--nocapture"])
            .env("POE_TEST_UNWATCHED", "1")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap();
        assert_eq!(ended.signal(), Some(Number::TERM.as_raw()));
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let kernel = Kernel::new();
        // Another signal is watched, which changes nothing for this one.
        life("A", |cx| {
            cx.sig("INT", HEARD);
            cx.yield_to("go", ());
        })
        .on("go", |_, ()| raise(Number::TERM))
        .create(&kernel)
        .unwrap();
        kernel.run().await.unwrap();
    });
}

#[tokio::test]
async fn l54_pipe_of_the_system_is_like_any_other() {
    in_child!();
    // Not watched, it is ignored, as Rust's runtime has it.
    raise(Number::PIPE);
    let kernel = Kernel::new();
    life("A", |cx| {
        cx.sig("PIPE", HEARD);
        raise(Number::PIPE);
        cx.refcount_increment(cx.session_id(), "waits").unwrap();
    })
    .on(HEARD, |cx, signal: Signal| {
        say(signal.name());
        cx.refcount_decrement(cx.session_id(), "waits").unwrap();
    })
    .create(&kernel)
    .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["PIPE", "A stop"]);
}

#[tokio::test]
async fn l55_two_sessions_on_one_process_both_hear_and_once() {
    in_child!();
    let kernel = Kernel::new();
    let child = sh("exit 3");
    let pid = child.id();
    for name in ["A", "B"] {
        life(name, move |cx| cx.sig_child(pid, ENDED, name).unwrap())
            .on(ENDED, move |cx, exit: ProcessExit<&str>| {
                assert!(cx.sender().is_kernel());
                assert_eq!(cx.caller_state(), None);
                say(format!(
                    "{name}: {} {:?} {}",
                    exit.pid == pid,
                    exit.status.unwrap().code(),
                    exit.extra
                ));
            })
            .create(&kernel)
            .unwrap();
    }
    run(&kernel).await;
    assert_eq!(said(), ["A: true Some(3) A", "B: true Some(3) B", "B stop", "A stop"]);
    // It was only watched, and its owner can still wait for it.
    let mut child = child;
    assert_eq!(child.wait().unwrap().code(), Some(3));
}

#[tokio::test]
async fn l55_watching_again_replaces_the_event_and_releases_the_first_reference() {
    in_child!();
    let kernel = Kernel::new();
    life("A", |cx| {
        let pid = waiting(0);
        cx.sig_child(&pid, ENDED, "first").unwrap();
        cx.sig_child(pid, "again", "second").unwrap();
    })
    .on(ENDED, |_, _| say("the first"))
    .on("again", |_, exit: ProcessExit<&'static str>| say(exit.extra))
    .create(&kernel)
    .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["second", "A stop"]);
}

/// A child without a live watcher is not waited for; but a child that was given to the kernel does not become a zombie.
#[tokio::test]
async fn a_stopped_session_awaits_no_child_and_the_kernel_reaps_it() {
    in_child!();
    let kernel = Kernel::new();
    life("A", |cx| {
        let child = sh("exit 3");
        let pid = child.id();
        cx.stop_all();
        let refused = cx.sig_child(child, ENDED, "").unwrap_err();
        assert!(refused.is_no_such_session(), "{refused}");
        cx.create(life("B", |cx| cx.yield_to("look", ())).on(
            "look",
            move |cx, ()| match cx.sig_child(pid, ENDED, "") {
                Ok(()) => {
                    assert!(cx.sig_child_clear(pid));
                    cx.delay("look", ms(5), ());
                }
                Err(error) => assert!(error.is_no_such_process(), "{error}"),
            },
        ))
        .unwrap();
    })
    .create(&kernel)
    .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["A stop", "B stop"]);
}

#[tokio::test]
async fn l55_an_end_before_the_watch_is_reported_unless_the_child_was_reaped() {
    in_child!();
    let kernel = Kernel::new();
    let mut early = sh("exit 4");
    let pid = early.id();
    let mut reaped = sh("exit 5");
    reaped.wait().unwrap();
    let gone = reaped.id();
    life("A", move |cx| {
        let refused = cx.sig_child(gone, ENDED, "").unwrap_err();
        assert!(refused.is_no_such_process(), "{refused}");
        cx.sig_child(pid, ENDED, "early").unwrap();
    })
    .on(ENDED, |_, exit| {
        say(format!("{} {:?}", exit.extra, exit.status.unwrap().code()))
    })
    .create(&kernel)
    .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["early Some(4)", "A stop"]);
    assert_eq!(early.wait().unwrap().code(), Some(4));
}

#[tokio::test]
async fn l56_the_pids_watchers_hear_before_the_blanket_ones_and_the_status_is_raw() {
    in_child!();
    let kernel = Kernel::new();
    life("blanket", |cx| {
        cx.sig("CHLD", HEARD);
        cx.alias_set("blanket").unwrap();
    })
    .on(HEARD, |_, signal: Signal| {
        let exit = signal.child().unwrap();
        say(format!("CHLD {:?}", exit.status.unwrap().into_raw()));
    })
    .create(&kernel)
    .unwrap();
    life("A", |cx| {
        let child = waiting(0);
        kill(child.id(), Number::KILL);
        cx.sig_child(child, ENDED, "").unwrap();
    })
    .on(ENDED, |_, exit| {
        say(format!("sig_child {:?}", exit.status.unwrap().into_raw()))
    })
    .create(&kernel)
    .unwrap();
    run(&kernel).await;
    let told: Vec<String> = said().into_iter().filter(|l| !l.contains("stop")).collect();
    assert_eq!(told, ["sig_child 9", "CHLD 9"]);
}

#[tokio::test]
async fn l56_a_stop_or_a_continuation_is_not_reported() {
    in_child!();
    let kernel = Kernel::new();
    life("A", |cx| {
        let child = waiting(2);
        kill(child.id(), Number::STOP);
        kill(child.id(), Number::CONT);
        cx.sig("CHLD", HEARD);
        // Its standard input ends with this handle.
        cx.sig_child(child, ENDED, "").unwrap();
    })
    .on(HEARD, |_, signal: Signal| {
        say(format!("CHLD {:?}", signal.child().unwrap().status.unwrap().code()))
    })
    .on(ENDED, |_, exit| say(format!("{:?}", exit.status.unwrap().code())))
    .create(&kernel)
    .unwrap();
    run(&kernel).await;
    let told: Vec<String> = said().into_iter().filter(|l| !l.contains("stop")).collect();
    assert_eq!(told, ["Some(2)", "CHLD Some(2)"]);
}

#[tokio::test]
async fn l57_a_blanket_watch_keeps_the_kernel_busy_but_not_its_session() {
    in_child!();
    let kernel = Kernel::new();
    // Its session is collected although a child is on its way.
    let mut child = waiting(0);
    let stdin = Cell::new(child.stdin.take());
    life("gone", |cx| cx.sig("CHLD", HEARD))
        .on(HEARD, |_, _| say("never"))
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["gone stop"]);

    // An alias would not keep the kernel from being idle; the child that runs does.
    life("daemon", move |cx| {
        cx.sig("CHLD", HEARD);
        cx.sig("IDLE", "idle");
        cx.alias_set("daemon").unwrap();
        // The child ends when the kernel has long had nothing else to wait for.
        let stdin = stdin.take();
        std::thread::spawn(move || {
            std::thread::sleep(ms(50));
            drop(stdin);
        });
    })
    .on(HEARD, |_, signal: Signal| {
        say(format!("CHLD {}", signal.child().is_some()))
    })
    .on("idle", |_, _: Signal| say("idle"))
    .create(&kernel)
    .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["CHLD true", "idle", "daemon stop"]);
    assert!(child.wait().unwrap().success());
}

#[tokio::test]
async fn l44_a_wait_for_no_child_of_ours_does_not_keep_the_kernel_from_being_idle() {
    in_child!();
    let kernel = Kernel::new();
    life("A", |cx| {
        cx.sig_child(std::os::unix::process::parent_id(), ENDED, "").unwrap();
    })
    .on(ENDED, |_, _| say("never"))
    .create(&kernel)
    .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["A stop"]);
}

#[tokio::test]
async fn a_wait_is_withdrawn() {
    in_child!();
    let kernel = Kernel::new();
    let mut child = waiting(0);
    let pid = child.id();
    life("A", move |cx| {
        cx.sig_child(pid, ENDED, "").unwrap();
        assert!(cx.sig_child_clear(pid));
        assert!(!cx.sig_child_clear(pid));
    })
    .on(ENDED, |_, _| say("never"))
    .create(&kernel)
    .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["A stop"]);
    drop(child.stdin.take());
    child.wait().unwrap();
}

#[tokio::test]
async fn a_child_that_was_given_away_is_reaped_after_its_session_too() {
    in_child!();
    let kernel = Kernel::new();
    let seen = std::rc::Rc::new(Cell::new(0));
    let pid = seen.clone();
    life("short", move |cx| {
        let mut child = waiting(0);
        pid.set(child.id());
        let stdin = child.stdin.take();
        cx.sig_child(child, ENDED, "").unwrap();
        cx.signal(cx.session_id(), "KILL", ()).unwrap();
        cx.delay("drop it", ms(0), stdin);
    })
    .create(&kernel)
    .unwrap();
    // The timer and the end of the child's input went with the session, so the child ends.
    life("long", |cx| cx.delay("look", ms(1), 10_000_u32))
        .on("look", move |cx, left: u32| {
            let found = rustix::process::test_kill_process(Pid::from_raw(seen.get() as i32).unwrap());
            if found.is_err() {
                say("gone");
            } else if left > 0 {
                cx.delay("look", ms(1), left - 1);
            }
        })
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    assert!(said().contains(&"gone".to_owned()));
}

#[tokio::test]
async fn tokios_and_stds_own_children_are_left_to_them() {
    in_child!();
    let kernel = Kernel::new();
    Session::builder(())
        .on(START, |cx, ()| {
            cx.sig("CHLD", HEARD);
            for code in 1..=5 {
                cx.spawn(
                    async move {
                        let mut child = tokio::process::Command::new("sh")
                            .args(["-c", &format!("exit {code}")])
                            .spawn()
                            .unwrap();
                        child.wait().await.unwrap().code()
                    },
                    "waited",
                );
            }
            assert_eq!(sh("exit 9").wait().unwrap().code(), Some(9));
        })
        .on(HEARD, |_, _| ())
        .on("waited", |_, code: Option<i32>| say(code.unwrap()))
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    let mut codes = said();
    codes.sort();
    assert_eq!(codes, ["1", "2", "3", "4", "5"]);
}

#[tokio::test(start_paused = true)]
async fn on_virtual_time_nothing_of_the_system_is_watched() {
    let kernel = poe::testing::kernel();
    life("A", |cx| {
        cx.sig("USR1", HEARD);
        assert!(cx.sig_child(std::process::id(), ENDED, "").is_err());
        cx.signal(cx.session_id(), "USR1", ()).unwrap();
    })
    .on(HEARD, |_, signal: Signal| say(signal.name()))
    .create(&kernel)
    .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["USR1", "A stop"]);
}
