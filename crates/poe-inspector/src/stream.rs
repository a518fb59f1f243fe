//! The stream of events as Server-Sent Events, and as lines of the console.

use crate::recorder::{End, Seen};
use crate::sample::{Batch, micros, millis};
use crate::table::Table;
use crate::tree::{name, place};
use bytes::Bytes;
use serde::Serialize;
use std::fmt::Write as _;
use std::rc::Rc;
use std::sync::Arc;
use tokio::sync::broadcast::{self, error::RecvError};

/// One dispatch, written out.
#[derive(Serialize)]
pub(crate) struct Event<'a> {
    /// Milliseconds since 1970, with fractions.
    pub(crate) t: f64,
    pub(crate) event: &'a str,
    pub(crate) to: u64,
    pub(crate) to_name: String,
    pub(crate) from: u64,
    pub(crate) from_name: String,
    pub(crate) place: String,
    pub(crate) took_us: f64,
    /// `handled`, `unhandled` or `failed`.
    pub(crate) outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) failure: Option<&'a str>,
}

impl<'a> Event<'a> {
    pub(crate) fn of(seen: &'a Seen, table: Option<&Table>) -> Self {
        let fraction = seen
            .started
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |since| since.subsec_micros() % 1000);
        Event {
            t: millis(seen.started) as f64 + f64::from(fraction) / 1e3,
            event: &seen.event,
            to: seen.session.get(),
            to_name: name(table, seen.session),
            from: seen.sender.get(),
            from_name: name(table, seen.sender),
            place: place(seen.place),
            took_us: micros(seen.took),
            outcome: match &seen.outcome {
                End::Handled => "handled",
                End::Unhandled => "unhandled",
                End::Failed(_) => "failed",
            },
            failure: match &seen.outcome {
                End::Failed(failure) => Some(failure),
                _ => None,
            },
        }
    }
}

/// Which events a reader wants.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter {
    /// In lower case, in the event's name.
    pub(crate) event: String,
    pub(crate) session: Option<u64>,
    pub(crate) min_us: f64,
    pub(crate) failed: bool,
}

impl Filter {
    pub(crate) fn takes(&self, seen: &Seen) -> bool {
        (self.event.is_empty() || seen.event.to_lowercase().contains(&self.event))
            && self
                .session
                .is_none_or(|id| seen.session.get() == id || seen.sender.get() == id)
            && micros(seen.took) >= self.min_us
            && (!self.failed || matches!(seen.outcome, End::Failed(_)))
    }
}

/// A reader's place in the stream. One that is too slow loses events, and is told how many.
pub(crate) struct Reader {
    batches: broadcast::Receiver<Arc<Batch>>,
    filter: Filter,
    next: Option<u64>,
}

/// What a reader gets next.
pub(crate) struct Part {
    pub(crate) batch: Arc<Batch>,
    pub(crate) lost: u64,
}

impl Reader {
    pub(crate) fn new(batches: broadcast::Receiver<Arc<Batch>>, filter: Filter) -> Self {
        Reader {
            batches,
            filter,
            next: None,
        }
    }

    /// `None` when the kernel is no longer watched.
    pub(crate) async fn next(&mut self) -> Option<Part> {
        loop {
            match self.batches.recv().await {
                Ok(batch) => {
                    let lost = self.next.map_or(0, |next| batch.first.saturating_sub(next));
                    self.next = Some(batch.first + batch.seen.len() as u64);
                    return Some(Part { batch, lost });
                }
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return None,
            }
        }
    }

    pub(crate) fn wanted<'a>(&self, part: &'a Part) -> impl Iterator<Item = &'a Seen> {
        part.batch.seen.iter().filter(|seen| self.filter.takes(seen))
    }

    /// A part as Server-Sent Events: `event: lost`, `event: sampled`, and one message with a list of events.
    pub(crate) fn written(&self, part: &Part, table: Option<&Rc<Table>>) -> Bytes {
        let mut text = String::new();
        if part.lost > 0 {
            let _ = write!(text, "event: lost\ndata: {{\"count\":{}}}\n\n", part.lost);
        }
        if part.batch.sampled {
            text.push_str("event: sampled\ndata: {}\n\n");
        }
        let events: Vec<_> = self
            .wanted(part)
            .map(|seen| Event::of(seen, table.map(|table| &**table)))
            .collect();
        if !events.is_empty() {
            let json = serde_json::to_string(&events).unwrap_or_default();
            let _ = write!(text, "data: {json}\n\n");
        }
        text.into()
    }
}
