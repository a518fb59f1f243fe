use poe::event::START;
use poe::{Event, Kernel, Session};
use poe_ikc::{Ikc, IkcTcp, Notice, Occurrence, RemoteError, Subscription};
use std::time::Duration;

const GREET: Event<String> = Event::new("greet");
const STOP: Event<()> = Event::new("stop");
const GREETING: Event<String> = Event::new("greeting");
const NOTICE: Event<Notice> = Event::new("notice");
const SUBSCRIBED: Event<Result<Subscription, RemoteError>> = Event::new("subscribed");

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = Kernel::new();
    let ikc = Ikc::builder("Pulse")
        .publish("greeter", |p| p.event(GREET).event(STOP))
        .start(&server)?;
    let address = ikc.listen(IkcTcp::bind("127.0.0.1:0")).await?.to_string();
    Session::builder(())
        .on(START, |cx, ()| cx.alias_set("greeter"))
        .on(GREET, |cx, name| {
            cx.post(cx.sender(), GREETING, format!("hello {name}"))
                .map_err(|error| error.to_string())
        })
        .on(STOP, move |_, ()| ikc.shutdown())
        .create(&server)?;

    let client = Kernel::new();
    let ikc = Ikc::builder("Asker").publish("me", |p| p.event(GREETING)).start(&client)?;
    ikc.connect(IkcTcp::connect(address)).await?;
    Session::builder(ikc)
        .on(START, |cx, ()| {
            cx.heap.monitor(cx, "Pulse", NOTICE);
            cx.alias_set("me")
        })
        .on(NOTICE, |cx, notice| -> poe::HandlerResult {
            match notice.what {
                Occurrence::Register { .. } => {
                    println!("{} is there", notice.kernel);
                    let limit = Duration::from_secs(10);
                    cx.heap.subscribe(cx, "poe://Pulse/greeter", SUBSCRIBED, limit)?;
                }
                Occurrence::Unregister => {
                    println!("{} is gone", notice.kernel);
                    cx.heap.shutdown();
                }
                _ => {}
            }
            Ok(())
        })
        // The proxy is a session, and its alias is the address.
        .on(SUBSCRIBED, |cx, proxy| -> poe::HandlerResult {
            Ok(cx.post(&*proxy?.address, GREET, "you".to_owned())?)
        })
        .on(GREETING, |cx, text| {
            println!("{text}");
            cx.post("poe://Pulse/greeter", STOP, ())
        })
        .create(&client)?;
    let (served, asked) = tokio::join!(server.run(), client.run());
    served?;
    Ok(asked?)
}
