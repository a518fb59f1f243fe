//! What POE does, by the laws, in the plainest way: lists that are looked through, counts that are counted. It is given
//! the same script as the real sessions and writes the same lines. Nothing of the crate is used here.

use super::ON_PURPOSE;
use super::Token;
use super::script::{ALIASES, KERNEL as KERNEL_PICKED, Kind, Op, RINGS, SIGNALS, TAGS, Who};
use std::collections::{BTreeMap, VecDeque};

/// Serial number of a session; 0 is the kernel.
type Id = u64;
const KERNEL: Id = 0;
/// What the library's own events have for a caller's event.
const NONE: &str = "-";

/// A postback: whose, with which argument, and whether it still holds.
#[derive(Clone, Debug)]
struct Back {
    owner: Id,
    mine: Token,
    holds: bool,
}

/// What travels.
#[derive(Clone, Debug)]
enum Arg {
    Unit,
    Token(Token),
    Pair(Token, Token),
    Gift(Back),
    Signal {
        signal: &'static str,
        why: Option<Why>,
    },
    Child {
        how: &'static str,
        session: Id,
        result: Option<u64>,
    },
    Parent(Id, Id),
    Unhandled(&'static str),
}

/// The record of a failure.
#[derive(Clone, Debug)]
struct Why {
    failure: String,
    session: Id,
    event: &'static str,
}

#[derive(Clone, Debug)]
struct Item {
    to: Id,
    from: Id,
    event: &'static str,
    by: &'static str,
    arg: Arg,
    /// Milliseconds.
    due: i64,
    order: u64,
    /// Timers have one, in the order of their making.
    timer: Option<usize>,
}

struct Session {
    kind: Kind,
    parent: Id,
    children: Vec<Id>,
    stopping: bool,
    starting: bool,
    aliases: Vec<usize>,
    /// Tags of the program, then that of postbacks, which is the last.
    tags: [u64; TAGS.len() + 1],
    watches: Vec<&'static str>,
    /// When its count last became zero, if no sweep has looked since.
    marked: Option<u64>,
    refs: u64,
}

struct Task {
    owner: Id,
    token: Token,
    alive: bool,
    polled: bool,
    ready: bool,
    told: bool,
}

/// How a handler ended badly.
enum Bad {
    Failed(String),
    Panicked(String),
}

impl Bad {
    fn text(&self) -> String {
        match self {
            Bad::Failed(text) => text.clone(),
            Bad::Panicked(text) => format!("panicked: {text}"),
        }
    }
}

/// What a handler gave back: a number, or nothing.
type Answer = Option<u64>;

enum Outcome {
    Answered(Answer),
    Unhandled,
    Bad,
}

/// Heap and state table, which outlive their session while one of its handlers runs.
#[derive(Default)]
struct Heap {
    backs: Vec<Back>,
    /// Without a handler for `told`.
    muted: bool,
    depth: u32,
}

pub(super) struct Model {
    script: VecDeque<Vec<Op>>,
    pub(super) log: Vec<String>,
    sessions: BTreeMap<Id, Session>,
    heaps: BTreeMap<Id, Heap>,
    top: Vec<Id>,
    created: u64,
    queue: Vec<Item>,
    order: u64,
    mark: u64,
    tokens: Token,
    now: i64,
    timers: usize,
    /// By handle, as the sessions remember them: the timer's number, unless it was never set.
    handles: Vec<Option<usize>>,
    tasks: Vec<Task>,
    intake: Vec<usize>,
    woken: Vec<usize>,
    active: Id,
    active_event: &'static str,
    handled: Option<u32>,
    fatal: Option<String>,
    over: bool,
}

/// A session as it can be compared with the real one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Alive {
    pub(super) session: Id,
    pub(super) parent: Id,
    pub(super) aliases: Vec<String>,
    pub(super) holds: u64,
}

impl Model {
    pub(super) fn new(script: Vec<Vec<Op>>) -> Self {
        Model {
            script: script.into(),
            log: Vec::new(),
            sessions: BTreeMap::new(),
            heaps: BTreeMap::new(),
            top: Vec::new(),
            created: 0,
            queue: Vec::new(),
            order: 0,
            mark: 0,
            tokens: 0,
            now: 0,
            timers: 0,
            handles: Vec::new(),
            tasks: Vec::new(),
            intake: Vec::new(),
            woken: Vec::new(),
            active: KERNEL,
            active_event: NONE,
            handled: None,
            fatal: None,
            over: false,
        }
    }

    // What the test does from outside.

