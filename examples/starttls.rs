//! A mail server that takes no mail, with STARTTLS: `starttls ADDRESS CERTIFICATE.pem KEY.pem`, then
//! `openssl s_client -connect ADDRESS -starttls smtp`. It prints `listening on ADDRESS` first, and ends with SIGTERM or SIGINT.

use poe::component::{Client, TcpServer};
use poe::filter::Line;
use poe::{Context, Event, Kernel, hosts, tls};
use std::io;
use std::time::Duration;

const SECURED: Event<io::Result<()>> = Event::new("secured");
/// The time limit of a TLS handshake, and of a client's first command.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Default)]
struct Mailer {
    secured: bool,
}

fn command(cx: &mut Context<'_, Mailer, Client<Line>>, acceptor: &tls::Acceptor, line: &str) {
    let client = cx.client();
    let verb = line.split(' ').next().unwrap_or_default().to_ascii_uppercase();
    match &*verb {
        "EHLO" if cx.heap.secured => client.put("250 at your service, in secret"),
        "EHLO" => {
            client.put("250-at your service");
            client.put("250 STARTTLS");
        }
        "STARTTLS" if !cx.heap.secured => {
            client.put("220 go ahead");
            let acceptor = acceptor.clone();
            client.upgrade(
                move |stream| async move { tokio::time::timeout(PATIENCE, acceptor.accept(stream)).await? },
                SECURED,
            );
        }
        "QUIT" => {
            client.put("221 goodbye");
            client.shutdown();
        }
        _ => client.put("502 not here"),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(address), Some(certificate), Some(key)) = (args.next(), args.next(), args.next()) else {
        return Err("usage: starttls ADDRESS CERTIFICATE.pem KEY.pem".into());
    };
    let acceptor = tls::Acceptor::from_pem(&std::fs::read(certificate)?, &std::fs::read(key)?)?;
    let kernel = Kernel::new();
    let server = TcpServer::builder(address)
        .client_heap(|_| Mailer::default())
        .max_connections_per_ip(20)
        .first_record_timeout(PATIENCE)
        .idle_timeout(Duration::from_secs(300))
        .client_connected(|cx| cx.client().put("220 starttls ESMTP"))
        .client_input(move |cx, line| command(cx, &acceptor, &line))
        .state(SECURED, |cx, outcome| match outcome {
            Ok(()) => cx.heap.secured = true,
            Err(error) => eprintln!("not secured: {error}"),
        })
        .start(&kernel)
        .await?;
    println!("listening on {}", server.local_name());
    let report = kernel.serve_until(hosts::terminated()?, Duration::from_secs(5)).await?;
    if !report.is_clean() {
        eprintln!("{report}");
    }
    Ok(())
}
