//! Supervisors: sessions that start others in order, restart them after a failure, and stop them in reverse order.
//!
//! | file | what it has |
//! |---|---|
//! | `tree.rs` | the decisions, without a kernel: what is started and stopped next |
//! | `session.rs` | the supervisor's session, which carries them out |
//! | `keeper.rs` | the posts to an alias whose child is down |
//! | `spec.rs`, `builder.rs`, `starter.rs`, `report.rs` | what a program says, and what it is told |
//! | `program.rs` | the session of a child that is a program |
//! | `kernel.rs` | the session of a child that is a kernel of a pool |

mod builder;
mod keeper;
#[cfg(not(target_family = "wasm"))]
mod kernel;
#[cfg(unix)]
mod program;
mod session;
mod spec;
mod tree;

#[cfg(not(target_family = "wasm"))]
use super::kernel_pool::KernelFailure;
use crate::error::{Error, ErrorKind, Failure};
use crate::id::SessionId;
use crate::kernel::{Core, Die};
use crate::name::Name;
use session::Supervision;
use std::fmt;
use std::panic::Location;
use std::rc::{Rc, Weak};
use std::time::Duration;

pub use builder::SupervisorBuilder;
pub use spec::{ChildSpec, Restart, Starter, Strategy};

/// Starts children in order, restarts them after failures, and stops them in reverse order.
///
/// A supervisor is a session, and its children are sessions below it: sessions of yours, machines, components, programs, other
/// supervisors. This value only refers to it: dropping it changes nothing. OTP's `supervisor` is the model.
///
/// - A failed child is restarted, with others if the [`Strategy`] says so, at once or after its [`backoff`](ChildSpec::backoff). Too many restarts
///   within a [period](SupervisorBuilder::intensity) are a failure of the supervisor itself: its children are stopped and its own supervisor decides. A
///   supervisor without one raises `DIE`, so the kernel's policy applies ([`OnFailure`](crate::OnFailure)).
/// - A failure of a child stops that child only: its policy is [`OnFailure::StopSession`](crate::OnFailure::StopSession), unless it has its own.
/// - [`Kernel::shutdown`](crate::Kernel::shutdown) and [`Supervisor::shutdown`] stop the children in reverse order, one after the other, each
///   with its [limit](ChildSpec::shutdown).
/// - Without children it waits for [`start_child`](Self::start_child), as a session with an alias waits: [`Kernel::run`](crate::Kernel::run)
///   ends it when nothing else can happen in the kernel.
///
/// ```
/// use poe::{Event, Kernel, Session, SessionId, component::{ChildSpec, Restart, Starter, Strategy, Supervisor}, event::START};
/// use std::time::Duration;
/// const WORK: Event<u32> = Event::new("work");
/// fn start_worker(cx: &mut Starter<'_>) -> Result<SessionId, poe::Error> {
///     let restarts = cx.restarts();
///     cx.create(
///         Session::builder(())
///             .on(START, move |cx, ()| cx.delay(WORK, Duration::from_millis(1), restarts as u32))
///             .on(WORK, |_, restarts| assert!(restarts == 2, "not ready yet")), // fails twice
///     )
/// }
/// # tokio_test::block_on(async {
/// let kernel = Kernel::new();
/// Supervisor::builder(Strategy::OneForOne)
///     .intensity(5, Duration::from_secs(10))
///     .child(ChildSpec::new("worker", start_worker).restart(Restart::Transient))
///     .on_report(|report| println!("{report}"))
///     .start(&kernel)?;
/// kernel.run().await // the third worker ends by itself; nothing is left to do
/// # }).unwrap();
/// ```
#[doc(alias = "OTP")]
#[doc(alias = "restart")]
#[derive(Clone)]
pub struct Supervisor {
    core: Weak<Core>,
    session: SessionId,
    supervision: Rc<Supervision>,
}

/// A supervisor's child, as [`Supervisor::children`] lists it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ChildStatus {
    /// Its name.
    pub name: Rc<str>,
    /// What it does now.
    pub state: ChildState,
    /// How often it was restarted.
    pub restarts: u64,
    /// Its last failure, if it has ever failed.
    pub last_failure: Option<ChildFailure>,
}

/// What a supervisor's child does now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChildState {
    /// It has ended, or was never started.
    Down,
    /// It is restarted after this time.
    Waiting(Duration),
    /// It is being started; the children after it wait.
    Starting,
    /// It runs, as this session.
    Running(SessionId),
    /// It was asked to end, and its time is not over yet.
    Stopping(SessionId),
}

impl Supervisor {
    /// Starts building a supervisor.
    pub fn builder(strategy: Strategy) -> SupervisorBuilder {
        SupervisorBuilder::new(strategy)
    }

