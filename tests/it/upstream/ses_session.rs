//! `POE::Test::Loops::ses_session`: its parts without operating-system signals and without object and package states.

use crate::laws_kit::*;
use poe::event::{DEFAULT, START, STOP};
use poe::{Callback, Event, Handled, Postback, Reply, Session, States};
use std::cell::Cell;
use std::rc::Rc;

const MACHINES: u32 = 10;
const EVENTS: u32 = 5;
const COUNT: Event<u32> = Event::new("count");
const NEXT: Event<u32, u32> = Event::new("next_count");

/// What all machines have seen.
#[derive(Default)]
struct Seen {
    own: Cell<u32>,
    defaults: Cell<u32>,
    heaps: Cell<u32>,
    completed: Cell<u32>,
}

fn more(cell: &Cell<u32>) {
    cell.set(cell.get() + 1);
}

struct Machine {
    count: u32,
    id: Option<u32>,
    got: u32,
    seen: Rc<Seen>,
}

fn machine() -> States<Machine> {
    States::<Machine>::new()
        .on(START, |cx, ()| {
            let id = cx.heap.got;
            cx.yield_to(COUNT, id);
        })
        .on(COUNT, |cx, id| -> Handled {
            let me = cx.session_id();
            if cx.sender() == me {
                more(&cx.heap.seen.own);
            }
            let odd = cx.heap.count & 1 == 1;
            if odd {
                cx.yield_to("bogus", id);
            } else {
                cx.post(me, "bogus", id)?;
            }
            if cx.call(me, NEXT, id)? < EVENTS {
                if odd {
                    cx.yield_to(COUNT, id);
                } else {
                    cx.post(me, COUNT, id)?;
                }
            } else {
                cx.heap.id = Some(id);
            }
            Ok(())
        })
        .on(NEXT, |cx, _| {
            cx.heap.count += 1;
            Reply(cx.heap.count)
        })
        .on(DEFAULT, |cx, unhandled| {
            assert_eq!((cx.event().as_str(), unhandled.event.as_str()), ("_default", "bogus"));
            more(&cx.heap.seen.defaults);
        })
        .on(STOP, |cx, ()| {
            assert_eq!(cx.heap.count, EVENTS);
            more(&cx.heap.seen.completed);
            if cx.heap.id == Some(cx.heap.got) {
                more(&cx.heap.seen.heaps);
            }
        })
}

#[tokio::test(start_paused = true)]
async fn ten_machines_count_by_yield_post_and_call() {
    let kernel = kernel();
    let seen = Rc::new(Seen::default());
    let states = machine();
    for got in 0..MACHINES {
        let heap = Machine {
            count: 0,
            id: None,
            got,
            seen: seen.clone(),
        };
        Session::builder(heap).inline_states(&states).create(&kernel).unwrap();
    }
    assert!(kernel.active_session().is_kernel());
    run(&kernel).await;
    assert!(kernel.active_session().is_kernel());
    let all = MACHINES * EVENTS;
    assert_eq!((seen.own.get(), seen.defaults.get()), (all, all));
    assert_eq!((seen.completed.get(), seen.heaps.get()), (MACHINES, MACHINES));
}

const QUERY: Event<Postback<u32, u32>> = Event::new("query");
const SYNC_QUERY: Event<Callback<u32, u32, ()>> = Event::new("sync_query");
const RESPONSE: Event<(u32, u32)> = Event::new("response");

#[derive(Default)]
struct Client {
    cookie: u32,
    called_back: bool,
}

#[tokio::test(start_paused = true)]
async fn postbacks_and_callbacks_go_to_a_server_and_come_back_with_both_values() {
    let kernel = kernel();
    Session::builder(0_u32)
        .on(START, |cx, ()| cx.alias_set("server"))
        .on(QUERY, |cx, postback| -> Handled {
            *cx.heap += 1;
            postback.post(*cx.heap)?;
            Ok(())
        })
        .on(SYNC_QUERY, |cx, callback| -> Handled {
            *cx.heap += 1;
            let response = *cx.heap;
            callback.call(cx, response)?;
            Ok(())
        })
        .create(&kernel)
        .unwrap();
    Session::builder(Client::default())
        .on(START, |cx, ()| cx.yield_to("ask", ()))
        .on("ask", |cx, ()| -> Handled {
            cx.heap.cookie += 1;
            let postback = cx.postback(RESPONSE, cx.heap.cookie);
            cx.post("server", QUERY, postback)?;
            cx.heap.called_back = false;
            cx.heap.cookie += 1;
            let callback = cx.callback("sync_response", cx.heap.cookie);
            cx.call("server", SYNC_QUERY, callback)?;
            assert!(cx.heap.called_back);
            Ok(())
        })
        .on("sync_response", |cx, (asked, answered): (u32, u32)| {
            assert_eq!(asked, answered + 1);
            cx.heap.called_back = true;
        })
        .on(RESPONSE, |cx, (asked, answered)| {
            assert_eq!(asked, answered - 1);
            if cx.heap.cookie < 5 {
                cx.yield_to("ask", ());
            }
        })
        .on(STOP, |cx, ()| {
            assert_eq!(cx.active_session(), cx.session_id());
            say(cx.heap.cookie);
        })
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["6"]);
}

#[tokio::test(start_paused = true)]
async fn an_option_gives_its_old_value_when_it_is_set() {
    let kernel = kernel();
    Session::builder(())
        .on(START, |cx, ()| {
            assert_eq!(cx.set_option("default", 1).as_deref(), Some("1"));
            assert_eq!(cx.option("default").as_deref(), Some("1"));
            assert_eq!(cx.set_option("default", "on").as_deref(), Some("1"));
            assert_eq!(cx.option("default").as_deref(), Some("1"));
            say("looked");
        })
        .option("default", true)
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["looked"]);
}
