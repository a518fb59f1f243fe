//! The order of timers among themselves and against posted events: laws L1 to L4.

use super::{Cx, busy, epoch, kernel, seconds, soon};
use poe::event::{DEFAULT, START, STOP};
use poe::{Kernel, Session, States, TimerId};
use std::cell::Cell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::SystemTime;

/// Runs one session whose `_start` is the given code; every other event prints its name.
async fn scenario(kernel: &Kernel, title: &str, start: impl Fn(&mut Cx<'_>) + 'static) {
    scenario_with(kernel, title, start, States::new()).await;
}

async fn scenario_with(kernel: &Kernel, title: &str, start: impl Fn(&mut Cx<'_>) + 'static, more: States<()>) {
    out!("== {title}");
    Session::builder(())
        .on(START, move |cx, ()| start(cx))
        .on(STOP, |_, ()| ())
        .on(DEFAULT, |_, unhandled| out!("{}", unhandled.event))
        .inline_states(&more)
        .create(kernel)
        .unwrap();
    kernel.run().await.unwrap();
}

/// Position, checksum, whether sorted, and the last one. The checksum is the sum of position times number: it tells
/// every order apart from sorted.
#[derive(Clone, Default)]
struct Seen(Rc<Cell<(i64, i64, bool, i64)>>);

impl Seen {
    fn new() -> Self {
        Seen(Rc::new(Cell::new((0, 0, true, -1))))
    }

    fn states(&self) -> States<()> {
        let seen = self.0.clone();
        States::new().on("seen", move |_, n: i64| {
            let (position, sum, sorted, last) = seen.get();
            seen.set((position + 1, sum + (position + 1) * n, sorted && n > last, n));
        })
    }

    fn tell(&self, what: &str) {
        let (position, sum, sorted, _) = self.0.get();
        out!(
            "{position} {what}, in order: {}, checksum {sum}",
            if sorted { "yes" } else { "no" }
        );
    }
}

fn xyz(cx: &Cx<'_>) -> TimerId {
    let x = cx.alarm_set("x", epoch(100), ());
    cx.alarm_set("y", epoch(100), ());
    cx.alarm_set("z", epoch(100), ());
    x
}

fn adjust(cx: &Cx<'_>, name: &str, id: TimerId, by: f64) {
    out!("{name} is due at {}", seconds(cx.alarm_adjust(id, by).unwrap()));
}

pub(crate) async fn play() {
    let kernel = kernel();
    scenario(&kernel, "delay 0 sits where it was set", |cx| {
        cx.yield_to("a", ());
        cx.delay("d", 0.0, ());
        cx.yield_to("b", ());
    })
    .await;
    scenario(&kernel, "overdue timers go before waiting posts, by due time", |cx| {
        cx.yield_to("post 1", ());
        cx.yield_to("post 2", ());
        cx.delay("one second ago", -1.0, ());
        cx.delay("five seconds ago", -5.0, ());
        cx.alarm("epoch 2", epoch(2), ());
        cx.alarm("epoch 1", epoch(1), ());
        cx.alarm("epoch 0", epoch(0), ());
        cx.alarm_set("epoch -3", epoch(-3), ());
        cx.yield_to("post 3", ());
    })
    .await;
    scenario(&kernel, "timer of 20 ms, busy for 50 ms, then a yield", |cx| {
        cx.delay("timer", soon(20), ());
        busy(50);
        cx.yield_to("post", ());
    })
    .await;
    scenario(&kernel, "timer of 20 ms, a yield, then busy for 50 ms", |cx| {
        cx.delay("timer", soon(20), ());
        cx.yield_to("post", ());
        busy(50);
    })
    .await;
    scenario(&kernel, "timers set in any order fire by due time", |cx| {
        cx.delay("t80", soon(80), ());
        cx.delay("t20", soon(20), ());
        cx.delay("t60", soon(60), ());
        cx.delay("t40", soon(40), ());
    })
    .await;

    let seen = Seen::new();
    let start = |cx: &mut Cx<'_>| {
        let at = SystemTime::now() + soon(30);
        for n in 0..500_i64 {
            cx.alarm_set("seen", at, n);
        }
    };
    scenario_with(&kernel, "500 timers with one due time", start, seen.states()).await;
    seen.tell("timers");
    let seen = Seen::new();
    let start = |cx: &mut Cx<'_>| (0..2000_i64).for_each(|n| cx.yield_to("seen", n));
    scenario_with(&kernel, "2000 yields", start, seen.states()).await;
    seen.tell("posts");

    scenario(&kernel, "an adjustment by 0 keeps the place among equals", |cx| {
        let x = xyz(cx);
        adjust(cx, "x", x, 0.0);
    })
    .await;
    scenario(&kernel, "away and back lands behind equals", |cx| {
        let x = xyz(cx);
        adjust(cx, "x", x, 50.0);
        adjust(cx, "x", x, -50.0);
    })
    .await;
    scenario(&kernel, "two that meet: who came first stays first", |cx| {
        let ids: HashMap<_, _> = [("a", 10), ("b", 20), ("c", 30), ("d", 40), ("e", 50), ("f", 60)]
            .map(|(name, at)| (name, cx.alarm_set(name, epoch(at), ())))
            .into();
        adjust(cx, "e", ids["e"], -15.0);
        adjust(cx, "b", ids["b"], 15.0);
    })
    .await;
    scenario(&kernel, "delay_adjust counts from now, for alarms as well", |cx| {
        let late = cx.delay_set("late", 30.0, ());
        let alarm = cx.alarm_set("alarm", SystemTime::now() + soon(30_000), ());
        cx.delay_set("middle", soon(40), ());
        cx.delay_adjust(late, soon(70)).unwrap();
        cx.delay_adjust(alarm, soon(20)).unwrap();
    })
    .await;
}
