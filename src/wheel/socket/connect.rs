//! Connecting to a name: every address is tried in turn (RFC 8305, "happy eyeballs").
//!
//! The addresses are tried in the resolver's order, IPv6 and IPv4 alternating. The next one is tried as soon as one has
//! failed, or 250 ms after the last one began: less, if the connect timeout would expire before the last one is tried.
//! The first connection wins, and the other attempts are dropped.

use super::super::address::{Address, Spot};
use super::make::{Options, source, sources, tcp_socket};
use super::{Failed, SocketStream};
use crate::bridge::moves::Again;
use crate::bridge::runtime::{Home, Pause, poll_here};
use crate::bridge::threads::Threads;
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;
use std::{fmt, io};
use tokio::net::TcpStream;
#[cfg(any(unix, test))]
use tokio::time::Instant;

/// Delay before the next attempt begins beside the present one (RFC 8305, section 5), and the shortest delay.
const STAGGER: Duration = Duration::from_millis(250);
const LEAST_STAGGER: Duration = Duration::from_millis(10);

/// How long a busy UNIX listener is tried again without a connect timeout: as long as TCP tries.
#[cfg(unix)]
const PATIENCE: Duration = Duration::from_secs(127);

pub(crate) async fn connect(addr: Address, options: Options, threads: Threads) -> Result<SocketStream, Failed> {
    let sources = sources(&options, &threads).await?;
    let spots = interleaved(options.resolve(&addr, &threads).await?);
    let stagger = stagger(options.connect_timeout, spots.len());
    let attempt = async |spot: Spot| {
        connect_to(&spot, &sources, &options)
            .await
            .map_err(|failed| (spot, failed))
    };
    race(spots, stagger, attempt)
        .await
        .map_err(|failures| all_failed(&addr, failures))
}

/// Alternates the families, beginning with the first one's.
fn interleaved(spots: Vec<Spot>) -> VecDeque<Spot> {
    let is_v6 = |spot: &Spot| matches!(spot, Spot::Ip(addr) if addr.is_ipv6());
    let first_is_v6 = spots.first().is_some_and(is_v6);
    let (like_first, others): (Vec<_>, Vec<_>) = spots.into_iter().partition(|spot| is_v6(spot) == first_is_v6);
    let (mut like_first, mut others) = (like_first.into_iter(), others.into_iter());
    let mut order = VecDeque::new();
    loop {
        let pair = [like_first.next(), others.next()];
        if pair.iter().all(Option::is_none) {
            return order;
        }
        order.extend(pair.into_iter().flatten());
    }
}

/// Returns the delay between two attempts, so that the last of them has as long as the others.
fn stagger(limit: Option<Duration>, attempts: usize) -> Duration {
    let attempts = u32::try_from(attempts).unwrap_or(u32::MAX).max(1);
    match limit {
        Some(limit) => (limit / attempts).clamp(LEAST_STAGGER, STAGGER),
        None => STAGGER,
    }
}

/// Returns the first success, or every failure in the order in which they came.
///
/// All attempts are polled whenever the race is: a change of the runtime wakes nothing else.
async fn race<S, T, E, F: Future<Output = Result<T, E>>>(
    mut waiting: VecDeque<S>,
    stagger: Duration,
    attempt: impl Fn(S) -> F,
) -> Result<T, Vec<E>> {
    let mut running = Vec::new();
    let mut failures = Vec::new();
    loop {
        if let Some(next) = waiting.pop_front() {
            running.push(Box::pin(attempt(next)));
        }
        if running.is_empty() {
            return Err(failures);
        }
        let mut patience = (!waiting.is_empty()).then(|| Pause::new(stagger));
        let ended = poll_fn(|cx| {
            for n in 0..running.len() {
                if let Poll::Ready(ended) = running[n].as_mut().poll(cx) {
                    drop(running.remove(n));
                    return Poll::Ready(Some(ended));
                }
            }
            match &mut patience {
                Some(patience) => Pin::new(patience).poll(cx).map(|()| None),
                None => Poll::Pending,
            }
        });
        match ended.await {
            Some(Ok(made)) => return Ok(made),
            Some(Err(error)) => failures.push(error),
            // It has taken so long that the next one begins beside it.
            None => {}
        }
    }
}

