//! Time limits on a peer: for silence, for the first record, and for an incomplete record.
//!
//! | limit | runs from | stands still | reported again |
//! |---|---|---|---|
//! | idle | the last byte read or written | while the program pauses the input and no output waits | after the next byte |
//! | first | the start of the wheel | while the program pauses the input | never |
//! | record | the first byte of a record | while the program pauses the input | for the next record |
//!
//! A wheel without limits has no [`Watch`]. A wheel with limits has one timer. When the deadline moves later the timer is not
//! changed: it fires early, and is set again.

use super::state::PumpState;
use crate::bridge::runtime::{Instant, Pause, now};
use crate::error::{Error, ErrorKind};
use crate::wheel::IoError;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// The limits of a wheel.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Limits {
    pub(crate) idle: Option<Duration>,
    pub(crate) first: Option<Duration>,
    pub(crate) record: Option<Duration>,
}

impl Limits {
    pub(crate) fn check(&self) -> Result<(), Error> {
        let limits = [
            ("idle_timeout", self.idle),
            ("first_record_timeout", self.first),
            ("record_timeout", self.record),
        ];
        match limits.into_iter().find(|(_, limit)| *limit == Some(Duration::ZERO)) {
            Some((name, _)) => {
                let what = format!("`{name}` must be longer than zero: leave it out for no limit");
                Err(ErrorKind::Invalid(what).into())
            }
            None => Ok(()),
        }
    }

    fn any(&self) -> bool {
        self.idle.is_some() || self.first.is_some() || self.record.is_some()
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Limit {
    Idle,
    First,
    Record,
}

/// The state of a peer with limits.
pub(super) struct Watch {
    limits: Limits,
    /// When the last byte was read or written, or the input was resumed.
    active: Instant,
    /// The silence since then was reported.
    told_idle: bool,
    /// The deadline of the first record, until it has come.
    first: Option<Instant>,
    /// When the first byte of the incomplete record came.
    began: Option<Instant>,
    /// Its timeout was reported.
    told_record: bool,
    /// The program pauses the input.
    held: bool,
    timer: Option<Pause>,
}

impl Watch {
    /// Returns `None` if there is no limit.
    pub(super) fn new(limits: Limits) -> Option<Box<Self>> {
        limits.any().then(|| {
            let now = now();
            Box::new(Watch {
                limits,
                active: now,
                told_idle: false,
                first: limits.first.and_then(|limit| now.checked_add(limit)),
                began: None,
                told_record: false,
                held: false,
                timer: None,
            })
        })
    }

    /// Records the progress of a poll of the wheel. `seen`: a record was made since the last call.
    pub(super) fn note(&mut self, state: &PumpState, seen: bool) {
        let now = now();
        if state.progress.take() {
            self.active = now;
            self.told_idle = false;
        }
        if state.given.get() {
            self.first = None;
        }
        let reads = state.is_reading();
        if reads && self.held {
            self.active = now;
            self.began = None;
            self.first = self
                .first
                .and(self.limits.first)
                .and_then(|limit| now.checked_add(limit));
        }
        self.held = !reads;
        if self.limits.record.is_some() {
            let incomplete = state.with_parser(|parser| !parser.pending().is_empty()) == Some(true);
            if seen || !incomplete {
                self.began = None;
                self.told_record = false;
            }
            if incomplete && self.began.is_none() {
                self.began = Some(now);
            }
        }
    }

    /// Ready with an error when a limit is over.
    pub(super) fn poll(&mut self, state: &PumpState, cx: &mut Context<'_>) -> Poll<IoError> {
        loop {
            let Some((at, limit)) = self.next(state) else {
                self.timer = None;
                return Poll::Pending;
            };
            if at <= now() {
                return Poll::Ready(self.tell(state, limit));
            }
            // A timer that fires early is cheaper than setting one for each byte.
            let timer = match &mut self.timer {
                Some(timer) if timer.until() <= at => timer,
                other => other.insert(Pause::until_instant(at)),
            };
            if Pin::new(timer).poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.timer = None;
        }
    }

    /// Returns the next deadline.
    fn next(&self, state: &PumpState) -> Option<(Instant, Limit)> {
        let reads = state.is_reading();
        let idle = self
            .limits
            .idle
            .filter(|_| !self.told_idle && (reads || state.buffered_bytes() > 0));
        let idle = idle.and_then(|limit| self.active.checked_add(limit));
        let first = self.first.filter(|_| reads);
        let began = self.began.filter(|_| reads && !self.told_record);
        let record = began
            .zip(self.limits.record)
            .and_then(|(began, limit)| began.checked_add(limit));
        let deadlines = [(idle, Limit::Idle), (first, Limit::First), (record, Limit::Record)];
        let deadlines = deadlines.into_iter().filter_map(|(at, limit)| Some((at?, limit)));
        deadlines.min_by_key(|(at, _)| *at)
    }

    fn tell(&mut self, state: &PumpState, limit: Limit) -> IoError {
        let text = match limit {
            Limit::Idle => {
                self.told_idle = true;
                let limit = self.limits.idle.unwrap_or_default();
                match state.buffered_bytes() {
                    0 => format!("no byte has come or gone for {limit:?} (`idle_timeout`)"),
                    waiting => format!(
                        "no byte has come or gone for {limit:?}, and the peer has not taken {waiting} bytes (`idle_timeout`)"
                    ),
                }
            }
            Limit::First => {
                self.first = None;
                let limit = self.limits.first.unwrap_or_default();
                format!("the first record has not come within {limit:?} (`first_record_timeout`)")
            }
            Limit::Record => {
                self.told_record = true;
                let limit = self.limits.record.unwrap_or_default();
                let bytes = state.with_parser(|parser| parser.pending().len()).unwrap_or_default();
                format!("a record, {bytes} bytes so far, is still incomplete after {limit:?} (`record_timeout`)")
            }
        };
        IoError::limit(state.base.id(), io::Error::new(io::ErrorKind::TimedOut, text))
    }
}
