//! A plain HTTP client, which can also misbehave, and a kernel to look at.

use poe::component::KernelThread;
use poe::event::START;
use poe::{Event, HandlerResult, Kernel, KernelHandle, OnFailure, Session};
use poe_inspector::{Inspector, InspectorBuilder};
use serde_json::Value;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub(crate) const ADD: Event<u32> = Event::new("add");
pub(crate) const TICK: Event<u32> = Event::new("tick");
pub(crate) const BREAK: Event<()> = Event::new("break");
/// Does not return before the flag is set.
pub(crate) const BLOCK: Event<Arc<AtomicBool>> = Event::new("block");
pub(crate) const SUM: Event<(), u32> = Event::new("sum");
/// Longer than anything takes here.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Response {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

/// Sends bytes and reads to the end of the connection.
pub(crate) async fn raw(address: SocketAddr, request: &str) -> Response {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let mut text = Vec::new();
    let talk = async {
        // The inspector may refuse before it has read everything.
        let _ = stream.write_all(request.as_bytes()).await;
        let _ = stream.read_to_end(&mut text).await;
    };
    tokio::time::timeout(LIMIT, talk).await.expect("it replies in time");
    parse(&text)
}

fn parse(text: &[u8]) -> Response {
    let text = String::from_utf8_lossy(text).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    Response {
        status: head
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok())
            .unwrap_or(0),
        head: head.to_ascii_lowercase(),
        body: body.to_owned(),
    }
}

pub(crate) async fn get_with(address: SocketAddr, path: &str, headers: &str) -> Response {
    raw(
        address,
        &format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{headers}\r\n"),
    )
    .await
}

pub(crate) async fn get(address: SocketAddr, path: &str) -> Response {
    get_with(address, path, "").await
}

/// JSON under the kernel's path.
pub(crate) async fn kernel(address: SocketAddr, path: &str) -> Value {
    let response = get(address, &format!("/api/v1/kernels/service{path}")).await;
    assert_eq!(response.status, 200, "{path}: {}", response.body);
    response.json()
}

pub(crate) async fn post(address: SocketAddr, path: &str, headers: &str, body: &str) -> Response {
    let length = body.len();
    let kind = "Content-Type: application/json";
    raw(
        address,
        &format!("POST {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{kind}\r\nContent-Length: {length}\r\n{headers}\r\n{body}"),
    )
    .await
}

/// Asks until the reply is as wanted.
pub(crate) async fn until(address: SocketAddr, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let began = Instant::now();
    loop {
        let found = kernel(address, path).await;
        if wanted(&found) {
            return found;
        }
        assert!(began.elapsed() < LIMIT, "{path} was never as wanted: {found}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

pub(crate) struct Service {
    pub(crate) inspector: Inspector,
    pub(crate) handle: KernelHandle,
    thread: KernelThread,
}

impl Service {
    /// A kernel `service` on a thread: a session `counter`, a `clock` that ticks every 10 ms, and so many idle sessions below `fleet`.
    pub(crate) async fn start(builder: InspectorBuilder, sessions: u32) -> Self {
        let inspector = builder.open().await.unwrap();
        let door = inspector.clone();
        let setup = async move |kernel: &Kernel| {
            door.watch("service", kernel);
            sessions_of(kernel, sessions)
        };
        let builder = Kernel::builder().on_failure(OnFailure::StopSession);
        let (handle, thread) = builder.spawn_thread_async("service", setup).await.unwrap();
        Service {
            inspector,
            handle,
            thread,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.inspector.local_addr().unwrap()
    }

    pub(crate) async fn end(self) {
        self.inspector.shutdown();
        drop(self.handle);
        // Timers without end are left: the limit ends them.
        let _ = self.thread.shutdown(Duration::from_millis(50)).await;
    }
}

pub(crate) fn sessions_of(kernel: &Kernel, sessions: u32) -> Result<(), poe::Error> {
    Session::builder(0_u32)
        .on(START, |cx, ()| cx.alias_set("counter"))
        .on(ADD, |cx, n| *cx.heap += n)
        .on(SUM, |cx, ()| poe::Reply(*cx.heap))
        .on(BREAK, |_, ()| -> HandlerResult { Err("it was asked to".into()) })
        .on(BLOCK, |_, free: Arc<AtomicBool>| {
            while !free.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(5));
            }
        })
        .create(kernel)?;
    Session::builder(())
        .on(START, |cx, ()| -> HandlerResult {
            cx.alias_set("clock")?;
            cx.delay(TICK, Duration::from_millis(10), 0);
            Ok(())
        })
        .on(TICK, |cx, n| -> HandlerResult {
            cx.delay(TICK, Duration::from_millis(10), n + 1);
            let _ = cx.post("counter", ADD, 1);
            Ok(())
        })
        .create(kernel)?;
    Session::builder(())
        .on(START, move |cx, ()| -> HandlerResult {
            cx.alias_set("fleet")?;
            for number in 0..sessions {
                let one = Session::builder(number).on(START, |cx, ()| cx.delay(TICK, Duration::from_secs(3600), 0));
                cx.create(one.on(TICK, |_, _: u32| ()))?;
            }
            Ok(())
        })
        .create(kernel)?;
    Ok(())
}
