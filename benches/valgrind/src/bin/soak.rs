//! One process that does everything for minutes, and must not grow: `soak SECONDS`, run by `.ci/long soak`.
//!
//! One kernel has a line server, programs, a followed file that is rotated, a supervisor whose child fails, sessions that come and go,
//! and calls from another thread. Clients on another thread talk, hang up, reset, say nothing, and send lines without an end.
//! Every few seconds it prints what the process has: live bytes and blocks by an allocator of its own, resident memory, descriptors, threads,
//! children, sessions, and the latest tick of a timer. Of the samples after the first fifth, the lowest of the second half must
//! not be above the lowest of the first half.

// A global allocator is an unsafe trait. This one only counts and passes everything on to the system's.
#![allow(unsafe_code)]

#[path = "../counting.rs"]
mod counting;

use counting::allocated;
use poe::component::{Backoff, ChildSpec, Starter, Strategy, Supervisor, TcpServer};
use poe::event::START;
use poe::filter::Line;
use poe::wheel::{Exited, FollowTail, Input, IoError, Run};
use poe::{
    Context, Error, Event, HandlerResult, KERNEL_SHUTDOWN, Kernel, Reply, Session, SessionId, Signal, TaskId, WheelId,
};
use std::cell::Cell;
use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::time::MissedTickBehavior;

/// What was done, so that a soak that has stood still fails.
#[derive(Default)]
struct Done {
    round_trips: AtomicU64,
    bad_clients: AtomicU64,
    programs: AtomicU64,
    lines_followed: AtomicU64,
    sessions: AtomicU64,
    calls: AtomicU64,
    restarts: AtomicU64,
}

/// One look at the process.
#[derive(Clone, Copy)]
struct Sample {
    live: i64,
    blocks: i64,
    resident: i64,
    descriptors: i64,
    threads: i64,
    children: i64,
    sessions: i64,
    late: Duration,
}

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let seconds: u64 = std::env::args().nth(1).map_or(Ok(600), |n| n.parse())?;
    let (samples, done) = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(soak(Duration::from_secs(seconds)))?;
    let counts = [
        ("round trips", &done.round_trips),
        ("clients that misbehaved", &done.bad_clients),
        ("programs", &done.programs),
        ("lines followed", &done.lines_followed),
        ("sessions", &done.sessions),
        ("calls from another thread", &done.calls),
        ("restarts", &done.restarts),
    ];
    for (what, count) in counts {
        let count = count.load(Ordering::Relaxed);
        println!("{count} {what}");
        if count < seconds {
            return Err(format!("only {count} {what} in {seconds} s").into());
        }
    }
    judge(&samples)
}

/// The lowest of each half: what comes and goes is in neither, what grows is in the second.
fn judge(samples: &[Sample]) -> Result<(), Failure> {
    let settled = &samples[samples.len() / 5..];
    let (first, second) = settled.split_at(settled.len() / 2);
    type Read = fn(&Sample) -> i64;
    // The slack is what a sample may catch in passing: one more client, one more program.
    let figures: [(&str, Read, i64); 7] = [
        ("live bytes", |s| s.live, 64 * 1024),
        ("live blocks", |s| s.blocks, 500),
        ("KiB resident", |s| s.resident, 2048),
        ("descriptors", |s| s.descriptors, 4),
        ("threads", |s| s.threads, 2),
        ("children", |s| s.children, 2),
        ("sessions", |s| s.sessions, 8),
    ];
    let mut grown = Vec::new();
    for (what, read, slack) in figures {
        let lowest = |part: &[Sample]| part.iter().map(read).min().unwrap_or_default();
        let (before, after) = (lowest(first), lowest(second));
        println!("{what}: {before} at least in the first half, {after} in the second");
        if after > before + slack {
            grown.push(what);
        }
    }
    if grown.is_empty() {
        Ok(())
    } else {
        Err(format!("these have grown: {}", grown.join(", ")).into())
    }
}

