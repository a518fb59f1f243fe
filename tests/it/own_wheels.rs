//! Wheels that are written outside of the crate, with `extend::Source`.

use crate::laws_kit::{kernel, ms, run, said, say};
use poe::event::{START, STOP};
use poe::extend::{Flow, Sleep, Source, SourceContext, WheelHandle};
use poe::{Error, Event, HandlerResult, Kernel, KernelRef, OnFailure, Session, WheelId};
use proptest::prelude::*;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

const ITEM: Event<u32> = Event::new("item");
const GIVE: Event<Wheel> = Event::new("give");
const PUT: Event<u32> = Event::new("put");

/// The shared state of the wheel's two halves: a queue that `put` fills and the source empties.
#[derive(Default)]
struct Shared {
    items: RefCell<VecDeque<u32>>,
    flows: RefCell<Vec<Flow>>,
    polls: Cell<u32>,
    changes: Cell<u32>,
    dropped: Cell<bool>,
    end: Cell<bool>,
}

struct Wheel {
    handle: WheelHandle,
    shared: Rc<Shared>,
}

impl Wheel {
    #[track_caller]
    fn start(kernel: &KernelRef<'_>, items: impl IntoIterator<Item = u32>) -> Result<Wheel, Error> {
        let shared = Rc::new(Shared::default());
        shared.items.borrow_mut().extend(items);
        let handle = kernel.add_source("Queue", Items(shared.clone()))?;
        Ok(Wheel { handle, shared })
    }

    fn put(&self, item: u32) {
        self.shared.items.borrow_mut().push_back(item);
        self.handle.wake();
    }
}

struct Items(Rc<Shared>);

