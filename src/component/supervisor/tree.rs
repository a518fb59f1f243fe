//! What a supervisor does next: its children, their states, and the one thing that is under way. It touches no kernel.
//!
//! A supervisor does one thing at a time, like OTP's. What happens meanwhile waits in `inbox`:
//!
//! | work | ends when | then |
//! |---|---|---|
//! | `Stop` | each child in it, the last started first, has ended | the group starts, or waits; a child is removed; the supervisor ends |
//! | `Start` | each child in it, in order, runs | nothing; after a failed start the supervisor gives up, or restarts |
//! | none | – | a child whose wait is over starts, with its group; the next message is handled |
//!
//! A child that waits for its restart blocks nobody. Only a shutdown does not wait for its turn. `work.rs` carries out both kinds.

mod work;

use super::spec::{ChildSpec, Restart, Strategy};
use super::{ChildChange, ChildEnd, ChildFailure, NextStep};
use crate::component::backoff::Intensity;
use crate::error::Failure;
use crate::id::SessionId;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

/// Identifies a child for as long as it is the supervisor's.
pub(super) type Key = u64;

pub(super) struct Tree {
    strategy: Strategy,
    intensity: Intensity,
    /// In the order in which they are started.
    children: Vec<Child>,
    inbox: VecDeque<Message>,
    work: Option<Work>,
    aim: Aim,
    /// What is to be told before anything else is done.
    told: VecDeque<Action>,
    /// All children were started.
    up: bool,
    /// The name and failure of the child that kept the supervisor from starting.
    failed_start: Option<(Rc<str>, Failure)>,
    next_key: Key,
}

pub(super) struct Child {
    pub(super) key: Key,
    pub(super) spec: Rc<ChildSpec>,
    pub(super) state: State,
    /// How often it was restarted.
    pub(super) restarts: u64,
    /// Failures without a long life in between, for the backoff.
    in_a_row: u32,
    /// It has run, so the next start is a restart.
    ran: bool,
    /// When it was started last.
    since: Duration,
    /// Its session and how it ended, until that was handled.
    exit: Option<(SessionId, ChildEnd)>,
    /// It is to run, if not now then later: posts to its alias are kept.
    pub(super) expected: bool,
    /// The last failure, for the text of the supervisor's.
    pub(super) last_failure: Option<ChildFailure>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Down,
    /// Until this time, then it starts, and its group with it.
    Waiting(Duration),
    /// `None` as long as there is no session; then until its `_start` is known to have succeeded.
    Starting(Option<SessionId>),
    Running(SessionId),
    Stopping {
        session: SessionId,
        /// When it is killed; `None` if never.
        due: Option<Duration>,
        killed: bool,
    },
}

enum Message {
    Exit(Key),
    Add(Key),
    Start(Key),
    Stop(Key),
    Remove(Key),
}

enum Work {
    Stop { left: Vec<Key>, then: Then },
    Start { left: VecDeque<Key>, why: Why },
}

#[derive(Clone, Copy)]
enum Then {
    /// Start the group of this child, at that time.
    Start(Key, Duration),
    Keep,
    Remove(Key),
    End,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Why {
    /// The supervisor itself starts.
    First,
    Added,
    /// A program asked for it.
    Asked,
    Again,
}

enum Aim {
    Run,
    End(Ending),
    Over,
}

#[derive(Clone, Debug)]
pub(super) enum Ending {
    Asked,
    Failed(Failure),
}

/// What the supervisor's session is to do now.
#[derive(Debug)]
pub(super) enum Action {
    /// Report back with `started`.
    Start(Key),
    /// Give up the preparation of a start.
    Cancel(Key),
    Ask(SessionId),
    Kill(SessionId),
    Tell {
        child: Rc<str>,
        restarts: u64,
        change: ChildChange,
    },
    /// All children were started, for the first time.
    Up,
    /// Every child has ended.
    End(Ending),
}

impl Tree {
    pub(super) fn new(strategy: Strategy, intensity: Intensity) -> Self {
        Tree {
            strategy,
            intensity,
            children: Vec::new(),
            inbox: VecDeque::new(),
            work: None,
            aim: Aim::Run,
            told: VecDeque::new(),
            up: false,
            failed_start: None,
            next_key: 1,
        }
    }

    /// Adds a child that is down. The caller has checked its name.
    pub(super) fn push(&mut self, spec: ChildSpec) -> Key {
        let key = self.next_key;
        self.next_key += 1;
        self.children.push(Child {
            key,
            spec: Rc::new(spec),
            state: State::Down,
            restarts: 0,
            in_a_row: 0,
            ran: false,
            since: Duration::ZERO,
            exit: None,
            expected: true,
            last_failure: None,
        });
        key
    }

    pub(super) fn begin(&mut self) {
        self.start_work(self.children.iter().map(|child| child.key).collect(), Why::First);
    }

    pub(super) fn children(&self) -> &[Child] {
        &self.children
    }

    pub(super) fn child(&self, key: Key) -> Option<&Child> {
        self.children.iter().find(|child| child.key == key)
    }

    fn child_mut(&mut self, key: Key) -> Option<&mut Child> {
        self.children.iter_mut().find(|child| child.key == key)
    }

