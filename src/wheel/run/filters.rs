//! The filters of a Run's streams: changed, and what they hold.

use super::Run;
use crate::event::Posts;
use crate::filter::{Filter, FilterError};
use crate::wheel::pump::{Input, PumpState, TypedFormatter, TypedParser};
use bytes::{Bytes, BytesMut};

impl Run {
    /// Changes the filter of standard input, for later puts.
    ///
    /// # Errors
    /// The filter's settings make no sense; nothing has changed then.
    ///
    /// ```
    /// # use poe::{Event, Kernel, Session, event::START, filter::{Line, Raw}, wheel::{Input, Run}};
    /// # const OUT: Event<Input<String>> = Event::new("out");
    /// # tokio_test::block_on(async {
    /// # let kernel = Kernel::new();
    /// # Session::builder(None::<Run>)
    /// # .on(START, |cx, ()| -> poe::HandlerResult {
    /// let run = Run::shell("wc -c").stdout(Line::new(), OUT).start(cx)?;
    /// run.put("line")?; // 5 bytes
    /// run.set_stdin_filter(Raw::new())?;
    /// run.put("record")?; // 6
    /// run.shutdown_stdin_after_flush();
    /// #     *cx.heap = Some(run);
    /// #     Ok(())
    /// # })
    /// # .on(OUT, |cx, input| {
    /// // What comes:
    /// assert_eq!(input.record.trim(), "11");
    /// #     *cx.heap = None;
    /// # })
    /// #   .create(&kernel)?;
    /// # kernel.run().await }).unwrap();
    /// ```
    pub fn set_stdin_filter<F: Filter>(&self, filter: F) -> Result<(), FilterError> {
        filter.check()?;
        if let Some(stdio) = &self.stdio {
            stdio.set_formatter(Box::new(TypedFormatter(filter)));
        }
        Ok(())
    }

    /// Changes the filter of standard output, and the event with it. Bytes that the old filter has not used move to the
    /// new one; the records that it sees in them come directly after the current handler. Nothing is lost and nothing
    /// comes twice, other than in POE.
    ///
    /// # Errors
    /// The filter's settings make no sense, and nothing has changed. An output that is not the wheel's is passed by.
    ///
    /// ```
    /// # use poe::{Event, Kernel, Session, WheelId, event::START, filter::Line, wheel::{Input, Run}};
    /// # const TITLE: Event<Input<String>> = Event::new("title");
    /// # const NAME: Event<Input<String>> = Event::new("name");
    /// # const CLOSED: Event<WheelId> = Event::new("closed");
    /// # tokio_test::block_on(async {
    /// # let kernel = Kernel::new();
    /// # let transcript = poe::testing::Transcript::of(&kernel);
    /// # Session::builder(None::<Run>)
    ///     .on(START, |cx, ()| -> poe::HandlerResult {
    ///         let files = r"echo files; printf 'a name\0two\nlines\0'";
    ///         *cx.heap = Some(Run::shell(files).stdout(Line::new(), TITLE).close(CLOSED).start(cx)?);
    ///         Ok(())
    ///     })
    ///     .on(TITLE, |cx, input| -> poe::HandlerResult {
    ///         assert_eq!(input.record, "files");
    ///         if let Some(run) = &*cx.heap {
    ///             run.set_stdout_filter(Line::new().input_literal("\0"), NAME)?;
    ///         }
    ///         Ok(())
    ///     })
    ///     .on(NAME, |_, input| assert!(["a name", "two\nlines"].contains(&&*input.record)))
    ///     .on(CLOSED, |cx, _| *cx.heap = None)
    /// #   .create(&kernel)?;
    /// # kernel.run().await?;
    /// # let events: Vec<String> = transcript.records().into_iter().map(|record| record.event).collect();
    /// # assert_eq!(events, ["_start", "title", "name", "name", "closed", "_stop"]);
    /// # Ok::<(), poe::Error>(()) }).unwrap();
    /// ```
    #[doc(alias = "event")]
    pub fn set_stdout_filter<F: Filter>(
        &self,
        filter: F,
        event: impl Posts<Input<F::Input>>,
    ) -> Result<(), FilterError> {
        set_filter(self.stdio.as_deref().filter(|stdio| stdio.has_parser()), filter, event)
    }

