//! What a supervisor needs of the kernel: why a session ends, where an ordered shutdown takes over, and posts that outlive a session.
//!
//! Nothing here costs anything in a kernel without supervisors.

use super::{Core, DeadLetter, Die, KERNEL_SHUTDOWN, KernelRef};
use crate::arg::AnyArg;
use crate::error::{Error, OnFailure};
use crate::id::{Place, SessionId};
use crate::name::{HeldName, Name, NameIdx};
use crate::queue::event_queue::Entry;
use crate::resource::sessions::KERNEL;
use std::cell::{Cell, RefCell};

#[derive(Default)]
pub(super) struct Supervision {
    /// Sessions that shut down their descendants themselves; `KERNEL_SHUTDOWN` stops at them.
    supervisors: RefCell<Vec<SessionId>>,
    /// What is stopping sessions now; the innermost last.
    endings: RefCell<Vec<Ending>>,
    /// The last failure in a `_stop`. The session's parent gets its `_child` event right afterwards.
    failed_stop: RefCell<Option<Die>>,
    /// The session whose `_start` failed last; its DIE is queued.
    failed_start: Cell<Option<SessionId>>,
}

struct Ending {
    signal: Name,
    die: Option<Die>,
    sessions: Vec<SessionId>,
}

/// Why a session is being stopped, if not because nothing keeps it alive.
#[derive(Clone, Debug)]
pub(crate) enum Stopped {
    /// A failure of its own.
    Failed(Die),
    /// By a signal that nobody handled, or a failure of an ancestor (`DIE`).
    Signal(Name),
}

/// A post that waits for a session's successor.
pub(crate) struct KeptPost {
    event: HeldName,
    sender: SessionId,
    caller: HeldName,
    arg: AnyArg,
    place: Place,
}

impl KeptPost {
    /// What the handler of a stand-in was given.
    pub(crate) fn of(kernel: KernelRef<'_>, arg: AnyArg) -> Self {
        let (core, frame) = (kernel.core, kernel.frame);
        KeptPost {
            event: HeldName::of(&core.names, frame.event.get()),
            sender: frame.sender,
            caller: HeldName::of(&core.names, frame.caller),
            arg,
            place: frame.place,
        }
    }
}

impl Core {
    /// Enters a supervisor, or removes it.
    pub(crate) fn supervises(&self, session: SessionId, does: bool) {
        let mut supervisors = self.supervision.supervisors.borrow_mut();
        supervisors.retain(|id| *id != session);
        if does {
            supervisors.push(session);
        }
    }

    fn has_supervisors(&self) -> bool {
        !self.supervision.supervisors.borrow().is_empty() || self.are_ends_watched()
    }

    /// Takes the descendants of supervisors out of the sessions that `KERNEL_SHUTDOWN` visits.
    pub(super) fn leave_to_supervisors(&self, tree: &mut Vec<SessionId>) {
        let supervisors = self.supervision.supervisors.borrow();
        if supervisors.is_empty() {
            return;
        }
        let sessions = self.sessions.borrow();
        let target = tree.last().copied();
        tree.retain(|id| {
            let mut slot = sessions.resolve(*id);
            // The target itself may be a supervisor's child; what counts is the session between the two.
            while let Some(at) = slot.filter(|_| Some(*id) != target) {
                let parent = sessions.parent(at).filter(|parent| *parent != KERNEL);
                let parent_id = parent.map(|parent| sessions.id(parent));
                if parent_id.is_some_and(|parent| supervisors.contains(&parent)) {
                    return false;
                }
                if parent_id == target {
                    break;
                }
                slot = parent;
            }
            true
        });
    }

    /// Notes why these sessions are about to be stopped. [`ended`](Self::ended) is called when they are.
    pub(super) fn ending(&self, signal: &str, die: Option<&Die>, sessions: &[SessionId]) -> bool {
        let noted = self.has_supervisors();
        if noted {
            self.supervision.endings.borrow_mut().push(Ending {
                signal: Name::from(signal),
                die: die.cloned(),
                sessions: sessions.to_vec(),
            });
        }
        noted
    }

    pub(super) fn ended(&self, noted: bool) {
        if noted {
            let ending = self.supervision.endings.borrow_mut().pop();
            drop(ending);
        }
    }

    /// Notes a failure in a `_start`, or in the `_stop` that is running.
    pub(super) fn note_failure(&self, die: &Die, stopping: bool) {
        if !self.has_supervisors() {
            return;
        }
        if stopping {
            let old = self.supervision.failed_stop.replace(Some(die.clone()));
            drop(old);
        } else if die.event == "_start" {
            self.supervision.failed_start.set(Some(die.session));
        }
    }

    /// Whether the last `_start` that failed was this session's.
    pub(crate) fn has_failed_to_start(&self, session: SessionId) -> bool {
        self.supervision.failed_start.get() == Some(session)
    }

