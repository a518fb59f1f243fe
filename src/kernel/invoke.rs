//! The interface between the kernel and the kinds of sessions: `POE::Session`, `POE::NFA`, and custom ones.

use super::{Core, Kernel, KernelRef};
use crate::arg::AnyArg;
use crate::error::{Error, ErrorKind, Failure};
use crate::name::Name;
use std::fmt;
use std::ops::Deref;
use std::rc::Rc;

/// A kind of session, as the kernel sees it.
///
/// The kernel holds one `Rc<dyn Invoke>` per session, and borrows nothing while it calls it. A handler may run while
/// another one of the same session is still on the stack (a session that calls a session that calls it back).
///
/// ```
/// use poe::{AnyArg, Kernel, Name, KernelRef, extend::{Invoke, Invoked}};
///
/// /// A session that counts its events.
/// struct Counter(std::cell::Cell<u64>);
///
/// impl Invoke for Counter {
///     fn invoke(&self, kernel: KernelRef<'_>, _arg: &mut AnyArg) -> Invoked {
///         self.0.set(self.0.get() + 1);
///         println!("{} was number {}", kernel.event(), self.0.get());
///         kernel.set_reply(AnyArg::new(self.0.get()));
///         Invoked::Returned
///     }
///     fn event_names(&self) -> Vec<Name> {
///         Vec::new()
///     }
/// }
///
/// let kernel = Kernel::new();
/// let id = kernel.session_alloc(std::rc::Rc::new(Counter(Default::default())), AnyArg::new(())).unwrap();
/// let n: u64 = kernel.call(id, "anything", ()).unwrap();
/// assert_eq!(n, 2); // `_start` was the first
/// ```
///
/// A type with options, which describes itself in a [`Snapshot`](crate::inspect::Snapshot):
///
/// ```
/// # use poe::{AnyArg, Kernel, Name, KernelRef, extend::{Invoke, Invoked}};
/// # use std::{cell::RefCell, collections::BTreeMap, rc::Rc};
/// #[derive(Default)]
/// struct Tunable(RefCell<BTreeMap<String, String>>);
///
/// impl Invoke for Tunable {
///     fn heap_type(&self) -> &'static str {
///         "tunable"
///     }
/// #   fn heap_size(&self) -> usize {
/// #       0 // nothing but options
/// #   }
///     fn options(&self) -> Vec<(String, String)> {
///         self.0.borrow().clone().into_iter().collect()
///     }
///     fn set_option(&self, name: &str, value: Option<&str>) -> Option<String> {
///         let mut options = self.0.borrow_mut();
///         match value {
///             Some(value) => options.insert(name.to_owned(), value.to_owned()),
///             None => options.remove(name),
///         }
///     }
///     // …
/// #     fn invoke(&self, _: KernelRef<'_>, _: &mut AnyArg) -> Invoked {
/// #         Invoked::Returned
/// #     }
/// #     fn event_names(&self) -> Vec<Name> {
/// #         Vec::new()
/// #     }
/// }
///
/// // Such a kernel sets `default` in every new session.
/// let kernel = Kernel::builder().assert_states(true).build();
/// let id = kernel.session_alloc(Rc::new(Tunable::default()), AnyArg::new(()))?;
/// let snapshot = kernel.snapshot();
/// let session = snapshot.session(id).unwrap();
/// assert_eq!(session.heap_type, "tunable");
/// assert_eq!(session.options["default"], "1");
/// # Ok::<(), poe::Error>(())
/// ```
#[doc(alias = "_invoke_state")]
pub trait Invoke: 'static {
    /// Runs the handler of `kernel.event()`, which takes the argument out of its place ([`AnyArg::take`]) and leaves its
    /// reply with [`KernelRef::set_reply`]. A panic is caught by the kernel, and raised as `DIE` like a failure.
    fn invoke(&self, kernel: KernelRef<'_>, arg: &mut AnyArg) -> Invoked;

    /// Returns the names that have a handler, in any order, for introspection.
    fn event_names(&self) -> Vec<Name>;

    /// Returns the type of the heap for a [`Snapshot`](crate::inspect::Snapshot); by default the type of the session
    /// itself.
    fn heap_type(&self) -> &'static str {
        std::any::type_name::<Self>()
    }

    /// Returns the size of the heap in bytes, without what it points to.
    fn heap_size(&self) -> usize {
        size_of_val(self)
    }

    /// Returns the session's options, in any order; empty by default.
    #[doc(alias = "option")]
    fn options(&self) -> Vec<(String, String)> {
        Vec::new()
    }

    /// Sets an option, or deletes it with `None`, and returns its old value; no effect in a session without options.
    /// The kernel sets `default` in new sessions with [`assert_states`](crate::KernelBuilder::assert_states).
    #[doc(alias = "option")]
    fn set_option(&self, name: &str, value: Option<&str>) -> Option<String> {
        let _ = (name, value);
        None
    }
}

