//! Settings that the builders of ReadWrite and Run share: the events of the output, and the check of the
//! settings.

use super::emit::Events;
use crate::error::{Error, ErrorKind};
use crate::filter::Filter;

/// The settings of a wheel that is not started yet.
#[derive(Default)]
pub(crate) struct Settings {
    pub(crate) events: Events,
    /// High and low mark, in bytes.
    pub(crate) marks: Option<(usize, usize)>,
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
        match self.marks {
            Some((high, low)) => check_marks(high, low),
            None if self.events.high.is_some() || self.events.low.is_some() => {
                Err(ErrorKind::Invalid("high and low events need watermarks".to_owned()).into())
            }
            None => Ok(()),
        }
    }
}

pub(crate) fn check_marks(high: usize, low: usize) -> Result<(), Error> {
    if 0 < low && low < high {
        return Ok(());
    }
    let what = format!("watermarks must be 0 < low < high, not low {low} and high {high}");
    Err(ErrorKind::Invalid(what).into())
}

/// Defines the setters of the watermarks, for a builder whose field `settings` is [`Settings`].
macro_rules! watermark_settings {
    ($builder:ty) => {
        impl $builder {
            /// Watches the size of the output buffer, in bytes: the high event comes at `high`, the low event back at `low`.
            #[doc(alias = "HighMark")]
            #[doc(alias = "LowMark")]
            pub fn watermarks(mut self, high: usize, low: usize) -> Self {
                self.settings.marks = Some((high, low));
                self
            }

            /// Sends this event when the high mark is reached; needs [`watermarks`](Self::watermarks).
            #[doc(alias = "HighEvent")]
            pub fn high(mut self, event: impl $crate::event::Posts<$crate::id::WheelId>) -> Self {
                self.settings.events.high = Some($crate::name::HeldName::new(event.key()));
                self
            }

            /// Sends this event when the output buffer has fallen to the low mark; needs [`watermarks`](Self::watermarks).
            #[doc(alias = "LowEvent")]
            pub fn low(mut self, event: impl $crate::event::Posts<$crate::id::WheelId>) -> Self {
                self.settings.events.low = Some($crate::name::HeldName::new(event.key()));
                self
            }
        }
    };
}
pub(crate) use watermark_settings;
