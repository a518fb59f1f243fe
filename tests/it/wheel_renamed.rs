//! Events of a wheel that get another name, or none, while the wheel is running; and functions that are told to end.

use poe::event::START;
use poe::filter::Line;
use poe::wheel::{Connection, FollowTail, Input, SocketError, SocketFactory, SocketStream};
use poe::{Event, HandlerResult, Kernel, Session, WheelId, testing};
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

const LINE: Event<Input<String>> = Event::new("line");
const RESET: Event<WheelId> = Event::new("reset");
const DONE: Event<Connection> = Event::new("done");
const OLD: Event<SocketError> = Event::new("old");
const NEW: Event<SocketError> = Event::new("new");

#[tokio::test(start_paused = true)]
async fn a_reset_event_that_is_set_later_is_sent() {
    let kernel = testing::kernel();
    let path = std::env::temp_dir().join(format!("poe-renamed-{}", std::process::id()));
    std::fs::write(&path, "first line\n").unwrap();
    let resets = Rc::new(Cell::new(0));
    let (seen, log, gone) = (Rc::clone(&resets), path.clone(), path.clone());
    Session::builder(None::<FollowTail>)
        .on(START, move |cx, ()| -> HandlerResult {
            *cx.heap = Some(FollowTail::builder(&log).input(Line::new(), LINE).seek(0).start(cx)?);
            Ok(())
        })
        .on(LINE, move |cx, input| {
            if input.record == "first line" {
                cx.heap.as_ref().unwrap().set_reset_event(Some(RESET));
                std::fs::write(&path, "2\n").unwrap();
            } else {
                assert_eq!(input.record, "2");
                *cx.heap = None;
            }
        })
        .on(RESET, move |_, _| seen.set(seen.get() + 1))
        .create(&kernel)
        .unwrap();
    testing::run_for(&kernel, Duration::from_secs(60)).await.unwrap();
    std::fs::remove_file(gone).unwrap();
    testing::assert_no_leaks(&kernel);
    assert_eq!(resets.get(), 1);
}

#[tokio::test]
async fn a_failure_comes_under_the_name_that_was_set_last() {
    let kernel = Kernel::new();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = free.local_addr().unwrap();
    drop(free);
    let failures = Rc::new(Cell::new(0));
    let seen = Rc::clone(&failures);
    Session::builder(None::<SocketFactory>)
        .on(START, move |cx, ()| {
            let wheel = SocketFactory::connect(closed).success(DONE).failure(OLD).start(cx);
            wheel.set_failure_event(NEW);
            *cx.heap = Some(wheel);
        })
        .on(DONE, |_, _| panic!("nothing listens there"))
        .on(OLD, |_, error| panic!("the old name: {error}"))
        .on(NEW, move |cx, error| {
            assert!(error.is_refused(), "{error}");
            seen.set(seen.get() + 1);
            *cx.heap = None;
        })
        .create(&kernel)
        .unwrap();
    tokio::time::timeout(Duration::from_secs(30), kernel.run())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(failures.get(), 1);
}

#[cfg(unix)]
#[tokio::test]
async fn a_unix_stream_is_lent_for_its_peers_credentials() {
    let (ours, _theirs) = tokio::net::UnixStream::pair().unwrap();
    let stream = SocketStream::from(ours);
    assert!(stream.as_tcp().is_none());
    let peer = stream.as_unix().unwrap().peer_cred().unwrap();
    assert!(peer.pid().is_none_or(|pid| pid as u32 == std::process::id()));
}

#[cfg(unix)]
mod run {
    use super::LINE;
    use poe::event::START;
    use poe::filter::Line;
    use poe::testing::Transcript;
    use poe::wheel::{KillFlag, Run, RunBuilder};
    use poe::{Event, HandlerResult, Kernel, Session, WheelId};
    use std::io::{BufRead, BufReader, Write};
    use std::time::Duration;

