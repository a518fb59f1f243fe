//! What the sessions of a schedule do: scripts, made at random and shrunk when they find something.

use proptest::prelude::*;

pub(super) const TAGS: [&str; 2] = ["one", "two"];
pub(super) const ALIASES: [&str; 3] = ["huey", "dewey", "louie"];
/// Benign, terminal, non-maskable, and those that the kernel sends by itself.
pub(super) const SIGNALS: [&str; 7] = ["HELLO", "TERM", "INT", "UIDESTROY", "IDLE", "ZOMBIE", "DIE"];
/// Events of timers.
pub(super) const RINGS: [&str; 2] = ["ring", "rang"];

/// A session by the order of creation, counted round; [`KERNEL`] is the kernel.
pub(super) type Who = usize;
pub(super) const KERNEL: Who = 8;

/// How a session is made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kind {
    /// It watches DIE from the beginning.
    pub(super) heeds_die: bool,
    /// It has a `_default` handler.
    pub(super) default: bool,
    /// It has no handlers for `_stop`, `_child` and `_parent`.
    pub(super) quiet: bool,
}

/// One thing that a handler does. Times are milliseconds.
#[derive(Clone, Debug)]
pub(super) enum Op {
    Create(Kind),
    Post(Who),
    PostToAlias(usize),
    Yield,
    Call(Who),
    CallMyself,
    Increment(Who, usize),
    Decrement(Who, usize),
    AliasSet(usize),
    AliasRemove(usize),
    /// By name: replaces those of the name.
    Delay(usize, i64),
    DelayAdd(usize, i64),
    DelaySet(usize, i64),
    /// Any timer that there ever was, others' too.
    AlarmAdjust(usize, i64),
    DelayAdjust(usize, i64),
    AlarmRemove(usize),
    AlarmClear(usize),
    AlarmRemoveAll,
    /// A postback into the session's own heap.
    Keep,
    /// One into the heap of another.
    Give(Who),
    /// Posts by all postbacks in the heap.
    Fire,
    LetGo(usize),
    Weaken,
    DetachMyself,
    DetachChild(Who),
    Signal(Who, usize),
    Watch(usize),
    Ignore(usize),
    HandlerResult,
    /// A future that is ready at once, or when another handler says so.
    Spawn {
        ready: bool,
    },
    Resolve(usize),
    Cancel(usize),
    /// Takes a handler away, or puts it back.
    Mute,
    Unmute,
    Stop,
    Fail,
    Panic,
}

/// What each handler in turn does; some do nothing.
pub(super) type Script = Vec<Vec<Op>>;

fn kind() -> impl Strategy<Value = Kind> {
    (
        prop::bool::weighted(0.6),
        prop::bool::weighted(0.2),
        prop::bool::weighted(0.15),
    )
        .prop_map(|(heeds_die, default, quiet)| Kind {
            heeds_die,
            default,
            quiet,
        })
}

fn op() -> impl Strategy<Value = Op> {
    let who = || 0..KERNEL;
    // The kernel is a receiver like others, but a rare one.
    let to = || prop_oneof![12 => 0..KERNEL, 1 => Just(KERNEL)];
    let n = || 0..8_usize;
    let ring = || 0..RINGS.len();
    // Many of one time, some overdue.
    let after = || prop_oneof![3 => Just(0_i64), 4 => 1..6_i64, 3 => 6..30_i64, 2 => -20..0_i64];
    prop_oneof![
        // Unboxed unions of proptest have at most ten arms that are cheap to draw from: by subject.
        10 => prop_oneof![
            8 => kind().prop_map(Op::Create),
            2 => Just(Op::DetachMyself),
            2 => who().prop_map(Op::DetachChild),
        ],
        16 => prop_oneof![
            5 => to().prop_map(Op::Post),
            1 => (0..ALIASES.len()).prop_map(Op::PostToAlias),
            4 => Just(Op::Yield),
            4 => to().prop_map(Op::Call),
            1 => Just(Op::CallMyself),
            1 => Just(Op::Mute),
            1 => Just(Op::Unmute),
        ],
        8 => prop_oneof![
            2 => (who(), 0..TAGS.len()).prop_map(|(of, tag)| Op::Increment(of, tag)),
            3 => (who(), 0..TAGS.len()).prop_map(|(of, tag)| Op::Decrement(of, tag)),
            2 => (0..ALIASES.len()).prop_map(Op::AliasSet),
            2 => (0..ALIASES.len()).prop_map(Op::AliasRemove),
        ],
        12 => prop_oneof![
            2 => (ring(), after()).prop_map(|(r, ms)| Op::Delay(r, ms)),
            2 => (ring(), after()).prop_map(|(r, ms)| Op::DelayAdd(r, ms)),
            4 => (ring(), after()).prop_map(|(r, ms)| Op::DelaySet(r, ms)),
            2 => (n(), after()).prop_map(|(i, ms)| Op::AlarmAdjust(i, ms)),
            2 => (n(), after()).prop_map(|(i, ms)| Op::DelayAdjust(i, ms)),
            2 => n().prop_map(Op::AlarmRemove),
            1 => ring().prop_map(Op::AlarmClear),
            1 => Just(Op::AlarmRemoveAll),
        ],
        7 => prop_oneof![
            2 => Just(Op::Keep),
            2 => who().prop_map(Op::Give),
            2 => Just(Op::Fire),
            2 => n().prop_map(Op::LetGo),
            1 => Just(Op::Weaken),
        ],
        9 => prop_oneof![
            4 => (to(), 0..SIGNALS.len()).prop_map(|(to, s)| Op::Signal(to, s)),
            3 => (0..SIGNALS.len()).prop_map(Op::Watch),
            1 => (0..SIGNALS.len()).prop_map(Op::Ignore),
            3 => Just(Op::HandlerResult),
        ],
        5 => prop_oneof![
            3 => any::<bool>().prop_map(|ready| Op::Spawn { ready }),
            2 => n().prop_map(Op::Resolve),
            1 => n().prop_map(Op::Cancel),
        ],
        3 => prop_oneof![2 => Just(Op::Stop), 2 => Just(Op::Fail), 1 => Just(Op::Panic)],
    ]
}

/// At most 60 steps in at most 16 handlers.
pub(super) fn script() -> impl Strategy<Value = Script> {
    prop::collection::vec(prop::collection::vec(op(), 0..5), 1..16)
}
