//! Wheels for the process's terminal, for [`poe`]: sessions get what a person types as events.
//!
//! * [`ReadLine`] (feature `readline`): a line editor with history, completion, and the keys of GNU Readline. Lines are
//!   events; what the program prints meanwhile does not disturb the line.
//! * [`Curses`] (feature `curses`): keys, mouse and changes of the size as events; the program draws the screen itself, for
//!   instance with ratatui.
//!
//! Both features are on by default. A process has one terminal, so it has one such wheel at a time. Dropping the wheel
//! restores the terminal, also when a panic unwinds.
//!
//! Both wheels are written with the public extension point [`poe::extend::Source`].

mod claim;
#[cfg(feature = "curses")]
mod curses;
#[cfg(feature = "readline")]
mod read_line;

#[cfg(feature = "curses")]
pub use curses::{Curses, CursesBuilder, CursesInput};
#[cfg(feature = "readline")]
pub use read_line::{KeyBinding, PutMode, ReadLine, ReadLineBuilder, ReadLineInput, ReadLineMode, Typed};

// The README's code, compiled with the other examples.
#[cfg(all(doctest, feature = "readline"))]
#[doc = include_str!("../README.md")]
mod readme {}