/// Makes one failure of all. With one address, or the same error of each, it is the system's own.
fn all_failed(addr: &Address, failures: Vec<(Spot, Failed)>) -> Failed {
    let like = |a: &Failed, b: &Failed| {
        let known = a.error.raw_os_error().is_some() && a.address.is_none();
        known && a.operation == b.operation && a.error.raw_os_error() == b.error.raw_os_error()
    };
    let alike = failures.iter().all(|(_, failed)| like(failed, &failures[0].1));
    if failures.len() > 1 && !alike {
        let last = failures
            .last()
            .map(|(_, failed)| (failed.operation, failed.error.kind()));
        let (operation, kind) = last.unwrap_or(("connect", io::ErrorKind::Other));
        let each = failures
            .into_iter()
            .map(|(spot, failed)| (spot.into(), failed))
            .collect();
        return Failed::from((operation, io::Error::new(kind, Attempts(each)))).at(addr);
    }
    match failures.into_iter().next_back() {
        Some((_, failed)) => failed.at(addr),
        None => Failed::from(("getaddrinfo", io::ErrorKind::AddrNotAvailable.into())).at(addr),
    }
}

/// The failure of each address of a name.
#[derive(Debug)]
struct Attempts(Vec<(Address, Failed)>);

impl fmt::Display for Attempts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, (addr, failed)) in self.0.iter().enumerate() {
            let separator = if n == 0 { "" } else { "; " };
            write!(f, "{separator}{addr}: {}", failed.error)?;
        }
        Ok(())
    }
}

impl std::error::Error for Attempts {}

async fn connect_to(spot: &Spot, sources: &[Spot], options: &Options) -> Result<SocketStream, Failed> {
    match spot {
        Spot::Ip(addr) => {
            let socket = tcp_socket(*addr, options)?;
            if let Some(source) = source(sources, *addr) {
                let bound = socket.bind(&source.into());
                bound.map_err(|e| Failed::from(("bind", e)).at(&source.into()))?;
            }
            let stream = tcp_connect(socket, *addr).await.map_err(|e| ("connect", e))?;
            stream.set_nodelay(options.nodelay).map_err(|e| ("setsockopt", e))?;
            Ok(stream.into())
        }
        #[cfg(unix)]
        Spot::Unix(path) => unix_connect(path, sources, options).await,
        #[cfg(not(unix))]
        Spot::Unix(_) => super::make::no_unix(),
    }
}

/// Connects in the runtime that polls: Tokio's own future would stay with the one that polled it first.
async fn tcp_connect(socket: socket2::Socket, addr: SocketAddr) -> io::Result<TcpStream> {
    match socket.connect(&addr.into()) {
        Err(error) if !is_under_way(&error) => return Err(error),
        _ => {}
    }
    let mut stream = TcpStream::from_std(socket.into())?;
    let mut home = Home::here();
    let ended = poll_fn(|cx| {
        let poll = |stream: &mut TcpStream| stream.poll_write_ready(cx);
        poll_here(&mut home, &mut stream, poll, |stream| {
            *stream = stream.again()?;
            Ok(())
        })
    });
    ended.await?;
    match stream.take_error()? {
        Some(error) => Err(error),
        None => Ok(stream),
    }
}

fn is_under_way(error: &io::Error) -> bool {
    #[cfg(unix)]
    let under_way = rustix::io::Errno::from_io_error(error) == Some(rustix::io::Errno::INPROGRESS);
    #[cfg(not(unix))]
    let under_way = error.kind() == io::ErrorKind::WouldBlock;
    under_way
}

