//! The callbacks of a connection.

use super::backoff::caught;
use super::connection::Wired;
use super::upgrade::Upgrade;
use crate::bridge::runtime::Instant;
use crate::error::{Failure, HandlerResult, drop_quietly};
use crate::event::Event;
use crate::filter::Filter;
use crate::id::{TaskId, WheelId};
use crate::session::{Context, IntoReply};
use crate::wheel::{AnyReadWrite, IoError, SocketName, SocketStream, WheelStream, whole};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};

/// The data that a component keeps beside the heap of its session.
pub(super) trait Component: 'static {
    /// Describes the session in texts: "the server `echo`".
    fn whose(&self) -> String;
}

/// A user's callback, with its return value erased.
pub(super) type Callback<H, X, A> = Box<dyn Fn(&mut Context<'_, H, X>, A) -> HandlerResult>;

pub(super) fn callback<H: 'static, X: Component, A: 'static, Ret: IntoReply>(
    name: &'static str,
    f: impl Fn(&mut Context<'_, H, X>, A) -> Ret + 'static,
) -> Callback<H, X, A> {
    Box::new(move |cx, arg| named(name, cx, |cx| f(cx, arg).into_reply().map(drop)))
}

pub(super) fn plain<H: 'static, X: Component, Ret: IntoReply>(
    name: &'static str,
    f: impl Fn(&mut Context<'_, H, X>) -> Ret + 'static,
) -> Callback<H, X, ()> {
    callback(name, move |cx, ()| f(cx))
}

/// Runs a callback of the user. The failing event is internal to the component, so failures and panics are labelled
/// with the callback's name.
pub(super) fn named<H: 'static, X: Component, R>(
    name: &'static str,
    cx: &mut Context<'_, H, X>,
    f: impl FnOnce(&mut Context<'_, H, X>) -> HandlerResult<R>,
) -> HandlerResult<R> {
    let failure = match catch_unwind(AssertUnwindSafe(|| f(cx))) {
        Ok(Ok(done)) => return Ok(done),
        Ok(Err(failure)) => failure,
        Err(payload) => Failure::from_panic(payload),
    };
    Err(failure.of_callback(|| full_name(name, cx.component())))
}

#[cold]
fn full_name(name: &str, component: &impl Component) -> String {
    format!("`{name}` of {}", component.whose())
}

/// Turns the socket into the stream of the connection, or rejects it.
pub(super) type PreConnect<H, X> = Box<dyn Fn(&mut Context<'_, H, X>, SocketStream) -> HandlerResult<PreConnecting>>;

pub(super) type PreConnecting = Pin<Box<dyn Future<Output = io::Result<WheelStream>>>>;

pub(super) fn pre_connect<H, X, Fut, S>(
    name: &'static str,
    f: impl Fn(&mut Context<'_, H, X>, SocketStream) -> Fut + 'static,
) -> PreConnect<H, X>
where
    H: 'static,
    X: Component,
    Fut: Future<Output = io::Result<S>> + 'static,
    S: AsyncRead + AsyncWrite + 'static,
{
    Box::new(move |cx, stream| {
        let making = named(name, cx, |cx| Ok(f(cx, stream)))?;
        let making = named_future(name, cx, making);
        Ok(Box::pin(async move { Ok(whole(making.await?)) }))
    })
}

/// A future whose panic is labelled with the callback's name. It runs in a task of the session, like any other.
pub(super) fn named_future<H: 'static, X: Component, Fut: Future>(
    name: &'static str,
    cx: &Context<'_, H, X>,
    future: Fut,
) -> impl Future<Output = Fut::Output> + use<H, X, Fut> {
    let name = full_name(name, cx.component());
    async move {
        match caught(future).await {
            Ok(made) => made,
            Err(payload) => resume_unwind(Box::new(Failure::from_panic(payload).of_callback(|| name))),
        }
    }
}

/// The callbacks that the user has set.
pub(super) struct Callbacks<H: 'static, X: Wired> {
    pub(super) pre_connect: Option<PreConnect<H, X>>,
    pub(super) connected: Option<Callback<H, X, ()>>,
    pub(super) input: Option<Callback<H, X, <X::Filter as Filter>::Input>>,
    pub(super) flushed: Option<Callback<H, X, ()>>,
    pub(super) error: Option<Callback<H, X, IoError>>,
    pub(super) high: Option<Callback<H, X, ()>>,
    pub(super) low: Option<Callback<H, X, ()>>,
    pub(super) disconnected: Option<Callback<H, X, ()>>,
    /// Only in a client's session; connections of a server have none.
    pub(super) stopped: Option<Callback<H, X, ()>>,
}

impl<H: 'static, X: Wired> Drop for Callbacks<H, X> {
    /// Drops each one separately: captured values may panic when dropped, and two panics at once abort the process.
    fn drop(&mut self) {
        drop_quietly(self.pre_connect.take());
        drop_quietly(self.connected.take());
        drop_quietly(self.input.take());
        drop_quietly(self.flushed.take());
        drop_quietly(self.error.take());
        drop_quietly(self.high.take());
        drop_quietly(self.low.take());
        drop_quietly(self.disconnected.take());
        drop_quietly(self.stopped.take());
    }
}

impl<H: 'static, X: Wired> Default for Callbacks<H, X> {
    fn default() -> Self {
        Callbacks {
            pre_connect: None,
            connected: None,
            input: None,
            flushed: None,
            error: None,
            high: None,
            low: None,
            disconnected: None,
            stopped: None,
        }
    }
}

