//! The work of a SocketFactory: its first step, which may be all, and the task that continues.

use super::{Connection, Datagram};
use crate::arg::AnyArg;
use crate::kernel::Core;
use crate::kernel::task::Task;
use crate::wheel::address::Address;
use crate::wheel::socket::accept::{AcceptState, Accepting};
use crate::wheel::socket::make::{self, Options};
use crate::wheel::socket::{DatagramSocket, Failed, ListenSocket, SocketStream};
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

/// The purpose of the wheel.
#[derive(Clone, Debug)]
pub(super) enum Role {
    Listen(Address),
    /// A socket that listens already.
    On(ListenSocket),
    Connect(Address),
    Datagram(Option<Address>),
}

/// The result of the first step.
pub(super) enum Begun {
    Phase(Phase),
    /// Made without waiting.
    Datagram(DatagramSocket),
}

/// Runs the first step. A listener on a number is bound at once, so that its port is known when `start` returns; without a
/// runtime that is not possible, and the task does it.
pub(super) fn begin(core: &Core, state: &Rc<AcceptState>, role: Role, options: Options) -> Result<Begun, Failed> {
    if let Role::Listen(addr) | Role::Connect(addr) = &role
        && let Some(name) = addr.as_memory()
    {
        let phase = match &role {
            Role::Listen(_) => Phase::Accepting(Accepting::new(
                state,
                make::listen_in_memory(&core.memory, addr, name, &options)?,
            )),
            _ => {
                let stream = make::connect_in_memory(&core.memory, addr, name);
                Phase::Connecting(addr.clone(), Box::pin(std::future::ready(stream)))
            }
        };
        return Ok(Begun::Phase(phase));
    }
    if core.is_virtual() && !matches!(role, Role::On(_)) {
        let why = "a kernel on virtual time cannot use real sockets: use `Kernel::new`, or an address in memory such as `memory:echo`";
        return Err(("socket", io::Error::new(io::ErrorKind::Unsupported, why)).into());
    }
    let threads = core.threads.clone();
    let in_runtime = tokio::runtime::Handle::try_current().is_ok();
    let phase = match role {
        Role::On(listener) => Phase::Accepting(Accepting::new(state, listener)),
        Role::Listen(addr) => match make::spot(&addr)? {
            Some(spot) if in_runtime => Phase::Accepting(Accepting::new(state, make::listen_at(&spot, &options)?)),
            _ => Phase::Binding(Box::pin(make::listen(addr, options, threads))),
        },
        Role::Connect(addr) => {
            let peer = addr.clone();
            Phase::Connecting(peer, Box::pin(make::connect(addr, options, threads)))
        }
        Role::Datagram(None) if in_runtime => {
            let source = options.bind.as_ref().map(make::spot).transpose()?;
            if source == Some(None) {
                Phase::Datagram(Box::pin(make::datagram(None, options, threads)))
            } else {
                let sources = Vec::from_iter(source.flatten());
                return make::datagram_at(&sources, None, &options).map(Begun::Datagram);
            }
        }
        Role::Datagram(remote) => Phase::Datagram(Box::pin(make::datagram(remote, options, threads))),
    };
    Ok(Begun::Phase(phase))
}

/// Makes the argument of a datagram socket's success event.
pub(super) fn datagram(state: &AcceptState, socket: DatagramSocket) -> AnyArg {
    state.set_local(socket.local_name());
    let peer = socket.peer_name().ok();
    let wheel = state.base.id();
    AnyArg::new(Datagram { socket, peer, wheel })
}

pub(super) struct FactoryTask {
    state: Rc<AcceptState>,
    phase: Phase,
}

type Making<T> = Pin<Box<dyn Future<Output = Result<T, Failed>>>>;

pub(super) enum Phase {
    Binding(Making<ListenSocket>),
    Accepting(Accepting),
    Connecting(Address, Making<SocketStream>),
    Datagram(Making<DatagramSocket>),
}

impl FactoryTask {
    pub(super) fn new(state: Rc<AcceptState>, phase: Phase) -> Self {
        FactoryTask { state, phase }
    }

    fn connected(&self, stream: SocketStream) -> Result<AnyArg, Failed> {
        let peer = stream.peer_name().map_err(|e| ("getpeername", e))?;
        self.state.set_local(stream.local_name());
        let wheel = self.state.base.id();
        Ok(AnyArg::new(Connection { stream, peer, wheel }))
    }
}

impl Task for FactoryTask {
    fn poll(&mut self, core: &Core, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let made = match &mut self.phase {
                Phase::Accepting(accepting) => return accepting.poll(core, cx),
                Phase::Binding(binding) => match ready!(binding.as_mut().poll(cx)) {
                    Ok(listener) => {
                        self.phase = Phase::Accepting(Accepting::new(&self.state, listener));
                        continue;
                    }
                    Err(failed) => Err(failed),
                },
                Phase::Connecting(addr, connecting) => {
                    let stream = ready!(connecting.as_mut().poll(cx));
                    let addr = addr.clone();
                    let connected = stream.and_then(|stream| self.connected(stream));
                    connected.map_err(|failed| failed.at(&addr))
                }
                Phase::Datagram(making) => ready!(making.as_mut().poll(cx)).map(|socket| datagram(&self.state, socket)),
            };
            match made {
                Ok(made) => self.state.succeed(core, made),
                Err(failed) => self.state.fail(core, failed),
            };
            return Poll::Ready(());
        }
    }
}
