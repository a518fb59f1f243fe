//! Random lives of sessions, laws L9, L18 to L39 and L66 to L74 taken together: whatever a program creates, sends, holds,
//! gives away, detaches, stops and breaks, nothing is left of it in the end, and every value is dropped exactly once;
//! also when what is dropped calls the kernel.

use crate::properties::{check, paused_runtime};
use poe::event::{CHILD, DEFAULT, PARENT, START, STOP};
use poe::testing;
use poe::{Context, Event, Failure, HandlerResult, Kernel, Postback, Session, SessionId, Signal, TimerId};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Once;
use std::time::Duration;

const TOLD: Event<Token> = Event::new("told");
const GIVEN: Event<Gift> = Event::new("given");
const ASKED: Event<Token, u32> = Event::new("asked");
const RANG: Event<Token> = Event::new("rang");
const BACK: Event<(Token, Token)> = Event::new("back");
/// What a `Drop` sends.
const DROPPED: Event<()> = Event::new("dropped");
const RELEASE: Event<()> = Event::new("release");

const TAGS: [&str; 2] = ["one", "two"];
const ALIASES: [&str; 3] = ["huey", "dewey", "louie"];
const SIGNALS: [&str; 4] = ["TERM", "UIDESTROY", "HELLO", "ZOMBIE"];
const ON_PURPOSE: &str = "on purpose";

/// One thing that a handler does. A session is picked among all there ever were, so that some are dead.
#[derive(Clone, Debug)]
enum Op {
    Create {
        heeds_die: bool,
        on_drop: OnDrop,
    },
    Post(usize, OnDrop),
    PostToAlias(usize, OnDrop),
    Yield(OnDrop),
    Call(usize, OnDrop),
    CallMyself(OnDrop),
    Increment(usize, usize),
    Decrement(usize, usize),
    AliasSet(usize),
    AliasRemove(usize),
    Delay(u64, OnDrop),
    DelaySet(u64, OnDrop),
    Adjust(usize, u64),
    AlarmRemove(usize),
    AlarmRemoveAll,
    /// A postback of the session's own, into its own heap: a circle.
    Keep(OnDrop),
    /// One into the heap of another.
    Give(usize, OnDrop),
    Fire(OnDrop),
    LetGo(usize),
    Weaken,
    DetachMyself,
    DetachChild(usize),
    Signal(usize, usize),
    Unwatch,
    Stop,
    Fail,
    Panic,
}

/// What a value does when it is dropped.
#[derive(Clone, Copy, Debug)]
enum OnDrop {
    Nothing,
    Post(usize),
    /// Through another thread's door, which takes it in later.
    Send(usize),
    /// Runs handlers, where that can be.
    Call(usize),
    /// Up and down again: the session is marked for the sweep.
    Touch(usize),
    Signal(usize),
    Stop,
    Panic,
}

