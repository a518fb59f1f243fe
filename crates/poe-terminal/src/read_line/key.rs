//! Keys, and their names in readline.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use std::fmt;

/// One stroke, in one normalized form for all terminals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) modifiers: KeyModifiers,
    pub(super) code: KeyCode,
}

impl Key {
    pub(super) fn new(mut modifiers: KeyModifiers, mut code: KeyCode) -> Self {
        let alt = modifiers.contains(KeyModifiers::ALT);
        if let KeyCode::Char(c) = code {
            // AltGr sets both modifiers on Windows.
            if modifiers.contains(KeyModifiers::CONTROL) && !(cfg!(windows) && alt) {
                code = control(c.to_ascii_lowercase());
                if !matches!(code, KeyCode::Char(_)) {
                    modifiers -= KeyModifiers::CONTROL;
                }
            } else if alt {
                code = KeyCode::Char(c.to_ascii_lowercase());
            } else if modifiers.contains(KeyModifiers::SHIFT) {
                code = KeyCode::Char(c.to_ascii_uppercase());
            }
            modifiers -= KeyModifiers::SHIFT;
        }
        Key { modifiers, code }
    }

    pub(super) fn plain(code: KeyCode) -> Self {
        Key::new(KeyModifiers::NONE, code)
    }

    pub(super) fn char(c: char) -> Self {
        Key::plain(KeyCode::Char(c))
    }

    /// Returns the stroke as a terminal sends it: with the shift key in a capital letter.
    pub(super) fn event(self) -> KeyEvent {
        KeyEvent::new(self.code, self.modifiers | self.shift())
    }

    /// Returns the stroke as the editor's tables have it: a capital letter is a small one with the shift key.
    pub(super) fn in_table(self) -> (KeyModifiers, KeyCode) {
        let code = match self.code {
            KeyCode::Char(c) => KeyCode::Char(c.to_ascii_lowercase()),
            code => code,
        };
        (self.modifiers | self.shift(), code)
    }

    fn shift(self) -> KeyModifiers {
        match self.code {
            KeyCode::Char(c) if c.is_uppercase() && self.modifiers.is_empty() => KeyModifiers::SHIFT,
            _ => KeyModifiers::NONE,
        }
    }

    /// Returns the character that it types.
    pub(super) fn typed(self) -> Option<char> {
        match self.code {
            KeyCode::Char(c) if self.modifiers.is_empty() => Some(c),
            _ => None,
        }
    }

    /// Returns what it inserts when it is quoted: the control character of a control key.
    pub(super) fn literal(self) -> Option<String> {
        let c = match self.code {
            KeyCode::Char(' ') if self.modifiers == KeyModifiers::CONTROL => '\0',
            KeyCode::Char(c) if self.modifiers.contains(KeyModifiers::CONTROL) && c.is_ascii() => {
                char::from(c.to_ascii_uppercase() as u8 & 0x1f)
            }
            KeyCode::Char(c) => c,
            KeyCode::Tab => '\t',
            KeyCode::Enter => '\r',
            KeyCode::Esc => '\x1b',
            KeyCode::Backspace => '\x7f',
            _ => return None,
        };
        let meta = if self.modifiers.contains(KeyModifiers::ALT) {
            "\x1b"
        } else {
            ""
        };
        Some(format!("{meta}{c}"))
    }
}

/// Maps control keys that are another key as well, or have another name on the wire.
fn control(c: char) -> KeyCode {
    match c {
        'i' => KeyCode::Tab,
        'm' => KeyCode::Enter,
        '[' | '3' => KeyCode::Esc,
        '?' | '8' => KeyCode::Backspace,
        '@' | '2' => KeyCode::Char(' '),
        '4' => KeyCode::Char('\\'),
        '5' => KeyCode::Char(']'),
        '6' => KeyCode::Char('^'),
        '7' => KeyCode::Char('_'),
        c => KeyCode::Char(c),
    }
}

impl From<KeyEvent> for Key {
    fn from(event: KeyEvent) -> Self {
        Key::new(event.modifiers, event.code)
    }
}

