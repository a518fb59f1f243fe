//! Images that Perl's Storable 3.26 made (`nfreeze`, canonical), one by one: what they read as, and that writing the same
//! gives the same bytes. Law 34 of the I/O layer.

use perl_storable::{self as storable, Key, Kind, Settings, Value};

/// A hexadecimal image; `61*255` is a byte so many times.
fn hex(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for word in text.split_whitespace() {
        let (digits, times) = word.split_once('*').unwrap_or((word, "1"));
        let group: Vec<u8> = (0..digits.len() / 2)
            .map(|at| u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).unwrap())
            .collect();
        bytes.extend(group.repeat(times.parse().unwrap()));
    }
    bytes
}

/// Every image of the table that must be read, in its order.
const IMAGES: &[&str] = &[
    "05 0b 0e",
    "05 0b 05",
    "05 0b 08 80",
    "05 0b 08 81",
    "05 0b 08 7f",
    "05 0b 08 ff",
    "05 0b 08 00",
    "05 0b 09 00 00 00 80",
    "05 0b 09 ff ff ff 7f",
    "05 0b 09 7f ff ff ff",
    "05 0b 09 80 00 00 00",
    "05 0b 0a 0a 32 31 34 37 34 38 33 36 34 38",
    "05 0b 0a 14 31 38 34 34 36 37 34 34 30 37 33 37 30 39 35 35 31 36 31 35",
    "05 0b 0a 03 31 2e 35",
    "05 0b 0a 03 30 2e 31",
    "05 0b 0a 06 31 65 2b 31 30 30",
    "05 0b 0a 03 49 6e 66",
    "05 0b 0a 11 30 2e 33 33 33 33 33 33 33 33 33 33 33 33 33 33 33",
    "05 0b 0a 00",
    "05 0b 0a 03 61 62 63",
    "05 0b 0a 02 31 32",
    "05 0b 0a 01 e9",
    "05 0b 17 05 c3 a9 e2 98 ba",
    "05 0b 0a ff 61*255",
    "05 0b 01 00 00 01 00 61*256",
    "05 0b 18 00 00 01 2c e298ba*100",
    "05 0b 02 00 00 00 00",
    "05 0b 03 00 00 00 00",
    "05 0b 02 00 00 00 03 08 81 0a 01 61 05",
    "05 0b 02 00 00 00 03 0e 0e 08 81",
    "05 0b 03 00 00 00 01 08 81 00 00 00 01 61",
    "05 0b 03 00 00 00 01 05 00 00 00 01 75",
    "05 0b 03 00 00 00 02 08 81 00 00 00 01 61 04 02 00 00 00 01 08 82 00 00 00 01 62",
    "05 0b 19 00 00 00 00 01 08 81 01 00 00 00 03 e2 98 ba",
    "05 0b 19 00 00 00 00 01 08 81 02 00 00 00 01 e9",
    "05 0b 19 01 00 00 00 01 08 81 04 00 00 00 01 61",
    "05 0b 02 00 00 00 02 04 02 00 00 00 01 08 81 04 03 00 00 00 00",
    "05 0b 04 0a 01 78",
    "05 0b 02 00 00 00 02 04 02 00 00 00 01 08 81 04 00 00 00 00 02",
    "05 0b 02 00 00 00 01 04 00 00 00 00 00",
    "05 0b 02 00 00 00 02 0a 01 78 04 00 00 00 00 01",
    "05 0b 11 03 46 6f 6f 02 00 00 00 01 08 81",
    "05 0b 11 04 41 3a 3a 42 03 00 00 00 01 0a 01 76 00 00 00 01 6b",
    "05 0b 02 00 00 00 04 04 11 03 46 6f 6f 02 00 00 00 00 04 11 03 42 61 72 02 00 00 00 00 \
     04 12 00 02 00 00 00 00 04 12 01 02 00 00 00 00",
    "05 0b 02 00 00 00 02 04 11 03 46 6f 6f 02 00 00 00 00 04 00 00 00 00 02",
    "05 0b 11 80 00 00 01 2c 41*300 02 00 00 00 00",
    "05 0b 02 00 00 00 01 14 11 02 4f 76 02 00 00 00 00",
    "05 0b 0f",
    "05 0b 10",
    "05 0b 02 00 00 00 02 0a 01 31 0a 00",
    "05 0b 11 06 52 65 67 65 78 70 20 00 02 61 62 01 69",
    "05 0b 1d 06 76 31 2e 32 2e 33 0a 03 01 02 03",
    "05 0b 02 00 00 00 02 04 02 00 00 00 01 08 81 1b 00 00 00 00 02",
];

