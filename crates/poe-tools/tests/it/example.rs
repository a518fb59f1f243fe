//! The example `dropbox`, as a program would be used: files arrive, words are counted.

#[allow(dead_code)]
#[path = "../../examples/dropbox.rs"]
mod dropbox;

use crate::kit::{LONG, Log};
use poe::Kernel;
use std::time::{Duration, Instant};

#[tokio::test]
async fn files_that_are_dropped_are_counted_and_moved_away() {
    let folder = std::env::temp_dir().join(format!("poe-tools-dropbox-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (kernel, log) = (Kernel::new(), Log::default());
    let printed = log.clone();
    let supervisor = dropbox::start(&kernel, &folder, move |line| printed.add(line)).unwrap();
    let test = async {
        for (name, text) in [("a.txt", "one two three"), ("b.txt", "four"), ("c.txt", "")] {
            std::fs::write(folder.join(name), text).unwrap();
        }
        // A minute may begin meanwhile.
        let counted = || {
            let mut lines: Vec<_> = log
                .lines()
                .into_iter()
                .filter(|line| line.ends_with(" words"))
                .collect();
            lines.sort();
            lines
        };
        let deadline = Instant::now() + LONG;
        while counted().len() < 3 {
            assert!(Instant::now() < deadline, "{:?}", log.lines());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(counted(), ["a.txt: 3 words", "b.txt: 1 words", "c.txt: 0 words"]);
        assert!(folder.join("done/a.txt").exists() && !folder.join("a.txt").exists());
        supervisor.shutdown();
    };
    let (ran, ()) = tokio::join!(kernel.run(), test);
    ran.unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
}
