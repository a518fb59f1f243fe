//! How programs end, and all that they have started: `stop`, which is for the group; the event that everything is over; and children that
//! nobody looks after any more.

use crate::in_child::in_child;
use crate::laws_kit::{said, say};
use crate::started_so::until;
use crate::wheel_run::{CLOSE, ERR, EXIT, OUT, children, descriptors, run, talker, wheel};
use poe::event::START;
use poe::filter::Line;
use poe::wheel::{Exited, Run, RunBuilder};
use poe::{Event, Kernel, Session};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use std::io::Write;
use std::process::Command;
use std::time::Duration;

const ENDED: Event<Exited> = Event::new("ended");

/// A member of the program's group that does not end when it is asked to. It says its number and then does nothing for ten minutes.
const STUBBORN: &str = "(trap '' TERM; exec sleep 600) & echo member $!";

fn is_running(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // One that was killed may wait for somebody to reap it.
    !matches!(
        stat.rsplit(") ").next().and_then(|rest| rest.chars().next()),
        None | Some('Z' | 'X')
    )
}

fn member(told: &[String]) -> i32 {
    let number = told.iter().find_map(|what| what.strip_prefix("out member "));
    number.expect("it has said so").parse().unwrap()
}

/// Runs a program; `then` is asked what to do when `ready` is said.
async fn play(
    builder: impl FnOnce() -> RunBuilder + 'static,
    then: impl Fn(&mut Option<Run>) + Clone + 'static,
) -> Vec<String> {
    let kernel = Kernel::new();
    talker(
        move || builder().stdout(Line::new(), OUT).close(CLOSE).exit(EXIT).ended(ENDED),
        move |cx, what| {
            if what == "out ready" {
                then(&mut cx.heap);
            }
        },
    )
    .on(ENDED, |cx, _| {
        say("ended");
        *cx.heap = None;
    })
    .create(&kernel)
    .unwrap();
    run(&kernel).await;
    said()
}

/// All but the last, which is the last.
fn in_any_order(mut told: Vec<String>) -> Vec<String> {
    let last = told.len() - 1;
    told[..last].sort_unstable();
    told
}

fn stop(grace: Duration) -> impl Fn(&mut Option<Run>) + Clone {
    move |heap| heap.as_ref().unwrap().stop(grace)
}

/// The program ends when it is asked to, and a member of its group, which holds the output, does not.
#[tokio::test]
async fn stop_kills_the_group_whose_leader_has_ended() {
    let told = play(
        || Run::shell(format!("{STUBBORN}; echo ready; exec sleep 600")),
        stop(Duration::from_millis(200)),
    )
    .await;
    assert_eq!(in_any_order(told[2..].to_vec()), ["close", "killed by 15", "ended"]);
    until("the member is gone", || !is_running(member(&told))).await;
}

/// The program has ended by itself before it is asked to, and its group holds the output.
#[tokio::test]
async fn stop_is_for_the_group_also_when_its_leader_had_ended_before() {
    let kernel = Kernel::new();
    talker(
        || {
            let program = Run::shell(format!("{STUBBORN}; exit 7"));
            program.stdout(Line::new(), OUT).close(CLOSE).exit(EXIT).ended(ENDED)
        },
        |cx, what| {
            if what == "exit 7" {
                assert!(!wheel(cx).is_running());
                wheel(cx).stop(Duration::from_millis(100));
            }
        },
    )
    .on(ENDED, |cx, exited| {
        say(format!(
            "ended with {:?}",
            exited.status.and_then(|status| status.code())
        ));
        *cx.heap = None;
    })
    .create(&kernel)
    .unwrap();
    run(&kernel).await;
    let told = said();
    let mut rest = told[..2].to_vec();
    rest.sort();
    assert_eq!(
        (&*rest[0], &told[2..]),
        ("exit 7", &["close".to_owned(), "ended with Some(7)".to_owned()][..])
    );
    until("the member is gone", || !is_running(member(&told))).await;
}