/// What must be refused: an object with a hook.
const REFUSED: &[&str] = &["05 0b 13 42 02 00 00 00 01 08 87 82 02 48 6b 06 63 6f 6f 6b 65 64 01 00 00 00 01"];

/// Images in native order (`freeze`), of the machine that made the others.
const NATIVE: &[&str] = &[
    "04 0b 08 31 32 33 34 35 36 37 38 04 08 08 08 02 01 00 00 00 08 81",
    "04 0b 08 31 32 33 34 35 36 37 38 04 08 08 08 03 01 00 00 00 07 00 00 00 00 00 00 f8 3f 01 00 00 00 61",
    "04 0b 08 31 32 33 34 35 36 37 38 04 08 08 08 02 02 00 00 00 06 00 5e d0 b2 00 00 00 00 09 00 00 00 80",
];

fn lenient() -> Settings {
    Settings::new().cycles(true)
}

/// Reads the image, writes it again, and gives what was read. It must be one of the table.
fn read(image: &str) -> Value {
    assert!(IMAGES.contains(&image), "{image} is not in the table");
    let bytes = hex(image);
    let value = lenient().strict(true).thaw(&bytes).unwrap();
    assert_eq!(lenient().freeze(&value).unwrap(), bytes, "{image}");
    value
}

/// Writing the value gives the image.
fn written(value: &Value, image: &str) -> Value {
    assert_eq!(storable::freeze(value).unwrap(), hex(image), "{image}");
    read(image)
}

#[test]
fn each_image_is_read_and_written_again() {
    for image in IMAGES {
        read(image).unlink();
    }
}

#[test]
fn v1_undef() {
    assert!(written(&Value::hole(), "05 0b 0e").is_undef());
    assert!(written(&Value::undef(), "05 0b 05").is_undef());
    assert_eq!(storable::to_vec(&()).unwrap(), hex("05 0b 05"));
    assert_eq!(storable::from_slice::<Option<u8>>(&hex("05 0b 0e")).unwrap(), None);
}

#[test]
fn v2_to_v5_integers() {
    for (integer, image) in [
        (0_i64, "05 0b 08 80"),
        (1, "05 0b 08 81"),
        (-1, "05 0b 08 7f"),
        (127, "05 0b 08 ff"),
        (-128, "05 0b 08 00"),
        (128, "05 0b 09 00 00 00 80"),
        (-129, "05 0b 09 ff ff ff 7f"),
        (2_147_483_647, "05 0b 09 7f ff ff ff"),
        (-2_147_483_648, "05 0b 09 80 00 00 00"),
        (2_147_483_648, "05 0b 0a 0a 32 31 34 37 34 38 33 36 34 38"),
    ] {
        assert_eq!(written(&integer.into(), image).as_i64(), Some(integer));
        assert_eq!(storable::to_vec(&integer).unwrap(), hex(image));
        assert_eq!(storable::from_slice::<i64>(&hex(image)).unwrap(), integer);
    }
    let image = "05 0b 0a 14 31 38 34 34 36 37 34 34 30 37 33 37 30 39 35 35 31 36 31 35";
    assert_eq!(
        written(&u64::MAX.into(), image).as_text().unwrap(),
        u64::MAX.to_string()
    );
    assert_eq!(storable::to_vec(&u64::MAX).unwrap(), hex(image));
    assert_eq!(storable::from_slice::<u64>(&hex(image)).unwrap(), u64::MAX);
}

