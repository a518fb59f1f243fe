//! What TcpServer and TcpClient share: a session with one connection, its settings, callbacks and orderly end.
//!
//! The end of a connection, whoever wants it, is the event [`SHUTDOWN`]: no more input, then what was put is written,
//! then the `disconnected` callback runs, once, and the wheel goes.

use crate::error::{Error, ErrorKind, Handled};
use crate::event::{Event, STOP};
use crate::filter::Filter;
use crate::id::WheelId;
use crate::kernel::Turn;
use crate::session::{Context, IntoReply, States};
use crate::wheel::{IoError, Level, PutError, ReadWrite};
use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;
use tokio::net::TcpStream;

/// Ends a connection in good order: what was put before is written. To a server's listener: listen no more, but let the
/// clients live on. Post it from anywhere: `cx.post("an alias", SHUTDOWN, ())`.
pub const SHUTDOWN: Event<()> = Event::new("shutdown");

/// The events of the wheel. The names of others in a user's states do not collide with these by accident.
const ERROR: Event<IoError> = Event::new("tcp_got_error");
const FLUSHED: Event<WheelId> = Event::new("tcp_got_flush");
const HIGH: Event<WheelId> = Event::new("tcp_got_high");
const LOW: Event<WheelId> = Event::new("tcp_got_low");

fn input<F: Filter>() -> Event<F::Input> {
    Event::new("tcp_got_input")
}

/// All settings of a connection that servers and clients have alike, with their defaults.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    /// Send small writes at once.
    pub(super) nodelay: bool,
    /// High and low, in octets.
    pub(super) marks: Option<(usize, usize)>,
    /// End the connection after an error.
    pub(super) shutdown_on_error: bool,
    /// How long a peer that is still sending is heard out when the connection is closed.
    pub(super) linger: Duration,
    /// Of the session that is the component.
    pub(super) alias: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            nodelay: true,
            marks: None,
            shutdown_on_error: true,
            linger: Duration::from_secs(1),
            alias: None,
        }
    }
}

/// A user's callback, whatever it returns.
pub(super) type Callback<T, A> = Rc<dyn Fn(&mut Context<'_, T>, A) -> Handled>;

pub(super) fn callback<T: 'static, A: 'static, Ret: IntoReply>(
    f: impl Fn(&mut Context<'_, T>, A) -> Ret + 'static,
) -> Callback<T, A> {
    Rc::new(move |cx, arg| f(cx, arg).into_reply().map(drop))
}

pub(super) fn plain<T: 'static, Ret: IntoReply>(f: impl Fn(&mut Context<'_, T>) -> Ret + 'static) -> Callback<T, ()> {
    Rc::new(move |cx, ()| f(cx).into_reply().map(drop))
}

/// What a user has asked to be told of. Nobody is told of what is `None`.
pub(super) struct Callbacks<T: Wired> {
    pub(super) connected: Option<Callback<T, ()>>,
    pub(super) input: Option<Callback<T, <T::Filter as Filter>::Input>>,
    pub(super) flushed: Option<Callback<T, ()>>,
    pub(super) error: Option<Callback<T, IoError>>,
    pub(super) high: Option<Callback<T, ()>>,
    pub(super) low: Option<Callback<T, ()>>,
    pub(super) disconnected: Option<Callback<T, ()>>,
}

impl<T: Wired> Callbacks<T> {
    pub(super) fn new() -> Self {
        Callbacks {
            connected: None,
            input: None,
            flushed: None,
            error: None,
            high: None,
            low: None,
            disconnected: None,
        }
    }

    /// Whether any is set.
    pub(super) fn is_any(&self) -> bool {
        self.connected.is_some()
            || self.input.is_some()
            || self.flushed.is_some()
            || self.error.is_some()
            || self.high.is_some()
            || self.low.is_some()
            || self.disconnected.is_some()
    }
}

/// A heap with a connection in it.
pub(super) trait Wired: Sized + 'static {
    type Filter: Filter;
    /// The wheel goes before the `disconnected` callback, and not behind it.
    const CLOSES_FIRST: bool;
    fn wire(&self) -> &Wire<Self::Filter>;
    fn wire_mut(&mut self) -> &mut Wire<Self::Filter>;
}

/// A connection in a heap.
pub(super) struct Wire<F> {
    /// Empty before the connection and after it.
    wheel: Option<ReadWrite>,
    peer: Option<SocketAddr>,
    /// `connected` was called, and `disconnected` not yet.
    up: bool,
    /// The end was asked for: no input callback any more (law 33).
    shutdown: Cell<bool>,
    /// It waits for the output to be written.
    finishing: bool,
    /// Nothing can be written any more.
    broken: bool,
    filter: PhantomData<fn(F)>,
}

impl<F> Wire<F> {
    pub(super) fn new() -> Self {
        Wire {
            wheel: None,
            peer: None,
            up: false,
            shutdown: Cell::new(false),
            finishing: false,
            broken: false,
            filter: PhantomData,
        }
    }

