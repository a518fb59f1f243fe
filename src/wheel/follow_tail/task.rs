//! The task of a FollowTail: looks at the file, reads it, and notices when it is replaced.
//!
//! One turn in the I/O phase takes one block, so that queued events go in between; at the end of the file a look at its
//! name tells whether it is still the same, and the timer is set. A turn that is too long for the kernel's pace pauses between
//! two records. A block that is not cached, or is one of many, is read on a thread.

use super::super::error::IoError;
use super::super::pump::{Record, log_unreported};
use super::opened::{Events, Got, Opened, TailState, feed};
use super::source::{Hint, Seen, Source, Start, Stream, has_content, open};
use crate::arg::AnyArg;
use crate::bridge::clock::{Clock, Deadline};
use crate::error::drop_quietly;
use crate::kernel::Core;
use crate::kernel::count::Traffic;
use crate::kernel::task::Task;
use crate::name::{HeldName, NameIdx};
use std::io::{self, IsTerminal, Read};
use std::path::PathBuf;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

pub(super) struct TailTask {
    state: Rc<TailState>,
    /// `None` if it is followed by its handle.
    path: Option<PathBuf>,
    interval: i128,
    links_count: bool,
    hint: Hint,
    timer: Deadline,
    /// When the next look is due; `None` while there is something to do.
    due: Option<u64>,
    file: Option<Opened>,
    stream: Option<Stream>,
    /// The poll has paused between two records: of a block that it had read, or of a new filter.
    resume: Option<Resume>,
    /// The filter cannot go on.
    broken: bool,
    /// Nothing more will be read; only the records of a filter that was changed at the end are still delivered.
    over: bool,
    /// Opening has failed, was reported, and has not succeeded since.
    failing: bool,
    /// The same fifo is to be opened again.
    reopens: bool,
    /// A reset was reported since the last wait.
    has_reset: bool,
}

#[derive(Clone, Copy)]
enum Resume {
    Block,
    Filter,
}

/// The result of a step.
enum Step {
    /// There is more to do at once, after others had their turn.
    Again,
    /// There is nothing to do until the next look.
    Wait,
    /// The task is over.
    Over,
}

impl TailTask {
    pub(super) fn new(
        state: Rc<TailState>,
        path: Option<PathBuf>,
        interval: Duration,
        links_count: bool,
        hint: Hint,
    ) -> Self {
        TailTask {
            state,
            path,
            interval: i128::try_from(interval.as_nanos()).unwrap_or(i128::MAX),
            links_count,
            hint,
            timer: Deadline::default(),
            due: None,
            file: None,
            stream: None,
            resume: None,
            broken: false,
            over: false,
            failing: false,
            reopens: false,
            has_reset: false,
        }
    }

    /// Starts with an opened file, and skips its unwanted content.
    pub(super) fn begin(&mut self, core: &Core, source: Option<Source>, start: Start) -> io::Result<()> {
        match source {
            None => {}
            Some(Source::Stream(stream)) => self.stream = Some(stream),
            Some(Source::File(file, found)) => {
                let mut opened = Opened::new(file, &found, start);
                while opened.read_skipped(&self.state, core)? {
                    self.drop_records();
                }
                self.state.offset.set(Some(opened.offset));
                self.file = Some(opened);
            }
        }
        Ok(())
    }

    /// Drops complete records, and keeps in the filter only the beginning of the unfinished one.
    fn drop_records(&self) {
        self.state.with_parser(|parser| {
            loop {
                let mut record = Record::NONE;
                match parser.next(self.state.base.id(), &mut record) {
                    None => break,
                    Some(Ok(())) => drop_quietly(record.arg),
                    // The first bytes may be the middle of a record. Bytes that the filter rejects are skipped as well.
                    Some(Err(error)) if error.is_fatal() => {
                        drop(parser.take_pending());
                        break;
                    }
                    Some(Err(_)) => {}
                }
            }
        });
    }
}

impl Task for TailTask {
    fn poll(&mut self, core: &Core, cx: &mut Context<'_>) -> Poll<()> {
        let state = self.state.clone();
        // `None`: a handler has dropped the wheel.
        let Some(step) = self.turn(&state, core, cx) else {
            return Poll::Pending;
        };
        if self.resume.is_some() {
            core.pause_turn();
            return Poll::Pending;
        }
        match step {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Step::Over) => {
                self.over = true;
                self.file = None;
                state.offset.set(None);
                if state.reparse.get() {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Poll::Ready(())
            }
            Poll::Ready(Step::Again) => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Poll::Ready(Step::Wait) => {
                self.due = Some(Clock::shifted(core.clock.now(), self.interval));
                match self.wait(core, cx) {
                    Poll::Pending => Poll::Pending,
                    Poll::Ready(()) => {
                        cx.waker().wake_by_ref();
                        Poll::Pending
                    }
                }
            }
        }
    }
}

