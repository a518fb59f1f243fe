//! The settings of a [`ReadLine`].

use super::desk::Desk;
use super::editor::{self, Setup, Shared};
use super::functions::KeyBinding;
use super::history::SharedHistory;
use super::inputrc::users_file;
use super::keyboard::Keyboard;
use super::sources::Sources;
use super::{Completer, PutMode, ReadLine, ReadLineInput, State};
use crate::claim::Claim;
use poe::event::{EventKey, Posts};
use poe::wheel::IoError;
use poe::{Error, KernelRef};
use reedline::ExternalPrinter;
use std::cell::RefCell;
use std::fmt;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

/// The most lines that wait to be shown by the editor.
const SHOWN: usize = 1024;

/// The editor's keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadLineMode {
    /// Emacs' keys. The default, unless the init file says otherwise.
    Emacs,
    /// Vi's keys, beginning in insert mode.
    Vi,
}

/// Configures a [`ReadLine`] wheel.
///
/// | setting | default |
/// |---|---|
/// | [`input`](Self::input) | required |
/// | [`put_mode`](Self::put_mode), [`idle_time`](Self::idle_time) | [`PutMode::Idle`], 2 s |
/// | [`app_name`](Self::app_name) | `poe-readline` |
/// | [`mode`](Self::mode) | the init file's, or emacs' |
/// | [`inputrc`](Self::inputrc) | `$INPUTRC`, or `.inputrc` in the home directory |
#[must_use = "a wheel does nothing until `start` is called"]
pub struct ReadLineBuilder {
    input: Option<EventKey<ReadLineInput>>,
    error: Option<EventKey<IoError>>,
    put_mode: PutMode,
    idle_time: Duration,
    app_name: String,
    mode: Option<ReadLineMode>,
    inputrc: Option<PathBuf>,
    attribs: Vec<(String, String)>,
    bindings: Vec<(String, KeyBinding)>,
    completer: Option<Completer>,
}

impl Default for ReadLineBuilder {
    fn default() -> Self {
        ReadLineBuilder {
            input: None,
            error: None,
            put_mode: PutMode::default(),
            idle_time: Duration::from_secs(2),
            app_name: "poe-readline".to_owned(),
            mode: None,
            inputrc: users_file(),
            attribs: Vec::new(),
            bindings: Vec::new(),
            completer: None,
        }
    }
}

impl ReadLineBuilder {
    /// Sends this event with the result of each `get`; required.
    #[doc(alias = "InputEvent")]
    pub fn input(mut self, event: impl Posts<ReadLineInput>) -> Self {
        self.input = Some(EventKey::new(event));
        self
    }

    /// Sends this event when the terminal cannot be read; the line is over then.
    pub fn error(mut self, event: impl Posts<IoError>) -> Self {
        self.error = Some(EventKey::new(event));
        self
    }

    /// Sets when a text that was put is shown while a line is edited.
    #[doc(alias = "PutMode")]
    pub fn put_mode(mut self, mode: PutMode) -> Self {
        self.put_mode = mode;
        self
    }

    /// Sets for how long no key must have been pressed in [`PutMode::Idle`].
    #[doc(alias = "IdleTime")]
    pub fn idle_time(mut self, time: Duration) -> Self {
        self.idle_time = time;
        self
    }

    /// Sets the program's name for `$if` in the init file.
    #[doc(alias = "AppName")]
    pub fn app_name(mut self, name: impl Into<String>) -> Self {
        self.app_name = name.into();
        self
    }

    /// Sets the editor's keys, in place of the init file's setting.
    pub fn mode(mut self, mode: ReadLineMode) -> Self {
        self.mode = Some(mode);
        self
    }

    /// Reads another init file, or none.
    pub fn inputrc(mut self, file: Option<impl Into<PathBuf>>) -> Self {
        self.inputrc = file.map(Into::into);
        self
    }

    /// Sets a variable as in the init file, before which it takes precedence.
    ///
    /// These have an effect: `editing-mode` (`vi`), `bell-style` (`audible`, `visible`,
    /// `none`), `comment-begin` (`#`), `isearch-terminators` (`C-[ C-j`), `print-completions-horizontally` (`on`); the others are for the
    /// program.
    #[doc(alias = "attribs")]
    pub fn attrib(mut self, name: &str, value: impl Into<String>) -> Self {
        self.attribs.push((name.to_ascii_lowercase(), value.into()));
        self
    }

