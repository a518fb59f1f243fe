//! State that functions share: killed texts, the mark, the position in the history, and a search.

use super::line::{Around, Line, Outcome, SearchStep};
use std::collections::VecDeque;
use std::ops::Range;

/// The number of killed texts that are kept.
const KILLS: usize = 64;

/// State that is kept from one function to the next.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// The newest is last.
    pub(super) kills: VecDeque<String>,
    pub(super) mark: usize,
    /// The line before a kill.
    before_kill: Option<Line>,
    /// Where the last yank is.
    yanked: Range<usize>,
    /// The line of the history that is shown; `None` is the new line.
    at: Option<usize>,
    /// The new line, while a line of the history is shown.
    held: String,
    /// Set during a search.
    search: Option<Search>,
}

#[derive(Debug)]
struct Search {
    term: String,
    backward: bool,
    at: usize,
}

impl Memory {
    /// Starts another line; kills and the mark are kept.
    pub(super) fn begin_line(&mut self) {
        self.at = None;
        self.held.clear();
        self.search = None;
        self.before_kill = None;
    }

    /// Returns the text shown in place of the prompt during a search.
    pub(super) fn search_prompt(&self) -> Option<String> {
        let search = self.search.as_ref()?;
        let direction = if search.backward { "reverse" } else { "forward" };
        Some(format!("({direction}-i-search)`{}': ", search.term))
    }

    pub(super) fn push_kill(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        if self.kills.len() == KILLS {
            self.kills.pop_front();
        }
        self.kills.push_back(text.to_owned());
    }

    pub(super) fn set_mark(&mut self, line: &Line, count: Option<i64>) -> Outcome {
        self.mark = match count.map(usize::try_from) {
            Some(Ok(count)) if count > 0 => {
                let mut places = line.text.char_indices().map(|(at, _)| at);
                places.nth(count).unwrap_or(line.text.len())
            }
            _ => line.cursor,
        };
        Outcome::Done
    }

    pub(super) fn exchange_point_and_mark(&mut self, line: &mut Line) -> Outcome {
        let mark = line.place(self.mark);
        self.mark = std::mem::replace(&mut line.cursor, mark);
        Outcome::Done
    }

    pub(super) fn copy_region(&mut self, line: &Line) -> Outcome {
        self.push_kill(&line.text[self.region(line)]);
        Outcome::Done
    }

    pub(super) fn kill_region(&mut self, line: &mut Line) -> Outcome {
        self.copy_region(line);
        line.replace(self.region(line), "");
        Outcome::Done
    }

    fn region(&self, line: &Line) -> Range<usize> {
        let mark = line.place(self.mark);
        mark.min(line.cursor)..mark.max(line.cursor)
    }

    pub(super) fn before_kill(&mut self, line: &Line) -> Outcome {
        self.before_kill = Some(line.clone());
        Outcome::Done
    }

    pub(super) fn after_kill(&mut self, line: &Line) -> Outcome {
        let Some(before) = self.before_kill.take() else {
            return Outcome::Done;
        };
        let Some(gone) = before.text.len().checked_sub(line.text.len()) else {
            return Outcome::Done;
        };
        // The removed text was at the cursor. If the editor has moved the cursor, as vi's editor does at the end of a
        // line, the first difference tells the position.
        let same = before.text.bytes().zip(line.text.bytes());
        let differs = same.take_while(|(a, b)| a == b).count();
        for start in [line.cursor, before.place(differs)] {
            let mut without = before.text.clone();
            if let Some(killed) = before.text.get(start..start + gone) {
                without.replace_range(start..start + gone, "");
                if without == line.text {
                    self.push_kill(killed);
                    break;
                }
            }
        }
        Outcome::Done
    }

    pub(super) fn yank(&mut self, line: &mut Line) -> Outcome {
        let Some(killed) = self.kills.back() else {
            return Outcome::Ding;
        };
        self.yanked = line.cursor..line.cursor + killed.len();
        line.insert(killed);
        Outcome::Done
    }

    pub(super) fn yank_pop(&mut self, line: &mut Line, yanked: bool) -> Outcome {
        if !yanked || self.kills.is_empty() || line.text.get(self.yanked.clone()).is_none() {
            return Outcome::Ding;
        }
        self.kills.rotate_right(1);
        line.replace(self.yanked.clone(), "");
        self.yank(line)
    }

