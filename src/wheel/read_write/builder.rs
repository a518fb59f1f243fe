//! The settings of a ReadWrite, and its start.

use super::{Owner, ReadWrite};
use crate::debug::debug_fields;
use crate::driver::{BLOCK_SIZE, Driver};
use crate::error::{Error, ErrorKind};
use crate::event::Posts;
use crate::filter::{Filter, Line, Seam};
use crate::id::WheelId;
use crate::kernel::KernelRef;
use crate::name::HeldName;
use crate::wheel::base::{Base, Tag, tag_setting};
use crate::wheel::error::IoError;
use crate::wheel::pump::handle::BoxedDuplex;
use crate::wheel::pump::{
    FLUSH_TIMEOUT, Formatter, Input, Limits, Parser, PendingReports, Pump, PumpState, Settings, Setup, TypedFormatter,
    TypedParser, watermark_settings,
};
use bytes::Bytes;
use std::marker::PhantomData;
use std::panic::Location;
use std::time::Duration;

/// Configures a [`ReadWrite`] wheel; call [`start`](Self::start) to create it.
///
/// | setting | default |
/// |---|---|
/// | [`input`](Self::input) | none: nothing is read |
/// | [`output`](Self::output) | a fresh copy of the input's filter, or [`Line`] |
/// | [`error`](Self::error), [`flushed`](Self::flushed), [`high`](Self::high), [`low`](Self::low) | no event |
/// | [`watermarks`](Self::watermarks) | none |
/// | [`block_size`](Self::block_size) | 65 536 bytes |
/// | [`auto_flush`](Self::auto_flush) | off: output is written when the handler returns |
/// | [`flush_timeout`](Self::flush_timeout) | 30 s |
/// | [`unread`](Self::unread), [`unwritten`](Self::unwritten) | nothing |
/// | [`idle_timeout`](Self::idle_timeout), [`record_timeout`](Self::record_timeout) | none |
/// | [`tag`](Self::tag) | none |
///
/// `O` is the type of the records that can be put: the type that the output filter takes; text without an output filter.
///
/// ```
/// # use poe::{Event, Kernel, Session, WheelId, event::START, filter::{Line, Raw}};
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
/// # Session::builder(None::<ReadWrite<bytes::Bytes>>)
/// # .on(START, |cx, io: DuplexStream| -> poe::HandlerResult {
/// let wheel = ReadWrite::builder(io)
///     .input(Line::new(), LINE)
///     .output(Raw::new()) // raw bytes; without this, lines
///     .error(ERROR)
///     .flushed(FLUSHED)
///     .watermarks(8, 4).high(HIGH).low(LOW)
///     .block_size(1024)
///     .unread("read ahead\r\n") // from the previous reader of the stream
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
pub struct ReadWriteBuilder<O = String, C = SameFilter> {
    draft: Draft,
    takes: PhantomData<fn(O) -> C>,
}

struct Draft {
    io: BoxedDuplex,
    parser: Option<Box<dyn Parser>>,
    formatter: Option<Box<dyn Formatter>>,
    settings: Settings,
    block_size: usize,
    auto_flush: bool,
    flush_timeout: Duration,
    unread: Bytes,
    unwritten: Bytes,
    seam: Seam,
    reports: PendingReports,
    tag: Tag,
}

/// The state of a builder whose output filter follows the input filter, so that [`ReadWriteBuilder::input`] chooses both.
#[derive(Debug)]
pub enum SameFilter {}

/// The state of a builder whose output filter was chosen with [`ReadWriteBuilder::output`].
#[derive(Debug)]
pub enum OwnFilter {}

/// What the wheel takes once an input filter is chosen.
pub trait OutputChoice {
    /// The type of the records that can be put.
    type Takes<O, F: Filter>;
    #[doc(hidden)]
    const FOLLOWS: bool;
}

impl OutputChoice for SameFilter {
    type Takes<O, F: Filter> = F::Output;
    const FOLLOWS: bool = true;
}

impl OutputChoice for OwnFilter {
    type Takes<O, F: Filter> = O;
    const FOLLOWS: bool = false;
}

