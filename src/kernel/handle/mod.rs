//! A handle to a kernel on another thread. Its messages go through an inbox that is swapped as a whole, with one wake-up for all that
//! is in it.

mod call;
mod dead_letter;
mod delayed;
mod inbox;
#[cfg(feature = "tower")]
mod service;

use super::ended::{SessionEnd, WatchEnd};
use super::spans::Cause;
use super::{Core, Kernel, Target};
use crate::arg::SendArg;
use crate::bridge::mailbox::Needs;
use crate::error::PostError;
use crate::event::{Calls, Posts, assert_reply_type};
use crate::id::SessionId;
use crate::name::{Key, signal_name};
use crate::resource::sessions::KERNEL;
use call::{Call, Pending};
use inbox::{Post, PostWait, SendName, SendTarget};
use std::fmt;
use std::panic::Location;
use std::sync::Arc;

pub use call::ReplyFuture;
pub(super) use call::{Queued, QueuedCall, reply_of};
pub use dead_letter::DeadLetter;
pub(super) use dead_letter::{DeadLetterHook, Lost};
pub use delayed::DelayedPost;
pub(super) use inbox::{Inbox, Letter};
#[cfg(feature = "tower")]
pub use service::{CallService, ServiceFuture};

// A handle to a kernel on another thread.
/// A handle to a kernel for other threads and tasks: `Send`, `Sync`, cheap to clone.
///
/// It keeps neither the kernel nor its `run` alive.
///
/// # Order and time
///
/// Messages that one thread sends through a handle and its clones arrive in the order in which they were sent, calls
/// and signals included; only `KILL` overtakes. A message joins the tail of the kernel's queue when the kernel takes it
/// in, with the time when it was sent: a timer that was due later does not overtake it, even if the kernel was busy
/// meanwhile. (On virtual time it gets the time when the kernel takes it in.)
///
/// # Messages without a receiver
///
/// A post never fails on the receiver's side: if the session or the event is missing, if the argument is of another
/// type than the handler takes, or if the session stops first, the message is logged and goes to the hook of
/// [`Kernel::on_dead_letter`]. A call gets an error.
///
/// # When the run ends
///
/// After a failure has ended the run, every message is refused at once, and waiting calls get an error. After a run
/// that ended without one, calls are refused, and posts wait for the next run. Both states end when the kernel is run
/// again or a session is created.
///
/// ```
/// use poe::{Event, Kernel, Session, event::START};
/// const HELLO: Event<String> = Event::new("hello");
/// # tokio_test::block_on(async {
/// let kernel = Kernel::new();
/// Session::builder(())
///     .on(START, |cx, ()| cx.refcount_increment(cx.session_id(), "waiting").map(drop))
///     .on(HELLO, |cx, from: String| {
///         println!("hello from {from}");
///         cx.refcount_decrement(cx.session_id(), "waiting").map(drop)
///     })
///     .create(&kernel)?;
/// let handle = kernel.handle();
/// let id = kernel.session_by_number(1).unwrap();
/// std::thread::spawn(move || handle.post(id, HELLO, String::from("a thread")).unwrap());
/// kernel.run().await
/// # }).unwrap();
/// ```
#[doc(alias = "Sender")]
#[doc(alias = "channel")]
#[doc(alias = "mpsc")]
#[doc(alias = "inbox")]
#[doc(alias = "actor ref")]
#[doc(alias = "address")]
#[doc(alias = "Recipient")]
pub struct KernelHandle {
    inbox: Arc<Inbox>,
}

impl Clone for KernelHandle {
    fn clone(&self) -> Self {
        KernelHandle::new(&self.inbox)
    }
}

impl Drop for KernelHandle {
    fn drop(&mut self) {
        self.inbox.mailbox.leave();
    }
}

impl fmt::Debug for KernelHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KernelHandle")
            .field("waiting", &self.inbox.mailbox.len())
            .field("closed", &self.is_closed())
            .finish()
    }
}

impl Kernel {
    /// Returns a handle for other threads.
    ///
    /// ```
    /// use poe::{Event, Kernel, Session, event::{START, STOP}};
    /// const LINE: Event<String> = Event::new("line");
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), poe::Error> {
    /// let kernel = Kernel::new();
    /// let id = Session::builder(String::new())
    ///     .on(START, |cx, ()| cx.alias_set("log"))
    ///     .on(LINE, |cx, line| *cx.heap += &line)
    ///     .on(STOP, |cx, ()| assert_eq!(*cx.heap, "from a thread"))
    ///     .create(&kernel)?;
    /// let handle = kernel.handle();
    /// let thread = std::thread::spawn(move || {
    ///     handle.post("log", LINE, String::from("from a thread")).unwrap();
    ///     handle.signal(id, "TERM", ()).unwrap(); // for the session alone
    /// }); // the handle is dropped here, the last one
    /// kernel.serve().await?; // until there is neither a session nor a handle
    /// thread.join().unwrap();
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn handle(&self) -> KernelHandle {
        KernelHandle::of(self.core())
    }
}

