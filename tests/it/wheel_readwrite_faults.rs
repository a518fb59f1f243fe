//! What goes wrong on real sockets: resets in mid-line, readers that do not read, both directions dead at once; and that
//! nothing is left over, however often.
#![cfg(unix)]

use crate::laws_kit::{ms, said, say};
use crate::wheel_readwrite::{ERROR, FLUSHED, HIGH, LINE, LOW, beside_on, lines, talker, told, wheel};
use poe::Kernel;
use poe::event::START;
use poe::filter::Line;
use poe::wheel::{Input, ReadWrite};
use poe::{Event, HandlerResult, Session};
use std::cell::Cell;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::rc::Rc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A connection over the loopback address: the peer's end, and ours in Tokio's hands.
pub(crate) fn connection() -> (TcpStream, tokio::net::TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (ours, _) = listener.accept().unwrap();
    ours.set_nonblocking(true).unwrap();
    (peer, tokio::net::TcpStream::from_std(ours).unwrap())
}

/// Closes without a goodbye: the system sends a reset.
fn reset(peer: TcpStream) {
    socket2::SockRef::from(&peer).set_linger(Some(Duration::ZERO)).unwrap();
    drop(peer);
}

/// Law 11 on a real reset: the system may take back what was not read, but what was read is whole, and half a line is none.
#[tokio::test]
async fn a_reset_in_mid_line_is_reported_once() {
    let (mut peer, ours) = connection();
    let session = talker(ours, lines).on(LINE, |cx, input| {
        say(input.record);
        wheel(cx).put("an answer").unwrap();
    });
    beside_on(&Kernel::new(), session, async move {
        peer.write_all(b"one\r\ntwo\r\nhalf a li").unwrap();
        let mut answers = [0; 22];
        // Both lines were read by now.
        let mut peer = tokio::net::TcpStream::from_std({
            peer.set_nonblocking(true).unwrap();
            peer
        })
        .unwrap();
        peer.read_exact(&mut answers).await.unwrap();
        reset(peer.into_std().unwrap());
    })
    .await;
    let heard: Vec<String> = said().into_iter().filter(|line| line != "flushed").collect();
    assert_eq!(heard, ["one", "two", "read reset"]);
}

/// RW7, RW8, RW12: once neither direction can bring an event any more, a wheel in the heap no longer keeps its session alive.
#[tokio::test]
async fn rw9_a_wheel_with_both_directions_over_keeps_nothing_alive() {
    // How the output ends: by a failed write, or at the session's own wish.
    for shut in [false, true] {
        let (peer, ours) = tokio::net::UnixStream::pair().unwrap();
        drop(peer);
        let session = Session::builder((Some(ours), None::<ReadWrite>))
            .on(START, |cx, ()| -> HandlerResult {
                let stream = cx.heap.0.take().expect("a session starts once");
                cx.heap.1 = Some(
                    ReadWrite::builder(stream)
                        .input(Line::new(), LINE)
                        .error(ERROR)
                        .start(cx)?,
                );
                Ok(())
            })
            .on(ERROR, move |cx, error| {
                say(told(&error));
                if error.operation() == "read" {
                    let wheel = cx.heap.1.as_ref().expect("it stays");
                    if shut {
                        wheel.shutdown_output();
                    } else {
                        wheel.put("nobody reads this".to_owned()).unwrap();
                    }
                }
            })
            .on(poe::event::STOP, |cx, ()| {
                say(if cx.heap.1.is_some() { "stop" } else { "no wheel" })
            });
        let kernel = Kernel::new();
        session.create(&kernel).unwrap();
        let ran = tokio::time::timeout(Duration::from_secs(30), kernel.run()).await;
        ran.expect("the wheel keeps the session alive").unwrap();
        let expected: &[&str] = if shut {
            &["read end", "stop"]
        } else {
            &["read end", "write reset", "stop"]
        };
        assert_eq!(said(), expected);
    }
}

/// RW9, laws 10 and 12: a dead socket fails once for each direction, and no flushed event comes after that.
#[tokio::test]
async fn rw9_law_10_both_directions_of_a_dead_socket_fail_once() {
    let (peer, ours) = connection();
    let session = talker(ours, lines)
        .on("go", |cx, ()| {
            let big = "x".repeat(1 << 20);
            // More than the system takes for a peer that does not read.
            for _ in 0..16 {
                wheel(cx).put(big.clone()).unwrap();
            }
        })
        .on(ERROR, |cx, error| {
            say(told(&error));
            assert!(error.is_eof() || error.errno().is_some_and(|errno| errno != 0));
            if error.operation() == "read" {
                // There is no more to be had; but the output is yet to fail.
                cx.delay("end", ms(300), ());
            }
        })
        .on("end", |cx, ()| {
            assert!(wheel(cx).put("too late").unwrap_err().is_closed());
            assert!(wheel(cx).buffered_bytes() > 0, "what was not written is kept (Q29)");
            *cx.heap = None;
        });
    beside_on(&Kernel::new(), session, async move {
        tokio::time::sleep(ms(50)).await;
        reset(peer);
    })
    .await;
    let mut said = said();
    said.sort();
    // The system reports a reset to the first end that asks, and a broken pipe or an end of input to the other.
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(
        said[0].starts_with("read ") && said[1].starts_with("write "),
        "{said:?}"
    );
}

