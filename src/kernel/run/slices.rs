//! Slices, one after the other, in as many polls as it takes.

use super::pace::Pace;
use super::running::Polling;
use super::{Mode, Part, Step};
use crate::arg::AnyArg;
use crate::kernel::Core;
use crate::queue::lanes::{Generation, Next};
use crate::resource::sessions::KERNEL;
use std::future::{Future, poll_fn};
use std::task::{Context, Poll};

impl Core {
    /// Slices until the mode's end, in those polls that `part` says are ours.
    pub(super) async fn slices(&self, mode: Mode, mut part: impl FnMut() -> Part) {
        // The kernel has a budget of its own; Tokio's would cut a turn into pieces of 128 and starve the I/O in them.
        tokio::task::unconstrained(async {
            loop {
                let step = poll_fn(|cx| match part() {
                    Part::Drive => self.poll_run(mode, cx),
                    Part::Wait => {
                        let mut waiting = self.run.waiting.borrow_mut();
                        if !waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
                            waiting.push(cx.waker().clone());
                        }
                        Poll::Pending
                    }
                    Part::Leave => Poll::Ready(Step::Done),
                });
                match step.await {
                    // Not by waking ourselves: that would be sixty polls ahead of the I/O driver.
                    Step::GiveWay => give_way().await,
                    Step::Done => break,
                }
            }
        })
        .await;
    }

    /// Wakes those who wait for the end of a run, or for the seat of its driver.
    pub(super) fn wake_waiting(&self) {
        for waker in self.run.waiting.take() {
            waker.wake();
        }
    }

    /// As many slices as the budget allows.
    fn poll_run(&self, mode: Mode, cx: &mut Context<'_>) -> Poll<Step> {
        self.shared.register(cx.waker());
        self.refresh_watching();
        let _polling = Polling::enter(self);
        self.clock.glance();
        let mut pace = Pace::new(self);
        loop {
            let mut generation = match self.run.unfinished.take() {
                Some(generation) => generation,
                None => {
                    let ready = self.io_phase();
                    if self.is_over(mode) {
                        return Poll::Ready(Step::Done);
                    }
                    let now = match self.due_now() {
                        Some(now) => {
                            self.run.host_asked.set(false);
                            now
                        }
                        // Ready descriptors are all that this slice had to offer.
                        None if ready && mode == Mode::Slice => return Poll::Ready(Step::Done),
                        None => {
                            if self.is_idle(mode) {
                                if self.must_ask_host() {
                                    return Poll::Ready(Step::GiveWay);
                                }
                                self.kernel_signal(KERNEL, "IDLE", AnyArg::UNIT);
                                0
                            } else {
                                match self.wait(cx) {
                                    // A descriptor that stays ready must not shut out its host.
                                    Poll::Ready(()) if self.has_ready_files() => return Poll::Ready(Step::GiveWay),
                                    Poll::Ready(()) => continue,
                                    Poll::Pending => return Poll::Pending,
                                }
                            }
                        }
                    };
                    self.queue.borrow().generation(now)
                }
            };
            if !self.run_generations(&mut generation, &mut pace, mode) {
                self.run.unfinished.set(Some(generation));
                return Poll::Ready(Step::GiveWay);
            }
            self.sweep();
            if self.config.assert_data {
                self.assert_data();
            }
            if mode == Mode::Slice {
                return Poll::Ready(Step::Done);
            }
        }
    }

    /// Dispatches what is left of a generation, and of those that follow while nothing else wants to be done. False when
    /// the pace is spent before the end.
    #[inline(never)]
    fn run_generations(&self, generation: &mut Generation, pace: &mut Pace, mode: Mode) -> bool {
        while !pace.is_spent() {
            let mut queue = self.queue.borrow_mut();
            let mut next = queue.next(*generation);
            if next == Next::Nothing {
                drop(queue);
                match self.next_generation(mode) {
                    Some(next) => *generation = next,
                    None => return true,
                }
                queue = self.queue.borrow_mut();
                next = queue.next(*generation);
            }
            match next {
                Next::Post => {
                    let Some(entry) = queue.pop_post() else { return true };
                    drop(queue);
                    self.dispatch_post(entry);
                }
                Next::Timer => {
                    let Some((entry, fired)) = queue.pop_timer() else {
                        return true;
                    };
                    drop(queue);
                    self.dispatch_timer(entry, &fired);
                }
                Next::Nothing => continue,
            }
            if self.tasks.has_intake() {
                self.poll_intake();
            }
            pace.step(self);
        }
        false
    }

    /// The next slice's generation, where nothing but its queue phase has anything to do: the short way round for
    /// sessions that keep the queue busy.
    #[inline]
    fn next_generation(&self, mode: Mode) -> Option<Generation> {
        if mode == Mode::Slice
            || self.shared.wants_attention()
            || self.tasks.has_intake()
            || self.has_ready_files()
            || self.run.over.get()
            || self.is_shutting_down()
            || self.sessions.borrow_mut().settle_marks()
        {
            return None;
        }
        let queue = self.queue.borrow();
        if !queue.has_posts() {
            return None;
        }
        // The posts of the generation that has just ended have looked at the clock, if a timer was pending.
        let now = self.clock.reached_as_seen(queue.next_due());
        // A timer that this generation's handlers set in the past belongs to it, so its time is never "none".
        let now = now.unwrap_or_else(|| self.clock.passed());
        Some(queue.generation(now))
    }

    /// True if it had a descriptor's handler run.
    #[inline]
    fn io_phase(&self) -> bool {
        if self.shared.wants_attention() && self.shared.attend() {
            self.drain_inbox();
            self.poll_tasks();
            self.after_io();
        } else if self.tasks.has_intake() {
            self.poll_intake();
            self.after_io();
        }
        let ready = self.has_ready_files() && self.dispatch_files();
        if self.is_shutting_down() {
            self.check_shutdown();
        }
        ready
    }

    #[cfg(not(unix))]
    fn has_ready_files(&self) -> bool {
        false
    }

    #[cfg(not(unix))]
    fn dispatch_files(&self) -> bool {
        false
    }

    pub(crate) fn after_io(&self) {
        if self.die.is_fatal() {
            self.stop_failed();
        }
        self.sweep();
    }

    /// The time to which timers are due, if anything is due at all. With posts waiting and a timer far away, the clock is
    /// not read: a time that has passed will do for the timers that handlers are going to set in the past (law L6).
    #[inline]
    fn due_now(&self) -> Option<u64> {
        let queue = self.queue.borrow();
        let next = queue.next_due();
        if queue.has_posts() {
            let now = if next == u64::MAX {
                None
            } else {
                self.clock.reached(next)
            };
            return Some(now.unwrap_or_else(|| self.clock.passed()));
        }
        if next == u64::MAX {
            return None;
        }
        self.clock.reached(next)
    }

    #[inline]
    fn is_over(&self, mode: Mode) -> bool {
        if self.run.over.get() {
            return true;
        }
        let sessions = self.sessions.borrow().count();
        if sessions > 0 {
            return false;
        }
        match mode {
            Mode::Run | Mode::Slice => !self.queue.borrow().has_posts(),
            Mode::Serve => {
                self.run.stop_asked.get() || self.is_shutting_down() || self.inbox.is_abandoned() || self.die.is_fatal()
            }
        }
    }

    /// Whether nothing can happen any more by itself.
    fn is_idle(&self, mode: Mode) -> bool {
        if mode == Mode::Serve && !self.is_shutting_down() {
            return false;
        }
        self.queue.borrow().len() == 0
            && self.tasks.count() == 0
            && self.extrefs.borrow().session_count() == 0
            && self.outside.borrow().is_empty()
            && self.sessions.borrow().count() > 0
            && !self.awaits_children()
    }

    /// Whether the host is to have a turn before the kernel calls itself idle: a signal of the system may have come that
    /// only the host's I/O driver can tell of. Once for each time that it would be idle.
    fn must_ask_host(&self) -> bool {
        let ask = self.listens() && !self.run.host_asked.get();
        self.run.host_asked.set(ask);
        ask
    }

    /// Waits for the next timer or for a waker. Ready means: look again.
    fn wait(&self, cx: &mut Context<'_>) -> Poll<()> {
        // A timer that set itself while the clock moved on must not be slept on by an old reading: `poll` reads anew.
        let due = self.queue.borrow().next_due().min(self.shutdown_due());
        let polled = self
            .deadline
            .borrow_mut()
            .poll(&self.clock, due, self.config.timer_slack, cx);
        if polled.is_ready() || self.shared.wants_attention() || self.tasks.has_intake() || self.has_ready_files() {
            return Poll::Ready(());
        }
        Poll::Pending
    }
}

fn give_way() -> impl Future<Output = ()> {
    tokio::task::yield_now()
}