/// The result of invoking a handler.
///
/// ```
/// use poe::{AnyArg, Event, Failure, Kernel, Name, KernelRef, extend::{Invoke, Invoked}};
/// const FAIL: Event<u32> = Event::new("fail");
/// const OTHER: Event<u32> = Event::new("other");
///
/// struct Grump;
/// impl Invoke for Grump {
///     fn invoke(&self, kernel: KernelRef<'_>, _: &mut AnyArg) -> Invoked {
///         match kernel.event().as_str() {
///             "_start" => Invoked::Returned,
///             "fail" => Invoked::Failed(Failure::msg("as you wish")),
///             _ => Invoked::Unhandled,
///         }
///     }
/// #     fn event_names(&self) -> Vec<Name> {
/// #         Vec::new()
/// #     }
///     // …
/// }
/// let kernel = Kernel::new();
/// let grump = kernel.session_alloc(std::rc::Rc::new(Grump), AnyArg::new(()))?;
/// assert!(kernel.call(grump, FAIL, 7).unwrap_err().is_died());
/// let unhandled = kernel.call(grump, OTHER, 7).unwrap_err();
/// assert!(unhandled.is_unhandled());
/// assert_eq!(unhandled.into_arg(), Some(7)); // it was left in its place
/// # Ok::<(), poe::Error>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum Invoked {
    /// A handler ran.
    Returned,
    /// There is no handler and no default one; the argument was left in its place.
    Unhandled,
    /// The handler failed.
    Failed(Failure),
}

mod sealed {
    use super::{Core, Error};

    /// Seals `Caller`.
    #[diagnostic::on_unimplemented(
        message = "handlers cannot be called from `{Self}`",
        note = "outside a handler pass `&kernel`; inside pass the handler's context: `cx`, or `&mut *cx` if it is used again"
    )]
    pub trait AtOnce {
        #[doc(hidden)]
        fn core(&self) -> &Core;

        /// Runs `f` while every session's heap is in its place.
        #[doc(hidden)]
        fn at_once<T>(&mut self, what: &'static str, f: impl FnOnce(&Core) -> T) -> Result<T, Error>;
    }
}
pub(crate) use sealed::AtOnce;

impl<C: AtOnce> AtOnce for &mut C {
    fn core(&self) -> &Core {
        (**self).core()
    }

    #[inline]
    fn at_once<T>(&mut self, what: &'static str, f: impl FnOnce(&Core) -> T) -> Result<T, Error> {
        (**self).at_once(what, f)
    }
}

/// Lets a custom session type run other handlers from its own `invoke`.
///
/// It is to such a type what [`Context`](crate::Context) is to a session: it derefs to [`KernelRef`], runs handlers at
/// once, and is a [`Caller`](crate::extend::Caller), so sessions can be created with it. These handlers may belong to
/// the same session, so `invoke` may be entered again meanwhile.
///
/// ```
/// use poe::{AnyArg, Event, Kernel, Name, Reply, Session, KernelRef, event::START, extend::{Invoke, Invoked}};
/// const DOUBLE: Event<u64, u64> = Event::new("double");
///
/// struct Asker;
/// impl Invoke for Asker {
///     fn invoke(&self, kernel: KernelRef<'_>, _arg: &mut AnyArg) -> Invoked {
///         if kernel.event() == "_start" {
///             let Ok(mut nested) = kernel.nested(self) else { return Invoked::Unhandled };
///             let child = Session::builder(()).on(START, |_, ()| ()).on(DOUBLE, |_, n| Reply(2 * n));
///             let child = nested.create(child).unwrap();
///             assert_eq!(nested.call(child, DOUBLE, 21).unwrap(), 42);
///         }
///         Invoked::Returned
///     }
///     fn event_names(&self) -> Vec<Name> {
///         Vec::new()
///     }
/// }
/// # tokio_test::block_on(async {
/// let kernel = Kernel::new();
/// kernel.session_alloc(std::rc::Rc::new(Asker), AnyArg::new(()))?;
/// kernel.run().await
/// # }).unwrap();
/// ```
pub struct Nested<'k> {
    kernel: KernelRef<'k>,
}

