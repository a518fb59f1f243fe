//! The rest of the specification's rows RW, and its laws 8, 9, 10, 12, 15, 18: events renamed, pauses, flushes, handles,
//! filters and the stream itself taken from a wheel.

use crate::laws_kit::{ms, said, say};
use crate::wheel_readwrite::{Cx, ERROR, FLUSHED, HIGH, LINE, LOW, RAW, all, beside, lines, talker, told, wheel};
use poe::event::{START, STOP};
use poe::filter::{Filter, FilterError, Line, Raw};
use poe::testing::assert_no_leaks;
use poe::wheel::{Input, ReadWrite};
use poe::{Event, Session, Signal};
use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context as Waiting, Poll};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex};

/// A stream that counts the reads that gave something, and the writes.
struct Counting {
    io: DuplexStream,
    reads: Rc<Cell<u32>>,
    writes: Rc<Cell<u32>>,
}

impl Counting {
    fn new(io: DuplexStream) -> (Self, Rc<Cell<u32>>, Rc<Cell<u32>>) {
        let (reads, writes) = (Rc::default(), Rc::default());
        let counting = Counting {
            io,
            reads: Rc::clone(&reads),
            writes: Rc::clone(&writes),
        };
        (counting, reads, writes)
    }
}

impl AsyncRead for Counting {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Waiting<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.io).poll_read(cx, buf);
        if read.is_ready() {
            self.reads.set(self.reads.get() + 1);
        }
        read
    }
}