async fn soak(time: Duration) -> Result<(Vec<Sample>, Arc<Done>), Failure> {
    let done = Arc::new(Done::default());
    let folder = std::env::temp_dir().join(format!("poe-soak-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let kernel = Kernel::new();
    let server = server(&kernel).await?;
    programs(&kernel, done.clone())?;
    followed(&kernel, folder.join("log"), done.clone())?;
    crowd(&kernel, done.clone())?;
    let supervisor = supervised(&kernel, done.clone())?;
    let late = ticker(&kernel)?;

    let end = Arc::new(AtomicBool::new(false));
    let threads = [
        std::thread::spawn({
            let (end, done) = (end.clone(), done.clone());
            move || clients(server, &end, &done)
        }),
        std::thread::spawn({
            let (end, done, handle) = (end.clone(), done.clone(), kernel.handle());
            move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                let runtime = runtime.expect("a runtime");
                while !end.load(Ordering::Relaxed) {
                    let doubled = runtime.block_on(handle.call("asked", ASK, 21));
                    assert_eq!(doubled.expect("it is answered"), 42);
                    // To nobody: a dead letter.
                    handle.post("nobody", ASK, 1).expect("the kernel runs");
                    done.calls.fetch_add(1, Ordering::Relaxed);
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
        }),
        std::thread::spawn({
            let (end, path) = (end.clone(), folder.join("log"));
            move || write_log(&path, &end)
        }),
    ];

    let mut samples = Vec::new();
    let sampling = async {
        let pause = (time / 100).max(Duration::from_millis(500));
        let began = Instant::now();
        println!("   s    live bytes  blocks  KiB resident  descriptors  threads  children  sessions  latest tick");
        while began.elapsed() < time {
            tokio::time::sleep(pause).await;
            let sample = look(&kernel, late.replace(Duration::ZERO));
            if samples.len() % 10 == 0 {
                println!(
                    "{:4}  {:12}  {:6}  {:12}  {:11}  {:7}  {:8}  {:8}  {:.1?}",
                    began.elapsed().as_secs(),
                    sample.live,
                    sample.blocks,
                    sample.resident,
                    sample.descriptors,
                    sample.threads,
                    sample.children,
                    sample.sessions,
                    sample.late,
                );
            }
            samples.push(sample);
        }
        // The other threads are done before the kernel is told to end, so that each of their calls is replied to.
        end.store(true, Ordering::Relaxed);
        for thread in threads {
            let joined = tokio::task::spawn_blocking(move || thread.join()).await;
            if !matches!(joined, Ok(Ok(()))) {
                return Err("a thread has panicked");
            }
        }
        Ok(())
    };
    let mut ended = Ok(());
    let sampling = async { ended = sampling.await };
    let report = kernel.serve_until(sampling, Duration::from_secs(20)).await?;
    println!("{report}");
    ended?;
    drop(supervisor);
    fs::remove_dir_all(&folder)?;
    Ok((samples, done))
}

fn look(kernel: &Kernel, late: Duration) -> Sample {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name))?;
        line.split_whitespace().nth(1)?.parse().ok()
    };
    let me = std::process::id();
    let children = fs::read_to_string(format!("/proc/{me}/task/{me}/children")).unwrap_or_default();
    let (live, blocks) = allocated();
    Sample {
        live,
        blocks,
        resident: field("VmRSS:").unwrap_or_default(),
        descriptors: fs::read_dir("/proc/self/fd").map_or(0, |all| all.count() as i64),
        threads: field("Threads:").unwrap_or_default(),
        children: children.split_whitespace().count() as i64,
        sessions: kernel.session_count() as i64,
        late,
    }
}

const ASK: Event<u32, u32> = Event::new("ask");
const TICK: Event<()> = Event::new("tick");
const LINE: Event<Input<String>> = Event::new("line");
const COMPLAINT: Event<Input<String>> = Event::new("complaint");
const ENDED: Event<Exited> = Event::new("ended");
const FAILED: Event<IoError> = Event::new("failed");
const ROTATED: Event<WheelId> = Event::new("rotated");
const SHUTTING_DOWN: Event<Signal> = Event::new("shutting down");

/// A line server: each line comes back, and now and then a callback fails, which ends its client and nobody else.
async fn server(kernel: &Kernel) -> Result<SocketAddr, Failure> {
    let server = TcpServer::builder("127.0.0.1:0")
        .filter(Line::new)
        .client_heap(|_| 0_u32)
        .client_input(|cx, line: String| -> HandlerResult {
            *cx.heap += 1;
            if line == "fail" {
                return Err("as it was asked to".into());
            }
            cx.client().put(line);
            Ok(())
        })
        .client_error(|_, _| ())
        .start(kernel)
        .await?;
    Ok(server.local_name().to_string().parse()?)
}

