//! The lines that the keys go back to. The editor's thread reads them while the wheel adds to them.

use reedline::{
    FileBackedHistory, History, HistoryItem, HistoryItemId, HistorySessionId, Result, SearchDirection, SearchQuery,
};
use std::fs;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Lines that are kept in memory.
const LINES: usize = 10_000;

#[derive(Clone)]
pub(super) struct SharedHistory(Arc<Mutex<FileBackedHistory>>);

impl SharedHistory {
    pub(super) fn new() -> Self {
        // It fails only for a size without end.
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

    /// Adds the lines of a file that stand in the range; gives their number.
    pub(super) fn read(&self, file: &Path, range: Range<usize>) -> io::Result<usize> {
        let text = fs::read_to_string(file)?;
        let lines = text.lines().skip(range.start).take(range.len());
        Ok(lines.map(|line| self.add(line)).count())
    }

    pub(super) fn write(&self, file: &Path) -> io::Result<()> {
        write_lines(file, &self.lines())
    }
}

/// Keeps the last lines of a file.
pub(super) fn truncate(file: &Path, keep: usize) -> io::Result<()> {
    let text = fs::read_to_string(file)?;
    let lines: Vec<&str> = text.lines().collect();
    write_lines(file, &lines[lines.len().saturating_sub(keep)..])
}

fn write_lines<S: AsRef<str>>(file: &Path, lines: &[S]) -> io::Result<()> {
    let mut text = String::new();
    for line in lines {
        text.push_str(line.as_ref());
        text.push('\n');
    }
    fs::write(file, text)
}

impl History for SharedHistory {
    /// What the editor saves of its own accord is not kept: history is never automatic.
    fn save(&mut self, item: HistoryItem) -> Result<HistoryItem> {
        Ok(item)
    }

    fn load(&self, id: HistoryItemId) -> Result<HistoryItem> {
        self.lock().load(id)
    }

    fn count(&self, query: SearchQuery) -> Result<i64> {
        self.lock().count(query)
    }

    fn search(&self, query: SearchQuery) -> Result<Vec<HistoryItem>> {
        self.lock().search(query)
    }

    fn update(&mut self, id: HistoryItemId, updater: &dyn Fn(HistoryItem) -> HistoryItem) -> Result<()> {
        self.lock().update(id, updater)
    }

    fn clear(&mut self) -> Result<()> {
        self.lock().clear()
    }

    fn delete(&mut self, id: HistoryItemId) -> Result<()> {
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
    fn lines_go_to_a_file_and_come_back_in_part() {
        let file = std::env::temp_dir().join(format!("poe-history-{}", std::process::id()));
        let history = SharedHistory::new();
        for line in ["one", "two", "three"] {
            history.add(line);
        }
        history.write(&file).unwrap();
        let other = SharedHistory::new();
        assert_eq!(other.read(&file, 1..usize::MAX).unwrap(), 2);
        assert_eq!(other.lines(), ["two", "three"]);
        truncate(&file, 1).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "three\n");
        truncate(&file, 0).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "");
        fs::remove_file(&file).unwrap();
        assert!(other.read(&file, 0..1).is_err());
        other.clear();
        assert!(other.lines().is_empty());
    }

    #[test]
    fn what_the_editor_saves_is_not_kept() {
        let mut history = SharedHistory::new();
        History::save(&mut history, HistoryItem::from_command_line("automatic")).unwrap();
        assert!(history.lines().is_empty());
    }
}
