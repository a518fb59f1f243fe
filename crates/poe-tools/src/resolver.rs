//! Looking up names (POE::Component::Resolver, POE::Component::Client::DNS).
//!
//! The component is a job queue: of calls of the system's resolver on threads, or of queries as futures.

use crate::job_queue::{JobError, JobQueue, JobQueueBuilder};
use poe::event::Posts;
use poe::extend::{Caller, Start};
use poe::{Error, Kernel, KernelRef, SessionId, TaskId};
use std::fmt;
use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::time::Duration;

/// Looks up host names without blocking the kernel.
///
/// [`system`](Self::system) asks as every program of the system does: `/etc/hosts`, name servers, whatever it is configured for, with `getaddrinfo` on
/// threads of the kernel. With the feature `dns`, `dns` and `name_servers` ask name servers themselves, with a cache, and for records of every type.
///
/// ```
/// use poe::{Event, Kernel, Session, event::START};
/// use poe_tools::{ResolveError, Resolver};
/// use std::net::IpAddr;
/// const FOUND: Event<Result<Vec<IpAddr>, ResolveError>> = Event::new("found");
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), poe::Error> {
/// let kernel = Kernel::new();
/// let resolver = Resolver::system().start(&kernel)?;
/// Session::builder(())
///     .on(START, move |cx, ()| -> poe::HandlerResult {
///         resolver.lookup(cx, "127.0.0.1", FOUND)?;
///         Ok(())
///     })
///     .on(FOUND, |_, found| assert_eq!(found.unwrap(), [IpAddr::from([127, 0, 0, 1])]))
///     .create(&kernel)?;
/// kernel.run().await
/// # }
/// ```
#[doc(alias = "POE::Component::Resolver")]
#[doc(alias = "POE::Component::Client::DNS")]
#[derive(Clone)]
pub struct Resolver {
    queue: JobQueue<Ask, Result<Found, ResolveErrorKind>>,
    #[cfg(feature = "dns")]
    has_records: bool,
}

/// What is looked up.
#[derive(Clone, Debug)]
struct Ask {
    name: String,
    #[cfg(feature = "dns")]
    record: Option<hickory_resolver::proto::rr::RecordType>,
}

enum Found {
    Addresses(Vec<IpAddr>),
    #[cfg(feature = "dns")]
    Records(Vec<DnsRecord>),
}

/// A record of the domain name system.
#[cfg(feature = "dns")]
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DnsRecord {
    /// The name that has it, which is another one than was asked for if that is an alias.
    pub name: String,
    /// Its type, such as `MX`.
    pub record_type: String,
    /// How long it may be kept.
    pub ttl: Duration,
    /// Its data as in a zone file, such as `10 mail.example.com.`
    pub data: String,
}

impl Resolver {
    /// Starts building one that asks the system.
    pub fn system() -> ResolverBuilder {
        ResolverBuilder::new(Backend::System)
    }

    /// Starts building one that asks the name servers of the system's configuration (`/etc/resolv.conf`), after `/etc/hosts`.
    ///
    /// It needs the Tokio runtime of the kernel, in which it reads replies.
    #[cfg(feature = "dns")]
    pub fn dns() -> ResolverBuilder {
        ResolverBuilder::new(Backend::Dns(None))
    }

    /// Starts building one that asks these name servers.
    #[cfg(feature = "dns")]
    #[doc(alias = "Nameservers")]
    pub fn name_servers(servers: impl IntoIterator<Item = std::net::SocketAddr>) -> ResolverBuilder {
        ResolverBuilder::new(Backend::Dns(Some(servers.into_iter().collect())))
    }

    /// Looks up the addresses of a host. They come as the event `found` to the running session, which is kept alive until then.
    ///
    /// # Errors
    /// Too many look-ups wait; the component was shut down.
    #[track_caller]
    #[doc(alias = "resolve")]
    pub fn lookup(
        &self,
        cx: &KernelRef<'_>,
        host: &str,
        found: impl Posts<Result<Vec<IpAddr>, ResolveError>>,
    ) -> Result<TaskId, ResolveError> {
        let ask = Ask {
            name: host.to_owned(),
            #[cfg(feature = "dns")]
            record: None,
        };
        self.enqueue(
            cx,
            ask,
            |found| match found {
                Found::Addresses(addresses) => Some(addresses),
                #[cfg(feature = "dns")]
                Found::Records(_) => None,
            },
            found,
        )
    }

    /// Looks up records of a type, such as `MX` or `TXT`. They come as the event `found` to the running session.
    ///
    /// # Errors
    /// There is no such type, or the system is asked, which has addresses alone; and as for [`lookup`](Self::lookup).
    #[cfg(feature = "dns")]
    #[track_caller]
    pub fn query(
        &self,
        cx: &KernelRef<'_>,
        name: &str,
        record_type: &str,
        found: impl Posts<Result<Vec<DnsRecord>, ResolveError>>,
    ) -> Result<TaskId, ResolveError> {
        let wanted = if self.has_records {
            record_type.parse().ok()
        } else {
            None
        };
        if wanted.is_none() {
            let kind = ResolveErrorKind::NoSuchType(record_type.to_owned());
            return Err(ResolveError::new(name, kind));
        }
        let ask = Ask {
            name: name.to_owned(),
            record: wanted,
        };
        self.enqueue(
            cx,
            ask,
            |found| match found {
                Found::Records(records) => Some(records),
                Found::Addresses(_) => None,
            },
            found,
        )
    }

    #[track_caller]
    fn enqueue<T: 'static>(
        &self,
        cx: &KernelRef<'_>,
        ask: Ask,
        of: impl FnOnce(Found) -> Option<T> + 'static,
        found: impl Posts<Result<T, ResolveError>>,
    ) -> Result<TaskId, ResolveError> {
        let name = ask.name.clone();
        let end = move |result: Result<Result<Found, ResolveErrorKind>, JobError>| {
            let result = result.unwrap_or_else(|error| Err(ResolveErrorKind::of_job(&error)));
            let result = result.and_then(|found| of(found).ok_or(ResolveErrorKind::NotFound));
            result.map_err(|kind| ResolveError::new(&name, kind))
        };
        let queued = self.queue.enqueue_as(cx, ask, end, found);
        queued.map_err(|refused| {
            let kind = match refused.is_full() {
                true => ResolveErrorKind::Full,
                false => ResolveErrorKind::Closed,
            };
            ResolveError::new(&refused.into_job().name, kind)
        })
    }

    /// Gives up what waits, lets what runs end, and ends; with an event ([`SHUTDOWN`](crate::SHUTDOWN)).
    #[track_caller]
    pub fn shutdown(&self, cx: &KernelRef<'_>) {
        self.queue.shutdown(cx);
    }

    /// Returns its session.
    #[must_use]
    pub fn session_id(&self) -> SessionId {
        self.queue.session_id()
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver")
            .field("session", &self.session_id())
            .field("waiting", &self.queue.waiting())
            .field("running", &self.queue.running())
            .finish()
    }
}

