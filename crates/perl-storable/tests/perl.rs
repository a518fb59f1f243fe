//! Perl's Storable and this crate: what one freezes the other thaws. Needs Perl with its own Storable.

mod records;

use perl_storable::{self as storable, Document, Kind, Settings, Value};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use records::{Record, record};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

fn random(mode: &str, folder: &Path) -> String {
    perl("random.pl", &[mode.as_ref(), folder])
}

fn perl(script: &str, arguments: &[&Path]) -> String {
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/perl")
        .join(script);
    let output = Command::new("perl")
        .arg(script)
        .args(arguments)
        .output()
        .expect("perl runs");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.success() && errors.is_empty(),
        "{:?}: {errors}",
        output.status
    );
    String::from_utf8(output.stdout).unwrap()
}

/// A folder of this test's own, gone when it is over.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("poe-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Folder(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The text that the script makes of a value: an element, or what the top is wrapped in.
fn text(value: &Value, seen: &mut Vec<Value>, out: &mut String) {
    match value.referent() {
        Some(thing) => referent(&thing, seen, out),
        None => string(
            value.is_undef().then_some(()).map_or(value.as_bytes(), |()| None),
            value.as_i64(),
            out,
        ),
    }
}

/// Bytes, or an integer; or else undef.
fn string(bytes: Option<Vec<u8>>, integer: Option<i64>, out: &mut String) {
    let Some(bytes) = bytes.or_else(|| integer.map(|integer| integer.to_string().into_bytes())) else {
        return out.push_str("undef");
    };
    out.push('\'');
    for byte in bytes {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'+' | b'-' => out.push(byte.into()),
            _ => write!(out, "%{byte:02x}").unwrap(),
        }
    }
    out.push('\'');
}

fn referent(thing: &Value, seen: &mut Vec<Value>, out: &mut String) {
    if let Some(number) = seen.iter().position(|other| other.ptr_eq(thing)) {
        return write!(out, "={number}").unwrap();
    }
    seen.push(thing.clone());
    if let Some(class) = thing.own_class() {
        write!(out, "<{class}>").unwrap();
    }
    match thing.kind() {
        Kind::Array => {
            out.push('[');
            for (at, item) in thing.items().iter().enumerate() {
                out.push_str(if at > 0 { "," } else { "" });
                text(item, seen, out);
            }
            out.push(']');
        }
        Kind::Hash => {
            out.push('{');
            for (at, (key, value)) in thing.entries().iter().enumerate() {
                out.push_str(if at > 0 { "," } else { "" });
                let bytes = if key.is_text() {
                    key.text().as_bytes().to_vec()
                } else {
                    key.bytes().to_vec()
                };
                string(Some(bytes), None, out);
                out.push(':');
                text(value, seen, out);
            }
            out.push('}');
        }
        _ => {
            out.push('\\');
            text(thing, seen, out);
        }
    }
}

/// A thousand random values of Perl's: they read as what they are, and what we write of them Perl reads as the same.
#[test]
#[ignore = "needs Perl; .ci/run installs it and runs these"]
fn perl_freezes_and_thaws() {
    let folder = Folder::new("storable-perl");
    assert_eq!(random("make", &folder.0), "1000 made\n");
    for number in 1..=1000 {
        let path = folder.0.join(number.to_string());
        let image = std::fs::read(&path).unwrap();
        let value = Settings::new().strict(true).thaw(&image).unwrap();
        let mut ours = String::new();
        referent(&value, &mut Vec::new(), &mut ours);
        let theirs = std::fs::read_to_string(path.with_extension("txt")).unwrap();
        assert_eq!(ours, theirs, "value {number}");
        std::fs::write(path.with_extension("back"), storable::freeze(&value).unwrap()).unwrap();
    }
    assert_eq!(random("check", &folder.0), "1000 check\n");
}

