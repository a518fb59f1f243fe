//! Signals: POE's own, through the tree of sessions, deepest first (laws L45 to L52).

mod raise;

use super::{Die, KernelRef};
use crate::arg::AnyArg;
use crate::bridge::os_signals::SAFE;
use crate::error::drop_quietly;
use crate::event::Posts;
use crate::name::{HeldName, Name, signal_name};
use crate::resource::signals::Watcher;
use std::rc::Rc;

pub(super) use raise::Raised;

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

// Watching signals, and handling them.
impl KernelRef<'_> {
    /// Watches a signal: from now on it comes as an event. Watching does not keep the session alive (law L27).
    ///
    /// A session has one watcher for a signal; a later one replaces it.
    ///
    /// Any name is valid. A signal of the operating system ([`Kernel::safe_signals`](crate::Kernel::safe_signals):
    /// `INT`, `USR1` …) is received from the first watcher in the process to the last, and goes to all sessions, as if
    /// it were sent to the kernel (law L53). It has one name, with or without `SIG` (`USR1` and `SIGUSR1` are the same
    /// signal, and [`Signal::name`] is `USR1`). Case counts: `usr1` is a custom signal, which the system never sends.
    ///
    /// Equal signals of the system that come close together are one, and none is received on virtual time. A signal that the
    /// process ignores from its start, such as `HUP` under `nohup` or `INT` in a background job, is received like any other.
    ///
    /// After the last watcher is gone the signal has its earlier effect: its default action, none if it was ignored, or
    /// another handler of the process. For exceptions see
    /// [`KernelBuilder::keep_signal_handlers`](crate::KernelBuilder::keep_signal_handlers). The earlier effect is known
    /// on Linux only; elsewhere it counts as the default action. The default action of `IO` is not restored.
    ///
    /// `CHLD` comes once for each child process that ends, with a `ProcessExit` in [`Signal::arg`], whichever code
    /// started it; this does not reap the child. (Where the system does not list its children, which is everywhere but
    /// on Linux, only those of `sig_child` are reported, and for others it comes without an argument.) A child may be
    /// reaped by its owner before it can be reported.
    ///
    /// ```
    /// use poe::{Event, Kernel, Session, Signal, event::START};
    /// const ON_INT: Event<Signal> = Event::new("on int");
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), poe::Error> {
    /// let kernel = Kernel::new();
    /// Session::builder(())
    ///     .on(START, |cx, ()| {
    ///         cx.sig("INT", ON_INT);
    ///         cx.alias_set("server")
    ///     })
    ///     .on(ON_INT, |cx, _| {
    ///         println!("interrupted: a last word");
    ///         // Not handled: INT is terminal, and every session stops.
    ///         let _ = cx;
    ///     })
    ///     .create(&kernel)?;
    /// # kernel.signal(kernel.id(), "INT", ()).unwrap();
    /// kernel.run().await
    /// # }
    /// ```
    ///
    /// # Panics
    /// For a signal of the system, in a Tokio runtime without its I/O driver.
    #[doc(alias = "trap")]
    #[doc(alias = "ctrl_c")]
    #[doc(alias = "signal handler")]
    pub fn sig(self, signal: &str, event: impl Posts<Signal>) {
        self.sig_with(signal, event, ());
    }

    /// Watches a signal with an extra value, which each event carries as [`Signal::extra`].
    ///
    /// ```
    /// use poe::{Event, Kernel, Session, Signal, event::{START, STOP}};
    /// const ON_SIGNAL: Event<Signal> = Event::new("on signal");
    /// # tokio_test::block_on(async {
    /// let kernel = Kernel::new();
    /// let id = Session::builder(Vec::new())
    ///     .on(START, |cx, ()| {
    ///         cx.sig_with("reload", ON_SIGNAL, "app.toml");
    ///         cx.sig_with("rotate", ON_SIGNAL, "app.log");
    ///     })
    ///     .on(ON_SIGNAL, |cx, signal| cx.heap.extend(signal.extra::<&str>().copied()))
    ///     .on(STOP, |cx, ()| assert_eq!(*cx.heap, ["app.log", "app.toml"]))
    ///     .create(&kernel)?;
    /// kernel.signal(id, "rotate", ())?;
    /// kernel.signal(id, "reload", ())?;
    /// kernel.run().await
    /// # }).unwrap();
    /// ```
    #[doc(alias = "sig")]
    pub fn sig_with<X: 'static>(self, signal: &str, event: impl Posts<Signal>, extra: X) {
        if let Some(slot) = self.slot() {
            let watcher = Watcher {
                event: HeldName::new(event.key()),
                extra: Rc::new(AnyArg::new(extra)),
            };
            let signal = signal_name(signal);
            let session = self.frame.session;
            tell_of_lookalike(signal);
            tracing::trace!(target: "poe::signals", signal, %session, event = event.key().as_str(), "watched");
            let old = self.core.signals.borrow_mut().watch(slot, signal, watcher);
            drop_quietly(old);
            self.core.listen(self.frame.session, signal);
        }
    }

    /// Stops watching a signal; no effect if it was not watched.
    ///
    /// ```
    /// use poe::{Event, Kernel, Session, Signal, event::{START, STOP}};
    /// const ON_RELOAD: Event<Signal> = Event::new("on reload");
    /// # tokio_test::block_on(async {
    /// let kernel = Kernel::new();
    /// let id = Session::builder(0)
    ///     .on(START, |cx, ()| cx.sig("reload", ON_RELOAD))
    ///     .on(ON_RELOAD, |cx, _| {
    ///         *cx.heap += 1;
    ///         cx.sig_ignore("reload");
    ///     })
    ///     .on(STOP, |cx, ()| assert_eq!(*cx.heap, 1))
    ///     .create(&kernel)?;
    /// kernel.signal(id, "reload", ())?;
    /// kernel.signal(id, "reload", ())?; // finds no watcher any more
    /// kernel.run().await
    /// # }).unwrap();
    /// ```
    #[doc(alias = "sig")]
    pub fn sig_ignore(self, signal: &str) {
        if let Some(slot) = self.slot() {
            let (signal, session) = (signal_name(signal), self.frame.session);
            tracing::trace!(target: "poe::signals", signal, %session, "ignored");
            let old = self.core.signals.borrow_mut().ignore(slot, signal);
            self.core.settle_listeners();
            drop_quietly(old);
        }
    }

    /// Marks the signal that is being dispatched as handled, so that a terminal one stops no session.
    ///
    /// It has no effect outside a dispatch, so not in an event that a signal's handler posted (law L50).
    ///
    /// ```
    /// use poe::{Event, Session, Signal, event::{START, STOP}};
    /// const ON_TERM: Event<Signal> = Event::new("on TERM");
    /// # tokio_test::block_on(async { tokio::time::pause();
    /// let kernel = poe::testing::kernel();
    /// let server = Session::builder(Vec::new())
    ///     .on(START, |cx, ()| {
    ///         cx.sig("TERM", ON_TERM);
    ///         cx.delay("work", 3600.0, ());
    ///     })
    ///     .on(ON_TERM, |cx, _| {
    ///         cx.heap.push("goodbye");
    ///         cx.sig_handled(); // it ends when it likes
    ///         cx.delay("work", 1.0, ());
    ///     })
    ///     .on("work", |cx, ()| cx.heap.push("the last piece"))
    ///     .on(STOP, |cx, ()| assert_eq!(*cx.heap, ["goodbye", "the last piece"]))
    ///     .create(&kernel)?;
    /// kernel.signal(server, "TERM", ())?;
    /// kernel.run().await
    /// # }).unwrap();
    /// ```
    pub fn sig_handled(self) {
        if let Some(count) = self.core.handled.get() {
            self.core.handled.set(Some(count + 1));
        }
    }
}

/// Case counts in names of signals; a program that overlooks this waits for a signal that never comes.
fn tell_of_lookalike(signal: &str) {
    if tracing::enabled!(target: "poe::signals", tracing::Level::DEBUG) {
        let upper = signal.to_uppercase();
        let name = signal_name(&upper);
        if name != signal && SAFE.contains(&name) {
            tracing::debug!(target: "poe::signals", signal, "a signal of the program's own is watched; the system's is {name}");
        }
    }
}
