//! Tables of handlers by the names of events, shared by all sessions that are made with them.

use super::context::{Context, SessionCell, heap_in_use};
use super::postback::IntoReply;
use crate::arg::AnyArg;
use crate::error::{Failure, WrongArgument, drop_each_quietly};
use crate::event::Calls;
use crate::kernel::{Invoked, KernelRef};
use crate::name::{Key, Name, NameIdx, Names};
use std::any::type_name;
use std::cell::{Cell, Ref, RefCell};
use std::fmt;
use std::rc::Rc;

/// A handler with its types erased. It makes its own context, so that the parts of one stay in registers.
///
/// It stands in a box inside its `Rc`: a call then needs no arithmetic to find where a `dyn` value begins in an `Rc`.
pub(super) type Handler<H, X> = Box<dyn Fn(KernelRef<'_>, &mut AnyArg, &SessionCell<H, X>) -> Invoked>;

/// A table of handlers for sessions with a heap `H` (POE's `inline_states`).
///
/// Write the heap's type first, and the closures' types are inferred: `cx` from the table, the argument from the key,
/// or from an annotation if the key is a bare name. A later handler replaces an earlier one of the same name. Sessions
/// made with one table share it.
///
/// `X` is the data of a component beside the heap, and `()` for your own sessions: see [`Context`].
///
/// ```
/// use poe::{Event, Reply, States};
/// const ADD: Event<u64> = Event::new("add");
/// const TOTAL: Event<(), u64> = Event::new("total");
/// let states = States::<u64>::new()
///     .on(ADD, |cx, n| *cx.heap += n)
///     .on(TOTAL, |cx, ()| Reply(*cx.heap))
///     .on("rename", |_, name: String| println!("now called {name}"));
/// assert_eq!(states.event_names(), ["add", "rename", "total"]);
/// ```
#[doc(alias = "inline_states")]
#[doc(alias = "message handlers")]
#[doc(alias = "mailbox")]
#[doc(alias = "receive")]
pub struct States<H: 'static, X: 'static = ()> {
    pub(super) table: Rc<Table<Handler<H, X>>>,
}

/// The handlers, found by their names' indices; holds one reference to each name. `F` is what a handler looks like
/// without its types: those of sessions and of state machines differ in their contexts.
pub(super) struct Table<F: ?Sized> {
    names: Rc<Names>,
    /// Sorted by name.
    entries: Vec<(NameIdx, Rc<F>)>,
    /// Where an entry may stand, by the lowest bits of its name's index. Indices are given out in a row, so nearly all are right.
    hints: [u8; HINTS],
}

const HINTS: usize = 16;

impl<F: ?Sized> Table<F> {
    pub(super) fn new() -> Self {
        Table {
            names: Names::current(),
            entries: Vec::new(),
            hints: [0; HINTS],
        }
    }

    /// Returns the handler if it stands where the hint says.
    #[inline(always)]
    pub(super) fn hinted(&self, name: NameIdx) -> Option<&Rc<F>> {
        let hint = self.hints[name.low_bits() % HINTS];
        match self.entries.get(usize::from(hint)) {
            Some((key, handler)) if *key == name => Some(handler),
            _ => None,
        }
    }

    pub(super) fn find(&self, name: NameIdx) -> Option<&Rc<F>> {
        let at = self.position(name).ok()?;
        self.entries.get(at).map(|(_, handler)| handler)
    }

    fn position(&self, name: NameIdx) -> Result<usize, usize> {
        self.entries.binary_search_by_key(&name, |(key, _)| *key)
    }

    /// Makes the hints anew after an entry has come or gone. Of two names with one hint the first has it.
    fn hint(&mut self) {
        for (at, (key, _)) in self.entries.iter().enumerate().rev() {
            self.hints[key.low_bits() % HINTS] = u8::try_from(at).unwrap_or(u8::MAX);
        }
    }

    /// Sets or replaces a handler; the old one comes back, so that the caller drops it with nothing borrowed.
    pub(super) fn set(&mut self, key: Key<'_>, handler: Rc<F>) -> Option<Rc<F>> {
        let name = self.names.acquire(key);
        match self.position(name) {
            Ok(at) => {
                self.names.release(name);
                Some(std::mem::replace(&mut self.entries[at].1, handler))
            }
            Err(at) => {
                self.entries.insert(at, (name, handler));
                self.hint();
                None
            }
        }
    }

    pub(super) fn remove(&mut self, key: Key<'_>) -> Option<Rc<F>> {
        let name = self.names.lookup(key)?;
        let at = self.position(name).ok()?;
        let (_, handler) = self.entries.remove(at);
        self.hint();
        self.names.release(name);
        Some(handler)
    }

    pub(super) fn event_names(&self) -> Vec<Name> {
        let mut names: Vec<Name> = self.entries.iter().map(|(key, _)| self.names.name(*key)).collect();
        names.sort();
        names
    }

    /// Takes over every handler of another table.
    fn extend(&mut self, other: &Table<F>) {
        for (key, handler) in &other.entries {
            let name = other.names.name(*key);
            drop(self.set(Key::new(&name), handler.clone()));
        }
    }
}

impl<F: ?Sized> Clone for Table<F> {
    fn clone(&self) -> Self {
        for (key, _) in &self.entries {
            self.names.retain(*key);
        }
        Table {
            names: self.names.clone(),
            entries: self.entries.clone(),
            hints: self.hints,
        }
    }
}

impl<F: ?Sized> Drop for Table<F> {
    fn drop(&mut self) {
        for (key, _) in &self.entries {
            self.names.release(*key);
        }
        // What a closure has captured is the user's: the drops of two may panic.
        drop_each_quietly(std::mem::take(&mut self.entries));
    }
}

/// Makes the erased handler of a typed closure. A value of the wrong type can come by a bare name only; it is an error
/// that names all there is to know.
pub(super) fn erase<H, X, A, Ret>(f: impl Fn(&mut Context<'_, H, X>, A) -> Ret + 'static) -> Rc<Handler<H, X>>
where
    H: 'static,
    X: 'static,
    A: 'static,
    Ret: IntoReply,
{
    Rc::new(Box::new(
        move |kernel: KernelRef<'_>, arg: &mut AnyArg, cell: &SessionCell<H, X>| {
            let Some(mut cx) = Context::enter(cell, kernel) else {
                return heap_in_use();
            };
            let Some(arg) = arg.take::<A>() else {
                return wrong_argument(kernel, type_name::<A>(), arg);
            };
            let reply = f(&mut cx, arg);
            answered(kernel, reply)
        },
    ))
}

/// What came of a handler that returned.
#[inline(always)]
pub(super) fn answered<R: IntoReply>(kernel: KernelRef<'_>, reply: R) -> Invoked {
    match reply.leave(kernel) {
        Ok(()) => Invoked::Returned,
        Err(failure) => Invoked::Failed(failure),
    }
}

#[cold]
pub(super) fn wrong_argument(kernel: KernelRef<'_>, expected: &'static str, arg: &AnyArg) -> Invoked {
    Invoked::Failed(Failure::wrong_argument(WrongArgument {
        event: kernel.event().to_string(),
        expected,
        sent: arg.type_name(),
        place: kernel.caller_place().to_string(),
    }))
}

impl<H: 'static, X: 'static> States<H, X> {
    /// Makes an empty table.
    #[must_use]
    pub fn new() -> Self {
        States {
            table: Rc::new(Table::new()),
        }
    }

    /// Adds a handler; it replaces an earlier one of the same name.
    ///
    /// A handler is an `Fn`: changing state belongs in the heap, because a session may be entered again while one of
    /// its handlers is on the stack.
    #[must_use]
    pub fn on<A: 'static, Ret: IntoReply>(
        mut self,
        event: impl Calls<A, Ret::Value>,
        handler: impl Fn(&mut Context<'_, H, X>, A) -> Ret + 'static,
    ) -> Self {
        self.set(event.key(), erase(handler));
        self
    }

    /// Adds every handler of another table; they replace earlier ones of the same names.
    ///
    /// ```
    /// use poe::{Event, Kernel, Reply, Session, States, event::START};
    /// const GET: Event<(), u32> = Event::new("get");
    /// const RESET: Event<()> = Event::new("reset");
    /// let common = States::<u32>::new().on(GET, |cx, ()| Reply(*cx.heap)).on(RESET, |cx, ()| *cx.heap = 0);
    /// let states = States::new().on(START, |_, ()| ()).on(RESET, |cx, ()| *cx.heap = 100).with(&common);
    ///
    /// let kernel = Kernel::new();
    /// let id = Session::builder(7).inline_states(&states).create(&kernel)?;
    /// kernel.call(id, RESET, ())?;
    /// assert_eq!(kernel.call(id, GET, ())?, 0); // the later `reset` counts
    /// # Ok::<(), poe::Error>(())
    /// ```
    #[must_use]
    pub fn with(mut self, other: &States<H, X>) -> Self {
        if self.table.entries.is_empty() {
            self.table = other.table.clone();
        } else {
            Rc::make_mut(&mut self.table).extend(&other.table);
        }
        self
    }

    /// Returns the names that have a handler, sorted.
    #[must_use]
    pub fn event_names(&self) -> Vec<Name> {
        self.table.event_names()
    }

    pub(super) fn set(&mut self, key: Key<'_>, handler: Rc<Handler<H, X>>) {
        // The kernel's own name: nothing would ever come by it.
        debug_assert!(
            key.as_str() != "_signal",
            "`_signal` is reserved: watch signals with `cx.sig`"
        );
        drop(Rc::make_mut(&mut self.table).set(key, handler));
    }

    pub(super) fn unset(&mut self, key: Key<'_>) {
        drop(Rc::make_mut(&mut self.table).remove(key));
    }

    pub(super) fn find(&self, key: Key<'_>) -> Option<Rc<Handler<H, X>>> {
        let name = self.table.names.lookup(key)?;
        self.table.find(name).cloned()
    }

    pub(super) fn has(&self, name: NameIdx) -> bool {
        self.table.hinted(name).is_some() || self.table.find(name).is_some()
    }
}

impl<H, X> Default for States<H, X> {
    fn default() -> Self {
        Self::new()
    }
}

impl<H, X> Clone for States<H, X> {
    fn clone(&self) -> Self {
        States {
            table: self.table.clone(),
        }
    }
}

impl<H, X> fmt::Debug for States<H, X> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("States").field(&self.event_names()).finish()
    }
}

