//! Supervisors: order, strategies, limits, aliases, reports; beside a model, and beside Erlang's.

#[cfg(feature = "testing")]
mod erlang;
#[cfg(feature = "testing")]
mod kit;
