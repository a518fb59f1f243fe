//! POE::Session's `object_states`, `package_states` and `options`, beyond what POE's own tests ask.

use crate::laws_kit::{kernel, run, said, say};
use crate::traced::Trace;
use poe::event::{DEFAULT, START, STOP};
use poe::{Context, Event, HandlerResult, Kernel, Machine, Nfa, Package, Reply, Session, States, nfa::NfaState};
use std::cell::RefCell;
use std::rc::Rc;

const ADD: Event<u32> = Event::new("add");
const TOTAL: Event<(), u32> = Event::new("total");
const LINE: Event<String> = Event::new("line");

/// An object whose methods are handlers; it is shared by several sessions.
#[derive(Default)]
struct Account {
    entries: RefCell<Vec<(u64, u32)>>,
}

impl Account {
    fn add(&self, cx: &mut Context<'_, u32>, n: u32) {
        *cx.heap += n;
        self.entries.borrow_mut().push((cx.session_id().get(), n));
    }

    fn total(&self, _cx: &mut Context<'_, u32>, (): ()) -> Reply<u32> {
        Reply(self.entries.borrow().iter().map(|(_, n)| n).sum())
    }

    fn fails(&self, _cx: &mut Context<'_, u32>, text: String) -> HandlerResult {
        Err(text.parse::<u32>().unwrap_err().into())
    }
}

#[tokio::test(start_paused = true)]
async fn one_object_serves_many_sessions() {
    let kernel = kernel();
    let account = Rc::new(Account::default());
    let states = States::<u32>::new()
        .on(START, |cx, n: u32| {
            cx.yield_to(ADD, n);
            cx.yield_to(ADD, n);
        })
        .on(STOP, |cx, ()| say(*cx.heap))
        .object_states(&account, |o| o.on(ADD, Account::add));
    for n in [1_u32, 10] {
        let session = Session::builder(0).inline_states(&states).args(n);
        session.create(&kernel).unwrap();
    }
    run(&kernel).await;
    assert_eq!(*account.entries.borrow(), [(1, 1), (1, 1), (2, 10), (2, 10)]);
    let mut heaps = said();
    heaps.sort();
    assert_eq!(heaps, ["2", "20"]);
    drop(states);
    assert_eq!(Rc::strong_count(&account), 1, "the sessions' tables are gone");
}

#[tokio::test(start_paused = true)]
async fn many_objects_serve_one_session_and_the_later_handler_of_a_name_wins() {
    let kernel = kernel();
    let (first, second) = (Rc::new(Account::default()), Rc::new(Account::default()));
    let id = Session::builder(0)
        .on(START, |_, ()| ())
        .object_states(&first, |o| o.on(ADD, Account::add).on(TOTAL, Account::total))
        .object_states(&second, |o| o.on(ADD, Account::add))
        .create(&kernel)
        .unwrap();
    kernel.call(id, ADD, 5).unwrap();
    assert_eq!(kernel.call(id, TOTAL, ()).unwrap(), 0, "asked of the first");
    assert_eq!(*second.entries.borrow(), [(id.get(), 5)]);
}

#[tokio::test(start_paused = true)]
async fn methods_closures_and_trait_objects_mix_and_their_types_infer() {
    trait Greeter {
        fn greet(&self, whom: &str) -> String;
    }
    struct Polite;
    impl Greeter for Polite {
        fn greet(&self, whom: &str) -> String {
            format!("good day, {whom}")
        }
    }
    let kernel = kernel();
    let greeter: Rc<dyn Greeter> = Rc::new(Polite);
    Session::builder(0)
        .on(START, |cx, ()| cx.yield_to(LINE, "all".to_owned()))
        .object_states(&greeter, |o| {
            o.on(LINE, |greeter, cx, whom| {
                *cx.heap += 1;
                say(greeter.greet(&whom));
                cx.yield_to("bare", 7_u8);
            })
            .on("bare", |_, _, n: u8| say(n))
        })
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["good day, all", "7"]);
}

