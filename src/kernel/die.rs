//! Failures of handlers: the `DIE` signal, the policy for unhandled ones, and the end of a run (laws L66 to L71).
//!
//! | A handler fails | then |
//! |---|---|
//! | in `_stop` (L37), or after `stop` in the same handler (L70) | no `DIE` is raised; the policy applies at once |
//! | with catching off (L68) | the run ends, whatever the policy is |
//! | in a handler of `DIE` (L70) | the policy of *its* session applies, when the DIE has visited all sessions |
//! | anywhere else | `DIE` is queued behind waiting events (L66) and visits descendants, session, ancestors (L67); if
//! no session handles it, the policy applies |
//!
//! The policy is looked up only after a failure, so that it costs nothing before.

use super::count::Count;
use super::flags::{self, Flag, Flags};
use super::{Core, Frame, Kernel, Stopped};
use crate::arg::AnyArg;
use crate::error::{Error, ErrorKind, Failure, OnFailure, drop_quietly, log_quietly, quietly};
use crate::id::SessionId;
use crate::name::{Name, NameIdx};
use crate::resource::sessions::KERNEL;
use std::cell::{Cell, RefCell};
use std::panic::Location;
use std::rc::Rc;

/// The contents of a `DIE` signal: the handler that failed, its failure, and the sender of the event.
///
/// ```
/// use poe::{Kernel, Session, Signal, event::START};
/// # tokio_test::block_on(async {
/// let kernel = Kernel::new();
/// Session::builder(())
///     .on(START, |cx, ()| {
///         cx.sig("DIE", "on die");
///         cx.yield_to("fail", ());
///     })
///     .on("fail", |_, ()| panic!("on purpose"))
///     .on("on die", |cx, signal: Signal| {
///         let die = signal.die().unwrap();
///         assert_eq!(die.event, "fail");
///         assert!(die.failure.is_panic());
///         cx.sig_handled();
///     })
///     .create(&kernel).unwrap();
/// kernel.run().await.unwrap();
/// # });
/// ```
#[derive(Clone, Debug)]
pub struct Die {
    /// The error that the handler returned, or its panic. If it was a component's callback, it also has the [name of
    /// the callback](Failure::callback).
    #[doc(alias = "error_str")]
    pub failure: Failure,
    /// The event whose handler failed.
    pub event: Name,
    /// The session that failed.
    #[doc(alias = "dest_session")]
    pub session: SessionId,
    /// The event's sender, which may have stopped since.
    #[doc(alias = "source_session")]
    pub sender: SessionId,
    /// What the sender was handling when it sent the event.
    #[doc(alias = "from_state")]
    pub caller_state: Option<Name>,
    /// The line that sent the event.
    pub place: &'static Location<'static>,
}

/// The failure that will end the run.
struct Fatal {
    die: Die,
    /// The log and the hook have it.
    reported: bool,
}

pub(crate) type FailureHook = Rc<dyn Fn(&Die)>;

pub(super) struct DieState {
    fatal: RefCell<Option<Fatal>>,
    /// `fatal` is set.
    is_fatal: Flag,
    /// A shutdown has reported it; the run that it ends may still do so.
    told: Cell<bool>,
    /// Failures of the handlers of the DIE that is being dispatched, of sessions whose policy is `StopSession`.
    seconds: RefCell<Vec<Die>>,
    /// Sessions are being stopped because of a failure, so that their events become dead letters.
    pub(super) burying: Cell<bool>,
    /// The policies of sessions that `stop` has just ended, if they are not the kernel's: their handlers may still run, and fail.
    departed: RefCell<Vec<(SessionId, OnFailure)>>,
    pub(super) hook: RefCell<Option<FailureHook>>,
}

impl From<&Die> for Error {
    fn from(die: &Die) -> Self {
        ErrorKind::Died {
            failure: die.failure.clone(),
            session: die.session,
            event: die.event.to_string(),
        }
        .into()
    }
}

