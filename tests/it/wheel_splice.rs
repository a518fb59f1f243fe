//! Two wheels joined: every byte arrives, no more waits than the marks allow, and the ends are told once.

use crate::laws_kit::{ms, said, say};
use poe::event::START;
use poe::filter::Line;
use poe::testing::assert_no_leaks;
use poe::wheel::{Input, IoError, ReadWrite, Splice, Spliced, splice};
use poe::{Event, HandlerResult, Kernel, Session, SessionBuilder};
use std::cell::Cell;
use std::rc::Rc;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

const LINE: Event<Input<String>> = Event::new("line");
const ERROR: Event<IoError> = Event::new("error");
const ENDED: Event<Spliced> = Event::new("ended");

const HIGH: usize = 1000;

#[derive(Default)]
struct Proxy {
    client: Option<ReadWrite>,
    server: Option<ReadWrite>,
    splice: Option<Splice>,
}

/// A session that reads one line of its client, puts a greeting to each side, and then joins the two.
fn proxy(client: DuplexStream, server: DuplexStream) -> SessionBuilder<Proxy> {
    let streams = Cell::new(Some((client, server)));
    Session::builder(Proxy::default())
        .on(START, move |cx, ()| -> HandlerResult {
            let (client, server) = streams.take().expect("a session starts once");
            cx.heap.client = Some(
                ReadWrite::builder(client)
                    .input(Line::new(), LINE)
                    .error(ERROR)
                    .start(cx)?,
            );
            cx.heap.server = Some(ReadWrite::builder(server).error(ERROR).start(cx)?);
            Ok(())
        })
        .on(LINE, |cx, input| -> HandlerResult {
            say(input.record);
            let (client, server) = cx
                .heap
                .client
                .take()
                .zip(cx.heap.server.take())
                .expect("both are there");
            client.put("hello client")?;
            server.put("hello server")?;
            let joined = splice(client, server).watermarks(HIGH, 100).ended(ENDED).start(cx)?;
            assert_eq!(joined.session_id(), cx.session_id());
            cx.heap.splice = Some(joined);
            Ok(())
        })
        .on(ERROR, |_, error| say(format!("the wheels tell of nothing: {error}")))
        .on(ENDED, |cx, ended| {
            let ours = cx.heap.splice.as_ref().expect("the splice is there");
            assert_eq!((ours.id(), ours.bytes()), (ended.wheel, (ended.there, ended.back)));
            let errors: Vec<String> = ended.errors.iter().map(|e| format!(" {}", e.operation())).collect();
            say(format!("ended {} {}{}", ended.there, ended.back, errors.concat()));
        })
}

async fn beside<T>(session: SessionBuilder<Proxy>, peer: impl Future<Output = T>) -> T {
    let kernel = poe::testing::kernel();
    session.create(&kernel).unwrap();
    let both = async { tokio::join!(kernel.run(), peer) };
    let (ran, answer) = tokio::time::timeout(ms(600_000), both).await.expect("it ends");
    ran.unwrap();
    assert_no_leaks(&kernel);
    answer
}

fn noise(bytes: usize, seed: u8) -> Vec<u8> {
    let mut state = u32::from(seed);
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    std::iter::repeat_with(next).take(bytes).collect()
}

/// What was read before and what was put before goes first; then a lot goes both ways at once; each end is passed on.
#[tokio::test(start_paused = true)]
async fn every_byte_arrives_both_ways_and_the_ends_are_passed_on() {
    let ((client, ours), (server, theirs)) = (duplex(300), duplex(700));
    let (up, down) = (noise(50_000, 1), noise(80_000, 2));
    let (sent_up, sent_down) = (up.clone(), down.clone());
    let (at_client, at_server) = beside(proxy(ours, theirs), async move {
        let (mut client_reads, mut client_writes) = tokio::io::split(client);
        let (mut server_reads, mut server_writes) = tokio::io::split(server);
        let (mut at_client, mut at_server) = (Vec::new(), Vec::new());
        let ups = async {
            client_writes.write_all(b"CONNECT\r\nread ahead ").await.unwrap();
            client_writes.write_all(&sent_up).await.unwrap();
            client_writes.shutdown().await.unwrap();
        };
        let downs = async {
            server_writes.write_all(&sent_down).await.unwrap();
            server_writes.shutdown().await.unwrap();
        };
        let (_, _, at_client_read, at_server_read) = tokio::join!(
            ups,
            downs,
            client_reads.read_to_end(&mut at_client),
            server_reads.read_to_end(&mut at_server)
        );
        at_client_read.unwrap();
        at_server_read.unwrap();
        (at_client, at_server)
    })
    .await;
    assert_eq!(at_server, [b"hello server\r\nread ahead ".as_slice(), &up].concat());
    assert_eq!(at_client, [b"hello client\r\n".as_slice(), &down].concat());
    assert_eq!(said(), ["CONNECT", "ended 50011 80000"]);
}

