//! Stand-ins for senders in other kernels: the session that a handler sees as its sender.
//!
//! What is posted to one goes back to the sender, as an event of that name. There is one for each sender and connection, as long as
//! the connection lasts.

use crate::channel::Channel;
use crate::hub::Hub;
use crate::monitor::Occurrence;
use crate::payload::proxied_form;
use crate::publish::{Ran, Request};
use crate::specifier::Specifier;
use crate::wire::{Form, PROXY};
use poe::Event;
use poe::event::{DEFAULT, START, Unhandled};
use poe::extend::Nested;
use poe::{Reply, Session, SessionId};
use std::rc::Rc;

/// A request, to be run as from the sender.
pub(crate) struct Job {
    pub(crate) request: Box<dyn Request>,
    pub(crate) target: SessionId,
}

pub(crate) const RUN: Event<Job, Ran> = Event::new("IKC:run");
const HELD: &str = "IKC: a sender in another kernel";

/// The most stand-ins of a connection. The peer chooses how many there are.
const MAX_SENDERS: usize = 256;

struct Sender {
    hub: Rc<Hub>,
    channel: Rc<Channel>,
    from: Specifier,
}

/// The stand-in of a sender; `None` if it has no usable address.
pub(crate) fn of(hub: &Rc<Hub>, cx: &mut Nested<'_>, channel: &Rc<Channel>, from: &Specifier) -> Option<SessionId> {
    let key = (from.kernel()?.to_owned(), from.session()?.to_owned());
    let known = channel.senders.borrow().get(&key).copied();
    if let Some(known) = known.filter(|known| cx.is_alive(*known)) {
        return Some(known);
    }
    let sender = Sender {
        hub: hub.clone(),
        channel: channel.clone(),
        from: from.clone(),
    };
    let builder = Session::builder(sender)
        .on(START, |cx, ()| -> poe::HandlerResult {
            // A connection ends them. That of the kernel to itself never ends, so they live as long as somebody uses them.
            if !cx.heap.channel.is_own() {
                cx.refcount_increment(cx.session_id(), HELD)?;
            }
            Ok(())
        })
        .on(RUN, |cx, job| Reply(cx.nested(|cx| job.request.run(cx, job.target))))
        .on(DEFAULT, |cx, unhandled: Unhandled| {
            let from = cx.heap.hub.sender(cx.kernel, cx.sender());
            let Sender { hub, channel, from: to } = &*cx.heap;
            // A sender with an event in its address gets its events as a proxy does; ClientLite gets the arguments alone.
            let form = if to.event() == Some(PROXY) {
                proxied_form(channel.format())
            } else {
                Form::Arguments
            };
            send(hub, cx.kernel, channel, to, from, form, unhandled);
        });
    let id = cx.create(builder).ok()?;
    let mut senders = channel.senders.borrow_mut();
    let oldest = (senders.len() >= MAX_SENDERS)
        .then(|| senders.iter().min_by_key(|(_, id)| **id).map(|(key, _)| key.clone()))
        .flatten();
    let oldest = oldest.and_then(|key| senders.remove(&key));
    senders.insert(key, id);
    drop(senders);
    if let Some(oldest) = oldest {
        let _ = cx.refcount_decrement(oldest, HELD);
    }
    Some(id)
}

/// Ends the stand-ins of a connection.
pub(crate) fn end_all(cx: &Nested<'_>, channel: &Channel) {
    let senders = channel.senders.take();
    for sender in senders.into_values() {
        let _ = cx.refcount_decrement(sender, HELD);
    }
}

/// Sends an event that was posted to a stand-in or a proxy. Life-cycle events are not sent, as in Perl.
pub(crate) fn send(
    hub: &Hub,
    kernel: poe::KernelRef<'_>,
    channel: &Rc<Channel>,
    to: &Specifier,
    from: Option<Specifier>,
    form: Form,
    unhandled: Unhandled,
) {
    if unhandled.event.starts_with('_') {
        return;
    }
    let encoded = hub.encoders.borrow().encode(unhandled.arg);
    let failure = match encoded {
        Ok(payload) => {
            let mut head = hub.head_to(to.clone().with_event(&*unhandled.event), from);
            head.form = form;
            match hub.send_one(channel, &head, &*payload) {
                Ok(()) => return,
                Err(error) => error.to_string(),
            }
        }
        Err(arg) => format!("the type `{}` is not known: see `Ikc::sends`", arg.type_name()),
    };
    let text = format!("`{}` cannot be sent to {to}: {failure}", unhandled.event);
    tracing::warn!(target: "poe::ikc", "{text}");
    let operation = "send".to_owned();
    hub.monitors
        .tell(kernel, &channel.names.borrow(), &Occurrence::Error { operation, text });
}