    pub(super) fn create(&mut self, kind: Kind) {
        self.create_session(kind);
    }

    pub(super) fn end_script(&mut self) {
        self.script.clear();
    }

    pub(super) fn release(&mut self) {
        for id in 1..=self.created {
            if self.is_alive(id) {
                self.post(id, KERNEL, "release", NONE, Arg::Unit);
            }
        }
        for task in 0..self.tasks.len() {
            self.resolve_task(task);
        }
    }

    /// The sessions that are left.
    pub(super) fn alive(&self) -> Vec<Alive> {
        self.sessions
            .iter()
            .map(|(id, s)| {
                let mut aliases: Vec<String> = s.aliases.iter().map(|a| ALIASES[*a].to_owned()).collect();
                aliases.sort();
                Alive {
                    session: *id,
                    parent: s.parent,
                    aliases,
                    holds: s.refs,
                }
            })
            .collect()
    }

    /// `Kernel::run`, for so many milliseconds at most; what it fails with.
    pub(super) fn run(&mut self, limit: i64) -> Option<String> {
        if self.sessions.is_empty() {
            return self.fatal.take();
        }
        self.over = false;
        let end = self.now + limit;
        loop {
            self.io_phase();
            if self.over || (self.sessions.is_empty() && self.queue.iter().all(|i| i.timer.is_some())) {
                return self.fatal.take();
            }
            match self.queue.iter().map(|i| i.due).min() {
                Some(due) if due <= self.now => {}
                // Nothing is due: time goes on (it stands still while anything can run).
                Some(due) if due < end => {
                    self.now = due;
                    continue;
                }
                Some(_) => {
                    self.now = end;
                    return None;
                }
                None => {
                    let idle = self.tasks.iter().all(|t| !t.alive)
                        && self.sessions.values().all(|s| s.tags.iter().all(|t| *t == 0));
                    if !idle {
                        self.now = end;
                        return None;
                    }
                    self.raise_signal(KERNEL, KERNEL, "IDLE", NONE, None);
                }
            }
            self.generation();
            self.sweep();
        }
    }

    // Slices: L5, L6.

    fn io_phase(&mut self) {
        let woken = std::mem::take(&mut self.woken);
        let looked = !woken.is_empty() || !self.intake.is_empty();
        for task in woken {
            self.poll_task(task);
        }
        self.poll_intake();
        if looked {
            if self.fatal.is_some() {
                self.stop_all();
            }
            self.sweep();
        }
    }

    /// What is due when it begins, and timers that are set in the past meanwhile.
    fn generation(&mut self) {
        let end = self.order;
        loop {
            let now = self.now;
            let due = self.queue.iter().enumerate().filter(|(_, i)| i.due <= now);
            let Some((at, item)) = due.min_by_key(|(_, i)| (i.due, i.order)) else {
                return;
            };
            // A timer that was set for this very instant is of the next one, too; one set in the past is not.
            if item.order > end && (item.timer.is_none() || item.due == now) {
                return;
            }
            let item = self.queue.remove(at);
            self.release_refs(item.to, item.from);
            match item.arg {
                Arg::Signal { signal, why } if item.event == "_signal" => {
                    self.dispatch_signal(item.to, item.by, signal, why);
                }
                _ if item.event == "_gc" => {}
                // The kernel has no handlers (law L16).
                arg if item.to == KERNEL => self.drop_arg(arg),
                arg => {
                    self.dispatch(item.to, item.from, item.event, item.by, arg, false);
                }
            }
            if self.fatal.is_some() {
                self.stop_all();
            }
            self.poll_intake();
        }
    }

    fn poll_intake(&mut self) {
        for task in std::mem::take(&mut self.intake) {
            self.poll_task(task);
        }
    }

    fn poll_task(&mut self, n: usize) {
        let task = &mut self.tasks[n];
        task.polled = true;
        if !task.alive || !task.ready {
            return;
        }
        task.alive = false;
        let (owner, token) = (task.owner, task.token);
        self.post(owner, owner, "spawned", NONE, Arg::Token(token));
        self.let_go(owner);
    }

    fn resolve_task(&mut self, n: usize) {
        let Some(task) = self.tasks.get_mut(n) else { return };
        if !std::mem::replace(&mut task.told, true) {
            task.ready = true;
            if task.alive && task.polled {
                self.woken.push(n);
            }
        }
    }

    // Counts and marks: L26 to L29.

    fn is_alive(&self, id: Id) -> bool {
        id == KERNEL || self.sessions.contains_key(&id)
    }

    fn or_kernel(&self, id: Id) -> Id {
        if self.is_alive(id) { id } else { KERNEL }
    }

