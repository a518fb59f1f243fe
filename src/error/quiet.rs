//! User code that is not a handler, such as a `Drop` or a `Display`: its panic must not take the kernel along.
//!
//! The payload of a panic is the user's, too. Its own drop may panic, with a payload whose drop panics; so a payload is never
//! dropped outside of a `catch_unwind`.

use std::any::Any;
use std::cell::Cell;
use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Drops a value of the user's whose `Drop` may panic, and keeps that panic from taking the kernel along.
pub(crate) fn drop_quietly<T>(value: T) {
    quietly("a value panicked while it was dropped", || drop(value));
}

/// The same for many, each by itself: a second panic on the way out of a first would end the process, and a map that is
/// unwound out of leaves the rest of its values where they are.
pub(crate) fn drop_each_quietly<T>(values: impl IntoIterator<Item = T>) {
    values.into_iter().for_each(drop_quietly);
}

/// Runs user code that is not a handler. Its panic becomes no `DIE`; it is logged, as `what`.
pub(crate) fn quietly(what: &'static str, code: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(code)) {
        drop_payload(payload);
        log_quietly(|| tracing::error!(target: "poe::sessions", "{what}"));
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Logs {
    Open,
    /// A kernel is being taken apart on this thread.
    Teardown,
    /// … and a subscriber has panicked meanwhile.
    Muted,
}

thread_local! {
    // It has no destructor, and so outlives every other thread-local.
    static LOGS: Cell<Logs> = const { Cell::new(Logs::Open) };
}

/// Tells subscribers something, and keeps their panic from taking the kernel along.
///
/// A kernel in a thread-local is dropped with its thread, when what a subscriber keeps in thread-locals may be gone: it
/// panics then, each time anew, and a panic there would end the process. So the first such panic of a teardown is the last.
pub(crate) fn log_quietly(log: impl FnOnce()) {
    if LOGS.get() == Logs::Muted {
        return;
    }
    if let Err(payload) = catch_unwind(AssertUnwindSafe(log)) {
        drop_payload(payload);
        if LOGS.get() == Logs::Teardown {
            LOGS.set(Logs::Muted);
        }
    }
}

/// While it lives a kernel is being taken apart on this thread.
pub(crate) struct Teardown(Logs);

impl Teardown {
    pub(crate) fn begin() -> Self {
        let before = LOGS.get();
        if before == Logs::Open {
            LOGS.set(Logs::Teardown);
        }
        Teardown(before)
    }
}

impl Drop for Teardown {
    fn drop(&mut self) {
        // One kernel may be dropped with a session of another.
        if self.0 == Logs::Open {
            LOGS.set(Logs::Open);
        }
    }
}

/// How many payloads of payloads are dropped before the next one is leaked.
const PAYLOADS: usize = 16;

/// Drops what a panic was thrown with, and what that drop throws in its turn, and so on.
pub(crate) fn drop_payload(mut payload: Box<dyn Any + Send>) {
    for _ in 0..PAYLOADS {
        match catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            Ok(()) => return,
            Err(next) => payload = next,
        }
    }
    // A drop that throws anew for ever: better a leak than a process that ends.
    Box::leak(payload);
}

/// The text of a value of the user's, whose `Display` may panic. (It is formatted here, before a subscriber of `tracing` or a
/// caller in the middle of something else would do it.)
pub(crate) fn text_of(value: &(impl Display + ?Sized)) -> String {
    match catch_unwind(AssertUnwindSafe(|| value.to_string())) {
        Ok(text) => text,
        Err(payload) => {
            drop_payload(payload);
            String::from("(an error whose text cannot be had: its `Display` panicked)")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Payload(u32);

    impl Drop for Payload {
        fn drop(&mut self) {
            if self.0 > 0 {
                std::panic::panic_any(Payload(self.0 - 1));
            }
        }
    }

    #[test]
    fn a_payload_whose_drop_panics_is_dropped_however_often_that_repeats() {
        for depth in [0, 1, 2, 15, 16, 17, 1000] {
            drop_payload(Box::new(Payload(depth)));
        }
        quietly("with such a payload", || std::panic::panic_any(Payload(3)));
    }
}
