//! POE::Wheel: the parts that every wheel has: an ID, the session that receives its events, and its tasks.
//!
//! A wheel's value and its tasks share a `Base`, inside their other shared state. The value gets `id`, `session_id` and
//! `adopt` from [`wheel_methods`], and calls [`Base::end`] when it is dropped.

use crate::arg::AnyArg;
use crate::error::{Error, ErrorKind};
use crate::event::Posts;
use crate::id::{Place, SessionId, TaskId, WheelId};
use crate::kernel::HoldKind;
use crate::kernel::task::{Purpose, Task};
use crate::kernel::{Core, KernelRef};
use crate::name::{HeldName, Name, NameIdx};
use crate::wheel::pump::Record;
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

pub(crate) struct Base {
    id: WheelId,
    owner: Cell<SessionId>,
    place: Cell<Place>,
    /// The value exists and wants events.
    alive: Cell<bool>,
    core: Weak<Core>,
    tag: Tag,
}

/// The program's value for the wheel, if there is one.
#[derive(Clone, Default)]
pub(crate) struct Tag(Option<Rc<dyn Any>>);

impl Tag {
    pub(crate) fn new(value: impl Any) -> Self {
        Tag(Some(Rc::new(value)))
    }
}

impl Drop for Base {
    fn drop(&mut self) {
        if self.tag.0.is_some()
            && let Some(core) = self.core.upgrade()
        {
            core.forget_tag(self.id);
        }
    }
}

impl Base {
    /// Makes the base of a wheel for the session that is running.
    pub(crate) fn new(kernel: &KernelRef<'_>, place: Place) -> Self {
        Base {
            id: kernel.core.new_wheel_id(),
            owner: Cell::new(kernel.session_id()),
            place: Cell::new(place),
            alive: Cell::new(true),
            core: kernel.core.weak(),
            tag: Tag::default(),
        }
    }

    /// Lets the program find this value by the wheel's ID.
    pub(crate) fn tagged(mut self, tag: Tag) -> Self {
        if let (Some(value), Some(core)) = (&tag.0, self.core.upgrade()) {
            core.keep_tag(self.id, value.clone());
        }
        self.tag = tag;
        self
    }

    /// Returns the program's value, if it has that type.
    pub(crate) fn tag<T: 'static>(&self) -> Option<Rc<T>> {
        self.tag.0.clone()?.downcast().ok()
    }

    pub(crate) fn id(&self) -> WheelId {
        self.id
    }

    /// Returns the session that receives the events.
    pub(crate) fn owner(&self) -> SessionId {
        self.owner.get()
    }

    /// Returns where the wheel was started, or adopted.
    pub(crate) fn place(&self) -> Place {
        self.place.get()
    }

    /// Returns the kernel, unless it is gone.
    pub(crate) fn core(&self) -> Option<Rc<Core>> {
        self.core.upgrade()
    }

    /// Whether the value exists and wants events.
    pub(crate) fn is_alive(&self) -> bool {
        self.alive.get()
    }

    /// Stops all events.
    pub(crate) fn silence(&self) {
        self.alive.set(false);
    }

    /// Starts a task that holds the wheel's session; `what` names it in reports: `ReadWrite 3`.
    ///
    /// Returns `None` if the session was stopped by its own handler: a wheel whose `start` cannot fail does nothing then.
    pub(crate) fn start(&self, what: &str, listener: bool, body: Box<dyn Task>) -> Option<TaskId> {
        let purpose = Purpose {
            owner: self.owner(),
            kind: HoldKind::Wheel,
            what: Name::from(what),
            place: self.place(),
            listener,
        };
        self.core()?.start_task(purpose, body)
    }

    /// Gives a task a turn in the next I/O phase.
    pub(crate) fn wake(&self, task: Option<TaskId>) {
        if let (Some(core), Some(task)) = (self.core(), task) {
            core.tasks.wake(task);
        }
    }

    /// Has a task polled for its output as soon as the current handler returns.
    pub(crate) fn schedule(&self, task: Option<TaskId>) {
        if let (Some(core), Some(task)) = (self.core(), task) {
            core.tasks.schedule(task);
            core.wake_host();
        }
    }

    /// Ends the value, and its tasks with it.
    pub(crate) fn end(&self, tasks: impl IntoIterator<Item = TaskId>) {
        self.silence();
        if let Some(core) = self.core() {
            if self.tag.0.is_some() {
                core.forget_tag(self.id);
            }
            for task in tasks {
                core.cancel_task(task);
            }
        }
    }

    /// Moves the wheel to the session that is running: it receives the events from now on, and the tasks hold it.
    ///
    /// Events that were posted already still go to the old session. Finished tasks are skipped.
    pub(crate) fn adopt(
        &self,
        kernel: &KernelRef<'_>,
        place: Place,
        tasks: impl IntoIterator<Item = TaskId>,
    ) -> Result<(), Error> {
        if !std::ptr::eq(self.core.as_ptr(), kernel.core) {
            return Err(ErrorKind::Invalid("a wheel cannot move to a session of another kernel".to_owned()).into());
        }
        kernel.own_slot()?;
        self.owner.set(kernel.session_id());
        self.place.set(place);
        for task in tasks {
            kernel.core.move_task(task, kernel.session_id(), place);
        }
        Ok(())
    }

    /// Dispatches an event to the wheel's session at once. `None`: the wheel or its session is gone, stop here.
    pub(crate) fn deliver(&self, core: &Core, event: NameIdx, mut arg: AnyArg) -> Option<()> {
        self.deliver_in_place(core, event, &mut arg)
    }

    /// Dispatches a record; its place can be filled again afterwards.
    #[inline]
    pub(crate) fn deliver_from(&self, core: &Core, record: &mut Record) -> Option<()> {
        self.deliver_in_place(core, record.event, &mut record.arg)
    }

    #[inline]
    fn deliver_in_place(&self, core: &Core, event: NameIdx, arg: &mut AnyArg) -> Option<()> {
        let more = core.deliver_now(self.owner(), event, arg, self.place());
        (more && self.is_alive()).then_some(())
    }

    /// Posts an event to the wheel's session.
    pub(crate) fn post(&self, core: &Core, event: &HeldName, arg: AnyArg) {
        core.deliver(self.owner(), event, arg, self.place());
    }
}

