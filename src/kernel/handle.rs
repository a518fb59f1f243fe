//! The kernel's door for other threads: an inbox that is swapped whole, and one wake-up for all that waits in it.

use super::dispatch::discard;
use super::{Core, Kernel, Target};
use crate::arg::{AnyArg, SendArg};
use crate::bridge::wake::Shared;
use crate::error::{CallError, CallErrorKind, PostError, PostErrorKind, drop_each_quietly, drop_quietly, quietly};
use crate::event::{Calls, Posts};
use crate::id::SessionId;
use crate::name::{Key, Name, NameIdx};
use crate::resource::sessions::KERNEL;
use std::cell::RefCell;
use std::fmt;
use std::panic::Location;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{self, Poll, ready};

/// A handle to a kernel for other threads and tasks: `Send`, `Sync`, cheap to clone. It keeps neither the kernel nor
/// its `run` alive.
///
/// ```
/// use poe::{Event, Kernel, Session, event::START};
/// const HELLO: Event<String> = Event::new("hello");
/// # tokio_test::block_on(async {
/// let kernel = Kernel::new();
/// Session::builder(())
///     .on(START, |cx, ()| cx.refcount_increment(cx.session_id(), "waiting").map(drop))
///     .on(HELLO, |cx, from: String| {
///         println!("hello from {from}");
///         cx.refcount_decrement(cx.session_id(), "waiting").map(drop)
///     })
///     .create(&kernel)?;
/// let handle = kernel.handle();
/// let id = kernel.session_by_number(1).unwrap();
/// std::thread::spawn(move || handle.post(id, HELLO, String::from("a thread")).unwrap());
/// kernel.run().await
/// # }).unwrap();
/// ```
pub struct KernelHandle {
    inbox: Arc<Inbox>,
}

impl Clone for KernelHandle {
    fn clone(&self) -> Self {
        KernelHandle {
            inbox: self.inbox.clone(),
        }
    }
}

impl Drop for KernelHandle {
    fn drop(&mut self) {
        // `serve` may be waiting for just this.
        self.inbox.shared.notify();
    }
}

impl fmt::Debug for KernelHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letters = self.inbox.letters();
        f.debug_struct("KernelHandle")
            .field("waiting", &letters.waiting.len())
            .field("closed", &letters.closed)
            .finish()
    }
}

/// A message from a [`KernelHandle`] whose target was not there when the kernel took it in.
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

/// A name that may cross threads.
enum SendName {
    Fixed(Key<'static>),
    Owned(Box<str>),
}

impl SendName {
    fn new(key: Key<'_>) -> Self {
        match key.as_fixed() {
            Some(key) => SendName::Fixed(key),
            None => SendName::Owned(key.as_str().into()),
        }
    }

    fn key(&self) -> Key<'_> {
        match self {
            SendName::Fixed(key) => *key,
            SendName::Owned(text) => Key::new(text),
        }
    }
}

/// A target that may cross threads.
enum SendTarget {
    Id(SessionId),
    Alias(Box<str>),
}

impl SendTarget {
    fn new(target: Target<'_>) -> Self {
        match target {
            Target::Id(id) => SendTarget::Id(id),
            Target::Alias(alias) => SendTarget::Alias(alias.into()),
        }
    }

    fn target(&self) -> Target<'_> {
        match self {
            SendTarget::Id(id) => Target::Id(*id),
            SendTarget::Alias(alias) => Target::from(&**alias),
        }
    }
}

struct Post {
    target: SendTarget,
    event: SendName,
    arg: SendArg,
    place: &'static Location<'static>,
}

enum Letter {
    Post(Post),
    /// A call, a signal, a released postback: what is rare enough for a box.
    Run(Box<dyn FnOnce(&Core) + Send>),
}

#[derive(Default)]
struct Letters {
    waiting: Vec<Letter>,
    closed: bool,
    /// The kernel was told and has not looked yet: one wake-up for all that comes until then.
    told: bool,
}

pub(crate) struct Inbox {
    pub(crate) shared: Arc<Shared>,
    letters: Mutex<Letters>,
    capacity: usize,
    kernel: u32,
}

impl Inbox {
    pub(super) fn new(shared: Arc<Shared>, capacity: usize, kernel: u32) -> Arc<Self> {
        Arc::new(Inbox {
            shared,
            letters: Mutex::default(),
            capacity,
            kernel,
        })
    }

