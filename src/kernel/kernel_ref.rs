//! The kernel as a handler sees it: the current event and its sender, and every operation that does not call another
//! handler.

use super::{Core, Invoke, Target};
use crate::arg::AnyArg;
use crate::error::{Error, ErrorKind};
use crate::id::{Place, SessionId};
use crate::name::{Name, NameIdx};
use std::cell::Cell;
use std::rc::Rc;

/// One dispatch, on the stack of the dispatcher.
pub(crate) struct Frame<'f> {
    pub(crate) session: SessionId,
    /// The event as the handler sees it: `_default` after a redirection.
    pub(crate) event: Cell<NameIdx>,
    pub(crate) sender: SessionId,
    /// The event that was being handled when this one was made.
    pub(crate) caller: NameIdx,
    pub(crate) place: Place,
    /// Where the caller waits for the reply, so that no value is copied through every layer. `None` for a posted event.
    pub(crate) answer: Option<&'f Cell<AnyArg>>,
}

/// The kernel as the running session sees it: every operation that does not call another handler.
///
/// It is `Copy` and separate from the heap, so a loop over the heap may post. A [`Context`](crate::Context) derefs to
/// it; wheels take it.
///
/// ```
/// use poe::{Event, Kernel, Session, event::{START, STOP}};
/// const PING: Event<u64> = Event::new("ping");
/// # tokio_test::block_on(async {
/// let kernel = Kernel::new();
/// Session::builder(vec![1_u64, 2, 3])
///     .on(START, |cx, ()| {
///         let kernel = cx.kernel;
///         for peer in cx.heap.iter_mut() {
///             *peer += 1;
///             kernel.yield_to(PING, *peer);
///         }
///     })
///     .on(PING, |cx, n| cx.heap.retain(|peer| *peer != n))
///     .on(STOP, |cx, ()| assert!(cx.heap.is_empty()))
///     .create(&kernel).unwrap();
/// kernel.run().await.unwrap();
/// # });
/// ```
#[derive(Clone, Copy)]
pub struct KernelRef<'k> {
    pub(crate) core: &'k Core,
    pub(crate) frame: &'k Frame<'k>,
}

/// The running session, and the origin of the event:
///
/// ```
/// use poe::{Event, Kernel, Session, event::{START, STOP}};
/// const HELLO: Event<u32> = Event::new("hello");
/// # tokio_test::block_on(async {
/// let kernel = Kernel::new();
/// Session::builder(false)
///     .on(START, |cx, ()| cx.alias_set("greeted"))
///     .on(HELLO, |cx, line| {
///         assert_eq!((cx.session_id().get(), cx.event().as_str()), (1, "hello"));
///         assert_eq!((cx.sender().get(), cx.caller_state().unwrap().as_str()), (2, "_start"));
///         assert_eq!(cx.caller_place().line(), line);
///         *cx.heap = cx.is_alive(cx.sender()); // what it has sent kept it until now
///     })
///     .on(STOP, |cx, ()| assert_eq!((*cx.heap, cx.sender()), (true, cx.kernel_id())))
///     .create(&kernel)?;
/// Session::builder(())
///     .on(START, |cx, ()| cx.post("greeted", HELLO, line!()))
///     .create(&kernel)?;
/// kernel.run().await
/// # }).unwrap();
/// ```
impl<'k> KernelRef<'k> {
    /// Returns the running session.
    #[doc(alias = "SESSION")]
    #[must_use]
    pub fn session_id(self) -> SessionId {
        by_parts(&self.frame.session)
    }

    /// Returns the name of the event that is being handled; `_default` in that handler.
    #[doc(alias = "STATE")]
    #[must_use]
    pub fn event(self) -> Name {
        self.core.names.name(self.frame.event.get())
    }

    /// Returns the sender: the poster or caller; the session itself for timers and I/O; the kernel for signals and
    /// life-cycle events; the creator for `_start` (law L65).
    #[doc(alias = "SENDER")]
    #[must_use]
    #[inline]
    pub fn sender(self) -> SessionId {
        by_parts(&self.frame.sender)
    }

    /// Returns the event whose handler sent this one; `None` if it was not sent by a handler (law L64).
    #[doc(alias = "CALLER_STATE")]
    #[must_use]
    pub fn caller_state(self) -> Option<Name> {
        self.frame
            .caller
            .is_caller()
            .then(|| self.core.names.name(self.frame.caller))
    }

    /// Returns the file and line that sent the event.
    #[doc(alias = "CALLER_FILE")]
    #[doc(alias = "CALLER_LINE")]
    #[must_use]
    pub fn caller_place(self) -> Place {
        self.frame.place
    }

