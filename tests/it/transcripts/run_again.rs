//! Running more than once: without sessions, many runs, `stop`, slices by hand.

use super::{Cx, code, kernel, nm, or_undef, posted, soon, told};
use poe::event::{CHILD, START, STOP};
use poe::{Failure, HandlerResult, Kernel, Session, SessionBuilder, SessionId, Signal};
use std::cell::Cell;
use std::rc::Rc;

thread_local! {
    static LAST_ID: Cell<u64> = const { Cell::new(0) };
}

fn session(name: &'static str, start: impl Fn(&mut Cx<'_>) + 'static) -> SessionBuilder<()> {
    Session::builder(())
        .on(START, move |cx, ()| {
            let id = cx.session_id().get();
            let grows = id > LAST_ID.replace(id);
            out!("{name} _start, ID {}", if grows { "grows" } else { "does not grow" });
            start(cx);
        })
        .on(CHILD, |_, _| ())
        .on(STOP, move |_, ()| out!("{name} _stop"))
        .on("event", move |_, ()| out!("{name} event"))
}

fn active(id: SessionId) -> &'static str {
    if id.is_kernel() { "kernel" } else { "a session" }
}

async fn run(kernel: &Kernel) {
    told(kernel.run().await);
}

fn event(cx: &mut Cx<'_>) {
    cx.yield_to("event", ());
}

fn counter() -> SessionBuilder<()> {
    session("S", |cx| cx.yield_to("count", 1_u32))
}

fn count(cx: &mut Cx<'_>, n: u32) {
    out!("count {n}");
    if n < 4 {
        cx.yield_to("count", n + 1);
    }
}

pub(crate) async fn play() {
    LAST_ID.set(0);
    let kernel = kernel();
    out!("== no sessions");
    run(&kernel).await;
    run(&kernel).await;

    out!("== three times");
    for name in ["S1", "S2", "S3"] {
        session(name, event).create(&kernel).unwrap();
        out!("active outside: {}", active(kernel.active_session()));
        run(&kernel).await;
        out!("active outside: {}", active(kernel.active_session()));
    }

    out!("== nothing of an earlier run is left");
    session("old", |cx| {
        cx.alias_set("name").unwrap();
        cx.sig("HELLO", "heard");
        cx.delay("event", soon(1_000_000), ());
        cx.yield_to("go", ());
    })
    .on("heard", |_, _: Signal| out!("old hears!"))
    .on("go", |cx, ()| cx.signal(cx.kernel_id(), "TERM", ()).unwrap())
    .create(&kernel)
    .unwrap();
    run(&kernel).await;
    out!(
        "alias resolves: {}",
        if kernel.resolve("name").is_some() { "yes" } else { "no" }
    );
    session("new", |cx| {
        out!("alias_set: {}", code(cx.alias_set("name")));
        cx.alias_remove("name").unwrap();
        cx.signal(cx.kernel_id(), "HELLO", ()).unwrap();
    })
    .create(&kernel)
    .unwrap();
    run(&kernel).await;

    out!("== stop in a handler");
    session("parent", |cx| {
        cx.alias_set("parent").unwrap();
        cx.create(session("child", |cx| {
            cx.alias_set("child").unwrap();
            cx.delay("event", soon(1_000_000), ());
        }))
        .unwrap();
        cx.yield_to("go", ());
        cx.yield_to("event", ());
    })
    .on("go", |cx, ()| {
        let id = cx.session_id();
        out!(
            "active before: {}, {}",
            active(cx.active_session()),
            or_undef(cx.active_event())
        );
        cx.stop_all();
        out!("stop gave undef");
        out!(
            "active after: {}, {}",
            active(cx.active_session()),
            or_undef(cx.active_event())
        );
        out!("this session resolves: {}", if cx.is_alive(id) { "yes" } else { "no" });
        cx.yield_to("event", ());
        out!("post to itself: {}", posted(cx.post(id, "event", ())));
        cx.create(session("later", |cx| {
            assert_eq!(nm(cx.sender()), "kernel");
            cx.yield_to("event", ());
        }))
        .unwrap();
        out!("the handler ends");
    })
    .create(&kernel)
    .unwrap();
    run(&kernel).await;

    out!("== stop outside of run, with sessions");
    session("S", event).create(&kernel).unwrap();
    kernel.stop_all().unwrap();
    run(&kernel).await;

    out!("== stop without sessions");
    kernel.stop_all().unwrap();
    run(&kernel).await;

    out!("== run again after a throw");
    session("S", |cx| cx.yield_to("boom", ()))
        .on("boom", |_, ()| -> HandlerResult { Err(Failure::msg("boom")) })
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    session("S", event).create(&kernel).unwrap();
    run(&kernel).await;

    out!("== a few slices, then run");
    counter().on("count", count).create(&kernel).unwrap();
    for _ in 0..2 {
        assert!(kernel.run_one_timeslice().await.unwrap());
        out!("slice");
    }
    run(&kernel).await;

    out!("== run_while");
    let go_on = Rc::new(Cell::new(true));
    let flag = go_on.clone();
    counter()
        .on("count", move |cx, n: u32| {
            if n == 2 {
                flag.set(false);
            }
            count(cx, n);
        })
        .create(&kernel)
        .unwrap();
    kernel.run_while(&go_on).await.unwrap();
    out!("the flag fell");
    run(&kernel).await;
}
