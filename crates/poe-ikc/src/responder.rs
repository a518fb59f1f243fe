//! The session with the alias `IKC`: it starts what was asked for outside of handlers, times calls, and ends everything.

use crate::error::RemoteErrorKind;
use crate::hub::{END, Hub, Job, WORK};
use crate::monitor::Occurrence;
use crate::net::{Incoming, Redial, Transport};
use crate::sessions::{self, CLIENT_GONE, CLOSE};
use crate::{IkcError, channel::Channel};
use poe::Event;
use poe::event::{START, STOP};
use poe::{Context, KERNEL_SHUTDOWN, Kernel, OnFailure, Session, Signal, TimerId};
use std::rc::Rc;
use std::time::Duration;
use tokio::time::Instant;

const EXPIRE: Event<()> = Event::new("expire");
const REDIAL: Event<Box<Redial>> = Event::new("redial");
const DIALED: Event<(Box<Redial>, Result<Transport, IkcError>)> = Event::new("dialed");
const SHUTDOWN: Event<Signal> = Event::new("shutdown");

struct Responder {
    hub: Rc<Hub>,
    own: Rc<Channel>,
    timer: Option<TimerId>,
}

pub(crate) fn start(kernel: &Kernel, hub: &Rc<Hub>) -> Result<(), poe::Error> {
    let responder = Responder {
        hub: hub.clone(),
        own: Rc::new(Channel::to_self()),
        timer: None,
    };
    let id = Session::builder(responder)
        .on_failure(OnFailure::StopSession)
        .on(START, |cx, ()| {
            cx.sig(KERNEL_SHUTDOWN, SHUTDOWN);
            cx.alias_set("IKC")
        })
        .on(WORK, |cx, ()| {
            let hub = cx.heap.hub.clone();
            // What the jobs make is for the next turn, so that they do not keep the others waiting.
            let waiting = hub.jobs.borrow().len();
            for _ in 0..waiting {
                match hub.next_job() {
                    Some(job) => work(cx, &hub, job),
                    None => return,
                }
            }
            let is_done = hub.jobs.borrow().is_empty();
            if is_done {
                drop(hub.next_job());
            } else {
                cx.yield_to(WORK, ());
            }
        })
        .on(EXPIRE, |cx, ()| {
            cx.heap.timer = None;
            expire(cx);
        })
        .on(REDIAL, |cx, redial| {
            let dialing = async move {
                let transport = redial.dial.open().await;
                (redial, transport)
            };
            cx.spawn(dialing, DIALED);
        })
        .on(DIALED, |cx, (mut redial, transport)| match transport {
            _ if cx.heap.hub.door.borrow().is_none() => Ok(()),
            Ok(transport) => {
                let hub = cx.heap.hub.clone();
                let speech = redial.dial.speech;
                let redial = Some(redial);
                sessions::start(
                    cx,
                    &hub,
                    Incoming::Connection {
                        transport,
                        is_client: true,
                        speech,
                        redial,
                    },
                )
            }
            Err(error) => {
                tracing::warn!(target: "poe::ikc", "{error}");
                redial.failures += 1;
                dial_later(cx, redial);
                Ok(())
            }
        })
        .on(SHUTDOWN, |cx, _| {
            cx.sig_handled();
            shut_down(cx);
        })
        .on(STOP, |cx, ()| cx.heap.hub.end())
        .create(kernel)?;
    *hub.door.borrow_mut() = Some((kernel.handle(), id));
    Ok(())
}

