use poe::filter::Line;
use poe::wheel::{Exited, Input, Run};
use poe::{Event, Kernel, Session, event::{START, STOP}};

const OUTPUT: Event<Input<String>> = Event::new("output");
const COMPLAINT: Event<Input<String>> = Event::new("complaint");
const ENDED: Event<Exited> = Event::new("ended");

#[derive(Default)]
struct Heap {
    wheel: Option<Run>,
    lines: Vec<String>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), poe::Error> {
    let kernel = Kernel::new();
    Session::builder(Heap::default())
        .on(START, |cx, ()| -> poe::HandlerResult {
            let wheel = Run::shell("read name; echo \"hello $name\"; echo oh >&2; exit 3")
                .stdout(Line::lossy(), OUTPUT)
                .stderr(Line::lossy(), COMPLAINT)
                .ended(ENDED) // both: the program has ended, and its output is closed
                .start(cx)?;
            wheel.put("world")?;
            cx.heap.wheel = Some(wheel);
            Ok(())
        })
        .on(OUTPUT, |cx, input| cx.heap.lines.push(format!("output: {}", input.record)))
        .on(COMPLAINT, |cx, input| cx.heap.lines.push(format!("complaint: {}", input.record)))
        .on(ENDED, |cx, exited| {
            println!("exit {}", exited.status.and_then(|status| status.code()).unwrap());
            cx.heap.wheel = None;
        })
        .on(STOP, |cx, ()| {
            cx.heap.lines.sort();
            for line in &cx.heap.lines {
                println!("{line}");
            }
        })
        .create(&kernel)?;
    kernel.run().await
}
