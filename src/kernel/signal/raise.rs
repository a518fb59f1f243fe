//! Raising signals: each is an event of the kernel until it is dispatched.

use crate::arg::AnyArg;
use crate::error::{PostError, PostErrorKind};
use crate::id::Place;
use crate::kernel::{Core, Kernel, KernelRef, Target};
use crate::name::{Key, Name, NameIdx, signal_name};
use crate::resource::sessions::KERNEL;
use std::panic::Location;
use std::rc::Rc;

impl KernelRef<'_> {
    /// Queues a signal for a session and all its descendants; the kernel's ID means all sessions (law L45).
    ///
    /// # Errors
    /// [`PostError`] with the argument, when the target does not exist.
    ///
    /// ```
    /// use poe::{Event, Kernel, Session, Signal, event::{START, STOP}};
    /// const ON_NEWS: Event<Signal> = Event::new("on news");
    /// # tokio_test::block_on(async {
    /// let kernel = Kernel::new();
    /// Session::builder(())
    ///     .on(START, |cx, ()| -> poe::HandlerResult {
    ///         let child = Session::builder(0)
    ///             .on(START, |cx, ()| cx.sig("news", ON_NEWS))
    ///             .on(ON_NEWS, |cx, signal| *cx.heap += signal.arg::<u32>().unwrap())
    ///             .on(STOP, |cx, ()| assert_eq!(*cx.heap, 3));
    ///         cx.create(child)?;
    ///         cx.signal(cx.session_id(), "news", 1_u32)?; // for this session and the child
    ///         cx.signal(cx.kernel_id(), "news", 2_u32)?; // for all sessions
    ///         assert_eq!(cx.signal("nobody", "news", 4_u32).unwrap_err().into_arg(), 4);
    ///         Ok(())
    ///     })
    ///     .create(&kernel)?;
    /// kernel.run().await
    /// # }).unwrap();
    /// ```
    #[track_caller]
    #[doc(alias = "broadcast")]
    pub fn signal<'t, A: 'static>(
        self,
        target: impl Into<Target<'t>>,
        signal: &str,
        arg: A,
    ) -> Result<(), PostError<A>> {
        let raised = signal_from(self.core, target.into(), signal, arg, Location::caller());
        self.core.logged("signal", raised)
    }
}

impl Kernel {
    /// Queues a signal for a session and all its descendants; [`Kernel::id`] means all sessions.
    ///
    /// # Errors
    /// [`PostError`] with the argument, when the target does not exist.
    ///
    /// ```
    /// use poe::{Kernel, Session, event::START};
    /// # tokio_test::block_on(async {
    /// let kernel = Kernel::new();
    /// for _ in 0..2 {
    ///     Session::builder(()).on(START, |cx, ()| cx.delay("work", 3600.0, ())).create(&kernel)?;
    /// }
    /// kernel.signal(kernel.session_by_number(1).unwrap(), "TERM", ())?; // for that one
    /// kernel.run_one_timeslice().await?;
    /// assert_eq!(kernel.session_count(), 1);
    /// kernel.signal(kernel.id(), "TERM", ())?; // for all sessions: no session handles it, and all stop
    /// kernel.run().await
    /// # }).unwrap();
    /// ```
    #[track_caller]
    #[doc(alias = "broadcast")]
    pub fn signal<'t, A: 'static>(
        &self,
        target: impl Into<Target<'t>>,
        signal: &str,
        arg: A,
    ) -> Result<(), PostError<A>> {
        let core = self.core();
        let raised = signal_from(core, target.into(), signal, arg, Location::caller());
        core.logged("signal", raised)
    }
}

pub(crate) fn signal_from<A: 'static>(
    core: &Core,
    target: Target<'_>,
    signal: &str,
    arg: A,
    place: Place,
) -> Result<(), PostError<A>> {
    match core.resolve(&target) {
        Some(to) => {
            core.raise_signal(to, signal, AnyArg::new(arg), place);
            Ok(())
        }
        None => Err(PostError::new(
            signal_name(signal),
            PostErrorKind::NoSuchSession(target.wanted()),
            arg,
        )),
    }
}

/// A signal on its way through the queue.
pub(crate) struct Raised {
    pub(crate) name: Name,
    pub(crate) arg: Rc<AnyArg>,
}

impl Core {
    fn raise_signal(&self, to: u32, signal: &str, arg: AnyArg, place: Place) {
        let raised = Raised {
            name: Name::from(signal_name(signal)),
            arg: Rc::new(arg),
        };
        let caller = self.active.event();
        self.enqueue_known(
            to,
            self.active_slot(),
            NameIdx::SIGNAL,
            caller,
            AnyArg::new(raised),
            place,
        );
    }

    /// The same from another thread, dated when it was sent.
    pub(in crate::kernel) fn enqueue_sent_signal(&self, to: u32, signal: &str, arg: AnyArg, place: Place, sent: u64) {
        let raised = Raised {
            name: Name::from(signal_name(signal)),
            arg: Rc::new(arg),
        };
        self.enqueue_sent(to, Key::SIGNAL, NameIdx::NONE, AnyArg::new(raised), place, sent);
    }

    /// Delivers a signal now, and not in its turn.
    pub(in crate::kernel) fn signal_at_once(&self, to: u32, signal: &str, arg: AnyArg, place: Place) {
        let raised = Raised {
            name: Name::from(signal_name(signal)),
            arg: Rc::new(arg),
        };
        self.dispatch_signal(to, NameIdx::NONE, AnyArg::new(raised), place);
        if self.die.is_fatal() {
            self.stop_all();
        }
    }

    /// A signal that the kernel itself sends, as IDLE and ZOMBIE, or that has come from the system.
    #[track_caller]
    pub(crate) fn kernel_signal(&self, to: u32, signal: &'static str, arg: AnyArg) {
        let raised = Raised {
            name: Name::from_static(signal),
            arg: Rc::new(arg),
        };
        self.enqueue_known(
            to,
            KERNEL,
            NameIdx::SIGNAL,
            NameIdx::NONE,
            AnyArg::new(raised),
            Location::caller(),
        );
    }
}
