//! Programs as data: how they look, how they are made at random, how a failing one is made smaller.
//!
//! A program is text, one action a line; `tests/perl/differential.pl` and [`crate::play`] read the same.
//!
//! ```text
//! round                what is done outside of any session, before a run of the kernel
//! create hd            a session that watches DIE (h) and has a `_default` (d); z handles ZOMBIE and UIDESTROY
//! post 3 …
//! round                the next run, after the first has ended
//! batch                what the first handler that runs does, whichever it is
//! yield
//! delay_set 0 2
//! batch                what the second does
//! ```
//!
//! Each handler that runs writes a line and does the next batch, so a program ends, and where two kernels run handlers in
//! another order everything after that is another too. Sessions, timers, signals and the like are named by number; a
//! number of a session is counted round those that there are.

/// A generator of random numbers: splitmix64, which is the same everywhere and needs no crate.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Random(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    pub(crate) fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }

    pub(crate) fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }
}

/// An argument of an action.
#[derive(Clone, Copy)]
enum Arg {
    /// A session.
    Who,
    /// A session, or at times the kernel, which is number 8.
    To,
    Alias,
    Tag,
    Signal,
    Ring,
    State,
    /// One of several of a kind.
    Which,
    /// Seconds of a delay, 0 and the past included.
    Delay,
    /// Seconds of an alarm. Never 0: what is due at this very instant is due now in POE, whose clock moves on meanwhile.
    Alarm,
    /// What a session is like.
    Kind,
}

struct Action {
    name: &'static str,
    theme: Theme,
    weight: u64,
    args: &'static [Arg],
    /// It makes sense outside of a session.
    outside: bool,
}

impl Action {
    /// Where failures are not caught there are neither machines nor a `stop`: POE throws what they have met out of whatever
    /// call is next.
    fn is_for(&self, family: Family) -> bool {
        family != Family::Uncaught || !(self.theme == Theme::Machines || self.name == "stop")
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Theme {
    Tree,
    Messages,
    Timers,
    Names,
    Postbacks,
    Signals,
    Machines,
    Ends,
}

const THEMES: [Theme; 8] = [
    Theme::Tree,
    Theme::Messages,
    Theme::Timers,
    Theme::Names,
    Theme::Postbacks,
    Theme::Signals,
    Theme::Machines,
    Theme::Ends,
];

const fn inside(name: &'static str, theme: Theme, weight: u64, args: &'static [Arg]) -> Action {
    Action {
        name,
        theme,
        weight,
        args,
        outside: false,
    }
}

const fn anywhere(name: &'static str, theme: Theme, weight: u64, args: &'static [Arg]) -> Action {
    Action {
        outside: true,
        ..inside(name, theme, weight, args)
    }
}

/// All there is to do. What is left out, or done with a restriction, and why:
///
/// - No session is created inside `_stop`, `_parent` or `_child` (but on a creation): where that happens under a
///   kernel-wide kill POE crashes, or never ends (D18).
/// - No `stop` inside a signal's handler, nor in those of an end: POE goes on with watchers that are dead (D18), and crashes. What a handler would do after a
///   `stop` beneath it is not done: POE would do it in the name of a session that is gone.
/// - A count of references does not go below zero, which is an error with us (D5).
/// - `delay_adjust` does not say why it refuses (D2), `alarm_remove_all` says no times (D3).
/// - A call that fails, finds no handler or no session gives nothing; POE does not say which (D6).
/// - A machine makes no callbacks, which would hold nothing in POE, and weakens nothing (D7); it handles `_child` and
///   `_parent` in every state (D8).
/// - `sig_handled` comes too late in `_stop`, `_child` and `_parent`; POE counts it for the DIE that stops the session.
/// - A machine with `immediate` changes no state while it leaves one, which is a failure with us.
/// - A signal DIE that a program sends carries no argument, since POE looks for a record in it; and it sends only one,
///   since POE makes the failure of a run out of two.
const ACTIONS: &[Action] = &[
    anywhere("create", Theme::Tree, 12, &[Arg::Kind]),
    inside("detach_myself", Theme::Tree, 4, &[]),
    inside("detach_child", Theme::Tree, 4, &[Arg::Who]),
    anywhere("post", Theme::Messages, 6, &[Arg::To]),
    anywhere("post_alias", Theme::Messages, 4, &[Arg::Alias]),
    anywhere("nowhere", Theme::Messages, 3, &[Arg::Who]),
    inside("yield", Theme::Messages, 6, &[]),
    anywhere("call", Theme::Messages, 6, &[Arg::To]),
    inside("call_self", Theme::Messages, 3, &[]),
    inside("mute", Theme::Messages, 3, &[]),
    inside("unmute", Theme::Messages, 3, &[]),
    inside("delay", Theme::Timers, 3, &[Arg::Ring, Arg::Delay]),
    inside("delay_add", Theme::Timers, 3, &[Arg::Ring, Arg::Delay]),
    inside("delay_set", Theme::Timers, 5, &[Arg::Ring, Arg::Delay]),
    inside("delay_clear", Theme::Timers, 3, &[Arg::Ring]),
    inside("alarm", Theme::Timers, 3, &[Arg::Ring, Arg::Alarm]),
    inside("alarm_add", Theme::Timers, 3, &[Arg::Ring, Arg::Alarm]),
    inside("alarm_set", Theme::Timers, 5, &[Arg::Ring, Arg::Alarm]),
    inside("alarm_adjust", Theme::Timers, 5, &[Arg::Which, Arg::Delay]),
    inside("delay_adjust", Theme::Timers, 4, &[Arg::Which, Arg::Delay]),
    inside("alarm_remove", Theme::Timers, 4, &[Arg::Which]),
    inside("alarm_remove_all", Theme::Timers, 3, &[]),
    anywhere("inc", Theme::Names, 4, &[Arg::Who, Arg::Tag]),
    anywhere("dec", Theme::Names, 5, &[Arg::Who, Arg::Tag]),
    inside("alias_set", Theme::Names, 5, &[Arg::Alias]),
    inside("alias_remove", Theme::Names, 4, &[Arg::Alias]),
    inside("alias_resolve", Theme::Names, 3, &[Arg::Alias]),
    inside("postback", Theme::Postbacks, 4, &[]),
    inside("callback", Theme::Postbacks, 3, &[]),
    inside("give", Theme::Postbacks, 4, &[Arg::Who]),
    inside("fire", Theme::Postbacks, 4, &[]),
    inside("let_go", Theme::Postbacks, 4, &[Arg::Which]),
    inside("weaken", Theme::Postbacks, 3, &[]),
    anywhere("signal", Theme::Signals, 7, &[Arg::To, Arg::Signal]),
    inside("watch", Theme::Signals, 7, &[Arg::Signal]),
    inside("ignore", Theme::Signals, 3, &[Arg::Signal]),
    inside("handled", Theme::Signals, 6, &[]),
    inside("goto", Theme::Machines, 8, &[Arg::State]),
    inside("push", Theme::Machines, 7, &[Arg::State]),
    inside("pop", Theme::Machines, 7, &[]),
    inside("quit", Theme::Machines, 6, &[]),
    inside("die", Theme::Ends, 3, &[]),
    inside("panic", Theme::Ends, 3, &[]),
    inside("stop", Theme::Ends, 3, &[]),
];

/// A list of actions, each a line.
pub(crate) type Lines = Vec<String>;

/// How a program is played; the first line of one that is not of the common family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Family {
    /// Each round ends with a run of the kernel.
    #[default]
    Runs,
    /// Each round runs slice after slice.
    Slices,
    /// As `Runs`, but failures are not caught (L68).
    Uncaught,
    /// Wheels, files and children: see [`crate::io::program`].
    Io,
}

impl Family {
    const ALL: [Family; 4] = [Family::Runs, Family::Slices, Family::Uncaught, Family::Io];

