//! POE's smaller tests about children: rt23181-sigchld-rc, rt47966-sigchld, suzman_windows, z_merijn_sigchld_system,
//! z_rt39872_sigchld and z_rt39872_sigchld_stop, sbk_signal_init. Where they fork, ours start a program.

use crate::in_child::in_child;
use poe::event::{START, STOP};
use poe::{ChildExit, Event, Kernel, Session, Signal};
use rustix::process::{Pid, Signal as Number, getpid, kill_process};
use std::cell::Cell;
use std::collections::HashSet;
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::time::Duration;

const ENDED: Event<ChildExit<&'static str>> = Event::new("ended");
const CHILD_ENDED: Event<Signal> = Event::new("child ended");

async fn run(kernel: &Kernel) {
    let run = tokio::time::timeout(Duration::from_secs(60), kernel.run());
    run.await.expect("a sane end").unwrap();
}

/// One that ends when its standard input does.
fn waiting() -> Child {
    Command::new("cat")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn rt23181_to_withdraw_a_wait_that_never_was_is_harmless() {
    let kernel = crate::laws_kit::kernel();
    let stopped = Rc::new(Cell::new(false));
    let flag = stopped.clone();
    Session::builder(())
        .on(START, |cx, ()| cx.yield_to("test", ()))
        .on("test", |cx, ()| assert!(!cx.sig_child_clear(12)))
        .on(STOP, move |_, ()| flag.set(true))
        .create(&kernel)
        .unwrap();
    crate::laws_kit::run(&kernel).await;
    assert!(stopped.get());
}

#[tokio::test]
async fn rt47966_sixty_children_that_end_at_once_are_all_told_of() {
    in_child!();
    const N: usize = 60;
    let kernel = Kernel::new();
    let left = Rc::new(Cell::new(N));
    let count = left.clone();
    Session::builder((HashSet::<u32>::new(), Vec::<Child>::new()))
        .on(START, |cx, ()| {
            cx.sig("CHLD", CHILD_ENDED);
            let (pids, children) = &mut *cx.heap;
            children.extend((0..N).map(|_| waiting()));
            pids.extend(children.iter().map(Child::id));
            cx.yield_to("say goodbye", ());
            cx.alias_set("keeps it")
        })
        .on("say goodbye", |cx, ()| {
            for child in &mut cx.heap.1 {
                drop(child.stdin.take());
            }
        })
        .on(CHILD_ENDED, move |cx, signal| {
            let exit = signal.child().unwrap();
            assert!(cx.heap.0.remove(&exit.pid), "told of twice, or a stranger");
            count.set(cx.heap.0.len());
            if cx.heap.0.is_empty() {
                cx.alias_remove("keeps it").unwrap();
            }
        })
        .on(STOP, |cx, ()| {
            // Nobody has taken them from their owner.
            for child in &mut cx.heap.1 {
                assert!(child.wait().unwrap().success());
            }
        })
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(left.get(), 0);
}

#[tokio::test]
async fn rt47966_sixty_children_awaited_one_by_one() {
    in_child!();
    const N: usize = 60;
    let kernel = Kernel::new();
    let ended = Rc::new(Cell::new(0));
    let count = ended.clone();
    Session::builder(())
        .on(START, |cx, ()| {
            let children: Vec<Child> = (0..N).map(|_| waiting()).collect();
            for child in children {
                cx.sig_child(child, ENDED, "").unwrap();
            }
        })
        .on(ENDED, move |_, exit| {
            assert!(exit.status.unwrap().success());
            count.set(count.get() + 1);
        })
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(ended.get(), N);
    // They were given away, and reaped: there is no child left.
    let left = rustix::process::wait(rustix::process::WaitOptions::NOHANG);
    assert_eq!(left.unwrap_err(), rustix::io::Errno::CHILD);
}

#[tokio::test]
async fn suzman_windows_chld_tells_of_a_child_that_poe_has_not_started() {
    in_child!();
    let kernel = Kernel::new();
    let handled = Rc::new(Cell::new(false));
    let flag = handled.clone();
    Session::builder(None)
        .on(START, |cx, ()| -> poe::Handled {
            cx.sig("CHLD", CHILD_ENDED);
            cx.delay("timeout", Duration::from_secs(30), ());
            *cx.heap = Some(Command::new("echo").stdout(Stdio::null()).spawn()?);
            Ok(())
        })
        .on(CHILD_ENDED, move |cx, _| {
            cx.alarm_clear("timeout");
            cx.sig_ignore("CHLD");
            flag.set(true);
        })
        .on("timeout", |_, ()| panic!("not told of"))
        .on(STOP, |cx, ()| {
            if let Some(child) = &mut *cx.heap {
                child.wait().unwrap();
            }
        })
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    assert!(handled.get());
}

#[tokio::test]
async fn z_merijn_a_command_works_in_a_handler_before_with_and_after_the_watch() {
    in_child!();
    let kernel = Kernel::new();
    let caught = Rc::new(Cell::new(0));
    let count = caught.clone();
    Session::builder(())
        .on(START, |cx, ()| {
            let system = || Command::new("true").status().unwrap().success();
            assert!(system());
            cx.sig("CHLD", CHILD_ENDED);
            assert!(system());
            cx.sig_ignore("CHLD");
            assert!(system());
        })
        .on(CHILD_ENDED, move |_, _| count.set(count.get() + 1))
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(caught.get(), 0);
}

#[tokio::test]
async fn z_rt39872_one_is_closed_the_other_killed_and_both_are_told_of() {
    in_child!();
    let kernel = Kernel::new();
    let told = Rc::new(Cell::new((0, 0)));
    let seen = told.clone();
    Session::builder(Vec::<Child>::new())
        .on(START, |cx, ()| -> poe::Handled {
            cx.alias_set("worker")?;
            for name in ["closed", "killed"] {
                let child = waiting();
                let pid = child.id();
                cx.heap.push(child);
                cx.sig_child(pid, ENDED, name)?;
            }
            drop(cx.heap[0].stdin.take());
            Ok(())
        })
        .on(ENDED, move |cx, exit| -> poe::Handled {
            let (closed, killed) = seen.get();
            if exit.extra == "closed" {
                assert_eq!((closed, killed), (0, 0), "only the closed one has ended");
                assert!(exit.status.unwrap().success());
                seen.set((1, 0));
                cx.heap[1].kill()?;
            } else {
                assert_eq!(closed, 1);
                assert_eq!(exit.status.unwrap().code(), None);
                seen.set((1, 1));
            }
            Ok(())
        })
        .on(STOP, |cx, ()| {
            for child in cx.heap.iter_mut() {
                child.wait().unwrap();
            }
        })
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(told.get(), (1, 1));
}

#[tokio::test]
async fn z_rt39872_stop_a_reference_is_let_go_by_a_signal_of_the_system() {
    in_child!();
    let kernel = Kernel::new();
    let heard = Rc::new(Cell::new(false));
    let flag = heard.clone();
    Session::builder(())
        .on(START, |cx, ()| {
            cx.sig("USR1", "usr1");
            cx.refcount_increment(cx.session_id(), "USR1").unwrap();
            // Another process sends it.
            let me = getpid().as_raw_nonzero();
            let sender = Command::new("kill").args(["-USR1", &me.to_string()]).spawn().unwrap();
            cx.sig_child(sender, ENDED, "sender").unwrap();
        })
        .on("usr1", move |cx, _: Signal| {
            flag.set(true);
            cx.sig_ignore("USR1");
            cx.refcount_decrement(cx.session_id(), "USR1").unwrap();
        })
        .on(ENDED, |_, exit| assert!(exit.status.unwrap().success()))
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    assert!(heard.get());
}

#[test]
fn sbk_signal_init_a_kernel_leaves_the_programs_own_handlers_alone() {
    in_child!();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let alarm = tokio::signal::unix::SignalKind::alarm();
        let mut own = tokio::signal::unix::signal(alarm).unwrap();
        let kernel = Kernel::new();
        // It watches one for itself, and makes nothing of the other.
        Session::builder(())
            .on(START, |cx, ()| cx.sig("USR1", "usr1"))
            .create(&kernel)
            .unwrap();
        kernel.run().await.unwrap();
        kill_process(Pid::from_raw(std::process::id() as i32).unwrap(), Number::ALARM).unwrap();
        let arrived = tokio::time::timeout(Duration::from_secs(10), own.recv()).await;
        assert_eq!(arrived, Ok(Some(())));
    });
}
