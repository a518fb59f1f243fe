//! A line client that reconnects.
//!
//! `cargo run --example line_client -- 127.0.0.1:7777` sends each line of its standard input to the server and prints the
//! lines that it receives. When the server is away the client tries again, with growing delays, and sends the lines typed
//! meanwhile. After the end of its input the client ends as soon as the server has sent nothing for a second.

use poe::component::{Backoff, SHUTDOWN, Server, TcpClient};
use poe::event::START;
use poe::filter::Line;
use poe::wheel::{Address, Descriptor, Input, IoError, ReadWrite};
use poe::{Context, Event, Kernel, Session};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};

/// A line to send; `None` at the end of the input.
const TYPED: Event<Option<String>> = Event::new("typed");

const LINE: Event<Input<String>> = Event::new("line");
const OVER: Event<IoError> = Event::new("over");

/// The lines that wait for a connection.
#[derive(Default)]
struct Typist {
    waiting: Vec<String>,
    over: bool,
}

const SILENCE: Duration = Duration::from_secs(1);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7777".into());
    talk(address.into(), Descriptor::stdin()?, |line| println!("{line}")).await?;
    Ok(())
}

/// Sends the lines of `input` to the server, and calls `show` with each line that the server sends.
pub(crate) async fn talk(
    address: Address,
    input: impl AsyncRead + AsyncWrite + 'static,
    show: impl Fn(&str) + 'static,
) -> Result<(), poe::Error> {
    let kernel = Kernel::new();
    let client = TcpClient::builder(address)
        .heap(Typist::default())
        .filter(Line::lossy)
        .backoff(Backoff::new().longest(Duration::from_secs(10)))
        .connect_timeout(Duration::from_secs(5))
        .started(|cx| eprintln!("connecting to {}", cx.target()))
        .connected(|cx| {
            eprintln!("connected");
            for line in std::mem::take(&mut cx.heap.waiting) {
                cx.server().put(line);
            }
            end_in_silence(cx);
        })
        .server_input(move |cx, line| {
            show(&line);
            end_in_silence(cx);
        })
        .state(TYPED, |cx, typed: Option<String>| match typed {
            Some(line) if cx.server().is_connected() => cx.server().put(line),
            Some(line) => cx.heap.waiting.push(line),
            None => {
                cx.heap.over = true;
                end_in_silence(cx);
            }
        })
        .connect_error(|cx, error| eprintln!("attempt {}: {error}", cx.failures() + 1))
        .disconnected(|_| eprintln!("disconnected"))
        .start(&kernel)?
        .session_id();
    let input = ReadWrite::builder(input).input(Line::new(), LINE).error(OVER);
    Session::builder((Some(input), None::<ReadWrite>))
        .on(START, |cx, ()| -> poe::HandlerResult {
            let input = cx.heap.0.take();
            cx.heap.1 = input.map(|input| input.start(cx)).transpose()?;
            Ok(())
        })
        // The client may have given up; then nobody takes the lines.
        .on(LINE, move |cx, line| match cx.post(client, TYPED, Some(line.record)) {
            Ok(()) => {}
            Err(_) => cx.heap.1 = None,
        })
        .on(OVER, move |cx, error| {
            if !error.is_final() {
                eprintln!("not sent: {error}");
            } else {
                cx.heap.1 = None;
                // As above: the client may have given up.
                let _ = cx.post(client, TYPED, None);
            }
        })
        .create(&kernel)?;
    kernel.run().await
}

/// After the end of the input, ends the client at the next silence. A delay replaces an earlier one of the same name.
fn end_in_silence(cx: &Context<'_, Typist, Server<Line>>) {
    if cx.heap.over && cx.server().is_connected() {
        cx.delay(SHUTDOWN, SILENCE, ());
    }
}
