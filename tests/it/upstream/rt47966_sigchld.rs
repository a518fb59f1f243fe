//! POE's rt47966-sigchld: sixty children that end at once. Where it forks, ours start a program.

use super::children::{CHILD_ENDED, ENDED, run, waiting};
use crate::in_child::in_child;
use poe::event::{START, STOP};
use poe::{Kernel, Session};
use std::cell::Cell;
use std::collections::HashSet;
use std::process::Child;
use std::rc::Rc;

#[tokio::test]
async fn sixty_children_that_end_at_once_are_all_reported() {
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
            assert!(cx.heap.0.remove(&exit.pid), "reported twice, or unknown");
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
async fn sixty_children_awaited_one_by_one() {
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
