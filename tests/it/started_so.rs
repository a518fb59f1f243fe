//! Tests of what a process inherits run in a separate process that was started in a certain way: this test binary once more, with
//! the one test, behind a command.

use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

pub(crate) const MARK: &str = "POE_TEST_STARTED_SO";

/// No test takes that long, also on a busy machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(120);

/// The end of a process, which is killed, and its group with it, if it takes longer than the deadline.
pub(crate) fn end_of(child: &mut Child) -> ExitStatus {
    let until = Instant::now() + DEADLINE;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if Instant::now() > until {
            let pid = rustix::process::Pid::from_child(child);
            let _ = rustix::process::kill_process_group(pid, rustix::process::Signal::KILL);
            let _ = child.kill();
            panic!("killed after {DEADLINE:?}");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Runs the test `name` (its full path) in a process of its own, which `command` executes with the arguments that it is given; true in
/// that process, where the test is to do its work.
pub(crate) fn is_started_by(command: &[&str], name: &str) -> bool {
    if std::env::var(MARK).is_ok_and(|mark| mark == name) {
        return true;
    }
    let mut child = Command::new(command[0])
        .args(&command[1..])
        .arg(std::env::current_exe().unwrap())
        .arg(name.split_once("::").map_or(name, |(_, test)| test))
        .args(["--exact", "--include-ignored", "--nocapture", "--test-threads=1"])
        .env(MARK, name)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .unwrap();
    let read = |stream: Option<Box<dyn Read + Send>>| {
        std::thread::spawn(move || {
            let mut text = Vec::new();
            stream.map(|mut stream| stream.read_to_end(&mut text));
            String::from_utf8_lossy(&text).into_owned()
        })
    };
    let stdout = read(child.stdout.take().map(|stream| Box::new(stream) as _));
    let stderr = read(child.stderr.take().map(|stream| Box::new(stream) as _));
    let status = end_of(&mut child);
    let told = stdout.join().unwrap();
    assert!(
        status.success() && told.contains("1 passed"),
        "{name}, started by {command:?}: {status}\n{told}\n{}",
        stderr.join().unwrap()
    );
    false
}

/// Runs the rest of a test function in a separate process that a command has started.
macro_rules! started_by {
    ($($command:expr),+) => {
        fn here() {}
        let name = std::any::type_name_of_val(&here);
        let name = name.trim_end_matches("::here").trim_end_matches("::{{closure}}");
        if !$crate::started_so::is_started_by(&[$($command),+], name) {
            return;
        }
    };
}
pub(crate) use started_by;

/// … with these signals ignored, as the shell calls them: `"INT QUIT"`.
macro_rules! started_with_ignored {
    ($signals:literal) => {
        $crate::started_so::started_by!(
            "/bin/sh",
            "-c",
            concat!("trap '' ", $signals, "; exec \"$0\" \"$@\"")
        );
    };
}
pub(crate) use started_with_ignored;

/// Waits until it is so.
pub(crate) async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + DEADLINE;
    while !is_so() {
        assert!(Instant::now() < end, "not within {DEADLINE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
