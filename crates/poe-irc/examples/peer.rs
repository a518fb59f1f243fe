//! A client that prints what it hears and does as it is told, for `.ci/irc-peers`: `!say TEXT`, `!flood COUNT`, `!nick NICK`, `!who`, `!quit`.
//!
//! IRC_CA is a file of certificates for TLS, IRC_SASL `user:password`.

use poe::event::START;
use poe::{Kernel, Session, tls::Connector};
use poe_irc::events::{self, Said};
use poe_irc::{Irc, IrcClient, Sasl};
use std::time::Duration;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let [address, nick, channel] = std::env::args()
        .skip(1)
        .collect::<Vec<_>>()
        .try_into()
        .expect("ADDRESS NICK CHANNEL");
    let mut builder = IrcClient::builder(nick, address)
        .channel(channel)
        .allow_plaintext_passwords();
    if let Ok(file) = std::env::var("IRC_CA") {
        builder = builder.tls(Connector::from_pem(&std::fs::read(file)?)?, "localhost");
    }
    if let Ok(account) = std::env::var("IRC_SASL") {
        let (user, password) = account.split_once(':').expect("user:password");
        builder = builder.sasl(Sasl::plain(user, password));
    }
    let kernel = Kernel::new();
    let irc = builder.start(&kernel)?;
    Session::builder(irc.clone())
        .on(START, |cx, ()| cx.heap.register_all(cx))
        .on(events::WELCOME, |cx, _| {
            println!("in as {}, with {:?}", cx.heap.nick(), cx.heap.capabilities())
        })
        .on(events::PUBLIC, |cx, said| -> poe::HandlerResult {
            println!("{} in {}: {}", said.from.nick(), said.target, said.text);
            Ok(obey(&cx.heap, &said)?)
        })
        .on(events::MSG, |_, said| {
            println!("{} to us: {}", said.from.nick(), said.text)
        })
        .on(events::NOTICE, |_, said| {
            println!("{} notes: {}", said.from.nick(), said.text)
        })
        .on(events::CTCP, |_, ctcp| {
            println!("{} asks {} {}", ctcp.from.nick(), ctcp.command, ctcp.text)
        })
        .on(events::JOIN, |_, join| {
            println!("{} has entered {}", join.who.nick(), join.channel)
        })
        .on(events::QUIT, |_, quit| {
            println!("{} has quit: {}", quit.who.nick(), quit.text)
        })
        .on(events::NICK, |_, nick| {
            println!("{} is now {}", nick.who.nick(), nick.to)
        })
        .on(events::SOCKETERR, |_, error| println!("cannot connect: {error}"))
        .on(events::DISCONNECTED, |_, over| {
            println!("disconnected: {}", over.reason)
        })
        .on(events::SHUTDOWN, |_, ()| println!("ended"))
        .create(&kernel)?;
    let limit = Duration::from_secs(10);
    kernel.serve_until(poe::hosts::terminated()?, limit).await?;
    Ok(())
}

fn obey(irc: &Irc, said: &Said) -> Result<(), poe_irc::IrcError> {
    let text = said.text.to_str_lossy().into_owned();
    match text.split_once(' ').unwrap_or((&text, "")) {
        ("!say", text) => irc.privmsg(&said.target, text),
        ("!flood", count) => {
            (0..count.parse().unwrap_or(0)).try_for_each(|n| irc.privmsg(&said.target, format!("line {n}")))
        }
        ("!nick", nick) => irc.change_nick(nick),
        ("!who", _) => irc.privmsg(
            &said.target,
            format!("{} members", irc.channel(&said.target).map_or(0, |c| c.len())),
        ),
        ("!quit", _) => {
            irc.quit("as told");
            Ok(())
        }
        _ => Ok(()),
    }
}
