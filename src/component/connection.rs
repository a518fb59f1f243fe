//! What TcpServer and TcpClient share: a session with one connection, its settings, callbacks and orderly end.
//!
//! The end of a connection, whoever wants it, is the event [`SHUTDOWN`]: no more input, then what was put is written,
//! then the `disconnected` callback runs, once, and the wheel goes.

use super::callbacks::{Callback, Callbacks, Component, PreConnecting, call, named};
use super::settings::Settings;
use super::wire::Wire;
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
pub(super) const PRE_CONNECTED: Event<(WheelId, io::Result<WheelStream>)> = Event::new("tcp_pre_connected");

/// A record could not be put; the record itself waits in the [`Wire`].
pub(super) const REFUSED: Event<IoError> = Event::new("tcp_put_refused");

/// Nothing can be written any more; what the peer had sent before is still read.
const READ_OUT: Event<u32> = Event::new("tcp_read_out");

/// Slices in which such a connection is read: a peer that goes on sending is not heard for ever.
const READ_OUT_SLICES: u32 = 256;

/// The events of the wheel. The names of others in a user's states do not collide with these by accident.
pub(super) const ERROR: Event<IoError> = Event::new("tcp_got_error");
pub(super) const FLUSHED: Event<WheelId> = Event::new("tcp_got_flush");
const HIGH: Event<WheelId> = Event::new("tcp_got_high");
const LOW: Event<WheelId> = Event::new("tcp_got_low");

pub(super) fn input<F: Filter>() -> Event<F::Input> {
    Event::new("tcp_got_input")
}

/// What a component keeps beside the heap, with a connection in it.
pub(super) trait Wired: Component + Sized {
    type Filter: Filter;
    /// The wheel goes before the `disconnected` callback, and not behind it.
    const CLOSES_FIRST: bool;
    fn wire(&self) -> &Wire<Self::Filter>;
}

/// A component gives its alias up, which the user may have done before it: that is no error to tell of.
pub(super) fn give_up_alias(kernel: KernelRef<'_>, alias: &str) {
    if let Some(slot) = kernel.slot() {
        let _ = kernel.core.alias_remove(slot, alias);
    }
}

/// Gives up what takes longer than a client may take for its first record.
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

/// What is to happen when a connection is over.
pub(super) type Ended<H, X> = Rc<dyn Fn(&mut Context<'_, H, X>) -> HandlerResult>;

/// What a connection's session works by; the same for all that one builder makes.
pub(super) struct Plan<H: 'static, X: Wired> {
    pub(super) settings: Settings,
    pub(super) callbacks: Callbacks<H, X>,
    pub(super) filter: Box<dyn Fn() -> X::Filter>,
    /// Called at the end of each connection, behind `disconnected`.
    pub(super) ended: Option<Ended<H, X>>,
}

impl<H: 'static, X: Wired> Plan<H, X> {
    /// Checks what must hold for every connection, before the first one.
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

    /// Takes a connection: PreConnect has it first, if there is one.
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

    /// What PreConnect has made, unless that connection was given up meanwhile.
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

    /// Makes the wheel, then calls `connected`.
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

    /// A wheel on a stream, by the settings.
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

    /// Calls a callback of the connection, unless one has failed before.
    ///
    /// A failure ends the connection: nothing more is read, and no callback is called but `disconnected`. What it does to
    /// the session is for its `DIE` to decide, which is queued when the handler returns. Only then is the connection given
    /// up, by a task's event, which comes behind it: a handler of `DIE` may still say goodbye.
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

    /// Gives up what PreConnect or an upgrade is at work on.
    pub(super) fn let_go(&self, cx: &mut Context<'_, H, X>) {
        let wire = cx.component().wire();
        if let Some((task, _)) = wire.pre.take() {
            // Its result may be on its way, and is dropped then.
            let _ = cx.kernel.cancel(task);
        }
        let upgrade = wire.upgrade.take();
        if let Some(upgrade) = upgrade {
            upgrade.give_up(cx.kernel);
        }
    }

    /// Begins the end, and reaches it if nothing waits to be written.
    pub(super) fn shutdown(&self, cx: &mut Context<'_, H, X>) -> HandlerResult {
        self.let_go(cx);
        let wire = cx.component().wire();
        wire.shutdown.set(true);
        let Some(wheel) = wire.wheel() else {
            // It had none because it was being upgraded.
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

    /// The end: `disconnected` is called, and the wheel goes.
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

    /// Calls `disconnected`, unless it was called for this connection or there was none.
    fn disconnect(&self, cx: &mut Context<'_, H, X>) -> HandlerResult {
        if cx.component().wire().up.take() {
            return call(&self.callbacks.disconnected, cx);
        }
        Ok(())
    }

    /// Ends the connection at once; what was put and not written is lost.
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
        let is_io = error.as_io().is_some() && !is_limit;
        let ends = (error.is_final() || too_long) && error.operation() == "read" || is_io || is_limit;
        let wire = cx.component().wire();
        wire.broken.set(wire.broken.get() || is_io);
        let ends = ends && (self.settings.shutdown_on_error || wire.shutdown.get());
        // What the peer had sent before a write failed is still to be read.
        let readable = ends && is_io && error.operation() == "write" && !wire.shutdown.get();
        if ends && !readable {
            wire.shutdown.set(true);
        }
        let result = self.told_of_error(cx, error);
        if readable && let Some(wheel) = wire.wheel() {
            wheel.read_out();
            cx.yield_to(READ_OUT, 0);
        } else if ends {
            cx.yield_to(LOST, ());
        }
        result
    }

    fn told_of_error(&self, cx: &mut Context<'_, H, X>, error: IoError) -> HandlerResult {
        if self.callbacks.error.is_none() && !error.is_eof() && !error.is_reset() {
            let peer = cx.component().wire().peer().map(tracing::field::display);
            tracing::warn!(target: "poe::wheels", session = %cx.session_id(), peer, "{}", text_of(&error));
        }
        self.tell(cx, &self.callbacks.error, error)
    }

    /// A record that could not be put is at hand while the error callback runs.
    fn got_refusal(&self, cx: &mut Context<'_, H, X>, error: IoError) -> HandlerResult {
        let wire = cx.component().wire();
        let record = wire.next_refused();
        drop(wire.returned.replace(record));
        let result = self.told_of_error(cx, error);
        drop(wire.returned.take());
        result
    }

    fn read_out(&self, cx: &mut Context<'_, H, X>, slices: u32) {
        let wire = cx.component().wire();
        let reading = wire.wheel().is_some_and(|wheel| !wheel.is_read_out()) && !wire.failed.get();
        if wire.shutdown.get() {
            // The end of the input was met, or the end was asked for.
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

    /// Adds the handlers of a connection to a user's own.
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
        // A session that is stopped from outside has lost its connection all the same.
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