impl TailTask {
    fn turn(&mut self, state: &TailState, core: &Core, cx: &mut Context<'_>) -> Option<Poll<Step>> {
        let resumed = self.resume.take();
        if resumed.is_some() || state.reparse.take() {
            if resumed.is_none() {
                self.broken = false;
            }
            self.records(state, core, resumed.unwrap_or(Resume::Filter))?;
            if self.resume.is_some() {
                return Some(Poll::Pending);
            }
            if matches!(resumed, Some(Resume::Block)) {
                return Some(Poll::Ready(Step::Again));
            }
        }
        if !core.is_turn() {
            // A new filter was set between two events; the file is read in the I/O phase.
            return Some(Poll::Ready(Step::Again));
        }
        if self.over {
            return Some(Poll::Ready(Step::Over));
        }
        if self.stream.is_some() {
            return self.stream_step(state, core, cx);
        }
        if self.wait(core, cx).is_pending() {
            return Some(Poll::Pending);
        }
        self.step(state, core, cx)
    }

    /// Ready when the next look is due.
    fn wait(&mut self, core: &Core, cx: &mut Context<'_>) -> Poll<()> {
        let Some(due) = self.due else { return Poll::Ready(()) };
        if !self.hint.take(cx.waker()) {
            // On the real clock a millisecond does not matter, and saves each wheel a timerfd.
            let slack = if core.clock.is_tokio() { 0 } else { 1_000_000 };
            while core.clock.now() < due {
                ready!(self.timer.poll(&core.clock, due, slack, cx));
            }
        }
        self.due = None;
        self.has_reset = false;
        Poll::Ready(())
    }

    /// Looks at a plain file. Pending while a thread reads it.
    fn step(&mut self, state: &TailState, core: &Core, cx: &mut Context<'_>) -> Option<Poll<Step>> {
        let read = match &mut self.file {
            Some(opened) => opened.poll_read(state, core, cx),
            None => return self.appear(state, core).map(Poll::Ready),
        };
        let Poll::Ready(read) = read else {
            return Some(Poll::Pending);
        };
        state.offset.set(self.file.as_ref().map(|opened| opened.offset));
        let step = match read {
            Err(error) => {
                report(state, core, IoError::io("read", state.base.id(), error))?;
                Step::Over
            }
            Ok(Got::End) => self.at_end(state, core)?,
            Ok(Got::Bytes) => {
                core.count_step();
                self.records(state, core, Resume::Block)?;
                Step::Again
            }
            Ok(Got::Skipped) => {
                self.drop_records();
                Step::Again
            }
            Ok(Got::Nothing) => Step::Again,
        };
        Some(Poll::Ready(step))
    }

    /// Looks whether the missing file exists now.
    fn appear(&mut self, state: &TailState, core: &Core) -> Option<Step> {
        let Some(path) = &self.path else {
            return Some(Step::Over);
        };
        match open(path) {
            Ok(source) => {
                self.failing = false;
                if matches!(source, Source::Stream(_)) && core.is_virtual() {
                    return self.unopened(state, core, io::ErrorKind::Unsupported.into());
                }
                // A new file is read from its beginning.
                if let Err(error) = self.begin(core, Some(source), Start::At(0)) {
                    return self.unopened(state, core, error);
                }
                let is_same_fifo = std::mem::take(&mut self.reopens) && self.stream.is_some();
                if !is_same_fifo {
                    self.has_reset = true;
                    emit(state, core, |events| &events.reset)?;
                }
                Some(Step::Again)
            }
            Err(error) => self.unopened(state, core, error),
        }
    }

    /// A missing file is not an error; one that must not be read is reported once.
    fn unopened(&mut self, state: &TailState, core: &Core, error: io::Error) -> Option<Step> {
        let missing = error.kind() == io::ErrorKind::NotFound;
        if !missing && !std::mem::replace(&mut self.failing, true) {
            report(state, core, IoError::io("open", state.base.id(), error))?;
        }
        emit(state, core, |events| &events.idle)?;
        Some(Step::Wait)
    }

