//! What waits to be written: how much it is, its watermarks, and who is told.

use super::ReadWrite;
use crate::error::{Error, ErrorKind};
use crate::event::Posts;
use crate::id::WheelId;
use crate::wheel::base::set_event;
use crate::wheel::error::IoError;
use crate::wheel::pump::check_marks;

impl ReadWrite {
    /// Writes what waits at once, as far as the stream takes it, instead of when the handler returns. The flushed event
    /// comes after the handler, when nothing waits any more, even if nothing did.
    pub fn flush(&self) {
        self.state.ask_flush();
        self.state.write_now();
    }

    /// Bytes that were put and not written.
    #[doc(alias = "get_driver_out_octets")]
    #[must_use]
    pub fn buffered_bytes(&self) -> usize {
        self.state.driver.buffered_bytes()
    }

    /// Records that were put and not wholly written.
    #[doc(alias = "get_driver_out_messages")]
    #[must_use]
    pub fn out_messages(&self) -> usize {
        self.state.driver.out_messages()
    }

    /// Whether nothing can be put any more: the output was shut down, or a write has failed.
    #[must_use]
    pub fn is_output_closed(&self) -> bool {
        self.state.is_output_closed()
    }

    /// Moves the high mark, in bytes. If more than that waits already, the high event follows.
    ///
    /// # Errors
    /// The wheel was made without marks, or the mark would not be above the low one.
    pub fn set_high_mark(&self, high: usize) -> Result<(), Error> {
        let low = self.state.marks.get().map(|(_, low)| low);
        self.set_marks(low.map(|low| (high, low)))
    }

    /// Moves the low mark, in bytes.
    ///
    /// # Errors
    /// The wheel was made without marks, or the mark would not be between 0 and the high one.
    pub fn set_low_mark(&self, low: usize) -> Result<(), Error> {
        let high = self.state.marks.get().map(|(high, _)| high);
        self.set_marks(high.map(|high| (high, low)))
    }

    fn set_marks(&self, marks: Option<(usize, usize)>) -> Result<(), Error> {
        let Some((high, low)) = marks else {
            return Err(ErrorKind::Invalid("the wheel was made without watermarks".to_owned()).into());
        };
        check_marks(high, low)?;
        self.state.marks.set(Some((high, low)));
        self.state.level();
        self.state.schedule();
        Ok(())
    }

    /// Has errors come as that event from now on, or not at all: `None::<&str>`.
    #[doc(alias = "event")]
    pub fn set_error_event<K: Posts<IoError>>(&self, event: Option<K>) {
        set_event(&self.state.events, |events| &mut events.error, event);
    }

    /// Has flushes come as that event from now on, or not at all.
    #[doc(alias = "event")]
    pub fn set_flushed_event<K: Posts<WheelId>>(&self, event: Option<K>) {
        set_event(&self.state.events, |events| &mut events.flushed, event);
    }

    /// Has the rise to the high mark come as that event from now on, or not at all. It never comes on a wheel without marks.
    #[doc(alias = "event")]
    pub fn set_high_event<K: Posts<WheelId>>(&self, event: Option<K>) {
        set_event(&self.state.events, |events| &mut events.high, event);
    }

    /// Has the fall to the low mark come as that event from now on, or not at all.
    #[doc(alias = "event")]
    pub fn set_low_event<K: Posts<WheelId>>(&self, event: Option<K>) {
        set_event(&self.state.events, |events| &mut events.low, event);
    }
}
