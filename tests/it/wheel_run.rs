//! POE's wheel_run, and the rows RU of the specification: the events of a Run about its program, and the program's end.

use crate::in_child::in_child;
use crate::laws_kit::{said, say};
use crate::wheel_follow_tail::Folder;
use poe::event::START;
use poe::filter::{Line, Raw};
use poe::testing::assert_no_leaks;
use poe::wheel::{CallbackIo, Conduit, Exited, Input, IoError, Redirect, Run, RunBuilder, StdStream};
use poe::{Context, Event, Kernel, Session, SessionBuilder, WheelId};
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::time::Duration;

pub(crate) const OUT: Event<Input<String>> = Event::new("stdout");
pub(crate) const ERR: Event<Input<String>> = Event::new("stderr");
pub(crate) const STDIN: Event<WheelId> = Event::new("stdin");
pub(crate) const ERROR: Event<IoError> = Event::new("error");
pub(crate) const CLOSE: Event<WheelId> = Event::new("close");
pub(crate) const EXIT: Event<Exited> = Event::new("exit");

type Cx<'k> = Context<'k, Option<Run>>;

pub(crate) async fn run(kernel: &Kernel) {
    let run = tokio::time::timeout(Duration::from_secs(60), kernel.run());
    run.await.expect("a sane end").unwrap();
    assert_no_leaks(kernel);
}

fn told(error: &IoError) -> String {
    let what = match error.errno() {
        Some(0) => "end".to_owned(),
        Some(errno) => io::Error::from_raw_os_error(errno).kind().to_string(),
        None => "filter".to_owned(),
    };
    format!("{} {} {what}", error.stream().unwrap(), error.operation())
}

fn status(exited: &Exited) -> String {
    let status = exited.status.expect("nobody else waits for it");
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit {code}"),
        (_, Some(signal)) => format!("killed by {signal}"),
        _ => "?".to_owned(),
    }
}

/// A session with a wheel that says what it tells. `then` does more, by what was said; it begins with "begun".
pub(crate) fn talker(
    build: impl FnOnce() -> RunBuilder + 'static,
    then: impl Fn(&mut Cx<'_>, &str) + Clone + 'static,
) -> SessionBuilder<Option<Run>> {
    fn saying(then: impl Fn(&mut Cx<'_>, &str) + 'static) -> impl Fn(&mut Cx<'_>, String) {
        move |cx, what| {
            say(&what);
            then(cx, &what);
        }
    }
    let build = std::cell::Cell::new(Some(build));
    let begun = then.clone();
    let (out, err, stdin) = (saying(then.clone()), saying(then.clone()), saying(then.clone()));
    let (error, close, exit) = (saying(then.clone()), saying(then.clone()), saying(then));
    Session::builder(None)
        .on(START, move |cx, ()| -> poe::HandlerResult {
            let run = build.take().expect("a session starts once")().start(cx)?;
            *cx.heap = Some(run);
            begun(cx, "begun");
            Ok(())
        })
        .on(OUT, move |cx, input| out(cx, format!("out {}", input.record)))
        .on(ERR, move |cx, input| err(cx, format!("err {}", input.record)))
        .on(STDIN, move |cx, _| stdin(cx, "flushed".to_owned()))
        .on(ERROR, move |cx, failed| error(cx, told(&failed)))
        .on(CLOSE, move |cx, _| close(cx, "close".to_owned()))
        .on(EXIT, move |cx, exited| exit(cx, status(&exited)))
}

pub(crate) fn wheel<'a>(cx: &'a Cx<'_>) -> &'a Run {
    cx.heap.as_ref().expect("the wheel is there")
}

async fn play(session: SessionBuilder<Option<Run>>) -> Vec<String> {
    let kernel = Kernel::new();
    session.create(&kernel).unwrap();
    run(&kernel).await;
    said()
}

/// The wheel goes when the program has ended and its outputs are closed.
fn until_over() -> impl Fn(&mut Cx<'_>, &str) + Clone {
    let left = std::rc::Rc::new(std::cell::Cell::new(2));
    move |cx, what| {
        if what == "close" || what.starts_with("exit") || what.starts_with("killed") {
            left.set(left.get() - 1);
            if left.get() == 0 {
                *cx.heap = None;
            }
        }
    }
}

fn both(builder: RunBuilder) -> RunBuilder {
    builder
        .stdout(Line::new(), OUT)
        .stderr(Line::new(), ERR)
        .close(CLOSE)
        .exit(EXIT)
}

/// The program of POE's test: answers on the stream that it is told to.
const PROGRAM: &str = r#"while IFS= read -r line; do
    case "$line" in
        bye) exit 0;;
        pid) echo "$$";;
        "out "*) echo "${line#out }";;
        "err "*) echo "${line#err }" >&2;;
    esac
done"#;

/// The same as a function.
fn program(io: &mut CallbackIo) -> io::Result<()> {
    for line in BufReader::new(&mut io.stdin).lines() {
        let line = line?;
        match line.split_once(' ') {
            Some(("out", text)) => writeln!(io.stdout, "{text}")?,
            Some(("err", text)) => writeln!(io.stderr, "{text}")?,
            _ if line == "bye" => break,
            _ => {}
        }
    }
    Ok(())
}

/// What the session does, and what it then waits for; nothing means that the next is done at once.
type Steps = &'static [(&'static str, &'static str)];

