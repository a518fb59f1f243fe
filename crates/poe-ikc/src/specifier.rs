//! Addresses: `poe://kernel/session/event`.

use serde::de::{self, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// The address of an event in another kernel: `poe://kernel/session/event`.
///
/// Each part may be missing. Without a kernel it is the default one, the first that connected. The kernel `**` is
/// every kernel that is connected, the local one included; so is `*`, except that on NATS it is any one kernel that publishes the event.
///
/// ```
/// use poe_ikc::Specifier;
/// let note: Specifier = "poe://Pulse/test/note".parse()?;
/// assert_eq!((note.kernel(), note.session(), note.event()), (Some("Pulse"), Some("test"), Some("note")));
/// let test: Specifier = "poe:/test".parse()?;
/// assert_eq!((test.kernel(), test.session(), test.event()), (None, Some("test"), None));
/// assert_eq!(note.to_string(), "poe://Pulse/test/note");
/// assert!("poe://Pulse/a\tb".parse::<Specifier>().is_err());
/// # Ok::<(), poe_ikc::AddressError>(())
/// ```
#[doc(alias = "POE::Component::IKC::Specifier")]
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Specifier {
    pub(crate) kernel: Option<String>,
    pub(crate) session: Option<String>,
    pub(crate) event: Option<String>,
}

impl Specifier {
    /// Makes the address of an event of a session in a kernel. The parts are not checked.
    pub fn new(kernel: impl Into<String>, session: impl Into<String>, event: impl Into<String>) -> Self {
        Specifier {
            kernel: Some(kernel.into()),
            session: Some(session.into()),
            event: Some(event.into()),
        }
    }

    /// Returns the kernel's name, if there is one.
    #[must_use]
    pub fn kernel(&self) -> Option<&str> {
        part(&self.kernel)
    }

    /// Returns the session's alias or number, if there is one.
    #[must_use]
    pub fn session(&self) -> Option<&str> {
        part(&self.session)
    }

    /// Returns the event's name, if there is one.
    #[doc(alias = "state")]
    #[must_use]
    pub fn event(&self) -> Option<&str> {
        part(&self.event)
    }

    /// Returns the same address with another event.
    #[must_use]
    pub fn with_event(mut self, event: impl Into<String>) -> Self {
        self.event = Some(event.into());
        self
    }

    /// Parses the address of a session, for methods that get the event from a key.
    pub(crate) fn of_session(text: &str) -> Result<Self, AddressError> {
        let parsed: Specifier = match text.strip_prefix("poe:") {
            // In `poe:/session` and `session`, the one name is the session.
            Some(_) => text.parse()?,
            None => format!("poe:/{text}").parse()?,
        };
        match (parsed.session(), parsed.event()) {
            (Some(_), None) => Ok(parsed),
            (Some(_), Some(_)) => Err(AddressError::new(
                text,
                "the event is given by the key: leave it out here",
            )),
            (None, _) => Err(AddressError::new(
                text,
                "it names no session: write poe://kernel/session",
            )),
        }
    }
}

/// Perl has the empty string where there is no part.
fn part(part: &Option<String>) -> Option<&str> {
    part.as_deref().filter(|part| !part.is_empty())
}

/// Text that is not an address.
#[derive(Clone, Debug)]
pub struct AddressError(Box<(String, &'static str)>);

impl AddressError {
    fn new(text: &str, why: &'static str) -> Self {
        AddressError(Box::new((text.to_owned(), why)))
    }
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is not an address: {}", self.0.0.escape_debug(), self.0.1)
    }
}

impl std::error::Error for AddressError {}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '-' || c == ' '
}

/// A kernel's name in an address: `*`, `**`, words, `host:port`, `unix:path`.
fn is_kernel(text: &str) -> bool {
    matches!(text, "*" | "**") || (!text.is_empty() && text.chars().all(|c| is_word(c) || c == '.' || c == ':'))
}

fn is_part(text: &str) -> bool {
    !text.is_empty() && text.chars().all(is_word)
}

impl FromStr for Specifier {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let error = |why| AddressError::new(text, why);
        let rest = text.strip_prefix("poe:").unwrap_or(text);
        let is_absolute = rest.len() != text.len();
        let (kernel, rest) = match rest.strip_prefix("//") {
            Some(rest) => match rest.split_once('/') {
                Some((kernel, rest)) => (Some(kernel), rest),
                None if is_absolute => (Some(rest), ""),
                None => return Err(error("it has no session: write //kernel/session")),
            },
            None => (None, rest),
        };
        let kernel = kernel.filter(|kernel| !kernel.is_empty());
        if kernel.is_some_and(|kernel| !is_kernel(kernel)) {
            return Err(error(
                "a kernel's name has letters, digits, `_`, `-`, `.`, `:` and blanks",
            ));
        }
        // In `poe:event` the one name is the event, in `poe:/session` the session.
        let with_slash = rest.starts_with('/');
        let rest = rest.strip_prefix('/').unwrap_or(rest);
        let (session, event) = match rest.split_once('/') {
            Some((session, event)) => (Some(session), Some(event)),
            None if kernel.is_some() || with_slash => (Some(rest), None),
            None => (None, Some(rest)),
        };
        let session = session.filter(|session| !session.is_empty());
        let event = event.filter(|event| !event.is_empty());
        if !session.into_iter().chain(event).all(is_part) {
            return Err(error(
                "names of sessions and events have letters, digits, `_`, `-` and blanks",
            ));
        }
        if kernel.or(session).or(event).is_none() {
            return Err(error("it is empty"));
        }
        Ok(Specifier {
            kernel: kernel.map(str::to_owned),
            session: session.map(str::to_owned),
            event: event.map(str::to_owned),
        })
    }
}

impl fmt::Display for Specifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("poe:")?;
        if let Some(kernel) = self.kernel() {
            write!(f, "//{kernel}")?;
        }
        if let Some(session) = self.session() {
            write!(f, "/{session}")?;
        }
        match self.event() {
            Some(event) => write!(f, "/{event}"),
            None => Ok(()),
        }
    }
}

/// As Perl has it: a hash of `kernel`, `session` and `state`, in which a session's number is a number.
impl Serialize for Specifier {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let length = [&self.kernel, &self.session, &self.event]
            .iter()
            .filter(|part| part.is_some())
            .count();
        let mut map = serializer.serialize_map(Some(length))?;
        if let Some(kernel) = &self.kernel {
            map.serialize_entry("kernel", kernel)?;
        }
        if let Some(session) = &self.session {
            match session.parse::<u64>() {
                Ok(number) if number.to_string() == *session => map.serialize_entry("session", &number)?,
                _ => map.serialize_entry("session", session)?,
            }
        }
        if let Some(event) = &self.event {
            map.serialize_entry("state", event)?;
        }
        map.end()
    }
}

/// From such a hash, or from text.
impl<'de> Deserialize<'de> for Specifier {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Specifier;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an address")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Specifier, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Specifier, A::Error> {
                let mut read = Specifier::default();
                while let Some(key) = map.next_key::<String>()? {
                    match &*key {
                        "kernel" => read.kernel = map.next_value()?,
                        "session" => read.session = map.next_value()?,
                        "state" => read.event = map.next_value()?,
                        _ => drop(map.next_value::<de::IgnoredAny>()?),
                    }
                }
                Ok(read)
            }
        }
        deserializer.deserialize_any(Reader)
    }
}
