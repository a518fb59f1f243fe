//! Introspection (POE::API::Peek): everything that a kernel knows as plain data, and the reasons why a session does not
//! stop.

mod collect;
mod pages;
mod peek;

#[cfg(unix)]
use super::SelectMode;
use crate::id::{SessionId, TaskId, TimerId};
use crate::resource::{Hold, HoldKind};
use std::collections::BTreeMap;
use std::panic::Location;
use std::time::SystemTime;

pub use collect::{SessionHolds, WhyAlive};
pub use pages::{KernelStats, SessionPage, SessionRow, TaskPage};

// The parts of a snapshot. They are owned values, to keep, compare, print and send to other threads.
/// Everything that a kernel knows, at one moment, as plain data: POE::API::Peek.
///
/// It is made by [`Kernel::snapshot`](crate::Kernel::snapshot) or, inside a handler, by
/// [`KernelRef::snapshot`](crate::KernelRef::snapshot). It prints as a report. Each
/// question of POE::API::Peek is a field or a method. With the feature `serde` it serializes; identifiers are then their serial numbers (0 is the kernel) and
/// places `file:line`.
///
/// ```
/// use poe::{Kernel, Session, event::START};
/// let kernel = Kernel::new();
/// let id = Session::builder(String::from("heap"))
///     .on(START, |cx, ()| -> poe::HandlerResult {
///         cx.alias_set("logger")?;
///         cx.delay_set("tick", std::time::Duration::from_secs(60), ());
///         Ok(())
///     })
///     .create(&kernel).unwrap();
/// let snapshot = kernel.snapshot();
/// assert_eq!(snapshot.resolve("logger"), Some(id));
/// assert_eq!(snapshot.session(id).unwrap().events_to, 2); // the timer, and the marker of a new session
/// assert_eq!(snapshot.session(id).unwrap().heap_type, "alloc::string::String");
/// println!("{snapshot}");
/// ```
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
#[doc(alias = "POE::API::Peek")]
pub struct Snapshot {
    /// The kernel's own ID.
    #[doc(alias = "id")]
    pub kernel_id: SessionId,
    /// Whether a future of `run` or `serve` is alive. (POE::API::Peek always says so, by mistake.)
    #[doc(alias = "is_kernel_running")]
    pub is_running: bool,
    /// The driver of the kernel.
    pub which_loop: &'static str,
    /// The session whose handler is running; the kernel when none is.
    #[doc(alias = "current_session")]
    pub active_session: SessionId,
    /// The event that is being handled.
    pub active_event: Option<String>,
    /// The holds of the kernel itself, counted as for a session: its children, and the events that it has sent.
    pub kernel_refcount: usize,
    /// Bytes that the kernel's tables take, without what heaps and arguments point to.
    #[doc(alias = "kernel_memory_size")]
    pub memory_size: usize,
    /// The sessions that are alive, oldest first, without the kernel.
    #[doc(alias = "session_list")]
    #[doc(alias = "session_count")]
    pub sessions: Vec<SessionSnapshot>,
    /// The waiting events, in the order of their dispatch.
    #[doc(alias = "event_queue_dump")]
    #[doc(alias = "event_queue")]
    pub queue: Vec<QueuedEvent>,
}

