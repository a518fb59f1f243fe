//! The inside of an `Ikc`: its tables, and the way of a message to its connections.

use crate::bounds::{Bounds, Counters};
use crate::calls::{Call, Calls, Complete};
use crate::channel::{Channel, Put, TikcTable, Undelivered};
#[cfg(feature = "nats")]
use crate::error::Refusal;
use crate::error::{RemoteErrorKind, SendErrorKind};
use crate::monitor::{Monitors, Occurrence};
use crate::net::{Incoming, Redial};
use crate::payload::{Encoders, Payload};
use crate::publish::Publications;
use crate::specifier::{AddressError, Specifier};
use crate::trace::{self, TraceContext};
use crate::wire::{Codec, Form, Format, Head, PROXY, Peer};
#[cfg(feature = "nats")]
use crate::wire::{Fence, WireError};
use bytes::{Bytes, BytesMut};
use poe::Event;
use poe::extend::Nested;
use poe::{KernelHandle, KernelRef, SessionId};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// Kernels that share one connection, as the tables know them.
#[cfg(feature = "nats")]
pub(crate) trait Cluster: std::any::Any {
    /// The way to any kernel that publishes an event.
    fn any(&self) -> &Rc<Channel>;
    /// The way to all that do.
    fn all(&self) -> &Rc<Channel>;
    /// The connection to the kernel that holds a name.
    fn number_of_holder(&self, name: &str) -> Option<u64>;
    /// Refuses a message of a holder if a later one has been heard of.
    fn admit(&self, fence: &Fence) -> Result<(), Refusal>;
    /// Refuses a message to a name that this kernel does not hold; returns the lease of one that it holds.
    fn addressed(&self, name: &str) -> Result<Option<Fence>, Refusal>;
    /// Makes what is published reachable.
    fn publish_again(&self, kernel: KernelRef<'_>);
}

/// Creates a session, with nothing of the hub borrowed.
#[cfg(feature = "nats")]
pub(crate) type Creation = Box<dyn FnOnce(&mut Nested<'_>) -> Result<(), poe::Error>>;

/// What is to be done in the responder's session, because it needs the kernel.
pub(crate) enum Job {
    /// A message to this kernel itself.
    Loop(Bytes),
    /// A listening socket, or a connection.
    Start(Incoming),
    /// A connection is over: its listener may accept another one, or it is to be made again.
    Gone {
        listener: Option<SessionId>,
        redial: Option<Box<Redial>>,
    },
    /// Frames of a connection wait to be written.
    Flush(Rc<Channel>),
    /// A call was made, or the last one is over: set or remove the timer.
    Timer,
    Unsubscribe(Specifier),
    /// A handler has sent the reply that it owed.
    Replied(Rc<Channel>, Box<Head>, Result<Option<Box<dyn Payload>>, String>),
    Shutdown,
    /// Sessions that were set up outside of handlers.
    #[cfg(feature = "nats")]
    Create(Creation),
    /// What is published has changed.
    #[cfg(feature = "nats")]
    Published,
}

pub(crate) const WORK: Event<()> = Event::new("work");

/// Ends a proxy.
pub(crate) const END: Event<()> = Event::new("_ikc_end");

/// A post to a kernel that is not connected.
struct Waiting {
    head: Head,
    payload: Box<dyn Payload>,
}

pub(crate) struct Hub {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) aliases: Vec<String>,
    pub(crate) formats: Vec<Format>,
    pub(crate) bounds: Bounds,
    pub(crate) codec: Codec,
    pub(crate) trace: TraceContext,
    pub(crate) published: RefCell<Publications>,
    pub(crate) encoders: RefCell<Encoders>,
    pub(crate) monitors: Monitors,
    pub(crate) calls: RefCell<Calls>,
    pub(crate) counters: Cell<Counters>,
    /// Proxies by their address, `poe://kernel/session`, with the connection that they use.
    pub(crate) proxies: RefCell<HashMap<String, (SessionId, u64)>>,
    /// Connections that may be addressed, and the one to this kernel itself, by number.
    channels: RefCell<BTreeMap<u64, Rc<Channel>>>,
    names: RefCell<HashMap<String, u64>>,
    /// The first kernel that connected, while it is there.
    default: Cell<Option<u64>>,
    waiting: RefCell<VecDeque<Waiting>>,
    /// The last target of a plain post, with the head that means it.
    plain: RefCell<Option<(String, Rc<Head>)>>,
    /// Where messages are written.
    scratch: RefCell<BytesMut>,
    awaited: RefCell<Vec<(String, oneshot::Sender<()>)>>,
    /// All connections, also those in their handshake.
    pub(crate) open: Cell<usize>,
    serial: Cell<u64>,
    pub(crate) jobs: RefCell<VecDeque<Job>>,
    rung: Cell<bool>,
    /// How to reach the responder's session. `None` when it has ended.
    pub(crate) door: RefCell<Option<(KernelHandle, SessionId)>>,
    pub(crate) sessions: RefCell<Vec<SessionId>>,
    pub(crate) tikc: TikcTable,
    #[cfg(feature = "nats")]
    pub(crate) grid: RefCell<Option<Rc<dyn Cluster>>>,
}

impl Hub {
    pub(crate) fn new(
        id: String,
        name: String,
        aliases: Vec<String>,
        formats: Vec<Format>,
        bounds: Bounds,
        codec: Codec,
        trace: TraceContext,
    ) -> Self {
        let own = Rc::new(Channel::to_self());
        let names = [&id, &name]
            .into_iter()
            .chain(&aliases)
            .map(|name| (name.clone(), own.number));
        Hub {
            names: RefCell::new(names.collect()),
            channels: RefCell::new([(own.number, own)].into()),
            id,
            name,
            aliases,
            formats,
            bounds,
            codec,
            trace,
            published: RefCell::default(),
            encoders: RefCell::default(),
            monitors: Monitors::default(),
            calls: RefCell::default(),
            counters: Cell::default(),
            proxies: RefCell::default(),
            default: Cell::new(None),
            waiting: RefCell::default(),
            plain: RefCell::default(),
            scratch: RefCell::default(),
            awaited: RefCell::default(),
            open: Cell::new(0),
            serial: Cell::new(0),
            jobs: RefCell::default(),
            rung: Cell::new(false),
            door: RefCell::new(None),
            sessions: RefCell::default(),
            tikc: TikcTable::default(),
            #[cfg(feature = "nats")]
            grid: RefCell::new(None),
        }
    }

