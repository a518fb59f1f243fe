//! The session of a connection to a NATS server.
//!
//! It reads what the server sends, keeps this kernel's entry, and watches those of the others.

use super::client::Dialer;
use super::grid::Grid;
use super::intake::{self, Source};
use super::lease;
use super::presence::{self, Bucket, Record};
use super::store::Settled;
use crate::error::IkcError;
use crate::hub::Hub;
use crate::monitor::Occurrence;
use crate::sessions::{CLOSE, track};
use async_nats::jetstream::{self, kv};
use async_nats::{Message, Subscriber};
use futures_util::StreamExt as _;
use futures_util::stream;
use poe::event::{START, STOP};
use poe::extend::Nested;
use poe::{Context, Error, Event, OnFailure, Session, TaskId};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// How many messages are handled before the kernel does something else.
const BATCH: usize = 64;

/// How long the end of the session waits for the server.
const LINGER: Duration = Duration::from_secs(2);

/// What is published has changed.
pub(crate) const SYNC: Event<()> = Event::new("sync");
const MESSAGES: Event<Option<Vec<Message>>> = Event::new("messages");
const SUBSCRIBED: Event<(Name, [Option<Subscriber>; 2])> = Event::new("subscribed");
const ENTRY: Event<Option<Watched>> = Event::new("entry");
const WATCH: Event<()> = Event::new("watch");
const WATCHING: Event<Result<kv::Watch, IkcError>> = Event::new("watching");
const TICK: Event<()> = Event::new("tick");
const ANNOUNCED: Event<Result<Option<kv::Store>, String>> = Event::new("announced");
const HAPPENED: Event<Option<async_nats::Event>> = Event::new("happened");
const SETTLED: Event<Option<Vec<Settled>>> = Event::new("settled");
const LEFT: Event<()> = Event::new("left");

type Watched = Result<kv::Entry, kv::WatcherError>;
/// A session and an event of it.
type Name = (String, String);

/// What was set up before the session starts.
pub(super) struct Joined {
    pub(super) grid: Rc<Grid>,
    pub(super) bucket: Bucket,
    pub(super) kernels: kv::Store,
    pub(super) inbox: Subscriber,
    pub(super) watch: kv::Watch,
    pub(super) happened: mpsc::Receiver<async_nats::Event>,
    pub(super) durable: Option<Durable>,
    pub(super) lease_setup: Option<lease::Setup>,
}

impl Joined {
    pub(super) fn grid(&self) -> &Rc<Grid> {
        &self.grid
    }
}

/// What durable posts need.
pub(super) struct Durable {
    pub(super) context: jetstream::Context,
    pub(super) dialer: Dialer,
    pub(super) settled: mpsc::UnboundedReceiver<Settled>,
    pub(super) sources: Vec<Source>,
}

/// What is attached when the session starts.
struct Starting {
    inbox: Subscriber,
    watch: kv::Watch,
    happened: mpsc::Receiver<async_nats::Event>,
    durable: Option<Durable>,
    lease_setup: Option<lease::Setup>,
}

struct Link {
    hub: Rc<Hub>,
    grid: Rc<Grid>,
    bucket: Bucket,
    kernels: kv::Store,
    starting: Option<Starting>,
    /// What is published: the tasks that read the messages to any kernel and to all. None while the subscription is made.
    published: HashMap<Name, Option<[TaskId; 2]>>,
    watching: Option<TaskId>,
    /// Tasks that end when this kernel leaves.
    tasks: Vec<TaskId>,
    announcing: bool,
    /// When the server has taken this kernel's entry last, and when it has shown it.
    taken: Instant,
    shown: Instant,
    is_cut_off: bool,
    ticked: Instant,
    left: bool,
}

