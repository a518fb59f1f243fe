//! Handlers outlive the function that makes them: what they need they own, or it stands in the heap.
use poe::{Event, States};

const HELLO: Event<()> = Event::new("hello");

fn table() -> States<()> {
    let name = String::from("ann");
    States::<()>::new().on(HELLO, |_, ()| println!("hello, {name}"))
}

fn main() {
    table();
}
