//! Plugins: they see, consume and change events and commands.

use crate::kit::{Log, Net, listener};
use poe::testing::{assert_no_leaks, kernel, run_for};
use poe_irc::{Eat, Irc, IrcClient, IrcEvent, Message, Plugin};
use std::time::Duration;

struct Spy {
    name: &'static str,
    log: Log,
    eats: Eat,
}

impl Plugin for Spy {
    fn added(&mut self, _: &Irc) {
        self.log.add(format!("{} added", self.name));
    }
    fn removed(&mut self, _: &Irc) {
        self.log.add(format!("{} removed", self.name));
    }
    fn event(&mut self, irc: &Irc, event: &IrcEvent) -> Eat {
        let IrcEvent::Msg(said) = event else {
            return Eat::Nothing;
        };
        self.log.add(format!("{} {} {}", self.name, event.name(), said.text));
        if said.text == "ping" {
            irc.privmsg("bot", "pong").unwrap();
        }
        self.eats
    }
    fn command(&mut self, _: &Irc, message: &mut Message) -> Eat {
        if message.command() == "TOPIC" {
            return Eat::All;
        }
        if message.command() == "NOTICE" {
            message.set_params(vec![message.arg(0), "changed".into()]);
        }
        Eat::Nothing
    }
}

#[tokio::test(start_paused = true)]
async fn they_see_first_and_may_consume() {
    for (eats, second_sees, session_sees) in [
        (Eat::Nothing, true, true),
        (Eat::Plugins, false, true),
        (Eat::Clients, true, false),
        (Eat::All, false, false),
    ] {
        let kernel = kernel();
        let (net, server) = Net::start(&kernel).await;
        let (spied, log) = (Log::default(), Log::default());
        let spy = |name, eats| Spy {
            name,
            log: spied.clone(),
            eats,
        };
        let irc = IrcClient::builder("bot", "memory:irc")
            .plugin("first", spy("first", eats))
            .start(&kernel)
            .unwrap();
        assert!(irc.plugin_add("second", spy("second", Eat::Nothing)));
        assert!(!irc.plugin_add("second", spy("third", Eat::Nothing)));
        listener(&kernel, &irc, &log);
        run_for(&kernel, Duration::from_secs(5)).await.unwrap();
        net.tell(&kernel, "bot", ":ann!a@b PRIVMSG bot :hi");
        run_for(&kernel, Duration::from_secs(5)).await.unwrap();
        let mut seen = vec!["first added", "second added", "first irc_msg hi"];
        seen.extend(second_sees.then_some("second irc_msg hi"));
        assert_eq!(spied.take(), seen, "{eats:?}");
        assert_eq!(log.has("msg bot ann: hi"), session_sees, "{eats:?}");

        assert!(irc.topic("#poe", "x").unwrap_err().is_eaten());
        irc.notice("ann", "text").unwrap();
        net.tell(&kernel, "bot", ":ann!a@b PRIVMSG bot :ping");
        run_for(&kernel, Duration::from_secs(5)).await.unwrap();
        assert_eq!(net.lines("NOTICE"), ["NOTICE ann changed"]);
        assert!(net.lines("PRIVMSG bot pong").len() <= 2 && !net.lines("PRIVMSG bot pong").is_empty());
        assert!(irc.plugin_remove("first") && !irc.plugin_remove("first"));
        assert_eq!(irc.plugins(), ["second"]);
        irc.quit("");
        server.shutdown();
        run_for(&kernel, Duration::from_secs(5)).await.unwrap();
        let seen = spied.take();
        assert!(seen.contains(&"first removed".into()) && seen.contains(&"second removed".into()));
        assert_no_leaks(&kernel);
    }
}
