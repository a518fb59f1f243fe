//! The wheel of a connection: polls hyper, and gives the requests that come of it to the session's handlers at once.

use super::limits::HttpLimits;
use super::routes::Routes;
use super::session::{CLOSED, REQUEST, Tls};
use super::shared::{Client, Shared};
use super::wire::{Meter, Wire};
use crate::body::{Body, ReceivedBody};
use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream::FuturesUnordered;
use http::{Request, Response, Version};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto::{Builder, UpgradeableConnection};
use poe::extend::{Flow, Sleep, Source, SourceContext};
use poe::wheel::SocketStream;
use std::cell::RefCell;
use std::convert::Infallible;
use std::error::Error;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Instant;

/// How long a connection may take to end after it was told to.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// How often a connection is polled again in one turn, because handlers have replied.
const ROUNDS: usize = 32;

type Hyper = UpgradeableConnection<'static, TokioIo<Wire>, Serve, Streams>;

pub(super) struct Connecting {
    serve: Serve,
    meter: Arc<Meter>,
    stage: Stage,
    streams: Streams,
    running: FuturesUnordered<StreamFuture>,
    clock: Clock,
    timer: Option<(Instant, Sleep)>,
    told_to_end: bool,
    /// Hyper is done; what it has left to the handlers is not.
    over: bool,
}

enum Stage {
    #[cfg(feature = "tls")]
    Handshake(Pin<Box<dyn Future<Output = std::io::Result<poe::tls::ServerStream<SocketStream>>>>>),
    Serving(Pin<Box<Hyper>>),
}

impl Stage {
    fn serving(&mut self) -> Option<&mut Pin<Box<Hyper>>> {
        match self {
            Stage::Serving(hyper) => Some(hyper),
            #[cfg(feature = "tls")]
            Stage::Handshake(_) => None,
        }
    }
}

impl Connecting {
    pub(super) fn new(serve: Serve, stream: SocketStream, tls: &Tls) -> Self {
        let (meter, streams) = (Arc::new(Meter::default()), Streams::default());
        #[cfg(feature = "tls")]
        let stage = match tls {
            Some(acceptor) => Stage::Handshake(Box::pin(acceptor.accept(stream))),
            None => Stage::Serving(serve.on(&streams, Wire::plain(stream, meter.clone()))),
        };
        #[cfg(not(feature = "tls"))]
        let stage = {
            let Tls = tls;
            Stage::Serving(serve.on(&streams, Wire::plain(stream, meter.clone())))
        };
        Connecting {
            clock: Clock::new(Instant::now()),
            serve,
            meter,
            stage,
            streams,
            running: FuturesUnordered::new(),
            timer: None,
            told_to_end: false,
            over: false,
        }
    }
}

/// What became of the jobs.
enum Delivered {
    None,
    Some,
    Pause,
    Gone,
}

impl Connecting {
    /// Polls hyper and the streams that it has spawned.
    fn poll_hyper(&mut self, waker: &mut Context<'_>) -> Poll<()> {
        let Some(hyper) = self.stage.serving() else {
            return Poll::Pending;
        };
        self.serve.shared.current.replace(Some(self.serve.client.clone()));
        let (streams, running) = (&self.streams, &mut self.running);
        // Services of the program run in here.
        let polled = catch_unwind(AssertUnwindSafe(|| {
            // Streams come first, so that hyper writes what they have replied.
            run(running, waker);
            let polled = hyper.as_mut().poll(waker);
            let new = streams.0.take();
            if !new.is_empty() {
                running.extend(new);
                run(running, waker);
            }
            polled
        }));
        self.serve.shared.current.replace(None);
        match polled {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(Ok(()))) => Poll::Ready(()),
            Ok(Poll::Ready(Err(error))) => {
                tracing::debug!(target: "poe::http", peer = %self.serve.client.peer, "a connection has failed: {error}");
                Poll::Ready(())
            }
            Err(payload) => {
                tracing::error!(target: "poe::http", peer = %self.serve.client.peer, "a service has panicked: its connection ends");
                // Dropping it may panic as well.
                let _ = catch_unwind(AssertUnwindSafe(|| drop(payload)));
                Poll::Ready(())
            }
        }
    }

    /// Gives the requests that have come to the session's handlers.
    fn deliver(&self, cx: &mut SourceContext<'_>) -> Delivered {
        let mut delivered = Delivered::None;
        loop {
            let job = self.serve.shared.jobs.borrow_mut().pop_front();
            let Some(job) = job else { return delivered };
            let (slot, looks) = (job.slot.clone(), job.looks);
            let waker = looks.then(|| slot.wakes_not());
            let flow = cx.emit(REQUEST, job);
            if let Some(waker) = waker {
                slot.wakes(waker);
            }
            match flow {
                Flow::Go => delivered = Delivered::Some,
                Flow::Pause => return Delivered::Pause,
                Flow::Gone => return Delivered::Gone,
            }
        }
    }

    fn end(&self, cx: &mut SourceContext<'_>) -> Poll<()> {
        self.meter.ends_no_turn();
        let id = cx.id();
        // What it was upgraded to takes its place.
        cx.post(CLOSED, (id, !self.serve.client.upgraded.get()));
        Poll::Ready(())
    }

    /// Looks at the time. Returns whether the connection ends.
    fn is_late(&mut self, waker: &mut Context<'_>) -> bool {
        let now = Instant::now();
        self.clock.look(now, &self.meter, &self.serve.client);
        loop {
            let (until, limit) = self.clock.limit(&self.serve.shared.limits, &self.serve.client);
            let Some(until) = until else { return false };
            if until <= now {
                tracing::debug!(target: "poe::http", peer = %self.serve.client.peer, "a connection is closed: {limit:?} is over");
                if limit == Limit::Idle && !self.told_to_end {
                    self.tell_to_end(now);
                    waker.waker().wake_by_ref();
                    continue;
                }
                return true;
            }
            if self.timer.as_ref().is_none_or(|(at, _)| *at > until) {
                self.timer = Some((until, Sleep::new(until - now)));
            }
            let Some((_, sleep)) = &mut self.timer else {
                return false;
            };
            if Pin::new(sleep).poll(waker).is_pending() {
                return false;
            }
            self.timer = None;
        }
    }

    /// Lets the connection end with what is under way.
    fn tell_to_end(&mut self, now: Instant) {
        self.told_to_end = true;
        if let Some(hyper) = self.stage.serving() {
            hyper.as_mut().graceful_shutdown();
        }
        self.clock.ending = Some(now + LAST_WORDS);
    }
}

