//! The task of a FollowTail: looks at the file, reads it, and sees when it is another one.
//!
//! One turn in the I/O phase takes one block, so that the queue's events go in between; at the end of the file a look at its
//! name says whether it is still the same, and the timer is set. A turn that is too long for the kernel's pace pauses between
//! two records. A block that is not in memory, or is one of many, is read on a thread.

use super::super::error::IoError;
use super::super::pump::{Record, log_unreported};
use super::opened::{Got, Opened, feed};
use super::source::{Hint, Seen, Source, Start, Stream, has_content, open};
use super::state::{Events, State};
use crate::arg::AnyArg;
use crate::bridge::clock::Clock;
use crate::bridge::deadline::Deadline;
use crate::error::drop_quietly;
use crate::kernel::Core;
use crate::kernel::task::Task;
use crate::name::{HeldName, NameIdx};
use std::io::{self, IsTerminal, Read};
use std::path::PathBuf;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

pub(super) struct TailTask {
    state: Rc<State>,
    /// None: it is followed by its handle.
    path: Option<PathBuf>,
    interval: i128,
    links_count: bool,
    hint: Hint,
    timer: Deadline,
    /// When the next look is due; none while there is something to do.
    due: Option<u64>,
    file: Option<Opened>,
    stream: Option<Stream>,
    /// The poll has paused between two records: of a block that it had read, or of a new filter.
    cut: Option<Cut>,
    /// The filter can go no further.
    broken: bool,
    /// Nothing more will be read; only what a filter that was changed at the end sees is still delivered.
    over: bool,
    /// Opening has failed, was reported, and has not succeeded since.
    failing: bool,
    /// The same fifo is to be opened once more.
    reopens: bool,
    /// A reset was told since the last wait.
    has_reset: bool,
}

#[derive(Clone, Copy)]
enum Cut {
    Block,
    Filter,
}

/// What a step came to.
enum Step {
    /// More to do at once, when others have had their turn.
    Again,
    /// Nothing until the next look.
    Wait,
    /// Nothing any more.
    Over,
}

