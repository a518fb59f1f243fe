//! Timers and posts against a list that is sorted anew for every event: whatever a program sets, moves, removes and
//! posts, its events come in the order of (time due, arrival), laws L1 to L4.

use poe::event::START;
use poe::testing;
use poe::{Context, Event, Session, SessionId, TimerId};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// Checks a property with random cases. A failure prints the seed; `POE_SEED` repeats it.
pub(crate) fn check<S: Strategy>(cases: u32, strategy: S, test: impl Fn(S::Value) -> Result<(), TestCaseError>)
where
    S::Value: std::fmt::Debug,
{
    let seed = match std::env::var("POE_SEED") {
        Ok(seed) => seed.parse().expect("POE_SEED is a number"),
        Err(_) => std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |d| d.as_nanos() as u64),
    };
    println!("POE_SEED={seed}");
    let cases = std::env::var("POE_CASES")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(cases);
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config = Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: 20_000,
        ..Config::default()
    };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    if let Err(error) = runner.run(&strategy, test) {
        panic!("POE_SEED={seed}: {error}");
    }
}

/// A runtime whose clock stands still, for one case.
pub(crate) fn paused_runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap()
}

const SESSIONS: usize = 3;
const NAMES: [Event<u64>; 3] = [Event::new("red"), Event::new("green"), Event::new("blue")];

/// One thing that a handler does. Times are milliseconds from now; `which` picks among the session's timers by age.
#[derive(Clone, Debug)]
enum Op {
    Yield(usize),
    Post {
        to: usize,
        name: usize,
    },
    /// `delay_set`.
    Set {
        name: usize,
        after: i64,
    },
    /// `delay`: in place of the timers of that name.
    Replace {
        name: usize,
        after: i64,
    },
    Clear {
        name: usize,
    },
    Adjust {
        which: usize,
        by: i64,
    },
    DelayAdjust {
        which: usize,
        after: i64,
    },
    /// Moves a timer and sets an alarm to the wall time that this gives.
    AlarmBeside {
        which: usize,
        after: i64,
        name: usize,
    },
    Remove {
        which: usize,
    },
    RemoveAll,
}

fn op() -> impl Strategy<Value = Op> {
    let name = 0..NAMES.len();
    let after = prop_oneof![Just(0), -20..20_i64, 0..5_i64];
    let which = 0..12_usize;
    prop_oneof![
        2 => name.clone().prop_map(Op::Yield),
        2 => (0..SESSIONS, name.clone()).prop_map(|(to, name)| Op::Post { to, name }),
        4 => (name.clone(), after.clone()).prop_map(|(name, after)| Op::Set { name, after }),
        1 => (name.clone(), after.clone()).prop_map(|(name, after)| Op::Replace { name, after }),
        1 => name.clone().prop_map(|name| Op::Clear { name }),
        2 => (which.clone(), after.clone()).prop_map(|(which, by)| Op::Adjust { which, by }),
        2 => (which.clone(), after.clone()).prop_map(|(which, after)| Op::DelayAdjust { which, after }),
        1 => (which.clone(), after, name).prop_map(|(which, after, name)| Op::AlarmBeside { which, after, name }),
        1 => which.prop_map(|which| Op::Remove { which }),
        1 => Just(Op::RemoveAll),
    ]
}

/// The actions of the handlers, in turn.
type Script = Vec<Vec<Op>>;

/// The observations of a run: deliveries, and the results of removals.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Seen {
    Delivered {
        at: u64,
        session: usize,
        name: usize,
        label: u64,
    },
    Cleared(usize),
    Removed(Vec<(usize, u64)>),
}

/// The naive model of the queue.
#[derive(Default)]
struct Model {
    now: i64,
    arrivals: u64,
    labels: u64,
    waiting: Vec<Item>,
    seen: Vec<Seen>,
}

struct Item {
    due: i64,
    arrival: u64,
    session: usize,
    name: usize,
    label: u64,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Post,
    /// Set by name, so that no ID is known.
    Named,
    /// Set by a method that gives an ID.
    Timer,
}

impl Model {
    fn run(script: &Script) -> Vec<Seen> {
        let mut model = Model::default();
        let mut batches = script.iter();
        for session in 0..SESSIONS {
            model.batch(session, batches.next());
        }
        while let Some(first) = model.order().first() {
            let item = model.waiting.remove(*first);
            model.now = model.now.max(item.due);
            let Item {
                session, name, label, ..
            } = item;
            model.seen.push(Seen::Delivered {
                at: model.now as u64,
                session,
                name,
                label,
            });
            model.batch(session, batches.next());
        }
        model.seen
    }

