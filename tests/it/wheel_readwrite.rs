//! POE's `wheel_readwrite` (POE::Test::Loops) and the rows RW of the specification: what a ReadWrite tells, and when.

use crate::laws_kit::{ms, said, say};
use bytes::Bytes;
use poe::event::{START, STOP};
use poe::filter::{Line, Raw};
use poe::testing::assert_no_leaks;
use poe::wheel::{AnyReadWrite, Input, IoError, OwnFilter, ReadWrite, ReadWriteBuilder};
use poe::{Context, Event, Kernel, Session, SessionBuilder, WheelId};
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufStream, DuplexStream, duplex};

pub(crate) const LINE: Event<Input<String>> = Event::new("line");
pub(crate) const RAW: Event<Input<bytes::Bytes>> = Event::new("raw");
pub(crate) const ERROR: Event<IoError> = Event::new("error");
pub(crate) const FLUSHED: Event<WheelId> = Event::new("flushed");
pub(crate) const HIGH: Event<WheelId> = Event::new("high");
pub(crate) const LOW: Event<WheelId> = Event::new("low");

pub(crate) type Cx<'k> = Context<'k, Option<AnyReadWrite>>;

pub(crate) fn wheel<'a>(cx: &'a Cx<'_>) -> &'a AnyReadWrite {
    cx.heap.as_ref().expect("the wheel is there")
}

pub(crate) fn told(error: &IoError) -> String {
    let what = match error.as_filter() {
        Some(filter) if filter.is_too_long() => "too long",
        Some(_) => "another filter error",
        None if error.is_eof() => "end",
        None if error.is_reset() => "reset",
        None => "another error",
    };
    format!("{} {what}", error.operation())
}

/// A session with a wheel on that stream. It says what it is told, and drops the wheel at the end of the input; its
/// first event is `go`.
pub(crate) fn talker<O: 'static, C: 'static>(
    io: impl AsyncRead + AsyncWrite + 'static,
    build: impl Fn(ReadWriteBuilder) -> ReadWriteBuilder<O, C> + 'static,
) -> SessionBuilder<Option<AnyReadWrite>> {
    let io = std::cell::Cell::new(Some(io));
    Session::builder(None)
        .on(START, move |cx, ()| -> poe::HandlerResult {
            let builder = ReadWrite::builder(io.take().expect("a session starts once"));
            *cx.heap = Some(build(builder.error(ERROR).flushed(FLUSHED)).start(cx)?.into_any());
            cx.yield_to("go", ());
            Ok(())
        })
        .on("go", |_, ()| ())
        .on(LINE, |cx, input| {
            assert_eq!(input.wheel, wheel(cx).id());
            say(input.record);
        })
        .on(FLUSHED, |_, _| say("flushed"))
        .on(HIGH, |_, _| say("high"))
        .on(LOW, |_, _| say("low"))
        .on(ERROR, |cx, error| {
            say(told(&error));
            *cx.heap = None;
        })
}

pub(crate) fn lines(builder: ReadWriteBuilder) -> ReadWriteBuilder {
    builder.input(Line::new(), LINE)
}

/// Runs the session to its end beside its peer.
pub(crate) async fn beside<T>(session: SessionBuilder<Option<AnyReadWrite>>, peer: impl Future<Output = T>) -> T {
    beside_on(&poe::testing::kernel(), session, peer).await
}

pub(crate) async fn beside_on<T>(
    kernel: &Kernel,
    session: SessionBuilder<Option<AnyReadWrite>>,
    peer: impl Future<Output = T>,
) -> T {
    session.create(kernel).unwrap();
    let both = async { tokio::join!(kernel.run(), peer) };
    let (ran, answer) = tokio::time::timeout(ms(60_000), both).await.expect("it ends");
    ran.unwrap();
    assert_no_leaks(kernel);
    answer
}

pub(crate) async fn all(mut stream: impl AsyncRead + Unpin) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    text
}

