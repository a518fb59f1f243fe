//! State machines: when the state changes, which handlers run, and where an event finds its handler.

use super::{kernel, named, nm, soon};
use poe::event::{CHILD, Child, ChildReason, DEFAULT, LEAVE, PARENT, SILENT, START, STOP};
use poe::{HandlerResult, Kernel, Machine, Nfa, Session, Signal, nfa::NfaBuilder};

type S = &'static str;
type Mx<'k> = Machine<'k, S, u32>;

/// The events that are handled, with state and sender.
fn facts(cx: &Mx<'_>) -> String {
    format!(
        "{} in {} (now {}) from {}",
        cx.event(),
        cx.state_of_event().unwrap(),
        cx.current_state().unwrap(),
        nm(cx.sender())
    )
}

fn say(cx: &mut Mx<'_>, (): ()) {
    named(cx.session_id(), "M");
    out!("{}", facts(cx));
}

fn never(_: &mut Mx<'_>, (): ()) {
    out!("never!");
}

fn machine() -> NfaBuilder<S, u32> {
    Nfa::builder(0)
}

/// Someone who catches what goes wrong, and who makes the machine.
fn catcher(kernel: &Kernel, make: impl Fn(&mut super::Cx<'_>) + 'static) {
    Session::builder(())
        .on(START, move |cx, ()| {
            cx.sig("DIE", "caught");
            make(cx);
            cx.delay("bye", soon(50), ());
        })
        .on("bye", |cx, ()| cx.sig_ignore("DIE"))
        .on(CHILD, |_, _| ())
        .on(STOP, |_, ()| ())
        .on("caught", |cx, signal: Signal| {
            let die = signal.die().unwrap();
            let text = die.failure.to_string();
            let told = [
                ("nonexistent state", "no such state"),
                ("for which it has no handler", "no entry handler"),
                ("was not called", "nothing to return to"),
                ("neither a handler", "no handler"),
            ];
            let what = told
                .iter()
                .find(|(part, _)| text.contains(part))
                .map_or(&*text, |t| t.1);
            out!("caught: {what}, in {} of {}", die.event, nm(die.session));
            cx.sig_handled();
        })
        .create(kernel)
        .unwrap();
}

pub(crate) async fn play() {
    let kernel = kernel();
    out!("== the first goto acts at once, later ones are queued");
    machine()
        .state("first", |s| {
            s.on("enter", |cx, ()| -> HandlerResult {
                say(cx, ());
                cx.yield_to("a", ());
                cx.goto_state("second", "enter", 7)?;
                cx.yield_to("b", ());
                out!("the handler goes on in {}", cx.current_state().unwrap());
                Ok(())
            })
            .on("a", say)
            .on(LEAVE, |cx, ()| out!("{}, arguments 0", facts(cx)))
        })
        .state("second", |s| {
            s.on("enter", |cx, n: i32| out!("{}, argument {n}", facts(cx)))
                .on("b", say)
                .on(LEAVE, never)
        })
        .enter("first", "enter", ())
        .start(&kernel)
        .unwrap();
    out!("goto has returned");
    kernel.run().await.unwrap();

    out!("== a state may be gone to without a word, and to itself");
    machine()
        .state("first", |s| {
            s.on("enter", |cx, ()| -> HandlerResult {
                say(cx, ());
                *cx.runstate += 1;
                match *cx.runstate {
                    1 => cx.goto_state("first", "enter", ())?,
                    _ => cx.goto_state("second", SILENT, ())?,
                }
                cx.yield_to("hello", ());
                Ok(())
            })
            .on("hello", say)
            .on(LEAVE, say)
        })
        .state("second", |s| s.on("hello", say).on("enter", never))
        .enter("first", "enter", ())
        .start(&kernel)
        .unwrap();
    kernel.run().await.unwrap();

    out!("== call and return nest");
    machine()
        .state("outer", |s| {
            s.on("enter", |cx, ()| {
                say(cx, ());
                cx.call_state::<_, i32>("answer", "middle", "enter", 1)
            })
            .on(LEAVE, say)
            .on("answer", |cx, n: i32| out!("{}, got {n}", facts(cx)))
        })
        .state("middle", |s| {
            s.on("enter", |cx, n: i32| {
                say(cx, ());
                cx.call_state::<_, i32>("answer", "inner", "enter", n + 1)
            })
            .on("answer", |cx, n: i32| {
                out!("{}, got {n}", facts(cx));
                cx.return_state(n + 1)
            })
            .on(LEAVE, say)
        })
        .state("inner", |s| {
            s.on("enter", |cx, n: i32| {
                say(cx, ());
                cx.return_state(n + 1)
            })
            .on(LEAVE, say)
        })
        .enter("outer", "enter", ())
        .start(&kernel)
        .unwrap();
    kernel.run().await.unwrap();

    out!("== a silent return");
    machine()
        .state("outer", |s| {
            s.on("enter", |cx, ()| {
                say(cx, ());
                cx.call_state(SILENT, "inner", "enter", ())
            })
            .on("hello", say)
        })
        .state("inner", |s| {
            s.on("enter", |cx, ()| -> HandlerResult {
                say(cx, ());
                cx.return_state(1)?;
                cx.yield_to("hello", ());
                Ok(())
            })
        })
        .enter("outer", "enter", ())
        .start(&kernel)
        .unwrap();
    kernel.run().await.unwrap();

    immediate(&kernel).await;
    look_up(&kernel).await;
    wrong(&kernel).await;
    stopping(&kernel).await;
}

async fn immediate(kernel: &Kernel) {
    out!("== immediate: all of it before the method returns");
    machine()
        .immediate()
        .state("outer", |s| {
            s.on("enter", |cx, ()| -> HandlerResult {
                say(cx, ());
                cx.yield_to("later", ());
                cx.goto_state("second", "enter", 1)?;
                let (event, was) = (cx.event(), cx.state_of_event().unwrap());
                out!("[R1] back in {event} of {was}, now {}", cx.current_state().unwrap());
                Ok(())
            })
            .on(LEAVE, say)
        })
        .state("second", |s| {
            s.on("enter", |cx, _: i32| -> HandlerResult {
                say(cx, ());
                cx.call_state::<_, S>("answer", "third", "enter", ())?;
                out!("second goes on, now {}", cx.current_state().unwrap());
                Ok(())
            })
            .on("answer", |cx, answer: S| out!("{}, got {answer}", facts(cx)))
            .on(LEAVE, say)
            .on("later", say)
        })
        .state("third", |s| {
            s.on("enter", |cx, ()| -> HandlerResult {
                say(cx, ());
                cx.return_state("an answer")?;
                out!("third goes on, now {}", cx.current_state().unwrap());
                Ok(())
            })
            .on(LEAVE, say)
        })
        .enter("outer", "enter", ())
        .start(kernel)
        .unwrap();
    out!("goto has returned");
    kernel.run().await.unwrap();
}

async fn look_up(kernel: &Kernel) {
    out!("== where a handler is looked for");
    machine()
        .state("first", |s| {
            s.on("enter", |cx, ()| -> HandlerResult {
                named(cx.session_id(), "M");
                cx.state("both", never);
                cx.state("shared", |cx, ()| out!("{}, the shared one", facts(cx)));
                for event in ["both", "shared", "unknown"] {
                    cx.yield_to(event, ());
                }
                cx.goto_state("second", SILENT, ())?;
                cx.yield_to("shared", ());
                cx.yield_to("last", ());
                Ok(())
            })
            .on("both", say)
            .on(DEFAULT, |cx, unhandled| out!("{}, for {}", facts(cx), unhandled.event))
        })
        .state("second", |s| {
            s.on("last", |cx, ()| {
                say(cx, ());
                assert!(cx.state_remove("shared"));
            })
        })
        .enter("first", "enter", ())
        .start(kernel)
        .unwrap();
    kernel.run().await.unwrap();
}

async fn wrong(kernel: &Kernel) {
    out!("== what goes wrong leaves the state as it is");
    catcher(kernel, |cx| {
        cx.start(
            machine()
                .state("first", |s| {
                    s.on("enter", |cx, ()| -> HandlerResult {
                        named(cx.session_id(), "M");
                        cx.yield_to("unknown", ());
                        cx.goto_state("nowhere", SILENT, ())?;
                        cx.goto_state("second", "absent", ())?;
                        cx.return_state(1)?;
                        cx.yield_to("hello", ());
                        Ok(())
                    })
                    .on("hello", say)
                    .on(LEAVE, never)
                })
                .state("second", |s| s.on("enter", never))
                .enter("first", "enter", ()),
        )
        .unwrap();
    });
    kernel.run().await.unwrap();

    out!("== an event before the first state");
    catcher(kernel, |cx| {
        let machine = cx.start(machine().state("first", |s| s.on("hello", never))).unwrap();
        named(machine.id(), "M");
        cx.post(machine.id(), "hello", ()).unwrap();
    });
    kernel.run().await.unwrap();
}

async fn stopping(kernel: &Kernel) {
    out!("== stop is queued, and needs no consent");
    machine()
        .state("first", |s| {
            s.on("enter", |cx, ()| {
                named(cx.session_id(), "M");
                cx.alias_set("held").unwrap();
                cx.delay("hello", soon(60_000), ());
                cx.yield_to("hello", ());
                cx.stop();
                cx.yield_to("lost", ());
                out!("still in {}", cx.current_state().unwrap());
            })
            .on("hello", say)
            .on("lost", never)
            .on(LEAVE, never)
        })
        .enter("first", "enter", ())
        .start(kernel)
        .unwrap();
    kernel.run().await.unwrap();

    out!("== children of a stopped machine go to its parent");
    Session::builder(())
        .on(START, |cx, ()| {
            named(cx.session_id(), "P");
            cx.start(
                machine()
                    .state("first", |s| {
                        s.on("enter", |cx, ()| {
                            named(cx.session_id(), "M");
                            cx.create(
                                Session::builder(())
                                    .on(START, |cx, ()| {
                                        named(cx.session_id(), "C");
                                        cx.delay("bye", soon(50), ());
                                    })
                                    .on(PARENT, |_, p| out!("C: parent {} to {}", nm(p.old), nm(p.new)))
                                    .on(STOP, |_, ()| out!("C stop"))
                                    .on("bye", |_, ()| ()),
                            )
                            .unwrap();
                            cx.stop();
                        })
                        .on(CHILD, |_, child: Child| {
                            out!("M: {} {}", child.reason, nm(child.session))
                        })
                    })
                    .enter("first", "enter", ()),
            )
            .unwrap();
        })
        .on(CHILD, |_, child| {
            if child.reason != ChildReason::Create {
                out!("P: {} {}", child.reason, nm(child.session));
            }
        })
        .on(STOP, |_, ()| out!("P stop"))
        .create(kernel)
        .unwrap();
    kernel.run().await.unwrap();
}
