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

mod opened;
mod source;
mod task;

use super::base::{Base, Tag, set_event, tag_setting, wheel_methods};
use super::error::IoError;
use super::pump::{Input, Parser, TypedParser};
use crate::arg::AnyArg;
use crate::debug::debug_fields;
use crate::error::{Error, ErrorKind};
use crate::event::Posts;
use crate::filter::{Filter, FilterError};
use crate::id::{TaskId, WheelId};
use crate::kernel::KernelRef;
use crate::name::HeldName;
use bytes::Bytes;
use opened::{Events, Flush, TailState};
use source::{Source, Start, Target};
use std::os::fd::OwnedFd;
use std::panic::Location;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;
use task::TailTask;

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

// The settings of a FollowTail, and its start.
/// A shorter interval would leave the kernel no time for anything else.
const SHORTEST: Duration = Duration::from_millis(1);

/// Configures a [`FollowTail`] wheel.
///
/// | setting | default |
/// |---|---|
/// | [`input`](Self::input) | required |
/// | [`error`](Self::error), [`reset`](Self::reset), [`idle`](Self::idle) | no event |
/// | [`poll_interval`](Self::poll_interval) | 1 s |
/// | [`seek`](Self::seek), [`seek_back`](Self::seek_back) | the present content is skipped |
/// | [`ignore_link_count`](Self::ignore_link_count) | adding or removing a link is a reset |
#[must_use = "a wheel does nothing until `start` is called"]
pub struct FollowTailBuilder {
    target: Target,
    parser: Option<Box<dyn Parser>>,
    flush: Option<Flush>,
    events: Events,
    interval: Duration,
    seek: Option<i64>,
    seek_back: Option<i64>,
    links_count: bool,
    #[cfg(feature = "notify")]
    notified: bool,
    fault: Option<FilterError>,
    tag: Tag,
}

tag_setting!([] FollowTailBuilder, tag);

impl FollowTailBuilder {
    fn new(target: Target) -> Self {
        FollowTailBuilder {
            target,
            parser: None,
            flush: None,
            events: Events::default(),
            interval: Duration::from_secs(1),
            seek: None,
            seek_back: None,
            links_count: true,
            #[cfg(feature = "notify")]
            notified: false,
            fault: None,
            tag: Tag::default(),
        }
    }

    /// Reads with this filter and sends each record as this event.
    ///
    /// An unfinished record is kept over a reset, and joined with
    /// the first bytes of the next file, as in POE: no byte is lost.
    #[doc(alias = "InputEvent")]
    #[doc(alias = "Filter")]
    pub fn input<F: Filter>(mut self, filter: F, event: impl Posts<Input<F::Input>>) -> Self {
        self.check(&filter);
        self.parser = Some(Box::new(TypedParser::new(filter, event)));
        self.flush = None;
        self
    }

    /// Like [`input`](Self::input), but a record that is unfinished at a reset does not wait for the next file.
    ///
    /// `partial` makes a record of its bytes, which comes before the reset event, or returns `None` to drop them.
    pub fn input_flushing<F: Filter>(
        self,
        filter: F,
        event: impl Posts<Input<F::Input>>,
        partial: impl Fn(Bytes) -> Option<F::Input> + 'static,
    ) -> Self {
        let mut builder = self.input(filter, event);
        builder.flush = Some(Rc::new(move |bytes, wheel| {
            let record = partial(bytes)?;
            Some(AnyArg::new(Input { record, wheel }))
        }));
        builder
    }

    /// Sends this event for errors.
    ///
    /// Without it they are silent, except errors of the filter, which are logged: a rejected record (a line that is
    /// not UTF-8) at `warn!`, and the next one follows; a filter that cannot go on at `error!`, and no record comes any more.
    #[doc(alias = "ErrorEvent")]
    pub fn error(mut self, event: impl Posts<IoError>) -> Self {
        self.events.error = Some(HeldName::new(event.key()));
        self
    }

    /// Sends this event when the next records come from the beginning of another file, or of a truncated one.
    #[doc(alias = "ResetEvent")]
    pub fn reset(mut self, event: impl Posts<WheelId>) -> Self {
        self.events.reset = Some(HeldName::new(event.key()));
        self
    }

    /// Sends this event each time a look at the file finds nothing more, also while there is no file.
    #[doc(alias = "IdleEvent")]
    pub fn idle(mut self, event: impl Posts<WheelId>) -> Self {
        self.events.idle = Some(HeldName::new(event.key()));
        self
    }

