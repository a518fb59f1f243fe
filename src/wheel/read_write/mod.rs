//! POE::Wheel::ReadWrite: records to and from anything that can be read and written.
//!
//! | event | argument | when |
//! |---|---|---|
//! | input | [`Input`](super::Input) | a record was read |
//! | error | [`IoError`](super::IoError) | the input has ended, an operation failed, or the filter met something that is no record |
//! | flushed | [`WheelId`](crate::WheelId) | everything that was put has been written |
//! | high | [`WheelId`](crate::WheelId) | what waits to be written has reached the high mark |
//! | low | [`WheelId`](crate::WheelId) | … and has fallen to the low mark |
//!
//! All go to the session that made the wheel, ahead of what is queued; none comes inside a method of the wheel.

mod builder;
mod ends;
mod filters;
mod output;
mod parts;

pub use builder::ReadWriteBuilder;
pub use parts::Parts;

use super::base::wheel_methods;
use super::error::PutError;
use super::pump::{Level, State, handle};
use std::fmt;
use std::rc::Rc;
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
///     .on(START, |cx, io: tokio::io::DuplexStream| -> poe::HandlerResult {
///         *cx.heap = Some(ReadWrite::builder(io).input(Line::new(), LINE).error(ERROR).start(cx)?);
///         Ok(())
///     })
///     .on(LINE, |cx, input| -> poe::HandlerResult {
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
/// # Session::builder(()).on(START, |cx, ()| -> poe::HandlerResult {
/// # let (_peer, io) = tokio::io::duplex(64);
/// let wheel = ReadWrite::builder(io).watermarks(16, 4).start(cx)?;
/// assert_eq!(wheel.put("0123456789")?, Level::Normal);
/// assert_eq!((wheel.buffered_bytes(), wheel.out_messages()), (12, 1)); // with CR LF
/// assert_eq!(wheel.put("ab")?, Level::High);
/// wheel.flush(); // at once, and not when the handler returns
/// assert_eq!((wheel.buffered_bytes(), wheel.out_messages()), (0, 0));
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
///     .on(START, |cx, io: DuplexStream| -> poe::HandlerResult {
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
/// #   .on(START, |cx, io: DuplexStream| -> poe::HandlerResult {
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
///     .on(TAKE_OVER, |cx, wheel| -> poe::HandlerResult {
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
/// # Session::builder(()).on(START, move |cx, ()| -> poe::HandlerResult {
/// # let (_peer, io) = tokio::io::duplex(64);
/// // In a handler of the session that has it:
/// let wheel = ReadWrite::builder(io).start(cx)?;
/// cx.call(keeper, TAKE_OVER, wheel)?;
/// # Ok(()) }).create(&kernel)?;
/// # kernel.run().await }).unwrap();
/// ```
#[doc(alias = "POE::Wheel::ReadWrite")]
pub struct ReadWrite {
    state: Rc<State>,
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
    ///     .on(START, |cx, ()| -> poe::HandlerResult {
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

    /// Settings of a wheel on a stream that is boxed already.
    pub(crate) fn on_stream(io: handle::BoxedDuplex) -> ReadWriteBuilder {
        ReadWriteBuilder::new(io)
    }

    /// Puts a record: the output filter turns it into bytes, which are written when the current handler returns (or,
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
    /// # Session::builder(()).on(START, move |cx, stream: TcpStream| -> poe::HandlerResult {
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
    /// # Session::builder(()).on(START, |cx, ()| -> poe::HandlerResult {
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

    pub(super) fn state(&self) -> &Rc<State> {
        &self.state
    }
}

wheel_methods!(ReadWrite, |wheel| wheel.state.base, wheel.state.task.get());

impl Drop for ReadWrite {
    fn drop(&mut self) {
        self.end();
    }
}

impl fmt::Debug for ReadWrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadWrite")
            .field("id", &self.id())
            .field("buffered_bytes", &self.buffered_bytes())
            .field("paused", &self.is_input_paused())
            .field("output_closed", &self.is_output_closed())
            .finish_non_exhaustive()
    }
}
