use poe::event::START;
use poe::{Event, Kernel, Reply, Session};
use poe_ikc::{Ikc, IkcTcp, RemoteError};
use std::time::Duration;

const NOTE: Event<String> = Event::new("note");
const ADD: Event<(i64, i64), i64> = Event::new("add");
const NOTES: Event<(), String> = Event::new("notes");
const STOP: Event<()> = Event::new("stop");
const SUM: Event<Result<i64, RemoteError>> = Event::new("sum");
const NOTED: Event<Result<String, RemoteError>> = Event::new("noted");
const GO: Event<()> = Event::new("go");
const LIMIT: Duration = Duration::from_secs(10);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // The server; any other process could have it.
    let server = Kernel::new();
    let ikc = Ikc::builder("Pulse")
        .publish("calc", |p| p.event(NOTE).event(ADD).event(NOTES).event(STOP))
        .start(&server)?;
    let address = ikc.listen(IkcTcp::bind("127.0.0.1:0")).await?.to_string();
    Session::builder(Vec::<String>::new())
        .on(START, |cx, ()| cx.alias_set("calc"))
        .on(NOTE, |cx, note| cx.heap.push(note))
        .on(ADD, |_, (a, b)| Reply(a + b))
        .on(NOTES, |cx, ()| Reply(cx.heap.join(", ")))
        .on(STOP, move |_, ()| ikc.shutdown())
        .create(&server)?;

    // The client.
    let client = Kernel::new();
    let ikc = Ikc::builder("Asker").start(&client)?;
    ikc.connect(IkcTcp::connect(address)).await?;
    Session::builder(ikc)
        .on(START, |cx, ()| {
            let connected = cx.heap.registered("Pulse");
            cx.spawn(async { drop(connected.await) }, GO);
        })
        .on(GO, |cx, ()| -> poe::HandlerResult {
            cx.heap.post("poe://Pulse/calc", NOTE, "hello".to_owned())?;
            cx.heap.call(cx, "poe://Pulse/calc", ADD, (20, 22), SUM, LIMIT)?;
            Ok(cx.heap.call(cx, "poe://Pulse/calc", NOTES, (), NOTED, LIMIT)?)
        })
        .on(SUM, |_, sum| -> poe::HandlerResult {
            println!("the sum is {}", sum?);
            Ok(())
        })
        .on(NOTED, |cx, notes| -> poe::HandlerResult {
            println!("the server has noted: {}", notes?);
            cx.heap.post("poe://Pulse/calc", STOP, ())?;
            cx.heap.shutdown();
            Ok(())
        })
        .create(&client)?;
    let (served, asked) = tokio::join!(server.run(), client.run());
    served?;
    Ok(asked?)
}
