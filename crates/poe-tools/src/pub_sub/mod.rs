//! Topics that sessions publish and subscribe to (POE::Component::PubSub).

mod error;

pub use error::{PubSubError, PubSubRefused};

use crate::life;
use error::PubSubErrorKind;
use poe::event::{DEFAULT, EventName, Posts, START, STOP};
use poe::extend::{Caller, Resource, Start};
use poe::inspect::Hold;
use poe::{AnyArg, Error, Kernel, KernelRef, Name, OnFailure, Session, SessionId};
use std::any::{TypeId, type_name};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::rc::{Rc, Weak};

/// Passes on what sessions publish to the sessions that have subscribed.
///
/// A topic is a name with a type: an [`Event`](poe::Event) constant, or a bare name. One session publishes it; what that session
/// [sends](Self::send) is posted to each subscriber, as an event that the subscriber has named, in the order of subscription. A session may subscribe
/// before the topic is published. With [`publish_input`](Self::publish_input) a topic leads the other way: from every session to its publisher.
///
/// Subscriptions keep no session alive. They end with their session, and topics with their publisher; subscribers stay, and get what the next
/// publisher sends. A post of the topic to the alias of this component sends as well, if it is made by the publisher or from outside of handlers, such as
/// by a [`KernelHandle`](poe::KernelHandle).
///
/// ```
/// use poe::{Event, Kernel, Session, event::START};
/// use poe_tools::PubSub;
/// const PRICE: Event<(String, u32)> = Event::new("price");
/// const SHOW: Event<(String, u32)> = Event::new("show");
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), poe::Error> {
/// let kernel = Kernel::new();
/// let bus = PubSub::builder().start(&kernel)?;
/// let prices = bus.clone();
/// for name in ["ticker", "chart"] {
///     let bus = bus.clone();
///     Session::builder(())
///         .on(START, move |cx, ()| -> poe::HandlerResult {
///             cx.alias_set(name)?;
///             Ok(bus.subscribe(cx, PRICE, SHOW)?)
///         })
///         .on(SHOW, move |_, (paper, price)| println!("{name}: {paper} at {price}"))
///         .create(&kernel)?;
/// }
/// Session::builder(())
///     .on(START, move |cx, ()| -> poe::HandlerResult {
///         prices.publish(cx, PRICE)?;
///         assert_eq!(prices.send(cx, PRICE, ("ACME".to_owned(), 7))?, 2);
///         Ok(())
///     })
///     .create(&kernel)?;
/// kernel.run().await
/// # }
/// ```
#[doc(alias = "POE::Component::PubSub")]
#[derive(Clone)]
pub struct PubSub {
    session: SessionId,
    topics: Rc<Topics>,
}

/// A subscriber, and the event that it has named.
type Subscribers = Vec<(SessionId, Name)>;

/// Posts a value to each; returns it if it is of another type.
type Fan = fn(&KernelRef<'_>, &Subscribers, AnyArg) -> Result<usize, AnyArg>;

#[derive(Default)]
struct Topics {
    by_name: RefCell<BTreeMap<String, Topic>>,
    max_topics: usize,
    max_subscribers: usize,
    closed: Cell<bool>,
}

struct Topic {
    type_id: TypeId,
    type_name: &'static str,
    publisher: Option<Publisher>,
    /// Shared with a sender, whose values are cloned while the table may change.
    subscribers: Rc<Subscribers>,
}

struct Publisher {
    session: SessionId,
    /// Every session may send, and the publisher gets it.
    input: bool,
    fan: Fan,
}

/// What a [`PubSub`] knows of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TopicInfo {
    /// Its name.
    pub name: String,
    /// The session that publishes it.
    pub publisher: Option<SessionId>,
    /// It leads to its publisher.
    pub is_input: bool,
    /// How many sessions get what is sent.
    pub subscribers: usize,
}

impl PubSub {
    /// Starts building one.
    pub fn builder() -> PubSubBuilder {
        PubSubBuilder {
            alias: None,
            max_topics: 1024,
            max_subscribers: 4096,
        }
    }

    /// Publishes a topic, for which the running session alone sends.
    ///
    /// # Errors
    /// Another session publishes it; it is subscribed to with another type; there are too many topics; this component was shut down.
    pub fn publish<T: Clone + 'static>(&self, cx: &KernelRef<'_>, topic: impl Posts<T>) -> Result<(), PubSubError> {
        self.topics.publish::<T>(cx.session_id(), topic.name(), None)
    }

    /// Publishes a topic for which every session may send. What is sent is posted to the running session as `event`.
    ///
    /// # Errors
    /// As [`publish`](Self::publish), and if sessions have subscribed to the topic.
    #[doc(alias = "PUBLISH_INPUT")]
    pub fn publish_input<T: Clone + 'static>(
        &self,
        cx: &KernelRef<'_>,
        topic: impl Posts<T>,
        event: impl Posts<T>,
    ) -> Result<(), PubSubError> {
        let event = Name::from(event.name());
        self.topics.publish::<T>(cx.session_id(), topic.name(), Some(event))
    }

    /// Ends the publication of a topic of the running session. Subscribers stay.
    ///
    /// # Errors
    /// The running session does not publish it.
    pub fn rescind(&self, cx: &KernelRef<'_>, topic: impl EventName) -> Result<(), PubSubError> {
        let name = topic.name();
        let mut topics = self.topics.by_name.borrow_mut();
        match topics.get_mut(name) {
            Some(topic) if topic.is_of(cx.session_id()) => topic.rescind(),
            _ => return Err(PubSubError::new(name, PubSubErrorKind::NotPublisher)),
        }
        drop(topics);
        self.topics.sweep();
        Ok(())
    }

    /// Has what is sent for a topic posted to the running session as `event`. A later call for the topic replaces the event.
    ///
    /// # Errors
    /// The topic has another type, or is an input; there are too many topics or subscribers; this component was shut down.
    pub fn subscribe<T: 'static>(
        &self,
        cx: &KernelRef<'_>,
        topic: impl Posts<T>,
        event: impl Posts<T>,
    ) -> Result<(), PubSubError> {
        let (limit, session) = (self.topics.max_subscribers, cx.session_id());
        let event = Name::from(event.name());
        self.topics.with::<T, _>(topic.name(), |topic| {
            if topic.publisher.as_ref().is_some_and(|publisher| publisher.input) {
                return Err(PubSubErrorKind::Input);
            }
            let subscribers = Rc::make_mut(&mut topic.subscribers);
            let count = subscribers.len();
            match subscribers.iter_mut().find(|(id, _)| *id == session) {
                Some((_, old)) => *old = event,
                None if count >= limit => return Err(PubSubErrorKind::TooManySubscribers(limit)),
                None => subscribers.push((session, event)),
            }
            Ok(())
        })
    }

    /// Ends a subscription of the running session; false if there is none.
    #[doc(alias = "cancel")]
    pub fn unsubscribe(&self, cx: &KernelRef<'_>, topic: impl EventName) -> bool {
        let mut topics = self.topics.by_name.borrow_mut();
        let ended = topics
            .get_mut(topic.name())
            .is_some_and(|topic| topic.unsubscribe(cx.session_id()));
        drop(topics);
        self.topics.sweep();
        ended
    }

    /// Posts a value to all subscribers, or to the publisher of an input; returns to how many.
    ///
    /// # Errors
    /// The topic is not published, or not by the running session, or with another type. The error gives the value back.
    #[track_caller]
    pub fn send<T: Clone + 'static>(
        &self,
        cx: &KernelRef<'_>,
        topic: impl Posts<T>,
        value: T,
    ) -> Result<usize, PubSubRefused<T>> {
        let found = self.topics.found(cx, cx.session_id(), topic.name());
        let found = found.and_then(|found| match found.type_id == TypeId::of::<T>() {
            true => Ok(found.subscribers),
            false => Err(PubSubErrorKind::OtherType(found.type_name)),
        });
        match found {
            Ok(subscribers) => Ok(post_all(cx, &subscribers, value)),
            Err(kind) => Err(PubSubRefused {
                error: PubSubError::new(topic.name(), kind),
                value,
            }),
        }
    }

    /// Returns the topics, by name.
    #[doc(alias = "listing")]
    #[must_use]
    pub fn topics(&self) -> Vec<TopicInfo> {
        let topics = self.topics.by_name.borrow();
        let info = |(name, topic): (&String, &Topic)| TopicInfo {
            name: name.clone(),
            publisher: topic.publisher.as_ref().map(|publisher| publisher.session),
            is_input: topic.publisher.as_ref().is_some_and(|publisher| publisher.input),
            subscribers: topic.subscribers.len(),
        };
        topics.iter().map(info).collect()
    }

    /// Ends all topics and subscriptions, with an event ([`SHUTDOWN`](crate::SHUTDOWN)).
    #[doc(alias = "destroy")]
    #[track_caller]
    pub fn shutdown(&self, cx: &KernelRef<'_>) {
        // It may have ended.
        let _ = cx.post(self.session, crate::SHUTDOWN, ());
    }

    /// Returns its session.
    #[must_use]
    pub fn session_id(&self) -> SessionId {
        self.session
    }
}

