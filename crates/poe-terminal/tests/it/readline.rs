//! POE::Wheel::ReadLine on a pseudo terminal: the facts of upstream's wheel_readline, and what the specification has beyond it.

use crate::terminal::on_terminal;
use poe::event::START;
use poe::wheel::IoError;
use poe::{Context, Event, Kernel, Session, SessionBuilder};
use poe_terminal::{KeyBinding, PutMode, ReadLine, ReadLineBuilder, ReadLineInput, ReadLineMode, Typed};
use std::time::Duration;

const LINE: Event<ReadLineInput> = Event::new("line");
const ERROR: Event<IoError> = Event::new("error");

pub(crate) type Heap = Option<ReadLine>;

pub(crate) fn say(what: impl std::fmt::Display) {
    // Standard error is the terminal; the test harness captures neither.
    eprint!("\r\n<{what}>\r\n");
}

fn wheel<'a>(cx: &'a Context<'_, Heap>) -> &'a ReadLine {
    cx.heap.as_ref().unwrap()
}

/// A session that shows what was typed and reads on, until C-d.
pub(crate) fn reader(build: impl Fn(ReadLineBuilder) -> ReadLineBuilder + 'static) -> SessionBuilder<Heap> {
    Session::builder(None::<ReadLine>)
        .on(START, move |cx, ()| -> poe::HandlerResult {
            let builder = build(ReadLine::builder().input(LINE).error(ERROR));
            *cx.heap = Some(builder.start(cx)?);
            wheel(cx).get("p> ");
            Ok(())
        })
        .on(ERROR, |cx, error| {
            say(error);
            *cx.heap = None;
        })
        .on(LINE, |cx, input| {
            assert_eq!(input.wheel, wheel(cx).id());
            say(format_args!("{:?}", input.typed));
            match input.typed {
                Typed::Eot => *cx.heap = None,
                // The line is edited on.
                Typed::Key { .. } => {}
                Typed::Line(line) => {
                    wheel(cx).add_history(&line);
                    wheel(cx).get("p> ");
                }
                _ => wheel(cx).get("p> "),
            }
        })
}

pub(crate) async fn run(session: SessionBuilder<Heap>) {
    let kernel = Kernel::new();
    session.create(&kernel).unwrap();
    tokio::time::timeout(Duration::from_secs(30), kernel.run())
        .await
        .unwrap()
        .unwrap();
    assert!(!crossterm::terminal::is_raw_mode_enabled().unwrap());
}

