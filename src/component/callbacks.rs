//! The callbacks of a connection.

use super::connection::Wired;
use super::futures::caught;
use crate::error::{Failure, HandlerResult, drop_quietly};
use crate::filter::Filter;
use crate::session::{Context, IntoReply};
use crate::wheel::{IoError, SocketStream, WheelStream, whole};
use std::future::Future;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
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
