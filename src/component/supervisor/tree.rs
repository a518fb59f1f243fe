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
//! A child that waits for its restart blocks nobody. Only a shutdown does not wait for its turn.

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

    fn end(&mut self, ending: Ending) {
        self.aim = Aim::End(ending);
        self.inbox.clear();
        self.stop_work(self.children.iter().map(|child| child.key).collect(), Then::End);
    }

    /// A child's session has ended.
    pub(super) fn ended(&mut self, session: SessionId, end: ChildEnd, now: Duration) {
        let Some(child) = self.children.iter_mut().find(|child| child.session() == Some(session)) else {
            return;
        };
        let key = child.key;
        if let ChildEnd::Failed(failure) = &end {
            child.last_failure = Some(failure.clone());
        }
        match child.state {
            State::Running(_) => {
                child.state = State::Down;
                child.exit = Some((session, end));
                self.inbox.push_back(Message::Exit(key));
            }
            State::Stopping { killed, .. } => {
                child.state = State::Down;
                let end = match end {
                    ChildEnd::Failed(failure) if !killed => ChildEnd::Failed(failure),
                    _ => ChildEnd::AskedFor { killed },
                };
                let next = self.next_step_of_stopped(key, now);
                self.tell(key, ChildChange::Ended { session, end, next });
                self.settle_stopped(key);
            }
            State::Starting(_) => {
                let failure = match end {
                    ChildEnd::Failed(failure) => failure.failure,
                    _ => Failure::msg("its session had ended before its start was over"),
                };
                self.start_failed(key, failure, now);
            }
            State::Down | State::Waiting(_) => {}
        }
    }

    /// The function of a child has returned. `sure`: it is known that the `_start` of the session has succeeded.
    pub(super) fn started(&mut self, key: Key, result: Result<SessionId, Failure>, sure: bool, now: Duration) {
        let Some(child) = self.child_mut(key) else { return };
        if !matches!(child.state, State::Starting(_)) {
            return;
        }
        match result {
            Ok(session) if sure => {
                child.state = State::Running(session);
                child.since = now;
                child.restarts += u64::from(child.ran);
                child.ran = true;
                self.tell(key, ChildChange::Started { session });
            }
            Ok(session) => child.state = State::Starting(Some(session)),
            Err(failure) => self.start_failed(key, failure, now),
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

    /// The outer `None`: it has to wait.
    fn go_on_stopping(&mut self, mut left: Vec<Key>, then: Then, now: Duration) -> Option<Option<Action>> {
        let stopping = self.children.iter_mut().find_map(|child| match &mut child.state {
            State::Stopping { session, due, killed } => Some((*session, *due, killed)),
            _ => None,
        });
        if let Some((session, due, killed)) = stopping {
            let late = !*killed && due.is_some_and(|due| due <= now);
            *killed |= late;
            self.work = Some(Work::Stop { left, then });
            return late.then_some(Some(Action::Kill(session)));
        }
        let Some(key) = left.pop() else {
            return Some(self.stopped(then, now));
        };
        self.work = Some(Work::Stop { left, then });
        Some(self.stop_one(key, now))
    }

    fn stop_one(&mut self, key: Key, now: Duration) -> Option<Action> {
        let child = self.child_mut(key)?;
        match child.state {
            State::Running(session) | State::Starting(Some(session)) => {
                let limit = child.spec.limit();
                let killed = limit.is_zero();
                let due = now.checked_add(limit);
                child.state = State::Stopping { session, due, killed };
                Some(match killed {
                    true => Action::Kill(session),
                    false => Action::Ask(session),
                })
            }
            State::Starting(None) => {
                child.state = State::Down;
                self.settle_stopped(key);
                Some(Action::Cancel(key))
            }
            State::Waiting(_) | State::Down => {
                child.state = State::Down;
                if let Some((session, end)) = child.exit.take() {
                    let next = self.next_step_of_stopped(key, now);
                    self.tell(key, ChildChange::Ended { session, end, next });
                }
                self.settle_stopped(key);
                None
            }
            State::Stopping { .. } => None,
        }
    }

    fn next_step_of_stopped(&self, key: Key, now: Duration) -> NextStep {
        let temporary = self
            .child(key)
            .is_none_or(|child| child.spec.restart == Restart::Temporary);
        match &self.work {
            Some(Work::Stop {
                then: Then::Start(_, due),
                ..
            }) if !temporary => NextStep::Restart {
                after: due.saturating_sub(now),
            },
            _ => NextStep::Nothing,
        }
    }

    /// A child is down because its group, or the supervisor, is stopped.
    fn settle_stopped(&mut self, key: Key) {
        let restarts = matches!(
            &self.work,
            Some(Work::Stop {
                then: Then::Start(..),
                ..
            })
        );
        if let Some(child) = self.child_mut(key) {
            child.expected = restarts && child.spec.restart != Restart::Temporary;
            if child.spec.restart == Restart::Temporary {
                self.forget(key);
            }
        }
    }

    fn stopped(&mut self, then: Then, now: Duration) -> Option<Action> {
        match then {
            Then::Start(root, due) if due <= now => self.start_group(root),
            Then::Start(root, due) => {
                if let Some(child) = self.child_mut(root) {
                    child.state = State::Waiting(due);
                }
            }
            Then::Keep => {}
            Then::Remove(key) => self.forget(key),
            Then::End => {
                if let Aim::End(ending) = std::mem::replace(&mut self.aim, Aim::Over) {
                    return Some(Action::End(ending));
                }
            }
        }
        None
    }

    fn go_on_starting(&mut self, mut left: VecDeque<Key>, why: Why) -> Option<Option<Action>> {
        if self
            .children
            .iter()
            .any(|child| matches!(child.state, State::Starting(_)))
        {
            self.work = Some(Work::Start { left, why });
            return None;
        }
        let Some(key) = left.pop_front() else {
            let first = why == Why::First;
            self.up |= first;
            return Some(first.then_some(Action::Up));
        };
        self.work = Some(Work::Start { left, why });
        let child = self.child_mut(key);
        let child = child.filter(|child| matches!(child.state, State::Down | State::Waiting(_)));
        Some(child.map(|child| {
            child.state = State::Starting(None);
            child.exit = None;
            child.expected = true;
            Action::Start(key)
        }))
    }

    fn start_failed(&mut self, key: Key, failure: Failure, now: Duration) {
        let Some(child) = self.child_mut(key) else { return };
        child.state = State::Down;
        let name = child.spec.name.clone();
        // A shutdown may have taken the place of the start.
        let Some(Work::Start { why, .. }) = &self.work else {
            return;
        };
        match *why {
            Why::First => {
                let next = NextStep::GiveUp;
                self.tell(
                    key,
                    ChildChange::StartFailed {
                        failure: failure.clone(),
                        next,
                    },
                );
                self.failed_start = Some((name.clone(), failure.clone()));
                self.end(Ending::Failed(Failure::msg(format!(
                    "its child `{name}` could not be started: {failure}"
                ))));
            }
            Why::Added | Why::Asked => {
                let (added, next) = (*why == Why::Added, NextStep::Nothing);
                self.work = None;
                self.tell(key, ChildChange::StartFailed { failure, next });
                match (added, self.child_mut(key)) {
                    (false, Some(child)) => child.expected = false,
                    _ => self.forget(key),
                }
            }
            Why::Again => {
                self.work = None;
                self.restart(key, &failure.to_string(), now, |next| ChildChange::StartFailed {
                    failure: failure.clone(),
                    next,
                });
            }
        }
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

    /// A child that is down is to run again, by the strategy; or there were too many restarts.
    fn restart(&mut self, key: Key, why: &str, now: Duration, change: impl Fn(NextStep) -> ChildChange) {
        let allowed = self.intensity.allows(now);
        let Some(child) = self.child_mut(key) else { return };
        let name = child.spec.name.clone();
        let wait = match &child.spec.backoff {
            Some(backoff) => backoff.wait(child.in_a_row),
            None => Some(Duration::ZERO),
        };
        child.in_a_row = child.in_a_row.saturating_add(1);
        let Some(after) = wait.filter(|_| allowed) else {
            child.expected = false;
            let attempts = child.in_a_row;
            self.tell(key, change(NextStep::GiveUp));
            let (times, period) = (self.intensity.times(), self.intensity.period());
            let limit = match allowed {
                false => format!("more than {times} restarts within {period:?}"),
                true => format!("{attempts} failures in a row"),
            };
            self.end(Ending::Failed(Failure::msg(format!(
                "{limit}; the last was of its child `{name}`: {why}"
            ))));
            return;
        };
        self.tell(key, change(NextStep::Restart { after }));
        let due = now.saturating_add(after);
        self.stop_work(self.group_of(key), Then::Start(key, due));
    }

    /// The children that restart together with this one, it included, in order.
    fn group_of(&self, key: Key) -> Vec<Key> {
        let keys = self.children.iter().map(|child| child.key);
        match self.strategy {
            Strategy::OneForOne => vec![key],
            Strategy::OneForAll => keys.collect(),
            Strategy::RestForOne => keys.skip_while(|other| *other != key).collect(),
        }
    }

    fn start_group(&mut self, root: Key) {
        self.start_work(self.group_of(root).into(), Why::Again);
    }

    fn start_work(&mut self, left: VecDeque<Key>, why: Why) {
        self.work = Some(Work::Start { left, why });
    }

    fn stop_work(&mut self, left: Vec<Key>, then: Then) {
        self.work = Some(Work::Stop { left, then });
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
