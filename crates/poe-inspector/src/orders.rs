//! Actions over HTTP and the console: post, signal, stop, options.

use crate::action::To;
use crate::reply::{Replied, failed, json};
use crate::state::Server;
use crate::view::{Silent, View};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use hyper::{Request, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json as object};
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// Bytes of a request's body, at most.
const BODY: usize = 64 << 10;

#[derive(Deserialize)]
struct Order {
    #[serde(default)]
    to: Value,
    #[serde(default)]
    event: String,
    #[serde(default)]
    arg: Value,
    #[serde(default)]
    signal: String,
    rate: Option<u32>,
    slow_ms: Option<f64>,
}

pub(crate) async fn act(
    server: &Rc<Server>,
    view: &Rc<View>,
    action: &str,
    request: Request<Incoming>,
    is_own: bool,
) -> Replied {
    if !is_own && server.settings.token.is_none() {
        return failed(
            StatusCode::FORBIDDEN,
            "actions need a token, or a UNIX socket: see `InspectorBuilder::token`",
        );
    }
    // A form of a foreign page cannot send this type.
    if request
        .headers()
        .get(CONTENT_TYPE)
        .is_none_or(|kind| kind != "application/json")
    {
        return failed(StatusCode::UNSUPPORTED_MEDIA_TYPE, "send application/json");
    }
    let body = match Limited::new(request.into_body(), BODY).collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => {
            return failed(
                StatusCode::PAYLOAD_TOO_LARGE,
                "the body is incomplete or larger than 64 KiB",
            );
        }
    };
    let order: Order = match serde_json::from_slice(&body) {
        Ok(order) => order,
        Err(error) => {
            return failed(
                StatusCode::BAD_REQUEST,
                &format!("the body is not as documented: {error}"),
            );
        }
    };
    let done = match action {
        "post" => post(server, view, &order.to, &order.event, order.arg).await,
        "signal" => signal(server, view, &order.to, &order.signal).await,
        "stop" => stop(server, view, &order.to).await,
        "options" => {
            if let Some(rate) = order.rate {
                view.record().rate.store(rate.clamp(1, 100_000), Relaxed);
            }
            if let Some(limit) = order.slow_ms.filter(|limit| (0.0..=1e9).contains(limit)) {
                view.sample.borrow_mut().slow_limit = Duration::from_secs_f64(limit / 1e3);
            }
            Ok(())
        }
        _ => return failed(StatusCode::NOT_FOUND, "the actions are post, signal, stop and options"),
    };
    match done {
        Ok(()) => json(&object!({ "done": true })),
        Err(refused) => failed(refused.status, &refused.why),
    }
}

pub(crate) struct Refused {
    pub(crate) status: StatusCode,
    pub(crate) why: String,
}

fn refused(status: StatusCode, why: impl Into<String>) -> Refused {
    Refused {
        status,
        why: why.into(),
    }
}

impl From<Silent> for Refused {
    fn from(silent: Silent) -> Self {
        match silent {
            Silent::Gone => refused(StatusCode::GONE, "the kernel is gone"),
            Silent::Busy => refused(StatusCode::SERVICE_UNAVAILABLE, "the kernel does not reply"),
        }
    }
}

/// A target in JSON: a session's number, or an alias (a text of digits is a number).
async fn target(view: &View, to: &Value) -> Result<To, Refused> {
    let number = match to {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    if let Some(number) = number {
        let found = view.ask(move |kernel| kernel.session_by_number(number)).await?;
        let found = found.filter(|id| !id.is_kernel());
        return found
            .map(To::Id)
            .ok_or_else(|| refused(StatusCode::NOT_FOUND, "no session has this number"));
    }
    match to.as_str() {
        Some(alias) => Ok(To::Alias(alias.to_owned())),
        None => Err(refused(StatusCode::BAD_REQUEST, "`to` is a session's number or alias")),
    }
}

pub(crate) async fn post(server: &Server, view: &View, to: &Value, event: &str, arg: Value) -> Result<(), Refused> {
    let Some(post) = server.settings.actions.event(event) else {
        return Err(refused(
            StatusCode::FORBIDDEN,
            "this event is not allowed: see `InspectorBuilder::allow`",
        ));
    };
    let to = target(view, to).await?;
    tracing::info!(target: "poe::inspector", kernel = view.name(), ?to, event, "posts");
    let posted = view.ask(move |kernel| post(&kernel.handle(), to, arg)).await?;
    posted.map_err(|why| refused(StatusCode::UNPROCESSABLE_ENTITY, why))
}

pub(crate) async fn signal(server: &Server, view: &View, to: &Value, signal: &str) -> Result<(), Refused> {
    if !server.settings.actions.signals {
        return Err(refused(
            StatusCode::FORBIDDEN,
            "signals are not allowed: see `InspectorBuilder::allow_signals`",
        ));
    }
    if signal.is_empty() || signal.len() > 64 {
        return Err(refused(
            StatusCode::BAD_REQUEST,
            "`signal` is the name of a signal, such as TERM",
        ));
    }
    send(view, to, signal).await
}

pub(crate) async fn stop(server: &Server, view: &View, to: &Value) -> Result<(), Refused> {
    if !server.settings.actions.stop {
        return Err(refused(
            StatusCode::FORBIDDEN,
            "stopping sessions is not allowed: see `InspectorBuilder::allow_stop`",
        ));
    }
    send(view, to, "KILL").await
}

async fn send(view: &View, to: &Value, signal: &str) -> Result<(), Refused> {
    let to = target(view, to).await?;
    tracing::info!(target: "poe::inspector", kernel = view.name(), ?to, signal, "signals");
    let signal = signal.to_owned();
    let sent = view.ask(move |kernel| {
        let handle = kernel.handle();
        let sent = match &to {
            To::Id(id) => handle.signal(*id, &signal, ()),
            To::Alias(alias) => handle.signal(alias.as_str(), &signal, ()),
        };
        sent.map_err(|error| error.to_string())
    });
    sent.await?
        .map_err(|why| refused(StatusCode::UNPROCESSABLE_ENTITY, why))
}
