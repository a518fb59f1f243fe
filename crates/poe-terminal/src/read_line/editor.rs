//! The editor's thread: a line editor blocks, so it has a separate thread, which carries out orders one by one.

use super::choices::Choices;
use super::desk::{Desk, counters, lock};
use super::history::SharedHistory;
use super::keyboard::Keyboard;
use super::{Completer, Typed};
use reedline::{
    EditCommand, ExternalPrinter, Highlighter, Prompt, PromptEditMode, PromptHistorySearch, Reedline, Signal, Span,
    StyledText, Suggestion,
};
use std::borrow::Cow;
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};
use tokio::sync::mpsc::UnboundedSender;

/// The command that the editor returns when a key gives the line up.
pub(super) const ABORT: &str = "abort";

pub(super) const MENU: &str = "completions";

/// How long the editor waits for a key before it checks for texts to print, or for a reason to stop.
const POLL: Duration = Duration::from_millis(25);

pub(super) enum Command {
    /// Reads one line, and reports the result.
    Read(UnboundedSender<Answer>),
    Print(String),
    Clear,
}

pub(super) enum Answer {
    Typed(Typed),
    Failed(io::Error),
}

/// State shared by the wheel and the thread.
pub(super) struct Shared {
    prompt: Mutex<String>,
    last_key: Mutex<Instant>,
    /// Makes the editor stop waiting.
    interrupt: Arc<AtomicBool>,
    /// … because the screen is to be cleared …
    clear: AtomicBool,
    /// … or because the wheel is gone.
    stop: AtomicBool,
}

impl Shared {
    pub(super) fn new() -> Self {
        Shared {
            prompt: Mutex::new(String::new()),
            last_key: Mutex::new(Instant::now()),
            interrupt: Arc::default(),
            clear: AtomicBool::new(false),
            stop: AtomicBool::new(false),
        }
    }

    pub(super) fn set_prompt(&self, prompt: &str) {
        // Readline marks text without width; here it is detected.
        *lock(&self.prompt) = prompt.replace("\\[", "").replace("\\]", "");
    }

    pub(super) fn redraw(&self) {
        self.interrupt.store(true, Ordering::Release);
    }

    pub(super) fn clear(&self) {
        self.clear.store(true, Ordering::Release);
        self.redraw();
    }

    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        self.redraw();
    }

    pub(super) fn key_pressed(&self) {
        *lock(&self.last_key) = Instant::now();
    }

    /// Returns how long no key has been pressed.
    pub(super) fn idle_for(&self) -> Duration {
        lock(&self.last_key).elapsed()
    }
}

/// The editor on its thread.
pub(super) struct Setup {
    pub(super) keyboard: Keyboard,
    pub(super) desk: Arc<Desk>,
    pub(super) completer: Option<Completer>,
    pub(super) history: SharedHistory,
    pub(super) printer: ExternalPrinter<String>,
}

/// Starts the thread. The returned channel is closed when the thread has ended and the terminal is restored.
pub(super) fn spawn(
    setup: Setup,
    shared: Arc<Shared>,
    commands: mpsc::Receiver<Command>,
) -> io::Result<mpsc::Receiver<()>> {
    let (over, is_over) = mpsc::channel();
    let thread = std::thread::Builder::new().name("poe-readline".to_owned());
    thread.spawn(move || {
        let desk = setup.desk.clone();
        let mut editor = build(setup, &shared);
        while let Ok(command) = commands.recv() {
            // Texts that were put before the end are still shown.
            if !shared.stop.load(Ordering::Acquire) || matches!(command, Command::Print(_)) {
                obey(&mut editor, &shared, &desk, command);
            }
        }
        drop(over);
    })?;
    Ok(is_over)
}

fn build(setup: Setup, shared: &Arc<Shared>) -> Reedline {
    let mut editor = Reedline::create()
        .with_ansi_colors(false)
        .with_highlighter(Box::new(Plain))
        .with_history(Box::new(setup.history))
        .with_edit_mode(Box::new(setup.keyboard))
        .with_external_printer(setup.printer)
        .with_poll_interval(POLL)
        .with_break_signal(shared.interrupt.clone())
        // A menu with one entry takes it and closes, as the desk's menus do.
        .with_quick_completions(true);
    for counter in counters(&setup.desk) {
        editor = editor.with_menu(counter);
    }
    match setup.completer {
        Some(completer) => {
            let menu = reedline::ColumnarMenu::default();
            let menu = reedline::MenuBuilder::with_name(menu, MENU);
            editor
                .with_completer(Box::new(Words(completer)))
                .with_partial_completions(true)
                .with_menu(reedline::ReedlineMenu::EngineCompleter(Box::new(Choices::new(menu))))
        }
        None => editor,
    }
}

