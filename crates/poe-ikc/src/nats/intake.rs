//! Durable posts on their way from the server to handlers.
//!
//! A session asks the server for as many posts as it has room for, handles them, and says what became of each.

use super::grid::Grid;
use super::subjects::token;
use crate::Specifier;
use crate::error::INVOCATION;
use crate::hub::Hub;
use crate::monitor::Occurrence;
use crate::publish::{Replied, TakeReply};
use crate::sessions::CLOSE;
use crate::wire::Format;
use async_nats::Subject;
use async_nats::header::NATS_MESSAGE_ID;
use async_nats::jetstream::consumer::{AckPolicy, PullConsumer, pull};
use async_nats::jetstream::{self, AckKind};
use futures_util::StreamExt as _;
use futures_util::stream;
use poe::component::Backoff;
use poe::event::{START, STOP};
use poe::{Context, Event, OnFailure, Session};
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

/// How many posts are handled before the kernel does something else.
const BATCH: usize = 32;

/// How long the server keeps a request for posts.
const PULL: Duration = Duration::from_secs(5);

/// How a kernel takes the durable posts to a session: for [`IkcNats::take`](super::IkcNats::take).
///
/// A post is acknowledged when its handler has returned without a failure, or has sent the reply that it has deferred. Otherwise, and if the kernel dies meanwhile, it is delivered
/// again, here or to another kernel that takes the session's posts.
///
/// | setting | default |
/// |---|---|
/// | [`in_flight`](Self::in_flight) | 64 posts at a time |
/// | [`in_order`](Self::in_order) | several posts are under way in all kernels together |
/// | [`patience`](Self::patience) | 30 s until a post that is not acknowledged is delivered again |
/// | [`tries`](Self::tries) | 5 until a post is a dead letter |
/// | [`backoff`](Self::backoff) | 0.5 s, 1 s, 2 s … up to 60 s between tries |
#[derive(Clone, Debug)]
#[must_use = "give it to `IkcNats::take`"]
pub struct Take {
    in_flight: usize,
    in_order: bool,
    patience: Duration,
    tries: u32,
    backoff: Backoff,
}

impl Default for Take {
    fn default() -> Self {
        Take {
            in_flight: 64,
            in_order: false,
            patience: Duration::from_secs(30),
            tries: 5,
            backoff: Backoff::new()
                .first(Duration::from_millis(500))
                .longest(Duration::from_secs(60))
                .attempts(u32::MAX),
        }
    }
}

impl Take {
    /// Makes one with the defaults.
    pub fn new() -> Self {
        Take::default()
    }

    /// Sets how many posts this kernel has at a time. The others stay with the server.
    pub fn in_flight(mut self, posts: usize) -> Self {
        self.in_flight = posts.max(1);
        self
    }

    /// Handles one post at a time in all kernels together, so that each is over before the next begins, failures and
    /// repetitions included.
    pub fn in_order(mut self) -> Self {
        self.in_order = true;
        self
    }

    /// Sets after which time a post that is not acknowledged is delivered again.
    ///
    /// It must be longer than the handlers of as many posts as are in flight take together.
    pub fn patience(mut self, limit: Duration) -> Self {
        self.patience = limit.max(Duration::from_millis(100));
        self
    }

    /// Sets how often a post is tried until it becomes a dead letter.
    pub fn tries(mut self, tries: u32) -> Self {
        self.tries = tries.max(1);
        self
    }

    /// Sets the waits between tries.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }
}

/// Which posts a session takes: those to any kernel, or those to this one.
#[derive(Clone)]
pub(super) struct Source {
    pub(super) stream: String,
    pub(super) consumer: String,
    pub(super) filter: String,
    pub(super) take: Take,
}

impl Source {
    pub(super) fn any(prefix: &str, session: &str, take: &Take) -> Self {
        let session = token(session);
        Source {
            stream: format!("{prefix}-posts"),
            consumer: format!("any-{session}"),
            filter: format!("{prefix}.post.any.{session}.>"),
            take: take.clone(),
        }
    }

    pub(super) fn own(prefix: &str, kernel: &str, session: &str, take: &Take) -> Self {
        let (kernel, session) = (token(kernel), token(session));
        Source {
            stream: format!("{prefix}-posts"),
            consumer: format!("to-{kernel}-{session}"),
            filter: format!("{prefix}.post.to.{kernel}.{session}.>"),
            take: take.clone(),
        }
    }

