//! What users write to each other to agree on a connection: `CTCP DCC`.

use crate::text::Text;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// A request of one user to another to connect, or to go on with a file.
///
/// Passive offers, whose port is 0, ask the receiver to listen; they are no offers here, and come as [`CTCP`](crate::events::CTCP).
///
/// ```
/// use poe_irc::{DccOffer, Text};
/// let text = Text::from("SEND \"my file.txt\" 2130706433 4000 12");
/// let offer = DccOffer::parse(&text).unwrap();
/// let (file, size, address) = ("my file.txt".into(), Some(12), "127.0.0.1:4000".parse().unwrap());
/// assert_eq!(offer, DccOffer::Send { file, size, address });
/// assert_eq!(offer.to_text(), text);
/// assert_eq!(DccOffer::parse(&"CHAT chat 2130706433 0".into()), None);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DccOffer {
    /// Somebody waits for a private conversation.
    Chat {
        /// Where they wait.
        address: SocketAddr,
    },
    /// Somebody wants to send a file.
    Send {
        /// The file's name as they write it. It may have any form: never use it as a path.
        file: Text,
        /// Its size in bytes, if they tell it.
        size: Option<u64>,
        /// Where they wait.
        address: SocketAddr,
    },
    /// The receiver has a part of the file already.
    Resume {
        /// The file's name.
        file: Text,
        /// The port of the offer.
        port: u16,
        /// How many bytes the receiver has.
        position: u64,
    },
    /// The sender will go on there.
    Accept {
        /// The file's name.
        file: Text,
        /// The port of the offer.
        port: u16,
        /// Where the sender begins.
        position: u64,
    },
}

impl DccOffer {
    /// Reads what follows the word `DCC`.
    #[must_use]
    pub fn parse(text: &Text) -> Option<Self> {
        let (kind, rest) = word(text.as_bytes())?;
        let (file, rest) = name(rest)?;
        let (first, rest) = word(rest)?;
        let kind = kind.to_ascii_uppercase();
        if matches!(&kind[..], b"RESUME" | b"ACCEPT") {
            let port = number(first).filter(|port| *port != 0)?.try_into().ok()?;
            let position = number(word(rest)?.0)?;
            return Some(match &kind[..] {
                b"RESUME" => DccOffer::Resume { file, port, position },
                _ => DccOffer::Accept { file, port, position },
            });
        }
        let (second, rest) = word(rest)?;
        let port: u16 = number(second).filter(|port| *port != 0)?.try_into().ok()?;
        let ip = match number(first) {
            Some(bits) => IpAddr::V4(Ipv4Addr::from(u32::try_from(bits).ok()?)),
            None => std::str::from_utf8(first).ok()?.parse().ok()?,
        };
        let address = SocketAddr::new(ip, port);
        match &kind[..] {
            b"CHAT" => Some(DccOffer::Chat { address }),
            b"SEND" => Some(DccOffer::Send {
                file,
                size: word(rest).and_then(|(size, _)| number(size)),
                address,
            }),
            _ => None,
        }
    }

    /// Returns where somebody waits.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        match self {
            DccOffer::Chat { address } | DccOffer::Send { address, .. } => Some(*address),
            _ => None,
        }
    }

    /// Returns the name of the file, as the other user writes it.
    #[must_use]
    pub fn file(&self) -> Option<&Text> {
        match self {
            DccOffer::Chat { .. } => None,
            DccOffer::Send { file, .. } | DccOffer::Resume { file, .. } | DccOffer::Accept { file, .. } => Some(file),
        }
    }

    /// Writes it, as it follows the word `DCC`.
    #[must_use]
    pub fn to_text(&self) -> Text {
        let at = |address: &SocketAddr| match address.ip() {
            IpAddr::V4(ip) => format!("{} {}", u32::from(ip), address.port()),
            IpAddr::V6(ip) => format!("{ip} {}", address.port()),
        };
        let with = |kind: &str, file: &Text, rest: String| -> Text {
            [kind.as_bytes(), b" ", &quoted(file), b" ", rest.as_bytes()]
                .concat()
                .into()
        };
        match self {
            DccOffer::Chat { address } => format!("CHAT chat {}", at(address)).into(),
            DccOffer::Send { file, size, address } => {
                let size = size.map(|size| format!(" {size}")).unwrap_or_default();
                with("SEND", file, at(address) + &size)
            }
            DccOffer::Resume { file, port, position } => with("RESUME", file, format!("{port} {position}")),
            DccOffer::Accept { file, port, position } => with("ACCEPT", file, format!("{port} {position}")),
        }
    }
}

/// The next word, and what follows it.
fn word(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let text = text.trim_ascii_start();
    let end = memchr::memchr(b' ', text).unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

/// The next name, which may stand in quotes with `\"` for a quote.
fn name(text: &[u8]) -> Option<(Text, &[u8])> {
    let text = text.trim_ascii_start();
    let Some(quoted) = text.strip_prefix(b"\"") else {
        return word(text).map(|(name, rest)| (name.into(), rest));
    };
    let mut name = Vec::new();
    let mut bytes = quoted.iter().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'"' => return (!name.is_empty()).then(|| (name.into(), &quoted[at + 1..])),
            b'\\' if quoted.get(at + 1) == Some(&b'"') => {
                name.push(b'"');
                bytes.next();
            }
            byte => name.push(*byte),
        }
    }
    None
}

fn quoted(name: &Text) -> Vec<u8> {
    let name = name.as_bytes();
    if !name.iter().any(|byte| byte.is_ascii_whitespace() || *byte == b'"') {
        return name.to_vec();
    }
    let escaped = name.iter().flat_map(|byte| match byte {
        b'"' => b"\\\"".to_vec(),
        byte => vec![*byte],
    });
    std::iter::once(b'"').chain(escaped).chain([b'"']).collect()
}

fn number(digits: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(digits).ok()?;
    // `parse` takes a sign as well.
    digits
        .starts_with(|c: char| c.is_ascii_digit())
        .then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::DccOffer;
    use proptest::prelude::*;

    #[test]
    fn what_is_no_offer() {
        for text in [
            "",
            "SEND",
            "SEND a",
            "SEND a 1",
            "SEND a 1 0 5",
            "SEND a 4294967296 5",
            "SEND a 1 65536",
            "SEND \"a 1 5",
            "SEND \"\" 1 5",
            "SEND a host 5",
            "RESUME a 0 5",
            "RESUME a 5",
            "RESUME a 5 -1",
            "XMIT a 1 5",
        ] {
            assert_eq!(DccOffer::parse(&text.into()), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn offers_are_read_as_they_were_written(
            name in "[a-z\"\u{e9} .]{0,8}[a-z]", kind in 0..4, bits in any::<u32>(), six in any::<Option<u128>>(),
            port in 1_u16.., size in any::<Option<u64>>(), position in any::<u64>(),
        ) {
            let ip = match six {
                Some(bits) => std::net::Ipv6Addr::from(bits).into(),
                None => std::net::Ipv4Addr::from(bits).into(),
            };
            let address = std::net::SocketAddr::new(ip, port);
            let file = name.as_str().into();
            let offer = match kind {
                0 => DccOffer::Chat { address },
                1 => DccOffer::Send { file, size, address },
                2 => DccOffer::Resume { file, port, position },
                _ => DccOffer::Accept { file, port, position },
            };
            prop_assert_eq!(DccOffer::parse(&offer.to_text()), Some(offer));
        }
    }
}
