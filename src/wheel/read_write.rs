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
use super::pump::{
    Events, Formatter, Input, Level, Owed, Parser, Pump, Settings, Setup, State, TypedFormatter, TypedParser,
    check_marks, watermark_settings,
};
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
///
/// # What waits to be written
///
/// ```
/// # use poe::{Kernel, Session, event::START, wheel::{Level, ReadWrite}};
/// # tokio_test::block_on(async {
/// # let kernel = Kernel::new();
/// # Session::builder(()).on(START, |cx, ()| -> poe::Handled {
/// # let (_peer, io) = tokio::io::duplex(64);
/// let wheel = ReadWrite::builder(io).watermarks(16, 4).start(cx)?;
/// assert_eq!(wheel.put("0123456789")?, Level::Normal);
/// assert_eq!((wheel.out_octets(), wheel.out_messages()), (12, 1)); // with CR LF
/// assert_eq!(wheel.put("ab")?, Level::High);
/// wheel.flush(); // at once, and not when the handler returns
/// assert_eq!((wheel.out_octets(), wheel.out_messages()), (0, 0));
/// wheel.set_high_mark(64)?;
/// wheel.set_low_mark(32)?;
/// assert!(wheel.set_low_mark(64).is_err()); // not below the high mark
/// wheel.shutdown_output();
/// assert!(wheel.is_output_closed() && wheel.put("more").is_err());
/// # Ok(()) }).create(&kernel)?;
/// # kernel.run().await }).unwrap();
/// ```
///
/// # A pause of the input
///
/// ```
/// # use poe::{Event, Kernel, Session, event::START, filter::Line, testing::{self, Transcript}, wheel::{Input, ReadWrite}};
/// # use std::time::Duration;
/// # use tokio::io::{AsyncWriteExt, DuplexStream};
/// const LINE: Event<Input<String>> = Event::new("line");
/// # tokio_test::block_on(async { tokio::time::pause();
/// # let kernel = testing::kernel();
/// # let transcript = Transcript::of(&kernel);
/// # let (mut peer, ours) = tokio::io::duplex(64);
/// # peer.write_all(b"hello\n").await.unwrap();
/// # Session::builder(None::<ReadWrite>)
///     .on(START, |cx, io: DuplexStream| -> poe::Handled {
///         let wheel = ReadWrite::builder(io).input(Line::new(), LINE).start(cx)?;
///         wheel.pause_input();
///         assert!(wheel.is_input_paused());
///         *cx.heap = Some(wheel);
///         cx.delay("go on", Duration::from_secs(60), ());
///         Ok(())
///     })
///     .on("go on", |cx, ()| cx.heap.as_ref().map_or((), ReadWrite::resume_input))
///     .on(LINE, |cx, _hello| *cx.heap = None) // after a minute
/// # .args(ours).create(&kernel)?;
/// # kernel.run().await?;
/// # let times: Vec<u64> = transcript.records().iter().map(|record| record.time.as_secs()).collect();
/// # assert_eq!(times, [0, 60, 60, 60], "{transcript}");
/// # Ok::<(), poe::Error>(()) }).unwrap();
/// ```
///
/// # Events by other names
///
/// ```
/// # use poe::{Event, Kernel, Session, event::START, testing::Transcript, wheel::{IoError, ReadWrite}};
/// # use tokio::io::{AsyncWriteExt, DuplexStream};
/// const END: Event<IoError> = Event::new("the end");
/// # tokio_test::block_on(async {
/// # let kernel = Kernel::new();
/// # let transcript = Transcript::of(&kernel);
/// # let (mut peer, ours) = tokio::io::duplex(64);
/// # Session::builder(None::<ReadWrite>)
/// #   .on(START, |cx, io: DuplexStream| -> poe::Handled {
/// # let builder = ReadWrite::builder(io).input(poe::filter::Line::new(), "line");
/// let wheel = builder.watermarks(8, 4).error("error").start(cx)?;
/// wheel.set_error_event(Some(END));
/// wheel.set_high_event(Some("full"));
/// wheel.set_low_event(Some("room"));
/// wheel.set_flushed_event(Some("written")); // `None::<&str>`: none any more
/// wheel.put("0123456789")?;
/// # *cx.heap = Some(wheel);
/// # Ok(()) })
/// # .on("written", |cx, _: poe::WheelId| cx.heap.as_ref().map_or((), |wheel| wheel.set_flushed_event(None::<&str>)))
/// # .on(END, |cx, _| *cx.heap = None)
/// # .args(ours).create(&kernel)?;
/// # peer.shutdown().await.unwrap();
/// # kernel.run().await?;
/// # let events: Vec<String> = transcript.records().into_iter().map(|record| record.event).collect();
/// assert_eq!(events, ["_start", "full", "room", "written", "the end", "_stop"]);
/// # Ok::<(), poe::Error>(()) }).unwrap();
/// ```
///
/// # In another session's hands
///
/// ```
/// # use poe::{Event, Kernel, Session, event::START, wheel::ReadWrite};
/// const TAKE_OVER: Event<ReadWrite> = Event::new("take over");
/// # tokio_test::block_on(async {
/// # let kernel = Kernel::new();
/// let keeper = Session::builder(None::<ReadWrite>)
/// #   .on(START, |cx, ()| cx.alias_set("keeper"))
///     .on(TAKE_OVER, |cx, wheel| -> poe::Handled {
///         let made_by = wheel.session_id();
///         wheel.adopt(cx)?;
///         assert_eq!((made_by, wheel.session_id()), (cx.sender(), cx.session_id()));
///         println!("wheel {} has moved", wheel.id()); // the same as before
///         *cx.heap = Some(wheel);
/// #       cx.alias_remove("keeper")?;
/// #       *cx.heap = None;
///         Ok(())
///     })
///     .create(&kernel)?;
/// # Session::builder(()).on(START, move |cx, ()| -> poe::Handled {
/// # let (_peer, io) = tokio::io::duplex(64);
/// // In a handler of the session that has it:
/// let wheel = ReadWrite::builder(io).start(cx)?;
/// cx.post(keeper, TAKE_OVER, wheel)?;
/// # Ok(()) }).create(&kernel)?;
/// # kernel.run().await }).unwrap();
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
/// # use poe::{Event, Kernel, Session, WheelId, event::START, driver::SysRW, filter::{Line, Stream}};
/// # use poe::{testing::Transcript, wheel::{Input, IoError, ReadWrite}};
/// # use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
/// # const LINE: Event<Input<String>> = Event::new("line");
/// # const ERROR: Event<IoError> = Event::new("error");
/// # const FLUSHED: Event<WheelId> = Event::new("flushed");
/// # const HIGH: Event<WheelId> = Event::new("high");
/// # const LOW: Event<WheelId> = Event::new("low");
/// # tokio_test::block_on(async {
/// # let kernel = Kernel::new();
/// # let transcript = Transcript::of(&kernel);
/// # let (mut peer, ours) = tokio::io::duplex(64);
/// # Session::builder(None::<ReadWrite>)
/// # .on(START, |cx, io: DuplexStream| -> poe::Handled {
/// let wheel = ReadWrite::builder(io)
///     .input(Line::new(), LINE)
///     .output(Stream::new()) // octets as they are; else lines as well
///     .error(ERROR)
///     .flushed(FLUSHED)
///     .watermarks(8, 4).high(HIGH).low(LOW)
///     .driver(SysRW::with_block_size(1024)?)
///     .unread("read ahead\r\n") // by whoever had the stream before
///     .unwritten("220 ready\r\n")
///     .auto_flush(true)
///     .start(cx)?;
/// assert!(wheel.put("hello\r\n")?.is_high());
/// assert_eq!(wheel.out_octets(), 18);
/// # *cx.heap = Some(wheel);
/// # Ok(()) })
/// # .on(LINE, |_, input| assert_eq!(input.record, "read ahead"))
/// # .on(ERROR, |cx, _| *cx.heap = None)
/// # .args(ours).create(&kernel)?;
/// # peer.shutdown().await?;
/// # kernel.run().await?;
/// # let events: Vec<String> = transcript.records().into_iter().map(|record| record.event).collect();
/// assert_eq!(events, ["_start", "high", "line", "low", "flushed", "error", "_stop"]);
/// # let mut text = String::new();
/// # peer.read_to_string(&mut text).await?;
/// # assert_eq!(text, "220 ready\r\nhello\r\n");
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
#[must_use = "a wheel turns only after `start`"]
pub struct ReadWriteBuilder {
    io: BoxedDuplex,
    parser: Option<Box<dyn Parser>>,
    formatter: Option<Box<dyn Formatter>>,
    /// The output filter was chosen, and does not follow the input's.
    chosen: bool,
    settings: Settings,
    driver: SysRW,
    auto_flush: bool,
    unread: Bytes,
    unwritten: Bytes,
    seam: Seam,
    owed: Owed,
}

