//! The file of a history. It is never half written: the old content stays until all of the new content is on the disk.

use poe::Error;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Reads the file.
pub(super) fn read(file: &Path) -> Result<Vec<u8>, Error> {
    fs::read(file).map_err(|error| failed("read", file, error))
}

/// Keeps the last lines of a file.
pub(super) fn truncate(file: &Path, keep: usize) -> Result<(), Error> {
    let text = read(file)?;
    let lines: Vec<&[u8]> = text
        .strip_suffix(b"\n")
        .unwrap_or(&text)
        .split(|byte| *byte == b'\n')
        .collect();
    let lines = if text.is_empty() { &[] } else { &lines[..] };
    write(file, lines[lines.len().saturating_sub(keep)..].iter().copied())
}

/// Replaces the content of the file.
pub(super) fn write<'a>(file: &Path, lines: impl Iterator<Item = &'a [u8]>) -> Result<(), Error> {
    let mut text = Vec::new();
    for line in lines {
        text.extend_from_slice(line);
        text.push(b'\n');
    }
    replace(file, &text).map_err(|error| failed("write", file, error))
}

fn failed(verb: &str, file: &Path, error: io::Error) -> Error {
    Error::from_io(format!("cannot {verb} the history file {}", file.display()), error)
}

fn replace(file: &Path, text: &[u8]) -> io::Result<()> {
    let file = &target(file)?;
    let old = match open(file) {
        Ok(old) => old,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return beside(file, None, text),
        Err(error) => return Err(error),
    };
    let found = old.metadata()?;
    if !found.is_file() {
        // A device, such as `/dev/null`, or a pipe.
        return (&old).write_all(text);
    }
    if has_other_names(&found) {
        return in_place(old, text);
    }
    match beside(file, Some(&found), text) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => in_place(old, text),
        done => done,
    }
}

/// Follows symbolic links, also to a file that does not exist yet.
fn target(file: &Path) -> io::Result<PathBuf> {
    const MOST: usize = 40;
    let mut file = file.to_owned();
    for _ in 0..MOST {
        match fs::read_link(&file) {
            // A relative link starts in its folder.
            Ok(to) => file = file.parent().unwrap_or(Path::new("")).join(to),
            Err(_) => return Ok(file),
        }
    }
    Err(io::Error::other("too many symbolic links"))
}

/// Opens the existing file, which shows that this process may write to it.
fn open(file: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        // Does not wait for the reader of a pipe.
        options.custom_flags(rustix::fs::OFlags::NONBLOCK.bits() as i32);
    }
    match options.open(file) {
        // A device may be write-only.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => options.read(false).open(file),
        opened => opened,
    }
}

#[cfg(unix)]
fn has_other_names(found: &Metadata) -> bool {
    std::os::unix::fs::MetadataExt::nlink(found) > 1
}

#[cfg(not(unix))]
fn has_other_names(_: &Metadata) -> bool {
    false
}

/// Writes another file in the same folder and renames it.
fn beside(file: &Path, old: Option<&Metadata>, text: &[u8]) -> io::Result<()> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let mut name = std::ffi::OsString::from(".");
    name.push(file.file_name().ok_or(io::ErrorKind::InvalidInput)?);
    name.push(format!(".{}-{number}", std::process::id()));
    let new = file.with_file_name(name);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    let mut written = options.open(&new)?;
    let done = (|| {
        written.write_all(text)?;
        if let Some(old) = old {
            keep_owner(&written, old)?;
        }
        written.sync_all()?;
        fs::rename(&new, file)
    })();
    if done.is_err() {
        let _ = fs::remove_file(&new);
        return done;
    }
    // Makes the name as durable as the content. Not every system can open a folder, and the file is complete in any
    // case.
    #[cfg(unix)]
    if let Some(folder) = file.parent() {
        let folder = if folder.as_os_str().is_empty() {
            Path::new(".")
        } else {
            folder
        };
        let _ = File::open(folder).and_then(|folder| folder.sync_all());
    }
    Ok(())
}

