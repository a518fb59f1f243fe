//! What a kernel counts besides its dispatches, where the feature `metrics` is on.

/// What is counted where it happens.
#[derive(Clone, Copy)]
pub(crate) enum Count {
    Failure,
    DeadLetter,
    Accept,
    Reconnect,
    Restart,
}

/// A wheel's traffic.
#[derive(Clone, Copy)]
pub(crate) enum Traffic {
    ReadBytes,
    WrittenBytes,
    ReadRecords,
    WrittenRecords,
}
