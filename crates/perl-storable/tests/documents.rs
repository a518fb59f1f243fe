//! Parsed images: looked into, read in part, and cut into images of their own.

mod records;

use perl_storable::{self as storable, Blessed, Document, Kind, Settings, Value};
use proptest::prelude::*;
use records::{Record, record};

#[test]
fn a_document_goes_to_another_thread() {
    let image = storable::to_vec(&("event", [1, 2])).unwrap();
    let document = Document::parse(&image, &Settings::new()).unwrap();
    let sum: u8 = std::thread::scope(|scope| {
        let reading = scope.spawn(|| document.root().get(1).unwrap().deserialize::<[u8; 2]>().unwrap());
        reading.join().unwrap().iter().sum()
    });
    assert_eq!(sum, 3);
    // Text is borrowed from the image.
    let text: &str = document.root().get(0).unwrap().deserialize().unwrap();
    drop(document);
    assert_eq!(text, "event");
}

#[test]
fn scalars_are_text_as_in_values() {
    let scalars = Value::array([
        42.into(),
        0.5.into(),
        true.into(),
        Value::bytes(b"caf\xe9"),
        Value::bytes("caf\u{e9}"),
        Value::text("\u{263a}"),
        Value::undef(),
        Value::array([]),
    ]);
    let image = storable::freeze(&scalars).unwrap();
    let document = Document::parse(&image, &Settings::new()).unwrap();
    for (node, value) in document.root().items().zip(scalars.iter()) {
        assert_eq!(node.text().map(|text| text.into_owned()), value.to_text());
    }
    let latin1 = Document::parse(&image, &Settings::new().latin1(true)).unwrap();
    assert_eq!(latin1.root().get(4).unwrap().text().unwrap(), "caf\u{c3}\u{a9}");
}

#[test]
fn a_key_that_comes_twice_counts_the_last_time() {
    let image = b"\x05\x0b\x03\0\0\0\x02\x08\x81\0\0\0\x01k\x08\x82\0\0\0\x01k";
    let document = Document::parse(image, &Settings::new()).unwrap();
    assert_eq!(document.root().field("k").unwrap().text().unwrap(), "2");
    assert_eq!(storable::thaw(image).unwrap().field("k").unwrap().as_i64(), Some(2));
}

/// A part that refers to what is outside of it is complete in its own image.
#[test]
fn a_part_is_an_image_of_its_own() {
    let shared = Value::hash([("x", 3.into())]).bless("Point");
    let all = Value::array([
        shared.clone(),
        Value::array([
            shared.clone(),
            shared.clone(),
            Value::hash([("n", 1.into())]).bless("Point"),
        ]),
        Value::array(["plain".into(), Value::reference(&Value::reference(&1.into()))]),
        Value::weak(&shared),
    ]);
    let image = storable::freeze(&all).unwrap();
    let document = Document::parse(&image, &Settings::new()).unwrap();
    for (node, value) in document.root().items().zip(all.iter()) {
        let part = node.image().unwrap();
        // A reference becomes an image of its target, as `nfreeze` takes it.
        let expected = value.referent().unwrap_or(value);
        assert_eq!(part, storable::freeze(&expected.deep_clone()).unwrap());
        assert_eq!(storable::thaw(&part).unwrap(), node.to_value().unwrap());
    }
    let second = document.root().get(1).unwrap().to_value().unwrap();
    assert!(second.get(0).unwrap().is_same(&second.get(1).unwrap()));
    let both: Vec<Blessed<Value>> = document.root().get(1).unwrap().deserialize().unwrap();
    assert!(both[0].value.is_same(&both[1].value) && both[2].value.class().as_deref() == Some("Point"));
}

#[test]
fn a_part_may_contain_what_contains_it() {
    let list = Value::array([7.into()]);
    let top = Value::hash([("list", list.clone())]);
    list.push(top.clone());
    let settings = Settings::new().cycles(true);
    let image = settings.freeze(&top).unwrap();
    let document = Document::parse(&image, &Settings::new()).unwrap();
    let node = document.root().field("list").unwrap();
    assert_eq!(node.get(0).unwrap().text().unwrap(), "7");
    assert!(node.get(1).unwrap().field("list").unwrap().get(0).is_some());
    assert!(node.to_value().unwrap_err().is_cyclic());
    assert!(node.deserialize::<serde_json::Value>().unwrap_err().is_cyclic());
    // The image of a part has no such limit: it is data as it was.
    let part = settings.thaw(&node.image().unwrap()).unwrap();
    assert!(part.get(1).unwrap().field("list").unwrap().is_same(&part));
    let document = Document::parse(&image, &settings).unwrap();
    let value = document.root().field("list").unwrap().to_value().unwrap();
    assert!(value.get(1).unwrap().field("list").unwrap().is_same(&value));
    for value in [part, value, top] {
        value.unlink();
    }
    // References that lead to each other only.
    let image = b"\x05\x0b\x04\x00\0\0\0\0";
    let document = Document::parse(image, &Settings::new()).unwrap();
    assert_eq!(
        (document.root().kind(), document.root().text()),
        (Kind::Reference, None)
    );
    assert!(document.root().deserialize::<u8>().unwrap_err().is_cyclic());
}

/// A chain that is flat in the image, and a thousand times deeper than its limit when it is followed.
#[test]
fn a_part_that_leads_through_all_of_the_image_is_bounded() {
    let mut chain = vec![Value::array([])];
    for link in 0..5000 {
        chain.push(Value::array([chain[link].clone()]));
    }
    // From the outside in, so that each link refers to the one before it.
    let image = storable::freeze(&Value::array(chain)).unwrap();
    let document = Document::parse(&image, &Settings::new()).unwrap();
    assert_eq!(document.root().to_value().unwrap().len(), Some(5001));
    let last = document.root().items().last().unwrap();
    assert!(last.to_value().unwrap_err().is_too_deep());
    assert!(last.image().unwrap_err().is_too_deep());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn parts_read_as_the_whole_does(records in prop::collection::vec(record(), 1..4)) {
        let image = storable::to_vec(&records).unwrap();
        let document = Document::parse(&image, &Settings::new()).unwrap();
        prop_assert_eq!(document.root().len(), Some(records.len()));
        for (node, record) in document.root().items().zip(&records) {
            prop_assert_eq!(&node.deserialize::<Record>().unwrap(), record);
            let part = node.image().unwrap();
            prop_assert_eq!(&part, &storable::to_vec(record).unwrap());
            prop_assert_eq!(&storable::from_slice::<Record>(&part).unwrap(), record);
            prop_assert_eq!(node.to_value().unwrap(), storable::to_value(record).unwrap());
        }
    }
}