    pub(super) fn named(&self, name: &str) -> Option<&Child> {
        self.children.iter().find(|child| *child.spec.name == *name)
    }

    /// The child that is, or was a moment ago, that session.
    pub(super) fn of_session(&self, session: SessionId) -> Option<&Child> {
        self.children.iter().find(|child| child.session() == Some(session))
    }

    pub(super) fn is_up(&self) -> bool {
        self.up
    }

    pub(super) fn is_ending(&self) -> bool {
        !matches!(self.aim, Aim::Run)
    }

    /// The child that kept the supervisor from starting.
    pub(super) fn failed_start(&self) -> Option<(Rc<str>, Failure)> {
        self.failed_start.clone()
    }

    /// A spec was added while the supervisor runs.
    pub(super) fn add(&mut self, spec: ChildSpec) {
        let key = self.push(spec);
        self.inbox.push_back(Message::Add(key));
    }

    pub(super) fn start(&mut self, key: Key) {
        self.inbox.push_back(Message::Start(key));
    }

    pub(super) fn stop(&mut self, key: Key) {
        self.inbox.push_back(Message::Stop(key));
    }

    pub(super) fn remove(&mut self, key: Key) {
        self.inbox.push_back(Message::Remove(key));
    }

    /// Ends all children and then the supervisor.
    pub(super) fn shut_down(&mut self) {
        if !self.is_ending() {
            self.end(Ending::Asked);
        }
    }

    /// What comes next; `None`: wait until something happens, or until [`next_due`](Self::next_due).
    pub(super) fn next(&mut self, now: Duration) -> Option<Action> {
        loop {
            if let Some(told) = self.told.pop_front() {
                return Some(told);
            }
            let action = match self.work.take() {
                Some(Work::Stop { left, then }) => self.go_on_stopping(left, then, now)?,
                Some(Work::Start { left, why }) => self.go_on_starting(left, why)?,
                None => {
                    if matches!(self.aim, Aim::Over) {
                        return None;
                    }
                    if let Some(message) = self.inbox.pop_front() {
                        self.handle(message, now);
                    } else {
                        let due = self.children.iter().filter_map(|child| match child.state {
                            State::Waiting(due) if due <= now => Some((due, child.key)),
                            _ => None,
                        });
                        let (_, key) = due.min()?;
                        self.start_group(key);
                    }
                    None
                }
            };
            if action.is_some() {
                return action;
            }
        }
    }

    /// When [`next`](Self::next) has something to do without anything else happening.
    ///
    /// A wait that is over while something is under way has to wait for its end: a time in the past would be asked for again and
    /// again.
    pub(super) fn next_due(&self) -> Option<Duration> {
        let dues = self.children.iter().filter_map(|child| match child.state {
            State::Waiting(due) if self.work.is_none() => Some(due),
            State::Stopping { due, killed: false, .. } => due,
            _ => None,
        });
        dues.min()
    }

    fn handle(&mut self, message: Message, now: Duration) {
        match message {
            Message::Exit(key) => {
                let period = self.intensity.period();
                let Some(child) = self.child_mut(key) else { return };
                // Gone if its group was stopped meanwhile.
                let Some((session, end)) = child.exit.take() else {
                    return;
                };
                let returns = match (child.spec.restart, &end) {
                    (Restart::Permanent, _) | (Restart::Transient, ChildEnd::Failed(_)) => true,
                    (Restart::Transient | Restart::Temporary, _) => false,
                };
                if !returns {
                    child.expected = false;
                    let next = NextStep::Nothing;
                    let temporary = child.spec.restart == Restart::Temporary;
                    self.tell(key, ChildChange::Ended { session, end, next });
                    if temporary {
                        self.forget(key);
                    }
                    return;
                }
                if now.saturating_sub(child.since) >= period {
                    child.in_a_row = 0;
                }
                let why = end.to_string();
                self.restart(key, &why, now, |next| ChildChange::Ended {
                    session,
                    end: end.clone(),
                    next,
                });
            }
            Message::Add(key) => self.start_work([key].into(), Why::Added),
            Message::Start(key) => self.start_work([key].into(), Why::Asked),
            Message::Stop(key) => self.stop_work(vec![key], Then::Keep),
            Message::Remove(key) => self.stop_work(vec![key], Then::Remove(key)),
        }
    }

    fn forget(&mut self, key: Key) {
        self.children.retain(|child| child.key != key);
    }

    fn tell(&mut self, key: Key, change: ChildChange) {
        let Some(child) = self.child(key) else { return };
        let (name, restarts) = (child.spec.name.clone(), child.restarts);
        self.told.push_back(Action::Tell {
            child: name,
            restarts,
            change,
        });
    }
}

impl Child {
    /// Whether it has run before. (`restarts` counts a start when it has succeeded.)
    pub(super) fn has_run(&self) -> bool {
        self.ran
    }

    pub(super) fn session(&self) -> Option<SessionId> {
        match self.state {
            State::Running(session) | State::Stopping { session, .. } | State::Starting(Some(session)) => Some(session),
            State::Starting(None) | State::Waiting(_) | State::Down => None,
        }
    }
}
