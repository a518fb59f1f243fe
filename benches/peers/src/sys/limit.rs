//! limit*: no async at all. What the machine can do for a queue, a lookup and
//! an indirect call per event.

use crate::common::*;
use rustc_hash::FxHashMap;
use std::collections::{BinaryHeap, VecDeque};
use std::hint::black_box;
use std::time::{Duration, Instant};

#[derive(Clone, Copy, PartialEq)]
pub enum Kind {
    /// Ring of 16-byte events, sessions and states by index.
    Index,
    /// Ring, sessions by FxHash of id, states by FxHash of name.
    Hash,
    /// Ring of boxed closures.
    Boxed,
    /// Binary heap with a sequence tie-break in place of the ring.
    Heap,
}
pub struct Limit {
    pub kind: Kind,
}

impl Peer for Limit {
    fn name(&self) -> &'static str {
        match self.kind {
            Kind::Index => "limit",
            Kind::Hash => "limit-hash",
            Kind::Boxed => "limit-box",
            Kind::Heap => "limit-heap",
        }
    }
    fn run(&self, w: Work, n: u64, o: &Opts) -> Out {
        Out::Done(match (self.kind, w) {
            (Kind::Index, Work::Yield) => post::<Ring>(n, Shape::Yield),
            (Kind::Index, Work::PingPong) => post::<Ring>(n, Shape::PingPong),
            (Kind::Index, Work::Fanout) => post::<Ring>(n, Shape::Fanout),
            (Kind::Heap, Work::Yield) => post::<Heap>(n, Shape::Yield),
            (Kind::Heap, Work::PingPong) => post::<Heap>(n, Shape::PingPong),
            (Kind::Heap, Work::Fanout) => post::<Heap>(n, Shape::Fanout),
            (Kind::Hash, Work::Yield) => hash(n, Shape::Yield),
            (Kind::Hash, Work::PingPong) => hash(n, Shape::PingPong),
            (Kind::Hash, Work::Fanout) => hash(n, Shape::Fanout),
            (Kind::Boxed, Work::Yield) => boxed(n, Shape::Yield),
            (Kind::Boxed, Work::PingPong) => boxed(n, Shape::PingPong),
            (Kind::Boxed, Work::Fanout) => boxed(n, Shape::Fanout),
            (Kind::Index, Work::Call) => call_index(n),
            (Kind::Boxed, Work::Call) => call_dyn(n),
            (Kind::Index, Work::Spawn) => spawn(n),
            (Kind::Index, Work::Alive) => alive(n),
            (Kind::Index, Work::Timers) => timers(n, o.lead),
            (Kind::Index, Work::Echo) => echo(),
            (Kind::Index, Work::XThread) => xthread(n),
            _ => return Out::Skip("see limit"),
        })
    }
}

