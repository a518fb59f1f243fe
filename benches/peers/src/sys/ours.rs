//! ours: this repository's crate, the real thing: law-exact order, reference counts, caller place, tracing compiled in
//! and off, on a current-thread runtime.

use crate::common::*;
use poe::component::TcpServer;
use poe::event::START;
use poe::filter::Line;
use poe::wheel::{Connection, Input, IoError, ReadWrite, SocketError, SocketFactory};
use poe::{Event, Kernel, Reply, Session, SessionId, States};
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::rc::Rc;
use std::time::{Duration, Instant};

pub struct Ours;

const TICK: Event<u64> = Event::new("tick");
const PING: Event<u64> = Event::new("ping");
const PONG: Event<u64> = Event::new("pong");
const DOUBLE: Event<u64, u64> = Event::new("double");
const LATE: Event<u64> = Event::new("late");

fn block<F: Future>(f: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(f)
}

impl Peer for Ours {
    fn name(&self) -> &'static str {
        "ours"
    }
    fn run(&self, w: Work, n: u64, o: &Opts) -> Out {
        Out::Done(match w {
            Work::Yield => block(yield_(n, o.pending)),
            Work::PingPong => block(pingpong(n)),
            Work::Call => block(call(n)),
            Work::Spawn => block(spawn(n)),
            Work::Alive => block(alive(n, &o.variant)),
            Work::Timers => block(timers(n, o.lead)),
            Work::TimersCancel => block(cancel(n)),
            Work::TimersAdjust => block(adjust(n)),
            Work::Fanout => block(fanout(n)),
            Work::Echo if o.variant == "rw" => block(echo_by_wheels()),
            Work::Echo if o.variant == "rw-one" => block(echo_by_one_session()),
            Work::Echo => block(echo()),
            Work::XThread => block(xthread(n)),
            Work::Starve => block(starve(n, &o.variant)),
            Work::Pool => return super::pool::run(n, o),
            Work::Queue => return Out::Skip("see the crate's own benches"),
        })
    }
}

async fn yield_(n: u64, pending: u64) -> Sample {
    let ds = delays(pending, 1000.0);
    let kernel = Kernel::new();
    let done = Rc::new(Cell::new(None));
    let d2 = done.clone();
    let id = Session::builder(0_u64)
        .on(START, move |cx, ()| {
            for d in &ds {
                cx.delay_set("pending", *d, 0_u64);
            }
        })
        .on(TICK, move |cx, by| {
            *cx.heap += by;
            if *cx.heap < n {
                cx.yield_to(TICK, 1);
            } else {
                d2.set(Some((*cx.heap, Instant::now())));
                cx.alarm_remove_all();
            }
        })
        .create(&kernel)
        .unwrap();
    let t0 = Instant::now();
    kernel.post(id, TICK, 1).unwrap();
    kernel.run().await.unwrap();
    let (total, end) = done.get().unwrap();
    assert_eq!(total, n);
    Sample::new(n, end - t0)
}

async fn pingpong(n: u64) -> Sample {
    let kernel = Kernel::new();
    let b = Session::builder(())
        .on(START, |_, ()| ())
        .on(PONG, |cx, v| cx.post(cx.sender(), PING, v + 1))
        .create(&kernel)
        .unwrap();
    let last = Rc::new(Cell::new(0));
    let l2 = last.clone();
    let a = Session::builder(())
        .on(START, |_, ()| ())
        .on(PING, move |cx, v| -> poe::HandlerResult {
            l2.set(v);
            if v < n {
                cx.post(b, PONG, v)?;
            }
            Ok(())
        })
        .create(&kernel)
        .unwrap();
    let t0 = Instant::now();
    kernel.post(a, PING, 0).unwrap();
    kernel.run().await.unwrap();
    assert_eq!(last.get(), n);
    Sample::new(n, t0.elapsed())
}

