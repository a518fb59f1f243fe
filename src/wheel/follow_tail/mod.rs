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

mod source;
mod task;

use super::base::{Base, wheel_methods};
use super::error::IoError;
use super::pump::{Input, Parser, TypedParser};
use crate::arg::AnyArg;
use crate::error::{Error, ErrorKind};
use crate::event::Posts;
use crate::filter::{Filter, FilterError};
use crate::id::{TaskId, WheelId};
use crate::kernel::Turn;
use crate::name::HeldName;
use bytes::Bytes;
use source::{Place, Source, Start};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::os::fd::OwnedFd;
use std::panic::Location;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;
use task::TailTask;

/// A shorter interval would leave the kernel no time for anything else.
const SHORTEST: Duration = Duration::from_millis(1);

/// Follows a file that grows (`POE::Wheel::FollowTail`).
///
/// A plain file is looked at every [poll interval](FollowTailBuilder::poll_interval), read to its end, and compared with
/// what its name stands for by then: after a rotation the old file is read to its end, then comes the reset event, then
/// the new file from its beginning. As long as the new file is empty the old one is still read, so that a writer that
/// has not yet been told of the rotation loses nothing. A file that is not there is waited for. A fifo, a socket, a
/// pipe or a terminal is read whenever it is ready, without polling.
///
/// Files are read on the kernel's thread, a block at a time; that is no wait for files on local disks.
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
///     .on(START, move |cx, ()| -> poe::Handled {
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
///     .on(START, move |cx, ()| -> poe::Handled {
///         let tail = FollowTail::builder(&log).input(Line::new(), LINE).start(cx)?;
///         assert_eq!((tail.tell(), tail.pending()), (Some(11), "thr".into()));
///         let go_on_at = tail.tell().map(|octets| octets - tail.pending().len() as u64);
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
///     .on(TAIL, |cx, tail: FollowTail| -> poe::Handled {
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
///     .on(START, move |cx, ()| -> poe::Handled {
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
///     .on(START, move |cx, ()| -> poe::Handled {
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
///     .on(START, move |cx, ()| -> poe::Handled {
///         let tail = || FollowTail::builder(&log).input(Line::new(), LINE);
///         assert_eq!(tail().start(cx)?.tell(), Some(6));
///         assert_eq!(tail().seek(2).start(cx)?.tell(), Some(2));
///         assert_eq!(tail().seek(-2).start(cx)?.tell(), Some(4));
///         assert_eq!(tail().seek_back(2).start(cx)?.tell(), Some(4));
///         assert_eq!(tail().seek(1000).start(cx)?.tell(), Some(6)); // not beyond the end
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

/// Makes an event's argument of the octets of a record that was never finished.
type Flush = Rc<dyn Fn(Bytes, WheelId) -> Option<AnyArg>>;

#[derive(Default)]
struct Events {
    error: Option<HeldName>,
    reset: Option<HeldName>,
    idle: Option<HeldName>,
}

/// What the wheel's value and its task share.
struct State {
    base: Base,
    /// Empty while the filter is in use.
    parser: Cell<Option<Box<dyn Parser>>>,
    /// Of the filter that the wheel was made with; gone when that is changed.
    flush: RefCell<Option<Flush>>,
    events: RefCell<Events>,
    /// Where reading goes on, if the file is open and has places.
    offset: Cell<Option<u64>>,
    /// A new filter may see records in what the old one left.
    reparse: Cell<bool>,
    /// The octet that the old filter would have swallowed next.
    owed: Cell<Option<u8>>,
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
    ///     .on(START, |cx, reader: PipeReader| -> poe::Handled {
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

    /// Where reading goes on, in octets from the file's beginning: ahead of the last record by what is in the filter.
    /// `None` while there is no file, and for what has no places, such as a pipe.
    #[must_use]
    pub fn tell(&self) -> Option<u64> {
        self.state.offset.get()
    }

    /// A copy of the octets that the filter has not made a record of.
    #[doc(alias = "get_pending")]
    #[must_use]
    pub fn pending(&self) -> Bytes {
        let pending = self.state.with_parser(|p| Bytes::copy_from_slice(p.pending()));
        pending.unwrap_or_default()
    }

    /// Changes the filter and the event. Octets that the old filter has not used move to the new one; the records that
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
    ///     .on(START, move |cx, ()| -> poe::Handled {
    ///         *cx.heap = Some(FollowTail::builder(&log).input(Line::new(), HEAD).seek(0).start(cx)?);
    ///         Ok(())
    ///     })
    ///     .on(HEAD, |cx, head| -> poe::Handled {
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
        let event = event.map(|event| HeldName::new(event.key()));
        let old = std::mem::replace(&mut self.state.events.borrow_mut().error, event);
        drop(old);
    }

    /// Has resets come as that event from now on, or not at all.
    #[doc(alias = "event")]
    pub fn set_reset_event<K: Posts<WheelId>>(&self, event: Option<K>) {
        let event = event.map(|event| HeldName::new(event.key()));
        let old = std::mem::replace(&mut self.state.events.borrow_mut().reset, event);
        drop(old);
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
    ///     .on(START, move |cx, ()| -> poe::Handled {
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
        let event = event.map(|event| HeldName::new(event.key()));
        let old = std::mem::replace(&mut self.state.events.borrow_mut().idle, event);
        drop(old);
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
            .field("tell", &self.tell())
            .finish_non_exhaustive()
    }
}

