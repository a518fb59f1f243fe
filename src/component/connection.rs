//! What TcpServer and TcpClient share: a session with one connection, its settings, callbacks and orderly end.
//!
//! The end of a connection, whoever wants it, is the event [`SHUTDOWN`]: no more input, then what was put is written,
//! then the `disconnected` callback runs, once, and the wheel goes.

use super::callbacks::{BoxedDuplex, Callbacks, Component, call, named};
use super::settings::Settings;
use crate::error::{Error, ErrorKind, Handled};
use crate::event::{Event, STOP};
use crate::filter::Filter;
use crate::id::{TaskId, WheelId};
use crate::kernel::Turn;
use crate::session::{Context, States};
use crate::wheel::{Connection, IoError, ReadWrite, ReadWriteBuilder, SocketName};
use std::cell::{Cell, RefCell};
use std::io;
use std::marker::PhantomData;
use std::rc::Rc;

/// Ends a connection in good order: what was put before is written. To a server's listener: listen no more, but let the
/// clients live on. Post it from anywhere.
///
/// ```
/// use poe::{Kernel, component::{SHUTDOWN, TcpServer}};
/// # tokio_test::block_on(async {
/// let kernel = Kernel::new();
/// let server = TcpServer::builder("127.0.0.1:0").alias("echo").client_input(|cx, line| cx.client().put(line));
/// server.start(&kernel).await?;
/// kernel.post("echo", SHUTDOWN, ())?;
/// kernel.run().await                                      // or else this would not end
/// # }).unwrap();
/// ```
pub const SHUTDOWN: Event<()> = Event::new("shutdown");

/// Ends it at once.
pub(super) const CUT: Event<()> = Event::new("tcp_cut");

/// The connection is lost: as [`SHUTDOWN`], but nobody has asked for it.
pub(super) const LOST: Event<()> = Event::new("tcp_lost");

/// What PreConnect has made, of the connection that this wheel has brought.
pub(super) const PRE_CONNECTED: Event<(WheelId, io::Result<BoxedDuplex>)> = Event::new("tcp_pre_connected");

/// The events of the wheel. The names of others in a user's states do not collide with these by accident.
pub(super) const ERROR: Event<IoError> = Event::new("tcp_got_error");
const FLUSHED: Event<WheelId> = Event::new("tcp_got_flush");
const HIGH: Event<WheelId> = Event::new("tcp_got_high");
const LOW: Event<WheelId> = Event::new("tcp_got_low");

fn input<F: Filter>() -> Event<F::Input> {
    Event::new("tcp_got_input")
}

/// What a component keeps beside the heap, with a connection in it.
pub(super) trait Wired: Component + Sized {
    type Filter: Filter;
    /// The wheel goes before the `disconnected` callback, and not behind it.
    const CLOSES_FIRST: bool;
    /// What is at the other end, as the names of the callbacks have it.
    const PEER: &'static str;
    fn wire(&self) -> &Wire<Self::Filter>;
}

/// A connection, beside a session's heap. Handlers hold it by a shared reference, so everything in it is a cell.
pub(super) struct Wire<F> {
    /// Empty before the connection and after it. Shared with a [`Link`](super::link::Link) that was asked for it, so it is ended, not only dropped.
    wheel: RefCell<Option<Rc<ReadWrite>>>,
    peer: RefCell<Option<SocketName>>,
    /// PreConnect is at work, on the connection of that wheel.
    pre: Cell<Option<(TaskId, WheelId)>>,
    /// `connected` was called, and `disconnected` not yet.
    up: Cell<bool>,
    /// The end was asked for: no input callback any more (law 33).
    pub(super) shutdown: Cell<bool>,
    /// A record has come.
    pub(super) heard: Cell<bool>,
    /// It waits for the output to be written.
    finishing: Cell<bool>,
    /// Nothing can be written any more.
    broken: Cell<bool>,
    filter: PhantomData<fn(F)>,
}

impl<F> Wire<F> {
    pub(super) fn new() -> Self {
        Wire {
            wheel: RefCell::default(),
            peer: RefCell::default(),
            pre: Cell::new(None),
            up: Cell::new(false),
            shutdown: Cell::new(false),
            heard: Cell::new(false),
            finishing: Cell::new(false),
            broken: Cell::new(false),
            filter: PhantomData,
        }
    }

    pub(super) fn wheel(&self) -> Option<Rc<ReadWrite>> {
        self.wheel.borrow().clone()
    }

    pub(super) fn peer(&self) -> Option<SocketName> {
        self.peer.borrow().clone()
    }

    pub(super) fn is_up(&self) -> bool {
        self.up.get()
    }

    /// Whether PreConnect is at work on what that wheel has brought.
    pub(super) fn is_pre_connecting(&self, wheel: WheelId) -> bool {
        self.pre.get().is_some_and(|(_, current)| current == wheel)
    }