impl<H: 'static, X: Wired> Callbacks<H, X> {
    /// Returns whether any callback is set.
    pub(super) fn is_any(&self) -> bool {
        self.pre_connect.is_some()
            || self.connected.is_some()
            || self.input.is_some()
            || self.flushed.is_some()
            || self.error.is_some()
            || self.high.is_some()
            || self.low.is_some()
            || self.disconnected.is_some()
            || self.stopped.is_some()
    }
}

pub(super) fn call<H: 'static, X: 'static>(
    callback: &Option<Callback<H, X, ()>>,
    cx: &mut Context<'_, H, X>,
) -> HandlerResult {
    match callback {
        Some(callback) => callback(cx, ()),
        None => Ok(()),
    }
}

// The connection in a session's data, beside the heap.
/// The connection beside a session's heap. Handlers have a shared reference to it, so every field is a cell.
///
/// | state | `wheel` | `up` | `shutdown` |
/// |---|---|---|---|
/// | none yet, or PreConnect runs (`pre`) | none | no | no |
/// | connected | yes | yes | no |
/// | its stream is being upgraded (`upgrade`) | none | yes | no |
/// | its end was asked for, or it was lost | yes, while output waits | yes | yes |
/// | over: `disconnected` was called | none | no | yes |
pub(super) struct Wire<F: Filter> {
    /// Shared with a [`Link`](super::link::Link) that was asked for it, so the wheel is ended explicitly and not by its
    /// drop.
    wheel: RefCell<Option<Rc<AnyReadWrite>>>,
    pub(super) peer: RefCell<Option<SocketName>>,
    /// When the socket was made, if the first record has a time limit.
    pub(super) since: Cell<Option<Instant>>,
    /// PreConnect runs, on the connection of that wheel.
    pub(super) pre: Cell<Option<(TaskId, WheelId)>>,
    pub(super) upgrade: RefCell<Option<Box<Upgrade<F>>>>,
    /// An upgrade was asked for, so nothing more is put in clear text.
    pub(super) sealed: Cell<bool>,
    /// `connected` was called, and `disconnected` was not yet.
    pub(super) up: Cell<bool>,
    /// The end was asked for: no further input callback (law 33).
    pub(super) shutdown: Cell<bool>,
    /// A callback has failed: only `disconnected` is still called.
    pub(super) failed: Cell<bool>,
    /// A record has come from a wheel that is gone; see [`take_heard`](Self::take_heard).
    heard: Cell<bool>,
    /// Records come as an event of the program's, whose handler does not know about the end of the connection.
    pub(super) switched: Cell<bool>,
    /// The end waits for the output to be written.
    pub(super) finishing: Cell<bool>,
    /// Writing has failed.
    pub(super) broken: Cell<bool>,
    /// Records that [`Link::put`](super::link::Link::put) could not put, each with an error event queued.
    refused: RefCell<VecDeque<Option<F::Output>>>,
    /// The record of the error event that is being handled.
    pub(super) returned: Cell<Option<F::Output>>,
}

