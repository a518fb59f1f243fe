//! FollowTail on every kind of file: none makes the kernel's thread wait, none is believed its size, and none makes looks come faster
//! than the poll interval.

use crate::laws_kit::ms;
use crate::started_so::{started_by, until};
use crate::wheel_follow_tail::Folder;
use poe::event::START;
use poe::filter::Line;
use poe::wheel::{FollowTail, FollowTailBuilder, Input, IoError};
use poe::{Event, Kernel, Session, WheelId};
use proptest::prelude::*;
use std::cell::RefCell;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;
use std::time::{Duration, Instant};

const LINE: Event<Input<String>> = Event::new("line");
const ERROR: Event<IoError> = Event::new("error");
const RESET: Event<WheelId> = Event::new("reset");
const IDLE: Event<WheelId> = Event::new("idle");
const OVER: Event<()> = Event::new("over");

/// What a wheel has told, and when.
#[derive(Clone, Default)]
struct Told(Rc<RefCell<Vec<(Duration, String)>>>);

impl Told {
    fn lines(&self) -> Vec<String> {
        let told = self.0.borrow();
        let lines = told.iter().filter_map(|(_, what)| what.strip_prefix("line "));
        lines.map(str::to_owned).collect()
    }

    fn times_of(&self, wanted: &str) -> Vec<Duration> {
        let told = self.0.borrow();
        told.iter()
            .filter(|(_, what)| what == wanted)
            .map(|(at, _)| *at)
            .collect()
    }
}

/// Follows a file for so long; `on_reset` is called at each reset. Gives where the wheel stands at the end.
async fn follow(
    kernel: &Kernel,
    builder: FollowTailBuilder,
    time: Duration,
    on_reset: impl Fn() + 'static,
) -> (Told, Option<u64>) {
    let (told, stands) = (Told::default(), Rc::new(RefCell::new(None)));
    let began = tokio::time::Instant::now();
    let say = |told: &Told| {
        let told = told.clone();
        move |what: String| told.0.borrow_mut().push((began.elapsed(), what))
    };
    let (line, error, reset, idle) = (say(&told), say(&told), say(&told), say(&told));
    let (builder, end) = (std::cell::Cell::new(Some(builder)), stands.clone());
    Session::builder(None::<FollowTail>)
        .on(START, move |cx, ()| -> poe::HandlerResult {
            let builder = builder
                .take()
                .unwrap()
                .input(Line::bytes(), "line")
                .error(ERROR)
                .reset(RESET)
                .idle(IDLE);
            *cx.heap = Some(builder.start(cx)?);
            cx.delay_set(OVER, time, ());
            Ok(())
        })
        .on("line", move |_, input: Input<bytes::Bytes>| {
            line(format!("line {}", String::from_utf8_lossy(&input.record)));
        })
        .on(ERROR, move |_, what| error(format!("error {what}")))
        .on(RESET, move |_, _| {
            reset("reset".to_owned());
            on_reset();
        })
        .on(IDLE, move |_, _| idle("idle".to_owned()))
        .on(OVER, move |cx, ()| {
            let tail = cx.heap.take();
            *end.borrow_mut() = tail.and_then(|tail| tail.position());
        })
        .create(kernel)
        .unwrap();
    kernel.run().await.unwrap();
    (told, stands.take())
}

/// The same on virtual time, for ten looks.
async fn ten_looks(builder: FollowTailBuilder) -> (Told, Option<u64>) {
    let kernel = poe::testing::kernel();
    follow(&kernel, builder.poll_interval(ms(100)), ms(1050), || ()).await
}

/// Files whose content is there and stays as it is, and whose size is said to be 0, or 4096.
#[cfg(target_os = "linux")]
const LIARS: [&str; 3] = ["/proc/version", "/proc/cpuinfo", "/sys/devices/system/cpu/possible"];