#[derive(Clone, Copy)]
enum Shape {
    Yield,
    PingPong,
    Fanout,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Ev {
    to: u32,
    state: u32,
    arg: u64,
}
trait Q: Default {
    fn push(&mut self, e: Ev);
    fn pop(&mut self) -> Option<Ev>;
}
#[derive(Default)]
struct Ring(VecDeque<Ev>);
impl Q for Ring {
    #[inline]
    fn push(&mut self, e: Ev) {
        self.0.push_back(e)
    }
    #[inline]
    fn pop(&mut self) -> Option<Ev> {
        self.0.pop_front()
    }
}
#[derive(Default)]
struct Heap(BinaryHeap<std::cmp::Reverse<(u64, u64, Ev)>>, u64);
impl Q for Heap {
    #[inline]
    fn push(&mut self, e: Ev) {
        self.1 += 1;
        self.0.push(std::cmp::Reverse((self.1, self.1, e)))
    }
    #[inline]
    fn pop(&mut self) -> Option<Ev> {
        self.0.pop().map(|x| x.0.2)
    }
}

struct K<T> {
    q: T,
    count: u64,
}
type H<T> = Box<dyn FnMut(&mut K<T>, u64)>;

/// What an event's size costs: the same ring with 8*P bytes more per event.
pub struct EvSize;
impl Peer for EvSize {
    fn name(&self) -> &'static str {
        "proto-evsize"
    }
    fn run(&self, w: Work, n: u64, o: &Opts) -> Out {
        let fan = match w {
            Work::Yield => false,
            Work::Fanout => true,
            _ => return Out::Skip("yield and fanout only"),
        };
        Out::Done(match o.variant.as_str() {
            "16" => sized::<0>(n, fan, false),
            "24" => sized::<1>(n, fan, false),
            "32" => sized::<2>(n, fan, false),
            "40" => sized::<3>(n, fan, false),
            "48" => sized::<4>(n, fan, false),
            "64" => sized::<6>(n, fan, false),
            "96" => sized::<10>(n, fan, false),
            "32r" => sized::<2>(n, fan, true),
            "64r" => sized::<6>(n, fan, true),
            _ => return Out::Skip("no such variant"),
        })
    }
}
struct KP<const P: usize> {
    q: VecDeque<(Ev, [u64; P])>,
    count: u64,
}
fn sized<const P: usize>(n: u64, fan: bool, reserve: bool) -> Sample {
    let mut k: KP<P> = KP {
        q: VecDeque::new(),
        count: 0,
    };
    let mut s: Vec<Vec<Box<dyn FnMut(&mut KP<P>, u64)>>> = Vec::new();
    let me = black_box(0u32);
    let pad = black_box([7u64; P]);
    for _ in 0..if fan { 1000 } else { 1 } {
        let mut c = 0;
        s.push(vec![Box::new(move |k, v| {
            c += v;
            k.count += v;
            if !fan && c < n {
                k.q.push_back((
                    Ev {
                        to: me,
                        state: 0,
                        arg: 1,
                    },
                    pad,
                ))
            }
            black_box(c);
        })]);
    }
    let mut s = black_box(s);
    if reserve {
        // Touched before, as a ring that has been this long once would be.
        for i in 0..n {
            k.q.push_back((
                Ev {
                    to: 0,
                    state: 0,
                    arg: i,
                },
                pad,
            ));
        }
        k.q.clear();
    }
    let t0 = Instant::now();
    if fan {
        for i in 0..n {
            k.q.push_back((
                Ev {
                    to: (i % 1000) as u32,
                    state: 0,
                    arg: 1,
                },
                pad,
            ));
        }
    } else {
        k.q.push_back((
            Ev {
                to: 0,
                state: 0,
                arg: 1,
            },
            pad,
        ));
    }
    while let Some((e, p)) = k.q.pop_front() {
        black_box(&p);
        s[e.to as usize][e.state as usize](&mut k, e.arg);
    }
    assert_eq!(k.count, n);
    Sample::new(n, t0.elapsed())
}

fn post<T: Q + 'static>(n: u64, shape: Shape) -> Sample {
    let mut k: K<T> = K {
        q: T::default(),
        count: 0,
    };
    let mut s: Vec<Vec<H<T>>> = Vec::new();
    match shape {
        Shape::Yield => {
            let mut c = 0;
            let me = black_box(0u32);
            s.push(vec![
                Box::new(|_, _| {}),
                Box::new(move |k, v| {
                    c += v;
                    k.count = c;
                    if c < n {
                        k.q.push(Ev {
                            to: me,
                            state: 1,
                            arg: 1,
                        })
                    }
                }),
            ]);
            k.q.push(Ev {
                to: 0,
                state: 1,
                arg: 1,
            });
        }
        Shape::PingPong => {
            let (a, b) = (black_box(0u32), black_box(1u32));
            s.push(vec![Box::new(move |k, v| {
                k.count = v;
                if v < n {
                    k.q.push(Ev {
                        to: b,
                        state: 0,
                        arg: v,
                    })
                }
            })]);
            s.push(vec![Box::new(move |k, v| {
                k.q.push(Ev {
                    to: a,
                    state: 0,
                    arg: v + 1,
                })
            })]);
            k.q.push(Ev {
                to: 0,
                state: 0,
                arg: 0,
            });
        }
        Shape::Fanout => {
            for _ in 0..1000 {
                let mut own = 0u64;
                s.push(vec![Box::new(move |k, v| {
                    own += v;
                    k.count += v;
                    black_box(own);
                })]);
            }
        }
    }
    let mut s = black_box(s);
    let t0 = Instant::now();
    if let Shape::Fanout = shape {
        for i in 0..n {
            k.q.push(Ev {
                to: (i % 1000) as u32,
                state: 0,
                arg: 1,
            });
        }
    }
    while let Some(e) = k.q.pop() {
        if let Some(h) = s.get_mut(e.to as usize).and_then(|x| x.get_mut(e.state as usize)) {
            h(&mut k, e.arg);
        }
    }
    assert_eq!(k.count, n);
    Sample::new(n, t0.elapsed())
}

