//! `t/90_regression/hinrik-wheel-run-die.t`, the kernel's part: a helper session, which a reference holds, awaits a program
//! that fails and tells its owner, whose timeout is cleared and who then lets the helper go.

use super::children::run;
use crate::in_child::in_child;
use crate::laws_kit::{said, say};
use poe::event::{START, STOP};
use poe::{Event, HandlerResult, Kernel, Session, SessionId, unix::ProcessExit};
use std::process::Command;
use std::time::Duration;

const ENDED: Event<ProcessExit<SessionId>> = Event::new("_child_signal");
const EXIT: Event<Option<i32>> = Event::new("exit");

#[tokio::test]
async fn a_timer_a_held_session_and_a_childs_exit_work_together() {
    in_child!();
    let kernel = Kernel::new();
    Session::builder(None)
        .on(START, |cx, ()| -> HandlerResult {
            let owner = cx.session_id();
            let helper = cx.create(
                Session::builder(())
                    .on(START, move |cx, ()| -> HandlerResult {
                        cx.refcount_increment(cx.session_id(), "helper")?;
                        let failing = Command::new("sh").args(["-c", "exit 3"]).spawn()?;
                        Ok(cx.sig_child(failing, ENDED, owner)?)
                    })
                    .on(ENDED, |cx, exit| -> HandlerResult {
                        let code = exit.status.and_then(|status| status.code());
                        Ok(cx.post(exit.extra, EXIT, code)?)
                    })
                    .on("_shutdown", |cx, ()| -> HandlerResult {
                        cx.refcount_decrement(cx.session_id(), "helper")?;
                        Ok(())
                    })
                    .on(STOP, |_, ()| say("helper stop")),
            )?;
            *cx.heap = Some(helper);
            cx.delay("timeout", Duration::from_secs(30), ());
            Ok(())
        })
        .on(EXIT, |cx, code| -> HandlerResult {
            say(format!("exit {code:?}"));
            assert_eq!(cx.alarm_clear("timeout"), 1);
            let helper = cx.heap.unwrap();
            cx.call::<(), ()>(helper, "_shutdown", ())?;
            Ok(())
        })
        .on("timeout", |_, ()| panic!("timed out"))
        .on(STOP, |_, ()| say("stop"))
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["exit Some(3)", "helper stop", "stop"]);
}
