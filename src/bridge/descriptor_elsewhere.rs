//! Standard input and output on systems without descriptors: one thread reads, another writes.
//!
//! A read that is given up takes the next input: this system cannot cancel it. Nothing waits for the thread.

use super::threads::{BLOCK, Request, Worker};
use std::fmt;
use std::io::{self, Read, Write};
use std::sync::mpsc;
use std::task::{Context, Poll};
use tokio::io::ReadBuf;

type Serve = Box<dyn FnOnce(&mpsc::Receiver<Request>) + Send>;

/// One direction.
pub(crate) struct Flow {
    name: &'static str,
    way: Way,
}

enum Way {
    New(Serve),
    Thread(Worker),
    Over,
}

impl Flow {
    pub(crate) fn reading(mut source: impl Read + Send + 'static) -> Self {
        let serve = move |requests: &mpsc::Receiver<Request>| {
            let mut buffer = vec![0; BLOCK];
            while let Ok(request) = requests.recv() {
                let Request::Read(reply) = request else { continue };
                let read = loop {
                    match source.read(&mut buffer) {
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                        result => break result,
                    }
                };
                let _given_up = reply.send(read.map(|read| buffer[..read].to_vec()));
            }
        };
        Flow {
            name: "poe-input",
            way: Way::New(Box::new(serve)),
        }
    }

    pub(crate) fn writing(mut sink: impl Write + Send + 'static) -> Self {
        let serve = move |requests: &mpsc::Receiver<Request>| {
            while let Ok(request) = requests.recv() {
                let Request::Write(bytes, reply) = request else {
                    continue;
                };
                let written = sink.write_all(&bytes).and_then(|()| sink.flush());
                let _given_up = reply.send(written.map(|()| Vec::new()));
            }
        };
        Flow {
            name: "poe-output",
            way: Way::New(Box::new(serve)),
        }
    }

    fn begin(&mut self) -> io::Result<Option<&mut Worker>> {
        self.way = match std::mem::replace(&mut self.way, Way::Over) {
            Way::New(serve) => Way::Thread(Worker::start(self.name, None, serve)?),
            way => way,
        };
        Ok(match &mut self.way {
            Way::Thread(worker) => Some(worker),
            Way::New(_) | Way::Over => None,
        })
    }

    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.begin()? {
            Some(worker) => worker.poll_read(cx, buffer),
            None => Poll::Ready(Ok(())),
        }
    }

    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.begin()? {
            Some(worker) => worker.poll_write(cx, bytes),
            None => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.way {
            Way::Thread(worker) => worker.poll_idle(cx),
            Way::New(_) | Way::Over => Poll::Ready(Ok(())),
        }
    }

    pub(crate) fn close(&mut self) {
        self.way = Way::Over;
    }
}

impl fmt::Debug for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flow").field("name", &self.name).finish_non_exhaustive()
    }
}
