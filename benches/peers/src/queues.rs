//! W9: the queue alone. Hold model: fill to `--size` with random due times,
//! then N times take the earliest and put one back at (its due + random).
//! `--variant`: binary (64-byte entry), binary-small (24-byte entry: due, seq,
//! slot), quad, quad-slot (4-ary heap of 24-byte entries, payload in a slab),
//! quad-indexed (the same with a position per slot, so remove and adjust are
//! O(log n)), binary-packed and quad-packed (one u128 key per entry), quad-packed-indexed, btree, delayqueue (tokio_util, paused clock), array (POE's sorted
//! array with binary search, in Rust).

use crate::common::*;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::hint::black_box;
use std::time::{Duration, Instant};

pub struct Queues;

/// What a POE event weighs: two session ids, a state, type and args.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Payload(pub [u64; 6]);

pub trait Pq {
    fn push(&mut self, due: u64, p: Payload);
    fn pop(&mut self) -> Option<(u64, Payload)>;
}

#[derive(Default)]
pub struct Binary(BinaryHeap<Reverse<(u64, u64, Payload)>>, u64);
impl Pq for Binary {
    #[inline]
    fn push(&mut self, due: u64, p: Payload) {
        self.1 += 1;
        self.0.push(Reverse((due, self.1, p)))
    }
    #[inline]
    fn pop(&mut self) -> Option<(u64, Payload)> {
        self.0.pop().map(|Reverse((d, _, p))| (d, p))
    }
}

#[derive(Default)]
pub struct Slab {
    v: Vec<Option<Payload>>,
    free: Vec<u32>,
}
impl Slab {
    #[inline]
    fn put(&mut self, p: Payload) -> u32 {
        match self.free.pop() {
            Some(i) => {
                self.v[i as usize] = Some(p);
                i
            }
            None => {
                self.v.push(Some(p));
                self.v.len() as u32 - 1
            }
        }
    }
    #[inline]
    fn take(&mut self, i: u32) -> Payload {
        self.free.push(i);
        self.v[i as usize].take().unwrap()
    }
}

#[derive(Default)]
pub struct BinarySmall(BinaryHeap<Reverse<(u64, u64, u32)>>, u64, Slab);
impl Pq for BinarySmall {
    #[inline]
    fn push(&mut self, due: u64, p: Payload) {
        self.1 += 1;
        let s = self.2.put(p);
        self.0.push(Reverse((due, self.1, s)))
    }
    #[inline]
    fn pop(&mut self) -> Option<(u64, Payload)> {
        let Reverse((d, _, s)) = self.0.pop()?;
        Some((d, self.2.take(s)))
    }
}

/// 4-ary min-heap over (due, seq, T).
pub struct Quad<T> {
    pub v: Vec<(u64, u64, T)>,
    pub seq: u64,
}
impl<T> Default for Quad<T> {
    fn default() -> Self {
        Quad { v: Vec::new(), seq: 0 }
    }
}
impl<T: Copy> Quad<T> {
    #[inline]
    pub fn put(&mut self, due: u64, t: T) {
        self.seq += 1;
        let e = (due, self.seq, t);
        self.v.push(e);
        let mut i = self.v.len() - 1;
        while i > 0 {
            let p = (i - 1) / 4;
            if (self.v[p].0, self.v[p].1) <= (e.0, e.1) {
                break;
            }
            self.v[i] = self.v[p];
            i = p;
        }
        self.v[i] = e;
    }
    #[inline]
    pub fn take(&mut self) -> Option<(u64, u64, T)> {
        let last = self.v.pop()?;
        if self.v.is_empty() {
            return Some(last);
        }
        let out = self.v[0];
        let n = self.v.len();
        let mut i = 0;
        loop {
            let c = 4 * i + 1;
            if c >= n {
                break;
            }
            let mut m = c;
            let mut mk = (self.v[c].0, self.v[c].1);
            for j in c + 1..(c + 4).min(n) {
                let k = (self.v[j].0, self.v[j].1);
                if k < mk {
                    m = j;
                    mk = k;
                }
            }
            if mk >= (last.0, last.1) {
                break;
            }
            self.v[i] = self.v[m];
            i = m;
        }
        self.v[i] = last;
        Some(out)
    }
    #[inline]
    pub fn peek(&self) -> Option<u64> {
        self.v.first().map(|e| e.0)
    }
}
impl Pq for Quad<Payload> {
    #[inline]
    fn push(&mut self, due: u64, p: Payload) {
        self.put(due, p)
    }
    #[inline]
    fn pop(&mut self) -> Option<(u64, Payload)> {
        self.take().map(|x| (x.0, x.2))
    }
}
#[derive(Default)]
pub struct QuadSlot(Quad<u32>, Slab);
impl Pq for QuadSlot {
    #[inline]
    fn push(&mut self, due: u64, p: Payload) {
        let s = self.1.put(p);
        self.0.put(due, s)
    }
    #[inline]
    fn pop(&mut self) -> Option<(u64, Payload)> {
        let (d, _, s) = self.0.take()?;
        Some((d, self.1.take(s)))
    }
}