impl AsyncWrite for Counting {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Waiting<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.writes.set(self.writes.get() + 1);
        Pin::new(&mut self.io).poll_write(cx, buf)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Waiting<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Waiting<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// One read takes no more than a block, and what is queued goes in between (D6). Unwritten bytes go first. A block of no bytes is refused (D1).
#[tokio::test(start_paused = true)]
async fn rw_p2_d1_d6_the_drivers_block_size_is_what_a_read_takes() {
    let (mut peer, ours) = duplex(1024);
    let (ours, reads, _) = Counting::new(ours);
    peer.write_all(&[b'x'; 100]).await.unwrap();
    let kernel = crate::laws_kit::exact_kernel();
    let session = talker(ours, |b| b.input(Raw::new(), RAW).block_size(10).unwritten("first "))
        .on("go", |cx, ()| {
            let refused = ReadWrite::builder(duplex(8).0).block_size(0).start(cx);
            assert!(refused.unwrap_err().to_string().contains("block size"));
            wheel(cx).put("second").unwrap();
            cx.yield_to("between", 0_u32);
        })
        .on(RAW, |_, input| say(input.record.len()))
        .on("between", |cx, n: u32| {
            say("between");
            if n < 3 {
                cx.yield_to("between", n + 1);
            }
        });
    let got = crate::wheel_readwrite::beside_on(&kernel, session, async move {
        let (reads, mut writes) = tokio::io::split(peer);
        writes.shutdown().await.unwrap();
        all(reads).await
    })
    .await;
    assert_eq!(got, "first second");
    let said = said();
    assert_eq!(said.iter().filter(|line| *line == "10").count(), 10);
    let first = said.iter().position(|line| line == "between").unwrap();
    assert!(said[first..].iter().any(|line| line == "10"), "{said:?}");
    assert_eq!(reads.get(), 11, "ten blocks and the end");
}

/// No byte is lost or read in a pause; what the last read brought is delivered all the same.
#[tokio::test(start_paused = true)]
async fn rw5_law_18_a_pause_stops_reading_and_loses_nothing() {
    let (mut peer, ours) = duplex(16);
    let (ours, reads, _) = Counting::new(ours);
    let before = Rc::new(Cell::new(0));
    let (reads_at_pause, reads_then) = (reads.clone(), before.clone());
    let (reads_at_resume, reads_before) = (reads.clone(), before);
    let session = talker(ours, lines)
        .on(LINE, move |cx, input| {
            if input.record == "1" {
                wheel(cx).pause_input();
                assert!(wheel(cx).is_input_paused());
                reads_then.set(reads_at_pause.get());
                cx.delay("resume", ms(1000), ());
            }
            say(input.record);
        })
        .on("resume", move |cx, ()| {
            assert!(
                reads_at_resume.get() <= reads_before.get() + 1,
                "only the read ahead of the same poll"
            );
            say("resume");
            wheel(cx).resume_input();
        });
    beside(session, async move {
        peer.write_all(b"1\r\n2\r\n3\r\n4\r\n5\r\n6\r\n7\r\n8\r\n9\r\n")
            .await
            .unwrap();
    })
    .await;
    let said = said();
    let paused = said.iter().position(|line| line == "resume").unwrap();
    assert_eq!(&said[..2], ["1", "2"]);
    assert!(paused < 8, "nothing was read in the pause: {said:?}");
    let heard: Vec<&str> = said
        .iter()
        .map(String::as_str)
        .filter(|line| *line != "resume")
        .collect();
    assert_eq!(heard, ["1", "2", "3", "4", "5", "6", "7", "8", "9", "read end"]);
}

/// W3, RW6: every event can be renamed at run time; without an input event nothing is read, and nothing is lost.
#[tokio::test(start_paused = true)]
async fn w3_rw6_events_are_renamed_at_run_time_and_a_pause_stays_a_pause() {
    const OTHER: Event<Input<String>> = Event::new("other line");
    let (mut peer, ours) = duplex(1024);
    let session = talker(ours, |b| lines(b).watermarks(10, 2).high(HIGH).low(LOW))
        .on(LINE, |cx, input| {
            say(format!("line {}", input.record));
            match &*input.record {
                "mute" => {
                    wheel(cx).set_input_event(None::<Event<Input<String>>>).unwrap();
                    cx.delay("unmute", ms(1000), ());
                }
                "rename" => {
                    assert!(
                        wheel(cx).set_input_event(Some(RAW)).is_err(),
                        "records are of another type"
                    );
                    wheel(cx).set_input_event(Some(OTHER)).unwrap();
                }
                _ => {}
            }
        })
        .on("unmute", |cx, ()| {
            say("unmute");
            wheel(cx).set_input_event(Some(LINE)).unwrap();
        })
        .on(OTHER, |cx, input| {
            say(format!("other {}", input.record));
            if input.record == "pause" {
                wheel(cx).pause_input();
                wheel(cx).set_input_event(Some(OTHER)).unwrap();
                wheel(cx).set_error_event(Some("another error"));
                wheel(cx).set_flushed_event(Some("written"));
                wheel(cx).set_high_event(Some("full"));
                wheel(cx).set_low_event(Some("empty"));
                assert!(wheel(cx).is_input_paused(), "renaming undoes no pause (Q18)");
                wheel(cx).put("more than the high mark").unwrap();
                cx.delay("resume", ms(1000), ());
            }
        })
        .on("resume", |cx, ()| {
            say("resume");
            wheel(cx).set_flushed_event(None::<&str>);
            wheel(cx).put("silent").unwrap();
            wheel(cx).resume_input();
        })
        .on("full", |_, _: poe::WheelId| say("full"))
        .on("empty", |_, _: poe::WheelId| say("empty"))
        .on("written", |_, _: poe::WheelId| say("written"))
        .on("another error", |cx, error| {
            say(format!("another error: {}", told(&error)));
            *cx.heap = None;
        });
    beside(session, async move {
        peer.write_all(b"1\r\nmute\r\n2\r\nrename\r\n3\r\npause\r\n4\r\n")
            .await
            .unwrap();
        tokio::time::sleep(ms(1500)).await;
        peer.write_all(b"5\r\n").await.unwrap();
        tokio::time::sleep(ms(1500)).await;
    })
    .await;
    let expected = [
        "line 1",
        "line mute",
        "unmute",
        "line 2",
        "line rename",
        "other 3",
        "other pause",
        "full",
        "other 4",
        "empty",
        "written",
        "resume",
        "other 5",
        "another error: read end",
    ];
    // The second put stays below the high mark, and its flush is not told.
    assert_eq!(said(), expected);
}

/// RW11: a flush writes what it can at once, and its event comes after the handler, also when nothing waited (law 8: once).
#[tokio::test(start_paused = true)]
async fn rw11_flush_writes_at_once_and_tells_after_the_handler() {
    let (mut peer, ours) = duplex(1024);
    let (ours, _, writes) = Counting::new(ours);
    let session = talker(ours, lines)
        .on("go", move |cx, ()| {
            wheel(cx).put("one").unwrap();
            assert_eq!(writes.get(), 0, "nothing is written before the handler returns");
            wheel(cx).flush();
            assert_eq!((writes.get(), wheel(cx).buffered_bytes()), (1, 0));
            wheel(cx).put("two").unwrap();
            wheel(cx).flush();
            assert_eq!((writes.get(), wheel(cx).out_messages()), (2, 0));
            say("go");
            cx.delay("again", ms(1000), ());
        })
        .on("again", |cx, ()| {
            wheel(cx).flush();
            wheel(cx).put("").unwrap();
            say("again");
            cx.delay("end", ms(1000), ());
        })
        .on("end", |cx, ()| *cx.heap = None);
    beside(session, async move {
        let mut bytes = [0; 12];
        peer.read_exact(&mut bytes).await.unwrap();
        assert_eq!(&bytes, b"one\r\ntwo\r\n\r\n");
        tokio::time::sleep(ms(5000)).await;
    })
    .await;
    assert_eq!(said(), ["go", "flushed", "again", "flushed"]);
}

/// RW.p9: with AutoFlush each put into an empty queue is written at once.
#[tokio::test(start_paused = true)]
async fn rw_p9_auto_flush_writes_each_put_into_an_empty_queue() {
    let (peer, ours) = duplex(8);
    let (ours, _, writes) = Counting::new(ours);
    let session = talker(ours, |b| lines(b).auto_flush(true))
        .on("go", move |cx, ()| {
            wheel(cx).put("12").unwrap();
            assert_eq!((writes.get(), wheel(cx).buffered_bytes()), (1, 0));
            wheel(cx).put("345678").unwrap();
            assert_eq!(wheel(cx).buffered_bytes(), 4, "the peer takes no more for now");
            let before = writes.get();
            wheel(cx).put("9").unwrap();
            assert_eq!(
                (writes.get(), wheel(cx).buffered_bytes()),
                (before, 7),
                "the queue was not empty"
            );
            say("go");
        })
        .on(FLUSHED, |cx, _| {
            say("flushed");
            *cx.heap = None;
        });
    assert_eq!(beside(session, all(peer)).await, "12\r\n345678\r\n9\r\n");
    assert_eq!(said(), ["go", "flushed"]);
}

/// A put of nothing is no put (RW1); the counts are those of the moment (law 9).
#[tokio::test(start_paused = true)]
async fn rw1_rw13_law_9_counts_and_a_put_of_nothing() {
    let (peer, ours) = duplex(4);
    let session = talker(ours, |b| b.output(Raw::new()))
        .on("go", |cx, ()| {
            wheel(cx).put("").unwrap();
            assert_eq!((wheel(cx).buffered_bytes(), wheel(cx).out_messages()), (0, 0));
            cx.delay("put", ms(1000), ());
        })
        .on("put", |cx, ()| {
            say("put");
            wheel(cx).put("0123456789").unwrap();
            wheel(cx).put("ab").unwrap();
            assert_eq!((wheel(cx).buffered_bytes(), wheel(cx).out_messages()), (12, 2));
            cx.delay("look", ms(1000), ());
        })
        .on("look", |cx, ()| {
            // The peer has taken nothing, and its pipe holds four bytes.
            assert_eq!((wheel(cx).buffered_bytes(), wheel(cx).out_messages()), (8, 2));
            cx.delay("end", ms(2000), ());
        })
        .on("end", |cx, ()| *cx.heap = None);
    let got = beside(session, async move {
        tokio::time::sleep(ms(2500)).await;
        all(peer).await
    })
    .await;
    assert_eq!(got, "0123456789ab");
    assert_eq!(said(), ["put", "flushed"]);
}

/// RW4, law 3: what was put keeps the form that it got.
#[tokio::test(start_paused = true)]
async fn rw4_law_3_bytes_that_wait_keep_their_form() {
    let (peer, ours) = duplex(8);
    let session = talker(ours, lines)
        .on("go", |cx, ()| {
            wheel(cx).put("a line").unwrap();
            wheel(cx).set_output_filter(Line::new().literal("|")).unwrap();
            wheel(cx).put("another").unwrap();
            wheel(cx).set_output_filter(Raw::new()).unwrap();
            let refused = wheel(cx).put(17_u8).unwrap_err();
            assert!(refused.is_wrong_type());
            assert_eq!(refused.into_record(), Some(17));
            wheel(cx).put("raw").unwrap();
        })
        .on(FLUSHED, |cx, _| *cx.heap = None);
    assert_eq!(beside(session, all(peer)).await, "a line\r\nanother|raw");
}

/// RW3: nested switches do not double anything, in whatever handler they come.
#[tokio::test(start_paused = true)]
async fn rw3_law_2_nested_switches_in_the_handlers_of_the_records_they_bring() {
    const A: Event<Input<String>> = Event::new("a");
    const B: Event<Input<String>> = Event::new("b");
    let (mut peer, ours) = duplex(1024);
    let session = talker(ours, |b| b.input(Line::new().literal("|"), LINE))
        .on(LINE, |cx, input| {
            say(format!("line {}", input.record));
            wheel(cx).set_filter(Line::new().literal(","), A).unwrap();
            say("back");
        })
        .on(A, |cx, input| {
            say(format!("a {}", input.record));
            wheel(cx).set_filter(Line::new().literal(";"), B).unwrap();
            wheel(cx).put("an answer").unwrap();
        })
        .on(B, |_, input| say(format!("b {}", input.record)));
    let got = beside(session, async move {
        peer.write_all(b"abc|de,f;g;h").await.unwrap();
        let (reads, mut writes) = tokio::io::split(peer);
        writes.shutdown().await.unwrap();
        all(reads).await
    })
    .await;
    assert_eq!(got, "an answer;");
    let flushed_or_not: Vec<String> = said().into_iter().filter(|line| line != "flushed").collect();
    assert_eq!(flushed_or_not, ["line abc", "back", "a de", "b f", "b g", "read end"]);
}

/// RW17, law 15: a wheel that is dropped in its own input event says nothing more.
#[tokio::test(start_paused = true)]
async fn rw17_law_15_a_dropped_wheel_delivers_no_more_of_the_same_read() {
    let (mut peer, ours) = duplex(1024);
    let session = talker(ours, lines).on(LINE, |cx, input| {
        say(input.record);
        wheel(cx).put("never written").unwrap();
        *cx.heap = None;
    });
    beside(
        session,
        async move { peer.write_all(b"1\r\n2\r\n3\r\n").await.unwrap() },
    )
    .await;
    assert_eq!(said(), ["1"]);
}

/// RW18: another wheel takes over the same stream, in the middle of a read and of a newline, and nothing is lost.
#[tokio::test(start_paused = true)]
async fn rw18_q4_q5_another_wheel_on_the_same_stream_goes_on_where_the_first_was() {
    const SENT: &[u8] = b"one\r\ntwo\r\nthree\r\nfour\r\n";
    for cut in 1..SENT.len() {
        let (mut peer, ours) = duplex(1024);
        let session = talker(ours, lines).on(LINE, |cx: &mut Cx<'_>, input| -> poe::HandlerResult {
            say(&input.record);
            wheel(cx).put(format!("{} put", input.record))?;
            let old = cx.heap.take().expect("the wheel is there");
            let first = old.id();
            let old = old.into_parts::<tokio::net::TcpStream>().expect_err("it is no socket");
            assert_eq!(old.id(), first, "and still whole");
            let parts = old.into_parts::<DuplexStream>().expect("it is a duplex stream");
            let next = ReadWrite::from_parts(parts)
                .input(Line::new(), LINE)
                .error(ERROR)
                .start(cx)?;
            assert_ne!(next.id(), first);
            *cx.heap = Some(next.into_any());
            Ok(())
        });
        let got = beside(session, async move {
            peer.write_all(&SENT[..cut]).await.unwrap();
            tokio::time::sleep(ms(10)).await;
            peer.write_all(&SENT[cut..]).await.unwrap();
            let (reads, mut writes) = tokio::io::split(peer);
            writes.shutdown().await.unwrap();
            // Until the wheel is dropped, with what it has put by then written.
            all(reads).await
        })
        .await;
        assert_eq!(said(), ["one", "two", "three", "four", "read end"], "cut at {cut}");
        assert_eq!(got, "one put\r\ntwo put\r\nthree put\r\nfour put\r\n", "cut at {cut}");
    }
}