/// Writes the name, as [`parse_keys`] reads it.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (modifier, name) in [
            (KeyModifiers::CONTROL, "C-"),
            (KeyModifiers::ALT, "M-"),
            (KeyModifiers::SHIFT, "S-"),
        ] {
            if self.modifiers.contains(modifier) {
                f.write_str(name)?;
            }
        }
        match self.code {
            KeyCode::Char(' ') => f.write_str("space"),
            KeyCode::Char(c) => write!(f, "{c}"),
            KeyCode::F(n) => write!(f, "f{n}"),
            code => match NAMES.iter().find(|(_, named)| *named == code) {
                Some((name, _)) => f.write_str(name),
                None => write!(f, "{code:?}"),
            },
        }
    }
}

/// Writes the names of several keys in a row.
pub(super) fn display(keys: &[Key]) -> String {
    let names: Vec<String> = keys.iter().map(Key::to_string).collect();
    names.join(" ")
}

const NAMES: &[(&str, KeyCode)] = &[
    ("up", KeyCode::Up),
    ("down", KeyCode::Down),
    ("left", KeyCode::Left),
    ("right", KeyCode::Right),
    ("home", KeyCode::Home),
    ("end", KeyCode::End),
    ("pageup", KeyCode::PageUp),
    ("page-up", KeyCode::PageUp),
    ("pagedown", KeyCode::PageDown),
    ("page-down", KeyCode::PageDown),
    ("ins", KeyCode::Insert),
    ("insert", KeyCode::Insert),
    ("del", KeyCode::Delete),
    ("delete", KeyCode::Delete),
    ("rubout", KeyCode::Backspace),
    ("backspace", KeyCode::Backspace),
    ("bs", KeyCode::Backspace),
    ("tab", KeyCode::Tab),
    ("ret", KeyCode::Enter),
    ("return", KeyCode::Enter),
    ("enter", KeyCode::Enter),
    ("newline", KeyCode::Enter),
    ("esc", KeyCode::Esc),
    ("escape", KeyCode::Esc),
    ("space", KeyCode::Char(' ')),
    ("spc", KeyCode::Char(' ')),
];

const MODIFIERS: &[(&str, KeyModifiers)] = &[
    ("\\c-", KeyModifiers::CONTROL),
    ("c-", KeyModifiers::CONTROL),
    ("control-", KeyModifiers::CONTROL),
    ("ctrl-", KeyModifiers::CONTROL),
    ("\\m-", KeyModifiers::ALT),
    ("m-", KeyModifiers::ALT),
    ("meta-", KeyModifiers::ALT),
    ("\\e", KeyModifiers::ALT),
];

/// The sequences that terminals send after an escape for keys that are not characters.
const SEQUENCES: &[(&str, KeyCode)] = &[
    ("[A", KeyCode::Up),
    ("[B", KeyCode::Down),
    ("[C", KeyCode::Right),
    ("[D", KeyCode::Left),
    ("[H", KeyCode::Home),
    ("[F", KeyCode::End),
    ("OA", KeyCode::Up),
    ("OB", KeyCode::Down),
    ("OC", KeyCode::Right),
    ("OD", KeyCode::Left),
    ("OH", KeyCode::Home),
    ("OF", KeyCode::End),
    ("[1~", KeyCode::Home),
    ("[7~", KeyCode::Home),
    ("[4~", KeyCode::End),
    ("[8~", KeyCode::End),
    ("[2~", KeyCode::Insert),
    ("[3~", KeyCode::Delete),
    ("[5~", KeyCode::PageUp),
    ("[6~", KeyCode::PageDown),
    ("OP", KeyCode::F(1)),
    ("OQ", KeyCode::F(2)),
    ("OR", KeyCode::F(3)),
    ("OS", KeyCode::F(4)),
    ("[15~", KeyCode::F(5)),
    ("[17~", KeyCode::F(6)),
    ("[18~", KeyCode::F(7)),
    ("[19~", KeyCode::F(8)),
    ("[20~", KeyCode::F(9)),
    ("[21~", KeyCode::F(10)),
    ("[23~", KeyCode::F(11)),
    ("[24~", KeyCode::F(12)),
];

/// Parses one stroke or several: `C-x`, `M-x`, `C-xC-r`, `C-x C-r`, `up`, `f1`, one character, or, in quotes,
/// `\C-x\M-y\e[A` and characters.
pub(super) fn parse_keys(text: &str) -> Option<Vec<Key>> {
    let quoted = text.len() > 1 && text.starts_with('"') && text.ends_with('"');
    let mut rest = if quoted { &text[1..text.len() - 1] } else { text };
    let mut keys = Vec::new();
    while !rest.is_empty() {
        let (key, length) = parse_key(rest, quoted)?;
        rest = &rest[length..];
        // An unknown word is a mistake rather than a sequence of letters.
        if !quoted && !rest.is_empty() {
            if keys.is_empty() && key.modifiers.is_empty() {
                return None;
            }
            rest = rest.trim_start();
        }
        keys.push(key);
    }
    (!keys.is_empty()).then_some(keys)
}

