//! Kernels that contend for one name, and one that writes down what the holders say: the history that `.ci/nats-peers` checks.
//!
//! ```text
//! contend referee 127.0.0.1:4222
//! contend candidate NAME 127.0.0.1:4222 ROUNDS
//! ```
//!
//! A candidate that gets the name says so to the referee a few times with its lease, gives the name up, and claims it again.

use poe::event::START;
use poe::{Event, Kernel, Session, Signal};
use poe_ikc::nats::{Claim, IkcNats, Lease, LeaseLost};
use poe_ikc::{Ikc, RemoteError};
use std::time::Duration;

/// Who holds the name, and the number of its lease.
const SAY: Event<(String, u64)> = Event::new("say");
const LEASE: Event<Result<Lease, LeaseLost>> = Event::new("lease");
const SAID: Event<Result<(), RemoteError>> = Event::new("said");
const AGAIN: Event<()> = Event::new("again");
const END: Event<Signal> = Event::new("end");

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["referee", server] => referee(server).await,
        ["candidate", name, server, rounds] => candidate(name, server, rounds.parse()?).await,
        _ => Err("say `referee SERVER` or `candidate NAME SERVER ROUNDS`".into()),
    }
}

fn nats(server: &str) -> IkcNats {
    IkcNats::connect(server).leases(Duration::from_secs(1))
}

async fn referee(server: &str) -> Result<(), Box<dyn std::error::Error>> {
    let kernel = Kernel::new();
    let ikc = Ikc::builder("referee")
        .publish("log", |p| p.event(SAY))
        .start(&kernel)?;
    ikc.join(nats(server)).await?;
    Session::builder(ikc)
        .on(START, |cx, ()| {
            cx.sig("TERM", END);
            cx.alias_set("log")
        })
        .on(SAY, |_, (name, number)| println!("said {name} {number}"))
        .on(END, |cx, _| {
            cx.sig_handled();
            cx.heap.shutdown();
            let _ = cx.alias_remove("log");
        })
        .create(&kernel)?;
    println!("joined");
    kernel.run().await?;
    Ok(())
}

struct Candidate {
    ikc: Ikc,
    claim: Option<Claim>,
    lease: Option<Lease>,
    rounds: u32,
    said: u32,
}

async fn candidate(name: &str, server: &str, rounds: u32) -> Result<(), Box<dyn std::error::Error>> {
    let kernel = Kernel::new();
    let ikc = Ikc::builder(name).start(&kernel)?;
    ikc.join(nats(server)).await?;
    let ready = ikc.registered("referee");
    let heap = Candidate {
        ikc,
        claim: None,
        lease: None,
        rounds,
        said: 0,
    };
    Session::builder(heap)
        .on(START, move |cx, ()| {
            cx.sig("TERM", END);
            cx.alias_set("candidate")
        })
        .on(AGAIN, |cx, ()| -> poe::HandlerResult {
            cx.heap.claim = Some(cx.heap.ikc.claim(cx, "crown", LEASE)?);
            Ok(())
        })
        .on(LEASE, |cx, lease| match lease {
            Ok(lease) => {
                println!("held {}", lease.number());
                cx.heap.lease = Some(lease);
                cx.heap.said = 0;
                say(cx)
            }
            Err(lost) => {
                println!("lost {}", lost.number());
                cx.heap.lease = None;
            }
        })
        .on(SAID, |cx, said| {
            if let Err(error) = said {
                println!("refused {error}");
            }
            cx.heap.said += 1;
            if cx.heap.said < 3 {
                return say(cx);
            }
            cx.heap.claim = None;
            cx.heap.lease = None;
            cx.heap.rounds = cx.heap.rounds.saturating_sub(1);
            match cx.heap.rounds {
                0 => end(cx),
                _ => cx.yield_to(AGAIN, ()),
            }
        })
        .on(END, |cx, _| {
            cx.sig_handled();
            end(cx);
        })
        .create(&kernel)?;
    let go = async {
        let _ = ready.await;
        println!("joined");
        let _ = kernel.post("candidate", AGAIN, ());
    };
    tokio::join!(kernel.run(), go).0?;
    Ok(())
}

fn say(cx: &mut poe::Context<'_, Candidate>) {
    let Some(lease) = cx.heap.lease.clone() else { return };
    let text = (cx.heap.ikc.name().to_owned(), lease.number());
    let called = lease.call(cx, "poe://referee/log", SAY, text, SAID, Duration::from_secs(5));
    if called.is_err() {
        // The lease is over; the event that says so is on its way.
        cx.heap.lease = None;
    }
}

fn end(cx: &mut poe::Context<'_, Candidate>) {
    cx.heap.claim = None;
    cx.heap.ikc.shutdown();
    let _ = cx.alias_remove("candidate");
}
