//! kameo 0.22 on a current-thread runtime, unbounded mailboxes, its tracing
//! feature off.

use crate::common::*;
use kameo::actor::Spawn;
use kameo::mailbox;
use kameo::message::{Context, Message};
use kameo::prelude::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

pub struct Kameo;

fn rt<F: Future>(f: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(f)
}

impl Peer for Kameo {
    fn name(&self) -> &'static str {
        "kameo"
    }
    fn run(&self, w: Work, n: u64, o: &Opts) -> Out {
        Out::Done(match w {
            Work::Yield => rt(yield_(n)),
            Work::PingPong => rt(pingpong(n)),
            Work::Call => rt(call(n)),
            Work::Spawn => rt(spawn(n)),
            Work::Alive => rt(alive(n)),
            Work::Timers => rt(timers(n, o.lead)),
            Work::TimersCancel => rt(cancel(n, false)),
            Work::TimersAdjust => rt(cancel(n, true)),
            Work::Fanout => rt(fanout(n)),
            Work::XThread => rt(xthread(n)),
            Work::Echo => return Out::Skip("no I/O layer of its own: tokio's"),
            _ => return Out::Skip("not written"),
        })
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Yield,
    Ping,
    Pong,
    Spawn,
    Sink,
}

struct A {
    mode: Mode,
    c: u64,
    n: u64,
    peer: Option<ActorRef<A>>,
    shared: Arc<AtomicU64>,
    done: UnboundedSender<Vec<f64>>,
    late: Vec<f64>,
}
impl A {
    fn new(mode: Mode, n: u64, shared: Arc<AtomicU64>, done: UnboundedSender<Vec<f64>>) -> A {
        A {
            mode,
            c: 0,
            n,
            peer: None,
            shared,
            done,
            late: Vec::new(),
        }
    }
    fn go(self) -> ActorRef<A> {
        A::spawn_with_mailbox(self, mailbox::unbounded())
    }
}

impl Actor for A {
    type Args = Self;
    type Error = std::convert::Infallible;
    async fn on_start(s: Self, me: ActorRef<Self>) -> Result<Self, Self::Error> {
        if s.mode == Mode::Spawn {
            let _ = me.tell(Add(1)).try_send();
        }
        Ok(s)
    }
    async fn on_stop(&mut self, _: WeakActorRef<Self>, _: kameo::error::ActorStopReason) -> Result<(), Self::Error> {
        if self.mode == Mode::Spawn && self.shared.fetch_add(1, Relaxed) + 1 == self.n {
            let _ = self.done.send(vec![]);
        }
        Ok(())
    }
}

struct Add(u64);
struct Peer_(ActorRef<A>);
struct Ask(u64);
struct Fire(Instant);

impl Message<Add> for A {
    type Reply = ();
    async fn handle(&mut self, m: Add, ctx: &mut Context<Self, ()>) {
        match self.mode {
            Mode::Yield => {
                self.c += m.0;
                if self.c == self.n {
                    let _ = self.done.send(vec![]);
                } else {
                    let _ = ctx.actor_ref().tell(Add(1)).try_send();
                }
            }
            Mode::Ping => {
                if m.0 == self.n {
                    let _ = self.done.send(vec![]);
                } else {
                    let _ = self.peer.as_ref().unwrap().tell(m).try_send();
                }
            }
            Mode::Pong => {
                let _ = self.peer.as_ref().unwrap().tell(Add(m.0 + 1)).try_send();
            }
            Mode::Spawn => {
                self.c += m.0;
                if self.c == 10 {
                    ctx.stop();
                } else {
                    let _ = ctx.actor_ref().tell(Add(1)).try_send();
                }
            }
            Mode::Sink => {
                if self.shared.fetch_add(m.0, Relaxed) + m.0 == self.n {
                    let _ = self.done.send(vec![]);
                }
            }
        }
    }
}
impl Message<Peer_> for A {
    type Reply = ();
    async fn handle(&mut self, m: Peer_, _: &mut Context<Self, ()>) {
        self.peer = Some(m.0);
    }
}
impl Message<Ask> for A {
    type Reply = u64;
    async fn handle(&mut self, m: Ask, _: &mut Context<Self, u64>) -> u64 {
        m.0 + 1
    }
}
impl Message<Fire> for A {
    type Reply = ();
    async fn handle(&mut self, m: Fire, _: &mut Context<Self, ()>) {
        self.late.push(late_us(m.0));
        if self.late.len() as u64 == self.n {
            let _ = self.done.send(std::mem::take(&mut self.late));
        }
    }
}

