//! The inside of a splice: the conduits between its wheels, and its progress.

use super::{SpliceSide, Spliced};
use crate::arg::AnyArg;
use crate::bridge::runtime::Pause;
use crate::filter::FilterError;
use crate::id::{TaskId, WheelId};
use crate::kernel::Core;
use crate::kernel::task::Task;
use crate::name::{HeldName, NameIdx};
use crate::wheel::base::Base;
use crate::wheel::error::IoError;
use crate::wheel::pump::{Events, Link, Parser, PumpState, Record};
use bytes::Bytes;
use std::any::{Any, TypeId};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// The state that the two wheels of a splice share.
pub(super) struct SpliceState {
    pub(super) base: Base,
    /// The first wheel and the second.
    pub(super) ends: [Weak<PumpState>; 2],
    pub(super) high: usize,
    pub(super) low: usize,
    pub(super) half_close: bool,
    pub(super) drain_timeout: Duration,
    /// Bytes from the first, and from the second.
    pub(super) moved: [Cell<u64>; 2],
    pub(super) stage: Cell<Stage>,
    pub(super) errors: RefCell<Vec<IoError>>,
    pub(super) ended: Option<HeldName>,
    /// Runs while the splice ends before both of its directions have.
    pub(super) timer: Cell<Option<TaskId>>,
}

/// The stages of a splice. Each is followed by a later one only.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stage {
    /// Bytes go both ways, as far as neither direction has ended.
    Joined,
    /// One end has failed. Its earlier input is still read and goes to the other, whose own input is not read any more.
    Failed { end: usize, reads: Reads },
    /// One end's input has ended, and half-close is off: both write their output.
    Finishing,
    /// The event was sent.
    Told,
}

/// Whether more may be read from an end that has failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Reads {
    /// Its output has failed. Its input may hold earlier bytes.
    Maybe,
    /// It was woken to read until it would have to wait.
    Asked,
    /// Everything was read.
    Nothing,
}

impl fmt::Debug for SpliceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpliceState")
            .field("moved", &self.moved)
            .field("stage", &self.stage)
            .field("errors", &self.errors)
            .finish_non_exhaustive()
    }
}

impl SpliceState {
    /// Returns whether the input had ended before.
    pub(super) fn join(self: &Rc<Self>, from: &Rc<PumpState>, to: &Rc<PumpState>, way: usize) -> bool {
        let old_events = from.events.replace(Events::default());
        *from.link.borrow_mut() = Some(self.clone());
        let conduit = Conduit {
            shared: self.clone(),
            from: Rc::downgrade(from),
            to: Rc::downgrade(to),
            way,
        };
        let had_ended = from.is_input_over();
        let old_filter = from.set_parser(Box::new(conduit));
        self.regulate(from, to);
        if had_ended {
            to.shut_output(true);
        }
        if to.is_output_closed() && !had_ended {
            from.shut_input();
        }
        from.pause(false);
        from.schedule();
        to.schedule();
        drop((old_events, old_filter));
        had_ended
    }

    /// Lets one wheel read as much as the other has room for.
    fn regulate(&self, from: &PumpState, to: &PumpState) {
        let waits = to.buffered_bytes();
        if waits >= self.high {
            from.throttle(true);
        } else {
            from.set_block(self.high - waits);
            if waits <= self.low {
                from.throttle(false);
            }
        }
    }

    /// Returns the wheel at the other end.
    fn other(&self, state: &PumpState) -> Option<Rc<PumpState>> {
        let mut ends = self.ends.iter().filter_map(Weak::upgrade);
        ends.find(|end| !std::ptr::eq(&**end, state))
    }

    /// Ends both directions, because one end's input has ended.
    pub(super) fn finish(&self) {
        if self.stage.get() != Stage::Joined {
            return;
        }
        self.stage.set(Stage::Finishing);
        for end in self.ends.iter().filter_map(Weak::upgrade) {
            end.shut_input();
            end.shut_output(true);
            end.schedule();
        }
    }

