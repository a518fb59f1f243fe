//! The context of a running handler: its heap, its view of the kernel, and the methods that run other handlers at once.

use super::postback::IntoReply;
use super::states::{Handler, Options, States, TableSlot, erase};
use super::then::ContextThen;
use crate::arg::AnyArg;
use crate::error::{Error, Failure, quietly};
use crate::event::{Calls, EventName, Unhandled};
use crate::kernel::{AtOnce, Core, Invoke, Invoked, KernelRef};
use crate::name::{Name, NameIdx};
use std::cell::{RefCell, RefMut};
use std::fmt;
use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};

/// A session as the kernel holds it: its heap, while no handler has it, and its table.
pub(super) struct SessionCell<H: 'static, X: 'static> {
    heap: HeapCell<H>,
    /// What a component keeps beside the heap; shared by all contexts of the session, so it is never taken out.
    component: X,
    pub(super) table: TableSlot<Handler<H, X>>,
    pub(super) options: Options,
}

impl<H, X> SessionCell<H, X> {
    pub(super) fn new(heap: H, component: X, states: States<H, X>, options: Options) -> Self {
        SessionCell {
            heap: HeapCell::new(heap),
            component,
            table: TableSlot::new(states.table),
            options,
        }
    }
}

/// The place of a heap, borrowed while a handler's context has it.
pub(super) struct HeapCell<H>(RefCell<Option<H>>);

impl<H> HeapCell<H> {
    pub(super) fn new(heap: H) -> Self {
        HeapCell(RefCell::new(Some(heap)))
    }

    /// Borrows the heap; `None` if it is borrowed.
    #[inline(always)]
    pub(super) fn lend(&self) -> Option<RefMut<'_, H>> {
        RefMut::filter_map(self.0.try_borrow_mut().ok()?, Option::as_mut).ok()
    }

    /// Drops the heap by itself: its drop may panic, and so may those of a session's other parts.
    pub(super) fn clear(&mut self) {
        let heap = self.0.get_mut();
        if std::mem::needs_drop::<H>() && heap.is_some() {
            quietly("a value panicked while it was dropped", || *heap = None);
        }
    }
}

impl<H> Drop for HeapCell<H> {
    fn drop(&mut self) {
        self.clear();
    }
}

impl<H: 'static, X: 'static> SessionCell<H, X> {
    /// Gives a continuation the heap for as long as it runs.
    pub(super) fn enter_once(
        &self,
        kernel: KernelRef<'_>,
        then: impl FnOnce(&mut Context<'_, H, X>) -> Invoked,
    ) -> Invoked {
        match Context::enter(self, kernel) {
            Some(mut cx) => then(&mut cx),
            None => heap_in_use(),
        }
    }

    /// An event whose handler is not where the hint says, if there is one.
    #[inline(never)]
    fn invoke_searching(&self, kernel: KernelRef<'_>, arg: &mut AnyArg) -> Invoked {
        if self.options.are_usual() {
            let _settles = Settles(self);
            let table = self.table.borrow();
            if let Some(handler) = table.find(kernel.frame.event.get()) {
                return handler(kernel, arg, self);
            }
        }
        self.invoke_otherwise(kernel, arg)
    }

    /// The long way: a session that is traced, an event that no handler is for, a table that a running handler has changed.
    #[cold]
    #[inline(never)]
    fn invoke_otherwise(&self, kernel: KernelRef<'_>, arg: &mut AnyArg) -> Invoked {
        self.settle();
        let table = self.table.get();
        let flags = self.options.flags();
        if flags.trace {
            let (session, place) = (kernel.session_id(), kernel.caller_place());
            tracing::info!(target: "poe::sessions", "{session} -> {} (from {place})", kernel.event());
        }
        if let Some(handler) = table.find(kernel.frame.event.get()) {
            return handler(kernel, arg, self);
        }
        if kernel.frame.event.get() == NameIdx::THEN
            && let Some(then) = arg.take::<ContextThen<H, X>>()
        {
            return self.enter_once(kernel, then.into_inner());
        }
        let Some(handler) = table.find(NameIdx::DEFAULT) else {
            if flags.default {
                warn_of_unhandled(kernel);
            }
            return Invoked::Unhandled;
        };
        if flags.trace {
            tracing::info!(target: "poe::sessions", "{} -> {} redirected to _default", kernel.session_id(), kernel.event());
        }
        let given = std::mem::take(arg);
        *arg = AnyArg::new(Unhandled {
            event: kernel.event(),
            arg: given,
        });
        kernel.frame.event.set(NameIdx::DEFAULT);
        handler(kernel, arg, self)
    }

    /// A table that handlers have changed takes its place, unless one of them is still running.
    #[cold]
    #[inline(never)]
    fn settle(&self) {
        if self.table.settle() {
            self.options.set_changed(false);
        }
    }
}

/// What follows a handler, also one that panics: a table that it has changed takes its place, and the old one is dropped.
struct Settles<'a, H: 'static, X: 'static>(&'a SessionCell<H, X>);

impl<H: 'static, X: 'static> Drop for Settles<'_, H, X> {
    #[inline(always)]
    fn drop(&mut self) {
        if !self.0.options.are_usual() {
            self.0.settle();
        }
    }
}

