//! Lines that a person types, as events. Run it with `cargo run -p poe-terminal --example read_line`.

use poe::{Event, Kernel, Session, event::START};
use poe_terminal::{ReadLine, ReadLineInput, Typed};

const INPUT: Event<ReadLineInput> = Event::new("input");

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), poe::Error> {
    let kernel = Kernel::new();
    Session::builder(None::<ReadLine>)
        .on(START, |cx, ()| -> poe::HandlerResult {
            let line = ReadLine::builder().input(INPUT).start(cx)?;
            line.get("> ");
            *cx.heap = Some(line);
            Ok(())
        })
        .on(INPUT, |cx, input| match (input.typed, &*cx.heap) {
            (Typed::Line(text), Some(line)) => {
                line.put(format!("you typed {text}"));
                line.add_history(&text);
                line.get("> ");
            }
            _ => *cx.heap = None, // C-c or C-d: the terminal is as it was before
        })
        .create(&kernel)?;
    kernel.run().await
}
