//! The tree of sessions as a list of lines, of which a reader asks for a part.
//!
//! Many children of one parent that were created by the same line are one line, until the reader opens it. So ten thousand
//! connections are one line with a count.

use crate::sample::Sample;
use crate::table::Table;
use crate::view::View;
use poe::SessionId;
use poe::inspect::SessionRow;
use serde::Serialize;
use std::collections::{HashMap, HashSet};
use std::time::Duration;

/// Siblings of one place that stand on lines of their own.
const SINGLE: usize = 12;
/// How long a failure is shown at its session, and a restart at the new one.
const SHOWN: Duration = Duration::from_secs(6);

#[derive(Clone, Default, PartialEq)]
pub(crate) struct Query {
    /// Groups that are open.
    pub(crate) open: HashSet<String>,
    /// Sessions whose children are hidden.
    pub(crate) closed: HashSet<u64>,
    /// Only sessions with this text in alias, type, place or number, without a tree.
    pub(crate) filter: String,
    /// Every session has its line.
    pub(crate) flat: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    Idle,
    Busy,
    Stopping,
    /// It was started again a moment ago.
    Restarted,
    /// A handler of it has failed a moment ago, or it is down.
    Failed,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct Line {
    /// The session's number, or the group's name.
    pub(crate) key: String,
    /// `kernel`, `session`, `group` or `down` (a supervisor's child that waits for its restart).
    pub(crate) kind: &'static str,
    pub(crate) depth: usize,
    pub(crate) label: String,
    pub(crate) heap: String,
    pub(crate) place: String,
    pub(crate) state: State,
    pub(crate) refs: usize,
    /// Events per second.
    pub(crate) rate: f64,
    /// Children, or members.
    pub(crate) kids: usize,
    pub(crate) open: bool,
    pub(crate) note: String,
}

/// What is known beside the table.
struct Marks<'a> {
    sample: &'a Sample,
    failed: HashSet<u64>,
    restarted: HashMap<u64, u64>,
    /// The names that supervisors have for sessions.
    names: HashMap<u64, String>,
    /// Sessions that have ended since the table was made.
    ended: HashSet<u64>,
    /// Children that are down, by supervisor: name, restarts, why.
    down: HashMap<u64, Vec<(String, u64, String)>>,
}

impl<'a> Marks<'a> {
    fn of(view: &View, sample: &'a Sample) -> Self {
        let log = view.record().log();
        let unhandled = log.failed.iter().rev().take_while(|(_, at)| at.elapsed() < SHOWN);
        let handled = sample.failed.iter().rev().take_while(|(_, at)| at.elapsed() < SHOWN);
        let failed: HashSet<u64> = unhandled.chain(handled).map(|(session, _)| session.get()).collect();
        let mut restarted = HashMap::new();
        let (mut names, mut ended) = (HashMap::new(), HashSet::new());
        let mut down: HashMap<u64, Vec<_>> = HashMap::new();
        for ((supervisor, name), child) in &log.children {
            if let Some(session) = child.session {
                names.insert(session.get(), name.clone());
            }
            ended.extend(
                child
                    .before
                    .filter(|before| child.session != Some(*before))
                    .map(|before| before.get()),
            );
            match child.session {
                Some(session) if child.restarts > 0 && child.since.elapsed() < SHOWN => {
                    restarted.insert(session.get(), child.restarts);
                }
                Some(_) => {}
                None if child.restart.is_some() || child.failure.is_some() => {
                    let why = child.failure.clone().unwrap_or_default();
                    down.entry(supervisor.get())
                        .or_default()
                        .push((name.clone(), child.restarts, why));
                }
                None => {}
            }
        }
        Marks {
            sample,
            failed,
            restarted,
            names,
            ended,
            down,
        }
    }

    fn label(&self, row: &SessionRow) -> String {
        match self.names.get(&row.id.get()) {
            Some(name) if row.aliases.is_empty() => name.clone(),
            _ => label(row),
        }
    }