/// What is typed, one burst after another, and the line that comes of it.
const EDITS: &[(&str, &[&str], &str)] = &[
    ("plain typing", &["this is a test", "\n"], "this is a test"),
    ("return accepts too", &["x", "\r"], "x"),
    ("backspace", &["this is a test", "\x08\x08\x08\x08", "\n"], "this is a "),
    ("rubout", &["abc", "\x7f", "\x7f\x7f\x7f", "d\n"], "d"),
    (
        "motion",
        &[
            "one three",
            "\x01",
            "\x02",
            "\x1b[C\x1b[C\x1b[C two",
            "\x05\x05\x06",
            " four",
            "\x02\x02\x02\x02",
            "x",
            "\n",
        ],
        "one two three xfour",
    ),
    (
        "words",
        &["one three", "\x1bb", "two ", "\x1bf", "!", "\n"],
        "one two three!",
    ),
    ("delete a character", &["abc", "\x02\x02", "\x04", "\n"], "ac"),
    (
        "kill to the end and yank",
        &["abcdef", "\x02\x02\x02\x0b", "\x01\x19", "\n"],
        "defabc",
    ),
    ("kill to the start", &["abcdef", "\x02\x15", "\n"], "f"),
    ("kill a word before", &["one two", "\x17", "three", "\n"], "one three"),
    ("kill a word behind", &["one two", "\x01\x1bd", "\n"], " two"),
    ("case", &["LOWER upper", "\x01\x1bl", "\x1bu", "\n"], "lower UPPER"),
    ("transpose characters", &["one two 12", "\x14", "\n"], "one two 21"),
    ("transpose words", &["one two", "\x1bb\x1bb", "\x1bt", "\n"], "two one"),
    ("undo", &["abc", "\x17", "\x1f", "\n"], "abc"),
    (
        "kill, yank and yank-pop in one burst",
        &["one two\x17\x17<\x19\x1by>\n"],
        "<two>",
    ),
    (
        "kill a word before",
        &["one two three\x1b\x08|\x1b\x7f!", "\n"],
        "one two !",
    ),
    ("undo a yank", &["ab\x17x\x19\x1f\n"], "x"),
    (
        "the mark",
        &["one two three\x01\x1bf\x00\x1bf\x18\x18<\x05>\n"],
        "one< two three>",
    ),
    (
        "the mark by another key, with a count",
        &["abcdef\x1b3\x1b \x01\x18\x18|\n"],
        "abc|def",
    ),
    ("delete blanks", &["a   b\x02\x02\x1b\\\n"], "ab"),
    ("comment", &["rm x\x1b#"], "#rm x"),
    ("a comment that goes", &["#rm x\x1b1\x1b#"], "rm x"),
    ("literal insertion", &["a\x16\x01b\x16\tc\n"], "a\u{1}b\tc"),
    ("literal insertion of several", &["\x1b3\x16\x02\n"], "\u{2}\u{2}\u{2}"),
    ("character search", &["a.b.c\x01\x1d.<\x05\x1b\x1d.>\n"], "a<.b>.c"),
    ("character search with a count", &["a.b.c\x01\x1b2\x1d.<\n"], "a.b<.c"),
    (
        "digit arguments",
        &["\x1b1\x1b2x\x1b3\x02y\x1b-\x06z\n"],
        "xxxxxxxxxzyxxx",
    ),
    (
        "a negative argument turns",
        &["one two three\x1b-\x1b2\x1bd!\n"],
        "one !",
    ),
    ("a count too big", &["abc\x01\x1b9\x04d\n"], "d"),
    ("overwriting", &["abcd\x01\x1b[2~xy\x1b[2~z\n"], "xyzcd"),
    ("overwriting ends with the line", &["abcd\x01x\n"], "xabcd"),
    ("a tab", &["a\x1b\tb\n"], "a\tb"),
    ("revert", &["one two\x1bra\n"], "a"),
    ("an unknown second stroke", &["a\x18zb\n"], "ab"),
    ("kill by two strokes", &["ab\x18\x7fc\n"], "c"),
    ("text beyond ASCII", &["caf\u{e9} \u{263a}", "\n"], "caf\u{e9} \u{263a}"),
];

#[tokio::test]
async fn lines_are_edited() {
    on_terminal!(|terminal| {
        for (name, bursts, line) in EDITS {
            terminal.wait_for("p> ");
            for burst in *bursts {
                terminal.press(burst);
            }
            eprintln!("{name}");
            terminal.wait_for(&format!("<Line({line:?})>"));
        }
        terminal.wait_for("p> ");
        terminal.press("\x04");
        terminal.wait_for("<Eot>");
    });
    run(reader(|b| b)).await;
}

/// What is typed after the lines `cp one two` and `mv three four`, and what comes of it.
const HISTORY: &[(&str, &str, &str)] = &[
    ("the last argument", "cat \x1b.\n", "cat four"),
    ("the last argument by its other key", "cat \x1b_\n", "cat four"),
    ("the first argument", "cat \x1b\x19\n", "cat three"),
    ("the nth argument", "cat \x1b0\x1b\x19\n", "cat mv"),
    ("the nth argument from the end", "cat \x1b-\x1b2\x1b\x19\n", "cat three"),
    ("the argument of a line further back", "\x10\x1b.\n", "mv three fourtwo"),
    ("the first and the next line", "\x1b<\x0e!\n", "mv three four!"),
    ("the last line", "\x1b>!\n", "mv three four!"),
    ("the new line is kept", "new\x10\x10\x0e\x0e!\n", "new!"),
    ("up from what is typed", "cp\x1b[A\n", "mv three four"),
    ("prefix search", "cp\x1bp!\n", "cp! one two"),
    ("prefix search and back", "cp\x1bp\x1bn!\n", "cp!"),
    ("search", "\x12one\r", "cp one two"),
    ("search goes on", "\x12o\x12\r", "cp one two"),
    ("search turns", "\x12\x12o\x13\r", "mv three four"),
    (
        "a key ends a search and does what it does",
        "\x12one\x05!\n",
        "cp one two!",
    ),
    ("a terminator only ends a search", "\x12one\x0a\x05!\n", "cp one two!"),
    ("the term is corrected", "\x12onx\x7fe\r", "cp one two"),
    ("search forward", "\x1b<\x13four\r", "mv three four"),
];

