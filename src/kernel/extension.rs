//! The kernel's name, and data that programs and other crates keep with a kernel.

use super::{Core, Kernel, KernelRef};
use crate::error::drop_each_quietly;
use crate::id::{SessionId, WheelId};
use crate::name::NameIdx;
use crate::resource::sessions::KERNEL;
use std::any::{Any, TypeId};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// One value for each type that was asked for.
#[derive(Default)]
pub(crate) struct Extensions(RefCell<Vec<(TypeId, Rc<dyn Any>)>>);

impl Extensions {
    fn find<T: 'static>(&self) -> Option<Rc<T>> {
        let kind = TypeId::of::<T>();
        let values = self.0.borrow();
        let (_, value) = values.iter().find(|(own, _)| *own == kind)?;
        value.clone().downcast().ok()
    }

    pub(crate) fn find_or_default<T: Default + 'static>(&self) -> Rc<T> {
        if let Some(value) = self.find() {
            return value;
        }
        let made = Rc::new(T::default());
        // Its `default` may have asked for the same one.
        if let Some(value) = self.find() {
            return value;
        }
        self.0.borrow_mut().push((TypeId::of::<T>(), made.clone()));
        made
    }

    /// Drops all values, at the end of the kernel.
    pub(super) fn clear(&self) {
        drop_each_quietly(self.0.take());
    }
}

impl fmt::Debug for Extensions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} extensions", self.0.borrow().len())
    }
}

impl Core {
    pub(crate) fn name(&self) -> Rc<str> {
        static SERIAL: AtomicU64 = AtomicU64::new(1);
        let name = self.kernel_name.get_or_init(|| {
            if let Some(name) = &self.config.name {
                return name.as_str().into();
            }
            let time = SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |time| time.as_secs());
            let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
            format!("poe-{time:x}-{:x}-{serial:x}", std::process::id()).into()
        });
        name.clone()
    }
}

impl Kernel {
    /// Returns the kernel's name: the builder's, or else a unique one.
    ///
    /// ```
    /// use poe::Kernel;
    /// assert_eq!(&*Kernel::builder().name("Pulse").build().name(), "Pulse");
    /// assert_ne!(Kernel::new().name(), Kernel::new().name());
    /// ```
    #[doc(alias = "ID")]
    #[must_use]
    pub fn name(&self) -> Rc<str> {
        self.core().name()
    }

    /// Returns this kernel's value of a type, made with `default` at the first use.
    ///
    /// It is per-kernel data of programs and other crates, which lives as long as the kernel. It must not contain a
    /// `Kernel`, because neither would ever be dropped. To keep sessions alive use a
    /// [`Resource`](crate::extend::Resource).
    ///
    /// ```
    /// use poe::Kernel;
    /// use std::cell::Cell;
    /// let kernel = Kernel::new();
    /// kernel.extension::<Cell<u32>>().set(7);
    /// assert_eq!(kernel.extension::<Cell<u32>>().get(), 7);
    /// assert_eq!(Kernel::new().extension::<Cell<u32>>().get(), 0);
    /// ```
    #[must_use]
    pub fn extension<T: Default + 'static>(&self) -> Rc<T> {
        self.core().extensions.find_or_default()
    }
}

// Tags: values that the program attached to its wheels, by the wheels' IDs.
impl Core {
    pub(crate) fn keep_tag(&self, wheel: WheelId, value: Rc<dyn Any>) {
        let old = self.tags.borrow_mut().insert(wheel, value);
        drop(old);
    }

    pub(crate) fn forget_tag(&self, wheel: WheelId) {
        // The value is dropped when the table is no longer borrowed.
        let old = self.tags.borrow_mut().remove(&wheel);
        drop(old);
    }
}

impl KernelRef<'_> {
    /// Returns the value that was attached to a wheel with `tag`.
    ///
    /// It is `None` for a wheel without a tag, with one of another type, and for a wheel that is gone. See
    /// [`ReadWriteBuilder::tag`](crate::wheel::ReadWriteBuilder::tag) for an example.
    #[must_use]
    pub fn tag<T: 'static>(self, wheel: WheelId) -> Option<Rc<T>> {
        let value = self.core.tags.borrow().get(&wheel).cloned();
        value?.downcast().ok()
    }
}

// The active session and event: set by each dispatch, read by each post.
/// The session and event that are being handled.
#[derive(Clone, Copy)]
pub(crate) struct Active {
    pub(crate) session: SessionId,
    /// `NameIdx::NONE` outside handlers.
    pub(crate) event: NameIdx,
}

/// [`Active`] field by field, each read as it was written. A copy of the whole is loaded in wider pieces than it was stored
/// in, and a load that spans two stores waits for both to leave the processor's store buffer; that cost more than the
/// rest of a dispatch. The same goes for everything else that an event's way leads through.
pub(crate) struct ActiveCell {
    serial: Cell<u64>,
    slot: Cell<u32>,
    kernel: u32,
    event: Cell<NameIdx>,
}

impl ActiveCell {
    pub(super) fn new(kernel: u32) -> Self {
        ActiveCell {
            serial: Cell::new(0),
            slot: Cell::new(KERNEL),
            kernel,
            event: Cell::new(NameIdx::NONE),
        }
    }

    #[inline]
    pub(crate) fn session(&self) -> SessionId {
        SessionId {
            serial: self.serial.get(),
            slot: self.slot.get(),
            kernel: self.kernel,
        }
    }

    /// `NameIdx::NONE` outside handlers.
    #[inline]
    pub(crate) fn event(&self) -> NameIdx {
        self.event.get()
    }

    #[inline]
    pub(super) fn get(&self) -> Active {
        Active {
            session: self.session(),
            event: self.event(),
        }
    }

    /// Nobody, outside handlers.
    #[inline]
    pub(super) fn set_idle(&self) {
        self.serial.set(0);
        self.slot.set(KERNEL);
        self.event.set(NameIdx::NONE);
    }

    /// A handler begins.
    #[inline(always)]
    pub(super) fn enter(&self, serial: u64, slot: u32, event: NameIdx) {
        self.serial.set(serial);
        self.slot.set(slot);
        self.event.set(event);
    }

    #[inline]
    pub(super) fn set(&self, active: Active) {
        self.serial.set(active.session.serial);
        self.slot.set(active.session.slot);
        self.event.set(active.event);
    }
}
