//! The filter and the heap of a component say what its callbacks are given, so they stand before the first callback.
use poe::component::{TcpClient, TcpServer};
use poe::filter::Raw;

fn main() {
    let _ = TcpServer::builder("127.0.0.1:0").client_input(|cx, line| cx.client().put(line)).filter(Raw::new);
    let _ = TcpServer::builder("127.0.0.1:0").client_connected(|_| ()).client_heap(|_| 0);
    let _ = TcpClient::builder("127.0.0.1:0").state("later", |_, ()| ()).heap(0);
}