impl fmt::Debug for PubSub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PubSub")
            .field("session", &self.session)
            .field("topics", &self.topics())
            .finish()
    }
}

impl Topic {
    fn is_of(&self, session: SessionId) -> bool {
        self.publisher
            .as_ref()
            .is_some_and(|publisher| publisher.session == session)
    }

    fn rescind(&mut self) {
        if self.publisher.take().is_some_and(|publisher| publisher.input) {
            // Its one subscriber was the publisher.
            self.subscribers = Rc::default();
        }
    }

    fn unsubscribe(&mut self, session: SessionId) -> bool {
        let is_input = self.publisher.as_ref().is_some_and(|publisher| publisher.input);
        let found = !is_input && self.subscribers.iter().any(|(id, _)| *id == session);
        if found {
            Rc::make_mut(&mut self.subscribers).retain(|(id, _)| *id != session);
        }
        found
    }
}

impl Topics {
    /// Finds or makes a topic of a type.
    fn with<T: 'static, R>(
        &self,
        name: &str,
        f: impl FnOnce(&mut Topic) -> Result<R, PubSubErrorKind>,
    ) -> Result<R, PubSubError> {
        let failed = |kind| PubSubError::new(name, kind);
        if self.closed.get() {
            return Err(failed(PubSubErrorKind::Closed));
        }
        let done = {
            let mut topics = self.by_name.borrow_mut();
            if !topics.contains_key(name) && topics.len() >= self.max_topics {
                return Err(failed(PubSubErrorKind::TooManyTopics(self.max_topics)));
            }
            let topic = topics.entry(name.to_owned()).or_insert_with(|| Topic {
                type_id: TypeId::of::<T>(),
                type_name: type_name::<T>(),
                publisher: None,
                subscribers: Rc::default(),
            });
            match topic.type_id == TypeId::of::<T>() {
                true => f(topic),
                false => Err(PubSubErrorKind::OtherType(topic.type_name)),
            }
        };
        self.sweep();
        done.map_err(failed)
    }

    fn publish<T: Clone + 'static>(
        &self,
        session: SessionId,
        name: &str,
        input: Option<Name>,
    ) -> Result<(), PubSubError> {
        self.with::<T, _>(name, |topic| {
            match &topic.publisher {
                Some(publisher) if publisher.session != session => {
                    return Err(PubSubErrorKind::Taken(publisher.session));
                }
                // It publishes in another way from now on.
                Some(_) => topic.rescind(),
                None => {}
            }
            if input.is_some() && !topic.subscribers.is_empty() {
                return Err(PubSubErrorKind::Subscribed);
            }
            topic.publisher = Some(Publisher {
                session,
                input: input.is_some(),
                fan: fan::<T>,
            });
            if let Some(event) = input {
                topic.subscribers = Rc::new(vec![(session, event)]);
            }
            Ok(())
        })
    }

    /// Looks up a topic for which a session may send.
    fn found(&self, cx: &KernelRef<'_>, from: SessionId, name: &str) -> Result<Found, PubSubErrorKind> {
        let topics = self.by_name.borrow();
        let topic = topics.get(name).ok_or(PubSubErrorKind::NotPublished)?;
        let publisher = topic.publisher.as_ref().ok_or(PubSubErrorKind::NotPublished)?;
        // Code outside of handlers may send for every session.
        match publisher.input || publisher.session == from || from == cx.kernel_id() {
            true => Ok(Found {
                type_id: topic.type_id,
                type_name: topic.type_name,
                fan: publisher.fan,
                subscribers: topic.subscribers.clone(),
            }),
            false => Err(PubSubErrorKind::NotPublisher),
        }
    }

    /// Removes topics that nobody publishes or subscribes to.
    fn sweep(&self) {
        let mut topics = self.by_name.borrow_mut();
        topics.retain(|_, topic| topic.publisher.is_some() || !topic.subscribers.is_empty());
    }

    fn forget(&self, session: SessionId) {
        for topic in self.by_name.borrow_mut().values_mut() {
            if topic.is_of(session) {
                topic.rescind();
            }
            topic.unsubscribe(session);
        }
        self.sweep();
    }
}

