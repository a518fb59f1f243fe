//! A kernel in WebAssembly: its queue, sessions, timers and futures run under WASI, on Tokio's timer.
//!
//! `.ci/wasm` builds it for `wasm32-wasip1` and runs it under Node. It runs natively as well.

use poe::event::{START, STOP};
use poe::{Event, HandlerResult, Kernel, Reply, Session};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

const TICK: Event<u32> = Event::new("tick");
const COUNT: Event<u64> = Event::new("count");
const DOUBLE: Event<u32, u32> = Event::new("double");
const DOUBLED: Event<Result<u32, poe::CallError<u32>>> = Event::new("doubled");
const NEVER: Event<()> = Event::new("never");
const DUE: Event<u64> = Event::new("due");

const POSTS: u64 = 100_000;
const MS: fn(u64) -> Duration = Duration::from_millis;

type Log = Rc<RefCell<Vec<String>>>;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    let log = Log::default();
    let began = Instant::now();
    let stopped = runtime.block_on(async {
        let kernel = Kernel::new();
        sessions(&kernel, &log).expect("the sessions start");
        kernel.run().await.expect("no session fails");
        kernel.why_alive().is_empty()
    });
    let took = began.elapsed();
    assert!(stopped);
    let expected = [
        "timers 10, 20, 20, 30 ms in order",
        "called 21: 42",
        "asked 50: 100",
        "slept, then went on",
        "100000 posts in order",
        "5 ticks",
    ];
    let mut log = log.take();
    log.sort();
    let mut wanted = expected.map(String::from);
    wanted.sort();
    assert_eq!(log, wanted);
    assert!(took >= MS(50), "five ticks of 10 ms took {took:?}");
    assert!(took < MS(20_000), "{took:?}");
    println!("done on {}: {}", std::env::consts::ARCH, log.join(", "));
}

fn sessions(kernel: &Kernel, log: &Log) -> Result<(), poe::Error> {
    // The queue: posts in order.
    let done = log.clone();
    Session::builder(0_u64)
        .on(START, |cx, ()| cx.yield_to(COUNT, 0))
        .on(COUNT, |cx, n| {
            assert_eq!(n, *cx.heap);
            *cx.heap += 1;
            if n + 1 < POSTS {
                cx.yield_to(COUNT, n + 1);
            }
        })
        .on(STOP, move |cx, ()| {
            done.borrow_mut().push(format!("{} posts in order", cx.heap))
        })
        .create(kernel)?;

    // Timers: a chain, and several at once, one of which is removed.
    let done = log.clone();
    Session::builder(())
        .on(START, |cx, ()| cx.delay(TICK, MS(10), 1))
        .on(TICK, move |cx, n| match n {
            5 => done.borrow_mut().push("5 ticks".into()),
            _ => cx.delay(TICK, MS(10), n + 1),
        })
        .create(kernel)?;
    let done = log.clone();
    Session::builder(Vec::new())
        .on(START, |cx, ()| -> HandlerResult {
            let never = cx.delay_set(NEVER, MS(15), ());
            for ms in [30, 20, 10, 20] {
                cx.delay_set(DUE, MS(ms), ms);
            }
            cx.alarm_remove(never)?;
            Ok(())
        })
        .on(NEVER, |_, ()| panic!("a timer that was removed"))
        .on(DUE, move |cx, ms| {
            cx.heap.push(ms.to_string());
            if cx.heap.len() == 4 {
                done.borrow_mut()
                    .push(format!("timers {} ms in order", cx.heap.join(", ")));
            }
        })
        .create(kernel)?;

    // Calls between sessions, at once and as an event.
    Session::builder(())
        .on(START, |cx, ()| cx.alias_set("doubler"))
        .on(DOUBLE, |_, n| Reply(2 * n))
        .create(kernel)?;
    let (called, asked, slept) = (log.clone(), log.clone(), log.clone());
    Session::builder(())
        .on(START, move |cx, ()| -> HandlerResult {
            let doubled = cx.call("doubler", DOUBLE, 21)?;
            called.borrow_mut().push(format!("called 21: {doubled}"));
            cx.ask("doubler", DOUBLE, 50, DOUBLED, MS(1000));
            let slept = slept.clone();
            cx.spawn_then(tokio::time::sleep(MS(5)), move |_, ()| {
                slept.borrow_mut().push("slept, then went on".into());
            });
            Ok(())
        })
        .on(DOUBLED, move |_, doubled| -> HandlerResult {
            asked.borrow_mut().push(format!("asked 50: {}", doubled?));
            Ok(())
        })
        .create(kernel)?;
    Ok(())
}