    async fn open(&self, context: &jetstream::Context) -> Result<PullConsumer, async_nats::Error> {
        let config = pull::Config {
            durable_name: Some(self.consumer.clone()),
            filter_subject: self.filter.clone(),
            ack_policy: AckPolicy::Explicit,
            ack_wait: self.take.patience,
            max_deliver: -1,
            max_ack_pending: if self.take.in_order { 1 } else { 20_000 },
            ..pull::Config::default()
        };
        Ok(context.create_consumer_on_stream(config, &*self.stream).await?)
    }
}

/// A durable post as its handler sees it: see [`Ikc::delivery`](crate::Ikc::delivery).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Delivery {
    /// The ID that the sender gave it, or one that no other post has.
    pub id: String,
    /// Its number among all durable posts of the server, as in [`Stored`](super::Stored).
    pub sequence: u64,
    /// How often it has been delivered, this time included. A server that was killed may have forgotten some.
    pub tries: u32,
}

/// A post as it comes from the server.
struct Arrival {
    message: async_nats::Message,
    /// Where to say what became of it.
    ack: Subject,
    sequence: u64,
    tries: u32,
}

const ARRIVED: Event<Option<Vec<Arrival>>> = Event::new("arrived");
/// What the server knows of a consumer is asked for this often while IDs are remembered.
const SWEEPS: u32 = 4;

const REPLIED: Event<Option<(String, Result<(), String>)>> = Event::new("replied");
const PROGRESS: Event<()> = Event::new("progress");
const ENDED: Event<()> = Event::new("ended");

struct Intake {
    hub: Rc<Hub>,
    grid: Rc<Grid>,
    context: jetstream::Context,
    source: Source,
    /// Posts that were asked for and are not over.
    room: Rc<Room>,
    /// Posts whose handlers have deferred their replies, by where to say what became of them.
    deferred: HashMap<String, Arrival>,
    replies: mpsc::UnboundedSender<(String, Result<(), String>)>,
    replied: Option<mpsc::UnboundedReceiver<(String, Result<(), String>)>>,
    replying: Option<poe::TaskId>,
    closes: bool,
    /// What ends when no more posts are taken.
    tasks: Vec<poe::TaskId>,
}

/// How many posts may be asked for.
struct Room {
    free: std::cell::Cell<usize>,
    more: Notify,
}

impl Room {
    fn give_back(&self, posts: usize) {
        self.free.set(self.free.get() + posts);
        self.more.notify_one();
    }
}

/// Starts a session that takes posts.
pub(super) fn start<H: 'static>(
    cx: &mut Context<'_, H>,
    hub: &Rc<Hub>,
    grid: &Rc<Grid>,
    context: &jetstream::Context,
    source: Source,
) -> Result<(), poe::Error> {
    grid.intakes.set(grid.intakes.get() + 1);
    let room = Rc::new(Room {
        free: std::cell::Cell::new(if source.take.in_order { 1 } else { source.take.in_flight }),
        more: Notify::new(),
    });
    let (replies, replied) = mpsc::unbounded_channel();
    let intake = Intake {
        hub: hub.clone(),
        grid: grid.clone(),
        context: context.clone(),
        source,
        room,
        deferred: HashMap::new(),
        replies,
        replied: Some(replied),
        replying: None,
        closes: false,
        tasks: Vec::new(),
    };
    let id = cx.create(taking(intake))?;
    crate::sessions::track(cx.kernel, hub, id);
    Ok(())
}

fn taking(intake: Intake) -> poe::SessionBuilder<Intake> {
    Session::builder(intake)
        .on_failure(OnFailure::StopSession)
        .on(START, |cx, ()| {
            let (sender, mut receiver) = mpsc::unbounded_channel();
            if let Some(mut replied) = cx.heap.replied.take() {
                let replies = stream::poll_fn(move |cx| replied.poll_recv(cx));
                cx.heap.replying = Some(cx.attach(replies, REPLIED));
            }
            cx.delay_set(PROGRESS, cx.heap.source.take.patience / 3, ());
            let fetching = fetch(
                cx.heap.context.clone(),
                cx.heap.source.clone(),
                cx.heap.room.clone(),
                sender,
            );
            let sweeping = sweep(cx.heap.context.clone(), cx.heap.source.clone());
            cx.heap.tasks = vec![cx.spawn(fetching, ENDED), cx.spawn(sweeping, ENDED)];
            let arrivals = stream::poll_fn(move |cx| receiver.poll_recv(cx));
            cx.attach(arrivals.ready_chunks(BATCH), ARRIVED);
        })
        .on(ARRIVED, |cx, arrivals| {
            let is_last = arrivals.is_none();
            for arrival in arrivals.into_iter().flatten() {
                deliver(cx, arrival);
            }
            if is_last {
                close_if_done(cx);
            }
        })
        .on(REPLIED, |cx, replied| {
            if let Some((ack, done)) = replied
                && let Some(arrival) = cx.heap.deferred.remove(&ack)
            {
                settled(cx, arrival, done);
            }
            close_if_done(cx);
        })
        // A reply may be owed for longer than the server waits.
        .on(PROGRESS, |cx, ()| {
            for arrival in cx.heap.deferred.values() {
                cx.heap.grid.wire.acknowledge(&arrival.ack, AckKind::Progress);
            }
            if !cx.heap.closes {
                cx.delay_set(PROGRESS, cx.heap.source.take.patience / 3, ());
            }
        })
        .on(ENDED, |_, ()| {})
        // What has come is still handled.
        .on(CLOSE, |cx, ()| {
            cx.heap.closes = true;
            cx.alarm_remove_all();
            let tasks = std::mem::take(&mut cx.heap.tasks);
            for task in tasks {
                cx.cancel(task);
            }
        })
        .on(STOP, |cx, ()| {
            let grid = &cx.heap.grid;
            grid.intakes.set(grid.intakes.get() - 1);
            grid.intake_ended.notify_waiters();
        })
}

