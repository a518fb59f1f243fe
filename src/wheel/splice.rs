//! Two ReadWrite wheels joined: what the one reads the other writes, both ways, no faster than it can.
//!
//! | event | argument | when |
//! |---|---|---|
//! | ended | [`Spliced`] | both directions are over |
//!
//! The input filter of each wheel is replaced by a conduit, which appends to the other's output what is read. It lets the
//! next read take only as many octets as are left to the other's high mark, and stops at that mark until the output has
//! fallen to the low one: so no more than the high mark ever waits, whatever the peers do.

use super::base::Base;
use super::error::IoError;
use super::pump::{Events, Link, Parser, Record, State, check_marks};
use super::read_write::ReadWrite;
use crate::arg::AnyArg;
use crate::error::Error;
use crate::event::Posts;
use crate::filter::FilterError;
use crate::id::{SessionId, WheelId};
use crate::kernel::{Core, Turn};
use crate::name::{HeldName, NameIdx};
use bytes::Bytes;
use std::any::{Any, TypeId};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::panic::Location;
use std::rc::{Rc, Weak};

/// Joins two wheels, as a proxy does: what each reads the other writes, octet for octet, with back-pressure both ways.
///
/// What their filters hold unread goes first, and behind what was put. The end of an input becomes the end of the other's
/// output, once all is written; an output that fails ends the other's input. The wheels tell of nothing themselves any
/// more; when both directions are over, one event says how it went.
///
/// ```
/// use poe::{Context, Event, wheel::{ReadWrite, Splice, Spliced, splice}};
/// # use poe::{Kernel, Session, event::START};
/// # use tokio::io::{AsyncReadExt, AsyncWriteExt};
/// const CONNECTED: Event<(ReadWrite, ReadWrite)> = Event::new("connected");
/// const ENDED: Event<Spliced> = Event::new("ended");
/// fn on_connected(cx: &mut Context<'_, Option<Splice>>, (client, server): (ReadWrite, ReadWrite)) -> poe::Handled {
///     *cx.heap = Some(splice(client, server).watermarks(65_536, 16_384).ended(ENDED).start(cx)?);
///     Ok(())
/// }
/// fn on_ended(cx: &mut Context<'_, Option<Splice>>, ended: Spliced) {
///     println!("{} octets there, {} back", ended.there, ended.back);
/// #     assert_eq!((ended.there, ended.back), (10, 0));
///     *cx.heap = None;
/// }
/// # tokio_test::block_on(async {
/// # let kernel = Kernel::new();
/// # let ((mut client, one), (mut server, other)) = (tokio::io::duplex(64), tokio::io::duplex(64));
/// # Session::builder(None::<Splice>)
/// #     .on(START, |cx, (one, other)| -> poe::Handled {
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
/// # Session::builder(()).on(START, |cx, ()| -> poe::Handled {
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
/// # .on(START, |cx, (one, other): (DuplexStream, DuplexStream)| -> poe::Handled {
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
///     assert_eq!((joined.octets(), joined.out_octets()), ((10, 9), (0, 0))); // there and back; none waits
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

/// The argument of a splice's event: both directions are over.
///
/// ```
/// # use poe::{Context, Event, Kernel, Session, event::START};
/// # use poe::wheel::{ReadWrite, Splice, Spliced, splice};
/// # use tokio::io::{AsyncWriteExt, DuplexStream};
/// # const ENDED: Event<Spliced> = Event::new("ended");
/// fn on_ended(cx: &mut Context<'_, Option<Splice>>, ended: Spliced) {
///     assert_eq!(cx.heap.as_ref().map(Splice::id), Some(ended.wheel));
///     // The server was gone: its wheel could not write.
///     assert_eq!((ended.there, ended.back), (10, 0));
///     assert_eq!(ended.errors.len(), 1);
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
/// # .on(START, |cx, (one, other): (DuplexStream, DuplexStream)| -> poe::Handled {
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
    /// Octets that went from the first wheel to the second.
    pub there: u64,
    /// … and from the second to the first.
    pub back: u64,
    /// What went wrong; empty if both ends have ended in good order. Each names its wheel.
    pub errors: Vec<IoError>,
}

impl SpliceBuilder {
    /// How many octets may wait to be written, in each direction: at `high` reading stops, at `low` it goes on. Default
    /// 65 536 and 16 384.
    #[doc(alias = "HighMark")]
    #[doc(alias = "LowMark")]
    pub fn watermarks(mut self, high: usize, low: usize) -> Self {
        self.marks = (high, low);
        self
    }

