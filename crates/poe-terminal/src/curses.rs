//! POE::Wheel::Curses: keys as they are pressed, the mouse, and changes of the terminal's size.
//!
//! | event | argument | when |
//! |---|---|---|
//! | input | [`CursesInput`] | a key, a movement of the mouse, a new size |
//! | error | [`IoError`] | the terminal has gone |
//!
//! The wheel owns the terminal's mode and reads; what stands on the screen is the application's, drawn for example with ratatui.

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
use poe::{Error, KernelRef, SessionId, WheelId};
use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Events of one turn at most; then others have theirs. A paste brings many.
const EVENTS: usize = 256;

/// What the terminal tells: a key, the mouse, a size (the event is crossterm's), and the wheel.
///
/// ```
/// use poe::Context;
/// use poe_terminal::{Curses, CursesInput};
/// use crossterm::event::{Event, KeyCode};
/// fn is_quit(event: &Event) -> bool {
///     event.as_key_press_event().is_some_and(|key| key.code == KeyCode::Char('q'))
/// }
/// fn on_input(cx: &mut Context<'_, Option<Curses>>, input: CursesInput) {
///     assert_eq!(Some(input.wheel), cx.heap.as_ref().map(Curses::id));
///     if is_quit(&input.event) {
///         *cx.heap = None; // the screen is as it was before
///     }
/// }
/// assert!(is_quit(&Event::Key(KeyCode::Char('q').into())));
/// assert!(!is_quit(&Event::Resize(80, 24)));
/// ```
#[derive(Clone, Debug)]
pub struct CursesInput {
    /// What has come.
    pub event: Event,
    /// By which wheel.
    pub wheel: WheelId,
}

/// Raw keys from the terminal (`POE::Wheel::Curses`).
///
/// While it is there the terminal is in raw mode, on its alternate screen, which is clear; C-c is a key and no signal. Dropping it
/// brings the mode and the screen back, also when a panic unwinds. A process has one such wheel, or one
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
///
/// Another session can have the keys, a menu say:
///
/// ```
/// use poe::{Event, Kernel, Session, event::START};
/// use poe_terminal::{Curses, CursesInput};
/// const KEYBOARD: Event<Curses> = Event::new("keyboard");
/// const KEY: Event<CursesInput> = Event::new("key");
/// # tokio_test::block_on(async {
/// let kernel = Kernel::new();
/// let menu = Session::builder(None::<Curses>)
///     .on(START, |cx, ()| cx.alias_set("menu"))
///     .on(KEYBOARD, |cx, wheel| -> poe::HandlerResult {
///         wheel.adopt(cx)?;
///         assert_eq!(wheel.session_id(), cx.session_id());
///         println!("keys come from wheel {}", wheel.id());
///         *cx.heap = Some(wheel);
/// #       *cx.heap = None; // for there is nobody to press a key
///         Ok(())
///     })
///     .on(KEY, |cx, _key| *cx.heap = None)
///     .create(&kernel)?;
/// Session::builder(())
///     .on(START, move |cx, ()| -> poe::HandlerResult {
///         match Curses::builder().input(KEY).start(cx) {
///             Ok(wheel) => Ok(cx.call(menu, KEYBOARD, wheel)?),
///             Err(error) => Ok(println!("no menu: {error}")), // there is not a terminal
///         }
///     })
///     .create(&kernel)?;
/// kernel.run().await
/// # }).unwrap();
/// ```
#[doc(alias = "POE::Wheel::Curses")]
pub struct Curses {
    // Dropped first: no key is read any more when the claim restores the terminal.
    wheel: WheelHandle,
    _claim: Claim,
}

