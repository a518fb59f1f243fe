//! Messages whose target does not exist when they are taken in.

use super::call::Queued;
use crate::arg::AnyArg;
use crate::error::{CallErrorKind, Failure, Wanted, drop_quietly, log_quietly, quietly};
use crate::id::{Place, SessionId};
use crate::kernel::count::Count;
use crate::kernel::gc::log_elsewhere;
use crate::kernel::signal::Raised;
use crate::kernel::{Core, Die, Frame, Invoked, Kernel, Target};
use crate::name::{Key, Name, NameIdx};
use crate::queue::event_queue::Entry;
use std::panic::Location;
use std::rc::Rc;
use tracing::level_filters::LevelFilter;

/// A message that did not reach a handler.
///
/// These become dead letters: a post of a [`KernelHandle`](crate::KernelHandle) or
/// [`SendPostback`](crate::extend::SendPostback) whose session does not exist when the kernel takes the post in, has no
/// handler for the event, takes another type, or stops first; a signal of a handle to a session that does not exist;
/// and every event to or from a session that a failure stops, timers included ([`OnFailure`](crate::OnFailure)).
///
/// ```
/// use poe::{Event, Kernel, inspect::DeadLetter};
/// use std::{cell::RefCell, rc::Rc};
/// const JOB: Event<u32> = Event::new("job");
/// # tokio_test::block_on(async {
/// let kernel = Kernel::new();
/// let letters = Rc::new(RefCell::new(Vec::new()));
/// let kept = letters.clone();
/// kernel.on_dead_letter(move |letter| kept.borrow_mut().push(letter));
/// kernel.handle().post("nobody", JOB, 7).unwrap();
/// kernel.serve().await?; // takes in all messages; no handle is left that could send more
/// let DeadLetter { target, event, arg, place, .. } = letters.borrow_mut().remove(0);
/// assert_eq!(target, "no session has the alias `nobody`");
/// assert_eq!(event, "job");
/// assert_eq!(arg.downcast::<u32>().unwrap(), 7); // nothing is lost
/// println!("posted at {place}");
/// # Ok::<(), poe::Error>(()) }).unwrap();
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct DeadLetter {
    /// The target and the reason, as text.
    pub target: String,
    /// The event.
    pub event: Name,
    /// Its argument.
    pub arg: AnyArg,
    /// The line that posted it.
    pub place: &'static Location<'static>,
}

impl DeadLetter {
    /// A letter whose target does not exist.
    pub(super) fn of(target: &Target<'_>, event: Key<'_>, arg: AnyArg, place: Place) -> Self {
        DeadLetter {
            target: target.wanted().to_string(),
            event: event.to_name(),
            arg,
            place,
        }
    }
}

pub(crate) type DeadLetterHook = Rc<dyn Fn(DeadLetter)>;

/// An event that left the queue without reaching its handler.
pub(in crate::kernel) enum Lost {
    Letter(DeadLetter),
    /// A call by a handle, whose caller gets an error.
    Call(Queued, SessionId),
    /// A DIE that no session was asked to handle.
    Failure(Die),
}

impl Core {
    /// Whether [`lost`](Self::lost) may find something to tell.
    #[inline]
    pub(in crate::kernel) fn may_be_told(&self, entry: &Entry) -> bool {
        entry.name == NameIdx::SIGNAL
            || entry.name == NameIdx::CALL
            || entry.caller == NameIdx::REMOTE
            || self.die.burying.get()
    }

    /// The report about an event that is lost with its session (law L9), if any: about a DIE always, and about every event if a
    /// failure stops the session.
    pub(in crate::kernel) fn lost(&self, mut entry: Entry, stopped: u32) -> Result<Lost, Entry> {
        if entry.name == NameIdx::SIGNAL {
            return match entry.arg.take::<Raised>() {
                Some(Raised { name, arg }) => self.lost_signal(entry, stopped, name, arg),
                None => Err(entry),
            };
        }
        if entry.name == NameIdx::CALL
            && let Some(call) = entry.arg.take::<Queued>()
        {
            let callee = self.sessions.borrow().id(entry.to);
            return Ok(Lost::Call(call, callee));
        }
        let told = self.die.burying.get() || entry.caller == NameIdx::REMOTE;
        if entry.name == NameIdx::GC || !told {
            return Err(entry);
        }
        let event = self.names.name(entry.name);
        let arg = std::mem::take(&mut entry.arg);
        Ok(Lost::Letter(self.lost_letter(&entry, stopped, event, arg)))
    }

    fn lost_signal(&self, mut entry: Entry, stopped: u32, name: Name, arg: Rc<AnyArg>) -> Result<Lost, Entry> {
        if let Some(die) = arg.downcast_ref::<Die>().filter(|_| name == "DIE") {
            let die = die.clone();
            entry.arg = AnyArg::new(arg);
            return Ok(Lost::Failure(die));
        }
        match Rc::try_unwrap(arg) {
            Ok(arg) if self.die.burying.get() => Ok(Lost::Letter(self.lost_letter(&entry, stopped, name, arg))),
            Ok(arg) => {
                entry.arg = arg;
                Err(entry)
            }
            Err(arg) => {
                entry.arg = AnyArg::new(arg);
                Err(entry)
            }
        }
    }

    fn lost_letter(&self, entry: &Entry, stopped: u32, event: Name, arg: AnyArg) -> DeadLetter {
        let sessions = self.sessions.borrow();
        let (to, from) = (sessions.id(entry.to), sessions.id(entry.from));
        let target = match entry.to == stopped {
            true => format!("session {to} has stopped"),
            false => format!("session {to}, but its sender, session {from}, has stopped"),
        };
        DeadLetter {
            target,
            event,
            arg,
            place: entry.place,
        }
    }

