//! The client's session: its attempts, its one connection, and the delays in between.

use super::{Attempt, CONNECT, RECONNECT, Server};
use crate::component::backoff::Backoff;
use crate::component::callbacks::Callback;
use crate::component::connection::{CUT, Ended, LOST, PRE_CONNECTED, Plan, SHUTDOWN, give_up_alias};
use crate::error::HandlerResult;
use crate::event::{Event, START};
use crate::filter::Filter;
use crate::id::WheelId;
use crate::kernel::KERNEL_SHUTDOWN;
use crate::kernel::Signal;
use crate::kernel::count::Count;
use crate::session::{Context, States};
use crate::wheel::{Address, Connection, Domain, SocketError, SocketFactory};
use std::io;
use std::rc::Rc;
use std::time::Duration;

const CONNECTED: Event<Connection> = Event::new("tcp_client_connected");
const FAILED: Event<SocketError> = Event::new("tcp_client_failed");
const TIMED_OUT: Event<WheelId> = Event::new("tcp_client_timed_out");
const SHUTTING_DOWN: Event<Signal> = Event::new("tcp_client_got_kernel_shutdown");

/// The settings of a client.
pub(super) struct Role<H: 'static, F: Filter> {
    pub(super) plan: Rc<Plan<H, Server<F>>>,
    pub(super) bind: Option<Address>,
    pub(super) domain: Option<Domain>,
    pub(super) timeout: Option<Duration>,
    /// Prepares the next attempt, if there is to be one.
    pub(super) retry: Option<Retry<H, F>>,
    pub(super) started: Option<Callback<H, Server<F>, ()>>,
    pub(super) failed: Option<Callback<H, Server<F>, SocketError>>,
    pub(super) connecting: Option<Callback<H, Server<F>, Attempt>>,
}

pub(super) fn states<H: 'static, F: Filter>(
    client: &Rc<Role<H, F>>,
    user: States<H, Server<F>>,
) -> States<H, Server<F>> {
    let (on_start, on_connected, on_failed) = (client.clone(), client.clone(), client.clone());
    let (on_timeout, on_shutdown) = (client.clone(), client.clone());
    let (on_reconnect, on_connect) = (client.clone(), client.clone());
    let (on_pre_connected, on_lost, on_cut) = (client.clone(), client.clone(), client.clone());
    Plan::states(&client.plan, user)
        .on(START, move |cx, ()| -> HandlerResult {
            take_alias(cx)?;
            cx.sig(KERNEL_SHUTDOWN, SHUTTING_DOWN);
            let result = on_start.started.as_ref().map_or(Ok(()), |f| f(cx, ()));
            let connecting = on_start.connect(cx);
            result.and(connecting)
        })
        .on(CONNECTED, move |cx, connection| {
            cx.component().set_factory(None);
            if on_connected.plan.callbacks.pre_connect.is_none() {
                on_connected.stop_timer(cx);
            }
            on_connected.plan.take(cx, connection)
        })
        .on(PRE_CONNECTED, move |cx, (wheel, made)| {
            if cx.component().wire.is_pre_connecting(wheel) {
                on_pre_connected.stop_timer(cx);
            }
            let plan = &on_pre_connected.plan;
            plan.pre_connected(cx, (wheel, made)).unwrap_or_else(|error| {
                let error = of_target(cx.target(), "preconnect", error, wheel);
                on_pre_connected.fail(cx, error)
            })
        })
        .on(FAILED, move |cx, error| on_failed.failed(cx, error))
        .on(TIMED_OUT, move |cx, wheel| {
            let error = io::Error::new(io::ErrorKind::TimedOut, "the time for connecting is over");
            let error = of_target(cx.target(), "connect", error, wheel);
            on_timeout.failed(cx, error)
        })
        .on(SHUTDOWN, move |cx, ()| {
            on_shutdown.give_up(cx);
            on_shutdown.plan.shutdown(cx)
        })
        .on(CUT, move |cx, ()| {
            on_cut.give_up(cx);
            on_cut.plan.abort(cx)
        })
        .on(LOST, move |cx, ()| {
            if on_lost.retry.is_none() {
                on_lost.give_up(cx);
            }
            on_lost.plan.shutdown(cx)
        })
        .on(SHUTTING_DOWN, |cx, _| {
            // Queued output must still be written: end after that, instead of being stopped.
            cx.sig_handled();
            cx.yield_to(SHUTDOWN, ());
        })
        .on(RECONNECT, move |cx, ()| on_reconnect.reconnect(cx))
        .on(CONNECT, move |cx, target| {
            drop(cx.component().target.replace(target));
            on_connect.reconnect(cx)
        })
}

/// A failure of the connection to the server.
fn of_target(target: Address, operation: &'static str, error: io::Error, wheel: WheelId) -> SocketError {
    SocketError::new(operation, error, wheel, Some(target))
}

type Cx<'a, 'k, H, F> = &'a mut Context<'k, H, Server<F>>;

fn take_alias<H: 'static, F: Filter>(cx: Cx<'_, '_, H, F>) -> HandlerResult {
    if let Some(alias) = &cx.component().alias {
        cx.alias_set(alias)?;
    }
    Ok(())
}

