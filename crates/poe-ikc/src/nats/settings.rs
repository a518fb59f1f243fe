//! How to connect to a server.

use super::client::Dialer;
use super::grid::Grid;
use super::intake::{Source, Take};
use super::lease;
use super::outlet::Wire;
use super::presence::{self, Bucket};
use super::session::{Durable, Joined};
use super::store::{Publisher, Store};
use super::subjects::{Subjects, token};
use crate::error::{IkcError, IkcErrorKind};
use crate::hub::Hub;
use async_nats::{ConnectOptions, ServerAddr};
use std::fmt;
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::mpsc;

/// A connection to a NATS server, for [`Ikc::join`](crate::Ikc::join).
///
/// | setting | default |
/// |---|---|
/// | [`prefix`](Self::prefix) | `poe`: kernels with the same prefix find one another |
/// | [`presence`](Self::presence) | 10 s until a kernel that is not heard of is gone |
/// | [`durable`](Self::durable) | no durable posts |
/// | [`take`](Self::take) | this kernel takes no durable posts |
/// | [`leases`](Self::leases) | no unique names |
/// | [`options`](Self::options) | the client's defaults: no credentials |
/// | [`insecure`](Self::insecure) | only addresses of this machine, or `tls://` |
#[must_use = "give it to `Ikc::join`"]
pub struct IkcNats {
    servers: Vec<String>,
    options: ConnectOptions,
    insecure: bool,
    prefix: String,
    presence: Duration,
    store: Option<Store>,
    takes: Vec<(String, Take)>,
    leases: Option<Duration>,
}

impl IkcNats {
    /// Connects to a server: `nats://127.0.0.1:4222`, `tls://nats.example.org`, or an address without a scheme.
    pub fn connect(server: impl Into<String>) -> Self {
        IkcNats {
            servers: vec![server.into()],
            options: ConnectOptions::new(),
            insecure: false,
            prefix: "poe".to_owned(),
            presence: Duration::from_secs(10),
            store: None,
            takes: Vec::new(),
            leases: None,
        }
    }

    /// Adds another server of the same cluster, to be used when one cannot be reached.
    pub fn server(mut self, server: impl Into<String>) -> Self {
        self.servers.push(server.into());
        self
    }

    /// Sets the client's options: credentials, certificates, waits between attempts to connect.
    ///
    /// The name, the callback for events and the check of subjects are set by this crate.
    pub fn options(mut self, options: ConnectOptions) -> Self {
        self.options = options;
        self
    }

    /// Sets the first part of all subjects and the names of buckets and streams: letters, digits, `_` and `-`.
    ///
    /// Kernels with different prefixes do not see one another.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Sets how long a kernel is taken to be there after it was heard of. All kernels with one prefix need the same value.
    ///
    /// At least a second. A kernel is heard of three times in that time, and each hears all others.
    pub fn presence(mut self, limit: Duration) -> Self {
        self.presence = limit.max(Duration::from_secs(1));
        self
    }

    /// Sets up durable posts: [`Ikc::durable`](crate::Ikc::durable). The server makes a stream for them, and one for dead letters.
    pub fn durable(mut self, store: Store) -> Self {
        self.store = Some(store);
        self
    }

    /// Takes the durable posts to a published session: those to any kernel and those to this one's name.
    ///
    /// It implies [`durable`](Self::durable), with the defaults if that is not called. All kernels that take a session's posts need the
    /// same settings.
    pub fn take(mut self, session: impl Into<String>, take: Take) -> Self {
        self.store.get_or_insert_default();
        self.takes.push((session.into(), take));
        self
    }

    /// Sets up unique names ([`Ikc::claim`](crate::Ikc::claim)): a holder that is not heard of for this long loses its name.
    ///
    /// At least a second. All kernels with one prefix need the same value.
    pub fn leases(mut self, limit: Duration) -> Self {
        self.leases = Some(limit.max(Duration::from_secs(1)));
        self
    }

    /// Allows a server on another machine without TLS. Every machine on the way can read and change everything.
    pub fn insecure(mut self) -> Self {
        self.insecure = true;
        self
    }

