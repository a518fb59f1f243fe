//! POE's wheel_run_size, and programs that want a terminal: a shell, `top`, a full-screen editor.

use crate::in_child::in_child;
use crate::laws_kit::{said, say};
use crate::wheel_run::{CLOSE, ERROR, EXIT, OUT, children, run, talker, wheel};
use bytes::Bytes;
use poe::event::START;
use poe::filter::{Line, Raw};
use poe::wheel::{Conduit, Exited, Input, Run, Winsize};
use poe::{Event, Kernel, Session};
use std::process::Command;
use std::time::Duration;

const RAW: Event<Input<Bytes>> = Event::new("raw");

#[tokio::test]
async fn wheel_run_size_the_program_sees_the_size_it_was_given() {
    let kernel = Kernel::new();
    talker(
        || {
            // 16-bit numbers, as the system call gives them.
            let ask = "import fcntl,termios,struct; print(*struct.unpack('4H', fcntl.ioctl(0, termios.TIOCGWINSZ, bytes(8))))";
            let mut python = Command::new("python3");
            python.args(["-c", ask]);
            let builder = if python_is_there() {
                Run::builder(python).winsize((85, 29, 100, 200))
            } else {
                Run::shell("stty size; sleep 0").winsize((85, 29))
            };
            builder.conduit(Conduit::Pty).stdout(Line::new(), OUT).close(CLOSE)
        },
        |cx, what| {
            if what == "close" {
                *cx.heap = None;
            }
        },
    )
    .create(&kernel)
    .unwrap();
    run(&kernel).await;
    let expected = if python_is_there() {
        "out 85 29 100 200"
    } else {
        "out 85 29"
    };
    assert_eq!(said(), [expected, "close"]);
}

fn python_is_there() -> bool {
    Command::new("python3").arg("--version").output().is_ok()
}

#[test]
fn a_size_of_rows_and_columns_guesses_the_pixels_as_poe_does() {
    let size = Winsize::from((25, 80));
    assert_eq!((size.xpixels, size.ypixels), (720, 400));
    assert_eq!(Winsize::from((u16::MAX, 1)).ypixels, u16::MAX);
}

#[tokio::test]
async fn q20_without_a_size_the_terminal_is_as_large_as_ours() {
    in_child!();
    // Nested: the outer program runs this on a terminal of 33 by 44, the inner one on a terminal of its own.
    let kernel = Kernel::new();
    if std::env::var_os("POE_TEST_INNER").is_some() {
        talker(
            || {
                Run::shell("stty size")
                    .conduit(Conduit::Pty)
                    .stdout(Line::new(), OUT)
                    .close(CLOSE)
            },
            |cx, what| match what {
                "close" => *cx.heap = None,
                size => println!("inner {size}"),
            },
        )
        .create(&kernel)
        .unwrap();
        run(&kernel).await;
        return;
    }
    talker(
        || {
            let mut again = Command::new(std::env::current_exe().unwrap());
            again.args(std::env::args().skip(1)).env("POE_TEST_INNER", "1");
            let builder = Run::builder(again).winsize((33, 44)).conduit(Conduit::Pty);
            builder.stdout(Line::new(), OUT).close(CLOSE)
        },
        |cx, what| {
            if what == "close" {
                *cx.heap = None;
            }
        },
    )
    .create(&kernel)
    .unwrap();
    run(&kernel).await;
    let told = said();
    assert!(told.iter().any(|what| what.contains("inner out 33 44")), "{told:?}");
}

#[tokio::test]
async fn ru6_the_end_of_a_terminal_is_eio() {
    let kernel = Kernel::new();
    talker(
        || {
            Run::shell("echo a")
                .conduit(Conduit::Pty)
                .stdout(Line::new(), OUT)
                .error(ERROR)
                .close(CLOSE)
                .exit(EXIT)
        },
        |cx, what| {
            if what == "close" {
                wheel(cx).shutdown_stdin();
            }
        },
    )
    .on(ERROR, |_, failed| {
        assert!(failed.is_eof());
        say(format!(
            "{} {:?}",
            failed.stream().unwrap(),
            failed.os_error().unwrap().raw_os_error()
        ));
    })
    .create(&kernel)
    .unwrap();
    run(&kernel).await;
    let told: Vec<String> = said().into_iter().filter(|what| what != "exit 0").collect();
    assert_eq!(told, ["out a", "STDOUT Some(5)", "close"]);
}

#[tokio::test]
async fn ru10_a_program_on_a_terminal_sees_no_end_of_its_input_and_ru17_a_hang_up_when_the_wheel_goes() {
    in_child!();
    let kernel = Kernel::new();
    const REAPED: Event<poe::unix::ProcessExit> = Event::new("reaped");
    talker(
        || {
            Run::shell("echo ready; read line; echo an end")
                .conduit(Conduit::Pty)
                .stdout(Line::new(), OUT)
                .close(CLOSE)
        },
        |cx, what| {
            if what == "out ready" {
                let pid = wheel(cx).pid().unwrap();
                cx.sig_child(pid, REAPED, ()).unwrap();
                wheel(cx).shutdown_stdin();
                assert!(wheel(cx).put("no").unwrap_err().is_closed());
                cx.delay("hang up", Duration::from_millis(50), ());
            }
        },
    )
    .on("hang up", |cx, ()| {
        say("hang up");
        *cx.heap = None;
    })
    .on(REAPED, |_, exit| {
        use std::os::unix::process::ExitStatusExt;
        say(format!("killed by {:?}", exit.status.unwrap().signal()));
    })
    .create(&kernel)
    .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["out ready", "hang up", "killed by Some(1)"]);
    assert_eq!(children(), 0);
}