    /// Sets the reply of the running handler: a custom session type calls it before it returns
    /// [`Invoked::Returned`](crate::extend::Invoked::Returned). Without it the reply is `()`.
    ///
    /// ```
    /// use poe::{AnyArg, Event, Kernel, Name, KernelRef, extend::{Invoke, Invoked}};
    /// const LENGTH: Event<String, usize> = Event::new("length");
    ///
    /// struct Measure;
    /// impl Invoke for Measure {
    ///     fn invoke(&self, kernel: KernelRef<'_>, arg: &mut AnyArg) -> Invoked {
    ///         if let Some(text) = arg.take::<String>() {
    ///             kernel.set_reply(AnyArg::new(text.len()));
    ///         }
    ///         Invoked::Returned
    ///     }
    ///     fn event_names(&self) -> Vec<Name> {
    ///         vec![LENGTH.name().into()]
    ///     }
    /// }
    /// let kernel = Kernel::new();
    /// let id = kernel.session_alloc(std::rc::Rc::new(Measure), AnyArg::new(()))?;
    /// assert_eq!(kernel.call(id, LENGTH, String::from("four"))?, 4);
    /// let () = kernel.call(id, "something else", 4)?; // without a reply it is `()`
    /// # Ok::<(), poe::Error>(())
    /// ```
    #[inline(always)]
    pub fn set_reply(self, value: AnyArg) {
        match self.frame.answer {
            Some(answer) => answer.set(value),
            None => drop(value),
        }
    }

    /// Whether anybody waits for an answer.
    #[inline]
    pub(crate) fn is_asked(self) -> bool {
        self.frame.answer.is_some()
    }

    /// Returns the event that the kernel is dispatching: during a call of a session to itself still the outer one (law
    /// L13).
    ///
    /// ```
    /// use poe::{Event, Kernel, Session, event::START};
    /// const INNER: Event<()> = Event::new("inner");
    /// # tokio_test::block_on(async {
    /// let kernel = Kernel::new();
    /// Session::builder(())
    ///     .on(START, |cx, ()| -> poe::HandlerResult { Ok(cx.call(cx.session_id(), INNER, ())?) })
    ///     .on(INNER, |cx, ()| {
    ///         assert_eq!(cx.event(), "inner");
    ///         assert_eq!(cx.active_event().unwrap(), "_start");
    ///     })
    ///     .create(&kernel)?;
    /// kernel.run().await
    /// # }).unwrap();
    /// ```
    #[doc(alias = "get_active_event")]
    #[must_use]
    pub fn active_event(self) -> Option<Name> {
        self.core.active_event()
    }

    /// Returns the session that the kernel works for: the running one, or the kernel itself once the handler has called
    /// `stop` (law L87).
    ///
    /// ```
    /// use poe::{Event, Kernel, Session, event::START};
    /// const END: Event<()> = Event::new("end");
    /// let kernel = Kernel::new();
    /// let id = Session::builder(())
    ///     .on(START, |_, ()| ())
    ///     .on(END, |cx, ()| {
    ///         assert_eq!(cx.active_session(), cx.session_id());
    ///         cx.stop_all();
    ///         assert_eq!(cx.active_session(), cx.kernel_id());
    ///         assert!(!cx.is_alive(cx.session_id())); // it was this one
    ///     })
    ///     .create(&kernel)?;
    /// kernel.call(id, END, ())?;
    /// # Ok::<(), poe::Error>(())
    /// ```
    #[doc(alias = "get_active_session")]
    #[must_use]
    pub fn active_session(self) -> SessionId {
        self.core.active.session()
    }

    /// Returns the kernel's ID, for use as a target.
    #[must_use]
    pub fn kernel_id(self) -> SessionId {
        self.core.id()
    }

    /// Returns the number of waiting events, timers included.
    ///
    /// ```
    /// use poe::{Kernel, Session, event::START};
    /// # tokio_test::block_on(async {
    /// let kernel = Kernel::new();
    /// Session::builder(())
    ///     .on(START, |cx, ()| {
    ///         cx.yield_to("soon", ());
    ///         cx.delay("later", 60.0, ());
    ///         assert_eq!(cx.event_count(), 2);
    ///         cx.alarm_remove_all();
    ///         assert_eq!(cx.event_count(), 1);
    ///     })
    ///     .create(&kernel)?;
    /// kernel.run().await
    /// # }).unwrap();
    /// ```
    #[doc(alias = "get_event_count")]
    #[must_use]
    pub fn event_count(self) -> usize {
        self.core.queue().len()
    }