    /// As new, with the name of the peer that it has or is about to have.
    pub(super) fn reset(&self, peer: Option<SocketName>) {
        self.cut();
        drop(self.peer.replace(peer));
        self.pre.set(None);
        for flag in [&self.up, &self.shutdown, &self.heard, &self.finishing, &self.broken] {
            flag.set(false);
        }
    }

    /// The wheel goes at once; what was put and not written is lost.
    fn cut(&self) {
        let wheel = self.wheel.take();
        if let Some(wheel) = wheel {
            wheel.end();
        }
    }
}

impl<F> Drop for Wire<F> {
    fn drop(&mut self) {
        self.cut();
    }
}

/// A component gives its alias up, which the user may have done before it: that is no error to tell of.
pub(super) fn give_up_alias(turn: Turn<'_>, alias: &str) {
    if let Some(slot) = turn.slot() {
        let _ = turn.core.alias_remove(slot, alias);
    }
}

/// What is to happen when a connection is over.
pub(super) type Ended<H, X> = Rc<dyn Fn(&mut Context<'_, H, X>)>;

/// What a connection's session works by; the same for all that one builder makes.
pub(super) struct Plan<H: 'static, X: Wired> {
    pub(super) settings: Settings,
    pub(super) callbacks: Callbacks<H, X>,
    pub(super) filter: Rc<dyn Fn() -> X::Filter>,
    /// Called at the end of each connection, behind `disconnected`.
    pub(super) ended: Option<Ended<H, X>>,
}