    fn state(&self, row: &SessionRow) -> State {
        let id = row.id.get();
        if self.failed.contains(&id) {
            State::Failed
        } else if self.restarted.contains_key(&id) {
            State::Restarted
        } else if row.is_stopping {
            State::Stopping
        } else if self.sample.rate(id) > 0.0 {
            State::Busy
        } else {
            State::Idle
        }
    }
}

/// One line, before it is written out.
enum Item {
    Kernel,
    Session(usize),
    Group(String, Vec<usize>),
    Down(String, u64, String),
}

pub(crate) struct Lines {
    pub(crate) total: usize,
    pub(crate) lines: Vec<Line>,
}

pub(crate) fn lines(view: &View, table: &Table, query: &Query, offset: usize, limit: usize) -> Lines {
    let sample = view.sample.borrow();
    let marks = Marks::of(view, &sample);
    let mut items = Vec::new();
    if query.filter.is_empty() && !query.flat {
        items.push((0, Item::Kernel));
        below(table, &marks, query, 0, 1, &mut items);
    } else {
        let wanted = query.filter.to_lowercase();
        let found = (0..table.rows.len()).filter(|at| matches(&table.rows[*at], &wanted));
        items.extend(found.map(|at| (0, Item::Session(at))));
    }
    let total = items.len();
    let part = items.into_iter().skip(offset).take(limit);
    Lines {
        total,
        lines: part
            .map(|(depth, item)| line(view, table, &marks, query, depth, item))
            .collect(),
    }
}

/// Whether a session has the text, which is in lower case, in its number, aliases, type or place.
pub(crate) fn matches(row: &SessionRow, wanted: &str) -> bool {
    wanted.is_empty()
        || row.id.get().to_string() == wanted
        || row.aliases.iter().any(|alias| alias.to_lowercase().contains(wanted))
        || row.heap_type.to_lowercase().contains(wanted)
        || format!("{}:{}", row.place.file(), row.place.line())
            .to_lowercase()
            .contains(wanted)
}

fn below(table: &Table, marks: &Marks<'_>, query: &Query, parent: u64, depth: usize, items: &mut Vec<(usize, Item)>) {
    // Not by recursion: a chain of sessions may be long.
    enum Step {
        Open(u64, usize),
        Show(usize, Item),
    }
    let mut steps = vec![Step::Open(parent, depth)];
    while let Some(step) = steps.pop() {
        match step {
            Step::Show(depth, item) => {
                match &item {
                    Item::Session(at) => {
                        let id = table.rows[*at].id.get();
                        if !query.closed.contains(&id) {
                            steps.push(Step::Open(id, depth + 1));
                        }
                    }
                    Item::Group(key, members) if query.open.contains(key) => {
                        let members = members.iter().rev();
                        steps.extend(members.map(|at| Step::Show(depth + 1, Item::Session(*at))));
                    }
                    _ => {}
                }
                items.push((depth, item));
            }
            Step::Open(parent, depth) => {
                let mut shown = siblings(table, marks, parent);
                if let Some(down) = marks.down.get(&parent) {
                    let mut down: Vec<_> = down.clone();
                    down.sort();
                    shown.extend(
                        down.into_iter()
                            .map(|(name, restarts, why)| Item::Down(name, restarts, why)),
                    );
                }
                steps.extend(shown.into_iter().rev().map(|item| Step::Show(depth, item)));
            }
        }
    }
}

/// The children of a session, those of the same place together if there are many.
fn siblings(table: &Table, marks: &Marks<'_>, parent: u64) -> Vec<Item> {
    let children = table.children_of(parent).iter();
    let children: Vec<_> = children
        .filter(|at| !marks.ended.contains(&table.rows[**at].id.get()))
        .collect();
    let place = |at: &usize| table.rows[*at].place;
    let mut count: HashMap<_, usize> = HashMap::new();
    for at in &children {
        *count.entry(place(at)).or_default() += 1;
    }
    let mut groups: HashMap<_, usize> = HashMap::new();
    let mut shown: Vec<Item> = Vec::new();
    for at in children {
        let place = place(at);
        if count[&place] <= SINGLE {
            shown.push(Item::Session(*at));
            continue;
        }
        let group = *groups.entry(place).or_insert_with(|| {
            let key = format!("{parent}@{}:{}", place.file(), place.line());
            shown.push(Item::Group(key, Vec::new()));
            shown.len() - 1
        });
        if let Item::Group(_, members) = &mut shown[group] {
            members.push(*at);
        }
    }
    shown
}