    /// Returns an argument of the previous line; the last one by default.
    pub(super) fn yank_arg(&mut self, line: &mut Line, around: &Around<'_>, nth: Option<i64>) -> Outcome {
        let before = self.index(around).checked_sub(1);
        let Some(before) = before.and_then(|at| around.history.get(at)) else {
            return Outcome::Ding;
        };
        let words: Vec<&str> = before.split_whitespace().collect();
        let from_the_end = |n: i64| words.len().checked_sub(usize::try_from(n.unsigned_abs()).ok()?);
        let nth = match nth {
            None => from_the_end(1),
            Some(nth) if nth < 0 => from_the_end(nth),
            Some(nth) => usize::try_from(nth).ok(),
        };
        let Some(word) = nth.and_then(|nth| words.get(nth)) else {
            return Outcome::Ding;
        };
        line.insert(word);
        Outcome::Done
    }

    /// Returns the position in the history; the new line comes after its end.
    fn index(&self, around: &Around<'_>) -> usize {
        let end = around.history.len();
        self.at.map_or(end, |at| at.min(end))
    }

    pub(super) fn revert_line(&self, line: &mut Line, around: &Around<'_>) -> Outcome {
        let original = self.at.and_then(|at| around.history.get(at));
        line.set(original.map_or("", String::as_str));
        line.cursor = 0;
        Outcome::Done
    }

    pub(super) fn previous_history(&mut self, line: &mut Line, around: &Around<'_>) -> Outcome {
        match self.index(around).checked_sub(1) {
            Some(to) => self.go(line, around, to),
            None => Outcome::Ding,
        }
    }

    pub(super) fn next_history(&mut self, line: &mut Line, around: &Around<'_>) -> Outcome {
        match self.index(around) + 1 {
            to if to > around.history.len() => Outcome::Ding,
            to => self.go(line, around, to),
        }
    }

    pub(super) fn beginning_of_history(&mut self, line: &mut Line, around: &Around<'_>) -> Outcome {
        match self.index(around) {
            0 => Outcome::Ding,
            _ => self.go(line, around, 0),
        }
    }

    pub(super) fn end_of_history(&mut self, line: &mut Line, around: &Around<'_>) -> Outcome {
        match around.history.len().checked_sub(1) {
            Some(last) if last != self.index(around) => self.go(line, around, last),
            _ => Outcome::Ding,
        }
    }

    fn go(&mut self, line: &mut Line, around: &Around<'_>, to: usize) -> Outcome {
        if self.at.is_none() {
            self.held.clone_from(&line.text);
        }
        match around.history.get(to) {
            Some(text) => {
                self.at = Some(to);
                line.set(text);
            }
            None => {
                self.at = None;
                line.set(&self.held);
            }
        }
        Outcome::Done
    }

    pub(super) fn prefix_search(&mut self, line: &mut Line, around: &Around<'_>, backward: bool) -> Outcome {
        let prefix = line.before().to_owned();
        let from = self.index(around);
        let is_like = |at: &usize| {
            let text = around.history.get(*at).unwrap_or(&self.held);
            text.starts_with(&prefix)
        };
        let found = if backward {
            (0..from).rev().find(is_like)
        } else {
            (from + 1..=around.history.len()).find(is_like)
        };
        let Some(to) = found else { return Outcome::Ding };
        self.go(line, around, to);
        line.cursor = prefix.len();
        Outcome::Done
    }

    pub(super) fn search_step(&mut self, line: &mut Line, around: &Around<'_>, step: &SearchStep) -> Outcome {
        let end = around.history.len();
        let mut from = self.search.as_ref().map_or(end, |search| search.at);
        match (step, &mut self.search) {
            (SearchStep::Begin { backward }, search) => {
                let at = match self.at {
                    Some(at) => at.min(end),
                    None => end,
                };
                *search = Some(Search {
                    term: String::new(),
                    backward: *backward,
                    at: if *backward { at.saturating_sub(1) } else { at },
                });
                return Outcome::Done;
            }
            (SearchStep::End, search) => {
                *search = None;
                return Outcome::Done;
            }
            (SearchStep::Key(c), Some(search)) => search.term.push(*c),
            (SearchStep::Rub, Some(search)) => {
                return match search.term.pop() {
                    Some(_) => Outcome::Done,
                    None => Outcome::Ding,
                };
            }
            (SearchStep::Again { backward }, Some(search)) => {
                search.backward = *backward;
                let next = if *backward {
                    from.checked_sub(1)
                } else {
                    Some(from + 1).filter(|at| *at < end)
                };
                match next {
                    Some(next) => from = next,
                    None => return Outcome::Ding,
                }
            }
            (_, None) => return Outcome::Ding,
        }
        let Some(search) = &mut self.search else {
            return Outcome::Ding;
        };
        let fits = |at: &usize| around.history[*at].contains(&search.term);
        let found = if search.backward {
            (0..end.min(from.saturating_add(1))).rev().find(fits)
        } else {
            (from..end).find(fits)
        };
        let Some(at) = found else { return Outcome::Ding };
        search.at = at;
        self.go(line, around, at);
        line.cursor = 0;
        Outcome::Done
    }
}
