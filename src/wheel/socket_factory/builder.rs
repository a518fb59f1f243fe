//! The settings of a SocketFactory, and its start.

use super::task::{Begun, Role, begin, datagram};
use super::{Connection, Datagram, SocketFactory};
use crate::debug::debug_fields;
use crate::event::Posts;
use crate::kernel::KernelRef;
use crate::name::HeldName;
use crate::wheel::address::Address;
use crate::wheel::base::{Base, Tag, tag_setting};
use crate::wheel::error::SocketError;
use crate::wheel::socket::Domain;
use crate::wheel::socket::accept::AcceptState;
use crate::wheel::socket::make::Options;
use std::marker::PhantomData;
use std::panic::Location;
use std::time::Duration;

/// Configures a [`SocketFactory`] wheel. `T` is the argument of its success event: [`Connection`] or [`Datagram`].
///
/// | setting | default |
/// |---|---|
/// | [`success`](Self::success), [`failure`](Self::failure) | no event: set both |
/// | [`bind`](Self::bind) | any address and port (except for listeners) |
/// | [`domain`](Self::domain) | all of a name's addresses, in their order |
/// | [`reuse`](Self::reuse) | `SO_REUSEADDR` on, except for datagrams |
/// | [`backlog`](Self::backlog) | 4096, which the system cuts to its own limit |
/// | [`nodelay`](Self::nodelay) | `TCP_NODELAY` on |
#[must_use = "a wheel does nothing until `start` is called"]
pub struct SocketFactoryBuilder<T = Connection> {
    role: Role,
    options: Options,
    success: Option<HeldName>,
    failure: Option<HeldName>,
    tag: Tag,
    brings: PhantomData<fn(T)>,
}

impl<T: 'static> SocketFactoryBuilder<T> {
    pub(super) fn new(role: Role) -> Self {
        SocketFactoryBuilder {
            role,
            options: Options::default(),
            success: None,
            failure: None,
            tag: Tag::default(),
            brings: PhantomData,
        }
    }

    /// Sends this event for connections, or for the datagram socket.
    #[doc(alias = "SuccessEvent")]
    pub fn success(mut self, event: impl Posts<T>) -> Self {
        self.success = Some(HeldName::new(event.key()));
        self
    }

    /// Sends this event for failures.
    #[doc(alias = "FailureEvent")]
    pub fn failure(mut self, event: impl Posts<SocketError>) -> Self {
        self.failure = Some(HeldName::new(event.key()));
        self
    }

    /// Notes the connect timeout, which the caller enforces.
    pub(crate) fn within(mut self, limit: Duration) -> Self {
        self.options.connect_timeout = Some(limit);
        self
    }

    /// Binds the socket to this address, or port; a listener has its own address.
    #[doc(alias = "BindAddress")]
    #[doc(alias = "BindPort")]
    pub fn bind(mut self, addr: impl Into<Address>) -> Self {
        self.options.bind = Some(addr.into());
        self
    }

    /// Uses only a name's addresses of this family.
    #[doc(alias = "SocketDomain")]
    pub fn domain(mut self, domain: Domain) -> Self {
        self.options.domain = Some(domain);
        self
    }

    /// Sets whether an address may be bound that an old connection still has (`SO_REUSEADDR`); default true.
    ///
    /// For datagrams it lets several programs share an address; default false.
    #[doc(alias = "Reuse")]
    pub fn reuse(mut self, reuse: bool) -> Self {
        self.options.reuse = reuse;
        self
    }

    /// Starts the wheel for the session that is running; pass the handler's context.
    ///
    /// It never fails: every error comes as a failure event.
    #[track_caller]
    pub fn start(self, kernel: &KernelRef<'_>) -> SocketFactory<T> {
        let base = Base::new(kernel, Location::caller()).tagged(self.tag);
        let state = AcceptState::new(base, self.success, self.failure, self.options.nodelay);
        let what = match &self.role {
            Role::On(_) => "listening".to_owned(),
            Role::Listen(addr) => format!("listening on {addr}"),
            Role::Connect(addr) => format!("connecting to {addr}"),
            Role::Datagram(Some(addr)) => format!("datagrams to {addr}"),
            Role::Datagram(None) => "datagrams".to_owned(),
        };
        let listens = matches!(self.role, Role::Listen(_) | Role::On(_));
        match begin(kernel.core, &state, self.role, self.options) {
            Ok(Begun::Phase(phase)) => SocketFactory::start_task(state, &what, listens, phase),
            Ok(Begun::Datagram(socket)) => {
                let made = datagram(&state, socket);
                state.post_success(kernel.core, made);
                SocketFactory::of(state, None)
            }
            Err(failed) => {
                state.post_failure(kernel.core, failed);
                SocketFactory::of(state, None)
            }
        }
    }
}

tag_setting!([T] SocketFactoryBuilder<T>, tag);

impl SocketFactoryBuilder<Connection> {
    /// Sets how many clients may wait to be accepted; default 4096, limited by the system.
    #[doc(alias = "ListenQueue")]
    pub fn backlog(mut self, clients: u32) -> Self {
        self.options.backlog = clients;
        self
    }

    /// Sets whether small writes leave at once (`TCP_NODELAY`); default true. No effect on UNIX sockets.
    pub fn nodelay(mut self, nodelay: bool) -> Self {
        self.options.nodelay = nodelay;
        self
    }
}

impl SocketFactoryBuilder<Datagram> {
    /// Connects the socket: it sends to this address and receives from it alone.
    #[doc(alias = "RemoteAddress")]
    #[doc(alias = "RemotePort")]
    pub fn remote(mut self, addr: impl Into<Address>) -> Self {
        self.role = Role::Datagram(Some(addr.into()));
        self
    }
}

debug_fields!([T] SocketFactoryBuilder<T>, "SocketFactoryBuilder", |this| {
    role: this.role,
    options: this.options,
    ..
});
