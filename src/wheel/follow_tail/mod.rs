//! POE::Wheel::FollowTail: records that are appended to a file, also when the file is rotated.
//!
//! | event | argument | when |
//! |---|---|---|
//! | input | [`Input`] | a record was read |
//! | reset | [`WheelId`] | another file has the name now, or the file was truncated: the next records are from its beginning |
//! | idle | [`WheelId`] | a look at the file found nothing more |
//! | error | [`IoError`] | reading failed (`read`), looking for changes failed (`stat`), the file must not be opened (`open`) |
//!
//! All go to the session that made the wheel, ahead of the queue.

mod ahead;
mod builder;
mod opened;
mod source;
mod state;
mod task;

use super::base::{set_event, wheel_methods};
use super::error::IoError;
use super::pump::{Input, TypedParser};
use crate::debug::debug_fields;
use crate::event::Posts;
use crate::filter::{Filter, FilterError};
use crate::id::{TaskId, WheelId};
use bytes::Bytes;
use source::Target;
use state::TailState;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::rc::Rc;

pub use builder::FollowTailBuilder;

/// Follows a file that grows (`POE::Wheel::FollowTail`).
///
/// A plain file is read to its end every [poll interval](FollowTailBuilder::poll_interval), and compared with the file that
/// has its name by then: after a rotation the old file is read to its end, then comes the reset event, then
/// the new file from its beginning. As long as the new file is empty the old one is still read, so that a writer that
/// does not know of the rotation yet loses nothing. The wheel waits for a file that does not exist. A fifo, a socket, a
/// pipe or a terminal is read whenever it is ready, without polling.
///
/// Files are read a block at a time: cached blocks on the kernel's thread, others on a separate one. No kind of file makes the kernel
/// wait for bytes that do not exist yet: a fifo is opened whether it has a writer or not, and devices and the system's own files
/// are read without blocking. A directory, a socket's name, and a device that cannot be waited for are errors.
///
/// The size that the system reports for a file is not trusted, because files under `/proc` have size 0 and contents all the same. Between
/// two looks there is always the poll interval; after a reset the next one comes with the next look.
///
/// Keep it in the heap; dropping it stops it. While it exists it keeps its session alive, even for a missing file,
/// unless it has met a final error or the end of a socket or pipe.
///
/// ```
/// use poe::{Event, Kernel, Session, event::START};
/// use poe::filter::Line;
/// use poe::wheel::{FollowTail, Input};
/// const LINE: Event<Input<String>> = Event::new("line");
/// # tokio_test::block_on(async {
/// let kernel = Kernel::new();
/// let log = std::env::temp_dir().join(format!("poe-doc-tail-{}", std::process::id()));
/// std::fs::write(&log, "the first\nthe second\n").unwrap();
/// let path = log.clone();
/// Session::builder(None::<FollowTail>)
///     .on(START, move |cx, ()| -> poe::HandlerResult {
///         *cx.heap = Some(FollowTail::builder(&path).input(Line::new(), LINE).seek(0).start(cx)?);
///         Ok(())
///     })
///     .on(LINE, |cx, input| {
///         if input.record == "the second" {
///             *cx.heap = None;
///         }
///     })
///     .create(&kernel)?;
/// kernel.run().await?;
/// # std::fs::remove_file(log).unwrap();
/// # Ok::<(), poe::Error>(()) }).unwrap();
/// ```
///
/// To continue where the program stopped, store how far it has come: the position of the wheel, less its pending bytes.
///
/// ```
/// use poe::{Event, Session, event::START, filter::Line, testing, wheel::{FollowTail, Input}};
/// const LINE: Event<Input<String>> = Event::new("line");
/// # tokio_test::block_on(async { tokio::time::pause();
/// let kernel = testing::kernel();
/// # let log = std::env::temp_dir().join(format!("poe-doc-tell-{}", std::process::id()));
/// # let path = log.clone();
/// std::fs::write(&log, "one\ntwo\nthr").unwrap();
/// Session::builder(())
///     .on(START, move |cx, ()| -> poe::HandlerResult {
///         let tail = FollowTail::builder(&log).input(Line::new(), LINE).start(cx)?;
///         assert_eq!((tail.position(), tail.pending()), (Some(11), "thr".into()));
///         let go_on_at = tail.position().map(|bytes| bytes - tail.pending().len() as u64);
///         assert_eq!(go_on_at, Some(8)); // for `seek`, the next time
///         Ok(())
///     })
///     .create(&kernel)?;
/// kernel.run().await?;
/// # std::fs::remove_file(path).unwrap();
/// # Ok::<(), poe::Error>(()) }).unwrap();
/// ```
#[doc(alias = "POE::Wheel::FollowTail")]
#[must_use = "dropping the wheel stops it: keep it in the heap"]
pub struct FollowTail {
    state: Rc<TailState>,
    task: Option<TaskId>,
}

