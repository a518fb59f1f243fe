//! Signals: POE's own, through the tree of sessions, deepest first (laws L45 to L52).

mod dispatch;
mod raise;
mod watch;

pub(super) use raise::Raised;

use super::Die;
use crate::arg::AnyArg;
use crate::name::Name;
use std::rc::Rc;

/// The argument of a signal's event.
///
/// ```
/// use poe::{Event, Kernel, Session, Signal, event::{START, STOP}};
/// const ON_RELOAD: Event<Signal> = Event::new("on reload");
/// # tokio_test::block_on(async {
/// let kernel = Kernel::new();
/// let id = Session::builder(String::new())
///     .on(START, |cx, ()| cx.sig("reload", ON_RELOAD))
///     .on(ON_RELOAD, |cx, signal| {
///         assert_eq!(signal.name(), "reload");
///         *cx.heap = signal.arg::<String>().unwrap().clone();
///     })
///     .on(STOP, |cx, ()| assert_eq!(*cx.heap, "config.toml"))
///     .create(&kernel).unwrap();
/// kernel.signal(id, "reload", String::from("config.toml")).unwrap();
/// kernel.run().await.unwrap();
/// # });
/// ```
#[derive(Clone, Debug)]
pub struct Signal {
    name: Name,
    arg: Rc<AnyArg>,
    extra: Rc<AnyArg>,
}

/// ```
/// use poe::{Event, Kernel, Session, Signal, event::START};
/// const ON_SIGNAL: Event<Signal> = Event::new("on signal");
/// # tokio_test::block_on(async {
/// let kernel = Kernel::new();
/// Session::builder(())
///     .on(START, |cx, ()| {
///         cx.sig_with("DIE", ON_SIGNAL, "of the handlers");
///         cx.sig_with("CHLD", ON_SIGNAL, "of the processes");
///         panic!("on purpose");
///     })
///     .on(ON_SIGNAL, |cx, signal| {
///         // One handler for all: the name says which, what comes with it is of that signal's type.
///         assert_eq!((signal.name().as_str(), signal.extra::<&str>()), ("DIE", Some(&"of the handlers")));
///         assert_eq!(signal.die().unwrap().event, "_start");
///         assert!(signal.child().is_none());
///         assert!(signal.arg::<u32>().is_none());
///         cx.sig_handled();
///     })
///     .create(&kernel)?;
/// kernel.run().await
/// # }).unwrap();
/// ```
impl Signal {
    /// Returns the signal's name: `TERM`, `IDLE`, `DIE`, or a custom one.
    #[must_use]
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// Returns the argument that the signal was raised with, if it is an `A`.
    #[must_use]
    pub fn arg<A: 'static>(&self) -> Option<&A> {
        self.arg.downcast_ref()
    }

    /// Returns the value that the watcher gave to [`KernelRef::sig_with`](crate::KernelRef::sig_with), if it is an `A`.
    #[must_use]
    pub fn extra<A: 'static>(&self) -> Option<&A> {
        self.extra.downcast_ref()
    }

    /// Returns the child process that has ended, if this is a `CHLD` that says so.
    ///
    /// ```
    /// use poe::{Event, Kernel, Session, Signal, event::{START, STOP}};
    /// use std::process::Command;
    /// const ON_CHLD: Event<Signal> = Event::new("on CHLD");
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let kernel = Kernel::new();
    /// let child = Command::new("sh").args(["-c", "exit 3"]).spawn()?;
    /// Session::builder(Some(child))
    ///     .on(START, |cx, ()| {
    ///         cx.sig("CHLD", ON_CHLD);
    ///         cx.alias_set("watcher") // watching alone keeps no session alive
    ///     })
    ///     .on(ON_CHLD, |cx, signal| -> poe::HandlerResult {
    ///         let (mut child, exit) = (cx.heap.take().unwrap(), signal.child().unwrap());
    ///         assert_eq!(exit.pid, child.id());
    ///         assert_eq!(exit.status.unwrap().code(), Some(3));
    ///         assert_eq!(child.wait()?.code(), Some(3)); // not reaped: its owner does that
    ///         Ok(())
    ///     })
    ///     .on(STOP, |cx, ()| assert!(cx.heap.is_none()))
    ///     .create(&kernel)?;
    /// kernel.run().await?;
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(unix)]
    #[must_use]
    pub fn child(&self) -> Option<&super::ProcessExit> {
        self.arg()
    }

    /// Returns the record of the failed handler, if this is a `DIE`.
    #[must_use]
    pub fn die(&self) -> Option<&Die> {
        self.arg()
    }
}
