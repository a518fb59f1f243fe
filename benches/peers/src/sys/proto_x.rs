//! Cross-thread prototypes for W8, and the wheel prototype for W7.
//! proto-x-mpsc: one tokio mpsc into the kernel task.
//! proto-x-batch: Mutex<Vec> swapped whole; the sender wakes the kernel only
//! when no wake-up is already owed.
//! proto-x-mpsc echo: a reader task per connection posts each line into the
//! kernel's ring, the kernel's handler writes it back (POE's wheel shape).
//! proto-x-batch echo: the same, the line handled at once in the reader task.

use super::raw_tokio::local;
use crate::common::*;
use futures_util::task::AtomicWaker;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::*};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::time::Instant;
use tokio::sync::mpsc;
use tokio::task::spawn_local;

pub struct XMpsc;
pub struct XBatched;

#[derive(Clone, Copy)]
struct Ev {
    to: u32,
    state: u32,
    arg: u64,
}
type H = Rc<dyn Fn(&mut K, u64)>;
struct K {
    ring: VecDeque<Ev>,
    s: Vec<Vec<H>>,
    count: u64,
}
fn kernel() -> K {
    K {
        ring: VecDeque::new(),
        s: vec![vec![
            Rc::new(|_: &mut K, _| {}) as H,
            Rc::new(|k: &mut K, v| k.count += v),
        ]],
        count: 0,
    }
}
impl K {
    #[inline]
    fn drain(&mut self, max: usize) {
        for _ in 0..max {
            let Some(e) = self.ring.pop_front() else { break };
            let h = self.s[e.to as usize][e.state as usize].clone();
            h(self, e.arg);
        }
    }
}

impl Peer for XMpsc {
    fn name(&self) -> &'static str {
        "proto-x-mpsc"
    }
    fn run(&self, w: Work, n: u64, o: &Opts) -> Out {
        let batch = o.batch as usize;
        match w {
            Work::XThread => Out::Done(local(async move {
                let (tx, mut rx) = mpsc::unbounded_channel::<Ev>();
                let t0 = Instant::now();
                let th = std::thread::spawn(move || {
                    for _ in 0..n {
                        tx.send(Ev {
                            to: 0,
                            state: 1,
                            arg: 1,
                        })
                        .ok()
                        .unwrap();
                    }
                    tx
                });
                spawn_local(async move {
                    let mut k = kernel();
                    poll_fn(|cx| {
                        let mut got = 0;
                        loop {
                            match rx.poll_recv(cx) {
                                Poll::Ready(Some(e)) => k.ring.push_back(e),
                                _ => break,
                            }
                            got += 1;
                            if got == batch {
                                cx.waker().wake_by_ref();
                                break;
                            }
                        }
                        k.drain(usize::MAX);
                        if k.count == n { Poll::Ready(()) } else { Poll::Pending }
                    })
                    .await
                })
                .await
                .unwrap();
                let d = t0.elapsed();
                drop(th.join().unwrap());
                Sample::new(n, d)
            })),
            Work::Echo => Out::Done(local(echo(false))),
            _ => Out::Skip("xthread and echo only"),
        }
    }
}

struct Shared {
    v: Mutex<Vec<Ev>>,
    owed: AtomicBool,
    waker: AtomicWaker,
    wakes: AtomicU64,
}

impl Peer for XBatched {
    fn name(&self) -> &'static str {
        "proto-x-batch"
    }
    fn run(&self, w: Work, n: u64, _: &Opts) -> Out {
        match w {
            Work::XThread => Out::Done(local(async move {
                let sh = Arc::new(Shared {
                    v: Mutex::new(Vec::new()),
                    owed: AtomicBool::new(false),
                    waker: AtomicWaker::new(),
                    wakes: AtomicU64::new(0),
                });
                let s2 = sh.clone();
                let t0 = Instant::now();
                let th = std::thread::spawn(move || {
                    for _ in 0..n {
                        s2.v.lock().unwrap().push(Ev {
                            to: 0,
                            state: 1,
                            arg: 1,
                        });
                        if !s2.owed.load(Relaxed) && !s2.owed.swap(true, AcqRel) {
                            s2.wakes.fetch_add(1, Relaxed);
                            s2.waker.wake();
                        }
                    }
                });
                let s3 = sh.clone();
                spawn_local(async move {
                    let mut k = kernel();
                    let mut buf = Vec::new();
                    poll_fn(|cx| {
                        s3.waker.register(cx.waker());
                        s3.owed.store(false, SeqCst);
                        std::mem::swap(&mut *s3.v.lock().unwrap(), &mut buf);
                        k.ring.extend(buf.drain(..));
                        k.drain(usize::MAX);
                        if k.count == n { Poll::Ready(()) } else { Poll::Pending }
                    })
                    .await
                })
                .await
                .unwrap();
                let d = t0.elapsed();
                th.join().unwrap();
                Sample::new(n, d).with("wakes", sh.wakes.load(Relaxed) as f64)
            })),
            Work::Echo => Out::Done(local(echo(true))),
            _ => Out::Skip("xthread and echo only"),
        }
    }
}