    fn hold(&mut self, id: Id) {
        if let Some(s) = self.sessions.get_mut(&id) {
            s.refs += 1;
        }
    }

    fn let_go(&mut self, id: Id) {
        if let Some(s) = self.sessions.get_mut(&id) {
            s.refs -= 1;
            self.mark_if_free(id);
        }
    }

    /// The latest mark is for a session that nothing holds.
    fn mark_if_free(&mut self, id: Id) {
        let mark = self.mark + 1;
        if let Some(s) = self.sessions.get_mut(&id).filter(|s| s.refs == 0) {
            self.mark = mark;
            s.marked = Some(mark);
        }
    }

    fn release_refs(&mut self, to: Id, from: Id) {
        self.let_go(to);
        if from != to {
            self.let_go(from);
        }
    }

    fn sweep(&mut self) {
        loop {
            let mut marked: Vec<(u64, Id)> = Vec::new();
            let mut any = false;
            for (id, s) in &mut self.sessions {
                if let Some(mark) = s.marked.take() {
                    any = true;
                    if s.refs == 0 {
                        marked.push((mark, *id));
                    }
                }
            }
            if !any {
                return;
            }
            marked.sort();
            for (_, id) in marked.into_iter().rev() {
                if self.is_alive(id) {
                    self.stop_session(id);
                }
            }
        }
    }

    // Events: L1 to L11.

    fn post(&mut self, to: Id, from: Id, event: &'static str, by: &'static str, arg: Arg) {
        self.hold(to);
        if from != to {
            self.hold(from);
        }
        self.order += 1;
        self.queue.push(Item {
            to,
            from,
            event,
            by,
            arg,
            due: self.now,
            order: self.order,
            timer: None,
        });
    }

    fn set_timer(&mut self, me: Id, ring: usize, after: i64, token: Token) -> Option<usize> {
        if !self.is_alive(me) {
            return None;
        }
        self.hold(me);
        self.order += 1;
        self.timers += 1;
        self.queue.push(Item {
            to: me,
            from: me,
            event: RINGS[ring],
            by: self.active_event,
            arg: Arg::Token(token),
            due: self.now + after,
            order: self.order,
            timer: Some(self.timers),
        });
        Some(self.timers)
    }

    /// Removes timers of a session, of one event or all; their arguments, in due order.
    fn clear_timers(&mut self, me: Id, event: Option<&str>) -> Vec<Token> {
        let mut found: Vec<(i64, u64, usize)> = Vec::new();
        for (at, item) in self.queue.iter().enumerate() {
            if item.timer.is_some() && item.to == me && event.is_none_or(|e| e == item.event) {
                found.push((item.due, item.order, at));
            }
        }
        found.sort();
        let tokens = found
            .iter()
            .map(|(.., at)| match self.queue[*at].arg {
                Arg::Token(token) => token,
                _ => unreachable!("timers carry tokens"),
            })
            .collect();
        let mut places: Vec<usize> = found.iter().map(|f| f.2).collect();
        places.sort();
        for at in places.into_iter().rev() {
            self.queue.remove(at);
            self.let_go(me);
        }
        tokens
    }

    fn timer_at(&self, which: usize) -> Option<usize> {
        let handle = self.handles[which % self.handles.len()]?;
        self.queue.iter().position(|i| i.timer == Some(handle))
    }

    fn move_timer(&mut self, me: Id, which: usize, due: impl Fn(i64, i64) -> i64) -> String {
        if self.handles.is_empty() {
            return String::new();
        }
        let Some(at) = self.timer_at(which) else {
            return "none".into();
        };
        if self.queue[at].to != me {
            return "not permitted".into();
        }
        let due = due(self.queue[at].due, self.now);
        self.order += 1;
        if self.queue[at].due != due {
            self.queue[at].due = due;
            self.queue[at].order = self.order;
        }
        "ok".into()
    }

    // Handlers: L11 to L17, L58 to L65.

    fn say(&mut self, line: String) {
        self.log.push(line);
    }

    fn token(&mut self) -> Token {
        self.tokens += 1;
        self.tokens
    }

