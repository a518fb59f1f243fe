//! Signals: POE's own, through the tree of sessions, deepest first (laws L45 to L52).

use super::dispatch::discard;
use super::{Core, Die, Kernel, Target, Turn};
use crate::arg::AnyArg;
use crate::error::{PostError, PostErrorKind, drop_each_quietly, drop_quietly};
use crate::event::Posts;
use crate::name::{HeldName, Name, NameIdx};
use crate::resource::sessions::KERNEL;
use crate::resource::signals::{SignalClass, Watcher};
use std::panic::Location;
use std::rc::Rc;

/// What a signal's watcher is given.
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
    /// The signal's name: `TERM`, `IDLE`, `DIE`, one of your own.
    #[must_use]
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// What the signal was raised with, if it is an `A`.
    #[must_use]
    pub fn arg<A: 'static>(&self) -> Option<&A> {
        self.arg.downcast_ref()
    }

    /// What the watcher gave to [`Turn::sig_with`], if it is an `A`.
    #[must_use]
    pub fn extra<A: 'static>(&self) -> Option<&A> {
        self.extra.downcast_ref()
    }

    /// Which child process has ended, if this is a `CHLD` that tells.
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
    ///         cx.alias_set("watcher") // watching alone keeps no session
    ///     })
    ///     .on(ON_CHLD, |cx, signal| -> poe::Handled {
    ///         let (mut child, exit) = (cx.heap.take().unwrap(), signal.child().unwrap());
    ///         assert_eq!(exit.pid, child.id());
    ///         assert_eq!(exit.status.unwrap().code(), Some(3));
    ///         assert_eq!(child.wait()?.code(), Some(3)); // not reaped: that is its owner's as ever
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
    pub fn child(&self) -> Option<&super::ChildExit> {
        self.arg()
    }

    /// The record of a failed handler, if this is a `DIE`.
    #[must_use]
    pub fn die(&self) -> Option<&Die> {
        self.arg()
    }
}

/// CLD is an older name of CHLD (decision D14: with POE it names nothing).
fn by_one_name(signal: &str) -> &str {
    if signal == "CLD" { "CHLD" } else { signal }
}

/// A signal on its way through the queue.
pub(super) struct Raised {
    pub(super) name: Name,
    pub(super) arg: Rc<AnyArg>,
}

