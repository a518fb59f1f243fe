//! The settings of a client, and its start.

use crate::dcc::Dcc;
use crate::filter::IrcFilter;
use crate::flood::Flood;
use crate::irc::{Irc, Plugin};
use crate::sasl::Sasl;
use crate::session;
use crate::settings::{ClientLimits, Settings};
use crate::text::Text;
use poe::component::{Backoff, TcpClient};
use poe::extend::{Caller, Start};
use poe::wheel::Address;
use poe::{Error, Kernel, OnFailure};
use std::fmt;
use std::time::Duration;

/// An IRC client (`POE::Component::IRC`): [`IrcClient::builder`] makes one.
#[doc(alias = "POE::Component::IRC")]
#[derive(Debug)]
pub struct IrcClient(());

impl IrcClient {
    /// Starts building a client with this nickname for the server at `address`.
    #[doc(alias = "spawn")]
    pub fn builder(nick: impl Into<Text>, address: impl Into<Address>) -> IrcBuilder {
        IrcBuilder::new(nick.into(), address.into())
    }
}

/// Settings of an IRC client.
///
/// | setting | default |
/// |---|---|
/// | [`server`](Self::server) | one address |
/// | [`user`](Self::user), [`realname`](Self::realname) | the nickname |
/// | [`other_nick`](Self::other_nick) | the nickname with a number |
/// | [`reclaim_nick`](Self::reclaim_nick) | every 30 s, while the client has another one |
/// | [`password`](Self::password), [`sasl`](Self::sasl) | none |
/// | `tls` (feature `tls`) | plain TCP |
/// | [`channel`](Self::channel) | none |
/// | [`capability`](Self::capability) | `account-notify`, `account-tag`, `away-notify`, `cap-notify`, `chghost`, `extended-join`, `message-tags`, `multi-prefix`, `server-time`, `userhost-in-names` |
/// | [`flood`](Self::flood) | RFC 1459's rule |
/// | [`backoff`](Self::backoff) | 5 s, doubled up to 5 min, for ever |
/// | [`ping_interval`](Self::ping_interval) | 2 min |
/// | [`register_timeout`](Self::register_timeout) | 1 min |
/// | [`ctcp_version`](Self::ctcp_version) | the name of this crate |
/// | [`limits`](Self::limits) | [`ClientLimits`] |
/// | [`dcc`](Self::dcc) | off |
/// | [`on_failure`](Self::on_failure) | as the kernel |
#[must_use = "a client connects only after `start`"]
pub struct IrcBuilder {
    settings: Settings,
    plaintext_passwords: bool,
    alias: Option<String>,
    on_failure: Option<OnFailure>,
    connect_timeout: Duration,
    plugins: Vec<(String, Box<dyn AddPlugin>)>,
    #[cfg(feature = "tls")]
    tls: Option<(poe::tls::Connector, String)>,
}

/// A plugin that is added when the client starts.
trait AddPlugin {
    fn add(self: Box<Self>, irc: &Irc, name: String);
}

impl<P: Plugin> AddPlugin for P {
    fn add(self: Box<Self>, irc: &Irc, name: String) {
        irc.plugin_add(name, *self);
    }
}

const CAPABILITIES: [&str; 10] = [
    "account-notify",
    "account-tag",
    "away-notify",
    "cap-notify",
    "chghost",
    "extended-join",
    "message-tags",
    "multi-prefix",
    "server-time",
    "userhost-in-names",
];

