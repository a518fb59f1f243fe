//! Interprets keys before the editor sees them: strokes that belong together, counts, and functions that take the next
//! key.

use super::desk::{Desk, lock};
use super::editor::{ABORT, Shared};
use super::functions::{Act, KeyBinding, KeyFunction, act, kills, opposite};
use super::key::{Key, display, parse_keys};
use super::keymap::{Bound, Found, Keymaps, Map, is_ours};
use super::line::{LineFunction, SearchStep};
use super::sources::{Keys, Sources};
use crossterm::event::Event;
use reedline::{
    EditCommand as Edit, EditMode, Emacs, KeyCode, KeyModifiers, PromptEditMode, PromptViMode, ReedlineEvent as Does,
    ReedlineRawEvent, Vi,
};
use std::sync::Arc;

/// The largest digit argument; larger ones count as this.
const MOST: i64 = 1000;

/// The keys of one of the editor's modes, and the commands that the editor gets for them.
pub(super) struct Keyboard {
    desk: Arc<Desk>,
    shared: Arc<Shared>,
    sources: Sources,
    keymaps: Keymaps,
    emacs: Emacs,
    vi: Vi,
    is_vi: bool,
    /// Strokes of a binding that is not complete yet.
    strokes: Vec<Key>,
    argument: Option<Argument>,
    waiting: Option<Waiting>,
    is_searching: bool,
    overwrites: bool,
    /// The last function was a yank.
    has_yanked: bool,
}

/// The digits of an argument that were typed so far.
#[derive(Clone, Copy, Default)]
struct Argument {
    is_negative: bool,
    digits: Option<i64>,
}

impl Argument {
    fn value(self) -> i64 {
        let value = self.digits.unwrap_or(1);
        if self.is_negative { -value } else { value }
    }
}

/// A function that takes the next key.
enum Waiting {
    QuotedInsert(i64),
    CharacterSearch(i64),
    DumpKey(Vec<Key>),
}

impl EditMode for Keyboard {
    fn parse_event(&mut self, event: ReedlineRawEvent) -> Does {
        self.shared.key_pressed();
        match Event::from(event) {
            Event::Key(key) => {
                if self.desk.take_new() {
                    self.begin_line();
                }
                self.press(key.into())
            }
            other => self.pass(other),
        }
    }

    fn edit_mode(&self) -> PromptEditMode {
        if self.is_vi {
            self.vi.edit_mode()
        } else {
            self.emacs.edit_mode()
        }
    }
}

impl Keyboard {
    pub(super) fn new(desk: Arc<Desk>, shared: Arc<Shared>, sources: Sources, keys: Keys) -> Self {
        let mut keyboard = Keyboard {
            desk,
            shared,
            sources,
            keymaps: Keymaps::default(),
            emacs: Emacs::default(),
            vi: Vi::default(),
            is_vi: false,
            strokes: Vec::new(),
            argument: None,
            waiting: None,
            is_searching: false,
            overwrites: false,
            has_yanked: false,
        };
        keyboard.take(keys);
        keyboard
    }

    fn take(&mut self, keys: Keys) {
        self.keymaps = keys.keymaps;
        self.emacs = Emacs::new(self.keymaps.table(Map::Emacs));
        self.vi = Vi::new(self.keymaps.table(Map::ViInsert), self.keymaps.table(Map::ViCommand));
        self.is_vi = keys.is_vi;
        self.overwrites = false;
    }

    fn begin_line(&mut self) {
        self.strokes.clear();
        self.argument = None;
        self.waiting = None;
        self.is_searching = false;
        self.overwrites = false;
        self.has_yanked = false;
    }

    fn map(&self) -> Map {
        match self.edit_mode() {
            PromptEditMode::Vi(PromptViMode::Insert) => Map::ViInsert,
            PromptEditMode::Vi(_) => Map::ViCommand,
            _ => Map::Emacs,
        }
    }

    fn press(&mut self, key: Key) -> Does {
        if let Some(waiting) = self.waiting.take() {
            return self.resume(waiting, key);
        }
        if self.is_searching && self.strokes.is_empty() {
            return self.search(key);
        }
        self.stroke(key)
    }