const TWO_STREAMS: Steps = &[
    ("put out test-out", "out test-out"),
    ("put err test-err", "err test-err"),
    ("put bye", "close"),
];

const ONE_STREAM: Steps = &[
    ("put out test-out", "out test-out"),
    ("put err test-err", "out test-err"),
    ("put bye", "close"),
];

const PAUSES: Steps = &[
    ("put out init", "out init"),
    ("pause out", ""),
    ("put out delayed1", ""),
    ("put err immediate1", "err immediate1"),
    ("pause err", ""),
    ("put err delayed2", ""),
    ("resume out", "out delayed1"),
    ("put out immediate2", "out immediate2"),
    ("resume err", "err delayed2"),
    ("put out immediate3", "out immediate3"),
    ("put err immediate4", "err immediate4"),
    ("put bye", "close"),
];

const KILLING: Steps = &[("put out init", "out init"), ("kill", "close")];

const SHUTDOWN: Steps = &[("put out init", "out init"), ("shutdown", "close")];

/// Plays the steps, and gives how often standard input was flushed, and the exit.
async fn steps(builder: RunBuilder, has_stderr: bool, steps: Steps) -> (usize, String) {
    struct Talk {
        run: Option<Run>,
        left: VecDeque<(&'static str, &'static str)>,
        flushes: usize,
        exit: Option<String>,
        closed: bool,
    }
    fn perform(talk: &mut Talk) {
        while let Some((action, expected)) = talk.left.front().copied() {
            let run = talk.run.as_ref().unwrap();
            match action {
                "pause out" => run.pause_stdout(),
                "pause err" => run.pause_stderr(),
                "resume out" => run.resume_stdout(),
                "resume err" => run.resume_stderr(),
                "kill" => assert!(run.kill("TERM").unwrap()),
                "shutdown" => {
                    run.shutdown_stdin();
                    let refused = run.put("late").unwrap_err();
                    assert!(refused.is_closed());
                }
                put => {
                    run.put(put.strip_prefix("put ").unwrap()).unwrap();
                }
            }
            if !expected.is_empty() {
                return;
            }
            talk.left.pop_front();
        }
    }
    fn seen(cx: &mut Context<'_, Talk>, what: &str) {
        let (_, expected) = cx
            .heap
            .left
            .pop_front()
            .unwrap_or_else(|| panic!("{what}, and nothing was expected"));
        assert_eq!(what, expected);
        perform(&mut cx.heap);
    }
    let kernel = Kernel::new();
    let result = std::rc::Rc::new(std::cell::Cell::new((0, String::new())));
    let out = result.clone();
    let heap = Talk {
        run: None,
        left: steps.iter().copied().collect(),
        flushes: 0,
        exit: None,
        closed: false,
    };
    let finish = move |cx: &mut Context<'_, Talk>| {
        if cx.heap.closed && cx.heap.exit.is_some() {
            cx.heap.run = None;
            out.set((cx.heap.flushes, cx.heap.exit.clone().unwrap()));
        }
    };
    let finish_too = finish.clone();
    let builder = std::cell::Cell::new(Some(builder));
    Session::builder(heap)
        .on(START, move |cx, ()| -> poe::HandlerResult {
            let builder = builder.take().unwrap().stdout(Line::new(), OUT);
            let builder = match has_stderr {
                true => builder.stderr(Line::new(), ERR),
                false => builder,
            };
            let builder = builder.stdin_flushed(STDIN).error(ERROR).close(CLOSE).exit(EXIT);
            cx.heap.run = Some(builder.start(cx)?);
            perform(&mut cx.heap);
            Ok(())
        })
        .on(OUT, |cx, input| seen(cx, &format!("out {}", input.record)))
        .on(ERR, |cx, input| seen(cx, &format!("err {}", input.record)))
        .on(STDIN, |cx, _| cx.heap.flushes += 1)
        .on(ERROR, |_, failed| assert!(failed.is_eof(), "{failed}"))
        .on(CLOSE, move |cx, _| {
            let run = cx.heap.run.as_ref().unwrap();
            assert_eq!((run.buffered_bytes(), run.out_messages()), (0, 0));
            seen(cx, "close");
            cx.heap.closed = true;
            finish(cx);
        })
        .on(EXIT, move |cx, exited| {
            assert_eq!(exited.pid, cx.heap.run.as_ref().unwrap().pid());
            cx.heap.exit = Some(status(&exited));
            finish_too(cx);
        })
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    result.take()
}

fn sh(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    command
}

fn puts(steps: Steps) -> usize {
    steps.iter().filter(|(action, _)| action.starts_with("put")).count()
}

#[tokio::test]
async fn wheel_run_programs_lines_and_functions_on_every_conduit() {
    let conduits = [
        (None, true),
        (Some(Conduit::Pipe), true),
        (Some(Conduit::Socketpair), true),
        (Some(Conduit::Inet), true),
        #[cfg(feature = "pty")]
        (Some(Conduit::Pty), false),
        #[cfg(feature = "pty")]
        (Some(Conduit::PtyPipe), true),
    ];
    for (conduit, has_stderr) in conduits {
        let programs = [Run::builder(sh(PROGRAM)), Run::shell(PROGRAM), Run::callback(program)];
        for (number, builder) in programs.into_iter().enumerate() {
            let builder = match conduit {
                Some(conduit) => builder.conduit(conduit),
                None => builder,
            };
            let script = if has_stderr { TWO_STREAMS } else { ONE_STREAM };
            let (flushes, exit) = steps(builder, has_stderr, script).await;
            assert_eq!(
                (flushes, exit),
                (puts(script), "exit 0".to_owned()),
                "{conduit:?} {number}"
            );
        }
    }
}

