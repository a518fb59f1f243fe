//! The settings of a FollowTail, and its start.

use super::FollowTail;
use super::source::{self, Source, Start, Target};
use super::state::{Events, Flush, TailState};
use super::task::TailTask;
use crate::arg::AnyArg;
use crate::debug::debug_fields;
use crate::error::{Error, ErrorKind};
use crate::event::Posts;
use crate::filter::{Filter, FilterError};
use crate::id::WheelId;
use crate::kernel::KernelRef;
use crate::name::HeldName;
use crate::wheel::base::{Base, Tag, tag_setting};
use crate::wheel::error::IoError;
use crate::wheel::pump::{Input, Parser, TypedParser};
use bytes::Bytes;
use std::panic::Location;
use std::rc::Rc;
use std::time::Duration;

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
    pub(super) fn new(target: Target) -> Self {
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