/// Parses the first stroke; returns it with its length in the text.
fn parse_key(text: &str, quoted: bool) -> Option<(Key, usize)> {
    let mut modifiers = KeyModifiers::NONE;
    let mut rest = text;
    let length = |rest: &str| text.len() - rest.len();
    loop {
        let found = MODIFIERS.iter().find(|(prefix, _)| {
            // In quotes a plain `C-` is two characters.
            let written = !quoted || prefix.starts_with('\\');
            written && rest.len() > prefix.len() && has_prefix(rest, prefix)
        });
        let Some((prefix, modifier)) = found else { break };
        rest = &rest[prefix.len()..];
        if *prefix == "\\e"
            && let Some((key, taken)) = sequence(rest, modifiers)
        {
            return Some((key, length(rest) + taken));
        }
        modifiers |= *modifier;
    }
    if !quoted {
        let word = &rest[..rest.find(char::is_whitespace).unwrap_or(rest.len())];
        if let Some(code) = named(word) {
            return Some((Key::new(modifiers, code), length(rest) + word.len()));
        }
        // A modifier without a key.
        if MODIFIERS.iter().any(|(prefix, _)| word.eq_ignore_ascii_case(prefix)) {
            return None;
        }
    }
    if let Some(escaped) = rest.strip_prefix('\\').and_then(|rest| rest.chars().next()) {
        let code = match escaped {
            't' => Some(KeyCode::Tab),
            'r' => Some(KeyCode::Enter),
            'n' => Some(KeyCode::Char('j')),
            'd' => Some(KeyCode::Backspace),
            'e' => Some(KeyCode::Esc),
            '\\' | '"' | '\'' => Some(KeyCode::Char(escaped)),
            _ => None,
        };
        if escaped == 'n' {
            modifiers |= KeyModifiers::CONTROL;
        }
        if let Some(code) = code {
            return Some((Key::new(modifiers, code), length(rest) + 2));
        }
    }
    let c = rest.chars().next()?;
    Some((Key::new(modifiers, KeyCode::Char(c)), length(rest) + c.len_utf8()))
}

