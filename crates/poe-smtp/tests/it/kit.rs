//! A server in memory with a session that takes mail, and a client that says what it is told.

use poe::event::START;
use poe::{Context, Event, Kernel, Reply, Session};
use poe_smtp::events::{self, Auth, Connect, Disconnect, Helo, Mail, Message, Rcpt};
use poe_smtp::{SmtpReply, SmtpServer, SmtpServerBuilder};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

const ACCEPT: Event<poe::DeferredReply<SmtpReply>> = Event::new("accept");

#[derive(Clone, Default)]
pub(crate) struct Log(Rc<RefCell<Vec<String>>>);

impl Log {
    pub(crate) fn add(&self, line: impl Into<String>) {
        self.0.borrow_mut().push(line.into());
    }

    pub(crate) fn take(&self) -> Vec<String> {
        self.0.take()
    }
}

type Cx<'a, 'k> = &'a mut Context<'k, Log>;

/// A session that takes mail for `@here.test`, slowly for `slow@here.test`, and knows the account ann.
pub(crate) fn mailbox(kernel: &Kernel, log: &Log) {
    Session::builder(log.clone())
        .on(START, |cx, ()| cx.alias_set("mail"))
        .on(events::CONNECT, |_, _: Connect| Reply(SmtpReply::ok()))
        .on(events::HELO, |cx: Cx<'_, '_>, helo: Helo| {
            cx.heap.add(format!("helo {} tls={}", helo.name, helo.peer.is_tls));
            Reply(match helo.name.as_str() {
                "bad" => SmtpReply::refuse("go away"),
                "gone" => SmtpReply::new(421, "4.3.2 closing"),
                _ => SmtpReply::ok(),
            })
        })
        .on(events::AUTH, |cx: Cx<'_, '_>, auth: Auth| {
            cx.heap.add(format!("auth {}", auth.account));
            Reply(match (auth.account.as_str(), auth.password.as_str()) {
                ("ann", "sesame") => SmtpReply::ok(),
                _ => SmtpReply::new(535, "5.7.8 wrong"),
            })
        })
        .on(events::MAIL, |cx: Cx<'_, '_>, mail: Mail| {
            cx.heap
                .add(format!("mail {} {} {}", mail.sender, mail.size, mail.is_8bit));
            Reply(SmtpReply::ok())
        })
        .on(events::RCPT, |cx: Cx<'_, '_>, rcpt: Rcpt| -> poe::HandlerResult<_> {
            cx.heap.add(format!("rcpt {}", rcpt.recipient));
            let (reply, pending) = cx.defer_reply();
            match rcpt.recipient.as_str() {
                "slow@here.test" => cx.delay(ACCEPT, Duration::from_secs(60), reply),
                "never@here.test" => cx.delay(ACCEPT, Duration::from_secs(6000), reply),
                "lost@here.test" => drop(reply),
                "354@here.test" => drop(reply.send(SmtpReply::new(354, "go"))),
                to if to.ends_with("@here.test") => drop(reply.send(SmtpReply::ok())),
                _ => drop(reply.send(SmtpReply::new(550, "5.7.1 no relay"))),
            }
            Ok(pending)
        })
        .on(events::MESSAGE, |cx: Cx<'_, '_>, message: Message| {
            let data = String::from_utf8_lossy(&message.data).into_owned();
            cx.heap
                .add(format!("message {} {:?} {data:?}", message.sender, message.recipients));
            Reply(SmtpReply::accept("queued"))
        })
        .on(events::DISCONNECT, |cx: Cx<'_, '_>, over: Disconnect| {
            cx.heap.add(format!("over {}", over.mails));
        })
        .on(ACCEPT, |_, reply| drop(reply.send(SmtpReply::ok())))
        .create(kernel)
        .unwrap();
}

pub(crate) fn server() -> SmtpServerBuilder {
    SmtpServer::builder("memory:smtp", "mail").hostname("mx.test")
}

pub(crate) struct Talk(DuplexStream, Vec<u8>);

impl Talk {
    pub(crate) fn new(kernel: &Kernel) -> Self {
        Talk(poe::testing::connect(kernel, "memory:smtp").unwrap(), Vec::new())
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).await.unwrap();
    }

    /// A whole reply; empty at the end of the connection.
    pub(crate) async fn reply(&mut self) -> String {
        let mut reply = String::new();
        loop {
            let line = loop {
                if let Some(end) = self.1.iter().position(|b| *b == b'\n') {
                    break String::from_utf8(self.1.drain(..=end).collect()).unwrap();
                }
                let mut some = [0; 512];
                match self.0.read(&mut some).await {
                    Ok(0) | Err(_) => return reply,
                    Ok(count) => self.1.extend_from_slice(&some[..count]),
                }
            };
            assert!(line.ends_with("\r\n"));
            let ends = line.as_bytes()[3] == b' ';
            reply.push_str(line.trim_end());
            if ends {
                return reply;
            }
            reply.push('|');
        }
    }

    /// Sends a command and returns the code of the reply.
    pub(crate) async fn code(&mut self, line: &str) -> String {
        self.send(format!("{line}\r\n")).await;
        self.reply().await.get(..3).unwrap_or_default().to_owned()
    }

    /// Greets, and begins a mail up to DATA.
    pub(crate) async fn begin(&mut self) {
        self.reply().await;
        for (line, code) in [
            ("EHLO a.test", "250"),
            ("MAIL FROM:<a@a.test>", "250"),
            ("RCPT TO:<b@here.test>", "250"),
        ] {
            assert_eq!(self.code(line).await, code, "{line}");
        }
    }
}

/// Runs a server with the mailbox, while `f` talks with it; then checks that nothing is left.
pub(crate) async fn with(builder: SmtpServerBuilder, f: impl AsyncFnOnce(&Kernel)) -> Vec<String> {
    let kernel = poe::testing::kernel();
    let log = Log::default();
    mailbox(&kernel, &log);
    let server = builder.start(&kernel).await.unwrap();
    tokio::select! {
        () = f(&kernel) => {}
        ran = kernel.run() => panic!("the run has ended: {ran:?}"),
    }
    server.shutdown();
    server.shutdown_clients();
    let (ran, report) = tokio::join!(kernel.run(), kernel.shutdown(Duration::from_secs(10)));
    ran.unwrap();
    assert!(
        report.stopped.iter().all(|held| held.to_string().contains("mail")),
        "{report}"
    );
    poe::testing::assert_no_leaks(&kernel);
    log.take()
}
