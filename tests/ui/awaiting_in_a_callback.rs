//! A server's callbacks are handlers like any other, and await nothing.
use poe::component::TcpServer;

fn main() {
    let _ = TcpServer::builder("127.0.0.1:0").client_input(|cx, line| async move { cx.client().put(line) });
}
