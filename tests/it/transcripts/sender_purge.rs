//! What becomes of a message when its sender or its target goes.

use super::{Cx, kernel, named, nm, soon};
use poe::event::{CHILD, START, STOP};
use poe::{Kernel, Session, SessionBuilder, Signal};

fn session(name: &'static str, start: impl Fn(&mut Cx<'_>) + 'static) -> SessionBuilder<()> {
    Session::builder(())
        .on(START, move |cx, ()| {
            named(cx.session_id(), name);
            cx.alias_set(name).unwrap();
            cx.sig("HELLO", "heard");
            start(cx);
        })
        .on("go_away", move |cx, ()| cx.alias_remove(name))
        .on("hello", move |cx, what: &'static str| {
            out!("{name} hears {what} from {}", nm(cx.sender()))
        })
        .on("heard", move |_, s: Signal| {
            out!("{name} hears {} ({})", s.name(), s.arg::<&str>().unwrap())
        })
        .on(STOP, move |_, ()| out!("{name} _stop"))
}

fn go(cx: &mut Cx<'_>) {
    cx.yield_to("go", ());
}

fn receiver(kernel: &Kernel) {
    session("receiver", |cx| {
        cx.delay("hello", soon(30), "its own timer");
        cx.delay("go_away", soon(50), ());
    })
    .create(kernel)
    .unwrap();
}

pub(crate) async fn play() {
    let kernel = kernel();
    out!("== a sender that ends by itself stays until its message has arrived");
    receiver(&kernel);
    session("sender", |cx| {
        cx.post("receiver", "hello", "a message").unwrap();
        cx.alias_remove("sender").unwrap();
    })
    .create(&kernel)
    .unwrap();
    kernel.run().await.unwrap();

    out!("== a killed sender takes its messages along");
    receiver(&kernel);
    session("sender", go)
        .on("go", |cx, ()| {
            cx.post("receiver", "hello", "sent before the signal").unwrap();
            cx.signal(cx.session_id(), "TERM", ()).unwrap();
            cx.post("receiver", "hello", "sent after the signal").unwrap();
            cx.signal("receiver", "HELLO", "sent after the signal").unwrap();
        })
        .create(&kernel)
        .unwrap();
    session("third", go)
        .on("go", |cx, ()| {
            cx.post("receiver", "hello", "a healthy message").unwrap();
            cx.alias_remove("third")
        })
        .create(&kernel)
        .unwrap();
    kernel.run().await.unwrap();

    out!("== what was sent on behalf of another, by calling it, belongs to that one");
    receiver(&kernel);
    session("agent", |_| ())
        .on("relay", |cx, what: &'static str| {
            cx.post("receiver", "hello", what).unwrap()
        })
        .create(&kernel)
        .unwrap();
    session("sender", go)
        .on("go", |cx, ()| {
            cx.signal(cx.session_id(), "TERM", ()).unwrap();
            cx.call::<_, ()>("agent", "relay", "relayed").unwrap();
            cx.post("receiver", "hello", "direct").unwrap();
        })
        .create(&kernel)
        .unwrap();
    kernel.post("agent", "go_away", ()).unwrap();
    kernel.run().await.unwrap();

    out!("== a killed target: its messages vanish, their senders are free");
    session("target", |cx| cx.delay("hello", soon(20), "a timer"))
        .create(&kernel)
        .unwrap();
    session("sender", go)
        .on("go", |cx, ()| {
            cx.signal("target", "TERM", ()).unwrap();
            cx.post("target", "hello", "too late").unwrap();
            cx.alias_remove("sender")
        })
        .create(&kernel)
        .unwrap();
    kernel.run().await.unwrap();

    out!("== with stop everything goes");
    session("receiver", |cx| {
        cx.yield_to("go", ());
        cx.create(session("sender", |cx| {
            cx.post("receiver", "hello", "never heard").unwrap()
        }))
        .unwrap();
    })
    .on("go", |cx, ()| {
        cx.stop_all();
        out!("queued items: {}", cx.event_count());
    })
    .on(CHILD, |_, _| ())
    .create(&kernel)
    .unwrap();
    kernel.run().await.unwrap();
}