    /// One event to one session, which is the active one meanwhile.
    fn dispatch(&mut self, to: Id, from: Id, event: &'static str, by: &'static str, arg: Arg, fatal: bool) -> Outcome {
        if !self.sessions.contains_key(&to) {
            return Outcome::Unhandled;
        }
        let before = (self.active, self.active_event);
        (self.active, self.active_event) = (to, event);
        if let Some(heap) = self.heaps.get_mut(&to) {
            heap.depth += 1;
        }
        let outcome = match self.invoke(to, from, event, by, arg) {
            Some(Ok(answer)) => Outcome::Answered(answer),
            None => Outcome::Unhandled,
            Some(Err(bad)) => {
                let why = Why {
                    failure: bad.text(),
                    session: to,
                    event,
                };
                // Stopped meanwhile, the session can no longer be told.
                if fatal || self.active == KERNEL || !self.is_alive(to) {
                    self.fatal = Some(why.failure);
                } else {
                    self.raise_signal(to, KERNEL, "DIE", NONE, Some(why));
                }
                Outcome::Bad
            }
        };
        if let Some(heap) = self.heaps.get_mut(&to) {
            heap.depth -= 1;
        }
        self.drop_heap_of_the_dead(to);
        (self.active, self.active_event) = before;
        outcome
    }

    /// Runs the handler, if there is one.
    fn invoke(
        &mut self,
        to: Id,
        from: Id,
        event: &'static str,
        by: &'static str,
        arg: Arg,
    ) -> Option<Result<Answer, Bad>> {
        let session = &self.sessions[&to];
        let known = match event {
            "_stop" | "_child" | "_parent" => !session.kind.quiet,
            "told" => !self.heaps[&to].muted,
            _ => true,
        };
        let (name, arg) = match (known, session.kind.default) {
            (true, _) => (event, arg),
            (false, true) => ("_default", Arg::Unhandled(event)),
            (false, false) => return None,
        };
        if event == "_start" && session.kind.heeds_die {
            self.watch(to, "DIE");
        }
        let came = match &arg {
            Arg::Unit | Arg::Gift(_) => String::new(),
            Arg::Token(token) => token.to_string(),
            Arg::Pair(mine, theirs) => format!("{mine} {theirs}"),
            Arg::Signal { signal, why: None } => (*signal).to_owned(),
            Arg::Signal { signal, why: Some(why) } => {
                format!("{signal} {} {} {}", why.failure, why.session, why.event)
            }
            Arg::Child { how, session, result } => format!("{how} {session} {result:?}"),
            Arg::Parent(old, new) => format!("{} {}", show(*old), show(*new)),
            Arg::Unhandled(event) => (*event).to_owned(),
        };
        if let Arg::Gift(back) = &arg {
            self.heap(to).backs.push(back.clone());
        }
        Some(self.batch(to, from, name, by, &came).map(|()| match (name, &arg) {
            ("_start" | "_stop", _) => Some(to),
            ("asked", Arg::Token(token)) => Some(*token),
            _ => None,
        }))
    }

    fn batch(&mut self, me: Id, from: Id, name: &str, by: &str, came: &str) -> Result<(), Bad> {
        let (active, during) = (show(self.active), self.active_event);
        let line = format!(
            "{} {me} {name} from {} in {by} active {active} {during} {came}",
            self.now,
            show(from)
        );
        self.say(line);
        for op in self.script.pop_front().unwrap_or_default() {
            let what = format!("{op:?}");
            let result = self.step(me, op)?;
            self.say(format!("  {me} {what}: {result}"));
        }
        if name == "release" {
            let backs = std::mem::take(&mut self.heap(me).backs);
            self.drop_backs(backs);
            self.clear_timers(me, None);
            for _ in 0..std::mem::take(&mut self.session(me).aliases).len() {
                self.let_go(me);
            }
            for tag in 0..TAGS.len() {
                if std::mem::take(&mut self.session(me).tags[tag]) > 0 {
                    self.let_go(me);
                }
            }
        }
        Ok(())
    }

    fn session(&mut self, id: Id) -> &mut Session {
        self.sessions.get_mut(&id).expect("it is alive")
    }

    fn heap(&mut self, id: Id) -> &mut Heap {
        self.heaps.get_mut(&id).expect("one of its handlers runs")
    }

    fn who(&self, who: Who) -> Id {
        match who {
            KERNEL_PICKED => KERNEL,
            _ => who as u64 % self.created + 1,
        }
    }

    /// The present sender of posts in that frame: the session, or the kernel in its place.
    fn post_told(&mut self, me: Id, to: Option<Id>, event: &'static str, arg: Arg) -> String {
        match to {
            Some(to) if self.is_alive(to) => {
                // After a `stop` in its own `_stop` it is still there, and the kernel speaks (law L87).
                let from = if self.active == KERNEL {
                    KERNEL
                } else {
                    self.or_kernel(me)
                };
                self.post(to, from, event, self.active_event, arg);
                "ok".into()
            }
            _ => {
                self.drop_arg(arg);
                "gone".into()
            }
        }
    }

