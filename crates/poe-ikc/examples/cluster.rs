//! Kernels that share work over a NATS server. One of them leads; when it dies another one does, and its work is done by the others.
//!
//! ```text
//! nats-server --jetstream
//! cargo run -p poe-ikc --features nats --example cluster -- node one 127.0.0.1:4222    # and two, three …
//! cargo run -p poe-ikc --features nats --example cluster -- give me 127.0.0.1:4222 1000
//! cargo run -p poe-ikc --features nats --example cluster -- watch 127.0.0.1:4222
//! ```
//!
//! `watch` calls the node `one` again and again, and prints what comes of it and which kernels come and go.
//!
//! Kill a node with SIGKILL, or the server, and start it again: each job is done at least once.

use poe::event::START;
use poe::{Event, Kernel, Session, Signal};
use poe_ikc::nats::{Claim, IkcNats, Lease, LeaseLost, Store, Stored, Take};
use poe_ikc::{Ikc, Notice, Occurrence, RemoteError};
use std::time::Duration;

/// Who gives the job, and its number.
const JOB: Event<(String, u32)> = Event::new("job");
const LEADS: Event<String> = Event::new("leads");
const LEASE: Event<Result<Lease, LeaseLost>> = Event::new("lease");
const STORED: Event<Result<Stored, RemoteError>> = Event::new("stored");
const END: Event<Signal> = Event::new("end");
const ASK: Event<()> = Event::new("ask");
const ASKED: Event<Result<(), RemoteError>> = Event::new("asked");
const NOTICE: Event<Notice> = Event::new("notice");

/// A giver waits when this many of its jobs are not stored yet.
const WINDOW: u32 = 1000;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["node", name, server] => node(name, server).await,
        ["give", name, server, jobs] => give(name, server, jobs.parse()?).await,
        ["watch", server] => watch(server).await,
        _ => Err("say `node NAME SERVER`, `give NAME SERVER JOBS` or `watch SERVER`".into()),
    }
}

struct Node {
    ikc: Ikc,
    /// Dropping it gives the name up.
    claim: Option<Claim>,
}

async fn node(name: &str, server: &str) -> Result<(), Box<dyn std::error::Error>> {
    let kernel = Kernel::new();
    let ikc = Ikc::builder(name)
        .publish("work", |p| p.event(JOB).event(LEADS))
        .start(&kernel)?;
    let nats = IkcNats::connect(server)
        .presence(Duration::from_secs(3))
        .leases(Duration::from_secs(3))
        .take("work", Take::new().patience(Duration::from_secs(5)));
    ikc.join(nats).await?;
    Session::builder(Node { ikc, claim: None })
        .on(START, |cx, ()| -> poe::HandlerResult {
            cx.alias_set("work")?;
            cx.sig("TERM", END);
            cx.heap.claim = Some(cx.heap.ikc.claim(cx, "leader", LEASE)?);
            Ok(())
        })
        .on(JOB, |cx, (giver, number)| {
            // The same job may come again: its ID is the same.
            if let Some(delivery) = cx.heap.ikc.delivery() {
                println!("job {giver} {number} {} {}", delivery.sequence, delivery.tries);
            }
        })
        .on(LEASE, |cx, lease| match lease {
            Ok(lease) => {
                let text = format!("{} {}", cx.heap.ikc.name(), lease.number());
                if let Err(error) = lease.post("poe://**/work", LEADS, text) {
                    eprintln!("{error}");
                }
            }
            Err(lost) => eprintln!("{lost}"),
        })
        .on(LEADS, |_, who| println!("leads {who}"))
        .on(END, |cx, _| {
            cx.sig_handled();
            cx.heap.ikc.shutdown();
            let _ = cx.alias_remove("work");
        })
        .create(&kernel)?;
    println!("joined");
    kernel.run().await?;
    Ok(())
}

struct Giver {
    ikc: Ikc,
    jobs: u32,
    given: u32,
    stored: u32,
}

impl Giver {
    /// Gives as many jobs as there is room for.
    fn give(&mut self, cx: &poe::KernelRef<'_>) -> poe::HandlerResult {
        while self.given < self.jobs && self.given < self.stored + WINDOW {
            let job = (self.ikc.name().to_owned(), self.given);
            self.ikc.durable("poe://*/work").post(cx, JOB, job, STORED)?;
            self.given += 1;
        }
        Ok(())
    }
}

async fn give(name: &str, server: &str, jobs: u32) -> Result<(), Box<dyn std::error::Error>> {
    let kernel = Kernel::new();
    let ikc = Ikc::builder(name).start(&kernel)?;
    ikc.join(
        IkcNats::connect(server)
            .presence(Duration::from_secs(3))
            .durable(Store::new()),
    )
    .await?;
    let giver = Giver {
        ikc,
        jobs,
        given: 0,
        stored: 0,
    };
    Session::builder(giver)
        .on(START, |cx, ()| {
            let kernel = cx.kernel;
            cx.heap.give(&kernel)
        })
        .on(STORED, |cx, stored| -> poe::HandlerResult {
            stored?;
            cx.heap.stored += 1;
            if cx.heap.stored == cx.heap.jobs {
                println!("stored {}", cx.heap.stored);
                cx.heap.ikc.shutdown();
            }
            let kernel = cx.kernel;
            cx.heap.give(&kernel)
        })
        .create(&kernel)?;
    kernel.run().await?;
    Ok(())
}

async fn watch(server: &str) -> Result<(), Box<dyn std::error::Error>> {
    let kernel = Kernel::new();
    let ikc = Ikc::builder("watcher").start(&kernel)?;
    ikc.join(IkcNats::connect(server).presence(Duration::from_secs(3)))
        .await?;
    Session::builder(ikc)
        .on(START, |cx, ()| -> poe::HandlerResult {
            cx.sig("TERM", END);
            cx.heap.monitor(cx, "*", NOTICE);
            cx.yield_to(ASK, ());
            Ok(())
        })
        .on(ASK, |cx, ()| {
            cx.delay_set(ASK, Duration::from_millis(200), ());
            let limit = Duration::from_millis(500);
            let asked = cx.heap.call(cx, "poe://one/work", LEADS, "?".to_owned(), ASKED, limit);
            if asked.is_err() {
                println!("unknown");
            }
        })
        .on(ASKED, |_, asked| match asked {
            Ok(()) => println!("replied"),
            Err(error) if error.is_timed_out() => println!("late"),
            Err(error) => println!("failed {error}"),
        })
        .on(NOTICE, |_, notice| match notice.what {
            Occurrence::Register { .. } => println!("there {}", notice.kernel),
            Occurrence::Unregister => println!("gone {}", notice.kernel),
            _ => {}
        })
        .on(END, |cx, _| {
            cx.sig_handled();
            cx.alarm_remove_all();
            cx.heap.shutdown();
        })
        .create(&kernel)?;
    println!("joined");
    kernel.run().await?;
    Ok(())
}
