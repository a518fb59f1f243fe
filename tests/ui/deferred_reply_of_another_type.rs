//! A deferred reply has the type that the key says, as an immediate one has.

use poe::{Event, Session, event::START};

const FETCH: Event<u32, String> = Event::new("fetch");

fn main() {
    let _ = Session::builder(()).on(START, |_, ()| ()).on(FETCH, |cx, n| {
        let (reply, pending) = cx.defer_reply();
        cx.spawn_then(async move { n }, |_, n| {
            reply.send(n);
        });
        pending
    });
}
