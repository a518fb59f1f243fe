//! Posts and calls, to one kernel, to any, and to all.

use super::server::Server;
use poe::event::START;
use poe::{Event, Kernel, Reply, Session};
use poe_ikc::nats::IkcNats;
use poe_ikc::{Ikc, Notice, Occurrence, RemoteError, Subscription};
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

pub(crate) const ADD: Event<(i64, i64), i64> = Event::new("add");
pub(crate) const WHO: Event<(), String> = Event::new("who");
pub(crate) const NOTE: Event<String> = Event::new("note");
const GREET: Event<String> = Event::new("greet");
pub(crate) const GO: Event<()> = Event::new("go");
pub(crate) const SUM: Event<Result<i64, RemoteError>> = Event::new("sum");
const NAME: Event<Result<String, RemoteError>> = Event::new("name");
const SUBSCRIBED: Event<Result<Subscription, RemoteError>> = Event::new("subscribed");
const PONG: Event<Result<Duration, RemoteError>> = Event::new("pong");
pub(crate) const MONITOR: Event<Notice> = Event::new("monitor");

/// Longer than anything takes that works.
pub(crate) const LONG: Duration = Duration::from_secs(30);

type Log = Rc<RefCell<Vec<String>>>;

pub(crate) struct Side {
    pub(crate) kernel: Kernel,
    pub(crate) ikc: Ikc,
    pub(crate) log: Log,
}

/// A kernel that publishes the session `test`.
pub(crate) fn side(name: &str) -> Side {
    let kernel = Kernel::new();
    let ikc = Ikc::builder(name)
        .publish("test", |p| p.event(ADD).event(WHO).event(NOTE).event(GREET))
        .start(&kernel)
        .unwrap();
    let log = Log::default();
    let name = name.to_owned();
    Session::builder(log.clone())
        .on(START, |cx, ()| cx.alias_set("test"))
        .on(ADD, |_, (a, b)| Reply(a + b))
        .on(WHO, move |_, ()| Reply(name.clone()))
        .on(NOTE, |cx, text| cx.heap.borrow_mut().push(text))
        .on(GREET, |cx, name| {
            cx.post(cx.sender(), "greeting", format!("hello {name}"))
                .map_err(|error| error.to_string())
        })
        .create(&kernel)
        .unwrap();
    Side { kernel, ikc, log }
}

/// A kernel whose session `main` starts with `go`, and that publishes only what it is asked to.
fn asker(name: &str, build: impl FnOnce(poe::SessionBuilder<Ikc>) -> poe::SessionBuilder<Ikc>) -> Side {
    let kernel = Kernel::new();
    let ikc = Ikc::builder(name).start(&kernel).unwrap();
    let session = Session::builder(ikc.clone()).on(START, |cx, ()| cx.alias_set("main"));
    build(session).create(&kernel).unwrap();
    Side {
        kernel,
        ikc,
        log: Log::default(),
    }
}

pub(crate) fn nats(server: &Server) -> IkcNats {
    IkcNats::connect(server.address()).presence(Duration::from_secs(2))
}

pub(crate) async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(LONG, waiting)
        .await
        .unwrap_or_else(|_| panic!("{what}"));
}

/// Runs the kernels until the last one has ended, and posts `go` to its session `main` when it knows the others.
async fn run(server: &Server, others: &[&Side], last: &Side) {
    for side in others.iter().chain([&last]) {
        side.ikc.join(nats(server)).await.unwrap();
    }
    let go = async {
        for other in others {
            last.ikc.registered(other.ikc.id()).await.unwrap();
        }
        last.kernel.post("main", GO, ()).unwrap();
    };
    let runs = async { tokio::join!(last.kernel.run(), go).0.unwrap() };
    let rest = futures_util::future::join_all(others.iter().map(|side| side.kernel.run()));
    let all = async {
        tokio::select! {
            () = runs => {}
            _ = rest => panic!("a kernel that is connected has ended"),
        }
    };
    tokio::time::timeout(LONG, all).await.expect("it ends");
}

#[tokio::test]
#[ignore = "needs nats-server"]
async fn a_kernel_is_called_and_posted_to_with_its_name() {
    let server = Server::start();
    let pulse = side("Pulse");
    let asked = asker("Asker", |session| {
        session
            .on(GO, |cx, ()| -> poe::HandlerResult {
                cx.heap.post("poe://Pulse/test", NOTE, "one".to_owned())?;
                cx.heap.post("poe://Pulse/test", NOTE, "two".to_owned())?;
                Ok(cx.heap.call(cx, "poe://Pulse/test", ADD, (20, 22), SUM, LONG)?)
            })
            .on(SUM, |cx, sum| -> poe::HandlerResult {
                assert_eq!(sum, Ok(42));
                Ok(cx.heap.ping(cx, "Pulse", PONG, LONG)?)
            })
            .on(PONG, |cx, pong| {
                pong.unwrap();
                cx.heap.shutdown();
            })
    });
    run(&server, &[&pulse], &asked).await;
    assert_eq!(*pulse.log.borrow(), ["one", "two"]);
    assert_eq!(asked.ikc.counters().unclaimed, 0);
}

