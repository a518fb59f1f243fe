//! What one event costs: a post to oneself, a round trip of posts, a call, a session's whole life.
//! `cargo bench --bench dispatch`.

use divan::Bencher;
use poe::event::START;
use poe::{Event, Kernel, Reply, Session, States};

const TICK: Event<u64> = Event::new("tick");
const PING: Event<u64> = Event::new("ping");
const PONG: Event<u64> = Event::new("pong");
const NEXT: Event<u64, u64> = Event::new("next");

const EVENTS: u64 = 10_000;

fn main() {
    divan::main();
}

fn run(kernel: &Kernel) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(kernel.run()).expect("no handler fails");
}

#[divan::bench]
fn yield_to_oneself(bencher: Bencher<'_, '_>) {
    bencher.counter(EVENTS).bench_local(|| {
        let kernel = Kernel::new();
        Session::builder(0_u64)
            .on(START, |cx, ()| cx.yield_to(TICK, 1))
            .on(TICK, |cx, by| {
                *cx.heap += by;
                if *cx.heap < EVENTS {
                    cx.yield_to(TICK, 1);
                }
            })
            .create(&kernel)
            .expect("a session");
        run(&kernel);
    });
}

#[divan::bench]
fn round_trip_of_posts(bencher: Bencher<'_, '_>) {
    bencher.counter(EVENTS).bench_local(|| {
        let kernel = Kernel::new();
        let b = Session::builder(())
            .on(START, |_, ()| ())
            .on(PONG, |cx, n| cx.post(cx.sender(), PING, n + 1))
            .create(&kernel)
            .expect("a session");
        Session::builder(())
            .on(START, |cx, ()| cx.yield_to(PING, 0))
            .on(PING, move |cx, n| -> poe::HandlerResult {
                if n < EVENTS {
                    cx.post(b, PONG, n)?;
                }
                Ok(())
            })
            .create(&kernel)
            .expect("a session");
        run(&kernel);
    });
}

#[divan::bench]
fn call(bencher: Bencher<'_, '_>) {
    let kernel = Kernel::new();
    let callee = Session::builder(())
        .on(START, |_, ()| ())
        .on(NEXT, |_, n| Reply(n + 1))
        .create(&kernel)
        .expect("a session");
    bencher
        .counter(1_u64)
        .bench_local(|| kernel.call(callee, NEXT, 1).expect("an answer"));
}

#[divan::bench]
fn session_with_a_shared_table(bencher: Bencher<'_, '_>) {
    let states = States::<u64>::new()
        .on(START, |_, ()| ())
        .on(TICK, |cx, by| *cx.heap += by);
    bencher.counter(1000_u64).bench_local(|| {
        let kernel = Kernel::new();
        for _ in 0..1000 {
            Session::builder(0_u64)
                .inline_states(&states)
                .create(&kernel)
                .expect("a session");
        }
        run(&kernel);
    });
}
