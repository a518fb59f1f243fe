//! Small deviations from POE, each beside POE's behaviour (observed by running it).

use crate::laws_kit::{busy, kernel, life, ms, run, said, say};
use poe::event::START;
use poe::filter::{Line, Raw};
use poe::wheel::{Input, ReadWrite};
use poe::{
    Event, Failure, HandlerResult, Kernel, Session,
    unix::{SelectMode, Selected, Watched},
};
use std::io::Write;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

const LINE: Event<Input<String>> = Event::new("line");
const RAW: Event<Input<bytes::Bytes>> = Event::new("raw");

/// POE: `T2`, `A`, `T`, `B`. It reads the clock for each post, which we do not: posts are dated as late as they can be.
#[tokio::test(start_paused = true)]
async fn l06_a_timer_set_into_the_past_goes_before_posts_of_its_slice() {
    let kernel = kernel();
    let session = life("S", |cx| cx.yield_to("go", ()));
    ["A", "B", "T", "T2"]
        .into_iter()
        .fold(session, |session, name| session.on(name, move |_, ()| say(name)))
        .on("go", |cx, ()| {
            cx.yield_to("A", ());
            busy(100);
            cx.delay_set("T", -0.05, ());
            cx.yield_to("B", ());
            cx.delay_set("T2", -0.2, ());
        })
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["T2", "T", "A", "B", "S stop"]);
}

/// After `shutdown_input` POE still delivers the other lines of that read, and records that a new filter finds in the rest.
#[tokio::test(start_paused = true)]
async fn rw12_what_was_read_stays_in_the_filter_after_shutdown_input() {
    let kernel = kernel();
    let (mut peer, ours) = duplex(64);
    peer.write_all(b"one\ntwo\nthree\npart").await.unwrap();
    Session::builder(None::<ReadWrite>)
        .on(START, |cx, io: DuplexStream| -> HandlerResult {
            *cx.heap = Some(ReadWrite::builder(io).input(Line::new(), LINE).start(cx)?);
            Ok(())
        })
        .on(LINE, |cx, line| {
            say(line.record);
            if let Some(wheel) = &*cx.heap {
                wheel.shutdown_input();
            }
            cx.delay("later", ms(10), ());
        })
        .on("later", |cx, ()| {
            let Some(wheel) = &*cx.heap else { return };
            assert_eq!(wheel.input_pending(), b"two\nthree\npart"[..]);
            let _old = wheel.set_input_filter(Raw::new(), RAW);
            cx.delay("last", ms(10), ());
        })
        .on(RAW, |_, _| say("raw"))
        .on("last", |cx, ()| {
            let wheel = cx.heap.take().unwrap();
            assert_eq!(wheel.input_pending(), b"two\nthree\npart"[..]);
        })
        .args(ours)
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["one"]);
}

/// How to get the rest of the read, as in POE.
#[tokio::test(start_paused = true)]
async fn rw12_pause_input_gives_the_rest_of_the_read() {
    let kernel = kernel();
    let (mut peer, ours) = duplex(64);
    peer.write_all(b"one\ntwo\nthree\npart").await.unwrap();
    Session::builder(None::<ReadWrite>)
        .on(START, |cx, io: DuplexStream| -> HandlerResult {
            *cx.heap = Some(ReadWrite::builder(io).input(Line::new(), LINE).start(cx)?);
            Ok(())
        })
        .on(LINE, |cx, line| {
            if let Some(wheel) = &*cx.heap
                && !wheel.is_input_paused()
            {
                wheel.pause_input();
                cx.delay("later", ms(10), ());
            }
            say(line.record);
        })
        .on("later", |cx, ()| *cx.heap = None)
        .args(ours)
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["one", "two", "three"]);
}

