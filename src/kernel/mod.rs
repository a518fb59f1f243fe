//! POE::Kernel: one event queue, the sessions it serves, and what they hold.
//!
//! `Core` is everything inside; [`Kernel`] is the owner's handle to it, [`Turn`] what a running handler sees of it, and
//! [`KernelHandle`] what other threads see. The files follow the headings of POE::Kernel's manual.

mod alias;
mod assert;
#[cfg(unix)]
mod child;
mod die;
mod dispatch;
mod gc;
mod handle;
pub(crate) mod invoke;
mod lifecycle;
mod message;
mod os_signal;
mod refcount;
mod resource;
mod run;
#[cfg(unix)]
mod select;
mod shutdown;
mod signal;
mod snapshot;
pub(crate) mod task;
mod timer;
mod trace;
mod turn;

#[cfg(unix)]
pub use child::{ChildExit, ChildProcess};
pub use die::Die;
pub use handle::{Answer, DeadLetter, KernelHandle};
pub use invoke::{Caller, Invoke, Invoked, Nested};
pub(crate) use lifecycle::create_at_once;
pub use message::Target;
pub(crate) use message::call_at_once;
pub(crate) use refcount::postback_tag;
pub use resource::SessionHold;
pub use run::Run;
#[cfg(unix)]
pub use select::{SelectMode, Selected, Watched};
pub use shutdown::ShutdownReport;
pub use signal::Signal;
pub use snapshot::{
    AwaitedProcess, EventId, EventType, QueuedEvent, Refcount, SessionHolds, SessionSnapshot, Snapshot, TaskSnapshot,
    WatchedFile, WhyAlive,
};
pub use timer::{Alarm, Delta};
#[cfg(feature = "testing")]
pub(crate) use trace::Dispatched;
pub(crate) use turn::Frame;
pub use turn::Turn;

use crate::bridge::clock::Clock;
use crate::bridge::deadline::Deadline;
use crate::bridge::wake::Shared;
use crate::id::{SessionId, WheelId};
use crate::name::{NameIdx, Names};
use crate::queue::lanes::{Generation, Queue};
use crate::resource::aliases::Aliases;
use crate::resource::extrefs::Extrefs;
use crate::resource::outside::Outside;
use crate::resource::sessions::{KERNEL, Sessions};
use crate::resource::signals::Signals;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Waker;
use std::time::Duration;

/// The kernel: owner of an event queue and of the sessions that live by it.
///
/// Bound to its thread (`!Send`), as its sessions are; other threads use a [`KernelHandle`]. A clone is the same
/// kernel. When the last clone is dropped, every session's heap is dropped without running a handler, and what was
/// still alive is logged as a warning. (A clone kept in a heap of its own session would therefore keep both for ever:
/// handlers have the kernel in their context, and need none.)
///
/// ```
/// use poe::{Kernel, Session, event::START};
/// # tokio_test::block_on(async {
/// let kernel = Kernel::new();
/// Session::builder(()).on(START, |_, ()| println!("hello")).create(&kernel)?;
/// kernel.run().await?; // returns when nothing can happen any more
/// # Ok::<(), poe::Error>(()) }).unwrap();
/// ```
#[derive(Clone)]
#[doc(alias = "POE::Kernel")]
#[doc(alias = "$poe_kernel")]
pub struct Kernel {
    owner: Rc<Owner>,
}

struct Owner {
    core: Rc<Core>,
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.core.teardown();
    }
}

