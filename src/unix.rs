//! Children of the process and watched file descriptors (Unix).

pub use crate::kernel::{ChildProcess, ProcessExit, SelectMode, Selected, Watched};