#[cold]
#[inline(never)]
pub(super) fn heap_in_use() -> Invoked {
    Invoked::Failed(Failure::msg("the session's heap is in use further up the stack"))
}

impl<H: 'static, X: 'static> Invoke for SessionCell<H, X> {
    #[inline]
    fn invoke(&self, kernel: KernelRef<'_>, arg: &mut AnyArg) -> Invoked {
        if self.options.are_usual() {
            // Dropped in the reverse order: the table is not borrowed any more when it is settled.
            let _settles = Settles(self);
            let table = self.table.borrow();
            if let Some(handler) = table.hinted(kernel.frame.event.get()) {
                return handler(kernel, arg, self);
            }
        }
        self.invoke_searching(kernel, arg)
    }

    fn event_names(&self) -> Vec<Name> {
        self.table.get().event_names()
    }

    fn heap_type(&self) -> &'static str {
        std::any::type_name::<H>()
    }

    fn heap_size(&self) -> usize {
        size_of::<H>() + size_of::<X>()
    }

    fn options(&self) -> Vec<(String, String)> {
        self.options.all()
    }

    fn set_option(&self, name: &str, value: Option<&str>) -> Option<String> {
        self.options.set(name, value)
    }
}

#[cold]
fn warn_of_unhandled(kernel: KernelRef<'_>) {
    tracing::warn!(
        target: "poe::sessions",
        "event `{}` was sent from {} to session {}, which has neither a handler for it nor a _default",
        kernel.event(),
        kernel.caller_place(),
        kernel.session_id()
    );
}

/// The first argument of a handler: its session's heap, and the kernel.
///
/// It derefs to [`KernelRef`], which has `cx.post(..)`, `cx.yield_to(..)`, `cx.delay_set(..)` and all other operations
/// that do not run a handler. The methods here run handlers before they return. The heap is back in the session
/// meanwhile, so these handlers may belong to the same session.
///
/// `H` is the type of your heap, also in the callbacks of components. `X` is the data of a component beside it: `()` in
/// your own sessions, [`Client`](crate::component::Client) in those of a [`TcpServer`](crate::component::TcpServer)'s
/// clients. Methods such as `cx.client()` come with it.
///
/// ```
/// use poe::{Event, Kernel, Reply, Session, event::START};
/// const TOTAL: Event<(), u64> = Event::new("total");
/// # tokio_test::block_on(async {
/// let kernel = Kernel::new();
/// Session::builder(41_u64)
///     .on(START, |cx, ()| -> poe::HandlerResult {
///         *cx.heap += 1;
///         let me = cx.session_id();
///         assert_eq!(cx.call(me, TOTAL, ())?, 42);
///         Ok(())
///     })
///     .on(TOTAL, |cx, ()| Reply(*cx.heap))
///     .create(&kernel)?;
/// kernel.run().await
/// # }).unwrap();
/// ```
#[doc(alias = "actor context")]
#[doc(alias = "ctx")]
pub struct Context<'k, H: 'static, X: 'static = ()> {
    /// The session's heap.
    #[doc(alias = "HEAP")]
    pub heap: Heap<'k, H>,
    /// The kernel, separate from the heap and `Copy`.
    #[doc(alias = "KERNEL")]
    pub kernel: KernelRef<'k>,
    cell: &'k SessionCell<H, X>,
}

/// A session's heap, lent to its running handler; derefs to it.
///
/// ```
/// use poe::{Kernel, Session, event::START};
/// fn add(scores: &mut Vec<u32>, score: u32) {
///     scores.push(score);
/// }
/// # tokio_test::block_on(async {
/// let kernel = Kernel::new();
/// Session::builder(vec![7])
///     .on(START, |cx, ()| {
///         add(&mut cx.heap, 8); // as the thing itself
///         let kernel = cx.kernel; // apart from the heap, which may stay borrowed
///         for score in cx.heap.iter() {
///             kernel.yield_to("score", *score);
///         }
///         assert_eq!(std::mem::take(&mut *cx.heap), [7, 8]);
///     })
///     .on("score", |cx, score: u32| {
///         assert!(cx.heap.is_empty());
///         println!("{score}");
///     })
///     .create(&kernel)?;
/// kernel.run().await
/// # }).unwrap();
/// ```
pub struct Heap<'k, H>(Option<RefMut<'k, H>>);

impl<'k, H> Heap<'k, H> {
    /// Takes the heap for as long as a handler runs; `None` if it is taken further up the stack.
    #[inline(always)]
    pub(super) fn enter(cell: &'k HeapCell<H>) -> Option<Self> {
        Some(Heap(Some(cell.lend()?)))
    }