/// Settings of a [`Kernel`]; the defaults are those of [`Kernel::new`].
///
/// ```
/// use std::time::Duration;
/// let kernel = poe::Kernel::builder()
///     .budget(64) // events at most, …
///     .slice(Duration::from_micros(50)) // … and no longer than that, until others have their turn
///     .timer_slack(Duration::from_millis(2))
///     .report_slow_handlers(Duration::from_millis(5))
///     .inbox_capacity(1)
///     .build();
/// let handle = kernel.handle();
/// handle.post("worker", "job", 1).unwrap();
/// assert!(handle.post("worker", "job", 2).unwrap_err().is_full());
/// ```
///
/// # What POE's constants have become
///
/// POE's switches are constants of a program's compilation, which write to the standard error. Here traces are `tracing`
/// events, at the level TRACE, of a target per subsystem; a subscriber says what is heard and where it goes, and costs
/// nothing while there is none. Checks are settings of the kernel.
///
/// | POE | here | what it tells or checks |
/// |---|---|---|
/// | `TRACE_DEFAULT` | every target: the filter `poe=trace` | |
/// | `TRACE_EVENTS` | `poe::events`, `poe::timers` | each post, each timer that is set and how long from then it is due, each dispatch, with file and line |
/// | `TRACE_FILES` | `poe::files` | watchers that are set, removed, paused, resumed; each readiness |
/// | `TRACE_REFCNT` | `poe::refcnt` | what holds a session from now on or no longer, and its count then |
/// | `TRACE_RETVALS` | `poe::retvals` | each error that a method returns, with the file and line of the call |
/// | `TRACE_SESSIONS` | `poe::sessions` | sessions that begin, stop and are freed; handlers that fail (DEBUG); the options' logs (INFO, WARN) |
/// | `TRACE_SIGNALS` | `poe::signals` | watchers set and removed, arrivals, each delivery, whom a signal stops |
/// | `TRACE_DESTROY` | `poe::destroy` | of a session that is taken apart: the heap's type, options, handlers, what still held it |
/// | `TRACE_FILENAME` | the subscriber's writer | |
/// | `TRACE_PROFILE`, `TRACE_STATISTICS` | (without effect in POE, too) `poe::slow` | see [`report_slow_handlers`](Self::report_slow_handlers) |
/// | `ASSERT_DEFAULT` | all three of those below | |
/// | `ASSERT_DATA`, `ASSERT_EVENTS`, `ASSERT_FILES` | [`assert_data`](Self::assert_data), [`Kernel::check`] | that the kernel's tables agree |
/// | `ASSERT_RETVALS` | [`assert_retvals`](Self::assert_retvals) | that no method fails |
/// | `ASSERT_STATES` | [`assert_states`](Self::assert_states) | that each event finds a handler |
/// | `ASSERT_USAGE` | the types | what is left, such as an unknown ID, is an error that names it, in every build |
/// | `POE_`*name* in the environment | [`environment`](Self::environment) | |
///
/// ```
/// // A program that shows the events and nothing else, if it is started with `RUST_LOG=poe::events=trace`.
/// use tracing_subscriber::EnvFilter;
/// tracing_subscriber::fmt().with_env_filter(EnvFilter::from_default_env()).init();
/// # let kernel = poe::Kernel::new();
/// ```
#[doc(alias = "TRACE_DEFAULT")]
#[doc(alias = "TRACE_EVENTS")]
#[doc(alias = "TRACE_FILES")]
#[doc(alias = "TRACE_REFCNT")]
#[doc(alias = "TRACE_RETVALS")]
#[doc(alias = "TRACE_SESSIONS")]
#[doc(alias = "TRACE_SIGNALS")]
#[doc(alias = "TRACE_DESTROY")]
#[doc(alias = "ASSERT_DEFAULT")]
#[doc(alias = "ASSERT_USAGE")]
#[derive(Clone, Debug)]
#[must_use]
pub struct KernelBuilder {
    pub(crate) config: Config,
}

