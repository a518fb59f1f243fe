//! Running other handlers at once: common to contexts, machines, custom session types and the kernel.

use super::SessionBuilder;
use super::context::Context;
use super::nfa::Machine;
use crate::arg::AnyArg;
use crate::error::{CallError, Error};
use crate::event::{Calls, assert_reply_type};
use crate::id::SessionId;
use crate::kernel::{AtOnce, Core, Invoke, Nested, Target, call_at_once, create_at_once, try_call_at_once};
use std::fmt::Debug;
use std::hash::Hash;
use std::panic::Location;
use std::rc::Rc;

/// A place from which handlers can be called synchronously: `&Kernel` while no handler runs, or a handler's context.
///
/// Creating, starting, calling, detaching and stopping run handlers before they return, as in POE. A context lends its heap
/// back to its session meanwhile. A cloned [`Kernel`](crate::Kernel) cannot do that from inside a handler, where another context has the
/// heap; it gives an error there ([`Error::is_busy`]).
///
/// It is for helpers that programs and handlers share. Contexts have the same methods themselves. The trait is sealed.
///
/// ```
/// use poe::{Error, Kernel, Session, SessionId, event::START, extend::Caller};
/// /// For programs and for handlers alike.
/// fn start_worker(mut caller: impl Caller) -> Result<SessionId, Error> {
///     caller.create(Session::builder(()).on(START, |cx, ()| cx.alias_set(&format!("worker {}", cx.session_id()))))
/// }
/// # tokio_test::block_on(async {
/// let kernel = Kernel::new();
/// start_worker(&kernel)?; // a child of the kernel
/// let clone = kernel.clone();
/// Session::builder(())
///     .on(START, move |cx, ()| -> poe::HandlerResult {
///         start_worker(&mut *cx)?; // a child of this session; `&mut *` because `cx` is used again
///         assert!(start_worker(&clone).unwrap_err().is_busy());
///         Ok(start_worker(cx).map(drop)?)
///     })
///     .create(&kernel)?;
/// kernel.run().await
/// # }).unwrap();
/// ```
pub trait Caller: AtOnce + Sized {
    /// Creates a session, as a child of the caller's, and runs its `_start`.
    ///
    /// # Errors
    /// As [`SessionBuilder::create`].
    #[track_caller]
    fn create<H: 'static, X: 'static>(&mut self, builder: SessionBuilder<H, X>) -> Result<SessionId, Error> {
        builder.create_by(self, Location::caller())
    }

    /// Starts a machine or a component, whose session is a child of the caller's.
    ///
    /// # Errors
    /// As the builder's `start`.
    #[track_caller]
    fn start<B: Start>(&mut self, builder: B) -> Result<B::Started, Error> {
        builder.start_by(self)
    }

    /// Creates a session of a custom type, as a child of the caller's: see [`Kernel::session_alloc`](crate::Kernel::session_alloc).
    ///
    /// # Errors
    /// As [`Kernel::session_alloc`](crate::Kernel::session_alloc).
    #[track_caller]
    fn session_alloc(&mut self, session: Rc<dyn Invoke>, args: AnyArg) -> Result<SessionId, Error> {
        create_at_once(self, session, args, None, Location::caller())
    }

    /// Runs a session's handler now and returns its reply: see [`Context::call`].
    ///
    /// # Errors
    /// As [`Context::call`], and busy.
    #[track_caller]
    fn call<'t, A: 'static, B: 'static>(
        &mut self,
        target: impl Into<Target<'t>>,
        event: impl Calls<A, B>,
        arg: A,
    ) -> Result<B, CallError<A>> {
        const { assert_reply_type::<B>() };
        call_at_once(self, target.into(), event.key(), arg, Location::caller())
    }
}

impl<C: AtOnce> Caller for C {}

