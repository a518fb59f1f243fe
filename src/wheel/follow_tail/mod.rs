//! POE::Wheel::FollowTail: the records that somebody appends to a file, also when the file is rotated away.
//!
//! | event | argument | when |
//! |---|---|---|
//! | input | [`Input`] | a record was read |
//! | reset | [`WheelId`] | another file has the name now, or the file was cut short: what comes next is from its beginning |
//! | idle | [`WheelId`] | a look at the file found nothing more |
//! | error | [`IoError`] | reading failed (`read`), looking for changes failed (`stat`), the file may not be opened (`open`) |
//!
//! All go to the session that made the wheel, ahead of what is queued.

mod ahead;
mod builder;
mod opened;
mod source;
mod state;
mod task;

use super::base::{set_event, wheel_methods};
use super::error::IoError;
use super::pump::{Input, TypedParser};
use crate::event::Posts;
use crate::filter::{Filter, FilterError};
use crate::id::{TaskId, WheelId};
use bytes::Bytes;
use source::Place;
use state::State;
use std::fmt;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::rc::Rc;

pub use builder::FollowTailBuilder;

/// Follows a file that grows (`POE::Wheel::FollowTail`).
///
/// A plain file is looked at every [poll interval](FollowTailBuilder::poll_interval), read to its end, and compared with
/// what its name stands for by then: after a rotation the old file is read to its end, then comes the reset event, then
/// the new file from its beginning. As long as the new file is empty the old one is still read, so that a writer that
/// has not yet been told of the rotation loses nothing. A file that is not there is waited for. A fifo, a socket, a
/// pipe or a terminal is read whenever it is ready, without polling.
///
/// Files are read on the kernel's thread, a block at a time; that is no wait for files on local disks. No kind of file makes the thread
/// wait for what is not there yet: a fifo is opened whether it has a writer or not, and devices and the system's own files
/// are read without blocking. A directory, a socket's name, and a device that cannot be waited for are errors.
///
/// The size that the system tells of a file is not relied on, because files under `/proc` say 0 and hold something all the same. Between
/// two looks there is always the poll interval, whatever they see; after a reset the next one comes with the next look.
///
/// Keep it in the heap; dropping it stops it. While it is there it keeps its session alive, even for a file that is
/// missing, unless it has met an error that ends it or the end of a socket or pipe.
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
/// A program that is to go on where it stopped keeps how far it has come: to where the wheel has read, less what is no
/// record yet.
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
///
/// A wheel can be given away, and can tell of more, or of less, from then on:
///
/// ```
/// use poe::{Event, Session, WheelId, event::START, filter::Line, testing};
/// use poe::wheel::{FollowTail, Input, IoError};
/// const TAIL: Event<FollowTail> = Event::new("tail");
/// const LINE: Event<Input<String>> = Event::new("line");
/// const RESET: Event<WheelId> = Event::new("reset");
/// const ERROR: Event<IoError> = Event::new("error");
/// # tokio_test::block_on(async { tokio::time::pause();
/// let kernel = testing::kernel();
/// # let log = std::env::temp_dir().join(format!("poe-doc-adopt-{}", std::process::id()));
/// # let path = log.clone();
/// # std::fs::write(&log, "a line\n").unwrap();
/// let reader = Session::builder(None::<FollowTail>)
///     .on(START, |cx, ()| cx.alias_set("reader"))
///     .on(TAIL, |cx, tail: FollowTail| -> poe::HandlerResult {
///         cx.alias_remove("reader")?; // it is the wheel that keeps the session alive from here on
///         tail.adopt(cx)?;
///         assert_eq!(tail.session_id(), cx.session_id());
///         tail.set_reset_event(Some(RESET));
///         tail.set_error_event(Some(ERROR));
///         *cx.heap = Some(tail);
///         Ok(())
///     })
///     .on(LINE, |cx, input| {
///         assert_eq!((&*input.record, Some(input.wheel)), ("a line", cx.heap.as_ref().map(FollowTail::id)));
///         *cx.heap = None;
///     })
///     .create(&kernel)?;
/// Session::builder(())
///     .on(START, move |cx, ()| -> poe::HandlerResult {
///         let tail = FollowTail::builder(&log).input(Line::new(), LINE).seek(0).start(cx)?;
///         Ok(cx.call(reader, TAIL, tail)?) // at once, before it has told anything to this session
///     })
///     .create(&kernel)?;
/// kernel.run().await?;
/// # std::fs::remove_file(path).unwrap();
/// # Ok::<(), poe::Error>(()) }).unwrap();
/// ```
#[doc(alias = "POE::Wheel::FollowTail")]
pub struct FollowTail {
    state: Rc<State>,
    task: Option<TaskId>,
}