/// All settings with their defaults in one place.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// Events handled before the kernel gives way to its host.
    pub(crate) budget: u32,
    /// … and the time after which it does so in any case, in nanoseconds.
    pub(crate) slice_nanos: u64,
    /// How much later than asked a timer may be woken for, in nanoseconds.
    pub(crate) timer_slack: u64,
    /// Report handlers that run longer than this many nanoseconds; `u64::MAX` for never.
    pub(crate) slow_nanos: u64,
    pub(crate) catch_exceptions: bool,
    /// New sessions have the option `default`.
    pub(crate) assert_states: bool,
    /// An error that a method returns is a panic.
    pub(crate) assert_retvals: bool,
    /// The tables are checked after each slice.
    pub(crate) assert_data: bool,
    /// Messages from other threads that may wait.
    pub(crate) inbox: usize,
    #[cfg_attr(not(feature = "testing"), allow(dead_code))]
    pub(crate) virtual_time: bool,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            budget: 1024,
            slice_nanos: 100_000,
            timer_slack: 0,
            slow_nanos: u64::MAX,
            catch_exceptions: true,
            assert_states: false,
            assert_retvals: false,
            assert_data: false,
            inbox: 65_536,
            virtual_time: false,
        }
    }
}

impl KernelBuilder {
    /// How many events the kernel handles at most before it gives way to its host; default 1024, at least 1. What bounds
    /// the wait of other tasks is [`slice`](Self::slice); this only spares the kernel from looking at the clock for each event.
    ///
    /// With 1 the host's I/O is polled after every event, exactly as POE does between generations (law L6), for about
    /// thirty times the price of an event.
    pub fn budget(mut self, events: u32) -> Self {
        self.config.budget = events.max(1);
        self
    }

    /// How long the kernel handles events at most before it gives way to its host; default 100 µs.
    pub fn slice(mut self, limit: Duration) -> Self {
        self.config.slice_nanos = nanos(limit);
        self
    }

    /// How much later than asked for a timer may be woken for; default 0. From 1 ms on, Tokio's own coarse timers are
    /// used instead of a timerfd: fewer wake-ups, later timers.
    pub fn timer_slack(mut self, slack: Duration) -> Self {
        self.config.timer_slack = nanos(slack);
        self
    }

    /// Warns, by a `tracing` event of target `poe::slow`, of each handler that runs longer than this; default never.
    /// It costs two readings of the clock per event.
    pub fn report_slow_handlers(mut self, longer_than: Duration) -> Self {
        self.config.slow_nanos = nanos(longer_than);
        self
    }

    /// POE's `CATCH_EXCEPTIONS`; default true. With false a failing handler raises no `DIE`: all sessions are stopped
    /// and [`Kernel::run`] returns the failure (law L68).
    ///
    /// ```
    /// use poe::{Kernel, Session, Signal, event::START};
    /// # tokio_test::block_on(async {
    /// let kernel = Kernel::builder().catch_exceptions(false).build();
    /// Session::builder(())
    ///     .on(START, |cx, ()| {
    ///         cx.sig("DIE", "on die");
    ///         cx.yield_to("fail", ());
    ///     })
    ///     .on("fail", |_, ()| -> poe::Handled { Err(poe::Failure::msg("out of paper")) })
    ///     .on("on die", |_, _: Signal| unreachable!("nobody is asked"))
    ///     .create(&kernel)?;
    /// let error = kernel.run().await.unwrap_err();
    /// assert_eq!(error.to_string(), "event `fail` of session 1 failed: out of paper");
    /// assert_eq!(kernel.session_count(), 0);
    /// # Ok::<(), poe::Error>(()) }).unwrap();
    /// ```
    #[doc(alias = "CATCH_EXCEPTIONS")]
    pub fn catch_exceptions(mut self, catch: bool) -> Self {
        self.config.catch_exceptions = catch;
        self
    }

    /// How many messages of [`KernelHandle`]s may wait; default 65 536. A post to a full inbox is refused.
    pub fn inbox_capacity(mut self, messages: usize) -> Self {
        self.config.inbox = messages.max(1);
        self
    }

    /// Makes the kernel.
    pub fn build(self) -> Kernel {
        let core = Core::new(self.config);
        core.refresh_watching();
        Kernel {
            owner: Rc::new(Owner { core }),
        }
    }
}

fn nanos(d: Duration) -> u64 {
    u64::try_from(d.as_nanos()).unwrap_or(u64::MAX)
}