    fn name(self) -> &'static str {
        match self {
            Family::Runs => "runs",
            Family::Slices => "slices",
            Family::Uncaught => "uncaught",
            Family::Io => "io",
        }
    }

    /// The names of all actions.
    pub(crate) fn actions(self) -> Vec<&'static str> {
        match self {
            Family::Io => crate::io::program::actions(),
            _ => {
                let those = ACTIONS.iter().filter(|action| action.is_for(self));
                those.map(|action| action.name).collect()
            }
        }
    }

    /// The titles of `rounds` and of `batches`.
    fn titles(self) -> [&'static str; 2] {
        match self {
            Family::Io => ["step", "react"],
            _ => ["round", "batch"],
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Program {
    pub(crate) family: Family,
    /// What is done outside, before each run.
    pub(crate) rounds: Vec<Lines>,
    /// What each handler in turn does.
    pub(crate) batches: Vec<Lines>,
}

impl Program {
    /// The program of a number.
    pub(crate) fn random(family: Family, seed: u64) -> Self {
        if family == Family::Io {
            return crate::io::program::random(seed);
        }
        let mut random = Random::new(seed);
        let theme = random.pick(&THEMES);
        // Some programs are quiet: sessions without an end of their own, so that what keeps them decides.
        let ends = random.percent(60) || family == Family::Uncaught;
        let weight = |action: &Action| match action.theme {
            _ if !action.is_for(family) => 0,
            Theme::Ends if !ends => 0,
            t if t == theme => action.weight * 4,
            Theme::Ends if family == Family::Uncaught => action.weight * 3,
            _ => action.weight,
        };
        let machines = match theme {
            _ if family == Family::Uncaught => 0,
            Theme::Machines => 60,
            _ => 20,
        };
        let rounds = 1 + random.below(3);
        let rounds = (0..rounds).map(|_| {
            let mut lines: Lines = (0..1 + random.below(3))
                .map(|_| format!("create {}", kind(&mut random, machines)))
                .collect();
            for _ in 0..random.below(4) {
                lines.push(action(&mut random, machines, |a| if a.outside { weight(a) } else { 0 }));
            }
            lines
        });
        let rounds = rounds.collect();
        let count = 1 + random.below(30);
        let batches = (0..count).map(|_| {
            (0..random.below(6))
                .map(|_| action(&mut random, machines, weight))
                .collect()
        });
        let batches = batches.collect();
        Program {
            family,
            rounds,
            batches,
        }
    }

    /// What is written under a title, line by line.
    fn sections(&self) -> impl Iterator<Item = (&'static str, &Lines)> {
        let [round, batch] = self.family.titles();
        let rounds = self.rounds.iter().map(move |lines| (round, lines));
        rounds.chain(self.batches.iter().map(move |lines| (batch, lines)))
    }

    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        if self.family != Family::Runs {
            text = format!("{}\n", self.family.name());
        }
        for (title, lines) in self.sections() {
            text += title;
            text.push('\n');
            for line in lines {
                text += line;
                text.push('\n');
            }
        }
        text
    }

    /// Reads what [`text`](Self::text) writes. Other lines before the first title are comments.
    pub(crate) fn parse(text: &str) -> Self {
        let mut program = Program::default();
        let mut in_rounds = None;
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let [round, batch] = program.family.titles();
            if line == round {
                program.rounds.push(Lines::new());
                in_rounds = Some(true);
            } else if line == batch {
                program.batches.push(Lines::new());
                in_rounds = Some(false);
            } else if let Some(in_rounds) = in_rounds {
                let lists = if in_rounds {
                    &mut program.rounds
                } else {
                    &mut program.batches
                };
                lists.last_mut().expect("a section").push(line.to_owned());
            } else if let Some(family) = Family::ALL.into_iter().find(|family| family.name() == line) {
                program.family = family;
            }
        }
        program
    }

    /// The smallest program that still fails: sections and lines are left out, several at once as long as that works.
    pub(crate) fn shrunk(self, mut fails: impl FnMut(&Program) -> bool) -> Self {
        let mut program = self;
        loop {
            let before = program.text();
            program = leave_out(program, |p| &mut p.rounds, &mut fails);
            program = leave_out(program, |p| &mut p.batches, &mut fails);
            for at in 0..program.batches.len() {
                program = leave_out(program, |p| &mut p.batches[at], &mut fails);
            }
            for at in 0..program.rounds.len() {
                program = leave_out(program, |p| &mut p.rounds[at], &mut fails);
            }
            // A batch that is empty may matter by its place; one line may stand for it.
            if program.text() == before {
                return program;
            }
        }
    }
}

