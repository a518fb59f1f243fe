//! Unique names: a lease of a name, with a number that only grows.
//!
//! A lease is an entry in a bucket whose entries end by themselves. Who makes the entry holds the lease; the revision of that first
//! entry is the lease's number. The holder writes the entry anew, each time only if nobody else has. Its states:
//!
//! | state | meaning | next |
//! |---|---|---|
//! | waiting | somebody else has the entry | held, when the entry could be made |
//! | held | the entry is ours until `until` | held, renewed; waiting, when it was not renewed in time or is another's |
//!
//! `until` counts from when a renewal was sent, on the monotonic clock, less a tenth for clocks that differ; so it is over here before the
//! entry ends at the server. A process that was paused between looking at the clock and sending may still send later than that. So each
//! message of a holder has the number, and who has seen a higher one refuses it.

use super::hold::{Record, compete};
use super::presence::Bucket;
use crate::error::{IkcError, IkcErrorKind, SendErrorKind};
use crate::hub::Hub;
use crate::monitor::Occurrence;
use crate::sessions::{CLOSE, track};
use crate::wire::Fence;
use crate::{Ikc, RemoteError, SendError};
use async_nats::jetstream::kv;
use futures_util::stream;
use poe::event::{Calls, EventKey, Posts, START, STOP};
use poe::{Context, Event, KernelRef, OnFailure, Session, SessionId};
use serde::Serialize;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

/// The most names of leases whose numbers are remembered.
const MAX_FENCES: usize = 16 * 1024;

/// What a claim and its task share.
pub(super) struct Shared {
    pub(super) name: String,
    pub(super) claim: u64,
    session: SessionId,
    event: EventKey<Result<Lease, LeaseLost>>,
    /// The number, while the lease is held.
    pub(super) number: Cell<Option<u64>>,
    pub(super) until: Cell<Instant>,
    pub(super) is_released: Cell<bool>,
    pub(super) wake: Notify,
}

impl Shared {
    pub(super) fn holds(&self, number: u64) -> bool {
        self.number.get() == Some(number) && Instant::now() < self.until.get()
    }

    /// The number, if the lease is held now.
    fn held(&self) -> Option<u64> {
        self.number.get().filter(|number| self.holds(*number))
    }
}

/// A claim to a name, which lasts until it is dropped: see [`Ikc::claim`].
#[must_use = "dropping it gives the name up"]
pub struct Claim {
    shared: Rc<Shared>,
}

impl Claim {
    /// Returns the lease, if the name is held at this moment.
    #[must_use]
    pub fn number(&self) -> Option<u64> {
        self.shared.held()
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.shared.is_released.set(true);
        self.shared.wake.notify_one();
    }
}

impl fmt::Debug for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Claim({}, {:?})", self.shared.name, self.number())
    }
}

/// A name that this kernel alone holds, until it is lost: see [`Ikc::claim`].
///
/// What is sent with it has its [number](Self::number). Each use looks at the clock first.
#[derive(Clone)]
pub struct Lease {
    ikc: Ikc,
    shared: Rc<Shared>,
    number: u64,
}