    fn stroke(&mut self, key: Key) -> Does {
        if self.strokes.is_empty() {
            let said = self.pass(Event::Key(key.event()));
            if !is_ours(&said) {
                return self.unbound(said);
            }
        }
        self.strokes.push(key);
        match self.keymaps.find(self.map(), &self.strokes) {
            Found::Bound(bound) => {
                let bound = bound.clone();
                self.strokes.clear();
                self.act(&bound, key)
            }
            Found::Prefix => Does::None,
            Found::Nothing => {
                let is_alone = self.strokes.len() == 1;
                self.strokes.clear();
                let refused = self.refuse();
                if !is_alone && self.ends_line(key) {
                    return self.stroke(key);
                }
                refused
            }
        }
    }

    /// Whether the key, by itself, ends the line.
    fn ends_line(&self, key: Key) -> bool {
        match self.keymaps.find(self.map(), &[key]) {
            Found::Bound(bound) => matches!(&bound.act, Act::Editor(does) if ends(does)),
            Found::Prefix => false,
            Found::Nothing => {
                key == Key::plain(KeyCode::Enter) || key == Key::new(KeyModifiers::CONTROL, KeyCode::Char('c'))
            }
        }
    }

    /// The command of the editor's mode.
    fn pass(&mut self, event: Event) -> Does {
        let Ok(event) = ReedlineRawEvent::try_from(event) else {
            return Does::None;
        };
        if !self.is_vi {
            return self.emacs.parse_event(event);
        }
        let before = self.map();
        let said = self.vi.parse_event(event);
        if self.map() != before {
            self.overwrites = false;
        }
        said
    }

    fn refuse(&mut self) -> Does {
        self.argument = None;
        self.has_yanked = false;
        self.desk.ding();
        Does::None
    }

    /// Handles a key that only the editor has a binding for.
    fn unbound(&mut self, said: Does) -> Does {
        self.has_yanked = false;
        let times = self.argument.take().map_or(1, Argument::value);
        if ends(&said) {
            return self.end(said);
        }
        if times < 0 {
            return self.refuse();
        }
        if said == Does::None {
            return said;
        }
        if let Does::Edit(commands) = &said
            && let [Edit::InsertChar(c)] = commands[..]
        {
            return self.insert(c, times);
        }
        if holds_search(&said) {
            return self.begin_search(true);
        }
        self.repeat(said, times)
    }

    fn insert(&mut self, c: char, times: i64) -> Does {
        if self.overwrites {
            let over = (0..times.max(1)).map(|_| self.ask(LineFunction::Overwrite(c)));
            return Does::Multiple(over.collect());
        }
        Does::Edit(vec![match usize::try_from(times) {
            Ok(times) if times > 1 => Edit::InsertString(String::from(c).repeat(times)),
            _ => Edit::InsertChar(c),
        }])
    }

    fn act(&mut self, bound: &Bound, key: Key) -> Does {
        if matches!(bound.act, Act::Keys(KeyFunction::DigitArgument)) {
            return self.digit(key);
        }
        let argument = self.argument.take().map(Argument::value);
        let had_yanked = std::mem::take(&mut self.has_yanked);
        if let (Some(count), KeyBinding::Function(name)) = (argument, &bound.binding)
            && count < 0
            && let Some(turned) = opposite(name)
            && let Some(act) = act(&KeyBinding::Function(turned.to_owned()))
        {
            return self.run(&act, key, Some(-count), had_yanked);
        }
        self.run(&bound.act, key, argument, had_yanked)
    }

