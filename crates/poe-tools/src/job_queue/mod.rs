//! A queue of jobs, which so many workers do (POE::Component::JobQueue).

mod outcome;
mod session;
mod table;

pub use outcome::{JobDone, JobError, JobRefused, JobResult};

use outcome::Asker;
use poe::event::{EventKey, Posts};
use poe::extend::{Caller, Nested, Start};
use poe::{Error, Event, Kernel, KernelRef, SessionId, Target, TaskId};
use session::{CANCEL, Settings, Shared, Source, WAKE};
use std::fmt;
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::oneshot;

/// A job of a [`JobQueue`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JobId(u64);

impl JobId {
    /// Returns its number in its queue, from 1.
    #[must_use]
    pub fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Does jobs of type `J` with results of type `R`, a few at a time, the most urgent first.
///
/// A worker is a [future](Self::futures), a call on a [thread](Self::blocking), or a [session](Self::sessions). A passive queue is given jobs
/// with [`enqueue`](Self::enqueue) or as [`JOB`](Self::JOB) events. An active one asks a [source](JobQueueBuilder::source) for them whenever
/// it has free workers. This value is a handle, cheap to clone; the queue is a session, which lives as long as anything can happen in its kernel.
///
/// Exactly one [`JobDone`] comes for each job that was taken, also if its worker panics, takes too long or is stopped. A panic ends only the job. A
/// session that has stopped wants no results any more: its waiting jobs are dropped, those that run go on.
///
/// After [`SHUTDOWN`](crate::SHUTDOWN) the waiting jobs are [cancelled](JobError::is_cancelled), the running ones end, and then the queue.
///
/// ```
/// use poe::{Event, Kernel, Session, event::START};
/// use poe_tools::{JobDone, JobQueue};
/// use std::time::Duration;
/// const DONE: Event<JobDone<usize>> = Event::new("done");
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), poe::Error> {
/// let kernel = Kernel::new();
/// let queue = JobQueue::futures(|page: &'static str| async move {
///         tokio::time::sleep(Duration::from_millis(1)).await; // fetch it
///         page.len()
///     })
///     .workers(4)
///     .priority(|page| if page.starts_with("news") { 1 } else { 0 })
///     .start(&kernel)?;
/// Session::builder(0)
///     .on(START, move |cx, ()| -> poe::HandlerResult {
///         for page in ["about", "contact", "news/today"] {
///             queue.enqueue(cx, page, DONE)?; // an error gives the page back
///         }
///         Ok(())
///     })
///     .on(DONE, |cx, done| -> poe::HandlerResult {
///         *cx.heap += done.result?;
///         Ok(())
///     })
///     .on(poe::event::STOP, |cx, ()| assert_eq!(*cx.heap, 22))
///     .create(&kernel)?;
/// kernel.run().await
/// # }
/// ```
#[doc(alias = "POE::Component::JobQueue")]
pub struct JobQueue<J: 'static, R: 'static> {
    session: SessionId,
    shared: Rc<Shared<J, R>>,
}

impl<J: 'static, R: 'static> Clone for JobQueue<J, R> {
    fn clone(&self) -> Self {
        JobQueue {
            session: self.session,
            shared: self.shared.clone(),
        }
    }
}

impl<J: 'static, R: 'static> JobQueue<J, R> {
    /// A job, as an event of the queue's session.
    ///
    /// A post does the job and drops its result. [`KernelHandle::call`](poe::KernelHandle::call) from another thread, and [`KernelRef::ask`],
    /// give the result as a reply.
    ///
    /// ```
    /// use poe::Kernel;
    /// use poe_tools::JobQueue;
    /// use std::time::Duration;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), poe::Error> {
    /// let kernel = Kernel::new();
    /// JobQueue::blocking(|n: u64| n * n).alias("squares").start(&kernel)?;
    /// let handle = kernel.handle();
    /// let client = async move { handle.call("squares", JobQueue::<u64, u64>::JOB, 7).await.unwrap().unwrap() };
    /// let report = kernel.serve_until(async { assert_eq!(client.await, 49) }, Duration::from_secs(5)).await?;
    /// # drop(report);
    /// # Ok(())
    /// # }
    /// ```
    pub const JOB: Event<J, Result<R, JobError>> = Event::new("job");

    /// Starts building a queue whose jobs are futures, which run beside the sessions.
    ///
    /// A job that is given up is dropped.
    pub fn futures<F: Future<Output = R> + 'static>(work: impl Fn(J) -> F + 'static) -> JobQueueBuilder<J, R> {
        JobQueueBuilder::new(session::of_futures(work))
    }

    /// Starts building a queue whose jobs run on threads of the kernel ([`KernelRef::blocking`]).
    ///
    /// A job that is given up is over for the one who asked, but its worker is free only when the call returns. At most
    /// [`blocking_threads`](poe::KernelBuilder::blocking_threads) run at a time.
    pub fn blocking(work: impl Fn(J) -> R + Send + Sync + 'static) -> JobQueueBuilder<J, R>
    where
        J: Send,
        R: Send,
    {
        JobQueueBuilder::new(session::of_threads(work))
    }

    /// Starts building a queue whose jobs are sessions, which `work` creates.
    ///
    /// A worker is free when its session has ended. A failure of a session ends that job only. A session that is given up is stopped.
    ///
    /// ```
    /// use poe::{Event, Kernel, Session, event::START};
    /// use poe_tools::{JobQueue, JobResult};
    /// use std::time::Duration;
    /// const DONE: Event<()> = Event::new("done");
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), poe::Error> {
    /// let kernel = Kernel::new();
    /// JobQueue::sessions(|cx, toast: &'static str, result: JobResult<String>| {
    ///         let toaster = Session::builder(Some(result))
    ///             .on(START, |cx, ()| cx.delay(DONE, Duration::from_millis(1), ()))
    ///             .on(DONE, move |cx, ()| {
    ///                 if let Some(result) = cx.heap.take() {
    ///                     result.send(format!("{toast}, toasted"));
    ///                 }
    ///             });
    ///         cx.create(toaster)
    ///     })
    ///     .alias("kitchen")
    ///     .start(&kernel)?;
    /// kernel.post("kitchen", JobQueue::<_, String>::JOB, "rye")?;
    /// kernel.run().await
    /// # }
    /// ```
    pub fn sessions(
        work: impl Fn(&mut Nested<'_>, J, JobResult<R>) -> Result<SessionId, Error> + 'static,
    ) -> JobQueueBuilder<J, R> {
        JobQueueBuilder::new(session::of_sessions(work))
    }

    /// Adds a job. Its end comes as the event `done` to the running session, which is kept alive until then.
    ///
    /// # Errors
    /// The queue is full, or was shut down. The error gives the job back.
    #[track_caller]
    pub fn enqueue(&self, cx: &KernelRef<'_>, job: J, done: impl Posts<JobDone<R>>) -> Result<JobId, JobRefused<J>> {
        let priority = self.shared.priority_of(&job);
        self.enqueue_with(cx, job, priority, done)
    }

    /// Adds a job with a priority: higher ones start first, equal ones in the order in which they came.
    ///
    /// # Errors
    /// As [`enqueue`](Self::enqueue).
    #[track_caller]
    pub fn enqueue_with(
        &self,
        cx: &KernelRef<'_>,
        job: J,
        priority: i64,
        done: impl Posts<JobDone<R>>,
    ) -> Result<JobId, JobRefused<J>> {
        if let Some(why) = self.shared.refusal() {
            return Err(JobRefused::new(job, why));
        }
        let (sender, result) = oneshot::channel();
        let id = self.shared.push(job, priority, Asker::Task(sender));
        cx.spawn(async move { result.await.unwrap_or_else(|_| JobDone::lost(id)) }, done);
        self.wake(cx);
        Ok(id)
    }

    /// Adds a job whose end comes as something else to the running session.
    #[track_caller]
    pub(crate) fn enqueue_as<T: 'static>(
        &self,
        cx: &KernelRef<'_>,
        job: J,
        end: impl FnOnce(Result<R, JobError>) -> T + 'static,
        done: impl Posts<T>,
    ) -> Result<TaskId, JobRefused<J>> {
        if let Some(why) = self.shared.refusal() {
            return Err(JobRefused::new(job, why));
        }
        let (sender, result) = oneshot::channel();
        let id = self.shared.push(job, 0, Asker::Task(sender));
        let ended = async move { end(result.await.unwrap_or_else(|_| JobDone::lost(id)).result) };
        let task = cx.spawn(ended, done);
        self.wake(cx);
        Ok(task)
    }

    /// Gives up a job, which ends with [`JobError::is_cancelled`]; false if it is over.
    ///
    /// It takes effect with an event of the queue; a job that ends before that has its result.
    #[track_caller]
    pub fn cancel(&self, cx: &KernelRef<'_>, job: JobId) -> bool {
        let known = self.shared.is_running(job) || self.shared.table.borrow().contains(job);
        known && self.post(cx, CANCEL, job)
    }

    /// Changes the priority of a job that waits; false if it does not.
    pub fn set_priority(&self, job: JobId, priority: i64) -> bool {
        self.shared.table.borrow_mut().set_priority(job, priority)
    }

    /// Starts no further jobs until [`resume`](Self::resume). Running ones go on.
    pub fn pause(&self) {
        self.shared.paused.set(true);
    }

    /// Starts jobs again.
    #[track_caller]
    pub fn resume(&self, cx: &KernelRef<'_>) {
        self.shared.paused.set(false);
        self.wake(cx);
    }

    /// Changes how many jobs may run at a time. Those that run already go on.
    #[track_caller]
    pub fn set_workers(&self, cx: &KernelRef<'_>, workers: usize) {
        self.shared.workers.set(workers.max(1));
        self.wake(cx);
    }

    /// Cancels what waits, lets what runs end, and then ends the queue.
    ///
    /// It takes effect with an event of the queue, [`SHUTDOWN`](crate::SHUTDOWN).
    #[doc(alias = "stop")]
    #[track_caller]
    pub fn shutdown(&self, cx: &KernelRef<'_>) {
        self.post(cx, crate::SHUTDOWN, ());
    }

    /// Returns how many jobs wait for a worker.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.shared.table.borrow().len()
    }

    /// Returns how many jobs run.
    #[must_use]
    pub fn running(&self) -> usize {
        self.shared.running()
    }

    /// Returns the queue's session.
    #[must_use]
    pub fn session_id(&self) -> SessionId {
        self.session
    }

    #[track_caller]
    fn wake(&self, cx: &KernelRef<'_>) {
        if !self.shared.woken.get() && self.post(cx, WAKE, ()) {
            self.shared.woken.set(true);
        }
    }

    /// False if the queue has ended.
    #[track_caller]
    fn post<A: 'static>(&self, cx: &KernelRef<'_>, event: Event<A>, arg: A) -> bool {
        cx.post(self.session, event, arg).is_ok()
    }
}

