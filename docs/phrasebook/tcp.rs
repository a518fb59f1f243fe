use poe::Kernel;
use poe::component::{TcpClient, TcpServer};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), poe::Error> {
    let kernel = Kernel::new();
    let server = TcpServer::builder("127.0.0.1:0")
        .client_connected(|cx| cx.client().put("hello"))
        .client_input(|cx, line| {
            println!("server: {line}");
            cx.client().put(line.to_uppercase());
            cx.client().shutdown();
        })
        .start(&kernel)
        .await?;
    TcpClient::builder(server.local_name())
        .server_input(|cx, line| {
            println!("client: {line}");
            match &*line {
                "hello" => cx.server().put("is anybody there?"),
                _ => cx.server().shutdown(),
            }
        })
        .disconnected(move |_| server.shutdown())
        .start(&kernel)?;
    kernel.run().await
}
