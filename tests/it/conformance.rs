//! Checks that docs/conformance.md names existing things only, and that it is complete.
//!
//! The documentation build checks the links; this checks the tests that are named, the items that are not linked because they are not
//! public, and that every row of the specification has its line.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// One line of a table: its three cells.
struct Row {
    part: String,
    name: String,
    here: String,
    tests: String,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn rows() -> Vec<Row> {
    let text = fs::read_to_string(root().join("docs/conformance.md")).unwrap();
    let mut part = String::new();
    let mut found = Vec::new();
    for line in text.lines() {
        if let Some(heading) = line.strip_prefix("## ").or_else(|| line.strip_prefix("# ")) {
            part = heading.to_owned();
        }
        let Some(cells) = line.strip_prefix("| ") else { continue };
        // A bar inside a cell is written `\|`.
        let cells = cells.replace("\\|", "\u{1}");
        let cells: Vec<&str> = cells.trim_end_matches('|').split('|').map(str::trim).collect();
        assert_eq!(cells.len(), 3, "three cells: {line}");
        if cells[2] == "tests" {
            continue;
        }
        found.push(Row {
            part: part.clone(),
            name: cells[0].to_owned(),
            here: cells[1].to_owned(),
            tests: cells[2].to_owned(),
        });
    }
    found
}

fn sources(folder: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut open = vec![root().join(folder)];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                found.push((module(&path), fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found
}

/// `tests/it/upstream/k_alarms.rs` is `upstream::k_alarms`, `src/queue/heap.rs` is `src::queue::heap`, and
/// `crates/perl-storable/tests/vectors.rs` is `perl_storable::vectors`.
fn module(path: &Path) -> String {
    let path = path.strip_prefix(root()).unwrap().with_extension("");
    let path = path.strip_prefix("tests/it").unwrap_or(&path);
    let path = path.strip_prefix("crates").unwrap_or(path);
    let names: Vec<String> = path.iter().map(|n| n.to_str().unwrap().replace('-', "_")).collect();
    names
        .join("::")
        .replace("::tests::", "::")
        .trim_end_matches("::mod")
        .to_owned()
}

/// The word behind `before`, if the line has it.
fn word_after<'l>(line: &'l str, before: &str) -> Option<&'l str> {
    let rest = &line[line.find(before)? + before.len()..];
    let end = rest
        .find(|c: char| !c.is_alphanumeric() && c != '_')
        .unwrap_or(rest.len());
    (end > 0).then(|| &rest[..end])
}

/// Test functions by module.
fn tests() -> BTreeMap<String, BTreeSet<String>> {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (module, text) in ["tests", "src", "crates"].into_iter().flat_map(sources) {
        let of_module = found.entry(module).or_default();
        let mut is_test = false;
        for line in text.lines() {
            let line = line.trim();
            if line.contains("test]") && line.starts_with("#[") || line.starts_with("#[tokio::test") {
                is_test = true;
            } else if let Some(name) = word_after(line, "fn ") {
                if is_test || text.contains("proptest!") {
                    of_module.insert(name.to_owned());
                }
                is_test = false;
            }
            // The macros that make two tests of a scenario name them in their arguments.
            if let Some(name) = line.split(": ").nth(1).and_then(|rest| rest.strip_suffix(';')) {
                of_module.extend(name.split(", ").map(str::to_owned));
            }
        }
    }
    found
}

fn is_there(tests: &BTreeMap<String, BTreeSet<String>>, named: &str) -> bool {
    if tests.get(named).is_some_and(|functions| !functions.is_empty()) {
        return true;
    }
    let Some((module, function)) = named.rsplit_once("::") else {
        return false;
    };
    tests.get(module).is_some_and(|functions| {
        functions
            .iter()
            .any(|f| f == function || f.starts_with(&format!("{function}_")))
    })
}

/// Names that are defined anywhere in the source.
fn items() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (module, text) in ["src", "crates"].into_iter().flat_map(sources) {
        found.extend(module.split("::").map(str::to_owned));
        for line in text.lines() {
            for word in [
                "fn ",
                "struct ",
                "enum ",
                "trait ",
                "const ",
                "type ",
                "mod ",
                "macro_rules! ",
            ] {
                found.extend(word_after(line, word).map(str::to_owned));
            }
            // Variants of enums and fields.
            let name = line.trim().split([',', '(', ':', ' ']).next().unwrap_or_default();
            found.insert(name.trim_start_matches("pub ").to_owned());
            if let Some(field) = line.trim().strip_prefix("pub ").and_then(|rest| rest.split(':').next()) {
                found.insert(field.to_owned());
            }
        }
    }
    found
}

/// The code spans of a cell that look like an item's path.
fn paths(cell: &str) -> Vec<&str> {
    let spans = cell.split('`').skip(1).step_by(2);
    spans
        .filter(|span| span.contains("::") && !span.starts_with("std::") && !span.starts_with("tokio::"))
        .collect()
}

