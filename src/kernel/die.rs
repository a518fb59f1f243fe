//! Failures of handlers: the `DIE` signal, and what ends a run (laws L66 to L71).

use super::{Core, Frame};
use crate::arg::AnyArg;
use crate::error::{Error, ErrorKind, Failure};
use crate::id::SessionId;
use crate::name::{Name, NameIdx};
use std::cell::{Cell, RefCell};
use std::panic::Location;
use std::rc::Rc;

/// What a `DIE` signal tells: which handler failed, how, and who had sent the event.
///
/// ```
/// use poe::{Kernel, Session, Signal, event::START};
/// # tokio_test::block_on(async {
/// let kernel = Kernel::new();
/// Session::builder(())
///     .on(START, |cx, ()| {
///         cx.sig("DIE", "on die");
///         cx.yield_to("fail", ());
///     })
///     .on("fail", |_, ()| panic!("on purpose"))
///     .on("on die", |cx, signal: Signal| {
///         let die = signal.die().unwrap();
///         assert_eq!(die.event, "fail");
///         assert!(die.failure.is_panic());
///         cx.sig_handled();
///     })
///     .create(&kernel).unwrap();
/// kernel.run().await.unwrap();
/// # });
/// ```
#[derive(Clone, Debug)]
pub struct Die {
    /// What the handler returned, or its panic. If it was a component's, it also has the
    /// [name of the callback](Failure::callback).
    #[doc(alias = "error_str")]
    pub failure: Failure,
    /// The event whose handler failed.
    pub event: Name,
    /// The session that failed.
    #[doc(alias = "dest_session")]
    pub session: SessionId,
    /// The event's sender, which may be gone by now.
    #[doc(alias = "source_session")]
    pub sender: SessionId,
    /// What the sender was handling when it sent the event.
    #[doc(alias = "from_state")]
    pub caller_state: Option<Name>,
    /// Where it sent it.
    pub place: &'static Location<'static>,
}

/// The failure that will end the run.
#[derive(Clone)]
struct Fatal {
    failure: Failure,
    session: SessionId,
    event: String,
}

#[derive(Default)]
pub(super) struct DieState {
    fatal: RefCell<Option<Fatal>>,
    /// `fatal` is set: looked at after each event.
    is_fatal: Cell<bool>,
    /// A shutdown has told of it; the run that it ends may yet do so.
    told: Cell<bool>,
}

impl From<Fatal> for Error {
    fn from(fatal: Fatal) -> Self {
        let Fatal {
            failure,
            session,
            event,
        } = fatal;
        ErrorKind::Died {
            failure,
            session,
            event,
        }
        .into()
    }
}

impl DieState {
    #[inline]
    pub(super) fn is_fatal(&self) -> bool {
        self.is_fatal.get()
    }

    fn set(&self, fatal: Fatal) {
        self.is_fatal.set(true);
        self.told.set(false);
        *self.fatal.borrow_mut() = Some(fatal);
    }

    fn take(&self) -> Option<Fatal> {
        self.is_fatal.set(false);
        self.fatal.borrow_mut().take()
    }

    /// With catching off, a failure met by a caller is no longer the kernel's.
    pub(super) fn take_if_not_catching(&self, catching: bool) -> bool {
        !catching && self.take().is_some()
    }

    pub(super) fn take_error(&self) -> Option<Error> {
        self.take().map(Error::from)
    }

    /// The error, which stays for the run that it ends.
    pub(super) fn tell_error(&self) -> Option<Error> {
        self.told.set(self.is_fatal.get());
        self.fatal.borrow().clone().map(Error::from)
    }

    /// Drops what was told, where no run will tell it any more.
    pub(super) fn forget_told(&self) {
        if self.told.take() {
            drop(self.take());
        }
    }
}

impl Core {
    /// A handler failed: queue its DIE behind what waits already, or let it end the run.
    pub(super) fn raise(&self, failure: &Failure, frame: &Frame<'_>, event: NameIdx, fatal: bool) {
        let name = self.names.name(event);
        let callback = failure.callback();
        tracing::debug!(target: "poe::sessions", session = %frame.session, event = %name, callback, %failure, "handler failed");
        let slot = self.sessions.borrow().resolve(frame.session);
        let Some(slot) = slot.filter(|_| !fatal && self.catching.get()) else {
            self.fail_run(failure.clone(), frame.session, name);
            return;
        };
        let die = Die {
            failure: failure.clone(),
            event: name,
            session: frame.session,
            sender: frame.sender,
            caller_state: (frame.caller != NameIdx::NONE).then(|| self.names.name(frame.caller)),
            place: frame.place,
        };
        self.enqueue_die(slot, die);
    }

    pub(crate) fn enqueue_die(&self, slot: u32, die: Die) {
        let place = die.place;
        let signal = super::signal::Raised {
            name: Name::from_static("DIE"),
            arg: Rc::new(AnyArg::new(die)),
        };
        self.enqueue_known(
            slot,
            crate::resource::sessions::KERNEL,
            NameIdx::SIGNAL,
            NameIdx::NONE,
            AnyArg::new(signal),
            place,
        );
    }

    /// Notes the failure that ends the run; a later one takes its place, as in POE.
    pub(super) fn fail_run(&self, failure: Failure, session: SessionId, event: Name) {
        self.die.set(Fatal {
            failure,
            session,
            event: event.to_string(),
        });
    }

    /// A DIE that nobody handled: its failure ends the run, together with one that was thrown while it was handled (L70).
    pub(super) fn fail_unhandled(&self, die: &Die) {
        let second = self.die.take();
        let failure = match second {
            Some(second) => die.failure.followed_by(&second.failure),
            None => die.failure.clone(),
        };
        self.fail_run(failure, die.session, die.event.clone());
    }
}