/// What is needed to send, while the tables may change.
struct Found {
    type_id: TypeId,
    type_name: &'static str,
    fan: Fan,
    subscribers: Rc<Subscribers>,
}

fn fan<T: Clone + 'static>(cx: &KernelRef<'_>, subscribers: &Subscribers, value: AnyArg) -> Result<usize, AnyArg> {
    Ok(post_all(cx, subscribers, value.downcast::<T>()?))
}

fn post_all<T: Clone + 'static>(cx: &KernelRef<'_>, subscribers: &Subscribers, value: T) -> usize {
    let Some(((last, last_event), others)) = subscribers.split_last() else {
        return 0;
    };
    let mut sent = 0;
    for (session, event) in others {
        sent += usize::from(cx.post(*session, event, value.clone()).is_ok());
    }
    sent + usize::from(cx.post(*last, last_event, value).is_ok())
}

/// All of a kernel, which are notified of the end of each session.
#[derive(Default)]
struct Buses(RefCell<Vec<Weak<Topics>>>);

impl Resource for Buses {
    fn holds(&self, _: SessionId, _: &mut Vec<Hold>) {}

    fn clear(&self, session: SessionId) {
        for bus in self.0.borrow().iter().filter_map(Weak::upgrade) {
            bus.forget(session);
        }
    }
}

