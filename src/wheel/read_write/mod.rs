//! POE::Wheel::ReadWrite: reads and writes records on any stream.
//!
//! | event | argument | when |
//! |---|---|---|
//! | input | [`Input`](super::Input) | a record was read |
//! | error | [`IoError`](super::IoError) | the input has ended, an operation failed, or the filter rejected bytes |
//! | flushed | [`WheelId`](crate::WheelId) | everything that was put has been written |
//! | high | [`WheelId`](crate::WheelId) | the output buffer has reached the high mark |
//! | low | [`WheelId`](crate::WheelId) | … and has fallen to the low mark |
//!
//! All go to the session that made the wheel, ahead of the queue; none comes inside a method of the wheel.

mod builder;
mod ends;
mod filters;

pub use builder::{OwnFilter, ReadWriteBuilder, SameFilter};
pub use ends::Parts;
pub use filters::RetypeError;

use super::base::wheel_methods;
use super::error::PutError;
use super::pump::{Level, PumpState, handle};
use crate::debug::debug_fields;
use std::any::{Any, TypeId};
use std::marker::PhantomData;
use std::rc::Rc;
use tokio::io::{AsyncRead, AsyncWrite};

/// Reads and writes records (`POE::Wheel::ReadWrite`).
///
/// It works on any `AsyncRead + AsyncWrite + 'static`: a socket, a TLS stream, an in-memory duplex. Keep it
/// in the heap; dropping it stops it at once and closes the stream, and drops output that is not written. As long as it exists it
/// keeps its session alive, unless both directions were shut down.
///
/// Output is written when the handler returns; the output of all handlers of one read is written together.
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
/// let mut reply = String::new();
/// peer.read_to_string(&mut reply).await.unwrap();
/// assert_eq!(reply, "HELLO\r\n");
/// # Ok::<(), poe::Error>(()) }).unwrap();
/// ```
///
/// # Backpressure
///
/// The output buffer has no limit but memory. Set watermarks, and stop producing at the high event:
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
/// # What can be put
///
/// `O` is the type of the records that can be put; it is `String` unless the builder is given another filter, so that plain
/// `ReadWrite` is a wheel for text. A wheel whose filters change between types in the middle of a protocol is
/// [retyped](Self::retype), or [erased](AnyReadWrite).
#[doc(alias = "POE::Wheel::ReadWrite")]
#[must_use = "dropping the wheel stops it: keep it in the heap"]
pub struct ReadWrite<O: ?Sized = String> {
    owner: Owner,
    takes: PhantomData<fn(&O)>,
}

/// A [`ReadWrite`] whose output filter may be changed for one that takes other records.
///
/// It is made of any wheel with [`into_any`](ReadWrite::into_any). Its `put` compiles for every type, and returns a record of a
/// type that the present filter does not take inside the error.
///
/// ```
/// use poe::{Event, Kernel, Session, event::START, filter::{Block, Line, Raw}};
/// use poe::wheel::{AnyReadWrite, Input, ReadWrite};
/// use bytes::Bytes;
/// # use tokio::io::{AsyncReadExt, DuplexStream};
/// # tokio_test::block_on(async {
/// # let kernel = Kernel::new();
/// # let (mut peer, ours) = tokio::io::duplex(64);
/// # Session::builder(()).on(START, |cx, io: DuplexStream| -> poe::HandlerResult {
/// let wheel: AnyReadWrite = ReadWrite::builder(io).output(Line::new()).start(cx)?.into_any();
/// wheel.put("text")?;
/// let refused = wheel.put(Bytes::from_static(b"bytes")).unwrap_err();
/// assert!(refused.is_wrong_type());
/// wheel.set_output_filter(Raw::new())?;
/// wheel.put(refused.into_record().expect("it was not used"))?;
/// # wheel.flush();
/// # Ok(()) }).args(ours).create(&kernel)?;
/// # kernel.run().await?;
/// # let mut text = String::new();
/// # peer.read_to_string(&mut text).await?;
/// # assert_eq!(text, "text\r\nbytes");
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
pub type AnyReadWrite = ReadWrite<dyn Any>;