    fn call(&mut self, to: Id) -> Result<String, Bad> {
        let token = self.token();
        if to == KERNEL {
            return Ok("0".into());
        }
        if !self.is_alive(to) {
            return Ok("gone".into());
        }
        // The active session calls: the kernel, after a `stop` (law L87).
        let (me, by) = (self.active, self.active_event);
        if to == me {
            // A bare invocation: the active session stays, errors go to the caller, panics through it (law L13).
            let heap = self.heap(to);
            heap.depth += 1;
            let result = self.invoke(to, me, "asked", by, Arg::Token(token)).expect("a handler");
            self.heap(to).depth -= 1;
            return match result {
                Ok(_) => Ok(token.to_string()),
                Err(Bad::Failed(_)) => Ok("died".into()),
                Err(panic) => Err(panic),
            };
        }
        match self.dispatch(to, me, "asked", by, Arg::Token(token), false) {
            Outcome::Answered(_) => Ok(token.to_string()),
            Outcome::Unhandled => unreachable!("every session has a handler for it"),
            Outcome::Bad => Ok("died".into()),
        }
    }

    fn step(&mut self, me: Id, op: Op) -> Result<String, Bad> {
        let alive = self.is_alive(me);
        let ok = || "ok".to_owned();
        Ok(match op {
            Op::Create(kind) => self.create_session(kind).to_string(),
            Op::Post(to) => {
                let (to, token) = (self.who(to), self.token());
                self.post_told(me, Some(to), "told", Arg::Token(token))
            }
            Op::PostToAlias(alias) => {
                let token = self.token();
                let to = self.alias_owner(alias);
                self.post_told(me, to, "told", Arg::Token(token))
            }
            Op::Yield => {
                let token = self.token();
                if alive {
                    self.post(me, me, "told", self.active_event, Arg::Token(token));
                }
                ok()
            }
            Op::Call(to) => {
                let to = self.who(to);
                self.call(to)?
            }
            Op::CallMyself => self.call(me)?,
            Op::Increment(of, tag) => {
                let of = self.who(of);
                if of == KERNEL || !self.is_alive(of) {
                    return Ok("gone".into());
                }
                self.increment(of, tag).to_string()
            }
            Op::Decrement(of, tag) => {
                let of = self.who(of);
                if of == KERNEL || !self.is_alive(of) {
                    return Ok("gone".into());
                }
                self.decrement(of, tag).map_or("none".into(), |count| count.to_string())
            }
            Op::AliasSet(_) | Op::AliasRemove(_) if !alive => "gone".into(),
            Op::AliasSet(alias) => match self.alias_owner(alias) {
                Some(owner) if owner == me => ok(),
                Some(_) => "taken".into(),
                None => {
                    self.session(me).aliases.push(alias);
                    self.hold(me);
                    ok()
                }
            },
            Op::AliasRemove(alias) => match self.alias_owner(alias) {
                Some(owner) if owner == me => {
                    self.session(me).aliases.retain(|a| *a != alias);
                    self.let_go(me);
                    ok()
                }
                Some(_) => "not permitted".into(),
                None => "none".into(),
            },
            Op::Delay(ring, after) => {
                let token = self.token();
                self.clear_timers(me, Some(RINGS[ring]));
                self.set_timer(me, ring, after, token);
                ok()
            }
            Op::DelayAdd(ring, after) => {
                let token = self.token();
                self.set_timer(me, ring, after, token);
                ok()
            }
            Op::DelaySet(ring, after) => {
                let token = self.token();
                let handle = self.set_timer(me, ring, after, token);
                self.handles.push(handle);
                ok()
            }
            Op::AlarmAdjust(which, by) => self.move_timer(me, which, |due, _| due + by),
            Op::DelayAdjust(which, after) => self.move_timer(me, which, |_, now| now + after),
            Op::AlarmRemove(_) if self.handles.is_empty() => String::new(),
            Op::AlarmRemove(which) => match self.timer_at(which) {
                None => "none".into(),
                Some(at) if self.queue[at].to != me => "not permitted".into(),
                Some(at) => {
                    let item = self.queue.remove(at);
                    self.let_go(me);
                    let Arg::Token(token) = item.arg else {
                        unreachable!("timers carry tokens")
                    };
                    format!("{} {:?}", item.event, Some(token))
                }
            },
            Op::AlarmClear(ring) => self.clear_timers(me, Some(RINGS[ring])).len().to_string(),
            Op::AlarmRemoveAll => format!("{:?}", self.clear_timers(me, None)),
            Op::Keep => {
                let back = self.postback(me);
                self.heap(me).backs.push(back);
                ok()
            }
            Op::Give(to) => {
                let to = self.who(to);
                let back = self.postback(me);
                self.post_told(me, Some(to), "given", Arg::Gift(back))
            }
            Op::Fire => {
                let backs = self.heap(me).backs.clone();
                let mut results = Vec::new();
                for back in backs {
                    let token = self.token();
                    let from = self.active;
                    results.push(self.post_told(from, Some(back.owner), "back", Arg::Pair(back.mine, token)));
                }
                results.join(" ")
            }
            Op::LetGo(which) => {
                let backs = &mut self.heap(me).backs;
                if !backs.is_empty() {
                    let back = backs.remove(which % backs.len());
                    self.drop_backs(vec![back]);
                }
                ok()
            }
            Op::Weaken => {
                if let Some(back) = self.heap(me).backs.pop() {
                    self.drop_backs(vec![back.clone()]);
                    let weak = Back { holds: false, ..back };
                    self.heap(me).backs.push(weak);
                }
                ok()
            }
            Op::DetachMyself => self.detach(me, true),
            Op::DetachChild(which) => {
                let child = self.who(which);
                self.detach(child, false)
            }
            Op::Signal(to, signal) => {
                let to = self.who(to);
                if !self.is_alive(to) {
                    return Ok("gone".into());
                }
                let (from, by) = (self.or_kernel(self.active), self.active_event);
                self.raise_signal(to, from, SIGNALS[signal], by, None);
                ok()
            }
            Op::Watch(signal) => {
                self.watch(me, SIGNALS[signal]);
                ok()
            }
            Op::Ignore(signal) => {
                if alive {
                    self.session(me).watches.retain(|s| *s != SIGNALS[signal]);
                }
                ok()
            }
            Op::HandlerResult => {
                self.handled = self.handled.map(|n| n + 1);
                ok()
            }
            Op::Spawn { ready } => {
                let token = self.token();
                self.tasks.push(Task {
                    owner: me,
                    token,
                    alive,
                    polled: false,
                    ready,
                    told: ready,
                });
                if alive {
                    self.hold(me);
                    self.intake.push(self.tasks.len() - 1);
                }
                ok()
            }
            Op::Resolve(which) => {
                self.resolve_task(which % self.tasks.len().max(1));
                ok()
            }
            Op::Cancel(which) => {
                let n = which % self.tasks.len().max(1);
                let cancelled = self.tasks.get_mut(n).is_some_and(|t| std::mem::take(&mut t.alive));
                if cancelled {
                    self.let_go(self.tasks[n].owner);
                }
                cancelled.to_string()
            }
            Op::Mute => (!std::mem::replace(&mut self.heap(me).muted, true)).to_string(),
            Op::Unmute => {
                self.heap(me).muted = false;
                ok()
            }
            Op::Stop => {
                self.stop_all();
                ok()
            }
            Op::Fail => return Err(Bad::Failed(format!("{ON_PURPOSE} {}", self.token()))),
            Op::Panic => return Err(Bad::Panicked(format!("{ON_PURPOSE} {}", self.token()))),
        })
    }

