use poe::{Event, Kernel, Session, event::START};
use std::time::{Duration, SystemTime};

const TICK: Event<&str> = Event::new("tick");
const TIMEOUT: Event<()> = Event::new("timeout");

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), poe::Error> {
    let ms = Duration::from_millis;
    let kernel = Kernel::new();
    Session::builder(())
        .on(START, move |cx, ()| -> poe::HandlerResult {
            cx.delay(TIMEOUT, ms(10), ());
            cx.delay(TIMEOUT, ms(50), ()); // in its place
            cx.delay_set(TICK, ms(20), "first");
            let id = cx.delay_set(TICK, ms(10_000), "second");
            cx.delay_adjust(id, ms(30))?;
            cx.alarm_set(TICK, SystemTime::now() + ms(3_600_000), "never");
            Ok(())
        })
        .on(TICK, |_, text| println!("tick: {text}"))
        .on(TIMEOUT, |cx, ()| {
            println!("timeout");
            for left in cx.alarm_remove_all() {
                let text = left.arg.downcast_ref::<&str>().unwrap();
                println!("removed: {} {text}", left.event);
            }
        })
        .create(&kernel)?;
    kernel.run().await
}