/// One session in a [`Snapshot`].
///
/// ```
/// use poe::{Kernel, Session, event::START};
/// let kernel = Kernel::new();
/// let id = Session::builder(vec![1_u8])
///     .on(START, |cx, ()| -> poe::HandlerResult {
///         cx.alias_set("server")?;
///         cx.sig("reload", "on reload");
///         cx.spawn(std::future::pending::<()>(), "answered");
///         Ok(())
///     })
///     .option("trace", "on")
///     .create(&kernel)?;
/// let snapshot = kernel.snapshot();
/// let server = snapshot.session("server").unwrap();
/// assert_eq!((server.id, server.parent), (id, kernel.id()));
/// assert_eq!(server.heap_type, "alloc::vec::Vec<u8>");
/// assert_eq!((&*server.events[0], &*server.options["trace"]), ("_start", "1"));
/// assert_eq!(server.signals["reload"], "on reload");
/// assert_eq!(server.tasks[0].name, "answered");
/// assert_eq!(server.holds.len(), 3); // the alias, the task, and the marker of a new session
/// println!("{server}, created at {}", server.place);
/// # Ok::<(), poe::Error>(())
/// ```
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct SessionSnapshot {
    /// The session's ID.
    pub id: SessionId,
    /// Its parent.
    #[doc(alias = "get_session_parent")]
    pub parent: SessionId,
    /// Its children, the oldest first.
    #[doc(alias = "get_session_children")]
    #[doc(alias = "is_session_child")]
    pub children: Vec<SessionId>,
    /// Its aliases, sorted.
    #[doc(alias = "session_alias_list")]
    #[doc(alias = "session_alias_count")]
    #[doc(alias = "session_id_loggable")]
    pub aliases: Vec<String>,
    /// The number of holds that keep it alive; at zero the next sweep stops it.
    #[doc(alias = "get_session_refcount")]
    pub refcount: usize,
    /// The type of its heap, of a machine's run state, or of a custom session.
    pub heap_type: &'static str,
    /// Bytes of the heap and the kernel's entries for the session, without what the heap points to.
    #[doc(alias = "session_memory_size")]
    pub memory_size: usize,
    /// The events that have a handler, sorted.
    #[doc(alias = "session_event_list")]
    #[doc(alias = "event_list")]
    pub events: Vec<String>,
    /// Its options.
    pub options: BTreeMap<String, String>,
    /// The line that created it.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::resource::serialize_place"))]
    pub place: &'static Location<'static>,
    /// Whether its `_stop` is running.
    pub is_stopping: bool,
    /// Events that wait for it, timers included.
    #[doc(alias = "event_count_to")]
    pub events_to: usize,
    /// Events that it has sent to other sessions and that wait there.
    #[doc(alias = "event_count_from")]
    pub events_from: usize,
    /// Reference counts that were taken by tag.
    #[doc(alias = "extref")]
    #[doc(alias = "get_session_extref_count")]
    pub refcounts: Vec<Refcount>,
    /// Postbacks and callbacks that are alive, by the event that they deliver.
    pub postbacks: Vec<Refcount>,
    /// Descriptors that it watches, one entry for each mode. (A wheel's descriptors are the wheel's.)
    #[doc(alias = "is_handle_tracked")]
    #[doc(alias = "handle_count")]
    pub files: Vec<WatchedFile>,
    /// Its wheels.
    pub wheels: Vec<TaskSnapshot>,
    /// Its futures, streams and blocking calls.
    pub tasks: Vec<TaskSnapshot>,
    /// Processes whose end it waits for.
    #[doc(alias = "session_pid_count")]
    pub pids: Vec<AwaitedProcess>,
    /// The signals that it watches, with the events that they become.
    #[doc(alias = "signals_watched_by_session")]
    #[doc(alias = "signal_watchers")]
    #[doc(alias = "is_signal_watched")]
    pub signals: BTreeMap<String, String>,
    /// Everything that keeps it alive, as in [`why_alive`](crate::Kernel::why_alive).
    pub holds: Vec<Hold>,
}

/// An event that waits in the queue.
///
/// ```
/// use poe::{Kernel, Session, event::START, inspect::EventType};
/// let kernel = Kernel::new();
/// let id = Session::builder(())
///     .on(START, |cx, ()| {
///         cx.delay("later", 60.0, ());
///         cx.yield_to("soon", ());
///     })
///     .create(&kernel)?;
/// let snapshot = kernel.snapshot();
/// let [soon, _marker, later] = &snapshot.queue[..] else { panic!("{snapshot}") };
/// assert_eq!((soon.event.as_str(), soon.kind, soon.due), ("soon", EventType::User, None));
/// assert_eq!((soon.source, soon.destination), (id, id));
/// assert_eq!((later.event.as_str(), later.kind, later.index), ("later", EventType::Alarm, 2));
/// assert!(later.due.unwrap() > std::time::SystemTime::now());
/// println!("{later}"); // 2: Alarm `later`, 1 to 1, timer 1 (src/main.rs:6)
/// # Ok::<(), poe::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct QueuedEvent {
    /// Its ID in the queue.
    pub id: EventId,
    /// Its position: 0 is dispatched first.
    pub index: usize,
    /// When it is due, if it is a timer. A post is due at once and has no time.
    #[doc(alias = "priority")]
    pub due: Option<SystemTime>,
    /// Its name; for a signal, the signal's name.
    pub event: String,
    /// The sender.
    pub source: SessionId,
    /// The target.
    pub destination: SessionId,
    /// The kind of event.
    pub kind: EventType,
    /// The line that posted or set it.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::resource::serialize_place"))]
    pub place: &'static Location<'static>,
}

