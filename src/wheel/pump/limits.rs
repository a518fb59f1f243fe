//! Time limits on a peer: for silence, for the first record, for an incomplete record, and at the close.
//!
//! | limit | runs from | stands still | reported again |
//! |---|---|---|---|
//! | idle | the last byte read or written | while the program pauses the input and no output waits | after the next byte |
//! | first | the start of the wheel | while the program pauses the input | never |
//! | record | the first byte of a record | while the program pauses the input | for the next record |
//!
//! A wheel without limits has no [`Watch`]. A wheel with limits has one timer. When the deadline moves later the timer is not
//! changed: it fires early, and is set again.

use super::super::IoError;
use super::Pump;
use super::handle::{Events, emit_unwritten};
use super::output::Writing;
use super::state::PumpState;
use crate::bridge::runtime::{Instant, Pause, now};
use crate::driver::BLOCK_SIZE;
use crate::error::{Error, ErrorKind};
use crate::filter::Filter;
use crate::kernel::Core;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::ReadBuf;

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

// The orderly end of a connection: the output is written, and the peer's input is drained.
//
// | time limit | counts from |
// |---|---|
// | flush timeout | the last byte that the peer took of the waiting output; each one starts it anew |
// | linger | the first time that everything is written and the peer has nothing to say |
/// The most bytes that a closing wheel reads from its peer before it closes the socket.
const DRAINED: usize = 16 * 1024 * 1024;

/// The default flush timeout: how long the peer of a closing wheel may take no bytes.
pub(crate) const FLUSH_TIMEOUT: Duration = Duration::from_secs(30);

/// An output of which the peer takes nothing.
pub(super) struct Stall {
    /// The bytes written when the output stopped.
    written: u64,
    timer: Pause,
}

/// Gives the peer up: resets the connection, if possible. Returns the error that reports it.
#[cold]
pub(super) fn give_up(state: &PumpState) -> IoError {
    let (bytes, limit) = (state.buffered_bytes(), state.flush_timeout());
    state.update_writing(Writing::fail);
    state.with_io(|io| io.as_mut().abort());
    IoError::unwritten_after(state.base.id(), bytes, limit)
}

/// A wheel that is being closed in good order.
pub(super) struct Closing {
    linger: Duration,
    /// Runs from the first time that the peer has nothing to say.
    timer: Option<Pause>,
    drained: usize,
    /// The stream's output is shut down.
    shut: bool,
}

impl Pump {
    /// Ready when the peer has taken nothing for too long.
    pub(super) fn poll_stall(&mut self, state: &PumpState, cx: &mut Context<'_>) -> Poll<()> {
        let written = state.driver.output.borrow().written();
        let stall = match self.stall.take() {
            Some(stall) if stall.written == written => stall,
            _ => Stall {
                written,
                timer: Pause::new(state.flush_timeout()),
            },
        };
        Pin::new(&mut self.stall.insert(stall).timer).poll(cx)
    }

    /// Writes the rest, ends the output, and reads until the peer ends its output, too.
    ///
    /// A socket that is closed with unread input, or that gets input after it was closed, is reset by the system, which then
    /// drops bytes that were written and have not arrived.
    pub(super) fn poll_close(
        &mut self,
        state: &PumpState,
        linger: Duration,
        core: &Core,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        let mut closing = self.closing.take().unwrap_or(Closing {
            linger,
            timer: None,
            drained: 0,
            shut: false,
        });
        let result = self.close_step(state, &mut closing, core, cx);
        self.closing = Some(closing);
        result
    }