/// Starts the session, as a child of the responder's.
pub(super) fn start(cx: &mut Nested<'_>, hub: &Rc<Hub>, joined: Joined) -> Result<(), Error> {
    let Joined {
        grid,
        bucket,
        kernels,
        inbox,
        watch,
        happened,
        durable,
        lease_setup,
    } = joined;
    let now = Instant::now();
    let link = Link {
        hub: hub.clone(),
        grid: grid.clone(),
        bucket,
        kernels,
        starting: Some(Starting {
            inbox,
            watch,
            happened,
            durable,
            lease_setup,
        }),
        published: HashMap::new(),
        watching: None,
        tasks: Vec::new(),
        announcing: false,
        taken: now,
        shown: now,
        is_cut_off: false,
        ticked: now,
        left: false,
    };
    let id = cx.create(linking(link))?;
    grid.session.set(Some(id));
    track(**cx, hub, id);
    Ok(())
}

fn linking(link: Link) -> poe::SessionBuilder<Link> {
    Session::builder(link)
        .on_failure(OnFailure::StopSession)
        .on(START, |cx, ()| -> poe::HandlerResult {
            let Some(starting) = cx.heap.starting.take() else {
                return Ok(());
            };
            let Starting {
                inbox,
                watch,
                mut happened,
                durable,
                lease_setup,
            } = starting;
            let events = stream::poll_fn(move |cx| happened.poll_recv(cx));
            let wire = cx.heap.grid.wire.clone();
            cx.heap.tasks = vec![
                cx.attach(inbox.ready_chunks(BATCH), MESSAGES),
                cx.attach(events, HAPPENED),
                cx.spawn(wire.hand_on(), LEFT),
            ];
            cx.heap.watching = Some(cx.attach(watch, ENTRY));
            synchronize(cx);
            tick(cx);
            let (hub, grid) = (cx.heap.hub.clone(), cx.heap.grid.clone());
            if let (Some(leases), Some(setup)) = (&grid.leases, lease_setup) {
                lease::start(cx, &hub, leases, setup)?;
            }
            match durable {
                Some(durable) => start_durable(cx, durable),
                None => Ok(()),
            }
        })
        .on(MESSAGES, |cx, batch| {
            let (hub, grid) = (cx.heap.hub.clone(), cx.heap.grid.clone());
            for message in batch.unwrap_or_default() {
                cx.nested(|cx| grid.incoming(&hub, cx, &message));
            }
        })
        .on(SETTLED, |cx, settled| {
            for Settled { complete, result } in settled.into_iter().flatten() {
                cx.nested(|cx| complete(cx, result));
            }
        })
        .on(SYNC, |cx, ()| synchronize(cx))
        .on(SUBSCRIBED, |cx, (name, subscribers)| subscribed(cx, name, subscribers))
        .on(ENTRY, |cx, entry| match entry {
            Some(Ok(entry)) => entered(cx, &entry),
            Some(Err(error)) => tracing::debug!(target: "poe::ikc", "the watch of kernels on NATS: {error}"),
            None => {
                cx.heap.watching = None;
                cx.delay_set(WATCH, cx.heap.grid.presence / 3, ());
            }
        })
        .on(WATCH, |cx, ()| watch_again(cx))
        .on(WATCHING, |cx, watch| match watch {
            _ if cx.heap.left => {}
            Ok(watch) => {
                let before = cx.heap.watching.take();
                before.map(|task| cx.cancel(task));
                cx.heap.watching = Some(cx.attach(watch, ENTRY));
            }
            Err(error) => tracing::debug!(target: "poe::ikc", "{error}"),
        })
        .on(TICK, |cx, ()| tick(cx))
        .on(ANNOUNCED, |cx, announced| {
            cx.heap.announcing = false;
            match announced {
                Ok(opened) => {
                    cx.heap.taken = Instant::now();
                    cx.heap.is_cut_off = false;
                    if let Some(opened) = opened {
                        // The bucket was made anew, and the old watch sees nothing of it.
                        cx.heap.kernels = opened;
                        watch_again(cx);
                    }
                }
                Err(error) => tracing::debug!(target: "poe::ikc", "this kernel's entry on NATS: {error}"),
            }
        })
        .on(HAPPENED, |cx, event| {
            let Some(event) = event else { return };
            let operation = match &event {
                async_nats::Event::SlowConsumer(_) => "nats-overrun",
                // It is no error; that the others are there again is told with their names.
                async_nats::Event::Connected => return,
                async_nats::Event::Disconnected => "nats-connection",
                _ => "nats",
            };
            tell(cx, operation, event.to_string());
        })
        .on(CLOSE, |cx, ()| close(cx))
        .on(LEFT, |_, ()| {})
        .on(STOP, |cx, ()| {
            let (hub, grid) = (cx.heap.hub.clone(), cx.heap.grid.clone());
            cx.nested(|cx| grid.leave(&hub, cx));
            end_publisher(cx);
            drop(hub.grid.take());
        })
}

