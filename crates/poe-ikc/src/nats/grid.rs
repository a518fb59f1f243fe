//! The kernels that a NATS server connects, and the messages that come from them.

use super::intake::Delivery;
use super::lease::Leases;
use super::outlet::{Outlet, Wire};
use super::presence::Record;
use super::session::SYNC;
use super::store::Publisher;
use super::subjects::{Awaited, text, token};
use crate::channel::Channel;
use crate::error::{LEASE, Refusal, RemoteErrorKind};
use crate::hub::{Cluster, Hub};
use crate::monitor::Occurrence;
use crate::sender;
use crate::wire::{Fence, Format, Peer};
use async_nats::{Message, StatusCode};
use poe::extend::Nested;
use poe::{KernelRef, SessionId};
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// The most kernels that have sent something and are not known yet. Each is forgotten when it was silent for the time of its presence.
const MAX_STRANGERS: usize = 1024;

/// A kernel with an entry.
struct Member {
    channel: Rc<Channel>,
    record: Record,
    seen: Instant,
}

/// What an `Ikc` that has joined knows.
pub(crate) struct Grid {
    pub(crate) wire: Rc<Wire>,
    pub(crate) presence: Duration,
    /// The way to any kernel that publishes an event, and to all that do.
    any: Rc<Channel>,
    all: Rc<Channel>,
    pub(crate) session: Cell<Option<SessionId>>,
    /// Durable posts on their way to the server, if they are set up.
    pub(super) publisher: Option<Rc<Publisher>>,
    /// Unique names, if they are set up.
    pub(super) leases: Option<Rc<Leases>>,
    /// The durable post that is being handled.
    pub(super) delivery: RefCell<Option<Delivery>>,
    /// Sessions that take durable posts.
    pub(super) intakes: Cell<usize>,
    pub(super) intake_ended: Notify,
    /// The token of this kernel.
    own: String,
    /// By token.
    members: RefCell<HashMap<String, Member>>,
    /// Kernels that have sent something and are not known yet, and this one itself.
    strangers: RefCell<HashMap<String, (Rc<Channel>, Instant)>>,
}

impl Grid {
    pub(super) fn new(
        hub: &Hub,
        wire: Rc<Wire>,
        presence: Duration,
        publisher: Option<Rc<Publisher>>,
        leases: Option<Rc<Leases>>,
    ) -> Self {
        let way = |base| Rc::new(Channel::on_nats(hub.next_number(), Outlet::new(&wire, base)));
        Grid {
            any: way(wire.subjects.any()),
            all: way(wire.subjects.all()),
            presence,
            session: Cell::new(None),
            publisher,
            leases,
            delivery: RefCell::new(None),
            intakes: Cell::new(0),
            intake_ended: Notify::new(),
            own: token(&hub.id),
            members: RefCell::default(),
            strangers: RefCell::default(),
            wire,
        }
    }

    pub(crate) fn own_token(&self) -> &str {
        &self.own
    }

    /// Takes a message from the server.
    pub(crate) fn incoming(&self, hub: &Rc<Hub>, cx: &mut Nested<'_>, message: &Message) {
        if message.status == Some(StatusCode::NO_RESPONDERS) {
            return self.nobody(hub, cx, &message.subject);
        }
        let reply = message.reply.as_deref().unwrap_or_default();
        let from = self.wire.subjects.sender(reply);
        let from = from.unwrap_or_default();
        if from == self.own && message.subject.starts_with(&*self.wire.subjects.all()) {
            // This kernel has got it already.
            return;
        }
        let channel = self.channel_of(hub, cx, from);
        if message.payload.len() > hub.codec.max_frame() {
            hub.count(|counters| counters.refused += 1);
            tracing::warn!(target: "poe::ikc", "a message of {} bytes from NATS is refused: more than `max_frame`", message.payload.len());
            return;
        }
        if let Err(error) = hub.incoming(cx, &channel, &message.payload) {
            hub.count(|counters| counters.refused += 1);
            tracing::warn!(target: "poe::ikc", "what came to {} on NATS is not a message: {error}", message.subject);
        }
    }