    /// Returns whether a session is alive.
    #[doc(alias = "ID_id_to_session")]
    #[must_use]
    pub fn is_alive(self, id: SessionId) -> bool {
        self.core.sessions.borrow().resolve(id).is_some()
    }

    /// Returns the ID of the session with that serial number, as printed in logs.
    #[must_use]
    pub fn session_by_number(self, serial: u64) -> Option<SessionId> {
        self.core.sessions.borrow().find(serial)
    }

    /// Returns the names that have a handler in a session, in any order; none if the session is gone.
    #[must_use]
    pub fn event_names_of<'t>(self, target: impl Into<Target<'t>>) -> Vec<Name> {
        let found = self.core.callee(&target.into());
        let object = found.and_then(|(_, object)| object);
        object.map_or_else(Vec::new, |object| object.event_names())
    }

    /// Returns the kernel's name: see [`Kernel::name`](crate::Kernel::name).
    #[must_use]
    pub fn kernel_name(self) -> Rc<str> {
        self.core.name()
    }

    /// Returns this kernel's value of a type: see [`Kernel::extension`](crate::Kernel::extension).
    #[must_use]
    pub fn extension<T: Default + 'static>(self) -> Rc<T> {
        self.core.extensions.find_or_default()
    }

    /// The running session's slot, unless it was stopped meanwhile.
    pub(crate) fn slot(self) -> Option<u32> {
        self.core.sessions.borrow().resolve(self.frame.session)
    }

    /// The same for what has an error to return.
    pub(crate) fn own_slot(self) -> Result<u32, Error> {
        self.slot().ok_or_else(|| gone(self.frame.session))
    }
}

/// A copy in the steps by which it was written a moment ago: see [`ActiveCell`](super::extension::ActiveCell).
#[inline(always)]
fn by_parts(id: &SessionId) -> SessionId {
    SessionId {
        serial: id.serial,
        slot: id.slot,
        kernel: id.kernel,
    }
}

/// The error of what a session asks for that `stop` has ended in its own handler.
#[cold]
fn gone(id: SessionId) -> Error {
    ErrorKind::NoSuchSession(format!("{id} (it was stopped)")).into()
}

impl std::fmt::Debug for KernelRef<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KernelRef")
            .field("session", &self.frame.session)
            .field("event", &self.event())
            .field("sender", &self.frame.sender)
            .finish()
    }
}

/// The session's options.
///
/// ```
/// use poe::{Kernel, Session, event::START};
/// # tokio_test::block_on(async {
/// let kernel = Kernel::new();
/// Session::builder(())
///     .option("colour", "red")
///     .on(START, |cx, ()| {
///         assert_eq!(cx.option("colour").as_deref(), Some("red"));
///         assert_eq!(cx.set_option("Debug", "on"), None); // it had no value yet
///         assert_eq!(cx.option("debug").as_deref(), Some("1"));
///         assert_eq!(cx.remove_option("colour").as_deref(), Some("red"));
///         assert_eq!(cx.option("colour"), None);
///     })
///     .create(&kernel)?;
/// kernel.run().await
/// # }).unwrap();
/// ```
impl KernelRef<'_> {
    /// Sets an option of this session, and returns its old value.
    ///
    /// Names are lower-cased; `on`, `yes` and `true` become `1`, `off`, `no` and `false` become `0`. A session heeds `trace`
    /// (log each dispatch), `debug` (warn when a handler is replaced) and `default` (warn when an event finds no handler), a
    /// machine `immediate` as well; others are for the program. A custom session type decides itself
    /// ([`Invoke::set_option`](crate::extend::Invoke::set_option)).
    #[doc(alias = "option")]
    pub fn set_option(self, name: &str, value: impl ToString) -> Option<String> {
        self.own_object()?.set_option(name, Some(&value.to_string()))
    }

    /// Deletes an option of this session, and returns its old value.
    #[doc(alias = "option")]
    pub fn remove_option(self, name: &str) -> Option<String> {
        self.own_object()?.set_option(name, None)
    }

    /// Returns the value of an option of this session.
    #[must_use]
    pub fn option(self, name: &str) -> Option<String> {
        let (name, options) = (name.to_lowercase(), self.own_object()?.options());
        options
            .into_iter()
            .find(|(own, _)| *own == name)
            .map(|(_, value)| value)
    }

    /// Returns the session that is running, as the kernel has it; `None` after it was stopped.
    fn own_object(self) -> Option<Rc<dyn Invoke>> {
        let sessions = self.core.sessions.borrow();
        sessions.object(sessions.resolve(self.frame.session)?)
    }
}
