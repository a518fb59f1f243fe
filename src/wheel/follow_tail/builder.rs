//! The settings of a FollowTail, and how it starts.

use super::FollowTail;
use super::source::{self, Place, Source, Start};
use super::state::{Events, Flush, State};
use super::task::TailTask;
use crate::arg::AnyArg;
use crate::error::{Error, ErrorKind};
use crate::event::Posts;
use crate::filter::{Filter, FilterError};
use crate::id::WheelId;
use crate::kernel::KernelRef;
use crate::name::HeldName;
use crate::wheel::base::Base;
use crate::wheel::error::IoError;
use crate::wheel::pump::{Input, Parser, TypedParser};
use bytes::Bytes;
use std::fmt;
use std::panic::Location;
use std::rc::Rc;
use std::time::Duration;

/// A shorter interval would leave the kernel no time for anything else.
const SHORTEST: Duration = Duration::from_millis(1);

/// Settings of a [`FollowTail`].
///
/// | setting | default |
/// |---|---|
/// | [`input`](Self::input) | required |
/// | [`error`](Self::error), [`reset`](Self::reset), [`idle`](Self::idle) | not told |
/// | [`poll_interval`](Self::poll_interval) | 1 s |
/// | [`seek`](Self::seek), [`seek_back`](Self::seek_back) | what is there already is skipped |
/// | [`ignore_link_count`](Self::ignore_link_count) | a link made or removed is a reset |
///
/// ```
/// use poe::{Event, Session, WheelId, event::START, filter::Line, testing::{self, Transcript}};
/// use poe::wheel::{FollowTail, Input, IoError};
/// use std::time::Duration;
/// const LINE: Event<Input<String>> = Event::new("line");
/// const IDLE: Event<WheelId> = Event::new("idle");
/// const RESET: Event<WheelId> = Event::new("reset");
/// const ERROR: Event<IoError> = Event::new("error");
/// # tokio_test::block_on(async { tokio::time::pause();
/// let kernel = testing::kernel();
/// let transcript = Transcript::of(&kernel);
/// # let log = std::env::temp_dir().join(format!("poe-doc-reset-{}", std::process::id()));
/// # let file = log.clone();
/// std::fs::write(&log, "what was there before\n").unwrap();
/// let path = log.clone();
/// Session::builder(None)
///     .on(START, move |cx, ()| -> poe::HandlerResult {
///         let tail = FollowTail::builder(&path)
///             .input(Line::new(), LINE)
///             .idle(IDLE).reset(RESET).error(ERROR)
///             .poll_interval(Duration::from_millis(250))
///             .ignore_link_count(); // a backup may link to it
///         *cx.heap = Some(tail.start(cx)?);
///         Ok(())
///     })
///     .on(IDLE, move |_, _| std::fs::write(&log, "anew\n").unwrap()) // cuts it short
///     .on(LINE, |cx, _line| *cx.heap = None)
///     .on(RESET, |_, _| ())
///     .on(ERROR, |_, error| panic!("{error}"))
///     .create(&kernel)?;
/// kernel.run().await?;
/// transcript.assert_eq_without_places(
///     "0.000 1 _start kernel
///      0.000 1 idle 1
///      0.250 1 reset 1
///      0.250 1 line 1
///      0.250 1 _stop kernel",
/// );
/// # std::fs::remove_file(file).unwrap();
/// # Ok::<(), poe::Error>(()) }).unwrap();
/// ```
///
/// Where it begins:
///
/// ```
/// use poe::{Event, Session, event::START, filter::Line, testing, wheel::{FollowTail, Input}};
/// const LINE: Event<Input<String>> = Event::new("line");
/// # tokio_test::block_on(async { tokio::time::pause();
/// let kernel = testing::kernel();
/// # let log = std::env::temp_dir().join(format!("poe-doc-seek-{}", std::process::id()));
/// # let path = log.clone();
/// std::fs::write(&log, "1\n2\n3\n").unwrap();
/// Session::builder(())
///     .on(START, move |cx, ()| -> poe::HandlerResult {
///         let tail = || FollowTail::builder(&log).input(Line::new(), LINE);
///         assert_eq!(tail().start(cx)?.position(), Some(6));
///         assert_eq!(tail().seek(2).start(cx)?.position(), Some(2));
///         assert_eq!(tail().seek(-2).start(cx)?.position(), Some(4));
///         assert_eq!(tail().seek_back(2).start(cx)?.position(), Some(4));
///         assert_eq!(tail().seek(1000).start(cx)?.position(), Some(6)); // not beyond the end
///         assert!(tail().seek(2).seek_back(2).start(cx).is_err());
///         Ok(())
///     })
///     .create(&kernel)?;
/// kernel.run().await?;
/// # std::fs::remove_file(path).unwrap();
/// # Ok::<(), poe::Error>(()) }).unwrap();
/// ```
#[must_use = "a wheel turns only after `start`"]
pub struct FollowTailBuilder {
    place: Place,
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
}

impl FollowTailBuilder {
    pub(super) fn new(place: Place) -> Self {
        FollowTailBuilder {
            place,
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
        }
    }

    /// Reads by that filter; each record comes as that event. An unfinished record is kept over a reset, and glued to
    /// the first bytes of the next file, as in POE: no byte is lost.
    #[doc(alias = "InputEvent")]
    #[doc(alias = "Filter")]
    pub fn input<F: Filter>(mut self, filter: F, event: impl Posts<Input<F::Input>>) -> Self {
        self.check(&filter);
        self.parser = Some(Box::new(TypedParser::new(filter, event)));
        self.flush = None;
        self
    }

