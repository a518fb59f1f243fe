//! What a timer costs: setting, cancelling, adjusting, with few and with many others pending.
//! `cargo bench --bench timers`.

use divan::Bencher;
use poe::event::START;
use poe::{Event, Kernel, Session};
use std::time::Duration;

const TICK: Event<()> = Event::new("tick");
const WORK: Event<u64> = Event::new("work");

fn main() {
    divan::main();
}

/// A kernel with a session that keeps `pending` timers and does `work` a thousand times per call of `WORK`.
fn with_timers(pending: u64, work: impl Fn(poe::KernelRef<'_>) + 'static) -> (Kernel, poe::SessionId) {
    let kernel = Kernel::new();
    let id = Session::builder(())
        .on(START, move |cx, ()| {
            for i in 0..pending {
                cx.delay_set(TICK, Duration::from_secs(1000 + i), ());
            }
        })
        .on(TICK, |_, ()| ())
        .on(WORK, move |cx, times| {
            for _ in 0..times {
                work(cx.kernel);
            }
        })
        .create(&kernel)
        .expect("a session");
    (kernel, id)
}

#[divan::bench(args = [0, 10_000, 100_000])]
fn set_and_cancel(bencher: Bencher<'_, '_>, pending: u64) {
    let (kernel, id) = with_timers(pending, |turn| {
        let timer = turn.delay_set(TICK, Duration::from_secs(60), ());
        turn.alarm_remove(timer).expect("it was just set");
    });
    bencher
        .counter(1000_u64)
        .bench_local(|| kernel.call(id, WORK, 1000).expect("an answer"));
}

#[divan::bench(args = [0, 10_000, 100_000])]
fn replace_by_name(bencher: Bencher<'_, '_>, pending: u64) {
    // The others belong to another session: replacing by name must not look at them.
    let kernel = Kernel::new();
    Session::builder(())
        .on(START, move |cx, ()| {
            for i in 0..pending {
                cx.delay_set(TICK, Duration::from_secs(1000 + i), ());
            }
        })
        .create(&kernel)
        .expect("a session");
    let id = Session::builder(())
        .on(START, |_, ()| ())
        .on(TICK, |_, ()| ())
        .on(WORK, |cx, times| {
            for _ in 0..times {
                cx.delay(TICK, Duration::from_secs(60), ());
            }
        })
        .create(&kernel)
        .expect("a session");
    bencher
        .counter(1000_u64)
        .bench_local(|| kernel.call(id, WORK, 1000).expect("an answer"));
}
