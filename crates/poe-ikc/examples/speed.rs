//! Posts and calls in a second: between two kernels over TCP and over NATS, beside a pair that is written by hand for the same work.
//!
//! ```text
//! speed serve KIND ADDRESS
//! speed measure KIND ADDRESS SECONDS CALLS
//! ```
//!
//! KIND is `msgpack` or `storable` (this crate over TCP), `raw` (Tokio and MessagePack by hand), `nats` (this crate) or `raw-nats`
//! (async-nats by hand; `serve` and `measure` take the server's address). CALLS is how many calls wait at a time. Posts go in batches
//! of 1000, each with a call behind it that waits until they are handled.

use async_nats::Client;
use futures_util::StreamExt as _;
use poe::event::START;
use poe::{Event, Kernel, Reply, Session};
use poe_ikc::nats::IkcNats;
use poe_ikc::{Ikc, IkcTcp, RemoteError};
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, BufWriter};
use tokio::net::{TcpListener, TcpStream};

type Failure = Box<dyn std::error::Error + Send + Sync>;

const ADD: Event<(i64, i64), i64> = Event::new("add");
const NOTE: Event<String> = Event::new("note");
const SUM: Event<Result<i64, RemoteError>> = Event::new("sum");
const GO: Event<()> = Event::new("go");

const BATCH: u64 = 1000;
const TEXT: &str = "a note of thirty-two characters.";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["serve", "raw", address] => serve_raw(address).await,
        ["serve", "raw-nats", address] => serve_raw_nats(address).await,
        ["serve", kind, address] => serve(kind, address).await,
        ["measure", kind, address, seconds, calls] => {
            let (limit, calls) = (Duration::from_secs(seconds.parse()?), calls.parse()?);
            let posts = Work {
                limit,
                posts: BATCH,
                calls: 1,
            };
            let asks = Work { limit, posts: 0, calls };
            for (name, work) in [("posts", posts), ("calls", asks)] {
                let began = Instant::now();
                let done = match kind {
                    "raw" => measure_raw(address, work).await?,
                    "raw-nats" => measure_raw_nats(address, work).await?,
                    _ => measure(kind, address, work).await?,
                };
                println!("{kind} {name}/s {:.0}", done as f64 / began.elapsed().as_secs_f64());
            }
            Ok(())
        }
        _ => Err("say `serve KIND ADDRESS` or `measure KIND ADDRESS SECONDS CALLS`".into()),
    }
}

/// What to do until the time is over: batches of posts, each with one call behind it, or only calls.
#[derive(Clone, Copy)]
struct Work {
    limit: Duration,
    posts: u64,
    calls: usize,
}

async fn serve(kind: &str, address: &str) -> Result<(), Failure> {
    let kernel = Kernel::new();
    let ikc = Ikc::builder("Pulse")
        .publish("test", |p| p.event(ADD).event(NOTE))
        .start(&kernel)?;
    Session::builder(0)
        .on(START, |cx, ()| cx.alias_set("test"))
        .on(ADD, |_, (a, b)| Reply(a + b))
        .on(NOTE, |cx, text| *cx.heap += text.len())
        .create(&kernel)?;
    match kind {
        "nats" => ikc.join(IkcNats::connect(address)).await?,
        _ => drop(ikc.listen(IkcTcp::bind(address)).await?),
    }
    println!("listening");
    kernel.run().await?;
    Ok(())
}

struct Asker {
    ikc: Ikc,
    work: Work,
    until: Instant,
    done: u64,
    waiting: usize,
}

impl Asker {
    fn step(&mut self, cx: &poe::KernelRef<'_>) -> poe::HandlerResult {
        while self.waiting < self.work.calls && Instant::now() < self.until {
            for _ in 0..self.work.posts {
                self.ikc.post("poe://Pulse/test", NOTE, TEXT.to_owned())?;
            }
            self.ikc
                .call(cx, "poe://Pulse/test", ADD, (20, 22), SUM, Duration::from_secs(60))?;
            self.waiting += 1;
            self.done += self.work.posts.max(1);
        }
        if self.waiting == 0 {
            self.ikc.shutdown();
        }
        Ok(())
    }
}

async fn measure(kind: &str, address: &str, work: Work) -> Result<u64, Failure> {
    let kernel = Kernel::new();
    let builder = Ikc::builder("Asker");
    let builder = if kind == "storable" {
        builder.perl_only()
    } else {
        builder
    };
    let ikc = builder.start(&kernel)?;
    match kind {
        "nats" => ikc.join(IkcNats::connect(address)).await?,
        _ => ikc.connect(IkcTcp::connect(address)).await?,
    }
    let asker = Asker {
        ikc: ikc.clone(),
        work,
        until: Instant::now() + work.limit,
        done: 0,
        waiting: 0,
    };
    let done = std::rc::Rc::new(std::cell::Cell::new(0));
    let told = done.clone();
    Session::builder(asker)
        .on(START, |cx, ()| cx.alias_set("main"))
        .on(GO, |cx, ()| {
            let kernel = cx.kernel;
            cx.heap.step(&kernel)
        })
        .on(SUM, move |cx, sum| -> poe::HandlerResult {
            sum?;
            cx.heap.waiting -= 1;
            told.set(cx.heap.done);
            let kernel = cx.kernel;
            cx.heap.step(&kernel)
        })
        .create(&kernel)?;
    let go = async {
        ikc.registered("Pulse").await?;
        kernel.post("main", GO, ()).map_err(|error| error.to_string())?;
        Ok::<_, Failure>(())
    };
    let (ran, went) = tokio::join!(kernel.run(), go);
    ran?;
    went?;
    Ok(done.get())
}