#[tokio::test]
async fn wheel_run_pauses_of_either_output() {
    let (_, exit) = steps(Run::builder(sh(PROGRAM)), true, PAUSES).await;
    assert_eq!(exit, "exit 0");
    let (_, exit) = steps(Run::callback(program), true, PAUSES).await;
    assert_eq!(exit, "exit 0");
}

#[tokio::test]
async fn wheel_run_killing() {
    let (_, exit) = steps(Run::builder(sh(PROGRAM)), true, KILLING).await;
    assert_eq!(exit, "killed by 15");
    // A function sees the end of its input.
    let (_, exit) = steps(Run::callback(program), true, KILLING).await;
    assert_eq!(exit, "exit 0");
}

#[tokio::test]
async fn wheel_run_shutdown_of_standard_input() {
    for conduit in [Conduit::Pipe, Conduit::Socketpair, Conduit::Inet] {
        for builder in [Run::builder(sh(PROGRAM)), Run::callback(program)] {
            let (_, exit) = steps(builder.conduit(conduit), true, SHUTDOWN).await;
            assert_eq!(exit, "exit 0", "{conduit:?}");
        }
    }
}

#[tokio::test]
async fn law27_what_is_put_arrives_in_order_and_a_shutdown_after_the_flush_loses_nothing() {
    let session = talker(
        || {
            both(Run::shell("cksum; cat >&2"))
                .stdin_filter(Raw::new())
                .stdin_flushed(STDIN)
        },
        {
            let over = until_over();
            move |cx, what| {
                if what == "begun" {
                    for block in 0..64_u8 {
                        wheel(cx).put(bytes::Bytes::from(vec![block; 16_384])).unwrap();
                    }
                    wheel(cx).shutdown_stdin_after_flush();
                }
                over(cx, what);
            }
        },
    );
    let mut bytes = Vec::new();
    for block in 0..64_u8 {
        bytes.extend_from_slice(&vec![block; 16_384]);
    }
    let folder = Folder::new();
    std::fs::write(folder.path("all"), &bytes).unwrap();
    let sum = sh(&format!("cksum < {}", folder.path("all").display()))
        .output()
        .unwrap();
    let sum = format!("out {}", String::from_utf8(sum.stdout).unwrap().trim());
    let mut told = play(session).await;
    told.sort();
    let mut expected = ["close", "exit 0", "flushed", &sum].map(str::to_owned).to_vec();
    expected.sort();
    assert_eq!(told, expected);
}

#[tokio::test]
async fn law26_the_close_comes_once_after_all_records_and_ends() {
    for (script, order) in [
        // One output ends long before the other, also where the machine is busy.
        ("exec 1>&-; sleep 1; echo x >&2; printf rest >&2", ["STDOUT", "STDERR"]),
        ("exec 2>&-; sleep 1; echo x; printf rest", ["STDERR", "STDOUT"]),
    ] {
        let session = talker(
            move || both(Run::shell(script)).error(ERROR),
            |cx, what| {
                if what == "close" {
                    // RU8: what is not a whole record is not delivered.
                    let rest = (wheel(cx).stdout_pending(), wheel(cx).stderr_pending());
                    assert_eq!(rest.0.len() + rest.1.len(), 4);
                }
                if what.starts_with("exit") {
                    wheel(cx).shutdown_stdin();
                }
            },
        );
        let told: Vec<String> = play(session)
            .await
            .into_iter()
            .filter(|what| what != "exit 0")
            .collect();
        let record = if order[1] == "STDERR" { "err x" } else { "out x" };
        let expected = [
            &format!("{} read end", order[0]),
            record,
            &format!("{} read end", order[1]),
            "close",
        ];
        assert_eq!(told, expected);
    }
}

#[tokio::test]
async fn ru4_the_close_may_come_long_after_the_exit() {
    // A grandchild holds the pipe.
    let session = talker(
        || {
            Run::shell("exec 3<&0; (read line; echo $line) <&3 & exit 3")
                .stdout(Line::new(), OUT)
                .close(CLOSE)
                .exit(EXIT)
        },
        |cx, what| match what {
            "exit 3" => {
                assert!(!wheel(cx).is_running());
                assert!(!wheel(cx).kill("TERM").unwrap());
                wheel(cx).put("still here").unwrap();
            }
            "close" => *cx.heap = None,
            _ => {}
        },
    );
    // A shell gives what it runs in the background an empty input, hence the duplicate.
    assert_eq!(play(session).await, ["exit 3", "out still here", "close"]);
}

#[tokio::test]
async fn rt56417_wheel_run_a_program_that_is_not_there_is_an_error_of_start() {
    in_child!();
    let kernel = Kernel::new();
    let before = descriptors();
    Session::builder(())
        .on(START, |cx, ()| {
            for conduit in [
                Conduit::Pipe,
                Conduit::Socketpair,
                Conduit::Inet,
                #[cfg(feature = "pty")]
                Conduit::Pty,
            ] {
                let made_up = Command::new("/COMPLETELY/MADE/UP/PATH");
                let error = Run::builder(made_up)
                    .stdout(Line::new(), OUT)
                    .conduit(conduit)
                    .start(cx)
                    .unwrap_err();
                assert_eq!(error.io().unwrap().kind(), io::ErrorKind::NotFound, "{conduit:?}");
            }
            let error = Run::builder(Command::new("/etc/passwd")).start(cx).unwrap_err();
            assert_eq!(error.io().unwrap().kind(), io::ErrorKind::PermissionDenied);
        })
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    drop(kernel);
    // Law 37: no descriptor and no child is left behind.
    assert_eq!((descriptors(), children()), (before, 0));
    // The shell reports it with its status, as in POE.
    let told = play(talker(|| both(Run::shell("/COMPLETELY/MADE/UP/PATH")), until_over())).await;
    assert!(
        told.contains(&"exit 127".to_owned()) && told[0].starts_with("err "),
        "{told:?}"
    );
}

