//! The inside of a kernel, by its parts, and what belongs to none of them.

use super::extension::{ActiveCell, Extensions};
use super::flags::Flags;
use super::run::RunState;
use super::{Config, Invoke, Invoked, KernelRef, die, handle, os_signal, resource, supervise, task, trace};
#[cfg(unix)]
use super::{child, select};
use crate::arg::AnyArg;
use crate::bridge::clock::{Clock, Deadline};
use crate::bridge::memory::Network;
use crate::bridge::threads::Threads;
use crate::bridge::wake::WakeState;
use crate::id::{SessionId, WheelId};
use crate::name::{Name, Names};
use crate::queue::event_queue::EventQueue;
#[cfg(unix)]
use crate::resource::children::Children;
use crate::resource::extrefs::{Aliases, Extrefs, Outside};
use crate::resource::sessions::{KERNEL, Sessions};
use crate::resource::signals::Signals;
use std::any::Any;
use std::cell::{Cell, OnceCell, Ref, RefCell, RefMut};
use std::collections::{HashMap, VecDeque};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Everything inside a kernel. (`pub` only for the sealed half of [`Caller`](super::Caller); no path leads here.) No method
/// keeps a borrow of these while it calls a handler or drops what a user gave.
#[allow(unreachable_pub)]
pub struct Core {
    /// For what must outlive a borrow (postbacks, wheels) without keeping the kernel.
    me: Weak<Core>,
    /// Tells this kernel's identifiers from those of others in the process.
    tag: u32,
    pub(crate) flags: Flags,
    pub(super) config: Config,
    pub(super) catching: Cell<bool>,
    pub(crate) names: Rc<Names>,
    pub(crate) clock: Clock,
    pub(crate) shared: Arc<WakeState>,
    /// The sessions, and the queue of events.
    pub(crate) sessions: RefCell<Sessions<Rc<dyn Invoke>>>,
    pub(super) aliases: RefCell<Aliases>,
    pub(super) extrefs: RefCell<Extrefs>,
    /// What other crates' resources hold …
    pub(super) outside: RefCell<Outside>,
    /// … and these themselves.
    pub(super) resources: resource::Resources,
    /// Values that programs keep with the kernel, and its name once somebody has asked for it.
    pub(super) extensions: Extensions,
    pub(super) kernel_name: OnceCell<Rc<str>>,
    pub(super) signals: RefCell<Signals>,
    pub(super) listeners: os_signal::Listeners,
    #[cfg(unix)]
    pub(super) children: RefCell<Children>,
    #[cfg(unix)]
    pub(super) processes: child::Processes,
    pub(crate) tasks: task::Tasks,
    /// For work that blocks.
    pub(crate) threads: Threads,
    /// Servers in memory.
    pub(crate) memory: Network,
    /// Values of the program's, by the wheels that have them.
    pub(super) tags: RefCell<HashMap<WheelId, Rc<dyn Any>>>,
    #[cfg(unix)]
    pub(super) selects: Rc<select::Selects>,
    pub(super) inbox: Arc<handle::Inbox>,
    /// What was taken out of the inbox and is still to be delivered.
    pub(super) letters: RefCell<VecDeque<handle::Letter>>,
    pub(super) dead_letters: RefCell<Option<handle::DeadLetterHook>>,
    pub(super) deadline: RefCell<Deadline>,
    pub(crate) active: ActiveCell,
    /// Handlers, or the kernel's own work between them, are on the stack: what runs handlers at once must come by a context.
    pub(crate) busy: Cell<bool>,
    /// Nested handlers must not use the stack beyond this address. It is never read through.
    pub(super) stack_floor: Cell<usize>,
    pub(super) runtimes: super::shutdown::Runtimes,
    pub(super) run: RunState,
    pub(super) die: die::DieState,
    pub(super) supervision: supervise::Supervision,
    pub(super) ends: super::ended::EndWatchers,
    pub(super) inboxes: super::session_inbox::SessionInboxes,
    /// How often the signal that is being dispatched was handled; `None` outside.
    pub(super) handled: Cell<Option<u32>>,
    pub(super) observer: trace::Observer,
    #[cfg(feature = "metrics")]
    pub(super) meters: super::metrics::Meters,
    #[cfg(feature = "spans")]
    pub(super) spans: super::spans::Spans,
    next_wheel: Cell<u64>,
    /// The one read buffer of all wheels, out while one of them reads.
    read_buffer: Cell<Option<Box<[u8]>>>,
}

/// The object of the kernel and of free slots, which are not sessions.
struct Nobody;

impl Invoke for Nobody {
    fn invoke(&self, _: KernelRef<'_>, _: &mut AnyArg) -> Invoked {
        Invoked::Unhandled
    }

    fn event_names(&self) -> Vec<Name> {
        Vec::new()
    }
}

static KERNELS: AtomicU32 = AtomicU32::new(1);

/// Bytes that one read of a wheel takes at most (POE's default block size).
const READ_BUFFER: usize = 65_536;