    pub(crate) fn count(&self, change: impl FnOnce(&mut Counters)) {
        let mut counters = self.counters.get();
        change(&mut counters);
        self.counters.set(counters);
    }

    /// The number of a new connection; the one to this kernel itself has 0.
    pub(crate) fn next_number(&self) -> u64 {
        self.serial.set(self.serial.get() + 1);
        self.serial.get()
    }

    /// Queues work for the responder's session; false if it has ended.
    pub(crate) fn ring(&self, job: Job) -> bool {
        let door = self.door.borrow();
        let Some((handle, responder)) = &*door else {
            return false;
        };
        self.jobs.borrow_mut().push_back(job);
        if self.rung.get() {
            return true;
        }
        let rung = handle.post(*responder, WORK, ()).is_ok();
        self.rung.set(rung);
        rung
    }

    /// Takes the next job. After the last one the bell can be rung again.
    pub(crate) fn next_job(&self) -> Option<Job> {
        let job = self.jobs.borrow_mut().pop_front();
        if job.is_none() {
            self.rung.set(false);
        }
        job
    }

    /// The names that this kernel announces.
    pub(crate) fn own_names(&self) -> Vec<String> {
        [&self.id, &self.name]
            .into_iter()
            .chain(&self.aliases)
            .cloned()
            .collect()
    }

    /// The connection to one kernel: by name, or the default one.
    fn route_to_one(&self, kernel: Option<&str>) -> Option<Rc<Channel>> {
        let number = match kernel {
            None => self.default.get(),
            Some(name) => {
                let number = self.names.borrow().get(name).copied();
                #[cfg(feature = "nats")]
                let number = number.or_else(|| self.grid.borrow().as_ref()?.number_of_holder(name));
                number
            }
        };
        self.channels.borrow().get(&number?).cloned()
    }

    /// The connections to a kernel: by name, all, or the default one.
    fn route(&self, kernel: Option<&str>) -> Vec<Rc<Channel>> {
        match kernel {
            #[cfg(feature = "nats")]
            Some("*") if self.grid.borrow().is_some() => {
                self.grid.borrow().iter().map(|grid| grid.any().clone()).collect()
            }
            Some("*" | "**") => {
                // Kernels on NATS get it from there, once.
                let channels = self.channels.borrow();
                #[cfg_attr(not(feature = "nats"), allow(unused_mut))]
                let mut all: Vec<_> = channels
                    .values()
                    .filter(|channel| !channel.is_on_nats())
                    .cloned()
                    .collect();
                #[cfg(feature = "nats")]
                all.extend(self.grid.borrow().iter().map(|grid| grid.all().clone()));
                all
            }
            one => self.route_to_one(one).into_iter().collect(),
        }
    }

