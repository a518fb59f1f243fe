//! POE::Wheel::ReadWrite: what comes in which order. Rows RW1, RW2, RW3, RW7, RW10, RW11, RW12; laws 2, 8, 11, 20.

use super::kernel;
use poe::event::START;
use poe::filter::Line;
use poe::wheel::{Input, IoError, ReadWrite, ReadWriteBuilder};
use poe::{Context, Event, HandlerResult, Kernel, Session, SessionBuilder, WheelId};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

const LINE: Event<Input<String>> = Event::new("line");
const ERROR: Event<IoError> = Event::new("error");
const FLUSHED: Event<WheelId> = Event::new("flushed");
const LOW: Event<WheelId> = Event::new("low");

type Heap = Option<ReadWrite>;

fn wheel<'a>(cx: &'a Context<'_, Heap>) -> &'a ReadWrite {
    cx.heap.as_ref().expect("the wheel is there")
}

/// Our end, and the other one with some bytes written to it.
async fn pair(bytes: &str) -> (DuplexStream, DuplexStream) {
    let (ours, mut peer) = duplex(4096);
    peer.write_all(bytes.as_bytes()).await.unwrap();
    (ours, peer)
}

async fn rest(mut peer: DuplexStream) -> String {
    let mut text = String::new();
    peer.read_to_string(&mut text).await.unwrap();
    text.replace("\r\n", " ")
}

/// A session with a wheel; it says what it is told, and lets go of the wheel at the end of the input.
fn session(ours: DuplexStream, build: impl Fn(ReadWriteBuilder) -> ReadWriteBuilder + 'static) -> SessionBuilder<Heap> {
    let ours = Cell::new(Some(ours));
    Session::builder(None)
        .on(START, move |cx, ()| -> HandlerResult {
            let builder = ReadWrite::builder(ours.take().expect("a session starts once"));
            *cx.heap = Some(build(builder.input(Line::new(), LINE).error(ERROR).flushed(FLUSHED)).start(cx)?);
            cx.yield_to("go", ());
            Ok(())
        })
        .on("go", |_, ()| ())
        .on(LINE, |_, input| out!("  line {}", input.record))
        .on(FLUSHED, |_, _| out!("  flushed"))
        .on(LOW, |_, _| out!("  low"))
        .on(ERROR, |cx, error| {
            let pending = String::from_utf8(wheel(cx).input_pending().to_vec()).unwrap();
            let pending = if pending.is_empty() { "nothing" } else { &pending };
            out!(
                "  {} error {}, pending {pending}",
                error.operation(),
                error.errno().unwrap_or(-1)
            );
            *cx.heap = None;
        })
}

async fn run(kernel: &Kernel, session: SessionBuilder<Heap>) {
    session.create(kernel).unwrap();
    kernel.run().await.unwrap();
}

pub(crate) async fn play() {
    let kernel = kernel();
    reads(&kernel).await;
    writes(&kernel).await;
    filters(&kernel).await;

    out!("== a shutdown of the output loses what waits, and the input goes on");
    let (ours, peer) = pair("a line\r\n").await;
    let (reads, writes) = tokio::io::split(peer);
    let writes = RefCell::new(Some(writes));
    let session = session(ours, |b| b)
        .on("go", |cx, ()| -> HandlerResult {
            wheel(cx).pause_input();
            wheel(cx).put("never written")?;
            wheel(cx).shutdown_output();
            cx.delay("later", Duration::from_millis(100), ());
            Ok(())
        })
        .on("later", move |cx, ()| {
            out!("  later");
            wheel(cx).resume_input();
            let mut writes = writes.take().expect("it comes once");
            cx.spawn(async move { writes.shutdown().await.unwrap() }, "shut");
        })
        .on("shut", |_, ()| ());
    run(&kernel, session).await;
    let mut text = String::new();
    let mut reads = reads;
    reads.read_to_string(&mut text).await.unwrap();
    out!("  the peer has {}", if text.is_empty() { "nothing" } else { &text });
}

async fn reads(kernel: &Kernel) {
    out!("== the records of a read are events one by one, ahead of what they post; the end comes behind them");
    let (ours, mut peer) = pair("one\r\ntwo\r\nthree\r\nhalf").await;
    peer.shutdown().await.unwrap();
    let session = session(ours, |b| b)
        .on(LINE, |cx, input| {
            out!("  line {}", input.record);
            cx.yield_to("posted", input.record);
        })
        .on("posted", |_, line: String| out!("  posted {line}"));
    run(kernel, session).await;
}

async fn writes(kernel: &Kernel) {
    out!("== low comes before flushed, and what is put in flushed is another flush");
    let (ours, peer) = pair("").await;
    let flushes = Rc::new(Cell::new(0));
    let low = session(ours, |b| b.watermarks(20, 10).low(LOW))
        .on("go", |cx, ()| -> HandlerResult {
            for _ in 0..3 {
                let high = wheel(cx).put("01234567")?.is_high();
                out!("  put {}", if high { "high" } else { "normal" });
            }
            out!(
                "  {} bytes, {} messages",
                wheel(cx).buffered_bytes(),
                wheel(cx).out_messages()
            );
            Ok(())
        })
        .on(FLUSHED, move |cx, _| -> HandlerResult {
            out!("  flushed");
            flushes.set(flushes.get() + 1);
            if flushes.get() == 1 {
                wheel(cx).put("more")?;
            } else {
                *cx.heap = None;
            }
            Ok(())
        });
    run(kernel, low).await;
    out!("  the peer has {}", rest(peer).await);

    out!("== a flush by hand");
    let (ours, peer) = pair("").await;
    let by_hand = session(ours, |b| b)
        .on("go", |cx, ()| -> HandlerResult {
            wheel(cx).put("one")?;
            out!("  {} bytes", wheel(cx).buffered_bytes());
            wheel(cx).flush();
            out!("  back with {} bytes", wheel(cx).buffered_bytes());
            cx.delay("end", Duration::from_millis(100), ());
            Ok(())
        })
        .on("end", |cx, ()| *cx.heap = None);
    run(kernel, by_hand).await;
    out!("  the peer has {}", rest(peer).await);
}

async fn filters(kernel: &Kernel) {
    out!("== a change of the input filter in the handler of a record");
    let (ours, mut peer) = pair("abc|de,f").await;
    peer.shutdown().await.unwrap();
    let input = session(ours, |b| b.input(Line::new().literal("|"), LINE)).on(LINE, |cx, input| -> HandlerResult {
        out!("  line {}", input.record);
        if input.record == "abc" {
            wheel(cx).set_input_filter(Line::new().literal(","), LINE)?;
            out!("  back");
        }
        Ok(())
    });
    run(kernel, input).await;

    out!("== a change of the output filter is for what is put later");
    let (ours, peer) = pair("").await;
    let output = session(ours, |b| b)
        .on("go", |cx, ()| -> HandlerResult {
            wheel(cx).put("one")?;
            wheel(cx).set_output_filter(Line::new().literal("|"))?;
            wheel(cx).put("two")?;
            Ok(())
        })
        .on(FLUSHED, |cx, _| {
            out!("  flushed");
            *cx.heap = None;
        });
    run(kernel, output).await;
    out!("  the peer has {}", rest(peer).await);
}