fn obey(editor: &mut Reedline, shared: &Arc<Shared>, desk: &Arc<Desk>, command: Command) {
    match command {
        Command::Read(answers) => {
            // A completer is user code. Its panic must not leave the terminal raw.
            let read = catch_unwind(AssertUnwindSafe(|| read(editor, shared, desk, &answers)));
            if let Err(payload) = read {
                drop_payload(payload);
                let _ = crossterm::terminal::disable_raw_mode();
                let why = io::Error::other("the line editor has panicked");
                let _ = answers.send(Answer::Failed(why));
            }
        }
        Command::Print(text) => {
            show(&text);
        }
        Command::Clear => {
            let _ = editor.clear_screen();
        }
    }
}

fn read(editor: &mut Reedline, shared: &Arc<Shared>, desk: &Arc<Desk>, answers: &UnboundedSender<Answer>) {
    let prompt = SharedPrompt(shared.clone(), desk.clone());
    desk.begin_line(answers);
    let answer = loop {
        break match editor.read_line(&prompt) {
            Ok(Signal::Success(line)) => Answer::Typed(Typed::Line(line)),
            Ok(Signal::HostCommand(_)) => {
                abandon(editor);
                Answer::Typed(Typed::Cancel)
            }
            Ok(Signal::CtrlC) => {
                abandon(editor);
                Answer::Typed(Typed::Interrupt)
            }
            Ok(Signal::CtrlD) => Answer::Typed(Typed::Eot),
            Ok(_) => {
                if shared.stop.load(Ordering::Acquire) {
                    abandon(editor);
                    return;
                }
                if shared.clear.swap(false, Ordering::AcqRel) {
                    let _ = editor.clear_screen();
                }
                continue;
            }
            Err(error) => Answer::Failed(error),
        };
    };
    let _ = answers.send(answer);
}

/// Drops a panic's payload. A payload may panic in its drop, and so may the next payload, but not for ever.
fn drop_payload(mut payload: Box<dyn std::any::Any + Send>) {
    for _ in 0..16 {
        match catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            Ok(()) => return,
            Err(next) => payload = next,
        }
    }
    // It does not end: leak the last one.
    Box::leak(payload);
}

/// Leaves an unfinished line: the typed text is dropped, and the cursor is at the start of a new line.
fn abandon(editor: &mut Reedline) {
    editor.run_edit_commands(&[EditCommand::Clear]);
    show("\r\n");
}

/// Writes to the terminal while no line is edited. If the terminal is gone, the next read reports it.
pub(super) fn show(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

struct SharedPrompt(Arc<Shared>, Arc<Desk>);

impl Prompt for SharedPrompt {
    fn render_prompt_left(&self) -> Cow<'_, str> {
        let search = self.1.search_prompt();
        search.unwrap_or_else(|| lock(&self.0.prompt).clone()).into()
    }

    fn render_prompt_right(&self) -> Cow<'_, str> {
        "".into()
    }

    fn render_prompt_indicator(&self, _: PromptEditMode) -> Cow<'_, str> {
        "".into()
    }

    fn render_prompt_multiline_indicator(&self) -> Cow<'_, str> {
        "".into()
    }

    /// Searches have a separate prompt, above.
    fn render_prompt_history_search_indicator(&self, _: PromptHistorySearch) -> Cow<'_, str> {
        "".into()
    }
}

/// Shows the line as it is. Control characters must not reach the terminal; their substitutes have the same length,
/// because the editor counts bytes.
/// bytes.
struct Plain;

impl Highlighter for Plain {
    fn highlight(&self, line: &str, _: usize) -> StyledText {
        let shown = line.chars().map(|c| match c {
            '\n' => c,
            '\t' => ' ',
            c if c.is_ascii_control() => '^',
            c if c.is_control() => '\u{bf}',
            c => c,
        });
        StyledText {
            buffer: vec![(Default::default(), shown.collect())],
        }
    }
}

/// Completes the word before the cursor.
struct Words(Completer);

impl reedline::Completer for Words {
    fn complete(&mut self, line: &str, pos: usize) -> Vec<Suggestion> {
        let start = line[..pos]
            .rfind(char::is_whitespace)
            .map_or(0, |at| at + line[at..].chars().next().map_or(1, char::len_utf8));
        let found = (self.0)(&line[start..pos], line, pos);
        let unique = found.len() == 1;
        let suggestion = |value| Suggestion {
            value,
            span: Span::new(start, pos),
            append_whitespace: unique,
            ..Suggestion::default()
        };
        found.into_iter().map(suggestion).collect()
    }
}
