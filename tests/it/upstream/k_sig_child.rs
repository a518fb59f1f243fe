//! POE's k_sig_child: eight children, each awaited by two sessions, of which one also watches CHLD.

use crate::in_child::in_child;
use poe::event::{START, STOP};
use poe::{Event, Kernel, Session, Signal, unix::ProcessExit};
use std::collections::HashSet;
use std::process::{Child, Command, Stdio};

const CAUGHT: Event<ProcessExit<()>> = Event::new("caught");

#[derive(Default)]
struct Catcher {
    children: HashSet<u32>,
    watched: usize,
    caught: usize,
    blanket: usize,
}

#[tokio::test]
async fn eight_children_and_two_watchers_for_each() {
    in_child!();
    const FORK_COUNT: usize = 8;
    let kernel = Kernel::new();
    Session::builder(Catcher::default())
        .on(START, |cx, ()| cx.alias_set("catcher"))
        .on("catch", |cx, pid: u32| {
            cx.sig("CHLD", "blanket");
            cx.heap.children.insert(pid);
            cx.heap.watched += 1;
            cx.sig_child(pid, CAUGHT, ())
        })
        .on(CAUGHT, |cx, exit| {
            assert!(cx.heap.children.remove(&exit.pid), "caught one that was not watched");
            cx.heap.caught += 1;
        })
        .on("blanket", |cx, signal: Signal| {
            assert!(signal.child().is_some());
            cx.heap.blanket += 1;
        })
        .on(STOP, |cx, ()| {
            assert_eq!(cx.heap.watched, FORK_COUNT);
            assert_eq!(cx.heap.caught, FORK_COUNT);
            assert_eq!(cx.heap.blanket, FORK_COUNT);
            assert!(cx.heap.children.is_empty());
        })
        .create(&kernel)
        .unwrap();
    let reaped = std::rc::Rc::new(std::cell::Cell::new(0));
    let count = reaped.clone();
    Session::builder(Vec::<Child>::new())
        .on(START, |cx, ()| -> poe::HandlerResult {
            for _ in 0..FORK_COUNT {
                let child = Command::new("sleep").arg("3600").stdin(Stdio::null()).spawn()?;
                cx.sig_child(&child, CAUGHT, ())?;
                cx.post("catcher", "catch", child.id())?;
                cx.heap.push(child);
            }
            cx.yield_to("kill", ());
            Ok(())
        })
        .on("kill", |cx, ()| -> poe::HandlerResult {
            for child in cx.heap.iter_mut() {
                child.kill()?;
            }
            Ok(())
        })
        .on(CAUGHT, move |cx, exit| {
            let child = cx.heap.iter_mut().find(|child| child.id() == exit.pid).unwrap();
            assert_eq!(exit.status, Some(child.wait().unwrap()));
            count.set(count.get() + 1);
        })
        .create(&kernel)
        .unwrap();
    kernel.run().await.unwrap();
    assert_eq!(reaped.get(), FORK_COUNT);
}
