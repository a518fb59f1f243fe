//! Messages that come in: requests, replies, error reports, and what a responder replies to by itself.

use crate::calls::Call;
use crate::channel::Channel;
use crate::error::{INVOCATION, Refusal, RemoteError, RemoteErrorKind};
use crate::hub::{Hub, Job, REPLY};
use crate::monitor::Occurrence;
use crate::payload::Payload;
use crate::publish::{Closed, Ran, Replied, Request, TakeReply};
use crate::sender;
use crate::specifier::Specifier;
use crate::tikc;
use crate::wire::{Fence, Format, Head, Params, WireError};
use bytes::Bytes;
use poe::extend::Nested;
use poe::storable::Value;
use std::rc::Rc;

/// What IKC's error report contains: the text, the kernel that was addressed, and the phase.
type Report = (String, String, String);

impl Hub {
    /// Takes the frames of a read.
    ///
    /// # Errors
    /// One is not a message: the connection is to be dropped.
    pub(crate) fn take(
        self: &Rc<Self>,
        cx: &mut Nested<'_>,
        channel: &Rc<Channel>,
        is_tikc: bool,
        frames: &[Bytes],
    ) -> Result<(), WireError> {
        for frame in frames {
            // A handler may have closed it.
            if channel.wheel.borrow().is_none() {
                return Ok(());
            }
            match is_tikc {
                true => tikc::incoming(self, cx, channel, frame)?,
                false => self.incoming(cx, channel, frame)?,
            }
        }
        Ok(())
    }

    /// Takes a frame of a connection.
    ///
    /// # Errors
    /// It is not a message: the connection is to be dropped.
    pub(crate) fn incoming(
        self: &Rc<Self>,
        cx: &mut Nested<'_>,
        channel: &Rc<Channel>,
        frame: &[u8],
    ) -> Result<(), WireError> {
        self.count(|counters| counters.received += 1);
        let format = channel.format();
        let last = match &*channel.last_head.borrow() {
            Some((bytes, head)) if format == Format::MsgPack && frame.starts_with(bytes) => {
                Some((head.clone(), bytes.len()))
            }
            _ => None,
        };
        if let Some((head, length)) = last {
            self.message(cx, channel, &head, Params::msgpack(&self.codec, &frame[length..]));
            return Ok(());
        }
        self.codec.read(format, frame, |head, params| {
            let head = Rc::new(head);
            // A call's is not the next one's.
            if let Some(length) = params.head_length(frame)
                && head.rsvp.is_none()
            {
                let bytes = Bytes::copy_from_slice(&frame[..length]);
                *channel.last_head.borrow_mut() = Some((bytes, head.clone()));
            }
            self.message(cx, channel, &head, params);
        })
    }

    fn message(self: &Rc<Self>, cx: &mut Nested<'_>, channel: &Rc<Channel>, head: &Head, params: Params<'_>) {
        let (Some(session), Some(event)) = (head.event.session(), head.event.event()) else {
            let text = format!("{} isn't a valid specifier", head.event);
            return self.refuse(cx, channel, head, "request", text);
        };
        if session == "IKC" {
            match event {
                "ping" => return self.reply(channel, head, "IKC", Some(&"PONG")),
                "do_you_have" => return self.do_you_have(cx, channel, head, params),
                "remote_error" => return self.remote_error(cx, channel, params),
                _ => {}
            }
            if let Some(id) = event.strip_prefix(REPLY) {
                return self.take_reply(cx, channel, id, head, params);
            }
        }
        match self.request(cx, channel, head, params) {
            Ok(Replied::Now(reply)) => self.settled(cx, channel, head, Ok(reply)),
            Ok(Replied::Later(reply)) if head.rsvp.is_some() => {
                let (hub, channel, head) = (self.clone(), channel.clone(), Box::new(head.clone()));
                let take: TakeReply = Box::new(move |reply| {
                    // In a turn of its own: this is the handler that sends the reply.
                    hub.ring(Job::Replied(channel, head, reply));
                });
                reply.then(**cx, take);
            }
            // Nobody waits: the sender of the reply is told when it sends it.
            Ok(Replied::Later(_)) => {}
            Err(Refusal { phase, text }) => self.refuse(cx, channel, head, phase, text),
        }
    }

    /// A request is done: its reply, or the reason why there is none, is sent.
    pub(crate) fn settled(
        &self,
        cx: &mut Nested<'_>,
        channel: &Rc<Channel>,
        head: &Head,
        reply: Result<Option<Box<dyn Payload>>, String>,
    ) {
        let session = head.event.session().unwrap_or_default();
        // The handler may have taken longer than the lease.
        let reply = match self.addressed(head) {
            Ok(_) => reply.map_err(|text| (INVOCATION, text)),
            Err(Refusal { phase, text }) => Err((phase, text)),
        };
        match reply {
            Ok(reply) => self.reply(channel, head, session, reply.as_deref()),
            Err((phase, text)) => self.refuse(cx, channel, head, phase, text),
        }
    }

