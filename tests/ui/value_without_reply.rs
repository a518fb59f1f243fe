//! A handler returns a bare value. The hint says how to reply.

use poe::{Session, event::START};

fn main() {
    let _ = Session::builder(41_u32).on(START, |cx, ()| *cx.heap + 1);
}
