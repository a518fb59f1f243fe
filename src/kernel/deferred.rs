//! Replies that come later: what a handler owes to a caller that waits.
//!
//! A handler asks for a [`DeferredReply`] and returns its [`PendingReply`]. Both share a [`Promise`]. Its states:
//!
//! | state | meaning | next |
//! |---|---|---|
//! | `Open` | the handler has not returned | `Waits`; `Kept` by an early `send`; `Over` |
//! | `Kept` | the reply was sent before the handler returned | `Over`, with the reply for the caller |
//! | `Waits` | a caller waits | `Over`, by `send`, by a drop, or by the end of the session |
//! | `Over` | nobody waits: `send` returns its value | – |
//!
//! Callers that can wait are those whose call is an event of the queue: `ask`, and calls by a handle. They are [`Waiter`]s.
//! The promise is on a list of the kernel, [`Owed`], so that it holds its session, and ends with it.

use super::{Core, Frame, KernelRef};
use crate::arg::AnyArg;
use crate::bridge::clock::Clock;
use crate::error::{CallError, CallErrorKind, drop_quietly};
use crate::id::{Place, SessionId};
use crate::kernel::{Invoked, SessionHold};
use crate::name::{HeldName, Key, Name, NameIdx};
use crate::resource::{Hold, Resource};
use std::any::{Any, type_name};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::marker::PhantomData;
use std::panic::Location;
use std::rc::{Rc, Weak};
use std::time::Duration;

/// The caller that waits for a late reply.
pub(in crate::kernel) trait Waiter {
    /// Whether it still waits.
    fn is_waiting(&self) -> bool;
    /// Gives it the reply, or says why there is none.
    fn give(self: Box<Self>, core: &Core, reply: Result<AnyArg, CallErrorKind>);
}

enum State {
    Open,
    Kept(AnyArg),
    Waits(Box<dyn Waiter>),
    Over,
}

/// What a handler owes.
struct Promise {
    core: Weak<Core>,
    owner: SessionId,
    event: Name,
    /// When the handler asked for it, on the kernel's clock.
    since: u64,
    state: Cell<State>,
    /// It is on the kernel's list.
    listed: Cell<bool>,
}

impl Promise {
    /// The state, and `Over` in its place.
    fn end(&self) -> State {
        self.state.replace(State::Over)
    }

    /// Whether the state is over, or its caller has gone.
    fn is_over(&self) -> bool {
        let state = self.state.replace(State::Over);
        let over = match &state {
            State::Over => true,
            State::Waits(waiter) => !waiter.is_waiting(),
            State::Open | State::Kept(_) => false,
        };
        self.state.set(state);
        over
    }

    /// There will be no reply.
    fn fail(self: &Rc<Self>) {
        if let State::Waits(waiter) = self.end()
            && let Some(core) = self.core.upgrade()
        {
            waiter.give(&core, Err(CallErrorKind::Dropped(self.owner)));
        }
        self.forget();
    }

    /// Takes it off the kernel's list, if it is there.
    fn forget(self: &Rc<Self>) {
        if self.listed.replace(false)
            && let Some(core) = self.core.upgrade()
        {
            core.resource::<Owed>().remove(self);
        }
    }
}

/// Replies that sessions owe, with the holds by which these live.
#[derive(Default)]
struct Owed(RefCell<Vec<(Rc<Promise>, SessionHold)>>);

impl Owed {
    fn remove(&self, promise: &Rc<Promise>) {
        let entry = {
            let mut owed = self.0.borrow_mut();
            let at = owed.iter().position(|(other, _)| Rc::ptr_eq(other, promise));
            at.map(|at| owed.swap_remove(at))
        };
        drop(entry);
    }
}

impl Resource for Owed {
    fn holds(&self, session: SessionId, holds: &mut Vec<Hold>) {
        for (promise, hold) in self.0.borrow().iter().filter(|(_, hold)| hold.session() == session) {
            let now = promise.core.upgrade().map_or(promise.since, |core| core.clock.now());
            let age = Duration::from_millis(Clock::until(promise.since, now).as_millis() as u64);
            holds.push(hold.report("owed reply", format!("{}, for {age:?}", promise.event)));
        }
    }