fn work(cx: &mut Context<'_, Responder>, hub: &Rc<Hub>, job: Job) {
    let is_over = hub.door.borrow().is_none();
    match job {
        // Calls that still wait end with their connections: a timer would keep the kernel running.
        Job::Start(_) | Job::Gone { .. } | Job::Timer if is_over => {}
        Job::Loop(frame) => {
            let own = cx.heap.own.clone();
            let taken = cx.nested(|cx| hub.incoming(cx, &own, &frame));
            if let Err(error) = taken {
                tracing::warn!(target: "poe::ikc", "a message to this kernel is lost: {error}");
            }
        }
        Job::Start(incoming) => {
            if let Err(error) = sessions::start(cx, hub, incoming) {
                tracing::warn!(target: "poe::ikc", "{error}");
            }
        }
        Job::Gone { listener, redial } => {
            if let Some(listener) = listener {
                let _ = cx.post(listener, CLIENT_GONE, ());
            }
            if let Some(redial) = redial {
                dial_later(cx, redial);
            }
        }
        Job::Flush(channel) => channel.flush(),
        Job::Timer => set_timer(cx),
        Job::Unsubscribe(address) => {
            let proxy = hub
                .proxies
                .borrow()
                .get(&address.to_string())
                .map(|(session, _)| *session);
            if let Some(proxy) = proxy {
                let _ = cx.post(proxy, END, ());
            }
        }
        Job::Replied(channel, head, reply) => cx.nested(|cx| hub.settled(cx, &channel, &head, reply)),
        Job::Shutdown => shut_down(cx),
        #[cfg(feature = "nats")]
        Job::Create(create) => {
            if !is_over && let Err(error) = cx.nested(|cx| create(cx)) {
                tracing::warn!(target: "poe::ikc", "{error}");
            }
        }
        #[cfg(feature = "nats")]
        Job::Published => {
            if let Some(grid) = &*hub.grid.borrow() {
                grid.publish_again(cx.kernel);
            }
        }
    }
}

fn dial_later(cx: &Context<'_, Responder>, redial: Box<Redial>) {
    let wait = redial
        .dial
        .backoff
        .as_ref()
        .and_then(|backoff| backoff.wait(redial.failures));
    match wait {
        Some(wait) => drop(cx.delay_set(REDIAL, wait, redial)),
        None => tracing::warn!(target: "poe::ikc", "{} is given up after {} attempts", redial.dial, redial.failures),
    }
}

fn set_timer(cx: &mut Context<'_, Responder>) {
    if let Some(timer) = cx.heap.timer.take() {
        let _ = cx.alarm_remove(timer);
    }
    let next = cx.heap.hub.calls.borrow_mut().next_deadline();
    if let Some(deadline) = next {
        let wait = deadline.saturating_duration_since(Instant::now());
        // Not a moment too early, or it would be set again.
        cx.heap.timer = Some(cx.delay_set(EXPIRE, wait + Duration::from_micros(50), ()));
    }
}

fn expire(cx: &mut Context<'_, Responder>) {
    let hub = cx.heap.hub.clone();
    let now = Instant::now();
    loop {
        let call = hub.calls.borrow_mut().take_expired(now);
        let Some(call) = call else { break };
        let limit = call.timeout;
        cx.nested(|cx| call.fail(cx, RemoteErrorKind::TimedOut(limit)));
    }
    set_timer(cx);
}

fn shut_down(cx: &mut Context<'_, Responder>) {
    let hub = cx.heap.hub.clone();
    if hub.door.take().is_none() {
        return;
    }
    let what = Occurrence::Shutdown;
    hub.monitors.tell(cx.kernel, &hub.own_names(), &what);
    let sessions = hub.sessions.take();
    for session in sessions {
        let _ = cx.post(session, CLOSE, ());
    }
    let proxies: Vec<_> = hub.proxies.borrow().values().map(|(session, _)| *session).collect();
    for proxy in proxies {
        let _ = cx.post(proxy, END, ());
    }
    let own = hub.calls.borrow_mut().take_all(Some(0));
    for call in own {
        cx.nested(|cx| call.fail(cx, RemoteErrorKind::Lost));
    }
    // Clients that wait for their next attempt.
    cx.alarm_remove_all();
    cx.heap.timer = None;
    let _ = cx.alias_remove("IKC");
}
