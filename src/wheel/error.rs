//! Errors that wheels report: a failed operation, the end of the input, and a record that could not be put.

#[cfg(unix)]
use super::run::StdStream;
use crate::error::{Error, ErrorKind, Failure};
use crate::filter::FilterError;
use crate::id::WheelId;
use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::time::Duration;

#[cfg(unix)]
const EIO: i32 = rustix::io::Errno::IO.raw_os_error();

/// The argument of a wheel's error event: the operation, the wheel, and the cause.
///
/// The end of the input is one of them ([`is_eof`](Self::is_eof)), as in POE.
///
/// ```
/// # use poe::{Context, Event, Kernel, Session, event::START, filter::Line};
/// # use poe::wheel::{Input, IoError, ReadWrite};
/// # use std::io;
/// # const LINE: Event<Input<String>> = Event::new("line");
/// # const ERROR: Event<IoError> = Event::new("error");
/// fn on_error(cx: &mut Context<'_, Option<ReadWrite>>, error: IoError) {
///     assert_eq!(error.operation(), "read");
///     if let Some(no_text) = error.as_filter() {
///         assert_eq!(no_text.bytes(), b"caf\xe9"); // one line of many
///         assert!(!error.is_final() && error.errno().is_none());
///     } else if error.is_reset() {
///         assert_eq!(error.os_error().map(io::Error::kind), Some(io::ErrorKind::ConnectionReset));
///     } else {
///         assert!(error.is_eof() && error.errno() == Some(0));
///     }
///     if error.is_final() {
///         println!("wheel {} is over: {error}", error.wheel());
///         *cx.heap = None;
///     }
/// }
/// # tokio_test::block_on(async {
/// # let kernel = Kernel::new();
/// # let transcript = poe::testing::Transcript::of(&kernel);
/// # for last in [None, Some(io::ErrorKind::ConnectionReset)] {
/// # let mut stream = tokio_test::io::Builder::new();
/// # stream.read(b"caf\xe9\r\n");
/// # if let Some(kind) = last { stream.read_error(kind.into()); }
/// # Session::builder(None::<ReadWrite>)
/// # .on(START, |cx, io: tokio_test::io::Mock| -> poe::HandlerResult {
/// #     *cx.heap = Some(ReadWrite::builder(io).input(Line::new(), LINE).error(ERROR).start(cx)?);
/// #     Ok(())
/// # })
/// # .on(ERROR, on_error).args(stream.build()).create(&kernel)?;
/// # }
/// # kernel.run().await?;
/// # assert_eq!(transcript.records().iter().filter(|record| record.event == "error").count(), 4);
/// # Ok::<(), poe::Error>(()) }).unwrap();
/// ```
#[derive(Debug)]
#[doc(alias = "ErrorEvent")]
pub struct IoError {
    operation: &'static str,
    wheel: WheelId,
    /// The subject of the error, if it has a name.
    subject: Option<Box<str>>,
    /// The program's stream, of a `Run`.
    #[cfg(unix)]
    stream: Option<StdStream>,
    kind: IoErrorKind,
}

#[derive(Debug)]
enum IoErrorKind {
    Eof,
    Io(io::Error),
    /// A time limit of the wheel.
    Limit(io::Error),
    Filter(FilterError),
}

impl IoError {
    fn of(operation: &'static str, wheel: WheelId, kind: IoErrorKind) -> Self {
        IoError {
            operation,
            wheel,
            subject: None,
            #[cfg(unix)]
            stream: None,
            kind,
        }
    }

    /// Notes the program's stream.
    #[cfg(unix)]
    pub(crate) fn on(mut self, stream: StdStream) -> Self {
        self.stream = Some(stream);
        self
    }

    /// Returns the program's stream, in the error events of a [`Run`](super::Run).
    #[cfg(unix)]
    #[must_use]
    pub fn stream(&self) -> Option<StdStream> {
        self.stream
    }

    /// The end of a custom wheel's input.
    #[must_use]
    pub fn eof(wheel: WheelId) -> Self {
        IoError::of("read", wheel, IoErrorKind::Eof)
    }

    /// Makes the error of a custom wheel, for its session's error event.
    ///
    /// `operation` says what failed: `"read"`, `"write"`.
    #[must_use]
    pub fn new(operation: &'static str, wheel: WheelId, error: io::Error) -> Self {
        IoError::io(operation, wheel, error)
    }

    pub(crate) fn io(operation: &'static str, wheel: WheelId, error: io::Error) -> Self {
        IoError::of(operation, wheel, IoErrorKind::Io(error))
    }

    /// A time limit that is over.
    pub(crate) fn limit(wheel: WheelId, error: io::Error) -> Self {
        IoError::of("read", wheel, IoErrorKind::Limit(error))
    }

    pub(crate) fn filter(operation: &'static str, wheel: WheelId, error: FilterError) -> Self {
        IoError::of(operation, wheel, IoErrorKind::Filter(error))
    }

    /// The peer of a closing connection has taken nothing for too long.
    pub(crate) fn unwritten_after(wheel: WheelId, bytes: usize, limit: Duration) -> Self {
        let unwritten = Unwritten { bytes, limit };
        IoError::io("write", wheel, io::Error::new(io::ErrorKind::TimedOut, unwritten))
    }

