//! POE::Wheel::ReadLine: reads lines that a user types, with a line editor.
//!
//! | event | argument | when |
//! |---|---|---|
//! | input | [`ReadLineInput`] | a line was accepted or cancelled, or a key bound to the program was pressed; posted |
//! | error | [`IoError`] | the terminal cannot be read; posted |

mod choices;
mod desk;
mod editor;
mod functions;
mod history;
mod history_file;
mod inputrc;
mod key;
mod keyboard;
mod keymap;
mod line;
mod memory;
mod settings;
mod sources;

pub use functions::KeyBinding;
pub use settings::{ReadLineBuilder, ReadLineMode};

use crate::claim::Claim;
use desk::{Settings, lock};
use editor::{Answer, Command, Shared};
use history::SharedHistory;
use poe::event::EventKey;
use poe::extend::{Sleep, Source, SourceContext, WheelHandle};
use poe::wheel::IoError;
use poe::{Error, WheelId};
use reedline::ExternalPrinter;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// Takes the word before the cursor, the whole line, and the cursor's position in it; returns candidates for the word.
type Completer = Box<dyn FnMut(&str, &str, usize) -> Vec<String> + Send>;

/// How long the end of a wheel waits for the editor, which may be running a user's completer.
const PATIENCE: Duration = Duration::from_secs(1);

/// The argument of an input event: the result of a [`get`](ReadLine::get), and the wheel.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReadLineInput {
    /// The result.
    pub typed: Typed,
    /// The wheel that reports it.
    pub wheel: WheelId,
}

/// The result of a [`get`](ReadLine::get).
///
/// ```
/// use poe_terminal::Typed;
/// /// What a shell does then; `None` ends it.
/// fn command(typed: Typed) -> Option<String> {
///     match typed {
///         Typed::Line(line) => Some(line),
///         Typed::Key { name, line } => Some(format!("{name} {line}")),
///         Typed::Cancel | Typed::Interrupt => Some(String::new()),
///         Typed::Eot => None,
///         _ => None,
///     }
/// }
/// let key = Typed::Key { name: "help".into(), line: "cop".into() };
/// assert_eq!(command(key).as_deref(), Some("help cop"));
/// assert_eq!(command(Typed::Eot), None);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Typed {
    /// A line, without its end; it may be empty.
    Line(String),
    /// C-g: the line was cancelled (`cancel`).
    Cancel,
    /// C-c (`interrupt`).
    Interrupt,
    /// C-d in an empty line (`eot`).
    Eot,
    /// A key that was bound to [`KeyBinding::Event`]; editing continues.
    Key {
        /// The binding's name.
        name: String,
        /// The present line.
        line: String,
    },
}

/// When a text that was [put](ReadLine::put) is shown while a line is edited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PutMode {
    /// At once.
    Immediate,
    /// When no key has been pressed for the idle time, or the line is finished. The default.
    #[default]
    Idle,
    /// When the line is finished.
    After,
}

struct State {
    input: EventKey<ReadLineInput>,
    error: Option<EventKey<IoError>>,
    shared: Arc<Shared>,
    printer: ExternalPrinter<String>,
    history: SharedHistory,
    mode: PutMode,
    idle_time: Duration,
    /// Texts that were put and are not to be shown yet.
    held: RefCell<Vec<String>>,
}