impl Lease {
    /// Returns the name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// Returns the fencing number: higher than that of all who have held the name before.
    ///
    /// Give it to stores outside of POE too, if they can refuse lower numbers.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Whether the lease is still held, by this machine's clock.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.shared.holds(self.number)
    }

    /// The mark of messages, if the lease is still held.
    pub(super) fn fence(&self) -> Result<Fence, SendErrorKind> {
        match self.is_held() {
            true => Ok(Fence {
                name: self.shared.name.clone(),
                number: self.number,
            }),
            false => Err(SendErrorKind::NotHeld),
        }
    }

    /// Posts as the holder of the name: see [`Ikc::post`]. A kernel that has heard of a later holder refuses the post.
    ///
    /// # Errors
    /// As [`Ikc::post`], and if the lease is not held any more ([`SendError::is_lease_lost`]).
    pub fn post<A: Serialize + 'static>(&self, to: &str, event: impl Posts<A>, arg: A) -> Result<usize, SendError<A>> {
        match self.fence() {
            Ok(fence) => self.ikc.post_fenced(to, event, arg, fence),
            Err(kind) => Err(SendError::new(to, kind, arg)),
        }
    }

    /// Calls as the holder of the name: see [`Ikc::call`].
    ///
    /// # Errors
    /// As [`Ikc::call`], and if the lease is not held any more ([`SendError::is_lease_lost`]).
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
        R: serde::de::DeserializeOwned + 'static,
    {
        match self.fence() {
            Ok(fence) => self.ikc.call_fenced(cx, to, event, arg, reply, timeout, Some(fence)),
            Err(kind) => Err(SendError::new(to, kind, arg)),
        }
    }

    /// Makes a durable post as the holder of the name: see [`Ikc::durable`].
    pub fn durable(&self, to: impl Into<String>) -> super::DurablePost<'_> {
        self.ikc.durable(to).held_by(self.clone())
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lease({} {})", self.shared.name, self.number)
    }
}

/// A name is not held any more. The claim goes on: another [`Lease`] may follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseLost {
    name: String,
    number: u64,
    why: &'static str,
}

impl LeaseLost {
    /// Returns the name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the number of the lease that is over.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }
}

impl fmt::Display for LeaseLost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the lease {} of the name `{}` is lost: {}",
            self.number, self.name, self.why
        )
    }
}

impl std::error::Error for LeaseLost {}

/// Who holds a name.
struct Holder {
    record: Record,
    seen: Instant,
}

/// The leases that a kernel knows of.
pub(super) struct Leases {
    pub(super) ttl: Duration,
    pub(super) own: String,
    serial: Cell<u64>,
    claims: mpsc::UnboundedSender<Rc<Shared>>,
    /// Claims of this kernel, by name.
    claimed: RefCell<HashMap<String, Rc<Shared>>>,
    /// By name, also this kernel's.
    holders: RefCell<HashMap<String, Holder>>,
    /// The highest number that was seen, by name.
    fences: RefCell<HashMap<String, u64>>,
}

impl Leases {
    /// Whether this kernel may handle what is sent to a name: the number of its lease if so. None if the name is no lease's.
    pub(super) fn number_of(&self, name: &str) -> Option<Result<u64, ()>> {
        if let Some(claim) = self.claimed.borrow().get(name) {
            return Some(claim.held().ok_or(()));
        }
        self.fences.borrow().contains_key(name).then_some(Err(()))
    }

    /// Whether a message of a holder is accepted: not if a higher number was seen.
    pub(super) fn admit(&self, fence: &Fence) -> Result<(), u64> {
        let mut fences = self.fences.borrow_mut();
        match fences.get_mut(&fence.name) {
            Some(highest) if *highest > fence.number => Err(*highest),
            Some(highest) => {
                *highest = fence.number;
                Ok(())
            }
            None => {
                if fences.len() < MAX_FENCES {
                    fences.insert(fence.name.clone(), fence.number);
                }
                Ok(())
            }
        }
    }

    /// The token of the kernel that holds a name; None if nobody is known to.
    pub(super) fn holder(&self, name: &str) -> Option<String> {
        if let Some(claim) = self.claimed.borrow().get(name)
            && claim.held().is_some()
        {
            return Some(self.own.clone());
        }
        let holders = self.holders.borrow();
        let holder = holders.get(name)?;
        (holder.seen.elapsed() <= self.ttl).then(|| holder.record.holder.clone())
    }
}

/// What is set up before the session starts.
pub(super) struct Setup {
    bucket: Bucket,
    store: kv::Store,
    watch: kv::Watch,
    claims: mpsc::UnboundedReceiver<Rc<Shared>>,
}

