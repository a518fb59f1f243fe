//! xtra 0.6, actors run by spawn_local, unbounded mailboxes. A post is
//! `send(..).detach()`, which allocates its reply slot all the same.

use super::raw_tokio::local;
use crate::common::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::spawn_local;
use xtra::prelude::*;

pub struct Xtra;

impl Peer for Xtra {
    fn name(&self) -> &'static str {
        "xtra"
    }
    fn run(&self, w: Work, n: u64, _: &Opts) -> Out {
        Out::Done(match w {
            Work::Yield => local(yield_(n)),
            Work::PingPong => local(pingpong(n)),
            Work::Call => local(call(n)),
            Work::Spawn => local(spawn(n)),
            Work::Alive => local(alive(n)),
            Work::Fanout => local(fanout(n)),
            Work::XThread => local(xthread(n)),
            Work::Timers | Work::TimersCancel | Work::TimersAdjust => {
                return Out::Skip("no timers of its own: tokio's");
            }
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
    me: Option<Address<A>>,
    peer: Option<Address<A>>,
    shared: Arc<AtomicU64>,
    done: UnboundedSender<()>,
}
impl Actor for A {
    type Stop = ();
    async fn started(&mut self, _: &Mailbox<Self>) -> Result<(), ()> {
        if self.mode == Mode::Spawn {
            let _ = self.me.as_ref().unwrap().send(Add(1)).detach().await;
        }
        Ok(())
    }
    async fn stopped(self) {
        if self.mode == Mode::Spawn && self.shared.fetch_add(1, Relaxed) + 1 == self.n {
            let _ = self.done.send(());
        }
    }
}
struct Add(u64);
struct SetPeer(Address<A>);
struct Ask(u64);
impl Handler<Add> for A {
    type Return = ();
    async fn handle(&mut self, m: Add, ctx: &mut Context<Self>) {
        match self.mode {
            Mode::Yield => {
                self.c += m.0;
                if self.c == self.n {
                    let _ = self.done.send(());
                } else {
                    let _ = self.me.as_ref().unwrap().send(Add(1)).detach().await;
                }
            }
            Mode::Ping => {
                if m.0 == self.n {
                    let _ = self.done.send(());
                } else {
                    let _ = self.peer.as_ref().unwrap().send(m).detach().await;
                }
            }
            Mode::Pong => {
                let _ = self.peer.as_ref().unwrap().send(Add(m.0 + 1)).detach().await;
            }
            Mode::Spawn => {
                self.c += m.0;
                if self.c == 10 {
                    ctx.stop_self();
                } else {
                    let _ = self.me.as_ref().unwrap().send(Add(1)).detach().await;
                }
            }
            Mode::Sink => {
                if self.shared.fetch_add(m.0, Relaxed) + m.0 == self.n {
                    let _ = self.done.send(());
                }
            }
        }
    }
}
impl Handler<SetPeer> for A {
    type Return = ();
    async fn handle(&mut self, m: SetPeer, _: &mut Context<Self>) {
        self.peer = Some(m.0)
    }
}
impl Handler<Ask> for A {
    type Return = u64;
    async fn handle(&mut self, m: Ask, _: &mut Context<Self>) -> u64 {
        m.0 + 1
    }
}
fn go(mode: Mode, n: u64, shared: Arc<AtomicU64>, done: UnboundedSender<()>) -> Address<A> {
    let (addr, mb) = Mailbox::unbounded();
    let me = matches!(mode, Mode::Yield | Mode::Spawn).then(|| addr.clone());
    let a = A {
        mode,
        c: 0,
        n,
        me,
        peer: None,
        shared,
        done,
    };
    spawn_local(xtra::run(mb, a));
    addr
}

async fn yield_(n: u64) -> Sample {
    let (tx, mut rx) = unbounded_channel();
    let a = go(Mode::Yield, n, Arc::default(), tx);
    let t0 = Instant::now();
    let _ = a.send(Add(1)).detach().await;
    rx.recv().await;
    Sample::new(n, t0.elapsed())
}
async fn pingpong(n: u64) -> Sample {
    let (tx, mut rx) = unbounded_channel();
    let a = go(Mode::Ping, n, Arc::default(), tx.clone());
    let b = go(Mode::Pong, n, Arc::default(), tx);
    a.send(SetPeer(b.clone())).await.unwrap();
    b.send(SetPeer(a.clone())).await.unwrap();
    let t0 = Instant::now();
    let _ = a.send(Add(0)).detach().await;
    rx.recv().await;
    Sample::new(n, t0.elapsed())
}
async fn call(n: u64) -> Sample {
    let (tx, _rx) = unbounded_channel();
    let a = go(Mode::Sink, n, Arc::default(), tx);
    let t0 = Instant::now();
    let v = spawn_local(async move {
        let mut v = 0;
        for _ in 0..n {
            v = a.send(Ask(v)).await.unwrap();
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
        go(Mode::Spawn, n, sh.clone(), tx.clone());
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
        v.push(go(Mode::Sink, n, sh.clone(), tx.clone()));
    }
    let _ = v.last().unwrap().send(Ask(1)).await;
    let d = t0.elapsed();
    let per = (vm_hwm() - h0) as f64 / n as f64;
    std::mem::forget(v);
    Sample::new(n, d).with("bytes_per_session", per)
}
async fn fanout(n: u64) -> Sample {
    let (tx, mut rx) = unbounded_channel();
    let sh: Arc<AtomicU64> = Arc::default();
    let v: Vec<_> = (0..1000).map(|_| go(Mode::Sink, n, sh.clone(), tx.clone())).collect();
    let _ = v[999].send(Ask(1)).await;
    let t0 = Instant::now();
    spawn_local(async move {
        for i in 0..n as usize {
            let _ = v[i % 1000].send(Add(1)).detach().await;
        }
        std::future::pending::<()>().await;
    });
    rx.recv().await;
    Sample::new(n, t0.elapsed())
}
async fn xthread(n: u64) -> Sample {
    let (tx, mut rx) = unbounded_channel();
    let a = go(Mode::Sink, n, Arc::default(), tx);
    let t0 = Instant::now();
    let th = std::thread::spawn(move || {
        // An unbounded send is ready on its first poll.
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        for _ in 0..n {
            let mut f = std::pin::pin!(a.send(Add(1)).detach());
            assert!(f.as_mut().poll(&mut cx).is_ready());
        }
        a
    });
    rx.recv().await;
    let d = t0.elapsed();
    th.join().unwrap();
    Sample::new(n, d)
}
