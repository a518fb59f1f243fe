//! A running inspector, and how one is started.

use crate::action::Actions;
use crate::door::Door;
use crate::error::InspectorError;
use crate::listen::{Addresses, Endpoint};
use crate::server;
use crate::settings::Settings;
use poe::component::KernelPool;
use poe::{Event, Kernel};
use serde::de::DeserializeOwned;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// A running inspector: `Send`, cheap to clone, and not needed for the inspector to go on.
///
/// The inspector ends after [`shutdown`](Self::shutdown), or when all its kernels are gone and no value of this type is left.
pub struct Inspector {
    door: Arc<Door>,
    addresses: Addresses,
}

impl Inspector {
    /// Begins an inspector that serves the page, JSON and metrics at an address: `127.0.0.1:7669`, or `unix:/path`.
    pub fn bind(endpoint: impl Into<Endpoint>) -> InspectorBuilder {
        InspectorBuilder::new(Some(endpoint.into()))
    }

    /// Begins an inspector without HTTP: set a [`console`](InspectorBuilder::console).
    pub fn builder() -> InspectorBuilder {
        InspectorBuilder::new(None)
    }

    pub(crate) fn new(door: Arc<Door>) -> Self {
        door.handles.fetch_add(1, Ordering::AcqRel);
        Inspector {
            door,
            addresses: Addresses::default(),
        }
    }

    pub(crate) fn at(mut self, addresses: Addresses) -> Self {
        self.addresses = addresses;
        self
    }

    /// Shows another kernel, under that name. Call it on the kernel's thread; the inspector may be sent there.
    pub fn watch(&self, name: &str, kernel: &Kernel) {
        self.door.add(name.to_owned(), kernel);
    }

    /// Shows the kernels of a pool, as `name 0`, `name 1`, ….
    ///
    /// # Errors
    /// A kernel of the pool has ended.
    pub async fn watch_pool(&self, name: &str, pool: &KernelPool) -> Result<(), InspectorError> {
        let (inspector, name) = (self.clone(), name.to_owned());
        pool.each(move |kernel, index| {
            inspector.watch(&format!("{name} {index}"), &kernel);
            async { Ok(()) }
        })
        .await?;
        Ok(())
    }

    /// Returns the address of the page; `None` on a UNIX socket.
    #[must_use]
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.addresses.web
    }

    /// Returns the address of the text console; `None` on a UNIX socket, or without a console.
    #[must_use]
    pub fn console_addr(&self) -> Option<SocketAddr> {
        self.addresses.console
    }

    /// Returns the page's URL; `None` on a UNIX socket.
    #[must_use]
    pub fn url(&self) -> Option<String> {
        self.addresses.web.map(|address| format!("http://{address}/"))
    }

    /// Ends the inspector, with all its connections.
    pub fn shutdown(self) {
        self.door.shut();
    }
}

impl Clone for Inspector {
    fn clone(&self) -> Self {
        Inspector::new(self.door.clone()).at(self.addresses)
    }
}

impl Drop for Inspector {
    fn drop(&mut self) {
        if self.door.handles.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.door.changed.notify_one();
        }
    }
}

impl fmt::Debug for Inspector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inspector")
            .field("kernels", &self.door.entries().len())
            .field("addresses", &self.addresses)
            .finish_non_exhaustive()
    }
}

/// The settings of an [`Inspector`]; [`Inspector::bind`] makes one.
///
/// | setting | default |
/// |---|---|
/// | [`console`](Self::console) | no text console |
/// | [`token`](Self::token) | none, so only loopback addresses and UNIX sockets are allowed, and no actions over HTTP |
/// | [`allow_host`](Self::allow_host) | `localhost` and IP addresses |
/// | [`allow`](Self::allow), [`allow_signals`](Self::allow_signals), [`allow_stop`](Self::allow_stop) | nothing: read-only |
/// | [`rate`](Self::rate) | 2 000 recorded events per second and kernel |
/// | [`slow`](Self::slow) | handlers above 5 ms are listed as slow |
/// | [`connections`](Self::connections) | 64 |
/// | [`streams`](Self::streams) | 16 |
#[derive(Clone, Debug)]
#[must_use = "call `start`"]
pub struct InspectorBuilder {
    pub(crate) settings: Settings,
}

