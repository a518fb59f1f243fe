//! The end of a ReadWrite: of one direction, or of both in good order.

use super::super::base::set_event;
use super::super::error::IoError;
use super::super::pump::{PendingReports, check_marks, handle};
use super::{ReadWrite, ReadWriteBuilder};
use crate::error::{Error, ErrorKind};
use crate::event::Posts;
use crate::filter::Seam;
use crate::id::WheelId;
use bytes::Bytes;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};

impl<O: ?Sized> ReadWrite<O> {
    /// Ends reading for good, without an event; bytes that were read and not delivered are dropped.
    ///
    /// A separate input handle is dropped. A local socket tells the peer, which a TCP socket cannot.
    pub fn shutdown_input(&self) {
        self.state().shut_input();
        self.state().schedule();
    }

    /// Ends writing for good, without an event. Buffered output is *not* written: the peer sees the end of its input next.
    pub fn shutdown_output(&self) {
        self.state().shut_output(false);
        self.state().schedule();
    }

    /// Ends writing once everything that was put has been written; nothing more can be put.
    ///
    /// There is no time limit: drop or [`close`](Self::close) the wheel when a peer that reads nothing has taken too long.
    #[doc(alias = "shutdown_output")]
    pub fn shutdown_output_after_flush(&self) {
        self.state().shut_output(true);
        self.state().schedule();
    }

    /// Closes the connection in good order: writes the output, ends it, and drains the peer's input.
    ///
    /// The peer's input is read and dropped until it ends, or `linger` is over. A socket that was closed replies to late input
    /// with a reset, and the peer may lose bytes that it has not yet received; with zero this may happen, and nothing is waited for.
    /// The session is kept alive until all of this is done. At most one event follows.
    ///
    /// A peer that takes no bytes of the output for as long as [`flush_timeout`](super::ReadWriteBuilder::flush_timeout) allows loses
    /// the connection, and the error event says how many bytes were not written.
    ///
    /// `linger` counts from when there is nothing to be read, and ends after 16 MiB of input. At most 1024
    /// wheels of a kernel wait like this at a time; another one that is closed meanwhile reads the present input and ends. When the
    /// limit of a [shutdown](crate::Kernel::shutdown) is reached, the waiting ends without a complaint.
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
    /// # .on(START, |cx, io: DuplexStream| -> poe::HandlerResult {
    /// #     *cx.heap = Some(ReadWrite::builder(io).input(Line::new(), LINE).start(cx)?);
    /// #     Ok(())
    /// # })
    ///     .on(LINE, |cx, _request| -> poe::HandlerResult {
    ///         if let Some(wheel) = cx.heap.take() {
    ///             wheel.put("the only reply")?;
    ///             wheel.close(Duration::from_secs(2));
    ///         }
    ///         Ok(())
    ///     })
    /// # .args(ours).create(&kernel)?;
    /// # kernel.run().await?;
    /// # let mut text = String::new();
    /// # peer.read_to_string(&mut text).await?;
    /// assert_eq!(text, "the only reply\r\n");
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    pub fn close(self, linger: Duration) {
        self.close_gently(linger);
    }

    /// Closes a wheel that others may share: it does nothing any more for them. A wheel that cannot be closed in good
    /// order ends at once.
    pub(crate) fn close_gently(&self, linger: Duration) {
        let task = self.state().task.get().filter(|_| self.state().is_closable());
        let Some(task) = task else { return self.end() };
        self.state().base.silence();
        self.state().shut_output(true);
        self.state().close(linger);
        if !self.state().is_polling() {
            self.state().base.schedule(Some(task));
        }
    }

    /// The wheel is about to be closed: from now on the flush timeout limits its output.
    pub(crate) fn limit_flush(&self) {
        self.state().limit_flush();
    }

    /// Reads the present input, even if the input is paused, until there is nothing left to read for the moment.
    pub(crate) fn read_out(&self) {
        self.state().dry.set(false);
        self.resume_input();
    }

    /// Whether that is done.
    pub(crate) fn is_read_out(&self) -> bool {
        self.state().dry.get() || self.state().is_input_over() || !self.state().listens()
    }

