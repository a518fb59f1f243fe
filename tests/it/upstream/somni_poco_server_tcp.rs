//! `t/90_regression/somni-poco-server-tcp.t`: the order of the callbacks of both components, four times: plain, with a
//! port, with arguments for the callbacks, with custom states. 43 facts, of which the order is what counts.

use crate::socket_kit::{Log, run, within};
use poe::component::{SHUTDOWN, TcpClient, TcpServer};
use poe::event::DEFAULT;
use poe::{Event, Kernel, States};

const INLINE: Event<String> = Event::new("InlineStates_test");
const TABLE: Event<String> = Event::new("ObjectStates_test");

/// What the four runs differ in.
#[derive(Clone, Default)]
struct Extra {
    listener_args: &'static str,
    client_args: &'static str,
    states: bool,
}

async fn states_of(extra: Extra) -> Vec<String> {
    let kernel = Kernel::new();
    let log = Log::default();
    let (started, connected, input, gone) = (log.clone(), log.clone(), log.clone(), log.clone());
    let (client, extras) = (log.clone(), extra.clone());
    // POE's ListenerArgs and ClientArgs are what the closures capture, and the heap that is made for each client.
    let mut server = TcpServer::builder("127.0.0.1:0")
        .client_heap(move |_| extra.client_args)
        .alias("server")
        .started(move |cx| {
            started.say(format!("server started{}", extras.listener_args));
            let log = client.clone();
            let (start, connect, input, flush) = (log.clone(), log.clone(), log.clone(), log.clone());
            cx.start(
                TcpClient::builder(cx.listener().local_addr().expect("an IP address"))
                    .started(move |_| start.say("client started"))
                    .connected(move |cx| {
                        connect.say("client connected");
                        cx.server().put("I am your new client!");
                    })
                    .server_input(move |cx, line| {
                        input.say(format!("received from server: {line}"));
                        if line == "Go away." {
                            cx.yield_to(SHUTDOWN, ());
                        }
                    })
                    .server_flushed(move |_| flush.say("client flushed")),
            )
            .unwrap();
        })
        .client_connected(move |cx| {
            connected.say(format!("client connected to server{}", *cx.heap));
            cx.client().put("I will be serving you today!");
            cx.yield_to(INLINE, "from server_client_connected".to_owned());
            cx.yield_to(TABLE, "from server_client_connected".to_owned());
        })
        .client_input(move |cx, line| {
            input.say(format!("received from client: {line}"));
            cx.client().put("Go away.");
        })
        .client_disconnected(move |cx| {
            gone.say("client disconnected");
            cx.post("server", SHUTDOWN, ()).unwrap();
        });
    if extra.states {
        let (inline, table) = (log.clone(), log.clone());
        let states = States::new().on(TABLE, move |_, from| table.say(format!("ObjectStates test: {from}")));
        server = server
            .state(INLINE, move |_, from| inline.say(format!("InlineStates test: {from}")))
            .inline_states(&states);
    } else {
        server = server.state(DEFAULT, |_, _| ());
    }
    server.start(&kernel).await.unwrap();
    run(&kernel).await;
    log.lines()
}

/// Takes the first line.
#[track_caller]
fn top(lines: &mut Vec<String>, expected: &str) {
    assert_eq!(lines.first().map(String::as_str), Some(expected), "of {lines:?}");
    lines.remove(0);
}

/// Takes a line wherever it is.
#[track_caller]
fn any(lines: &mut Vec<String>, expected: &str) {
    let at = lines.iter().position(|line| line == expected);
    lines.remove(at.unwrap_or_else(|| panic!("no {expected:?} in {lines:?}")));
}

fn as_poe_has_it(mut lines: Vec<String>, extra: &Extra) {
    let lines = &mut lines;
    top(lines, &format!("server started{}", extra.listener_args));
    top(lines, "client started");
    // Who of the two is told first is up to the system: Perl's poll has the server's first.
    any(lines, &format!("client connected to server{}", extra.client_args));
    any(lines, "client connected");
    if extra.states {
        any(lines, "InlineStates test: from server_client_connected");
        any(lines, "ObjectStates test: from server_client_connected");
    }
    any(lines, "client flushed");
    any(lines, "received from server: I will be serving you today!");
    any(lines, "received from client: I am your new client!");
    top(lines, "received from server: Go away.");
    top(lines, "client disconnected");
    assert_eq!(*lines, [""; 0]);
}

#[tokio::test]
async fn the_callbacks_come_in_order() {
    let extra = Extra::default();
    as_poe_has_it(states_of(extra.clone()).await, &extra);
}

