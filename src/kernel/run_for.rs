//! Runs that end after a while.

use super::{Kernel, RunFuture};
use crate::bridge::clock::Clock;
use crate::bridge::deadline::Deadline;
use crate::error::Error;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

impl Kernel {
    /// Runs like [`run`](Self::run), but returns after that time at the latest; true if the run has ended by itself.
    ///
    /// Nothing is lost: sessions that are left go on in the next run. The time is the kernel's, so it follows virtual time.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    ///
    /// ```
    /// use poe::{Session, event::START, testing};
    /// use std::time::Duration;
    /// # tokio_test::block_on(async { tokio::time::pause();
    /// let kernel = testing::kernel();
    /// Session::builder(())
    ///     .on(START, |cx, ()| cx.delay("end", Duration::from_secs(60), ()))
    ///     .on("end", |_, ()| println!("a minute is over"))
    ///     .create(&kernel)?;
    /// assert!(!kernel.run_for(Duration::from_secs(59)).await?);
    /// assert!(kernel.run_for(Duration::from_secs(59)).await?); // returns after a second
    /// # Ok::<(), poe::Error>(()) }).unwrap();
    /// ```
    pub async fn run_for(&self, time: Duration) -> Result<bool, Error> {
        self.at_most(time, self.run()).await
    }

    /// Serves like [`serve`](Self::serve), but returns after that time at the latest; true if the serving has ended by itself.
    ///
    /// Nothing is shut down: see [`serve_until`](Self::serve_until) for that.
    ///
    /// # Errors
    /// As [`serve`](Self::serve).
    pub async fn serve_for(&self, time: Duration) -> Result<bool, Error> {
        self.at_most(time, self.serve()).await
    }

    async fn at_most(&self, time: Duration, mut running: RunFuture<'_>) -> Result<bool, Error> {
        let clock = &self.core().clock;
        let due = Clock::after(clock.now(), time);
        let mut timer = Deadline::default();
        poll_fn(|cx| match Pin::new(&mut running).poll(cx) {
            Poll::Ready(ended) => Poll::Ready(ended.map(|()| true)),
            Poll::Pending => timer.poll(clock, due, 0, cx).map(|()| Ok(false)),
        })
        .await
    }
}
