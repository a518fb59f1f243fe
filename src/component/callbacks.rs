//! What a user has to say: the callbacks of a connection.

use super::connection::Wired;
use crate::error::Handled;
use crate::filter::Filter;
use crate::session::{Context, IntoReply};
use crate::wheel::{IoError, SocketStream};
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use tokio::io::{AsyncRead, AsyncWrite};

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

/// Whatever can be read from and written to.
pub(super) trait Duplex: AsyncRead + AsyncWrite {}

impl<T: AsyncRead + AsyncWrite> Duplex for T {}

pub(super) type BoxedDuplex = Pin<Box<dyn Duplex>>;

/// Makes of a socket the stream that is read and written, or refuses it.
pub(super) type PreConnect<T> = Rc<dyn Fn(&mut Context<'_, T>, SocketStream) -> PreConnecting>;

pub(super) type PreConnecting = Pin<Box<dyn Future<Output = io::Result<BoxedDuplex>>>>;

pub(super) fn pre_connect<T, Fut, S>(f: impl Fn(&mut Context<'_, T>, SocketStream) -> Fut + 'static) -> PreConnect<T>
where
    T: 'static,
    Fut: Future<Output = io::Result<S>> + 'static,
    S: AsyncRead + AsyncWrite + 'static,
{
    Rc::new(move |cx, stream| {
        let made = f(cx, stream);
        Box::pin(async move { Ok(Box::pin(made.await?) as BoxedDuplex) })
    })
}

/// What a user has asked to be told of. Nobody is told of what is `None`.
pub(super) struct Callbacks<T: Wired> {
    pub(super) pre_connect: Option<PreConnect<T>>,
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
            pre_connect: None,
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
        self.pre_connect.is_some()
            || self.connected.is_some()
            || self.input.is_some()
            || self.flushed.is_some()
            || self.error.is_some()
            || self.high.is_some()
            || self.low.is_some()
            || self.disconnected.is_some()
    }
}

pub(super) fn call<T: 'static>(callback: &Option<Callback<T, ()>>, cx: &mut Context<'_, T>) -> Handled {
    match callback {
        Some(callback) => callback(cx, ()),
        None => Ok(()),
    }
}
