//! Code of the user's that is no handler, such as a `Drop`: its panic must not take the kernel along.

/// Drops a value of the user's whose `Drop` may panic, and keeps that panic from taking the kernel along.
pub(crate) fn drop_quietly<T>(value: T) {
    quietly("a value panicked while it was dropped", || drop(value));
}

/// The same for many, each by itself: a second panic on the way out of a first would end the process, and a map that is
/// unwound out of leaves the rest of its values where they are.
pub(crate) fn drop_each_quietly<T>(values: impl IntoIterator<Item = T>) {
    values.into_iter().for_each(drop_quietly);
}

/// Runs code of the user's that is no handler, so that its panic is nobody's `DIE`: it is logged, as `what`.
pub(crate) fn quietly(what: &'static str, code: impl FnOnce()) {
    if std::panic::catch_unwind(std::panic::AssertUnwindSafe(code)).is_err() {
        tracing::error!(target: "poe::sessions", "{what}");
    }
}
