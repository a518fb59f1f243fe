use poe::{Event, Kernel, Session, Signal, event::{START, STOP}};

const USR1: Event<Signal> = Event::new("usr1");
const INT: Event<Signal> = Event::new("int");

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), poe::Error> {
    let kernel = Kernel::new();
    Session::builder(())
        .on(START, |cx, ()| -> poe::HandlerResult {
            cx.alias_set("watcher")?;
            cx.sig("USR1", USR1);
            cx.sig("INT", INT);
            cx.delay("late", std::time::Duration::from_secs(20), ());
            std::process::Command::new("kill").args(["-USR1", &std::process::id().to_string()]).status()?;
            Ok(())
        })
        .on("late", |_, ()| println!("no signal has come"))
        .on(USR1, |cx, signal| {
            println!("got SIG{}", signal.name());
            cx.signal(cx.kernel_id(), "INT", ())
        })
        .on(INT, |_, signal| println!("{} is terminal, and not handled", signal.name()))
        .on(STOP, |_, ()| println!("stopped"))
        .create(&kernel)?;
    kernel.run().await
}
