//! The documents of the repository: their links lead somewhere, on a forge as well as in rustdoc, and their code is whole.
//!
//! The chapters of the guide use reference links. `src/guide/links.md` has their definitions for rustdoc; each chapter ends with
//! those for a forge, behind a line with the chapters before and after. Both are written by this test:
//! `POE_BLESS=1 cargo test --test it documents`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// All files under a folder of the repository whose names end so; also in its folders, but for build output.
pub(crate) fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![root().join(folder)];
    while let Some(folder) = open.pop() {
        let Ok(entries) = fs::read_dir(folder) else { continue };
        for entry in entries {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if path.is_dir() && name != "target" && name != "corpus" && !name.starts_with(".git") {
                open.push(path);
            } else if path.extension().is_some_and(|e| e == extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The path below the repository's root, with slashes.
pub(crate) fn short(path: &Path) -> String {
    let inside = path.strip_prefix(root()).unwrap_or(path);
    inside.to_string_lossy().replace('\\', "/")
}

/// A document without its fenced code.
fn prose(text: &str) -> String {
    let mut inside = false;
    let lines = text.lines().filter(|line| {
        let fence = line.trim_start().starts_with("```");
        inside ^= fence;
        !inside && !fence
    });
    lines.fold(String::new(), |text, line| text + line + "\n")
}

#[derive(Debug, PartialEq)]
enum Link {
    /// `[text][label]` or `[label]`.
    Reference(String),
    /// `[text](target)`.
    Inline(String),
}

/// The links of Markdown without fenced code. `[label]` alone is one if the label is code, because brackets occur in prose.
fn links(text: &str) -> Vec<Link> {
    let mut found = Vec::new();
    let mut at = 0;
    let bytes = text.as_bytes();
    while at < bytes.len() {
        match bytes[at] {
            b'`' => at = code_end(text, at),
            b'[' => {
                let Some(close) = bracket_end(text, at) else {
                    at += 1;
                    continue;
                };
                let label = &text[at + 1..close];
                match bytes.get(close + 1) {
                    Some(b'(') => {
                        let end = text[close..].find(')').map_or(text.len(), |n| close + n);
                        found.push(Link::Inline(text[close + 2..end].to_owned()));
                        at = end;
                    }
                    Some(b'[') => {
                        let end = bracket_end(text, close + 1).unwrap_or(text.len());
                        found.push(Link::Reference(text[close + 2..end].to_owned()));
                        at = end;
                    }
                    Some(b':') if at == 0 || bytes[at - 1] == b'\n' => at = close, // a definition
                    _ => {
                        if label.starts_with('`') && label.ends_with('`') {
                            found.push(Link::Reference(label.to_owned()));
                        }
                        at = close;
                    }
                }
            }
            _ => at += 1,
        }
    }
    found
}

/// Where the code span that begins at a backtick ends.
fn code_end(text: &str, start: usize) -> usize {
    let ticks = text[start..].bytes().take_while(|b| *b == b'`').count();
    let after = start + ticks;
    text[after..]
        .find(&text[start..after])
        .map_or(after, |n| after + n + ticks)
}

/// The bracket that closes the one at `start`, not counting those in code, within the paragraph.
fn bracket_end(text: &str, start: usize) -> Option<usize> {
    let (mut at, mut depth) = (start, 0);
    while at < text.len() {
        match text.as_bytes()[at] {
            b'`' => {
                at = code_end(text, at);
                continue;
            }
            b'\n' if text[at + 1..].starts_with('\n') => return None,
            b'[' => depth += 1,
            b']' if depth == 1 => return Some(at),
            b']' => depth -= 1,
            _ => {}
        }
        at += 1;
    }
    None
}

/// The definitions `[label]: target` of a document.
fn definitions(text: &str) -> BTreeMap<String, String> {
    let lines = text.lines().filter(|line| line.starts_with('['));
    lines
        .filter_map(|line| line.split_once("]: "))
        .filter(|(_, target)| !target.contains(' '))
        .map(|(label, target)| (label[1..].to_owned(), target.to_owned()))
        .collect()
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The chapters in reading order, with their titles.
fn chapters() -> Vec<(String, String)> {
    let index = read("docs/guide/README.md");
    let rows = index.lines().filter(|line| line.starts_with("| ["));
    let names = rows.filter_map(|row| row.split_once("][")?.1.split_once(']'));
    names
        .map(|(name, _)| {
            let text = read(format!("docs/guide/{name}.md"));
            let title = text.lines().next().and_then(|line| line.strip_prefix("# "));
            (
                name.to_owned(),
                title.expect("a chapter opens with its title").to_owned(),
            )
        })
        .collect()
}

/// The public items of the source by their names, each with its kind and file.
fn items() -> &'static BTreeMap<String, Vec<(&'static str, String)>> {
    static ITEMS: OnceLock<BTreeMap<String, Vec<(&'static str, String)>>> = OnceLock::new();
    ITEMS.get_or_init(|| {
        let mut items: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for path in files("src", "rs") {
            let text = fs::read_to_string(&path).unwrap();
            for line in text.lines() {
                let Some(line) = line.trim_start().strip_prefix("pub ") else {
                    continue;
                };
                let kinds = [
                    "struct ",
                    "enum ",
                    "trait ",
                    "type ",
                    "const ",
                    "static ",
                    "fn ",
                    "async fn ",
                ];
                if let Some((kind, rest)) = kinds.iter().find_map(|kind| Some((*kind, line.strip_prefix(kind)?))) {
                    let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                    items.entry(name).or_default().push((kind, short(&path)));
                }
            }
        }
        items
    })
}

/// The file of the repository in which an item is defined, by its path in rustdoc: for a method that of its type.
fn source_of(item: &str) -> Option<String> {
    let item = item.rsplit_once('@').map_or(item, |(_, item)| item);
    let segments: Vec<&str> = item.split("::").skip(1).collect();
    let upper = |segment: &&str| segment.starts_with(char::is_uppercase);
    let named = segments.iter().rev().find(|s| upper(s));
    let name = named.or(segments.last())?;
    let is_function = |kind: &str| kind.ends_with("fn ");
    let defined = items().get(*name).into_iter().flatten();
    let mut found: Vec<String> = defined
        .filter(|(kind, _)| is_function(kind) != named.is_some())
        .map(|(_, path)| path.clone())
        .collect();
    if named.is_none() {
        // A function is in its module; or it is a module itself.
        let module = format!("src/{}", segments[..segments.len() - 1].join("/"));
        found.retain(|path| segments.len() > 1 && path.starts_with(&module));
        let module = format!("src/{}", segments.join("/"));
        let files = [format!("{module}.rs"), format!("{module}/mod.rs")];
        found.extend(files.into_iter().filter(|path| root().join(path).is_file()));
    }
    // Of several the one in the folder of the item's module.
    let module = segments.first().map(|s| format!("/{s}"))?;
    found.sort_by_key(|path| (!path.contains(&module), path.len(), path.clone()));
    found.into_iter().next()
}

/// Where a link of the guide leads on a forge.
fn on_a_forge(label: &str, in_rustdoc: &str) -> Option<String> {
    if in_rustdoc.starts_with("https://") {
        return Some(in_rustdoc.to_owned());
    }
    if let Some(page) = in_rustdoc.strip_prefix("../../") {
        return Some(match page.split_once('/')? {
            ("conformance", _) => "../conformance.md".to_owned(),
            (module, _) => format!("../../src/{module}.rs"),
        });
    }
    Some(match in_rustdoc.strip_prefix("crate::guide::") {
        Some("phrasebook") => "../phrasebook/README.md".to_owned(),
        Some(chapter) => format!("{chapter}.md"),
        None => format!(
            "../../{}",
            source_of(in_rustdoc).or_else(|| panic!("no source for {label}"))?
        ),
    })
}

const BEHIND: &str = "<!-- What follows is written by `POE_BLESS=1 cargo test --test it documents`. -->";

/// What a chapter ends with: the way on, and the definitions of its links on a forge.
fn ending(name: &str, text: &str, chapters: &[(String, String)], known: &BTreeMap<String, String>) -> String {
    let mut way = Vec::new();
    if let Some(at) = chapters.iter().position(|(chapter, _)| chapter == name) {
        let link = |(chapter, title): &(String, String)| format!("[{title}][{chapter}]");
        way.extend(
            at.checked_sub(1)
                .map(|before| format!("Previous: {}", link(&chapters[before]))),
        );
        way.extend(chapters.get(at + 1).map(|next| format!("Next: {}", link(next))));
        way.push("[All chapters][guide]".to_owned());
    }
    let way = way.join(" · ");
    let mut used: Vec<String> = links(&format!("{}\n{way}", prose(text)))
        .into_iter()
        .filter_map(|link| match link {
            Link::Reference(label) => Some(label),
            Link::Inline(_) => None,
        })
        .collect();
    used.sort();
    used.dedup();
    let mut ending = format!("{BEHIND}\n\n");
    if !way.is_empty() {
        ending += &format!("---\n\n{way}\n\n");
    }
    for label in used {
        let target = match label.strip_prefix("pic_") {
            Some(picture) => format!("../pictures/{picture}.svg"),
            None if label == "guide" => "README.md".to_owned(),
            None => {
                let in_rustdoc = known.get(&label);
                let in_rustdoc =
                    in_rustdoc.unwrap_or_else(|| panic!("docs/guide/{name}.md: src/guide/links.md has no [{label}]"));
                on_a_forge(&label, in_rustdoc).unwrap_or_default()
            }
        };
        ending += &format!("[{label}]: {target}\n");
    }
    ending
}

#[test]
fn each_chapter_ends_with_the_way_on_and_with_its_links() {
    let (chapters, known) = (chapters(), definitions(&read("src/guide/links.md")));
    assert!(chapters.len() > 10, "only {} chapters are seen", chapters.len());
    let mut seen = Vec::new();
    for path in files("docs/guide", "md") {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let text = fs::read_to_string(&path).unwrap();
        let body = text.split(BEHIND).next().unwrap_or_default().trim_end();
        let whole = format!("{body}\n\n{}", ending(&name, body, &chapters, &known));
        if std::env::var_os("POE_BLESS").is_some() {
            fs::write(&path, &whole).unwrap();
        } else {
            let cure = "run `POE_BLESS=1 cargo test --test it documents`";
            assert!(
                text == whole,
                "the end of {} is out of date: {cure}\n{whole}",
                short(&path)
            );
        }
        seen.push(name);
    }
    let unlisted: Vec<&String> = seen
        .iter()
        .filter(|n| *n != "README" && !chapters.iter().any(|(c, _)| c == *n))
        .collect();
    assert!(unlisted.is_empty(), "docs/guide/README.md does not list {unlisted:?}");
}

/// The anchor that forges and rustdoc make of a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = kept
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[test]
fn every_relative_link_of_a_document_leads_to_a_file_and_a_heading() {
    let mut looked = 0;
    for path in documents() {
        if short(&path) == "docs/conformance.md" {
            continue; // for rustdoc, which checks it
        }
        let text = fs::read_to_string(&path).unwrap();
        let mut targets: Vec<String> = definitions(&text).into_values().collect();
        targets.extend(links(&prose(&text)).into_iter().filter_map(|link| match link {
            Link::Inline(target) => Some(target),
            Link::Reference(_) => None,
        }));
        for attribute in ["src=\"", "srcset=\"", "href=\""] {
            targets.extend(
                text.split(attribute)
                    .skip(1)
                    .filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())),
            );
        }
        for target in targets {
            // Items of a crate whose page its README is: rustdoc checks these.
            let is_item = target.contains("::");
            if is_item || target.starts_with("https://") || target.starts_with("mailto:") {
                continue;
            }
            looked += 1;
            let (file, heading) = target.split_once('#').map_or((&*target, None), |(f, h)| (f, Some(h)));
            let file = if file.is_empty() {
                path.clone()
            } else {
                path.parent().unwrap().join(file)
            };
            assert!(file.exists(), "{}: the link to {target} leads nowhere", short(&path));
            if let Some(heading) = heading.filter(|h| !h.starts_with('L')) {
                let there = fs::read_to_string(&file).unwrap();
                let found = there
                    .lines()
                    .any(|line| line.starts_with('#') && anchor(line) == heading);
                assert!(found, "{}: {target} names no heading", short(&path));
            }
        }
    }
    assert!(looked > 100, "only {looked} links were seen");
}

/// What a person reads on a forge.
pub(crate) fn documents() -> Vec<PathBuf> {
    let mut found = files("docs", "md");
    for folder in [".github", "crates", "examples", "benches", "fuzz", "tests"] {
        found.extend(files(folder, "md"));
    }
    for name in ["README", "ARCHITECTURE", "CHANGELOG", "CONTRIBUTING", "SECURITY"] {
        found.push(root().join(format!("{name}.md")));
    }
    found
}

#[test]
fn code_in_documents_hides_no_line_and_names_its_language() {
    for path in documents() {
        let text = fs::read_to_string(&path).unwrap();
        let mut language: Option<String> = None;
        for (n, line) in text.lines().enumerate() {
            let place = format!("{}:{}", short(&path), n + 1);
            if let Some(fence) = line.trim_start().strip_prefix("```") {
                language = match language {
                    Some(_) => None,
                    None => {
                        assert!(!fence.is_empty(), "{place}: a block of code without a language");
                        Some(fence.to_owned())
                    }
                };
            } else if language.as_ref().is_some_and(|l| l.starts_with("rust")) {
                let hidden = line.trim() == "#" || line.trim_start().starts_with("# ");
                assert!(!hidden, "{place}: rustdoc hides this line and a forge shows it");
            }
        }
        assert!(language.is_none(), "{}: a block of code without an end", short(&path));
    }
}

#[test]
fn readmes_excerpt_is_from_the_example_beside_axum() {
    let (readme, of_axum) = (read("README.md"), "examples/hosts/axum/src");
    let example = read(format!("{of_axum}/counter.rs")) + &read(format!("{of_axum}/web.rs"));
    let excerpts: Vec<&str> = readme
        .split("```rust,ignore\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .collect();
    assert_eq!(excerpts.len(), 1, "other code of README is compiled");
    for paragraph in excerpts[0].split("\n\n") {
        assert!(
            example.contains(paragraph.trim()),
            "the example does not have\n{paragraph}"
        );
    }
}

#[test]
fn the_guides_blocks_on_metrics_and_spans_are_from_an_example_that_ci_compiles_and_tests() {
    let trimmed = |text: &str| text.lines().map(str::trim).collect::<Vec<_>>().join("\n");
    let example = trimmed(&read("examples/hosts/observed/src/main.rs"));
    let chapter = read("docs/guide/observing.md");
    let blocks: Vec<&str> = chapter
        .split("```rust,ignore\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .collect();
    assert_eq!(blocks.len(), 2, "other code of the chapter is compiled");
    for block in blocks {
        assert!(
            example.contains(trimmed(block).trim()),
            "the example does not have\n{block}"
        );
    }
}

#[test]
fn links_are_found_where_they_are() {
    let text = "see [`a`][`B::c`], [d](e.md), [`F`] and `[HEAP]`, `@_[KERNEL]`, [no link] x[1]\n";
    let reference = |label: &str| Link::Reference(label.to_owned());
    let expected = [reference("`B::c`"), Link::Inline("e.md".to_owned()), reference("`F`")];
    assert_eq!(links(text), expected);
    assert_eq!(anchor("## TERM and Ctrl-C"), "term-and-ctrl-c");
    assert_eq!(source_of("crate::guide").as_deref(), Some("src/guide/mod.rs"));
}