/// A reader that does not read: a writer that obeys the marks buffers at most the high mark, and everything arrives in the end.
#[tokio::test]
async fn a_slow_reader_costs_no_more_memory_than_the_high_mark() {
    const TOTAL: usize = 40_000;
    const MARK: usize = 256 * 1024;
    let (peer, ours) = connection();
    let (put, most) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
    let (seen, at_high) = (most.clone(), put.clone());
    let fill = move |cx: &mut crate::wheel_readwrite::Cx<'_>| {
        while put.get() < TOTAL {
            let n = put.get();
            put.set(n + 1);
            let level = wheel(cx).put(format!("{n:0>998}")).unwrap();
            seen.set(seen.get().max(wheel(cx).buffered_bytes()));
            if level.is_high() {
                return;
            }
        }
        wheel(cx).shutdown_output_after_flush();
    };
    let refill = fill.clone();
    let highs = Rc::new(Cell::new(0));
    let counted = highs.clone();
    let session = talker(ours, |b| lines(b).watermarks(MARK, MARK / 4).high(HIGH).low(LOW))
        .on("go", move |cx, ()| fill(cx))
        .on(HIGH, move |_, _| counted.set(counted.get() + 1))
        .on(LOW, move |cx, _| refill(cx))
        .on(FLUSHED, |_, _| ());
    let got = beside_on(&Kernel::new(), session, async move {
        peer.set_nonblocking(true).unwrap();
        tokio::time::sleep(ms(50)).await;
        assert!(at_high.get() < TOTAL, "the writer waits");
        let mut peer = tokio::net::TcpStream::from_std(peer).unwrap();
        let mut got = Vec::new();
        let mut block = vec![0; 20_000];
        loop {
            match peer.read(&mut block).await.unwrap() {
                0 => break got,
                n => got.extend_from_slice(&block[..n]),
            }
        }
    })
    .await;
    assert_eq!(got.len(), TOTAL * 1000);
    for (n, line) in got.chunks(1000).enumerate() {
        assert_eq!(&line[..998], format!("{n:0>998}").as_bytes());
    }
    assert!(most.get() <= MARK + 1000, "{} bytes waited", most.get());
    assert!(highs.get() >= 10, "{} times high", highs.get());
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}

/// Law 14: connections come and go in every way that there is, and nothing is left over.
#[cfg(target_os = "linux")]
#[test]
fn law_14_after_a_thousand_connections_everything_is_as_it_was() {
    crate::in_child::in_child!();
    const ONE: Event<Input<String>> = Event::new("one line");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let kernel = Kernel::new();
        let id = Session::builder(Vec::<ReadWrite>::new())
            .on(START, |cx, ()| {
                cx.refcount_increment(cx.session_id(), "keeper").map(drop)
            })
            .on("take", |cx, ours: tokio::net::TcpStream| -> HandlerResult {
                let wheel = ReadWrite::builder(ours)
                    .input(Line::new(), ONE)
                    .error(ERROR)
                    .start(cx)?;
                wheel.put("hello")?;
                cx.heap.push(wheel);
                Ok(())
            })
            .on(ONE, |cx, input| -> HandlerResult {
                let wheel = cx.heap.iter().find(|w| w.id() == input.wheel).expect("it is there");
                match &*input.record {
                    "shut" => {
                        wheel.shutdown_input();
                        wheel.shutdown_output_after_flush();
                    }
                    "drop" => {
                        let id = input.wheel;
                        cx.heap.retain(|w| w.id() != id);
                    }
                    _ => {
                        wheel.put(input.record)?;
                    }
                }
                Ok(())
            })
            .on(ERROR, |cx, error| cx.heap.retain(|w| w.id() != error.wheel()))
            .on("end", |cx, ()| {
                cx.heap.clear();
                cx.refcount_decrement(cx.session_id(), "keeper").map(drop)
            })
            .create(&kernel)
            .unwrap();
        let rounds = async {
            let mut before = 0;
            for round in 0..1000 {
                let (mut peer, ours) = connection();
                kernel.post(id, "take", ours).unwrap();
                match round % 5 {
                    0 => reset(peer),
                    1 => peer.write_all(b"half a line").unwrap(),
                    2 => peer.write_all(b"drop\r\nand more\r\n").unwrap(),
                    3 => peer.write_all(b"shut\r\n").unwrap(),
                    _ => {
                        peer.write_all(b"an echo\r\n").unwrap();
                        peer.set_nonblocking(true).unwrap();
                        let mut peer = tokio::net::TcpStream::from_std(peer).unwrap();
                        peer.shutdown().await.unwrap();
                        let mut text = String::new();
                        peer.read_to_string(&mut text).await.unwrap();
                        assert_eq!(text, "hello\r\nan echo\r\n");
                    }
                }
                if round == 99 {
                    tokio::time::sleep(ms(20)).await;
                    before = descriptors();
                }
            }
            // Until the last ones have been heard of.
            for _ in 0..500 {
                if descriptors() <= before {
                    break;
                }
                tokio::time::sleep(ms(10)).await;
            }
            assert_eq!(descriptors(), before);
            kernel.post(id, "end", ()).unwrap();
        };
        let both = async { tokio::join!(kernel.run(), rounds) };
        tokio::time::timeout(Duration::from_secs(60), both)
            .await
            .expect("it ends")
            .0
            .unwrap();
        poe::testing::assert_no_leaks(&kernel);
    });
}

/// Law 37: what cannot be started leaves nothing behind.
#[tokio::test]
async fn law_37_a_start_that_fails_closes_what_it_was_given() {
    let (mut peer, ours) = connection();
    let kernel = Kernel::new();
    let stream = Cell::new(Some(ours));
    Session::builder(())
        .on(START, move |cx, ()| {
            let builder = ReadWrite::builder(stream.take().expect("a session starts once"));
            assert!(builder.input(Line::new(), LINE).watermarks(1, 2).start(cx).is_err());
        })
        .create(&kernel)
        .unwrap();
    kernel.run().await.unwrap();
    peer.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    assert_eq!(peer.read(&mut [0; 8]).unwrap(), 0, "closed");
    poe::testing::assert_no_leaks(&kernel);
}
