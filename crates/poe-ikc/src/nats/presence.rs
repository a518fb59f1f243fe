//! Which kernels there are: each has an entry in a bucket, puts it anew three times in the time that it is good for, and watches
//! the others' entries.

use super::subjects::token;
use crate::error::{IkcError, IkcErrorKind};
use async_nats::jetstream::{self, kv};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The entry of a kernel.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    /// First its ID.
    pub(crate) names: Vec<String>,
    pub(crate) pid: Option<u32>,
}

/// What bounds an entry that another kernel has made.
const MAX_RECORD: usize = 64 * 1024;
const MAX_NAMES: usize = 64;

impl Record {
    pub(crate) fn to_bytes(&self) -> Bytes {
        rmp_serde::to_vec_named(self)
            .expect("text and numbers can be written")
            .into()
    }

    /// Reads an entry; `None` if it is not one, or not that of the kernel whose key it has.
    pub(crate) fn read(key: &str, bytes: &[u8]) -> Option<Self> {
        if bytes.len() > MAX_RECORD {
            return None;
        }
        let record: Record = rmp_serde::from_slice(bytes).ok()?;
        let is_own = record.names.first().is_some_and(|id| token(id) == key);
        (is_own && record.names.len() <= MAX_NAMES).then_some(record)
    }
}

/// A bucket whose entries end by themselves.
#[derive(Clone)]
pub(crate) struct Bucket {
    pub(crate) context: jetstream::Context,
    pub(crate) name: String,
    pub(crate) max_age: Duration,
}

impl Bucket {
    /// Opens it, and makes it if there is none. On disk, so that a server that was started again has it.
    pub(crate) async fn open(&self) -> Result<kv::Store, IkcError> {
        let config = kv::Config {
            bucket: self.name.clone(),
            history: 1,
            max_age: self.max_age,
            ..kv::Config::default()
        };
        // Several kernels may make it at the same time.
        match self.context.create_key_value(config).await {
            Ok(store) => Ok(store),
            Err(error) => self.context.get_key_value(&self.name).await.map_err(|_| {
                let what = format!(
                    "open the bucket `{}` (is JetStream enabled? `nats-server --jetstream`)",
                    self.name
                );
                IkcError::new(what, IkcErrorKind::Nats(error.into()))
            }),
        }
    }
}

/// Watches all entries: first those that there are, then changes.
pub(crate) async fn watch(store: &kv::Store) -> Result<kv::Watch, IkcError> {
    let watch = store.watch_with_history(">").await;
    watch.map_err(|error| {
        IkcError::new(
            format!("watch the bucket `{}`", store.name),
            IkcErrorKind::Nats(error.into()),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn foreign_entries_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(Record::read("key", &bytes).is_none_or(|record| record.names[0] == "key"));
        }
    }

    #[test]
    fn an_entry_under_the_key_of_another_kernel_is_not_read() {
        let record = Record {
            names: vec!["a".into(), "b".into()],
            pid: Some(7),
        };
        assert!(Record::read("a", &record.to_bytes()).is_some());
        assert!(Record::read("b", &record.to_bytes()).is_none());
    }
}
