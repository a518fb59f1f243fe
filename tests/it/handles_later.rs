//! Posts through a handle that wait: for room, or for their time; and intervals.

use crate::laws_kit::*;
use futures_util::future::join_all;
use poe::event::START;
use poe::testing::{self, assert_no_leaks};
use poe::{Event, Kernel, Session, SessionId, TaskId};
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, SystemTime};
use tokio::time::{Instant, MissedTickBehavior, advance, sleep};

const NOTE: Event<u32> = Event::new("note");

/// Polls a future once.
async fn is_pending(future: &mut (impl Future + Unpin)) -> bool {
    poll_fn(|cx| Poll::Ready(Pin::new(&mut *future).poll(cx).is_pending())).await
}

/// When each note came, in milliseconds, and what it said.
type Notes = Rc<RefCell<Vec<(u64, u32)>>>;

/// Notes what it gets, and when, in milliseconds.
fn notebook(kernel: &Kernel) -> (SessionId, Notes) {
    let notes = Notes::default();
    let (log, began) = (notes.clone(), Instant::now());
    let id = Session::builder(())
        .on(START, |cx, ()| cx.alias_set("notebook"))
        .on(NOTE, move |_, n| {
            log.borrow_mut().push((began.elapsed().as_millis() as u64, n))
        })
        .create(kernel)
        .unwrap();
    (id, notes)
}

#[tokio::test(start_paused = true)]
async fn a_post_waits_until_there_is_room_and_those_who_wait_keep_their_order() {
    for capacity in [1, 2, 7] {
        let kernel = testing::builder().inbox_capacity(capacity).build();
        let (id, notes) = notebook(&kernel);
        let handle = kernel.handle();
        let senders = (0..5).map(|sender| {
            let handle = handle.clone();
            async move {
                for n in 0..20 {
                    handle.post_wait(id, NOTE, sender * 100 + n).await.unwrap();
                }
            }
        });
        let all = join_all(senders);
        let (ran, _) = tokio::join!(kernel.serve(), async move {
            all.await;
            while handle
                .signal(handle.kernel_id(), "TERM", ())
                .is_err_and(|refused| refused.is_full())
            {
                sleep(ms(1)).await;
            }
        });
        ran.unwrap();
        let notes: Vec<u32> = notes.take().into_iter().map(|(_, n)| n).collect();
        assert_eq!(notes.len(), 100, "capacity {capacity}");
        for sender in 0..5 {
            let own: Vec<u32> = notes.iter().copied().filter(|n| n / 100 == sender).collect();
            assert_eq!(own, (0..20).map(|n| sender * 100 + n).collect::<Vec<_>>());
        }
        // Nobody who waits is passed over: between two posts of one sender there are no more than the inbox holds, and one of
        // each other sender.
        if capacity < 5 {
            let at = |sender: u32, n: u32| notes.iter().position(|x| *x == sender * 100 + n).unwrap();
            let gaps = (0..5).flat_map(|s| (1..20).map(move |n| (s, n)));
            let longest = gaps.map(|(s, n)| at(s, n) - at(s, n - 1)).max();
            assert!(longest <= Some(5 + capacity), "capacity {capacity}: {notes:?}");
        }
        assert_no_leaks(&kernel);
    }
}