/// Reads lines with an editor: history, completion, emacs' or vi's keys (`POE::Wheel::ReadLine`).
///
/// One [`get`](Self::get) reads one line and gives one event. Between them the terminal is as it was, so that C-c is a signal again;
/// what is typed then waits for the next `get`. Dropping the wheel restores the terminal, also when a panic unwinds. A process has one
/// such wheel, or one `Curses`, at a time. It keeps its session alive from `get` to the event.
///
/// The editor is reedline's, with the keys and functions of POE that it lacks; the init file is readline's (`$INPUTRC`, `~/.inputrc`).
/// It draws on standard error, and what is put goes to standard output while no line is edited.
///
/// # Keys
/// In emacs' mode, the default; functions that keys can be [bound](ReadLineBuilder::bind_key) to are listed at [`KeyBinding`].
///
/// | keys | |
/// |---|---|
/// | C-a C-e, C-b C-f, M-b M-f, home, end, left, right | to the start and the end, by characters, by words |
/// | C-] M-C-] | to the next such character as the next key, forward and backward |
/// | C-@ or M-space, C-x C-x | sets the mark; goes there, the mark coming here |
/// | C-d del, C-h rubout, M-\\ | deletes the character at the cursor and before it; the blanks around it |
/// | C-k, C-u C-x rubout, C-w, M-d, M-C-h M-rubout | kills to the end, to the start, the blank-separated word before, the word behind, the word before |
/// | C-y M-y | yanks what was killed last; what was killed before, in its place |
/// | M-. or M-_, M-C-y | the last argument of the line before; the first, or with a count the nth |
/// | C-t M-t, M-c M-l M-u | exchanges characters, words; the case of a word |
/// | C-v, M-tab, ins | takes the next key literally; a tab; types over |
/// | M-0 … M-9, M-- | a count for the next function, at most 1,000; if it is negative, for its opposite |
/// | C-p C-n up down, M-< M-> | through the history; its first and last line |
/// | C-r C-s, M-p M-n | searches the history for a text while it is typed; for lines that begin like this one up to the cursor |
/// | tab, M-?, M-* | completes; lists and inserts all completions |
/// | M-~ or M-&, M-# | the home directory of a `~user`; accepts the line as a comment (`comment-begin`) |
/// | C-_, M-r M-C-r | undoes; the line as it was at first |
/// | return C-j, C-g, C-c, C-d in an empty line | accepts; cancels; interrupts; ends |
/// | C-l, C-x C-r, M-C-j | clears the screen; reads the init file again; goes over to vi's command mode (from there, C-e comes back) |
/// | C-x k, C-x m, C-x v, C-q | shows what the next key does, texts on keys, settings, where the cursor is |
///
/// ```no_run
/// use poe::{Event, Kernel, Session, event::START};
/// use poe_terminal::{ReadLine, ReadLineInput, Typed};
/// const LINE: Event<ReadLineInput> = Event::new("line");
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), poe::Error> {
/// let kernel = Kernel::new();
/// Session::builder(None::<ReadLine>)
///     .on(START, |cx, ()| -> poe::HandlerResult {
///         let wheel = ReadLine::builder().input(LINE).start(cx)?;
///         wheel.get("name> ");
///         *cx.heap = Some(wheel);
///         Ok(())
///     })
///     .on(LINE, |cx, input| match (input.typed, &*cx.heap) {
///         (Typed::Line(name), Some(wheel)) => {
///             wheel.add_history(&name);
///             wheel.put(format!("hello, {name}"));
///             wheel.get("name> ");
///         }
///         _ => *cx.heap = None,
///     })
///     .create(&kernel)?;
/// kernel.run().await
/// # }
/// ```
///
/// The rest of it, as the commands of a shell that keeps its history in a file:
///
/// ```
/// use poe::Context;
/// use poe_terminal::ReadLine;
/// use std::path::Path;
/// const HISTORY: Option<&str> = Some(".shell_history");
/// fn on_command(cx: &mut Context<'_, Option<ReadLine>>, command: String) -> poe::HandlerResult {
///     let Some(wheel) = &*cx.heap else { return Ok(()) };
///     let file = HISTORY.map(Path::new); // `None` would be the user's `.history`
///     match &*command {
///         "clear" => wheel.clear(),
///         "forget" => wheel.clear_history(),
///         "history" => wheel.get_history().iter().for_each(|line| wheel.put(line)),
///         "load" => wheel.put(wheel.read_history(file, 0..usize::MAX)?),
///         "save" => {
///             wheel.write_history(file)?;
///             wheel.history_truncate_file(file, 500)?;
///         }
///         "settings" => wheel.attribs().iter().for_each(|(name, value)| wheel.put(format!("{name} {value}"))),
///         "size" => {
///             let (columns, rows) = wheel.terminal_size()?;
///             wheel.put(format!("{columns} by {rows}"));
///         }
///         _ => wheel.put(format!("what? bell: {}", wheel.option("bell-style").as_deref().unwrap_or("audible"))),
///     }
///     wheel.get("$ ");
///     Ok(())
/// }
/// ```
///
/// Another session can have it, for a dialog of its own:
///
/// ```
/// use poe::Context;
/// use poe_terminal::{ReadLine, ReadLineInput};
/// fn on_terminal(cx: &mut Context<'_, Option<ReadLine>>, wheel: ReadLine) -> poe::HandlerResult {
///     wheel.adopt(cx)?;
///     assert_eq!(wheel.session_id(), cx.session_id());
///     wheel.get("password> ");
///     *cx.heap = Some(wheel);
///     Ok(())
/// }
/// fn on_line(cx: &mut Context<'_, Option<ReadLine>>, input: ReadLineInput) {
///     assert_eq!(Some(input.wheel), cx.heap.as_ref().map(ReadLine::id));
/// }
/// ```
#[doc(alias = "POE::Wheel::ReadLine")]
pub struct ReadLine {
    wheel: WheelHandle,
    state: Rc<State>,
    /// Dropped with the wheel, which ends the thread.
    commands: Option<mpsc::Sender<Command>>,
    over: mpsc::Receiver<()>,
    attribs: Settings,
    _claim: Claim,
}

wheel_methods!(ReadLine);

impl ReadLine {
    /// Starts building a wheel on the process's terminal.
    pub fn builder() -> ReadLineBuilder {
        ReadLineBuilder::default()
    }

    /// Reads one line; its event has the result. During a read it only changes the prompt.
    ///
    /// POE's default prompt is `> `. Parts between `\[` and `\]` have no width.
    pub fn get(&self, prompt: &str) {
        let state = &self.state;
        state.shared.set_prompt(prompt);
        if self.wheel.is_running() {
            state.shared.redraw();
            return;
        }
        let (answers, typed) = unbounded_channel();
        self.tell(Command::Read(answers));
        self.wheel.start(Reading {
            state: state.clone(),
            typed,
            idle: None,
        });
    }

    /// Shows a line: at once if none is edited, else above it, according to the [mode](ReadLineBuilder::put_mode).
    pub fn put(&self, line: impl fmt::Display) {
        let state = &self.state;
        let line = format!("{line}\r\n");
        if !self.wheel.is_running() {
            self.tell(Command::Print(line));
            return;
        }
        state.held.borrow_mut().push(line);
        // The source shows it, or arranges that it is shown in time.
        self.wheel.wake();
    }

    /// Clears the screen; a line that is edited is drawn again at the top.
    pub fn clear(&self) {
        if self.wheel.is_running() {
            self.state.shared.clear();
        } else {
            self.tell(Command::Clear);
        }
    }

    /// Returns the terminal's columns and rows.
    ///
    /// # Errors
    /// The terminal does not report its size.
    pub fn terminal_size(&self) -> Result<(u16, u16), Error> {
        crossterm::terminal::size().map_err(|error| Error::from_io("cannot ask the terminal for its size", error))
    }

    /// Adds a line to the history; lines are never added automatically.
    #[doc(alias = "addhistory")]
    pub fn add_history(&self, line: &str) {
        self.state.history.add(line);
    }

    /// Returns the history, oldest first.
    #[doc(alias = "GetHistory")]
    #[must_use]
    pub fn get_history(&self) -> Vec<String> {
        self.state.history.lines()
    }

    /// Clears the history.
    pub fn clear_history(&self) {
        self.state.history.clear();
    }

    /// Adds lines of a file to the history, those in the range (all: `0..usize::MAX`); returns their number.
    ///
    /// Without a file it is `.history` in the home directory. Bytes that are not UTF-8 are replaced by `U+FFFD`.
    ///
    /// # Errors
    /// The file cannot be read, or there is no home. The error names the file.
    #[doc(alias = "ReadHistory")]
    pub fn read_history(&self, file: Option<&Path>, range: Range<usize>) -> Result<usize, Error> {
        self.state.history.read(&history_file(file)?, range)
    }

    /// Writes the history to a file, in place of its old content.
    ///
    /// The file has its old content until all of the new one is on the disk: it is written beside the file and renamed then. It keeps its
    /// mode and, as far as the system allows, its owner; a new file belongs to its owner alone. A symbolic link is followed. A file that
    /// has several names, or is in a folder where no other can be made, is written in place, and gets its old content
    /// back if that fails.
    ///
    /// # Errors
    /// The file cannot be written, or there is no home. The error names the file, which is unchanged.
    #[doc(alias = "WriteHistory")]
    pub fn write_history(&self, file: Option<&Path>) -> Result<(), Error> {
        self.state.history.write(&history_file(file)?)
    }

    /// Keeps the last lines of a history file; with 0 it is empty afterwards.
    ///
    /// It is written like [`write_history`](Self::write_history), and its lines stay as they are, byte by byte.
    ///
    /// # Errors
    /// The file cannot be read or written, or there is no home. The error names the file, which is unchanged.
    pub fn history_truncate_file(&self, file: Option<&Path>, lines: usize) -> Result<(), Error> {
        history_file::truncate(&history_file(file)?, lines)
    }

    /// Returns the present settings, those of the init file and those of the builder.
    ///
    /// The init file may be read again (C-x C-r).
    #[must_use]
    pub fn attribs(&self) -> BTreeMap<String, String> {
        lock(&self.attribs).clone()
    }

    /// Returns one setting, by its name in any case.
    #[must_use]
    pub fn option(&self, name: &str) -> Option<String> {
        lock(&self.attribs).get(&name.to_ascii_lowercase()).cloned()
    }

    fn tell(&self, command: Command) {
        if let Some(commands) = &self.commands {
            // The thread is gone only if it has panicked, which the next read reports.
            let _ = commands.send(command);
        }
    }
}

fn history_file(file: Option<&Path>) -> Result<PathBuf, Error> {
    match (file, std::env::var_os("HOME")) {
        (Some(file), _) => Ok(file.to_owned()),
        (None, Some(home)) => Ok(PathBuf::from(home).join(".history")),
        (None, None) => Err(Error::invalid_setting(
            "there is no home directory for the history file: HOME is not set",
        )),
    }
}

impl Drop for ReadLine {
    fn drop(&mut self) {
        self.state.shared.stop();
        self.commands = None;
        // Ready when the thread has dropped its end, after restoring the terminal.
        let _ = self.over.recv_timeout(PATIENCE);
    }
}

impl fmt::Debug for ReadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadLine")
            .field("id", &self.id())
            .field("reading", &self.wheel.is_running())
            .finish_non_exhaustive()
    }
}

