//! The functions that keys can be bound to, by their names in readline.

use super::editor::{ABORT, MENU};
use super::line::LineFunction;
use reedline::{EditCommand as Edit, ReedlineEvent as Does};

/// The effect of a key in a [`ReadLine`](super::ReadLine).
///
/// ```
/// use poe_terminal::KeyBinding;
/// let bindings = [
///     ("C-x", KeyBinding::Function("kill-whole-line".into())),
///     ("M-g", KeyBinding::Text("git ".into())),
///     ("f1", KeyBinding::Event("help".into())), // comes as an input event, with the present line
/// ];
/// # let _ = bindings;
/// ```
///
/// # Functions
/// Names are readline's, in any case. A function that can do nothing rings the bell, according to the setting
/// `bell-style`. [`ReadLine`](super::ReadLine) lists the keys that have these functions by default.
///
/// | | |
/// |---|---|
/// | moving | `beginning-of-line` `end-of-line` `forward-char` `backward-char` `forward-word` `backward-word` `character-search` `character-search-backward` `set-mark` `exchange-point-and-mark` |
/// | changing | `self-insert` `quoted-insert` `tab-insert` `overwrite-mode` `delete-char` `backward-delete-char` `delete-horizontal-space` `transpose-chars` `transpose-words` `upcase-word` `downcase-word` `capitalize-word` `tilde-expand` `insert-comment` `undo` `redo` `revert-line` |
/// | killing and yanking | `kill-line` `backward-kill-line` `unix-line-discard` `kill-whole-line` `kill-word` `backward-kill-word` `unix-word-rubout` `kill-region` `copy-region-as-kill` `yank` `yank-pop` `yank-last-arg` `yank-nth-arg` |
/// | history | `previous-history` `next-history` `beginning-of-history` `end-of-history` `reverse-search-history` `forward-search-history` `non-incremental-reverse-search-history` `non-incremental-forward-search-history` (to lines that begin like this one up to the cursor) |
/// | completing | `complete` `possible-completions` `insert-completions` |
/// | the line | `accept-line` `abort` `interrupt` `end-of-file` `clear-screen` `redraw-current-line` |
/// | others | `digit-argument` `ding` `re-read-init-file` `dump-key` `dump-macros` `dump-variables` `poe-wheel-debug` `emacs-editing-mode` `vi-editing-mode` |
/// | vi's, in its command mode | `vi-append-eol` `vi-append-mode` `vi-arg-digit` `vi-change-case` `vi-change-char` `vi-change-to` `vi-char-search` `vi-complete` `vi-delete` `vi-delete-to` `vi-end-word` `vi-eof-maybe` `vi-fetch-history` `vi-first-print` `vi-insert-beg` `vi-insertion-mode` `vi-movement-mode` `vi-next-word` `vi-prev-word` `vi-put` `vi-redo` `vi-replace` `vi-search` `vi-subst` `vi-tilde-expand` `vi-undo` `vi-yank-arg` `vi-yank-to` |
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyBinding {
    /// A function of the editor, by readline's name: `kill-line`.
    #[doc(alias = "bind_key")]
    Function(String),
    /// Types a text.
    #[doc(alias = "insert-macro")]
    Text(String),
    /// Sends the program [`Typed::Key`](super::Typed::Key) with this name; editing continues.
    #[doc(alias = "add_defun")]
    Event(String),
}

/// The effect of a key.
#[derive(Clone, Debug)]
pub(super) enum Act {
    /// The editor carries it out.
    Editor(Does),
    /// A change of the line, with the digit argument, if there is one.
    Line(fn(Option<i64>) -> LineFunction),
    /// An event for the program.
    Tell(String),
    /// A change of how further keys are interpreted.
    Keys(KeyFunction),
    /// The effect of this key in vi's command mode.
    Vi(char),
}

/// The kinds of functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyFunction {
    SelfInsert,
    QuotedInsert,
    CharacterSearch { backward: bool },
    DigitArgument,
    OverwriteMode,
    Search { backward: bool },
    InsertComment,
    Yank,
    YankPop,
    ReReadInitFile,
    DumpKey,
    DumpMacros,
    DumpVariables,
    EmacsEditingMode,
    ViEditingMode,
    ViReplace,
    ViYankArg,
    ViArgDigit,
    Ding,
}

/// Returns the effect of a binding; `None` if there is no such function.
pub(super) fn act(binding: &KeyBinding) -> Option<Act> {
    match binding {
        KeyBinding::Function(name) => function(&name.to_ascii_lowercase()),
        KeyBinding::Text(text) => Some(edit(Edit::InsertString(text.clone()))),
        KeyBinding::Event(name) => Some(Act::Tell(name.clone())),
    }
}

