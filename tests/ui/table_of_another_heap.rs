//! A table of handlers is for sessions with its heap.
use poe::{Session, States};

fn main() {
    let counting = States::<u32>::new();
    Session::builder(String::new()).inline_states(&counting);
}