pub(super) async fn open(bucket: Bucket, own: &str) -> Result<(Leases, Setup), IkcError> {
    let store = bucket.open().await?;
    let watch = super::presence::watch(&store).await?;
    let (sender, claims) = mpsc::unbounded_channel();
    let leases = Leases {
        ttl: bucket.max_age,
        own: own.to_owned(),
        serial: Cell::new(0),
        claims: sender,
        claimed: RefCell::default(),
        holders: RefCell::default(),
        fences: RefCell::default(),
    };
    let setup = Setup {
        bucket,
        store,
        watch,
        claims,
    };
    Ok((leases, setup))
}

pub(super) enum Change {
    Held(u64),
    Lost(u64, &'static str),
    /// The claim is over.
    Released,
}

const CLAIMED: Event<Option<Rc<Shared>>> = Event::new("claimed");
const CHANGED: Event<Option<(Rc<Shared>, Change)>> = Event::new("changed");
const ENTRY: Event<Option<Result<kv::Entry, kv::WatcherError>>> = Event::new("entry");
const WATCH: Event<()> = Event::new("watch");
const WATCHING: Event<Result<kv::Watch, IkcError>> = Event::new("watching");
const CHECK: Event<()> = Event::new("check");
const ENDED: Event<()> = Event::new("ended");

struct Keeper {
    hub: Rc<Hub>,
    leases: Rc<Leases>,
    bucket: Bucket,
    store: kv::Store,
    starting: Option<(kv::Watch, mpsc::UnboundedReceiver<Rc<Shared>>)>,
    changes: mpsc::UnboundedSender<(Rc<Shared>, Change)>,
    changed: Option<mpsc::UnboundedReceiver<(Rc<Shared>, Change)>>,
    tasks: Vec<poe::TaskId>,
    watching: Option<poe::TaskId>,
    left: bool,
}

/// Starts the session that keeps leases.
pub(super) fn start<H: 'static>(
    cx: &mut Context<'_, H>,
    hub: &Rc<Hub>,
    leases: &Rc<Leases>,
    setup: Setup,
) -> Result<(), poe::Error> {
    let (changes, changed) = mpsc::unbounded_channel();
    let keeper = Keeper {
        hub: hub.clone(),
        leases: leases.clone(),
        bucket: setup.bucket,
        store: setup.store,
        starting: Some((setup.watch, setup.claims)),
        changes,
        changed: Some(changed),
        tasks: Vec::new(),
        watching: None,
        left: false,
    };
    let id = cx.create(keeping(keeper))?;
    track(cx.kernel, hub, id);
    Ok(())
}

