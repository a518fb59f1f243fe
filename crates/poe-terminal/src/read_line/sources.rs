//! The sources of bindings and settings: the builder, the init file, the environment.

use super::functions::KeyBinding;
use super::inputrc::{Conditions, Inputrc};
use super::keymap::Keymaps;
use super::settings::ReadLineMode;
use poe::Error;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The sources, which may be read again.
pub(super) struct Sources {
    pub(super) mode: Option<ReadLineMode>,
    pub(super) inputrc: Option<PathBuf>,
    pub(super) app_name: String,
    pub(super) attribs: Vec<(String, String)>,
    pub(super) bindings: Vec<(String, KeyBinding)>,
    pub(super) completes: bool,
}

/// The result of reading the sources.
pub(super) struct Keys {
    pub(super) keymaps: Keymaps,
    pub(super) is_vi: bool,
    pub(super) settings: BTreeMap<String, String>,
}

impl Sources {
    /// # Errors
    /// An unknown key or function in a binding of the program.
    pub(super) fn read(&self) -> Result<Keys, Error> {
        let mut rc = Inputrc::default();
        if let Some(file) = &self.inputrc {
            let term = std::env::var("TERM").unwrap_or_default();
            let conditions = Conditions {
                app: &self.app_name,
                term: &term,
            };
            rc.read(file, &conditions);
        }
        rc.settings.extend(self.attribs.iter().cloned());
        let is_vi = match self.mode {
            Some(mode) => mode == ReadLineMode::Vi,
            None => rc.settings.get("editing-mode").is_some_and(|mode| mode == "vi"),
        };
        Ok(Keys {
            keymaps: Keymaps::new(&rc, &self.bindings, self.completes)?,
            is_vi,
            settings: rc.settings,
        })
    }
}