struct KH {
    q: VecDeque<(u64, &'static str, u64)>,
    count: u64,
}
type HH = Box<dyn FnMut(&mut KH, u64)>;
fn hash(n: u64, shape: Shape) -> Sample {
    let mut k = KH {
        q: VecDeque::new(),
        count: 0,
    };
    let mut s: FxHashMap<u64, FxHashMap<&'static str, HH>> = FxHashMap::default();
    let mut add = |id: u64, h: HH| {
        let mut m: FxHashMap<&'static str, HH> = FxHashMap::default();
        for x in [
            "_start",
            "_stop",
            "_default",
            "got_line",
            "got_error",
            "flushed",
            "shutdown",
        ] {
            m.insert(x, Box::new(|_, _| {}));
        }
        m.insert("tick", h);
        s.insert(id, m);
    };
    match shape {
        Shape::Yield => {
            let mut c = 0;
            add(
                1,
                Box::new(move |k, v| {
                    c += v;
                    k.count = c;
                    if c < n {
                        k.q.push_back((1, "tick", 1))
                    }
                }),
            );
            k.q.push_back((1, "tick", 1));
        }
        Shape::PingPong => {
            add(
                1,
                Box::new(move |k, v| {
                    k.count = v;
                    if v < n {
                        k.q.push_back((2, "tick", v))
                    }
                }),
            );
            add(2, Box::new(move |k, v| k.q.push_back((1, "tick", v + 1))));
            k.q.push_back((1, "tick", 0));
        }
        Shape::Fanout => {
            for i in 0..1000 {
                let mut own = 0u64;
                add(
                    i,
                    Box::new(move |k, v| {
                        own += v;
                        k.count += v;
                        black_box(own);
                    }),
                );
            }
        }
    }
    let mut s = black_box(s);
    let t0 = Instant::now();
    if let Shape::Fanout = shape {
        for i in 0..n {
            k.q.push_back((i % 1000, "tick", 1));
        }
    }
    while let Some((to, name, v)) = k.q.pop_front() {
        if let Some(h) = s.get_mut(&to).and_then(|x| x.get_mut(black_box(name))) {
            h(&mut k, v);
        }
    }
    assert_eq!(k.count, n);
    Sample::new(n, t0.elapsed())
}

struct KB {
    q: VecDeque<Box<dyn FnOnce(&mut KB)>>,
    c: u64,
    n: u64,
    own: Vec<u64>,
}
fn boxed(n: u64, shape: Shape) -> Sample {
    fn tick(k: &mut KB, v: u64) {
        k.c += v;
        if k.c < k.n {
            let one = black_box(1);
            k.q.push_back(Box::new(move |k| tick(k, one)))
        }
    }
    fn ping(k: &mut KB, v: u64) {
        k.c = v;
        if v < k.n {
            k.q.push_back(Box::new(move |k| pong(k, v)))
        }
    }
    fn pong(k: &mut KB, v: u64) {
        k.q.push_back(Box::new(move |k| ping(k, v + 1)))
    }
    let mut k = KB {
        q: VecDeque::new(),
        c: 0,
        n,
        own: vec![0; 1000],
    };
    let t0 = Instant::now();
    match shape {
        Shape::Yield => {
            let one = black_box(1);
            k.q.push_back(Box::new(move |k| tick(k, one)))
        }
        Shape::PingPong => k.q.push_back(Box::new(|k| ping(k, 0))),
        Shape::Fanout => {
            for i in 0..n as usize {
                k.q.push_back(Box::new(move |k| {
                    k.own[i % 1000] += 1;
                    k.c += 1;
                }));
            }
        }
    }
    while let Some(f) = k.q.pop_front() {
        f(&mut k)
    }
    assert_eq!(k.c, n);
    Sample::new(n, t0.elapsed())
}

/// The least a dynamic call can be: one indirect call.
fn call_dyn(n: u64) -> Sample {
    let mut f: Box<dyn FnMut(u64) -> u64> = black_box(Box::new(|v| v + 1));
    let t0 = Instant::now();
    let mut v = 0;
    for _ in 0..n {
        v = f(v);
    }
    assert_eq!(v, n);
    Sample::new(n, t0.elapsed())
}

/// Session lookup, state lookup, indirect call, value back.
fn call_index(n: u64) -> Sample {
    type F = std::rc::Rc<dyn Fn(u64) -> u64>;
    let s: Vec<Vec<F>> = black_box(vec![
        vec![std::rc::Rc::new(|v| v), std::rc::Rc::new(|v| v + 1)],
        vec![std::rc::Rc::new(|v| v), std::rc::Rc::new(|v| v + 1)],
    ]);
    let (to, st) = (black_box(1usize), black_box(1usize));
    let t0 = Instant::now();
    let mut v = 0;
    for _ in 0..n {
        let f = s[black_box(to)][black_box(st)].clone();
        v = f(v);
    }
    assert_eq!(v, n);
    Sample::new(n, t0.elapsed())
}

struct KS {
    q: VecDeque<Ev>,
    s: Vec<Option<Vec<H2>>>,
    free: Vec<u32>,
    left: u64,
}
type H2 = std::rc::Rc<dyn Fn(&mut KS, u32, u64)>;
fn mk_session(k: &mut KS) -> u32 {
    let c = std::cell::Cell::new(0u64);
    let hs: Vec<H2> = vec![
        std::rc::Rc::new(|k, me, _| {
            k.q.push_back(Ev {
                to: me,
                state: 1,
                arg: 1,
            })
        }),
        std::rc::Rc::new(move |k, me, v| {
            c.set(c.get() + v);
            if c.get() < 10 {
                k.q.push_back(Ev {
                    to: me,
                    state: 1,
                    arg: 1,
                })
            } else {
                k.s[me as usize] = None;
                k.free.push(me);
                k.left -= 1;
            }
        }),
    ];
    match k.free.pop() {
        Some(i) => {
            k.s[i as usize] = Some(hs);
            i
        }
        None => {
            k.s.push(Some(hs));
            k.s.len() as u32 - 1
        }
    }
}
fn spawn(n: u64) -> Sample {
    let mut k = KS {
        q: VecDeque::new(),
        s: Vec::new(),
        free: Vec::new(),
        left: n,
    };
    let t0 = Instant::now();
    for _ in 0..n {
        let id = mk_session(&mut k);
        k.q.push_back(Ev {
            to: id,
            state: 0,
            arg: 0,
        });
    }
    while let Some(e) = k.q.pop_front() {
        if let Some(Some(s)) = k.s.get(e.to as usize) {
            let h = s[e.state as usize].clone();
            h(&mut k, e.to, e.arg);
        }
    }
    assert_eq!(k.left, 0);
    Sample::new(n, t0.elapsed())
}
fn alive(n: u64) -> Sample {
    let mut k = KS {
        q: VecDeque::new(),
        s: Vec::with_capacity(n as usize),
        free: Vec::new(),
        left: n,
    };
    let h0 = vm_hwm();
    let t0 = Instant::now();
    for _ in 0..n {
        mk_session(&mut k);
    }
    let d = t0.elapsed();
    let per = (vm_hwm() - h0) as f64 / n as f64;
    Sample::new(n, d).with("bytes_per_session", per)
}

/// Binary heap and clock_nanosleep to the earliest deadline.
fn timers(n: u64, lead: f64) -> Sample {
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1) };
    let ds = delays(n, lead);
    let mut h = BinaryHeap::with_capacity(n as usize);
    let mut late = Vec::with_capacity(n as usize);
    let cpu0 = cpu_seconds();
    let t0 = Instant::now();
    for (i, d) in ds.into_iter().enumerate() {
        h.push(std::cmp::Reverse((Instant::now() + d, i as u64)));
    }
    let set = t0.elapsed();
    let cpu_set = cpu_seconds();
    while let Some(std::cmp::Reverse((due, _))) = h.peek().copied() {
        let now = Instant::now();
        if due > now {
            let w: Duration = due - now;
            let ts = libc::timespec {
                tv_sec: w.as_secs() as i64,
                tv_nsec: w.subsec_nanos() as i64,
            };
            unsafe { libc::clock_nanosleep(libc::CLOCK_MONOTONIC, 0, &ts, std::ptr::null_mut()) };
        } else {
            h.pop();
            late.push(late_us(due));
        }
    }
    timers_sample(n, set, late, cpu0, cpu_set, t0)
}