    /// Runs the handler that a request means, if it is published; returns the reply.
    pub(crate) fn request(
        self: &Rc<Self>,
        cx: &mut Nested<'_>,
        channel: &Rc<Channel>,
        head: &Head,
        params: Params<'_>,
    ) -> Result<Replied, Refusal> {
        let refused = |phase, text| Err(Refusal { phase, text });
        self.admit(head)?;
        self.addressed(head)?;
        let (Some(session), Some(event)) = (head.event.session(), head.event.event()) else {
            return refused("request", format!("{} isn't a valid specifier", head.event));
        };
        // The door is taken out, since a handler may publish and retract.
        let door = self.published.borrow().door(&channel.names.borrow(), session, event);
        let door = match door {
            Ok(door) => door,
            Err(Closed::Session) => {
                return refused(
                    "check",
                    format!("Session '{session}' is not available for remote kernels"),
                );
            }
            Err(Closed::Event) => {
                return refused(
                    "check",
                    format!("Session '{session}' has not published state '{event}'"),
                );
            }
        };
        let Ok(target) = cx.alias_resolve(session) else {
            return refused("resolve", format!("Unknown session '{session}'"));
        };
        let request = match door.open(&params) {
            Ok(request) => request,
            Err(error) => return refused(INVOCATION, format!("the event does not take this value: {error}")),
        };
        match self.run(cx, channel, head, request, target) {
            Ok(reply) => Ok(reply),
            Err(text) => refused(INVOCATION, text),
        }
    }

    /// Runs the handler, with a stand-in of the sender as its sender if the sender can be replied to.
    fn run(
        self: &Rc<Self>,
        cx: &mut Nested<'_>,
        channel: &Rc<Channel>,
        head: &Head,
        request: Box<dyn Request>,
        target: poe::SessionId,
    ) -> Ran {
        let _entered = self.trace.request(head).entered();
        let Some(from) = &head.from else {
            return request.run(cx, target);
        };
        match sender::of(self, cx, channel, from) {
            Some(sender) => {
                let run = cx.call(sender, sender::RUN, sender::Job { request, target });
                run.unwrap_or_else(|error| Err(error.to_string()))
            }
            None => request.run(cx, target),
        }
    }

    /// Sends the reply of a call. `None` is a reply of nothing, which Perl's kernels do not send.
    fn reply(&self, channel: &Rc<Channel>, head: &Head, session: &str, reply: Option<&dyn Payload>) {
        let Some(rsvp) = &head.rsvp else { return };
        // Perl's `call` says whose reply it is; our own peers know.
        let from = (channel.format() == Format::Storable).then(|| self.own(session));
        let mut back = self.head_to(rsvp.clone(), from);
        back.fence = self.addressed(head).ok().flatten();
        match reply {
            Some(reply) if head.want_list == Some(true) && channel.format() == Format::Storable => {
                match reply.reply_list(&self.codec, &back) {
                    Ok(frame) => self.send_reply(channel, &back, frame),
                    Err(error) => tracing::warn!(target: "poe::ikc", "the reply to {rsvp} is lost: {error}"),
                }
            }
            Some(reply) => self.send_back(channel, &back, reply),
            None if channel.format() == Format::MsgPack || channel.is_own() => self.send_back(channel, &back, &()),
            None => {}
        }
    }

    fn send_reply(&self, channel: &Rc<Channel>, head: &Head, frame: Vec<u8>) {
        if let Err(error) = self.send(channel, head, frame.into()) {
            tracing::warn!(target: "poe::ikc", "a reply is lost: {error}");
        }
    }

    /// Whether a session, or an event of it, is published: a peer wants to subscribe.
    fn do_you_have(&self, cx: &mut Nested<'_>, channel: &Rc<Channel>, head: &Head, params: Params<'_>) {
        let asked: Specifier = match params.decode::<(Specifier, Value)>() {
            Ok((asked, _)) => asked,
            Err(error) => return self.refuse(cx, channel, head, INVOCATION, error.to_string()),
        };
        let has = asked.session().is_some_and(|session| {
            self.published
                .borrow()
                .has_for(&channel.names.borrow(), session, asked.event())
        });
        if !has {
            let refusal = format!("Refused subscription {asked}");
            return self.reply(channel, head, "IKC", Some(&refusal));
        }
        let kernel = asked.kernel().unwrap_or(&self.id).to_owned();
        let granted = Specifier {
            kernel: Some(kernel),
            ..asked
        };
        self.reply(channel, head, "IKC", Some(&(granted, self.id.clone())));
    }

    /// Refuses a message whose sender's lease is over.
    fn admit(&self, head: &Head) -> Result<(), Refusal> {
        #[cfg(feature = "nats")]
        if let Some(fence) = &head.fence {
            return self.grid.borrow().as_ref().map_or(Ok(()), |grid| grid.admit(fence));
        }
        let _ = head;
        Ok(())
    }