fn system(ask: Ask) -> Result<Found, ResolveErrorKind> {
    let found = (&*ask.name, 0).to_socket_addrs();
    let found = found.map_err(|error: io::Error| ResolveErrorKind::Failed(error.to_string()))?;
    let mut addresses = Vec::new();
    for address in found.map(|address| address.ip()) {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    match addresses.is_empty() {
        true => Err(ResolveErrorKind::NotFound),
        false => Ok(Found::Addresses(addresses)),
    }
}

#[cfg(feature = "dns")]
mod dns {
    use super::{Ask, DnsRecord, Found, ResolveErrorKind, ResolverBuilder};
    use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
    use hickory_resolver::net::NetError;
    use hickory_resolver::net::runtime::TokioRuntimeProvider;
    use hickory_resolver::{Resolver, TokioResolver};
    use std::net::{IpAddr, SocketAddr};
    use std::time::Duration;

    pub(super) fn resolver(
        servers: Option<Vec<SocketAddr>>,
        settings: &ResolverBuilder,
    ) -> Result<TokioResolver, NetError> {
        let mut builder = match servers {
            None => TokioResolver::builder_tokio()?,
            Some(servers) => {
                let server = |address: SocketAddr| {
                    let mut connections = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
                    connections
                        .iter_mut()
                        .for_each(|connection| connection.port = address.port());
                    NameServerConfig::new(address.ip(), true, connections)
                };
                let servers = servers.into_iter().map(server).collect();
                let config = ResolverConfig::from_parts(None, Vec::new(), servers);
                Resolver::builder_with_config(config, TokioRuntimeProvider::default())
            }
        };
        let options = builder.options_mut();
        options.cache_size = settings.cache;
        // The whole time is the job's.
        options.timeout = options.timeout.min(settings.timeout);
        builder.build()
    }

    pub(super) async fn ask(resolver: TokioResolver, ask: Ask) -> Result<Found, ResolveErrorKind> {
        match ask.record {
            None => {
                let found = resolver.lookup_ip(&*ask.name).await.map_err(kind)?;
                let addresses: Vec<IpAddr> = found.iter().collect();
                Ok(Found::Addresses(addresses))
            }
            Some(record) => {
                let found = resolver.lookup(&*ask.name, record).await.map_err(kind)?;
                let records = found.answers().iter().map(|record| DnsRecord {
                    name: record.name.to_string(),
                    record_type: record.record_type().to_string(),
                    ttl: Duration::from_secs(record.ttl.into()),
                    data: record.data.to_string(),
                });
                Ok(Found::Records(records.collect()))
            }
        }
    }

    fn kind(error: NetError) -> ResolveErrorKind {
        if error.is_nx_domain() || error.is_no_records_found() {
            return ResolveErrorKind::NotFound;
        }
        match error {
            NetError::Timeout => ResolveErrorKind::TimedOut,
            error => ResolveErrorKind::Failed(error.to_string()),
        }
    }
}

enum Backend {
    System,
    #[cfg(feature = "dns")]
    Dns(Option<Vec<std::net::SocketAddr>>),
}

/// Configures a [`Resolver`].
///
/// | setting | default |
/// |---|---|
/// | [`timeout`](Self::timeout) | 30 s |
/// | [`parallel`](Self::parallel) | 16 look-ups at a time |
/// | [`capacity`](Self::capacity) | 4096 that wait |
/// | `cache` (feature `dns`) | 1024 names |
/// | [`alias`](Self::alias) | one that is made of the session's number |
#[must_use = "nothing happens until `start` is called"]
pub struct ResolverBuilder {
    backend: Backend,
    alias: Option<String>,
    timeout: Duration,
    parallel: usize,
    capacity: usize,
    #[cfg(feature = "dns")]
    cache: u64,
}

impl ResolverBuilder {
    fn new(backend: Backend) -> Self {
        ResolverBuilder {
            backend,
            alias: None,
            timeout: Duration::from_secs(30),
            parallel: 16,
            capacity: 4096,
            #[cfg(feature = "dns")]
            cache: 1024,
        }
    }

    /// Sets the alias of its session.
    pub fn alias(mut self, alias: impl Into<String>) -> Self {
        self.alias = Some(alias.into());
        self
    }

    /// Sets how long a look-up may take, from its turn on.
    ///
    /// The system's resolver cannot be interrupted: its thread is busy until that gives up.
    #[doc(alias = "Timeout")]
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = limit;
        self
    }

    /// Sets how many look-ups run at a time, at least one.
    #[doc(alias = "max_resolvers")]
    pub fn parallel(mut self, lookups: usize) -> Self {
        self.parallel = lookups;
        self
    }

    /// Sets how many look-ups may wait for their turn. More are refused.
    pub fn capacity(mut self, lookups: usize) -> Self {
        self.capacity = lookups;
        self
    }

    /// Sets how many names are kept for as long as their records allow. The system's resolver has its own cache.
    #[cfg(feature = "dns")]
    pub fn cache(mut self, names: u64) -> Self {
        self.cache = names;
        self
    }

    /// Starts it, below the kernel.
    ///
    /// # Errors
    /// The system's configuration cannot be read; the alias is taken; a handler is running (use
    /// [`cx.start(builder)`](poe::Context::start)); the kernel is shutting down.
    #[track_caller]
    pub fn start(self, kernel: &Kernel) -> Result<Resolver, Error> {
        self.start_by(&mut { kernel })
    }
}