    /// Changes the filter of standard error, likewise.
    ///
    /// # Errors
    /// As [`set_stdout_filter`](Self::set_stdout_filter).
    ///
    /// ```
    /// # use poe::{Event, Kernel, Session, event::START, filter::{Block, Line}, wheel::{Input, Run}};
    /// # use bytes::Bytes;
    /// # const LENGTH: Event<Input<String>> = Event::new("length");
    /// # const REPORT: Event<Input<Bytes>> = Event::new("report");
    /// # tokio_test::block_on(async {
    /// # let kernel = Kernel::new();
    /// # Session::builder(None::<Run>)
    ///     .on(START, |cx, ()| -> poe::HandlerResult {
    ///         let run = Run::shell(r"printf '9\ntwo\nlines' >&2").stderr(Line::new(), LENGTH).start(cx)?;
    ///         *cx.heap = Some(run);
    ///         Ok(())
    ///     })
    ///     .on(LENGTH, |cx, input| -> poe::HandlerResult {
    ///         let length = input.record.parse()?;
    ///         if let Some(run) = &*cx.heap {
    ///             run.set_stderr_filter(Block::fixed(length), REPORT)?;
    ///         }
    ///         Ok(())
    ///     })
    ///     .on(REPORT, |cx, input| {
    ///         assert_eq!(input.record, "two\nlines");
    ///         *cx.heap = None;
    ///     })
    /// #   .create(&kernel)?;
    /// # kernel.run().await }).unwrap();
    /// ```
    #[doc(alias = "event")]
    pub fn set_stderr_filter<F: Filter>(
        &self,
        filter: F,
        event: impl Posts<Input<F::Input>>,
    ) -> Result<(), FilterError> {
        set_filter(self.stderr.as_deref(), filter, event)
    }

    /// Changes the filters of standard input and output to one protocol.
    ///
    /// # Errors
    /// As [`set_stdout_filter`](Self::set_stdout_filter).
    ///
    /// ```
    /// # use poe::{Event, Kernel, Session, event::START, filter::{Block, Line}, wheel::{Input, Run}};
    /// # use bytes::Bytes;
    /// # const BLOCK: Event<Input<Bytes>> = Event::new("block");
    /// # tokio_test::block_on(async {
    /// # let kernel = Kernel::new();
    /// # Session::builder(None::<Run>)
    ///     .on(START, |cx, ()| -> poe::HandlerResult {
    ///         let run = Run::shell("cat").stdout(Line::new(), "line").start(cx)?;
    ///         run.set_stdio_filter(Block::new(), BLOCK)?;
    ///         run.put("two\nlines")?; // `cat` gets them, and gives them back, with their length before them
    ///         *cx.heap = Some(run);
    ///         Ok(())
    ///     })
    ///     .on(BLOCK, |cx, input| {
    ///         assert_eq!(input.record, "two\nlines");
    ///         *cx.heap = None;
    ///     })
    /// #   .create(&kernel)?;
    /// # kernel.run().await }).unwrap();
    /// ```
    pub fn set_stdio_filter<F: Filter>(
        &self,
        filter: F,
        event: impl Posts<Input<F::Input>>,
    ) -> Result<(), FilterError> {
        let input = filter.fresh();
        self.set_stdout_filter(filter, event)?;
        self.set_stdin_filter(input)
    }

