//! Durable posts: stored, handled at least once, in order, tried again, and dead letters.

use super::messages::*;
use super::server::Server;
use poe::component::Backoff;
use poe::event::START;
use poe::{Event, Kernel, Session};
use poe_ikc::nats::{Store, Stored, Take};
use poe_ikc::{Ikc, RemoteError};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

const JOB: Event<u32> = Event::new("job");
const STORED: Event<Result<Stored, RemoteError>> = Event::new("stored");
const POST: Event<(u32, u32)> = Event::new("post");

type Stores = Rc<RefCell<Vec<Result<Stored, RemoteError>>>>;

/// A kernel whose session `main` posts the jobs of a range to `poe://*/work`.
fn sender(name: &str, to: &'static str) -> (Side, Stores) {
    let kernel = Kernel::new();
    let ikc = Ikc::builder(name).start(&kernel).unwrap();
    let stores = Stores::default();
    let told = stores.clone();
    Session::builder(ikc.clone())
        .on(START, |cx, ()| cx.alias_set("main"))
        .on(POST, move |cx, (from, until)| -> poe::HandlerResult {
            for job in from..until {
                cx.heap.durable(to).post(cx, JOB, job, STORED)?;
            }
            Ok(())
        })
        .on("with id", move |cx, (id, job): (String, u32)| -> poe::HandlerResult {
            Ok(cx.heap.durable(to).id(id).post(cx, JOB, job, STORED)?)
        })
        .on(STORED, move |_, stored| told.borrow_mut().push(stored))
        .create(&kernel)
        .unwrap();
    let log = Rc::default();
    (Side { kernel, ikc, log }, stores)
}

/// A kernel whose session `work` does what the closure says, and writes down each job.
fn worker(name: &str, fails: impl FnMut(u32) -> bool + 'static) -> (Side, Rc<RefCell<Vec<u32>>>) {
    let kernel = Kernel::new();
    let ikc = Ikc::builder(name)
        .publish("work", |p| p.event(JOB))
        .start(&kernel)
        .unwrap();
    let jobs = Rc::new(RefCell::new(Vec::new()));
    let done = jobs.clone();
    let fails = RefCell::new(fails);
    Session::builder(())
        .on(START, |cx, ()| cx.alias_set("work"))
        .on(JOB, move |_, job| -> poe::HandlerResult {
            done.borrow_mut().push(job);
            match (fails.borrow_mut())(job) {
                true => Err("not today".into()),
                false => Ok(()),
            }
        })
        .create(&kernel)
        .unwrap();
    let log = Rc::default();
    (Side { kernel, ikc, log }, jobs)
}

fn quick() -> Take {
    let backoff = Backoff::new().first(Duration::from_millis(20)).attempts(u32::MAX);
    Take::new().backoff(backoff).patience(Duration::from_secs(2))
}

/// Runs the kernels during what is done.
async fn during(sides: &[&Side], acts: impl Future<Output = ()>) {
    let acts = async {
        acts.await;
        for side in sides {
            side.ikc.shutdown();
        }
        Ok(())
    };
    let kernels = futures_util::future::try_join_all(sides.iter().map(|side| side.kernel.run()));
    let all = async { tokio::try_join!(kernels, acts) };
    let ended = tokio::time::timeout(Duration::from_secs(120), all)
        .await
        .expect("it ends");
    ended.unwrap();
}

#[tokio::test]
#[ignore = "needs nats-server"]
async fn durable_posts_wait_for_a_kernel_that_takes_them_and_are_handled_in_order() {
    let server = Server::start();
    let (sender, stores) = sender("sender", "poe://*/work");
    sender.ikc.join(nats(&server).durable(Store::new())).await.unwrap();
    sender.kernel.post("main", POST, (0, 500)).unwrap();
    tokio::select! {
        ran = sender.kernel.run() => panic!("it is connected: {ran:?}"),
        () = until("all are stored", || stores.borrow().len() == 500) => {}
    }
    let (worker, jobs) = worker("worker", |_| false);
    worker.ikc.join(nats(&server).take("work", quick())).await.unwrap();
    let acts = async {
        until("all are handled", || jobs.borrow().len() == 500).await;
    };
    during(&[&sender, &worker], acts).await;
    let stores = stores.borrow();
    let sequences: Vec<u64> = stores.iter().map(|stored| stored.as_ref().unwrap().sequence).collect();
    assert!(sequences.is_sorted_by(|a, b| a < b));
    assert_eq!(*jobs.borrow(), (0..500).collect::<Vec<_>>());
    let counters = worker.ikc.counters();
    assert_eq!((counters.durable_handled, counters.durable_redelivered), (500, 0));
}