    /// Writes a message, into memory that is used again when the frame is written.
    fn frame(&self, format: Format, head: &Head, payload: &dyn Payload) -> Result<Bytes, SendErrorKind> {
        let mut scratch = self.scratch.borrow_mut();
        payload
            .frame(&self.codec, format, head, &mut scratch)
            .map_err(SendErrorKind::Wire)?;
        Ok(scratch.split().freeze())
    }

    /// The connection that a name means at present.
    pub(crate) fn channel_to(&self, kernel: Option<&str>) -> Option<Rc<Channel>> {
        match kernel {
            Some("*" | "**") => self.route(kernel).into_iter().next(),
            one => self.route_to_one(one),
        }
    }

    pub(crate) fn is_connected(&self, kernel: &str) -> bool {
        self.names.borrow().contains_key(kernel)
    }

    /// The names of all kernels that are connected, without this one's.
    pub(crate) fn kernels(&self) -> Vec<String> {
        let names = self.names.borrow();
        let mut others: Vec<_> = names
            .iter()
            .filter(|(_, number)| **number != 0)
            .map(|(name, _)| name.clone())
            .collect();
        others.sort();
        others
    }

    /// Where replies to a session go: to one of its aliases that is published.
    pub(crate) fn sender(&self, kernel: KernelRef<'_>, session: SessionId) -> Option<Specifier> {
        let published = self.published.borrow();
        let aliases = kernel.alias_list_of(session).ok()?;
        let alias = aliases.iter().find(|alias| published.has(alias, None))?;
        Some(self.own(alias))
    }

    /// The address of a session of this kernel, as a sender.
    pub(crate) fn own(&self, session: &str) -> Specifier {
        Specifier::new(&self.id, session, PROXY)
    }

    /// The head of a post that says nothing but its target. A program posts to the same one again and again.
    pub(crate) fn plain_head(&self, to: &str, event: &str) -> Result<Rc<Head>, AddressError> {
        if let Some((known, head)) = &*self.plain.borrow()
            && known == to
            && head.event.event.as_deref() == Some(event)
        {
            return Ok(head.clone());
        }
        let event = Specifier::of_session(to)?.with_event(event);
        let head = Rc::new(Head {
            event,
            ..Head::default()
        });
        *self.plain.borrow_mut() = Some((to.to_owned(), head.clone()));
        Ok(head)
    }

    /// Sends a message to all connections that its target means; returns to how many.
    pub(crate) fn post(&self, head: &Head, payload: &dyn Payload) -> Result<usize, SendErrorKind> {
        let kernel = head.event.kernel();
        if !matches!(kernel, Some("*" | "**")) {
            let channel = self.route_to_one(kernel).ok_or(SendErrorKind::UnknownKernel)?;
            return self.send_one(&channel, head, payload).map(|()| 1);
        }
        let channels = self.route(kernel);
        if channels.is_empty() {
            return Err(SendErrorKind::UnknownKernel);
        }
        let mut frames: [Option<Bytes>; 2] = [None, None];
        let mut sent = 0;
        let mut failed = None;
        for channel in channels {
            let frame = &mut frames[channel.format() as usize];
            let frame = match frame {
                Some(frame) => frame.clone(),
                None => frame.insert(self.frame(channel.format(), head, payload)?).clone(),
            };
            match self.send(&channel, head, frame) {
                Ok(()) => sent += 1,
                Err(error) => failed = Some(error),
            }
        }
        match failed {
            Some(error) if sent == 0 => Err(error),
            _ => Ok(sent),
        }
    }

    /// Sends a message on one connection.
    pub(crate) fn send(&self, channel: &Rc<Channel>, head: &Head, frame: Bytes) -> Result<(), SendErrorKind> {
        let sent = if channel.is_own() {
            // As bytes: each queued message is bounded by the frame's limit.
            let queued = self.jobs.borrow().len();
            if queued >= self.bounds.calls {
                return Err(SendErrorKind::Full(self.bounds.calls));
            }
            self.ring(Job::Loop(frame)).then_some(()).ok_or(SendErrorKind::Ended)
        } else {
            let put = channel.put(head, frame, self.bounds.output);
            if let Ok(Put::First) = put
                && !self.ring(Job::Flush(channel.clone()))
            {
                channel.flush();
            }
            put.map(drop).map_err(|error| match error {
                Undelivered::Closed => SendErrorKind::UnknownKernel,
                Undelivered::Full => SendErrorKind::Full(self.bounds.output),
                #[cfg(feature = "nats")]
                Undelivered::TooLong(limit) => SendErrorKind::Wire(WireError::new(format!(
                    "the message is longer than the NATS server takes ({limit} bytes): send it in parts, or raise the server's `max_payload`"
                ))),
            })
        };
        if sent.is_ok() {
            self.count(|counters| counters.sent += 1);
        }
        sent
    }