#[cfg(target_os = "linux")]
#[tokio::test(start_paused = true)]
async fn a_file_that_does_not_tell_its_size_is_read_from_where_the_wheel_is_to_begin() {
    for path in LIARS {
        let Ok(content) = std::fs::read(path) else { continue };
        let size = content.len() as u64;
        assert_ne!(std::fs::metadata(path).unwrap().len(), size);
        let lines = |from: u64| -> Vec<String> {
            let text = String::from_utf8_lossy(&content[from.min(size) as usize..]).into_owned();
            text.lines().map(str::to_owned).collect()
        };
        let tail = || FollowTail::builder(path);
        // Its numbers may change while it is read, but not how many lines it has.
        let same = |told: &Told, from: u64, what: &str| {
            let (read, expected) = (told.lines(), lines(from));
            assert_eq!(read.len(), expected.len(), "{path} {what}: {read:?}");
            if path != "/proc/cpuinfo" {
                assert_eq!(read, expected, "{path} {what}");
                assert!(told.times_of("reset").is_empty(), "{path} {what}");
            }
        };
        let (told, stands) = ten_looks(tail().seek(0)).await;
        same(&told, 0, "from its beginning");
        assert!(stands == Some(size) || path == "/proc/cpuinfo");
        if path != "/proc/version" {
            continue;
        }
        let (told, stands) = ten_looks(tail()).await;
        assert_eq!((told.lines(), stands), (vec![], Some(size)), "its end");
        let (told, _) = ten_looks(tail().seek(6)).await;
        same(&told, 6, "from inside");
        let (told, _) = ten_looks(tail().seek_back(5)).await;
        same(&told, size - 5, "from before its end");
        let (told, _) = ten_looks(tail().seek(-7)).await;
        same(&told, size - 7, "from before its end");
        let (told, stands) = ten_looks(tail().seek(1_000_000)).await;
        assert_eq!((told.lines(), stands), (vec![], Some(size)), "from beyond its end");
        let (told, _) = ten_looks(tail().seek_back(1_000_000)).await;
        same(&told, 0, "from before its beginning");
        let handle = std::fs::File::open(path).unwrap();
        let (told, _) = ten_looks(FollowTail::handle(handle).seek(0)).await;
        same(&told, 0, "by its handle");
    }
}

/// Each look at a file that changes all the time may see a reset, and there is no look between the looks.
#[cfg(target_os = "linux")]
#[tokio::test(start_paused = true)]
async fn a_file_of_the_system_is_looked_at_as_often_as_any() {
    for path in [
        "/proc/uptime",
        "/proc/self/status",
        "/proc/self/stat",
        "/proc/loadavg",
        "/proc/meminfo",
        "/proc/self/maps",
    ] {
        for seeks in [false, true] {
            let tail = FollowTail::builder(path);
            let (told, _) = ten_looks(if seeks { tail.seek(0) } else { tail }).await;
            assert!(told.times_of("reset").len() <= 10, "{path}: {:?}", told.0.borrow());
            assert!(told.times_of("idle").len() <= 11, "{path}: {:?}", told.0.borrow());
        }
    }
}

/// What may become of a file while the wheel reads it.
#[derive(Clone, Copy, Debug)]
enum Change {
    Cut,
    Replace,
    Empty,
    Remove,
    Grow,
    Link,
}

fn change(path: &Path, what: Change) {
    let beside = path.with_extension("new");
    match what {
        Change::Cut => std::fs::write(path, "x\n").unwrap(),
        Change::Replace => {
            std::fs::write(&beside, "another file\n").unwrap();
            std::fs::rename(&beside, path).unwrap();
        }
        Change::Empty => std::fs::write(path, "").unwrap(),
        Change::Remove => std::fs::remove_file(path).unwrap_or_default(),
        Change::Grow => {
            let mut file = std::fs::File::options().create(true).append(true).open(path).unwrap();
            file.write_all(b"a line that is longer\n").unwrap();
        }
        Change::Link => {
            let _ = std::fs::remove_file(&beside);
            std::fs::hard_link(path, &beside).unwrap_or_default();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever becomes of a file, and be it in the handlers of the wheel's own events: between two resets is the poll interval, and
    /// so it is between two looks that found nothing.
    #[test]
    fn between_two_looks_is_always_the_poll_interval(
        at_resets in prop::collection::vec(
            prop::sample::select(&[Change::Cut, Change::Replace, Change::Empty, Change::Remove, Change::Grow, Change::Link][..]),
            1..12,
        ),
        seeks in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let folder = Folder::new();
            let path = folder.path("log");
            std::fs::write(&path, "what is there\nat first, and longer than the rest\n").unwrap();
            let (changes, file) = (RefCell::new(at_resets.into_iter().cycle()), path.clone());
            change_soon(&path);
            let tail = FollowTail::builder(&path).poll_interval(ms(100));
            let tail = if seeks { tail.seek(0) } else { tail };
            let kernel = poe::testing::kernel();
            let (told, _) = follow(&kernel, tail, ms(2050), move || {
                let next = changes.borrow_mut().next();
                change(&file, next.unwrap());
            })
            .await;
            for what in ["reset", "idle"] {
                let times = told.times_of(what);
                let apart = times.windows(2).map(|two| two[1] - two[0]).min();
                assert!(apart.is_none_or(|apart| apart >= ms(99)), "{what}: {:?}", told.0.borrow());
            }
            assert!(!told.times_of("reset").is_empty());
        });
    }
}