    fn letters(&self) -> MutexGuard<'_, Letters> {
        self.letters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Refuses what comes from now on.
    pub(super) fn close(&self) {
        let left = {
            let mut letters = self.letters();
            letters.closed = true;
            std::mem::take(&mut letters.waiting)
        };
        drop_each_quietly(left);
    }

    /// No handle is left that could put anything in.
    pub(super) fn is_abandoned(self: &Arc<Self>) -> bool {
        Arc::strong_count(self) == 1 && self.letters().waiting.is_empty()
    }

    /// Puts a letter in. It is written only if it is taken, so that whoever is refused still has what was to be in it.
    #[inline]
    fn put(&self, write: impl FnOnce() -> Letter) -> Result<(), PostErrorKind> {
        let told = {
            let mut letters = self.letters();
            if letters.closed {
                return Err(PostErrorKind::Closed);
            }
            if letters.waiting.len() >= self.capacity {
                return Err(PostErrorKind::Full(self.capacity));
            }
            letters.waiting.push(write());
            std::mem::replace(&mut letters.told, true)
        };
        if !told {
            self.shared.notify();
        }
        Ok(())
    }

    /// Puts work in even if the inbox is full, for what must not be lost; the kernel may be gone, which is as good.
    pub(crate) fn put_always(&self, work: Box<dyn FnOnce(&Core) + Send>) {
        let refused = {
            let mut letters = self.letters();
            if letters.closed {
                Some(work)
            } else {
                letters.waiting.push(Letter::Run(work));
                None
            }
        };
        drop(refused);
        self.shared.notify();
    }
}

type Awaited<A, R> = tokio::sync::oneshot::Receiver<Result<R, CallError<A>>>;

/// A refused call has its argument still.
type Refused<A> = (PostErrorKind, Option<A>);

/// The answer to [`KernelHandle::call`], on its way: a future that any task may await.
///
/// ```
/// use poe::{Answer, Event, Kernel, Reply, Session, event::START};
/// const DOUBLE: Event<u32, u32> = Event::new("double");
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), poe::Error> {
/// let kernel = Kernel::new();
/// Session::builder(())
///     .on(START, |cx, ()| cx.alias_set("doubler"))
///     .on(DOUBLE, |_, n| Reply(2 * n))
///     .create(&kernel)?;
/// let handle = kernel.handle();
/// let first: Answer<u32, u32> = handle.call("doubler", DOUBLE, 1);
/// let second = handle.call("doubler", DOUBLE, 2); // both are under way, neither was awaited
/// tokio::select! {
///     answers = async { tokio::join!(first, second) } => {
///         assert_eq!((answers.0.unwrap(), answers.1.unwrap()), (2, 4));
///     }
///     served = kernel.serve() => served?, // does not end: it could be asked for more
/// }
/// # Ok(())
/// # }
/// ```
#[must_use = "the call is under way, but its answer is lost"]
pub struct Answer<A, R> {
    event: String,
    answered: Result<Awaited<A, R>, Refused<A>>,
}

impl<A, R> Unpin for Answer<A, R> {}

impl<A, R> Future for Answer<A, R> {
    type Output = Result<R, CallError<A>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Self::Output> {
        let (kind, arg) = match &mut self.answered {
            Ok(answered) => match ready!(Pin::new(answered).poll(cx)) {
                Ok(result) => return Poll::Ready(result),
                Err(_) => (CallErrorKind::Closed, None),
            },
            Err((PostErrorKind::Full(n), arg)) => (CallErrorKind::Full(*n), arg.take()),
            Err((_, arg)) => (CallErrorKind::Closed, arg.take()),
        };
        Poll::Ready(Err(CallError::new(&self.event, kind, arg)))
    }
}

impl<A, R> fmt::Debug for Answer<A, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Answer({:?})", self.event)
    }
}

pub(super) type DeadLetterHook = Rc<dyn Fn(DeadLetter)>;

thread_local! {
    /// Buffers are handed round so that neither side allocates in the long run.
    static SPARE: RefCell<Vec<Letter>> = const { RefCell::new(Vec::new()) };
}

impl Core {
    /// Takes in what other threads have sent, in the order in which they sent it.
    pub(super) fn drain_inbox(&self) {
        let mut letters = SPARE.take();
        {
            let mut inbox = self.inbox.letters();
            inbox.told = false;
            std::mem::swap(&mut inbox.waiting, &mut letters);
        }
        let taken = letters.len();
        for letter in letters.drain(..) {
            match letter {
                Letter::Post(post) => self.take_in(post),
                Letter::Run(work) => quietly("a value panicked in a message from another thread", || work(self)),
            }
        }
        // A burst's memory is given back step by step, so that a steady stream does not fetch it anew each time.
        if taken < letters.capacity() / 8 && letters.capacity() > 256 {
            letters.shrink_to(letters.capacity() / 2);
        }
        SPARE.set(letters);
    }

