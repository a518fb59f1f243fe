//! What the tests of child processes share.

use poe::{Event, Kernel, Signal, unix::ProcessExit};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

pub(super) const ENDED: Event<ProcessExit<&'static str>> = Event::new("ended");
pub(super) const CHILD_ENDED: Event<Signal> = Event::new("child ended");

pub(super) async fn run(kernel: &Kernel) {
    let run = tokio::time::timeout(Duration::from_secs(60), kernel.run());
    run.await.expect("a sane end").unwrap();
}

/// One that ends when its standard input does.
pub(super) fn waiting() -> Child {
    Command::new("cat")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}
