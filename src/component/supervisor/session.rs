//! The supervisor's session: it carries out what the tree decides, and tells the tree what happened.

use super::keeper::{Keeper, Mailbox};
use super::spec::{ChildSpec, How, ReadyFn, StartFn, Starter, Strategy};
use super::tree::{Action, Ending, Key, State, Tree};
use super::{
    ChildChange, ChildEnd, ChildFailure, ChildReport, ChildState, ChildStatus, NextStep, Supervisor, SupervisorEnd,
    ended,
};
use crate::arg::AnyArg;
use crate::component::backoff::{Intensity, caught};
use crate::error::{Error, ErrorKind, Failure, HandlerResult, drop_quietly, log_quietly, quietly};
use crate::event::{CHILD, Child, ChildReason, Event, START, STOP};
use crate::id::{Place, SessionId, TaskId};
use crate::kernel::count::Count;
use crate::kernel::{AtOnce, Core, KERNEL_SHUTDOWN, KeptPost, Signal, Stopped, Target};
use crate::session::{Caller, Context, Session};
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

/// Something has changed: see what is to be done.
const STEP: Event<()> = Event::new("supervisor_step");
const TICK: Event<()> = Event::new("supervisor_tick");
const PREPARED: Event<(Key, Result<ReadyFn, Failure>)> = Event::new("supervisor_prepared");
/// Behind the DIE of a `_start`, if it failed.
const CONFIRM: Event<SessionId> = Event::new("supervisor_confirm");
/// From a supervisor to its own: all of its children run.
const UP: Event<SessionId> = Event::new("supervisor_up");
const ASKED: Event<Signal> = Event::new("supervisor_asked");

pub(super) type Hook = Rc<dyn Fn(&ChildReport)>;

pub(super) struct Settings {
    pub(super) strategy: Strategy,
    pub(super) restarts: usize,
    pub(super) period: Duration,
    pub(super) name: Option<Rc<str>>,
    pub(super) alias: Option<Rc<str>>,
    pub(super) children: Vec<ChildSpec>,
    pub(super) hook: Option<Hook>,
    pub(super) subscribers: Vec<(Target<'static>, Event<ChildReport>)>,
    /// The supervisor above, if there is one.
    pub(super) parent: Option<SessionId>,
}

/// What a supervisor's session and its [`Supervisor`]s share. Nothing of it is borrowed while user code runs.
pub(super) struct Supervision {
    pub(super) name: Rc<str>,
    /// What the program has asked for, else one that nobody else has. It keeps the session alive while it has no children, as
    /// long as anything can happen (law L90).
    alias: RefCell<Option<Rc<str>>>,
    parent: Option<SessionId>,
    tree: RefCell<Tree>,
    /// The children that have an alias.
    mailboxes: RefCell<HashMap<Key, Rc<Mailbox>>>,
    /// Futures of children that are being prepared.
    preparing: RefCell<HashMap<Key, TaskId>>,
    hook: Option<Hook>,
    subscribers: Vec<(Target<'static>, Event<ChildReport>)>,
    /// `_start` is running, so a failure is the error of `start`.
    in_start: Cell<bool>,
    /// The error of `start` has it.
    is_told: Cell<bool>,
    outcome: RefCell<Option<SupervisorEnd>>,
}

type Cx<'a, 'k> = &'a mut Context<'k, ()>;

pub(super) fn launch(settings: Settings, caller: &mut impl Caller, place: Place) -> Result<Supervisor, Error> {
    let name = settings.name.or_else(|| settings.alias.clone());
    let name = name.unwrap_or_else(|| "supervisor".into());
    let core = caller.core().weak();
    if let Some(core) = core.upgrade() {
        core.check_alias(settings.alias.as_deref())?;
        for child in &settings.children {
            core.check_alias(child.alias.as_deref())?;
        }
    }
    let mut tree = Tree::new(settings.strategy, Intensity::new(settings.restarts, settings.period));
    for child in settings.children {
        if tree.named(&child.name).is_some() {
            return Err(taken(&name, &child.name));
        }
        tree.push(child);
    }
    let supervision = Rc::new(Supervision {
        name,
        alias: RefCell::new(settings.alias),
        parent: settings.parent,
        tree: RefCell::new(tree),
        mailboxes: RefCell::default(),
        preparing: RefCell::default(),
        hook: settings.hook,
        subscribers: settings.subscribers,
        in_start: Cell::new(false),
        is_told: Cell::new(false),
        outcome: RefCell::default(),
    });
    let handler = |f: fn(&Supervision, Cx<'_, '_>) -> HandlerResult| {
        let supervision = supervision.clone();
        move |cx: Cx<'_, '_>| f(&supervision, cx)
    };
    let (start, step, tick) = (
        handler(Supervision::begin),
        handler(Supervision::drive),
        handler(Supervision::drive),
    );
    let (asked, stop) = (handler(Supervision::asked), handler(Supervision::stopped));
    let (lost, prepared) = (supervision.clone(), supervision.clone());
    let (confirmed, up) = (supervision.clone(), supervision.clone());
    let session = Session::builder(())
        .on(START, move |cx, ()| start(cx))
        .on(STEP, move |cx, ()| step(cx))
        .on(TICK, move |cx, ()| tick(cx))
        .on(ASKED, move |cx, _| asked(cx))
        .on(STOP, move |cx, ()| stop(cx))
        .on(CHILD, move |cx, child: Child| lost.child(cx, &child))
        .on(PREPARED, move |cx, (key, ready)| prepared.prepared(cx, key, ready))
        .on(CONFIRM, move |cx, session| confirmed.confirmed(cx, session))
        .on(UP, move |cx, session| up.confirmed(cx, session))
        .create_by(caller, place)?;
    if let Some((child, failure)) = supervision.tell_failed_start() {
        let name = &supervision.name;
        let what = format!("the supervisor `{name}` could not start its child `{child}`: {failure}");
        return Err(ErrorKind::Invalid(what).into());
    }
    Ok(Supervisor {
        core,
        session,
        supervision,
    })
}

fn taken(supervisor: &str, child: &str) -> Error {
    ErrorKind::Invalid(format!(
        "the supervisor `{supervisor}` has a child `{child}` already; give each child its own name"
    ))
    .into()
}

/// The kernel's time.
pub(super) fn now(core: &Core) -> Duration {
    Duration::from_nanos(core.clock.now())
}

#[track_caller]
pub(super) fn wake(core: &Core, session: SessionId) {
    // It may have ended.
    let _ = core.post_from(
        None,
        session.into(),
        crate::event::Keyed::key(&STEP),
        (),
        Location::caller(),
    );
}

impl Supervision {
    // What the handle does.