impl KernelHandle {
    fn new(inbox: &Arc<Inbox>) -> Self {
        inbox.mailbox.enter();
        KernelHandle { inbox: inbox.clone() }
    }

    pub(crate) fn of(core: &Core) -> Self {
        KernelHandle::new(&core.inbox)
    }

    /// Has the kernel do something, even if the inbox is full: for what must not be lost.
    pub(crate) fn put_always(&self, work: Box<dyn FnOnce(&Core) + Send>) {
        self.inbox.put_always(work);
    }

    /// Posts an event from any thread. Never blocks.
    ///
    /// The target is looked up when the kernel takes the message in. If it does not exist then, if it has no handler
    /// for the event or one that takes another type, or if it stops first, the message is a dead letter (see
    /// [`Kernel::on_dead_letter`]).
    ///
    /// # Errors
    /// [`PostError`] with the argument, when the inbox is full, the kernel is gone, or a failure has ended its run.
    #[track_caller]
    #[doc(alias = "tell")]
    #[doc(alias = "send")]
    #[doc(alias = "notify")]
    #[doc(alias = "do_send")]
    #[doc(alias = "cast")]
    pub fn post<'t, A: Send + 'static>(
        &self,
        target: impl Into<Target<'t>>,
        event: impl Posts<A>,
        arg: A,
    ) -> Result<(), PostError<A>> {
        let (target, event_name, place) = (
            SendTarget::new(target.into()),
            SendName::new(event.key()),
            Location::caller(),
        );
        let sent = self.inbox.clock.now();
        let cause = Cause::here();
        let mut arg = Some(arg);
        let put = self.inbox.mailbox.put(Needs::Kernel, || match arg.take() {
            Some(arg) => Letter::Post(Post {
                target,
                event: event_name,
                arg: SendArg::new(arg),
                place,
                sent,
                cause,
            }),
            None => unreachable!("a letter is written once"),
        });
        match (put, arg) {
            (Err(kind), Some(arg)) => Err(PostError::new(event.key().as_str(), kind.into(), arg)),
            _ => Ok(()),
        }
    }