/// So that there is a first reset.
fn change_soon(path: &Path) {
    let path = path.to_owned();
    tokio::spawn(async move {
        tokio::time::sleep(ms(150)).await;
        change(&path, Change::Replace);
    });
}

/// An interval without end is one look, and not an overflow.
#[tokio::test(start_paused = true)]
async fn a_poll_interval_without_end_is_one_look() {
    let folder = Folder::new();
    let path = folder.path("log");
    std::fs::write(&path, "a line\n").unwrap();
    for interval in [
        Duration::MAX,
        Duration::from_secs(u64::MAX / 2),
        Duration::from_secs(1 << 40),
    ] {
        let kernel = poe::testing::kernel();
        let tail = FollowTail::builder(&path).seek(0).poll_interval(interval);
        let (told, _) = follow(&kernel, tail, Duration::from_secs(3600), || ()).await;
        assert_eq!(
            (told.lines(), told.times_of("idle").len()),
            (vec!["a line".to_owned()], 1)
        );
    }
}

/// A file that is empty at first says the truth: what is appended is delivered, wherever the wheel was to begin.
#[tokio::test(start_paused = true)]
async fn what_is_appended_to_an_empty_file_is_delivered() {
    type Build = fn(FollowTailBuilder) -> FollowTailBuilder;
    let starts: [(&str, Build); 4] = [
        ("at its end", |tail| tail),
        ("at its beginning", |tail| tail.seek(0)),
        ("at a place", |tail| tail.seek(0)),
        ("before its end", |tail| tail.seek_back(100)),
    ];
    for (name, start) in starts {
        let folder = Folder::new();
        let path = folder.path("log");
        std::fs::write(&path, "").unwrap();
        let kernel = poe::testing::kernel();
        let file = path.clone();
        // At once, and again after the first looks.
        Session::builder(())
            .on(START, |cx, ()| {
                cx.yield_to("append", ());
                cx.delay_set("append", ms(250), ());
            })
            .on("append", move |_, ()| change(&file, Change::Grow))
            .create(&kernel)
            .unwrap();
        let tail = start(FollowTail::builder(&path)).poll_interval(ms(100));
        let (told, _) = follow(&kernel, tail, ms(1000), || ()).await;
        assert_eq!(told.lines(), ["a line that is longer"; 2], "{name}");
        assert!(told.times_of("reset").is_empty(), "{name}");
    }
}

fn make(folder: &Folder, name: &str, tool: &str) -> PathBuf {
    let path = folder.path(name);
    assert!(Command::new(tool).arg(&path).status().unwrap().success());
    path
}

/// Each kind of file is followed, or refused, and the kernel's timers go on meanwhile. In a process of its own, which is killed if its
/// thread waits for a file.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn no_kind_of_file_makes_the_thread_wait() {
    started_by!("env");
    let folder = Folder::new();
    let fifo = make(&folder, "fifo", "mkfifo");
    let socket = folder.path("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let dangling = folder.path("dangling");
    std::os::unix::fs::symlink(folder.path("nowhere"), &dangling).unwrap();
    let mut kinds = vec![fifo, socket, dangling, folder.path("")];
    // Some of these wait for what is still to come, some have no end, and some are not there, or not for everybody.
    kinds.extend(
        [
            "/dev/null",
            "/dev/zero",
            "/dev/full",
            "/dev/urandom",
            "/dev/random",
            "/dev/tty",
            "/dev/ptmx",
            "/dev/kmsg",
            "/dev/input/mice",
            "/proc/kmsg",
            "/proc/self/pagemap",
            "/proc/self/mem",
            "/proc/self/environ",
            "/proc/self/fd/0",
            "/proc/kallsyms",
            "/proc/kcore",
            "/proc/mounts",
            "/sys/kernel/debug/tracing/trace_pipe",
            "/sys/kernel/tracing/trace_pipe",
        ]
        .map(PathBuf::from),
    );
    for path in kinds {
        for from_the_start in [false, true] {
            let began = Instant::now();
            let kernel = Kernel::new();
            let (name, ticks) = (path.clone(), Rc::new(RefCell::new(0)));
            let counted = ticks.clone();
            Session::builder(None::<FollowTail>)
                .on(START, move |cx, ()| {
                    let tail = FollowTail::builder(&name)
                        .input(Line::bytes(), "bytes")
                        .error(ERROR)
                        .poll_interval(ms(5));
                    let tail = if from_the_start { tail.seek(0) } else { tail };
                    match tail.start(cx) {
                        Ok(tail) => *cx.heap = Some(tail),
                        Err(error) => {
                            let begins = format!("cannot follow {}: ", name.display());
                            assert!(error.to_string().starts_with(&begins), "{error}");
                        }
                    }
                    cx.delay_set("tick", ms(10), ());
                })
                .on("bytes", |_, _: Input<bytes::Bytes>| ())
                .on(ERROR, |_, _| ())
                .on("tick", move |cx, ()| {
                    *counted.borrow_mut() += 1;
                    if *counted.borrow() < 5 {
                        cx.delay_set("tick", ms(10), ());
                    } else {
                        *cx.heap = None;
                    }
                })
                .create(&kernel)
                .unwrap();
            kernel.run().await.unwrap();
            assert_eq!(*ticks.borrow(), 5);
            println!("{}: {:?}", path.display(), began.elapsed());
        }
    }
}