/// A message of the pair by hand.
#[derive(Serialize, Deserialize)]
enum Message {
    Note { event: String, text: String },
    Add { event: String, id: u64, args: (i64, i64) },
    Sum { id: u64, sum: i64 },
}

async fn read(stream: &mut (impl AsyncRead + Unpin), buffer: &mut Vec<u8>) -> Result<Option<Message>, Failure> {
    let length = match stream.read_u32().await {
        Ok(length) => length as usize,
        Err(_) => return Ok(None),
    };
    buffer.resize(length, 0);
    stream.read_exact(buffer).await?;
    Ok(Some(rmp_serde::from_slice(buffer)?))
}

async fn write(stream: &mut (impl AsyncWrite + Unpin), message: &Message) -> Result<(), Failure> {
    let bytes = rmp_serde::to_vec_named(message)?;
    stream.write_u32(bytes.len() as u32).await?;
    Ok(stream.write_all(&bytes).await?)
}

async fn serve_raw(address: &str) -> Result<(), Failure> {
    let listener = TcpListener::bind(address).await?;
    println!("listening");
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(async move {
            let (reading, writing) = stream.into_split();
            let (mut reading, mut writing) = (
                BufReader::with_capacity(64 * 1024, reading),
                BufWriter::with_capacity(64 * 1024, writing),
            );
            let (mut buffer, mut total) = (Vec::new(), 0);
            while let Some(message) = read(&mut reading, &mut buffer).await? {
                match message {
                    Message::Note { text, .. } => total += text.len(),
                    Message::Add { id, args: (a, b), .. } => {
                        write(&mut writing, &Message::Sum { id, sum: a + b }).await?;
                    }
                    Message::Sum { .. } => {}
                }
                if reading.buffer().is_empty() {
                    writing.flush().await?;
                }
            }
            Ok::<_, Failure>(total)
        });
    }
}

async fn measure_raw(address: &str, work: Work) -> Result<u64, Failure> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (reading, writing) = stream.into_split();
    let (mut reading, mut writing) = (
        BufReader::with_capacity(64 * 1024, reading),
        BufWriter::with_capacity(64 * 1024, writing),
    );
    let (until, mut buffer, mut done, mut waiting) = (Instant::now() + work.limit, Vec::new(), 0, 0);
    loop {
        while waiting < work.calls && Instant::now() < until {
            for _ in 0..work.posts {
                let (event, text) = ("note".to_owned(), TEXT.to_owned());
                write(&mut writing, &Message::Note { event, text }).await?;
            }
            let (event, id, args) = ("add".to_owned(), done, (20, 22));
            write(&mut writing, &Message::Add { event, id, args }).await?;
            waiting += 1;
            done += work.posts.max(1);
        }
        if waiting == 0 {
            return Ok(done);
        }
        if reading.buffer().is_empty() {
            writing.flush().await?;
        }
        read(&mut reading, &mut buffer).await?.ok_or("the server has closed")?;
        waiting -= 1;
    }
}

async fn serve_raw_nats(address: &str) -> Result<(), Failure> {
    let client = async_nats::connect(address).await?;
    let mut notes = client.subscribe("raw.note").await?;
    let mut adds = client.subscribe("raw.add").await?;
    client.flush().await?;
    println!("listening");
    let mut total = 0;
    loop {
        tokio::select! {
            biased;
            Some(note) = notes.next() => total += rmp_serde::from_slice::<String>(&note.payload)?.len(),
            Some(add) = adds.next() => {
                let (a, b): (i64, i64) = rmp_serde::from_slice(&add.payload)?;
                if let Some(reply) = add.reply {
                    client.publish(reply, rmp_serde::to_vec(&(a + b))?.into()).await?;
                }
            }
            else => return Err(format!("the subscription is over after {total} bytes").into()),
        }
    }
}

async fn measure_raw_nats(address: &str, work: Work) -> Result<u64, Failure> {
    let client = async_nats::connect(address).await?;
    let (until, mut done) = (Instant::now() + work.limit, 0);
    while Instant::now() < until {
        for _ in 0..work.posts {
            client.publish("raw.note", rmp_serde::to_vec(TEXT)?.into()).await?;
        }
        let asks = (0..work.calls).map(|_| ask(&client));
        futures_util::future::try_join_all(asks).await?;
        done += work.posts.max(work.calls as u64);
    }
    Ok(done)
}

async fn ask(client: &Client) -> Result<i64, Failure> {
    let reply = client.request("raw.add", rmp_serde::to_vec(&(20, 22))?.into()).await?;
    Ok(rmp_serde::from_slice(&reply.payload)?)
}
