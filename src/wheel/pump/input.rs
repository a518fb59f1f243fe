//! The reading side of a pump: what the stream and the filter still give, and one turn's read and records.

use super::super::error::IoError;
use super::Pump;
use super::erased::Record;
use super::handle::{die, report};
use super::output::{emit_acted, emit_high};
use super::state::PumpState;
use crate::bridge::runtime::explained;
use crate::error::Failure;
use crate::kernel::Core;
use crate::kernel::count::Traffic;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::{Context, Poll, ready};
use tokio::io::ReadBuf;

/// The state of the reading side: of the stream, of the filter, and who has paused it. The table is in the module's documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reading {
    stream: Stream,
    filter: Parsing,
    /// The program has paused the input.
    paused: bool,
    /// A splice has, because the other wheel's buffer is full.
    throttled: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stream {
    Open,
    /// The end of the input, or an error, was met. Records may be left in the filter.
    Ended,
    /// The program wants nothing more of the input, which may have ended before.
    Shut {
        ended: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Parsing {
    /// Records have an event.
    Records,
    /// There is no filter, or no event for its records.
    NoEvent,
    /// The filter cannot go on.
    Broken,
}

impl Reading {
    pub(super) fn new(has_filter: bool) -> Self {
        Reading {
            stream: Stream::Open,
            filter: if has_filter { Parsing::Records } else { Parsing::NoEvent },
            paused: false,
            throttled: false,
        }
    }

    /// The program pauses or resumes the input.
    pub(super) fn pause(mut self, paused: bool) -> Self {
        self.paused = paused;
        self
    }

    /// A splice does.
    pub(super) fn throttle(mut self, throttled: bool) -> Self {
        self.throttled = throttled;
        self
    }

    /// The end of the stream was met.
    pub(super) fn end(mut self) -> Self {
        self.stream = match self.stream {
            Stream::Open | Stream::Ended => Stream::Ended,
            Stream::Shut { .. } => Stream::Shut { ended: true },
        };
        self
    }

    /// The program wants nothing more.
    pub(super) fn shut(mut self) -> Self {
        self.stream = Stream::Shut {
            ended: self.has_ended(),
        };
        self
    }

    /// A new filter, with an event for its records.
    pub(super) fn set_filter(mut self) -> Self {
        self.filter = Parsing::Records;
        self
    }

    /// The event of records is named or taken away. Only a new filter replaces one that cannot go on.
    pub(super) fn set_event(mut self, has_event: bool) -> Self {
        self.filter = match (self.filter, has_event) {
            (Parsing::Broken, _) => Parsing::Broken,
            (_, true) => Parsing::Records,
            (_, false) => Parsing::NoEvent,
        };
        self
    }

    /// The filter cannot go on.
    pub(super) fn break_filter(mut self) -> Self {
        self.filter = Parsing::Broken;
        self
    }

    /// Whether the stream is to be read.
    pub(super) fn reads(self) -> bool {
        self.parses() && self.stream == Stream::Open && !self.paused && !self.throttled
    }

    /// Whether records that are in the filter are delivered. A pause does not hold them back.
    pub(super) fn parses(self) -> bool {
        self.filter == Parsing::Records && !self.is_shut()
    }

    /// Whether nothing will be read any more.
    pub(super) fn is_over(self) -> bool {
        self.stream != Stream::Open || self.filter == Parsing::Broken
    }

    pub(super) fn is_shut(self) -> bool {
        matches!(self.stream, Stream::Shut { .. })
    }

    pub(super) fn has_ended(self) -> bool {
        matches!(self.stream, Stream::Ended | Stream::Shut { ended: true })
    }

    pub(super) fn has_event(self) -> bool {
        self.filter != Parsing::NoEvent
    }

    pub(super) fn is_paused(self) -> bool {
        self.paused
    }

    pub(super) fn is_throttled(self) -> bool {
        self.throttled
    }
}

/// Where a poll that paused between two records continues.
#[derive(Clone, Copy)]
pub(super) enum Resume {
    /// A poll between two events: the records of a new filter.
    Output,
    /// A turn: the records before its read. If they belong to a block read ahead, it was full or not.
    Old(Option<bool>),
    /// A turn: the records of its read, which filled the block or did not.
    New(bool),
}

pub(super) enum End {
    Eof,
    Error(io::Error),
}

impl Pump {
    /// Nothing more comes from the stream, and a filter set at its end has seen all bytes. If the output
    /// is over, too, the wheel keeps nothing alive.
    pub(super) fn has_input_ended(&self, state: &PumpState) -> bool {
        let reading = state.reading.get();
        let looked_at = self.ahead.is_none() && self.resume.is_none() && !self.ending && !state.reparse.get();
        reading.is_shut() || (reading.has_ended() && looked_at)
    }

    /// A turn, or the rest of one. `None`: the wheel is gone, stop at once.
    pub(super) fn turn(&mut self, state: &PumpState, core: &Core, cx: &mut Context<'_>) -> Option<()> {
        let whole = match self.resume.take() {
            Some(Resume::New(whole)) => {
                self.records(state, core, Resume::New(whole))?;
                Some(whole)
            }
            resume => {
                let (resumed, mut block) = match resume {
                    Some(Resume::Old(block)) => (true, block),
                    other => (other.is_some(), None),
                };
                if !resumed {
                    emit_high(state, core)?;
                }
                let ahead = self.ahead.is_some() && !state.is_paused();
                if resumed || state.reparse.take() || ahead {
                    block = block.or(self.ahead.take());
                    self.records(state, core, Resume::Old(block))?;
                    if self.resume.is_some() {
                        return Some(());
                    }
                }
                if self.ending {
                    self.end_part(state, core)?;
                }
                self.write(state, core, cx)?;
                if self.ahead.is_none()
                    && state.is_reading()
                    && let Some(end) = self.end.take()
                {
                    self.end_input(state, core, end)?;
                    return self.write(state, core, cx);
                }
                match block {
                    // This turn's block was read ahead.
                    Some(_) => block,
                    None => self.read_block(state, core, cx)?,
                }
            }
        };
        let Some(whole) = whole.filter(|_| self.resume.is_none()) else {
            return Some(());
        };
        self.write(state, core, cx)?;
        if self.ahead.is_some() || !state.is_reading() {
            return Some(());
        }
        if whole {
            // There is certainly more; others first.
            cx.waker().wake_by_ref();
            return Some(());
        }
        let block = self.appetite.next(state.block());
        match self.read(state, core, cx, block) {
            Poll::Pending => self.armed = true,
            Poll::Ready(read) => {
                match read {
                    Ok(bytes) => self.ahead = Some(bytes == block),
                    Err(end) => self.end = Some(end),
                }
                cx.waker().wake_by_ref();
            }
        }
        Some(())
    }

    /// The read of a turn, and its records. Returns whether it filled the block; `None` inside if there is nothing more to do.
    fn read_block(&mut self, state: &PumpState, core: &Core, cx: &mut Context<'_>) -> Option<Option<bool>> {
        if self.ahead.is_some() || !state.is_reading() {
            return Some(None);
        }
        let block = self.appetite.next(state.block());
        let Poll::Ready(read) = self.read(state, core, cx, block) else {
            self.armed = true;
            return Some(None);
        };
        match read {
            Ok(bytes) => {
                let whole = bytes == block;
                self.records(state, core, Resume::New(whole))?;
                Some(Some(whole))
            }
            Err(end) => {
                self.end_input(state, core, end)?;
                self.write(state, core, cx)?;
                Some(None)
            }
        }
    }

    /// Reads once, straight into the filter.
    fn read(&mut self, state: &PumpState, core: &Core, cx: &mut Context<'_>, block: usize) -> Poll<Result<usize, End>> {
        core.with_read_buffer(|buffer| {
            let mut buffer = ReadBuf::new(&mut buffer[..block]);
            loop {
                let Some(read) = state.with_io(|io| io.as_mut().poll_read(cx, &mut buffer)) else {
                    return Poll::Pending;
                };
                state.dry.set(read.is_pending());
                match ready!(read) {
                    Ok(()) => break,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Poll::Ready(Err(End::Error(explained(error)))),
                }
            }
            let read = buffer.filled();
            if read.is_empty() {
                return Poll::Ready(Err(End::Eof));
            }
            let mut seam = state.seam.get();
            let bytes = seam.trim(read);
            state.seam.set(seam);
            core.count_step();
            core.count_traffic(state.kind(), Traffic::ReadBytes, read.len());
            self.appetite.has_read(read.len());
            state.progress.set(true);
            state.read.set(state.read.get() + read.len() as u64);
            let _ = guarded(state, core, || state.with_parser(|parser| parser.start(bytes)));
            Poll::Ready(Ok(read.len()))
        })
    }

    /// Delivers the records in the filter. If the kernel must yield before their end, `self.resume` says where to continue.
    pub(super) fn records(&mut self, state: &PumpState, core: &Core, resume: Resume) -> Option<()> {
        self.resume = None;
        let id = state.base.id();
        let mut place = Record::NONE;
        loop {
            if !state.reading.get().parses() {
                return Some(());
            }
            let next = guarded(state, core, || {
                state.with_parser(|parser| parser.next(id, &mut place)).flatten()
            });
            match next.flatten() {
                None => return Some(()),
                Some(Ok(())) => {
                    state.given.set(true);
                    self.seen = true;
                    self.appetite.has_seen();
                    core.count_traffic(state.kind(), Traffic::ReadRecords, 1);
                    state.base.deliver_from(core, &mut place)?;
                }
                Some(Err(error)) => {
                    self.seen = true;
                    self.appetite.has_seen();
                    if error.is_fatal() {
                        state.update_reading(Reading::break_filter);
                    }
                    report(state, core, IoError::filter("read", id, error))?;
                    // Errors without an event are work, too.
                    core.count_step();
                }
            }
            if state.acted.take() {
                emit_acted(state, core)?;
            }
            if core.must_yield() {
                self.resume = Some(resume);
                return Some(());
            }
        }
    }

    fn end_input(&mut self, state: &PumpState, core: &Core, end: End) -> Option<()> {
        state.update_reading(Reading::end);
        let link = state.link.borrow().clone();
        if let Some(link) = link {
            link.ended(state);
        }
        let error = match end {
            End::Eof => IoError::eof(state.base.id()),
            End::Error(error) => IoError::io("read", state.base.id(), error),
        };
        report(state, core, error)?;
        self.ending = state.part.get().is_some();
        self.end_part(state, core)
    }

    /// Tells the wheel's other pumps of the end of the input, unless a filter set at the end still has bytes of the
    /// old one to parse.
    pub(super) fn end_part(&mut self, state: &PumpState, core: &Core) -> Option<()> {
        if state.reparse.get() || self.ahead.is_some() || self.resume.is_some() {
            return Some(());
        }
        if std::mem::take(&mut self.ending)
            && let Some(part) = state.part.get()
        {
            state.shut_input();
            return part.ended(core);
        }
        Some(())
    }
}

/// Uses the input filter. A panic of it is a `DIE` of the session, like a handler's, and the end of the input;
/// the output goes on.
fn guarded<T>(state: &PumpState, core: &Core, f: impl FnOnce() -> Option<T>) -> Option<Option<T>> {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(result) => Some(result),
        Err(payload) => {
            state.update_reading(Reading::break_filter);
            die(state, core, &Failure::from_panic(payload));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each state that a wheel with a filter can be in, by every order of the eight things that can happen.
    #[test]
    fn every_state_of_the_reading_side_keeps_its_promises() {
        type Step = fn(Reading) -> Reading;
        let steps: [(&str, Step); 9] = [
            ("pause", |r| r.pause(true)),
            ("resume", |r| r.pause(false)),
            ("throttle", |r| r.throttle(true)),
            ("release", |r| r.throttle(false)),
            ("end", Reading::end),
            ("shut", Reading::shut),
            ("break", Reading::break_filter),
            ("silence", |r| r.set_event(false)),
            ("listen", |r| r.set_event(true)),
        ];
        let mut seen = vec![Reading::new(true)];
        let mut next = 0;
        while let Some(&from) = seen.get(next) {
            next += 1;
            for (name, step) in steps {
                let to = step(from);
                // The end of a stream is final, and so is its shutdown; a filter that cannot go on needs another one.
                assert!(!from.has_ended() || to.has_ended(), "{name}: {from:?} -> {to:?}");
                assert!(!from.is_shut() || to.is_shut(), "{name}: {from:?} -> {to:?}");
                assert!(!from.is_over() || to.is_over(), "{name}: {from:?} -> {to:?}");
                assert!(
                    !to.reads() || (to.parses() && !to.is_over() && !to.is_paused()),
                    "{to:?}"
                );
                if !seen.contains(&to) {
                    seen.push(to);
                }
            }
            // Only another filter makes a broken one good, and it does not open the stream again.
            let changed = from.set_filter();
            assert_eq!(changed.parses(), !from.is_shut());
            assert_eq!(changed.has_ended(), from.has_ended());
        }
        // 4 states of the stream, 3 of the filter, 2 by 2 pauses.
        assert_eq!(seen.len(), 4 * 3 * 4);
    }

    #[test]
    fn a_pause_holds_back_the_stream_but_no_record_that_was_read() {
        let paused = Reading::new(true).pause(true);
        assert!(!paused.reads() && paused.parses() && !paused.is_over());
        assert!(paused.pause(false).reads());
        assert!(!paused.throttle(true).pause(false).reads(), "the splice still holds it");
        let ended = Reading::new(true).end();
        assert!(
            !ended.reads() && ended.parses(),
            "records that came before the end are delivered"
        );
        assert!(!ended.shut().parses() && ended.shut().has_ended());
        assert!(!Reading::new(true).shut().has_ended());
    }
}