/// Exists from a `get` to its event.
struct Reading {
    state: Rc<State>,
    typed: UnboundedReceiver<Answer>,
    /// The time until a text that was put may be shown.
    idle: Option<Sleep>,
}

impl Source for Reading {
    fn poll(&mut self, cx: &mut SourceContext<'_>, waker: &mut Context<'_>) -> Poll<()> {
        let state = self.state.clone();
        loop {
            match self.typed.poll_recv(waker) {
                Poll::Ready(Some(Answer::Typed(typed))) => {
                    let is_last = !matches!(typed, Typed::Key { .. });
                    if is_last {
                        state.line_is_over();
                    }
                    let wheel = cx.id();
                    let input = ReadLineInput { typed, wheel };
                    cx.post(&state.input, input);
                    if is_last {
                        return Poll::Ready(());
                    }
                }
                Poll::Ready(Some(Answer::Failed(error))) => return state.failed(cx, error),
                Poll::Ready(None) => return state.failed(cx, io::Error::other("the line editor has ended")),
                Poll::Pending => break,
            }
        }
        self.show_held(waker);
        Poll::Pending
    }
}

impl Reading {
    /// Shows texts that were put, as far as the mode and the editor's queue allow, and schedules the rest.
    fn show_held(&mut self, waker: &mut Context<'_>) {
        let state = &self.state;
        loop {
            if state.held.borrow().is_empty() || state.mode == PutMode::After {
                return;
            }
            let idle_for = state.shared.idle_for();
            let wait = if state.mode == PutMode::Immediate || idle_for >= state.idle_time {
                if state.show() {
                    return;
                }
                Duration::from_millis(25)
            } else {
                state.idle_time - idle_for
            };
            let sleep = self.idle.insert(Sleep::new(wait));
            if Pin::new(sleep).poll(waker).is_pending() {
                return;
            }
        }
    }
}

impl State {
    /// Passes texts to the editor; false if its queue is full.
    fn show(&self) -> bool {
        let mut held = self.held.borrow_mut();
        let printer = self.printer.sender();
        while !held.is_empty() {
            // The editor ends each message itself.
            let line = held[0].trim_end_matches("\r\n").to_owned();
            if printer.try_send(line).is_err() {
                return false;
            }
            held.remove(0);
        }
        true
    }

    /// Shows the texts that are still held.
    fn line_is_over(&self) {
        for line in self.held.take() {
            editor::show(&line);
        }
    }

    fn failed(&self, cx: &mut SourceContext<'_>, error: io::Error) -> Poll<()> {
        self.line_is_over();
        if let Some(event) = &self.error {
            let error = IoError::new("read", cx.id(), error).about("the terminal");
            cx.post(event, error);
        }
        Poll::Ready(())
    }
}
