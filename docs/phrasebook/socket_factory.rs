use poe::wheel::{Connection, SocketError, SocketFactory};
use poe::{Event, Kernel, Session, event::{START, STOP}};

const ACCEPTED: Event<Connection> = Event::new("accepted");
const CONNECTED: Event<Connection> = Event::new("connected");
const FAILED: Event<SocketError> = Event::new("failed");

#[derive(Default)]
struct Heap {
    server: Option<SocketFactory>,
    client: Option<SocketFactory>,
    connected: bool,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), poe::Error> {
    let kernel = Kernel::new();
    Session::builder(Heap::default())
        .on(START, |cx, ()| {
            let server = SocketFactory::listen("127.0.0.1:0").success(ACCEPTED).failure(FAILED).start(cx);
            let address = server.local_addr().unwrap();
            cx.heap.server = Some(server);
            cx.heap.client = Some(SocketFactory::connect(address).success(CONNECTED).failure(FAILED).start(cx));
        })
        .on(ACCEPTED, |cx, connection| {
            println!("accepted from {}", connection.peer.as_socket_addr().unwrap().ip());
            cx.heap.server = None;
        })
        .on(CONNECTED, |cx, _connection| {
            cx.heap.connected = true;
            cx.heap.client = None;
        })
        .on(FAILED, |_, error| println!("{error}"))
        .on(STOP, |cx, ()| if cx.heap.connected { println!("connected") })
        .create(&kernel)?;
    kernel.run().await
}
