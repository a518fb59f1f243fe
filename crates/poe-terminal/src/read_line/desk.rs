//! Connects keys and the line. All keys that have arrived are interpreted before the first of them takes effect, so
//! changes of the line wait here for their turn. The editor gets at them through a menu with one entry, which it fills,
//! takes and closes: the only place where the editor gives access to the line between two keys.

use super::Typed;
use super::editor::{Answer, show};
use super::history::SharedHistory;
use super::line::{Around, Line, LineFunction, Outcome};
use super::memory::Memory;
use reedline::{
    Completer, Editor, ExternalPrinter, Menu, MenuEvent, Painter, ReedlineEvent as Does, ReedlineMenu, Suggestion,
    UndoBehavior,
};
use std::collections::{BTreeMap, VecDeque};
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::mpsc::UnboundedSender;

/// The menus: one for waiting actions, and two for functions that give way to a menu of completions.
const NEXT_OF_QUEUE: &str = "poe";
const PREVIOUS_HISTORY: &str = "poe-previous";
const NEXT_HISTORY: &str = "poe-next";

/// The settings of the init file and of the program, by lower-case name; the init file may be read again.
pub(super) type Settings = Arc<Mutex<BTreeMap<String, String>>>;

pub(super) struct Desk {
    memory: Mutex<Memory>,
    /// Actions on the line that keys have asked for.
    queue: Mutex<VecDeque<LineFunction>>,
    /// The keys of the present read.
    answers: Mutex<Option<UnboundedSender<Answer>>>,
    /// A line was begun, and no key has been pressed yet.
    is_new: AtomicBool,
    history: SharedHistory,
    pub(super) settings: Settings,
    printer: ExternalPrinter<String>,
    wheel: String,
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Desk {
    pub(super) fn new(
        wheel: String,
        history: SharedHistory,
        settings: Settings,
        printer: ExternalPrinter<String>,
    ) -> Self {
        Desk {
            memory: Mutex::default(),
            queue: Mutex::default(),
            answers: Mutex::default(),
            is_new: AtomicBool::new(true),
            history,
            settings,
            printer,
            wheel,
        }
    }

    /// Starts a read. Actions left over from keys after the end of the last line are dropped.
    pub(super) fn begin_line(&self, answers: &UnboundedSender<Answer>) {
        lock(&self.memory).begin_line();
        lock(&self.queue).clear();
        *lock(&self.answers) = Some(answers.clone());
        self.is_new.store(true, Ordering::Release);
    }

    /// Whether this is the first key of a line.
    pub(super) fn take_new(&self) -> bool {
        self.is_new.swap(false, Ordering::AcqRel)
    }

    pub(super) fn search_prompt(&self) -> Option<String> {
        lock(&self.memory).search_prompt()
    }

    pub(super) fn setting(&self, name: &str) -> Option<String> {
        lock(&self.settings).get(name).cloned()
    }

    /// Makes the editor come here, for a function with a condition.
    pub(super) fn ask(&self, function: LineFunction) -> Does {
        lock(&self.queue).push_back(function);
        Does::Menu(NEXT_OF_QUEUE.to_owned())
    }

    /// … and for a function without one.
    pub(super) fn previous_history() -> Does {
        Does::Menu(PREVIOUS_HISTORY.to_owned())
    }

    pub(super) fn next_history() -> Does {
        Does::Menu(NEXT_HISTORY.to_owned())
    }

    /// Shows lines above the line being edited.
    pub(super) fn say(&self, text: &str) {
        if self.printer.sender().try_send(text.to_owned()).is_err() {
            // The queue is full of the program's texts.
            self.ding();
        }
    }

    pub(super) fn ding(&self) {
        match self.setting("bell-style").as_deref() {
            Some("none") => {}
            Some("visible") => {
                show("\x1b[?5h");
                std::thread::sleep(std::time::Duration::from_millis(50));
                show("\x1b[?5l");
            }
            _ => {
                let mut out = std::io::stderr().lock();
                let _ = out.write_all(b"\x07").and_then(|()| out.flush());
            }
        }
    }

    fn serve(&self, function: &LineFunction, editor: &mut Editor, completer: &mut dyn Completer) {
        let mut line = Line {
            text: editor.get_buffer().to_owned(),
            cursor: 0,
        };
        editor.edit_buffer(|buffer| line.cursor = buffer.insertion_point(), UndoBehavior::NoOp);
        if let LineFunction::Tell(name) = function {
            let name = name.clone();
            if let Some(answers) = &*lock(&self.answers) {
                let _ = answers.send(Answer::Typed(Typed::Key { name, line: line.text }));
            }
            return;
        }
        // The user's function runs before anything is locked.
        let candidates = if function.completes() {
            candidates(&line, completer)
        } else {
            (0, Vec::new())
        };
        let history = if function.looks_back() {
            self.history.lines()
        } else {
            Vec::new()
        };
        let around = Around {
            history: &history,
            setting: &|name| self.setting(name),
            home: &home,
            candidates,
            columns: crossterm::terminal::size().map_or(80, |(columns, _)| columns.into()),
            wheel: &self.wheel,
        };
        let before = line.clone();
        let outcome = function.apply(&mut line, &mut lock(&self.memory), &around);
        if line != before {
            let undo = match line.text == before.text {
                _ if function.goes_through_history() => UndoBehavior::HistoryNavigation,
                true => UndoBehavior::MoveCursor,
                false => UndoBehavior::CreateUndoPoint,
            };
            put(editor, line, undo);
        }
        match outcome {
            Outcome::Done => {}
            Outcome::Ding => self.ding(),
            Outcome::Says(text) => self.say(&text),
            Outcome::Refuses(why) => {
                self.say(&why);
                self.ding();
            }
        }
    }
}

/// The editor saves a state after a change, not before it.
fn put(editor: &mut Editor, line: Line, undo: UndoBehavior) {
    editor.edit_buffer(
        |buffer| {
            buffer.clear_selection();
            buffer.set_buffer(line.text);
            buffer.set_insertion_point(line.cursor);
        },
        UndoBehavior::NoOp,
    );
    editor.edit_buffer(|_| {}, undo);
}

fn candidates(line: &Line, completer: &mut dyn Completer) -> (usize, Vec<String>) {
    let found = completer.complete(&line.text, line.cursor);
    let start = found.first().map_or(line.cursor, |first| first.span.start);
    (start, found.into_iter().map(|candidate| candidate.value).collect())
}

/// Returns the home directory of a user, from the system's list of users; without a name, that of this user.
fn home(user: &str) -> Option<String> {
    let own = if cfg!(windows) { "USERPROFILE" } else { "HOME" };
    if user.is_empty() {
        return std::env::var(own).ok();
    }
    if cfg!(unix)
        && let Ok(users) = std::fs::read_to_string("/etc/passwd")
        && let Some(home) = home_in(&users, user)
    {
        return Some(home);
    }
    let name = if cfg!(windows) { "USERNAME" } else { "USER" };
    let is_own = std::env::var(name).is_ok_and(|name| name == user);
    is_own.then(|| std::env::var(own).ok()).flatten()
}

fn home_in(users: &str, user: &str) -> Option<String> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(user)).then(|| fields.nth(4).map(str::to_owned))?
    })
}

