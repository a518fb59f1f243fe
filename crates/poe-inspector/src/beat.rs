//! The beat of a kernel that is looked at: the ring is emptied, and a point of each chart is made.

use crate::sample::{Batch, TICK, TICKS};
use crate::view::View;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// Samples a kernel while somebody looks, until it is gone. While nobody does, it waits.
pub(crate) async fn run(view: Rc<View>) {
    loop {
        let record = view.record();
        if !view.is_looked_at() {
            record.recording.store(false, Relaxed);
            drop(record.take());
            view.wanted.notified().await;
            view.sample.borrow_mut().begin();
            record.recording.store(true, Relaxed);
        }
        if view.entry.observation.is_closed() {
            // Its last entries stay to be looked at.
            record.recording.store(false, Relaxed);
            return;
        }
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        ticks.tick().await;
        let mut sampled = false;
        for _ in 0..TICKS {
            ticks.tick().await;
            sampled |= drain(&view);
        }
        // One after the other: the probe itself waits in the queue.
        let stats = view.ask(|kernel| kernel.stats()).await;
        let wait = view.probe().await;
        let failures = record.log().totals.failures;
        view.sample.borrow_mut().point(stats.ok(), wait, failures, sampled);
    }
}

/// True if not all dispatches since the last time were recorded.
fn drain(view: &View) -> bool {
    let ring = view.record().take();
    let sampled = view.record().sampled.swap(false, Relaxed);
    let first = view.sample.borrow().number;
    view.sample.borrow_mut().add(&ring);
    if view.stream.receiver_count() > 0 && (!ring.seen.is_empty() || sampled) {
        let batch = Batch {
            first,
            seen: ring.seen,
            sampled,
        };
        // Nobody may be left.
        let _ = view.stream.send(Arc::new(batch));
    }
    sampled
}
