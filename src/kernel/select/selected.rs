//! The modes of watching a descriptor, and the argument of its event.

use super::Watched;
use crate::bridge::files::Want;

/// The mode in which a descriptor is watched.
///
/// ```
/// use poe::{Event, Kernel, Session, event::START, unix::{SelectMode, Selected, Watched}};
/// const READY: Event<Selected> = Event::new("ready");
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let kernel = Kernel::new();
/// let (near, far) = std::os::unix::net::UnixStream::pair()?;
/// drop(far);
/// Session::builder(near)
///     .on(START, |cx, ()| {
///         let file = Watched::new(&*cx.heap)?;
///         cx.select_read(&file, READY, ())?;
///         cx.select_write(&file, READY, ())
///     })
///     .on(READY, |cx, selected| match selected.mode {
///         SelectMode::Read => assert!(cx.select_read_clear(&selected.handle)), // the end can be read
///         other => {
///             assert_eq!(other, SelectMode::Write); // an error can be met
///             cx.select_write_clear(&selected.handle);
///         }
///     })
///     .create(&kernel)?;
/// kernel.run().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub enum SelectMode {
    /// Bytes, the end, or an error can be read.
    #[doc(alias = "MODE_RD")]
    Read,
    /// It can be written, or has an error.
    #[doc(alias = "MODE_WR")]
    Write,
    /// Urgent (out-of-band) data has come. On other systems than Linux and Android only a wake-up for reading reports
    /// it.
    #[doc(alias = "MODE_EX")]
    Expedite,
}

impl SelectMode {
    pub(super) fn want(self) -> Want {
        match self {
            SelectMode::Read => Want::Read,
            SelectMode::Write => Want::Write,
            SelectMode::Expedite => Want::Priority,
        }
    }
}

/// The argument of a watcher's event.
///
/// ```
/// use poe::{Event, Kernel, Session, event::START, unix::{Selected, Watched}};
/// use std::io::Read;
/// const READABLE: Event<Selected<usize>> = Event::new("readable");
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let kernel = Kernel::new();
/// # let (a, b) = (std::io::pipe()?.0, std::io::pipe()?.0);
/// Session::builder(vec![a, b]) // two pipes at their ends
///     .on(START, |cx, ()| -> poe::HandlerResult {
///         for (n, reader) in cx.heap.iter().enumerate() {
///             cx.kernel.select_read(&Watched::new(reader)?, READABLE, n)?;
///         }
///         Ok(())
///     })
///     .on(READABLE, |cx, Selected { handle, extra: n, .. }| -> poe::HandlerResult {
///         assert_eq!(cx.heap[n].read(&mut [0; 80])?, 0); // the one that is ready
///         cx.select_read_clear(&handle);
///         Ok(())
///     })
///     .create(&kernel)?;
/// kernel.run().await?; // until both are cleared
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Selected<X = ()> {
    /// The descriptor that is ready.
    pub handle: Watched,
    /// The mode.
    pub mode: SelectMode,
    /// The value that the watcher was made with.
    pub extra: X,
}
