//! The state of the service: one session that counts, and closes a minute again and again.

use poe::event::START;
use poe::{Error, Event, HandlerResult, KERNEL_SHUTDOWN, Kernel, Reply, Session, SessionId, Signal};
use std::time::Duration;
use tokio::time::MissedTickBehavior;

/// Adds a number; the reply is the new total.
pub const ADD: Event<u64, u64> = Event::new("add");
/// Asks for the total.
pub const COUNT: Event<(), u64> = Event::new("count");
/// Asks for the sum of the last whole minute.
pub const LAST_MINUTE: Event<(), u64> = Event::new("last minute");
/// Asks whether the service takes requests.
pub const READY: Event<(), bool> = Event::new("ready");

const MINUTE: Event<()> = Event::new("minute");
const SHUTDOWN: Event<Signal> = Event::new("shutdown");

#[derive(Default)]
struct Counter {
    total: u64,
    this_minute: u64,
    last_minute: u64,
    draining: bool,
}

/// Starts the session, with the alias `counter`. `drain` is how long it says "not ready" before it ends.
pub fn start(kernel: &Kernel, drain: Duration) -> Result<SessionId, Error> {
    Session::builder(Counter::default())
        .on(START, |cx, ()| {
            cx.interval(MINUTE, Duration::from_secs(60), MissedTickBehavior::Skip);
            cx.sig(KERNEL_SHUTDOWN, SHUTDOWN);
            cx.alias_set("counter")
        })
        .on(ADD, |cx, n| -> HandlerResult<Reply<u64>> {
            let counter = &mut *cx.heap;
            counter.total = counter.total.checked_add(n).ok_or("the total overflows")?;
            counter.this_minute = counter.this_minute.saturating_add(n);
            Ok(Reply(counter.total))
        })
        .on(COUNT, |cx, ()| Reply(cx.heap.total))
        .on(LAST_MINUTE, |cx, ()| Reply(cx.heap.last_minute))
        .on(MINUTE, |cx, ()| {
            cx.heap.last_minute = std::mem::take(&mut cx.heap.this_minute)
        })
        .on(READY, |cx, ()| Reply(!cx.heap.draining))
        .on(SHUTDOWN, move |cx, _| {
            cx.heap.draining = true;
            cx.sig_handled(); // it lives on, until load balancers have seen that it is not ready
            cx.delay("end", drain, ());
        })
        .on("end", |cx, ()| cx.stop_all())
        .create(kernel)
}
