//! The end of a ReadWrite: of one direction, or of both in good order.

use super::ReadWrite;
use std::time::Duration;

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