/// One epoll loop, one read and one write per line.
fn echo() -> Sample {
    use std::io::{Read, Write};
    use std::os::fd::{AsRawFd, FromRawFd};
    let l = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    l.set_nonblocking(true).unwrap();
    println!("PORT {}", l.local_addr().unwrap().port());
    unsafe {
        let ep = libc::epoll_create1(0);
        let mut ev = libc::epoll_event {
            events: libc::EPOLLIN as u32,
            u64: l.as_raw_fd() as u64,
        };
        libc::epoll_ctl(ep, libc::EPOLL_CTL_ADD, l.as_raw_fd(), &mut ev);
        let mut evs: Vec<libc::epoll_event> = vec![std::mem::zeroed(); 1024];
        let mut bufs: Vec<Vec<u8>> = Vec::new();
        let mut b = [0u8; 4096];
        loop {
            let k = libc::epoll_wait(ep, evs.as_mut_ptr(), 1024, -1);
            for e in evs.iter().take(k.max(0) as usize) {
                let fd = e.u64 as i32;
                if fd == l.as_raw_fd() {
                    while let Ok((s, _)) = l.accept() {
                        s.set_nonblocking(true).unwrap();
                        s.set_nodelay(true).unwrap();
                        let fd = s.as_raw_fd();
                        if bufs.len() <= fd as usize {
                            bufs.resize(fd as usize + 1, Vec::new());
                        }
                        bufs[fd as usize].clear();
                        let mut ev = libc::epoll_event {
                            events: libc::EPOLLIN as u32,
                            u64: fd as u64,
                        };
                        libc::epoll_ctl(ep, libc::EPOLL_CTL_ADD, fd, &mut ev);
                        std::mem::forget(s);
                    }
                    continue;
                }
                let mut s = std::mem::ManuallyDrop::new(std::net::TcpStream::from_raw_fd(fd));
                match s.read(&mut b) {
                    Ok(k) if k > 0 => {
                        let acc = &mut bufs[fd as usize];
                        acc.extend_from_slice(&b[..k]);
                        let mut start = 0;
                        while let Some(p) = acc[start..].iter().position(|x| *x == b'\n') {
                            let _ = s.write(&acc[start..start + p + 1]);
                            start += p + 1;
                        }
                        acc.drain(..start);
                    }
                    Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {}
                    _ => {
                        libc::close(fd);
                    }
                }
            }
        }
    }
}

