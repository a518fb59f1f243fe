//! The settings of an inspector.

use crate::action::Actions;
use crate::listen::Endpoint;
use std::time::Duration;

#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) web: Option<Endpoint>,
    pub(crate) console: Option<Endpoint>,
    pub(crate) token: Option<String>,
    pub(crate) hosts: Vec<String>,
    pub(crate) actions: Actions,
    pub(crate) rate: u32,
    pub(crate) slow: Duration,
    pub(crate) connections: usize,
    pub(crate) streams: usize,
    /// How long a peer may take to send a head or a body, and to read.
    pub(crate) patience: Duration,
}
