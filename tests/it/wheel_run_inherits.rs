//! What a program inherits from us, and what we have inherited ourselves: neither changes what a program does, nor what its wheel tells.

use crate::laws_kit::{said, say};
use crate::started_so::{started_by, started_with_ignored};
use crate::wheel_follow_tail::Folder;
use crate::wheel_run::{CLOSE, ERR, EXIT, OUT, children, run, talker, wheel};
use poe::event::START;
use poe::filter::Line;
use poe::wheel::{Conduit, Exited, Run};
use poe::{Event, Kernel, Session, unix::ProcessExit};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const ENDED: Event<Exited> = Event::new("ended");

const CONDUITS: &[Conduit] = &[
    Conduit::Pipe,
    Conduit::Socketpair,
    Conduit::Inet,
    #[cfg(feature = "pty")]
    Conduit::Pty,
    #[cfg(feature = "pty")]
    Conduit::PtyPipe,
];

/// What a program writes, and how it has ended.
async fn output_of(program: Command, conduit: Conduit) -> (Vec<String>, Exited) {
    let kernel = Kernel::new();
    let ended = std::rc::Rc::new(std::cell::Cell::new(None));
    let told = ended.clone();
    let build = move || {
        Run::builder(program)
            .conduit(conduit)
            .stdout(Line::new(), OUT)
            .ended(ENDED)
    };
    talker(build, |_, _| ())
        .on(ENDED, move |cx, exited| {
            told.set(Some(exited));
            *cx.heap = None;
        })
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    let lines = said()
        .into_iter()
        .filter_map(|what| Some(what.strip_prefix("out ")?.trim_end().to_owned()));
    (lines.collect(), ended.get().expect("its end was reported"))
}

/// The signals that a program of ours has blocked and ignored, on each conduit.
#[cfg(target_os = "linux")]
async fn expect_default_signals() {
    for conduit in CONDUITS {
        let mut grep = Command::new("grep");
        grep.args(["-E", "^Sig(Blk|Ign)", "/proc/self/status"]);
        let (lines, _) = output_of(grep, *conduit).await;
        let none = "0".repeat(16);
        assert_eq!(
            lines,
            [format!("SigBlk:\t{none}"), format!("SigIgn:\t{none}")],
            "{conduit:?}"
        );
    }
}

#[cfg(target_os = "linux")]
fn own_signals() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let lines = status
        .lines()
        .filter(|line| line.starts_with("SigBlk:") || line.starts_with("SigIgn:"));
    lines.collect::<Vec<_>>().join(" ")
}

/// RU18: every signal has its default action in a program, on every conduit, and none is blocked. A broken pipe is not ignored, as it is
/// in a program of Rust's.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn ru18_a_program_has_the_systems_signal_handlers() {
    expect_default_signals().await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn ru18_signals_that_we_were_started_to_ignore_are_not_ignored_by_our_programs() {
    started_with_ignored!("HUP INT QUIT ALRM TERM USR1 USR2 CHLD TSTP TTIN TTOU XCPU XFSZ VTALRM PROF WINCH 35 64");
    let ignored = own_signals()
        .rsplit('\t')
        .next()
        .map(|set| u64::from_str_radix(set, 16).unwrap());
    assert!(
        ignored.is_some_and(|set| set & 0b111 == 0b111 && set >> 63 == 1),
        "{}",
        own_signals()
    );
    expect_default_signals().await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn ru18_signals_that_we_were_started_to_block_are_not_blocked_for_our_programs() {
    let block = "--block-signal=HUP,INT,QUIT,TERM,USR1,CHLD";
    if !Command::new("env")
        .args([block, "true"])
        .status()
        .is_ok_and(|status| status.success())
    {
        return;
    }
    started_by!("env", "--block-signal=HUP,INT,QUIT,TERM,USR1,CHLD");
    assert!(
        !own_signals().starts_with("SigBlk:\t0000000000000000"),
        "{}",
        own_signals()
    );
    expect_default_signals().await;
    // Our own SIGCHLD does not arrive, and the end is reported all the same.
    let mut exit = Command::new("sh");
    exit.args(["-c", "exit 3"]);
    let (_, exited) = output_of(exit, Conduit::Pipe).await;
    assert_eq!(exited.status.and_then(|status| status.code()), Some(3));
}

/// A script's `&` has its program ignore INT and QUIT.
#[tokio::test]
async fn programs_of_a_program_in_the_background_hear_int_and_quit() {
    started_with_ignored!("INT QUIT");
    for (signal, number) in [("INT", 2), ("SIGQUIT", 3)] {
        for conduit in CONDUITS {
            let kernel = Kernel::new();
            let build = move || {
                let program = Run::shell("echo ready; exec sleep 600").conduit(*conduit);
                program.stdout(Line::new(), OUT).exit(EXIT)
            };
            talker(build, move |cx, what| match what {
                "out ready" => assert!(wheel(cx).kill(signal).unwrap()),
                what if what.starts_with("killed") => *cx.heap = None,
                _ => {}
            })
            .create(&kernel)
            .unwrap();
            run(&kernel).await;
            assert!(said().contains(&format!("killed by {number}")), "{signal} {conduit:?}");
        }
    }
}

/// A process that ignores SIGCHLD would not be told how its children end.
#[tokio::test]
async fn the_status_of_a_program_is_known_though_we_were_started_to_ignore_chld() {
    started_with_ignored!("CHLD HUP INT QUIT");
    for conduit in CONDUITS {
        let mut exit = Command::new("sh");
        exit.args(["-c", "exit 3"]);
        let (_, exited) = output_of(exit, *conduit).await;
        assert_eq!(exited.status.and_then(|status| status.code()), Some(3), "{conduit:?}");
    }
    let kernel = Kernel::new();
    Session::builder(())
        .on(START, |cx, ()| {
            // A program that cannot be run has no end to report.
            let error = Run::builder(Command::new("/made/up")).start(cx).unwrap_err();
            assert_eq!(error.io().unwrap().kind(), std::io::ErrorKind::NotFound);
        })
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(children(), 0);
}

/// The same of a child that the program has started itself.
#[tokio::test]
async fn the_status_of_a_child_is_known_though_we_were_started_to_ignore_chld() {
    started_with_ignored!("CHLD");
    const REAPED: Event<ProcessExit> = Event::new("reaped");
    let kernel = Kernel::new();
    Session::builder(())
        .on(START, |cx, ()| -> poe::HandlerResult {
            // It ends when its input does, which is not before it is awaited.
            let mut child = Command::new("sh")
                .args(["-c", "cat; exit 5"])
                .stdin(std::process::Stdio::piped())
                .spawn()?;
            let input = child.stdin.take();
            cx.sig_child(child, REAPED, ())?;
            drop(input);
            Ok(())
        })
        .on(REAPED, |_, exit| {
            say(format!("{:?}", exit.status.and_then(|status| status.code())))
        })
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["Some(5)"]);
}

