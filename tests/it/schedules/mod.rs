//! Random schedules against a model: sessions that post, call, set, move and remove timers, signal, detach, die, take
//! aliases and reference counts, give postbacks away, spawn futures and create others, thousands of times.
//!
//! `script` makes the scripts, `life` plays them on a real kernel under virtual time, `model` says by the laws L1 to
//! L74 what must happen, line by line, and `checks` looks at what did happen by rules that need no model. `drops` does
//! the same without a model, with values that call the kernel when they are dropped.
//!
//! A failure prints its seed, and the script cut down to what is needed. To have it again:
//!
//! ```text
//! POE_SEED=1234567890 cargo test --test it schedules::
//! ```
//!
//! `POE_CASES=100000` runs so many schedules instead.

mod checks;
mod drops;
mod life;
mod model;
mod script;

use crate::properties::{check, paused_runtime};
use life::{World, life};
use model::{Alive, Model};
use poe::{Kernel, testing};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use script::{Kind, Script};
use std::rc::Rc;
use std::sync::Once;
use std::time::Duration;

/// What is sent: each value is a number of its own.
type Token = u64;

const ON_PURPOSE: &str = "on purpose";
/// Longer than any timer.
const LIMIT: i64 = 60_000;

thread_local! {
    /// Panics of this thread that no script asked for, also those that the kernel swallowed.
    static UNEXPECTED: std::cell::RefCell<Vec<String>> = const { std::cell::RefCell::new(Vec::new()) };
}

/// Panics on purpose are silent; others are remembered, for the kernel may take them for a handler's.
fn watch_panics() {
    static WATCH: Once = Once::new();
    WATCH.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let payload = info.payload();
            let text = payload.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| payload.downcast_ref::<&str>().copied());
            if !text.is_some_and(|t| t.starts_with(ON_PURPOSE)) {
                let _ = UNEXPECTED.try_with(|list| list.borrow_mut().push(info.to_string()));
                usual(info);
            }
        }));
    });
    UNEXPECTED.take();
}

/// The kernel of a schedule. One that a failure has left in disorder is not taken down: its own checks would panic while
/// the first panic is on its way, which ends the process before the seed is told.
struct Kept(Option<Kernel>);

impl Drop for Kept {
    fn drop(&mut self) {
        if std::thread::panicking() {
            Box::leak(Box::new(self.0.take()));
        }
    }
}

/// The first line in which the two differ, with what was before it.
fn same_log(real: &[String], model: &[String]) -> Result<(), TestCaseError> {
    let same = real.iter().zip(model).take_while(|(a, b)| a == b).count();
    if same == real.len() && same == model.len() {
        return Ok(());
    }
    let before = real[..same].join("\n");
    let none = || "nothing more".to_owned();
    Err(TestCaseError::fail(format!(
        "after\n{before}\nthe kernel did\n> {}\nwhere the laws say\n> {}",
        real.get(same).cloned().unwrap_or_else(none),
        model.get(same).cloned().unwrap_or_else(none),
    )))
}

async fn run(script: Script, budget: u32) -> Result<(), TestCaseError> {
    watch_panics();
    let kernel = testing::builder().budget(budget).build();
    let kept = Kept(Some(kernel.clone()));
    let world = Rc::new(World::default());
    world.now();
    *world.script.borrow_mut() = script.clone().into();
    let mut model = Model::new(script);
    for heeds_die in [true, false, true] {
        let kind = Kind {
            heeds_die,
            default: !heeds_die,
            quiet: false,
        };
        life(&world, kind)
            .create(&kernel)
            .map_err(|e| TestCaseError::fail(e.to_string()))?;
        model.create(kind);
    }
    for round in 0.. {
        same_log(&world.log.borrow(), &model.log)?;
        let real = testing::run_for(&kernel, Duration::from_millis(LIMIT as u64)).await;
        let expected = model.run(LIMIT);
        same_log(&world.log.borrow(), &model.log)?;
        match (&real, &expected) {
            (Ok(()), None) => {}
            (Err(error), Some(text)) if error.to_string().ends_with(text.as_str()) => {}
            _ => prop_assert!(false, "the run ended with {real:?} and not with {expected:?}"),
        }
        let why = kernel.why_alive();
        let alive: Vec<Alive> = why.sessions.iter().map(checks::alive).collect();
        prop_assert_eq!(alive, model.alive(), "the sessions that are left\n{}", why);
        checks::held(&why)?;
        if kernel.session_count() == 0 {
            break;
        }
        // What is left holds itself: counts, aliases among them, postbacks in circles, futures that wait.
        prop_assert!(round < 20, "{}", why);
        world.script.borrow_mut().clear();
        model.end_script();
        life::release(&kernel, &world);
        model.release();
    }
    checks::lives(&world.log.borrow())?;
    prop_assert!(kernel.why_alive().is_empty());
    drop((kernel, kept));
    prop_assert_eq!(Rc::strong_count(&world), 1, "somebody has the world yet");
    prop_assert_eq!(UNEXPECTED.take(), Vec::<String>::new());
    Ok(())
}

#[test]
fn random_programs_follow_the_laws() {
    let budget = prop_oneof![Just(1_u32), Just(3), Just(1024)];
    check(5000, (script::script(), budget), |(script, budget)| {
        paused_runtime().block_on(run(script, budget))
    });
}
