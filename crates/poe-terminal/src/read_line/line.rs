//! Functions that the editor lacks, which change the text and the cursor, without a terminal.

use super::memory::Memory;
use std::ops::Range;

/// The text, and the cursor's position in it in bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) text: String,
    pub(super) cursor: usize,
}

impl Line {
    pub(super) fn before(&self) -> &str {
        &self.text[..self.cursor]
    }

    pub(super) fn behind(&self) -> &str {
        &self.text[self.cursor..]
    }

    pub(super) fn insert(&mut self, text: &str) {
        self.text.insert_str(self.cursor, text);
        self.cursor += text.len();
    }

    pub(super) fn replace(&mut self, range: Range<usize>, text: &str) {
        self.text.replace_range(range.clone(), text);
        self.cursor = range.start + text.len();
    }

    pub(super) fn set(&mut self, text: &str) {
        text.clone_into(&mut self.text);
        self.cursor = text.len();
    }

    /// Returns the nearest character boundary at or before a position.
    pub(super) fn place(&self, mut at: usize) -> usize {
        at = at.min(self.text.len());
        while !self.text.is_char_boundary(at) {
            at -= 1;
        }
        at
    }
}

/// A function of the line and of the history of earlier functions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum LineFunction {
    /// Sets the mark at the cursor, or at an offset in characters.
    SetMark(Option<i64>),
    ExchangePointAndMark,
    KillRegion,
    CopyRegionAsKill,
    DeleteHorizontalSpace,
    /// Records the line before the editor kills a part of it …
    BeforeKill,
    /// … and then the killed part.
    AfterKill,
    Yank,
    /// Whether the last function was a yank.
    YankPop(bool),
    YankLastArg(Option<i64>),
    YankNthArg(Option<i64>),
    /// With a count it removes an existing comment.
    InsertComment(Option<i64>),
    TildeExpand,
    /// Replaces the characters at the cursor.
    Overwrite(char),
    RevertLine,
    PreviousHistory,
    NextHistory,
    BeginningOfHistory,
    EndOfHistory,
    /// Goes to the previous or next line of the history that begins like this one up to the cursor.
    PrefixSearch {
        backward: bool,
    },
    Search(SearchStep),
    PossibleCompletions,
    InsertCompletions,
    Debug,
    /// Sends the program its event.
    Tell(String),
}

/// Incremental search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum SearchStep {
    Begin {
        backward: bool,
    },
    Key(char),
    /// Removes the last character.
    Rub,
    Again {
        backward: bool,
    },
    /// Keeps the line that was found.
    End,
}

/// The result of a function, beside the changed line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Done,
    /// It was not possible.
    Ding,
    /// Lines for the screen, above the line being edited.
    Says(String),
    /// It was not possible; the reason.
    Refuses(String),
}

/// The environment of functions.
pub(super) struct Around<'a> {
    pub(super) history: &'a [String],
    pub(super) setting: &'a dyn Fn(&str) -> Option<String>,
    /// Returns the home directory of a user; without a name, that of this user.
    pub(super) home: &'a dyn Fn(&str) -> Option<String>,
    /// Returns the candidates for the word that begins there.
    pub(super) candidates: (usize, Vec<String>),
    pub(super) columns: usize,
    pub(super) wheel: &'a str,
}

impl LineFunction {
    /// Whether it needs [candidates](Around::candidates).
    pub(super) fn completes(&self) -> bool {
        matches!(self, Self::PossibleCompletions | Self::InsertCompletions)
    }

    /// Whether it needs the [history](Around::history).
    pub(super) fn looks_back(&self) -> bool {
        self.goes_through_history() || matches!(self, Self::YankLastArg(_) | Self::YankNthArg(_) | Self::RevertLine)
    }

    /// Whether it shows another line instead of changing this one.
    pub(super) fn goes_through_history(&self) -> bool {
        matches!(
            self,
            Self::PreviousHistory
                | Self::NextHistory
                | Self::BeginningOfHistory
                | Self::EndOfHistory
                | Self::PrefixSearch { .. }
                | Self::Search(_)
        )
    }

