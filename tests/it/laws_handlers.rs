//! Laws G: the lookup of handlers, and the information about an event.

use crate::laws_kit::*;
use poe::event::{DEFAULT, START, STOP, Unhandled};
use poe::{Event, HandlerResult, Reply, Session, States};
use std::cell::Cell;
use std::rc::Rc;

const ASK: Event<u32, u32> = Event::new("ask");

/// An argument or reply that logs its drop.
#[derive(Debug, Clone)]
struct Told(&'static str);

impl Drop for Told {
    fn drop(&mut self) {
        say(format!("{} dropped", self.0));
    }
}

#[tokio::test(start_paused = true)]
async fn l58_what_a_queued_handler_answers_is_dropped_and_a_callers_answer_arrives() {
    let kernel = kernel();
    echo(|cx| {
        cx.yield_to("answers", "posted");
        let me = cx.session_id();
        let told: Told = cx.call(me, "answers", "called").unwrap();
        say(format!("got {}", told.0));
    })
    .on("answers", |_, what: &'static str| Reply(Told(what)))
    .create(&kernel)
    .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["got called", "called dropped", "posted dropped"]);
}

#[tokio::test(start_paused = true)]
async fn l59_an_answer_is_the_same_value_across_sessions_as_in_a_call_to_oneself() {
    let kernel = kernel();
    let shared = Rc::new(7_u32);
    let given = shared.clone();
    let callee = echo(|cx| cx.alias_set("callee").unwrap())
        .on("what", move |_, ()| Reply(given.clone()))
        .create(&kernel)
        .unwrap();
    let got = shared.clone();
    echo(|_| ())
        .on("go", move |cx, ()| -> HandlerResult {
            let other: Rc<u32> = cx.call(callee, "what", ())?;
            assert!(Rc::ptr_eq(&other, &got));
            Ok(())
        })
        .on(START, |cx, ()| cx.yield_to("go", ()))
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
}

#[tokio::test(start_paused = true)]
async fn l60_a_changed_handler_gets_what_is_queued_already() {
    let kernel = kernel();
    echo(|cx| {
        for _ in 0..4 {
            cx.yield_to("step", ());
        }
        cx.yield_to("last", ());
    })
    .on("step", |cx, ()| {
        say("first handler");
        // It replaces itself while it runs; its replacement removes itself.
        cx.state("step", |cx, ()| {
            say("second handler");
            assert!(cx.state_remove("step"));
            assert!(!cx.state_remove("step"));
        });
    })
    .on("last", |cx, ()| {
        say(format!(
            "{:?}",
            cx.event_names_of(cx.session_id()).iter().any(|n| n == "step")
        ))
    })
    .create(&kernel)
    .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["first handler", "second handler", "step", "step", "false"]);
}

#[tokio::test(start_paused = true)]
async fn l61_a_life_cycle_event_may_be_posted_and_runs_its_handler() {
    let kernel = kernel();
    let starts = Rc::new(Cell::new(0));
    let count = starts.clone();
    let id = Session::builder(())
        .on(START, move |_, ()| count.set(count.get() + 1))
        .on(STOP, |_, ()| say("stop"))
        .create(&kernel)
        .unwrap();
    kernel.post(id, START, ()).unwrap();
    kernel.post(id, STOP, ()).unwrap();
    run(&kernel).await;
    // Posted once, and sent once at its end.
    assert_eq!((starts.get(), said()), (2, vec!["stop".to_owned(), "stop".to_owned()]));
}

#[tokio::test(start_paused = true)]
async fn l62_an_event_without_a_handler_goes_to_default_with_its_name_and_argument() {
    let kernel = kernel();
    let id = Session::builder(())
        .on(START, |cx, ()| cx.yield_to("unknown", 5_u32))
        .on(DEFAULT, |cx, Unhandled { event, arg, .. }: Unhandled| {
            assert_eq!(cx.event(), "_default");
            if event == "_stop" {
                say("_stop");
                return Reply(0);
            }
            let n: u32 = arg.downcast().unwrap();
            say(format!("{event} {n}"));
            Reply(n + 1)
        })
        .create(&kernel)
        .unwrap();
    assert_eq!(kernel.call(id, ASK, 8).unwrap(), 9);
    run(&kernel).await;
    assert_eq!(said(), ["ask 8", "unknown 5", "_stop"]);
}

