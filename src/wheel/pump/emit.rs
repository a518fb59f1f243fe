//! The events that a pump sends to the wheel's session.

use super::state::PumpState;
use crate::arg::AnyArg;
use crate::error::{Failure, drop_quietly, text_of};
use crate::filter::FilterError;
use crate::kernel::Core;
use crate::name::{HeldName, Name, NameIdx};
use crate::wheel::base::Base;
use crate::wheel::error::IoError;

/// The names of a wheel's events, except the input's, which is stored with the filter.
#[derive(Default)]
pub(crate) struct Events {
    pub(crate) error: Option<HeldName>,
    pub(crate) flushed: Option<HeldName>,
    pub(crate) high: Option<HeldName>,
    pub(crate) low: Option<HeldName>,
}

/// Dispatches an event to the wheel's session. `None`: the wheel is gone.
pub(super) fn deliver(state: &PumpState, core: &Core, event: NameIdx, arg: AnyArg) -> Option<()> {
    state.base.deliver(core, event, arg)
}

/// Dispatches an event that carries the wheel's ID, if the wheel has a name for it.
pub(super) fn emit(state: &PumpState, core: &Core, which: impl FnOnce(&Events) -> &Option<HeldName>) -> Option<()> {
    let event = which(&state.events.borrow()).as_ref().map(HeldName::idx);
    match event {
        Some(event) => deliver(state, core, event, AnyArg::new(state.base.id())),
        None => Some(()),
    }
}

pub(super) fn emit_high(state: &PumpState, core: &Core) -> Option<()> {
    if state.high_due.take() {
        emit(state, core, |events| &events.high)?;
    }
    Some(())
}

pub(super) fn emit_low(state: &PumpState, core: &Core) -> Option<()> {
    if let Some((_, low)) = state.marks.get()
        && state.high.get()
        && state.buffered_bytes() <= low
    {
        state.high.set(false);
        emit(state, core, |events| &events.low)?;
    }
    Some(())
}

/// Dispatches an error event. Without one, an error of the filter is logged; others are silent.
///
/// A filter that cannot go on ends the input then, because no handler could replace it.
pub(super) fn report(state: &PumpState, core: &Core, error: IoError) -> Option<()> {
    if let Some(part) = state.part.get() {
        let ends_input = error.as_filter().is_some_and(FilterError::is_fatal) && !part.has_error_event();
        part.failed(core, error)?;
        if ends_input && !state.ended.replace(true) {
            state.shut_input();
            part.ended(core)?;
        }
        return Some(());
    }
    let link = state.link.borrow().clone();
    if let Some(link) = link {
        link.failed(error);
        return state.base.is_alive().then_some(());
    }
    let event = state.events.borrow().error.as_ref().map(HeldName::idx);
    if let Some(event) = event {
        return deliver(state, core, event, AnyArg::new(error));
    }
    log_unreported(&state.base, "ReadWrite", &error);
    drop_quietly(error);
    state.base.is_alive().then_some(())
}

/// Reports the bytes that a closed wheel could not write: its only event after the close.
pub(super) fn emit_unwritten(state: &PumpState, core: &Core, error: IoError) {
    let event = state.events.borrow().error.as_ref().map(HeldName::idx);
    if let Some(event) = event {
        let _: Option<()> = deliver(state, core, event, AnyArg::new(error));
        return;
    }
    let (session, id, place) = (state.base.owner(), state.base.id(), state.base.place());
    tracing::warn!(target: "poe::wheels", %session, wheel = %id, %place, "ReadWrite {id} was closed: {error}");
}

/// Logs the error of a filter for which there is no error event.
///
/// A record that could not be made is a peer's fault or a wrong
/// filter, and must not end the program. Its bytes are not logged.
pub(crate) fn log_unreported(base: &Base, wheel: &str, error: &IoError) {
    let Some(filter) = error.as_filter() else { return };
    let (session, id, place, bytes) = (base.owner(), base.id(), base.place(), filter.bytes().len());
    // A filter's error belongs to the user, and its `Display` may panic.
    let error = text_of(error);
    if filter.is_fatal() {
        tracing::error!(
            target: "poe::wheels", %session, wheel = %id, %place, bytes,
            "{wheel} {id} has no error event, and its filter cannot go on: {error}; no more input is read"
        );
    } else {
        tracing::warn!(
            target: "poe::wheels", %session, wheel = %id, %place, bytes,
            "{wheel} {id} has no error event, and a record is skipped: {error}"
        );
    }
}

/// Raises a `DIE` of the session, in the wheel's name.
pub(super) fn die(state: &PumpState, core: &Core, failure: &Failure) {
    let what = match state.part.get() {
        Some(part) => part.name(),
        None => Name::from(&*format!("ReadWrite {}", state.base.id())),
    };
    core.raise_for_task(state.base.owner(), what, failure, state.base.place());
}
