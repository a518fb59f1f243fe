//! What a server says about itself (RPL_ISUPPORT), and how it compares names.

use crate::text::Text;
use std::collections::BTreeMap;

/// How a server compares nicknames and channels.
///
/// ```
/// use poe_irc::CaseMapping;
/// assert!(CaseMapping::Rfc1459.same(b"Nick[a]^", b"nick{A}~"));
/// assert!(!CaseMapping::StrictRfc1459.same(b"^", b"~"));
/// assert!(!CaseMapping::Ascii.same(b"[", b"{"));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum CaseMapping {
    /// Letters of ASCII alone.
    Ascii,
    /// And `{}|~` are the small letters of `[]\^`; the default.
    #[default]
    Rfc1459,
    /// And `{}|` are the small letters of `[]\`.
    StrictRfc1459,
}

impl CaseMapping {
    /// Returns the name in small letters, as a key for tables.
    #[must_use]
    #[doc(alias = "lc_irc")]
    pub fn fold(self, name: &[u8]) -> Vec<u8> {
        name.iter().map(|b| self.lower(*b)).collect()
    }

    /// Whether two names are the same for the server.
    #[must_use]
    #[doc(alias = "eq_irc")]
    pub fn same(self, one: &[u8], other: &[u8]) -> bool {
        one.len() == other.len() && one.iter().zip(other).all(|(a, b)| self.lower(*a) == self.lower(*b))
    }

    fn lower(self, byte: u8) -> u8 {
        match byte {
            b'[' | b']' | b'\\' if self != CaseMapping::Ascii => byte + 32,
            b'^' if self == CaseMapping::Rfc1459 => b'~',
            _ => byte.to_ascii_lowercase(),
        }
    }
}

/// The kind of a channel mode, which says whether it has a parameter (`CHANMODES`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ModeKind {
    /// An entry of a list, such as a ban.
    List,
    /// A parameter in both directions, such as a key.
    Always,
    /// A parameter when it is set, such as a limit.
    WhenSet,
    /// No parameter.
    Never,
    /// The rank of a member, such as operator.
    Rank,
}

/// The most tokens that are kept.
const TOKENS: usize = 512;

/// What a server supports (RPL_ISUPPORT, numeric 005), with RFC 1459's values for what it does not say.
///
/// ```
/// use poe_irc::{Isupport, ModeKind};
/// let mut isupport = Isupport::default();
/// isupport.read(["CASEMAPPING=ascii", "PREFIX=(ohv)@%+", "CHANMODES=b,k,l,imnpst", "NICKLEN=30"]);
/// assert_eq!(isupport.number("NICKLEN"), Some(30));
/// assert_eq!(isupport.rank_of_symbol('%'), Some('h'));
/// assert_eq!(isupport.mode_kind('l'), ModeKind::WhenSet);
/// assert!(isupport.is_channel(b"#poe"));
/// ```
#[derive(Clone, Debug)]
#[doc(alias = "POE::Component::IRC::Plugin::ISupport")]
pub struct Isupport {
    tokens: BTreeMap<String, Text>,
    casemapping: CaseMapping,
    /// Mode and symbol, the highest rank first.
    ranks: Vec<(char, char)>,
    modes: [String; 4],
    channel_types: Vec<u8>,
}

impl Default for Isupport {
    fn default() -> Self {
        Isupport {
            tokens: BTreeMap::new(),
            casemapping: CaseMapping::default(),
            ranks: vec![('o', '@'), ('v', '+')],
            modes: ["b".into(), "k".into(), "l".into(), "imnpstr".into()],
            channel_types: b"#&".to_vec(),
        }
    }
}

impl Isupport {
    /// Takes in tokens such as `NICKLEN=30`, `EXCEPTS` and `-EXCEPTS`.
    pub fn read<T: Into<Text>>(&mut self, tokens: impl IntoIterator<Item = T>) {
        for token in tokens {
            let token = token.into();
            let (token, removed) = match token.as_bytes().strip_prefix(b"-") {
                Some(rest) => (Text::from(rest), true),
                None => (token, false),
            };
            let bytes = token.as_bytes();
            let end = memchr::memchr(b'=', bytes).unwrap_or(bytes.len());
            let Ok(key) = std::str::from_utf8(&bytes[..end]) else {
                continue;
            };
            let value = Text::from(bytes.get(end + 1..).unwrap_or_default());
            if removed {
                self.tokens.remove(key);
            } else if self.tokens.len() < TOKENS || self.tokens.contains_key(key) {
                self.tokens.insert(key.to_owned(), value.clone());
                self.apply(key, &value);
            }
        }
    }

    fn apply(&mut self, key: &str, value: &Text) {
        let text = value.to_str_lossy();
        match key {
            "CASEMAPPING" => {
                self.casemapping = match &*text {
                    "ascii" => CaseMapping::Ascii,
                    "strict-rfc1459" => CaseMapping::StrictRfc1459,
                    _ => CaseMapping::Rfc1459,
                }
            }
            "CHANTYPES" => self.channel_types = value.as_bytes().to_vec(),
            "PREFIX" => {
                if let Some((modes, symbols)) = text.strip_prefix('(').and_then(|text| text.split_once(')')) {
                    self.ranks = modes.chars().zip(symbols.chars()).collect();
                }
            }
            "CHANMODES" => {
                let mut kinds = text.split(',').map(str::to_owned);
                self.modes = std::array::from_fn(|_| kinds.next().unwrap_or_default());
            }
            _ => {}
        }
    }

    /// Returns the value of a token; empty for one without a value.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Text> {
        self.tokens.get(key)
    }

    /// Returns the value of a token that is a number.
    #[must_use]
    pub fn number(&self, key: &str) -> Option<usize> {
        self.get(key)?.as_str()?.parse().ok()
    }

    /// Returns how the server compares names.
    #[must_use]
    pub fn casemapping(&self) -> CaseMapping {
        self.casemapping
    }

    /// Keeps the comparison that the tables were made with.
    pub(crate) fn set_casemapping(&mut self, casemapping: CaseMapping) {
        self.casemapping = casemapping;
    }

    /// Whether the name is that of a channel.
    #[must_use]
    pub fn is_channel(&self, name: &[u8]) -> bool {
        name.first().is_some_and(|first| self.channel_types.contains(first))
    }

    /// Returns the mode that a symbol in front of a nickname stands for: `o` for `@`.
    #[must_use]
    pub fn rank_of_symbol(&self, symbol: char) -> Option<char> {
        self.ranks.iter().find(|(_, s)| *s == symbol).map(|(mode, _)| *mode)
    }

    /// Returns what kind of channel mode a letter is.
    #[must_use]
    pub fn mode_kind(&self, mode: char) -> ModeKind {
        if self.ranks.iter().any(|(m, _)| *m == mode) {
            return ModeKind::Rank;
        }
        match self.modes.iter().position(|modes| modes.contains(mode)) {
            Some(0) => ModeKind::List,
            Some(1) => ModeKind::Always,
            Some(2) => ModeKind::WhenSet,
            _ => ModeKind::Never,
        }
    }

    /// Takes the ranks in front of a name, such as `@+ann`.
    pub(crate) fn split_ranks<'n>(&self, name: &'n [u8]) -> (String, &'n [u8]) {
        let mut ranks = String::new();
        let mut at = 0;
        while let Some(rank) = name.get(at).and_then(|b| self.rank_of_symbol(char::from(*b))) {
            ranks.push(rank);
            at += 1;
        }
        (ranks, &name[at..])
    }
}