#[tokio::test(start_paused = true)]
async fn one_who_gives_up_waiting_makes_room_for_the_next() {
    let kernel = testing::builder().inbox_capacity(1).build();
    let (id, notes) = notebook(&kernel);
    let handle = kernel.handle();
    handle.post(id, NOTE, 0).unwrap();
    let mut first = Box::pin(handle.post_wait(id, NOTE, 1));
    let mut second = pin!(handle.post_wait(id, NOTE, 2));
    let third = handle.post_wait(id, NOTE, 3);
    assert!(is_pending(&mut first).await);
    assert!(is_pending(&mut second).await);
    let mut third = pin!(third);
    assert!(is_pending(&mut third).await);
    // Calls the first, which is gone before it comes back.
    let mut serving = kernel.serve();
    assert!(is_pending(&mut serving).await);
    assert!(notes.borrow().len() == 1);
    drop(first);
    let posted = async { second.await.and(third.await) };
    tokio::select! {
        posted = posted => posted.unwrap(),
        served = &mut serving => served.unwrap(),
    }
    assert!(is_pending(&mut serving).await);
    let notes: Vec<u32> = notes.take().into_iter().map(|(_, n)| n).collect();
    assert_eq!(notes, [0, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn one_who_waits_hears_that_the_kernel_is_gone_and_has_the_argument() {
    let kernel = testing::builder().inbox_capacity(1).build();
    let (id, _) = notebook(&kernel);
    let handle = kernel.handle();
    handle.post(id, NOTE, 0).unwrap();
    let waiting = tokio::spawn({
        let handle = handle.clone();
        async move { handle.post_wait(id, NOTE, 7).await }
    });
    sleep(ms(1)).await;
    assert!(!waiting.is_finished());
    drop(kernel);
    let refused = waiting.await.unwrap().unwrap_err();
    assert!(refused.is_closed());
    assert_eq!(refused.into_arg(), 7);
    assert!(handle.post_wait(id, NOTE, 8).await.unwrap_err().is_closed());
}

#[tokio::test(start_paused = true)]
async fn a_newcomer_stands_behind_those_who_wait() {
    let kernel = testing::builder().inbox_capacity(2).build();
    let (id, notes) = notebook(&kernel);
    let handle = kernel.handle();
    handle.post(id, NOTE, 0).unwrap();
    handle.post(id, NOTE, 1).unwrap();
    let mut waiting: Vec<_> = (2..6).map(|n| Box::pin(handle.post_wait(id, NOTE, n))).collect();
    for post in &mut waiting {
        assert!(is_pending(post).await);
    }
    // One poll of the kernel: it takes two in and calls the first two of those who wait.
    let mut serving = kernel.serve();
    assert!(is_pending(&mut serving).await);
    // A poll that nobody called for gains nothing.
    assert!(is_pending(&mut waiting[2]).await);
    let mut newcomer = Box::pin(handle.post_wait(id, NOTE, 6));
    assert!(
        is_pending(&mut newcomer).await,
        "two are ahead who were called, and two who were not"
    );
    waiting.push(newcomer);
    let posted = tokio::select! {
        posted = join_all(waiting) => posted,
        _ = &mut serving => panic!("it serves for ever"),
    };
    assert!(is_pending(&mut serving).await);
    assert!(posted.into_iter().all(|posted| posted.is_ok()));
    let notes: Vec<u32> = notes.take().into_iter().map(|(_, n)| n).collect();
    assert_eq!(notes, [0, 1, 2, 3, 4, 5, 6]);
}

#[tokio::test(start_paused = true)]
async fn delayed_posts_come_at_their_time_in_the_order_of_timers() {
    let kernel = kernel();
    let (id, notes) = notebook(&kernel);
    let handle = kernel.handle();
    handle.post_after(id, NOTE, ms(30), 3).unwrap();
    handle.post_after("notebook", NOTE, ms(10), 1).unwrap();
    let in_20 = SystemTime::now() + Duration::from_secs(3600);
    handle.post_at(id, NOTE, in_20, 9).unwrap();
    handle.post_at(id, NOTE, SystemTime::UNIX_EPOCH, 0).unwrap();
    let cancelled = handle.post_after(id, NOTE, ms(20), 2).unwrap();
    let sent = handle.post_after(id, NOTE, ms(15), 4).unwrap();
    let never_set = handle.post_after(id, NOTE, ms(12), 5).unwrap();
    assert_eq!(never_set.cancel(), Some(5));
    testing::run_for(&kernel, ms(16)).await.unwrap();
    assert_eq!(sent.cancel(), None, "it is too late");
    assert_eq!(cancelled.cancel(), Some(2));
    let later = Instant::now();
    run(&kernel).await;
    assert!(
        later.elapsed() >= Duration::from_secs(3590),
        "the kernel is not idle while a post is to come"
    );
    let notes = notes.take();
    let order: Vec<u32> = notes.iter().map(|(_, n)| *n).collect();
    assert_eq!(order, [0, 1, 4, 3, 9]);
    assert_eq!(notes[1..4], [(10, 1), (15, 4), (30, 3)]);
    assert_eq!(kernel.snapshot().queue.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_delayed_post_holds_nobody_and_is_a_dead_letter_if_nobody_is_there() {
    let kernel = kernel();
    let letters = Rc::new(RefCell::new(Vec::new()));
    let kept = letters.clone();
    kernel.on_dead_letter(move |letter| {
        kept.borrow_mut()
            .push((letter.event.to_string(), letter.arg.downcast::<u32>().ok()))
    });
    let handle = kernel.handle();
    let id = life("S", |cx| cx.delay("end", 1.0, ()))
        .on("end", |_, ()| ())
        .create(&kernel)
        .unwrap();
    handle.post_after(id, NOTE, Duration::from_secs(5), 7).unwrap();
    drop(handle);
    testing::run_for(&kernel, Duration::from_secs(2)).await.unwrap();
    assert!(!kernel.is_alive(id));
    // It outlives the run.
    life("T", |cx| cx.delay("end", 10.0, ()))
        .on("end", |_, ()| ())
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(*letters.borrow(), [("note".to_owned(), Some(7))]);
}

#[tokio::test(start_paused = true)]
async fn a_refused_delayed_post_gives_its_argument_back() {
    let kernel = testing::builder().inbox_capacity(1).build();
    let handle = kernel.handle();
    let _first = handle.post_after("S", NOTE, ms(1), 1).unwrap();
    let full = handle.post_after("S", NOTE, ms(1), 2).unwrap_err();
    assert!(full.is_full());
    assert_eq!(full.into_arg(), 2);
    drop(kernel);
    let closed = handle.post_at("S", NOTE, SystemTime::now(), 3).unwrap_err();
    assert!(closed.is_closed());
    assert_eq!(closed.into_arg(), 3);
}

const TICK: Event<()> = Event::new("tick");

/// When the ticks of 100 ms come if nobody polls the kernel from 150 ms to 480 ms, until 800 ms.
async fn ticks(missed: MissedTickBehavior) -> Vec<u64> {
    let kernel = kernel();
    let began = Instant::now();
    let seen: Rc<RefCell<Vec<u64>>> = Rc::default();
    let log = seen.clone();
    Session::builder(())
        .on(START, move |cx, ()| {
            cx.interval(TICK, ms(100), missed);
        })
        .on(TICK, move |_, ()| {
            log.borrow_mut().push(began.elapsed().as_millis() as u64)
        })
        .create(&kernel)
        .unwrap();
    testing::run_for(&kernel, ms(150)).await.unwrap();
    advance(ms(330)).await;
    testing::run_for(&kernel, ms(320)).await.unwrap();
    kernel.stop_all().unwrap();
    run(&kernel).await;
    seen.take()
}

#[tokio::test(start_paused = true)]
async fn an_interval_treats_missed_ticks_as_its_policy_says() {
    use MissedTickBehavior::{Burst, Delay, Skip};
    assert_eq!(ticks(Burst).await, [100, 480, 480, 480, 500, 600, 700, 800]);
    assert_eq!(ticks(Delay).await, [100, 480, 580, 680, 780]);
    assert_eq!(ticks(Skip).await, [100, 480, 500, 600, 700, 800]);
}

#[tokio::test(start_paused = true)]
async fn an_interval_holds_its_session_until_it_is_cancelled_also_by_its_own_handler() {
    let kernel = kernel();
    Session::builder(None::<TaskId>)
        .on(START, |cx, ()| {
            let ticks = cx.interval(TICK, Duration::from_secs(1), MissedTickBehavior::Burst);
            *cx.heap = Some(ticks);
            cx.alarm_remove_all(); // it is no timer of the session's
        })
        .on(TICK, |cx, ()| {
            say(cx.event());
            assert!(cx.cancel(cx.heap.unwrap()));
            assert!(!cx.cancel(cx.heap.unwrap()));
        })
        .create(&kernel)
        .unwrap();
    let why = kernel.why_alive().to_string();
    assert!(why.contains("task `tick`"), "{why}");
    let began = Instant::now();
    run(&kernel).await;
    assert_eq!((began.elapsed().as_secs(), said()), (1, vec!["tick".to_owned()]));
    assert_eq!(kernel.snapshot().queue.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn ticks_and_timers_are_in_one_order() {
    let kernel = kernel();
    let count = Rc::new(Cell::new(0));
    Session::builder(None)
        .on(START, |cx, ()| {
            *cx.heap = Some(cx.interval(TICK, ms(10), MissedTickBehavior::Burst));
            for n in 1..=3 {
                cx.delay_set("timer", ms(10 * n), ());
            }
        })
        .on(TICK, move |cx, ()| {
            say("tick");
            count.set(count.get() + 1);
            if count.get() == 3 {
                cx.cancel(cx.heap.unwrap());
            }
        })
        .on("timer", |_, ()| say("timer"))
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    // The first tick was set before the timers, the others after them.
    assert_eq!(said(), ["tick", "timer", "timer", "tick", "timer", "tick"]);
}
