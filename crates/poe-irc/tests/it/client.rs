//! The client: registration, state, reconnects, flood control, the end.

use crate::kit::{LONG, Log, Net, listener};
use poe::component::Backoff;
use poe::testing::{assert_no_leaks, kernel, run_for};
use poe_irc::{ClientLimits, Irc, IrcBuilder, IrcClient, Sasl};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

fn bot() -> IrcBuilder {
    IrcClient::builder("bot", "memory:irc").channel("#poe")
}

/// Ends everything and checks that nothing is left.
async fn ends(kernel: &poe::Kernel, irc: &Irc, server: &poe::component::TcpServer) {
    irc.quit("bye");
    server.shutdown();
    run_for(kernel, 60 * SECOND).await.unwrap();
    assert_no_leaks(kernel);
}

#[tokio::test(start_paused = true)]
async fn it_registers_joins_speaks_and_quits() {
    let kernel = kernel();
    let (net, server) = Net::start(&kernel).await;
    let (irc, log) = (bot().start(&kernel).unwrap(), Log::default());
    listener(&kernel, &irc, &log);
    run_for(&kernel, 10 * SECOND).await.unwrap();
    assert_eq!(
        log.take(),
        ["connected memory:irc", "001", "join #poe bot", "synced #poe"]
    );
    assert_eq!(
        *net.heard.borrow(),
        [
            "CAP LS 302",
            "NICK bot",
            "USER bot 0 * bot",
            "CAP END",
            "JOIN #poe",
            "MODE #poe",
        ]
    );
    assert_eq!(irc.channels(), ["#poe"]);
    let channel = irc.channel("#POE").unwrap();
    assert_eq!(channel.topic.as_ref().unwrap(), "About POE");
    assert_eq!(channel.modes.keys().collect::<String>(), "nt");
    assert!(irc.is_operator("#poe", "BOT"));
    irc.privmsg("bot", "to myself").unwrap();
    irc.action("bot", "waves").unwrap();
    irc.ctcp("bot", "time", "now").unwrap();
    run_for(&kernel, 10 * SECOND).await.unwrap();
    assert_eq!(
        log.take(),
        ["msg bot bot: to myself", "action bot bot: waves", "ctcp TIME now"]
    );
    irc.quit("bye");
    server.shutdown();
    run_for(&kernel, 10 * SECOND).await.unwrap();
    assert_eq!(
        log.take(),
        ["error Closing link: bye", "disconnected Closing link: bye", "shutdown"]
    );
    assert!(irc.privmsg("#poe", "late").unwrap_err().is_not_connected());
    assert_no_leaks(&kernel);
}

#[tokio::test(start_paused = true)]
async fn two_clients_see_one_another() {
    let kernel = kernel();
    let (_net, server) = Net::start(&kernel).await;
    let (irc, log) = (bot().start(&kernel).unwrap(), Log::default());
    listener(&kernel, &irc, &log);
    run_for(&kernel, 10 * SECOND).await.unwrap();
    let other = IrcClient::builder("ann", "memory:irc").start(&kernel).unwrap();
    run_for(&kernel, SECOND).await.unwrap();
    other.join("#poe").unwrap();
    run_for(&kernel, SECOND).await.unwrap();
    assert!(irc.member("#poe", "ANN").is_some());
    assert_eq!(irc.user("ann").unwrap().host.unwrap(), "host");
    other.privmsg("#poe", "hello\nthere").unwrap();
    other.ctcp("bot", "VERSION", "").unwrap();
    run_for(&kernel, 20 * SECOND).await.unwrap();
    other.change_nick("bea").unwrap();
    run_for(&kernel, 20 * SECOND).await.unwrap();
    assert!(irc.member("#poe", "ann").is_none() && irc.member("#poe", "bea").is_some());
    other.quit("");
    run_for(&kernel, 20 * SECOND).await.unwrap();
    assert_eq!(
        log.take()[4..],
        [
            "join #poe ann",
            "public #poe ann: hello",
            "public #poe ann: there",
            "ctcp VERSION ",
            "nick ann bea",
            "quit bea [\"#poe\"]",
        ]
    );
    assert!(irc.user("bea").is_none());
    ends(&kernel, &irc, &server).await;
}

