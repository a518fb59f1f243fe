//! Direct connections between two clients, on loopback: files, resumed files, conversations, limits.

use crate::kit::{Log, Net};
use poe::event::START;
use poe::{Context, Kernel, Session};
use poe_irc::events::{self, DccRequest};
use poe_irc::{Dcc, DccInfo, DccOffer, Irc, IrcBuilder, IrcClient};
use std::cell::RefCell;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

const LOOPBACK: std::net::IpAddr = std::net::IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A client, what its session has written down, and the requests that have come.
struct User {
    irc: Irc,
    log: Log,
    requests: Rc<RefCell<Vec<DccRequest>>>,
}

fn dcc() -> Dcc {
    Dcc::new().listen(LOOPBACK, 0..=0).announce(LOOPBACK)
}

fn client(nick: &str) -> IrcBuilder {
    IrcClient::builder(nick, "memory:irc").flood(None)
}

fn user(kernel: &Kernel, builder: IrcBuilder) -> User {
    let irc = builder.start(kernel).unwrap();
    let (log, requests) = (Log::default(), Rc::new(RefCell::new(Vec::new())));
    let (own, asked) = (irc.clone(), requests.clone());
    let note = |what: &'static str| {
        move |cx: &mut Context<'_, Log>, info: DccInfo| {
            cx.heap
                .add(format!("{what} {:?} {} {}", info.kind, info.nick, info.done));
        }
    };
    Session::builder(log.clone())
        .on(START, move |cx, ()| own.register_all(cx))
        .on(events::WELCOME, |cx, _| cx.heap.add("001"))
        .on(events::CTCP, |cx, ctcp| {
            cx.heap.add(format!("ctcp {} {}", ctcp.command, ctcp.text))
        })
        .on(events::DCC_REQUEST, move |_, request| asked.borrow_mut().push(request))
        .on(events::DCC_START, note("start"))
        .on(events::DCC_CHAT, |cx, line| cx.heap.add(format!("said {}", line.text)))
        .on(events::DCC_DONE, note("done"))
        .on(events::DCC_ERROR, |cx, failure| {
            cx.heap.add(format!("error {:?} {}", failure.info.kind, failure.error))
        })
        .create(kernel)
        .unwrap();
    User { irc, log, requests }
}

