//! A failure in a client's callback ends that client's connection; the other clients and the listener are not affected.

use crate::socket_kit::{Log, within};
use poe::component::{Backoff, TcpClient, TcpServer, TcpServerBuilder};
use poe::filter::{Filter, FilterError, FilterExt, Line};
use poe::{Event, Failure, HandlerResult, Kernel, OnFailure, Signal};
use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const DIED: Event<Signal> = Event::new("died");
/// The line that makes a client's callback fail.
const BAD: &str = "bad";

fn fails(panics: bool) -> HandlerResult {
    if panics {
        panic!("on purpose")
    } else {
        Err(Failure::msg("on purpose"))
    }
}

async fn say(addr: SocketAddr, text: &str) -> TcpStream {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(format!("{text}\n").as_bytes()).await.unwrap();
    stream
}

/// Reads until the end of the connection, which may be a reset.
async fn rest(mut stream: TcpStream) -> String {
    let (mut text, mut block) = (String::new(), [0; 256]);
    while let Ok(read @ 1..) = stream.read(&mut block).await {
        text.push_str(&String::from_utf8_lossy(&block[..read]));
    }
    text
}

async fn line(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    while !text.ends_with('\n') {
        text.push(char::from(stream.read_u8().await.unwrap()));
    }
    text.trim_end().to_owned()
}

/// Runs a good client before, during and after the one whose callback fails; returns the failures reported to the hook.
async fn survives<H: 'static, F: Filter, S: 'static>(builder: TcpServerBuilder<H, F, S>) -> Vec<String> {
    let kernel = Kernel::new();
    let failures = Log::default();
    let told = failures.clone();
    kernel.on_unhandled_failure(move |die| {
        let callback = die.failure.callback().unwrap_or("a state").to_owned();
        told.say(callback.split(' ').next().unwrap_or_default().to_owned());
    });
    let server = builder.start(&kernel).await.unwrap();
    let addr = server.local_addr().unwrap();
    let talk = async {
        let mut good = say(addr, "good").await;
        assert_eq!(line(&mut good).await, "GOOD");
        let bad = say(addr, BAD).await;
        assert!(!rest(bad).await.contains("after"), "the connection is over");
        good.write_all(b"still good\n").await.unwrap();
        assert_eq!(line(&mut good).await, "STILL GOOD");
        let mut later = say(addr, "later").await;
        assert_eq!(line(&mut later).await, "LATER");
        assert!(kernel.is_alive(server.session_id()));
        drop((good, later));
        server.shutdown();
    };
    let (ran, ()) = within(async { tokio::join!(kernel.run(), talk) }).await;
    ran.unwrap();
    assert_eq!(server.connections(), 0);
    failures.lines()
}

fn server() -> TcpServerBuilder<(), Line> {
    TcpServer::builder("127.0.0.1:0")
}

/// Replies to good clients, and logs the others.
fn echo(cx: &mut poe::Context<'_, (), poe::component::Client<Line>>, text: String) {
    cx.client().put(text.to_uppercase());
}

#[tokio::test]
async fn a_failure_or_panic_of_any_callback_of_a_client_ends_that_client_alone() {
    for panics in [false, true] {
        let input = server().client_input(move |cx, text| {
            if text == BAD {
                return fails(panics);
            }
            echo(cx, text);
            Ok(())
        });
        assert_eq!(survives(input).await, ["`client_input`"]);

        let count = Cell::new(0);
        let connected = server().client_input(echo).client_connected(move |_| {
            count.set(count.get() + 1);
            if count.get() == 2 { fails(panics) } else { Ok(()) }
        });
        assert_eq!(survives(connected).await, ["`client_connected`"]);

        let flushed = server()
            .client_heap(|_| false)
            .client_input(|cx, text| {
                *cx.heap = text == BAD;
                cx.client().put(text.to_uppercase());
            })
            .client_flushed(move |cx| if *cx.heap { fails(panics) } else { Ok(()) });
        assert_eq!(survives(flushed).await, ["`client_flushed`"]);

        let high = server()
            .client_heap(|_| false)
            .watermarks(2, 1)
            .client_input(|cx, text| {
                *cx.heap = text == BAD;
                cx.client().put(text.to_uppercase());
            })
            .client_high(move |cx| if *cx.heap { fails(panics) } else { Ok(()) });
        assert_eq!(survives(high).await, ["`client_high`"]);

        let low = server()
            .client_heap(|_| false)
            .watermarks(2, 1)
            .client_input(|cx, text| {
                *cx.heap = text == BAD;
                cx.client().put(text.to_uppercase());
            })
            .client_low(move |cx| if *cx.heap { fails(panics) } else { Ok(()) });
        assert_eq!(survives(low).await, ["`client_low`"]);

        let one_line = |text: String| match text == "refused" {
            true => Err(FilterError::custom("no form")),
            false => Ok(text),
        };
        let error = server()
            .filter(move || Line::new().then(poe::filter::Map::fallible(Ok, one_line)))
            .client_input(|cx, text: String| match &*text {
                BAD => cx.client().put("refused"),
                _ => cx.client().put(text.to_uppercase()),
            })
            .client_error(move |_, error| {
                if error.operation() == "write" {
                    fails(panics)
                } else {
                    Ok(())
                }
            });
        assert_eq!(survives(error).await, ["`client_error`"]);

        let disconnected = server()
            .client_heap(|_| false)
            .client_input(|cx, text| {
                *cx.heap = text == BAD;
                if *cx.heap {
                    cx.client().shutdown()
                } else {
                    cx.client().put(text.to_uppercase())
                }
            })
            .client_disconnected(move |cx| if *cx.heap { fails(panics) } else { Ok(()) });
        assert_eq!(survives(disconnected).await, ["`client_disconnected`"]);
    }
}

