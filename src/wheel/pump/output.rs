//! The output of a wheel: puts, writes, watermarks, and its end.

use super::super::error::{IoError, PutError, PutErrorKind};
use super::Pump;
use super::handle::{emit, report};
use super::limits::give_up;
use super::state::PumpState;
use crate::bridge::runtime::explained;
use crate::driver::Output;
use crate::kernel::Core;
use crate::kernel::count::Traffic;
use bytes::BytesMut;
use std::any::type_name;
use std::io;
use std::task::{Context, Poll, ready};

/// The state of a wheel's output relative to its watermarks; `put` returns it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Below the high mark, or there is none.
    Normal,
    /// At or above the high mark: wait for the low event before you put more.
    High,
}

impl Level {
    /// Whether the high mark is reached.
    #[must_use]
    pub fn is_high(self) -> bool {
        self == Level::High
    }
}

/// The state of the writing side. The table is in the module's documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Writing {
    sending: Sending,
    mark: Mark,
    /// Something was written that the stream may still hold.
    unflushed: bool,
}

/// The state of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sending {
    Open,
    /// Accepts nothing more; shut down as soon as everything is written.
    Finishing,
    /// Will be shut down at once.
    Shutting,
    /// Shut down.
    Shut,
    /// A write has failed: queued bytes stay.
    Failed,
}

/// The output relative to the watermarks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    Low,
    /// The high mark was reached, and the high event was not sent yet.
    HighDue,
    /// … and it was sent: the low event is the next one.
    High,
}

/// What a write pass has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Nothing,
    Write,
    /// Everything is written, and the output is to be shut down.
    ShutDown,
}

impl Writing {
    pub(super) fn new() -> Self {
        Writing {
            sending: Sending::Open,
            mark: Mark::Low,
            unflushed: false,
        }
    }

    /// Ends the output, after what waits is written (`flush`) or at once.
    fn finish(mut self, flush: bool) -> Self {
        self.sending = match (self.sending, flush) {
            (Sending::Open, true) => Sending::Finishing,
            (Sending::Open | Sending::Finishing, false) => Sending::Shutting,
            (now, _) => now,
        };
        self
    }

    /// The stream's output is shut down.
    fn shut(mut self) -> Self {
        self.sending = Sending::Shut;
        self
    }

    /// A write has failed, or the peer was given up.
    pub(super) fn fail(mut self) -> Self {
        self.sending = Sending::Failed;
        self
    }

    /// Bytes were given to the stream, or (`all`) it has passed all of them on.
    fn wrote(mut self, all: bool) -> Self {
        self.unflushed = !all;
        self
    }

    /// Decides what a write pass does. `waiting`: there are bytes to write, or a flushed event is due.
    fn step(mut self, waiting: bool) -> (Self, Step) {
        let step = match self.sending {
            Sending::Shut | Sending::Failed => Step::Nothing,
            Sending::Shutting => Step::ShutDown,
            Sending::Open | Sending::Finishing if waiting || self.unflushed => Step::Write,
            Sending::Open => Step::Nothing,
            Sending::Finishing => {
                self.sending = Sending::Shutting;
                Step::ShutDown
            }
        };
        (self, step)
    }

    /// Notes that the output is at the high mark. Returns whether it was below.
    fn rise(mut self) -> (Self, bool) {
        let rises = self.mark == Mark::Low;
        if rises {
            self.mark = Mark::HighDue;
        }
        (self, rises)
    }

    /// The high event is sent. Returns whether it was due.
    fn report_high(mut self) -> (Self, bool) {
        let due = self.mark == Mark::HighDue;
        if due {
            self.mark = Mark::High;
        }
        (self, due)
    }

    /// The output is at the low mark. Returns whether the low event is due.
    fn fall(mut self) -> (Self, bool) {
        let falls = self.mark == Mark::High;
        if falls {
            self.mark = Mark::Low;
        }
        (self, falls)
    }

    /// Whether records can be put.
    pub(super) fn is_open(self) -> bool {
        self.sending == Sending::Open
    }

    /// Whether what waits is still to be written.
    fn writes(self) -> bool {
        matches!(self.sending, Sending::Open | Sending::Finishing)
    }

    /// Whether nothing more will be done about it.
    pub(super) fn is_over(self) -> bool {
        matches!(self.sending, Sending::Shut | Sending::Failed)
    }