#[tokio::test]
#[ignore = "needs nats-server"]
async fn one_kernel_of_several_takes_a_call_to_any_and_all_take_a_post_to_all() {
    let server = Server::start();
    let workers = [side("w1"), side("w2"), side("w3")];
    let seen = Rc::new(RefCell::new(BTreeSet::new()));
    let count = Rc::new(Cell::new(0));
    let asked = {
        let (seen, count) = (seen.clone(), count.clone());
        asker("Asker", |session| {
            session
                .on(GO, |cx, ()| -> poe::HandlerResult {
                    cx.heap.post("poe://**/test", NOTE, "all".to_owned())?;
                    for _ in 0..60 {
                        cx.heap.call(cx, "poe://*/test", WHO, (), NAME, LONG)?;
                    }
                    Ok(())
                })
                .on(NAME, move |cx, name| {
                    seen.borrow_mut().insert(name.unwrap());
                    count.set(count.get() + 1);
                    if count.get() == 60 {
                        cx.heap.shutdown();
                    }
                })
        })
    };
    run(&server, &[&workers[0], &workers[1], &workers[2]], &asked).await;
    assert_eq!(seen.borrow().len(), 3, "{seen:?}");
    for worker in &workers {
        assert_eq!(*worker.log.borrow(), ["all"]);
    }
}

#[tokio::test]
#[ignore = "needs nats-server"]
async fn what_nobody_takes_is_an_error_at_once_and_what_is_not_published_is_refused() {
    let server = Server::start();
    let pulse = side("Pulse");
    let errors: Rc<RefCell<Vec<RemoteError>>> = Rc::default();
    let unclaimed = Rc::new(Cell::new(false));
    let asked = {
        let (errors, unclaimed) = (errors.clone(), unclaimed.clone());
        asker("Asker", |session| {
            session
                .on(GO, |cx, ()| -> poe::HandlerResult {
                    cx.heap.monitor(cx, "*", MONITOR);
                    cx.heap.post("poe://*/nowhere", NOTE, "lost".to_owned())?;
                    cx.heap.call(cx, "poe://*/nowhere", ADD, (1, 2), SUM, LONG)?;
                    cx.heap.call(cx, "poe://Pulse/nowhere", ADD, (1, 2), SUM, LONG)?;
                    assert!(cx.heap.call(cx, "poe://**/test", ADD, (1, 2), SUM, LONG).is_err());
                    assert!(
                        cx.heap
                            .call(cx, "poe://Other/test", ADD, (1, 2), SUM, LONG)
                            .unwrap_err()
                            .is_unknown_kernel()
                    );
                    Ok(())
                })
                .on(MONITOR, move |_, notice| {
                    if let Occurrence::Error { operation, text } = notice.what
                        && operation == "nats-unclaimed"
                    {
                        assert!(text.contains("poe.any.nowhere.note"), "{text}");
                        unclaimed.set(true);
                    }
                })
                .on(SUM, move |cx, sum| {
                    errors.borrow_mut().push(sum.unwrap_err());
                    if errors.borrow().len() == 2 {
                        cx.heap.shutdown();
                    }
                })
        })
    };
    run(&server, &[&pulse], &asked).await;
    let errors = errors.borrow();
    assert!(errors.iter().any(RemoteError::is_no_responder), "{errors:?}");
    assert!(errors.iter().any(RemoteError::is_refused), "{errors:?}");
    assert!(unclaimed.get());
    assert_eq!(asked.ikc.counters().unclaimed, 1);
}

#[tokio::test]
#[ignore = "needs nats-server"]
async fn events_published_later_are_reached_and_retracted_ones_are_not() {
    let server = Server::start();
    let pulse = side("Pulse");
    const LATER: Event<(), String> = Event::new("later");
    Session::builder(())
        .on(START, |cx, ()| cx.alias_set("more"))
        .on(LATER, |_, ()| Reply("later".to_owned()))
        .create(&pulse.kernel)
        .unwrap();
    let phase = Rc::new(Cell::new(0));
    let asked = {
        let (phase, ikc) = (phase.clone(), pulse.ikc.clone());
        asker("Asker", |session| {
            session
                .on(GO, |cx, ()| -> poe::HandlerResult {
                    Ok(cx.heap.call(cx, "poe://*/more", LATER, (), NAME, LONG)?)
                })
                .on(NAME, move |cx, name| -> poe::HandlerResult {
                    match (phase.get(), name) {
                        (0, Err(error)) => {
                            assert!(error.is_no_responder(), "{error}");
                            ikc.publish("more", |p| p.event(LATER));
                            phase.set(1);
                        }
                        // The subscription is under way.
                        (1, Err(error)) if error.is_no_responder() => {}
                        (1, name) => {
                            assert_eq!(name, Ok("later".to_owned()));
                            assert!(ikc.retract_session("more"));
                            phase.set(2);
                        }
                        (2, Ok(_)) => {}
                        (_, Err(error)) if error.is_refused() => {}
                        (_, name) => {
                            assert!(name.unwrap_err().is_no_responder());
                            cx.heap.shutdown();
                            return Ok(());
                        }
                    }
                    cx.delay_set(GO, Duration::from_millis(5), ());
                    Ok(())
                })
        })
    };
    run(&server, &[&pulse], &asked).await;
}

