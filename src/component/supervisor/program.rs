//! A child that is a program: the session that has its wheel.

use super::spec::{ChildSpec, Starter};
use crate::error::{Failure, HandlerResult};
use crate::event::{Event, START, STOP};
use crate::kernel::{KERNEL_SHUTDOWN, Signal};
use crate::session::Session;
use crate::wheel::{Exited, Run, RunBuilder};
use std::rc::Rc;
use std::time::Duration;

const ENDED: Event<Exited> = Event::new("supervised_program_ended");
const ASKED: Event<Signal> = Event::new("supervised_program_asked");

#[derive(Default)]
struct Program {
    run: Option<Run>,
    asked: bool,
}

impl ChildSpec {
    /// Describes a child that is a program. It ends when the program and its outputs have ended.
    ///
    /// A status of 0 is a normal end; any other, and a signal, is a failure. Asked to end, the program's process group gets TERM; at
    /// the [limit](Self::shutdown) it gets KILL. `make` says what is run; its `ended` event is used by the supervisor, and the program's output
    /// goes where the builder sends it, by default to a session that ignores it.
    ///
    /// ```
    /// use poe::{component::{ChildSpec, Restart}, wheel::Run};
    /// use std::process::Command;
    /// let indexer = ChildSpec::program("indexer", || {
    ///     let mut command = Command::new("indexer");
    ///     command.arg("--watch");
    ///     Run::builder(command)
    /// });
    /// let indexer = indexer.restart(Restart::Transient);
    /// ```
    pub fn program(name: impl Into<Rc<str>>, make: impl Fn() -> RunBuilder + 'static) -> Self {
        let name: Rc<str> = name.into();
        let make = Rc::new(make);
        let text = name.clone();
        ChildSpec::new(name, move |cx: &mut Starter<'_>| {
            let (make, name) = (make.clone(), text.clone());
            let session = Session::builder(Program::default())
                .on(START, move |cx, ()| -> HandlerResult {
                    cx.sig(KERNEL_SHUTDOWN, ASKED);
                    let run = make().ended(ENDED).start(&cx.kernel)?;
                    cx.heap.run = Some(run);
                    Ok(())
                })
                .on(ASKED, |cx, _| {
                    cx.sig_handled();
                    cx.heap.asked = true;
                    if let Some(run) = &cx.heap.run {
                        // The supervisor's limit stops the session, and with it the program.
                        run.stop(Duration::MAX);
                    }
                })
                .on(ENDED, move |cx, exited| -> HandlerResult {
                    cx.heap.run = None;
                    match exited.status {
                        _ if cx.heap.asked => Ok(()),
                        Some(status) if status.success() => Ok(()),
                        Some(status) => Err(Failure::msg(format!("the program of `{name}` ended with {status}"))),
                        None => Err(Failure::msg(format!("other code has reaped the program of `{name}`"))),
                    }
                })
                .on(STOP, |cx, ()| {
                    if let Some(run) = cx.heap.run.take() {
                        // It has ended, or cannot be signalled.
                        let _ = run.kill_group("KILL");
                    }
                });
            cx.create(session)
        })
    }
}