/// A file that may be executed. It is written by another process: a program that another test starts meanwhile would have the file open
/// for writing for a moment, and then it could not be run.
fn script(path: &Path, text: &str) {
    let mut write = Command::new("sh");
    write
        .args(["-c", "printf %s \"$1\" >\"$0\" && chmod 755 \"$0\""])
        .arg(path)
        .arg(text);
    assert!(write.status().unwrap().success());
}

/// POE runs programs by `execvp`, which has a shell run what does not say what runs it.
#[cfg(not(target_env = "musl"))]
#[tokio::test]
async fn the_shell_runs_a_script_without_an_interpreter_on_every_conduit() {
    let folder = Folder::new();
    let path = folder.path("no_shebang");
    script(&path, "echo \"a script with $1 $2\"; exit 4");
    for conduit in CONDUITS {
        let mut program = Command::new(&path);
        program.args(["two", "arguments"]);
        let (lines, exited) = output_of(program, *conduit).await;
        assert_eq!(lines, ["a script with two arguments"], "{conduit:?}");
        assert_eq!(exited.status.and_then(|status| status.code()), Some(4), "{conduit:?}");
    }
}

/// A name without a slash is looked for in the PATH that the program is given, on every conduit.
#[tokio::test]
async fn a_program_is_looked_for_in_its_own_path_on_every_conduit() {
    let folder = Folder::new();
    script(&folder.path("only_there"), "#!/bin/sh\necho found");
    for conduit in CONDUITS {
        let mut program = Command::new("only_there");
        program.env("PATH", folder.path(""));
        let (lines, _) = output_of(program, *conduit).await;
        assert_eq!(lines, ["found"], "{conduit:?}");
    }
}

/// What the command says of a stream holds where the wheel does not want it, on a terminal, too.
#[cfg(feature = "pty")]
#[tokio::test]
async fn what_the_command_says_of_its_streams_holds_on_a_terminal() {
    let folder = Folder::new();
    let path = folder.path("complaints");
    let kernel = Kernel::new();
    let file = std::fs::File::create(&path).unwrap();
    let mut program = Command::new("sh");
    program
        .args(["-c", "tty >/dev/null && echo a terminal; echo oh no >&2"])
        .stderr(file);
    talker(
        move || {
            Run::builder(program)
                .conduit(Conduit::PtyPipe)
                .stdout(Line::new(), OUT)
                .ended(ENDED)
        },
        |_, _| (),
    )
    .on(ENDED, |cx, _| *cx.heap = None)
    .create(&kernel)
    .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["out a terminal"]);
    assert_eq!(std::fs::read_to_string(path).unwrap(), "oh no\n");
}