/// The ID of an event in the queue; never reissued.
///
/// ```
/// use poe::{Kernel, Session, event::START, inspect::EventId};
/// # tokio_test::block_on(async {
/// let kernel = Kernel::new();
/// Session::builder(())
///     .on(START, |cx, ()| {
///         let alarm = cx.delay_set("later", 60.0, ());
///         assert_eq!(cx.snapshot().queue[0].id, EventId::Timer(alarm));
///     })
///     .create(&kernel)?;
/// for event in kernel.snapshot().queue {
///     match event.id {
///         EventId::Post(number) => println!("{} is post {number} of this kernel", event.event),
///         EventId::Timer(id) => println!("{} can be removed by {id}", event.event),
///         _ => {}
///     }
/// }
/// # kernel.stop_all()?;
/// # kernel.run().await
/// # }).unwrap();
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum EventId {
    /// A post, by its number among the posts of its kernel.
    Post(u64),
    /// A timer, by the ID that removes and moves it.
    Timer(TimerId),
}

/// The kinds of events in the queue. Calls inside the kernel, life-cycle events and those of files are delivered
/// without being queued, and the ends of processes are not polled.
///
/// ```
/// use poe::{Kernel, Session, event::START, inspect::EventType};
/// let kernel = Kernel::new();
/// let id = Session::builder(())
///     .on(START, |cx, ()| {
///         cx.yield_to("soon", ());
///         cx.delay("later", 60.0, ());
///     })
///     .create(&kernel)?;
/// kernel.signal(id, "reload", ())?;
/// let words: Vec<_> = kernel.snapshot().queue.iter().map(|event| event.kind.as_str()).collect();
/// assert_eq!(words, ["User", "_garbage_collect", "_signal", "Alarm"]);
/// assert_eq!(EventType::Alarm.to_string(), "Alarm");
/// # Ok::<(), poe::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub enum EventType {
    /// Posted by a program, by a future or by another thread.
    #[doc(alias = "ET_POST")]
    User,
    /// A call by a [`KernelHandle`](crate::KernelHandle).
    #[doc(alias = "ET_CALL")]
    Call,
    /// A signal on its way through the tree.
    #[doc(alias = "ET_SIGNAL")]
    Signal,
    /// The marker that keeps a new session alive until the next sweep.
    #[doc(alias = "ET_GC")]
    GarbageCollect,
    /// A timer.
    #[doc(alias = "ET_ALARM")]
    Alarm,
}

impl EventType {
    /// Returns the word of POE::API::Peek for it.
    ///
    /// ```
    /// use poe::inspect::EventType;
    /// assert_eq!(EventType::User.as_str(), "User");
    /// assert_eq!(EventType::Signal.as_str(), "_signal");
    /// assert_eq!(EventType::GarbageCollect.as_str(), "_garbage_collect");
    /// assert_eq!(EventType::Alarm.as_str(), "Alarm");
    /// ```
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            EventType::User => "User",
            EventType::Call => "_call",
            EventType::Signal => "_signal",
            EventType::GarbageCollect => "_garbage_collect",
            EventType::Alarm => "Alarm",
        }
    }
}

/// A reference count of one tag.
///
/// ```
/// use poe::{Kernel, Session, event::START};
/// let kernel = Kernel::new();
/// let id = Session::builder(()).on(START, |_, ()| ()).create(&kernel)?;
/// kernel.refcount_increment(id, "client")?;
/// kernel.refcount_increment(id, "client")?;
/// let snapshot = kernel.snapshot();
/// let refcount = &snapshot.session(id).unwrap().refcounts[0];
/// assert_eq!((refcount.tag.as_str(), refcount.count), ("client", 2));
/// println!("last raised at {}", refcount.place);
/// # Ok::<(), poe::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Refcount {
    /// The tag.
    pub tag: String,
    /// The count.
    pub count: usize,
    /// The line that last incremented it.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::resource::serialize_place"))]
    pub place: &'static Location<'static>,
}

