//! ICMP echo requests (POE::Component::Client::Ping).
//!
//! A request is a task of the session that asks. All tasks that wait share a socket for each version of IP; whichever is woken first reads,
//! and gives the reply to the one that it is for. So nothing is read while nobody waits, and the component keeps nothing alive.

mod packet;

use crate::life;
use packet::Key;
use poe::event::{Posts, START, STOP};
use poe::extend::{Caller, Start};
use poe::{Error, Kernel, KernelRef, OnFailure, Session, SessionId, TaskId};
use socket2::{Domain, Protocol, Socket, Type};
use std::cell::{Cell, RefCell, RefMut};
use std::collections::HashMap;
use std::fmt;
use std::future::poll_fn;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::Instant;

/// Sends ICMP echo requests and reports the replies.
///
/// On Linux and macOS it needs no privileges where the system allows it: on Linux the group of the process must be in
/// `net.ipv4.ping_group_range`, as it is in most distributions. If not, it needs root or `CAP_NET_RAW`, and the error says so.
///
/// Every request has its own reply, or error, as one event: the reply from that address, or nothing within the
/// [timeout](PingBuilder::timeout) of the last attempt. Virtual time does not wait for real replies.
///
/// ```no_run
/// use poe::{Event, Kernel, Session, event::START};
/// use poe_tools::{Ping, PingError, Pong};
/// const PONG: Event<Result<Pong, PingError>> = Event::new("pong");
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), poe::Error> {
/// let kernel = Kernel::new();
/// let ping = Ping::builder().start(&kernel)?;
/// Session::builder(())
///     .on(START, move |cx, ()| -> poe::HandlerResult {
///         ping.ping(cx, [127, 0, 0, 1], PONG)?;
///         Ok(())
///     })
///     .on(PONG, |_, pong| match pong {
///         Ok(pong) => println!("{} after {:?}", pong.address, pong.round_trip),
///         Err(error) => println!("{error}"),
///     })
///     .create(&kernel)?;
/// kernel.run().await
/// # }
/// ```
#[doc(alias = "POE::Component::Client::Ping")]
#[doc(alias = "ICMP")]
#[derive(Clone)]
pub struct Ping {
    session: SessionId,
    shared: Rc<Shared>,
}

/// The reply to an echo request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pong {
    /// The address that was asked, and that has replied.
    pub address: IpAddr,
    /// The time from the request to the reply.
    pub round_trip: Duration,
    /// The time to live that was left, where the socket tells it: with raw sockets, and on macOS, for version 4 of IP.
    pub ttl: Option<u8>,
    /// The number of the attempt that was replied to, from 1.
    pub attempt: u32,
}

struct Shared {
    settings: PingBuilder,
    v4: RefCell<Option<Rc<Icmp>>>,
    v6: RefCell<Option<Rc<Icmp>>>,
    /// A permit for each request that is on its way.
    permits: Arc<Semaphore>,
    /// Requests that have no reply yet, on their way or not.
    pending: Cell<usize>,
    closed: Cell<bool>,
}

impl Ping {
    /// Starts building one.
    pub fn builder() -> PingBuilder {
        PingBuilder {
            alias: None,
            timeout: Duration::from_secs(1),
            retries: 1,
            payload: 48,
            parallel: 64,
            capacity: 4096,
        }
    }

    /// Pings an address. The event `pong` comes to the running session, which is kept alive until then.
    ///
    /// # Errors
    /// Too many requests wait; the component was shut down.
    #[track_caller]
    pub fn ping(
        &self,
        cx: &KernelRef<'_>,
        address: impl Into<IpAddr>,
        pong: impl Posts<Result<Pong, PingError>>,
    ) -> Result<TaskId, PingRefused> {
        let shared = self.shared.clone();
        if shared.closed.get() {
            return Err(PingRefused { full: None });
        }
        if shared.pending.get() >= shared.settings.capacity {
            let full = Some(shared.settings.capacity);
            return Err(PingRefused { full });
        }
        let (address, pending) = (address.into(), Pending::of(&shared));
        let asking = async move {
            let result = shared.ask(address).await;
            drop(pending);
            result.map_err(|kind| PingError { address, kind })
        };
        Ok(cx.spawn(asking, pong))
    }

    /// Returns how many requests have no reply yet.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.shared.pending.get()
    }

    /// Takes no further request and ends, with an event ([`SHUTDOWN`](crate::SHUTDOWN)). Those that wait go on.
    #[track_caller]
    pub fn shutdown(&self, cx: &KernelRef<'_>) {
        // It may have ended.
        let _ = cx.post(self.session, crate::SHUTDOWN, ());
    }

    /// Returns its session.
    #[must_use]
    pub fn session_id(&self) -> SessionId {
        self.session
    }
}

