//! Standard input of a Run's program: what is put, what waits, and its end.

use super::Run;
use crate::event::Posts;
use crate::id::WheelId;
use crate::wheel::base::set_event;
use crate::wheel::error::PutError;
use crate::wheel::pump::Level;

impl Run {
    /// Puts a record: the filter of standard input turns it into bytes, which are written when the current handler returns.
    /// The record must be of the type that the filter takes; for those that take `String` or `Bytes` a literal will do.
    ///
    /// There is no limit but memory: heed the answer, which says whether the [high mark](super::RunBuilder::watermarks) is reached.
    ///
    /// # Errors
    /// The record, if standard input is closed or not the wheel's, if it is of another type, or if the filter has no form
    /// for it.
    pub fn put<T: 'static>(&self, record: T) -> Result<Level, PutError<T>> {
        match &self.stdio {
            Some(stdio) => stdio.put(record),
            None => Err(PutError::closed(record)),
        }
    }

    /// Ends standard input at once; what waits is not written. The program sees the end of its input, unless it is on a
    /// terminal, where there is none. Later puts are refused.
    ///
    /// ```
    /// # use poe::{Event, Kernel, Session, WheelId, event::START, filter::Line, wheel::Run};
    /// # const CLOSED: Event<WheelId> = Event::new("closed");
    /// # tokio_test::block_on(async {
    /// # let kernel = Kernel::new();
    /// # let transcript = poe::testing::Transcript::of(&kernel);
    /// # Session::builder(None::<Run>)
    /// # .on(START, |cx, ()| -> poe::HandlerResult {
    /// let run = Run::shell("cat").stdout(Line::new(), "line").close(CLOSED).start(cx)?;
    /// run.put("never written")?;
    /// run.shutdown_stdin();
    /// assert!(run.put("too late").unwrap_err().is_closed());
    /// #     *cx.heap = Some(run);
    /// #     Ok(())
    /// # })
    /// # .on(CLOSED, |cx, _| *cx.heap = None)
    /// # .create(&kernel)?;
    /// # kernel.run().await?;
    /// # let events: Vec<String> = transcript.records().into_iter().map(|record| record.event).collect();
    /// assert_eq!(events, ["_start", "closed", "_stop"]); // no line
    /// # Ok::<(), poe::Error>(()) }).unwrap();
    /// ```
    pub fn shutdown_stdin(&self) {
        self.shut_stdin(false);
    }

    /// Ends standard input when everything that was put has been written.
    ///
    /// ```
    /// # use poe::{Event, Kernel, Session, event::START, filter::Line, wheel::{Input, Run}};
    /// # const OUT: Event<Input<String>> = Event::new("out");
    /// # tokio_test::block_on(async {
    /// # let kernel = Kernel::new();
    /// # Session::builder(None::<Run>)
    ///     .on(START, |cx, ()| -> poe::HandlerResult {
    ///         let run = Run::shell("sort | xargs").stdout(Line::new(), OUT).start(cx)?;
    ///         for fruit in ["pear", "apple", "lemon"] {
    ///             run.put(fruit)?;
    ///         }
    ///         run.shutdown_stdin_after_flush(); // now they can be sorted
    ///         *cx.heap = Some(run);
    ///         Ok(())
    ///     })
    ///     .on(OUT, |cx, input| {
    ///         assert_eq!(input.record, "apple lemon pear");
    ///         *cx.heap = None;
    ///     })
    /// #   .create(&kernel)?;
    /// # kernel.run().await }).unwrap();
    /// ```
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

    /// Bytes that were put and not written.
    #[doc(alias = "get_driver_out_octets")]
    #[must_use]
    pub fn buffered_bytes(&self) -> usize {
        self.stdio.as_ref().map_or(0, |stdio| stdio.buffered_bytes())
    }

    /// Records that were put and not wholly written.
    #[doc(alias = "get_driver_out_messages")]
    #[must_use]
    pub fn out_messages(&self) -> usize {
        self.stdio.as_ref().map_or(0, |stdio| stdio.driver.out_messages())
    }

    /// Has flushes of standard input come as that event from now on, or not at all.
    #[doc(alias = "event")]
    pub fn set_stdin_event<K: Posts<WheelId>>(&self, event: Option<K>) {
        if let Some(stdio) = &self.stdio {
            set_event(&stdio.events, |events| &mut events.flushed, event);
        }
    }
}
