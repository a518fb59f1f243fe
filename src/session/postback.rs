//! Postbacks and callbacks: events as values, for code without access to sessions (laws L72 to L74).

use super::Caller;
use crate::arg::AnyArg;
use crate::error::{CallError, Failure, PostError};
use crate::event::{Calls, Posts, assert_reply_type};
use crate::id::{Place, SessionId};
use crate::kernel::{Core, KernelHandle, KernelRef, PendingReply, call_at_once, postback_tag};
use crate::name::{HeldName, Key, Name};
use std::any::TypeId;
use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;
use std::panic::Location;
use std::rc::Weak;

/// One count on the postback tag of a session; released once, on drop or before.
struct Hold {
    core: Weak<Core>,
    session: SessionId,
    event: HeldName,
    place: Place,
    holds: Cell<bool>,
}

impl Hold {
    fn new(core: &Core, session: SessionId, key: Key<'_>, place: Place) -> Self {
        let event = HeldName::new(key);
        let holds = core
            .refcount_increment(session, &postback_tag(key.as_str()), place)
            .is_ok();
        Hold {
            core: core.weak(),
            session,
            event,
            place,
            holds: Cell::new(holds),
        }
    }

    fn release(&self) {
        if self.holds.replace(false)
            && let Some(core) = self.core.upgrade()
        {
            // A session that has died meanwhile has taken its counts along.
            let _ = core.refcount_decrement(self.session, &postback_tag(&self.event.name()));
        }
    }

    fn name(&self) -> Name {
        self.event.name()
    }
}

impl Clone for Hold {
    fn clone(&self) -> Self {
        let holds = self.holds.get()
            && self.core.upgrade().is_some_and(|core| {
                core.refcount_increment(self.session, &postback_tag(&self.event.name()), self.place)
                    .is_ok()
            });
        Hold {
            core: self.core.clone(),
            session: self.session,
            event: self.event.clone(),
            place: self.place,
            holds: Cell::new(holds),
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.release();
    }
}

/// A value that posts an event to the session that made it, with a value from the session and one from the caller.
///
/// It keeps the session alive until it is dropped or [weakened](Self::weaken).
///
/// ```
/// use poe::{Event, Kernel, Session, event::START};
/// const DONE: Event<(&'static str, u32)> = Event::new("done");
/// # tokio_test::block_on(async {
/// let kernel = Kernel::new();
/// Session::builder(())
///     .on(START, |cx, ()| {
///         let postback = cx.postback(DONE, "job 1");
///         let library_callback: Box<dyn FnOnce(u32)> = Box::new(move |n| { let _ = postback.post(n); });
///         library_callback(42);
///     })
///     .on(DONE, |_, (job, n)| assert_eq!((job, n), ("job 1", 42)))
///     .create(&kernel).unwrap();
/// kernel.run().await.unwrap();
/// # });
/// ```
#[doc(alias = "postback")]
#[doc(alias = "oneshot")]
#[doc(alias = "callback")]
#[doc(alias = "Sender")]
pub struct Postback<M, A> {
    hold: Hold,
    mine: M,
    types: PhantomData<fn(A)>,
}

impl<M: Clone + 'static, A: 'static> Postback<M, A> {
    /// Posts the event. The sender is the session that is active now, or the kernel.
    ///
    /// # Errors
    /// [`PostError`] with the argument, when the session has stopped (POE ignores that silently).
    #[track_caller]
    pub fn post(&self, arg: A) -> Result<(), PostError<A>> {
        let name = self.hold.name();
        let Some(core) = self.hold.core.upgrade() else {
            return Err(PostError::new(&name, crate::error::PostErrorKind::Closed, arg));
        };
        let both = (self.mine.clone(), arg);
        core.post_from(
            None,
            self.hold.session.into(),
            Key::new(&name),
            both,
            Location::caller(),
        )
        .map_err(|refused| refused.map(argument))
    }

    /// Releases the session now: the postback still posts as long as the session lives, but no longer keeps it alive.
    ///
    /// ```
    /// use poe::{Event, Kernel, Session, event::START};
    /// use std::{cell::RefCell, rc::Rc};
    /// const DONE: Event<(&'static str, u32)> = Event::new("done");
    /// # tokio_test::block_on(async {
    /// let kernel = Kernel::new();
    /// let given = Rc::new(RefCell::new(None));
    /// let give = given.clone();
    /// Session::builder(())
    ///     .on(START, move |cx, ()| *give.borrow_mut() = Some(cx.postback(DONE, "job 1").weaken()))
    ///     .on(DONE, |_, (job, n)| println!("{job}: {n}"))
    ///     .create(&kernel)?;
    /// kernel.run().await?; // ends, because the postback keeps nothing alive
    /// let postback = given.take().unwrap();
    /// assert_eq!(postback.post(42).unwrap_err().into_arg(), 42);
    /// # Ok::<(), poe::Error>(()) }).unwrap();
    /// ```
    #[must_use]
    pub fn weaken(self) -> Self {
        self.hold.release();
        self
    }
}

impl<M: Clone, A> Clone for Postback<M, A> {
    /// A clone holds the session separately.
    fn clone(&self) -> Self {
        Postback {
            hold: self.hold.clone(),
            mine: self.mine.clone(),
            types: PhantomData,
        }
    }
}

impl<M, A> fmt::Debug for Postback<M, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Postback({} of session {})", self.hold.name(), self.hold.session)
    }
}