#[tokio::test(start_paused = true)]
async fn capabilities_are_listed_in_lines_and_requested_where_wanted() {
    let kernel = kernel();
    let (net, server) = Net::start(&kernel).await;
    *net.caps.borrow_mut() = "multi-prefix sts=port=6697 draft/x;server-time echo-message sasl=PLAIN".into();
    let irc = bot().capability("echo-message").start(&kernel).unwrap();
    run_for(&kernel, 10 * SECOND).await.unwrap();
    assert_eq!(net.lines("CAP REQ"), ["CAP REQ :multi-prefix server-time echo-message"]);
    assert_eq!(irc.capabilities(), ["echo-message", "multi-prefix", "server-time"]);
    ends(&kernel, &irc, &server).await;
}

#[tokio::test(start_paused = true)]
async fn sasl_comes_before_the_registration_and_its_refusal_ends_it() {
    let kernel = kernel();
    let (net, server) = Net::start(&kernel).await;
    *net.caps.borrow_mut() = "sasl=PLAIN,EXTERNAL".into();
    *net.sasl.borrow_mut() = Some("amlsbGVzAGppbGxlcwBzZXNhbWU=".into());
    assert!(
        bot()
            .sasl(Sasl::plain("jilles", "sesame"))
            .start(&kernel)
            .unwrap_err()
            .to_string()
            .contains("needs TLS")
    );
    let good = bot().sasl(Sasl::plain("jilles", "sesame")).allow_plaintext_passwords();
    let irc = good.start(&kernel).unwrap();
    run_for(&kernel, 5 * SECOND).await.unwrap();
    assert!(irc.is_registered());
    assert_eq!(net.lines("AUTHENTICATE").len(), 2);
    irc.quit("");
    run_for(&kernel, 5 * SECOND).await.unwrap();

    let bad = bot()
        .sasl(Sasl::plain("jilles", "guess"))
        .allow_plaintext_passwords()
        .backoff(None);
    let (irc, log) = (bad.start(&kernel).unwrap(), Log::default());
    listener(&kernel, &irc, &log);
    run_for(&kernel, 5 * SECOND).await.unwrap();
    let why = "SASL: SASL authentication failed";
    let told = [
        "connected memory:irc",
        &format!("socketerr {why}"),
        &format!("disconnected {why}"),
        "shutdown",
    ];
    assert_eq!(log.take(), told);

    *net.caps.borrow_mut() = "server-time".into();
    let (irc, log) = (
        bot().sasl(Sasl::external()).backoff(None).start(&kernel).unwrap(),
        Log::default(),
    );
    listener(&kernel, &irc, &log);
    run_for(&kernel, 5 * SECOND).await.unwrap();
    assert!(log.has("socketerr the server offers no SASL"));
    server.shutdown();
    run_for(&kernel, 5 * SECOND).await.unwrap();
    assert_no_leaks(&kernel);
}

#[tokio::test(start_paused = true)]
async fn a_nickname_in_use_is_replaced_and_reclaimed() {
    let kernel = kernel();
    let (net, server) = Net::start(&kernel).await;
    net.ghost(&kernel, "bot");
    net.ghost(&kernel, "robot");
    let (irc, log) = (bot().other_nick("robot").start(&kernel).unwrap(), Log::default());
    listener(&kernel, &irc, &log);
    run_for(&kernel, 10 * SECOND).await.unwrap();
    assert_eq!(irc.nick(), "bot_1");
    assert_eq!(log.take()[1..3], ["433 bot", "433 robot"]);
    run_for(&kernel, 100 * SECOND).await.unwrap();
    assert_eq!(irc.nick(), "bot_1");
    net.remove_ghost("bot");
    run_for(&kernel, 31 * SECOND).await.unwrap();
    assert_eq!(irc.nick(), "bot");
    // No further requests.
    let asked = net.lines("NICK").len();
    run_for(&kernel, LONG).await.unwrap();
    assert_eq!(net.lines("NICK").len(), asked);
    ends(&kernel, &irc, &server).await;
}

