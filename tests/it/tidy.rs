//! Checks of the source: the layers of ARCHITECTURE.md, the independence of satellites, and a test for each law.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// All Rust files under a folder.
fn files(folder: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![root().join(folder)];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The table "Who may import whom" of ARCHITECTURE.md: for each module the modules that it may import.
fn table() -> BTreeMap<String, BTreeSet<String>> {
    const VOCABULARY: [&str; 6] = ["id", "name", "arg", "event", "error", "debug"];
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let (_, section) = text
        .split_once("## Who may import whom")
        .expect("ARCHITECTURE.md has the table of imports");
    let section = section.split("\n## ").next().unwrap();
    let quoted = |cell: &str| -> Vec<String> { cell.split('`').skip(1).step_by(2).map(str::to_owned).collect() };
    let mut table = BTreeMap::<String, BTreeSet<String>>::new();
    for row in section.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = row.trim_matches('|').split('|').collect();
        let [modules, allowed] = cells[..] else {
            panic!("two cells in {row}")
        };
        let mut may: BTreeSet<String> = quoted(allowed).into_iter().collect();
        if allowed.contains("vocabulary") {
            may.extend(VOCABULARY.map(str::to_owned));
        }
        if allowed.contains("everything above") {
            may.extend(table.keys().cloned());
        }
        for module in quoted(modules) {
            table.insert(module, may.clone());
        }
    }
    table
}

fn module_of(path: &Path) -> Option<String> {
    let inside = path.strip_prefix(root().join("src")).unwrap();
    let first = inside.components().next().unwrap().as_os_str().to_str().unwrap();
    let module = first.strip_suffix(".rs").unwrap_or(first);
    (module != "lib").then(|| module.to_owned())
}

/// The modules of ours that a text names: `crate::module…`, and each of `crate::{one::…, two::…}`. What is under `cfg(test)`
/// counts as well, comments and macros' `$crate` paths do not.
fn imports(text: &str) -> BTreeSet<String> {
    let code: String = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .flat_map(|line| [line, "\n"])
        .collect();
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        if code[..at].ends_with('$') || code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let rest = &code[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            None => found.extend(module_name(rest)),
            Some(group) => {
                let mut depth = 0;
                let mut start = 0;
                for (i, c) in group.char_indices() {
                    match c {
                        '{' => depth += 1,
                        '}' if depth > 0 => depth -= 1,
                        ',' | '}' if depth == 0 => {
                            found.extend(module_name(group[start..i].trim_start()));
                            start = i + 1;
                            if c == '}' {
                                break;
                            }
                        }
                        _ => {}
                    }
                }
            }
        }
    }
    found
}

/// The module that a path begins with. What the root re-exports has capitals, and is in no layer.
fn module_name(path: &str) -> Option<String> {
    let name: String = path.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    (!name.is_empty() && name.chars().all(|c| c.is_lowercase() || c == '_')).then_some(name)
}

#[test]
fn no_module_imports_more_than_architecture_says() {
    let table = table();
    let mut looked = 0;
    let mut wrong = Vec::new();
    for path in files("src") {
        let Some(module) = module_of(&path) else { continue };
        let may = table
            .get(&module)
            .unwrap_or_else(|| panic!("src/{module} is in no row of ARCHITECTURE.md's table"));
        let text = fs::read_to_string(&path).unwrap();
        assert!(
            text.lines().count() < 620,
            "{} is too long: split it by concept",
            path.display()
        );
        for import in imports(&text) {
            looked += 1;
            let sibling = module == "resource" && import == "resource";
            if (import != module && !may.contains(&import)) || sibling {
                wrong.push(format!("{}: {import}", path.strip_prefix(root()).unwrap().display()));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "imports that ARCHITECTURE.md does not allow: {wrong:#?}"
    );
    assert!(
        looked > 300,
        "only {looked} imports were seen: the check has gone blind"
    );
}

/// No module of a satellite imports one that imports it, directly or through others.
#[test]
fn satellites_have_no_import_cycles() {
    for satellite in fs::read_dir(root().join("crates")).unwrap() {
        let folder = satellite.unwrap().path();
        let source = folder.join("src");
        let mut imported: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for path in files(source.to_str().unwrap()) {
            let inside = path.strip_prefix(&source).unwrap();
            let first = inside.components().next().unwrap().as_os_str().to_str().unwrap();
            let module = first.trim_end_matches(".rs").to_owned();
            let text = fs::read_to_string(&path).unwrap();
            assert!(text.lines().count() < 620, "{} is too long", path.display());
            imported.entry(module).or_default().extend(imports(&text));
        }
        for (module, others) in &mut imported {
            others.remove(module);
        }
        // What imports nothing that is left is no part of a cycle.
        while let Some(module) = imported
            .iter()
            .find(|(_, others)| others.is_empty())
            .map(|(name, _)| name.clone())
        {
            imported.remove(&module);
            imported.values_mut().for_each(|others| {
                others.remove(&module);
            });
        }
        assert!(
            imported.is_empty(),
            "{}: {imported:?} import each other",
            folder.display()
        );
    }
}

#[test]
fn perl_storable_does_not_depend_on_poe() {
    let manifest = fs::read_to_string(root().join("crates/perl-storable/Cargo.toml")).unwrap();
    assert!(!manifest.contains("poe"));
    let sources = files("crates/perl-storable/src");
    assert!(sources.len() > 5);
    for path in sources {
        let text = fs::read_to_string(&path).unwrap();
        assert!(!text.contains("poe"), "{}", path.display());
    }
}

#[test]
fn the_check_of_imports_sees_every_form() {
    let text = "use crate::kernel::{Core, Kernel};\nuse crate::{wheel::{A, b::C}, id};\n// crate::pipe\nlet x = crate::filter::f();\n$crate::queue!(); mycrate::tls;";
    let expected = ["filter", "id", "kernel", "wheel"].map(str::to_owned);
    assert_eq!(imports(text), BTreeSet::from(expected));
    assert_eq!(table()["queue"].len(), 6);
    assert!(table()["component"].contains("wheel") && !table()["kernel"].contains("wheel"));
}

#[test]
fn each_law_of_the_kernel_has_a_test_of_its_number() {
    let mut tested = BTreeSet::new();
    for path in files("tests/it") {
        let text = fs::read_to_string(path).unwrap();
        for line in text.lines() {
            let name = line.trim_start().trim_start_matches("async ").strip_prefix("fn l");
            if let Some((number, _)) = name.and_then(|n| n.split_once('_'))
                && let Ok(number) = number.parse::<u32>()
            {
                tested.insert(number);
            }
        }
    }
    // L88 is about fork, which a process with threads cannot do.
    let wanted = (1..=87).chain([89, 90]);
    let missing: Vec<u32> = wanted.filter(|law| !tested.contains(law)).collect();
    assert_eq!(missing, [0; 0], "laws without a test");
}
