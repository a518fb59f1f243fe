//! Settings that the builders of ReadWrite and Run share: the events of the output, and the check of the
//! settings.

use super::emit::Events;
use super::limits::Limits;
use crate::error::{Error, ErrorKind};
use crate::filter::Filter;

/// The settings of a wheel that is not started yet.
#[derive(Default)]
pub(crate) struct Settings {
    pub(crate) events: Events,
    /// High and low mark, in bytes.
    pub(crate) marks: Option<(usize, usize)>,
    pub(crate) limits: Limits,
    /// The first invalid setting; reported when the wheel is started.
    fault: Option<String>,
}

impl Settings {
    /// Checks a filter's settings.
    pub(crate) fn check<F: Filter>(&mut self, filter: &F) {
        if let Err(error) = filter.check() {
            self.refuse(&error.to_string());
        }
    }

    pub(crate) fn refuse(&mut self, why: &str) {
        self.fault.get_or_insert_with(|| why.to_owned());
    }

    /// Checks all settings together.
    pub(crate) fn verdict(&self) -> Result<(), Error> {
        if let Some(fault) = &self.fault {
            return Err(ErrorKind::Invalid(fault.clone()).into());
        }
        self.limits.check()?;
        self.marks().map_or(Ok(()), |(high, low)| check_marks(high, low))
    }

    /// The high and the low mark, if the output is watched.
    pub(crate) fn marks(&self) -> Option<(usize, usize)> {
        let watched = self.events.high.is_some() || self.events.low.is_some();
        self.marks.or(watched.then_some(DEFAULT_MARKS))
    }
}

/// The marks of an output that is watched, unless the program sets its own.
pub(crate) const DEFAULT_MARKS: (usize, usize) = (64 * 1024, 16 * 1024);

/// The rule for a high and a low mark.
pub(crate) fn check_marks(high: usize, low: usize) -> Result<(), Error> {
    if 0 < low && low < high {
        return Ok(());
    }
    let what = format!("watermarks must be 0 < low < high, not low {low} and high {high}");
    Err(ErrorKind::Invalid(what).into())
}

/// The setters of the watermarks, of a builder that has [`Settings`] in the named field.
macro_rules! watermark_settings {
    ([$($param:ident),*] $builder:ty, $($settings:ident).+) => {
        impl<$($param),*> $builder {
            /// Sets the marks for the bytes that wait to be written, `0 < low < high`; default none.
            ///
            /// At `high` a put reports [`Level::High`]($crate::wheel::Level::High) and the [high event](Self::high) comes; back at
            /// `low`, the [low event](Self::low). With one of these events and no marks, the marks are 64 KiB and 16 KiB.
            #[doc(alias = "HighMark")]
            #[doc(alias = "LowMark")]
            pub fn watermarks(mut self, high: usize, low: usize) -> Self {
                self.$($settings).+.marks = Some((high, low));
                self
            }

            /// Sends this event when the high mark of [`watermarks`](Self::watermarks) is reached.
            #[doc(alias = "HighEvent")]
            pub fn high(mut self, event: impl $crate::event::Posts<$crate::id::WheelId>) -> Self {
                self.$($settings).+.events.high = Some($crate::name::HeldName::new(event.key()));
                self
            }

            /// Sends this event when the output had reached the high mark and falls to the low one.
            #[doc(alias = "LowEvent")]
            pub fn low(mut self, event: impl $crate::event::Posts<$crate::id::WheelId>) -> Self {
                self.$($settings).+.events.low = Some($crate::name::HeldName::new(event.key()));
                self
            }
        }
    };
}
pub(crate) use watermark_settings;