#[tokio::test]
async fn hinrik_wheel_run_die_a_function_that_fails_has_a_status_above_zero() {
    let failing = talker(
        || both(Run::callback(|_| Err(io::Error::other("out of cheese")))),
        until_over(),
    );
    let mut told = play(failing).await;
    told.sort();
    assert_eq!(told, ["close", "err out of cheese", "exit 255"]);
    let panicking = talker(|| both(Run::callback(|_| panic!("no cheese"))), until_over());
    let mut told = play(panicking).await;
    told.sort();
    assert_eq!(told, ["close", "err panicked: no cheese", "exit 255"]);
}

#[tokio::test(start_paused = true)]
async fn a_function_runs_on_virtual_time_and_a_program_does_not() {
    let kernel = crate::laws_kit::kernel();
    talker(|| both(Run::callback(program)), {
        let over = until_over();
        move |cx, what| {
            match what {
                "begun" => {
                    let error = Run::shell("true").start(cx).unwrap_err();
                    assert!(error.to_string().contains("virtual time"), "{error}");
                    wheel(cx).put("out hello").unwrap();
                }
                "out hello" => {
                    wheel(cx).put("bye").unwrap();
                }
                _ => {}
            }
            over(cx, what);
        }
    })
    .create(&kernel)
    .unwrap();
    kernel.run().await.unwrap();
    assert_eq!(said()[0], "out hello");
    assert_no_leaks(&kernel);
}

#[tokio::test]
async fn wheel_run_redirects_of_every_stream() {
    let folder = Folder::new();
    let path = |name: &str| folder.path(name);
    std::fs::write(path("in"), "from a file\n").unwrap();
    std::fs::write(path("out"), "to be emptied, since it is an output\n").unwrap();
    let (from, to, complaints) = (path("in"), path("out"), path("err"));
    let ended = |cx: &mut Cx<'_>, what: &str| {
        assert!(what != "begun" || wheel(cx).put("no").unwrap_err().is_closed());
    };
    let session = talker(
        move || {
            let builder = Run::shell("cat; echo complaint >&2")
                .redirect_stdin(from)
                .redirect_stdout(to);
            builder.redirect_stderr(complaints).exit(EXIT)
        },
        ended,
    );
    assert_eq!(play(session).await, ["exit 0"]);
    assert_eq!(std::fs::read_to_string(path("out")).unwrap(), "from a file\n");
    assert_eq!(std::fs::read_to_string(path("err")).unwrap(), "complaint\n");

    // Both outputs to one handle, for a program and for a function.
    let (mut reader, writer) = io::pipe().unwrap();
    let (stdin, mut input) = io::pipe().unwrap();
    input.write_all(b"PARENT\n").unwrap();
    let session = talker(
        move || {
            let builder = Run::callback(|io| {
                let mut line = String::new();
                BufReader::new(&mut io.stdin).read_line(&mut line)?;
                write!(io.stdout, "CHILD:{line}")?;
                writeln!(io.stderr, "DONE")
            });
            let builder = builder.redirect_output(Redirect::handle(writer));
            builder.redirect_stdin(Redirect::handle(stdin)).exit(EXIT)
        },
        |_, _| (),
    );
    assert_eq!(play(session).await, ["exit 0"]);
    drop(input);
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert_eq!(text, "CHILD:PARENT\nDONE\n");

    let both = path("both");
    let session = talker(
        move || {
            Run::shell("echo a; echo b >&2")
                .redirect_output(both)
                .exit(EXIT)
                .no_stdin()
        },
        |_, _| (),
    );
    assert_eq!(play(session).await, ["exit 0"]);
    assert_eq!(std::fs::read_to_string(path("both")).unwrap(), "a\nb\n");
}

#[tokio::test]
async fn q24_settings_that_do_not_go_together_and_files_that_cannot_be_opened_are_errors_of_start() {
    in_child!();
    let kernel = Kernel::new();
    let before = descriptors();
    Session::builder(())
        .on(START, |cx, ()| {
            let program = || Run::shell("true");
            let open_fails = [
                program().redirect_stdin("/non/existent"),
                program().redirect_stdout("/non/existent"),
                program().redirect_stderr("/non/existent"),
                program().redirect_output("/non/existent"),
            ];
            for builder in open_fails {
                assert_eq!(
                    builder.start(cx).unwrap_err().io().unwrap().kind(),
                    io::ErrorKind::NotFound
                );
            }
            let line = || Line::new();
            let clashes = [
                program().stdout(line(), OUT).redirect_stdout("/dev/null"),
                program().stderr(line(), ERR).redirect_stderr("/dev/null"),
                program().stdout(line(), OUT).redirect_output("/dev/null"),
                program().watermarks(1, 2),
                program().stdout(line().literal(""), OUT),
                Run::callback(|_| Ok(())).user(1),
                Run::callback(|_| Ok(())).args(["no"]),
                #[cfg(feature = "pty")]
                program().conduit(Conduit::Pty).redirect_stdin("/dev/null"),
            ];
            for builder in clashes {
                assert!(builder.start(cx).unwrap_err().io().is_none());
            }
        })
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    drop(kernel);
    assert_eq!((descriptors(), children()), (before, 0));
}