impl DieState {
    pub(super) fn new(flags: &Flags) -> Self {
        DieState {
            fatal: RefCell::default(),
            is_fatal: Flag::new(flags, flags::FATAL),
            told: Cell::default(),
            seconds: RefCell::default(),
            burying: Cell::default(),
            departed: RefCell::default(),
            hook: RefCell::default(),
        }
    }

    #[inline]
    pub(super) fn is_fatal(&self) -> bool {
        self.is_fatal.get()
    }

    fn take(&self) -> Option<Fatal> {
        self.is_fatal.set(false);
        self.fatal.borrow_mut().take()
    }

    /// With catching off, a failure met by a caller is no longer the kernel's.
    pub(super) fn take_if_not_catching(&self, catching: bool) -> bool {
        !catching && self.take().is_some()
    }

    /// The error, which stays for the run that it ends.
    pub(super) fn tell_error(&self) -> Option<Error> {
        self.told.set(self.is_fatal.get());
        self.fatal.borrow().as_ref().map(|fatal| Error::from(&fatal.die))
    }

    /// Why a session is stopped at the end of the run.
    pub(super) fn why_stopped(&self, session: SessionId) -> Option<Stopped> {
        let fatal = self.fatal.borrow();
        let die = &fatal.as_ref()?.die;
        Some(match die.session == session {
            true => Stopped::Failed(die.clone()),
            false => Stopped::Signal(Name::from_static("DIE")),
        })
    }

    /// Drops what was told, where no run will tell it any more.
    pub(super) fn forget_told(&self) {
        if self.told.take() {
            drop(self.take());
        }
    }
}

/// While sessions are stopped because of a failure.
pub(super) struct Burying<'a>(&'a Cell<bool>, bool);

impl Drop for Burying<'_> {
    fn drop(&mut self) {
        self.0.set(self.1);
    }
}

impl Core {
    /// A handler failed: queue its DIE behind what waits already, or apply the policy at once (`fatal`).
    pub(super) fn raise(&self, failure: &Failure, frame: &Frame<'_>, event: NameIdx, fatal: bool) {
        let name = self.names.name(event);
        let callback = failure.callback();
        tracing::debug!(target: "poe::sessions", session = %frame.session, event = %name, callback, %failure, "handler failed");
        let die = Die {
            failure: failure.clone(),
            event: name,
            session: frame.session,
            sender: frame.sender,
            caller_state: frame.caller.is_caller().then(|| self.names.name(frame.caller)),
            place: frame.place,
        };
        self.raise_die(die, fatal);
    }

    pub(super) fn raise_die(&self, die: Die, fatal: bool) {
        self.count(Count::Failure);
        let slot = self.sessions.borrow().resolve(die.session);
        if !self.catching.get() {
            // Law L68; a caller may yet take it back (law L15).
            self.fail_run(die);
            return;
        }
        if let Some(slot) = slot.filter(|_| !fatal) {
            self.note_failure(&die, false);
            self.enqueue_die(slot, die);
            return;
        }
        match self.policy_of(die.session) {
            OnFailure::StopKernel => self.fail_run(die),
            OnFailure::StopSession => {
                let stopped = slot.is_none_or(|slot| self.sessions.borrow().get(slot).stopping);
                if stopped {
                    self.note_failure(&die, true);
                    self.report_failure(&die, "its session is stopped already");
                } else {
                    // In a handler of DIE: its session is stopped when the DIE has visited everybody.
                    self.die.seconds.borrow_mut().push(die);
                }
            }
        }
    }

    pub(crate) fn enqueue_die(&self, slot: u32, die: Die) {
        let place = die.place;
        let signal = super::signal::Raised {
            name: Name::from_static("DIE"),
            arg: Rc::new(AnyArg::new(die)),
        };
        self.enqueue_known(slot, KERNEL, NameIdx::SIGNAL, NameIdx::NONE, AnyArg::new(signal), place);
    }

