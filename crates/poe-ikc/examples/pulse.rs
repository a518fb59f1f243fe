//! A kernel that other kernels talk to, and one that talks to it. Either side may be a Perl program with POE::Component::IKC.
//!
//! ```text
//! cargo run -p poe-ikc --example pulse -- serve 127.0.0.1:7111
//! cargo run -p poe-ikc --example pulse -- ask 127.0.0.1:7111
//! ```
//!
//! `serve` takes the number of connections at a time after the address; `lite` in place of `ask` is the client without a kernel, of which
//! there are two kinds. The client calls, posts as a session that the server can post back to, subscribes, and ends. An address with a `/` is a UNIX socket.

use poe::event::START;
use poe::storable::Value;
use poe::{Event, Kernel, Reply, Session};
use poe_ikc::{Args, AsyncLite, Bind, Dial, Ikc, IkcTcp, IkcUnix, Lite, Notice, RemoteError, Subscription};
use std::time::Duration;

const ADD: Event<Args, i64> = Event::new("add");
const NOTE: Event<Value> = Event::new("note");
const HELLO: Event<Args> = Event::new("hello");
const LIST: Event<Args, (i64, i64, &'static str)> = Event::new("list");
const BACK: Event<(Value, Value)> = Event::new("back");

const GO: Event<()> = Event::new("go");
const SUM: Event<Result<i64, RemoteError>> = Event::new("sum");
const REFUSED: Event<Result<(), RemoteError>> = Event::new("refused");
const SUBSCRIBED: Event<Result<Subscription, RemoteError>> = Event::new("subscribed");
const PONG: Event<Result<Duration, RemoteError>> = Event::new("pong");
const REPLY: Event<Args> = Event::new("reply");
const MONITOR: Event<Notice> = Event::new("monitor");

const LIMIT: Duration = Duration::from_secs(10);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["serve", address] => serve(bind(address)).await,
        ["serve", address, connections] => serve(bind(address).concurrency(connections.parse()?)).await,
        ["ask", address] => ask(address).await,
        ["lite", address] => lite(address).await,
        _ => Err("say `serve ADDRESS [CONNECTIONS]`, `ask ADDRESS` or `lite ADDRESS`".into()),
    }
}

fn bind(address: &str) -> Bind {
    match path(address) {
        Some(path) => IkcUnix::bind(path),
        None => IkcTcp::bind(address),
    }
}

fn dial(address: &str) -> Dial {
    match path(address) {
        Some(path) => IkcUnix::connect(path),
        None => IkcTcp::connect(address),
    }
}

/// The path of a UNIX socket, which is printed as `unix:/path`.
fn path(address: &str) -> Option<&str> {
    let path = address.strip_prefix("unix:").unwrap_or(address);
    path.contains('/').then_some(path)
}

/// What a value of a Perl program looks like on a line.
fn shown(value: &Value) -> String {
    value.to_text().unwrap_or_else(|| format!("{value:?}"))
}

async fn serve(bind: Bind) -> Result<(), Box<dyn std::error::Error>> {
    let kernel = Kernel::new();
    let events = |p: poe_ikc::Publish| {
        p.event(ADD)
            .event(NOTE)
            .event(HELLO)
            .event(LIST)
            .event(BACK)
            .event::<(), ()>("stop")
    };
    let ikc = Ikc::builder("Pulse")
        .alias("Beat")
        .publish("test", events)
        .start(&kernel)?;
    Session::builder(ikc.clone())
        .on(START, |cx, ()| -> poe::HandlerResult {
            cx.heap.monitor(cx, "*", MONITOR);
            Ok(cx.alias_set("test")?)
        })
        .on(ADD, |_, args| {
            // One argument may be the list: Perl's `call` has a single parameter.
            let items = args.0.iter().flat_map(|arg| {
                if arg.len().is_some() {
                    arg.items()
                } else {
                    vec![arg.clone()]
                }
            });
            Reply(items.filter_map(|n| n.as_i64()).sum())
        })
        .on(NOTE, |_, note| println!("note: {}", shown(&note)))
        .on(HELLO, |cx, args| -> poe::HandlerResult {
            println!("hello: {}", args.0.iter().map(shown).collect::<Vec<_>>().join(", "));
            Ok(cx.post(cx.sender(), REPLY, Args::from(["hi".into(), 42.into()]))?)
        })
        .on(LIST, |_, _| Reply((1, 2, "three")))
        .on(BACK, |cx, (question, to)| -> poe::HandlerResult {
            // ClientLite's `post_respond`: the handler posts to the address that it is given.
            let part = |name: &str| to.field(name).and_then(|part| part.to_text()).unwrap_or_default();
            let address = format!("poe://{}/{}", part("kernel"), part("session"));
            cx.heap
                .post(&address, part("state"), format!("answer to {}", shown(&question)))?;
            Ok(())
        })
        .on("stop", |cx, ()| cx.heap.shutdown())
        .on(MONITOR, |_, notice| println!("{}: {:?}", notice.kernel, notice.what))
        .create(&kernel)?;
    println!("listening on {}", ikc.listen(bind).await?);
    kernel.run().await?;
    Ok(())
}