#[test]
fn v6_floats() {
    for (float, image) in [
        (1.5, "05 0b 0a 03 31 2e 35"),
        (0.1, "05 0b 0a 03 30 2e 31"),
        (1e100, "05 0b 0a 06 31 65 2b 31 30 30"),
        (f64::INFINITY, "05 0b 0a 03 49 6e 66"),
    ] {
        assert_eq!(written(&float.into(), image).as_f64(), Some(float));
        assert_eq!(storable::to_vec(&float).unwrap(), hex(image));
        assert_eq!(storable::from_slice::<f64>(&hex(image)).unwrap(), float);
    }
}

/// Perl writes 15 digits and loses the rest; we write as many as it takes.
#[test]
fn v7_a_third() {
    let perl = "05 0b 0a 11 30 2e 33 33 33 33 33 33 33 33 33 33 33 33 33 33 33";
    assert_eq!(read(perl).as_f64(), Some(0.333333333333333));
    let ours = storable::to_vec(&(1.0 / 3.0)).unwrap();
    assert_eq!(ours, b"\x05\x0b\x0a\x120.3333333333333333");
    assert_eq!(storable::from_slice::<f64>(&ours).unwrap(), 1.0 / 3.0);
    assert_eq!(storable::to_vec(&3.0).unwrap(), hex("05 0b 08 83"));
    assert_eq!(storable::to_vec(&-0.0).unwrap(), hex("05 0b 08 80"));
}

#[test]
fn v8_v9_strings() {
    for (bytes, image) in [
        (&b""[..], "05 0b 0a 00"),
        (b"abc", "05 0b 0a 03 61 62 63"),
        (b"12", "05 0b 0a 02 31 32"),
        (b"\xe9", "05 0b 0a 01 e9"),
    ] {
        let value = written(&Value::bytes(bytes), image);
        // What looks like a number stays a string.
        assert_eq!((value.kind(), value.as_bytes().unwrap()), (Kind::Bytes, bytes.to_vec()));
    }
    let image = "05 0b 17 05 c3 a9 e2 98 ba";
    let value = written(&"\u{e9}\u{263a}".into(), image);
    assert_eq!(value.as_text().unwrap(), "\u{e9}\u{263a}");
    assert_eq!(storable::to_vec("\u{e9}\u{263a}").unwrap(), hex(image));
    assert_eq!(storable::from_slice::<String>(&hex(image)).unwrap(), "\u{e9}\u{263a}");
    assert!(storable::from_slice::<String>(&hex("05 0b 0a 01 e9")).is_err());
}

#[test]
fn v10_long_strings() {
    for (text, image) in [
        ("a".repeat(255), "05 0b 0a ff 61*255"),
        ("a".repeat(256), "05 0b 01 00 00 01 00 61*256"),
        ("\u{263a}".repeat(100), "05 0b 18 00 00 01 2c e298ba*100"),
    ] {
        assert_eq!(written(&text.clone().into(), image).as_text().unwrap(), text);
        assert_eq!(storable::to_vec(&text).unwrap(), hex(image));
    }
}

#[test]
fn v11_to_v13_arrays() {
    assert!(written(&Value::array([]), "05 0b 02 00 00 00 00").is_empty());
    assert!(written(&Value::hash::<Key>([]), "05 0b 03 00 00 00 00").is_empty());
    let image = "05 0b 02 00 00 00 03 08 81 0a 01 61 05";
    written(&Value::array([1.into(), "a".into(), Value::undef()]), image);
    assert_eq!(storable::to_vec(&(1, "a", ())).unwrap(), hex(image));
    let image = "05 0b 02 00 00 00 03 0e 0e 08 81";
    written(&Value::array([Value::hole(), Value::hole(), 1.into()]), image);
    let holes: Vec<Option<u8>> = storable::from_slice(&hex(image)).unwrap();
    assert_eq!(holes, [None, None, Some(1)]);
}

