//! The queue's session: it starts jobs while there are free workers, and ends them.
//!
//! A job is waiting (in the table), running (in `running`), or over (its slot is settled). A running job leaves `running` with its
//! task's event, or when its session has ended. One that was given up is over at once, but its worker is free only then.

use super::outcome::{Asker, JobErrorKind, Slot};
use super::table::Table;
use super::{JobDone, JobError, JobId, JobResult};
use crate::life;
use crate::panics::{caught, caught_in};
use poe::event::{CHILD, Child, ChildReason, EventKey, START, STOP};
use poe::extend::Nested;
use poe::inspect::Die;
use poe::{Context, Error, Event, OnFailure, Session, SessionBuilder, SessionId, Signal, Target, TaskId, TimerId};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

pub(super) const WAKE: Event<()> = Event::new("poe_tools_wake");
pub(super) const CANCEL: Event<JobId> = Event::new("poe_tools_cancel");
const TIME_UP: Event<JobId> = Event::new("poe_tools_time_up");
const FETCH: Event<()> = Event::new("poe_tools_fetch");
const WORKER_DIED: Event<Signal> = Event::new("poe_tools_worker_died");

pub(super) type Cx<'k, J, R> = Context<'k, Rc<Shared<J, R>>>;
pub(super) type Work<J, R> = dyn Fn(&mut Cx<'_, J, R>, J, &Rc<Slot<R>>) -> Result<Worker, String>;
type Priority<J> = dyn Fn(&J) -> i64;
type Fetch<J> = dyn Fn(usize) -> Pin<Box<dyn Future<Output = Result<Vec<J>, String>>>>;

/// What does a job.
pub(super) enum Worker {
    Future(TaskId),
    /// A thread, which cannot be stopped.
    Thread,
    Session(SessionId),
}

struct Running<R> {
    slot: Rc<Slot<R>>,
    worker: Worker,
    timer: Option<TimerId>,
    /// The failure of the worker's session, if it had one.
    failure: Option<String>,
}

pub(super) struct Settings<J: 'static, R: 'static> {
    pub(super) alias: Option<String>,
    pub(super) workers: usize,
    pub(super) capacity: usize,
    pub(super) time_limit: Option<Duration>,
    pub(super) priority: Option<Box<Priority<J>>>,
    pub(super) work: Box<Work<J, R>>,
    pub(super) source: Option<Source<J>>,
    pub(super) acknowledge: Option<(Target<'static>, EventKey<JobDone<R>>)>,
}

pub(super) struct Source<J> {
    pub(super) fetch: Box<Fetch<J>>,
    pub(super) interval: Option<Duration>,
}

/// What an active queue does about new jobs.
#[derive(Clone, Copy, PartialEq)]
enum Fetching {
    No,
    Asks(TaskId),
    Waits,
}

/// What the queue's session and its handles share.
pub(super) struct Shared<J: 'static, R: 'static> {
    pub(super) settings: Settings<J, R>,
    pub(super) table: RefCell<Table<(J, Rc<Slot<R>>)>>,
    running: RefCell<HashMap<JobId, Running<R>>>,
    pub(super) workers: Cell<usize>,
    pub(super) paused: Cell<bool>,
    pub(super) closed: Cell<bool>,
    /// `WAKE` is queued already.
    pub(super) woken: Cell<bool>,
    fetching: Cell<Fetching>,
}

impl<J: 'static, R: 'static> Shared<J, R> {
    /// Its event has the result of a future or a thread.
    const FINISHED: Event<(JobId, Result<R, String>)> = Event::new("poe_tools_finished");
    const FETCHED: Event<Result<Vec<J>, String>> = Event::new("poe_tools_fetched");

    pub(super) fn new(settings: Settings<J, R>) -> Self {
        Shared {
            workers: Cell::new(settings.workers),
            settings,
            table: RefCell::new(Table::new()),
            running: RefCell::default(),
            paused: Cell::new(false),
            closed: Cell::new(false),
            woken: Cell::new(false),
            fetching: Cell::new(Fetching::No),
        }
    }

    pub(super) fn running(&self) -> usize {
        self.running.borrow().len()
    }

    pub(super) fn is_running(&self, job: JobId) -> bool {
        self.running.borrow().contains_key(&job)
    }

    pub(super) fn push(&self, job: J, priority: i64, asker: Asker<R>) -> JobId {
        let mut table = self.table.borrow_mut();
        table.push(priority, |id| (job, Slot::new(id, asker)))
    }

    pub(super) fn priority_of(&self, job: &J) -> i64 {
        self.settings.priority.as_ref().map_or(0, |priority| priority(job))
    }

    /// Ends all that waits and runs; those who asked are told.
    fn drop_waiting(&self) {
        let waiting = self.table.borrow_mut().drain();
        for (job, slot) in waiting {
            slot.fail(JobErrorKind::Cancelled);
            drop(job);
        }
    }
}

pub(super) fn of_futures<J: 'static, R: 'static, F: Future<Output = R> + 'static>(
    work: impl Fn(J) -> F + 'static,
) -> Box<Work<J, R>> {
    let work = Rc::new(work);
    Box::new(move |cx, job, slot| {
        let (work, id) = (work.clone(), slot.job);
        let running = async move { (id, caught_in(async move { work(job).await }).await) };
        Ok(Worker::Future(cx.spawn(running, Shared::<J, R>::FINISHED)))
    })
}

pub(super) fn of_threads<J: Send + 'static, R: Send + 'static>(
    work: impl Fn(J) -> R + Send + Sync + 'static,
) -> Box<Work<J, R>> {
    let work = Arc::new(work);
    Box::new(move |cx, job, slot| {
        let (work, id) = (work.clone(), slot.job);
        cx.blocking(move || (id, caught(|| work(job))), Shared::<J, R>::FINISHED);
        Ok(Worker::Thread)
    })
}

pub(super) fn of_sessions<J: 'static, R: 'static>(
    work: impl Fn(&mut Nested<'_>, J, JobResult<R>) -> Result<SessionId, Error> + 'static,
) -> Box<Work<J, R>> {
    Box::new(move |cx, job, slot| {
        let result = JobResult(slot.clone());
        let started = cx.nested(|cx| caught(|| work(cx, job, result)))?;
        started.map(Worker::Session).map_err(|error| error.to_string())
    })
}

pub(super) fn session<J: 'static, R: 'static>(shared: &Rc<Shared<J, R>>) -> SessionBuilder<Rc<Shared<J, R>>> {
    let session = Session::builder(shared.clone())
        .on_failure(OnFailure::StopSession)
        .on(START, |cx, ()| -> poe::HandlerResult {
            life::begin(cx, cx.heap.settings.alias.as_deref(), "job queue")?;
            // Why a worker's session ends is in this signal, which stays unhandled.
            cx.sig("DIE", WORKER_DIED);
            pump(cx);
            Ok(())
        })
        .on(WAKE, |cx, ()| {
            cx.heap.woken.set(false);
            pump(cx);
        })
        .on(super::JobQueue::<J, R>::JOB, |cx, job: J| {
            let (reply, pending) = cx.defer_reply();
            let shared = cx.heap.clone();
            match shared.refusal() {
                Some(kind) => drop(reply.send(Err(JobError(kind)))),
                None => {
                    let asker = match reply.is_wanted() {
                        true => Asker::Reply(reply),
                        false => Asker::Nobody,
                    };
                    let priority = shared.priority_of(&job);
                    shared.push(job, priority, asker);
                    pump(cx);
                }
            }
            pending
        })
        .on(Shared::<J, R>::FINISHED, |cx, (job, result)| {
            finish(cx, job, result.map_err(|text| JobError(JobErrorKind::Failed(text))));
        })
        .on(CHILD, |cx, child: Child| {
            if child.reason == ChildReason::Lose {
                lose(cx, child.session);
            }
        })
        .on(WORKER_DIED, |cx, signal: Signal| {
            if let Some(die) = signal.arg::<Die>() {
                let mut running = cx.heap.running.borrow_mut();
                let of_session =
                    |running: &&mut Running<R>| matches!(running.worker, Worker::Session(id) if id == die.session);
                if let Some(job) = running.values_mut().find(of_session) {
                    job.failure = Some(die.failure.to_string());
                }
            }
        })
        .on(TIME_UP, |cx, job| {
            if let Some(limit) = cx.heap.settings.time_limit {
                give_up(cx, job, JobErrorKind::TimedOut(limit));
            }
        })
        .on(CANCEL, |cx, job| {
            let waiting = cx.heap.table.borrow_mut().remove(job);
            match waiting {
                Some((job, slot)) => {
                    slot.fail(JobErrorKind::Cancelled);
                    drop(job);
                }
                None => give_up(cx, job, JobErrorKind::Cancelled),
            }
        })
        .on(FETCH, |cx, ()| {
            cx.heap.fetching.set(Fetching::No);
            pump(cx);
        })
        .on(Shared::<J, R>::FETCHED, fetched)
        .on(STOP, |cx, ()| {
            cx.heap.closed.set(true);
            cx.heap.drop_waiting();
            let running = cx.heap.running.take();
            for running in running.into_values() {
                running.slot.fail(JobErrorKind::Lost);
            }
        });
    life::ends(session, |cx| {
        cx.heap.closed.set(true);
        cx.heap.drop_waiting();
        if let Fetching::Asks(task) = cx.heap.fetching.get() {
            cx.cancel(task);
        }
        cx.alarm_clear(FETCH);
        life::end(cx);
    })
}

impl<J: 'static, R: 'static> Shared<J, R> {
    /// Why no job is taken, if none is.
    pub(super) fn refusal(&self) -> Option<JobErrorKind> {
        let capacity = self.settings.capacity;
        match self.table.borrow().len() {
            _ if self.closed.get() => Some(JobErrorKind::Closed),
            waiting if waiting >= capacity => Some(JobErrorKind::Full(capacity)),
            _ => None,
        }
    }
}

/// Starts what can be started, and asks for more.
fn pump<J: 'static, R: 'static>(cx: &mut Cx<'_, J, R>) {
    let shared = cx.heap.clone();
    while !shared.paused.get() && shared.running() < shared.workers.get() {
        let next = shared.table.borrow_mut().pop();
        let Some((id, (job, slot))) = next else {
            return fetch(cx, &shared);
        };
        if slot.has_gone() {
            continue;
        }
        slot.begin();
        match (shared.settings.work)(cx, job, &slot) {
            Ok(worker) => {
                let limit = shared.settings.time_limit;
                let running = Running {
                    slot,
                    worker,
                    timer: limit.map(|limit| cx.delay_set(TIME_UP, limit, id)),
                    failure: None,
                };
                shared.running.borrow_mut().insert(id, running);
            }
            Err(text) => slot.fail(JobErrorKind::Failed(text)),
        }
    }
}

fn fetch<J: 'static, R: 'static>(cx: &Cx<'_, J, R>, shared: &Shared<J, R>) {
    if shared.closed.get() || shared.fetching.get() != Fetching::No {
        return;
    }
    if let Some(source) = &shared.settings.source {
        let room = shared.workers.get() - shared.running();
        let asked = caught(|| (source.fetch)(room));
        let fetching = async move {
            match asked {
                Ok(asked) => caught_in(asked).await.and_then(|jobs| jobs),
                Err(text) => Err(text),
            }
        };
        shared
            .fetching
            .set(Fetching::Asks(cx.spawn(fetching, Shared::<J, R>::FETCHED)));
    }
}

fn fetched<J: 'static, R: 'static>(cx: &mut Cx<'_, J, R>, jobs: Result<Vec<J>, String>) {
    let shared = cx.heap.clone();
    if shared.closed.get() {
        return;
    }
    let jobs = jobs.unwrap_or_else(|error| {
        tracing::warn!(target: "poe::tools", "a job queue's source failed: {error}");
        Vec::new()
    });
    shared.fetching.set(Fetching::No);
    if jobs.is_empty() {
        match shared.settings.source.as_ref().and_then(|source| source.interval) {
            Some(interval) => {
                shared.fetching.set(Fetching::Waits);
                cx.delay(FETCH, interval, ());
            }
            // Nothing will come any more.
            None => cx.yield_to(life::SHUTDOWN, ()),
        }
        return;
    }
    for job in jobs {
        let priority = shared.priority_of(&job);
        let asker = match &shared.settings.acknowledge {
            Some((target, done)) => {
                let (sender, result) = oneshot::channel();
                let (target, done) = (target.clone(), done.clone());
                cx.spawn_then(result, move |cx, result: Result<JobDone<R>, _>| {
                    if let Ok(result) = result
                        && let Err(error) = cx.post(target, &done, result)
                    {
                        tracing::warn!(target: "poe::tools", "the end of a job is told to nobody: {error}");
                    }
                });
                Asker::Task(sender)
            }
            None => Asker::Nobody,
        };
        shared.push(job, priority, asker);
    }
    pump(cx);
}

/// A worker is free.
fn finish<J: 'static, R: 'static>(cx: &mut Cx<'_, J, R>, job: JobId, result: Result<R, JobError>) {
    let running = cx.heap.running.borrow_mut().remove(&job);
    if let Some(running) = running {
        if let Some(timer) = running.timer {
            // It may have fired.
            let _ = cx.alarm_remove(timer);
        }
        drop(running.slot.settle(result));
    }
    pump(cx);
}

/// A worker's session has ended.
fn lose<J: 'static, R: 'static>(cx: &mut Cx<'_, J, R>, session: SessionId) {
    let mut kind = JobErrorKind::Lost;
    let job = {
        let mut running = cx.heap.running.borrow_mut();
        let of_session =
            |(_, running): &(&JobId, &mut Running<R>)| matches!(running.worker, Worker::Session(id) if id == session);
        let found = running.iter_mut().find(of_session);
        found.map(|(job, running)| {
            if let Some(text) = running.failure.take() {
                kind = JobErrorKind::Failed(text);
            }
            *job
        })
    };
    if let Some(job) = job {
        finish(cx, job, Err(JobError(kind)));
    }
}

/// Ends a running job before its time.
fn give_up<J: 'static, R: 'static>(cx: &mut Cx<'_, J, R>, job: JobId, kind: JobErrorKind) {
    let stopped = {
        let running = cx.heap.running.borrow();
        let Some(running) = running.get(&job) else { return };
        match running.worker {
            Worker::Future(task) => Ok(Some(task)),
            Worker::Thread => Ok(None),
            Worker::Session(session) => Err(session),
        }
        .map(|task| (task, running.slot.clone()))
        .map_err(|session| (session, running.slot.clone()))
    };
    match stopped {
        Ok((Some(task), slot)) => {
            slot.fail(kind);
            cx.cancel(task);
            finish(cx, job, Err(JobError(JobErrorKind::Lost)));
        }
        Ok((None, slot)) => slot.fail(kind),
        Err((session, slot)) => {
            slot.fail(kind);
            // It stops its tree, and no handler can prevent that.
            let _ = cx.signal(session, "ZOMBIE", ());
        }
    }
}