/// When no more posts come, and no reply is owed any more, the session ends.
fn close_if_done(cx: &mut Context<'_, Intake>) {
    if cx.heap.closes
        && cx.heap.deferred.is_empty()
        && let Some(task) = cx.heap.replying.take()
    {
        cx.cancel(task);
    }
}

/// Asks for posts, as many as there is room for, until it is cancelled.
async fn fetch(context: jetstream::Context, source: Source, room: Rc<Room>, arrivals: mpsc::UnboundedSender<Arrival>) {
    let pause = Duration::from_millis(250);
    loop {
        let consumer = match source.open(&context).await {
            Ok(consumer) => consumer,
            Err(error) => {
                tracing::debug!(target: "poe::ikc", "the consumer `{}` on NATS: {error}", source.consumer);
                tokio::time::sleep(pause).await;
                continue;
            }
        };
        while pull(&consumer, &room, &arrivals).await {}
        tokio::time::sleep(pause).await;
    }
}

/// Asks once; false if the consumer is to be opened again.
async fn pull(consumer: &PullConsumer, room: &Room, arrivals: &mpsc::UnboundedSender<Arrival>) -> bool {
    while room.free.get() == 0 {
        room.more.notified().await;
    }
    let batch = consumer.batch().max_messages(room.free.get()).expires(PULL).messages();
    let Ok(mut batch) = batch.await else { return false };
    loop {
        // The server ends the request in time; one that is gone does not.
        let next = tokio::time::timeout(PULL + Duration::from_secs(2), batch.next()).await;
        match next {
            Ok(Some(Ok(message))) => {
                let info = message.info().map(|info| (info.stream_sequence, info.delivered));
                let Ok((sequence, delivered)) = info else { continue };
                let (message, ack) = (message.message.clone(), message.reply.clone());
                let Some(ack) = ack else { continue };
                room.free.set(room.free.get().saturating_sub(1));
                let arrival = Arrival {
                    message,
                    ack,
                    sequence,
                    tries: u32::try_from(delivered).unwrap_or(u32::MAX),
                };
                if arrivals.send(arrival).is_err() {
                    return false;
                }
            }
            Ok(None) => return true,
            Ok(Some(Err(_))) | Err(_) => return false,
        }
    }
}

/// Deletes posts that are handled, when their IDs need not be known any more. All kernels that take the posts do it.
async fn sweep(context: jetstream::Context, source: Source) {
    let mut floors: VecDeque<(Instant, u64)> = VecDeque::new();
    let mut window = Duration::from_secs(1);
    let mut swept = 0;
    loop {
        tokio::time::sleep(window / SWEEPS).await;
        let asked = Instant::now();
        let Ok(stream) = context.get_stream(&*source.stream).await else {
            continue;
        };
        window = stream
            .cached_info()
            .config
            .duplicate_window
            .max(Duration::from_millis(100));
        let consumer = stream.consumer_info(&*source.consumer).await;
        floors.extend(consumer.ok().map(|info| (asked, info.ack_floor.stream_sequence)));
        let mut old = None;
        while floors.front().is_some_and(|(asked, _)| asked.elapsed() > window) {
            old = floors.pop_front();
        }
        let Some((_, floor)) = old.filter(|(_, floor)| *floor > swept) else {
            continue;
        };
        let purged = stream.purge().filter(&*source.filter).sequence(floor + 1).await;
        if purged.is_ok() {
            swept = floor;
        }
    }
}