/// The caller's own half of a refused argument. The other is dropped first: if its `Drop` panics, this one is dropped with
/// it and not lost, as a value that is being returned would be.
fn argument<M, A>((mine, arg): (M, A)) -> A {
    drop(mine);
    arg
}

/// Like a [`Postback`], but it calls: the handler runs at once, and its reply is returned.
///
/// ```
/// use poe::{Event, Kernel, Reply, Session, event::START};
/// const ADD: Event<(u32, u32), u32> = Event::new("add");
/// # tokio_test::block_on(async {
/// let kernel = Kernel::new();
/// Session::builder(())
///     .on(START, |cx, ()| -> poe::HandlerResult {
///         let add_two = cx.callback(ADD, 2);
///         assert_eq!(add_two.call(cx, 3)?, 5);
///         Ok(())
///     })
///     .on(ADD, |_, (a, b)| Reply(a + b))
///     .create(&kernel).unwrap();
/// kernel.run().await.unwrap();
/// # });
/// ```
#[doc(alias = "callback")]
pub struct Callback<M, A, R> {
    hold: Hold,
    mine: M,
    types: PhantomData<fn(A) -> R>,
}

impl<M: Clone + 'static, A: 'static, R: 'static> Callback<M, A, R> {
    /// Runs the handler and returns its reply. `caller` is `&kernel`, or a handler's context.
    ///
    /// # Errors
    /// [`CallError`], as [`Context::call`](crate::Context::call); with the argument, if the session has stopped.
    #[track_caller]
    pub fn call(&self, mut caller: impl Caller, arg: A) -> Result<R, CallError<A>> {
        const { assert_reply_type::<R>() };
        let name = self.hold.name();
        let both = (self.mine.clone(), arg);
        call_at_once(
            &mut caller,
            self.hold.session.into(),
            Key::new(&name),
            both,
            Location::caller(),
        )
        .map_err(|refused| refused.map(argument))
    }

    /// Releases the session now, like [`Postback::weaken`].
    ///
    /// ```
    /// use poe::{Event, Kernel, Reply, Session, event::START};
    /// use std::{cell::RefCell, rc::Rc};
    /// const ADD: Event<(u32, u32), u32> = Event::new("add");
    /// # tokio_test::block_on(async {
    /// let kernel = Kernel::new();
    /// let given = Rc::new(RefCell::new(None));
    /// let give = given.clone();
    /// Session::builder(())
    ///     .on(START, move |cx, ()| *give.borrow_mut() = Some(cx.callback(ADD, 2).weaken()))
    ///     .on(ADD, |_, (a, b)| Reply(a + b))
    ///     .create(&kernel)?;
    /// let add_two = given.take().unwrap();
    /// assert_eq!(add_two.call(&kernel, 3)?, 5);
    /// kernel.run().await?; // ends, because the callback keeps nothing alive
    /// assert!(add_two.call(&kernel, 3).unwrap_err().is_no_such_session());
    /// # Ok::<(), poe::Error>(()) }).unwrap();
    /// ```
    #[must_use]
    pub fn weaken(self) -> Self {
        self.hold.release();
        self
    }
}

impl<M: Clone, A, R> Clone for Callback<M, A, R> {
    /// A clone holds the session separately.
    fn clone(&self) -> Self {
        Callback {
            hold: self.hold.clone(),
            mine: self.mine.clone(),
            types: PhantomData,
        }
    }
}

impl<M, A, R> fmt::Debug for Callback<M, A, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Callback({} of session {})", self.hold.name(), self.hold.session)
    }
}