/// Callbacks that run before there is a connection.
#[tokio::test]
async fn the_makers_of_a_client_fail_for_that_client_alone() {
    fn second() -> impl Fn() -> bool {
        let count = Cell::new(0);
        move || {
            count.set(count.get() + 1);
            count.get() == 2
        }
    }
    let is_second = second();
    let heap = server()
        .client_heap(move |_| assert!(!is_second(), "no heap"))
        .client_input(echo);
    assert_eq!(survives(heap).await, ["`client_heap`"]);

    // The filter is made once more when the server starts, for the check of its settings.
    let made = Cell::new(0);
    let filter = server()
        .filter(move || {
            made.set(made.get() + 1);
            assert!(made.get() != 3, "no filter");
            Line::new()
        })
        .client_input(echo);
    assert_eq!(survives(filter).await, ["`filter`"]);

    for early in [true, false] {
        let is_second = second();
        let pre_connect = server()
            .client_pre_connect(move |_, stream| {
                let panics = is_second();
                assert!(!(early && panics), "in the closure");
                async move {
                    assert!(!panics, "in the future");
                    Ok(stream)
                }
            })
            .client_input(echo);
        assert_eq!(survives(pre_connect).await, ["`client_pre_connect`"]);
    }

    let state = server()
        .client_input(|cx, text: String| {
            if text == BAD {
                cx.yield_to("a state", ())
            } else {
                cx.client().put(text.to_uppercase())
            }
        })
        .state("a state", |_, ()| fails(false));
    assert_eq!(survives(state).await, ["a"]);
}

/// A filter whose code panics.
#[tokio::test]
async fn a_filter_that_panics_costs_its_own_connection() {
    let single = |text: String| -> Result<String, FilterError> {
        assert!(text != BAD, "a bug in a filter");
        Ok(text)
    };
    let filter = server()
        .filter(move || Line::new().then(poe::filter::Map::fallible(single, Ok)))
        .client_input(|cx, text: String| cx.client().put(text.to_uppercase()));
    assert_eq!(survives(filter).await.len(), 1);
}

/// A handler of the DIE keeps the session; the connection gets no further callback but `client_disconnected`, and ends
/// when its output is written.
#[tokio::test]
async fn a_connection_whose_callback_failed_gets_no_further_callback_but_disconnected() {
    for handles in [true, false] {
        let kernel = Kernel::new();
        let log = Log::default();
        let (input, gone, flushed, failed) = (log.clone(), log.clone(), log.clone(), log.clone());
        let server = server()
            .client_connected(move |cx| {
                if handles {
                    cx.sig("DIE", DIED);
                }
            })
            .client_input(move |cx, text| -> HandlerResult {
                input.say(text.clone());
                cx.client().put(format!("you said {text}"));
                let _: u64 = text.parse()?;
                Ok(())
            })
            .client_flushed(move |_| flushed.say("flushed"))
            .client_error(move |_, error| failed.say(error.to_string()))
            .client_disconnected(move |_| gone.say("disconnected"))
            .state(DIED, |cx, signal| {
                cx.sig_handled();
                let why = signal.die().map(|die| die.failure.to_string()).unwrap_or_default();
                cx.client().put(format!("goodbye: {why}"));
            })
            .start(&kernel)
            .await
            .unwrap();
        let addr = server.local_addr().unwrap();
        let talk = async {
            let stream = say(addr, "1\nx\n2\n3").await;
            let said = rest(stream).await;
            server.shutdown();
            said
        };
        let (ran, said) = within(async { tokio::join!(kernel.run(), talk) }).await;
        ran.unwrap();
        assert_eq!(log.lines(), ["1", "x", "disconnected"]);
        assert!(said.starts_with("you said 1\r\nyou said x\r\n"), "{said}");
        assert_eq!(said.contains("goodbye: invalid digit"), handles, "{said}");
    }
}

