//! Leaves for supervisors: sessions that log their starts and stops, and fail or end when they are told to.

use poe::component::{ChildSpec, Starter};
use poe::event::START;
use poe::{Event, HandlerResult, KERNEL_SHUTDOWN, Kernel, Session, SessionId, Signal};
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

pub(crate) const FAIL: Event<()> = Event::new("fail");
pub(crate) const END: Event<()> = Event::new("end");
pub(crate) const ASKED: Event<Signal> = Event::new("asked");
const LIFE: Event<()> = Event::new("life");
const DONE: Event<()> = Event::new("done");

#[derive(Clone, Default)]
pub(crate) struct Log(Rc<RefCell<Vec<String>>>);

impl Log {
    pub(crate) fn push(&self, line: impl Into<String>) {
        self.0.borrow_mut().push(line.into());
    }

    pub(crate) fn take(&self) -> Vec<String> {
        self.0.take()
    }
}

/// What is common to all leaves of a test.
#[derive(Clone, Default)]
pub(crate) struct World {
    pub(crate) log: Log,
    /// How many of its next starts fail.
    pub(crate) bad_starts: Rc<RefCell<HashMap<String, u32>>>,
    /// How long it takes to end when it is asked to.
    pub(crate) drains: Rc<RefCell<HashMap<String, Duration>>>,
    pub(crate) sessions: Rc<RefCell<HashMap<String, SessionId>>>,
}

impl World {
    pub(crate) fn leaf(&self, name: &str) -> ChildSpec {
        let (world, own) = (self.clone(), name.to_owned());
        ChildSpec::new(name, move |cx: &mut Starter<'_>| world.start(cx, &own))
    }

    pub(crate) fn fails_to_start(&self, name: &str) -> bool {
        let mut bad = self.bad_starts.borrow_mut();
        match bad.get_mut(name) {
            Some(left) if *left > 0 => {
                *left -= 1;
                true
            }
            _ => false,
        }
    }

    pub(crate) fn start(&self, cx: &mut Starter<'_>, name: &str) -> HandlerResult<SessionId> {
        if self.fails_to_start(name) {
            self.log.push(format!("no start {name}"));
            return Err("not now".into());
        }
        let drain = self.drains.borrow().get(name).copied().unwrap_or_default();
        let (begun, asked, name) = (self.clone(), self.clone(), name.to_owned());
        let own = name.clone();
        let leaf = Session::builder(())
            .on(START, move |cx, ()| {
                begun.log.push(format!("start {own}"));
                cx.sig(KERNEL_SHUTDOWN, ASKED);
                cx.delay(LIFE, Duration::from_secs(1_000_000_000), ());
            })
            .on(ASKED, {
                let name = name.clone();
                move |cx, _| {
                    asked.log.push(format!("stop {name}"));
                    cx.sig_handled();
                    cx.delay(DONE, drain, ());
                }
            })
            .on(DONE, |cx, ()| {
                cx.alarm_clear(LIFE);
            })
            .on(LIFE, |_, ()| ())
            .on(FAIL, |_, ()| -> HandlerResult { Err("it was told to".into()) })
            .on(END, |cx, ()| {
                cx.alarm_clear(LIFE);
            });
        let id = cx.create(leaf)?;
        self.sessions.borrow_mut().insert(name, id);
        Ok(id)
    }

    /// Has a leaf fail, if it lives.
    pub(crate) fn tell(&self, kernel: &Kernel, name: &str, event: Event<()>) {
        let id = self.sessions.borrow().get(name).copied();
        if let Some(id) = id {
            let _ = kernel.post(id, event, ());
        }
    }

    pub(crate) fn kill(&self, kernel: &Kernel, name: &str) {
        let id = self.sessions.borrow().get(name).copied();
        if let Some(id) = id {
            let _ = kernel.signal(id, "KILL", ());
        }
    }
}

/// Runs a kernel on virtual time for a while.
pub(crate) async fn pass(kernel: &Kernel, time: Duration) {
    poe::testing::run_for(kernel, time).await.unwrap();
}