    pub(super) fn statuses(&self, now: Duration) -> Vec<ChildStatus> {
        let tree = self.tree.borrow();
        let statuses = tree.children().iter().map(|child| ChildStatus {
            name: child.spec.name.clone(),
            state: match child.state {
                State::Down => ChildState::Down,
                State::Waiting(due) => ChildState::Waiting(due.saturating_sub(now)),
                State::Starting(_) => ChildState::Starting,
                State::Running(session) => ChildState::Running(session),
                State::Stopping { session, .. } => ChildState::Stopping(session),
            },
            restarts: child.restarts,
            last_failure: child.last_failure.clone(),
        });
        statuses.collect()
    }

    pub(super) fn check_new(&self, spec: &ChildSpec) -> Result<(), Error> {
        match self.tree.borrow().named(&spec.name) {
            Some(_) => Err(taken(&self.name, &spec.name)),
            None => Ok(()),
        }
    }

    pub(super) fn add(&self, spec: ChildSpec) -> Result<(), Error> {
        let mut tree = self.tree.borrow_mut();
        if tree.is_ending() {
            return Err(ended(&self.name));
        }
        tree.add(spec);
        Ok(())
    }

    pub(super) fn with_child(&self, name: &str, f: impl FnOnce(&mut Tree, Key)) -> Result<(), Error> {
        let mut tree = self.tree.borrow_mut();
        if tree.is_ending() {
            return Err(ended(&self.name));
        }
        match tree.named(name).map(|child| child.key) {
            Some(key) => {
                f(&mut tree, key);
                Ok(())
            }
            None => Err(ErrorKind::Invalid(format!("the supervisor `{}` has no child `{name}`", self.name)).into()),
        }
    }

    pub(super) fn shut_down(&self) {
        self.tree.borrow_mut().shut_down();
    }

    pub(super) fn outcome(&self) -> Option<SupervisorEnd> {
        self.outcome.borrow().clone()
    }

    pub(super) fn is_up(&self) -> bool {
        self.tree.borrow().is_up()
    }

    fn tell_failed_start(&self) -> Option<(Rc<str>, Failure)> {
        self.is_told.get().then(|| self.tree.borrow().failed_start()).flatten()
    }

    // The session's handlers.

