use bytes::Bytes;
use poe::filter::{Line, Raw};
use poe::wheel::{AnyReadWrite, Input, ReadWrite};
use poe::{Event, Kernel, Session, WheelId, event::START};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

const LINE: Event<Input<String>> = Event::new("line");
const BYTES: Event<Input<Bytes>> = Event::new("bytes");
const FLUSHED: Event<WheelId> = Event::new("flushed");

// The filter changes to one that takes another type: `put` takes anything and checks it when it runs. A `ReadWrite<String>`
// would check it when it is compiled, and `retype` would change it to `ReadWrite<Bytes>`.
#[derive(Default)]
struct Heap {
    theirs: Option<UnixStream>,
    wheel: Option<AnyReadWrite>,
    done: bool,
}

// Lines, until the peer says "stream"; then bytes as they come.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), poe::Error> {
    let kernel = Kernel::new();
    Session::builder(Heap::default())
        .on(START, |cx, ()| -> poe::HandlerResult {
            let (ours, mut theirs) = UnixStream::pair()?;
            theirs.write_all(b"hello\nstream\n\x01\x02")?;
            cx.heap.theirs = Some(theirs);
            ours.set_nonblocking(true)?;
            let ours = tokio::net::UnixStream::from_std(ours)?;
            let wheel = ReadWrite::builder(ours).input(Line::new(), LINE).flushed(FLUSHED).start(cx)?;
            cx.heap.wheel = Some(wheel.into_any());
            Ok(())
        })
        .on(LINE, |cx, input| -> poe::HandlerResult {
            let Some(wheel) = &cx.heap.wheel else { return Ok(()) };
            println!("line: {}", input.record);
            wheel.put(input.record.to_uppercase())?;
            if input.record == "stream" {
                wheel.set_filter(Raw::new(), BYTES)?;
            }
            Ok(())
        })
        .on(BYTES, |cx, input| -> poe::HandlerResult {
            println!("{} bytes", input.record.len());
            cx.heap.done = true;
            if let Some(wheel) = &cx.heap.wheel {
                wheel.put(input.record)?;
            }
            Ok(())
        })
        .on(FLUSHED, |cx, _| -> poe::HandlerResult {
            if !cx.heap.done {
                return Ok(());
            }
            if let Some(mut theirs) = cx.heap.theirs.take() {
                let mut bytes = [0; 100];
                let n = theirs.read(&mut bytes)?;
                println!("flushed: {}", bytes[..n].escape_ascii().to_string().replace("\\r\\n", "|"));
                cx.heap.wheel = None;
            }
            Ok(())
        })
        .create(&kernel)?;
    kernel.run().await
}