    /// Why that session is being stopped; `None` if nothing keeps it alive, or everything is stopped.
    ///
    /// It is for the handler of a parent's `_child lose`.
    pub(crate) fn why_stopped(&self, session: SessionId) -> Option<Stopped> {
        let failed_stop = self.supervision.failed_stop.borrow();
        if let Some(die) = failed_stop.as_ref().filter(|die| die.session == session) {
            return Some(Stopped::Failed(die.clone()));
        }
        let endings = self.supervision.endings.borrow();
        let ending = endings.iter().rev().find(|e| e.sessions.contains(&session))?;
        Some(match ending.die.as_ref().filter(|die| die.session == session) {
            Some(die) => Stopped::Failed(die.clone()),
            None => Stopped::Signal(ending.signal.clone()),
        })
    }

    /// Has a failure of that session stop it and its descendants only, unless it has a policy of its own.
    pub(crate) fn isolate(&self, session: SessionId) {
        let mut sessions = self.sessions.borrow_mut();
        if let Some(slot) = sessions.resolve(session) {
            sessions.get_mut(slot).on_failure.get_or_insert(OnFailure::StopSession);
        }
    }

    /// Asks a session and its descendants to end in good order.
    pub(crate) fn ask_to_end(&self, session: SessionId) {
        let slot = self.sessions.borrow().resolve(session);
        if let Some(slot) = slot {
            self.kernel_signal(slot, KERNEL_SHUTDOWN, AnyArg::UNIT);
        }
    }

    /// Stops a session and its descendants now, and asks none of them. Nothing of the caller's may be borrowed.
    pub(crate) fn kill_tree(&self, session: SessionId) {
        let slot = self.sessions.borrow().resolve(session);
        if let Some(slot) = slot {
            self.stop_touched("KILL", None, session, &self.tree_of(slot));
        }
    }

    /// Whether a session is the child of another.
    pub(crate) fn is_child_of(&self, child: SessionId, parent: SessionId) -> bool {
        let sessions = self.sessions.borrow();
        let slot = sessions.resolve(child).and_then(|slot| sessions.parent(slot));
        slot.is_some_and(|slot| sessions.id(slot) == parent)
    }

    /// Takes an alias away from a session, if it has it.
    pub(crate) fn take_alias(&self, session: SessionId, alias: &str) {
        let slot = self.sessions.borrow().resolve(session);
        if let Some(slot) = slot {
            let _ = self.alias_remove(slot, alias);
        }
    }

    /// Gives a session an alias.
    pub(crate) fn give_alias(&self, session: SessionId, alias: &str, place: Place) -> Result<(), Error> {
        let slot = self.slot_of(session)?;
        self.alias_set(slot, alias, place)
    }

    /// Takes the posts that other sessions have sent to one out of the queue, because it ends.
    pub(crate) fn take_posts_of_others(&self, session: SessionId) -> Vec<KeptPost> {
        self.take_posts(session, |entry| !entry.name.is_internal() && entry.from != entry.to)
    }

    /// Takes everything that was sent to a session out of the queue, calls and signals too, because a successor is to have it.
    pub(crate) fn take_all_posts(&self, session: SessionId) -> Vec<KeptPost> {
        self.take_posts(session, |entry| entry.name != NameIdx::GC)
    }

    /// Timers stay where they are.
    fn take_posts(&self, session: SessionId, is_taken: impl Fn(&Entry) -> bool) -> Vec<KeptPost> {
        let Some(slot) = self.sessions.borrow().resolve(session) else {
            return Vec::new();
        };
        if !self.queue().posts().any(|post| post.to == slot) {
            return Vec::new();
        }
        let entries = self.queue_mut().purge(slot);
        let mut posts = Vec::new();
        for mut entry in entries {
            let arg = std::mem::take(&mut entry.arg);
            if entry.to == slot && is_taken(&entry) {
                posts.push(KeptPost {
                    event: HeldName::of(&self.names, entry.name),
                    sender: self.sessions.borrow().id(entry.from),
                    caller: HeldName::of(&self.names, entry.caller),
                    arg,
                    place: entry.place,
                });
            } else {
                // Back again; the order of these is kept, and nothing else was posted meanwhile.
                self.enqueue_known(entry.to, entry.from, entry.name, entry.caller, arg, entry.place);
            }
            self.release_entry(entry.to, entry.from, entry.name, entry.caller);
        }
        posts
    }

    /// Posts what was kept, as from its sender.
    pub(crate) fn post_kept(&self, to: SessionId, post: KeptPost) {
        let slot = self.sessions.borrow().resolve(to);
        let Some(slot) = slot else {
            return self.bury_kept(post, format!("session {to} has stopped"));
        };
        let KeptPost {
            event,
            sender,
            caller,
            arg,
            place,
        } = post;
        let from = self.sessions.borrow().resolve(sender).unwrap_or(KERNEL);
        self.enqueue_known(slot, from, event.idx(), caller.idx(), arg, place);
    }

    /// Makes a dead letter of a post; `target` names the addressee and the reason why it was not delivered.
    pub(crate) fn bury_kept(&self, post: KeptPost, target: String) {
        let KeptPost { event, arg, place, .. } = post;
        self.send_dead_letter(DeadLetter {
            target,
            event: event.name(),
            arg,
            place,
        });
    }
}
