//! A ReadWrite taken apart, and what another one on the same stream makes of that.

use super::{ReadWrite, ReadWriteBuilder};
use crate::filter::Seam;
use crate::wheel::pump::{Owed, handle};
use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};

/// What a wheel was made of, when it is [taken apart](ReadWrite::into_parts).
///
/// ```
/// # use poe::{Kernel, Session, event::START, filter::Line, wheel::{Parts, ReadWrite}};
/// # use tokio::io::DuplexStream;
/// # tokio_test::block_on(async {
/// # let kernel = Kernel::new();
/// # Session::builder(()).on(START, |cx, ()| -> poe::HandlerResult {
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
    /// Settings for a wheel that goes on where [another](Self::into_parts) was, with what that one had read and not
    /// written. Name its events and filters as usual. If that one has told of its high mark and not of the low one, this
    /// one does.
    ///
    /// ```
    /// # use poe::{Event, Kernel, Session, event::START, filter::{Line, Raw}, wheel::{Input, ReadWrite}};
    /// # use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
    /// # use std::time::Duration;
    /// # use bytes::Bytes;
    /// # const LINE: Event<Input<String>> = Event::new("line");
    /// const BYTES: Event<Input<Bytes>> = Event::new("bytes");
    /// # tokio_test::block_on(async {
    /// # let kernel = Kernel::new();
    /// # let (mut peer, ours) = tokio::io::duplex(64);
    /// # peer.write_all(b"UPGRADE\r\n\x01\x02").await?;
    /// # Session::builder(None::<ReadWrite>)
    /// # .on(START, |cx, io: DuplexStream| -> poe::HandlerResult {
    /// #     *cx.heap = Some(ReadWrite::builder(io).input(Line::new(), LINE).start(cx)?);
    /// #     Ok(())
    /// # })
    /// // The peer has sent b"UPGRADE\r\n\x01\x02" in one piece.
    ///     .on(LINE, |cx, upgrade| -> poe::HandlerResult {
    ///         let Some(wheel) = cx.heap.take() else { return Ok(()) };
    ///         wheel.put("upgraded")?;
    ///         let parts = wheel.into_parts::<DuplexStream>().expect("the stream is of this type");
    ///         *cx.heap = Some(ReadWrite::from_parts(parts).input(Raw::new(), BYTES).start(cx)?);
    ///         Ok(())
    ///     })
    ///     .on(BYTES, |cx, input| {
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
    /// # .on(START, |cx, io: DuplexStream| -> poe::HandlerResult {
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

    /// Takes the stream for good, whatever its type, with what was read and not delivered; the wheel is over by that.
    pub(crate) fn take_stream(&self) -> Option<(handle::BoxedDuplex, Bytes, Seam)> {
        let io = self.state().take_io()?;
        let (unread, seam) = self.state().leave();
        Some((io, unread, seam))
    }
}
