//! Resolver: the system's, and name servers, with a small server here.

use crate::kit::{Log, finish};
use poe::event::START;
use poe::{Event, Kernel, Session};
use poe_tools::{ResolveError, Resolver, ResolverBuilder};
use std::net::IpAddr;

const FOUND: Event<Result<Vec<IpAddr>, ResolveError>> = Event::new("found");

fn how(error: &ResolveError) -> &'static str {
    match error {
        _ if error.is_not_found() => "not found",
        _ if error.is_timed_out() => "timed out",
        _ if error.is_full() => "full",
        _ => "failed",
    }
}

/// Looks up names, each when the one before is done, and shuts the component down.
async fn look_up(builder: ResolverBuilder, names: &'static [&'static str]) -> Vec<String> {
    const NEXT: Event<usize> = Event::new("next");
    let kernel = Kernel::new();
    let resolver = builder.start(&kernel).unwrap();
    let log = Log::default();
    Session::builder((log.clone(), 0_usize, resolver))
        .on(START, |cx, ()| cx.yield_to(NEXT, 0))
        .on(NEXT, |cx, n| match names.get(n) {
            Some(name) => {
                cx.heap.1 = n;
                cx.heap.2.lookup(cx, name, FOUND).map(drop)
            }
            None => {
                cx.heap.2.shutdown(cx);
                Ok(())
            }
        })
        .on(FOUND, |cx, found| {
            let line = match &found {
                Ok(addresses) => addresses.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(" "),
                Err(error) => {
                    assert!(error.to_string().contains(error.name()));
                    how(error).to_owned()
                }
            };
            cx.heap.0.add(line);
            cx.yield_to(NEXT, cx.heap.1 + 1);
        })
        .create(&kernel)
        .unwrap();
    finish(&kernel).await;
    log.lines()
}

#[tokio::test]
async fn the_system_finds_addresses_and_says_what_it_does_not_find() {
    let found = look_up(Resolver::system(), &["192.0.2.1", "::1", "not a host name"]).await;
    assert_eq!(found, ["192.0.2.1", "::1", "failed"]);
}

#[tokio::test]
async fn more_lookups_than_may_wait_are_refused() {
    let kernel = Kernel::new();
    let resolver = Resolver::system().parallel(1).capacity(2).start(&kernel).unwrap();
    let log = Log::default();
    Session::builder(log.clone())
        .on(START, move |cx, ()| {
            for _ in 0..2 {
                resolver.lookup(cx, "127.0.0.1", FOUND).unwrap();
            }
            assert!(resolver.lookup(cx, "127.0.0.1", FOUND).unwrap_err().is_full());
        })
        .on(FOUND, |cx, found| cx.heap.add(found.unwrap().len().to_string()))
        .create(&kernel)
        .unwrap();
    finish(&kernel).await;
    assert_eq!(log.lines(), ["1", "1"]);
}

#[cfg(feature = "dns")]
mod dns {
    use super::*;
    use poe_tools::DnsRecord;
    use std::net::{SocketAddr, UdpSocket};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    /// A name server, and how many queries it has had.
    fn server() -> (SocketAddr, Arc<AtomicUsize>) {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let (address, count) = (socket.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
        let queries = count.clone();
        std::thread::spawn(move || {
            let mut bytes = [0; 1500];
            while let Ok((length, from)) = socket.recv_from(&mut bytes) {
                queries.fetch_add(1, Ordering::SeqCst);
                if let Some(reply) = reply(&bytes[..length]) {
                    let _ = socket.send_to(&reply, from);
                }
            }
        });
        (address, count)
    }

    /// The reply to a query; none for `slow.test`.
    fn reply(query: &[u8]) -> Option<Vec<u8>> {
        let (mut at, mut name) = (12, String::new());
        while query[at] != 0 {
            let length = usize::from(query[at]);
            name += &String::from_utf8_lossy(&query[at + 1..=at + length]).to_lowercase();
            name.push('.');
            at += length + 1;
        }
        let kind = u16::from_be_bytes([query[at + 1], query[at + 2]]);
        let data: &[u8] = match (&*name, kind) {
            ("slow.test.", _) => return None,
            ("a.test.", 1) => &[192, 0, 2, 7],
            ("a.test.", 15) => b"\x00\x0a\x04mail\x04test\x00",
            ("a.test.", 16) => b"\x05hello",
            ("a.test.", _) => &[],
            _ => b"no such name",
        };
        let is_missing = data == b"no such name";
        let count = u8::from(!is_missing && !data.is_empty());
        let mut reply = query[..2].to_vec();
        reply.extend([0x81, if is_missing { 0x83 } else { 0x80 }, 0, 1, 0, count, 0, 0, 0, 0]);
        reply.extend(&query[12..at + 5]);
        if count == 1 {
            reply.extend([0xc0, 0x0c]);
            reply.extend(kind.to_be_bytes());
            reply.extend([0, 1, 0, 0, 0, 60]);
            reply.extend((data.len() as u16).to_be_bytes());
            reply.extend(data);
        }
        Some(reply)
    }

    #[tokio::test]
    async fn name_servers_are_asked_once_for_what_the_cache_has_and_are_not_waited_for_for_ever() {
        let (address, count) = server();
        let resolver = Resolver::name_servers([address]).timeout(Duration::from_millis(500));
        let found = look_up(resolver, &["a.test.", "none.test.", "a.test.", "slow.test."]).await;
        assert_eq!(found, ["192.0.2.7", "not found", "192.0.2.7", "timed out"]);
        // Two for each of the first names, for both versions of IP; then one and more for the last.
        let queries = count.load(Ordering::SeqCst);
        assert!((5..20).contains(&queries), "{queries} queries");
    }

    #[tokio::test]
    async fn records_of_every_type_are_found_as_text() {
        const RECORDS: Event<Result<Vec<DnsRecord>, ResolveError>> = Event::new("records");
        let (address, _) = server();
        let kernel = Kernel::new();
        let resolver = Resolver::name_servers([address]).start(&kernel).unwrap();
        let system = Resolver::system().start(&kernel).unwrap();
        let log = Log::default();
        Session::builder(log.clone())
            .on(START, move |cx, ()| -> poe::HandlerResult {
                resolver.query(cx, "a.test.", "MX", RECORDS)?;
                resolver.query(cx, "a.test.", "TXT", RECORDS)?;
                resolver.query(cx, "a.test.", "SRV", RECORDS)?;
                let unknown = resolver.query(cx, "a.test.", "NONSENSE", RECORDS).unwrap_err();
                assert!(unknown.to_string().contains("`NONSENSE`"));
                assert!(system.query(cx, "a.test.", "MX", RECORDS).is_err());
                resolver.shutdown(cx);
                Ok(())
            })
            .on(RECORDS, |cx, records| {
                cx.heap.add(match records {
                    Ok(records) => records
                        .iter()
                        .map(|record| {
                            format!(
                                "{} {} {:?} {}",
                                record.name, record.record_type, record.ttl, record.data
                            )
                        })
                        .collect::<String>(),
                    Err(error) => how(&error).to_owned(),
                });
            })
            .create(&kernel)
            .unwrap();
        finish(&kernel).await;
        let mut lines = log.lines();
        lines.sort();
        assert_eq!(
            lines,
            ["a.test. MX 60s 10 mail.test.", "a.test. TXT 60s hello", "not found"]
        );
    }
}
