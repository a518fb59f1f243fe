//! Random programs under Perl's POE and under this crate: the transcripts must be equal, line by line.
//!
//! `program` makes the programs, `play` plays them here, `perl` has them played by `tests/perl/differential.pl`. A program
//! that differs is made smaller and printed with both transcripts around the first difference.
//!
//! ```text
//! cargo test --test differential -- --include-ignored          # 2 000 programs
//! POE_CASES=100000 POE_SEED=7 cargo test --test differential -- --include-ignored
//! POE_PROGRAM=file POE_BUDGET=1 cargo test --test differential one_program -- --include-ignored
//! ```

mod io;
mod perl;
mod play;
mod program;

use perl::Perl;
use program::{Family, Program};
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .map_or(default, |text| text.parse().expect("a number"))
}

/// Failures on purpose are silent.
fn silence_panics() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let payload = info.payload().downcast_ref::<String>();
        if !payload.is_some_and(|text| text.starts_with("on purpose")) {
            usual(info);
        }
    }));
}

/// Where two transcripts differ, with what was before it.
fn difference(ours: &[String], perls: &[String]) -> Option<String> {
    let same = ours.iter().zip(perls).take_while(|(a, b)| a == b).count();
    if same == ours.len() && same == perls.len() {
        return None;
    }
    let before = ours[..same].join("\n");
    let next = |lines: &[String]| {
        let next: Vec<_> = lines.iter().skip(same).take(5).map(String::as_str).collect();
        if next.is_empty() {
            "nothing more".to_owned()
        } else {
            next.join("\n        ")
        }
    };
    Some(format!("{before}\n  ours: {}\n  Perl: {}", next(ours), next(perls)))
}

/// How many programs did an action at all; one that was refused for its restrictions does not count.
#[derive(Default)]
struct Counts {
    programs: u64,
    by_action: BTreeMap<String, u64>,
}

impl Counts {
    fn add(&mut self, transcript: &[String]) {
        self.programs += 1;
        let lines = transcript
            .iter()
            .filter_map(|line| line.strip_prefix("  ")?.split_once(": "));
        let done = lines.filter(|(_, result)| *result != "-");
        let done: BTreeSet<&str> = done.filter_map(|(action, _)| action.split(' ').nth(1)).collect();
        for action in done {
            *self.by_action.entry(action.to_owned()).or_default() += 1;
        }
    }

    /// Each kind of action is to be in at least one program of twenty. In a small sample chance decides, so the limit is lower there.
    fn check(&self, family: Family) {
        let limit = if self.programs < 1000 { 2 } else { 5 };
        let mut rare = Vec::new();
        for action in family.actions() {
            let percent = 100 * self.by_action.get(action).copied().unwrap_or(0) / self.programs;
            println!("{action:18} in {percent:3} % of the programs");
            if percent < limit {
                rare.push(action);
            }
        }
        assert_eq!(rare, [""; 0], "in less than {limit} % of the programs");
    }
}

/// POE failed inside itself, or did not end.
fn crashed(perls: &[String]) -> bool {
    perls
        .iter()
        .any(|line| line.starts_with("Perl failed") || line.starts_with("Perl ended"))
}

/// What this crate prints. A panic of its own is the last line.
fn ours(program: &Program, budget: u32) -> Vec<String> {
    let played = catch_unwind(AssertUnwindSafe(|| match program.family {
        Family::Io => io::transcript(program, budget),
        _ => play::transcript(program, budget),
    }));
    played.unwrap_or_else(|_| vec!["the kernel panicked".to_owned()])
}

fn fails(perl: &mut Perl, program: &Program, budget: u32) -> bool {
    let ours = ours(program, budget);
    let perls = perl.play(program);
    !crashed(&perls) && difference(&ours, &perls).is_some()
}

/// Plays that many programs of a family here and there.
fn compare(family: Family, cases: u64) {
    silence_panics();
    let seed = number("POE_SEED", 1);
    let mut perl = Perl::start(family);
    let mut counts = Counts::default();
    // Perl is kept a few programs ahead.
    let ahead = 16;
    // One program again: POE_FIRST is its number.
    let first = number("POE_FIRST", 0);
    let programs = |n: u64| Program::random(family, seed.wrapping_mul(1 << 32).wrapping_add(first + n));
    for n in 0..ahead.min(cases) {
        perl.send(&programs(n));
    }
    // For one that does not end, POE_SHOW=1 prints each program before it is run.
    let show = number("POE_SHOW", 0) > 0;
    let mut crashes = 0;
    for n in 0..cases {
        let program = programs(n);
        if show {
            println!("program {n}\n{}", program.text());
        }
        let budget = [1024, 3, 1][(first + n) as usize % 3];
        let ours = ours(&program, budget);
        let perls = perl.transcript();
        if crashed(&perls) {
            crashes += 1;
            let said = perls.iter().find(|line| line.starts_with("Perl "));
            println!("program {n} is left out: {}", said.map_or("", String::as_str));
        } else {
            counts.add(&perls);
            if difference(&ours, &perls).is_some() {
                differs(&program, first + n, seed, budget);
            }
        }
        if n + ahead < cases {
            perl.send(&programs(n + ahead));
        }
    }
    println!("{cases} programs of seed {seed}, {crashes} of them left out, since POE itself did not survive them");
    assert!(crashes * 50 <= cases, "POE is not to be fed what it cannot bear");
    if first == 0 {
        counts.check(family);
    }
}

