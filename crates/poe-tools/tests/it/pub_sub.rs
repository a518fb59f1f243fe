//! PubSub: random publishers, subscribers and ends of sessions against a model; types, limits, posts from outside.

use crate::kit::{Log, virtually};
use poe::event::START;
use poe::{Event, KernelRef, Session, SessionId, testing};
use poe_tools::PubSub;
use proptest::prelude::*;
use std::cell::RefCell;
use std::rc::Rc;

const TOPICS: [&str; 3] = ["red", "green", "blue"];
const SESSIONS: usize = 4;

#[derive(Clone, Debug)]
enum Do {
    Publish(usize),
    PublishInput(usize),
    Rescind(usize),
    Subscribe(usize, bool),
    Unsubscribe(usize),
    Send(usize),
    /// The session is stopped, and another one takes its place.
    Die,
}

/// Who does what.
fn script() -> impl Strategy<Value = Vec<(usize, Do)>> {
    let topic = || 0..TOPICS.len();
    let act = prop_oneof![
        2 => topic().prop_map(Do::Publish),
        1 => topic().prop_map(Do::PublishInput),
        1 => topic().prop_map(Do::Rescind),
        3 => (topic(), any::<bool>()).prop_map(|(topic, second)| Do::Subscribe(topic, second)),
        1 => topic().prop_map(Do::Unsubscribe),
        6 => topic().prop_map(Do::Send),
        1 => Just(Do::Die),
    ];
    prop::collection::vec((0..SESSIONS, act), 1..60)
}

