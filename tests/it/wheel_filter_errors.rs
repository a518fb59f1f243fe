//! Records that a wheel's filter rejects without an error event, and filters that are
//! changed at the end of the input.

use crate::laws_kit::{ms, said, say};
use bytes::Bytes;
use poe::event::START;
use poe::filter::{Block, Filter, FilterExt, Line, Raw};
use poe::wheel::{Input, IoError, ReadWrite};
use poe::{Event, Kernel, Session};
use tokio::io::{AsyncWriteExt, DuplexStream, duplex};

const LINE: Event<Input<String>> = Event::new("line");
const RAW: Event<Input<Bytes>> = Event::new("raw");
const ERROR: Event<IoError> = Event::new("error");

/// A session that reads `stream` with this filter, without an error event, and lets the wheel go after a second.
async fn read<F: Filter<Input = String>>(kernel: &Kernel, filter: F, stream: &'static [u8]) -> Result<(), poe::Error> {
    let (mut peer, ours) = duplex(4096);
    Session::builder(None::<ReadWrite<F::Output>>)
        .on(START, |cx, (ours, filter): (DuplexStream, F)| -> poe::HandlerResult {
            *cx.heap = Some(ReadWrite::builder(ours).input(filter, LINE).start(cx)?);
            cx.delay("give up", 1.0, ());
            Ok(())
        })
        .on(LINE, |_, line| say(line.record))
        .on("give up", |cx, ()| *cx.heap = None)
        .args((ours, filter))
        .create(kernel)?;
    peer.write_all(stream).await.unwrap();
    kernel.run().await
}

#[tokio::test(start_paused = true)]
async fn a_line_that_is_not_utf8_is_skipped_by_a_read_write_without_an_error_event() {
    let kernel = poe::testing::kernel();
    read(&kernel, Line::new(), b"one\ncaf\xe9\n\xff\xfe\nthree\n")
        .await
        .unwrap();
    assert_eq!(said(), ["one", "three"]);
}

#[tokio::test(start_paused = true)]
async fn a_filter_that_cannot_go_on_ends_neither_the_session_nor_the_run() {
    let kernel = poe::testing::kernel();
    let blocks = Block::new().max_length(3).map(
        |bytes| String::from_utf8_lossy(&bytes).into_owned(),
        |text: String| Bytes::from(text),
    );
    read(&kernel, blocks, b"3\0one9\0too long3\0two").await.unwrap();
    assert_eq!(said(), ["one"]);
}

#[cfg(unix)]
#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn errors_without_an_error_event_are_logged() {
    crate::in_child::in_child!();
    let trace = crate::traced::Trace::of("poe::wheels=warn");
    let kernel = poe::testing::kernel();
    read(&kernel, Line::new(), b"caf\xe9\nfine\n").await.unwrap();
    assert_eq!(said(), ["fine"]);
    let lines = trace.lines();
    assert_eq!(lines.len(), 1, "{lines:?}");
    for part in [
        "WARN",
        "ReadWrite 1 has no error event",
        "not UTF-8",
        "bytes=4",
        "session=",
        "wheel_filter_errors.rs",
    ] {
        assert!(lines[0].contains(part), "{part} in {lines:?}");
    }
    assert!(!lines[0].contains("caf"), "the bytes stay out of the log: {lines:?}");
}

#[tokio::test(start_paused = true)]
async fn with_an_error_event_the_raw_bytes_come_in_the_place_of_the_line() {
    let kernel = poe::testing::kernel();
    let (mut peer, ours) = duplex(64);
    Session::builder(None::<ReadWrite>)
        .on(START, |cx, ours: DuplexStream| -> poe::HandlerResult {
            *cx.heap = Some(
                ReadWrite::builder(ours)
                    .input(Line::new(), LINE)
                    .error(ERROR)
                    .start(cx)?,
            );
            Ok(())
        })
        .on(LINE, |_, line| say(line.record))
        .on(ERROR, |cx, error| match error.as_filter() {
            Some(wrong) => say(wrong.bytes().escape_ascii()),
            None => *cx.heap = None,
        })
        .args(ours)
        .create(&kernel)
        .unwrap();
    peer.write_all(b"one\ncaf\xe9\nthree\n").await.unwrap();
    drop(peer);
    kernel.run().await.unwrap();
    assert_eq!(said(), ["one", "caf\\xe9", "three"]);
}