    fn run(&mut self, act: &Act, key: Key, argument: Option<i64>, had_yanked: bool) -> Does {
        let times = argument.unwrap_or(1);
        match act {
            Act::Keys(function) => self.of_keys(*function, key, argument, had_yanked),
            Act::Line(function) => {
                let function = function(argument);
                let takes_count = matches!(
                    function,
                    LineFunction::SetMark(_) | LineFunction::YankNthArg(_) | LineFunction::YankLastArg(_)
                );
                if times < 0 && !takes_count {
                    return self.refuse();
                }
                let times = if takes_count { 1 } else { times.max(1) };
                Does::Multiple((0..times).map(|_| self.ask(function.clone())).collect())
            }
            Act::Tell(name) => self.ask(LineFunction::Tell(name.clone())),
            Act::Vi(c) => self.of_vi(*c),
            // A count that is too large does not end the file.
            Act::Editor(Does::CtrlD) if times > 1 => {
                let rest = self.repeat(Does::Edit(vec![Edit::Delete]), times - 1);
                Does::Multiple(vec![self.end(Does::CtrlD), rest])
            }
            // Keys that end the line ignore any other count.
            Act::Editor(does) if ends(does) => self.end(does.clone()),
            Act::Editor(_) if times < 0 => self.refuse(),
            Act::Editor(Does::Edit(commands)) if matches!(commands[..], [Edit::InsertChar(_)]) => match commands[0] {
                Edit::InsertChar(c) => self.insert(c, times),
                _ => Does::None,
            },
            Act::Editor(does) => self.repeat(does.clone(), times),
        }
    }

    fn of_keys(&mut self, function: KeyFunction, key: Key, argument: Option<i64>, had_yanked: bool) -> Does {
        let times = argument.unwrap_or(1);
        match function {
            KeyFunction::SelfInsert => match key.typed() {
                Some(c) if times >= 0 => return self.insert(c, times),
                _ => return self.refuse(),
            },
            KeyFunction::QuotedInsert => self.waiting = Some(Waiting::QuotedInsert(times.max(1))),
            KeyFunction::CharacterSearch { backward } => {
                let times = if backward { -times } else { times };
                self.waiting = Some(Waiting::CharacterSearch(times));
            }
            KeyFunction::OverwriteMode => {
                self.overwrites = match argument {
                    Some(count) => count > 0,
                    None => !self.overwrites,
                };
            }
            KeyFunction::Search { backward } => return self.begin_search(backward),
            KeyFunction::InsertComment => {
                let comment = self.ask(LineFunction::InsertComment(argument));
                return Does::Multiple(vec![comment, self.accept()]);
            }
            KeyFunction::Yank => {
                self.has_yanked = true;
                let yanks = (0..times.max(1)).map(|_| self.ask(LineFunction::Yank));
                return Does::Multiple(yanks.collect());
            }
            KeyFunction::YankPop => {
                self.has_yanked = had_yanked;
                return self.ask(LineFunction::YankPop(had_yanked));
            }
            KeyFunction::ReReadInitFile => {
                // The program's bindings were checked when the wheel was started.
                if let Ok(keys) = self.sources.read() {
                    lock(&self.desk.settings).clone_from(&keys.settings);
                    self.take(keys);
                    return Does::Repaint;
                }
            }
            KeyFunction::DumpKey => self.waiting = Some(Waiting::DumpKey(Vec::new())),
            KeyFunction::DumpMacros => {
                let macros = self.keymaps.macros(self.map());
                let lines = macros.iter().map(|(keys, text)| format!("{keys}: {text:?}"));
                self.dump(lines.collect(), "# no macros defined");
            }
            KeyFunction::DumpVariables => {
                let settings = lock(&self.desk.settings).clone();
                let lines = settings.iter().map(|(name, value)| format!("set {name} {value}"));
                self.dump(lines.collect(), "# no variables defined");
            }
            KeyFunction::EmacsEditingMode => {
                self.is_vi = false;
                self.overwrites = false;
                return Does::Repaint;
            }
            KeyFunction::ViEditingMode => {
                self.is_vi = true;
                self.overwrites = false;
                self.vi_mode("normal");
                return Does::Repaint;
            }
            KeyFunction::ViReplace => {
                let does = self.of_vi('i');
                self.overwrites = self.map() == Map::ViInsert;
                return does;
            }
            KeyFunction::ViYankArg => {
                let append = self.of_vi('a');
                return Does::Multiple(vec![append, self.ask(LineFunction::YankLastArg(argument))]);
            }
            KeyFunction::ViArgDigit => match key.typed() {
                Some(digit) => return self.of_vi(digit),
                None => return self.refuse(),
            },
            KeyFunction::DigitArgument | KeyFunction::Ding => return self.refuse(),
        }
        Does::None
    }

