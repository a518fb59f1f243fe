//! The transcripts of `tests/it/transcripts` against those that POE 1.370 itself prints, by `tests/perl`.
//!
//! `transcript_NAME` plays a scenario on virtual time and compares it with a golden text; `perl_twin_NAME` (ignored:
//! it needs Perl's POE) compares it with what Perl prints now, and so keeps the golden text honest. Perl's clock is virtual then
//! (tests/perl/VirtualClock.pm); where processes are waited for, both play on the real clock: `cargo test --test it -- --ignored perl_twin`. With `POE_TWIN_WRITE=1` it writes the golden text anew,
//! from Perl's output. The two may differ in what [`DEVIATIONS`], [`OMITTED`] and the tag `[type]` say, and in no other line.

use crate::transcripts;
use std::future::Future;
use std::path::PathBuf;
use std::process::Command;

/// Lines that differ on purpose: scenario, title (empty for any), Perl's line, ours (empty for none).
const DEVIATIONS: &[(&str, &str, &str, &str)] = &[
    // D1: a failure says why.
    (
        "aliases",
        "",
        "[D1] unknown: undef, error 0",
        "[D1] unknown: undef, error ESRCH",
    ),
    // An alias is text and an ID is not, so the question cannot be asked.
    ("aliases", "", "an alias is no ID: undef, error ESRCH", ""),
    ("aliases", "", "an alias is no session: undef, error ESRCH", ""),
    // D2: the errors of `alarm_adjust`.
    (
        "alarms_by_id",
        "",
        "[D2] delay_adjust of a foreign one: undef, error none",
        "[D2] delay_adjust of a foreign one: undef, error EPERM",
    ),
    (
        "alarms_by_id",
        "",
        "[D2] delay_adjust of a removed one: undef, error none",
        "[D2] delay_adjust of a removed one: undef, error ESRCH",
    ),
    // D3: the record that `alarm_remove` gives, with its true time.
    (
        "alarms_by_id",
        "",
        "[D3] first 4000000001 a",
        "[D3] first 4000000001 [a]",
    ),
    (
        "alarms_by_id",
        "",
        "[D3] first_again 4000000001 a a",
        "[D3] first_again 4000000001 [a a]",
    ),
    (
        "alarms_by_id",
        "",
        "[D3] second 4000000002 b",
        "[D3] second 4000000002 [b]",
    ),
    (
        "alarms_by_id",
        "",
        "[D3] third 4000000003 c",
        "[D3] third 4000000003 [c]",
    ),
    (
        "alarms_by_id",
        "",
        "[D3] a delay: by_name 0",
        "[D3] a delay: by_name at now + 5000",
    ),
    // D5: a count does not go below zero.
    (
        "refcounts",
        "",
        "[D5] down from nothing: -1",
        "[D5] down from nothing: undef, error no such tag",
    ),
    ("refcounts", "", "[D5] up: 0", "[D5] up: 1"),
    ("refcounts", "", "[D5] up: 1", "[D5] up: 2"),
    ("refcounts", "", "[D5] down: 0", "[D5] down: 1"),
    // D6: a call tells that there was no handler.
    (
        "call_rules",
        "",
        "[D6] call B missing: undef, error none",
        "[D6] call B missing: undef, error no handler",
    ),
    (
        "call_rules",
        "",
        "[D6] call self missing: undef, error none",
        "[D6] call self missing: undef, error no handler",
    ),
    // D4: a second watch of the same descriptor replaces the event of the first.
    ("selects", "", "  [D4] first event", "  [D4] second event"),
    // R1: a handler's argument does not change while it runs.
    (
        "nfa",
        "",
        "[R1] back in enter of second, now second",
        "[R1] back in enter of outer, now second",
    ),
    // A failed call says so; POE leaves errno at 0.
    ("call_rules", "", "call: undef, error none", "call: undef, error died"),
    // Filters: the corrected quirks. A newline that is cut in two counts once.
    (
        "filters",
        "",
        r#"[Q10] "\nb\r\n" gives "", "b""#,
        r#"[Q10] "\nb\r\n" gives "b""#,
    ),
    // Pending bytes are those of the wire, header and all.
    ("filters", "", r#"[Q8] pending "ab""#, r#"[Q8] pending "3\x00ab""#),
    (
        "filters",
        "== recordblock, above lines",
        "[Q7] pending died",
        r#"[Q7] pending "e!f""#,
    ),
    // Junk is an error, and what follows it is not kept waiting.
    (
        "filters",
        "",
        r#"[B4] "!?1\x00a" gives nothing"#,
        r#"[B4] "!?1\x00a" gives error, "a""#,
    ),
    ("filters", "", r#"[B4] pending "1\x00a""#, "[B4] pending nothing"),
    // Chunks are a body, an empty body does not take the next request along, a method is a token, two lengths are none.
    (
        "filters",
        "",
        r#"[Q14] "POST /p HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n" gives request POST /p HTTP/1.1 "", response 400"#,
        r#"[Q14] "POST /p HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n" gives request POST /p HTTP/1.1 "ab""#,
    ),
    (
        "filters",
        "",
        r#"[Q15] "POST /1 HTTP/1.1\r\nContent-Length: 0\r\n\r\nGET /2 HTTP/1.1\r\n\r\n" gives request POST /1 HTTP/1.1 """#,
        r#"[Q15] "POST /1 HTTP/1.1\r\nContent-Length: 0\r\n\r\nGET /2 HTTP/1.1\r\n\r\n" gives request POST /1 HTTP/1.1 "", request GET /2 HTTP/1.1 """#,
    ),
    (
        "filters",
        "",
        r#"[H4] "M-SEARCH * HTTP/1.1\r\n\r\n" gives response 400"#,
        r#"[H4] "M-SEARCH * HTTP/1.1\r\n\r\n" gives request M-SEARCH * HTTP/1.1 """#,
    ),
    (
        "filters",
        "",
        r#"[H9] "POST /p HTTP/1.1\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc" gives request POST /p HTTP/1.1 "ab""#,
        r#"[H9] "POST /p HTTP/1.1\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc" gives response 400"#,
    ),
    ("filters", "", r#"[H9] pending "c""#, "[H9] pending nothing"),
    // A streamed body says when it is over.
    (
        "filters",
        "",
        r#"[H2] "two" gives "two""#,
        r#"[H2] "two" gives "two", end"#,
    ),
    // A postback of a dead session hands its argument back.
    (
        "postbacks",
        "== after the session was killed",
        "result: 0",
        "result: refused",
    ),
    (
        "postbacks",
        "== weakened: it holds nothing, and works while the session lives",
        "after its death: 0",
        "after its death: refused",
    ),
    // Decision 15: what a method of a wheel causes comes directly after the handler, and not inside the method.
    ("readwrite", "== a flush by hand", "  flushed", "  back with 0 bytes"),
    ("readwrite", "== a flush by hand", "  back with 0 bytes", "  flushed"),
    (
        "readwrite",
        "== a change of the input filter in the handler of a record",
        "  line de",
        "  back",
    ),
    (
        "readwrite",
        "== a change of the input filter in the handler of a record",
        "  back",
        "  line de",
    ),
];

/// Parts of a script that are compared elsewhere: scenario, title.
const OMITTED: &[(&str, &str)] = &[
    // File watchers want the real clock: `selects` has these.
    (
        "idle_zombie",
        "== a watched handle means not idle, a paused one as well",
    ),
    ("slices", "== a readable handle and a chain of events take turns"),
    ("slices", "== what a handle's handler posts runs in the same slice"),
];

/// What Perl printed, as this crate should print it.
fn expected(name: &str, perl: &str) -> Vec<String> {
    let (mut omitted, mut title) = (false, "");
    let mut lines = Vec::new();
    for line in perl.lines() {
        if line.starts_with("== ") {
            title = line;
            omitted = OMITTED.contains(&(name, line));
        }
        if omitted || line.starts_with("[type]") {
            continue;
        }
        let ours = DEVIATIONS
            .iter()
            .find(|(scenario, at, perl, _)| *scenario == name && *perl == line && (at.is_empty() || *at == title));
        let ours = ours.map_or(line, |(_, _, _, ours)| *ours);
        if !ours.is_empty() {
            lines.push(ours.to_owned());
        }
    }
    lines
}

fn play<F: Future>(virtual_time: bool, scenario: impl FnOnce() -> F) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(virtual_time)
        .build()
        .unwrap();
    transcripts::set_virtual(virtual_time);
    transcripts::take_lines();
    runtime.block_on(scenario());
    transcripts::take_lines()
}

fn in_tests(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests").join(path)
}

fn golden_path(name: &str) -> PathBuf {
    in_tests(&format!("it/transcripts/golden/{name}.txt"))
}

fn compare(ours: &[String], expected: &[String], of: &str) {
    let Some(at) = (0..ours.len().max(expected.len())).find(|i| ours.get(*i) != expected.get(*i)) else {
        return;
    };
    let around = |lines: &[String]| {
        let from = at.saturating_sub(4);
        let shown = lines.iter().enumerate().skip(from).take(9);
        let marked = shown.map(|(i, line)| format!("{} {}: {line}\n", if i == at { ">" } else { " " }, i + 1));
        marked.collect::<String>()
    };
    panic!(
        "line {} differs from {of}\nexpected:\n{}ours:\n{}",
        at + 1,
        around(expected),
        around(ours)
    );
}

fn against_golden<F: Future>(name: &str, scenario: impl FnOnce() -> F) {
    let golden = std::fs::read_to_string(golden_path(name)).expect("a golden text");
    let golden: Vec<String> = golden.lines().map(str::to_owned).collect();
    compare(&play(true, scenario), &golden, "the golden text");
}

#[derive(Clone, Copy, PartialEq)]
enum Clock {
    Virtual,
    /// For what waits for other processes.
    Real,
}

fn against_perl<F: Future>(name: &str, clock: Clock, scenario: impl FnOnce() -> F) {
    let script = in_tests(&format!("perl/{name}.pl"));
    let mut perl = Command::new("perl");
    if clock == Clock::Virtual {
        perl.arg("-I").arg(in_tests("perl")).arg("-MVirtualClock");
    }
    let ran = crate::in_child::output(perl.arg(&script), "Perl's POE");
    assert!(ran.status.success(), "{script:?} failed: {}", ran.stderr);
    let perl = expected(name, &ran.stdout);
    if std::env::var_os("POE_TWIN_WRITE").is_some() {
        std::fs::write(golden_path(name), perl.join("\n") + "\n").unwrap();
    }
    compare(&play(clock == Clock::Virtual, scenario), &perl, "Perl's POE");
    let golden = std::fs::read_to_string(golden_path(name)).unwrap();
    let golden: Vec<String> = golden.lines().map(str::to_owned).collect();
    compare(&golden, &perl, "Perl's POE in the golden text");
}

macro_rules! twins {
    ($($name:ident: $transcript:ident, $twin:ident;)*) => {$(
        #[test]
        fn $transcript() {
            against_golden(stringify!($name), transcripts::$name::play);
        }

        #[test]
        #[ignore = "needs Perl's POE; .ci/run installs it and runs these"]
        fn $twin() {
            against_perl(stringify!($name), Clock::Virtual, transcripts::$name::play);
        }
    )*};
}

twins! {
    alarms_by_id: transcript_alarms_by_id, perl_twin_alarms_by_id;
    alarms_by_name: transcript_alarms_by_name, perl_twin_alarms_by_name;
    aliases: transcript_aliases, perl_twin_aliases;
    call_rules: transcript_call_rules, perl_twin_call_rules;
    callbacks: transcript_callbacks, perl_twin_callbacks;
    creation: transcript_creation, perl_twin_creation;
    default_handler: transcript_default_handler, perl_twin_default_handler;
    detach: transcript_detach, perl_twin_detach;
    die_basic: transcript_die_basic, perl_twin_die_basic;
    die_in_die: transcript_die_in_die, perl_twin_die_in_die;
    die_in_start: transcript_die_in_start, perl_twin_die_in_start;
    die_in_stop: transcript_die_in_stop, perl_twin_die_in_stop;
    drops: transcript_drops, perl_twin_drops;
    exceptions_off: transcript_exceptions_off, perl_twin_exceptions_off;
    failing_stops: transcript_failing_stops, perl_twin_failing_stops;
    forced_stop: transcript_forced_stop, perl_twin_forced_stop;
    idle_zombie: transcript_idle_zombie, perl_twin_idle_zombie;
    k_alarms: transcript_k_alarms, perl_twin_k_alarms;
    k_detach: transcript_k_detach, perl_twin_k_detach;
    kogman_sig_order: transcript_kogman_sig_order, perl_twin_kogman_sig_order;
    light_switch: transcript_light_switch, perl_twin_light_switch;
    machines: transcript_machines, perl_twin_machines;
    nested_stop: transcript_nested_stop, perl_twin_nested_stop;
    nfa: transcript_nfa, perl_twin_nfa;
    postbacks: transcript_postbacks, perl_twin_postbacks;
    readwrite: transcript_readwrite, perl_twin_readwrite;
    refcounts: transcript_refcounts, perl_twin_refcounts;
    run_again: transcript_run_again, perl_twin_run_again;
    selects: transcript_selects, perl_twin_selects;
    sender_purge: transcript_sender_purge, perl_twin_sender_purge;
    signals_order: transcript_signals_order, perl_twin_signals_order;
    slices: transcript_slices, perl_twin_slices;
    steinert_signals: transcript_steinert_signals, perl_twin_steinert_signals;
    stopping: transcript_stopping, perl_twin_stopping;
    synopsis: transcript_synopsis, perl_twin_synopsis;
    timers_order: transcript_timers_order, perl_twin_timers_order;
    whelan_grinnz: transcript_whelan_grinnz, perl_twin_whelan_grinnz;
}

#[cfg(feature = "regex")]
twins! {
    filters: transcript_filters, perl_twin_filters;
}

/// Those that send themselves signals, or look at all their children, and so want a process of their own.
#[cfg(unix)]
macro_rules! twins_of_processes {
    ($($name:ident: $transcript:ident, $twin:ident;)*) => {$(
        #[test]
        fn $transcript() {
            crate::in_child::in_child!();
            against_golden(stringify!($name), transcripts::$name::play);
        }

        #[test]
        #[ignore = "needs Perl's POE; .ci/run installs it and runs these"]
        fn $twin() {
            crate::in_child::in_child!();
            against_perl(stringify!($name), Clock::Real, transcripts::$name::play);
        }
    )*};
}

#[cfg(unix)]
twins_of_processes! {
    follow_tail: transcript_follow_tail, perl_twin_follow_tail;
    k_sig_child: transcript_k_sig_child, perl_twin_k_sig_child;
    k_signals: transcript_k_signals, perl_twin_k_signals;
    run_order: transcript_run_order, perl_twin_run_order;
}