#[tokio::test]
async fn a_full_disk_under_a_redirect_is_the_programs_error_and_loses_us_nothing() {
    let session = talker(
        || {
            Run::shell("echo lost; echo $? >&2")
                .redirect_stdout("/dev/full")
                .stderr(Line::new(), ERR)
                .close(CLOSE)
                .exit(EXIT)
        },
        until_over(),
    );
    let told = play(session).await;
    let complaints: Vec<&String> = told.iter().filter(|what| what.starts_with("err")).collect();
    assert_eq!(*complaints.last().unwrap(), "err 1", "{told:?}");
    // A function sees the error itself.
    let session = talker(
        || {
            let full = File::options().write(true).open("/dev/full").unwrap();
            let builder = Run::callback(|io| io.stdout.write_all(b"lost"));
            builder
                .redirect_stdout(full)
                .stderr(Line::new(), ERR)
                .close(CLOSE)
                .exit(EXIT)
        },
        until_over(),
    );
    let mut told = play(session).await;
    told.sort();
    assert!(told[1].contains("No space left"), "{told:?}");
    assert_eq!(told[2], "exit 255");
}

#[tokio::test]
async fn ru11_a_program_that_has_left_breaks_standard_input_once() {
    // Another test's program has a copy of the pipe's reading end from its fork until its exec: what is written meanwhile is taken.
    in_child!();
    let session = talker(
        || {
            Run::shell("exec 0<&-; echo ready; sleep 1000")
                .stdout(Line::new(), OUT)
                .error(ERROR)
                .close(CLOSE)
                .exit(EXIT)
        },
        |cx, what| match what {
            "out ready" | "STDIN write broken pipe" => {
                let put = wheel(cx).put("anybody?");
                assert_eq!(put.is_ok(), what == "out ready");
                if put.is_err() {
                    assert!(wheel(cx).kill_group("KILL").unwrap());
                }
            }
            _ => {}
        },
    );
    let told = play(session).await;
    assert_eq!(told[..2], ["out ready", "STDIN write broken pipe"]);
    // The session has ended by itself: nothing can come any more.
    let mut rest = told[2..].to_vec();
    rest.sort();
    assert_eq!(rest, ["STDOUT read end", "close", "killed by 9"]);
}

#[tokio::test]
async fn q1_a_change_of_an_outputs_filter_loses_nothing_and_doubles_nothing() {
    const WORD: Event<Input<String>> = Event::new("word");
    for conduit in [Conduit::Pipe, Conduit::Socketpair] {
        let session = talker(
            move || {
                let script = "printf 'one\\ntwo three\\nfour '; printf 'a\\nb c ' >&2";
                both(Run::shell(script).conduit(conduit))
            },
            {
                let over = until_over();
                move |cx, what| {
                    if what == "out one" {
                        wheel(cx).set_stdout_filter(Line::new().literal(" "), WORD).unwrap();
                    }
                    if what == "err a" {
                        wheel(cx).set_stderr_filter(Line::new().literal(" "), WORD).unwrap();
                    }
                    over(cx, what);
                }
            },
        );
        let session = session.on(WORD, |_, input| say(format!("<{}>", input.record.escape_debug())));
        let told = play(session).await;
        let of = |wanted: &[&str]| -> Vec<String> {
            told.iter()
                .filter(|what| wanted.contains(&what.as_str()))
                .cloned()
                .collect()
        };
        assert_eq!(of(&["out one", "<two>", "<three\\nfour>"]).len(), 3, "{told:?}");
        assert_eq!(of(&["err a", "<b>", "<c>"]).len(), 3, "{told:?}");
        assert_eq!(told.len(), 8, "{told:?}");
    }
}

#[tokio::test]
async fn q21_an_output_that_is_discarded_and_events_that_are_renamed_do_not_disturb_the_close() {
    const CLOSED: Event<WheelId> = Event::new("closed");
    let session = talker(
        || both(Run::shell("exec 2>&-; echo a; read line; echo b; echo c")).error(ERROR),
        |cx, what| match what {
            // One output has ended; POE would begin to count anew here.
            "STDERR read end" => {
                wheel(cx).set_close_event(Some(CLOSED));
                wheel(cx).set_error_event(None::<Event<IoError>>);
                wheel(cx).discard_stdout();
                wheel(cx).put("go").unwrap();
            }
            "exit 0" => wheel(cx).shutdown_stdin(),
            _ => {}
        },
    );
    let session = session.on(CLOSED, |_, _| say("closed"));
    let told = play(session).await;
    assert_eq!(told.iter().filter(|what| *what == "closed").count(), 1, "{told:?}");
    assert!(!told.iter().any(|what| what == "out c" || what == "close"), "{told:?}");
}