impl Start for ResolverBuilder {
    type Started = Resolver;

    #[track_caller]
    #[cfg_attr(not(feature = "dns"), allow(unused_mut))]
    fn start_by(mut self, caller: &mut impl Caller) -> Result<Resolver, Error> {
        #[cfg(feature = "dns")]
        let has_records = matches!(self.backend, Backend::Dns(_));
        let queue: JobQueueBuilder<Ask, Result<Found, ResolveErrorKind>> =
            match std::mem::replace(&mut self.backend, Backend::System) {
                Backend::System => JobQueue::blocking(system),
                #[cfg(feature = "dns")]
                Backend::Dns(servers) => {
                    let resolver = dns::resolver(servers, &self);
                    let resolver = resolver
                        .map_err(|error| Error::from_io("configure a resolver", io::Error::other(error.to_string())))?;
                    JobQueue::futures(move |ask| dns::ask(resolver.clone(), ask))
                }
            };
        let mut queue = queue
            .workers(self.parallel)
            .capacity(self.capacity)
            .time_limit(self.timeout);
        if let Some(alias) = self.alias {
            queue = queue.alias(alias);
        }
        Ok(Resolver {
            queue: caller.start(queue)?,
            #[cfg(feature = "dns")]
            has_records,
        })
    }
}