fn edit(command: Edit) -> Act {
    Act::Editor(Does::Edit(vec![command]))
}

fn function(name: &str) -> Option<Act> {
    let does = of_the_editor(name).map(Act::Editor);
    let line = || of_the_line(name).map(Act::Line);
    let keys = || of_keys(name).map(Act::Keys);
    let vi = || of_vi(name).map(Act::Vi);
    does.or_else(line).or_else(keys).or_else(vi)
}

fn of_the_editor(name: &str) -> Option<Does> {
    let select = false;
    let edit = match name {
        "beginning-of-line" => Edit::MoveToLineStart { select },
        "end-of-line" => Edit::MoveToLineEnd { select },
        "forward-word" => Edit::MoveWordRight { select },
        "backward-word" => Edit::MoveWordLeft { select },
        "backward-delete-char" => Edit::Backspace,
        "tab-insert" => Edit::InsertChar('\t'),
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
        "undo" | "vi-undo" => Edit::Undo,
        "redo" => Edit::Redo,
        _ => {
            return Some(match name {
                "forward-char" => Does::UntilFound(vec![Does::MenuRight, Does::Right]),
                "backward-char" => Does::UntilFound(vec![Does::MenuLeft, Does::Left]),
                // These two change the line, unless a menu is open, which the receiver of the event handles.
                "previous-history" => Does::UntilFound(vec![Does::MenuUp, Does::PreviousHistory]),
                "next-history" => Does::UntilFound(vec![Does::MenuDown, Does::NextHistory]),
                "clear-screen" => Does::ClearScreen,
                "redraw-current-line" => Does::Repaint,
                "accept-line" => Does::Enter,
                "complete" | "vi-complete" => complete(),
                "abort" => Does::ExecuteHostCommand(ABORT.to_owned()),
                "interrupt" => Does::CtrlC,
                // In an empty line it is the end of the file.
                "delete-char" | "end-of-file" | "vi-eof-maybe" => Does::CtrlD,
                _ => return None,
            });
        }
    };
    Some(Does::Edit(vec![edit]))
}

fn of_the_line(name: &str) -> Option<fn(Option<i64>) -> LineFunction> {
    use LineFunction as Line;
    Some(match name {
        "set-mark" => Line::SetMark,
        "exchange-point-and-mark" => |_| Line::ExchangePointAndMark,
        "kill-region" => |_| Line::KillRegion,
        "copy-region-as-kill" => |_| Line::CopyRegionAsKill,
        "delete-horizontal-space" => |_| Line::DeleteHorizontalSpace,
        "yank-last-arg" => Line::YankLastArg,
        "yank-nth-arg" => Line::YankNthArg,
        "tilde-expand" | "vi-tilde-expand" => |_| Line::TildeExpand,
        "revert-line" => |_| Line::RevertLine,
        "beginning-of-history" | "vi-fetch-history" => |_| Line::BeginningOfHistory,
        "end-of-history" => |_| Line::EndOfHistory,
        "non-incremental-reverse-search-history" => |_| Line::PrefixSearch { backward: true },
        "non-incremental-forward-search-history" => |_| Line::PrefixSearch { backward: false },
        "possible-completions" => |_| Line::PossibleCompletions,
        "insert-completions" => |_| Line::InsertCompletions,
        "poe-wheel-debug" => |_| Line::Debug,
        _ => return None,
    })
}

fn of_keys(name: &str) -> Option<KeyFunction> {
    use KeyFunction as Keys;
    Some(match name {
        "self-insert" => Keys::SelfInsert,
        "quoted-insert" => Keys::QuotedInsert,
        "character-search" => Keys::CharacterSearch { backward: false },
        "character-search-backward" => Keys::CharacterSearch { backward: true },
        "digit-argument" => Keys::DigitArgument,
        "overwrite-mode" => Keys::OverwriteMode,
        "reverse-search-history" | "vi-search" => Keys::Search { backward: true },
        "forward-search-history" => Keys::Search { backward: false },
        "insert-comment" => Keys::InsertComment,
        "yank" => Keys::Yank,
        "yank-pop" => Keys::YankPop,
        "re-read-init-file" => Keys::ReReadInitFile,
        "dump-key" => Keys::DumpKey,
        "dump-macros" => Keys::DumpMacros,
        "dump-variables" => Keys::DumpVariables,
        "emacs-editing-mode" => Keys::EmacsEditingMode,
        "vi-editing-mode" => Keys::ViEditingMode,
        "vi-replace" => Keys::ViReplace,
        "vi-yank-arg" => Keys::ViYankArg,
        "vi-arg-digit" => Keys::ViArgDigit,
        "ding" => Keys::Ding,
        _ => return None,
    })
}

