//! What the ends of a program share.

use super::ends::DO;
use crate::program::Lines;
use poe::{Kernel, SessionId};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

/// What an end is, for steps that want one of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Wheel,
    Listener,
    Reader,
    Writer,
    Other,
}

#[derive(Debug)]
pub(super) struct Known {
    pub(super) class: Class,
    pub(super) session: Option<SessionId>,
    pub(super) wants_close: bool,
    /// Much can be sent through it: records stay few, and the system's buffers are of a size that does not change.
    pub(super) wide: bool,
}

pub(super) struct Listener {
    pub(super) end: usize,
    pub(super) address: Where,
    /// The ends that are to be accepted, with their kinds.
    pub(super) coming: VecDeque<(usize, String)>,
}

#[derive(Clone, Debug)]
pub(super) enum Where {
    Path(PathBuf),
    Tcp(std::net::SocketAddr),
}

#[derive(Debug)]
pub(super) struct Io {
    pub(super) logs: RefCell<BTreeMap<String, Vec<String>>>,
    pub(super) ends: RefCell<Vec<Known>>,
    pub(super) listeners: RefCell<Vec<Listener>>,
    pub(super) reactions: Vec<Lines>,
    /// Children's ends that are awaited.
    pub(super) in_flight: Cell<u32>,
    pub(super) tcp: Cell<bool>,
    /// A record has brought about more in this step.
    pub(super) reacted: Cell<bool>,
    /// More was sent than fits into a buffer.
    pub(super) many: Cell<bool>,
    /// … and not all of it has gone out.
    pub(super) cut: Cell<bool>,
    pub(super) folder: PathBuf,
}

impl std::fmt::Debug for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "listener {}", self.end)
    }
}

static FOLDERS: AtomicU32 = AtomicU32::new(0);

impl Io {
    pub(super) fn new(reactions: Vec<Lines>) -> Self {
        let number = FOLDERS.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("poe-io-{}-{number}", std::process::id()));
        std::fs::create_dir(&folder).expect("a folder for sockets");
        Io {
            logs: RefCell::default(),
            ends: RefCell::default(),
            listeners: RefCell::default(),
            reactions,
            in_flight: Cell::new(0),
            tcp: Cell::new(false),
            reacted: Cell::new(false),
            many: Cell::new(false),
            cut: Cell::new(false),
            folder,
        }
    }

    pub(super) fn say(&self, who: &str, line: String) {
        self.logs.borrow_mut().entry(who.to_owned()).or_default().push(line);
    }

    /// Of an end, of a part of it that has an order of its own.
    pub(super) fn of_end(&self, end: usize, part: &str, line: String) {
        self.say(format!("{end:02} {part}").trim_end(), line);
    }

    /// All has been written.
    pub(super) fn flushed(&self, end: usize) {
        self.unflushed(end);
        self.of_end(end, "writes", "flushed now".to_owned());
    }

    /// Where ends react to each other, how often all is written depends on who has his turn when: only the last time counts, after the
    /// last put.
    pub(super) fn unflushed(&self, end: usize) {
        let who = format!("{end:02} writes");
        let mut logs = self.logs.borrow_mut();
        if self.reacted.get()
            && let Some(log) = logs.get_mut(&who)
        {
            log.retain(|line| line != "flushed now");
            if log.is_empty() {
                logs.remove(&who);
            }
        }
    }

    /// A step is over.
    pub(super) fn step_is_over(&self) {
        self.reacted.set(false);
        for line in self.logs.borrow_mut().values_mut().flatten() {
            if line == "flushed now" {
                "flushed".clone_into(line);
            }
        }
    }

    pub(super) fn new_end(&self, class: Class, wide: bool) -> usize {
        let mut ends = self.ends.borrow_mut();
        ends.push(Known {
            class,
            session: None,
            wants_close: false,
            wide,
        });
        ends.len() - 1
    }

    /// The end of `at wheel 3`: the third of that kind, counted round.
    pub(super) fn find(&self, line: &str) -> Option<usize> {
        let mut words = line.split(' ').skip(1);
        let class = match words.next() {
            Some("listener") => Class::Listener,
            Some("reader") => Class::Reader,
            Some("writer") => Class::Writer,
            _ => Class::Wheel,
        };
        let which: usize = words.next().and_then(|word| word.parse().ok()).unwrap_or(0);
        let ends = self.ends.borrow();
        let those: Vec<usize> = (0..ends.len()).filter(|end| ends[*end].class == class).collect();
        Some(those[which.checked_rem(those.len())?])
    }

    pub(super) fn tell(&self, kernel: &Kernel, end: usize, lines: Lines) {
        let session = self.ends.borrow()[end].session;
        let told = session.is_some_and(|session| kernel.post(session, DO, lines).is_ok());
        if !told {
            self.of_end(end, "", "gone".to_owned());
        }
    }

    pub(super) fn close_those_that_asked(&self, kernel: &Kernel) -> bool {
        let those: Vec<usize> = {
            let mut ends = self.ends.borrow_mut();
            let asked = ends.iter_mut().enumerate().filter(|(_, end)| end.wants_close);
            asked.map(|(n, end)| (end.wants_close = false, n).1).collect()
        };
        for end in &those {
            self.tell(kernel, *end, vec!["close".to_owned()]);
        }
        !those.is_empty()
    }

    pub(super) fn alive(&self, kernel: &Kernel) -> String {
        let ends = self.ends.borrow();
        let alive = ends
            .iter()
            .enumerate()
            .filter(|(_, end)| end.session.is_some_and(|id| kernel.is_alive(id)));
        alive.map(|(n, _)| n.to_string()).collect::<Vec<_>>().join(" ")
    }

    /// What is too long to be looked at is told by its beginning, length and a checksum.
    fn short(&self, line: &str) -> String {
        if line.len() <= 300 {
            return line.to_owned();
        }
        let begin = &line[..30];
        if self.cut.get() {
            return format!("{begin} ...");
        }
        let sum = line
            .bytes()
            .fold(0_u32, |sum, byte| (sum * 31 + u32::from(byte)) % 1_000_003);
        format!("{begin} ... {} {sum}", line.len())
    }

    /// All that was said, end by end. How a stream was cut is left to the system; equal lines are told once.
    pub(super) fn transcript(&self) -> Vec<String> {
        let mut transcript = Vec::new();
        for (who, lines) in self.logs.borrow().iter() {
            transcript.push(format!("end {who}"));
            let mut lines = lines.iter().peekable();
            while let Some(line) = lines.next() {
                let mut line = line.clone();
                if line.starts_with("stream ") {
                    while let Some(more) = lines.next_if(|next| next.starts_with("stream ")) {
                        line += &more["stream ".len()..];
                    }
                    transcript.push(self.short(&line));
                    continue;
                }
                let mut times = 1;
                while lines.next_if_eq(&&line).is_some() {
                    times += 1;
                }
                let counts = times > 1 && !(self.cut.get() && line.len() > 300);
                transcript.push(if counts {
                    format!("{} times {times}", self.short(&line))
                } else {
                    self.short(&line)
                });
            }
        }
        // Perl's side says lines in the same way.
        transcript.iter().map(|line| line.trim_end().to_owned()).collect()
    }
}

impl Drop for Io {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
