//! What the sessions of a program share, and how results are told.

use crate::program::Lines;
use poe::{CallError, Callback, Delta, Error, Event, PostError, Postback, SessionId, Signal, TimerId};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::time::SystemTime;

pub(super) const TAGS: [&str; 2] = ["one", "two"];
pub(super) const ALIASES: [&str; 3] = ["huey", "dewey", "louie"];
pub(super) const SIGNALS: [&str; 7] = ["HELLO", "TERM", "INT", "UIDESTROY", "IDLE", "ZOMBIE", "DIE"];
pub(super) const RINGS: [&str; 2] = ["ring", "rang"];
pub(super) const STATES: [&str; 3] = ["first", "second", "bare"];
pub(super) const KERNEL: i64 = 8;
/// Half seconds from the beginning of one round to that of the next: longer than any program.
pub(super) const ROUND: i64 = 20_000;
pub(super) const ON_PURPOSE: &str = "on purpose";

pub(super) type Token = u64;

pub(super) const TOLD: Event<Token> = Event::new("told");
pub(super) const TOLD_BACK: Event<Token> = Event::new("told_back");
pub(super) const NOWHERE: Event<Token> = Event::new("nowhere");
pub(super) const ENTERED: Event<Token> = Event::new("entered");
pub(super) const GIVEN: Event<Gift> = Event::new("given");
pub(super) const ASKED: Event<Token, Token> = Event::new("asked");
pub(super) const BACK: Event<(Token, Token)> = Event::new("back");
pub(super) const BACKED: Event<(Token, Token), Token> = Event::new("backed");
pub(super) const HEARD: Event<Signal> = Event::new("heard");

/// A postback on its way into another's heap.
pub(super) struct Gift(pub(super) Back);

pub(super) enum Back {
    Posts(Postback<Token, Token>),
    /// A postback of a machine, which POE cannot weaken (D7).
    Holds(Postback<Token, Token>),
    Calls(Callback<Token, Token, Token>),
}

impl Back {
    pub(super) fn weaken(self) -> Self {
        match self {
            Back::Posts(back) => Back::Posts(back.weaken()),
            Back::Calls(back) => Back::Calls(back.weaken()),
            holds => holds,
        }
    }
}

/// What all sessions of a program share.
pub(super) struct World {
    pub(super) uncaught: bool,
    pub(super) script: RefCell<VecDeque<Lines>>,
    /// By serial number, as far as the program has heard of them.
    pub(super) sessions: RefCell<Vec<Option<SessionId>>>,
    pub(super) timers: RefCell<Vec<Timer>>,
    pub(super) tokens: Cell<Token>,
    pub(super) log: RefCell<Vec<String>>,
    pub(super) began: tokio::time::Instant,
    /// The wall time of the beginning, once a timer has told it.
    pub(super) wall: Cell<Option<SystemTime>>,
    pub(super) in_signal: Cell<u32>,
    /// Inside what a session's end brings about.
    pub(super) in_stop: Cell<u32>,
    /// Inside `_stop`, `_child` or `_parent`.
    pub(super) in_life: Cell<u32>,
    pub(super) in_leave: Cell<u32>,
    pub(super) spawning: Cell<u32>,
    pub(super) firing: Cell<u32>,
    pub(super) stops: Cell<u32>,
    /// The program has sent a DIE.
    pub(super) die_sent: Cell<bool>,
    /// The text of the last failure.
    pub(super) thrown: RefCell<String>,
}

pub(super) struct Timer {
    pub(super) id: TimerId,
    /// Half seconds since the beginning.
    pub(super) due: i64,
    /// Set to an absolute time, which others may have exactly.
    pub(super) exact: bool,
}

/// Raises a counter for as long as it lives.
pub(super) struct Within<'a>(&'a Cell<u32>);

impl<'a> Within<'a> {
    pub(super) fn of(counter: &'a Cell<u32>) -> Self {
        counter.set(counter.get() + 1);
        Within(counter)
    }
}

impl Drop for Within<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

