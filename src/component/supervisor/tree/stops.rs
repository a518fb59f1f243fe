//! Stops: children end one after the other, the last started first, and are killed when their time is over.

use super::super::spec::Restart;
use super::super::{ChildChange, ChildEnd, NextStep};
use super::{Action, Aim, Ending, Key, Message, State, Then, Tree, Work};
use crate::error::Failure;
use crate::id::SessionId;
use std::time::Duration;

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
