//! What a ReadWrite is to be: its settings, and its start.

use super::ReadWrite;
use crate::driver::SysRW;
use crate::error::Error;
use crate::event::Posts;
use crate::filter::{Filter, Line, Seam};
use crate::id::WheelId;
use crate::kernel::KernelRef;
use crate::name::HeldName;
use crate::wheel::base::Base;
use crate::wheel::error::IoError;
use crate::wheel::pump::handle::BoxedDuplex;
use crate::wheel::pump::{
    FLUSH_TIMEOUT, Formatter, Input, Owed, Parser, Pump, Settings, Setup, State, TypedFormatter, TypedParser,
    watermark_settings,
};
use bytes::Bytes;
use std::fmt;
use std::panic::Location;
use std::time::Duration;

/// Settings of a [`ReadWrite`].
///
/// | setting | default |
/// |---|---|
/// | [`input`](Self::input) | none: nothing is read |
/// | [`output`](Self::output) | the input's filter afresh, or [`Line`] |
/// | [`error`](Self::error), [`flushed`](Self::flushed), [`high`](Self::high), [`low`](Self::low) | not told |
/// | [`watermarks`](Self::watermarks) | none |
/// | [`driver`](Self::driver) | [`SysRW::new`]: blocks of up to 65 536 bytes |
/// | [`auto_flush`](Self::auto_flush) | off: what is put is written when the handler returns |
/// | [`flush_timeout`](Self::flush_timeout) | 30 s |
/// | [`unread`](Self::unread), [`unwritten`](Self::unwritten) | nothing |
///
/// ```
/// # use poe::{Event, Kernel, Session, WheelId, event::START, driver::SysRW, filter::{Line, Raw}};
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
/// # .on(START, |cx, io: DuplexStream| -> poe::HandlerResult {
/// let wheel = ReadWrite::builder(io)
///     .input(Line::new(), LINE)
///     .output(Raw::new()) // bytes as they are; else lines as well
///     .error(ERROR)
///     .flushed(FLUSHED)
///     .watermarks(8, 4).high(HIGH).low(LOW)
///     .driver(SysRW::with_block_size(1024)?)
///     .unread("read ahead\r\n") // by whoever had the stream before
///     .unwritten("220 ready\r\n")
///     .auto_flush(true)
///     .start(cx)?;
/// assert!(wheel.put("hello\r\n")?.is_high());
/// assert_eq!(wheel.buffered_bytes(), 18);
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
    flush_timeout: Duration,
    unread: Bytes,
    unwritten: Bytes,
    pub(super) seam: Seam,
    pub(super) owed: Owed,
}

impl ReadWriteBuilder {
    pub(super) fn new(io: BoxedDuplex) -> Self {
        ReadWriteBuilder {
            io,
            parser: None,
            formatter: None,
            chosen: false,
            settings: Settings::default(),
            driver: SysRW::new(),
            auto_flush: false,
            flush_timeout: FLUSH_TIMEOUT,
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

    /// Sends this event for errors and for the end of the input.
    ///
    /// Without it both are silent, except errors of the filter, which are logged: a record that is refused (a line that is
    /// not UTF-8) at `warn!`, and the next one follows; a filter that cannot go on at `error!`, and nothing more is read.
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

    /// How long the peer may take nothing of what waits to be written after [`close`](ReadWrite::close); default 30 seconds.
    ///
    /// Each byte that the peer takes starts the time anew, so a slow peer gets everything. A peer that takes nothing for as long as
    /// this loses the connection: a TCP connection is reset, and the error event (`"write"`, with the kind
    /// [`TimedOut`](std::io::ErrorKind::TimedOut)) says how many bytes were not written. Without an error event that is logged.
    /// [`Duration::MAX`] sets no limit.
    ///
    /// ```
    /// # use poe::{Event, Kernel, Session, event::START, wheel::{IoError, ReadWrite}};
    /// # use std::{io::ErrorKind, time::Duration};
    /// # use tokio::io::DuplexStream;
    /// # const ERROR: Event<IoError> = Event::new("error");
    /// # tokio_test::block_on(async { tokio::time::pause();
    /// # let kernel = poe::testing::kernel();
    /// # let (_never_reads, ours) = tokio::io::duplex(64);
    /// # Session::builder(()).on(START, |cx, io: DuplexStream| -> poe::HandlerResult {
    /// let wheel = ReadWrite::builder(io).error(ERROR).flush_timeout(Duration::from_secs(5)).start(cx)?;
    /// wheel.put("x".repeat(98))?;
    /// wheel.close(Duration::from_secs(1));
    /// # Ok(()) })
    ///     .on(ERROR, |_, error| {
    ///         assert_eq!(error.as_io().map(|e| e.kind()), Some(ErrorKind::TimedOut));
    ///         assert_eq!(error.unwritten(), 36); // the system has taken 64 of 100
    ///     })
    /// # .args(ours).create(&kernel)?;
    /// # kernel.run().await
    /// # }).unwrap();
    /// ```
    pub fn flush_timeout(mut self, limit: Duration) -> Self {
        self.flush_timeout = limit;
        self
    }

    /// Bytes that were read from the stream before, and come first.
    pub fn unread(mut self, bytes: impl Into<Bytes>) -> Self {
        self.unread = bytes.into();
        self
    }

    /// Bytes that are to be written first, as they are; behind those of a [driver](Self::driver) of your own. If they are
    /// as many as the high mark, the wheel tells so.
    pub fn unwritten(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.unwritten = Bytes::copy_from_slice(bytes.as_ref());
        self
    }

    /// Starts the wheel for the session that is running; pass the handler's context. It reads and writes as soon as the
    /// handler returns.
    ///
    /// # Errors
    /// A filter's settings make no sense; the marks are not `0 < low < high`, or there is a high or low event without
    /// them; the session has been stopped.
    #[track_caller]
    pub fn start(self, kernel: &KernelRef<'_>) -> Result<ReadWrite, Error> {
        let place = Location::caller();
        self.settings.verdict()?;
        kernel.own_slot()?;
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
            flush_timeout: self.flush_timeout,
        };
        let state = State::new(Base::new(kernel, place), setup);
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
