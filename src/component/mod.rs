//! Ready-made sessions (POE::Component): a TCP server, a TCP client, supervisors, and kernels on threads.

mod backoff;
mod callbacks;
mod connection;
mod kernel_pool;
mod kernel_thread;
mod link;
mod settings;
mod supervisor;
mod tcp_client;
mod tcp_server;
mod upgrade;

pub use backoff::Backoff;
pub use connection::SHUTDOWN;
pub use kernel_pool::{
    AfterFailure, KernelPool, KernelPoolBuilder, PoolFailure, PoolHandle, PoolOutcome, PoolReport, PoolServer,
};
pub use kernel_thread::KernelThread;
pub use link::Link;
pub use settings::{NoCallbacks, WithCallbacks};
pub use supervisor::{
    ChildChange, ChildEnd, ChildFailure, ChildReport, ChildSpec, ChildState, ChildStatus, NextStep, Restart, Starter,
    Strategy, Supervisor, SupervisorBuilder, SupervisorEnd,
};
pub use tcp_client::{Attempt, CONNECT, RECONNECT, Server, TcpClient, TcpClientBuilder};
pub use tcp_server::{Client, DISCONNECTED, Listener, SET_CONCURRENCY, TcpServer, TcpServerBuilder};
pub use upgrade::PlainStream;
