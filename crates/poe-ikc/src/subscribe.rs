//! Subscriptions: a session in another kernel that can be posted to like a local one.

use crate::channel::Channel;
use crate::error::{RemoteError, RemoteErrorKind};
use crate::hub::{END, Hub};
use crate::monitor::Occurrence;
use crate::payload::proxied_form;
use crate::sender;
use crate::specifier::Specifier;
use poe::event::{DEFAULT, START, Unhandled};
use poe::extend::Nested;
use poe::{Session, SessionId};
use std::rc::Rc;

/// A session of another kernel to which this one has subscribed: the argument of the event of [`Ikc::subscribe`](crate::Ikc::subscribe).
///
/// Events that are posted to the proxy go to that session. The alias of the proxy is its address, `poe://kernel/session`, and also the
/// remote session's name, if no local session has that.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Subscription {
    /// The proxy.
    pub session: SessionId,
    /// Its address, which is its alias.
    pub address: String,
}

struct Proxy {
    hub: Rc<Hub>,
    channel: Rc<Channel>,
    to: Specifier,
    address: String,
    /// The kernel's names, for monitors.
    names: Vec<String>,
}

/// Makes the proxy, or finds it.
pub(crate) fn subscribed(
    hub: &Rc<Hub>,
    cx: &mut Nested<'_>,
    channel: &Rc<Channel>,
    to: Specifier,
) -> Result<Subscription, RemoteError> {
    let address = to.to_string();
    let known = hub.proxies.borrow().get(&address).map(|(session, _)| *session);
    if let Some(session) = known.filter(|known| cx.is_alive(*known)) {
        return Ok(Subscription { session, address });
    }
    if hub.proxies.borrow().len() >= hub.bounds.proxies {
        let text = format!(
            "there are {} proxies already (limits of `IkcBuilder`)",
            hub.bounds.proxies
        );
        return Err(RemoteError::refused(&address, text));
    }
    let proxy = Proxy {
        hub: hub.clone(),
        channel: channel.clone(),
        to: to.clone(),
        address: address.clone(),
        names: channel.names.borrow().clone(),
    };
    let builder = Session::builder(proxy)
        .on(START, |cx, ()| -> poe::HandlerResult {
            cx.alias_set(&cx.heap.address)?;
            // A local session of that name keeps it.
            let _ = cx.alias_set(cx.heap.to.session().unwrap_or_default());
            Ok(())
        })
        .on(END, |cx, ()| {
            let alone = cx.alias_list();
            for alias in alone {
                let _ = cx.alias_remove(&alias);
            }
            let Proxy {
                hub,
                to,
                address,
                names,
                ..
            } = &*cx.heap;
            hub.proxies.borrow_mut().remove(address);
            hub.monitors
                .tell(cx.kernel, names, &Occurrence::Unsubscribe(to.clone()));
        })
        .on(DEFAULT, |cx, unhandled: Unhandled| {
            let from = cx.heap.hub.sender(cx.kernel, cx.sender());
            let Proxy { hub, channel, to, .. } = &*cx.heap;
            sender::send(
                hub,
                cx.kernel,
                channel,
                to,
                from,
                proxied_form(channel.format()),
                unhandled,
            );
        });
    let session = match cx.create(builder) {
        Ok(session) => session,
        Err(error) => {
            let kind = RemoteErrorKind::WrongReply(format!("there can be no proxy: {error}"));
            return Err(RemoteError::new(address, kind));
        }
    };
    hub.proxies
        .borrow_mut()
        .insert(address.clone(), (session, channel.number));
    hub.monitors
        .tell(**cx, &channel.names.borrow(), &Occurrence::Subscribe(to));
    Ok(Subscription { session, address })
}
