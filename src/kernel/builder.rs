//! The settings of a kernel. (Those of its checks, POE's ASSERT_*, are in `assert.rs`.)

use super::{Core, Kernel, Owner};
use crate::error::OnFailure;
use std::rc::Rc;
use std::time::Duration;

/// Settings of a [`Kernel`]; the defaults are those of [`Kernel::new`].
///
/// ```
/// use std::time::Duration;
/// let kernel = poe::Kernel::builder()
///     .budget(64) // pieces of work at most, …
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
/// # POE's constants
///
/// POE's switches are constants of a program's compilation, and write to standard error. Here traces are `tracing`
/// events at the level TRACE, with one target per subsystem; a subscriber decides what is shown. They cost nothing
/// without a subscriber. Checks are settings of the kernel.
///
/// | POE | here | what it shows or checks |
/// |---|---|---|
/// | `TRACE_DEFAULT` | every target: the filter `poe=trace` | |
/// | `TRACE_EVENTS` | `poe::events`, `poe::timers` | each post, each timer that is set and its delay, each dispatch,
/// with file and line; events without a handler (DEBUG) |
/// | `TRACE_FILES` | `poe::files` | watchers that are set, removed, paused, resumed; each readiness |
/// | `TRACE_REFCNT` | `poe::refcnt` | each hold on a session that begins or ends, with the count |
/// | `TRACE_RETVALS` | `poe::retvals` | each error that a method returns, with the file and line of the call |
/// | `TRACE_SESSIONS` | `poe::sessions` | sessions that begin, stop and are freed; handlers that fail (DEBUG); the options' logs (INFO, WARN) |
/// | `TRACE_SIGNALS` | `poe::signals` | watchers set and removed, arrivals, each delivery, the sessions that a signal
/// stops |
/// | `TRACE_DESTROY` | `poe::destroy` | each session that is freed: the heap's type, options, handlers, remaining holds
/// |
/// | `TRACE_FILENAME` | the subscriber's writer | |
/// | `TRACE_PROFILE`, `TRACE_STATISTICS` | (without effect in POE, too) `poe::slow` | see [`report_slow_handlers`](Self::report_slow_handlers) |
/// | `ASSERT_DEFAULT` | all three of those below | |
/// | `ASSERT_DATA`, `ASSERT_EVENTS`, `ASSERT_FILES` | [`assert_data`](Self::assert_data), [`Kernel::check`] | that the kernel's tables agree |
/// | `ASSERT_RETVALS` | [`assert_retvals`](Self::assert_retvals) | that no method fails |
/// | `ASSERT_STATES` | [`assert_states`](Self::assert_states) | that each event finds a handler |
/// | `ASSERT_USAGE` | the types | other mistakes, such as an unknown ID, are errors in every build |
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
    /// The name that the program has given the kernel.
    pub(crate) name: Option<String>,
    /// Pieces of work done before the kernel yields to its host.
    pub(crate) budget: u32,
    /// … and the time after which it does so in any case, in nanoseconds.
    pub(crate) slice_nanos: u64,
    /// How much later than asked a timer may be woken for, in nanoseconds.
    pub(crate) timer_slack: u64,
    /// Report handlers that run longer than this many nanoseconds; `u64::MAX` for never.
    pub(crate) slow_nanos: u64,
    pub(crate) catch_exceptions: bool,
    /// The policy of sessions that have none and inherit none; `StopKernel` unless set.
    pub(crate) on_failure: Option<OnFailure>,
    /// New sessions have the option `default`.
    pub(crate) assert_states: bool,
    /// An error that a method returns is a panic.
    pub(crate) assert_retvals: bool,
    /// The tables are checked after each slice.
    pub(crate) assert_data: bool,
    /// The default action of a signal of the system stays off when its last watcher is gone.
    pub(crate) keep_signal_handlers: bool,
    /// Messages from other threads that may wait.
    pub(crate) inbox: usize,
    /// Threads for work that blocks, at most.
    pub(crate) blocking_threads: usize,
    /// Bytes of the stack that nested handlers may use.
    pub(crate) call_stack: usize,
    #[cfg_attr(not(feature = "testing"), allow(dead_code))]
    pub(crate) virtual_time: bool,
    #[cfg(feature = "metrics")]
    pub(crate) metrics: Option<super::Metrics>,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            name: None,
            budget: 1024,
            slice_nanos: 100_000,
            timer_slack: 0,
            slow_nanos: u64::MAX,
            catch_exceptions: true,
            on_failure: None,
            assert_states: false,
            assert_retvals: false,
            assert_data: false,
            keep_signal_handlers: false,
            inbox: 65_536,
            blocking_threads: 64,
            call_stack: CALL_STACK,
            virtual_time: false,
            #[cfg(feature = "metrics")]
            metrics: None,
        }
    }
}

