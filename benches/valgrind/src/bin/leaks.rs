//! A long day of a program in small, to be run under valgrind by `.ci/leaks`: sessions, timers, signals, failures,
//! postbacks, futures, machines, TCP, other threads, over and over on kernels that come and go.
//!
//! `leaks N` does it N times after one time to warm up. It counts what is allocated by an allocator of its own and
//! fails if the heap is not back where it was; valgrind's memcheck looks for what nobody points at any more.

// A global allocator is an unsafe trait. This one only counts and passes everything on to the system's.
#![allow(unsafe_code)]

#[path = "../counting.rs"]
mod counting;

use counting::allocated;
use poe::component::{TcpClient, TcpServer};
use poe::event::{CHILD, START, STOP};
use poe::filter::Line;
use poe::{Context, Event, Failure, HandlerResult, Kernel, Nfa, Postback, Reply, Session, Signal, States, TimerId};
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

/// How far the heap may be from where it was: nothing grows by as little as one byte in a round.
const SLACK: i64 = 512;

const WORK: Event<u32> = Event::new("work");
const ASK: Event<String, usize> = Event::new("ask");
const TIMEOUT: Event<String> = Event::new("timeout");
const BACK: Event<(String, String)> = Event::new("back");
const FETCHED: Event<String> = Event::new("fetched");

fn main() {
    let rounds: u32 = std::env::args()
        .nth(1)
        .map_or(10, |n| n.parse().expect("a number of rounds"));
    std::panic::set_hook(Box::new(|_| {}));
    println!("warming up"); // The first line that is printed makes the buffer.
    // Two, for what comes by and by: the table of names, what threads and sockets keep.
    for _ in 0..2 {
        round();
    }
    let before = allocated();
    println!("before: {} bytes in {} blocks", before.0, before.1);
    for _ in 0..rounds {
        round();
    }
    let after = allocated();
    println!("after {rounds} rounds: {} bytes in {} blocks", after.0, after.1);
    if (after.0 - before.0).abs() > SLACK {
        eprintln!("the heap is not where it was");
        std::process::exit(1);
    }
}

fn round() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let kernel = Kernel::new();
        crowd(&kernel);
        kernel.run().await.expect("the crowd handles its failures");
        failing(&kernel).await;
        machines(&kernel);
        kernel.run().await.expect("machines do not fail");
        echo(&kernel).await;
        threads(&kernel).await;
        assert!(kernel.why_alive().is_empty(), "{}", kernel.why_alive());
        // A kernel that is dropped under its sessions, with all that they have.
        let left = Kernel::new();
        crowd(&left);
        for _ in 0..3 {
            left.run_one_timeslice().await.expect("nobody fails");
        }
    });
}

struct Worker {
    timers: Vec<TimerId>,
    backs: Vec<Postback<String, String>>,
}

/// Sessions that create others and use all that a session has; the circles of postbacks end with their sessions.
fn crowd(kernel: &Kernel) {
    let table = States::<Worker>::new()
        .on(TIMEOUT, |_, text| assert!(!text.is_empty()))
        .on(BACK, |_, (mine, theirs)| assert!(mine.len() < theirs.len()))
        .on(ASK, |_, text: String| Reply(text.len()))
        .on(FETCHED, |_, text| assert!(!text.is_empty()))
        .on("end", |cx, ()| cx.heap.backs.clear())
        .on("unheard", |_, _: Signal| ())
        .on("died", |cx, signal: Signal| {
            assert!(signal.die().is_some());
            cx.sig_handled();
        })
        .on("fail", |_, text: String| -> HandlerResult { Err(Failure::msg(text)) })
        .on("panic", |_, text: String| std::panic::panic_any(text))
        .on(CHILD, |_, _| ())
        .on(STOP, |cx, ()| Reply(cx.heap.timers.len()));
    let worker = |table: &States<Worker>| {
        Session::builder(Worker {
            timers: Vec::new(),
            backs: Vec::new(),
        })
        .inline_states(table)
    };
    let children = table.clone();
    for n in 0..20_u32 {
        let children = children.clone();
        worker(&table)
            .on(START, move |cx, ()| {
                cx.yield_to(WORK, 0);
                cx.sig("DIE", "died");
                cx.sig_with("TERM", "unheard", String::from("with a text of its own"));
                cx.alias_set(&format!("worker {n}"))
            })
            .on(WORK, move |cx, at| work(cx, &children, n, at))
            .create(kernel)
            .expect("a session");
    }
}

