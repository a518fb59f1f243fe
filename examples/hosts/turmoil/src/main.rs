//! A `TcpServer` and a `TcpClient` on the network that turmoil simulates: time is virtual, hosts crash and come back, links break.
//!
//! turmoil has sockets of its own, so each kernel listens and connects in memory (`memory:NAME`), and a small bridge carries the bytes between
//! those connections and turmoil's. Server and client are the components that a program uses, with their limits, callbacks and reconnects.
//!
//! Run it with `cargo run`, or its tests with `cargo test`.

use poe::component::{Backoff, Server, TcpClient, TcpServer};
use poe::filter::Line;
use poe::{Event, Kernel, States, testing};
use std::cell::RefCell;
use std::net::Ipv4Addr;
use std::rc::Rc;
use std::time::Duration;
use tokio::io::copy_bidirectional;
use turmoil::net::{TcpListener, TcpStream};

const PORT: u16 = 7777;
const SAY: Event<()> = Event::new("say");

/// What the client has seen, in order.
pub type Log = Rc<RefCell<Vec<String>>>;

/// A host with an echo server.
async fn server() -> turmoil::Result {
    let kernel = testing::kernel();
    TcpServer::builder("memory:echo")
        .client_input(|cx, line| cx.client().put(line))
        .start(&kernel)
        .await?;
    tokio::select! {
        served = kernel.serve() => Ok(served?),
        bridged = bring_in(&kernel, "memory:echo") => bridged,
    }
}

/// Carries each client of turmoil's network to a server of the kernel.
async fn bring_in(kernel: &Kernel, server: &str) -> turmoil::Result {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT)).await?;
    loop {
        let (mut outside, _) = listener.accept().await?;
        let mut inside = testing::connect(kernel, server)?;
        tokio::task::spawn_local(async move { copy_bidirectional(&mut outside, &mut inside).await });
    }
}

/// A host with a client that says a line every second, and reconnects.
async fn client(log: Log) -> turmoil::Result {
    let kernel = testing::kernel();
    take_out(&kernel, "memory:uplink").await?;
    let say = States::<u32, Server<Line>>::new().on(SAY, |cx, ()| {
        *cx.heap += 1;
        let line = format!("line {}", *cx.heap);
        cx.server().put(line);
        cx.delay(SAY, Duration::from_secs(1), ());
    });
    let (connected, heard, lost) = (log.clone(), log.clone(), log);
    TcpClient::builder("memory:uplink")
        .heap(0_u32)
        .backoff(Backoff::new().first(Duration::from_millis(200)).jitter(0.0))
        .connected(move |cx| {
            connected.borrow_mut().push("connected".to_owned());
            cx.delay(SAY, Duration::ZERO, ());
        })
        .inline_states(&say)
        .server_input(move |_, line| heard.borrow_mut().push(line))
        .disconnected(move |cx| {
            cx.alarm_clear(SAY);
            lost.borrow_mut().push("disconnected".to_owned());
        })
        .start(&kernel)?;
    Ok(kernel.serve().await?)
}

/// Carries each connection that a client of the kernel makes to the server's host.
async fn take_out(kernel: &Kernel, name: &str) -> turmoil::Result {
    TcpServer::builder(name)
        .acceptor(|cx, connection| {
            let mut inside = connection.stream;
            cx.spawn_then(
                async move {
                    // When the host does not take it, the client sees the end of its connection.
                    let mut outside = TcpStream::connect(("server", PORT)).await?;
                    copy_bidirectional(&mut inside, &mut outside).await
                },
                |_, _| (),
            );
        })
        .start(kernel)
        .await?;
    Ok(())
}

/// Runs both hosts, and crashes the server between the two times.
fn simulate(crash: Duration, comes_back: Duration, end: Duration) -> turmoil::Result<Vec<String>> {
    let log = Log::default();
    let mut sim = turmoil::Builder::new()
        .simulation_duration(Duration::from_secs(3600))
        .build();
    sim.host("server", server);
    let seen = log.clone();
    sim.host("client", move || client(seen.clone()));
    for (until, change) in [(crash, "crash"), (comes_back, "bounce"), (end, "end")] {
        while sim.elapsed() < until {
            sim.step()?;
        }
        match change {
            "crash" => sim.crash("server"),
            "bounce" => sim.bounce("server"),
            _ => {}
        }
    }
    Ok(log.take())
}

fn main() -> turmoil::Result {
    let seconds = Duration::from_secs;
    for line in simulate(seconds(5), seconds(20), seconds(40))? {
        println!("{line}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_reconnects_when_the_host_is_back() {
        let seconds = Duration::from_secs;
        let log = simulate(seconds(5), seconds(20), seconds(60)).unwrap();
        assert_eq!(log[0], "connected");
        let lost = log
            .iter()
            .position(|line| line == "disconnected")
            .expect("the crash was seen");
        assert!(
            log[1..lost].iter().all(|line| line.starts_with("line ")) && lost > 3,
            "{log:?}"
        );
        let back = log.iter().rposition(|line| line == "connected").unwrap();
        assert!(back > lost && log.len() > back + 10, "{log:?}");
        // Each line that comes back was said once.
        let lines: Vec<u32> = log
            .iter()
            .filter_map(|line| line.strip_prefix("line ")?.parse().ok())
            .collect();
        assert!(
            lines.is_sorted() && lines.windows(2).all(|two| two[0] < two[1]),
            "{log:?}"
        );
    }

    #[test]
    fn two_simulations_are_the_same() {
        let seconds = Duration::from_secs;
        let run = || simulate(seconds(3), seconds(9), seconds(30)).unwrap();
        assert_eq!(run(), run());
    }
}