impl Config {
    pub(super) fn on_failure(&self) -> OnFailure {
        self.on_failure.unwrap_or(OnFailure::StopKernel)
    }
}

impl KernelBuilder {
    /// Sets the kernel's [name](Kernel::name), for logs and other kernels; unique by default.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.config.name = Some(name.into());
        self
    }

    /// Sets how many pieces of work the kernel does before it yields to its host; default 1024, at least 1.
    ///
    /// An event, a record, a read, an accept, a poll of a task, and a message from another thread are one piece each.
    /// The [`slice`](Self::slice) bounds how long other tasks wait; this setting only saves readings of the clock.
    ///
    /// A yield is a pause and changes no order. With 1, the exact mode, the host's I/O is polled after every event, for
    /// about thirty times the price of an event; what becomes ready meanwhile still waits for the next slice.
    pub fn budget(mut self, events: u32) -> Self {
        self.config.budget = events.max(1);
        self
    }

    /// Sets how long the kernel works before it yields to its host; default 100 µs. A single handler that takes longer
    /// is not interrupted.
    pub fn slice(mut self, limit: Duration) -> Self {
        self.config.slice_nanos = nanos(limit);
        self
    }

    /// Sets how much later than due a timer may fire; default 0. From 1 ms on, Tokio's coarse timers replace the
    /// timerfd: fewer wake-ups, later timers.
    pub fn timer_slack(mut self, slack: Duration) -> Self {
        self.config.timer_slack = nanos(slack);
        self
    }

    /// Warns of each handler that runs longer than this, with a `tracing` event of the target `poe::slow`; default
    /// never. It costs two readings of the clock per event.
    pub fn report_slow_handlers(mut self, longer_than: Duration) -> Self {
        self.config.slow_nanos = nanos(longer_than);
        self
    }

    /// Has the kernel tell its figures to the `metrics` facade (feature `metrics`); see [`Metrics`](crate::inspect::Metrics) for their names.
    ///
    /// The recorder must be installed before the kernel is built. Without this setting nothing is counted.
    #[cfg(feature = "metrics")]
    pub fn metrics(mut self, metrics: super::Metrics) -> Self {
        self.config.metrics = Some(metrics);
        self
    }

    /// Sets whether a failing handler raises `DIE` (POE's `CATCH_EXCEPTIONS`); default true. With false all sessions
    /// are stopped, and [`Kernel::run`] returns the failure (law L68).
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
    ///     .on("fail", |_, ()| -> poe::HandlerResult { Err(poe::Failure::msg("out of paper")) })
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

    /// Keeps a system signal without effect after the last session that watched it is gone.
    ///
    /// By default the signal's default action is restored then: `TERM` and `INT` end the process. Use this setting in a
    /// program that handles such a signal itself, with Tokio or another crate, and starts to do so after a session of
    /// the kernel has. (On Linux an earlier handler is detected, with the same effect.) It applies to the whole
    /// process, permanently: a signal that such a kernel has watched never gets its default action back.
    ///
    /// ```
    /// # #[cfg(unix)] {
    /// use poe::{Kernel, Session, Signal, event::START};
    /// # tokio_test::block_on(async {
    /// let kernel = Kernel::builder().keep_signal_handlers().build();
    /// Session::builder(())
    ///     .on(START, |cx, ()| cx.sig("USR1", "on usr1"))
    ///     .on("on usr1", |_, _: Signal| ())
    ///     .create(&kernel)?;
    /// kernel.run().await?;
    /// // No watcher is left. Without the setting this would end the process.
    /// rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::USR1).unwrap();
    /// # Ok::<(), poe::Error>(()) }).unwrap();
    /// # }
    /// ```
    pub fn keep_signal_handlers(mut self) -> Self {
        self.config.keep_signal_handlers = true;
        self
    }

    /// Sets what stops after an unhandled failure: every session (the default, as in POE), or the failed session.
    ///
    /// It is the policy of sessions that neither have nor inherit one; see [`OnFailure`]. With
    /// [`catch_exceptions(false)`](Self::catch_exceptions) no policy applies: each failure ends the run.
    ///
    /// ```
    /// use poe::{Kernel, OnFailure, Session, event::START};
    /// # tokio_test::block_on(async {
    /// let kernel = Kernel::builder().on_failure(OnFailure::StopSession).build();
    /// Session::builder(()).on(START, |_, ()| panic!("a bug")).create(&kernel)?;
    /// kernel.run().await // logs the failure, and continues without the session
    /// # }).unwrap();
    /// ```
    #[doc(alias = "supervisor")]
    #[doc(alias = "supervision strategy")]
    #[doc(alias = "let it crash")]
    pub fn on_failure(mut self, policy: OnFailure) -> Self {
        self.config.on_failure = Some(policy);
        self
    }

    /// Sets how many messages of [`KernelHandle`](crate::KernelHandle)s may wait; default 65 536. A post to a full
    /// inbox is refused.
    pub fn inbox_capacity(mut self, messages: usize) -> Self {
        self.config.inbox = messages.max(1);
        self
    }

    /// Sets the maximum number of threads for blocking work; default 64, at least 1.
    ///
    /// They run the work of [`blocking`](crate::KernelRef::blocking) and look up host names. Work waits while all of
    /// them are busy. Threads are started on demand, end after 10 idle seconds, and never keep the process from
    /// exiting. On virtual time the kernel uses Tokio's threads, and this setting has no effect.
    ///
    /// ```
    /// use poe::{Event, Kernel, Session, event::START};
    /// const ADDED: Event<u32> = Event::new("added");
    /// # tokio_test::block_on(async {
    /// let kernel = Kernel::builder().blocking_threads(4).build();
    /// Session::builder(())
    ///     .on(START, |cx, ()| { cx.blocking(|| (1..=100).sum(), ADDED); })
    ///     .on(ADDED, |_, sum| assert_eq!(sum, 5050))
    ///     .create(&kernel)?;
    /// kernel.run().await
    /// # }).unwrap();
    /// ```
    pub fn blocking_threads(mut self, threads: usize) -> Self {
        self.config.blocking_threads = threads.max(1);
        self
    }

    /// Limits the stack that nested handlers may use, in bytes; default 1 MiB, on Windows 512 KiB.
    ///
    /// A handler that calls, creates a session or detaches one runs other handlers before it returns. Beyond the limit
    /// such a request is refused ([`CallError::is_too_deep`](crate::CallError::is_too_deep)), so that an endless
    /// recursion is an error and not a stack overflow, which would end the process. Threads that Rust starts have a
    /// stack of 2 MiB, a main thread mostly 8 MiB (on Windows 1 MiB): raise the limit only together with the stack, and
    /// leave room for one handler and for the host.
    ///
    /// ```
    /// use poe::{Event, Kernel, Session, event::START};
    /// const AGAIN: Event<()> = Event::new("again");
    /// let kernel = Kernel::builder().call_stack(100_000).build();
    /// let id = Session::builder(0)
    ///     .on(START, |_, ()| ())
    ///     .on(AGAIN, |cx, ()| -> poe::HandlerResult {
    ///         *cx.heap += 1;
    ///         Ok(cx.call(cx.session_id(), AGAIN, ())?) // for ever
    ///     })
    ///     .create(&kernel)?;
    /// assert!(kernel.call(id, AGAIN, ()).unwrap_err().is_died());
    /// # Ok::<(), poe::Error>(())
    /// ```
    pub fn call_stack(mut self, bytes: usize) -> Self {
        self.config.call_stack = bytes;
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

/// Half of the smallest stack that a thread commonly has there.
const CALL_STACK: usize = if cfg!(windows) { 512 << 10 } else { 1 << 20 };

fn nanos(d: Duration) -> u64 {
    u64::try_from(d.as_nanos()).unwrap_or(u64::MAX)
}
