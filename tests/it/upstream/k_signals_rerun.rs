//! `POE::Test::Loops::k_signals_rerun`: eight runs of one kernel, in each a child process of a child session. Where POE uses
//! Wheel::Run, ours starts a program.

use super::children::CHILD_ENDED;
use crate::in_child::in_child;
use poe::event::{START, STOP};
use poe::testing::assert_no_leaks;
use poe::{Error, Failure, HandlerResult, Kernel, Session};
use std::process::{Child, Command};
use std::time::Duration;

struct Runner {
    program: i32,
    child: Option<Child>,
    exit: Option<i32>,
}

async fn run(kernel: &Kernel, exit: i32, die_on_bad_exit: bool) -> Result<(), Error> {
    Session::builder(())
        .on(START, move |cx, ()| -> HandlerResult {
            let runner = Runner {
                program: exit,
                child: None,
                exit: None,
            };
            cx.create(
                Session::builder(runner)
                    .on(START, |cx, ()| -> HandlerResult {
                        cx.sig("CHLD", CHILD_ENDED);
                        let exit = format!("exit {}", cx.heap.program);
                        cx.heap.child = Some(Command::new("sh").args(["-c", &exit]).spawn()?);
                        cx.refcount_increment(cx.session_id(), "running_processes")?;
                        Ok(())
                    })
                    .on(CHILD_ENDED, |cx, signal| -> HandlerResult {
                        let ended = signal.child().unwrap();
                        let Some(mut child) = cx.heap.child.take_if(|child| child.id() == ended.pid) else {
                            return Ok(());
                        };
                        cx.refcount_decrement(cx.session_id(), "running_processes")?;
                        cx.sig_ignore("CHLD");
                        cx.heap.exit = child.wait()?.code();
                        Ok(())
                    })
                    .on(STOP, move |cx, ()| -> HandlerResult {
                        assert!(cx.heap.child.is_none(), "a process is left");
                        match cx.heap.exit {
                            Some(0) => Ok(()),
                            _ if die_on_bad_exit => Err(Failure::msg("bad exit")),
                            _ => Ok(()),
                        }
                    }),
            )?;
            Ok(())
        })
        .create(kernel)?;
    let ran = tokio::time::timeout(Duration::from_secs(30), kernel.run());
    ran.await.expect("it hangs")
}

#[tokio::test]
async fn eight_runs_and_what_fails_in_one_leaves_the_next_clean() {
    in_child!();
    let kernel = Kernel::new();
    for die_on_bad_exit in [false, true] {
        for exit in [0, 1, 0, 0] {
            let ran = run(&kernel, exit, die_on_bad_exit).await;
            if die_on_bad_exit && exit != 0 {
                assert_eq!(ran.unwrap_err().failure().unwrap().to_string(), "bad exit");
            } else {
                ran.unwrap();
            }
            assert_no_leaks(&kernel);
        }
    }
}
