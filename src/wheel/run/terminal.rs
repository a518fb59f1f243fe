//! Pseudo terminals: their size, and programs that run on them.

use super::conduit::{Conduit, Connected, Ours, Theirs, Wanted, from_pipe};
use super::{Run, RunBuilder};
use crate::bridge::streams::{Ends, FdStream};
use crate::error::{Error, ErrorKind};
use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, isatty, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use tokio::io::Interest;

/// The size of a terminal: in characters, and in pixels for those that care.
///
/// ```
/// use poe::wheel::Winsize;
/// let size = Winsize::from((24, 80));
/// assert_eq!((size.rows, size.cols, size.xpixels, size.ypixels), (24, 80, 720, 384)); // POE's guess
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Winsize {
    /// Lines.
    pub rows: u16,
    /// Characters in a line.
    pub cols: u16,
    /// Width in pixels.
    pub xpixels: u16,
    /// Height in pixels.
    pub ypixels: u16,
}

/// Rows and columns; the pixels are guessed, 9 by 16 for a character.
impl From<(u16, u16)> for Winsize {
    fn from((rows, cols): (u16, u16)) -> Self {
        Winsize {
            rows,
            cols,
            xpixels: cols.saturating_mul(9),
            ypixels: rows.saturating_mul(16),
        }
    }
}

/// Rows, columns, and the pixels across and down.
impl From<(u16, u16, u16, u16)> for Winsize {
    fn from((rows, cols, xpixels, ypixels): (u16, u16, u16, u16)) -> Self {
        Winsize {
            rows,
            cols,
            xpixels,
            ypixels,
        }
    }
}

impl Winsize {
    /// The size of the terminal that this process stands on, if it does.
    ///
    /// ```
    /// use poe::wheel::Winsize;
    /// let columns = Winsize::of_this_process().map_or(80, |size| size.cols); // or a file, or a pipe
    /// println!("{}", "=".repeat(columns.into())); // a line across it
    /// ```
    #[must_use]
    pub fn of_this_process() -> Option<Self> {
        of(io::stdout())
            .or_else(|| of(io::stdin()))
            .or_else(|| of(io::stderr()))
    }
}

impl RunBuilder {
    /// The size of the program's terminal; only for conduits that are terminals, with a warning for others.
    ///
    /// ```
    /// # use poe::{Event, Kernel, Session, event::START, filter::Line, wheel::{Conduit, Input, Run}};
    /// # const OUT: Event<Input<String>> = Event::new("out");
    /// # tokio_test::block_on(async {
    /// # let kernel = Kernel::new();
    /// # Session::builder(None::<Run>)
    ///     .on(START, |cx, ()| -> poe::HandlerResult {
    ///         let builder = Run::shell("stty size").conduit(Conduit::Pty).winsize((24, 80));
    ///         *cx.heap = Some(builder.stdout(Line::new(), OUT).start(cx)?);
    ///         Ok(())
    ///     })
    ///     .on(OUT, |cx, input| {
    ///         assert_eq!(input.record, "24 80");
    ///         *cx.heap = None;
    ///     })
    /// #   .create(&kernel)?;
    /// # kernel.run().await }).unwrap();
    /// ```
    pub fn winsize(mut self, size: impl Into<Winsize>) -> Self {
        self.winsize = Some(size.into());
        self
    }

    /// Whether the terminal is raw at first, as in POE: no echo, no line editing, no keys that are signals. Default true;
    /// many programs change it anyway.
    ///
    /// ```
    /// # use poe::{Event, Kernel, Session, event::START, filter::Line, wheel::{Conduit, Input, Run}};
    /// # const OUT: Event<Input<String>> = Event::new("out");
    /// # tokio_test::block_on(async {
    /// # let kernel = Kernel::new();
    /// # Session::builder((None::<Run>, Vec::new()))
    ///     .on(START, |cx, ()| -> poe::HandlerResult {
    ///         let builder = Run::shell("read name; echo hello $name").conduit(Conduit::Pty).raw(false);
    ///         let run = builder.stdout(Line::new(), OUT).start(cx)?;
    ///         run.put("world")?;
    ///         cx.heap.0 = Some(run);
    ///         Ok(())
    ///     })
    ///     .on(OUT, |cx, input| {
    ///         cx.heap.1.push(input.record);
    ///         if cx.heap.1.len() == 2 {
    ///             assert_eq!(cx.heap.1, ["world", "hello world"]); // the terminal has shown what was typed
    ///             cx.heap.0 = None;
    ///         }
    ///     })
    /// #   .create(&kernel)?;
    /// # kernel.run().await }).unwrap();
    /// ```
    pub fn raw(mut self, raw: bool) -> Self {
        self.raw = raw;
        self
    }

    pub(super) fn size(&self) -> Setup {
        Setup {
            size: self.winsize,
            raw: self.raw,
        }
    }
}

