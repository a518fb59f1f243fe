//! The kernel from other threads.

use crate::laws_kit::*;
use poe::{Event, Kernel, Reply, Signal};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

const ADD: Event<u64> = Event::new("add");
const TOTAL: Event<(), u64> = Event::new("total");

#[tokio::test]
async fn posts_of_each_thread_arrive_whole_and_in_its_order() {
    const EACH: u64 = 2_000;
    let kernel = Kernel::new();
    let last = Rc::new(RefCell::new([0; 4]));
    let seen = last.clone();
    let id = life("S", |cx| {
        cx.refcount_increment(cx.session_id(), "open").map(|_| ()).unwrap()
    })
    .on("from", move |cx, (thread, n): (u64, u64)| {
        let mut seen = seen.borrow_mut();
        assert_eq!(seen[thread as usize] + 1, n, "thread {thread} was overtaken by itself");
        seen[thread as usize] = n;
        if seen.iter().sum::<u64>() == 4 * EACH {
            cx.refcount_decrement(cx.session_id(), "open").unwrap();
        }
    })
    .create(&kernel)
    .unwrap();
    let threads: Vec<_> = (0..4_u64)
        .map(|thread| {
            let handle = kernel.handle();
            std::thread::spawn(move || (1..=EACH).for_each(|n| handle.post(id, "from", (thread, n)).unwrap()))
        })
        .collect();
    run(&kernel).await;
    threads.into_iter().for_each(|t| t.join().unwrap());
    assert_eq!((*last.borrow(), said()), ([EACH; 4], vec!["S stop".to_owned()]));
}

#[tokio::test]
async fn a_full_inbox_gives_the_argument_back() {
    let kernel = Kernel::builder().inbox_capacity(2).build();
    let handle = kernel.handle();
    let id = life("S", nothing).on(ADD, |_, n| say(n)).create(&kernel).unwrap();
    handle.post(id, ADD, 1).unwrap();
    handle.post(id, ADD, 2).unwrap();
    let refused = handle.post(id, ADD, 3).unwrap_err();
    assert!(refused.is_full());
    assert_eq!(refused.into_arg(), 3);
    let refused = handle
        .call::<_, ()>(id, "ask", "a question".to_owned())
        .await
        .unwrap_err();
    assert!(refused.is_full());
    assert_eq!(refused.into_arg().unwrap(), "a question");
    run(&kernel).await;
    assert_eq!(said(), ["1", "2", "S stop"]);
}

#[tokio::test]
async fn a_call_is_answered_and_a_dead_target_is_said() {
    let kernel = Kernel::new();
    let handle = kernel.handle();
    let id = life("S", |cx| cx.sig("TERM", "term"))
        .on(TOTAL, |_, ()| Reply(5))
        .on("term", |_, signal: Signal| say(signal.name()))
        .create(&kernel)
        .unwrap();
    let asked = handle.call(id, TOTAL, ());
    let nobody = handle.call("nobody", TOTAL, ());
    handle.signal(handle.kernel_id(), "TERM", ()).unwrap();
    kernel.run().await.unwrap();
    assert_eq!(asked.await.unwrap(), 5);
    assert!(nobody.await.unwrap_err().is_no_such_session());
    assert_eq!(said(), ["TERM", "S stop"]);
}

#[tokio::test]
async fn a_message_for_a_missing_session_is_a_dead_letter() {
    let kernel = Kernel::new();
    let letters = Rc::new(RefCell::new(Vec::new()));
    let put = letters.clone();
    kernel.on_dead_letter(move |letter| {
        let mut arg = letter.arg;
        put.borrow_mut()
            .push((letter.target, letter.event.to_string(), arg.take::<u64>()));
    });
    kernel.handle().post("nobody", ADD, 9).unwrap();
    life("S", nothing).create(&kernel).unwrap();
    run(&kernel).await;
    let letters = letters.borrow();
    assert_eq!(letters.len(), 1);
    assert!(letters[0].0.contains("nobody"));
    assert_eq!((letters[0].1.as_str(), letters[0].2), ("add", Some(9)));
}

#[tokio::test(start_paused = true)]
async fn a_handle_in_the_hook_for_dead_letters_keeps_serving_and_not_the_kernel() {
    let kernel = Kernel::new();
    let handle = kernel.handle();
    let watch = handle.clone();
    kernel.on_dead_letter(move |_| say(handle.is_closed()));
    watch.post("nobody", ADD, 1).unwrap();
    drop(watch);
    let mut serving = kernel.serve();
    let limit = Duration::from_secs(60);
    assert!(tokio::time::timeout(limit, &mut serving).await.is_err());
    assert_eq!(said(), ["false"]);
    kernel.on_dead_letter(drop);
    tokio::time::timeout(limit, serving).await.unwrap().unwrap();

    let handle = kernel.handle();
    let watch = handle.clone();
    kernel.on_dead_letter(move |_| say(handle.is_closed()));
    drop(kernel);
    assert!(watch.is_closed());
}

#[tokio::test]
async fn without_its_kernel_a_handle_is_closed() {
    let kernel = Kernel::new();
    let handle = kernel.handle();
    let waiting = handle.call("anybody", TOTAL, ());
    drop(kernel);
    assert!(handle.is_closed());
    assert!(waiting.await.unwrap_err().is_closed());
    assert_eq!(handle.post("anybody", ADD, 1).unwrap_err().into_arg(), 1);
}

#[tokio::test]
async fn a_message_that_a_handler_sends_to_its_own_kernel_comes_before_idle() {
    use poe::event::START;
    use poe::filter::Line;
    use poe::wheel::{IoError, ReadWrite};
    let kernel = Kernel::new();
    let handle = kernel.handle();
    let (ours, theirs) = tokio::io::duplex(64);
    drop(theirs);
    poe::Session::builder(None::<ReadWrite>)
        .on(START, |cx, io: tokio::io::DuplexStream| -> poe::HandlerResult {
            cx.alias_set("reader")?;
            *cx.heap = Some(
                ReadWrite::builder(io)
                    .input(Line::new(), "line")
                    .error("eof")
                    .start(cx)?,
            );
            Ok(())
        })
        // The wheel is all that keeps the kernel busy, and this is the phase in which it calls itself idle.
        .on("eof", move |cx, _: IoError| {
            *cx.heap = None;
            handle.post("reader", ADD, 1).map_err(|error| error.to_string())
        })
        .on(ADD, |_, n| say(n))
        .args(ours)
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["1"]);
}
