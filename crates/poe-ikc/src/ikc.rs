//! What programs have of it: `Ikc`.

use crate::bounds::Counters;
use crate::builder::IkcBuilder;
use crate::calls::Complete;
use crate::error::{IkcError, IkcErrorKind, RemoteError, RemoteErrorKind, SendError, SendErrorKind};
use crate::hub::{Hub, Job};
use crate::monitor::Notice;
use crate::net::{Bind, Dial, Incoming, Redial, Speech, Transport};
use crate::payload::Payload;
use crate::publish::Publish;
use crate::specifier::Specifier;
use crate::subscribe::{Subscription, subscribed};
use crate::wire::{Fence, Head, Protocol};
use poe::KernelRef;
use poe::event::{Calls, EventKey, EventName, Posts};
use poe::wheel::SocketName;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

/// Communication with other kernels: publish, post, call, subscribe, monitor.
///
/// It is a handle, cheap to clone, for handlers and for the program around the kernel. Its session has the alias `IKC` and keeps
/// nothing alive by itself.
///
/// ```
/// use poe::{Event, Kernel, Reply, Session, event::START};
/// use poe_ikc::{Ikc, RemoteError};
/// use std::time::Duration;
/// const ADD: Event<(u64, u64), u64> = Event::new("add");
/// const SUM: Event<Result<u64, RemoteError>> = Event::new("sum");
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), poe::Error> {
/// let kernel = Kernel::new();
/// let ikc = Ikc::builder("Pulse").publish("test", |p| p.event(ADD)).start(&kernel)?;
/// Session::builder(())
///     .on(START, |cx, ()| cx.alias_set("test"))
///     .on(ADD, |_, (a, b)| Reply(a + b))
///     .create(&kernel)?;
/// Session::builder(ikc)
///     .on(START, |cx, ()| -> poe::HandlerResult {
///         // In this kernel here; `poe://Other/test` is in another one.
///         Ok(cx.heap.call(cx, "poe://Pulse/test", ADD, (20, 22), SUM, Duration::from_secs(1))?)
///     })
///     .on(SUM, |_, sum| assert_eq!(sum, Ok(42)))
///     .create(&kernel)?;
/// kernel.run().await
/// # }
/// ```
#[doc(alias = "POE::Component::IKC::Responder")]
#[derive(Clone)]
pub struct Ikc {
    pub(crate) hub: Rc<Hub>,
}

impl Ikc {
    /// Starts building one. Other kernels address this kernel with `name`.
    pub fn builder(name: impl Into<String>) -> IkcBuilder {
        IkcBuilder::new(name.into())
    }

    /// Returns the name of this kernel that no other kernel has.
    #[doc(alias = "ID")]
    #[must_use]
    pub fn id(&self) -> &str {
        &self.hub.id
    }

    /// Returns the name that the builder was given.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.hub.name
    }

    /// Returns the names of the kernels that are connected, sorted.
    #[must_use]
    pub fn kernels(&self) -> Vec<String> {
        self.hub.kernels()
    }

    /// Returns what has happened so far, in numbers.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.hub.counters.get()
    }

    /// Returns how many calls wait for their replies.
    #[must_use]
    pub fn pending_calls(&self) -> usize {
        self.hub.calls.borrow().len()
    }

    /// Publishes more events of a session.
    pub fn publish(&self, session: &str, events: impl FnOnce(Publish) -> Publish) {
        let publish = events(Publish::default());
        self.hub.published.borrow_mut().add(session, publish);
        self.hub.publish_changed();
    }

    /// Takes events of a session back; false if none of them was published. Peers are not told.
    pub fn retract(&self, session: &str, events: &[&str]) -> bool {
        let retracted = self.hub.published.borrow_mut().retract(session, Some(events));
        self.hub.publish_changed();
        retracted
    }

    /// Takes all events of a session back; false if none was published.
    #[doc(alias = "retract")]
    pub fn retract_session(&self, session: &str) -> bool {
        let retracted = self.hub.published.borrow_mut().retract(session, None);
        self.hub.publish_changed();
        retracted
    }

    /// Returns what is published: sessions and their events, sorted.
    #[must_use]
    pub fn published(&self) -> Vec<(String, Vec<String>)> {
        self.hub.published.borrow().all()
    }

    /// Allows arguments of this type in posts to proxies and to senders in other kernels.
    ///
    /// Those get events of any type, which is known only at run time. Text, numbers, unit, [`Args`](crate::Args) and
    /// [`Value`](poe::storable::Value) are allowed already.
    pub fn sends<A: Serialize + 'static>(&self) {
        self.hub.encoders.borrow_mut().add::<A>();
    }

    /// Posts an event to a session of another kernel, or of this one; returns to how many kernels it was sent.
    ///
    /// The kernel `**` is all that are connected, and this one; so is `*`, unless NATS joins kernels (`Ikc::join`). That the message is sent does not mean that it is handled. A refusal by the
    /// peer is told to monitors.
    ///
    /// # Errors
    /// No such kernel is connected (unless [`keep_unreachable`](IkcBuilder::keep_unreachable) keeps the post, which is 0), the peer does not read, or the argument cannot be serialized.
    pub fn post<A: Serialize + 'static>(&self, to: &str, event: impl Posts<A>, arg: A) -> Result<usize, SendError<A>> {
        self.post_as(None, to, event.name(), arg, None)
    }

    /// Posts an event as the running session, so that the handler can post to its sender.
    ///
    /// That works only if one of the session's aliases is published, because only what is published can be reached.
    ///
    /// # Errors
    /// As [`post`](Self::post).
    pub fn post_from<A: Serialize + 'static>(
        &self,
        cx: &KernelRef<'_>,
        to: &str,
        event: impl Posts<A>,
        arg: A,
    ) -> Result<usize, SendError<A>> {
        let from = self.hub.sender(*cx, cx.session_id());
        self.post_as(from, to, event.name(), arg, None)
    }

    /// Posts as the holder of a lease.
    #[cfg(feature = "nats")]
    pub(crate) fn post_fenced<A: Serialize + 'static>(
        &self,
        to: &str,
        event: impl Posts<A>,
        arg: A,
        fence: Fence,
    ) -> Result<usize, SendError<A>> {
        self.post_as(None, to, event.name(), arg, Some(fence))
    }

    fn post_as<A: Serialize + 'static>(
        &self,
        from: Option<Specifier>,
        to: &str,
        event: &str,
        arg: A,
        fence: Option<Fence>,
    ) -> Result<usize, SendError<A>> {
        let mut head = match self.hub.plain_head(to, event) {
            Ok(head) => head,
            Err(error) => return Err(SendError::new(to, SendErrorKind::Address(error), arg)),
        };
        let trace = self.hub.trace.here();
        if from.is_some() || fence.is_some() || trace.is_some() {
            head = Rc::new(Head {
                from,
                fence,
                trace,
                ..(*head).clone()
            });
        }
        match self.hub.post(&head, &arg) {
            Ok(sent) => Ok(sent),
            Err(SendErrorKind::UnknownKernel) if self.hub.bounds.unreachable > 0 => {
                if !self.hub.has_room_to_keep() {
                    return Err(SendError::new(
                        to,
                        SendErrorKind::Full(self.hub.bounds.unreachable),
                        arg,
                    ));
                }
                let kept = self.hub.keep((*head).clone(), Box::new(arg));
                debug_assert!(kept.is_ok(), "there was room");
                Ok(0)
            }
            Err(kind) => Err(SendError::new(to, kind, arg)),
        }
    }

    /// Calls a handler in another kernel, or in this one. Its reply is posted to the running session as `reply`.
    ///
    /// Exactly one event comes: the reply, or the reason why there is none. The session is kept alive until then.
    ///
    /// # Errors
    /// As [`post`](Self::post), and if too many calls wait already. No event comes then.
    pub fn call<A, R>(
        &self,
        cx: &KernelRef<'_>,
        to: &str,
        event: impl Calls<A, R>,
        arg: A,
        reply: impl Posts<Result<R, RemoteError>>,
        timeout: Duration,
    ) -> Result<(), SendError<A>>
    where
        A: Serialize + 'static,
        R: DeserializeOwned + 'static,
    {
        self.call_fenced(cx, to, event, arg, reply, timeout, None)
    }

    /// Calls as the holder of a lease, if there is one.
    #[allow(clippy::too_many_arguments, reason = "those of a call, and the lease")]
    pub(crate) fn call_fenced<A, R>(
        &self,
        cx: &KernelRef<'_>,
        to: &str,
        event: impl Calls<A, R>,
        arg: A,
        reply: impl Posts<Result<R, RemoteError>>,
        timeout: Duration,
        fence: Option<Fence>,
    ) -> Result<(), SendError<A>>
    where
        A: Serialize + 'static,
        R: DeserializeOwned + 'static,
    {
        let target = match Specifier::of_session(to) {
            Ok(target) => target.with_event(event.name()),
            Err(error) => return Err(SendError::new(to, SendErrorKind::Address(error), arg)),
        };
        let (session, reply) = (cx.session_id(), EventKey::new(reply));
        let complete: Complete = Box::new(move |cx, to, params| {
            let result = params.and_then(|params| {
                let decoded = params.decode::<R>();
                decoded
                    .map_err(|error| RemoteError::new(to.to_string(), RemoteErrorKind::WrongReply(error.to_string())))
            });
            // The session may have been stopped all the same.
            let _ = cx.post(session, &reply, result);
        });
        match self.send_call(cx, target, &arg, timeout, complete, fence) {
            Ok(()) => Ok(()),
            Err(kind) => Err(SendError::new(to, kind, arg)),
        }
    }

    fn send_call(
        &self,
        cx: &KernelRef<'_>,
        target: Specifier,
        payload: &dyn Payload,
        timeout: Duration,
        complete: Complete,
        fence: Option<Fence>,
    ) -> Result<(), SendErrorKind> {
        let from = self.hub.sender(*cx, cx.session_id());
        let head = Head {
            event: target,
            from,
            fence,
            trace: self.hub.trace.here(),
            ..Head::default()
        };
        let hold = cx.hold_session(cx.session_id()).ok();
        self.hub.call(head, payload, timeout, hold, complete)
    }

    /// Subscribes to a session of another kernel, `poe://kernel/session`. A proxy for it appears, and is the argument of `subscribed`.
    ///
    /// What is posted to the proxy, or to its address as an alias, goes to that session: also with a
    /// [`KernelHandle`](poe::KernelHandle). Types other than text and numbers have to be allowed with [`sends`](Self::sends). The proxy
    /// ends with the connection.
    ///
    /// # Errors
    /// As [`call`](Self::call), with the address given back.
    pub fn subscribe(
        &self,
        cx: &KernelRef<'_>,
        to: &str,
        event: impl Posts<Result<Subscription, RemoteError>>,
        timeout: Duration,
    ) -> Result<(), SendError<String>> {
        let address = match Specifier::of_session(to) {
            Ok(address) => address,
            Err(error) => return Err(SendError::new(to, SendErrorKind::Address(error), to.to_owned())),
        };
        let target = Specifier {
            session: Some("IKC".to_owned()),
            event: Some("do_you_have".to_owned()),
            ..address.clone()
        };
        // Perl has all parts, and the empty string where there is none.
        let asked = Specifier {
            event: Some(String::new()),
            ..address.clone()
        };
        let question = (asked, self.hub.id.clone());
        let (session, event, hub) = (cx.session_id(), EventKey::new(event), self.hub.clone());
        let complete: Complete = Box::new(move |cx, _, params| {
            let granted = params.and_then(|params| match params.decode::<(Specifier, String)>() {
                Ok(_) => match hub.channel_to(address.kernel()) {
                    Some(channel) => subscribed(&hub, cx, &channel, address),
                    None => Err(RemoteError::new(address.to_string(), RemoteErrorKind::Lost)),
                },
                Err(error) => {
                    let text = params.decode::<String>().unwrap_or_else(|_| error.to_string());
                    Err(RemoteError::refused(&address.to_string(), text))
                }
            });
            let _ = cx.post(session, &event, granted);
        });
        let sent = self.send_call(cx, target, &question, timeout, complete, None);
        sent.map_err(|kind| SendError::new(to, kind, to.to_owned()))
    }

    /// Ends a subscription; false if there is none. The peer is not told.
    pub fn unsubscribe(&self, address: &str) -> bool {
        let Ok(address) = Specifier::of_session(address) else {
            return false;
        };
        self.hub.proxies.borrow().contains_key(&address.to_string()) && self.hub.ring(Job::Unsubscribe(address))
    }

    /// Asks another kernel whether it is there. The argument of `pong` is the time that the reply took.
    ///
    /// # Errors
    /// As [`call`](Self::call), with the name given back.
    pub fn ping(
        &self,
        cx: &KernelRef<'_>,
        kernel: &str,
        pong: impl Posts<Result<Duration, RemoteError>>,
        timeout: Duration,
    ) -> Result<(), SendError<String>> {
        let target = Specifier::new(kernel, "IKC", "ping");
        let (session, pong, began) = (cx.session_id(), EventKey::new(pong), Instant::now());
        let complete: Complete = Box::new(move |cx, _, params| {
            let _ = cx.post(session, &pong, params.map(|_| began.elapsed()));
        });
        let sent = self.send_call(cx, target, &"PING", timeout, complete, None);
        sent.map_err(|kind| SendError::new(kernel, kind, kernel.to_owned()))
    }

    /// Has the running session told what happens to a kernel: connections, subscriptions, errors. `*` is all kernels.
    ///
    /// A later call for the same name replaces the event.
    pub fn monitor(&self, cx: &KernelRef<'_>, kernel: &str, event: impl Posts<Notice>) {
        self.hub
            .monitors
            .set(cx.session_id(), kernel, Some(EventKey::new(event)));
    }

    /// Ends what [`monitor`](Self::monitor) began.
    #[doc(alias = "monitor")]
    pub fn unmonitor(&self, cx: &KernelRef<'_>, kernel: &str) {
        self.hub.monitors.set(cx.session_id(), kernel, None);
    }

    /// Listens for other kernels; returns the address.
    ///
    /// Connections are accepted while the kernel runs.
    ///
    /// # Errors
    /// The system's, or the address is not local (see [`Bind::insecure`]).
    pub fn listen(&self, bind: Bind) -> impl Future<Output = Result<SocketName, IkcError>> + use<> {
        let hub = self.hub.clone();
        async move {
            let (concurrency, speech) = (bind.concurrency, bind.speech);
            #[cfg(feature = "tls")]
            let tls = bind.tls.clone();
            let (socket, name, path) = bind.open().await?;
            let incoming = Incoming::Listener {
                socket,
                path,
                concurrency,
                speech,
                #[cfg(feature = "tls")]
                tls,
            };
            start(&hub, incoming).map(|()| name)
        }
    }

    /// Connects to another kernel, and returns when the socket is connected.
    ///
    /// The handshake follows while the kernel runs; [`registered`](Self::registered) waits for its end, monitors are told.
    ///
    /// # Errors
    /// The system's, or the address is not local (see [`Dial::insecure`]).
    pub fn connect(&self, dial: Dial) -> impl Future<Output = Result<(), IkcError>> + use<> {
        let hub = self.hub.clone();
        async move {
            let transport = dial.open().await?;
            let speech = dial.speech;
            let redial = dial.backoff.is_some().then(|| Box::new(Redial { dial, failures: 0 }));
            start(
                &hub,
                Incoming::Connection {
                    transport,
                    is_client: true,
                    speech,
                    redial,
                },
            )
        }
    }

    /// Talks to another kernel over a stream of any kind, such as a pipe, TLS, or memory in a test.
    ///
    /// One side is the client, the other the server. It only decides who speaks first.
    ///
    /// # Errors
    /// This `Ikc` was shut down.
    pub fn attach(&self, stream: impl AsyncRead + AsyncWrite + 'static, is_client: bool) -> Result<(), IkcError> {
        let transport = Transport::Other(Box::pin(stream));
        let (speech, redial) = (Speech::Ikc(Protocol::Ikc0), None);
        start(
            &self.hub,
            Incoming::Connection {
                transport,
                is_client,
                speech,
                redial,
            },
        )
    }

    /// Waits until a kernel of that name is connected. The kernel must be running meanwhile.
    ///
    /// # Errors
    /// This `Ikc` was shut down.
    pub fn registered(&self, kernel: &str) -> impl Future<Output = Result<(), IkcError>> + use<> {
        let wait = self.hub.awaited(kernel);
        let what = format!("wait for the kernel `{kernel}`");
        async move {
            match wait {
                Some(wait) => wait.await.map_err(|_| IkcError::new(what, IkcErrorKind::Ended)),
                None => Ok(()),
            }
        }
    }

    /// Closes all listeners and connections when their output is written, ends subscriptions, and tells monitors.
    ///
    /// [`Kernel::shutdown`](poe::Kernel::shutdown) does the same. Pending calls fail with [`RemoteError::is_lost`].
    pub fn shutdown(&self) {
        self.hub.ring(Job::Shutdown);
    }
}

fn start(hub: &Hub, incoming: Incoming) -> Result<(), IkcError> {
    match hub.ring(Job::Start(incoming)) {
        true => Ok(()),
        false => Err(IkcError::new("start a connection", IkcErrorKind::Ended)),
    }
}

impl fmt::Debug for Ikc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ikc")
            .field("name", &self.hub.name)
            .field("id", &self.hub.id)
            .field("kernels", &self.kernels())
            .field("pending_calls", &self.pending_calls())
            .finish()
    }
}
