//! POE's wheel_tail, bingos-, pipe- and whjackson-followtail, z_rt54319_bazerka_followtail, and the rows FT of the
//! specification: the events of a FollowTail for files that grow, shrink, go and come.

use crate::laws_kit::{ms, said, say};
use bytes::Bytes;
use poe::event::START;
use poe::filter::Line;
use poe::testing::assert_no_leaks;
use poe::wheel::{FollowTail, FollowTailBuilder, Input, IoError};
use poe::{Context, Event, Kernel, Session, SessionBuilder, WheelId};
use std::cell::RefCell;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

const LINE: Event<Input<String>> = Event::new("line");
const ERROR: Event<IoError> = Event::new("error");
const RESET: Event<WheelId> = Event::new("reset");
const IDLE: Event<WheelId> = Event::new("idle");

type Cx<'k> = Context<'k, Option<FollowTail>>;

/// A separate folder, which is removed with the test.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("poe-test-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn append(path: impl AsRef<Path>, text: &str) {
    let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

/// A session that logs the events of its wheel. Further actions are in `then`, by the logged text; at the very
/// beginning, when the wheel has been started, by "begun".
fn follower(
    build: impl FnOnce() -> FollowTailBuilder + 'static,
    then: impl Fn(&mut Cx<'_>, &str) + 'static,
) -> SessionBuilder<Option<FollowTail>> {
    let build = std::cell::Cell::new(Some(build));
    let then = Rc::new(move |cx: &mut Cx<'_>, what: String| {
        if what != "begun" {
            say(&what);
        }
        then(cx, &what);
    });
    let on_start = then.clone();
    let (on_line, on_reset, on_idle, on_error) = (then.clone(), then.clone(), then.clone(), then);
    Session::builder(None)
        .on(START, move |cx, ()| -> poe::HandlerResult {
            let builder = build.take().expect("a session starts once")();
            *cx.heap = Some(builder.error(ERROR).reset(RESET).idle(IDLE).start(cx)?);
            on_start(cx, "begun".to_owned());
            Ok(())
        })
        .on(LINE, move |cx, input| on_line(cx, input.record))
        .on(RESET, move |cx, _| on_reset(cx, "reset".to_owned()))
        .on(IDLE, move |cx, _| on_idle(cx, "idle".to_owned()))
        .on(ERROR, move |cx, error| {
            let what = if error.is_eof() { "end" } else { error.operation() };
            on_error(cx, what.to_owned());
        })
}

fn lines(path: &Path) -> FollowTailBuilder {
    FollowTail::builder(path).input(Line::new(), LINE)
}

/// A session that drops its wheel at that text.
fn until(
    sign: &'static str,
    build: impl FnOnce() -> FollowTailBuilder + 'static,
) -> SessionBuilder<Option<FollowTail>> {
    follower(build, move |cx, what| {
        if what == sign {
            *cx.heap = None;
        }
    })
}

async fn run(kernel: &Kernel) {
    let run = tokio::time::timeout(Duration::from_secs(3600), kernel.run());
    run.await.expect("a sane end").unwrap();
    assert_no_leaks(kernel);
}

async fn play(session: SessionBuilder<Option<FollowTail>>) -> Vec<String> {
    let kernel = crate::laws_kit::kernel();
    session.create(&kernel).unwrap();
    run(&kernel).await;
    said()
}

#[tokio::test(start_paused = true)]
async fn bingos_followtail_what_is_there_is_skipped() {
    let folder = Folder::new();
    let path = folder.path("log");
    append(&path, "moocow - this line should be skipped!");
    let log = path.clone();
    let session = follower(
        move || FollowTail::builder(&path).input(Line::new().literal("!"), LINE),
        move |cx, what| match what {
            "begun" => append(&log, "Cows go moo, yes they do!"),
            "idle" => *cx.heap = None,
            _ => {}
        },
    );
    assert_eq!(play(session).await, ["Cows go moo, yes they do", "idle"]);
}

