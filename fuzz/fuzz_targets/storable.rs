//! Any bytes as a Storable image, read in every way: an error or a value, and what was read can be written and read
//! again as the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use perl_storable::{self as storable, Document, Settings, Value};
use std::collections::BTreeMap;

fuzz_target!(|image: &[u8]| {
    if let Ok(value) = storable::thaw(image) {
        again(&value, &Settings::new());
    }
    let cycles = Settings::new().cycles(true);
    if let Ok(value) = cycles.thaw(image) {
        again(&value, &cycles);
        value.unlink();
    }
    if let Ok(document) = Document::parse(image, &Settings::new()) {
        parts(&document, has_weak_references(image));
    }
    if let Ok(data) = storable::from_slice::<BTreeMap<String, Vec<Option<f64>>>>(image) {
        let canonical = Settings::new().canonical(true);
        let written = canonical.to_vec(&data).expect("what was read can be written");
        let data: BTreeMap<String, Vec<Option<f64>>> = canonical.from_slice(&written).expect("and read");
        assert_eq!(canonical.to_vec(&data).expect("and written"), written);
    }
    let _ = storable::from_slice::<storable::Blessed<(bool, char, u64)>>(image);
    let _ = storable::from_slice::<Result<Box<(i8, String)>, f32>>(image);
    let _ = storable::from_slice::<serde::de::IgnoredAny>(image);
});

/// Each part is the same as a value, as an image of its own, and as what that reads as.
fn parts(document: &Document<'_>, has_weak_references: bool) {
    let root = document.root();
    let _ = (format!("{root:?}"), root.class(), root.deserialize::<Vec<Value>>());
    for node in root.items().chain(root.entries().map(|(_, value)| value)).take(64) {
        let _ = (node.text(), node.kind(), node.deserialize::<serde::de::IgnoredAny>());
        let Ok(value) = node.to_value() else { continue };
        assert!(value == value.deep_clone());
        // Sharing can make it deeper than the image was. The target of a weak reference is gone from a part that does not hold it.
        if let Ok(again) = node.image().and_then(|part| storable::thaw(&part)) {
            assert!(again == value || has_weak_references);
        }
        let typed: Result<serde::de::IgnoredAny, _> = storable::from_value(&value);
        if typed.is_ok() {
            let json: Result<serde_json::Value, _> = storable::from_value(&value);
            let _ = json.map(|json| storable::to_value(&json).expect("what was read can be a value"));
        }
    }
}

fn again(value: &Value, settings: &Settings) {
    // Sharing can make it deeper than the image was.
    let Ok(written) = settings.freeze(value) else {
        return;
    };
    let value = settings.thaw(&written).expect("what was written can be read");
    // The target of a weak reference goes when nothing else holds it.
    if !has_weak_references(&written) {
        assert_eq!(settings.freeze(&value).expect("and written again"), written);
    }
    if settings.thaw(&written[..written.len() - 1]).is_ok() {
        panic!("a part of an image is no image");
    }
    value.unlink();
}

/// Whether there may be one: these bytes also stand for other things.
fn has_weak_references(image: &[u8]) -> bool {
    image.iter().any(|byte| matches!(byte, 0x1b | 0x1c))
}