fn on_drop() -> impl Strategy<Value = OnDrop> {
    let who = 0..8_usize;
    prop_oneof![
        6 => Just(OnDrop::Nothing),
        2 => who.clone().prop_map(OnDrop::Post),
        1 => who.clone().prop_map(OnDrop::Send),
        2 => who.clone().prop_map(OnDrop::Call),
        2 => who.clone().prop_map(OnDrop::Touch),
        1 => who.prop_map(OnDrop::Signal),
        1 => Just(OnDrop::Stop),
        1 => Just(OnDrop::Panic),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let who = || 0..8_usize;
    let after = || 0..30_u64;
    prop_oneof![
        8 => (any::<bool>(), on_drop()).prop_map(|(heeds_die, on_drop)| Op::Create { heeds_die, on_drop }),
        3 => (who(), on_drop()).prop_map(|(to, d)| Op::Post(to, d)),
        1 => (0..ALIASES.len(), on_drop()).prop_map(|(to, d)| Op::PostToAlias(to, d)),
        3 => on_drop().prop_map(Op::Yield),
        3 => (who(), on_drop()).prop_map(|(to, d)| Op::Call(to, d)),
        1 => on_drop().prop_map(Op::CallMyself),
        2 => (who(), 0..TAGS.len()).prop_map(|(of, tag)| Op::Increment(of, tag)),
        2 => (who(), 0..TAGS.len()).prop_map(|(of, tag)| Op::Decrement(of, tag)),
        2 => (0..ALIASES.len()).prop_map(Op::AliasSet),
        1 => (0..ALIASES.len()).prop_map(Op::AliasRemove),
        2 => (after(), on_drop()).prop_map(|(ms, d)| Op::Delay(ms, d)),
        3 => (after(), on_drop()).prop_map(|(ms, d)| Op::DelaySet(ms, d)),
        1 => (who(), after()).prop_map(|(which, ms)| Op::Adjust(which, ms)),
        1 => who().prop_map(Op::AlarmRemove),
        1 => Just(Op::AlarmRemoveAll),
        2 => on_drop().prop_map(Op::Keep),
        2 => (who(), on_drop()).prop_map(|(to, d)| Op::Give(to, d)),
        2 => on_drop().prop_map(Op::Fire),
        1 => who().prop_map(Op::LetGo),
        1 => Just(Op::Weaken),
        2 => Just(Op::DetachMyself),
        2 => who().prop_map(Op::DetachChild),
        2 => (who(), 0..SIGNALS.len()).prop_map(|(to, signal)| Op::Signal(to, signal)),
        1 => Just(Op::Unwatch),
        1 => Just(Op::Stop),
        1 => Just(Op::Fail),
        1 => Just(Op::Panic),
    ]
}

/// What each handler in turn does; some do nothing.
type Script = Vec<Vec<Op>>;

/// How a case ends.
#[derive(Clone, Copy, Debug)]
enum End {
    /// The program lets go of all that it holds, and the run ends by itself.
    Release,
    /// `Kernel::stop_all`.
    Stop,
    /// The kernel is dropped under its sessions.
    Drop,
}

#[derive(Default)]
struct World {
    script: RefCell<std::collections::VecDeque<Vec<Op>>>,
    sessions: RefCell<Vec<SessionId>>,
    kernel: RefCell<Option<Kernel>>,
    /// Values made, and values dropped.
    made: Cell<usize>,
    dropped: Cell<usize>,
    /// Failures that no script asked for.
    surprises: RefCell<Vec<String>>,
}

impl World {
    fn session(&self, which: usize) -> Option<SessionId> {
        let sessions = self.sessions.borrow();
        (!sessions.is_empty()).then(|| sessions[which % sessions.len()])
    }

    fn token(self: &Rc<Self>, on_drop: OnDrop) -> Token {
        self.made.set(self.made.get() + 1);
        Token {
            world: self.clone(),
            on_drop,
        }
    }

    /// A failure must be one that the script asked for.
    fn expect(&self, failure: &str) {
        if !failure.contains(ON_PURPOSE) {
            self.surprises.borrow_mut().push(failure.to_owned());
        }
    }
}

/// A value that counts its end, and may call the kernel then.
struct Token {
    world: Rc<World>,
    on_drop: OnDrop,
}

impl Clone for Token {
    fn clone(&self) -> Self {
        self.world.token(self.on_drop)
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        self.world.dropped.set(self.world.dropped.get() + 1);
        let Some(kernel) = self.world.kernel.borrow().clone() else {
            return;
        };
        let who = |n| self.world.session(n).unwrap_or(kernel.id());
        // Refusals are as good: the session may be dead, the kernel busy.
        match self.on_drop {
            OnDrop::Nothing => {}
            OnDrop::Post(to) => drop(kernel.post(who(to), DROPPED, ())),
            OnDrop::Send(to) => drop(kernel.handle().post(who(to), DROPPED, ())),
            OnDrop::Call(to) => drop(kernel.call(who(to), DROPPED, ())),
            OnDrop::Touch(of) => {
                if kernel.refcount_increment(who(of), "dropping").is_ok() {
                    kernel.refcount_decrement(who(of), "dropping").unwrap();
                }
            }
            OnDrop::Signal(to) => drop(kernel.signal(who(to), "HELLO", ())),
            OnDrop::Stop => drop(kernel.stop_all()),
            OnDrop::Panic if !std::thread::panicking() => std::panic::panic_any(ON_PURPOSE),
            OnDrop::Panic => {}
        }
    }
}

type Back = Postback<Token, Token>;

/// A postback on its way into another's heap.
struct Gift(Back);

struct Life {
    world: Rc<World>,
    timers: Vec<TimerId>,
    backs: Vec<Back>,
    _token: Token,
}

type Cx<'k> = Context<'k, Life>;

fn life(world: &Rc<World>, heeds_die: bool, on_drop: OnDrop) -> poe::SessionBuilder<Life> {
    let heap = Life {
        world: world.clone(),
        timers: Vec::new(),
        backs: Vec::new(),
        _token: world.token(on_drop),
    };
    // The closures have something to drop, too.
    let captured = world.token(on_drop);
    Session::builder(heap)
        .args(world.token(on_drop))
        .on(START, move |cx, argument: Token| {
            let world = cx.heap.world.clone();
            world.sessions.borrow_mut().push(cx.session_id());
            cx.sig("HELLO", "heard");
            if heeds_die {
                cx.sig_with("DIE", "died", captured.clone());
            }
            batch(cx)?;
            Ok::<_, Failure>(poe::Reply(argument))
        })
        .on(STOP, |cx, ()| batch(cx))
        .on(CHILD, |cx, _| batch(cx))
        .on(PARENT, |cx, _| batch(cx))
        .on(TOLD, |cx, _token| batch(cx))
        .on(RANG, |cx, _token| batch(cx))
        .on(BACK, |cx, _tokens| batch(cx))
        .on(GIVEN, |cx, gift| {
            cx.heap.backs.push(gift.0);
            batch(cx)
        })
        .on(ASKED, |cx, _token| batch(cx).map(|()| poe::Reply(7)))
        .on(DROPPED, |cx, ()| batch(cx))
        .on("heard", |cx, _: Signal| batch(cx))
        .on("died", |cx, signal: Signal| {
            cx.heap.world.expect(&signal.die().unwrap().failure.to_string());
            cx.sig_handled();
            batch(cx)
        })
        .on(RELEASE, |cx, ()| {
            cx.heap.backs.clear();
            cx.alarm_remove_all();
            for alias in cx.alias_list() {
                cx.alias_remove(&alias).unwrap();
            }
        })
        .on(DEFAULT, |cx, unhandled| {
            let text = format!("unhandled {}", unhandled.event);
            cx.heap.world.expect(&text);
        })
}

fn batch(cx: &mut Cx<'_>) -> HandlerResult {
    let world = cx.heap.world.clone();
    let Some(ops) = world.script.borrow_mut().pop_front() else {
        return Ok(());
    };
    for op in ops {
        step(cx, &world, op)?;
    }
    Ok(())
}

/// Does one thing. What is refused is refused: dead sessions, aliases that are taken, timers that are gone.
fn step(cx: &mut Cx<'_>, world: &Rc<World>, op: Op) -> HandlerResult {
    let me = cx.session_id();
    let who = |which| world.session(which).unwrap_or(me);
    let ms = Duration::from_millis;
    let timer = |which: usize, heap: &Life| (!heap.timers.is_empty()).then(|| heap.timers[which % heap.timers.len()]);
    match op {
        Op::Create { heeds_die, on_drop } => drop(cx.create(life(world, heeds_die, on_drop))),
        Op::Post(to, d) => drop(cx.post(who(to), TOLD, world.token(d))),
        Op::PostToAlias(to, d) => drop(cx.post(ALIASES[to], TOLD, world.token(d))),
        Op::Yield(d) => cx.yield_to(TOLD, world.token(d)),
        Op::Call(to, d) => {
            if let Ok(answer) = cx.call(who(to), ASKED, world.token(d)) {
                assert_eq!(answer, 7);
            }
        }
        Op::CallMyself(d) => drop(cx.call(me, ASKED, world.token(d))),
        Op::Increment(of, tag) => drop(cx.refcount_increment(who(of), TAGS[tag])),
        Op::Decrement(of, tag) => drop(cx.refcount_decrement(who(of), TAGS[tag])),
        Op::AliasSet(which) => drop(cx.alias_set(ALIASES[which])),
        Op::AliasRemove(which) => drop(cx.alias_remove(ALIASES[which])),
        Op::Delay(after, d) => cx.delay(RANG, ms(after), world.token(d)),
        Op::DelaySet(after, d) => {
            let id = cx.delay_set(RANG, ms(after), world.token(d));
            cx.heap.timers.push(id);
        }
        Op::Adjust(which, after) => {
            if let Some(id) = timer(which, &cx.heap) {
                let _ = cx.delay_adjust(id, ms(after));
            }
        }
        Op::AlarmRemove(which) => {
            if let Some(id) = timer(which, &cx.heap) {
                drop(cx.alarm_remove(id));
            }
        }
        Op::AlarmRemoveAll => drop(cx.alarm_remove_all()),
        Op::Keep(d) => {
            let back = cx.postback(BACK, world.token(d));
            cx.heap.backs.push(back);
        }
        Op::Give(to, d) => {
            let back = cx.postback(BACK, world.token(d));
            drop(cx.post(who(to), GIVEN, Gift(back)));
        }
        Op::Fire(d) => {
            for back in &cx.heap.backs {
                drop(back.post(world.token(d)));
            }
        }
        Op::LetGo(which) => {
            if !cx.heap.backs.is_empty() {
                let which = which % cx.heap.backs.len();
                drop(cx.heap.backs.remove(which));
            }
        }
        Op::Weaken => {
            let weak = cx.heap.backs.pop().map(Back::weaken);
            cx.heap.backs.extend(weak);
        }
        Op::DetachMyself => drop(cx.detach_myself()),
        Op::DetachChild(which) => drop(cx.detach_child(who(which))),
        Op::Signal(to, signal) => drop(cx.signal(who(to), SIGNALS[signal], world.token(OnDrop::Nothing))),
        Op::Unwatch => cx.sig_ignore("DIE"),
        Op::Stop => cx.stop_all(),
        Op::Fail => return Err(Failure::msg(ON_PURPOSE)),
        Op::Panic => std::panic::panic_any(ON_PURPOSE),
    }
    Ok(())
}

thread_local! {
    /// Panics of this thread that no script asked for, also those that the kernel swallowed.
    static UNEXPECTED: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Panics on purpose are silent; others are remembered, for the kernel may take them for a handler's.
fn watch_panics() {
    static WATCH: Once = Once::new();
    WATCH.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if info.payload().downcast_ref() != Some(&ON_PURPOSE) {
                let _ = UNEXPECTED.try_with(|list| list.borrow_mut().push(info.to_string()));
                usual(info);
            }
        }));
    });
    UNEXPECTED.take();
}

