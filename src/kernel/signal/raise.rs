//! Raising signals: each is an event of the kernel until it is dispatched.

use super::super::die::DieVisit;
use super::super::dispatch::discard;
use super::super::spans::Cause;
use super::super::{Core, Die, Kernel, KernelRef, Target};
use super::Signal;
use crate::arg::AnyArg;
use crate::error::{OnFailure, PostError, PostErrorKind, drop_each_quietly, drop_quietly};
use crate::id::{Place, SessionId};
use crate::name::{Key, Name, NameIdx, signal_name};
use crate::resource::sessions::KERNEL;
use crate::resource::signals::{KERNEL_SHUTDOWN, SignalClass};
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
    pub(in crate::kernel) fn enqueue_sent_signal(
        &self,
        to: u32,
        signal: &str,
        arg: AnyArg,
        place: Place,
        sent: u64,
        cause: Cause,
    ) {
        let raised = Raised {
            name: Name::from(signal_name(signal)),
            arg: Rc::new(arg),
        };
        self.enqueue_sent(to, Key::SIGNAL, NameIdx::NONE, AnyArg::new(raised), place, sent, cause);
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

// A signal's way through the tree of sessions, and the sessions that it stops at its end.
impl Core {
    /// Takes a signal to its target and all below it, the deepest generation first, and then stops the sessions that its class and
    /// the handlers' word condemn.
    pub(crate) fn dispatch_signal(&self, target: u32, caller: NameIdx, arg: AnyArg, place: Place) {
        let Ok(Raised { name: signal, arg }) = arg.downcast::<Raised>() else {
            // Nobody but the kernel can register for `_signal`, so an event that only has its name finds no handler.
            return;
        };
        let is_die = signal == "DIE";
        let to = self.sessions.borrow().id(target);
        tracing::trace!(target: "poe::signals", %signal, %to, "dispatch");
        let mut touched = self.tree_of(target);
        if signal == KERNEL_SHUTDOWN {
            self.leave_to_supervisors(&mut touched);
        }
        let below = touched.len();
        let policy = if is_die && target != KERNEL {
            self.policy_of(to)
        } else {
            OnFailure::StopKernel
        };
        if is_die {
            let sessions = self.sessions.borrow();
            let mut ancestor = sessions.parent(target);
            while let Some(slot) = ancestor.filter(|s| *s != KERNEL) {
                touched.push(sessions.id(slot));
                ancestor = sessions.parent(slot);
            }
        }
        // A DIE that a program sends without a record of a failure is a signal like others, whose handlers may fail.
        let of_failure = is_die && arg.downcast_ref::<Die>().is_some();
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
                of_failure,
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
        if is_die {
            let visit = DieVisit {
                target: to,
                policy,
                touched: &touched,
                below,
            };
            self.end_of_die(&visit, arg.downcast_ref(), handled > 0);
        } else if condemned {
            self.stop_touched(&signal, None, to, &touched);
        }
        // Their last owners may be here, and their drops may panic.
        drop_each_quietly(watchers);
        drop_quietly(arg);
    }

    /// A session and all below it, in the order in which a signal visits them: the deepest generation first, of siblings the
    /// youngest, the session itself last.
    pub(in crate::kernel) fn tree_of(&self, target: u32) -> Vec<SessionId> {
        let sessions = self.sessions.borrow();
        let mut found = vec![target];
        let mut at = 0;
        while let Some(slot) = found.get(at) {
            let children: Vec<u32> = sessions.children(*slot).collect();
            found.extend(children);
            at += 1;
        }
        found.into_iter().rev().map(|slot| sessions.id(slot)).collect()
    }

    /// Stops the sessions that a signal has visited, if they still exist; a DIE, because of this failure.
    ///
    /// Their heaps are dropped when all have been stopped, the target's last: POE has the sessions in its lists until then. What a
    /// heap holds keeps others alive, so this decides in which order those are collected.
    pub(in crate::kernel) fn stop_touched(
        &self,
        signal: &str,
        die: Option<&Die>,
        target: SessionId,
        touched: &[SessionId],
    ) {
        let noted = self.ending(signal, die, touched);
        let objects: Vec<_> = {
            let sessions = self.sessions.borrow();
            let others = touched.iter().filter(|id| **id != target);
            others
                .chain([&target])
                .filter_map(|id| sessions.object_of(*id))
                .collect()
        };
        for id in touched {
            tracing::trace!(target: "poe::signals", %signal, session = %id, "stops");
            if id.is_kernel() {
                self.stop_kernel();
                continue;
            }
            let slot = self.sessions.borrow().resolve(*id);
            if let Some(slot) = slot {
                self.stop_session(slot);
            }
        }
        drop_each_quietly(objects);
        self.ended(noted);
    }

    /// The kernel is the last that IDLE visits: if nobody has found anything to do by then, it is the turn of ZOMBIE.
    fn kernel_watches(&self, signal: &str) {
        if signal == "IDLE" && self.run.idle_watch.get() && self.queue().len() == 0 && self.tasks.count() == 0 {
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
        self.discard_queue();
    }

    /// Drops the events that are queued for the kernel itself when a run ends without sessions, so that a later run begins with an empty
    /// queue (as POE's `_finalize_kernel` does).
    pub(in crate::kernel) fn discard_queue(&self) {
        let events = self.queue_mut().drain();
        self.tell_purged(&events, KERNEL);
        for entry in &events {
            self.release_entry(entry.to, entry.from, entry.name, entry.caller);
        }
        drop_each_quietly(events);
    }
}