    fn clear(&self, session: SessionId) {
        let gone: Vec<_> = self
            .0
            .borrow_mut()
            .extract_if(.., |(_, hold)| hold.session() == session)
            .collect();
        for (promise, hold) in gone {
            promise.listed.set(false);
            drop(hold);
            promise.fail();
        }
    }
}

/// What a handler leaves in place of a reply. Unless a caller takes it up, nobody waits.
pub(in crate::kernel) struct Token(Rc<Promise>);

impl Token {
    /// The reply if it was sent already; otherwise the waiter gets it later.
    pub(in crate::kernel) fn wait(self, core: &Core, waiter: Box<dyn Waiter>) {
        match self.0.end() {
            State::Open => self.0.state.set(State::Waits(waiter)),
            State::Kept(reply) => {
                self.0.forget();
                waiter.give(core, Ok(reply));
            }
            State::Waits(_) | State::Over => waiter.give(core, Err(CallErrorKind::Dropped(self.0.owner))),
        }
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        match self.0.end() {
            waits @ State::Waits(_) => self.0.state.set(waits),
            State::Open | State::Over => self.0.forget(),
            State::Kept(reply) => {
                self.0.forget();
                drop_quietly(reply);
            }
        }
    }
}

/// A reply that a handler sends after it has returned: see [`KernelRef::defer_reply`].
///
/// Dropping it fails the caller with [`CallError::is_dropped`](crate::CallError::is_dropped). As long as it is neither sent nor
/// dropped it keeps its session alive; when that session is stopped all the same, the caller gets the same error.
#[must_use = "dropping it fails the caller"]
#[doc(alias = "oneshot")]
#[doc(alias = "OutputDeferredReply")]
#[doc(alias = "From")]
pub struct DeferredReply<R> {
    promise: Rc<Promise>,
    reply: PhantomData<fn(R)>,
}

impl<R: 'static> DeferredReply<R> {
    /// Sends the reply. Returns the value if nobody waits for it.
    ///
    /// Nobody waits if the event was posted; if it was called synchronously, and the handler returned before this; or if the
    /// caller has given up since: its time was over, or it was cancelled or stopped.
    #[allow(
        clippy::must_use_candidate,
        reason = "most senders do not care whether the caller still waits"
    )]
    pub fn send(self, value: R) -> Option<R> {
        let promise = &self.promise;
        match promise.end() {
            State::Open => {
                promise.state.set(State::Kept(AnyArg::new(value)));
                None
            }
            State::Waits(waiter) => {
                promise.forget();
                match promise.core.upgrade() {
                    Some(core) if waiter.is_waiting() => {
                        waiter.give(&core, Ok(AnyArg::new(value)));
                        None
                    }
                    _ => Some(value),
                }
            }
            State::Kept(_) | State::Over => {
                promise.forget();
                Some(value)
            }
        }
    }

    /// Whether a caller still waits, so that work for a reply that nobody wants can end early.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        !self.promise.is_over()
    }
}

impl<R> Drop for DeferredReply<R> {
    fn drop(&mut self) {
        match self.promise.end() {
            kept @ State::Kept(_) => self.promise.state.set(kept),
            waits @ State::Waits(_) => {
                self.promise.state.set(waits);
                self.promise.fail();
            }
            State::Open | State::Over => self.promise.forget(),
        }
    }
}

impl<R> fmt::Debug for DeferredReply<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "DeferredReply({} of session {})",
            self.promise.event, self.promise.owner
        )
    }
}

/// What a handler returns when its reply comes later: see [`KernelRef::defer_reply`].
#[must_use = "the handler returns it"]
pub struct PendingReply<R> {
    token: Token,
    reply: PhantomData<fn() -> R>,
}

impl<R> PendingReply<R> {
    /// Leaves it for the caller.
    pub(crate) fn leave(self, kernel: KernelRef<'_>) {
        let promise = &self.token.0;
        match promise.end() {
            State::Kept(reply) => {
                promise.forget();
                kernel.set_reply(reply);
            }
            state => {
                promise.state.set(state);
                kernel.set_reply(AnyArg::new(self.token));
            }
        }
    }
}

