//! `t/90_regression/tracing-sane-exit.t`: a program that is traced in full ends when one that is not would.

use crate::laws_kit::*;
use crate::traced::Trace;
use tokio::time::Instant;

#[tokio::test(start_paused = true)]
async fn full_tracing_does_not_delay_the_end() {
    #[cfg(unix)]
    crate::in_child::in_child!();
    let trace = Trace::of("poe=trace");
    let kernel = kernel();
    let began = Instant::now();
    life("S", |cx| cx.yield_to("do_test", ()))
        .on("do_test", |cx, ()| cx.delay("done", ms(1000), ()))
        .on("done", |_, ()| say("done"))
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["done", "S stop"]);
    assert_eq!(began.elapsed(), ms(1000));
    let lines = trace.lines();
    for event in ["_start", "do_test", "done", "_stop"] {
        assert!(
            lines.iter().any(|line| line.contains(&format!("event={event}"))),
            "{event}: {lines:#?}"
        );
    }
}