fn keeping(keeper: Keeper) -> poe::SessionBuilder<Keeper> {
    Session::builder(keeper)
        .on_failure(OnFailure::StopSession)
        .on(START, |cx, ()| {
            let (Some((watch, mut claims)), Some(mut changed)) = (cx.heap.starting.take(), cx.heap.changed.take())
            else {
                return;
            };
            cx.heap.watching = Some(cx.attach(watch, ENTRY));
            cx.heap.tasks = vec![
                cx.attach(stream::poll_fn(move |cx| claims.poll_recv(cx)), CLAIMED),
                cx.attach(stream::poll_fn(move |cx| changed.poll_recv(cx)), CHANGED),
            ];
            cx.delay_set(CHECK, cx.heap.leases.ttl / 3, ());
        })
        .on(CLAIMED, |cx, claim| {
            let Some(claim) = claim else { return };
            let competing = compete(
                claim,
                cx.heap.leases.clone(),
                cx.heap.bucket.clone(),
                cx.heap.store.clone(),
                cx.heap.changes.clone(),
            );
            cx.spawn(competing, ENDED);
        })
        .on(CHANGED, |cx, changed| {
            if let Some((claim, change)) = changed {
                tell(cx, &claim, change);
            }
        })
        .on(ENTRY, |cx, entry| match entry {
            Some(Ok(entry)) => entered(cx, &entry),
            Some(Err(error)) => tracing::debug!(target: "poe::ikc", "the watch of leases on NATS: {error}"),
            None => {
                cx.heap.watching = None;
                cx.delay_set(WATCH, cx.heap.leases.ttl / 3, ());
            }
        })
        .on(WATCH, |cx, ()| {
            if !cx.heap.left {
                let bucket = cx.heap.bucket.clone();
                cx.spawn(
                    async move { super::presence::watch(&bucket.open().await?).await },
                    WATCHING,
                );
            }
        })
        .on(WATCHING, |cx, watch| match watch {
            Ok(watch) if !cx.heap.left => cx.heap.watching = Some(cx.attach(watch, ENTRY)),
            Ok(_) => {}
            Err(_) => {
                cx.delay_set(WATCH, cx.heap.leases.ttl / 3, ());
            }
        })
        .on(CHECK, |cx, ()| {
            expire(cx);
            if !cx.heap.left {
                cx.delay_set(CHECK, cx.heap.leases.ttl / 3, ());
            }
        })
        .on(ENDED, |_, ()| {})
        .on(CLOSE, |cx, ()| {
            cx.heap.left = true;
            cx.alarm_remove_all();
            let claims: Vec<_> = cx.heap.leases.claimed.borrow().values().cloned().collect();
            for claim in claims {
                claim.is_released.set(true);
                claim.wake.notify_one();
            }
            let tasks: Vec<_> = cx.heap.watching.take().into_iter().collect();
            for task in tasks.into_iter().chain(std::mem::take(&mut cx.heap.tasks)) {
                cx.cancel(task);
            }
        })
        .on(STOP, |cx, ()| cx.heap.leases.claimed.borrow_mut().clear())
}

/// Somebody has got, kept or lost a name.
fn entered(cx: &mut Context<'_, Keeper>, entry: &kv::Entry) {
    let Some(name) = super::subjects::text(&entry.key) else {
        return;
    };
    let leases = cx.heap.leases.clone();
    let wake = |leases: &Leases| {
        if let Some(claim) = leases.claimed.borrow().get(&name) {
            claim.wake.notify_one();
        }
    };
    if entry.operation != kv::Operation::Put {
        if leases.holders.borrow_mut().remove(&name).is_some() {
            lost(cx, &name);
        }
        wake(&leases);
        return;
    }
    let Some(record) = Record::read(entry) else {
        tracing::warn!(target: "poe::ikc", "the entry `{}` on NATS is not that of a lease", entry.key);
        return;
    };
    let number = record.number;
    // A message with a lower number is too late from now on.
    let fence = Fence {
        name: name.clone(),
        number,
    };
    if leases.admit(&fence).is_err() {
        return;
    }
    let holder = Holder {
        record,
        seen: Instant::now(),
    };
    let before = leases.holders.borrow_mut().insert(name.clone(), holder);
    if before.is_none_or(|before| before.record.number != number) {
        let what = Occurrence::Register { pid: None };
        let monitors = &cx.heap.hub.monitors;
        monitors.tell_each(cx.kernel, std::slice::from_ref(&name), false, &what);
    }
}

fn lost(cx: &Context<'_, Keeper>, name: &String) {
    let monitors = &cx.heap.hub.monitors;
    monitors.tell_each(cx.kernel, std::slice::from_ref(name), false, &Occurrence::Unregister);
}

/// Forgets holders that have not renewed their leases.
fn expire(cx: &Context<'_, Keeper>) {
    let leases = &cx.heap.leases;
    let gone: Vec<_> = leases
        .holders
        .borrow_mut()
        .extract_if(|_, holder| holder.seen.elapsed() > leases.ttl)
        .collect();
    for (name, _) in gone {
        lost(cx, &name);
    }
}

