//! POE::Wheel::ReadWrite: records to and from anything that can be read and written.
//!
//! | event | argument | when |
//! |---|---|---|
//! | input | [`Input`] | a record was read |
//! | error | [`IoError`] | the input has ended, an operation failed, or the filter met something that is no record |
//! | flushed | [`WheelId`] | everything that was put has been written |
//! | high | [`WheelId`] | what waits to be written has reached the high mark |
//! | low | [`WheelId`] | … and has fallen to the low mark |
//!
//! All go to the session that made the wheel, ahead of what is queued; none comes inside a method of the wheel.

use super::base::{Base, wheel_methods};
use super::error::{IoError, PutError};
use super::pump::{BoxedDuplex, Events, Formatter, Input, Level, Parser, Pump, State, TypedFormatter, TypedParser};
use crate::error::{Error, ErrorKind};
use crate::event::Posts;
use crate::filter::{Filter, FilterError, Line};
use crate::id::{TaskId, WheelId};
use crate::kernel::Turn;
use crate::name::HeldName;
use bytes::Bytes;
use std::fmt;
use std::panic::Location;
use std::rc::Rc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};

/// Reads and writes records (`POE::Wheel::ReadWrite`).
///
/// It works on anything that is `AsyncRead + AsyncWrite + 'static`: a socket, a TLS stream, an in-memory duplex. Keep it
/// in the heap; dropping it stops it at once and closes the stream, with what was not written. As long as it is there it
/// keeps its session alive, whatever it does, unless both directions were shut down.
///
/// What is put is written when the handler returns, and all that the handlers of one read put is written together.
///
/// ```
/// use poe::{Event, Kernel, Session, event::START};
/// use poe::filter::Line;
/// use poe::wheel::{Input, IoError, ReadWrite};
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
/// const LINE: Event<Input<String>> = Event::new("line");
/// const ERROR: Event<IoError> = Event::new("error");
/// # tokio_test::block_on(async {
/// let kernel = Kernel::new();
/// let (mut peer, ours) = tokio::io::duplex(1024);
/// Session::builder(None::<ReadWrite>)
///     .on(START, |cx, io: tokio::io::DuplexStream| -> poe::Handled {
///         *cx.heap = Some(ReadWrite::builder(io).input(Line::new(), LINE).error(ERROR).start(cx)?);
///         Ok(())
///     })
///     .on(LINE, |cx, input| -> poe::Handled {
///         if let Some(wheel) = &*cx.heap {
///             wheel.put(input.record.to_uppercase())?;
///         }
///         Ok(())
///     })
///     .on(ERROR, |cx, _error| *cx.heap = None) // the end: the session has nothing left to wait for
///     .args(ours)
///     .create(&kernel)?;
/// peer.write_all(b"hello\n").await.unwrap();
/// peer.shutdown().await.unwrap();
/// kernel.run().await?;
/// let mut answer = String::new();
/// peer.read_to_string(&mut answer).await.unwrap();
/// assert_eq!(answer, "HELLO\r\n");
/// # Ok::<(), poe::Error>(()) }).unwrap();
/// ```
#[doc(alias = "POE::Wheel::ReadWrite")]
pub struct ReadWrite {
    state: Rc<State>,
    task: Option<TaskId>,
}

/// Settings of a [`ReadWrite`].
///
/// | setting | default |
/// |---|---|
/// | [`input`](Self::input) | none: nothing is read |
/// | [`output`](Self::output) | the input's filter afresh, or [`Line`] |
/// | [`error`](Self::error), [`flushed`](Self::flushed), [`high`](Self::high), [`low`](Self::low) | not told |
/// | [`watermarks`](Self::watermarks) | none |
///
/// ```
/// use poe::{Event, filter::Line, wheel::{Input, ReadWrite}};
/// const LINE: Event<Input<String>> = Event::new("line");
/// let (_peer, io) = tokio::io::duplex(64);
/// let builder = ReadWrite::builder(io).input(Line::new(), LINE).watermarks(65_536, 4096);
/// ```
#[must_use = "a wheel turns only after `start`"]
pub struct ReadWriteBuilder {
    io: BoxedDuplex,
    parser: Option<Box<dyn Parser>>,
    formatter: Option<Box<dyn Formatter>>,
    /// The output filter was chosen, and does not follow the input's.
    chosen: bool,
    events: Events,
    marks: Option<(usize, usize)>,
    fault: Option<FilterError>,
}