impl Core {
    fn raise_signal(&self, to: u32, signal: &str, arg: AnyArg, place: &'static Location<'static>) {
        let raised = Raised {
            name: Name::from(by_one_name(signal)),
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

    /// A signal that the kernel itself sends, as IDLE and ZOMBIE, or that has come from the system.
    #[track_caller]
    pub(super) fn kernel_signal(&self, to: u32, signal: &'static str, arg: AnyArg) {
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

    /// Takes a signal to its target and all below it, the deepest generation first, and then stops whom its class and
    /// the handlers' word condemn.
    pub(super) fn dispatch_signal(&self, target: u32, caller: NameIdx, arg: AnyArg, place: &'static Location<'static>) {
        let Ok(Raised { name: signal, arg }) = arg.downcast::<Raised>() else {
            // Nobody but the kernel can register for `_signal`, so an event that only has its name finds no handler.
            return;
        };
        let is_die = signal == "DIE";
        let to = self.sessions.borrow().id(target);
        tracing::trace!(target: "poe::signals", %signal, %to, "dispatch");
        // In the order in which they are visited. Siblings: the youngest first.
        let touched: Vec<_> = {
            let sessions = self.sessions.borrow();
            let mut found = vec![target];
            let mut at = 0;
            while let Some(slot) = found.get(at) {
                let children: Vec<u32> = sessions.children(*slot).collect();
                found.extend(children);
                at += 1;
            }
            found.reverse();
            if is_die {
                let mut ancestor = sessions.parent(target);
                while let Some(slot) = ancestor.filter(|s| *s != KERNEL) {
                    found.push(slot);
                    ancestor = sessions.parent(slot);
                }
            }
            found.into_iter().map(|s| sessions.id(s)).collect()
        };
        let watchers = self.signals.borrow().watchers(&signal);
        let outer = self.handled.replace(Some(0));
        for id in &touched {
            if id.is_kernel() {
                self.kernel_watches(&signal);
                continue;
            }
            // Gone, if a watcher before it stopped it (decision D18).
            let Some(slot) = self.sessions.borrow().resolve(*id) else {
                continue;
            };
            let Some(watcher) = watchers.get(&slot) else { continue };
            tracing::trace!(target: "poe::signals", %signal, session = %id, event = %watcher.event.name(), "delivered");
            let given = Signal {
                name: signal.clone(),
                arg: arg.clone(),
                extra: watcher.extra.clone(),
            };
            let answer = self.dispatch_to(
                slot,
                self.id(),
                watcher.event.idx(),
                caller,
                AnyArg::new(given),
                place,
                is_die,
            );
            if let Some(mut value) = answer {
                discard(&mut value);
            }
        }
        let handled = self.handled.replace(outer).unwrap_or(0);
        let condemned = match SignalClass::of(&signal) {
            SignalClass::NonMaskable => true,
            SignalClass::Terminal => handled == 0,
            SignalClass::Benign => false,
        };
        if condemned {
            for id in touched {
                tracing::trace!(target: "poe::signals", %signal, session = %id, "stops");
                if id.is_kernel() {
                    self.stop_kernel();
                    continue;
                }
                let slot = self.sessions.borrow().resolve(id);
                if let Some(slot) = slot {
                    self.stop_session(slot);
                }
            }
        }
        if is_die
            && handled == 0
            && let Some(die) = arg.downcast_ref::<Die>()
        {
            self.fail_unhandled(die);
        }
        // Their last owners may be here, and their drops may panic.
        drop_each_quietly(watchers);
        drop_quietly(arg);
    }

    /// The kernel is the last that IDLE visits: if nobody has found anything to do by then, it is the turn of ZOMBIE.
    fn kernel_watches(&self, signal: &str) {
        if signal == "IDLE" && self.run.idle_watch.get() && self.queue.borrow().len() == 0 && self.tasks.count() == 0 {
            self.kernel_signal(KERNEL, "ZOMBIE", AnyArg::UNIT);
        }
    }

    /// A terminal signal reached the kernel itself: the run is over, and whatever waited is lost. A session that another's
    /// `_stop` has just made is the kernel's child now and goes on (law L35), so the run does.
    fn stop_kernel(&self) {
        if self.sessions.borrow().count() > 0 {
            return;
        }
        self.run.over.set(true);
        let events = self.queue.borrow_mut().drain();
        for entry in &events {
            self.release_ends(entry.to, entry.from);
            self.names.release(entry.name);
            self.names.release(entry.caller);
        }
        drop_each_quietly(events);
    }
}

impl Turn<'_> {
    /// Watches a signal: from now on it comes as an event. A session has one watcher for a signal; a later one replaces
    /// it. Watching does not keep the session alive (law L27).
    ///
    /// Any name will do. One of the operating system's ([`Kernel::safe_signals`]: `INT`, `USR1` …) is listened for from
    /// the first watcher to the last, and is for everybody, as if it was sent to the kernel (law L53). Three things are
    /// Tokio's way and not POE's: equal signals that come close together are one; once listened for, a signal is ignored,
    /// and not the end of the process, when nobody watches it any more; and nothing is listened for on virtual time.
    ///
    /// `CHLD` comes once for each child process that ends, with a `ChildExit` in [`Signal::arg`], whoever
    /// started it; it is not reaped by that. (Where the system does not list its children, that is elsewhere than on
    /// Linux, only those of `sig_child` are told of, and for others it comes without an argument.) A child whose owner
    /// is waiting for it may be gone before it can be told of.
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
    pub fn sig(self, signal: &str, event: impl Posts<Signal>) {
        self.sig_with(signal, event, ());
    }

    /// The same with an argument of the watcher's own, which each event carries as [`Signal::extra`].
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
            let signal = by_one_name(signal);
            let session = self.frame.session;
            tracing::trace!(target: "poe::signals", signal, %session, event = event.key().as_str(), "watched");
            let old = self.core.signals.borrow_mut().watch(slot, signal, watcher);
            drop_quietly(old);
            self.core.listen(self.frame.session, signal);
        }
    }

