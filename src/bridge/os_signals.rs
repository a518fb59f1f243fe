//! Operating system signals: those that a program may watch, and the arrivals of each.

#[cfg(unix)]
use super::default_action::Watch;
use std::io;
use std::task::{Context, Poll};

/// The signals that may be watched, by name without `SIG`.
///
/// Signals that no handler can catch (KILL, STOP) are missing, and those that the processor raises at an instruction, to which
/// a handler would return (SEGV, BUS, ILL, FPE, TRAP).
#[cfg(unix)]
pub(crate) const SAFE: &[&str] = &[
    "ABRT", "ALRM", "CHLD", "CONT", "HUP", "INT", "IO", "PIPE", "PROF", "QUIT", "SYS", "TERM", "TSTP", "TTIN", "TTOU",
    "URG", "USR1", "USR2", "VTALRM", "WINCH", "XCPU", "XFSZ",
];

/// The signals of a console: Ctrl-C, Ctrl-Break, and the close of the console.
#[cfg(windows)]
pub(crate) const SAFE: &[&str] = &["BREAK", "INT", "TERM"];

#[cfg(not(any(unix, windows)))]
pub(crate) const SAFE: &[&str] = &[];

/// The arrivals of one signal. While a kernel has one, the signal's default action is off.
pub(crate) struct Arrivals {
    stream: imp::Stream,
    #[cfg(unix)]
    _watch: Watch,
}

impl Arrivals {
    /// Watches a signal. With `keep` the default action is not restored after the last watcher.
    ///
    /// # Errors
    /// The system's; or there is no such signal.
    ///
    /// # Panics
    /// Outside a Tokio runtime that drives I/O.
    #[cfg(unix)]
    pub(crate) fn of(signal: &str, keep: bool) -> io::Result<Self> {
        let number = number(signal).ok_or_else(|| unknown(signal))?;
        let (stream, watch) = Watch::open(number, keep, || imp::open(number))?;
        Ok(Arrivals { stream, _watch: watch })
    }

    #[cfg(not(unix))]
    pub(crate) fn of(signal: &str, _keep: bool) -> io::Result<Self> {
        imp::open(signal).map(|stream| Arrivals { stream })
    }

    /// Ready once for all signals that arrived since the last time.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match imp::poll(&mut self.stream, cx) {
            Poll::Ready(Some(())) => Poll::Ready(()),
            // The end of the stream means that the runtime is shutting down: nothing will arrive any more.
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }
}

/// Returns the number of one of the [`SAFE`] signals.
#[cfg(unix)]
pub(crate) fn number(name: &str) -> Option<rustix::process::Signal> {
    imp::number(name)
}

fn unknown(signal: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidInput,
        format!("no signal {signal} can be watched"),
    )
}

#[cfg(unix)]
mod imp {
    use rustix::process::Signal as Number;
    use std::io;
    use std::task::{Context, Poll};
    use tokio::signal::unix::{Signal, SignalKind, signal};

    pub(super) type Stream = Signal;

    pub(super) fn number(name: &str) -> Option<Number> {
        Some(match name {
            "ABRT" => Number::ABORT,
            "ALRM" => Number::ALARM,
            "CHLD" => Number::CHILD,
            "CONT" => Number::CONT,
            "HUP" => Number::HUP,
            "INT" => Number::INT,
            #[cfg(not(target_os = "haiku"))]
            "IO" => Number::IO,
            "PIPE" => Number::PIPE,
            "PROF" => Number::PROF,
            "QUIT" => Number::QUIT,
            "SYS" => Number::SYS,
            "TERM" => Number::TERM,
            "TSTP" => Number::TSTP,
            "TTIN" => Number::TTIN,
            "TTOU" => Number::TTOU,
            "URG" => Number::URG,
            "USR1" => Number::USR1,
            "USR2" => Number::USR2,
            "VTALRM" => Number::VTALARM,
            "WINCH" => Number::WINCH,
            "XCPU" => Number::XCPU,
            "XFSZ" => Number::XFSZ,
            _ => return None,
        })
    }

    pub(super) fn open(number: Number) -> io::Result<Stream> {
        signal(SignalKind::from_raw(number.as_raw()))
    }

    pub(super) fn poll(stream: &mut Stream, cx: &mut Context<'_>) -> Poll<Option<()>> {
        stream.poll_recv(cx)
    }

    #[cfg(test)]
    #[test]
    fn each_safe_signal_has_a_number() {
        for name in super::SAFE {
            assert!(number(name).is_some(), "{name}");
            let long = format!("SIG{name}");
            assert_eq!(crate::name::signal_name(&long), *name);
        }
        assert!(number("KILL").is_none());
    }
}

#[cfg(windows)]
mod imp {
    use super::unknown;
    use std::io;
    use std::task::{Context, Poll};
    use tokio::signal::windows::{CtrlBreak, CtrlC, CtrlClose, ctrl_break, ctrl_c, ctrl_close};

    pub(super) enum Stream {
        C(CtrlC),
        Break(CtrlBreak),
        Close(CtrlClose),
    }

    pub(super) fn open(name: &str) -> io::Result<Stream> {
        match name {
            "INT" => ctrl_c().map(Stream::C),
            "BREAK" => ctrl_break().map(Stream::Break),
            "TERM" => ctrl_close().map(Stream::Close),
            _ => Err(unknown(name)),
        }
    }

    pub(super) fn poll(stream: &mut Stream, cx: &mut Context<'_>) -> Poll<Option<()>> {
        match stream {
            Stream::C(c) => c.poll_recv(cx),
            Stream::Break(b) => b.poll_recv(cx),
            Stream::Close(c) => c.poll_recv(cx),
        }
    }
}

#[cfg(not(any(unix, windows)))]
mod imp {
    use super::unknown;
    use std::io;
    use std::task::{Context, Poll};

    pub(super) enum Stream {}

    pub(super) fn open(name: &str) -> io::Result<Stream> {
        Err(unknown(name))
    }

    pub(super) fn poll(stream: &mut Stream, _: &mut Context<'_>) -> Poll<Option<()>> {
        match *stream {}
    }
}
