//! The kernel's interface to its host (POE::Loop): the clock, the wake-up for the next timer, the wakers of its tasks.
//!
//! The bridge never calls the kernel. It returns facts (the time, whether a deadline has passed) and
//! wake-ups; the kernel's future does the rest when its host polls it.

pub(crate) mod clock;
#[cfg(unix)]
mod default_action;
#[cfg(unix)]
pub(crate) mod descriptor;
#[cfg(not(unix))]
#[path = "descriptor_elsewhere.rs"]
pub(crate) mod descriptor;
#[cfg(unix)]
pub(crate) mod files;
pub(crate) mod mailbox;
pub(crate) mod memory;
#[cfg(not(target_family = "wasm"))]
pub(crate) mod moves;
pub(crate) mod os_signals;
#[cfg(unix)]
pub(crate) mod processes;
#[cfg(unix)]
mod reactor;
#[cfg(unix)]
pub(crate) mod reaper;
pub(crate) mod runtime;
#[cfg(unix)]
pub(crate) mod streams;
mod sync;
pub(crate) mod threads;
pub(crate) mod wake;