/// Configures a [`PubSub`].
///
/// | setting | default |
/// |---|---|
/// | [`alias`](Self::alias) | one that is made of the session's number |
/// | [`max_topics`](Self::max_topics) | 1024 |
/// | [`max_subscribers`](Self::max_subscribers) | 4096 of a topic |
#[derive(Debug)]
#[must_use = "nothing happens until `start` is called"]
pub struct PubSubBuilder {
    alias: Option<String>,
    max_topics: usize,
    max_subscribers: usize,
}

impl PubSubBuilder {
    /// Sets the alias of its session, to which topics can be posted.
    pub fn alias(mut self, alias: impl Into<String>) -> Self {
        self.alias = Some(alias.into());
        self
    }

    /// Sets how many topics there may be.
    pub fn max_topics(mut self, topics: usize) -> Self {
        self.max_topics = topics;
        self
    }

    /// Sets how many sessions may subscribe to a topic.
    pub fn max_subscribers(mut self, subscribers: usize) -> Self {
        self.max_subscribers = subscribers;
        self
    }

    /// Starts it, below the kernel.
    ///
    /// # Errors
    /// The alias is taken; a handler is running (use [`cx.start(builder)`](poe::Context::start)); the kernel is shutting down.
    #[track_caller]
    pub fn start(self, kernel: &Kernel) -> Result<PubSub, Error> {
        self.start_by(&mut { kernel })
    }
}

impl Start for PubSubBuilder {
    type Started = PubSub;

    #[track_caller]
    fn start_by(self, caller: &mut impl Caller) -> Result<PubSub, Error> {
        let topics = Rc::new(Topics {
            max_topics: self.max_topics,
            max_subscribers: self.max_subscribers,
            ..Topics::default()
        });
        let alias = self.alias;
        let session = Session::builder(topics.clone())
            .on_failure(OnFailure::StopSession)
            .on(START, move |cx, ()| {
                let buses = cx.resource::<Buses>();
                let mut buses = buses.0.borrow_mut();
                buses.retain(|bus| bus.strong_count() > 0);
                buses.push(Rc::downgrade(&cx.heap));
                life::begin(cx, alias.as_deref(), "publish and subscribe")
            })
            .on(DEFAULT, |cx, unhandled| {
                let name = &unhandled.event;
                let found = cx.heap.found(cx, cx.sender(), name);
                let sent = found.and_then(|found| {
                    let sent = (found.fan)(cx, &found.subscribers, unhandled.arg);
                    sent.map_err(|_| PubSubErrorKind::OtherType(found.type_name))
                });
                if let Err(kind) = sent
                    && !name.starts_with('_')
                {
                    let error = PubSubError::new(name, kind);
                    tracing::warn!(target: "poe::tools", "a post to a PubSub is lost: {error}");
                }
            })
            .on(STOP, |cx, ()| cx.heap.close());
        let session = life::ends(session, |cx| {
            cx.heap.close();
            life::end(cx);
        });
        let session = caller.create(session)?;
        Ok(PubSub { session, topics })
    }
}

impl Topics {
    fn close(&self) {
        self.closed.set(true);
        self.by_name.borrow_mut().clear();
    }
}