impl FollowTail {
    /// Settings for a wheel on a file by its name, whatever stands behind the name at a time.
    #[doc(alias = "Filename")]
    pub fn builder(path: impl Into<PathBuf>) -> FollowTailBuilder {
        FollowTailBuilder::new(Place::Name(path.into()))
    }

    /// Settings for a wheel on something that is open: a [`File`](std::fs::File), the reading end of a pipe, a socket.
    /// It stays this one file, whatever becomes of its name. The wheel has the handle for itself, and sockets and pipes
    /// become non-blocking.
    ///
    /// ```
    /// use poe::{Event, Kernel, Session, WheelId, event::START, filter::Line, wheel::{FollowTail, Input}};
    /// use std::io::{PipeReader, Write};
    /// const LINE: Event<Input<String>> = Event::new("line");
    /// const END: Event<WheelId> = Event::new("end");
    /// # tokio_test::block_on(async {
    /// let kernel = Kernel::new();
    /// let (reader, mut writer) = std::io::pipe().unwrap();
    /// writer.write_all(b"a line\n").unwrap();
    /// drop(writer);
    /// Session::builder(None)
    ///     .on(START, |cx, reader: PipeReader| -> poe::HandlerResult {
    ///         *cx.heap = Some(FollowTail::handle(reader).input(Line::new(), LINE).idle(END).start(cx)?);
    ///         Ok(())
    ///     })
    ///     .on(LINE, |_, input| assert_eq!(input.record, "a line"))
    ///     .on(END, |cx, _| *cx.heap = None) // the end of a pipe is idleness, as in POE
    ///     .args(reader)
    ///     .create(&kernel)?;
    /// kernel.run().await
    /// # }).unwrap();
    /// ```
    #[doc(alias = "Handle")]
    pub fn handle(file: impl Into<OwnedFd>) -> FollowTailBuilder {
        FollowTailBuilder::new(Place::Handle(file.into()))
    }

    /// Where reading goes on, in bytes from the file's beginning: ahead of the last record by what is in the filter.
    /// `None` while there is no file, and for what has no places, such as a pipe.
    #[must_use]
    #[doc(alias = "tell")]
    pub fn position(&self) -> Option<u64> {
        self.state.offset.get()
    }

    /// A copy of the bytes that the filter has not made a record of.
    #[doc(alias = "get_pending")]
    #[must_use]
    pub fn pending(&self) -> Bytes {
        let pending = self.state.with_parser(|p| Bytes::copy_from_slice(p.pending()));
        pending.unwrap_or_default()
    }

