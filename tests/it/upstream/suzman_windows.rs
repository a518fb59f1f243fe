//! POE's suzman_windows: CHLD reports a child that POE has not started.

use super::children::{CHILD_ENDED, run};
use crate::in_child::in_child;
use poe::event::{START, STOP};
use poe::{Kernel, Session};
use std::cell::Cell;
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::time::Duration;

#[tokio::test]
async fn chld_reports_a_child_that_poe_has_not_started() {
    in_child!();
    let kernel = Kernel::new();
    let handled = Rc::new(Cell::new(false));
    let flag = handled.clone();
    Session::builder(None)
        .on(START, |cx, ()| -> poe::HandlerResult {
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
        .on("timeout", |_, ()| panic!("the end of the child was not reported"))
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