impl<H: 'static, X: Wired> Plan<H, X> {
    /// What must hold for every connection, so that it is said before the first one.
    pub(super) fn check(
        settings: &Settings,
        callbacks: &Callbacks<H, X>,
        filter: &dyn Fn() -> X::Filter,
        states: &States<H, X>,
        reserved: &[&str],
    ) -> Result<(), Error> {
        let invalid = |what: String| Err(ErrorKind::Invalid(what).into());
        if let Err(error) = filter().check() {
            return invalid(error.to_string());
        }
        let (marks, high, low) = (
            settings.marks.is_some(),
            callbacks.high.is_some(),
            callbacks.low.is_some(),
        );
        if marks || high || low {
            let parts = [
                (marks, "watermarks".to_owned()),
                (high, format!("{}_high", X::PEER)),
                (low, format!("{}_low", X::PEER)),
            ];
            let missing: Vec<_> = parts
                .iter()
                .filter(|(set, _)| !set)
                .map(|(_, what)| format!("`{what}`"))
                .collect();
            if !missing.is_empty() {
                let missing = missing.join(" and ");
                return invalid(format!(
                    "watermarks and the callbacks for high and low go together: add {missing}"
                ));
            }
        }
        if let Some((high, low)) = settings.marks
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

    /// Takes a connection: PreConnect has it first, if there is one.
    pub(super) fn take(&self, cx: &mut Context<'_, H, X>, connection: Connection) -> Handled {
        let Connection {
            stream, peer, wheel, ..
        } = connection;
        drop(cx.component().wire().peer.replace(Some(peer)));
        let Some(pre_connect) = &self.callbacks.pre_connect else {
            return self.connect(cx, ReadWrite::builder(stream));
        };
        let making = pre_connect(cx, stream)?;
        let task = cx.spawn(async move { (wheel, making.await) }, PRE_CONNECTED);
        cx.component().wire().pre.set(Some((task, wheel)));
        Ok(())
    }

    /// What PreConnect has made, unless that connection was given up meanwhile.
    pub(super) fn pre_connected(
        &self,
        cx: &mut Context<'_, H, X>,
        (wheel, made): (WheelId, io::Result<BoxedDuplex>),
    ) -> Result<Handled, io::Error> {
        let wire = cx.component().wire();
        if !wire.is_pre_connecting(wheel) {
            return Ok(Ok(()));
        }
        wire.pre.set(None);
        Ok(self.connect(cx, ReadWrite::builder(made?)))
    }

    /// Makes the wheel, then calls `connected`.
    fn connect(&self, cx: &mut Context<'_, H, X>, builder: ReadWriteBuilder) -> Handled {
        let filter = named("filter", cx, |_| Ok((self.filter)()))?;
        let mut builder = builder.bare_input(filter, input::<X::Filter>()).error(ERROR);
        if self.callbacks.flushed.is_some() {
            builder = builder.flushed(FLUSHED);
        }
        if let Some((high, low)) = self.settings.marks {
            builder = builder.watermarks(high, low).high(HIGH).low(LOW);
        }
        let wheel = builder.start(cx)?;
        let wire = cx.component().wire();
        wire.reset(wire.peer());
        wire.wheel.replace(Some(Rc::new(wheel)));
        wire.up.set(true);
        call(&self.callbacks.connected, cx)
    }

    /// Gives up what PreConnect is at work on.
    pub(super) fn let_go(&self, cx: &mut Context<'_, H, X>) {
        if let Some((task, _)) = cx.component().wire().pre.take() {
            // Its result may be on its way, and is dropped then.
            let _ = cx.kernel.cancel(task);
        }
    }

    /// Begins the end, and reaches it if nothing waits to be written.
    pub(super) fn shutdown(&self, cx: &mut Context<'_, H, X>) -> Handled {
        self.let_go(cx);
        let wire = cx.component().wire();
        wire.shutdown.set(true);
        let Some(wheel) = wire.wheel() else { return Ok(()) };
        wheel.shutdown_input();
        if wire.broken.get() || wheel.is_output_closed() || wheel.out_octets() == 0 {
            return self.finish(cx);
        }
        if !wire.finishing.replace(true) {
            wheel.set_flushed_event(Some(FLUSHED));
        }
        Ok(())
    }

    /// The end: `disconnected` is called, and the wheel goes.
    fn finish(&self, cx: &mut Context<'_, H, X>) -> Handled {
        let result = if X::CLOSES_FIRST {
            self.close(cx);
            self.disconnect(cx)
        } else {
            let result = self.disconnect(cx);
            self.close(cx);
            result
        };
        self.end(cx);
        result
    }

    fn end(&self, cx: &mut Context<'_, H, X>) {
        if let Some(ended) = &self.ended {
            ended(cx);
        }
    }

    fn close(&self, cx: &mut Context<'_, H, X>) {
        let wire = cx.component().wire();
        if wire.broken.get() {
            return wire.cut();
        }
        let wheel = wire.wheel.take();
        if let Some(wheel) = wheel {
            wheel.close_gently(self.settings.linger);
        }
    }

    /// Calls `disconnected`, unless it was called for this connection or there was none.
    fn disconnect(&self, cx: &mut Context<'_, H, X>) -> Handled {
        if cx.component().wire().up.take() {
            return call(&self.callbacks.disconnected, cx);
        }
        Ok(())
    }

    /// Ends the connection at once; what was put and not written is lost.
    pub(super) fn cut(&self, cx: &mut Context<'_, H, X>) -> Handled {
        self.let_go(cx);
        cx.component().wire().cut();
        self.disconnect(cx)
    }

    fn got_error(&self, cx: &mut Context<'_, H, X>, error: IoError) -> Handled {
        let error = match cx.component().wire().peer() {
            Some(peer) => error.about(peer.to_string()),
            None => error,
        };
        let too_long = error.as_filter().is_some_and(|e| e.is_too_long() || e.is_overflow());
        let ends = (error.is_final() || too_long) && error.operation() == "read" || error.as_io().is_some();
        let wire = cx.component().wire();
        wire.broken.set(wire.broken.get() || error.as_io().is_some());
        let ends = ends && (self.settings.shutdown_on_error || wire.shutdown.get());
        if ends {
            wire.shutdown.set(true);
        }
        let result = match &self.callbacks.error {
            Some(callback) => callback(cx, error),
            None => {
                if !error.is_eof() && !error.is_reset() {
                    let peer = cx.component().wire().peer().map(tracing::field::display);
                    tracing::warn!(target: "poe::wheels", session = %cx.session_id(), peer, "{error}");
                }
                Ok(())
            }
        };
        if ends {
            cx.yield_to(LOST, ());
        }
        result
    }

    fn got_flush(&self, cx: &mut Context<'_, H, X>) -> Handled {
        let result = call(&self.callbacks.flushed, cx);
        let wire = cx.component().wire();
        if wire.finishing.get() && wire.wheel().is_some() {
            return self.finish(cx).and(result);
        }
        result
    }

    /// Adds the handlers of a connection to a user's own.
    pub(super) fn states(plan: &Rc<Self>, user: States<H, X>) -> States<H, X> {
        let (on_input, on_error, on_flush) = (plan.clone(), plan.clone(), plan.clone());
        let (on_high, on_low, on_stop) = (plan.clone(), plan.clone(), plan.clone());
        let on_cut = plan.clone();
        user.on(input::<X::Filter>(), move |cx, record| {
            match &on_input.callbacks.input {
                Some(callback) if !cx.component().wire().shutdown.get() => {
                    cx.component().wire().heard.set(true);
                    callback(cx, record)
                }
                _ => Ok(()),
            }
        })
        .on(ERROR, move |cx, error| on_error.got_error(cx, error))
        .on(FLUSHED, move |cx, _| on_flush.got_flush(cx))
        .on(HIGH, move |cx, _| call(&on_high.callbacks.high, cx))
        .on(LOW, move |cx, _| call(&on_low.callbacks.low, cx))
        .on(CUT, move |cx, ()| {
            let result = on_cut.cut(cx);
            on_cut.end(cx);
            result
        })
        // A session that is stopped from outside has lost its connection all the same.
        .on(STOP, move |cx, ()| on_stop.disconnect(cx))
    }
}