/// RU.p2: a program has its arguments as they are; a line for the shell is taken apart once more.
#[tokio::test]
async fn ru_p2_arguments_are_the_programs_or_more_of_the_line() {
    let program = || both(Run::builder(sh("echo \"$0,$1\"")).args(["a   b", "c"]));
    let told = play(talker(program, until_over())).await;
    assert!(told.contains(&"out a   b,c".to_owned()), "{told:?}");
    let told = play(talker(|| both(Run::shell("echo").args(["a   b", "c"])), until_over())).await;
    assert!(told.contains(&"out a b c".to_owned()), "{told:?}");
}

/// RU12: as long as an output is paused its end is not seen, and the close waits for it.
#[tokio::test]
async fn ru12_a_paused_output_holds_back_the_close() {
    let session = talker(
        || Run::shell("echo a").stdout(Line::new(), OUT).close(CLOSE).exit(EXIT),
        |cx, what| match what {
            "begun" => wheel(cx).pause_stdout(),
            "exit 0" => cx.delay("resume", Duration::from_millis(50), ()),
            "close" => *cx.heap = None,
            _ => {}
        },
    );
    let session = session.on("resume", |cx, ()| {
        say("resume");
        wheel(cx).resume_stdout();
    });
    assert_eq!(play(session).await, ["exit 0", "resume", "out a", "close"]);
}

/// RU14, RU15: a new filter of standard input is for later puts; one for both directions gets what the old one had left.
#[tokio::test]
async fn ru14_new_filters_are_for_later_puts_and_for_what_is_not_yet_read() {
    const WORD: Event<Input<String>> = Event::new("word");
    let session = talker(|| both(Run::shell("cat")), {
        let over = until_over();
        move |cx, what| {
            let bars = || Line::new().literal("|");
            match what {
                "begun" => {
                    wheel(cx).put("a").unwrap();
                    wheel(cx).set_stdin_filter(bars()).unwrap();
                    wheel(cx).put("b").unwrap();
                }
                "out a" => {
                    wheel(cx).set_stdio_filter(bars(), WORD).unwrap();
                    wheel(cx).put("c").unwrap();
                    wheel(cx).shutdown_stdin_after_flush();
                }
                _ => {}
            }
            over(cx, what);
        }
    });
    let session = session.on(WORD, |_, input| say(format!("<{}>", input.record)));
    let told = play(session).await;
    assert_eq!(told[..3], ["out a", "<b>", "<c>"]);
}

#[tokio::test]
async fn ru_p15_the_program_leads_a_group_unless_it_is_not_to() {
    let group_of = |own: bool| async move {
        let session = talker(
            move || both(Run::shell("ps -o pgid= -p $$; echo $$")).process_group(own),
            until_over(),
        );
        let told = play(session).await;
        let mut numbers = told
            .iter()
            .filter_map(|what| what.strip_prefix("out ")?.trim().parse::<i32>().ok());
        (numbers.next().unwrap(), numbers.next().unwrap())
    };
    let (group, pid) = group_of(true).await;
    assert_eq!(group, pid);
    let (group, _) = group_of(false).await;
    assert_eq!(group, rustix::process::getpgrp().as_raw_nonzero().get());
}

#[tokio::test]
async fn ru_p13_p14_user_group_and_priority_are_the_programs() {
    if !rustix::process::getuid().is_root() {
        return;
    }
    let session = talker(
        || {
            let builder = Run::shell("id -u; id -g; id -G; grep -E '^(U|G)id' /proc/self/status; nice");
            both(builder.user(65_534).group(65_533).priority(5))
        },
        until_over(),
    );
    let told = play(session).await;
    let own = rustix::process::getpriority_process(None).unwrap();
    let lines: Vec<&str> = told.iter().filter_map(|what| what.strip_prefix("out ")).collect();
    assert_eq!(lines[..3], ["65534", "65533", "65533"]);
    // Real, effective, saved and for files.
    assert_eq!(lines[3].split_whitespace().skip(1).collect::<Vec<_>>(), ["65534"; 4]);
    assert_eq!(lines[4].split_whitespace().skip(1).collect::<Vec<_>>(), ["65533"; 4]);
    assert_eq!(lines[5], (own + 5).min(19).to_string());
    // Ours has not changed.
    assert_eq!(rustix::process::getpriority_process(None).unwrap(), own);
}

#[tokio::test]
async fn the_program_has_its_three_streams_and_no_other_of_our_descriptors() {
    in_child!();
    let _ours = (File::open("/dev/null").unwrap(), io::pipe().unwrap());
    // The process that started the test may have left some open, and those are inherited by the program.
    let listed = |text: String| {
        text.split_whitespace()
            .map(str::to_owned)
            .collect::<std::collections::BTreeSet<_>>()
    };
    let list = || {
        let mut ls = Command::new("ls");
        ls.arg("/proc/self/fd");
        ls
    };
    let expected = listed(String::from_utf8(list().output().unwrap().stdout).unwrap());
    assert!(expected.len() < descriptors());
    for conduit in [
        Conduit::Pipe,
        Conduit::Inet,
        #[cfg(feature = "pty")]
        Conduit::PtyPipe,
    ] {
        let told = play(talker(
            move || both(Run::builder(list()).conduit(conduit)),
            until_over(),
        ))
        .await;
        let lines = told.iter().filter_map(|what| what.strip_prefix("out "));
        assert_eq!(listed(lines.collect::<Vec<_>>().join(" ")), expected, "{conduit:?}");
    }
}

