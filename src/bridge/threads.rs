//! Threads for work that blocks: lookups, and blocking work of sessions.
//!
//! They belong to the kernel, and nothing waits for their end: a process may exit while one of them is busy with work that was
//! given up, such as a lookup to which no server replies. (A Tokio runtime waits for its own pool when it is
//! dropped.) A thread is started when there is work and none is idle, up to a limit; idle threads end after a while.
//!
//! Under virtual time Tokio's pool runs the work, because a paused clock stands still only while that pool is busy.

use crate::error::drop_quietly;
use std::any::Any;
use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::io::{self, PipeWriter};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::ReadBuf;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// How long an idle thread waits for work before it ends.
const IDLE: Duration = Duration::from_secs(10);

type Work = Box<dyn FnOnce() + Send>;

/// The threads of a kernel, which clones share. Dropping the last clone drops work that has not begun.
#[derive(Clone)]
pub(crate) struct Threads(Arc<Owner>);

struct Owner {
    pool: Arc<Pool>,
    virtual_time: bool,
}

struct Pool {
    limit: usize,
    state: Mutex<ThreadsState>,
    changed: Condvar,
}

#[derive(Default)]
struct ThreadsState {
    waiting: VecDeque<Work>,
    threads: usize,
    idle: usize,
    closed: bool,
}

impl Threads {
    pub(crate) fn new(limit: usize, virtual_time: bool) -> Self {
        let pool = Arc::new(Pool {
            limit: limit.max(1),
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        Threads(Arc::new(Owner { pool, virtual_time }))
    }

    /// Runs work on one of the threads, as soon as one is free.
    ///
    /// # Panics
    /// Under virtual time, outside a Tokio runtime.
    pub(crate) fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Job<T> {
        if self.0.virtual_time {
            return Job(JobState::Tokio(tokio::task::spawn_blocking(work)));
        }
        let (sender, result) = oneshot::channel();
        let work = Box::new(move || {
            if sender.is_closed() {
                return drop_quietly(work);
            }
            // If the job was dropped, the destructor of the result runs here.
            if let Err(unwanted) = sender.send(catch_unwind(AssertUnwindSafe(work))) {
                drop_quietly(unwanted);
            }
        });
        Job(match self.0.pool.add(work) {
            Ok(()) => JobState::Ours(result),
            Err(error) => JobState::Refused(Some(error)),
        })
    }
}

impl Threads {
    /// Runs work on a separate thread, outside the limit, because it may take as long as a program runs.
    ///
    /// # Panics
    /// Under virtual time, outside a Tokio runtime.
    #[cfg_attr(not(unix), allow(dead_code))]
    pub(crate) fn run_apart<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Job<T> {
        if self.0.virtual_time {
            return Job(JobState::Tokio(tokio::task::spawn_blocking(work)));
        }
        let (sender, result) = oneshot::channel();
        let work = move || {
            if let Err(unwanted) = sender.send(catch_unwind(AssertUnwindSafe(work))) {
                drop_quietly(unwanted);
            }
        };
        Job(
            match std::thread::Builder::new().name("poe-run".to_owned()).spawn(work) {
                Ok(_detached) => JobState::Ours(result),
                Err(error) => JobState::Refused(Some(error)),
            },
        )
    }
}

impl fmt::Debug for Threads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Threads")
            .field("limit", &self.0.pool.limit)
            .finish_non_exhaustive()
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        let waiting = {
            let mut state = self.pool.lock();
            state.closed = true;
            std::mem::take(&mut state.waiting)
        };
        self.pool.changed.notify_all();
        waiting.into_iter().for_each(drop_quietly);
    }
}

