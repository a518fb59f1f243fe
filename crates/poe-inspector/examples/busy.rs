//! A kernel that does nothing but post to itself, for measuring what it costs to be looked at.
//!
//! `busy ADDRESS` prints the page's address and the number of the kernel's thread, and runs until it is ended. Count the thread's instructions
//! with `perf stat -e instructions:u -t NUMBER`, and its events with `poe_posts_dispatched_total` of `/metrics`, which is not taken for a look.

use poe::event::START;
use poe::{Event, Kernel, Session};
use poe_inspector::Inspector;

const AGAIN: Event<u64> = Event::new("again");

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:0".to_owned());
    let kernel = Kernel::builder().name("busy").build();
    let inspector = Inspector::bind(&*address).start(&kernel).await?;
    Session::builder(())
        .on(START, |cx, ()| {
            for n in 0..10 {
                cx.yield_to(AGAIN, n);
            }
        })
        .on(AGAIN, |cx, n| cx.yield_to(AGAIN, n + 1))
        .create(&kernel)?;
    println!("{}", inspector.url().unwrap_or_default());
    println!("thread {}", std::process::id());
    kernel.run().await?;
    Ok(())
}