#[tokio::test]
async fn the_history_is_searched_and_taken_from() {
    on_terminal!(|terminal| {
        for (name, keys, line) in HISTORY {
            terminal.wait_for("p> ");
            terminal.press(keys);
            eprintln!("{name}");
            terminal.wait_for(&format!("<Line({line:?})>"));
        }
        terminal.wait_for("p> ");
        terminal.press("\x12two");
        terminal.wait_for("(reverse-i-search)`two': ");
        terminal.wait_for("cp one two");
        terminal.press("\x13");
        terminal.wait_for("(forward-i-search)`two': ");
        terminal.press("\x07");
        terminal.wait_for("<Cancel>");
        terminal.wait_for("p> ");
        terminal.press("\x04");
        terminal.wait_for("<Eot>");
    });
    let session = reader(|b| b).on(LINE, |cx, input| {
        say(format_args!("{:?}", input.typed));
        match input.typed {
            Typed::Eot => *cx.heap = None,
            _ => wheel(cx).get("p> "),
        }
    });
    let session = session.on(START, |cx, ()| -> poe::HandlerResult {
        *cx.heap = Some(ReadLine::builder().input(LINE).start(cx)?);
        for line in ["cp one two", "mv three four"] {
            wheel(cx).add_history(line);
        }
        wheel(cx).get("p> ");
        Ok(())
    });
    run(session).await;
}

#[tokio::test]
async fn cancel_interrupt_and_the_end_are_told_and_history_goes_back() {
    on_terminal!(|terminal| {
        terminal.wait_for("p> ");
        terminal.press("half a li\x07");
        terminal.wait_for("<Cancel>");
        terminal.wait_for("p> ");
        terminal.press("another\x03");
        terminal.wait_for("<Interrupt>");
        terminal.wait_for("p> ");
        terminal.press("first\r");
        terminal.wait_for("<Line(\"first\")>");
        terminal.wait_for("p> ");
        terminal.press("\r");
        terminal.wait_for("<Line(\"\")>");
        terminal.wait_for("p> ");
        // Up.
        terminal.press("\x1b[A");
        terminal.wait_for("first");
        terminal.press(" again\r");
        terminal.wait_for("<Line(\"first again\")>");
        terminal.wait_for("p> ");
        terminal.press("\x04");
        terminal.wait_for("<Eot>");
    });
    run(reader(|b| b)).await;
}

#[tokio::test]
async fn rl4_what_is_typed_ahead_in_one_burst_waits_for_the_next_get() {
    on_terminal!(|terminal| {
        terminal.wait_for("p> ");
        terminal.press("one\rtwo\rthree\r\x04");
        terminal.wait_for("<Line(\"one\")>");
        terminal.wait_for("<Line(\"two\")>");
        terminal.wait_for("<Line(\"three\")>");
        terminal.wait_for("<Eot>");
    });
    run(reader(|b| b)).await;
}

#[tokio::test]
async fn rl5_what_is_put_is_shown_when_the_mode_says() {
    on_terminal!(|terminal| {
        // At once, while a line is edited.
        terminal.wait_for("p> ");
        terminal.press("abc");
        terminal.wait_for("put 1");
        terminal.press("\r");
        terminal.wait_for("<Line(\"abc\")>");
        // None is edited.
        terminal.wait_for("put 2");
    });
    const TICK: Event<()> = Event::new("tick");
    let session = Session::builder(None::<ReadLine>)
        .on(START, |cx, ()| -> poe::HandlerResult {
            *cx.heap = Some(ReadLine::builder().input(LINE).put_mode(PutMode::Immediate).start(cx)?);
            wheel(cx).get("p> ");
            // The terminal has seen the prompt by then.
            cx.delay(TICK, Duration::from_millis(1000), ());
            Ok(())
        })
        .on(TICK, |cx, ()| wheel(cx).put("put 1"))
        .on(LINE, |cx, input| {
            say(format_args!("{:?}", input.typed));
            wheel(cx).put("put 2");
            *cx.heap = None;
        });
    run(session).await;
}

