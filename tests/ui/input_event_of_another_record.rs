//! The filter says what records are: `Line::bytes` gives bytes.
use poe::Event;
use poe::filter::Line;
use poe::wheel::{Input, ReadWrite};

const LINE: Event<Input<String>> = Event::new("line");

fn main() {
    let (_peer, io) = tokio::io::duplex(64);
    ReadWrite::builder(io).input(Line::bytes(), LINE);
}
