//! docs/conformance.md names nothing that is not there, and leaves nothing out.
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

/// `tests/it/upstream/k_alarms.rs` is `upstream::k_alarms`, `src/queue/heap.rs` is `src::queue::heap`.
fn module(path: &Path) -> String {
    let path = path.strip_prefix(root()).unwrap().with_extension("");
    let path = path.strip_prefix("tests/it").unwrap_or(&path);
    let names: Vec<&str> = path.iter().map(|n| n.to_str().unwrap()).collect();
    names.join("::").trim_end_matches("::mod").to_owned()
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
    for (module, text) in sources("tests").into_iter().chain(sources("src")) {
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
    for (module, text) in sources("src") {
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

/// What stands in code spans of a cell and looks like an item's path.
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
    let missing: Vec<String> = laws
        .chain(decisions)
        .filter(|name| !named.contains(name.as_str()))
        .collect();
    assert_eq!(missing, [""; 0]);
}
