//! POE::TIKC: a server and clients whose sessions appear in one another.

use crate::kit::*;
use poe::event::START;
use poe::{Event, Kernel, Session, SessionId};
use poe_ikc::{Args, Ikc, IkcTcp};
use std::time::Duration;

const HELLO: Event<(String, Vec<i64>)> = Event::new("hello");
const ONE: Event<String> = Event::new("one");
const NONE: Event<()> = Event::new("none");
const SECRET: Event<()> = Event::new("secret");

/// A kernel whose one session has this alias and writes down what comes.
fn program(alias: &'static str) -> (Kernel, Ikc, Log) {
    let (kernel, log) = (Kernel::new(), Log::default());
    let ikc = Ikc::builder(alias)
        .publish(alias, |p| p.event(HELLO).event(ONE).event(NONE))
        .start(&kernel)
        .unwrap();
    Session::builder(log.clone())
        .on(START, move |cx, ()| -> poe::HandlerResult {
            // It stays while nobody has a proxy for it.
            cx.refcount_increment(cx.session_id(), "stay")?;
            Ok(cx.alias_set(alias)?)
        })
        .on(HELLO, |cx, (text, numbers)| {
            cx.heap.add(format!("hello {text} {numbers:?}"))
        })
        .on(ONE, |cx, text| cx.heap.add(format!("one {text}")))
        .on(NONE, |cx, ()| cx.heap.add("none"))
        .on(SECRET, |cx, ()| cx.heap.add("secret"))
        .on("leave", |cx, ()| {
            cx.refcount_decrement(cx.session_id(), "stay").map(drop)
        })
        .create(&kernel)
        .unwrap();
    (kernel, ikc, log)
}

/// Waits until an alias is there, or not any more.
async fn until(kernel: &Kernel, alias: &str, is_there: bool) -> Option<SessionId> {
    for _ in 0..2000 {
        let found = kernel.resolve(alias);
        if found.is_some() == is_there {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{alias}: {is_there}");
}

async fn until_lines(log: &Log, count: usize) {
    for _ in 0..2000 {
        if log.lines().len() >= count {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{:?}", log.lines());
}

#[tokio::test]
async fn sessions_appear_under_their_aliases_are_posted_to_and_disappear() {
    let (hub, hub_ikc, hub_log) = program("hub");
    let (one, one_ikc, one_log) = program("first");
    let (two, two_ikc, two_log) = program("second");
    let address = hub_ikc
        .listen(IkcTcp::bind("127.0.0.1:0").tikc())
        .await
        .unwrap()
        .to_string();
    one_ikc.connect(IkcTcp::connect(&address).tikc()).await.unwrap();
    let acts = async {
        until(&one, "hub", true).await;
        until(&hub, "first", true).await;
        two_ikc.connect(IkcTcp::connect(&address).tikc()).await.unwrap();
        // The clients learn of one another.
        until(&one, "second", true).await;
        until(&two, "first", true).await;
        one_ikc.sends::<(String, Vec<i64>)>();
        one.post("hub", HELLO, ("a".to_owned(), vec![1, 2])).unwrap();
        one.post("hub", SECRET, ()).unwrap();
        one.post("hub", ONE, "text".to_owned()).unwrap();
        one.post("hub", NONE, ()).unwrap();
        one.post("second", "one", Args::from(["through the hub".into()]))
            .unwrap();
        hub.post("first", ONE, "back".to_owned()).unwrap();
        until_lines(&hub_log, 3).await;
        until_lines(&one_log, 1).await;
        until_lines(&two_log, 1).await;
        // What was not published is refused and counted.
        assert_eq!(hub_ikc.counters().refused, 1);
        two_ikc.shutdown();
        two.post("second", "leave", ()).unwrap();
        until(&one, "second", false).await;
        until(&hub, "second", false).await;
        until(&hub, "first", true).await;
        for (kernel, ikc, alias) in [(&one, &one_ikc, "first"), (&hub, &hub_ikc, "hub")] {
            ikc.shutdown();
            kernel.post(alias, "leave", ()).unwrap();
        }
    };
    let all = async { tokio::join!(hub.run(), one.run(), two.run(), acts) };
    let (a, b, c, ()) = tokio::time::timeout(Duration::from_secs(60), all)
        .await
        .expect("it ends");
    a.and(b).and(c).unwrap();
    assert_eq!(hub_log.lines(), ["hello a [1, 2]", "one text", "none"]);
    assert_eq!(one_log.lines(), ["one back"]);
    assert_eq!(two_log.lines(), ["one through the hub"]);
}

#[tokio::test]
async fn a_session_of_this_kernel_keeps_its_alias_and_what_is_no_message_costs_the_connection() {
    use poe_ikc::wire::Codec;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let (kernel, ikc, log) = program("hub");
    let codec = Codec::default();
    let framed = |message: Vec<u8>| [message.len().to_string().as_bytes(), b"\0", &message].concat();
    let address = ikc
        .listen(IkcTcp::bind("127.0.0.1:0").tikc())
        .await
        .unwrap()
        .to_string();
    let acts = async {
        let mut evil = tokio::net::TcpStream::connect(&address).await.unwrap();
        let names = ["hub".to_owned(), "IKC".to_owned(), "mine".to_owned()];
        let post = codec.write_tikc_post("hub", "one", &"still here").unwrap();
        for message in [
            codec.write_tikc_aliases(Some("server"), &names, false).unwrap(),
            post,
            vec![5, 11, 2, 0, 0, 0, 0],
        ] {
            evil.write_all(&framed(message)).await.unwrap();
        }
        let mut sent = Vec::new();
        evil.read_to_end(&mut sent).await.unwrap();
        until_lines(&log, 1).await;
        until(&kernel, "mine", false).await;
        ikc.shutdown();
        kernel.post("hub", "leave", ()).unwrap();
    };
    let (ran, ()) = tokio::join!(kernel.run(), acts);
    ran.unwrap();
    assert_eq!(log.lines(), ["one still here"]);
    assert_eq!(ikc.counters().dropped, 1);
}
