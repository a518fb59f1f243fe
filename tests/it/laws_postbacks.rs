//! Laws I: postbacks and callbacks.

use crate::laws_kit::*;
use poe::event::{START, STOP};
use poe::{Callback, Event, Postback, Reply, Session, inspect::HoldKind};
use std::cell::RefCell;
use std::rc::Rc;

const DONE: Event<(&'static str, u32)> = Event::new("done");
const SUM: Event<(u32, u32), u32> = Event::new("sum");

type Kept<T> = Rc<RefCell<Option<T>>>;

/// A session that puts a postback into `kept` and logs its events.
fn maker(kept: &Kept<Postback<&'static str, u32>>) -> poe::SessionBuilder<()> {
    let kept = kept.clone();
    life("M", move |cx| *kept.borrow_mut() = Some(cx.postback(DONE, "mine"))).on(DONE, |cx, (mine, n)| {
        say(format!("{mine} {n} from {}", nm(cx.sender())))
    })
}

#[tokio::test(start_paused = true)]
async fn l72_each_live_postback_holds_its_session_once_and_lets_go_once() {
    let kernel = kernel();
    let kept = Kept::default();
    let id = maker(&kept).create(&kernel).unwrap();
    let count = |kernel: &poe::Kernel| -> usize {
        let why = kernel.why_alive();
        why.sessions
            .iter()
            .filter(|s| s.session == id)
            .flat_map(|s| &s.holds)
            .filter(|h| h.kind == HoldKind::Postback)
            .map(|h| h.count)
            .sum()
    };
    poe::testing::run_for(&kernel, ms(1)).await.unwrap();
    assert_eq!(count(&kernel), 1);
    let first = kept.take().unwrap();
    let second = first.clone();
    assert_eq!(count(&kernel), 2);
    drop(first);
    assert_eq!(count(&kernel), 1);
    let weak = second.weaken();
    assert_eq!(count(&kernel), 0);
    drop(weak);
    run(&kernel).await;
    assert_eq!(said(), ["M stop"]);
}

#[tokio::test(start_paused = true)]
async fn l73_a_postback_posts_both_values_with_the_active_session_as_sender() {
    let kernel = kernel();
    let kept = Kept::default();
    maker(&kept).create(&kernel).unwrap();
    let postback = kept.take().unwrap();
    postback.post(1).unwrap();
    life("other", move |_| postback.post(2).unwrap())
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(said()[..2], ["mine 1 from kernel", "mine 2 from other"]);
}

#[tokio::test(start_paused = true)]
async fn l73_a_callback_calls_at_once_and_returns_the_reply() {
    let kernel = kernel();
    let kept: Kept<Callback<u32, u32, u32>> = Kept::default();
    let put = kept.clone();
    Session::builder(())
        .on(START, move |cx, ()| *put.borrow_mut() = Some(cx.callback(SUM, 40)))
        .on(SUM, |_, (mine, given)| Reply(mine + given))
        .on(STOP, |_, ()| say("stop"))
        .create(&kernel)
        .unwrap();
    let callback = kept.take().unwrap();
    assert_eq!(callback.call(&kernel, 2).unwrap(), 42);
    assert!(said().is_empty());
    drop(callback);
    run(&kernel).await;
    assert_eq!(said(), ["stop"]);
}

#[tokio::test(start_paused = true)]
async fn l74_after_its_session_stopped_it_returns_an_error() {
    let kernel = kernel();
    let kept = Kept::default();
    maker(&kept).create(&kernel).unwrap();
    let postback = kept.take().unwrap();
    let callback: Kept<Callback<u32, u32, u32>> = Kept::default();
    let put = callback.clone();
    echo(move |cx| *put.borrow_mut() = Some(cx.callback(SUM, 1)))
        .on(SUM, |_, (mine, given)| Reply(mine + given))
        .create(&kernel)
        .unwrap();
    kernel.stop_all().unwrap();
    let refused = postback.post(9).unwrap_err();
    assert!(refused.is_no_such_session());
    assert_eq!(refused.into_arg(), 9);
    let refused = callback.take().unwrap().call(&kernel, 2).unwrap_err();
    assert!(refused.is_no_such_session());
    run(&kernel).await;
    assert_eq!(said(), ["M stop"]);
}
