//! Stands for `spans.rs` in a build without the feature `spans`.

use super::task::Task;
use super::{Core, Frame, Invoked};
use crate::queue::heap::HeapId;

#[derive(Default)]
pub(crate) struct Cause;

impl Cause {
    #[inline(always)]
    pub(crate) fn here() -> Self {
        Cause
    }

    #[inline(always)]
    pub(crate) fn none() -> Self {
        Cause
    }
}

#[expect(clippy::unused_self, reason = "the methods of the other file")]
impl Core {
    #[inline(always)]
    pub(super) fn refresh_spans(&self) {}

    #[inline(always)]
    pub(super) fn is_spanned(&self) -> bool {
        false
    }

    #[inline(always)]
    pub(super) fn note_cause(&self, _: Cause) {}

    #[inline(always)]
    pub(super) fn note_timer_cause(&self, _: HeapId) {}

    #[inline(always)]
    pub(super) fn find_cause(&self) {}

    #[inline(always)]
    pub(super) fn enter_cause(&self) {}

    #[inline(always)]
    pub(super) fn enter_span(&self, _: &Frame<'_>, _: bool) {}

    #[inline(always)]
    pub(super) fn leave_span(&self, _: &Invoked) {}

    #[inline(always)]
    pub(super) fn in_span(&self, body: Box<dyn Task>) -> Box<dyn Task> {
        body
    }
}
