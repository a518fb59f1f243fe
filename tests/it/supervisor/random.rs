//! Random trees of supervisors with random failures, on virtual time: every start and stop comes when the model says, and no post is lost.
//!
//! `POE_CASES=10000` runs so many trees instead.

use super::kit::{ASKED, END, FAIL, pass};
use super::model::{LeafPlan, Model, Plan, SupPlan};
use crate::properties::{check, paused_runtime};
use poe::component::{self, Backoff, ChildSpec, Restart, Starter, Supervisor, SupervisorBuilder};
use poe::event::START;
use poe::{Event, HandlerResult, KERNEL_SHUTDOWN, Kernel, OnFailure, Session, SessionId, testing};
use proptest::prelude::*;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;
use tokio::time::Instant;

const NOTE: Event<u64> = Event::new("note");
const LIFE: Event<()> = Event::new("life");
const DONE: Event<()> = Event::new("done");

#[derive(Clone, Debug)]
enum Step {
    Fail(usize),
    End(usize),
    Kill(usize),
    /// Its next starts fail.
    Spoil(usize, u32),
}

fn restarts() -> impl Strategy<Value = Restart> {
    prop_oneof![
        4 => Just(Restart::Permanent),
        2 => Just(Restart::Transient),
        1 => Just(Restart::Temporary),
    ]
}

fn strategies() -> impl Strategy<Value = component::Strategy> {
    prop_oneof![
        Just(component::Strategy::OneForOne),
        Just(component::Strategy::OneForAll),
        Just(component::Strategy::RestForOne)
    ]
}

fn leaf() -> impl Strategy<Value = Plan> {
    let backoff = prop_oneof![2 => Just(None), 1 => (1_u64..60).prop_map(Some)];
    let drain = prop_oneof![2 => Just(0_u64), 1 => 1_u64..40];
    let limit = prop_oneof![1 => Just(0_u64), 1 => 1_u64..40, 4 => Just(5_000_u64)];
    (restarts(), backoff, drain, limit).prop_map(|(restart, backoff, drain, limit)| {
        Plan::Leaf(LeafPlan {
            name: String::new(),
            restart,
            backoff,
            drain,
            limit,
        })
    })
}

fn sup(children: impl Strategy<Value = Plan> + 'static) -> impl Strategy<Value = SupPlan> {
    let period = prop_oneof![Just(1_500_u64), Just(7_000), Just(60_000)];
    (
        strategies(),
        restarts(),
        0_usize..5,
        period,
        prop::collection::vec(children, 0..5),
    )
        .prop_map(|(strategy, restart, times, period, children)| SupPlan {
            name: String::new(),
            strategy,
            restart,
            times,
            period,
            children,
        })
}

/// A tree whose leaves and supervisors are numbered.
fn trees() -> impl Strategy<Value = (SupPlan, usize)> {
    let tree = leaf().prop_recursive(2, 12, 4, |inner| sup(inner).prop_map(Plan::Sup));
    sup(tree).prop_map(|mut plan| {
        let mut next = 0;
        number(&mut plan, &mut next);
        (plan, next)
    })
}

fn number(plan: &mut SupPlan, next: &mut usize) {
    plan.name = format!("s{next}");
    *next += 1;
    for child in &mut plan.children {
        match child {
            Plan::Leaf(leaf) => {
                leaf.name = next.to_string();
                *next += 1;
            }
            Plan::Sup(sup) => number(sup, next),
        }
    }
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0_usize..16).prop_map(Step::Fail),
        2 => (0_usize..16).prop_map(Step::End),
        1 => (0_usize..16).prop_map(Step::Kill),
        2 => (0_usize..16, 1_u32..4).prop_map(|(at, times)| Step::Spoil(at, times)),
    ]
}

fn steps() -> impl Strategy<Value = Vec<(Step, u64)>> {
    prop::collection::vec((step(), 0_u64..4_000), 0..12)
}

/// What all sessions of a case share.
struct World {
    began: Instant,
    lines: RefCell<Vec<(u64, String)>>,
    bad: RefCell<HashMap<String, u32>>,
    sessions: RefCell<HashMap<String, SessionId>>,
    alive: RefCell<HashMap<String, u32>>,
    /// By leaf, in the order in which they were handled.
    handled: RefCell<HashMap<String, Vec<u64>>>,
    dead: RefCell<Vec<u64>>,
    overlaps: Cell<bool>,
}

impl World {
    fn new() -> Rc<Self> {
        Rc::new(World {
            began: Instant::now(),
            lines: RefCell::default(),
            bad: RefCell::default(),
            sessions: RefCell::default(),
            alive: RefCell::default(),
            handled: RefCell::default(),
            dead: RefCell::default(),
            overlaps: Cell::new(false),
        })
    }

