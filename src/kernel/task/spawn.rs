//! Work of sessions: futures, streams, and blocking work.

use super::{Purpose, Task};
use crate::arg::AnyArg;
use crate::bridge::threads::{Job, Lost};
use crate::error::Failure;
use crate::event::Posts;
use crate::id::{Place, SessionId, TaskId};
use crate::kernel::{Core, KernelRef};
use crate::name::HeldName;
use crate::resource::HoldKind;
use futures_core::Stream;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};

impl KernelRef<'_> {
    #[track_caller]
    fn start<A>(self, event: impl Posts<A>, make: impl FnOnce(HeldName, Place) -> Box<dyn Task>) -> TaskId {
        let place = Location::caller();
        let purpose = Purpose {
            owner: self.frame.session,
            kind: HoldKind::Task,
            what: event.key().to_name(),
            place,
            listener: false,
        };
        let body = make(HeldName::new(event.key()), place);
        // A session that was stopped in its own handler starts nothing; the ID names nothing then.
        self.core
            .start_task(purpose, body)
            .unwrap_or_else(|| self.core.no_task())
    }

    /// Runs a future beside the sessions; its output comes as an event.
    ///
    /// It keeps the session alive until then, and is dropped with it. A panic in it is a `DIE` of the session.
    ///
    /// ```
    /// use poe::{Event, Kernel, Session, event::{START, STOP}};
    /// use std::time::Duration;
    /// const SLEPT: Event<&'static str> = Event::new("slept");
    /// # tokio_test::block_on(async {
    /// let kernel = Kernel::new();
    /// Session::builder("not at all")
    ///     .on(START, |cx, ()| {
    ///         cx.spawn(async { tokio::time::sleep(Duration::from_millis(1)).await; "well" }, SLEPT);
    ///     })
    ///     .on(SLEPT, |cx, how| *cx.heap = how)
    ///     .on(STOP, |cx, ()| assert_eq!(*cx.heap, "well"))
    ///     .create(&kernel).unwrap();
    /// kernel.run().await.unwrap();
    /// # });
    /// ```
    #[track_caller]
    #[doc(alias = "JoinHandle")]
    #[doc(alias = "async")]
    #[doc(alias = "await")]
    #[doc(alias = "ask")]
    pub fn spawn<F>(self, future: F, event: impl Posts<F::Output>) -> TaskId
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        self.spawn_as(future, event, AnyArg::new)
    }

    /// Reads a stream: each item comes as an event with `Some(item)`, its end with `None`.
    ///
    /// One item is in flight at a time: the stream is polled again when the last one has been dispatched, so that it
    /// cannot flood the queue.
    ///
    /// ```
    /// use poe::{Event, Kernel, Session, event::{START, STOP}};
    /// const ITEM: Event<Option<u8>> = Event::new("item");
    /// # tokio_test::block_on(async {
    /// let kernel = Kernel::new();
    /// Session::builder(Vec::new())
    ///     .on(START, |cx, ()| {
    ///         cx.attach(futures_util::stream::iter([1, 2, 3]), ITEM);
    ///     })
    ///     .on(ITEM, |cx, item| cx.heap.push(item))
    ///     .on(STOP, |cx, ()| assert_eq!(*cx.heap, [Some(1), Some(2), Some(3), None]))
    ///     .create(&kernel).unwrap();
    /// kernel.run().await.unwrap();
    /// # });
    /// ```
    #[track_caller]
    #[doc(alias = "stream")]
    #[doc(alias = "select")]
    #[doc(alias = "StreamExt")]
    #[doc(alias = "subscribe")]
    pub fn attach<S>(self, stream: S, event: impl Posts<Option<S::Item>>) -> TaskId
    where
        S: Stream + 'static,
        S::Item: 'static,
    {
        self.attach_as(stream, event, AnyArg::new)
    }

    /// Runs blocking work on a thread of the kernel; its result comes as an event.
    ///
    /// At most [`blocking_threads`](crate::KernelBuilder::blocking_threads) work at a time; the rest waits. Cancelling
    /// drops the result, and work that has not begun. Work that has begun cannot be stopped, but it keeps neither the
    /// kernel nor the process alive: a program that has given it up may exit.
    ///
    /// A panic of the work, or a refusal of the system to start a thread, is a `DIE` of the session. On virtual time
    /// the kernel uses Tokio's threads, because a paused clock stands still while those are busy.
    ///
    /// # Panics
    /// Under virtual time, outside a Tokio runtime.
    ///
    /// ```
    /// use poe::{Event, Kernel, Session, event::{START, STOP}};
    /// const READ: Event<std::io::Result<String>> = Event::new("read");
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), poe::Error> {
    /// let kernel = Kernel::new();
    /// Session::builder(String::new())
    ///     .on(START, |cx, ()| {
    ///         cx.blocking(|| std::fs::read_to_string("Cargo.toml"), READ); // on a thread that may block
    ///     })
    ///     .on(READ, |cx, text| -> poe::HandlerResult {
    ///         *cx.heap = text?;
    ///         Ok(())
    ///     })
    ///     .on(STOP, |cx, ()| assert!(cx.heap.contains("[package]")))
    ///     .create(&kernel)?;
    /// kernel.run().await
    /// # }
    /// ```
    #[track_caller]
    #[doc(alias = "spawn_blocking")]
    #[doc(alias = "thread pool")]
    #[doc(alias = "rayon")]
    pub fn blocking<T: Send + 'static>(
        self,
        work: impl FnOnce() -> T + Send + 'static,
        event: impl Posts<T>,
    ) -> TaskId {
        self.blocking_as(work, event, AnyArg::new)
    }

    /// Cancels a task of [`spawn`](Self::spawn), [`attach`](Self::attach) or [`blocking`](Self::blocking) and drops it
    /// at once; false if it was over. A result that was posted already still arrives.
    ///
    /// ```
    /// use poe::{Event, Session, event::START};
    /// const ANSWER: Event<&'static str> = Event::new("answer");
    /// # tokio_test::block_on(async { tokio::time::pause();
    /// let kernel = poe::testing::kernel();
    /// Session::builder(None)
    ///     .on(START, |cx, ()| {
    ///         let task = cx.spawn(std::future::pending::<&str>(), ANSWER);
    ///         *cx.heap = Some(task);
    ///         cx.delay("too late", 5.0, ());
    ///     })
    ///     .on(ANSWER, |_, _| panic!("there is none"))
    ///     .on("too late", |cx, ()| {
    ///         if let Some(task) = cx.heap.take() {
    ///             assert!(cx.cancel(task)); // the future is dropped now, and keeps the session no longer
    ///             assert!(!cx.cancel(task));
    ///         }
    ///     })
    ///     .create(&kernel)?;
    /// kernel.run().await
    /// # }).unwrap();
    /// ```
    pub fn cancel(self, id: TaskId) -> bool {
        self.core.cancel_task(id)
    }
}