    /// Posts an event and waits for room if the inbox is full, where [`post`](Self::post) gives the argument back.
    ///
    /// Waiting senders get their turns in the order in which they came. The post is sent when the future is polled, and not at all
    /// if it is dropped before its end.
    ///
    /// # Errors
    /// [`PostError`] with the argument, when the kernel is gone or a failure has ended its run, also while it waits.
    ///
    /// ```
    /// use poe::{Event, Kernel, Session, event::{START, STOP}};
    /// use std::time::Duration;
    /// const LINE: Event<String> = Event::new("line");
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), poe::Error> {
    /// let kernel = Kernel::builder().inbox_capacity(2).build();
    /// Session::builder(0)
    ///     .on(START, |cx, ()| cx.alias_set("log"))
    ///     .on(LINE, |cx, _| *cx.heap += 1)
    ///     .on(STOP, |cx, ()| assert_eq!(*cx.heap, 100))
    ///     .create(&kernel)?;
    /// let handle = kernel.handle();
    /// let writer = async move {
    ///     for n in 0..100 {
    ///         handle.post_wait("log", LINE, format!("line {n}")).await.unwrap(); // as fast as the kernel takes them in
    ///     }
    /// };
    /// kernel.serve_until(writer, Duration::from_secs(1)).await?;
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    #[doc(alias = "backpressure")]
    #[doc(alias = "send")]
    pub fn post_wait<'t, A: Send + 'static>(
        &self,
        target: impl Into<Target<'t>>,
        event: impl Posts<A>,
        arg: A,
    ) -> impl Future<Output = Result<(), PostError<A>>> + Send {
        PostWait {
            inbox: &self.inbox,
            post: Some((SendTarget::new(target.into()), SendName::new(event.key()), arg)),
            cause: Cause::here(),
            place: Location::caller(),
            line: None,
        }
    }

    /// Calls a session's handler and gives its reply, as a future.
    ///
    /// The call is sent at once, not when the future is polled. It is an event in the kernel's queue: the handler has
    /// seen everything that this thread has sent through the handle before. [`ReplyFuture::timeout`] limits the wait.
    ///
    /// The kernel must be running, or be run later, by another task: a task that awaits a call before its own
    /// `kernel.run()` waits for ever. There use [`Kernel::call`].
    ///
    /// # Errors
    /// [`CallError`](crate::CallError): the errors of [`Kernel::call`]; the session stopped before the call was
    /// dispatched; the inbox is full; the kernel is gone or its run has ended. No call waits for a kernel that has
    /// ended. The error has the argument, unless a handler got it.
    ///
    /// ```
    /// use poe::{Event, Kernel, Reply, Session, event::START};
    /// const DOUBLE: Event<u32, u32> = Event::new("double");
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), poe::Error> {
    /// let kernel = Kernel::new();
    /// Session::builder(())
    ///     .on(START, |cx, ()| cx.alias_set("doubler"))
    ///     .on(DOUBLE, |_, n| Reply(2 * n))
    ///     .create(&kernel)?;
    /// let handle = kernel.handle();
    /// tokio::select! {
    ///     () = async {
    ///         assert_eq!(handle.call("doubler", DOUBLE, 21).await.unwrap(), 42);
    ///         let refused = handle.call("nobody", DOUBLE, 21).await.unwrap_err();
    ///         assert_eq!(refused.into_arg(), Some(21)); // no handler took it
    ///     } => {}
    ///     served = kernel.serve() => served?,
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    #[doc(alias = "request")]
    #[doc(alias = "query")]
    #[doc(alias = "send_and_wait")]
    pub fn call<'t, A: Send + 'static, R: Send + 'static>(
        &self,
        target: impl Into<Target<'t>>,
        event: impl Calls<A, R>,
        arg: A,
    ) -> ReplyFuture<A, R> {
        const { assert_reply_type::<R>() };
        let (target, place, sent) = (
            SendTarget::new(target.into()),
            Location::caller(),
            self.inbox.clock.now(),
        );
        let cause = Cause::here();
        let (reply, replied) = tokio::sync::oneshot::channel();
        let arg = Pending::new(arg);
        let put = self.inbox.mailbox.put(Needs::Run, || Letter::Call {
            target,
            call: Box::new(Call {
                event: SendName::new(event.key()),
                arg: arg.share(),
                reply,
            }),
            place,
            sent,
            cause,
        });
        ReplyFuture::new(event.key().as_str(), arg, put.map(|()| replied).map_err(Into::into))
    }

    /// Waits for the end of a session, and tells how it has ended.
    ///
    /// It joins the queue like a [call](Self::call): a session that an earlier post of this handle creates is found. The target is looked up once, so
    /// it is about one session and not about the next one with that alias. [`ReplyFuture::timeout`] limits the wait.
    ///
    /// # Errors
    /// [`CallError`](crate::CallError): the session does not exist, or has ended already; the inbox is full; the kernel is gone.
    ///
    /// ```
    /// use poe::{Event, Kernel, OnFailure, Session, event::START, inspect::SessionEnd};
    /// const WORK: Event<()> = Event::new("work");
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), poe::Error> {
    /// let kernel = Kernel::builder().on_failure(OnFailure::StopSession).build();
    /// Session::builder(())
    ///     .on(START, |cx, ()| cx.alias_set("worker"))
    ///     .on(WORK, |_, ()| -> poe::HandlerResult { Err("out of paper".into()) })
    ///     .create(&kernel)?;
    /// let handle = kernel.handle();
    /// let client = async {
    ///     let ended = handle.ended("worker");
    ///     handle.post("worker", WORK, ()).unwrap();
    ///     match ended.await.unwrap() {
    ///         SessionEnd::Failed { failure, event, .. } => assert_eq!(format!("{event}: {failure}"), "work: out of paper"),
    ///         end => panic!("{end}"),
    ///     }
    /// };
    /// kernel.serve_until(client, std::time::Duration::from_secs(1)).await?;
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    #[doc(alias = "monitor")]
    #[doc(alias = "wait_for_shutdown")]
    #[doc(alias = "join")]
    pub fn ended<'t>(&self, target: impl Into<Target<'t>>) -> ReplyFuture<(), SessionEnd> {
        let (target, place, sent) = (
            SendTarget::new(target.into()),
            Location::caller(),
            self.inbox.clock.now(),
        );
        let (reply, replied) = tokio::sync::oneshot::channel();
        let arg = Pending::new(());
        let wanted = arg.share();
        let put = self.inbox.mailbox.put(Needs::Run, || Letter::Call {
            target,
            call: Box::new(WatchEnd {
                is_wanted: move || wanted.take().is_some(),
                reply,
            }),
            place,
            sent,
            cause: Cause::none(),
        });
        ReplyFuture::new("ended", arg, put.map(|()| replied).map_err(Into::into))
    }

    /// Raises a signal from any thread; the target [`kernel_id`](Self::kernel_id) means all sessions.
    ///
    /// A signal joins the queue behind everything that was sent before it. Only `KILL` overtakes: it takes effect as
    /// soon as the kernel's future is polled, also between the records of one read and in an endless generation.
    ///
    /// # Errors
    /// [`PostError`] with the argument, when the inbox is full, the kernel is gone, or a failure has ended its run. (A
    /// missing target makes the signal a dead letter.)
    ///
    /// ```
    /// use poe::{Kernel, Session, Signal, event::{START, STOP}};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), poe::Error> {
    /// let kernel = Kernel::new();
    /// Session::builder(0)
    ///     .on(START, |cx, ()| {
    ///         cx.sig("reload", "on reload");
    ///         cx.alias_set("server")
    ///     })
    ///     .on("on reload", |cx, signal: Signal| *cx.heap += signal.arg::<u32>().unwrap())
    ///     .on(STOP, |cx, ()| assert_eq!(*cx.heap, 7))
    ///     .create(&kernel)?;
    /// let handle = kernel.handle();
    /// std::thread::spawn(move || {
    ///     handle.signal("server", "reload", 7_u32).unwrap();
    ///     handle.signal(handle.kernel_id(), "TERM", ()).unwrap(); // for all sessions, which also ends the run
    /// });
    /// kernel.serve().await
    /// # }
    /// ```
    #[track_caller]
    #[doc(alias = "broadcast")]
    pub fn signal<'t, A: Send + 'static>(
        &self,
        target: impl Into<Target<'t>>,
        signal: &str,
        arg: A,
    ) -> Result<(), PostError<A>> {
        let (target, place, sent) = (
            SendTarget::new(target.into()),
            Location::caller(),
            self.inbox.clock.now(),
        );
        let cause = Cause::here();
        let mut arg = Some(arg);
        if signal_name(signal) == "KILL" {
            let put = self.inbox.mailbox.put_urgent(|| match arg.take() {
                Some(arg) => Post {
                    target,
                    event: SendName::new(Key::new("KILL")),
                    arg: SendArg::new(arg),
                    place,
                    sent,
                    cause,
                },
                None => unreachable!("a letter is written once"),
            });
            return match (put, arg) {
                (Err(kind), Some(arg)) => Err(PostError::new(signal, kind.into(), arg)),
                _ => Ok(()),
            };
        }
        let put = self.inbox.mailbox.put(Needs::Kernel, || match arg.take() {
            Some(arg) => Letter::Signal(Post {
                target,
                event: SendName::new(Key::new(signal)),
                arg: SendArg::new(arg),
                place,
                sent,
                cause,
            }),
            None => unreachable!("a letter is written once"),
        });
        match (put, arg) {
            (Err(kind), Some(arg)) => Err(PostError::new(signal, kind.into(), arg)),
            _ => Ok(()),
        }
    }

    /// Returns the kernel's ID, for use as a target.
    ///
    /// ```
    /// let kernel = poe::Kernel::new();
    /// let handle = kernel.handle();
    /// assert_eq!(handle.kernel_id(), kernel.id());
    /// handle.signal(handle.kernel_id(), "TERM", ()).unwrap(); // for all sessions
    /// handle.post(handle.kernel_id(), "anything", ()).unwrap(); // dropped: the kernel has no handlers
    /// ```
    #[must_use]
    pub fn kernel_id(&self) -> SessionId {
        SessionId {
            serial: 0,
            slot: KERNEL,
            kernel: self.inbox.kernel,
        }
    }

    /// Returns whether the kernel is gone.
    ///
    /// ```
    /// let kernel = poe::Kernel::new();
    /// let handle = kernel.handle();
    /// assert!(!handle.is_closed());
    /// drop(kernel); // the handle does not keep it alive
    /// assert!(handle.is_closed());
    /// let refused = handle.post("worker", "job", 7).unwrap_err();
    /// assert!(refused.is_closed());
    /// assert_eq!(refused.into_arg(), 7);
    /// ```
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.inbox.is_closed()
    }
}