#[tokio::test]
#[ignore = "needs nats-server"]
async fn kernels_share_durable_posts_and_one_by_name_is_for_that_kernel() {
    let server = Server::start();
    let (any, any_stores) = sender("any", "poe://*/work");
    let (own, own_stores) = sender("own", "poe://second/work");
    let (first, first_jobs) = worker("first", |_| false);
    let (second, second_jobs) = worker("second", |_| false);
    for side in [&any, &own] {
        side.ikc.join(nats(&server).durable(Store::new())).await.unwrap();
    }
    for side in [&first, &second] {
        let few = quick().in_flight(4);
        side.ikc.join(nats(&server).take("work", few)).await.unwrap();
    }
    let acts = async {
        any.kernel.post("main", POST, (0, 400)).unwrap();
        own.kernel.post("main", POST, (1000, 1050)).unwrap();
        until("all are stored", || {
            any_stores.borrow().len() + own_stores.borrow().len() == 450
        })
        .await;
        until("all are handled", || {
            first_jobs.borrow().len() + second_jobs.borrow().len() == 450
        })
        .await;
    };
    during(&[&any, &own, &first, &second], acts).await;
    let (first, second) = (first_jobs.borrow(), second_jobs.borrow());
    assert!(first.iter().all(|job| *job < 400));
    let own: Vec<u32> = second.iter().copied().filter(|job| *job >= 400).collect();
    assert_eq!(own, (1000..1050).collect::<Vec<_>>());
    for shared in [&first, &second] {
        let shared: Vec<u32> = shared.iter().copied().filter(|job| *job < 400).collect();
        assert!(!shared.is_empty());
        assert!(shared.is_sorted_by(|a, b| a < b), "in order in each kernel");
    }
}

#[tokio::test]
#[ignore = "needs nats-server"]
async fn a_post_that_fails_is_tried_again_and_becomes_a_dead_letter() {
    let server = Server::start();
    let (sender, stores) = sender("sender", "poe://*/work");
    let store = Store::new().duplicates(Duration::from_secs(1));
    sender.ikc.join(nats(&server).durable(store)).await.unwrap();
    let mut tries = HashMap::new();
    // 1 fails once, 2 always.
    let (worker, jobs) = worker("worker", move |job| {
        *tries.entry(job).or_insert(0) += 1;
        job == 2 || job == 1 && tries[&1] == 1
    });
    worker
        .ikc
        .join(nats(&server).take("work", quick().tries(3)))
        .await
        .unwrap();
    let acts = async {
        sender.kernel.post("main", POST, (0, 4)).unwrap();
        until("one is dead", || worker.ikc.counters().dead_letters == 1).await;
        until("the others are handled", || worker.ikc.counters().durable_handled == 3).await;
        let client = async_nats::connect(server.address()).await.unwrap();
        let streams = async_nats::jetstream::new(client);
        let mut dead = streams.get_stream("poe-dead").await.unwrap();
        assert_eq!(dead.info().await.unwrap().state.messages, 1);
        let letter = dead.get_raw_message(1).await.unwrap();
        assert_eq!(&*letter.subject, "poe.dead.any.work.job");
        assert!(letter.headers.get("Poe-Reason").unwrap().as_str().contains("not today"));
        let mut posts = streams.get_stream("poe-posts").await.unwrap();
        until_swept(&mut posts).await;
    };
    during(&[&sender, &worker], acts).await;
    assert_eq!(stores.borrow().len(), 4);
    let count = |wanted| jobs.borrow().iter().filter(|job| **job == wanted).count();
    assert_eq!([count(0), count(1), count(2), count(3)], [1, 2, 3, 1]);
    assert_eq!(worker.ikc.counters().durable_redelivered, 3);
}