impl InspectorBuilder {
    pub(crate) fn new(web: Option<Endpoint>) -> Self {
        InspectorBuilder {
            settings: Settings {
                web,
                console: None,
                token: None,
                hosts: Vec::new(),
                actions: Actions::default(),
                rate: 2000,
                slow: Duration::from_millis(5),
                connections: 64,
                streams: 16,
                patience: Duration::from_secs(10),
            },
        }
    }

    /// Serves the text console there, for `nc` and ssh: best on a UNIX socket, `unix:/run/app/inspector.sock`.
    pub fn console(mut self, endpoint: impl Into<Endpoint>) -> Self {
        self.settings.console = Some(endpoint.into());
        self
    }

    /// Sets the token that every request over TCP must bring: `Authorization: Bearer …`, or `auth …` as the console's first line.
    ///
    /// It is compared in constant time. Over UNIX sockets no token is asked for, because only this user can connect.
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.settings.token = Some(token.into()).filter(|token| !token.is_empty());
        self
    }

    /// Accepts a further host name in requests, such as that of a reverse proxy.
    ///
    /// Other names are refused, because a page elsewhere could let its own name lead here (DNS rebinding).
    pub fn allow_host(mut self, name: impl Into<String>) -> Self {
        self.settings.hosts.push(name.into().to_ascii_lowercase());
        self
    }

    /// Allows posting this event, with an argument in JSON. Over TCP it needs a [`token`](Self::token) as well.
    pub fn allow<A: DeserializeOwned + Send + 'static, R: 'static>(mut self, key: Event<A, R>) -> Self {
        self.settings.actions.allow(key);
        self
    }

    /// Allows sending signals to sessions. Over TCP it needs a [`token`](Self::token) as well.
    pub fn allow_signals(mut self) -> Self {
        self.settings.actions.signals = true;
        self
    }

    /// Allows stopping sessions with the signal KILL. Over TCP it needs a [`token`](Self::token) as well.
    pub fn allow_stop(mut self) -> Self {
        self.settings.actions.stop = true;
        self
    }

    /// Sets how many events per second are recorded of a kernel while somebody looks. Above that it is a sample, and says so.
    pub fn rate(mut self, events: u32) -> Self {
        self.settings.rate = events.max(1);
        self
    }

    /// Sets from when on a handler is listed as slow.
    pub fn slow(mut self, limit: Duration) -> Self {
        self.settings.slow = limit;
        self
    }

    /// Sets how many connections there may be at a time. Others are closed at once.
    pub fn connections(mut self, most: usize) -> Self {
        self.settings.connections = most.max(1);
        self
    }

    /// Sets how many event streams there may be at a time. Others get the status 503.
    pub fn streams(mut self, most: usize) -> Self {
        self.settings.streams = most;
        self
    }

    /// Sets how long a peer may take to send a request, and to read a reply: 10 s by default.
    pub fn patience(mut self, limit: Duration) -> Self {
        self.settings.patience = limit;
        self
    }

    /// Starts the inspector for a kernel, on a thread of its own.
    ///
    /// # Errors
    /// An address cannot be bound, or other machines can reach it and there is no token.
    pub async fn start(self, kernel: &Kernel) -> Result<Inspector, InspectorError> {
        let inspector = self.open().await?;
        inspector.watch(&kernel.name(), kernel);
        Ok(inspector)
    }

    /// Starts the inspector for the kernels of a pool, which are named `worker 0`, `worker 1`, ….
    ///
    /// # Errors
    /// As [`start`](Self::start); or a kernel of the pool has ended.
    pub async fn start_pool(self, pool: &KernelPool) -> Result<Inspector, InspectorError> {
        let inspector = self.open().await?;
        inspector.watch_pool("worker", pool).await?;
        Ok(inspector)
    }

    /// Starts the inspector without kernels: [`Inspector::watch`] adds them.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn open(self) -> Result<Inspector, InspectorError> {
        let door = Arc::new(Door::new(self.settings.rate));
        let (ready, opened) = tokio::sync::oneshot::channel();
        let its_door = door.clone();
        let inspector = Inspector::new(door);
        std::thread::Builder::new()
            .name("poe-inspector".to_owned())
            .spawn(move || server::run(self.settings, &its_door, ready))
            .map_err(InspectorError::thread)?;
        let addresses = opened.await.map_err(|_| InspectorError::ended())??;
        Ok(inspector.at(addresses))
    }
}
