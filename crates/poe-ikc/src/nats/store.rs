//! Durable posts on their way to the server, which stores them.
//!
//! The posts of a kernel are stored in the order in which they were made, whatever happens to the connection. So they have a
//! connection of their own that never reconnects by itself: after each trouble a new one is made, and everything that was not
//! acknowledged is sent again from the oldest on. What the server has stored already it knows by its ID. Until the first acknowledgement
//! on a connection only the oldest post is sent, because a server that has just started refuses some.

use super::client::Dialer;
use super::subjects::token;
use crate::error::{RemoteError, RemoteErrorKind, SendErrorKind};
use async_nats::jetstream::publish::PublishAck;
use async_nats::jetstream::response::Response;
use async_nats::jetstream::{self, stream};
use async_nats::{Client, HeaderMap, Message, Subject, Subscriber};
use bytes::Bytes;
use futures_util::StreamExt as _;
use poe::component::Backoff;
use poe::extend::Nested;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep, sleep_until};

/// How many posts may be unacknowledged on a connection.
const WINDOW: usize = 512;

/// How long the server may take to acknowledge the oldest post until the connection is made anew.
const PATIENCE: Duration = Duration::from_secs(4);

/// How often is looked for posts whose time is over.
const CHECK: Duration = Duration::from_millis(250);

/// The error of a stream that has no more room: code 10077, "maximum bytes exceeded", and 10076 of an account.
const FULL: [u64; 3] = [10_077, 10_047, 10_002];

/// Where durable posts are stored until they are handled: for [`IkcNats::durable`](super::IkcNats::durable).
///
/// The kernel that joins first makes the streams, with its settings. Those of a stream that exists are not changed.
///
/// | setting | default |
/// |---|---|
/// | [`max_bytes`](Self::max_bytes) | 1 GiB; posts beyond it are errors of the sender |
/// | [`replicas`](Self::replicas) | 1 |
/// | [`duplicates`](Self::duplicates) | 2 min in which a post with the same ID is not stored again, and handled posts take up room |
/// | [`dead_letters`](Self::dead_letters) | 7 days |
/// | [`max_unstored`](Self::max_unstored) | 16 384 posts that wait for the server |
#[derive(Clone, Debug)]
#[must_use = "give it to `IkcNats::durable`"]
pub struct Store {
    max_bytes: i64,
    replicas: usize,
    duplicates: Duration,
    dead_letters: Duration,
    pub(super) max_unstored: usize,
}

impl Default for Store {
    fn default() -> Self {
        Store {
            max_bytes: 1024 * 1024 * 1024,
            replicas: 1,
            duplicates: Duration::from_secs(120),
            dead_letters: Duration::from_secs(7 * 24 * 3600),
            max_unstored: 16_384,
        }
    }
}

impl Store {
    /// Makes one with the defaults.
    pub fn new() -> Self {
        Store::default()
    }

    /// Sets how many bytes of posts may be stored. Further posts are errors of their senders.
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = bytes.try_into().unwrap_or(i64::MAX);
        self
    }

    /// Sets on how many servers of a NATS cluster each post is stored.
    pub fn replicas(mut self, servers: usize) -> Self {
        self.replicas = servers.max(1);
        self
    }

    /// Sets for how long the server recognizes a post with an ID that it has stored. It keeps posts as long, although they are handled.
    pub fn duplicates(mut self, window: Duration) -> Self {
        self.duplicates = window;
        self
    }

    /// Sets how long dead letters are kept.
    pub fn dead_letters(mut self, age: Duration) -> Self {
        self.dead_letters = age;
        self
    }

    /// Sets how many posts of this kernel may wait to be stored; more is an error of the sender.
    pub fn max_unstored(mut self, posts: usize) -> Self {
        self.max_unstored = posts;
        self
    }

    /// Makes the streams that are not there yet.
    pub(super) async fn open(&self, context: &jetstream::Context, prefix: &str) -> Result<(), async_nats::Error> {
        let posts = stream::Config {
            name: format!("{prefix}-posts"),
            subjects: vec![format!("{prefix}.post.>")],
            // Not a work queue: that forgets an ID with its post, and a server that was started again would store it once more. So handled
            // posts stay until their IDs need not be known any more, and those who have handled them sweep them away.
            retention: stream::RetentionPolicy::Limits,
            discard: stream::DiscardPolicy::New,
            max_bytes: self.max_bytes,
            num_replicas: self.replicas,
            duplicate_window: self.duplicates,
            ..stream::Config::default()
        };
        let dead = stream::Config {
            name: format!("{prefix}-dead"),
            subjects: vec![format!("{prefix}.dead.>")],
            max_bytes: self.max_bytes,
            max_age: self.dead_letters,
            num_replicas: self.replicas,
            duplicate_window: self.duplicates.min(self.dead_letters),
            ..stream::Config::default()
        };
        for config in [posts, dead] {
            context.get_or_create_stream(config).await?;
        }
        Ok(())
    }
}

