//! What a method of a wheel brings about is told directly after the handler that called it, ahead of the next record of the
//! same read (RW11, RW.p9, RW15).

use crate::laws_kit::{ms, said, say};
use crate::wheel_readwrite::{ERROR, HIGH, LINE, LOW, beside, lines, talker, told, wheel};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

/// The peer takes none of what is put after the flush, so nothing else could bring the event about.
#[tokio::test(start_paused = true)]
async fn a_flush_by_the_handler_of_a_record_is_reported_ahead_of_the_next_record() {
    let (mut peer, ours) = duplex(32);
    let session = talker(ours, lines).on(LINE, |cx, input| {
        match input.record.as_str() {
            "flush" => wheel(cx).flush(),
            "put" => {
                wheel(cx).put("0123456789".repeat(10)).unwrap();
            }
            _ => {}
        }
        say(input.record);
    });
    beside(session, async move {
        peer.write_all(b"flush\nput\nmore\n").await.unwrap();
        tokio::time::sleep(ms(1000)).await;
        assert_eq!(said(), ["flush", "flushed", "put", "more"]);
        let mut taken = [0; 102];
        peer.read_exact(&mut taken).await.unwrap();
        tokio::time::sleep(ms(1000)).await;
    })
    .await;
    assert_eq!(said(), ["flushed", "read end"]);
}

#[tokio::test(start_paused = true)]
async fn marks_that_a_handler_crosses_are_reported_ahead_of_the_next_record() {
    let (mut peer, ours) = duplex(64);
    let session = talker(ours, |b| lines(b).watermarks(8, 4).high(HIGH).low(LOW)).on(LINE, |cx, input| {
        match input.record.as_str() {
            "put" => {
                wheel(cx).put("0123456789").unwrap();
            }
            "flush" => wheel(cx).flush(),
            _ => {}
        }
        say(input.record);
    });
    beside(session, async move {
        peer.write_all(b"put\nflush\nmore\n").await.unwrap();
        tokio::time::sleep(ms(1000)).await;
    })
    .await;
    assert_eq!(said(), ["put", "high", "flush", "low", "flushed", "more", "read end"]);
}

#[tokio::test(start_paused = true)]
async fn a_write_error_of_auto_flush_is_reported_ahead_of_the_next_record() {
    let (mut peer, ours) = duplex(64);
    peer.write_all(b"one\ntwo\n").await.unwrap();
    drop(peer);
    let session = talker(ours, |b| lines(b).auto_flush(true))
        .on(LINE, |cx, input| {
            let accepted = wheel(cx).put("reply").is_ok();
            say(format!("{} {accepted}", input.record));
        })
        .on(ERROR, |cx, error| {
            say(told(&error));
            if error.is_eof() {
                *cx.heap = None;
            }
        });
    beside(session, async {}).await;
    assert_eq!(said(), ["one true", "write reset", "two false", "read end"]);
}
