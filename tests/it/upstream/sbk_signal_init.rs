//! POE's sbk_signal_init: a kernel leaves the program's own handlers alone.

use crate::in_child::in_child;
use poe::event::START;
use poe::{Kernel, Session};
use rustix::process::{Pid, Signal as Number, kill_process};
use std::time::Duration;

#[test]
fn a_kernel_leaves_the_programs_own_handlers_alone() {
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
