//! The client, through lettre, with the server on loopback.

use crate::kit::{Log, mailbox};
use poe::component::SHUTDOWN;
use poe::event::START;
use poe::{CallError, Event, Kernel, Session};
use poe_smtp::lettre::Message;
use poe_smtp::{SEND, SendError, Sent, SmtpClient, SmtpServer};
use std::time::Duration;

const SENT: Event<Result<Result<Sent, SendError>, CallError<Message>>> = Event::new("sent");
const LIMIT: Duration = Duration::from_secs(20);

fn mail(to: &str) -> Message {
    let builder = Message::builder()
        .from("ann@a.test".parse().unwrap())
        .to(to.parse().unwrap());
    builder.subject("Hello").body(".one\r\ntwo".to_owned()).unwrap()
}

/// Sends the mails at once; returns what became of each, in the order of the ends.
async fn outcomes(port: u16, to: &[&str], queue: usize, kernel: &Kernel) -> Vec<String> {
    SmtpClient::builder("mailer", "127.0.0.1")
        .port(port)
        .concurrency(2)
        .queue(queue)
        .start(kernel)
        .unwrap();
    let (log, mails): (_, Vec<Message>) = (Log::default(), to.iter().map(|to| mail(to)).collect());
    Session::builder((log.clone(), mails.len()))
        .on(START, move |cx, ()| {
            for mail in &mails {
                cx.ask("mailer", SEND, mail.clone(), SENT, LIMIT);
            }
        })
        .on(SENT, |cx, sent| -> poe::HandlerResult {
            cx.heap.0.add(match sent.unwrap() {
                Ok(sent) => format!("{} {}", sent.code, sent.text),
                Err(error) => format!(
                    "{:?} {} {} {}",
                    error.code(),
                    error.is_refused(),
                    error.is_temporary(),
                    error.is_full()
                ),
            });
            cx.heap.1 -= 1;
            if cx.heap.1 == 0 {
                cx.post("mailer", SHUTDOWN, ())?;
                cx.post("server", SHUTDOWN, ())?;
                let _ = cx.post("mail", "stop", ());
            }
            Ok(())
        })
        .create(kernel)
        .unwrap();
    tokio::time::timeout(LIMIT, kernel.run())
        .await
        .expect("it ends")
        .unwrap();
    log.take()
}

#[tokio::test]
async fn mails_are_sent_and_refusals_are_told() {
    let (kernel, log) = (Kernel::new(), Log::default());
    mailbox(&kernel, &log);
    let server = SmtpServer::builder("127.0.0.1:0", "mail")
        .alias("server")
        .start(&kernel)
        .await
        .unwrap();
    let port = server.local_addr().unwrap().port();
    let mut told = outcomes(
        port,
        &["b@here.test", "c@there.test", "d@here.test", "e@here.test"],
        100,
        &kernel,
    )
    .await;
    told.sort();
    assert_eq!(
        told,
        [
            "250 2.0.0 queued",
            "250 2.0.0 queued",
            "250 2.0.0 queued",
            "Some(550) true false false"
        ]
    );
    let taken: Vec<String> = log
        .take()
        .into_iter()
        .filter(|line| line.starts_with("message"))
        .collect();
    assert_eq!(taken.len(), 3);
    assert!(
        taken[0].contains("Subject: Hello\\r\\n") && taken[0].ends_with("\\r\\n\\r\\n.one\\r\\ntwo\\r\\n\""),
        "{taken:?}"
    );
}

#[tokio::test]
async fn mails_over_the_queue_and_to_nobody_come_back() {
    let kernel = Kernel::new();
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let other = Session::builder(())
        .on(START, |cx, ()| cx.alias_set("server"))
        .on(SHUTDOWN, |cx, ()| drop(cx.alias_remove("server")));
    other.create(&kernel).unwrap();
    let mut told = outcomes(free, &["b@here.test"; 6], 1, &kernel).await;
    told.sort();
    assert_eq!(
        told,
        [
            "None false true false",
            "None false true false",
            "None false true false",
            "None false true true",
            "None false true true",
            "None false true true"
        ]
    );
}

#[tokio::test]
async fn passwords_need_tls() {
    let kernel = Kernel::new();
    let builder = || SmtpClient::builder("mailer", "localhost").credentials("ann", "sesame");
    assert!(builder().start(&kernel).unwrap_err().to_string().contains("need TLS"));
    builder().allow_plaintext_passwords().start(&kernel).unwrap();
}
