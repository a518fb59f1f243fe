//! `ask`: a call that waits in the queue, and whose reply is an event.
//!
//! The question is a queued call to the target. Who asks has a task, which holds it, counts the time, and is shown in
//! `why_alive`. Both share a [`Question`]; whichever comes first, the reply or the end of the time, takes `asking` out of it.

use super::deferred::{Origin, Ran, Waiter};
use super::handle::{Queued, QueuedCall, reply_of};
use super::task::{Purpose, Task};
use super::{Core, KernelRef, Target};
use crate::arg::AnyArg;
use crate::bridge::clock::{Clock, Deadline};
use crate::error::{CallError, CallErrorKind, drop_quietly};
use crate::event::{Calls, Posts, assert_reply_type};
use crate::id::{Place, SessionId, TaskId};
use crate::name::{HeldName, Key, Name, NameIdx};
use crate::resource::HoldKind;
use std::cell::{Cell, RefCell};
use std::marker::PhantomData;
use std::panic::Location;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

/// What both sides share.
struct Question<A, R> {
    event: HeldName,
    /// Until the handler takes it.
    arg: RefCell<Option<A>>,
    /// Until the reply is on its way, or nobody wants it any more.
    asking: Cell<Option<Asking>>,
    reply: PhantomData<fn() -> R>,
}

/// Who asks.
struct Asking {
    session: SessionId,
    task: TaskId,
    replied: HeldName,
    place: Place,
}

impl<A: 'static, R: 'static> Question<A, R> {
    fn is_asked(&self) -> bool {
        let asking = self.asking.take();
        let asks = asking.is_some();
        self.asking.set(asking);
        asks
    }

    fn take_arg(&self) -> Option<A> {
        self.arg.borrow_mut().take()
    }

    fn fail(&self, core: &Core, kind: CallErrorKind, arg: Option<A>) {
        self.answer(core, Err(CallError::new(self.event.name().as_str(), kind, arg)));
    }

    /// Posts the reply, and ends the task.
    fn answer(&self, core: &Core, reply: Result<R, CallError<A>>) {
        match self.asking.take() {
            Some(Asking {
                session,
                task,
                replied,
                place,
            }) => {
                core.deliver(session, &replied, AnyArg::new(reply), place);
                core.cancel_task(task);
            }
            None => drop_quietly(reply),
        }
    }
}

/// In the queue, on its way to the target.
struct Asked<A, R>(Rc<Question<A, R>>);

impl<A: 'static, R: 'static> QueuedCall for Asked<A, R> {
    fn run(self: Box<Self>, core: &Core, callee: SessionId, origin: Origin) {
        let question = self.0;
        let Some(arg) = question.take_arg() else { return };
        if callee.is_kernel() {
            // It has no handlers.
            return question.fail(core, CallErrorKind::Unhandled(callee), Some(arg));
        }
        let event = question.event.name();
        let key = Key::new(&event);
        match core.run_queued_call(callee, key, arg, origin) {
            Ran::Replied(value) => question.answer(core, reply_of(key, value)),
            Ran::Refused(kind, arg) => question.fail(core, kind, arg),
            Ran::Deferred(token) => token.wait(core, Box::new(Waits(question))),
        }
    }

    fn refuse(self: Box<Self>, core: &Core, kind: CallErrorKind) {
        let arg = self.0.take_arg();
        self.0.fail(core, kind, arg);
    }

    fn event(&self) -> Name {
        self.0.event.name()
    }
}

/// For a reply that comes later.
struct Waits<A, R>(Rc<Question<A, R>>);

impl<A: 'static, R: 'static> Waiter for Waits<A, R> {
    fn is_waiting(&self) -> bool {
        self.0.is_asked()
    }

    fn give(self: Box<Self>, core: &Core, reply: Result<AnyArg, CallErrorKind>) {
        match reply {
            Ok(value) => {
                let event = self.0.event.name();
                self.0.answer(core, reply_of(Key::new(&event), value));
            }
            Err(kind) => self.0.fail(core, kind, None),
        }
    }
}

/// The task that waits for the reply of an `ask`.
struct AskTask<A, R> {
    question: Rc<Question<A, R>>,
    limit: Duration,
    due: u64,
    timer: Deadline,
}

