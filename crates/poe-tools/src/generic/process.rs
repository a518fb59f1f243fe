//! An object in a child process, over POE::Filter::Reference.
//!
//! | state | wheel | next |
//! |---|---|---|
//! | running | there | down, when the program has ended |
//! | down | none | running, after the wait of the backoff; over without one |
//! | over | there until the program has ended | – |

use super::error::{GenericErrorKind, Refusal};
use super::serve::Reply;
use super::{GenericError, GenericRefused};
use crate::life;
use poe::component::Backoff;
use poe::event::{Posts, START, STOP};
use poe::extend::{Caller, Start};
use poe::filter::{Reference, ReferenceLimits, Serializer, Storable};
use poe::storable::Settings;
use poe::wheel::{Exited, Input, IoError, Run};
use poe::{
    Context, Error, Event, Failure, HandlerResult, Kernel, KernelRef, OnFailure, Session, SessionBuilder, SessionId,
    TaskId, TimerId,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::process::Command;
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::oneshot;

const FAILED: Event<IoError> = Event::new("poe_tools_process_failed");
const ENDED: Event<Exited> = Event::new("poe_tools_process_ended");
const AGAIN: Event<()> = Event::new("poe_tools_process_again");
const WATCH: Event<()> = Event::new("poe_tools_process_watch");
const TIME_UP: Event<u64> = Event::new("poe_tools_process_time_up");
const TOO_LATE: Event<()> = Event::new("poe_tools_process_too_late");

/// The time between TERM and KILL for a program that does not end by itself.
const GRACE: Duration = Duration::from_secs(2);

/// An object in a child process: requests of type `Q` with replies of type `R`.
///
/// The child is a program of yours whose `main` calls [`serve_process`](crate::serve_process), or any program that reads and writes frames of
/// `POE::Filter::Reference` with Storable: requests are `[number, request]`, and replies `[number, {Ok => value}]` or
/// `[number, {Err => text}]`. It may crash, leak or hang without harm to this process. Requests are served in their order.
///
/// When the process ends, the calls that wait end with [`GenericError::is_ended`]. Then it is started again after the wait of
/// [`restart`](GenericProcessBuilder::restart), or, without one, the component's session fails, which its supervisor sees.
///
/// After [`SHUTDOWN`](crate::SHUTDOWN) no request is taken, those that were are served, and the program sees the end of its input. It is stopped
/// with TERM and KILL if it does not end within [`grace`](GenericProcessBuilder::grace).
///
/// ```
/// use poe::{Event, Kernel, Session, event::START};
/// use poe_tools::{GenericError, GenericProcess};
/// use std::process::Command;
/// const SUM: Event<Result<u64, GenericError>> = Event::new("sum");
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), poe::Error> {
/// let kernel = Kernel::new();
/// // A program that ends without a reply; yours calls `serve_process`.
/// let adder = GenericProcess::<(u64, u64), u64>::builder(|| Command::new("true")).start(&kernel)?;
/// Session::builder(())
///     .on(START, move |cx, ()| -> poe::HandlerResult {
///         adder.call(cx, (20, 22), SUM)?;
///         Ok(())
///     })
///     .on(SUM, |_, sum| match sum {
///         Ok(sum) => println!("{sum}"),
///         Err(error) => assert!(error.is_ended()),
///     })
///     .create(&kernel)?;
/// kernel.run().await
/// # }
/// ```
#[doc(alias = "POE::Component::Generic")]
pub struct GenericProcess<Q: 'static, R: 'static> {
    session: SessionId,
    shared: Rc<Shared<Q, R>>,
}

impl<Q, R> Clone for GenericProcess<Q, R> {
    fn clone(&self) -> Self {
        GenericProcess {
            session: self.session,
            shared: self.shared.clone(),
        }
    }
}

type Waiting<R> = oneshot::Sender<Result<R, GenericError>>;

/// What the session and the handles share.
struct Shared<Q: 'static, R: 'static> {
    settings: GenericProcessBuilder<Q, R>,
    wheel: RefCell<Option<Run>>,
    /// Those who wait for replies, by the numbers of their requests.
    waiting: RefCell<BTreeMap<u64, Waiting<R>>>,
    last: Cell<u64>,
    closed: Cell<bool>,
    /// The program was killed, and its end is not known yet.
    condemned: Cell<bool>,
    /// Why the program could not be started the first time.
    start_error: Cell<Option<Error>>,
    /// The limit of the first request that waits.
    timer: Cell<Option<TimerId>>,
    /// Ends in a row without a reply in between.
    failures: Cell<u32>,
}

impl<Q, R> GenericProcess<Q, R>
where
    Q: Serialize + DeserializeOwned + 'static,
    R: Serialize + DeserializeOwned + 'static,
{
    /// Starts building one with the function that makes the command, for each start.
    pub fn builder(command: impl Fn() -> Command + 'static) -> GenericProcessBuilder<Q, R> {
        GenericProcessBuilder {
            command: Box::new(command),
            alias: None,
            capacity: 1024,
            max_output: 64 << 20,
            limits: ReferenceLimits::default(),
            time_limit: None,
            restart: None,
            grace: Duration::from_secs(5),
            types: PhantomData,
        }
    }

    /// Sends a request. Its reply comes as the event `done` to the running session, which is kept alive until then.
    ///
    /// # Errors
    /// Too many requests wait; the process is not running; the request cannot be serialized; the component was shut down. The error gives the
    /// request back.
    #[track_caller]
    pub fn call(
        &self,
        cx: &KernelRef<'_>,
        request: Q,
        done: impl Posts<Result<R, GenericError>>,
    ) -> Result<TaskId, GenericRefused<Q>> {
        let shared = &self.shared;
        let refused = |call, why| Err(GenericRefused { call, why });
        if shared.closed.get() {
            return refused(request, Refusal::Closed);
        }
        let number = shared.last.get() + 1;
        {
            let wheel = shared.wheel.borrow();
            let Some(wheel) = wheel.as_ref().filter(|_| !shared.condemned.get()) else {
                return refused(request, Refusal::Down);
            };
            let is_full = self.waiting() >= shared.settings.capacity;
            if is_full || wheel.buffered_bytes() >= shared.settings.max_output {
                return refused(request, Refusal::Full(shared.settings.capacity));
            }
            let request = Rc::new(request);
            if let Err(error) = wheel.put((number, request.clone())) {
                let why = match error.is_closed() {
                    true => Refusal::Down,
                    false => Refusal::Unserializable(error.to_string()),
                };
                drop(error);
                match Rc::into_inner(request) {
                    Some(request) => return refused(request, why),
                    None => unreachable!("the filter keeps no request"),
                }
            }
        }
        let (sender, reply) = oneshot::channel();
        let is_first = shared.waiting.borrow().is_empty();
        shared.last.set(number);
        shared.waiting.borrow_mut().insert(number, sender);
        if is_first && shared.settings.time_limit.is_some() {
            // It is alive as long as it has a wheel.
            let _ = cx.post(self.session, WATCH, ());
        }
        let waits = async move {
            let reply = reply.await;
            reply.unwrap_or_else(|_| Err(GenericError::ended("the component was stopped")))
        };
        Ok(cx.spawn(waits, done))
    }

    /// Sends a signal to the program, such as `"KILL"`; false if it does not run.
    ///
    /// # Errors
    /// There is no such signal.
    pub fn kill(&self, signal: &str) -> Result<bool, Error> {
        let wheel = self.shared.wheel.borrow();
        wheel.as_ref().map_or(Ok(false), |wheel| wheel.kill(signal))
    }

    /// Returns the number of the process, while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.shared.wheel.borrow().as_ref()?.pid()
    }

    /// Returns how many requests wait for their replies.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.shared.waiting.borrow().len()
    }

    /// Serves what waits, and ends the program and the component; with an event ([`SHUTDOWN`](crate::SHUTDOWN)).
    #[track_caller]
    pub fn shutdown(&self, cx: &KernelRef<'_>) {
        // It may have ended.
        let _ = cx.post(self.session, crate::SHUTDOWN, ());
    }

    /// Returns its session.
    #[must_use]
    pub fn session_id(&self) -> SessionId {
        self.session
    }
}

