//! What other kernels may reach: published sessions and their events.

use crate::payload::Payload;
use crate::wire::{Params, WireError};
use poe::event::{Calls, EventName};
use poe::extend::{Called, LateReply, Nested};
use poe::{CallError, KernelRef, SessionId};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::any::TypeId;
use std::collections::HashMap;
use std::fmt;
use std::marker::PhantomData;
use std::rc::Rc;

/// The events of a session that other kernels may reach: what the closure of [`IkcBuilder::publish`](crate::IkcBuilder::publish) fills.
#[derive(Default)]
#[must_use = "it is returned from the closure"]
pub struct Publish {
    pub(crate) doors: HashMap<String, Rc<dyn Door>>,
}

impl Publish {
    /// Publishes an event, with the types of its key.
    ///
    /// A request whose value does not fit the argument's type is refused, and so is one whose handler takes another type. A call
    /// is replied to with what the handler returns. Perl's rule is that a call of a handler that returns nothing gets no reply; it
    /// holds for `()` on connections to Perl.
    ///
    /// A handler may [defer](poe::KernelRef::defer_reply) its reply; one that drops it is reported to the peer as a failure.
    pub fn event<A, R>(mut self, event: impl Calls<A, R>) -> Self
    where
        A: DeserializeOwned + 'static,
        R: Serialize + 'static,
    {
        let name: Rc<str> = event.name().into();
        let key = name.to_string();
        self.doors.insert(
            key,
            Rc::new(Typed::<A, R> {
                name,
                types: PhantomData,
            }),
        );
        self
    }
}

impl fmt::Debug for Publish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.doors.keys()).finish()
    }
}

/// A published event.
pub(crate) trait Door {
    /// Decodes a request's value.
    fn open(&self, params: &Params<'_>) -> Result<Box<dyn Request>, WireError>;
}

/// A request whose value is decoded.
pub(crate) trait Request {
    /// Runs the handler.
    fn run(self: Box<Self>, cx: &mut Nested<'_>, target: SessionId) -> Ran;
}

/// What came of a request: a reply, or why there is none.
pub(crate) type Ran = Result<Replied, String>;

pub(crate) enum Replied {
    /// `None` is unit.
    Now(Option<Box<dyn Payload>>),
    Later(Box<dyn Later>),
}

/// Takes a reply that comes later.
pub(crate) type TakeReply = Box<dyn FnOnce(Result<Option<Box<dyn Payload>>, String>)>;

/// A reply that comes later, of a type that is known only here.
pub(crate) trait Later {
    fn then(self: Box<Self>, kernel: KernelRef<'_>, take: TakeReply);
}

impl<R: Serialize + 'static> Later for LateReply<R> {
    fn then(self: Box<Self>, kernel: KernelRef<'_>, take: TakeReply) {
        LateReply::then(*self, kernel, |reply| match reply {
            Ok(reply) => take(Ok(as_payload(reply))),
            Err(error) => take(Err(describe(&error))),
        });
    }
}

fn as_payload<R: Serialize + 'static>(reply: R) -> Option<Box<dyn Payload>> {
    (TypeId::of::<R>() != TypeId::of::<()>()).then(|| Box::new(reply) as Box<dyn Payload>)
}

struct Typed<A, R> {
    name: Rc<str>,
    types: PhantomData<fn(A) -> R>,
}

impl<A: DeserializeOwned + 'static, R: Serialize + 'static> Door for Typed<A, R> {
    fn open(&self, params: &Params<'_>) -> Result<Box<dyn Request>, WireError> {
        Ok(Box::new(Decoded::<A, R> {
            name: self.name.clone(),
            arg: params.decode()?,
            reply: PhantomData,
        }))
    }
}

struct Decoded<A, R> {
    name: Rc<str>,
    arg: A,
    reply: PhantomData<fn() -> R>,
}

impl<A: 'static, R: Serialize + 'static> Request for Decoded<A, R> {
    fn run(self: Box<Self>, cx: &mut Nested<'_>, target: SessionId) -> Ran {
        match cx.try_call_late::<A, R>(target, &*self.name, self.arg) {
            Ok(Called::Replied(reply)) => Ok(Replied::Now(as_payload(reply))),
            Ok(Called::Late(reply)) => Ok(Replied::Later(Box::new(reply))),
            Err(error) => Err(describe(&error)),
        }
    }
}

fn describe<A>(error: &CallError<A>) -> String {
    match error.failure() {
        Some(failure) => failure.to_string(),
        None => error.to_string(),
    }
}

/// All that is published, by session.
#[derive(Default)]
pub(crate) struct Publications(HashMap<String, HashMap<String, Entry>>);

/// A published event, and the peers that may reach it: all if there is no list.
struct Entry {
    door: Rc<dyn Door>,
    peers: Option<Vec<String>>,
}

impl Entry {
    fn is_for(&self, names: &[String]) -> bool {
        match &self.peers {
            Some(peers) => names.iter().any(|name| peers.contains(name)),
            None => true,
        }
    }
}

/// Why a request does not get in; the texts are Perl's.
pub(crate) enum Closed {
    Session,
    Event,
}

impl Publications {
    pub(crate) fn add(&mut self, session: &str, publish: Publish) {
        let doors = publish
            .doors
            .into_iter()
            .map(|(name, door)| (name, Entry { door, peers: None }));
        self.0.entry(session.to_owned()).or_default().extend(doors);
    }