/// Members that hold no output, of a program whose outputs nobody reads.
#[tokio::test]
async fn stop_kills_members_that_hold_no_output() {
    let folder = crate::wheel_follow_tail::Folder::new();
    let file = folder.path("number");
    let kernel = Kernel::new();
    let script = format!(
        "(trap '' TERM; exec sleep 600 >/dev/null 2>&1 </dev/null) & echo $! >{}; echo ready; exec sleep 600",
        file.display()
    );
    talker(
        move || Run::shell(script).stdout(Line::new(), OUT).ended(ENDED),
        |cx, what| {
            if what == "out ready" {
                wheel(cx).stop(Duration::from_millis(100));
            }
        },
    )
    .on(ENDED, |cx, _| *cx.heap = None)
    .create(&kernel)
    .unwrap();
    run(&kernel).await;
    let number = std::fs::read_to_string(&file).unwrap().trim().parse().unwrap();
    until("the member is gone", || !is_running(number)).await;
}

/// A program that ends with TERM within the grace time is not killed, and nothing waits for the rest of the time.
#[tokio::test]
async fn stop_is_over_as_soon_as_the_group_has_gone() {
    let polite = "trap 'echo bye; exit 0' TERM; (trap 'sleep 0.2; echo bye, too; exit 0' TERM; echo ready; while :; do sleep 0.05; done) & wait";
    let told = play(move || Run::shell(polite), stop(Duration::MAX)).await;
    assert_eq!(told[0], "out ready");
    assert_eq!(told.last().unwrap(), "ended");
    for line in ["out bye", "out bye, too", "exit 0"] {
        assert!(told.contains(&line.to_owned()), "{told:?}");
    }
}

#[tokio::test]
async fn stop_goes_on_when_the_wheel_is_gone() {
    let told = play(
        || Run::shell(format!("{STUBBORN}; echo ready; exec sleep 600")),
        |heap| {
            if let Some(run) = heap.take() {
                run.stop(Duration::from_millis(100));
            }
        },
    )
    .await;
    // The session was kept until then.
    until("the member is gone", || !is_running(member(&told))).await;
}

