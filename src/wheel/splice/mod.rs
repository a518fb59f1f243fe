//! Two ReadWrite wheels joined: what the one reads the other writes, both ways, no faster than it can.
//!
//! | event | argument | when |
//! |---|---|---|
//! | ended | [`Spliced`] | both directions are over, or one side has failed |
//!
//! The input filter of each wheel is replaced by a conduit, which appends to the other's output what is read. It lets the
//! next read take only as many bytes as are left to the other's high mark, and stops at that mark until the output has
//! fallen to the low one: so no more than the high mark ever waits, whatever the peers do.
//!
//! | what happens at one end | what the splice does |
//! |---|---|
//! | its input ends | the other's output ends once all is written; the other direction goes on (half-close), or both finish |
//! | its input fails | nothing more is read from the other; what came before is written to it, for `drain_timeout` at most |
//! | its output fails | the same, after reading what the system still holds of its input without waiting |
//! | the end of its output cannot be sent | as if its output had failed |

mod joined;

use super::base::Base;
use super::error::IoError;
use super::pump::check_marks;
use super::read_write::ReadWrite;
use crate::error::Error;
use crate::event::Posts;
use crate::id::{SessionId, WheelId};
use crate::kernel::KernelRef;
use crate::name::HeldName;
use joined::{Shared, Stage};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::panic::Location;
use std::rc::Rc;
use std::time::Duration;

/// Joins two wheels, as a proxy does: what each reads the other writes, byte for byte, with back-pressure both ways.
///
/// What their filters hold unread goes first, and behind what was put. The wheels send no events of their own any more; one
/// event says how it went.
///
/// The end of one input becomes the end of the other's output, once all is written, and the other direction goes on until it
/// ends, too ([`half_close`](SpliceBuilder::half_close) decides that). The first error, such as a reset, ends the splice:
/// nothing more is read from the side that is well, and it is given what the other one sent before it failed, for at most
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
pub fn splice(one: ReadWrite, other: ReadWrite) -> SpliceBuilder {
    SpliceBuilder {
        one,
        other,
        marks: (65_536, 16_384),
        half_close: true,
        drain_timeout: Duration::from_secs(1),
        ended: None,
    }
}

/// Settings of a [`Splice`]; see [`splice`].
///
/// ```
/// # use poe::{Event, Kernel, Session, event::START};
/// # use poe::wheel::{ReadWrite, Spliced, SpliceBuilder, splice};
/// # const ENDED: Event<Spliced> = Event::new("ended");
/// # tokio_test::block_on(async {
/// # let kernel = Kernel::new();
/// # Session::builder(()).on(START, |cx, ()| -> poe::HandlerResult {
/// # let ((_, one), (_, other)) = (tokio::io::duplex(64), tokio::io::duplex(64));
/// let (client, server) = (ReadWrite::builder(one).start(cx)?, ReadWrite::builder(other).start(cx)?);
/// let joined: SpliceBuilder = splice(client, server).watermarks(65_536, 0).ended(ENDED);
/// let refused = joined.start(cx).unwrap_err();
/// assert!(refused.to_string().contains("0 < low < high"));
/// # Ok(()) }).create(&kernel)?;
/// # kernel.run().await }).unwrap();
/// ```
#[must_use = "a splice begins only with `start`"]
pub struct SpliceBuilder {
    one: ReadWrite,
    other: ReadWrite,
    marks: (usize, usize),
    half_close: bool,
    drain_timeout: Duration,
    ended: Option<HeldName>,
}

/// Two wheels that are joined. Dropping it stops both at once and closes the streams.
///
/// ```
/// # use poe::{Event, Kernel, Session, event::START};
/// # use poe::wheel::{ReadWrite, Splice, Spliced, splice};
/// # use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
/// # const ENDED: Event<Spliced> = Event::new("ended");
/// # tokio_test::block_on(async {
/// # let kernel = Kernel::new();
/// let ((mut client, to_client), (mut server, to_server)) = (tokio::io::duplex(64), tokio::io::duplex(64));
/// # Session::builder(None::<Splice>)
/// # .on(START, |cx, (one, other): (DuplexStream, DuplexStream)| -> poe::HandlerResult {
/// #     let (one, other) = (ReadWrite::builder(one).start(cx)?, ReadWrite::builder(other).start(cx)?);
/// // In a handler of the proxy:
/// let joined = splice(one, other).ended(ENDED).start(cx)?;
/// assert_eq!(joined.session_id(), cx.session_id());
/// *cx.heap = Some(joined);
/// #     Ok(())
/// # })
/// # .on(ENDED, |cx, ended| {
/// // In the handler of `ENDED`:
/// if let Some(joined) = cx.heap.take() {
///     assert_eq!(ended.wheel, joined.id());
///     assert_eq!((joined.bytes(), joined.buffered_bytes()), ((10, 9), (0, 0))); // there and back; none waits
/// }
/// # })
/// # .args((to_client, to_server)).create(&kernel)?;
///
/// client.write_all(b"a question").await?;
/// client.shutdown().await?;
/// server.write_all(b"an answer").await?;
/// server.shutdown().await?;
/// kernel.run().await?;
/// let (mut there, mut back) = (String::new(), String::new());
/// server.read_to_string(&mut there).await?;
/// client.read_to_string(&mut back).await?;
/// assert_eq!((&*there, &*back), ("a question", "an answer"));
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
#[derive(Debug)]
pub struct Splice {
    one: ReadWrite,
    other: ReadWrite,
    shared: Rc<Shared>,
}

