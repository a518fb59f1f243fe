//! A server that pauses, ends and comes back: what is lost, and what is kept.

use super::messages::*;
use super::server::Server;
use poe::event::START;
use poe::{KernelHandle, Session};
use poe_ikc::{Occurrence, RemoteError};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

/// What a side's session `main` has been told.
#[derive(Clone, Default)]
struct Told {
    sums: Rc<RefCell<Vec<Result<i64, RemoteError>>>>,
    notices: Rc<RefCell<Vec<Occurrence>>>,
}

/// A session `main` that calls `poe://Pulse/test` with each `go`, and watches that kernel.
fn watcher(side: &Side, limit: Duration) -> Told {
    let told = Told::default();
    let (sums, notices) = (told.sums.clone(), told.notices.clone());
    Session::builder(side.ikc.clone())
        .on(START, |cx, ()| {
            cx.heap.monitor(cx, "Pulse", MONITOR);
            cx.heap.monitor(cx, "Asker", MONITOR);
            cx.alias_set("main")
        })
        .on(GO, move |cx, ()| -> poe::HandlerResult {
            Ok(cx.heap.call(cx, "poe://Pulse/test", ADD, (20, 22), SUM, limit)?)
        })
        .on(SUM, move |_, sum| sums.borrow_mut().push(sum))
        .on(MONITOR, move |_, notice| notices.borrow_mut().push(notice.what))
        .create(&side.kernel)
        .unwrap();
    told
}

fn count(told: &Told, what: impl Fn(&Occurrence) -> bool) -> usize {
    told.notices.borrow().iter().filter(|notice| what(notice)).count()
}

fn has_registered(what: &Occurrence) -> bool {
    matches!(what, Occurrence::Register { .. })
}

/// Runs both kernels while something is done with the server.
async fn during(pulse: &Side, asked: &Side, acts: impl Future<Output = ()>) {
    let acts = async {
        acts.await;
        pulse.ikc.shutdown();
        asked.ikc.shutdown();
    };
    let all = async { tokio::join!(pulse.kernel.run(), asked.kernel.run(), acts) };
    let ended = tokio::time::timeout(Duration::from_secs(120), all)
        .await
        .expect("it ends");
    ended.0.and(ended.1).unwrap();
}

fn go(handle: &KernelHandle) {
    handle.post("main", GO, ()).unwrap();
}

#[tokio::test]
#[ignore = "needs nats-server"]
async fn while_the_server_is_paused_calls_time_out_and_monitors_are_told_and_then_all_goes_on() {
    let server = Server::start();
    let (pulse, asked) = (side("Pulse"), side("Asker"));
    let told = watcher(&asked, Duration::from_secs(1));
    for side in [&pulse, &asked] {
        side.ikc.join(nats(&server)).await.unwrap();
    }
    let handle = asked.kernel.handle();
    let acts = async {
        until("they meet", || count(&told, has_registered) == 1).await;
        server.signal("STOP");
        go(&handle);
        until("the call times out", || told.sums.borrow().len() == 1).await;
        assert!(told.sums.borrow()[0].as_ref().unwrap_err().is_timed_out());
        until("the other kernel is gone", || {
            count(&told, |what| *what == Occurrence::Unregister) == 1
        })
        .await;
        let error = asked.ikc.post("poe://Pulse/test", NOTE, "no".to_owned()).unwrap_err();
        assert!(error.is_unknown_kernel());
        server.signal("CONT");
        until("they meet again", || count(&told, has_registered) == 2).await;
        go(&handle);
        until("the call is replied to", || told.sums.borrow().len() == 2).await;
        assert_eq!(told.sums.borrow()[1], Ok(42));
    };
    during(&pulse, &asked, acts).await;
}

#[tokio::test]
#[ignore = "needs nats-server"]
async fn posts_while_the_server_is_away_are_kept_or_told_to_be_lost_and_subscriptions_come_back() {
    let mut server = Server::start();
    let (pulse, asked) = (side("Pulse"), side("Asker"));
    let told = watcher(&asked, LONG);
    // Longer than the server is away: the kernels stay known to one another.
    for side in [&pulse, &asked] {
        let nats = nats(&server).presence(Duration::from_secs(20));
        side.ikc.join(nats).await.unwrap();
    }
    let handle = asked.kernel.handle();
    let acts = async {
        until("they meet", || count(&told, has_registered) == 1).await;
        asked.ikc.post("poe://Pulse/test", NOTE, "before".to_owned()).unwrap();
        until("the note comes", || pulse.log.borrow().len() == 1).await;
        server.kill();
        until("the client has noticed", || {
            count(
                &told,
                |what| matches!(what, Occurrence::Error { operation, .. } if operation == "nats-connection"),
            ) > 0
        })
        .await;
        // More than the client's own queue takes.
        for number in 0..5000 {
            asked.ikc.post("poe://Pulse/test", NOTE, number.to_string()).unwrap();
        }
        server.again();
        // The sender may be back before the receiver: the server reports each post that has no receiver yet.
        let kept = || -> Vec<u32> { pulse.log.borrow().iter().filter_map(|note| note.parse().ok()).collect() };
        until("each post is handled, or told to be lost", || {
            kept().len() + asked.ikc.counters().unclaimed as usize == 5000
        })
        .await;
        assert!(kept().is_sorted_by(|a, b| a < b), "in order");
        go(&handle);
        until("the call is replied to", || told.sums.borrow().len() == 1).await;
        assert_eq!(told.sums.borrow()[0], Ok(42));
        // To any kernel as well, on a subscription that was made anew.
        asked.ikc.post("poe://**/test", NOTE, "after".to_owned()).unwrap();
        until("the last note comes", || {
            pulse.log.borrow().last().is_some_and(|last| last == "after")
        })
        .await;
    };
    during(&pulse, &asked, acts).await;
}
