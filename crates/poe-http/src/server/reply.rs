//! A request's reply: the value that a program sends it with, and the future that the connection waits with.

use super::shared::Flags;
use crate::body::Body;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// Makes a response of a status with its usual words.
pub(super) fn status_page(status: StatusCode) -> Response<Body> {
    let words = status.canonical_reason().unwrap_or("Error");
    let mut response = Response::new(Body::from(format!("{words}\n")));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, PLAIN);
    response
}

const PLAIN: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// The place of one reply.
pub(super) struct Slot {
    state: Mutex<State>,
    flags: Arc<Flags>,
}

#[derive(Default)]
struct State {
    response: Option<Response<Body>>,
    /// There was a response, or the time is over.
    done: bool,
    /// Nobody waits for the response any more.
    gone: bool,
    /// The connection's.
    waker: Option<Waker>,
    /// Of the program, which wants to know when the client has gone.
    gone_waker: Option<Waker>,
}

impl Slot {
    pub(super) fn new(flags: Arc<Flags>) -> Arc<Self> {
        Arc::new(Slot {
            state: Mutex::default(),
            flags,
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics while it has the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn send(&self, response: Response<Body>) -> Result<(), NotReplied> {
        let mut state = self.state();
        if state.done || state.gone {
            return Err(NotReplied(Box::new(response)));
        }
        state.done = true;
        state.response = Some(response);
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(())
    }

    /// Replies in the place of a program that has not.
    pub(super) fn fail(&self, status: StatusCode) {
        // If it is too late there is nothing to do.
        let _ = self.send(status_page(status));
    }

    pub(super) fn is_open(&self) -> bool {
        let state = self.state();
        !state.done && !state.gone
    }

    /// Wakes nobody until [`wakes`](Self::wakes): the connection is polled again anyway when the handler has returned.
    pub(super) fn wakes_not(&self) -> Option<Waker> {
        self.state().waker.take()
    }

    pub(super) fn wakes(&self, waker: Option<Waker>) {
        let mut state = self.state();
        if !state.done {
            state.waker = waker;
        }
    }
}

/// Waits for the reply; the connection polls it.
pub(super) struct Waiting(pub(super) Arc<Slot>);

impl Future for Waiting {
    type Output = Response<Body>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Response<Body>> {
        let mut state = self.0.state();
        if let Some(response) = state.response.take() {
            return Poll::Ready(response);
        }
        match &mut state.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        Poll::Pending
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.gone = true;
        let (response, waker) = (state.response.take(), state.gone_waker.take());
        drop(state);
        drop(response);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// Replies to a request, now or later, in any handler or thread.
///
/// A responder that is dropped without a reply sends 500; 503 if the server is shutting down or its session has stopped. The same holds if the
/// handler that has it fails. After [`request_timeout`](super::HttpLimits::request_timeout) the server sends 503 itself.
#[must_use = "dropping it replies with an error"]
pub struct Responder {
    slot: Option<Arc<Slot>>,
}

impl Responder {
    pub(super) fn new(slot: Arc<Slot>) -> Self {
        Responder { slot: Some(slot) }
    }

    /// Sends the reply. `Date`, the length and, for HEAD, the absence of a body are added by the server.
    ///
    /// # Errors
    /// The client has gone, or the time is over. It gives the response back.
    pub fn send<B: Into<Body>>(mut self, response: Response<B>) -> Result<(), NotReplied> {
        let response = response.map(Into::into);
        match self.slot.take() {
            Some(slot) => slot.send(response),
            None => Err(NotReplied(Box::new(response))),
        }
    }

    /// Sends text, with status 200.
    pub fn text(self, text: impl Into<String>) {
        let mut response = Response::new(Body::from(text.into()));
        response.headers_mut().insert(CONTENT_TYPE, PLAIN);
        // The client has gone: nobody wants the text.
        let _ = self.send(response);
    }

    /// Sends a status with its usual words for a body.
    pub fn status(self, status: StatusCode) {
        // The client has gone: nobody wants the status.
        let _ = self.send(status_page(status));
    }

    /// Whether nobody waits for the reply any more: the connection has ended, the client has reset the stream, or the time is over.
    ///
    /// A client of HTTP/1 that has only closed its sending side still waits.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.slot.as_ref().is_none_or(|slot| !slot.is_open())
    }

    /// Waits until nobody waits for the reply any more. Spawn it to stop work for a client that has gone.
    pub fn closed(&self) -> impl Future<Output = ()> + Send + 'static + use<> {
        let slot = self.slot.clone();
        poll_fn(move |cx| {
            let Some(slot) = &slot else {
                return Poll::Ready(());
            };
            let mut state = slot.state();
            if state.gone || state.done {
                return Poll::Ready(());
            }
            state.gone_waker = Some(cx.waker().clone());
            Poll::Pending
        })
    }
}

/// A reply that came too late: the client has gone, or the time is over.
#[derive(Debug)]
pub struct NotReplied(Box<Response<Body>>);

impl NotReplied {
    /// Takes the response back.
    #[must_use]
    pub fn into_response(self) -> Response<Body> {
        *self.0
    }
}

impl fmt::Display for NotReplied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let status = self.0.status();
        write!(
            f,
            "a reply with status {status} was not sent: the client has gone, or `request_timeout` is over"
        )
    }
}

impl std::error::Error for NotReplied {}

impl Drop for Responder {
    fn drop(&mut self) {
        if let Some(slot) = self.slot.take() {
            let ending = slot.flags.ending.load(Relaxed);
            slot.fail(match ending {
                true => StatusCode::SERVICE_UNAVAILABLE,
                false => StatusCode::INTERNAL_SERVER_ERROR,
            });
        }
    }
}

impl fmt::Debug for Responder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Responder").field("closed", &self.is_closed()).finish()
    }
}