/// A [`Postback`] for other threads. Dropping it releases the session as soon as the kernel reads its inbox.
///
/// ```
/// use poe::{Event, Kernel, Session, event::START};
/// const DONE: Event<(u8, String)> = Event::new("done");
/// # tokio_test::block_on(async {
/// let kernel = Kernel::new();
/// Session::builder(())
///     .on(START, |cx, ()| {
///         let postback = cx.send_postback(DONE, 7);
///         std::thread::spawn(move || postback.post("from a thread".to_owned()));
///     })
///     .on(DONE, |_, (n, text)| assert_eq!((n, &*text), (7, "from a thread")))
///     .create(&kernel).unwrap();
/// kernel.run().await.unwrap();
/// # });
/// ```
pub struct SendPostback<M, A> {
    handle: KernelHandle,
    session: SessionId,
    event: String,
    mine: M,
    types: PhantomData<fn(A)>,
}

impl<M: Clone + Send + 'static, A: Send + 'static> SendPostback<M, A> {
    /// Posts the event; the sender is the kernel.
    ///
    /// # Errors
    /// [`PostError`] with the argument, when the kernel's inbox is full or the kernel is gone.
    #[track_caller]
    pub fn post(&self, arg: A) -> Result<(), PostError<A>> {
        let both = (self.mine.clone(), arg);
        self.handle
            .post(self.session, &self.event, both)
            .map_err(|refused| refused.map(argument))
    }
}

impl<M, A> Drop for SendPostback<M, A> {
    fn drop(&mut self) {
        let (session, event) = (self.session, std::mem::take(&mut self.event));
        self.handle.put_always(Box::new(move |core: &Core| {
            let _ = core.refcount_decrement(session, &postback_tag(&event));
        }));
    }
}

impl<M, A> fmt::Debug for SendPostback<M, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SendPostback({} of session {})", self.event, self.session)
    }
}

impl<M, A> Postback<M, A> {
    fn of(kernel: KernelRef<'_>, key: Key<'_>, mine: M, place: Place) -> Self {
        Postback {
            hold: Hold::new(kernel.core, kernel.session_id(), key, place),
            mine,
            types: PhantomData,
        }
    }
}

impl<M, A, R> Callback<M, A, R> {
    fn of(kernel: KernelRef<'_>, key: Key<'_>, mine: M, place: Place) -> Self {
        Callback {
            hold: Hold::new(kernel.core, kernel.session_id(), key, place),
            mine,
            types: PhantomData,
        }
    }
}

impl<M, A> SendPostback<M, A> {
    fn of(kernel: KernelRef<'_>, key: Key<'_>, mine: M, place: Place) -> Self {
        let event = key.as_str().to_owned();
        // Of a session that was stopped in its own handler it holds nothing, and posts into nothing.
        let _ = kernel
            .core
            .refcount_increment(kernel.session_id(), &postback_tag(&event), place);
        SendPostback {
            handle: KernelHandle::of(kernel.core),
            session: kernel.session_id(),
            event,
            mine,
            types: PhantomData,
        }
    }
}

/// Postbacks and callbacks of the running session, whatever its kind.
///
/// ```
/// use poe::{Event, Kernel, Reply, Session, event::{START, STOP}};
/// const DONE: Event<(&'static str, u32)> = Event::new("done");
/// const ADD: Event<(u32, u32), u32> = Event::new("add");
/// # tokio_test::block_on(async {
/// let kernel = Kernel::new();
/// Session::builder(Vec::new())
///     .on(START, |cx, ()| -> poe::HandlerResult {
///         let posts = cx.postback(DONE, "here");
///         let calls = cx.callback(ADD, 2);
///         let sends = cx.send_postback(DONE, "on a thread");
///         posts.post(1)?;
///         let five = calls.call(cx, 3)?;
///         std::thread::spawn(move || sends.post(five));
///         Ok(())
///     })
///     .on(ADD, |_, (a, b)| Reply(a + b))
///     .on(DONE, |cx, done| cx.heap.push(done))
///     .on(STOP, |cx, ()| assert_eq!(*cx.heap, [("here", 1), ("on a thread", 5)]))
///     .create(&kernel)?;
/// kernel.run().await
/// # }).unwrap();
/// ```
impl KernelRef<'_> {
    /// Makes a value that posts `event` to this session, with `mine` and the caller's value.
    #[track_caller]
    pub fn postback<M: Clone + 'static, A: 'static>(self, event: impl Posts<(M, A)>, mine: M) -> Postback<M, A> {
        Postback::of(self, event.key(), mine, Location::caller())
    }

    /// Makes a value that calls `event` of this session, with `mine` and the caller's value.
    #[track_caller]
    pub fn callback<M: Clone + 'static, A: 'static, R: 'static>(
        self,
        event: impl Calls<(M, A), R>,
        mine: M,
    ) -> Callback<M, A, R> {
        Callback::of(self, event.key(), mine, Location::caller())
    }

    /// Makes a postback for other threads.
    #[doc(alias = "postback")]
    #[track_caller]
    pub fn send_postback<M: Clone + Send + 'static, A: Send + 'static>(
        self,
        event: impl Posts<(M, A)>,
        mine: M,
    ) -> SendPostback<M, A> {
        SendPostback::of(self, event.key(), mine, Location::caller())
    }
}

