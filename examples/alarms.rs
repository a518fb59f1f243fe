//! Alarms and delays: an egg timer for several eggs, on the terminal. Run it with `cargo run --example alarms`.
//!
//! Each egg has a separate timer, by ID; one timeout, by name, is set again by everything that happens. The argument is the
//! length of a second of cooking in milliseconds (`cargo run --example alarms -- 3`); the default is ten.

use poe::event::{START, STOP};
use poe::{Event, Kernel, Session, TimerId};
use std::collections::BTreeMap;
use std::time::Duration;

const READY: Event<&'static str> = Event::new("ready");
const COLD_WATER: Event<&'static str> = Event::new("cold water");
const TAKE_OUT: Event<&'static str> = Event::new("take out");
const QUIET: Event<()> = Event::new("quiet");

/// The cook's heap.
struct Cook {
    /// The length of a second of the recipe.
    second: Duration,
    /// The timer of each egg that is in the pot.
    pot: BTreeMap<&'static str, TimerId>,
    report: fn(&str),
}

/// Starts a session that cooks three eggs and reports to `report`.
pub fn start_cook(kernel: &Kernel, second: Duration, report: fn(&str)) -> Result<(), poe::Error> {
    Session::builder(Cook {
        second,
        pot: BTreeMap::new(),
        report,
    })
    .on(START, |cx, ()| {
        for (egg, seconds) in [("soft", 240), ("medium", 360), ("hard", 600)] {
            let id = cx.delay_set(READY, cx.heap.second * seconds, egg);
            cx.heap.pot.insert(egg, id);
        }
        // Further steps of the recipe, by IDs that nobody needs again.
        cx.delay_set(COLD_WATER, cx.heap.second * 300, "medium");
        cx.delay_set(TAKE_OUT, cx.heap.second * 420, "hard");
        cx.delay(QUIET, cx.heap.second * 400, ());
    })
    .on(COLD_WATER, |cx, egg| -> poe::HandlerResult {
        let longer = cx.heap.second * 60;
        cx.alarm_adjust(cx.heap.pot[egg], longer)?;
        (cx.heap.report)(&format!("cold water: {egg} takes a minute longer"));
        Ok(())
    })
    .on(TAKE_OUT, |cx, egg| -> poe::HandlerResult {
        // Returns the timer with its event, time and argument.
        let Some(id) = cx.heap.pot.remove(egg) else {
            return Ok(());
        };
        let alarm = cx.alarm_remove(id)?;
        (cx.heap.report)(&format!("taken out before it was {}: {egg}", alarm.event));
        Ok(())
    })
    .on(READY, |cx, egg| {
        cx.heap.pot.remove(egg);
        (cx.heap.report)(&format!("ready: {egg}"));
        // By name: replaces the one that is set.
        cx.delay(QUIET, cx.heap.second * 400, ());
    })
    .on(QUIET, |cx, ()| (cx.heap.report)("nothing has happened for a long time"))
    .on(STOP, |cx, ()| (cx.heap.report)("the pot is empty"))
    .create(kernel)?;
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), poe::Error> {
    let millis = std::env::args().nth(1).and_then(|arg| arg.parse().ok()).unwrap_or(10);
    let kernel = Kernel::new();
    start_cook(&kernel, Duration::from_millis(millis), |line| println!("{line}"))?;
    kernel.run().await
}