fn start_durable(cx: &mut Context<'_, Link>, durable: Durable) -> poe::HandlerResult {
    let Durable {
        context,
        dialer,
        mut settled,
        sources,
    } = durable;
    let (hub, grid) = (cx.heap.hub.clone(), cx.heap.grid.clone());
    if let Some(publisher) = &grid.publisher {
        let settled = stream::poll_fn(move |cx| settled.poll_recv(cx));
        let tasks = [
            cx.spawn(publisher.clone().run(dialer), LEFT),
            cx.attach(settled.ready_chunks(BATCH), SETTLED),
        ];
        cx.heap.tasks.extend(tasks);
    }
    for source in sources {
        intake::start(cx, &hub, &grid, &context, source)?;
    }
    Ok(())
}

/// Tells the senders of posts that are not stored yet.
fn end_publisher(cx: &mut Context<'_, Link>) {
    let unstored = cx.heap.grid.publisher.as_ref().map(|publisher| publisher.end());
    for Settled { complete, result } in unstored.into_iter().flatten() {
        cx.nested(|cx| complete(cx, result));
    }
}

fn tell(cx: &Context<'_, Link>, operation: &str, text: String) {
    let what = Occurrence::Error {
        operation: operation.to_owned(),
        text,
    };
    let hub = &cx.heap.hub;
    hub.monitors.tell(cx.kernel, &hub.own_names(), &what);
}

/// Subscribes to what is published now, and ends the subscriptions to what is not any more.
fn synchronize(cx: &mut Context<'_, Link>) {
    if cx.heap.left {
        return;
    }
    let all = cx.heap.hub.published.borrow().all();
    let wanted: Vec<Name> = all
        .into_iter()
        .flat_map(|(session, events)| events.into_iter().map(move |event| (session.clone(), event)))
        .collect();
    let gone: Vec<_> = cx
        .heap
        .published
        .extract_if(|name, tasks| tasks.is_some() && !wanted.contains(name))
        .collect();
    for task in gone.into_iter().filter_map(|(_, tasks)| tasks).flatten() {
        cx.cancel(task);
    }
    for name in wanted {
        if cx.heap.published.contains_key(&name) {
            continue;
        }
        cx.heap.published.insert(name.clone(), None);
        let wire = cx.heap.grid.wire.clone();
        let (session, event) = (super::subjects::token(&name.0), super::subjects::token(&name.1));
        let subscribing = async move {
            let any = format!("{}{session}.{event}", wire.subjects.any());
            let all = format!("{}{session}.{event}", wire.subjects.all());
            let any = wire.client.queue_subscribe(any, "poe".to_owned()).await.ok();
            let all = wire.client.subscribe(all).await.ok();
            (name, [any, all])
        };
        cx.spawn(subscribing, SUBSCRIBED);
    }
}

fn subscribed(cx: &mut Context<'_, Link>, name: Name, subscribers: [Option<Subscriber>; 2]) {
    let is_wanted = cx.heap.hub.published.borrow().has(&name.0, Some(&name.1));
    match subscribers {
        [Some(any), Some(all)] if is_wanted && !cx.heap.left => {
            let tasks = [any, all].map(|subscriber| cx.attach(subscriber.ready_chunks(BATCH), MESSAGES));
            cx.heap.published.insert(name, Some(tasks));
        }
        // Dropping a subscriber ends its subscription.
        _ => drop(cx.heap.published.remove(&name)),
    }
}