async fn call(n: u64) -> Sample {
    let kernel = Kernel::new();
    let callee = Session::builder(())
        .on(START, |_, ()| ())
        .on(DOUBLE, |_, v| Reply(v + 1))
        .create(&kernel)
        .unwrap();
    let out = Rc::new(Cell::new((0, Duration::ZERO)));
    let o2 = out.clone();
    Session::builder(())
        .on(START, |cx, ()| cx.yield_to("go", ()))
        .on("go", move |cx, ()| -> poe::HandlerResult {
            let t0 = Instant::now();
            let mut v = 0;
            for _ in 0..n {
                v = cx.call(callee, DOUBLE, v)?;
            }
            o2.set((v, t0.elapsed()));
            Ok(())
        })
        .create(&kernel)
        .unwrap();
    // The callee must live until it is called.
    kernel.post(callee, DOUBLE, 0).unwrap();
    kernel.run().await.unwrap();
    assert_eq!(out.get().0, n);
    Sample::new(n, out.get().1)
}

async fn spawn(n: u64) -> Sample {
    let kernel = Kernel::new();
    let left = Rc::new(Cell::new(n));
    let states = States::<u64>::new()
        .on(START, |cx, ()| cx.yield_to(TICK, 1))
        .on(TICK, |cx, by| {
            *cx.heap += by;
            if *cx.heap < 10 {
                cx.yield_to(TICK, 1);
            }
        })
        .on(poe::event::STOP, {
            let left = left.clone();
            move |_, ()| left.set(left.get() - 1)
        });
    let t0 = Instant::now();
    for _ in 0..n {
        Session::builder(0_u64).inline_states(&states).create(&kernel).unwrap();
    }
    kernel.run().await.unwrap();
    assert_eq!(left.get(), 0);
    Sample::new(n, t0.elapsed())
}

async fn alive(n: u64, variant: &str) -> Sample {
    let kernel = Kernel::new();
    let table = || {
        States::<u64>::new()
            .on(START, |cx, ()| cx.refcount_increment(cx.session_id(), "stay").map(drop))
            .on(TICK, |cx, by| *cx.heap += by)
    };
    let shared = table();
    let h0 = vm_hwm();
    let t0 = Instant::now();
    for _ in 0..n {
        let b = Session::builder(0_u64);
        let b = if variant == "closures" {
            b.inline_states(&table())
        } else {
            b.inline_states(&shared)
        };
        b.create(&kernel).unwrap();
    }
    let d = t0.elapsed();
    let per = (vm_hwm() - h0) as f64 / n as f64;
    assert_eq!(kernel.session_count() as u64, n);
    Sample::new(n, d).with("bytes_per_session", per)
}

async fn timers(n: u64, lead: f64) -> Sample {
    let ds = delays(n, lead);
    let kernel = Kernel::new();
    let late = Rc::new(RefCell::new(Vec::with_capacity(n as usize)));
    let dues = Rc::new(RefCell::new(Vec::with_capacity(n as usize)));
    let set = Rc::new(Cell::new((Duration::ZERO, 0.0)));
    let cpu0 = cpu_seconds();
    let t0 = Instant::now();
    let (s2, l2, d2, d3) = (set.clone(), late.clone(), dues.clone(), dues.clone());
    Session::builder(())
        .on(START, move |cx, ()| {
            let mut dues = d2.borrow_mut();
            for (i, d) in ds.iter().enumerate() {
                dues.push(Instant::now() + *d);
                cx.delay_set(LATE, *d, i as u64);
            }
            s2.set((t0.elapsed(), cpu_seconds()));
        })
        .on(LATE, move |_, i| l2.borrow_mut().push(late_us(d3.borrow()[i as usize])))
        .create(&kernel)
        .unwrap();
    kernel.run().await.unwrap();
    assert_eq!(late.borrow().len() as u64, n);
    timers_sample(n, set.get().0, late.take(), cpu0, set.get().1, t0)
}

async fn cancel(n: u64) -> Sample {
    let ds = delays(n, 100.0);
    let kernel = Kernel::new();
    let out = Rc::new(Cell::new((Duration::ZERO, Duration::ZERO)));
    let o2 = out.clone();
    Session::builder(())
        .on(START, move |cx, ()| {
            let t0 = Instant::now();
            let ids: Vec<_> = ds.iter().map(|d| cx.delay_set(LATE, *d, 1)).collect();
            let set = t0.elapsed();
            let t1 = Instant::now();
            for id in ids {
                cx.alarm_remove(id).unwrap();
            }
            o2.set((set, t1.elapsed()));
        })
        .create(&kernel)
        .unwrap();
    kernel.run().await.unwrap();
    Sample::new(n, out.get().1).with("set_s", out.get().0.as_secs_f64())
}