impl Source for Connecting {
    fn poll(&mut self, cx: &mut SourceContext<'_>, waker: &mut Context<'_>) -> Poll<()> {
        self.meter.begin_turn();
        #[cfg(feature = "tls")]
        if let Stage::Handshake(handshake) = &mut self.stage {
            match std::task::ready!(handshake.as_mut().poll(waker)) {
                Ok(stream) => {
                    let wire = Wire::tls(stream, self.meter.clone());
                    self.stage = Stage::Serving(self.serve.on(&self.streams, wire));
                    self.clock = Clock::new(Instant::now());
                }
                Err(error) => {
                    tracing::debug!(target: "poe::http", peer = %self.serve.client.peer, "{error}");
                    return self.end(cx);
                }
            }
        }
        if self.serve.shared.draining.get() && !self.told_to_end {
            self.tell_to_end(Instant::now());
            // What is under way has the drain's own limit.
            self.clock.ending = None;
        }
        for _ in 0..ROUNDS {
            self.over = self.over || self.poll_hyper(waker).is_ready();
            match self.deliver(cx) {
                Delivered::None => {
                    if self.over || self.is_late(waker) {
                        return self.end(cx);
                    }
                    return Poll::Pending;
                }
                Delivered::Some => {}
                Delivered::Pause => return Poll::Pending,
                Delivered::Gone => return Poll::Ready(()),
            }
        }
        waker.waker().wake_by_ref();
        Poll::Pending
    }
}

/// Polls streams until none of them can go on.
fn run(running: &mut FuturesUnordered<StreamFuture>, waker: &mut Context<'_>) {
    while let Poll::Ready(Some(())) = Pin::new(&mut *running).poll_next(waker) {}
}

/// The limit of time that a connection meets next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Limit {
    End,
    Write,
    Idle,
    Head,
}

/// Since when a connection waits for what.
struct Clock {
    /// Since the stream could carry a request.
    began: Instant,
    read: u64,
    written: u64,
    served: u64,
    last_written: Instant,
    /// A head of HTTP/1 has begun.
    head: Option<Instant>,
    /// There is no request.
    idle: Option<Instant>,
    /// The client does not take what it is sent.
    stuck: bool,
    /// When the connection is over in any case.
    ending: Option<Instant>,
}

impl Clock {
    fn new(now: Instant) -> Self {
        Clock {
            began: now,
            read: 0,
            written: 0,
            served: 0,
            last_written: now,
            head: None,
            idle: None,
            stuck: false,
            ending: None,
        }
    }

    fn look(&mut self, now: Instant, meter: &Meter, client: &Client) {
        let (read, written) = (meter.read.load(Relaxed), meter.written.load(Relaxed));
        let waits = meter.blocked.load(Relaxed) || client.sending.get() > 0;
        if written != self.written || !self.stuck {
            self.last_written = now;
        }
        self.stuck = waits;
        let served = client.served.get();
        if client.in_flight.get() > 0 || served != self.served {
            (self.head, self.idle, self.served) = (None, None, served);
        }
        if client.in_flight.get() == 0 {
            if read != self.read && self.idle.is_some() {
                self.head.get_or_insert(now);
            }
            // What is left of a response of HTTP/2 goes out when its request is over.
            if written != self.written || self.idle.is_none() {
                self.idle = Some(now);
            }
        }
        (self.read, self.written) = (read, written);
    }