#[tokio::test]
#[ignore = "needs nats-server"]
async fn proxies_and_senders_post_over_nats_as_over_sockets() {
    let server = Server::start();
    let pulse = side("Pulse");
    let kernel = Kernel::new();
    const GREETING: Event<String> = Event::new("greeting");
    let ikc = Ikc::builder("Asker")
        .publish("main", |p| p.event(GREETING))
        .start(&kernel)
        .unwrap();
    Session::builder(ikc.clone())
        .on(START, |cx, ()| cx.alias_set("main"))
        .on(GO, |cx, ()| -> poe::HandlerResult {
            Ok(cx.heap.subscribe(cx, "poe://Pulse/test", SUBSCRIBED, LONG)?)
        })
        .on(SUBSCRIBED, |cx, proxy| -> poe::HandlerResult {
            proxy.unwrap();
            cx.post("poe://Pulse/test", GREET, "you".to_owned())
                .map_err(|error| error.to_string())?;
            Ok(())
        })
        .on(GREETING, |cx, text| {
            assert_eq!(text, "hello you");
            cx.heap.shutdown();
        })
        .create(&kernel)
        .unwrap();
    let asked = Side {
        kernel,
        ikc,
        log: Log::default(),
    };
    run(&server, &[&pulse], &asked).await;
}

#[tokio::test]
#[ignore = "needs nats-server"]
async fn a_kernel_that_leaves_is_gone_at_once_and_another_of_that_name_takes_its_place() {
    let server = Server::start();
    let [first, second] = ["first", "second"].map(|note| {
        let side = side("twin");
        side.log.borrow_mut().push(note.to_owned());
        side
    });
    let asked = side("Asker");
    for side in [&first, &second, &asked] {
        side.ikc.join(nats(&server)).await.unwrap();
    }
    let act = async {
        asked.ikc.registered(first.ikc.id()).await.unwrap();
        asked.ikc.registered(second.ikc.id()).await.unwrap();
        let leave = |side: &Side| side.ikc.shutdown();
        leave(&first);
        until("the first is gone", || {
            !asked.ikc.kernels().contains(&first.ikc.id().to_owned())
        })
        .await;
        until("the name is the other's", || {
            asked.ikc.kernels().contains(&"twin".to_owned())
        })
        .await;
        asked
            .ikc
            .post("poe://twin/test", NOTE, "to the second".to_owned())
            .unwrap();
        until("the note comes", || second.log.borrow().len() == 2).await;
        leave(&second);
        leave(&asked);
    };
    let all = async { tokio::join!(first.kernel.run(), second.kernel.run(), asked.kernel.run(), act) };
    let ended = tokio::time::timeout(LONG, all).await.expect("it ends");
    assert!(ended.0.and(ended.1).and(ended.2).is_ok());
}

#[tokio::test]
#[ignore = "needs nats-server"]
async fn a_kernel_that_dies_is_gone_after_its_presence_and_calls_to_it_fail() {
    let server = Server::start();
    let dying = side("Dying");
    let asked = side("Asker");
    const SLOW: Event<(), String> = Event::new("slow");
    dying.ikc.publish("slow", |p| p.event(SLOW));
    for side in [&dying, &asked] {
        side.ikc.join(nats(&server)).await.unwrap();
    }
    let lost = Rc::new(Cell::new(false));
    let told = lost.clone();
    Session::builder(asked.ikc.clone())
        .on(START, |cx, ()| {
            cx.heap.monitor(cx, "*", MONITOR);
            cx.alias_set("main")
        })
        .on(MONITOR, move |cx, notice| {
            if notice.what == Occurrence::Unregister && notice.kernel == "Dying" {
                told.set(true);
                cx.heap.shutdown();
            }
        })
        .create(&asked.kernel)
        .unwrap();
    let die = async {
        asked.ikc.registered("Dying").await.unwrap();
    };
    tokio::select! {
        _ = dying.kernel.run() => panic!("it is connected"),
        _ = asked.kernel.run() => panic!("it is connected"),
        () = die => {}
    }
    // Its kernel is not run any more: as if the process were paused.
    tokio::time::timeout(LONG, asked.kernel.run())
        .await
        .expect("it ends")
        .unwrap();
    assert!(lost.get());
}