fn line(view: &View, table: &Table, marks: &Marks<'_>, query: &Query, depth: usize, item: Item) -> Line {
    let empty = Line {
        key: String::new(),
        kind: "session",
        depth,
        label: String::new(),
        heap: String::new(),
        place: String::new(),
        state: State::Idle,
        refs: 0,
        rate: 0.0,
        kids: 0,
        open: true,
        note: String::new(),
    };
    match item {
        Item::Kernel => Line {
            key: "0".into(),
            kind: "kernel",
            label: view.name().to_owned(),
            rate: marks.sample.history.back().map_or(0.0, |point| point.events),
            kids: table.children_of(0).len(),
            state: State::Busy,
            ..empty
        },
        Item::Session(at) => {
            let row = &table.rows[at];
            let id = row.id.get();
            Line {
                key: id.to_string(),
                label: marks.label(row),
                heap: short(row.heap_type),
                place: place(row.place),
                state: marks.state(row),
                refs: row.refcount,
                rate: marks.sample.rate(id),
                kids: table.children_of(id).len(),
                open: !query.closed.contains(&id),
                note: match marks.restarted.get(&id) {
                    Some(n) => format!("restart {n}"),
                    None => String::new(),
                },
                ..empty
            }
        }
        Item::Group(key, members) => {
            let first = &table.rows[members[0]];
            let rows = members.iter().map(|at| &table.rows[*at]);
            Line {
                kind: "group",
                label: format!("{} sessions", members.len()),
                heap: short(first.heap_type),
                place: place(first.place),
                state: rows.clone().map(|row| marks.state(row)).max().unwrap_or(State::Idle),
                refs: rows.clone().map(|row| row.refcount).sum(),
                rate: (rows.map(|row| marks.sample.rate(row.id.get())).sum::<f64>() * 10.0).round() / 10.0,
                kids: members.len(),
                open: query.open.contains(&key),
                key,
                ..empty
            }
        }
        Item::Down(name, restarts, why) => Line {
            key: format!("down:{name}"),
            kind: "down",
            label: name,
            state: State::Failed,
            note: match restarts {
                0 => why,
                1 => format!("{why} (1 restart so far)"),
                n => format!("{why} ({n} restarts so far)"),
            },
            ..empty
        },
    }
}

/// What a session is called: its alias, or its type and number.
pub(crate) fn label(row: &SessionRow) -> String {
    match row.aliases.first() {
        Some(alias) => alias.clone(),
        None if row.heap_type == "()" => format!("session #{}", row.id),
        None => format!("{} #{}", short(row.heap_type), row.id),
    }
}

/// Names sessions by their numbers, for events.
pub(crate) fn name(table: Option<&Table>, session: SessionId) -> String {
    if session.is_kernel() {
        return "kernel".to_owned();
    }
    match table.and_then(|table| table.row(session.get())) {
        Some(row) => label(row),
        None => format!("#{session}"),
    }
}

pub(crate) fn place(place: &std::panic::Location<'_>) -> String {
    format!("{}:{}", place.file(), place.line())
}

/// A type without the paths of its parts.
pub(crate) fn short(name: &str) -> String {
    let mut out = String::new();
    let mut part = String::new();
    for c in name.chars() {
        match c {
            ':' => part.clear(),
            c if c.is_alphanumeric() || c == '_' => part.push(c),
            c => {
                out.push_str(&part);
                part.clear();
                out.push(c);
            }
        }
    }
    out.push_str(&part);
    out
}
