//! Stands for `metrics.rs` in a build without the feature `metrics`.

use super::count::{Count, Traffic};
use super::{Core, Frame};

#[expect(clippy::unused_self, reason = "the methods of the other file")]
impl Core {
    #[inline(always)]
    pub(super) fn is_counted_only(&self) -> bool {
        false
    }

    #[inline(always)]
    pub(super) fn count_dispatch(&self) -> bool {
        false
    }

    #[inline(always)]
    pub(super) fn begin_sample(&self) {}

    #[inline(always)]
    pub(super) fn look_for_mark(&self) {}

    #[inline(always)]
    pub(super) fn end_sample(&self, _: u64, _: &Frame<'_>) {}

    #[inline(always)]
    pub(super) fn mark_post(&self, _: Option<u64>) {}

    #[inline(always)]
    pub(super) fn tell_meters(&self) {}

    #[inline(always)]
    pub(crate) fn count(&self, _: Count) {}

    #[inline(always)]
    pub(crate) fn count_traffic(&self, _: &'static str, _: Traffic, _: usize) {}
}
