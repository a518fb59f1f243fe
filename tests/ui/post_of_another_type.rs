//! The key takes a text, and a number is posted.

use poe::{Event, Kernel, Turn};

const GREET: Event<String> = Event::new("greet");

fn outside(kernel: &Kernel) {
    let _ = kernel.post("greeter", GREET, 7);
}

fn inside(turn: Turn<'_>) {
    turn.yield_to(GREET, 7);
}

fn main() {}