    /// Handles the first error: from now on bytes only go from the failed end to the other.
    fn fail(&self, end: usize, reads: Reads) {
        self.stage.set(Stage::Failed { end, reads });
        let (failed, other) = (self.ends[end].upgrade(), self.ends[1 - end].upgrade());
        if let Some(other) = other {
            other.shut_input();
            if reads == Reads::Nothing {
                other.shut_output(true);
            }
            other.schedule();
        }
        if let Some(failed) = failed {
            failed.shut_output(false);
            failed.schedule();
        }
    }

    /// Whether there is nothing left to wait for.
    fn is_over(&self, ends: &[Rc<PumpState>]) -> bool {
        match self.stage.get() {
            Stage::Joined | Stage::Finishing => ends.iter().all(|end| end.is_output_over()),
            Stage::Failed { end, reads } => {
                let other = self.ends[1 - end].upgrade();
                reads == Reads::Nothing && other.is_none_or(|other| other.is_output_over())
            }
            Stage::Told => false,
        }
    }

    /// Limits how long the rest of the splice may take.
    fn start_timer(self: &Rc<Self>) {
        if self.timer.get().is_none() {
            let body = Box::new(DrainTimer {
                shared: self.clone(),
                sleep: Pause::new(self.drain_timeout),
            });
            let what = format!("Splice {} (writing the rest)", self.base.id());
            self.timer.set(self.base.start(&what, false, body));
        }
    }

    /// Reports bytes that are lost because the reader has not taken them in time as an error of that side.
    fn note_unwritten(&self) {
        for (end, state) in self.ends.iter().enumerate() {
            let Some(state) = state.upgrade() else { continue };
            let (unwritten, stage) = (state.buffered_bytes(), self.stage.get());
            let has_failed = matches!(stage, Stage::Failed { end: failed, .. } if failed == end);
            if unwritten == 0 || state.is_output_over() || has_failed {
                continue;
            }
            let why = format!("{unwritten} bytes were not taken within the drain timeout");
            let error = io::Error::new(io::ErrorKind::TimedOut, why);
            self.errors
                .borrow_mut()
                .push(IoError::io("write", state.base.id(), error));
            if stage == Stage::Finishing {
                let reads = Reads::Nothing;
                self.stage.set(Stage::Failed { end, reads });
            }
        }
    }

    fn emit(&self, core: &Core) {
        let failed = match self.stage.replace(Stage::Told) {
            Stage::Told => return,
            Stage::Failed { end: 0, .. } => Some(SpliceSide::First),
            Stage::Failed { .. } => Some(SpliceSide::Second),
            Stage::Joined | Stage::Finishing => None,
        };
        let spliced = Spliced {
            wheel: self.base.id(),
            there: self.moved[0].get(),
            back: self.moved[1].get(),
            failed,
            errors: self.errors.take(),
        };
        if let Some(event) = &self.ended
            && self.base.is_alive()
        {
            let _: Option<()> = self.base.deliver(core, event.idx(), AnyArg::new(spliced));
        }
        for end in self.ends.iter().filter_map(Weak::upgrade) {
            end.base.end(end.task.take());
        }
        if let Some(timer) = self.timer.take() {
            core.cancel_task(timer);
        }
    }
}

impl Link for SpliceState {
    fn drained(&self, state: &PumpState) {
        let Some(from) = self.other(state) else { return };
        if state.is_output_over() {
            // The input of an end that has failed is read in `settle`.
            if self.stage.get() == Stage::Joined {
                from.shut_input();
                from.schedule();
            }
        } else {
            self.regulate(&from, state);
        }
    }

    fn ended(&self, state: &PumpState) {
        if let Some(to) = self.other(state) {
            to.shut_output(true);
            to.schedule();
        }
    }