/// 4-ary heap of (due, seq, slot); each slot knows its place in the heap.
pub struct Indexed<T> {
    h: Vec<(u64, u64, u32)>,
    slots: Vec<(u32, u32, Option<T>)>, // position, generation, payload
    free: Vec<u32>,
    seq: u64,
}
impl<T> Default for Indexed<T> {
    fn default() -> Self {
        Indexed {
            h: Vec::new(),
            slots: Vec::new(),
            free: Vec::new(),
            seq: 0,
        }
    }
}
pub type TimerId = (u32, u32);
impl<T> Indexed<T> {
    #[inline]
    fn set(&mut self, i: usize, e: (u64, u64, u32)) {
        self.h[i] = e;
        self.slots[e.2 as usize].0 = i as u32;
    }
    fn up(&mut self, mut i: usize, e: (u64, u64, u32)) {
        while i > 0 {
            let p = (i - 1) / 4;
            if (self.h[p].0, self.h[p].1) <= (e.0, e.1) {
                break;
            }
            self.set(i, self.h[p]);
            i = p;
        }
        self.set(i, e);
    }
    fn down(&mut self, mut i: usize, e: (u64, u64, u32)) {
        let n = self.h.len();
        loop {
            let c = 4 * i + 1;
            if c >= n {
                break;
            }
            let mut m = c;
            let mut mk = (self.h[c].0, self.h[c].1);
            for j in c + 1..(c + 4).min(n) {
                let k = (self.h[j].0, self.h[j].1);
                if k < mk {
                    m = j;
                    mk = k;
                }
            }
            if mk >= (e.0, e.1) {
                break;
            }
            self.set(i, self.h[m]);
            i = m;
        }
        self.set(i, e);
    }
    pub fn insert(&mut self, due: u64, t: T) -> TimerId {
        self.seq += 1;
        let s = match self.free.pop() {
            Some(s) => {
                self.slots[s as usize].2 = Some(t);
                s
            }
            None => {
                self.slots.push((0, 0, Some(t)));
                self.slots.len() as u32 - 1
            }
        };
        let e = (due, self.seq, s);
        self.h.push(e);
        self.up(self.h.len() - 1, e);
        (s, self.slots[s as usize].1)
    }
    fn retire(&mut self, s: u32) -> T {
        let x = &mut self.slots[s as usize];
        x.1 = x.1.wrapping_add(1);
        self.free.push(s);
        x.2.take().unwrap()
    }
    pub fn pop(&mut self) -> Option<(u64, T)> {
        let top = *self.h.first()?;
        let last = self.h.pop().unwrap();
        if !self.h.is_empty() {
            self.down(0, last);
        }
        Some((top.0, self.retire(top.2)))
    }
    pub fn peek(&self) -> Option<u64> {
        self.h.first().map(|e| e.0)
    }
    pub fn remove(&mut self, id: TimerId) -> Option<(u64, T)> {
        let x = self.slots.get(id.0 as usize)?;
        if x.1 != id.1 || x.2.is_none() {
            return None;
        }
        let i = x.0 as usize;
        let due = self.h[i].0;
        let last = self.h.pop().unwrap();
        if i < self.h.len() {
            self.replace(i, last);
        }
        Some((due, self.retire(id.0)))
    }
    fn replace(&mut self, i: usize, e: (u64, u64, u32)) {
        if i > 0 && (e.0, e.1) < (self.h[(i - 1) / 4].0, self.h[(i - 1) / 4].1) {
            self.up(i, e)
        } else {
            self.down(i, e)
        }
    }
    pub fn adjust(&mut self, id: TimerId, due: u64) -> bool {
        let Some(x) = self.slots.get(id.0 as usize) else {
            return false;
        };
        if x.1 != id.1 || x.2.is_none() {
            return false;
        }
        let i = x.0 as usize;
        self.seq += 1;
        let e = (due, self.seq, id.0);
        self.replace(i, e);
        true
    }
    pub fn len(&self) -> usize {
        self.h.len()
    }
}
impl Pq for Indexed<Payload> {
    #[inline]
    fn push(&mut self, due: u64, p: Payload) {
        self.insert(due, p);
    }
    #[inline]
    fn pop(&mut self) -> Option<(u64, Payload)> {
        Indexed::pop(self)
    }
}