impl<'k> KernelRef<'k> {
    /// Returns what a custom session type runs other handlers with; `session` is the object itself, whose
    /// [`invoke`](Invoke::invoke) the kernel has called.
    ///
    /// # Errors
    /// Busy: it is not the object of the running session, or that session is gone.
    ///
    /// ```
    /// # use poe::{AnyArg, Event, Kernel, Name, KernelRef, extend::{Invoke, Invoked}};
    /// const ASK: Event<(), u32> = Event::new("ask");
    /// const TELL: Event<(), u32> = Event::new("tell");
    ///
    /// # struct Asker;
    /// impl Invoke for Asker {
    ///     fn invoke(&self, kernel: KernelRef<'_>, _: &mut AnyArg) -> Invoked {
    ///         if kernel.event() == "ask" {
    ///             assert!(kernel.nested(&Other).unwrap_err().is_busy()); // only the running object gets it
    ///             let Ok(mut nested) = kernel.nested(self) else { return Invoked::Unhandled };
    ///             let told = nested.call(kernel.session_id(), TELL, ()).unwrap(); // enters this object again
    ///             kernel.set_reply(AnyArg::new(told + 1));
    ///         } else {
    ///             kernel.set_reply(AnyArg::new(41_u32));
    ///         }
    ///         Invoked::Returned
    ///     }
    /// #     fn event_names(&self) -> Vec<Name> {
    /// #         Vec::new()
    /// #     }
    ///     // …
    /// }
    /// # struct Other;
    /// # impl Invoke for Other {
    /// #     fn invoke(&self, _: KernelRef<'_>, _: &mut AnyArg) -> Invoked {
    /// #         Invoked::Unhandled
    /// #     }
    /// #     fn event_names(&self) -> Vec<Name> {
    /// #         Vec::new()
    /// #     }
    /// # }
    /// # let kernel = Kernel::new();
    /// # let asker = kernel.session_alloc(std::rc::Rc::new(Asker), AnyArg::new(()))?;
    /// assert_eq!(kernel.call(asker, ASK, ())?, 42);
    /// # Ok::<(), poe::Error>(())
    /// ```
    pub fn nested(self, session: &impl Invoke) -> Result<Nested<'k>, Error> {
        let sessions = self.core.sessions.borrow();
        let object = sessions
            .resolve(self.frame.session)
            .and_then(|slot| sessions.object(slot));
        drop(sessions);
        // Nobody but the type itself has that reference, so that no session's handler gets past its heap by this.
        match object {
            Some(object) if std::ptr::addr_eq(Rc::as_ptr(&object), session) => Ok(Nested { kernel: self }),
            _ => Err(ErrorKind::Busy("nesting handlers").into()),
        }
    }
}

impl<'k> Nested<'k> {
    /// For a context that has lent its heap.
    pub(crate) fn of(kernel: KernelRef<'k>) -> Self {
        Nested { kernel }
    }
}

impl<'k> Deref for Nested<'k> {
    type Target = KernelRef<'k>;
    fn deref(&self) -> &KernelRef<'k> {
        &self.kernel
    }
}

impl fmt::Debug for Nested<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kernel.fmt(f)
    }
}

impl AtOnce for Nested<'_> {
    fn core(&self) -> &Core {
        self.kernel.core
    }

    fn at_once<T>(&mut self, _what: &'static str, f: impl FnOnce(&Core) -> T) -> Result<T, Error> {
        Ok(f(self.kernel.core))
    }
}

impl AtOnce for &Kernel {
    fn core(&self) -> &Core {
        Kernel::core(self)
    }

    fn at_once<T>(&mut self, what: &'static str, f: impl FnOnce(&Core) -> T) -> Result<T, Error> {
        let core = Kernel::core(self);
        if core.busy.replace(true) {
            return Err(ErrorKind::Busy(what).into());
        }
        core.mark_stack();
        let runtime = core.runtime_outside();
        let _inside = runtime.as_ref().map(|runtime| runtime.enter());
        core.refresh_watching();
        let reset = Reset(core);
        let result = f(core);
        drop(reset);
        Ok(result)
    }
}

/// Takes the flag down also when the work panics.
struct Reset<'a>(&'a Core);

impl Drop for Reset<'_> {
    fn drop(&mut self) {
        self.0.busy.set(false);
        self.0.wake_host();
    }
}
