//! The test kit itself: virtual time, transcripts, and the checks that nothing is left.

use poe::event::START;
use poe::testing::{self, LeakCheck, Sequence, Transcript};
use poe::{Event, Kernel, Session};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

const TICK: Event<u32> = Event::new("tick");

fn ticker(kernel: &Kernel, every: Duration, times: u32) -> poe::SessionId {
    Session::builder(())
        .on(START, move |cx, ()| cx.delay(TICK, every, times))
        .on(TICK, move |cx, left| {
            if left > 1 {
                cx.delay(TICK, every, left - 1);
            }
        })
        .create(kernel)
        .unwrap()
}

/// The text of the panic that `f` ends with.
fn panic_text(f: impl FnOnce()) -> String {
    let payload = catch_unwind(AssertUnwindSafe(f)).expect_err("no panic");
    match payload.downcast::<String>() {
        Ok(text) => *text,
        Err(payload) => payload.downcast::<&'static str>().unwrap().to_string(),
    }
}

#[tokio::test(start_paused = true)]
async fn a_day_of_virtual_time_takes_no_time_and_is_exact() {
    let real = std::time::Instant::now();
    let kernel = testing::kernel();
    let _check = LeakCheck::of(&kernel);
    let began = tokio::time::Instant::now();
    ticker(&kernel, Duration::from_secs(3600), 24);
    kernel.run().await.unwrap();
    assert_eq!(began.elapsed(), Duration::from_secs(24 * 3600));
    assert!(real.elapsed() < Duration::from_secs(60));
}

#[tokio::test]
async fn a_clock_that_runs_is_refused() {
    let text = panic_text(|| drop(testing::kernel()));
    assert!(
        text.starts_with("a kernel on virtual time needs Tokio's clock to be paused"),
        "{text}"
    );
    tokio::time::pause();
    drop(testing::kernel());
}

#[test]
fn no_runtime_at_all_is_refused() {
    let text = panic_text(|| drop(testing::kernel()));
    assert!(text.contains("tokio::time::pause()"), "{text}");
}

#[test]
fn a_clock_that_was_paused_late_is_exact_all_the_same() {
    // Tokio's timers go by milliseconds from the runtime's beginning, and the clock is paused anywhere between two of them.
    for tenths in 0..10 {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let began = std::time::Instant::now();
        while began.elapsed() < Duration::from_micros(100 * tenths + 50) {
            std::hint::spin_loop();
        }
        runtime.block_on(paused_late());
    }
}

async fn paused_late() {
    tokio::time::pause();
    let kernel = testing::kernel();
    let transcript = Transcript::of(&kernel);
    ticker(&kernel, Duration::from_millis(10), 3);
    ticker(&kernel, Duration::from_micros(2500), 4);
    kernel.run().await.unwrap();
    let ticks: Vec<_> = transcript
        .records()
        .iter()
        .filter(|r| r.event == "tick")
        .map(|r| (r.session.get(), r.time))
        .collect();
    // Time goes in steps of a millisecond: what is due within one comes at its end.
    let expected = [(2, 3), (2, 6), (2, 9), (1, 10), (2, 12), (1, 20), (1, 30)];
    assert_eq!(ticks, expected.map(|(s, ms)| (s, Duration::from_millis(ms))));
}

#[tokio::test(start_paused = true)]
async fn a_transcript_names_time_session_event_sender_and_place() {
    let kernel = testing::kernel();
    let transcript = Transcript::of(&kernel);
    ticker_with_places(&kernel);
    kernel.run().await.unwrap();
    transcript.assert_eq(&format!(
        "0.000 1 _start kernel testing.rs:{CREATED}
         0.000 1 tick 1 testing.rs:{YIELDED}
         1.500 1 tick 1 testing.rs:{DELAYED}
         1.500 1 _stop kernel -"
    ));
    assert_eq!(transcript.lines_without_places()[1], "0.000 1 tick 1");
    assert_eq!(transcript.records()[2].time, Duration::from_millis(1500));
    assert_eq!(transcript.to_string().lines().count(), 4);
    transcript.clear();
    assert!(transcript.lines().is_empty());
}

