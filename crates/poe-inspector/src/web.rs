//! HTTP connections with their limits.

use crate::api;
use crate::guard::check;
use crate::reply::{Replied, failed};
use crate::state::{Server, add};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::rc::Rc;
use tokio::io::{AsyncRead, AsyncWrite};

/// Bytes of a request's head, at most.
const HEAD: usize = 16 << 10;
const HEADERS: usize = 64;

pub(crate) async fn serve<S: AsyncRead + AsyncWrite + Unpin + 'static>(server: Rc<Server>, stream: S, is_own: bool) {
    let patience = server.settings.patience;
    let service = service_fn(move |request: Request<Incoming>| {
        let server = server.clone();
        async move { Ok::<_, Infallible>(respond(&server, request, is_own).await) }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(patience)
        .max_buf_size(HEAD)
        .max_headers(HEADERS)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(target: "poe::inspector", "a connection has ended: {error}");
    }
}

async fn respond(server: &Rc<Server>, request: Request<Incoming>, is_own: bool) -> Replied {
    add(&server.counts.requests);
    if let Err(denied) = check(server, &request, is_own) {
        add(&server.counts.denied);
        return failed(denied.status, denied.why);
    }
    let limit = server.settings.patience;
    match tokio::time::timeout(limit, api::route(server, request, is_own)).await {
        Ok(response) => response,
        Err(_) => failed(StatusCode::SERVICE_UNAVAILABLE, "the kernel did not reply in time"),
    }
}