impl Kernel {
    /// A kernel with the default settings and no session.
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// Settings for a kernel.
    pub fn builder() -> KernelBuilder {
        KernelBuilder {
            config: Config::default(),
        }
    }

    pub(crate) fn core(&self) -> &Core {
        &self.owner.core
    }

    /// The kernel's own ID: the sender of what comes from outside, and a target to which every post is swallowed.
    ///
    /// ```
    /// let kernel = poe::Kernel::new();
    /// assert!(kernel.id().is_kernel());
    /// kernel.post(kernel.id(), "anything", ())?; // swallowed
    /// kernel.signal(kernel.id(), "TERM", ())?; // for everybody
    /// assert_ne!(kernel.id(), poe::Kernel::new().id()); // kernels do not take each other's
    /// # Ok::<(), poe::Error>(())
    /// ```
    #[doc(alias = "ID")]
    #[must_use]
    pub fn id(&self) -> SessionId {
        self.core().id()
    }

    /// The session whose handler is running, or the kernel's own ID when none is.
    ///
    /// ```
    /// use poe::{Kernel, Session, event::START};
    /// # tokio_test::block_on(async {
    /// let kernel = Kernel::new();
    /// let clone = kernel.clone();
    /// Session::builder(())
    ///     .on(START, move |cx, ()| assert_eq!(clone.active_session(), cx.session_id()))
    ///     .create(&kernel)?;
    /// assert_eq!(kernel.active_session(), kernel.id());
    /// kernel.run().await
    /// # }).unwrap();
    /// ```
    #[doc(alias = "get_active_session")]
    #[must_use]
    pub fn active_session(&self) -> SessionId {
        self.core().active.session()
    }

    /// How many sessions are alive.
    ///
    /// ```
    /// use poe::{Kernel, Session, event::START};
    /// # tokio_test::block_on(async {
    /// let kernel = Kernel::new();
    /// for _ in 0..3 {
    ///     Session::builder(()).on(START, |_, ()| ()).create(&kernel)?;
    /// }
    /// assert_eq!(kernel.session_count(), 3); // the kernel itself does not count
    /// kernel.run().await?;
    /// assert_eq!(kernel.session_count(), 0);
    /// # Ok::<(), poe::Error>(()) }).unwrap();
    /// ```
    #[must_use]
    pub fn session_count(&self) -> usize {
        self.core().sessions.borrow().count()
    }
}

impl Default for Kernel {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Kernel {
    /// Counts, for someone with a stuck program; [`Kernel::why_alive`] says more.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let core = self.core();
        f.debug_struct("Kernel")
            .field("sessions", &self.session_count())
            .field("events", &core.queue.try_borrow().map_or(0, |q| q.len()))
            .field("tasks", &core.tasks.count())
            .field("running", &core.run.running.get())
            .finish()
    }
}

/// The session and event that are being handled.
#[derive(Clone, Copy)]
pub(crate) struct Active {
    pub(crate) session: SessionId,
    /// `NameIdx::NONE` outside handlers.
    pub(crate) event: NameIdx,
}

/// [`Active`] field by field, each read as it was written. A copy of the whole is loaded in wider pieces than it was stored
/// in, and a load that spans two stores waits for both to leave the processor's store buffer; that cost more than the
/// rest of a dispatch. The same goes for everything else that an event's way leads through.
pub(crate) struct ActiveCell {
    serial: Cell<u64>,
    slot: Cell<u32>,
    kernel: u32,
    event: Cell<NameIdx>,
}

impl ActiveCell {
    fn new(kernel: u32) -> Self {
        ActiveCell {
            serial: Cell::new(0),
            slot: Cell::new(KERNEL),
            kernel,
            event: Cell::new(NameIdx::NONE),
        }
    }

    #[inline]
    pub(crate) fn session(&self) -> SessionId {
        SessionId {
            serial: self.serial.get(),
            slot: self.slot.get(),
            kernel: self.kernel,
        }
    }