fn of_vi(name: &str) -> Option<char> {
    Some(match name {
        "vi-append-eol" => 'A',
        "vi-append-mode" => 'a',
        "vi-change-case" => '~',
        "vi-change-char" => 'r',
        "vi-change-to" => 'c',
        "vi-char-search" => 'f',
        "vi-delete" => 'x',
        "vi-delete-to" => 'd',
        "vi-end-word" => 'e',
        "vi-first-print" => '^',
        "vi-insert-beg" => 'I',
        "vi-insertion-mode" => 'i',
        "vi-movement-mode" => '\x1b',
        "vi-next-word" => 'w',
        "vi-prev-word" => 'b',
        "vi-put" => 'p',
        "vi-redo" => '.',
        "vi-subst" => 's',
        "vi-yank-to" => 'y',
        _ => return None,
    })
}

/// Returns the function that replaces this one with a negative argument.
pub(super) fn opposite(name: &str) -> Option<&'static str> {
    const PAIRS: [(&str, &str); 8] = [
        ("forward-char", "backward-char"),
        ("forward-word", "backward-word"),
        ("delete-char", "backward-delete-char"),
        ("kill-word", "backward-kill-word"),
        ("kill-line", "backward-kill-line"),
        ("next-history", "previous-history"),
        ("character-search", "character-search-backward"),
        (
            "non-incremental-forward-search-history",
            "non-incremental-reverse-search-history",
        ),
    ];
    let name = name.to_ascii_lowercase();
    PAIRS.iter().find_map(|(forward, backward)| match () {
        () if *forward == name => Some(*backward),
        () if *backward == name => Some(*forward),
        () => None,
    })
}

/// The first time it completes as far as possible or lists the candidates; then it cycles through them.
fn complete() -> Does {
    Does::UntilFound(vec![Does::Menu(MENU.to_owned()), Does::MenuNext])
}

/// Whether the editor's command kills text, which is recorded; text removed by vi's `x` is not, as in POE.
pub(super) fn kills(does: &Does) -> bool {
    match does {
        Does::Edit(commands) => commands.iter().any(|command| {
            matches!(
                command,
                Edit::Cut { .. }
                    | Edit::Change { .. }
                    | Edit::CutCurrentLine
                    | Edit::CutFromStart
                    | Edit::CutFromStartLinewise { .. }
                    | Edit::CutFromLineStart
                    | Edit::CutFromLineNonBlankStart
                    | Edit::CutToEnd
                    | Edit::CutToEndLinewise { .. }
                    | Edit::CutToLineEnd
                    | Edit::KillLine
                    | Edit::CutWordLeft
                    | Edit::CutBigWordLeft
                    | Edit::CutWordRight
                    | Edit::CutBigWordRight
                    | Edit::CutWordRightToNext
                    | Edit::CutBigWordRightToNext
                    | Edit::CutRightUntil(_)
                    | Edit::CutRightBefore(_)
                    | Edit::CutLeftUntil(_)
                    | Edit::CutLeftBefore(_)
                    | Edit::CutSelection
                    | Edit::CutInsidePair { .. }
                    | Edit::CutAroundPair { .. }
                    | Edit::CutTextObject { .. }
            )
        }),
        Does::Multiple(all) | Does::UntilFound(all) => all.iter().any(kills),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_have_readlines_names() {
        let named = |name: &str| act(&KeyBinding::Function(name.into()));
        assert!(named("kill-line").is_some_and(|act| matches!(act, Act::Editor(does) if kills(&does))));
        assert!(matches!(named("Dump-Macros"), Some(Act::Keys(KeyFunction::DumpMacros))));
        assert!(named("make-coffee").is_none());
        let Some(Act::Editor(does)) = act(&KeyBinding::Text("x".into())) else {
            panic!("a text is typed by the editor");
        };
        assert_eq!(does, Does::Edit(vec![Edit::InsertString("x".into())]));
    }

    #[test]
    fn some_functions_have_an_opposite() {
        assert_eq!(opposite("forward-char"), Some("backward-char"));
        assert_eq!(opposite("backward-kill-word"), Some("kill-word"));
        assert_eq!(opposite("undo"), None);
    }
}
