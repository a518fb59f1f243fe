use poe::event::START;
use poe::{Event, Kernel, Reply, Session};
use poe_ikc::{Ikc, IkcTcp, Lite};
use std::time::Duration;

const NOTE: Event<String> = Event::new("note");
const ADD: Event<(i64, i64), i64> = Event::new("add");
const STOP: Event<(), u32> = Event::new("stop");

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = Kernel::new();
    let ikc = Ikc::builder("Pulse")
        .publish("calc", |p| p.event(NOTE).event(ADD).event(STOP))
        .start(&server)?;
    let address = ikc.listen(IkcTcp::bind("127.0.0.1:0")).await?.to_string();
    Session::builder(0)
        .on(START, |cx, ()| cx.alias_set("calc"))
        .on(NOTE, |cx, _| *cx.heap += 1)
        .on(ADD, |_, (a, b)| Reply(a + b))
        .on(STOP, move |cx, ()| {
            ikc.shutdown();
            Reply(*cx.heap)
        })
        .create(&server)?;
    let script = tokio::task::spawn_blocking(move || script(&address).map_err(|error| error.to_string()));
    let (served, asked) = tokio::join!(server.run(), script);
    served?;
    Ok(asked??)
}

/// It has no kernel, and blocks.
fn script(address: &str) -> Result<(), Box<dyn std::error::Error>> {
    let mut lite = Lite::connect_tcp(address, "Script", Duration::from_secs(10))?;
    lite.post("calc", NOTE, "hello".to_owned())?;
    println!("the sum is {}", lite.call("calc", ADD, (20, 22))?);
    if lite.call::<_, i64>("calc", "secret", 1).is_err() {
        println!("refused");
    }
    println!("notes: {}", lite.call("calc", STOP, ())?);
    Ok(())
}
