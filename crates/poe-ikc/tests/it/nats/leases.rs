//! Names that one kernel at a time holds.

use super::messages::*;
use super::server::Server;
use poe::event::START;
use poe::{Event, Kernel, Reply, Session};
use poe_ikc::nats::{Claim, Lease, LeaseLost};
use poe_ikc::wire::{Codec, Fence, Form, Format, Head};
use poe_ikc::{Ikc, RemoteError, Specifier};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

const LEASE: Event<Result<Lease, LeaseLost>> = Event::new("lease");
const NAME: Event<Result<String, RemoteError>> = Event::new("name");

/// What a candidate has been told, in order.
type Told = Rc<RefCell<Vec<Result<Lease, LeaseLost>>>>;

type Names = Rc<RefCell<Vec<Result<String, RemoteError>>>>;

struct Candidate {
    ikc: Ikc,
    told: Told,
    claim: Option<Claim>,
}

/// A kernel that claims `leader` with `go`, gives the claim up with `give up`, and publishes `test/who` and `test/note`.
fn candidate(name: &'static str) -> (Side, Told) {
    let kernel = Kernel::new();
    let ikc = Ikc::builder(name)
        .publish("test", |p| p.event(WHO).event(NOTE))
        .start(&kernel)
        .unwrap();
    let (told, log) = (Told::default(), Rc::default());
    let heap = Candidate {
        ikc: ikc.clone(),
        told: told.clone(),
        claim: None,
    };
    let side = Side { kernel, ikc, log };
    let notes = side.log.clone();
    Session::builder(heap)
        .on(START, |cx, ()| cx.alias_set("test"))
        .on(GO, |cx, ()| -> poe::HandlerResult {
            cx.heap.claim = Some(cx.heap.ikc.claim(cx, "leader", LEASE)?);
            assert!(cx.heap.ikc.claim(cx, "leader", LEASE).is_err());
            Ok(())
        })
        .on("give up", |cx, ()| cx.heap.claim = None)
        .on(LEASE, |cx, lease| cx.heap.told.borrow_mut().push(lease))
        .on(WHO, move |_, ()| Reply(name.to_owned()))
        .on(NOTE, move |_, text| notes.borrow_mut().push(text))
        .create(&side.kernel)
        .unwrap();
    (side, told)
}

/// A kernel whose session `main` asks `poe://leader/test` who it is, with each `go`.
fn asker() -> (Side, Names) {
    let kernel = Kernel::new();
    let ikc = Ikc::builder("Asker").start(&kernel).unwrap();
    let names = Rc::new(RefCell::new(Vec::new()));
    let told = names.clone();
    Session::builder(ikc.clone())
        .on(START, |cx, ()| cx.alias_set("main"))
        .on(GO, |cx, ()| {
            // Between two holders there is nobody to call.
            let _ = cx.heap.call(cx, "poe://leader/test", WHO, (), NAME, LONG);
        })
        .on(NAME, move |_, name| told.borrow_mut().push(name))
        .create(&kernel)
        .unwrap();
    let log = Rc::default();
    (Side { kernel, ikc, log }, names)
}

async fn join(server: &Server, sides: &[&Side]) {
    for side in sides {
        let nats = nats(server).leases(Duration::from_secs(2));
        side.ikc.join(nats).await.unwrap();
    }
}

/// The lease that a candidate has now.
fn held(told: &Told) -> Option<Lease> {
    told.borrow().last().and_then(|last| last.as_ref().ok()).cloned()
}

