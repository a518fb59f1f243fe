//! Values as data: to and from typed data, compared, copied, taken apart, and as text.

mod records;

use perl_storable::{self as storable, Blessed, Key, Kind, Settings, Value};
use proptest::prelude::*;
use records::{Record, record};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Serialize, Deserialize)]
struct Message {
    event: String,
    params: Value,
    reply: Option<Value>,
}

fn point() -> Value {
    Value::hash([("x", 3.into()), ("y", "4".into())]).bless("Point")
}

/// Both ways, with an image between and without.
fn through<T: Serialize + for<'de> Deserialize<'de>>(data: &T) -> [T; 2] {
    let value = storable::to_value(data).unwrap();
    [
        storable::from_slice(&storable::to_vec(data).unwrap()).unwrap(),
        storable::from_value(&value).unwrap(),
    ]
}

#[test]
fn a_value_in_a_struct_keeps_class_references_and_sharing() {
    let shared = point();
    let params = Value::array([shared.clone(), Value::reference(&Value::reference(&"x".into()))]);
    let message = Message {
        event: "move".to_owned(),
        params: params.clone(),
        reply: Some(shared),
    };
    for message in through(&message) {
        let (params, reply) = (message.params, message.reply.unwrap());
        let item = params.get(0).unwrap();
        assert_eq!(
            (message.event.as_str(), item.class().as_deref()),
            ("move", Some("Point"))
        );
        // Shared between two fields of the struct.
        assert!(item.is_same(&reply));
        let twice = params.get(1).unwrap();
        assert_eq!(twice.referent().unwrap().kind(), Kind::Reference);
        assert_eq!(twice.as_text().as_deref(), Some("x"));
    }
    // Without an image between, a value is the same variable.
    let value = storable::to_value(&message).unwrap();
    assert!(value.field("params").unwrap().is_same(&params));
    // What serde writes around values does not disturb Storable's numbers of shared items.
    let nested = (
        1,
        vec![("a", 2.5)],
        params.clone(),
        "\u{263a}",
        params.clone(),
        Some(params),
    );
    let back: Value = storable::from_slice(&storable::to_vec(&nested).unwrap()).unwrap();
    assert!(back.get(2).unwrap().is_same(&back.get(4).unwrap()) && back.get(2).unwrap().is_same(&back.get(5).unwrap()));
    assert_eq!(back, storable::to_value(&nested).unwrap());
}

#[test]
fn a_value_at_the_top_is_frozen_as_it_is() {
    for value in [
        point(),
        Value::undef(),
        Value::reference(&7.into()),
        true.into(),
        Value::regexp("a", "i"),
    ] {
        let image = storable::freeze(&value).unwrap();
        assert_eq!(storable::to_vec(&value).unwrap(), image);
        let canonical = Settings::new().canonical(true);
        assert_eq!(canonical.to_vec(&value).unwrap(), image);
        assert_eq!(storable::from_slice::<Value>(&image).unwrap(), value);
    }
}

#[test]
fn a_blessed_value_has_the_class_that_is_asked_for() {
    let object = Blessed {
        class: "Other".to_owned(),
        value: point(),
    };
    for value in [
        storable::to_value(&object).unwrap(),
        storable::thaw(&storable::to_vec(&object).unwrap()).unwrap(),
    ] {
        assert_eq!(value.own_class().as_deref(), Some("Other"));
        assert_eq!(value.field("x").unwrap().as_i64(), Some(3));
        let read: Blessed<Value> = storable::from_value(&value).unwrap();
        assert_eq!((read.class.as_str(), read.value.len()), ("Other", Some(2)));
    }
    assert_eq!(object.value.class().as_deref(), Some("Point"));
    let list = vec![object; 2];
    for list in through(&list) {
        assert_eq!(list[1].class, "Other");
        assert_eq!(list[1].value.field("y").unwrap().as_text().as_deref(), Some("4"));
    }
}