    /// What to do about a failure of that session: its own policy, its nearest ancestor's, the kernel's.
    pub(super) fn policy_of(&self, session: SessionId) -> OnFailure {
        let sessions = self.sessions.borrow();
        let Some(mut slot) = sessions.resolve(session) else {
            let departed = self.die.departed.borrow();
            let found = departed.iter().find(|(id, _)| *id == session);
            return found.map_or(self.config.on_failure(), |(_, policy)| *policy);
        };
        loop {
            if let Some(policy) = sessions.get(slot).on_failure {
                return policy;
            }
            match sessions.parent(slot) {
                Some(parent) => slot = parent,
                None => return self.config.on_failure(),
            }
        }
    }

    /// Remembers the policies of sessions that are about to be stopped while handlers of theirs may be running.
    pub(super) fn remember_policies(&self, sessions: &[SessionId]) {
        let mut departed: Vec<_> = sessions.iter().map(|id| (*id, self.policy_of(*id))).collect();
        departed.retain(|(_, policy)| *policy != self.config.on_failure());
        *self.die.departed.borrow_mut() = departed;
    }

    /// From now on, until the guard is dropped, the events of sessions that are stopped are dead letters.
    pub(super) fn burying(&self, because_of_a_failure: bool) -> Burying<'_> {
        let before = self.die.burying.get();
        self.die.burying.set(before || because_of_a_failure);
        Burying(&self.die.burying, before)
    }

    /// Notes the failure that ends the run; a later one takes its place, as in POE.
    pub(super) fn fail_run(&self, die: Die) {
        self.die.told.set(false);
        self.die.is_fatal.set(true);
        let earlier = self.die.fatal.borrow_mut().replace(Fatal { die, reported: false });
        if let Some(earlier) = earlier.filter(|earlier| !earlier.reported) {
            self.report_failure(&earlier.die, "another failure ends the run");
        }
    }

    /// A failure is ending the run: says so, and stops everybody.
    #[cold]
    #[inline(never)]
    pub(super) fn stop_failed(&self) {
        self.report_fatal();
        let _burying = self.burying(true);
        self.stop_all();
    }

    fn report_fatal(&self) {
        let unreported = {
            let mut fatal = self.die.fatal.borrow_mut();
            match fatal.as_mut() {
                Some(fatal) if !fatal.reported => {
                    fatal.reported = true;
                    Some(fatal.die.clone())
                }
                _ => None,
            }
        };
        if let Some(die) = unreported {
            self.report_failure(&die, "every session is stopped, and the run ends");
        }
    }

    /// The error with which a run ends, if a failure ends it.
    pub(super) fn take_error(&self) -> Option<Error> {
        self.report_fatal();
        self.die.take().map(|fatal| Error::from(&fatal.die))
    }

    /// Tells the log and the hook of a failure that nobody handled, once each.
    #[cold]
    pub(super) fn report_failure(&self, die: &Die, consequence: &str) {
        self.log_failure(die, consequence);
        self.tell_observers_of_failure(die, consequence);
        self.tell_failure_hook(die);
    }

    fn log_failure(&self, die: &Die, consequence: &str) {
        let Die {
            failure,
            event,
            session,
            sender,
            place,
            ..
        } = die;
        let callback = failure.callback();
        log_quietly(|| {
            tracing::error!(
                target: "poe::sessions",
                %event, %session, %sender, %place, callback,
                "a handler failed and nobody handled its DIE: {failure} ({consequence})"
            );
        });
    }

    fn tell_failure_hook(&self, die: &Die) {
        let hook: Option<FailureHook> = self.die.hook.borrow().clone();
        if let Some(hook) = hook {
            quietly("the hook for unhandled failures panicked", move || hook(die));
        }
    }

    /// A DIE has visited everybody: applies the policy if nobody handled it, and then to the failures of its own handlers.
    pub(super) fn end_of_die(&self, visit: &DieVisit<'_>, die: Option<&Die>, handled: bool) {
        let mut seconds = self.die.seconds.take();
        let stopped = match visit.policy {
            OnFailure::StopKernel => visit.touched,
            OnFailure::StopSession => &visit.touched[..visit.below],
        };
        match die.filter(|_| !handled) {
            Some(die) if visit.policy == OnFailure::StopKernel => {
                self.stop_because_of_die(Some(die), visit.target, stopped);
                // Failures that came while it was handled are reported together with it (law L70).
                let failure = match self.die.take() {
                    Some(thrown) => die.failure.followed_by(&thrown.die.failure),
                    None => die.failure.clone(),
                };
                self.fail_run(Die { failure, ..die.clone() });
            }
            Some(die) => {
                let mut failure = die.failure.clone();
                seconds.retain(|second| {
                    let joins = second.session == visit.target;
                    if joins {
                        failure = failure.followed_by(&second.failure);
                    }
                    !joins
                });
                self.fail_sessions(&Die { failure, ..die.clone() }, stopped);
            }
            // Sent by a program, without a record (law L71).
            None if !handled => self.stop_because_of_die(None, visit.target, stopped),
            None => {}
        }
        for die in seconds {
            let slot = self.sessions.borrow().resolve(die.session);
            let tree = slot.map_or_else(Vec::new, |slot| self.tree_of(slot));
            self.fail_sessions(&die, &tree);
        }
    }

    /// `OnFailure::StopSession`: the failed session and its descendants.
    fn fail_sessions(&self, die: &Die, sessions: &[SessionId]) {
        let consequence = "the session and its descendants are stopped";
        self.log_failure(die, consequence);
        self.tell_observers_of_failure(die, consequence);
        self.stop_because_of_die(Some(die), die.session, sessions);
        self.tell_failure_hook(die);
    }

    fn stop_because_of_die(&self, die: Option<&Die>, target: SessionId, sessions: &[SessionId]) {
        let _burying = self.burying(true);
        self.stop_touched("DIE", die, target, sessions);
    }
}

