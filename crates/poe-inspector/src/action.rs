//! Actions: what an inspector may do to a kernel, if its program has allowed it.

use poe::{Event, KernelHandle, SessionId};
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// Where an event goes.
#[derive(Clone, Debug)]
pub(crate) enum To {
    Id(SessionId),
    Alias(String),
}

type Post = dyn Fn(&KernelHandle, To, serde_json::Value) -> Result<(), String> + Send + Sync;

/// What is allowed.
#[derive(Clone, Default)]
pub(crate) struct Actions {
    events: BTreeMap<String, Arc<Post>>,
    pub(crate) signals: bool,
    pub(crate) stop: bool,
}

impl fmt::Debug for Actions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Actions")
            .field("events", &self.events.keys())
            .field("signals", &self.signals)
            .field("stop", &self.stop)
            .finish_non_exhaustive()
    }
}

impl Actions {
    pub(crate) fn allow<A: DeserializeOwned + Send + 'static, R: 'static>(&mut self, key: Event<A, R>) {
        let name = key.name().to_owned();
        let event = name.clone();
        let post = move |handle: &KernelHandle, to: To, value: serde_json::Value| {
            let arg: A = serde_json::from_value(value)
                .map_err(|error| format!("the argument does not fit event `{event}`: {error}"))?;
            let posted = match &to {
                To::Id(id) => handle.post(*id, key, arg),
                To::Alias(alias) => handle.post(alias.as_str(), key, arg),
            };
            posted.map_err(|error| error.to_string())
        };
        self.events.insert(name, Arc::new(post));
    }

    pub(crate) fn event(&self, name: &str) -> Option<Arc<Post>> {
        self.events.get(name).cloned()
    }

    /// The names of the events that may be posted.
    pub(crate) fn events(&self) -> Vec<&str> {
        self.events.keys().map(String::as_str).collect()
    }
}
