//! A session's options: `trace`, `debug` and `default`, which the session reads, and the user's.

use std::cell::{Cell, RefCell};

type Values = Vec<(String, String)>;

#[derive(Default)]
pub(super) struct Options {
    /// Set lazily: most sessions have none.
    values: RefCell<Option<Box<Values>>>,
    flags: Cell<Flags>,
    /// `trace`, or a changed table: events of this session take the long way.
    unusual: Cell<bool>,
}

/// The options that are looked at per event.
#[derive(Clone, Copy, Default)]
pub(super) struct Flags {
    pub(super) trace: bool,
    pub(super) debug: bool,
    pub(super) default: bool,
    /// A handler that is running has changed the session's table.
    changed: bool,
}

impl Options {
    #[inline]
    pub(super) fn flags(&self) -> Flags {
        self.flags.get()
    }

    /// Whether the session is neither traced nor has a changed table: one look for each event.
    #[inline(always)]
    pub(super) fn are_usual(&self) -> bool {
        !self.unusual.get()
    }

    pub(super) fn set_changed(&self, changed: bool) {
        self.set_flags(Flags {
            changed,
            ..self.flags.get()
        });
    }

    fn set_flags(&self, flags: Flags) {
        self.flags.set(flags);
        self.unusual.set(flags.trace || flags.changed);
    }

    pub(super) fn get(&self, name: &str) -> Option<String> {
        let name = name.to_lowercase();
        let values = self.values.borrow();
        values
            .as_deref()?
            .iter()
            .find(|(n, _)| *n == name)
            .map(|(_, v)| v.clone())
    }

    pub(super) fn all(&self) -> Vec<(String, String)> {
        self.values.borrow().as_deref().cloned().unwrap_or_default()
    }

    /// Sets an option, or deletes it with `None`; gives the old value.
    pub(super) fn set(&self, name: &str, value: Option<&str>) -> Option<String> {
        let name = name.to_lowercase();
        let value = value.map(normal);
        let old = {
            let mut slot = self.values.borrow_mut();
            let values = slot.get_or_insert_default();
            let at = values.iter().position(|(n, _)| *n == name);
            let old = at.map(|at| values.swap_remove(at).1);
            if let Some(value) = value {
                values.push((name, value));
            }
            old
        };
        let on = |name| self.get(name).is_some_and(|v| v != "0" && !v.is_empty());
        self.set_flags(Flags {
            trace: on("trace"),
            debug: on("debug"),
            default: on("default"),
            ..self.flags.get()
        });
        old
    }
}

/// POE's spellings of true and false become 1 and 0.
fn normal(value: &str) -> String {
    match value.to_lowercase().as_str() {
        "on" | "yes" | "true" => "1".to_owned(),
        "off" | "no" | "false" => "0".to_owned(),
        _ => value.to_owned(),
    }
}
