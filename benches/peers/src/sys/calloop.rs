//! calloop 0.14, where it applies. A post is `insert_idle` (a boxed closure run
//! after the next poll); from another thread it is its channel.

use crate::common::*;
use calloop::channel::{Event, channel};
use calloop::generic::Generic;
use calloop::timer::{TimeoutAction, Timer};
use calloop::{EventLoop, Interest, LoopHandle, Mode, PostAction};
use std::collections::HashMap;
use std::io::{Read, Write};
use std::time::{Duration, Instant};

pub struct Calloop;

struct D {
    h: LoopHandle<'static, D>,
    c: u64,
    n: u64,
    late: Vec<f64>,
    actors: Vec<u64>,
    conns: HashMap<i32, Vec<u8>>,
}

fn mk(n: u64) -> (EventLoop<'static, D>, D) {
    let el: EventLoop<'static, D> = EventLoop::try_new().unwrap();
    let h = el.handle();
    (
        el,
        D {
            h,
            c: 0,
            n,
            late: Vec::new(),
            actors: Vec::new(),
            conns: HashMap::new(),
        },
    )
}

impl Peer for Calloop {
    fn name(&self) -> &'static str {
        "calloop"
    }
    fn run(&self, w: Work, n: u64, o: &Opts) -> Out {
        Out::Done(match w {
            Work::Yield => yield_(n),
            Work::PingPong => pingpong(n),
            Work::Timers => timers(n, o.lead),
            Work::TimersCancel => cancel(n, false),
            Work::TimersAdjust => cancel(n, true),
            Work::Fanout => fanout(n),
            Work::Echo => echo(),
            Work::XThread => xthread(n),
            Work::Call => return Out::Skip("no actors: a call is a plain Rust call"),
            Work::Spawn | Work::Alive => return Out::Skip("no actors"),
            _ => return Out::Skip("not written"),
        })
    }
}

