//! A server's client: the session of one connection.

use super::listener::{Listener, Shared};
use crate::component::callbacks::{Callback, Component, named};
use crate::component::connection::{LOST, PRE_CONNECTED, Plan, SHUTDOWN, Wired};
use crate::component::link::Link;
use crate::component::wire::Wire;
use crate::debug::debug_fields;
use crate::error::{Error, Failure, HandlerResult};
use crate::event::START;
use crate::filter::Filter;
use crate::id::SessionId;
use crate::session::{Context, States};
use crate::wheel::{Connection, SocketName};
use std::net::IpAddr;
use std::rc::Rc;

/// Makes a client's heap from the client's name.
pub(super) type HeapMaker<H> = Rc<dyn Fn(SocketName) -> H>;

/// A client's entry in the counts.
struct Place {
    shared: Rc<Shared>,
    ip: Option<IpAddr>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shared.left(self.ip);
    }
}

/// The data that a [`TcpServer`](super::TcpServer) keeps beside the heap of a client's session: the `X` of its
/// [`Context`].
///
/// [`cx.client()`](Context::client) is the connection in it, and `cx.heap` is the heap that
/// [`client_heap`](super::TcpServerBuilder::client_heap) has made.
///
/// ```
/// use poe::{Context, component::Client, filter::Line};
/// fn greet(cx: &mut Context<'_, u32, Client<Line>>) {
///     let client = cx.client();
///     *cx.heap += 1; // your heap, a number here
///     client.put(format!("hello for the {}. time", cx.heap));
/// }
/// ```
pub struct Client<F: Filter> {
    wire: Wire<F>,
    place: Place,
}

debug_fields!([F: Filter] Client<F>, "Client", |this| { peer: this.wire.peer(), .. });

impl<F: Filter> Component for Client<F> {
    fn whose(&self) -> String {
        let server = self.place.shared.whose();
        match self.wire.peer() {
            Some(peer) if peer != SocketName::Unix(None) && peer != SocketName::Memory(String::new()) => {
                format!("{server} (client {peer})")
            }
            _ => server,
        }
    }
}

impl<F: Filter> Wired for Client<F> {
    type Filter = F;
    const CLOSES_FIRST: bool = false;
    fn wire(&self) -> &Wire<F> {
        &self.wire
    }
}

impl<'k, H: 'static, F: Filter> Context<'k, H, Client<F>> {
    /// The connection of a [`TcpServer`](super::TcpServer)'s client.
    ///
    /// It borrows the session and not the context, so it can be held while the heap is borrowed.
    ///
    /// ```
    /// # use poe::component::TcpServer;
    /// TcpServer::builder("127.0.0.1:0")
    ///     .client_heap(|_| Vec::new())
    ///     .client_input(|cx, line| {
    ///         let (client, lines) = (cx.client(), &mut *cx.heap);
    ///         lines.push(line);
    ///         for line in lines {
    ///             client.put(line.clone());
    ///         }
    ///     });
    /// ```
    #[must_use]
    pub fn client(&self) -> Link<'k, F> {
        Link::new(&self.component().wire, self.kernel)
    }
}

/// Makes the acceptor that creates a session for each connection. The table of handlers is built once.
pub(super) fn client_maker<H: 'static, F: Filter>(
    plan: Plan<H, Client<F>>,
    heap: HeapMaker<H>,
    states: States<H, Client<F>>,
) -> Callback<(), Listener, Connection> {
    let plan = Rc::new(plan);
    let (on_start, on_pre_connected) = (plan.clone(), plan.clone());
    let (on_shutdown, on_lost) = (plan.clone(), plan.clone());
    let states = Plan::states(&plan, states)
        .on(START, move |cx, connection: Connection| on_start.take(cx, connection))
        .on(PRE_CONNECTED, move |cx, made| {
            on_pre_connected.pre_connected(cx, made).unwrap_or_else(|refused| {
                // It was never connected, so no callback runs, and nothing holds the session any more.
                let peer = cx.component().wire.peer().map(tracing::field::display);
                tracing::debug!(target: "poe::wheels", peer, "a client is refused: {refused}");
                Ok(())
            })
        })
        .on(SHUTDOWN, move |cx, ()| on_shutdown.shutdown(cx))
        .on(LOST, move |cx, ()| on_lost.shutdown(cx));
    Box::new(move |cx, connection| {
        let shared = cx.component().shared.clone();
        if cx.kernel.core.is_shutting_down() {
            // It waited in the backlog when the listener closed, and no session can be made for it now.
            connection.stream.hang_up();
            return Ok(());
        }
        let ip = connection.peer.as_socket_addr().map(|addr| addr.ip());
        if !shared.joined(ip) {
            let peer = tracing::field::display(&connection.peer);
            tracing::debug!(target: "poe::wheels", session = %cx.session_id(), peer, "a client has too many connections already");
            connection.stream.hang_up();
            return Ok(());
        }
        let place = Place { shared, ip };
        let heap = match named("client_heap", cx, |_| Ok(heap(connection.peer.clone()))) {
            Ok(heap) => heap,
            Err(failure) => {
                drop(connection);
                return stillborn(cx, &plan, failure);
            }
        };
        let client = Client {
            wire: Wire::new(),
            place,
        };
        let session = plan.settings.session(heap, client, &states).args(connection);
        created(cx.create(session))
    })
}

fn created(created: Result<SessionId, Error>) -> HandlerResult {
    match created {
        // The system had accepted it before the listener was closed.
        Err(error) if error.is_shutting_down() => Ok(()),
        created => Ok(created.map(drop)?),
    }
}

/// If making the client's heap fails, this is a failure of the client, not of the listener. So a session is created
/// that fails at once.
fn stillborn<H: 'static, F: Filter>(
    cx: &mut Context<'_, (), Listener>,
    plan: &Plan<H, Client<F>>,
    failure: Failure,
) -> HandlerResult {
    let states = States::<()>::new().on(START, move |_, ()| -> HandlerResult { Err(failure.clone()) });
    created(cx.create(plan.settings.session((), (), &states)))
}