async fn run(script: Script, budget: u32, end: End) -> Result<(), TestCaseError> {
    watch_panics();
    let kernel = testing::builder().budget(budget).build();
    let world = Rc::new(World::default());
    *world.script.borrow_mut() = script.into();
    *world.kernel.borrow_mut() = Some(kernel.clone());
    let died = |ended: Result<(), poe::Error>| {
        if let Err(error) = ended {
            world.expect(&error.to_string());
        }
    };
    for heeds_die in [true, false, true] {
        drop(life(&world, heeds_die, OnDrop::Nothing).create(&kernel));
    }
    let minute = Duration::from_secs(60);
    died(testing::run_for(&kernel, minute).await);
    // What is left holds itself: reference counts, aliases among them, and postbacks in circles.
    world.script.borrow_mut().clear();
    match end {
        End::Release => {
            // A gift may be given while others are released.
            while kernel.session_count() > 0 {
                let before = world.dropped.get();
                let sessions = world.sessions.borrow().clone();
                for id in sessions {
                    for tag in TAGS {
                        while kernel.refcount_decrement(id, tag).is_ok() {}
                    }
                    drop(kernel.call(id, RELEASE, ()));
                }
                died(testing::run_for(&kernel, minute).await);
                prop_assert!(
                    world.dropped.get() > before || kernel.session_count() == 0,
                    "{}",
                    kernel.why_alive()
                );
            }
        }
        End::Stop => kernel.stop_all().unwrap(),
        End::Drop => {}
    }
    if !matches!(end, End::Drop) {
        // Panics while values are dropped may have posted once more.
        died(testing::run_for(&kernel, minute).await);
        prop_assert_eq!(kernel.session_count(), 0, "{}", kernel.why_alive());
        prop_assert!(kernel.why_alive().is_empty());
    }
    world.kernel.take();
    drop(kernel);
    prop_assert_eq!(world.dropped.get(), world.made.get(), "values dropped, values made");
    prop_assert_eq!(Rc::strong_count(&world), 1, "somebody has the world yet");
    prop_assert_eq!(world.surprises.take(), Vec::<String>::new());
    prop_assert_eq!(UNEXPECTED.take(), Vec::<String>::new());
    Ok(())
}