    fn close_step(&mut self, state: &PumpState, closing: &mut Closing, core: &Core, cx: &mut Context<'_>) -> Poll<()> {
        if !closing.shut {
            if !state.writing.get().is_over() {
                let shut = match state.flush(cx) {
                    Poll::Ready(Ok(true)) => state.with_io(|io| io.as_mut().poll_shutdown(cx)),
                    Poll::Ready(Ok(false)) => {
                        cx.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                    Poll::Ready(Err(_)) => None,
                    Poll::Pending => Some(Poll::Pending),
                };
                match shut {
                    Some(Poll::Ready(Ok(()))) => {}
                    Some(Poll::Pending) => {
                        ready!(self.poll_stall(state, cx));
                        emit_unwritten(state, core, give_up(state));
                        return Poll::Ready(());
                    }
                    Some(Poll::Ready(Err(_))) | None => return Poll::Ready(()),
                }
                state.with_io(|io| io.as_mut().close_output());
            }
            closing.shut = true;
        }
        if state.reading.get().has_ended() || self.end.is_some() || closing.linger.is_zero() {
            return Poll::Ready(());
        }
        // Like any other wheel it reads once in a turn, and not between two events.
        if core.is_turn() {
            let read = core.with_read_buffer(|buffer| {
                let mut buffer = ReadBuf::new(buffer);
                let Some(read) = state.with_io(|io| io.as_mut().poll_read(cx, &mut buffer)) else {
                    return Poll::Ready(0);
                };
                Poll::Ready(ready!(read).map_or(0, |()| buffer.filled().len()))
            });
            core.count_step();
            match read {
                Poll::Ready(0) => return Poll::Ready(()),
                Poll::Ready(bytes) => closing.drained += bytes,
                Poll::Pending if !state.task.get().is_some_and(|task| core.tasks.linger(task)) => {
                    return Poll::Ready(());
                }
                Poll::Pending => {
                    let linger = closing.linger;
                    let timer = closing.timer.get_or_insert_with(|| Pause::new(linger));
                    return Pin::new(timer).poll(cx);
                }
            }
            if closing.drained > DRAINED {
                return Poll::Ready(());
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

// The size of one read.
//
// Nothing else of the kernel runs between the records of one read. A block of 64 KiB can hold 32 768 lines, whose handlers
// would make other wheels wait for long. So the next block is sized by the records of the last one. It depends on the
// bytes alone, and never on time or on the kernel's budget, so that the same input gives the same order of events.
/// The number of records of one read to aim at: as many as a slice has time for.
const RECORDS: usize = 1024;

/// The least bytes that a read takes, however small the records are.
const LEAST: usize = 16_384;

pub(crate) struct Appetite {
    block: usize,
    /// Bytes of the last read, and the records seen since.
    bytes: usize,
    records: usize,
}

impl Appetite {
    pub(crate) fn new() -> Self {
        Appetite {
            block: BLOCK_SIZE,
            bytes: 0,
            records: 0,
        }
    }

    /// Returns how many bytes the next read may take, at most `most`.
    pub(crate) fn next(&mut self, most: usize) -> usize {
        if self.records > RECORDS {
            self.block = (self.bytes * RECORDS / self.records).clamp(LEAST, BLOCK_SIZE);
        } else if self.bytes >= self.block && self.records * 2 <= RECORDS {
            // A whole block, and room for twice the records.
            self.block = (self.block * 2).min(BLOCK_SIZE);
        }
        (self.bytes, self.records) = (0, 0);
        self.block.min(most)
    }

    pub(crate) fn has_read(&mut self, bytes: usize) {
        self.bytes = bytes;
    }

    pub(crate) fn has_seen(&mut self) {
        self.records += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_shrink_with_small_records_and_grow_with_large_ones() {
        let mut appetite = Appetite::new();
        let mut read = |records: usize| {
            let block = appetite.next(BLOCK_SIZE);
            appetite.has_read(block);
            (0..records).for_each(|_| appetite.has_seen());
            block
        };
        assert_eq!(read(32_768), BLOCK_SIZE);
        assert_eq!(read(1024), LEAST, "1024 records would be 2 KiB");
        assert_eq!(read(10), LEAST, "1024 records are what is aimed at");
        assert_eq!(read(0), 2 * LEAST, "a whole block with few records");
        assert_eq!(read(1200), 4 * LEAST);
        assert_eq!(read(1), 4 * LEAST * 1024 / 1200);
    }
}

// Settings that the builders of ReadWrite and Run share: the events of the output, and the check of the
// settings.
/// The settings of a wheel that is not started yet.
#[derive(Default)]
pub(crate) struct Settings {
    pub(crate) events: Events,
    /// High and low mark, in bytes.
    pub(crate) marks: Option<(usize, usize)>,
    pub(crate) limits: Limits,
    /// The first invalid setting; reported when the wheel is started.
    fault: Option<String>,
}

impl Settings {
    /// Checks a filter's settings.
    pub(crate) fn check<F: Filter>(&mut self, filter: &F) {
        if let Err(error) = filter.check() {
            self.refuse(&error.to_string());
        }
    }

    pub(crate) fn refuse(&mut self, why: &str) {
        self.fault.get_or_insert_with(|| why.to_owned());
    }

    /// Checks all settings together.
    pub(crate) fn verdict(&self) -> Result<(), Error> {
        if let Some(fault) = &self.fault {
            return Err(ErrorKind::Invalid(fault.clone()).into());
        }
        self.limits.check()?;
        self.marks().map_or(Ok(()), |(high, low)| check_marks(high, low))
    }

    /// The high and the low mark, if the output is watched.
    pub(crate) fn marks(&self) -> Option<(usize, usize)> {
        let watched = self.events.high.is_some() || self.events.low.is_some();
        self.marks.or(watched.then_some(DEFAULT_MARKS))
    }
}

/// The marks of an output that is watched, unless the program sets its own.
pub(crate) const DEFAULT_MARKS: (usize, usize) = (64 * 1024, 16 * 1024);

/// The rule for a high and a low mark.
pub(crate) fn check_marks(high: usize, low: usize) -> Result<(), Error> {
    if 0 < low && low < high {
        return Ok(());
    }
    let what = format!("watermarks must be 0 < low < high, not low {low} and high {high}");
    Err(ErrorKind::Invalid(what).into())
}

/// The setters of the watermarks, of a builder that has [`Settings`] in the named field.
macro_rules! watermark_settings {
    ([$($param:ident),*] $builder:ty, $($settings:ident).+) => {
        impl<$($param),*> $builder {
            /// Sets the marks for the bytes that wait to be written, `0 < low < high`; default none.
            ///
            /// At `high` a put reports [`Level::High`]($crate::wheel::Level::High) and the [high event](Self::high) comes; back at
            /// `low`, the [low event](Self::low). With one of these events and no marks, the marks are 64 KiB and 16 KiB.
            #[doc(alias = "HighMark")]
            #[doc(alias = "LowMark")]
            pub fn watermarks(mut self, high: usize, low: usize) -> Self {
                self.$($settings).+.marks = Some((high, low));
                self
            }

            /// Sends this event when the high mark of [`watermarks`](Self::watermarks) is reached.
            #[doc(alias = "HighEvent")]
            pub fn high(mut self, event: impl $crate::event::Posts<$crate::id::WheelId>) -> Self {
                self.$($settings).+.events.high = Some($crate::name::HeldName::new(event.key()));
                self
            }

            /// Sends this event when the output had reached the high mark and falls to the low one.
            #[doc(alias = "LowEvent")]
            pub fn low(mut self, event: impl $crate::event::Posts<$crate::id::WheelId>) -> Self {
                self.$($settings).+.events.low = Some($crate::name::HeldName::new(event.key()));
                self
            }
        }
    };
}
pub(crate) use watermark_settings;
