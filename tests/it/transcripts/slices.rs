//! What belongs to one slice of the event loop.

use super::{Cx, busy, epoch, exact_kernel, soon};
use poe::event::{START, STOP};
use poe::{Kernel, Session, SessionBuilder};
use std::cell::Cell;
use std::rc::Rc;

/// Runs slices from outside, until no session is left.
async fn slices(kernel: &Kernel) {
    let mut n = 0;
    while kernel.session_count() > 0 {
        n += 1;
        out!("slice {n}");
        kernel.run_one_timeslice().await.unwrap();
        assert!(n <= 50, "endless");
    }
    kernel.run().await.unwrap();
}

fn session(start: impl Fn(&mut Cx<'_>) + 'static) -> SessionBuilder<()> {
    Session::builder(())
        .on(START, move |cx, ()| start(cx))
        .on(STOP, |_, ()| out!("  stop"))
}

pub(crate) async fn play() {
    let kernel = exact_kernel();
    out!("== generations of posts");
    session(|cx| {
        cx.yield_to("a1", ());
        cx.yield_to("a2", ());
    })
    .on("a1", |cx, ()| {
        out!("  a1");
        cx.yield_to("b1", ());
    })
    .on("a2", |cx, ()| {
        out!("  a2");
        cx.yield_to("b2", ());
    })
    .on("b1", |cx, ()| {
        out!("  b1");
        cx.yield_to("c", ());
    })
    .on("b2", |_, ()| out!("  b2"))
    .on("c", |_, ()| out!("  c"))
    .create(&kernel)
    .unwrap();
    slices(&kernel).await;

    out!("== a timer in the past still runs in this slice, and first");
    session(|cx| {
        cx.yield_to("a1", ());
        cx.yield_to("a2", ());
    })
    .on("a1", |cx, ()| {
        out!("  a1");
        cx.yield_to("post", ());
        cx.delay("overdue", -1.0, ());
        cx.alarm("older", epoch(100), ());
    })
    .on("a2", |_, ()| out!("  a2"))
    .on("overdue", |_, ()| out!("  overdue"))
    .on("older", |_, ()| out!("  older"))
    .on("post", |_, ()| out!("  post"))
    .create(&kernel)
    .unwrap();
    slices(&kernel).await;

    out!("== a timer that becomes due while a handler is busy waits for the next slice");
    session(|cx| {
        cx.yield_to("busy", ());
        cx.yield_to("a", ());
        cx.delay("timer", soon(20), ());
    })
    .on("busy", |cx, ()| {
        out!("  busy");
        busy(40);
        cx.yield_to("b", ());
    })
    .on("a", |_, ()| out!("  a"))
    .on("timer", |_, ()| out!("  timer"))
    .on("b", |_, ()| out!("  b"))
    .create(&kernel)
    .unwrap();
    slices(&kernel).await;

    out!("== collection comes at the end of the slice");
    let first = Rc::new(Cell::new(None));
    let (set, id) = (first.clone(), first);
    session(move |cx| {
        set.set(Some(cx.session_id()));
        cx.yield_to("last", ());
    })
    .on("last", |_, ()| out!("  the first session's last event"))
    .on(STOP, |_, ()| out!("  stop of the first"))
    .create(&kernel)
    .unwrap();
    let look = move |cx: &mut Cx<'_>| {
        let there = cx.is_alive(id.get().unwrap());
        out!("  still there: {}", if there { "yes" } else { "no" });
    };
    let again = look.clone();
    session(|cx| cx.yield_to("look", ()))
        .on("look", move |cx, ()| {
            look(cx);
            cx.yield_to("look_again", ());
        })
        .on("look_again", move |cx, ()| again(cx))
        .on(STOP, |_, ()| out!("  stop of the second"))
        .create(&kernel)
        .unwrap();
    slices(&kernel).await;
}