    /// Writes and sends a message on one connection.
    pub(crate) fn send_one(
        &self,
        channel: &Rc<Channel>,
        head: &Head,
        payload: &dyn Payload,
    ) -> Result<(), SendErrorKind> {
        let frame = self.frame(channel.format(), head, payload)?;
        self.send(channel, head, frame)
    }

    /// Sends a message on one connection that no caller waits for: what fails is logged.
    pub(crate) fn send_back(&self, channel: &Rc<Channel>, head: &Head, payload: &dyn Payload) {
        if let Err(error) = self.send_one(channel, head, payload) {
            tracing::warn!(target: "poe::ikc", "a message to {} is lost: {error}", head.event);
        }
    }

    /// Keeps a post for a kernel that is not connected; gives the payload back if that is not wanted, or too many wait.
    pub(crate) fn keep(&self, head: Head, payload: Box<dyn Payload>) -> Result<(), SendErrorKind> {
        let mut waiting = self.waiting.borrow_mut();
        if waiting.len() >= self.bounds.unreachable {
            return Err(SendErrorKind::Full(self.bounds.unreachable));
        }
        waiting.push_back(Waiting { head, payload });
        Ok(())
    }

    pub(crate) fn has_room_to_keep(&self) -> bool {
        self.waiting.borrow().len() < self.bounds.unreachable
    }

    /// Sends a call: the reply, or the reason why there is none, goes to `complete`.
    pub(crate) fn call(
        &self,
        mut head: Head,
        payload: &dyn Payload,
        timeout: Duration,
        hold: Option<poe::extend::SessionHold>,
        complete: Complete,
    ) -> Result<(), SendErrorKind> {
        let channel = self.channel_to(head.event.kernel());
        let channel = channel.ok_or(SendErrorKind::UnknownKernel)?;
        if head.event.kernel() == Some("**") || channel.is_own() && head.event.kernel() == Some("*") {
            return Err(SendErrorKind::Many);
        }
        if self.calls.borrow().len() >= self.bounds.calls {
            return Err(SendErrorKind::Full(self.bounds.calls));
        }
        let id = self.calls.borrow_mut().next();
        let mut rsvp = Specifier::new("", "IKC", format!("{REPLY}{id}"));
        // Between peers of this crate a reply goes to where the call came from.
        rsvp.kernel = (channel.format() == Format::Storable).then(|| self.id.clone());
        head.rsvp = Some(rsvp);
        let frame = self.frame(channel.format(), &head, payload)?;
        self.send(&channel, &head, frame)?;
        let call = Call {
            channel: channel.number,
            to: head.event,
            timeout,
            complete,
            span: trace::here(),
            _hold: hold,
        };
        if self.calls.borrow_mut().add(id, call, Instant::now() + timeout) {
            self.ring(Job::Timer);
        }
        Ok(())
    }

    /// A connection is ready: its peer may be addressed.
    pub(crate) fn register(&self, kernel: KernelRef<'_>, channel: &Rc<Channel>, peer: &Peer, seen: Option<String>) {
        channel.set_ready(peer);
        let mut claimed = peer.names.clone();
        claimed.extend(seen.filter(|seen| !peer.names.contains(seen)));
        // A name that somebody has stays his: replies go by connection, so the newcomer loses nothing else.
        let (names, taken): (Vec<_>, Vec<_>) = {
            let known = self.names.borrow();
            claimed.into_iter().partition(|name| !known.contains_key(name))
        };
        for name in &names {
            self.names.borrow_mut().insert(name.clone(), channel.number);
        }
        self.channels.borrow_mut().insert(channel.number, channel.clone());
        if self.default.get().is_none() {
            self.default.set(Some(channel.number));
        }
        *channel.names.borrow_mut() = names.clone();
        let tell = |what| self.monitors.tell(kernel, &names, &what);
        for name in taken {
            tracing::warn!(target: "poe::ikc", "a peer calls itself `{name}`, which another kernel is called");
            tell(Occurrence::Error {
                operation: "register".to_owned(),
                text: format!("the name `{name}` is taken"),
            });
        }
        tell(Occurrence::Register { pid: peer.pid });
        tell(Occurrence::ChannelReady);
        self.send_kept();
        let mut awaited = self.awaited.borrow_mut();
        let (now, later) = awaited
            .drain(..)
            .partition::<Vec<_>, _>(|(name, _)| names.contains(name));
        *awaited = later;
        drop(awaited);
        for (_, told) in now {
            let _ = told.send(());
        }
    }

