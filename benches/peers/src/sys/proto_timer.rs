//! Timer prototypes for W5: one queue, one wake-up source.
//! proto-heap-sleep: indexed 4-ary heap + one tokio Sleep (1 ms wheel).
//! proto-heap-timerfd: the same heap + one timerfd through AsyncFd.
//! proto-packed-heap: the heap of u128 keys, with positions.
//! proto-lazy-heap: BinaryHeap, cancelled ids left in place (tombstones).

use super::raw_tokio::local;
use crate::common::*;
use crate::queues::{Indexed, PackedIndexed, TimerId};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::future::poll_fn;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::task::Poll;
use std::time::{Duration, Instant};
use tokio::io::unix::AsyncFd;

pub struct HeapSleep;
pub struct HeapTimerFd;
pub struct LazyHeap;
pub struct PackedHeap;

type Handler = std::rc::Rc<dyn Fn(&mut Vec<f64>, u64)>;
struct T {
    due: Instant,
    h: Handler,
}

fn fill(n: u64, lead: f64, base: Instant) -> (Indexed<T>, Vec<TimerId>, Duration) {
    let ds = delays(n, lead);
    let h: Handler = std::rc::Rc::new(|late, us| late.push(us as f64 / 1e3));
    let mut q = Indexed::default();
    let mut ids = Vec::with_capacity(n as usize);
    let t0 = Instant::now();
    for d in ds {
        let due = Instant::now() + d;
        ids.push(q.insert((due - base).as_nanos() as u64, T { due, h: h.clone() }));
    }
    (q, ids, t0.elapsed())
}

fn fire(q: &mut Indexed<T>, late: &mut Vec<f64>, base: Instant) {
    let mut now = base.elapsed().as_nanos() as u64;
    loop {
        while q.peek().is_some_and(|d| d <= now) {
            let (_, t) = q.pop().unwrap();
            let us = Instant::now().saturating_duration_since(t.due).as_nanos() as u64;
            (t.h)(late, us);
        }
        let n2 = base.elapsed().as_nanos() as u64;
        if q.peek().is_none_or(|d| d > n2) {
            return;
        }
        now = n2;
    }
}

fn cancel(n: u64) -> Sample {
    let base = Instant::now();
    let (mut q, ids, set) = fill(n, 100.0, base);
    let t1 = Instant::now();
    for id in ids {
        assert!(q.remove(id).is_some());
    }
    assert_eq!(q.len(), 0);
    Sample::new(n, t1.elapsed()).with("set_s", set.as_secs_f64())
}
fn adjust(n: u64) -> Sample {
    let base = Instant::now();
    let (mut q, ids, set) = fill(n, 100.0, base);
    let ds = delays(n, 100.0);
    let t1 = Instant::now();
    for (id, d) in ids.iter().zip(ds) {
        assert!(q.adjust(*id, (d + Duration::from_secs(7)).as_nanos() as u64));
    }
    Sample::new(n, t1.elapsed()).with("set_s", set.as_secs_f64())
}

impl Peer for HeapSleep {
    fn name(&self) -> &'static str {
        "proto-heap-sleep"
    }
    fn run(&self, w: Work, n: u64, o: &Opts) -> Out {
        let lead = o.lead;
        match w {
            Work::Timers => Out::Done(local(async move {
                let base = Instant::now();
                let cpu0 = cpu_seconds();
                let t0 = Instant::now();
                let (mut q, _, set) = fill(n, lead, base);
                let cpu_set = cpu_seconds();
                let mut late = Vec::with_capacity(n as usize);
                let mut sl = Box::pin(tokio::time::sleep(Duration::ZERO));
                while q.len() > 0 {
                    fire(&mut q, &mut late, base);
                    if let Some(d) = q.peek() {
                        sl.as_mut().reset((base + Duration::from_nanos(d)).into());
                        sl.as_mut().await;
                    }
                }
                timers_sample(n, set, late, cpu0, cpu_set, t0)
            })),
            Work::TimersCancel => Out::Done(cancel(n)),
            Work::TimersAdjust => Out::Done(adjust(n)),
            _ => Out::Skip("timers only"),
        }
    }
}

/// A timerfd on CLOCK_MONOTONIC, waited for by the runtime's own epoll.
struct Tfd(AsyncFd<OwnedFd>);
impl Tfd {
    fn new() -> Tfd {
        unsafe {
            let fd = libc::timerfd_create(libc::CLOCK_MONOTONIC, libc::TFD_NONBLOCK | libc::TFD_CLOEXEC);
            // Owned here, and dropped with the AsyncFd.
            Tfd(AsyncFd::register(OwnedFd::from_raw_fd(fd)).ok().unwrap())
        }
    }
    fn arm(&self, d: Duration) {
        let d = d.max(Duration::from_nanos(1));
        let it = libc::itimerspec {
            it_interval: libc::timespec { tv_sec: 0, tv_nsec: 0 },
            it_value: libc::timespec {
                tv_sec: d.as_secs() as i64,
                tv_nsec: d.subsec_nanos() as i64,
            },
        };
        unsafe { libc::timerfd_settime(self.0.as_raw_fd(), 0, &it, std::ptr::null_mut()) };
    }
    async fn wait(&self) {
        poll_fn(|cx| match self.0.poll_read_ready(cx) {
            Poll::Ready(Ok(mut g)) => {
                // Re-arming clears the count; no read is needed.
                g.clear_ready();
                Poll::Ready(())
            }
            _ => Poll::Pending,
        })
        .await
    }
}