    /// Connects, and makes what the server does not have yet.
    pub(super) async fn open(self, hub: &Rc<Hub>) -> Result<Joined, IkcError> {
        let what = format!("join kernels on the NATS server {}", self.servers.join(", "));
        let nats = |error: async_nats::Error| IkcError::new(&*what, IkcErrorKind::Nats(error));
        if hub.grid.borrow().is_some() {
            return Err(nats(super::JOINED.into()));
        }
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        if self.prefix.is_empty() || !self.prefix.chars().all(is_plain) {
            return Err(nats(
                format!("`{}` is not a prefix: letters, digits, `_` and `-`", self.prefix).into(),
            ));
        }
        let mut servers = Vec::new();
        for server in &self.servers {
            let server: ServerAddr = server.parse().map_err(|error: std::io::Error| nats(error.into()))?;
            if !self.insecure && !server.tls_required() {
                let addresses = tokio::net::lookup_host((server.host(), server.port()));
                let mut addresses = addresses.await.map_err(IkcError::io(&*what))?;
                if !addresses.all(|address| address.ip().to_canonical().is_loopback()) {
                    return Err(IkcError::new(&*what, IkcErrorKind::Insecure));
                }
            }
            servers.push(server);
        }
        let (events, happened) = mpsc::channel(256);
        let dialer = Dialer {
            servers: servers.clone(),
            options: self.options.clone().name(&hub.id).skip_subject_validation(true),
        };
        let mut options = self.options;
        if !self.insecure {
            // A server may tell of others, which nobody has looked at.
            options = options.ignore_discovered_servers();
        }
        let options = options
            .name(&hub.id)
            .skip_subject_validation(true)
            .event_callback(move |event| {
                // Too many events are a storm of the same one.
                let _ = events.try_send(event);
                std::future::ready(())
            });
        let client = options
            .connect(&servers[..])
            .await
            .map_err(|error| nats(error.into()))?;
        let context = async_nats::jetstream::new(client.clone());
        let mut durable = None;
        let mut publisher = None;
        if let Some(store) = &self.store {
            store.open(&context, &self.prefix).await.map_err(nats)?;
            let (sender, settled) = mpsc::unbounded_channel();
            publisher = Some(Rc::new(Publisher::new(
                &self.prefix,
                &hub.id,
                store.max_unstored,
                sender,
            )));
            let sources = self.takes.iter().flat_map(|(session, take)| {
                [
                    Source::any(&self.prefix, session, take),
                    Source::own(&self.prefix, &hub.name, session, take),
                ]
            });
            durable = Some(Durable {
                context: context.clone(),
                dialer,
                settled,
                sources: sources.collect(),
            });
        }
        let mut leases = None;
        let mut lease_setup = None;
        if let Some(max_age) = self.leases {
            let bucket = Bucket {
                context: context.clone(),
                name: format!("{}-leases", self.prefix),
                max_age,
            };
            let (opened, setup) = lease::open(bucket, &token(&hub.id)).await?;
            leases = Some(Rc::new(opened));
            lease_setup = Some(setup);
        }
        let bucket = Bucket {
            context,
            name: format!("{}-kernels", self.prefix),
            max_age: self.presence,
        };
        let kernels = bucket.open().await?;
        let subjects = Subjects::new(&self.prefix, &hub.id);
        let inbox = client
            .subscribe(subjects.own())
            .await
            .map_err(|error| nats(error.into()))?;
        let watch = presence::watch(&kernels).await?;
        let wire = Rc::new(Wire::new(client, subjects));
        Ok(Joined {
            grid: Rc::new(Grid::new(hub, wire, self.presence, publisher, leases)),
            lease_setup,
            durable,
            bucket,
            kernels,
            inbox,
            watch,
            happened,
        })
    }
}

impl fmt::Debug for IkcNats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IkcNats")
            .field("servers", &self.servers)
            .field("prefix", &self.prefix)
            .field("presence", &self.presence)
            .finish_non_exhaustive()
    }
}
