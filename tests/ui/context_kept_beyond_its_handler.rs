//! A turn ends with its handler; a future takes a handle or a postback along.

use poe::{Session, event::START};

fn main() {
    let _ = Session::builder(()).on(START, |cx, ()| {
        let turn = cx.kernel;
        turn.spawn(async move { turn.yield_to("later", ()) }, "done");
    });
}