    pub(super) fn apply(&self, line: &mut Line, memory: &mut Memory, around: &Around<'_>) -> Outcome {
        match self {
            Self::SetMark(count) => memory.set_mark(line, *count),
            Self::ExchangePointAndMark => memory.exchange_point_and_mark(line),
            Self::KillRegion => memory.kill_region(line),
            Self::CopyRegionAsKill => memory.copy_region(line),
            Self::DeleteHorizontalSpace => delete_horizontal_space(line),
            Self::BeforeKill => memory.before_kill(line),
            Self::AfterKill => memory.after_kill(line),
            Self::Yank => memory.yank(line),
            Self::YankPop(yanked) => memory.yank_pop(line, *yanked),
            Self::YankLastArg(None) => memory.yank_arg(line, around, None),
            Self::YankLastArg(count) | Self::YankNthArg(count) => {
                memory.yank_arg(line, around, Some(count.unwrap_or(1)))
            }
            Self::InsertComment(count) => insert_comment(line, around, count.is_some()),
            Self::TildeExpand => tilde_expand(line, around),
            Self::Overwrite(c) => {
                let over = line.behind().chars().next().map_or(0, char::len_utf8);
                line.replace(line.cursor..line.cursor + over, c.encode_utf8(&mut [0; 4]));
                Outcome::Done
            }
            Self::RevertLine => memory.revert_line(line, around),
            Self::PreviousHistory => memory.previous_history(line, around),
            Self::NextHistory => memory.next_history(line, around),
            Self::BeginningOfHistory => memory.beginning_of_history(line, around),
            Self::EndOfHistory => memory.end_of_history(line, around),
            Self::PrefixSearch { backward } => memory.prefix_search(line, around, *backward),
            Self::Search(step) => memory.search_step(line, around, step),
            Self::PossibleCompletions => possible_completions(around),
            Self::InsertCompletions => insert_completions(line, around),
            Self::Debug => Outcome::Says(format!(
                "ID={} cursor_input({}) cursor_display({}) term_columns({})",
                around.wheel,
                line.cursor,
                line.before().chars().count(),
                around.columns
            )),
            // Its event is the reply.
            Self::Tell(_) => Outcome::Done,
        }
    }
}

fn delete_horizontal_space(line: &mut Line) -> Outcome {
    let start = line.before().trim_end().len();
    let end = line.text.len() - line.behind().trim_start().len();
    if start == end {
        return Outcome::Ding;
    }
    line.replace(start..end, "");
    Outcome::Done
}

fn insert_comment(line: &mut Line, around: &Around<'_>, toggle: bool) -> Outcome {
    let comment = (around.setting)("comment-begin").unwrap_or_else(|| "#".to_owned());
    if toggle && line.text.starts_with(&comment) {
        line.text.drain(..comment.len());
    } else {
        line.text.insert_str(0, &comment);
    }
    line.cursor = line.text.len();
    Outcome::Done
}

/// Returns the word at the cursor, from its last tilde on.
fn tilde_expand(line: &mut Line, around: &Around<'_>) -> Outcome {
    let start = line.before().trim_end_matches(|c: char| !c.is_whitespace()).len();
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let end = line.text.len() - line.behind().trim_start_matches(is_word).len();
    let Some(tilde) = line.text[start..end].rfind('~').map(|at| start + at) else {
        return Outcome::Ding;
    };
    let named = &line.text[tilde + 1..end];
    let user = named.split('/').next().unwrap_or_default();
    let Some(home) = (around.home)(user) else {
        return Outcome::Refuses(format!("username '{user}' not found"));
    };
    let named_until = tilde + 1 + user.len();
    let behind = line.cursor.saturating_sub(named_until);
    line.replace(tilde..named_until, &home);
    line.cursor += behind;
    Outcome::Done
}