#[derive(Default)]
struct Model {
    /// The publisher of each topic, and whether it is an input.
    publishers: [Option<(usize, bool)>; 3],
    /// In the order of subscription, with the event.
    subscribers: [Vec<(usize, &'static str)>; 3],
    log: Vec<String>,
}

impl Model {
    /// Returns whether it is done, and logs what is received.
    fn act(&mut self, who: usize, what: &Do, value: usize) -> bool {
        match *what {
            Do::Publish(topic) | Do::PublishInput(topic) => {
                let input = matches!(what, Do::PublishInput(_));
                match self.publishers[topic] {
                    Some((other, _)) if other != who => return false,
                    // An input has no subscribers, so this forgets none.
                    Some(_) => self.publishers[topic] = None,
                    None => {}
                }
                if input && !self.subscribers[topic].is_empty() {
                    return false;
                }
                self.publishers[topic] = Some((who, input));
            }
            Do::Rescind(topic) => {
                let own = self.publishers[topic].is_some_and(|(session, _)| session == who);
                if own {
                    self.publishers[topic] = None;
                }
                return own;
            }
            Do::Subscribe(topic, second) => {
                if matches!(self.publishers[topic], Some((_, true))) {
                    return false;
                }
                let event = if second { "second" } else { "first" };
                let subscribers = &mut self.subscribers[topic];
                match subscribers.iter_mut().find(|(session, _)| *session == who) {
                    Some((_, old)) => *old = event,
                    None => subscribers.push((who, event)),
                }
            }
            Do::Unsubscribe(topic) => {
                let before = self.subscribers[topic].len();
                self.subscribers[topic].retain(|(session, _)| *session != who);
                return self.subscribers[topic].len() < before;
            }
            Do::Send(topic) => match self.publishers[topic] {
                Some((publisher, true)) => self.log.push(format!("{publisher} input {value}")),
                Some((publisher, false)) if publisher == who => {
                    let received = self.subscribers[topic]
                        .iter()
                        .map(|(session, event)| format!("{session} {event} {value}"));
                    self.log.extend(received);
                }
                _ => return false,
            },
            Do::Die => {
                for topic in 0..TOPICS.len() {
                    if self.publishers[topic].is_some_and(|(session, _)| session == who) {
                        self.publishers[topic] = None;
                    }
                    self.subscribers[topic].retain(|(session, _)| *session != who);
                }
            }
        }
        true
    }
}

/// Does the same with the component, and returns whether it was done.
fn act(bus: &PubSub, cx: &KernelRef<'_>, what: &Do, value: usize) -> bool {
    match *what {
        Do::Publish(topic) => bus.publish::<usize>(cx, TOPICS[topic]).is_ok(),
        Do::PublishInput(topic) => bus.publish_input::<usize>(cx, TOPICS[topic], "input").is_ok(),
        Do::Rescind(topic) => bus.rescind(cx, TOPICS[topic]).is_ok(),
        Do::Subscribe(topic, second) => {
            let event = if second { "second" } else { "first" };
            bus.subscribe::<usize>(cx, TOPICS[topic], event).is_ok()
        }
        Do::Unsubscribe(topic) => bus.unsubscribe(cx, TOPICS[topic]),
        Do::Send(topic) => match bus.send(cx, TOPICS[topic], value) {
            Ok(_) => true,
            Err(refused) => {
                assert!(refused.error().is_not_publisher() && refused.into_value() == value);
                false
            }
        },
        Do::Die => cx.signal(cx.session_id(), "KILL", ()).is_ok(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]
    #[test]
    fn what_is_sent_is_received_as_in_a_model(script in script()) {
        const ACT: Event<(usize, Do), bool> = Event::new("act");
        virtually(async {
            let kernel = testing::kernel();
            let (bus, log) = (PubSub::builder().start(&kernel).unwrap(), Log::default());
            let make = |number: usize| -> SessionId {
                let bus = bus.clone();
                let mut session = Session::builder(log.clone())
                    .on(START, move |cx, ()| cx.alias_set(&format!("session {number}")))
                    .on(ACT, move |cx, (value, what)| poe::Reply(act(&bus, cx, &what, value)));
                for event in ["first", "second", "input"] {
                    session = session.on(event, move |cx, value: usize| cx.heap.add(format!("{number} {event} {value}")));
                }
                session.create(&kernel).unwrap()
            };
            // Sessions that have aliases alone would be idle, and end with the run.
            Session::builder(()).on(START, |cx, ()| cx.delay("never", 1e6, ())).create(&kernel).unwrap();
            let mut sessions: Vec<SessionId> = (0..SESSIONS).map(make).collect();
            let mut model = Model::default();
            for (value, (who, what)) in script.into_iter().enumerate() {
                let done = kernel.call(sessions[who], ACT, (value, what.clone())).unwrap();
                assert_eq!(done, model.act(who, &what, value), "{what:?} by {who}");
                if let Do::Die = what {
                    testing::run_for(&kernel, std::time::Duration::from_millis(5)).await.unwrap();
                    sessions[who] = make(who);
                }
            }
            testing::run_for(&kernel, std::time::Duration::from_millis(5)).await.unwrap();
            assert_eq!(log.lines(), model.log);
        });
    }
}

#[test]
fn a_topic_has_one_type_and_its_tables_are_bounded() {
    virtually(async {
        let kernel = testing::kernel();
        let bus = PubSub::builder()
            .max_topics(2)
            .max_subscribers(1)
            .start(&kernel)
            .unwrap();
        let first = bus.clone();
        Session::builder(())
            .on(START, move |cx, ()| -> poe::HandlerResult {
                cx.alias_set("first")?;
                first.subscribe::<u32>(cx, "a", "got")?;
                first.publish::<String>(cx, "b")?;
                assert!(first.publish::<u32>(cx, "b").unwrap_err().is_other_type());
                let refused = first.send(cx, "b", 7_u32).unwrap_err();
                assert!(refused.error().to_string().contains("String"), "{refused}");
                assert!(first.publish::<u32>(cx, "c").unwrap_err().is_full());
                Ok(())
            })
            .create(&kernel)
            .unwrap();
        Session::builder(())
            .on(START, move |cx, ()| {
                assert!(bus.subscribe::<u32>(cx, "a", "got").unwrap_err().is_full());
                assert!(bus.publish::<String>(cx, "b").unwrap_err().is_taken());
                assert!(bus.rescind(cx, "b").unwrap_err().is_not_publisher());
                bus.publish::<u32>(cx, "a").unwrap();
                let info = bus
                    .topics()
                    .into_iter()
                    .map(|topic| (topic.name, topic.subscribers))
                    .collect::<Vec<_>>();
                assert_eq!(info, [("a".to_owned(), 1), ("b".to_owned(), 0)]);
            })
            .create(&kernel)
            .unwrap();
        kernel.run().await.unwrap();
    });
}

#[test]
fn a_post_to_the_alias_sends_and_other_sessions_than_the_publisher_are_refused() {
    const PRICE: Event<u32> = Event::new("price");
    virtually(async {
        let kernel = testing::kernel();
        let (bus, log) = (PubSub::builder().alias("bus").start(&kernel).unwrap(), Log::default());
        let (publisher, subscriber) = (bus.clone(), bus.clone());
        Session::builder(log.clone())
            .on(START, move |cx, ()| -> poe::HandlerResult {
                cx.alias_set("subscriber")?;
                subscriber.subscribe(cx, PRICE, "shown")?;
                cx.delay("later", 1.0, ());
                Ok(())
            })
            .on("later", |cx, ()| cx.post("bus", PRICE, 3).unwrap()) // not its own
            .on("shown", |cx, price: u32| {
                cx.heap.add(format!("{price} of {}", cx.sender()))
            })
            .create(&kernel)
            .unwrap();
        Session::builder(())
            .on(START, move |cx, ()| -> poe::HandlerResult {
                cx.alias_set("publisher")?;
                publisher.publish(cx, PRICE)?;
                Ok(cx.post("bus", PRICE, 1)?)
            })
            .create(&kernel)
            .unwrap();
        let handle = kernel.handle();
        std::thread::spawn(move || {
            handle.post("bus", PRICE, 2).unwrap();
            handle.post("bus", "price", "of another type").unwrap();
            handle.post("bus", "no topic", ()).unwrap();
        })
        .join()
        .unwrap();
        kernel.run().await.unwrap();
        let of = bus.session_id();
        assert_eq!(log.lines(), [format!("1 of {of}"), format!("2 of {of}")]);
        testing::assert_no_leaks(&kernel);
    });
}

#[test]
fn values_are_cloned_without_a_borrow_of_the_tables() {
    /// Subscribes when it is cloned.
    struct Sly(Rc<RefCell<Vec<usize>>>, PubSub);
    impl Clone for Sly {
        fn clone(&self) -> Self {
            self.0.borrow_mut().push(self.1.topics().len());
            Sly(self.0.clone(), self.1.clone())
        }
    }
    virtually(async {
        let kernel = testing::kernel();
        let bus = PubSub::builder().start(&kernel).unwrap();
        let seen = Rc::new(RefCell::new(Vec::new()));
        for n in 0..2 {
            let bus = bus.clone();
            Session::builder(())
                .on(START, move |cx, ()| {
                    cx.alias_set(&format!("subscriber {n}")).unwrap();
                    bus.subscribe::<Sly>(cx, "sly", "got").unwrap();
                })
                .on("got", |_, _: Sly| ())
                .create(&kernel)
                .unwrap();
        }
        let noted = seen.clone();
        Session::builder(())
            .on(START, move |cx, ()| {
                bus.publish::<Sly>(cx, "sly").unwrap();
                let sent = bus
                    .send(cx, "sly", Sly(noted.clone(), bus.clone()))
                    .map_err(|_| ())
                    .unwrap();
                assert_eq!(sent, 2);
                bus.shutdown(cx);
            })
            .create(&kernel)
            .unwrap();
        kernel.run().await.unwrap();
        assert_eq!(*seen.borrow(), [1]);
    });
}
