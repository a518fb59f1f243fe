use poe::{Event, Kernel, Session, event::START, unix::{SelectMode, Selected, Watched}};
use std::io::{PipeReader, PipeWriter, Read, Write};

const READABLE: Event<Selected<&str>> = Event::new("readable");
const WRITABLE: Event<Selected> = Event::new("writable");

struct Heap {
    reader: PipeReader,
    writer: Option<PipeWriter>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), poe::Error> {
    let kernel = Kernel::new();
    let (reader, writer) = std::io::pipe().expect("no pipe");
    Session::builder(Heap { reader, writer: Some(writer) })
        .on(START, |cx, ()| -> poe::HandlerResult {
            cx.select(&Watched::new(&cx.heap.reader)?, SelectMode::Read, READABLE, "extra")?;
            cx.select(&Watched::new(cx.heap.writer.as_ref().unwrap())?, SelectMode::Write, WRITABLE, ())?;
            Ok(())
        })
        .on(WRITABLE, |cx, ready| -> poe::HandlerResult {
            cx.select_clear(&ready.handle, SelectMode::Write);
            if let Some(mut writer) = cx.heap.writer.take() {
                writer.write_all(b"bytes")?;
            }
            Ok(())
        })
        .on(READABLE, |cx, ready| -> poe::HandlerResult {
            let mut bytes = [0; 100];
            let n = cx.heap.reader.read(&mut bytes)?;
            if n > 0 {
                println!("read: {}, {}", String::from_utf8_lossy(&bytes[..n]), ready.extra);
                return Ok(());
            }
            println!("the end");
            cx.select_clear(&ready.handle, SelectMode::Read);
            Ok(())
        })
        .create(&kernel)?;
    kernel.run().await
}
