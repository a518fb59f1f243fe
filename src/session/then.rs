//! Continuations: work whose result comes to a closure instead of a named event.
//!
//! A continuation is an event named `poe_then` of the session that asked for it. It waits in the queue like any other, goes
//! through [`Invoke::invoke`](crate::extend::Invoke::invoke) of a custom session type, and is dropped with its session. Its
//! argument is the closure, in a private type, so no other code can send one.

use super::context::Context;
use super::nfa::Machine;
use super::postback::IntoReply;
use crate::arg::AnyArg;
use crate::event::Event;
use crate::id::TaskId;
use crate::kernel::Invoked;
use crate::name::THEN;
use futures_core::Stream;
use std::fmt::Debug;
use std::hash::Hash;
use std::rc::Rc;

/// What travels: the closure with the result inside.
pub(super) struct Then<C: ?Sized>(Box<C>);

impl<C: ?Sized> Then<C> {
    pub(super) fn into_inner(self) -> Box<C> {
        self.0
    }
}

/// A continuation of a session.
pub(super) type ContextThen<H, X> = Then<dyn FnOnce(&mut Context<'_, H, X>) -> Invoked>;

/// A continuation of a state machine.
pub(super) type MachineThen<S, R> = Then<dyn FnOnce(&mut Machine<'_, S, R>) -> Invoked>;

fn ended(result: impl IntoReply<Value = ()>) -> Invoked {
    match result.into_reply() {
        Ok(()) => Invoked::Returned,
        Err(failure) => Invoked::Failed(failure),
    }
}

/// The methods, written once for sessions and for machines.
macro_rules! then_methods {
    ([$($generics:tt)*] $context:ident<$first:ident, $second:ident>, $then:ident) => {
        /// Asynchronous work with a continuation: a closure that runs as an event of this session.
        ///
        /// ```
        /// use poe::{Event, Kernel, Session, event::{START, STOP}};
        /// use std::time::Duration;
        /// # tokio_test::block_on(async {
        /// let kernel = Kernel::new();
        /// Session::builder(Vec::new())
        ///     .on(START, |cx, ()| {
        ///         let line = 7; // captured by the continuation
        ///         let slow = async { tokio::time::sleep(Duration::from_millis(1)).await; "slept well" };
        ///         cx.spawn_then(slow, move |cx, how| cx.heap.push((line, how)));
        ///     })
        ///     .on(STOP, |cx, ()| assert_eq!(*cx.heap, [(7, "slept well")]))
        ///     .create(&kernel)?;
        /// kernel.run().await
        /// # }).unwrap();
        /// ```
        impl<$($generics)*> $context<'_, $first, $second> {
            /// Runs a future beside the sessions, and then a closure with its output.
            ///
            /// It is [`spawn`](crate::KernelRef::spawn) without a named event. The closure runs as an event named `poe_then` of this
            /// session: in its place in the queue, never inside another handler. A failure of it is a failure of the
            /// session. It is dropped, and does not run, when the session stops or
            /// [`cancel`](crate::KernelRef::cancel) ends the task.
            #[track_caller]
            #[doc(alias = "await")]
            #[doc(alias = "and_then")]
            pub fn spawn_then<F, Ret>(
                &self,
                future: F,
                then: impl FnOnce(&mut $context<'_, $first, $second>, F::Output) -> Ret + 'static,
            ) -> TaskId
            where
                F: Future + 'static,
                F::Output: 'static,
                Ret: IntoReply<Value = ()>,
            {
                let event = Event::<$then<$first, $second>>::new(THEN);
                self.kernel.spawn_as(future, event, |output| {
                    AnyArg::new::<$then<$first, $second>>(Then(Box::new(move |cx| ended(then(cx, output)))))
                })
            }

            /// Reads a stream, and runs a closure with each item, and at the end with `None`.
            ///
            /// It is [`attach`](crate::KernelRef::attach) without a named event, with one item in flight at a time. For
            /// the rest see [`spawn_then`](Self::spawn_then).
            #[track_caller]
            #[doc(alias = "for_each")]
            pub fn attach_then<T, Ret>(
                &self,
                stream: T,
                then: impl Fn(&mut $context<'_, $first, $second>, Option<T::Item>) -> Ret + 'static,
            ) -> TaskId
            where
                T: Stream + 'static,
                T::Item: 'static,
                Ret: IntoReply<Value = ()>,
            {
                let event = Event::<$then<$first, $second>>::new(THEN);
                let then = Rc::new(then);
                self.kernel.attach_as(stream, event, move |item| {
                    let then = then.clone();
                    AnyArg::new::<$then<$first, $second>>(Then(Box::new(move |cx| ended(then(cx, item)))))
                })
            }

            /// Runs blocking work on a thread of the kernel's, and then a closure with its result.
            ///
            /// It is [`blocking`](crate::KernelRef::blocking) without a named event. For the rest see
            /// [`spawn_then`](Self::spawn_then).
            ///
            /// # Panics
            /// As [`blocking`](crate::KernelRef::blocking): under virtual time, outside a Tokio runtime.
            #[track_caller]
            #[doc(alias = "spawn_blocking")]
            pub fn blocking_then<T, Ret>(
                &self,
                work: impl FnOnce() -> T + Send + 'static,
                then: impl FnOnce(&mut $context<'_, $first, $second>, T) -> Ret + 'static,
            ) -> TaskId
            where
                T: Send + 'static,
                Ret: IntoReply<Value = ()>,
            {
                let event = Event::<$then<$first, $second>>::new(THEN);
                self.kernel.blocking_as(work, event, |value| {
                    AnyArg::new::<$then<$first, $second>>(Then(Box::new(move |cx| ended(then(cx, value)))))
                })
            }
        }
    };
}

then_methods!([H: 'static, X: 'static] Context<H, X>, ContextThen);
then_methods!([S: Eq + Hash + Debug + 'static, R: 'static] Machine<S, R>, MachineThen);
