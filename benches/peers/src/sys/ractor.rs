//! ractor 0.16 on a current-thread runtime.

use crate::common::*;
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

pub struct Ractor;

fn rt<F: Future>(f: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(f)
}

impl Peer for Ractor {
    fn name(&self) -> &'static str {
        "ractor"
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

enum M {
    Add(u64),
    Peer(ActorRef<M>),
    Ask(u64, RpcReplyPort<u64>),
    Fire(Instant),
}

#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Yield,
    Ping,
    Pong,
    Call,
    Spawn,
    Sink,
    Timer,
}
struct A(Mode);
struct St {
    c: u64,
    n: u64,
    peer: Option<ActorRef<M>>,
    shared: Arc<AtomicU64>,
    done: UnboundedSender<Vec<f64>>,
    late: Vec<f64>,
}
type Args = (u64, Arc<AtomicU64>, UnboundedSender<Vec<f64>>);

impl Actor for A {
    type Msg = M;
    type State = St;
    type Arguments = Args;
    async fn pre_start(&self, me: ActorRef<M>, a: Args) -> Result<St, ActorProcessingErr> {
        if self.0 == Mode::Spawn {
            let _ = me.send_message(M::Add(1));
        }
        Ok(St {
            c: 0,
            n: a.0,
            peer: None,
            shared: a.1,
            done: a.2,
            late: Vec::new(),
        })
    }
    async fn handle(&self, me: ActorRef<M>, m: M, s: &mut St) -> Result<(), ActorProcessingErr> {
        match (self.0, m) {
            (Mode::Yield, M::Add(v)) => {
                s.c += v;
                if s.c == s.n {
                    let _ = s.done.send(vec![]);
                } else {
                    let _ = me.send_message(M::Add(1));
                }
            }
            (Mode::Ping, M::Add(v)) => {
                if v == s.n {
                    let _ = s.done.send(vec![]);
                } else {
                    let _ = s.peer.as_ref().unwrap().send_message(M::Add(v));
                }
            }
            (Mode::Pong, M::Add(v)) => {
                let _ = s.peer.as_ref().unwrap().send_message(M::Add(v + 1));
            }
            (Mode::Call, M::Ask(v, r)) => {
                let _ = r.send(v + 1);
            }
            (Mode::Spawn, M::Add(v)) => {
                s.c += v;
                if s.c == 10 {
                    me.stop(None)
                } else {
                    let _ = me.send_message(M::Add(1));
                }
            }
            (Mode::Sink, M::Add(v)) => {
                if s.shared.fetch_add(v, Relaxed) + v == s.n {
                    let _ = s.done.send(vec![]);
                }
            }
            (Mode::Timer, M::Fire(due)) => {
                s.late.push(late_us(due));
                if s.late.len() as u64 == s.n {
                    let _ = s.done.send(std::mem::take(&mut s.late));
                }
            }
            (_, M::Peer(p)) => s.peer = Some(p),
            _ => unreachable!(),
        }
        Ok(())
    }
    async fn post_stop(&self, _: ActorRef<M>, s: &mut St) -> Result<(), ActorProcessingErr> {
        if self.0 == Mode::Spawn && s.shared.fetch_add(1, Relaxed) + 1 == s.n {
            let _ = s.done.send(vec![]);
        }
        Ok(())
    }
}

async fn yield_(n: u64) -> Sample {
    let (tx, mut rx) = unbounded_channel();
    let (a, _h) = Actor::spawn(None, A(Mode::Yield), (n, Arc::default(), tx))
        .await
        .unwrap();
    let t0 = Instant::now();
    let _ = a.send_message(M::Add(1));
    rx.recv().await;
    Sample::new(n, t0.elapsed())
}
async fn pingpong(n: u64) -> Sample {
    let (tx, mut rx) = unbounded_channel();
    let (a, _h) = Actor::spawn(None, A(Mode::Ping), (n, Arc::default(), tx.clone()))
        .await
        .unwrap();
    let (b, _h) = Actor::spawn(None, A(Mode::Pong), (n, Arc::default(), tx))
        .await
        .unwrap();
    let _ = a.send_message(M::Peer(b.clone()));
    let _ = b.send_message(M::Peer(a.clone()));
    tokio::task::yield_now().await;
    let t0 = Instant::now();
    let _ = a.send_message(M::Add(0));
    rx.recv().await;
    Sample::new(n, t0.elapsed())
}
async fn call(n: u64) -> Sample {
    let (tx, _rx) = unbounded_channel();
    let (a, _h) = Actor::spawn(None, A(Mode::Call), (n, Arc::default(), tx))
        .await
        .unwrap();
    let t0 = Instant::now();
    let v = tokio::spawn(async move {
        let mut v = 0;
        for _ in 0..n {
            v = ractor::call!(a, M::Ask, v).unwrap();
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
        let _ = Actor::spawn(None, A(Mode::Spawn), (n, sh.clone(), tx.clone()))
            .await
            .unwrap();
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
        v.push(
            Actor::spawn(None, A(Mode::Sink), (n, sh.clone(), tx.clone()))
                .await
                .unwrap(),
        );
    }
    let d = t0.elapsed();
    let per = (vm_hwm() - h0) as f64 / n as f64;
    std::mem::forget(v);
    Sample::new(n, d).with("bytes_per_session", per)
}
async fn timers(n: u64, lead: f64) -> Sample {
    let (tx, mut rx) = unbounded_channel();
    let (a, _h) = Actor::spawn(None, A(Mode::Timer), (n, Arc::default(), tx))
        .await
        .unwrap();
    let ds = delays(n, lead);
    let cpu0 = cpu_seconds();
    let t0 = Instant::now();
    for d in ds {
        let due = Instant::now() + d;
        a.send_after(d, move || M::Fire(due));
    }
    // The tasks register their sleeps when they are first polled.
    tokio::task::yield_now().await;
    let set = t0.elapsed();
    let cpu_set = cpu_seconds();
    let late = rx.recv().await.unwrap();
    timers_sample(n, set, late, cpu0, cpu_set, t0)
}
async fn cancel(n: u64, again: bool) -> Sample {
    let (tx, _rx) = unbounded_channel();
    let (a, _h) = Actor::spawn(None, A(Mode::Timer), (n, Arc::default(), tx))
        .await
        .unwrap();
    let ds = delays(n, 100.0);
    let t0 = Instant::now();
    let mk = |d: Duration| {
        let due = Instant::now() + d;
        a.send_after(d, move || M::Fire(due))
    };
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
    let mut v = Vec::new();
    for _ in 0..1000 {
        v.push(
            Actor::spawn(None, A(Mode::Sink), (n, sh.clone(), tx.clone()))
                .await
                .unwrap()
                .0,
        );
    }
    let t0 = Instant::now();
    tokio::spawn(async move {
        for i in 0..n as usize {
            let _ = v[i % 1000].send_message(M::Add(1));
        }
        std::future::pending::<()>().await;
    });
    rx.recv().await;
    Sample::new(n, t0.elapsed())
}
async fn xthread(n: u64) -> Sample {
    let (tx, mut rx) = unbounded_channel();
    let (a, _h) = Actor::spawn(None, A(Mode::Sink), (n, Arc::default(), tx))
        .await
        .unwrap();
    let t0 = Instant::now();
    let th = std::thread::spawn(move || {
        for _ in 0..n {
            let _ = a.send_message(M::Add(1));
        }
        a
    });
    rx.recv().await;
    let d = t0.elapsed();
    th.join().unwrap();
    Sample::new(n, d)
}
