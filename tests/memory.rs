//! What the kernel keeps: nothing of timers and sessions that are over, and little of a session that is alive.
//!
//! A binary of its own, for its allocator counts every byte; one test, so that nothing else is counted with it.

// A global allocator is an unsafe trait. This one only counts and passes everything on to the system's.
#![allow(unsafe_code)]

use poe::event::{CHILD, START};
use poe::{Context, Event, Kernel, Session, States, TimerId};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::Duration;

struct Counting;

// Per thread: the test harness allocates on a thread of its own. Constants without a destructor, so that counting
// allocates nothing.
thread_local! {
    static LIVE: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

fn count(by: isize) {
    let live = LIVE.get() + by;
    LIVE.set(live);
    PEAK.set(PEAK.get().max(live));
}

// SAFETY: every method passes its arguments on to the system's allocator unchanged, whose contract is the same.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size as isize - layout.size() as isize);
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// How many cycles: a build without optimisations has a tenth of the work.
const CYCLES: usize = if cfg!(debug_assertions) { 100_000 } else { 1_000_000 };
/// As many sessions as one measurement has alive at a time.
const ALIVE: usize = 100_000;
/// What an empty cycle may cost for a while: less than one byte in a hundred cycles.
const SLACK: isize = 1024;
/// With a table that sessions share, as those of a server do.
const BYTES_SHARED: isize = 400;
/// With a table of its own, and for each of its three closures an `Rc` with a box: a call finds the code without arithmetic.
const BYTES_OWN: isize = 550;

const STEP: Event<usize> = Event::new("step");
const TIMEOUT: Event<String> = Event::new("timeout");

/// Does a thing `warm_up` times, then `times` times; what is live must be what it was after the warm-up, and must not
/// have been much more in between.
async fn leaves_nothing(what: &str, kernel: &Kernel, times: usize, mut cycle: impl AsyncFnMut(&Kernel, usize)) {
    cycle(kernel, times / 10).await;
    let before = LIVE.get();
    cycle(kernel, times / 10).await;
    let usual = PEAK.replace(before);
    cycle(kernel, times).await;
    let (after, peak) = (LIVE.get(), PEAK.get());
    println!("{times} {what}: {before} live bytes before, {after} after, {peak} at most, {usual} in a warm-up");
    assert!(
        (after - before).abs() <= SLACK,
        "{what}: {before} live bytes before, {after} after"
    );
    assert!(
        peak <= usual + SLACK,
        "{what}: {peak} live bytes at most, {usual} in a tenth of the cycles"
    );
}

/// Timers that are set, and removed while ten younger ones wait: by ID, by name, and all at once.
async fn set_and_cancel(kernel: &Kernel, times: usize) {
    fn step(cx: &mut Context<'_, Vec<TimerId>>, left: usize) {
        let now = left.min(1000);
        for n in 0..now {
            let id = cx.delay_set(
                TIMEOUT,
                Duration::from_secs(3600 + n as u64),
                "a text on the heap".repeat(3),
            );
            cx.heap.push(id);
            if cx.heap.len() > 10 {
                let oldest = cx.heap.remove(0);
                cx.alarm_remove(oldest).unwrap();
            }
        }
        cx.heap.clear();
        match left / 1000 % 2 {
            0 => assert_eq!(cx.alarm_remove_all().len(), 10.min(now)),
            _ => assert_eq!(cx.alarm_clear("timeout"), 10.min(now)),
        }
        if left > now {
            cx.yield_to(STEP, left - now);
        }
    }
    Session::builder(Vec::new())
        .on(START, move |cx, ()| cx.yield_to(STEP, times))
        .on(STEP, step)
        .create(kernel)
        .unwrap();
    kernel.run().await.unwrap();
}

/// Sessions with a heap, a table of their own, a timer, an alias and an event, which end by themselves.
async fn create_and_stop(kernel: &Kernel, times: usize) {
    let shared = States::<String>::new().on("shared", |_, ()| ());
    Session::builder(())
        .on(START, move |cx, ()| cx.yield_to(STEP, times))
        .on(CHILD, |_, _| ())
        .on(STEP, move |cx, left| {
            let now = left.min(100);
            for n in 0..now {
                let alias = format!("session {n}");
                cx.create(
                    Session::builder(format!("heap {n}"))
                        .inline_states(&shared)
                        .on(START, move |cx, ()| {
                            cx.yield_to("shared", ());
                            cx.delay("end", Duration::from_millis(1), ());
                            cx.alias_set(&alias)
                        })
                        .on("end", move |cx, ()| cx.alias_remove(&format!("session {n}"))),
                )
                .unwrap();
            }
            if left > now {
                cx.delay(STEP, Duration::from_millis(2), left - now);
            }
        })
        .create(kernel)
        .unwrap();
    kernel.run().await.unwrap();
    assert_eq!(kernel.session_count(), 0);
}

/// The live bytes of a session that has a heap of one word and three handlers, what holds it counted in.
/// They come by and by, so that the queue's room for their first events is no part of it.
async fn per_session(what: &str, at_most: isize, create: impl Fn(&Kernel, u64)) {
    let kernel = poe::testing::kernel();
    let before = LIVE.get();
    for n in 0..ALIVE as u64 {
        create(&kernel, n);
        if n % 100 == 99 {
            kernel.run_one_timeslice().await.unwrap();
        }
    }
    assert_eq!(kernel.session_count(), ALIVE);
    let bytes = (LIVE.get() - before) / ALIVE as isize;
    println!("a session with {what}: {bytes} live bytes");
    // It also was a session that could run: all of them end as they should.
    kernel.stop_all().unwrap();
    assert_eq!(kernel.session_count(), 0);
    assert!(bytes <= at_most, "a session with {what} has {bytes} live bytes");
}

#[test]
fn nothing_is_kept_of_what_is_over_and_little_of_what_is_alive() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let kernel = poe::testing::kernel();
        leaves_nothing("timers set and removed", &kernel, CYCLES, set_and_cancel).await;
        leaves_nothing("sessions created and stopped", &kernel, CYCLES, create_and_stop).await;
        let shared = States::<u64>::new()
            .on(START, |cx, ()| cx.refcount_increment(cx.session_id(), "open").map(drop))
            .on("input", |cx, n: u64| *cx.heap += n)
            .on("timeout", |_, ()| ());
        per_session("a shared table and a reference count", BYTES_SHARED, |kernel, n| {
            Session::builder(n).inline_states(&shared).create(kernel).unwrap();
        })
        .await;
        per_session("closures of its own and a reference count", BYTES_OWN, |kernel, n| {
            Session::builder(n)
                .on(START, move |cx, ()| {
                    cx.refcount_increment(cx.session_id(), "open").map(drop)
                })
                .on("input", move |cx, more: u64| *cx.heap += more + n)
                .on("timeout", |_, ()| ())
                .create(kernel)
                .unwrap();
        })
        .await;
        let waits = shared.on(START, |cx, ()| cx.delay("timeout", Duration::from_secs(60), ()));
        per_session("a shared table and a timer", BYTES_SHARED, |kernel, n| {
            Session::builder(n).inline_states(&waits).create(kernel).unwrap();
        })
        .await;
    });
}