#[tokio::test]
async fn rl5_idle_waits_for_a_pause_and_after_for_the_end_of_the_line() {
    on_terminal!(|terminal| {
        for mode in ["Idle", "After"] {
            terminal.wait_for(&format!("{mode}> "));
            terminal.press("ab");
            if mode == "Idle" {
                terminal.wait_for("put while editing");
                terminal.press("\r");
                terminal.wait_for("<Line(\"ab\")>");
            } else {
                terminal.press("\r");
                terminal.wait_for("put while editing");
                terminal.wait_for("<Line(\"ab\")>");
            }
        }
    });
    for mode in [PutMode::Idle, PutMode::After] {
        let session = Session::builder(None::<ReadLine>)
            .on(START, move |cx, ()| -> poe::HandlerResult {
                let builder = ReadLine::builder().input(LINE).put_mode(mode);
                *cx.heap = Some(builder.idle_time(Duration::from_millis(200)).start(cx)?);
                wheel(cx).get(&format!("{mode:?}> "));
                wheel(cx).put("put while editing");
                Ok(())
            })
            .on(LINE, |cx, input| {
                say(format_args!("{:?}", input.typed));
                *cx.heap = None;
            });
        run(session).await;
    }
}

#[tokio::test]
async fn rl3_get_during_a_read_changes_the_prompt_and_clear_keeps_the_line() {
    on_terminal!(|terminal| {
        terminal.wait_for("first> ");
        terminal.press("kept");
        terminal.wait_for("second> ");
        terminal.wait_for("kept");
        // The screen is cleared and the line drawn again.
        terminal.wait_for("\x1b[2J");
        terminal.wait_for("second> ");
        terminal.press("!\r");
        terminal.wait_for("<Line(\"kept!\")>");
    });
    let session = Session::builder(None::<ReadLine>)
        .on(START, |cx, ()| -> poe::HandlerResult {
            *cx.heap = Some(ReadLine::builder().input(LINE).start(cx)?);
            wheel(cx).get("first> ");
            assert_eq!(wheel(cx).terminal_size()?, (80, 24));
            // What the terminal waits for meanwhile takes no time, unless the machine is busy.
            cx.delay("prompt", Duration::from_millis(1000), ());
            cx.delay("clear", Duration::from_millis(2500), ());
            Ok(())
        })
        .on("prompt", |cx, ()| wheel(cx).get("\\[\\]second> "))
        .on("clear", |cx, ()| wheel(cx).clear())
        .on(LINE, |cx, input| {
            say(format_args!("{:?}", input.typed));
            *cx.heap = None;
        });
    run(session).await;
}

#[tokio::test]
async fn rl9_rl10_words_are_completed_and_keys_are_bound() {
    on_terminal!(|terminal| {
        terminal.wait_for("p> ");
        terminal.press("say he\t");
        terminal.wait_for("hello");
        terminal.press("\r");
        terminal.wait_for("<Line(\"say hello \")>");
        terminal.wait_for("p> ");
        // What the candidates have in common.
        terminal.press("wo\t");
        terminal.wait_for("wor");
        // The list comes down to one, which the tab key takes.
        terminal.wait_for(">WORLD");
        terminal.press("ld");
        terminal.wait_for(">WORLD");
        terminal.press("\t");
        terminal.wait_for("world ");
        terminal.press("\r");
        terminal.wait_for("<Line(\"world \")>");
        terminal.wait_for("p> ");
        terminal.press("ab\x18\x1bg");
        terminal.wait_for("git ");
        terminal.press("\x1bOP");
        terminal.wait_for("<Key { name: \"help\", line: \"git \" }>");
        terminal.press("x\r");
        terminal.wait_for("<Line(\"git x\")>");
        terminal.wait_for("p> ");
        terminal.press("\x04");
        terminal.wait_for("<Eot>");
    });
    run(reader(|builder| {
        builder
            .completer(|word, line, cursor| {
                assert!(line[..cursor].ends_with(word));
                let words = ["hello", "world", "worth"].into_iter();
                words.filter(|w| w.starts_with(word)).map(str::to_owned).collect()
            })
            .bind_key("C-x", KeyBinding::Function("kill-whole-line".to_owned()))
            .bind_key("M-g", KeyBinding::Text("git ".to_owned()))
            .bind_key("f1", KeyBinding::Event("help".to_owned()))
    }))
    .await;
}