/// One u128 per entry: due in the high 64 bits, then 32 of sequence, then 32 of
/// slot. One compare orders two entries, and four children share a cache line.
/// (A real one would renumber before the sequence wraps.)
#[inline]
fn pack(due: u64, seq: u32, slot: u32) -> u128 {
    (due as u128) << 64 | (seq as u128) << 32 | slot as u128
}
#[derive(Default)]
pub struct BinaryPacked(BinaryHeap<Reverse<u128>>, u32, Slab);
impl Pq for BinaryPacked {
    #[inline]
    fn push(&mut self, due: u64, p: Payload) {
        self.1 = self.1.wrapping_add(1);
        let s = self.2.put(p);
        self.0.push(Reverse(pack(due, self.1, s)))
    }
    #[inline]
    fn pop(&mut self) -> Option<(u64, Payload)> {
        let Reverse(k) = self.0.pop()?;
        Some(((k >> 64) as u64, self.2.take(k as u32)))
    }
}

/// A 64-byte line of four keys.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Four([u128; 4]);
/// 4-ary heap of packed keys. Index 0 stands alone in the last lane of line 0,
/// so that the children of i, 4i+1 to 4i+4, are exactly line i+1.
#[derive(Default)]
pub struct PackedHeap {
    v: Vec<Four>,
    n: usize,
}
impl PackedHeap {
    #[inline]
    fn at(&self, i: usize) -> u128 {
        let j = i + 3;
        self.v[j / 4].0[j % 4]
    }
    #[inline]
    fn put_at(&mut self, i: usize, k: u128) {
        let j = i + 3;
        self.v[j / 4].0[j % 4] = k;
    }
    #[inline]
    pub fn push(&mut self, k: u128) {
        let mut i = self.n;
        self.n += 1;
        if (i + 3) / 4 >= self.v.len() {
            self.v.push(Four([u128::MAX; 4]));
        }
        while i > 0 {
            let p = (i - 1) / 4;
            let x = self.at(p);
            if x <= k {
                break;
            }
            self.put_at(i, x);
            i = p;
        }
        self.put_at(i, k);
    }
    #[inline]
    pub fn pop(&mut self) -> Option<u128> {
        if self.n == 0 {
            return None;
        }
        let out = self.at(0);
        self.n -= 1;
        let last = self.at(self.n);
        self.put_at(self.n, u128::MAX);
        if self.n == 0 {
            return Some(out);
        }
        // Empty lanes hold MAX, so a whole line can be compared unasked.
        let mut i = 0;
        loop {
            let c = 4 * i + 1;
            if c >= self.n {
                break;
            }
            let l = &self.v[i + 1].0;
            let a = if l[1] < l[0] { 1 } else { 0 };
            let b = if l[3] < l[2] { 3 } else { 2 };
            let m = if l[b] < l[a] { b } else { a };
            let k = l[m];
            if k >= last {
                break;
            }
            self.put_at(i, k);
            i = c + m;
        }
        self.put_at(i, last);
        Some(out)
    }
}
#[derive(Default)]
pub struct QuadPacked(PackedHeap, u32, Slab);
impl Pq for QuadPacked {
    #[inline]
    fn push(&mut self, due: u64, p: Payload) {
        self.1 = self.1.wrapping_add(1);
        let s = self.2.put(p);
        self.0.push(pack(due, self.1, s))
    }
    #[inline]
    fn pop(&mut self) -> Option<(u64, Payload)> {
        let k = self.0.pop()?;
        Some(((k >> 64) as u64, self.2.take(k as u32)))
    }
}

