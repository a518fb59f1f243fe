//! actix 0.13. `--variant notify` posts to self by `ctx.notify` (the context's
//! own future list); the default is `addr.do_send` (the mailbox).

use crate::common::*;
use actix::prelude::*;
use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

pub struct Actix;

type Done = Rc<Cell<Option<oneshot::Sender<()>>>>;
fn done() -> (Done, oneshot::Receiver<()>) {
    let (t, r) = oneshot::channel();
    (Rc::new(Cell::new(Some(t))), r)
}
fn fin(d: &Done) {
    if let Some(t) = d.take() {
        let _ = t.send(());
    }
}

fn sys<F: Future>(f: F) -> F::Output {
    actix::System::new().block_on(f)
}

impl Peer for Actix {
    fn name(&self) -> &'static str {
        "actix"
    }
    fn run(&self, w: Work, n: u64, o: &Opts) -> Out {
        let notify = o.variant == "notify";
        Out::Done(match w {
            Work::Yield => sys(yield_(n, notify, o.pending)),
            Work::PingPong => sys(pingpong(n)),
            Work::Call => sys(call(n)),
            Work::Spawn => sys(spawn(n, notify)),
            Work::Alive => sys(alive(n)),
            Work::Timers => sys(timers(n, o.lead, 0)),
            Work::TimersCancel => sys(timers(n, o.lead, 1)),
            Work::TimersAdjust => sys(timers(n, o.lead, 2)),
            Work::Fanout => sys(fanout(n)),
            Work::Echo => sys(echo()),
            Work::XThread => sys(xthread(n)),
            _ => return Out::Skip("not written"),
        })
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct M(u64);

struct Y {
    c: u64,
    n: u64,
    notify: bool,
    pending: u64,
    done: Done,
}
impl Actor for Y {
    type Context = Context<Self>;
    fn started(&mut self, ctx: &mut Self::Context) {
        for d in delays(self.pending, 1000.0) {
            ctx.run_later(d, |_, _| {});
        }
    }
}
impl Handler<M> for Y {
    type Result = ();
    fn handle(&mut self, m: M, ctx: &mut Self::Context) {
        self.c += m.0;
        if self.c == self.n {
            fin(&self.done)
        } else if self.notify {
            ctx.notify(M(1))
        } else {
            ctx.address().do_send(M(1))
        }
    }
}

async fn yield_(n: u64, notify: bool, pending: u64) -> Sample {
    let (d, r) = done();
    let a = Y {
        c: 0,
        n,
        notify,
        pending,
        done: d,
    }
    .start();
    tokio::time::sleep(Duration::from_millis(if pending > 0 { 20 } else { 0 })).await;
    let t0 = Instant::now();
    a.do_send(M(1));
    r.await.unwrap();
    Sample::new(n, t0.elapsed())
}

struct P {
    peer: Option<Addr<P>>,
    n: u64,
    done: Option<Done>,
}
impl Actor for P {
    type Context = Context<Self>;
}
#[derive(Message)]
#[rtype(result = "()")]
struct SetPeer(Addr<P>);
impl Handler<SetPeer> for P {
    type Result = ();
    fn handle(&mut self, m: SetPeer, _: &mut Self::Context) {
        self.peer = Some(m.0)
    }
}
impl Handler<M> for P {
    type Result = ();
    fn handle(&mut self, m: M, _: &mut Self::Context) {
        let peer = self.peer.as_ref().unwrap();
        match &self.done {
            Some(d) if m.0 == self.n => fin(d),
            Some(_) => peer.do_send(m),
            None => peer.do_send(M(m.0 + 1)),
        }
    }
}

async fn pingpong(n: u64) -> Sample {
    let (d, r) = done();
    let a = P {
        peer: None,
        n,
        done: Some(d),
    }
    .start();
    let b = P {
        peer: Some(a.clone()),
        n,
        done: None,
    }
    .start();
    a.send(SetPeer(b)).await.unwrap();
    let t0 = Instant::now();
    a.do_send(M(0));
    r.await.unwrap();
    Sample::new(n, t0.elapsed())
}

#[derive(Message)]
#[rtype(result = "u64")]
struct Q(u64);
struct C;
impl Actor for C {
    type Context = Context<Self>;
}
impl Handler<Q> for C {
    type Result = u64;
    fn handle(&mut self, m: Q, _: &mut Self::Context) -> u64 {
        m.0 + 1
    }
}
async fn call(n: u64) -> Sample {
    let a = C.start();
    let t0 = Instant::now();
    let v = actix_rt::spawn(async move {
        let mut v = 0;
        for _ in 0..n {
            v = a.send(Q(v)).await.unwrap();
        }
        v
    })
    .await
    .unwrap();
    assert_eq!(v, n);
    Sample::new(n, t0.elapsed())
}

struct S {
    c: u64,
    notify: bool,
    left: Rc<Cell<u64>>,
    done: Done,
}
impl Actor for S {
    type Context = Context<Self>;
    fn started(&mut self, ctx: &mut Self::Context) {
        if self.notify {
            ctx.notify(M(1))
        } else {
            ctx.address().do_send(M(1))
        }
    }
    fn stopped(&mut self, _: &mut Self::Context) {
        self.left.set(self.left.get() - 1);
        if self.left.get() == 0 {
            fin(&self.done)
        }
    }
}
impl Handler<M> for S {
    type Result = ();
    fn handle(&mut self, m: M, ctx: &mut Self::Context) {
        self.c += m.0;
        if self.c == 10 {
            ctx.stop()
        } else if self.notify {
            ctx.notify(M(1))
        } else {
            ctx.address().do_send(M(1))
        }
    }
}
async fn spawn(n: u64, notify: bool) -> Sample {
    let (d, r) = done();
    let left = Rc::new(Cell::new(n));
    let t0 = Instant::now();
    for _ in 0..n {
        S {
            c: 0,
            notify,
            left: left.clone(),
            done: d.clone(),
        }
        .start();
    }
    r.await.unwrap();
    Sample::new(n, t0.elapsed())
}

struct L {
    c: u64,
    started: Rc<Cell<u64>>,
}
impl Actor for L {
    type Context = Context<Self>;
    fn started(&mut self, _: &mut Self::Context) {
        self.started.set(self.started.get() + 1)
    }
}
impl Handler<M> for L {
    type Result = ();
    fn handle(&mut self, m: M, _: &mut Self::Context) {
        self.c += m.0
    }
}
async fn alive(n: u64) -> Sample {
    let started = Rc::new(Cell::new(0));
    let mut v = Vec::with_capacity(n as usize);
    let h0 = vm_hwm();
    let t0 = Instant::now();
    for _ in 0..n {
        v.push(
            L {
                c: 0,
                started: started.clone(),
            }
            .start(),
        );
    }
    while started.get() < n {
        tokio::task::yield_now().await;
    }
    let d = t0.elapsed();
    let per = (vm_hwm() - h0) as f64 / n as f64;
    Sample::new(n, d).with("bytes_per_session", per)
}

struct T {
    n: u64,
    lead: f64,
    mode: u8,
    fired: u64,
    late: Vec<f64>,
    cpu0: f64,
    cpu_set: f64,
    set: Duration,
    t0: Instant,
    out: Rc<Cell<Option<Sample>>>,
    done: Done,
}
impl T {
    fn one(&self, ctx: &mut Context<T>, d: Duration) -> SpawnHandle {
        let due = Instant::now() + d;
        ctx.run_later(d, move |a: &mut T, _| {
            a.fired += 1;
            a.late.push(late_us(due));
            if a.fired == a.n {
                let late = std::mem::take(&mut a.late);
                a.out
                    .set(Some(timers_sample(a.n, a.set, late, a.cpu0, a.cpu_set, a.t0)));
                fin(&a.done);
            }
        })
    }
}
impl Actor for T {
    type Context = Context<Self>;
    fn started(&mut self, ctx: &mut Self::Context) {
        let lead = if self.mode == 0 { self.lead } else { 100.0 };
        let ds = delays(self.n, lead);
        self.cpu0 = cpu_seconds();
        self.t0 = Instant::now();
        let hs: Vec<_> = ds.iter().map(|d| self.one(ctx, *d)).collect();
        self.set = self.t0.elapsed();
        self.cpu_set = cpu_seconds();
        if self.mode > 0 {
            // The handles only become timers when the context polls them.
            ctx.run_later(Duration::ZERO, move |a, ctx| {
                let t1 = Instant::now();
                for h in &hs {
                    ctx.cancel_future(*h);
                }
                if a.mode == 2 {
                    for d in ds {
                        a.one(ctx, d + Duration::from_secs(7));
                    }
                }
                // Once more round the loop, so that the cancelled are gone.
                ctx.run_later(Duration::ZERO, move |a, _| {
                    a.out
                        .set(Some(Sample::new(a.n, t1.elapsed()).with("set_s", a.set.as_secs_f64())));
                    fin(&a.done);
                });
            });
        }
    }
}
async fn timers(n: u64, lead: f64, mode: u8) -> Sample {
    let (d, r) = done();
    let out = Rc::new(Cell::new(None));
    T {
        n,
        lead,
        mode,
        fired: 0,
        late: Vec::with_capacity(n as usize),
        cpu0: 0.0,
        cpu_set: 0.0,
        set: Duration::ZERO,
        t0: Instant::now(),
        out: out.clone(),
        done: d,
    }
    .start();
    r.await.unwrap();
    out.take().unwrap()
}

struct F {
    got: Rc<Cell<u64>>,
    n: u64,
    done: Done,
}
impl Actor for F {
    type Context = Context<Self>;
}
impl Handler<M> for F {
    type Result = ();
    fn handle(&mut self, m: M, _: &mut Self::Context) {
        self.got.set(self.got.get() + m.0);
        if self.got.get() == self.n {
            fin(&self.done)
        }
    }
}
struct Poster(Vec<Addr<F>>, u64);
impl Actor for Poster {
    type Context = Context<Self>;
    fn started(&mut self, _: &mut Self::Context) {
        for i in 0..self.1 as usize {
            self.0[i % self.0.len()].do_send(M(1));
        }
    }
}
async fn fanout(n: u64) -> Sample {
    let (d, r) = done();
    let got = Rc::new(Cell::new(0));
    let v: Vec<_> = (0..1000)
        .map(|_| {
            F {
                got: got.clone(),
                n,
                done: d.clone(),
            }
            .start()
        })
        .collect();
    tokio::task::yield_now().await;
    let t0 = Instant::now();
    let _p = Poster(v, n).start();
    r.await.unwrap();
    Sample::new(n, t0.elapsed())
}

use tokio_util::codec::{FramedRead, LinesCodec, LinesCodecError};
type W = actix::io::FramedWrite<String, tokio::net::tcp::OwnedWriteHalf, LinesCodec>;
struct E(W);
impl Actor for E {
    type Context = Context<Self>;
}
impl actix::io::WriteHandler<LinesCodecError> for E {}
impl StreamHandler<Result<String, LinesCodecError>> for E {
    fn handle(&mut self, m: Result<String, LinesCodecError>, ctx: &mut Self::Context) {
        match m {
            Ok(l) => self.0.write(l),
            Err(_) => ctx.stop(),
        }
    }
}
async fn echo() -> Sample {
    let l = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("PORT {}", l.local_addr().unwrap().port());
    loop {
        let (s, _) = l.accept().await.unwrap();
        s.set_nodelay(true).unwrap();
        let (r, w) = s.into_split();
        E::create(move |ctx| {
            ctx.add_stream(FramedRead::new(r, LinesCodec::new()));
            E(actix::io::FramedWrite::new(w, LinesCodec::new(), ctx))
        });
    }
}

async fn xthread(n: u64) -> Sample {
    let (d, r) = done();
    let a = F {
        got: Rc::new(Cell::new(0)),
        n,
        done: d,
    }
    .start();
    tokio::task::yield_now().await;
    let t0 = Instant::now();
    let th = std::thread::spawn(move || {
        for _ in 0..n {
            a.do_send(M(1));
        }
        a
    });
    r.await.unwrap();
    let d = t0.elapsed();
    th.join().unwrap();
    Sample::new(n, d)
}