impl<Q, R> fmt::Debug for GenericProcess<Q, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GenericProcess")
            .field("session", &self.session)
            .field("pid", &self.shared.wheel.borrow().as_ref().and_then(Run::pid))
            .field("waiting", &self.shared.waiting.borrow().len())
            .finish()
    }
}

/// Freezes requests, which the caller gets back if that fails.
struct Requests<Q>(PhantomData<fn(Q)>);

impl<Q: Serialize + 'static> Serializer for Requests<Q> {
    type Record = (u64, Rc<Q>);

    fn freeze(&self, (number, request): &(u64, Rc<Q>)) -> Result<Vec<u8>, Cause> {
        Ok(Settings::new().to_vec(&(number, &**request))?)
    }

    fn thaw(&self, _: &[u8], _: &ReferenceLimits) -> Result<(u64, Rc<Q>), Cause> {
        Err("requests are written only".into())
    }
}

type Cause = Box<dyn std::error::Error + Send + Sync>;
type Cx<'k, Q, R> = Context<'k, Rc<Shared<Q, R>>>;

impl<Q, R> Shared<Q, R>
where
    Q: Serialize + DeserializeOwned + 'static,
    R: Serialize + DeserializeOwned + 'static,
{
    const REPLY: Event<Input<Reply<R>>> = Event::new("poe_tools_process_reply");

    fn launch(&self, cx: &KernelRef<'_>) -> Result<(), Error> {
        let limits = self.settings.limits;
        let wheel = Run::builder((self.settings.command)())
            .stdin_filter(Reference::new(Requests::<Q>(PhantomData)).limits(limits))
            .stdout(Reference::new(Storable::<Reply<R>>::new()).limits(limits), Self::REPLY)
            .error(FAILED)
            .ended(ENDED)
            .start(cx)?;
        self.condemned.set(false);
        *self.wheel.borrow_mut() = Some(wheel);
        Ok(())
    }

    /// Kills the program, whose replies nobody wants any more.
    fn condemn(&self, why: &str) {
        if let Some(wheel) = &*self.wheel.borrow() {
            self.condemned.set(true);
            // It may have ended by itself.
            let _ = wheel.kill_group("KILL");
        }
        self.fail_all(&GenericError::ended(why));
    }

    /// Starts the time of the first request that waits.
    fn watch(&self, cx: &KernelRef<'_>) {
        if let Some(timer) = self.timer.take() {
            // It may be the event that is handled.
            let _ = cx.alarm_remove(timer);
        }
        let first = self.waiting.borrow().keys().next().copied();
        if let (Some(limit), Some(first)) = (self.settings.time_limit, first) {
            self.timer.set(Some(cx.delay_set(TIME_UP, limit, first)));
        }
    }

    fn fail_all(&self, error: &GenericError) {
        let waiting = self.waiting.take();
        for waiting in waiting.into_values() {
            // The caller may have gone.
            drop(waiting.send(Err(error.clone())));
        }
    }

    fn session(self: &Rc<Self>) -> SessionBuilder<Rc<Self>> {
        let session = Session::builder(self.clone())
            .on_failure(OnFailure::StopSession)
            .on(START, |cx, ()| -> HandlerResult {
                life::begin(cx, cx.heap.settings.alias.as_deref(), "generic process")?;
                if let Err(error) = cx.heap.launch(cx) {
                    cx.heap.start_error.set(Some(error));
                    life::end(cx);
                }
                Ok(())
            })
            .on(Self::REPLY, |cx, input| {
                let (number, reply) = input.record;
                let waiting = cx.heap.waiting.borrow_mut().remove(&number);
                cx.heap.failures.set(0);
                match waiting {
                    Some(waiting) => {
                        drop(waiting.send(reply.map_err(|text| GenericError(GenericErrorKind::Failed(text)))))
                    }
                    None if cx.heap.condemned.get() => {}
                    None => cx
                        .heap
                        .condemn("its process has replied to a request that was not made"),
                }
                cx.heap.watch(cx);
            })
            .on(FAILED, |cx, error| {
                if error.is_eof() {
                    // It cannot reply any more, and is about to end.
                    cx.delay(TOO_LATE, cx.heap.settings.grace, ());
                } else {
                    cx.heap.condemn(&format!("its process was killed: {error}"));
                }
            })
            .on(ENDED, ended)
            .on(AGAIN, |cx, ()| match cx.heap.launch(cx) {
                Ok(()) => Ok(()),
                Err(error) => down(cx, error.to_string()),
            })
            .on(WATCH, |cx, ()| cx.heap.watch(cx))
            .on(TIME_UP, |cx, number| {
                let late = cx.heap.waiting.borrow_mut().remove(&number);
                if let (Some(late), Some(limit)) = (late, cx.heap.settings.time_limit) {
                    drop(late.send(Err(GenericError(GenericErrorKind::TimedOut(limit)))));
                    cx.heap
                        .condemn("its process was killed, since an earlier call took too long");
                }
            })
            .on(TOO_LATE, |cx, ()| {
                if let Some(wheel) = &*cx.heap.wheel.borrow() {
                    wheel.stop(GRACE);
                }
            })
            .on(STOP, |cx, ()| {
                cx.heap.closed.set(true);
                cx.heap.condemn("the component was stopped");
                let wheel = cx.heap.wheel.take();
                drop(wheel);
            });
        life::ends(session, |cx| {
            cx.heap.closed.set(true);
            cx.alarm_clear(AGAIN);
            if let Some(wheel) = &*cx.heap.wheel.borrow() {
                wheel.shutdown_stdin_after_flush();
                cx.delay(TOO_LATE, cx.heap.settings.grace, ());
            }
            life::end(cx);
        })
    }
}