/// Nothing is written before the handler returns, and however many writes it takes, `flushed` comes when all is out.
#[tokio::test(start_paused = true)]
async fn rw10_flushed_comes_once_per_drain() {
    let (peer, ours) = duplex(16);
    let session = talker(ours, lines)
        .on("go", |cx, ()| {
            for n in 0..50 {
                wheel(cx).put(format!("a line of text, number {n}")).unwrap();
            }
            assert_eq!(wheel(cx).out_messages(), 50, "nothing is written yet");
            cx.delay("more", ms(1000), ());
        })
        .on("more", |cx, ()| {
            wheel(cx).put("one").unwrap();
            wheel(cx).put("two").unwrap();
            say("more");
            cx.delay("end", ms(1000), ());
        })
        .on("end", |cx, ()| {
            assert_eq!((wheel(cx).out_messages(), wheel(cx).buffered_bytes()), (0, 0));
            *cx.heap = None;
        });
    let got = beside(session, all(peer)).await;
    assert_eq!(got.lines().count(), 52);
    assert_eq!(said(), ["flushed", "more", "flushed"]);
}

/// A stream that waits before it is read, and how its session begins.
fn full(
    build: impl Fn(ReadWriteBuilder<Bytes, OwnFilter>) -> ReadWriteBuilder<Bytes, OwnFilter> + 'static,
) -> (DuplexStream, SessionBuilder<Option<AnyReadWrite>>) {
    let (peer, ours) = duplex(16);
    let session = talker(ours, move |b| {
        build(b.output(Raw::new()).watermarks(100, 20).high(HIGH).low(LOW))
    });
    (peer, session.on("end", |cx, ()| *cx.heap = None))
}

/// RW15, RW16: a wheel that has enough to write from its start is at its high mark; a program that waits for the low one must not
/// wait for ever.
#[tokio::test(start_paused = true)]
async fn rw15_rw16_a_wheel_that_starts_full_reports_its_high_mark() {
    async fn tells(
        build: impl Fn(ReadWriteBuilder<Bytes, OwnFilter>) -> ReadWriteBuilder<Bytes, OwnFilter> + 'static,
        bytes: usize,
    ) -> Vec<String> {
        let (peer, session) = full(build);
        let session = session.on("go", |cx, ()| cx.delay("end", ms(1000), ()));
        assert_eq!(beside(session, all(peer)).await.len(), bytes);
        said()
    }
    assert_eq!(
        tells(|b| b.unwritten([b'x'; 100]), 100).await,
        ["high", "low", "flushed"]
    );
    assert_eq!(tells(|b| b.unwritten([b'x'; 99]), 99).await, ["flushed"]);
}

/// Has another wheel go on where the session's was.
fn replace(cx: &mut Cx<'_>) -> poe::HandlerResult {
    let wheel = cx.heap.take().expect("the wheel is there");
    let parts = wheel.into_parts::<DuplexStream>().expect("it is a duplex stream");
    let builder = ReadWrite::from_parts(parts).output(Raw::new()).watermarks(100, 20);
    *cx.heap = Some(builder.high(HIGH).low(LOW).flushed(FLUSHED).start(cx)?.into_any());
    cx.delay("end", ms(1000), ());
    Ok(())
}

/// RW15, RW16, RW18: the first wheel has reported the high mark, so the next one reports the low mark, once.
#[tokio::test(start_paused = true)]
async fn rw15_rw16_rw18_the_next_wheel_reports_the_low_mark() {
    // While as much waits as at first.
    let (peer, session) = full(|b| b);
    let session = session
        .on("go", |cx, ()| _ = wheel(cx).put([b'x'; 150].to_vec()).unwrap())
        .on(HIGH, |cx, _| -> poe::HandlerResult {
            say("high");
            // The second one has no news.
            if wheel(cx).id().to_string() == "1" {
                replace(cx)
            } else {
                Ok(())
            }
        });
    assert_eq!(beside(session, all(peer)).await.len(), 150);
    assert_eq!(said(), ["high", "low", "flushed"]);

    // On the way from the one to the other.
    let (mut peer, session) = full(|b| b);
    let session = session
        .on("go", |cx, ()| {
            wheel(cx).put([b'x'; 150].to_vec()).unwrap();
            cx.delay("half way", ms(500), ());
        })
        .on("half way", |cx, ()| {
            assert_eq!(wheel(cx).buffered_bytes(), 150 - 90 - 16);
            replace(cx)
        });
    let got = beside(session, async move {
        peer.read_exact(&mut [0; 90]).await.unwrap();
        tokio::time::sleep(ms(600)).await;
        all(peer).await
    })
    .await;
    assert_eq!(got.len(), 60);
    assert_eq!(said(), ["high", "low", "flushed"]);

    // When the one before has written it all, but had no time to say so.
    let (peer, ours) = duplex(1024);
    let session = talker(ours, |b| b.output(Raw::new()).watermarks(100, 20).high(HIGH).low(LOW));
    let session = session
        .on("go", |cx, ()| _ = wheel(cx).put([b'x'; 150].to_vec()).unwrap())
        .on(HIGH, |cx, _| {
            say("high");
            wheel(cx).flush();
            assert_eq!(wheel(cx).buffered_bytes(), 0);
            replace(cx)
        })
        .on("end", |cx, ()| *cx.heap = None);
    assert_eq!(beside(session, all(peer)).await.len(), 150);
    assert_eq!(said(), ["high", "low", "flushed"]);
}