#[tokio::test(start_paused = true)]
async fn a_method_that_fails_is_a_die_of_the_session() {
    let kernel = kernel();
    let account = Rc::new(Account::default());
    Session::builder(0)
        .on(START, |cx, ()| cx.yield_to("fails", "no number".to_owned()))
        .object_states(&account, |o| o.on("fails", Account::fails))
        .create(&kernel)
        .unwrap();
    let error = kernel.run().await.unwrap_err();
    assert!(error.to_string().contains("invalid digit"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_handler_becomes_an_objects_method_at_run_time() {
    let kernel = kernel();
    let account = Rc::new(Account::default());
    let object = account.clone();
    Session::builder(0)
        .on(START, move |cx, ()| {
            cx.yield_to(ADD, 3);
            cx.object_state(&object, ADD, Account::add);
        })
        .on(ADD, |_, _| say("the old one"))
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(*account.entries.borrow(), [(1, 3)]);
    assert!(said().is_empty());
}

/// As it would stand in another crate: it knows no heap, only what it must have of one.
mod package {
    use super::*;

    pub(super) struct Lines {
        pub(super) limit: usize,
    }

    impl<H: AsMut<Vec<String>> + 'static> Package<H> for Lines {
        fn states(&self) -> States<H> {
            let limit = self.limit;
            States::<H>::new()
                .on(LINE, move |cx, line| {
                    let lines = cx.heap.as_mut();
                    if lines.len() < limit {
                        lines.push(line);
                    }
                })
                .on("clear", |cx, ()| cx.heap.as_mut().clear())
        }
    }

    /// The same for machines: a set of a state's handlers is a function.
    pub(super) fn counting<S>(state: NfaState<S, u32>) -> NfaState<S, u32>
    where
        S: Eq + std::hash::Hash + std::fmt::Debug + 'static,
    {
        state.on(ADD, |cx, n| *cx.runstate += n)
    }
}

#[tokio::test(start_paused = true)]
async fn a_package_serves_sessions_of_different_heaps() {
    struct Log {
        lines: Vec<String>,
        name: &'static str,
    }
    impl AsMut<Vec<String>> for Log {
        fn as_mut(&mut self) -> &mut Vec<String> {
            &mut self.lines
        }
    }
    let kernel = kernel();
    let lines = package::Lines { limit: 1 };
    let log = Log {
        lines: Vec::new(),
        name: "log",
    };
    let first = Session::builder(log)
        .on(START, |_, ()| ())
        .package_states(&lines)
        .on(STOP, |cx, ()| say(format!("{} {:?}", cx.heap.name, cx.heap.lines)))
        .create(&kernel)
        .unwrap();
    let second = Session::builder(Vec::new())
        .on(START, |_, ()| ())
        .on(STOP, |cx, ()| say(format!("{:?}", *cx.heap)))
        .package_states(&lines)
        .create(&kernel)
        .unwrap();
    for line in ["one", "two"] {
        kernel.post(first, LINE, line.to_owned()).unwrap();
        kernel.post(second, LINE, line.to_owned()).unwrap();
    }
    kernel.post(second, "clear", ()).unwrap();
    run(&kernel).await;
    let mut said = said();
    said.sort();
    assert_eq!(said, ["[]", "log [\"one\"]"]);
}

#[tokio::test(start_paused = true)]
async fn some_of_a_package_under_other_names() {
    let kernel = kernel();
    let all = Package::<Vec<String>>::states(&package::Lines { limit: 9 });
    let states = all.only(["line"]).unwrap().renamed("line", "say").unwrap();
    assert_eq!(states.event_names(), ["say"]);
    assert_eq!(
        all.event_names(),
        ["clear", "line"],
        "the package's own table is as it was"
    );
    for error in [all.only(["nothing"]), all.renamed("nothing", "x")] {
        let error = error.unwrap_err().to_string();
        assert_eq!(error, "the table has no handler of `nothing`");
    }
    Session::builder(Vec::new())
        .inline_states(&states)
        .on(START, |cx, ()| cx.yield_to("say", "hello".to_owned()))
        .on(STOP, |cx, ()| assert_eq!(*cx.heap, ["hello"]))
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
}

#[tokio::test(start_paused = true)]
async fn a_machines_states_take_objects_and_sets_of_handlers() {
    struct Door {
        opened: RefCell<u32>,
    }
    impl Door {
        fn open(&self, cx: &mut Machine<'_, &'static str, u32>, n: u32) -> HandlerResult {
            *self.opened.borrow_mut() += n;
            cx.goto_state("open", ADD, n)
        }
    }
    let kernel = kernel();
    let door = Rc::new(Door {
        opened: RefCell::new(0),
    });
    let id = Nfa::builder(0)
        .state("closed", |s| s.object_states(&door, |o| o.on(ADD, Door::open)))
        .state("open", package::counting)
        .on(TOTAL, |cx, ()| Reply(*cx.runstate))
        .start(&kernel)
        .unwrap();
    id.goto_state(&kernel, "closed", ADD, 4).unwrap();
    kernel.run_one_timeslice().await.unwrap();
    assert_eq!(*door.opened.borrow(), 4);
    kernel.run().await.unwrap();
}

fn after<'a>(line: &'a str, target: &str) -> &'a str {
    let (_, text) = line
        .split_once(&format!("{target}: "))
        .unwrap_or_else(|| panic!("{line}"));
    text
}

