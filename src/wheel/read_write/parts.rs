//! The parts of a ReadWrite, for another one on the same stream.

use super::{ReadWrite, ReadWriteBuilder};
use crate::filter::Seam;
use crate::wheel::pump::{PendingReports, handle};
use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};

/// The parts of a wheel after [`into_parts`](ReadWrite::into_parts).
#[derive(Debug)]
#[non_exhaustive]
pub struct Parts<T> {
    /// The stream.
    pub io: T,
    /// Bytes that were read and are not part of a delivered record.
    ///
    /// Give them to the next wheel on the stream: [`unread`](ReadWriteBuilder::unread).
    pub unread: Bytes,
    /// Bytes that the output filter made and that are not written: [`unwritten`](ReadWriteBuilder::unwritten).
    pub unwritten: Bytes,
    /// A newline may be half read: the next filter must not see its other half.
    seam: Seam,
    reports: PendingReports,
}

impl ReadWrite {
    /// Starts building a wheel that continues where [another](Self::into_parts) was, with its unread and unwritten bytes.
    ///
    /// Set its events and filters as usual. If the other wheel has sent its high event and not the low one, this
    /// one sends that.
    pub fn from_parts<T: AsyncRead + AsyncWrite + 'static>(parts: Parts<T>) -> ReadWriteBuilder {
        ReadWrite::builder(parts.io)
            .unread(parts.unread)
            .unwritten(parts.unwritten)
            .after(parts.seam, parts.reports)
    }
}

impl<O: ?Sized> ReadWrite<O> {
    /// Takes the wheel apart, without an event: the stream, the bytes not delivered, and the bytes not written.
    ///
    /// Use it to change the stream under the wheel, such as to TLS after a `STARTTLS`, or for another wheel on the same
    /// stream, which POE does not support.
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
    pub fn into_parts<T: Unpin + 'static>(self) -> Result<Parts<T>, Self> {
        let state = self.state().clone();
        let Some(io) = state.take_io() else { return Err(self) };
        if io.input().is_none_or(|input| !input.is::<T>()) {
            state.put_back_io(io);
            return Err(self);
        }
        let Some(io) = handle::unwrap(io) else { return Err(self) };
        let (unread, seam) = state.leave();
        let reports = state.pending_reports();
        let unwritten = state.driver.output.borrow_mut().take();
        drop(self);
        Ok(Parts {
            io,
            unread,
            unwritten,
            seam,
            reports,
        })
    }

    /// Takes the stream for good, of any type, with the bytes not delivered; this ends the wheel.
    pub(crate) fn take_stream(&self) -> Option<(handle::BoxedDuplex, Bytes, Seam)> {
        let io = self.state().take_io()?;
        let (unread, seam) = self.state().leave();
        Some((io, unread, seam))
    }
}