    // Names, counts, postbacks: L72 to L74, L90.

    fn alias_owner(&self, alias: usize) -> Option<Id> {
        let found = self.sessions.iter().find(|(_, s)| s.aliases.contains(&alias));
        found.map(|(id, _)| *id)
    }

    fn increment(&mut self, of: Id, tag: usize) -> u64 {
        self.session(of).tags[tag] += 1;
        let count = self.session(of).tags[tag];
        if count == 1 {
            self.hold(of);
        }
        count
    }

    fn decrement(&mut self, of: Id, tag: usize) -> Option<u64> {
        let count = self.session(of).tags[tag].checked_sub(1)?;
        self.session(of).tags[tag] = count;
        if count == 0 {
            self.let_go(of);
        }
        Some(count)
    }

    fn postback(&mut self, me: Id) -> Back {
        let (mine, holds) = (self.token(), self.is_alive(me));
        if holds {
            self.increment(me, TAGS.len());
        }
        Back { owner: me, mine, holds }
    }

    fn drop_backs(&mut self, backs: Vec<Back>) {
        for back in backs {
            if back.holds && self.is_alive(back.owner) {
                self.decrement(back.owner, TAGS.len());
            }
        }
    }

    fn drop_arg(&mut self, arg: Arg) {
        if let Arg::Gift(back) = arg {
            self.drop_backs(vec![back]);
        }
    }

