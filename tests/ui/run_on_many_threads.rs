//! A kernel runs on one thread: `tokio::spawn` may move a future to another.
use poe::Kernel;

#[tokio::main]
async fn main() {
    let kernel = Kernel::new();
    tokio::spawn(async move { kernel.run().await });
}
