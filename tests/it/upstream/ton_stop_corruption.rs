//! `t/90_regression/ton-stop-corruption.t`: `stop` from the handler of a descriptor.

use crate::laws_kit::{said, say};
use poe::event::{START, STOP};
use poe::testing::assert_no_leaks;
use poe::{
    Event, HandlerResult, Kernel, Session,
    unix::{SelectMode, Selected, Watched},
};
use std::time::Duration;

const READABLE: Event<Selected> = Event::new("readable");

async fn stops(stop_watching: bool) {
    let kernel = Kernel::new();
    let (reader, writer) = std::io::pipe().unwrap();
    Session::builder(())
        .on(START, move |cx, ()| -> HandlerResult {
            Ok(cx.select(&Watched::new(&reader)?, SelectMode::Read, READABLE, ())?)
        })
        .on(READABLE, move |cx, selected| {
            say("readable");
            if stop_watching {
                assert!(cx.select_clear(&selected.handle, SelectMode::Read));
            }
            cx.stop_all();
        })
        .on(STOP, |_, ()| say("stop"))
        .create(&kernel)
        .unwrap();
    drop(writer);
    let run = tokio::time::timeout(Duration::from_secs(10), kernel.run());
    run.await.expect("it hangs").unwrap();
    assert_no_leaks(&kernel);
    assert_eq!(said(), ["readable", "stop"]);
}

#[tokio::test]
async fn stop_in_a_descriptors_handler_gives_exactly_one_stop() {
    stops(true).await;
}

#[tokio::test]
async fn stop_with_a_watched_descriptor_gives_exactly_one_stop() {
    stops(false).await;
}
