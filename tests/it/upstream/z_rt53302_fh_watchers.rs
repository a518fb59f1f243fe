//! `POE::Test::Loops::z_rt53302_fh_watchers`: five TCP clients at once; every connection, line, flush and end is reported,
//! although descriptors are used again and again.

use poe::Kernel;
use poe::component::{TcpClient, TcpServer};
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

const CLIENTS: u32 = 5;

#[derive(Default)]
struct Counts {
    connects: Cell<u32>,
    inputs: Cell<u32>,
    flushes: Cell<u32>,
    disconnects: Cell<u32>,
}

impl Counts {
    fn assert_all(&self, whose: &str) {
        let counts = [&self.connects, &self.inputs, &self.flushes, &self.disconnects];
        assert_eq!(counts.map(Cell::get), [CLIENTS; 4], "{whose}");
    }
}

fn more(cell: &Cell<u32>) -> u32 {
    cell.set(cell.get() + 1);
    cell.get()
}

async fn server(kernel: &Kernel, counts: &Rc<Counts>) -> TcpServer {
    let [connects, inputs, flushes, disconnects] = [(); 4].map(|()| counts.clone());
    let started = TcpServer::builder("127.0.0.1:0")
        .client_connected(move |_| {
            more(&connects.connects);
        })
        .client_input(move |cx, _line| {
            more(&inputs.inputs);
            cx.client().put("from server");
            cx.client().shutdown();
        })
        .client_flushed(move |_| {
            more(&flushes.flushes);
        })
        .client_disconnected(move |cx| {
            if more(&disconnects.disconnects) == CLIENTS {
                cx.post("server", "all are gone", ()).unwrap();
            }
        });
    started.start(kernel).await.unwrap()
}

fn client(kernel: &Kernel, server: &TcpServer, counts: &Rc<Counts>) {
    let [connects, inputs, flushes, disconnects] = [(); 4].map(|()| counts.clone());
    TcpClient::builder(server.local_name())
        .connect_timeout(Duration::from_secs(10))
        .connected(move |cx| {
            more(&connects.connects);
            cx.server().put("from client");
        })
        .server_input(move |cx, _line| {
            more(&inputs.inputs);
            cx.delay("shutdown", Duration::from_millis(20), ());
        })
        .server_error(|_, _| ())
        .server_flushed(move |_| {
            more(&flushes.flushes);
        })
        .disconnected(move |_| {
            more(&disconnects.disconnects);
        })
        .start(kernel)
        .unwrap();
}

#[tokio::test]
async fn five_clients_and_every_one_of_their_events() {
    let kernel = Kernel::new();
    let [of_server, of_clients] = [(); 2].map(|()| Rc::new(Counts::default()));
    let server = server(&kernel, &of_server).await;
    for _ in 0..CLIENTS {
        client(&kernel, &server, &of_clients);
    }
    let gone = of_server.clone();
    let listener = server.clone();
    // The session that sees the last client leave shuts the server down.
    poe::Session::builder(())
        .on(poe::event::START, |cx, ()| cx.alias_set("server"))
        .on("all are gone", move |_, ()| {
            assert_eq!(gone.disconnects.get(), CLIENTS);
            listener.shutdown();
        })
        .create(&kernel)
        .unwrap();
    let run = tokio::time::timeout(Duration::from_secs(30), kernel.run());
    run.await.expect("it hangs").unwrap();
    of_server.assert_all("the server");
    of_clients.assert_all("the clients");
    poe::testing::assert_no_leaks(&kernel);
}