/// RW18: what the wheel before has written into a stream that keeps it, the next one flushes out of it.
#[tokio::test(start_paused = true)]
async fn rw18_the_next_wheel_flushes_the_stream() {
    let (peer, ours) = duplex(16);
    let session = talker(BufStream::new(ours), |b| b.output(Raw::new()))
        .on("go", |cx, ()| -> poe::HandlerResult {
            wheel(cx).put([b'x'; 50].to_vec())?;
            wheel(cx).flush();
            let wheel = cx.heap.take().expect("the wheel is there");
            let parts = wheel.into_parts::<BufStream<DuplexStream>>().expect("it is one");
            assert!(parts.unwritten.is_empty(), "the stream has it");
            *cx.heap = Some(ReadWrite::from_parts(parts).flushed(FLUSHED).start(cx)?.into_any());
            cx.delay("end", ms(1000), ());
            Ok(())
        })
        .on("end", |cx, ()| *cx.heap = None);
    assert_eq!(beside(session, all(peer)).await.len(), 50);
    assert_eq!(said(), ["flushed"]);
}

/// RW15, RW16: a handler of a record that puts past the high mark and writes everything at once gets both events, the
/// high one first, and gets them again the next time.
#[tokio::test(start_paused = true)]
async fn both_marks_are_reported_in_order_when_a_handler_writes_all_that_it_has_put_rw15_rw16() {
    let (mut peer, ours) = duplex(1024);
    let session = talker(ours, |b| {
        b.input(Line::new(), LINE).watermarks(100, 20).high(HIGH).low(LOW)
    })
    .on(LINE, |cx, input| {
        say(input.record);
        let level = wheel(cx).put("x".repeat(150)).unwrap();
        assert!(level.is_high());
        wheel(cx).flush();
        assert_eq!(wheel(cx).buffered_bytes(), 0);
    });
    let got = beside(session, async move {
        peer.write_all(b"one\ntwo\n").await.unwrap();
        peer.shutdown().await.unwrap();
        all(peer).await
    })
    .await;
    assert_eq!(got.len(), 2 * 152);
    assert_eq!(
        said(),
        [
            "one", "high", "low", "flushed", "two", "high", "low", "flushed", "read end"
        ]
    );
}

/// The high event comes once on the way up, the low one once on the way down, in turn (POE sends neither reliably: RW15, RW16).
#[tokio::test(start_paused = true)]
async fn rw15_rw16_the_watermarks_alternate() {
    fn fill(cx: &mut Cx<'_>) {
        for n in 1..=20 {
            let level = wheel(cx).put("0123456789").unwrap();
            assert_eq!(level.is_high(), wheel(cx).buffered_bytes() >= 100, "put {n}");
        }
    }
    let rounds = std::cell::Cell::new(0);
    let (peer, ours) = duplex(16);
    let session = talker(ours, |b| lines(b).watermarks(100, 20).high(HIGH).low(LOW))
        .on("go", |cx, ()| fill(cx))
        .on(HIGH, |cx, _| {
            say("high");
            // Higher yet: that is no news.
            wheel(cx).put("0123456789").unwrap();
        })
        .on(LOW, move |cx, _| {
            say("low");
            assert!(wheel(cx).buffered_bytes() <= 20);
            rounds.set(rounds.get() + 1);
            if rounds.get() < 3 {
                fill(cx);
            }
        })
        .on(FLUSHED, |cx, _| {
            say("flushed");
            *cx.heap = None;
        });
    let got = beside(session, all(peer)).await;
    assert_eq!(got.lines().count(), 63);
    assert_eq!(said(), ["high", "low", "high", "low", "high", "low", "flushed"]);
}