    /// Reports an event that is lost; its argument's drop is user code, and so is the hook.
    pub(in crate::kernel) fn tell_lost(&self, lost: Lost) {
        match lost {
            Lost::Letter(letter) => self.send_dead_letter(letter),
            Lost::Call(call, callee) => call.0.refuse(self, CallErrorKind::NoSuchSession(Wanted::Id(callee))),
            Lost::Failure(die) => self.report_failure(&die, "its session was stopped before the DIE was dispatched"),
        }
    }

    /// Whether another thread's message has found a handler that takes another type: its argument is where it was.
    pub(in crate::kernel) fn is_undeliverable(&self, failure: &Failure, frame: &Frame<'_>, arg: &AnyArg) -> bool {
        frame.caller == NameIdx::REMOTE
            && failure.callback().is_none()
            && failure.wrong_type().is_some_and(|wrong| {
                wrong.sent == arg.type_name() && *wrong.event == *self.names.name(frame.event.get())
            })
    }

    /// Another thread's post that its session has not handled: it is a dead letter, and no failure of the session.
    pub(in crate::kernel) fn unhandled_letter(
        &self,
        invoked: &Invoked,
        frame: &Frame<'_>,
        name: NameIdx,
        arg: &mut AnyArg,
    ) {
        if frame.caller != NameIdx::REMOTE {
            return;
        }
        let target = match invoked {
            Invoked::Returned => return,
            Invoked::Unhandled => format!("session {} has no handler for it", frame.session),
            Invoked::Failed(failure) if self.is_undeliverable(failure, frame, arg) => {
                format!("session {}: {failure}", frame.session)
            }
            Invoked::Failed(_) => return,
        };
        self.send_dead_letter(DeadLetter {
            target,
            event: self.names.name(name),
            arg: std::mem::take(arg),
            place: frame.place,
        });
    }

    #[cold]
    pub(super) fn dead_letter(&self, target: &Target<'_>, event: Key<'_>, arg: AnyArg, place: Place) {
        self.send_dead_letter(DeadLetter::of(target, event, arg, place));
    }

    pub(in crate::kernel) fn send_dead_letter(&self, letter: DeadLetter) {
        log_quietly(|| LetterLog::of(&letter).warn());
        self.give_dead_letter(letter);
    }

    /// Reports the letters that waited when the kernel was dropped. The log comes from another thread.
    pub(in crate::kernel) fn tell_all_lost(&self, lost: Vec<Lost>) {
        log_elsewhere(LevelFilter::WARN, || {
            let letters = lost.iter().filter_map(|one| match one {
                Lost::Letter(letter) => Some(LetterLog::of(letter)),
                _ => None,
            });
            let letters: Vec<LetterLog> = letters.collect();
            (!letters.is_empty()).then_some(move || letters.iter().for_each(LetterLog::warn))
        });
        for one in lost {
            match one {
                Lost::Letter(letter) => self.give_dead_letter(letter),
                other => self.tell_lost(other),
            }
        }
    }

    fn give_dead_letter(&self, letter: DeadLetter) {
        self.tell_observers_of_letter(&letter);
        self.count(Count::DeadLetter);
        let hook: Option<DeadLetterHook> = self.dead_letters.borrow().clone();
        quietly("the hook for dead letters panicked", || match hook {
            Some(hook) => hook(letter),
            None => drop(letter),
        });
    }
}

/// What the log says of a dead letter, which another thread may say.
struct LetterLog {
    target: String,
    event: String,
    argument: &'static str,
    place: Place,
}

impl LetterLog {
    fn of(letter: &DeadLetter) -> Self {
        LetterLog {
            target: letter.target.clone(),
            event: letter.event.to_string(),
            argument: letter.arg.type_name(),
            place: letter.place,
        }
    }

    fn warn(&self) {
        tracing::warn!(
            target: "poe::events",
            event = %self.event,
            argument = self.argument,
            place = %self.place,
            "dead letter: {}",
            self.target
        );
    }
}

impl Kernel {
    /// Calls `hook` with each message that did not reach a handler; a later hook replaces it.
    ///
    /// [`DeadLetter`] lists them. Without a hook they are only logged, at the level WARN. The hook runs between
    /// handlers.
    ///
    /// It belongs to the kernel: a clone of the kernel in it would keep both alive for ever. A `KernelHandle` in it
    /// keeps neither alive, but [`serve`](Kernel::serve) counts it as a handle, until another hook replaces this one.
    ///
    /// ```
    /// use poe::{Event, Kernel};
    /// use std::{cell::Cell, rc::Rc};
    /// const JOB: Event<u32> = Event::new("job");
    /// # tokio_test::block_on(async {
    /// let kernel = Kernel::new();
    /// let lost = Rc::new(Cell::new(0));
    /// let sum = lost.clone();
    /// kernel.on_dead_letter(move |letter| {
    ///     if letter.event == "job" {
    ///         sum.set(sum.get() + letter.arg.downcast::<u32>().unwrap_or(0));
    ///     }
    /// });
    /// let handle = kernel.handle();
    /// handle.post("nobody", JOB, 3).unwrap(); // refused only if the inbox is full or the kernel is gone
    /// handle.post("nobody", JOB, 4).unwrap();
    /// drop(handle);
    /// kernel.serve().await?;
    /// assert_eq!(lost.get(), 7);
    /// # Ok::<(), poe::Error>(()) }).unwrap();
    /// ```
    pub fn on_dead_letter(&self, hook: impl Fn(DeadLetter) + 'static) {
        let old = self.core().dead_letters.replace(Some(Rc::new(hook)));
        drop_quietly(old);
    }
}