async fn adjust(n: u64) -> Sample {
    let ds = delays(n, 100.0);
    let kernel = Kernel::new();
    let out = Rc::new(Cell::new((Duration::ZERO, Duration::ZERO)));
    let o2 = out.clone();
    Session::builder(())
        .on(START, move |cx, ()| {
            let t0 = Instant::now();
            let ids: Vec<_> = ds.iter().map(|d| cx.delay_set(LATE, *d, 1)).collect();
            let set = t0.elapsed();
            let t1 = Instant::now();
            for id in ids {
                cx.alarm_adjust(id, Duration::from_secs(7)).unwrap();
            }
            o2.set((set, t1.elapsed()));
            cx.alarm_remove_all();
        })
        .create(&kernel)
        .unwrap();
    kernel.run().await.unwrap();
    Sample::new(n, out.get().1).with("set_s", out.get().0.as_secs_f64())
}

async fn fanout(n: u64) -> Sample {
    const K: usize = 1000;
    let kernel = Kernel::new();
    let got = Rc::new(Cell::new((0_u64, None)));
    let states = {
        let got = got.clone();
        States::<()>::new().on(START, |_, ()| ()).on(TICK, move |_, by| {
            let sum = got.get().0 + by;
            got.set((sum, if sum == n { Some(Instant::now()) } else { None }));
        })
    };
    let ids: Vec<SessionId> = (0..K)
        .map(|_| Session::builder(()).inline_states(&states).create(&kernel).unwrap())
        .collect();
    let t0 = Rc::new(Cell::new(Instant::now()));
    let t2 = t0.clone();
    Session::builder(())
        .on(START, |cx, ()| cx.yield_to("go", ()))
        .on("go", move |cx, ()| -> poe::HandlerResult {
            t2.set(Instant::now());
            for i in 0..n as usize {
                cx.post(ids[i % K], TICK, 1)?;
            }
            Ok(())
        })
        .create(&kernel)
        .unwrap();
    kernel.run().await.unwrap();
    let (sum, end) = got.get();
    assert_eq!(sum, n);
    Sample::new(n, end.unwrap() - t0.get())
}

async fn xthread(n: u64) -> Sample {
    let kernel = Kernel::builder().inbox_capacity(usize::MAX).build();
    let end = Rc::new(Cell::new(None));
    let e2 = end.clone();
    let id = Session::builder(0_u64)
        .on(START, |cx, ()| cx.refcount_increment(cx.session_id(), "stay").map(drop))
        .on(TICK, move |cx, by| -> poe::HandlerResult {
            *cx.heap += by;
            if *cx.heap == n {
                e2.set(Some(Instant::now()));
                cx.refcount_decrement(cx.session_id(), "stay")?;
            }
            Ok(())
        })
        .create(&kernel)
        .unwrap();
    let handle = kernel.handle();
    let t0 = Instant::now();
    let th = std::thread::spawn(move || {
        for _ in 0..n {
            handle.post(id, TICK, 1).unwrap();
        }
    });
    kernel.run().await.unwrap();
    th.join().unwrap();
    Sample::new(n, end.get().unwrap() - t0)
}

async fn starve(n: u64, variant: &str) -> Sample {
    let kernel = Kernel::new();
    let stop = Rc::new(Cell::new(false));
    let events = Rc::new(Cell::new(0_u64));
    let (s2, e2) = (stop.clone(), events.clone());
    let spin = if variant.starts_with("1us") {
        Duration::from_micros(1)
    } else {
        Duration::ZERO
    };
    Session::builder(())
        .on(START, |cx, ()| cx.yield_to(TICK, 1))
        .on(TICK, move |cx, by| {
            e2.set(e2.get() + by);
            if !spin.is_zero() {
                let t = Instant::now();
                while t.elapsed() < spin {}
            }
            if !s2.get() {
                cx.yield_to(TICK, 1);
            }
        })
        .create(&kernel)
        .unwrap();
    let mut late = Vec::new();
    let t0 = Instant::now();
    let (ran, ()) = tokio::join!(kernel.run(), async {
        for _ in 0..n {
            let due = Instant::now() + Duration::from_millis(1);
            tokio::time::sleep_until(due.into()).await;
            late.push(late_us(due));
        }
        stop.set(true);
    });
    ran.unwrap();
    let mut s = Sample::new(events.get(), t0.elapsed());
    s.extra.extend(lateness(late));
    s
}

