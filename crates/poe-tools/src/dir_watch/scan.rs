//! Listing a directory, on a thread that may block.

use super::DirWatchError;
use super::differ::Stamp;
use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::{Metadata, read_dir};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

type Filter = dyn Fn(&OsStr) -> bool + Send + Sync;

/// What is listed.
#[derive(Clone)]
pub(super) struct Scan {
    pub(super) directory: PathBuf,
    pub(super) filter: Option<Arc<Filter>>,
    pub(super) directories: bool,
    pub(super) max_entries: usize,
}

impl Scan {
    pub(super) fn run(&self) -> Result<HashMap<OsString, Stamp>, DirWatchError> {
        let failed = |error| DirWatchError::io(&self.directory, error);
        let mut found = HashMap::new();
        for entry in read_dir(&self.directory).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            if self.filter.as_ref().is_some_and(|filter| !filter(&name)) {
                continue;
            }
            // A link counts as what it leads to, and one that leads nowhere is not listed, as a file that is gone since.
            let Ok(metadata) = std::fs::metadata(entry.path()) else {
                continue;
            };
            if metadata.is_dir() && !self.directories {
                continue;
            }
            if found.len() >= self.max_entries {
                return Err(DirWatchError::too_many(&self.directory, self.max_entries));
            }
            found.insert(name, stamp(&metadata));
        }
        Ok(found)
    }
}

fn stamp(metadata: &Metadata) -> Stamp {
    #[cfg(unix)]
    let (id, changed) = {
        use std::os::unix::fs::MetadataExt;
        (
            Some((metadata.dev(), metadata.ino())),
            (metadata.ctime(), metadata.ctime_nsec()),
        )
    };
    #[cfg(not(unix))]
    let (id, changed) = (None, (0, 0));
    Stamp {
        is_dir: metadata.is_dir(),
        len: metadata.len(),
        modified: metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH),
        id,
        changed,
    }
}