/// A watcher of a descriptor.
///
/// ```
/// use poe::{Event, Kernel, Session, event::START, unix::{SelectMode, Selected, Watched}};
/// const READABLE: Event<Selected> = Event::new("readable");
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let kernel = Kernel::new();
/// let (reader, _writer) = std::io::pipe()?;
/// let id = Session::builder(())
///     .on(START, move |cx, ()| -> poe::HandlerResult {
///         let file = Watched::new(&reader)?;
///         cx.select(&file, SelectMode::Read, READABLE, ())?;
///         cx.select_pause(&file, SelectMode::Read);
///         Ok(())
///     })
///     .create(&kernel)?;
/// let snapshot = kernel.snapshot();
/// let file = &snapshot.session(id).unwrap().files[0];
/// assert_eq!((file.mode, file.event.as_str(), file.is_paused), (SelectMode::Read, "readable", true));
/// println!("descriptor {}, watched since {}", file.descriptor, file.place);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct WatchedFile {
    /// The number of the [`Watched`](crate::unix::Watched), which is a duplicate of the program's own descriptor.
    pub descriptor: i32,
    /// The mode.
    #[cfg(unix)]
    pub mode: SelectMode,
    /// The event that it sends.
    pub event: String,
    /// Whether it is paused.
    pub is_paused: bool,
    /// The line that set it.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::resource::serialize_place"))]
    pub place: &'static Location<'static>,
}

/// A wheel, a future, a stream or a blocking call.
///
/// ```
/// use poe::{Event, Kernel, Session, event::START, inspect::HoldKind};
/// const GIVE_UP: Event<()> = Event::new("give up");
/// # tokio_test::block_on(async {
/// let kernel = Kernel::new();
/// let id = Session::builder(())
///     .on(START, |cx, ()| drop(cx.spawn(std::future::pending::<()>(), "answered")))
///     .on(GIVE_UP, |cx, ()| {
///         for task in &cx.snapshot().session(cx.session_id()).unwrap().tasks {
///             assert_eq!((task.kind, task.name.as_str()), (HoldKind::Task, "answered"));
///             println!("task {}, started at {}, is given up", task.id, task.place);
///             cx.cancel(task.id);
///         }
///     })
///     .create(&kernel)?;
/// kernel.call(id, GIVE_UP, ())?;
/// assert!(kernel.snapshot().session(id).unwrap().tasks.is_empty());
/// kernel.run().await // does not wait for the future
/// # }).unwrap();
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct TaskSnapshot {
    /// The ID, to cancel it.
    pub id: TaskId,
    /// The kind of task.
    pub kind: HoldKind,
    /// The event of its result, or a wheel's type and ID.
    pub name: String,
    /// The line that started it.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::resource::serialize_place"))]
    pub place: &'static Location<'static>,
    /// The bytes of a wheel with a stream; `None` for others, and while the wheel itself is calling a handler.
    pub stream: Option<StreamSnapshot>,
}

/// What a wheel has read and written, and what waits: see [`TaskSnapshot::stream`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct StreamSnapshot {
    /// Bytes that were read so far.
    pub bytes_read: u64,
    /// Bytes that were written so far.
    pub bytes_written: u64,
    /// Bytes that wait to be written.
    pub buffered: usize,
    /// From when on the session is told to stop writing, if the wheel has marks.
    pub high_mark: Option<usize>,
    /// Whether the input is paused.
    pub is_paused: bool,
}

/// A process whose end is awaited by `sig_child`.
///
/// ```
/// use poe::{Event, Kernel, Session, event::START, unix::ProcessExit};
/// const ENDED: Event<ProcessExit> = Event::new("ended");
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let kernel = Kernel::new();
/// let child = std::process::Command::new("true").spawn()?;
/// let pid = child.id();
/// let id = Session::builder(Some(child))
///     .on(START, |cx, ()| -> poe::HandlerResult {
///         let child = cx.heap.take().unwrap();
///         Ok(cx.sig_child(child, ENDED, ())?)
///     })
///     .on(ENDED, |_, _| ())
///     .create(&kernel)?;
/// let snapshot = kernel.snapshot();
/// let process = &snapshot.session(id).unwrap().pids[0];
/// assert_eq!((process.pid, process.event.as_str()), (pid, "ended"));
/// println!("awaited since {}", process.place);
/// kernel.run().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct AwaitedProcess {
    /// The process's number.
    pub pid: u32,
    /// The event that its end sends.
    pub event: String,
    /// The line that asked for it.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::resource::serialize_place"))]
    pub place: &'static Location<'static>,
}