    pub(super) fn is_up(&self) -> bool {
        self.up
    }
}

/// The connection, as a handler of its session sees it: [`cx.client()`](Context::client) in a server,
/// [`cx.server()`](Context::server) in a client.
///
/// ```
/// # use poe::component::TcpServer;
/// TcpServer::builder("127.0.0.1:0").client_input(|cx, line: String| {
///     cx.client().put(format!("{} octets", line.len())); // the server's filter says what can be put
///     if line == "quit" {
///         cx.client().shutdown(); // once that is written
///     }
/// });
/// ```
pub struct Link<'a, F: Filter> {
    wire: &'a Wire<F>,
    turn: Turn<'a>,
}

impl<'a, F: Filter> Link<'a, F> {
    pub(super) fn new(wire: &'a Wire<F>, turn: Turn<'a>) -> Self {
        Link { wire, turn }
    }

    /// Puts a record: it is written when the handler returns. On a connection that has ended it goes nowhere; a record
    /// for which the filter has no form comes back as an error to the error callback. See [`try_put`](Self::try_put).
    #[track_caller]
    pub fn put(&self, record: impl Into<F::Output>) {
        let Err(refused) = self.try_put(record) else { return };
        match (&self.wire.wheel, refused.into_filter()) {
            (Some(wheel), Some(error)) => self.turn.yield_to(ERROR, IoError::filter("write", wheel.id(), error)),
            _ => tracing::debug!(target: "poe::wheels", "put on a connection that has ended"),
        }
    }

    /// Puts a record, and says whether the high mark is reached.
    ///
    /// # Errors
    /// The record, if the connection has ended or the filter has no form for it.
    pub fn try_put(&self, record: impl Into<F::Output>) -> Result<Level, PutError<F::Output>> {
        match &self.wire.wheel {
            Some(wheel) => wheel.put(record.into()),
            None => Err(PutError::closed(record.into())),
        }
    }

    /// Ends the connection in good order: no input callback any more, what was put is written, and then the
    /// `disconnected` callback runs.
    #[track_caller]
    pub fn shutdown(&self) {
        self.wire.shutdown.set(true);
        self.turn.yield_to(SHUTDOWN, ());
    }

    /// Whether there is a connection, and its end was not asked for.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.wire.wheel.is_some() && !self.wire.shutdown.get()
    }

    /// The address at the other end; `None` before there was a connection.
    #[doc(alias = "remote_ip")]
    #[doc(alias = "remote_port")]
    #[must_use]
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        self.wire.peer
    }

    /// The wheel behind it, for what is not repeated here: pausing the input, marks, changing filters. (A change of the
    /// output filter to one for other records makes `put` fail; change the input filter to one for other records
    /// together with its event.) `None` before and after the connection.
    #[must_use]
    pub fn wheel(&self) -> Option<&'a ReadWrite> {
        self.wire.wheel.as_ref()
    }
}

impl<F: Filter> fmt::Debug for Link<'_, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("peer", &self.wire.peer)
            .field("wheel", &self.wire.wheel)
            .field("shutdown", &self.wire.shutdown.get())
            .finish()
    }
}

/// What a connection's session works by; the same for all that one builder makes.
pub(super) struct Plan<T: Wired> {
    pub(super) settings: Settings,
    pub(super) callbacks: Callbacks<T>,
    pub(super) filter: Rc<dyn Fn() -> T::Filter>,
}

impl<T: Wired> Plan<T> {
    /// What must hold for every connection, so that it is said before the first one.
    pub(super) fn check(&self, states: &States<T>, reserved: &[&str]) -> Result<(), Error> {
        let invalid = |what: String| Err(ErrorKind::Invalid(what).into());
        if let Err(error) = (self.filter)().check() {
            return invalid(error.to_string());
        }
        let (marks, high, low) = (
            self.settings.marks.is_some(),
            self.callbacks.high.is_some(),
            self.callbacks.low.is_some(),
        );
        if (marks || high || low) && !(marks && high && low) {
            return invalid("watermarks and the callbacks for high and low go together: give all or none".to_owned());
        }
        if let Some((high, low)) = self.settings.marks
            && !(0 < low && low < high)
        {
            return invalid(format!(
                "watermarks must be 0 < low < high, not low {low} and high {high}"
            ));
        }
        let own = ["_start", "_stop", "shutdown"];
        match states
            .event_names()
            .iter()
            .find(|name| own.contains(&&***name) || reserved.contains(&&***name))
        {
            Some(name) => invalid(format!("the state `{name}` is the component's own: use its callbacks")),
            None => Ok(()),
        }
    }