// The return types of handlers.
/// A handler's reply to a [`call`](crate::Context::call).
///
/// ```
/// use poe::{Event, Kernel, Reply, Session, event::START};
/// const LENGTH: Event<String, usize> = Event::new("length");
/// let kernel = Kernel::new();
/// let id = Session::builder(())
///     .on(START, |_, ()| ())
///     .on(LENGTH, |_, text| Reply(text.len()))
///     .create(&kernel)?;
/// assert_eq!(kernel.call(id, LENGTH, "poe".to_owned())?, 3);
/// # Ok::<(), poe::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[doc(alias = "respond")]
#[doc(alias = "return value")]
#[doc(alias = "oneshot")]
pub struct Reply<T>(pub T);

/// What a handler may return: nothing, `!`, a [`Reply`], a [`PendingReply`], or a `Result` of these with an error for [`Failure`].
///
/// ```
/// use poe::{Failure, HandlerResult, Reply, States, extend::IntoReply};
/// fn length(text: Option<&str>) -> HandlerResult<Reply<usize>> {
///     let text = text.ok_or_else(|| Failure::msg("no text"))?;
///     Ok(Reply(text.len()))
/// }
/// let states = States::<()>::new().on("length", |_, text: Option<&'static str>| length(text));
/// assert_eq!(states.event_names(), ["length"]);
///
/// assert_eq!(length(Some("poe")).into_reply().unwrap(), 3);
/// assert_eq!(length(None).into_reply().unwrap_err().to_string(), "no text");
/// ```
#[diagnostic::on_unimplemented(
    message = "a handler cannot return `{Self}`",
    label = "not the return type of a handler",
    note = "return nothing, or wrap the value for the caller: `Reply(value)`",
    note = "name the return type of a handler that uses `?`: `|cx, arg| -> poe::HandlerResult {{ .. Ok(()) }}`, or `-> poe::HandlerResult<Reply<T>>`",
    note = "handlers cannot be async: `cx.spawn(future, EVENT)` sends the output of a future as an event"
)]
pub trait IntoReply {
    /// The value that the caller gets.
    type Value: 'static;

    /// The reply, or the failure that becomes a `DIE`.
    ///
    /// # Errors
    /// The handler's.
    fn into_reply(self) -> Result<Self::Value, Failure>;

    /// Leaves the reply for the waiting caller, if it is more than `()`.
    #[doc(hidden)]
    #[inline(always)]
    fn leave(self, kernel: KernelRef<'_>) -> Result<(), Failure>
    where
        Self: Sized,
    {
        let value = self.into_reply()?;
        // A reply that is not set is `()`.
        if TypeId::of::<Self::Value>() != TypeId::of::<()>() && kernel.is_asked() {
            kernel.set_reply(AnyArg::new(value));
        }
        Ok(())
    }
}

impl IntoReply for () {
    type Value = ();
    #[inline]
    fn into_reply(self) -> Result<(), Failure> {
        Ok(())
    }
}

impl<T: 'static> IntoReply for Reply<T> {
    type Value = T;
    #[inline]
    fn into_reply(self) -> Result<T, Failure> {
        Ok(self.0)
    }
}

impl<T: IntoReply, E: Into<Failure>> IntoReply for Result<T, E> {
    type Value = T::Value;
    #[inline]
    fn into_reply(self) -> Result<T::Value, Failure> {
        self.map_err(Into::into)?.into_reply()
    }

    #[inline(always)]
    fn leave(self, kernel: KernelRef<'_>) -> Result<(), Failure> {
        self.map_err(Into::into)?.leave(kernel)
    }
}

impl<R: 'static> IntoReply for PendingReply<R> {
    type Value = R;

    fn into_reply(self) -> Result<R, Failure> {
        Err(Failure::msg("the reply comes later: only a kernel can wait for it"))
    }

    fn leave(self, kernel: KernelRef<'_>) -> Result<(), Failure> {
        PendingReply::leave(self, kernel);
        Ok(())
    }
}

/// `!` has no name on stable Rust, but the return type of `fn() -> !` has.
#[doc(hidden)]
pub trait FnOut {
    #[doc(hidden)]
    type Out;
}

impl<T> FnOut for fn() -> T {
    type Out = T;
}

impl IntoReply for <fn() -> ! as FnOut>::Out {
    type Value = ();
    #[inline]
    fn into_reply(self) -> Result<(), Failure> {
        self
    }
}