    /// `NameIdx::NONE` outside handlers.
    #[inline]
    pub(crate) fn event(&self) -> NameIdx {
        self.event.get()
    }

    #[inline]
    fn get(&self) -> Active {
        Active {
            session: self.session(),
            event: self.event(),
        }
    }

    /// Nobody, outside handlers.
    #[inline]
    fn set_idle(&self) {
        self.serial.set(0);
        self.slot.set(KERNEL);
        self.event.set(NameIdx::NONE);
    }

    #[inline]
    fn set(&self, active: Active) {
        self.serial.set(active.session.serial);
        self.slot.set(active.session.slot);
        self.event.set(active.event);
    }
}

/// Everything inside a kernel. (`pub` only for the sealed half of [`Caller`]; no path leads here.) No method keeps a borrow of these while it calls a handler or drops what a user gave.
#[allow(unreachable_pub)]
pub struct Core {
    /// For what must outlive a borrow (postbacks, wheels) without keeping the kernel.
    me: Weak<Core>,
    /// Tells this kernel's identifiers from those of others in the process.
    tag: u32,
    config: Config,
    catching: Cell<bool>,
    pub(crate) names: Rc<Names>,
    pub(crate) clock: Clock,
    pub(crate) shared: Arc<Shared>,
    pub(crate) sessions: RefCell<Sessions<Rc<dyn Invoke>>>,
    queue: RefCell<Queue>,
    aliases: RefCell<Aliases>,
    extrefs: RefCell<Extrefs>,
    /// What other crates' resources hold …
    outside: RefCell<Outside>,
    /// … and these themselves.
    resources: resource::Resources,
    signals: RefCell<Signals>,
    listeners: os_signal::Listeners,
    #[cfg(unix)]
    children: RefCell<crate::resource::children::Children>,
    #[cfg(unix)]
    processes: child::Processes,
    pub(crate) tasks: task::Tasks,
    #[cfg(unix)]
    selects: Rc<select::Selects>,
    inbox: Arc<handle::Inbox>,
    dead_letters: RefCell<Option<handle::DeadLetterHook>>,
    deadline: RefCell<Deadline>,
    pub(crate) active: ActiveCell,
    /// Handlers, or the kernel's own work between them, are on the stack: what runs handlers at once must come by a context.
    pub(crate) busy: Cell<bool>,
    run: RunState,
    die: die::DieState,
    /// How often the signal that is being dispatched was handled; `None` outside.
    handled: Cell<Option<u32>>,
    observer: trace::Observer,
    next_wheel: Cell<u64>,
    /// The one read buffer of all wheels, out while one of them reads.
    read_buffer: Cell<Option<Box<[u8]>>>,
}

/// Where `run` stands.
struct RunState {
    /// A future of `run` or `serve` is alive.
    running: Cell<bool>,
    /// A future is alive and its poll is not on the stack: whoever gives the kernel something to do must wake it.
    asleep: Cell<bool>,
    /// The kernel watches IDLE, as it does under `run` only (law L43).
    idle_watch: Cell<bool>,
    /// The host has had a turn since something was due.
    host_asked: Cell<bool>,
    /// A signal has stopped the kernel itself: the run is over.
    over: Cell<bool>,
    /// `stop` was called, which ends `serve`.
    stop_asked: Cell<bool>,
    /// A generation that giving way to the host has cut in two.
    unfinished: Cell<Option<Generation>>,
    shutdown: RefCell<Option<shutdown::Shutdown>>,
    /// `shutdown` is set.
    shutting_down: Cell<bool>,
    /// The ticket of the shutdown that drives the kernel in the place of a run; 0 if none does.
    seat: Cell<u64>,
    /// The last ticket for it.
    tickets: Cell<u64>,
    /// Those who wait for the end of a run, or for the seat.
    waiting: RefCell<Vec<Waker>>,
}

static KERNELS: AtomicU32 = AtomicU32::new(1);