fn work(cx: &mut Context<'_, Worker>, table: &States<Worker>, n: u32, at: u32) -> HandlerResult {
    let text = |what: &str| format!("{what} {n} at {at}, long enough for a block of its own");
    for _ in 0..5 {
        let id = cx.delay_set(TIMEOUT, Duration::from_secs(3600), text("never"));
        cx.heap.timers.push(id);
    }
    cx.delay_set(TIMEOUT, Duration::from_micros(u64::from(n) * 10), text("soon"));
    for id in std::mem::take(&mut cx.heap.timers) {
        cx.alarm_adjust(id, Duration::from_secs(1))?;
        drop(cx.alarm_remove(id)?);
    }
    cx.state(&*format!("made at run time {}", at % 3), |_, (): ()| ());
    cx.yield_to(&*format!("made at run time {}", at % 3), ());
    cx.state_remove(&format!("made at run time {}", (at + 1) % 3));
    let peer = format!("worker {}", (n + 1) % 20);
    if let Ok(length) = cx.call(&*peer, ASK, text("question")) {
        assert!(length > 8);
    }
    let back = cx.postback(BACK, String::from("mine"));
    back.post(text("theirs"))
        .map_err(|_| Failure::msg("a postback to a live session"))?;
    cx.heap.backs.push(back);
    cx.spawn(
        async move {
            tokio::task::yield_now().await;
            text_of(n)
        },
        FETCHED,
    );
    let never = cx.spawn(async { std::future::pending::<String>().await }, FETCHED);
    let child = cx.create(
        Session::builder(Worker {
            timers: Vec::new(),
            backs: Vec::new(),
        })
        .inline_states(table)
        .on(START, move |cx, ()| {
            cx.delay(TIMEOUT, Duration::from_micros(50), text_of(n));
            if n % 2 == 0 { cx.detach_myself() } else { Ok(()) }
        }),
    )?;
    cx.refcount_increment(child, "parent's")?;
    cx.post(child, ASK, text_of(at))
        .map_err(|_| Failure::msg("the child is alive"))?;
    cx.refcount_decrement(child, "parent's")?;
    cx.signal(child, "HELLO", text_of(n))
        .map_err(|_| Failure::msg("the child is alive"))?;
    cx.cancel(never);
    match at {
        3 => cx.yield_to("fail", text_of(n)),
        5 => cx.yield_to("panic", text_of(n)),
        7 => cx.yield_to("fail", 12_u8), // of another type than it expects
        _ => {}
    }
    if at < 10 {
        cx.delay(WORK, Duration::from_micros(100), at + 1);
    } else {
        cx.yield_to("end", ());
        cx.alias_remove(&format!("worker {n}"))?;
        cx.sig_ignore("TERM");
    }
    Ok(())
}

fn text_of(n: u32) -> String {
    format!("a text of its own for number {n}")
}

/// A run that ends by a failure, and one by a signal.
async fn failing(kernel: &Kernel) {
    let session = || {
        Session::builder(vec![String::from("a heap")]).on(START, |cx, ()| {
            cx.delay("later", Duration::from_secs(3600), String::from("never"));
            cx.alias_set("failing")
        })
    };
    let id = session()
        .on("fail", |_, ()| -> HandlerResult { Err(Failure::msg("on purpose")) })
        .create(kernel)
        .expect("a session");
    kernel.post(id, "fail", ()).expect("it is alive");
    kernel.run().await.expect_err("nobody handles it");
    let id = session().create(kernel).expect("a session");
    kernel.signal(id, "TERM", String::from("enough")).expect("it is alive");
    kernel.run().await.expect("a signal is no failure");
    session().create(kernel).expect("a session");
    kernel.stop_all().expect("no handler runs");
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Light {
    Red,
    Green,
}

const ENTER: Event<u32> = Event::new("enter");
const SWITCH: Event<u32> = Event::new("switch");

/// Machines that go back and forth a few times, postpone, and end.
fn machines(kernel: &Kernel) {
    for n in 0..5_u32 {
        Nfa::builder(text_of(n))
            .state(Light::Red, |s| {
                s.on(ENTER, |cx, times| {
                    cx.yield_to("note", text_of(times));
                    cx.state_timeout(SWITCH, Duration::from_micros(20), times);
                })
                .on(SWITCH, |cx, times| cx.goto_state(Light::Green, ENTER, times))
                .postpone("note")
            })
            .state(Light::Green, |s| {
                s.on(ENTER, |cx, times| -> HandlerResult {
                    if times > 0 {
                        cx.goto_state(Light::Red, ENTER, times - 1)?;
                    }
                    Ok(())
                })
                .on("note", |cx, note: String| *cx.runstate = note)
            })
            .enter(Light::Red, ENTER, 5)
            .start(kernel)
            .expect("a machine");
    }
}

/// A server, and clients that each say three lines; the last one to leave closes it.
async fn echo(kernel: &Kernel) {
    const CLIENTS: u32 = 10;
    let server = TcpServer::builder("127.0.0.1:0")
        .filter(Line::new)
        .client_heap(|_| Vec::<String>::new())
        .client_input(|cx, line: String| {
            cx.heap.push(line.clone());
            cx.client().put(line)
        })
        .start(kernel)
        .await
        .expect("a server");
    let address = server.local_name().clone();
    let left = Rc::new(Cell::new(CLIENTS));
    for n in 0..CLIENTS {
        let (left, server) = (left.clone(), server.clone());
        TcpClient::builder(&address)
            .heap(0_u32)
            .connected(move |cx| cx.server().put(text_of(n)))
            .server_input(move |cx, line: String| {
                assert_eq!(line, text_of(n));
                *cx.heap += 1;
                match *cx.heap {
                    3 => cx.server().shutdown(),
                    _ => cx.server().put(line),
                }
            })
            .disconnected(move |_| {
                left.set(left.get() - 1);
                if left.get() == 0 {
                    server.shutdown();
                }
            })
            .start(kernel)
            .expect("a client");
    }
    kernel.run().await.expect("nobody fails");
    assert_eq!(left.get(), 0);
}

/// Calls from other threads.
async fn threads(kernel: &Kernel) {
    Session::builder(())
        .on(START, |cx, ()| -> HandlerResult {
            cx.alias_set("asked")?;
            cx.refcount_increment(cx.session_id(), "on duty")?;
            Ok(())
        })
        .on(ASK, |_, text: String| Reply(text.len()))
        .on("go", |cx, ()| {
            cx.refcount_decrement(cx.session_id(), "on duty").map(drop)
        })
        .create(kernel)
        .expect("a session");
    let handle = kernel.handle();
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("a runtime");
        for n in 0..20 {
            let length = runtime
                .block_on(handle.call("asked", ASK, text_of(n)))
                .expect("an answer");
            assert!(length > 8);
            handle.post("nobody", ASK, text_of(n)).expect("an open kernel");
        }
        handle.post("asked", "go", ()).expect("an open kernel");
    });
    kernel.run().await.expect("nobody fails");
    thread.join().expect("the thread");
}
