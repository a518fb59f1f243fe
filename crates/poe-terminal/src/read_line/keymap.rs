//! The bindings of keys: the editor's, POE's additional ones, those of the init file and of the program.

use super::functions::{Act, KeyBinding, KeyFunction, act};
use super::inputrc::Inputrc;
use super::key::{Key, parse_keys};
use poe::Error;
use reedline::{KeyCode, KeyModifiers, Keybindings, ReedlineEvent};
use std::collections::HashMap;

/// The editor's entry for a key that is looked up here.
const OURS: &str = "ours";

/// The tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Map {
    Emacs,
    ViInsert,
    ViCommand,
}

impl Map {
    const ALL: [Map; 3] = [Map::Emacs, Map::ViInsert, Map::ViCommand];

    /// A function, by its name in readline.
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "emacs" | "emacs-standard" => Map::Emacs,
            "vi-insert" => Map::ViInsert,
            "vi" | "vi-command" | "vi-move" => Map::ViCommand,
            _ => return None,
        })
    }
}

/// The binding of a key, or of several in a row.
#[derive(Clone, Debug)]
pub(super) struct Bound {
    pub(super) binding: KeyBinding,
    pub(super) act: Act,
}

/// The result of looking up the keys pressed so far.
pub(super) enum Found<'a> {
    Bound(&'a Bound),
    /// More keys must follow.
    Prefix,
    Nothing,
}

/// The tables of all modes.
#[derive(Debug, Default)]
pub(super) struct Keymaps([HashMap<Vec<Key>, Bound>; 3]);

impl Keymaps {
    /// # Errors
    /// An unknown key or function in a binding of the program.
    pub(super) fn new(rc: &Inputrc, bindings: &[(String, KeyBinding)], completes: bool) -> Result<Self, Error> {
        let mut maps = Keymaps::default();
        for (map, own) in [
            (Map::Emacs, EMACS),
            (Map::ViInsert, VI_INSERT),
            (Map::ViCommand, VI_COMMAND),
        ] {
            for (key, name) in own {
                let _ = maps.bind(map, key, &KeyBinding::Function((*name).to_owned()));
            }
            if cfg!(not(windows)) && map == Map::Emacs {
                // This may be how a bracket is typed there.
                let back = KeyBinding::Function("character-search-backward".to_owned());
                let _ = maps.bind(map, "M-C-]", &back);
            }
        }
        for bound in &rc.bindings {
            // Functions that this editor lacks are not an error of the program.
            match bound.keymap.as_deref() {
                None => maps.bind_in_all(&bound.keys, &bound.binding).unwrap_or_default(),
                Some(name) => {
                    if let Some(map) = Map::named(name) {
                        let _ = maps.bind(map, &bound.keys, &bound.binding);
                    }
                }
            }
        }
        for (key, binding) in bindings {
            maps.bind_in_all(key, binding)?;
        }
        if !completes {
            for bound in maps.0.iter_mut().flat_map(HashMap::values_mut) {
                if matches!(&bound.binding, KeyBinding::Function(name) if name == "complete" || name == "vi-complete") {
                    bound.act = Act::Keys(KeyFunction::Ding);
                }
            }
        }
        Ok(maps)
    }

    fn bind_in_all(&mut self, key: &str, binding: &KeyBinding) -> Result<(), Error> {
        Map::ALL.into_iter().try_for_each(|map| self.bind(map, key, binding))
    }

    /// The last binding counts: it replaces bindings that begin with these keys, and bindings that are the beginning of
    /// them.
    fn bind(&mut self, map: Map, keys: &str, binding: &KeyBinding) -> Result<(), Error> {
        let Some(strokes) = parse_keys(keys) else {
            return Err(Error::invalid_setting(format!("`{keys}` is not a key")));
        };
        let Some(act) = act(binding) else {
            return Err(Error::invalid_setting(format!(
                "the line editor does not know {binding:?}"
            )));
        };
        let map = &mut self.0[map as usize];
        map.retain(|other, _| !other.starts_with(&strokes) && !strokes.starts_with(other));
        let binding = binding.clone();
        map.insert(strokes, Bound { binding, act });
        Ok(())
    }