    /// Returns the supervisor's session.
    #[must_use]
    pub fn session_id(&self) -> SessionId {
        self.session
    }

    /// Lists the children in the order in which they are started.
    #[must_use]
    pub fn children(&self) -> Vec<ChildStatus> {
        let now = self.core.upgrade().map(|core| session::now(&core));
        self.supervision.statuses(now.unwrap_or_default())
    }

    /// Returns the session of a child that runs.
    #[must_use]
    pub fn child(&self, name: &str) -> Option<SessionId> {
        let children = self.children();
        children.iter().find_map(|child| match child.state {
            ChildState::Running(session) if &*child.name == name => Some(session),
            _ => None,
        })
    }

    /// Adds a child behind the others, and starts it.
    ///
    /// It is started in its turn, after what the supervisor does already; reports tell when. If it cannot be started, it is
    /// forgotten.
    ///
    /// # Errors
    /// The supervisor has ended or is being shut down; it has a child of that name.
    #[track_caller]
    pub fn start_child(&self, spec: ChildSpec) -> Result<(), Error> {
        self.supervision.check_new(&spec)?;
        self.order(|supervision| supervision.add(spec))
    }

    /// Stops a child and keeps its description, for [`restart_child`](Self::restart_child).
    ///
    /// # Errors
    /// The supervisor has ended or is being shut down; it has no child of that name.
    #[doc(alias = "terminate_child")]
    pub fn stop_child(&self, name: &str) -> Result<(), Error> {
        self.order(|supervision| supervision.with_child(name, |tree, key| tree.stop(key)))
    }

    /// Starts a child that is down; no effect on one that runs.
    ///
    /// # Errors
    /// As [`stop_child`](Self::stop_child).
    pub fn restart_child(&self, name: &str) -> Result<(), Error> {
        self.order(|supervision| supervision.with_child(name, |tree, key| tree.start(key)))
    }

    /// Stops a child and forgets it.
    ///
    /// # Errors
    /// As [`stop_child`](Self::stop_child).
    #[doc(alias = "delete_child")]
    pub fn remove_child(&self, name: &str) -> Result<(), Error> {
        self.order(|supervision| supervision.with_child(name, |tree, key| tree.remove(key)))
    }

    /// Stops the children in reverse order, each with its limit, and then the supervisor.
    ///
    /// It returns at once. A start that is under way is given up. No effect if the supervisor has ended.
    pub fn shutdown(&self) {
        let _ = self.order(|supervision| {
            supervision.shut_down();
            Ok(())
        });
    }

    /// Returns how the supervisor ended, or `None` while it runs or stops its children.
    #[must_use]
    pub fn outcome(&self) -> Option<SupervisorEnd> {
        self.supervision.outcome()
    }

    /// Does something with the children, and wakes the session, which carries it out.
    #[track_caller]
    fn order(&self, f: impl FnOnce(&Supervision) -> Result<(), Error>) -> Result<(), Error> {
        let core = self.core.upgrade().filter(|_| self.outcome().is_none());
        let core = core.ok_or_else(|| ended(&self.supervision.name))?;
        f(&self.supervision)?;
        session::wake(&core, self.session);
        Ok(())
    }
}

fn ended(name: &str) -> Error {
    ErrorKind::Invalid(format!("the supervisor `{name}` has ended")).into()
}

impl fmt::Debug for Supervisor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Supervisor")
            .field("name", &self.supervision.name)
            .field("session", &self.session)
            .field("children", &self.children())
            .finish()
    }
}

// What a supervisor tells: which child started or ended, why, how often, and what happens next.
/// A change of a supervisor's child.
///
/// Hooks get it ([`SupervisorBuilder::on_report`](SupervisorBuilder::on_report)), and sessions, as events
/// ([`SupervisorBuilder::subscribe`](SupervisorBuilder::subscribe)). Its text is one line for a log.
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
    fn of_die(die: &Die) -> Self {
        // What failed in another kernel says where.
        #[cfg(not(target_family = "wasm"))]
        if let Some(there) = die
            .failure
            .source()
            .and_then(|cause| cause.downcast_ref::<KernelFailure>())
        {
            return ChildFailure {
                failure: there.failure.clone(),
                event: there.event.as_ref().map(|(event, _)| Name::from(event.as_str())),
                place: there.event.as_ref().map(|(_, place)| *place),
            };
        }
        ChildFailure {
            failure: die.failure.clone(),
            event: Some(die.event.clone()),
            place: Some(die.place),
        }
    }

    fn of_signal(signal: &str) -> Self {
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