#[tokio::test(start_paused = true)]
async fn rw_p7_marks_that_make_no_sense_are_refused() {
    let kernel = Kernel::new();
    Session::builder(())
        .on(START, |cx, ()| {
            let (_peer, io) = duplex(16);
            let builder = || ReadWrite::builder(tokio::io::join(tokio::io::empty(), tokio::io::sink()));
            assert!(ReadWrite::builder(io).watermarks(8, 8).low(LOW).start(cx).is_err());
            assert!(builder().watermarks(8, 0).start(cx).is_err());
            // Marks and their events need not come together.
            assert!(builder().high(HIGH).start(cx).unwrap().set_high_mark(1 << 20).is_ok());
            assert!(builder().low(LOW).start(cx).is_ok());
            let wheel = builder().watermarks(8, 3).start(cx).unwrap();
            assert!(wheel.set_high_mark(3).is_err());
            assert!(wheel.set_low_mark(8).is_err());
            wheel.set_high_mark(4).unwrap();
            let without = builder().start(cx).unwrap();
            assert!(without.set_high_mark(10).is_err());
            say("checked");
        })
        .create(&kernel)
        .unwrap();
    kernel.run().await.unwrap();
    assert_eq!(said(), ["checked"]);
    assert_no_leaks(&kernel);
}

/// Wherever the bytes are cut, the new filter gets all that the old one had not used, and the rest.
#[tokio::test(start_paused = true)]
async fn rw3_a_switch_of_filters_in_mid_stream_loses_no_byte() {
    const SENT: &[u8] = b"one\r\nraw\r\n\0\r\n\xffrest";
    for cut in 0..=SENT.len() {
        let (mut peer, ours) = duplex(1024);
        let session = talker(ours, lines)
            .on(LINE, |cx, input| {
                if input.record == "raw" {
                    wheel(cx).set_input_filter(Raw::new(), RAW).unwrap();
                }
                say(input.record);
            })
            .on(RAW, |_, input| {
                input.record.iter().for_each(|byte| say(format!("{byte:02x}")))
            });
        beside(session, async move {
            peer.write_all(&SENT[..cut]).await.unwrap();
            tokio::time::sleep(ms(10)).await;
            peer.write_all(&SENT[cut..]).await.unwrap();
        })
        .await;
        let expected = ["one", "raw", "00", "0d", "0a", "ff", "72", "65", "73", "74", "read end"];
        assert_eq!(said(), expected, "cut at {cut}");
    }
}

/// The end of the input is reported once, bytes that are not a record stay pending, and the output goes on.
#[tokio::test(start_paused = true)]
async fn rw7_after_the_end_of_the_input_the_wheel_still_writes() {
    let (peer, ours) = duplex(1024);
    let session = talker(ours, lines)
        .on(ERROR, |cx, error| {
            say(told(&error));
            assert_eq!(error.errno(), Some(0));
            assert_eq!(&wheel(cx).input_pending()[..], b"tail");
            cx.delay("later", ms(1000), ());
        })
        .on("later", |cx, ()| {
            wheel(cx).put("an answer").unwrap();
        })
        .on(FLUSHED, |cx, _| {
            say("flushed");
            *cx.heap = None;
        });
    let got = beside(session, async move {
        let (reads, mut writes) = tokio::io::split(peer);
        writes.write_all(b"a line\r\ntail").await.unwrap();
        writes.shutdown().await.unwrap();
        all(reads).await
    })
    .await;
    assert_eq!(got, "an answer\r\n");
    assert_eq!(said(), ["a line", "read end", "flushed"]);
}