/// A name may come to stand for another kind of file.
#[tokio::test]
async fn a_file_that_a_fifo_takes_the_place_of_is_left_for_it() {
    let folder = Folder::new();
    let path = folder.path("log");
    std::fs::write(&path, "the last of the file\n").unwrap();
    let fifo = make(&folder, "fifo", "mkfifo");
    let name = path.clone();
    let writer = std::thread::spawn(move || {
        let mut end = std::fs::OpenOptions::new().read(true).write(true).open(&fifo).unwrap();
        end.write_all(b"the first of the fifo\n").unwrap();
        std::fs::rename(&fifo, &name).unwrap();
        end
    });
    let kernel = Kernel::new();
    let (seen, tail) = (Told::default(), path.clone());
    let told = seen.clone();
    Session::builder(None::<FollowTail>)
        .on(START, move |cx, ()| -> poe::HandlerResult {
            let tail = FollowTail::builder(&tail).seek(0).poll_interval(ms(5));
            *cx.heap = Some(tail.input(Line::new(), LINE).start(cx)?);
            Ok(())
        })
        .on(LINE, move |cx, input| {
            let is_last = input.record == "the first of the fifo";
            told.0
                .borrow_mut()
                .push((Duration::ZERO, format!("line {}", input.record)));
            if is_last {
                *cx.heap = None;
            }
        })
        .create(&kernel)
        .unwrap();
    let run = tokio::time::timeout(crate::started_so::DEADLINE, kernel.run());
    run.await.expect("it is read").unwrap();
    drop(writer.join().unwrap());
    let mut lines = seen.lines();
    // The file may have gone before it was looked at for the first time.
    lines.retain(|line| line != "the last of the file");
    assert_eq!(lines, ["the first of the fifo"]);
}

/// Errors name the file, those of `start` and those that come later.
#[tokio::test]
async fn errors_name_the_file() {
    let folder = Folder::new();
    let path = folder.path("log");
    let kernel = Kernel::new();
    let (name, file) = (path.clone(), path.clone());
    let seen = Rc::new(RefCell::new(None));
    let told = seen.clone();
    Session::builder(None::<FollowTail>)
        .on(START, move |cx, ()| -> poe::HandlerResult {
            let start = |path: &Path| FollowTail::builder(path).input(Line::new(), LINE).start(cx);
            for folder in ["/tmp", "/proc"] {
                let error = start(Path::new(folder)).unwrap_err();
                assert_eq!(error.to_string(), format!("cannot follow {folder}: is a directory"));
            }
            let tail = FollowTail::builder(&name)
                .input(Line::new(), LINE)
                .error(ERROR)
                .poll_interval(ms(5));
            *cx.heap = Some(tail.start(cx)?);
            Ok(std::fs::create_dir(&name)?)
        })
        .on(ERROR, move |cx, error| {
            assert_eq!(error.subject(), file.to_str());
            *told.borrow_mut() = Some(error.to_string());
            *cx.heap = None;
        })
        .create(&kernel)
        .unwrap();
    tokio::time::timeout(crate::started_so::DEADLINE, kernel.run())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(seen.take(), Some(format!("open {}: is a directory", path.display())));
    until("nothing is left", || Rc::strong_count(&seen) == 1).await;
}
