//! The history. The editor's thread reads it while the wheel adds to it.

use super::history_file;
use poe::Error;
use reedline::{
    FileBackedHistory, History, HistoryItem, HistoryItemId, HistorySessionId, Result as Done, SearchDirection,
    SearchQuery,
};
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The number of lines kept in memory.
const LINES: usize = 10_000;

#[derive(Clone)]
pub(super) struct SharedHistory(Arc<Mutex<FileBackedHistory>>);

impl SharedHistory {
    pub(super) fn new() -> Self {
        // It fails only for an infinite size.
        SharedHistory(Arc::new(Mutex::new(FileBackedHistory::new(LINES).unwrap_or_default())))
    }

    fn lock(&self) -> MutexGuard<'_, FileBackedHistory> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(&self, line: &str) {
        // In memory it cannot fail.
        let _ = self.lock().save(HistoryItem::from_command_line(line));
    }

    pub(super) fn lines(&self) -> Vec<String> {
        let everything = SearchQuery::everything(SearchDirection::Forward, None);
        let items = self.lock().search(everything).unwrap_or_default();
        items.into_iter().map(|item| item.command_line).collect()
    }

    pub(super) fn clear(&self) {
        let _ = self.lock().clear();
    }

    /// Adds the lines of a file within the range; returns their number.
    pub(super) fn read(&self, file: &Path, range: Range<usize>) -> Result<usize, Error> {
        let text = history_file::read(file)?;
        let text = String::from_utf8_lossy(&text);
        let lines = text.lines().skip(range.start).take(range.len());
        Ok(lines.map(|line| self.add(line)).count())
    }

    pub(super) fn write(&self, file: &Path) -> Result<(), Error> {
        let lines = self.lines();
        history_file::write(file, lines.iter().map(|line| line.as_bytes()))
    }
}

impl History for SharedHistory {
    /// Lines that the editor saves by itself are not kept: history is never automatic.
    fn save(&mut self, item: HistoryItem) -> Done<HistoryItem> {
        Ok(item)
    }

    fn load(&self, id: HistoryItemId) -> Done<HistoryItem> {
        self.lock().load(id)
    }

    fn count(&self, query: SearchQuery) -> Done<i64> {
        self.lock().count(query)
    }

    fn search(&self, query: SearchQuery) -> Done<Vec<HistoryItem>> {
        self.lock().search(query)
    }

    fn update(&mut self, id: HistoryItemId, updater: &dyn Fn(HistoryItem) -> HistoryItem) -> Done<()> {
        self.lock().update(id, updater)
    }

    fn clear(&mut self) -> Done<()> {
        self.lock().clear()
    }

    fn delete(&mut self, id: HistoryItemId) -> Done<()> {
        self.lock().delete(id)
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn session(&self) -> Option<HistorySessionId> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_editor_saves_is_not_kept() {
        let mut history = SharedHistory::new();
        History::save(&mut history, HistoryItem::from_command_line("automatic")).unwrap();
        assert!(history.lines().is_empty());
    }
}
