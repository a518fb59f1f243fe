//! `t/90_regression/whelan-dieprop.t`

use crate::laws_kit::*;
use poe::Signal;

#[tokio::test(start_paused = true)]
async fn a_die_reaches_the_child_then_the_parent_who_handles_it() {
    let kernel = kernel();
    life("parent", |cx| {
        cx.sig("DIE", "parent_exception");
        cx.create(
            life("child", |cx| {
                cx.sig("DIE", "child_exception");
                cx.yield_to("throw_exception", ());
            })
            .on("throw_exception", |_, ()| fail("goodbye sweet world"))
            .on("child_exception", |_, _: Signal| say("child got exception")),
        )
        .unwrap();
    })
    .on("parent_exception", |cx, _: Signal| {
        say("parent got exception");
        cx.sig_handled();
    })
    .create(&kernel)
    .unwrap();
    run(&kernel).await;
    assert_eq!(
        said(),
        [
            "parent create child (child started)",
            "child got exception",
            "parent got exception",
            "child stop",
            "parent lose child (child stopped)",
            "parent stop"
        ]
    );
}
