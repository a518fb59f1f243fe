//! Event names: people write text, the kernel compares numbers.
//!
//! One table per thread gives each name that is *in use* an index: a name is in use while a state table has a handler
//! for it or an event with that name is queued. Each use holds one reference; the last one frees the index, so names made
//! at run time are not interned for ever. A name that is a constant of the program stays, uncounted: there are only
//! so many, and nearly every event has one. Kernels and state tables are bound to their thread, so one table serves all
//! kernels of a thread.

mod table;

use std::fmt;
use std::ops::Deref;
use std::rc::Rc;

pub(crate) use table::{NameIdx, Names};

// A counted reference to a name, for use outside the queue.
/// A name with the reference that keeps its index valid, for code that stores a name outside the queue.
pub(crate) struct HeldName {
    names: Rc<Names>,
    idx: NameIdx,
}

impl HeldName {
    pub(crate) fn new(key: Key<'_>) -> Self {
        let names = Names::current();
        let idx = names.acquire(key);
        HeldName { names, idx }
    }

    /// Takes another reference to a name that is in use.
    pub(crate) fn of(names: &Rc<Names>, idx: NameIdx) -> Self {
        names.retain(idx);
        HeldName {
            names: names.clone(),
            idx,
        }
    }

    pub(crate) fn idx(&self) -> NameIdx {
        self.idx
    }

    pub(crate) fn name(&self) -> Name {
        self.names.name(self.idx)
    }
}

impl Clone for HeldName {
    fn clone(&self) -> Self {
        self.names.retain(self.idx);
        HeldName {
            names: self.names.clone(),
            idx: self.idx,
        }
    }
}

impl Drop for HeldName {
    fn drop(&mut self) {
        self.names.release(self.idx);
    }
}

// The key of a lookup in the table of names: a text and its hash.
/// A text to look up in the table of names, with its hash, which is computed when the key is made.
#[derive(Clone, Copy, Debug)]
pub struct Key<'a> {
    text: KeyText<'a>,
    hash: u32,
}

#[derive(Clone, Copy, Debug)]
enum KeyText<'a> {
    /// The text is `'static`, so the table need not copy it.
    Fixed(&'static str),
    Borrowed(&'a str),
}

impl Key<'static> {
    /// The name of a signal's queue item.
    pub(crate) const SIGNAL: Key<'static> = Key::fixed("_signal", hash("_signal"));
    /// The name of the queue item for a call by a handle.
    pub(crate) const CALL: Key<'static> = Key::fixed(CALL, hash(CALL));

    #[inline(always)]
    pub(crate) const fn fixed(text: &'static str, hash: u32) -> Self {
        Key {
            text: KeyText::Fixed(text),
            hash,
        }
    }
}

impl<'a> Key<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Key {
            text: KeyText::Borrowed(text),
            hash: hash(text),
        }
    }

    fn hashed(text: &'a str, hash: u32) -> Self {
        Key {
            text: KeyText::Borrowed(text),
            hash,
        }
    }

    /// Returns the name's text.
    #[must_use]
    #[inline]
    pub fn as_str(&self) -> &'a str {
        match self.text {
            KeyText::Fixed(text) => text,
            KeyText::Borrowed(text) => text,
        }
    }

    /// Returns the key itself, if its text is `'static`.
    #[inline]
    pub(crate) fn as_fixed(self) -> Option<Key<'static>> {
        match self.text {
            KeyText::Fixed(text) => Some(Key::fixed(text, self.hash)),
            KeyText::Borrowed(_) => None,
        }
    }

    pub(crate) fn to_name(self) -> Name {
        match self.text {
            KeyText::Fixed(text) => Name::from_static(text),
            KeyText::Borrowed(text) => Name::from(text),
        }
    }
}

/// The text of `NameIdx::CALL`.
const CALL: &str = "_call";

/// The text of `NameIdx::THEN`.
pub(crate) const THEN: &str = "poe_then";

/// FNV-1a, folded to 32 bits: computable in a `const`, good enough for identifiers.
pub(crate) const fn hash(text: &str) -> u32 {
    let bytes = text.as_bytes();
    let mut h: u64 = 0xcbf2_9ce4_8422_2325;
    let mut i = 0;
    while i < bytes.len() {
        h = (h ^ bytes[i] as u64).wrapping_mul(0x0000_0100_0000_01b3);
        i += 1;
    }
    (h ^ (h >> 32)) as u32
}

// Operating system signals have several names; the kernel knows each under one name.
/// The names of signals in POSIX, Linux, the BSDs and Windows, without `SIG`. Real-time signals have no names.
const OF_SYSTEMS: &[&str] = &[
    "ABRT", "ALRM", "BREAK", "BUS", "CHLD", "CONT", "EMT", "FPE", "HUP", "ILL", "INFO", "INT", "IO", "KILL", "PIPE",
    "PROF", "PWR", "QUIT", "SEGV", "STKFLT", "STOP", "SYS", "TERM", "TRAP", "TSTP", "TTIN", "TTOU", "URG", "USR1",
    "USR2", "VTALRM", "WINCH", "XCPU", "XFSZ",
];

/// Returns the one name of a signal: for a system signal its newer name without `SIG`, otherwise the name itself.
///
/// Case counts, as in POE: `usr1` is a signal of the program. (Decision D14: in POE the older names have no meaning.)
pub(crate) fn signal_name(name: &str) -> &str {
    let short = name.strip_prefix("SIG").unwrap_or(name);
    let newer = match short {
        "CLD" => "CHLD",
        "IOT" => "ABRT",
        "POLL" => "IO",
        short => short,
    };
    if OF_SYSTEMS.contains(&newer) { newer } else { name }
}

#[cfg(test)]
mod tests {
    use super::{OF_SYSTEMS, signal_name};

    #[test]
    fn each_signal_of_the_system_has_one_name() {
        for name in OF_SYSTEMS {
            assert_eq!(signal_name(name), *name);
            assert_eq!(signal_name(&format!("SIG{name}")), *name);
            // Any other spelling is another name.
            for other in [
                format!("SIGSIG{name}"),
                name.to_lowercase(),
                format!("Sig{name}"),
                format!("{name} "),
            ] {
                assert_eq!(signal_name(&other), other);
            }
        }
        for (older, name) in [("CLD", "CHLD"), ("IOT", "ABRT"), ("POLL", "IO")] {
            assert_eq!([signal_name(older), signal_name(&format!("SIG{older}"))], [name; 2]);
        }
        for own in [
            "",
            "SIG",
            "SIGNAL",
            "reload",
            "SIGreload",
            "IDLE",
            "SIGIDLE",
            "SIGKERNEL_SHUTDOWN",
            "SIGé",
        ] {
            assert_eq!(signal_name(own), own);
        }
    }
}

// A name as text.
/// The name of an event, a signal or a state, as handlers and reports see it. It derefs to `str`.
#[derive(Clone)]
pub struct Name(Text);

#[derive(Clone)]
enum Text {
    Static(&'static str),
    Shared(Rc<str>),
}

impl Name {
    pub(crate) const fn from_static(text: &'static str) -> Self {
        Name(Text::Static(text))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Text::Static(s) => s,
            Text::Shared(s) => s,
        }
    }
}

impl Deref for Name {
    type Target = str;
    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl From<&str> for Name {
    fn from(s: &str) -> Self {
        Name(Text::Shared(s.into()))
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Name {}

impl PartialEq<str> for Name {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Name {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Name {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl std::hash::Hash for Name {
    fn hash<S: std::hash::Hasher>(&self, state: &mut S) {
        self.as_str().hash(state);
    }
}

impl std::borrow::Borrow<str> for Name {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}