    /// Takes a connection: makes the wheel, then calls `connected`.
    pub(super) fn connect(&self, cx: &mut Context<'_, T>, stream: TcpStream, peer: SocketAddr) -> Handled {
        let mut builder = ReadWrite::builder(stream)
            .bare_input((self.filter)(), input::<T::Filter>())
            .error(ERROR);
        if self.callbacks.flushed.is_some() {
            builder = builder.flushed(FLUSHED);
        }
        if let Some((high, low)) = self.settings.marks {
            builder = builder.watermarks(high, low).high(HIGH).low(LOW);
        }
        let wheel = builder.start(cx)?;
        let up = Wire {
            wheel: Some(wheel),
            peer: Some(peer),
            up: true,
            ..Wire::new()
        };
        let old = std::mem::replace(cx.heap.wire_mut(), up);
        drop(old);
        call(&self.callbacks.connected, cx)
    }

    /// Begins the end, and reaches it if nothing waits to be written.
    pub(super) fn shutdown(&self, cx: &mut Context<'_, T>) -> Handled {
        let wire = cx.heap.wire_mut();
        wire.shutdown.set(true);
        let Some(wheel) = &wire.wheel else { return Ok(()) };
        wheel.shutdown_input();
        if wire.broken || wheel.is_output_closed() || wheel.out_octets() == 0 {
            return self.finish(cx);
        }
        if !std::mem::replace(&mut wire.finishing, true) {
            wheel.set_flushed_event(Some(FLUSHED));
        }
        Ok(())
    }

    /// The end: `disconnected` is called, and the wheel goes.
    fn finish(&self, cx: &mut Context<'_, T>) -> Handled {
        if T::CLOSES_FIRST {
            self.close(cx);
            self.disconnect(cx)
        } else {
            let result = self.disconnect(cx);
            self.close(cx);
            result
        }
    }

    fn close(&self, cx: &mut Context<'_, T>) {
        let wire = cx.heap.wire_mut();
        if let Some(wheel) = wire.wheel.take()
            && !wire.broken
        {
            wheel.close(self.settings.linger);
        }
    }

    /// Calls `disconnected`, unless it was called for this connection or there was none.
    fn disconnect(&self, cx: &mut Context<'_, T>) -> Handled {
        if std::mem::take(&mut cx.heap.wire_mut().up) {
            return call(&self.callbacks.disconnected, cx);
        }
        Ok(())
    }

    /// Ends the connection at once; what was put and not written is lost.
    pub(super) fn cut(&self, cx: &mut Context<'_, T>) -> Handled {
        let wheel = cx.heap.wire_mut().wheel.take();
        drop(wheel);
        self.disconnect(cx)
    }

    fn got_error(&self, cx: &mut Context<'_, T>, error: IoError) -> Handled {
        let too_long = error.as_filter().is_some_and(|e| e.is_too_long() || e.is_overflow());
        let ends = (error.is_final() || too_long) && error.operation() == "read" || error.as_io().is_some();
        let wire = cx.heap.wire_mut();
        wire.broken |= error.as_io().is_some();
        let ends = ends && (self.settings.shutdown_on_error || wire.shutdown.get());
        if ends {
            wire.shutdown.set(true);
        }
        let result = match &self.callbacks.error {
            Some(callback) => callback(cx, error),
            None => {
                if !error.is_eof() && !error.is_reset() {
                    let peer = cx.heap.wire().peer;
                    tracing::warn!(target: "poe::wheels", session = %cx.session_id(), ?peer, "{error}");
                }
                Ok(())
            }
        };
        if ends {
            cx.yield_to(SHUTDOWN, ());
        }
        result
    }

    fn got_flush(&self, cx: &mut Context<'_, T>) -> Handled {
        let result = call(&self.callbacks.flushed, cx);
        if cx.heap.wire().finishing && cx.heap.wire().wheel.is_some() {
            return self.finish(cx).and(result);
        }
        result
    }

    /// Adds the handlers of a connection to a user's own.
    pub(super) fn states(plan: &Rc<Self>, user: States<T>) -> States<T> {
        let (on_input, on_error, on_flush) = (plan.clone(), plan.clone(), plan.clone());
        let (on_high, on_low, on_stop) = (plan.clone(), plan.clone(), plan.clone());
        user.on(input::<T::Filter>(), move |cx, record| {
            match &on_input.callbacks.input {
                Some(callback) if !cx.heap.wire().shutdown.get() => callback(cx, record),
                _ => Ok(()),
            }
        })
        .on(ERROR, move |cx, error| on_error.got_error(cx, error))
        .on(FLUSHED, move |cx, _| on_flush.got_flush(cx))
        .on(HIGH, move |cx, _| call(&on_high.callbacks.high, cx))
        .on(LOW, move |cx, _| call(&on_low.callbacks.low, cx))
        // A session that is stopped from outside has lost its connection all the same.
        .on(STOP, move |cx, ()| on_stop.disconnect(cx))
    }
}

fn call<T: 'static>(callback: &Option<Callback<T, ()>>, cx: &mut Context<'_, T>) -> Handled {
    match callback {
        Some(callback) => callback(cx, ()),
        None => Ok(()),
    }
}
