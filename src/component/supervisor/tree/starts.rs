//! Starts: of all children in order, of one, and of a group after a failure, as often as the intensity allows.

use super::super::spec::Strategy;
use super::super::{ChildChange, NextStep};
use super::{Action, Ending, Key, State, Then, Tree, Why, Work};
use crate::error::Failure;
use crate::id::SessionId;
use std::collections::VecDeque;
use std::time::Duration;

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
