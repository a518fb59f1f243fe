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

/// The size of a terminal in characters, and in pixels for programs that need them.
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

/// Takes rows and columns; the pixels are guessed, 9 by 16 for a character.
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

/// Takes rows, columns, and the pixels across and down.
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
    /// Returns the size of this process's terminal, if it has one.
    #[must_use]
    pub fn of_this_process() -> Option<Self> {
        of(io::stdout())
            .or_else(|| of(io::stdin()))
            .or_else(|| of(io::stderr()))
    }
}

impl RunBuilder {
    /// Sets the size of the program's terminal; ignored with a warning on conduits that are not terminals.
    pub fn winsize(mut self, size: impl Into<Winsize>) -> Self {
        self.winsize = Some(size.into());
        self
    }

    /// Sets whether the terminal is raw at first, as in POE; default true.
    ///
    /// A raw terminal has no echo, no line editing, and no keys that are signals. Many programs change it anyway.
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
    /// Changes the size of the program's terminal; the system sends the program SIGWINCH. False if it has no terminal.
    ///
    /// # Errors
    /// The system's.
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

/// The system sends the program on the terminal SIGWINCH.
fn resize(terminal: impl AsFd, size: Winsize) -> io::Result<()> {
    let size = rustix::termios::Winsize {
        ws_row: size.rows,
        ws_col: size.cols,
        ws_xpixel: size.xpixels,
        ws_ypixel: size.ypixels,
    };
    Ok(tcsetwinsize(terminal, size)?)
}

/// The initial settings of a terminal.
#[derive(Clone, Copy)]
pub(super) struct Setup {
    /// By default the size of this process's terminal.
    pub(super) size: Option<Winsize>,
    pub(super) raw: bool,
}

/// Opens a terminal and the program's side of it, which no program that another thread starts meanwhile inherits.
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

/// Makes a terminal for a program, or for a function.
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
