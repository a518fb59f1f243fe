//! What attacks on an inspector cost the kernel that it shows: the p99 of calls, with and without an attack, in turn.
//!
//! `attacked [ROUNDS]` starts a kernel with a thousand sessions and its inspector, and measures calls from another thread: quiet, then while a second process
//! attacks the inspector, then while it sends the same to a server that closes every connection at once, which shows what the attacker alone takes of
//! the machine. It prints the medians of the rounds and, last, `ratio N`, that of the attack to quiet. Build it with `--release`, and use a quiet machine.

use poe::event::START;
use poe::{Event, Kernel, KernelHandle, Reply, Session};
use poe_inspector::Inspector;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const TICK: Event<()> = Event::new("tick");
const COUNT: Event<(), u64> = Event::new("count");
const TOKEN: &str = "a token that is long enough";

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let args: Vec<String> = std::env::args().skip(1).collect();
    match &*args {
        [what, address] if what == "attack" => {
            runtime.block_on(tokio::task::LocalSet::new().run_until(attack(address.parse()?)));
            Ok(())
        }
        [] => runtime.block_on(measure(7)),
        [rounds] => runtime.block_on(measure(rounds.parse()?)),
        _ => Err("usage: attacked [ROUNDS]".into()),
    }
}

async fn measure(rounds: usize) -> Outcome {
    let (address, told) = tokio::sync::oneshot::channel();
    let (kernel, thread) = Kernel::builder()
        .spawn_thread_async("attacked", async move |kernel| {
            for n in 0..1000_u64 {
                Session::builder(0)
                    .on(START, move |cx, ()| -> poe::HandlerResult {
                        cx.delay(TICK, Duration::from_millis(1 + n % 1000), ());
                        Ok(cx.alias_set(&format!("session {n}"))?)
                    })
                    .on(TICK, |cx, ()| {
                        *cx.heap += 1;
                        cx.delay(TICK, Duration::from_secs(1), ());
                    })
                    .on(COUNT, |cx, ()| Reply(*cx.heap))
                    .create(kernel)?;
            }
            let inspector = Inspector::bind("127.0.0.1:0").token(TOKEN).start(kernel).await;
            let inspector =
                inspector.map_err(|error| poe::Error::from_io("inspector", std::io::Error::other(error)))?;
            // The measuring side waits for it.
            let _ = address.send(inspector.local_addr());
            Ok(())
        })
        .await?;
    let inspector = told.await?.ok_or("the inspector has no address")?;
    let closing = closing_server()?;
    let mut times = [const { Vec::new() }; 3];
    p99(&kernel, 500).await?;
    for round in 0..rounds {
        for (times, target) in times.iter_mut().zip([None, Some(inspector), Some(closing)]) {
            let attacker = target.map(Attacker::start).transpose()?;
            tokio::time::sleep(Duration::from_millis(700)).await;
            times.push(p99(&kernel, 2000).await?);
            drop(attacker);
            // Until the inspector has closed what is left.
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        eprintln!(
            "round {}: {:.0?} µs",
            round + 1,
            times.each_ref().map(|times| times[round])
        );
    }
    let [quiet, attacked, machine] = times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    });
    println!(
        "p99 of a call: quiet {quiet:.0} µs, attacked {attacked:.0} µs, attacker without an inspector {machine:.0} µs"
    );
    println!("ratio {:.2}", attacked / quiet);
    thread.shutdown(Duration::from_secs(5)).await?;
    Ok(())
}

/// In microseconds.
async fn p99(kernel: &KernelHandle, calls: usize) -> Outcome<f64> {
    let mut times = Vec::with_capacity(calls);
    for n in 0..calls {
        let name = format!("session {}", n % 1000);
        let began = Instant::now();
        kernel.call(&name, COUNT, ()).await.map_err(poe::Error::from)?;
        times.push(began.elapsed().as_secs_f64() * 1e6);
        tokio::time::sleep(Duration::from_micros(300)).await;
    }
    times.sort_by(f64::total_cmp);
    Ok(times[(calls - 1) * 99 / 100])
}

/// Accepts and closes, on a thread.
fn closing_server() -> Outcome<SocketAddr> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || listener.incoming().for_each(drop));
    Ok(address)
}

struct Attacker(Child);

impl Attacker {
    fn start(target: SocketAddr) -> Outcome<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command
            .args(["attack", &target.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        Ok(Attacker(command.spawn()?))
    }
}

impl Drop for Attacker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A thousand streams, some of which nobody reads; slow heads; and requests that are to be refused, one after another.
async fn attack(target: SocketAddr) {
    let stream = format!(
        "GET /api/v1/kernels/attacked/stream HTTP/1.1\r\nHost: {target}\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
    );
    for n in 0..1000 {
        let stream = stream.clone();
        tokio::task::spawn_local(async move {
            let reads = n % 10 != 0;
            loop {
                let _ = hold(target, &stream, reads).await;
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        });
    }
    for _ in 0..100 {
        tokio::task::spawn_local(async move {
            loop {
                let _ = drip(target).await;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
    }
    let big = "x".repeat(40_000);
    let requests = [
        format!("GET /metrics HTTP/1.1\r\nHost: {target}\r\nAuthorization: Bearer wrong\r\nConnection: close\r\n\r\n"),
        format!(
            "GET /api/v1/kernels HTTP/1.1\r\nHost: {target}\r\nOrigin: https://evil.example\r\nConnection: close\r\n\r\n"
        ),
        "GET /api/v1/kernels HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n".to_owned(),
        format!("GET /api/v1 HTTP/1.1\r\nHost: {target}\r\nX: {big}\r\nConnection: close\r\n\r\n"),
        format!("GET /{big} HTTP/1.1\r\nHost: {target}\r\nConnection: close\r\n\r\n"),
        format!(
            "GET /api/v1/kernels/attacked/tree?flat=1&limit=1000 HTTP/1.1\r\nHost: {target}\r\nAuthorization: Bearer {TOKEN}\r\nConnection: close\r\n\r\n"
        ),
    ];
    for request in requests.iter().cycle() {
        let _ = hold(target, request, true).await;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Sends a request, and keeps the connection until its end.
async fn hold(target: SocketAddr, request: &str, reads: bool) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(target).await?;
    stream.write_all(request.as_bytes()).await?;
    if reads {
        let mut buffer = [0; 16_384];
        while stream.read(&mut buffer).await? > 0 {}
    } else {
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
    Ok(())
}

/// A head that never ends, a byte at a time.
async fn drip(target: SocketAddr) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(target).await?;
    for byte in b"GET /metrics HTTP/1.1\r\nX: ".iter().chain(std::iter::repeat(&b'x')) {
        stream.write_all(&[*byte]).await?;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}