#[tokio::test]
async fn all_completions_are_listed_and_inserted() {
    on_terminal!(|terminal| {
        terminal.wait_for("p> ");
        terminal.press("say wo\x1b?");
        terminal.wait_for("world worth");
        terminal.wait_for("p> ");
        terminal.press("\x1b*!\r");
        terminal.wait_for("<Line(\"say world worth!\")>");
        terminal.wait_for("p> ");
        // What is bound to the program's event does not lose what comes in the same burst.
        terminal.press("ab\x1bOPcd\x1b?x\r");
        terminal.wait_for("<Key { name: \"help\", line: \"ab\" }>");
        terminal.wait_for("<Line(\"abcdx\")>");
        terminal.wait_for("p> ");
        terminal.press("\x04");
        terminal.wait_for("<Eot>");
    });
    run(reader(|builder| {
        builder
            .completer(|word, _, _| {
                let words = ["hello", "world", "worth"].into_iter();
                words.filter(|w| w.starts_with(word)).map(str::to_owned).collect()
            })
            .attrib("print-completions-horizontally", "on")
            .bind_key("f1", KeyBinding::Event("help".to_owned()))
    }))
    .await;
}

/// RL10, RL11: bindings of two strokes, dumps, and an init file that is read again.
#[tokio::test]
async fn rl11_two_strokes_and_an_init_file_that_changes() {
    const FILE: &str = "poe-readline-reload-inputrc";
    on_terminal!(|terminal| {
        terminal.wait_for("p> ");
        terminal.press("a\x18\x14b\x18cd\r");
        terminal.wait_for("<Key { name: \"two\", line: \"a\" }>");
        terminal.wait_for("<Line(\"abfirstd\")>");
        terminal.wait_for("p> ");
        terminal.press("\x18v");
        terminal.wait_for("set comment-begin //");
        terminal.press("\x18m");
        terminal.wait_for("C-x c: \"first\"");
        terminal.press("\x18k\x18c");
        terminal.wait_for("C-x c: \"first\"");
        terminal.press("\x18k\x0b");
        terminal.wait_for("C-k: kill-line");
        terminal.press("\x18kx");
        terminal.wait_for("x: self-insert");
        terminal.press("\x11");
        terminal.wait_for("cursor_input(0) cursor_display(0) term_columns(80)");
        terminal.press("rm\x1b#");
        terminal.wait_for("<Line(\"//rm\")>");
        // The session has changed the file meanwhile.
        terminal.wait_for("p> ");
        terminal.press("\x18\x12a\x18cb\x18\x14\r");
        terminal.wait_for("<Key { name: \"two\", line: \"asecondb\" }>");
        terminal.wait_for("<Line(\"asecondb\")>");
        terminal.wait_for("<None>");
        terminal.wait_for("p> ");
        terminal.press("\x04");
        terminal.wait_for("<Eot>");
    });
    let file = std::env::temp_dir().join(format!("{FILE}-{}", std::process::id()));
    std::fs::write(
        &file,
        "set comment-begin //\nC-xc: \"first\"\nset keymap vi-insert\nC-a: undo\n",
    )
    .unwrap();
    let (path, changed) = (file.clone(), file.clone());
    let session = reader(move |builder| {
        let two = KeyBinding::Event("two".to_owned());
        builder.inputrc(Some(path.clone())).bind_key("C-xC-t", two)
    })
    .on(LINE, move |cx, input| {
        say(format_args!("{:?}", input.typed));
        match input.typed {
            Typed::Eot => *cx.heap = None,
            Typed::Key { .. } => {}
            Typed::Line(line) => {
                if line == "//rm" {
                    std::fs::write(&changed, "\"\\C-xc\": \"second\"\n").unwrap();
                }
                if line == "asecondb" {
                    say(format_args!("{:?}", wheel(cx).option("comment-begin")));
                }
                wheel(cx).get("p> ");
            }
            _ => wheel(cx).get("p> "),
        }
    });
    run(session).await;
    std::fs::remove_file(file).unwrap();
}

