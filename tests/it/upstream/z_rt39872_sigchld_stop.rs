//! POE's z_rt39872_sigchld_stop, but for its fork: a reference that a signal of the system lets go.

use super::children::{ENDED, run};
use crate::in_child::in_child;
use poe::event::START;
use poe::{Kernel, Session, Signal};
use rustix::process::getpid;
use std::cell::Cell;
use std::process::Command;
use std::rc::Rc;

#[tokio::test]
async fn a_reference_is_let_go_by_a_signal_of_the_system() {
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
