//! A day of virtual time, after which a client and its server must hold no more memory than before.

// A global allocator is an unsafe trait. This one only counts and passes everything on to the system's.
#![allow(unsafe_code)]
#![allow(dead_code)] // The kit has more than this test needs.

#[path = "../../../benches/valgrind/src/counting.rs"]
mod counting;
#[path = "it/kit.rs"]
mod kit;

use counting::allocated;
use kit::{LONG, Log, Net, listener};
use poe::testing::{assert_no_leaks, kernel, run_for};
use poe_irc::{Irc, IrcClient};
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

fn client(kernel: &poe::Kernel, nick: &str) -> Irc {
    IrcClient::builder(nick, "memory:irc")
        .channel("#poe")
        .start(kernel)
        .unwrap()
}

/// An hour of a channel's life: talk, private words, requests, nicknames, users who come, leave and quit, and a lost connection.
async fn hour(kernel: &poe::Kernel, net: &Net, bots: &[Irc], log: &Log) {
    for minute in 0..60 {
        let (bot, other) = (&bots[minute % 3], &bots[(minute + 1) % 3]);
        bot.privmsg("#poe", format!("minute {minute}\nof this hour")).unwrap();
        bot.ctcp(other.nick(), "PING", minute.to_string()).unwrap();
        other.privmsg(bot.nick(), "a private word").unwrap();
        match minute {
            5 => bot.join("#other").unwrap(),
            12 => {
                let was = bots[2].nick();
                bots[2].change_nick("guest").unwrap();
                run_for(kernel, MINUTE / 2).await.unwrap();
                assert_eq!(bots[2].nick(), "guest");
                bots[2].change_nick(was).unwrap();
            }
            25 => {
                let visitor = client(kernel, "visitor");
                run_for(kernel, MINUTE / 2).await.unwrap();
                assert!(bots[0].user("visitor").is_some());
                visitor.quit("I have seen enough");
            }
            30 => bots[minute % 3 + 2].part("#other", "").unwrap(),
            40 => net.cut(kernel, "bot1"),
            _ => {}
        }
        run_for(kernel, MINUTE).await.unwrap();
    }
    assert!(bots.iter().all(|bot| bot.is_registered() && bot.queued() == 0));
    assert_eq!(bots[0].channel("#poe").unwrap().members().count(), 3);
    assert!(bots[0].user("visitor").is_none());
    let lines = log.take();
    assert!(lines.iter().any(|line| line.starts_with("public #poe ")), "{lines:?}");
    assert!(lines.contains(&"join #poe visitor".to_owned()) && lines.contains(&"quit visitor [\"#poe\"]".to_owned()));
    drop(lines);
    net.heard.take();
}

#[tokio::test(start_paused = true)]
async fn a_day_leaves_no_memory_behind() {
    let kernel = kernel();
    let (net, server) = Net::start(&kernel).await;
    let bots = ["bot0", "bot1", "bot2"].map(|nick| client(&kernel, nick));
    let log = Log::default();
    listener(&kernel, &bots[0], &log);
    run_for(&kernel, MINUTE).await.unwrap();
    let mut hours = Vec::with_capacity(24);
    for _ in 0..24 {
        hour(&kernel, &net, &bots, &log).await;
        hours.push(allocated());
    }
    println!("bytes and blocks at the end of each hour: {hours:?}");
    // Tables and buffers have grown to their size in the first hours.
    let (bytes, blocks) = hours[2];
    let (last_bytes, last_blocks) = hours[23];
    assert!(last_bytes <= bytes + 512 && last_blocks <= blocks + 4, "{hours:?}");
    assert!(
        net.connections.get() >= 3 + 24 + 24,
        "{} connections",
        net.connections.get()
    );
    for bot in &bots {
        bot.quit("the day is over");
    }
    server.shutdown();
    run_for(&kernel, LONG).await.unwrap();
    assert_no_leaks(&kernel);
}