    /// Places in `waiting`, in the order in which their events will come.
    fn order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.waiting.len()).collect();
        order.sort_by_key(|i| (self.waiting[*i].due, self.waiting[*i].arrival));
        order
    }

    fn add(&mut self, due: i64, session: usize, name: usize, kind: Kind) {
        self.arrivals += 1;
        self.labels += 1;
        self.waiting.push(Item {
            due,
            arrival: self.arrivals,
            session,
            name,
            label: self.labels,
            kind,
        });
    }

    /// One of the session's timers whose ID is known, by age.
    fn timer(&self, session: usize, which: usize) -> Option<usize> {
        let mut own: Vec<usize> = (0..self.waiting.len())
            .filter(|i| self.waiting[*i].session == session && self.waiting[*i].kind == Kind::Timer)
            .collect();
        own.sort_by_key(|i| self.waiting[*i].label);
        (!own.is_empty()).then(|| own[which % own.len()])
    }

    fn move_to(&mut self, at: usize, due: i64) {
        if self.waiting[at].due != due {
            self.arrivals += 1;
            self.waiting[at].arrival = self.arrivals;
            self.waiting[at].due = due;
        }
    }

    /// Removes timers of a session and lists them in order.
    fn remove(&mut self, session: usize, wanted: impl Fn(&Item) -> bool) -> Vec<(usize, u64)> {
        let order = self.order();
        let chosen: Vec<usize> = order
            .into_iter()
            .filter(|i| {
                let item = &self.waiting[*i];
                item.session == session && item.kind != Kind::Post && wanted(item)
            })
            .collect();
        let told = chosen
            .iter()
            .map(|i| (self.waiting[*i].name, self.waiting[*i].label))
            .collect();
        let mut at = 0;
        self.waiting.retain(|_| {
            at += 1;
            !chosen.contains(&(at - 1))
        });
        told
    }

    fn batch(&mut self, session: usize, batch: Option<&Vec<Op>>) {
        for op in batch.into_iter().flatten() {
            match *op {
                Op::Yield(name) => self.add(self.now, session, name, Kind::Post),
                Op::Post { to, name } => self.add(self.now, to, name, Kind::Post),
                Op::Set { name, after } => self.add(self.now + after, session, name, Kind::Timer),
                Op::Replace { name, after } => {
                    self.remove(session, |i| i.name == name);
                    self.add(self.now + after, session, name, Kind::Named);
                }
                Op::Clear { name } => {
                    let removed = self.remove(session, |i| i.name == name);
                    self.seen.push(Seen::Cleared(removed.len()));
                }
                Op::Adjust { which, by } => {
                    if let Some(at) = self.timer(session, which) {
                        self.move_to(at, self.waiting[at].due + by);
                    }
                }
                Op::DelayAdjust { which, after } => {
                    if let Some(at) = self.timer(session, which) {
                        self.move_to(at, self.now + after);
                    }
                }
                Op::AlarmBeside { which, after, name } => {
                    if let Some(at) = self.timer(session, which) {
                        self.move_to(at, self.now + after);
                        self.add(self.now + after, session, name, Kind::Timer);
                    }
                }
                Op::Remove { which } => {
                    if let Some(at) = self.timer(session, which) {
                        let label = self.waiting[at].label;
                        let removed = self.remove(session, |i| i.label == label);
                        self.seen.push(Seen::Removed(removed));
                    }
                }
                Op::RemoveAll => {
                    let removed = self.remove(session, |_| true);
                    self.seen.push(Seen::Removed(removed));
                }
            }
        }
    }
}

/// The real kernel, driven by the same script.
struct Real {
    script: Script,
    next: Cell<usize>,
    labels: Cell<u64>,
    began: tokio::time::Instant,
    seen: RefCell<Vec<Seen>>,
    sessions: RefCell<Vec<SessionId>>,
}

/// A session: its number, and its timers by age.
struct Heap {
    number: usize,
    timers: Vec<(TimerId, u64)>,
}