impl Pool {
    fn lock(&self) -> MutexGuard<'_, ThreadsState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues work, and starts a thread if none is idle.
    ///
    /// # Errors
    /// There is no thread, and the system refuses to start one.
    fn add(self: &Arc<Self>, work: Work) -> io::Result<()> {
        let mut state = self.lock();
        state.waiting.push_back(work);
        if state.idle >= state.waiting.len() || state.threads >= self.limit {
            drop(state);
            self.changed.notify_one();
            return Ok(());
        }
        let pool = self.clone();
        let thread = std::thread::Builder::new().name("poe-blocking".to_owned());
        match thread.spawn(move || pool.serve()) {
            Ok(_detached) => {
                state.threads += 1;
                Ok(())
            }
            // The other threads will take it.
            Err(_) if state.threads > 0 => Ok(()),
            Err(error) => {
                let work = state.waiting.pop_back();
                drop(state);
                drop_quietly(work);
                Err(error)
            }
        }
    }

    fn serve(&self) {
        let mut state = self.lock();
        loop {
            if let Some(work) = state.waiting.pop_front() {
                drop(state);
                work();
                state = self.lock();
                continue;
            }
            if state.closed {
                break;
            }
            state.idle += 1;
            let (woken, waited) = self
                .changed
                .wait_timeout(state, IDLE)
                .unwrap_or_else(PoisonError::into_inner);
            state = woken;
            state.idle -= 1;
            if waited.timed_out() && state.waiting.is_empty() {
                break;
            }
        }
        state.threads -= 1;
    }
}

/// Work that was submitted. Dropping it gives the work up; it is not run if it has not begun.
#[must_use = "dropping it gives the work up"]
pub(crate) struct Job<T>(JobState<T>);

enum JobState<T> {
    Ours(oneshot::Receiver<Result<T, Payload>>),
    Tokio(JoinHandle<T>),
    Refused(Option<io::Error>),
}

type Payload = Box<dyn Any + Send>;

/// Why work has no result.
#[derive(Debug)]
pub(crate) enum Lost {
    Panicked(Payload),
    /// It was never run: no thread could be started, or its kernel is gone.
    NotRun(io::Error),
}

impl<T> Future for Job<T> {
    type Output = Result<T, Lost>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let gone = || io::Error::other("the work was not run: its kernel is gone");
        match &mut self.0 {
            JobState::Ours(result) => Pin::new(result).poll(cx).map(|result| match result {
                Ok(result) => result.map_err(Lost::Panicked),
                Err(_) => Err(Lost::NotRun(gone())),
            }),
            JobState::Tokio(handle) => Pin::new(handle).poll(cx).map(|result| {
                result.map_err(|error| match error.try_into_panic() {
                    Ok(payload) => Lost::Panicked(payload),
                    Err(error) => Lost::NotRun(io::Error::other(error)),
                })
            }),
            JobState::Refused(error) => Poll::Ready(Err(Lost::NotRun(error.take().unwrap_or_else(gone)))),
        }
    }
}