/// A durable post that the server has stored: the argument of the event of [`DurablePost::post`](super::DurablePost::post).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stored {
    /// The ID of the post.
    pub id: String,
    /// Its number among all durable posts of the server.
    pub sequence: u64,
    /// The server had it already: a post with this ID was stored before, perhaps by a repetition of this one.
    pub duplicate: bool,
}

type Outcome = Result<Stored, RemoteErrorKind>;
/// What becomes of a post.
pub(super) type Complete = Box<dyn FnOnce(&mut Nested<'_>, Result<Stored, RemoteError>)>;

/// A post that the server has not acknowledged.
struct Entry {
    id: String,
    to: String,
    subject: Subject,
    payload: Bytes,
    headers: HeaderMap,
    deadline: Instant,
    /// None if it is over, and older ones are not.
    complete: Option<Complete>,
}

/// A post that is over.
pub(super) struct Settled {
    pub(super) complete: Complete,
    pub(super) result: Result<Stored, RemoteError>,
}

/// The posts that are to be stored, oldest first.
pub(crate) struct Publisher {
    prefix: String,
    own: String,
    max: usize,
    queue: RefCell<VecDeque<Entry>>,
    /// The number of the oldest entry. Each post has the next one.
    first: Cell<u64>,
    serial: Cell<u64>,
    more: Notify,
    emptied: Notify,
    settled: mpsc::UnboundedSender<Settled>,
}

/// A post as its sender makes it.
pub(super) struct NewPost {
    pub(super) id: Option<String>,
    pub(super) to: crate::Specifier,
    pub(super) payload: Bytes,
    pub(super) headers: HeaderMap,
    pub(super) timeout: Duration,
    pub(super) complete: Complete,
}

impl Publisher {
    pub(super) fn new(prefix: &str, own: &str, max: usize, settled: mpsc::UnboundedSender<Settled>) -> Self {
        Publisher {
            prefix: prefix.to_owned(),
            own: own.to_owned(),
            max,
            queue: RefCell::default(),
            first: Cell::new(0),
            serial: Cell::new(0),
            more: Notify::new(),
            emptied: Notify::new(),
            settled,
        }
    }

    pub(super) fn add(&self, post: NewPost) -> Result<(), SendErrorKind> {
        let mut queue = self.queue.borrow_mut();
        if queue.len() >= self.max {
            return Err(SendErrorKind::Full(self.max));
        }
        self.serial.set(self.serial.get() + 1);
        let id = post.id.unwrap_or_else(|| format!("{}-{}", self.own, self.serial.get()));
        let to = &post.to;
        let way = match to.kernel() {
            Some("*") | None => "any".to_owned(),
            Some(kernel) => format!("to.{}", token(kernel)),
        };
        let (session, event) = (to.session().unwrap_or_default(), to.event().unwrap_or_default());
        let subject = format!("{}.post.{way}.{}.{}", self.prefix, token(session), token(event));
        let mut headers = post.headers;
        headers.insert(async_nats::header::NATS_MESSAGE_ID, &*id);
        queue.push_back(Entry {
            id,
            to: to.to_string(),
            subject: subject.into(),
            payload: post.payload,
            headers,
            deadline: Instant::now() + post.timeout,
            complete: Some(post.complete),
        });
        drop(queue);
        self.more.notify_one();
        Ok(())
    }

    /// Waits until nothing waits.
    pub(super) async fn flush(&self) {
        while !self.queue.borrow().is_empty() {
            self.emptied.notified().await;
        }
    }

    /// Takes the posts that will not be stored any more.
    pub(super) fn end(&self) -> Vec<Settled> {
        let unstored = self.queue.take().into_iter().filter_map(|entry| {
            Some(Settled {
                complete: entry.complete?,
                result: Err(RemoteError::new(&*entry.to, RemoteErrorKind::Unacknowledged)),
            })
        });
        unstored.collect()
    }

    /// Stores posts as long as it is polled.
    pub(super) async fn run(self: Rc<Self>, dialer: Dialer) {
        let backoff = Backoff::new()
            .first(Duration::from_millis(50))
            .longest(Duration::from_secs(2))
            .attempts(u32::MAX);
        let mut failures = 0;
        loop {
            if self.queue.borrow().is_empty() {
                self.more.notified().await;
                continue;
            }
            let connected = tokio::time::timeout(PATIENCE, connect(&dialer)).await;
            if let Ok(Ok((client, acks, inbox))) = connected {
                let stored = self.store(&client, acks, &inbox).await;
                failures = if stored { 0 } else { failures + 1 };
            } else {
                failures += 1;
            }
            self.expire();
            sleep(backoff.wait(failures.max(1)).unwrap_or(PATIENCE)).await;
        }
    }

    /// Stores posts on a connection until there is trouble; returns whether any was stored.
    async fn store(&self, client: &Client, mut acks: Subscriber, inbox: &str) -> bool {
        let mut next = self.first.get();
        let mut stored = false;
        let mut heard = Instant::now();
        let mut check = heard + CHECK;
        loop {
            let window = if stored { WINDOW as u64 } else { 1 };
            next = next.max(self.first.get());
            if self.queue.borrow().is_empty() {
                // What is sent later has its own patience.
                heard = Instant::now();
            }
            while next < self.first.get() + window && self.send(client, inbox, next).await {
                next += 1;
            }
            if client.connection_state() != async_nats::connection::State::Connected {
                return stored;
            }
            tokio::select! {
                ack = acks.next() => {
                    let Some(ack) = ack else { return stored };
                    heard = Instant::now();
                    match self.acknowledged(&ack, inbox) {
                        true => stored = true,
                        false => return stored,
                    }
                }
                () = self.more.notified() => {}
                () = sleep_until(check) => {
                    check = Instant::now() + CHECK;
                    self.expire();
                    if !self.queue.borrow().is_empty() && heard.elapsed() >= PATIENCE {
                        return stored;
                    }
                }
            }
        }
    }

    /// Sends the post with that number; false if there is none, or the connection is over.
    async fn send(&self, client: &Client, inbox: &str, number: u64) -> bool {
        let sending = {
            let queue = self.queue.borrow();
            let Some(entry) = usize::try_from(number - self.first.get())
                .ok()
                .and_then(|at| queue.get(at))
            else {
                return false;
            };
            if entry.complete.is_none() {
                return true;
            }
            let reply = format!("{inbox}.{number}");
            let (subject, headers, payload) = (entry.subject.clone(), entry.headers.clone(), entry.payload.clone());
            client.publish_with_reply_and_headers(subject, reply, headers, payload)
        };
        match sending.await {
            Ok(()) => true,
            Err(error) if error.kind() == async_nats::client::PublishErrorKind::MaxPayloadExceeded => {
                let text = "it is longer than the server takes".to_owned();
                self.settle(number, Err(RemoteErrorKind::NotStored { text, is_full: false }));
                true
            }
            Err(_) => false,
        }
    }

    /// The server's reply to a post; false if the connection is to be made anew.
    fn acknowledged(&self, ack: &Message, inbox: &str) -> bool {
        let number = ack
            .subject
            .strip_prefix(inbox)
            .and_then(|rest| rest.strip_prefix('.')?.parse().ok());
        let Some(number) = number else { return true };
        if ack.status.is_some() {
            // There is no stream: the server is not ready, or it was deleted.
            return false;
        }
        let id = |at: u64| {
            let at = at.checked_sub(self.first.get()).and_then(|at| usize::try_from(at).ok());
            at.and_then(|at| self.queue.borrow().get(at).map(|entry| entry.id.clone()))
                .unwrap_or_default()
        };
        match serde_json::from_slice::<Response<PublishAck>>(&ack.payload) {
            Ok(Response::Ok(stored)) => {
                let stored = Stored {
                    id: id(number),
                    sequence: stored.sequence,
                    duplicate: stored.duplicate,
                };
                self.settle(number, Ok(stored));
                true
            }
            Ok(Response::Err { error }) => {
                let is_full = FULL.contains(&error.error_code().0);
                // The server is not ready for anybody.
                if error.code() >= 500 && !is_full {
                    return false;
                }
                let text = error.to_string();
                self.settle(number, Err(RemoteErrorKind::NotStored { text, is_full }));
                true
            }
            Err(_) => false,
        }
    }

    fn expire(&self) {
        let now = Instant::now();
        let first = self.first.get();
        let late: Vec<u64> = (first..)
            .zip(self.queue.borrow().iter())
            .filter(|(_, entry)| entry.complete.is_some() && entry.deadline <= now)
            .map(|(number, _)| number)
            .collect();
        for number in late {
            self.settle(number, Err(RemoteErrorKind::Unacknowledged));
        }
    }

    /// A post is over.
    fn settle(&self, number: u64, result: Outcome) {
        let mut queue = self.queue.borrow_mut();
        let at = number
            .checked_sub(self.first.get())
            .and_then(|at| usize::try_from(at).ok());
        let Some(entry) = at.and_then(|at| queue.get_mut(at)) else {
            return;
        };
        if let Some(complete) = entry.complete.take() {
            let result = result.map_err(|kind| RemoteError::new(&*entry.to, kind));
            let _ = self.settled.send(Settled { complete, result });
        }
        while queue.front().is_some_and(|entry| entry.complete.is_none()) {
            queue.pop_front();
            self.first.set(self.first.get() + 1);
        }
        if queue.is_empty() {
            self.emptied.notify_waiters();
        }
    }
}

async fn connect(dialer: &Dialer) -> Result<(Client, Subscriber, String), async_nats::Error> {
    let client = dialer.once().await?;
    let inbox = client.new_inbox();
    let acks = client.subscribe(format!("{inbox}.*")).await?;
    client.flush().await?;
    Ok((client, acks, inbox))
}
