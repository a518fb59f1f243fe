//! Kernels on a real NATS server. `.ci/nats-peers` has what takes several processes.

mod durable;
mod leases;
mod messages;
mod outages;
pub(crate) mod server;
