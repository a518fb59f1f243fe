//! POE's z_rt39872_sigchld: of two children one is closed and the other killed. Where it forks, ours start a program.

use super::children::{ENDED, run, waiting};
use crate::in_child::in_child;
use poe::event::{START, STOP};
use poe::{Kernel, Session};
use std::cell::Cell;
use std::process::Child;
use std::rc::Rc;

#[tokio::test]
async fn one_is_closed_the_other_killed_and_both_are_reported() {
    in_child!();
    let kernel = Kernel::new();
    let told = Rc::new(Cell::new((0, 0)));
    let seen = told.clone();
    Session::builder(Vec::<Child>::new())
        .on(START, |cx, ()| -> poe::HandlerResult {
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
        .on(ENDED, move |cx, exit| -> poe::HandlerResult {
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