fn clients(server: SocketAddr, end: &AtomicBool, done: &Done) {
    let connect = || {
        let stream = TcpStream::connect(server).expect("the server listens");
        stream
            .set_read_timeout(Some(Duration::from_secs(10)))
            .expect("a time limit");
        stream
    };
    let mut silent = Vec::new();
    for n in 0_u64.. {
        if end.load(Ordering::Relaxed) {
            return;
        }
        let mut stream = connect();
        let mut line = String::new();
        for trip in 0..20 {
            stream
                .write_all(format!("line {trip} of {n}\n").as_bytes())
                .expect("it reads");
            line.clear();
            BufReader::with_capacity(256, &stream)
                .read_line(&mut line)
                .expect("it replies");
            assert_eq!(line.trim_end(), format!("line {trip} of {n}"));
            done.round_trips.fetch_add(1, Ordering::Relaxed);
        }
        // The server may be the first to go: whatever is written then may fail.
        let mut bad = connect();
        let _ = match n % 6 {
            0 => bad.write_all(&vec![b'x'; 300_000]), // a line without an end
            1 => bad
                .write_all(b"half a line")
                .and_then(|()| bad.shutdown(Shutdown::Write)),
            2 => bad.write_all("unread\n".repeat(5000).as_bytes()), // closed with input unread: a reset
            3 => bad.write_all(b"fail\n"),
            4 => bad.write_all(b"\xff\xfe not UTF-8\n"),
            _ => Ok(()),
        };
        if n % 6 == 5 {
            silent.push(bad);
            if silent.len() > 20 {
                silent.clear();
            }
        }
        done.bad_clients.fetch_add(1, Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(5));
    }
}

struct Programs {
    running: HashMap<WheelId, Run>,
    started: usize,
    ticks: Option<TaskId>,
}

/// Four kinds of programs in turn, ten a second: one that prints, one that reads, one that is stopped, one that does not exist.
fn programs(kernel: &Kernel, done: Arc<Done>) -> Result<(), Error> {
    let heap = Programs {
        running: HashMap::new(),
        started: 0,
        ticks: None,
    };
    Session::builder(heap)
        .on(START, |cx, ()| {
            cx.sig(KERNEL_SHUTDOWN, SHUTTING_DOWN);
            cx.heap.ticks = Some(cx.interval(TICK, Duration::from_millis(100), MissedTickBehavior::Skip));
        })
        .on(SHUTTING_DOWN, |cx, _| {
            cx.heap
                .running
                .values()
                .for_each(|run| run.stop(Duration::from_secs(1)));
            if let Some(ticks) = cx.heap.ticks.take() {
                cx.cancel(ticks);
            }
        })
        .on(TICK, |cx, ()| start_program(cx))
        .on(LINE, |_, _| ())
        .on(COMPLAINT, |_, _| ())
        .on(ENDED, move |cx, exited| {
            cx.heap.running.remove(&exited.wheel);
            done.programs.fetch_add(1, Ordering::Relaxed);
        })
        .create(kernel)?;
    Ok(())
}

fn start_program(cx: &mut Context<'_, Programs>) -> HandlerResult {
    cx.heap.started += 1;
    let kind = cx.heap.started % 4;
    let script = [
        "echo one; echo two >&2",
        "cat",
        "sleep 60 & sleep 60",
        "exec /nonexistent",
    ][kind];
    let run = Run::shell(script).stdin_filter(Line::new());
    let run = run.stdout(Line::lossy(), LINE).stderr(Line::lossy(), COMPLAINT);
    let run = run.ended(ENDED).start(cx)?;
    match kind {
        1 => {
            for n in 0..100 {
                run.put(format!("line {n}"))?;
            }
            run.shutdown_stdin_after_flush();
        }
        2 => run.stop(Duration::from_millis(50)),
        _ => {}
    }
    cx.heap.running.insert(run.id(), run);
    Ok(())
}

fn followed(kernel: &Kernel, path: PathBuf, done: Arc<Done>) -> Result<(), Error> {
    Session::builder(None)
        .on(START, move |cx, ()| -> HandlerResult {
            let tail = FollowTail::builder(&path).input(Line::lossy(), LINE);
            let tail = tail.poll_interval(Duration::from_millis(20));
            *cx.heap = Some(tail.reset(ROTATED).error(FAILED).start(cx)?);
            cx.sig(KERNEL_SHUTDOWN, SHUTTING_DOWN);
            Ok(())
        })
        .on(SHUTTING_DOWN, |cx, _| *cx.heap = None)
        .on(LINE, move |_, _| {
            done.lines_followed.fetch_add(1, Ordering::Relaxed);
        })
        .on(ROTATED, |_, _| ())
        .on(FAILED, |_, _| ())
        .create(kernel)?;
    Ok(())
}

