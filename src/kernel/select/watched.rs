//! A descriptor that can be watched.

use super::SelectMode;
use super::select_files::io_error;
use crate::bridge::files::{FileId, file_id, set_nonblocking};
use crate::error::Error;
use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

/// A descriptor that sessions watch. It is a duplicate, so the original may be closed first.
///
/// A clone is the same descriptor. Sessions share this value and not the number (pausing applies to all of them): two
/// values made from one file are different.
///
/// ```
/// use poe::{Event, Kernel, Session, event::START, unix::{Selected, Watched}};
/// use std::io::{Read, Write};
/// const READABLE: Event<Selected<&'static str>> = Event::new("readable");
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), poe::Error> {
/// let kernel = Kernel::new();
/// let (reader, mut writer) = std::io::pipe().unwrap();
/// Session::builder(reader)
///     .on(START, |cx, ()| cx.select_read(&Watched::new(&*cx.heap)?, READABLE, "extra"))
///     .on(READABLE, |cx, selected| {
///         let mut bytes = [0; 80];
///         match cx.heap.read(&mut bytes) {
///             Ok(0) => assert!(cx.select_read_clear(&selected.handle)), // the end
///             Ok(n) => println!("{n} bytes, {}", selected.extra),
///             Err(error) => println!("{error}"),
///         }
///     })
///     .create(&kernel)?;
/// writer.write_all(b"hello").unwrap();
/// drop(writer);
/// kernel.run().await
/// # }
/// ```
#[derive(Clone)]
pub struct Watched(Rc<Inner>);

struct Inner {
    fd: OwnedFd,
    /// The file behind it, if the system can tell it from others.
    file: Option<FileId>,
}

impl Watched {
    /// Duplicates the descriptor and makes it non-blocking, as POE does. The original becomes non-blocking as well,
    /// permanently.
    ///
    /// # Errors
    /// The system's, when it has no descriptor left.
    pub fn new(file: impl AsFd) -> Result<Self, Error> {
        let made = file.as_fd().try_clone_to_owned().and_then(|fd| {
            set_nonblocking(fd.as_fd(), true)?;
            let file = file_id(fd.as_fd());
            Ok(Watched(Rc::new(Inner { fd, file })))
        });
        made.map_err(|error| io_error("duplicating a descriptor", error))
    }

    pub(super) fn key(&self, mode: SelectMode) -> FileKey {
        (Rc::as_ptr(&self.0) as usize, mode)
    }

    /// What it has in common with other descriptors of the same pipe, socket or terminal.
    pub(super) fn group(&self, mode: SelectMode) -> Option<GroupKey> {
        self.0.file.map(|file| (file, mode))
    }
}

impl AsFd for Watched {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.fd.as_fd()
    }
}

impl PartialEq for Watched {
    /// Returns whether both are clones of one value.
    fn eq(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Watched {}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Watched").field(&self.0.fd).finish()
    }
}

/// A descriptor's address, which is its own for as long as somebody watches it, and a mode.
pub(super) type FileKey = (usize, SelectMode);

/// A file and a mode.
pub(super) type GroupKey = (FileId, SelectMode);
