//! Wheels written outside of this crate: the kernel polls a [`Source`], and a session keeps its [`WheelHandle`].
//!
//! | a source returns | then |
//! |---|---|
//! | `Pending` | it is polled again when its waker is called, or [`WheelHandle::wake`] |
//! | `Pending` after [`Flow::Pause`] | it is polled again after the host has had its turn, before anything else of the kernel |
//! | `Ready` | it is dropped; the wheel no longer holds its session |
//! | a panic | it is a failure of its session, like a handler's; the source is dropped |

use super::base::{Base, wheel_methods};
use crate::arg::AnyArg;
use crate::bridge::runtime::{Home, Pause};
use crate::debug::debug_fields;
use crate::error::{Error, Failure, drop_quietly};
use crate::event::Posts;
use crate::id::{SessionId, TaskId, WheelId};
use crate::kernel::task::Task;
use crate::kernel::{Core, KernelRef};
use crate::name::{HeldName, Name};
use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

/// The I/O of a custom wheel, polled by the kernel. Add one with [`KernelRef::add_source`].
///
/// A session keeps a value of your own type, which has the [`WheelHandle`] and, behind an `Rc`, what it shares with the
/// source. Dropping the handle drops the source.
///
/// ```
/// use poe::extend::{Flow, Sleep, Source, SourceContext, WheelHandle};
/// use poe::{Error, Event, KernelRef, Session, event::START};
/// use std::{future::Future, pin::Pin, task::{Context, Poll}, time::Duration};
///
/// /// A wheel that counts at a steady pace.
/// struct Ticker(WheelHandle);
///
/// impl Ticker {
///     #[track_caller]
///     fn start(kernel: &KernelRef<'_>, every: Duration, event: Event<u32>) -> Result<Ticker, Error> {
///         kernel.add_source("Ticker", Ticks { every, event, count: 0, sleep: Sleep::new(every) }).map(Ticker)
///     }
/// }
///
/// struct Ticks { every: Duration, event: Event<u32>, count: u32, sleep: Sleep }
///
/// impl Source for Ticks {
///     fn poll(&mut self, cx: &mut SourceContext<'_>, waker: &mut Context<'_>) -> Poll<()> {
///         while Pin::new(&mut self.sleep).poll(waker).is_ready() {
///             self.count += 1;
///             self.sleep = Sleep::new(self.every);
///             match cx.emit(self.event, self.count) {
///                 Flow::Go => {}
///                 Flow::Pause => break,                   // nothing is kept back here: go on in the next poll
///                 Flow::Gone => return Poll::Ready(()), // the handler has dropped the wheel
///             }
///         }
///         Poll::Pending
///     }
/// }
///
/// const TICK: Event<u32> = Event::new("tick");
/// # tokio_test::block_on(async { tokio::time::pause();
/// let kernel = poe::testing::kernel();
/// Session::builder(None)
///     .on(START, |cx, ()| -> poe::HandlerResult {
///         *cx.heap = Some(Ticker::start(cx, Duration::from_secs(60), TICK)?);
///         Ok(())
///     })
///     .on(TICK, |cx, count| if count == 3 { *cx.heap = None })
///     .create(&kernel)?;
/// kernel.run().await
/// # }).unwrap();
/// ```
///
/// # Rules
///
/// * Do one turn's work in a poll: one read of at most 64 KiB, one batch of accepts, one item. If there is more, call the
///   waker and return `Pending`: others have their turns first.
/// * [`SourceContext::emit`] calls a handler, which may call your wheel's methods, drop it or start others. Hold no borrow
///   of what the wheel and the source share while it runs.
/// * Register with the Tokio runtime that polls you. [`SourceContext::runtime_changed`] says when that is another one.
pub trait Source: 'static {
    /// Does the ready work and emits its events. `Ready` ends the wheel.
    fn poll(&mut self, cx: &mut SourceContext<'_>, waker: &mut Context<'_>) -> Poll<()>;

    /// Whether this brings new work from outside, as a listening socket does; default false.
    ///
    /// [`Kernel::shutdown`](crate::Kernel::shutdown) closes such sources first. Asked once, when the source is added.
    fn is_listener(&self) -> bool {
        false
    }
}

/// What a source may do after it has emitted an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "after `Gone` nothing may be emitted, after `Pause` the turn is over"]
pub enum Flow {
    /// Go on.
    Go,
    /// The kernel has to yield to its host. Keep the rest and return `Pending`; you are polled again at this point.
    Pause,
    /// The wheel was dropped, its session has stopped or the kernel ends. Later events do not arrive.
    Gone,
}

/// The interface of a [`Source`] to the kernel while it is polled.
pub struct SourceContext<'a> {
    base: &'a Base,
    core: &'a Core,
    home: &'a mut Home,
}