/// Leaves out runs of elements, long ones first, as long as the program fails.
fn leave_out<T: Clone>(
    mut program: Program,
    list: impl Fn(&mut Program) -> &mut Vec<T>,
    fails: &mut impl FnMut(&Program) -> bool,
) -> Program {
    let mut length = list(&mut program).len();
    while length > 0 {
        let mut at = 0;
        while at < list(&mut program).len() {
            let mut shorter = program.clone();
            let elements = list(&mut shorter);
            let end = (at + length).min(elements.len());
            elements.drain(at..end);
            if fails(&shorter) {
                program = shorter;
            } else {
                at += length;
            }
        }
        length /= 2;
    }
    program
}

fn kind(random: &mut Random, machines: u64) -> String {
    let mut kind = String::new();
    if random.percent(machines) {
        kind.push('m');
        if random.percent(30) {
            kind.push('i');
        }
    } else if random.percent(15) {
        kind.push('q');
    }
    if random.percent(60) {
        kind.push('h');
    }
    if random.percent(25) {
        kind.push('d');
    }
    if random.percent(20) {
        kind.push('z');
    }
    if kind.is_empty() {
        kind.push('-');
    }
    kind
}

fn action(random: &mut Random, machines: u64, weight: impl Fn(&Action) -> u64) -> String {
    let total: u64 = ACTIONS.iter().map(&weight).sum();
    let mut at = random.below(total);
    let chosen = ACTIONS.iter().find(|action| {
        let weight = weight(action);
        let found = at < weight;
        at = at.saturating_sub(weight);
        found
    });
    let chosen = chosen.expect("the weights add up");
    let mut line = chosen.name.to_owned();
    for arg in chosen.args {
        line.push(' ');
        line += &match arg {
            Arg::Who | Arg::Which => random.below(8).to_string(),
            Arg::To => random.pick(&[0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3, 8]).to_string(),
            Arg::Alias | Arg::State => random.below(3).to_string(),
            Arg::Tag | Arg::Ring => random.below(2).to_string(),
            Arg::Signal => random.below(7).to_string(),
            Arg::Delay => random.pick(&[0, 0, 0, 1, 1, 2, 2, 3, 4, -1, -2]).to_string(),
            Arg::Alarm => random.pick(&[1, 1, 2, 2, 3, 4, -1, -1, -2]).to_string(),
            Arg::Kind => kind(random, machines),
        };
    }
    line
}