impl<T> Drop for Job<T> {
    fn drop(&mut self) {
        if let JobState::Tokio(handle) = &self.0 {
            handle.abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    #[tokio::test]
    async fn work_is_done_on_so_many_threads_at_most_and_none_is_lost() {
        let threads = Threads::new(3, false);
        let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let jobs: Vec<Job<usize>> = (0..50)
            .map(|n| {
                let (running, most) = (running.clone(), most.clone());
                threads.run(move || {
                    most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    std::thread::sleep(Duration::from_millis(1));
                    running.fetch_sub(1, Ordering::SeqCst);
                    n
                })
            })
            .collect();
        for (n, job) in jobs.into_iter().enumerate() {
            assert_eq!(job.await.unwrap(), n);
        }
        assert!((1..=3).contains(&most.load(Ordering::SeqCst)));
    }

    #[tokio::test]
    async fn a_panic_comes_back_and_the_thread_lives_on() {
        let threads = Threads::new(1, false);
        let Err(Lost::Panicked(payload)) = threads.run(|| panic!("out of paper")).await else {
            panic!("it has panicked");
        };
        assert_eq!(payload.downcast_ref::<&str>(), Some(&"out of paper"));
        let name = threads.run(|| std::thread::current().name().map(str::to_owned));
        assert_eq!(name.await.unwrap().as_deref(), Some("poe-blocking"));
    }

    #[tokio::test]
    async fn work_that_was_given_up_before_it_began_is_not_run() {
        let threads = Threads::new(1, false);
        let (release, wait) = mpsc::channel::<()>();
        let busy = threads.run(move || wait.recv().is_ok());
        let (ran, was_run) = mpsc::channel::<()>();
        drop(threads.run(move || ran.send(())));
        let last = threads.run(|| ());
        release.send(()).unwrap();
        assert!(busy.await.unwrap());
        last.await.unwrap();
        assert!(was_run.recv().is_err(), "its closure is gone without having run");
    }

    #[tokio::test]
    async fn dropping_the_threads_waits_for_nothing_and_tells_who_waits() {
        let threads = Threads::new(1, false);
        let (_release, wait) = mpsc::channel::<()>();
        let (began, begun) = mpsc::channel();
        let stuck = threads.run(move || {
            began.send(()).unwrap();
            wait.recv().is_ok()
        });
        begun.recv().unwrap();
        let waiting = threads.run(|| ());
        drop(threads);
        assert!(matches!(waiting.await, Err(Lost::NotRun(_))));
        drop(stuck);
    }
}

// Reads or writes on a separate thread, for descriptors that cannot be used without blocking.
/// The most bytes that one request reads or writes.
pub(super) const BLOCK: usize = 65_536;

/// A thread that reads or writes one descriptor, one request at a time. It ends when this is dropped, or as soon as the
/// system lets it.
#[derive(Debug)]
pub(super) struct Worker {
    requests: mpsc::Sender<Request>,
    under_way: Option<oneshot::Receiver<io::Result<Vec<u8>>>>,
    /// Bytes that were read and not taken yet.
    read: Vec<u8>,
    taken: usize,
    /// Closing it tells a thread that can wait for it to end.
    _wake: Option<PipeWriter>,
}

pub(super) enum Request {
    /// Requests the next bytes, or (at the end) none.
    Read(oneshot::Sender<io::Result<Vec<u8>>>),
    /// Writes all of the bytes; the reply has none.
    Write(Vec<u8>, oneshot::Sender<io::Result<Vec<u8>>>),
}

impl Worker {
    pub(super) fn start(
        name: &str,
        wake: Option<PipeWriter>,
        serve: impl FnOnce(&mpsc::Receiver<Request>) + Send + 'static,
    ) -> io::Result<Self> {
        let (requests, received) = mpsc::channel();
        let thread = std::thread::Builder::new().name(name.to_owned());
        let _detached = thread.spawn(move || serve(&received))?;
        Ok(Worker {
            requests,
            under_way: None,
            read: Vec::new(),
            taken: 0,
            _wake: wake,
        })
    }

    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.taken == self.read.len() {
            if self.under_way.is_none() {
                let (sender, result) = oneshot::channel();
                // It fails only if the thread is gone; then there is no result, either.
                let _ = self.requests.send(Request::Read(sender));
                self.under_way = Some(result);
            }
            self.read = ready!(self.poll_result(cx))?;
            self.taken = 0;
        }
        let now = buffer.remaining().min(self.read.len() - self.taken);
        buffer.put_slice(&self.read[self.taken..self.taken + now]);
        self.taken += now;
        Poll::Ready(Ok(()))
    }

    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_idle(cx))?;
        let now = bytes.len().min(BLOCK);
        let (sender, result) = oneshot::channel();
        let _ = self.requests.send(Request::Write(bytes[..now].to_vec(), sender));
        self.under_way = Some(result);
        Poll::Ready(Ok(now))
    }

    /// Waits for the last write, and returns its error.
    pub(super) fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.under_way {
            Some(_) => self.poll_result(cx).map_ok(drop),
            None => Poll::Ready(Ok(())),
        }
    }

    fn poll_result(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Vec<u8>>> {
        let Some(under_way) = &mut self.under_way else {
            return Poll::Ready(Ok(Vec::new()));
        };
        let result = ready!(Pin::new(under_way).poll(cx));
        self.under_way = None;
        Poll::Ready(result.unwrap_or_else(|_| Err(io::Error::other("the descriptor's thread has ended"))))
    }
}
