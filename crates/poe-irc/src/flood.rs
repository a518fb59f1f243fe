//! Flood control: output no faster than servers take it.

use crate::message::Message;
use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::Instant;

/// How fast messages may be sent.
///
/// The defaults are RFC 1459's (8.10), which servers' own rules follow: each message costs two seconds and one more for each
/// 120 bytes, and the client may be ten seconds ahead. So five short messages go at once and then one every two seconds.
///
/// ```
/// use poe_irc::Flood;
/// use std::time::Duration;
/// let mut flood = Flood::default();
/// flood.message = Duration::from_millis(500);         // a bot that the server trusts
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Flood {
    /// What each message costs; default 2 s.
    pub message: Duration,
    /// What each 120 bytes cost; default 1 s.
    pub per_120_bytes: Duration,
    /// How far the client may be ahead; default 10 s.
    pub burst: Duration,
}

impl Default for Flood {
    fn default() -> Self {
        Flood {
            message: Duration::from_secs(2),
            per_120_bytes: Duration::from_secs(1),
            burst: Duration::from_secs(10),
        }
    }
}

impl Flood {
    fn cost(&self, bytes: usize) -> Duration {
        self.message + self.per_120_bytes * u32::try_from(bytes / 120).unwrap_or(u32::MAX)
    }
}

/// The messages that wait, and how far ahead the client is.
pub(crate) struct Queue {
    flood: Option<Flood>,
    limit: usize,
    waiting: VecDeque<(Message, usize)>,
    /// What was sent is paid for until then.
    paid: Option<Instant>,
}

impl Queue {
    pub(crate) fn new(flood: Option<Flood>, limit: usize) -> Self {
        Queue {
            flood,
            limit,
            waiting: VecDeque::new(),
            paid: None,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(crate) fn push(&mut self, message: Message, bytes: usize) -> Result<(), Message> {
        if self.waiting.len() >= self.limit {
            return Err(message);
        }
        self.waiting.push_back((message, bytes));
        Ok(())
    }

    pub(crate) fn clear(&mut self) {
        self.waiting.clear();
        self.paid = None;
    }

    /// Counts a message that is sent past the queue.
    pub(crate) fn charge(&mut self, bytes: usize, now: Instant) {
        if let Some(flood) = self.flood {
            let from = self.paid.map_or(now, |paid| paid.max(now));
            self.paid = Some(from + flood.cost(bytes));
        }
    }

    /// Forgets what the registration has cost: servers count from its end.
    pub(crate) fn forgive(&mut self) {
        self.paid = None;
    }

    /// Takes the next message, or says how long to wait for it; `Ok(None)` if there is none.
    pub(crate) fn pop(&mut self, now: Instant) -> Result<Option<Message>, Duration> {
        let Some((_, bytes)) = self.waiting.front() else {
            return Ok(None);
        };
        if let (Some(flood), Some(paid)) = (self.flood, self.paid) {
            let cost = flood.cost(*bytes);
            // One message always fits, however dear.
            let ahead = paid.saturating_duration_since(now) + cost.min(flood.burst);
            if ahead > flood.burst {
                return Err(ahead - flood.burst);
            }
        }
        let bytes = *bytes;
        self.charge(bytes, now);
        Ok(self.waiting.pop_front().map(|(message, _)| message))
    }
}
