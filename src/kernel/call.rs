//! Calls: a handler runs now, and its reply or its failure comes back.

use super::deferred::{LateReply, is_promise, no_reply};
use super::message::Target;
use super::{AtOnce, Core, Frame, Invoke, Invoked, Kernel, KernelRef, Nested};
use crate::arg::AnyArg;
use crate::error::{CallError, CallErrorKind, drop_quietly};
use crate::event::{Calls, assert_reply_type};
use crate::id::{Place, SessionId};
use crate::name::{Key, NameIdx};
use std::cell::Cell;
use std::mem::ManuallyDrop;
use std::panic::Location;
use std::rc::Rc;

impl Core {
    /// The session that a call is for, and its object; the kernel has none.
    #[inline(never)]
    pub(crate) fn callee(&self, target: &Target<'_>) -> Option<(SessionId, Option<Rc<dyn Invoke>>)> {
        let sessions = self.sessions.borrow();
        let slot = match target {
            Target::Id(id) => sessions.resolve(*id),
            Target::Alias(alias) => self.aliases.borrow().resolve(alias),
        };
        slot.map(|slot| (sessions.id(slot), sessions.object(slot)))
    }

    /// Runs a handler now and keeps its failure from going further: no `DIE`, the failure is in the error. The reply is read by `read`.
    fn call_contained<A: 'static, T>(
        &self,
        target: Target<'_>,
        key: Key<'_>,
        arg: A,
        place: Place,
        read: impl FnOnce(Key<'_>, SessionId, &mut AnyArg) -> Result<T, CallError<A>>,
    ) -> Result<T, CallError<A>> {
        let refuse = |kind, arg| Err(CallError::new(key.as_str(), kind, arg));
        let (callee, object) = match self.callee(&target) {
            Some((callee, Some(object))) => (callee, object),
            Some((kernel, None)) => return refuse(CallErrorKind::Unhandled(kernel), Some(arg)),
            None => return refuse(CallErrorKind::NoSuchSession(target.wanted()), Some(arg)),
        };
        let name = self.names.acquire(key);
        let mut arg = AnyArg::new(arg);
        let reply = Cell::new(AnyArg::UNIT);
        let frame = Frame {
            session: callee,
            event: Cell::new(name),
            sender: self.active.session(),
            caller: self.active.event(),
            place,
            answer: Some(&reply),
        };
        let invoked = self.invoke_contained(object, &frame, &mut arg);
        self.names.release(name);
        match invoked {
            Invoked::Returned => read(key, callee, &mut reply.into_inner()),
            Invoked::Unhandled => refuse(CallErrorKind::Unhandled(callee), arg.take()),
            Invoked::Failed(failure) => {
                let arg = arg.take();
                let kind = match failure.wrong_type() {
                    Some(wrong) if arg.is_some() => CallErrorKind::WrongArgument(Box::new(wrong.clone())),
                    _ => CallErrorKind::Failed(failure),
                };
                refuse(kind, arg)
            }
        }
    }

    /// Runs a handler now and gives its reply (laws L12 to L16).
    #[inline(always)]
    pub(crate) fn call_from<A: 'static, R: 'static>(
        &self,
        from: SessionId,
        target: Target<'_>,
        key: Key<'_>,
        caller: NameIdx,
        arg: A,
        place: Place,
    ) -> Result<R, CallError<A>> {
        let known = match &target {
            Target::Id(id) => self.sessions.borrow().object_of(*id).map(|object| (*id, object)),
            Target::Alias(_) => None,
        };
        let (callee, object) = match known {
            Some(known) => known,
            None => match self.callee(&target) {
                Some((callee, Some(object))) => (callee, object),
                Some((kernel, None)) => return self.call_kernel(kernel, from, key.as_str(), arg, place),
                None => return Err(self.no_callee(&target, key.as_str(), arg, place)),
            },
        };
        let name = self.names.acquire(key);
        let mut arg = Spare::new(AnyArg::new(arg));
        let mut reply = Spare::new(AnyArg::nothing());
        let frame = Frame {
            session: callee,
            event: Cell::new(name),
            sender: from,
            caller,
            place,
            answer: Some(&reply.0),
        };
        let invoked = if callee == self.active.session() {
            self.invoke_self(object, &frame, arg.get())
        } else {
            self.dispatch(object, &frame, arg.get(), false)
        };
        self.names.release(name);
        if let Invoked::Returned = invoked {
            read_reply(key, frame.session, reply.get())
        } else {
            let (kind, arg) = self.call_failed(invoked, &frame, arg.get());
            Err(CallError::new(key.as_str(), kind, arg))
        }
    }