    /// Like [`input`](Self::input), but a record that is unfinished at a reset does not wait for the next file: `partial`
    /// makes a record of its bytes, which comes ahead of the reset event, or drops them by `None`.
    ///
    /// ```
    /// use poe::{Event, filter::Line, wheel::{FollowTail, Input}};
    /// const LINE: Event<Input<String>> = Event::new("line");
    /// let builder = FollowTail::builder("/var/log/syslog")
    ///     .input_flushing(Line::new(), LINE, |rest| Some(String::from_utf8_lossy(&rest).into_owned()));
    /// ```
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
    /// Without it they are silent, except errors of the filter, which are logged: a record that is refused (a line that is
    /// not UTF-8) at `warn!`, and the next one follows; a filter that cannot go on at `error!`, and no record comes any more.
    #[doc(alias = "ErrorEvent")]
    pub fn error(mut self, event: impl Posts<IoError>) -> Self {
        self.events.error = Some(HeldName::new(event.key()));
        self
    }

    /// Tells that what comes next is from the beginning of another file, or of the same one that was cut short.
    #[doc(alias = "ResetEvent")]
    pub fn reset(mut self, event: impl Posts<WheelId>) -> Self {
        self.events.reset = Some(HeldName::new(event.key()));
        self
    }

    /// Tells each time a look at the file found nothing more, also while there is no file.
    #[doc(alias = "IdleEvent")]
    pub fn idle(mut self, event: impl Posts<WheelId>) -> Self {
        self.events.idle = Some(HeldName::new(event.key()));
        self
    }

    /// How long to wait at the end of a plain file before the next look; default 1 s, at least 1 ms.
    #[doc(alias = "PollInterval")]
    pub fn poll_interval(mut self, interval: Duration) -> Self {
        self.interval = interval.max(SHORTEST);
        self
    }

    /// Begins so many bytes from the file's start, or with a negative number from its end; not beyond either. It is for
    /// the file that is there at first; others are read from their start.
    #[doc(alias = "Seek")]
    pub fn seek(mut self, bytes: i64) -> Self {
        self.seek = Some(bytes);
        self
    }

    /// Begins so many bytes before the file's end, with 0 at the end itself.
    #[doc(alias = "SeekBack")]
    pub fn seek_back(mut self, bytes: i64) -> Self {
        self.seek_back = Some(bytes);
        self
    }

    /// Does not take a hard link that is made or removed for a reset. In POE, and without this, it is one: the whole file
    /// is delivered again.
    pub fn ignore_link_count(mut self) -> Self {
        self.links_count = false;
        self
    }

    /// Has the system tell of changes beside the polling, so that they are seen at once; the semantics stay those of
    /// polling, and where the system cannot tell, so does the rest. On virtual time it does nothing.
    ///
    /// ```
    /// use poe::{Event, Kernel, Session, event::START, filter::Line, wheel::{FollowTail, Input}};
    /// use std::{fs::File, io::Write, time::Duration};
    /// const LINE: Event<Input<String>> = Event::new("line");
    /// # tokio_test::block_on(async {
    /// let kernel = Kernel::new();
    /// # let log = std::env::temp_dir().join(format!("poe-doc-notify-{}", std::process::id()));
    /// # let path = log.clone();
    /// let writer = File::create(&log).unwrap();
    /// Session::builder(None)
    ///     .on(START, move |cx, ()| -> poe::HandlerResult {
    ///         let tail = FollowTail::builder(&log).input(Line::new(), LINE).notify();
    ///         *cx.heap = Some(tail.poll_interval(Duration::from_secs(60)).start(cx)?);
    ///         cx.delay("write", Duration::from_millis(20), ());
    ///         Ok(())
    ///     })
    ///     .on("write", move |_, ()| (&writer).write_all(b"a line\n").unwrap())
    ///     .on(LINE, |cx, _| *cx.heap = None) // long before a minute is over
    ///     .create(&kernel)?;
    /// kernel.run().await?;
    /// # std::fs::remove_file(path).unwrap();
    /// # Ok::<(), poe::Error>(()) }).unwrap();
    /// ```
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

    /// Starts the wheel for the session that is running; pass the handler's context. Whatever is appended after that is
    /// delivered.
    ///
    /// # Errors
    /// There is no input event, or a filter's settings make no sense; both `seek` and `seek_back` were given; it is a
    /// directory; the file is there and cannot be read; it is a socket, pipe or terminal and the kernel on virtual time;
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
        let what = match &self.place {
            Place::Name(path) => path.display().to_string(),
            Place::Handle(_) => "a handle".to_owned(),
        };
        let failed = |error| {
            Error::from(ErrorKind::IoOf {
                what: format!("cannot follow {what}"),
                error,
                cure: "",
            })
        };
        kernel.own_slot()?;
        let (path, source) = self.place.open().map_err(failed)?;
        if kernel.core.is_virtual() && matches!(source, Some(Source::Stream(_))) {
            let why = "a kernel on virtual time follows plain files only";
            return Err(failed(std::io::Error::new(std::io::ErrorKind::Unsupported, why)));
        }
        let base = Base::new(kernel, place);
        let name = format!("FollowTail {} (following {what})", base.id());
        let state = State::new(base, what.clone(), parser, self.flush, self.events);
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

impl fmt::Debug for FollowTailBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FollowTailBuilder")
            .field("place", &self.place)
            .field("poll_interval", &self.interval)
            .finish_non_exhaustive()
    }
}
