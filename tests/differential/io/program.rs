//! Random programs of wheels, sockets, pipes, watched files and children.
//!
//! All ends of all streams are in the program's own process, and a step is taken only when nothing more happens, so each
//! end sees the same whatever the order is in which the system tells of independent descriptors. Transcripts are
//! compared end by end for that reason.
//!
//! ```text
//! io
//! step
//! socketpair l lc      two wheels, ends 0 and 1, by their filters and what else they have
//! step
//! at wheel 0           what end 0 does, in one handler
//! put r0 1
//! react                what the end does that gets the record `r0`, in the handler of that record
//! put hello 2
//! ```

use crate::program::{Family, Lines, Program, Random};

/// What a step may begin with.
const SETUPS: &[(&str, u64)] = &[
    ("socketpair", 8),
    ("pipes", 7),
    ("listen", 7),
    ("connect", 10),
    ("nobody", 4),
    ("taken", 6),
    ("watch", 7),
    ("run", 9),
    ("child", 6),
];

/// What a wheel does, and how often.
const WHEEL: &[(&str, u64)] = &[
    ("put", 30),
    ("many", 8),
    ("pause", 7),
    ("resume", 9),
    ("shut_in", 3),
    ("shut_out", 4),
    ("filter", 4),
    ("in_filter", 4),
    ("out_filter", 4),
    ("flush", 5),
    ("close", 4),
    ("flushed_off", 3),
    ("flushed_on", 4),
    ("input_to", 4),
    ("bytes", 4),
];

const LISTENER: &[(&str, u64)] = &[("accept_pause", 4), ("accept_resume", 5), ("close", 2)];
const READER: &[(&str, u64)] = &[("sel_pause", 4), ("sel_resume", 5), ("sel_again", 6), ("close", 2)];
const WRITER: &[(&str, u64)] = &[("write", 9), ("sel_pause", 2), ("sel_resume", 5), ("close", 2)];

/// The names of all actions.
pub(crate) fn actions() -> Vec<&'static str> {
    let lists = [SETUPS, WHEEL, LISTENER, READER, WRITER];
    let mut names: Vec<_> = lists.into_iter().flatten().map(|(name, _)| *name).collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn pick(random: &mut Random, of: &[(&'static str, u64)]) -> &'static str {
    let mut at = random.below(of.iter().map(|(_, weight)| weight).sum());
    for (name, weight) in of {
        if at < *weight {
            return name;
        }
        at -= weight;
    }
    unreachable!("the weights add up")
}

/// A wheel: its filter, and what else it has.
fn kind(random: &mut Random, blocks: bool) -> String {
    let mut kind = if blocks {
        "b".to_owned()
    } else {
        random.pick(&["l", "l", "l", "s", "f"]).to_owned()
    };
    for (flag, percent) in [('m', 25), ('a', 15), ('n', 15), ('c', 40), ('p', 15)] {
        if random.percent(percent) {
            kind.push(flag);
        }
    }
    kind
}

fn kinds(random: &mut Random) -> String {
    let blocks = random.percent(20);
    format!("{} {}", kind(random, blocks), kind(random, blocks))
}

fn wheel_action(random: &mut Random) -> String {
    let action = pick(random, WHEEL);
    let word = |random: &mut Random| match random.percent(35) {
        true => format!("r{}", random.below(6)),
        false => random
            .pick(&["hello", "a", "twelve_bytes", "long_enough_to_be_more_than_one_block"])
            .to_owned(),
    };
    match action {
        "put" => format!("put {} {}", word(random), 1 + random.below(3)),
        "filter" | "in_filter" | "out_filter" => format!("{action} {}", random.pick(&["l", "s", "f"])),
        "input_to" => format!("input_to {}", random.below(2)),
        _ => action.to_owned(),
    }
}

/// What must be the last in a handler, since it acts at once with POE and after the handler here.
fn is_last(line: &str) -> bool {
    line.starts_with("filter") || line.starts_with("in_filter") || line == "flush" || line == "close"
}

fn wheel_actions(random: &mut Random, most: u64) -> Lines {
    let mut lines = Lines::new();
    for _ in 0..1 + random.below(most) {
        lines.push(wheel_action(random));
        if lines.last().is_some_and(|line| is_last(line)) {
            break;
        }
    }
    lines
}

fn setup(random: &mut Random) -> String {
    match pick(random, SETUPS) {
        action @ ("socketpair" | "pipes") => format!("{action} {}", kinds(random)),
        "listen" => format!("listen {}", random.pick(&["unix", "unix", "tcp"])),
        "connect" => format!("connect {} {}", random.below(3), kinds(random)),
        "nobody" => format!("nobody {}", random.pick(&["unix", "tcp"])),
        "taken" => format!("taken {}", random.below(3)),
        "run" => format!("run {} {}", random.below(7), random.below(4)),
        "child" => format!("child {}", random.below(4)),
        other => other.to_owned(),
    }
}

/// The program of a number.
pub(crate) fn random(seed: u64) -> Program {
    let mut random = Random::new(!seed);
    let random = &mut random;
    let mut steps = vec![];
    // Children cost real time.
    let mut children = 0;
    for _ in 0..1 + random.below(3) {
        steps.push(vec![setup(random)]);
    }
    for _ in 0..4 + random.below(24) {
        let at = |kind: &str, random: &mut Random| format!("at {kind} {}", random.below(6));
        let step = match random.below(100) {
            0..25 => vec![setup(random)],
            25..80 => {
                let mut lines = vec![at("wheel", random)];
                lines.extend(wheel_actions(random, 5));
                lines
            }
            80..87 => vec![at("listener", random), pick(random, LISTENER).to_owned()],
            87..92 => vec![at("reader", random), pick(random, READER).to_owned()],
            _ => {
                let action = pick(random, WRITER);
                let size = if action == "write" {
                    format!(" {}", random.below(35))
                } else {
                    String::new()
                };
                vec![at("writer", random), format!("{action}{size}")]
            }
        };
        steps.push(step);
    }
    steps.retain(|step| {
        let is_child = step[0].starts_with("run") || step[0].starts_with("child");
        children += u32::from(is_child);
        !is_child || children <= 2
    });
    // Where a wheel is shut in the midst of a read POE still gives the records of that read.
    let reaction = |random: &mut Random| {
        let mut lines = wheel_actions(random, 4);
        // And what depends on which direction is served first is no promise.
        lines.retain(|line| !["shut_in", "shut_out", "bytes", "flushed_on", "flushed_off"].contains(&line.as_str()));
        lines
    };
    let mut reactions: Vec<Lines> = (0..6).map(|_| reaction(random)).collect();
    // Where there is more than a buffer takes, how much of it comes with a record is up to the system.
    if random.percent(50) {
        reactions
            .iter_mut()
            .for_each(|lines| lines.retain(|line| line != "pause"));
        // And it is not cut into small pieces.
        let lines = steps.iter_mut().chain(&mut reactions).flatten();
        for line in lines.filter(|line| line.ends_with("filter f")) {
            *line = line.replace("filter f", "filter l");
        }
    } else {
        let lists = steps.iter_mut().chain(&mut reactions);
        lists.for_each(|lines| lines.retain(|line| line != "many"));
        // What a reaction puts after another one's flush may be in the same read, or not: a reader that pauses shows it.
        reactions
            .iter_mut()
            .for_each(|lines| lines.retain(|line| line != "flush"));
    }
    Program {
        family: Family::Io,
        rounds: steps,
        batches: reactions,
    }
}
