//! serde's data model, read from a parsed image.

mod access;
mod any;
mod item;
mod key;
mod reader;

pub(super) use reader::Reader;
