//! The words of the house (STYLE in CONTRIBUTING.md, and the guide's glossary), kept by a list of those that were given up.

use crate::documents::{documents, files, root, short};
use std::fs;
use std::path::PathBuf;

/// What is not written any more, and what to write. Matched without regard to case.
const GIVEN_UP: [(&str, &str); 25] = [
    ("octet", "byte"),
    ("whoever", "the caller, the peer, every session that"),
    ("one's own", "your own, custom, separate"),
    ("what is no ", "a noun, or `anything that is not a`"),
    ("who is ", "the session that, the caller that"),
    ("who are ", "those that"),
    ("by `cargo", "with `cargo"),
    ("heard out", "read until it closes"),
    ("hears out", "reads until it closes"),
    ("hears silent", "keeps reading from silent"),
    ("goes the road", "is treated like"),
    ("the road of a fail", "what happens after a failure"),
    ("what waits to be written", "the output buffer"),
    ("put round a", "wraps a"),
    ("put round the", "wraps the"),
    ("time-out", "timeout"),
    ("back-pressure", "backpressure"),
    ("back-off", "backoff"),
    ("is kept by nothing", "nothing keeps it alive"),
    ("the one that is mended", "the one that receives fixes"),
    ("is told of", "is reported, is notified of"),
    ("are told of", "are reported, are notified of"),
    ("tells of", "reports"),
    ("hears of", "gets the event, is notified of"),
    ("hear of ", "get the event, are notified of"),
];

/// A line that may have a word that was given up: an alias for searching, a name on the wire or of another crate.
fn is_quoted(line: &str) -> bool {
    ["doc(alias", "octet-stream", "octetstream", "GIVEN_UP"]
        .iter()
        .any(|quote| line.contains(quote))
}

fn texts() -> Vec<PathBuf> {
    let mut found = documents();
    for folder in ["src", "crates", "examples", "tests/it", "benches", "fuzz/fuzz_targets"] {
        found.extend(files(folder, "rs"));
    }
    found.extend(files("docs/phrasebook", "rs"));
    found.push(root().join("Cargo.toml"));
    found.sort();
    found.dedup();
    found.retain(|path| short(path) != "tests/it/words.rs");
    found
}

#[test]
fn no_text_has_a_word_that_was_given_up() {
    let (mut found, mut looked) = (Vec::new(), 0);
    for path in texts() {
        let name = short(&path);
        looked += 1;
        for (n, line) in fs::read_to_string(&path).unwrap().lines().enumerate() {
            let low = line.to_lowercase();
            for (word, instead) in GIVEN_UP {
                if low.contains(word) && !is_quoted(line) {
                    found.push(format!("{name}:{}: `{word}`: write {instead}", n + 1));
                }
            }
        }
    }
    assert!(looked > 100, "only {looked} files were seen");
    assert!(found.is_empty(), "{} places:\n{}", found.len(), found.join("\n"));
}

#[test]
fn the_glossary_has_the_words_of_the_house() {
    let glossary = fs::read_to_string(root().join("docs/guide/glossary.md")).unwrap();
    let words = [
        "byte",
        "reply",
        "timer",
        "handler",
        "state",
        "heap",
        "failure",
        "connection",
        "peer",
        "slice",
        "generation",
        "hold",
    ];
    for word in words {
        assert!(
            glossary.to_lowercase().contains(word),
            "docs/guide/glossary.md does not explain `{word}`"
        );
    }
}
