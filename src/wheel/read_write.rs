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
use super::pump::handle::{self, BoxedDuplex};
use super::pump::{Events, Formatter, Input, Level, Parser, Pump, Setup, State, TypedFormatter, TypedParser};
use crate::driver::SysRW;
use crate::error::{Error, ErrorKind};
use crate::event::Posts;
use crate::filter::{Filter, FilterError, Line, Seam};
use crate::id::WheelId;
use crate::kernel::Turn;
use crate::name::HeldName;
use bytes::Bytes;
use std::any::{TypeId, type_name};
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
}

/// Settings of a [`ReadWrite`].
///
/// | setting | default |
/// |---|---|
/// | [`input`](Self::input) | none: nothing is read |
/// | [`output`](Self::output) | the input's filter afresh, or [`Line`] |
/// | [`error`](Self::error), [`flushed`](Self::flushed), [`high`](Self::high), [`low`](Self::low) | not told |
/// | [`watermarks`](Self::watermarks) | none |
/// | [`driver`](Self::driver) | [`SysRW::new`]: blocks of up to 65 536 octets |
/// | [`auto_flush`](Self::auto_flush) | off: what is put is written when the handler returns |
/// | [`unread`](Self::unread), [`unwritten`](Self::unwritten) | nothing |
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
    driver: SysRW,
    auto_flush: bool,
    unread: Bytes,
    unwritten: Bytes,
    seam: Seam,
    fault: Option<FilterError>,
}

/// What a wheel was made of, when it is [taken apart](ReadWrite::into_parts).
#[derive(Debug)]
#[non_exhaustive]
pub struct Parts<T> {
    /// The stream.
    pub io: T,
    /// What was read and is part of no record that was delivered. For a wheel that follows on the same stream:
    /// [`unread`](ReadWriteBuilder::unread).
    pub unread: Bytes,
    /// What was put and not written, in the form that the filter gave it: [`unwritten`](ReadWriteBuilder::unwritten).
    pub unwritten: Bytes,
    /// A newline may be half read: the filter that follows must not see its other half.
    seam: Seam,
}

impl ReadWrite {
    /// Settings for a wheel on a stream, which serves both directions.
    #[doc(alias = "Handle")]
    pub fn builder(io: impl AsyncRead + AsyncWrite + 'static) -> ReadWriteBuilder {
        ReadWriteBuilder::new(handle::whole(io))
    }

    /// Settings for a wheel that reads from one handle and writes to another, such as the ends of two pipes. Each is
    /// dropped as soon as its direction is shut down. Where there is none for a direction, [`tokio::io::empty`] and
    /// [`tokio::io::sink`] will do.
    ///
    /// ```
    /// use poe::{pipe::OneWay, wheel::ReadWrite};
    /// # tokio_test::block_on(async {
    /// let (from_child, _) = OneWay::new()?;
    /// let (_, to_child) = OneWay::new()?;
    /// let builder = ReadWrite::with_handles(from_child, to_child);
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    #[doc(alias = "InputHandle")]
    #[doc(alias = "OutputHandle")]
    pub fn with_handles(input: impl AsyncRead + 'static, output: impl AsyncWrite + 'static) -> ReadWriteBuilder {
        ReadWriteBuilder::new(handle::pair(input, output))
    }