fn entered(cx: &mut Context<'_, Link>, entry: &kv::Entry) {
    if entry.key == cx.heap.grid.own_token() {
        cx.heap.shown = Instant::now();
        return;
    }
    let (hub, grid) = (cx.heap.hub.clone(), cx.heap.grid.clone());
    match entry.operation {
        kv::Operation::Put => grid.seen(&hub, cx.kernel, &entry.key, &entry.value),
        kv::Operation::Delete | kv::Operation::Purge => {
            cx.nested(|cx| grid.gone(&hub, cx, &entry.key, "it has left"));
        }
    }
}

fn watch_again(cx: &mut Context<'_, Link>) {
    if cx.heap.left {
        return;
    }
    let kernels = cx.heap.kernels.clone();
    cx.spawn(async move { presence::watch(&kernels).await }, WATCHING);
}

/// Puts the entry anew, and forgets kernels that are silent.
fn tick(cx: &mut Context<'_, Link>) {
    if cx.heap.left {
        return;
    }
    let (hub, grid, now) = (cx.heap.hub.clone(), cx.heap.grid.clone(), Instant::now());
    let period = grid.presence / 3;
    if now.duration_since(cx.heap.ticked) > period * 2 {
        grid.was_paused();
    }
    cx.heap.ticked = now;
    cx.nested(|cx| grid.expire(&hub, cx));
    if now.duration_since(cx.heap.taken) > grid.presence && !cx.heap.is_cut_off {
        cx.heap.is_cut_off = true;
        tell(
            cx,
            "nats-connection",
            format!("the server has not replied for {:?}", grid.presence),
        );
    }
    // A watch that has fallen asleep is started again.
    if cx.heap.taken.duration_since(cx.heap.shown) > grid.presence {
        cx.heap.shown = now;
        watch_again(cx);
    }
    if !cx.heap.announcing {
        cx.heap.announcing = true;
        let record = Record {
            names: hub.own_names(),
            pid: Some(std::process::id()),
        };
        let (kernels, bucket, key) = (
            cx.heap.kernels.clone(),
            cx.heap.bucket.clone(),
            grid.own_token().to_owned(),
        );
        let announcing = async move { announce(&kernels, &bucket, &key, &record, period).await };
        cx.spawn(announcing, ANNOUNCED);
    }
    cx.delay_set(TICK, period, ());
}

/// Puts an entry; returns the bucket if it had to be made anew.
async fn announce(
    kernels: &kv::Store,
    bucket: &Bucket,
    key: &str,
    record: &Record,
    limit: Duration,
) -> Result<Option<kv::Store>, String> {
    let put = async {
        if kernels.put(key, record.to_bytes()).await.is_ok() {
            return Ok(None);
        }
        let kernels = bucket.open().await.map_err(|error| error.to_string())?;
        let put = kernels.put(key, record.to_bytes()).await;
        put.map(|_| Some(kernels)).map_err(|error| error.to_string())
    };
    tokio::time::timeout(limit.max(Duration::from_secs(1)), put)
        .await
        .unwrap_or_else(|_| Err("the server does not reply".to_owned()))
}

/// Takes the entry back when everything is written; the session ends then.
fn close(cx: &mut Context<'_, Link>) {
    if std::mem::replace(&mut cx.heap.left, true) {
        return;
    }
    let (hub, grid) = (cx.heap.hub.clone(), cx.heap.grid.clone());
    cx.nested(|cx| grid.leave(&hub, cx));
    cx.alarm_remove_all();
    let (kernels, flushed, key) = (cx.heap.kernels.clone(), grid.clone(), grid.own_token().to_owned());
    let leaving = async move {
        let leave = async {
            flushed.flush().await;
            let _ = kernels.delete(&key).await;
        };
        let _ = tokio::time::timeout(LINGER, leave).await;
    };
    let mut tasks: Vec<_> = cx.heap.watching.take().into_iter().collect();
    tasks.extend(cx.heap.published.drain().filter_map(|(_, tasks)| tasks).flatten());
    for task in tasks {
        cx.cancel(task);
    }
    cx.spawn_then(leaving, |cx, ()| {
        end_publisher(cx);
        let tasks = std::mem::take(&mut cx.heap.tasks);
        for task in tasks {
            cx.cancel(task);
        }
    });
}
