//! `t/90_regression/kjeldahl-stop-start-polling.t`, `-sig-nopipe.t` and `-sig-pipe.t`. POE's forked children stop the kernel
//! that they were born with, make sessions of their own and run again; what is left of that without a fork is that
//! `stop` leaves a kernel which can be used anew.

use crate::laws_kit::*;
use poe::{HandlerResult, Kernel};

/// The first life of a kernel: three sessions with work for hours, children among them, and what they hold.
fn first_life(kernel: &Kernel) {
    for name in ["one", "two", "three"] {
        life(name, move |cx| {
            cx.alias_set(name).unwrap();
            cx.delay("never", ms(3_600_000), ());
            cx.refcount_increment(cx.session_id(), "held").unwrap();
            cx.create(life("child", |cx| cx.delay("never", ms(3_600_000), ())))
                .unwrap();
        })
        .on("never", |_, ()| say("never"))
        .create(kernel)
        .unwrap();
    }
    said();
}

async fn second_life(kernel: &Kernel) {
    life("work", |cx| cx.delay("done", ms(1000), ()))
        .on("done", |_, ()| say("DONE"))
        .create(kernel)
        .unwrap();
    run(kernel).await;
    assert_eq!(said(), ["DONE", "work stop"]);
}

#[tokio::test(start_paused = true)]
async fn a_kernel_that_was_stopped_from_outside_runs_again() {
    let kernel = kernel();
    first_life(&kernel);
    kernel.stop_all().unwrap();
    assert_eq!(kernel.session_count(), 0);
    assert_eq!(said().iter().filter(|line| line.ends_with(" stop")).count(), 6);
    second_life(&kernel).await;
}

#[tokio::test(start_paused = true)]
async fn a_kernel_that_a_session_stopped_runs_again_with_new_sessions() {
    let kernel = kernel();
    first_life(&kernel);
    life("stopper", go)
        .on("go", |cx, ()| -> HandlerResult {
            cx.stop_all();
            cx.create(
                life("work", |cx| cx.delay("done", ms(1000), ())).on("done", |_, ()| say("DONE in the same run")),
            )?;
            Ok(())
        })
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    let said = said();
    assert_eq!(said.iter().filter(|line| line.ends_with(" stop")).count(), 8);
    assert_eq!(said[said.len() - 2..], ["DONE in the same run", "work stop"]);
    second_life(&kernel).await;
    second_life(&kernel).await;
}
