//! Joins two ReadWrite wheels: each writes the bytes that the other reads, no faster than its peer takes them.
//!
//! | event | argument | when |
//! |---|---|---|
//! | ended | [`Spliced`] | both directions are over, or one side has failed |
//!
//! The input filter of each wheel is replaced by a conduit, which appends the bytes to the other's output. It lets the
//! next read take only as many bytes as are left to the other's high mark, and stops at that mark until the output has
//! fallen to the low one: so no more than the high mark ever waits, whatever the peers do.
//!
//! | event at one end | reaction of the splice |
//! |---|---|
//! | its input ends | the other's output ends once everything is written; the other direction goes on (half-close), or both finish |
//! | its input fails | nothing more is read from the other; earlier bytes are written to it, for `drain_timeout` at most |
//! | its output fails | the same, after reading the bytes of its input that the system already has |
//! | the end of its output cannot be sent | as if its output had failed |

mod joined;

use super::base::Base;
use super::error::IoError;
use super::pump::check_marks;
use super::read_write::{AnyReadWrite, ReadWrite};
use crate::debug::debug_fields;
use crate::error::Error;
use crate::event::Posts;
use crate::id::{SessionId, WheelId};
use crate::kernel::KernelRef;
use crate::name::HeldName;
use joined::{SpliceState, Stage};
use std::cell::{Cell, RefCell};
use std::panic::Location;
use std::rc::Rc;
use std::time::Duration;

/// Joins two wheels, as a proxy does: each writes the bytes that the other reads, with backpressure in both directions.
///
/// Unread bytes in their filters go first, after the output that waits. The wheels send no events of their own any more; one
/// event reports the end.
///
/// The end of one input becomes the end of the other's output, once everything is written, and the other direction goes on until it
/// ends, too (see [`half_close`](SpliceBuilder::half_close)). The first error, such as a reset, ends the splice:
/// nothing more is read from the intact side, and it receives the bytes that the other one sent before it failed, for at most
/// the [`drain_timeout`](SpliceBuilder::drain_timeout).
///
/// ```
/// use poe::{Context, Event, wheel::{ReadWrite, Splice, Spliced, splice}};
/// # use poe::{Kernel, Session, event::START};
/// # use tokio::io::{AsyncReadExt, AsyncWriteExt};
/// const CONNECTED: Event<(ReadWrite, ReadWrite)> = Event::new("connected");
/// const ENDED: Event<Spliced> = Event::new("ended");
/// fn on_connected(cx: &mut Context<'_, Option<Splice>>, (client, server): (ReadWrite, ReadWrite)) -> poe::HandlerResult {
///     *cx.heap = Some(splice(client, server).watermarks(65_536, 16_384).ended(ENDED).start(cx)?);
///     Ok(())
/// }
/// fn on_ended(cx: &mut Context<'_, Option<Splice>>, ended: Spliced) {
///     println!("{} bytes there, {} back", ended.there, ended.back);
/// #     assert_eq!((ended.there, ended.back), (10, 0));
///     *cx.heap = None;
/// }
/// # tokio_test::block_on(async {
/// # let kernel = Kernel::new();
/// # let ((mut client, one), (mut server, other)) = (tokio::io::duplex(64), tokio::io::duplex(64));
/// # Session::builder(None::<Splice>)
/// #     .on(START, |cx, (one, other)| -> poe::HandlerResult {
/// #         let (one, other): (tokio::io::DuplexStream, tokio::io::DuplexStream) = (one, other);
/// #         cx.yield_to(CONNECTED, (ReadWrite::builder(one).start(cx)?, ReadWrite::builder(other).start(cx)?));
/// #         Ok(())
/// #     })
///     .on(CONNECTED, on_connected)
///     .on(ENDED, on_ended)
/// #     .args((one, other)).create(&kernel)?;
/// # client.write_all(b"a question").await?;
/// # client.shutdown().await?;
/// # server.shutdown().await?;
/// # kernel.run().await?;
/// # let mut got = String::new();
/// # server.read_to_string(&mut got).await?;
/// # assert_eq!(got, "a question");
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
pub fn splice<A: ?Sized, B: ?Sized>(one: ReadWrite<A>, other: ReadWrite<B>) -> SpliceBuilder {
    SpliceBuilder {
        one: one.into_any(),
        other: other.into_any(),
        marks: (65_536, 16_384),
        half_close: true,
        drain_timeout: Duration::from_secs(1),
        ended: None,
    }
}

/// Configures a [`Splice`]; see [`splice`].
#[must_use = "a splice does nothing until `start` is called"]
pub struct SpliceBuilder {
    one: AnyReadWrite,
    other: AnyReadWrite,
    marks: (usize, usize),
    half_close: bool,
    drain_timeout: Duration,
    ended: Option<HeldName>,
}

/// Two joined wheels. Dropping it stops both at once and closes the streams.
#[derive(Debug)]
#[must_use = "dropping the wheel stops it: keep it in the heap"]
pub struct Splice {
    one: AnyReadWrite,
    other: AnyReadWrite,
    shared: Rc<SpliceState>,
}