impl fmt::Debug for ResolverBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResolverBuilder")
            .field("alias", &self.alias)
            .field("timeout", &self.timeout)
            .field("parallel", &self.parallel)
            .finish_non_exhaustive()
    }
}

/// Why a name was not found, or not looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolveError {
    name: String,
    kind: ResolveErrorKind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum ResolveErrorKind {
    NotFound,
    TimedOut,
    Failed(String),
    Full,
    Closed,
    #[cfg(feature = "dns")]
    NoSuchType(String),
}

impl ResolveErrorKind {
    fn of_job(error: &JobError) -> Self {
        match error.is_timed_out() {
            true => ResolveErrorKind::TimedOut,
            false => ResolveErrorKind::Failed(error.to_string()),
        }
    }
}

impl ResolveError {
    fn new(name: &str, kind: ResolveErrorKind) -> Self {
        let name = name.to_owned();
        ResolveError { name, kind }
    }

    /// Returns the name that was looked up.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// There is no such name, or no such record. The system's resolver does not tell this from other failures.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self.kind, ResolveErrorKind::NotFound)
    }

    /// It took longer than the limit.
    #[must_use]
    pub fn is_timed_out(&self) -> bool {
        matches!(self.kind, ResolveErrorKind::TimedOut)
    }

    /// As many look-ups wait as [`ResolverBuilder::capacity`] allows.
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(self.kind, ResolveErrorKind::Full)
    }
}

impl fmt::Display for ResolveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot look up `{}`: ", self.name)?;
        match &self.kind {
            ResolveErrorKind::NotFound => f.write_str("there is no such name or record"),
            ResolveErrorKind::TimedOut => f.write_str("no reply in time"),
            ResolveErrorKind::Failed(why) => f.write_str(why),
            ResolveErrorKind::Full => {
                f.write_str("too many look-ups wait already (`ResolverBuilder::capacity`): try again later")
            }
            ResolveErrorKind::Closed => f.write_str("this Resolver was shut down"),
            #[cfg(feature = "dns")]
            ResolveErrorKind::NoSuchType(name) => {
                write!(
                    f,
                    "there is no record type `{name}`, or none but addresses can be asked of the system"
                )
            }
        }
    }
}

impl std::error::Error for ResolveError {}