#[tokio::test(start_paused = true)]
async fn a_nickname_is_reclaimed_at_once_when_its_user_quits() {
    let kernel = kernel();
    let (_net, server) = Net::start(&kernel).await;
    let holder = bot().start(&kernel).unwrap();
    run_for(&kernel, 5 * SECOND).await.unwrap();
    let irc = bot().reclaim_nick(Some(LONG)).start(&kernel).unwrap();
    run_for(&kernel, 5 * SECOND).await.unwrap();
    assert_eq!(irc.nick(), "bot_1");
    holder.quit("");
    run_for(&kernel, 5 * SECOND).await.unwrap();
    assert_eq!(irc.nick(), "bot");
    ends(&kernel, &irc, &server).await;
}

#[tokio::test(start_paused = true)]
async fn it_reconnects_with_growing_delays_and_enters_its_channels_again() {
    let kernel = kernel();
    let (net, server) = Net::start(&kernel).await;
    let backoff = Backoff::new().first(5 * SECOND).jitter(0.0).longest(60 * SECOND);
    let (irc, log) = (bot().backoff(Some(backoff)).start(&kernel).unwrap(), Log::default());
    listener(&kernel, &irc, &log);
    run_for(&kernel, 5 * SECOND).await.unwrap();
    irc.join_with_key("#more", "key").unwrap();
    irc.join("#left").unwrap();
    run_for(&kernel, 5 * SECOND).await.unwrap();
    irc.part("#left", "").unwrap();
    run_for(&kernel, 5 * SECOND).await.unwrap();
    log.take();
    net.cut(&kernel, "bot");
    run_for(&kernel, 4 * SECOND).await.unwrap();
    assert_eq!(
        log.take(),
        ["disconnected the server closed the connection", "again in 5 s"]
    );
    assert!(!irc.is_registered());
    run_for(&kernel, 20 * SECOND).await.unwrap();
    assert_eq!(irc.channels(), ["#more", "#poe"]);
    assert_eq!(net.lines("JOIN #more").last().unwrap(), "JOIN #more key");
    log.take();
    net.cut(&kernel, "bot");
    run_for(&kernel, SECOND).await.unwrap();
    assert!(log.has("again in 10 s"), "the connection was short");
    run_for(&kernel, 200 * SECOND).await.unwrap();
    log.take();
    net.cut(&kernel, "bot");
    run_for(&kernel, SECOND).await.unwrap();
    assert!(log.has("again in 5 s"), "the connection was good");
    ends(&kernel, &irc, &server).await;
}

#[tokio::test(start_paused = true)]
async fn it_ends_while_it_waits_and_when_attempts_are_used_up() {
    let kernel = kernel();
    let (irc, log) = (bot().start(&kernel).unwrap(), Log::default());
    listener(&kernel, &irc, &log);
    run_for(&kernel, SECOND).await.unwrap();
    irc.quit("");
    run_for(&kernel, SECOND).await.unwrap();
    assert!(log.has("shutdown"));
    assert_no_leaks(&kernel);
    let (irc, log) = (
        bot().backoff(Some(Backoff::new().attempts(3))).start(&kernel).unwrap(),
        Log::default(),
    );
    listener(&kernel, &irc, &log);
    run_for(&kernel, LONG).await.unwrap();
    assert_eq!(
        log.take().iter().filter(|line| line.starts_with("socketerr")).count(),
        3
    );
    assert_no_leaks(&kernel);
}

#[tokio::test(start_paused = true)]
async fn the_next_server_is_tried() {
    let kernel = kernel();
    let (_net, server) = Net::start(&kernel).await;
    let irc = IrcClient::builder("bot", "memory:nobody")
        .server("memory:irc")
        .start(&kernel)
        .unwrap();
    run_for(&kernel, 20 * SECOND).await.unwrap();
    assert!(irc.is_registered());
    ends(&kernel, &irc, &server).await;
}