    /// Only the kernel has no object. It handles nothing, which is no failure (law L16): POE gives 0.
    #[cold]
    #[inline(never)]
    fn call_kernel<A, R: 'static>(
        &self,
        kernel: SessionId,
        from: SessionId,
        event: &str,
        arg: A,
        place: Place,
    ) -> Result<R, CallError<A>> {
        self.tell_swallowed(event, from, place);
        match kernel_reply() {
            Some(reply) => {
                drop_quietly(arg);
                Ok(reply)
            }
            None => Err(CallError::new(event, CallErrorKind::Unhandled(kernel), Some(arg))),
        }
    }

    /// Of all errors this one is the caller's mistake, and not what a handler makes of the call.
    #[cold]
    #[inline(never)]
    fn no_callee<A>(&self, target: &Target<'_>, event: &str, arg: A, place: Place) -> CallError<A> {
        let wanted = target.wanted();
        self.tell_unreachable(event, &wanted, place);
        let error = CallError::new(event, CallErrorKind::NoSuchSession(wanted), Some(arg));
        self.trace_error("call", &error, place);
        error
    }

    /// Why a call that was not replied to has failed, and its argument if no handler has taken it.
    #[cold]
    #[inline(never)]
    pub(super) fn call_failed<A: 'static>(
        &self,
        invoked: Invoked,
        frame: &Frame<'_>,
        arg: &mut AnyArg,
    ) -> (CallErrorKind, Option<A>) {
        let callee = frame.session;
        match invoked {
            Invoked::Returned | Invoked::Unhandled => (CallErrorKind::Unhandled(callee), arg.take()),
            Invoked::Failed(failure) if self.is_undeliverable(&failure, frame, arg) => {
                let wrong = failure.wrong_type().cloned();
                let kind = wrong.map_or(CallErrorKind::Died(callee), |wrong| {
                    CallErrorKind::WrongArgument(Box::new(wrong))
                });
                (kind, arg.take())
            }
            Invoked::Failed(failure) if callee == self.active.session() => (CallErrorKind::Failed(failure), None),
            Invoked::Failed(failure) => match self.die.take_if_not_catching(self.catching.get()) {
                // Without catching the failure is the caller's to meet, and no longer the kernel's (law L15).
                true => (CallErrorKind::Failed(failure), None),
                false => (CallErrorKind::Died(callee), None),
            },
        }
    }

    /// A call to oneself is a bare invocation: the active event stays, and a failure or panic goes straight to the
    /// caller (law L13).
    fn invoke_self(&self, object: Rc<dyn super::Invoke>, frame: &Frame<'_>, arg: &mut AnyArg) -> Invoked {
        let name = frame.event.get();
        let observed = self.is_listening().then(|| self.begin_observed(frame, false));
        let invoked = object.invoke(KernelRef { core: self, frame }, arg);
        if let Some(observed) = observed {
            self.end_observed(observed, frame, &invoked);
        }
        if let Invoked::Unhandled = invoked {
            self.tell_unhandled(frame, name);
        }
        invoked
    }
}

/// The reply that a handler has left, for a caller that wants an `R` at once.
#[inline(always)]
fn read_reply<A, R: 'static>(key: Key<'_>, callee: SessionId, reply: &mut AnyArg) -> Result<R, CallError<A>> {
    match reply.take::<R>() {
        Some(reply) if !is_promise(&reply) => Ok(reply),
        Some(_) => Err(CallError::new(key.as_str(), CallErrorKind::Deferred(callee), None)),
        // The reply goes by value: an address that escapes would keep it in memory.
        None => Err(no_such_reply::<A, R>(key.as_str(), callee, std::mem::take(reply))),
    }
}

