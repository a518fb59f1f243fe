//! The query of a request, and percent-encoding.
//!
//! The fuzz target `inspector` includes this file as it is, so it imports nothing of the crate.

use std::collections::HashMap;

/// The parameters of a query.
pub(crate) struct Params(HashMap<String, String>);

impl Params {
    pub(crate) fn of(query: &str) -> Self {
        let pairs = query.split('&').filter_map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((decode(name)?, decode(&value.replace('+', " "))?))
        });
        Params(pairs.collect())
    }

    pub(crate) fn text(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    pub(crate) fn number(&self, name: &str) -> Option<usize> {
        self.text(name).parse().ok()
    }

    pub(crate) fn is_set(&self, name: &str) -> bool {
        matches!(self.text(name), "1" | "true")
    }

    pub(crate) fn list(&self, name: &str) -> impl Iterator<Item = &str> {
        self.text(name).split('|').filter(|part| !part.is_empty())
    }
}

/// Percent-encoding; `None` if it is malformed, or no UTF-8.
pub(crate) fn decode(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
        let (high, low) = (digit(bytes.next())?, digit(bytes.next())?);
        out.push((high * 16 + low) as u8);
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::{Params, decode};

    #[test]
    fn percent_encoding_is_decoded_and_never_half() {
        assert_eq!(decode("a%20b%C3%A9").as_deref(), Some("a bé"));
        for malformed in ["%", "%4", "%zz", "%ff", "%4g"] {
            assert_eq!(decode(malformed), None, "{malformed}");
        }
    }

    #[test]
    fn a_query_is_split_before_it_is_decoded() {
        let params = Params::of("a=1%262&b&c=x+y&open=one|two|");
        assert_eq!(params.text("a"), "1&2");
        assert_eq!(params.text("b"), "");
        assert_eq!(params.text("c"), "x y");
        assert_eq!(params.list("open").collect::<Vec<_>>(), ["one", "two"]);
    }
}
