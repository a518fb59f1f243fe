//! `t/10_units/03_base/15_kernel_internal.t`: POE counts the queue's items that do not speak against idleness, which are
//! those by which it polls for children. (The rest of the file is about Perl's `die` and `warn`.) Ours queues none, so
//! there is nothing to count.

use crate::in_child::in_child;
use crate::laws_kit::{said, say};
use poe::event::{START, STOP};
use poe::{Event, Kernel, Session, Signal};

const IDLE: Event<Signal> = Event::new("idle");

#[tokio::test]
async fn a_watch_for_children_puts_nothing_into_the_queue_and_leaves_the_kernel_idle() {
    in_child!();
    let kernel = Kernel::new();
    Session::builder(0)
        .on(START, |cx, ()| {
            cx.alias_set("waits").unwrap();
            cx.yield_to("wait", ());
        })
        // The marker of a new session stands behind this.
        .on("wait", |cx, ()| cx.yield_to("look", ()))
        .on("look", |cx, ()| {
            assert_eq!(cx.event_count(), 0);
            cx.sig("CHLD", "child");
            assert_eq!(cx.event_count(), 0, "a poll for children");
            cx.sig("CHLD", "child too");
            cx.sig("IDLE", IDLE);
            assert_eq!(cx.snapshot().queue.len(), 0);
        })
        .on(IDLE, |_, _| say("idle"))
        .on(STOP, |_, ()| say("stop"))
        .create(&kernel)
        .unwrap();
    kernel.run().await.unwrap();
    assert_eq!(said(), ["idle", "stop"]);
}