impl<H: 'static, X: 'static> SessionCell<H, X> {
    /// Changes the session's own table, which is a copy from then on if others share it.
    pub(super) fn change_table(
        &self,
        change: impl FnOnce(&mut Table<Handler<H, X>>) -> Option<Rc<Handler<H, X>>>,
    ) -> bool {
        let replaced = self.table.change(change);
        self.options.set_changed(self.table.has_next());
        replaced
    }
}

/// The slot for a session's table.
///
/// A handler runs with the table borrowed, which costs less than a reference to it. A change that it makes meanwhile is made to a
/// copy, `next`, which takes the table's place when no handler of the session runs any more ([`settle`](Self::settle)). Until then
/// all look-ups must go by [`get`](Self::get). No closure is dropped while anything here is being written to.
pub(super) struct TableSlot<F: ?Sized> {
    table: RefCell<Rc<Table<F>>>,
    next: RefCell<Option<Rc<Table<F>>>>,
}

impl<F: ?Sized> TableSlot<F> {
    pub(super) fn new(table: Rc<Table<F>>) -> Self {
        TableSlot {
            table: RefCell::new(table),
            next: RefCell::new(None),
        }
    }

    /// Borrows the table for a handler that is going to run; it is the latest unless there is a next one.
    #[inline(always)]
    pub(super) fn borrow(&self) -> Ref<'_, Rc<Table<F>>> {
        self.table.borrow()
    }

    /// Returns the latest table.
    #[inline]
    pub(super) fn get(&self) -> Rc<Table<F>> {
        match &*self.next.borrow() {
            Some(next) => next.clone(),
            None => self.table.borrow().clone(),
        }
    }

    pub(super) fn has_next(&self) -> bool {
        self.next.borrow().is_some()
    }

    /// Puts the next table in its place, unless a handler has the old one borrowed. True if there is no next table any more.
    pub(super) fn settle(&self) -> bool {
        let old = match self.table.try_borrow_mut() {
            Ok(mut table) => self.next.take().map(|next| std::mem::replace(&mut *table, next)),
            Err(_) => return false,
        };
        drop(old);
        true
    }

    /// Changes the table, or a copy of it if others share it. True if that let go of a handler.
    pub(super) fn change(&self, change: impl FnOnce(&mut Table<F>) -> Option<Rc<F>>) -> bool {
        let is_free = self.table.try_borrow_mut().is_ok();
        let mut table = match self.next.take() {
            Some(next) => next,
            None if is_free => self.table.replace(Rc::new(Table::new())),
            None => self.table.borrow().clone(),
        };
        let old = change(Rc::make_mut(&mut table));
        if is_free {
            drop(self.table.replace(table));
        } else {
            drop(self.next.replace(Some(table)));
        }
        let replaced = old.is_some();
        drop(old);
        replaced
    }
}