/// RW13: filters and handles are lent.
#[tokio::test(start_paused = true)]
async fn rw13_filters_and_handles_are_lent() {
    let (mut peer, ours) = duplex(1024);
    let session = talker(ours, lines).on(LINE, |cx, input| {
        say(input.record);
        let wheel = wheel(cx);
        assert_eq!(
            wheel
                .with_input_filter(|line: &mut Line| line.pending().to_vec())
                .unwrap(),
            b"ha"
        );
        assert!(wheel.with_input_filter(|_: &mut Raw| ()).is_none(), "it is a Line");
        assert!(wheel.with_output_filter(|_: &mut Line| ()).is_some());
        assert!(wheel.with_input_handle(|_: &DuplexStream| ()).is_some());
        assert!(wheel.with_output_handle(|_: &tokio::net::TcpStream| ()).is_none());
    });
    beside(session, async move { peer.write_all(b"a line\r\nha").await.unwrap() }).await;
    assert_eq!(said(), ["a line", "read end"]);
}

/// A filter whose code fails altogether.
struct Panics;

impl Filter for Panics {
    type Input = ();
    type Output = String;
    fn feed(&mut self, _: &[u8]) {}
    fn next_record(&mut self) -> Result<Option<()>, FilterError> {
        panic!("the filter is broken")
    }
    fn put(&mut self, record: String, out: &mut bytes::BytesMut) -> Result<(), FilterError> {
        assert!(record != "bad", "the filter is broken");
        out.extend_from_slice(record.as_bytes());
        Ok(())
    }
    fn pending(&self) -> &[u8] {
        &[]
    }
    fn take_pending(&mut self) -> bytes::Bytes {
        bytes::Bytes::new()
    }
    fn fresh(&self) -> Self {
        Panics
    }
}

