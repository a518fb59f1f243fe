//! Ready-made sessions (POE::Component): a TCP server, a TCP client, supervisors, and kernels on threads.

mod backoff;
#[cfg(not(target_family = "wasm"))]
mod callbacks;
#[cfg(not(target_family = "wasm"))]
mod connection;
#[cfg(not(target_family = "wasm"))]
mod kernel_pool;
mod kernel_thread;
#[cfg(not(target_family = "wasm"))]
mod link;
#[cfg(not(target_family = "wasm"))]
mod settings;
mod supervisor;
#[cfg(not(target_family = "wasm"))]
mod tcp_client;
#[cfg(not(target_family = "wasm"))]
mod tcp_server;
#[cfg(not(target_family = "wasm"))]
mod upgrade;

pub use backoff::Backoff;
#[cfg(not(target_family = "wasm"))]
pub use connection::SHUTDOWN;
#[cfg(not(target_family = "wasm"))]
pub use kernel_pool::{
    AfterFailure, KernelPool, KernelPoolBuilder, PoolFailure, PoolHandle, PoolOutcome, PoolReport, PoolServer,
    Published,
};
pub use kernel_thread::KernelThread;
#[cfg(not(target_family = "wasm"))]
pub use link::Link;
#[cfg(not(target_family = "wasm"))]
pub use settings::{NoCallbacks, WithCallbacks};
pub use supervisor::{
    ChildChange, ChildEnd, ChildFailure, ChildReport, ChildSpec, ChildState, ChildStatus, NextStep, Restart, Starter,
    Strategy, Supervisor, SupervisorBuilder, SupervisorEnd,
};
#[cfg(not(target_family = "wasm"))]
pub use tcp_client::{Attempt, CONNECT, RECONNECT, Server, TcpClient, TcpClientBuilder};
#[cfg(not(target_family = "wasm"))]
pub use tcp_server::{Client, DISCONNECTED, Listener, SET_CONCURRENCY, TcpServer, TcpServerBuilder};
#[cfg(not(target_family = "wasm"))]
pub use upgrade::PlainStream;