    /// Refuses a message to a name that this kernel does not hold; returns the lease of one that it holds.
    fn addressed(&self, head: &Head) -> Result<Option<Fence>, Refusal> {
        #[cfg(feature = "nats")]
        if let (Some(grid), Some(name)) = (&*self.grid.borrow(), head.event.kernel()) {
            return grid.addressed(name);
        }
        let _ = head;
        Ok(None)
    }

    /// Whether a call to any kernel on NATS may have gone to that one.
    fn is_any_of(&self, called: u64, channel: &Rc<Channel>) -> bool {
        #[cfg(feature = "nats")]
        if channel.is_on_nats() {
            return self
                .grid
                .borrow()
                .as_ref()
                .is_some_and(|grid| grid.any().number == called);
        }
        let _ = (called, channel);
        false
    }

    fn take_reply(
        self: &Rc<Self>,
        cx: &mut Nested<'_>,
        channel: &Rc<Channel>,
        id: &str,
        head: &Head,
        params: Params<'_>,
    ) {
        let is_from = |called| called == channel.number || self.is_any_of(called, channel);
        let call = id.parse().ok().and_then(|id| self.calls.borrow_mut().take(id, is_from));
        let Some(call) = call else {
            self.count(|counters| counters.unexpected_replies += 1);
            tracing::debug!(target: "poe::ikc", "{} sent a reply that nobody waits for: {}", channel.peer.borrow(), head.event);
            return;
        };
        if let Err(Refusal { phase, text }) = self.admit(head) {
            let phase = phase.to_owned();
            self.fail(cx, call, RemoteErrorKind::Refused { phase, text });
        } else if head.is_error {
            match params.decode::<Report>() {
                Ok((text, _, phase)) => {
                    self.count(|counters| counters.errors += 1);
                    self.tell_remote(cx, channel, &phase, &text);
                    self.fail(cx, call, RemoteErrorKind::Refused { phase, text });
                }
                Err(error) => self.fail(cx, call, RemoteErrorKind::WrongReply(error.to_string())),
            }
        } else {
            call.end(cx, Ok(params));
        }
        self.settle();
    }

    /// An error report of the peer. Perl's say only which target they are about.
    fn remote_error(self: &Rc<Self>, cx: &mut Nested<'_>, channel: &Rc<Channel>, params: Params<'_>) {
        let Ok((text, _, phase)) = params.decode::<Report>() else {
            self.count(|counters| counters.refused += 1);
            return;
        };
        self.count(|counters| counters.errors += 1);
        self.tell_remote(cx, channel, &phase, &text);
        let Some(target) = target_of(&text) else { return };
        let call = self.calls.borrow_mut().take_oldest(channel.number, target);
        if let Some(call) = call {
            self.fail(cx, call, RemoteErrorKind::Refused { phase, text });
            self.settle();
        }
    }

    fn fail(&self, cx: &mut Nested<'_>, call: Call, kind: RemoteErrorKind) {
        call.fail(cx, kind);
    }

    fn tell_remote(&self, cx: &mut Nested<'_>, channel: &Rc<Channel>, phase: &str, text: &str) {
        let what = Occurrence::Error {
            operation: format!("remote-{phase}"),
            text: text.to_owned(),
        };
        self.monitors.tell(**cx, &channel.names.borrow(), &what);
    }

    /// Refuses a request: monitors are told, and the peer, unless the message was itself an error report.
    fn refuse(&self, cx: &mut Nested<'_>, channel: &Rc<Channel>, head: &Head, phase: &str, reason: String) {
        self.count(|counters| counters.refused += 1);
        let from = head.from.as_ref().map(|from| format!(" sent by {from}"));
        let text = format!("{reason}.  Request {}{}", head.event, from.unwrap_or_default());
        let what = Occurrence::Error {
            operation: format!("local-{phase}"),
            text: text.clone(),
        };
        self.monitors.tell(**cx, &channel.names.borrow(), &what);
        if head.is_error {
            return;
        }
        let kernel = head.event.kernel().unwrap_or_default().to_owned();
        let report: Report = (text, kernel, phase.to_owned());
        // Our own peers get it in place of the reply; Perl's responder where it expects errors.
        let to = match &head.rsvp {
            Some(rsvp) if channel.format() == Format::MsgPack || channel.is_own() => rsvp.clone(),
            _ => Specifier::new(&**channel.peer.borrow(), "IKC", "remote_error"),
        };
        let mut back = self.head_to(to, None);
        back.is_error = true;
        self.send_back(channel, &back, &report);
    }
}

/// The target in the text of an error report: `….  Request poe://K/S/E sent by …`.
pub(crate) fn target_of(text: &str) -> Option<&str> {
    let (_, target) = text.rsplit_once(".  Request ")?;
    Some(target.split_once(" sent by ").map_or(target, |(target, _)| target))
}

impl RemoteError {
    /// The peer refuses a subscription.
    pub(crate) fn refused(to: &str, text: String) -> Self {
        let phase = "check".to_owned();
        RemoteError::new(to, RemoteErrorKind::Refused { phase, text })
    }
}
