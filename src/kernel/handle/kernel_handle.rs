//! What a program has of a kernel on another thread.

use super::answer::Answer;
use super::inbox::Inbox;
use super::letter::{Letter, Post, SendName, SendTarget};
use crate::arg::SendArg;
use crate::error::{PostError, drop_quietly};
use crate::event::{Calls, Posts, assert_reply_type};
use crate::id::SessionId;
use crate::kernel::signal::signal_from;
use crate::kernel::{Core, Kernel, Target};
use crate::resource::sessions::KERNEL;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;

/// A handle to a kernel for other threads and tasks: `Send`, `Sync`, cheap to clone. It keeps neither the kernel nor
/// its `run` alive.
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
pub struct KernelHandle {
    inbox: Arc<Inbox>,
}

impl Clone for KernelHandle {
    fn clone(&self) -> Self {
        KernelHandle {
            inbox: self.inbox.clone(),
        }
    }
}

impl Drop for KernelHandle {
    fn drop(&mut self) {
        // `serve` may be waiting for just this.
        self.inbox.shared.notify();
    }
}

impl fmt::Debug for KernelHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letters = self.inbox.letters();
        f.debug_struct("KernelHandle")
            .field("waiting", &letters.waiting.len())
            .field("closed", &letters.closed)
            .finish()
    }
}

impl Kernel {
    /// A handle for other threads.
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
        KernelHandle {
            inbox: self.core().inbox.clone(),
        }
    }
}

impl KernelHandle {
    pub(crate) fn of(core: &Core) -> Self {
        KernelHandle {
            inbox: core.inbox.clone(),
        }
    }

    /// Has the kernel do something, even if the inbox is full: for what must not be lost.
    pub(crate) fn put_always(&self, work: Box<dyn FnOnce(&Core) + Send>) {
        self.inbox.put_always(work);
    }

    /// Posts an event from any thread. Never blocks. The target is looked up when the kernel takes the message in; if it
    /// is not there then, the message is a dead letter (see [`Kernel::on_dead_letter`]).
    ///
    /// # Errors
    /// [`PostError`] with the argument, when the inbox is full or the kernel is gone.
    #[track_caller]
    pub fn post<'t, A: Send + 'static>(
        &self,
        target: impl Into<Target<'t>>,
        event: impl Posts<A>,
        arg: A,
    ) -> Result<(), PostError<A>> {
        let (target, name, place) = (
            SendTarget::new(target.into()),
            SendName::new(event.key()),
            Location::caller(),
        );
        let mut arg = Some(arg);
        let put = self.inbox.put(|| match arg.take() {
            Some(arg) => Letter::Post(Post {
                target,
                event: name,
                arg: SendArg::new(arg),
                place,
            }),
            None => unreachable!("a letter is written once"),
        });
        match (put, arg) {
            (Err(kind), Some(arg)) => Err(PostError::new(event.key().as_str(), kind, arg)),
            _ => Ok(()),
        }
    }

    /// Asks a session and waits for its handler's answer.
    ///
    /// # Errors
    /// [`CallError`](crate::CallError): what can go wrong with [`Kernel::call`], a full inbox, or a kernel that is gone
    /// before it answers.
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
    pub fn call<'t, A: Send + 'static, R: Send + 'static>(
        &self,
        target: impl Into<Target<'t>>,
        event: impl Calls<A, R>,
        arg: A,
    ) -> Answer<A, R> {
        const { assert_reply_type::<R>() };
        let place = Location::caller();
        let target = SendTarget::new(target.into());
        let key = SendName::new(event.key());
        let event = event.key().as_str().to_owned();
        let (answer, answered) = tokio::sync::oneshot::channel();
        let mut arg = Some(arg);
        let put = self.inbox.put(|| {
            let arg = arg.take();
            Letter::Run(Box::new(move |core: &Core| {
                if let Some(arg) = arg {
                    let result = core.call_from::<A, R>(core.id(), target.target(), key.key(), arg, place);
                    // Whoever asked may have gone away.
                    drop_quietly(answer.send(result));
                }
            }))
        });
        let answered = put.map(|()| answered).map_err(|kind| (kind, arg));
        Answer { event, answered }
    }

    /// Raises a signal from any thread; to [`kernel_id`](Self::kernel_id), for everybody.
    ///
    /// # Errors
    /// [`PostError`] with the argument, when the inbox is full or the kernel is gone. (A target that is not there is only
    /// logged.)
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
    ///     handle.signal(handle.kernel_id(), "TERM", ()).unwrap(); // for everybody, and the kernel's own end
    /// });
    /// kernel.serve().await
    /// # }
    /// ```
    #[track_caller]
    pub fn signal<'t, A: Send + 'static>(
        &self,
        target: impl Into<Target<'t>>,
        signal: &str,
        arg: A,
    ) -> Result<(), PostError<A>> {
        let target = SendTarget::new(target.into());
        let name = signal.to_owned();
        let place = Location::caller();
        let mut arg = Some(arg);
        let put = self.inbox.put(|| {
            let arg = arg.take();
            Letter::Run(Box::new(move |core: &Core| {
                if let Some(arg) = arg
                    && let Err(refused) = signal_from(core, target.target(), &name, arg, place)
                {
                    tracing::warn!(target: "poe::signals", %place, "{refused}");
                }
            }))
        });
        match (put, arg) {
            (Err(kind), Some(arg)) => Err(PostError::new(signal, kind, arg)),
            _ => Ok(()),
        }
    }

    /// The kernel's ID, for use as a target.
    ///
    /// ```
    /// let kernel = poe::Kernel::new();
    /// let handle = kernel.handle();
    /// assert_eq!(handle.kernel_id(), kernel.id());
    /// handle.signal(handle.kernel_id(), "TERM", ()).unwrap(); // for everybody
    /// handle.post(handle.kernel_id(), "anything", ()).unwrap(); // swallowed: the kernel has no handlers
    /// ```
    #[must_use]
    pub fn kernel_id(&self) -> SessionId {
        SessionId {
            serial: 0,
            slot: KERNEL,
            kernel: self.inbox.kernel,
        }
    }

    /// Whether the kernel is gone.
    ///
    /// ```
    /// let kernel = poe::Kernel::new();
    /// let handle = kernel.handle();
    /// assert!(!handle.is_closed());
    /// drop(kernel); // the handle does not keep it
    /// assert!(handle.is_closed());
    /// let refused = handle.post("worker", "job", 7).unwrap_err();
    /// assert!(refused.is_closed());
    /// assert_eq!(refused.into_arg(), 7);
    /// ```
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.inbox.letters().closed
    }
}