    /// Watches a signal no longer; harmless if it was not watched.
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
            let session = self.frame.session;
            tracing::trace!(target: "poe::signals", signal, %session, "ignored");
            let old = self.core.signals.borrow_mut().ignore(slot, by_one_name(signal));
            self.core.settle_listeners();
            drop_quietly(old);
        }
    }

    /// Marks the signal that is being dispatched as handled, so that a terminal one stops nobody. No effect outside a
    /// dispatch, so not in an event that a signal's handler only posted (law L50).
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

    /// Queues a signal for a session and all below it; to the kernel, for everybody (law L45).
    ///
    /// # Errors
    /// [`PostError`] with the argument, when the target is not there.
    ///
    /// ```
    /// use poe::{Event, Kernel, Session, Signal, event::{START, STOP}};
    /// const ON_NEWS: Event<Signal> = Event::new("on news");
    /// # tokio_test::block_on(async {
    /// let kernel = Kernel::new();
    /// Session::builder(())
    ///     .on(START, |cx, ()| -> poe::Handled {
    ///         let child = Session::builder(0)
    ///             .on(START, |cx, ()| cx.sig("news", ON_NEWS))
    ///             .on(ON_NEWS, |cx, signal| *cx.heap += signal.arg::<u32>().unwrap())
    ///             .on(STOP, |cx, ()| assert_eq!(*cx.heap, 3));
    ///         child.create_in(cx)?;
    ///         cx.signal(cx.session_id(), "news", 1_u32)?; // for this session and the child
    ///         cx.signal(cx.kernel_id(), "news", 2_u32)?; // for everybody
    ///         assert_eq!(cx.signal("nobody", "news", 4_u32).unwrap_err().into_arg(), 4);
    ///         Ok(())
    ///     })
    ///     .create(&kernel)?;
    /// kernel.run().await
    /// # }).unwrap();
    /// ```
    #[track_caller]
    pub fn signal<'t, A: 'static>(
        self,
        target: impl Into<Target<'t>>,
        signal: &str,
        arg: A,
    ) -> Result<(), PostError<A>> {
        let raised = signal_from(self.core, target.into(), signal, arg, Location::caller());
        self.core.told("signal", raised)
    }
}

impl Kernel {
    /// Queues a signal for a session and all below it; to [`Kernel::id`], for everybody.
    ///
    /// # Errors
    /// [`PostError`] with the argument, when the target is not there.
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
    /// kernel.signal(kernel.id(), "TERM", ())?; // for everybody: nobody handles it, and all is over
    /// kernel.run().await
    /// # }).unwrap();
    /// ```
    #[track_caller]
    pub fn signal<'t, A: 'static>(
        &self,
        target: impl Into<Target<'t>>,
        signal: &str,
        arg: A,
    ) -> Result<(), PostError<A>> {
        let core = self.core();
        let raised = signal_from(core, target.into(), signal, arg, Location::caller());
        core.told("signal", raised)
    }
}

pub(super) fn signal_from<A: 'static>(
    core: &Core,
    target: Target<'_>,
    signal: &str,
    arg: A,
    place: &'static Location<'static>,
) -> Result<(), PostError<A>> {
    match core.resolve(&target) {
        Some(to) => {
            core.raise_signal(to, signal, AnyArg::new(arg), place);
            Ok(())
        }
        None => Err(PostError::new(
            signal,
            PostErrorKind::NoSuchSession(target.wanted()),
            arg,
        )),
    }
}