async fn echo() -> Sample {
    let kernel = Kernel::new();
    let server = TcpServer::builder("127.0.0.1:0")
        .filter(|| Line::bytes().literal("\n"))
        .client_input(|cx, line| cx.client().put(line))
        .start(&kernel)
        .await
        .unwrap();
    println!("PORT {}", server.local_addr().unwrap().port());
    kernel.serve().await.unwrap();
    Sample::new(1, Duration::from_secs(1))
}

const CLIENT: Event<Connection> = Event::new("client");
const FAILED: Event<SocketError> = Event::new("failed");
const LINE: Event<Input<String>> = Event::new("line");
const ERROR: Event<IoError> = Event::new("error");

/// By a SocketFactory and a ReadWrite each, with lines as text. The same shape as one task a connection: a session for
/// each, which owns its wheel.
async fn echo_by_wheels() -> Sample {
    let kernel = Kernel::new();
    let client = poe::States::<Option<ReadWrite>>::new()
        .on(START, |cx, stream: poe::wheel::SocketStream| -> poe::HandlerResult {
            let wheel = ReadWrite::builder(stream)
                .input(Line::new().literal("\n"), LINE)
                .error(ERROR)
                .start(cx)?;
            *cx.heap = Some(wheel);
            Ok(())
        })
        .on(LINE, |cx, input| -> poe::HandlerResult {
            if let Some(wheel) = &*cx.heap {
                wheel.put(input.record)?;
            }
            Ok(())
        })
        .on(ERROR, |cx, _| *cx.heap = None);
    Session::builder(None::<SocketFactory>)
        .on(START, |cx, ()| {
            let listener = SocketFactory::listen("127.0.0.1:0")
                .success(CLIENT)
                .failure(FAILED)
                .start(cx);
            println!("PORT {}", listener.local_addr().unwrap().port());
            *cx.heap = Some(listener);
        })
        .on(CLIENT, move |cx, accepted| -> poe::HandlerResult {
            cx.create(Session::builder(None).inline_states(&client).args(accepted.stream))?;
            Ok(())
        })
        .on(FAILED, |_, error| panic!("{error}"))
        .create(&kernel)
        .unwrap();
    kernel.run().await.unwrap();
    Sample::new(1, Duration::from_secs(1))
}

/// The same with one session that finds its wheels by their IDs.
async fn echo_by_one_session() -> Sample {
    type Clients = std::collections::HashMap<poe::WheelId, ReadWrite>;
    let kernel = Kernel::new();
    Session::builder((None::<SocketFactory>, Clients::new()))
        .on(START, |cx, ()| {
            let listener = SocketFactory::listen("127.0.0.1:0")
                .success(CLIENT)
                .failure(FAILED)
                .start(cx);
            println!("PORT {}", listener.local_addr().unwrap().port());
            cx.heap.0 = Some(listener);
        })
        .on(CLIENT, |cx, client| -> poe::HandlerResult {
            let line = Line::new().literal("\n");
            let wheel = ReadWrite::builder(client.stream)
                .input(line, LINE)
                .error(ERROR)
                .start(cx)?;
            cx.heap.1.insert(wheel.id(), wheel);
            Ok(())
        })
        .on(LINE, |cx, input| -> poe::HandlerResult {
            if let Some(client) = cx.heap.1.get(&input.wheel) {
                client.put(input.record)?;
            }
            Ok(())
        })
        .on(ERROR, |cx, error| drop(cx.heap.1.remove(&error.wheel())))
        .on(FAILED, |_, error| panic!("{error}"))
        .create(&kernel)
        .unwrap();
    kernel.run().await.unwrap();
    Sample::new(1, Duration::from_secs(1))
}
