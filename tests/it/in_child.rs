//! Tests of what is global to a process (signals, children, descriptor limits) run in a process of their own: this test
//! binary once more, with the one test.

use std::process::Command;

const MARK: &str = "POE_TEST_IN_CHILD";

/// Runs the test `name` (its full path) in a process of its own; true in that process, where it is to do its work.
pub(crate) fn is_child(name: &str) -> bool {
    if std::env::var(MARK).is_ok_and(|mark| mark == name) {
        return true;
    }
    // The path begins with the name of the test's crate.
    let name_in_binary = name.split_once("::").map_or(name, |(_, path)| path);
    let output = Command::new(std::env::current_exe().unwrap())
        .args([
            name_in_binary,
            "--exact",
            "--include-ignored",
            "--nocapture",
            "--test-threads=1",
        ])
        .env(MARK, name)
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && told.contains("1 passed"),
        "{name} in its own process: {}\n{told}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    false
}

/// Runs the rest of a test function in a process of its own.
macro_rules! in_child {
    () => {
        fn here() {}
        let name = std::any::type_name_of_val(&here);
        if !$crate::in_child::is_child(name.trim_end_matches("::here").trim_end_matches("::{{closure}}")) {
            return;
        }
    };
}
pub(crate) use in_child;
