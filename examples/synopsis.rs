//! The synopsis of POE's manual: ten sessions count to ten. Prints what the Perl original prints, line for line.

use poe::event::{START, STOP};
use poe::{Event, Kernel, Session, States};

const INCREMENT: Event<()> = Event::new("increment");

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), poe::Error> {
    let kernel = Kernel::new();
    let counter = States::<u32>::new() // the heap type comes first, so closures infer
        .on(START, |cx, ()| {
            println!("Session {} has started.", cx.session_id());
            cx.yield_to(INCREMENT, ());
        })
        .on(INCREMENT, |cx, ()| {
            *cx.heap += 1;
            println!("Session {} counted to {}.", cx.session_id(), *cx.heap);
            if *cx.heap < 10 {
                cx.yield_to(INCREMENT, ());
            }
        })
        .on(STOP, |cx, ()| println!("Session {} has stopped.", cx.session_id()));
    for _ in 0..10 {
        Session::builder(0_u32).inline_states(&counter).create(&kernel)?;
    }
    kernel.run().await
}