    pub(super) fn has_failed(self) -> bool {
        self.sending == Sending::Failed
    }
}

/// The reports that a wheel has not sent when it is taken apart, which the next one on its stream sends.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PendingReports {
    /// The high mark was reported, and the sender waits for the low one.
    low: bool,
    /// Something was written that the stream may still hold.
    flush: bool,
}

impl PumpState {
    /// Puts a record with the output filter.
    pub(crate) fn put<T: 'static>(&self, record: T) -> Result<Level, PutError<T>> {
        if self.is_output_closed() {
            return Err(PutError::new(PutErrorKind::Closed, Some(record)));
        }
        let before = self.buffered_bytes();
        let mut record = Some(record);
        let result = self.with_formatter(|formatter| self.append(|out| formatter.put(&mut record, out)));
        match result {
            Some(Ok(())) => {
                let level = self.level();
                self.count(Traffic::WrittenRecords, 1);
                if self.buffered_bytes() != before {
                    if before == 0 && self.auto_flush {
                        self.write_now();
                    }
                    self.schedule();
                }
                Ok(level)
            }
            Some(Err(PutErrorKind::WrongType { takes, .. })) => {
                let given = type_name::<T>();
                Err(PutError::new(PutErrorKind::WrongType { takes, given }, record))
            }
            Some(Err(kind)) => Err(PutError::new(kind, record)),
            None => Err(PutError::new(PutErrorKind::Busy, record)),
        }
    }

    /// Counts output, if the kernel counts at all.
    fn count(&self, what: Traffic, amount: usize) {
        if cfg!(feature = "metrics")
            && let Some(core) = self.base.core()
        {
            core.count_traffic(self.kind(), what, amount);
        }
    }

    fn append<T>(&self, f: impl FnOnce(&mut BytesMut) -> T) -> T {
        Output::append(&self.driver.output, f)
    }

    /// Appends bytes of another wheel, unchanged.
    pub(crate) fn pass(&self, bytes: &[u8]) {
        if !bytes.is_empty() && !self.is_output_closed() {
            self.append(|out| out.extend_from_slice(bytes));
            self.schedule();
        }
    }

    pub(crate) fn buffered_bytes(&self) -> usize {
        self.driver.output.borrow().bytes()
    }

    /// Runs one write pass outside the task. Its result is reported when the task is polled next.
    pub(crate) fn write_now(&self) {
        let open = self.writing.get().writes();
        let (Some(core), Some(task), true) = (self.base.core(), self.task.get(), open) else {
            return;
        };
        let Some(waker) = core.tasks.waker(task) else { return };
        self.acted.set(true);
        match self.flush(&mut Context::from_waker(&waker)) {
            Poll::Ready(Ok(true)) => self.flush_due.set(true),
            Poll::Ready(Err(error)) => {
                self.update_writing(Writing::fail);
                self.write_error.set(Some(error));
            }
            Poll::Ready(Ok(false)) | Poll::Pending => {}
        }
        self.schedule();
    }

    /// Writes until the system has all bytes, or it would block. `Ok(false)`: there is more, but others wait.
    pub(super) fn flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let mut taken = 0;
        let flushed = self.with_io(|io| {
            self.update_writing(|writing| writing.wrote(false));
            let write = |bytes: &[u8]| {
                let written = io.as_mut().poll_write(cx, bytes);
                if let Poll::Ready(written) = &written {
                    self.progress.set(true);
                    taken += written.as_ref().map_or(0, |bytes| *bytes);
                }
                written
            };
            if !ready!(Output::flush(&self.driver.output, write))? {
                return Poll::Ready(Ok(false));
            }
            ready!(io.as_mut().poll_flush(cx))?;
            self.update_writing(|writing| writing.wrote(true));
            Poll::Ready(Ok(true))
        });
        self.written.set(self.written.get() + taken as u64);
        self.count(Traffic::WrittenBytes, taken);
        flushed.unwrap_or(Poll::Pending).map_err(explained)
    }

    /// Ends the output after an error. The error is reported to the waiting bytes' event, or else to the next `put`.
    pub(super) fn fail_output(&self, error: io::Error) {
        self.update_writing(Writing::fail);
        if self.buffered_bytes() > 0 {
            self.write_error.set(Some(error));
        }
    }

    /// Compares the output with the high mark, and notes a crossing.
    pub(crate) fn level(&self) -> Level {
        match self.marks.get() {
            Some((high, _)) if self.buffered_bytes() >= high => {
                let (writing, rises) = self.writing.get().rise();
                if rises {
                    self.writing.set(writing);
                    self.acted.set(true);
                }
                Level::High
            }
            _ => Level::Normal,
        }
    }

    /// Returns the reports that the next wheel has to send.
    pub(crate) fn pending_reports(&self) -> PendingReports {
        let writing = self.writing.get();
        PendingReports {
            low: writing.mark == Mark::High,
            flush: writing.unflushed || self.flush_due.get(),
        }
    }

    /// Continues another wheel's output, with its waiting bytes: the low event must come even if nothing more is put.
    pub(crate) fn restore(&self, reports: PendingReports) {
        let mark = if reports.low { Mark::High } else { Mark::Low };
        self.update_writing(|writing| Writing { mark, ..writing });
        self.flush_due.set(reports.flush);
        self.level();
    }

    /// Sends a flushed event once nothing waits, whatever is written until then.
    pub(crate) fn ask_flush(&self) {
        self.flush_due.set(true);
    }

    /// Whether nothing can be put any more.
    pub(crate) fn is_output_closed(&self) -> bool {
        self.over.get() || !self.writing.get().is_open()
    }

    /// Whether the output has ended, and nothing more will be done about it.
    pub(crate) fn is_output_over(&self) -> bool {
        self.over.get() || self.writing.get().is_over()
    }

    /// Ends the output; earlier puts are written before, or not.
    pub(crate) fn shut_output(&self, flush: bool) {
        let next = self.writing.get().finish(flush);
        if next.sending == Sending::Shutting {
            self.driver.output.borrow_mut().discard();
        }
        self.writing.set(next);
    }
}

