//! A turn ends with its handler; a future takes a handle or a postback along.

use poe::{Session, event::START};

fn main() {
    let _ = Session::builder(()).on(START, |cx, ()| {
        let kernel = cx.kernel;
        kernel.spawn(async move { kernel.yield_to("later", ()) }, "done");
    });
}