    /// Whether a record was delivered to the session, from any filter.
    pub(crate) fn has_given(&self) -> bool {
        self.state().given.get()
    }

    /// Neither reads nor delivers records any more; the handle stays open in both directions.
    pub(crate) fn stop_listening(&self) {
        self.state().set_listens(false);
    }

    /// Sends a flushed event, also if nothing waits to be written.
    pub(crate) fn ask_flush(&self) {
        self.state().ask_flush();
        self.state().schedule();
    }

    /// Ends the wheel as dropping it does.
    pub(crate) fn end(&self) {
        self.state().end();
    }
}

// The parts of a ReadWrite, for another one on the same stream.
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

// The output of a ReadWrite: its size, its watermarks, and its events.
impl<O: ?Sized> ReadWrite<O> {
    /// Writes the output at once, as far as the stream takes it, and not when the handler returns.
    ///
    /// The flushed event comes when nothing waits any more, even if nothing did: directly after the handler, ahead of the next
    /// record, or, if the handler puts more after this, once that is written as well.
    pub fn flush(&self) {
        self.state().ask_flush();
        self.state().write_now();
    }

    /// Returns the number of bytes not yet written.
    #[doc(alias = "get_driver_out_octets")]
    #[must_use]
    pub fn buffered_bytes(&self) -> usize {
        self.state().driver.output.borrow().bytes()
    }

    /// Returns the number of records not wholly written.
    #[doc(alias = "get_driver_out_messages")]
    #[must_use]
    pub fn out_messages(&self) -> usize {
        self.state().driver.output.borrow().messages()
    }

    /// Whether nothing can be put any more: the output was shut down, or a write has failed.
    #[must_use]
    pub fn is_output_closed(&self) -> bool {
        self.state().is_output_closed()
    }

    /// Changes the high mark, in bytes. If more waits already, the high event follows.
    ///
    /// # Errors
    /// The wheel was made without marks, or the mark would not be above the low one.
    pub fn set_high_mark(&self, high: usize) -> Result<(), Error> {
        let low = self.state().marks.get().map(|(_, low)| low);
        self.set_marks(low.map(|low| (high, low)))
    }

    /// Changes the low mark, in bytes.
    ///
    /// # Errors
    /// The wheel was made without marks, or the mark would not be between 0 and the high one.
    pub fn set_low_mark(&self, low: usize) -> Result<(), Error> {
        let high = self.state().marks.get().map(|(high, _)| high);
        self.set_marks(high.map(|high| (high, low)))
    }

    fn set_marks(&self, marks: Option<(usize, usize)>) -> Result<(), Error> {
        let Some((high, low)) = marks else {
            return Err(ErrorKind::Invalid("the wheel was made without watermarks".to_owned()).into());
        };
        check_marks(high, low)?;
        self.state().marks.set(Some((high, low)));
        self.state().level();
        self.state().schedule();
        Ok(())
    }

    /// Changes the event for errors; `None::<&str>` stops it.
    #[doc(alias = "event")]
    pub fn set_error_event<K: Posts<IoError>>(&self, event: Option<K>) {
        set_event(&self.state().events, |events| &mut events.error, event);
    }

    /// Changes the event for flushes; `None` stops it.
    #[doc(alias = "event")]
    pub fn set_flushed_event<K: Posts<WheelId>>(&self, event: Option<K>) {
        set_event(&self.state().events, |events| &mut events.flushed, event);
    }

    /// Changes the event for reaching the high mark; `None` stops it. A wheel without marks never sends it.
    #[doc(alias = "event")]
    pub fn set_high_event<K: Posts<WheelId>>(&self, event: Option<K>) {
        set_event(&self.state().events, |events| &mut events.high, event);
    }

    /// Changes the event for falling to the low mark; `None` stops it.
    #[doc(alias = "event")]
    pub fn set_low_event<K: Posts<WheelId>>(&self, event: Option<K>) {
        set_event(&self.state().events, |events| &mut events.low, event);
    }
}
