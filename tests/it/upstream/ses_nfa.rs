//! POE's ses_nfa, fact by fact: a light switch, `stop`, a Fibonacci server by call and return, handlers set at run time,
//! options, postbacks and callbacks per state. (Its facts about `$_[OBJECT]` are about Perl's method calls alone.)

use crate::laws_kit::{kernel, run, said, say};
use poe::event::{DEFAULT, SILENT, START};
use poe::{HandlerResult, Nfa, Session, SessionId};

#[tokio::test(start_paused = true)]
async fn a_light_is_on_after_each_odd_push_of_its_button() {
    let kernel = kernel();
    Nfa::builder(())
        .state("initial", |s| {
            s.on("start", |cx, ()| -> HandlerResult {
                cx.alias_set("switch")?;
                cx.goto_state("off", SILENT, ())
            })
        })
        .state("off", |s| {
            s.on("enter", |cx, pusher: SessionId| -> HandlerResult {
                Ok(cx.post(pusher, "visibility", false)?)
            })
            .on("pushed", |cx, ()| cx.goto_state("on", "enter", cx.sender()))
            .on(DEFAULT, |_, _| ())
        })
        .state("on", |s| {
            s.on("enter", |cx, pusher: SessionId| -> HandlerResult {
                Ok(cx.post(pusher, "visibility", true)?)
            })
            .on("pushed", |cx, ()| cx.goto_state("off", "enter", cx.sender()))
            .on(DEFAULT, |_, _| ())
        })
        .enter("initial", "start", ())
        .start(&kernel)
        .unwrap();
    Session::builder(0_u32)
        .on(START, |cx, ()| -> HandlerResult {
            cx.alias_set("operator")?;
            cx.yield_to("push", ());
            Ok(())
        })
        .on("push", |cx, ()| -> HandlerResult {
            *cx.heap += 1;
            Ok(cx.post("switch", "pushed", ())?)
        })
        .on("visibility", |cx, on: bool| {
            assert_eq!(*cx.heap % 2 == 1, on);
            say(on);
            if *cx.heap < 10 {
                cx.yield_to("push", ());
            }
        })
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(said().len(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_stops_itself_in_its_first_state_is_gone() {
    let kernel = kernel();
    let id = Nfa::builder(())
        .state("initial", |s| {
            s.on("start", |cx, ()| {
                cx.refcount_increment(cx.session_id(), "held").unwrap();
                cx.stop();
            })
        })
        .enter("initial", "start", ())
        .start(&kernel)
        .unwrap()
        .id();
    assert!(kernel.is_alive(id));
    run(&kernel).await;
    assert!(!kernel.is_alive(id));
}

#[derive(Default)]
struct Fibonacci {
    client: Option<SessionId>,
    pair: (u64, u64),
    n: u64,
    target: u64,
}

#[tokio::test(start_paused = true)]
async fn a_server_computes_fibonacci_numbers_in_a_state_that_it_calls() {
    let kernel = kernel();
    Nfa::builder(Fibonacci::default())
        .state("initial", |s| {
            s.on("start", |cx, ()| -> HandlerResult {
                cx.alias_set("server")?;
                cx.goto_state("listen", SILENT, ())
            })
        })
        .state("listen", |s| {
            s.on("request", |cx, n: u64| {
                cx.runstate.client = Some(cx.sender());
                cx.call_state::<_, u64>("answer", "calculate", "start", n)
            })
            .on("answer", |cx, f: u64| -> HandlerResult {
                let client = cx.runstate.client.take().unwrap();
                Ok(cx.post(client, "fib", f)?)
            })
            .on(DEFAULT, |_, _| ())
        })
        .state("calculate", |s| {
            s.on("start", |cx, n: u64| -> HandlerResult {
                if n < 2 {
                    cx.return_state(n)?;
                }
                cx.runstate.pair = (0, 1);
                cx.runstate.n = 1;
                cx.runstate.target = n;
                cx.yield_to("next", ());
                Ok(())
            })
            .on("next", |cx, ()| -> HandlerResult {
                let (a, b) = cx.runstate.pair;
                cx.runstate.pair = (b, a + b);
                cx.runstate.n += 1;
                if cx.runstate.n == cx.runstate.target {
                    cx.return_state(a + b)?;
                } else {
                    cx.yield_to("next", ());
                }
                Ok(())
            })
            .on(DEFAULT, |_, _| ())
        })
        .enter("initial", "start", ())
        .start(&kernel)
        .unwrap();
    const WANTED: [(u64, u64); 10] = [
        (0, 0),
        (1, 1),
        (2, 1),
        (3, 2),
        (4, 3),
        (5, 5),
        (17, 1597),
        (23, 28_657),
        (29, 514_229),
        (43, 433_494_437),
    ];
    Session::builder(0_usize)
        .on(START, |cx, ()| -> HandlerResult {
            cx.alias_set("client")?;
            cx.yield_to("next_test", ());
            Ok(())
        })
        .on("next_test", |cx, ()| -> HandlerResult {
            Ok(cx.post("server", "request", WANTED[*cx.heap].0)?)
        })
        .on("fib", |cx, f: u64| {
            assert_eq!(f, WANTED[*cx.heap].1);
            say(f);
            *cx.heap += 1;
            if *cx.heap < WANTED.len() {
                cx.yield_to("next_test", ());
            }
        })
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(said().len(), WANTED.len());
}

#[tokio::test(start_paused = true)]
async fn handlers_set_at_run_time_options_postbacks_and_callbacks() {
    let kernel = kernel();
    Nfa::builder(vec!["anything"])
        .state("initial", |s| {
            s.on("start", |cx, ()| -> HandlerResult {
                cx.alias_set("dynamicstates")?;
                cx.goto_state("listen", "send", ())?;
                cx.state("test_wheel_event", |cx, ()| cx.yield_to("happened", ()));

                assert_eq!(cx.set_option("default", "on"), None);
                assert_eq!(cx.option("DEFAULT").as_deref(), Some("1"));
                assert_eq!(cx.remove_option("default").as_deref(), Some("1"));
                assert_eq!(cx.option("default"), None);

                // The callback finds this state still, the postback the next one.
                let callback = cx.callback::<(), (), ()>("callback", ());
                callback.call(&mut *cx, ())?;
                cx.postback("postback", ()).post(())?;
                Ok(())
            })
            .on("callback", |_, ((), ()): ((), ())| say("callback"))
            .on("postback", |_, ((), ()): ((), ())| say("postback too early"))
            .on(DEFAULT, |_, _| ())
        })
        .state("listen", |s| {
            s.on("send", |cx, ()| cx.yield_to("test_wheel_event", ()))
                .on("happened", |cx, ()| {
                    assert_eq!(cx.current_state(), cx.state_of_event());
                    assert_eq!(*cx.runstate, ["anything"]);
                    say("wheel event happened");
                })
                .on("callback", |_, ((), ()): ((), ())| say("callback too late"))
                .on("postback", |_, ((), ()): ((), ())| say("postback"))
        })
        .enter("initial", "start", ())
        .start(&kernel)
        .unwrap();
    kernel.run().await.unwrap();
    assert_eq!(said(), ["callback", "postback", "wheel event happened"]);
}
