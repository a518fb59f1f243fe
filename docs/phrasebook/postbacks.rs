use poe::{Event, Kernel, Reply, Session, event::{START, STOP}};

const SQUARE: Event<(&str, i32), i32> = Event::new("square");
const TOLD: Event<(&str, &str)> = Event::new("told");

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), poe::Error> {
    let kernel = Kernel::new();
    Session::builder(())
        .on(START, |cx, ()| -> poe::HandlerResult {
            let callback = cx.callback(SQUARE, "called");
            println!("the answer is {}", callback.call(&mut *cx, 7)?);
            let postback = cx.postback(TOLD, "first");
            postback.post("again")?;
            Ok(())
        })
        .on(SQUARE, |_, (mine, given)| {
            println!("{mine} with {given}");
            Reply(given * given)
        })
        .on(TOLD, |_, (mine, given)| println!("{mine}, {given}"))
        .on(STOP, |_, ()| println!("nothing holds it any more"))
        .create(&kernel)?;
    kernel.run().await
}