/// The line protocol whose last record ends with the connection: what POE 1.370 prints, too.
#[tokio::test(start_paused = true)]
async fn a_filter_changed_at_the_end_of_input_delivers_what_the_old_one_held() {
    for at_eof in [false, true] {
        let kernel = poe::testing::kernel();
        let (mut peer, ours) = duplex(64);
        Session::builder(None::<ReadWrite>)
            .on(START, move |cx, ours: DuplexStream| -> poe::HandlerResult {
                *cx.heap = Some(
                    ReadWrite::builder(ours)
                        .input(Line::new(), LINE)
                        .error(ERROR)
                        .start(cx)?,
                );
                if !at_eof {
                    cx.delay("change", 0.05, ());
                }
                cx.delay("give up", 0.2, ());
                Ok(())
            })
            .on(LINE, |_, line| say(line.record))
            .on("change", |cx, ()| -> poe::HandlerResult {
                Ok(cx.heap.as_ref().unwrap().set_input_filter(Raw::new(), RAW)?)
            })
            .on(RAW, |_, body| say(body.record.escape_ascii()))
            .on(ERROR, |cx, end| -> poe::HandlerResult {
                assert!(end.is_eof());
                Ok(cx.heap.as_ref().unwrap().set_input_filter(Raw::new(), RAW)?)
            })
            .on("give up", |cx, ()| {
                assert_eq!(cx.heap.as_ref().unwrap().input_pending(), "");
                *cx.heap = None;
            })
            .args(ours)
            .create(&kernel)
            .unwrap();
        peer.write_all(b"one\nrest without end").await.unwrap();
        let keep = (!at_eof).then_some(peer);
        kernel.run().await.unwrap();
        drop(keep);
        assert_eq!(said(), ["one", "rest without end"]);
    }
}

/// Filters changed one after the other by the handlers of what each of them sees at the end, with many records in between.
#[tokio::test(start_paused = true)]
async fn filters_can_be_changed_again_and_again_at_the_end_of_input() {
    let kernel = poe::testing::kernel();
    let (mut peer, ours) = duplex(1 << 16);
    Session::builder(None::<ReadWrite>)
        .on(START, move |cx, ours: DuplexStream| -> poe::HandlerResult {
            *cx.heap = Some(
                ReadWrite::builder(ours)
                    .input(Line::new().literal("!"), LINE)
                    .error(ERROR)
                    .start(cx)?,
            );
            cx.delay("give up", 1.0, ());
            Ok(())
        })
        .on(LINE, |cx, line| -> poe::HandlerResult {
            let last = line.record == "599";
            if line.record.len() < 9 {
                say(line.record);
            }
            if last {
                cx.heap.as_ref().unwrap().set_input_filter(Raw::new(), RAW)?;
            }
            Ok(())
        })
        .on(RAW, |_, body| say(body.record.escape_ascii()))
        .on(ERROR, |cx, _| -> poe::HandlerResult {
            Ok(cx
                .heap
                .as_ref()
                .unwrap()
                .set_input_filter(Line::new().literal(";"), LINE)?)
        })
        .on("give up", |cx, ()| *cx.heap = None)
        .args(ours)
        .create(&kernel)
        .unwrap();
    let words: String = (0..600).map(|n| format!("{n};")).collect();
    peer.write_all(format!("{words}the rest").as_bytes()).await.unwrap();
    drop(peer);
    kernel.run().await.unwrap();
    let said = said();
    assert_eq!(said.len(), 601);
    assert_eq!((&*said[0], &*said[599], &*said[600]), ("0", "599", "the rest"));
}

#[cfg(unix)]
mod programs {
    use super::*;
    use poe::WheelId;
    use poe::wheel::{FollowTail, IoError, Run};