/// W6, W7: a filter's panic is a DIE of the session that names the wheel; what can go on goes on.
#[tokio::test(start_paused = true)]
async fn w7_a_filter_that_panics_is_a_die_of_the_session() {
    const DIED: Event<Signal> = Event::new("died");
    let (mut peer, ours) = duplex(1024);
    let session = talker(ours, |b| b.input(Panics, "a record"))
        .on("go", |cx, ()| cx.sig("DIE", DIED))
        .on(DIED, |cx, signal| {
            say(signal.die().expect("a DIE says why").event.as_str());
            cx.sig_handled();
            wheel(cx).put(String::from("still here")).unwrap();
            let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| wheel(cx).put(String::from("bad"))));
            assert!(caught.is_err());
            // The output filter is back in its place.
            wheel(cx).put(String::from(", and here")).unwrap();
        })
        .on(FLUSHED, |cx, _| {
            say("flushed");
            *cx.heap = None;
        });
    let got = beside(session, async move {
        peer.write_all(b"anything").await.unwrap();
        all(peer).await
    })
    .await;
    assert_eq!(got, "still here, and here");
    assert_eq!(said(), ["ReadWrite 1", "flushed"]);
}

/// W1, W4, W5 and steinert-passed-wheel: IDs go up and are not reused; a wheel that nobody keeps never fires; one that is
/// passed in an event dies cleanly with it.
#[tokio::test(start_paused = true)]
async fn w1_w4_w5_ids_and_wheels_that_are_not_kept() {
    let kernel = poe::testing::kernel();
    Session::builder(())
        .on(START, |cx, ()| -> poe::HandlerResult {
            let make = || ReadWrite::builder(tokio_test::io::Builder::new().wait(ms(9000)).build()).start(cx);
            let (first, second) = (make()?, make()?);
            assert!(first.id() < second.id());
            let freed = first.id();
            drop(first);
            let third = make()?;
            assert!(third.id() > second.id() && third.id() != freed);
            // Not kept: its peer is gone, but no event says so.
            let _ = ReadWrite::builder(duplex(8).0)
                .input(Line::new(), LINE)
                .error(ERROR)
                .start(cx)?;
            cx.yield_to("passed", third);
            Ok(())
        })
        .on("passed", |_, wheel: ReadWrite| poe::Reply(wheel.buffered_bytes()))
        .on(LINE, |_, _| say("a line"))
        .on(ERROR, |_, error| say(told(&error)))
        .on(STOP, |_, ()| say("stops"))
        .create(&kernel)
        .unwrap();
    kernel.run().await.unwrap();
    assert_eq!(said(), ["stops"]);
    assert_no_leaks(&kernel);
}

