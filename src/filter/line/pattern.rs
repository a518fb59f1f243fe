//! A terminator given as a pattern, searched for in a stream that arrives in pieces.
//!
//! A search in a buffer can be wrong about a stream: `\r\n?` finds `\r`, and then the `\n` comes. So the pattern is run
//! as an automaton, one byte after the other and never twice, which also tells whether a later byte could change
//! the result. `Line` drives it with a [`Walk`], one for each line.

use super::search::Found;
use super::{Line, LineRecord};
use crate::filter::FilterError;
use regex_automata::dfa::{Automaton, StartKind, dense};
use regex_automata::nfa::thompson::{self, WhichCaptures};
use regex_automata::util::primitives::StateID;
use regex_automata::util::syntax;
use regex_automata::{Anchored, Input, MatchKind};

/// The longest terminator in bytes, and how far the search looks ahead for its end.
///
/// Without this limit, a peer could make a filter keep a line for ever that is complete except for its newline.
pub(super) const MAX_TERMINATOR: usize = 4096;

/// Terminators are small; a pattern that needs more memory than this is a mistake.
const MAX_AUTOMATON: usize = 2 << 20;

/// A compiled terminator; immutable, so that filters share it.
pub(super) struct Pattern {
    source: String,
    /// Finds the leftmost match's end. It does not find the start, hence the second automaton.
    forward: dense::DFA<Vec<u32>>,
    /// Run backwards from that end, finds the match's start.
    backward: dense::DFA<Vec<u32>>,
    start: StateID,
}

/// One search, which begins at the beginning of a line and may pause at the end of any read.
#[derive(Clone)]
pub(super) struct Walk {
    state: StateID,
    /// Bytes seen, counted from where the search began.
    walked: usize,
    /// The end of the best match that a later byte has confirmed.
    end: Option<usize>,
    /// Where the search takes the best match so far.
    deadline: usize,
}

/// The state of a [`Walk`] when its bytes are used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// No match so far.
    Nothing,
    /// The match that ends here is final.
    Settled(usize),
    /// A match ends here, but later bytes may change it.
    Open(usize),
    /// The deadline passed without a match.
    TooFar,
}

impl Pattern {
    pub(super) fn new(source: &str) -> Result<Self, FilterError> {
        let compile = |reverse| {
            thompson::Compiler::new()
                // Bytes, not characters: the filter cuts before it is known whether the stream is text.
                .syntax(syntax::Config::new().unicode(false).utf8(false))
                .configure(
                    thompson::Config::new()
                        .utf8(false)
                        .reverse(reverse)
                        .which_captures(WhichCaptures::None)
                        .nfa_size_limit(Some(MAX_AUTOMATON)),
                )
                .build(source)
                .map_err(|cause| FilterError::pattern("the pattern does not compile", Some(cause.into())))
        };
        let (ahead, back) = (compile(false)?, compile(true)?);
        if ahead.has_empty() {
            return Err(FilterError::pattern(
                "a pattern that matches the empty string cannot end a line",
                None,
            ));
        }
        if !ahead.look_set_any().is_empty() {
            // An end of text or a word boundary would be at the end of any read.
            return Err(FilterError::pattern(
                "a line terminator cannot hold anchors or word boundaries",
                None,
            ));
        }
        let determinize = |nfa, start_kind, match_kind| {
            let config = dense::Config::new()
                .start_kind(start_kind)
                .match_kind(match_kind)
                .dfa_size_limit(Some(MAX_AUTOMATON))
                .determinize_size_limit(Some(MAX_AUTOMATON));
            dense::Builder::new()
                .configure(config)
                .build_from_nfa(nfa)
                .map_err(|cause| FilterError::pattern("the pattern is too large", Some(cause.into())))
        };
        let forward = determinize(&ahead, StartKind::Unanchored, MatchKind::LeftmostFirst)?;
        let backward = determinize(&back, StartKind::Anchored, MatchKind::All)?;
        let start = forward
            .universal_start_state(Anchored::No)
            .ok_or_else(|| FilterError::pattern("a line terminator cannot hold anchors or word boundaries", None))?;
        Ok(Pattern {
            source: source.to_owned(),
            forward,
            backward,
            start,
        })
    }