async fn yield_(n: u64) -> Sample {
    let (tx, mut rx) = unbounded_channel();
    let a = A::new(Mode::Yield, n, Arc::default(), tx).go();
    a.wait_for_startup().await;
    let t0 = Instant::now();
    let _ = a.tell(Add(1)).try_send();
    rx.recv().await;
    Sample::new(n, t0.elapsed())
}
async fn pingpong(n: u64) -> Sample {
    let (tx, mut rx) = unbounded_channel();
    let a = A::new(Mode::Ping, n, Arc::default(), tx.clone()).go();
    let b = A::new(Mode::Pong, n, Arc::default(), tx).go();
    a.ask(Peer_(b.clone())).await.unwrap();
    b.ask(Peer_(a.clone())).await.unwrap();
    let t0 = Instant::now();
    let _ = a.tell(Add(0)).try_send();
    rx.recv().await;
    Sample::new(n, t0.elapsed())
}
async fn call(n: u64) -> Sample {
    let (tx, _rx) = unbounded_channel();
    let a = A::new(Mode::Sink, n, Arc::default(), tx).go();
    let t0 = Instant::now();
    let v = tokio::spawn(async move {
        let mut v = 0;
        for _ in 0..n {
            v = a.ask(Ask(v)).await.unwrap();
        }
        v
    })
    .await
    .unwrap();
    assert_eq!(v, n);
    Sample::new(n, t0.elapsed())
}
async fn spawn(n: u64) -> Sample {
    let (tx, mut rx) = unbounded_channel();
    let sh: Arc<AtomicU64> = Arc::default();
    let t0 = Instant::now();
    for _ in 0..n {
        A::new(Mode::Spawn, n, sh.clone(), tx.clone()).go();
    }
    rx.recv().await;
    Sample::new(n, t0.elapsed())
}
async fn alive(n: u64) -> Sample {
    let (tx, _rx) = unbounded_channel();
    let mut v = Vec::with_capacity(n as usize);
    let sh: Arc<AtomicU64> = Arc::default();
    let h0 = vm_hwm();
    let t0 = Instant::now();
    for _ in 0..n {
        v.push(A::new(Mode::Sink, n, sh.clone(), tx.clone()).go());
    }
    v.last().unwrap().wait_for_startup().await;
    let d = t0.elapsed();
    let per = (vm_hwm() - h0) as f64 / n as f64;
    std::mem::forget(v);
    Sample::new(n, d).with("bytes_per_session", per)
}
async fn timers(n: u64, lead: f64) -> Sample {
    let (tx, mut rx) = unbounded_channel();
    let a = A::new(Mode::Sink, n, Arc::default(), tx).go();
    let ds = delays(n, lead);
    let cpu0 = cpu_seconds();
    let t0 = Instant::now();
    for d in ds {
        let due = Instant::now() + d;
        a.tell(Fire(due)).send_after(d);
    }
    tokio::task::yield_now().await;
    let set = t0.elapsed();
    let cpu_set = cpu_seconds();
    let late = rx.recv().await.unwrap();
    timers_sample(n, set, late, cpu0, cpu_set, t0)
}
async fn cancel(n: u64, again: bool) -> Sample {
    let (tx, _rx) = unbounded_channel();
    let a = A::new(Mode::Sink, n, Arc::default(), tx).go();
    let ds = delays(n, 100.0);
    let t0 = Instant::now();
    let mk = |d: Duration| a.tell(Fire(Instant::now() + d)).send_after(d);
    let hs: Vec<_> = ds.iter().map(|d| mk(*d)).collect();
    for _ in 0..n / 16 + 2 {
        tokio::task::yield_now().await;
    }
    let set = t0.elapsed();
    let t1 = Instant::now();
    for (h, d) in hs.iter().zip(&ds) {
        h.abort();
        if again {
            drop(mk(*d + Duration::from_secs(7)));
        }
    }
    for h in hs {
        let _ = h.await;
    }
    Sample::new(n, t1.elapsed()).with("set_s", set.as_secs_f64())
}
async fn fanout(n: u64) -> Sample {
    let (tx, mut rx) = unbounded_channel();
    let sh: Arc<AtomicU64> = Arc::default();
    let v: Vec<_> = (0..1000)
        .map(|_| A::new(Mode::Sink, n, sh.clone(), tx.clone()).go())
        .collect();
    v[999].wait_for_startup().await;
    let t0 = Instant::now();
    tokio::spawn(async move {
        for i in 0..n as usize {
            let _ = v[i % 1000].tell(Add(1)).try_send();
        }
        std::future::pending::<()>().await;
    });
    rx.recv().await;
    Sample::new(n, t0.elapsed())
}
async fn xthread(n: u64) -> Sample {
    let (tx, mut rx) = unbounded_channel();
    let a = A::new(Mode::Sink, n, Arc::default(), tx).go();
    a.wait_for_startup().await;
    let t0 = Instant::now();
    let th = std::thread::spawn(move || {
        for _ in 0..n {
            let _ = a.tell(Add(1)).try_send();
        }
        a
    });
    rx.recv().await;
    let d = t0.elapsed();
    th.join().unwrap();
    Sample::new(n, d)
}
