//! FAIR: how long others wait beside a flood, and what the flood achieves. `fair ours|raw SCENARIO SECONDS` prints one JSON
//! line: the latency of the victim in microseconds, and the megabytes of the flood that were handled in a second.
//!
//! | scenario | flood | victim |
//! |---|---|---|
//! | `echo-1`, `echo-2`, `echo-4` | so many clients that send lines as fast as they are taken | a client whose line is echoed, once a millisecond |
//! | `pipe` | `yes` on a pipe | the host's timer of 1 ms |
//! | `pty` | `yes` on a pseudo terminal | the same |
//! | `tail` | a file of 4 GiB that is followed from its beginning | the same |
//! | `lines` | 20 clients that send lines as fast as they are taken | the same |
//!
//! A handler of the flood counts its record's bytes. Both systems run on a current-thread runtime, clients on threads.

mod ours;
mod raw;

use std::cell::Cell;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// What the flood has brought, in bytes.
pub type Count = Rc<Cell<u64>>;

/// A line of the flood: 64 bytes with its end.
const LINE: &[u8; 64] = b"a line of the flood, as long as a line of a log or of a chat is\n";

/// Of the file.
const SIZE: u64 = 4 << 30;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let [_, system, scenario, seconds] = &args[..] else {
        eprintln!("usage: fair ours|raw echo-1|echo-2|echo-4|pipe|pty|tail|lines SECONDS");
        std::process::exit(2);
    };
    let time = Duration::from_secs_f64(seconds.parse().expect("a number of seconds"));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let (times, flood, took) = runtime.block_on(run(system == "ours", scenario, time));
    report(system, scenario, times, flood, took);
    // Whatever blocks in the background is of no interest any more.
    std::process::exit(0);
}

async fn run(ours: bool, scenario: &str, time: Duration) -> (Vec<u64>, u64, Duration) {
    let count = Count::default();
    let over = Arc::new(AtomicBool::new(false));
    let flooders = match scenario {
        "echo-1" => 1,
        "echo-2" => 2,
        "echo-4" => 4,
        "lines" => 20,
        _ => 0,
    };
    let (tell, told) = tokio::sync::oneshot::channel();
    let clients = {
        let over = over.clone();
        let echoes = scenario.starts_with("echo");
        move |addr: SocketAddr| {
            for _ in 0..flooders {
                let over = over.clone();
                std::thread::spawn(move || flood(addr, &over));
            }
            if echoes {
                std::thread::spawn(move || drop(tell.send(ask(addr, time))));
            }
        }
    };
    let victim = async {
        if scenario.starts_with("echo") {
            return told.await.expect("it ends well");
        }
        timer(time, &count).await
    };
    let file = matches!(scenario, "tail").then(sparse);
    let began = Instant::now();
    let work = async {
        match (ours, scenario) {
            (true, "pipe") => ours::program(false, count.clone()).await,
            (true, "pty") => ours::program(true, count.clone()).await,
            (false, "pipe") => raw::program(false, count.clone()).await,
            (false, "pty") => raw::program(true, count.clone()).await,
            (true, "tail") => ours::tail(file.as_ref().expect("a file"), count.clone()).await,
            (false, "tail") => raw::tail(file.as_ref().expect("a file"), count.clone()).await,
            (true, _) => ours::serve(clients, count.clone()).await,
            (false, _) => raw::serve(clients, count.clone()).await,
        }
    };
    let times = tokio::select! {
        () = work => panic!("the flood has ended"),
        times = victim => times,
    };
    over.store(true, Ordering::Relaxed);
    if let Some(file) = &file {
        let _ = std::fs::remove_file(file);
    }
    (times, count.get(), began.elapsed())
}

/// A file of 4 GiB that takes no room. It has no lines: it is read in blocks.
fn sparse() -> PathBuf {
    let path = std::env::temp_dir().join(format!("poe-fair-{}", std::process::id()));
    let file = std::fs::File::create(&path).expect("a file");
    file.set_len(SIZE).expect("a sparse file");
    path
}

/// How late the host's timer rings, in microseconds. A file may be at its end before the time is.
async fn timer(time: Duration, count: &Count) -> Vec<u64> {
    let (began, mut late) = (Instant::now(), Vec::new());
    while began.elapsed() < time && count.get() < SIZE {
        let due = Instant::now() + Duration::from_millis(1);
        tokio::time::sleep_until(due.into()).await;
        late.push(due.elapsed().as_micros() as u64);
    }
    late
}

fn flood(addr: SocketAddr, over: &AtomicBool) {
    let mut stream = TcpStream::connect(addr).expect("a server");
    let lines = LINE.repeat(1024);
    while !over.load(Ordering::Relaxed) && stream.write_all(&lines).is_ok() {}
}

/// How long round trips take, in microseconds.
fn ask(addr: SocketAddr, time: Duration) -> Vec<u64> {
    let mut stream = TcpStream::connect(addr).expect("a server");
    stream.set_nodelay(true).expect("a socket");
    let mut reader = BufReader::new(stream.try_clone().expect("a descriptor"));
    // Until the floods have begun.
    std::thread::sleep(Duration::from_millis(100));
    let (began, mut times, mut line) = (Instant::now(), Vec::new(), String::new());
    while began.elapsed() < time {
        std::thread::sleep(Duration::from_millis(1));
        let asked = Instant::now();
        stream.write_all(b"echo this\n").expect("an open connection");
        line.clear();
        reader.read_line(&mut line).expect("an open connection");
        times.push(asked.elapsed().as_micros() as u64);
    }
    times
}

fn report(system: &str, scenario: &str, mut times: Vec<u64>, flood: u64, time: Duration) {
    times.sort_unstable();
    let at = |part: f64| {
        times
            .get(((times.len() as f64 * part) as usize).min(times.len() - 1))
            .copied()
            .unwrap_or(0)
    };
    println!(
        "{{\"system\": \"{system}\", \"scenario\": \"{scenario}\", \"n\": {}, \"p50\": {}, \"p99\": {}, \"max\": {}, \"flood\": {:.1}}}",
        times.len(),
        at(0.5),
        at(0.99),
        at(1.0),
        flood as f64 / time.as_secs_f64() / 1e6,
    );
}
