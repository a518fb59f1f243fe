//! POE::TIKC: the sessions of one process appear in the other under their aliases.
//!
//! 1. Each side says the aliases of its sessions; ours says those that are published.
//! 2. The other side makes a proxy for each that has no session there. What is posted to the proxy goes over and is run; nothing comes back.
//! 3. A server tells its clients one another's aliases, and passes on what they post to them.

use crate::channel::Channel;
use crate::error::Refusal;
use crate::hub::{END, Hub};
use crate::wire::{Head, Params, Tikc, WireError};
use poe::event::{DEFAULT, START, Unhandled};
use poe::extend::Nested;
use poe::{Session, SessionId};
use std::rc::Rc;

/// A connection is there: its peer is told which sessions there are.
pub(crate) fn connected(hub: &Hub, channel: &Rc<Channel>, is_client: bool) {
    let mut aliases: Vec<String> = hub.published.borrow().open_to_all();
    aliases.extend(hub.tikc.aliases.borrow().keys().cloned());
    hub.tikc.channels.borrow_mut().push(channel.clone());
    // The word is for the side that gets it.
    let to = if is_client { "server" } else { "client" };
    say(hub, channel, hub.codec.write_tikc_aliases(Some(to), &aliases, false));
}

fn say(hub: &Hub, channel: &Rc<Channel>, frame: Result<Vec<u8>, WireError>) {
    let sent = match frame {
        Ok(frame) => hub
            .send(channel, &Head::default(), frame.into())
            .map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    if let Err(error) = sent {
        tracing::warn!(target: "poe::ikc", "a message of TIKC is lost: {error}");
    }
}

/// Takes a frame of a connection.
///
/// # Errors
/// It is not a message: the connection is to be dropped.
pub(crate) fn incoming(
    hub: &Rc<Hub>,
    cx: &mut Nested<'_>,
    channel: &Rc<Channel>,
    frame: &[u8],
) -> Result<(), WireError> {
    hub.count(|counters| counters.received += 1);
    hub.codec.read_tikc(frame, |message| match message {
        Tikc::Setup(aliases) => set_up(hub, cx, channel, &aliases),
        Tikc::Remove(aliases) => remove(hub, cx, channel, |alias| aliases.iter().any(|gone| gone == alias)),
        Tikc::Post { alias, event, args } => {
            let there = hub.tikc.aliases.borrow().get(&alias).map(|(there, _)| there.clone());
            match there {
                Some(there) if there.number != channel.number => say(hub, &there, Ok(frame.to_vec())),
                _ => {
                    if let Err(Refusal { text, .. }) = run(hub, cx, channel, &alias, &event, &args) {
                        hub.count(|counters| counters.refused += 1);
                        tracing::debug!(target: "poe::ikc", "an event of TIKC is refused: {text}");
                    }
                }
            }
        }
    })
}

fn run(
    hub: &Rc<Hub>,
    cx: &mut Nested<'_>,
    channel: &Rc<Channel>,
    alias: &str,
    event: &str,
    args: &Params<'_>,
) -> Result<(), Refusal> {
    let mut head = Head::default();
    head.event.session = Some(alias.to_owned());
    head.event.event = Some(event.to_owned());
    hub.request(cx, channel, &head, *args).map(drop)
}

fn set_up(hub: &Rc<Hub>, cx: &mut Nested<'_>, channel: &Rc<Channel>, aliases: &[String]) {
    let mut made = Vec::new();
    for alias in aliases {
        if hub.tikc.aliases.borrow().len() >= hub.bounds.proxies {
            tracing::warn!(target: "poe::ikc", "there are {} proxies already (limits of `IkcBuilder`)", hub.bounds.proxies);
            break;
        }
        // A session of this kernel keeps its alias, and so does the first of two peers.
        if cx.alias_resolve(&**alias).is_ok() {
            continue;
        }
        if let Some(proxy) = proxy(hub, cx, channel, alias) {
            let entry = (channel.clone(), proxy);
            hub.tikc.aliases.borrow_mut().insert(alias.clone(), entry);
            made.push(alias.clone());
        }
    }
    if made.is_empty() {
        return;
    }
    for other in hub.tikc.others(channel) {
        say(hub, &other, hub.codec.write_tikc_aliases(None, &made, false));
    }
}

struct Proxy {
    hub: Rc<Hub>,
    channel: Rc<Channel>,
    alias: String,
}

fn proxy(hub: &Rc<Hub>, cx: &mut Nested<'_>, channel: &Rc<Channel>, alias: &str) -> Option<SessionId> {
    let proxy = Proxy {
        hub: hub.clone(),
        channel: channel.clone(),
        alias: alias.to_owned(),
    };
    let builder = Session::builder(proxy)
        .on(START, |cx, ()| cx.alias_set(&cx.heap.alias))
        .on(END, |cx, ()| {
            let _ = cx.alias_remove(&cx.heap.alias);
        })
        .on(DEFAULT, |cx, Unhandled { event, arg, .. }| {
            let Proxy { hub, channel, alias } = &*cx.heap;
            // Events of the session's life stay here.
            if event.starts_with('_') {
                return;
            }
            match hub.encoders.borrow().encode(arg) {
                Ok(payload) => say(hub, channel, payload.tikc(&hub.codec, alias, &event)),
                Err(arg) => {
                    let name = arg.type_name();
                    tracing::warn!(target: "poe::ikc", "`{event}` cannot be sent to {alias}: the type `{name}` is not known: see `Ikc::sends`");
                }
            }
        });
    cx.create(builder).ok()
}

/// Ends the proxies of a connection for which `is_gone` says so, and tells the others.
fn remove(hub: &Hub, cx: &Nested<'_>, channel: &Channel, is_gone: impl Fn(&str) -> bool) {
    let mut gone = Vec::new();
    hub.tikc.aliases.borrow_mut().retain(|alias, (there, proxy)| {
        let is_gone = there.number == channel.number && is_gone(alias);
        if is_gone {
            gone.push((alias.clone(), *proxy));
        }
        !is_gone
    });
    let (aliases, proxies): (Vec<_>, Vec<_>) = gone.into_iter().unzip();
    for proxy in proxies {
        let _ = cx.post(proxy, END, ());
    }
    if aliases.is_empty() {
        return;
    }
    for other in hub.tikc.others(channel) {
        say(
            hub,
            &other,
            hub.codec.write_tikc_aliases(Some("server"), &aliases, true),
        );
    }
}

/// A connection is over.
pub(crate) fn ended(hub: &Hub, cx: &Nested<'_>, channel: &Channel) {
    let is_known = {
        let mut channels = hub.tikc.channels.borrow_mut();
        let before = channels.len();
        channels.retain(|other| other.number != channel.number);
        channels.len() < before
    };
    if is_known {
        remove(hub, cx, channel, |_| true);
    }
}
