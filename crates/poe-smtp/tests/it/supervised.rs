//! A server and its session under a supervisor.

use crate::kit::Talk;
use poe::component::{ChildSpec, Starter, Strategy, Supervisor};
use poe::event::START;
use poe::{Reply, Session, SessionId};
use poe_smtp::events::{self, Rcpt};
use poe_smtp::{SmtpReply, SmtpServer};
use std::time::Duration;

fn mailbox(cx: &mut Starter<'_>) -> Result<SessionId, poe::Error> {
    let take = |_: &mut poe::Context<'_, ()>, rcpt: Rcpt| {
        assert!(rcpt.recipient != "boom@here.test", "boom");
        Reply(SmtpReply::ok())
    };
    cx.create(
        Session::builder(())
            .on(START, |cx, ()| cx.alias_set("mail"))
            .on(events::RCPT, take),
    )
}

fn server(cx: &mut Starter<'_>) -> Result<SessionId, poe::Error> {
    Ok(cx.start(SmtpServer::builder("memory:smtp", "mail"))?.session_id())
}

#[tokio::test(start_paused = true)]
async fn a_client_is_asked_to_try_later_while_the_session_is_started_again() {
    let kernel = poe::testing::kernel();
    let supervisor = Supervisor::builder(Strategy::OneForOne)
        .child(ChildSpec::new("mail", mailbox))
        .child(ChildSpec::new("server", server))
        .start(&kernel)
        .unwrap();
    let talk = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let mut talk = Talk::new(&kernel);
        talk.begin().await;
        assert_eq!(talk.code("RCPT TO:<boom@here.test>").await, "451");
        assert_eq!(talk.code("RCPT TO:<c@here.test>").await, "250");
        supervisor.shutdown();
        assert_eq!(talk.reply().await, "421 4.3.2 localhost shuts down");
        assert_eq!(talk.reply().await, "");
    };
    tokio::join!(async { kernel.run().await.unwrap() }, talk);
    poe::testing::assert_no_leaks(&kernel);
}
