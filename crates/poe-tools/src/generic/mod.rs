//! Objects whose calls block (POE::Component::Generic): on a thread, or in a child process.

mod error;
#[cfg(all(unix, feature = "process"))]
mod process;
#[cfg(feature = "process")]
mod serve;
mod thread;

pub use error::{GenericError, GenericRefused};
#[cfg(all(unix, feature = "process"))]
pub use process::{GenericProcess, GenericProcessBuilder};
#[cfg(feature = "process")]
pub use serve::{serve_process, serve_process_on};
pub use thread::{Generic, GenericBuilder};