/// A server that takes nothing stops its client at the high mark, and gets all when it wakes up.
#[tokio::test(start_paused = true)]
async fn a_slow_reader_holds_the_other_side_back_at_the_high_mark() {
    let ((client, ours), (server, theirs)) = (duplex(64), duplex(64));
    let most = Rc::new(Cell::new(0));
    let seen = most.clone();
    let session = proxy(ours, theirs)
        .on("look", move |cx, ()| {
            let waits = cx.heap.splice.as_ref().map_or(0, |splice| splice.buffered_bytes().1);
            seen.set(seen.get().max(waits));
            if cx.heap.splice.is_some() || cx.heap.client.is_some() {
                cx.delay("look", ms(10), ());
            }
        })
        .on(ENDED, |cx, ended| {
            say(format!("ended {}", ended.there));
            cx.heap.splice = None;
        });
    let kernel = poe::testing::kernel();
    let id = session.create(&kernel).unwrap();
    kernel.post(id, "look", ()).unwrap();
    let written = Rc::new(Cell::new(0));
    let progress = written.clone();
    let peer = async move {
        let (_client_reads, mut client_writes) = tokio::io::split(client);
        let (mut server_reads, mut server_writes) = tokio::io::split(server);
        let writing = async {
            client_writes.write_all(b"GO\n").await.unwrap();
            for _ in 0..200 {
                client_writes.write_all(&[b'x'; 50]).await.unwrap();
                progress.set(progress.get() + 50);
            }
            client_writes.shutdown().await.unwrap();
        };
        let reading = async {
            tokio::time::sleep(ms(5000)).await;
            // The marks, the two pipes, and the greeting are all that there is room for.
            assert!(progress.get() <= HIGH + 64 + 64 + 50, "{} were taken", progress.get());
            let mut got = Vec::new();
            // In small bites, so that the low mark is passed many times.
            let mut bite = [0; 7];
            loop {
                match server_reads.read(&mut bite).await.unwrap() {
                    0 => break,
                    n => got.extend_from_slice(&bite[..n]),
                }
            }
            server_writes.shutdown().await.unwrap();
            got.len()
        };
        tokio::join!(writing, reading).1
    };
    let both = async { tokio::join!(kernel.run(), peer) };
    let (ran, got) = tokio::time::timeout(ms(600_000), both).await.expect("it ends");
    ran.unwrap();
    assert_eq!(got, 10_000 + "hello server\r\n".len());
    assert!(
        (HIGH - 100..=HIGH).contains(&most.get()),
        "{} bytes waited at most",
        most.get()
    );
    assert_eq!(said(), ["GO", "ended 10000"]);
    assert_no_leaks(&kernel);
}

/// One side fails: what came before is passed on, the other side is ended, and the error comes with the one event.
#[tokio::test(start_paused = true)]
async fn an_error_of_one_side_ends_the_other() {
    let (client, ours) = duplex(4096);
    let (server, theirs) = duplex(4096);
    let at_client = beside(proxy(ours, theirs), async move {
        let (mut client_reads, mut client_writes) = tokio::io::split(client);
        client_writes.write_all(b"GO\n").await.unwrap();
        tokio::time::sleep(ms(10)).await;
        // The server says something and breaks off.
        let mut server = server;
        server.write_all(b"last words").await.unwrap();
        drop(server);
        client_writes.write_all(b"nobody reads this").await.unwrap();
        let mut at_client = Vec::new();
        client_reads.read_to_end(&mut at_client).await.unwrap();
        at_client
    })
    .await;
    assert_eq!(at_client, b"hello client\r\nlast words");
    let said = said();
    assert_eq!(said[0], "GO");
    // Whether the server's output was found broken depends on who was faster.
    assert!(said[1].starts_with("ended ") && said[1].contains(" 10"), "{said:?}");
    assert_eq!(said.len(), 2);
}

/// A splice can be given away with all that is in it, and dropped at any time.
#[tokio::test(start_paused = true)]
async fn a_splice_is_adopted_and_dropped() {
    const GIFT: Event<Splice> = Event::new("gift");
    let kernel = poe::testing::kernel();
    let heir = Session::builder(None::<Splice>)
        .on(START, |cx, ()| cx.alias_set("heir"))
        .on(GIFT, |cx, splice: Splice| -> HandlerResult {
            splice.adopt(cx)?;
            cx.alias_remove("heir")?;
            *cx.heap = Some(splice);
            cx.delay("drop", ms(1000), ());
            Ok(())
        })
        .on("drop", |cx, ()| {
            say(format!("{:?}", cx.heap.as_ref().map(Splice::bytes)));
            *cx.heap = None;
        })
        .on(ENDED, |_, _| say("never"))
        .create(&kernel)
        .unwrap();
    let ((client, ours), (server, theirs)) = (duplex(64), duplex(64));
    let giver = proxy(ours, theirs).on(LINE, move |cx, _| -> HandlerResult {
        let (client, server) = cx
            .heap
            .client
            .take()
            .zip(cx.heap.server.take())
            .expect("both are there");
        cx.post(heir, GIFT, splice(client, server).ended(ENDED).start(cx)?)?;
        Ok(())
    });
    giver.create(&kernel).unwrap();
    let peer = async move {
        let (mut client, mut server) = (client, server);
        client.write_all(b"GO\nabc").await.unwrap();
        let mut bytes = [0; 3];
        server.read_exact(&mut bytes).await.unwrap();
        assert_eq!(&bytes, b"abc");
        assert_eq!(server.read(&mut bytes).await.unwrap(), 0, "dropped, and so closed");
    };
    let both = async { tokio::join!(kernel.run(), peer) };
    tokio::time::timeout(ms(60_000), both)
        .await
        .expect("it ends")
        .0
        .unwrap();
    assert_eq!(said(), ["Some((3, 0))"]);
    assert_no_leaks(&kernel);
}

#[tokio::test(start_paused = true)]
async fn marks_that_make_no_sense_are_refused() {
    let kernel = Kernel::new();
    Session::builder(())
        .on(START, |cx, ()| -> HandlerResult {
            let make = || ReadWrite::builder(duplex(8).0).start(cx);
            assert!(splice(make()?, make()?).watermarks(8, 8).start(cx).is_err());
            Ok(())
        })
        .create(&kernel)
        .unwrap();
    kernel.run().await.unwrap();
    assert_no_leaks(&kernel);
}