/// The argument of a splice's event: how it ended.
///
/// ```
/// # use poe::{Context, Event, Kernel, Session, event::START};
/// # use poe::wheel::{ReadWrite, Splice, SpliceSide, Spliced, splice};
/// # use tokio::io::{AsyncWriteExt, DuplexStream};
/// # const ENDED: Event<Spliced> = Event::new("ended");
/// fn on_ended(cx: &mut Context<'_, Option<Splice>>, ended: Spliced) {
///     assert_eq!(cx.heap.as_ref().map(Splice::id), Some(ended.wheel));
///     // The server was gone: its wheel could not write.
///     assert_eq!((ended.there, ended.back), (10, 0));
///     assert_eq!((ended.failed, ended.errors.len()), (Some(SpliceSide::Second), 1));
///     assert!(ended.errors[0].is_reset() && ended.errors[0].operation() == "write");
///     *cx.heap = None;
/// }
/// # tokio_test::block_on(async {
/// # let kernel = Kernel::new();
/// # let transcript = poe::testing::Transcript::of(&kernel);
/// # let ((mut client, one), (server, other)) = (tokio::io::duplex(64), tokio::io::duplex(64));
/// # client.write_all(b"a question").await?;
/// # drop(server);
/// # Session::builder(None::<Splice>)
/// # .on(START, |cx, (one, other): (DuplexStream, DuplexStream)| -> poe::HandlerResult {
/// #     let (one, other) = (ReadWrite::builder(one).start(cx)?, ReadWrite::builder(other).start(cx)?);
/// #     *cx.heap = Some(splice(one, other).ended(ENDED).start(cx)?);
/// #     Ok(())
/// # })
/// # .on(ENDED, on_ended)
/// # .args((one, other)).create(&kernel)?;
/// # kernel.run().await?;
/// # assert!(transcript.records().iter().any(|record| record.event == "ended"));
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct Spliced {
    /// The splice that it is about.
    pub wheel: WheelId,
    /// Bytes that went from the first wheel to the second.
    pub there: u64,
    /// … and from the second to the first.
    pub back: u64,
    /// The side whose connection failed first, if one did.
    pub failed: Option<SpliceSide>,
    /// The errors, the first one first; empty if both sides have ended in good order. Each has its wheel and the operation
    /// that failed: `"read"`, `"write"` or `"shutdown"`.
    pub errors: Vec<IoError>,
}

/// One of the two wheels of a [`splice`].
///
/// ```
/// use poe::wheel::{SpliceSide, Spliced};
/// fn log(ended: &Spliced) {
///     match (ended.failed, ended.errors.first()) {
///         (Some(SpliceSide::First), Some(error)) => println!("the client's connection failed: {error}"),
///         (Some(SpliceSide::Second), Some(error)) => println!("the server's connection failed: {error}"),
///         _ => println!("{} bytes there, {} back", ended.there, ended.back),
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpliceSide {
    /// The first argument of [`splice`].
    First,
    /// The second.
    Second,
}

impl SpliceBuilder {
    /// How many bytes may wait to be written, in each direction: at `high` reading stops, at `low` it goes on. Default
    /// 65 536 and 16 384.
    #[doc(alias = "HighMark")]
    #[doc(alias = "LowMark")]
    pub fn watermarks(mut self, high: usize, low: usize) -> Self {
        self.marks = (high, low);
        self
    }

    /// Whether one direction goes on after the other has ended in good order; default true.
    ///
    /// With false the end of one input is the end of the splice: what waits to be written is written, for as long as
    /// [`drain_timeout`](Self::drain_timeout) allows, and both connections are closed.
    ///
    /// ```
    /// # use poe::{Event, Kernel, Session, event::START};
    /// # use poe::wheel::{ReadWrite, Splice, Spliced, splice};
    /// # use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
    /// # const ENDED: Event<Spliced> = Event::new("ended");
    /// # tokio_test::block_on(async {
    /// # let kernel = Kernel::new();
    /// # let ((mut client, one), (mut server, other)) = (tokio::io::duplex(64), tokio::io::duplex(64));
    /// # Session::builder(None::<Splice>)
    /// # .on(START, |cx, (client, server): (DuplexStream, DuplexStream)| -> poe::HandlerResult {
    /// # let (client, server) = (ReadWrite::builder(client).start(cx)?, ReadWrite::builder(server).start(cx)?);
    /// *cx.heap = Some(splice(client, server).half_close(false).ended(ENDED).start(cx)?);
    /// # Ok(()) })
    /// # .on(ENDED, |cx, _| *cx.heap = None)
    /// # .args((one, other)).create(&kernel)?;
    /// # client.write_all(b"a question").await?;
    /// # client.shutdown().await?; // the server never ends its side
    /// # kernel.run().await?;
    /// # let mut got = String::new();
    /// # server.read_to_string(&mut got).await?;
    /// # assert_eq!(got, "a question");
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    pub fn half_close(mut self, half_close: bool) -> Self {
        self.half_close = half_close;
        self
    }