async fn until_swept(posts: &mut async_nats::jetstream::stream::Stream) {
    let waiting = async {
        while posts.info().await.unwrap().state.messages > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(LONG, waiting)
        .await
        .expect("the stream has no post");
}

#[tokio::test]
#[ignore = "needs nats-server"]
async fn in_order_a_failed_post_is_over_before_the_next_begins() {
    let server = Server::start();
    let (sender, _) = sender("sender", "poe://*/work");
    sender.ikc.join(nats(&server).durable(Store::new())).await.unwrap();
    let mut failures = 0;
    let (worker, jobs) = worker("worker", move |job| {
        let fails = job == 3 && failures < 2;
        failures += u32::from(fails);
        fails
    });
    worker
        .ikc
        .join(nats(&server).take("work", quick().in_order()))
        .await
        .unwrap();
    let acts = async {
        sender.kernel.post("main", POST, (0, 6)).unwrap();
        until("all are handled", || worker.ikc.counters().durable_handled == 6).await;
    };
    during(&[&sender, &worker], acts).await;
    assert_eq!(*jobs.borrow(), [0, 1, 2, 3, 3, 3, 4, 5]);
}

#[tokio::test]
#[ignore = "needs nats-server"]
async fn a_post_with_the_same_id_is_stored_once() {
    let server = Server::start();
    let (sender, stores) = sender("sender", "poe://*/work");
    sender.ikc.join(nats(&server).durable(Store::new())).await.unwrap();
    let (worker, jobs) = worker("worker", |_| false);
    worker.ikc.join(nats(&server).take("work", quick())).await.unwrap();
    let acts = async {
        for job in [7_u32, 7, 7] {
            sender
                .kernel
                .post("main", "with id", ("seven".to_owned(), job))
                .unwrap();
        }
        sender.kernel.post("main", POST, (8, 9)).unwrap();
        until("all are acknowledged", || stores.borrow().len() == 4).await;
        until("both are handled", || jobs.borrow().len() == 2).await;
    };
    during(&[&sender, &worker], acts).await;
    let stores: Vec<_> = stores
        .borrow()
        .iter()
        .map(|stored| stored.as_ref().unwrap().clone())
        .collect();
    assert_eq!(
        stores.iter().map(|s| s.duplicate).collect::<Vec<_>>(),
        [false, true, true, false]
    );
    assert_eq!(stores[0].sequence, stores[2].sequence);
    assert_eq!(stores[0].id, "seven");
    assert_eq!(*jobs.borrow(), [7, 8]);
}

#[tokio::test]
#[ignore = "needs nats-server"]
async fn a_full_store_is_an_error_of_the_sender_and_so_is_a_join_without_a_store() {
    let server = Server::start();
    let (sender, stores) = sender("sender", "poe://*/work");
    let small = Store::new().max_bytes(2000);
    sender.ikc.join(nats(&server).durable(small)).await.unwrap();
    let plain = side("plain");
    plain.ikc.join(nats(&server)).await.unwrap();
    let refused = Rc::new(Cell::new(false));
    let told = refused.clone();
    Session::builder(plain.ikc.clone())
        .on(START, move |cx, ()| {
            let refused = cx.heap.durable("poe://*/work").post(cx, JOB, 1, STORED).unwrap_err();
            assert!(refused.to_string().contains("IkcNats::durable"), "{refused}");
            assert_eq!(refused.into_arg(), 1);
            told.set(true);
        })
        .create(&plain.kernel)
        .unwrap();
    let acts = async {
        sender.kernel.post("main", POST, (0, 100)).unwrap();
        until("all are over", || stores.borrow().len() == 100).await;
    };
    during(&[&sender, &plain], acts).await;
    assert!(refused.get());
    let stores = stores.borrow();
    let stored = stores.iter().filter(|stored| stored.is_ok()).count();
    let full = stores.iter().filter_map(|stored| stored.as_ref().err());
    assert!(stored > 0);
    assert!(full.clone().count() > 0);
    for error in full {
        assert!(error.is_store_full(), "{error}");
    }
}

#[tokio::test]
#[ignore = "needs nats-server"]
async fn a_server_that_is_killed_again_and_again_loses_no_post_and_changes_no_order() {
    let mut server = Server::start();
    let (sender, stores) = sender("sender", "poe://*/work");
    sender.ikc.join(nats(&server).durable(Store::new())).await.unwrap();
    let handled: Rc<RefCell<Vec<(u32, u64)>>> = Rc::default();
    let (ikc, noted) = (Rc::new(std::cell::OnceCell::<Ikc>::new()), handled.clone());
    let own = ikc.clone();
    let (worker, jobs) = worker("worker", move |job| {
        let delivery = own.get().and_then(Ikc::delivery).expect("it handles a durable post");
        noted.borrow_mut().push((job, delivery.sequence));
        false
    });
    let _ = ikc.set(worker.ikc.clone());
    worker.ikc.join(nats(&server).take("work", quick())).await.unwrap();
    let acts = async {
        for round in 0..4 {
            sender
                .kernel
                .post("main", POST, (round * 3000, (round + 1) * 3000))
                .unwrap();
            let before = stores.borrow().len();
            until("some are stored", || stores.borrow().len() > before + 500).await;
            server.kill();
            tokio::time::sleep(Duration::from_millis(100)).await;
            server.again();
        }
        until("all are stored", || stores.borrow().len() == 12_000).await;
        until("all are handled", || {
            jobs.borrow().iter().collect::<std::collections::HashSet<_>>().len() == 12_000
        })
        .await;
    };
    during(&[&sender, &worker], acts).await;
    assert!(stores.borrow().iter().all(Result::is_ok));
    // A post whose acknowledgement was lost is handled again, later than its place. It is the same one: none was stored twice.
    let mut seen = HashMap::new();
    let mut first = Vec::new();
    for (job, sequence) in handled.borrow().iter().copied() {
        match seen.insert(job, sequence) {
            Some(before) => assert_eq!(before, sequence, "job {job} was stored twice"),
            None => first.push(job),
        }
    }
    assert_eq!(first.len(), 12_000);
    assert!(first.is_sorted_by(|a, b| a < b), "the first deliveries are in order");
    assert_eq!(worker.ikc.counters().durable_handled, handled.borrow().len() as u64);
}

#[tokio::test]
#[ignore = "needs nats-server"]
async fn a_post_whose_handler_defers_its_reply_is_over_when_that_is_sent() {
    let server = Server::start();
    let (sender, _) = sender("sender", "poe://*/work");
    sender.ikc.join(nats(&server).durable(Store::new())).await.unwrap();
    let kernel = Kernel::new();
    let ikc = Ikc::builder("worker")
        .publish("work", |p| p.event(JOB))
        .start(&kernel)
        .unwrap();
    let jobs: Rc<RefCell<Vec<u32>>> = Rc::default();
    let done = jobs.clone();
    Session::builder(())
        .on(START, |cx, ()| cx.alias_set("work"))
        .on(JOB, move |cx, job| {
            let again = done.borrow().contains(&job);
            done.borrow_mut().push(job);
            let (reply, pending) = cx.defer_reply();
            // Longer than the server's patience. The first try of job 1 drops its reply.
            cx.spawn_then(tokio::time::sleep(Duration::from_millis(1500)), move |_, ()| {
                if job != 1 || again {
                    reply.send(());
                }
            });
            pending
        })
        .create(&kernel)
        .unwrap();
    let worker = Side {
        kernel,
        ikc,
        log: Rc::default(),
    };
    let take = quick().patience(Duration::from_millis(500)).in_flight(4);
    worker.ikc.join(nats(&server).take("work", take)).await.unwrap();
    let acts = async {
        sender.kernel.post("main", POST, (0, 6)).unwrap();
        until("some are under way", || jobs.borrow().len() == 4).await;
        assert_eq!(worker.ikc.counters().durable_handled, 0);
        until("all are handled", || worker.ikc.counters().durable_handled == 6).await;
    };
    during(&[&sender, &worker], acts).await;
    let count = |wanted| jobs.borrow().iter().filter(|job| **job == wanted).count();
    assert_eq!([0, 1, 2, 3, 4, 5].map(count), [1, 2, 1, 1, 1, 1]);
}
