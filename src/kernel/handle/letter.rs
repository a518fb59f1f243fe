//! What lies in the inbox: messages that may cross threads.

use crate::arg::SendArg;
use crate::id::SessionId;
use crate::kernel::{Core, Target};
use crate::name::Key;
use std::panic::Location;

/// A name that may cross threads.
pub(super) enum SendName {
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
pub(super) enum SendTarget {
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

pub(super) struct Post {
    pub(super) target: SendTarget,
    pub(super) event: SendName,
    pub(super) arg: SendArg,
    pub(super) place: &'static Location<'static>,
}

pub(super) enum Letter {
    Post(Post),
    /// A call, a signal, a released postback: what is rare enough for a box.
    Run(Box<dyn FnOnce(&Core) + Send>),
}

#[derive(Default)]
pub(super) struct Letters {
    pub(super) waiting: Vec<Letter>,
    pub(super) closed: bool,
    /// The kernel was told and has not looked yet: one wake-up for all that comes until then.
    pub(super) told: bool,
}
