//! sig_child: one event for each session and child, then CHLD, as in POE's own k_sig_child.

use super::k_signals::{pid, sleeper};
use super::*;
use poe::event::{START, STOP};
use poe::{Event, HandlerResult, Session, Signal, unix::ProcessExit};
use rustix::process::{Signal as Number, kill_process};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command};

const ENDED: Event<ProcessExit<&'static str>> = Event::new("ended");

fn told<X>(name: &str, sender: SessionId, exit: &ProcessExit<X>, extra: &str, of: u32) {
    let which = if exit.pid == of { "that one" } else { "another" };
    let status = exit.status.unwrap().into_raw();
    out!("{name}: CHLD, {which}, status {status} ({}) from {}", extra, nm(sender));
}

fn watcher(kernel: &Kernel, name: &'static str, of: u32, own: &'static str, start: impl Fn(&mut Cx<'_>) + 'static) {
    Session::builder(())
        .on(START, move |cx, ()| -> HandlerResult {
            cx.sig_child(of, ENDED, own)?;
            start(cx);
            Ok(())
        })
        .on(ENDED, move |cx, exit| told(name, cx.sender(), &exit, exit.extra, of))
        .on(STOP, move |_, ()| out!("{name} _stop"))
        .create(kernel)
        .unwrap();
}

fn sh(script: &str) -> Child {
    Command::new("sh").args(["-c", script]).spawn().unwrap()
}

fn end(mut child: Child) {
    let _ = child.kill();
    child.wait().unwrap();
}

pub(crate) async fn play() {
    let kernel = Kernel::new();
    out!("== two sessions and a blanket watcher");
    let child = sleeper();
    let of = child.id();
    watcher(&kernel, "watcher", of, "own", |_| ());
    watcher(&kernel, "watcher", of, "own", |_| ());
    Session::builder(())
        .on(START, |cx, ()| -> HandlerResult {
            cx.sig("CHLD", "ended");
            cx.alias_set("blanket")?;
            cx.yield_to("kill", ());
            Ok(())
        })
        .on("kill", move |_, ()| kill_process(pid(of), Number::KILL).unwrap())
        .on("ended", move |cx, signal: Signal| {
            told("blanket", cx.sender(), signal.child().unwrap(), "", of);
        })
        .on(STOP, |_, ()| out!("blanket _stop"))
        .create(&kernel)
        .unwrap();
    kernel.run().await.unwrap();
    end(child);

    out!("== an exit code");
    let child = sh("exit 7");
    watcher(&kernel, "A", child.id(), "", |_| ());
    kernel.run().await.unwrap();
    end(child);

    out!("== cancelled");
    let child = sleeper();
    let of = child.id();
    watcher(&kernel, "A", of, "", move |cx| assert!(cx.sig_child_clear(of)));
    kernel.run().await.unwrap();
    end(child);

    out!("== an event name without a handler is no harm, and the session is let go");
    let child = sh("exit 0");
    let of = child.id();
    watcher(&kernel, "A", of, "", move |cx| cx.sig_child(of, "nowhere", ()).unwrap());
    kernel.run().await.unwrap();
    end(child);
}