/// RL6: lines of the history go to a file and come back; nothing is added by itself.
#[tokio::test]
async fn rl6_the_history_is_the_programs() {
    on_terminal!(|_| {});
    let file = std::env::temp_dir().join(format!("poe-readline-history-{}", std::process::id()));
    let path = file.clone();
    let session = Session::builder(None::<ReadLine>)
        .on(START, move |cx, ()| -> poe::HandlerResult {
            let history = ReadLine::builder().input(LINE).start(cx)?;
            history.add_history("one");
            history.add_history("two");
            history.write_history(Some(&path))?;
            history.clear_history();
            assert!(history.get_history().is_empty());
            assert_eq!(history.read_history(Some(&path), 1..usize::MAX)?, 1);
            assert_eq!(history.get_history(), ["two"]);
            history.history_truncate_file(Some(&path), 1)?;
            assert_eq!(std::fs::read_to_string(&path)?, "two\n");
            Ok(())
        })
        .on(LINE, |_, _| {});
    run(session).await;
    std::fs::remove_file(file).unwrap();
}

/// RL11, RL.p3: the init file sets, binds, and asks for the program's name.
#[tokio::test]
async fn rl11_the_init_file_sets_and_binds() {
    on_terminal!(|terminal| {
        terminal.wait_for("p> ");
        terminal.press("\x0f\r");
        terminal.wait_for("<Line(\"typed by the file\")>");
        terminal.wait_for("p> ");
        terminal.press("\x04");
        terminal.wait_for("<Eot>");
    });
    let file = std::env::temp_dir().join(format!("poe-readline-inputrc-{}", std::process::id()));
    std::fs::write(
        &file,
        "set bell-style none\n$if my-app\n\"\\C-o\": \"typed by the file\"\n$else\n\"\\C-o\": \"no\"\n$endif\n",
    )
    .unwrap();
    let path = file.clone();
    let session = reader(move |builder| builder.app_name("my-app").inputrc(Some(path.clone()))).on("ask", |cx, ()| {
        assert_eq!(wheel(cx).option("bell-style").as_deref(), Some("none"));
        assert_eq!(wheel(cx).attribs().len(), 1);
    });
    let kernel = Kernel::new();
    let id = session.create(&kernel).unwrap();
    kernel.post(id, "ask", ()).unwrap();
    tokio::time::timeout(Duration::from_secs(30), kernel.run())
        .await
        .unwrap()
        .unwrap();
    std::fs::remove_file(file).unwrap();
}

#[tokio::test]
async fn vi_has_its_own_keys() {
    on_terminal!(|terminal| {
        terminal.wait_for("p> ");
        terminal.press("abc");
        terminal.wait_for("abc");
        // Escape is a key of its own only if nothing follows at once.
        terminal.press("\x1b");
        terminal.wait_for("<escaped>");
        terminal.press("0xA!\r");
        terminal.wait_for("<Line(\"bc!\")>");
        terminal.wait_for("p> ");
        terminal.press("\x04");
        terminal.wait_for("<Eot>");
    });
    let session = reader(|builder| builder.mode(ReadLineMode::Vi)).on("escaped", |_, ()| say("escaped"));
    let kernel = Kernel::new();
    let id = session.create(&kernel).unwrap();
    let handle = kernel.handle();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(700)).await;
        let _ = handle.post(id, "escaped", ());
    });
    kernel.run().await.unwrap();
}

