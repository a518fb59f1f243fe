//! The seam between the kernel and whatever kind of session it runs: `POE::Session`, `POE::NFA`, or one of a user's own.

use super::{Core, Kernel, Turn};
use crate::arg::AnyArg;
use crate::error::{Error, ErrorKind, Failure};
use crate::name::Name;

/// A kind of session, as the kernel sees it.
///
/// The kernel holds one `Rc<dyn Invoke>` per session and calls it with nothing of its own borrowed. A handler may run
/// while another one of the same session is still on the stack (a session that calls a session that calls it back).
///
/// ```
/// use poe::{AnyArg, Invoke, Invoked, Kernel, Name, Turn};
///
/// /// A session that counts whatever it is sent.
/// struct Counter(std::cell::Cell<u64>);
///
/// impl Invoke for Counter {
///     fn invoke(&self, turn: Turn<'_>, _arg: &mut AnyArg) -> Invoked {
///         self.0.set(self.0.get() + 1);
///         println!("{} was number {}", turn.event(), self.0.get());
///         turn.answer(AnyArg::new(self.0.get()));
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
#[doc(alias = "_invoke_state")]
pub trait Invoke: 'static {
    /// Runs the handler of `turn.event()`, which takes the argument out of its place ([`AnyArg::take`]) and leaves its
    /// answer by [`Turn::answer`]. A panic is caught by the kernel, and raised as `DIE` like a failure.
    fn invoke(&self, turn: Turn<'_>, arg: &mut AnyArg) -> Invoked;

    /// The names that have a handler, in any order: for introspection.
    fn event_names(&self) -> Vec<Name>;

    /// What a [`Snapshot`](crate::Snapshot) calls the session's heap; the type of session itself unless it says otherwise.
    fn heap_type(&self) -> &'static str {
        std::any::type_name::<Self>()
    }

    /// Octets of the heap, without what it points to.
    fn heap_size(&self) -> usize {
        size_of_val(self)
    }

    /// The session's options, in any order; none unless it has any.
    #[doc(alias = "option")]
    fn options(&self) -> Vec<(String, String)> {
        Vec::new()
    }

    /// Sets an option, or deletes it with `None`, and gives its old value; of no effect in a session without options.
    /// The kernel sets `default` in new sessions if it was built so
    /// ([`assert_states`](crate::KernelBuilder::assert_states)).
    #[doc(alias = "option")]
    fn set_option(&self, name: &str, value: Option<&str>) -> Option<String> {
        let _ = (name, value);
        None
    }
}

/// What came of invoking a handler.
#[derive(Debug)]
pub enum Invoked {
    /// It ran.
    Returned,
    /// There is none, nor a default; the argument was left in its place.
    Unhandled,
    /// It failed.
    Failed(Failure),
}

/// Who can run handlers at once: a [`Kernel`] while no handler runs, and a handler's
/// [`Context`](crate::Context), which lends its heap back for as long as the others run.
///
/// Creating, calling, detaching and stopping run handlers before they return, as in POE. A cloned `Kernel` cannot do
/// that from inside a handler, whose heap would be in the way: it gives an error then ([`Error::is_busy`]).
pub trait Caller: sealed::Caller {}

pub(crate) mod sealed {
    use super::{Core, Error};

    pub trait Caller {
        /// Runs `f` while every session's heap is in its place.
        #[doc(hidden)]
        fn at_once<T>(&mut self, what: &'static str, f: impl FnOnce(&Core) -> T) -> Result<T, Error>
        where
            Self: Sized;
    }
}

impl Caller for Kernel {}
impl Caller for &Kernel {}

impl sealed::Caller for Kernel {
    fn at_once<T>(&mut self, what: &'static str, f: impl FnOnce(&Core) -> T) -> Result<T, Error> {
        (&*self).at_once(what, f)
    }
}

impl sealed::Caller for &Kernel {
    fn at_once<T>(&mut self, what: &'static str, f: impl FnOnce(&Core) -> T) -> Result<T, Error> {
        let core = self.core();
        if core.busy.replace(true) {
            return Err(ErrorKind::Busy(what).into());
        }
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
