//! How a lease is got and kept: see the states in `lease.rs`.

use super::lease::{Change, Leases, Shared};
use super::presence::Bucket;
use super::subjects::token;
use crate::wire::Fence;
use async_nats::jetstream::kv;
use serde::{Deserialize, Serialize};
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// The entry of a lease.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Record {
    /// The token of the holder's kernel.
    pub(super) holder: String,
    /// Tells claims of one kernel apart.
    pub(super) claim: u64,
    /// The number; 0 in the first entry, whose revision it is.
    pub(super) number: u64,
}

impl Record {
    pub(super) fn read(entry: &kv::Entry) -> Option<Self> {
        let mut record: Record = rmp_serde::from_slice(&entry.value).ok()?;
        if record.number == 0 {
            record.number = entry.revision;
        }
        Some(record)
    }

    pub(super) fn to_bytes(&self) -> bytes::Bytes {
        rmp_serde::to_vec(self).expect("text and numbers can be written").into()
    }
}

/// Gets the lease, keeps it, and gets it again when it is lost, until the claim is dropped.
pub(super) async fn compete(
    claim: Rc<Shared>,
    leases: Rc<Leases>,
    bucket: Bucket,
    mut store: kv::Store,
    changes: mpsc::UnboundedSender<(Rc<Shared>, Change)>,
) {
    let key = token(&claim.name);
    let part = leases.ttl / 4;
    let record = |number| Record {
        holder: leases.own.clone(),
        claim: claim.claim,
        number,
    };
    while !claim.is_released.get() {
        let sent = Instant::now();
        let made = timeout(leases.ttl, store.create(&key, record(0).to_bytes())).await;
        let revision = match made {
            Ok(Ok(revision)) => revision,
            Ok(Err(error)) => {
                // An entry of ours whose confirmation was lost ends by itself, and the next one has a higher number.
                if error.kind() != kv::CreateErrorKind::AlreadyExists
                    && let Ok(anew) = bucket.open().await
                {
                    store = anew;
                }
                tokio::select! {
                    () = claim.wake.notified() => {}
                    () = sleep(part) => {}
                }
                continue;
            }
            Err(_) => continue,
        };
        claim.until.set(sent + leases.ttl * 9 / 10);
        if !claim.holds_from(revision) {
            continue;
        }
        let _ = leases.admit(&Fence {
            name: claim.name.clone(),
            number: revision,
        });
        let _ = changes.send((claim.clone(), Change::Held(revision)));
        let (revision, lost) = keep(&claim, &store, &key, revision, &record(revision), leases.ttl).await;
        claim.number.set(None);
        match lost {
            Some((number, why)) => {
                let _ = changes.send((claim.clone(), Change::Lost(number, why)));
            }
            // Nobody else can have made it meanwhile, or the revision were another.
            None => {
                let _ = timeout(part, store.delete_expect_revision(&key, Some(revision))).await;
            }
        }
    }
    let _ = changes.send((claim, Change::Released));
}

impl Shared {
    /// Begins to hold; false if the time is over already.
    fn holds_from(&self, number: u64) -> bool {
        self.number.set(Some(number));
        let holds = self.holds(number);
        if !holds {
            self.number.set(None);
        }
        holds
    }
}

/// Renews a lease until the claim is dropped, or the lease is lost: then returns its number, and why.
async fn keep(
    claim: &Shared,
    store: &kv::Store,
    key: &str,
    number: u64,
    record: &Record,
    ttl: Duration,
) -> (u64, Option<(u64, &'static str)>) {
    let part = ttl / 4;
    let mut revision = number;
    let mut next = Instant::now() + part;
    loop {
        tokio::select! {
            () = claim.wake.notified() => {
                if claim.is_released.get() {
                    return (revision, None);
                }
            }
            () = sleep_until(next.min(claim.until.get())) => {}
        }
        let sent = Instant::now();
        if sent >= claim.until.get() {
            return (revision, Some((number, "it was not renewed in time")));
        }
        if sent < next {
            continue;
        }
        let left = claim.until.get() - sent;
        match timeout(left, store.update(key, record.to_bytes(), revision)).await {
            Ok(Ok(renewed)) => {
                revision = renewed;
                claim.until.set(sent + ttl * 9 / 10);
                next = Instant::now() + part;
            }
            Ok(Err(error)) if error.kind() == kv::UpdateErrorKind::WrongLastRevision => {
                // A renewal whose confirmation was lost has made the entry that is there.
                match timeout(left, store.entry(key)).await {
                    Ok(Ok(Some(entry))) if is_ours(&entry, record) => revision = entry.revision,
                    Ok(Ok(_)) => return (revision, Some((number, "another kernel has the name"))),
                    _ => next = Instant::now() + part / 4,
                }
            }
            _ => next = Instant::now() + part / 4,
        }
    }
}

fn is_ours(entry: &kv::Entry, record: &Record) -> bool {
    entry.operation == kv::Operation::Put
        && Record::read(entry).is_some_and(|there| {
            there.holder == record.holder && there.claim == record.claim && there.number == record.number
        })
}