/// POE's `shutdown` does nothing to a pipe, which stays open as long as the wheel. Ours closes its end, so that the other end sees
/// it.
#[tokio::test]
async fn rw12_shutting_down_a_direction_closes_its_pipe() {
    let kernel = Kernel::new();
    let (mut to_it, input) = tokio::net::unix::pipe::pipe().unwrap();
    let (output, mut from_it) = tokio::net::unix::pipe::pipe().unwrap();
    let handles = std::cell::Cell::new(Some((input, output)));
    Session::builder(None::<ReadWrite>)
        .on(START, move |cx, ()| -> HandlerResult {
            let (input, output) = handles.take().unwrap();
            let wheel = ReadWrite::with_handles(input, output)
                .input(Line::new(), LINE)
                .start(cx)?;
            wheel.shutdown_input();
            wheel.shutdown_output();
            *cx.heap = Some(wheel);
            Ok(cx.alias_set("open")?)
        })
        .on("end", |cx, ()| {
            *cx.heap = None;
            cx.alias_remove("open")
        })
        .create(&kernel)
        .unwrap();
    let handle = kernel.handle();
    let look = async move {
        // The wheel is still there.
        assert_eq!(from_it.read(&mut [0; 8]).await.unwrap(), 0);
        let error = to_it.write_all(b"x\n").await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
        handle.post("open", "end", ()).unwrap();
    };
    let both = async { tokio::join!(kernel.run(), look) };
    let (ran, ()) = tokio::time::timeout(Duration::from_secs(20), both).await.unwrap();
    ran.unwrap();
}

/// POE: `create` returns the session, too, but the next `call` of any session throws its failure, although that call's handler replies; once
/// caught it is forgotten, and the program goes on.
#[tokio::test(start_paused = true)]
async fn l15_without_catching_a_failed_start_ends_the_run_and_does_not_come_out_of_the_next_call() {
    let kernel = poe::testing::builder().catch_exceptions(false).build();
    life("C", |cx| cx.alias_set("C").unwrap())
        .on("ok", |_, ()| poe::Reply(42))
        .create(&kernel)
        .unwrap();
    life("A", |cx| cx.yield_to("go", ()))
        .on("go", |cx, ()| {
            let b = Session::builder(()).on(START, |_, ()| -> HandlerResult { Err(Failure::msg("start of B")) });
            say(format!("create: {}", cx.create(b).is_ok()));
            say(format!("call: {:?}", cx.call::<(), i32>("C", "ok", ()).ok()));
        })
        .create(&kernel)
        .unwrap();
    let failed = kernel.run().await.unwrap_err();
    assert_eq!(failed.failure().unwrap().to_string(), "start of B");
    let said = said();
    assert!(
        said.contains(&"create: true".to_owned()) && said.contains(&"call: Some(42)".to_owned()),
        "{said:?}"
    );
}

/// POE asks its loop for all handles together. Here wheels, futures and streams have their turns first, and watched files after them.
#[tokio::test]
async fn l75_files_come_after_tasks_in_the_io_phase() {
    let kernel = Kernel::builder().budget(1).build();
    let (file, mut other) = std::os::unix::net::UnixStream::pair().unwrap();
    other.write_all(b"x").unwrap();
    let file = Watched::new(file).unwrap();
    let (mut peer, ours) = duplex(64);
    peer.write_all(b"one\n").await.unwrap();
    Session::builder(None::<ReadWrite>)
        .on(START, move |cx, io: DuplexStream| -> HandlerResult {
            cx.select(&file, SelectMode::Read, "file", ())?;
            *cx.heap = Some(ReadWrite::builder(io).input(Line::new(), LINE).start(cx)?);
            Ok(())
        })
        .on(LINE, |cx, line| {
            say(line.record);
            *cx.heap = None;
        })
        .on("file", |cx, selected: Selected| {
            say("file");
            cx.select_clear(&selected.handle, SelectMode::Read);
        })
        .args(ours)
        .create(&kernel)
        .unwrap();
    let ran = tokio::time::timeout(Duration::from_secs(20), kernel.run()).await;
    ran.expect("it ends").unwrap();
    assert_eq!(said(), ["one", "file"]);
}
