//! Posts for later: a timer of the kernel's own, set from another thread.

use super::call::Pending;
use super::inbox::{Inbox, Letter, Post, SendName, SendTarget};
use crate::arg::SendArg;
use crate::bridge::clock::Clock;
use crate::bridge::mailbox::Needs;
use crate::error::PostError;
use crate::event::Posts;
use crate::id::Place;
use crate::kernel::kernel_timer::Due;
use crate::kernel::spans::Cause;
use crate::kernel::{Core, KernelHandle, Target};
use crate::name::Name;
use crate::queue::heap::HeapId;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// A post that waits for its time, on the kernel: see [`KernelHandle::post_after`].
///
/// Dropping it changes nothing: the post is sent all the same.
pub struct DelayedPost<A> {
    inbox: Arc<Inbox>,
    event: String,
    arg: Pending<A>,
    /// The kernel's timer, once it is set.
    timer: Pending<HeapId>,
}

impl<A> DelayedPost<A> {
    /// Cancels the post and returns its argument; `None` if it was sent already.
    ///
    /// It takes effect at once: when this returns an argument, the event is never posted.
    pub fn cancel(self) -> Option<A> {
        let arg = self.arg.take()?;
        let timer = self.timer.share();
        self.inbox.put_always(Box::new(move |core| {
            if let Some(id) = timer.take() {
                core.remove_kernel_timer(id);
            }
        }));
        Some(arg)
    }
}

impl<A> fmt::Debug for DelayedPost<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DelayedPost({:?})", self.event)
    }
}

/// On the kernel's side.
struct Delayed<A> {
    target: SendTarget,
    event: SendName,
    arg: Pending<A>,
    place: Place,
    timer: Pending<HeapId>,
    cause: Cause,
}

impl<A: Send + 'static> Due for Delayed<A> {
    fn fire(self: Box<Self>, core: &Core) {
        self.timer.take();
        if let Some(arg) = self.arg.take() {
            core.take_in_post(Post {
                target: self.target,
                event: self.event,
                arg: SendArg::new(arg),
                place: self.place,
                sent: core.clock.now(),
                cause: self.cause,
            });
        }
    }

    fn event(&self) -> Name {
        self.event.key().to_name()
    }
}

impl KernelHandle {
    /// Posts an event after a while, from any thread. Never blocks.
    ///
    /// The time counts from now. The kernel has a timer for it, in the one order with the timers of its sessions; when it is
    /// due, the event joins the queue like a [`post`](Self::post), and its target is looked up then. It keeps no session alive. The
    /// returned [`DelayedPost`] cancels it.
    ///
    /// # Errors
    /// As [`post`](Self::post).
    ///
    /// ```
    /// use poe::{Event, Session, event::START, testing};
    /// use std::time::Duration;
    /// const REMIND: Event<&'static str> = Event::new("remind");
    /// # tokio_test::block_on(async { tokio::time::pause();
    /// let kernel = testing::kernel();
    /// Session::builder(())
    ///     .on(START, |cx, ()| cx.alias_set("desk"))
    ///     .on(REMIND, |_, what| assert_eq!(what, "lunch"))
    ///     .create(&kernel)?;
    /// let handle = kernel.handle();
    /// handle.post_after("desk", REMIND, Duration::from_secs(3600), "lunch")?;
    /// let tea = handle.post_after("desk", REMIND, Duration::from_secs(7200), "tea")?;
    /// assert_eq!(tea.cancel(), Some("tea"));
    /// kernel.run().await
    /// # }).unwrap();
    /// ```
    #[track_caller]
    #[doc(alias = "send_after")]
    #[doc(alias = "notify_later")]
    #[doc(alias = "sleep")]
    pub fn post_after<'t, A: Send + 'static>(
        &self,
        target: impl Into<Target<'t>>,
        event: impl Posts<A>,
        after: Duration,
        arg: A,
    ) -> Result<DelayedPost<A>, PostError<A>> {
        let sent = self.inbox.clock.now();
        // Under virtual time only the kernel knows when it was sent.
        let due = move |core: &Core| Clock::after(sent.min(core.clock.now()), after);
        self.post_delayed(target.into(), event, arg, due, Location::caller())
    }

    /// Posts an event at a wall time, from any thread: otherwise as [`post_after`](Self::post_after).
    ///
    /// The time is converted once, as for [`alarm_set`](crate::KernelRef::alarm_set). A time that is past is due at once.
    ///
    /// # Errors
    /// As [`post`](Self::post).
    #[track_caller]
    #[doc(alias = "send_at")]
    pub fn post_at<'t, A: Send + 'static>(
        &self,
        target: impl Into<Target<'t>>,
        event: impl Posts<A>,
        when: SystemTime,
        arg: A,
    ) -> Result<DelayedPost<A>, PostError<A>> {
        let due = move |core: &Core| core.clock.due_at(when);
        self.post_delayed(target.into(), event, arg, due, Location::caller())
    }

    fn post_delayed<A: Send + 'static>(
        &self,
        target: Target<'_>,
        event: impl Posts<A>,
        arg: A,
        due: impl FnOnce(&Core) -> u64 + Send + 'static,
        place: Place,
    ) -> Result<DelayedPost<A>, PostError<A>> {
        let (arg, timer) = (Pending::new(arg), Pending::empty());
        let delayed = Delayed {
            target: SendTarget::new(target),
            event: SendName::new(event.key()),
            arg: arg.share(),
            place,
            timer: timer.share(),
            cause: Cause::here(),
        };
        let set = timer.share();
        let put = self.inbox.mailbox.put(Needs::Kernel, || {
            Letter::Run(Box::new(move |core: &Core| {
                if delayed.arg.is_there() {
                    let id = core.set_kernel_timer(due(core), Box::new(delayed), place);
                    set.put(id);
                }
            }))
        });
        match (put, arg) {
            (Ok(()), arg) => Ok(DelayedPost {
                inbox: self.inbox.clone(),
                event: event.key().as_str().to_owned(),
                arg,
                timer,
            }),
            (Err(refusal), arg) => match arg.take() {
                Some(arg) => Err(PostError::new(event.key().as_str(), refusal.into(), arg)),
                None => unreachable!("a refused letter is not taken"),
            },
        }
    }
}