impl fmt::Debug for Ping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ping")
            .field("session", &self.session)
            .field("pending", &self.pending())
            .finish()
    }
}

/// Counts a request, also if its task is cancelled.
struct Pending(Rc<Shared>);

impl Pending {
    fn of(shared: &Rc<Shared>) -> Self {
        shared.pending.set(shared.pending.get() + 1);
        Pending(shared.clone())
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.0.pending.set(self.0.pending.get() - 1);
    }
}

impl Shared {
    fn new(settings: PingBuilder) -> Self {
        Shared {
            permits: Arc::new(Semaphore::new(settings.parallel)),
            settings,
            v4: RefCell::default(),
            v6: RefCell::default(),
            pending: Cell::new(0),
            closed: Cell::new(false),
        }
    }

    async fn ask(&self, address: IpAddr) -> Result<Pong, PingErrorKind> {
        let permit = self.permits.clone().acquire_owned().await;
        let _permit = permit.map_err(|_| PingErrorKind::Io(Arc::new(io::Error::other("it was shut down"))))?;
        let icmp = self.socket(address)?;
        let failed = |error| {
            // Perhaps its runtime has ended: the next request opens another one.
            self.slot(address).take();
            PingErrorKind::Io(Arc::new(error))
        };
        for attempt in 1..=self.settings.retries.saturating_add(1) {
            let (waits, reply) = Waits::new(&icmp);
            let request = packet::request(waits.key, icmp.identifier, self.settings.payload, address.is_ipv6());
            let sent = Instant::now();
            if let Err(error) = icmp.socket.send_to(&request, SocketAddr::new(address, icmp.port)).await {
                return Err(failed(error));
            }
            let (mut reply, mut read) = (pin!(reply), pin!(icmp.read()));
            let raced = poll_fn(|cx| match reply.as_mut().poll(cx) {
                Poll::Ready(reply) => Poll::Ready(Ok(reply.ok())),
                Poll::Pending => read.as_mut().poll(cx).map(Err),
            });
            let replied = match tokio::time::timeout_at(sent + self.settings.timeout, raced).await {
                Ok(Ok(replied)) => replied,
                Ok(Err(error)) => return Err(failed(error)),
                Err(_elapsed) => None,
            };
            if let Some((at, ttl)) = replied {
                return Ok(Pong {
                    address,
                    round_trip: at - sent,
                    ttl,
                    attempt,
                });
            }
        }
        Err(PingErrorKind::TimedOut)
    }

    fn slot(&self, address: IpAddr) -> RefMut<'_, Option<Rc<Icmp>>> {
        match address.is_ipv6() {
            true => self.v6.borrow_mut(),
            false => self.v4.borrow_mut(),
        }
    }

    /// Opens the socket for a version of IP, once.
    fn socket(&self, address: IpAddr) -> Result<Rc<Icmp>, PingErrorKind> {
        let mut slot = self.slot(address);
        if let Some(icmp) = &*slot {
            return Ok(icmp.clone());
        }
        let opened = Icmp::open(address.is_ipv6());
        let icmp = Rc::new(opened.map_err(|error| PingErrorKind::Open(Arc::new(error)))?);
        *slot = Some(icmp.clone());
        Ok(icmp)
    }
}

/// When a reply came, and with which time to live.
type Replied = (Instant, Option<u8>);

struct Icmp {
    /// An ICMP socket; to Tokio all sockets for datagrams are alike.
    socket: UdpSocket,
    /// ICMP has no ports, but addresses of sockets do.
    port: u16,
    is_v6: bool,
    identifier: u16,
    waiting: RefCell<HashMap<Key, oneshot::Sender<Replied>>>,
    last: Cell<u16>,
    random: RandomState,
}

impl Icmp {
    fn open(is_v6: bool) -> io::Result<Icmp> {
        let (domain, protocol) = match is_v6 {
            false => (Domain::IPV4, Protocol::ICMPV4),
            true => (Domain::IPV6, Protocol::ICMPV6),
        };
        let socket = Socket::new(domain, Type::DGRAM, Some(protocol));
        let socket = match socket {
            Ok(socket) => socket,
            // Where a group may not send requests, root still may.
            Err(refused) => Socket::new(domain, Type::RAW, Some(protocol)).map_err(|_| refused)?,
        };
        socket.set_nonblocking(true)?;
        let any: IpAddr = if is_v6 {
            Ipv6Addr::UNSPECIFIED.into()
        } else {
            Ipv4Addr::UNSPECIFIED.into()
        };
        socket.bind(&SocketAddr::new(any, 0).into())?;
        Ok(Icmp::on(UdpSocket::from_std(socket.into())?, 0, is_v6))
    }

