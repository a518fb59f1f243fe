//! A snapshot as a report for people.

use super::data::{EventId, EventType, QueuedEvent, SessionSnapshot, Snapshot};
use std::fmt;

impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let running = if self.is_running { "running" } else { "not running" };
        write!(f, "kernel on {}, {running}", self.which_loop)?;
        if let Some(event) = &self.active_event {
            write!(f, ", session {} handles `{event}`", self.active_session)?;
        }
        let (sessions, events) = (self.sessions.len(), self.queue.len());
        write!(f, "; {}, {}", number(sessions, "session"), number(events, "event"))?;
        for session in &self.sessions {
            write!(f, "\n{session}")?;
        }
        if !self.queue.is_empty() {
            f.write_str("\nqueue:")?;
        }
        for event in &self.queue {
            write!(f, "\n  {event}")?;
        }
        Ok(())
    }
}

impl fmt::Display for SessionSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "session {}", self.id)?;
        if !self.aliases.is_empty() {
            write!(f, " ({})", self.aliases.join(", "))?;
        }
        write!(
            f,
            ", child of {}, heap {}, created at {}:{}, {}, {} to it and {} from it",
            self.parent,
            self.heap_type,
            self.place.file(),
            self.place.line(),
            number(self.refcount, "reference"),
            number(self.events_to, "event"),
            self.events_from
        )?;
        if self.is_stopping {
            f.write_str(", stopping")?;
        }
        list(f, "handles", self.events.iter())?;
        list(
            f,
            "options",
            self.options.iter().map(|(name, value)| format!("{name}={value}")),
        )?;
        let signals = self.signals.iter();
        list(
            f,
            "watches",
            signals.map(|(signal, event)| format!("{signal} as {event}")),
        )?;
        for hold in &self.holds {
            write!(f, "\n  {hold}")?;
        }
        Ok(())
    }
}

fn number(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

fn list(f: &mut fmt::Formatter<'_>, what: &str, items: impl Iterator<Item = impl fmt::Display>) -> fmt::Result {
    for (i, item) in items.enumerate() {
        match i {
            0 => write!(f, "\n  {what} {item}")?,
            _ => write!(f, ", {item}")?,
        }
    }
    Ok(())
}

impl fmt::Display for QueuedEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (index, kind) = (self.index, self.kind);
        let ends = (self.source, self.destination);
        write!(
            f,
            "{index}: {kind} `{}`, {} to {}, {}",
            self.event, ends.0, ends.1, self.id
        )?;
        write!(f, " ({}:{})", self.place.file(), self.place.line())
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EventId::Post(number) => write!(f, "post {number}"),
            EventId::Timer(id) => write!(f, "timer {id}"),
        }
    }
}
