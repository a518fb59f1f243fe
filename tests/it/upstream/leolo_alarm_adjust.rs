//! `t/90_regression/leolo-alarm-adjust.t`

use crate::laws_kit::*;
use poe::event::{START, STOP};
use poe::{HandlerResult, Session, TimerId};
use std::time::SystemTime;
use tokio::time::Instant;

#[tokio::test(start_paused = true)]
async fn an_alarm_and_a_delay_moved_to_one_second_ring_after_one_second() {
    let kernel = kernel();
    let began = Instant::now();
    let second = move |what: &str| {
        let took = began.elapsed();
        assert!(took > ms(998) && took < ms(1002), "{what} took {took:?}");
        say(what);
    };
    Session::builder(None::<(TimerId, TimerId)>)
        .on(START, |cx, ()| {
            let alarm = cx.alarm_set("the_alarm", SystemTime::now() + ms(10_000), ());
            let delay = cx.delay_set("the_delay", ms(10_000), ());
            *cx.heap = Some((alarm, delay));
            cx.yield_to("adjust_them", ());
        })
        .on("adjust_them", |cx, ()| -> HandlerResult {
            let (alarm, delay) = cx.heap.unwrap();
            cx.delay_adjust(delay, ms(1000))?;
            cx.alarm_adjust(alarm, -9.0)?;
            Ok(())
        })
        .on("the_alarm", move |_, ()| second("alarm"))
        .on("the_delay", move |_, ()| second("delay"))
        .on(STOP, |_, ()| say("stop"))
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    let mut said = said();
    said.sort();
    assert_eq!(said, ["alarm", "delay", "stop"]);
}
