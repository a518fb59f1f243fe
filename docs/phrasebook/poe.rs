use poe::{Event, Kernel, Session, event::{START, STOP}};

const NEXT: Event<()> = Event::new("next");

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), poe::Error> {
    let kernel = Kernel::new();
    for _ in 1..=2 {
        Session::builder(0)
            .on(START, |cx, ()| cx.yield_to(NEXT, ()))
            .on(NEXT, |cx, ()| {
                *cx.heap += 1;
                println!("session {} counts {}", cx.session_id(), *cx.heap);
                if *cx.heap < 2 {
                    cx.yield_to(NEXT, ());
                }
            })
            .on(STOP, |cx, ()| println!("session {} stops", cx.session_id()))
            .create(&kernel)?;
    }
    kernel.run().await
}
