//! Messages whose target is not there when they are taken in.

use crate::arg::AnyArg;
use crate::error::quietly;
use crate::kernel::{Core, Kernel, Target};
use crate::name::{Key, Name};
use std::panic::Location;
use std::rc::Rc;

/// A message from a [`KernelHandle`](crate::KernelHandle) whose target was not there when the kernel took it in.
///
/// ```
/// use poe::{DeadLetter, Event, Kernel};
/// use std::{cell::RefCell, rc::Rc};
/// const JOB: Event<u32> = Event::new("job");
/// # tokio_test::block_on(async {
/// let kernel = Kernel::new();
/// let letters = Rc::new(RefCell::new(Vec::new()));
/// let kept = letters.clone();
/// kernel.on_dead_letter(move |letter| kept.borrow_mut().push(letter));
/// kernel.handle().post("nobody", JOB, 7).unwrap();
/// kernel.serve().await?; // takes in what has come; nobody is left who could send more
/// let DeadLetter { target, event, arg, place } = letters.borrow_mut().remove(0);
/// assert_eq!(target, "no session has the alias `nobody`");
/// assert_eq!(event, "job");
/// assert_eq!(arg.downcast::<u32>().unwrap(), 7); // nothing is lost
/// println!("posted at {place}");
/// # Ok::<(), poe::Error>(()) }).unwrap();
/// ```
#[derive(Debug)]
pub struct DeadLetter {
    /// Whom it was for, in words.
    pub target: String,
    /// The event.
    pub event: Name,
    /// Its argument.
    pub arg: AnyArg,
    /// Where it was posted.
    pub place: &'static Location<'static>,
}

pub(crate) type DeadLetterHook = Rc<dyn Fn(DeadLetter)>;

impl Core {
    #[cold]
    pub(super) fn dead_letter(
        &self,
        target: &Target<'_>,
        event: Key<'_>,
        arg: AnyArg,
        place: &'static Location<'static>,
    ) {
        let letter = DeadLetter {
            target: target.wanted().to_string(),
            event: event.to_name(),
            arg,
            place,
        };
        tracing::warn!(
            target: "poe::events",
            event = %letter.event,
            argument = letter.arg.type_name(),
            place = %letter.place,
            "dead letter: {}",
            letter.target
        );
        let hook: Option<DeadLetterHook> = self.dead_letters.borrow().clone();
        quietly("the hook for dead letters panicked", || match hook {
            Some(hook) => hook(letter),
            None => drop(letter),
        });
    }
}

impl Kernel {
    /// Calls `hook` with each message of a [`KernelHandle`](crate::KernelHandle) whose target is not there; a later hook
    /// replaces it. Without one they are only logged. The hook runs between handlers.
    ///
    /// It belongs to the kernel: a clone of the kernel in it would keep both for ever. A `KernelHandle` in it keeps
    /// neither, but counts for [`serve`](Kernel::serve): it is a handle that is not dropped until another hook takes this
    /// one's place.
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
    /// handle.post("nobody", JOB, 3).unwrap(); // refused only if the inbox is full or the kernel gone
    /// handle.post("nobody", JOB, 4).unwrap();
    /// drop(handle);
    /// kernel.serve().await?;
    /// assert_eq!(lost.get(), 7);
    /// # Ok::<(), poe::Error>(()) }).unwrap();
    /// ```
    pub fn on_dead_letter(&self, hook: impl Fn(DeadLetter) + 'static) {
        let old = self.core().dead_letters.replace(Some(Rc::new(hook)));
        drop(old);
    }
}
