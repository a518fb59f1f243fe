//! What several tests use.

use poe::Kernel;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

/// Longer than anything takes.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// What has happened, with the milliseconds of virtual time.
#[derive(Clone, Default)]
pub(crate) struct Log(Rc<RefCell<Vec<String>>>);

impl Log {
    pub(crate) fn add(&self, line: impl Into<String>) {
        self.0.borrow_mut().push(line.into());
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.0.borrow().clone()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.borrow().len()
    }

    pub(crate) fn clear(&self) {
        self.0.borrow_mut().clear();
    }
}

/// Runs a test on a paused clock.
pub(crate) fn virtually<F: Future>(test: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build();
    runtime.unwrap().block_on(test)
}

/// Runs a kernel to its end, for at most a minute of real time.
pub(crate) async fn finish(kernel: &Kernel) {
    tokio::time::timeout(LONG, kernel.run())
        .await
        .expect("it ends")
        .unwrap();
}
