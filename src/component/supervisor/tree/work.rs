//! The two kinds of work: starts (of all children in order, of one, and of a group after a failure, as often as the intensity allows) and
//! stops (one child after the other, the last started first; it is killed when its time is over).

use super::super::spec::{Restart, Strategy};
use super::super::{ChildChange, ChildEnd, NextStep};
use super::{Action, Aim, Ending, Key, Message, State, Then, Tree, Why, Work};
use crate::error::Failure;
use crate::id::SessionId;
use std::collections::VecDeque;
use std::time::Duration;

/// Starts.
impl Tree {
    /// The function of a child has returned. `sure`: it is known that the `_start` of the session has succeeded.
    pub(in crate::component::supervisor) fn started(
        &mut self,
        key: Key,
        result: Result<SessionId, Failure>,
        sure: bool,
        now: Duration,
    ) {
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

    pub(super) fn go_on_starting(&mut self, mut left: VecDeque<Key>, why: Why) -> Option<Option<Action>> {
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

    pub(super) fn start_failed(&mut self, key: Key, failure: Failure, now: Duration) {
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

    /// A child that is down is to run again, by the strategy; or there were too many restarts.
    pub(super) fn restart(&mut self, key: Key, why: &str, now: Duration, change: impl Fn(NextStep) -> ChildChange) {
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

    pub(super) fn start_group(&mut self, root: Key) {
        self.start_work(self.group_of(root).into(), Why::Again);
    }

    pub(super) fn start_work(&mut self, left: VecDeque<Key>, why: Why) {
        self.work = Some(Work::Start { left, why });
    }
}

/// Stops.
impl Tree {
    /// A child's session has ended.
    pub(in crate::component::supervisor) fn ended(&mut self, session: SessionId, end: ChildEnd, now: Duration) {
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

    pub(super) fn end(&mut self, ending: Ending) {
        self.aim = Aim::End(ending);
        self.inbox.clear();
        self.stop_work(self.children.iter().map(|child| child.key).collect(), Then::End);
    }

    /// The outer `None`: it has to wait.
    pub(super) fn go_on_stopping(&mut self, mut left: Vec<Key>, then: Then, now: Duration) -> Option<Option<Action>> {
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

    pub(super) fn stop_work(&mut self, left: Vec<Key>, then: Then) {
        self.work = Some(Work::Stop { left, then });
    }
}
