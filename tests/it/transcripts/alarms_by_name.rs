//! Timers by name: which calls replace, which add, which clear, and what they leave alone.

use super::{Cx, epoch, kernel, soon};
use poe::event::{START, STOP};
use poe::{Kernel, Session, States};
use std::time::SystemTime;

async fn scenario(kernel: &Kernel, title: &str, start: impl Fn(&mut Cx<'_>) + 'static) {
    scenario_with(kernel, title, start, States::new()).await;
}

async fn scenario_with(kernel: &Kernel, title: &str, start: impl Fn(&mut Cx<'_>) + 'static, more: States<()>) {
    out!("== {title}");
    Session::builder(())
        .on(START, move |cx, ()| start(cx))
        .on(STOP, |_, ()| ())
        .on("ring", |_, what: &'static str| out!("ring {what}"))
        .on("other", |_, what: &'static str| out!("other {what}"))
        .inline_states(&more)
        .create(kernel)
        .unwrap();
    kernel.run().await.unwrap();
}

/// Setting a timer cannot fail here, where POE answers 0.
fn done(what: &str) {
    out!("{what}: 0");
}

fn in_ms(millis: u64) -> SystemTime {
    SystemTime::now() + soon(millis)
}

pub(crate) async fn play() {
    let kernel = kernel();
    scenario(&kernel, "alarm replaces alarm", |cx| {
        cx.alarm("ring", in_ms(20), "1");
        done("alarm");
        cx.alarm("ring", in_ms(20), "2");
        done("alarm");
    })
    .await;
    scenario(&kernel, "alarm_add adds", |cx| {
        let at = in_ms(20);
        cx.alarm_set("ring", at, "1");
        done("alarm_add");
        cx.alarm_set("ring", at, "2");
        done("alarm_add");
    })
    .await;
    scenario(&kernel, "alarm, alarm_add, alarm, alarm_add: the last two", |cx| {
        let at = in_ms(20);
        cx.alarm("ring", at, "1");
        cx.alarm_set("ring", at, "2");
        cx.alarm("ring", at, "3");
        cx.alarm_set("ring", at, "4");
    })
    .await;
    scenario(&kernel, "delay replaces delay", |cx| {
        cx.delay("ring", soon(20), "1");
        done("delay");
        cx.delay("ring", soon(20), "2");
        done("delay");
    })
    .await;
    scenario(&kernel, "delay_add adds", |cx| {
        cx.delay_set("ring", soon(20), "1");
        done("delay_add");
        cx.delay_set("ring", soon(40), "2");
        done("delay_add");
    })
    .await;
    scenario(&kernel, "delay, delay_add, delay, delay_add: the last two", |cx| {
        cx.delay("ring", soon(20), "1");
        cx.delay_set("ring", soon(20), "2");
        cx.delay("ring", soon(20), "3");
        cx.delay_set("ring", soon(40), "4");
    })
    .await;
    scenario(&kernel, "alarm without a time only clears", |cx| {
        cx.alarm("ring", in_ms(20), "1");
        assert_eq!(cx.alarm_clear("ring"), 1);
        done("alarm");
        cx.delay("other", soon(30), "is left alone");
    })
    .await;
    scenario(&kernel, "delay without seconds only clears", |cx| {
        cx.delay("ring", soon(20), "1");
        assert_eq!(cx.alarm_clear("ring"), 1);
        done("delay");
        cx.delay("other", soon(30), "is left alone");
    })
    .await;
    scenario(&kernel, "clearing does not ask who set it", |cx| {
        cx.alarm_set("ring", in_ms(20), "alarm_add");
        cx.delay_set("ring", soon(20), "delay_add");
        cx.alarm_set("ring", in_ms(20), "alarm_set");
        cx.delay_set("ring", soon(20), "delay_set");
        cx.delay("ring", soon(30), "delay, alone");
    })
    .await;
    scenario(&kernel, "by-ID setters never clear", |cx| {
        cx.alarm("ring", in_ms(20), "alarm");
        cx.delay_set("ring", soon(40), "delay_set");
        cx.delay_set("ring", soon(60), "delay_set again");
    })
    .await;
    scenario(&kernel, "posted events of that name are not touched", |cx| {
        cx.yield_to("ring", "yield");
        cx.post(cx.session_id(), "ring", "post").unwrap();
        cx.delay("ring", soon(20), "timer");
        assert_eq!(cx.alarm_clear("ring"), 1);
        assert_eq!(cx.alarm_clear("ring"), 0);
    })
    .await;
    scenario(&kernel, "timers of other sessions are not touched", |cx| {
        cx.create(
            Session::builder(())
                .on(START, |cx, ()| cx.delay("ring", soon(20), ()))
                .on("ring", |_, ()| out!("ring in the other session"))
                .on(STOP, |_, ()| ()),
        )
        .unwrap();
        cx.delay("ring", soon(20), "mine");
        assert_eq!(cx.alarm_clear("ring"), 1);
    })
    .await;
    scenario(&kernel, "epoch 0 is a time", |cx| {
        cx.yield_to("other", "post");
        cx.alarm("ring", epoch(0), "epoch 0");
        done("alarm");
    })
    .await;
    let tick = States::new().on("tick", |cx, n: u32| {
        out!("tick {n}");
        if n < 3 {
            cx.delay("tick", soon(20), n + 1);
        }
    });
    let start = |cx: &mut Cx<'_>| cx.delay("tick", soon(20), 1_u32);
    scenario_with(&kernel, "a timer may be set again from its own handler", start, tick).await;
    out!("== arguments that are not there");
}