fn has_prefix(text: &str, prefix: &str) -> bool {
    text.get(..prefix.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

fn named(word: &str) -> Option<KeyCode> {
    let lower = word.to_ascii_lowercase();
    let function = lower.strip_prefix('f').and_then(|n| n.parse().ok()).map(KeyCode::F);
    let name = NAMES.iter().find(|(name, _)| *name == lower);
    name.map(|(_, code)| *code).or(function)
}

/// Parses a key that is not a character, from the sequence that the terminal sends: `[A`, and `[1;5A` with the control
/// key.
fn sequence(text: &str, modifiers: KeyModifiers) -> Option<(Key, usize)> {
    let of = |sent: &str| SEQUENCES.iter().find(|(sequence, _)| sent.starts_with(sequence));
    if let Some((sequence, code)) = of(text) {
        return Some((Key::new(modifiers, *code), sequence.len()));
    }
    let rest = text.strip_prefix("[1;")?;
    let modifier = match rest.chars().next()? {
        '2' => KeyModifiers::SHIFT,
        '3' => KeyModifiers::ALT,
        '5' => KeyModifiers::CONTROL,
        _ => return None,
    };
    let (_, code) = of(&format!("[{}", rest.get(1..2)?))?;
    Some((Key::new(modifiers | modifier, *code), "[1;5A".len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CTRL: KeyModifiers = KeyModifiers::CONTROL;
    const ALT: KeyModifiers = KeyModifiers::ALT;

    fn one(modifiers: KeyModifiers, code: KeyCode) -> Option<Vec<Key>> {
        Some(vec![Key { modifiers, code }])
    }

    #[test]
    fn keys_have_names() {
        assert_eq!(parse_keys("C-x"), one(CTRL, KeyCode::Char('x')));
        assert_eq!(parse_keys("\"\\C-x\""), one(CTRL, KeyCode::Char('x')));
        assert_eq!(parse_keys("Control-A"), one(CTRL, KeyCode::Char('a')));
        assert_eq!(parse_keys("M-x"), one(ALT, KeyCode::Char('x')));
        assert_eq!(parse_keys("M--"), one(ALT, KeyCode::Char('-')));
        assert_eq!(parse_keys("M-\\"), one(ALT, KeyCode::Char('\\')));
        assert_eq!(parse_keys("\\ef"), one(ALT, KeyCode::Char('f')));
        assert_eq!(parse_keys("C-M-h"), one(CTRL | ALT, KeyCode::Char('h')));
        assert_eq!(parse_keys("M-del"), one(ALT, KeyCode::Delete));
        assert_eq!(parse_keys("up"), one(KeyModifiers::NONE, KeyCode::Up));
        assert_eq!(parse_keys("f12"), one(KeyModifiers::NONE, KeyCode::F(12)));
        assert_eq!(parse_keys("f"), one(KeyModifiers::NONE, KeyCode::Char('f')));
        assert_eq!(parse_keys("\":\""), one(KeyModifiers::NONE, KeyCode::Char(':')));
        assert_eq!(parse_keys("C-"), None);
        assert_eq!(parse_keys(""), None);
        assert_eq!(parse_keys("\"\""), None);
        assert_eq!(parse_keys("pgup"), None);
    }

    #[test]
    fn several_strokes_have_a_name_too() {
        let x = Key::new(CTRL, KeyCode::Char('x'));
        let r = Key::new(CTRL, KeyCode::Char('r'));
        for name in [
            "C-xC-r",
            "C-x C-r",
            "\"\\C-x\\C-r\"",
            "\\C-x\\C-r",
            "Control-xControl-R",
        ] {
            assert_eq!(parse_keys(name), Some(vec![x, r]), "{name}");
        }
        assert_eq!(parse_keys("C-xm"), Some(vec![x, Key::char('m')]));
        assert_eq!(parse_keys("C-xDel"), Some(vec![x, Key::plain(KeyCode::Delete)]));
        assert_eq!(parse_keys("\"ab\""), Some(vec![Key::char('a'), Key::char('b')]));
        assert_eq!(display(&[x, Key::new(ALT, KeyCode::Char(' '))]), "C-x M-space");
    }

    #[test]
    fn what_terminals_send_names_keys_that_are_no_characters() {
        assert_eq!(parse_keys("\"\\e[A\""), one(KeyModifiers::NONE, KeyCode::Up));
        assert_eq!(parse_keys("\"\\e[3~\""), one(KeyModifiers::NONE, KeyCode::Delete));
        assert_eq!(parse_keys("\"\\e[1;5C\""), one(CTRL, KeyCode::Right));
        assert_eq!(parse_keys("\"\\e\""), one(KeyModifiers::NONE, KeyCode::Esc));
    }

    #[test]
    fn a_key_is_the_same_however_it_is_sent() {
        assert_eq!(parse_keys("C-]"), one(CTRL, KeyCode::Char(']')));
        assert_eq!(Key::new(CTRL, KeyCode::Char('5')), Key::new(CTRL, KeyCode::Char(']')));
        assert_eq!(parse_keys("C-_"), parse_keys("C-7"));
        assert_eq!(parse_keys("C-i"), parse_keys("tab"));
        assert_eq!(parse_keys("C-@"), parse_keys("C-space"));
        let capital = Key::new(KeyModifiers::SHIFT, KeyCode::Char('A'));
        assert_eq!(capital, Key::char('A'));
        assert_eq!(capital.in_table(), (KeyModifiers::SHIFT, KeyCode::Char('a')));
        assert_eq!(capital.event().modifiers, KeyModifiers::SHIFT);
    }

    #[test]
    fn a_quoted_key_is_its_character() {
        let literal = |name: &str| parse_keys(name).unwrap()[0].literal();
        assert_eq!(literal("C-a").as_deref(), Some("\x01"));
        assert_eq!(literal("C-@").as_deref(), Some("\0"));
        assert_eq!(literal("C-_").as_deref(), Some("\x1f"));
        assert_eq!(literal("C-j").as_deref(), Some("\n"));
        assert_eq!(literal("M-x").as_deref(), Some("\x1bx"));
        assert_eq!(literal("tab").as_deref(), Some("\t"));
        assert_eq!(literal("up"), None);
    }
}