/// Writes lines; the file is renamed or truncated now and then.
fn write_log(path: &Path, end: &AtomicBool) {
    let append = || OpenOptions::new().create(true).append(true).open(path).expect("a file");
    let mut log: File = append();
    for n in 0_u64.. {
        if end.load(Ordering::Relaxed) {
            return;
        }
        for _ in 0..100 {
            writeln!(log, "{n}: a line of the log, of some length").expect("room on the disk");
        }
        if n % 500 == 499 {
            match n % 1000 {
                999 => log.set_len(0).expect("it can be truncated"),
                _ => {
                    fs::rename(path, path.with_extension("old")).expect("it can be renamed");
                    log = append();
                }
            }
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Ten sessions every 20 ms, each with timers, an alias, a postback, a call to another one, and a future. They end by themselves.
fn crowd(kernel: &Kernel, done: Arc<Done>) -> Result<(), Error> {
    Session::builder((0_u32, None))
        .on(START, |cx, ()| -> HandlerResult {
            cx.alias_set("asked")?;
            cx.sig(KERNEL_SHUTDOWN, SHUTTING_DOWN);
            cx.heap.1 = Some(cx.interval(TICK, Duration::from_millis(20), MissedTickBehavior::Skip));
            Ok(())
        })
        .on(SHUTTING_DOWN, |cx, _| {
            if let Some(ticks) = cx.heap.1.take() {
                cx.cancel(ticks);
            }
        })
        .on(ASK, |_, n| Reply(2 * n))
        .on("back", |cx, (n, m): (u32, u32)| cx.heap.0 = n.wrapping_add(m))
        .on(TICK, move |cx, ()| -> HandlerResult {
            for n in 0..10 {
                let back = cx.postback("back", n);
                cx.create(
                    Session::builder(vec![n; 100])
                        .on(START, move |cx, ()| -> HandlerResult {
                            cx.alias_set(&format!("one of the crowd {n} {}", cx.session_id()))?;
                            cx.delay("end", Duration::from_millis(u64::from(n) * 10), ());
                            cx.delay("never", Duration::from_secs(3600), ());
                            assert_eq!(cx.call("asked", ASK, n)?, 2 * n);
                            cx.spawn(tokio::time::sleep(Duration::from_millis(5)), "slept");
                            Ok(())
                        })
                        .on("slept", move |_, ()| {
                            back.post(1_u32).map(drop).map_err(poe::Failure::from)
                        })
                        .on("end", move |cx, ()| {
                            cx.alarm_remove_all();
                            cx.alias_remove(&format!("one of the crowd {n} {}", cx.session_id()))
                        }),
                )?;
                done.sessions.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        })
        .create(kernel)?;
    Ok(())
}

/// A child that fails some ten times a second.
fn supervised(kernel: &Kernel, done: Arc<Done>) -> Result<Supervisor, Error> {
    let backoff = Backoff::new()
        .first(Duration::from_millis(20))
        .longest(Duration::from_millis(50));
    let child = move |cx: &mut Starter<'_>| -> Result<SessionId, Error> {
        done.restarts.fetch_add(1, Ordering::Relaxed);
        cx.create(
            Session::builder(vec![0_u8; 10_000])
                .on(START, |cx, ()| cx.delay(TICK, Duration::from_millis(50), ()))
                .on(TICK, |_, ()| -> HandlerResult { Err("as always".into()) }),
        )
    };
    Supervisor::builder(Strategy::OneForOne)
        .name("soaked")
        .intensity(1000, Duration::from_secs(1))
        .child(ChildSpec::new("failing", child).backoff(backoff))
        .start(kernel)
}

/// How late a tick of 10 ms was at most.
fn ticker(kernel: &Kernel) -> Result<Rc<Cell<Duration>>, Error> {
    let late = Rc::new(Cell::new(Duration::ZERO));
    let latest = late.clone();
    Session::builder(Instant::now())
        .on(START, |cx, ()| {
            cx.sig(KERNEL_SHUTDOWN, SHUTTING_DOWN);
            cx.delay(TICK, Duration::from_millis(10), ());
        })
        .on(TICK, move |cx, ()| {
            let waited = cx.heap.elapsed().saturating_sub(Duration::from_millis(10));
            latest.set(latest.get().max(waited));
            *cx.heap = Instant::now();
            cx.delay(TICK, Duration::from_millis(10), ());
        })
        .on(SHUTTING_DOWN, |cx, _| drop(cx.alarm_remove_all()))
        .create(kernel)?;
    Ok(late)
}
