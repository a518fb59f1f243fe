//! A continuation has no caller, so it cannot reply; and it gets the future's output, not another type.

use poe::{Reply, Session, event::START};

fn main() {
    let _ = Session::builder(41_u32).on(START, |cx, ()| {
        cx.spawn_then(async { 1 }, |_, n: i32| Reply(n));
    });
    let _ = Session::builder(41_u32).on(START, |cx, ()| {
        cx.spawn_then(async { 1 }, |_, text: String| drop(text));
    });
}
