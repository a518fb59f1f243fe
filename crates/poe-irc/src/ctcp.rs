//! The client-to-client protocol: requests and replies inside the text of messages.

use crate::text::Text;

/// The byte around a request.
const MARK: u8 = 1;

/// Takes a request apart: its command in capitals, and the rest. `None` is ordinary text.
///
/// ```
/// use poe_irc::{ctcp, Text};
/// assert_eq!(ctcp::parse(b"\x01ACTION waves\x01"), Some(("ACTION".to_owned(), Text::from("waves"))));
/// assert_eq!(ctcp::parse(b"\x01VERSION"), Some(("VERSION".to_owned(), Text::default())));
/// assert_eq!(ctcp::parse(b"hello"), None);
/// ```
#[must_use]
#[doc(alias = "POE::Filter::CTCP")]
pub fn parse(text: &[u8]) -> Option<(String, Text)> {
    let inner = text.strip_prefix(&[MARK])?;
    let inner = inner.strip_suffix(&[MARK]).unwrap_or(inner);
    let end = memchr::memchr(b' ', inner).unwrap_or(inner.len());
    let command = std::str::from_utf8(&inner[..end]).ok().filter(|c| !c.is_empty())?;
    Some((
        command.to_ascii_uppercase(),
        inner.get(end + 1..).unwrap_or_default().into(),
    ))
}

/// Makes the text of a request or reply. Marks inside `text` are dropped.
#[must_use]
pub fn format(command: &str, text: &Text) -> Text {
    let mut all = vec![MARK];
    all.extend_from_slice(command.to_ascii_uppercase().as_bytes());
    if !text.is_empty() {
        all.push(b' ');
        all.extend(text.as_bytes().iter().filter(|b| **b != MARK));
    }
    all.push(MARK);
    all.into()
}
