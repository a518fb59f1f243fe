//! A custom resource, added from outside the crate: named locks that sessions take, wait for and release.
//!
//! POE has this twice: `POE::Resource::*` are tables of what sessions hold, and `POE::API::*` mix new methods into the
//! kernel. Here the table is a type that implements [`Resource`], and the methods are an extension trait. A lock keeps the
//! session that holds it alive; `why_alive` and snapshots show it, with the file and line that took it.
//!
//! Run it with `cargo run --example custom_resource`.

use poe::event::{START, STOP};
use poe::{
    Event, Kernel, KernelRef, Session, SessionId,
    extend::{Resource, SessionHold},
    inspect::Hold,
};
use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// Sent to a session that has got a lock; carries the lock's name.
const LOCKED: Event<String> = Event::new("locked");
const DONE: Event<String> = Event::new("done");

/// The table of locks. Each kernel makes one when it is first used.
#[derive(Default)]
struct Locks {
    by_name: RefCell<BTreeMap<String, Lock>>,
}

struct Lock {
    owner: SessionHold,
    /// Sessions that wait are kept alive as well.
    waiting: VecDeque<SessionHold>,
}

impl Lock {
    /// Gives the lock to the next session in line, which gets an event; false if there is none.
    fn pass_on(&mut self, name: &str) -> bool {
        while let Some(next) = self.waiting.pop_front() {
            let posted = next.post(LOCKED, name.to_owned()).is_ok();
            self.owner = next;
            if posted {
                return true;
            }
        }
        false
    }
}

impl Resource for Locks {
    fn holds(&self, session: SessionId, holds: &mut Vec<Hold>) {
        for (name, lock) in self.by_name.borrow().iter() {
            if lock.owner.session() == session {
                holds.push(lock.owner.report("lock", name));
            }
            let waiting = lock.waiting.iter().filter(|hold| hold.session() == session);
            holds.extend(waiting.map(|hold| hold.report("wait for lock", name)));
        }
    }

    /// A stopped session's locks go to the next in line.
    fn clear(&self, session: SessionId) {
        self.by_name.borrow_mut().retain(|name, lock| {
            lock.waiting.retain(|hold| hold.session() != session);
            if lock.owner.session() != session {
                return true;
            }
            lock.pass_on(name)
        });
    }
}

/// The methods for handlers: `cx.lock("printer")`.
trait LockApi {
    /// Asks for a lock; the event `LOCKED` says when the session has it.
    fn lock(self, name: &str) -> poe::HandlerResult;

    /// Releases a lock, which the next session in line gets.
    fn unlock(self, name: &str) -> poe::HandlerResult;
}

impl LockApi for KernelRef<'_> {
    #[track_caller]
    fn lock(self, name: &str) -> poe::HandlerResult {
        let hold = self.hold_session(self.session_id())?;
        let locks = self.resource::<Locks>();
        let mut table = locks.by_name.borrow_mut();
        if let Some(lock) = table.get_mut(name) {
            lock.waiting.push_back(hold);
            return Ok(());
        }
        let lock = Lock {
            owner: hold,
            waiting: VecDeque::new(),
        };
        table.insert(name.to_owned(), lock);
        self.yield_to(LOCKED, name.to_owned());
        Ok(())
    }

    fn unlock(self, name: &str) -> poe::HandlerResult {
        let locks = self.resource::<Locks>();
        let mut table = locks.by_name.borrow_mut();
        let Some(lock) = table
            .get_mut(name)
            .filter(|lock| lock.owner.session() == self.session_id())
        else {
            return Err(poe::Failure::msg(format!(
                "this session does not hold the lock `{name}`"
            )));
        };
        if !lock.pass_on(name) {
            table.remove(name);
        }
        Ok(())
    }
}

/// The methods for code outside handlers.
trait LocksOfKernel {
    /// Returns the locks that are held, with their owners and the number of waiting sessions.
    fn locks(&self) -> Vec<(String, SessionId, usize)>;
}

impl LocksOfKernel for Kernel {
    fn locks(&self) -> Vec<(String, SessionId, usize)> {
        let locks = self.resource::<Locks>();
        let table = locks.by_name.borrow();
        let held = table.iter();
        held.map(|(name, lock)| (name.clone(), lock.owner.session(), lock.waiting.len()))
            .collect()
    }
}

/// Runs three sessions that want the printer. Returns the reports made meanwhile.
pub(crate) async fn three_want_the_printer() -> Result<Vec<String>, poe::Error> {
    let kernel = Kernel::new();
    for name in ["first", "second", "third"] {
        Session::builder(name)
            .on(START, |cx, ()| cx.lock("printer"))
            .on(LOCKED, |cx, lock| {
                println!("{} has the {lock}", *cx.heap);
                cx.delay_set(DONE, Duration::from_millis(5), lock);
            })
            .on(DONE, |cx, lock| cx.unlock(&lock))
            .on(STOP, |cx, ()| println!("{} is through", *cx.heap))
            .create(&kernel)?;
    }
    let mut reports = Vec::new();
    for (lock, owner, waiting) in kernel.locks() {
        reports.push(format!("{lock}: session {owner}, and {waiting} wait"));
    }
    reports.push(kernel.why_alive().to_string());
    reports.push(kernel.snapshot().to_string());
    kernel.run().await?;
    reports.push(format!("{} locks are left", kernel.locks().len()));
    Ok(reports)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), poe::Error> {
    for report in three_want_the_printer().await? {
        println!("{report}");
    }
    Ok(())
}
