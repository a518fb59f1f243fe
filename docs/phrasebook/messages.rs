use poe::{Event, Kernel, Reply, Session, event::START};

const ADD: Event<(i32, i32), i32> = Event::new("add");
const NOTE: Event<&str> = Event::new("note");
const DONE: Event<()> = Event::new("done");
const LAST: Event<()> = Event::new("last");

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), poe::Error> {
    let kernel = Kernel::new();
    Session::builder(())
        .on(START, |cx, ()| cx.alias_set("adder"))
        .on(ADD, |_, (x, y)| Reply(x + y))
        .on(NOTE, |cx, text| println!("{text} from session {}", cx.sender()))
        .on(DONE, |cx, ()| cx.alias_remove("adder"))
        .create(&kernel)?;
    Session::builder(())
        .on(START, |cx, ()| -> poe::HandlerResult {
            cx.post("adder", NOTE, "posted")?;
            println!("called: {}", cx.call("adder", ADD, (2, 3))?);
            cx.yield_to(LAST, ());
            if cx.post("nobody", NOTE, "x").is_err() {
                println!("nobody is not there");
            }
            Ok(())
        })
        .on(LAST, |cx, ()| cx.post("adder", DONE, ()))
        .create(&kernel)?;
    kernel.run().await
}
