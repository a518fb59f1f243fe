//! Splices whose streams fail: at a read, at a write, at the shutdown, in the middle of the data, on either side.

use crate::laws_kit::ms;
use crate::properties::{check, paused_runtime};
use poe::event::START;
use poe::testing::assert_no_leaks;
use poe::wheel::{ReadWrite, Splice, SpliceSide, Spliced, splice};
use poe::{Event, HandlerResult, Session};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

const ENDED: Event<Spliced> = Event::new("ended");

/// How a peer's output continues after its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Last {
    End,
    Reset,
    Silence,
}

/// The results of writes, and of the shutdown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Takes {
    Everything,
    /// So many bytes, then writes wait for ever.
    Stalls(usize),
    /// So many bytes, then writes fail.
    Fails(usize),
    /// Everything, but not the end.
    NoShutdown,
}

#[derive(Clone, Debug)]
struct Script {
    /// Each after so many milliseconds.
    says: Vec<(u64, Vec<u8>)>,
    last: (u64, Last),
    takes: Takes,
}

impl Script {
    fn said(&self) -> Vec<u8> {
        self.says.iter().flat_map(|(_, bytes)| bytes.clone()).collect()
    }
}

#[derive(Default)]
struct Seen {
    written: RefCell<Vec<u8>>,
    shut: Cell<bool>,
    dropped: Cell<bool>,
    /// When the first fault of this stream was met.
    failed_at: Cell<Option<Instant>>,
}

struct Scripted {
    says: VecDeque<(u64, Vec<u8>)>,
    last: (u64, Last),
    takes: Takes,
    wait: Option<Pin<Box<Sleep>>>,
    seen: Rc<Seen>,
}

impl Scripted {
    fn new(script: &Script) -> (Self, Rc<Seen>) {
        let seen = Rc::<Seen>::default();
        let stream = Scripted {
            says: script.says.clone().into(),
            last: script.last,
            takes: script.takes,
            wait: None,
            seen: seen.clone(),
        };
        (stream, seen)
    }

    fn fails<T>(&self, kind: io::ErrorKind) -> Poll<io::Result<T>> {
        if self.seen.failed_at.get().is_none() {
            self.seen.failed_at.set(Some(Instant::now()));
        }
        Poll::Ready(Err(kind.into()))
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.seen.dropped.set(true);
    }
}

impl AsyncRead for Scripted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let after = self.says.front().map_or(self.last.0, |(after, _)| *after);
        if self.says.is_empty() && self.last.1 == Last::Silence {
            return Poll::Pending;
        }
        let wait = self.wait.get_or_insert_with(|| Box::pin(tokio::time::sleep(ms(after))));
        if after > 0 && wait.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        let Some((after, mut bytes)) = self.says.pop_front() else {
            return match self.last.1 {
                Last::End => Poll::Ready(Ok(())),
                _ => self.fails(io::ErrorKind::ConnectionReset),
            };
        };
        let now = bytes.len().min(buffer.remaining());
        buffer.put_slice(&bytes[..now]);
        bytes.drain(..now);
        if bytes.is_empty() {
            self.wait = None;
        } else {
            self.says.push_front((after, bytes));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Scripted {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut written = self.seen.written.borrow_mut();
        let room = match self.takes {
            Takes::Everything | Takes::NoShutdown => usize::MAX,
            Takes::Stalls(limit) | Takes::Fails(limit) => limit - written.len(),
        };
        if room == 0 {
            return match self.takes {
                Takes::Fails(_) => self.fails(io::ErrorKind::BrokenPipe),
                _ => Poll::Pending,
            };
        }
        let now = bytes.len().min(room);
        written.extend_from_slice(&bytes[..now]);
        Poll::Ready(Ok(now))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.takes == Takes::NoShutdown {
            return self.fails(io::ErrorKind::ConnectionAborted);
        }
        self.seen.shut.set(true);
        Poll::Ready(Ok(()))
    }
}