    /// At the end of the file: looks whether the name still refers to it.
    fn at_end(&mut self, state: &TailState, core: &Core) -> Option<Step> {
        let Some(opened) = &mut self.file else {
            return Some(Step::Again);
        };
        let found = match &self.path {
            Some(path) => std::fs::metadata(path),
            None => opened.metadata(),
        };
        let now = match found {
            Ok(found) => Seen::of(&found),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // The name is gone. Bytes written to the old file are still read until the name comes back.
                opened.leaving = false;
                emit(state, core, |events| &events.idle)?;
                return Some(Step::Wait);
            }
            Err(error) => {
                report(state, core, IoError::io("stat", state.base.id(), error))?;
                return Some(Step::Over);
            }
        };
        if opened.seen.is_same_file(&now) {
            if !opened.is_shorter(&now) && (!self.links_count || opened.seen.same_links(&now)) {
                opened.seen = now;
                opened.leaving = false;
                emit(state, core, |events| &events.idle)?;
                return Some(Step::Wait);
            }
        } else if now.is_plain && now.size == 0 && !self.path.as_deref().is_some_and(has_content) {
            // The writer may not know of the new file yet, and write to the old one until it does; the new one is empty.
            opened.leaving = false;
            emit(state, core, |events| &events.idle)?;
            return Some(Step::Wait);
        }
        if !opened.leaving {
            // Bytes that were written between the last read and this look.
            opened.leaving = true;
            return Some(Step::Again);
        }
        if self.has_reset {
            // A look can see one reset.
            return Some(Step::Wait);
        }
        self.reset(state, core, now)
    }

    /// Begins at the start, with the same file or another.
    fn reset(&mut self, state: &TailState, core: &Core, now: Seen) -> Option<Step> {
        self.flush(state, core)?;
        if std::mem::take(&mut self.broken) {
            // The bytes that broke the filter were in the old file; without them it works again.
            state.with_parser(|parser| drop(parser.take_pending()));
        }
        if self.path.is_some() {
            self.file = None;
            state.offset.set(None);
            return self.appear(state, core);
        }
        if let Some(opened) = &mut self.file {
            opened.rewind(now);
            state.offset.set(Some(0));
        }
        self.has_reset = true;
        emit(state, core, |events| &events.reset)?;
        Some(Step::Again)
    }

    /// Makes a record of the old file's unfinished bytes, if that was configured.
    fn flush(&mut self, state: &TailState, core: &Core) -> Option<()> {
        let Some(flush) = state.flush.borrow().clone() else {
            return Some(());
        };
        let rest = state.with_parser(|parser| (parser.event(), parser.take_pending()));
        match rest {
            Some((event, bytes)) if !bytes.is_empty() => match flush(bytes, state.base.id()) {
                Some(arg) => deliver(state, core, event, arg),
                None => Some(()),
            },
            _ => Some(()),
        }
    }

    /// A stream: reads a block when there is one.
    fn stream_step(&mut self, state: &TailState, core: &Core, cx: &mut Context<'_>) -> Option<Poll<Step>> {
        let stream = self.stream.as_mut()?;
        let read = loop {
            if stream.ready.poll_ready(cx).is_pending() {
                return Some(Poll::Pending);
            }
            let read = core.with_read_buffer(|buffer| {
                let bytes = stream.file.read(buffer)?;
                feed(state, &buffer[..bytes]);
                io::Result::Ok(bytes)
            });
            match read {
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
                read => break read,
            }
        };
        match read {
            Ok(1..) => {
                core.count_step();
                self.records(state, core, Resume::Block)?;
                return Some(Poll::Ready(Step::Again));
            }
            Ok(0) if stream.is_pipe && self.path.is_some() => {
                // A fifo that this process can only read: others will write to it.
                self.stream = None;
                self.reopens = true;
                emit(state, core, |events| &events.idle)?;
                return Some(Poll::Ready(Step::Wait));
            }
            Ok(0) if stream.is_pipe && !stream.file.is_terminal() => emit(state, core, |events| &events.idle)?,
            Ok(0) => report(state, core, IoError::eof(state.base.id()))?,
            Err(error) => report(state, core, IoError::io("read", state.base.id(), error))?,
        }
        self.stream = None;
        Some(Poll::Ready(Step::Over))
    }

    /// Delivers the records in the filter. If the kernel must yield before their end, `self.resume` says where to continue.
    fn records(&mut self, state: &TailState, core: &Core, resume: Resume) -> Option<()> {
        let mut place = Record::NONE;
        loop {
            if self.broken {
                return Some(());
            }
            let next = state.with_parser(|parser| parser.next(state.base.id(), &mut place));
            match next.flatten() {
                None => return Some(()),
                Some(Ok(())) => {
                    core.count_traffic("FollowTail", Traffic::ReadRecords, 1);
                    state.base.deliver_from(core, &mut place)?;
                }
                Some(Err(error)) => {
                    self.broken = error.is_fatal();
                    report(state, core, IoError::filter("read", state.base.id(), error))?;
                    core.count_step();
                }
            }
            if core.must_yield() {
                self.resume = Some(resume);
                return Some(());
            }
        }
    }
}

/// Dispatches an event to the wheel's session. `None`: the wheel is gone.
fn deliver(state: &TailState, core: &Core, event: NameIdx, arg: AnyArg) -> Option<()> {
    state.base.deliver(core, event, arg)
}

/// Dispatches an event that carries the wheel's ID, if the wheel has a name for it.
fn emit(state: &TailState, core: &Core, which: impl FnOnce(&Events) -> &Option<HeldName>) -> Option<()> {
    let event = which(&state.events.borrow()).as_ref().map(HeldName::idx);
    match event {
        Some(event) => deliver(state, core, event, AnyArg::new(state.base.id())),
        None => Some(()),
    }
}

/// Dispatches an error event. Without one, an error of the filter is logged; others are silent.
fn report(state: &TailState, core: &Core, error: IoError) -> Option<()> {
    let error = error.about(&*state.what);
    let event = state.events.borrow().error.as_ref().map(HeldName::idx);
    if let Some(event) = event {
        return deliver(state, core, event, AnyArg::new(error));
    }
    log_unreported(&state.base, "FollowTail", &error);
    drop_quietly(error);
    state.base.is_alive().then_some(())
}