/// From emacs' keys to vi's and back; vi's insert mode is where its next line begins.
#[tokio::test]
async fn the_mode_changes_by_keys() {
    on_terminal!(|terminal| {
        // F2 is bound to what escape does, which must not run into the next key.
        for (keys, line) in [
            ("one two\x1b\x0a0dwA three\x17\x19\x19\r", "two threethree"),
            // What vi's keys kill is yanked too.
            ("one two\x1bOQ0dwA\x19!\r", "twoone !"),
            ("x\x1bOQ#", "#x"),
            ("insert\x1bOQ0RIN\x1bOQ\x05\x05!\r", "INsert!"),
            ("back in emacs\x01\x1bd!\r", "! in emacs"),
        ] {
            terminal.wait_for("p> ");
            terminal.press(keys);
            terminal.wait_for(&format!("<Line({line:?})>"));
        }
        terminal.wait_for("p> ");
        terminal.press("\x04");
        terminal.wait_for("<Eot>");
    });
    run(reader(|builder| {
        builder.bind_key("f2", KeyBinding::Function("vi-movement-mode".to_owned()))
    }))
    .await;
}

#[tokio::test]
async fn rl12_one_wheel_at_a_time_and_a_failing_handler_leaves_the_terminal_as_it_was() {
    on_terminal!(|terminal| {
        terminal.wait_for("p> ");
        terminal.press("x");
        terminal.wait_for("<restored>");
    });
    let session = Session::builder(None::<ReadLine>)
        .on(START, |cx, ()| -> poe::HandlerResult {
            *cx.heap = Some(ReadLine::builder().input(LINE).start(cx)?);
            let second = ReadLine::builder().input(LINE).start(cx).unwrap_err();
            assert!(
                second.to_string().contains("another wheel uses the terminal"),
                "{second}"
            );
            wheel(cx).get("p> ");
            cx.delay("fail", Duration::from_millis(200), ());
            Ok(())
        })
        .on("fail", |_, ()| panic!("while a line is edited"))
        .on(LINE, |_, _| {});
    let kernel = Kernel::new();
    session.create(&kernel).unwrap();
    assert!(kernel.run().await.is_err());
    assert!(!crossterm::terminal::is_raw_mode_enabled().unwrap());
    say("restored");
}

#[tokio::test]
async fn settings_that_cannot_be_are_refused() {
    on_terminal!(|_| {});
    let session = Session::builder(None::<ReadLine>)
        .on(START, |cx, ()| {
            let no_input = ReadLine::builder().start(cx).unwrap_err();
            assert!(no_input.to_string().contains(".input(EVENT)"));
            let key = ReadLine::builder()
                .input(LINE)
                .bind_key("C-", KeyBinding::Text("x".into()));
            assert!(key.start(cx).unwrap_err().to_string().contains("`C-` is not a key"));
            let function = KeyBinding::Function("make-coffee".into());
            let function = ReadLine::builder().input(LINE).bind_key("C-t", function);
            assert!(function.start(cx).unwrap_err().to_string().contains("make-coffee"));
            // Nothing of that has kept the terminal, nor does a wheel that has gone.
            drop(ReadLine::builder().input(LINE).start(cx).unwrap());
            *cx.heap = Some(
                ReadLine::builder()
                    .input(LINE)
                    .app_name("x")
                    .attrib("Bell-Style", "none")
                    .start(cx)
                    .unwrap(),
            );
            assert_eq!(wheel(cx).option("bell-STYLE").as_deref(), Some("none"));
        })
        .on(LINE, |_, _| {});
    run(session).await;
}

#[tokio::test]
async fn without_a_terminal_a_wheel_is_refused() {
    crate::in_child::in_child!();
    // The test's own process has no terminal as its input: in_child gives it none.
    let session = Session::builder(None::<ReadLine>).on(START, |cx, ()| {
        let refused = ReadLine::builder().input(LINE).start(cx).unwrap_err();
        assert!(refused.to_string().contains("not a terminal"), "{refused}");
    });
    run(session).await;
}
