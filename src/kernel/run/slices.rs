//! Runs slices, in as many polls as necessary.

use super::drive::Budget;
use super::{At, Mode, Polling, Role, Step};
use crate::arg::AnyArg;
use crate::kernel::{Core, Frame, Invoke, flags};
use crate::name::NameIdx;
use crate::queue::event_queue::{Generation, Next, Post};
use crate::resource::sessions::{KERNEL, Sessions};
use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::mem::ManuallyDrop;
use std::panic::Location;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll};

/// Why the loop has stopped.
enum Go {
    /// This task is to be polled outside the kernel's own part.
    Guest(u64),
    Yield,
    Wait,
    Done,
}

/// How a generation was left.
enum Ran {
    ToTheEnd,
    /// The pace is spent.
    Spent,
    Guest(u64),
}

impl Core {
    /// Slices until the mode's end, in those polls that `part` says are ours.
    pub(super) async fn slices(&self, mode: Mode, mut part: impl FnMut() -> Role) {
        loop {
            let step = poll_fn(|cx| match part() {
                Role::Drive => self.poll_run(mode, cx),
                Role::Wait => {
                    let mut waiting = self.run.waiting.borrow_mut();
                    if !waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
                        waiting.push(cx.waker().clone());
                    }
                    Poll::Pending
                }
                Role::Leave => Poll::Ready(Step::Done),
            });
            match step.await {
                // Not by waking ourselves: that would be sixty polls ahead of the I/O driver.
                Step::Yield => tokio::task::yield_now().await,
                Step::Done => break,
            }
        }
    }

    /// Wakes the futures that wait for the end of a run, or for the driver lock.
    pub(super) fn wake_waiting(&self) {
        for waker in self.run.waiting.take() {
            waker.wake();
        }
    }

    /// As many slices as the pace allows, and what is told afterwards.
    fn poll_run(&self, mode: Mode, cx: &mut Context<'_>) -> Poll<Step> {
        // Nobody need wake a future that is being polled.
        self.shared.unregister();
        self.refresh_watching();
        let began = self.time_poll();
        let step = self.poll_slices(mode, cx);
        if began != 0 {
            self.tell_polled(began);
        }
        self.tell_meters();
        step
    }

    fn poll_slices(&self, mode: Mode, cx: &mut Context<'_>) -> Poll<Step> {
        let _polling = Polling::enter(self);
        self.clock.refresh_coarse();
        self.run.pace.begin(self);
        if self.run.is_paused() && !self.end_pause() {
            return Poll::Ready(Step::Yield);
        }
        let mut budget = Budget::Unknown;
        loop {
            // The pace bounds the kernel's own parts; Tokio's budget would cut them into pieces of 128 besides.
            let mut own = pin!(tokio::task::unconstrained(poll_fn(|cx| Poll::Ready(
                self.go_on(mode, cx)
            ))));
            match own.as_mut().poll(cx) {
                Poll::Ready(Go::Guest(key)) => {
                    if !self.poll_guest(key, &mut budget, cx) {
                        self.tasks.wait_for_budget(key);
                        return Poll::Ready(Step::Yield);
                    }
                }
                // A failure has stopped everything: the run ends in the poll that has met it.
                Poll::Ready(Go::Yield) if self.die.is_fatal() && self.sessions.borrow().count() == 0 => {
                    self.run.pace.begin(self);
                }
                Poll::Ready(Go::Yield) => return Poll::Ready(Step::Yield),
                Poll::Ready(Go::Done) => return Poll::Ready(Step::Done),
                Poll::Ready(Go::Wait) | Poll::Pending => {
                    self.shared.register(cx.waker());
                    if !self.shared.wants_attention() {
                        return Poll::Pending;
                    }
                }
            }
        }
    }

    /// What acts during a pause: KILL by a handle, the limit of a shutdown, and messages, which join the queue. False if
    /// that was all that this poll may do.
    #[cold]
    fn end_pause(&self) -> bool {
        if self.shared.wants_attention() {
            self.take_urgent();
        }
        if self.is_shutting_down() {
            self.check_shutdown();
        }
        // A flood of messages must not take every poll from the work that waits.
        if self.run.took_messages.take() || matches!(self.run.at.get(), At::Messages) {
            return true;
        }
        self.take_messages_in_pause();
        let spent = self.run.pace.is_spent();
        self.run.took_messages.set(spent);
        !spent
    }

    /// Goes on where the last poll stopped.
    fn go_on(&self, mode: Mode, cx: &mut Context<'_>) -> Go {
        loop {
            match self.run.at.get() {
                At::Start => {
                    if self.run.pace.is_spent() {
                        return Go::Yield;
                    }
                    self.begin_slice();
                }
                At::Messages => {
                    if !self.take_messages() {
                        return Go::Yield;
                    }
                    self.run.at.set(At::Tasks);
                }
                At::Tasks => {
                    match self.io_turns() {
                        Ran::ToTheEnd => {}
                        Ran::Spent => return Go::Yield,
                        Ran::Guest(key) => return Go::Guest(key),
                    }
                    self.after_io();
                    self.run.at.set(At::Files);
                }
                At::Files => {
                    if self.has_ready_files() && !self.dispatch_files() {
                        return Go::Yield;
                    }
                    if let Some(go) = self.after_io_phase(mode, cx) {
                        return go;
                    }
                }
                At::Queue(mut generation) => {
                    match self.run_generations(&mut generation, mode) {
                        Ran::ToTheEnd => {}
                        Ran::Spent => {
                            self.run.at.set(At::Queue(generation));
                            return Go::Yield;
                        }
                        Ran::Guest(key) => {
                            self.run.at.set(At::Queue(generation));
                            return Go::Guest(key);
                        }
                    }
                    self.sweep();
                    if self.config.assert_data {
                        self.assert_data();
                    }
                    self.run.at.set(At::Start);
                    if mode == Mode::Slice {
                        return Go::Done;
                    }
                }
            }
        }
    }

    /// What is ready now takes part in this slice's I/O phase.
    #[inline]
    fn begin_slice(&self) {
        self.run.told_files.set(false);
        let at = if self.shared.wants_attention() && self.shared.attend() {
            self.tasks.begin_turns();
            At::Messages
        } else if self.tasks.has_intake() {
            At::Tasks
        } else {
            At::Files
        };
        self.run.at.set(at);
    }

    /// The idle test, and what comes next: the queue phase, the next slice, the host's turn, or a wait.
    fn after_io_phase(&self, mode: Mode, cx: &mut Context<'_>) -> Option<Go> {
        if self.is_shutting_down() {
            self.check_shutdown();
        }
        self.run.at.set(At::Start);
        if self.is_over(mode) {
            return Some(Go::Done);
        }
        let now = match self.due_now() {
            Some(now) => {
                self.run.host_asked.set(false);
                now
            }
            // Ready descriptors are all that this slice had to offer.
            None if self.run.told_files.get() && mode == Mode::Slice => return Some(Go::Done),
            None => {
                if self.is_idle(mode) {
                    if self.must_ask_host() {
                        return Some(Go::Yield);
                    }
                    self.kernel_signal(KERNEL, "IDLE", AnyArg::UNIT);
                    self.clock.now()
                } else {
                    return match self.wait(cx) {
                        // The host's I/O driver may have something for us, and a file that stays ready is no haste.
                        Poll::Ready(()) if self.has_ready_files() => Some(Go::Yield),
                        Poll::Ready(()) => None,
                        Poll::Pending => Some(Go::Wait),
                    };
                }
            }
        };
        let generation = self.queue().generation(now);
        self.run.at.set(At::Queue(generation));
        None
    }

    /// Dispatches the rest of a generation, and the ones that follow while nothing else is to be done.
    ///
    /// ARCHITECTURE.md tells the way of one post through here.
    #[inline(never)]
    fn run_generations(&self, generation: &mut Generation, mode: Mode) -> Ran {
        if self.tasks.is_intake_cut() {
            match self.poll_intake() {
                Ran::ToTheEnd => {}
                cut => return cut,
            }
        }
        if self.run.pace.is_spent() {
            return Ran::Spent;
        }
        let mut at = *generation;
        // One frame for all events: the fields that do not differ are written once.
        let mut frame = Frame {
            session: self.id(),
            event: Cell::new(NameIdx::NONE),
            sender: self.id(),
            caller: NameIdx::NONE,
            place: Location::caller(),
            answer: None,
        };
        let flags: &Cell<u32> = &self.flags;
        let ran = loop {
            let mut sessions = self.sessions.borrow_mut();
            sessions.release_event();
            let mut next = sessions.queue.next(at);
            if next == Next::Nothing
                && let Some(generation) = self.next_generation(&mut sessions, mode)
            {
                at = generation;
                next = sessions.queue.first(at);
            }
            let mut timer;
            let post = match next {
                Next::Post => sessions.queue.pass_post(),
                Next::Timer => {
                    timer = take_timer(&mut sessions);
                    timer.as_mut()
                }
                Next::Nothing => None,
            };
            let Some(post) = post else {
                sessions.rest();
                break Ran::ToTheEnd;
            };
            // Field by field, as it was written: see `ActiveCell`.
            let (to, from, name, caller, place) = (post.to, post.from, post.name, post.caller, post.place);
            let mut arg = std::mem::replace(&mut post.arg, ManuallyDrop::new(AnyArg::nothing()));
            let (object, serial, sender) = sessions.take_event(to, from);
            drop(sessions);
            frame.session.serial = serial;
            frame.session.slot = to;
            frame.event.set(name);
            frame.sender.serial = sender;
            frame.sender.slot = from;
            frame.caller = caller;
            frame.place = place;
            self.dispatch_post(object, &frame, &mut arg);
            let check = self.run.pace.count();
            if (check || flags.get() & (flags::FATAL | flags::INTAKE) != 0)
                && let Some(ran) = self.between_events(check)
            {
                break ran;
            }
        };
        self.active.set_idle();
        *generation = at;
        ran
    }

    /// Does what cannot wait for the end of the generation. Returns how the generation is left, if it is.
    #[cold]
    #[inline(never)]
    fn between_events(&self, check: bool) -> Option<Ran> {
        self.sessions.borrow_mut().settle();
        self.active.set_idle();
        if self.die.is_fatal() {
            self.stop_failed();
        }
        if check {
            self.run.pace.check(self, false);
        }
        if self.tasks.has_intake() {
            match self.poll_intake() {
                Ran::ToTheEnd => {}
                cut => return Some(cut),
            }
        }
        self.run.pace.is_spent().then_some(Ran::Spent)
    }

    /// The next slice's generation, where nothing but its queue phase has anything to do: the short way round for
    /// sessions that keep the queue busy.
    #[inline(always)]
    fn next_generation(&self, sessions: &mut Sessions<Rc<dyn Invoke>>, mode: Mode) -> Option<Generation> {
        // Ready files, new tasks, the end of the run or of the kernel.
        if mode == Mode::Slice
            || self.flags.get() & !flags::QUIET != 0
            || self.shared.wants_attention()
            || sessions.settle_marks()
            || !sessions.queue.has_posts()
        {
            return None;
        }
        let queue = &sessions.queue;
        // The posts of the generation that has just ended have looked at the clock, if a timer was pending.
        let now = self.clock.now_if_due_cached(queue.next_due());
        // A timer that this generation's handlers set in the past belongs to it, so its time is never "none".
        let now = now.unwrap_or_else(|| self.clock.last());
        Some(queue.generation(now))
    }

    /// The tasks that were ready when the I/O phase began take their turns; then what their handlers have put is written.
    fn io_turns(&self) -> Ran {
        if !self.resume_task() {
            return Ran::Spent;
        }
        while let Some(key) = self.tasks.next_turn() {
            if self.run.pace.is_spent() {
                return Ran::Spent;
            }
            self.tasks.pass_turn();
            if self.tasks.is_guest(key) {
                return Ran::Guest(key);
            }
            if !self.poll_own(key, true) {
                return Ran::Spent;
            }
        }
        self.poll_intake()
    }

    /// Polls the task that has paused in its turn, if there is one. False if it pauses again.
    #[inline]
    fn resume_task(&self) -> bool {
        match self.run.paused.take() {
            Some((key, is_turn)) => self.poll_own(key, is_turn),
            None => true,
        }
    }

    /// Polls a task of the kernel's own. False if it has paused.
    fn poll_own(&self, key: u64, is_turn: bool) -> bool {
        self.run.is_turn.set(is_turn);
        self.poll_task(key);
        self.run.is_turn.set(false);
        self.run.pace.step_and_look(self);
        self.run.paused.get().is_none()
    }

    /// Polls new tasks, and wheels that were put something. Those that appear meanwhile are polled, too, but only
    /// as many rounds as a chain of handlers needs; a task that schedules itself for ever waits for the next slice.
    fn poll_intake(&self) -> Ran {
        if !self.resume_task() {
            return Ran::Spent;
        }
        while let Some(key) = self.tasks.next_of_intake() {
            if self.run.pace.is_spent() {
                self.tasks.cut_intake(true);
                return Ran::Spent;
            }
            self.tasks.pass_of_intake();
            if self.tasks.is_guest(key) {
                self.tasks.cut_intake(true);
                return Ran::Guest(key);
            }
            if !self.poll_own(key, false) {
                self.tasks.cut_intake(true);
                return Ran::Spent;
            }
        }
        self.tasks.cut_intake(false);
        Ran::ToTheEnd
    }

    #[cfg(not(unix))]
    fn has_ready_files(&self) -> bool {
        false
    }

    #[cfg(not(unix))]
    fn dispatch_files(&self) -> bool {
        true
    }

    /// A file's watcher gets its event in this slice.
    #[cfg(unix)]
    pub(crate) fn note_told_files(&self) {
        self.run.told_files.set(true);
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
        let queue = self.queue();
        let next = queue.next_due();
        if queue.has_posts() {
            let now = if next == u64::MAX {
                None
            } else {
                self.clock.now_if_due(next)
            };
            return Some(now.unwrap_or_else(|| self.clock.last()));
        }
        if next == u64::MAX {
            return None;
        }
        self.clock.now_if_due(next)
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
            Mode::Run | Mode::Slice => !self.queue().has_posts(),
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
        self.queue().len() == 0
            && self.tasks.count() == 0
            // A handler of this I/O phase may have sent a message with a handle.
            && !self.shared.wants_attention()
            && self.extrefs.borrow().session_count() == 0
            && self.outside.borrow().is_empty()
            && self.sessions.borrow().count() > 0
            && !self.awaits_children()
    }

    /// Whether the host is to have a turn before the kernel calls itself idle: a signal of the system may have come that
    /// only the host's I/O driver can report. Once for each time that it would be idle.
    fn must_ask_host(&self) -> bool {
        let ask = self.listens() && !self.run.host_asked.get();
        self.run.host_asked.set(ask);
        ask
    }

    /// Waits for the next timer or for a waker. Ready means: look again.
    fn wait(&self, cx: &mut Context<'_>) -> Poll<()> {
        // A timer that set itself while the clock moved on must not be slept on by an old reading: `poll` reads anew.
        let due = self.queue().next_due().min(self.shutdown_due());
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

/// Takes the first timer out of the queue and off its session's list.
#[inline(never)]
fn take_timer(sessions: &mut Sessions<Rc<dyn Invoke>>) -> Option<Post> {
    let (post, fired) = sessions.queue.pop_timer()?;
    let (record, queue) = sessions.with_queue(post.to);
    queue.unlink_fired(&mut record.first_timer, &fired);
    Some(post)
}