fn possible_completions(around: &Around<'_>) -> Outcome {
    let words = &around.candidates.1;
    if words.is_empty() {
        return Outcome::Ding;
    }
    let across = (around.setting)("print-completions-horizontally").as_deref() == Some("on");
    let longest = words.iter().map(|word| word.chars().count()).max().unwrap_or(0);
    let in_a_row = if across {
        (around.columns / (longest + 1)).max(1)
    } else {
        1
    };
    let rows = words.chunks(in_a_row).map(|row| {
        let cells: Vec<String> = row.iter().map(|word| format!("{word:longest$}")).collect();
        cells.join(" ").trim_end().to_owned()
    });
    Outcome::Says(rows.collect::<Vec<_>>().join("\n"))
}

fn insert_completions(line: &mut Line, around: &Around<'_>) -> Outcome {
    let (start, words) = &around.candidates;
    if words.is_empty() {
        return Outcome::Ding;
    }
    line.replace(*start..line.cursor, &words.join(" "));
    Outcome::Done
}

#[cfg(test)]
mod tests {
    use super::LineFunction as Does;
    use super::*;

    /// A line with its cursor, written `|`, and the history of functions.
    struct Bench {
        line: Line,
        memory: Memory,
        history: Vec<String>,
        candidates: (usize, Vec<String>),
        settings: Vec<(&'static str, &'static str)>,
    }

    fn line(shown: &str) -> Line {
        let cursor = shown.find('|').unwrap();
        Line {
            text: shown.replacen('|', "", 1),
            cursor,
        }
    }

    fn bench(shown: &str, history: &[&str]) -> Bench {
        Bench {
            line: line(shown),
            memory: Memory::default(),
            history: history.iter().map(|line| (*line).to_owned()).collect(),
            candidates: (0, Vec::new()),
            settings: Vec::new(),
        }
    }

    impl Bench {
        fn does(&mut self, function: LineFunction) -> Outcome {
            let settings = &self.settings;
            let around = Around {
                history: &self.history,
                setting: &|name| {
                    let found = settings.iter().find(|(known, _)| *known == name);
                    found.map(|(_, value)| (*value).to_owned())
                },
                home: &|user| match user {
                    "" => Some("/home/me".to_owned()),
                    "ann" => Some("/home/ann".to_owned()),
                    _ => None,
                },
                candidates: self.candidates.clone(),
                columns: 20,
                wheel: "7",
            };
            function.apply(&mut self.line, &mut self.memory, &around)
        }

        #[track_caller]
        fn gives(&mut self, function: LineFunction, shown: &str) {
            assert_eq!(self.does(function), Outcome::Done);
            assert_eq!(self.line, line(shown));
        }

        #[track_caller]
        fn refuses(&mut self, function: LineFunction) {
            let before = self.line.clone();
            assert_eq!(self.does(function), Outcome::Ding);
            assert_eq!(self.line, before);
        }

        fn kills(&mut self, text: &str) {
            self.memory.push_kill(text);
        }
    }

    #[test]
    fn the_mark_bounds_a_region() {
        let mut bench = bench("one |two three", &[]);
        bench.does(Does::SetMark(None));
        bench.line.cursor = 8;
        bench.gives(Does::ExchangePointAndMark, "one |two three");
        bench.gives(Does::CopyRegionAsKill, "one |two three");
        bench.gives(Does::KillRegion, "one |three");
        bench.gives(Does::Yank, "one two |three");
        bench.does(Does::SetMark(Some(1)));
        bench.gives(Does::KillRegion, "o|three");
    }

    #[test]
    fn a_mark_beyond_the_line_or_inside_a_character_is_moved() {
        let mut bench = bench("caf\u{e9}s|", &[]);
        bench.does(Does::SetMark(None));
        bench.line = line("a\u{20ac}|");
        bench.memory.mark = 2;
        bench.gives(Does::ExchangePointAndMark, "a|\u{20ac}");
        bench.memory.mark = 100;
        bench.gives(Does::ExchangePointAndMark, "a\u{20ac}|");
        bench.does(Does::SetMark(Some(100)));
        bench.gives(Does::KillRegion, "a\u{20ac}|");
    }

