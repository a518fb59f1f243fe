//! The settings of a supervisor.

use super::session::{Settings, launch};
use super::spec::{ChildSpec, Starter, Strategy};
use super::{ChildReport, Supervisor};
use crate::error::Error;
use crate::event::Event;
use crate::id::SessionId;
use crate::kernel::{Kernel, Target};
use crate::session::{Caller, Start};
use std::fmt;
use std::panic::Location;
use std::rc::Rc;
use std::time::Duration;

/// Settings of a [`Supervisor`].
///
/// | setting | default |
/// |---|---|
/// | [`intensity`](Self::intensity) | 5 restarts within 10 seconds |
/// | [`name`](Self::name) | the alias, else the name that it has as a child, else `supervisor` |
/// | [`alias`](Self::alias) | none |
#[must_use = "a supervisor runs only after `start`"]
pub struct SupervisorBuilder {
    pub(super) settings: Settings,
}

impl SupervisorBuilder {
    pub(super) fn new(strategy: Strategy) -> Self {
        SupervisorBuilder {
            settings: Settings {
                strategy,
                restarts: 5,
                period: Duration::from_secs(10),
                name: None,
                alias: None,
                children: Vec::new(),
                hook: None,
                subscribers: Vec::new(),
                parent: None,
            },
        }
    }

    /// Adds a child, behind those that were added before.
    pub fn child(mut self, spec: ChildSpec) -> Self {
        self.settings.children.push(spec);
        self
    }

    /// Sets how many restarts there may be within a period; default 5 within 10 seconds. At the next one the supervisor gives up.
    ///
    /// A restart of a group counts once, and so does each failed attempt to start.
    #[doc(alias = "MaxR")]
    #[doc(alias = "MaxT")]
    pub fn intensity(mut self, restarts: usize, period: Duration) -> Self {
        (self.settings.restarts, self.settings.period) = (restarts, period);
        self
    }

    /// Sets the name for error texts, logs and reports.
    pub fn name(mut self, name: impl Into<Rc<str>>) -> Self {
        self.settings.name = Some(name.into());
        self
    }

    /// Gives the supervisor's session an alias.
    pub fn alias(mut self, alias: impl Into<Rc<str>>) -> Self {
        self.settings.alias = Some(alias.into());
        self
    }

    /// Calls a function with each change of a child, between handlers. A later one takes its place.
    ///
    /// Failures are logged in any case, at the level ERROR, and the rest at INFO (target `poe::supervisors`). A kernel in the function would be kept for as long as the
    /// supervisor lives.
    pub fn on_report(mut self, hook: impl Fn(&ChildReport) + 'static) -> Self {
        self.settings.hook = Some(Rc::new(hook));
        self
    }

    /// Posts each change of a child to a session. There may be many subscribers.
    ///
    /// ```
    /// use poe::{Event, Kernel, Session, component::{ChildReport, ChildSpec, Strategy, Supervisor}, event::START};
    /// const REPORT: Event<ChildReport> = Event::new("report");
    /// # tokio_test::block_on(async {
    /// let kernel = Kernel::new();
    /// Session::builder(())
    ///     .on(START, |cx, ()| cx.alias_set("log"))
    ///     .on(REPORT, |_, report| println!("{report}"))
    ///     .create(&kernel)?;
    /// Supervisor::builder(Strategy::OneForOne)
    ///     .child(ChildSpec::new("one", |cx| cx.create(Session::builder(()).on(START, |_, ()| ()))).restart(poe::component::Restart::Transient))
    ///     .subscribe("log", REPORT)
    ///     .start(&kernel)?;
    /// kernel.run().await
    /// # }).unwrap();
    /// ```
    pub fn subscribe(mut self, session: impl Into<Target<'static>>, event: Event<ChildReport>) -> Self {
        self.settings.subscribers.push((session.into(), event));
        self
    }

    /// Starts the supervisor, below the kernel, and its children up to the first that needs time.
    ///
    /// # Errors
    /// A child's function returned an error, and the children before it are being stopped; two children have one name; an alias
    /// is taken; a handler is running (use [`cx.start(builder)`](crate::Context::start)); the kernel is shutting down. A child that fails
    /// later, in its `_start` or after its future, is reported, and the supervisor fails.
    #[track_caller]
    pub fn start(self, kernel: &Kernel) -> Result<Supervisor, Error> {
        self.start_by(&mut { kernel })
    }
}

impl SupervisorBuilder {
    /// Starts it as the child of another supervisor, which gets the error of a failed start when all that was started has ended.
    pub(super) fn start_below(mut self, starter: &mut Starter<'_>, name: &Rc<str>) -> Result<SessionId, Error> {
        if self.settings.alias.is_none() {
            self.settings.name.get_or_insert_with(|| name.clone());
        }
        self.settings.parent = Some(starter.supervisor_id());
        let supervisor = launch(self.settings, starter, Location::caller())?;
        starter.is_pending = !supervisor.supervision.is_up();
        Ok(supervisor.session_id())
    }
}

impl Start for SupervisorBuilder {
    type Started = Supervisor;

    #[track_caller]
    fn start_by(self, caller: &mut impl Caller) -> Result<Supervisor, Error> {
        launch(self.settings, caller, Location::caller())
    }
}

impl fmt::Debug for SupervisorBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let settings = &self.settings;
        f.debug_struct("SupervisorBuilder")
            .field("strategy", &settings.strategy)
            .field("restarts", &settings.restarts)
            .field("period", &settings.period)
            .field("name", &settings.name)
            .field("alias", &settings.alias)
            .field("children", &settings.children)
            .finish_non_exhaustive()
    }
}