    /// Reads output and drops it, until [`set_stdout_filter`](Self::set_stdout_filter); its end is still told.
    ///
    /// ```
    /// # use poe::{Event, Kernel, Session, WheelId, event::START, filter::Line, wheel::{Input, Run}};
    /// # const OUT: Event<Input<String>> = Event::new("out");
    /// # const CLOSED: Event<WheelId> = Event::new("closed");
    /// # tokio_test::block_on(async {
    /// # let kernel = Kernel::new();
    /// # let transcript = poe::testing::Transcript::of(&kernel);
    /// # Session::builder(None::<Run>)
    /// # .on(START, |cx, ()| -> poe::HandlerResult {
    /// #     let builder = Run::shell("echo version 7; echo and so on").stdout(Line::new(), OUT).close(CLOSED);
    /// #     *cx.heap = Some(builder.start(cx)?);
    /// #     Ok(())
    /// # })
    ///     .on(OUT, |cx, input| {
    ///         assert_eq!(input.record, "version 7"); // all that was to be known
    ///         if let Some(run) = &*cx.heap {
    ///             run.discard_stdout(); // the program goes on, and does not wait for a reader
    ///         }
    ///     })
    ///     .on(CLOSED, |cx, _| *cx.heap = None)
    /// #   .create(&kernel)?;
    /// # kernel.run().await?;
    /// # let events: Vec<String> = transcript.records().into_iter().map(|record| record.event).collect();
    /// # assert_eq!(events, ["_start", "out", "closed", "_stop"]);
    /// # Ok::<(), poe::Error>(()) }).unwrap();
    /// ```
    #[doc(alias = "event")]
    pub fn discard_stdout(&self) {
        let _: Result<(), FilterError> = self.set_stdout_filter(Discard, "");
    }

    /// Reads standard error and drops it, likewise.
    ///
    /// ```
    /// # use poe::{Event, Kernel, Session, WheelId, event::START, filter::Line, wheel::Run};
    /// # const CLOSED: Event<WheelId> = Event::new("closed");
    /// # tokio_test::block_on(async {
    /// # let kernel = Kernel::new();
    /// # let transcript = poe::testing::Transcript::of(&kernel);
    /// # Session::builder(None::<Run>)
    /// # .on(START, |cx, ()| -> poe::HandlerResult {
    /// let run = Run::shell("echo never mind >&2").stderr(Line::new(), "complaint").close(CLOSED).start(cx)?;
    /// run.discard_stderr();
    /// #     *cx.heap = Some(run);
    /// #     Ok(())
    /// # })
    /// # .on(CLOSED, |cx, _| *cx.heap = None)
    /// # .create(&kernel)?;
    /// # kernel.run().await?;
    /// # let events: Vec<String> = transcript.records().into_iter().map(|record| record.event).collect();
    /// assert_eq!(events, ["_start", "closed", "_stop"]); // no complaint
    /// # Ok::<(), poe::Error>(()) }).unwrap();
    /// ```
    #[doc(alias = "event")]
    pub fn discard_stderr(&self) {
        let _: Result<(), FilterError> = self.set_stderr_filter(Discard, "");
    }

    /// A copy of the bytes of standard output that its filter has not made a record of.
    #[doc(alias = "get_stdout_filter")]
    #[must_use]
    pub fn stdout_pending(&self) -> Bytes {
        pending(self.stdio.as_deref())
    }

    /// A copy of the bytes of standard error that its filter has not made a record of.
    #[doc(alias = "get_stderr_filter")]
    #[must_use]
    pub fn stderr_pending(&self) -> Bytes {
        pending(self.stderr.as_deref())
    }
}

fn set_filter<F: Filter>(
    state: Option<&PumpState>,
    filter: F,
    event: impl Posts<Input<F::Input>>,
) -> Result<(), FilterError> {
    filter.check()?;
    if let Some(state) = state {
        drop(state.set_parser(Box::new(TypedParser::new(filter, event))));
        state.schedule();
    }
    Ok(())
}

fn pending(state: Option<&PumpState>) -> Bytes {
    state
        .and_then(|state| state.with_parser(|parser| Bytes::copy_from_slice(parser.pending())))
        .unwrap_or_default()
}

/// The filter of an output that nobody wants.
struct Discard;

impl Filter for Discard {
    type Input = ();
    type Output = ();
    fn feed(&mut self, _: &[u8]) {}
    fn next_record(&mut self) -> Result<Option<()>, FilterError> {
        Ok(None)
    }
    fn put(&mut self, (): (), _: &mut BytesMut) -> Result<(), FilterError> {
        Ok(())
    }
    fn pending(&self) -> &[u8] {
        &[]
    }
    fn take_pending(&mut self) -> Bytes {
        Bytes::new()
    }
    fn fresh(&self) -> Self {
        Discard
    }
}
