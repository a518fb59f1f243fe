//! POE's z_merijn_sigchld_system: Perl's `system` is a `Command` here.

use super::children::{CHILD_ENDED, run};
use crate::in_child::in_child;
use poe::event::START;
use poe::{Kernel, Session};
use std::cell::Cell;
use std::process::Command;
use std::rc::Rc;

#[tokio::test]
async fn a_command_works_in_a_handler_before_with_and_after_the_watch() {
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
