//! A client under a supervisor.

use crate::kit::Net;
use poe::component::{ChildSpec, Strategy, Supervisor};
use poe::testing::{assert_no_leaks, kernel, run_for};
use poe_irc::{Eat, Irc, IrcClient, IrcEvent, Plugin};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

struct Bomb;

impl Plugin for Bomb {
    fn event(&mut self, _: &Irc, event: &IrcEvent) -> Eat {
        assert!(!matches!(event, IrcEvent::Msg(said) if said.text == "boom"), "boom");
        Eat::Nothing
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_whose_plugin_panics_is_started_again() {
    let kernel = kernel();
    let (net, server) = Net::start(&kernel).await;
    let clients = Rc::new(RefCell::new(Vec::<Irc>::new()));
    let started = clients.clone();
    let start = move |cx: &mut poe::component::Starter<'_>| -> Result<poe::SessionId, poe::Error> {
        let irc = cx.start(
            IrcClient::builder("bot", "memory:irc")
                .channel("#poe")
                .plugin("bomb", Bomb),
        )?;
        started.borrow_mut().push(irc.clone());
        Ok(irc.session_id().expect("it has started"))
    };
    let supervisor = Supervisor::builder(Strategy::OneForOne)
        .child(ChildSpec::new("irc", start))
        .start(&kernel)
        .unwrap();
    run_for(&kernel, Duration::from_secs(5)).await.unwrap();
    for count in 1..3 {
        net.tell(&kernel, "bot", ":ann!a@b PRIVMSG bot :boom");
        run_for(&kernel, Duration::from_secs(60)).await.unwrap();
        let clients = clients.borrow();
        assert_eq!(clients.len(), count + 1);
        assert!(!clients[count - 1].is_registered() && clients[count].is_registered());
        assert_eq!(
            (clients[count].nick(), clients[count].channels()),
            ("bot".into(), vec!["#poe".into()])
        );
    }
    supervisor.shutdown();
    server.shutdown();
    run_for(&kernel, Duration::from_secs(10)).await.unwrap();
    assert_eq!(net.lines("QUIT").len(), 1);
    assert_no_leaks(&kernel);
}