struct Ran {
    /// Nothing: it had not ended after a day.
    ended: Option<(Spliced, Instant)>,
    seen: [Rc<Seen>; 2],
}

/// Splices two scripted streams in a kernel in virtual time, and lets it run for a day.
fn run(scripts: &[Script; 2], half_close: bool, drain: Duration) -> Ran {
    paused_runtime().block_on(async {
        let kernel = poe::testing::kernel();
        let ((one, first), (other, second)) = (Scripted::new(&scripts[0]), Scripted::new(&scripts[1]));
        let streams = Cell::new(Some((one, other)));
        let ended = Rc::new(RefCell::new(Vec::new()));
        let log = ended.clone();
        Session::builder(None::<Splice>)
            .on(START, move |cx, ()| -> HandlerResult {
                let (one, other) = streams.take().expect("a session starts once");
                let (one, other) = (ReadWrite::builder(one).start(cx)?, ReadWrite::builder(other).start(cx)?);
                let joined = splice(one, other).half_close(half_close).drain_timeout(drain);
                *cx.heap = Some(joined.watermarks(64, 16).ended(ENDED).start(cx)?);
                Ok(())
            })
            .on(ENDED, move |cx, ended| {
                assert_eq!(cx.heap.as_ref().map(Splice::id), Some(ended.wheel));
                log.borrow_mut().push((ended, Instant::now()));
                *cx.heap = None;
            })
            .create(&kernel)
            .unwrap();
        let over = tokio::time::timeout(Duration::from_secs(86_400), kernel.run()).await;
        if let Ok(ran) = &over {
            assert!(ran.is_ok(), "{ran:?}");
            assert_no_leaks(&kernel);
            assert!(
                first.dropped.get() && second.dropped.get(),
                "both connections are closed"
            );
        }
        let mut ended = ended.borrow_mut();
        assert_eq!(ended.len(), usize::from(over.is_ok()), "it is told once");
        Ran {
            ended: ended.pop(),
            seen: [first, second],
        }
    })
}

fn idle() -> Script {
    Script {
        says: Vec::new(),
        last: (0, Last::Silence),
        takes: Takes::Everything,
    }
}

fn says(bytes: &[u8], last: Last) -> Script {
    Script {
        says: vec![(5, bytes.to_vec())],
        last: (5, last),
        takes: Takes::Everything,
    }
}

const SECOND: Duration = Duration::from_secs(1);

/// Either way round; `first` is the script of the side that fails, or ends.
fn either_way(first: &Script, other: &Script, half_close: bool, test: impl Fn(Spliced, &Seen, &Seen, SpliceSide)) {
    for side in [SpliceSide::First, SpliceSide::Second] {
        let scripts = match side {
            SpliceSide::First => [first.clone(), other.clone()],
            SpliceSide::Second => [other.clone(), first.clone()],
        };
        let ran = run(&scripts, half_close, SECOND);
        let (ended, _) = ran.ended.unwrap_or_else(|| panic!("it ends with {scripts:?}"));
        let [one, two] = &ran.seen;
        match side {
            SpliceSide::First => test(ended, one, two, side),
            SpliceSide::Second => test(ended, two, one, side),
        }
    }
}

#[test]
fn a_reset_beside_an_idle_peer_ends_the_splice_and_names_the_side() {
    either_way(
        &says(b"last words", Last::Reset),
        &idle(),
        true,
        |ended, _, other, side| {
            assert_eq!(ended.failed, Some(side));
            assert_eq!(ended.errors.len(), 1, "{:?}", ended.errors);
            assert!(ended.errors[0].is_reset() && ended.errors[0].operation() == "read");
            assert_eq!(*other.written.borrow(), b"last words");
            assert!(other.shut.get());
        },
    );
}