/// A builder of something with its own session: a machine, a server, a client, a component of yours.
///
/// `cx.start(builder)` takes it. For code outside handlers such builders have a `start(&kernel)`, which may be `async`.
///
/// ```
/// use poe::{Error, Event, Kernel, Session, SessionId, event::START, extend::{Caller, Start}};
/// const TICK: Event<()> = Event::new("tick");
/// /// Counts seconds.
/// struct ClockBuilder;
/// impl Start for ClockBuilder {
///     type Started = SessionId;
///     fn start_by(self, caller: &mut impl Caller) -> Result<SessionId, Error> {
///         let clock = Session::builder(0_u64).on(START, |cx, ()| cx.yield_to(TICK, ())).on(TICK, |cx, ()| *cx.heap += 1);
///         caller.create(clock)
///     }
/// }
/// # tokio_test::block_on(async {
/// let kernel = Kernel::new();
/// ClockBuilder.start_by(&mut { &kernel })?;
/// Session::builder(())
///     .on(START, |cx, ()| -> poe::HandlerResult {
///         cx.start(ClockBuilder)?;
///         Ok(())
///     })
///     .create(&kernel)?;
/// kernel.run().await
/// # }).unwrap();
/// ```
pub trait Start {
    /// The program's handle to it.
    type Started;

    /// Starts it; its session is a child of the caller's. Mark the implementation `#[track_caller]` if it reports
    /// places.
    ///
    /// # Errors
    /// Invalid settings, or the system's error.
    #[track_caller]
    fn start_by(self, caller: &mut impl Caller) -> Result<Self::Started, Error>;
}

/// What runs other handlers at once, written once for all that is given to handlers.
macro_rules! caller_methods {
    ([$($generics:tt)*] $type:ty) => {
        /// What runs other handlers before it returns. The heap is back in its session meanwhile, so those handlers may be the
        /// session's own.
        impl<$($generics)*> $type {
            /// Creates a session as a child of this one, and runs its `_start` before it returns.
            ///
            /// # Errors
            /// There is no `_start` handler, and nothing is created (law L22); an alias is taken; the kernel is shutting down.
            #[track_caller]
            #[doc(alias = "spawn")]
            pub fn create<H2: 'static, X2: 'static>(&mut self, builder: SessionBuilder<H2, X2>) -> Result<SessionId, Error> {
                builder.create_by(self, Location::caller())
            }

            /// Starts a machine or a component, whose session is a child of this one.
            ///
            /// # Errors
            /// As the builder's `start`.
            #[track_caller]
            pub fn start<B: Start>(&mut self, builder: B) -> Result<B::Started, Error> {
                builder.start_by(self)
            }

            /// Runs a session's handler now, ahead of all waiting events, and returns its reply (laws L12 to L17).
            ///
            /// Posts that are queued already have not been delivered yet: a call overtakes them. The handler may call
            /// back, also into this session. With a bare name annotate the reply's type, or the build fails: `let () =
            /// cx.call("server", "ping", ())?`. `call::<AnyArg, AnyArg>(id, name, arg)` is the dynamic call, for any
            /// argument and any reply.
            ///
            /// # Errors
            /// [`CallError`]: no such session (with the argument), no handler, a failed handler, a reply of another
            /// type. After a failure in another session its `DIE` is queued; in a call of a session to itself the
            /// failure is inside the error, for `?`.
            ///
            /// # Panics
            /// When a handler of the session itself panics: a call of a session to itself is a bare invocation (law
            /// L13).
            #[track_caller]
            #[inline]
            #[doc(alias = "ask")]
            pub fn call<'t, A: 'static, B: 'static>(
                &mut self,
                target: impl Into<Target<'t>>,
                event: impl Calls<A, B>,
                arg: A,
            ) -> Result<B, CallError<A>> {
                const { assert_reply_type::<B>() };
                call_at_once(self, target.into(), event.key(), arg, Location::caller())
            }

            /// Calls a handler as [`call`](Self::call) does and contains its failure: no `DIE` is raised, also if it panics.
            ///
            /// It is for calls whose event or argument comes from elsewhere, such as remote requests.
            ///
            /// # Errors
            /// As [`call`](Self::call), with these differences: after a failure [`CallError::failure`] returns the
            /// reason; if the handler does not take the argument's type, [`CallError::is_wrong_argument`] is true and
            /// [`CallError::into_arg`] returns the argument.
            #[track_caller]
            pub fn try_call<'t, A: 'static, B: 'static>(
                &mut self,
                target: impl Into<Target<'t>>,
                event: impl Calls<A, B>,
                arg: A,
            ) -> Result<B, CallError<A>> {
                const { assert_reply_type::<B>() };
                try_call_at_once(self, target.into(), event.key(), arg, Location::caller())
            }

            /// Makes the session a child of the kernel. Its parent gets `_child lose`, then the session `_parent`.
            ///
            /// # Errors
            /// It is the kernel's child already (`EPERM`).
            #[track_caller]
            pub fn detach_myself(&mut self) -> Result<(), Error> {
                let me = self.session_id();
                let detached = AtOnce::at_once(self, "detaching", |core| core.detach(me, true))?;
                self.core().logged("detach_myself", detached)
            }

            /// Makes a child of this session a child of the kernel. This session gets `_child lose`, then the child `_parent`.
            ///
            /// # Errors
            /// There is no such session (`ESRCH`), or it is not a child of this one (`EPERM`).
            #[track_caller]
            pub fn detach_child(&mut self, child: SessionId) -> Result<(), Error> {
                let detached = AtOnce::at_once(self, "detaching", |core| core.detach(child, false))?;
                self.core().logged("detach_child", detached)
            }

            /// Stops every session of the kernel, including this one, children first; each runs its `_stop`.
            ///
            /// Afterwards the kernel is the active session: sessions that this handler still creates are its children
            /// and run, with the kernel as the sender of posts to them. Timers and the like that the handler sets for
            /// its own session are dropped, and methods that return errors say that the session was stopped (law L87).
            #[doc(alias = "stop")]
            pub fn stop_all(&mut self) {
                // A context is never busy.
                let _ = AtOnce::at_once(self, "stop", Core::stop_all);
            }
        }
    };
}

