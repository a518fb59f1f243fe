use poe::{Event, Kernel, Session, event::START, unix::ProcessExit};

const ENDED: Event<ProcessExit<&str>> = Event::new("ended");

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), poe::Error> {
    let kernel = Kernel::new();
    Session::builder(())
        .on(START, |cx, ()| -> poe::HandlerResult {
            let child = std::process::Command::new("sh").args(["-c", "exit 3"]).spawn()?;
            Ok(cx.sig_child(child, ENDED, "the third")?) // given away: the kernel reaps it
        })
        .on(ENDED, |_, exit| {
            let code = exit.status.and_then(|s| s.code()).unwrap();
            println!("{} exits with {code}", exit.extra);
        })
        .create(&kernel)?;
    kernel.run().await
}