/// Gives a new file the owner and the mode of the one that it replaces.
#[cfg(unix)]
fn keep_owner(new: &File, old: &Metadata) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let found = new.metadata()?;
    let mut mode = old.mode() & 0o777;
    if (found.uid(), found.gid()) != (old.uid(), old.gid())
        && std::os::unix::fs::fchown(new, Some(old.uid()), Some(old.gid())).is_err()
    {
        // Permissions of the old group must not apply to this process's group.
        mode &= !0o070;
    }
    new.set_permissions(fs::Permissions::from_mode(mode))
}

#[cfg(not(unix))]
fn keep_owner(new: &File, old: &Metadata) -> io::Result<()> {
    new.set_permissions(old.permissions())
}

/// Overwrites the content of the file, and restores it if something fails.
fn in_place(mut file: File, text: &[u8]) -> io::Result<()> {
    let mut old = Vec::new();
    file.read_to_end(&mut old)?;
    let done = (|| {
        file.seek(SeekFrom::Start(0))?;
        file.write_all(text)?;
        file.set_len(text.len() as u64)?;
        file.sync_all()
    })();
    if done.is_err() {
        // The space of the old content is already allocated.
        let back = text.len().min(old.len());
        let _ = file.seek(SeekFrom::Start(0)).and_then(|_| file.write_all(&old[..back]));
        let _ = file.set_len(old.len() as u64);
    }
    done
}

#[cfg(test)]
mod tests {
    use super::super::history::SharedHistory;
    use super::*;

    /// A separate folder, which is removed with the test.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("poe-history-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Folder(path)
        }

        fn names(&self) -> Vec<String> {
            let entries = fs::read_dir(&self.0).unwrap();
            let mut names: Vec<String> = entries
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            names
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn lines_go_to_a_file_and_come_back_in_part() {
        let folder = Folder::new("lines");
        let file = folder.0.join("history");
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
        truncate(&file, 5).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "");
        assert_eq!(folder.names(), ["history"]);
        fs::remove_file(&file).unwrap();
        let error = other.read(&file, 0..1).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with(&format!("cannot read the history file {}: ", file.display()))
        );
        other.clear();
        assert!(other.lines().is_empty());
    }

    #[test]
    fn a_file_may_hold_any_bytes() {
        let folder = Folder::new("bytes");
        let file = folder.0.join("history");
        fs::write(&file, b"one\ncaf\xe9\r\nlast").unwrap();
        let history = SharedHistory::new();
        assert_eq!(history.read(&file, 0..usize::MAX).unwrap(), 3);
        assert_eq!(history.lines(), ["one", "caf\u{fffd}", "last"]);
        truncate(&file, 2).unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"caf\xe9\r\nlast\n");
    }

    #[cfg(unix)]
    #[test]
    fn a_file_keeps_its_mode_and_its_links() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let folder = Folder::new("mode");
        let (file, link) = (folder.0.join("history"), folder.0.join("link"));
        let mode = |file: &Path| fs::metadata(file).unwrap().permissions().mode() & 0o777;
        // To a missing file, through another link.
        symlink("history", folder.0.join("far")).unwrap();
        symlink("far", &link).unwrap();
        write(&link, [b"new".as_slice()].into_iter()).unwrap();
        assert_eq!(
            (fs::read_to_string(&file).unwrap().as_str(), mode(&file)),
            ("new\n", 0o600)
        );
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        write(&link, [b"other".as_slice()].into_iter()).unwrap();
        assert_eq!(
            (fs::read_to_string(&file).unwrap().as_str(), mode(&file)),
            ("other\n", 0o640)
        );
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        // Another name of the same file has the same content.
        fs::hard_link(&file, folder.0.join("second")).unwrap();
        write(&file, [b"both".as_slice()].into_iter()).unwrap();
        assert_eq!(fs::read_to_string(folder.0.join("second")).unwrap(), "both\n");
        symlink("loop", folder.0.join("loop")).unwrap();
        assert!(write(&folder.0.join("loop"), std::iter::empty()).is_err());
        write(Path::new("/dev/null"), [b"nothing".as_slice()].into_iter()).unwrap();
        assert_eq!(folder.names(), ["far", "history", "link", "loop", "second"]);
    }
}