impl World {
    pub(super) fn new(script: Vec<Lines>, uncaught: bool) -> Self {
        World {
            uncaught,
            script: RefCell::new(script.into()),
            sessions: RefCell::default(),
            timers: RefCell::default(),
            tokens: Cell::new(0),
            log: RefCell::default(),
            began: tokio::time::Instant::now(),
            wall: Cell::new(None),
            in_signal: Cell::new(0),
            in_stop: Cell::new(0),
            in_life: Cell::new(0),
            in_leave: Cell::new(0),
            spawning: Cell::new(0),
            firing: Cell::new(0),
            stops: Cell::new(0),
            die_sent: Cell::new(false),
            thrown: RefCell::default(),
        }
    }

    pub(super) fn say(&self, line: String) {
        self.log.borrow_mut().push(line);
    }

    pub(super) fn token(&self) -> Token {
        self.tokens.set(self.tokens.get() + 1);
        self.tokens.get()
    }

    pub(super) fn known(&self, id: SessionId) {
        let mut sessions = self.sessions.borrow_mut();
        let at = id.get() as usize - 1;
        if sessions.len() <= at {
            sessions.resize(at + 1, None);
        }
        sessions[at] = Some(id);
    }

    /// A session by number. None is one that the program has not heard of.
    pub(super) fn who(&self, which: i64, kernel: SessionId) -> Option<SessionId> {
        let sessions = self.sessions.borrow();
        if which == KERNEL || sessions.is_empty() {
            return Some(kernel);
        }
        sessions[which as usize % sessions.len()]
    }

    pub(super) fn now(&self) -> i64 {
        let nanos = self.began.elapsed().as_nanos();
        assert_eq!(nanos % 500_000_000, 0, "time goes in half seconds");
        (nanos / 500_000_000) as i64
    }

    /// The half seconds of a wall time. Not of one that is no half second, as would be a fault.
    pub(super) fn halves(&self, wall: SystemTime) -> i64 {
        let began = self.wall.get().expect("it was asked for");
        let nanos = match wall.duration_since(began) {
            Ok(after) => after.as_nanos() as i64,
            Err(before) => -(before.duration().as_nanos() as i64),
        };
        assert_eq!(nanos % 500_000_000, 0, "timers are due in half seconds");
        nanos / 500_000_000
    }

    pub(super) fn throw(&self) -> String {
        let text = format!("{ON_PURPOSE} {}", self.token());
        self.thrown.replace(text.clone());
        text
    }
}

/// Half seconds.
pub(super) fn halves(n: i64) -> Delta {
    Delta::from(n as f64 / 2.0)
}

/// Where a timer goes. All but absolute ones are due in the second; `k` counts seconds from the one that it is.
pub(super) fn landing(from: i64, k: i64) -> i64 {
    if k == 0 {
        0
    } else {
        from.div_euclid(2) * 2 + 2 * k - from
    }
}

/// The text of a failure, as far as it is the program's own.
pub(super) fn failure(text: &str) -> String {
    let own = |part: &str| {
        let at = part.find(ON_PURPOSE)?;
        let digits = part[at + ON_PURPOSE.len() + 1..]
            .chars()
            .take_while(char::is_ascii_digit);
        Some(format!("{ON_PURPOSE} {}", digits.collect::<String>()))
    };
    text.split("Additional error thrown in handler for previous error:")
        .map(|part| own(part).unwrap_or_else(|| "failure".to_owned()))
        .collect::<Vec<_>>()
        .join(" | ")
}

pub(super) fn number<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "-".to_owned(), |v| v.to_string())
}

pub(super) fn posted<A>(result: Result<(), PostError<A>>) -> String {
    match result {
        Ok(()) => "ok".to_owned(),
        Err(e) if e.is_no_such_session() => "gone".to_owned(),
        Err(e) => e.to_string(),
    }
}

pub(super) fn errno(error: &Error) -> String {
    match error {
        e if e.is_alias_taken() => "taken",
        e if e.is_not_permitted() => "not permitted",
        e if e.is_no_such_session() => "gone",
        e if e.is_no_such_alias() || e.is_no_such_timer() || e.is_no_such_tag() => "none",
        e => return e.to_string(),
    }
    .to_owned()
}

pub(super) fn told(result: Result<(), Error>) -> String {
    result.map_or_else(|e| errno(&e), |()| "ok".to_owned())
}

/// What POE makes of a call: it does not say why there is no result.
pub(super) fn called<A>(result: Result<Token, CallError<A>>) -> String {
    result.map_or_else(|_| "nothing".to_owned(), |token| token.to_string())
}