/// What a wheel was made of, when it is [taken apart](ReadWrite::into_parts).
///
/// ```
/// # use poe::{Kernel, Session, event::START, filter::Line, wheel::{Parts, ReadWrite}};
/// # use tokio::io::DuplexStream;
/// # tokio_test::block_on(async {
/// # let kernel = Kernel::new();
/// # Session::builder(()).on(START, |cx, ()| -> poe::Handled {
/// # let (_peer, io) = tokio::io::duplex(64);
/// # let wheel = ReadWrite::builder(io).input(Line::new(), "line").unread("half a li").start(cx)?;
/// wheel.put("a whole line")?;
/// let parts: Parts<DuplexStream> = wheel.into_parts().expect("the stream is of this type");
/// assert_eq!(parts.unread, "half a li"); // came, and was no record yet
/// assert_eq!(parts.unwritten, "a whole line\r\n");
/// # Ok(()) }).create(&kernel)?;
/// # kernel.run().await }).unwrap();
/// ```
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
    owed: Owed,
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
    /// use poe::{Event, Kernel, Session, event::START, filter::Line, pipe::OneWay, wheel::{Input, ReadWrite}};
    /// const LINE: Event<Input<String>> = Event::new("line");
    /// # tokio_test::block_on(async {
    /// # let kernel = Kernel::new();
    /// # Session::builder(None::<ReadWrite>)
    ///     .on(START, |cx, ()| -> poe::Handled {
    ///         let (reader, writer) = OneWay::new()?;
    ///         let wheel = ReadWrite::with_handles(reader, writer).input(Line::new(), LINE).start(cx)?;
    ///         wheel.put("to myself")?;
    ///         *cx.heap = Some(wheel);
    ///         Ok(())
    ///     })
    ///     .on(LINE, |cx, input| {
    ///         assert_eq!(input.record, "to myself");
    ///         *cx.heap = None;
    ///     })
    /// # .create(&kernel)?;
    /// # kernel.run().await }).unwrap();
    /// ```
    #[doc(alias = "InputHandle")]
    #[doc(alias = "OutputHandle")]
    pub fn with_handles(input: impl AsyncRead + 'static, output: impl AsyncWrite + 'static) -> ReadWriteBuilder {
        ReadWriteBuilder::new(handle::pair(input, output))
    }

    /// Settings for a wheel that goes on where [another](Self::into_parts) was, with what that one had read and not
    /// written. Name its events and filters as usual. If that one has told of its high mark and not of the low one, this
    /// one does.
    ///
    /// ```
    /// # use poe::{Event, Kernel, Session, event::START, filter::{Line, Stream}, wheel::{Input, ReadWrite}};
    /// # use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
    /// # use std::time::Duration;
    /// # use bytes::Bytes;
    /// # const LINE: Event<Input<String>> = Event::new("line");
    /// const OCTETS: Event<Input<Bytes>> = Event::new("octets");
    /// # tokio_test::block_on(async {
    /// # let kernel = Kernel::new();
    /// # let (mut peer, ours) = tokio::io::duplex(64);
    /// # peer.write_all(b"UPGRADE\r\n\x01\x02").await?;
    /// # Session::builder(None::<ReadWrite>)
    /// # .on(START, |cx, io: DuplexStream| -> poe::Handled {
    /// #     *cx.heap = Some(ReadWrite::builder(io).input(Line::new(), LINE).start(cx)?);
    /// #     Ok(())
    /// # })
    /// // The peer has sent b"UPGRADE\r\n\x01\x02" in one piece.
    ///     .on(LINE, |cx, upgrade| -> poe::Handled {
    ///         let Some(wheel) = cx.heap.take() else { return Ok(()) };
    ///         wheel.put("upgraded")?;
    ///         let parts = wheel.into_parts::<DuplexStream>().expect("the stream is of this type");
    ///         *cx.heap = Some(ReadWrite::from_parts(parts).input(Stream::new(), OCTETS).start(cx)?);
    ///         Ok(())
    ///     })
    ///     .on(OCTETS, |cx, input| {
    ///         assert_eq!(input.record, &b"\x01\x02"[..]);
    ///         // Not dropped: the answer waits in this wheel now.
    ///         cx.heap.take().map_or((), |wheel| wheel.close(Duration::ZERO))
    ///     })
    /// # .args(ours).create(&kernel)?;
    /// # kernel.run().await?;
    /// # let mut text = String::new();
    /// # peer.read_to_string(&mut text).await?;
    /// # assert_eq!(text, "upgraded\r\n");
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    pub fn from_parts<T: AsyncRead + AsyncWrite + 'static>(parts: Parts<T>) -> ReadWriteBuilder {
        let mut builder = ReadWrite::builder(parts.io)
            .unread(parts.unread)
            .unwritten(parts.unwritten);
        builder.seam = parts.seam;
        builder.owed = parts.owed;
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
    ///
    /// ```
    /// # use poe::{Event, Kernel, Session, event::START, filter::{Block, Line}, wheel::{Input, ReadWrite}};
    /// # use tokio::io::{AsyncWriteExt, DuplexStream};
    /// # use bytes::Bytes;
    /// # const LINE: Event<Input<String>> = Event::new("line");
    /// const BODY: Event<Input<Bytes>> = Event::new("body");
    /// # tokio_test::block_on(async {
    /// # let kernel = Kernel::new();
    /// # let (mut peer, ours) = tokio::io::duplex(64);
    /// # peer.write_all(b"LENGTH 6\r\na\nbody").await?;
    /// # Session::builder(None::<ReadWrite>)
    /// # .on(START, |cx, io: DuplexStream| -> poe::Handled {
    /// #     *cx.heap = Some(ReadWrite::builder(io).input(Line::new(), LINE).start(cx)?);
    /// #     Ok(())
    /// # })
    /// // The peer has sent b"LENGTH 6\r\na\nbody" in one piece.
    ///     .on(LINE, |cx, input| -> poe::Handled {
    ///         let length = input.record.trim_start_matches("LENGTH ").parse()?;
    ///         if let Some(wheel) = &*cx.heap {
    ///             wheel.set_input_filter(Block::fixed(length), BODY)?;
    ///         }
    ///         Ok(())
    ///     })
    ///     .on(BODY, |cx, input| {
    ///         assert_eq!(input.record, "a\nbody");
    ///         *cx.heap = None;
    ///     })
    /// # .args(ours).create(&kernel)?;
    /// # kernel.run().await?;
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
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
    ///
    /// ```
    /// # use poe::{Kernel, Session, event::START, filter::{Block, Line}, wheel::ReadWrite};
    /// # use tokio::io::{AsyncReadExt, DuplexStream};
    /// # tokio_test::block_on(async {
    /// # let kernel = Kernel::new();
    /// # let (mut peer, ours) = tokio::io::duplex(64);
    /// # Session::builder(()).on(START, |cx, io: DuplexStream| -> poe::Handled {
    /// let wheel = ReadWrite::builder(io).output(Line::new()).start(cx)?;
    /// wheel.put("blocks from now on")?;
    /// wheel.set_output_filter(Block::new())?;
    /// wheel.put("a block\n")?;
    /// assert!(wheel.set_output_filter(Line::new().literal("")).is_err()); // the old one stays
    /// wheel.put("another")?;
    /// # wheel.flush();
    /// # Ok(()) }).args(ours).create(&kernel)?;
    /// # kernel.run().await?;
    /// # let mut text = String::new();
    /// # peer.read_to_string(&mut text).await?;
    /// assert_eq!(text, "blocks from now on\r\n8\0a block\n7\0another");
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    pub fn set_output_filter<F: Filter>(&self, filter: F) -> Result<(), FilterError> {
        filter.check()?;
        self.state.set_formatter(Box::new(TypedFormatter(filter)));
        Ok(())
    }

    /// Changes both filters to one protocol; see [`set_input_filter`](Self::set_input_filter).
    ///
    /// # Errors
    /// The filter's settings make no sense; nothing has changed then.
    ///
    /// ```
    /// # use poe::{Event, Kernel, Session, event::START, filter::{Block, Line}, wheel::{Input, ReadWrite}};
    /// # use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
    /// # use std::time::Duration;
    /// # use bytes::Bytes;
    /// # const LINE: Event<Input<String>> = Event::new("line");
    /// const BLOCK: Event<Input<Bytes>> = Event::new("block");
    /// # tokio_test::block_on(async {
    /// # let kernel = Kernel::new();
    /// # let (mut peer, ours) = tokio::io::duplex(64);
    /// # peer.write_all(b"BLOCKS\r\n5\0hello").await?;
    /// # Session::builder(None::<ReadWrite>)
    /// # .on(START, |cx, io: DuplexStream| -> poe::Handled {
    /// #     *cx.heap = Some(ReadWrite::builder(io).input(Line::new(), LINE).start(cx)?);
    /// #     Ok(())
    /// # })
    /// // The peer has sent b"BLOCKS\r\n5\0hello" in one piece.
    ///     .on(LINE, |cx, _blocks| -> poe::Handled {
    ///         if let Some(wheel) = &*cx.heap {
    ///             wheel.set_filter(Block::new(), BLOCK)?;
    ///             wheel.put("blocks it is")?;
    ///         }
    ///         Ok(())
    ///     })
    ///     .on(BLOCK, |cx, input| {
    ///         assert_eq!(input.record, "hello");
    ///         cx.heap.take().map_or((), |wheel| wheel.close(Duration::ZERO))
    ///     })
    /// # .args(ours).create(&kernel)?;
    /// # kernel.run().await?;
    /// # let mut answer = String::new();
    /// # peer.read_to_string(&mut answer).await?;
    /// assert_eq!(answer, "12\0blocks it is");
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
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
    /// # use poe::{Event, Kernel, Session, event::START, filter::Line, wheel::{Input, ReadWrite}};
    /// # use tokio::io::{AsyncWriteExt, DuplexStream};
    /// const HEADER: Event<Input<String>> = Event::new("header");
    /// const BODY: Event<Input<String>> = Event::new("body");
    /// # tokio_test::block_on(async {
    /// # let kernel = Kernel::new();
    /// # let (mut peer, ours) = tokio::io::duplex(64);
    /// # peer.write_all(b"Subject: none\r\n\r\nthe text\r\n").await?;
    /// # Session::builder(None::<ReadWrite>)
    /// # .on(START, |cx, io: DuplexStream| -> poe::Handled {
    /// #     *cx.heap = Some(ReadWrite::builder(io).input(Line::new(), HEADER).start(cx)?);
    /// #     Ok(())
    /// # })
    /// // The peer has sent b"Subject: none\r\n\r\nthe text\r\n" in one piece.
    ///     .on(HEADER, |cx, line| -> poe::Handled {
    ///         match &*cx.heap {
    ///             Some(wheel) if line.record.is_empty() => wheel.set_input_event(Some(BODY))?,
    ///             _ => assert_eq!(line.record, "Subject: none"),
    ///         }
    ///         Ok(())
    ///     })
    ///     .on(BODY, |cx, line| {
    ///         assert_eq!(line.record, "the text");
    ///         *cx.heap = None;
    ///     })
    /// # .args(ours).create(&kernel)?;
    /// # kernel.run().await?;
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
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
    /// # use poe::{Event, Kernel, Session, event::START, filter::{Filter, Line, Stream}, wheel::{Input, ReadWrite}};
    /// # use tokio::io::{AsyncWriteExt, DuplexStream};
    /// # const LINE: Event<Input<String>> = Event::new("line");
    /// # tokio_test::block_on(async {
    /// # let kernel = Kernel::new();
    /// # let (mut peer, ours) = tokio::io::duplex(64);
    /// # peer.write_all(b"a line\r\nhalf a li").await?;
    /// # Session::builder(None::<ReadWrite>)
    /// # .on(START, |cx, io: DuplexStream| -> poe::Handled {
    /// #     *cx.heap = Some(ReadWrite::builder(io).input(Line::new(), LINE).start(cx)?);
    /// #     Ok(())
    /// # })
    /// // The peer has sent b"a line\r\nhalf a li" in one piece.
    ///     .on(LINE, |cx, _a_line| {
    ///         if let Some(wheel) = cx.heap.take() {
    ///             let waits = wheel.with_input_filter(|line: &mut Line| line.get_pending().len());
    ///             assert_eq!(waits, Some(9));
    ///             assert!(wheel.with_input_filter(|_: &mut Stream| ()).is_none()); // it is a `Line`
    ///         }
    ///     })
    /// # .args(ours).create(&kernel)?;
    /// # kernel.run().await?;
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
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
    ///
    /// ```
    /// # use poe::{Kernel, Session, event::START, filter::{Line, Stream}, wheel::ReadWrite};
    /// # use tokio::io::{AsyncReadExt, DuplexStream};
    /// # tokio_test::block_on(async {
    /// # let kernel = Kernel::new();
    /// # let (mut peer, ours) = tokio::io::duplex(64);
    /// # Session::builder(()).on(START, |cx, io: DuplexStream| -> poe::Handled {
    /// let wheel = ReadWrite::builder(io).output(Line::new()).start(cx)?;
    /// let changed = wheel.with_output_filter(|line: &mut Line| *line = Line::new().output_literal("\n"));
    /// assert_eq!(changed, Some(()));
    /// assert!(wheel.with_output_filter(|_: &mut Stream| ()).is_none()); // it is a `Line`
    /// wheel.put("hello")?;
    /// # wheel.flush();
    /// # Ok(()) }).args(ours).create(&kernel)?;
    /// # kernel.run().await?;
    /// # let mut text = String::new();
    /// # peer.read_to_string(&mut text).await?;
    /// assert_eq!(text, "hello\n");
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
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
    /// # use poe::{Kernel, Session, event::START, wheel::ReadWrite};
    /// use tokio::net::{TcpListener, TcpStream};
    /// # tokio_test::block_on(async {
    /// # let kernel = Kernel::new();
    /// let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// let there = listener.local_addr()?;
    /// # let ours = TcpStream::connect(there).await?;
    /// # Session::builder(()).on(START, move |cx, stream: TcpStream| -> poe::Handled {
    /// // With a stream that was connected to the listener:
    /// let wheel = ReadWrite::builder(stream).start(cx)?;
    /// assert_eq!(wheel.with_input_handle(|socket: &TcpStream| socket.peer_addr().ok()), Some(Some(there)));
    /// # Ok(()) }).args(ours).create(&kernel)?;
    /// # kernel.run().await?;
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    #[doc(alias = "get_input_handle")]
    pub fn with_input_handle<H: 'static, T>(&self, f: impl FnOnce(&H) -> T) -> Option<T> {
        self.state.with_io(|io| io.input()?.downcast_ref().map(f)).flatten()
    }

    /// Lends the handle that is written to to `f`, likewise.
    ///
    /// ```
    /// # use poe::{Kernel, Session, event::START, wheel::ReadWrite};
    /// use poe::pipe::{Kind, OneWay, PipeReader, PipeWriter};
    /// # tokio_test::block_on(async {
    /// # let kernel = Kernel::new();
    /// # Session::builder(()).on(START, |cx, ()| -> poe::Handled {
    /// let (reader, writer) = OneWay::new()?;
    /// let wheel = ReadWrite::with_handles(reader, writer).start(cx)?; // talks to itself
    /// assert_eq!(wheel.with_output_handle(|pipe: &PipeWriter| pipe.kind()), Some(Kind::Pipe));
    /// assert_eq!(wheel.with_output_handle(|pipe: &PipeReader| pipe.kind()), None);
    /// # Ok(()) }).create(&kernel)?;
    /// # kernel.run().await }).unwrap();
    /// ```
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
    /// # use poe::{Event, Kernel, Session, event::START, filter::Line, wheel::{Input, ReadWrite}};
    /// # use tokio::io::{AsyncWriteExt, DuplexStream};
    /// # const LINE: Event<Input<String>> = Event::new("line");
    /// fn start_tls(wheel: ReadWrite) -> Option<DuplexStream> {
    ///     let parts = wheel.into_parts::<DuplexStream>().ok()?;
    ///     // What came before the hand-shake was not protected by it, and must not be taken for what comes after it.
    ///     parts.unread.is_empty().then_some(parts.io)
    /// }
    /// # tokio_test::block_on(async {
    /// # let kernel = Kernel::new();
    /// # let (mut peer, ours) = tokio::io::duplex(64);
    /// # peer.write_all(b"STARTTLS\r\nNOT YET").await?;
    /// # Session::builder(None::<ReadWrite>)
    /// # .on(START, |cx, io: DuplexStream| -> poe::Handled {
    /// #     *cx.heap = Some(ReadWrite::builder(io).input(Line::new(), LINE).start(cx)?);
    /// #     Ok(())
    /// # })
    /// // The peer has sent b"STARTTLS\r\nNOT YET" in one piece.
    ///     .on(LINE, |cx, command| {
    ///         assert_eq!(command.record, "STARTTLS");
    ///         assert!(cx.heap.take().and_then(start_tls).is_none()); // the connection is closed
    ///     })
    /// # .args(ours).create(&kernel)?;
    /// # kernel.run().await?;
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
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
        let owed = state.owes();
        let unwritten = state.driver.output().borrow_mut().take();
        drop(self);
        Ok(Parts {
            io,
            unread,
            unwritten,
            seam,
            owed,
        })
    }

    /// A copy of the octets that the input filter has not made a record of: after an end of input, what was left.
    ///
    /// ```
    /// # use poe::{Event, Kernel, Session, event::START, filter::Line, wheel::{Input, IoError, ReadWrite}};
    /// # use tokio::io::{AsyncWriteExt, DuplexStream};
    /// # const LINE: Event<Input<String>> = Event::new("line");
    /// # const ERROR: Event<IoError> = Event::new("error");
    /// # tokio_test::block_on(async {
    /// # let kernel = Kernel::new();
    /// # let (mut peer, ours) = tokio::io::duplex(64);
    /// # peer.write_all(b"a line\r\nhalf a li").await?;
    /// # drop(peer);
    /// # Session::builder(None::<ReadWrite>)
    /// # .on(START, |cx, io: DuplexStream| -> poe::Handled {
    /// #     *cx.heap = Some(ReadWrite::builder(io).input(Line::new(), LINE).error(ERROR).start(cx)?);
    /// #     Ok(())
    /// # })
    /// // The peer has sent b"a line\r\nhalf a li", and no more.
    ///     .on(LINE, |_, input| assert_eq!(input.record, "a line"))
    ///     .on(ERROR, |cx, error| {
    ///         let left = cx.heap.take().map(|wheel| wheel.input_pending()).unwrap_or_default();
    ///         assert!(error.is_eof());
    ///         assert_eq!(left, "half a li");
    ///     })
    /// # .args(ours).create(&kernel)?;
    /// # kernel.run().await?;
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
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
    ///
    /// ```
    /// # use poe::{Event, Kernel, Session, event::START, filter::Line, wheel::{Input, ReadWrite}};
    /// # use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
    /// # const LINE: Event<Input<String>> = Event::new("line");
    /// # tokio_test::block_on(async {
    /// # let kernel = Kernel::new();
    /// # let (mut peer, ours) = tokio::io::duplex(64);
    /// # peer.write_all(b"one\r\ntwo\r\n").await?;
    /// # Session::builder(None::<ReadWrite>)
    /// # .on(START, |cx, io: DuplexStream| -> poe::Handled {
    /// #     *cx.heap = Some(ReadWrite::builder(io).input(Line::new(), LINE).start(cx)?);
    /// #     Ok(())
    /// # })
    /// // The peer has sent b"one\r\ntwo\r\n".
    ///     .on(LINE, |cx, input| -> poe::Handled {
    ///         assert_eq!(input.record, "one"); // and never "two"
    ///         if let Some(wheel) = &*cx.heap {
    ///             wheel.shutdown_input();
    ///             wheel.put("enough")?; // the other direction is open
    ///             wheel.shutdown_output_after_flush();
    ///         }
    ///         Ok(())
    ///     })
    /// # .args(ours).create(&kernel)?;
    /// # kernel.run().await?; // both directions are over: the wheel keeps nothing alive
    /// # let mut text = String::new();
    /// # peer.read_to_string(&mut text).await?;
    /// assert_eq!(text, "enough\r\n");
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    pub fn shutdown_input(&self) {
        self.state.shut_input();
        self.state.schedule();
    }

    /// Ends writing for good, without an event. What waits is *not* written: the peer sees the end of its input next.
    ///
    /// ```
    /// # use poe::{Kernel, Session, event::START, wheel::ReadWrite};
    /// # use tokio::io::{AsyncReadExt, DuplexStream};
    /// # tokio_test::block_on(async {
    /// # let kernel = Kernel::new();
    /// # let (mut peer, ours) = tokio::io::duplex(64);
    /// # Session::builder(None::<ReadWrite>)
    /// # .on(START, |cx, io: DuplexStream| -> poe::Handled {
    /// let wheel = ReadWrite::builder(io).start(cx)?;
    /// wheel.put("written")?;
    /// wheel.flush();
    /// wheel.put("still waiting")?;
    /// wheel.shutdown_output();
    /// assert_eq!(wheel.out_octets(), 0); // dropped
    /// # wheel.shutdown_input();
    /// # *cx.heap = Some(wheel);
    /// # Ok(()) }).args(ours).create(&kernel)?;
    /// # kernel.run().await?;
    /// # let mut text = String::new();
    /// # peer.read_to_string(&mut text).await?;
    /// assert_eq!(text, "written\r\n");
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    pub fn shutdown_output(&self) {
        self.state.shut_output(false);
        self.state.schedule();
    }

    /// Ends writing once everything that was put has been written; nothing more can be put.
    ///
    /// ```
    /// # use poe::{Kernel, Session, event::START, wheel::ReadWrite};
    /// # use tokio::io::{AsyncReadExt, DuplexStream};
    /// # tokio_test::block_on(async {
    /// # let kernel = Kernel::new();
    /// # let (mut peer, ours) = tokio::io::duplex(64);
    /// # Session::builder(None::<ReadWrite>)
    /// # .on(START, |cx, io: DuplexStream| -> poe::Handled {
    /// let wheel = ReadWrite::builder(io).start(cx)?;
    /// wheel.put("goodbye")?;
    /// wheel.shutdown_output_after_flush();
    /// assert!(wheel.put("and another thing").unwrap_err().is_closed());
    /// # wheel.shutdown_input();
    /// # *cx.heap = Some(wheel);
    /// # Ok(()) }).args(ours).create(&kernel)?;
    /// # kernel.run().await?;
    /// # let mut text = String::new();
    /// # peer.read_to_string(&mut text).await?;
    /// assert_eq!(text, "goodbye\r\n");
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
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
    /// still sends is read and dropped until it ends, too, or `linger` is over. A socket that was closed answers what comes
    /// late by a reset, and the peer may lose what it has not yet received by that; zero takes the risk and waits for nothing.
    /// The session is kept alive until all of this is done.
    ///
    /// `linger` counts from when there is nothing to be read, and a peer that sends more than 16 MiB is not heard out. Of a
    /// kernel's wheels 1024 wait like this at a time; one that is closed meanwhile reads what is there and goes. Writing has
    /// no limit of time. A [shutdown](crate::Kernel::shutdown) that has come to its limit ends the waiting, and does not
    /// complain of it.
    ///
    /// ```
    /// # use poe::{Event, Kernel, Session, event::START, filter::Line, wheel::{Input, ReadWrite}};
    /// # use std::time::Duration;
    /// # use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
    /// # const LINE: Event<Input<String>> = Event::new("line");
    /// # tokio_test::block_on(async {
    /// # let kernel = Kernel::new();
    /// # let (mut peer, ours) = tokio::io::duplex(64);
    /// # peer.write_all(b"one\r\ntwo\r\n").await?;
    /// # peer.shutdown().await?;
    /// # Session::builder(None::<ReadWrite>)
    /// # .on(START, |cx, io: DuplexStream| -> poe::Handled {
    /// #     *cx.heap = Some(ReadWrite::builder(io).input(Line::new(), LINE).start(cx)?);
    /// #     Ok(())
    /// # })
    ///     .on(LINE, |cx, _request| -> poe::Handled {
    ///         if let Some(wheel) = cx.heap.take() {
    ///             wheel.put("the only answer")?;
    ///             wheel.close(Duration::from_secs(2));
    ///         }
    ///         Ok(())
    ///     })
    /// # .args(ours).create(&kernel)?;
    /// # kernel.run().await?;
    /// # let mut text = String::new();
    /// # peer.read_to_string(&mut text).await?;
    /// assert_eq!(text, "the only answer\r\n");
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    pub fn close(self, linger: Duration) {
        if self.state.is_closable()
            && let Some(task) = self.state.task.get()
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
        // A closed wheel's task goes on alone.
        if self.state.base.is_alive()
            && let Some(task) = self.state.task.take()
        {
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

impl ReadWriteBuilder {
    fn new(io: BoxedDuplex) -> Self {
        ReadWriteBuilder {
            io,
            parser: None,
            formatter: None,
            chosen: false,
            settings: Settings::default(),
            driver: SysRW::new(),
            auto_flush: false,
            unread: Bytes::new(),
            unwritten: Bytes::new(),
            seam: Seam::new(),
            owed: Owed::default(),
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
        self.settings.check(&filter);
        if let Some(output) = output {
            self.formatter = Some(Box::new(TypedFormatter(output)));
        }
        self.parser = Some(Box::new(parser(filter)));
        self
    }

    /// Writes by that filter.
    #[doc(alias = "OutputFilter")]
    pub fn output<F: Filter>(mut self, filter: F) -> Self {
        self.settings.check(&filter);
        self.formatter = Some(Box::new(TypedFormatter(filter)));
        self.chosen = true;
        self
    }

    /// Tells of errors and of the end of the input. Without it both are silent, but for errors of the filter, which are
    /// a `DIE` of the session then.
    #[doc(alias = "ErrorEvent")]
    pub fn error(mut self, event: impl Posts<IoError>) -> Self {
        self.settings.events.error = Some(HeldName::new(event.key()));
        self
    }

    /// Tells when everything that was put has been written.
    #[doc(alias = "FlushedEvent")]
    pub fn flushed(mut self, event: impl Posts<WheelId>) -> Self {
        self.settings.events.flushed = Some(HeldName::new(event.key()));
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

    /// Octets that are to be written first, as they are; behind those of a [driver](Self::driver) of your own. If they are
    /// as many as the high mark, the wheel tells so.
    pub fn unwritten(mut self, octets: impl AsRef<[u8]>) -> Self {
        self.unwritten = Bytes::copy_from_slice(octets.as_ref());
        self
    }

    /// Starts the wheel for the session that is running; pass the handler's context. It reads and writes as soon as the
    /// handler returns.
    ///
    /// # Errors
    /// A filter's settings make no sense; the marks are not `0 < low < high`, or there is a high or low event without
    /// them; the session has been stopped.
    #[track_caller]
    pub fn start(self, turn: &Turn<'_>) -> Result<ReadWrite, Error> {
        let place = Location::caller();
        self.settings.verdict()?;
        turn.own_slot()?;
        let mut driver = self.driver;
        driver.put(&self.unwritten);
        let setup = Setup {
            io: self.io,
            parser: self.parser,
            formatter: self.formatter.unwrap_or_else(|| Box::new(TypedFormatter(Line::new()))),
            events: self.settings.events,
            marks: self.settings.marks,
            driver,
            auto_flush: self.auto_flush,
        };
        let state = State::new(Base::new(turn, place), setup);
        state.seam.set(self.seam);
        state.take_up(self.owed);
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

watermark_settings!(ReadWriteBuilder);

impl fmt::Debug for ReadWriteBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadWriteBuilder")
            .field("watermarks", &self.settings.marks)
            .finish_non_exhaustive()
    }
}