fn leave_alias<H: 'static, F: Filter>(cx: Cx<'_, '_, H, F>) {
    if let Some(alias) = &cx.component().alias {
        give_up_alias(cx.kernel, alias);
    }
}

impl<H: 'static, F: Filter> Role<H, F> {
    fn connect(&self, cx: Cx<'_, '_, H, F>) -> HandlerResult {
        let mut builder = SocketFactory::connect(cx.target())
            .nodelay(self.plan.settings.nodelay)
            .success(CONNECTED)
            .failure(FAILED);
        if let Some(bind) = &self.bind {
            builder = builder.bind(bind.clone());
        }
        if let Some(domain) = self.domain {
            builder = builder.domain(domain);
        }
        if let Some(limit) = self.timeout {
            builder = builder.within(limit);
        }
        let factory = builder.start(cx);
        let server = cx.component();
        server.wanted.set(true);
        let timer = self.timeout.map(|limit| cx.delay_set(TIMED_OUT, limit, factory.id()));
        server.timer.set(timer);
        server.set_factory(Some(factory));
        server.verdict.set(None);
        if server.attempted.replace(true) {
            cx.kernel.core.count(Count::Reconnect);
        }
        match &self.connecting {
            Some(callback) => callback(cx, cx.component().attempt()),
            None => Ok(()),
        }
    }

    fn stop_timer(&self, cx: Cx<'_, '_, H, F>) {
        if let Some(timer) = cx.component().timer.take() {
            // The timer has fired, if it ends this attempt.
            let _ = cx.alarm_remove_if_set(timer);
        }
    }

    /// Cancels the attempt to connect that is under way or waited for.
    fn let_go(&self, cx: Cx<'_, '_, H, F>) {
        self.stop_timer(cx);
        if let Some(retry) = cx.component().retry.take() {
            // This timer may be the event that is being handled.
            let _ = cx.alarm_remove_if_set(retry);
        }
        cx.component().set_factory(None);
        self.plan.let_go(cx);
    }

    /// The end was asked for: makes no further attempt, and removes the alias.
    fn give_up(&self, cx: Cx<'_, '_, H, F>) {
        cx.component().wanted.set(false);
        self.let_go(cx);
        leave_alias(cx);
    }

    fn failed(&self, cx: Cx<'_, '_, H, F>, error: SocketError) -> HandlerResult {
        // A failure event of an attempt that was given up since.
        let current = cx.component().is_connecting(Some(error.wheel()));
        if !current && !cx.component().wire.is_pre_connecting(error.wheel()) {
            return Ok(());
        }
        self.fail(cx, error)
    }

    fn fail(&self, cx: Cx<'_, '_, H, F>, error: SocketError) -> HandlerResult {
        self.let_go(cx);
        let result = match &self.failed {
            Some(callback) => callback(cx, error),
            None => {
                tracing::warn!(target: "poe::wheels", session = %cx.session_id(), "{error}");
                Ok(())
            }
        };
        let retrying = self.retry.as_ref().map_or(Ok(()), |retry| retry(cx));
        result.and(retrying)
    }

    fn reconnect(&self, cx: Cx<'_, '_, H, F>) -> HandlerResult {
        let server = cx.component();
        let pending = match server.retry.take() {
            // There is no timer to remove: it has fired.
            Some(retry) => cx.alarm_remove_if_set(retry).is_ok(),
            None => true,
        };
        if pending {
            server.delay.set(Duration::ZERO);
        }
        self.let_go(cx);
        let result = self.plan.abort(cx);
        take_alias(cx)?;
        cx.component().wire.reset(None);
        result.and(self.connect(cx))
    }
}

/// Prepares the next attempt.
pub(super) type Retry<H, F> = Ended<H, Server<F>>;

/// Reconnects after the delay that is due.
pub(super) fn retrying<H: 'static, F: Filter>(
    backoff: Backoff,
    waiting: Option<Callback<H, Server<F>, Attempt>>,
) -> Retry<H, F> {
    Rc::new(move |cx| {
        let server = cx.component();
        if !server.wanted.get() || server.is_connecting(None) || server.retry.get().is_some() {
            return Ok(());
        }
        let heard = server.wire.take_heard();
        if server.verdict.take().unwrap_or(heard) {
            server.failures.set(0);
        }
        let wait = backoff.wait(server.failures.get());
        server.failures.set(server.failures.get().saturating_add(1));
        match wait {
            Some(wait) => {
                server.delay.set(wait);
                server.retry.set(Some(cx.delay_set(RECONNECT, wait, ())));
                match &waiting {
                    Some(callback) => callback(cx, server.attempt()),
                    None => Ok(()),
                }
            }
            None => {
                let (target, failures) = (cx.target(), cx.failures());
                tracing::warn!(target: "poe::wheels", session = %cx.session_id(), "gives up on {target} after {failures} attempts");
                server.wanted.set(false);
                leave_alias(cx);
                Ok(())
            }
        }
    })
}