    fn begin(&self, cx: Cx<'_, '_>) -> HandlerResult {
        let alias = self.alias.borrow().clone();
        let alias = alias.unwrap_or_else(|| format!("supervisor {}", cx.session_id()).into());
        cx.alias_set(&alias)?;
        self.alias.replace(Some(alias));
        cx.sig(KERNEL_SHUTDOWN, ASKED);
        cx.kernel.core.supervises(cx.session_id(), true);
        self.tree.borrow_mut().begin();
        self.in_start.set(true);
        let driven = self.drive(cx);
        self.in_start.set(false);
        driven
    }

    fn asked(&self, cx: Cx<'_, '_>) -> HandlerResult {
        cx.sig_handled();
        self.shut_down();
        self.drive(cx)
    }

    fn stopped(&self, cx: Cx<'_, '_>) -> HandlerResult {
        let core = cx.kernel.core;
        core.supervises(cx.session_id(), false);
        self.outcome.borrow_mut().get_or_insert(SupervisorEnd::Normal);
        let mailboxes = self.mailboxes.take();
        for mailbox in mailboxes.into_values() {
            mailbox.close(core, "its supervisor has ended");
        }
        Ok(())
    }

    /// A child has ended, or has left.
    fn child(&self, cx: Cx<'_, '_>, child: &Child) {
        if child.reason != ChildReason::Lose {
            return;
        }
        let (core, session) = (cx.kernel.core, child.session);
        if self.tree.borrow().of_session(session).is_none() {
            return;
        }
        for post in core.take_posts_of_others(session) {
            core.bury_kept(post, format!("session {session} has stopped"));
        }
        self.take_alias_back(cx, session);
        let end = match core.why_stopped(session) {
            Some(Stopped::Failed(die)) => ChildEnd::Failed(ChildFailure::of_die(&die)),
            Some(Stopped::Signal(signal)) if signal == KERNEL_SHUTDOWN => ChildEnd::AskedFor { killed: false },
            Some(Stopped::Signal(signal)) => ChildEnd::Failed(ChildFailure::of_signal(&signal)),
            None => ChildEnd::Normal,
        };
        self.tree.borrow_mut().ended(session, end, now(core));
        // Not now: if the supervisor itself is being stopped, nothing is to be started.
        cx.yield_to(STEP, ());
    }

    fn prepared(&self, cx: Cx<'_, '_>, key: Key, ready: Result<ReadyFn, Failure>) -> HandlerResult {
        // It is a stale one if the start was given up meanwhile.
        if self.preparing.borrow_mut().remove(&key).is_none() {
            return Ok(());
        }
        match ready {
            Ok(ready) => self.create(cx, key, ready),
            Err(failure) => self
                .tree
                .borrow_mut()
                .started(key, Err(failure), true, now(cx.kernel.core)),
        }
        self.drive(cx)
    }

    /// The start of a child was not over when its function returned, and has succeeded.
    fn confirmed(&self, cx: Cx<'_, '_>, session: SessionId) -> HandlerResult {
        let key = self.tree.borrow().of_session(session).map(|child| child.key);
        if let Some(key) = key {
            let mailbox = self.mailboxes.borrow().get(&key).cloned();
            let posts = mailbox.map_or_else(VecDeque::new, |mailbox| mailbox.take(cx.kernel.core));
            self.is_there(cx, key, session, posts);
        }
        self.drive(cx)
    }

    /// Does everything that can be done now.
    fn drive(&self, cx: Cx<'_, '_>) -> HandlerResult {
        let mut over = None;
        loop {
            let action = self.tree.borrow_mut().next(now(cx.kernel.core));
            let Some(action) = action else { break };
            match action {
                Action::Start(key) => self.start(cx, key),
                Action::Cancel(key) => {
                    let task = self.preparing.borrow_mut().remove(&key);
                    task.map(|task| cx.cancel(task));
                }
                Action::Ask(session) => {
                    self.take_alias_back(cx, session);
                    cx.kernel.core.ask_to_end(session);
                }
                Action::Kill(session) => AtOnce::at_once(cx, "killing", |core| core.kill_tree(session))?,
                Action::Tell {
                    child,
                    restarts,
                    change,
                } => self.tell(cx, child, restarts, change),
                Action::Up => {
                    if let Some(parent) = self.parent {
                        // It may be ending.
                        let _ = cx.post(parent, UP, cx.session_id());
                    }
                }
                Action::End(ending) => over = Some(ending),
            }
        }
        self.close_mailboxes(cx);
        let due = self.tree.borrow().next_due();
        match due {
            Some(due) => cx.delay(TICK, due.saturating_sub(now(cx.kernel.core)), ()),
            None => {
                cx.alarm_clear(TICK);
            }
        }
        over.map_or(Ok(()), |ending| self.end(cx, ending))
    }

