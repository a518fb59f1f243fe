//! What the source says of itself, checked: the layers of ARCHITECTURE.md, and that each law has its test.

use std::collections::BTreeSet;
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

/// A layer's number: a file imports from its own and from lower ones.
fn layer(module: &str) -> usize {
    match module {
        "id" | "name" | "arg" | "event" | "error" | "storable" => 0,
        "queue" | "resource" | "bridge" | "filter" | "pipe" | "tls" => 1,
        "kernel" | "codec" => 2,
        "session" | "driver" => 3,
        "wheel" => 4,
        "component" | "hosts" | "guide" | "testing" => 5,
        other => panic!("src/{other} has no layer: give it one here and in ARCHITECTURE.md"),
    }
}

fn module_of(path: &Path) -> Option<String> {
    let inside = path.strip_prefix(root().join("src")).unwrap();
    let first = inside.components().next().unwrap().as_os_str().to_str().unwrap();
    let module = first.strip_suffix(".rs").unwrap_or(first);
    (module != "lib").then(|| module.to_owned())
}

/// The modules of ours that a line imports from by `use crate::…`.
fn imports(line: &str) -> Vec<&str> {
    let Some(rest) = line.trim_start().strip_prefix("use crate::") else {
        return Vec::new();
    };
    let names = rest.trim_start_matches('{').split([':', ';', ',', '}']);
    let first = names.map(str::trim).find(|n| !n.is_empty());
    first
        .filter(|n| n.chars().all(|c| c.is_lowercase() || c == '_'))
        .into_iter()
        .collect()
}

#[test]
fn no_layer_imports_from_a_higher_one() {
    let mut looked = 0;
    for path in files("src") {
        let Some(module) = module_of(&path) else { continue };
        let text = fs::read_to_string(&path).unwrap();
        for line in text.lines() {
            for import in imports(line) {
                looked += 1;
                assert!(
                    layer(import) <= layer(&module),
                    "{} imports from the higher layer `{import}`",
                    path.display()
                );
                let siblings = module == "resource" && import == "resource";
                assert!(!siblings, "{}: a table knows its sibling", path.display());
            }
        }
    }
    assert!(
        looked > 100,
        "only {looked} imports were seen: the check has gone blind"
    );
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
