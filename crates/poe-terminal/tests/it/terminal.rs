//! Tests of what needs a terminal run in a process of their own, under a pseudo terminal, with somebody at the keys: this test binary
//! once more, with the one test.

use pty_process::Size;
use pty_process::blocking::{Command, Pty, open};
use std::io::{Read, Write};
use std::process::{Child, ExitStatus};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

pub(crate) const MARK: &str = "POE_TEST_ON_TERMINAL";

const DEADLINE: Duration = Duration::from_secs(20);

#[derive(Default)]
struct Screen {
    bytes: Mutex<(Vec<u8>, bool)>,
    changed: Condvar,
}

/// Waits for the end of a test's process, which is killed at the deadline.
fn ended(child: &mut Child, name: &str) -> ExitStatus {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if Instant::now() > deadline {
            let _ = child.kill();
            let _ = child.wait();
            panic!("{name} has not ended after {DEADLINE:?}");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A pseudo terminal with a test on it.
pub(crate) struct Terminal {
    pty: Arc<Pty>,
    child: Child,
    screen: Arc<Screen>,
    /// What has been waited for stands before this.
    seen: usize,
}

impl Terminal {
    /// Runs the test `name` (its full path) on a terminal of 24 rows and 80 columns.
    pub(crate) fn of(name: &str) -> Self {
        let (pty, pts) = open().unwrap();
        pty.resize(Size::new(24, 80)).unwrap();
        let child = Command::new(std::env::current_exe().unwrap())
            .args(crate::in_child::arguments(name))
            .env(MARK, name)
            .env("TERM", "xterm")
            .env("INPUTRC", "/dev/null")
            .spawn(pts)
            .unwrap();
        let pty = Arc::new(pty);
        let screen = Arc::new(Screen::default());
        let (reader, shown) = (pty.clone(), screen.clone());
        std::thread::spawn(move || watch(&reader, &shown));
        Terminal {
            pty,
            child,
            screen,
            seen: 0,
        }
    }

    pub(crate) fn press(&self, keys: &str) {
        (&*self.pty).write_all(keys.as_bytes()).unwrap();
    }

    pub(crate) fn resize(&self, rows: u16, columns: u16) {
        self.pty.resize(Size::new(rows, columns)).unwrap();
    }

    /// Waits until the text is shown, behind what was waited for before.
    pub(crate) fn wait_for(&mut self, text: &str) {
        let until = Instant::now() + DEADLINE;
        let mut bytes = self.screen.bytes.lock().unwrap();
        loop {
            let found = bytes.0[self.seen..]
                .windows(text.len())
                .position(|w| w == text.as_bytes());
            if let Some(at) = found {
                self.seen += at + text.len();
                return;
            }
            let left = until.saturating_duration_since(Instant::now());
            assert!(
                !left.is_zero() && !bytes.1,
                "`{text}` was not shown; since the last:\n{}",
                String::from_utf8_lossy(&bytes.0[self.seen..]).escape_debug()
            );
            bytes = self.screen.changed.wait_timeout(bytes, left).unwrap().0;
        }
    }

    /// All that was shown, once the test has ended.
    pub(crate) fn end(mut self) -> (ExitStatus, String) {
        let status = ended(&mut self.child, "a test on a terminal");
        let bytes = self.screen.bytes.lock().unwrap();
        let bytes = self
            .screen
            .changed
            .wait_timeout_while(bytes, DEADLINE, |o| !o.1)
            .unwrap()
            .0;
        (status, String::from_utf8_lossy(&bytes.0).into_owned())
    }
}

/// Reads what is shown, and answers as a terminal does when it is asked where the cursor is.
fn watch(pty: &Pty, screen: &Screen) {
    let mut buffer = [0; 4096];
    // Linux may say that the other side is closed while its last bytes are on their way; a second read has them.
    while let Ok(n @ 1..) = (&*pty).read(&mut buffer).or_else(|_| (&*pty).read(&mut buffer)) {
        for _ in buffer[..n].windows(4).filter(|w| *w == b"\x1b[6n") {
            let _ = (&*pty).write_all(b"\x1b[1;1R");
        }
        screen.bytes.lock().unwrap().0.extend_from_slice(&buffer[..n]);
        screen.changed.notify_all();
    }
    screen.bytes.lock().unwrap().1 = true;
    screen.changed.notify_all();
}

/// Runs the rest of a test function on a terminal, with `$drive` at its keys.
macro_rules! on_terminal {
    ($drive:expr) => {
        fn here() {}
        let name = std::any::type_name_of_val(&here);
        let name = name.trim_end_matches("::here").trim_end_matches("::{{closure}}");
        if std::env::var($crate::terminal::MARK).as_deref() != Ok(name) {
            let mut terminal = $crate::terminal::Terminal::of(name);
            let drive: fn(&mut $crate::terminal::Terminal) = $drive;
            drive(&mut terminal);
            let (status, shown) = terminal.end();
            assert!(status.success() && shown.contains("1 passed"), "{status}\n{shown}");
            return;
        }
    };
}
pub(crate) use on_terminal;