#[tokio::test(start_paused = true)]
async fn output_keeps_to_the_rule_of_servers() {
    let kernel = kernel();
    let (net, server) = Net::start(&kernel).await;
    let irc = IrcClient::builder("bot", "memory:irc").start(&kernel).unwrap();
    run_for(&kernel, 60 * SECOND).await.unwrap();
    for n in 0..20 {
        irc.privmsg("#poe", format!("line {n}")).unwrap();
    }
    run_for(&kernel, Duration::from_millis(500)).await.unwrap();
    assert_eq!(net.lines("PRIVMSG").len(), 5);
    run_for(&kernel, 10 * SECOND).await.unwrap();
    assert_eq!(net.lines("PRIVMSG").len(), 10);
    assert_eq!(irc.queued(), 10);
    // A PING of the server is replied to at once.
    net.tell(&kernel, "bot", "PING :are you there");
    run_for(&kernel, Duration::from_millis(10)).await.unwrap();
    assert_eq!(net.lines("PONG"), ["PONG :are you there"]);
    run_for(&kernel, 60 * SECOND).await.unwrap();
    let lines = net.lines("PRIVMSG");
    assert_eq!(lines.len(), 20);
    assert!(
        lines
            .iter()
            .enumerate()
            .all(|(n, line)| line.ends_with(&format!("line {n}")))
    );
    ends(&kernel, &irc, &server).await;
}

#[tokio::test(start_paused = true)]
async fn the_queue_has_a_limit_and_refuses_with_the_message() {
    let kernel = kernel();
    let (net, server) = Net::start(&kernel).await;
    let mut limits = ClientLimits::default();
    limits.queue = 10;
    let irc = IrcClient::builder("bot", "memory:irc")
        .limits(limits)
        .start(&kernel)
        .unwrap();
    run_for(&kernel, 60 * SECOND).await.unwrap();
    let refused: Vec<_> = (0..30)
        .filter_map(|n| irc.privmsg("#poe", n.to_string()).err())
        .collect();
    assert_eq!(refused.len(), 20);
    assert!(refused[0].is_queue_full() && refused[0].message().unwrap().params()[1] == "10");
    assert!(irc.privmsg("#a b", "x").unwrap_err().is_malformed());
    assert!(irc.privmsg("x".repeat(600), "x").unwrap_err().is_malformed());
    run_for(&kernel, 60 * SECOND).await.unwrap();
    assert_eq!(net.lines("PRIVMSG").len(), 10);
    ends(&kernel, &irc, &server).await;
}

#[tokio::test(start_paused = true)]
async fn long_text_is_cut_and_what_the_server_relays_fits() {
    let kernel = kernel();
    let (net, server) = Net::start(&kernel).await;
    let (irc, log) = (bot().flood(None).start(&kernel).unwrap(), Log::default());
    listener(&kernel, &irc, &log);
    run_for(&kernel, 5 * SECOND).await.unwrap();
    log.take();
    irc.privmsg("bot", "äöü ".repeat(300)).unwrap();
    run_for(&kernel, 5 * SECOND).await.unwrap();
    assert_eq!(net.lines("PRIVMSG").len(), 5);
    let all: String = log
        .take()
        .iter()
        .map(|line| line.trim_start_matches("msg bot bot: ").to_owned() + " ")
        .collect();
    assert_eq!(all.split_whitespace().count(), 300);
    ends(&kernel, &irc, &server).await;
}