    // The tree: L18 to L25, L32 to L39.

    fn create_session(&mut self, kind: Kind) -> Id {
        self.created += 1;
        let id = self.created;
        let parent = self.or_kernel(self.active);
        self.mark += 1;
        self.sessions.insert(
            id,
            Session {
                kind,
                parent,
                children: Vec::new(),
                stopping: false,
                starting: true,
                aliases: Vec::new(),
                tags: [0; TAGS.len() + 1],
                watches: Vec::new(),
                marked: Some(self.mark),
                refs: 0,
            },
        );
        self.heaps.insert(id, Heap::default());
        self.adopt(parent, id);
        let result = self.dispatch(id, parent, "_start", NONE, Arg::Unit, false);
        let Some(session) = self.sessions.get_mut(&id) else {
            return id;
        };
        session.starting = false;
        let parent = session.parent;
        self.tell_parent(parent, "create", id, result);
        if self.is_alive(id) {
            self.post(id, id, "_gc", NONE, Arg::Unit);
        }
        id
    }

    fn tell_parent(&mut self, parent: Id, how: &'static str, session: Id, outcome: Outcome) {
        let result = match outcome {
            Outcome::Answered(answer) => answer,
            Outcome::Unhandled | Outcome::Bad => None,
        };
        let child = Arg::Child { how, session, result };
        self.dispatch(parent, KERNEL, "_child", NONE, child, false);
    }

    fn children(&self, id: Id) -> Vec<Id> {
        match id {
            KERNEL => self.top.clone(),
            id => self.sessions.get(&id).map_or(Vec::new(), |s| s.children.clone()),
        }
    }

    fn siblings(&mut self, parent: Id) -> &mut Vec<Id> {
        match parent {
            KERNEL => &mut self.top,
            id => &mut self.session(id).children,
        }
    }

    fn adopt(&mut self, parent: Id, child: Id) {
        self.siblings(parent).push(child);
        self.session(child).parent = parent;
        self.hold(parent);
    }

    fn orphan(&mut self, child: Id) {
        let parent = self.session(child).parent;
        self.siblings(parent).retain(|c| *c != child);
        self.let_go(parent);
    }

    fn stop_session(&mut self, id: Id) {
        if std::mem::replace(&mut self.session(id).stopping, true) {
            return;
        }
        let parent = self.session(id).parent;
        for child in self.children(id) {
            self.tell_parent(parent, "gain", child, Outcome::Unhandled);
            // The new parent's handler may have moved the child.
            let old = self.sessions.get(&child).map_or(id, |s| s.parent);
            self.dispatch(child, KERNEL, "_parent", NONE, Arg::Parent(old, parent), false);
        }
        let active = self.active;
        let result = self.dispatch(id, active, "_stop", NONE, Arg::Unit, true);
        self.tell_parent(parent, "lose", id, result);
        self.free(id);
    }

    /// Out of the tree first, then what it holds: the order in which others may become free (law L29).
    fn free(&mut self, id: Id) {
        let parent = self.session(id).parent;
        self.orphan(id);
        for child in self.children(id) {
            self.orphan(child);
            self.adopt(parent, child);
        }
        for task in &mut self.tasks {
            task.alive &= task.owner != id;
        }
        let queue = std::mem::take(&mut self.queue);
        let (purged, kept) = queue.into_iter().partition(|i| i.to == id || i.from == id);
        self.queue = kept;
        let mut purged: Vec<Item> = purged;
        purged.sort_by_key(|i| (i.timer.is_none(), i.due, i.order));
        self.sessions.remove(&id);
        // Those to it, then those from it. What is in the first is dropped before the receivers of the others are let go (laws L9, L29).
        let (to_it, from_it): (Vec<Item>, Vec<Item>) = purged.into_iter().partition(|i| i.to == id);
        for item in to_it.iter().chain(&from_it) {
            self.release_refs(item.to, item.from);
        }
        let any_to_it = !to_it.is_empty();
        to_it.into_iter().for_each(|item| self.drop_arg(item.arg));
        for item in from_it.iter().filter(|_| any_to_it) {
            self.mark_if_free(item.to);
        }
        from_it.into_iter().for_each(|item| self.drop_arg(item.arg));
        self.drop_heap_of_the_dead(id);
    }

    fn drop_heap_of_the_dead(&mut self, id: Id) {
        if !self.sessions.contains_key(&id) && self.heaps.get(&id).is_some_and(|h| h.depth == 0) {
            let heap = self.heaps.remove(&id).expect("it was just seen");
            self.drop_backs(heap.backs);
        }
    }