/// The same with the function that makes the event's argument of what the work gives.
impl KernelRef<'_> {
    #[track_caller]
    pub(crate) fn spawn_as<F, A>(
        self,
        future: F,
        event: impl Posts<A>,
        wrap: impl FnOnce(F::Output) -> AnyArg + 'static,
    ) -> TaskId
    where
        F: Future + 'static,
    {
        let owner = self.frame.session;
        self.start(event, |event, place| {
            Box::new(SpawnTask {
                future: Box::pin(future),
                wrap: Some(wrap),
                owner,
                event,
                place,
            })
        })
    }

    #[track_caller]
    pub(crate) fn attach_as<S, A>(
        self,
        stream: S,
        event: impl Posts<A>,
        wrap: impl Fn(Option<S::Item>) -> AnyArg + 'static,
    ) -> TaskId
    where
        S: Stream + 'static,
    {
        let owner = self.frame.session;
        self.start(event, |event, place| {
            Box::new(StreamTask {
                stream: Box::pin(stream),
                wrap,
                owner,
                event,
                place,
                in_flight: None,
            })
        })
    }

    #[track_caller]
    pub(crate) fn blocking_as<T: Send + 'static, A>(
        self,
        work: impl FnOnce() -> T + Send + 'static,
        event: impl Posts<A>,
        wrap: impl FnOnce(T) -> AnyArg + 'static,
    ) -> TaskId {
        let owner = self.frame.session;
        let job = self.core.threads.run(work);
        self.start(event, |event, place| {
            Box::new(BlockingTask {
                job,
                wrap: Some(wrap),
                owner,
                event,
                place,
            })
        })
    }
}

struct SpawnTask<F, W> {
    future: Pin<Box<F>>,
    /// Makes the argument, once.
    wrap: Option<W>,
    owner: SessionId,
    event: HeldName,
    place: Place,
}

impl<F, W> Task for SpawnTask<F, W>
where
    F: Future,
    W: FnOnce(F::Output) -> AnyArg,
{
    fn is_guest(&self) -> bool {
        true
    }

    fn poll(&mut self, core: &Core, cx: &mut Context<'_>) -> Poll<()> {
        self.future.as_mut().poll(cx).map(|output| {
            if let Some(wrap) = self.wrap.take() {
                core.deliver(self.owner, &self.event, wrap(output), self.place);
            }
        })
    }
}

struct StreamTask<S, W> {
    stream: Pin<Box<S>>,
    wrap: W,
    owner: SessionId,
    event: HeldName,
    place: Place,
    /// How many events had been taken out of the queue once the item that is in flight will have been.
    in_flight: Option<u64>,
}

impl<S, W> Task for StreamTask<S, W>
where
    S: Stream,
    W: Fn(Option<S::Item>) -> AnyArg,
{
    fn is_guest(&self) -> bool {
        true
    }

    fn poll(&mut self, core: &Core, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(position) = self.in_flight {
            if !core.queue().has_passed(position) {
                // The item waits in the queue: look again when this slice is over.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            self.in_flight = None;
        }
        // One item is a turn.
        match self.stream.as_mut().poll_next(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(item) => {
                let over = item.is_none();
                core.deliver(self.owner, &self.event, (self.wrap)(item), self.place);
                if over {
                    return Poll::Ready(());
                }
                self.in_flight = Some(core.queue().position());
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }
}

struct BlockingTask<T, W> {
    job: Job<T>,
    wrap: Option<W>,
    owner: SessionId,
    event: HeldName,
    place: Place,
}

impl<T: 'static, W: FnOnce(T) -> AnyArg> Task for BlockingTask<T, W> {
    fn poll(&mut self, core: &Core, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.job).poll(cx).map(|result| match result {
            Ok(value) => {
                if let Some(wrap) = self.wrap.take() {
                    core.deliver(self.owner, &self.event, wrap(value), self.place);
                }
            }
            Err(lost) => {
                let failure = match lost {
                    Lost::Panicked(payload) => Failure::from_panic(payload),
                    Lost::NotRun(error) => Failure::from(error),
                };
                core.raise_for_task(self.owner, self.event.name(), &failure, self.place);
            }
        })
    }
}
