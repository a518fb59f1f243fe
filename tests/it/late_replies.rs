//! Replies that come later: `defer_reply` and `ask`.

use crate::laws_kit::*;
use poe::event::{DEFAULT, START, STOP};
use poe::extend::PendingReply;
use poe::inspect::HoldKind;
use poe::testing::{self, Transcript, assert_no_leaks};
use poe::{
    AnyArg, CallError, Context, DeferredReply, Event, Failure, HandlerResult, Kernel, Nfa, OnFailure, Reply, Session,
    SessionId, TaskId,
};
use proptest::prelude::*;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;
use tokio::time::sleep;

const FETCH: Event<u32, String> = Event::new("fetch");
const FETCHED: Event<Result<String, CallError<u32>>> = Event::new("fetched");
const SECOND: Duration = Duration::from_secs(1);

/// Replies after so many milliseconds.
fn slow_server(kernel: &Kernel) -> SessionId {
    Session::builder(0)
        .on(START, |cx, ()| cx.alias_set("server"))
        .on(FETCH, |cx, n| {
            let (reply, pending) = cx.defer_reply();
            cx.spawn_then(sleep(ms(u64::from(n))), move |cx, ()| {
                *cx.heap += 1;
                let unwanted = reply.send(format!("page {n}, number {}", *cx.heap));
                if unwanted.is_some() {
                    say(format!("{n} unwanted"));
                }
            });
            pending
        })
        .create(kernel)
        .unwrap()
}

/// Asks once for each of these pages.
fn asker(pages: &'static [u32], timeout: Duration) -> poe::SessionBuilder<()> {
    Session::builder(())
        .on(START, move |cx, ()| {
            for page in pages {
                cx.ask("server", FETCH, *page, FETCHED, timeout);
            }
        })
        .on(FETCHED, |_, reply| match reply {
            Ok(page) => say(page),
            Err(error) => {
                let text = error.to_string();
                say(format!("{text}; {:?}", error.into_arg()));
            }
        })
}

#[tokio::test(start_paused = true)]
async fn replies_come_when_they_are_sent_and_not_in_the_order_of_the_questions() {
    let kernel = kernel();
    slow_server(&kernel);
    asker(&[30, 10, 20], SECOND).create(&kernel).unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["page 10, number 1", "page 20, number 2", "page 30, number 3"]);
}

#[tokio::test(start_paused = true)]
async fn a_handle_waits_for_a_late_reply() {
    let kernel = kernel();
    let server = slow_server(&kernel);
    let handle = kernel.handle();
    let client = async move {
        assert_eq!(handle.call(server, FETCH, 20).await.unwrap(), "page 20, number 1");
        let late = handle.call(server, FETCH, 50).timeout(ms(10)).await.unwrap_err();
        assert!(late.is_timed_out());
        assert_eq!(late.into_arg(), None, "the handler has it");
        sleep(ms(100)).await; // the reply finds nobody
        let wrong: Result<u64, _> = handle.call(server, "fetch", 1_u32).await;
        assert!(wrong.unwrap_err().is_wrong_reply());
        handle.signal(handle.kernel_id(), "TERM", ()).unwrap();
    };
    let (served, ()) = tokio::join!(kernel.serve(), client);
    served.unwrap();
    assert_eq!(said(), ["50 unwanted"]);
    assert_no_leaks(&kernel);
}

