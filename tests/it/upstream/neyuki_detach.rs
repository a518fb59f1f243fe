//! `t/90_regression/neyuki_detach.t`

use crate::laws_kit::*;
use poe::HandlerResult;

#[tokio::test(start_paused = true)]
async fn a_child_that_detaches_itself_later_is_lost_before_it_is_notified() {
    let kernel = kernel();
    life("parent", go)
        .on("go", |cx, ()| -> HandlerResult {
            say("spawning");
            cx.create(life("child", go).on("go", |cx, ()| -> HandlerResult {
                say("detaching");
                cx.detach_myself()?;
                cx.yield_to("bye", ());
                Ok(())
            }))?;
            cx.yield_to("bye", ());
            Ok(())
        })
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    let mut said = said();
    said.retain(|line| !line.ends_with(" stop"));
    assert_eq!(
        said,
        [
            "spawning",
            "parent create child (child started)",
            "detaching",
            "parent lose child (undef)",
            "child parent parent to kernel"
        ]
    );
}
