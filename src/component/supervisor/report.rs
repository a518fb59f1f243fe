//! What a supervisor tells: which child started or ended, why, how often, and what happens next.

use crate::error::Failure;
use crate::id::SessionId;
use crate::kernel::Die;
use crate::name::Name;
use std::fmt;
use std::panic::Location;
use std::rc::Rc;
use std::time::Duration;

/// A change of a supervisor's child.
///
/// Hooks get it ([`SupervisorBuilder::on_report`](super::SupervisorBuilder::on_report)), and sessions, as events
/// ([`SupervisorBuilder::subscribe`](super::SupervisorBuilder::subscribe)). Its text is one line for a log.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ChildReport {
    /// The supervisor's session.
    pub supervisor: SessionId,
    /// The supervisor's name, as in its error texts.
    pub supervisor_name: Rc<str>,
    /// The child's name.
    pub child: Rc<str>,
    /// How often the child was restarted so far.
    pub restarts: u64,
    /// What happened.
    pub change: ChildChange,
}

/// What happened to a child.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ChildChange {
    /// It runs.
    Started {
        /// Its session.
        session: SessionId,
    },
    /// It could not be started.
    StartFailed {
        /// The error of the child's function, or the failure of its `_start`.
        failure: Failure,
        /// What the supervisor does now.
        next: NextStep,
    },
    /// It has ended.
    Ended {
        /// The session that it was.
        session: SessionId,
        /// Why it ended.
        end: ChildEnd,
        /// What the supervisor does now.
        next: NextStep,
    },
}

/// Why a child ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ChildEnd {
    /// By itself: nothing kept its session alive any more.
    Normal,
    /// The supervisor asked it to end.
    AskedFor {
        /// It did not end within its limit and was killed, or its limit is zero.
        killed: bool,
    },
    /// A handler of it failed, or another signal than `KERNEL_SHUTDOWN` stopped it.
    Failed(ChildFailure),
}

/// How a child failed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ChildFailure {
    /// The error, or the panic.
    pub failure: Failure,
    /// The event whose handler failed; `None` if a signal stopped the child.
    pub event: Option<Name>,
    /// Where that event was sent.
    pub place: Option<&'static Location<'static>>,
}

/// What a supervisor does after the end of a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NextStep {
    /// Nothing: the child stays down.
    Nothing,
    /// The child is started again after this time, which is zero without a backoff.
    Restart {
        /// How long it waits.
        after: Duration,
    },
    /// The limit of restarts is reached: the supervisor stops its children and fails.
    GiveUp,
}

/// How a supervisor ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum SupervisorEnd {
    /// Its session was stopped, together with its children: by a signal, or because the kernel had nothing left to do.
    Normal,
    /// It was shut down, and so were its children.
    AskedFor,
    /// It gave up: a child could not be started, or the limit of restarts was reached.
    Failed(Failure),
}

impl ChildFailure {
    pub(super) fn of_die(die: &Die) -> Self {
        ChildFailure {
            failure: die.failure.clone(),
            event: Some(die.event.clone()),
            place: Some(die.place),
        }
    }

    pub(super) fn of_signal(signal: &str) -> Self {
        ChildFailure {
            failure: Failure::msg(format!("stopped by the signal {signal}")),
            event: None,
            place: None,
        }
    }
}

impl fmt::Display for ChildFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.event, self.place) {
            (Some(event), Some(place)) => write!(f, "{} (event `{event}`, sent at {place})", self.failure),
            _ => self.failure.fmt(f),
        }
    }
}

impl fmt::Display for ChildEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ChildEnd::Normal => f.write_str("ended by itself"),
            ChildEnd::AskedFor { killed: false } => f.write_str("ended as asked"),
            ChildEnd::AskedFor { killed: true } => f.write_str("was killed"),
            ChildEnd::Failed(failure) => write!(f, "failed: {failure}"),
        }
    }
}

impl fmt::Display for NextStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NextStep::Nothing => f.write_str("it stays down"),
            NextStep::Restart { after } if after.is_zero() => f.write_str("it is restarted"),
            NextStep::Restart { after } => write!(f, "it is restarted after {after:?}"),
            NextStep::GiveUp => f.write_str("the supervisor gives up"),
        }
    }
}

impl fmt::Display for ChildReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "supervisor `{}`: child `{}` ", self.supervisor_name, self.child)?;
        match &self.change {
            ChildChange::Started { session } => write!(f, "started as session {session}"),
            ChildChange::StartFailed { failure, next } => write!(f, "could not be started: {failure}; {next}"),
            ChildChange::Ended { session, end, next } => write!(f, "(session {session}) {end}; {next}"),
        }?;
        match self.restarts {
            0 => Ok(()),
            1 => f.write_str(" (1 restart so far)"),
            n => write!(f, " ({n} restarts so far)"),
        }
    }
}