#[cold]
#[inline(never)]
fn no_such_reply<A, R>(event: &str, callee: SessionId, reply: AnyArg) -> CallError<A> {
    CallError::new(event, no_reply::<R>(callee, &reply), None)
}

/// An argument or a reply that was nearly always taken in the end, and needs no dropping: one look tells.
struct Spare(ManuallyDrop<Cell<AnyArg>>);

impl Spare {
    #[inline(always)]
    fn new(value: AnyArg) -> Self {
        Spare(ManuallyDrop::new(Cell::new(value)))
    }

    #[inline(always)]
    fn get(&mut self) -> &mut AnyArg {
        self.0.get_mut()
    }
}

impl Drop for Spare {
    #[inline(always)]
    fn drop(&mut self) {
        if self.get().is_heavy() {
            drop_heavy(self.get());
        }
    }
}

#[cold]
#[inline(never)]
fn drop_heavy(value: &mut AnyArg) {
    drop(std::mem::take(value));
}

/// What the kernel replies to whatever it is called with: nothing, or 0 where a number is expected.
#[cold]
fn kernel_reply<R: 'static>() -> Option<R> {
    let zeros = [
        AnyArg::UNIT,
        AnyArg::new(0_i32),
        AnyArg::new(0_u32),
        AnyArg::new(0_i64),
        AnyArg::new(0_u64),
        AnyArg::new(0_usize),
    ];
    zeros.into_iter().find_map(|mut zero| zero.take())
}

impl Kernel {
    /// Runs a session's handler now and returns its reply; the sender is the kernel. Inside a handler use
    /// [`Context::call`](crate::Context::call).
    ///
    /// # Errors
    /// [`CallError`]: no such session (with the argument), no handler, a failed handler, a reply of another type, or
    /// busy, when a handler is running.
    ///
    /// ```
    /// use poe::{Event, Kernel, Reply, Session, event::START};
    /// const ADD: Event<(u32, u32), u32> = Event::new("add");
    /// const SUBTRACT: Event<(u32, u32), u32> = Event::new("subtract");
    /// let kernel = Kernel::new();
    /// let adder = Session::builder(())
    ///     .on(START, |_, ()| ())
    ///     .on(ADD, |_, (a, b)| Reply(a + b))
    ///     .create(&kernel)?;
    /// assert_eq!(kernel.call(adder, ADD, (2, 3))?, 5); // the kernel need not run for this
    /// let refused = kernel.call(adder, SUBTRACT, (3, 2)).unwrap_err();
    /// assert!(refused.is_unhandled());
    /// assert_eq!(refused.into_arg(), Some((3, 2)));
    /// # Ok::<(), poe::Error>(())
    /// ```
    #[track_caller]
    #[doc(alias = "request")]
    #[doc(alias = "query")]
    #[doc(alias = "send_and_wait")]
    pub fn call<'t, A: 'static, R: 'static>(
        &self,
        target: impl Into<Target<'t>>,
        event: impl Calls<A, R>,
        arg: A,
    ) -> Result<R, CallError<A>> {
        const { assert_reply_type::<R>() };
        call_at_once(&mut { self }, target.into(), event.key(), arg, Location::caller())
    }

    /// Calls a handler and contains its failure: see [`Context::try_call`](crate::Context::try_call).
    ///
    /// # Errors
    /// As [`Context::try_call`](crate::Context::try_call), and busy, when a handler is running.
    #[track_caller]
    pub fn try_call<'t, A: 'static, R: 'static>(
        &self,
        target: impl Into<Target<'t>>,
        event: impl Calls<A, R>,
        arg: A,
    ) -> Result<R, CallError<A>> {
        const { assert_reply_type::<R>() };
        try_call_at_once(&mut { self }, target.into(), event.key(), arg, Location::caller())
    }
}

/// Calls a handler now, for a kernel and for a context.
#[inline(always)]
pub(crate) fn call_at_once<A: 'static, R: 'static>(
    caller: &mut impl AtOnce,
    target: Target<'_>,
    key: Key<'_>,
    arg: A,
    place: Place,
) -> Result<R, CallError<A>> {
    through(caller, key, arg, |core, arg| {
        core.call_from(core.active.session(), target, key, core.active.event(), arg, place)
    })
}