    /// The next limit, and when it is reached.
    fn limit(&self, limits: &HttpLimits, client: &Client) -> (Option<Instant>, Limit) {
        let mut next = (self.ending, Limit::End);
        let mut consider = |since: Option<Instant>, time: Duration, limit| {
            let until = since.and_then(|since| since.checked_add(time));
            if let Some(until) = until
                && next.0.is_none_or(|at| until < at)
            {
                next = (Some(until), limit);
            }
        };
        consider(
            self.stuck.then_some(self.last_written),
            limits.write_timeout,
            Limit::Write,
        );
        if client.in_flight.get() == 0 && self.ending.is_none() {
            consider(self.idle, limits.idle_timeout, Limit::Idle);
            if client.served.get() == 0 {
                consider(Some(self.began), limits.head_timeout, Limit::Head);
            } else if !client.is_h2.get() {
                consider(self.head, limits.head_timeout, Limit::Head);
            }
        }
        next
    }
}

/// Where hyper puts the futures of HTTP/2's streams: they are polled, and dropped, with their connection.
#[derive(Clone, Default)]
pub(super) struct Streams(Rc<RefCell<Vec<StreamFuture>>>);

type StreamFuture = Pin<Box<dyn Future<Output = ()>>>;

impl<F: Future<Output = ()> + 'static> hyper::rt::Executor<F> for Streams {
    fn execute(&self, future: F) {
        self.0.borrow_mut().push(Box::pin(future));
    }
}

/// The service of one connection.
#[derive(Clone)]
pub(super) struct Serve {
    pub(super) shared: Rc<Shared>,
    pub(super) client: Rc<Client>,
    pub(super) routes: Routes,
}

impl Serve {
    /// Begins to serve a stream.
    fn on(&self, streams: &Streams, wire: Wire) -> Pin<Box<Hyper>> {
        let limits = &self.shared.limits;
        let mut builder = Builder::new(streams.clone());
        let mut http1 = builder.http1();
        http1.max_buf_size(limits.max_head.max(8192)).half_close(true);
        // The clock of this wheel has its own limit.
        http1.header_read_timeout(None);
        if limits.max_headers != HttpLimits::default().max_headers {
            // Setting it costs an allocation for each request, also where it is hyper's own.
            http1.max_headers(limits.max_headers);
        }
        builder
            .http2()
            .max_header_list_size(u32::try_from(limits.max_head).unwrap_or(u32::MAX))
            .max_concurrent_streams(limits.max_streams)
            .max_pending_accept_reset_streams(limits.max_resets)
            .max_local_error_reset_streams(limits.max_errors);
        let connection = builder.serve_connection_with_upgrades(TokioIo::new(wire), self.clone());
        Box::pin(connection.into_owned())
    }
}

impl hyper::service::Service<Request<Incoming>> for Serve {
    type Response = Response<Sending>;
    type Error = Infallible;
    type Future = Serving;

    fn call(&self, request: Request<Incoming>) -> Serving {
        let (client, limits) = (&self.client, &self.shared.limits);
        client.served.set(client.served.get() + 1);
        client.in_flight.set(client.in_flight.get() + 1);
        client.is_h2.set(request.version() == Version::HTTP_2);
        let guard = InFlight(client.clone());
        let request = request.map(|body| ReceivedBody::new(body, limits.max_body, limits.body_timeout));
        Serving {
            reply: self.routes.route(request),
            guard: Some(guard),
        }
    }
}

/// Counts a request until its response has gone out, or its stream has ended.
struct InFlight(Rc<Client>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.set(self.0.in_flight.get() - 1);
    }
}

pub(super) struct Serving {
    reply: super::routes::Reply,
    guard: Option<InFlight>,
}

impl Future for Serving {
    type Output = Result<Response<Sending>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let response = std::task::ready!(Pin::new(&mut self.reply).poll(cx))?;
        let guard = self.guard.take();
        Poll::Ready(Ok(response.map(|body| {
            let waits = !body.is_end_stream();
            let counted = false;
            let mut sending = Sending { body, counted, guard };
            // HTTP/2 asks for nothing until the client has opened a window.
            sending.waits_for_client(waits);
            sending
        })))
    }
}

/// The body of a response on its way. It knows whether it waits for the client or for the program.
pub(super) struct Sending {
    body: Body,
    /// It waits for the client, and is counted as that.
    counted: bool,
    guard: Option<InFlight>,
}

impl Sending {
    fn waits_for_client(&mut self, waits: bool) {
        if let Some(InFlight(client)) = &self.guard
            && self.counted != waits
        {
            self.counted = waits;
            let sending = client.sending.get();
            client.sending.set(if waits { sending + 1 } else { sending - 1 });
        }
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.waits_for_client(false);
    }
}

impl HttpBody for Sending {
    type Data = Bytes;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        self.waits_for_client(matches!(polled, Poll::Ready(Some(Ok(_)))));
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