    const CLOSED: Event<WheelId> = Event::new("closed");
    const FAILED: Event<IoError> = Event::new("failed");

    async fn within_a_minute(kernel: &Kernel) {
        let run = tokio::time::timeout(ms(60_000), kernel.run()).await;
        run.expect("the run ends").unwrap();
    }

    #[tokio::test]
    async fn a_run_without_an_error_event_skips_lines_that_are_not_utf8() {
        let kernel = Kernel::new();
        Session::builder(None::<Run>)
            .on(START, |cx, ()| -> poe::HandlerResult {
                let job = Run::shell(r"echo one; printf 'caf\351\n'; printf 'th\351\n' >&2; echo three");
                let job = job.stdout(Line::new(), LINE).stderr(Line::new(), LINE);
                *cx.heap = Some(job.close(CLOSED).start(cx)?);
                Ok(())
            })
            .on(LINE, |_, line| say(line.record))
            .on(CLOSED, |cx, _| *cx.heap = None)
            .create(&kernel)
            .unwrap();
        within_a_minute(&kernel).await;
        assert_eq!(said(), ["one", "three"]);
    }

    #[tokio::test]
    async fn a_run_whose_filter_cannot_continue_still_sends_its_close_event() {
        let kernel = Kernel::new();
        Session::builder(None::<Run>)
            .on(START, |cx, ()| -> poe::HandlerResult {
                let job = Run::shell(r"printf '3\000one9\000too long3\000two'");
                let job = job.stdout(Block::new().max_length(3), RAW);
                *cx.heap = Some(job.close(CLOSED).start(cx)?);
                Ok(())
            })
            .on(RAW, |_, block| say(block.record.escape_ascii()))
            .on(CLOSED, |cx, _| {
                say("closed");
                *cx.heap = None;
            })
            .create(&kernel)
            .unwrap();
        within_a_minute(&kernel).await;
        assert_eq!(said(), ["one", "closed"]);
    }

    #[tokio::test]
    async fn a_filter_of_a_run_changed_at_the_end_gives_its_records_before_the_close() {
        let kernel = Kernel::new();
        Session::builder(None::<Run>)
            .on(START, |cx, ()| -> poe::HandlerResult {
                let job = Run::shell("printf 'one\nrest without end'")
                    .no_stdin()
                    .stdout(Line::new(), LINE);
                *cx.heap = Some(job.error(FAILED).close(CLOSED).start(cx)?);
                Ok(())
            })
            .on(LINE, |_, line| say(line.record))
            .on(FAILED, |cx, failed| -> poe::HandlerResult {
                assert!(failed.is_eof());
                Ok(cx.heap.as_ref().unwrap().set_stdout_filter(Raw::new(), RAW)?)
            })
            .on(RAW, |_, rest| say(rest.record.escape_ascii()))
            .on(CLOSED, |cx, _| {
                say("closed");
                *cx.heap = None;
            })
            .create(&kernel)
            .unwrap();
        within_a_minute(&kernel).await;
        assert_eq!(said(), ["one", "rest without end", "closed"]);
    }

    #[tokio::test]
    async fn a_follow_tail_without_an_error_event_skips_lines_that_are_not_utf8() {
        let log = std::env::temp_dir().join(format!("poe-latin1-{}.log", std::process::id()));
        std::fs::write(&log, b"one\ncaf\xe9\nthree\n").unwrap();
        let kernel = Kernel::new();
        let path = log.clone();
        Session::builder(None::<FollowTail>)
            .on(START, move |cx, ()| -> poe::HandlerResult {
                let tail = FollowTail::builder(&path).input(Line::new(), LINE).seek(0);
                *cx.heap = Some(tail.poll_interval(ms(20)).start(cx)?);
                Ok(())
            })
            .on(LINE, |cx, line| {
                if line.record == "three" {
                    *cx.heap = None;
                }
                say(line.record);
            })
            .create(&kernel)
            .unwrap();
        within_a_minute(&kernel).await;
        std::fs::remove_file(log).unwrap();
        assert_eq!(said(), ["one", "three"]);
    }
}