/// When the session or the kernel goes before the grace time is over, nobody waits any longer.
#[tokio::test]
async fn stop_does_not_wait_for_a_session_or_kernel_that_is_gone() {
    for whole_kernel in [false, true] {
        let kernel = Kernel::new();
        talker(
            || {
                let program = Run::shell(format!(
                    "trap '' TERM; {STUBBORN}; echo ready; while :; do sleep 0.1; done"
                ));
                program.stdout(Line::new(), OUT)
            },
            move |cx, what| {
                if what == "out ready" {
                    wheel(cx).stop(Duration::MAX);
                    if !whole_kernel {
                        cx.stop_all();
                    }
                }
            },
        )
        .create(&kernel)
        .unwrap();
        if whole_kernel {
            let ready = async {
                while !said_ready() {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            };
            tokio::select! {
                _ = kernel.run() => panic!("it does not end"),
                () = ready => {}
            }
            drop(kernel);
        } else {
            run(&kernel).await;
        }
        let told = TOLD.take().into_iter().chain(said()).collect::<Vec<_>>();
        until("the member is gone", || !is_running(member(&told))).await;
    }
}

thread_local! {
    static TOLD: std::cell::RefCell<Vec<String>> = const { std::cell::RefCell::new(Vec::new()) };
}

fn said_ready() -> bool {
    TOLD.with_borrow_mut(|told| {
        told.extend(said());
        told.contains(&"out ready".to_owned())
    })
}

/// Asked to end when everything is over, nothing happens.
#[tokio::test]
async fn stop_of_what_is_over_does_nothing() {
    let kernel = Kernel::new();
    talker(|| Run::shell("true").stdout(Line::new(), OUT).ended(ENDED), |_, _| ())
        .on(ENDED, |cx, _| {
            wheel(cx).stop(Duration::MAX);
            assert!(!wheel(cx).kill_group("TERM").unwrap());
            *cx.heap = None;
        })
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
}

/// One that leads no group is stopped alone.
#[tokio::test]
async fn stop_leaves_our_own_group_alone() {
    let told = play(
        || Run::shell("trap '' TERM; echo ready; exec sleep 600").process_group(false),
        stop(Duration::from_millis(50)),
    )
    .await;
    assert_eq!(in_any_order(told), ["close", "killed by 9", "out ready", "ended"]);
}

/// The last event of all: after the exit and the close, whichever comes first.
#[tokio::test]
async fn ended_comes_when_the_program_has_ended_and_its_outputs_are_closed() {
    let told = play(|| Run::shell("(sleep 0.3; echo late) & exit 3"), |_| ()).await;
    assert_eq!(told, ["exit 3", "out late", "close", "ended"]);
    let told = play(|| Run::shell("exec >&-; sleep 0.3; exit 4"), |_| ()).await;
    assert_eq!(told, ["close", "exit 4", "ended"]);
    let told = play(
        || {
            Run::callback(|io| {
                writeln!(io.stdout, "a function")?;
                Err(std::io::Error::other("for the status"))
            })
        },
        |_| (),
    )
    .await;
    assert_eq!(in_any_order(told), ["close", "exit 255", "out a function", "ended"]);
}

#[tokio::test]
async fn ended_needs_no_other_event_and_no_output() {
    for (stdout, stderr) in [(false, false), (true, false), (false, true), (true, true)] {
        let kernel = Kernel::new();
        Session::builder(None::<Run>)
            .on(START, move |cx, ()| -> poe::HandlerResult {
                let mut builder = Run::shell("exit 6").ended(ENDED);
                if stdout {
                    builder = builder.stdout(Line::new(), OUT);
                }
                if stderr {
                    builder = builder.stderr(Line::new(), ERR);
                }
                *cx.heap = Some(builder.start(cx)?);
                Ok(())
            })
            .on(ENDED, |cx, exited| {
                let run = cx.heap.take().unwrap();
                assert_eq!((run.id(), run.pid()), (exited.wheel, exited.pid));
                say(exited.status.unwrap());
            })
            .create(&kernel)
            .unwrap();
        run(&kernel).await;
        assert_eq!(said(), ["exit status: 6"]);
    }
}

/// A paused output is not at its end, and a wheel that is dropped by an event before tells no more.
#[tokio::test]
async fn ended_waits_for_a_paused_output_and_is_not_told_by_a_wheel_that_is_gone() {
    let kernel = Kernel::new();
    talker(
        || {
            Run::shell("echo said")
                .stdout(Line::new(), OUT)
                .close(CLOSE)
                .exit(EXIT)
                .ended(ENDED)
        },
        |cx, what| match what {
            "begun" => wheel(cx).pause_stdout(),
            "exit 0" => {
                cx.delay("resume", Duration::from_millis(50), ());
            }
            _ => {}
        },
    )
    .on("resume", |cx, ()| {
        say("resumed");
        wheel(cx).resume_stdout();
    })
    .on(ENDED, |cx, _| {
        say("ended");
        *cx.heap = None;
    })
    .create(&kernel)
    .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["exit 0", "resumed", "out said", "close", "ended"]);
    for dropped_by in ["close", "exit 0"] {
        let kernel = Kernel::new();
        talker(
            || {
                Run::shell("exit 0")
                    .stdout(Line::new(), OUT)
                    .close(CLOSE)
                    .exit(EXIT)
                    .ended(ENDED)
            },
            move |cx, what| {
                if what == dropped_by {
                    *cx.heap = None;
                }
            },
        )
        .on(ENDED, |_, _| say("ended"))
        .create(&kernel)
        .unwrap();
        run(&kernel).await;
        assert!(!said().contains(&"ended".to_owned()), "{dropped_by}");
    }
}

/// Nobody polls the kernel any more, and still no zombie is left.
#[tokio::test]
async fn a_program_that_outlives_the_run_is_reaped() {
    in_child!();
    let before = descriptors();
    let kernel = Kernel::new();
    Session::builder(())
        .on(START, |cx, ()| -> poe::HandlerResult {
            drop(Run::shell("read line").start(cx)?);
            drop(Run::shell("exec sleep 0.3").no_stdin().start(cx)?);
            Ok(())
        })
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    until("they are reaped", || children() == 0).await;
    until("the thread is gone", || reapers() == 0).await;
    assert!(descriptors() <= before + 4, "{} and {before}", descriptors());
    // It runs again, and looks after its children as ever.
    Session::builder(None::<Run>)
        .on(START, |cx, ()| -> poe::HandlerResult {
            *cx.heap = Some(Run::shell("exit 2").exit(EXIT).start(cx)?);
            Ok(())
        })
        .on(EXIT, |cx, exited| {
            say(exited.status.unwrap());
            *cx.heap = None;
        })
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!((said(), children()), (vec!["exit status: 2".to_owned()], 0));
}

