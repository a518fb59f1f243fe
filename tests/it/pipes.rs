//! POE's `02_pipes/02_oneway` and `03_twoway`, and the rows P1 to P4: each kind of pipe carries a line, and knows its ends.

use crate::laws_kit::{said, say};
use poe::event::START;
use poe::filter::Line;
use poe::pipe::{Kind, OneWay, PipeReader, PipeWriter, TwoWay};
use poe::testing::assert_no_leaks;
use poe::wheel::{Input, IoError, ReadWrite};
use poe::{Event, HandlerResult, Kernel, Session};
use std::io;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

#[cfg(unix)]
const KINDS: [Kind; 3] = [Kind::Pipe, Kind::SocketPair, Kind::Inet];
#[cfg(not(unix))]
const KINDS: [Kind; 1] = [Kind::Inet];

#[tokio::test]
async fn p1_one_way_a_line_and_then_the_end() {
    for kind in KINDS {
        let (mut reader, mut writer) = OneWay::of(kind).unwrap();
        assert_eq!((reader.kind(), writer.kind()), (kind, kind));
        writer.write_all(format!("whee {kind}\n").as_bytes()).await.unwrap();
        writer.shutdown().await.unwrap();
        let mut text = String::new();
        reader.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, format!("whee {kind}\n"));
        assert!(writer.write_all(b"more").await.is_err(), "{kind}: it was shut down");
        assert_eq!(writer.kind(), kind);
    }
}

#[tokio::test]
async fn p1_a_writer_without_a_reader_fails() {
    for kind in KINDS {
        let (reader, mut writer) = OneWay::of(kind).unwrap();
        drop(reader);
        let failed = async {
            loop {
                // Over the loopback address it takes a round trip until that is known.
                match writer.write_all(&[0; 4096]).await {
                    Err(error) => break error,
                    Ok(()) => tokio::task::yield_now().await,
                }
            }
        };
        let failed = tokio::time::timeout(std::time::Duration::from_secs(20), failed)
            .await
            .unwrap();
        assert!(
            matches!(
                failed.kind(),
                io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset
            ),
            "{kind}: {failed}"
        );
    }
}

/// Nothing can go the wrong way: writing to the reader fails, and reading from the writer finds the end.
#[cfg(unix)]
#[tokio::test]
async fn p1_the_directions_that_are_not_used_are_shut() {
    use std::io::{Read, Write};
    for kind in [Kind::SocketPair, Kind::Inet] {
        let (reader, writer) = OneWay::of(kind).unwrap();
        let mut reader = std::fs::File::from(reader.into_blocking_fd().unwrap());
        let mut writer = std::fs::File::from(writer.into_blocking_fd().unwrap());
        let refused = reader.write(b"wrong").unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::BrokenPipe, "{kind}");
        assert_eq!(writer.read(&mut [0; 8]).unwrap(), 0, "{kind}");
        writer.write_all(b"right").unwrap();
        drop(writer);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "right");
    }
}

#[tokio::test]
async fn p2_two_ways_there_and_back_and_each_ends_alone() {
    for kind in KINDS {
        let (mut one, other) = TwoWay::of(kind).unwrap();
        let mut other = BufReader::new(other);
        one.write_all(format!("a wr {kind}\n").as_bytes()).await.unwrap();
        let mut line = String::new();
        other.read_line(&mut line).await.unwrap();
        assert_eq!(line, format!("a wr {kind}\n"));
        one.shutdown().await.unwrap();
        line.clear();
        other.read_line(&mut line).await.unwrap();
        assert_eq!(line, "", "{kind}: one direction has ended");
        // The other has not.
        other.write_all(format!("b wr {kind}\n").as_bytes()).await.unwrap();
        other.shutdown().await.unwrap();
        let mut text = String::new();
        one.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, format!("b wr {kind}\n"));
    }
}