caller_methods!([H: 'static, X: 'static] Context<'_, H, X>);
caller_methods!([S: Eq + Hash + Debug + 'static, R: 'static] Machine<'_, S, R>);
caller_methods!([] Nested<'_>);

impl<H: 'static, X: 'static> Context<'_, H, X> {
    /// Runs `f` with a context that has no heap, for code that serves sessions of every type.
    ///
    /// The heap is back in the session meanwhile. `f` can call, create, start and detach as this context can.
    ///
    /// ```
    /// use poe::{Event, Kernel, Reply, Session, event::START, extend::Nested};
    /// const TOTAL: Event<(), u64> = Event::new("total");
    /// type OnConnect = dyn Fn(&mut Nested<'_>) -> Result<u64, poe::Error>;
    /// # tokio_test::block_on(async {
    /// let kernel = Kernel::new();
    /// Session::builder(7_u64)
    ///     .on(START, |cx, ()| -> poe::HandlerResult {
    ///         let on_connect: Box<OnConnect> = Box::new(|cx| Ok(cx.call(cx.session_id(), TOTAL, ())?));
    ///         assert_eq!(cx.nested(|nested| on_connect(nested))?, 7);
    ///         Ok(())
    ///     })
    ///     .on(TOTAL, |cx, ()| Reply(*cx.heap))
    ///     .create(&kernel)?;
    /// kernel.run().await
    /// # }).unwrap();
    /// ```
    pub fn nested<T>(&mut self, f: impl FnOnce(&mut Nested<'_>) -> T) -> T {
        let kernel = self.kernel;
        let lent = AtOnce::at_once(self, "nesting", |_| f(&mut Nested::of(kernel)));
        match lent {
            Ok(result) => result,
            Err(_) => unreachable!("a context is never busy"),
        }
    }
}
