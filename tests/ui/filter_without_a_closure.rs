//! Each connection has a separate filter, so a server takes a closure that makes one.
use poe::component::TcpServer;
use poe::filter::Line;

fn main() {
    let _ = TcpServer::builder("127.0.0.1:0").filter(Line::new());
}