    fn say(&self, line: String) {
        let now = self.began.elapsed().as_millis() as u64;
        self.lines.borrow_mut().push((now, line));
    }

    fn build(self: &Rc<Self>, plan: &SupPlan) -> SupervisorBuilder {
        let period = Duration::from_millis(plan.period);
        let builder = Supervisor::builder(plan.strategy)
            .intensity(plan.times, period)
            .name(plan.name.as_str());
        plan.children.iter().fold(builder, |builder, child| {
            builder.child(match child {
                Plan::Leaf(leaf) => self.leaf(leaf),
                Plan::Sup(sup) => {
                    let (world, inner) = (self.clone(), sup.clone());
                    ChildSpec::supervisor(sup.name.as_str(), move || world.build(&inner)).restart(sup.restart)
                }
            })
        })
    }

    fn leaf(self: &Rc<Self>, plan: &LeafPlan) -> ChildSpec {
        let (world, own) = (self.clone(), plan.clone());
        let spec = ChildSpec::new(plan.name.as_str(), move |cx: &mut Starter<'_>| world.start(cx, &own))
            .restart(plan.restart)
            .alias(plan.name.as_str())
            .shutdown(Duration::from_millis(plan.limit));
        match plan.backoff {
            Some(first) => spec.backoff(
                Backoff::new()
                    .first(Duration::from_millis(first))
                    .longest(Duration::from_millis(first * 8))
                    .jitter(0.0),
            ),
            None => spec,
        }
    }

    fn start(self: &Rc<Self>, cx: &mut Starter<'_>, plan: &LeafPlan) -> HandlerResult<SessionId> {
        let name = plan.name.clone();
        let is_bad = {
            let mut bad = self.bad.borrow_mut();
            let left = bad.entry(name.clone()).or_default();
            let is_bad = *left > 0;
            *left -= u32::from(is_bad);
            is_bad
        };
        if is_bad {
            self.say(format!("no start {name}"));
            // In each of the three ways in which a start can fail.
            match self.lines.borrow().len() % 3 {
                0 => return Err("not now".into()),
                1 => panic!("not now"),
                _ => {
                    let bad = Session::builder(()).on(START, |_, ()| -> HandlerResult { Err("not now".into()) });
                    return Ok(cx.create(bad)?);
                }
            }
        }
        let drain = Duration::from_millis(plan.drain);
        let (begun, asked, noted, stopped) = (self.clone(), self.clone(), self.clone(), self.clone());
        let names = [(); 4].map(|()| name.clone());
        let [own, asked_name, noted_name, stopped_name] = names;
        let leaf = Session::builder(())
            .on(START, move |cx, ()| {
                begun.say(format!("start {own}"));
                let mut alive = begun.alive.borrow_mut();
                let lives = alive.entry(own.clone()).or_default();
                *lives += 1;
                begun.overlaps.set(begun.overlaps.get() || *lives > 1);
                cx.sig(KERNEL_SHUTDOWN, ASKED);
                cx.delay(LIFE, Duration::from_secs(1_000_000), ());
            })
            .on(poe::event::STOP, move |_, ()| {
                *stopped.alive.borrow_mut().entry(stopped_name.clone()).or_default() -= 1;
            })
            .on(ASKED, move |cx, _| {
                asked.say(format!("stop {asked_name}"));
                cx.sig_handled();
                cx.delay(DONE, drain, ());
            })
            .on(NOTE, move |_, number| {
                noted
                    .handled
                    .borrow_mut()
                    .entry(noted_name.clone())
                    .or_default()
                    .push(number);
            })
            .on(DONE, |cx, ()| {
                cx.alarm_clear(LIFE);
            })
            .on(FAIL, |_, ()| -> HandlerResult { Err("it was told to".into()) })
            .on(END, |cx, ()| {
                cx.alarm_clear(LIFE);
                let own = cx.alias_list();
                own.iter().for_each(|alias| cx.alias_remove(alias).unwrap());
            });
        let id = cx.create(leaf)?;
        self.sessions.borrow_mut().insert(name, id);
        Ok(id)
    }
}

fn name(at: usize, count: usize) -> String {
    (at % count).to_string()
}

/// Goes on for so many milliseconds, also when nothing is left to run.
async fn go_on(kernel: &Kernel, millis: u64) {
    let until = Instant::now() + Duration::from_millis(millis);
    pass(kernel, Duration::from_millis(millis)).await;
    tokio::time::sleep_until(until).await;
}

fn kernel() -> Kernel {
    let kernel = testing::builder().on_failure(OnFailure::StopSession).build();
    // Without it a kernel that has only aliases left would end.
    let idler = Session::builder(()).on(START, |cx, ()| cx.delay(LIFE, Duration::from_secs(1_000_000), ()));
    idler.create(&kernel).unwrap();
    kernel
}

fn act(world: &World, kernel: &Kernel, step: &Step, count: usize) {
    let session = |at: &usize| world.sessions.borrow().get(&name(*at, count)).copied();
    let done = match step {
        Step::Fail(at) => session(at).map(|id| kernel.post(id, FAIL, ()).is_ok()),
        Step::End(at) => session(at).map(|id| kernel.post(id, END, ()).is_ok()),
        Step::Kill(at) => session(at).map(|id| kernel.signal(id, "KILL", ()).is_ok()),
        Step::Spoil(at, times) => {
            world.bad.borrow_mut().insert(name(*at, count), *times);
            None
        }
    };
    // One that is down is left alone.
    let _ = done;
}

#[test]
fn every_start_and_stop_comes_when_the_model_says() {
    quiet(|| {
        let bad = prop::collection::vec((0_usize..16, 1_u32..3), 0..2);
        check(150, (trees(), bad, steps()), |((plan, count), bad, steps)| {
            let bad = if steps.len() % 4 == 0 { bad } else { Vec::new() };
            let bad: HashMap<String, u32> = bad.into_iter().map(|(at, times)| (name(at, count), times)).collect();
            paused_runtime().block_on(async {
                let (world, kernel) = (World::new(), kernel());
                *world.bad.borrow_mut() = bad.clone();
                let mut model = Model::start(&plan, bad);
                let root = world.build(&plan).start(&kernel);
                prop_assert!(root.is_ok() || model.root.is_none());
                go_on(&kernel, 20_000).await;
                for (step, gap) in &steps {
                    model.now = world.began.elapsed().as_millis() as u64;
                    act(&world, &kernel, step, count);
                    match step {
                        Step::Fail(at) | Step::Kill(at) => model.leaf_ends(&name(*at, count), true),
                        Step::End(at) => model.leaf_ends(&name(*at, count), false),
                        Step::Spoil(at, times) => {
                            model.bad.insert(name(*at, count), *times);
                        }
                    }
                    go_on(&kernel, 20_000 + gap).await;
                    prop_assert_eq!(&*world.lines.borrow(), &model.lines);
                }
                if let Ok(root) = root {
                    prop_assert_eq!(root.outcome().is_some(), model.root.is_none());
                    model.now = world.began.elapsed().as_millis() as u64;
                    root.shutdown();
                    model.shut_down();
                    go_on(&kernel, 20_000).await;
                    prop_assert!(root.outcome().is_some());
                }
                prop_assert_eq!(&*world.lines.borrow(), &model.lines);
                prop_assert_eq!(kernel.session_count(), 1, "{}", kernel.why_alive());
                Ok(())
            })
        });
    });
}

#[test]
fn nothing_lives_twice_and_no_post_is_lost_whenever_children_fail() {
    quiet(|| {
        let posts = prop::collection::vec(0_usize..16, 0..4);
        let steps = prop::collection::vec((prop::option::of(step()), posts, 0_u64..60), 0..30);
        check(150, (trees(), steps), |((plan, count), steps)| {
            paused_runtime().block_on(async {
                let (world, kernel) = (World::new(), kernel());
                let dead = world.clone();
                kernel.on_dead_letter(move |letter| {
                    if letter.event == "note" {
                        dead.dead.borrow_mut().push(letter.arg.downcast::<u64>().unwrap());
                    }
                });
                let root = world.build(&plan).start(&kernel).unwrap();
                let mut posted = Vec::new();
                for (number, (step, posts, gap)) in (0_u64..).zip(&steps) {
                    if let Some(step) = step {
                        act(&world, &kernel, step, count);
                    }
                    for (i, at) in (0_u64..).zip(posts) {
                        let number = number * 100 + i;
                        if kernel.post(name(*at, count).as_str(), NOTE, number).is_ok() {
                            posted.push(number);
                        }
                    }
                    go_on(&kernel, *gap).await;
                }
                root.shutdown();
                go_on(&kernel, 60_000).await;
                prop_assert!(!world.overlaps.get());
                prop_assert!(world.alive.borrow().values().all(|lives| *lives == 0));
                prop_assert_eq!(kernel.session_count(), 1, "{}", kernel.why_alive());
                let mut arrived = world.dead.take();
                for handled in world.handled.borrow().values() {
                    prop_assert!(handled.is_sorted(), "{:?}", handled);
                    arrived.extend(handled);
                }
                arrived.sort_unstable();
                prop_assert_eq!(arrived, posted);
                Ok(())
            })
        });
    });
}

/// Panics of children are caught, and their messages would fill the test's output.
fn quiet(test: impl FnOnce()) {
    thread_local!(static QUIET: Cell<bool> = const { Cell::new(false) });
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !QUIET.with(Cell::get) || info.payload().downcast_ref::<&str>() != Some(&"not now") {
                before(info);
            }
        }));
    });
    QUIET.with(|quiet| quiet.set(true));
    test();
}
