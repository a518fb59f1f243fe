//! DirWatch: ten thousand files that change at random against a model, and what each setting does.

use crate::kit::{LONG, Log, virtually};
use poe::event::START;
use poe::{Event, Kernel, Session, SessionBuilder, testing};
use poe_tools::{DirWatch, DirWatchBuilder, DirWatchError, FileChange};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const NEW: Event<FileChange> = Event::new("new");
const MODIFIED: Event<FileChange> = Event::new("modified");
const REMOVED: Event<FileChange> = Event::new("removed");
const RENAMED: Event<FileChange> = Event::new("renamed");
const SETTLED: Event<FileChange> = Event::new("settled");
const PRESENT: Event<FileChange> = Event::new("present");
const FAILED: Event<DirWatchError> = Event::new("failed");

/// A directory that is removed with everything in it.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("poe-tools-watch-{}-{n}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.0.join(name), text).unwrap();
    }

    fn remove(&self, name: &str) {
        fs::remove_file(self.0.join(name)).unwrap();
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

fn all_changes(folder: &Path) -> DirWatchBuilder {
    DirWatch::builder(folder)
        .new_file(NEW)
        .modified(MODIFIED)
        .removed(REMOVED)
        .renamed(RENAMED)
}

/// A session that notes what comes.
fn reader<H: Clone + Into<Log> + 'static>(heap: H) -> SessionBuilder<H> {
    let mut session = Session::builder(heap);
    for event in [NEW, MODIFIED, REMOVED, RENAMED, SETTLED, PRESENT] {
        session = session.on(event, move |cx, file| {
            let from = file.from.map(|from| format!("{} -> ", name(&from))).unwrap_or_default();
            let log: Log = cx.heap.clone().into();
            log.add(format!("{} {from}{}", event.name(), name(&file.path)));
        });
    }
    session.on(FAILED, |cx, error| {
        let log: Log = cx.heap.clone().into();
        log.add(if error.is_too_many() { "too many" } else { "failed" });
    })
}

/// A small generator, so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % n as u64) as usize
    }
}

/// The files that there should be, and what was done to each since the last look.
struct Model {
    folder: Folder,
    /// New contents are made here, so that each change is one step for the system.
    staging: Folder,
    files: Vec<String>,
    made: usize,
    random: Random,
}

impl Model {
    fn staged(&mut self) -> PathBuf {
        self.made += 1;
        let path = self.staging.0.join("staged");
        fs::write(&path, "x".repeat(self.random.below(50))).unwrap();
        path
    }

    /// Changes files, each at most once, and returns the reports that there should be.
    fn round(&mut self, count: usize) -> Vec<String> {
        let mut expected = Vec::new();
        let mut untouched = std::mem::take(&mut self.files);
        for _ in 0..count {
            let fresh = format!("f{}", self.made);
            let path = self.folder.0.join(&fresh);
            let what = self.random.below(6);
            if what < 2 || untouched.is_empty() {
                fs::rename(self.staged(), path).unwrap();
                expected.push(format!("new {fresh}"));
                self.files.push(fresh);
                continue;
            }
            let at = self.random.below(untouched.len());
            let old = untouched.swap_remove(at);
            let old_path = self.folder.0.join(&old);
            match what {
                2 => {
                    // Replaced as a whole, or appended to.
                    fs::rename(self.staged(), old_path).unwrap();
                    expected.push(format!("modified {old}"));
                    self.files.push(old);
                }
                3 => {
                    use std::io::Write;
                    let mut file = fs::OpenOptions::new().append(true).open(old_path).unwrap();
                    file.write_all(b"more").unwrap();
                    expected.push(format!("modified {old}"));
                    self.files.push(old);
                }
                4 => {
                    self.made += 1;
                    fs::rename(old_path, path).unwrap();
                    expected.push(format!("renamed {old} -> {fresh}"));
                    self.files.push(fresh);
                }
                _ => {
                    fs::remove_file(old_path).unwrap();
                    expected.push(format!("removed {old}"));
                }
            }
        }
        self.files.append(&mut untouched);
        expected.sort();
        expected
    }
}

