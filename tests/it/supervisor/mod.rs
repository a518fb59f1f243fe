//! Supervisors: order, strategies, limits, aliases, reports; beside a model, and beside Erlang's.

#[cfg(feature = "testing")]
mod behaviour;
#[cfg(feature = "testing")]
mod erlang;
#[cfg(feature = "testing")]
mod example;
mod kernels;
#[cfg(feature = "testing")]
mod kit;
#[cfg(feature = "testing")]
mod model;
#[cfg(unix)]
mod programs;
#[cfg(feature = "testing")]
mod random;
