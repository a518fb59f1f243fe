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

/// The methods that every wheel has, from the `WheelHandle` in its field `wheel`.
#[cfg(any(feature = "readline", feature = "curses"))]
macro_rules! wheel_methods {
    ($wheel:ident) => {
        impl $wheel {
            /// Returns the wheel's ID, which its events carry.
            #[doc(alias = "ID")]
            #[must_use]
            pub fn id(&self) -> ::poe::WheelId {
                self.wheel.id()
            }

            /// Returns the session that receives its events: the one that started it, or adopted it last.
            #[must_use]
            pub fn session_id(&self) -> ::poe::SessionId {
                self.wheel.session_id()
            }

            /// Moves the wheel to the session that is running; pass the handler's context. See
            /// [`WheelHandle::adopt`](poe::extend::WheelHandle::adopt).
            ///
            /// # Errors
            /// The session belongs to another kernel, or has been stopped; nothing is changed then.
            #[track_caller]
            pub fn adopt(&self, kernel: &::poe::KernelRef<'_>) -> Result<(), ::poe::Error> {
                self.wheel.adopt(kernel)
            }
        }
    };
}
#[cfg(any(feature = "readline", feature = "curses"))]
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