    #[test]
    fn kills_go_round_by_yank_pop() {
        let mut bench = bench("<|>", &[]);
        bench.refuses(Does::Yank);
        bench.refuses(Does::YankPop(true));
        for kill in ["1", "22", "333"] {
            bench.kills(kill);
        }
        bench.refuses(Does::YankPop(false));
        bench.gives(Does::Yank, "<333|>");
        bench.gives(Does::YankPop(true), "<22|>");
        bench.gives(Does::YankPop(true), "<1|>");
        bench.gives(Does::YankPop(true), "<333|>");
    }

    #[test]
    fn no_more_than_so_many_kills_are_kept() {
        let mut bench = bench("|", &[]);
        for n in 0..1000 {
            bench.kills(&n.to_string());
        }
        assert_eq!(bench.memory.kills.len(), 64);
    }

    #[test]
    fn what_the_editor_kills_is_found_by_the_difference() {
        for (before, after, killed) in [
            ("one two|", "one |", "two"),
            ("xa|bab", "xa|b", "ba"),
            ("|one two", "| two", "one"),
            ("one |two", "one| ", "two"),
            ("\u{e9}|\u{e8}", "\u{e9}|", "\u{e8}"),
        ] {
            let mut bench = bench(before, &[]);
            bench.does(Does::BeforeKill);
            bench.line = line(after);
            bench.does(Does::AfterKill);
            assert_eq!(bench.memory.kills, [killed], "{before}");
        }
        // Nothing was removed, or something was added.
        for after in ["one|", "one two|"] {
            let mut bench = bench("one|", &[]);
            bench.does(Does::BeforeKill);
            bench.line = line(after);
            bench.does(Does::AfterKill);
            assert!(bench.memory.kills.is_empty());
        }
    }

    #[test]
    fn arguments_of_the_line_before_are_taken() {
        let mut bench = bench("|", &["cp a b", "mv  c d"]);
        bench.gives(Does::YankLastArg(None), "d|");
        bench.gives(Does::YankNthArg(None), "dc|");
        bench.gives(Does::YankNthArg(Some(0)), "dcmv|");
        bench.gives(Does::YankLastArg(Some(-1)), "dcmvd|");
        bench.refuses(Does::YankNthArg(Some(3)));
        bench.refuses(Does::YankNthArg(Some(-4)));
        bench.does(Does::PreviousHistory);
        bench.gives(Does::YankLastArg(None), "mv  c db|");
        bench.does(Does::PreviousHistory);
        bench.refuses(Does::YankLastArg(None));
    }

    #[test]
    fn blanks_at_the_cursor_go() {
        let mut bench = bench("a  | \tb c", &[]);
        bench.gives(Does::DeleteHorizontalSpace, "a|b c");
        bench.refuses(Does::DeleteHorizontalSpace);
    }

    #[test]
    fn a_comment_comes_and_goes() {
        let mut bench = bench("li|ne", &[]);
        bench.gives(Does::InsertComment(None), "#line|");
        bench.gives(Does::InsertComment(None), "##line|");
        bench.settings.push(("comment-begin", "//"));
        bench.gives(Does::InsertComment(Some(1)), "//##line|");
        bench.gives(Does::InsertComment(Some(1)), "##line|");
    }

    #[test]
    fn tildes_become_homes() {
        for (before, after) in [
            ("ls ~|", "ls /home/me|"),
            ("ls ~/x|", "ls /home/me/x|"),
            ("ls ~ann| y", "ls /home/ann| y"),
            ("ls ~a|nn/x", "ls /home/ann|/x"),
            ("--dir=~ann/a|b", "--dir=/home/ann/a|b"),
        ] {
            bench(before, &[]).gives(Does::TildeExpand, after);
        }
        bench("ls x|", &[]).refuses(Does::TildeExpand);
        let refused = bench("~nobody|", &[]).does(Does::TildeExpand);
        assert_eq!(refused, Outcome::Refuses("username 'nobody' not found".to_owned()));
    }

