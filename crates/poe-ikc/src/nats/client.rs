//! Connections to the server that do not reconnect.

use async_nats::{Client, ConnectOptions, ReconnectToServer, ServerAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Makes connections that end when they are lost.
///
/// The client always reconnects, and sends then what it was given while it was disconnected. What must not overtake
/// anything needs a connection on which nothing is sent later. So each has a second server, port 0, which cannot be reached; after
/// the loss it is the only one that the client tries, and it gives up.
#[derive(Clone)]
pub(crate) struct Dialer {
    pub(crate) servers: Vec<ServerAddr>,
    pub(crate) options: ConnectOptions,
}

impl Dialer {
    /// Connects to the first server that can be reached.
    pub(crate) async fn once(&self) -> Result<Client, async_nats::Error> {
        let mut failure: async_nats::Error = "there is no server".into();
        for server in &self.servers {
            match self.connect(server).await {
                Ok(client) => return Ok(client),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    async fn connect(&self, server: &ServerAddr) -> Result<Client, async_nats::Error> {
        let nowhere: ServerAddr = "nats://127.0.0.1:0".parse()?;
        let pool = [server.clone(), nowhere.clone()];
        let (server, tried) = (server.clone(), Arc::new(AtomicBool::new(false)));
        let choose = move |_, _| {
            let addr = if tried.swap(true, Ordering::Relaxed) {
                nowhere.clone()
            } else {
                server.clone()
            };
            let delay = Some(Duration::ZERO);
            std::future::ready(Some(ReconnectToServer { addr, delay }))
        };
        let options = self
            .options
            .clone()
            .ignore_discovered_servers()
            .max_reconnects(1)
            .reconnect_to_server_callback(choose);
        Ok(options.connect(&pool[..]).await?)
    }
}