    /// The server says that nobody takes a message of ours.
    fn nobody(&self, hub: &Rc<Hub>, cx: &mut Nested<'_>, subject: &str) {
        match self.wire.subjects.awaited(subject) {
            Some(Awaited::Call(id)) => {
                let call = hub.calls.borrow_mut().take(id, |_| true);
                if let Some(call) = call {
                    call.fail(cx, RemoteErrorKind::NoResponder);
                    hub.settle();
                }
            }
            Some(Awaited::Post(target)) => {
                hub.count(|counters| counters.unclaimed += 1);
                let text = format!("no kernel takes `{target}`: the post is lost");
                tracing::warn!(target: "poe::ikc", "{text}");
                let operation = "nats-unclaimed".to_owned();
                let what = Occurrence::Error { operation, text };
                hub.monitors.tell(**cx, &hub.own_names(), &what);
            }
            None => {}
        }
    }

    /// Where a durable post goes that nobody can handle.
    pub(super) fn dead_subject(&self, subject: &str) -> Option<String> {
        self.wire.subjects.dead(subject)
    }

    /// Waits until everything is handled, stored and written.
    pub(super) async fn flush(&self) {
        while self.intakes.get() > 0 {
            self.intake_ended.notified().await;
        }
        if let Some(publisher) = &self.publisher {
            publisher.flush().await;
        }
        self.wire.flush().await;
    }

    fn way_to(&self, hub: &Hub, token: &str) -> Rc<Channel> {
        let outlet = Outlet::new(&self.wire, self.wire.subjects.to(token));
        Rc::new(Channel::on_nats(hub.next_number(), outlet))
    }

    /// The way back to a kernel.
    pub(super) fn channel_of(&self, hub: &Hub, cx: &Nested<'_>, token: &str) -> Rc<Channel> {
        if let Some(member) = self.members.borrow().get(token) {
            return member.channel.clone();
        }
        let now = Instant::now();
        if let Some((channel, seen)) = self.strangers.borrow_mut().get_mut(token) {
            *seen = now;
            return channel.clone();
        }
        if self.strangers.borrow().len() >= MAX_STRANGERS {
            self.forget_strangers(cx, |_| true);
        }
        let channel = self.way_to(hub, token);
        channel.set_ready(&Peer {
            names: vec![text(token).unwrap_or_default()],
            format: Format::MsgPack,
            pid: None,
        });
        self.strangers
            .borrow_mut()
            .insert(token.to_owned(), (channel.clone(), now));
        channel
    }

    fn forget_strangers(&self, cx: &Nested<'_>, is_old: impl Fn(Instant) -> bool) {
        let gone: Vec<_> = self
            .strangers
            .borrow_mut()
            .extract_if(|_, (_, seen)| is_old(*seen))
            .collect();
        for (_, (channel, _)) in gone {
            sender::end_all(cx, &channel);
        }
    }

    /// A kernel has put its entry.
    pub(crate) fn seen(&self, hub: &Rc<Hub>, kernel: KernelRef<'_>, key: &str, bytes: &[u8]) {
        let Some(record) = Record::read(key, bytes) else {
            tracing::warn!(target: "poe::ikc", "the entry `{key}` on NATS is not that of a kernel");
            return;
        };
        let now = Instant::now();
        if let Some(member) = self.members.borrow_mut().get_mut(key) {
            member.seen = now;
            return;
        }
        if self.members.borrow().len() >= hub.bounds.channels {
            hub.count(|counters| counters.turned_away += 1);
            return;
        }
        let known = self.strangers.borrow_mut().remove(key);
        let channel = known.map_or_else(|| self.way_to(hub, key), |(channel, _)| channel);
        let peer = Peer {
            names: record.names.clone(),
            format: Format::MsgPack,
            pid: record.pid,
        };
        let member = Member {
            channel: channel.clone(),
            record,
            seen: now,
        };
        self.members.borrow_mut().insert(key.to_owned(), member);
        hub.register(kernel, &channel, &peer, None);
    }