/// The same values in the order of this machine, in memory (`freeze`) and in files (`store`).
#[test]
#[ignore = "needs Perl; .ci/run installs it and runs these"]
fn perl_freezes_and_stores_in_native_order() {
    let folder = Folder::new("storable-native");
    assert_eq!(random("make", &folder.0), "1000 made\n");
    for number in 1..=1000 {
        let path = folder.0.join(number.to_string());
        let value = storable::thaw(&std::fs::read(&path).unwrap()).unwrap();
        for native in ["native", "stored"] {
            let image = std::fs::read(path.with_extension(native)).unwrap();
            let native = Settings::new().strict(true).thaw(&image).unwrap();
            assert!(native == value, "value {number}");
            // The order of keys is Perl's, so items have other numbers; but as much is shared.
            assert_eq!(
                storable::freeze(&native).unwrap(),
                storable::freeze(&value).unwrap(),
                "value {number}"
            );
        }
    }
}

/// Parts of Perl's images, and images that have Perl's values inside of Rust's data.
#[test]
#[ignore = "needs Perl; .ci/run installs it and runs these"]
fn perl_reads_parts_and_values_inside_of_typed_data() {
    let folder = Folder::new("storable-parts");
    assert_eq!(random("make", &folder.0), "1000 made\n");
    for number in 1..=1000 {
        let path = folder.0.join(number.to_string());
        let image = std::fs::read(&path).unwrap();
        let document = Document::parse(&image, &Settings::new()).unwrap();
        for (index, node) in document.root().items().enumerate() {
            std::fs::write(path.with_extension(format!("{index}.part")), node.image().unwrap()).unwrap();
        }
        let value = document.root().to_value().unwrap();
        let wrapped = (1, &value, std::collections::BTreeMap::from([("x", &value)]));
        std::fs::write(path.with_extension("wrapped"), storable::to_vec(&wrapped).unwrap()).unwrap();
    }
    assert_eq!(random("parts", &folder.0), "1000 parts\n");
    assert_eq!(random("wrapped", &folder.0), "1000 wrapped\n");
}

#[test]
#[ignore = "needs Perl; .ci/run installs it and runs these"]
fn text_is_what_perl_prints() {
    let folder = Folder::new("storable-text");
    assert_eq!(perl("text.pl", &[&folder.0]), "written\n");
    let read = |name: &str| std::fs::read(folder.0.join(name)).unwrap();
    let texts = |name: &str| -> Vec<String> {
        let text = String::from_utf8(read(name)).unwrap();
        text.split('\0').map(str::to_owned).collect()
    };
    let (image, expected) = (read("scalars"), texts("text"));
    let scalars = storable::thaw(&image).unwrap();
    let document = Document::parse(&image, &Settings::new()).unwrap();
    assert_eq!(scalars.len(), Some(expected.len()));
    for ((value, node), text) in scalars.iter().zip(document.root().items()).zip(&expected) {
        assert_eq!(value.to_text().as_ref(), Some(text));
        assert!(value.target().kind() == Kind::Regexp || node.text().as_deref() == Some(text));
    }
    let latin1 = Settings::new().latin1(true);
    assert_eq!(
        latin1.from_slice::<Vec<String>>(&read("strings")).unwrap(),
        texts("characters")
    );
}

/// A thousand random values of ours: Perl reads them, writes them, and we read the same.
#[test]
#[ignore = "needs Perl; .ci/run installs it and runs these"]
fn perl_gives_back_what_serde_wrote() {
    let folder = Folder::new("storable-ours");
    let mut runner = TestRunner::deterministic();
    let records: Vec<Record> = (0..1000)
        .map(|_| record().new_tree(&mut runner).unwrap().current())
        .collect();
    for (number, record) in (1..).zip(&records) {
        let image = storable::to_vec(record).unwrap();
        std::fs::write(folder.0.join(format!("{number}.ours")), image).unwrap();
    }
    assert_eq!(random("again", &folder.0), "1000 again\n");
    for (number, record) in (1..).zip(&records) {
        let image = std::fs::read(folder.0.join(format!("{number}.again"))).unwrap();
        assert_eq!(
            &storable::from_slice::<Record>(&image).unwrap(),
            record,
            "value {number}"
        );
    }
}
