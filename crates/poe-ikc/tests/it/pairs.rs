//! Two kernels: everything once with MessagePack and once with Storable, as with Perl.

use crate::kit::*;
use poe::event::START;
use poe::storable::Value;
use poe::{Event, Session};
use poe_ikc::{Args, Ikc, Notice, Occurrence, RemoteError, Subscription};
use std::time::Duration;

const SUM: Event<Result<i64, RemoteError>> = Event::new("sum");
const SUMS: Event<Result<Vec<i64>, RemoteError>> = Event::new("sums");
const NUMBER: Event<Result<u32, RemoteError>> = Event::new("number");
const PONG: Event<Result<Duration, RemoteError>> = Event::new("pong");
const GREETING: Event<String> = Event::new("greeting");
const SUBSCRIBED: Event<Result<Subscription, RemoteError>> = Event::new("subscribed");
const MONITOR: Event<Notice> = Event::new("monitor");

/// A pair that speaks MessagePack, and one that speaks Storable.
fn pairs() -> [(Side, Side); 2] {
    let one = (side(Ikc::builder("Cli")), side(Ikc::builder("Pulse")));
    let two = (side(Ikc::builder("Cli").perl_only()), side(Ikc::builder("Pulse")));
    [one, two]
}

#[tokio::test(start_paused = true)]
async fn posts_and_calls_are_handled_and_replied_to_in_order() {
    for (client, server) in pairs() {
        join(&client, &server);
        let (ikc, log) = (client.ikc.clone(), client.log.clone());
        Session::builder(0)
            .on(START, |cx, ()| cx.alias_set("main"))
            .on(GO, move |cx, ()| -> poe::HandlerResult {
                ikc.post("poe://Pulse/test", NOTE, "one".to_owned())?;
                ikc.post("poe:/test", NOTE, "two, to the default kernel".to_owned())?;
                for n in 0..5 {
                    ikc.call(cx, "poe://Pulse/test", ADD, (n, 100), SUM, LONG)?;
                }
                let args = Args::from([1.into(), "2".into(), Value::undef(), 4.into()]);
                ikc.call(cx, "poe://Pulse/test", LIST, args, SUMS, LONG)?;
                ikc.ping(cx, "Pulse", PONG, LONG)?;
                Ok(())
            })
            .on(SUM, {
                let log = log.clone();
                move |_, sum| log.add(format!("{sum:?}"))
            })
            .on(SUMS, {
                let log = log.clone();
                move |_, sums| log.add(format!("{sums:?}"))
            })
            .on(PONG, {
                let (log, ikc) = (log.clone(), client.ikc.clone());
                move |_, pong| {
                    log.add(format!("pong {}", pong.is_ok()));
                    ikc.shutdown();
                }
            })
            .create(&client.kernel)
            .unwrap();
        go(&client, &server).await;
        assert_eq!(server.log.lines(), ["note one", "note two, to the default kernel"]);
        assert_eq!(
            client.log.lines(),
            [
                "Ok(100)",
                "Ok(101)",
                "Ok(102)",
                "Ok(103)",
                "Ok(104)",
                "Ok([1, 2, 4])",
                "pong true"
            ]
        );
    }
}

