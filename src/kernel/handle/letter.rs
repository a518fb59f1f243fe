//! The contents of the inbox: messages that may cross threads.

use super::call::QueuedCall;
use crate::arg::SendArg;
use crate::id::{Place, SessionId};
use crate::kernel::{Core, Target};
use crate::name::Key;

/// A name that may cross threads.
pub(in crate::kernel) enum SendName {
    Fixed(Key<'static>),
    Owned(Box<str>),
}

impl SendName {
    pub(super) fn new(key: Key<'_>) -> Self {
        match key.as_fixed() {
            Some(key) => SendName::Fixed(key),
            None => SendName::Owned(key.as_str().into()),
        }
    }

    pub(super) fn key(&self) -> Key<'_> {
        match self {
            SendName::Fixed(key) => *key,
            SendName::Owned(text) => Key::new(text),
        }
    }
}

/// A target that may cross threads.
pub(in crate::kernel) enum SendTarget {
    Id(SessionId),
    Alias(Box<str>),
}

impl SendTarget {
    pub(super) fn new(target: Target<'_>) -> Self {
        match target {
            Target::Id(id) => SendTarget::Id(id),
            Target::Alias(alias) => SendTarget::Alias(alias.into()),
        }
    }

    pub(super) fn target(&self) -> Target<'_> {
        match self {
            SendTarget::Id(id) => Target::Id(*id),
            SendTarget::Alias(alias) => Target::from(&**alias),
        }
    }
}

pub(in crate::kernel) struct Post {
    pub(super) target: SendTarget,
    pub(super) event: SendName,
    pub(super) arg: SendArg,
    pub(super) place: Place,
    /// When it was sent, on the kernel's scale.
    pub(super) sent: u64,
}

/// What lies in the inbox. All but `Run` only joins the queue when the kernel takes it in.
pub(in crate::kernel) enum Letter {
    Post(Post),
    /// Its event is the signal's name.
    Signal(Post),
    Call {
        target: SendTarget,
        call: Box<dyn QueuedCall + Send>,
        place: Place,
        sent: u64,
    },
    /// The kernel's own work, such as the release of a postback.
    Run(Box<dyn FnOnce(&Core) + Send>),
}