    fn failed(&self, error: IoError) {
        let id = error.wheel();
        let end = usize::from(self.ends[0].upgrade().is_none_or(|first| first.base.id() != id));
        if error.is_eof() {
            match self.stage.get() {
                Stage::Joined if !self.half_close => self.finish(),
                Stage::Failed { end: failed, .. } if failed == end => self.fail(end, Reads::Nothing),
                _ => {}
            }
            return;
        }
        let reads = match error.operation() {
            "read" => Reads::Nothing,
            _ => Reads::Maybe,
        };
        let stage = self.stage.get();
        if reads == Reads::Maybe && matches!(stage, Stage::Failed { end: failed, .. } if failed == end) {
            // It cannot be written to, which is known.
            return;
        }
        self.errors.borrow_mut().push(error);
        match stage {
            Stage::Joined | Stage::Finishing => self.fail(end, reads),
            Stage::Failed { end: failed, .. } if failed == end => self.fail(end, Reads::Nothing),
            // The other one's output failed: nothing takes the bytes that could still be read.
            Stage::Failed { end: failed, .. } => self.fail(failed, Reads::Nothing),
            Stage::Told => {}
        }
    }

    fn settle(self: Rc<Self>, state: &PumpState, core: &Core, waits: bool) -> bool {
        let mut again = false;
        if let Stage::Failed { end, reads } = self.stage.get()
            && std::ptr::eq(self.ends[end].as_ptr(), state)
        {
            match reads {
                Reads::Nothing => {}
                _ if state.is_input_over() => self.fail(end, Reads::Nothing),
                // Bytes read in this poll may have been read before the failure.
                Reads::Maybe => {
                    self.stage.set(Stage::Failed {
                        end,
                        reads: Reads::Asked,
                    });
                    again = true;
                }
                Reads::Asked if waits => self.fail(end, Reads::Nothing),
                Reads::Asked => {}
            }
        }
        let ends: Vec<Rc<PumpState>> = self.ends.iter().filter_map(Weak::upgrade).collect();
        if self.is_over(&ends) {
            self.emit(core);
            return false;
        }
        match self.stage.get() {
            Stage::Failed { .. } | Stage::Finishing => self.start_timer(),
            Stage::Joined | Stage::Told => {}
        }
        again
    }
}

/// Ends a splice that takes too long to write the rest.
struct DrainTimer {
    shared: Rc<SpliceState>,
    sleep: Pause,
}

impl Task for DrainTimer {
    fn poll(&mut self, core: &Core, cx: &mut Context<'_>) -> Poll<()> {
        ready!(Pin::new(&mut self.sleep).poll(cx));
        // This task is the timer: it is not cancelled while it is polled.
        self.shared.timer.set(None);
        self.shared.note_unwritten();
        self.shared.emit(core);
        Poll::Ready(())
    }
}

/// Takes the place of an input filter.
struct Conduit {
    shared: Rc<SpliceState>,
    from: Weak<PumpState>,
    to: Weak<PumpState>,
    way: usize,
}

impl Parser for Conduit {
    fn start(&mut self, bytes: &[u8]) {
        let (Some(from), Some(to)) = (self.from.upgrade(), self.to.upgrade()) else {
            return;
        };
        if !to.is_output_closed() {
            to.pass(bytes);
            let moved = &self.shared.moved[self.way];
            moved.set(moved.get() + bytes.len() as u64);
        }
        self.shared.regulate(&from, &to);
    }
    fn next(&mut self, _: WheelId, _: &mut Record) -> Option<Result<(), FilterError>> {
        None
    }
    fn event(&self) -> NameIdx {
        NameIdx::NONE
    }
    fn set_event(&mut self, _: HeldName, _: TypeId) -> bool {
        false
    }
    fn filter(&mut self) -> Option<&mut dyn Any> {
        None
    }
    fn pending(&self) -> &[u8] {
        &[]
    }
    fn take_pending(&mut self) -> Bytes {
        Bytes::new()
    }
    fn owed(&self) -> Option<u8> {
        None
    }
}
