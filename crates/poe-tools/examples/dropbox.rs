//! A drop box: whatever file is put into a directory is counted, and moved to `done` below it.
//!
//! `cargo run -p poe-tools --example dropbox -- DIRECTORY` runs until Ctrl-C. [`DirWatch`] says when a file is complete, [`JobQueue`] counts on two threads,
//! the smallest files first, [`PubSub`] passes the results on to those who want to know them, and [`Cron`] says once a minute how many there were. All are
//! children of one supervisor; the session in the middle is found by its alias, whichever of them is being restarted.

use poe::component::{ChildSpec, Strategy, Supervisor};
use poe::event::START;
use poe::{Error, Event, HandlerResult, Kernel, Session};
use poe_tools::{Cron, CronTick, DirWatch, FileChange, JobDone, JobQueue, PubSub};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A topic: a file and its words.
const COUNTED: Event<(String, usize)> = Event::new("counted");
const ARRIVED: Event<FileChange> = Event::new("arrived");
const DONE: Event<JobDone<io::Result<(PathBuf, usize)>>> = Event::new("done");
const SHOW: Event<(String, usize)> = Event::new("show");
const MINUTE: Event<CronTick> = Event::new("minute");

/// Starts everything; `print` gets a line for each file, and one a minute.
pub(crate) fn start(
    kernel: &Kernel,
    directory: &Path,
    print: impl Fn(String) + Clone + 'static,
) -> Result<Supervisor, Error> {
    let bus = PubSub::builder().start(kernel)?;
    let (bus_of_clerk, bus_of_printer) = (bus.clone(), bus);
    let watched = directory.to_owned();
    let watch = ChildSpec::new("watch", move |cx| -> Result<_, Error> {
        let watch = DirWatch::builder(&watched).unchanged_for(Duration::from_millis(200), ARRIVED);
        Ok(cx
            .start(watch.interval(Duration::from_millis(500)).post_to("clerk"))?
            .session_id())
    });
    let clerk = ChildSpec::new("clerk", move |cx| {
        let (publisher, bus) = (bus_of_clerk.clone(), bus_of_clerk.clone());
        let clerk = Session::builder(None)
            .on(START, move |cx, ()| -> HandlerResult {
                publisher.publish(cx, COUNTED)?;
                // A child of the clerk, so that it comes and goes with it.
                let queue = JobQueue::blocking(count).workers(2);
                *cx.heap = Some(cx.start(queue.priority(|file: &FileChange| -(file.len as i64)))?);
                Ok(())
            })
            .on(ARRIVED, |cx, file| -> HandlerResult {
                // A full queue is a failure: the clerk starts anew, and goes on with the next file.
                let queue = cx.heap.as_ref().ok_or("there is no queue")?;
                Ok(queue.enqueue(cx, file, DONE).map(drop)?)
            })
            .on(DONE, move |cx, done| -> HandlerResult {
                let (path, words) = done.result??;
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                bus.send(cx, COUNTED, (name, words))?;
                Ok(())
            });
        cx.create(clerk)
    });
    let printer = ChildSpec::new("printer", move |cx| {
        let (bus, each, print) = (bus_of_printer.clone(), print.clone(), print.clone());
        let printer = Session::builder(0_usize)
            .on(START, move |cx, ()| -> HandlerResult {
                bus.subscribe(cx, COUNTED, SHOW)?;
                let cron = cx.start(Cron::builder())?;
                Ok(cron.add(cx, "* * * * *", MINUTE).map(drop)?)
            })
            .on(SHOW, move |cx, (name, words)| {
                *cx.heap += 1;
                each(format!("{name}: {words} words"));
            })
            .on(MINUTE, move |cx, _| print(format!("{} files so far", *cx.heap)));
        cx.create(printer)
    });
    Supervisor::builder(Strategy::OneForOne)
        .child(printer)
        .child(clerk.alias("clerk"))
        .child(watch)
        .start(kernel)
}

/// Counts the words of a file, and moves it away; on a thread.
fn count(file: FileChange) -> io::Result<(PathBuf, usize)> {
    let text = std::fs::read(&file.path)?;
    let words = text
        .split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty())
        .count();
    let done = file.path.with_file_name("done");
    std::fs::create_dir_all(&done)?;
    std::fs::rename(&file.path, done.join(file.path.file_name().unwrap_or_default()))?;
    Ok((file.path, words))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = std::env::args_os().nth(1).ok_or("dropbox DIRECTORY")?;
    let kernel = Kernel::new();
    start(&kernel, Path::new(&directory), |line| println!("{line}"))?;
    let report = kernel
        .serve_until(poe::hosts::terminated()?, Duration::from_secs(5))
        .await?;
    println!("{report}");
    Ok(())
}