#[tokio::test]
#[ignore = "needs nats-server"]
async fn a_name_has_one_holder_and_the_next_one_a_higher_number() {
    let server = Server::start();
    let ((first, first_told), (second, second_told)) = (candidate("first"), candidate("second"));
    let (asker, names) = asker();
    join(&server, &[&first, &second, &asker]).await;
    let acts = async {
        for other in [&first, &second] {
            asker.ikc.registered(other.ikc.id()).await.unwrap();
        }
        first.kernel.post("test", GO, ()).unwrap();
        until("the first has it", || held(&first_told).is_some()).await;
        second.kernel.post("test", GO, ()).unwrap();
        until("the asker knows it", || {
            asker.ikc.post("poe://leader/test", NOTE, "hello".to_owned()).is_ok()
        })
        .await;
        asker.kernel.post("main", GO, ()).unwrap();
        until("the first replies", || names.borrow().len() == 1).await;
        // Longer than a lease, which is renewed.
        tokio::time::sleep(Duration::from_millis(2500)).await;
        let lease = held(&first_told).unwrap();
        assert!(lease.is_held());
        assert!(second_told.borrow().is_empty());
        first.kernel.post("test", "give up", ()).unwrap();
        until("the second has it", || held(&second_told).is_some()).await;
        assert!(!lease.is_held());
        let next = held(&second_told).unwrap();
        assert!(next.number() > lease.number());
        let refused = lease.post("poe://Asker/main", NOTE, "late".to_owned()).unwrap_err();
        assert!(refused.is_lease_lost(), "{refused}");
        until("the asker knows the second", || {
            asker.kernel.post("main", GO, ()).unwrap();
            names
                .borrow()
                .last()
                .is_some_and(|name| *name == Ok("second".to_owned()))
        })
        .await;
        for side in [&first, &second, &asker] {
            side.ikc.shutdown();
        }
    };
    let all = async { tokio::join!(first.kernel.run(), second.kernel.run(), asker.kernel.run(), acts) };
    let ended = tokio::time::timeout(LONG, all).await.expect("it ends");
    assert!(ended.0.and(ended.1).and(ended.2).is_ok());
    assert_eq!(names.borrow()[0], Ok("first".to_owned()));
}

#[tokio::test]
#[ignore = "needs nats-server"]
async fn a_holder_that_was_paused_loses_the_name_and_what_it_sends_is_refused() {
    let server = Server::start();
    let ((first, first_told), (second, second_told)) = (candidate("first"), candidate("second"));
    join(&server, &[&first, &second]).await;
    let begin = async {
        first.kernel.post("test", GO, ()).unwrap();
        until("the first has it", || held(&first_told).is_some()).await;
        second.kernel.post("test", GO, ()).unwrap();
    };
    tokio::select! {
        _ = first.kernel.run() => panic!("it is connected"),
        _ = second.kernel.run() => panic!("it is connected"),
        () = begin => {}
    }
    // The first is not run: as if its process were paused.
    tokio::select! {
        _ = second.kernel.run() => panic!("it is connected"),
        () = until("the second has it", || held(&second_told).is_some()) => {}
    }
    let (old, new) = (held(&first_told).unwrap(), held(&second_told).unwrap());
    assert!(!old.is_held() && new.is_held() && new.number() > old.number());
    let acts = async {
        until("the first is told", || first_told.borrow().len() == 2).await;
        let lost = first_told.borrow()[1].clone().unwrap_err();
        assert_eq!((lost.name(), lost.number()), ("leader", old.number()));
        // A message that was under way when the process was paused.
        let send = |number| {
            let head = Head {
                event: Specifier::new("second", "test", "note"),
                form: Form::Hash,
                fence: Some(Fence {
                    name: "leader".to_owned(),
                    number,
                }),
                ..Head::default()
            };
            let text = format!("with {number}");
            let frame = Codec::default().write(Format::MsgPack, &head, &text).unwrap();
            ("poe.any.test.note", frame)
        };
        first.ikc.shutdown();
        until("the first has left", || {
            !second.ikc.kernels().contains(&"first".to_owned())
        })
        .await;
        let client = async_nats::connect(server.address()).await.unwrap();
        for number in [old.number(), new.number()] {
            let (subject, frame) = send(number);
            client.publish(subject, frame.into()).await.unwrap();
        }
        client.flush().await.unwrap();
        until("one comes", || !second.log.borrow().is_empty()).await;
        second.ikc.shutdown();
    };
    let all = async { tokio::join!(first.kernel.run(), second.kernel.run(), acts) };
    let ended = tokio::time::timeout(LONG, all).await.expect("it ends");
    assert!(ended.0.and(ended.1).is_ok());
    assert_eq!(*second.log.borrow(), [format!("with {}", new.number())]);
    assert_eq!(second.ikc.counters().refused, 1);
}