fn ended<Q, R>(cx: &mut Cx<'_, Q, R>, exited: Exited) -> HandlerResult
where
    Q: Serialize + DeserializeOwned + 'static,
    R: Serialize + DeserializeOwned + 'static,
{
    let wheel = cx.heap.wheel.take();
    drop(wheel);
    cx.alarm_clear(TOO_LATE);
    let how = match exited.status {
        Some(status) => format!("its process has ended ({status})"),
        None => "its process has ended".to_owned(),
    };
    down(cx, how)
}

/// The program does not run.
fn down<Q, R>(cx: &mut Cx<'_, Q, R>, how: String) -> HandlerResult
where
    Q: Serialize + DeserializeOwned + 'static,
    R: Serialize + DeserializeOwned + 'static,
{
    cx.heap.fail_all(&GenericError::ended(how.clone()));
    cx.heap.watch(cx);
    if cx.heap.closed.get() {
        return Ok(());
    }
    let failures = cx.heap.failures.get();
    cx.heap.failures.set(failures.saturating_add(1));
    match cx
        .heap
        .settings
        .restart
        .as_ref()
        .and_then(|backoff| backoff.wait(failures))
    {
        Some(wait) => {
            tracing::warn!(target: "poe::tools", "an object is started again: {how}");
            cx.delay(AGAIN, wait, ());
            Ok(())
        }
        None => {
            cx.heap.closed.set(true);
            Err(Failure::msg(how))
        }
    }
}

/// Configures a [`GenericProcess`].
///
/// | setting | default |
/// |---|---|
/// | [`capacity`](Self::capacity) | 1024 requests that wait for replies |
/// | [`max_output`](Self::max_output) | 64 MiB of requests that the process has not read |
/// | [`limits`](Self::limits) | frames of 16 MiB, 1 048 576 items |
/// | [`time_limit`](Self::time_limit) | none |
/// | [`restart`](Self::restart) | none: the component fails |
/// | [`grace`](Self::grace) | 5 s |
/// | [`alias`](Self::alias) | one that is made of the session's number |
#[must_use = "nothing happens until `start` is called"]
pub struct GenericProcessBuilder<Q, R> {
    command: Box<dyn Fn() -> Command>,
    alias: Option<String>,
    capacity: usize,
    max_output: usize,
    limits: ReferenceLimits,
    time_limit: Option<Duration>,
    restart: Option<Backoff>,
    grace: Duration,
    types: PhantomData<fn(Q) -> R>,
}

impl<Q, R> GenericProcessBuilder<Q, R>
where
    Q: Serialize + DeserializeOwned + 'static,
    R: Serialize + DeserializeOwned + 'static,
{
    /// Sets the alias of the component's session.
    pub fn alias(mut self, alias: impl Into<String>) -> Self {
        self.alias = Some(alias.into());
        self
    }

    /// Sets how many requests may wait for their replies. More are refused.
    pub fn capacity(mut self, requests: usize) -> Self {
        self.capacity = requests;
        self
    }

    /// Sets how many bytes of requests may wait for the process to read them. Above that requests are refused.
    pub fn max_output(mut self, bytes: usize) -> Self {
        self.max_output = bytes;
        self
    }

    /// Sets the limits of frames, in both directions. A reply that exceeds them kills the process.
    pub fn limits(mut self, limits: ReferenceLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets how long a request may be served. The process is killed then; the request ends with [`GenericError::is_timed_out`].
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = Some(limit);
        self
    }

    /// Has the program started again when it has ended, after a wait that grows until it replies.
    ///
    /// Without it, or when the backoff's attempts are used up, the component's session fails, with
    /// [`OnFailure::StopSession`]: under a supervisor it is restarted.
    pub fn restart(mut self, backoff: Backoff) -> Self {
        self.restart = Some(backoff);
        self
    }

    /// Sets how long the program may take to end by itself at the shutdown.
    pub fn grace(mut self, limit: Duration) -> Self {
        self.grace = limit;
        self
    }

    /// Starts the program and the component's session, below the kernel.
    ///
    /// # Errors
    /// The program cannot be started, also on virtual time; the alias is taken; a handler is running (use
    /// [`cx.start(builder)`](poe::Context::start)); the kernel is shutting down.
    #[track_caller]
    pub fn start(self, kernel: &Kernel) -> Result<GenericProcess<Q, R>, Error> {
        self.start_by(&mut { kernel })
    }
}

impl<Q, R> Start for GenericProcessBuilder<Q, R>
where
    Q: Serialize + DeserializeOwned + 'static,
    R: Serialize + DeserializeOwned + 'static,
{
    type Started = GenericProcess<Q, R>;

    #[track_caller]
    fn start_by(self, caller: &mut impl Caller) -> Result<GenericProcess<Q, R>, Error> {
        let shared = Rc::new(Shared {
            settings: self,
            wheel: RefCell::default(),
            waiting: RefCell::default(),
            last: Cell::new(0),
            closed: Cell::new(false),
            condemned: Cell::new(false),
            start_error: Cell::new(None),
            timer: Cell::new(None),
            failures: Cell::new(0),
        });
        let session = caller.create(shared.session())?;
        match shared.start_error.take() {
            Some(error) => Err(error),
            None => Ok(GenericProcess { session, shared }),
        }
    }
}

impl<Q, R> fmt::Debug for GenericProcessBuilder<Q, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GenericProcessBuilder")
            .field("alias", &self.alias)
            .field("capacity", &self.capacity)
            .field("time_limit", &self.time_limit)
            .finish_non_exhaustive()
    }
}
