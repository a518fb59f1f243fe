//! The key carries a text, and the handler takes a number.

use poe::{Event, States};

const GREET: Event<String> = Event::new("greet");

fn main() {
    let _ = States::<()>::new().on(GREET, |_, n: u32| drop(n));
}