    /// Settings for a wheel that goes on where [another](Self::into_parts) was, with what that one had read and not
    /// written. Name its events and filters as usual.
    pub fn from_parts<T: AsyncRead + AsyncWrite + 'static>(parts: Parts<T>) -> ReadWriteBuilder {
        let mut builder = ReadWrite::builder(parts.io)
            .unread(parts.unread)
            .unwritten(parts.unwritten);
        builder.seam = parts.seam;
        builder
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
        self.state.put(record)
    }

    /// Stops reading. Records of the block that was read last are still delivered.
    pub fn pause_input(&self) {
        self.state.pause(true);
    }

    /// Reads again, unless the input has ended.
    pub fn resume_input(&self) {
        self.state.pause(false);
        self.state.schedule();
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
        self.state.schedule();
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

    /// Has records come as that event from now on, with the filter that there is; `None::<Event<_>>` stops reading, and
    /// what the filter holds waits for an event to be named again. A pause stays a pause (POE undoes it).
    ///
    /// # Errors
    /// The wheel has no input filter, or its records are not of that type; nothing has changed then.
    ///
    /// ```
    /// # use poe::{Event, wheel::{Input, ReadWrite}};
    /// const BODY: Event<Input<String>> = Event::new("body");
    /// fn headers_are_over(wheel: &ReadWrite) -> Result<(), poe::Error> {
    ///     wheel.set_input_event(Some(BODY))
    /// }
    /// ```
    #[doc(alias = "event")]
    pub fn set_input_event<T: 'static, K: Posts<Input<T>>>(&self, event: Option<K>) -> Result<(), Error> {
        match event {
            None => self.state.set_listens(false),
            Some(event) => {
                let (event, record) = (HeldName::new(event.key()), TypeId::of::<T>());
                match self.state.with_parser(|parser| parser.set_event(event, record)) {
                    Some(true) => self.state.set_listens(true),
                    Some(false) => {
                        let what = format!("the wheel's input filter does not give `{}`", type_name::<T>());
                        return Err(ErrorKind::Invalid(what).into());
                    }
                    None => {
                        let what = "the wheel has no input filter, or it is at work further up the stack";
                        return Err(ErrorKind::Invalid(what.to_owned()).into());
                    }
                }
            }
        }
        self.state.schedule();
        Ok(())
    }

    /// Lends the input filter to `f`: to change its settings, or to look at what is pending. `None` if it is not of that
    /// type, or is at work further up the stack. The records that it sees afterwards come directly after the current
    /// handler.
    ///
    /// ```
    /// # use poe::{filter::{Filter, Line}, wheel::ReadWrite};
    /// fn half_a_line(wheel: &ReadWrite) -> Option<Vec<u8>> {
    ///     wheel.with_input_filter(|line: &mut Line| line.get_pending().to_vec())
    /// }
    /// ```
    #[doc(alias = "get_input_filter")]
    pub fn with_input_filter<F: Filter, T>(&self, f: impl FnOnce(&mut F) -> T) -> Option<T> {
        let result = self
            .state
            .with_parser(|parser| parser.filter()?.downcast_mut().map(f))
            .flatten();
        self.state.note_reparse();
        self.state.schedule();
        result
    }

    /// Lends the output filter to `f`, likewise.
    #[doc(alias = "get_output_filter")]
    pub fn with_output_filter<F: Filter, T>(&self, f: impl FnOnce(&mut F) -> T) -> Option<T> {
        self.state
            .with_formatter(|formatter| formatter.filter().downcast_mut().map(f))
            .flatten()
    }

    /// Lends the handle that is read from to `f`, for what it knows and can be told beside reading and writing. `None` if it
    /// is not of that type, or gone.
    ///
    /// ```
    /// use poe::wheel::{ReadWrite, SocketName, SocketStream};
    /// fn peer(wheel: &ReadWrite) -> Option<SocketName> {
    ///     wheel.with_input_handle(|socket: &SocketStream| socket.peer_name().ok())?
    /// }
    /// ```
    #[doc(alias = "get_input_handle")]
    pub fn with_input_handle<H: 'static, T>(&self, f: impl FnOnce(&H) -> T) -> Option<T> {
        self.state.with_io(|io| io.input()?.downcast_ref().map(f)).flatten()
    }

    /// Lends the handle that is written to to `f`, likewise.
    #[doc(alias = "get_output_handle")]
    pub fn with_output_handle<H: 'static, T>(&self, f: impl FnOnce(&H) -> T) -> Option<T> {
        self.state.with_io(|io| io.output()?.downcast_ref().map(f)).flatten()
    }

    /// Takes the wheel apart, without an event: the stream, what was read and not delivered, and what was put and not
    /// written. For a change of what is under the wheel, such as TLS after a `STARTTLS`, or for another wheel on the same
    /// stream, which POE's cannot be followed by.
    ///
    /// # Errors
    /// The wheel itself, if the stream is not a `T`, is one of two handles, or is gone.
    ///
    /// ```
    /// use poe::wheel::{ReadWrite, SocketStream};
    /// fn start_tls(wheel: ReadWrite) -> Option<SocketStream> {
    ///     let parts = wheel.into_parts::<SocketStream>().ok()?;
    ///     // What came before the hand-shake was not protected by it, and must not be taken for what comes after it.
    ///     parts.unread.is_empty().then_some(parts.io)
    /// }
    /// ```
    pub fn into_parts<T: Unpin + 'static>(self) -> Result<Parts<T>, ReadWrite> {
        let state = self.state.clone();
        let Some(io) = state.take_io() else { return Err(self) };
        if io.input().is_none_or(|input| !input.is::<T>()) {
            state.put_back_io(io);
            return Err(self);
        }
        let Some(io) = handle::unwrap(io) else { return Err(self) };
        let (unread, seam) = state.leave();
        let unwritten = state.driver.output().borrow_mut().take();
        drop(self);
        Ok(Parts {
            io,
            unread,
            unwritten,
            seam,
        })
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

    /// Ends reading for good, without an event; what was read and not delivered is dropped. A handle of its own goes; a
    /// local socket tells the other end, which a TCP socket cannot.
    pub fn shutdown_input(&self) {
        self.state.shut_input();
        self.state.schedule();
    }

    /// Ends writing for good, without an event. What waits is *not* written: the peer sees the end of its input next.
    pub fn shutdown_output(&self) {
        self.state.shut_output(false);
        self.state.schedule();
    }

    /// Ends writing once everything that was put has been written; nothing more can be put.
    #[doc(alias = "shutdown_output")]
    pub fn shutdown_output_after_flush(&self) {
        self.state.shut_output(true);
        self.state.schedule();
    }

    /// Writes what waits at once, as far as the stream takes it, instead of when the handler returns. The flushed event
    /// comes after the handler, when nothing waits any more, even if nothing did.
    pub fn flush(&self) {
        self.state.ask_flush();
        self.state.write_now();
    }

    /// Octets that were put and not written.
    #[doc(alias = "get_driver_out_octets")]
    #[must_use]
    pub fn out_octets(&self) -> usize {
        self.state.driver.out_octets()
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
        self.state.note_output();
        self.state.schedule();
        Ok(())
    }

    /// Has errors come as that event from now on, or not at all: `None::<&str>`.
    #[doc(alias = "event")]
    pub fn set_error_event<K: Posts<IoError>>(&self, event: Option<K>) {
        self.rename(event.map(|event| HeldName::new(event.key())), |events| {
            &mut events.error
        });
    }

    /// Has flushes come as that event from now on, or not at all.
    #[doc(alias = "event")]
    pub fn set_flushed_event<K: Posts<WheelId>>(&self, event: Option<K>) {
        self.rename(event.map(|event| HeldName::new(event.key())), |events| {
            &mut events.flushed
        });
    }

    /// Has the rise to the high mark come as that event from now on, or not at all. It never comes on a wheel without marks.
    #[doc(alias = "event")]
    pub fn set_high_event<K: Posts<WheelId>>(&self, event: Option<K>) {
        self.rename(event.map(|event| HeldName::new(event.key())), |events| &mut events.high);
    }

    /// Has the fall to the low mark come as that event from now on, or not at all.
    #[doc(alias = "event")]
    pub fn set_low_event<K: Posts<WheelId>>(&self, event: Option<K>) {
        self.rename(event.map(|event| HeldName::new(event.key())), |events| &mut events.low);
    }

    fn rename(&self, event: Option<HeldName>, which: impl FnOnce(&mut Events) -> &mut Option<HeldName>) {
        let old = std::mem::replace(which(&mut self.state.events.borrow_mut()), event);
        drop(old);
    }

    pub(super) fn state(&self) -> &Rc<State> {
        &self.state
    }

    /// Ends the wheel in good order, without further events: what was put is written, the peer sees the end, and what it
    /// is still sending is read and dropped for up to `linger`, so that closing does not reset the connection and cost
    /// the peer what was written. A silent peer is not waited for; zero waits for none. The session is kept alive until
    /// that is done.
    pub fn close(self, linger: Duration) {
        if self.state.is_closable()
            && let Some(task) = self.state.task.take()
        {
            self.state.base.silence();
            self.state.close(linger);
            if !self.state.is_polling() {
                self.state.base.schedule(Some(task));
            }
        }
    }
}

