//! What changes lives in the heap: a handler may be entered while it is on the stack.

#![allow(unused)]

use poe::{Session, event::START};

fn main() {
    let mut started = 0;
    let _ = Session::builder(()).on(START, move |_, ()| started += 1);
}