    pub(super) fn as_str(&self) -> &str {
        &self.source
    }

    /// Begins a search. After `max_line` bytes and the length of a terminator the line is too long.
    pub(super) fn walk(&self, max_line: usize) -> Walk {
        Walk {
            state: self.start,
            walked: 0,
            end: None,
            deadline: max_line.saturating_add(MAX_TERMINATOR),
        }
    }

    /// Walks over the bytes that follow those of the last call.
    pub(super) fn advance(&self, walk: &mut Walk, bytes: &[u8]) -> Progress {
        let dfa = &self.forward;
        let mut left = bytes;
        // The state of a dense automaton reports a match one byte late: arriving in a match state means that a match
        // ended *before* the byte that led there.
        while let Some((&byte, rest)) = left.split_first() {
            if walk.walked >= walk.deadline {
                break;
            }
            let state = dfa.next_state(walk.state, byte);
            let mut needles: &[u8] = &[];
            if dfa.is_special_state(state) {
                if dfa.is_dead_state(state) {
                    break;
                } else if !dfa.is_match_state(state) {
                    needles = dfa.accelerator(state);
                } else {
                    if walk.end.is_none() {
                        walk.deadline = walk.walked.saturating_add(MAX_TERMINATOR);
                    }
                    walk.end = Some(walk.walked);
                }
            }
            walk.state = state;
            walk.walked += 1;
            left = rest;
            if !needles.is_empty() {
                // All bytes but these few lead back to the same state.
                let room = left.len().min(walk.deadline - walk.walked);
                let skip = find_any(needles, &left[..room]).unwrap_or(room);
                walk.walked += skip;
                left = &left[skip..];
            }
        }
        // A match that ends here has no later byte yet that could report it.
        let paused = left.is_empty() || walk.walked >= walk.deadline;
        let ends_here = paused && dfa.is_match_state(dfa.next_eoi_state(walk.state));
        let stopped = !left.is_empty() || walk.walked >= walk.deadline;
        match if ends_here { Some(walk.walked) } else { walk.end } {
            Some(end) if stopped || self.is_closed(walk.state) => Progress::Settled(end),
            Some(end) => Progress::Open(end),
            None if stopped => Progress::TooFar,
            None => Progress::Nothing,
        }
    }

    /// Whether no later bytes could make another match of the bytes so far.
    fn is_closed(&self, state: StateID) -> bool {
        let dfa = &self.forward;
        let mut last = None;
        (0..=u8::MAX).all(|byte| {
            let next = dfa.next_state(state, byte);
            // Neighbouring bytes mostly lead to the same state, which need not be examined again.
            dfa.is_dead_state(next)
                || last.replace(next) == Some(next)
                || (0..=u8::MAX).all(|byte| dfa.is_dead_state(dfa.next_state(next, byte)))
        })
    }

    /// Returns where the match that ends with `line` begins.
    pub(super) fn start_of(&self, line: &[u8]) -> usize {
        match self.backward.try_search_rev(&Input::new(line).anchored(Anchored::Yes)) {
            Ok(Some(found)) => found.offset(),
            // Both automata come from one pattern, and neither has a state that gives up.
            Ok(None) | Err(_) => line.len(),
        }
    }

    /// Whether a match that begins after `line` certainly begins there: nothing in `line` could be the start of an
    /// earlier one.
    ///
    /// May return false although a closer examination would return true; then the line is yielded a little later.
    pub(super) fn starts_fresh(&self, line: &[u8]) -> bool {
        let dfa = &self.forward;
        line.iter().fold(self.start, |state, &byte| dfa.next_state(state, byte)) == self.start
    }
}