impl Source for Items {
    fn poll(&mut self, cx: &mut SourceContext<'_>, _: &mut Context<'_>) -> Poll<()> {
        let shared = &self.0;
        shared.polls.set(shared.polls.get() + 1);
        if cx.runtime_changed() {
            shared.changes.set(shared.changes.get() + 1);
        }
        loop {
            let item = shared.items.borrow_mut().pop_front();
            let Some(item) = item else { break };
            assert!(item != 666, "an item that the source cannot bear");
            let flow = cx.emit(ITEM, item);
            shared.flows.borrow_mut().push(flow);
            match flow {
                Flow::Go => {}
                Flow::Pause => return Poll::Pending,
                Flow::Gone => return Poll::Ready(()),
            }
        }
        if shared.end.get() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

impl Drop for Items {
    fn drop(&mut self) {
        self.0.dropped.set(true);
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_calls_handlers_ahead_of_the_queue_and_ends_with_its_handle() {
    let kernel = kernel();
    Session::builder(None)
        .on(START, |cx, ()| -> HandlerResult {
            *cx.heap = Some(Wheel::start(cx, [1, 2])?);
            cx.delay(PUT, 10.0, 3);
            Ok(())
        })
        .on(ITEM, |cx, item| {
            say(format!("item {item} of {}", cx.sender() == cx.session_id()));
            cx.yield_to("queued", item);
            if item == 3 {
                let wheel = cx.heap.take().unwrap();
                assert!(wheel.handle.is_running());
            }
        })
        .on("queued", |_, item: u32| say(format!("queued {item}")))
        .on(PUT, |cx, item| cx.heap.as_ref().unwrap().put(item))
        .on(STOP, |_, ()| say("stop"))
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    let expected = [
        "item 1 of true",
        "item 2 of true",
        "queued 1",
        "queued 2",
        "item 3 of true",
        "queued 3",
        "stop",
    ];
    assert_eq!(said(), expected);
}

#[tokio::test(start_paused = true)]
async fn a_wheel_shows_in_why_alive_with_label_id_and_place() {
    let kernel = kernel();
    Session::builder(None)
        .on(START, |cx, ()| -> HandlerResult {
            let wheel = Wheel::start(cx, [])?;
            let id: WheelId = wheel.handle.id();
            let why = cx.why_alive().to_string();
            assert!(
                why.contains(&format!("wheel `Queue {id}` (tests/it/own_wheels.rs:")),
                "{why}"
            );
            assert_eq!(wheel.handle.session_id(), cx.session_id());
            assert_eq!(format!("{:?}", wheel.handle), format!("WheelHandle(Queue {id})"));
            *cx.heap = Some(wheel);
            Ok(())
        })
        .on(ITEM, |_, _| ())
        .create(&kernel)
        .unwrap();
    // Only the wheel holds the session.
    assert!(tokio::time::timeout(ms(50), kernel.run()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn after_gone_the_source_is_dropped_and_nothing_arrives() {
    let kernel = kernel();
    let kept = Rc::new(RefCell::new(None));
    let shared = kept.clone();
    Session::builder(None)
        .on(START, move |cx, ()| -> HandlerResult {
            let wheel = Wheel::start(cx, [1, 2, 3])?;
            *shared.borrow_mut() = Some(wheel.shared.clone());
            *cx.heap = Some(wheel);
            Ok(())
        })
        .on(ITEM, |cx, item| {
            say(item);
            if item == 2 {
                *cx.heap = None;
            }
        })
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["1", "2"]);
    let shared = kept.take().unwrap();
    assert_eq!(*shared.flows.borrow(), [Flow::Go, Flow::Gone]);
    assert!(shared.dropped.get());
    assert_eq!(*shared.items.borrow(), [3], "what was not emitted stays");
}

#[tokio::test(start_paused = true)]
async fn an_adopted_wheel_emits_to_its_new_session_and_holds_that_one() {
    let kernel = kernel();
    let taker = Session::builder(None::<Wheel>)
        .on(START, |cx, ()| cx.alias_set("taker"))
        .on(GIVE, |cx, wheel| -> HandlerResult {
            wheel.handle.adopt(cx)?;
            wheel.put(7);
            *cx.heap = Some(wheel);
            Ok(())
        })
        .on(ITEM, |cx, item| {
            say(format!("taker has {item}"));
            *cx.heap = None;
        })
        .create(&kernel)
        .unwrap();
    Session::builder(())
        .on(START, move |cx, ()| -> HandlerResult {
            let wheel = Wheel::start(cx, [])?;
            Ok(cx.call(taker, GIVE, wheel)?)
        })
        .on(ITEM, |_, item| say(format!("giver has {item}")))
        .on(STOP, |_, ()| say("giver stops"))
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["taker has 7", "giver stops"]);
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_source_is_a_failure_of_its_session_alone_under_stop_session() {
    let kernel = poe::testing::builder().on_failure(OnFailure::StopSession).build();
    let kept = Rc::new(RefCell::new(None));
    let shared = kept.clone();
    Session::builder(None)
        .on(START, move |cx, ()| -> HandlerResult {
            let wheel = Wheel::start(cx, [1, 666, 2])?;
            *shared.borrow_mut() = Some(wheel.shared.clone());
            *cx.heap = Some(wheel);
            Ok(())
        })
        .on(ITEM, |_, item| say(item))
        .on(STOP, |_, ()| say("stop"))
        .create(&kernel)
        .unwrap();
    Session::builder(())
        .on(START, |cx, ()| cx.delay("later", 1.0, ()))
        .on("later", |_, ()| say("others go on"))
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["1", "stop", "others go on"]);
    assert!(kept.take().unwrap().dropped.get());
}

/// Fails, and emits an argument of another type than the handler takes.
struct Wrong(u32);

impl Source for Wrong {
    fn poll(&mut self, cx: &mut SourceContext<'_>, _: &mut Context<'_>) -> Poll<()> {
        match self.0 {
            0 => say(format!("{:?}", cx.fail(poe::Failure::msg("the device is on fire")))),
            _ => say(format!("{:?}", cx.emit("item", "text, not a number"))),
        }
        Poll::Ready(())
    }
}

#[tokio::test(start_paused = true)]
async fn failures_of_a_source_go_the_way_of_a_handlers() {
    for (kind, text) in [(0, "the device is on fire"), (1, "takes `u32` but was sent `&str`")] {
        let kernel = kernel();
        Session::builder(None)
            .on(START, move |cx, ()| -> HandlerResult {
                *cx.heap = Some(cx.add_source("Wrong", Wrong(kind))?);
                Ok(())
            })
            .on(ITEM, |_, _| say("never"))
            .create(&kernel)
            .unwrap();
        let error = kernel.run().await.unwrap_err();
        assert!(error.to_string().contains(text), "{error}");
        poe::testing::assert_no_leaks(&kernel);
        // What comes after the failure depends on whether the session still lives: its DIE is queued.
        assert_eq!(said().len(), 1);
    }
}

/// A source that takes new work.
struct Door(Rc<Cell<bool>>);

impl Source for Door {
    fn poll(&mut self, _: &mut SourceContext<'_>, _: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }

    fn is_listener(&self) -> bool {
        true
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.0.set(true);
    }
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_closes_listening_sources_first() {
    let kernel = kernel();
    let closed = Rc::new(Cell::new(false));
    let (door, seen) = (closed.clone(), closed.clone());
    Session::builder(None)
        .on(START, move |cx, ()| -> HandlerResult {
            *cx.heap = Some(cx.add_source("Door", Door(door.clone()))?);
            cx.sig(poe::KERNEL_SHUTDOWN, "shutdown");
            cx.refcount_increment(cx.session_id(), "until shutdown")?;
            Ok(())
        })
        .on("shutdown", move |cx, _: poe::Signal| -> HandlerResult {
            say(format!("closed already: {}", seen.get()));
            cx.sig_handled();
            cx.refcount_decrement(cx.session_id(), "until shutdown")?;
            *cx.heap = None;
            Ok(())
        })
        .create(&kernel)
        .unwrap();
    let report = kernel.shutdown(ms(1000)).await;
    assert!(report.is_clean(), "{report}");
    assert_eq!(said(), ["closed already: true"]);
    assert!(closed.get());
}

#[tokio::test(start_paused = true)]
async fn a_session_that_was_stopped_by_its_handler_gets_no_wheel() {
    let kernel = kernel();
    Session::builder(())
        .on(START, |cx, ()| cx.yield_to("go", ()))
        .on("go", |cx, ()| {
            cx.stop_all();
            let refused = cx.add_source("Queue", Items(Rc::default())).unwrap_err();
            assert!(refused.is_no_such_session(), "{refused}");
        })
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
}

/// Emits one number a second, on its own timer.
struct Seconds(Sleep, u32);

impl Source for Seconds {
    fn poll(&mut self, cx: &mut SourceContext<'_>, waker: &mut Context<'_>) -> Poll<()> {
        while Pin::new(&mut self.0).poll(waker).is_ready() {
            self.1 += 1;
            self.0 = Sleep::new(ms(1000));
            cx.post(ITEM, self.1);
        }
        if self.1 == 3 { Poll::Ready(()) } else { Poll::Pending }
    }
}

#[tokio::test(start_paused = true)]
async fn sleeps_follow_virtual_time_and_a_source_that_is_ready_lets_its_session_go() {
    let kernel = kernel();
    let began = tokio::time::Instant::now();
    Session::builder(None)
        .on(START, |cx, ()| -> HandlerResult {
            *cx.heap = Some(cx.add_source("Seconds", Seconds(Sleep::new(ms(1000)), 0))?);
            Ok(())
        })
        .on(ITEM, move |_, item| say(format!("{item} after {:?}", began.elapsed())))
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["1 after 1s", "2 after 2s", "3 after 3s"]);
}

#[test]
fn a_source_sees_a_new_runtime_once_and_continues_there() {
    let kernel = Kernel::new();
    let kept = Rc::new(RefCell::new(None));
    let shared = kept.clone();
    Session::builder(None)
        .on(START, move |cx, ()| -> HandlerResult {
            cx.alias_set("owner")?;
            let wheel = Wheel::start(cx, [1])?;
            *shared.borrow_mut() = Some(wheel.shared.clone());
            *cx.heap = Some(wheel);
            Ok(())
        })
        .on(ITEM, |cx, item| {
            say(item);
            if item == 2 {
                *cx.heap = None;
            }
        })
        .on(PUT, |cx, item| cx.heap.as_ref().unwrap().put(item))
        .create(&kernel)
        .unwrap();
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
    };
    let first = runtime();
    first.block_on(async { assert!(tokio::time::timeout(ms(30), kernel.run()).await.is_err()) });
    drop(first);
    kernel.post("owner", PUT, 2).unwrap();
    runtime().block_on(async { tokio::time::timeout(ms(20_000), kernel.run()).await.unwrap().unwrap() });
    assert_eq!(said(), ["1", "2"]);
    // The first runtime is news as well: the session was created outside of any.
    assert_eq!(kept.take().unwrap().changes.get(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_the_source_ends_at_is_forgotten() {
    let kernel = poe::testing::builder().budget(1).build();
    Session::builder(None)
        .on(START, |cx, ()| -> HandlerResult {
            let wheel = Wheel::start(cx, [1, 2])?;
            wheel.shared.end.set(true);
            *cx.heap = Some(wheel);
            cx.add_source("Once", Once).map(drop)?;
            Ok(())
        })
        .on(ITEM, |cx, item| {
            say(item);
            cx.yield_to("note", item);
        })
        .on("note", |_, item: u32| say(format!("note {item}")))
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["1", "2", "note 1", "note 2"]);
}

/// Ends in the poll in which it was told to pause.
struct Once;

impl Source for Once {
    fn poll(&mut self, cx: &mut SourceContext<'_>, _: &mut Context<'_>) -> Poll<()> {
        let _ = cx.emit(ITEM, 9);
        Poll::Ready(())
    }
}

proptest! {
    /// A yield is a pause: whatever the budget, the events come in the same order.
    #[test]
    fn the_order_does_not_depend_on_the_budget(items in prop::collection::vec(0..100_u32, 0..40), budget in 1..5_u32) {
        let play = |budget| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
            runtime.block_on(async {
                let kernel = poe::testing::builder().budget(budget).build();
                for name in ["a", "b"] {
                    let items = items.clone();
                    Session::builder(None)
                        .on(START, move |cx, ()| -> HandlerResult {
                            let wheel = Wheel::start(cx, items.iter().copied())?;
                            wheel.shared.end.set(true);
                            *cx.heap = Some(wheel);
                            Ok(())
                        })
                        .on(ITEM, move |cx, item| {
                            say(format!("{name} {item}"));
                            cx.yield_to("note", item);
                        })
                        .on("note", move |_, item: u32| say(format!("{name} notes {item}")))
                        .create(&kernel)
                        .unwrap();
                }
                run(&kernel).await;
                said()
            })
        };
        prop_assert_eq!(play(budget), play(1024));
    }
}

/// Never ends by itself, and is ready at once again.
struct Flood(Rc<Cell<u64>>);

impl Source for Flood {
    fn poll(&mut self, cx: &mut SourceContext<'_>, waker: &mut Context<'_>) -> Poll<()> {
        loop {
            self.0.set(self.0.get() + 1);
            match cx.emit(ITEM, 0) {
                Flow::Go => {}
                Flow::Pause => return Poll::Pending,
                Flow::Gone => return Poll::Ready(()),
            }
            waker.waker().wake_by_ref();
        }
    }
}

#[tokio::test]
async fn a_flooding_source_lets_the_host_have_its_turns() {
    let kernel = Kernel::new();
    let count = Rc::new(Cell::new(0));
    let source = count.clone();
    Session::builder(None)
        .on(START, move |cx, ()| -> HandlerResult {
            *cx.heap = Some(cx.add_source("Flood", Flood(source.clone()))?);
            Ok(())
        })
        .on(ITEM, |_, _| ())
        .create(&kernel)
        .unwrap();
    let mut turns = 0_u32;
    let host = async {
        for _ in 0..100 {
            turns += 1;
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        biased;
        ran = kernel.run() => panic!("a flood has no end: {ran:?}"),
        () = host => {}
    }
    assert!(count.get() > 100, "{count:?}");
    let mut cx = Context::from_waker(Waker::noop());
    drop(Pin::new(&mut kernel.run()).poll(&mut cx));
    assert_eq!(turns, 100);
}

#[allow(dead_code, reason = "the example's `main` is not the test's")]
#[path = "../../examples/custom_wheel.rs"]
mod custom_wheel;

#[tokio::test(start_paused = true)]
async fn the_examples_metronome_keeps_and_changes_its_pace() {
    const BEAT: Event<u32> = Event::new("beat");
    let kernel = kernel();
    let began = tokio::time::Instant::now();
    Session::builder(None)
        .on(START, |cx, ()| -> HandlerResult {
            *cx.heap = Some(custom_wheel::Metronome::start(cx, ms(200), BEAT)?);
            Ok(())
        })
        .on(BEAT, move |cx, number| {
            say(format!("{number} at {}", began.elapsed().as_millis()));
            match number {
                2 => cx.heap.as_ref().unwrap().set_interval(ms(20)),
                5 => *cx.heap = None,
                _ => {}
            }
        })
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["1 at 200", "2 at 400", "3 at 600", "4 at 620", "5 at 640"]);
}