/// W2, law 16: the owner gets the events, whichever session puts.
#[tokio::test(start_paused = true)]
async fn w2_law_16_the_owner_gets_the_events_whichever_session_puts() {
    const PUT: Event<Rc<ReadWrite>> = Event::new("put");
    let (peer, ours) = duplex(64);
    let kernel = poe::testing::kernel();
    let ours = Cell::new(Some(ours));
    Session::builder(())
        .on(START, |cx, ()| cx.alias_set("other"))
        .on(PUT, |cx, wheel| -> poe::HandlerResult {
            assert_ne!(wheel.session_id(), cx.session_id());
            wheel.put("from another session")?;
            cx.alias_remove("other")?;
            Ok(())
        })
        .on(FLUSHED, |_, _| say("another session is told"))
        .create(&kernel)
        .unwrap();
    Session::builder(None::<Rc<ReadWrite>>)
        .on(START, move |cx, ()| -> poe::HandlerResult {
            let ours = ours.take().expect("a session starts once");
            let wheel = Rc::new(ReadWrite::builder(ours).flushed(FLUSHED).start(cx)?);
            *cx.heap = Some(wheel.clone());
            cx.post("other", PUT, wheel)?;
            Ok(())
        })
        .on(FLUSHED, |cx, id| {
            assert_eq!(Some(id), cx.heap.as_ref().map(|wheel| wheel.id()));
            say("the owner is told");
            *cx.heap = None;
        })
        .create(&kernel)
        .unwrap();
    let both = async { tokio::join!(kernel.run(), all(peer)) };
    let (ran, got) = tokio::time::timeout(ms(60_000), both).await.expect("it ends");
    ran.unwrap();
    assert_eq!(got, "from another session\r\n");
    assert_eq!(said(), ["the owner is told"]);
    assert_no_leaks(&kernel);
}