/// The wheel ends when this is dropped.
struct Owner(Rc<PumpState>);

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl ReadWrite {
    /// Starts building a wheel on a stream, which serves both directions.
    #[doc(alias = "Handle")]
    pub fn builder(io: impl AsyncRead + AsyncWrite + 'static) -> ReadWriteBuilder {
        ReadWriteBuilder::new(handle::whole(io))
    }

    /// Starts building a wheel that reads from one handle and writes to another, such as the ends of two pipes.
    ///
    /// Each is dropped as soon as its direction is shut down. For a direction that is not needed use [`tokio::io::empty`] or
    /// [`tokio::io::sink`].
    #[doc(alias = "InputHandle")]
    #[doc(alias = "OutputHandle")]
    pub fn with_handles(input: impl AsyncRead + 'static, output: impl AsyncWrite + 'static) -> ReadWriteBuilder {
        ReadWriteBuilder::new(handle::pair(input, output))
    }

    /// Starts building a wheel on a stream that is boxed already.
    pub(crate) fn on_stream(io: handle::BoxedDuplex) -> ReadWriteBuilder {
        ReadWriteBuilder::new(io)
    }
}

impl<O: 'static> ReadWrite<O> {
    /// Puts a record, which is written when the current handler returns.
    ///
    /// The output filter turns it into bytes at once. Outside handlers they are written when the kernel next runs. A filter
    /// that takes `String` also takes a literal, and one that takes `Bytes` also a literal, a `String` or a `Vec<u8>`.
    /// There is no limit but memory: the result says whether the [high mark](ReadWriteBuilder::watermarks) is reached.
    ///
    /// # Errors
    /// The record, if the output is closed, or if the filter cannot encode it.
    pub fn put(&self, record: impl Into<O>) -> Result<Level, PutError<O>> {
        self.state().put(record.into())
    }
}

impl AnyReadWrite {
    /// Puts a record of the type that the present output filter takes; it is written when the current handler returns.
    ///
    /// A filter that takes `String` also takes a literal, and one that takes `Bytes` also a literal, a `String` or a
    /// `Vec<u8>`.
    ///
    /// # Errors
    /// The record, if the output is closed, if the record has another type, or if the filter cannot encode it.
    pub fn put<T: 'static>(&self, record: T) -> Result<Level, PutError<T>> {
        self.state().put(record)
    }

    /// Returns the wheel as one that takes `O`, if its output filter does.
    ///
    /// # Errors
    /// The wheel itself, if its output filter takes other records.
    pub fn into_typed<O: 'static>(self) -> Result<ReadWrite<O>, AnyReadWrite> {
        let takes = self.state().with_formatter(|formatter| formatter.takes());
        match takes == Some(TypeId::of::<O>()) {
            true => Ok(ReadWrite::of(self.owner)),
            false => Err(self),
        }
    }
}

impl<O: ?Sized> ReadWrite<O> {
    fn of(owner: Owner) -> Self {
        let takes = PhantomData;
        ReadWrite { owner, takes }
    }

    /// Erases the type of the records that can be put, so that the output filter may be changed for any other.
    pub fn into_any(self) -> AnyReadWrite {
        ReadWrite::of(self.owner)
    }

    /// Stops reading. Records of the block that was read last are still delivered.
    pub fn pause_input(&self) {
        self.state().pause(true);
    }

    /// Reads again, unless the input has ended.
    pub fn resume_input(&self) {
        self.state().pause(false);
        self.state().schedule();
    }

    /// Whether the input is paused.
    #[must_use]
    pub fn is_input_paused(&self) -> bool {
        self.state().is_paused()
    }

    /// Calls `f` with the input handle, for its own methods; `None` if it has another type, or is gone.
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
        self.state().with_io(|io| io.input()?.downcast_ref().map(f)).flatten()
    }

    /// Calls `f` with the output handle; see [`with_input_handle`](Self::with_input_handle).
    #[doc(alias = "get_output_handle")]
    pub fn with_output_handle<H: 'static, T>(&self, f: impl FnOnce(&H) -> T) -> Option<T> {
        self.state().with_io(|io| io.output()?.downcast_ref().map(f)).flatten()
    }

    pub(super) fn state(&self) -> &Rc<PumpState> {
        &self.owner.0
    }
}

wheel_methods!(ReadWrite<O: ?Sized>, |wheel| wheel.state().base, wheel.state().task.get());

impl<O> From<ReadWrite<O>> for AnyReadWrite {
    fn from(wheel: ReadWrite<O>) -> Self {
        wheel.into_any()
    }
}

debug_fields!([O: ?Sized] ReadWrite<O>, "ReadWrite", |this| {
    id: this.id(),
    buffered_bytes: this.buffered_bytes(),
    paused: this.is_input_paused(),
    output_closed: this.is_output_closed(),
    ..
});