    fn on(socket: UdpSocket, port: u16, is_v6: bool) -> Icmp {
        let random = RandomState::new();
        Icmp {
            socket,
            port,
            is_v6,
            identifier: random.hash_one("identifier") as u16,
            waiting: RefCell::default(),
            last: Cell::new(0),
            random,
        }
    }

    /// Reads replies, for all that wait, until there is an error.
    async fn read(&self) -> io::Error {
        let mut bytes = [0; 2048];
        loop {
            match self.socket.recv_from(&mut bytes).await {
                Ok((length, _)) => {
                    let reply = packet::reply(&bytes[..length], self.is_v6);
                    // A raw socket receives the replies to other programs, too.
                    let waits = reply.and_then(|(key, ttl)| Some((self.waiting.borrow_mut().remove(&key)?, ttl)));
                    if let Some((waits, ttl)) = waits {
                        // It may have been cancelled.
                        let _ = waits.send((Instant::now(), ttl));
                    }
                }
                Err(error) => return error,
            }
        }
    }
}

/// A request that waits for its reply, also if its task is cancelled.
struct Waits {
    icmp: Rc<Icmp>,
    key: Key,
}

impl Waits {
    fn new(icmp: &Rc<Icmp>) -> (Self, oneshot::Receiver<Replied>) {
        let (sender, reply) = oneshot::channel();
        let number = icmp.last.get().wrapping_add(1);
        icmp.last.set(number);
        let token = icmp.random.hash_one((number, Instant::now()));
        let key = Key { number, token };
        icmp.waiting.borrow_mut().insert(key, sender);
        (
            Waits {
                icmp: icmp.clone(),
                key,
            },
            reply,
        )
    }
}

impl Drop for Waits {
    fn drop(&mut self) {
        self.icmp.waiting.borrow_mut().remove(&self.key);
    }
}

/// Configures a [`Ping`].
///
/// | setting | default |
/// |---|---|
/// | [`timeout`](Self::timeout) | 1 s for each attempt |
/// | [`retries`](Self::retries) | 1 |
/// | [`payload`](Self::payload) | 48 bytes, beside 16 of the message |
/// | [`parallel`](Self::parallel) | 64 |
/// | [`capacity`](Self::capacity) | 4096 |
/// | [`alias`](Self::alias) | one that is made of the session's number |
#[derive(Clone, Debug)]
#[must_use = "nothing happens until `start` is called"]
pub struct PingBuilder {
    alias: Option<String>,
    timeout: Duration,
    retries: u32,
    payload: usize,
    parallel: usize,
    capacity: usize,
}

impl PingBuilder {
    /// Sets the alias of its session.
    #[doc(alias = "Alias")]
    pub fn alias(mut self, alias: impl Into<String>) -> Self {
        self.alias = Some(alias.into());
        self
    }

    /// Sets how long an attempt waits for its reply.
    #[doc(alias = "Timeout")]
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = limit;
        self
    }

    /// Sets how many further attempts follow one without a reply.
    #[doc(alias = "Retry")]
    pub fn retries(mut self, retries: u32) -> Self {
        self.retries = retries;
        self
    }

    /// Sets how many bytes a request has beside the 16 of the message; at most 1400.
    #[doc(alias = "Payload")]
    pub fn payload(mut self, bytes: usize) -> Self {
        self.payload = bytes.min(1400);
        self
    }

    /// Sets how many requests may be on their way at a time, at least one. The others wait for their turn.
    #[doc(alias = "Parallelism")]
    pub fn parallel(mut self, requests: usize) -> Self {
        self.parallel = requests.clamp(1, Semaphore::MAX_PERMITS);
        self
    }

    /// Sets how many requests may be without a reply, those that wait for their turn included. More are refused.
    pub fn capacity(mut self, requests: usize) -> Self {
        self.capacity = requests;
        self
    }

    /// Starts it, below the kernel. The sockets are opened with the first requests.
    ///
    /// # Errors
    /// The alias is taken; a handler is running (use [`cx.start(builder)`](poe::Context::start)); the kernel is shutting down.
    #[track_caller]
    pub fn start(self, kernel: &Kernel) -> Result<Ping, Error> {
        self.start_by(&mut { kernel })
    }
}

impl Start for PingBuilder {
    type Started = Ping;

    #[track_caller]
    fn start_by(self, caller: &mut impl Caller) -> Result<Ping, Error> {
        let shared = Rc::new(Shared::new(self));
        let session = Session::builder(shared.clone())
            .on_failure(OnFailure::StopSession)
            .on(START, |cx, ()| {
                life::begin(cx, cx.heap.settings.alias.as_deref(), "ping")
            })
            .on(STOP, |cx, ()| cx.heap.closed.set(true));
        let session = life::ends(session, |cx| {
            cx.heap.closed.set(true);
            life::end(cx);
        });
        let session = caller.create(session)?;
        Ok(Ping { session, shared })
    }
}