impl FollowTailBuilder {
    fn new(place: Place) -> Self {
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
    /// the first octets of the next file, as in POE: no octet is lost.
    #[doc(alias = "InputEvent")]
    #[doc(alias = "Filter")]
    pub fn input<F: Filter>(mut self, filter: F, event: impl Posts<Input<F::Input>>) -> Self {
        self.check(&filter);
        self.parser = Some(Box::new(TypedParser::new(filter, event)));
        self.flush = None;
        self
    }

    /// Like [`input`](Self::input), but a record that is unfinished at a reset does not wait for the next file: `partial`
    /// makes a record of its octets, which comes ahead of the reset event, or drops them by `None`.
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
        builder.flush = Some(Rc::new(move |octets, wheel| {
            let record = partial(octets)?;
            Some(AnyArg::new(Input { record, wheel }))
        }));
        builder
    }

    /// Tells of errors. Without it they are silent, but for errors of the filter, which are a `DIE` of the session then.
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

    /// Begins so many octets from the file's start, or with a negative number from its end; not beyond either. It is for
    /// the file that is there at first; others are read from their start.
    #[doc(alias = "Seek")]
    pub fn seek(mut self, octets: i64) -> Self {
        self.seek = Some(octets);
        self
    }

    /// Begins so many octets before the file's end, with 0 at the end itself.
    #[doc(alias = "SeekBack")]
    pub fn seek_back(mut self, octets: i64) -> Self {
        self.seek_back = Some(octets);
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
    ///     .on(START, move |cx, ()| -> poe::Handled {
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
    /// directory; the file is there and cannot be read; it is a socket, pipe or terminal and the kernel on virtual time.
    #[track_caller]
    pub fn start(self, turn: &Turn<'_>) -> Result<FollowTail, Error> {
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
            (Some(octets), None) if octets >= 0 => Start::At(octets.unsigned_abs()),
            (Some(octets), None) => Start::Back(octets.unsigned_abs()),
            (None, Some(octets)) if octets >= 0 => Start::Back(octets.unsigned_abs()),
            (None, Some(octets)) => Start::At(octets.unsigned_abs()),
        };
        let what = match &self.place {
            Place::Name(path) => format!("following {}", path.display()),
            Place::Handle(_) => "following a handle".to_owned(),
        };
        let (path, source) = self.place.open().map_err(open_failed)?;
        if turn.core.is_virtual() && matches!(source, Some(Source::Stream(_))) {
            let why = "a kernel on virtual time follows plain files only";
            return Err(open_failed(std::io::Error::new(std::io::ErrorKind::Unsupported, why)));
        }
        let base = Base::new(turn, place);
        let what = format!("FollowTail {} ({what})", base.id());
        let state = Rc::new(State {
            base,
            parser: Cell::new(Some(parser)),
            flush: RefCell::new(self.flush),
            events: RefCell::new(self.events),
            offset: Cell::new(None),
            reparse: Cell::new(false),
            owed: Cell::new(None),
        });
        #[cfg(feature = "notify")]
        let hint = match &path {
            Some(path) if self.notified && !turn.core.is_virtual() => source::Hint::watching(path),
            _ => source::Hint::default(),
        };
        #[cfg(not(feature = "notify"))]
        let hint = source::Hint::default();
        let mut task = TailTask::new(state.clone(), path, self.interval, self.links_count, hint);
        task.begin(turn.core, source, start).map_err(open_failed)?;
        let task = state.base.start(&what, false, Box::new(task));
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

fn open_failed(error: std::io::Error) -> Error {
    ErrorKind::Io {
        operation: "following a file",
        error,
    }
    .into()
}

impl State {
    /// Uses the filter, out of its cell. Nothing if it is in use up the stack.
    fn with_parser<T>(&self, f: impl FnOnce(&mut dyn Parser) -> T) -> Option<T> {
        let mut parser = self.parser.take()?;
        let result = f(&mut *parser);
        match self.parser.take() {
            None => self.parser.set(Some(parser)),
            Some(newer) => drop(self.join(parser, newer)),
        }
        Some(result)
    }

    /// Puts `next` in the place of the filter; the old one is the caller's to drop.
    fn set_parser(&self, next: Box<dyn Parser>) -> Option<Box<dyn Parser>> {
        self.reparse.set(true);
        match self.parser.take() {
            Some(old) => Some(self.join(old, next)),
            None => {
                self.parser.set(Some(next));
                None
            }
        }
    }

    fn join(&self, mut old: Box<dyn Parser>, mut next: Box<dyn Parser>) -> Box<dyn Parser> {
        self.owed.set(old.owed().or(self.owed.get()));
        next.start(&old.take_pending());
        self.parser.set(Some(next));
        old
    }
}