impl Walk {
    pub(super) fn walked(&self) -> usize {
        self.walked
    }

    /// Removes the deadline for a line that is too long already: now only its end matters.
    pub(super) fn discard(&mut self) {
        if self.end.is_none() {
            self.deadline = usize::MAX;
        }
    }
}

fn find_any(needles: &[u8], bytes: &[u8]) -> Option<usize> {
    match *needles {
        [a] => memchr::memchr(a, bytes),
        [a, b] => memchr::memchr2(a, b, bytes),
        [a, b, c] => memchr::memchr3(a, b, c, bytes),
        _ => Some(0),
    }
}

/// A pattern's search. Its positions count from where it began, the buffer's from its present front.
pub(super) struct Search {
    pub(super) walk: Walk,
    /// Bytes seen by the walk that have left the buffer since.
    dropped: usize,
    /// The line was yielded already; only the end of its terminator is still open.
    given: bool,
    /// The end of a match whose start was found to be open, so that it is not examined again.
    held: usize,
    /// Where the open match began. Another match with that start is open, too.
    open_from: usize,
    /// Steps spent on finding the starts of open matches. They are limited to a multiple of the bytes walked, so
    /// that the work stays linear in the input; beyond it a line is yielded a little later.
    pub(super) spent: usize,
}

/// Steps per byte walked that may be spent on yielding lines early.
const STEPS: usize = 16;

impl Search {
    fn new(pattern: &Pattern, max_length: usize) -> Self {
        Search {
            walk: pattern.walk(max_length),
            dropped: 0,
            given: false,
            held: 0,
            open_from: usize::MAX,
            spent: 0,
        }
    }

    /// `count` bytes at the front of a line that is too long have left the buffer.
    pub(super) fn discard(&mut self, count: usize) {
        self.dropped += count;
        self.walk.discard();
    }
}

impl<T: LineRecord> Line<T> {
    /// Searches for the end of the line at the front of the buffer.
    pub(super) fn find_match(&mut self, pattern: &Pattern) -> Found {
        loop {
            let max_length = self.limits.max_length;
            let search = self.search.get_or_insert_with(|| Search::new(pattern, max_length));
            let bytes = self.buffer.as_slice();
            let seen = search.walk.walked() - search.dropped;
            match pattern.advance(&mut search.walk, &bytes[seen..]) {
                Progress::Settled(end) if search.given => {
                    self.buffer.consume(end - search.dropped);
                    self.search = None;
                }
                Progress::Settled(end) => {
                    let rest = end - search.dropped;
                    // The beginning of a dropped line is gone, and not needed.
                    let line = if self.discarding {
                        0
                    } else {
                        pattern.start_of(&bytes[..rest])
                    };
                    self.search = None;
                    return Found::Line { line, rest };
                }
                Progress::Open(end) if search.given || self.discarding => {
                    // A match is only ever replaced by one that ends later.
                    self.buffer.consume(end - search.dropped);
                    search.dropped = end;
                    return Found::More { content: 0 };
                }
                Progress::Open(end) if search.held == end => return Found::More { content: 0 },
                Progress::Open(end) => {
                    search.held = end;
                    let spent = search.spent.saturating_add(end);
                    if spent > search.walk.walked().saturating_mul(STEPS) {
                        return Found::More { content: 0 };
                    }
                    search.spent = spent;
                    let line = pattern.start_of(&bytes[..end]);
                    if line == search.open_from || !pattern.starts_fresh(&bytes[..line]) {
                        search.open_from = line;
                        return Found::More { content: 0 };
                    }
                    search.given = true;
                    search.dropped = end;
                    return Found::Line { line, rest: end };
                }
                Progress::Nothing if !self.discarding => return Found::More { content: 0 },
                Progress::Nothing | Progress::TooFar => {
                    return Found::More {
                        content: search.walk.walked() - search.dropped,
                    };
                }
            }
        }
    }
}
