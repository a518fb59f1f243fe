//! raw-tokio: LocalSet + spawn_local + unbounded mpsc. The practical limit of
//! "one task per actor" on Tokio.

use crate::common::*;
use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{LocalSet, spawn_local};

pub struct RawTokio;

pub fn local<F: Future>(f: F) -> F::Output {
    let rt = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    LocalSet::new().block_on(&rt, f)
}

impl Peer for RawTokio {
    fn name(&self) -> &'static str {
        "raw-tokio"
    }
    fn run(&self, w: Work, n: u64, o: &Opts) -> Out {
        Out::Done(match w {
            Work::Yield => local(yield_(n, o.pending)),
            Work::PingPong => local(pingpong(n)),
            Work::Call => local(call(n)),
            Work::Spawn => local(spawn(n)),
            Work::Alive => local(alive(n)),
            Work::Timers => local(timers(n, o.lead)),
            Work::TimersCancel => local(cancel(n)),
            Work::TimersAdjust => local(adjust(n)),
            Work::Fanout => local(fanout(n)),
            Work::Echo => local(echo()),
            Work::XThread => local(xthread(n)),
            Work::Starve => local(starve(n)),
            Work::Pool => return Out::Skip("one thread"),
            Work::Queue => return Out::Skip("see system queue"),
        })
    }
}

async fn yield_(n: u64, pending: u64) -> Sample {
    for d in delays(pending, 1000.0) {
        spawn_local(tokio::time::sleep(d));
    }
    tokio::time::sleep(Duration::from_millis(if pending > 0 { 20 } else { 0 })).await;
    let (tx, mut rx) = mpsc::unbounded_channel::<u64>();
    let t0 = Instant::now();
    tx.send(1).unwrap();
    let total = spawn_local(async move {
        let mut count = 0u64;
        while let Some(v) = rx.recv().await {
            count += v;
            if count == n {
                break;
            }
            tx.send(1).unwrap();
        }
        count
    })
    .await
    .unwrap();
    assert_eq!(total, n);
    Sample::new(n, t0.elapsed())
}

async fn pingpong(n: u64) -> Sample {
    let (atx, mut arx) = mpsc::unbounded_channel::<u64>();
    let (btx, mut brx) = mpsc::unbounded_channel::<u64>();
    let t0 = Instant::now();
    atx.send(0).unwrap();
    spawn_local(async move {
        while let Some(v) = brx.recv().await {
            let _ = atx.send(v + 1);
        }
    });
    let v = spawn_local(async move {
        while let Some(v) = arx.recv().await {
            if v == n {
                return v;
            }
            btx.send(v).unwrap();
        }
        0
    })
    .await
    .unwrap();
    assert_eq!(v, n);
    Sample::new(n, t0.elapsed())
}

async fn call(n: u64) -> Sample {
    let (tx, mut rx) = mpsc::unbounded_channel::<(u64, oneshot::Sender<u64>)>();
    spawn_local(async move {
        while let Some((v, reply)) = rx.recv().await {
            let _ = reply.send(v + 1);
        }
    });
    let t0 = Instant::now();
    let v = spawn_local(async move {
        let mut v = 0;
        for _ in 0..n {
            let (rtx, rrx) = oneshot::channel();
            tx.send((v, rtx)).unwrap();
            v = rrx.await.unwrap();
        }
        v
    })
    .await
    .unwrap();
    assert_eq!(v, n);
    Sample::new(n, t0.elapsed())
}

async fn spawn(n: u64) -> Sample {
    let left = Rc::new(Cell::new(n));
    let (done_tx, done_rx) = oneshot::channel::<()>();
    let done = Rc::new(Cell::new(Some(done_tx)));
    let t0 = Instant::now();
    for _ in 0..n {
        let (tx, mut rx) = mpsc::unbounded_channel::<u64>();
        let left = left.clone();
        let done = done.clone();
        spawn_local(async move {
            tx.send(1).unwrap();
            let mut c = 0;
            while let Some(v) = rx.recv().await {
                c += v;
                if c == 10 {
                    break;
                }
                tx.send(1).unwrap();
            }
            left.set(left.get() - 1);
            if left.get() == 0 {
                let _ = done.take().unwrap().send(());
            }
        });
    }
    done_rx.await.unwrap();
    Sample::new(n, t0.elapsed())
}

async fn alive(n: u64) -> Sample {
    let mut txs = Vec::with_capacity(n as usize);
    let started = Rc::new(Cell::new(0u64));
    let h0 = vm_hwm();
    let t0 = Instant::now();
    for _ in 0..n {
        let (tx, mut rx) = mpsc::unbounded_channel::<u64>();
        let started = started.clone();
        spawn_local(async move {
            started.set(started.get() + 1);
            let mut c = 0;
            while let Some(v) = rx.recv().await {
                c += v;
            }
            c
        });
        txs.push(tx);
    }
    while started.get() < n {
        tokio::task::yield_now().await;
    }
    let d = t0.elapsed();
    let per = (vm_hwm() - h0) as f64 / n as f64;
    Sample::new(n, d).with("bytes_per_session", per)
}

