//! A traffic light as a state machine: timed changes, a button for pedestrians, and a fault that ends it.
//!
//! `cargo run --example traffic_light`

use poe::{Event, Kernel, Machine, Nfa, Session, event::LEAVE, event::START};
use std::time::Duration;

#[derive(PartialEq, Eq, Hash, Debug, Clone, Copy)]
enum Light {
    Red,
    Green,
    Yellow,
    Blinking,
}

const ENTER: Event<()> = Event::new("enter");
const TIMER: Event<()> = Event::new("timer");
const BUTTON: Event<&'static str> = Event::new("button");
const FAULT: Event<()> = Event::new("fault");

#[derive(Default)]
struct Crossing {
    walked: Vec<&'static str>,
}

/// Prints the light, and sets the timeout that leaves this state.
fn show(cx: &mut Machine<'_, Light, Crossing>, millis: u64) {
    if let Some(light) = cx.current_state() {
        println!("{light:?}");
    }
    cx.state_timeout(TIMER, Duration::from_millis(millis), ());
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), poe::Error> {
    let kernel = Kernel::new();
    Nfa::builder(Crossing::default())
        // In every state.
        .on(FAULT, |cx, ()| cx.goto_state(Light::Blinking, ENTER, ()))
        .state(Light::Red, |s| {
            s.on(ENTER, |cx, ()| -> poe::HandlerResult {
                cx.alias_set("crossing")?; // setting it again does nothing
                show(cx, 60);
                Ok(())
            })
            .on(TIMER, |cx, ()| cx.goto_state(Light::Green, ENTER, ()))
            // The cars stand: pedestrians walk, also those whose events were postponed.
            .on(BUTTON, |cx, who| {
                println!("  {who} walks");
                cx.runstate.walked.push(who);
            })
        })
        .state(Light::Green, |s| {
            s.on(ENTER, |cx, ()| show(cx, 60))
                .on(TIMER, |cx, ()| cx.goto_state(Light::Yellow, ENTER, ()))
                .on(BUTTON, |cx, who| {
                    println!("  {who} waits");
                    cx.postpone(who);
                    cx.goto_state(Light::Yellow, ENTER, ())
                })
        })
        .state(Light::Yellow, |s| {
            s.on(ENTER, |cx, ()| show(cx, 20))
                .on(TIMER, |cx, ()| cx.goto_state(Light::Red, ENTER, ()))
                .on(LEAVE, |_, ()| println!("  the cars stop"))
                .postpone("button")
        })
        .state(Light::Blinking, |s| {
            s.on(ENTER, |cx, ()| {
                println!("out of order; {} have walked", cx.runstate.walked.join(" and "));
                for transition in cx.transitions() {
                    println!("  {transition}");
                }
                cx.stop();
            })
        })
        .enter(Light::Red, ENTER, ())
        .start(&kernel)?;

    Session::builder(())
        .on(START, |cx, ()| {
            for (millis, who) in [(20, "Ann"), (80, "Bob"), (90, "Eve")] {
                cx.delay_set("push", Duration::from_millis(millis), who);
            }
            cx.delay("break", Duration::from_millis(200), ());
        })
        .on("push", |cx, who: &'static str| {
            cx.post("crossing", BUTTON, who).map_err(poe::Failure::from)
        })
        .on("break", |cx, ()| {
            cx.post("crossing", FAULT, ()).map_err(poe::Failure::from)
        })
        .create(&kernel)?;
    kernel.run().await
}
