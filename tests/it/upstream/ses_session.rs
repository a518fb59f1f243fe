//! `POE::Test::Loops::ses_session`. (What it asks of Perl's lists of arguments and of its offsets is types here.)

use crate::laws_kit::*;
use crate::peek_kit::Peek as _;
use poe::event::{DEFAULT, START, STOP};
use poe::{Callback, Event, HandlerResult, Postback, Reply, Session, States};
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
        .on(COUNT, |cx, id| -> HandlerResult {
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
        .on(QUERY, |cx, postback| -> HandlerResult {
            *cx.heap += 1;
            postback.post(*cx.heap)?;
            Ok(())
        })
        .on(SYNC_QUERY, |cx, callback| -> HandlerResult {
            *cx.heap += 1;
            let response = *cx.heap;
            callback.call(cx, response)?;
            Ok(())
        })
        .create(&kernel)
        .unwrap();
    Session::builder(Client::default())
        .on(START, |cx, ()| cx.yield_to("ask", ()))
        .on("ask", |cx, ()| -> HandlerResult {
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

/// A handler set that is an object: it counts to five by events to itself.
#[derive(Default)]
struct Counting {
    counts: std::cell::RefCell<Vec<u32>>,
}

impl Counting {
    fn start(&self, cx: &mut poe::Context<'_, u32>, (): ()) {
        cx.yield_to("count", ());
    }

    fn count(&self, cx: &mut poe::Context<'_, u32>, (): ()) {
        *cx.heap += 1;
        if *cx.heap < EVENTS {
            cx.yield_to("count", ());
        }
    }

    fn stop(&self, cx: &mut poe::Context<'_, u32>, (): ()) {
        self.counts.borrow_mut().push(*cx.heap);
    }
}

/// The same as a package.
struct CountingPackage(Rc<Counting>);

impl poe::Package<u32> for CountingPackage {
    fn states(&self) -> States<u32> {
        States::new().object_states(&self.0, |o| {
            o.on(START, Counting::start)
                .on("count", Counting::count)
                .on(STOP, Counting::stop)
        })
    }
}

#[tokio::test(start_paused = true)]
async fn objects_and_packages_mapped_and_unmapped_count_their_events() {
    let kernel = kernel();
    let object = Rc::new(Counting::default());
    let plain = States::<u32>::new().package_states(&CountingPackage(object.clone()));
    // Mapped: the events have other names than the methods.
    let mapped = States::<u32>::new().object_states(&object, |o| {
        o.on("my_start", Counting::start)
            .on("my_count", Counting::count)
            .on("my_stop", Counting::stop)
    });
    let mapped = [("my_start", "_start"), ("my_count", "count"), ("my_stop", "_stop")]
        .into_iter()
        .fold(mapped, |states, (method, event)| states.renamed(method, event).unwrap());
    Session::builder(0).inline_states(&plain).create(&kernel).unwrap();
    Session::builder(0).inline_states(&mapped).create(&kernel).unwrap();
    Session::builder(0)
        .package_states(&CountingPackage(object.clone()))
        .create(&kernel)
        .unwrap();
    Session::builder(0)
        .object_states(&object, |o| {
            o.on(START, Counting::start)
                .on("count", Counting::count)
                .on(STOP, Counting::stop)
        })
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(*object.counts.borrow(), [EVENTS; 4]);
}

#[cfg(unix)]
#[tokio::test]
async fn five_alarms_and_five_pipes_of_the_system_are_caught() {
    use poe::{Kernel, Signal};
    use rustix::process::{Signal as Number, getpid, kill_process};
    use std::time::Duration;
    crate::in_child::in_child!();
    let kernel = Kernel::new();
    Session::builder((EVENTS, 0, 0))
        .on(START, |cx, ()| {
            cx.sig("ALRM", "signal");
            cx.sig("PIPE", "signal");
            cx.delay("fire_signals", ms(5), ());
        })
        .on("fire_signals", |cx, ()| {
            if cx.heap.0 == 0 {
                cx.delay("done_waiting", ms(50), ());
                return;
            }
            cx.heap.0 -= 1;
            cx.delay("timeout", ms(20_000), ());
            // Equal signals that wait are one: the next pair comes when this one has arrived.
            kill_process(getpid(), Number::ALARM).unwrap();
            kill_process(getpid(), Number::PIPE).unwrap();
        })
        .on("signal", |cx, signal: Signal| {
            match signal.name().as_str() {
                "ALRM" => cx.heap.1 += 1,
                "PIPE" => cx.heap.2 += 1,
                _ => unreachable!(),
            }
            cx.sig_handled();
            if cx.heap.1 == cx.heap.2 {
                cx.alarm_clear("timeout");
                cx.delay("fire_signals", ms(5), ());
            }
        })
        .on("timeout", |_, ()| panic!("a signal is missing"))
        .on("done_waiting", |cx, ()| {
            cx.sig_ignore("ALRM");
            cx.sig_ignore("PIPE");
        })
        .on(STOP, |cx, ()| say(format!("{} {}", cx.heap.1, cx.heap.2)))
        .create(&kernel)
        .unwrap();
    let run = tokio::time::timeout(Duration::from_secs(30), kernel.run());
    run.await.expect("it hangs").unwrap();
    assert_eq!(said(), ["5 5"]);
}

/// What becomes of four nested sessions.
#[derive(Default)]
struct Ends {
    stops: Cell<u32>,
    losses: Cell<u32>,
    parents: Cell<u32>,
    heaps: Cell<u32>,
}

/// It counts the heaps that are gone.
struct Counted(Rc<Ends>);

impl Drop for Counted {
    fn drop(&mut self) {
        more(&self.0.heaps);
    }
}

fn nested(n: u32, ends: &Rc<Ends>) -> poe::SessionBuilder<Counted> {
    let [inner, stops, losses, parents, all] = [(); 5].map(|()| ends.clone());
    Session::builder(Counted(ends.clone()))
        .on(START, move |cx, ()| -> HandlerResult {
            if n < 4 {
                cx.create(nested(n + 1, &inner))?;
            }
            cx.delay("nonexistent", ms(3_600_000), ());
            cx.alias_set(&format!("test{n}"))?;
            if n == 1 {
                cx.yield_to("stop", ());
            }
            Ok(())
        })
        .on("stop", move |cx, ()| {
            cx.stop_all();
            // The heap of the session whose handler this is, is still lent to it.
            assert_eq!(all.heaps.get(), 3);
            assert_eq!(cx.snapshot().session_count(), 0);
        })
        .on(poe::event::CHILD, move |_, child| {
            if child.reason == poe::event::ChildReason::Lose {
                more(&losses.losses);
            }
        })
        .on(poe::event::PARENT, move |_, _| more(&parents.parents))
        .on(STOP, move |_, ()| more(&stops.stops))
}

#[tokio::test(start_paused = true)]
async fn stop_ends_nested_sessions_and_the_loop_may_be_started_anew() {
    let kernel = kernel();
    let ends = Rc::new(Ends::default());
    nested(1, &ends).create(&kernel).unwrap();
    run(&kernel).await;
    assert_eq!((ends.stops.get(), ends.losses.get(), ends.parents.get()), (4, 3, 0));
    assert_eq!(ends.heaps.get(), 4);
    assert_eq!(Rc::strong_count(&ends), 1, "their handlers are gone, too");

    Session::builder(())
        .on(START, |cx, ()| {
            say("_start");
            cx.yield_to("woot", ());
            cx.delay("narf", ms(1000), ());
        })
        .on("woot", |_, ()| say("woot"))
        .on("narf", |_, ()| say("narf"))
        .on(STOP, |_, ()| say("_stop"))
        .option("trace", true)
        .option("default", true)
        .option("debug", true)
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["_start", "woot", "narf", "_stop"]);
}