    /// Tells when both directions are over.
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
    pub fn start(self, turn: &Turn<'_>) -> Result<Splice, Error> {
        let place = Location::caller();
        let (high, low) = self.marks;
        check_marks(high, low)?;
        let (one, other) = (self.one, self.other);
        for wheel in [&one, &other] {
            let state = wheel.state();
            state.base.adopt(turn, place, state.task.get())?;
        }
        let shared = Rc::new(Shared {
            base: Base::new(turn, place),
            ends: [Rc::downgrade(one.state()), Rc::downgrade(other.state())],
            high,
            low,
            moved: Default::default(),
            errors: RefCell::default(),
            ended: self.ended,
            told: Cell::new(false),
        });
        for (from, to, way) in [(&one, &other, 0), (&other, &one, 1)] {
            shared.join(from.state(), to.state(), way);
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
    /// # .on(START, |cx, ()| -> poe::Handled {
    /// #     let ((_, one), (_, other)) = (tokio::io::duplex(64), tokio::io::duplex(64));
    /// #     let joined = splice(ReadWrite::builder(one).start(cx)?, ReadWrite::builder(other).start(cx)?).start(cx)?;
    /// #     let keeper = Session::builder(None::<Splice>)
    /// #     .on(START, |cx, ()| ())
    /// // In the session that is to keep what another has made:
    ///     .on(TAKE_OVER, |cx, joined| -> poe::Handled {
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
    pub fn adopt(&self, turn: &Turn<'_>) -> Result<(), Error> {
        let place = Location::caller();
        self.shared.base.adopt(turn, place, None)?;
        for wheel in [&self.one, &self.other] {
            let state = wheel.state();
            state.base.adopt(turn, place, state.task.get())?;
        }
        Ok(())
    }

    /// Octets that have gone so far: from the first wheel to the second, and back.
    #[must_use]
    pub fn octets(&self) -> (u64, u64) {
        (self.shared.moved[0].get(), self.shared.moved[1].get())
    }

    /// Octets that wait to be written: by the first wheel, and by the second.
    #[must_use]
    pub fn out_octets(&self) -> (usize, usize) {
        (self.one.out_octets(), self.other.out_octets())
    }
}

impl fmt::Debug for SpliceBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpliceBuilder")
            .field("one", &self.one)
            .field("other", &self.other)
            .field("marks", &self.marks)
            .finish_non_exhaustive()
    }
}

impl Drop for Splice {
    fn drop(&mut self) {
        self.shared.base.silence();
    }
}

struct Shared {
    base: Base,
    /// The first wheel and the second.
    ends: [Weak<State>; 2],
    high: usize,
    low: usize,
    /// Octets from the first, and from the second.
    moved: [Cell<u64>; 2],
    errors: RefCell<Vec<IoError>>,
    ended: Option<HeldName>,
    told: Cell<bool>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("moved", &self.moved)
            .field("errors", &self.errors)
            .finish_non_exhaustive()
    }
}

impl Shared {
    fn join(self: &Rc<Self>, from: &Rc<State>, to: &Rc<State>, way: usize) {
        let old_events = from.events.replace(Events::default());
        *from.link.borrow_mut() = Some(self.clone());
        let conduit = Conduit {
            shared: self.clone(),
            from: Rc::downgrade(from),
            to: Rc::downgrade(to),
            way,
        };
        let had_ended = from.is_input_over();
        let old_filter = from.set_parser(Box::new(conduit));
        self.regulate(from, to);
        if had_ended {
            to.shut_output(true);
        }
        if to.is_output_closed() && !had_ended {
            from.shut_input();
        }
        from.pause(false);
        from.schedule();
        to.schedule();
        drop((old_events, old_filter));
    }

    /// Lets the one read as much as the other has room for.
    fn regulate(&self, from: &State, to: &State) {
        let waits = to.out_octets();
        if waits >= self.high {
            from.throttle(true);
        } else {
            from.set_block(self.high - waits);
            if waits <= self.low {
                from.throttle(false);
            }
        }
    }

    /// The wheel at the other end.
    fn other(&self, state: &State) -> Option<Rc<State>> {
        let mut ends = self.ends.iter().filter_map(Weak::upgrade);
        ends.find(|end| !std::ptr::eq(&**end, state))
    }
}

impl Link for Shared {
    fn drained(&self, state: &State) {
        let Some(from) = self.other(state) else { return };
        if state.is_output_over() {
            from.shut_input();
            from.schedule();
        } else {
            self.regulate(&from, state);
        }
    }

    fn ended(&self, state: &State) {
        if let Some(to) = self.other(state) {
            to.shut_output(true);
            to.schedule();
        }
    }

    fn failed(&self, error: IoError) {
        if !error.is_eof() {
            self.errors.borrow_mut().push(error);
        }
    }

    fn settle(&self, core: &Core) {
        let ends: Vec<Rc<State>> = self.ends.iter().filter_map(Weak::upgrade).collect();
        if !ends.iter().all(|end| end.is_output_over()) || self.told.replace(true) {
            return;
        }
        let spliced = Spliced {
            wheel: self.base.id(),
            there: self.moved[0].get(),
            back: self.moved[1].get(),
            errors: self.errors.take(),
        };
        if let Some(event) = &self.ended
            && self.base.is_alive()
        {
            let _: Option<()> = self.base.deliver(core, event.idx(), AnyArg::new(spliced));
        }
        for end in ends {
            end.base.end(end.task.take());
        }
    }
}

/// What stands in the place of an input filter.
struct Conduit {
    shared: Rc<Shared>,
    from: Weak<State>,
    to: Weak<State>,
    way: usize,
}

impl Parser for Conduit {
    fn start(&mut self, octets: &[u8]) {
        let (Some(from), Some(to)) = (self.from.upgrade(), self.to.upgrade()) else {
            return;
        };
        if !to.is_output_closed() {
            to.pass(octets);
            let moved = &self.shared.moved[self.way];
            moved.set(moved.get() + octets.len() as u64);
        }
        self.shared.regulate(&from, &to);
    }
    fn next(&mut self, _: WheelId, _: &mut Record) -> Option<Result<(), FilterError>> {
        None
    }
    fn event(&self) -> NameIdx {
        NameIdx::NONE
    }
    fn set_event(&mut self, _: HeldName, _: TypeId) -> bool {
        false
    }
    fn filter(&mut self) -> Option<&mut dyn Any> {
        None
    }
    fn pending(&self) -> &[u8] {
        &[]
    }
    fn take_pending(&mut self) -> Bytes {
        Bytes::new()
    }
    fn owed(&self) -> Option<u8> {
        None
    }
}