wheel_methods!(ReadWrite, |wheel| wheel.state.base, wheel.state.task.get());

impl Drop for ReadWrite {
    fn drop(&mut self) {
        if let Some(task) = self.state.task.take() {
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

pub(super) fn check_marks(high: usize, low: usize) -> Result<(), Error> {
    if 0 < low && low < high {
        return Ok(());
    }
    let what = format!("watermarks must be 0 < low < high, not low {low} and high {high}");
    Err(ErrorKind::Invalid(what).into())
}

impl ReadWriteBuilder {
    fn new(io: BoxedDuplex) -> Self {
        ReadWriteBuilder {
            io,
            parser: None,
            formatter: None,
            chosen: false,
            events: Events::default(),
            marks: None,
            driver: SysRW::new(),
            auto_flush: false,
            unread: Bytes::new(),
            unwritten: Bytes::new(),
            seam: Seam::new(),
            fault: None,
        }
    }

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

    /// Reads and queues by that driver, for another block size. What was put into it before is written first.
    #[doc(alias = "Driver")]
    pub fn driver(mut self, driver: SysRW) -> Self {
        self.driver = driver;
        self
    }

    /// Whether a put into an empty queue is written at once, and not only when the handler returns; default false. It
    /// costs a system call for each put, and gains what a long handler would keep back.
    #[doc(alias = "AutoFlush")]
    pub fn auto_flush(mut self, auto_flush: bool) -> Self {
        self.auto_flush = auto_flush;
        self
    }

    /// Octets that were read from the stream before, and come first.
    pub fn unread(mut self, octets: impl Into<Bytes>) -> Self {
        self.unread = octets.into();
        self
    }

    /// Octets that are to be written first, as they are; behind those of a [driver](Self::driver) of your own.
    pub fn unwritten(mut self, octets: impl AsRef<[u8]>) -> Self {
        self.unwritten = Bytes::copy_from_slice(octets.as_ref());
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
        let mut driver = self.driver;
        driver.put(&self.unwritten);
        let setup = Setup {
            io: self.io,
            parser: self.parser,
            formatter: self.formatter.unwrap_or_else(|| Box::new(TypedFormatter(Line::new()))),
            events: self.events,
            marks: self.marks,
            driver,
            auto_flush: self.auto_flush,
        };
        let state = State::new(Base::new(turn, place), setup);
        state.seam.set(self.seam);
        if !self.unread.is_empty() {
            state.with_parser(|parser| parser.start(&self.unread));
            state.note_reparse();
        }
        let what = format!("ReadWrite {}", state.base.id());
        let task = state.base.start(&what, false, Box::new(Pump::new(state.clone())));
        state.task.set(task);
        Ok(ReadWrite { state })
    }
}

impl fmt::Debug for ReadWriteBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadWriteBuilder")
            .field("watermarks", &self.marks)
            .finish_non_exhaustive()
    }
}