impl Peer for HeapTimerFd {
    fn name(&self) -> &'static str {
        "proto-heap-timerfd"
    }
    fn run(&self, w: Work, n: u64, o: &Opts) -> Out {
        let lead = o.lead;
        match w {
            Work::Timers => Out::Done(local(async move {
                unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1) };
                let base = Instant::now();
                let cpu0 = cpu_seconds();
                let t0 = Instant::now();
                let (mut q, _, set) = fill(n, lead, base);
                let cpu_set = cpu_seconds();
                let mut late = Vec::with_capacity(n as usize);
                let tfd = Tfd::new();
                while q.len() > 0 {
                    fire(&mut q, &mut late, base);
                    if let Some(d) = q.peek() {
                        let due = base + Duration::from_nanos(d);
                        tfd.arm(due.saturating_duration_since(Instant::now()));
                        tfd.wait().await;
                    }
                }
                timers_sample(n, set, late, cpu0, cpu_set, t0)
            })),
            _ => Out::Skip("see proto-heap-sleep"),
        }
    }
}

impl Peer for LazyHeap {
    fn name(&self) -> &'static str {
        "proto-lazy-heap"
    }
    fn run(&self, w: Work, n: u64, _: &Opts) -> Out {
        let adjust = match w {
            Work::TimersCancel => false,
            Work::TimersAdjust => true,
            _ => return Out::Skip("cancel and adjust only"),
        };
        let ds = delays(n, 100.0);
        let base = Instant::now();
        // slot -> generation; a heap entry with an old generation is dead.
        let mut live: Vec<u32> = Vec::with_capacity(n as usize);
        let mut h: BinaryHeap<Reverse<(u64, u64, u32, u32)>> = BinaryHeap::with_capacity(n as usize);
        let t0 = Instant::now();
        for (i, d) in ds.iter().enumerate() {
            live.push(0);
            h.push(Reverse((
                (base.elapsed() + *d).as_nanos() as u64,
                i as u64,
                i as u32,
                0,
            )));
        }
        let set = t0.elapsed();
        let t1 = Instant::now();
        for (i, d) in ds.iter().enumerate() {
            live[i] += 1;
            if adjust {
                h.push(Reverse((
                    (*d + Duration::from_secs(7)).as_nanos() as u64,
                    i as u64 + n,
                    i as u32,
                    live[i],
                )));
            }
        }
        let mark = t1.elapsed();
        // What the tombstones still cost: they come up one day.
        let t2 = Instant::now();
        let mut dead = 0u64;
        while let Some(Reverse((_, _, s, g))) = h.pop() {
            if live[s as usize] != g {
                dead += 1;
            }
            if dead == n {
                break;
            }
        }
        let sweep = t2.elapsed();
        Out::Done(
            Sample::new(n, mark + sweep)
                .with("set_s", set.as_secs_f64())
                .with("mark_s", mark.as_secs_f64())
                .with("sweep_s", sweep.as_secs_f64()),
        )
    }
}

impl Peer for PackedHeap {
    fn name(&self) -> &'static str {
        "proto-packed-heap"
    }
    fn run(&self, w: Work, n: u64, _: &Opts) -> Out {
        let adjust = match w {
            Work::TimersCancel => false,
            Work::TimersAdjust => true,
            _ => return Out::Skip("cancel and adjust only"),
        };
        let ds = delays(n, 100.0);
        let base = Instant::now();
        let h: Handler = std::rc::Rc::new(|late, us| late.push(us as f64 / 1e3));
        let mut q = PackedIndexed::default();
        let mut ids = Vec::with_capacity(n as usize);
        let t0 = Instant::now();
        for d in &ds {
            let due = Instant::now() + *d;
            ids.push(q.insert((due - base).as_nanos() as u64, T { due, h: h.clone() }));
        }
        let set = t0.elapsed();
        let t1 = Instant::now();
        for (id, d) in ids.into_iter().zip(ds) {
            if adjust {
                assert!(q.adjust(id, (d + Duration::from_secs(7)).as_nanos() as u64));
            } else {
                assert!(q.remove(id).is_some());
            }
        }
        let d = t1.elapsed();
        assert_eq!(q.len(), if adjust { n as usize } else { 0 });
        let mut last = 0;
        while let Some((due, _)) = q.pop() {
            assert!(due >= last);
            last = due;
        }
        Out::Done(Sample::new(n, d).with("set_s", set.as_secs_f64()))
    }
}
