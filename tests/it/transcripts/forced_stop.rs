//! The sessions that stop after one that a signal has stopped: its parent, and those that its events have held.

use super::{Cx, kernel};
use poe::event::{CHILD, PARENT, START, STOP};
use poe::{Event, HandlerResult, Session, SessionBuilder};

const TOLD: Event<()> = Event::new("told");
const TELL: Event<&'static str> = Event::new("tell");
const POSTS: Event<()> = Event::new("posts");
const LET_GO: Event<()> = Event::new("let_go");

fn session(name: &'static str) -> SessionBuilder<()> {
    Session::builder(())
        .on(CHILD, |_, _| ())
        .on(PARENT, |_, _| ())
        .on(TOLD, move |_, ()| out!("{name} told"))
        .on(TELL, |cx, whom| cx.post(whom, TOLD, ()))
        .on(POSTS, |cx, ()| cx.post("S", TOLD, ()))
        .on(LET_GO, move |cx, ()| cx.alias_remove(name))
        .on(START, move |cx, ()| cx.alias_set(name))
        .on(STOP, move |_, ()| out!("{name} _stop"))
}

/// P lives by its child S alone; Q and R by what they and S have sent each other; S is sent TERM.
async fn scene(steps: impl Fn(&mut Cx<'_>) -> HandlerResult + 'static) {
    let kernel = kernel();
    session("P")
        .on(START, |cx, ()| cx.create(session("S")).map(drop))
        .create(&kernel)
        .unwrap();
    session("Q")
        .on(START, |cx, ()| {
            cx.yield_to("go", ());
            cx.alias_set("Q")
        })
        .on("go", move |cx, ()| -> HandlerResult {
            cx.signal("S", "TERM", ())?;
            steps(cx)?;
            cx.call("R", LET_GO, ())?;
            cx.alias_remove("Q")?;
            Ok(())
        })
        .create(&kernel)
        .unwrap();
    session("R").create(&kernel).unwrap();
    kernel.run().await.unwrap();
}

pub(crate) async fn play() {
    out!("== events to it");
    scene(|cx| {
        cx.post("S", TOLD, ())?;
        cx.call("R", POSTS, ())?;
        Ok(())
    })
    .await;

    out!("== events from it");
    scene(|cx| {
        cx.call("S", TELL, "R")?;
        cx.call("S", TELL, "Q")?;
        Ok(())
    })
    .await;

    out!("== both, those to it count first");
    scene(|cx| {
        cx.call("S", TELL, "Q")?;
        cx.call("R", POSTS, ())?;
        Ok(())
    })
    .await;

    out!("== both, the other way round");
    scene(|cx| {
        cx.call("S", TELL, "R")?;
        cx.post("S", TOLD, ())?;
        Ok(())
    })
    .await;
}