/// Ten thousand files; in each round another thread changes a few thousand of them while the directory is watched, and each change is
/// reported once.
#[cfg(unix)]
#[tokio::test]
async fn each_of_ten_thousand_files_that_change_at_random_is_reported_once() {
    let (folder, log) = (Folder::new(), Log::default());
    let kernel = Kernel::new();
    reader(log.clone())
        .on(START, |cx, ()| cx.alias_set("reader"))
        .create(&kernel)
        .unwrap();
    let watch = all_changes(&folder.0)
        .interval(Duration::from_millis(200))
        .post_to("reader");
    let watch = watch.alias("watch").start(&kernel).unwrap();
    let handle = kernel.handle();
    let (mut model, rounds) = (
        Model {
            folder,
            staging: Folder::new(),
            files: Vec::new(),
            made: 0,
            random: Random(42),
        },
        [10_000, 500, 4000, 1, 3000, 2000, 4000],
    );
    let test = async {
        for count in rounds {
            log.clear();
            let (changed, expected) = tokio::task::spawn_blocking(move || {
                let expected = model.round(count);
                (model, expected)
            })
            .await
            .unwrap();
            model = changed;
            let deadline = Instant::now() + LONG;
            while log.len() < expected.len() {
                assert!(Instant::now() < deadline, "{} of {} reports", log.len(), expected.len());
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            // Nothing else comes.
            tokio::time::sleep(Duration::from_millis(500)).await;
            let mut reports = log.lines();
            reports.sort();
            assert!(reports == expected, "{:?}", difference(&reports, &expected));
        }
        handle.post("watch", poe_tools::SHUTDOWN, ()).unwrap();
        model
    };
    let (ran, _model) = tokio::join!(kernel.run(), test);
    ran.unwrap();
    assert!(!kernel.is_alive(watch.session_id()));
}

/// What is in one of two lists only, with its count.
fn difference(got: &[String], expected: &[String]) -> BTreeMap<String, i32> {
    let mut counts = BTreeMap::new();
    got.iter()
        .for_each(|line| *counts.entry(line.clone()).or_default() += 1);
    expected
        .iter()
        .for_each(|line| *counts.entry(line.clone()).or_default() -= 1);
    counts.retain(|_, count| *count != 0);
    counts
}

/// Runs a script under virtual time: what to do at which millisecond. Returns the reports.
fn scripted(
    make: impl Fn(&Folder) -> DirWatchBuilder + 'static,
    script: impl IntoIterator<Item = (u64, Box<dyn Fn(&Folder, &DirWatch, &poe::KernelRef<'_>)>)>,
) -> Vec<String> {
    const STEP: Event<usize> = Event::new("step");
    #[derive(Clone)]
    struct Heap(Log, Rc<RefCell<Option<DirWatch>>>);
    impl From<Heap> for Log {
        fn from(heap: Heap) -> Log {
            heap.0
        }
    }
    virtually(async {
        let kernel = testing::kernel();
        let folder = Rc::new(Folder::new());
        let log = Log::default();
        let (times, acts): (Vec<u64>, Vec<_>) = script.into_iter().unzip();
        let last = times.last().copied().unwrap_or_default();
        let watched = folder.clone();
        reader(Heap(log.clone(), Rc::default()))
            .on(START, move |cx, ()| -> poe::HandlerResult {
                let watch = cx.start(make(&watched))?;
                *cx.heap.1.borrow_mut() = Some(watch);
                for (n, time) in times.iter().enumerate() {
                    cx.delay_set(STEP, Duration::from_millis(*time), n);
                }
                Ok(())
            })
            .on(STEP, move |cx, n| {
                let watch = cx.heap.1.borrow().clone().unwrap();
                cx.heap.0.add(format!("- {n}"));
                acts[n](&folder, &watch, cx);
            })
            .create(&kernel)
            .unwrap();
        testing::run_for(&kernel, Duration::from_millis(last + 10_000))
            .await
            .unwrap();
        log.lines()
    })
}

macro_rules! script {
    ($($time:literal: |$folder:ident, $watch:ident, $cx:ident| $act:expr),* $(,)?) => {
        [$((
            $time,
            Box::new(|$folder: &Folder, $watch: &DirWatch, $cx: &poe::KernelRef<'_>| {
                let _ = ($folder, $watch, $cx);
                $act
            }) as Box<dyn Fn(&Folder, &DirWatch, &poe::KernelRef<'_>)>,
        )),*]
    };
}

#[test]
fn files_are_reported_when_they_are_unchanged_and_at_each_interval_while_they_are_there() {
    let make = |folder: &Folder| {
        folder.write("old", "there already");
        let watch = all_changes(&folder.0).unchanged_for(Duration::from_secs(3), SETTLED);
        watch.filter(|name| name != "other")
    };
    let reports = scripted(
        make,
        script! {
            500: |folder, watch, cx| folder.write("other", "not looked at"),
            5500: |folder, watch, cx| folder.write("letter", "dear"),
            7500: |folder, watch, cx| folder.write("letter", "dear Ann,"),
            14_000: |folder, watch, cx| folder.remove("letter"),
            17_500: |folder, watch, cx| watch.shutdown(cx),
        },
    );
    let expected = [
        "new old",
        "- 0",
        "settled old",
        "- 1",
        "new letter",
        "- 2",
        "modified letter",
        "settled letter",
        "- 3",
        "removed letter",
        "- 4",
    ];
    assert_eq!(reports, expected);

    let present = |folder: &Folder| {
        folder.write("a", "");
        DirWatch::builder(&folder.0)
            .present(PRESENT)
            .interval(Duration::from_secs(2))
    };
    let reports = scripted(
        present,
        script! {
            3000: |folder, watch, cx| folder.write("b", ""),
            7000: |folder, watch, cx| folder.remove("a"),
            9000: |folder, watch, cx| watch.shutdown(cx),
        },
    );
    // Only the names of each span between two steps: with `notify` the system's event, which comes in real time, may cause a look
    // before the virtual clock has gone on to the next one.
    let mut spans = vec![std::collections::BTreeSet::new()];
    for report in reports {
        match report.starts_with("- ") {
            true => spans.push(std::collections::BTreeSet::new()),
            false => drop(spans.last_mut().expect("there is one").insert(report)),
        }
    }
    let names: Vec<Vec<String>> = spans.into_iter().map(|span| span.into_iter().collect()).collect();
    assert_eq!(
        names,
        [
            vec!["present a"],
            vec!["present a", "present b"],
            vec!["present b"],
            vec![]
        ]
    );
}

#[test]
fn a_paused_watch_reports_the_difference_when_it_resumes() {
    let reports = scripted(
        |folder| all_changes(&folder.0),
        script! {
            1500: |folder, watch, cx| folder.write("kept", "1"),
            3500: |folder, watch, cx| watch.pause(cx),
            4000: |folder, watch, cx| folder.write("brief", ""),
            8000: |folder, watch, cx| { folder.remove("brief"); folder.write("kept", "22"); },
            9000: |folder, watch, cx| watch.resume(cx),
            12_000: |folder, watch, cx| watch.shutdown(cx),
        },
    );
    assert_eq!(
        reports,
        ["- 0", "new kept", "- 1", "- 2", "- 3", "- 4", "modified kept", "- 5"]
    );
}

#[test]
fn without_the_event_for_it_a_rename_is_a_removal_and_a_new_file() {
    let make = |folder: &Folder| {
        folder.write("a", "text");
        DirWatch::builder(&folder.0)
            .new_file(NEW)
            .removed(REMOVED)
            .modified(MODIFIED)
    };
    let reports = scripted(
        make,
        script! {
            1500: |folder, watch, cx| fs::rename(folder.0.join("a"), folder.0.join("b")).unwrap(),
            4500: |folder, watch, cx| watch.shutdown(cx),
        },
    );
    assert_eq!(reports, ["new a", "- 0", "removed a", "new b", "- 1"]);
}

#[test]
fn a_directory_that_cannot_be_listed_is_told_once_and_its_files_are_not_gone() {
    fn away(folder: &Folder) -> PathBuf {
        folder.0.with_extension("away")
    }
    let make = |folder: &Folder| {
        folder.write("a", "");
        fs::create_dir(folder.0.join("inner")).unwrap();
        all_changes(&folder.0).error(FAILED).directories().max_entries(3)
    };
    let reports = scripted(
        make,
        script! {
            2500: |folder, watch, cx| fs::rename(&folder.0, away(folder)).unwrap(),
            6500: |folder, watch, cx| fs::rename(away(folder), &folder.0).unwrap(),
            9500: |folder, watch, cx| { folder.write("b", ""); folder.write("c", ""); },
            12_500: |folder, watch, cx| folder.remove("a"),
            15_500: |folder, watch, cx| watch.shutdown(cx),
        },
    );
    let mut lines = reports.iter().map(String::as_str);
    let parts = |lines: &mut dyn Iterator<Item = &str>, end: &str| {
        let mut part: Vec<String> = lines.take_while(|line| *line != end).map(str::to_owned).collect();
        part.sort();
        part.join(", ")
    };
    assert_eq!(parts(&mut lines, "- 0"), "new a, new inner");
    assert_eq!(parts(&mut lines, "- 1"), "failed");
    assert_eq!(parts(&mut lines, "- 2"), "");
    assert_eq!(parts(&mut lines, "- 3"), "too many");
    assert_eq!(parts(&mut lines, "- 4"), "new b, new c, removed a");
}

#[test]
fn reports_wait_for_a_session_that_is_down_and_a_watch_ends_with_the_session_that_started_it() {
    virtually(async {
        let kernel = testing::kernel();
        let (folder, log) = (Folder::new(), Log::default());
        folder.write("a", "");
        let refused = all_changes(&folder.0).start(&kernel).unwrap_err();
        assert!(refused.to_string().contains("post_to"), "{refused}");
        let watch = all_changes(&folder.0).post_to("reader").start(&kernel).unwrap();
        testing::run_for(&kernel, Duration::from_secs(5)).await.unwrap();
        folder.write("b", "");
        reader(log.clone())
            .on(START, |cx, ()| cx.alias_set("reader"))
            .create(&kernel)
            .unwrap();
        testing::run_for(&kernel, Duration::from_secs(5)).await.unwrap();
        assert_eq!(log.lines(), ["new a", "new b"]);
        kernel.post(watch.session_id(), poe_tools::SHUTDOWN, ()).unwrap();
        kernel.run().await.unwrap();

        let path = folder.0.clone();
        let starter = Session::builder(())
            .on(START, move |cx, ()| cx.start(all_changes(&path)).map(drop))
            .on("end", |cx, ()| cx.signal(cx.session_id(), "KILL", ()).unwrap());
        let starter = starter.create(&kernel).unwrap();
        testing::run_for(&kernel, Duration::from_secs(5)).await.unwrap();
        assert_eq!(kernel.session_count(), 2);
        kernel.post(starter, "end", ()).unwrap();
        kernel.run().await.unwrap();
        testing::assert_no_leaks(&kernel);
    });
}

#[cfg(feature = "notify")]
#[tokio::test]
async fn file_events_wake_a_watch_long_before_its_interval() {
    let kernel = Kernel::new();
    let (folder, log) = (Folder::new(), Log::default());
    let path = folder.0.clone();
    let watched = path.clone();
    reader(log.clone())
        .on(START, move |cx, ()| -> poe::HandlerResult {
            let watch = cx.start(all_changes(&watched).interval(Duration::from_secs(3600)))?;
            cx.state(NEW, move |cx, file| {
                cx.heap.add(name(&file.path));
                watch.shutdown(cx);
            });
            Ok(())
        })
        .create(&kernel)
        .unwrap();
    let write = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        fs::write(path.join("a"), "").unwrap();
    };
    tokio::join!(crate::kit::finish(&kernel), write);
    assert_eq!(log.lines(), ["a"]);
}

#[test]
fn under_a_supervisor_a_watch_is_a_child_like_any_other() {
    use poe::component::{ChildSpec, Strategy, Supervisor};
    virtually(async {
        let kernel = testing::kernel();
        let (folder, log) = (Folder::new(), Log::default());
        folder.write("a", "");
        reader(log.clone())
            .on(START, |cx, ()| cx.alias_set("reader"))
            .create(&kernel)
            .unwrap();
        let path = folder.0.clone();
        let watch = ChildSpec::new("watch", move |cx| {
            Ok::<_, poe::Error>(cx.start(all_changes(&path).post_to("reader"))?.session_id())
        });
        let supervisor = Supervisor::builder(Strategy::OneForOne)
            .child(watch)
            .start(&kernel)
            .unwrap();
        testing::run_for(&kernel, Duration::from_secs(2)).await.unwrap();
        let first = supervisor.child("watch").unwrap();
        kernel.signal(first, "KILL", ()).unwrap();
        testing::run_for(&kernel, Duration::from_secs(2)).await.unwrap();
        assert_ne!(supervisor.child("watch").unwrap(), first);
        // A new watch knows no files.
        assert_eq!(log.lines(), ["new a", "new a"]);
        supervisor.shutdown();
        kernel.run().await.unwrap();
        testing::assert_no_leaks(&kernel);
    });
}
