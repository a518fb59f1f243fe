//! Durable posts as they are made.

use super::lease::Lease;
use super::store::{Complete, NewPost, Stored};
use crate::error::{RemoteError, SendError, SendErrorKind};
use crate::wire::{Format, Head};
use crate::{Ikc, Specifier};
use async_nats::HeaderMap;
use poe::KernelRef;
use poe::event::{EventKey, EventName, Posts};
use serde::Serialize;
use std::time::Duration;

/// A durable post that is being made: see [`Ikc::durable`].
#[must_use = "nothing is posted until `post` is called"]
#[derive(Debug)]
pub struct DurablePost<'i> {
    ikc: &'i Ikc,
    to: String,
    id: Option<String>,
    timeout: Duration,
    lease: Option<Lease>,
}

impl Ikc {
    /// Makes a post that is stored by the NATS server until a handler has handled it.
    ///
    /// The address is `poe://*/session`, any kernel that [takes](super::IkcNats::take) the session's durable posts, or
    /// `poe://name/session`, the kernel of that name, which need not be running.
    ///
    /// ```no_run
    /// use poe::{Event, Session, event::START};
    /// use poe_ikc::nats::{IkcNats, Store, Stored, Take};
    /// use poe_ikc::{Ikc, RemoteError};
    /// const RESIZE: Event<String> = Event::new("resize");
    /// const STORED: Event<Result<Stored, RemoteError>> = Event::new("stored");
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let kernel = poe::Kernel::new();
    /// let ikc = Ikc::builder("web").start(&kernel)?;
    /// ikc.join(IkcNats::connect("127.0.0.1:4222").durable(Store::new())).await?;
    /// Session::builder(ikc)
    ///     .on(START, |cx, ()| -> poe::HandlerResult {
    ///         Ok(cx.heap.durable("poe://*/images").post(cx, RESIZE, "cat.png".to_owned(), STORED)?)
    ///     })
    ///     .on(STORED, |_, stored| match stored {
    ///         Ok(stored) => println!("{} will be done", stored.id),
    ///         Err(error) => eprintln!("{error}"),
    ///     })
    ///     .create(&kernel)?;
    /// kernel.run().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn durable(&self, to: impl Into<String>) -> DurablePost<'_> {
        DurablePost {
            ikc: self,
            to: to.into(),
            id: None,
            timeout: Duration::from_secs(60),
            lease: None,
        }
    }
}

impl Ikc {
    /// Returns the durable post that is being handled; `None` in handlers of anything else.
    ///
    /// A handler may be given a post twice: it can tell that from the ID.
    #[must_use]
    pub fn delivery(&self) -> Option<super::Delivery> {
        super::grid::of(&self.hub)?.delivery.borrow().clone()
    }
}

impl DurablePost<'_> {
    /// Sets the post's ID. The server stores a post with the same ID once, within [`Store::duplicates`](super::Store::duplicates).
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Sets how long to try to have it stored; 60 s by default.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = limit;
        self
    }

    pub(super) fn held_by(mut self, lease: Lease) -> Self {
        self.lease = Some(lease);
        self
    }

    /// Posts it. When the server has stored it, the running session gets `stored`, or the reason why it is not stored.
    ///
    /// Posts of one kernel are stored in the order in which they are made.
    ///
    /// # Errors
    /// The address, durable posts are not [set up](super::IkcNats::durable), too many wait already, or the argument cannot be
    /// serialized. No event comes then.
    pub fn post<A: Serialize + 'static>(
        self,
        cx: &KernelRef<'_>,
        event: impl Posts<A>,
        arg: A,
        stored: impl Posts<Result<Stored, RemoteError>>,
    ) -> Result<(), SendError<A>> {
        let (session, stored) = (cx.session_id(), EventKey::new(stored));
        let hold = cx.hold_session(session).ok();
        let complete: Complete = Box::new(move |cx, result| {
            // The session may have been stopped all the same.
            let _ = cx.post(session, &stored, result);
            drop(hold);
        });
        match self.add(cx, event.name(), &arg, complete) {
            Ok(()) => Ok(()),
            Err((to, kind)) => Err(SendError::new(&to, kind, arg)),
        }
    }

    fn add<A: Serialize + 'static>(
        self,
        cx: &KernelRef<'_>,
        event: &str,
        arg: &A,
        complete: Complete,
    ) -> Result<(), (String, SendErrorKind)> {
        let DurablePost {
            ikc,
            to,
            id,
            timeout,
            lease,
        } = self;
        let fence = match lease.map(|lease| lease.fence()).transpose() {
            Ok(fence) => fence,
            Err(kind) => return Err((to, kind)),
        };
        let hub = &ikc.hub;
        let target = match Specifier::of_session(&to) {
            Ok(target) => target.with_event(event),
            Err(error) => return Err((to, SendErrorKind::Address(error))),
        };
        if target.kernel() == Some("**") {
            return Err((to, SendErrorKind::Many));
        }
        let grid = super::grid::of(hub);
        let Some(publisher) = grid.as_ref().and_then(|grid| grid.publisher.as_ref()) else {
            return Err((to, SendErrorKind::NoStore));
        };
        let head = Head {
            event: target.clone(),
            from: hub.sender(*cx, cx.session_id()),
            fence,
            trace: hub.trace.here(),
            ..Head::default()
        };
        let payload = match hub.codec.write(Format::MsgPack, &head, arg) {
            Ok(payload) => payload.into(),
            Err(error) => return Err((to, SendErrorKind::Wire(error))),
        };
        let post = NewPost {
            id,
            to: target,
            payload,
            headers: HeaderMap::new(),
            timeout,
            complete,
        };
        publisher.add(post).map_err(|kind| (to, kind))
    }
}