/// Each direction can be ended alone. The plain shutdown loses what waits, as POE's does; the other writes it first.
#[tokio::test(start_paused = true)]
async fn rw12_shutdown_of_the_output_at_once_and_after_the_flush() {
    for (after_flush, expected) in [(true, 1000), (false, 0)] {
        let (peer, ours) = duplex(64);
        let session = talker(ours, lines).on("go", move |cx, ()| {
            for n in 0..1000 {
                wheel(cx).put(format!("line {n}")).unwrap();
            }
            match after_flush {
                true => wheel(cx).shutdown_output_after_flush(),
                false => wheel(cx).shutdown_output(),
            }
            assert!(wheel(cx).is_output_closed());
            let refused = wheel(cx).put(String::from("too late")).unwrap_err();
            assert!(refused.is_closed());
            assert_eq!(refused.into_record().unwrap(), "too late");
        });
        let got = beside(session, async move {
            let (reads, mut writes) = tokio::io::split(peer);
            let got = all(reads).await;
            // The other direction is open yet.
            writes.write_all(b"still heard\r\n").await.unwrap();
            writes.shutdown().await.unwrap();
            got
        })
        .await;
        assert_eq!(got.lines().count(), expected, "after the flush: {after_flush}");
        let said = said();
        assert_eq!(said[said.len() - 2..], ["still heard", "read end"]);
        assert_eq!(
            said.iter().filter(|l| *l == "flushed").count(),
            usize::from(after_flush)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_over_long_line_is_an_error_event_after_the_lines_before_it() {
    let (mut peer, ours) = duplex(1 << 16);
    let session = talker(ours, |b| b.input(Line::new().max_length(10), LINE));
    beside(session, async move {
        peer.write_all(b"before\r\n").await.unwrap();
        let _ = peer.write_all(&[b'x'; 1000]).await;
    })
    .await;
    assert_eq!(said(), ["before", "read too long"]);
}

#[tokio::test(start_paused = true)]
async fn rw7_a_reset_is_reported_once_after_every_line_that_had_come() {
    let io = tokio_test::io::Builder::new()
        .read(b"one\r\ntwo\r\nth")
        .read(b"ree\r\nhalf")
        .read_error(io::ErrorKind::ConnectionReset.into())
        .build();
    beside(talker(io, lines), async {}).await;
    assert_eq!(said(), ["one", "two", "three", "read reset"]);
}

#[tokio::test(start_paused = true)]
async fn rw8_a_failed_write_is_reported_once_and_puts_are_refused_from_then_on() {
    let io = tokio_test::io::Builder::new()
        .write_error(io::ErrorKind::BrokenPipe.into())
        .wait(ms(10_000))
        .build();
    let session = talker(io, |b| b.output(Line::new()))
        .on("go", |cx, ()| {
            wheel(cx).put("nobody reads this").unwrap();
        })
        .on(ERROR, |cx, error| {
            say(told(&error));
            assert!(wheel(cx).put("nor this").unwrap_err().is_closed());
            cx.delay("end", ms(1000), ());
        })
        .on("end", |cx, ()| *cx.heap = None);
    beside(session, async {}).await;
    assert_eq!(said(), ["write reset"]);
}

/// Also with bytes that wait to be written, which go with it.
#[cfg(unix)]
#[tokio::test]
async fn dropping_the_wheel_closes_the_descriptor() {
    let (peer, ours) = tokio::net::UnixStream::pair().unwrap();
    let session = talker(ours, lines).on("go", |cx, ()| {
        wheel(cx).put("never written").unwrap();
        *cx.heap = None;
    });
    assert_eq!(beside_on(&Kernel::new(), session, all(peer)).await, "");
    assert_eq!(said(), Vec::<String>::new());
}

/// A wheel can be given away: its events go to the session that adopts it, which it holds alive from then on.
#[tokio::test(start_paused = true)]
async fn w2_an_adopted_wheel_sends_its_events_to_its_new_session_and_holds_it() {
    const GIFT: Event<AnyReadWrite> = Event::new("gift");
    let kernel = poe::testing::kernel();
    let heir = Session::builder(None::<AnyReadWrite>)
        .on(START, |cx, ()| cx.alias_set("heir"))
        .on(GIFT, |cx, wheel: AnyReadWrite| -> poe::HandlerResult {
            wheel.adopt(cx)?;
            assert_eq!(wheel.session_id(), cx.session_id());
            *cx.heap = Some(wheel);
            cx.alias_remove("heir")?;
            Ok(())
        })
        .on(LINE, |_, input| say(format!("heir {}", input.record)))
        .on(ERROR, |cx, error| {
            say(format!("heir {}", told(&error)));
            *cx.heap = None;
        })
        .on(STOP, |_, ()| say("heir stops"))
        .create(&kernel)
        .unwrap();
    let (mut peer, ours) = duplex(64);
    let giver = talker(ours, lines)
        .on(LINE, move |cx, input| -> poe::HandlerResult {
            say(input.record);
            let wheel = cx.heap.take().expect("the wheel is there");
            cx.post(heir, GIFT, wheel).map_err(poe::Failure::from)
        })
        .on(STOP, |_, ()| say("giver stops"));
    beside_on(&kernel, giver, async {
        peer.write_all(b"one\r\n").await.unwrap();
        tokio::time::sleep(ms(10)).await;
        peer.write_all(b"two\r\n").await.unwrap();
        tokio::time::sleep(ms(10)).await;
        drop(peer);
    })
    .await;
    assert_eq!(
        said(),
        ["one", "giver stops", "heir two", "heir read end", "heir stops"]
    );
}

/// What is there already comes as soon as the handler that made the wheel has returned, ahead of a gift that is only posted.
#[tokio::test(start_paused = true)]
async fn w2_a_wheel_changes_hands_before_its_first_record_by_call_only() {
    const GIFT: Event<AnyReadWrite> = Event::new("gift");
    for (by_call, first) in [(true, "heir one"), (false, "giver one")] {
        let kernel = poe::testing::kernel();
        let heir = Session::builder(None::<AnyReadWrite>)
            .on(START, |cx, ()| cx.alias_set("heir"))
            .on(GIFT, |cx, wheel: AnyReadWrite| -> poe::HandlerResult {
                cx.alias_remove("heir")?;
                wheel.adopt(cx)?;
                *cx.heap = Some(wheel);
                Ok(())
            })
            .on(LINE, |_, input| say(format!("heir {}", input.record)))
            .on(ERROR, |cx, error| {
                say(format!("heir {}", told(&error)));
                *cx.heap = None;
            })
            .create(&kernel)
            .unwrap();
        let (mut peer, ours) = duplex(64);
        peer.write_all(b"one\r\n").await.unwrap();
        let ours = std::cell::Cell::new(Some(ours));
        let giver = Session::builder(None::<AnyReadWrite>)
            .on(START, move |cx, ()| -> poe::HandlerResult {
                let builder = ReadWrite::builder(ours.take().expect("a session starts once"));
                let wheel = lines(builder).error(ERROR).start(cx)?.into_any();
                if by_call {
                    cx.call(heir, GIFT, wheel)?;
                } else {
                    cx.post(heir, GIFT, wheel)?;
                }
                Ok(())
            })
            .on(LINE, |_, input| say(format!("giver {}", input.record)))
            .on(ERROR, |_, error| panic!("{error}"));
        beside_on(&kernel, giver, async move {
            tokio::time::sleep(ms(10)).await;
            drop(peer);
        })
        .await;
        assert_eq!(said(), [first, "heir read end"]);
    }
}

/// Given away inside its own input event, the rest of the same read goes to the new session.
#[tokio::test(start_paused = true)]
async fn w2_a_wheel_that_is_adopted_while_it_delivers() {
    const GIFT: Event<AnyReadWrite, ()> = Event::new("gift");
    let kernel = poe::testing::kernel();
    let heir = Session::builder(None::<AnyReadWrite>)
        .on(START, |cx, ()| cx.alias_set("heir"))
        .on(GIFT, |cx, wheel: AnyReadWrite| -> poe::HandlerResult {
            cx.alias_remove("heir")?;
            wheel.adopt(cx)?;
            *cx.heap = Some(wheel);
            Ok(())
        })
        .on(LINE, |_, input| say(format!("heir {}", input.record)))
        .on(ERROR, |cx, _| *cx.heap = None)
        .create(&kernel)
        .unwrap();
    let (mut peer, ours) = duplex(64);
    peer.write_all(b"one\r\ntwo\r\nthree\r\n").await.unwrap();
    let giver = talker(ours, lines).on(LINE, move |cx, input| -> poe::HandlerResult {
        say(input.record);
        let wheel = cx.heap.take().expect("the wheel is there");
        cx.call(heir, GIFT, wheel)?;
        Ok(())
    });
    beside_on(&kernel, giver, async move { drop(peer) }).await;
    assert_eq!(said(), ["one", "heir two", "heir three"]);
}