#[tokio::test(start_paused = true)]
async fn whjackson_followtail_a_roll_between_two_looks_loses_nothing() {
    let folder = Folder::new();
    let (log, old) = (folder.path("log"), folder.path("log.1"));
    let path = log.clone();
    let looks = std::cell::Cell::new(0);
    let session = follower(
        move || lines(&path),
        move |cx, what| match what {
            "idle" => {
                looks.set(looks.get() + 1);
                match looks.get() {
                    1 => append(&log, "a\n"),
                    2 => {
                        append(&log, "b\n");
                        std::fs::rename(&log, &old).unwrap();
                        append(&log, "c\n");
                    }
                    _ => panic!("an idle look too many"),
                }
            }
            "c" => append(&log, "d\n"),
            "d" => *cx.heap = None,
            _ => {}
        },
    );
    assert_eq!(
        play(session).await,
        ["idle", "reset", "a", "idle", "b", "reset", "c", "d"]
    );
}

#[tokio::test(start_paused = true)]
async fn wheel_tail_a_file_comes_and_goes() {
    let folder = Folder::new();
    let log = folder.path("log");
    let path = log.clone();
    let seen = std::cell::Cell::new(0);
    let session = follower(
        move || lines(&path).poll_interval(ms(500)),
        move |cx, what| match what {
            "idle" => {
                append(&log, "moo\n");
                cx.heap.as_ref().unwrap().set_idle_event(None::<Event<WheelId>>);
            }
            "moo" => {
                std::fs::remove_file(&log).unwrap();
                seen.set(seen.get() + 1);
                match seen.get() {
                    1 => cx.heap.as_ref().unwrap().set_idle_event(Some(IDLE)),
                    _ => *cx.heap = None,
                }
            }
            _ => {}
        },
    );
    assert_eq!(play(session).await, ["idle", "reset", "moo", "idle", "reset", "moo"]);
}

#[tokio::test(start_paused = true)]
async fn z_rt54319_bazerka_followtail_no_line_waits_longer_than_a_look_and_a_half() {
    const WRITES: u32 = 6;
    let folder = Folder::new();
    let path = folder.path("log");
    append(&path, "");
    let kernel = crate::laws_kit::kernel();
    let log = path.clone();
    Session::builder(0_u32)
        .on(START, |cx, ()| cx.yield_to("tick", ()))
        .on("tick", move |cx, ()| {
            *cx.heap += 1;
            append(&log, &format!("{}\n", *cx.heap));
            if *cx.heap < WRITES {
                cx.delay("tick", ms(500), ());
            }
        })
        .create(&kernel)
        .unwrap();
    let begin = tokio::time::Instant::now();
    let session = follower(
        move || lines(&path),
        move |cx, what| {
            if let Ok(number) = what.parse::<u32>() {
                let waited = begin.elapsed() - ms(500) * (number - 1);
                assert!(waited <= ms(1500), "{number} waited {waited:?}");
                if number == WRITES {
                    *cx.heap = None;
                }
            }
        },
    );
    session.create(&kernel).unwrap();
    run(&kernel).await;
    let lines = said().into_iter().filter(|line| line != "idle");
    assert_eq!(lines.collect::<Vec<_>>(), ["1", "2", "3", "4", "5", "6"]);
}

#[tokio::test]
async fn pipe_followtail_a_fifo_by_name_outlives_its_writers() {
    let folder = Folder::new();
    let fifo = folder.path("fifo");
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, mode).unwrap();
    let path = fifo.clone();
    let kernel = Kernel::new();
    let session = follower(
        move || lines(&path),
        move |cx, what| match what {
            "begun" => append(&fifo, "foo\nbar\n"),
            // The first writer has left, and there is no end.
            "bar" => append(&fifo, "baz\n"),
            "baz" => *cx.heap = None,
            _ => {}
        },
    );
    session.create(&kernel).unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["foo", "bar", "baz"]);
}

