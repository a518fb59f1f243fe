//! proto-*: throwaway kernels that run as one task on a LocalSet, to weigh one
//! design choice at a time. `--batch` is how many events one poll handles.
//!
//! | system | queue | clock | sessions | states | args | handler |
//! |---|---|---|---|---|---|---|
//! | proto-naive | BinaryHeap | per post and pop | HashMap | HashMap<String> | Vec<Box<dyn Any>> | Rc<dyn Fn> |
//! | proto-fxhash | BinaryHeap | per post and pop | FxHashMap | FxHashMap<&str> | Vec<Box<dyn Any>> | Rc<dyn Fn> |
//! | proto-intern | BinaryHeap | per post and pop | slab + generation | id scan | Vec<Box<dyn Any>> | Rc<dyn Fn> |
//! | proto-inline | BinaryHeap | per post and pop | slab | id scan | inline enum | Rc<dyn Fn> |
//! | proto-slotheap | 4-ary heap of slots | per post and pop | slab | id scan | inline | Rc<dyn Fn> |
//! | proto-ring-clock | ring + 4-ary heap | per post and pop | slab | id scan | inline | Rc<dyn Fn> |
//! | proto-ring | ring + 4-ary heap | per batch | slab | id scan | inline | Rc<dyn Fn> |
//! | proto-ring-take | ring + 4-ary heap | per batch | slab | id scan | inline | Box<dyn FnMut>, taken out |

use super::raw_tokio::local;
use crate::common::*;
use crate::queues::Quad;
use rustc_hash::FxHashMap;
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::future::poll_fn;
use std::hint::black_box;
use std::marker::PhantomData;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

pub trait Name: Clone + 'static {
    fn make(s: &'static str) -> Self;
}
impl Name for String {
    fn make(s: &'static str) -> String {
        s.to_string()
    }
}
impl Name for &'static str {
    fn make(s: &'static str) -> &'static str {
        black_box(s)
    }
}
/// Interned at registration; a post carries the number.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Sym(u32);
impl Name for Sym {
    fn make(s: &'static str) -> Sym {
        const ALL: &[&str] = &[
            "_start",
            "_stop",
            "_default",
            "got_line",
            "got_error",
            "flushed",
            "shutdown",
            "tick",
            "ask",
        ];
        Sym(ALL.iter().position(|x| *x == s).unwrap() as u32)
    }
}