    /// How long the splice may take, once one side has failed, to write to the other what came before; default 1 s.
    ///
    /// The same limit applies after the end of one input when [`half_close`](Self::half_close) is off. What is not written
    /// by then is lost, and an error with the kind `TimedOut` says so.
    ///
    /// ```
    /// # use poe::{Event, Kernel, Session, event::START};
    /// # use poe::wheel::{ReadWrite, splice};
    /// # use std::time::Duration;
    /// # tokio_test::block_on(async {
    /// # let kernel = Kernel::new();
    /// # Session::builder(()).on(START, |cx, ()| -> poe::HandlerResult {
    /// # let ((_, one), (_, other)) = (tokio::io::duplex(64), tokio::io::duplex(64));
    /// # let (client, server) = (ReadWrite::builder(one).start(cx)?, ReadWrite::builder(other).start(cx)?);
    /// let joined = splice(client, server).drain_timeout(Duration::from_secs(5)).start(cx)?;
    /// # drop(joined);
    /// # Ok(()) }).create(&kernel)?;
    /// # kernel.run().await }).unwrap();
    /// ```
    pub fn drain_timeout(mut self, limit: Duration) -> Self {
        self.drain_timeout = limit;
        self
    }

    /// Sends this event when the splice has ended: both directions are over, or one side has failed.
    pub fn ended(mut self, event: impl Posts<Spliced>) -> Self {
        self.ended = Some(HeldName::new(event.key()));
        self
    }

    /// Joins the wheels, for the session that is running; pass the handler's context. Wheels of other sessions move to
    /// this one.
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
        let shared = Rc::new(Shared {
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
    /// The splice's ID, which its event carries.
    #[doc(alias = "ID")]
    #[must_use]
    pub fn id(&self) -> WheelId {
        self.shared.base.id()
    }

    /// The session that its event goes to.
    #[must_use]
    pub fn session_id(&self) -> SessionId {
        self.shared.base.owner()
    }

    /// Moves the splice to the session that is running; see [`ReadWrite::adopt`].
    ///
    /// # Errors
    /// The session is of another kernel, or has been stopped; nothing has changed then.
    ///
    /// ```
    /// # use poe::{Event, Kernel, Session, event::START};
    /// # use poe::wheel::{ReadWrite, Splice, splice};
    /// const TAKE_OVER: Event<Splice> = Event::new("take over");
    /// # tokio_test::block_on(async {
    /// # let kernel = Kernel::new();
    /// # Session::builder(None::<Splice>)
    /// # .on(START, |cx, ()| -> poe::HandlerResult {
    /// #     let ((_, one), (_, other)) = (tokio::io::duplex(64), tokio::io::duplex(64));
    /// #     let joined = splice(ReadWrite::builder(one).start(cx)?, ReadWrite::builder(other).start(cx)?).start(cx)?;
    /// #     let keeper = Session::builder(None::<Splice>)
    /// #     .on(START, |cx, ()| ())
    /// // In the session that is to keep what another has made:
    ///     .on(TAKE_OVER, |cx, joined| -> poe::HandlerResult {
    ///         joined.adopt(cx)?;
    ///         assert_eq!(joined.session_id(), cx.session_id());
    ///         *cx.heap = Some(joined); // its `ended` comes here, too
    /// #       *cx.heap = None;
    ///         Ok(())
    ///     })
    /// #     .create_in(cx)?;
    /// #     cx.call(keeper, TAKE_OVER, joined)?;
    /// #     Ok(())
    /// # })
    /// # .create(&kernel)?;
    /// # kernel.run().await }).unwrap();
    /// ```
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

    /// Bytes that have gone so far: from the first wheel to the second, and back.
    #[must_use]
    pub fn bytes(&self) -> (u64, u64) {
        (self.shared.moved[0].get(), self.shared.moved[1].get())
    }

    /// Bytes that wait to be written: by the first wheel, and by the second.
    #[must_use]
    pub fn buffered_bytes(&self) -> (usize, usize) {
        (self.one.buffered_bytes(), self.other.buffered_bytes())
    }
}

impl fmt::Debug for SpliceBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpliceBuilder")
            .field("one", &self.one)
            .field("other", &self.other)
            .field("marks", &self.marks)
            .field("half_close", &self.half_close)
            .field("drain_timeout", &self.drain_timeout)
            .finish_non_exhaustive()
    }
}

impl Drop for Splice {
    fn drop(&mut self) {
        self.shared.base.end(self.shared.timer.take());
    }
}