impl ReadWriteBuilder {
    pub(super) fn new(io: BoxedDuplex) -> Self {
        ReadWriteBuilder::of(Draft {
            io,
            parser: None,
            formatter: None,
            settings: Settings::default(),
            block_size: BLOCK_SIZE,
            auto_flush: false,
            flush_timeout: FLUSH_TIMEOUT,
            unread: Bytes::new(),
            unwritten: Bytes::new(),
            seam: Seam::new(),
            reports: PendingReports::default(),
            tag: Tag::default(),
        })
    }

    /// Continues where another wheel on the same stream stopped.
    pub(super) fn after(mut self, seam: Seam, reports: PendingReports) -> Self {
        self.draft.seam = seam;
        self.draft.reports = reports;
        self
    }
}

impl<O, C: OutputChoice> ReadWriteBuilder<O, C> {
    /// Reads with this filter; each record comes as this event.
    ///
    /// It writes with a fresh copy of the same filter, unless [`output`](Self::output) sets another one.
    #[doc(alias = "InputEvent")]
    #[doc(alias = "InputFilter")]
    #[doc(alias = "Filter")]
    pub fn input<F: Filter>(
        self,
        filter: F,
        event: impl Posts<Input<F::Input>>,
    ) -> ReadWriteBuilder<C::Takes<O, F>, C> {
        let output = C::FOLLOWS.then(|| filter.fresh());
        self.reads(filter, output, |filter| TypedParser::new(filter, event))
    }

    /// Like [`input`](Self::input), for an event that takes the bare record.
    pub(crate) fn bare_input<F: Filter>(
        self,
        filter: F,
        event: impl Posts<F::Input>,
    ) -> ReadWriteBuilder<C::Takes<O, F>, C> {
        let output = C::FOLLOWS.then(|| filter.fresh());
        self.reads(filter, output, |filter| TypedParser::bare(filter, event))
    }

    fn reads<F: Filter>(
        mut self,
        filter: F,
        output: Option<F>,
        parser: impl FnOnce(F) -> TypedParser<F>,
    ) -> ReadWriteBuilder<C::Takes<O, F>, C> {
        self.draft.settings.check(&filter);
        if let Some(output) = output {
            self.draft.formatter = Some(Box::new(TypedFormatter(output)));
        }
        self.draft.parser = Some(Box::new(parser(filter)));
        ReadWriteBuilder::of(self.draft)
    }
}

impl<O, C> ReadWriteBuilder<O, C> {
    fn of(draft: Draft) -> Self {
        let takes = PhantomData;
        ReadWriteBuilder { draft, takes }
    }

    /// Writes with this filter, whatever the input filter is.
    #[doc(alias = "OutputFilter")]
    pub fn output<F: Filter>(mut self, filter: F) -> ReadWriteBuilder<F::Output, OwnFilter> {
        self.draft.settings.check(&filter);
        self.draft.formatter = Some(Box::new(TypedFormatter(filter)));
        ReadWriteBuilder::of(self.draft)
    }

    /// Sends the error event when a record is incomplete for this long after its first byte; default none.
    ///
    /// The wheel goes on. The error [says so](IoError::is_timeout) and counts the bytes so far; close the wheel to get rid
    /// of a peer that sends a byte now and then. It comes once for each record. The time stands still while the input is
    /// paused. It needs a Tokio runtime with timers.
    pub fn record_timeout(mut self, limit: Duration) -> Self {
        self.draft.settings.limits.record = Some(limit);
        self
    }

    /// Sends the error event when no byte has gone either way for this long; default none.
    ///
    /// The wheel goes on. The error [says so](IoError::is_timeout). It comes once for each silence. The time stands still while the input is
    /// paused and nothing waits to be written. It needs a Tokio runtime with timers.
    pub fn idle_timeout(mut self, limit: Duration) -> Self {
        self.draft.settings.limits.idle = Some(limit);
        self
    }

    /// Sets all limits of a component.
    pub(crate) fn limits(mut self, limits: Limits) -> Self {
        self.draft.settings.limits = limits;
        self
    }

    /// Sends this event for errors and for the end of the input.
    ///
    /// Without it both are silent, except errors of the filter, which are logged: a rejected record (a line that is
    /// not UTF-8) at `warn!`, and the next one follows; a filter that cannot go on at `error!`, and nothing more is read.
    #[doc(alias = "ErrorEvent")]
    pub fn error(mut self, event: impl Posts<IoError>) -> Self {
        self.draft.settings.events.error = Some(HeldName::new(event.key()));
        self
    }