fn tick(d: &mut D, v: u64) {
    d.c += v;
    if d.c < d.n {
        d.h.clone().insert_idle(|d| tick(d, 1));
    }
}
fn yield_(n: u64) -> Sample {
    let (mut el, mut d) = mk(n);
    let t0 = Instant::now();
    d.h.clone().insert_idle(|d| tick(d, 1));
    while d.c < n {
        el.dispatch(Duration::ZERO, &mut d).unwrap();
    }
    Sample::new(n, t0.elapsed())
}
fn ping(d: &mut D, v: u64) {
    d.c = v;
    if v < d.n {
        d.h.clone().insert_idle(move |d| pong(d, v));
    }
}
fn pong(d: &mut D, v: u64) {
    d.h.clone().insert_idle(move |d| ping(d, v + 1));
}
fn pingpong(n: u64) -> Sample {
    let (mut el, mut d) = mk(n);
    let t0 = Instant::now();
    d.h.clone().insert_idle(|d| ping(d, 0));
    while d.c < n {
        el.dispatch(Duration::ZERO, &mut d).unwrap();
    }
    Sample::new(n, t0.elapsed())
}
fn fanout(n: u64) -> Sample {
    let (mut el, mut d) = mk(n);
    d.actors = vec![0; 1000];
    let t0 = Instant::now();
    for i in 0..n as usize {
        d.h.insert_idle(move |d| {
            d.actors[i % 1000] += 1;
            d.c += 1;
        });
    }
    while d.c < n {
        el.dispatch(Duration::ZERO, &mut d).unwrap();
    }
    Sample::new(n, t0.elapsed())
}
fn timers(n: u64, lead: f64) -> Sample {
    let (mut el, mut d) = mk(n);
    let ds = delays(n, lead);
    d.late.reserve(n as usize);
    let cpu0 = cpu_seconds();
    let t0 = Instant::now();
    for x in ds {
        let due = Instant::now() + x;
        d.h.insert_source(Timer::from_deadline(due), move |_, _, d: &mut D| {
            d.late.push(late_us(due));
            TimeoutAction::Drop
        })
        .unwrap();
    }
    let set = t0.elapsed();
    let cpu_set = cpu_seconds();
    while (d.late.len() as u64) < n {
        el.dispatch(None, &mut d).unwrap();
    }
    timers_sample(n, set, std::mem::take(&mut d.late), cpu0, cpu_set, t0)
}
fn cancel(n: u64, adjust: bool) -> Sample {
    let (mut el, mut d) = mk(n);
    let ds = delays(n, 100.0);
    let t0 = Instant::now();
    if adjust {
        let mut v = Vec::with_capacity(n as usize);
        for x in &ds {
            let disp = calloop::Dispatcher::new(Timer::from_duration(*x), |_, _, _: &mut D| TimeoutAction::Drop);
            let tok = d.h.register_dispatcher(disp.clone()).unwrap();
            v.push((disp, tok));
        }
        let set = t0.elapsed();
        let t1 = Instant::now();
        for ((disp, tok), x) in v.iter().zip(&ds) {
            disp.as_source_mut().set_duration(*x + Duration::from_secs(7));
            d.h.update(tok).unwrap();
        }
        el.dispatch(Duration::ZERO, &mut d).unwrap();
        return Sample::new(n, t1.elapsed()).with("set_s", set.as_secs_f64());
    }
    let toks: Vec<_> = ds
        .iter()
        .map(|x| {
            d.h.insert_source(Timer::from_duration(*x), |_, _, _: &mut D| TimeoutAction::Drop)
                .unwrap()
        })
        .collect();
    let set = t0.elapsed();
    let t1 = Instant::now();
    for t in toks {
        d.h.remove(t);
    }
    el.dispatch(Duration::ZERO, &mut d).unwrap();
    Sample::new(n, t1.elapsed()).with("set_s", set.as_secs_f64())
}
fn xthread(n: u64) -> Sample {
    let (mut el, mut d) = mk(n);
    let (tx, rx) = channel::<u64>();
    d.h.insert_source(rx, |e, _, d: &mut D| {
        if let Event::Msg(v) = e {
            d.c += v
        }
    })
    .unwrap();
    let t0 = Instant::now();
    let th = std::thread::spawn(move || {
        for _ in 0..n {
            tx.send(1).unwrap();
        }
    });
    while d.c < n {
        el.dispatch(None, &mut d).unwrap();
    }
    let t = t0.elapsed();
    th.join().unwrap();
    Sample::new(n, t)
}
fn echo() -> Sample {
    use std::os::fd::AsRawFd;
    let (mut el, mut d) = mk(0);
    let l = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    l.set_nonblocking(true).unwrap();
    println!("PORT {}", l.local_addr().unwrap().port());
    d.h.insert_source(Generic::new(l, Interest::READ, Mode::Level), |_, l, d: &mut D| {
        while let Ok((s, _)) = l.accept() {
            s.set_nonblocking(true).unwrap();
            s.set_nodelay(true).unwrap();
            let fd = s.as_raw_fd();
            d.conns.insert(fd, Vec::with_capacity(4096));
            d.h.insert_source(Generic::new(s, Interest::READ, Mode::Level), move |_, s, d: &mut D| {
                let mut b = [0u8; 4096];
                let mut sk: &std::net::TcpStream = s;
                match sk.read(&mut b) {
                    Ok(0) => {
                        d.conns.remove(&fd);
                        return Ok(PostAction::Remove);
                    }
                    Ok(k) => {
                        let acc = d.conns.get_mut(&fd).unwrap();
                        acc.extend_from_slice(&b[..k]);
                        let mut start = 0;
                        while let Some(p) = acc[start..].iter().position(|x| *x == b'\n') {
                            let _ = sk.write(&acc[start..start + p + 1]);
                            start += p + 1;
                        }
                        acc.drain(..start);
                    }
                    Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {}
                    Err(_) => {
                        d.conns.remove(&fd);
                        return Ok(PostAction::Remove);
                    }
                }
                Ok(PostAction::Continue)
            })
            .unwrap();
        }
        Ok(PostAction::Continue)
    })
    .unwrap();
    loop {
        el.dispatch(None, &mut d).unwrap();
    }
}
