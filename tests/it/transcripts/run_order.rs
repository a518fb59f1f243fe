//! Run: records, the ends of the outputs and the close, in their order; an input that breaks.

use super::*;
use poe::event::{START, STOP};
use poe::filter::Line;
use poe::wheel::{Input, IoError, Run};
use poe::{Event, HandlerResult, Session, WheelId, unix::ProcessExit};
use std::process::Command;

const STDOUT: Event<Input<String>> = Event::new("stdout");
const STDERR: Event<Input<String>> = Event::new("stderr");
const FLUSHED: Event<WheelId> = Event::new("flushed");
const ERROR: Event<IoError> = Event::new("error");
const CLOSE: Event<WheelId> = Event::new("close");
const REAPED: Event<ProcessExit> = Event::new("reaped");

#[derive(Default)]
struct Heap {
    wheel: Option<Run>,
    closed: bool,
    reaped: bool,
}

async fn program(title: &str, script: &'static str, quiet: bool, then: fn(&Run, &str)) {
    out!("== {title}");
    // The program's time is real.
    let kernel = Kernel::new();
    let tell = move |heap: &Heap, what: &str| {
        if let Some(wheel) = &heap.wheel {
            then(wheel, what);
        }
    };
    Session::builder(Heap::default())
        .on(START, move |cx, ()| -> HandlerResult {
            let mut command = Command::new("sh");
            command.args(["-c", script]);
            let builder = Run::builder(command).error(ERROR).close(CLOSE).stdin_flushed(FLUSHED);
            let builder = match quiet {
                true => builder,
                false => builder.stdout(Line::new(), STDOUT).stderr(Line::new(), STDERR),
            };
            let wheel = builder.start(cx)?;
            cx.sig_child(wheel.pid().unwrap_or_default(), REAPED, ())?;
            cx.heap.wheel = Some(wheel);
            tell(&cx.heap, "begun");
            Ok(())
        })
        .on(STDOUT, move |cx, input| {
            out!("stdout {}", input.record);
            tell(&cx.heap, &format!("stdout {}", input.record));
        })
        .on(STDERR, |_, input| out!("stderr {}", input.record))
        .on(FLUSHED, |_, _| out!("flushed"))
        .on(ERROR, move |cx, failed| {
            let what = match () {
                () if failed.is_eof() => "end",
                () if failed.is_reset() => "EPIPE",
                () => "another",
            };
            let line = format!("{} {} {what}", failed.stream().unwrap(), failed.operation());
            out!("{line}");
            tell(&cx.heap, &line);
        })
        .on(CLOSE, |cx, _| {
            out!("close");
            cx.heap.closed = true;
            if cx.heap.reaped {
                cx.heap.wheel = None;
            }
        })
        .on(REAPED, move |cx, _| {
            cx.heap.reaped = true;
            if cx.heap.closed || quiet {
                cx.heap.wheel = None;
            }
        })
        .on(STOP, |_, ()| out!("_stop"))
        .create(&kernel)
        .unwrap();
    kernel.run().await.unwrap();
}

pub(crate) async fn play() {
    let nothing = |_: &Run, _: &str| ();
    let script = "echo a; echo b; printf rest; exec 1>&-; sleep 1; echo c >&2; printf rest >&2";
    program("output first", script, false, nothing).await;
    program("complaints first", "exec 2>&-; sleep 1; echo a; echo b", false, nothing).await;
    let script = "read line; echo \"<$line>\"; exec 1>&-; sleep 1";
    program("an answer", script, false, |wheel, what| {
        if what == "begun" {
            wheel.put("hello").unwrap();
        }
    })
    .await;
    let script = "exec 2>&-; sleep 1; cat; echo over";
    program("the end of input", script, false, |wheel, what| {
        if what == "STDERR read end" {
            wheel.shutdown_stdin();
        }
    })
    .await;
    let script = "exec 0<&-; echo ready; sleep 1; exec 2>&-; sleep 1";
    program("an input that breaks", script, false, |wheel, what| {
        if what == "stdout ready" {
            wheel.put("anybody?").unwrap();
        }
    })
    .await;
    program("without outputs", "exit 0", true, nothing).await;
}