#[test]
fn a_failed_write_ends_the_splice_after_what_the_failed_side_has_said() {
    let refuses = Script {
        takes: Takes::Fails(3),
        says: vec![(0, b"413 too large".to_vec())],
        ..idle()
    };
    either_way(
        &refuses,
        &says(b"a large request", Last::Silence),
        true,
        |ended, failed, other, side| {
            assert_eq!(ended.failed, Some(side));
            assert_eq!(ended.errors[0].operation(), "write");
            assert_eq!(*failed.written.borrow(), b"a l");
            assert_eq!(*other.written.borrow(), b"413 too large");
        },
    );
}

#[test]
fn a_failed_shutdown_is_an_error_of_its_side() {
    let no_end = Script {
        takes: Takes::NoShutdown,
        ..idle()
    };
    either_way(&no_end, &says(b"all", Last::End), true, |ended, failed, _, side| {
        assert_eq!(ended.failed, Some(side));
        assert_eq!(ended.errors[0].operation(), "shutdown");
        assert_eq!(*failed.written.borrow(), b"all");
    });
}

#[test]
fn a_peer_that_takes_nothing_does_not_keep_a_failed_splice() {
    let stalled = Script {
        takes: Takes::Stalls(4),
        ..idle()
    };
    either_way(
        &says(b"last words", Last::Reset),
        &stalled,
        true,
        |ended, _, other, side| {
            assert_eq!(ended.failed, Some(side));
            assert_eq!(*other.written.borrow(), b"last");
            let lost = ended.errors[1].os_error().expect("what is lost is told");
            assert_eq!(lost.kind(), io::ErrorKind::TimedOut);
        },
    );
    // Without a failure, too, if the end of one side is to be the end of both.
    either_way(
        &stalled,
        &says(b"last words", Last::End),
        false,
        |ended, stalled, _, side| {
            assert_eq!(ended.failed, Some(side));
            assert_eq!(ended.errors[0].os_error().unwrap().kind(), io::ErrorKind::TimedOut);
            assert_eq!(*stalled.written.borrow(), b"last");
        },
    );
}

#[test]
fn without_half_close_the_end_of_one_input_ends_both_sides() {
    let ends = says(b"a question", Last::End);
    either_way(&ends, &idle(), false, |ended, first, other, _| {
        assert_eq!((ended.failed, ended.errors.len()), (None, 0));
        assert_eq!(*other.written.borrow(), b"a question");
        assert!(first.shut.get() && other.shut.get());
    });
    // With it the other direction goes on, for ever if its peer says nothing.
    assert!(run(&[ends.clone(), idle()], true, SECOND).ended.is_none());
    let late = Script {
        says: vec![(5000, b"an answer".to_vec())],
        last: (0, Last::End),
        ..idle()
    };
    either_way(&ends, &late, true, |ended, first, _, _| {
        assert_eq!((ended.failed, ended.errors.len()), (None, 0));
        assert_eq!(*first.written.borrow(), b"an answer");
    });
}

fn any_script() -> impl Strategy<Value = Script> {
    let piece = (
        prop_oneof![Just(0_u64), 0..20_u64],
        prop::collection::vec(any::<u8>(), 1..100),
    );
    let last = prop_oneof![Just(Last::End), Just(Last::Reset), Just(Last::Silence)];
    let takes = prop_oneof![
        4 => Just(Takes::Everything),
        1 => (0..200_usize).prop_map(Takes::Stalls),
        2 => (0..200_usize).prop_map(Takes::Fails),
        1 => Just(Takes::NoShutdown),
    ];
    (prop::collection::vec(piece, 0..5), (0..30_u64, last), takes).prop_map(|(says, last, takes)| Script {
        says,
        last,
        takes,
    })
}

