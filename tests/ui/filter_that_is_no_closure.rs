//! Each connection has a filter of its own, so a server is told how to make one.
use poe::component::TcpServer;
use poe::filter::Line;

fn main() {
    let _ = TcpServer::builder("127.0.0.1:0").filter(Line::new());
}
