//! The example `supervised`, on virtual time.

use super::kit::pass;
use poe::testing;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

#[allow(dead_code, unreachable_pub, reason = "the example's `main` is not the test's")]
#[path = "../../../examples/supervised.rs"]
mod supervised;

#[tokio::test(start_paused = true)]
async fn the_example_restarts_what_it_says() {
    let kernel = testing::kernel();
    let lines = Rc::new(RefCell::new(Vec::new()));
    let seen = lines.clone();
    let supervisor = supervised::start(&kernel, move |line: String| {
        // Without places and numbers of sessions.
        let line = line.replace("supervisor `market`: child ", "");
        let line = line.split(" (event").next().unwrap_or_default();
        let words = line
            .split_whitespace()
            .filter(|word| !word.starts_with("(session") && !word.ends_with(')'));
        seen.borrow_mut().push(words.collect::<Vec<_>>().join(" "));
    });
    let supervisor = supervisor.unwrap();
    pass(&kernel, Duration::from_secs(2)).await;
    let begin = [
        "`store` started as session 2",
        "`book` started as session 4",
        "`feed` started as session 5",
    ];
    let lines = lines.take();
    assert_eq!(lines[..3], begin);
    let failed: Vec<&String> = lines.iter().filter(|line| line.contains("failed")).collect();
    assert_eq!(
        failed,
        [
            "`feed` failed: the connection was lost",
            "`book` failed: a price of zero"
        ]
    );
    assert_eq!(supervisor.children().len(), 3);
    let report = kernel.shutdown(Duration::from_secs(5)).await;
    assert!(report.is_clean(), "{report}");
}