async fn timers(n: u64, lead: f64) -> Sample {
    let ds = delays(n, lead);
    let late = Rc::new(RefCell::new(Vec::with_capacity(n as usize)));
    let registered = Rc::new(Cell::new(0u64));
    let set = Rc::new(Cell::new((Duration::ZERO, 0.0)));
    let cpu0 = cpu_seconds();
    let t0 = Instant::now();
    let mut hs = Vec::with_capacity(n as usize);
    for d in ds {
        let (late, registered, set) = (late.clone(), registered.clone(), set.clone());
        let due = Instant::now() + d;
        hs.push(spawn_local(async move {
            let mut s = Box::pin(tokio::time::sleep_until(due.into()));
            let mut first = true;
            poll_fn(|cx| {
                let p = s.as_mut().poll(cx);
                if first {
                    first = false;
                    registered.set(registered.get() + 1);
                    if registered.get() == n {
                        set.set((t0.elapsed(), cpu_seconds()));
                    }
                }
                if p.is_pending() { Poll::Pending } else { Poll::Ready(()) }
            })
            .await;
            late.borrow_mut().push(late_us(due));
        }));
    }
    for h in hs {
        h.await.unwrap();
    }
    timers_sample(n, set.get().0, late.take(), cpu0, set.get().1, t0)
}

async fn cancel(n: u64) -> Sample {
    let ds = delays(n, 100.0);
    let registered = Rc::new(Cell::new(0u64));
    let t0 = Instant::now();
    let mut hs = Vec::with_capacity(n as usize);
    for d in ds {
        let registered = registered.clone();
        hs.push(spawn_local(async move {
            registered.set(registered.get() + 1);
            tokio::time::sleep(d).await;
        }));
    }
    while registered.get() < n {
        tokio::task::yield_now().await;
    }
    let set = t0.elapsed();
    let t1 = Instant::now();
    for h in &hs {
        h.abort();
    }
    for h in hs {
        assert!(h.await.is_err());
    }
    Sample::new(n, t1.elapsed()).with("set_s", set.as_secs_f64())
}

async fn adjust(n: u64) -> Sample {
    let ds = delays(n, 100.0);
    let t0 = Instant::now();
    let mut sl: Vec<_> = ds.iter().map(|d| Box::pin(tokio::time::sleep(*d))).collect();
    poll_fn(|cx| {
        for s in sl.iter_mut() {
            assert!(s.as_mut().poll(cx).is_pending());
        }
        Poll::Ready(())
    })
    .await;
    let set = t0.elapsed();
    let t1 = Instant::now();
    for s in sl.iter_mut() {
        let d = s.deadline() + Duration::from_secs(7);
        s.as_mut().reset(d);
    }
    Sample::new(n, t1.elapsed()).with("set_s", set.as_secs_f64())
}

async fn fanout(n: u64) -> Sample {
    const K: usize = 1000;
    let got = Rc::new(Cell::new(0u64));
    let (done_tx, done_rx) = oneshot::channel::<()>();
    let done = Rc::new(Cell::new(Some(done_tx)));
    let mut txs = Vec::new();
    for _ in 0..K {
        let (tx, mut rx) = mpsc::unbounded_channel::<u64>();
        let (got, done) = (got.clone(), done.clone());
        spawn_local(async move {
            while let Some(v) = rx.recv().await {
                got.set(got.get() + v);
                if got.get() == n {
                    let _ = done.take().unwrap().send(());
                }
            }
        });
        txs.push(tx);
    }
    let t0 = Instant::now();
    spawn_local(async move {
        for i in 0..n as usize {
            txs[i % K].send(1).unwrap();
        }
        std::future::pending::<()>().await;
    });
    done_rx.await.unwrap();
    Sample::new(n, t0.elapsed())
}

async fn echo() -> Sample {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let l = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("PORT {}", l.local_addr().unwrap().port());
    loop {
        let (mut s, _) = l.accept().await.unwrap();
        s.set_nodelay(true).unwrap();
        spawn_local(async move {
            let mut buf: Vec<u8> = Vec::with_capacity(4096);
            let mut out: Vec<u8> = Vec::with_capacity(4096);
            loop {
                match s.read_buf(&mut buf).await {
                    Ok(0) | Err(_) => return,
                    Ok(_) => {}
                }
                out.clear();
                let mut start = 0;
                while let Some(p) = buf[start..].iter().position(|b| *b == b'\n') {
                    out.extend_from_slice(&buf[start..start + p]);
                    out.push(b'\n');
                    start += p + 1;
                }
                buf.drain(..start);
                if !out.is_empty() && s.write_all(&out).await.is_err() {
                    return;
                }
            }
        });
    }
}

async fn xthread(n: u64) -> Sample {
    let (tx, mut rx) = mpsc::unbounded_channel::<u64>();
    let t0 = Instant::now();
    let th = std::thread::spawn(move || {
        for _ in 0..n {
            tx.send(1).unwrap();
        }
    });
    let total = spawn_local(async move {
        let mut c = 0;
        while let Some(v) = rx.recv().await {
            c += v;
        }
        c
    })
    .await
    .unwrap();
    assert_eq!(total, n);
    let d = t0.elapsed();
    th.join().unwrap();
    Sample::new(n, d)
}

/// N one-millisecond ticks while another task yields without end.
async fn starve(n: u64) -> Sample {
    let stop = Rc::new(Cell::new(false));
    let (tx, mut rx) = mpsc::unbounded_channel::<u64>();
    tx.send(1).unwrap();
    let s2 = stop.clone();
    let h = spawn_local(async move {
        let mut c = 0;
        while let Some(v) = rx.recv().await {
            c += v;
            if s2.get() {
                break;
            }
            tx.send(1).unwrap();
        }
        c
    });
    let mut late = Vec::new();
    let t0 = Instant::now();
    for _ in 0..n {
        let due = Instant::now() + Duration::from_millis(1);
        tokio::time::sleep_until(due.into()).await;
        late.push(late_us(due));
    }
    stop.set(true);
    let events = h.await.unwrap();
    let d = t0.elapsed();
    let mut s = Sample::new(events, d);
    s.extra.extend(lateness(late));
    s
}