/// The same for a call that contains the failure of its handler.
pub(crate) fn try_call_at_once<A: 'static, R: 'static>(
    caller: &mut impl AtOnce,
    target: Target<'_>,
    key: Key<'_>,
    arg: A,
    place: Place,
) -> Result<R, CallError<A>> {
    through(caller, key, arg, |core, arg| {
        core.call_contained(target, key, arg, place, read_reply)
    })
}

/// What came of a call by [`Nested::try_call_late`].
#[derive(Debug)]
pub enum Called<R> {
    /// The handler has replied.
    Replied(R),
    /// The handler has deferred its reply.
    Late(LateReply<R>),
}

impl Nested<'_> {
    /// Calls a handler as [`try_call`](Self::try_call) does. A reply that the handler [defers](KernelRef::defer_reply) is no error: take it when
    /// it is sent, with [`LateReply::then`].
    ///
    /// # Errors
    /// As [`try_call`](Self::try_call), but [`CallError::is_deferred`].
    ///
    /// ```
    /// use poe::extend::Called;
    /// use poe::{DeferredReply, Event, Kernel, Session, event::START};
    /// use std::cell::Cell;
    /// use std::rc::Rc;
    /// const SLOW: Event<(), u32> = Event::new("slow");
    /// const SEND: Event<()> = Event::new("send");
    /// # tokio_test::block_on(async {
    /// let kernel = Kernel::new();
    /// let slow = Session::builder(None::<DeferredReply<u32>>)
    ///     .on(START, |_, ()| ())
    ///     .on(SLOW, |cx, ()| {
    ///         let (reply, pending) = cx.defer_reply();
    ///         *cx.heap = Some(reply);
    ///         cx.yield_to(SEND, ());
    ///         pending
    ///     })
    ///     .on(SEND, |cx, ()| drop(cx.heap.take().map(|reply| reply.send(42))))
    ///     .create(&kernel)?;
    /// let got = Rc::new(Cell::new(0));
    /// let told = got.clone();
    /// Session::builder(())
    ///     .on(START, move |cx, ()| {
    ///         let told = told.clone();
    ///         let kernel = cx.kernel;
    ///         match cx.nested(|cx| cx.try_call_late(slow, SLOW, ())) {
    ///             Ok(Called::Late(reply)) => reply.then(kernel, move |reply| told.set(reply.unwrap())),
    ///             other => panic!("{other:?}"),
    ///         }
    ///     })
    ///     .create(&kernel)?;
    /// kernel.run().await?;
    /// assert_eq!(got.get(), 42);
    /// # Ok::<(), poe::Error>(()) }).unwrap();
    /// ```
    #[track_caller]
    pub fn try_call_late<'t, A: 'static, R: 'static>(
        &mut self,
        target: impl Into<Target<'t>>,
        event: impl Calls<A, R>,
        arg: A,
    ) -> Result<Called<R>, CallError<A>> {
        const { assert_reply_type::<R>() };
        let (target, key, place) = (target.into(), event.key(), Location::caller());
        through(self, key, arg, |core, arg| {
            core.call_contained(target, key, arg, place, |key, callee, reply| {
                match LateReply::taken(key, reply) {
                    Some(late) => Ok(Called::Late(late)),
                    None => read_reply(key, callee, reply).map(Called::Replied),
                }
            })
        })
    }
}

/// The one road to a synchronous call: every heap is in its place meanwhile, and calls nested too deep are refused.
#[inline(always)]
fn through<A, R>(
    caller: &mut impl AtOnce,
    key: Key<'_>,
    arg: A,
    call: impl FnOnce(&Core, A) -> Result<R, CallError<A>>,
) -> Result<R, CallError<A>> {
    let mut arg = Some(arg);
    let done = caller.at_once("a call", |core| {
        if core.is_too_deep() {
            let kind = CallErrorKind::TooDeep(core.config.call_stack);
            return Some(Err(CallError::new(key.as_str(), kind, arg.take())));
        }
        Some(call(core, arg.take()?))
    });
    match done {
        Ok(Some(result)) => result,
        _ => Err(CallError::new(key.as_str(), CallErrorKind::Busy, arg)),
    }
}