/// Whatever the streams do: what arrives is the beginning of what was sent, a fault ends the splice within the drain timeout
/// and is told with its side, and without a fault everything arrives.
#[test]
fn a_splice_survives_any_fault_of_its_streams() {
    let scripts = (any_script(), any_script(), any::<bool>());
    check(400, scripts, |(one, two, half_close)| {
        let scripts = [one, two];
        let ran = run(&scripts, half_close, SECOND);
        let failed_at = |end: usize| ran.seen[end].failed_at.get();
        for (from, to) in [(0, 1), (1, 0)] {
            let written = ran.seen[to].written.borrow();
            prop_assert!(scripts[from].said().starts_with(&written), "only what was said arrives");
        }
        let first_fault = [failed_at(0), failed_at(1)].into_iter().flatten().min();
        let Some((ended, at)) = ran.ended else {
            prop_assert_eq!(first_fault, None, "a fault ends it");
            let goes_on = |s: &Script| s.last.1 == Last::Silence || matches!(s.takes, Takes::Stalls(_));
            prop_assert!(scripts.iter().any(goes_on), "nothing is left to wait for");
            return Ok(());
        };
        match first_fault {
            None => {
                let late = |e: &poe::wheel::IoError| e.os_error().is_some_and(|e| e.kind() == io::ErrorKind::TimedOut);
                prop_assert!(ended.errors.iter().all(late), "{:?}", ended.errors);
                prop_assert_eq!(ended.failed.is_none(), ended.errors.is_empty());
            }
            Some(fault) => {
                let side = match ended.failed {
                    Some(SpliceSide::First) => 0,
                    Some(SpliceSide::Second) => 1,
                    None => return Err(TestCaseError::fail("the fault is not told")),
                };
                prop_assert!(!ended.errors.is_empty());
                prop_assert_eq!(failed_at(side), Some(fault), "the side that failed first is named");
                prop_assert!(
                    at - fault <= SECOND + ms(2),
                    "it ends in time, not after {:?}",
                    at - fault
                );
                // What the failed side said before its reset arrives, if the other takes it.
                let (failed, well) = (&scripts[side], &scripts[1 - side]);
                let takes_all = matches!(well.takes, Takes::Everything | Takes::NoShutdown);
                if ended.errors[0].operation() == "read" && takes_all {
                    prop_assert_eq!(failed.said(), ran.seen[1 - side].written.borrow().clone());
                }
            }
        }
        if first_fault.is_none() && half_close {
            for (from, to) in [(0, 1), (1, 0)] {
                let all = scripts[from].said();
                prop_assert_eq!(all, ran.seen[to].written.borrow().clone(), "everything arrives");
            }
        }
        Ok(())
    });
}

/// A real socket that is reset: the case of a proxy whose client stays idle.
#[tokio::test]
async fn a_reset_tcp_connection_ends_the_splice() {
    use tokio::net::{TcpListener, TcpStream};
    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let ours = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (ours, listener.accept().await.unwrap().0)
    }
    let kernel = poe::Kernel::new();
    let ((_client, one), (server, other)) = (pair().await, pair().await);
    let streams = Cell::new(Some((one, other)));
    let told = Rc::new(RefCell::new(None));
    let log = told.clone();
    Session::builder(None::<Splice>)
        .on(START, move |cx, ()| -> HandlerResult {
            let (one, other) = streams.take().expect("a session starts once");
            let (one, other) = (ReadWrite::builder(one).start(cx)?, ReadWrite::builder(other).start(cx)?);
            *cx.heap = Some(splice(one, other).ended(ENDED).start(cx)?);
            Ok(())
        })
        .on(ENDED, move |cx, ended| {
            *log.borrow_mut() = Some(ended);
            *cx.heap = None;
        })
        .create(&kernel)
        .unwrap();
    server.set_zero_linger().unwrap();
    drop(server);
    let ran = tokio::time::timeout(Duration::from_secs(60), kernel.run()).await;
    ran.expect("it ends").unwrap();
    let ended = told.take().expect("it was told");
    assert_eq!(ended.failed, Some(SpliceSide::Second));
    assert_eq!(ended.errors[0].operation(), "read");
    assert!(ended.errors[0].is_reset());
}