impl FollowTail {
    /// Starts building a wheel on a file by its name, whichever file has the name at a time.
    #[doc(alias = "Filename")]
    pub fn builder(path: impl Into<PathBuf>) -> FollowTailBuilder {
        FollowTailBuilder::new(Target::Name(path.into()))
    }

    /// Starts building a wheel on an open file: a [`File`](std::fs::File), the reading end of a pipe, a socket.
    ///
    /// It follows this one file, whatever happens to its name. The wheel owns the handle, and sockets and pipes
    /// become non-blocking.
    #[doc(alias = "Handle")]
    pub fn handle(file: impl Into<OwnedFd>) -> FollowTailBuilder {
        FollowTailBuilder::new(Target::Handle(file.into()))
    }

    /// Returns where reading continues, in bytes from the file's beginning.
    ///
    /// This is ahead of the last record by the bytes in the filter.
    /// `None` while there is no file, and for a file without positions, such as a pipe.
    #[must_use]
    #[doc(alias = "tell")]
    pub fn position(&self) -> Option<u64> {
        self.state.offset.get()
    }

    /// Copies the bytes of which the filter has made no record.
    #[doc(alias = "get_pending")]
    #[must_use]
    pub fn pending(&self) -> Bytes {
        let pending = self.state.with_parser(|p| Bytes::copy_from_slice(p.pending()));
        pending.unwrap_or_default()
    }

    /// Changes the filter and the event.
    ///
    /// Bytes that the old filter has not used move to the new one; records
    /// in them come directly after the current handler. The function given to [`input_flushing`](FollowTailBuilder::input_flushing)
    /// belongs to the old filter, and is not called any more.
    ///
    /// # Errors
    /// The filter's settings are invalid; nothing is changed then.
    #[doc(alias = "event")]
    pub fn set_filter<F: Filter>(&self, filter: F, event: impl Posts<Input<F::Input>>) -> Result<(), FilterError> {
        filter.check()?;
        drop(self.state.set_parser(Box::new(TypedParser::new(filter, event))));
        drop(self.state.flush.take());
        self.state.base.schedule(self.task);
        Ok(())
    }

    /// Changes the event for errors; `None` stops it.
    #[doc(alias = "event")]
    pub fn set_error_event<K: Posts<IoError>>(&self, event: Option<K>) {
        set_event(&self.state.events, |events| &mut events.error, event);
    }

    /// Changes the event for resets; `None` stops it.
    #[doc(alias = "event")]
    pub fn set_reset_event<K: Posts<WheelId>>(&self, event: Option<K>) {
        set_event(&self.state.events, |events| &mut events.reset, event);
    }

    /// Changes the event for looks that find nothing; `None` stops it.
    #[doc(alias = "event")]
    pub fn set_idle_event<K: Posts<WheelId>>(&self, event: Option<K>) {
        set_event(&self.state.events, |events| &mut events.idle, event);
    }
}

wheel_methods!(FollowTail, |wheel| wheel.state.base, wheel.task);

impl Drop for FollowTail {
    fn drop(&mut self) {
        self.state.base.end(self.task);
    }
}

debug_fields!([] FollowTail, "FollowTail", |this| { id: this.id(), tell: this.position(), .. });