    /// Returns how many bytes were given up because the peer took nothing within the flush timeout.
    ///
    /// It is 0 for every other error. See [`ReadWriteBuilder::flush_timeout`](super::ReadWriteBuilder::flush_timeout).
    #[must_use]
    pub fn unwritten(&self) -> usize {
        let cause = self.os_error().and_then(io::Error::get_ref);
        let unwritten = cause.and_then(|cause| cause.downcast_ref::<Unwritten>());
        unwritten.map_or(0, |unwritten| unwritten.bytes)
    }

    /// Names the subject: a file, a program, an address. The text and [`subject`](Self::subject) contain it.
    #[must_use]
    pub fn about(mut self, subject: impl Into<Box<str>>) -> Self {
        self.subject = Some(subject.into());
        self
    }

    /// Returns the name of the subject, if it has one.
    ///
    /// It is a [`FollowTail`](super::FollowTail)'s file, a [`Run`](super::Run)'s program, or
    /// the peer of a component's connection.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.subject.as_deref()
    }

    /// Returns the operation: `"read"` or `"write"`.
    ///
    /// A `FollowTail` also has `"stat"` and `"open"`, and a splice
    /// `"shutdown"`: the end of the output could not be sent.
    #[must_use]
    pub fn operation(&self) -> &'static str {
        self.operation
    }

    /// Returns the wheel that reports the error.
    #[must_use]
    pub fn wheel(&self) -> WheelId {
        self.wheel
    }

    /// Whether the peer or the program has ended its output, after whole records or inside one.
    ///
    /// The system reports the end of a terminal as `EIO`, which [`errno`](Self::errno) returns unchanged.
    #[must_use]
    pub fn is_eof(&self) -> bool {
        #[cfg(unix)]
        if self.stream.is_some() && self.operation == "read" && self.errno() == Some(EIO) {
            return true;
        }
        matches!(self.kind, IoErrorKind::Eof)
    }

    /// Whether the peer reset the connection (`ECONNRESET`, or `EPIPE` on writing).
    #[must_use]
    #[doc(alias = "ECONNRESET")]
    pub fn is_reset(&self) -> bool {
        use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
        matches!(&self.kind, IoErrorKind::Io(e) if matches!(e.kind(), ConnectionReset | BrokenPipe | ConnectionAborted))
    }

    /// Whether a time limit is over: one of the wheel's ([`record_timeout`](super::ReadWriteBuilder::record_timeout) and
    /// the like), or the system's for a peer that does not reply.
    #[must_use]
    #[doc(alias = "ETIMEDOUT")]
    pub fn is_timeout(&self) -> bool {
        self.os_error()
            .is_some_and(|error| error.kind() == io::ErrorKind::TimedOut)
    }

    /// Whether a time limit of the wheel is over. The stream itself is intact.
    pub(crate) fn is_limit(&self) -> bool {
        matches!(self.kind, IoErrorKind::Limit(_))
    }

    /// Whether nothing more will come (or go) in this direction. Only some errors of filters and the time limits of a wheel
    /// leave it open.
    #[must_use]
    pub fn is_final(&self) -> bool {
        match &self.kind {
            IoErrorKind::Filter(error) => error.is_fatal(),
            // A file that cannot be opened is tried again.
            IoErrorKind::Io(_) => self.operation != "open",
            IoErrorKind::Limit(_) => false,
            IoErrorKind::Eof => true,
        }
    }

    /// Returns the system's error, or that of a time limit (of the kind `TimedOut`).
    #[must_use]
    pub fn os_error(&self) -> Option<&io::Error> {
        match &self.kind {
            IoErrorKind::Io(error) | IoErrorKind::Limit(error) => Some(error),
            _ => None,
        }
    }

    /// Returns the filter's error, with the bytes that are not a record, if it is one.
    #[must_use]
    pub fn as_filter(&self) -> Option<&FilterError> {
        match &self.kind {
            IoErrorKind::Filter(error) => Some(error),
            _ => None,
        }
    }

    /// Returns POE's `$!`: the system's number, 0 at the end of the input, `None` for errors without one.
    #[must_use]
    pub fn errno(&self) -> Option<i32> {
        match &self.kind {
            IoErrorKind::Eof => Some(0),
            IoErrorKind::Io(error) => error.raw_os_error(),
            IoErrorKind::Filter(_) | IoErrorKind::Limit(_) => None,
        }
    }
}

impl fmt::Display for IoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        #[cfg(unix)]
        if let Some(stream) = self.stream {
            write!(f, "{stream}")?;
            if let Some(program) = &self.subject {
                write!(f, " of {program}")?;
            }
            return write!(f, ": {}: {}", self.operation, self.kind);
        }
        f.write_str(self.operation)?;
        if let Some(subject) = &self.subject {
            write!(f, " {subject}")?;
        }
        write!(f, ": {}", self.kind)
    }
}

/// The bytes that the peer did not take.
#[derive(Debug)]
struct Unwritten {
    bytes: usize,
    limit: Duration,
}

