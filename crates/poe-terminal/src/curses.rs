//! POE::Wheel::Curses: keys as they are pressed, the mouse, and changes of the terminal's size.
//!
//! | event | argument | when |
//! |---|---|---|
//! | input | [`CursesInput`] | a key, a movement of the mouse, a new size |
//! | error | [`IoError`] | the terminal is gone |
//!
//! The wheel sets the terminal's mode and reads; the application draws the screen, for example with ratatui.

use crate::claim::Claim;
use crossterm::event::{
    DisableBracketedPaste, DisableMouseCapture, EnableBracketedPaste, EnableMouseCapture, Event, EventStream,
};
use crossterm::terminal::{Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, enable_raw_mode};
use crossterm::{cursor, execute};
use futures_core::Stream;
use poe::event::{EventKey, Posts};
use poe::extend::{Flow, Source, SourceContext, WheelHandle};
use poe::wheel::IoError;
use poe::{Error, KernelRef, WheelId};
use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

/// The most events of one turn; then other tasks have their turn. A paste brings many.
const EVENTS: usize = 256;

/// The argument of a [`Curses`] input event: a key, the mouse, or a size (crossterm's event), and the wheel.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CursesInput {
    /// The key, mouse event or size.
    pub event: Event,
    /// The wheel that reports it.
    pub wheel: WheelId,
}

/// Reads raw keys from the terminal (`POE::Wheel::Curses`).
///
/// While it exists the terminal is in raw mode, on its alternate screen, which is clear; C-c is a key and no signal. Dropping it
/// restores the mode and the screen, also when a panic unwinds. A process can have one such wheel, or one
/// `ReadLine`, at a time. It keeps its session alive.
///
/// ```no_run
/// use poe::{Event, Kernel, Session, event::START};
/// use poe_terminal::{Curses, CursesInput};
/// use crossterm::event::{Event as Terminal, KeyCode};
/// const KEY: Event<CursesInput> = Event::new("key");
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), poe::Error> {
/// let kernel = Kernel::new();
/// Session::builder(None::<Curses>)
///     .on(START, |cx, ()| -> poe::HandlerResult {
///         *cx.heap = Some(Curses::builder().input(KEY).start(cx)?);
///         Ok(())
///     })
///     .on(KEY, |cx, input| match input.event {
///         Terminal::Key(key) if key.code == KeyCode::Char('q') => *cx.heap = None,
///         other => print!("{other:?}\r\n"),
///     })
///     .create(&kernel)?;
/// kernel.run().await
/// # }
/// ```
#[doc(alias = "POE::Wheel::Curses")]
pub struct Curses {
    // Dropped first: no key is read any more when the claim restores the terminal.
    wheel: WheelHandle,
    _claim: Claim,
}

/// Configures a [`Curses`] wheel. The input event is required; the mouse and pastes are off by default.
#[derive(Default)]
#[must_use = "a wheel does nothing until `start` is called"]
pub struct CursesBuilder {
    input: Option<EventKey<CursesInput>>,
    error: Option<EventKey<IoError>>,
    mouse: bool,
    paste: bool,
}

wheel_methods!(Curses);

impl Curses {
    /// Starts building a wheel on the process's terminal.
    pub fn builder() -> CursesBuilder {
        CursesBuilder::default()
    }
}

impl CursesBuilder {
    /// Sends this event for keys and sizes, and for the mouse if enabled; at once, ahead of the queue.
    #[doc(alias = "InputEvent")]
    pub fn input(mut self, event: impl Posts<CursesInput>) -> Self {
        self.input = Some(EventKey::new(event));
        self
    }

    /// Sends this event once when the terminal cannot be read any more.
    pub fn error(mut self, event: impl Posts<IoError>) -> Self {
        self.error = Some(EventKey::new(event));
        self
    }

    /// Sets whether the mouse sends events; default false.
    pub fn mouse(mut self, mouse: bool) -> Self {
        self.mouse = mouse;
        self
    }

    /// Sets whether a pasted text is one event and not one per key; default false.
    pub fn bracketed_paste(mut self, paste: bool) -> Self {
        self.paste = paste;
        self
    }

    /// Starts the wheel for the session that is running; pass the handler's context.
    ///
    /// # Errors
    /// There is no input event; standard input is not a terminal; another wheel uses it; the terminal refuses the mode; the session
    /// has been stopped.
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    #[track_caller]
    pub fn start(self, kernel: &KernelRef<'_>) -> Result<Curses, Error> {
        let wheel = kernel.new_wheel("Curses")?;
        let Some(input) = self.input else {
            return Err(Error::invalid_setting(
                "a Curses wheel needs an input event: add `.input(EVENT)`",
            ));
        };
        let claim = Claim::take(leave_screen)?;
        enter_screen(self.mouse, self.paste).map_err(|error| Error::from_io("cannot prepare the terminal", error))?;
        wheel.start(Keys {
            events: EventStream::new(),
            input,
            error: self.error,
        });
        Ok(Curses { wheel, _claim: claim })
    }
}

impl fmt::Debug for CursesBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CursesBuilder")
            .field("mouse", &self.mouse)
            .field("paste", &self.paste)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Curses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Curses").field("id", &self.id()).finish_non_exhaustive()
    }
}

fn enter_screen(mouse: bool, paste: bool) -> io::Result<()> {
    enable_raw_mode()?;
    let mut out = io::stdout();
    execute!(out, EnterAlternateScreen, Clear(ClearType::All), cursor::MoveTo(0, 0))?;
    if mouse {
        execute!(out, EnableMouseCapture)?;
    }
    if paste {
        execute!(out, EnableBracketedPaste)?;
    }
    Ok(())
}

/// Undoes every mode that might have been enabled: disabling one that is off does no harm.
fn leave_screen() {
    let _ = execute!(
        io::stdout(),
        DisableMouseCapture,
        DisableBracketedPaste,
        LeaveAlternateScreen,
        cursor::Show
    );
}

struct Keys {
    events: EventStream,
    input: EventKey<CursesInput>,
    error: Option<EventKey<IoError>>,
}

impl Source for Keys {
    fn poll(&mut self, cx: &mut SourceContext<'_>, waker: &mut Context<'_>) -> Poll<()> {
        for _ in 0..EVENTS {
            let event = match Pin::new(&mut self.events).poll_next(waker) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(Ok(event))) => event,
                Poll::Ready(Some(Err(error))) => return self.ended(cx, Some(error)),
                Poll::Ready(None) => return self.ended(cx, None),
            };
            let wheel = cx.id();
            match cx.emit(&self.input, CursesInput { event, wheel }) {
                Flow::Go => {}
                Flow::Pause => return Poll::Pending,
                Flow::Gone => return Poll::Ready(()),
            }
        }
        waker.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Keys {
    fn ended(&self, cx: &mut SourceContext<'_>, error: Option<io::Error>) -> Poll<()> {
        if let Some(event) = &self.error {
            let error = match error {
                Some(error) => IoError::new("read", cx.id(), error),
                None => IoError::eof(cx.id()),
            };
            let error = error.about("the terminal");
            let _gone = cx.emit(event, error);
        }
        Poll::Ready(())
    }
}
