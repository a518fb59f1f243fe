//! Existing descriptors as streams for wheels: pipes, terminals, plain files, devices; and cancelled reads.

use crate::laws_kit::{said, say};
use poe::event::START;
use poe::filter::{Line, Raw};
use poe::wheel::{Descriptor, Input, IoError, ReadWrite};
use poe::{Context, Event, HandlerResult, Kernel, Session, SessionBuilder};
use std::cell::Cell;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const LINE: Event<Input<String>> = Event::new("line");
const BYTES: Event<Input<bytes::Bytes>> = Event::new("bytes");
const OVER: Event<IoError> = Event::new("over");
const ENOUGH: Event<()> = Event::new("enough");

const LONG: Duration = Duration::from_secs(60);

async fn run(kernel: &Kernel) {
    let ran = tokio::time::timeout(LONG, kernel.run()).await;
    ran.expect("it ends").unwrap();
}

/// A session that logs the lines of a descriptor.
fn says_lines(
    fd: impl Into<OwnedFd>,
    begins: impl Fn(&mut Context<'_, Option<ReadWrite>>) + 'static,
) -> SessionBuilder<Option<ReadWrite>> {
    let stream = Cell::new(Some(Descriptor::new(fd).unwrap()));
    Session::builder(None::<ReadWrite>)
        .on(START, move |cx, ()| -> HandlerResult {
            let stream = stream.take().expect("a session starts once");
            let wheel = ReadWrite::builder(stream).input(Line::new(), LINE).error(OVER);
            *cx.heap = Some(wheel.start(cx)?);
            begins(cx);
            Ok(())
        })
        .on(LINE, |_, input| say(input.record))
}

/// Reads lines to the end of the descriptor.
async fn lines_of(fd: impl Into<OwnedFd>) -> Vec<String> {
    let kernel = Kernel::new();
    says_lines(fd, |_| ())
        .on(OVER, |cx, error| {
            assert!(error.is_eof(), "{error}");
            *cx.heap = None;
        })
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    said()
}

/// Reads nothing until the wheel is dropped after a while; the descriptor must be usable as before then.
async fn given_up(fd: OwnedFd) {
    let kernel = Kernel::new();
    says_lines(fd, |cx| {
        cx.delay(ENOUGH, Duration::from_millis(50), ());
    })
    .on(OVER, |_, error| say(error))
    .on(ENOUGH, |cx, ()| *cx.heap = None)
    .create(&kernel)
    .unwrap();
    run(&kernel).await;
    assert!(said().is_empty());
}

#[tokio::test]
async fn a_plain_file_is_read_to_its_end() {
    let path = std::env::temp_dir().join(format!("poe-descriptor-{}", std::process::id()));
    let text: String = (0..40_000).map(|n| format!("line {n}\n")).collect();
    std::fs::write(&path, &text).unwrap();
    let lines = lines_of(std::fs::File::open(&path).unwrap()).await;
    std::fs::remove_file(&path).unwrap();
    assert_eq!(lines.len(), 40_000);
    assert_eq!(lines.join("\n") + "\n", text);
}

#[tokio::test]
async fn a_pipe_is_read_to_its_end_and_its_flags_stay() {
    let (input, mut output) = std::io::pipe().unwrap();
    let ours = input.as_fd().try_clone_to_owned().unwrap();
    std::thread::spawn(move || {
        for n in 0..3 {
            writeln!(output, "line {n}").unwrap();
            std::thread::sleep(Duration::from_millis(5));
        }
    });
    assert_eq!(lines_of(input).await, ["line 0", "line 1", "line 2"]);
    let flags = rustix::fs::fcntl_getfl(&ours).unwrap();
    assert!(
        !flags.contains(rustix::fs::OFlags::NONBLOCK),
        "others share the open file"
    );
}

#[tokio::test]
async fn a_device_and_a_socket_are_read() {
    assert!(lines_of(std::fs::File::open("/dev/null").unwrap()).await.is_empty());
    let (ours, mut theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    theirs.write_all(b"by a socket\n").unwrap();
    drop(theirs);
    assert_eq!(lines_of(ours).await, ["by a socket"]);
}

/// Input that comes after the wheel is gone is there for the next reader: no read of the wheel is pending.
#[tokio::test]
async fn a_read_that_is_given_up_takes_no_bytes() {
    let (mut input, mut output) = std::io::pipe().unwrap();
    given_up(input.as_fd().try_clone_to_owned().unwrap()).await;
    output.write_all(b"later").unwrap();
    drop(output);
    let mut rest = String::new();
    input.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "later");
    // A socket is waited for on a thread.
    let (mut ours, mut theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    given_up(ours.as_fd().try_clone_to_owned().unwrap()).await;
    theirs.write_all(b"later").unwrap();
    drop(theirs);
    let mut rest = String::new();
    ours.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "later");
}

/// A terminal, and the master of one, which must not be opened again: that would make another terminal.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn both_ends_of_a_terminal_are_read() {
    use rustix::fs::{Mode, OFlags, open};
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap();
    let slave = open(name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
    let mut typist = std::fs::File::from(master.try_clone().unwrap());
    given_up(slave.try_clone().unwrap()).await;
    // Control-D ends the input.
    typist.write_all(b"typed\n\x04").unwrap();
    assert_eq!(lines_of(slave.try_clone().unwrap()).await, ["typed"]);
    let flags = rustix::fs::fcntl_getfl(&slave).unwrap();
    assert!(!flags.contains(OFlags::NONBLOCK));
    // The master shows what was typed, and what a program writes.
    let kernel = Kernel::new();
    let stream = Cell::new(Some(Descriptor::new(master).unwrap()));
    let mut program = std::fs::File::from(slave);
    Session::builder(None::<ReadWrite>)
        .on(START, move |cx, ()| -> HandlerResult {
            let stream = stream.take().expect("a session starts once");
            *cx.heap = Some(
                ReadWrite::builder(stream)
                    .input(Line::new(), LINE)
                    .error(OVER)
                    .start(cx)?,
            );
            Ok(())
        })
        .on(LINE, |cx, input| {
            let last = input.record == "written";
            say(input.record);
            if last {
                *cx.heap = None;
            }
        })
        .on(OVER, |_, error| say(error))
        .create(&kernel)
        .unwrap();
    program.write_all(b"written\n").unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["typed", "written"]);
}