async fn until(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{what} in time");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

impl User {
    async fn sees(&self, line: &str) {
        let begun = Instant::now();
        while !self.log.has(line) {
            assert!(
                begun.elapsed() < Duration::from_secs(60),
                "no {line:?} in {:?}",
                self.log.take()
            );
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    async fn asked(&self) -> DccRequest {
        until("a request", || !self.requests.borrow().is_empty()).await;
        self.requests.borrow_mut().remove(0)
    }
}

/// Runs two clients that allow direct connections, and a third that does not; then checks that nothing is left.
async fn with(f: impl AsyncFnOnce(&User, &User, &User)) {
    let kernel = Kernel::new();
    let (_net, server) = Net::start(&kernel).await;
    let users = [
        user(&kernel, client("ann").dcc(dcc())),
        user(&kernel, client("bob").dcc(dcc().transfers(2).max_file(1 << 20))),
        user(&kernel, client("eve")),
    ];
    let talk = async {
        for user in &users {
            user.sees("001").await;
        }
        f(&users[0], &users[1], &users[2]).await;
        for user in &users {
            until("the end of its connections", || user.irc.dcc_connections().is_empty()).await;
            user.irc.quit("bye");
        }
        server.shutdown();
    };
    let (ran, ()) = tokio::join!(kernel.run(), talk);
    ran.unwrap();
    poe::testing::assert_no_leaks(&kernel);
}

/// A folder for a test, which is removed at its end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("poe-irc-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir(&path).unwrap();
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[tokio::test]
async fn a_file_is_sent_and_a_part_of_it_is_resumed() {
    let folder = Folder::new("file");
    let data: Vec<u8> = (0..300_000_u32).map(|n| (n % 251) as u8).collect();
    let (source, copy, part) = (
        folder.0.join("my \"file\""),
        folder.0.join("copy"),
        folder.0.join("part"),
    );
    std::fs::write(&source, &data).unwrap();
    std::fs::write(&part, &data[..100_000]).unwrap();
    with(async |ann, bob, _| {
        ann.irc.dcc_send("bob", &source).unwrap();
        let request = bob.asked().await;
        let DccOffer::Send { file, size, .. } = &request.offer else {
            panic!("{request:?}")
        };
        assert_eq!((file.to_string().as_str(), *size), ("my \"file\"", Some(300_000)));
        // What is there is not written over.
        bob.irc.dcc_get(&request, &part).unwrap();
        until("a refusal", || {
            bob.log
                .take()
                .iter()
                .any(|line| line.starts_with("error Get cannot open "))
        })
        .await;
        bob.irc.dcc_get(&request, &copy).unwrap();
        bob.sees("done Get ann 300000").await;
        ann.sees("done Send bob 300000").await;
        assert!(std::fs::read(&copy).unwrap() == data);
        ann.irc.dcc_send("bob", &source).unwrap();
        let request = bob.asked().await;
        bob.irc.dcc_resume(&request, &part).unwrap();
        bob.sees("start Get ann 100000").await;
        bob.log.take();
        until("the whole file", || std::fs::read(&part).unwrap().len() == data.len()).await;
        assert!(std::fs::read(&part).unwrap() == data);
        until("the end", || {
            bob.irc.dcc_connections().is_empty() && ann.irc.dcc_connections().is_empty()
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn two_users_talk_directly() {
    with(async |ann, bob, eve| {
        let talk = ann.irc.dcc_chat("bob").unwrap();
        let answered = bob.irc.dcc_accept(&bob.asked().await).unwrap();
        ann.sees("start Chat bob 0").await;
        bob.sees("start Chat ann 0").await;
        ann.irc.dcc_say(talk, "hello\nthere").unwrap();
        bob.sees("said there").await;
        bob.irc.dcc_say(answered, "bye").unwrap();
        bob.irc.dcc_close(answered).unwrap();
        ann.sees("said bye").await;
        ann.sees("done Chat bob 0").await;
        bob.sees("done Chat ann 0").await;
        // Without the setting an offer is an ordinary request, and nothing can be offered.
        ann.irc.dcc_chat("eve").unwrap();
        until("the offer", || {
            eve.log
                .take()
                .iter()
                .any(|line| line.starts_with("ctcp DCC CHAT chat 2130706433 "))
        })
        .await;
        assert!(eve.irc.dcc_chat("ann").unwrap_err().is_dcc());
        for offer in ann.irc.dcc_connections() {
            ann.irc.dcc_close(offer).unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn limits_bite_and_offers_end() {
    let folder = Folder::new("limits");
    let large = folder.0.join("large");
    std::fs::File::create(&large).unwrap().set_len(2 << 20).unwrap();
    with(async |ann, bob, _| {
        // Larger than bob takes.
        let offer = ann.irc.dcc_send("bob", &large).unwrap();
        let mut request = bob.asked().await;
        assert!(
            bob.irc
                .dcc_get(&request, folder.0.join("x"))
                .unwrap_err()
                .to_string()
                .contains("too large")
        );
        assert!(bob.irc.dcc_accept(&request).unwrap_err().is_dcc());
        // A sender who sends more than it says.
        let DccOffer::Send { size, .. } = &mut request.offer else {
            panic!("{request:?}")
        };
        *size = Some(1000);
        bob.irc.dcc_get(&request, folder.0.join("x")).unwrap();
        until("a refusal", || {
            bob.log
                .take()
                .iter()
                .any(|line| line.starts_with("error Get the sender sends more"))
        })
        .await;
        assert!(std::fs::metadata(folder.0.join("x")).unwrap().len() <= 1000);
        until("the end", || {
            ann.log.take().iter().any(|line| line.starts_with("error Send "))
        })
        .await;
        ann.irc.dcc_close(offer).unwrap();
        // A port that belongs to a service of the system.
        let address = "127.0.0.1:25".parse().unwrap();
        request.offer = DccOffer::Chat { address };
        assert!(
            bob.irc
                .dcc_accept(&request)
                .unwrap_err()
                .to_string()
                .contains("below 1024")
        );
        // Two at a time.
        for _ in 0..2 {
            bob.irc.dcc_chat("nobody").unwrap();
        }
        assert!(bob.irc.dcc_chat("nobody").unwrap_err().to_string().contains("too many"));
        until("two offers", || bob.irc.dcc_connections().len() == 2).await;
        for offer in bob.irc.dcc_connections() {
            bob.irc.dcc_close(offer).unwrap();
        }
        // A file that is not there.
        ann.irc.dcc_send("bob", folder.0.join("nothing")).unwrap();
        until("an error", || {
            ann.log
                .take()
                .iter()
                .any(|line| line.starts_with("error Send cannot open "))
        })
        .await;
    })
    .await;
}