/// The sessions that a DIE has visited.
pub(super) struct DieVisit<'a> {
    pub(super) target: SessionId,
    /// The target's policy, as of the beginning.
    pub(super) policy: OnFailure,
    /// All in the order in which they were visited; the first `below` are the target's descendants and the target, the
    /// others its ancestors.
    pub(super) touched: &'a [SessionId],
    pub(super) below: usize,
}

impl Kernel {
    /// Calls `hook` with each unhandled failure; a later hook replaces it.
    ///
    /// It is called once per failure, under both policies ([`OnFailure`]): under `StopSession` after the session and
    /// its descendants have stopped, under `StopKernel` before all sessions are stopped. A failure whose session stops
    /// for another reason before its `DIE` is dispatched counts as unhandled. Without a hook failures are only logged,
    /// at the level ERROR.
    ///
    /// The hook belongs to the kernel: a clone of the kernel in it would keep both alive for ever.
    ///
    /// ```
    /// use poe::{Kernel, OnFailure, Session, event::START};
    /// use std::{cell::RefCell, rc::Rc};
    /// # tokio_test::block_on(async {
    /// let kernel = Kernel::builder().on_failure(OnFailure::StopSession).build();
    /// let failed = Rc::new(RefCell::new(Vec::new()));
    /// let seen = failed.clone();
    /// kernel.on_unhandled_failure(move |die| seen.borrow_mut().push((die.session, die.failure.to_string())));
    /// let id = Session::builder(()).on(START, |_, ()| panic!("a bug")).create(&kernel)?;
    /// kernel.run().await?;
    /// assert_eq!(*failed.borrow(), [(id, "panicked: a bug".to_owned())]);
    /// # Ok::<(), poe::Error>(()) }).unwrap();
    /// ```
    pub fn on_unhandled_failure(&self, hook: impl Fn(&Die) + 'static) {
        let old = self.core().die.hook.replace(Some(Rc::new(hook)));
        drop_quietly(old);
    }
}