impl ReadWrite {
    /// Settings for a wheel on a stream.
    pub fn builder(io: impl AsyncRead + AsyncWrite + 'static) -> ReadWriteBuilder {
        ReadWriteBuilder {
            io: Box::pin(io),
            parser: None,
            formatter: None,
            chosen: false,
            events: Events::default(),
            marks: None,
            fault: None,
        }
    }

    /// Puts a record: the output filter turns it into octets, which are written when the current handler returns (or,
    /// outside handlers, when the kernel next runs). The record must be of the type that the output filter of the moment
    /// takes; for filters that take `String` or `Bytes` a literal will do, and for `Bytes` a `String` or `Vec<u8>`, too.
    ///
    /// There is no limit but memory: heed the answer, which says whether the [high mark](ReadWriteBuilder::watermarks)
    /// is reached.
    ///
    /// # Errors
    /// The record, if the output is closed, if it is of another type, or if the filter has no form for it.
    pub fn put<T: 'static>(&self, record: T) -> Result<Level, PutError<T>> {
        let before = self.state.output.borrow().octets();
        let level = self.state.put(record)?;
        if self.state.output.borrow().octets() != before {
            self.state.note_put();
            self.schedule();
        }
        Ok(level)
    }

    /// Stops reading. Records of the block that was read last are still delivered.
    pub fn pause_input(&self) {
        self.state.pause(true);
    }

    /// Reads again, unless the input has ended.
    pub fn resume_input(&self) {
        self.state.pause(false);
        self.schedule();
    }

    /// Whether the input is paused.
    #[must_use]
    pub fn is_input_paused(&self) -> bool {
        self.state.is_paused()
    }

    /// Changes the input filter, and the event with it, since its records may be of another type. Octets that the old
    /// filter has not used move to the new one; the records that it sees in them come directly after the current
    /// handler, ahead of further input.
    ///
    /// # Errors
    /// The filter's settings make no sense; nothing has changed then.
    pub fn set_input_filter<F: Filter>(
        &self,
        filter: F,
        event: impl Posts<Input<F::Input>>,
    ) -> Result<(), FilterError> {
        filter.check()?;
        let old = self.state.set_parser(Box::new(TypedParser::new(filter, event)));
        drop(old);
        self.schedule();
        Ok(())
    }

    /// Changes the output filter, for later puts; octets that wait keep the form they have.
    ///
    /// # Errors
    /// The filter's settings make no sense; nothing has changed then.
    pub fn set_output_filter<F: Filter>(&self, filter: F) -> Result<(), FilterError> {
        filter.check()?;
        self.state.set_formatter(Box::new(TypedFormatter(filter)));
        Ok(())
    }

    /// Changes both filters to one protocol; see [`set_input_filter`](Self::set_input_filter).
    ///
    /// # Errors
    /// The filter's settings make no sense; nothing has changed then.
    pub fn set_filter<F: Filter>(&self, filter: F, event: impl Posts<Input<F::Input>>) -> Result<(), FilterError> {
        let output = filter.fresh();
        self.set_input_filter(filter, event)?;
        self.set_output_filter(output)
    }

    /// A copy of the octets that the input filter has not made a record of: after an end of input, what was left.
    #[doc(alias = "get_input_filter")]
    #[doc(alias = "get_pending")]
    #[must_use]
    pub fn input_pending(&self) -> Bytes {
        self.state
            .with_parser(|parser| Bytes::copy_from_slice(parser.pending()))
            .unwrap_or_default()
    }

    /// Ends reading for good, without an event; what was read and not delivered is dropped.
    pub fn shutdown_input(&self) {
        self.state.shut_input();
        self.schedule();
    }

    /// Ends writing for good, without an event. What waits is *not* written: the peer sees the end of its input next.
    pub fn shutdown_output(&self) {
        self.state.shut_output(false);
        self.schedule();
    }

    /// Ends writing once everything that was put has been written; nothing more can be put.
    #[doc(alias = "shutdown_output")]
    pub fn shutdown_output_after_flush(&self) {
        self.state.shut_output(true);
        self.schedule();
    }

    /// Asks for a flushed event when everything has been written, even if nothing waits now.
    pub fn flush(&self) {
        self.state.ask_flush();
        self.schedule();
    }

    /// Octets that were put and not written.
    #[doc(alias = "get_driver_out_octets")]
    #[must_use]
    pub fn out_octets(&self) -> usize {
        self.state.output.borrow().octets()
    }

    /// Records that were put and not wholly written.
    #[doc(alias = "get_driver_out_messages")]
    #[must_use]
    pub fn out_messages(&self) -> usize {
        self.state.output.borrow().messages()
    }

    /// Whether nothing can be put any more: the output was shut down, or a write has failed.
    #[must_use]
    pub fn is_output_closed(&self) -> bool {
        self.state.is_output_closed()
    }

    /// Moves the high mark, in octets. If more than that waits already, the high event follows.
    ///
    /// # Errors
    /// The wheel was made without marks, or the mark would not be above the low one.
    pub fn set_high_mark(&self, high: usize) -> Result<(), Error> {
        let low = self.state.marks.get().map(|(_, low)| low);
        self.set_marks(low.map(|low| (high, low)))
    }

    /// Moves the low mark, in octets.
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
        self.state.note_put();
        self.schedule();
        Ok(())
    }

    /// Has errors come as that event from now on.
    #[doc(alias = "event")]
    pub fn set_error_event(&self, event: impl Posts<IoError>) {
        let old = self.state.events.borrow_mut().error.replace(HeldName::new(event.key()));
        drop(old);
    }

    /// Has flushes come as that event from now on, or not at all.
    #[doc(alias = "event")]
    pub fn set_flushed_event<K: Posts<WheelId>>(&self, event: Option<K>) {
        let event = event.map(|event| HeldName::new(event.key()));
        let old = std::mem::replace(&mut self.state.events.borrow_mut().flushed, event);
        drop(old);
    }

    /// Ends the wheel in good order, without further events: what was put is written, the peer sees the end, and what it
    /// is still sending is read and dropped for up to `linger`, so that closing does not reset the connection and cost
    /// the peer what was written. A silent peer is not waited for; zero waits for none. The session is kept alive until
    /// that is done.
    pub fn close(mut self, linger: Duration) {
        if self.state.is_closable()
            && let Some(task) = self.task.take()
        {
            self.state.base.silence();
            self.state.close(linger);
            self.state.schedule(Some(task));
        }
    }

    fn schedule(&self) {
        self.state.schedule(self.task);
    }
}