/// A conversation with a program on a terminal: what it shows is looked at until each text has come, and then the next keys
/// are typed.
async fn converse(program: Command, raw: bool, steps: &'static [(&'static str, &'static str)]) -> String {
    struct Talk {
        run: Option<Run>,
        shown: String,
        /// What was looked at already.
        seen: usize,
        step: usize,
        exit: String,
    }
    let kernel = Kernel::new();
    let program = std::cell::Cell::new(Some(program));
    let result = std::rc::Rc::new(std::cell::RefCell::new(String::new()));
    let out = result.clone();
    let talk = Talk {
        run: None,
        shown: String::new(),
        seen: 0,
        step: 0,
        exit: String::new(),
    };
    Session::builder(talk)
        .on(START, move |cx, ()| -> poe::HandlerResult {
            let mut program = program.take().unwrap();
            program
                .env("TERM", "xterm")
                .env("LC_ALL", "C")
                .env("PS1", "$ ")
                .env_remove("ENV");
            let builder = Run::builder(program).conduit(Conduit::Pty).winsize((24, 80)).raw(raw);
            let builder = builder.stdin_filter(Raw::new()).stdout(Raw::new(), RAW).exit(EXIT);
            cx.heap.run = Some(builder.start(cx)?);
            cx.delay("late", Duration::from_secs(30), ());
            Ok(())
        })
        .on(RAW, move |cx, input| {
            let talk = &mut *cx.heap;
            talk.shown += &String::from_utf8_lossy(&input.record);
            while let Some((awaited, keys)) = steps.get(talk.step) {
                let Some(at) = talk.shown[talk.seen..].find(awaited) else {
                    return;
                };
                talk.seen += at + awaited.len();
                talk.step += 1;
                let run = talk.run.as_ref().unwrap();
                match keys.strip_prefix("resize ") {
                    Some(size) => {
                        let (rows, cols) = size.split_once(' ').unwrap();
                        assert!(run.resize((rows.parse().unwrap(), cols.parse().unwrap())).unwrap());
                    }
                    None if !keys.is_empty() => {
                        run.put(*keys).unwrap();
                    }
                    None => {}
                }
            }
        })
        .on(EXIT, move |cx, exited: Exited| {
            cx.heap.exit = exited.status.unwrap().to_string();
            cx.heap.run = None;
            assert_eq!(cx.heap.step, steps.len(), "{:?}", cx.heap.shown);
            cx.alarm_clear("late");
            out.replace(cx.heap.exit.clone());
        })
        .on("late", |cx, ()| panic!("step {} of {:?}", cx.heap.step, cx.heap.shown))
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    result.take()
}

#[tokio::test]
async fn a_shell_on_a_terminal_has_job_control_and_sees_new_sizes() {
    let mut bash = Command::new("bash");
    bash.args(["--norc", "--noprofile", "-i"]);
    // What is typed is shown as well, and so is written otherwise than what is awaited.
    let steps = &[
        ("$ ", "tty | cut -c1-5; stty size\n"),
        ("/dev/", ""),
        ("24 80", "trap 'echo resized to $(stty size)' WINCH; echo s''et\n"),
        ("set", "resize 50 132"),
        // At the latest now it looks at its signals.
        ("", "\n"),
        ("resized to 50 132", "sh -c 'echo run\"\"ning; exec sleep 1000'\n"),
        // The key C-c, which the terminal makes a signal of, for the job and not for the shell.
        ("running", "\x03"),
        ("^C", "echo status $?\n"),
        ("status 130", "exit 7\n"),
    ];
    assert_eq!(converse(bash, false, steps).await, "exit status: 7");
}

#[tokio::test]
async fn top_in_batch_mode_and_on_the_whole_screen() {
    let kernel = Kernel::new();
    talker(
        || {
            let mut top = Command::new("top");
            top.args(["-b", "-n", "1"]).env("TERM", "dumb");
            Run::builder(top)
                .conduit(Conduit::Pty)
                .winsize((24, 200))
                .stdout(Line::new(), OUT)
                .close(CLOSE)
                .exit(EXIT)
        },
        |cx, what| {
            if what.starts_with("exit") {
                wheel(cx).shutdown_stdin();
            }
        },
    )
    .create(&kernel)
    .unwrap();
    run(&kernel).await;
    let told = said();
    assert!(told[0].starts_with("out top - "), "{}", told[0]);
    assert!(told.contains(&"exit 0".to_owned()) && told.contains(&"close".to_owned()));

    let steps = &[("PID", "resize 40 100"), ("PID", "q")];
    assert_eq!(converse(Command::new("top"), true, steps).await, "exit status: 0");
}

#[tokio::test]
async fn an_editor_on_the_whole_screen() {
    let folder = crate::wheel_follow_tail::Folder::new();
    let path = folder.path("text");
    std::fs::write(&path, "first\nsecond\n").unwrap();
    let mut vi = Command::new("vi");
    vi.arg(&path);
    let steps = &[
        ("second", "resize 30 90"),
        ("second", "Gonew line\x1b"),
        ("new line", ":wq\r"),
    ];
    assert_eq!(converse(vi, true, steps).await, "exit status: 0");
    assert_eq!(std::fs::read_to_string(path).unwrap(), "first\nsecond\nnew line\n");
}