#[test]
fn typed_data_is_read_from_values_as_from_images() {
    let value = Value::hash([
        ("number", Value::from("12")),
        ("text", Value::from(7)),
        ("list", Value::array([1.into(), Value::undef()])),
        ("flag", false.into()),
        ("point", point()),
    ]);
    #[derive(Deserialize, Debug, PartialEq)]
    struct Data {
        number: u8,
        text: String,
        list: (f64, Option<u8>),
        flag: bool,
        point: Blessed<BTreeMap<String, i32>>,
    }
    let data: Data = storable::from_value(&value).unwrap();
    assert_eq!(data, storable::from_slice(&storable::freeze(&value).unwrap()).unwrap());
    assert_eq!((data.number, data.text.as_str(), data.list), (12, "7", (1.0, None)));
    assert_eq!(data.point.class, "Point");
    // A `&Value` is a deserializer itself.
    assert_eq!(Data::deserialize(&value).unwrap(), data);
    assert!(storable::from_value::<Vec<u8>>(&value).is_err());
    assert!(storable::from_value::<[u8; 1]>(&Value::array([1.into(), 2.into()])).is_err());
}

#[test]
fn other_formats_have_plain_data() {
    let value = Value::array([
        point(),
        Value::bytes(b"\xff"),
        Value::text("\u{263a}"),
        Value::undef(),
        0.5.into(),
    ]);
    let json = serde_json::to_string(&value).unwrap();
    assert_eq!(json, r#"[{"x":3,"y":"4"},[255],"☺",null,0.5]"#);
    let text = r#"{"list":[1,-2,18446744073709551615,2.5,"a",true,null],"é":{}}"#;
    let value: Value = serde_json::from_str(text).unwrap();
    // True is "1" in an array, and integers beyond 63 bits are text, as everywhere in images.
    let json = r#"{"list":[1,-2,"18446744073709551615",2.5,"a","1",null],"é":{}}"#;
    assert_eq!(serde_json::to_string(&value).unwrap(), json);
    assert_eq!(
        value.field("list").unwrap().get(2).unwrap().as_text().unwrap(),
        u64::MAX.to_string()
    );
    assert_eq!(value.field("\u{e9}").unwrap().len(), Some(0));
    // Where serde buffers, a value is plain data: nothing fails, and nothing of an earlier value is left over.
    #[derive(Serialize, Deserialize)]
    #[serde(untagged)]
    enum Either {
        Number(i64),
        Value(Value),
    }
    #[derive(Serialize, Deserialize)]
    struct Flat {
        first: Value,
        #[serde(flatten)]
        rest: BTreeMap<String, Either>,
    }
    let rest = BTreeMap::from([
        ("a".to_owned(), Either::Value(point())),
        ("b".to_owned(), Either::Number(7)),
    ]);
    for flat in through(&Flat { first: point(), rest }) {
        assert_eq!(flat.first.class().as_deref(), Some("Point"));
        let Either::Value(value) = &flat.rest["a"] else {
            panic!("a hash is no number");
        };
        assert_eq!(value.field("x").unwrap().as_i64(), Some(3));
        assert!(matches!(flat.rest["b"], Either::Number(7)));
    }
}

/// Each array holds the one before it twice, so a tree of it would have a billion leaves; and a cycle has no end.
#[test]
fn sharing_and_cycles_in_values_are_bounded() {
    let mut bomb = Value::array(["x".repeat(100).into()]);
    for _ in 0..30 {
        bomb = Value::array([bomb.clone(), bomb]);
    }
    assert!(
        storable::from_value::<serde_json::Value>(&bomb)
            .unwrap_err()
            .is_too_large()
    );
    assert!(
        serde_json::to_string(&bomb)
            .unwrap_err()
            .to_string()
            .contains("max_shared")
    );
    // The same long string in many places.
    let long = Value::from("x".repeat(1_000_000));
    let list = Value::array((0..100).map(|_| Value::reference(&long)));
    assert!(storable::from_value::<Vec<String>>(&list).unwrap_err().is_too_large());
    // What is not shared costs nothing, with options in between.
    let list = Value::array((0..100).map(|_| Value::from("x".repeat(200_000))));
    assert_eq!(
        storable::from_value::<Option<Vec<Option<String>>>>(&list)
            .unwrap()
            .unwrap()
            .len(),
        100
    );

    let cycle = Value::array([]);
    cycle.push(cycle.clone());
    assert!(
        storable::from_value::<serde_json::Value>(&cycle)
            .unwrap_err()
            .is_too_deep()
    );
    assert!(serde_json::to_string(&cycle).is_err());
    cycle.unlink();
    let circle = Value::array([Value::undef()]);
    let reference = Value::reference(&circle);
    assert_eq!(
        storable::from_value::<Vec<Option<u8>>>(&Value::reference(&reference)).unwrap(),
        [None]
    );
}

#[test]
fn nesting_is_bounded_alike_in_images_and_values() {
    let nested = vec![vec![Blessed {
        class: "A".to_owned(),
        value: [1],
    }]];
    for depth in 0..8 {
        let settings = Settings::new().max_depth(depth);
        let (image, value) = (settings.to_vec(&nested), settings.to_value(&nested));
        assert_eq!(image.is_ok(), value.is_ok(), "{depth}");
        assert!(image.is_ok() || value.unwrap_err().is_too_deep());
    }
}

#[test]
fn equality_is_that_of_the_data() {
    let equal = |a: Value, b: Value| {
        assert_eq!(a, b);
        assert_eq!(b, a);
    };
    let differ = |a: Value, b: Value| {
        assert_ne!(a, b);
        assert_ne!(b, a);
    };
    equal(42.into(), "42".into());
    equal(0.5.into(), "0.5".into());
    equal(3e9.into(), 3_000_000_000_i64.into());
    equal(true.into(), "1".into());
    equal(Value::bytes(b"\xe9"), Value::text("\u{e9}"));
    equal(Value::undef(), Value::hole());
    equal(Value::reference(&1.into()), 1.into());
    equal(point(), Value::reference(&point()));
    equal(f64::NAN.into(), f64::NAN.into());
    differ(Value::undef(), "".into());
    differ(Value::array([]), Value::hash::<Key>([]));
    differ(Value::array([1.into()]), Value::array([Value::reference(&1.into())]));
    differ(Value::array([1.into()]), Value::array([1.into(), 1.into()]));
    differ(point(), point().bless("Other"));
    differ(Value::hash([("a", 1.into())]), Value::hash([("b", 1.into())]));
    differ(Value::regexp("a", "i"), Value::regexp("a", ""));
    // Shared or copied is the same data.
    let shared = point();
    equal(Value::array([shared.clone(), shared]), Value::array([point(), point()]));
    // Cycles of different lengths that unfold to the same, and one that does not.
    let ring = |length: usize, last: i64| {
        let first = Value::array([1.into()]);
        let mut end = first.clone();
        for number in 1..length {
            let next = Value::array([if number + 1 == length { last } else { 1 }.into()]);
            end.push(next.clone());
            end = next;
        }
        end.push(first.clone());
        first
    };
    let (a, b, c) = (ring(2, 1), ring(3, 1), ring(3, 2));
    assert!(a == b && a != c && b != c);
    for ring in [a, b, c] {
        ring.unlink();
    }
    // As deep as no stack is.
    let deep = || (0..200_000).fold(Value::undef(), |inner, _| Value::array([inner]));
    assert!(deep() == deep());
    assert!(deep() == deep().deep_clone());
}

#[test]
fn a_deep_copy_has_the_same_shape_and_nothing_in_common() {
    let shared = point();
    let graph = Value::hash([("a", shared.clone()), ("b", shared.clone()), ("self", Value::undef())]).lock();
    graph.insert("self", graph.clone());
    graph.insert("weak", Value::weak(&shared));
    let outside = point();
    graph.insert("outside", Value::weak(&outside));
    let copy = graph.deep_clone();
    assert!(!copy.is_same(&graph) && copy.is_locked());
    assert!(copy.field("self").unwrap().is_same(&copy));
    let a = copy.field("a").unwrap();
    assert!(a.is_same(&copy.field("b").unwrap()) && a.is_same(&copy.field("weak").unwrap()));
    assert!(!a.is_same(&shared) && a == shared && a.class().as_deref() == Some("Point"));
    // Only the original's surroundings keep this one.
    assert!(copy.field("outside").unwrap().is_undef());
    a.insert("x", 9.into());
    assert_eq!(shared.field("x").unwrap().as_i64(), Some(3));
    assert!(copy != graph);
    graph.unlink();
    assert_eq!(copy.len(), Some(5));
    copy.unlink();
}

#[test]
fn elements_and_entries_can_be_moved_out() {
    let list = Value::array(["a".into(), Value::array([1.into()])]);
    let kept = list.clone();
    assert_eq!(list.into_items().len(), 2);
    assert_eq!(kept.len(), Some(2));
    // Through a reference, as it stands in another array.
    let items = Value::array([kept]).into_items().remove(0).into_items();
    assert_eq!(items[1].get(0).unwrap().as_i64(), Some(1));
    let entries = Value::reference(&point()).into_entries();
    assert_eq!(
        entries.iter().map(|(key, _)| key.text()).collect::<Vec<_>>(),
        ["x", "y"]
    );
    assert!(Value::from(1).into_items().is_empty() && Value::from(1).into_entries().is_empty());
    let growing = Value::array([1.into()]);
    let visited = growing.iter().inspect(|item| {
        if item.as_i64() < Some(5) {
            growing.push((item.as_i64().unwrap() + 1).into());
        }
    });
    assert_eq!(visited.count(), 5);
}

#[test]
fn latin1_is_a_setting_of_typed_text() {
    let image = storable::freeze(&Value::hash([(&b"caf\xe9"[..], Value::bytes(b"\xc3\xa9\xff"))])).unwrap();
    type Map<K, V> = BTreeMap<K, V>;
    assert!(storable::from_slice::<Map<String, serde::de::IgnoredAny>>(&image).is_err());
    let latin1 = Settings::new().latin1(true);
    let map: Map<String, String> = latin1.from_slice(&image).unwrap();
    // Every byte is a character, also where they happen to be UTF-8.
    assert_eq!(map["caf\u{e9}"], "\u{c3}\u{a9}\u{ff}");
    assert_eq!(
        latin1
            .from_value::<Map<String, String>>(&storable::thaw(&image).unwrap())
            .unwrap(),
        map
    );
    assert_eq!(
        latin1.from_slice::<serde_json::Value>(&image).unwrap()["caf\u{e9}"],
        "\u{c3}\u{a9}\u{ff}"
    );
    // Flagged text is what it is, and bytes are bytes.
    let text = storable::to_vec("\u{c3}\u{a9}\u{263a}").unwrap();
    assert_eq!(latin1.from_slice::<String>(&text).unwrap(), "\u{c3}\u{a9}\u{263a}");
    let bytes: Value = latin1
        .from_slice::<Map<String, Value>>(&image)
        .unwrap()
        .remove("caf\u{e9}")
        .unwrap();
    assert_eq!(bytes.as_bytes().unwrap(), b"\xc3\xa9\xff");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// What is made of typed data directly is what an image of it holds, and reads as the same.
    #[test]
    fn values_of_typed_data_are_those_of_its_image(record in record()) {
        let value = storable::to_value(&record).unwrap();
        let canonical = Settings::new().canonical(true);
        prop_assert_eq!(storable::freeze(&value).unwrap(), canonical.to_vec(&record).unwrap());
        prop_assert_eq!(&storable::thaw(&storable::to_vec(&record).unwrap()).unwrap(), &value);
        prop_assert_eq!(&storable::from_value::<Record>(&value).unwrap(), &record);
        let copy = value.deep_clone();
        prop_assert_eq!(storable::freeze(&copy).unwrap(), storable::freeze(&value).unwrap());
        prop_assert!(copy == value);
    }
}