#[test]
fn every_test_and_item_that_is_named_is_there() {
    let (tests, items) = (tests(), items());
    let mut wrong = Vec::new();
    for row in rows() {
        for named in row.tests.split(", ").filter(|named| !named.is_empty()) {
            if !is_there(&tests, named) {
                wrong.push(format!("{} {}: no test {named}", row.part, row.name));
            }
        }
        for path in paths(&row.here) {
            for name in path.trim_end_matches("()").split("::") {
                if !items.contains(name) {
                    wrong.push(format!("{} {}: no item {name} of {path}", row.part, row.name));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn every_row_has_an_item_or_a_reason_and_a_test_unless_it_is_not_applicable() {
    let mut wrong = Vec::new();
    for row in rows() {
        let not_applicable = row.here.contains("*n/a*");
        let unreasoned = ["*n/a*", "*deviates*"].iter().any(|mark| {
            let after = row.here.split(mark).nth(1);
            after.is_some_and(|rest| rest.trim_matches([':', ';', ' ']).len() < 8)
        });
        if unreasoned {
            wrong.push(format!("{} {}: no reason", row.part, row.name));
        }
        if row.here.is_empty() {
            wrong.push(format!("{} {}: empty", row.part, row.name));
        }
        if row.tests.is_empty()
            && !not_applicable
            && !row.here.contains("in POE either")
            && !row.here.contains("gone in POE")
        {
            wrong.push(format!("{} {}: no test", row.part, row.name));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn every_row_of_the_specification_has_its_line() {
    let rows = rows();
    let of = |part: &str| rows.iter().filter(|row| row.part.starts_with(part)).count();
    // How many rows each part of the specification has; a line may stand for two that POE lists apart.
    let kernel = [
        ("1.1 ", 18),
        ("1.2 ", 5),
        ("1.3 ", 11),
        ("1.4 ", 6),
        ("1.5 ", 5),
        ("1.6 ", 9),
        ("1.7 ", 9),
        ("1.8 ", 4),
        ("1.9 ", 16),
        ("1.10 ", 19),
        ("1.11 ", 14),
        ("1.12 ", 11),
        ("1.13 ", 12),
        ("1.14 ", 49),
        ("1.15 ", 28),
    ];
    for (part, count) in kernel {
        assert!(of(part) >= count, "part {part}: {} lines of {count}", of(part));
    }
    let named: BTreeSet<&str> = rows.iter().map(|row| row.name.as_str()).collect();
    let laws = (1..=90).map(|n| format!("L{n}"));
    let decisions = (1..=18).map(|n| format!("D{n}"));
    let laws_of_io = (1..=37).map(|n| format!("law {n}"));
    let quirks = (1..=31).map(|n| format!("Q{n}"));
    let missing: Vec<String> = laws
        .chain(decisions)
        .chain(laws_of_io)
        .chain(quirks)
        .filter(|name| !named.contains(name.as_str()))
        .collect();
    assert_eq!(missing, [""; 0]);
}

#[test]
fn every_row_of_the_io_layer_has_its_line() {
    let rows = rows();
    // The rows of each class, as the specification numbers them.
    let numbered = [
        ("I/O 1.1 ", "W", 8),
        ("I/O 1.2 ", "Driver D", 6),
        ("I/O 1.3 ", "F", 7),
        ("I/O 1.4 ", "Line L", 8),
        ("I/O 1.4 ", "S", 1),
        ("I/O 1.5 ", "B", 8),
        ("I/O 1.6 ", "R", 4),
        ("I/O 1.7 ", "M", 4),
        ("I/O 1.8 ", "K", 6),
        ("I/O 1.9 ", "H", 11),
        ("I/O 1.10 ", "X", 6),
        ("I/O 1.11 ", "RW.p", 10),
        ("I/O 1.11 ", "RW", 18),
        ("I/O 1.12 ", "SF.p", 9),
        ("I/O 1.12 ", "SF", 11),
        ("I/O 1.12 ", "LA", 2),
        ("I/O 1.13 ", "FT.p", 7),
        ("I/O 1.13 ", "FT", 13),
        ("I/O 1.14 ", "RU.p", 16),
        ("I/O 1.14 ", "RU", 18),
        ("I/O 1.15 ", "RL.p", 3),
        ("I/O 1.15 ", "RL", 12),
        ("I/O 1.15 ", "CU", 2),
        ("I/O 1.16 ", "P", 4),
        ("I/O 1.17 ", "ST.p", 15),
        ("I/O 1.17 ", "ST", 8),
        ("I/O 1.18 ", "CT.p", 11),
        ("I/O 1.18 ", "CT", 6),
        ("I/O 5", "vector ", 33),
    ];
    let mut wrong = Vec::new();
    for (part, letters, count) in numbered {
        for n in 1..=count {
            let id = format!("{letters}{n} ");
            let lines = rows
                .iter()
                .filter(|row| row.part.starts_with(part) && format!("{} ", row.name).starts_with(&id));
            if lines.count() != 1 {
                wrong.push(format!("{part}{id}has not one line"));
            }
        }
    }
    // Frames, serializers, the image and its rules have names only: 5 + 7 + 28 beside the vectors.
    let of_reference = rows.iter().filter(|row| row.part.starts_with("I/O 5")).count();
    assert!(of_reference >= 33 + 40, "{of_reference} lines on what Reference sends");
    assert_eq!(wrong, [""; 0]);
}

/// POE's own test files, as its distribution and POE::Test::Loops have them.
const FILES: &str = "
    t/00_info t/10_units/02_pipes/01_base 02_oneway 03_twoway t/10_units/03_base/01_poe t/10_units/03_base/03_component
    04_driver 05_filter 07_queue t/10_units/03_base/06_loop 08_resource t/10_units/03_base/09_resources
    t/10_units/03_base/10_wheel t/10_units/03_base/11_assert_usage t/10_units/03_base/12_assert_retval
    t/10_units/03_base/13_assert_data t/10_units/03_base/14_kernel t/10_units/03_base/15_kernel_internal
    t/10_units/03_base/16_nfa_usage t/10_units/03_base/17_detach_start t/10_units/04_drivers/01_sysrw
    t/10_units/05_filters/01_block t/10_units/05_filters/02_grep t/10_units/05_filters/03_http
    t/10_units/05_filters/04_line t/10_units/05_filters/05_map t/10_units/05_filters/06_recordblock
    t/10_units/05_filters/07_reference t/10_units/05_filters/08_stream t/10_units/05_filters/50_stackable
    t/10_units/05_filters/51_reference_die t/10_units/05_filters/99_filterchange t/10_units/05_filters/TestFilter
    t/10_units/06_queues/01_array t/10_units/07_exceptions/01_normal t/10_units/07_exceptions/02_turn_off
    t/10_units/07_exceptions/03_not_handled t/10_units/08_loops/* t/20_resources/00_base/aliases
    t/20_resources/00_base/caller_state t/20_resources/00_base/events t/20_resources/00_base/extrefs
    t/20_resources/00_base/extrefs_gc t/20_resources/00_base/filehandles t/20_resources/00_base/sessions
    t/20_resources/00_base/sids t/20_resources/00_base/signals t/90_regression/agaran-filter-httpd
    t/90_regression/averell-callback-ret t/90_regression/bingos-followtail t/90_regression/broeren-win32-nbio
    prumike-win32-stat t/90_regression/cfedde-filter-httpd t/90_regression/ferrari-server-unix
    t/90_regression/grinnz-die-in-die t/90_regression/hinrik-wheel-run-die t/90_regression/kjeldahl-stop-start-*
    t/90_regression/leolo-alarm-adjust t/90_regression/leolo-filter-httpd t/90_regression/leolo-sig-die
    t/90_regression/meh-startstop-return t/90_regression/neyuki_detach t/90_regression/pipe-followtail
    t/90_regression/rt14444-arg1 t/90_regression/rt1648-tied-stderr t/90_regression/rt19908-merlyn-stop
    t/90_regression/rt23181-sigchld-rc t/90_regression/rt47966-sigchld t/90_regression/rt56417-wheel-run
    t/90_regression/rt65460-forking t/90_regression/socketfactory-timeout t/90_regression/somni-poco-server-tcp
    t/90_regression/steinert-passed-wheel t/90_regression/suzman_windows t/90_regression/ton-stop-corruption
    t/90_regression/tracing-sane-exit t/90_regression/whelan-dieprop t/90_regression/whjackson-followtail
    00_info all_errors comp_tcp comp_tcp_concurrent connect_errors k_alarms k_aliases k_detach k_run_returns k_selects
    k_sig_child k_signals k_signals_rerun sbk_signal_init ses_nfa ses_session wheel_accept wheel_curses wheel_readline
    wheel_readwrite wheel_run wheel_run_size wheel_sf_ipv6 wheel_sf_tcp wheel_sf_udp wheel_sf_unix wheel_tail
    z_kogman_sig_order z_leolo_wheel_run z_merijn_sigchld_system z_rt39872_sigchld z_rt39872_sigchld_stop
    z_rt53302_fh_watchers z_rt54319_bazerka_followtail z_steinert_signal_integrity";

#[test]
fn every_test_file_of_poes_has_its_line() {
    let rows = rows();
    let (mut named, mut without) = (BTreeSet::new(), 0);
    for row in rows.iter().filter(|row| row.part == "POE's own test files") {
        without += usize::from(row.tests.is_empty());
        for file in row.name.split('`').skip(1).step_by(2) {
            let file = file.trim_start_matches("POE::Test::Loops::");
            let file = file
                .strip_suffix(".t")
                .or_else(|| file.strip_suffix(".pm"))
                .unwrap_or(file);
            assert!(named.insert(file.to_owned()), "{file} has two lines");
        }
    }
    let files: BTreeSet<String> = FILES.split_whitespace().map(str::to_owned).collect();
    let (missing, strange): (Vec<_>, Vec<_>) = (files.difference(&named).collect(), named.difference(&files).collect());
    assert!(
        missing.is_empty() && strange.is_empty(),
        "missing {missing:?}, strange {strange:?}"
    );
    // Those that are about Perl, and about the queues and pipes that this crate leaves to others; all others have a module.
    assert_eq!(without, 12);
}