impl Core {
    pub(super) fn new(config: Config) -> Rc<Self> {
        let tag = KERNELS.fetch_add(1, Ordering::Relaxed);
        let shared = Arc::new(WakeState::default());
        let clock = Self::clock_for(&config);
        let flags = Flags::default();
        Rc::new_cyclic(|me| Core {
            me: me.clone(),
            tag,
            catching: Cell::new(config.catch_exceptions),
            names: Names::current(),
            sessions: RefCell::new(Sessions::new(tag, Rc::new(Nobody))),
            aliases: RefCell::default(),
            extrefs: RefCell::default(),
            outside: RefCell::default(),
            resources: resource::Resources::default(),
            extensions: Extensions::default(),
            kernel_name: OnceCell::new(),
            signals: RefCell::default(),
            listeners: os_signal::Listeners::default(),
            #[cfg(unix)]
            children: RefCell::default(),
            #[cfg(unix)]
            processes: child::Processes::default(),
            memory: Network::default(),
            tags: RefCell::default(),
            threads: Threads::new(config.blocking_threads, config.virtual_time),
            tasks: task::Tasks::new(shared.clone(), tag, &flags),
            #[cfg(unix)]
            selects: Rc::new(select::Selects::new(&flags)),
            letters: RefCell::default(),
            inbox: handle::Inbox::new(shared.clone(), config.inbox, clock.to_send(), tag),
            clock,
            dead_letters: RefCell::default(),
            shared,
            deadline: RefCell::default(),
            active: ActiveCell::new(tag),
            busy: Cell::new(false),
            stack_floor: Cell::new(0),
            runtimes: super::shutdown::Runtimes::default(),
            run: RunState::new(&flags),
            die: die::DieState::new(&flags),
            supervision: supervise::Supervision::default(),
            ends: super::ended::EndWatchers::default(),
            inboxes: super::session_inbox::SessionInboxes::default(),
            handled: Cell::new(None),
            observer: trace::Observer::new(&config, &flags),
            #[cfg(feature = "metrics")]
            meters: super::metrics::Meters::new(&config, &flags),
            #[cfg(feature = "spans")]
            spans: super::spans::Spans::new(&flags),
            next_wheel: Cell::new(1),
            read_buffer: Cell::new(None),
            config,
            flags,
        })
    }

    #[cfg(feature = "testing")]
    fn clock_for(config: &Config) -> Clock {
        if config.virtual_time {
            Clock::tokio()
        } else {
            Clock::system()
        }
    }

    #[cfg(not(feature = "testing"))]
    fn clock_for(_: &Config) -> Clock {
        Clock::system()
    }

    #[inline]
    pub(crate) fn queue(&self) -> Ref<'_, EventQueue> {
        Ref::map(self.sessions.borrow(), |sessions| &sessions.queue)
    }

    #[inline]
    pub(crate) fn queue_mut(&self) -> RefMut<'_, EventQueue> {
        RefMut::map(self.sessions.borrow_mut(), |sessions| &mut sessions.queue)
    }

    pub(crate) fn weak(&self) -> Weak<Core> {
        self.me.clone()
    }

    pub(crate) fn id(&self) -> SessionId {
        SessionId {
            serial: 0,
            slot: KERNEL,
            kernel: self.tag,
        }
    }

    /// Tells the identifiers of this kernel from those of others in the process.
    #[inline]
    pub(crate) fn tag(&self) -> u32 {
        self.tag
    }

    pub(crate) fn new_wheel_id(&self) -> WheelId {
        let id = self.next_wheel.get();
        self.next_wheel.set(id + 1);
        WheelId(id)
    }

    /// Lends the kernel's read buffer to `f`; a wheel that reads inside another's reading gets one of its own.
    pub(crate) fn with_read_buffer<T>(&self, f: impl FnOnce(&mut [u8]) -> T) -> T {
        let mut buffer = self
            .read_buffer
            .take()
            .unwrap_or_else(|| vec![0; READ_BUFFER].into_boxed_slice());
        let result = f(&mut buffer);
        self.read_buffer.set(Some(buffer));
        result
    }

    /// Wakes the kernel's future, unless its poll is what we are in.
    #[inline]
    pub(crate) fn wake_host(&self) {
        if self.run.asleep.get() {
            self.shared.notify();
        }
    }

    /// Notes how deep the stack is before the outermost handler runs.
    #[inline]
    pub(super) fn mark_stack(&self) {
        self.stack_floor
            .set(stack_address().saturating_sub(self.config.call_stack));
    }

    /// Whether handlers are nested so deep that one more might overflow the stack, which grows downwards wherever Tokio runs.
    #[inline]
    pub(crate) fn is_too_deep(&self) -> bool {
        stack_address() < self.stack_floor.get()
    }

    /// An error is ending the run: nothing more is to be delivered.
    pub(crate) fn is_failing(&self) -> bool {
        self.die.is_fatal()
    }

    /// The wall clock's time, or the virtual one's.
    pub(crate) fn wall_now(&self) -> std::time::SystemTime {
        self.clock.wall(self.clock.now())
    }

    /// Whether time is virtual, so that real descriptors must keep out.
    pub(crate) fn is_virtual(&self) -> bool {
        self.clock.is_tokio()
    }
}

/// About where the stack ends now.
#[inline(always)]
fn stack_address() -> usize {
    let here = 0_u8;
    std::ptr::from_ref(std::hint::black_box(&here)).addr()
}