fn differs(program: &Program, n: u64, seed: u64, budget: u32) -> ! {
    let mut perl = Perl::start(program.family);
    let shrunk = match number("POE_SHRINK", 1) {
        0 => program.clone(),
        _ => program.clone().shrunk(|p| fails(&mut perl, p, budget)),
    };
    let differs = difference(&ours(&shrunk, budget), &perl.play(&shrunk));
    panic!(
        "program {n} of seed {seed} differs, with a budget of {budget}\n{}\n{}",
        shrunk.text(),
        differs.unwrap_or_else(|| "not each time".to_owned())
    );
}

#[test]
#[ignore = "needs Perl's POE; .ci/run installs it and runs these"]
fn random_programs_print_what_they_print_under_perls_poe() {
    compare(Family::Runs, number("POE_CASES", 2000));
}

/// A fifth as many: what a slice is shows best where the program takes one after the other.
#[test]
#[ignore = "needs Perl's POE; .ci/run installs it and runs these"]
fn random_programs_in_slices_print_what_they_print_under_perls_poe() {
    compare(Family::Slices, number("POE_CASES", 2000) / 5);
}

/// A tenth as many: the first failure is the end.
#[test]
#[ignore = "needs Perl's POE; .ci/run installs it and runs these"]
fn random_programs_without_catching_print_what_they_print_under_perls_poe() {
    compare(Family::Uncaught, number("POE_CASES", 2000) / 10);
}

/// A fifth as many, since they use the real system.
#[test]
#[ignore = "needs Perl's POE; .ci/run installs it and runs these"]
fn random_programs_of_wheels_and_children_print_what_they_print_under_perls_poe() {
    compare(Family::Io, number("POE_IO_CASES", number("POE_CASES", 2000) / 5));
}

/// What needs no Perl: each kind of action is done often enough, and how often the kernel gives way to its host does not
/// show.
#[test]
fn random_programs_do_everything_and_the_budget_does_not_show() {
    silence_panics();
    let mut counts = Counts::default();
    for n in 0..400 {
        let program = Program::random(Family::Runs, n);
        let transcript = play::transcript(&program, 1024);
        let budget = 1 + n as u32 % 4;
        if let Some(differs) = difference(&transcript, &play::transcript(&program, budget)) {
            panic!(
                "program {n} differs with a budget of {budget}\n{}\n{differs}",
                program.text()
            );
        }
        counts.add(&transcript);
    }
    counts.check(Family::Runs);
}

/// A program is the same after it was written and read, and shrinks to what a failure needs.
#[test]
fn programs_are_read_as_they_are_written_and_shrink_to_what_fails() {
    for n in 0..50 {
        let program = Program::random(Family::Runs, n);
        assert_eq!(Program::parse(&program.text()), program);
    }
    let has = |p: &Program, line: &str| p.batches.iter().flatten().any(|l| l == line);
    let program = Program::random(Family::Runs, 2);
    let mut wanted: Vec<String> = program.batches.iter().flatten().take(2).cloned().collect();
    wanted.sort();
    let shrunk = program.shrunk(|p| wanted.iter().all(|line| has(p, line)));
    let mut kept: Vec<String> = shrunk.batches.iter().flatten().cloned().collect();
    kept.sort();
    assert_eq!((shrunk.rounds.len(), kept), (0, wanted));
}

/// One program from a file, for whoever looks for the cause of a difference.
#[test]
#[ignore = "needs Perl's POE, and a program in the file that POE_PROGRAM names"]
fn one_program() {
    let Ok(path) = std::env::var("POE_PROGRAM") else { return };
    silence_panics();
    let program = Program::parse(&std::fs::read_to_string(path).unwrap());
    let ours = ours(&program, number("POE_BUDGET", 1024) as u32);
    println!("{}", ours.join("\n"));
    if let Some(differs) = difference(&ours, &Perl::start(program.family).play(&program)) {
        panic!("{differs}");
    }
}
