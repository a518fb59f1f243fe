//! POOL: this crate on several kernels, one a thread. `--size` is how many; the variant is what they do.
//!
//! * `yield`: each kernel's session posts to itself, N events in all: nothing is shared, so this is what the machine gives.
//! * `posts`: 64 tokens a kernel go round the kernels, N posts from kernel to kernel in all.
//! * `work`: a line server on all kernels whose every line costs some 50 µs of processor time; prints its port, serves
//!   until killed.

use crate::common::*;
use poe::component::{KernelPool, PoolHandle};
use poe::event::START;
use poe::filter::Line;
use poe::{Event, Session, SessionId};
use std::hash::{DefaultHasher, Hasher};
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

const TICK: Event<u64> = Event::new("tick");
const NEXT: Event<SessionId> = Event::new("next");
const HOP: Event<u64> = Event::new("hop");
const TOKENS: u64 = 64;

pub fn run(n: u64, o: &Opts) -> Out {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let kernels = o.size;
    runtime.block_on(async {
        let pool = KernelPool::new(kernels).unwrap();
        Out::Done(match o.variant.as_str() {
            "yield" => yields(pool, n).await,
            "posts" => posts(pool, n).await,
            "work" => work(pool).await,
            _ => return Out::Skip("the variants are yield, posts and work"),
        })
    })
}

async fn yields(pool: KernelPool, n: u64) -> Sample {
    let each = n / pool.kernels() as u64;
    let t0 = Instant::now();
    pool.each(move |kernel, _| async move {
        let (done, over) = tokio::sync::oneshot::channel();
        Session::builder((0_u64, Some(done)))
            .on(START, |cx, ()| cx.yield_to(TICK, 1))
            .on(TICK, move |cx, by| {
                cx.heap.0 += by;
                if cx.heap.0 < each {
                    cx.yield_to(TICK, 1);
                } else if let Some(done) = cx.heap.1.take() {
                    done.send(()).unwrap();
                }
            })
            .create(&kernel)?;
        over.await.unwrap();
        Ok(())
    })
    .await
    .unwrap();
    Sample::new(each * pool.kernels() as u64, t0.elapsed())
}

struct Hopper {
    pool: PoolHandle,
    next: Option<SessionId>,
    done: Sender<()>,
}

async fn posts(pool: KernelPool, n: u64) -> Sample {
    let handle = pool.handle();
    let (done, over) = channel();
    let p2 = handle.clone();
    let ids = pool
        .each(move |kernel, _| {
            let (pool, done) = (p2.clone(), done.clone());
            async move {
                let next = None;
                Session::builder(Hopper { pool, next, done })
                    .on(START, |cx, ()| cx.refcount_increment(cx.session_id(), "stay").map(drop))
                    .on(NEXT, |cx, next| cx.heap.next = Some(next))
                    .on(HOP, |cx, left| {
                        if left == 0 {
                            cx.heap.done.send(()).unwrap();
                        } else if let Some(next) = cx.heap.next {
                            cx.heap.pool.post(next, HOP, left - 1).unwrap();
                        }
                    })
                    .create(&kernel)
            }
        })
        .await
        .unwrap();
    for (at, id) in ids.iter().enumerate() {
        handle.post(*id, NEXT, ids[(at + 1) % ids.len()]).unwrap();
    }
    let tokens = TOKENS * ids.len() as u64;
    let hops = n / tokens;
    let t0 = Instant::now();
    for id in &ids {
        for _ in 0..TOKENS {
            handle.post(*id, HOP, hops).unwrap();
        }
    }
    for _ in 0..tokens {
        over.recv().unwrap();
    }
    Sample::new(tokens * hops, t0.elapsed())
}

/// What a line is worth: a hash of it, time and again.
fn digest(line: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for _ in 0..3000 {
        hasher.write(line);
    }
    hasher.finish()
}

async fn work(pool: KernelPool) -> Sample {
    let server = pool
        .serve("127.0.0.1:0", |server| {
            server.filter(|| Line::bytes().literal("\n")).client_input(|cx, line| {
                std::hint::black_box(digest(&line));
                cx.client().put(line)
            })
        })
        .await
        .unwrap();
    println!("PORT {}", server.local_addr().port());
    std::future::pending::<()>().await;
    Sample::new(1, Duration::from_secs(1))
}