/// Settings of a [`Curses`]: the input event is wanted; the mouse and pastes are not told of unless asked for.
///
/// ```
/// use poe::{Event, Kernel, Session, event::START, wheel::IoError};
/// use poe_terminal::{Curses, CursesInput};
/// const KEY: Event<CursesInput> = Event::new("key");
/// const GONE: Event<IoError> = Event::new("gone");
/// # tokio_test::block_on(async {
/// let kernel = Kernel::new();
/// Session::builder(None)
///     .on(START, |cx, ()| {
///         match Curses::builder().input(KEY).error(GONE).mouse(true).bracketed_paste(true).start(cx) {
///             Ok(wheel) => *cx.heap = Some(wheel),
///             Err(error) => println!("it goes without an editor: {error}"), // there is not a terminal
///         }
/// #       *cx.heap = None; // for there is nobody to press a key
///     })
///     .on(KEY, |cx, _key| *cx.heap = None)
///     .on(GONE, |cx, _error| *cx.heap = None)
///     .create(&kernel)?;
/// kernel.run().await
/// # }).unwrap();
/// ```
#[derive(Default)]
#[must_use = "a wheel turns only after `start`"]
pub struct CursesBuilder {
    input: Option<EventKey<CursesInput>>,
    error: Option<EventKey<IoError>>,
    mouse: bool,
    paste: bool,
}

impl Curses {
    /// Settings for a wheel on the process's terminal.
    pub fn builder() -> CursesBuilder {
        CursesBuilder::default()
    }

    /// The wheel's ID, which its events carry.
    #[doc(alias = "ID")]
    #[must_use]
    pub fn id(&self) -> WheelId {
        self.wheel.id()
    }

    /// The session that its events go to: the one that started it, or adopted it last.
    #[must_use]
    pub fn session_id(&self) -> SessionId {
        self.wheel.session_id()
    }

    /// Moves the wheel to the session that is running; pass the handler's context. See [`WheelHandle::adopt`].
    ///
    /// # Errors
    /// The session is of another kernel, or has been stopped; nothing has changed then.
    #[track_caller]
    pub fn adopt(&self, kernel: &KernelRef<'_>) -> Result<(), Error> {
        self.wheel.adopt(kernel)
    }
}

impl CursesBuilder {
    /// Tells of keys and sizes, and of the mouse if that was asked for; at once, ahead of the queue.
    #[doc(alias = "InputEvent")]
    pub fn input(mut self, event: impl Posts<CursesInput>) -> Self {
        self.input = Some(EventKey::new(event));
        self
    }

    /// Tells once when the terminal cannot be read any more.
    pub fn error(mut self, event: impl Posts<IoError>) -> Self {
        self.error = Some(EventKey::new(event));
        self
    }

    /// Whether the mouse is told of; default false.
    pub fn mouse(mut self, mouse: bool) -> Self {
        self.mouse = mouse;
        self
    }

    /// Whether a pasted text comes as one event and not as its keys; default false.
    pub fn bracketed_paste(mut self, paste: bool) -> Self {
        self.paste = paste;
        self
    }

    /// Starts the wheel for the session that is running; pass the handler's context.
    ///
    /// ```
    /// use poe::{Kernel, Session, event::START};
    /// use poe_terminal::Curses;
    /// # tokio_test::block_on(async {
    /// let kernel = Kernel::new();
    /// Session::builder(())
    ///     .on(START, |cx, ()| {
    ///         let error = Curses::builder().start(cx).unwrap_err();
    ///         assert!(error.to_string().contains(".input(EVENT)")); // whatever the terminal
    ///     })
    ///     .create(&kernel)?;
    /// kernel.run().await
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// No input event; standard input is not a terminal; another wheel has it; the terminal refuses the mode; the session
    /// has been stopped.
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    #[track_caller]
    pub fn start(self, kernel: &KernelRef<'_>) -> Result<Curses, Error> {
        let wheel = kernel.new_wheel("Curses")?;
        let Some(input) = self.input else {
            return Err(Error::invalid_setting(
                "a Curses wheel wants an input event: add `.input(EVENT)`",
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

/// Undoes all that might have been asked for: to disable what is not enabled does no harm.
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