    pub(super) fn find(&self, map: Map, keys: &[Key]) -> Found<'_> {
        let map = &self.0[map as usize];
        match map.get(keys) {
            Some(bound) => Found::Bound(bound),
            None if map.keys().any(|other| other.starts_with(keys)) => Found::Prefix,
            None => Found::Nothing,
        }
    }

    /// The bindings with a text, in order.
    pub(super) fn macros(&self, map: Map) -> Vec<(String, &str)> {
        let texts = self.0[map as usize]
            .iter()
            .filter_map(|(keys, bound)| match &bound.binding {
                KeyBinding::Text(text) => Some((super::key::display(keys), text.as_str())),
                _ => None,
            });
        let mut texts: Vec<_> = texts.collect();
        texts.sort();
        texts
    }

    /// The editor's table, with functions that POE lacks, and a mark at every key that begins a binding.
    pub(super) fn table(&self, map: Map) -> Keybindings {
        let mut table = match map {
            Map::Emacs => reedline::default_emacs_keybindings(),
            Map::ViInsert => reedline::default_vi_insert_keybindings(),
            Map::ViCommand => reedline::default_vi_normal_keybindings(),
        };
        // It would start the editor named in the environment.
        table.remove_binding(KeyModifiers::CONTROL, KeyCode::Char('o'));
        for keys in self.0[map as usize].keys() {
            let (modifiers, code) = keys[0].in_table();
            table.add_binding(modifiers, code, ReedlineEvent::ExecuteHostCommand(OURS.to_owned()));
        }
        table
    }
}

/// Whether the key of this entry is to be looked up here.
pub(super) fn is_ours(event: &ReedlineEvent) -> bool {
    matches!(event, ReedlineEvent::ExecuteHostCommand(mark) if mark == OURS)
}

/// POE's keys of emacs' mode, readline's mark on C-@, and C-x C-x.
const EMACS: &[(&str, &str)] = &[
    ("C-@", "set-mark"),
    ("C-a", "beginning-of-line"),
    ("C-b", "backward-char"),
    ("C-c", "interrupt"),
    ("C-d", "delete-char"),
    ("C-e", "end-of-line"),
    ("C-f", "forward-char"),
    ("C-g", "abort"),
    ("C-h", "backward-delete-char"),
    ("tab", "complete"),
    ("C-j", "accept-line"),
    ("C-k", "kill-line"),
    ("C-l", "clear-screen"),
    ("return", "accept-line"),
    ("C-n", "next-history"),
    ("C-p", "previous-history"),
    ("C-q", "poe-wheel-debug"),
    ("C-r", "reverse-search-history"),
    ("C-s", "forward-search-history"),
    ("C-t", "transpose-chars"),
    ("C-u", "unix-line-discard"),
    ("C-v", "quoted-insert"),
    ("C-w", "unix-word-rubout"),
    ("C-y", "yank"),
    ("C-]", "character-search"),
    ("C-_", "undo"),
    ("rubout", "backward-delete-char"),
    ("M-C-g", "abort"),
    ("M-C-h", "backward-kill-word"),
    ("M-tab", "tab-insert"),
    ("M-C-j", "vi-editing-mode"),
    ("M-C-r", "revert-line"),
    ("M-C-y", "yank-nth-arg"),
    ("M-space", "set-mark"),
    ("M-#", "insert-comment"),
    ("M-&", "tilde-expand"),
    ("M-*", "insert-completions"),
    ("M--", "digit-argument"),
    ("M-.", "yank-last-arg"),
    ("M-0", "digit-argument"),
    ("M-1", "digit-argument"),
    ("M-2", "digit-argument"),
    ("M-3", "digit-argument"),
    ("M-4", "digit-argument"),
    ("M-5", "digit-argument"),
    ("M-6", "digit-argument"),
    ("M-7", "digit-argument"),
    ("M-8", "digit-argument"),
    ("M-9", "digit-argument"),
    ("M-<", "beginning-of-history"),
    ("M->", "end-of-history"),
    ("M-?", "possible-completions"),
    ("M-b", "backward-word"),
    ("M-c", "capitalize-word"),
    ("M-d", "kill-word"),
    ("M-f", "forward-word"),
    ("M-l", "downcase-word"),
    ("M-n", "non-incremental-forward-search-history"),
    ("M-p", "non-incremental-reverse-search-history"),
    ("M-r", "revert-line"),
    ("M-t", "transpose-words"),
    ("M-u", "upcase-word"),
    ("M-y", "yank-pop"),
    ("M-\\", "delete-horizontal-space"),
    ("M-~", "tilde-expand"),
    ("M-del", "backward-kill-word"),
    ("M-rubout", "backward-kill-word"),
    ("M-_", "yank-last-arg"),
    ("C-x C-r", "re-read-init-file"),
    ("C-x C-g", "abort"),
    ("C-x C-x", "exchange-point-and-mark"),
    ("C-x del", "backward-kill-line"),
    ("C-x rubout", "backward-kill-line"),
    ("C-x m", "dump-macros"),
    ("C-x v", "dump-variables"),
    ("C-x k", "dump-key"),
    ("home", "beginning-of-line"),
    ("end", "end-of-line"),
    ("ins", "overwrite-mode"),
    ("del", "delete-char"),
    ("left", "backward-char"),
    ("right", "forward-char"),
    ("up", "previous-history"),
    ("down", "next-history"),
];