#[tokio::test]
async fn the_callbacks_come_in_order_with_arguments() {
    let extra = Extra {
        listener_args: ": ARRAY HASH SCALAR none",
        client_args: ": none SCALAR HASH ARRAY",
        states: false,
    };
    as_poe_has_it(states_of(extra.clone()).await, &extra);
}

#[tokio::test]
async fn the_callbacks_come_in_order_with_custom_states() {
    let extra = Extra {
        states: true,
        ..Extra::default()
    };
    as_poe_has_it(states_of(extra.clone()).await, &extra);
}

/// The order of each side's callbacks, beside those that Perl prints. Across the two sides it is up to the system.
#[tokio::test]
#[ignore = "needs Perl's POE; .ci/run installs it and runs these"]
async fn perl_twin_of_the_callbacks() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/perl/tcp_callbacks.pl");
    let perl = tokio::process::Command::new("perl")
        .arg(script)
        .kill_on_drop(true)
        .output();
    let perl = within(perl).await.unwrap();
    let perl = String::from_utf8(perl.stdout).unwrap();
    let ours = callbacks().await;
    for side in ["server:", "client:"] {
        let of = |lines: &str| {
            lines
                .lines()
                .filter(|l| l.starts_with(side))
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        assert_eq!(of(&ours), of(&perl), "{side}");
        assert!(of(&perl).len() > 8, "{perl}");
    }
}

/// Every callback of both sides, told as it comes: an exchange, a shutdown that must flush, a reconnection, an EOF.
async fn callbacks() -> String {
    let kernel = Kernel::new();
    let log = Log::default();
    let [l1, l2, l3, l4, l5, l6, l7] = std::array::from_fn(|_| log.clone());
    let server = TcpServer::builder("127.0.0.1:0")
        .alias("server")
        .started(move |_| l1.say("server: started"))
        .stopped(move |_| l7.say("server: stopped"))
        .client_connected(move |_| l2.say("server: connected"))
        .client_input(move |cx, line| {
            l3.say(format!("server: input {line}"));
            cx.client().put(format!("echo {line}"));
            if line == "bye" {
                cx.yield_to(SHUTDOWN, ());
                cx.yield_to(SHUTDOWN, ());
            }
        })
        .client_flushed(move |_| l4.say("server: flushed"))
        .client_error(move |_, error| l5.say(format!("server: {} {}", error.operation(), error.errno().unwrap_or(-1))))
        .client_disconnected(move |_| l6.say("server: disconnected"))
        .start(&kernel)
        .await
        .unwrap();
    let [l1, l2, l3, l4, l5, l6, _] = std::array::from_fn(|_| log.clone());
    TcpClient::builder(server.local_name())
        .heap(0)
        .started(move |_| l1.say("client: started"))
        .connected(move |cx| {
            *cx.heap += 1;
            l2.say("client: connected");
            cx.server().put("hello");
        })
        .server_input(move |cx, line| {
            l3.say(format!("client: input {line}"));
            match (&*line, *cx.heap) {
                ("echo hello", 1) => cx.server().put("bye"),
                ("echo hello", _) => cx.yield_to(SHUTDOWN, ()),
                _ => {}
            }
        })
        .server_flushed(move |_| l4.say("client: flushed"))
        .server_error(move |_, error| l5.say(format!("client: {} {}", error.operation(), error.errno().unwrap_or(-1))))
        .disconnected(move |cx| {
            l6.say("client: disconnected");
            match *cx.heap {
                1 => cx.reconnect(),
                _ => cx.post("server", SHUTDOWN, ()).unwrap(),
            }
        })
        .start(&kernel)
        .unwrap();
    run(&kernel).await;
    log.lines().join("\n")
}

#[tokio::test]
async fn each_side_gets_its_callbacks_in_order() {
    let said = callbacks().await;
    let of = |side: &str| said.lines().filter_map(|l| l.strip_prefix(side)).collect::<Vec<_>>();
    let server = [
        "started",
        "connected",
        "input hello",
        "flushed",
        "input bye",
        "flushed",
        "disconnected",
        "connected",
        "input hello",
        "flushed",
        "read 0",
        "disconnected",
        "stopped",
    ];
    assert_eq!(of("server: "), server);
    let client = [
        "started",
        "connected",
        "flushed",
        "input echo hello",
        "flushed",
        "input echo bye",
        "read 0",
        "disconnected",
        "connected",
        "flushed",
        "input echo hello",
        "disconnected",
    ];
    assert_eq!(of("client: "), client);
}