// A session's options: `trace`, `debug` and `default`, which the session reads, and the user's.
type Values = Vec<(String, String)>;

#[derive(Default)]
pub(super) struct Options {
    /// Set lazily: most sessions have none.
    values: RefCell<Option<Box<Values>>>,
    flags: Cell<Flags>,
    /// `trace`, or a changed table: events of this session take the long way.
    unusual: Cell<bool>,
}

/// The options that are looked at per event.
#[derive(Clone, Copy, Default)]
pub(super) struct Flags {
    pub(super) trace: bool,
    pub(super) debug: bool,
    pub(super) default: bool,
    /// A handler that is running has changed the session's table.
    changed: bool,
}

impl Options {
    #[inline]
    pub(super) fn flags(&self) -> Flags {
        self.flags.get()
    }

    /// Whether the session is neither traced nor has a changed table: one look for each event.
    #[inline(always)]
    pub(super) fn are_usual(&self) -> bool {
        !self.unusual.get()
    }

    pub(super) fn set_changed(&self, changed: bool) {
        self.set_flags(Flags {
            changed,
            ..self.flags.get()
        });
    }

    fn set_flags(&self, flags: Flags) {
        self.flags.set(flags);
        self.unusual.set(flags.trace || flags.changed);
    }

    pub(super) fn get(&self, name: &str) -> Option<String> {
        let name = name.to_lowercase();
        let values = self.values.borrow();
        values
            .as_deref()?
            .iter()
            .find(|(n, _)| *n == name)
            .map(|(_, v)| v.clone())
    }

    pub(super) fn all(&self) -> Vec<(String, String)> {
        self.values.borrow().as_deref().cloned().unwrap_or_default()
    }

    /// Sets an option, or deletes it with `None`; gives the old value.
    pub(super) fn set(&self, name: &str, value: Option<&str>) -> Option<String> {
        let name = name.to_lowercase();
        let value = value.map(normal);
        let old = {
            let mut slot = self.values.borrow_mut();
            let values = slot.get_or_insert_default();
            let at = values.iter().position(|(n, _)| *n == name);
            let old = at.map(|at| values.swap_remove(at).1);
            if let Some(value) = value {
                values.push((name, value));
            }
            old
        };
        let on = |name| self.get(name).is_some_and(|v| v != "0" && !v.is_empty());
        self.set_flags(Flags {
            trace: on("trace"),
            debug: on("debug"),
            default: on("default"),
            ..self.flags.get()
        });
        old
    }
}

/// POE's spellings of true and false become 1 and 0.
fn normal(value: &str) -> String {
    match value.to_lowercase().as_str() {
        "on" | "yes" | "true" => "1".to_owned(),
        "off" | "no" | "false" => "0".to_owned(),
        _ => value.to_owned(),
    }
}
