//! The kernel's name, and data that programs and other crates keep with a kernel.

use super::{Core, Kernel};
use crate::error::drop_each_quietly;
use std::any::{Any, TypeId};
use std::cell::RefCell;
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