#[test]
fn v14_v15_hashes() {
    written(
        &Value::hash([("a", 1.into())]),
        "05 0b 03 00 00 00 01 08 81 00 00 00 01 61",
    );
    written(
        &Value::hash([("u", Value::undef())]),
        "05 0b 03 00 00 00 01 05 00 00 00 01 75",
    );
    let image = "05 0b 03 00 00 00 02 08 81 00 00 00 01 61 04 02 00 00 00 01 08 82 00 00 00 01 62";
    let both = Value::hash([("b", Value::array([2.into()])), ("a", 1.into())]);
    assert_eq!(
        written(&both, image).field("b").unwrap().get(0).unwrap().as_i64(),
        Some(2)
    );
}

#[test]
fn v16_to_v18_flags_of_hashes() {
    let image = "05 0b 19 00 00 00 00 01 08 81 01 00 00 00 03 e2 98 ba";
    let smile = Value::hash([("\u{263a}", 1.into())]);
    assert_eq!(written(&smile, image).entries()[0].0.text(), "\u{263a}");
    let map = std::collections::BTreeMap::from([("\u{263a}", 1)]);
    assert_eq!(storable::to_vec(&map).unwrap(), hex(image));

    let image = "05 0b 19 00 00 00 00 01 08 81 02 00 00 00 01 e9";
    let value = written(&Value::hash([("\u{e9}", 1.into())]), image);
    assert_eq!(value.field("\u{e9}").unwrap().as_i64(), Some(1));
    assert_eq!(value.entries()[0].0, Key::from(&b"\xe9"[..]));
    let map = std::collections::BTreeMap::from([("\u{e9}".to_owned(), 1)]);
    assert_eq!(storable::to_vec(&map).unwrap(), hex(image));
    let back: std::collections::BTreeMap<String, i32> = storable::from_slice(&hex(image)).unwrap();
    assert_eq!(back, map);

    let image = "05 0b 19 01 00 00 00 01 08 81 04 00 00 00 01 61";
    assert!(written(&Value::hash([("a", 1.into())]).lock(), image).is_locked());
}

#[test]
fn v19_v20_nesting() {
    let image = "05 0b 02 00 00 00 02 04 02 00 00 00 01 08 81 04 03 00 00 00 00";
    let empty = Value::hash::<Key>([]);
    written(&Value::array([Value::array([1.into()]), empty]), image);
    let pair = (vec![1], std::collections::BTreeMap::<String, u8>::new());
    assert_eq!(storable::to_vec(&pair).unwrap(), hex(image));
    let value = written(&Value::reference(&"x".into()), "05 0b 04 0a 01 78");
    assert_eq!(value.kind(), Kind::Reference);
    assert_eq!(storable::from_slice::<String>(&hex("05 0b 04 0a 01 78")).unwrap(), "x");
}

