//! Names of keys and of what they do, as readline's users write them.

use super::editor::{ABORT, KEY};
use crossterm::event::{KeyCode, KeyModifiers};
use reedline::{EditCommand as Edit, ReedlineEvent as Does};

/// What a key does in a [`ReadLine`](super::ReadLine).
///
/// ```
/// use poe::wheel::KeyBinding;
/// let bindings = [
///     ("C-x", KeyBinding::Function("kill-whole-line".into())),
///     ("M-g", KeyBinding::Text("git ".into())),
///     ("f1", KeyBinding::Event("help".into())), // comes as an input event, with the line as it stands
/// ];
/// # let _ = bindings;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyBinding {
    /// A function of the editor, by readline's name: `kill-line`.
    #[doc(alias = "bind_key")]
    Function(String),
    /// A text is typed.
    Text(String),
    /// The program is told, by [`Typed::Key`](super::Typed::Key) with this name; the line is edited on.
    #[doc(alias = "add_defun")]
    Event(String),
}

/// `C-x`, `M-x`, `C-M-x`, `\C-x`, `\e[A`-less names as `up` and `f1`, or one character.
pub(super) fn parse_key(text: &str) -> Option<(KeyModifiers, KeyCode)> {
    let mut modifiers = KeyModifiers::NONE;
    let mut rest = text.trim_matches('"');
    loop {
        let lower = rest.to_ascii_lowercase();
        let found = [
            ("\\c-", KeyModifiers::CONTROL),
            ("c-", KeyModifiers::CONTROL),
            ("control-", KeyModifiers::CONTROL),
            ("ctrl-", KeyModifiers::CONTROL),
            ("\\m-", KeyModifiers::ALT),
            ("m-", KeyModifiers::ALT),
            ("meta-", KeyModifiers::ALT),
            ("\\e", KeyModifiers::ALT),
        ]
        .into_iter()
        .find(|(prefix, _)| lower.starts_with(prefix) && rest.len() > prefix.len());
        let Some((prefix, modifier)) = found else { break };
        modifiers |= modifier;
        rest = &rest[prefix.len()..];
    }
    let code = match rest.to_ascii_lowercase().as_str() {
        "up" => KeyCode::Up,
        "down" => KeyCode::Down,
        "left" => KeyCode::Left,
        "right" => KeyCode::Right,
        "home" => KeyCode::Home,
        "end" => KeyCode::End,
        "pageup" | "page-up" => KeyCode::PageUp,
        "pagedown" | "page-down" => KeyCode::PageDown,
        "ins" | "insert" => KeyCode::Insert,
        "del" | "delete" => KeyCode::Delete,
        "rubout" | "backspace" => KeyCode::Backspace,
        "tab" | "\\t" => KeyCode::Tab,
        "ret" | "return" | "enter" | "newline" => KeyCode::Enter,
        "esc" | "escape" => KeyCode::Esc,
        "space" | "spc" => KeyCode::Char(' '),
        name => match name.strip_prefix('f').and_then(|n| n.parse().ok()) {
            Some(n) => KeyCode::F(n),
            None => {
                let mut chars = rest.chars();
                let key = chars.next().filter(|_| chars.next().is_none())?;
                let key = if modifiers.is_empty() {
                    key
                } else {
                    key.to_ascii_lowercase()
                };
                KeyCode::Char(key)
            }
        },
    };
    Some((modifiers, code))
}

/// What the editor does for a binding; `None` if it has no such function.
pub(super) fn action(binding: &KeyBinding) -> Option<Does> {
    match binding {
        KeyBinding::Function(name) => function(name),
        KeyBinding::Text(text) => Some(Does::Edit(vec![Edit::InsertString(text.clone())])),
        KeyBinding::Event(name) => Some(Does::ExecuteHostCommand(format!("{KEY}{name}"))),
    }
}

fn function(name: &str) -> Option<Does> {
    let select = false;
    let edit = match name {
        "beginning-of-line" => Edit::MoveToLineStart { select },
        "end-of-line" => Edit::MoveToLineEnd { select },
        "forward-word" => Edit::MoveWordRight { select },
        "backward-word" => Edit::MoveWordLeft { select },
        "delete-char" => Edit::Delete,
        "backward-delete-char" => Edit::Backspace,
        "transpose-chars" => Edit::SwapGraphemes,
        "transpose-words" => Edit::SwapWords,
        "upcase-word" => Edit::UppercaseWord,
        "downcase-word" => Edit::LowercaseWord,
        "capitalize-word" => Edit::CapitalizeChar,
        "kill-line" => Edit::CutToLineEnd,
        "backward-kill-line" | "unix-line-discard" => Edit::CutFromLineStart,
        "kill-whole-line" => Edit::CutCurrentLine,
        "kill-word" => Edit::CutWordRight,
        "backward-kill-word" => Edit::CutWordLeft,
        "unix-word-rubout" => Edit::CutBigWordLeft,
        "yank" => Edit::PasteCutBufferBefore,
        "undo" => Edit::Undo,
        "redo" => Edit::Redo,
        "revert-line" => Edit::Clear,
        _ => {
            return Some(match name {
                "forward-char" => Does::Right,
                "backward-char" => Does::Left,
                "previous-history" => Does::PreviousHistory,
                "next-history" => Does::NextHistory,
                "reverse-search-history" => Does::SearchHistory,
                "clear-screen" => Does::ClearScreen,
                "accept-line" => Does::Enter,
                "complete" => complete(),
                "abort" => Does::ExecuteHostCommand(ABORT.to_owned()),
                "interrupt" => Does::CtrlC,
                "end-of-file" => Does::CtrlD,
                _ => return None,
            });
        }
    };
    Some(Does::Edit(vec![edit]))
}

/// The first time it completes as far as it can or shows what there is, then it goes through that.
pub(super) fn complete() -> Does {
    Does::UntilFound(vec![Does::Menu(super::editor::MENU.to_owned()), Does::MenuNext])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_names() {
        let ctrl = KeyModifiers::CONTROL;
        let alt = KeyModifiers::ALT;
        assert_eq!(parse_key("C-x"), Some((ctrl, KeyCode::Char('x'))));
        assert_eq!(parse_key("\"\\C-x\""), Some((ctrl, KeyCode::Char('x'))));
        assert_eq!(parse_key("Control-A"), Some((ctrl, KeyCode::Char('a'))));
        assert_eq!(parse_key("M-x"), Some((alt, KeyCode::Char('x'))));
        assert_eq!(parse_key("\\ef"), Some((alt, KeyCode::Char('f'))));
        assert_eq!(parse_key("C-M-h"), Some((ctrl | alt, KeyCode::Char('h'))));
        assert_eq!(parse_key("up"), Some((KeyModifiers::NONE, KeyCode::Up)));
        assert_eq!(parse_key("f12"), Some((KeyModifiers::NONE, KeyCode::F(12))));
        assert_eq!(parse_key("f"), Some((KeyModifiers::NONE, KeyCode::Char('f'))));
        assert_eq!(parse_key("C-"), None);
        assert_eq!(parse_key("\\C-x\\C-r"), None);
        assert_eq!(parse_key(""), None);
    }

    #[test]
    fn functions_have_readlines_names() {
        assert!(action(&KeyBinding::Function("kill-line".into())).is_some());
        assert!(action(&KeyBinding::Function("dump-macros".into())).is_none());
        assert_eq!(
            action(&KeyBinding::Text("x".into())),
            Some(Does::Edit(vec![Edit::InsertString("x".into())]))
        );
    }
}
