//! Contains panics of user code that is not a handler, such as a `Drop` or a `Display`.
//!
//! The payload of a panic is a user's value, too. Its drop may panic, with a payload whose drop panics; so a payload is never
//! dropped outside of a `catch_unwind`.

use std::any::Any;
use std::cell::Cell;
use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Drops a user's value and contains a panic of its `Drop`.
pub(crate) fn drop_quietly<T>(value: T) {
    quietly("a value panicked while it was dropped", || drop(value));
}

/// Drops many values, each in its own `catch_unwind`.
///
/// A second panic during unwinding would end the process, and a map whose drop unwinds does not drop its other values.
pub(crate) fn drop_each_quietly<T>(values: impl IntoIterator<Item = T>) {
    values.into_iter().for_each(drop_quietly);
}

/// The same for a list that is nearly always empty.
#[inline]
pub(crate) fn drop_all_quietly<T>(values: Vec<T>) {
    if !values.is_empty() {
        drop_each_quietly(values);
    }
}

/// Runs user code that is not a handler. Its panic raises no `DIE`; it is logged with the text `what`.
pub(crate) fn quietly(what: &'static str, code: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(code)) {
        drop_payload(payload);
        log_quietly(|| tracing::error!(target: "poe::sessions", "{what}"));
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Logs {
    Open,
    /// A kernel is being dropped on this thread.
    Teardown,
    /// The same, and a subscriber has panicked meanwhile.
    Muted,
}

thread_local! {
    // It has no destructor, so it outlives every other thread-local.
    static LOGS: Cell<Logs> = const { Cell::new(Logs::Open) };
}

/// Emits a log event and contains a panic of the subscriber.
///
/// A kernel in a thread-local is dropped with its thread, when the subscriber's own thread-locals may be gone. The subscriber
/// then panics each time, and a second panic would end the process. So after the first such panic nothing more is logged.
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

/// A guard that exists while a kernel is being dropped on this thread.
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
        // A kernel may be dropped with a session of another kernel.
        if self.0 == Logs::Open {
            LOGS.set(Logs::Open);
        }
    }
}

/// How many nested payloads are dropped before the next one is leaked.
const PAYLOADS: usize = 16;

/// Drops the payload of a panic, then the payload that this drop panics with, and so on.
pub(crate) fn drop_payload(mut payload: Box<dyn Any + Send>) {
    for _ in 0..PAYLOADS {
        match catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            Ok(()) => return,
            Err(next) => payload = next,
        }
    }
    // This drop panics anew each time: a leak is better than the end of the process.
    Box::leak(payload);
}

/// Returns the text of a user's value, whose `Display` may panic.
///
/// It is formatted here, before a subscriber of `tracing` or a caller in the middle of other work would format it.
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