/// Renames one of a wheel's events, or switches it off.
pub(crate) fn set_event<N, A, K: Posts<A>>(
    names: &RefCell<N>,
    which: fn(&mut N) -> &mut Option<HeldName>,
    event: Option<K>,
) {
    let event = event.map(|event| HeldName::new(event.key()));
    // A drop may look at the names.
    let old = std::mem::replace(which(&mut names.borrow_mut()), event);
    drop(old);
}

/// The setter of a tag, of a builder that has a [`Tag`] in the named field.
macro_rules! tag_setting {
    ([$($param:ident),*] $builder:ty, $($tag:ident).+) => {
        impl<$($param),*> $builder {
            /// Attaches a value to the wheel, by which your handlers recognize it; default none.
            ///
            /// [`cx.tag(id)`](crate::KernelRef::tag) returns it for the wheel's ID, which all of its events carry.
            ///
            /// ```
            /// use poe::{Event, Kernel, Session, event::START, filter::Line, wheel::{Input, ReadWrite}};
            /// #[derive(Debug, PartialEq)]
            /// enum Side { Client, Server }
            /// const LINE: Event<Input<String>> = Event::new("line");
            /// # tokio_test::block_on(async {
            /// # let kernel = Kernel::new();
            /// # let (peer, io) = tokio::io::duplex(64);
            /// # tokio::io::AsyncWriteExt::write_all(&mut { peer }, b"hello\n").await.unwrap();
            /// Session::builder(Vec::new())
            ///     .on(START, |cx, io: tokio::io::DuplexStream| -> poe::HandlerResult {
            ///         let wheel = ReadWrite::builder(io).tag(Side::Server).input(Line::new(), LINE).start(cx)?;
            ///         cx.heap.push(wheel);
            ///         Ok(())
            ///     })
            ///     .on(LINE, |cx, input| match cx.tag(input.wheel).as_deref() {
            ///         Some(Side::Server) => cx.heap.clear(),
            ///         other => panic!("a line of {other:?}"),
            ///     })
            /// #   .args(io)
            ///     .create(&kernel)?;
            /// # kernel.run().await
            /// # }).unwrap();
            /// ```
            pub fn tag<V: 'static>(mut self, value: V) -> Self {
                self.$($tag).+ = $crate::wheel::base::Tag::new(value);
                self
            }
        }
    };
}
pub(crate) use tag_setting;

/// Defines the methods that every wheel has: `wheel_methods!(Type, |wheel| base, tasks);`, or `Type<T>` if it has a parameter,
/// `Type<T: ?Sized>` if that need not be sized.
macro_rules! wheel_methods {
    ($wheel:ident $(<$param:ident $(: ?$sized:ident)?>)?, |$this:ident| $base:expr, $tasks:expr) => {
        impl $(<$param $(: ?$sized)?>)? $wheel $(<$param>)? {
            /// Returns the wheel's ID, which its events carry.
            #[doc(alias = "ID")]
            #[must_use]
            pub fn id(&self) -> $crate::id::WheelId {
                let $this = self;
                $base.id()
            }

            /// Returns the session that receives its events: the one that started it, or adopted it last.
            #[must_use]
            pub fn session_id(&self) -> $crate::id::SessionId {
                let $this = self;
                $base.owner()
            }

            /// Returns the value that its builder got with `tag`, if it has this type.
            #[must_use]
            pub fn tag<V: 'static>(&self) -> Option<::std::rc::Rc<V>> {
                let $this = self;
                $base.tag()
            }

            /// Moves the wheel to the session that is running; pass the handler's context. POE cannot do this.
            ///
            /// Its events go to that session from now on, under the same names, and it keeps that session alive. Events that were
            /// posted already still go to the old session.
            ///
            /// Hand the wheel over with [`call`](crate::Context::call), not with `post`: it delivers as soon as the giver's
            /// handler returns, ahead of the queue, so with `post` the first record would still go to the giver.
            ///
            /// # Errors
            /// The session belongs to another kernel, or has been stopped; nothing is changed then.
            #[track_caller]
            pub fn adopt(&self, kernel: &$crate::kernel::KernelRef<'_>) -> Result<(), $crate::error::Error> {
                let $this = self;
                $base.adopt(kernel, ::std::panic::Location::caller(), $tasks)
            }
        }
    };
}
pub(crate) use wheel_methods;
