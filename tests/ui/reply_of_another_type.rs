//! The key's reply is a number, the handler replies with a text.

use poe::{Event, Reply, States};

const COUNT: Event<(), u64> = Event::new("count");

fn main() {
    let _ = States::<()>::new().on(COUNT, |_, ()| Reply("many"));
}
