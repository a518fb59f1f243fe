//! The examples job_queue and follow_log, at work.

use crate::wheel_follow_tail::Folder;
use std::cell::RefCell;
use std::io::{BufRead, Write};
use std::rc::Rc;
use std::time::{Duration, Instant};

#[allow(dead_code, unreachable_pub, reason = "the example's `main` is not the test's")]
#[path = "../../examples/job_queue.rs"]
mod job_queue;

#[allow(dead_code, unreachable_pub, reason = "the example's `main` is not the test's")]
#[path = "../../examples/follow_log.rs"]
mod follow_log;

#[tokio::test]
async fn job_queue_keeps_its_limits_and_tells_how_it_goes() {
    let jobs = [
        "echo one; echo oops >&2",
        "exit 3",
        // It ignores TERM.
        "trap '' TERM; while :; do sleep 0.05; done",
        "echo four",
    ];
    let told = Rc::new(RefCell::new(Vec::new()));
    let progress = told.clone();
    let began = Instant::now();
    // Long enough for the jobs that end in time, also on a busy machine.
    let run = job_queue::run_jobs(jobs.map(str::to_owned), 2, Duration::from_millis(1500), move |line| {
        progress.borrow_mut().push(line.to_owned());
    });
    let outcomes = tokio::time::timeout(Duration::from_secs(60), run)
        .await
        .unwrap()
        .unwrap();
    // Asked after the limit, and ended after the grace.
    assert!(began.elapsed() >= Duration::from_millis(3500));
    let summary: Vec<_> = outcomes
        .iter()
        .map(|o| (o.code, o.timed_out, o.lines.join(",")))
        .collect();
    assert_eq!(
        summary,
        [
            (Some(0), false, "one".to_owned()),
            (Some(3), false, String::new()),
            (Some(128), true, String::new()),
            (Some(0), false, "four".to_owned()),
        ]
    );
    let told = told.borrow();
    assert!(told.iter().any(|line| line.ends_with("job 1: ! oops")), "{told:?}");
    assert!(
        told.iter().any(|line| line.ends_with("job 3: takes too long")),
        "{told:?}"
    );
    assert_eq!(told.last().unwrap(), "[4/4] job 3: has failed");
    let mut running: i32 = 0;
    for line in told.iter() {
        running += i32::from(line.ends_with("starts"));
        running -= i32::from(line.ends_with("is done") || line.ends_with("has failed"));
        assert!((0..=2).contains(&running), "{told:?}");
    }
}

/// Jobs may print Latin-1, and any other bytes.
#[tokio::test]
async fn job_queue_survives_whatever_its_jobs_print() {
    let jobs = [
        r"printf 'caf\351\n'; printf 'na\357ve\n' >&2",
        r"head -c 5000 /dev/urandom; head -c 5000 /dev/urandom >&2; echo; echo end",
        "echo two",
    ];
    let told = Rc::new(RefCell::new(Vec::new()));
    let progress = told.clone();
    let run = job_queue::run_jobs(jobs.map(str::to_owned), 2, Duration::from_secs(30), move |line| {
        progress.borrow_mut().push(line.to_owned());
    });
    let outcomes = tokio::time::timeout(Duration::from_secs(60), run).await;
    let outcomes = outcomes.unwrap().unwrap();
    assert!(outcomes.iter().all(|outcome| outcome.code == Some(0)));
    assert_eq!(outcomes[0].lines, ["caf\u{fffd}"]);
    assert_eq!(outcomes[1].lines.last().unwrap(), "end");
    assert_eq!(outcomes[2].lines, ["two"]);
    assert!(told.borrow().iter().any(|line| line.ends_with("job 1: ! na\u{fffd}ve")));
}

#[tokio::test]
async fn follow_log_sends_what_matters_across_a_rotation_and_a_broken_connection() {
    let folder = Folder::new();
    let log = folder.path("log");
    std::fs::write(&log, "error: of old\n").unwrap();
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let server = listener.local_addr().unwrap().to_string();
    let path = log.clone();
    // The server: takes one line of the first connection and breaks it, and reads the second to its end.
    let server_thread = std::thread::spawn(move || {
        let mut lines = Vec::new();
        let (first, _) = listener.accept().unwrap();
        let mut reader = std::io::BufReader::new(first);
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        lines.push(line.trim_end().to_owned());
        drop(reader);
        // What is sent into a broken connection before that is seen is lost, as ever with TCP: wait for the next one.
        let (second, _) = listener.accept().unwrap();
        let mut file = std::fs::File::options().append(true).open(&path).unwrap();
        file.write_all(b"caf\xe9\nfine\nerror: second \xe9\n").unwrap();
        std::fs::rename(&path, path.with_extension("1")).unwrap();
        writeln!(file, "error: third").unwrap();
        std::fs::write(&path, "all is well\nerror: fourth\n").unwrap();
        let mut reader = std::io::BufReader::new(second);
        for _ in 0..3 {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            lines.push(line.trim_end().to_owned());
        }
        // What the example prints is UTF-8 whatever its log is.
        lines
    });
    let kernel = poe::Kernel::new();
    let interval = Duration::from_millis(20);
    let session = follow_log::start(&kernel, log.clone(), server, "error".to_owned(), interval).unwrap();
    let mut file = std::fs::File::options().append(true).open(&log).unwrap();
    writeln!(file, "fine\nerror: first").unwrap();
    let handle = kernel.handle();
    let thread = tokio::task::spawn_blocking(move || {
        let lines = server_thread.join().unwrap();
        handle.post(session, "end", ()).unwrap();
        lines
    });
    let run = tokio::time::timeout(Duration::from_secs(60), kernel.run());
    run.await.expect("a sane end").unwrap();
    let lines = thread.await.unwrap();
    assert_eq!(
        lines,
        [
            "error: first",
            "error: second \u{fffd}",
            "error: third",
            "error: fourth"
        ]
    );
}