/// A whole stream through a pipe or a file: all that was put arrives, in order, before the end.
#[tokio::test]
async fn what_is_put_is_written_before_the_end() {
    let path = std::env::temp_dir().join(format!("poe-descriptor-out-{}", std::process::id()));
    let all: Vec<u8> = (0..300_000_u32).map(|n| (n % 251) as u8).collect();
    for to_file in [true, false] {
        let (mut input, pipe) = std::io::pipe().unwrap();
        let reader = std::thread::spawn(move || {
            let mut got = Vec::new();
            input.read_to_end(&mut got).unwrap();
            got
        });
        let output: OwnedFd = match to_file {
            true => std::fs::File::create(&path).unwrap().into(),
            false => pipe.as_fd().try_clone_to_owned().unwrap(),
        };
        drop(pipe);
        let (stream, kernel, data) = (
            Cell::new(Some(Descriptor::new(output).unwrap())),
            Kernel::new(),
            all.clone(),
        );
        Session::builder(None::<ReadWrite>)
            .on(START, move |cx, ()| -> HandlerResult {
                let stream = stream.take().expect("a session starts once");
                let wheel = ReadWrite::builder(stream)
                    .output(Raw::new())
                    .input(Raw::new(), BYTES)
                    .start(cx)?;
                for piece in data.chunks(10_000) {
                    wheel.put(bytes::Bytes::copy_from_slice(piece))?;
                }
                wheel.close(Duration::ZERO);
                Ok(())
            })
            .create(&kernel)
            .unwrap();
        run(&kernel).await;
        let got = reader.join().unwrap();
        let got = if to_file { std::fs::read(&path).unwrap() } else { got };
        assert!(got == all, "{} of {} bytes", got.len(), all.len());
    }
    std::fs::remove_file(&path).unwrap();
}

/// A program that cancels everything, run as a process whose end is timed: it must not wait for its input, a
/// lookup that nobody replies to, or blocking work.
#[test]
fn nothing_that_was_given_up_holds_the_exit() {
    for what in ["stdin", "blocking"] {
        let mut program = Command::new(std::env::current_exe().unwrap());
        program.args([
            "--ignored",
            "--exact",
            "--nocapture",
            "descriptors::in_a_process_that_gives_up",
        ]);
        program
            .env("POE_GIVES_UP", what)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let begin = Instant::now();
        let mut child = program.spawn().unwrap();
        let _keeps_the_input_open = child.stdin.take();
        let ended = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break Some(status);
            }
            if begin.elapsed() > LONG {
                child.kill().unwrap();
                child.wait().unwrap();
                break None;
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        assert!(ended.expect("its end is not held").success(), "{what}");
    }
}

/// Not a separate test: the process of the one above.
#[tokio::test]
#[ignore = "run by nothing_that_was_given_up_holds_the_exit"]
async fn in_a_process_that_gives_up() {
    let Ok(what) = std::env::var("POE_GIVES_UP") else {
        return;
    };
    let kernel = Kernel::new();
    Session::builder(None::<ReadWrite>)
        .on(START, move |cx, ()| -> HandlerResult {
            if what == "stdin" {
                let input = Descriptor::stdin()?;
                *cx.heap = Some(ReadWrite::builder(input).input(Line::new(), LINE).start(cx)?);
            } else {
                let task = cx.blocking(|| std::thread::sleep(Duration::from_secs(3600)), "done");
                cx.delay("cancel", Duration::from_millis(50), task);
            }
            cx.delay(ENOUGH, Duration::from_millis(100), ());
            Ok(())
        })
        .on("cancel", |cx, task: poe::TaskId| assert!(cx.cancel(task)))
        .on(ENOUGH, |cx, ()| *cx.heap = None)
        .create(&kernel)
        .unwrap();
    kernel.run().await.unwrap();
}
