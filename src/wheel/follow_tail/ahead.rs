//! Reads on a thread while a file has more than one block to read.
//!
//! A read of a file that was not read lately waits for the disk, for another machine, or for memory, and the whole
//! kernel would wait with it. So the kernel's thread reads only bytes that are certainly cached: mostly the end of a file, which
//! has just been written. A block that filled the buffer shows that there is more, and a thread reads on from there,
//! one block ahead of the session.

use crate::bridge::threads::Job;
use crate::driver::BLOCK_SIZE;
use crate::kernel::Core;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

#[derive(Default)]
pub(super) struct Ahead {
    reading: Option<Job<Block>>,
    /// The buffer of the last block, for the next one but one.
    spare: Vec<u8>,
}

struct Block {
    buffer: Vec<u8>,
    read: io::Result<usize>,
}

impl Ahead {
    /// Passes the block at `offset` to `f`, and starts to read the next one if this one is full.
    ///
    /// Ready with 0 at the end of the file, or if there is no thread: then the caller reads.
    pub(super) fn poll_read(
        &mut self,
        core: &Core,
        file: &Arc<File>,
        offset: u64,
        cx: &mut Context<'_>,
        f: impl FnOnce(&[u8]),
    ) -> Poll<io::Result<usize>> {
        let spare = &mut self.spare;
        let reading = self
            .reading
            .get_or_insert_with(|| start(core, file, offset, std::mem::take(spare)));
        let done = ready!(Pin::new(reading).poll(cx));
        self.reading = None;
        let Ok(Block { buffer, read }) = done else {
            return Poll::Ready(Ok(0));
        };
        let read = read?;
        if read == BLOCK_SIZE {
            let next = start(core, file, offset + read as u64, std::mem::take(&mut self.spare));
            self.reading = Some(next);
        }
        f(&buffer[..read]);
        self.spare = buffer;
        Poll::Ready(Ok(read))
    }
}

fn start(core: &Core, file: &Arc<File>, offset: u64, mut buffer: Vec<u8>) -> Job<Block> {
    let file = file.clone();
    core.threads.run(move || {
        buffer.resize(BLOCK_SIZE, 0);
        let read = loop {
            match file.read_at(&mut buffer, offset) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break Ok(0),
                read => break read,
            }
        };
        Block { buffer, read }
    })
}
