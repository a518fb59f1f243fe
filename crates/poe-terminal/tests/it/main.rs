//! The wheels on pseudo terminals, with somebody at the keys.
#![cfg(unix)]

#[cfg(feature = "curses")]
mod curses;
#[allow(dead_code, reason = "the kit of the main package's tests has more than these need")]
#[path = "../../../../tests/it/in_child.rs"]
mod in_child;
#[cfg(feature = "readline")]
mod readline;
#[cfg(feature = "readline")]
mod readline_ends;
mod terminal;