    #[inline]
    fn take_in(&self, post: Post) {
        let Post {
            target,
            event,
            arg,
            place,
        } = post;
        match self.resolve(&target.target()) {
            Some(KERNEL) => discard(&mut arg.into_any()),
            Some(to) => self.enqueue(to, KERNEL, event.key(), NameIdx::NONE, arg.into_any(), place),
            None => self.dead_letter(&target.target(), event.key(), arg.into_any(), place),
        }
    }

    #[cold]
    fn dead_letter(&self, target: &Target<'_>, event: Key<'_>, arg: AnyArg, place: &'static Location<'static>) {
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
    /// A handle for other threads.
    ///
    /// ```
    /// use poe::{Event, Kernel, Session, event::{START, STOP}};
    /// const LINE: Event<String> = Event::new("line");
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), poe::Error> {
    /// let kernel = Kernel::new();
    /// let id = Session::builder(String::new())
    ///     .on(START, |cx, ()| cx.alias_set("log"))
    ///     .on(LINE, |cx, line| *cx.heap += &line)
    ///     .on(STOP, |cx, ()| assert_eq!(*cx.heap, "from a thread"))
    ///     .create(&kernel)?;
    /// let handle = kernel.handle();
    /// let thread = std::thread::spawn(move || {
    ///     handle.post("log", LINE, String::from("from a thread")).unwrap();
    ///     handle.signal(id, "TERM", ()).unwrap(); // for the session alone
    /// }); // the handle is dropped here, the last one
    /// kernel.serve().await?; // until there is neither a session nor a handle
    /// thread.join().unwrap();
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn handle(&self) -> KernelHandle {
        KernelHandle {
            inbox: self.core().inbox.clone(),
        }
    }

    /// Calls `hook` with each message of a [`KernelHandle`] whose target is not there; a later hook replaces it. Without
    /// one they are only logged. The hook runs between handlers.
    ///
    /// It belongs to the kernel: a clone of the kernel in it would keep both for ever. A [`KernelHandle`] in it keeps
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

impl KernelHandle {
    pub(crate) fn of(core: &Core) -> Self {
        KernelHandle {
            inbox: core.inbox.clone(),
        }
    }

    /// Has the kernel do something, even if the inbox is full: for what must not be lost.
    pub(crate) fn put_always(&self, work: Box<dyn FnOnce(&Core) + Send>) {
        self.inbox.put_always(work);
    }

    /// Posts an event from any thread. Never blocks. The target is looked up when the kernel takes the message in; if it
    /// is not there then, the message is a dead letter (see [`Kernel::on_dead_letter`]).
    ///
    /// # Errors
    /// [`PostError`] with the argument, when the inbox is full or the kernel is gone.
    #[track_caller]
    pub fn post<'t, A: Send + 'static>(
        &self,
        target: impl Into<Target<'t>>,
        event: impl Posts<A>,
        arg: A,
    ) -> Result<(), PostError<A>> {
        let (target, name, place) = (
            SendTarget::new(target.into()),
            SendName::new(event.key()),
            Location::caller(),
        );
        let mut arg = Some(arg);
        let put = self.inbox.put(|| match arg.take() {
            Some(arg) => Letter::Post(Post {
                target,
                event: name,
                arg: SendArg::new(arg),
                place,
            }),
            None => unreachable!("a letter is written once"),
        });
        match (put, arg) {
            (Err(kind), Some(arg)) => Err(PostError::new(event.key().as_str(), kind, arg)),
            _ => Ok(()),
        }
    }

    /// Asks a session and waits for its handler's answer.
    ///
    /// # Errors
    /// [`CallError`]: what can go wrong with [`Kernel::call`], a full inbox, or a kernel that is gone before it answers.
    ///
    /// ```
    /// use poe::{Event, Kernel, Reply, Session, event::START};
    /// const DOUBLE: Event<u32, u32> = Event::new("double");
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), poe::Error> {
    /// let kernel = Kernel::new();
    /// Session::builder(())
    ///     .on(START, |cx, ()| cx.alias_set("doubler"))
    ///     .on(DOUBLE, |_, n| Reply(2 * n))
    ///     .create(&kernel)?;
    /// let handle = kernel.handle();
    /// tokio::select! {
    ///     () = async {
    ///         assert_eq!(handle.call("doubler", DOUBLE, 21).await.unwrap(), 42);
    ///         let refused = handle.call("nobody", DOUBLE, 21).await.unwrap_err();
    ///         assert_eq!(refused.into_arg(), Some(21)); // no handler took it
    ///     } => {}
    ///     served = kernel.serve() => served?,
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn call<'t, A: Send + 'static, R: Send + 'static>(
        &self,
        target: impl Into<Target<'t>>,
        event: impl Calls<A, R>,
        arg: A,
    ) -> Answer<A, R> {
        let place = Location::caller();
        let target = SendTarget::new(target.into());
        let key = SendName::new(event.key());
        let event = event.key().as_str().to_owned();
        let (answer, answered) = tokio::sync::oneshot::channel();
        let mut arg = Some(arg);
        let put = self.inbox.put(|| {
            let arg = arg.take();
            Letter::Run(Box::new(move |core: &Core| {
                if let Some(arg) = arg {
                    let result = core.call_from::<A, R>(core.id(), target.target(), key.key(), arg, place);
                    // Whoever asked may have gone away.
                    drop_quietly(answer.send(result));
                }
            }))
        });
        let answered = put.map(|()| answered).map_err(|kind| (kind, arg));
        Answer { event, answered }
    }

    /// Raises a signal from any thread; to [`kernel_id`](Self::kernel_id), for everybody.
    ///
    /// # Errors
    /// [`PostError`] with the argument, when the inbox is full or the kernel is gone. (A target that is not there is only
    /// logged.)
    ///
    /// ```
    /// use poe::{Kernel, Session, Signal, event::{START, STOP}};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), poe::Error> {
    /// let kernel = Kernel::new();
    /// Session::builder(0)
    ///     .on(START, |cx, ()| {
    ///         cx.sig("reload", "on reload");
    ///         cx.alias_set("server")
    ///     })
    ///     .on("on reload", |cx, signal: Signal| *cx.heap += signal.arg::<u32>().unwrap())
    ///     .on(STOP, |cx, ()| assert_eq!(*cx.heap, 7))
    ///     .create(&kernel)?;
    /// let handle = kernel.handle();
    /// std::thread::spawn(move || {
    ///     handle.signal("server", "reload", 7_u32).unwrap();
    ///     handle.signal(handle.kernel_id(), "TERM", ()).unwrap(); // for everybody, and the kernel's own end
    /// });
    /// kernel.serve().await
    /// # }
    /// ```
    #[track_caller]
    pub fn signal<'t, A: Send + 'static>(
        &self,
        target: impl Into<Target<'t>>,
        signal: &str,
        arg: A,
    ) -> Result<(), PostError<A>> {
        let target = SendTarget::new(target.into());
        let name = signal.to_owned();
        let place = Location::caller();
        let mut arg = Some(arg);
        let put = self.inbox.put(|| {
            let arg = arg.take();
            Letter::Run(Box::new(move |core: &Core| {
                if let Some(arg) = arg
                    && let Err(refused) = super::signal::signal_from(core, target.target(), &name, arg, place)
                {
                    tracing::warn!(target: "poe::signals", %place, "{refused}");
                }
            }))
        });
        match (put, arg) {
            (Err(kind), Some(arg)) => Err(PostError::new(signal, kind, arg)),
            _ => Ok(()),
        }
    }

    /// The kernel's ID, for use as a target.
    ///
    /// ```
    /// let kernel = poe::Kernel::new();
    /// let handle = kernel.handle();
    /// assert_eq!(handle.kernel_id(), kernel.id());
    /// handle.signal(handle.kernel_id(), "TERM", ()).unwrap(); // for everybody
    /// handle.post(handle.kernel_id(), "anything", ()).unwrap(); // swallowed: the kernel has no handlers
    /// ```
    #[must_use]
    pub fn kernel_id(&self) -> SessionId {
        SessionId {
            serial: 0,
            slot: KERNEL,
            kernel: self.inbox.kernel,
        }
    }

    /// Whether the kernel is gone.
    ///
    /// ```
    /// let kernel = poe::Kernel::new();
    /// let handle = kernel.handle();
    /// assert!(!handle.is_closed());
    /// drop(kernel); // the handle does not keep it
    /// assert!(handle.is_closed());
    /// let refused = handle.post("worker", "job", 7).unwrap_err();
    /// assert!(refused.is_closed());
    /// assert_eq!(refused.into_arg(), 7);
    /// ```
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.inbox.letters().closed
    }
}