impl fmt::Display for Unwritten {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Unwritten { bytes, limit } = self;
        write!(f, "{bytes} bytes were not written: the peer took nothing for {limit:?}")
    }
}

impl StdError for Unwritten {}

impl fmt::Display for IoErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            IoErrorKind::Eof => f.write_str("end of input"),
            IoErrorKind::Io(error) | IoErrorKind::Limit(error) => error.fmt(f),
            IoErrorKind::Filter(error) => error.fmt(f),
        }
    }
}

impl StdError for IoError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match &self.kind {
            IoErrorKind::Eof => None,
            IoErrorKind::Io(error) | IoErrorKind::Limit(error) => Some(error),
            IoErrorKind::Filter(error) => Some(error),
        }
    }
}

/// A record that a wheel did not take. It gives the record back where it still exists.
///
/// Turn it into [`Failure`] or [`Error`](crate::Error) with `?`. It does not implement `Error` itself, so that the record's
/// type needs no bound.
///
/// ```
/// use poe::filter::{Filter, FilterError, FilterExt, Line, Map};
/// # use poe::{Kernel, Session, event::START, wheel::ReadWrite};
/// # tokio_test::block_on(async {
/// # let kernel = Kernel::new();
/// # Session::builder(()).on(START, |cx, ()| -> poe::HandlerResult {
/// # let (_peer, io) = tokio::io::duplex(64);
/// let one_line = |text: String| match text.contains('\n') {
///     true => Err(FilterError::custom("more than one line")),
///     false => Ok(text),
/// };
/// let wheel = ReadWrite::builder(io).output(Line::new().then(Map::fallible(Ok, one_line))).start(cx)?;
/// wheel.put("a line")?;
///
/// let refused = wheel.put("two\nlines").unwrap_err();
/// assert_eq!(refused.as_filter().map(ToString::to_string).as_deref(), Some("more than one line"));
///
/// let wheel = wheel.into_any(); // takes whatever its filter takes
/// let refused = wheel.put(17_u8).unwrap_err();
/// assert!(refused.is_wrong_type());
/// assert_eq!(refused.into_record(), Some(17));
///
/// wheel.shutdown_output();
/// let refused = wheel.put("too late").unwrap_err();
/// assert!(refused.is_closed());
/// assert_eq!(refused.into_record(), Some("too late"));
/// # Ok(()) }).create(&kernel)?;
/// # kernel.run().await }).unwrap();
/// ```
pub struct PutError<T> {
    record: Option<T>,
    kind: PutErrorKind,
}

pub(crate) enum PutErrorKind {
    /// The direction is shut down, or a write has failed before.
    Closed,
    WrongType {
        takes: &'static str,
        given: &'static str,
    },
    Filter(FilterError),
    /// The filter is in use further up the stack.
    Busy,
}

impl PutErrorKind {
    /// Converts it to an error of the filter, for a later report.
    pub(crate) fn into_filter(self) -> FilterError {
        match self {
            PutErrorKind::Filter(error) => error,
            kind => FilterError::custom(PutError::<()>::new(kind, None).to_string()),
        }
    }
}

impl<T> PutError<T> {
    pub(crate) fn into_parts(self) -> (Option<T>, PutErrorKind) {
        (self.record, self.kind)
    }

    pub(crate) fn new(kind: PutErrorKind, record: Option<T>) -> Self {
        PutError { record, kind }
    }

    pub(crate) fn closed(record: T) -> Self {
        PutError::new(PutErrorKind::Closed, Some(record))
    }

    /// Returns the record, unless the filter has taken it apart.
    pub fn into_record(self) -> Option<T> {
        self.record
    }

    /// The wheel writes nothing any more: it was shut down, or a write has failed.
    pub fn is_closed(&self) -> bool {
        matches!(self.kind, PutErrorKind::Closed)
    }

    /// The output filter takes records of another type.
    pub fn is_wrong_type(&self) -> bool {
        matches!(self.kind, PutErrorKind::WrongType { .. })
    }

    /// Returns the filter's error, if it cannot encode the record.
    pub fn as_filter(&self) -> Option<&FilterError> {
        match &self.kind {
            PutErrorKind::Filter(error) => Some(error),
            _ => None,
        }
    }
}

impl<T> fmt::Display for PutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            PutErrorKind::Closed => f.write_str("cannot put a record: the wheel's output is closed"),
            PutErrorKind::WrongType { takes, given } => {
                write!(
                    f,
                    "cannot put a record: the wheel's output filter takes `{takes}`, not `{given}`"
                )
            }
            PutErrorKind::Filter(error) => write!(f, "cannot put a record: {error}"),
            PutErrorKind::Busy => f.write_str("cannot put a record: the output filter is in use further up the stack"),
        }
    }
}

impl<T> fmt::Debug for PutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PutError({self})")
    }
}

impl<T> From<PutError<T>> for Failure {
    fn from(error: PutError<T>) -> Self {
        Failure::from(Error::from(error))
    }
}

impl<T> From<PutError<T>> for Error {
    fn from(error: PutError<T>) -> Self {
        ErrorKind::Invalid(error.to_string()).into()
    }
}