    /// Changes the filter and the event. Bytes that the old filter has not used move to the new one; the records that
    /// it sees in them come directly after the current handler. What [`input_flushing`](FollowTailBuilder::input_flushing)
    /// was given is of the old filter, and not called any more.
    ///
    /// ```
    /// use poe::{Event, Session, event::START, filter::Line, testing, wheel::{FollowTail, Input}};
    /// const HEAD: Event<Input<String>> = Event::new("head");
    /// const WORD: Event<Input<String>> = Event::new("word");
    /// # tokio_test::block_on(async { tokio::time::pause();
    /// let kernel = testing::kernel();
    /// # let log = std::env::temp_dir().join(format!("poe-doc-switch-{}", std::process::id()));
    /// # let path = log.clone();
    /// std::fs::write(&log, "words follow\none;two;").unwrap();
    /// Session::builder(None::<FollowTail>)
    ///     .on(START, move |cx, ()| -> poe::HandlerResult {
    ///         *cx.heap = Some(FollowTail::builder(&log).input(Line::new(), HEAD).seek(0).start(cx)?);
    ///         Ok(())
    ///     })
    ///     .on(HEAD, |cx, head| -> poe::HandlerResult {
    ///         assert_eq!(head.record, "words follow");
    ///         let Some(tail) = &*cx.heap else { return Ok(()) };
    ///         Ok(tail.set_filter(Line::new().literal(";"), WORD)?)
    ///     })
    ///     .on(WORD, |cx, word| if word.record == "two" { *cx.heap = None })
    ///     .create(&kernel)?;
    /// kernel.run().await?;
    /// # std::fs::remove_file(path).unwrap();
    /// # Ok::<(), poe::Error>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// The filter's settings make no sense; nothing has changed then.
    #[doc(alias = "event")]
    pub fn set_filter<F: Filter>(&self, filter: F, event: impl Posts<Input<F::Input>>) -> Result<(), FilterError> {
        filter.check()?;
        drop(self.state.set_parser(Box::new(TypedParser::new(filter, event))));
        drop(self.state.flush.take());
        self.state.base.schedule(self.task);
        Ok(())
    }

    /// Has errors come as that event from now on, or not at all.
    #[doc(alias = "event")]
    pub fn set_error_event<K: Posts<IoError>>(&self, event: Option<K>) {
        set_event(&self.state.events, |events| &mut events.error, event);
    }

    /// Has resets come as that event from now on, or not at all.
    #[doc(alias = "event")]
    pub fn set_reset_event<K: Posts<WheelId>>(&self, event: Option<K>) {
        set_event(&self.state.events, |events| &mut events.reset, event);
    }

    /// Has idle looks come as that event from now on, or not at all.
    ///
    /// ```
    /// use poe::{Event, Session, WheelId, event::START, filter::Line, testing, wheel::{FollowTail, Input}};
    /// use std::{fs::File, io::Write};
    /// const LINE: Event<Input<String>> = Event::new("line");
    /// const CAUGHT_UP: Event<WheelId> = Event::new("caught up");
    /// # tokio_test::block_on(async { tokio::time::pause();
    /// let kernel = testing::kernel();
    /// # let log = std::env::temp_dir().join(format!("poe-doc-idle-{}", std::process::id()));
    /// # let path = log.clone();
    /// let writer = File::create(&log).unwrap();
    /// Session::builder(None::<FollowTail>)
    ///     .on(START, move |cx, ()| -> poe::HandlerResult {
    ///         *cx.heap = Some(FollowTail::builder(&log).input(Line::new(), LINE).idle(CAUGHT_UP).start(cx)?);
    ///         cx.delay("write", std::time::Duration::from_secs(60), ());
    ///         Ok(())
    ///     })
    ///     .on(CAUGHT_UP, |cx, _| {
    ///         // Once is enough: what follows is new.
    ///         let tail = cx.heap.as_ref().expect("it is here until the line comes");
    ///         tail.set_idle_event(None::<Event<WheelId>>);
    ///     })
    ///     .on("write", move |_, ()| (&writer).write_all(b"new\n").unwrap())
    ///     .on(LINE, |cx, _| *cx.heap = None)
    ///     .create(&kernel)?;
    /// let transcript = testing::Transcript::of(&kernel);
    /// kernel.run().await?;
    /// assert_eq!(transcript.records().iter().filter(|record| record.event == "caught up").count(), 1);
    /// # std::fs::remove_file(path).unwrap();
    /// # Ok::<(), poe::Error>(()) }).unwrap();
    /// ```
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

impl fmt::Debug for FollowTail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FollowTail")
            .field("id", &self.id())
            .field("tell", &self.position())
            .finish_non_exhaustive()
    }
}
