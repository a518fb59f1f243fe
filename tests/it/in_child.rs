//! Tests of process-wide state (signals, children, descriptor limits) run in a separate process: this test
//! binary once more, with the one test. It leads a process group, has a deadline, and nothing of its group outlives it.

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use std::io::Read;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub(crate) const MARK: &str = "POE_TEST_IN_CHILD";

/// Longer than any test takes beside a loaded machine's other work.
const DEADLINE: Duration = Duration::from_secs(180);

/// The result of a test's separate process.
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    /// A signal has stopped it meanwhile, and it was continued with CONT.
    pub(crate) was_stopped: bool,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    pub(crate) fn told(&self) -> String {
        format!("{}\n{}", self.stdout, self.stderr)
    }
}

/// Whether this is the process that was made for the test `name` (its full path).
pub(crate) fn is_in_child(name: &str) -> bool {
    std::env::var(MARK).is_ok_and(|mark| mark == name)
}

/// Runs the test `name` in a separate process; true in that process, where it does its work.
pub(crate) fn is_child(name: &str) -> bool {
    if is_in_child(name) {
        return true;
    }
    let ended = run(name, |_| ());
    assert!(
        ended.status.success() && ended.stdout.contains("1 passed"),
        "{name} in its own process: {}\n{}",
        ended.status,
        ended.told()
    );
    false
}

/// The same for a test whose process ends by a signal.
pub(crate) fn is_child_that_dies(name: &str, of: Signal) -> bool {
    if is_in_child(name) {
        return true;
    }
    let ended = run(name, |_| ());
    assert_eq!(
        ended.status.signal(),
        Some(of.as_raw()),
        "{name} in its own process: {}\n{}",
        ended.status,
        ended.told()
    );
    false
}

/// Runs the test `name` in a separate process to its end, however it ends.
pub(crate) fn run(name: &str, set: impl FnOnce(&mut Command)) -> Ended {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(arguments(name));
    set(&mut command);
    output(command.env(MARK, name), name)
}

/// Runs a program to its end, which must come before the deadline. Nothing of its process group outlives it.
pub(crate) fn output(command: &mut Command, name: &str) -> Ended {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .unwrap();
    let group = Pid::from_child(&child);
    let stdout = reader(child.stdout.take().unwrap());
    let stderr = reader(child.stderr.take().unwrap());
    let (status, was_stopped) = wait(&mut child, name);
    let _ = kill_process_group(group, Signal::KILL);
    Ended {
        status,
        was_stopped,
        stdout: stdout.join().unwrap(),
        stderr: stderr.join().unwrap(),
    }
}

/// The arguments that make this test binary run that one test.
pub(crate) fn arguments(name: &str) -> [&str; 5] {
    let name_in_binary = name.split_once("::").map_or(name, |(_, rest)| rest);
    [
        name_in_binary,
        "--exact",
        "--include-ignored",
        "--nocapture",
        "--test-threads=1",
    ]
}

fn reader(mut pipe: impl Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut told = Vec::new();
        let _ = pipe.read_to_end(&mut told);
        String::from_utf8_lossy(&told).into_owned()
    })
}

fn wait(child: &mut Child, name: &str) -> (ExitStatus, bool) {
    let (pid, deadline) = (Pid::from_child(child), Instant::now() + DEADLINE);
    let mut was_stopped = false;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return (status, was_stopped);
        }
        let stopped = waitid(WaitId::Pid(pid), WaitIdOptions::STOPPED | WaitIdOptions::NOHANG);
        if stopped.is_ok_and(|found| found.is_some()) {
            was_stopped = true;
            kill_process_group(pid, Signal::CONT).unwrap();
        }
        if Instant::now() > deadline {
            let _ = kill_process_group(pid, Signal::KILL);
            let _ = child.wait();
            panic!("{name}: its process is not done after {DEADLINE:?}");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Runs the rest of a test function in a separate process. With `dies: SIGNAL` that must end by the signal.
macro_rules! in_child {
    () => {
        if !$crate::in_child::is_child($crate::in_child::this_test!()) {
            return;
        }
    };
    (dies: $signal:expr) => {
        if !$crate::in_child::is_child_that_dies($crate::in_child::this_test!(), $signal) {
            return;
        }
    };
}
pub(crate) use in_child;

/// The full path of the test function that it stands in.
macro_rules! this_test {
    () => {{
        fn here() {}
        let name = std::any::type_name_of_val(&here);
        name.trim_end_matches("::here").trim_end_matches("::{{closure}}")
    }};
}
pub(crate) use this_test;