impl<R> fmt::Debug for PendingReply<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let promise = &self.token.0;
        write!(f, "PendingReply({} of session {})", promise.event, promise.owner)
    }
}

impl KernelRef<'_> {
    /// Lets the running handler reply later: it returns the second value, and sends the reply with the first.
    ///
    /// Callers that wait get the reply then: [`ask`](Self::ask), [`KernelHandle::call`](crate::KernelHandle::call). A synchronous
    /// [`call`](crate::Context::call) cannot wait. It fails with
    /// [`CallError::is_deferred`](crate::CallError::is_deferred) unless the reply was sent before the handler returned.
    ///
    /// The owed reply keeps the session alive; [`why_alive`](crate::Kernel::why_alive) lists it with its age and this line.
    ///
    /// ```
    /// use poe::{Event, Kernel, Session, event::START};
    /// use std::time::Duration;
    /// const FETCH: Event<&'static str, String> = Event::new("fetch");
    /// # tokio_test::block_on(async {
    /// let kernel = Kernel::new();
    /// Session::builder(0)
    ///     .on(START, |cx, ()| cx.alias_set("fetcher"))
    ///     .on(FETCH, |cx, url| {
    ///         let (reply, pending) = cx.defer_reply();
    ///         let fetch = async move { tokio::time::sleep(Duration::from_millis(1)).await; format!("<page of {url}>") };
    ///         cx.spawn_then(fetch, |cx, page| {
    ///             *cx.heap += 1;
    ///             reply.send(page);
    ///         });
    ///         pending
    ///     })
    ///     .create(&kernel)?;
    /// let handle = kernel.handle();
    /// let client = async move {
    ///     assert_eq!(handle.call("fetcher", FETCH, "example.org").await.unwrap(), "<page of example.org>");
    /// };
    /// kernel.serve_until(client, Duration::from_secs(1)).await?;
    /// # Ok::<(), poe::Error>(()) }).unwrap();
    /// ```
    #[track_caller]
    #[doc(alias = "noreply")]
    #[doc(alias = "ResponseFuture")]
    #[doc(alias = "DelegatedReply")]
    pub fn defer_reply<R: 'static>(self) -> (DeferredReply<R>, PendingReply<R>) {
        let (core, place) = (self.core, Location::caller());
        // Nobody can wait for the reply to a post, nor can a session that was stopped in its own handler owe one.
        let hold = match self.is_asked() {
            true => core.hold_session(self.frame.session, place).ok(),
            false => None,
        };
        let promise = Rc::new(Promise {
            core: core.weak(),
            owner: self.frame.session,
            event: self.event(),
            since: core.clock.now(),
            state: Cell::new(if hold.is_some() { State::Open } else { State::Over }),
            listed: Cell::new(hold.is_some()),
        });
        if let Some(hold) = hold {
            let owed = core.resource::<Owed>();
            owed.0.borrow_mut().push((promise.clone(), hold));
        }
        let pending = PendingReply {
            token: Token(promise.clone()),
            reply: PhantomData,
        };
        (
            DeferredReply {
                promise,
                reply: PhantomData,
            },
            pending,
        )
    }
}

/// A reply that comes later, for a caller that takes it: see [`Nested::try_call_late`](super::Nested::try_call_late).
///
/// Dropping it gives the reply up: its sender gets the value back.
#[must_use = "dropping it gives the reply up"]
pub struct LateReply<R> {
    token: Token,
    event: HeldName,
    reply: PhantomData<fn() -> R>,
}

impl<R: 'static> LateReply<R> {
    /// Takes the promise that a handler has left in place of its reply.
    #[inline]
    pub(super) fn taken(key: Key<'_>, reply: &mut AnyArg) -> Option<Self> {
        if !reply.is_boxed() {
            return None;
        }
        Some(LateReply {
            token: reply.take::<Token>()?,
            event: HeldName::new(key),
            reply: PhantomData,
        })
    }

    /// Runs the closure with the reply when it is sent, or with the reason why there will be none. It may run at once.
    ///
    /// It runs inside the sender's handler, so it should only hand the reply on.
    pub fn then(self, kernel: KernelRef<'_>, then: impl FnOnce(Result<R, CallError<()>>) + 'static) {
        let waiter = Then {
            event: self.event,
            then,
            reply: PhantomData,
        };
        self.token.wait(kernel.core, Box::new(waiter));
    }
}

