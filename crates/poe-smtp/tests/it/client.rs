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

/// A session that counts connections and takes every mail but those to `no@here.test`.
fn counting(kernel: &Kernel, log: &Log) {
    use poe::Reply;
    use poe_smtp::{SmtpReply, events};
    Session::builder(log.clone())
        .on(START, |cx, ()| cx.alias_set("mail"))
        .on(events::CONNECT, |cx, _| {
            cx.heap.add("connected");
            Reply(SmtpReply::ok())
        })
        .on(events::RCPT, |_, rcpt| {
            Reply(match rcpt.recipient.as_str() {
                "no@here.test" => SmtpReply::refuse("nobody"),
                _ => SmtpReply::ok(),
            })
        })
        .on(events::MESSAGE, |_, _| Reply(SmtpReply::ok()))
        .on(events::DISCONNECT, |cx, over| {
            cx.heap.add(format!("carried {}", over.mails))
        })
        .create(kernel)
        .unwrap();
}

#[tokio::test]
async fn a_connection_carries_what_waits_up_to_its_limit_and_is_left_after_a_failure() {
    for (to, limit, carried) in [
        (vec!["a@here.test"; 7], 100, vec![7]),
        (vec!["a@here.test"; 7], 3, vec![1, 3, 3]),
        (vec!["a@here.test"; 3], 1, vec![1, 1, 1]),
        (
            vec!["a@here.test", "no@here.test", "a@here.test", "a@here.test"],
            100,
            vec![1, 2],
        ),
    ] {
        let (kernel, log) = (Kernel::new(), Log::default());
        counting(&kernel, &log);
        let server = SmtpServer::builder("127.0.0.1:0", "mail").alias("server");
        let server = server.start(&kernel).await.unwrap();
        let mailer = SmtpClient::builder("mailer", "127.0.0.1")
            .port(server.local_addr().unwrap().port())
            .concurrency(1)
            .mails_per_connection(limit);
        mailer.start(&kernel).unwrap();
        let mails: Vec<Message> = to.iter().map(|to| mail(to)).collect();
        let session = Session::builder(mails.len()).on(START, move |cx, ()| {
            for mail in &mails {
                cx.ask("mailer", SEND, mail.clone(), SENT, LIMIT);
            }
        });
        session
            .on(SENT, |cx, _| -> poe::HandlerResult {
                *cx.heap -= 1;
                if *cx.heap == 0 {
                    cx.post("mailer", SHUTDOWN, ())?;
                    cx.post("server", SHUTDOWN, ())?;
                }
                Ok(())
            })
            .create(&kernel)
            .unwrap();
        tokio::time::timeout(LIMIT, kernel.run())
            .await
            .expect("it ends")
            .unwrap();
        let lines = log.take();
        assert_eq!(
            lines.iter().filter(|line| *line == "connected").count(),
            carried.len(),
            "{lines:?}"
        );
        let mut mails: Vec<usize> = lines
            .iter()
            .filter_map(|line| line.strip_prefix("carried ")?.parse().ok())
            .collect();
        mails.sort_unstable();
        assert_eq!(mails, carried, "{lines:?}");
    }
}