/// The packed heap with a position per slot: what remove and adjust need.
pub struct PackedIndexed<T> {
    v: Vec<Four>,
    n: usize,
    pos: Vec<u32>,
    slots: Vec<(u32, Option<T>)>, // generation, payload
    free: Vec<u32>,
    seq: u32,
}
impl<T> Default for PackedIndexed<T> {
    fn default() -> Self {
        PackedIndexed {
            v: Vec::new(),
            n: 0,
            pos: Vec::new(),
            slots: Vec::new(),
            free: Vec::new(),
            seq: 0,
        }
    }
}
impl<T> PackedIndexed<T> {
    #[inline]
    fn at(&self, i: usize) -> u128 {
        let j = i + 3;
        self.v[j / 4].0[j % 4]
    }
    #[inline]
    fn set(&mut self, i: usize, k: u128) {
        let j = i + 3;
        self.v[j / 4].0[j % 4] = k;
        self.pos[k as u32 as usize] = i as u32;
    }
    #[inline]
    fn up(&mut self, mut i: usize, k: u128) {
        while i > 0 {
            let p = (i - 1) / 4;
            let x = self.at(p);
            if x <= k {
                break;
            }
            self.set(i, x);
            i = p;
        }
        self.set(i, k);
    }
    #[inline]
    fn down(&mut self, mut i: usize, k: u128) {
        loop {
            let c = 4 * i + 1;
            if c >= self.n {
                break;
            }
            let l = &self.v[i + 1].0;
            let a = if l[1] < l[0] { 1 } else { 0 };
            let b = if l[3] < l[2] { 3 } else { 2 };
            let m = if l[b] < l[a] { b } else { a };
            let x = l[m];
            if x >= k {
                break;
            }
            self.set(i, x);
            i = c + m;
        }
        self.set(i, k);
    }
    pub fn insert(&mut self, due: u64, t: T) -> TimerId {
        self.seq = self.seq.wrapping_add(1);
        let s = match self.free.pop() {
            Some(s) => {
                self.slots[s as usize].1 = Some(t);
                s
            }
            None => {
                self.slots.push((0, Some(t)));
                self.pos.push(0);
                self.slots.len() as u32 - 1
            }
        };
        let i = self.n;
        self.n += 1;
        if (i + 3) / 4 >= self.v.len() {
            self.v.push(Four([u128::MAX; 4]));
        }
        self.up(i, pack(due, self.seq, s));
        (s, self.slots[s as usize].0)
    }
    #[inline]
    fn drop_last(&mut self) -> u128 {
        self.n -= 1;
        let k = self.at(self.n);
        let j = self.n + 3;
        self.v[j / 4].0[j % 4] = u128::MAX;
        k
    }
    #[inline]
    fn retire(&mut self, s: u32) -> T {
        let x = &mut self.slots[s as usize];
        x.0 = x.0.wrapping_add(1);
        self.free.push(s);
        x.1.take().unwrap()
    }
    pub fn pop(&mut self) -> Option<(u64, T)> {
        if self.n == 0 {
            return None;
        }
        let top = self.at(0);
        let last = self.drop_last();
        if self.n > 0 {
            self.down(0, last);
        }
        Some(((top >> 64) as u64, self.retire(top as u32)))
    }
    #[inline]
    fn replace(&mut self, i: usize, k: u128) {
        if i > 0 && k < self.at((i - 1) / 4) {
            self.up(i, k)
        } else {
            self.down(i, k)
        }
    }
    pub fn remove(&mut self, id: TimerId) -> Option<(u64, T)> {
        let x = self.slots.get(id.0 as usize)?;
        if x.0 != id.1 || x.1.is_none() {
            return None;
        }
        let i = self.pos[id.0 as usize] as usize;
        let k = self.at(i);
        let last = self.drop_last();
        if i < self.n {
            self.replace(i, last);
        }
        Some(((k >> 64) as u64, self.retire(id.0)))
    }
    pub fn adjust(&mut self, id: TimerId, due: u64) -> bool {
        let Some(x) = self.slots.get(id.0 as usize) else {
            return false;
        };
        if x.0 != id.1 || x.1.is_none() {
            return false;
        }
        self.seq = self.seq.wrapping_add(1);
        self.replace(self.pos[id.0 as usize] as usize, pack(due, self.seq, id.0));
        true
    }
    pub fn len(&self) -> usize {
        self.n
    }
}
impl Pq for PackedIndexed<Payload> {
    #[inline]
    fn push(&mut self, due: u64, p: Payload) {
        self.insert(due, p);
    }
    #[inline]
    fn pop(&mut self) -> Option<(u64, Payload)> {
        PackedIndexed::pop(self)
    }
}

