//! One request: its own settings, and how its response comes.

use super::error::{ErrorKind, HttpError};
use super::{HttpClient, Shared, redirect};
use crate::body::{Body, ReceivedBody};
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body as _;
use poe::event::Posts;
use poe::{KernelRef, Postback, TaskId};
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

/// How far the body of a response is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The bytes that have come.
    pub received: u64,
    /// All bytes, if the server has said so.
    pub total: Option<u64>,
}

/// A request that is to be sent: see [`HttpClient::request`].
#[must_use = "nothing happens until `send` or `stream` is called"]
pub struct HttpRequest<'a> {
    client: &'a HttpClient,
    request: Request<Body>,
    timeout: Duration,
    max_body: u64,
}

impl<'a> HttpRequest<'a> {
    pub(super) fn new(client: &'a HttpClient, request: Request<Body>) -> Self {
        let settings = &client.shared.settings;
        HttpRequest {
            client,
            request,
            timeout: settings.timeout,
            max_body: settings.max_body,
        }
    }

    /// Sets how long the request may take, in place of the client's limit.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = limit;
        self
    }

    /// Sets the largest body of the response, in place of the client's limit.
    pub fn max_body(mut self, bytes: u64) -> Self {
        self.max_body = bytes;
        self
    }

    /// Sends it. The event comes to the running session, with `tag`, when the whole response is there, or the reason why it is not.
    ///
    /// The request is a task of that session, which it keeps alive: [`cancel`](KernelRef::cancel) gives it up, and no event follows.
    /// Where the connection ends before anything of the response has come, because the server has closed one that was idle, the request is sent
    /// once more, if its method is idempotent (RFC 9110, 9.2.2) and its body is empty or in memory.
    #[track_caller]
    #[doc(alias = "cancel")]
    pub fn send<T: 'static>(
        self,
        cx: &KernelRef<'_>,
        tag: T,
        event: impl Posts<(T, Result<Response<Bytes>, HttpError>)>,
    ) -> TaskId {
        self.collected(cx, tag, event, |_| {})
    }

    /// Sends it as [`send`](Self::send) does. The event `progress` comes with each chunk of the body.
    #[track_caller]
    pub fn send_with_progress<T: Clone + 'static>(
        self,
        cx: &KernelRef<'_>,
        tag: T,
        event: impl Posts<(T, Result<Response<Bytes>, HttpError>)>,
        progress: impl Posts<(T, Progress)>,
    ) -> TaskId {
        let tell: Postback<T, Progress> = cx.postback(progress, tag.clone());
        self.collected(cx, tag, event, move |progress| {
            // The session that asks has this task, so it lives.
            let _ = tell.post(progress);
        })
    }

    #[track_caller]
    fn collected<T: 'static>(
        self,
        cx: &KernelRef<'_>,
        tag: T,
        event: impl Posts<(T, Result<Response<Bytes>, HttpError>)>,
        mut told: impl FnMut(Progress) + 'static,
    ) -> TaskId {
        let timeout = self.timeout;
        let under_way = self.start();
        let whole = async move {
            let response = under_way?.run().await?;
            let total = response.body().size_hint().exact();
            let (parts, body) = response.into_parts();
            let body = body.collect_with(|received| told(Progress { received, total })).await;
            Ok(Response::from_parts(parts, body.map_err(ErrorKind::Body)?))
        };
        let task = async move {
            let limited = tokio::time::timeout(timeout, whole).await;
            (tag, limited.unwrap_or_else(|_| Err(ErrorKind::Timeout(timeout).into())))
        };
        cx.spawn(task, event)
    }

    /// Sends it. The event comes when the head of the response is there; the body follows as a stream, which your session reads as fast as it wants.
    ///
    /// [`timeout`](Self::timeout) is for the head, and the client's `body_timeout` for each silence after it.
    #[track_caller]
    #[doc(alias = "Streaming")]
    pub fn stream<T: 'static>(
        self,
        cx: &KernelRef<'_>,
        tag: T,
        event: impl Posts<(T, Result<Response<ReceivedBody>, HttpError>)>,
    ) -> TaskId {
        let timeout = self.timeout;
        let under_way = self.start();
        let head = async move { under_way?.run().await };
        let task = async move {
            let limited = tokio::time::timeout(timeout, head).await;
            (tag, limited.unwrap_or_else(|_| Err(ErrorKind::Timeout(timeout).into())))
        };
        cx.spawn(task, event)
    }

    /// Counts the request from now on.
    fn start(self) -> Result<UnderWay, HttpError> {
        let shared = &self.client.shared;
        let capacity = shared.settings.capacity;
        if shared.pending.get() >= capacity {
            return Err(ErrorKind::Full(capacity).into());
        }
        Ok(UnderWay {
            count: Count::of(shared),
            request: self.request,
            max_body: self.max_body,
        })
    }
}

impl fmt::Debug for HttpRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpRequest")
            .field("method", self.request.method())
            .field("uri", self.request.uri())
            .finish_non_exhaustive()
    }
}

/// Counts a request, also if its task is cancelled. It keeps the client.
struct Count(Rc<Shared>);

impl Count {
    fn of(shared: &Rc<Shared>) -> Self {
        shared.pending.set(shared.pending.get() + 1);
        Count(shared.clone())
    }
}

impl Drop for Count {
    fn drop(&mut self) {
        self.0.pending.set(self.0.pending.get() - 1);
    }
}

struct UnderWay {
    count: Count,
    request: Request<Body>,
    max_body: u64,
}

impl UnderWay {
    /// Sends the request, and follows redirections.
    async fn run(self) -> Result<Response<ReceivedBody>, HttpError> {
        let shared = &self.count.0;
        let mut request = self.request;
        let limit = shared.settings.redirects;
        for _ in 0..=limit {
            let host = request
                .uri()
                .authority()
                .map_or_else(String::new, |host| host.to_string());
            // It is held until the head is there: a body that nobody reads must not keep others from their turn.
            let permit = shared.permit(host).await?;
            let transport = shared.transport.borrow().clone().ok_or(ErrorKind::Closed)?;
            let (parts, body) = request.into_parts();
            let (saved, copy) = (parts.clone(), body.try_clone());
            let mut response = transport(Request::from_parts(parts, body)).await;
            if response.as_ref().is_err_and(HttpError::has_ended)
                && saved.method.is_idempotent()
                && let Some(copy) = copy.as_ref().and_then(Body::try_clone)
            {
                // The server has closed an idle connection when the request was on its way to it (RFC 9110, 9.2.2): once more.
                response = transport(Request::from_parts(saved.clone(), copy)).await;
            }
            let response = response?;
            drop(permit);
            let next = match limit {
                0 => None,
                _ => redirect::next(&response, &saved, copy.as_ref()),
            };
            match next {
                Some(next) => request = next,
                None => return Ok(response.map(|body| body.max_bytes(self.max_body))),
            }
        }
        Err(ErrorKind::Redirects(limit).into())
    }
}
