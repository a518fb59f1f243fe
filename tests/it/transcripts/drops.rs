//! When values are let go: arguments, heaps, timers, postbacks; after POE's `steinert-passed-wheel` and the destruction
//! counts of `ses_session`.

use super::{kernel, soon};
use poe::event::{CHILD, START, STOP};
use poe::{Context, Event, HandlerResult, Kernel, Postback, Session, SessionBuilder};
use std::rc::Rc;

/// It reports its end.
struct Thing(&'static str);

impl Drop for Thing {
    fn drop(&mut self) {
        out!("{} is gone", self.0);
    }
}

/// A heap that may keep something.
type Keeps = Option<Thing>;
type KeepsCx<'k> = Context<'k, Keeps>;

const TAKE: Event<Thing> = Event::new("take");

fn session(name: &'static str, start: impl Fn(&mut KeepsCx<'_>) + 'static) -> SessionBuilder<Keeps> {
    Session::builder(None)
        .on(START, move |cx, ()| start(cx))
        .on(CHILD, |_, _| ())
        .on(STOP, move |_, ()| out!("{name} _stop"))
}

async fn arguments(kernel: &Kernel) {
    out!("== an argument goes after its handler, before the next event");
    session("S", |cx| {
        cx.yield_to(TAKE, Thing("first"));
        cx.yield_to(TAKE, Thing("second"));
    })
    .on(TAKE, |_, _thing| out!("handler"))
    .create(kernel)
    .unwrap();
    kernel.run().await.unwrap();

    out!("== one that nobody handles as well");
    session("S", |cx| {
        cx.yield_to("nothing", Thing("argument"));
        cx.yield_to("next", ());
    })
    .on("next", |_, ()| out!("next"))
    .create(kernel)
    .unwrap();
    kernel.run().await.unwrap();

    out!("== a handler may keep it, until the heap goes behind _stop");
    session("S", |cx| cx.yield_to(TAKE, Thing("kept")))
        .on(TAKE, |cx, thing| {
            *cx.heap = Some(thing);
            out!("handler");
            cx.yield_to("next", ());
        })
        .on("next", |_, ()| out!("next"))
        .create(kernel)
        .unwrap();
    kernel.run().await.unwrap();
}

async fn heaps(kernel: &Kernel) {
    out!("== a heap goes before the parent's does, each behind its own _stop");
    session("P", |cx| {
        *cx.heap = Some(Thing("P's heap"));
        cx.create(
            session("C", |cx| {
                *cx.heap = Some(Thing("C's heap"));
                cx.delay("bye", soon(20), ());
            })
            .on("bye", |_, ()| out!("bye")),
        )
        .unwrap();
    })
    .on(CHILD, |_, child| out!("P _child {}", child.reason))
    .create(kernel)
    .unwrap();
    kernel.run().await.unwrap();
}

async fn timers(kernel: &Kernel) {
    out!("== a timer that is cleared, replaced or removed lets go of its argument at once");
    session("S", |cx| {
        cx.delay("timer", soon(1000), Thing("cleared"));
        out!("clear");
        cx.alarm_clear("timer");
        cx.delay("timer", soon(1000), Thing("replaced"));
        out!("replace");
        cx.delay("timer", soon(10), Thing("rings"));
        let id = cx.delay_set("other", soon(1000), Thing("removed"));
        out!("remove");
        drop(cx.alarm_remove(id));
        out!("done");
    })
    .on("timer", |_, _: Thing| out!("timer"))
    .create(kernel)
    .unwrap();
    kernel.run().await.unwrap();
}

async fn killed(kernel: &Kernel) {
    out!("== what waits for a killed session goes with it, what its posts held as well");
    let other = session("other", |cx| cx.delay("bye", soon(50), ()))
        .on("bye", |_, ()| out!("other leaves"))
        .on(TAKE, |_, _| out!("take!"))
        .create(kernel)
        .unwrap();
    session("killer", |cx| cx.yield_to("kill", ()))
        .on("kill", move |cx, ()| -> HandlerResult {
            let victim =
                cx.create(session("victim", |_| ()).on("send", move |cx, ()| cx.post(other, TAKE, Thing("from it"))))?;
            cx.signal(victim, "KILL", ())?;
            cx.post(victim, TAKE, Thing("to it"))?;
            cx.call::<(), ()>(victim, "send", ())?;
            out!("sent");
            Ok(())
        })
        .create(kernel)
        .unwrap();
    kernel.run().await.unwrap();
}

async fn postbacks(kernel: &Kernel) {
    out!("== a postback's own argument goes with the postback");
    session("S", |cx| {
        let own = Rc::new(Thing("its own"));
        let postback: Postback<Rc<Thing>, i32> = cx.postback("back", own);
        postback.post(1).unwrap();
        cx.yield_to("drop", postback);
    })
    .on("back", |_, _: (Rc<Thing>, i32)| out!("back"))
    .on("drop", |_, _: Postback<Rc<Thing>, i32>| out!("drop"))
    .create(kernel)
    .unwrap();
    kernel.run().await.unwrap();
    out!("end");
}

pub(crate) async fn play() {
    let kernel = kernel();
    arguments(&kernel).await;
    heaps(&kernel).await;
    timers(&kernel).await;
    killed(&kernel).await;
    postbacks(&kernel).await;
}
