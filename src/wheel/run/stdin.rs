//! Standard input of a Run's program: puts, the buffer, and the end.

use super::Run;
use crate::event::Posts;
use crate::id::WheelId;
use crate::wheel::base::set_event;
use crate::wheel::error::PutError;
use crate::wheel::pump::Level;

impl Run {
    /// Puts a record: the filter of standard input turns it into bytes, which are written when the current handler returns.
    ///
    /// The record must have the type that the filter takes; filters that take `String` or `Bytes` also accept a literal. There is no
    /// limit but memory: the result says whether the [high mark](super::RunBuilder::watermarks) is reached.
    ///
    /// # Errors
    /// The record, if standard input is closed or not the wheel's, if the record has another type, or if the filter cannot
    /// encode it.
    pub fn put<T: 'static>(&self, record: T) -> Result<Level, PutError<T>> {
        match &self.stdio {
            Some(stdio) => stdio.put(record),
            None => Err(PutError::closed(record)),
        }
    }

    /// Ends standard input at once; buffered bytes are not written.
    ///
    /// The program sees the end of its input, unless it is on a terminal, which has no end. Later puts are refused.
    pub fn shutdown_stdin(&self) {
        self.shut_stdin(false);
    }

    /// Ends standard input when everything that was put has been written.
    #[doc(alias = "shutdown_stdin")]
    pub fn shutdown_stdin_after_flush(&self) {
        self.shut_stdin(true);
    }

    fn shut_stdin(&self, flush: bool) {
        if let Some(stdio) = &self.stdio {
            stdio.shut_output(flush);
            stdio.schedule();
        }
    }

    /// Returns the number of bytes not yet written.
    #[doc(alias = "get_driver_out_octets")]
    #[must_use]
    pub fn buffered_bytes(&self) -> usize {
        self.stdio.as_ref().map_or(0, |stdio| stdio.buffered_bytes())
    }

    /// Returns the number of records not wholly written.
    #[doc(alias = "get_driver_out_messages")]
    #[must_use]
    pub fn out_messages(&self) -> usize {
        self.stdio
            .as_ref()
            .map_or(0, |stdio| stdio.driver.output.borrow().messages())
    }

    /// Changes the event for flushes of standard input; `None` stops it.
    #[doc(alias = "event")]
    pub fn set_stdin_event<K: Posts<WheelId>>(&self, event: Option<K>) {
        if let Some(stdio) = &self.stdio {
            set_event(&stdio.events, |events| &mut events.flushed, event);
        }
    }
}