#[tokio::test(start_paused = true)]
async fn refusals_and_failures_end_the_call_they_belong_to() {
    for (client, server) in pairs() {
        join(&client, &server);
        let (ikc, log) = (client.ikc.clone(), client.log.clone());
        Session::builder(0)
            .on(START, |cx, ()| cx.alias_set("main"))
            .on(GO, move |cx, ()| -> poe::HandlerResult {
                ikc.call(cx, "poe://Pulse/test", FAIL, (), NUMBER, LONG)?;
                ikc.call(cx, "poe://Pulse/test", PANIC, (), NUMBER, LONG)?;
                ikc.call::<_, u32>(cx, "poe://Pulse/test", "secret", (), NUMBER, LONG)?;
                ikc.call::<_, u32>(cx, "poe://Pulse/test", "add", (1, -2), NUMBER, LONG)?;
                Ok(())
            })
            .on(NUMBER, {
                let ikc = client.ikc.clone();
                move |cx, number| {
                    let error = number.unwrap_err();
                    log.add(format!(
                        "{} {} {}",
                        error.is_failed(),
                        error.is_refused(),
                        error.is_wrong_reply()
                    ));
                    *cx.heap += 1;
                    if *cx.heap == 4 {
                        ikc.shutdown();
                    }
                }
            })
            .create(&client.kernel)
            .unwrap();
        go(&client, &server).await;
        let (failed, refused, wrong) = ("true false false", "false true false", "false false true");
        assert_eq!(client.log.lines(), [failed, failed, refused, wrong]);
        assert_eq!((server.ikc.counters().refused, client.ikc.counters().errors), (3, 3));
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_posts_to_its_sender_in_the_other_kernel() {
    for (client, server) in pairs() {
        join(&client, &server);
        client.ikc.publish("main", |p| p.event(GREETING));
        let ikc = client.ikc.clone();
        Session::builder(client.log.clone())
            .on(START, |cx, ()| cx.alias_set("main"))
            .on(GO, move |cx, ()| {
                ikc.post_from(cx, "poe://Pulse/test", GREET, "world".to_owned())
                    .map(drop)
            })
            .on(GREETING, {
                let ikc = client.ikc.clone();
                move |cx, text| {
                    cx.heap.add(text);
                    ikc.shutdown();
                }
            })
            .create(&client.kernel)
            .unwrap();
        go(&client, &server).await;
        assert_eq!(client.log.lines(), ["hello world"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_proxy_is_posted_to_like_a_local_session() {
    for (client, server) in pairs() {
        join(&client, &server);
        client.ikc.publish("main", |p| p.event(GREETING));
        let ikc = client.ikc.clone();
        Session::builder(client.log.clone())
            .on(START, |cx, ()| cx.alias_set("main"))
            .on(GO, move |cx, ()| -> poe::HandlerResult {
                ikc.subscribe(cx, "poe://Pulse/test", SUBSCRIBED, LONG)?;
                Ok(ikc.subscribe(cx, "poe://Pulse/secret", "refused", LONG)?)
            })
            .on("refused", |cx, refused: Result<Subscription, RemoteError>| {
                let error = refused.unwrap_err();
                cx.heap.add(format!("{} {error}", error.is_refused()));
            })
            .on(SUBSCRIBED, |cx, subscribed| -> poe::HandlerResult {
                let subscription = subscribed?;
                assert_eq!(subscription.address, "poe://Pulse/test");
                assert_eq!(cx.alias_resolve("poe://Pulse/test")?, subscription.session);
                assert_ne!(
                    cx.alias_resolve("test")?,
                    subscription.session,
                    "a local session has that name"
                );
                cx.post("poe://Pulse/test", NOTE, "through the proxy".to_owned())?;
                cx.post(subscription.session, "note", "as &str")?;
                cx.post(subscription.session, GREET, "proxy".to_owned())?;
                Ok(())
            })
            .on(GREETING, {
                let ikc = client.ikc.clone();
                move |cx, text| {
                    cx.heap.add(text);
                    assert!(ikc.unsubscribe("poe://Pulse/test") && !ikc.unsubscribe("poe://Pulse/other"));
                    cx.delay("after", 1.0, ());
                }
            })
            .on("after", {
                let ikc = client.ikc.clone();
                move |cx, ()| {
                    assert!(cx.alias_resolve("poe://Pulse/test").is_err());
                    ikc.shutdown();
                }
            })
            .create(&client.kernel)
            .unwrap();
        go(&client, &server).await;
        assert_eq!(server.log.lines(), ["note through the proxy", "note as &str"]);
        let lines = client.log.lines();
        assert_eq!(lines.len(), 2);
        assert!(
            lines[0].starts_with("true") && lines[0].contains("Refused subscription poe://Pulse/secret"),
            "{lines:?}"
        );
        assert_eq!(lines[1], "hello proxy");
    }
}

#[tokio::test(start_paused = true)]
async fn monitors_are_told_the_life_of_a_connection() {
    for (client, server) in pairs() {
        let ikc = client.ikc.clone();
        Session::builder(client.log.clone())
            .on(START, move |cx, ()| {
                ikc.monitor(cx, "Pulse", MONITOR);
                cx.alias_set("main")
            })
            .on(GO, {
                let ikc = client.ikc.clone();
                move |cx, ()| -> poe::HandlerResult {
                    ikc.subscribe(cx, "poe://Pulse/test", SUBSCRIBED, LONG)?;
                    ikc.post("poe://Pulse/test", "secret", 1)?;
                    Ok(())
                }
            })
            .on(SUBSCRIBED, |cx, _| cx.delay("close", 1.0, ()))
            .on("close", {
                let ikc = server.ikc.clone();
                move |_, ()| ikc.shutdown()
            })
            .on(MONITOR, |cx, notice| {
                assert_eq!(
                    (&*notice.monitored, &*notice.kernel, notice.is_id),
                    ("Pulse", "Pulse", false)
                );
                cx.heap.add(match notice.what {
                    Occurrence::Register { pid } => format!("register {}", pid == Some(std::process::id())),
                    Occurrence::Error { operation, .. } => format!("error {operation}"),
                    Occurrence::Subscribe(to) => format!("subscribe {to}"),
                    Occurrence::Unsubscribe(to) => format!("unsubscribe {to}"),
                    other => format!("{other:?}"),
                });
            })
            .create(&client.kernel)
            .unwrap();
        join(&client, &server);
        go(&client, &server).await;
        assert_eq!(
            client.log.lines(),
            [
                "register true",
                "ChannelReady",
                "subscribe poe://Pulse/test",
                "error remote-check",
                "error channel-read",
                "ChannelClosed",
                "Unregister",
                "unsubscribe poe://Pulse/test"
            ]
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_to_a_kernel_that_goes_is_lost_and_one_without_a_reply_times_out() {
    for (client, server) in pairs() {
        join(&client, &server);
        let ikc = client.ikc.clone();
        // A handler of the server that never replies: the peer's kernel is told to stop instead.
        Session::builder(server.ikc.clone())
            .on(START, |cx, ()| cx.alias_set("end"))
            .on("end", |cx, ()| cx.heap.shutdown())
            .create(&server.kernel)
            .unwrap();
        server.ikc.publish("end", |p| p.event::<(), ()>("end"));
        Session::builder(client.log.clone())
            .on(START, |cx, ()| cx.alias_set("main"))
            .on(GO, move |cx, ()| -> poe::HandlerResult {
                ikc.post("poe://Pulse/end", "end", ())?;
                Ok(ikc.call(cx, "poe://Pulse/test", ADD, (1, 2), SUM, LONG)?)
            })
            .on(SUM, {
                let ikc = client.ikc.clone();
                move |cx, sum| {
                    cx.heap.add(format!("{sum:?}"));
                    assert_eq!(ikc.pending_calls(), 0);
                }
            })
            .create(&client.kernel)
            .unwrap();
        go(&client, &server).await;
        // Either the reply was faster than the end, or the loss is reported; never both, and never nothing.
        let lines = client.log.lines();
        assert_eq!(lines.len(), 1, "{lines:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_without_a_reply_times_out_at_its_time() {
    let client = side(Ikc::builder("Cli").perl_only());
    let server = side(Ikc::builder("Pulse"));
    join(&client, &server);
    let ikc = client.ikc.clone();
    // As Perl's rule is, a handler that returns nothing gets no reply with Storable.
    Session::builder(client.log.clone())
        .on(START, |cx, ()| cx.alias_set("main"))
        .on(GO, move |cx, ()| -> poe::HandlerResult {
            let began = tokio::time::Instant::now();
            cx.state("late", move |cx, late: Result<(), RemoteError>| {
                cx.heap.add(format!(
                    "{} {:?}",
                    late.unwrap_err().is_timed_out(),
                    began.elapsed().as_millis() / 100
                ));
            });
            for limit in [3000, 1000, 2000] {
                ikc.call::<_, ()>(
                    cx,
                    "poe://Pulse/test",
                    "note",
                    "x".to_owned(),
                    "late",
                    Duration::from_millis(limit),
                )?;
            }
            cx.delay("end", 4.0, ());
            Ok(())
        })
        .on("end", {
            let ikc = client.ikc.clone();
            move |_, ()| ikc.shutdown()
        })
        .create(&client.kernel)
        .unwrap();
    go(&client, &server).await;
    assert_eq!(client.log.lines(), ["true 10", "true 20", "true 30"]);
}

#[tokio::test(start_paused = true)]
async fn a_call_during_a_shutdown_fails_and_its_time_keeps_nothing_running() {
    let client = side(Ikc::builder("Cli").perl_only());
    let server = side(Ikc::builder("Pulse"));
    join(&client, &server);
    let ikc = client.ikc.clone();
    Session::builder(client.log.clone())
        .on(START, |cx, ()| cx.alias_set("main"))
        .on(GO, move |cx, ()| -> poe::HandlerResult {
            ikc.shutdown();
            ikc.call::<_, ()>(cx, "poe://Pulse/test", "note", "x".to_owned(), "over", LONG)?;
            Ok(())
        })
        .on("over", |cx, over: Result<(), RemoteError>| {
            cx.heap.add(format!("lost: {}", over.unwrap_err().is_lost()));
        })
        .create(&client.kernel)
        .unwrap();
    let began = tokio::time::Instant::now();
    go(&client, &server).await;
    assert!(began.elapsed() < LONG, "{:?}", began.elapsed());
    assert_eq!(client.log.lines(), ["lost: true"]);
}

#[tokio::test(start_paused = true)]
async fn kept_posts_are_sent_in_order_when_the_kernel_connects_and_are_bounded() {
    let client = side(Ikc::builder("Cli").keep_unreachable(3));
    let server = side(Ikc::builder("Pulse"));
    for n in 0..3 {
        assert_eq!(client.ikc.post("poe://Pulse/test", NOTE, n.to_string()).unwrap(), 0);
    }
    let error = client.ikc.post("poe://Pulse/test", NOTE, "3".to_owned()).unwrap_err();
    assert!(error.is_full() && error.into_arg() == "3");
    Session::builder(client.ikc.clone())
        .on(START, |cx, ()| cx.alias_set("main"))
        .on(GO, |cx, ()| -> poe::HandlerResult {
            assert_eq!(cx.heap.post("poe://Pulse/test", NOTE, "behind".to_owned())?, 1);
            cx.delay("end", 1.0, ());
            Ok(())
        })
        .on("end", |cx, ()| cx.heap.shutdown())
        .create(&client.kernel)
        .unwrap();
    join(&client, &server);
    go(&client, &server).await;
    assert_eq!(server.log.lines(), ["note 0", "note 1", "note 2", "note behind"]);
}

#[tokio::test(start_paused = true)]
async fn a_star_reaches_every_kernel_and_this_one() {
    let hub = side(Ikc::builder("Hub"));
    let spokes: Vec<Side> = (0..3).map(|n| side(Ikc::builder(format!("Spoke{n}")))).collect();
    for spoke in &spokes {
        join(spoke, &hub);
    }
    Session::builder(hub.ikc.clone())
        .on(START, |cx, ()| cx.delay("go", 1.0, ()))
        .on(GO, |cx, ()| -> poe::HandlerResult {
            assert_eq!(
                cx.heap
                    .kernels()
                    .iter()
                    .filter(|name| name.starts_with("Spoke"))
                    .count(),
                3
            );
            assert_eq!(cx.heap.post("poe://*/test", NOTE, "all".to_owned())?, 4);
            let error = cx.heap.call(cx, "poe://*/test", ADD, (1, 2), SUM, LONG).unwrap_err();
            assert!(error.to_string().contains("a call goes to one kernel"));
            cx.delay("end", 1.0, ());
            Ok(())
        })
        .on("end", |cx, ()| cx.heap.shutdown())
        .create(&hub.kernel)
        .unwrap();
    let (a, b, c) = (&spokes[0], &spokes[1], &spokes[2]);
    let (hub_ran, ..) = tokio::join!(hub.kernel.run(), a.kernel.run(), b.kernel.run(), c.kernel.run());
    hub_ran.unwrap();
    for side in spokes.iter().chain([&hub]) {
        assert_eq!(side.log.lines(), ["note all"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_deferred_reply_comes_when_it_is_sent_and_one_that_is_dropped_is_a_failure() {
    for perl_only in [false, true] {
        let builder = Ikc::builder("Cli");
        let client = side(if perl_only { builder.perl_only() } else { builder });
        let server = side(Ikc::builder("Pulse").publish("slow", |p| p.event(SLOW)));
        join(&client, &server);
        Session::builder(())
            .on(START, |cx, ()| cx.alias_set("slow"))
            .on(SLOW, |cx, seconds| {
                let (reply, pending) = cx.defer_reply();
                cx.spawn_then(tokio::time::sleep(Duration::from_secs(seconds)), move |_, ()| {
                    if seconds < 5 {
                        reply.send(seconds * 100);
                    }
                });
                pending
            })
            .create(&server.kernel)
            .unwrap();
        let ikc = client.ikc.clone();
        Session::builder(client.log.clone())
            .on(START, |cx, ()| cx.alias_set("main"))
            .on(GO, move |cx, ()| -> poe::HandlerResult {
                for seconds in [3, 1, 5, 2] {
                    ikc.call(cx, "poe://Pulse/slow", SLOW, seconds, SLEPT, LONG)?;
                }
                // Nobody waits for the reply to a post.
                ikc.post("poe://Pulse/slow", "slow", 4_u64)?;
                Ok(())
            })
            .on(SLEPT, {
                let ikc = client.ikc.clone();
                move |cx, slept| match slept {
                    Ok(slept) => cx.heap.add(slept.to_string()),
                    Err(error) => {
                        cx.heap.add(format!("failed: {}", error.is_failed()));
                        ikc.shutdown();
                    }
                }
            })
            .create(&client.kernel)
            .unwrap();
        go(&client, &server).await;
        assert_eq!(client.log.lines(), ["100", "200", "300", "failed: true"]);
    }
}

const SLOW: Event<u64, u64> = Event::new("slow");
const SLEPT: Event<Result<u64, RemoteError>> = Event::new("slept");