/// Keys of vi's insert mode that the editor lacks, or binds differently.
const VI_INSERT: &[(&str, &str)] = &[
    ("C-g", "abort"),
    ("tab", "complete"),
    ("C-j", "accept-line"),
    ("C-r", "reverse-search-history"),
    ("C-s", "forward-search-history"),
    ("C-t", "transpose-chars"),
    ("C-u", "unix-line-discard"),
    ("C-v", "quoted-insert"),
    ("C-w", "unix-word-rubout"),
    ("C-y", "yank"),
    ("C-_", "undo"),
];

/// … and of its command mode.
const VI_COMMAND: &[(&str, &str)] = &[
    ("C-e", "emacs-editing-mode"),
    ("C-g", "abort"),
    ("C-h", "backward-char"),
    ("C-j", "accept-line"),
    ("C-k", "kill-line"),
    ("C-q", "quoted-insert"),
    ("C-r", "reverse-search-history"),
    ("C-s", "forward-search-history"),
    ("C-t", "transpose-chars"),
    ("C-u", "unix-line-discard"),
    ("C-v", "quoted-insert"),
    ("C-w", "unix-word-rubout"),
    ("C-y", "yank"),
    ("C-_", "vi-undo"),
    ("#", "insert-comment"),
    ("&", "vi-tilde-expand"),
    ("*", "vi-complete"),
    ("+", "next-history"),
    ("-", "previous-history"),
    ("/", "vi-search"),
    ("=", "possible-completions"),
    ("G", "vi-fetch-history"),
    ("R", "vi-replace"),
    ("U", "revert-line"),
    ("X", "backward-delete-char"),
    ("_", "vi-yank-arg"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn maps(bindings: &[(&str, &str)]) -> Keymaps {
        let of = |(keys, name): &(&str, &str)| ((*keys).to_owned(), KeyBinding::Function((*name).to_owned()));
        let bindings: Vec<_> = bindings.iter().map(of).collect();
        Keymaps::new(&Inputrc::default(), &bindings, true).unwrap()
    }

    fn found(maps: &Keymaps, keys: &str) -> String {
        match maps.find(Map::Emacs, &parse_keys(keys).unwrap()) {
            Found::Bound(bound) => format!("{:?}", bound.binding),
            Found::Prefix => "prefix".to_owned(),
            Found::Nothing => "nothing".to_owned(),
        }
    }

    #[test]
    fn every_key_of_its_own_is_known() {
        for (key, name) in EMACS.iter().chain(VI_INSERT).chain(VI_COMMAND) {
            assert!(parse_keys(key).is_some(), "{key}");
            assert!(act(&KeyBinding::Function((*name).to_owned())).is_some(), "{name}");
        }
        let maps = maps(&[]);
        assert_eq!(
            maps.0[Map::Emacs as usize].len(),
            EMACS.len() + usize::from(cfg!(not(windows)))
        );
        assert_eq!(found(&maps, "C-x"), "prefix");
        assert_eq!(found(&maps, "C-x C-r"), "Function(\"re-read-init-file\")");
        assert_eq!(found(&maps, "C-x z"), "nothing");
    }

    #[test]
    fn the_last_of_two_bindings_that_exclude_each_other_holds() {
        let short = maps(&[("C-x", "undo")]);
        assert_eq!(found(&short, "C-x"), "Function(\"undo\")");
        assert_eq!(found(&short, "C-x C-r"), "nothing");
        let long = maps(&[("C-x", "undo"), ("C-xu", "redo")]);
        assert_eq!(found(&long, "C-x"), "prefix");
        assert_eq!(found(&long, "C-x u"), "Function(\"redo\")");
    }
}