    /// Runs `f` while the heap is back in its place.
    #[inline(always)]
    pub(super) fn lent<T>(&mut self, cell: &'k HeapCell<H>, f: impl FnOnce() -> T) -> T {
        /// Takes the heap again, also when a handler of a call to oneself panics.
        struct Lent<'a, 'k, H>(&'k HeapCell<H>, &'a mut Option<RefMut<'k, H>>);
        impl<H> Drop for Lent<'_, '_, H> {
            #[inline(always)]
            fn drop(&mut self) {
                // What it replaces is nothing, because the heap was lent.
                let _nothing = ManuallyDrop::new(std::mem::replace(self.1, self.0.lend()));
            }
        }
        drop(self.0.take());
        let _lent = Lent(cell, &mut self.0);
        f()
    }
}

impl<H> Deref for Heap<'_, H> {
    type Target = H;
    #[inline]
    fn deref(&self) -> &H {
        match &self.0 {
            Some(heap) => heap,
            None => lent(),
        }
    }
}

impl<H> DerefMut for Heap<'_, H> {
    #[inline]
    fn deref_mut(&mut self) -> &mut H {
        match &mut self.0 {
            Some(heap) => heap,
            None => lent(),
        }
    }
}

/// A context is borrowed for as long as its heap is lent, so nobody can look at it then.
#[cold]
fn lent() -> ! {
    unreachable!("the heap is lent to another handler of the session")
}

impl<H: fmt::Debug> fmt::Debug for Heap<'_, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<H: fmt::Display> fmt::Display for Heap<'_, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<'k, H: 'static, X: 'static> Context<'k, H, X> {
    /// Takes the heap for as long as a handler runs; `None` if it is taken further up the stack.
    #[inline(always)]
    pub(super) fn enter(cell: &'k SessionCell<H, X>, kernel: KernelRef<'k>) -> Option<Self> {
        Some(Context {
            heap: Heap::enter(&cell.heap)?,
            kernel,
            cell,
        })
    }
}

impl<'k, H, X> Deref for Context<'k, H, X> {
    type Target = KernelRef<'k>;
    #[inline]
    fn deref(&self) -> &KernelRef<'k> {
        &self.kernel
    }
}

impl<H, X> fmt::Debug for Context<'_, H, X> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kernel.fmt(f)
    }
}

impl<H: 'static, X: 'static> AtOnce for Context<'_, H, X> {
    #[inline]
    fn core(&self) -> &Core {
        self.kernel.core
    }

    #[inline(always)]
    fn at_once<T>(&mut self, _what: &'static str, f: impl FnOnce(&Core) -> T) -> Result<T, Error> {
        let (cell, core) = (self.cell, self.kernel.core);
        Ok(self.heap.lent(&cell.heap, || f(core)))
    }
}

impl<'k, H: 'static, X: 'static> Context<'k, H, X> {
    /// Returns the data of the session's component, beside the heap: see
    /// [`Session::builder_with`](crate::Session::builder_with).
    ///
    /// It borrows the session and not the context, so it can be held while the heap is borrowed.
    ///
    /// ```
    /// use poe::Context;
    /// use std::cell::Cell;
    /// struct Meter(Cell<u32>);
    /// fn count(cx: &mut Context<'_, Vec<u32>, Meter>) {
    ///     let meter = cx.component();
    ///     let heap: &mut Vec<u32> = &mut cx.heap;
    ///     heap.push(meter.0.replace(0));
    /// }
    /// ```
    #[must_use]
    #[inline]
    pub fn component(&self) -> &'k X {
        &self.cell.component
    }
}

/// The session's own handlers, which come and go while it lives.
///
/// ```
/// use poe::{Event, Kernel, Session, event::{START, STOP}};
/// const COUNT: Event<u32> = Event::new("count");
/// # tokio_test::block_on(async {
/// let kernel = Kernel::new();
/// Session::builder(0)
///     .on(START, |cx, ()| {
///         cx.yield_to(COUNT, 5);
///         cx.yield_to(COUNT, 6);
///         // In time for both, though they are queued.
///         cx.state(COUNT, |cx, n| {
///             *cx.heap += n;
///             assert!(cx.state_remove("count")); // once is enough
///             assert!(!cx.state_remove("count"));
///         });
///         assert_eq!(cx.event_names_of(cx.session_id()), ["_start", "_stop", "count"]);
///     })
///     .on(STOP, |cx, ()| assert_eq!(*cx.heap, 5))
///     .create(&kernel)?;
/// kernel.run().await
/// # }).unwrap();
/// ```
impl<H: 'static, X: 'static> Context<'_, H, X> {
    /// Sets or replaces a handler of this session, also for events that are queued already (law L60). A table that is
    /// shared with other sessions is copied first; a handler may replace itself while it runs.
    pub fn state<A: 'static, Ret: IntoReply>(
        &self,
        event: impl Calls<A, Ret::Value>,
        handler: impl Fn(&mut Context<'_, H, X>, A) -> Ret + 'static,
    ) {
        let replaced = self.cell.change_table(|table| table.set(event.key(), erase(handler)));
        if replaced && self.cell.options.flags().debug {
            tracing::warn!(target: "poe::sessions", "session {} replaces its handler of `{}`", self.session_id(), event.key().as_str());
        }
    }

    /// Removes a handler of this session; false if there was none. Events of that name go to `_default` from now on, or
    /// are dropped.
    #[doc(alias = "state")]
    pub fn state_remove(&self, event: impl EventName) -> bool {
        self.cell.change_table(|table| table.remove(event.key()))
    }
}