    /// Binds a key in all modes.
    ///
    /// The key is `C-x`, `M-x`, `M-C-x`, `up`, `f1`, or one character; or several keys one after the other:
    /// `C-x C-r` (also `C-xC-r`, or as in an init file `"\C-x\C-r"`). If one of two bindings begins with the other, the last one counts.
    ///
    /// ```
    /// use poe::{Event, Kernel, Session, event::START};
    /// use poe_terminal::{KeyBinding, ReadLine, ReadLineInput};
    /// const LINE: Event<ReadLineInput> = Event::new("line");
    /// # tokio_test::block_on(async {
    /// let kernel = Kernel::new();
    /// Session::builder(())
    ///     .on(START, |cx, ()| {
    ///         let help = KeyBinding::Event("help".into());
    ///         let wheel = ReadLine::builder().input(LINE).bind_key("C-x C-h", help.clone()).bind_key("hyper-x", help);
    ///         let error = wheel.start(cx).unwrap_err();
    ///         assert_eq!(error.to_string(), "`hyper-x` is not a key");
    ///     })
    ///     .create(&kernel)?;
    /// kernel.run().await
    /// # }).unwrap();
    /// ```
    pub fn bind_key(mut self, key: impl Into<String>, binding: KeyBinding) -> Self {
        self.bindings.push((key.into(), binding));
        self
    }

    /// Sets the function that completes words, on the tab key.
    ///
    /// It takes the word before the cursor, the whole line, and the cursor's position in it (in bytes), and runs on the editor's
    /// thread. One candidate is inserted; of several, their common prefix, and a second tab shows them.
    #[doc(alias = "completion_function")]
    pub fn completer(mut self, f: impl FnMut(&str, &str, usize) -> Vec<String> + Send + 'static) -> Self {
        self.completer = Some(Box::new(f));
        self
    }

    /// Starts the wheel for the session that is running; pass the handler's context.
    ///
    /// Nothing is read before [`ReadLine::get`].
    ///
    /// # Errors
    /// There is no input event; a key or function of a binding is not known; standard input is not a terminal; another wheel uses it;
    /// the session has been stopped.
    #[track_caller]
    pub fn start(self, kernel: &KernelRef<'_>) -> Result<ReadLine, Error> {
        let wheel = kernel.new_wheel("ReadLine")?;
        let Some(input) = self.input else {
            let why = "a ReadLine wheel needs an input event: add `.input(EVENT)`";
            return Err(Error::invalid_setting(why));
        };
        let sources = Sources {
            mode: self.mode,
            inputrc: self.inputrc,
            app_name: self.app_name,
            attribs: self.attribs,
            bindings: self.bindings,
            completes: self.completer.is_some(),
        };
        let keys = sources.read()?;
        let claim = Claim::take(|| {})?;
        let shared = Arc::new(Shared::new());
        let history = SharedHistory::new();
        let printer = ExternalPrinter::new(SHOWN);
        let attribs = Arc::new(Mutex::new(keys.settings.clone()));
        let desk = Arc::new(Desk::new(
            wheel.id().to_string(),
            history.clone(),
            attribs.clone(),
            printer.clone(),
        ));
        let setup = Setup {
            keyboard: Keyboard::new(desk.clone(), shared.clone(), sources, keys),
            desk,
            completer: self.completer,
            history: history.clone(),
            printer: printer.clone(),
        };
        let (commands, received) = mpsc::channel();
        let over = editor::spawn(setup, shared.clone(), received)
            .map_err(|error| Error::from_io("cannot start the thread of the line editor", error))?;
        Ok(ReadLine {
            wheel,
            state: Rc::new(State {
                input,
                error: self.error,
                shared,
                printer,
                history,
                mode: self.put_mode,
                idle_time: self.idle_time,
                held: RefCell::default(),
            }),
            commands: Some(commands),
            over,
            attribs,
            _claim: claim,
        })
    }
}

impl fmt::Debug for ReadLineBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadLineBuilder")
            .field("put_mode", &self.put_mode)
            .field("idle_time", &self.idle_time)
            .field("bindings", &self.bindings)
            .finish_non_exhaustive()
    }
}
