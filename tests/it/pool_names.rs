//! Names, and publish and subscribe, across the kernels of a pool.

use crate::socket_kit::within;
use poe::component::{KernelPool, PoolHandle};
use poe::event::START;
use poe::{Event, HandlerResult, KERNEL_SHUTDOWN, Kernel, Reply, Session, SessionId};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const ADD: Event<u64> = Event::new("add");
const TOTAL: Event<(), u64> = Event::new("total");
const END: Event<()> = Event::new("end");
const NEWS: Event<(usize, u32)> = Event::new("news");

fn pool_of(cx: poe::KernelRef<'_>) -> PoolHandle {
    PoolHandle::of(cx).expect("the kernel of a pool")
}

/// A sum with a name in the pool; `END` takes the name away.
fn named(kernel: &Kernel, name: &'static str) -> Result<SessionId, poe::Error> {
    Session::builder(0)
        .on(START, move |cx, ()| pool_of(cx.kernel).alias_set(cx.kernel, name))
        .on(ADD, |cx, n| *cx.heap += n)
        .on(TOTAL, |cx, ()| Reply(*cx.heap))
        .on(END, move |cx, ()| {
            assert!(pool_of(cx.kernel).alias_remove(cx.kernel, name))
        })
        .create(kernel)
}

async fn until(mut is_so: impl FnMut() -> bool) {
    within(async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_name_reaches_its_session_from_every_kernel_and_thread() {
    let pool = KernelPool::builder(3)
        .setup(|kernel, number| async move {
            if number == 2 {
                named(&kernel, "sum")?;
            }
            Ok(())
        })
        .start()
        .unwrap();
    let handle = pool.handle();
    handle.post("sum", ADD, 1).unwrap();
    let posted = pool.each(|kernel, number| async move {
        Session::builder(())
            .on(START, move |cx, ()| -> HandlerResult {
                pool_of(cx.kernel).post("sum", ADD, 10 * (number as u64 + 1))?;
                Ok(())
            })
            .create(&kernel)
    });
    within(posted).await.unwrap();
    assert_eq!(within(handle.call("sum", TOTAL, ())).await.unwrap(), 61);
    let owner = handle.resolve("sum").unwrap();
    assert_eq!(within(handle.call(owner, TOTAL, ())).await.unwrap(), 61);
    assert_eq!(
        handle.kernel_of(owner).unwrap().kernel_id(),
        handle.kernel(2).unwrap().kernel_id()
    );
    // It is no alias of its kernel.
    assert!(
        within(handle.kernel(2).unwrap().call("sum", TOTAL, ()))
            .await
            .unwrap_err()
            .is_no_such_session()
    );
    assert!(within(pool.shutdown(Duration::from_secs(10))).await.is_clean());
    assert_eq!(handle.resolve("sum"), None);
}

#[tokio::test]
async fn an_unknown_name_gives_the_argument_back() {
    let pool = KernelPool::new(2).unwrap();
    let handle = pool.handle();
    // An alias of one kernel is not known in the pool.
    let aliased = pool.each(|kernel, _| async move {
        let session = Session::builder(0_u64).on(START, |cx, ()| cx.alias_set("local"));
        session.on(ADD, |cx, n| *cx.heap += n).create(&kernel)
    });
    within(aliased).await.unwrap();
    let refused = handle.post("local", ADD, 7).unwrap_err();
    assert!(refused.is_no_such_session());
    assert_eq!(refused.into_arg(), 7);
    let refused = within(handle.call("local", ADD, 8)).await.unwrap_err();
    assert!(refused.is_no_such_session(), "{refused:?}");
    assert_eq!(refused.into_arg(), Some(8));
    // Neither is a session of another kernel.
    let outside = Kernel::new();
    let stranger = Session::builder(()).on(START, |_, ()| ()).create(&outside).unwrap();
    assert_eq!(handle.post(stranger, ADD, 9).unwrap_err().into_arg(), 9);
}

#[tokio::test]
async fn a_name_is_taken_until_its_session_gives_it_up_or_ends() {
    let pool = KernelPool::new(2).unwrap();
    let handle = pool.handle();
    let create = |on: usize| {
        let failed = Arc::new(Mutex::new(None));
        let told = failed.clone();
        let created = pool.each(move |kernel, number| {
            let told = told.clone();
            async move {
                if number == on {
                    Session::builder(())
                        .on(START, move |cx, ()| {
                            let pool = pool_of(cx.kernel);
                            // Twice is as good as once.
                            let set = pool
                                .alias_set(cx.kernel, "one")
                                .and_then(|()| pool.alias_set(cx.kernel, "one"));
                            *told.lock().unwrap() = Some(set.map_err(|error| error.to_string()));
                        })
                        .on(END, |_, ()| ())
                        .on("give up", |cx, ()| {
                            assert!(pool_of(cx.kernel).alias_remove(cx.kernel, "one"));
                            assert!(!pool_of(cx.kernel).alias_remove(cx.kernel, "one"));
                        })
                        .create(&kernel)?;
                }
                Ok(())
            }
        });
        async move {
            within(created).await.unwrap();
            failed.lock().unwrap().take().unwrap()
        }
    };
    create(0).await.unwrap();
    let first = handle.resolve("one").unwrap();
    let error = create(1).await.unwrap_err();
    assert_eq!(error, format!("the alias `one` is taken by session {first}"));
    // Nothing else keeps the first one.
    handle.post("one", "give up", ()).unwrap();
    until(|| handle.resolve("one").is_none()).await;
    create(1).await.unwrap();
    let second = handle.resolve("one").unwrap();
    assert!(handle.kernel_of(second).unwrap().kernel_id() == handle.kernel(1).unwrap().kernel_id());
    // A signal stops it, and the name is free.
    handle.kernel(1).unwrap().signal(second, KERNEL_SHUTDOWN, ()).unwrap();
    until(|| handle.resolve("one").is_none()).await;
    assert!(handle.post("one", END, ()).unwrap_err().is_no_such_session());
}

#[tokio::test]
async fn only_sessions_of_the_pool_have_names_and_subscriptions() {
    let pool = KernelPool::new(1).unwrap();
    let (handle, other) = (pool.handle(), KernelPool::new(1).unwrap());
    let kernel = Kernel::new();
    let foreign = handle.clone();
    Session::builder(())
        .on(START, move |cx, ()| {
            assert!(PoolHandle::of(cx.kernel).is_none());
            assert!(foreign.alias_set(cx.kernel, "me").is_err());
            assert!(foreign.subscribe(cx.kernel, NEWS).is_err());
        })
        .create(&kernel)
        .unwrap();
    within(kernel.run()).await.unwrap();
    let foreign = handle.clone();
    let tried = other.each(move |kernel, _| {
        let foreign = foreign.clone();
        async move {
            let session = Session::builder(()).on(START, move |cx, ()| foreign.alias_set(cx.kernel, "me"));
            session.create(&kernel)
        }
    });
    within(tried).await.unwrap();
    let failure = within(other.next_failure()).await;
    assert!(
        failure.error.to_string().contains("does not belong to this pool"),
        "{failure}"
    );
    assert_eq!(handle.resolve("me"), None);
}

#[tokio::test]
async fn why_alive_names_the_entries_with_their_lines() {
    let pool = KernelPool::builder(1)
        .setup(|kernel, _| async move {
            Session::builder(())
                .on(START, |cx, ()| -> HandlerResult {
                    pool_of(cx.kernel).alias_set(cx.kernel, "desk")?;
                    Ok(pool_of(cx.kernel).subscribe(cx.kernel, NEWS)?)
                })
                .create(&kernel)
                .map(drop)
        })
        .start()
        .unwrap();
    let why = pool.each(|kernel, _| async move { Ok(kernel.why_alive().to_string()) });
    let why = within(why).await.unwrap().remove(0);
    assert!(
        why.contains("name in the pool `desk` (") && why.contains("pool_names.rs:"),
        "{why}"
    );
    assert!(why.contains("subscription in the pool `news` ("), "{why}");
}

/// What each subscriber has got.
type Got = Arc<Mutex<BTreeMap<usize, Vec<(usize, u32)>>>>;

#[tokio::test]
async fn published_values_reach_all_subscribers_in_the_publishers_order() {
    const VALUES: u32 = 200;
    let got = Got::default();
    let all = got.clone();
    let pool = KernelPool::builder(3)
        .setup(move |kernel, number| {
            let all = all.clone();
            async move {
                for twin in 0..2 {
                    let all = all.clone();
                    Session::builder(())
                        .on(START, |cx, ()| pool_of(cx.kernel).subscribe(cx.kernel, NEWS))
                        .on(NEWS, move |_, value| {
                            all.lock().unwrap().entry(2 * number + twin).or_default().push(value);
                        })
                        .create(&kernel)?;
                }
                Ok(())
            }
        })
        .start()
        .unwrap();
    // One publisher on each kernel, at the same time.
    let published = pool.each(|kernel, number| async move {
        Session::builder(0)
            .on(START, |cx, ()| cx.yield_to(END, ()))
            .on(END, move |cx, ()| {
                let published = pool_of(cx.kernel).publish(NEWS, (number, *cx.heap));
                assert_eq!((published.delivered, published.refused.len()), (6, 0));
                *cx.heap += 1;
                if *cx.heap < VALUES {
                    cx.yield_to(END, ());
                }
            })
            .create(&kernel)
    });
    within(published).await.unwrap();
    let is_all = || {
        let got = got.lock().unwrap();
        got.len() == 6 && got.values().all(|values| values.len() == 3 * VALUES as usize)
    };
    until(is_all).await;
    for (subscriber, values) in &*got.lock().unwrap() {
        for publisher in 0..3 {
            let from = values.iter().filter(|(from, _)| *from == publisher).map(|(_, n)| *n);
            assert!(from.eq(0..VALUES), "subscriber {subscriber} of {publisher}");
        }
    }
    assert!(within(pool.shutdown(Duration::from_secs(10))).await.is_clean());
}

#[tokio::test]
async fn a_full_inbox_gives_the_value_back() {
    let pool = KernelPool::builder(1)
        .kernel(|kernel| kernel.inbox_capacity(1))
        .start()
        .unwrap();
    let (blocked, block) = std::sync::mpsc::channel::<()>();
    let block = Arc::new(Mutex::new(block));
    let made = pool.each(move |kernel, _| {
        let block = block.clone();
        async move {
            let session = Session::builder(()).on(START, |cx, ()| pool_of(cx.kernel).subscribe(cx.kernel, NEWS));
            let session = session.on(NEWS, move |_, _| {
                // Until the test has gone on.
                let _ = block.lock().unwrap().recv();
            });
            session.create(&kernel)
        }
    });
    let session = within(made).await.unwrap()[0];
    let handle = pool.handle();
    // The first is being handled at some time, the second waits, and the next has no room.
    let refused = loop {
        let mut published = handle.publish(NEWS, (0, 7));
        if let Some(refused) = published.refused.pop() {
            break refused;
        }
    };
    assert_eq!(refused.0, session);
    assert!(refused.1.is_full());
    assert_eq!(refused.1.into_arg(), (0, 7));
    drop(blocked);
    within(pool.shutdown(Duration::from_secs(10))).await;
}

/// A step of a random program over two kernels with three sessions each.
#[derive(Clone, Debug)]
enum Step {
    Subscribe(usize, u8),
    Unsubscribe(usize, u8),
    Name(usize, u8),
    Unname(usize, u8),
    Stop(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let (who, what) = (0..6_usize, 0..3_u8);
    prop_oneof![
        (who.clone(), what.clone()).prop_map(|(who, topic)| Step::Subscribe(who, topic)),
        (who.clone(), what.clone()).prop_map(|(who, topic)| Step::Unsubscribe(who, topic)),
        (who.clone(), what.clone()).prop_map(|(who, name)| Step::Name(who, name)),
        (who.clone(), what).prop_map(|(who, name)| Step::Unname(who, name)),
        who.prop_map(Step::Stop),
    ]
}

const DO: Event<Step, bool> = Event::new("do");

async fn keeps_to_the_model(steps: Vec<Step>) {
    let pool = KernelPool::new(2).unwrap();
    let made = pool.each(|kernel, _| async move {
        let session = || {
            Session::builder(())
                .on(START, |cx, ()| cx.alias_set(&format!("session {}", cx.session_id())))
                .on(DO, |cx, step| {
                    let (pool, kernel) = (pool_of(cx.kernel), cx.kernel);
                    Reply(match step {
                        Step::Subscribe(_, topic) => pool.subscribe(kernel, format!("topic {topic}")).is_ok(),
                        Step::Unsubscribe(_, topic) => pool.unsubscribe(kernel, format!("topic {topic}")),
                        Step::Name(_, name) => pool.alias_set(kernel, &format!("name {name}")).is_ok(),
                        Step::Unname(_, name) => pool.alias_remove(kernel, &format!("name {name}")),
                        Step::Stop(_) => true,
                    })
                })
                .create(&kernel)
        };
        Ok(vec![session()?, session()?, session()?])
    });
    let sessions: Vec<SessionId> = within(made).await.unwrap().concat();
    let handle = pool.handle();
    let (mut alive, mut names, mut topics) = (
        BTreeSet::from_iter(0..6),
        BTreeMap::new(),
        BTreeMap::<u8, Vec<usize>>::new(),
    );
    for step in steps {
        let (Step::Subscribe(who, _)
        | Step::Unsubscribe(who, _)
        | Step::Name(who, _)
        | Step::Unname(who, _)
        | Step::Stop(who)) = step;
        if let Step::Stop(_) = step {
            if alive.remove(&who) {
                let (kernel, session) = (handle.kernel_of(sessions[who]).unwrap(), sessions[who]);
                let ended = kernel.ended(session);
                kernel.signal(session, "TERM", ()).unwrap();
                within(ended).await.unwrap();
                names.retain(|_, owner| *owner != who);
                topics
                    .values_mut()
                    .for_each(|known| known.retain(|known| *known != who));
            }
        } else {
            let done = within(handle.call(sessions[who], DO, step.clone())).await;
            let expected = match step {
                _ if !alive.contains(&who) => None,
                Step::Subscribe(_, topic) => {
                    let known = topics.entry(topic).or_default();
                    if !known.contains(&who) {
                        known.push(who);
                    }
                    Some(true)
                }
                Step::Unsubscribe(_, topic) => {
                    let known = topics.entry(topic).or_default();
                    let had = known.contains(&who);
                    known.retain(|known| *known != who);
                    Some(had)
                }
                Step::Name(_, name) => Some(*names.entry(name).or_insert(who) == who),
                Step::Unname(_, name) => Some(names.get(&name) == Some(&who) && names.remove(&name).is_some()),
                Step::Stop(_) => unreachable!("handled above"),
            };
            assert_eq!(done.ok(), expected, "{step:?}");
        }
        for name in 0..3 {
            let owner = names.get(&name).map(|who| sessions[*who]);
            assert_eq!(
                handle.resolve(&format!("name {name}")),
                owner,
                "name {name} after {step:?}"
            );
        }
        for topic in 0..3 {
            let published = handle.publish(&*format!("topic {topic}"), ());
            let expected = topics.get(&topic).map_or(0, Vec::len);
            assert_eq!(published.delivered, expected, "topic {topic} after {step:?}");
        }
    }
    assert!(within(pool.shutdown(Duration::from_secs(10))).await.is_clean());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn names_and_subscriptions_are_those_of_a_model(steps in proptest::collection::vec(step(), 1..40)) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(keeps_to_the_model(steps));
    }
}