    fn stop_all(&mut self) {
        let mut order = self.top.clone();
        let mut at = 0;
        while at < order.len() {
            order.extend(self.children(order[at]));
            at += 1;
        }
        for id in order.into_iter().rev() {
            if self.is_alive(id) {
                self.stop_session(id);
            }
        }
        self.active = KERNEL;
        self.sweep();
    }

    fn detach(&mut self, child: Id, itself: bool) -> String {
        if !self.is_alive(child) {
            return "gone".into();
        }
        if child == KERNEL {
            return "not permitted".into();
        }
        let parent = self.session(child).parent;
        if parent == KERNEL || (!itself && parent != self.active) {
            return "not permitted".into();
        }
        let unannounced = itself && self.session(child).starting && self.active_event == "_start";
        if !unannounced {
            self.tell_parent(parent, "lose", child, Outcome::Unhandled);
        }
        if self.is_alive(child) {
            self.dispatch(child, KERNEL, "_parent", NONE, Arg::Parent(parent, KERNEL), false);
        }
        if self.is_alive(child) {
            self.orphan(child);
            self.adopt(KERNEL, child);
        }
        "ok".into()
    }

    // Signals: L45 to L52, L66 to L71.

    fn watch(&mut self, id: Id, signal: &'static str) {
        if let Some(session) = self.sessions.get_mut(&id)
            && !session.watches.contains(&signal)
        {
            session.watches.push(signal);
        }
    }

    fn raise_signal(&mut self, to: Id, from: Id, signal: &'static str, by: &'static str, why: Option<Why>) {
        self.post(to, from, "_signal", by, Arg::Signal { signal, why });
    }

    fn dispatch_signal(&mut self, target: Id, by: &'static str, signal: &'static str, why: Option<Why>) {
        let mut touched = vec![target];
        let mut at = 0;
        while at < touched.len() {
            touched.extend(self.children(touched[at]));
            at += 1;
        }
        touched.reverse();
        if signal == "DIE" {
            let mut above = self.sessions.get(&target).map_or(KERNEL, |s| s.parent);
            while above != KERNEL {
                touched.push(above);
                above = self.session(above).parent;
            }
        }
        let watchers: Vec<Id> = touched
            .iter()
            .copied()
            .filter(|id| self.sessions.get(id).is_some_and(|s| s.watches.contains(&signal)))
            .collect();
        let outer = self.handled.replace(0);
        for id in &touched {
            if *id == KERNEL {
                if signal == "IDLE" && self.queue.is_empty() && self.tasks.iter().all(|t| !t.alive) {
                    self.raise_signal(KERNEL, KERNEL, "ZOMBIE", NONE, None);
                }
            } else if self.is_alive(*id) && watchers.contains(id) {
                let arg = Arg::Signal {
                    signal,
                    why: why.clone(),
                };
                // One that a session has sent carries no failure (law L71).
                self.dispatch(*id, KERNEL, "heard", by, arg, why.is_some());
            }
        }
        let handled = std::mem::replace(&mut self.handled, outer).unwrap_or(0);
        let condemned = match signal {
            "ZOMBIE" | "UIDESTROY" => true,
            "TERM" | "INT" | "IDLE" | "DIE" => handled == 0,
            _ => false,
        };
        if condemned {
            // The heaps go when all have been stopped, the target's last.
            let held = touched.iter().copied().filter(|id| *id != target).chain([target]);
            let held: Vec<Id> = held.filter(|id| *id != KERNEL && self.is_alive(*id)).collect();
            held.iter().for_each(|id| self.heap(*id).depth += 1);
            for id in touched {
                if id == KERNEL {
                    self.stop_kernel();
                } else if self.is_alive(id) {
                    self.stop_session(id);
                }
            }
            for id in held {
                self.heap(id).depth -= 1;
                self.drop_heap_of_the_dead(id);
            }
        }
        if handled == 0
            && let Some(why) = why
        {
            self.fatal = Some(match self.fatal.take() {
                None => why.failure,
                Some(second) => format!(
                    "{}\nAdditional error thrown in handler for previous error:\n{second}",
                    why.failure
                ),
            });
        }
    }

    fn stop_kernel(&mut self) {
        if self.sessions.is_empty() {
            self.over = true;
            for item in std::mem::take(&mut self.queue) {
                self.drop_arg(item.arg);
            }
        }
    }
}

fn show(id: Id) -> String {
    match id {
        KERNEL => "kernel".to_owned(),
        id => id.to_string(),
    }
}
