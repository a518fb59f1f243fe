//! The client: the session of one connection.

use super::listener::{Listener, Shared};
use crate::component::callbacks::{Callback, Component, named};
use crate::component::connection::{LOST, PRE_CONNECTED, Plan, SHUTDOWN, Wire, Wired};
use crate::component::link::Link;
use crate::event::START;
use crate::filter::Filter;
use crate::session::{Context, States};
use crate::wheel::{Connection, SocketName};
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::rc::Rc;

/// Makes a client's heap of its name.
pub(super) type HeapMaker<H> = Rc<dyn Fn(SocketName) -> H>;

/// A client's place in the count.
struct Place(Rc<Shared>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.left();
    }
}

/// The heap of a client's session; derefs to the heap that [`client_heap`](super::TcpServerBuilder::client_heap) has made.
///
/// ```
/// use poe::{Context, component::ClientHeap, filter::Line};
/// fn greet(cx: &mut Context<'_, ClientHeap<u32, Line>>) {
///     **cx.heap += 1; // the user's heap, a number here
///     cx.client().put(format!("hello for the {}. time", **cx.heap));
/// }
/// ```
pub struct ClientHeap<H, F: Filter> {
    heap: H,
    wire: Wire<F>,
    place: Place,
}

impl<H, F: Filter> Deref for ClientHeap<H, F> {
    type Target = H;
    fn deref(&self) -> &H {
        &self.heap
    }
}

impl<H, F: Filter> DerefMut for ClientHeap<H, F> {
    fn deref_mut(&mut self) -> &mut H {
        &mut self.heap
    }
}

impl<H: fmt::Debug, F: Filter> fmt::Debug for ClientHeap<H, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.heap.fmt(f)
    }
}

impl<H: 'static, F: Filter> Component for ClientHeap<H, F> {
    fn whose(&self) -> String {
        let server = self.place.0.whose();
        match &self.wire.peer {
            Some(peer) if *peer != SocketName::Unix(None) => format!("{server} (client {peer})"),
            _ => server,
        }
    }
}

impl<H: 'static, F: Filter> Wired for ClientHeap<H, F> {
    type Filter = F;
    const CLOSES_FIRST: bool = false;
    const PEER: &'static str = "client";
    fn wire(&self) -> &Wire<F> {
        &self.wire
    }
    fn wire_mut(&mut self) -> &mut Wire<F> {
        &mut self.wire
    }
}

impl<H: 'static, F: Filter> Context<'_, ClientHeap<H, F>> {
    /// The connection of a [`TcpServer`](super::TcpServer)'s client.
    ///
    /// ```
    /// # use poe::component::TcpServer;
    /// TcpServer::builder("127.0.0.1:0").client_input(|cx, line| cx.client().put(line));
    /// ```
    #[must_use]
    pub fn client(&self) -> Link<'_, F> {
        Link::new(&self.heap.wire, self.kernel)
    }
}

/// Makes the acceptor that gives each connection a session. The clients' table is built once.
pub(super) fn client_maker<H: 'static, F: Filter>(
    plan: Plan<ClientHeap<H, F>>,
    heap: HeapMaker<H>,
    states: States<ClientHeap<H, F>>,
) -> Callback<Listener, Connection> {
    let plan = Rc::new(plan);
    let (on_start, on_pre_connected) = (plan.clone(), plan.clone());
    let (on_shutdown, on_lost) = (plan.clone(), plan.clone());
    let states = Plan::states(&plan, states)
        .on(START, move |cx, connection: Connection| on_start.take(cx, connection))
        .on(PRE_CONNECTED, move |cx, made| {
            on_pre_connected.pre_connected(cx, made).unwrap_or_else(|refused| {
                // It was never connected, so no callback hears of it, and nothing holds the session any more.
                let peer = cx.heap.wire.peer.as_ref().map(tracing::field::display);
                tracing::debug!(target: "poe::wheels", peer, "a client is refused: {refused}");
                Ok(())
            })
        })
        .on(SHUTDOWN, move |cx, ()| on_shutdown.shutdown(cx))
        .on(LOST, move |cx, ()| on_lost.shutdown(cx));
    Rc::new(move |cx, connection| {
        let shared = cx.heap.shared.clone();
        shared.joined();
        let place = Place(shared);
        let heap = ClientHeap {
            heap: named("client_heap", cx, |_| Ok(heap(connection.peer.clone())))?,
            wire: Wire::new(),
            place,
        };
        let session = plan.settings.session(heap, &states).args(connection);
        match session.create_in(cx) {
            // The system had it accepted before the listener was closed.
            Err(error) if error.is_shutting_down() => Ok(()),
            created => Ok(created.map(drop)?),
        }
    })
}