/// Tells the claim's session.
fn tell(cx: &mut Context<'_, Keeper>, claim: &Rc<Shared>, change: Change) {
    let ikc = Ikc {
        hub: cx.heap.hub.clone(),
    };
    let told = match change {
        Change::Held(number) => Ok(Lease {
            ikc,
            shared: claim.clone(),
            number,
        }),
        Change::Lost(number, why) => Err(LeaseLost {
            name: claim.name.clone(),
            number,
            why,
        }),
        Change::Released => {
            let mut claimed = cx.heap.leases.claimed.borrow_mut();
            if claimed.get(&claim.name).is_some_and(|other| Rc::ptr_eq(other, claim)) {
                claimed.remove(&claim.name);
            }
            return;
        }
    };
    // The session may have ended; its claim is dropped with its heap.
    let _ = cx.post(claim.session, &claim.event, told);
}

impl Ikc {
    /// Claims a name that one kernel at a time holds. When this one gets it, the running session is told with a [`Lease`], and when it loses it
    /// with a [`LeaseLost`]. The claim lasts until it is dropped.
    ///
    /// Other kernels that [have leases](super::IkcNats::leases) address the holder with `poe://name/session`. It refuses what comes when
    /// it does not hold the name any more. Its replies, and what it sends with the [`Lease`], have the lease's number, and a kernel that
    /// has seen a higher one refuses them. So work of a holder that was paused and has lost the name comes to nothing.
    ///
    /// ```no_run
    /// use poe::{Event, Session, event::START};
    /// use poe_ikc::Ikc;
    /// use poe_ikc::nats::{Claim, IkcNats, Lease, LeaseLost};
    /// use std::time::Duration;
    /// const LEASE: Event<Result<Lease, LeaseLost>> = Event::new("lease");
    /// struct Leader {
    ///     ikc: Ikc,
    ///     claim: Option<Claim>,
    /// }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let kernel = poe::Kernel::new();
    /// let ikc = Ikc::builder("node").start(&kernel)?;
    /// ikc.join(IkcNats::connect("127.0.0.1:4222").leases(Duration::from_secs(10))).await?;
    /// Session::builder(Leader { ikc, claim: None })
    ///     .on(START, |cx, ()| -> poe::HandlerResult {
    ///         cx.heap.claim = Some(cx.heap.ikc.claim(cx, "leader", LEASE)?);
    ///         Ok(())
    ///     })
    ///     .on(LEASE, |_, lease| match lease {
    ///         Ok(lease) => println!("this kernel leads, with number {}", lease.number()),
    ///         Err(lost) => println!("{lost}"),
    ///     })
    ///     .create(&kernel)?;
    /// kernel.run().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// This kernel has not joined with [`IkcNats::leases`](super::IkcNats::leases), or has claimed the name already.
    pub fn claim(
        &self,
        cx: &KernelRef<'_>,
        name: &str,
        event: impl Posts<Result<Lease, LeaseLost>>,
    ) -> Result<Claim, IkcError> {
        let what = format!("claim the name `{name}`");
        let error = |why: &str| IkcError::new(&*what, IkcErrorKind::Nats(why.into()));
        let grid = super::grid::of(&self.hub);
        let Some(leases) = grid.as_ref().and_then(|grid| grid.leases.as_ref()) else {
            return Err(error("leases need `Ikc::join` with `IkcNats::leases`"));
        };
        // One that was dropped is on its way out.
        if leases
            .claimed
            .borrow()
            .get(name)
            .is_some_and(|claim| !claim.is_released.get())
        {
            return Err(error("this kernel has claimed it already"));
        }
        leases.serial.set(leases.serial.get() + 1);
        let shared = Rc::new(Shared {
            name: name.to_owned(),
            claim: leases.serial.get(),
            session: cx.session_id(),
            event: EventKey::new(event),
            number: Cell::new(None),
            until: Cell::new(Instant::now()),
            is_released: Cell::new(false),
            wake: Notify::new(),
        });
        if leases.claims.send(shared.clone()).is_err() {
            return Err(IkcError::new(&*what, IkcErrorKind::Ended));
        }
        leases.claimed.borrow_mut().insert(name.to_owned(), shared.clone());
        Ok(Claim { shared })
    }
}