/// The most write passes in one poll: each can be caused by the events of the one before.
const PASSES: usize = 8;

impl Pump {
    /// Writes the output, reports it, and writes the output of the handlers that this calls.
    pub(super) fn write(&mut self, state: &PumpState, core: &Core, cx: &mut Context<'_>) -> Option<()> {
        for _ in 0..PASSES {
            if let Some(error) = state.write_error.take() {
                return report(state, core, IoError::io("write", state.base.id(), error));
            }
            let waiting = state.buffered_bytes() > 0 || state.flush_due.get();
            let (writing, step) = state.writing.get().step(waiting);
            state.writing.set(writing);
            match step {
                Step::Nothing => return Some(()),
                Step::ShutDown => {
                    let shut = state.with_io(|io| {
                        let shut = ready!(io.as_mut().poll_shutdown(cx));
                        io.as_mut().close_output();
                        Poll::Ready(shut)
                    });
                    if let Some(Poll::Ready(shut)) = shut {
                        state.update_writing(Writing::shut);
                        drained(state);
                        if let Err(error) = shut {
                            report_shutdown(state, error);
                        }
                    }
                    return Some(());
                }
                Step::Write => {}
            }
            let written = state.flush(cx);
            if let Poll::Ready(Err(error)) = written {
                state.update_writing(Writing::fail);
                drained(state);
                return report(state, core, IoError::io("write", state.base.id(), error));
            }
            drained(state);
            emit_high(state, core)?;
            emit_low(state, core)?;
            match written {
                Poll::Ready(Ok(true)) => {}
                Poll::Ready(_) => break,
                Poll::Pending if state.flush_limited.get() && self.poll_stall(state, cx).is_ready() => {
                    return report(state, core, give_up(state));
                }
                Poll::Pending => return Some(()),
            }
            if state.buffered_bytes() == 0 {
                state.flush_due.set(false);
                emit(state, core, |events| &events.flushed)?;
            }
            emit_high(state, core)?;
        }
        cx.waker().wake_by_ref();
        Some(())
    }
}

/// Sends the high event if it is due.
pub(super) fn emit_high(state: &PumpState, core: &Core) -> Option<()> {
    let (writing, due) = state.writing.get().report_high();
    if due {
        state.writing.set(writing);
        emit(state, core, |events| &events.high)?;
    }
    Some(())
}

/// Sends the low event if the output has fallen to the low mark.
fn emit_low(state: &PumpState, core: &Core) -> Option<()> {
    let (writing, falls) = state.writing.get().fall();
    if falls
        && let Some((_, low)) = state.marks.get()
        && state.buffered_bytes() <= low
    {
        state.writing.set(writing);
        emit(state, core, |events| &events.low)?;
    }
    Some(())
}