/// Octets that one read of a wheel takes at most (POE's default block size).
pub(crate) const READ_BUFFER: usize = 65_536;

impl Core {
    fn new(config: Config) -> Rc<Self> {
        let tag = KERNELS.fetch_add(1, Ordering::Relaxed);
        let shared = Arc::new(Shared::default());
        Rc::new_cyclic(|me| Core {
            me: me.clone(),
            tag,
            catching: Cell::new(config.catch_exceptions),
            names: Names::current(),
            clock: Self::clock_for(&config),
            sessions: RefCell::new(Sessions::new(tag)),
            queue: RefCell::new(Queue::new()),
            aliases: RefCell::default(),
            extrefs: RefCell::default(),
            outside: RefCell::default(),
            resources: resource::Resources::default(),
            signals: RefCell::default(),
            listeners: os_signal::Listeners::default(),
            #[cfg(unix)]
            children: RefCell::default(),
            #[cfg(unix)]
            processes: child::Processes::default(),
            tasks: task::Tasks::new(shared.clone()),
            #[cfg(unix)]
            selects: Rc::default(),
            inbox: handle::Inbox::new(shared.clone(), config.inbox, tag),
            dead_letters: RefCell::default(),
            shared,
            deadline: RefCell::default(),
            active: ActiveCell::new(tag),
            busy: Cell::new(false),
            run: RunState {
                running: Cell::new(false),
                asleep: Cell::new(false),
                idle_watch: Cell::new(false),
                host_asked: Cell::new(false),
                over: Cell::new(false),
                stop_asked: Cell::new(false),
                unfinished: Cell::new(None),
                shutdown: RefCell::new(None),
                shutting_down: Cell::new(false),
                seat: Cell::new(0),
                tickets: Cell::new(0),
                waiting: RefCell::default(),
            },
            die: die::DieState::default(),
            handled: Cell::new(None),
            observer: trace::Observer::new(&config),
            next_wheel: Cell::new(1),
            read_buffer: Cell::new(None),
            config,
        })
    }

    #[cfg(feature = "testing")]
    fn clock_for(config: &Config) -> Clock {
        if config.virtual_time {
            Clock::tokio()
        } else {
            Clock::system()
        }
    }

    #[cfg(not(feature = "testing"))]
    fn clock_for(_: &Config) -> Clock {
        Clock::system()
    }

    pub(crate) fn weak(&self) -> Weak<Core> {
        self.me.clone()
    }

    pub(crate) fn id(&self) -> SessionId {
        SessionId {
            serial: 0,
            slot: KERNEL,
            kernel: self.tag,
        }
    }

    pub(crate) fn new_wheel_id(&self) -> WheelId {
        let id = self.next_wheel.get();
        self.next_wheel.set(id + 1);
        WheelId(id)
    }

    /// Lends the kernel's read buffer to `f`; a wheel that reads inside another's reading gets one of its own.
    pub(crate) fn with_read_buffer<T>(&self, f: impl FnOnce(&mut [u8]) -> T) -> T {
        let mut buffer = self
            .read_buffer
            .take()
            .unwrap_or_else(|| vec![0; READ_BUFFER].into_boxed_slice());
        let result = f(&mut buffer);
        self.read_buffer.set(Some(buffer));
        result
    }

    /// Wakes the kernel's future, unless its poll is what we are in.
    #[inline]
    pub(crate) fn wake_host(&self) {
        if self.run.asleep.get() {
            self.shared.notify();
        }
    }

    /// An error is ending the run: nothing more is to be delivered.
    pub(crate) fn is_failing(&self) -> bool {
        self.die.is_fatal()
    }

    /// The wall clock's time, or the virtual one's.
    pub(crate) fn wall_now(&self) -> std::time::SystemTime {
        self.clock.wall(self.clock.now())
    }

    /// Whether time is virtual, so that real descriptors must keep out.
    pub(crate) fn is_virtual(&self) -> bool {
        self.clock.is_tokio()
    }
}