#[tokio::test(start_paused = true)]
async fn a_silent_server_is_asked_and_then_left() {
    let kernel = kernel();
    let (net, server) = Net::start(&kernel).await;
    let (irc, log) = (bot().start(&kernel).unwrap(), Log::default());
    listener(&kernel, &irc, &log);
    run_for(&kernel, LONG).await.unwrap();
    assert!(net.lines("PING").len() > 10);
    assert_eq!(net.connections.get(), 1);
    net.is_deaf.set(true);
    run_for(&kernel, 600 * SECOND).await.unwrap();
    assert!(log.has("disconnected the server is silent"));
    assert!(net.connections.get() > 1);
    ends(&kernel, &irc, &server).await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_let_in_is_left() {
    let kernel = kernel();
    let server = poe::component::TcpServer::builder("memory:irc")
        .start(&kernel)
        .await
        .unwrap();
    let (irc, log) = (bot().backoff(None).start(&kernel).unwrap(), Log::default());
    listener(&kernel, &irc, &log);
    run_for(&kernel, 70 * SECOND).await.unwrap();
    assert!(log.has("disconnected the server did not complete the registration in time"));
    ends(&kernel, &irc, &server).await;
}

#[tokio::test(start_paused = true)]
async fn lines_that_are_no_messages_end_nothing() {
    let kernel = kernel();
    let server = poe::component::TcpServer::builder("memory:irc")
        .filter(|| poe::filter::Line::bytes().literal("\r\n"))
        .client_input(|cx, line| {
            if line.starts_with(b"USER") {
                for line in [
                    &b":s 001 bot :hi"[..],
                    b"@x",
                    b":",
                    &[b'y'; 9000],
                    b"PRIVMSG",
                    b"JOIN",
                    b"353 a b",
                    b"MODE #x +o",
                    b":x!y@z PRIVMSG bot :\xff\xfe",
                    b"KICK",
                    b"NICK",
                    b"CAP",
                    b"CAP * LS * :a",
                ] {
                    cx.client().put(line);
                }
            }
        })
        .start(&kernel)
        .await
        .unwrap();
    let (irc, log) = (bot().start(&kernel).unwrap(), Log::default());
    listener(&kernel, &irc, &log);
    run_for(&kernel, 10 * SECOND).await.unwrap();
    assert!(log.has("msg bot x: \u{fffd}\u{fffd}"), "{:?}", log.take());
    assert!(irc.is_registered());
    ends(&kernel, &irc, &server).await;
}

#[tokio::test(start_paused = true)]
async fn reconnecting_is_a_command_too() {
    let kernel = kernel();
    let (net, server) = Net::start(&kernel).await;
    let (irc, log) = (bot().start(&kernel).unwrap(), Log::default());
    listener(&kernel, &irc, &log);
    run_for(&kernel, 5 * SECOND).await.unwrap();
    irc.reconnect();
    run_for(&kernel, 20 * SECOND).await.unwrap();
    assert!(irc.is_registered());
    assert_eq!((net.connections.get(), net.lines("QUIT").len()), (2, 1));
    ends(&kernel, &irc, &server).await;
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_of_the_kernel_ends_it() {
    let kernel = kernel();
    let (_net, _server) = Net::start(&kernel).await;
    let (irc, log) = (bot().start(&kernel).unwrap(), Log::default());
    listener(&kernel, &irc, &log);
    run_for(&kernel, 5 * SECOND).await.unwrap();
    let (ran, report) = tokio::join!(kernel.run(), kernel.shutdown(10 * SECOND));
    ran.unwrap();
    assert!(report.is_clean());
    assert!(!irc.is_registered() && !log.has("again in 5 s"));
    assert_no_leaks(&kernel);
}

/// Netsplits, nicknames, joins and messages for a day: what is known stays as small as the network.
#[tokio::test(start_paused = true)]
async fn a_day_leaves_nothing_behind() {
    let kernel = kernel();
    let (net, server) = Net::start(&kernel).await;
    let irc = bot().start(&kernel).unwrap();
    run_for(&kernel, 5 * SECOND).await.unwrap();
    for hour in 0..24 {
        let guests: Vec<Irc> = (0..5)
            .map(|n| {
                IrcClient::builder(format!("guest{n}"), "memory:irc")
                    .channel("#poe")
                    .start(&kernel)
                    .unwrap()
            })
            .collect();
        run_for(&kernel, 600 * SECOND).await.unwrap();
        assert_eq!(irc.channel("#poe").unwrap().len(), 6, "hour {hour}");
        for guest in &guests {
            guest.privmsg("#poe", "hello").unwrap();
            guest.change_nick(format!("{}x", guest.nick())).unwrap();
        }
        run_for(&kernel, 600 * SECOND).await.unwrap();
        guests.iter().for_each(|guest| guest.quit("bye"));
        run_for(&kernel, 1200 * SECOND).await.unwrap();
        assert_eq!(irc.channel("#poe").unwrap().len(), 1);
        assert!(irc.user("guest0x").is_none() && irc.user("guest0").is_none());
        net.cut(&kernel, "bot");
        run_for(&kernel, 1200 * SECOND).await.unwrap();
        assert!(irc.is_registered() && irc.queued() == 0);
        // The bot and the server's listener and connection, and nothing of the guests.
        assert_eq!(kernel.session_count(), 3, "{}", kernel.why_alive());
    }
    ends(&kernel, &irc, &server).await;
}