const CREATED: u32 = BASE + 8;
const YIELDED: u32 = BASE + 3;
const DELAYED: u32 = BASE + 6;
const BASE: u32 = line!() + 2;
#[rustfmt::skip]
fn ticker_with_places(kernel: &Kernel) {
    Session::builder(())
        .on(START, |cx, ()| {
            cx.yield_to(TICK, 2)
        })
        .on(TICK, |cx, left| {
            if left > 1 { cx.delay(TICK, 1.5, left - 1) }
        })
        .create(kernel).unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_transcript_that_differs_says_where() {
    let kernel = testing::kernel();
    let transcript = Transcript::of(&kernel);
    ticker(&kernel, Duration::from_secs(1), 2);
    kernel.run().await.unwrap();
    let text = panic_text(|| {
        transcript.assert_eq_without_places(
            "0.000 1 _start kernel
             1.000 1 tock 1
             2.000 1 tick 1
             2.000 1 _stop kernel",
        );
    });
    let expected = "the transcript differs (- expected, + recorded):
  0.000 1 _start kernel
- 1.000 1 tock 1
+ 1.000 1 tick 1
  2.000 1 tick 1
  2.000 1 _stop kernel
";
    assert_eq!(text, expected);
}

#[tokio::test(start_paused = true)]
async fn a_transcript_that_is_dropped_records_no_more_and_a_new_one_takes_over() {
    let kernel = testing::kernel();
    let first = Transcript::of(&kernel);
    ticker(&kernel, Duration::from_secs(1), 1);
    let second = Transcript::of(&kernel);
    testing::run_for(&kernel, Duration::from_secs(5)).await.unwrap();
    assert_eq!(first.lines().len(), 1);
    assert_eq!(
        second.lines_without_places(),
        ["1.000 1 tick 1", "1.000 1 _stop kernel"]
    );
    drop(second);
    ticker(&kernel, Duration::from_secs(1), 1);
    kernel.run().await.unwrap();
    assert_eq!(first.lines().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn two_runs_of_one_program_leave_the_same_transcript() {
    async fn once() -> Vec<String> {
        let kernel = testing::kernel();
        let transcript = Transcript::of(&kernel);
        for n in 1..=5 {
            ticker(&kernel, Duration::from_millis(7 * n), 10);
        }
        kernel.run().await.unwrap();
        transcript.lines()
    }
    assert_eq!(once().await, once().await);
}

#[tokio::test(start_paused = true)]
async fn time_goes_on_where_run_for_left_it() {
    let kernel = testing::kernel();
    let _check = LeakCheck::of(&kernel);
    let transcript = Transcript::of(&kernel);
    ticker(&kernel, Duration::from_secs(10), 3);
    for (seconds, events) in [(9, 1), (1, 2), (9, 2), (2, 3)] {
        testing::run_for(&kernel, Duration::from_secs(seconds)).await.unwrap();
        assert_eq!(transcript.lines().len(), events);
    }
    kernel.run().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn sessions_left_behind_fail_the_test_with_the_reason() {
    let kernel = testing::kernel();
    Session::builder(())
        .on(START, |cx, ()| cx.alias_set("daemon"))
        .create(&kernel)
        .unwrap();
    let text = panic_text(|| testing::assert_no_leaks(&kernel));
    assert!(
        text.starts_with("1 sessions are left behind:\nsession 1 (daemon), child of kernel"),
        "{text}"
    );
    assert!(text.contains("alias `daemon` (tests/it/testing.rs:"), "{text}");
    let text = panic_text(|| drop(LeakCheck::of(&kernel)));
    assert!(text.starts_with("the test behind tests/it/testing.rs:"), "{text}");
    assert!(text.contains("leaves 1 sessions behind:\nsession 1 (daemon)"), "{text}");
    kernel.stop_all().unwrap();
    testing::assert_no_leaks(&kernel);
}

#[test]
fn a_sequence_takes_its_steps_in_order_only() {
    let steps = Sequence::of(["a", "b", "a"]);
    steps.reach("a");
    assert_eq!(panic_text(|| steps.reach("a")), "`a` was reached, but step 2 is `b`");
    steps.clone().reach("b");
    assert_eq!(panic_text(|| steps.assert_over()), "step 3 of 3 was not reached: `a`");
    steps.reach("a");
    steps.assert_over();
    assert_eq!(panic_text(|| steps.reach("a")), "`a` was reached after all 3 steps");
}