/// The text of an error names the program, the file, the process.
#[tokio::test]
async fn errors_say_what_they_are_about() {
    let kernel = Kernel::new();
    Session::builder(())
        .on(START, |cx, ()| {
            let text = |builder: poe::wheel::RunBuilder| builder.start(cx).unwrap_err().to_string();
            let begins = |builder, with: &str| {
                let text = text(builder);
                assert!(text.starts_with(with), "{text}");
                text
            };
            for conduit in CONDUITS {
                let made_up = || Run::builder(Command::new("no-such-program")).conduit(*conduit);
                let said = begins(made_up(), "cannot run `no-such-program`: ");
                assert!(said.ends_with("; no folder of PATH has it"), "{said}");
            }
            let made_up = begins(
                Run::builder(Command::new("/no/such/program")),
                "cannot run `/no/such/program`: ",
            );
            assert!(made_up.ends_with("is not there"), "{made_up}");
            let no_program = begins(Run::builder(Command::new("/etc/passwd")), "cannot run `/etc/passwd`: ");
            assert!(
                no_program.ends_with("; check that it is an executable file"),
                "{no_program}"
            );
            let mut elsewhere = Command::new("true");
            elsewhere.current_dir("/no/such/folder");
            begins(
                Run::builder(elsewhere),
                "cannot run `true` in the folder /no/such/folder: ",
            );
            let cat = || Run::builder(Command::new("cat"));
            begins(
                cat().redirect_stdin("/no/input"),
                "cannot open /no/input as STDIN of `cat`: ",
            );
            begins(
                cat().redirect_stdout("/no/log"),
                "cannot open /no/log as STDOUT of `cat`: ",
            );
            begins(
                Run::shell("echo hi").redirect_stderr("/no/log"),
                "cannot open /no/log as STDERR of `echo hi`: ",
            );
            let long = format!("echo {}", "x".repeat(1000));
            begins(
                Run::shell(long).redirect_stdin("/no"),
                &format!("cannot open /no as STDIN of `echo {} …`: ", "x".repeat(55)),
            );
            let error = cx
                .sig_child(std::process::id(), "ended", ())
                .map_err(|error| error.to_string());
            assert_eq!(error, Ok(()), "it is a process that can be awaited");
            assert!(cx.sig_child_clear(std::process::id()));
        })
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    // What is told later, too.
    let kernel = Kernel::new();
    let build = || {
        let program = Run::builder(Command::new("cat")).stdout(Line::new().max_length(3), OUT);
        program
            .stderr(Line::new(), ERR)
            .error(crate::wheel_run::ERROR)
            .close(CLOSE)
    };
    talker(build, |cx, what| match what {
        "begun" => {
            wheel(cx).put("too long").unwrap();
            wheel(cx).shutdown_stdin_after_flush();
        }
        "close" => *cx.heap = None,
        _ => {}
    })
    .on(crate::wheel_run::ERROR, |_, failed| say(failed))
    .create(&kernel)
    .unwrap();
    run(&kernel).await;
    let told = said();
    assert!(
        told.iter().any(|what| what == "STDERR of `cat`: read: end of input"),
        "{told:?}"
    );
    assert!(
        told[0].starts_with("STDOUT of `cat`: read: ") && !told[0].contains("end of input"),
        "{told:?}"
    );
}

/// A file name of a redirect may be that of a fifo, whose other side nobody has open.
#[tokio::test]
async fn a_redirect_to_a_fifo_does_not_wait_for_its_other_side() {
    let folder = Folder::new();
    let fifo = folder.path("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let path = fifo.clone();
    let kernel = Kernel::new();
    Session::builder(())
        .on(START, move |cx, ()| {
            let error = Run::shell("echo")
                .redirect_stdout(fifo.as_path())
                .start(cx)
                .unwrap_err();
            assert!(
                error
                    .to_string()
                    .starts_with(&format!("cannot open {} as STDOUT", fifo.display())),
                "{error}"
            );
        })
        .create(&kernel)
        .unwrap();
    let program = Command::new("cat");
    talker(
        move || {
            Run::builder(program)
                .redirect_stdin(path)
                .stdout(Line::new(), OUT)
                .ended(ENDED)
        },
        |_, _| (),
    )
    .on(ENDED, |cx, exited| {
        say(exited.status.unwrap());
        *cx.heap = None;
    })
    .create(&kernel)
    .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["exit status: 0"]);
}

/// Signals end what they should, whatever the test itself was started with.
#[tokio::test]
async fn statuses_tell_the_signal() {
    started_with_ignored!("HUP INT QUIT TERM");
    for (signal, number) in [("HUP", 1), ("INT", 2), ("QUIT", 3), ("TERM", 15), ("KILL", 9)] {
        let kernel = Kernel::new();
        Session::builder(None::<Run>)
            .on(START, move |cx, ()| -> poe::HandlerResult {
                let mut sleep = Command::new("sleep");
                sleep.arg("600");
                let run = Run::builder(sleep).no_stdin().exit(EXIT).start(cx)?;
                assert!(run.kill(signal)?);
                *cx.heap = Some(run);
                cx.delay("too late", Duration::from_secs(100), ());
                Ok(())
            })
            .on("too late", |cx, ()| {
                cx.heap.take().map_or((), |run| run.stop(Duration::ZERO))
            })
            .on(EXIT, move |cx, exited| {
                say(exited.status.and_then(|status| status.signal()).unwrap_or(0));
                *cx.heap = None;
                cx.alarm_clear("too late");
            })
            .create(&kernel)
            .unwrap();
        run(&kernel).await;
        assert_eq!(said(), [number.to_string()], "{signal}");
    }
}