#[tokio::test]
async fn wheel_tail_the_end_of_a_pipe_is_idleness_and_that_of_a_socket_an_error() {
    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(b"one\ntwo\nrest").unwrap();
    drop(writer);
    let kernel = Kernel::new();
    // The wheel stays in the heap: the session ends because the wheel waits for nothing any more.
    let session = follower(|| FollowTail::handle(reader).input(Line::new(), LINE), |_, _| ());
    session.create(&kernel).unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["one", "two", "idle"]);

    let (ours, mut theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    theirs.write_all(b"one\ntwo\nrest").unwrap();
    drop(theirs);
    let kernel = Kernel::new();
    let session = follower(
        || FollowTail::handle(ours).input(Line::new(), LINE),
        |cx, what| {
            if what == "end" {
                let wheel = cx.heap.as_ref().unwrap();
                assert_eq!((wheel.position(), &wheel.pending()[..]), (None, &b"rest"[..]));
            }
        },
    );
    session.create(&kernel).unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["one", "two", "end"]);
}

#[tokio::test(start_paused = true)]
async fn where_reading_begins() {
    type Chooses = fn(FollowTailBuilder) -> FollowTailBuilder;
    let cases: [(Chooses, &[&str]); 11] = [
        (|b| b, &["ial", "idle"]),
        (|b| b.seek(0), &["1", "2", "3", "partial", "idle"]),
        (|b| b.seek(2), &["2", "3", "partial", "idle"]),
        (|b| b.seek(3), &["", "3", "partial", "idle"]),
        (|b| b.seek(1000), &["ial", "idle"]),
        (|b| b.seek(-6), &["3", "partial", "idle"]),
        (|b| b.seek(-1000), &["1", "2", "3", "partial", "idle"]),
        (|b| b.seek_back(0), &["ial", "idle"]),
        (|b| b.seek_back(6), &["3", "partial", "idle"]),
        (|b| b.seek_back(1000), &["1", "2", "3", "partial", "idle"]),
        (|b| b.seek_back(-2), &["2", "3", "partial", "idle"]),
    ];
    for (number, (choose, expected)) in cases.into_iter().enumerate() {
        let folder = Folder::new();
        let path = folder.path("log");
        append(&path, "1\n2\n3\npart");
        let log = path.clone();
        let session = follower(
            move || choose(lines(&path)),
            move |cx, what| match what {
                "begun" => append(&log, "ial\n"),
                "idle" => {
                    assert_eq!(cx.heap.as_ref().unwrap().position(), Some(14));
                    *cx.heap = None;
                }
                _ => {}
            },
        );
        let told = play(session).await;
        // By default what is unfinished at the beginning is completed later.
        let expected: Vec<&str> = match number {
            0 => vec!["partial", "idle"],
            _ => expected.to_vec(),
        };
        assert_eq!(told, expected, "case {number}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_cut_short_is_read_from_its_beginning() {
    for by_handle in [false, true] {
        let folder = Folder::new();
        let log = folder.path("log");
        append(&log, "old\n");
        let path = log.clone();
        let session = follower(
            move || match by_handle {
                true => FollowTail::handle(File::open(&path).unwrap()).input(Line::new(), LINE),
                false => lines(&path),
            },
            move |cx, what| match what {
                "idle" => File::create(&log).unwrap().write_all(b"a\n").unwrap(),
                "a" => {
                    assert_eq!(cx.heap.as_ref().unwrap().position(), Some(2));
                    *cx.heap = None;
                }
                _ => {}
            },
        );
        assert_eq!(play(session).await, ["idle", "reset", "a"], "by handle: {by_handle}");
    }
}

/// FT4: blocks follow each other without a wait; the next look is after the end.
#[tokio::test(start_paused = true)]
async fn ft4_a_long_file_is_read_to_its_end_in_one_look() {
    let folder = Folder::new();
    let path = folder.path("log");
    let written: Vec<String> = (0..40_000).map(|number| format!("line {number}")).collect();
    append(&path, &(written.join("\n") + "\n"));
    let begin = tokio::time::Instant::now();
    let session = follower(
        move || lines(&path).seek(0),
        move |cx, what| {
            if what == "idle" {
                assert!(begin.elapsed() < ms(1000), "{:?}", begin.elapsed());
                *cx.heap = None;
            }
        },
    );
    let mut told = play(session).await;
    assert_eq!(told.pop().unwrap(), "idle");
    assert!(told == written, "{} lines", told.len());
}

/// FT9: what was cut short and has grown beyond its old size meanwhile looks as if it had only grown.
#[tokio::test(start_paused = true)]
async fn ft9_a_file_that_was_refilled_between_two_looks_is_read_on() {
    let folder = Folder::new();
    let log = folder.path("log");
    append(&log, "old\n");
    let path = log.clone();
    let session = follower(
        move || lines(&path),
        move |cx, what| match what {
            "idle" => File::create(&log).unwrap().write_all(b"a\nb\nlonger\n").unwrap(),
            "longer" => *cx.heap = None,
            _ => {}
        },
    );
    assert_eq!(play(session).await, ["idle", "longer"]);
}

#[tokio::test(start_paused = true)]
async fn q6_a_hard_link_is_a_reset_unless_links_are_ignored() {
    for ignored in [false, true] {
        let folder = Folder::new();
        let (log, link) = (folder.path("log"), folder.path("link"));
        append(&log, "a\n");
        let path = log.clone();
        let looks = std::cell::Cell::new(0);
        let session = follower(
            move || match ignored {
                true => lines(&path).seek(0).ignore_link_count(),
                false => lines(&path).seek(0),
            },
            move |cx, what| {
                if what == "idle" {
                    looks.set(looks.get() + 1);
                    match looks.get() {
                        1 => std::fs::hard_link(&log, &link).unwrap(),
                        _ => *cx.heap = None,
                    }
                }
            },
        );
        let expected: &[&str] = match ignored {
            true => &["a", "idle", "idle"],
            false => &["a", "idle", "reset", "a", "idle"],
        };
        assert_eq!(play(session).await, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn q17_an_unfinished_line_is_glued_to_the_next_file_or_delivered_before_it() {
    for flushing in [false, true] {
        let folder = Folder::new();
        let (log, old) = (folder.path("log"), folder.path("log.1"));
        append(&log, "");
        let path = log.clone();
        let session = follower(
            move || {
                let builder = FollowTail::builder(&path);
                match flushing {
                    true => builder.input_flushing(Line::new(), LINE, |rest| String::from_utf8(rest.to_vec()).ok()),
                    false => builder.input(Line::new(), LINE),
                }
            },
            move |cx, what| match what {
                "idle" => {
                    append(&log, "half");
                    std::fs::rename(&log, &old).unwrap();
                    append(&log, "new\n");
                }
                "new" | "halfnew" => *cx.heap = None,
                _ => {}
            },
        );
        let expected: &[&str] = match flushing {
            true => &["idle", "half", "reset", "new"],
            false => &["idle", "reset", "halfnew"],
        };
        assert_eq!(play(session).await, expected);
    }
}

/// What it makes are records of the old filter's type, which the new event need not carry.
#[tokio::test(start_paused = true)]
async fn q17_a_change_of_filter_ends_the_flushing_of_the_old_one() {
    const BYTES: Event<Input<Bytes>> = Event::new("bytes");
    let folder = Folder::new();
    let (log, old) = (folder.path("log"), folder.path("log.1"));
    append(&log, "");
    let path = log.clone();
    let session = follower(
        move || {
            let flush = |_| panic!("its filter is gone");
            FollowTail::builder(&path).input_flushing(Line::new(), LINE, flush)
        },
        move |cx, what| match what {
            "begun" => cx.heap.as_ref().unwrap().set_filter(Line::bytes(), BYTES).unwrap(),
            "idle" => {
                append(&log, "half");
                std::fs::rename(&log, &old).unwrap();
                append(&log, "new\n");
            }
            _ => {}
        },
    );
    let session = session.on(BYTES, |cx, input| {
        say(format!("{:?}", input.record));
        *cx.heap = None;
    });
    assert_eq!(play(session).await, ["idle", "reset", "b\"halfnew\""]);
}

#[tokio::test(start_paused = true)]
async fn while_the_new_file_is_empty_or_missing_the_old_one_is_read() {
    let folder = Folder::new();
    let (log, old) = (folder.path("log"), folder.path("log.1"));
    append(&log, "");
    let path = log.clone();
    let looks = std::cell::Cell::new(0);
    let session = follower(
        move || lines(&path),
        move |cx, what| {
            if what != "idle" {
                return;
            }
            looks.set(looks.get() + 1);
            match looks.get() {
                // The name is gone; the writer does not know.
                1 => {
                    std::fs::rename(&log, &old).unwrap();
                    append(&old, "a\n");
                }
                // The name is back, and the writer still does not know.
                2 => {
                    append(&log, "");
                    append(&old, "b\n");
                }
                3 => {
                    append(&old, "c\n");
                    append(&log, "d\n");
                }
                _ => *cx.heap = None,
            }
        },
    );
    let expected = ["idle", "a", "idle", "b", "idle", "c", "reset", "d", "idle"];
    assert_eq!(play(session).await, expected);
}

#[tokio::test(start_paused = true)]
async fn a_file_that_was_only_away_for_a_while_is_the_same_file() {
    let folder = Folder::new();
    let (log, away) = (folder.path("log"), folder.path("away"));
    append(&log, "");
    let path = log.clone();
    let looks = std::cell::Cell::new(0);
    let session = follower(
        move || lines(&path),
        move |cx, what| {
            if what == "idle" {
                looks.set(looks.get() + 1);
                match looks.get() {
                    1 => append(&log, "a\n"),
                    2 => std::fs::rename(&log, &away).unwrap(),
                    3 => {
                        std::fs::rename(&away, &log).unwrap();
                        append(&log, "b\n");
                    }
                    _ => *cx.heap = None,
                }
            }
        },
    );
    assert_eq!(play(session).await, ["idle", "a", "idle", "idle", "b", "idle"]);
}

#[tokio::test(start_paused = true)]
async fn a_look_that_fails_ends_the_wheel_and_the_session_with_it() {
    let folder = Folder::new();
    let (sub, log) = (folder.path("sub"), folder.path("sub/log"));
    std::fs::create_dir(&sub).unwrap();
    append(&log, "");
    let away = folder.path("away");
    let session = follower(
        move || lines(&log),
        move |_, what| {
            if what == "idle" {
                // A file where the folder was: the name cannot be looked up any more.
                std::fs::rename(&sub, &away).unwrap();
                append(&sub, "");
            }
        },
    );
    assert_eq!(play(session).await, ["idle", "stat"]);
}

#[tokio::test(start_paused = true)]
async fn a_directory_in_place_of_the_file_is_reported_once_and_waited_out() {
    let folder = Folder::new();
    let log = folder.path("log");
    let path = log.clone();
    let looks = std::cell::Cell::new(0);
    let session = follower(
        move || lines(&path),
        move |cx, what| match what {
            "idle" => {
                looks.set(looks.get() + 1);
                match looks.get() {
                    1 => std::fs::create_dir(&log).unwrap(),
                    3 => {
                        std::fs::remove_dir(&log).unwrap();
                        append(&log, "a\n");
                    }
                    _ => {}
                }
            }
            "a" => *cx.heap = None,
            _ => {}
        },
    );
    assert_eq!(play(session).await, ["idle", "open", "idle", "idle", "reset", "a"]);
}

#[tokio::test(start_paused = true)]
async fn law37_settings_that_make_no_sense_are_refused_and_leave_nothing() {
    let folder = Folder::new();
    let path = folder.path("log");
    append(&path, "");
    let kernel = crate::laws_kit::kernel();
    let (directory, file) = (std::env::temp_dir(), path.clone());
    Session::builder(())
        .on(START, move |cx, ()| {
            let none = FollowTail::builder(&file).start(cx).unwrap_err();
            assert!(none.to_string().contains("input event"), "{none}");
            let both = lines(&file).seek(1).seek_back(1).start(cx).unwrap_err();
            assert!(both.to_string().contains("seek"), "{both}");
            assert!(lines(&directory).start(cx).unwrap_err().io().is_some());
            let filter = FollowTail::builder(&file).input(Line::new().literal(""), LINE);
            assert!(filter.start(cx).is_err());
            let (pipe, _writer) = std::io::pipe().unwrap();
            let virtually = FollowTail::handle(pipe).input(Line::new(), LINE).start(cx).unwrap_err();
            assert!(virtually.to_string().contains("virtual time"), "{virtually}");
        })
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
}

#[tokio::test(start_paused = true)]
async fn law1_a_change_of_filter_loses_nothing_and_doubles_nothing() {
    const WORD: Event<Input<String>> = Event::new("word");
    let folder = Folder::new();
    let path = folder.path("log");
    append(&path, "one\ntwo three\nfour ");
    let session = follower(
        move || lines(&path).seek(0),
        |cx, what| {
            if what == "one" {
                let wheel = cx.heap.as_ref().unwrap();
                wheel.set_filter(Line::new().literal(" "), WORD).unwrap();
            }
        },
    );
    let session = session.on(WORD, |cx, input| {
        say(format!("<{}>", input.record.escape_debug()));
        if input.record.contains("four") {
            *cx.heap = None;
        }
    });
    assert_eq!(play(session).await, ["one", "<two>", "<three\\nfour>"]);
}

#[tokio::test(start_paused = true)]
async fn law15_a_wheel_dropped_by_the_handler_of_its_record_sends_nothing_more() {
    let folder = Folder::new();
    let path = folder.path("log");
    append(&path, "a\nb\nc\n");
    assert_eq!(play(until("b", move || lines(&path).seek(0))).await, ["a", "b"]);
}

#[cfg(feature = "notify")]
#[tokio::test]
async fn the_systems_file_events_wake_a_wheel_long_before_its_look() {
    let folder = Folder::new();
    let log = folder.path("log");
    append(&log, "");
    let path = log.clone();
    let kernel = Kernel::new();
    let session = follower(
        move || lines(&path).notify().poll_interval(Duration::from_secs(1000)),
        move |cx, what| match what {
            "idle" => {
                cx.heap.as_ref().unwrap().set_idle_event(None::<Event<WheelId>>);
                append(&log, "a\n");
            }
            "a" => {
                std::fs::rename(&log, log.with_extension("1")).unwrap();
                append(&log, "b\n");
            }
            "b" => *cx.heap = None,
            _ => {}
        },
    );
    session.create(&kernel).unwrap();
    let run = tokio::time::timeout(Duration::from_secs(60), kernel.run());
    run.await.expect("no wait for the interval").unwrap();
    assert_eq!(said(), ["idle", "a", "reset", "b"]);
}

/// Random lives of a log file: what is appended, rotated and cut short, against what is told (laws 23, 24, 25).
mod random_lives {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    enum Step {
        /// To the file that the writer has open; perhaps without an end of line.
        Append(Vec<String>, bool),
        /// The name goes to another file, an empty one or none yet; the writer is told so many milliseconds later.
        Rotate(bool, u16),
        /// The writer is told, after so many lines more.
        Reopen(u8),
        /// Copied and cut to nothing, with a pause around it.
        Truncate,
        /// Time for looks.
        Pause(u16),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        // Capitals: a line must not read like the name of an event (`idle`, `reset`), which the writer of the book tells it from.
        let words = prop::collection::vec("[A-Z]{0,12}", 0..4);
        let step = prop_oneof![
            4 => (words, any::<bool>()).prop_map(|(lines, ended)| Step::Append(lines, ended)),
            2 => (any::<bool>(), 0_u16..400).prop_map(|(empty, millis)| Step::Rotate(empty, millis)),
            1 => Just(Step::Truncate),
            3 => (0_u16..250).prop_map(Step::Pause),
        ];
        prop::collection::vec(step, 1..30)
    }

    /// What was written, over all files.
    #[derive(Default)]
    struct Book {
        written: String,
        /// How many lines were whole at each change of files, when the writer had left the old one.
        at_resets: Vec<usize>,
        told: Vec<String>,
        resets: Vec<usize>,
    }

    impl Book {
        fn whole_lines(&self) -> usize {
            self.written.matches('\n').count()
        }
    }

    struct Writer {
        file: File,
        log: PathBuf,
        rotations: u32,
        /// Bytes in the file under the name that the writer has open.
        size: usize,
        book: Rc<RefCell<Book>>,
        left: std::vec::IntoIter<Step>,
    }

    impl Writer {
        fn write(&mut self, text: &str) {
            self.file.write_all(text.as_bytes()).unwrap();
            self.size += text.len();
            self.book.borrow_mut().written += text;
        }

        fn open(&mut self) {
            self.file = OpenOptions::new().create(true).append(true).open(&self.log).unwrap();
            self.size = 0;
        }

        fn first(&mut self, step: Step) {
            let left = std::mem::take(&mut self.left);
            self.left = std::iter::once(step).chain(left).collect::<Vec<_>>().into_iter();
        }

        /// Does a step; how long to wait before the next.
        fn step(&mut self, step: Step) -> u64 {
            match step {
                Step::Append(lines, ended) => {
                    let mut text = lines.join("\n");
                    if ended {
                        text.push('\n');
                    }
                    self.write(&text);
                    0
                }
                Step::Pause(millis) => u64::from(millis),
                Step::Rotate(empty, millis) => {
                    self.rotations += 1;
                    let old = self.log.with_extension(self.rotations.to_string());
                    std::fs::rename(&self.log, old).unwrap();
                    if empty {
                        append(&self.log, "");
                    }
                    self.first(Step::Reopen((millis % 3) as u8));
                    u64::from(millis)
                }
                Step::Reopen(late) => {
                    for line in 0..late {
                        self.write(&format!("late {line}\n"));
                    }
                    self.open();
                    let lines = self.book.borrow().whole_lines();
                    self.book.borrow_mut().at_resets.push(lines);
                    self.write("new\n");
                    // Looks are more frequent than rotations.
                    250
                }
                Step::Truncate if self.size == 0 => 0,
                Step::Truncate => {
                    self.file.set_len(0).unwrap();
                    self.size = 0;
                    let lines = self.book.borrow().whole_lines();
                    self.book.borrow_mut().at_resets.push(lines);
                    250
                }
            }
        }
    }

    fn live(steps: Vec<Step>) -> Book {
        let folder = Folder::new();
        let log = folder.path("log");
        append(&log, "");
        let book = Rc::new(RefCell::new(Book::default()));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let kernel = crate::laws_kit::kernel();
            let (path, told) = (log.clone(), book.clone());
            let note = move |cx: &mut Cx<'_>, what: &str| {
                let mut book = told.borrow_mut();
                match what {
                    "begun" => cx.alias_set("follower").unwrap(),
                    "reset" => {
                        let lines = book.told.len();
                        book.resets.push(lines);
                    }
                    // Law 25: nothing is left to deliver then.
                    "idle" => assert_eq!(book.told.len(), book.whole_lines(), "idle, and there was more"),
                    line => book.told.push(line.to_owned()),
                }
            };
            let session = follower(move || lines(&path).poll_interval(ms(100)), note);
            session
                .on("over", |cx, ()| {
                    *cx.heap = None;
                    cx.alias_remove("follower").unwrap();
                })
                .create(&kernel)
                .unwrap();
            let writer = Writer {
                file: OpenOptions::new().append(true).open(&log).unwrap(),
                log,
                rotations: 0,
                size: 0,
                book: book.clone(),
                left: steps.into_iter(),
            };
            Session::builder(writer)
                .on(START, |cx, ()| cx.yield_to("go on", ()))
                .on("go on", |cx, ()| -> poe::HandlerResult {
                    match cx.heap.left.next() {
                        Some(step) => {
                            // Truncation wants everything to have been read: a pause before it.
                            let before = match step {
                                Step::Truncate => 250,
                                _ => 0,
                            };
                            cx.delay_set("do", ms(before), ());
                            cx.heap.first(step);
                        }
                        None => {
                            cx.delay_set("end", ms(250), ());
                        }
                    }
                    Ok(())
                })
                .on("do", |cx, ()| {
                    let step = cx.heap.left.next().unwrap();
                    let pause = cx.heap.step(step);
                    cx.delay_set("go on", ms(pause), ());
                })
                .on("end", |cx, ()| -> poe::HandlerResult {
                    Ok(cx.post("follower", "over", ())?)
                })
                .create(&kernel)
                .unwrap();
            run(&kernel).await;
        });
        said();
        Rc::into_inner(book).unwrap().into_inner()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn l23_l24_l25_each_line_once_in_order_and_resets_between_files(steps in steps()) {
            let book = live(steps);
            let whole = book.written.rfind('\n').map_or("", |end| &book.written[..=end]);
            let lines: Vec<&str> = whole.lines().collect();
            prop_assert_eq!(&book.told, &lines);
            prop_assert_eq!(&book.resets, &book.at_resets);
        }
    }
}

/// More than a block is read on a thread, one block ahead; nothing of it is lost, doubled or out of order, neither when more is
/// appended meanwhile nor when the file is cut short.
#[tokio::test]
async fn a_file_of_many_blocks_comes_whole_and_in_order_also_when_it_grows_and_begins_anew() {
    let numbers = |range: std::ops::Range<u32>| range.map(|n| format!("{n:>20}\n")).collect::<String>();
    let folder = Folder::new();
    let path = folder.path("log");
    append(&path, &numbers(0..40_000));
    let (next, resets) = (Rc::new(std::cell::Cell::new(0)), Rc::new(std::cell::Cell::new(0)));
    let (log, same_log, n, r, begins) = (path.clone(), path.clone(), next.clone(), resets.clone(), next.clone());
    let (resets_so_far, looks) = (resets.clone(), std::cell::Cell::new(0));
    let session = Session::builder(None)
        .on(START, move |cx, ()| -> poe::HandlerResult {
            let wheel = lines(&path).seek(0).poll_interval(Duration::from_millis(5));
            *cx.heap = Some(wheel.error(ERROR).reset(RESET).idle(IDLE).start(cx)?);
            Ok(())
        })
        .on(LINE, move |_, input| {
            assert_eq!(input.record.trim_start().parse(), Ok(n.get()));
            n.set(n.get() + 1);
            if resets_so_far.get() == 0 && n.get() == 20_000 {
                append(&log, &numbers(40_000..60_000));
            }
        })
        .on(RESET, move |_, _| {
            r.set(r.get() + 1);
            begins.set(0);
        })
        .on(IDLE, move |cx, _| match looks.replace(looks.get() + 1) {
            0 => std::fs::write(&same_log, numbers(0..30_000)).unwrap(),
            _ => *cx.heap = None,
        });
    let kernel = Kernel::new();
    session.create(&kernel).unwrap();
    run(&kernel).await;
    assert_eq!((next.get(), resets.get()), (30_000, 1));
}