    /// Sends what was kept for kernels that are there now, in order.
    fn send_kept(&self) {
        let kept = self.waiting.take();
        for post in kept {
            match self.post(&post.head, &*post.payload) {
                Ok(_) => {}
                Err(SendErrorKind::UnknownKernel) => self.waiting.borrow_mut().push_back(post),
                Err(error) => tracing::warn!(target: "poe::ikc", "a kept post to {} is lost: {error}", post.head.event),
            }
        }
    }

    /// A connection is over, for that reason.
    pub(crate) fn unregister(&self, cx: &mut Nested<'_>, channel: &Channel, operation: &str, reason: &str) {
        if self.channels.borrow_mut().remove(&channel.number).is_none() {
            return;
        }
        let names = channel.names.take();
        for name in &names {
            self.names.borrow_mut().remove(name);
        }
        if self.default.get() == Some(channel.number) {
            let next = self
                .channels
                .borrow()
                .keys()
                .copied()
                .filter(|number| *number != 0)
                .min();
            self.default.set(next);
        }
        let kernel = **cx;
        let tell = |what| self.monitors.tell(kernel, &names, &what);
        tell(Occurrence::Error {
            operation: operation.to_owned(),
            text: reason.to_owned(),
        });
        tell(Occurrence::ChannelClosed);
        tell(Occurrence::Unregister);
        let lost = self.calls.borrow_mut().take_all(Some(channel.number));
        for call in lost {
            call.fail(cx, RemoteErrorKind::Lost);
        }
        let proxies: Vec<_> = self
            .proxies
            .borrow()
            .iter()
            .filter(|(_, (_, number))| *number == channel.number)
            .map(|(_, (id, _))| *id)
            .collect();
        for proxy in proxies {
            let _ = cx.post(proxy, END, ());
        }
        self.settle();
    }

    /// A name that nobody has any more becomes that of another kernel which claims it.
    #[cfg(feature = "nats")]
    pub(crate) fn inherit(&self, kernel: KernelRef<'_>, channel: &Channel, claimed: &[String], pid: Option<u32>) {
        for name in claimed.iter().filter(|name| !self.is_connected(name)) {
            self.names.borrow_mut().insert(name.clone(), channel.number);
            channel.names.borrow_mut().push(name.clone());
            let registered = Occurrence::Register { pid };
            self.monitors
                .tell_each(kernel, std::slice::from_ref(name), false, &registered);
        }
    }

    /// What is published has changed: kernels on NATS are to reach it.
    pub(crate) fn publish_changed(&self) {
        #[cfg(feature = "nats")]
        if self.grid.borrow().is_some() {
            self.ring(Job::Published);
        }
    }

    /// The last call may be over: its timer must not keep the kernel running.
    pub(crate) fn settle(&self) {
        if self.calls.borrow().len() == 0 {
            self.ring(Job::Timer);
        }
    }

    /// Becomes ready when a kernel of that name is connected.
    pub(crate) fn awaited(&self, name: &str) -> Option<oneshot::Receiver<()>> {
        if self.is_connected(name) {
            return None;
        }
        let (told, wait) = oneshot::channel();
        let mut awaited = self.awaited.borrow_mut();
        awaited.retain(|(_, told)| !told.is_closed());
        awaited.push((name.to_owned(), told));
        Some(wait)
    }

    /// The end of the responder: nothing can be sent any more.
    pub(crate) fn end(&self) {
        let jobs = self.jobs.take();
        drop(jobs);
        drop(self.door.take());
        drop(self.awaited.take());
        drop(self.waiting.take());
        #[cfg(feature = "nats")]
        drop(self.grid.take());
        let calls = self.calls.borrow_mut().take_all(None);
        drop(calls);
    }

    /// The head of a message to an event of this connection's peer.
    pub(crate) fn head_to(&self, event: Specifier, from: Option<Specifier>) -> Head {
        Head {
            event,
            form: Form::Hash,
            from,
            ..Head::default()
        }
    }
}

/// The events that replies to this kernel's calls come back to; a number follows.
pub(crate) const REPLY: &str = "IKC:reply ";
