//! What is rare and kept in any case: failures, dead letters, what supervisors report.

use poe::SessionId;
use poe::component::{ChildChange, ChildEnd, ChildReport, NextStep};
use serde::Serialize;
use std::collections::{HashMap, VecDeque};
use std::panic::Location;
use std::time::{Duration, Instant, SystemTime};

/// Entries that are kept.
const KEPT: usize = 1000;
/// The bytes of an entry's text.
const TEXT: usize = 2000;
/// Children of supervisors whose state is kept.
const CHILDREN: usize = 4096;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    Failure,
    DeadLetter,
    Started,
    Ended,
    GivenUp,
}

#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) time: SystemTime,
    pub(crate) kind: Kind,
    pub(crate) session: Option<SessionId>,
    /// The event, or the child.
    pub(crate) subject: String,
    pub(crate) text: String,
    pub(crate) place: Option<&'static Location<'static>>,
}

/// A supervisor's child, as it last reported.
#[derive(Clone, Debug)]
pub(crate) struct Child {
    pub(crate) since: Instant,
    /// `None` while it is down.
    pub(crate) session: Option<SessionId>,
    /// The session that it was before.
    pub(crate) before: Option<SessionId>,
    pub(crate) restarts: u64,
    /// Why it is down, or was before its last start.
    pub(crate) failure: Option<String>,
    /// It will be started again after that time from `since`.
    pub(crate) restart: Option<Duration>,
}

#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Totals {
    pub(crate) failures: u64,
    pub(crate) dead_letters: u64,
    pub(crate) restarts: u64,
}

#[derive(Default)]
pub(crate) struct Log {
    pub(crate) entries: VecDeque<Entry>,
    /// How many there ever were.
    pub(crate) count: u64,
    pub(crate) totals: Totals,
    /// By supervisor and name.
    pub(crate) children: HashMap<(SessionId, String), Child>,
    /// When sessions last failed.
    pub(crate) failed: VecDeque<(SessionId, Instant)>,
}

impl Log {
    pub(crate) fn push(&mut self, mut entry: Entry) {
        match entry.kind {
            Kind::Failure => self.totals.failures += 1,
            Kind::DeadLetter => self.totals.dead_letters += 1,
            Kind::Started | Kind::Ended | Kind::GivenUp => {}
        }
        if let (Kind::Failure, Some(session)) = (entry.kind, entry.session) {
            self.failed.push_back((session, Instant::now()));
            if self.failed.len() > KEPT {
                self.failed.pop_front();
            }
        }
        if entry.text.len() > TEXT {
            let end = (0..=TEXT)
                .rev()
                .find(|at| entry.text.is_char_boundary(*at))
                .unwrap_or(0);
            entry.text.truncate(end);
            entry.text.push('…');
        }
        self.count += 1;
        self.entries.push_back(entry);
        if self.entries.len() > KEPT {
            self.entries.pop_front();
        }
    }

    pub(crate) fn supervised(&mut self, report: &ChildReport) {
        let key = (report.supervisor, report.child.to_string());
        let old = self.children.get(&key).cloned();
        let mut child = Child {
            since: Instant::now(),
            session: None,
            before: old.as_ref().and_then(|old| old.session.or(old.before)),
            restarts: report.restarts,
            failure: old.and_then(|old| old.failure),
            restart: None,
        };
        let (kind, session, next, text) = match &report.change {
            ChildChange::Started { session } => {
                child.session = Some(*session);
                if report.restarts > 0 {
                    self.totals.restarts += 1;
                }
                let text = match report.restarts {
                    0 => format!("started as session {session}"),
                    n => format!("restarted as session {session}, for the {} time", nth(n)),
                };
                (Kind::Started, Some(*session), None, text)
            }
            ChildChange::StartFailed { failure, next } => {
                child.failure = Some(failure.to_string());
                let text = format!("could not be started: {failure}; {next}");
                (Kind::Failure, None, Some(next), text)
            }
            ChildChange::Ended { session, end, next } => {
                let has_failed = matches!(end, ChildEnd::Failed(_));
                child.failure = has_failed.then(|| end.to_string());
                child.before = Some(*session);
                let kind = if has_failed { Kind::Failure } else { Kind::Ended };
                // The kernel has told of most failures already.
                let is_told = has_failed && self.failed.iter().rev().any(|(failed, _)| failed == session);
                match is_told {
                    true => (
                        Kind::Ended,
                        Some(*session),
                        Some(next),
                        format!("session {session} has failed; {next}"),
                    ),
                    false => (kind, Some(*session), Some(next), format!("{end}; {next}")),
                }
            }
            _ => return,
        };
        let given_up = matches!(next, Some(NextStep::GiveUp));
        if let Some(NextStep::Restart { after }) = next {
            child.restart = Some(*after);
        }
        self.push(Entry {
            time: SystemTime::now(),
            kind: if given_up { Kind::GivenUp } else { kind },
            session,
            subject: report.child.to_string(),
            text,
            place: None,
        });
        if self.children.len() >= CHILDREN && !self.children.contains_key(&key) {
            self.children.retain(|_, child| child.session.is_some());
            if self.children.len() >= CHILDREN {
                return;
            }
        }
        self.children.insert(key, child);
    }
}

fn nth(n: u64) -> String {
    let ending = match (n % 10, n % 100) {
        (1, 11) | (2, 12) | (3, 13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{n}{ending}")
}