#[tokio::test(start_paused = true)]
async fn the_option_trace_logs_each_dispatch_and_each_redirection() {
    #[cfg(unix)]
    crate::in_child::in_child!();
    let trace = Trace::of("poe::sessions=info");
    let kernel = kernel();
    Session::builder(())
        .option("trace", true)
        .on(START, |cx, ()| {
            cx.yield_to("known", ());
            cx.yield_to("unknown", ());
        })
        .on("known", |_, ()| ())
        .on(DEFAULT, |cx, unhandled| {
            if unhandled.event == "unknown" {
                cx.set_option("trace", "off");
            }
        })
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    let lines = trace.lines();
    let texts: Vec<_> = lines.iter().map(|line| after(line, "poe::sessions")).collect();
    assert_eq!(texts.len(), 4, "{texts:?}");
    for (text, event) in texts.iter().zip(["_start", "known", "unknown"]) {
        assert!(text.starts_with(&format!("1 -> {event} (from ")), "{text}");
        assert!(text.contains("session_states.rs:"), "{text}");
    }
    assert_eq!(texts[3], "1 -> unknown redirected to _default");
}

#[tokio::test(start_paused = true)]
async fn the_option_debug_warns_of_a_handler_that_is_replaced() {
    #[cfg(unix)]
    crate::in_child::in_child!();
    let trace = Trace::of("poe::sessions=warn");
    let kernel = kernel();
    Session::builder(())
        .option("debug", "yes")
        .on(START, |cx, ()| {
            cx.state("new", |_, ()| ());
            cx.state("new", |_, ()| ());
            cx.state_remove("new");
            cx.state("new", |_, ()| ());
            cx.set_option("debug", 0);
            cx.state("new", |_, ()| ());
        })
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    let lines = trace.lines();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_eq!(
        after(&lines[0], "poe::sessions"),
        "session 1 replaces its handler of `new`"
    );
}

async fn warned_of_unhandled(kernel: Kernel, option: Option<&str>) -> Vec<String> {
    let trace = Trace::of("poe::sessions=warn");
    let mut session = Session::builder(())
        .on(START, |cx, ()| {
            cx.yield_to("unknown", ());
            // A signal is not an event: there is no warning.
            cx.signal(cx.session_id(), "USR1", ()).unwrap();
        })
        .on(STOP, |_, ()| ());
    if let Some(value) = option {
        session = session.option("default", value);
    }
    session.create(&kernel).unwrap();
    run(&kernel).await;
    trace.lines()
}

#[tokio::test(start_paused = true)]
async fn the_option_default_warns_of_an_event_without_a_handler() {
    let lines = warned_of_unhandled(kernel(), Some("on")).await;
    assert_eq!(lines.len(), 1, "{lines:?}");
    let text = after(&lines[0], "poe::sessions");
    assert!(text.starts_with("event `unknown` was sent from "), "{text}");
    assert!(
        text.contains("session_states.rs:") && text.contains("to session 1"),
        "{text}"
    );
    assert!(warned_of_unhandled(kernel(), None).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn assert_states_gives_every_new_session_the_option_default() {
    let asserting = || poe::testing::builder().assert_states(true).build();
    assert_eq!(warned_of_unhandled(asserting(), None).await.len(), 1);
    // What was set for a session itself goes first.
    assert!(warned_of_unhandled(asserting(), Some("off")).await.is_empty());
    let kernel = asserting();
    let id = Session::builder(()).on(START, |_, ()| ()).create(&kernel).unwrap();
    assert_eq!(kernel.snapshot().session(id).unwrap().options["default"], "1");
}