/// Runs the handler of a post, and says what became of it.
fn deliver(cx: &mut Context<'_, Intake>, arrival: Arrival) {
    let (hub, grid) = (cx.heap.hub.clone(), cx.heap.grid.clone());
    let tries = cx.heap.source.take.tries;
    if arrival.tries > 1 {
        hub.count(|counters| counters.durable_redelivered += 1);
    }
    if arrival.tries > tries {
        // Its handler has ended the process each time, or took too long.
        bury(cx, arrival, "it was not acknowledged in any of its tries".to_owned());
        return;
    }
    let payload = arrival.message.payload.clone();
    let id = arrival
        .message
        .headers
        .as_ref()
        .and_then(|headers| headers.get(NATS_MESSAGE_ID));
    let delivery = Delivery {
        id: id.map(|id| id.as_str().to_owned()).unwrap_or_default(),
        sequence: arrival.sequence,
        tries: arrival.tries,
    };
    let before = grid.delivery.replace(Some(delivery));
    let outcome = hub.codec.read(Format::MsgPack, &payload, |head, params| {
        let from = head.from.as_ref().and_then(Specifier::kernel).map(token);
        cx.nested(|cx| {
            let channel = grid.channel_of(&hub, cx, from.as_deref().unwrap_or_default());
            hub.request(cx, &channel, &head, params)
        })
    });
    grid.delivery.replace(before);
    match outcome {
        Ok(Ok(Replied::Now(_))) => settled(cx, arrival, Ok(())),
        Ok(Ok(Replied::Later(reply))) => {
            let (replies, ack) = (cx.heap.replies.clone(), arrival.ack.clone());
            cx.heap.deferred.insert(ack.to_string(), arrival);
            let take: TakeReply = Box::new(move |reply| {
                let _ = replies.send((ack.to_string(), reply.map(drop)));
            });
            reply.then(cx.kernel, take);
        }
        Ok(Err(refusal)) => settled(cx, arrival, Err(format!("{} ({})", refusal.text, refusal.phase))),
        Err(error) => bury(cx, arrival, format!("it is not a message ({INVOCATION}): {error}")),
    }
}

/// A handler is done with a post, perhaps later.
fn settled(cx: &mut Context<'_, Intake>, arrival: Arrival, done: Result<(), String>) {
    let (hub, grid) = (cx.heap.hub.clone(), cx.heap.grid.clone());
    let take = &cx.heap.source.take;
    match done {
        Ok(()) => {
            hub.count(|counters| counters.durable_handled += 1);
            grid.wire.acknowledge(&arrival.ack, AckKind::Ack);
        }
        Err(text) => {
            let wait = take.backoff.wait(arrival.tries).unwrap_or_default();
            let is_last = arrival.tries >= take.tries;
            failed(cx, &text);
            if is_last {
                return bury(cx, arrival, text);
            }
            grid.wire.acknowledge(&arrival.ack, AckKind::Nak(Some(wait)));
        }
    }
    cx.heap.room.give_back(1);
}

fn failed(cx: &Context<'_, Intake>, text: &str) {
    let hub = &cx.heap.hub;
    hub.count(|counters| counters.refused += 1);
    let what = Occurrence::Error {
        operation: "durable".to_owned(),
        text: text.to_owned(),
    };
    hub.monitors.tell(cx.kernel, &hub.own_names(), &what);
}

/// Puts a post to the dead letters, and takes it off the stream when that is done. If it fails, the post is delivered again.
fn bury(cx: &mut Context<'_, Intake>, arrival: Arrival, reason: String) {
    tracing::warn!(target: "poe::ikc", "a durable post to {} becomes a dead letter: {reason}", arrival.message.subject);
    let (context, grid) = (cx.heap.context.clone(), cx.heap.grid.clone());
    let Arrival {
        message, ack, tries, ..
    } = arrival;
    let burying = async move {
        let subject = grid.dead_subject(&message.subject)?;
        let mut headers = message.headers.unwrap_or_default();
        let plain: String = reason.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        headers.insert("Poe-Reason", &*plain);
        headers.insert("Poe-Tries", tries.to_string());
        let stored = context
            .publish_with_headers(subject, headers, message.payload)
            .await
            .ok()?;
        stored.await.ok()?;
        grid.wire.acknowledge(&ack, AckKind::Term);
        Some(())
    };
    cx.spawn_then(burying, |cx, buried| {
        if buried.is_some() {
            cx.heap.hub.count(|counters| counters.dead_letters += 1);
        }
        cx.heap.room.give_back(1);
    });
}