/// Returns the menus for the editor.
pub(super) fn counters(desk: &Arc<Desk>) -> [ReedlineMenu; 3] {
    let counter = |name, function| {
        ReedlineMenu::EngineCompleter(Box::new(Counter {
            desk: desk.clone(),
            function,
            is_open: false,
            name,
            entry: [Suggestion::default()],
        }))
    };
    [
        counter(NEXT_OF_QUEUE, None),
        counter(PREVIOUS_HISTORY, Some(LineFunction::PreviousHistory)),
        counter(NEXT_HISTORY, Some(LineFunction::NextHistory)),
    ]
}

/// A menu that is never visible.
struct Counter {
    desk: Arc<Desk>,
    /// `None`: the waiting actions.
    function: Option<LineFunction>,
    is_open: bool,
    name: &'static str,
    entry: [Suggestion; 1],
}

impl Counter {
    fn serve(&self, editor: &mut Editor, completer: &mut dyn Completer) {
        let waiting = || lock(&self.desk.queue).pop_front();
        let Some(function) = self.function.clone().or_else(waiting) else {
            return;
        };
        // In a text with several lines the keys move up and down in it.
        let mut moved = false;
        editor.edit_buffer(
            |buffer| match function {
                LineFunction::PreviousHistory if !buffer.is_cursor_at_first_line() => {
                    buffer.move_line_up();
                    moved = true;
                }
                LineFunction::NextHistory if !buffer.is_cursor_at_last_line() => {
                    buffer.move_line_down();
                    moved = true;
                }
                _ => {}
            },
            UndoBehavior::NoOp,
        );
        if !moved {
            self.desk.serve(&function, editor, completer);
        }
    }
}

impl Menu for Counter {
    fn name(&self) -> &str {
        self.name
    }

    fn indicator(&self) -> &str {
        ""
    }

    fn is_active(&self) -> bool {
        self.is_open
    }

    fn menu_event(&mut self, event: MenuEvent) {
        match event {
            MenuEvent::Activate(_) => self.is_open = true,
            MenuEvent::Deactivate => self.is_open = false,
            _ => {}
        }
    }

    fn can_quick_complete(&self) -> bool {
        true
    }

    fn can_partially_complete(&mut self, _: bool, _: &mut Editor, _: &mut dyn Completer) -> bool {
        false
    }

    fn update_values(&mut self, editor: &mut Editor, completer: &mut dyn Completer) {
        // A panic of the completer must not leave it open.
        self.is_open = false;
        self.serve(editor, completer);
        self.is_open = true;
    }

    fn update_working_details(&mut self, _: &mut Editor, _: &mut dyn Completer, _: &Painter) {}

    fn replace_in_buffer(&self, _: &mut Editor) {}

    fn menu_required_lines(&self, _: u16) -> u16 {
        0
    }

    fn menu_string(&self, _: u16, _: bool) -> String {
        String::new()
    }

    fn min_rows(&self) -> u16 {
        0
    }

    fn get_values(&self) -> &[Suggestion] {
        &self.entry
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_of_users_tells_where_one_lives() {
        let users = "root:x:0:0:root:/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\nbroken\n";
        assert_eq!(home_in(users, "ann").as_deref(), Some("/home/ann"));
        assert_eq!(home_in(users, "broken"), None);
        assert_eq!(home_in(users, "bob"), None);
    }
}
