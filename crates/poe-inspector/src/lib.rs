#![doc = include_str!("../README.md")]

mod action;
mod api;
mod beat;
mod command;
mod console;
mod door;
mod error;
mod fetch;
mod guard;
mod host;
mod inspector;
mod listen;
mod log;
mod metrics;
mod orders;
mod page;
mod patient;
mod query;
mod recorder;
mod reply;
mod sample;
mod server;
mod settings;
mod state;
mod stream;
mod table;
mod tree;
mod view;
mod web;

pub use error::InspectorError;
pub use inspector::{Inspector, InspectorBuilder};
pub use listen::Endpoint;
