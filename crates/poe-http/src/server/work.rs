//! What a connection gives to the session's handlers, and those handlers.

use super::exchange::Exchange;
use super::session::Http;
use crate::body::ReceivedBody;
use bytes::Bytes;
use poe::extend::IntoReply;
use poe::{Context, Event, Failure, HandlerResult, SessionId, Target};
use std::borrow::Cow;

/// A request, in the form that its route wants.
pub(super) enum Work {
    Whole(Exchange<Bytes>),
    Streaming(Exchange<ReceivedBody>),
    #[cfg(feature = "websocket")]
    Upgrade(Box<super::websocket::Upgrade>),
    #[cfg(feature = "websocket")]
    Socket(super::websocket::WebSocket, super::websocket::WebSocketEvent),
}

/// A route's handler.
pub(super) type Handler<H> = Box<dyn Fn(&mut Context<'_, H, Http>, Work) -> HandlerResult>;

pub(super) fn wrong_form() -> Failure {
    Failure::from("a route got a request in another form than its own")
}

pub(super) fn whole<H: 'static, R: IntoReply>(
    f: impl Fn(&mut Context<'_, H, Http>, Exchange<Bytes>) -> R + 'static,
) -> Handler<H> {
    Box::new(move |cx, work| match work {
        Work::Whole(exchange) => f(cx, exchange).into_reply().map(drop),
        _ => Err(wrong_form()),
    })
}

pub(super) fn streaming<H: 'static, R: IntoReply>(
    f: impl Fn(&mut Context<'_, H, Http>, Exchange<ReceivedBody>) -> R + 'static,
) -> Handler<H> {
    Box::new(move |cx, work| match work {
        Work::Streaming(exchange) => f(cx, exchange).into_reply().map(drop),
        _ => Err(wrong_form()),
    })
}

/// The session that gets the requests of a route: by ID or alias.
#[derive(Clone, Debug)]
pub struct Receiver(To);

#[derive(Clone, Debug)]
enum To {
    Id(SessionId),
    Alias(String),
}

impl Receiver {
    pub(super) fn target(&self) -> Target<'_> {
        match &self.0 {
            To::Id(id) => Target::Id(*id),
            To::Alias(alias) => Target::Alias(Cow::Borrowed(alias)),
        }
    }
}

impl From<SessionId> for Receiver {
    fn from(id: SessionId) -> Self {
        Receiver(To::Id(id))
    }
}

impl From<&str> for Receiver {
    fn from(alias: &str) -> Self {
        Receiver(To::Alias(alias.to_owned()))
    }
}

impl From<String> for Receiver {
    fn from(alias: String) -> Self {
        Receiver(To::Alias(alias))
    }
}

/// Posts each request to a session; where that is not possible the client gets 503.
pub(super) fn posting<H: 'static>(to: Receiver, event: Event<Exchange<Bytes>>) -> Handler<H> {
    whole(move |cx, exchange| {
        if let Err(refused) = cx.post(to.target(), event, exchange) {
            tracing::error!(target: "poe::http", "a request is not posted: {refused}");
            refused.into_arg().status(http::StatusCode::SERVICE_UNAVAILABLE);
        }
    })
}