impl TailTask {
    pub(super) fn new(
        state: Rc<State>,
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
            cut: None,
            broken: false,
            over: false,
            failing: false,
            reopens: false,
            has_reset: false,
        }
    }

    /// Takes what was opened, and skips what is not wanted of it.
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

    /// Keeps of what the filter has only the beginning of the record that is not finished.
    fn drop_records(&self) {
        self.state.with_parser(|parser| {
            loop {
                let mut record = Record::NONE;
                match parser.next(self.state.base.id(), &mut record) {
                    None => break,
                    Some(Ok(())) => drop_quietly(record.arg),
                    // The first bytes may be the middle of something. What the filter refuses is skipped as well.
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
        // Nothing: a handler has dropped the wheel.
        let Some(step) = self.turn(&state, core, cx) else {
            return Poll::Pending;
        };
        if self.cut.is_some() {
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
    fn turn(&mut self, state: &State, core: &Core, cx: &mut Context<'_>) -> Option<Poll<Step>> {
        let resumed = self.cut.take();
        if resumed.is_some() || state.reparse.take() {
            if resumed.is_none() {
                self.broken = false;
            }
            self.records(state, core, resumed.unwrap_or(Cut::Filter))?;
            if self.cut.is_some() {
                return Some(Poll::Pending);
            }
            if matches!(resumed, Some(Cut::Block)) {
                return Some(Poll::Ready(Step::Again));
            }
        }
        if !core.is_turn() {
            // A new filter was set between two events; the file is for the I/O phase.
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

    /// Ready when it is time for a look.
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

    /// A look at a plain file. Pending while a thread reads it.
    fn step(&mut self, state: &State, core: &Core, cx: &mut Context<'_>) -> Option<Poll<Step>> {
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
                self.records(state, core, Cut::Block)?;
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

    /// There is no file: is there one now?
    fn appear(&mut self, state: &State, core: &Core) -> Option<Step> {
        let Some(path) = &self.path else {
            return Some(Step::Over);
        };
        match open(path) {
            Ok(source) => {
                self.failing = false;
                if matches!(source, Source::Stream(_)) && core.is_virtual() {
                    return self.unopened(state, core, io::ErrorKind::Unsupported.into());
                }
                // Its beginning is what is wanted of it.
                if let Err(error) = self.begin(core, Some(source), Start::At(0)) {
                    return self.unopened(state, core, error);
                }
                let is_same_fifo = std::mem::take(&mut self.reopens) && self.stream.is_some();
                if !is_same_fifo {
                    self.has_reset = true;
                    tell(state, core, |events| &events.reset)?;
                }
                Some(Step::Again)
            }
            Err(error) => self.unopened(state, core, error),
        }
    }

    /// A file that is missing is nothing to speak of; one that may not be read is told of once.
    fn unopened(&mut self, state: &State, core: &Core, error: io::Error) -> Option<Step> {
        let missing = error.kind() == io::ErrorKind::NotFound;
        if !missing && !std::mem::replace(&mut self.failing, true) {
            report(state, core, IoError::io("open", state.base.id(), error))?;
        }
        tell(state, core, |events| &events.idle)?;
        Some(Step::Wait)
    }

    /// The file was read to its end: is it still the one that is meant?
    fn at_end(&mut self, state: &State, core: &Core) -> Option<Step> {
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
                // The name is gone. What is written to the old file is still read until the name comes back.
                opened.leaving = false;
                tell(state, core, |events| &events.idle)?;
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
                tell(state, core, |events| &events.idle)?;
                return Some(Step::Wait);
            }
        } else if now.is_plain && now.size == 0 && !self.path.as_deref().is_some_and(has_content) {
            // The writer may not know yet, and write to the old one until it does; here is nothing to miss.
            opened.leaving = false;
            tell(state, core, |events| &events.idle)?;
            return Some(Step::Wait);
        }
        if !opened.leaving {
            // What was written between the last read and this look.
            opened.leaving = true;
            return Some(Step::Again);
        }
        if self.has_reset {
            // One reset is what a look can see.
            return Some(Step::Wait);
        }
        self.reset(state, core, now)
    }

    /// Begins anew, with the same file or another.
    fn reset(&mut self, state: &State, core: &Core, now: Seen) -> Option<Step> {
        self.flush(state, core)?;
        if std::mem::take(&mut self.broken) {
            // What the filter choked on was in the old file; without it the filter is whole again.
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
        tell(state, core, |events| &events.reset)?;
        Some(Step::Again)
    }

    /// Makes a record of what the old file left unfinished, if that was asked for.
    fn flush(&mut self, state: &State, core: &Core) -> Option<()> {
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
    fn stream_step(&mut self, state: &State, core: &Core, cx: &mut Context<'_>) -> Option<Poll<Step>> {
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
                self.records(state, core, Cut::Block)?;
                return Some(Poll::Ready(Step::Again));
            }
            Ok(0) if stream.is_pipe && self.path.is_some() => {
                // A fifo that we may only read: others will write to it.
                self.stream = None;
                self.reopens = true;
                tell(state, core, |events| &events.idle)?;
                return Some(Poll::Ready(Step::Wait));
            }
            Ok(0) if stream.is_pipe && !stream.file.is_terminal() => tell(state, core, |events| &events.idle)?,
            Ok(0) => report(state, core, IoError::eof(state.base.id()))?,
            Err(error) => report(state, core, IoError::io("read", state.base.id(), error))?,
        }
        self.stream = None;
        Some(Poll::Ready(Step::Over))
    }

    /// Delivers the records that the filter sees. If the kernel must yield before their end, `self.cut` says where to go on.
    fn records(&mut self, state: &State, core: &Core, cut: Cut) -> Option<()> {
        let mut place = Record::NONE;
        loop {
            if self.broken {
                return Some(());
            }
            let next = state.with_parser(|parser| parser.next(state.base.id(), &mut place));
            match next.flatten() {
                None => return Some(()),
                Some(Ok(())) => state.base.deliver_from(core, &mut place)?,
                Some(Err(error)) => {
                    self.broken = error.is_fatal();
                    report(state, core, IoError::filter("read", state.base.id(), error))?;
                    core.count_step();
                }
            }
            if core.must_yield() {
                self.cut = Some(cut);
                return Some(());
            }
        }
    }
}

/// Dispatches an event to the wheel's session. `None`: the wheel is gone.
fn deliver(state: &State, core: &Core, event: NameIdx, arg: AnyArg) -> Option<()> {
    state.base.deliver(core, event, arg)
}

/// Dispatches an event that carries the wheel's ID, if the wheel has it.
fn tell(state: &State, core: &Core, which: impl FnOnce(&Events) -> &Option<HeldName>) -> Option<()> {
    let event = which(&state.events.borrow()).as_ref().map(HeldName::idx);
    match event {
        Some(event) => deliver(state, core, event, AnyArg::new(state.base.id())),
        None => Some(()),
    }
}

/// Dispatches an error event. Without one, an error of the filter is logged; others are silent.
fn report(state: &State, core: &Core, error: IoError) -> Option<()> {
    let error = error.about(&*state.what);
    let event = state.events.borrow().error.as_ref().map(HeldName::idx);
    if let Some(event) = event {
        return deliver(state, core, event, AnyArg::new(error));
    }
    log_unreported(&state.base, "FollowTail", &error);
    drop_quietly(error);
    state.base.is_alive().then_some(())
}