async fn ask(address: &str) -> Result<(), Box<dyn std::error::Error>> {
    let kernel = Kernel::new();
    let ikc = Ikc::builder("Asker")
        .publish("asker", |p| p.event(REPLY))
        .start(&kernel)?;
    Session::builder(ikc.clone())
        .on(START, |cx, ()| cx.alias_set("asker"))
        .on(GO, |cx, ()| -> poe::HandlerResult {
            let ikc = &cx.heap;
            ikc.post("poe://Pulse/test", NOTE, "from Rust".into())?;
            ikc.call(cx, "poe://Pulse/test", "add", (20, 22), SUM, LIMIT)?;
            ikc.call(cx, "poe://Pulse/test", "secret", (), REFUSED, LIMIT)?;
            Ok(ikc.subscribe(cx, "poe://Pulse/test", SUBSCRIBED, LIMIT)?)
        })
        .on(SUM, |_, sum| println!("sum: {sum:?}"))
        .on(REFUSED, |_, refused| {
            println!("refused: {}", refused.is_err_and(|error| error.is_refused()))
        })
        .on(SUBSCRIBED, |cx, subscribed| -> poe::HandlerResult {
            let proxy = subscribed?;
            println!("subscribed: {}", proxy.address);
            Ok(cx.post(proxy.session, HELLO, Args::from(["through".into(), "the proxy".into()]))?)
        })
        .on(REPLY, |cx, args| -> poe::HandlerResult {
            println!("reply: {}", args.0.iter().map(shown).collect::<Vec<_>>().join(", "));
            Ok(cx.heap.ping(cx, "Pulse", PONG, LIMIT)?)
        })
        .on(PONG, |cx, pong| -> poe::HandlerResult {
            println!("pong: {}", pong.is_ok());
            cx.heap.post("poe://Pulse/test", "stop", ())?;
            cx.heap.shutdown();
            Ok(())
        })
        .create(&kernel)?;
    ikc.connect(dial(address)).await?;
    let go = async {
        ikc.registered("Pulse").await?;
        kernel.post("asker", GO, ()).map_err(poe::Error::from)?;
        Ok::<_, Box<dyn std::error::Error>>(())
    };
    let (ran, went) = tokio::join!(kernel.run(), go);
    ran?;
    went
}

/// The same without a kernel: first on a thread that blocks, then in async code.
async fn lite(address: &str) -> Result<(), Box<dyn std::error::Error>> {
    let place = address.to_owned();
    let blocking = tokio::task::spawn_blocking(move || {
        let mut lite = match path(&place) {
            Some(path) => Lite::connect_unix(path, "Blocking", LIMIT),
            None => Lite::connect_tcp(&place, "Blocking", LIMIT),
        }
        .map_err(|error| error.to_string())?;
        lite.post("test", NOTE, "from a thread".into())
            .map_err(|error| error.to_string())?;
        println!("sum: {:?}", lite.call("test", ADD, Args::from([20.into(), 22.into()])));
        println!("pong: {}", lite.ping().is_ok());
        Ok::<_, String>(())
    });
    blocking.await??;
    let lite = match path(address) {
        Some(path) => AsyncLite::connect_unix(path, "Async", LIMIT).await?,
        None => AsyncLite::connect_tcp(address, "Async", LIMIT).await?,
    };
    let sums = (1..=3).map(|n| lite.call("test", ADD, Args::from([n.into(), n.into()])));
    println!("sums: {:?}", futures_util::future::join_all(sums).await);
    let secret = lite.call::<_, i64>("test", "secret", ()).await;
    println!("refused: {}", secret.is_err_and(|error| error.is_refused()));
    println!("pong: {}", lite.ping().await.is_ok());
    lite.post("test", "stop", ()).await?;
    // Or the runtime ends before it is written.
    Ok(lite.flush().await?)
}