pub trait Args: Sized + 'static {
    fn int(v: u64) -> Self;
    fn get(&self) -> u64;
}
pub type BoxedArgs = Vec<Box<dyn Any>>;
impl Args for BoxedArgs {
    #[inline]
    fn int(v: u64) -> Self {
        vec![Box::new(v)]
    }
    #[inline]
    fn get(&self) -> u64 {
        *self[0].downcast_ref::<u64>().unwrap()
    }
}
pub enum InlineArgs {
    Int(u64),
    #[allow(dead_code)]
    Any(Box<dyn Any>),
}
impl Args for InlineArgs {
    #[inline]
    fn int(v: u64) -> Self {
        InlineArgs::Int(v)
    }
    #[inline]
    fn get(&self) -> u64 {
        match self {
            InlineArgs::Int(v) => *v,
            InlineArgs::Any(a) => *a.downcast_ref::<u64>().unwrap(),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Sid {
    i: u32,
    g: u32,
}

pub struct Ev<C: Cfg> {
    to: Sid,
    #[allow(dead_code)]
    from: Sid,
    name: C::Name,
    args: C::Args,
}

pub trait Queue<T>: Default {
    fn push(&mut self, due: u64, now: bool, t: T);
    fn pop_due(&mut self, now: u64) -> Option<T>;
    fn next_due(&self) -> Option<u64>;
}

pub struct HeapEntry<T>(u64, u64, T);
impl<T> PartialEq for HeapEntry<T> {
    fn eq(&self, o: &Self) -> bool {
        (self.0, self.1) == (o.0, o.1)
    }
}
impl<T> Eq for HeapEntry<T> {}
impl<T> PartialOrd for HeapEntry<T> {
    fn partial_cmp(&self, o: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(o))
    }
}
impl<T> Ord for HeapEntry<T> {
    fn cmp(&self, o: &Self) -> std::cmp::Ordering {
        (o.0, o.1).cmp(&(self.0, self.1))
    }
}
pub struct HeapQ<T>(BinaryHeap<HeapEntry<T>>, u64);
impl<T> Default for HeapQ<T> {
    fn default() -> Self {
        HeapQ(BinaryHeap::new(), 0)
    }
}
impl<T> Queue<T> for HeapQ<T> {
    #[inline]
    fn push(&mut self, due: u64, _: bool, t: T) {
        self.1 += 1;
        self.0.push(HeapEntry(due, self.1, t));
    }
    #[inline]
    fn pop_due(&mut self, now: u64) -> Option<T> {
        if self.0.peek()?.0 > now {
            return None;
        }
        self.0.pop().map(|e| e.2)
    }
    fn next_due(&self) -> Option<u64> {
        self.0.peek().map(|e| e.0)
    }
}

struct Slots<T> {
    v: Vec<Option<T>>,
    free: Vec<u32>,
}
impl<T> Slots<T> {
    #[inline]
    fn put(&mut self, t: T) -> u32 {
        match self.free.pop() {
            Some(i) => {
                self.v[i as usize] = Some(t);
                i
            }
            None => {
                self.v.push(Some(t));
                self.v.len() as u32 - 1
            }
        }
    }
    #[inline]
    fn take(&mut self, i: u32) -> T {
        self.free.push(i);
        self.v[i as usize].take().unwrap()
    }
}
pub struct SlotQ<T> {
    h: Quad<u32>,
    s: Slots<T>,
}
impl<T> Default for SlotQ<T> {
    fn default() -> Self {
        SlotQ {
            h: Quad::default(),
            s: Slots {
                v: Vec::new(),
                free: Vec::new(),
            },
        }
    }
}
impl<T> Queue<T> for SlotQ<T> {
    #[inline]
    fn push(&mut self, due: u64, _: bool, t: T) {
        let i = self.s.put(t);
        self.h.put(due, i);
    }
    #[inline]
    fn pop_due(&mut self, now: u64) -> Option<T> {
        if self.h.peek()? > now {
            return None;
        }
        let (_, _, i) = self.h.take()?;
        Some(self.s.take(i))
    }
    fn next_due(&self) -> Option<u64> {
        self.h.peek()
    }
}
/// Ring for what is due when it is posted, heap for what is due later. The
/// ring's stamps never fall, so the earlier of the two heads is the next event.
pub struct TwoQ<T> {
    ring: VecDeque<(u64, T)>,
    heap: SlotQ<T>,
}
impl<T> Default for TwoQ<T> {
    fn default() -> Self {
        TwoQ {
            ring: VecDeque::new(),
            heap: SlotQ::default(),
        }
    }
}
impl<T> Queue<T> for TwoQ<T> {
    #[inline]
    fn push(&mut self, due: u64, now: bool, t: T) {
        if now {
            self.ring.push_back((due, t))
        } else {
            self.heap.push(due, false, t)
        }
    }
    #[inline]
    fn pop_due(&mut self, now: u64) -> Option<T> {
        match (self.ring.front(), self.heap.next_due()) {
            (Some(r), None) if r.0 <= now => self.ring.pop_front().map(|x| x.1),
            (Some(r), Some(h)) => {
                if h < r.0 {
                    self.heap.pop_due(now)
                } else if r.0 <= now {
                    self.ring.pop_front().map(|x| x.1)
                } else {
                    None
                }
            }
            (None, Some(_)) => self.heap.pop_due(now),
            _ => None,
        }
    }
    fn next_due(&self) -> Option<u64> {
        match (self.ring.front().map(|r| r.0), self.heap.next_due()) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }
}

type Body<C> = Rc<dyn Fn(&mut Kernel<C>, Sid, &<C as Cfg>::Args) -> u64>;

/// What a session keeps: its states. Sessions differ by how they are found.
pub trait Table<C: Cfg>: 'static {
    fn make(states: Vec<(&'static str, Body<C>)>) -> Self;
    fn find(&self, n: &C::Name) -> Option<&Body<C>>;
}
pub struct StringTable<C: Cfg>(HashMap<String, Body<C>>);
impl<C: Cfg<Name = String>> Table<C> for StringTable<C> {
    fn make(s: Vec<(&'static str, Body<C>)>) -> Self {
        StringTable(s.into_iter().map(|(k, v)| (k.to_string(), v)).collect())
    }
    #[inline]
    fn find(&self, n: &String) -> Option<&Body<C>> {
        self.0.get(n)
    }
}
pub struct StrTable<C: Cfg>(FxHashMap<&'static str, Body<C>>);
impl<C: Cfg<Name = &'static str>> Table<C> for StrTable<C> {
    fn make(s: Vec<(&'static str, Body<C>)>) -> Self {
        StrTable(s.into_iter().collect())
    }
    #[inline]
    fn find(&self, n: &&'static str) -> Option<&Body<C>> {
        self.0.get(n)
    }
}
/// Ids in one slice, handlers in another: eight ids are half a cache line.
pub struct SymTable<C: Cfg> {
    ids: Box<[u32]>,
    hs: Box<[Body<C>]>,
}
impl<C: Cfg<Name = Sym>> Table<C> for SymTable<C> {
    fn make(s: Vec<(&'static str, Body<C>)>) -> Self {
        let (a, b): (Vec<_>, Vec<_>) = s.into_iter().map(|(k, v)| (Sym::make(k).0, v)).unzip();
        SymTable {
            ids: a.into(),
            hs: b.into(),
        }
    }
    #[inline]
    fn find(&self, n: &Sym) -> Option<&Body<C>> {
        self.ids.iter().position(|x| *x == n.0).map(|i| &self.hs[i])
    }
}

pub trait Store<C: Cfg>: Default {
    fn add(&mut self, t: C::Table) -> Sid;
    fn get(&mut self, s: Sid) -> Option<&mut Session<C>>;
    fn remove(&mut self, s: Sid) -> Option<C::Table>;
}
pub struct Session<C: Cfg> {
    refs: u32,
    table: C::Table,
}
pub struct MapStore<C: Cfg, S>(HashMap<u64, Session<C>, S>, u64);
impl<C: Cfg, S: Default> Default for MapStore<C, S> {
    fn default() -> Self {
        MapStore(HashMap::default(), 0)
    }
}
impl<C: Cfg, S: std::hash::BuildHasher + Default> Store<C> for MapStore<C, S> {
    fn add(&mut self, table: C::Table) -> Sid {
        self.1 += 1;
        self.0.insert(self.1, Session { refs: 0, table });
        Sid {
            i: self.1 as u32,
            g: (self.1 >> 32) as u32,
        }
    }
    #[inline]
    fn get(&mut self, s: Sid) -> Option<&mut Session<C>> {
        self.0.get_mut(&(s.i as u64 | (s.g as u64) << 32))
    }
    fn remove(&mut self, s: Sid) -> Option<C::Table> {
        self.0.remove(&(s.i as u64 | (s.g as u64) << 32)).map(|x| x.table)
    }
}
pub struct SlabStore<C: Cfg> {
    v: Vec<(u32, Option<Session<C>>)>,
    free: Vec<u32>,
}
impl<C: Cfg> Default for SlabStore<C> {
    fn default() -> Self {
        SlabStore {
            v: Vec::new(),
            free: Vec::new(),
        }
    }
}
impl<C: Cfg> Store<C> for SlabStore<C> {
    fn add(&mut self, table: C::Table) -> Sid {
        let s = Some(Session { refs: 0, table });
        match self.free.pop() {
            Some(i) => {
                let x = &mut self.v[i as usize];
                x.1 = s;
                Sid { i, g: x.0 }
            }
            None => {
                self.v.push((0, s));
                Sid {
                    i: self.v.len() as u32 - 1,
                    g: 0,
                }
            }
        }
    }
    #[inline]
    fn get(&mut self, s: Sid) -> Option<&mut Session<C>> {
        let x = self.v.get_mut(s.i as usize)?;
        if x.0 != s.g {
            return None;
        }
        x.1.as_mut()
    }
    fn remove(&mut self, s: Sid) -> Option<C::Table> {
        let x = self.v.get_mut(s.i as usize)?;
        if x.0 != s.g {
            return None;
        }
        x.0 = x.0.wrapping_add(1);
        self.free.push(s.i);
        x.1.take().map(|x| x.table)
    }
}

pub trait Cfg: Sized + Sync + 'static {
    const NAME: &'static str;
    const CLOCK: bool;
    type Name: Name;
    type Args: Args;
    type Queue: Queue<Ev<Self>>;
    type Table: Table<Self>;
    type Store: Store<Self>;
}

pub struct Kernel<C: Cfg> {
    q: C::Queue,
    s: C::Store,
    now: u64,
    base: Instant,
    me: Sid,
    live: u64,
    pub count: u64,
    pub stop: bool,
    pub late: Vec<f64>,
    pub polls: u64,
    /// Each handler under catch_unwind, as SIGDIE would need.
    pub catch: bool,
}

impl<C: Cfg> Kernel<C> {
    fn new() -> Self {
        Kernel {
            q: Default::default(),
            s: Default::default(),
            now: 1,
            base: Instant::now(),
            me: Sid { i: u32::MAX, g: 0 },
            live: 0,
            count: 0,
            stop: false,
            late: Vec::new(),
            polls: 0,
            catch: false,
        }
    }
    #[inline]
    fn clock(&self) -> u64 {
        self.base.elapsed().as_nanos() as u64 + 1
    }
    #[inline]
    pub fn post(&mut self, to: Sid, name: C::Name, args: C::Args) {
        let due = if C::CLOCK { self.clock() } else { self.now };
        if let Some(s) = self.s.get(to) {
            s.refs += 1;
            let from = self.me;
            self.q.push(due, true, Ev { to, from, name, args });
        }
    }
    fn delay(&mut self, to: Sid, name: C::Name, args: C::Args, after: Duration) -> u64 {
        let due = self.clock() + after.as_nanos() as u64;
        if let Some(s) = self.s.get(to) {
            s.refs += 1;
            let from = self.me;
            self.q.push(due, false, Ev { to, from, name, args });
        }
        due
    }
    /// Nested dispatch, POE's call.
    #[inline]
    pub fn call(&mut self, to: Sid, name: &C::Name, args: &C::Args) -> u64 {
        let Some(s) = self.s.get(to) else { return 0 };
        let Some(h) = s.table.find(name) else { return 0 };
        let h = h.clone();
        let was = std::mem::replace(&mut self.me, to);
        let v = h(self, to, args);
        self.me = was;
        v
    }
    #[inline]
    fn step(&mut self) -> bool {
        let mut e = self.q.pop_due(self.now);
        if e.is_none() && C::CLOCK {
            self.now = self.clock();
            e = self.q.pop_due(self.now);
        }
        let Some(Ev {
            to,
            from: _,
            name,
            args,
        }) = e
        else {
            return false;
        };
        let Some(s) = self.s.get(to) else { return true };
        s.refs -= 1;
        let h = s.table.find(&name).cloned();
        if let Some(h) = h {
            self.me = to;
            if self.catch {
                let r = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| h(self, to, &args)));
                self.stop |= r.is_err();
            } else {
                h(self, to, &args);
            }
        }
        // A session with nothing pending is stopped, as POE does.
        if let Some(s) = self.s.get(to)
            && s.refs == 0
        {
            self.reap(to);
        }
        true
    }
    #[cold]
    #[inline(never)]
    fn reap(&mut self, to: Sid) {
        let stop = C::Name::make("_stop");
        self.call(to, &stop, &C::Args::int(0));
        if let Some(t) = self.s.remove(to) {
            self.live -= 1;
            drop(t);
        }
    }
    pub fn session(&mut self, states: Vec<(&'static str, Body<C>)>) -> Sid {
        self.live += 1;
        self.s.add(C::Table::make(states))
    }
}

/// As `run`, but between batches it goes behind the I/O driver
/// (tokio::task::yield_now), so every batch is followed by one epoll_wait.
pub async fn run_yield_now<C: Cfg>(k: &mut Kernel<C>, batch: u32) {
    loop {
        k.polls += 1;
        k.now = k.clock();
        for _ in 0..batch {
            if !k.step() {
                break;
            }
        }
        if k.live == 0 || k.stop {
            return;
        }
        tokio::task::yield_now().await;
    }
}

pub async fn run<C: Cfg>(k: &mut Kernel<C>, batch: u32) {
    let mut sleep = Box::pin(tokio::time::sleep(Duration::ZERO));
    let mut armed = 0u64;
    poll_fn(|cx| {
        k.polls += 1;
        k.now = k.clock();
        for _ in 0..batch {
            if !k.step() {
                break;
            }
        }
        if k.live == 0 || k.stop {
            return Poll::Ready(());
        }
        // With a clock read per post the next event is stamped after `now`:
        // without this second look the kernel would sleep for it, and Tokio
        // rounds that up to a millisecond.
        if C::CLOCK {
            k.now = k.clock();
        }
        match k.q.next_due() {
            Some(d) if d <= k.now => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Some(d) => {
                if d != armed {
                    armed = d;
                    sleep.as_mut().reset((k.base + Duration::from_nanos(d)).into());
                }
                if sleep.as_mut().poll(cx).is_ready() {
                    cx.waker().wake_by_ref();
                }
                Poll::Pending
            }
            None => Poll::Pending,
        }
    })
    .await
}

pub struct Proto<C>(pub PhantomData<fn() -> C>);

macro_rules! cfg {
    ($c:ident, $stat:ident, $name:literal, $clock:literal, $n:ty, $a:ty, $q:ty, $t:ty, $s:ty) => {
        pub struct $c;
        impl Cfg for $c {
            const NAME: &'static str = $name;
            const CLOCK: bool = $clock;
            type Name = $n;
            type Args = $a;
            type Queue = $q;
            type Table = $t;
            type Store = $s;
        }
        pub static $stat: Proto<$c> = Proto(PhantomData);
    };
}
type Std = std::collections::hash_map::RandomState;
cfg!(Naive, NAIVE, "proto-naive", true, String, BoxedArgs, HeapQ<Ev<Self>>, StringTable<Self>, MapStore<Self, Std>);
cfg!(
    Fx,
    FXHASH,
    "proto-fxhash",
    true,
    &'static str,
    BoxedArgs,
    HeapQ<Ev<Self>>,
    StrTable<Self>,
    MapStore<Self, rustc_hash::FxBuildHasher>
);
cfg!(
    Intern,
    INTERN,
    "proto-intern",
    true,
    Sym,
    BoxedArgs,
    HeapQ<Ev<Self>>,
    SymTable<Self>,
    SlabStore<Self>
);
cfg!(
    Inline,
    INLINE,
    "proto-inline",
    true,
    Sym,
    InlineArgs,
    HeapQ<Ev<Self>>,
    SymTable<Self>,
    SlabStore<Self>
);
cfg!(
    SlotHeap,
    SLOTHEAP,
    "proto-slotheap",
    true,
    Sym,
    InlineArgs,
    SlotQ<Ev<Self>>,
    SymTable<Self>,
    SlabStore<Self>
);
cfg!(
    RingClock,
    RING_POSTCLOCK,
    "proto-ring-clock",
    true,
    Sym,
    InlineArgs,
    TwoQ<Ev<Self>>,
    SymTable<Self>,
    SlabStore<Self>
);
cfg!(
    RingCfg,
    RING,
    "proto-ring",
    false,
    Sym,
    InlineArgs,
    TwoQ<Ev<Self>>,
    SymTable<Self>,
    SlabStore<Self>
);

fn pad<C: Cfg>(
    name: &'static str,
    f: impl Fn(&mut Kernel<C>, Sid, &C::Args) -> u64 + 'static,
) -> Vec<(&'static str, Body<C>)> {
    let mut v: Vec<(&'static str, Body<C>)> = Vec::new();
    for x in [
        "_start",
        "_stop",
        "_default",
        "got_line",
        "got_error",
        "flushed",
        "shutdown",
    ] {
        v.push((x, Rc::new(|_, _, _| 0)));
    }
    v.push((name, Rc::new(f)));
    v
}

impl<C: Cfg> Peer for Proto<C> {
    fn name(&self) -> &'static str {
        C::NAME
    }
    fn run(&self, w: Work, n: u64, o: &Opts) -> Out {
        let b = o.batch;
        Out::Done(match w {
            Work::Yield => local(yield_::<C>(n, b, &o.variant, o.pending)),
            Work::PingPong => local(pingpong::<C>(n, b)),
            Work::Call => local(call::<C>(n)),
            Work::Spawn => local(spawn::<C>(n, b)),
            Work::Alive => local(alive::<C>(n)),
            Work::Fanout => local(fanout::<C>(n, b)),
            Work::Starve => local(starve::<C>(n, b, &o.variant)),
            _ => return Out::Skip("see proto-timer, proto-x"),
        })
    }
}

async fn yield_<C: Cfg>(n: u64, batch: u32, variant: &str, pending: u64) -> Sample {
    let ds = delays(pending, 1000.0);
    let (behind, catch) = (variant == "yield_now", variant == "catch");
    tokio::task::spawn_local(async move {
        let mut k = Kernel::<C>::new();
        k.catch = catch;
        let c = Cell::new(0u64);
        let tick = C::Name::make("tick");
        let me = k.session(pad::<C>("tick", move |k, me, a| {
            c.set(c.get() + a.get());
            if c.get() < n {
                k.post(me, tick.clone(), C::Args::int(1));
            } else {
                k.count = c.get();
                k.stop = true;
            }
            0
        }));
        for d in ds {
            k.delay(me, C::Name::make("got_line"), C::Args::int(1), d);
        }
        let t0 = Instant::now();
        k.post(me, C::Name::make("tick"), C::Args::int(1));
        if behind {
            run_yield_now(&mut k, batch).await;
        } else {
            run(&mut k, batch).await;
        }
        assert_eq!(k.count, n);
        Sample::new(n, t0.elapsed()).with("polls", k.polls as f64)
    })
    .await
    .unwrap()
}

async fn pingpong<C: Cfg>(n: u64, batch: u32) -> Sample {
    tokio::task::spawn_local(async move {
        let mut k = Kernel::<C>::new();
        let other = Rc::new(Cell::new(Sid { i: 0, g: 0 }));
        let (o2, tick) = (other.clone(), C::Name::make("tick"));
        let a = k.session(pad::<C>("tick", move |k, _, x| {
            let v = x.get();
            if v < n {
                k.post(o2.get(), tick.clone(), C::Args::int(v));
            } else {
                k.count = v;
                k.stop = true;
            }
            0
        }));
        let tick = C::Name::make("tick");
        let b = k.session(pad::<C>("tick", move |k, _, x| {
            k.post(a, tick.clone(), C::Args::int(x.get() + 1));
            0
        }));
        other.set(b);
        // Aliases keep both alive in POE; a spare reference does it here.
        k.s.get(a).unwrap().refs += 1;
        k.s.get(b).unwrap().refs += 1;
        let t0 = Instant::now();
        k.post(a, C::Name::make("tick"), C::Args::int(0));
        run(&mut k, batch).await;
        assert_eq!(k.count, n);
        Sample::new(n, t0.elapsed())
    })
    .await
    .unwrap()
}

async fn call<C: Cfg>(n: u64) -> Sample {
    tokio::task::spawn_local(async move {
        let mut k = Kernel::<C>::new();
        let b = k.session(pad::<C>("ask", |_, _, x| x.get() + 1));
        let a = k.session(pad::<C>("tick", move |k, _, _| {
            let mut v = 0;
            for _ in 0..n {
                v = k.call(b, &C::Name::make("ask"), &C::Args::int(v));
            }
            k.count = v;
            k.stop = true;
            0
        }));
        k.s.get(b).unwrap().refs += 1;
        let t0 = Instant::now();
        k.post(a, C::Name::make("tick"), C::Args::int(0));
        run(&mut k, 64).await;
        assert_eq!(k.count, n);
        Sample::new(n, t0.elapsed())
    })
    .await
    .unwrap()
}

fn counter<C: Cfg>(k: &mut Kernel<C>) -> Sid {
    let c = Cell::new(0u64);
    k.session(vec![
        (
            "_start",
            Rc::new(|k, me, _| {
                k.post(me, C::Name::make("tick"), C::Args::int(1));
                0
            }),
        ),
        ("_stop", Rc::new(|_, _, _| 0)),
        (
            "tick",
            Rc::new(move |k, me, a| {
                c.set(c.get() + a.get());
                if c.get() < 10 {
                    k.post(me, C::Name::make("tick"), C::Args::int(1));
                } else {
                    k.count += 1;
                }
                0
            }),
        ),
    ])
}

async fn spawn<C: Cfg>(n: u64, batch: u32) -> Sample {
    tokio::task::spawn_local(async move {
        let mut k = Kernel::<C>::new();
        let start = C::Name::make("_start");
        let t0 = Instant::now();
        for _ in 0..n {
            let s = counter::<C>(&mut k);
            k.call(s, &start, &C::Args::int(0));
        }
        run(&mut k, batch).await;
        assert_eq!(k.count, n);
        Sample::new(n, t0.elapsed())
    })
    .await
    .unwrap()
}

async fn alive<C: Cfg>(n: u64) -> Sample {
    let mut k = Kernel::<C>::new();
    let h0 = vm_hwm();
    let t0 = Instant::now();
    for _ in 0..n {
        counter::<C>(&mut k);
    }
    let d = t0.elapsed();
    let per = (vm_hwm() - h0) as f64 / n as f64;
    std::mem::forget(k);
    Sample::new(n, d).with("bytes_per_session", per)
}

async fn fanout<C: Cfg>(n: u64, batch: u32) -> Sample {
    tokio::task::spawn_local(async move {
        let mut k = Kernel::<C>::new();
        let mut v = Vec::new();
        for _ in 0..1000 {
            let own = Cell::new(0u64);
            let s = k.session(pad::<C>("tick", move |k, _, a| {
                own.set(own.get() + a.get());
                k.count += 1;
                0
            }));
            k.s.get(s).unwrap().refs += 1;
            v.push(s);
        }
        let tick = C::Name::make("tick");
        let p = k.session(pad::<C>("ask", move |k, _, _| {
            for i in 0..n as usize {
                k.post(v[i % 1000], tick.clone(), C::Args::int(1));
            }
            0
        }));
        let t0 = Instant::now();
        k.post(p, C::Name::make("ask"), C::Args::int(0));
        // Ends by the count: the sinks are kept alive.
        let kk = &mut k;
        poll_fn(|cx| {
            kk.now = kk.clock();
            for _ in 0..batch {
                if !kk.step() {
                    break;
                }
            }
            if kk.count == n {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
        Sample::new(n, t0.elapsed())
    })
    .await
    .unwrap()
}

/// N one-millisecond delays in a row while another session yields.
/// `--variant` may name `1us` (the busy handler works for a microsecond) and
/// `yield_now` (the kernel goes behind the I/O driver after each batch).
async fn starve<C: Cfg>(n: u64, batch: u32, variant: &str) -> Sample {
    let (work, behind) = (variant.contains("1us"), variant.contains("yield_now"));
    tokio::task::spawn_local(async move {
        let mut k = Kernel::<C>::new();
        let busy = k.session(pad::<C>("tick", move |k, me, _| {
            k.count += 1;
            if work {
                let t = Instant::now();
                while t.elapsed() < Duration::from_micros(1) {}
            }
            if !k.stop {
                k.post(me, C::Name::make("tick"), C::Args::int(1));
            }
            0
        }));
        let due = Rc::new(RefCell::new(0u64));
        let d2 = due.clone();
        let left = Cell::new(n);
        let timer = k.session(pad::<C>("tick", move |k, me, _| {
            let late = k.clock() as f64 - *d2.borrow() as f64;
            k.late.push(late / 1e3);
            left.set(left.get() - 1);
            if left.get() == 0 {
                k.stop = true;
            } else {
                *d2.borrow_mut() = k.delay(me, C::Name::make("tick"), C::Args::int(1), Duration::from_millis(1));
            }
            0
        }));
        // And a task beside the kernel, to see what the kernel leaves it.
        let beside = Rc::new(RefCell::new(Vec::new()));
        let (b2, end) = (beside.clone(), Rc::new(Cell::new(false)));
        let e2 = end.clone();
        let h = tokio::task::spawn_local(async move {
            while !e2.get() {
                let due = Instant::now() + Duration::from_millis(1);
                tokio::time::sleep_until(due.into()).await;
                b2.borrow_mut().push(late_us(due));
            }
        });
        let t0 = Instant::now();
        k.post(busy, C::Name::make("tick"), C::Args::int(1));
        *due.borrow_mut() = k.delay(timer, C::Name::make("tick"), C::Args::int(1), Duration::from_millis(1));
        if behind {
            run_yield_now(&mut k, batch).await;
        } else {
            run(&mut k, batch).await;
        }
        let d = t0.elapsed();
        end.set(true);
        h.await.unwrap();
        let mut s = Sample::new(k.count, d);
        s.extra.extend(lateness(std::mem::take(&mut k.late)));
        let b = lateness(beside.take());
        s.with("beside_p50_us", b[0].1)
            .with("beside_p99_us", b[1].1)
            .with("polls", k.polls as f64)
    })
    .await
    .unwrap()
}

// ---- the same kernel, handlers taken out of the table while they run ----

struct TakeKernel {
    ring: VecDeque<(u64, Sid, Sym, u64)>,
    s: Vec<(u32, u32, Box<[u32]>, Vec<Option<TakeBody>>)>,
    now: u64,
    count: u64,
    live: u64,
}
type TakeBody = Box<dyn FnMut(&mut TakeKernel, Sid, u64)>;
pub struct Take;
pub static RING_TAKE: Take = Take;
impl Peer for Take {
    fn name(&self) -> &'static str {
        "proto-ring-take"
    }
    fn run(&self, w: Work, n: u64, o: &Opts) -> Out {
        if w != Work::Yield {
            return Out::Skip("yield only");
        }
        let batch = o.batch;
        Out::Done(local(async move {
            tokio::task::spawn_local(async move {
                let mut k = TakeKernel {
                    ring: VecDeque::new(),
                    s: Vec::new(),
                    now: 1,
                    count: 0,
                    live: 1,
                };
                let mut c = 0u64;
                let tick = Sym::make("tick");
                let mut hs: Vec<Option<TakeBody>> = (0..7)
                    .map(|_| Some(Box::new(|_: &mut TakeKernel, _, _| {}) as TakeBody))
                    .collect();
                hs.push(Some(Box::new(move |k, me, v| {
                    c += v;
                    if c < n {
                        k.s[me.i as usize].1 += 1;
                        k.ring.push_back((k.now, me, tick, 1));
                    } else {
                        k.count = c;
                    }
                })));
                k.s.push((0, 1, (0..8).collect::<Vec<u32>>().into(), hs));
                let base = Instant::now();
                let t0 = Instant::now();
                k.ring.push_back((1, Sid { i: 0, g: 0 }, tick, 1));
                let kk = &mut k;
                poll_fn(|cx| {
                    kk.now = base.elapsed().as_nanos() as u64 + 1;
                    for _ in 0..batch {
                        let Some((_, to, name, v)) = kk.ring.pop_front() else {
                            break;
                        };
                        let s = &mut kk.s[to.i as usize];
                        if s.0 != to.g {
                            continue;
                        }
                        s.1 -= 1;
                        let Some(p) = s.2.iter().position(|x| *x == name.0) else {
                            continue;
                        };
                        let Some(mut h) = s.3[p].take() else { continue };
                        h(kk, to, v);
                        let s = &mut kk.s[to.i as usize];
                        if s.0 == to.g {
                            s.3[p] = Some(h);
                        }
                        if s.1 == 0 {
                            kk.live -= 1;
                        }
                    }
                    if kk.live == 0 {
                        return Poll::Ready(());
                    }
                    cx.waker().wake_by_ref();
                    Poll::Pending
                })
                .await;
                assert_eq!(k.count, n);
                Sample::new(n, t0.elapsed())
            })
            .await
            .unwrap()
        }))
    }
}

// ---- sessions that share their states: a class and a heap each ----

type SharedBody = Box<dyn Fn(&mut SharedKernel, Sid, &RefCell<dyn Any>, u64)>;
struct Class {
    ids: Box<[u32]>,
    hs: Box<[SharedBody]>,
}
struct SharedSlot {
    g: u32,
    refs: u32,
    body: Option<(Rc<Class>, Rc<RefCell<dyn Any>>)>,
}
struct SharedKernel {
    ring: VecDeque<(u64, Sid, Sym, u64)>,
    s: Vec<SharedSlot>,
    free: Vec<u32>,
    live: u64,
    done: u64,
}
impl SharedKernel {
    fn session(&mut self, c: &Rc<Class>, heap: Rc<RefCell<dyn Any>>) -> Sid {
        self.live += 1;
        let body = Some((c.clone(), heap));
        match self.free.pop() {
            Some(i) => {
                let x = &mut self.s[i as usize];
                x.body = body;
                Sid { i, g: x.g }
            }
            None => {
                self.s.push(SharedSlot { g: 0, refs: 0, body });
                Sid {
                    i: self.s.len() as u32 - 1,
                    g: 0,
                }
            }
        }
    }
    #[inline]
    fn post(&mut self, to: Sid, n: Sym, v: u64) {
        let s = &mut self.s[to.i as usize];
        if s.g == to.g {
            s.refs += 1;
            self.ring.push_back((0, to, n, v));
        }
    }
    fn step(&mut self) -> bool {
        let Some((_, to, n, v)) = self.ring.pop_front() else {
            return false;
        };
        let s = &mut self.s[to.i as usize];
        if s.g != to.g {
            return true;
        }
        s.refs -= 1;
        if let Some((c, h)) = &s.body {
            let (c, h) = (c.clone(), h.clone());
            if let Some(p) = c.ids.iter().position(|x| *x == n.0) {
                (c.hs[p])(self, to, &h, v);
            }
        }
        let s = &mut self.s[to.i as usize];
        if s.g == to.g && s.refs == 0 {
            s.g += 1;
            s.body = None;
            self.free.push(to.i);
            self.live -= 1;
        }
        true
    }
}
fn shared_class() -> Rc<Class> {
    let tick = Sym::make("tick");
    Rc::new(Class {
        ids: [Sym::make("_start").0, Sym::make("_stop").0, tick.0].into(),
        hs: vec![
            Box::new(move |k: &mut SharedKernel, me, _: &RefCell<dyn Any>, _| k.post(me, tick, 1)) as SharedBody,
            Box::new(|_, _, _, _| {}),
            Box::new(move |k, me, h, v| {
                let mut b = h.borrow_mut();
                let c = b.downcast_mut::<u64>().unwrap();
                *c += v;
                if *c < 10 { k.post(me, tick, 1) } else { k.done += 1 }
            }),
        ]
        .into(),
    })
}
pub struct Shared;
impl Peer for Shared {
    fn name(&self) -> &'static str {
        "proto-shared"
    }
    fn run(&self, w: Work, n: u64, o: &Opts) -> Out {
        let c = shared_class();
        let mut k = SharedKernel {
            ring: VecDeque::new(),
            s: Vec::new(),
            free: Vec::new(),
            live: 0,
            done: 0,
        };
        match w {
            Work::Alive => {
                let h0 = vm_hwm();
                let t0 = Instant::now();
                for _ in 0..n {
                    k.session(&c, Rc::new(RefCell::new(0u64)));
                }
                let d = t0.elapsed();
                let per = (vm_hwm() - h0) as f64 / n as f64;
                std::mem::forget(k);
                Out::Done(Sample::new(n, d).with("bytes_per_session", per))
            }
            Work::Spawn => {
                let batch = o.batch;
                Out::Done(local(async move {
                    tokio::task::spawn_local(async move {
                        let start = Sym::make("_start");
                        let t0 = Instant::now();
                        for _ in 0..n {
                            let s = k.session(&c, Rc::new(RefCell::new(0u64)));
                            k.post(s, start, 0);
                        }
                        let kk = &mut k;
                        poll_fn(|cx| {
                            for _ in 0..batch {
                                if !kk.step() {
                                    break;
                                }
                            }
                            if kk.live == 0 {
                                return Poll::Ready(());
                            }
                            cx.waker().wake_by_ref();
                            Poll::Pending
                        })
                        .await;
                        assert_eq!(k.done, n);
                        Sample::new(n, t0.elapsed())
                    })
                    .await
                    .unwrap()
                }))
            }
            Work::Yield => {
                let batch = o.batch;
                Out::Done(local(async move {
                    tokio::task::spawn_local(async move {
                        let tick = Sym::make("tick");
                        let mut ids: Vec<u32> = (0..7).collect();
                        ids.push(tick.0);
                        let mut hs: Vec<SharedBody> = (0..7)
                            .map(|_| Box::new(|_: &mut SharedKernel, _, _: &RefCell<dyn Any>, _| {}) as SharedBody)
                            .collect();
                        hs.push(Box::new(move |k, me, h, v| {
                            let mut b = h.borrow_mut();
                            let c = b.downcast_mut::<u64>().unwrap();
                            *c += v;
                            if *c < n { k.post(me, tick, 1) } else { k.done = *c }
                        }));
                        let c = Rc::new(Class {
                            ids: ids.into(),
                            hs: hs.into(),
                        });
                        let s = k.session(&c, Rc::new(RefCell::new(0u64)));
                        let t0 = Instant::now();
                        k.post(s, tick, 1);
                        let kk = &mut k;
                        poll_fn(|cx| {
                            for _ in 0..batch {
                                if !kk.step() {
                                    break;
                                }
                            }
                            if kk.live == 0 {
                                return Poll::Ready(());
                            }
                            cx.waker().wake_by_ref();
                            Poll::Pending
                        })
                        .await;
                        assert_eq!(k.done, n);
                        Sample::new(n, t0.elapsed())
                    })
                    .await
                    .unwrap()
                }))
            }
            _ => Out::Skip("yield, spawn and alive only"),
        }
    }
}