    fn dump(&self, lines: Vec<String>, none: &str) {
        if lines.is_empty() {
            self.desk.say(none);
        } else {
            self.desk.say(&lines.join("\n"));
        }
    }

    fn digit(&mut self, key: Key) -> Does {
        let mut argument = self.argument.take().unwrap_or_default();
        match key.code {
            KeyCode::Char('-') if argument.digits.is_none() => argument.is_negative = true,
            KeyCode::Char(c) => match c.to_digit(10) {
                Some(digit) => {
                    let digits = argument.digits.unwrap_or(0) * 10 + i64::from(digit);
                    argument.digits = Some(digits.min(MOST));
                }
                None => return self.refuse(),
            },
            _ => return self.refuse(),
        }
        self.argument = Some(argument);
        Does::None
    }

    /// Handles the key that a function has waited for.
    fn resume(&mut self, waiting: Waiting, key: Key) -> Does {
        match waiting {
            Waiting::QuotedInsert(times) => match (key.literal(), usize::try_from(times)) {
                (Some(literal), Ok(times)) => Does::Edit(vec![Edit::InsertString(literal.repeat(times))]),
                _ => self.refuse(),
            },
            Waiting::CharacterSearch(times) => match key.typed() {
                Some(c) => {
                    let select = false;
                    let to = if times < 0 {
                        Edit::MoveLeftUntil { c, select }
                    } else {
                        Edit::MoveRightUntil { c, select }
                    };
                    self.repeat(Does::Edit(vec![to]), times.abs())
                }
                None if self.ends_line(key) => {
                    self.refuse();
                    self.stroke(key)
                }
                None => self.refuse(),
            },
            Waiting::DumpKey(mut keys) => {
                keys.push(key);
                match self.keymaps.find(self.map(), &keys) {
                    Found::Prefix => self.waiting = Some(Waiting::DumpKey(keys)),
                    Found::Bound(bound) => {
                        let does = match &bound.binding {
                            KeyBinding::Function(name) => name.clone(),
                            KeyBinding::Text(text) => format!("{text:?}"),
                            KeyBinding::Event(name) => format!("[{name}]"),
                        };
                        self.desk.say(&format!("{}: {does}", display(&keys)));
                    }
                    Found::Nothing => {
                        let types = key.typed().is_some() && keys.len() == 1 && self.map() != Map::ViCommand;
                        let does = if types { "self-insert" } else { "# not bound" };
                        self.desk.say(&format!("{}: {does}", display(&keys)));
                    }
                }
                Does::None
            }
        }
    }

    fn begin_search(&mut self, backward: bool) -> Does {
        self.is_searching = true;
        self.ask(LineFunction::Search(SearchStep::Begin { backward }))
    }

    /// Handles a key during a search: part of the term, a command of the search, or one that ends the search and then
    /// has its usual effect.
    fn search(&mut self, key: Key) -> Does {
        let again = match self.keymaps.find(self.map(), &[key]) {
            Found::Bound(bound) => match bound.act {
                Act::Keys(KeyFunction::Search { backward }) => Some(backward),
                _ => None,
            },
            _ => None,
        };
        let step = match (again, key.typed(), key.code) {
            (Some(backward), None, _) => SearchStep::Again { backward },
            (_, Some(c), _) => SearchStep::Key(c),
            (_, _, KeyCode::Backspace) if key.modifiers.is_empty() => SearchStep::Rub,
            (_, _, KeyCode::Char('h')) if key.modifiers == KeyModifiers::CONTROL => SearchStep::Rub,
            _ => {
                self.is_searching = false;
                let end = self.ask(LineFunction::Search(SearchStep::End));
                if self.ends_search(key) {
                    return end;
                }
                let does = self.stroke(key);
                return Does::Multiple(vec![end, does]);
            }
        };
        self.ask(LineFunction::Search(step))
    }

