use poe::filter::Line;
use poe::wheel::{FollowTail, Input};
use poe::{Event, Kernel, Session, WheelId, event::{START, STOP}};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

const LINE: Event<Input<String>> = Event::new("line");
const ROTATED: Event<WheelId> = Event::new("rotated");

struct Heap {
    log: PathBuf,
    tail: Option<FollowTail>,
}

fn append(log: &Path, text: &str) -> std::io::Result<()> {
    OpenOptions::new().append(true).create(true).open(log)?.write_all(text.as_bytes())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), poe::Error> {
    let log = std::env::temp_dir().join(format!("poe-phrasebook-{}.log", std::process::id()));
    append(&log, "old\n").expect("a log");
    let kernel = Kernel::new();
    Session::builder(Heap { log, tail: None })
        .on(START, |cx, ()| -> poe::HandlerResult {
            let tail = FollowTail::builder(&cx.heap.log)
                .input(Line::lossy(), LINE)
                .reset(ROTATED)
                .poll_interval(Duration::from_millis(20))
                .seek_back(0)
                .start(cx)?;
            cx.heap.tail = Some(tail);
            append(&cx.heap.log, "new\n")?;
            Ok(())
        })
        .on(LINE, |cx, input| -> poe::HandlerResult {
            println!("line: {}", input.record);
            if input.record == "new" {
                fs::rename(&cx.heap.log, cx.heap.log.with_extension("log.1"))?;
                append(&cx.heap.log, "after\n")?;
            }
            if input.record == "after" {
                cx.heap.tail = None;
            }
            Ok(())
        })
        .on(ROTATED, |_, _| println!("rotated"))
        .on(STOP, |cx, ()| -> poe::HandlerResult {
            fs::remove_file(&cx.heap.log)?;
            fs::remove_file(cx.heap.log.with_extension("log.1"))?;
            Ok(())
        })
        .create(&kernel)?;
    kernel.run().await
}
