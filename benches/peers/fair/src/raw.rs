//! The same on Tokio alone: a task for each connection, `LinesCodec`, `AsyncFd`.

use crate::Count;
use futures_util::{SinkExt, StreamExt};
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::process::{Command, Stdio};
use std::task::{Context, Poll, ready};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};
use tokio_util::codec::{Framed, FramedRead, LinesCodec};

pub async fn serve(clients: impl FnOnce(SocketAddr), count: Count) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a listener");
    clients(listener.local_addr().expect("an address"));
    let local = tokio::task::LocalSet::new();
    local
        .run_until(async {
            loop {
                let (stream, _) = listener.accept().await.expect("a client");
                let _ = stream.set_nodelay(true);
                let count = count.clone();
                tokio::task::spawn_local(async move {
                    let mut lines = Framed::new(stream, LinesCodec::new_with_max_length(65_536));
                    while let Some(Ok(line)) = lines.next().await {
                        if line.starts_with("echo") {
                            if lines.send(line).await.is_err() {
                                break;
                            }
                        } else {
                            count.set(count.get() + line.len() as u64 + 1);
                        }
                    }
                });
            }
        })
        .await;
}

pub async fn program(terminal: bool, count: Count) {
    if terminal {
        let (master, mut child) = in_a_terminal();
        #[allow(deprecated, reason = "the new way is unsafe, and this is a descriptor of its own")]
        let master = AsyncFd::new(master).expect("a descriptor");
        count_lines(Terminal(master), count).await;
        let _ = child.kill();
        return;
    }
    let mut child = tokio::process::Command::new("yes")
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("yes");
    let output = child.stdout.take().expect("a pipe");
    count_lines(output, count).await;
}

async fn count_lines(output: impl AsyncRead + Unpin + 'static, count: Count) {
    let local = tokio::task::LocalSet::new();
    let counting = async move {
        let mut lines = FramedRead::new(output, LinesCodec::new());
        while let Some(Ok(line)) = lines.next().await {
            count.set(count.get() + line.len() as u64 + 1);
        }
    };
    // The task is made inside the set, which is what allows it.
    let _ = local
        .run_until(async { tokio::task::spawn_local(counting).await })
        .await;
}

fn in_a_terminal() -> (std::os::fd::OwnedFd, std::process::Child) {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a terminal");
    grantpt(&master).expect("a terminal");
    unlockpt(&master).expect("a terminal");
    let name = ptsname(&master, Vec::new()).expect("a terminal");
    let other = std::fs::File::options()
        .read(true)
        .write(true)
        .open(name.to_str().expect("a path"))
        .expect("a terminal");
    rustix::io::ioctl_fionbio(&master, true).expect("a terminal");
    let child = Command::new("yes")
        .stdout(other)
        .stdin(Stdio::null())
        .spawn()
        .expect("yes");
    (master, child)
}

struct Terminal(AsyncFd<std::os::fd::OwnedFd>);

impl AsyncRead for Terminal {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            let mut guard = ready!(self.0.poll_read_ready(cx))?;
            let room = buf.initialize_unfilled();
            match guard.try_io(|fd| Ok(rustix::io::read(fd.get_ref(), room)?)) {
                Ok(read) => {
                    buf.advance(read?);
                    return Poll::Ready(Ok(()));
                }
                Err(_would_block) => {}
            }
        }
    }
}

pub async fn tail(path: &Path, count: Count) {
    let mut file = tokio::fs::File::open(path).await.expect("the file");
    let mut block = vec![0; 65_536];
    loop {
        match file.read(&mut block).await {
            Ok(0) | Err(_) => tokio::time::sleep(std::time::Duration::from_secs(1)).await,
            Ok(n) => count.set(count.get() + n as u64),
        }
    }
}