    /// All children have ended; nothing keeps the session any more.
    fn end(&self, cx: Cx<'_, '_>, ending: Ending) -> HandlerResult {
        cx.sig_ignore(KERNEL_SHUTDOWN);
        let alias = self.alias.take();
        if let Some(alias) = &alias {
            cx.kernel.core.take_alias(cx.session_id(), alias);
        }
        let (outcome, result) = match ending {
            Ending::Asked => (SupervisorEnd::AskedFor, Ok(())),
            Ending::Failed(failure) => {
                let failure = Failure::msg(format!("the supervisor `{}` gives up: {failure}", self.name));
                let result = if self.is_told.get() {
                    Ok(())
                } else {
                    Err(failure.clone())
                };
                (SupervisorEnd::Failed(failure), result)
            }
        };
        self.outcome.replace(Some(outcome));
        result
    }

    // Starts.

    fn start(&self, cx: Cx<'_, '_>, key: Key) {
        let spec = self.tree.borrow().child(key).map(|child| child.spec.clone());
        let Some(spec) = spec else { return };
        if let Some(alias) = &spec.alias {
            self.open_mailbox(cx, key, alias);
        }
        match &spec.how {
            How::Now(start) => {
                let start: Rc<StartFn> = start.clone();
                self.create(cx, key, Box::new(move |starter| start(starter)));
            }
            How::Later(prepare) => match catch_unwind(AssertUnwindSafe(|| prepare())) {
                Ok(future) => {
                    let prepared = async move {
                        let prepared = caught(future).await;
                        (
                            key,
                            prepared.unwrap_or_else(|payload| Err(Failure::from_panic(payload))),
                        )
                    };
                    let task = cx.spawn(prepared, PREPARED);
                    self.preparing.borrow_mut().insert(key, task);
                }
                Err(payload) => self.failed_to_start(cx, key, Failure::from_panic(payload)),
            },
        }
    }

    fn failed_to_start(&self, cx: Cx<'_, '_>, key: Key, failure: Failure) {
        let now = now(cx.kernel.core);
        self.tree.borrow_mut().started(key, Err(failure), true, now);
        // The error of `start` reports it, and not a failure of the session, unless another supervisor waits for that.
        let failed = self.in_start.get() && self.parent.is_none() && self.tree.borrow().failed_start().is_some();
        self.is_told.set(self.is_told.get() || failed);
    }

    /// Runs the function of a child, and gives its session the alias and what was posted to it.
    fn create(&self, cx: Cx<'_, '_>, key: Key, ready: ReadyFn) {
        let (spec, starts) = {
            let tree = self.tree.borrow();
            let Some(child) = tree.child(key) else { return };
            (child.spec.clone(), child.restarts + u64::from(child.has_run()))
        };
        let mailbox = self.mailboxes.borrow().get(&key).cloned();
        let mut posts = mailbox
            .as_ref()
            .map_or_else(VecDeque::new, |mailbox| mailbox.take(cx.kernel.core));
        let (created, is_pending) = cx.nested(|nested| {
            let mut starter = Starter {
                kernel: **nested,
                name: &spec.name,
                starts,
                is_pending: false,
            };
            let run = AssertUnwindSafe(|| ready(&mut starter));
            let created = catch_unwind(run).unwrap_or_else(|payload| Err(Failure::from_panic(payload)));
            (created, starter.is_pending)
        });
        let created = created.and_then(|session| self.adopt(cx, session).map(|()| session));
        let core = cx.kernel.core;
        // Otherwise another event says more.
        let is_sure = |session: &SessionId| !is_pending && !core.has_failed_to_start(*session);
        let sure = created.as_ref().is_ok_and(is_sure);
        if let Some(mailbox) = mailbox.filter(|_| !sure) {
            mailbox.put_back(core, std::mem::take(&mut posts));
            self.keep_posts(cx, &mailbox);
        }
        match created {
            Ok(session) if sure => self.is_there(cx, key, session, posts),
            Ok(session) => {
                if !is_pending {
                    cx.yield_to(CONFIRM, session);
                }
                self.tree.borrow_mut().started(key, Ok(session), false, now(core));
            }
            Err(failure) => self.failed_to_start(cx, key, failure),
        }
    }

    /// A child has been started: gives its session the alias and what was posted to it.
    fn is_there(&self, cx: Cx<'_, '_>, key: Key, session: SessionId, posts: VecDeque<KeptPost>) {
        let core = cx.kernel.core;
        let mailbox = self.mailboxes.borrow().get(&key).cloned();
        if let Some(mailbox) = mailbox
            && let Err(error) = core.give_alias(session, mailbox.alias(), Location::caller())
        {
            mailbox.put_back(core, posts);
            core.ask_to_end(session);
            return self.failed_to_start(cx, key, error.into());
        }
        self.tree.borrow_mut().started(key, Ok(session), true, now(core));
        for post in posts {
            core.post_kept(session, post);
        }
    }