#[derive(Default)]
pub struct BTree(BTreeMap<(u64, u64), Payload>, u64);
impl Pq for BTree {
    #[inline]
    fn push(&mut self, due: u64, p: Payload) {
        self.1 += 1;
        self.0.insert((due, self.1), p);
    }
    #[inline]
    fn pop(&mut self) -> Option<(u64, Payload)> {
        self.0.pop_first().map(|(k, p)| (k.0, p))
    }
}

/// POE::Queue::Array's own algorithm, in Rust.
#[derive(Default)]
pub struct Array(VecDeque<(u64, u64, u32)>, u64, Slab);
impl Pq for Array {
    #[inline]
    fn push(&mut self, due: u64, p: Payload) {
        self.1 += 1;
        let s = self.2.put(p);
        let i = self.0.partition_point(|e| e.0 <= due);
        self.0.insert(i, (due, self.1, s));
    }
    #[inline]
    fn pop(&mut self) -> Option<(u64, Payload)> {
        let (d, _, s) = self.0.pop_front()?;
        Some((d, self.2.take(s)))
    }
}

fn hold(mut q: impl Pq, n: u64, size: usize) -> Sample {
    let mut r = Lcg(42);
    let span = 1_000_000_000u64;
    let mut due: Vec<u64> = (0..size).map(|_| (r.unit() * span as f64) as u64).collect();
    // A sorted fill is what lets the sorted array be measured at 1e6 at all;
    // steady state is the same.
    due.sort_unstable();
    let f0 = Instant::now();
    for d in due {
        q.push(d, Payload([1; 6]));
    }
    let fill = f0.elapsed();
    let jumps: Vec<u64> = (0..n).map(|_| (r.unit() * span as f64) as u64).collect();
    // Let the shape settle before timing.
    for j in jumps.iter().take((n / 4) as usize) {
        let (d, p) = q.pop().unwrap();
        q.push(d + j, p);
    }
    let t0 = Instant::now();
    let mut last = 0;
    for j in &jumps {
        let (d, p) = q.pop().unwrap();
        assert!(d >= last);
        last = d;
        q.push(d + j, black_box(p));
    }
    let d = t0.elapsed();
    black_box(last);
    Sample::new(n, d)
        .with("size", size as f64)
        .with("fill_s", fill.as_secs_f64())
}

async fn delayqueue(n: u64, size: usize) -> Sample {
    use futures_util::StreamExt;
    let mut r = Lcg(42);
    let mut q = tokio_util::time::DelayQueue::new();
    let f0 = Instant::now();
    for _ in 0..size {
        q.insert(Payload([1; 6]), Duration::from_secs_f64(r.unit()));
    }
    let fill = f0.elapsed();
    let jumps: Vec<Duration> = (0..n).map(|_| Duration::from_secs_f64(r.unit())).collect();
    let t0 = Instant::now();
    for j in jumps {
        let e = q.next().await.unwrap();
        q.insert(black_box(e.into_inner()), j);
    }
    Sample::new(n, t0.elapsed())
        .with("size", size as f64)
        .with("fill_s", fill.as_secs_f64())
}

impl Peer for Queues {
    fn name(&self) -> &'static str {
        "queue"
    }
    fn run(&self, w: Work, n: u64, o: &Opts) -> Out {
        if w != Work::Queue {
            return Out::Skip("queue workload only");
        }
        let s = o.size;
        Out::Done(match o.variant.as_str() {
            "binary" => hold(Binary::default(), n, s),
            "binary-small" => hold(BinarySmall::default(), n, s),
            "quad" => hold(Quad::<Payload>::default(), n, s),
            "quad-slot" => hold(QuadSlot::default(), n, s),
            "quad-indexed" => hold(Indexed::<Payload>::default(), n, s),
            "binary-packed" => hold(BinaryPacked::default(), n, s),
            "quad-packed" => hold(QuadPacked::default(), n, s),
            "quad-packed-indexed" => hold(PackedIndexed::<Payload>::default(), n, s),
            "btree" => hold(BTree::default(), n, s),
            "array" => hold(Array::default(), n, s),
            "delayqueue" => {
                let rt = tokio::runtime::Builder::new_current_thread()
                    .enable_time()
                    .start_paused(true)
                    .build()
                    .unwrap();
                rt.block_on(delayqueue(n, s))
            }
            _ => return Out::Skip("no such variant"),
        })
    }
}
