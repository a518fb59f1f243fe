//! The context itself: it takes the run state out of the machine, and puts it back.

use super::super::cell::NfaCell;
use crate::error::Error;
use crate::kernel::{AtOnce, Core, KernelRef};
use crate::session::context::Heap;
use std::fmt::{self, Debug};
use std::ops::Deref;

/// The first argument of a state machine's handler: the run state, the kernel, and the machine.
///
/// It derefs to [`KernelRef`], like a session's [`Context`](crate::Context). `S` is the type of the states, `R` the run
/// state. See [`Nfa`](crate::Nfa).
///
/// ```
/// use poe::{Event, Kernel, Machine, Nfa, event::SILENT};
/// const KNOCK: Event<&'static str> = Event::new("knock");
///
/// fn knock(cx: &mut Machine<'_, &'static str, Vec<String>>, who: &'static str) {
///     let state = cx.current_state().copied().unwrap_or("nowhere");
///     cx.runstate.push(format!("{who} knocks at the {state} door"));
///     if who == "anna" {
///         cx.yield_to("friend", ());
///     }
/// }
/// # tokio_test::block_on(async {
/// let kernel = Kernel::new();
/// let door = Nfa::builder(Vec::new())
///     .on(KNOCK, knock)
///     .state("shut", |s| s.on("friend", |cx, ()| cx.goto_state("open", KNOCK, "ben")))
///     .state("open", |s| {
///         s.on(KNOCK, |cx, who| {
///             knock(cx, who);
///             assert_eq!(*cx.runstate, ["anna knocks at the shut door", "ben knocks at the open door"]);
///         })
///     })
///     .start(&kernel)?;
/// door.goto_state(&kernel, "shut", SILENT, ())?;
/// kernel.post(door.id(), KNOCK, "anna")?;
/// kernel.run().await
/// # }).unwrap();
/// ```
#[doc(alias = "MACHINE")]
pub struct Machine<'k, S: 'static, R: 'static> {
    /// The data that the machine keeps through all its states.
    #[doc(alias = "RUNSTATE")]
    #[doc(alias = "get_runstate")]
    pub runstate: Heap<R>,
    /// The kernel, separate from the run state and `Copy`.
    #[doc(alias = "KERNEL")]
    pub kernel: KernelRef<'k>,
    pub(super) cell: &'k NfaCell<S, R>,
    /// The state in which the handler was found.
    pub(super) state: Option<usize>,
}

impl<'k, S, R> Machine<'k, S, R> {
    /// None while the run state is out.
    pub(in crate::session::nfa) fn enter(cell: &'k NfaCell<S, R>, kernel: KernelRef<'k>) -> Option<Self> {
        Some(Machine {
            runstate: Heap(Some(cell.runstate.take()?)),
            kernel,
            cell,
            state: cell.current.get(),
        })
    }
}

impl<S: 'static, R: 'static> Drop for Machine<'_, S, R> {
    /// Puts the run state back, also when the handler panics.
    fn drop(&mut self) {
        if let Some(runstate) = self.runstate.0.take() {
            self.cell.runstate.set(Some(runstate));
        }
    }
}

impl<'k, S, R> Deref for Machine<'k, S, R> {
    type Target = KernelRef<'k>;
    fn deref(&self) -> &KernelRef<'k> {
        &self.kernel
    }
}

impl<S, R> Debug for Machine<'_, S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kernel.fmt(f)
    }
}

impl<S: 'static, R: 'static> AtOnce for Machine<'_, S, R> {
    fn core(&self) -> &Core {
        self.kernel.core
    }

    fn at_once<T>(&mut self, _what: &'static str, f: impl FnOnce(&Core) -> T) -> Result<T, Error> {
        /// Takes the run state back, also when a handler of a call to oneself panics.
        struct Lent<'a, S: 'static, R: 'static>(&'a NfaCell<S, R>, &'a mut Option<Box<R>>);
        impl<S, R> Drop for Lent<'_, S, R> {
            fn drop(&mut self) {
                *self.1 = self.0.runstate.take();
            }
        }
        self.cell.runstate.set(self.runstate.0.take());
        let _lent = Lent(self.cell, &mut self.runstate.0);
        Ok(f(self.kernel.core))
    }
}