/// A run that is given up in the middle and taken up later: the end of a program in between is reported, with its status, though it was
/// reaped meanwhile.
#[tokio::test]
async fn a_program_that_ends_between_two_runs_is_reaped_and_reported() {
    in_child!();
    let kernel = Kernel::new();
    Session::builder(None::<Run>)
        .on(START, |cx, ()| -> poe::HandlerResult {
            let run = Run::shell("read line; exit 9")
                .stdout(Line::new(), OUT)
                .exit(EXIT)
                .start(cx)?;
            *cx.heap = Some(run);
            say("started");
            Ok(())
        })
        .on("end", |cx, ()| cx.heap.as_ref().unwrap().shutdown_stdin())
        .on(EXIT, |cx, exited| {
            let run = cx.heap.take().unwrap();
            assert!(!run.kill("TERM").unwrap());
            say(exited.status.unwrap());
        })
        .create(&kernel)
        .unwrap();
    assert!(
        tokio::time::timeout(Duration::from_millis(20), kernel.run())
            .await
            .is_err()
    );
    let pid = kill_the_only_child();
    until("it is reaped", || children() == 0).await;
    assert!(test_kill_process(pid).is_err());
    run(&kernel).await;
    assert_eq!(said(), ["started", "signal: 9 (SIGKILL)"]);
}

fn kill_the_only_child() -> Pid {
    let threads = std::fs::read_dir("/proc/self/task").unwrap();
    let lists = threads.filter_map(|thread| std::fs::read_to_string(thread.ok()?.path().join("children")).ok());
    let pids: Vec<i32> = lists
        .flat_map(|list| {
            list.split_whitespace()
                .map(|pid| pid.parse().unwrap())
                .collect::<Vec<i32>>()
        })
        .collect();
    assert_eq!(pids.len(), 1);
    let pid = Pid::from_raw(pids[0]).unwrap();
    kill_process(pid, Signal::KILL).unwrap();
    pid
}

/// The threads of this process that reap.
fn reapers() -> usize {
    let threads = std::fs::read_dir("/proc/self/task").unwrap();
    let names = threads.filter_map(|thread| std::fs::read_to_string(thread.ok()?.path().join("comm")).ok());
    names.filter(|name| name.trim() == "poe-reaper").count()
}

/// Kernels that are dropped with many programs running make one thread, which goes when all of them have ended.
#[tokio::test]
async fn one_thread_reaps_the_programs_of_all_kernels_that_are_dropped() {
    in_child!();
    /// Whatever happens, they do not outlive the test.
    struct Sleepers(Vec<Pid>);
    impl Drop for Sleepers {
        fn drop(&mut self) {
            for pid in self.0.drain(..) {
                let _ = kill_process(pid, Signal::KILL);
            }
        }
    }
    let mut pids = Sleepers(Vec::new());
    for _ in 0..3 {
        let kernel = Kernel::new();
        Session::builder(Vec::<Run>::new())
            .on(START, |cx, ()| -> poe::HandlerResult {
                for _ in 0..20 {
                    let mut sleep = Command::new("sleep");
                    sleep.arg("600");
                    let run = Run::builder(sleep).no_stdin().exit(EXIT).start(cx)?;
                    say(run.pid().unwrap());
                    cx.heap.push(run);
                }
                Ok(())
            })
            .on(EXIT, |_, _| ())
            .create(&kernel)
            .unwrap();
        assert!(
            tokio::time::timeout(Duration::from_millis(20), kernel.run())
                .await
                .is_err()
        );
        drop(kernel);
        pids.0
            .extend(said().iter().map(|pid| Pid::from_raw(pid.parse().unwrap()).unwrap()));
        // A thread has its name a moment after it was made.
        until("the thread is there", || reapers() > 0).await;
        assert_eq!((reapers(), children()), (1, pids.0.len()));
    }
    drop(pids);
    until("all are reaped", || children() == 0).await;
    until("the thread is gone", || reapers() == 0).await;
}
