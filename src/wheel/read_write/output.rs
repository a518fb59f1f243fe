//! The output of a ReadWrite: its size, its watermarks, and its events.

use super::ReadWrite;
use crate::error::{Error, ErrorKind};
use crate::event::Posts;
use crate::id::WheelId;
use crate::wheel::base::set_event;
use crate::wheel::error::IoError;
use crate::wheel::pump::check_marks;

impl<O: ?Sized> ReadWrite<O> {
    /// Writes the output at once, as far as the stream takes it, and not when the handler returns.
    ///
    /// The flushed event comes when nothing waits any more, even if nothing did: directly after the handler, ahead of the next
    /// record, or, if the handler puts more after this, once that is written as well.
    pub fn flush(&self) {
        self.state().ask_flush();
        self.state().write_now();
    }

    /// Returns the number of bytes not yet written.
    #[doc(alias = "get_driver_out_octets")]
    #[must_use]
    pub fn buffered_bytes(&self) -> usize {
        self.state().driver.output.borrow().bytes()
    }

    /// Returns the number of records not wholly written.
    #[doc(alias = "get_driver_out_messages")]
    #[must_use]
    pub fn out_messages(&self) -> usize {
        self.state().driver.output.borrow().messages()
    }

    /// Whether nothing can be put any more: the output was shut down, or a write has failed.
    #[must_use]
    pub fn is_output_closed(&self) -> bool {
        self.state().is_output_closed()
    }

    /// Changes the high mark, in bytes. If more waits already, the high event follows.
    ///
    /// # Errors
    /// The wheel was made without marks, or the mark would not be above the low one.
    pub fn set_high_mark(&self, high: usize) -> Result<(), Error> {
        let low = self.state().marks.get().map(|(_, low)| low);
        self.set_marks(low.map(|low| (high, low)))
    }

    /// Changes the low mark, in bytes.
    ///
    /// # Errors
    /// The wheel was made without marks, or the mark would not be between 0 and the high one.
    pub fn set_low_mark(&self, low: usize) -> Result<(), Error> {
        let high = self.state().marks.get().map(|(high, _)| high);
        self.set_marks(high.map(|high| (high, low)))
    }

    fn set_marks(&self, marks: Option<(usize, usize)>) -> Result<(), Error> {
        let Some((high, low)) = marks else {
            return Err(ErrorKind::Invalid("the wheel was made without watermarks".to_owned()).into());
        };
        check_marks(high, low)?;
        self.state().marks.set(Some((high, low)));
        self.state().level();
        self.state().schedule();
        Ok(())
    }

    /// Changes the event for errors; `None::<&str>` stops it.
    #[doc(alias = "event")]
    pub fn set_error_event<K: Posts<IoError>>(&self, event: Option<K>) {
        set_event(&self.state().events, |events| &mut events.error, event);
    }

    /// Changes the event for flushes; `None` stops it.
    #[doc(alias = "event")]
    pub fn set_flushed_event<K: Posts<WheelId>>(&self, event: Option<K>) {
        set_event(&self.state().events, |events| &mut events.flushed, event);
    }

    /// Changes the event for reaching the high mark; `None` stops it. A wheel without marks never sends it.
    #[doc(alias = "event")]
    pub fn set_high_event<K: Posts<WheelId>>(&self, event: Option<K>) {
        set_event(&self.state().events, |events| &mut events.high, event);
    }

    /// Changes the event for falling to the low mark; `None` stops it.
    #[doc(alias = "event")]
    pub fn set_low_event<K: Posts<WheelId>>(&self, event: Option<K>) {
        set_event(&self.state().events, |events| &mut events.low, event);
    }
}
