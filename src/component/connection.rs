//! The common part of TcpServer and TcpClient: a session with one connection, its settings, callbacks and its end.
//!
//! A connection ends with the event [`SHUTDOWN`], whatever the reason: input stops, queued output is written, the
//! `disconnected` callback runs once, and the wheel is dropped.

use super::callbacks::{Callback, Callbacks, Component, PreConnecting, Wire, call, named};
use super::settings::Settings;
use crate::bridge::runtime::{Pause, now};
use crate::error::{Error, ErrorKind, HandlerResult, text_of};
use crate::event::{Event, STOP};
use crate::filter::Filter;
use crate::id::WheelId;
use crate::kernel::KernelRef;
use crate::session::{Context, States};
use crate::wheel::{AnyReadWrite, Connection, IoError, Limits, ReadWrite, ReadWriteBuilder, WheelStream, check_marks};
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

/// Ends a connection after its queued output is written. Posted to a server's listener it closes the listener and
/// leaves the clients alone. Can be posted from anywhere.
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

/// Ends a connection at once.
pub(super) const CUT: Event<()> = Event::new("tcp_cut");

/// The connection is lost. Same effect as [`SHUTDOWN`], but nobody asked for it.
pub(super) const LOST: Event<()> = Event::new("tcp_lost");

/// The result of PreConnect, with the ID of the wheel whose connection it belongs to.
pub(super) const PRE_CONNECTED: Event<(WheelId, io::Result<WheelStream>)> = Event::new("tcp_pre_connected");

/// A record was refused by `put`; the [`Wire`] keeps the record.
pub(super) const REFUSED: Event<IoError> = Event::new("tcp_put_refused");

/// Writing has failed; bytes that the peer sent earlier are still read.
const READ_OUT: Event<u32> = Event::new("tcp_read_out");

/// How many slices such a connection is still read, so that a peer that keeps sending does not hold it open.
const READ_OUT_SLICES: u32 = 256;

/// The wheel's events. The prefix avoids collisions with the names of a user's states.
pub(super) const ERROR: Event<IoError> = Event::new("tcp_got_error");
pub(super) const FLUSHED: Event<WheelId> = Event::new("tcp_got_flush");
const HIGH: Event<WheelId> = Event::new("tcp_got_high");
const LOW: Event<WheelId> = Event::new("tcp_got_low");

pub(super) fn input<F: Filter>() -> Event<F::Input> {
    Event::new("tcp_got_input")
}

/// The data beside the heap of a component that has a connection.
pub(super) trait Wired: Component + Sized {
    type Filter: Filter;
    /// Drops the wheel before the `disconnected` callback.
    const CLOSES_FIRST: bool;
    fn wire(&self) -> &Wire<Self::Filter>;
}

/// Removes the component's alias. The user may have removed it already, which is not an error.
pub(super) fn give_up_alias(kernel: KernelRef<'_>, alias: &str) {
    if let Some(slot) = kernel.slot() {
        let _ = kernel.core.alias_remove(slot, alias);
    }
}

/// Fails a future that takes longer than the limit for the first record.
async fn within(limit: Option<Duration>, mut making: PreConnecting) -> io::Result<WheelStream> {
    let Some(limit) = limit else { return making.await };
    let mut timer = Pause::new(limit);
    poll_fn(|cx| {
        if let Poll::Ready(made) = making.as_mut().poll(cx) {
            return Poll::Ready(made);
        }
        Pin::new(&mut timer).poll(cx).map(|()| {
            let what = format!("it took longer than {limit:?} (`first_record_timeout`)");
            Err(io::Error::new(io::ErrorKind::TimedOut, what))
        })
    })
    .await
}

/// What happens when a connection is over.
pub(super) type Ended<H, X> = Rc<dyn Fn(&mut Context<'_, H, X>) -> HandlerResult>;

/// The settings of a connection's session; one value for all connections of one builder.
pub(super) struct Plan<H: 'static, X: Wired> {
    pub(super) settings: Settings,
    pub(super) callbacks: Callbacks<H, X>,
    pub(super) filter: Box<dyn Fn() -> X::Filter>,
    /// Called at the end of each connection, after `disconnected`.
    pub(super) ended: Option<Ended<H, X>>,
}