#[cfg(unix)]
#[tokio::test]
async fn the_first_choice_is_poes() {
    assert_eq!(OneWay::new().unwrap().0.kind(), Kind::Pipe);
    assert_eq!(TwoWay::new().unwrap().0.kind(), Kind::SocketPair);
    let (one, other) = TwoWay::new().unwrap();
    let (input, output) = one.into_blocking_fds().unwrap();
    let (back, there) = other.into_blocking_fds().unwrap();
    use std::io::{Read, Write};
    std::fs::File::from(output).write_all(b"x").unwrap();
    let mut byte = [0];
    std::fs::File::from(back).read_exact(&mut byte).unwrap();
    std::fs::File::from(there).write_all(&byte).unwrap();
    std::fs::File::from(input).read_exact(&mut byte).unwrap();
    assert_eq!(&byte, b"x");
}

/// P4, and RW.p1: a wheel that reads from one pipe and writes to another; its shutdowns are the other ends' ends.
#[tokio::test]
async fn p4_a_wheel_between_two_pipes() {
    const LINE: Event<Input<String>> = Event::new("line");
    const ERROR: Event<IoError> = Event::new("error");
    for kind in KINDS {
        let (from_peer, mut to_wheel) = OneWay::of(kind).unwrap();
        let (mut from_wheel, to_peer) = OneWay::of(kind).unwrap();
        let kernel = Kernel::new();
        Session::builder(None::<ReadWrite>)
            .on(
                START,
                |cx, (input, output): (PipeReader, PipeWriter)| -> HandlerResult {
                    let builder = ReadWrite::with_handles(input, output);
                    *cx.heap = Some(builder.input(Line::new().literal("\n"), LINE).error(ERROR).start(cx)?);
                    Ok(())
                },
            )
            .on(LINE, |cx, input| -> HandlerResult {
                say(&input.record);
                let wheel = cx.heap.as_ref().expect("the wheel is there");
                if input.record == "stop" {
                    wheel.shutdown_input();
                    wheel.put("stopped")?;
                    wheel.shutdown_output_after_flush();
                } else {
                    wheel.put(input.record)?;
                }
                Ok(())
            })
            .on(ERROR, |_, error| say(error))
            .args((from_peer, to_peer))
            .create(&kernel)
            .unwrap();
        let peer = async {
            to_wheel.write_all(b"one\ntwo\nstop\nnot read\n").await.unwrap();
            let mut text = String::new();
            from_wheel.read_to_string(&mut text).await.unwrap();
            assert_eq!(text, "one\ntwo\nstopped\n");
        };
        let both = async { tokio::join!(kernel.run(), peer) };
        tokio::time::timeout(std::time::Duration::from_secs(20), both)
            .await
            .expect("it ends")
            .0
            .unwrap();
        // With both directions shut nothing keeps the session, and the wheel's ends are closed.
        assert!(to_wheel.write_all(b"more").await.is_err() || kind == Kind::Inet);
        assert_eq!(said(), ["one", "two", "stop"], "{kind}");
        assert_no_leaks(&kernel);
    }
}

/// P3: without descriptors each kind fails, and says so; then none is left half made.
#[cfg(unix)]
#[tokio::test]
async fn p3_a_kind_that_fails_is_an_error() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    crate::in_child::in_child!();
    let maximum = getrlimit(Resource::Nofile).maximum;
    let current = Some(64);
    setrlimit(Resource::Nofile, Rlimit { current, maximum }).unwrap();
    // All but one: no pipe has only one end.
    let mut files = Vec::new();
    while let Ok(file) = std::fs::File::open("/dev/null") {
        files.push(file);
    }
    files.pop();
    for _ in 0..3 {
        for kind in KINDS {
            assert!(OneWay::of(kind).is_err(), "{kind}");
            assert!(TwoWay::of(kind).is_err(), "{kind}");
        }
        assert!(OneWay::new().is_err() && TwoWay::new().is_err());
    }
    files.push(std::fs::File::open("/dev/null").unwrap());
    drop(files);
    assert!(OneWay::new().is_ok() && TwoWay::new().is_ok());
}
