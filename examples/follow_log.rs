//! Follows a log file and sends matching lines to a TCP server, across rotations and broken connections.
//!
//! `cargo run --example follow_log -- FILE HOST:PORT [WORD]` (on Unix) sends the lines of `FILE` that contain `WORD`, from
//! now on. While the server is away they are buffered up to a limit; the oldest are dropped first, and the number is reported.

#![cfg_attr(not(unix), allow(unused))]

#[cfg(unix)]
pub use follower::start;

#[cfg(unix)]
mod follower {
    use poe::event::START;
    use poe::filter::Line;
    use poe::wheel::{Connection, FollowTail, Input, IoError, ReadWrite, SocketError, SocketFactory};
    use poe::{Context, Event, HandlerResult, KERNEL_SHUTDOWN, Kernel, Session, SessionId, Signal, WheelId};
    use std::collections::VecDeque;
    use std::path::PathBuf;
    use std::time::Duration;

    /// The most lines that are buffered while the server is away.
    const WAITING: usize = 10_000;
    const RETRY: Duration = Duration::from_millis(200);

    const LINE: Event<Input<String>> = Event::new("line");
    const ROTATED: Event<WheelId> = Event::new("rotated");
    const TAIL_FAILED: Event<IoError> = Event::new("tail failed");
    const CONNECT: Event<()> = Event::new("connect");
    const CONNECTED: Event<Connection> = Event::new("connected");
    const NOT_CONNECTED: Event<SocketError> = Event::new("not connected");
    const HEARD: Event<Input<String>> = Event::new("heard");
    const FLUSHED: Event<WheelId> = Event::new("flushed");
    const BROKEN: Event<IoError> = Event::new("broken");
    /// Ends the session as soon as all lines read so far have been sent.
    const END: Event<()> = Event::new("end");
    const SHUTTING_DOWN: Event<Signal> = Event::new("shutting down");

    struct Heap {
        path: PathBuf,
        server: String,
        word: String,
        interval: Duration,
        tail: Option<FollowTail>,
        factory: Option<SocketFactory>,
        connection: Option<ReadWrite>,
        waiting: VecDeque<String>,
        dropped: usize,
        ending: bool,
    }

    type Cx<'k> = Context<'k, Heap>;

    /// Starts the session; it ends when `"end"` is posted to it, or when the kernel is shut down.
    pub fn start(
        kernel: &Kernel,
        path: PathBuf,
        server: String,
        word: String,
        interval: Duration,
    ) -> Result<SessionId, poe::Error> {
        let heap = Heap {
            path,
            server,
            word,
            interval,
            tail: None,
            factory: None,
            connection: None,
            waiting: VecDeque::new(),
            dropped: 0,
            ending: false,
        };
        Session::builder(heap)
            .on(START, |cx, ()| -> HandlerResult {
                let tail = FollowTail::builder(&cx.heap.path).input(Line::lossy(), LINE);
                let tail = tail.poll_interval(cx.heap.interval).reset(ROTATED).error(TAIL_FAILED);
                cx.heap.tail = Some(tail.start(cx)?);
                cx.sig(KERNEL_SHUTDOWN, SHUTTING_DOWN);
                cx.yield_to(CONNECT, ());
                Ok(())
            })
            .on(LINE, |cx, input| {
                if input.record.contains(&cx.heap.word) {
                    cx.heap.waiting.push_back(input.record);
                    send(cx);
                }
            })
            .on(ROTATED, |_, _| eprintln!("the log was rotated"))
            .on(TAIL_FAILED, |_, error| eprintln!("{error}"))
            .on(CONNECT, |cx, ()| {
                let factory = SocketFactory::connect(&cx.heap.server)
                    .success(CONNECTED)
                    .failure(NOT_CONNECTED);
                cx.heap.factory = Some(factory.start(cx));
            })
            .on(CONNECTED, |cx, connection| -> HandlerResult {
                cx.heap.factory = None;
                let wheel = ReadWrite::builder(connection.stream).input(Line::lossy(), HEARD);
                let wheel = wheel.output(Line::new().literal("\n")).watermarks(65_536, 16_384);
                cx.heap.connection = Some(wheel.low(FLUSHED).flushed(FLUSHED).error(BROKEN).start(cx)?);
                send(cx);
                Ok(())
            })
            .on(NOT_CONNECTED, |cx, error| {
                eprintln!("{error}");
                again(cx);
            })
            .on(BROKEN, |cx, error| {
                eprintln!("{error}");
                again(cx);
            })
            .on(HEARD, |_, _| ())
            .on(FLUSHED, |cx, _| send(cx))
            .on(SHUTTING_DOWN, |cx, _| {
                cx.sig_handled();
                cx.yield_to(END, ());
            })
            .on(END, |cx, ()| {
                cx.heap.tail = None;
                cx.heap.ending = true;
                send(cx);
            })
            .create(kernel)
    }

    /// Sends buffered lines until the output buffer is full.
    fn send(cx: &mut Cx<'_>) {
        let heap = &mut *cx.heap;
        if heap.waiting.len() > WAITING {
            heap.dropped += heap.waiting.len() - WAITING;
            heap.waiting.drain(..heap.waiting.len() - WAITING);
            eprintln!("{} lines were dropped so far", heap.dropped);
        }
        if let Some(connection) = &heap.connection {
            while connection.buffered_bytes() < 65_536
                && let Some(line) = heap.waiting.pop_front()
            {
                // A refused line is returned in the error, and waits for the next connection.
                if let Err(refused) = connection.put(line) {
                    heap.waiting.extend(refused.into_record());
                    heap.waiting.rotate_right(1);
                    return;
                }
            }
        }
        if heap.ending && heap.waiting.is_empty() {
            end(cx);
        }
    }

    /// Called when no line is left: closes the connection after its buffer is written.
    fn end(cx: &mut Cx<'_>) {
        match cx.heap.connection.take() {
            Some(connection) if connection.buffered_bytes() > 0 => cx.heap.connection = Some(connection),
            Some(connection) => connection.close(Duration::from_secs(1)),
            None => {
                cx.heap.factory = None;
                cx.alarm_clear(CONNECT);
            }
        }
    }

    fn again(cx: &mut Cx<'_>) {
        (cx.heap.factory, cx.heap.connection) = (None, None);
        if !cx.heap.ending || !cx.heap.waiting.is_empty() {
            cx.delay(CONNECT, RETRY, ());
        }
    }
}

#[cfg(unix)]
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(path), Some(server)) = (args.next(), args.next()) else {
        return Err("usage: follow_log FILE HOST:PORT [WORD]".into());
    };
    let kernel = poe::Kernel::new();
    let word = args.next().unwrap_or_default();
    start(
        &kernel,
        path.into(),
        server,
        word,
        std::time::Duration::from_millis(250),
    )?;
    let limit = std::time::Duration::from_secs(5);
    let report = kernel.serve_until(poe::hosts::terminated()?, limit).await?;
    if !report.is_clean() {
        eprintln!("{report}");
    }
    Ok(())
}

#[cfg(not(unix))]
fn main() {
    eprintln!("files are followed on Unix only");
}