#[tokio::test]
async fn ru17_a_wheel_that_goes_ends_the_programs_input_and_does_not_kill_it() {
    in_child!();
    let folder = Folder::new();
    let path = folder.path("end");
    let kernel = Kernel::new();
    let script = format!("echo ready; cat; echo ended > {}", path.display());
    talker(
        move || Run::shell(script).stdout(Line::new(), OUT).close(CLOSE),
        |cx, what| {
            if what == "out ready" {
                let pid = wheel(cx).pid().unwrap();
                cx.sig_child(pid, "reaped", ()).unwrap();
                *cx.heap = None;
            }
        },
    )
    .on("reaped", |_, exit: poe::unix::ProcessExit| {
        say(format!("reaped {}", exit.status.unwrap()))
    })
    .create(&kernel)
    .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["out ready", "reaped exit status: 0"]);
    assert_eq!(std::fs::read_to_string(path).unwrap(), "ended\n");
    assert_eq!(children(), 0);
}

#[tokio::test]
async fn law28_no_zombie_is_left_whichever_ends_first() {
    in_child!();
    let before = descriptors();
    let kernel = Kernel::new();
    // The wheel goes at once, and nobody asks for the end.
    Session::builder(())
        .on(START, |cx, ()| -> poe::HandlerResult {
            for _ in 0..10 {
                drop(Run::shell("cat").stdout(Line::new(), OUT).start(cx)?);
            }
            Ok(())
        })
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    drop(kernel);
    // A thread reaps them, which has descriptors of its own until it is done.
    let end = std::time::Instant::now() + Duration::from_secs(30);
    while (descriptors(), children()) != (before, 0) && std::time::Instant::now() < end {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!((descriptors(), children()), (before, 0));
}

#[tokio::test]
async fn a_program_that_ignores_term_is_killed_at_the_deadline() {
    in_child!();
    for drop_wheel in [false, true] {
        let kernel = Kernel::new();
        let started = std::time::Instant::now();
        talker(
            || both(Run::shell("trap '' TERM; echo ready; while :; do sleep 0.01; done")),
            move |cx, what| match what {
                "out ready" => {
                    wheel(cx).stop(Duration::from_millis(100));
                    if drop_wheel {
                        *cx.heap = None;
                    }
                }
                "killed by 9" => wheel(cx).shutdown_stdin(),
                _ => {}
            },
        )
        .create(&kernel)
        .unwrap();
        run(&kernel).await;
        assert!(started.elapsed() >= Duration::from_millis(100));
        // The session was kept until it was reaped, and its children of the same group are gone, too.
        assert_eq!(children(), 0);
        let mut told = said();
        told.sort();
        match drop_wheel {
            true => assert_eq!(told, ["out ready"]),
            false => assert_eq!(told, ["close", "killed by 9", "out ready"]),
        }
    }
    // One that does not ignore it has no need of the deadline.
    let kernel = Kernel::new();
    talker(
        || both(Run::shell("echo ready; sleep 1000")),
        |cx, what| match what {
            "out ready" => wheel(cx).stop(Duration::from_secs(1000)),
            "killed by 15" => wheel(cx).shutdown_stdin(),
            _ => {}
        },
    )
    .create(&kernel)
    .unwrap();
    run(&kernel).await;
    assert_eq!(children(), 0);
}

#[tokio::test]
async fn rt47966_sixty_runs_that_end_at_once_are_all_reported_and_leave_nothing() {
    in_child!();
    const N: usize = 60;
    const CHILD: Event<poe::Signal> = Event::new("child");
    let before = descriptors();
    let kernel = Kernel::new();
    let told = std::rc::Rc::new(std::cell::Cell::new(0));
    let count = told.clone();
    Session::builder(std::collections::HashMap::<u32, Run>::new())
        .on(START, |cx, ()| -> poe::HandlerResult {
            cx.sig("CHLD", CHILD);
            for _ in 0..N {
                let run = Run::shell("read line")
                    .stdout(Line::new(), OUT)
                    .stderr(Line::new(), ERR)
                    .start(cx)?;
                cx.heap.insert(run.pid().unwrap(), run);
            }
            cx.yield_to("say goodbye", ());
            Ok(())
        })
        .on("say goodbye", |cx, ()| {
            for run in cx.heap.values() {
                run.put("die").unwrap();
            }
        })
        .on(CHILD, move |cx, signal| {
            let exit = signal.child().unwrap();
            assert!(cx.heap.remove(&exit.pid).is_some(), "reported twice, or unknown");
            count.set(count.get() + 1);
            if cx.heap.is_empty() {
                cx.sig_ignore("CHLD");
            }
        })
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    drop(kernel);
    assert_eq!((told.get(), children()), (N, 0));
    // Tokio keeps what it listens to SIGCHLD with.
    assert!(descriptors() <= before + 2, "{} and {before}", descriptors());
}

#[tokio::test]
async fn no_child_is_taken_from_its_owner() {
    in_child!();
    let mut std_child = Command::new("sh").args(["-c", "exit 7"]).spawn().unwrap();
    let mut tokio_child = tokio::process::Command::new("sh")
        .args(["-c", "exit 8"])
        .spawn()
        .unwrap();
    let told = play(talker(|| both(Run::shell("sleep 0.1; exit 9")), until_over())).await;
    assert!(told.contains(&"exit 9".to_owned()), "{told:?}");
    assert_eq!(tokio_child.wait().await.unwrap().code(), Some(8));
    assert_eq!(std_child.wait().unwrap().code(), Some(7));
}

#[tokio::test]
async fn z_rt39872_one_run_ends_and_the_other_is_killed() {
    in_child!();
    let kernel = Kernel::new();
    const SCRIPT: &str = "echo I am here; while read line; do test $line = bye && exit 0; done";
    type Heap = Vec<(Run, Option<String>)>;
    Session::builder(Heap::new())
        .on(START, |cx, ()| -> poe::HandlerResult {
            for _ in 0..2 {
                let run = Run::shell(SCRIPT).stdout(Line::new(), OUT).exit(EXIT).start(cx)?;
                cx.heap.push((run, None));
            }
            Ok(())
        })
        .on(OUT, |cx, input| {
            let first = &cx.heap[0].0;
            if input.wheel == first.id() {
                first.put("bye").unwrap();
            }
        })
        .on(EXIT, |cx, exited| {
            let number = cx.heap.iter().position(|(run, _)| run.id() == exited.wheel).unwrap();
            cx.heap[number].1 = Some(status(&exited));
            match number {
                0 => assert!(cx.heap[1].0.kill("SIGINT").unwrap()),
                _ => {
                    let told: Vec<_> = cx.heap.drain(..).filter_map(|(_, exit)| exit).collect();
                    say(told.join(", "));
                }
            }
        })
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["exit 0, killed by 2"]);
    assert_eq!(children(), 0);
}