/// Connects to a UNIX listener, again and again while its backlog is full, within the connect timeout.
///
/// Such a listener refuses at once, and the system does not report when there is room.
#[cfg(unix)]
async fn unix_connect(path: &std::path::Path, sources: &[Spot], options: &Options) -> Result<SocketStream, Failed> {
    use socket2::{Domain, SockAddr, Socket, Type};
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None).map_err(|e| ("socket", e))?;
    socket.set_nonblocking(true).map_err(|e| ("socket", e))?;
    if let Some(source) = super::make::source_path(sources) {
        let bound = SockAddr::unix(source).and_then(|name| socket.bind(&name));
        bound.map_err(|e| Failed::from(("bind", e)).at(&source.into()))?;
    }
    let name = SockAddr::unix(path).map_err(|e| ("connect", e))?;
    let give_up = Instant::now().checked_add(options.connect_timeout.unwrap_or(PATIENCE));
    let mut wait = Duration::from_millis(2);
    while let Err(error) = socket.connect(&name) {
        if error.kind() == io::ErrorKind::Interrupted {
            continue;
        }
        if error.kind() != io::ErrorKind::WouldBlock || give_up.is_some_and(|at| Instant::now() >= at) {
            return Err(("connect", error).into());
        }
        Pause::new(wait).await;
        wait = (wait * 2).min(Duration::from_millis(50));
    }
    let stream = std::os::unix::net::UnixStream::from(std::os::fd::OwnedFd::from(socket));
    let stream = tokio::net::UnixStream::from_std(stream).map_err(|e| ("socket", e))?;
    Ok(stream.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::rc::Rc;

    fn spots(texts: &[&str]) -> Vec<Spot> {
        texts.iter().map(|text| Spot::Ip(text.parse().unwrap())).collect()
    }

    #[test]
    fn families_take_turns_and_keep_the_resolvers_order() {
        let found = spots(&["[::1]:1", "[::2]:1", "[::3]:1", "1.0.0.1:1", "1.0.0.2:1"]);
        let order = spots(&["[::1]:1", "1.0.0.1:1", "[::2]:1", "1.0.0.2:1", "[::3]:1"]);
        assert_eq!(Vec::from(interleaved(found)), order);
        let found = spots(&["1.0.0.1:1", "1.0.0.2:1", "[::1]:1"]);
        let order = spots(&["1.0.0.1:1", "[::1]:1", "1.0.0.2:1"]);
        assert_eq!(Vec::from(interleaved(found)), order);
    }

    #[test]
    fn the_last_address_has_its_turn_within_the_limit() {
        assert_eq!(stagger(None, 100), STAGGER);
        for limit in [50, 1000, 3000, 100_000].map(Duration::from_millis) {
            for attempts in [1, 2, 7, 100_usize] {
                let wait = stagger(Some(limit), attempts);
                assert!(wait <= STAGGER && wait >= LEAST_STAGGER);
                let last = wait * (attempts as u32 - 1);
                assert!(last < limit || wait == LEAST_STAGGER, "{attempts} within {limit:?}");
            }
        }
        assert_eq!(stagger(Some(Duration::MAX), 3), STAGGER);
        assert_eq!(stagger(Some(Duration::ZERO), 3), LEAST_STAGGER);
    }

    /// A simulated attempt: after so many milliseconds it succeeds or fails, or it never ends.
    type Attempt = Option<(u64, Result<(), ()>)>;

    /// When each attempt began, and the result with its time.
    async fn raced(attempts: &[Attempt]) -> (Vec<u64>, Result<usize, usize>, u64) {
        let begin = Instant::now();
        let now = move || u64::try_from(begin.elapsed().as_millis()).unwrap();
        let began = Rc::new(RefCell::new(Vec::new()));
        let log = &began;
        let attempt = |n: usize| async move {
            log.borrow_mut().push(now());
            match attempts[n] {
                Some((after, result)) => {
                    tokio::time::sleep(Duration::from_millis(after)).await;
                    result.map(|()| n).map_err(|()| n)
                }
                None => std::future::pending().await,
            }
        };
        let result = race((0..attempts.len()).collect(), STAGGER, attempt).await;
        let began = began.borrow().clone();
        (began, result.map_err(|failures| failures.len()), now())
    }

    /// The pause before the second attempt began in a runtime that is gone.
    #[test]
    fn a_race_goes_on_in_another_runtime() {
        let runtime = || {
            let mut builder = tokio::runtime::Builder::new_current_thread();
            builder.enable_all().build().unwrap()
        };
        let attempt = |n: usize| async move {
            match n {
                0 => std::future::pending().await,
                n => Ok::<_, ()>(n),
            }
        };
        let mut racing = Box::pin(race((0..2).collect(), STAGGER, attempt));
        let first = runtime();
        let early = first.block_on(async { tokio::time::timeout(Duration::from_millis(5), &mut racing).await });
        assert!(early.is_err());
        drop(first);
        let ended = runtime().block_on(async { tokio::time::timeout(Duration::from_secs(20), racing).await });
        assert_eq!(ended, Ok(Ok(1)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_address_keeps_nobody_waiting_and_a_failure_calls_the_next_at_once() {
        let silent = None;
        let (began, result, at) = raced(&[silent, silent, Some((30, Ok(())))]).await;
        assert_eq!((began, result, at), (vec![0, 250, 500], Ok(2), 530));
        let (began, result, at) = raced(&[Some((10, Err(()))), Some((400, Ok(()))), silent]).await;
        assert_eq!((began, result, at), (vec![0, 10, 260], Ok(1), 410));
        let (began, result, at) = raced(&[Some((10, Err(()))), Some((20, Err(())))]).await;
        assert_eq!((began, result, at), (vec![0, 10], Err(2), 30));
        // A slow first attempt still wins, if it is faster than the later ones.
        let (_, result, at) = raced(&[Some((300, Ok(()))), silent]).await;
        assert_eq!((result, at), (Ok(0), 300));
    }
}