    #[test]
    fn a_character_is_typed_over_another() {
        let mut bench = bench("|\u{e9}b", &[]);
        bench.gives(Does::Overwrite('x'), "x|b");
        bench.gives(Does::Overwrite('\u{e8}'), "x\u{e8}|");
        bench.gives(Does::Overwrite('z'), "x\u{e8}z|");
    }

    #[test]
    fn the_history_is_gone_through_and_the_new_line_is_kept() {
        let mut bench = bench("ne|w", &["one", "two", "three"]);
        bench.gives(Does::PreviousHistory, "three|");
        bench.gives(Does::BeginningOfHistory, "one|");
        bench.refuses(Does::BeginningOfHistory);
        bench.refuses(Does::PreviousHistory);
        bench.gives(Does::NextHistory, "two|");
        bench.line = line("other|");
        bench.gives(Does::RevertLine, "|two");
        bench.gives(Does::EndOfHistory, "three|");
        bench.refuses(Does::EndOfHistory);
        bench.gives(Does::NextHistory, "new|");
        bench.refuses(Does::NextHistory);
        bench.gives(Does::RevertLine, "|");
    }

    #[test]
    fn lines_that_begin_alike_are_found() {
        let mut bench = bench("ls| x", &["ls a", "cd", "ls b"]);
        let backward = || Does::PrefixSearch { backward: true };
        let forward = || Does::PrefixSearch { backward: false };
        bench.gives(backward(), "ls| b");
        bench.gives(backward(), "ls| a");
        bench.refuses(backward());
        bench.gives(forward(), "ls| b");
        bench.gives(forward(), "ls| x");
        bench.refuses(forward());
    }

    #[test]
    fn a_search_finds_while_its_term_is_typed() {
        let step = Does::Search;
        let mut bench = bench("new|", &["make", "cargo test", "cargo bench", "ls"]);
        bench.gives(step(SearchStep::Begin { backward: true }), "new|");
        assert_eq!(bench.memory.search_prompt().unwrap(), "(reverse-i-search)`': ");
        bench.gives(step(SearchStep::Key('c')), "|cargo bench");
        bench.gives(step(SearchStep::Key('a')), "|cargo bench");
        bench.gives(step(SearchStep::Again { backward: true }), "|cargo test");
        bench.refuses(step(SearchStep::Key('x')));
        assert_eq!(bench.memory.search_prompt().unwrap(), "(reverse-i-search)`cax': ");
        bench.gives(step(SearchStep::Rub), "|cargo test");
        bench.gives(step(SearchStep::Again { backward: false }), "|cargo bench");
        assert_eq!(bench.memory.search_prompt().unwrap(), "(forward-i-search)`ca': ");
        bench.refuses(step(SearchStep::Again { backward: false }));
        bench.gives(step(SearchStep::End), "|cargo bench");
        assert_eq!(bench.memory.search_prompt(), None);
        // The history continues from the line that was found.
        bench.gives(Does::NextHistory, "ls|");
        bench.gives(Does::NextHistory, "new|");
        bench.gives(step(SearchStep::Begin { backward: false }), "new|");
        bench.refuses(step(SearchStep::Key('c')));
    }

    #[test]
    fn completions_are_listed_and_inserted() {
        let mut bench = bench("say h|!", &[]);
        bench.refuses(Does::PossibleCompletions);
        bench.refuses(Does::InsertCompletions);
        bench.candidates = (4, ["he", "hello", "help"].map(str::to_owned).into());
        let says = |text: &str| Outcome::Says(text.to_owned());
        assert_eq!(bench.does(Does::PossibleCompletions), says("he\nhello\nhelp"));
        bench.settings.push(("print-completions-horizontally", "on"));
        assert_eq!(bench.does(Does::PossibleCompletions), says("he    hello help"));
        bench.gives(Does::InsertCompletions, "say he hello help|!");
    }

    #[test]
    fn the_wheel_tells_where_it_is() {
        let debug = bench("\u{e9}x|", &[]).does(Does::Debug);
        assert_eq!(
            debug,
            Outcome::Says("ID=7 cursor_input(3) cursor_display(2) term_columns(20)".to_owned())
        );
    }
}