/// By default a failure of a `TcpClient` stops the kernel; with `StopSession` it stops that client.
#[tokio::test]
async fn a_tcp_client_has_the_policy_that_it_is_given() {
    for (policy, ends) in [(None, true), (Some(OnFailure::StopSession), false)] {
        let kernel = Kernel::new();
        let server = server()
            .client_connected(|cx| cx.client().put("hello"))
            .client_input(echo)
            .start(&kernel);
        let server = server.await.unwrap();
        let log = Log::default();
        let (gone, stopped) = (log.clone(), log.clone());
        let mut client = TcpClient::builder(server.local_name())
            .server_input(|_, _| fails(false))
            .disconnected(move |_| gone.say("disconnected"))
            .stopped(move |_| {
                stopped.say("stopped");
                server.shutdown();
            });
        if let Some(policy) = policy {
            client = client.on_failure(policy);
        }
        client.start(&kernel).unwrap();
        assert_eq!(within(kernel.run()).await.is_err(), ends);
        assert_eq!(log.lines(), ["disconnected", "stopped"]);
    }
}

/// A client that survives its failure has lost its connection, and reconnects with its backoff.
#[tokio::test]
async fn a_client_that_handles_its_failure_connects_again() {
    let kernel = Kernel::new();
    let server = server()
        .client_connected(|cx| cx.client().put("hello"))
        .client_input(echo)
        .start(&kernel);
    let server = server.await.unwrap();
    let connected = Rc::new(Cell::new(0));
    let count = connected.clone();
    TcpClient::builder(server.local_name())
        .backoff(Backoff::new().first(Duration::from_millis(1)))
        .started(|cx| cx.sig("DIE", DIED))
        .connected(move |_| count.set(count.get() + 1))
        .server_input(move |cx, _| -> HandlerResult {
            if connected.get() < 3 {
                return fails(false);
            }
            cx.server().shutdown();
            server.shutdown();
            Ok(())
        })
        .state(DIED, |cx, _| cx.sig_handled())
        .start(&kernel)
        .unwrap();
    within(kernel.run()).await.unwrap();
}

/// A record of the old filter's type is returned after the change, and a record of the new filter
/// counts for the backoff.
#[tokio::test]
async fn a_record_of_the_old_type_is_handed_back_after_a_switch_of_the_filter() {
    let kernel = Kernel::new();
    let server = server()
        .client_connected(|cx| cx.client().put("hello"))
        .client_input(echo)
        .start(&kernel);
    let server = server.await.unwrap();
    let returned = Log::default();
    let log = returned.clone();
    const TEXT: Event<poe::wheel::Input<String>> = Event::new("text");
    TcpClient::builder(server.local_name())
        .filter(Line::bytes)
        .server_input(|cx, text| -> HandlerResult {
            assert_eq!(text, "hello");
            let server = cx.server();
            server.put(&b"before"[..]);
            let wheel = server.wheel().unwrap();
            wheel.set_filter(Line::new(), TEXT)?;
            let refused = server.try_put(&b"tried"[..]).unwrap_err();
            assert!(refused.is_wrong_type());
            assert_eq!(refused.into_record().as_deref(), Some(&b"tried"[..]));
            server.put(&b"one"[..]);
            server.put(&b"two"[..]);
            Ok(())
        })
        .server_error(move |cx, error| {
            if let Some(record) = cx.server().take_refused() {
                assert_eq!(error.operation(), "write");
                assert!(error.to_string().contains("takes `alloc::string::String`"), "{error}");
                assert!(cx.server().take_refused().is_none());
                log.say(String::from_utf8_lossy(&record));
            }
        })
        .state(TEXT, move |cx, input| {
            assert_eq!(input.record, "BEFORE");
            cx.server().shutdown();
            server.shutdown();
        })
        .start(&kernel)
        .unwrap();
    within(kernel.run()).await.unwrap();
    assert_eq!(returned.lines(), ["one", "two"]);
}