/// Mutex<Vec> swapped whole, parked by thread::park.
fn xthread(n: u64) -> Sample {
    use std::sync::atomic::{AtomicBool, Ordering::*};
    use std::sync::{Arc, Mutex};
    struct X {
        v: Mutex<Vec<u64>>,
        sleeping: AtomicBool,
    }
    let x = Arc::new(X {
        v: Mutex::new(Vec::new()),
        sleeping: AtomicBool::new(false),
    });
    let me = std::thread::current();
    let x2 = x.clone();
    let t0 = Instant::now();
    let th = std::thread::spawn(move || {
        for _ in 0..n {
            x2.v.lock().unwrap().push(1);
            if x2.sleeping.load(SeqCst) && x2.sleeping.swap(false, SeqCst) {
                me.unpark();
            }
        }
    });
    let mut c = 0;
    let mut local = Vec::new();
    while c < n {
        std::mem::swap(&mut *x.v.lock().unwrap(), &mut local);
        if local.is_empty() {
            x.sleeping.store(true, SeqCst);
            if x.v.lock().unwrap().is_empty() {
                std::thread::park();
            }
            x.sleeping.store(false, SeqCst);
        }
        for v in local.drain(..) {
            c += black_box(v);
        }
    }
    let d = t0.elapsed();
    th.join().unwrap();
    Sample::new(n, d)
}
