//! The process's terminal, which one wheel uses at a time.
//!
//! Its mode belongs to the process and outlives a leaked wheel, so the claim restores it when it is dropped. Where a panic
//! does not unwind nothing is dropped, and a hook restores it.

use poe::Error;
use std::io::{self, IsTerminal};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

static CLAIMED: AtomicBool = AtomicBool::new(false);

/// The right to change the terminal's mode.
pub(crate) struct Claim {
    /// Undoes what the wheel did to the screen, before the mode is restored.
    leave: fn(),
}

impl Claim {
    /// Claims the terminal.
    ///
    /// # Errors
    /// Standard input is not a terminal, or another wheel uses it.
    pub(crate) fn take(leave: fn()) -> Result<Self, Error> {
        if !io::stdin().is_terminal() {
            return Err(Error::invalid_setting("standard input is not a terminal"));
        }
        if CLAIMED.swap(true, Ordering::AcqRel) {
            return Err(Error::invalid_setting(
                "another wheel uses the terminal: a process has one ReadLine or Curses at a time",
            ));
        }
        if cfg!(panic = "abort") {
            restore_in_a_panic();
        }
        Ok(Claim { leave })
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        (self.leave)();
        // Does nothing if the mode was restored already.
        let _ = crossterm::terminal::disable_raw_mode();
        CLAIMED.store(false, Ordering::Release);
    }
}

fn restore_in_a_panic() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if CLAIMED.load(Ordering::Acquire) {
                let _ = crossterm::terminal::disable_raw_mode();
            }
            before(info);
        }));
    });
}
