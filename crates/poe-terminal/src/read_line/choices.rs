//! The menu of completions. A key that ends the line also ends it while the menu is open. The line then contains the
//! entry that the user has selected, if any.
//!
//! The editor's own menu would take its first entry with the key that ends the line, and the line would go on. So this
//! menu never reports that it completes quickly, which is the editor's only other way to take an entry, and takes a
//! single entry itself.

use reedline::{ColumnarMenu, Completer, Editor, Menu, MenuEvent, Painter, Suggestion};

pub(super) struct Choices {
    menu: ColumnarMenu,
    /// The user has selected an entry.
    is_chosen: bool,
}

impl Choices {
    pub(super) fn new(menu: ColumnarMenu) -> Self {
        Choices { menu, is_chosen: false }
    }
}

impl Menu for Choices {
    fn name(&self) -> &str {
        self.menu.name()
    }

    fn indicator(&self) -> &str {
        self.menu.indicator()
    }

    fn is_active(&self) -> bool {
        self.menu.is_active()
    }

    fn menu_event(&mut self, event: MenuEvent) {
        let event = match event {
            MenuEvent::Activate(_) => {
                self.is_chosen = false;
                MenuEvent::Activate(false)
            }
            // The editor assumes that it has updated the entries.
            MenuEvent::Edit(_) => {
                self.is_chosen = false;
                MenuEvent::Edit(false)
            }
            MenuEvent::Deactivate => MenuEvent::Deactivate,
            // The single entry has just been taken.
            _ if !self.menu.is_active() => return,
            moved => {
                self.is_chosen = true;
                moved
            }
        };
        self.menu.menu_event(event);
    }

    fn can_quick_complete(&self) -> bool {
        false
    }

    /// Called when the menu opens, and when the user selects the next entry.
    fn can_partially_complete(&mut self, _: bool, editor: &mut Editor, completer: &mut dyn Completer) -> bool {
        if self.is_chosen {
            return false;
        }
        self.menu.update_values(editor, completer);
        if self.menu.get_values().len() == 1 {
            self.menu.replace_in_buffer(editor);
            self.menu.menu_event(MenuEvent::Deactivate);
            return true;
        }
        self.menu.can_partially_complete(true, editor, completer)
    }

    fn update_values(&mut self, editor: &mut Editor, completer: &mut dyn Completer) {
        self.menu.update_values(editor, completer);
    }

    fn update_working_details(&mut self, editor: &mut Editor, completer: &mut dyn Completer, painter: &Painter) {
        self.menu.update_working_details(editor, completer, painter);
    }

    /// A key that ends the line was pressed.
    fn replace_in_buffer(&self, editor: &mut Editor) {
        if self.is_chosen {
            self.menu.replace_in_buffer(editor);
        }
    }

    fn menu_required_lines(&self, terminal_columns: u16) -> u16 {
        self.menu.menu_required_lines(terminal_columns)
    }

    fn menu_string(&self, available_lines: u16, use_ansi_coloring: bool) -> String {
        self.menu.menu_string(available_lines, use_ansi_coloring)
    }

    fn min_rows(&self) -> u16 {
        self.menu.min_rows()
    }

    fn get_values(&self) -> &[Suggestion] {
        self.menu.get_values()
    }

    fn set_cursor_pos(&mut self, pos: (u16, u16)) {
        self.menu.set_cursor_pos(pos);
    }
}
