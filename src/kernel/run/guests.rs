//! Polls the futures and streams of sessions on a cooperative budget, whatever the host is.
//!
//! Tokio's I/O, channels and timers sometimes return `Pending` although they are ready, so that a task that always has
//! work lets others run. They count on the budget of the task that polls them. If Tokio polls the kernel, the host's
//! task has a budget. Other executors set none, and there a single `tokio::io::copy` would never return; so each poll
//! is made by a task of a `LocalSet`, which has a budget.

use crate::id::TaskId;
use crate::kernel::Core;
use crate::kernel::task::{Purpose, Task};
use crate::name::Name;
use crate::resource::HoldKind;
use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::panic::Location;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};
use tokio::task::LocalSet;
use tokio::task::coop::{has_budget_remaining, poll_proceed};

/// Tokio's budgets are smaller than this.
const MORE_THAN_A_BUDGET: u32 = 256;

/// Ticks of the `LocalSet` until the kernel's own task in it must have been polled.
const TICKS: usize = 1024;

/// Whether a budget is counted here. Takes it to its end and gives it back.
fn is_budgeted(cx: &mut Context<'_>, left: u32) -> bool {
    if !has_budget_remaining() {
        return true;
    }
    if left == 0 {
        return false;
    }
    // Dropped in the reverse order, these restore the budget as it was.
    let _restored = poll_proceed(cx);
    is_budgeted(cx, left - 1)
}

/// What is known of the host's budget in one poll.
#[derive(Clone, Copy)]
pub(super) enum Budget {
    Unknown,
    /// The host counts one.
    Host,
    /// The host counts none, or has used it up before it polled the kernel.
    Own,
}

impl Core {
    /// Polls a task of a session's own code. False if the host's budget is used up: the task waits for the next poll.
    pub(super) fn poll_guest(&self, key: u64, budget: &mut Budget, cx: &mut Context<'_>) -> bool {
        if let Budget::Unknown = budget {
            let counted = has_budget_remaining() && is_budgeted(cx, MORE_THAN_A_BUDGET);
            *budget = if counted { Budget::Host } else { Budget::Own };
        }
        match budget {
            Budget::Host if !has_budget_remaining() => return false,
            Budget::Host => self.poll_task(key),
            Budget::Own | Budget::Unknown => self.poll_in_local_set(key),
        }
        self.run.pace.step_and_look(self);
        true
    }

    fn poll_in_local_set(&self, key: u64) {
        let guests = self.run.guests.take();
        let guests = guests.or_else(|| Guests::new(self));
        let Some(mut guests) = guests else {
            self.poll_task(key);
            return;
        };
        guests.desk.key.set(Some(key));
        if let Some(waker) = guests.desk.waker.borrow().as_ref() {
            waker.wake_by_ref();
        }
        let waker = self.tasks.waker(guests.task);
        let mut cx = Context::from_waker(waker.as_ref().unwrap_or(Waker::noop()));
        for _ in 0..TICKS {
            let _never = Pin::new(&mut guests.local).poll(&mut cx);
            if guests.desk.key.get().is_none() {
                break;
            }
        }
        if let Some(key) = guests.desk.key.take() {
            self.poll_task(key);
        }
        *self.run.guests.borrow_mut() = Some(guests);
    }
}

/// The `LocalSet`, with the one task in it that polls the kernel's.
pub(super) struct Guests {
    local: LocalSet,
    desk: Rc<Desk>,
    /// Polls the `LocalSet` for what the program's futures have spawned on it.
    task: TaskId,
}

/// Where the task in the `LocalSet` finds what to poll.
#[derive(Default)]
struct Desk {
    key: Cell<Option<u64>>,
    waker: RefCell<Option<Waker>>,
}

impl Guests {
    fn new(core: &Core) -> Option<Self> {
        let purpose = Purpose {
            owner: core.id(),
            kind: HoldKind::Task,
            what: Name::from_static("LocalSet"),
            place: Location::caller(),
            listener: false,
        };
        let task = core.start_task(purpose, Box::new(LocalTask))?;
        let (local, desk) = (LocalSet::new(), Rc::<Desk>::default());
        local.spawn_local(serve(core.weak(), desk.clone()));
        Some(Guests { local, desk, task })
    }
}

async fn serve(core: Weak<Core>, desk: Rc<Desk>) {
    poll_fn(|cx| {
        if !desk.waker.borrow().as_ref().is_some_and(|w| w.will_wake(cx.waker())) {
            *desk.waker.borrow_mut() = Some(cx.waker().clone());
        }
        if let (Some(key), Some(core)) = (desk.key.take(), core.upgrade()) {
            core.poll_task(key);
        }
        Poll::<()>::Pending
    })
    .await;
}

/// A task of the kernel's, woken for the `LocalSet`.
struct LocalTask;

impl Task for LocalTask {
    fn poll(&mut self, core: &Core, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(mut guests) = core.run.guests.take() {
            let _never = Pin::new(&mut guests.local).poll(cx);
            *core.run.guests.borrow_mut() = Some(guests);
        }
        Poll::Pending
    }
}