impl SourceContext<'_> {
    /// Returns the wheel's ID, for events to carry.
    #[must_use]
    pub fn id(&self) -> WheelId {
        self.base.id()
    }

    /// Returns the session that receives the events.
    #[must_use]
    pub fn session_id(&self) -> SessionId {
        self.base.owner()
    }

    /// Whether the wheel still exists and its session can receive events.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.base.is_alive()
    }

    /// Calls the session's handler of that event now, ahead of the queue, as I/O events are dispatched.
    ///
    /// A handler that takes another type is a failure of the session, as with a post.
    pub fn emit<A: 'static>(&mut self, event: impl Posts<A>, arg: A) -> Flow {
        if !self.base.is_alive() {
            drop_quietly(arg);
            return Flow::Gone;
        }
        let name = self.core.names.acquire(event.key());
        let more = self.base.deliver(self.core, name, AnyArg::new(arg));
        self.core.names.release(name);
        match more {
            None => Flow::Gone,
            Some(()) if self.core.must_yield() => {
                self.core.pause_turn();
                Flow::Pause
            }
            Some(()) => Flow::Go,
        }
    }

    /// Posts an event to the session: its handler runs when the event's time has come in the queue.
    pub fn post<A: 'static>(&mut self, event: impl Posts<A>, arg: A) {
        if self.base.is_alive() {
            let name = HeldName::new(event.key());
            self.base.post(self.core, &name, AnyArg::new(arg));
        } else {
            drop_quietly(arg);
        }
    }

    /// Raises a failure of the session, as if one of its handlers had failed. The wheel goes on unless `DIE` ends its session.
    pub fn fail(&mut self, failure: impl Into<Failure>) -> Flow {
        let what = Name::from(self.base.id().to_string().as_str());
        self.core
            .raise_for_task(self.base.owner(), what, &failure.into(), self.base.place());
        if self.base.is_alive() { Flow::Go } else { Flow::Gone }
    }

    /// Returns the kernel's time: the wall clock, or virtual time.
    #[must_use]
    pub fn time(&self) -> SystemTime {
        self.core.wall_now()
    }

    /// Returns true once after each change of the Tokio runtime that polls the kernel.
    ///
    /// Register again everything that was registered with the old one. [`Sleep`] does so by itself.
    pub fn runtime_changed(&mut self) -> bool {
        self.home.has_moved()
    }
}

debug_fields!([] SourceContext<'_>, "SourceContext", |this| { id: this.id(), session: this.session_id(), .. });

/// A pause for sources: Tokio's sleep, which moves to the next runtime that polls the kernel. It follows virtual time.
pub struct Sleep(Pause);

impl Sleep {
    /// Starts a pause.
    ///
    /// # Panics
    /// Outside a Tokio runtime with a time driver.
    #[must_use]
    pub fn new(time: Duration) -> Self {
        Sleep(Pause::new(time))
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.0).poll(cx)
    }
}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sleep")
    }
}

/// The part of a custom wheel that its session keeps: its ID, and the [`Source`] that works for it. Dropping it drops the
/// source.
///
/// The session lives while the source does; [`why_alive`](crate::Kernel::why_alive) lists it by its label and ID. A wheel
/// that is at rest between two pieces of work has no source and holds nothing: [`KernelRef::new_wheel`] makes one that
/// begins like that, [`start`](Self::start) gives it work.
#[must_use = "dropping the handle ends the wheel"]
pub struct WheelHandle {
    base: Rc<Base>,
    task: Cell<Option<TaskId>>,
    label: Box<str>,
}

wheel_methods!(WheelHandle, |wheel| wheel.base, wheel.task.get());

impl WheelHandle {
    /// Uses this source for the wheel from now on, and drops the previous one.
    ///
    /// The source is polled in the next I/O phase for the first time. If the wheel's session has stopped, it is dropped at once.
    pub fn start(&self, source: impl Source) {
        let Some(core) = self.base.core() else { return };
        if let Some(old) = self.task.take() {
            core.cancel_task(old);
        }
        let listener = source.is_listener();
        let body = SourceTask {
            base: self.base.clone(),
            home: Home::of_a_given(),
            source,
        };
        let what = format!("{} {}", self.label, self.base.id());
        self.task.set(self.base.start(&what, listener, Box::new(body)));
    }

    /// Has the source polled in the next I/O phase, for example because a method has queued output.
    pub fn wake(&self) {
        self.base.wake(self.task.get());
    }

    /// Whether a source exists: it has not returned `Ready` or panicked, and its session lives.
    #[must_use]
    pub fn is_running(&self) -> bool {
        let core = self.base.core();
        core.zip(self.task.get())
            .is_some_and(|(core, task)| core.tasks.contains(task))
    }
}

impl Drop for WheelHandle {
    fn drop(&mut self) {
        self.base.end(self.task.take());
    }
}

impl fmt::Debug for WheelHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WheelHandle({} {})", self.label, self.id())
    }
}

impl KernelRef<'_> {
    /// Adds a custom wheel to the session that is running.
    ///
    /// `label` names it in reports, with its ID: `Ticker 3`. The source is polled in the next I/O phase for the first time.
    /// [`Source`] has an example.
    ///
    /// # Errors
    /// The session has been stopped by its own handler.
    #[track_caller]
    #[doc(alias = "POE::Wheel")]
    pub fn add_source(self, label: &str, source: impl Source) -> Result<WheelHandle, Error> {
        let wheel = self.new_wheel(label)?;
        wheel.start(source);
        Ok(wheel)
    }

    /// A custom wheel that is at rest: it has an ID, holds nothing, and gets its [`Source`] with [`WheelHandle::start`].
    ///
    /// # Errors
    /// The session has been stopped by its own handler.
    #[track_caller]
    pub fn new_wheel(self, label: &str) -> Result<WheelHandle, Error> {
        self.own_slot()?;
        Ok(WheelHandle {
            base: Rc::new(Base::new(&self, Location::caller())),
            task: Cell::new(None),
            label: label.into(),
        })
    }
}

struct SourceTask<S> {
    base: Rc<Base>,
    home: Home,
    source: S,
}

impl<S: Source> Task for SourceTask<S> {
    fn poll(&mut self, core: &Core, waker: &mut Context<'_>) -> Poll<()> {
        let mut cx = SourceContext {
            base: &self.base,
            core,
            home: &mut self.home,
        };
        self.source.poll(&mut cx, waker)
    }
}
