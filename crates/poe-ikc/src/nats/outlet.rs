//! The way of a message from this kernel to the server.

use super::subjects::{Subjects, token};
use crate::channel::{self, Undelivered};
use crate::hub::REPLY;
use crate::wire::Head;
use async_nats::jetstream::AckKind;
use async_nats::{Client, Subject};
use bytes::Bytes;
use futures_util::FutureExt as _;
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use tokio::sync::Notify;

/// Names that are addressed again and again have their subjects ready, up to this number for each kernel.
const MAX_KNOWN: usize = 1024;

/// A message on its way.
struct Out {
    subject: Subject,
    /// Tells the receiver who has sent it, and the server where to say that there is no receiver.
    reply: Option<Subject>,
    payload: Bytes,
}

/// The connection to the server, and what waits because the client's queue is full.
pub(crate) struct Wire {
    pub(crate) client: Client,
    pub(crate) subjects: Subjects,
    waiting: RefCell<VecDeque<Out>>,
    bytes: Cell<usize>,
    more: Notify,
    emptied: Notify,
}

impl Wire {
    pub(crate) fn new(client: Client, subjects: Subjects) -> Self {
        Wire {
            client,
            subjects,
            waiting: RefCell::default(),
            bytes: Cell::new(0),
            more: Notify::new(),
            emptied: Notify::new(),
        }
    }

    fn put(&self, out: Out, limit: usize) -> Result<(), Undelivered> {
        let longest = self.client.max_payload();
        if out.payload.len() > longest {
            return Err(Undelivered::TooLong(longest));
        }
        if self.waiting.borrow().is_empty() {
            // Almost always there is room, and the future is ready at once. One that is not has sent nothing.
            match publish(&self.client, &out).now_or_never() {
                Some(true) => return Ok(()),
                Some(false) => return Err(Undelivered::Closed),
                None => {}
            }
        }
        let bytes = self.bytes.get() + out.payload.len();
        if bytes > limit {
            return Err(Undelivered::Full);
        }
        self.bytes.set(bytes);
        self.waiting.borrow_mut().push_back(out);
        self.more.notify_one();
        Ok(())
    }

    /// Says what became of a durable post. As many of these wait as posts are in flight.
    pub(crate) fn acknowledge(&self, to: &Subject, kind: AckKind) {
        let out = Out {
            subject: to.clone(),
            reply: None,
            payload: kind.into(),
        };
        // Without it the post is delivered again.
        let _ = self.put(out, usize::MAX);
    }

    /// Hands on what waits, in order, as long as the client lives.
    pub(crate) async fn hand_on(self: Rc<Self>) {
        loop {
            let next = self.waiting.borrow().front().map(|out| Out {
                subject: out.subject.clone(),
                reply: out.reply.clone(),
                payload: out.payload.clone(),
            });
            let Some(out) = next else {
                self.emptied.notify_waiters();
                self.more.notified().await;
                continue;
            };
            if !publish(&self.client, &out).await {
                return;
            }
            self.bytes.set(self.bytes.get() - out.payload.len());
            self.waiting.borrow_mut().pop_front();
        }
    }

    /// Waits until everything is written to the server.
    pub(crate) async fn flush(&self) {
        while !self.waiting.borrow().is_empty() {
            self.emptied.notified().await;
        }
        let _ = self.client.flush().await;
    }
}

/// Whether the client has taken the message.
async fn publish(client: &Client, out: &Out) -> bool {
    let (subject, payload) = (out.subject.clone(), out.payload.clone());
    let sent = match &out.reply {
        Some(reply) => client.publish_with_reply(subject, reply.clone(), payload).await,
        None => client.publish(subject, payload).await,
    };
    sent.is_ok()
}

/// Subjects of a message, and where the server says that nobody takes it.
type Pair = (Subject, Subject);

/// The way to one kernel, to any, or to all.
pub(crate) struct Outlet {
    wire: Rc<Wire>,
    /// What precedes session and event.
    base: String,
    /// By session and event.
    known: RefCell<HashMap<String, HashMap<String, Pair>>>,
    count: Cell<usize>,
}

impl Outlet {
    pub(crate) fn new(wire: &Rc<Wire>, base: String) -> Self {
        Outlet {
            wire: wire.clone(),
            base,
            known: RefCell::default(),
            count: Cell::new(0),
        }
    }

    fn send(&self, head: &Head, payload: Bytes, limit: usize) -> Result<(), Undelivered> {
        let session = head.event.session().unwrap_or_default();
        let event = head.event.event().unwrap_or_default();
        let called = head.rsvp.as_ref().and_then(|rsvp| rsvp.event()?.strip_prefix(REPLY));
        let (subject, reply) = if event.starts_with(REPLY) {
            // Each is used once.
            let subject = format!("{}{}.{}", self.base, token(session), token(event)).into();
            (subject, self.wire.subjects.replies.clone())
        } else {
            let (subject, reply) = self.pair(session, event);
            match called {
                Some(number) => (subject, self.wire.subjects.reply_to_call(number)),
                None => (subject, reply),
            }
        };
        let out = Out {
            subject,
            reply: Some(reply),
            payload,
        };
        self.wire.put(out, limit)
    }

    fn pair(&self, session: &str, event: &str) -> Pair {
        let mut known = self.known.borrow_mut();
        if let Some(pair) = known.get(session).and_then(|events| events.get(event)) {
            return pair.clone();
        }
        let subject = format!("{}{}.{}", self.base, token(session), token(event));
        let reply = self.wire.subjects.reply_to_post(&subject);
        let pair: Pair = (subject.into(), reply);
        if self.count.get() >= MAX_KNOWN {
            known.clear();
            self.count.set(0);
        }
        self.count.set(self.count.get() + 1);
        let events = known.entry(session.to_owned()).or_default();
        events.insert(event.to_owned(), pair.clone());
        pair
    }
}

impl channel::Outlet for Outlet {
    fn put(&self, head: &Head, frame: Bytes, limit: usize) -> Result<(), Undelivered> {
        self.send(head, frame, limit)
    }
}
