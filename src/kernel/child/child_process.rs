//! The process to wait for.

use std::process::Child;

/// The process that [`KernelRef::sig_child`](crate::KernelRef::sig_child) waits for: a number, or a [`Child`] that the
/// kernel reaps.
///
/// ```
/// use poe::unix::ChildProcess;
/// let child = std::process::Command::new("true").spawn().unwrap();
/// let pid = child.id();
/// assert_eq!(ChildProcess::from(child).id(), pid); // given away: no other code can wait for it
/// assert_eq!(ChildProcess::from(pid).id(), pid); // only watched: its owner still waits for it
/// ```
#[derive(Debug)]
pub struct ChildProcess(pub(super) Which);

#[derive(Debug)]
pub(super) enum Which {
    Number(u32),
    Given(Child),
}

impl ChildProcess {
    /// Returns the process's number.
    #[must_use]
    pub fn id(&self) -> u32 {
        match &self.0 {
            Which::Number(pid) => *pid,
            Which::Given(child) => child.id(),
        }
    }
}

impl From<u32> for ChildProcess {
    fn from(pid: u32) -> Self {
        ChildProcess(Which::Number(pid))
    }
}

impl From<&Child> for ChildProcess {
    fn from(child: &Child) -> Self {
        ChildProcess(Which::Number(child.id()))
    }
}

impl From<Child> for ChildProcess {
    fn from(mut child: Child) -> Self {
        // Nobody can use them any more; one left open, as `Child::wait` knows, may keep the child waiting for ever.
        drop((child.stdin.take(), child.stdout.take(), child.stderr.take()));
        ChildProcess(Which::Given(child))
    }
}
