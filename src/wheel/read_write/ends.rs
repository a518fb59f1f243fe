//! The end of a ReadWrite: of one direction, or of both in good order.

use super::ReadWrite;
use std::time::Duration;

impl ReadWrite {
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
    /// # .on(START, |cx, io: DuplexStream| -> poe::HandlerResult {
    /// #     *cx.heap = Some(ReadWrite::builder(io).input(Line::new(), LINE).start(cx)?);
    /// #     Ok(())
    /// # })
    /// // The peer has sent b"one\r\ntwo\r\n".
    ///     .on(LINE, |cx, input| -> poe::HandlerResult {
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
    /// # .on(START, |cx, io: DuplexStream| -> poe::HandlerResult {
    /// let wheel = ReadWrite::builder(io).start(cx)?;
    /// wheel.put("written")?;
    /// wheel.flush();
    /// wheel.put("still waiting")?;
    /// wheel.shutdown_output();
    /// assert_eq!(wheel.buffered_bytes(), 0); // dropped
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

    /// Ends writing once everything that was put has been written; nothing more can be put. Nothing limits how long a peer that
    /// reads nothing may hold that up: drop or [`close`](Self::close) the wheel when it has taken too long.
    ///
    /// ```
    /// # use poe::{Kernel, Session, event::START, wheel::ReadWrite};
    /// # use tokio::io::{AsyncReadExt, DuplexStream};
    /// # tokio_test::block_on(async {
    /// # let kernel = Kernel::new();
    /// # let (mut peer, ours) = tokio::io::duplex(64);
    /// # Session::builder(None::<ReadWrite>)
    /// # .on(START, |cx, io: DuplexStream| -> poe::HandlerResult {
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

    /// Ends the wheel in good order, without further events but one: what was put is written, the peer sees the end, and what it
    /// still sends is read and dropped until it ends, too, or `linger` is over. A socket that was closed answers what comes
    /// late by a reset, and the peer may lose what it has not yet received by that; zero takes the risk and waits for nothing.
    /// The session is kept alive until all of this is done.
    ///
    /// A peer that takes nothing of what waits for as long as [`flush_timeout`](super::ReadWriteBuilder::flush_timeout) allows loses
    /// the connection, and the error event tells how many bytes were not written.
    ///
    /// `linger` counts from when there is nothing to be read, and a peer that sends more than 16 MiB is not heard out. Of a
    /// kernel's wheels 1024 wait like this at a time; one that is closed meanwhile reads what is there and goes. A [shutdown](crate::Kernel::shutdown) that has come to its limit ends the waiting, and does not
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
    /// # .on(START, |cx, io: DuplexStream| -> poe::HandlerResult {
    /// #     *cx.heap = Some(ReadWrite::builder(io).input(Line::new(), LINE).start(cx)?);
    /// #     Ok(())
    /// # })
    ///     .on(LINE, |cx, _request| -> poe::HandlerResult {
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
        self.close_gently(linger);
    }

    /// The same for a wheel that others may have, too: it does nothing any more for them. One that cannot be closed in good
    /// order ends at once.
    pub(crate) fn close_gently(&self, linger: Duration) {
        let task = self.state.task.get().filter(|_| self.state.is_closable());
        let Some(task) = task else { return self.end() };
        self.state.base.silence();
        self.state.shut_output(true);
        self.state.close(linger);
        if !self.state.is_polling() {
            self.state.base.schedule(Some(task));
        }
    }

    /// It is about to be closed: its output must not stand still for longer than the setting allows.
    pub(crate) fn limit_flush(&self) {
        self.state.limit_flush();
    }

    /// Reads what has come, also if the input is paused, until there is nothing left to read for the moment.
    pub(crate) fn read_out(&self) {
        self.state.dry.set(false);
        self.resume_input();
    }

    /// Whether that is done.
    pub(crate) fn is_read_out(&self) -> bool {
        self.state.dry.get() || self.state.is_input_over() || !self.state.listens()
    }

    /// Whether a record has been given to the session, by whatever filter.
    pub(crate) fn has_given(&self) -> bool {
        self.state.given.get()
    }

    /// Neither reads nor gives records any more, though the handle stays open for both directions.
    pub(crate) fn stop_listening(&self) {
        self.state.set_listens(false);
    }

    /// Has a flushed event come, also if nothing waits to be written.
    pub(crate) fn ask_flush(&self) {
        self.state.ask_flush();
        self.state.schedule();
    }

    /// Ends the wheel as dropping it does.
    pub(crate) fn end(&self) {
        // A closed wheel's task goes on alone.
        if self.state.base.is_alive()
            && let Some(task) = self.state.task.take()
        {
            self.state.base.end([task]);
        }
    }
}