    /// Sends this event when everything that was put has been written.
    #[doc(alias = "FlushedEvent")]
    pub fn flushed(mut self, event: impl Posts<WheelId>) -> Self {
        self.draft.settings.events.flushed = Some(HeldName::new(event.key()));
        self
    }

    /// Sets the most bytes that one read takes; default 65 536, which is also the maximum.
    #[doc(alias = "Driver")]
    #[doc(alias = "BlockSize")]
    #[doc(alias = "POE::Driver::SysRW")]
    pub fn block_size(mut self, bytes: usize) -> Self {
        self.draft.block_size = bytes;
        self
    }

    /// Sets whether a put into an empty queue is written at once, not when the handler returns; default false.
    ///
    /// It costs a system call for each put, and helps if a long handler would delay the output.
    #[doc(alias = "AutoFlush")]
    pub fn auto_flush(mut self, auto_flush: bool) -> Self {
        self.draft.auto_flush = auto_flush;
        self
    }

    /// Sets how long the peer may take no bytes of the output after [`close`](ReadWrite::close); default 30 seconds.
    ///
    /// Each byte that the peer takes starts the time anew, so a slow peer gets everything. A peer that takes nothing for this time
    /// loses the connection: a TCP connection is reset, and the error event (`"write"`, with the kind
    /// [`TimedOut`](std::io::ErrorKind::TimedOut)) says how many bytes were not written. Without an error event that is logged.
    /// [`Duration::MAX`] sets no limit.
    pub fn flush_timeout(mut self, limit: Duration) -> Self {
        self.draft.flush_timeout = limit;
        self
    }

    /// Gives the wheel bytes that were read from the stream before, and come first.
    pub fn unread(mut self, bytes: impl Into<Bytes>) -> Self {
        self.draft.unread = bytes.into();
        self
    }

    /// Gives the wheel bytes to write first, unchanged.
    ///
    /// If they reach the high mark, the high event is sent.
    pub fn unwritten(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.draft.unwritten = Bytes::copy_from_slice(bytes.as_ref());
        self
    }

    /// Starts the wheel for the session that is running; pass the handler's context.
    ///
    /// It reads and writes as soon as the handler returns.
    ///
    /// # Errors
    /// A filter's settings are invalid; the block size is 0; the marks are not `0 < low < high`; a time limit is zero; the
    /// session has been stopped.
    #[track_caller]
    pub fn start(self, kernel: &KernelRef<'_>) -> Result<ReadWrite<O>, Error> {
        let place = Location::caller();
        let settings = self.draft.settings;
        settings.verdict()?;
        kernel.own_slot()?;
        if self.draft.block_size == 0 {
            return Err(ErrorKind::Invalid("a block size must be above 0".to_owned()).into());
        }
        let driver = Driver {
            block_size: self.draft.block_size,
            ..Driver::default()
        };
        driver.put(&self.draft.unwritten);
        let setup = Setup {
            io: self.draft.io,
            parser: self.draft.parser,
            formatter: self
                .draft
                .formatter
                .unwrap_or_else(|| Box::new(TypedFormatter(Line::new()))),
            marks: settings.marks(),
            events: settings.events,
            driver,
            auto_flush: self.draft.auto_flush,
            flush_timeout: self.draft.flush_timeout,
        };
        let state = PumpState::new(Base::new(kernel, place).tagged(self.draft.tag), setup);
        state.seam.set(self.draft.seam);
        state.restore(self.draft.reports);
        if !self.draft.unread.is_empty() {
            state.with_parser(|parser| parser.start(&self.draft.unread));
            state.note_reparse();
        }
        let what = format!("ReadWrite {}", state.base.id());
        let task = state
            .base
            .start(&what, false, Box::new(Pump::new(state.clone(), settings.limits)));
        state.task.set(task);
        Ok(ReadWrite::of(Owner(state)))
    }
}

watermark_settings!([O, C] ReadWriteBuilder<O, C>, draft.settings);
tag_setting!([O, C] ReadWriteBuilder<O, C>, draft.tag);

debug_fields!([O, C] ReadWriteBuilder<O, C>, "ReadWriteBuilder", |this| { watermarks: this.draft.settings.marks, .. });