impl<F: Filter> Wire<F> {
    pub(super) fn new() -> Self {
        Wire {
            wheel: RefCell::default(),
            peer: RefCell::default(),
            since: Cell::new(None),
            pre: Cell::new(None),
            upgrade: RefCell::default(),
            sealed: Cell::new(false),
            up: Cell::new(false),
            shutdown: Cell::new(false),
            failed: Cell::new(false),
            heard: Cell::new(false),
            switched: Cell::new(false),
            finishing: Cell::new(false),
            broken: Cell::new(false),
            refused: RefCell::default(),
            returned: Cell::new(None),
        }
    }

    pub(super) fn wheel(&self) -> Option<Rc<AnyReadWrite>> {
        self.wheel.borrow().clone()
    }

    pub(super) fn set_wheel(&self, wheel: AnyReadWrite) {
        self.wheel.replace(Some(Rc::new(wheel)));
    }

    pub(super) fn peer(&self) -> Option<SocketName> {
        self.peer.borrow().clone()
    }

    /// Whether there is a connection that has neither ended nor been asked to.
    pub(super) fn is_connected(&self) -> bool {
        self.up.get() && !self.shutdown.get() && !self.broken.get()
    }

    /// The end was asked for: no record reaches the program any more.
    pub(super) fn end_input(&self) {
        self.shutdown.set(true);
        if self.switched.get()
            && let Some(wheel) = self.wheel()
        {
            wheel.shutdown_input();
        }
    }

    /// Whether PreConnect runs on the connection of that wheel.
    pub(super) fn is_pre_connecting(&self, wheel: WheelId) -> bool {
        self.pre.get().is_some_and(|(_, current)| current == wheel)
    }

    /// Resets everything, with the name of the peer that it has or is about to have.
    pub(super) fn reset(&self, peer: Option<SocketName>) {
        self.abort();
        drop(self.peer.replace(peer));
        self.pre.set(None);
        let upgrade = self.upgrade.take();
        drop(upgrade);
        for flag in [
            &self.sealed,
            &self.up,
            &self.shutdown,
            &self.failed,
            &self.heard,
            &self.switched,
            &self.finishing,
            &self.broken,
        ] {
            flag.set(false);
        }
        let refused = self.refused.take();
        drop(refused);
    }

    /// Whether a record has come since the last call.
    pub(super) fn take_heard(&self) -> bool {
        let now = self.wheel().is_some_and(|wheel| wheel.has_given());
        self.heard.take() || now
    }

    pub(super) fn take_wheel(&self) -> Option<Rc<AnyReadWrite>> {
        let wheel = self.wheel.take()?;
        self.heard.set(self.heard.get() || wheel.has_given());
        Some(wheel)
    }

    /// Drops the wheel at once; output that is not written is lost.
    pub(super) fn abort(&self) {
        if let Some(wheel) = self.take_wheel() {
            wheel.end();
        }
    }

    /// Drops the wheel when the output is written; the peer is read for that long, until it closes.
    pub(super) fn close(&self, linger: Duration) {
        if self.broken.get() {
            return self.abort();
        }
        if let Some(wheel) = self.take_wheel() {
            // The callbacks are over, so bytes that cannot be written are logged.
            wheel.set_error_event(None::<Event<IoError>>);
            wheel.close_gently(linger);
        }
    }

    /// Keeps a refused record for the error callback.
    pub(super) fn refuse(&self, record: Option<F::Output>) {
        self.refused.borrow_mut().push_back(record);
    }

    /// Takes the record of the next error event about a refused one.
    pub(super) fn next_refused(&self) -> Option<F::Output> {
        self.refused.borrow_mut().pop_front().flatten()
    }
}

impl<F: Filter> Drop for Wire<F> {
    fn drop(&mut self) {
        self.abort();
    }
}