#[tokio::test(start_paused = true)]
async fn a_synchronous_call_fails_at_once_and_the_reply_comes_back_to_its_sender() {
    let kernel = kernel();
    let server = slow_server(&kernel);
    life("S", move |cx| {
        let refused = cx.call(server, FETCH, 10).unwrap_err();
        say(&refused);
        assert!(refused.is_deferred());
        assert!(cx.try_call(server, FETCH, 11).unwrap_err().is_deferred());
        let dynamic = cx.call::<AnyArg, AnyArg>(server, "fetch", AnyArg::new(12_u32));
        assert!(dynamic.unwrap_err().is_deferred());
        cx.post(server, FETCH, 13).unwrap(); // nobody waits for the reply to a post
    })
    .create(&kernel)
    .unwrap();
    assert!(kernel.call(server, FETCH, 14).unwrap_err().is_deferred());
    run(&kernel).await;
    let refused = format!(
        "cannot call `fetch`: session {server} replies later, and this call cannot wait: use `ask`, or call through a \
         `KernelHandle`"
    );
    let mut said = said();
    said.sort();
    assert_eq!(
        said,
        [
            "10 unwanted",
            "11 unwanted",
            "12 unwanted",
            "13 unwanted",
            "14 unwanted",
            "S stop",
            &refused
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_was_sent_before_the_handler_returned_serves_every_caller() {
    let kernel = kernel();
    let server = Session::builder(())
        .on(START, |cx, ()| cx.alias_set("server"))
        .on(FETCH, |cx, n| {
            let (reply, pending) = cx.defer_reply();
            let unwanted = reply.send(format!("page {n}"));
            assert!(unwanted.is_none() || n == 3, "only the post has no caller");
            pending
        })
        .create(&kernel)
        .unwrap();
    assert_eq!(kernel.call(server, FETCH, 1).unwrap(), "page 1");
    asker(&[2], SECOND).create(&kernel).unwrap();
    kernel.post(server, FETCH, 3).unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["page 2"]);
}

/// How a session may leave its caller without a reply.
#[derive(Clone, Copy, Debug, PartialEq)]
enum How {
    DropInHandler,
    DropLater,
    Fail,
    Leave,
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_is_dropped_fails_its_caller_whatever_drops_it() {
    use self::How::*;
    for how in [DropInHandler, DropLater, Fail, Leave] {
        let kernel = testing::builder().on_failure(OnFailure::StopSession).build();
        let kept = Rc::new(RefCell::new(None::<DeferredReply<String>>));
        let keep = kept.clone();
        let server = Session::builder(None)
            .on(START, |cx, ()| cx.alias_set("server"))
            .on(FETCH, move |cx, _| {
                let (reply, pending) = cx.defer_reply();
                match how {
                    DropInHandler => drop(reply),
                    DropLater => cx.delay("drop", 1.0, ()),
                    // The session stops although it owes a reply, which lies elsewhere.
                    Fail => {
                        *keep.borrow_mut() = Some(reply);
                        cx.delay("fail", 1.0, ());
                        return pending;
                    }
                    _ => {
                        *cx.heap = Some(reply);
                        cx.delay("leave", 1.0, ());
                        return pending;
                    }
                }
                pending
            })
            .on("fail", |_, ()| -> HandlerResult { Err(Failure::msg("a bug")) })
            .on("drop", |cx, ()| drop(cx.heap.take()))
            .on("leave", |cx, ()| cx.stop_all())
            .create(&kernel)
            .unwrap();
        let handle = kernel.handle();
        let client = async move {
            let reply = handle.call(server, FETCH, 7).await;
            handle.signal(handle.kernel_id(), "TERM", ()).unwrap();
            reply
        };
        let (served, reply) = tokio::join!(kernel.serve(), client);
        served.unwrap();
        let error = reply.unwrap_err();
        assert!(error.is_dropped(), "{how:?}: {error}");
        assert_eq!(
            error.to_string(),
            format!("cannot call `fetch`: session {server} dropped its reply, or stopped before it replied")
        );
        assert_no_leaks(&kernel);
        if let Some(reply) = kept.take() {
            assert!(!reply.is_wanted());
            assert_eq!(reply.send("too late".to_owned()).as_deref(), Some("too late"));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_owed_reply_holds_its_session_and_why_alive_tells_its_line_and_age() {
    let kernel = kernel();
    let line = Rc::new(Cell::new(0));
    let noted = line.clone();
    let server = Session::builder(None)
        .on(START, |cx, ()| cx.alias_set("server"))
        .on(FETCH, move |cx, _| {
            noted.set(line!() + 1);
            let (reply, pending) = cx.defer_reply::<String>();
            *cx.heap = Some(reply);
            pending
        })
        .on("reply", |cx, ()| {
            let reply = cx.heap.take().unwrap();
            assert!(reply.is_wanted());
            assert!(reply.send("at last".to_owned()).is_none());
        })
        .create(&kernel)
        .unwrap();
    asker(&[1], Duration::from_secs(3600)).create(&kernel).unwrap();
    testing::run_for(&kernel, ms(2500)).await.unwrap();
    let why = kernel.why_alive();
    let owed = why.sessions[0]
        .holds
        .iter()
        .find(|hold| hold.kind == HoldKind::Other("owed reply"));
    let owed = owed.unwrap_or_else(|| panic!("{why}"));
    assert_eq!((owed.name.as_str(), owed.place.line()), ("fetch, for 2.5s", line.get()));
    let question = &why.sessions[1].holds[0];
    assert_eq!((question.kind, question.name.as_str()), (HoldKind::Task, "fetched"));
    kernel.post(server, "reply", ()).unwrap();
    let began = tokio::time::Instant::now();
    run(&kernel).await;
    assert!(began.elapsed() < ms(10), "nothing waits for the end of the time");
    assert_eq!(said(), ["at last"]);
}

#[tokio::test(start_paused = true)]
async fn a_question_that_is_not_replied_in_time_is_withdrawn_if_it_still_waits() {
    let kernel = kernel();
    Session::builder(())
        .on(START, |cx, ()| cx.alias_set("server"))
        .on(FETCH, |cx, n| {
            say(format!("asked for {n}"));
            let (reply, pending) = cx.defer_reply();
            cx.spawn_then(sleep(ms(50)), |_, ()| drop(reply));
            pending
        })
        .create(&kernel)
        .unwrap();
    asker(&[1], ms(20)).create(&kernel).unwrap();
    let began = tokio::time::Instant::now();
    run(&kernel).await;
    assert_eq!(began.elapsed(), ms(50));
    assert_eq!(
        said(),
        ["asked for 1", "cannot call `fetch`: no reply within 20ms; None"]
    );

    // Nobody runs the kernel until the time is over.
    let kernel = self::kernel();
    slow_server(&kernel);
    asker(&[2], ms(20)).create(&kernel).unwrap();
    sleep(ms(30)).await;
    run(&kernel).await;
    assert_eq!(said(), ["cannot call `fetch`: no reply within 20ms; Some(2)"]);
}

#[tokio::test(start_paused = true)]
async fn every_question_ends_with_one_event_that_says_what_went_wrong() {
    let kernel = testing::builder().on_failure(OnFailure::StopSession).build();
    let told = Rc::new(RefCell::new(Vec::new()));
    let log = told.clone();
    life("server", |cx| cx.alias_set("server").unwrap())
        .on("wrong type", |_, _: u64| Reply(1_u8))
        .on("fails", |_, _: u32| -> HandlerResult<Reply<u8>> {
            Err(Failure::msg("a bug"))
        })
        .on_failure(OnFailure::StopSession)
        .create(&kernel)
        .unwrap();
    const REPLIED: Event<Result<u8, CallError<u32>>> = Event::new("replied");
    Session::builder(())
        .on(START, |cx, ()| {
            cx.ask("nobody", "event", 1_u32, REPLIED, SECOND);
            cx.ask(cx.kernel_id(), "event", 2_u32, REPLIED, SECOND);
            cx.ask("server", "no handler", 3_u32, REPLIED, SECOND);
            cx.ask("server", "fails", 4_u32, REPLIED, SECOND);
            // The session was stopped by the failure before.
            cx.delay("later", 1.0, ());
        })
        .on("later", |cx, ()| {
            cx.ask("server", "fails", 5_u32, REPLIED, SECOND);
        })
        .on(REPLIED, move |_, reply| {
            let error = reply.unwrap_err();
            let what = [
                error.is_no_such_session(),
                error.is_unhandled(),
                error.is_died(),
                error.is_wrong_reply(),
            ];
            log.borrow_mut()
                .push((what.iter().position(|is| *is), error.into_arg()));
        })
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    let expected = [
        (Some(0), Some(1)),
        (Some(1), Some(2)),
        (Some(1), Some(3)),
        (Some(2), None),
        (Some(0), Some(5)),
    ];
    assert_eq!(*told.borrow(), expected);
}

#[tokio::test(start_paused = true)]
async fn a_question_whose_target_stops_before_it_is_dispatched_comes_back() {
    let kernel = kernel();
    let target = life("T", |cx| cx.sig("TERM", "term")).create(&kernel).unwrap();
    Session::builder(())
        .on(START, move |cx, ()| {
            cx.signal(target, "KILL", ()).unwrap();
            cx.ask(target, FETCH, 7, FETCHED, SECOND);
        })
        .on(FETCHED, |_, reply| {
            let error = reply.unwrap_err();
            assert!(error.is_no_such_session());
            say(format!("{:?} came back", error.into_arg()));
        })
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["T stop", "Some(7) came back"]);
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_question_gets_no_event_and_its_reply_is_unwanted() {
    let kernel = kernel();
    slow_server(&kernel);
    Session::builder(None::<TaskId>)
        .on(START, |cx, ()| {
            *cx.heap = Some(cx.ask("server", FETCH, 100, FETCHED, SECOND));
            let never_sent = cx.ask("server", FETCH, 5, FETCHED, SECOND);
            assert!(cx.cancel(never_sent));
            cx.delay("give up", 0.05, ());
        })
        .on("give up", |cx, ()| assert!(cx.cancel(cx.heap.unwrap())))
        .on(FETCHED, |_, _| panic!("it was cancelled"))
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["100 unwanted"]);
}

#[tokio::test(start_paused = true)]
async fn a_question_shows_its_caller_and_is_dispatched_in_the_order_of_posts() {
    let kernel = kernel();
    let transcript = Transcript::of(&kernel);
    let server = Session::builder(())
        .on(START, |cx, ()| cx.alias_set("server"))
        .on(FETCH, |cx, n| {
            say(format!(
                "{} in {:?}",
                cx.sender(),
                cx.caller_state().map(|name| name.to_string())
            ));
            Reply(n.to_string())
        })
        .on("post", |_, ()| ())
        .create(&kernel)
        .unwrap();
    Session::builder(())
        .on(START, move |cx, ()| {
            cx.post(server, "post", ()).unwrap();
            cx.ask(server, FETCH, 1, FETCHED, SECOND);
            cx.post(server, "post", ()).unwrap();
        })
        .on(FETCHED, |_, reply| say(reply.unwrap()))
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["2 in Some(\"_start\")", "1"]);
    transcript.assert_eq_without_places(
        "0.000 1 _start kernel
         0.000 2 _start kernel
         0.000 1 post 2
         0.000 1 fetch 2
         0.000 1 post 2
         0.000 2 fetched 2
         0.000 2 _stop kernel
         0.000 1 _stop kernel",
    );
}

/// A named handler: its return type says what it will reply.
fn fetch(cx: &mut Context<'_, Option<DeferredReply<String>>>, n: u32) -> HandlerResult<PendingReply<String>> {
    if n == 0 {
        return Err(Failure::msg("no page 0"));
    }
    let (reply, pending) = cx.defer_reply();
    *cx.heap = Some(reply);
    cx.delay("send", 0.01, ());
    Ok(pending)
}

#[tokio::test(start_paused = true)]
async fn a_handler_may_fail_or_defer() {
    let kernel = testing::builder().on_failure(OnFailure::StopSession).build();
    for _ in 0..2 {
        Session::builder(None)
            .on(START, |cx, ()| {
                cx.alias_set(if cx.session_id().get() == 1 { "server" } else { "other" })
            })
            .on(FETCH, fetch)
            .on("send", |cx, ()| {
                assert!(cx.heap.take().unwrap().send("sent".to_owned()).is_none())
            })
            .create(&kernel)
            .unwrap();
    }
    Session::builder(())
        .on(START, |cx, ()| {
            cx.ask("server", FETCH, 1, FETCHED, SECOND);
            cx.ask("other", FETCH, 0, FETCHED, SECOND);
        })
        .on(FETCHED, |_, reply| say(reply.is_ok()))
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["false", "true"]);
}

#[tokio::test(start_paused = true)]
async fn a_machine_asks_and_defers_as_a_session_does() {
    const ENTER: Event<()> = Event::new("enter");
    let kernel = kernel();
    let server = Nfa::builder(None::<DeferredReply<String>>)
        .state("idle", |s| {
            s.on(ENTER, |_, ()| ()).on(FETCH, |cx, _| {
                let (reply, pending) = cx.defer_reply();
                *cx.runstate = Some(reply);
                cx.goto_state("busy", ENTER, ()).map(|()| pending)
            })
        })
        .state("busy", |s| {
            s.on(ENTER, |cx, ()| {
                cx.spawn_then(sleep(ms(10)), |cx, ()| {
                    cx.runstate.take().unwrap().send("from the machine".to_owned());
                });
            })
        })
        .enter("idle", ENTER, ())
        .start(&kernel)
        .unwrap()
        .id();
    Nfa::builder(())
        .state("only", move |s| {
            s.on(ENTER, move |cx, ()| {
                cx.ask(server, FETCH, 1, FETCHED, SECOND);
            })
            .on(FETCHED, |_, reply| say(reply.unwrap()))
        })
        .enter("only", ENTER, ())
        .start(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["from the machine"]);
}

#[tokio::test(start_paused = true)]
async fn a_reply_deferred_by_a_default_handler_reaches_the_caller() {
    let kernel = kernel();
    let proxy = Session::builder(())
        .on(START, |cx, ()| cx.alias_set("server"))
        .on(DEFAULT, |cx, unhandled| {
            let (reply, pending) = cx.defer_reply();
            cx.spawn_then(sleep(ms(1)), move |_, ()| {
                reply.send(format!("for {}", unhandled.event));
            });
            pending
        })
        .on(STOP, |_, ()| say("proxy stop"))
        .create(&kernel)
        .unwrap();
    asker(&[1], SECOND).create(&kernel).unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["for fetch", "proxy stop"]);
    assert!(!kernel.is_alive(proxy));
}

#[derive(Clone, Debug)]
struct Job {
    /// When the reply comes, in milliseconds; `None` for never: it is dropped then.
    after: u64,
    dropped: bool,
    timeout: u64,
    by_handle: bool,
}

fn jobs() -> impl Strategy<Value = Vec<Job>> {
    let job =
        (0..40_u64, any::<bool>(), 1..40_u64, any::<bool>()).prop_map(|(after, dropped, timeout, by_handle)| Job {
            after,
            dropped,
            timeout,
            by_handle,
        });
    prop::collection::vec(job, 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Each request gets exactly one outcome, as soon as it is certain, and nothing is left.
    #[test]
    fn each_question_has_one_outcome_at_its_time(jobs in jobs()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            type Outcome = (usize, &'static str, u64);
            const DO: Event<(u64, bool), u64> = Event::new("do");
            let kernel = kernel();
            let server = Session::builder(())
                .on(START, |cx, ()| cx.alias_set("server"))
                .on(DO, |cx, (after, dropped)| {
                    let (reply, pending) = cx.defer_reply();
                    cx.spawn_then(sleep(ms(after)), move |_, ()| if !dropped { reply.send(after); });
                    pending
                })
                .create(&kernel)
                .unwrap();
            let began = tokio::time::Instant::now();
            let name = |reply: &Result<u64, CallError<(u64, bool)>>| match reply {
                Ok(_) => "reply",
                Err(error) if error.is_dropped() => "dropped",
                Err(error) if error.is_timed_out() => "time",
                Err(_) => "other",
            };
            let outcomes: Rc<RefCell<Vec<Outcome>>> = Rc::default();
            let mut calls = Vec::new();
            for (i, job) in jobs.iter().cloned().enumerate() {
                let outcomes = outcomes.clone();
                let limit = ms(job.timeout);
                if job.by_handle {
                    let call = kernel.handle().call(server, DO, (job.after, job.dropped)).timeout(limit);
                    calls.push(async move {
                        let reply = call.await;
                        outcomes.borrow_mut().push((i, name(&reply), began.elapsed().as_millis() as u64));
                    });
                } else {
                    Session::builder(())
                        .on(START, move |cx, ()| {
                            cx.ask(server, DO, (job.after, job.dropped), "done", limit);
                        })
                        .on("done", move |_, reply: Result<u64, CallError<(u64, bool)>>| {
                            outcomes.borrow_mut().push((i, name(&reply), began.elapsed().as_millis() as u64));
                        })
                        .create(&kernel)
                        .unwrap();
                }
            }
            let (ran, _) = tokio::join!(kernel.run(), futures_util::future::join_all(calls));
            ran.unwrap();
            assert_no_leaks(&kernel);
            let mut outcomes = outcomes.take();
            outcomes.sort_unstable();
            prop_assert_eq!(outcomes.len(), jobs.len());
            for (i, what, at) in outcomes {
                let job = &jobs[i];
                let replied = if job.dropped { "dropped" } else { "reply" };
                // Tokio's timers have a resolution of a millisecond, so at a tie either may be first.
                match job.after.abs_diff(job.timeout) {
                    0 | 1 => prop_assert!(what == replied || what == "time"),
                    _ if job.after < job.timeout => prop_assert_eq!(what, replied),
                    _ => prop_assert_eq!(what, "time"),
                }
                prop_assert!(at.abs_diff(job.after.min(job.timeout)) <= 2, "{job:?} at {at}");
            }
            Ok(())
        })?;
    }
}