#[tokio::test]
async fn z_leolo_wheel_run_much_output_the_close_and_the_end_on_four_conduits() {
    for conduit in [
        Conduit::Socketpair,
        Conduit::Inet,
        #[cfg(feature = "pty")]
        Conduit::Pty,
        #[cfg(feature = "pty")]
        Conduit::PtyPipe,
    ] {
        let line = "hello world".repeat(1024);
        let script = format!("echo hello; sleep 0.05; echo {line}; echo done");
        let builder = move || {
            let builder = Run::shell(script)
                .stdout(Line::new(), OUT)
                .conduit(conduit)
                .close(CLOSE)
                .exit(EXIT);
            match conduit {
                #[cfg(feature = "pty")]
                Conduit::Pty => builder,
                _ => builder.stderr(Line::new(), ERR),
            }
        };
        let told = play(talker(builder, until_over())).await;
        let lines: Vec<&str> = told.iter().filter_map(|what| what.strip_prefix("out ")).collect();
        assert!(lines == ["hello", &line, "done"], "{conduit:?}");
        assert_eq!(told.len(), 5);
    }
}

#[tokio::test]
async fn wheel_run_a_moved_wheel_tells_its_new_session() {
    let kernel = Kernel::new();
    let mover = Session::builder(None::<Run>)
        .on(START, |cx, ()| cx.alias_set("mover"))
        .on("take", |cx, run: Run| -> poe::HandlerResult {
            run.adopt(cx)?;
            run.put("hello")?;
            *cx.heap = Some(run);
            Ok(())
        })
        .on(OUT, |_, input| say(format!("moved: {}", input.record)))
        .on(EXIT, |cx, exited| {
            say(status(&exited));
            *cx.heap = None;
            cx.alias_remove("mover").unwrap();
        });
    mover.create(&kernel).unwrap();
    Session::builder(())
        .on(START, |cx, ()| -> poe::HandlerResult {
            let run = Run::shell("read line; echo $line")
                .stdout(Line::new(), OUT)
                .exit(EXIT)
                .start(cx)?;
            cx.post("mover", "take", run)?;
            Ok(())
        })
        .create(&kernel)
        .unwrap();
    let run = tokio::time::timeout(Duration::from_secs(60), kernel.run());
    run.await.expect("a sane end").unwrap();
    let mut told = said();
    told.sort();
    assert_eq!(told, ["exit 0", "moved: hello"]);
}

#[tokio::test]
async fn watermarks_of_standard_input_alternate() {
    const HIGH: Event<WheelId> = Event::new("high");
    const LOW: Event<WheelId> = Event::new("low");
    let session = talker(
        || {
            let builder = Run::shell("read line; cat > /dev/null")
                .exit(EXIT)
                .stdin_filter(Raw::new());
            builder.watermarks(100_000, 1000).high(HIGH).low(LOW)
        },
        |cx, what| {
            if what == "begun" {
                let block = bytes::Bytes::from(vec![b'x'; 99_999]);
                assert!(!wheel(cx).put(block.clone()).unwrap().is_high());
                assert!(wheel(cx).put(block.clone()).unwrap().is_high());
                assert_eq!((wheel(cx).buffered_bytes(), wheel(cx).out_messages()), (199_998, 2));
            }
        },
    );
    let session = session
        .on(HIGH, |cx, _| {
            say("high");
            wheel(cx).put("\n").unwrap();
        })
        .on(LOW, |cx, _| {
            say("low");
            wheel(cx).shutdown_stdin_after_flush();
        });
    assert_eq!(play(session).await, ["high", "low", "exit 0"]);
}

pub(crate) fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Children of this process, also those that were not reaped.
pub(crate) fn children() -> usize {
    let threads = std::fs::read_dir("/proc/self/task").unwrap();
    let lists = threads.filter_map(|thread| std::fs::read_to_string(thread.ok()?.path().join("children")).ok());
    lists.map(|list| list.split_ascii_whitespace().count()).sum()
}

#[test]
fn the_streams_have_poes_names() {
    let names = [StdStream::Stdin, StdStream::Stdout, StdStream::Stderr].map(|s| s.to_string());
    assert_eq!(names, ["STDIN", "STDOUT", "STDERR"]);
}
