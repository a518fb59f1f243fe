//! The state that a Run's value and its tasks share, and the events of its pumps.

use super::StdStream;
use crate::arg::AnyArg;
use crate::error::drop_quietly;
use crate::id::TaskId;
use crate::kernel::Core;
use crate::name::{HeldName, Name};
use crate::wheel::base::Base;
use crate::wheel::error::IoError;
use crate::wheel::pump;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// The state that the wheel's value and its tasks share.
pub(super) struct ProgramState {
    pub(super) base: Rc<Base>,
    /// The program's name in errors.
    pub(super) program: String,
    /// Outputs that have not ended.
    pub(super) outputs: Cell<u8>,
    pub(super) names: RefCell<Names>,
    /// The task that reports the program's end.
    pub(super) end: Cell<Option<TaskId>>,
}

#[derive(Default)]
pub(super) struct Names {
    pub(super) error: Option<HeldName>,
    pub(super) close: Option<HeldName>,
    pub(super) exit: Option<HeldName>,
    pub(super) ended: Option<HeldName>,
}

/// One pump's part in the wheel.
pub(super) struct RunPart {
    pub(super) shared: Rc<ProgramState>,
    pub(super) output: StdStream,
}

impl pump::Part for RunPart {
    fn has_error_event(&self) -> bool {
        self.shared.names.borrow().error.is_some()
    }

    fn failed(&self, core: &Core, error: IoError) -> Option<()> {
        let base = &self.shared.base;
        let stream = match error.operation() {
            "write" => StdStream::Stdin,
            _ => self.output,
        };
        let event = self.shared.names.borrow().error.as_ref().map(HeldName::idx);
        match event {
            Some(event) => {
                let error = error.about(&*self.shared.program);
                base.deliver(core, event, AnyArg::new(error.on(stream)))
            }
            None => {
                pump::log_unreported(base, "Run", &error);
                drop_quietly(error);
                base.is_alive().then_some(())
            }
        }
    }

    fn ended(&self, core: &Core) -> Option<()> {
        let left = self.shared.outputs.get() - 1;
        self.shared.outputs.set(left);
        if left > 0 {
            return Some(());
        }
        let base = &self.shared.base;
        let event = self.shared.names.borrow().close.as_ref().map(HeldName::idx);
        if let Some(event) = event {
            base.deliver(core, event, AnyArg::new(base.id()))?;
        }
        base.wake(self.shared.end.get());
        Some(())
    }

    fn name(&self) -> Name {
        Name::from(&*format!("Run {}", self.shared.base.id()))
    }
}