// ---- W7: a wheel ----

struct Line {
    conn: u32,
    state: u32,
    bytes: Vec<u8>,
}
type LH = Rc<dyn Fn(&mut LK, Line)>;
struct LK {
    ring: VecDeque<Line>,
    s: Vec<Option<Vec<LH>>>,
}
impl LK {
    #[inline]
    fn drain(&mut self, max: usize) -> bool {
        for _ in 0..max {
            let Some(l) = self.ring.pop_front() else { return false };
            let h = self
                .s
                .get(l.conn as usize)
                .and_then(|s| s.as_ref())
                .map(|s| s[l.state as usize].clone());
            if let Some(h) = h {
                h(self, l)
            }
        }
        !self.ring.is_empty()
    }
}

async fn echo(inline: bool) -> Sample {
    let l = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("PORT {}", l.local_addr().unwrap().port());
    let k = Rc::new(RefCell::new(LK {
        ring: VecDeque::new(),
        s: Vec::new(),
    }));
    let waker: Rc<RefCell<Option<Waker>>> = Rc::new(RefCell::new(None));
    let owed = Rc::new(Cell::new(false));
    let (k2, w2, o2) = (k.clone(), waker.clone(), owed.clone());
    spawn_local(async move {
        poll_fn(|cx| {
            o2.set(false);
            *w2.borrow_mut() = Some(cx.waker().clone());
            if k2.borrow_mut().drain(256) {
                o2.set(true);
                cx.waker().wake_by_ref();
            }
            Poll::<()>::Pending
        })
        .await
    });
    let mut free: Vec<u32> = Vec::new();
    loop {
        let (s, _) = l.accept().await.unwrap();
        s.set_nodelay(true).unwrap();
        let s = Rc::new(s);
        let sw = s.clone();
        let h: LH = Rc::new(move |_, mut l| {
            l.bytes.push(b'\n');
            // A short write would go to a per-wheel buffer; 64 bytes never is.
            let n = sw.try_write(&l.bytes).unwrap_or(0);
            debug_assert_eq!(n, l.bytes.len());
        });
        let mut kk = k.borrow_mut();
        let id = free.pop().unwrap_or(kk.s.len() as u32);
        let states: Vec<LH> = vec![Rc::new(|_, _| {}), h];
        if id as usize == kk.s.len() {
            kk.s.push(Some(states))
        } else {
            kk.s[id as usize] = Some(states)
        }
        drop(kk);
        let (k, waker, owed) = (k.clone(), waker.clone(), owed.clone());
        spawn_local(async move {
            let mut acc: Vec<u8> = Vec::with_capacity(4096);
            let mut b = [0u8; 4096];
            'conn: loop {
                if s.readable().await.is_err() {
                    break;
                }
                match s.try_read(&mut b) {
                    Ok(0) => break 'conn,
                    Ok(n) => acc.extend_from_slice(&b[..n]),
                    Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => continue,
                    Err(_) => break 'conn,
                }
                let mut start = 0;
                while let Some(p) = acc[start..].iter().position(|x| *x == b'\n') {
                    let mut bytes = Vec::with_capacity(p + 1);
                    bytes.extend_from_slice(&acc[start..start + p]);
                    start += p + 1;
                    k.borrow_mut().ring.push_back(Line {
                        conn: id,
                        state: 1,
                        bytes,
                    });
                    if inline {
                        k.borrow_mut().drain(256);
                    } else if !owed.replace(true)
                        && let Some(w) = waker.borrow().as_ref()
                    {
                        w.wake_by_ref()
                    }
                }
                acc.drain(..start);
            }
            k.borrow_mut().s[id as usize] = None;
        });
    }
}
