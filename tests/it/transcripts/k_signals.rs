//! Signals of the system and the ends of children, as in POE's own k_signals.

use super::*;
use poe::event::{CHILD, START, STOP};
use poe::{Event, HandlerResult, Session, SessionId, Signal};
use rustix::process::{Pid, Signal as Number, getpid, kill_process};
use std::collections::HashSet;
use std::os::unix::process::ExitStatusExt;
use std::process::Child;

const ENDED: Event<Signal> = Event::new("ended");
const GOT: Event<Signal> = Event::new("got");
const SEND: Event<Number> = Event::new("send");

fn raise(number: Number) {
    kill_process(getpid(), number).unwrap();
}

pub(crate) fn sleeper() -> Child {
    std::process::Command::new("sleep").arg("3600").spawn().unwrap()
}

pub(crate) fn pid(child: u32) -> Pid {
    Pid::from_raw(child as i32).unwrap()
}

async fn eight_children(kernel: &Kernel) {
    out!("== eight children are killed at once");
    Session::builder((HashSet::<u32>::new(), Vec::<Child>::new()))
        .on(START, |cx, ()| -> HandlerResult {
            cx.sig("CHLD", ENDED);
            cx.alias_set("keeps it")?;
            let (left, children) = &mut *cx.heap;
            children.extend((0..8).map(|_| sleeper()));
            left.extend(children.iter().map(Child::id));
            out!("made {}", left.len());
            cx.yield_to("kill", ());
            Ok(())
        })
        .on("kill", |cx, ()| {
            let killed = cx
                .heap
                .0
                .iter()
                .filter(|child| kill_process(pid(**child), Number::KILL).is_ok());
            out!("killed {}", killed.count());
        })
        .on(ENDED, |cx, signal| {
            let exit = signal.child().unwrap();
            let whose = if cx.heap.0.remove(&exit.pid) {
                "of mine"
            } else {
                "of another"
            };
            let left = cx.heap.0.len();
            out!(
                "{} {whose}, status {}, left {left}",
                signal.name(),
                exit.status.unwrap().into_raw()
            );
            if left == 0 {
                cx.sig_ignore("CHLD");
            }
        })
        .on(STOP, |cx, ()| {
            for child in &mut cx.heap.1 {
                assert_eq!(child.wait().unwrap().signal(), Some(Number::KILL.as_raw()));
            }
            out!("_stop");
        })
        .create(kernel)
        .unwrap();
    kernel.run().await.unwrap();
}

async fn client_and_server(kernel: &Kernel) {
    out!("== two sessions that wait for each other are idle");
    Session::builder(())
        .on(START, |cx, ()| -> HandlerResult {
            cx.create(
                Session::builder(())
                    .on(START, |cx, ()| cx.alias_set("server"))
                    .on("do_thing", |cx, n: i32| -> HandlerResult {
                        out!("do_thing {n}");
                        let sender: SessionId = cx.sender();
                        cx.post(sender, "thing_done", n)?;
                        Ok(())
                    })
                    .on(STOP, |_, ()| out!("server _stop")),
            )?;
            cx.post("server", "do_thing", 1)?;
            Ok(())
        })
        .on("thing_done", |_, n: i32| out!("thing_done {n}"))
        .on(CHILD, |_, _| ())
        .on(STOP, |_, ()| out!("client _stop"))
        .create(kernel)
        .unwrap();
    kernel.run().await.unwrap();
}

async fn to_oneself(kernel: &Kernel) {
    out!("== USR1 and PIPE to oneself");
    Session::builder(0)
        .on(START, |cx, ()| -> HandlerResult {
            cx.sig_with("USR1", GOT, "first");
            cx.sig_with("PIPE", GOT, "second");
            cx.alias_set("waiting")?;
            cx.delay("never", soon(3_600_000), ());
            cx.yield_to(SEND, Number::USR1);
            Ok(())
        })
        .on(SEND, |_, number| {
            raise(number);
            out!("sent 1");
        })
        .on(GOT, |cx, signal| -> HandlerResult {
            let from = nm(cx.sender());
            out!(
                "got {} ({}) from {from}",
                signal.name(),
                signal.extra::<&str>().unwrap()
            );
            *cx.heap += 1;
            if *cx.heap == 1 {
                // One after the other: the system promises no order of two.
                cx.yield_to(SEND, Number::PIPE);
                return Ok(());
            }
            cx.alias_remove("waiting")?;
            cx.alarm_clear("never");
            Ok(())
        })
        .on(STOP, |_, ()| out!("_stop"))
        .create(kernel)
        .unwrap();
    kernel.run().await.unwrap();
}

const GENERATIONS: [&str; 3] = ["parent", "child", "grandchild"];

fn generation(depth: usize, handler: &'static str) -> poe::SessionBuilder<()> {
    let name = GENERATIONS[depth];
    Session::builder(())
        .on(START, move |cx, ()| -> HandlerResult {
            cx.sig("TERM", "term");
            cx.alias_set(name)?;
            if depth < 2 {
                cx.create(generation(depth + 1, handler))?;
            }
            if depth == 0 {
                cx.yield_to("send", ());
            }
            Ok(())
        })
        .on("send", |cx, ()| {
            raise(Number::TERM);
            cx.delay("never", soon(3_600_000), ());
        })
        .on("term", move |cx, signal: Signal| {
            out!("{name} hears {}", signal.name());
            if name == handler {
                cx.sig_handled();
            }
            // The parent is the last to hear it, and whether it lives on shows afterwards.
            if depth == 0 {
                cx.yield_to("again", ());
            }
        })
        .on("again", |cx, ()| {
            out!("still here");
            cx.alarm_clear("never");
        })
        .on(CHILD, |_, _| ())
        .on(STOP, move |_, ()| out!("{name} _stop"))
}

pub(crate) async fn play() {
    let kernel = Kernel::new();
    eight_children(&kernel).await;
    client_and_server(&kernel).await;
    to_oneself(&kernel).await;
    for (title, handler) in [
        ("handled by the one in the middle", "child"),
        ("handled by nobody", "nobody"),
    ] {
        out!("== TERM through three generations, {title}");
        generation(0, handler).create(&kernel).unwrap();
        kernel.run().await.unwrap();
    }
}