    /// Whether the key only ends a search.
    fn ends_search(&self, key: Key) -> bool {
        let terminators = self.desk.setting("isearch-terminators");
        let terminators = terminators.unwrap_or_else(|| "C-[ C-j".to_owned());
        let mut keys = terminators.split_whitespace().filter_map(parse_keys).flatten();
        keys.any(|terminator| terminator == key)
    }

    fn of_vi(&mut self, c: char) -> Does {
        let escapes = c == '\x1b';
        if !self.is_vi || (self.map() == Map::ViInsert) != escapes {
            return self.refuse();
        }
        let key = if escapes {
            Key::plain(KeyCode::Esc)
        } else {
            Key::char(c)
        };
        let said = self.pass(Event::Key(key.event()));
        self.repeat(said, 1)
    }

    /// Accepts the line; vi's next line begins in insert mode. If a menu is open, the first command closes it and takes
    /// the selected entry; without a menu the first command ends the line, and the second is ignored.
    fn accept(&mut self) -> Does {
        if self.is_vi {
            self.vi_mode("insert");
        }
        Does::Multiple(vec![Does::Enter, Does::Enter])
    }

    /// Ends the line. An open menu is closed, because the next line must not begin with it.
    fn end(&mut self, does: Does) -> Does {
        if matches!(does, Does::Enter | Does::Submit | Does::SubmitOrNewline) {
            return self.accept();
        }
        let in_visual = self.edit_mode() == PromptEditMode::Vi(PromptViMode::Visual);
        if in_visual {
            does
        } else {
            Does::Multiple(vec![Does::Esc, does])
        }
    }

    fn vi_mode(&mut self, mode: &str) {
        let _ = self.vi.handle_mode_specific_event(Does::ViChangeMode(mode.to_owned()));
    }

    /// Repeats a command of the editor, and records the text that it kills.
    fn repeat(&mut self, does: Does, times: i64) -> Does {
        let does = through_history(does);
        let kills = kills(&does);
        if times <= 1 && !kills {
            return does;
        }
        let mut all = Vec::new();
        for _ in 0..times.max(1) {
            if kills {
                all.push(self.ask(LineFunction::BeforeKill));
            }
            all.push(does.clone());
            if kills {
                all.push(self.ask(LineFunction::AfterKill));
            }
        }
        Does::Multiple(all)
    }

    /// A menu of completions gives way to a function; a selection stays only for functions that kill it.
    fn ask(&self, function: LineFunction) -> Does {
        let in_visual = self.edit_mode() == PromptEditMode::Vi(PromptViMode::Visual);
        let asked = self.desk.ask(function);
        if in_visual {
            asked
        } else {
            Does::Multiple(vec![Does::Esc, asked])
        }
    }
}

/// Whether it ends the line, or may end it (the end of the file, in an empty line).
fn ends(does: &Does) -> bool {
    match does {
        Does::Enter | Does::Submit | Does::SubmitOrNewline | Does::CtrlC | Does::CtrlD => true,
        Does::ExecuteHostCommand(command) => command == ABORT,
        _ => false,
    }
}

fn holds_search(does: &Does) -> bool {
    match does {
        Does::SearchHistory => true,
        Does::Multiple(all) | Does::UntilFound(all) => all.iter().any(holds_search),
        _ => false,
    }
}

/// The editor's own history commands look for lines with the same beginning; POE's go through the lines one by one.
fn through_history(does: Does) -> Does {
    match does {
        Does::PreviousHistory | Does::Up => Desk::previous_history(),
        Does::NextHistory | Does::Down => Desk::next_history(),
        Does::Multiple(all) => Does::Multiple(all.into_iter().map(through_history).collect()),
        Does::UntilFound(all) => Does::UntilFound(all.into_iter().map(through_history).collect()),
        other => other,
    }
}