    /// Publishes events to one peer, and those to whom they are published already.
    pub(crate) fn add_for(&mut self, peer: &str, session: &str, publish: Publish) {
        let known = self.0.entry(session.to_owned()).or_default();
        for (name, door) in publish.doors {
            let before = known.remove(&name).map(|entry| entry.peers);
            let peers = match before {
                // To all.
                Some(None) => None,
                before => {
                    let mut peers = before.flatten().unwrap_or_default();
                    peers.push(peer.to_owned());
                    Some(peers)
                }
            };
            known.insert(name, Entry { door, peers });
        }
    }

    /// Takes events back, or the whole session; false if it was not published.
    pub(crate) fn retract(&mut self, session: &str, events: Option<&[&str]>) -> bool {
        let Some(events) = events else {
            return self.0.remove(session).is_some();
        };
        let Some(doors) = self.0.get_mut(session) else {
            return false;
        };
        let before = doors.len();
        doors.retain(|name, _| !events.contains(&&**name));
        let changed = doors.len() < before;
        if doors.is_empty() {
            self.0.remove(session);
        }
        changed
    }

    pub(crate) fn has(&self, session: &str, event: Option<&str>) -> bool {
        match (self.0.get(session), event) {
            (Some(doors), Some(event)) => doors.contains_key(event),
            (found, None) => found.is_some(),
            (None, _) => false,
        }
    }

    /// Whether a session, or an event of it, is published to a peer of these names.
    pub(crate) fn has_for(&self, names: &[String], session: &str, event: Option<&str>) -> bool {
        let doors = self.0.get(session);
        doors.is_some_and(|doors| match event {
            Some(event) => doors.get(event).is_some_and(|entry| entry.is_for(names)),
            None => doors.values().any(|entry| entry.is_for(names)),
        })
    }

    /// The event for a peer of these names.
    pub(crate) fn door(&self, names: &[String], session: &str, event: &str) -> Result<Rc<dyn Door>, Closed> {
        let doors = self.0.get(session).ok_or(Closed::Session)?;
        let entry = doors.get(event).filter(|entry| entry.is_for(names));
        entry.map(|entry| entry.door.clone()).ok_or(Closed::Event)
    }

    /// The sessions of which something is published to all peers.
    pub(crate) fn open_to_all(&self) -> Vec<String> {
        let is_open = |events: &HashMap<String, Entry>| events.values().any(|entry| entry.peers.is_none());
        let mut open: Vec<String> = self
            .0
            .iter()
            .filter(|(_, events)| is_open(events))
            .map(|(session, _)| session.clone())
            .collect();
        open.sort();
        open
    }

    pub(crate) fn all(&self) -> Vec<(String, Vec<String>)> {
        let names = |doors: &HashMap<String, Entry>| {
            let mut names: Vec<String> = doors.keys().cloned().collect();
            names.sort();
            names
        };
        let mut all: Vec<_> = self
            .0
            .iter()
            .map(|(session, doors)| (session.clone(), names(doors)))
            .collect();
        all.sort();
        all
    }
}
