//! How a job ends, and where its result goes.

use super::JobId;
use poe::{DeferredReply, Failure};
use std::cell::Cell;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// The end of a job: the argument of the event that [`JobQueue::enqueue`](super::JobQueue::enqueue) names.
#[derive(Debug)]
#[non_exhaustive]
pub struct JobDone<R> {
    /// The job.
    pub job: JobId,
    /// What the worker returned, or why there is nothing.
    pub result: Result<R, JobError>,
    /// How long the job waited for a worker.
    pub waited: Duration,
    /// How long it ran; zero if it did not.
    pub ran: Duration,
}

impl<R> JobDone<R> {
    /// The end of a job whose queue was dropped.
    pub(super) fn lost(job: JobId) -> Self {
        JobDone {
            job,
            result: Err(JobError(JobErrorKind::Lost)),
            waited: Duration::ZERO,
            ran: Duration::ZERO,
        }
    }
}

/// Why a job has no result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobError(pub(super) JobErrorKind);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum JobErrorKind {
    Cancelled,
    Full(usize),
    Closed,
    TimedOut(Duration),
    Failed(String),
    Lost,
}

impl JobError {
    /// The job was cancelled, or the queue was shut down while it waited.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        matches!(self.0, JobErrorKind::Cancelled)
    }

    /// The queue was full or shut down, so the job did not run. Only jobs that come as [`JOB`](super::JobQueue::JOB) events end in this way.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        matches!(self.0, JobErrorKind::Full(_) | JobErrorKind::Closed)
    }

    /// The job ran for longer than the [limit](super::JobQueueBuilder::time_limit).
    #[must_use]
    pub fn is_timed_out(&self) -> bool {
        matches!(self.0, JobErrorKind::TimedOut(_))
    }

    /// The worker panicked, its session failed, or it could not be started.
    #[must_use]
    pub fn is_failed(&self) -> bool {
        matches!(self.0, JobErrorKind::Failed(_))
    }

    /// The queue's session was stopped, or the worker's session ended without a result. The job may have run.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        matches!(self.0, JobErrorKind::Lost)
    }
}

impl fmt::Display for JobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for JobErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JobErrorKind::Cancelled => f.write_str("the job was cancelled"),
            JobErrorKind::Full(capacity) => write!(
                f,
                "{capacity} jobs wait already (`JobQueueBuilder::capacity`): try again later"
            ),
            JobErrorKind::Closed => f.write_str("the queue was shut down"),
            JobErrorKind::TimedOut(limit) => write!(f, "the job ran for more than {limit:?}"),
            JobErrorKind::Failed(why) => write!(f, "the job failed: {why}"),
            JobErrorKind::Lost => f.write_str("the worker ended without a result"),
        }
    }
}

impl std::error::Error for JobError {}

/// A job that the queue did not take, with the job.
pub struct JobRefused<J> {
    job: J,
    why: JobErrorKind,
}

impl<J> JobRefused<J> {
    pub(super) fn new(job: J, why: JobErrorKind) -> Self {
        JobRefused { job, why }
    }

    /// As many jobs wait as [`JobQueueBuilder::capacity`](super::JobQueueBuilder::capacity) allows. If not, the queue was shut down.
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(self.why, JobErrorKind::Full(_))
    }

    /// Returns the job.
    #[must_use]
    pub fn into_job(self) -> J {
        self.job
    }
}

impl<J> fmt::Display for JobRefused<J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot enqueue a job: {}", self.why)
    }
}

impl<J> fmt::Debug for JobRefused<J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JobRefused({self})")
    }
}

impl<J> From<JobRefused<J>> for Failure {
    fn from(error: JobRefused<J>) -> Self {
        Failure::msg(error.to_string())
    }
}

/// Receives the end of a job.
pub(super) enum Asker<R> {
    /// A task of the session that has enqueued it.
    Task(oneshot::Sender<JobDone<R>>),
    /// A caller that waits.
    Reply(DeferredReply<Result<R, JobError>>),
    Nobody,
}

impl<R: 'static> Asker<R> {
    /// Whether the one who asked has stopped or given up.
    pub(super) fn has_gone(&self) -> bool {
        match self {
            Asker::Task(sender) => sender.is_closed(),
            Asker::Reply(reply) => !reply.is_wanted(),
            Asker::Nobody => false,
        }
    }
}

/// A job's place for its result, which is filled once.
pub(super) struct Slot<R> {
    pub(super) job: JobId,
    asker: Cell<Option<Asker<R>>>,
    queued: Instant,
    began: Cell<Option<Instant>>,
}

impl<R: 'static> Slot<R> {
    pub(super) fn new(job: JobId, asker: Asker<R>) -> Rc<Self> {
        Rc::new(Slot {
            job,
            asker: Cell::new(Some(asker)),
            queued: Instant::now(),
            began: Cell::new(None),
        })
    }

    pub(super) fn begin(&self) {
        self.began.set(Some(Instant::now()));
    }

    pub(super) fn has_gone(&self) -> bool {
        let asker = self.asker.take();
        let gone = asker.as_ref().is_some_and(Asker::has_gone);
        self.asker.set(asker);
        gone
    }

    /// Tells the one who asked. Returns the result if it came too late, or nobody wants it.
    pub(super) fn settle(&self, result: Result<R, JobError>) -> Option<Result<R, JobError>> {
        let Some(asker) = self.asker.take() else {
            return Some(result);
        };
        let began = self.began.get();
        match asker {
            Asker::Task(sender) => {
                let done = JobDone {
                    job: self.job,
                    result,
                    waited: began.unwrap_or_else(Instant::now) - self.queued,
                    ran: began.map_or(Duration::ZERO, |began| began.elapsed()),
                };
                sender.send(done).err().map(|done| done.result)
            }
            Asker::Reply(reply) => reply.send(result),
            Asker::Nobody => Some(result),
        }
    }

    pub(super) fn fail(&self, kind: JobErrorKind) {
        drop(self.settle(Err(JobError(kind))));
    }
}

/// The result of a job that is a session: its worker sends it.
///
/// The session may live on; its place in the queue is free when it has ended. A session that ends without sending has
/// [lost](JobError::is_lost) its job.
#[must_use = "without `send` the job has no result"]
pub struct JobResult<R>(pub(super) Rc<Slot<R>>);

impl<R: 'static> JobResult<R> {
    /// Returns the job.
    #[must_use]
    pub fn job(&self) -> JobId {
        self.0.job
    }

    /// Sends the result. Returns it if nobody wants it: the job was cancelled or is too late, or the one who asked has gone.
    #[allow(clippy::must_use_candidate, reason = "most workers do not care")]
    pub fn send(self, result: R) -> Option<R> {
        self.0.settle(Ok(result))?.ok()
    }
}

impl<R> fmt::Debug for JobResult<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobResult").field("job", &self.0.job).finish()
    }
}
