//! `t/10_units/03_base/10_wheel.t`: the IDs of wheels. POE's come round again, and then pass over those in use; ours are
//! 64 bits wide, so that none is ever given twice. An abstract wheel cannot be made at all here: it is no type.

use crate::laws_kit::*;
use poe::event::START;
use poe::filter::Line;
use poe::wheel::{Input, ReadWrite};
use poe::{Context, Event, HandlerResult, Session, WheelId};

const LINE: Event<Input<String>> = Event::new("line");

fn wheel(cx: &Context<'_, Vec<WheelId>>) -> Result<ReadWrite, poe::Error> {
    let (near, _far) = tokio::io::duplex(64);
    ReadWrite::builder(near).input(Line::new(), LINE).start(cx)
}

#[tokio::test(start_paused = true)]
async fn wheel_ids_start_at_one_and_are_not_reissued() {
    let kernel = kernel();
    Session::builder(Vec::new())
        .on(START, |cx, ()| -> HandlerResult {
            let first = wheel(cx)?;
            let second = wheel(cx)?;
            assert_eq!((first.id().get(), second.id().get()), (1, 2));
            drop(first);
            let third = wheel(cx)?;
            assert_eq!(third.id().get(), 3);
            drop((second, third));
            assert_eq!(wheel(cx)?.id().get(), 4);
            say("looked");
            Ok(())
        })
        .on(LINE, |_, _| ())
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["looked"]);
}

#[tokio::test(start_paused = true)]
async fn every_kernel_counts_its_wheels_separately() {
    for _ in 0..2 {
        let kernel = kernel();
        Session::builder(Vec::new())
            .on(START, |cx, ()| -> HandlerResult {
                let id = wheel(cx)?.id();
                cx.heap.push(id);
                say(id);
                Ok(())
            })
            .on(LINE, |_, _| ())
            .create(&kernel)
            .unwrap();
        run(&kernel).await;
    }
    assert_eq!(said(), ["1", "1"]);
}
