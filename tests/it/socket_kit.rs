//! The kit of the socket tests. They run on the real clock, each with a deadline.

use poe::Kernel;
use poe::testing::assert_no_leaks;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

/// A test that takes longer hangs, also on a busy machine.
const LIMIT: Duration = Duration::from_secs(180);

/// Fails instead of hanging.
pub(crate) async fn within<F: Future>(work: F) -> F::Output {
    tokio::time::timeout(LIMIT, work)
        .await
        .expect("it should have ended by now")
}

/// Runs to the end, which must succeed and leave no session.
pub(crate) async fn run(kernel: &Kernel) {
    run_with(kernel, async {}).await;
}

/// Runs beside what another end of the sockets does.
pub(crate) async fn run_with<F: Future>(kernel: &Kernel, work: F) -> F::Output {
    let both = async { tokio::join!(work, kernel.run()) };
    let Ok((done, ran)) = tokio::time::timeout(LIMIT, both).await else {
        panic!("it should have ended by now\n{}", kernel.why_alive());
    };
    ran.unwrap();
    assert_no_leaks(kernel);
    done
}

/// An address for one test only, so that a port that was just released is not taken by another.
pub(crate) fn alone(number: u8) -> String {
    if cfg!(target_os = "linux") {
        format!("127.84.2.{number}:0")
    } else {
        "127.0.0.1:0".to_owned()
    }
}

/// An address of this machine where nothing listens.
pub(crate) fn nobody(number: u8) -> SocketAddr {
    let unused = std::net::TcpListener::bind(alone(number)).unwrap();
    unused.local_addr().unwrap()
}

/// Counts what happens, by name.
#[derive(Clone, Default)]
pub(crate) struct Tally(Rc<RefCell<BTreeMap<String, usize>>>);

impl Tally {
    pub(crate) fn add(&self, what: impl ToString) {
        *self.0.borrow_mut().entry(what.to_string()).or_default() += 1;
    }

    pub(crate) fn of(&self, what: &str) -> usize {
        self.0.borrow().get(what).copied().unwrap_or(0)
    }

    /// Asserts that exactly these things have happened, this often.
    #[track_caller]
    pub(crate) fn is(&self, expected: &[(&str, usize)]) {
        let expected: BTreeMap<String, usize> = expected.iter().map(|(what, n)| ((*what).to_owned(), *n)).collect();
        assert_eq!(*self.0.borrow(), expected);
    }
}

/// Lines in the order in which they were logged.
#[derive(Clone, Default)]
pub(crate) struct Log(Rc<RefCell<Vec<String>>>);

impl Log {
    pub(crate) fn say(&self, what: impl ToString) {
        self.0.borrow_mut().push(what.to_string());
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.0.borrow().clone()
    }
}

/// The highest that a number has been.
#[derive(Clone, Default)]
pub(crate) struct Gauge(Rc<Cell<(usize, usize)>>);

impl Gauge {
    pub(crate) fn up(&self) {
        let (now, most) = self.0.get();
        self.0.set((now + 1, most.max(now + 1)));
    }

    pub(crate) fn down(&self) {
        let (now, most) = self.0.get();
        self.0.set((now - 1, most));
    }

    pub(crate) fn now(&self) -> usize {
        self.0.get().0
    }

    pub(crate) fn most(&self) -> usize {
        self.0.get().1
    }
}

/// A path for a UNIX socket, which goes with the value.
pub(crate) struct SocketPath(pub(crate) std::path::PathBuf);

impl SocketPath {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("poe-{}-{name}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        SocketPath(path)
    }
}

impl Drop for SocketPath {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

pub(crate) fn rot13(text: &str) -> String {
    let turned = text.chars().map(|c| match c {
        'a'..='m' | 'A'..='M' => (c as u8 + 13) as char,
        'n'..='z' | 'N'..='Z' => (c as u8 - 13) as char,
        other => other,
    });
    turned.collect()
}