    const CLOSED: Event<WheelId> = Event::new("closed");
    const OVER: Event<WheelId> = Event::new("over");

    /// Runs a program until the event `closed` or `over`; returns the names of all dispatched events.
    async fn events_of(
        start: impl Fn(&mut poe::Context<'_, Option<Run>>) -> HandlerResult<Run> + 'static,
    ) -> Vec<String> {
        let kernel = Kernel::new();
        let transcript = Transcript::of(&kernel);
        Session::builder(None::<Run>)
            .on(START, move |cx, ()| -> HandlerResult {
                *cx.heap = Some(start(cx)?);
                Ok(())
            })
            .on(CLOSED, |cx, _| *cx.heap = None)
            .on(OVER, |cx, _| *cx.heap = None)
            .create(&kernel)
            .unwrap();
        tokio::time::timeout(Duration::from_secs(60), kernel.run())
            .await
            .unwrap()
            .unwrap();
        transcript.records().into_iter().map(|record| record.event).collect()
    }

    #[tokio::test]
    async fn the_events_of_a_program_come_under_the_names_that_were_set_last() {
        let events = events_of(|cx| {
            let run = Run::shell("cat").stdout(Line::new(), "line").close(CLOSED).start(cx)?;
            run.set_stdin_event(Some("written"));
            run.set_error_event(Some("an end"));
            run.set_close_event(Some(OVER));
            run.put("hello")?;
            run.shutdown_stdin_after_flush();
            Ok(run)
        });
        assert_eq!(events.await, ["_start", "written", "line", "an end", "over", "_stop"]);
    }

    #[tokio::test]
    async fn a_discarded_standard_error_gives_no_records_and_still_ends() {
        let events = events_of(|cx| {
            let run = Run::shell("echo never mind >&2")
                .stderr(Line::new(), "complaint")
                .close(CLOSED)
                .start(cx)?;
            run.discard_stderr();
            Ok(run)
        });
        assert_eq!(events.await, ["_start", "closed", "_stop"]);
    }

    /// Starts a function that says "begun", is told to end, and says "told to end".
    async fn told_to_end(builder: impl Fn() -> RunBuilder + 'static) {
        let kernel = Kernel::new();
        let transcript = Transcript::of(&kernel);
        Session::builder(None::<Run>)
            .on(START, move |cx, ()| -> HandlerResult {
                let run = builder().stdout(Line::new(), LINE).start(cx)?;
                run.put("a task")?;
                *cx.heap = Some(run);
                Ok(())
            })
            .on(LINE, |cx, input| -> HandlerResult {
                match (&*cx.heap, &*input.record) {
                    (Some(run), "begun") => assert!(run.kill("TERM")?),
                    (_, line) => {
                        assert_eq!(line, "told to end");
                        *cx.heap = None;
                    }
                }
                Ok(())
            })
            .create(&kernel)
            .unwrap();
        tokio::time::timeout(Duration::from_secs(60), kernel.run())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(transcript.records().len(), 4);
    }

    #[tokio::test]
    async fn a_function_that_only_computes_sees_that_it_was_told_to_end() {
        told_to_end(|| {
            Run::callback(|io| {
                writeln!(io.stdout, "begun")?;
                while !io.is_killed() {
                    std::thread::yield_now();
                }
                writeln!(io.stdout, "told to end")
            })
        })
        .await;
    }

    #[tokio::test]
    async fn a_function_that_reads_sees_in_its_flag_that_it_was_told_to_end() {
        told_to_end(|| {
            Run::callback(|io| {
                let flag: KillFlag = io.kill_flag();
                for task in BufReader::new(&mut io.stdin).lines() {
                    assert_eq!(task?, "a task");
                    writeln!(io.stdout, "begun")?;
                    while !flag.is_killed() {
                        std::thread::yield_now();
                    }
                }
                writeln!(io.stdout, "told to end")
            })
        })
        .await;
    }
}