wheel_methods!(ReadWrite, |wheel| wheel.state.base, wheel.task);

impl Drop for ReadWrite {
    fn drop(&mut self) {
        if let Some(task) = self.task.take() {
            self.state.base.end([task]);
        }
    }
}

impl fmt::Debug for ReadWrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadWrite")
            .field("id", &self.id())
            .field("out_octets", &self.out_octets())
            .field("paused", &self.is_input_paused())
            .field("output_closed", &self.is_output_closed())
            .finish_non_exhaustive()
    }
}

fn check_marks(high: usize, low: usize) -> Result<(), Error> {
    if 0 < low && low < high {
        return Ok(());
    }
    let what = format!("watermarks must be 0 < low < high, not low {low} and high {high}");
    Err(ErrorKind::Invalid(what).into())
}

impl ReadWriteBuilder {
    /// Reads by that filter; each record comes as that event.
    #[doc(alias = "InputEvent")]
    #[doc(alias = "InputFilter")]
    #[doc(alias = "Filter")]
    pub fn input<F: Filter>(self, filter: F, event: impl Posts<Input<F::Input>>) -> Self {
        let output = (!self.chosen).then(|| filter.fresh());
        self.reads(filter, output, |filter| TypedParser::new(filter, event))
    }

    /// Like [`input`](Self::input), for an event that takes the bare record.
    pub(crate) fn bare_input<F: Filter>(self, filter: F, event: impl Posts<F::Input>) -> Self {
        let output = (!self.chosen).then(|| filter.fresh());
        self.reads(filter, output, |filter| TypedParser::bare(filter, event))
    }