#[test]
fn random_sessions_leave_nothing_and_drop_every_value_once() {
    // At most 40 steps.
    let script = prop::collection::vec(prop::collection::vec(op(), 0..5), 1..10);
    let end = prop_oneof![2 => Just(End::Release), 1 => Just(End::Stop), 1 => Just(End::Drop)];
    let budget = prop_oneof![Just(1_u32), Just(3), Just(256)];
    check(256, (script, budget, end), |(script, budget, end)| {
        paused_runtime().block_on(run(script, budget, end))
    });
}

/// A second panic on the way out of a first one would end the process: each value is dropped by itself.
#[test]
fn values_that_all_panic_when_dropped_are_all_dropped() {
    struct Bad(Rc<Cell<usize>>);
    impl Drop for Bad {
        fn drop(&mut self) {
            self.0.set(self.0.get() + 1);
            std::panic::panic_any(ON_PURPOSE);
        }
    }
    watch_panics();
    let dropped = Rc::new(Cell::new(0));
    let bad = || Bad(dropped.clone());
    let runtime = paused_runtime();
    let _entered = runtime.enter();
    let kernel = testing::kernel();
    let extras = RefCell::new(vec![bad(), bad()]);
    let id = Session::builder(())
        .on(START, move |cx, ()| {
            for (signal, extra) in ["DIE", "HELLO"].into_iter().zip(extras.take()) {
                cx.sig_with(signal, "heard", extra);
            }
        })
        .on("timer", |cx, bad: Bad| {
            cx.delay_set("later", Duration::from_secs(1), bad);
        })
        .create(&kernel)
        .unwrap();
    for _ in 0..2 {
        kernel.post(id, "post", bad()).unwrap();
        kernel.call::<_, ()>(id, "timer", bad()).unwrap();
    }
    kernel.stop_all().unwrap();
    assert_eq!(dropped.get(), 6);
    assert!(kernel.why_alive().is_empty());
    assert_eq!(UNEXPECTED.take(), Vec::<String>::new());
}