/// Sends the events of what the last handler did with the wheel's methods, ahead of the next record: an error of a write, marks
/// that were crossed, and a flush after which nothing was put.
#[cold]
pub(super) fn emit_acted(state: &PumpState, core: &Core) -> Option<()> {
    if let Some(error) = state.write_error.take() {
        drained(state);
        return report(state, core, IoError::io("write", state.base.id(), error));
    }
    emit_high(state, core)?;
    emit_low(state, core)?;
    let writing = state.writing.get();
    if writing.writes() && state.flush_due.get() && !writing.unflushed && state.buffered_bytes() == 0 {
        state.flush_due.set(false);
        drained(state);
        emit(state, core, |events| &events.flushed)?;
    }
    emit_high(state, core)
}

/// Tells a splice that the output's end did not reach the peer. Without a splice there is nothing to report: the peer is gone.
fn report_shutdown(state: &PumpState, error: io::Error) {
    // A peer that has ended its side may have closed its socket, which some systems report here.
    let gone = state.reading.get().has_ended() && error.kind() == io::ErrorKind::NotConnected;
    let link = state.link.borrow().clone();
    if let Some(link) = link
        && !gone
    {
        link.failed(IoError::io("shutdown", state.base.id(), error));
    }
}

/// Tells a splice the state of the output.
fn drained(state: &PumpState) {
    let link = state.link.borrow().clone();
    if let Some(link) = link {
        link.drained(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The states that can be reached by everything that can happen to an output, each with the step that it takes.
    #[test]
    fn every_state_of_the_writing_side_keeps_its_promises() {
        let mut seen = vec![Writing::new()];
        let mut next = 0;
        while let Some(&from) = seen.get(next) {
            next += 1;
            let (idle, step) = from.step(false);
            let all = [
                from.finish(true),
                from.finish(false),
                from.fail(),
                from.wrote(false),
                from.wrote(true),
                from.rise().0,
                from.report_high().0,
                from.fall().0,
                idle,
                if step == Step::ShutDown { idle.shut() } else { from },
            ];
            for to in all {
                assert!(
                    from.is_open() || !to.is_open(),
                    "no output opens again: {from:?} -> {to:?}"
                );
                assert!(
                    !from.is_over() || to.is_over(),
                    "what is over stays over: {from:?} -> {to:?}"
                );
                if !seen.contains(&to) {
                    seen.push(to);
                }
            }
            // Waiting bytes are written as long as the output is open or finishing, and never after it.
            let (writing, step) = from.step(true);
            assert_eq!(step == Step::Write, from.writes(), "{from:?}");
            assert!(step != Step::Write || writing == from);
            assert_eq!(from.step(true).1 == Step::Nothing, from.is_over());
        }
        // 5 states of the output, 3 of the marks, flushed or not.
        assert_eq!(seen.len(), 5 * 3 * 2);
    }

    #[test]
    fn an_output_that_finishes_writes_everything_first() {
        let finishing = Writing::new().finish(true);
        assert!(!finishing.is_open() && finishing.writes());
        assert_eq!(finishing.step(true).1, Step::Write);
        assert_eq!(
            finishing.wrote(false).step(false).1,
            Step::Write,
            "the stream holds bytes"
        );
        let (shutting, step) = finishing.step(false);
        assert_eq!(step, Step::ShutDown);
        assert!(!shutting.is_over() && shutting.shut().is_over());
        assert_eq!(
            Writing::new().finish(false).step(true).1,
            Step::ShutDown,
            "what waits is given up"
        );
        assert_eq!(
            Writing::new().fail().finish(true),
            Writing::new().fail(),
            "a failure is final"
        );
    }

    #[test]
    fn high_and_low_events_alternate_and_begin_with_high() {
        let (low, falls) = Writing::new().fall();
        assert!(!falls, "nothing to report below the marks");
        let (due, rises) = low.rise();
        assert!(rises && !due.rise().1, "a crossing is noted once");
        assert!(!due.fall().1, "the low event does not overtake the high one");
        let (high, reported) = due.report_high();
        assert!(reported && !high.report_high().1);
        let (low, falls) = high.fall();
        assert!(falls && low == Writing::new());
    }
}