impl IrcBuilder {
    fn new(nick: Text, address: Address) -> Self {
        IrcBuilder {
            settings: Settings {
                servers: vec![address],
                user: nick.clone(),
                realname: nick.clone(),
                nick,
                other_nicks: Vec::new(),
                password: None,
                sasl: None,
                channels: Vec::new(),
                capabilities: CAPABILITIES.map(str::to_owned).to_vec(),
                flood: Some(Flood::default()),
                backoff: Some(
                    Backoff::new()
                        .first(Duration::from_secs(5))
                        .longest(Duration::from_secs(300)),
                ),
                reclaim: Some(Duration::from_secs(30)),
                ping: Duration::from_secs(120),
                register_limit: Duration::from_secs(60),
                version: Some(concat!("poe-irc ", env!("CARGO_PKG_VERSION")).into()),
                limits: ClientLimits::default(),
                dcc: None,
            },
            plaintext_passwords: false,
            alias: None,
            on_failure: None,
            connect_timeout: Duration::from_secs(30),
            plugins: Vec::new(),
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    /// Adds another server of the network. After a failure the next one is tried.
    pub fn server(mut self, address: impl Into<Address>) -> Self {
        self.settings.servers.push(address.into());
        self
    }

    /// Sets the user's name, the part before `@`.
    #[doc(alias = "username")]
    pub fn user(mut self, user: impl Into<Text>) -> Self {
        self.settings.user = user.into();
        self
    }

    /// Sets the real name, which WHOIS shows.
    #[doc(alias = "ircname")]
    pub fn realname(mut self, realname: impl Into<Text>) -> Self {
        self.settings.realname = realname.into();
        self
    }

    /// Adds a nickname to try when the first one is in use. After these the first one is tried with numbers.
    pub fn other_nick(mut self, nick: impl Into<Text>) -> Self {
        self.settings.other_nicks.push(nick.into());
        self
    }

    /// Sets how often to ask for the nickname that is wanted, while the client has another one; `None` for never.
    ///
    /// When the client sees that it is free it asks at once.
    #[doc(alias = "POE::Component::IRC::Plugin::NickReclaim")]
    pub fn reclaim_nick(mut self, interval: Option<Duration>) -> Self {
        self.settings.reclaim = interval;
        self
    }

    /// Sets the server's password (`PASS`). Needs TLS, or [`allow_plaintext_passwords`](Self::allow_plaintext_passwords).
    pub fn password(mut self, password: impl Into<Text>) -> Self {
        self.settings.password = Some(password.into());
        self
    }

    /// Authenticates while it registers. A server that does not offer it, or refuses, is left again.
    pub fn sasl(mut self, sasl: Sasl) -> Self {
        self.settings.sasl = Some(sasl);
        self
    }

    /// Sends passwords without TLS, so that everybody on the way can read them.
    pub fn allow_plaintext_passwords(mut self) -> Self {
        self.plaintext_passwords = true;
        self
    }

    /// Encrypts the connection. The server's certificate must be for `server`.
    ///
    /// For [`Sasl::external`] make the connector of a configuration with the client's certificate.
    #[cfg(feature = "tls")]
    #[doc(alias = "UseSSL")]
    pub fn tls(mut self, connector: poe::tls::Connector, server: impl Into<String>) -> Self {
        self.tls = Some((connector, server.into()));
        self
    }

    /// Adds a channel that is entered after each registration.
    #[doc(alias = "POE::Component::IRC::Plugin::AutoJoin")]
    pub fn channel(mut self, channel: impl Into<Text>) -> Self {
        self.settings.channels.push((channel.into(), None));
        self
    }

    /// Adds a channel with a key.
    pub fn channel_with_key(mut self, channel: impl Into<Text>, key: impl Into<Text>) -> Self {
        self.settings.channels.push((channel.into(), Some(key.into())));
        self
    }

    /// Requests another capability, such as `echo-message`, where the server offers it.
    pub fn capability(mut self, name: impl Into<String>) -> Self {
        self.settings.capabilities.push(name.into());
        self
    }

    /// Sets the flood control; `None` for a server that has none for this client.
    #[doc(alias = "Flood")]
    pub fn flood(mut self, flood: Option<Flood>) -> Self {
        self.settings.flood = flood;
        self
    }

    /// Sets the delays between attempts to connect; `None` ends the client when its connection ends.
    ///
    /// The delays are reset when the client has stayed registered for [`ping_interval`](Self::ping_interval).
    #[doc(alias = "POE::Component::IRC::Plugin::Connector")]
    pub fn backoff(mut self, backoff: Option<Backoff>) -> Self {
        self.settings.backoff = backoff;
        self
    }

    /// Sets after which silence the server is asked whether it is still there. After another such time the connection is given up.
    pub fn ping_interval(mut self, interval: Duration) -> Self {
        self.settings.ping = interval.max(Duration::from_secs(1));
        self
    }

    /// Sets how long the registration may take.
    pub fn register_timeout(mut self, limit: Duration) -> Self {
        self.settings.register_limit = limit;
        self
    }

    /// Sets how long connecting may take, including the lookup of the name; default 30 s.
    pub fn connect_timeout(mut self, limit: Duration) -> Self {
        self.connect_timeout = limit;
        self
    }

    /// Sets the reply to CTCP's `VERSION`; `None` for no automatic replies to `VERSION`, `PING` and `CLIENTINFO`.
    #[doc(alias = "POE::Component::IRC::Plugin::CTCP")]
    pub fn ctcp_version(mut self, version: Option<Text>) -> Self {
        self.settings.version = version;
        self
    }

    /// Sets the limits.
    pub fn limits(mut self, limits: ClientLimits) -> Self {
        self.settings.limits = limits;
        self
    }

    /// Allows direct connections between users: files and private conversations. Each is accepted, or offered, by your program.
    #[doc(alias = "POE::Component::IRC::Plugin::DCC")]
    pub fn dcc(mut self, dcc: Dcc) -> Self {
        self.settings.dcc = Some(dcc);
        self
    }

    /// Adds a plugin, which sees the client's first event.
    pub fn plugin(mut self, name: impl Into<String>, plugin: impl Plugin) -> Self {
        self.plugins.push((name.into(), Box::new(plugin)));
        self
    }

    /// Sets the alias of the client's session.
    pub fn alias(mut self, alias: impl Into<String>) -> Self {
        self.alias = Some(alias.into());
        self
    }

    /// Sets the policy for failures of the client's session, such as a panic of a plugin.
    pub fn on_failure(mut self, policy: OnFailure) -> Self {
        self.on_failure = Some(policy);
        self
    }

    /// Creates the client's session, below the kernel; it connects as soon as the kernel runs.
    ///
    /// # Errors
    /// A password without TLS; an alias that is taken; invalid limits.
    #[track_caller]
    pub fn start(self, kernel: &Kernel) -> Result<Irc, Error> {
        self.start_by(&mut { kernel })
    }

    fn is_secret(&self) -> bool {
        #[cfg(feature = "tls")]
        if self.tls.is_some() {
            return true;
        }
        self.plaintext_passwords
    }

    fn check(&self) -> Result<(), Error> {
        let settings = &self.settings;
        let has_password =
            settings.password.is_some() || settings.sasl.as_ref().is_some_and(|sasl| sasl.needs_secrecy());
        if has_password && !self.is_secret() {
            return Err(Error::invalid_setting(
                "an IRC password needs TLS: set `tls`, or `allow_plaintext_passwords`",
            ));
        }
        Ok(())
    }
}

impl Start for IrcBuilder {
    type Started = Irc;

    #[track_caller]
    fn start_by(self, caller: &mut impl Caller) -> Result<Irc, Error> {
        self.check()?;
        let limits = self.settings.limits.filter;
        let address = self.settings.servers[0].clone();
        let irc = Irc::new(self.settings);
        for (name, plugin) in self.plugins {
            plugin.add(&irc, name);
        }
        let builder = TcpClient::builder(address)
            .filter(move || IrcFilter::new().limits(limits))
            .heap(irc.clone())
            .connect_timeout(self.connect_timeout)
            .shutdown_on_error(false);
        let mut builder = session::with_callbacks(builder);
        #[cfg(feature = "tls")]
        if let Some((connector, name)) = self.tls {
            builder = builder.pre_connect(move |_, stream| connector.connect(&name, stream));
        }
        if let Some(alias) = self.alias {
            builder = builder.alias(alias);
        }
        if let Some(policy) = self.on_failure {
            builder = builder.on_failure(policy);
        }
        caller.start(builder)?;
        Ok(irc)
    }
}

impl fmt::Debug for IrcBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IrcBuilder")
            .field("nick", &self.settings.nick)
            .field("servers", &self.settings.servers)
            .field("sasl", &self.settings.sasl)
            .finish_non_exhaustive()
    }
}
