//! Handlers are synchronous: what must be awaited is spawned, and its output is an event.
use poe::{Event, States};

const FETCH: Event<String> = Event::new("fetch");

fn main() {
    States::<()>::new().on(FETCH, async |_, url| println!("{url}"));
}