impl<J: 'static, R: 'static> fmt::Debug for JobQueue<J, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobQueue")
            .field("session", &self.session)
            .field("waiting", &self.waiting())
            .field("running", &self.running())
            .field("workers", &self.shared.workers.get())
            .field("paused", &self.shared.paused.get())
            .field("closed", &self.shared.closed.get())
            .finish()
    }
}

/// Configures a [`JobQueue`].
///
/// | setting | default |
/// |---|---|
/// | [`workers`](Self::workers) | 8 jobs at a time |
/// | [`capacity`](Self::capacity) | 65 536 waiting jobs |
/// | [`priority`](Self::priority) | all equal |
/// | [`time_limit`](Self::time_limit) | none |
/// | [`source`](Self::source) | none: a passive queue |
/// | [`alias`](Self::alias) | one that is made of the session's number |
#[must_use = "nothing happens until `start` is called"]
pub struct JobQueueBuilder<J: 'static, R: 'static> {
    settings: Settings<J, R>,
}

impl<J: 'static, R: 'static> JobQueueBuilder<J, R> {
    fn new(work: Box<session::Work<J, R>>) -> Self {
        JobQueueBuilder {
            settings: Settings {
                alias: None,
                workers: 8,
                capacity: 65_536,
                time_limit: None,
                priority: None,
                work,
                source: None,
                acknowledge: None,
            },
        }
    }

