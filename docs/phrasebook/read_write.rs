use poe::filter::Line;
use poe::wheel::{Input, IoError, ReadWrite};
use poe::{Event, Kernel, Session, WheelId, event::START};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

const LINE: Event<Input<String>> = Event::new("line");
const FLUSHED: Event<WheelId> = Event::new("flushed");
const FAILED: Event<IoError> = Event::new("failed");

#[derive(Default)]
struct Heap {
    theirs: Option<UnixStream>,
    wheel: Option<ReadWrite>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), poe::Error> {
    let kernel = Kernel::new();
    Session::builder(Heap::default())
        .on(START, |cx, ()| -> poe::HandlerResult {
            let (ours, mut theirs) = UnixStream::pair()?;
            theirs.write_all(b"hello\nworld\n")?;
            cx.heap.theirs = Some(theirs);
            ours.set_nonblocking(true)?;
            let ours = tokio::net::UnixStream::from_std(ours)?;
            let wheel = ReadWrite::builder(ours).input(Line::new(), LINE).flushed(FLUSHED).error(FAILED);
            cx.heap.wheel = Some(wheel.start(cx)?);
            Ok(())
        })
        .on(LINE, |cx, input| -> poe::HandlerResult {
            println!("line: {}", input.record);
            if let Some(wheel) = &cx.heap.wheel {
                wheel.put(input.record.to_uppercase())?;
            }
            Ok(())
        })
        .on(FLUSHED, |cx, _| -> poe::HandlerResult {
            if let Some(mut theirs) = cx.heap.theirs.take() {
                let mut bytes = [0; 100];
                let n = theirs.read(&mut bytes)?;
                println!("flushed: {}", String::from_utf8_lossy(&bytes[..n]).replace("\r\n", "|"));
            }
            Ok(())
        })
        .on(FAILED, |cx, error| {
            if error.is_eof() {
                println!("the end");
            }
            cx.heap.wheel = None;
        })
        .create(&kernel)?;
    kernel.run().await
}