    /// Sets the time between two looks at a plain file; default 1 s, at least 1 ms.
    #[doc(alias = "PollInterval")]
    pub fn poll_interval(mut self, interval: Duration) -> Self {
        self.interval = interval.max(SHORTEST);
        self
    }

    /// Begins this many bytes after the file's start, or with a negative number before its end.
    ///
    /// It never begins beyond either. It applies to the file that exists at first; later files are read from their start.
    #[doc(alias = "Seek")]
    pub fn seek(mut self, bytes: i64) -> Self {
        self.seek = Some(bytes);
        self
    }

    /// Begins this many bytes before the file's end, with 0 at the end itself.
    #[doc(alias = "SeekBack")]
    pub fn seek_back(mut self, bytes: i64) -> Self {
        self.seek_back = Some(bytes);
        self
    }

    /// Does not treat adding or removing a hard link as a reset.
    ///
    /// In POE, and without this, it is one: the whole file is delivered again.
    pub fn ignore_link_count(mut self) -> Self {
        self.links_count = false;
        self
    }

    /// Uses the system's file events beside polling, so that changes are seen at once.
    ///
    /// The semantics stay those of polling, which goes on alone where the system has no file events. On virtual time it does nothing.
    #[cfg(feature = "notify")]
    pub fn notify(mut self) -> Self {
        self.notified = true;
        self
    }

    fn check<F: Filter>(&mut self, filter: &F) {
        if let Err(error) = filter.check() {
            self.fault.get_or_insert(error);
        }
    }

    /// Starts the wheel for the session that is running; pass the handler's context.
    ///
    /// Everything appended after that is delivered.
    ///
    /// # Errors
    /// There is no input event, or a filter's settings are invalid; both `seek` and `seek_back` were given; it is a
    /// directory; the file exists and cannot be read; it is a socket, pipe or terminal and the kernel is on virtual time;
    /// the session has been stopped.
    #[track_caller]
    pub fn start(self, kernel: &KernelRef<'_>) -> Result<FollowTail, Error> {
        let place = Location::caller();
        if let Some(fault) = self.fault {
            return Err(ErrorKind::Invalid(fault.to_string()).into());
        }
        let Some(parser) = self.parser else {
            return Err(ErrorKind::Invalid("a FollowTail needs an input event".to_owned()).into());
        };
        let start = match (self.seek, self.seek_back) {
            (Some(_), Some(_)) => {
                return Err(ErrorKind::Invalid("seek and seek_back cannot both be given".to_owned()).into());
            }
            (None, None) => Start::Skip,
            (Some(bytes), None) if bytes >= 0 => Start::At(bytes.unsigned_abs()),
            (Some(bytes), None) => Start::Back(bytes.unsigned_abs()),
            (None, Some(bytes)) if bytes >= 0 => Start::Back(bytes.unsigned_abs()),
            (None, Some(bytes)) => Start::At(bytes.unsigned_abs()),
        };
        let what = match &self.target {
            Target::Name(path) => path.display().to_string(),
            Target::Handle(_) => "a handle".to_owned(),
        };
        let failed = |error| {
            Error::from(ErrorKind::IoOf {
                what: format!("cannot follow {what}"),
                error,
                cure: "",
            })
        };
        kernel.own_slot()?;
        let (path, source) = self.target.open().map_err(failed)?;
        if kernel.core.is_virtual() && matches!(source, Some(Source::Stream(_))) {
            let why = "a kernel on virtual time follows plain files only";
            return Err(failed(std::io::Error::new(std::io::ErrorKind::Unsupported, why)));
        }
        let base = Base::new(kernel, place).tagged(self.tag);
        let name = format!("FollowTail {} (following {what})", base.id());
        let state = TailState::new(base, what.clone(), parser, self.flush, self.events);
        #[cfg(feature = "notify")]
        let hint = match &path {
            Some(path) if self.notified && !kernel.core.is_virtual() => source::Hint::watching(path),
            _ => source::Hint::default(),
        };
        #[cfg(not(feature = "notify"))]
        let hint = source::Hint::default();
        let mut task = TailTask::new(state.clone(), path, self.interval, self.links_count, hint);
        task.begin(kernel.core, source, start).map_err(failed)?;
        let task = state.base.start(&name, false, Box::new(task));
        Ok(FollowTail { state, task })
    }
}

debug_fields!([] FollowTailBuilder, "FollowTailBuilder", |this| {
    target: this.target,
    poll_interval: this.interval,
    ..
});
