//! What freezing and thawing costs, in frames: Storable, typed and as it is, beside serde_json, MessagePack and CBOR, on
//! the same data. `cargo bench --bench reference --all-features`. For information: nothing is promised.

#[cfg(all(feature = "storable", feature = "json", feature = "msgpack", feature = "cbor"))]
mod frames {
    use bytes::BytesMut;
    use divan::Bencher;
    use divan::counter::ItemsCount;
    use poe::filter::{Cbor, Filter, Json, MsgPack, Reference, Serializer, Storable};
    use poe::storable::{self, Value};
    use serde::{Deserialize, Serialize};
    use std::collections::BTreeMap;

    /// Something like a job that is sent to a worker; a kilobyte or so.
    #[derive(Clone, Serialize, Deserialize)]
    struct Job {
        id: u64,
        name: String,
        priority: i32,
        args: Vec<String>,
        environment: BTreeMap<String, String>,
        times: Vec<f64>,
        parent: Option<u64>,
    }

    fn job() -> Job {
        Job {
            id: 1234,
            name: "resize the picture".to_owned(),
            priority: -3,
            args: (0..10).map(|n| format!("--option-{n}=value")).collect(),
            environment: (0..10)
                .map(|n| (format!("NAME_{n}"), "/usr/share/something".to_owned()))
                .collect(),
            times: (0..10).map(|n| f64::from(n) * 0.3).collect(),
            parent: None,
        }
    }

    fn freeze<S: Serializer>(bencher: Bencher<'_, '_>, serializer: S, record: impl Fn() -> S::Record) {
        let mut filter = Reference::new(serializer);
        let mut out = BytesMut::with_capacity(1 << 16);
        bencher
            .counter(ItemsCount::new(1_usize))
            .with_inputs(record)
            .bench_local_values(|record| {
                out.clear();
                filter.put(record, &mut out)
            });
    }

    fn thaw<S: Serializer>(bencher: Bencher<'_, '_>, serializer: S, record: S::Record) {
        let mut filter = Reference::new(serializer);
        let mut frame = BytesMut::new();
        filter.put(record, &mut frame).expect("it can be frozen");
        bencher.counter(ItemsCount::new(1_usize)).bench_local(|| {
            filter.feed(&frame);
            filter.next_record()
        });
    }

    fn value() -> Value {
        storable::thaw(&storable::to_vec(&job()).expect("it can be frozen")).expect("and thawed")
    }

    #[divan::bench]
    fn freeze_storable(bencher: Bencher<'_, '_>) {
        freeze(bencher, Storable::new(), job);
    }

    #[divan::bench]
    fn freeze_storable_value(bencher: Bencher<'_, '_>) {
        freeze(bencher, Storable::new(), value);
    }

    #[divan::bench]
    fn freeze_json(bencher: Bencher<'_, '_>) {
        freeze(bencher, Json::new(), job);
    }

    #[divan::bench]
    fn freeze_msgpack(bencher: Bencher<'_, '_>) {
        freeze(bencher, MsgPack::new(), job);
    }

    #[divan::bench]
    fn freeze_cbor(bencher: Bencher<'_, '_>) {
        freeze(bencher, Cbor::new(), job);
    }

    #[divan::bench]
    fn thaw_storable(bencher: Bencher<'_, '_>) {
        thaw(bencher, Storable::new(), job());
    }

    #[divan::bench]
    fn thaw_storable_value(bencher: Bencher<'_, '_>) {
        thaw(bencher, Storable::new(), value());
    }

    #[divan::bench]
    fn thaw_json(bencher: Bencher<'_, '_>) {
        thaw(bencher, Json::new(), job());
    }

    #[divan::bench]
    fn thaw_msgpack(bencher: Bencher<'_, '_>) {
        thaw(bencher, MsgPack::new(), job());
    }

    #[divan::bench]
    fn thaw_cbor(bencher: Bencher<'_, '_>) {
        thaw(bencher, Cbor::new(), job());
    }
}

fn main() {
    divan::main();
}