    fn adopt(&self, cx: Cx<'_, '_>, session: SessionId) -> Result<(), Failure> {
        let core = cx.kernel.core;
        if !core.is_child_of(session, cx.session_id()) {
            return Err(Failure::msg(format!(
                "its session {session} is not a child of its supervisor: it has ended already, or was not created with the `Starter`"
            )));
        }
        core.isolate(session);
        Ok(())
    }

    // Aliases.

    /// Makes sure that somebody has the alias of a child that is not there yet.
    fn open_mailbox(&self, cx: Cx<'_, '_>, key: Key, alias: &Rc<str>) {
        let known = self.mailboxes.borrow().get(&key).cloned();
        let mailbox = known.unwrap_or_else(|| {
            let mailbox = Mailbox::new(alias.clone());
            self.mailboxes.borrow_mut().insert(key, mailbox.clone());
            mailbox
        });
        if mailbox.keeper().is_none() {
            self.keep_posts(cx, &mailbox);
        }
    }

    /// From now on a child's session does not get what is posted to its alias, and the alias does not keep it alive.
    fn take_alias_back(&self, cx: Cx<'_, '_>, session: SessionId) {
        let mailbox = {
            let (tree, mailboxes) = (self.tree.borrow(), self.mailboxes.borrow());
            tree.of_session(session)
                .and_then(|child| mailboxes.get(&child.key).cloned())
        };
        if let Some(mailbox) = mailbox.filter(|mailbox| mailbox.keeper().is_none()) {
            cx.kernel.core.take_alias(session, mailbox.alias());
            self.keep_posts(cx, &mailbox);
        }
    }

    fn keep_posts(&self, cx: Cx<'_, '_>, mailbox: &Rc<Mailbox>) {
        // No session can be created during a shutdown; then nothing is kept.
        let keeper = cx.session_alloc(Rc::new(Keeper(mailbox.clone())), AnyArg::UNIT);
        if let Ok(keeper) = keeper {
            let given = cx.kernel.core.give_alias(keeper, mailbox.alias(), Location::caller());
            // Otherwise another session has taken it; the start of the child will say so.
            if given.is_ok() {
                mailbox.kept_by(keeper);
            }
        }
    }

    /// Gives up the aliases of children that do not come back.
    fn close_mailboxes(&self, cx: Cx<'_, '_>) {
        if self.mailboxes.borrow().is_empty() {
            return;
        }
        let closed: Vec<Rc<Mailbox>> = {
            let (tree, mut mailboxes) = (self.tree.borrow(), self.mailboxes.borrow_mut());
            let gone = |key: &Key| tree.child(*key).is_none_or(|child| !child.expected);
            let keys: Vec<Key> = mailboxes.keys().copied().filter(gone).collect();
            keys.iter().filter_map(|key| mailboxes.remove(key)).collect()
        };
        for mailbox in closed {
            mailbox.close(cx.kernel.core, "its session has ended and is not restarted");
        }
    }

    // Reports.

    fn tell(&self, cx: Cx<'_, '_>, child: Rc<str>, restarts: u64, change: ChildChange) {
        let report = ChildReport {
            supervisor: cx.session_id(),
            supervisor_name: self.name.clone(),
            child,
            restarts,
            change,
        };
        log(&report);
        cx.kernel.core.tell_observers_of(&report);
        if restarts > 0 && matches!(report.change, ChildChange::Started { .. }) {
            cx.kernel.core.count(Count::Restart);
        }
        if let Some(hook) = &self.hook {
            quietly("the hook for reports of a supervisor panicked", || hook(&report));
        }
        for (target, event) in &self.subscribers {
            // A subscriber may have ended.
            if let Err(error) = cx.post(target.clone(), *event, report.clone()) {
                drop_quietly(error);
            }
        }
    }
}

fn log(report: &ChildReport) {
    let is_bad = match &report.change {
        ChildChange::Started { .. } => false,
        ChildChange::StartFailed { .. } => true,
        ChildChange::Ended { end, next, .. } => matches!(end, ChildEnd::Failed(_)) || *next == NextStep::GiveUp,
    };
    log_quietly(|| match is_bad {
        true => tracing::error!(target: "poe::supervisors", "{report}"),
        false => tracing::info!(target: "poe::supervisors", "{report}"),
    });
}
