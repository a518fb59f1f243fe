//! `t/20_resources/00_base/caller_state.pm`

use crate::laws_kit::*;
use poe::event::START;
use poe::{Callback, Context, Postback, Session};

#[derive(Default)]
struct Heap {
    postback: Option<Postback<(), ()>>,
    callback: Option<Callback<(), (), ()>>,
}

fn tell(cx: &Context<'_, Heap>) {
    say(format!("{} from {}", cx.event(), cx.caller_state().unwrap()));
}

#[tokio::test(start_paused = true)]
async fn post_yield_call_postback_and_callback_name_the_event_they_came_from() {
    let kernel = kernel();
    Session::builder(Heap::default())
        .on(START, |cx, ()| {
            let me = cx.session_id();
            cx.post(me, "check_1", ()).unwrap();
            cx.heap.postback = Some(cx.postback("check_4", ()));
            cx.heap.callback = Some(cx.callback("check_5", ()));
        })
        .on("check_1", |cx, ()| {
            tell(cx);
            cx.yield_to("check_2", ());
        })
        .on("check_2", |cx, ()| {
            tell(cx);
            let me = cx.session_id();
            cx.call::<(), ()>(me, "check_3", ()).unwrap();
        })
        .on("check_3", |cx, ()| {
            tell(cx);
            // During a call to oneself the outer event is the active one, so that is where the postback is from.
            cx.heap.postback.take().unwrap().post(()).unwrap();
        })
        .on("check_4", |cx, _: ((), ())| {
            tell(cx);
            let callback = cx.heap.callback.take().unwrap();
            callback.call(cx, ()).unwrap();
        })
        .on("check_5", |cx, _: ((), ())| tell(cx))
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(
        said(),
        [
            "check_1 from _start",
            "check_2 from check_1",
            "check_3 from check_2",
            "check_4 from check_2",
            "check_5 from check_4"
        ]
    );
}
