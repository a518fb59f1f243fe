//! A server that takes mail for `@here.test`, and a client that sends some.
//!
//! ```text
//! cargo run -p poe-smtp --features client,ring --example mail -- serve 127.0.0.1:2525
//! cargo run -p poe-smtp --features client,ring --example mail -- send 127.0.0.1 2525 10
//! ```
//!
//! SMTP_CERT and SMTP_KEY are files of a certificate and its key, for STARTTLS and AUTH (ann, sesame); SMTP_CA is one of roots, for the client.

use poe::event::START;
use poe::{CallError, Event, Kernel, Reply, Session, tls::Acceptor};
use poe_smtp::events::{self, Message};
use poe_smtp::{SEND, SendError, Sent, SmtpClient, SmtpReply, SmtpServer};
use std::time::Duration;

const SENT: Event<Result<Result<Sent, SendError>, CallError<poe_smtp::lettre::Message>>> = Event::new("sent");
const LIMIT: Duration = Duration::from_secs(60);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["serve", address] => serve(address).await,
        ["send", host, port, count] => send(host, port.parse()?, count.parse()?).await,
        _ => Err("say `serve ADDRESS` or `send HOST PORT COUNT`".into()),
    }
}

async fn serve(address: &str) -> Result<(), Box<dyn std::error::Error>> {
    let kernel = Kernel::new();
    Session::builder(0_u32)
        .on(START, |cx, ()| cx.alias_set("mail"))
        .on(events::AUTH, |_, auth| {
            let known = (auth.account.as_str(), auth.password.as_str()) == ("ann", "sesame");
            Reply(if known {
                SmtpReply::ok()
            } else {
                SmtpReply::new(535, "5.7.8 wrong")
            })
        })
        .on(events::RCPT, |_, rcpt| {
            let ours = rcpt.recipient.ends_with("@here.test") || rcpt.peer.account.is_some();
            Reply(if ours {
                SmtpReply::ok()
            } else {
                SmtpReply::new(550, "5.7.1 no relay")
            })
        })
        .on(events::MESSAGE, |cx, message: Message| {
            *cx.heap += 1;
            let (peer, bytes) = (&message.peer, message.data.len());
            let secure = if peer.is_tls { "TLS" } else { "clear text" };
            let account = peer.account.as_deref().unwrap_or("nobody");
            println!(
                "{}: {} to {:?}, {bytes} bytes, {secure}, {account}",
                cx.heap, message.sender, message.recipients
            );
            Reply(SmtpReply::accept(format_args!("queued as {}", cx.heap)))
        })
        .create(&kernel)?;
    let mut server = SmtpServer::builder(address, "mail").hostname("mx.test");
    if let (Ok(certificate), Ok(key)) = (std::env::var("SMTP_CERT"), std::env::var("SMTP_KEY")) {
        let acceptor = Acceptor::from_pem(&std::fs::read(certificate)?, &std::fs::read(key)?)?;
        server = server.tls(acceptor).auth();
    }
    let server = server.start(&kernel).await?;
    println!("listening on {}", server.local_addr().ok_or("no address")?);
    kernel.serve_until(poe::hosts::terminated()?, LIMIT).await?;
    Ok(())
}

async fn send(host: &str, port: u16, count: usize) -> Result<(), Box<dyn std::error::Error>> {
    let kernel = Kernel::new();
    let mut client = SmtpClient::builder("mailer", host).port(port);
    if let Ok(file) = std::env::var("SMTP_CA") {
        client = client
            .starttls(Some(&std::fs::read(file)?))
            .credentials("ann", "sesame");
    }
    client.start(&kernel)?;
    Session::builder(())
        .on(START, move |cx, ()| -> poe::HandlerResult {
            for n in 0..count {
                let mail = poe_smtp::lettre::Message::builder()
                    .from("a@a.test".parse()?)
                    .to("b@here.test".parse()?);
                let mail = mail.subject(format!("number {n}")).body(format!("Hello\r\n.{n}\r\n"))?;
                cx.ask("mailer", SEND, mail, SENT, LIMIT);
            }
            Ok(())
        })
        .on(SENT, |_, sent| match sent {
            Ok(Ok(sent)) => println!("sent: {} {}", sent.code, sent.text),
            Ok(Err(error)) => println!("failed: {error}"),
            Err(error) => println!("failed: {error}"),
        })
        .create(&kernel)?;
    Ok(kernel.run().await?)
}
