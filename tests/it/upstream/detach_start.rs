//! `t/10_units/03_base/17_detach_start.t`

use crate::laws_kit::*;
use poe::event::START;
use poe::{HandlerResult, Reply};

#[tokio::test(start_paused = true)]
async fn a_session_that_detaches_itself_in_start_is_never_its_creators_child() {
    let kernel = kernel();
    life("Parent", |cx| cx.alias_set("Parent").unwrap())
        .on(START, |cx, ()| -> HandlerResult<Reply<()>> {
            named(cx.session_id(), "Parent");
            cx.alias_set("Parent")?;
            cx.create(life("Child", |cx| {
                say("Child start");
                cx.alias_set("Child").unwrap();
            }))?;
            cx.create(life("Detached", |_| ()).on(START, |cx, ()| -> HandlerResult {
                named(cx.session_id(), "Detached");
                say("Detached start");
                cx.alias_set("Detached")?;
                cx.detach_myself()?;
                Ok(())
            }))?;
            Ok(Reply(()))
        })
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    let said = said();
    assert_eq!(
        said[..4],
        [
            "Child start",
            "Parent create Child (Child started)",
            "Detached start",
            "Detached parent Parent to kernel"
        ]
    );
    let after = |line: &str| said.iter().position(|l| l == line).unwrap();
    assert!(after("Child stop") < after("Parent lose Child (Child stopped)"));
    assert!(
        said.iter()
            .all(|l| !(l.starts_with("Parent") && l.contains("Detached")))
    );
    assert_eq!(said.iter().filter(|l| l.ends_with(" stop")).count(), 3);
}
