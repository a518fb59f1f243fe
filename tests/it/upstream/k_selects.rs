//! POE's k_selects, fact by fact: pairs of sessions that chat over two-way pipes with reading paused between messages;
//! a watch that is added, removed and added in one handler; a second run. (The half second of the pauses is 5 ms here.)

use crate::laws_kit::{ms, said, say};
use poe::event::{START, STOP};
use poe::testing::assert_no_leaks;
use poe::{
    Context, Event, HandlerResult, Kernel, Session,
    unix::{SelectMode, Selected, Watched},
};
use std::collections::VecDeque;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

const CHATS: u32 = 5;
const INPUT: Event<Selected> = Event::new("input");
const OUTPUT: Event<Selected> = Event::new("output");

struct Side {
    socket: UnixStream,
    watched: Watched,
    queue: VecDeque<&'static str>,
    chats: u32,
    slave: bool,
}

impl Side {
    fn new(socket: UnixStream, slave: bool) -> Self {
        let watched = Watched::new(&socket).unwrap();
        let queue = if slave {
            VecDeque::from(["ping"])
        } else {
            VecDeque::new()
        };
        Side {
            socket,
            watched,
            queue,
            chats: 0,
            slave,
        }
    }
}

fn output(cx: &mut Context<'_, Side>, selected: Selected) -> HandlerResult {
    match cx.heap.queue.pop_front() {
        Some(message) => {
            cx.heap.socket.write_all(message.as_bytes())?;
            if message == "quit" {
                assert!(cx.select_clear(&selected.handle, SelectMode::Write));
            }
        }
        None => assert!(cx.select_pause(&selected.handle, SelectMode::Write)),
    }
    Ok(())
}

fn input(cx: &mut Context<'_, Side>, selected: Selected) -> HandlerResult {
    let mut message = [0; 4];
    let n = cx.heap.socket.read(&mut message)?;
    let handle = selected.handle;
    match &message[..n] {
        b"ping" => {
            cx.heap.chats += 1;
            cx.heap.queue.push_back("pong");
            assert!(cx.select_resume(&handle, SelectMode::Write));
        }
        b"pong" => {
            cx.heap.chats += 1;
            let over = cx.heap.chats == CHATS;
            cx.heap.queue.push_back(if over { "quit" } else { "ping" });
            assert!(cx.select_resume(&handle, SelectMode::Write));
            if over {
                assert!(cx.select_clear(&handle, SelectMode::Read));
            } else {
                assert!(cx.select_pause(&handle, SelectMode::Read));
                cx.delay("resume", ms(5), ());
            }
        }
        _ => assert!(cx.select_clear(&handle, None)),
    }
    Ok(())
}

fn chatter(socket: UnixStream, slave: bool) -> poe::SessionBuilder<Side> {
    Session::builder(Side::new(socket, slave))
        .on(START, |cx, other: Option<UnixStream>| -> HandlerResult {
            let watched = cx.heap.watched.clone();
            cx.select(&watched, SelectMode::Read, INPUT, ())?;
            if let Some(other) = other {
                cx.create(chatter(other, true).args(None::<UnixStream>))?;
            }
            cx.select(&watched, SelectMode::Write, OUTPUT, ())?;
            Ok(())
        })
        .on(INPUT, input)
        .on(OUTPUT, output)
        .on("resume", |cx, ()| {
            assert!(cx.select_resume(&cx.heap.watched, SelectMode::Read))
        })
        .on(STOP, |cx, ()| {
            assert_eq!(cx.heap.chats, CHATS);
            say(if cx.heap.slave { "slave" } else { "master" });
        })
}

async fn run(kernel: &Kernel) {
    let run = tokio::time::timeout(Duration::from_secs(10), kernel.run());
    run.await.expect("it hangs").unwrap();
    assert_no_leaks(kernel);
}

#[tokio::test]
async fn five_pairs_chat_and_end_cleanly_and_the_kernel_runs_again() {
    let kernel = Kernel::new();
    for _ in 0..5 {
        let (master, slave) = UnixStream::pair().unwrap();
        chatter(master, false).args(Some(slave)).create(&kernel).unwrap();
    }
    run(&kernel).await;
    let told = said();
    assert_eq!(told.iter().filter(|who| *who == "slave").count(), 5);
    assert_eq!(told.iter().filter(|who| *who == "master").count(), 5);

    Session::builder(0)
        .on(START, |cx, ()| cx.yield_to("increment", ()))
        .on("increment", |cx, ()| {
            if *cx.heap < 10 {
                cx.yield_to("increment", ());
                *cx.heap += 1;
            }
        })
        .on(STOP, |cx, ()| say(*cx.heap))
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["10"]);
}

#[tokio::test]
async fn a_watch_is_added_removed_added_and_all_are_cleared_in_one_handler() {
    let kernel = Kernel::new();
    let (reader, _writer) = std::io::pipe().unwrap();
    let watched = Watched::new(&reader).unwrap();
    Session::builder(())
        .on(START, move |cx, ()| -> HandlerResult {
            cx.select(&watched, SelectMode::Read, INPUT, ())?;
            cx.select(&watched, SelectMode::Write, OUTPUT, ())?;
            assert!(cx.select_clear(&watched, SelectMode::Write));
            cx.select(&watched, SelectMode::Write, OUTPUT, ())?;
            cx.select_clear(&watched, None);
            Ok(())
        })
        .on(INPUT, |_, _| say("never"))
        .on(OUTPUT, |_, _| say("never"))
        .on(STOP, |_, ()| say("stop"))
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["stop"]);
}