#[test]
fn v21_to_v23_sharing() {
    let shared = Value::array([1.into()]);
    let image = "05 0b 02 00 00 00 02 04 02 00 00 00 01 08 81 04 00 00 00 00 02";
    let value = written(&Value::array([shared.clone(), shared]), image);
    assert!(value.get(0).unwrap().is_same(&value.get(1).unwrap()));
    let twice: Vec<Vec<u8>> = storable::from_slice(&hex(image)).unwrap();
    assert_eq!(twice, [[1], [1]]);

    let image = "05 0b 02 00 00 00 01 04 00 00 00 00 00";
    let own = Value::array([]);
    own.push(own.clone());
    assert!(written(&own, image).get(0).unwrap().len() == Some(1));
    own.unlink();
    assert!(storable::thaw(&hex(image)).unwrap_err().is_cyclic());
    #[derive(serde::Deserialize, Debug)]
    struct Nested(#[expect(dead_code)] Vec<Nested>);
    assert!(storable::from_slice::<Nested>(&hex(image)).unwrap_err().is_cyclic());

    let element = Value::from("x");
    let image = "05 0b 02 00 00 00 02 0a 01 78 04 00 00 00 00 01";
    let value = written(&Value::array([element.clone(), Value::reference(&element)]), image);
    assert!(value.get(1).unwrap().is_same(&value.get(0).unwrap()));
}

#[test]
fn v24_to_v28_classes() {
    let object = Value::array([1.into()]).bless("Foo");
    let value = written(&object, "05 0b 11 03 46 6f 6f 02 00 00 00 01 08 81");
    assert_eq!(value.class().unwrap(), "Foo");
    let object = Value::hash([("k", "v".into())]).bless("A::B");
    written(
        &object,
        "05 0b 11 04 41 3a 3a 42 03 00 00 00 01 0a 01 76 00 00 00 01 6b",
    );
    let objects = ["Foo", "Bar", "Foo", "Bar"].map(|class| Value::array([]).bless(class));
    written(
        &Value::array(objects),
        "05 0b 02 00 00 00 04 04 11 03 46 6f 6f 02 00 00 00 00 04 11 03 42 61 72 02 00 00 00 00 \
     04 12 00 02 00 00 00 00 04 12 01 02 00 00 00 00",
    );
    let object = Value::array([]).bless("Foo");
    let image = "05 0b 02 00 00 00 02 04 11 03 46 6f 6f 02 00 00 00 00 04 00 00 00 00 02";
    let value = written(&Value::array([object.clone(), object]), image);
    assert_eq!(value.get(1).unwrap().class().unwrap(), "Foo");
    let long = Value::array([]).bless("A".repeat(300));
    written(&long, "05 0b 11 80 00 00 01 2c 41*300 02 00 00 00 00");
}

#[test]
fn blessed_by_serde() {
    use storable::Blessed;
    let thing = |class: &str| Blessed {
        class: class.to_owned(),
        value: Vec::<u8>::new(),
    };
    let things = ["Foo", "Bar", "Foo", "Bar"].map(thing);
    let image = IMAGES.iter().find(|image| image.contains("12 01")).unwrap();
    assert_eq!(storable::to_vec(&things).unwrap(), hex(image));
    assert_eq!(
        storable::from_slice::<[Blessed<Vec<u8>>; 4]>(&hex(image)).unwrap(),
        things
    );
    let shared = "05 0b 02 00 00 00 02 04 11 03 46 6f 6f 02 00 00 00 00 04 00 00 00 00 02";
    let both: Vec<Blessed<Vec<u8>>> = storable::from_slice(&hex(shared)).unwrap();
    assert_eq!(both, [thing("Foo"), thing("Foo")]);
    assert!(storable::from_slice::<Blessed<Vec<u8>>>(&hex("05 0b 02 00 00 00 00")).is_err());
}

#[test]
fn v29_to_v32_what_only_perl_has() {
    let object = Value::array([]).bless("Ov");
    written(
        &Value::array([Value::overloaded(&object)]),
        "05 0b 02 00 00 00 01 14 11 02 4f 76 02 00 00 00 00",
    );
    assert!(written(&true.into(), "05 0b 0f").is_true());
    assert!(!written(&false.into(), "05 0b 10").is_true());
    let image = "05 0b 02 00 00 00 02 0a 01 31 0a 00";
    written(&Value::array([true.into(), false.into()]), image);
    assert_eq!(storable::to_vec(&(true, false)).unwrap(), hex(image));
    assert_eq!(
        storable::from_slice::<(bool, bool)>(&hex(image)).unwrap(),
        (true, false)
    );
    let image = "05 0b 11 06 52 65 67 65 78 70 20 00 02 61 62 01 69";
    assert_eq!(written(&Value::regexp("ab", "i"), image).kind(), Kind::Regexp);
    let image = "05 0b 1d 06 76 31 2e 32 2e 33 0a 03 01 02 03";
    assert_eq!(
        written(&Value::version("v1.2.3", [1, 2, 3]), image).as_bytes().unwrap(),
        [1, 2, 3]
    );
    let strong = Value::array([1.into()]);
    let image = "05 0b 02 00 00 00 02 04 02 00 00 00 01 08 81 1b 00 00 00 00 02";
    let value = written(&Value::array([strong.clone(), Value::weak(&strong)]), image);
    assert!(value.get(1).unwrap().is_same(&value.get(0).unwrap()));
}

/// Codes that no vector has: the immortal undef as an element, a weak reference to what is overloaded, a long version
/// string.
#[test]
fn codes_beyond_the_vectors_are_read_and_written_again() {
    for image in [
        "05 0b 02 00 00 00 02 1f 08 81",
        "05 0b 02 00 00 00 02 14 11 02 4f 76 02 00 00 00 00 1c 00 00 00 00 02",
        "05 0b 1e 00 00 01 2c 31*300 0a 01 61",
    ] {
        let value = storable::thaw(&hex(image)).unwrap();
        assert_eq!(storable::freeze(&value).unwrap(), hex(image), "{image}");
    }
    let undef = storable::thaw(&hex("05 0b 02 00 00 00 01 1f")).unwrap();
    assert!(undef.get(0).unwrap().is_undef());
}

#[test]
fn v33_what_is_refused_says_why() {
    let errors = REFUSED.iter().map(|image| storable::thaw(&hex(image)).unwrap_err());
    let errors: Vec<String> = errors
        .inspect(|error| assert!(error.is_unsupported()))
        .map(|error| error.to_string())
        .collect();
    assert!(errors[0].contains("hook"), "{errors:?}");
    for item in [0x0b, 0x0c, 0x0d, 0x13, 0x15, 0x16, 0x1a, 0x21, 0x24, 0xff] {
        let error = storable::thaw(&[0x05, 0x0b, item, 0, 0, 0, 0, 0]).unwrap_err();
        assert!(error.is_unsupported() && error.offset() == Some(2), "{error}");
    }
}

#[test]
fn native_images_are_read() {
    assert_eq!(storable::thaw(&hex(NATIVE[0])).unwrap(), Value::array([1.into()]));
    let value = storable::thaw(&hex(NATIVE[1])).unwrap();
    assert_eq!(value.field("a").unwrap().kind(), Kind::Float);
    assert_eq!(
        storable::from_slice::<std::collections::BTreeMap<String, f32>>(&hex(NATIVE[1])).unwrap()["a"],
        1.5
    );
    assert_eq!(
        storable::from_slice::<[i64; 2]>(&hex(NATIVE[2])).unwrap(),
        [3_000_000_000, 128]
    );
    // What is written is portable.
    assert_eq!(
        storable::freeze(&value).unwrap(),
        hex("05 0b 03 00 00 00 01 0a 03 31 2e 35 00 00 00 01 61")
    );
    // Big-endian, with integers of 32 bits, and a string longer than 255 bytes.
    let image = hex(
        "04 0b 04 34 33 32 31 04 04 04 08 02 00 00 00 03 06 ff ff ff fe 01 00 00 01 00 61*256 07 3f f8 00 00 00 00 00 00",
    );
    let (integer, text, float): (i32, String, f64) = storable::from_slice(&image).unwrap();
    assert_eq!((integer, text, float), (-2, "a".repeat(256), 1.5));
    // Other machines than these, and numbers of theirs where there can be none.
    for (image, what) in [
        ("04 0b 08 32 31 34 33 36 35 38 37 04 08 08 08 05", "byte order"),
        ("04 0b 08 31 32 33 34 35 36 37 38 08 08 08 08 05", "8 bytes"),
        (
            "04 0b 08 31 32 33 34 35 36 37 38 04 08 08 10 07 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00",
            "16 bytes",
        ),
    ] {
        let error = storable::thaw(&hex(image)).unwrap_err();
        assert!(error.is_unsupported() && error.to_string().contains(what), "{error}");
    }
    for item in ["06 00 00 00 00 00 00 00 00", "07 00 00 00 00 00 00 00 00"] {
        assert!(
            storable::thaw(&hex(&format!("05 0b {item}")))
                .unwrap_err()
                .to_string()
                .contains("native")
        );
    }
}

#[test]
fn headers() {
    // A file's magic, a higher minor version, and what newer Perls call true and false.
    assert!(storable::thaw(b"pst0\x05\x0b\x05").unwrap().is_undef());
    assert!(storable::thaw(b"\x05\x0c\x22").unwrap().is_true());
    assert!(!storable::from_slice::<bool>(b"\x05\x0c\x23").unwrap());
    assert!(storable::thaw(b"\x07\x0b\x05").unwrap_err().is_unsupported());
    // Perl ignores what follows the image; who wants to know can.
    assert!(storable::thaw(b"\x05\x0b\x05rest").is_ok());
    assert_eq!(
        Settings::new()
            .strict(true)
            .thaw(b"\x05\x0b\x05rest")
            .unwrap_err()
            .offset(),
        Some(3)
    );
}

/// Any image gives an error or a value, in every way to read it; and what was read can be written.
fn reads_or_refuses(bytes: &[u8]) {
    if let Ok(value) = storable::thaw(bytes) {
        let again = storable::freeze(&value).ok();
        if let Some(again) = again {
            let value = storable::thaw(&again).unwrap();
            assert_eq!(storable::freeze(&value).unwrap(), again);
        }
    }
    if let Ok(value) = lenient().thaw(bytes) {
        value.unlink();
    }
    let _ = storable::from_slice::<serde_json::Value>(bytes);
    let _ = storable::from_slice::<Vec<std::collections::BTreeMap<String, Option<f64>>>>(bytes);
    let _ = storable::from_slice::<storable::Blessed<serde::de::IgnoredAny>>(bytes);
    let _ = storable::from_slice::<Vec<Value>>(bytes);
    if let Ok(document) = storable::Document::parse(bytes, &Settings::new()) {
        let root = document.root();
        let _ = (root.text(), root.class(), root.field("a"), format!("{document:?}"));
        for node in root.items().chain(root.entries().map(|(_, value)| value)) {
            if let (Ok(image), Ok(value)) = (node.image(), node.to_value()) {
                let again = storable::thaw(&image);
                assert!(again.is_err() || again.unwrap() == value, "{bytes:x?}");
            }
        }
    }
}

#[test]
fn every_truncation_is_an_error_and_no_corruption_panics() {
    for image in IMAGES.iter().chain(REFUSED).chain(NATIVE).map(|image| hex(image)) {
        for length in 0..image.len() {
            let error = storable::thaw(&image[..length]).unwrap_err();
            assert!(
                error.is_truncated() || error.is_unsupported(),
                "{length} of {image:x?}: {error}"
            );
            reads_or_refuses(&image[..length]);
        }
        // Each byte as any other one; of long runs of the same byte a few will do.
        for at in (0..image.len()).filter(|at| *at < 40 || at % 64 == 0) {
            for byte in 0..=255 {
                let mut corrupt = image.clone();
                corrupt[at] = byte;
                reads_or_refuses(&corrupt);
            }
        }
    }
}

#[test]
fn counts_that_lie_reserve_nothing() {
    for item in [
        "02 ff ff ff ff",
        "03 ff ff ff ff",
        "19 00 ff ff ff ff",
        "01 ff ff ff ff",
        "18 7f ff ff ff",
    ] {
        let error = storable::thaw(&hex(&format!("05 0b {item} 05 05"))).unwrap_err();
        assert!(error.is_truncated(), "{item}");
    }
    assert!(storable::thaw(&hex("05 0b 00 00 00 00 00")).is_err());
    assert!(storable::thaw(&hex("05 0b 02 00 00 00 01 12 00 05")).is_err());
}

#[test]
fn depth_is_bounded_both_ways() {
    let deep = |levels: usize| [hex("05 0b"), vec![4; levels], vec![5]].concat();
    assert!(storable::thaw(&deep(512)).is_ok());
    assert!(storable::thaw(&deep(513)).unwrap_err().is_too_deep());
    assert!(storable::from_slice::<()>(&deep(1_000_000)).unwrap_err().is_too_deep());
    let mut value = Value::array([]);
    for _ in 0..1_000_000 {
        value = Value::array([value]);
    }
    assert!(storable::freeze(&value).unwrap_err().is_too_deep());
    // Neither does dropping it need a deep stack.
    drop(value);

    #[derive(serde::Serialize, serde::Deserialize)]
    struct Nested(Vec<Nested>);
    let mut nested = Nested(Vec::new());
    for _ in 0..255 {
        nested = Nested(vec![nested]);
    }
    let image = storable::to_vec(&nested).unwrap();
    assert!(storable::from_slice::<Nested>(&image).is_ok());
    let nested = Nested(vec![Nested(vec![nested])]);
    assert!(storable::to_vec(&nested).unwrap_err().is_too_deep());
}

/// Each array holds the one before it twice, so a tree of it would have a billion leaves; or a chain that is deeper than
/// the image looks.
#[test]
fn sharing_is_no_bomb() {
    let mut value = Value::array([]);
    for _ in 0..30 {
        value = Value::array([value.clone(), value]);
    }
    let image = storable::freeze(&value).unwrap();
    assert!(storable::thaw(&image).is_ok());
    assert!(storable::from_slice::<serde_json::Value>(&image).is_err());

    let mut image = hex("05 0b 02 00 00 27 10 04 02 00 00 00 00");
    for link in 0..9_999_u32 {
        // Behind the array's own number, each link takes three: a reference, an array, and the reference in it.
        let before = if link == 0 { 2 } else { 3 * link + 1 };
        image.extend(hex("04 02 00 00 00 01 04 00"));
        image.extend(before.to_be_bytes());
    }
    let chain = storable::thaw(&image).unwrap();
    assert_eq!(chain.len(), Some(10_000));
    drop(chain);
    assert!(
        storable::from_slice::<serde_json::Value>(&image)
            .unwrap_err()
            .is_too_large()
    );
    let settings = storable::Settings::new().max_shared(usize::MAX);
    let error = settings.from_slice::<serde_json::Value>(&image).unwrap_err();
    assert!(error.is_too_deep());
}

/// 200 arrays that are one of 200 arrays that are one of 200 empty values: two kilobytes that stand for eight million values.
#[test]
fn what_sharing_makes_is_bounded_by_memory_and_not_by_what_is_read() {
    let array = |first: &[u8], rest: &[u8]| [&[2, 0, 0, 0, 200], first, &rest.repeat(199)].concat();
    let same = |tag: u32| [&[0][..], &tag.to_be_bytes()].concat();
    let inner = array(&[5], &[5]);
    let middle = array(&inner, &same(2));
    let image = [&[5, 11][..], &array(&middle, &same(1))].concat();
    assert!(image.len() < 2300);
    let error = storable::from_slice::<serde_json::Value>(&image).unwrap_err();
    assert!(error.is_too_large(), "{error}");
    // As a graph it is as small as the image.
    assert_eq!(storable::thaw(&image).unwrap().len(), Some(200));
    // What is not shared is not counted: a megabyte of items, each of two bytes.
    let list: Vec<u8> = vec![7; 500_000];
    let image = storable::to_vec(&list).unwrap();
    assert_eq!(storable::from_slice::<Vec<u8>>(&image).unwrap(), list);
    let list = vec![7_u8; 1024 * 1024];
    let image = storable::to_vec(&list).unwrap();
    assert!(storable::from_slice::<Vec<u8>>(&image).unwrap_err().is_too_large());
    assert!(storable::thaw(&image).unwrap_err().is_too_large());
}
