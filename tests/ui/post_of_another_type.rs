//! The key takes a text, and a number is posted.

use poe::{Event, Kernel, KernelRef};

const GREET: Event<String> = Event::new("greet");

fn outside(kernel: &Kernel) {
    let _ = kernel.post("greeter", GREET, 7);
}

fn inside(turn: KernelRef<'_>) {
    turn.yield_to(GREET, 7);
}

fn main() {}