impl<H: 'static, X: Wired> Plan<H, X> {
    /// Checks settings that are the same for every connection, before the first one.
    pub(super) fn check(&self, states: &States<H, X>, reserved: &[&str]) -> Result<(), Error> {
        let invalid = |what: String| Err(ErrorKind::Invalid(what).into());
        if let Err(error) = (self.filter)().check() {
            return invalid(error.to_string());
        }
        if let Some((high, low)) = self.settings.marks {
            check_marks(high, low)?;
        }
        self.settings.limits.check()?;
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

    /// Takes over a connection; PreConnect runs first, if it is set.
    pub(super) fn take(&self, cx: &mut Context<'_, H, X>, connection: Connection) -> HandlerResult {
        let Connection {
            stream, peer, wheel, ..
        } = connection;
        drop(cx.component().wire().peer.replace(Some(peer)));
        cx.component()
            .wire()
            .since
            .set(self.settings.limits.first.map(|_| now()));
        let Some(pre_connect) = &self.callbacks.pre_connect else {
            return self.connect(cx, ReadWrite::builder(stream));
        };
        let making = pre_connect(cx, stream)?;
        let making = within(self.settings.limits.first, making);
        let task = cx.spawn(async move { (wheel, making.await) }, PRE_CONNECTED);
        cx.component().wire().pre.set(Some((task, wheel)));
        Ok(())
    }

    /// Handles the result of PreConnect, unless that connection was given up in the meantime.
    pub(super) fn pre_connected(
        &self,
        cx: &mut Context<'_, H, X>,
        (wheel, made): (WheelId, io::Result<WheelStream>),
    ) -> Result<HandlerResult, io::Error> {
        let wire = cx.component().wire();
        if !wire.is_pre_connecting(wheel) {
            return Ok(Ok(()));
        }
        wire.pre.set(None);
        Ok(self.connect(cx, ReadWrite::on_stream(made?)))
    }

    /// Starts the wheel, then calls `connected`.
    fn connect(&self, cx: &mut Context<'_, H, X>, builder: ReadWriteBuilder) -> HandlerResult {
        let mut limits = self.settings.limits;
        if let (Some(limit), Some(since)) = (limits.first, cx.component().wire().since.take()) {
            limits.first = Some(limit.saturating_sub(now() - since));
        }
        let wheel = self.wheel(cx, builder, limits)?;
        let wire = cx.component().wire();
        wire.reset(wire.peer());
        wire.set_wheel(wheel);
        wire.up.set(true);
        self.tell(cx, &self.callbacks.connected, ())
    }

    /// Starts a wheel on a stream, with the connection's settings.
    pub(super) fn wheel(
        &self,
        cx: &mut Context<'_, H, X>,
        builder: ReadWriteBuilder,
        limits: Limits,
    ) -> HandlerResult<AnyReadWrite> {
        let filter = named("filter", cx, |_| Ok((self.filter)()))?;
        let mut builder = builder
            .bare_input(filter, input::<X::Filter>())
            .error(ERROR)
            .limits(limits);
        if self.callbacks.flushed.is_some() {
            builder = builder.flushed(FLUSHED);
        }
        if let Some((high, low)) = self.marks() {
            builder = builder.watermarks(high, low).high(HIGH).low(LOW);
        }
        let builder = builder.flush_timeout(self.settings.flush_timeout);
        Ok(builder.start(cx)?.into_any())
    }

    /// Calls a callback of the connection, unless an earlier one has failed.
    ///
    /// A failure ends the connection: nothing more is read, and no callback but `disconnected` is called. The session's
    /// fate is decided by its `DIE`, which is queued when the handler returns. The connection is given up afterwards,
    /// by a task's event that is queued behind the `DIE`, so a handler of `DIE` can still write a last record.
    pub(super) fn tell<A: 'static>(
        &self,
        cx: &mut Context<'_, H, X>,
        callback: &Option<Callback<H, X, A>>,
        arg: A,
    ) -> HandlerResult {
        let Some(callback) = callback else { return Ok(()) };
        let wire = cx.component().wire();
        if wire.failed.get() {
            return Ok(());
        }
        let result = callback(cx, arg);
        if result.is_err() && !wire.failed.replace(true) {
            if let Some(wheel) = wire.wheel() {
                wheel.shutdown_input();
            }
            cx.spawn(std::future::ready(()), LOST);
        }
        result
    }

    /// Cancels a PreConnect or an upgrade that is under way.
    pub(super) fn let_go(&self, cx: &mut Context<'_, H, X>) {
        let wire = cx.component().wire();
        if let Some((task, _)) = wire.pre.take() {
            // Its result may be queued already, and is dropped on arrival.
            let _ = cx.kernel.cancel(task);
        }
        let upgrade = wire.upgrade.take();
        if let Some(upgrade) = upgrade {
            upgrade.give_up(cx.kernel);
        }
    }

    /// Begins to end the connection, and ends it if no output waits.
    pub(super) fn shutdown(&self, cx: &mut Context<'_, H, X>) -> HandlerResult {
        self.let_go(cx);
        let wire = cx.component().wire();
        wire.shutdown.set(true);
        let Some(wheel) = wire.wheel() else {
            // There is no wheel because of an upgrade.
            return if wire.up.get() { self.finish(cx) } else { Ok(()) };
        };
        wheel.shutdown_input();
        if wire.broken.get() || wheel.is_output_closed() || wheel.buffered_bytes() == 0 {
            return self.finish(cx);
        }
        if !wire.finishing.replace(true) {
            wheel.set_flushed_event(Some(FLUSHED));
            wheel.limit_flush();
        }
        Ok(())
    }

    /// Ends the connection: calls `disconnected` and drops the wheel.
    fn finish(&self, cx: &mut Context<'_, H, X>) -> HandlerResult {
        let result = if X::CLOSES_FIRST {
            self.close(cx);
            self.disconnect(cx)
        } else {
            let result = self.disconnect(cx);
            self.close(cx);
            result
        };
        result.and(self.end(cx))
    }

    fn end(&self, cx: &mut Context<'_, H, X>) -> HandlerResult {
        self.ended.as_ref().map_or(Ok(()), |ended| ended(cx))
    }

    fn close(&self, cx: &mut Context<'_, H, X>) {
        cx.component().wire().close(self.settings.linger);
    }

    /// Calls `disconnected`, once per connection that was connected.
    fn disconnect(&self, cx: &mut Context<'_, H, X>) -> HandlerResult {
        if cx.component().wire().up.take() {
            return call(&self.callbacks.disconnected, cx);
        }
        Ok(())
    }

    /// Ends the connection at once; output that is not written is lost.
    pub(super) fn abort(&self, cx: &mut Context<'_, H, X>) -> HandlerResult {
        self.let_go(cx);
        cx.component().wire().abort();
        self.disconnect(cx)
    }

    fn got_error(&self, cx: &mut Context<'_, H, X>, error: IoError) -> HandlerResult {
        let error = match cx.component().wire().peer() {
            Some(peer) => error.about(peer.to_string()),
            None => error,
        };
        let too_long = error.as_filter().is_some_and(|e| e.is_too_long() || e.is_overflow());
        let is_limit = error.is_limit();
        let is_io = error.os_error().is_some() && !is_limit;
        let ends = (error.is_final() || too_long) && error.operation() == "read" || is_io || is_limit;
        let wire = cx.component().wire();
        wire.broken.set(wire.broken.get() || is_io);
        let ends = ends && (self.settings.shutdown_on_error || wire.shutdown.get());
        // Bytes that the peer sent before a write failed are still to be read.
        let readable = ends && is_io && error.operation() == "write" && !wire.shutdown.get();
        if ends && !readable {
            wire.shutdown.set(true);
        }
        let result = self.report_error(cx, error);
        if readable && let Some(wheel) = wire.wheel() {
            wheel.read_out();
            cx.yield_to(READ_OUT, 0);
        } else if ends {
            cx.yield_to(LOST, ());
        }
        result
    }

    fn report_error(&self, cx: &mut Context<'_, H, X>, error: IoError) -> HandlerResult {
        if self.callbacks.error.is_none() && !error.is_eof() && !error.is_reset() {
            let peer = cx.component().wire().peer().map(tracing::field::display);
            tracing::warn!(target: "poe::wheels", session = %cx.session_id(), peer, "{}", text_of(&error));
        }
        self.tell(cx, &self.callbacks.error, error)
    }

    /// Makes a refused record available while the error callback runs.
    fn got_refusal(&self, cx: &mut Context<'_, H, X>, error: IoError) -> HandlerResult {
        let wire = cx.component().wire();
        let record = wire.next_refused();
        drop(wire.returned.replace(record));
        let result = self.report_error(cx, error);
        drop(wire.returned.take());
        result
    }

    fn read_out(&self, cx: &mut Context<'_, H, X>, slices: u32) {
        let wire = cx.component().wire();
        let reading = wire.wheel().is_some_and(|wheel| !wheel.is_read_out()) && !wire.failed.get();
        if wire.shutdown.get() {
            // The input has ended, or the end of the connection was asked for.
        } else if reading && slices < READ_OUT_SLICES {
            cx.yield_to(READ_OUT, slices + 1);
        } else {
            wire.shutdown.set(true);
            cx.yield_to(LOST, ());
        }
    }

    fn got_flush(&self, cx: &mut Context<'_, H, X>) -> HandlerResult {
        let result = self.tell(cx, &self.callbacks.flushed, ());
        let wire = cx.component().wire();
        let ended = if wire.finishing.get() && wire.wheel().is_some() {
            self.finish(cx)
        } else {
            self.flushed_for_upgrade(cx)
        };
        match (result, ended) {
            (Err(first), Err(second)) => Err(first.followed_by(&second)),
            (result, ended) => result.and(ended),
        }
    }

    /// Adds the handlers of a connection to the user's handlers.
    pub(super) fn states(plan: &Rc<Self>, user: States<H, X>) -> States<H, X> {
        let (on_input, on_error, on_flush) = (plan.clone(), plan.clone(), plan.clone());
        let (on_high, on_low, on_stop) = (plan.clone(), plan.clone(), plan.clone());
        let on_cut = plan.clone();
        let (on_refused, on_read_out) = (plan.clone(), plan.clone());
        let user = Self::upgrade_states(plan, user);
        user.on(input::<X::Filter>(), move |cx, record| {
            if cx.component().wire().shutdown.get() {
                return Ok(());
            }
            on_input.tell(cx, &on_input.callbacks.input, record)
        })
        .on(ERROR, move |cx, error| on_error.got_error(cx, error))
        .on(REFUSED, move |cx, error| on_refused.got_refusal(cx, error))
        .on(READ_OUT, move |cx, slices| on_read_out.read_out(cx, slices))
        .on(FLUSHED, move |cx, _| on_flush.got_flush(cx))
        .on(HIGH, move |cx, _| on_high.tell(cx, &on_high.callbacks.high, ()))
        .on(LOW, move |cx, _| on_low.tell(cx, &on_low.callbacks.low, ()))
        .on(CUT, move |cx, ()| {
            let result = on_cut.abort(cx);
            result.and(on_cut.end(cx))
        })
        // A session that is stopped from outside loses its connection as well.
        .on(STOP, move |cx, ()| {
            let result = on_stop.disconnect(cx);
            let stopped = call(&on_stop.callbacks.stopped, cx);
            match (result, stopped) {
                (Err(first), Err(second)) => Err(first.followed_by(&second)),
                (result, stopped) => result.and(stopped),
            }
        })
    }
}