impl Real {
    async fn run(script: Script, budget: u32) -> Vec<Seen> {
        let kernel = testing::builder().budget(budget).build();
        let real = Rc::new(Real {
            script,
            next: Cell::new(0),
            labels: Cell::new(0),
            began: tokio::time::Instant::now(),
            seen: RefCell::default(),
            sessions: RefCell::default(),
        });
        for number in 0..SESSIONS {
            // All are there before the first batch runs.
            let world = real.clone();
            let mut session = Session::builder(Heap {
                number,
                timers: Vec::new(),
            })
            .on(START, move |cx, ()| {
                world.sessions.borrow_mut().push(cx.session_id());
                // The alias keeps it while it has nothing to do.
                cx.alias_set(&format!("session {}", cx.heap.number))
            });
            for (name, event) in NAMES.into_iter().enumerate() {
                let world = real.clone();
                session = session.on(event, move |cx, label| {
                    let at = world.began.elapsed().as_millis() as u64;
                    let delivered = Seen::Delivered {
                        at,
                        session: cx.heap.number,
                        name,
                        label,
                    };
                    world.seen.borrow_mut().push(delivered);
                    cx.heap.timers.retain(|(_, l)| *l != label);
                    world.batch(cx);
                });
            }
            let world = real.clone();
            session = session.on("begin", move |cx, ()| world.batch(cx));
            session.create(&kernel).unwrap();
        }
        for id in real.sessions.borrow().iter() {
            kernel.call::<_, ()>(*id, "begin", ()).unwrap();
        }
        kernel.run().await.unwrap();
        testing::assert_no_leaks(&kernel);
        real.seen.take()
    }

    fn label(&self) -> u64 {
        self.labels.set(self.labels.get() + 1);
        self.labels.get()
    }

    fn batch(&self, cx: &mut Context<'_, Heap>) {
        let next = self.next.get();
        self.next.set(next + 1);
        for op in self.script.get(next).into_iter().flatten() {
            let timer =
                |which: usize, heap: &Heap| (!heap.timers.is_empty()).then(|| heap.timers[which % heap.timers.len()].0);
            match *op {
                Op::Yield(name) => cx.yield_to(NAMES[name], self.label()),
                Op::Post { to, name } => {
                    let to = self.sessions.borrow()[to];
                    cx.post(to, NAMES[name], self.label()).unwrap();
                }
                Op::Set { name, after } => {
                    let label = self.label();
                    let id = cx.delay_set(NAMES[name], seconds(after), label);
                    cx.heap.timers.push((id, label));
                }
                Op::Replace { name, after } => {
                    cx.delay(NAMES[name], seconds(after), self.label());
                    self.forget_dead(cx);
                }
                Op::Clear { name } => {
                    let count = cx.alarm_clear(NAMES[name].name());
                    self.forget_dead(cx);
                    self.seen.borrow_mut().push(Seen::Cleared(count));
                }
                Op::Adjust { which, by } => {
                    if let Some(id) = timer(which, &cx.heap) {
                        cx.alarm_adjust(id, seconds(by)).unwrap();
                    }
                }
                Op::DelayAdjust { which, after } => {
                    if let Some(id) = timer(which, &cx.heap) {
                        cx.delay_adjust(id, seconds(after)).unwrap();
                    }
                }
                Op::AlarmBeside { which, after, name } => {
                    if let Some(id) = timer(which, &cx.heap) {
                        let wall = cx.delay_adjust(id, seconds(after)).unwrap();
                        let label = self.label();
                        let id = cx.alarm_set(NAMES[name], wall, label);
                        cx.heap.timers.push((id, label));
                    }
                }
                Op::Remove { which } => {
                    if let Some(id) = timer(which, &cx.heap) {
                        let removed = cx.alarm_remove(id).unwrap();
                        cx.heap.timers.retain(|(i, _)| *i != id);
                        self.seen.borrow_mut().push(Seen::Removed(vec![told(removed)]));
                    }
                }
                Op::RemoveAll => {
                    let removed = cx.alarm_remove_all().into_iter().map(told).collect();
                    cx.heap.timers.clear();
                    self.seen.borrow_mut().push(Seen::Removed(removed));
                }
            }
        }
    }

    /// Which timers are left, after some were cleared by name.
    fn forget_dead(&self, cx: &mut Context<'_, Heap>) {
        let kernel = cx.kernel;
        cx.heap.timers.retain(|(id, _)| kernel.alarm_adjust(*id, 0.0).is_ok());
    }
}

fn seconds(millis: i64) -> f64 {
    millis as f64 / 1000.0
}

fn told(alarm: poe::inspect::Timer) -> (usize, u64) {
    let name = NAMES.iter().position(|n| alarm.event == n.name()).unwrap();
    (name, alarm.arg.downcast().unwrap())
}

#[test]
fn timers_and_posts_come_in_the_order_of_a_sorted_list() {
    let script = prop::collection::vec(prop::collection::vec(op(), 0..10), 1..40);
    check(
        256,
        (script, prop_oneof![Just(1_u32), Just(3), Just(256)]),
        |(script, budget)| {
            let expected = Model::run(&script);
            let seen = paused_runtime().block_on(Real::run(script, budget));
            prop_assert_eq!(seen, expected);
            Ok(())
        },
    );
}