    /// Sets the alias of the queue's session.
    #[doc(alias = "Alias")]
    pub fn alias(mut self, alias: impl Into<String>) -> Self {
        self.settings.alias = Some(alias.into());
        self
    }

    /// Sets how many jobs may run at a time, at least one.
    #[doc(alias = "WorkerLimit")]
    pub fn workers(mut self, workers: usize) -> Self {
        self.settings.workers = workers.max(1);
        self
    }

    /// Sets how many jobs may wait. More are refused.
    pub fn capacity(mut self, jobs: usize) -> Self {
        self.settings.capacity = jobs;
        self
    }

    /// Sets how long a job may run. One that takes longer is given up, with [`JobError::is_timed_out`].
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.settings.time_limit = Some(limit);
        self
    }

    /// Sets the function that tells the priority of a job when it comes. Higher ones start first.
    #[doc(alias = "Prioritizer")]
    pub fn priority(mut self, priority: impl Fn(&J) -> i64 + 'static) -> Self {
        self.settings.priority = Some(Box::new(priority));
        self
    }

    /// Makes the queue active: it asks for jobs when it has free workers, `fetch(how many)`.
    ///
    /// When there are none it asks again after `interval`, or, without one, ends. An error of the source is logged and counts as no
    /// jobs. A fetch is a future, and the only one at a time. If it gives more jobs than it was asked for, they wait.
    ///
    /// ```
    /// use poe::{Event, Kernel, Session, event::START};
    /// use poe_tools::{JobDone, JobQueue};
    /// use std::cell::RefCell;
    /// const DONE: Event<JobDone<u32>> = Event::new("done");
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), poe::Error> {
    /// let kernel = Kernel::new();
    /// Session::builder(0)
    ///     .on(START, |cx, ()| cx.alias_set("log"))
    ///     .on(DONE, |cx, done| *cx.heap += done.result.unwrap_or(0))
    ///     .on(poe::event::STOP, |cx, ()| assert_eq!(*cx.heap, 30))
    ///     .create(&kernel)?;
    /// let table = RefCell::new(vec![1_u32, 2, 3, 4]); // of a database
    /// JobQueue::futures(|n: u32| async move { n * n })
    ///     .workers(2)
    ///     .source(None, move |room| {
    ///         let rest = table.borrow().len().saturating_sub(room);
    ///         let jobs = table.borrow_mut().split_off(rest);
    ///         async move { Ok::<_, std::io::Error>(jobs) }
    ///     })
    ///     .acknowledge("log", DONE)
    ///     .start(&kernel)?;
    /// kernel.run().await
    /// # }
    /// ```
    #[doc(alias = "Active")]
    #[doc(alias = "PollInterval")]
    pub fn source<F, E>(mut self, interval: Option<Duration>, fetch: impl Fn(usize) -> F + 'static) -> Self
    where
        F: Future<Output = Result<Vec<J>, E>> + 'static,
        E: fmt::Display,
    {
        self.settings.source = Some(Source {
            fetch: Box::new(move |room| {
                let jobs = fetch(room);
                Box::pin(async move { jobs.await.map_err(|error| error.to_string()) })
            }),
            interval,
        });
        self
    }

    /// Posts the end of each job of the [`source`](Self::source) to a session.
    #[doc(alias = "AckAlias")]
    #[doc(alias = "AckState")]
    pub fn acknowledge(mut self, session: impl Into<Target<'static>>, done: impl Posts<JobDone<R>>) -> Self {
        self.settings.acknowledge = Some((session.into(), EventKey::new(done)));
        self
    }

    /// Starts the queue, below the kernel.
    ///
    /// # Errors
    /// The alias is taken; a handler is running (use [`cx.start(builder)`](poe::Context::start)); the kernel is shutting down.
    #[track_caller]
    pub fn start(self, kernel: &Kernel) -> Result<JobQueue<J, R>, Error> {
        self.start_by(&mut { kernel })
    }
}

impl<J: 'static, R: 'static> Start for JobQueueBuilder<J, R> {
    type Started = JobQueue<J, R>;

    #[track_caller]
    fn start_by(self, caller: &mut impl Caller) -> Result<JobQueue<J, R>, Error> {
        let shared = Rc::new(Shared::new(self.settings));
        let session = caller.create(session::session(&shared))?;
        Ok(JobQueue { session, shared })
    }
}

impl<J: 'static, R: 'static> fmt::Debug for JobQueueBuilder<J, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobQueueBuilder")
            .field("alias", &self.settings.alias)
            .field("workers", &self.settings.workers)
            .field("capacity", &self.settings.capacity)
            .field("time_limit", &self.settings.time_limit)
            .field("is_active", &self.settings.source.is_some())
            .finish_non_exhaustive()
    }
}