    fn reads<F: Filter>(mut self, filter: F, output: Option<F>, parser: impl FnOnce(F) -> TypedParser<F>) -> Self {
        self.check(&filter);
        if let Some(output) = output {
            self.formatter = Some(Box::new(TypedFormatter(output)));
        }
        self.parser = Some(Box::new(parser(filter)));
        self
    }

    /// Writes by that filter.
    #[doc(alias = "OutputFilter")]
    pub fn output<F: Filter>(mut self, filter: F) -> Self {
        self.check(&filter);
        self.formatter = Some(Box::new(TypedFormatter(filter)));
        self.chosen = true;
        self
    }

    /// Tells of errors and of the end of the input. Without it both are silent, but for errors of the filter, which are
    /// a `DIE` of the session then.
    #[doc(alias = "ErrorEvent")]
    pub fn error(mut self, event: impl Posts<IoError>) -> Self {
        self.events.error = Some(HeldName::new(event.key()));
        self
    }

    /// Tells when everything that was put has been written.
    #[doc(alias = "FlushedEvent")]
    pub fn flushed(mut self, event: impl Posts<WheelId>) -> Self {
        self.events.flushed = Some(HeldName::new(event.key()));
        self
    }

    /// Watches how much waits to be written, in octets: at `high` the high event comes, back at `low` the low event.
    #[doc(alias = "HighMark")]
    #[doc(alias = "LowMark")]
    pub fn watermarks(mut self, high: usize, low: usize) -> Self {
        self.marks = Some((high, low));
        self
    }

    /// Tells when the high mark is reached; needs [`watermarks`](Self::watermarks).
    #[doc(alias = "HighEvent")]
    pub fn high(mut self, event: impl Posts<WheelId>) -> Self {
        self.events.high = Some(HeldName::new(event.key()));
        self
    }

    /// Tells when the output has fallen to the low mark; needs [`watermarks`](Self::watermarks).
    #[doc(alias = "LowEvent")]
    pub fn low(mut self, event: impl Posts<WheelId>) -> Self {
        self.events.low = Some(HeldName::new(event.key()));
        self
    }

    fn check<F: Filter>(&mut self, filter: &F) {
        if let Err(error) = filter.check() {
            self.fault.get_or_insert(error);
        }
    }

    /// Starts the wheel for the session that is running; pass the handler's context. It reads and writes as soon as the
    /// handler returns.
    ///
    /// # Errors
    /// A filter's settings make no sense; the marks are not `0 < low < high`, or there is a high or low event without
    /// them.
    #[track_caller]
    pub fn start(self, turn: &Turn<'_>) -> Result<ReadWrite, Error> {
        let place = Location::caller();
        if let Some(fault) = self.fault {
            return Err(ErrorKind::Invalid(fault.to_string()).into());
        }
        match self.marks {
            Some((high, low)) => check_marks(high, low)?,
            None if self.events.high.is_some() || self.events.low.is_some() => {
                return Err(ErrorKind::Invalid("high and low events need watermarks".to_owned()).into());
            }
            None => {}
        }
        let formatter = self.formatter.unwrap_or_else(|| Box::new(TypedFormatter(Line::new())));
        let base = Base::new(turn, place);
        let what = format!("ReadWrite {}", base.id());
        let state = State::new(base, self.parser, formatter, self.events, self.marks);
        let body = Box::new(Pump::new(state.clone(), self.io));
        let task = state.base.start(&what, false, body);
        Ok(ReadWrite { state, task })
    }
}

impl fmt::Debug for ReadWriteBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadWriteBuilder")
            .field("watermarks", &self.marks)
            .finish_non_exhaustive()
    }
}