impl<A: 'static, R: 'static> Task for AskTask<A, R> {
    fn poll(&mut self, core: &Core, cx: &mut Context<'_>) -> Poll<()> {
        if !self.question.is_asked() {
            return Poll::Ready(());
        }
        self.timer.poll_coarse(&core.clock, self.due, cx).map(|()| {
            let arg = self.question.take_arg();
            self.question.fail(core, CallErrorKind::TimedOut(self.limit), arg);
        })
    }
}

impl<A, R> Drop for AskTask<A, R> {
    /// Cancelled, or stopped with its session: nobody wants the reply, and a question that still waits is withdrawn.
    fn drop(&mut self) {
        drop(self.question.asking.take());
        drop_quietly(self.question.arg.borrow_mut().take());
    }
}

impl KernelRef<'_> {
    /// Calls a handler of another session without waiting; the reply, or an error, comes as an event.
    ///
    /// The call joins the queue like a post. Unlike a synchronous [`call`](crate::Context::call) it waits for a reply that the handler
    /// [defers](Self::defer_reply). The event `replied` comes exactly once, with the reply or with a [`CallError`]: no
    /// such session, no handler, a failed handler, a dropped reply, or the time is over. A call that was not
    /// dispatched in time is withdrawn, and its error has the argument.
    ///
    /// The question keeps this session alive. It ends with the session, or with [`cancel`](Self::cancel); then no event comes,
    /// and the reply is dropped. The time is exact to a millisecond. With a bare name, say the reply's type: `cx.ask::<_, u32>(…)`.
    ///
    /// # Panics
    /// Outside a Tokio runtime with a time driver, in the kernel's run.
    ///
    /// ```
    /// use poe::{CallError, Event, Kernel, Reply, Session, event::START};
    /// use std::time::Duration;
    /// const DOUBLE: Event<u32, u32> = Event::new("double");
    /// const DOUBLED: Event<Result<u32, CallError<u32>>> = Event::new("doubled");
    /// # tokio_test::block_on(async {
    /// let kernel = Kernel::new();
    /// Session::builder(()).on(START, |cx, ()| cx.alias_set("doubler")).on(DOUBLE, |_, n| Reply(2 * n)).create(&kernel)?;
    /// Session::builder(())
    ///     .on(START, |cx, ()| {
    ///         cx.ask("doubler", DOUBLE, 21, DOUBLED, Duration::from_secs(1));
    ///     })
    ///     .on(DOUBLED, |_, reply| assert_eq!(reply.unwrap(), 42))
    ///     .create(&kernel)?;
    /// kernel.run().await
    /// # }).unwrap();
    /// ```
    #[track_caller]
    #[doc(alias = "request")]
    #[doc(alias = "send_request")]
    pub fn ask<'t, A: 'static, R: 'static>(
        self,
        target: impl Into<Target<'t>>,
        event: impl Calls<A, R>,
        arg: A,
        replied: impl Posts<Result<R, CallError<A>>>,
        timeout: Duration,
    ) -> TaskId {
        const { assert_reply_type::<R>() };
        let (core, place, session) = (self.core, Location::caller(), self.frame.session);
        let question = Rc::new(Question::<A, R> {
            event: HeldName::new(event.key()),
            arg: RefCell::new(Some(arg)),
            asking: Cell::new(None),
            reply: PhantomData,
        });
        let purpose = Purpose {
            owner: session,
            kind: HoldKind::Task,
            what: replied.key().to_name(),
            place,
            listener: false,
        };
        let task = AskTask {
            question: question.clone(),
            limit: timeout,
            due: Clock::after(core.clock.now(), timeout),
            timer: Deadline::default(),
        };
        let Some(task) = core.start_task(purpose, Box::new(task)) else {
            // The session was stopped in its own handler: nobody asks.
            return core.no_task();
        };
        question.asking.set(Some(Asking {
            session,
            task,
            replied: HeldName::new(replied.key()),
            place,
        }));
        let target = target.into();
        let ends = (core.resolve(&target), self.slot());
        match ends {
            (Some(to), Some(from)) => {
                let question = AnyArg::new(Queued(Box::new(Asked(question))));
                core.enqueue_known(to, from, NameIdx::CALL, core.active.event(), question, place);
            }
            _ => {
                let arg = question.take_arg();
                core.tell_unreachable(event.key().as_str(), &target.wanted(), place);
                question.fail(core, CallErrorKind::NoSuchSession(target.wanted()), arg);
            }
        }
        task
    }
}