#[tokio::test]
async fn a_record_of_a_changed_filter_resets_the_backoff() {
    const BYTES: Event<poe::wheel::Input<bytes::Bytes>> = Event::new("bytes");
    let kernel = Kernel::new();
    let server = server()
        .client_connected(|cx| cx.client().put("hello"))
        .client_input(echo)
        .start(&kernel);
    let server = server.await.unwrap();
    let numbers = Log::default();
    let log = numbers.clone();
    TcpClient::builder(server.local_name())
        .heap(0)
        .backoff(Backoff::new().first(Duration::from_millis(1)).jitter(0.0))
        .connecting(move |_, attempt| log.say(attempt.number.to_string()))
        .connected(|cx| -> HandlerResult {
            cx.server()
                .wheel()
                .map(|wheel| wheel.set_filter(poe::filter::Raw::new(), BYTES))
                .transpose()?;
            Ok(())
        })
        .server_input(|_, _| unreachable!())
        .state(BYTES, move |cx, _| {
            *cx.heap += 1;
            // The connection is lost, not ended on request.
            cx.server().wheel().unwrap().shutdown_output();
            if *cx.heap == 3 {
                cx.server().shutdown();
                server.shutdown();
            }
        })
        .start(&kernel)
        .unwrap();
    within(kernel.run()).await.unwrap();
    // Each connection was good, so that each attempt after it is the second of a new count.
    assert_eq!(numbers.lines(), ["1", "2", "2"]);
}

/// The program's verdict on a connection counts more than the records that it brought.
#[tokio::test]
async fn a_connection_called_bad_lengthens_the_wait_and_one_called_good_shortens_it() {
    let kernel = Kernel::new();
    let server = server()
        .client_connected(|cx| {
            cx.client().put("denied");
            cx.client().shutdown();
        })
        .client_input(echo)
        .start(&kernel);
    let server = server.await.unwrap();
    let waits = Log::default();
    let log = waits.clone();
    TcpClient::builder(server.local_name())
        .heap(0)
        .backoff(Backoff::new().first(Duration::from_millis(1)).jitter(0.0))
        .connected(|cx| *cx.heap += 1)
        .server_input(|cx, _| if *cx.heap == 4 { cx.mark_good() } else { cx.mark_bad() })
        .waiting(move |_, next| log.say(format!("{:?} {}", next.delay, next.number)))
        .disconnected(move |cx| {
            if *cx.heap == 5 {
                cx.server().shutdown();
                server.shutdown();
            }
        })
        .start(&kernel)
        .unwrap();
    within(kernel.run()).await.unwrap();
    assert_eq!(waits.lines()[..4], ["1ms 2", "2ms 3", "4ms 4", "1ms 2"]);
}

/// Bytes that a client sent before a write to it failed still reach the callback.
#[cfg(unix)]
#[tokio::test]
async fn what_came_before_a_write_failed_reaches_the_callback() {
    const PUT: Event<()> = Event::new("put");
    let kernel = Kernel::new();
    let path = crate::socket_kit::SocketPath::new("last-words");
    let log = Log::default();
    let (input, failed, gone) = (log.clone(), log.clone(), log.clone());
    let server = TcpServer::builder(&*path.0)
        .client_connected(|cx| {
            cx.client().wheel().unwrap().pause_input();
            cx.delay(PUT, Duration::from_millis(100), ());
        })
        .state(PUT, |cx, ()| cx.client().put("into the void"))
        .client_input(move |_, text| input.say(text))
        .client_error(move |_, error| failed.say(error.operation()))
        .client_disconnected(move |_| gone.say("disconnected"))
        .start(&kernel)
        .await
        .unwrap();
    let talk = async {
        let mut stream = tokio::net::UnixStream::connect(&*path.0).await.unwrap();
        let lines: String = (0..1000).map(|n| format!("{n}\n")).collect();
        stream.write_all(lines.as_bytes()).await.unwrap();
        drop(stream);
        while !log.lines().iter().any(|line| line == "disconnected") {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        server.shutdown();
    };
    let (ran, ()) = within(async { tokio::join!(kernel.run(), talk) }).await;
    ran.unwrap();
    let lines = log.lines();
    assert_eq!(lines.first().map(String::as_str), Some("write"));
    let numbers: Vec<String> = lines
        .iter()
        .filter(|line| line.parse::<u32>().is_ok())
        .cloned()
        .collect();
    assert_eq!(numbers, (0..1000).map(|n| n.to_string()).collect::<Vec<_>>());
    assert_eq!(lines.last().map(String::as_str), Some("disconnected"));
}
