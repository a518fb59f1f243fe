//! The tour: one kernel, and everything that can become an event on its queue.
//!
//! A TCP server on a free port talks to three clients; a timer ticks; a future is awaited and its output arrives as an
//! event; another thread posts. When all of that has happened the conductor closes the server, nothing is left to
//! wait for, and `run` returns. Run it with `cargo run --example tour`.

use poe::component::{TcpClient, TcpServer};
use poe::event::{START, STOP};
use poe::filter::Line;
use poe::wheel::SocketName;
use poe::{Context, Event, Kernel, Session};
use std::time::Duration;

// An event's key is its name and the type that it carries.
const TICK: Event<u32> = Event::new("tick");
const FETCHED: Event<String> = Event::new("fetched");
const HELLO: Event<std::thread::ThreadId> = Event::new("hello from a thread");
const DONE: Event<&'static str> = Event::new("done");

/// The conductor's heap: the things it waits for, and the server that it closes afterwards.
struct Conductor {
    waiting_for: Vec<&'static str>,
    server: TcpServer,
}

/// The heap of one connection's session in the server.
struct Peer {
    address: SocketName,
}

/// The heap of a client's session.
struct Visitor {
    name: &'static str,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), poe::Error> {
    let kernel = Kernel::new();

    // A server: each connection is a separate session, whose heap `client_heap` makes.
    let server = TcpServer::builder("127.0.0.1:0")
        .filter(Line::new)
        .client_heap(|address| Peer { address })
        .client_connected(|cx| cx.client().put("what is your name?"))
        .client_input(|cx, line| cx.client().put(format!("nice to meet you, {line}")))
        .client_disconnected(|cx| println!("  server: {} has left", cx.heap.address))
        .start(&kernel)
        .await?;
    println!("A server listens on {}.", server.local_name());

    let address = server.local_name().clone();
    let conductor = Session::builder(Conductor {
        waiting_for: Vec::new(),
        server,
    })
    .on(START, |cx, ()| -> poe::HandlerResult {
        println!("Session {} conducts; others know it by its alias.", cx.session_id());
        cx.alias_set("conductor")?;
        cx.heap.waiting_for = vec!["ann", "bob", "cleo", "the timer", "the future", "the thread"];
        cx.delay_set(TICK, Duration::from_millis(50), 1);
        // Any future will do: a database, an HTTP client. Its output comes as an event.
        cx.spawn(
            async {
                tokio::time::sleep(Duration::from_millis(80)).await;
                String::from("the reply of a slow service")
            },
            FETCHED,
        );
        Ok(())
    })
    .on(TICK, |cx, n| {
        println!("  timer: tick {n}");
        match n {
            3 => done(cx, "the timer"),
            _ => drop(cx.delay_set(TICK, Duration::from_millis(50), n + 1)),
        }
    })
    .on(FETCHED, |cx, text| {
        println!("  future: {text}");
        done(cx, "the future");
    })
    .on(HELLO, |cx, thread| {
        println!("  thread: hello from {thread:?}");
        done(cx, "the thread");
    })
    .on(DONE, done)
    .on(STOP, |cx, ()| {
        println!("Session {} stops, the last one.", cx.session_id())
    })
    .create(&kernel)?;

    // Three clients. They find the conductor by its alias.
    for name in ["ann", "bob", "cleo"] {
        TcpClient::builder(&address)
            .heap(Visitor { name })
            .server_input(|cx, line| -> poe::HandlerResult {
                let name = cx.heap.name;
                println!("  {name}: the server says `{line}`");
                if line.ends_with('?') {
                    cx.server().put(name);
                } else {
                    cx.server().shutdown();
                }
                Ok(())
            })
            .disconnected(|cx| cx.post("conductor", DONE, cx.heap.name))
            .start(&kernel)?;
    }

    // Another thread has a handle: `Send`, and it never blocks.
    let handle = kernel.handle();
    std::thread::spawn(move || handle.post(conductor, HELLO, std::thread::current().id()));

    println!("Everything that could happen is set up; the kernel runs.");
    kernel.run().await?;
    println!("`run` has returned: {} sessions are left.", kernel.session_count());
    println!("Why is anything alive? {}.", kernel.why_alive());
    Ok(())
}

/// Crosses one thing off the list; with the last one the server closes, and nothing is left to wait for.
fn done(cx: &mut Context<'_, Conductor>, who: &str) {
    cx.heap.waiting_for.retain(|w| *w != who);
    if cx.heap.waiting_for.is_empty() {
        println!("  conductor: that was all; the server closes");
        cx.heap.server.shutdown();
    }
}