impl Run {
    /// Changes the size of the program's terminal; the program is told by SIGWINCH. False if it has no terminal.
    ///
    /// # Errors
    /// The system's.
    ///
    /// ```
    /// # use poe::{Event, Kernel, Session, event::START, filter::Line, wheel::{Conduit, Input, Run}};
    /// # const OUT: Event<Input<String>> = Event::new("out");
    /// # tokio_test::block_on(async {
    /// # let kernel = Kernel::new();
    /// # Session::builder(None::<Run>)
    ///     .on(START, |cx, ()| -> poe::HandlerResult {
    ///         let builder = Run::shell("read go; stty size").conduit(Conduit::Pty).winsize((24, 80));
    ///         let run = builder.stdout(Line::new(), OUT).start(cx)?;
    ///         assert!(run.resize((50, 132))?);
    ///         run.put("go")?;
    ///         *cx.heap = Some(run);
    ///         Ok(())
    ///     })
    ///     .on(OUT, |cx, input| {
    ///         assert_eq!(input.record, "50 132");
    ///         *cx.heap = None;
    ///     })
    /// #   .create(&kernel)?;
    /// # kernel.run().await }).unwrap();
    /// ```
    #[doc(alias = "Winsize")]
    pub fn resize(&self, size: impl Into<Winsize>) -> Result<bool, Error> {
        let Some(terminal) = &self.terminal else {
            return Ok(false);
        };
        resize(terminal, size.into()).map_err(|error| ErrorKind::IoOf {
            what: format!("cannot resize the terminal of {}", self.shared.program),
            error,
            cure: "",
        })?;
        Ok(true)
    }
}

fn of(terminal: impl AsFd) -> Option<Winsize> {
    let size = isatty(&terminal).then(|| tcgetwinsize(&terminal).ok()).flatten()?;
    Some(Winsize {
        rows: size.ws_row,
        cols: size.ws_col,
        xpixels: size.ws_xpixel,
        ypixels: size.ws_ypixel,
    })
}

/// The program on the terminal is told by SIGWINCH.
fn resize(terminal: impl AsFd, size: Winsize) -> io::Result<()> {
    let size = rustix::termios::Winsize {
        ws_row: size.rows,
        ws_col: size.cols,
        ws_xpixel: size.xpixels,
        ws_ypixel: size.ypixels,
    };
    Ok(tcsetwinsize(terminal, size)?)
}

/// How a terminal is to be at first.
#[derive(Clone, Copy)]
pub(super) struct Setup {
    /// Else it is as large as ours.
    pub(super) size: Option<Winsize>,
    pub(super) raw: bool,
}

/// A pair of a terminal and the side that the program sees, which no program that another thread starts meanwhile inherits.
fn open() -> io::Result<(OwnedFd, OwnedFd)> {
    #[cfg(any(
        target_os = "linux",
        target_os = "android",
        target_os = "freebsd",
        target_os = "netbsd"
    ))]
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    #[cfg(not(any(
        target_os = "linux",
        target_os = "android",
        target_os = "freebsd",
        target_os = "netbsd"
    )))]
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY;
    let terminal = openpt(flags)?;
    rustix::io::fcntl_setfd(&terminal, rustix::io::FdFlags::CLOEXEC)?;
    grantpt(&terminal)?;
    unlockpt(&terminal)?;
    let name = ptsname(&terminal, Vec::new())?;
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let program_side = rustix::fs::open(name, flags, Mode::empty())?;
    Ok((terminal, program_side))
}

/// A terminal for a program, or for a function of ours.
pub(super) fn connect(conduit: Conduit, wanted: Wanted, setup: Setup) -> io::Result<Connected> {
    let (terminal, program_side) = open()?;
    if setup.raw {
        let mut modes = tcgetattr(&program_side)?;
        modes.make_raw();
        tcsetattr(&program_side, OptionalActions::Now, &modes)?;
    }
    if let Some(size) = setup.size.or_else(Winsize::of_this_process) {
        resize(&terminal, size)?;
    }
    let both = Interest::READABLE | Interest::WRITABLE;
    let terminal = FdStream::new(terminal, both, Ends::Plain)?;
    let mut ours = Ours {
        stdin: wanted.stdin.then(|| terminal.clone()),
        stdout: wanted.stdout.then(|| terminal.clone()),
        stderr: None,
    };
    let end = |wanted: bool| wanted.then(|| program_side.try_clone()).transpose();
    let mut theirs = Theirs {
        stdin: end(wanted.stdin)?,
        stdout: end(wanted.stdout)?,
        stderr: end(conduit == Conduit::Pty && wanted.stdout)?,
    };
    if conduit == Conduit::PtyPipe && wanted.stderr {
        let (our, their) = from_pipe()?;
        (ours.stderr, theirs.stderr) = (Some(our), Some(their));
    }
    Ok(Connected {
        ours,
        theirs,
        terminal: Some(terminal),
        program_side: Some(program_side),
    })
}