#[tokio::test(start_paused = true)]
async fn l62_without_either_an_event_is_dropped_and_a_call_says_so() {
    let kernel = kernel();
    let id = Session::builder(())
        .on(START, |cx, ()| cx.yield_to("unknown", Told("the argument")))
        .create(&kernel)
        .unwrap();
    let refused = kernel.call(id, ASK, 8).unwrap_err();
    assert!(refused.is_unhandled());
    assert_eq!(refused.into_arg(), Some(8));
    run(&kernel).await;
    assert_eq!(said(), ["the argument dropped"]);
}

#[tokio::test(start_paused = true)]
async fn l63_one_heap_for_all_handlers_and_one_table_for_many_sessions() {
    let kernel = kernel();
    let states = States::<Vec<&'static str>>::new()
        .on(START, |cx, ()| {
            cx.heap.push("start");
            cx.yield_to("more", ());
        })
        .on("more", |cx, ()| cx.heap.push("more"))
        .on(STOP, |cx, ()| say(format!("{:?}", *cx.heap)));
    for name in ["one", "two"] {
        Session::builder(vec![name])
            .inline_states(&states)
            .create(&kernel)
            .unwrap();
    }
    run(&kernel).await;
    assert_eq!(said(), [r#"["two", "start", "more"]"#, r#"["one", "start", "more"]"#]);
}

fn caller(cx: &Cx<'_>) -> String {
    cx.caller_state().map_or_else(|| "-".to_owned(), |n| n.to_string())
}

#[tokio::test(start_paused = true)]
async fn l64_the_caller_state_is_the_event_in_which_an_item_was_made() {
    let kernel = kernel();
    Session::builder(())
        .on(START, |cx, ()| {
            say(format!("_start by {}", caller(cx)));
            cx.yield_to("maker", ());
        })
        .on("maker", |cx, ()| {
            let me = cx.session_id();
            cx.post(me, "made", "post").unwrap();
            cx.yield_to("made", "yield");
            cx.delay("made", ms(1), "delay");
            cx.call::<_, ()>(me, "made", "call").unwrap();
            cx.call::<_, ()>(me, "calls on", ()).unwrap();
        })
        // In a chain of calls of a session to itself it stays the outer event.
        .on("calls on", |cx, ()| {
            let me = cx.session_id();
            cx.call::<_, ()>(me, "made", "inner call").unwrap();
        })
        .on("made", |cx, by: &'static str| say(format!("{by} in {}", caller(cx))))
        .on(STOP, |cx, ()| say(format!("_stop by {}", caller(cx))))
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(
        said(),
        [
            "_start by -",
            "call in maker",
            "inner call in maker",
            "post in maker",
            "yield in maker",
            "delay in maker",
            "_stop by -"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn l64_the_callers_place_is_the_line_that_posted() {
    let kernel = kernel();
    let line = Rc::new(Cell::new(0));
    let posted = line.clone();
    echo(move |cx| {
        posted.set(std::panic::Location::caller().line());
        cx.yield_to("made", line!());
    })
    .on("made", |cx, at: u32| {
        assert_eq!(cx.caller_place().line(), at);
        assert!(cx.caller_place().file().ends_with("laws_handlers.rs"));
        say("looked");
    })
    .create(&kernel)
    .unwrap();
    run(&kernel).await;
    assert!(line.get() > 0);
    assert_eq!(said(), ["looked"]);
}

#[tokio::test(start_paused = true)]
async fn l65_the_sender_is_who_was_active_then() {
    let kernel = kernel();
    let b = life("B", lives(5))
        .on("hello", |cx, what: &'static str| {
            say(format!("{what} from {}", nm(cx.sender())))
        })
        .create(&kernel)
        .unwrap();
    life("A", go)
        .on("go", move |cx, ()| -> HandlerResult {
            cx.post(b, "hello", "post")?;
            cx.call::<_, ()>(b, "hello", "call")?;
            cx.delay("timer", ms(1), ());
            cx.create(Session::builder(()).on(START, |cx, ()| say(format!("_start from {}", nm(cx.sender())))))?;
            Ok(())
        })
        .on("timer", |cx, ()| say(format!("timer from {}", nm(cx.sender()))))
        .create(&kernel)
        .unwrap();
    kernel.post(b, "hello", "outside").unwrap();
    run(&kernel).await;
    let said: Vec<_> = said().into_iter().filter(|line| line.contains(" from ")).collect();
    assert_eq!(
        said,
        [
            "call from A",
            "_start from A",
            "outside from kernel",
            "post from A",
            "timer from A"
        ]
    );
}