/// Why an address has not replied.
#[derive(Clone, Debug)]
pub struct PingError {
    address: IpAddr,
    kind: PingErrorKind,
}

#[derive(Clone, Debug)]
enum PingErrorKind {
    TimedOut,
    Open(Arc<io::Error>),
    Io(Arc<io::Error>),
}

impl PingError {
    /// Returns the address that was asked.
    #[must_use]
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// No attempt had a reply in time.
    #[must_use]
    pub fn is_timed_out(&self) -> bool {
        matches!(self.kind, PingErrorKind::TimedOut)
    }

    /// The system lets this process send no echo requests; the text says how to change that.
    #[must_use]
    pub fn is_not_permitted(&self) -> bool {
        matches!(&self.kind, PingErrorKind::Open(error) if error.kind() == io::ErrorKind::PermissionDenied)
    }

    /// Returns the system's error, if it is one.
    #[must_use]
    pub fn as_io(&self) -> Option<&io::Error> {
        match &self.kind {
            PingErrorKind::TimedOut => None,
            PingErrorKind::Open(error) | PingErrorKind::Io(error) => Some(error),
        }
    }
}

impl fmt::Display for PingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot ping {}: ", self.address)?;
        match &self.kind {
            PingErrorKind::TimedOut => f.write_str("no reply in time"),
            PingErrorKind::Io(error) => error.fmt(f),
            PingErrorKind::Open(error) if self.is_not_permitted() => write!(
                f,
                "{error}; allow it to the process's group with `sysctl net.ipv4.ping_group_range=\"0 2147483647\"`, or give the program \
                 CAP_NET_RAW"
            ),
            PingErrorKind::Open(error) => write!(f, "there is no ICMP socket: {error}"),
        }
    }
}

impl std::error::Error for PingError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.as_io().map(|error| error as &(dyn std::error::Error + 'static))
    }
}

/// A request that was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PingRefused {
    full: Option<usize>,
}

impl PingRefused {
    /// As many requests wait as [`PingBuilder::capacity`] allows. If not, the component was shut down.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.full.is_some()
    }
}

impl fmt::Display for PingRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.full {
            Some(capacity) => write!(
                f,
                "cannot ping: {capacity} requests wait already (`PingBuilder::capacity`): try again later"
            ),
            None => f.write_str("cannot ping: this Ping was shut down"),
        }
    }
}

impl std::error::Error for PingRefused {}

#[cfg(test)]
mod tests {
    use super::*;

    /// A peer that is silent twice, and then sends other messages before each reply.
    #[tokio::test]
    async fn attempts_follow_until_one_has_its_own_reply() {
        let peer = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = peer.local_addr().unwrap().port();
        std::thread::spawn(move || {
            let mut bytes = [0; 1500];
            for count in 1.. {
                let Ok((length, from)) = peer.recv_from(&mut bytes) else {
                    return;
                };
                if count < 3 {
                    continue;
                }
                // The request, as a host sees that pings itself; a reply to another program; one with a wrong checksum; and the reply.
                let request = bytes[..length].to_vec();
                let (mut other, real) = (request.clone(), packet::answered(request.clone(), false));
                other[8] ^= 1;
                let mut spoilt = real.clone();
                spoilt[2] ^= 1;
                for message in [request, packet::answered(other, false), spoilt, real] {
                    // The test may be over.
                    let _ = peer.send_to(&message, from);
                }
            }
        });
        let shared = Shared::new(Ping::builder().timeout(Duration::from_millis(300)).retries(1000));
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        *shared.v4.borrow_mut() = Some(Rc::new(Icmp::on(socket, port, false)));
        let pong = shared.ask(Ipv4Addr::LOCALHOST.into()).await.unwrap();
        assert!(pong.attempt >= 3, "{pong:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_reply_it_times_out_after_its_attempts() {
        let peer = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let shared = Shared::new(Ping::builder().timeout(Duration::from_secs(1)).retries(2));
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let port = peer.local_addr().unwrap().port();
        *shared.v4.borrow_mut() = Some(Rc::new(Icmp::on(socket, port, false)));
        let began = Instant::now();
        let error = shared.ask(Ipv4Addr::LOCALHOST.into()).await.unwrap_err();
        assert!(matches!(error, PingErrorKind::TimedOut));
        assert_eq!(began.elapsed(), Duration::from_secs(3));
    }
}
