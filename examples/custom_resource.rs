//! A custom resource, added from outside the crate: locks by name, which sessions hold, wait for and give back.
//!
//! POE has this twice: `POE::Resource::*` are tables of what sessions hold, and `POE::API::*` mix new methods into the
//! kernel. Here the table is a type that implements [`Resource`], and the methods are an extension trait. A session that
//! holds a lock is alive by it; `why_alive` and snapshots tell of it, with the file and line that took it.
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

/// What a session is sent when a lock is its own: the lock's name.
const LOCKED: Event<String> = Event::new("locked");
const DONE: Event<String> = Event::new("done");

/// The table: who holds which lock, and who waits for it. A kernel makes its own when it is first asked for.
#[derive(Default)]
struct Locks {
    by_name: RefCell<BTreeMap<String, Lock>>,
}

struct Lock {
    owner: SessionHold,
    /// They hold their sessions, too: somebody who waits is not at his end.
    waiting: VecDeque<SessionHold>,
}

impl Lock {
    /// Gives it to the next in line, which gets an event; false if there is none.
    fn pass_on(&mut self, name: &str) -> bool {
        while let Some(next) = self.waiting.pop_front() {
            let told = next.post(LOCKED, name.to_owned()).is_ok();
            self.owner = next;
            if told {
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

    /// The session was stopped while it held something: the next in line has it.
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

/// What handlers do with locks: `cx.lock("printer")`.
trait LockApi {
    /// Asks for a lock; `LOCKED` tells when it is the session's own.
    fn lock(self, name: &str) -> poe::HandlerResult;

    /// Gives a lock back, and has the next in line told.
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
            return Err(poe::Failure::msg(format!("the lock `{name}` is not ours")));
        };
        if !lock.pass_on(name) {
            table.remove(name);
        }
        Ok(())
    }
}

/// What the rest of the program asks the kernel: POE::API's part.
trait LocksOfKernel {
    /// The locks that are held, with their owners and how many wait.
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

/// Three sessions want the printer. Gives back what was reported on the way.
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