impl<R> fmt::Debug for LateReply<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LateReply({})", self.event.name())
    }
}

struct Then<R, F> {
    event: HeldName,
    then: F,
    reply: PhantomData<fn() -> R>,
}

impl<R: 'static, F: FnOnce(Result<R, CallError<()>>)> Waiter for Then<R, F> {
    fn is_waiting(&self) -> bool {
        true
    }

    fn give(self: Box<Self>, _: &Core, reply: Result<AnyArg, CallErrorKind>) {
        let event = self.event.name();
        let key = Key::new(&event);
        let refuse = |kind| CallError::new(key.as_str(), kind, None);
        (self.then)(match reply {
            Ok(value) => value.downcast::<R>().map_err(|value| refuse(wrong_reply::<R>(&value))),
            Err(kind) => Err(refuse(kind)),
        });
    }
}

/// Who called, for a call that is an event of the queue.
#[derive(Clone, Copy)]
pub(in crate::kernel) struct Origin {
    pub(in crate::kernel) sender: SessionId,
    pub(in crate::kernel) caller: NameIdx,
    pub(in crate::kernel) place: Place,
}

/// What came of such a call when its handler has returned.
pub(in crate::kernel) enum Ran<A> {
    Replied(AnyArg),
    Deferred(Token),
    Refused(CallErrorKind, Option<A>),
}

impl Core {
    /// Runs the handler of a call that has waited in the queue, so that no other handler is on the stack.
    pub(in crate::kernel) fn run_queued_call<A: 'static>(
        &self,
        callee: SessionId,
        key: Key<'_>,
        arg: A,
        origin: Origin,
    ) -> Ran<A> {
        let object = self.sessions.borrow().object_of(callee);
        let Some(object) = object else {
            let wanted = super::Target::from(callee).wanted();
            return Ran::Refused(CallErrorKind::NoSuchSession(wanted), Some(arg));
        };
        let name = self.names.acquire(key);
        let mut arg = AnyArg::new(arg);
        let reply = Cell::new(AnyArg::UNIT);
        let frame = Frame {
            session: callee,
            event: Cell::new(name),
            sender: origin.sender,
            caller: origin.caller,
            place: origin.place,
            answer: Some(&reply),
        };
        let invoked = self.dispatch(object, &frame, &mut arg, false);
        self.names.release(name);
        let mut reply = reply.take();
        match invoked {
            Invoked::Returned => match reply.is_boxed().then(|| reply.take::<Token>()).flatten() {
                Some(token) => Ran::Deferred(token),
                None => Ran::Replied(reply),
            },
            failed => {
                let (kind, arg) = self.call_failed(failed, &frame, &mut arg);
                Ran::Refused(kind, arg)
            }
        }
    }
}

/// The error of a synchronous call whose reply is not of the type `R`.
#[cold]
pub(super) fn no_reply<R>(callee: SessionId, reply: &AnyArg) -> CallErrorKind {
    if reply.is::<Token>() {
        return CallErrorKind::Deferred(callee);
    }
    wrong_reply::<R>(reply)
}

/// The error of a call whose reply is not of the type `R`.
pub(in crate::kernel) fn wrong_reply<R>(reply: &AnyArg) -> CallErrorKind {
    CallErrorKind::WrongReply {
        expected: type_name::<R>(),
        got: reply.type_name(),
    }
}

/// Whether a synchronous caller that takes a reply of any type has got the promise of one.
#[inline(always)]
pub(super) fn is_promise<R: 'static>(reply: &R) -> bool {
    // Only of a dynamic call's reply is it not known at compile time.
    let reply: &dyn Any = reply;
    reply.downcast_ref::<AnyArg>().is_some_and(AnyArg::is::<Token>)
}