    /// A kernel is gone.
    pub(crate) fn gone(&self, hub: &Rc<Hub>, cx: &mut Nested<'_>, key: &str, reason: &str) {
        let Some(member) = self.members.borrow_mut().remove(key) else {
            return;
        };
        hub.unregister(cx, &member.channel, "nats-presence", reason);
        sender::end_all(cx, &member.channel);
        // Another kernel may have been waiting for the name.
        let mut others: Vec<_> = self
            .members
            .borrow()
            .values()
            .map(|other| (other.channel.clone(), other.record.clone()))
            .collect();
        others.sort_by_key(|(channel, _)| channel.number);
        for (channel, record) in others {
            hub.inherit(**cx, &channel, &record.names, record.pid);
        }
    }

    /// Forgets kernels that have not been heard of.
    pub(crate) fn expire(&self, hub: &Rc<Hub>, cx: &mut Nested<'_>) {
        let now = Instant::now();
        let is_old = |seen: Instant| now.duration_since(seen) > self.presence;
        let gone: Vec<String> = self
            .members
            .borrow()
            .iter()
            .filter(|(_, member)| is_old(member.seen))
            .map(|(key, _)| key.clone())
            .collect();
        for key in gone {
            let reason = format!("it was not heard of for {:?}", self.presence);
            self.gone(hub, cx, &key, &reason);
        }
        self.forget_strangers(cx, is_old);
    }

    /// This process was paused: the others were not silent.
    pub(crate) fn was_paused(&self) {
        let now = Instant::now();
        for member in self.members.borrow_mut().values_mut() {
            member.seen = now;
        }
    }

    /// Leaves all kernels.
    pub(crate) fn leave(&self, hub: &Rc<Hub>, cx: &mut Nested<'_>) {
        let all: Vec<String> = self.members.borrow().keys().cloned().collect();
        for key in all {
            self.gone(hub, cx, &key, "this kernel leaves");
        }
        self.forget_strangers(cx, |_| true);
        let (any, all) = (self.any.number, self.all.number);
        let lost: Vec<_> = [any, all]
            .into_iter()
            .flat_map(|number| hub.calls.borrow_mut().take_all(Some(number)))
            .collect();
        for call in lost {
            call.fail(cx, RemoteErrorKind::Lost);
        }
        sender::end_all(cx, &self.any);
    }
}

impl Cluster for Grid {
    fn any(&self) -> &Rc<Channel> {
        &self.any
    }

    fn all(&self) -> &Rc<Channel> {
        &self.all
    }

    fn publish_again(&self, kernel: KernelRef<'_>) {
        if let Some(session) = self.session.get() {
            let _ = kernel.post(session, SYNC, ());
        }
    }

    fn number_of_holder(&self, name: &str) -> Option<u64> {
        let holder = self.leases.as_ref()?.holder(name)?;
        if holder == self.own {
            return Some(0);
        }
        Some(self.members.borrow().get(&holder)?.channel.number)
    }

    fn admit(&self, fence: &Fence) -> Result<(), Refusal> {
        let admitted = self.leases.as_ref().map_or(Ok(()), |leases| leases.admit(fence));
        admitted.map_err(|highest| Refusal {
            phase: LEASE,
            text: format!(
                "the lease {} of `{}` is over: {highest} has been seen",
                fence.number, fence.name
            ),
        })
    }

    fn addressed(&self, name: &str) -> Result<Option<Fence>, Refusal> {
        match self.leases.as_ref().and_then(|leases| leases.number_of(name)) {
            None => Ok(None),
            Some(Ok(number)) => Ok(Some(Fence {
                name: name.to_owned(),
                number,
            })),
            Some(Err(())) => Err(Refusal {
                phase: LEASE,
                text: format!("this kernel does not hold the name `{name}`"),
            }),
        }
    }
}

/// What an `Ikc` that has joined knows.
pub(super) fn of(hub: &Hub) -> Option<Rc<Grid>> {
    let cluster: Rc<dyn Any> = hub.grid.borrow().clone()?;
    cluster.downcast().ok()
}
