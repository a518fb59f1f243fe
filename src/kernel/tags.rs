//! Tags: values that the program attached to its wheels, by the wheels' IDs.

use super::{Core, KernelRef};
use crate::id::WheelId;
use std::any::Any;
use std::rc::Rc;

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