/// The argument of a splice's event: how it ended.
#[derive(Debug)]
#[non_exhaustive]
pub struct Spliced {
    /// The splice's ID.
    pub wheel: WheelId,
    /// Bytes that went from the first wheel to the second.
    pub there: u64,
    /// Bytes that went from the second wheel to the first.
    pub back: u64,
    /// The side whose connection failed first, if one did.
    pub failed: Option<SpliceSide>,
    /// The errors in their order; empty if both sides ended in good order.
    ///
    /// Each has its wheel and the operation that failed: `"read"`, `"write"` or `"shutdown"`.
    pub errors: Vec<IoError>,
}

/// One of the two wheels of a [`splice`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpliceSide {
    /// The first argument of [`splice`].
    First,
    /// The second argument of [`splice`].
    Second,
}

impl SpliceBuilder {
    /// Sets the size of the output buffers in bytes: reading stops at `high` and continues at `low`.
    ///
    /// Default 65 536 and 16 384.
    #[doc(alias = "HighMark")]
    #[doc(alias = "LowMark")]
    pub fn watermarks(mut self, high: usize, low: usize) -> Self {
        self.marks = (high, low);
        self
    }

    /// Sets whether one direction goes on after the other has ended in good order; default true.
    ///
    /// With false the end of one input ends the splice: waiting output is written, for as long as
    /// [`drain_timeout`](Self::drain_timeout) allows, and both connections are closed.
    pub fn half_close(mut self, half_close: bool) -> Self {
        self.half_close = half_close;
        self
    }

    /// Sets how long the splice may write earlier bytes to one side once the other has failed; default 1 s.
    ///
    /// The same limit applies after the end of one input when [`half_close`](Self::half_close) is off. Bytes not written
    /// by then are lost, and an error with the kind `TimedOut` says so.
    pub fn drain_timeout(mut self, limit: Duration) -> Self {
        self.drain_timeout = limit;
        self
    }

    /// Sends this event when the splice has ended: both directions are over, or one side has failed.
    pub fn ended(mut self, event: impl Posts<Spliced>) -> Self {
        self.ended = Some(HeldName::new(event.key()));
        self
    }

    /// Joins the wheels, for the session that is running; pass the handler's context.
    ///
    /// Wheels of other sessions move to this one.
    ///
    /// # Errors
    /// The marks are not `0 < low < high`, a wheel is of another kernel, or the session has been stopped.
    #[track_caller]
    pub fn start(self, kernel: &KernelRef<'_>) -> Result<Splice, Error> {
        let place = Location::caller();
        let (high, low) = self.marks;
        check_marks(high, low)?;
        let (one, other) = (self.one, self.other);
        for wheel in [&one, &other] {
            let state = wheel.state();
            state.base.adopt(kernel, place, state.task.get())?;
        }
        let shared = Rc::new(SpliceState {
            base: Base::new(kernel, place),
            ends: [Rc::downgrade(one.state()), Rc::downgrade(other.state())],
            high,
            low,
            half_close: self.half_close,
            drain_timeout: self.drain_timeout,
            moved: Default::default(),
            stage: Cell::new(Stage::Joined),
            errors: RefCell::default(),
            ended: self.ended,
            timer: Cell::new(None),
        });
        let one_had_ended = shared.join(one.state(), other.state(), 0);
        let other_had_ended = shared.join(other.state(), one.state(), 1);
        if !shared.half_close && (one_had_ended || other_had_ended) {
            shared.finish();
        }
        Ok(Splice { one, other, shared })
    }
}

impl Splice {
    /// Returns the splice's ID, which its event carries.
    #[doc(alias = "ID")]
    #[must_use]
    pub fn id(&self) -> WheelId {
        self.shared.base.id()
    }

    /// Returns the session that receives its event.
    #[must_use]
    pub fn session_id(&self) -> SessionId {
        self.shared.base.owner()
    }

    /// Moves the splice to the session that is running; see [`ReadWrite::adopt`].
    ///
    /// # Errors
    /// The session belongs to another kernel, or has been stopped; nothing is changed then.
    #[track_caller]
    pub fn adopt(&self, kernel: &KernelRef<'_>) -> Result<(), Error> {
        let place = Location::caller();
        self.shared.base.adopt(kernel, place, self.shared.timer.get())?;
        for wheel in [&self.one, &self.other] {
            let state = wheel.state();
            state.base.adopt(kernel, place, state.task.get())?;
        }
        Ok(())
    }

    /// Returns the bytes so far: from the first wheel to the second, and back.
    #[must_use]
    pub fn bytes(&self) -> (u64, u64) {
        (self.shared.moved[0].get(), self.shared.moved[1].get())
    }

    /// Returns the bytes not yet written: of the first wheel, and of the second.
    #[must_use]
    pub fn buffered_bytes(&self) -> (usize, usize) {
        (self.one.buffered_bytes(), self.other.buffered_bytes())
    }
}

debug_fields!([] SpliceBuilder, "SpliceBuilder", |this| {
    one: this.one,
    other: this.other,
    marks: this.marks,
    half_close: this.half_close,
    drain_timeout: this.drain_timeout,
    ..
});

impl Drop for Splice {
    fn drop(&mut self) {
        self.shared.base.end(self.shared.timer.take());
    }
}
