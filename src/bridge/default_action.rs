//! The default action of a signal, which is restored after the last watcher is gone.
//!
//! Tokio's handler, once installed, stays, and by itself it would swallow the signal for ever. Beside it stands one action of
//! this crate per signal, which carries out the default while its flag is set. All kernels of the process share the table:
//!
//! | at the first watcher in this process | after the last watcher is gone |
//! |---|---|
//! | the default action was in force | the default action is in force |
//! | the signal was ignored (`nohup`, a background job, Rust's `PIPE`) | it is ignored |
//! | another handler was installed | that handler is called, and nothing else happens |
//! | a watching kernel was built with `keep_signal_handlers` | it is ignored, from then on |
//!
//! Only Linux reports, in `/proc`, which action was in force. Elsewhere every signal but `PIPE` counts as the first row.

use rustix::process::Signal;
use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

static TABLE: Mutex<BTreeMap<i32, Entry>> = Mutex::new(BTreeMap::new());

struct Entry {
    watchers: usize,
    /// Set while there is no watcher: the default action is carried out. `None` if it must not be restored.
    default: Option<Arc<AtomicBool>>,
}

impl Entry {
    fn set_default(&self, wanted: bool) {
        if let Some(flag) = &self.default {
            flag.store(wanted, Ordering::SeqCst);
        }
    }
}

/// One watcher. Dropping the last one restores the default action.
pub(crate) struct Watch(i32);

impl Watch {
    /// Counts a watcher, whose stream of arrivals `open` makes; `keep` prevents the default action from being restored.
    ///
    /// # Errors
    /// Those of `open`, and the system's if it does not accept an action for the signal. Nothing is changed then.
    pub(crate) fn open<T>(signal: Signal, keep: bool, open: impl FnOnce() -> io::Result<T>) -> io::Result<(T, Self)> {
        let number = signal.as_raw();
        let mut table = table();
        // Read before Tokio installs its handler.
        let before = (!table.contains_key(&number)).then(|| Before::of(signal));
        // Registered before Tokio's action, and so carried out before it: in the other order a watcher that is woken by
        // Tokio could drop the signal, and the default action would follow, before this arrival is over.
        let default = match before {
            Some(Before::Default) if !keep => Some(register(number)?),
            _ => None,
        };
        let entry = table.entry(number).or_insert(Entry { watchers: 0, default });
        // Cleared before the handler is installed, so that an arrival in between is not lost.
        entry.set_default(false);
        let stream = match open() {
            Ok(stream) => stream,
            Err(error) => {
                entry.set_default(entry.watchers == 0);
                return Err(error);
            }
        };
        entry.watchers += 1;
        entry.set_default(false);
        if keep {
            entry.default = None;
        }
        Ok((stream, Watch(number)))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(entry) = table().get_mut(&self.0) {
            entry.watchers -= 1;
            entry.set_default(entry.watchers == 0);
        }
    }
}

/// A panic, which Tokio raises without an I/O driver, leaves no entry half made.
fn table() -> MutexGuard<'static, BTreeMap<i32, Entry>> {
    TABLE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn register(number: i32) -> io::Result<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register_conditional_default(number, flag.clone())?;
    Ok(flag)
}

/// The action that was in force before the first watcher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Before {
    Default,
    Ignored,
    HandlerResult,
}

impl Before {
    fn of(signal: Signal) -> Self {
        Self::from_proc(signal.as_raw()).unwrap_or(match signal {
            // Rust's runtime ignores it at the start of the program.
            Signal::PIPE => Before::Ignored,
            _ => Before::Default,
        })
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn from_proc(number: i32) -> Option<Self> {
        Self::from_status(&std::fs::read_to_string("/proc/self/status").ok()?, number)
    }

    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    fn from_proc(_: i32) -> Option<Self> {
        None
    }

    #[cfg(any(target_os = "linux", target_os = "android", test))]
    fn from_status(status: &str, number: i32) -> Option<Self> {
        let is_in = |mask: &str| {
            let mut lines = status.lines();
            let digits = lines.find_map(|line| line.strip_prefix(mask)?.strip_prefix(':'))?;
            let bits = u128::from_str_radix(digits.trim(), 16).ok()?;
            Some(bits.checked_shr(u32::try_from(number).ok()?.checked_sub(1)?)? & 1 == 1)
        };
        Some(match (is_in("SigIgn")?, is_in("SigCgt")?) {
            (true, _) => Before::Ignored,
            (false, true) => Before::HandlerResult,
            (false, false) => Before::Default,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Before;

    #[test]
    fn the_masks_of_proc_say_what_is_in_force() {
        let status = "Name:\tx\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000001000\nSigCgt:\t0000000000014002\n";
        assert_eq!(Before::from_status(status, 13), Some(Before::Ignored));
        assert_eq!(Before::from_status(status, 2), Some(Before::HandlerResult));
        assert_eq!(Before::from_status(status, 15), Some(Before::HandlerResult));
        assert_eq!(Before::from_status(status, 1), Some(Before::Default));
        assert_eq!(Before::from_status("SigIgn:\tzz\n", 1), None);
        assert_eq!(Before::from_status("", 1), None);
        assert_eq!(Before::from_status(status, 0), None);
        assert_eq!(Before::from_status(status, 1000), None);
    }
}
