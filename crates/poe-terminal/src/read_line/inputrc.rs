//! Readline's init file: settings and bindings, with conditions and inclusions.

use super::functions::KeyBinding;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The deepest nesting of inclusions.
const DEPTH: usize = 10;

/// The content of an init file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Inputrc {
    /// Settings by lower-case name.
    pub(super) settings: BTreeMap<String, String>,
    pub(super) bindings: Vec<InitBinding>,
    /// The keymap that bindings apply to.
    keymap: Option<String>,
}

/// One binding.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct InitBinding {
    /// The keymap set with `set keymap`; `None` means all.
    pub(super) keymap: Option<String>,
    /// The keys as they are written.
    pub(super) keys: String,
    pub(super) binding: KeyBinding,
}

/// The values that `$if` tests.
pub(super) struct Conditions<'a> {
    pub(super) app: &'a str,
    pub(super) term: &'a str,
}

/// Returns the user's file: `$INPUTRC`, or `.inputrc` in the home directory.
pub(super) fn users_file() -> Option<PathBuf> {
    let named = std::env::var_os("INPUTRC").map(PathBuf::from);
    named.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".inputrc")))
}

impl Inputrc {
    /// Reads a file; a file that cannot be read is empty.
    pub(super) fn read(&mut self, file: &Path, conditions: &Conditions<'_>) {
        self.read_nested(file, conditions, DEPTH);
    }

    fn read_nested(&mut self, file: &Path, conditions: &Conditions<'_>, depth: usize) {
        if let Ok(text) = fs::read_to_string(file) {
            self.parse(&text, conditions, depth);
        }
    }

    fn parse(&mut self, text: &str, conditions: &Conditions<'_>, depth: usize) {
        // The results of the open `$if`s.
        let mut open: Vec<bool> = Vec::new();
        for line in text.lines().map(str::trim) {
            if let Some(directive) = line.strip_prefix('$') {
                let (word, rest) = directive.split_once(char::is_whitespace).unwrap_or((directive, ""));
                match word {
                    "if" => open.push(self.holds(rest.trim(), conditions)),
                    "else" => {
                        if let Some(last) = open.last_mut() {
                            *last = !*last;
                        }
                    }
                    "endif" => {
                        open.pop();
                    }
                    "include" if depth > 0 && open.iter().all(|holds| *holds) => {
                        self.read_nested(Path::new(rest.trim()), conditions, depth - 1);
                    }
                    _ => {}
                }
            } else if !line.is_empty() && !line.starts_with('#') && open.iter().all(|holds| *holds) {
                self.line(line);
            }
        }
    }

    fn holds(&self, condition: &str, conditions: &Conditions<'_>) -> bool {
        if let Some(mode) = condition.strip_prefix("mode=") {
            let now = self.settings.get("editing-mode").map_or("emacs", String::as_str);
            return mode == now;
        }
        if let Some(term) = condition.strip_prefix("term=") {
            let family = conditions.term.split('-').next().unwrap_or_default();
            return term == conditions.term || term == family;
        }
        condition.eq_ignore_ascii_case(conditions.app)
    }

    fn line(&mut self, line: &str) {
        if let Some(setting) = line.strip_prefix("set ") {
            let (name, value) = setting
                .trim()
                .split_once(char::is_whitespace)
                .unwrap_or((setting.trim(), "on"));
            let (name, value) = (name.to_ascii_lowercase(), value.trim().to_owned());
            if name == "keymap" {
                self.keymap = Some(value.clone());
            }
            self.settings.insert(name, value);
            return;
        }
        let Some((key, does)) = key_and_action(line) else {
            return;
        };
        let binding = match does.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
            Some(text) => KeyBinding::Text(unescape(text)),
            None => KeyBinding::Function(does.to_owned()),
        };
        self.bindings.push(InitBinding {
            keymap: self.keymap.clone(),
            keys: key.to_owned(),
            binding,
        });
    }
}

fn unescape(text: &str) -> String {
    let mut chars = text.chars();
    let mut unescaped = String::new();
    while let Some(c) = chars.next() {
        unescaped.push(match (c, chars.clone().next()) {
            ('\\', Some(escaped @ ('"' | '\\' | '\'' | 'n' | 't'))) => {
                chars.next();
                match escaped {
                    'n' => '\n',
                    't' => '\t',
                    other => other,
                }
            }
            _ => c,
        });
    }
    unescaped
}

/// `"\C-x": kill-line` or `Control-x: kill-line`. The key may be a colon, in quotes.
fn key_and_action(line: &str) -> Option<(&str, &str)> {
    let from = match line.strip_prefix('"') {
        Some(quoted) => quoted.find('"')? + 2,
        None => 0,
    };
    let colon = from + line[from..].find(':')?;
    Some((line[..colon].trim(), line[colon + 1..].trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Inputrc {
        let mut rc = Inputrc::default();
        let conditions = Conditions {
            app: "poe-readline",
            term: "xterm-256color",
        };
        rc.parse(text, &conditions, DEPTH);
        rc
    }

    #[test]
    fn settings_bindings_and_macros() {
        let rc = parsed(
            "# words\nset Bell-Style none\nset completion\n\"\\C-x\": kill-line\nMeta-g: \"git \\\"x\\\"\"\n\":\": undo\n",
        );
        assert_eq!(rc.settings["bell-style"], "none");
        assert_eq!(rc.settings["completion"], "on");
        let bindings: Vec<_> = rc.bindings.iter().map(|b| (b.keys.as_str(), &b.binding)).collect();
        assert_eq!(
            bindings,
            [
                ("\"\\C-x\"", &KeyBinding::Function("kill-line".to_owned())),
                ("Meta-g", &KeyBinding::Text("git \"x\"".to_owned())),
                ("\":\"", &KeyBinding::Function("undo".to_owned())),
            ]
        );
    }

    #[test]
    fn bindings_go_to_the_keymap_that_was_set() {
        let rc = parsed("C-a: undo\nset keymap vi-insert\nC-b: undo\nset keymap emacs\nC-c: \"a\\tb\"\n");
        let keymaps: Vec<_> = rc.bindings.iter().map(|b| b.keymap.as_deref()).collect();
        assert_eq!(keymaps, [None, Some("vi-insert"), Some("emacs")]);
        assert_eq!(rc.bindings[2].binding, KeyBinding::Text("a\tb".to_owned()));
    }

    #[test]
    fn conditions_nest_and_turn() {
        let rc = parsed(
            "$if mode=vi\nset a 1\n$else\nset a 2\n$if term=xterm\nset b 1\n$endif\n$endif\n$if POE-readline\nset c 1\n$endif\n$if other\nset c 2\n$endif\n",
        );
        let values: Vec<(&str, &str)> = rc.settings.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        assert_eq!(values, [("a", "2"), ("b", "1"), ("c", "1")]);
    }

    #[test]
    fn a_file_that_includes_itself_comes_to_an_end() {
        let file = std::env::temp_dir().join(format!("poe-inputrc-{}", std::process::id()));
        fs::write(&file, format!("set a 1\n$include {}\nC-x: undo\n", file.display())).unwrap();
        let mut rc = Inputrc::default();
        rc.read(&file, &Conditions { app: "", term: "" });
        fs::remove_file(&file).unwrap();
        assert_eq!(rc.bindings.len(), DEPTH + 1);
    }
}
