//! The key promises a number, the handler answers with a text.

use poe::{Event, Reply, States};

const COUNT: Event<(), u64> = Event::new("count");

fn main() {
    let _ = States::<()>::new().on(COUNT, |_, ()| Reply("many"));
}
