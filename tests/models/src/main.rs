//! Tries every interleaving of the two files that threads share with a kernel: `src/bridge/wake.rs` and
//! `src/bridge/mailbox.rs`. They are compiled here as they stand, with loom's atomics and locks.
//!
//! The kernel's side is the loop of `src/kernel/run`: take the flag down, take what has come, register the waker, look at
//! the flag again, sleep. A lost wake-up shows as a deadlock, which loom reports with the interleaving.

#[allow(dead_code, reason = "a model does not need everything that a kernel does")]
#[path = "../../../src/bridge"]
mod bridge {
    pub(crate) mod mailbox;
    pub(crate) mod wake;

    /// Loom's counterparts of `src/bridge/sync.rs`.
    pub(crate) mod sync {
        pub(crate) use loom::sync::atomic::{AtomicBool, AtomicUsize};
        pub(crate) use loom::sync::{Mutex, MutexGuard};
        pub(crate) use std::sync::atomic::Ordering;
        use std::task::Waker;

        /// Loom's has other names than the crate `atomic-waker`.
        #[derive(Default)]
        pub(crate) struct AtomicWaker(loom::future::AtomicWaker);

        impl AtomicWaker {
            pub(crate) fn register(&self, waker: &Waker) {
                self.0.register_by_ref(waker);
            }

            pub(crate) fn wake(&self) {
                self.0.wake();
            }

            pub(crate) fn take(&self) -> Option<Waker> {
                self.0.take_waker()
            }
        }
    }
}

use bridge::mailbox::{Door, Mailbox, Needs, Refusal};
use bridge::wake::{TaskWaker, WakeState};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};

/// One poll of the kernel's future: looks until nothing wants its attention, then sleeps, unless `look` says that it is done.
fn poll_kernel(shared: &WakeState, cx: &mut Context<'_>, mut look: impl FnMut() -> bool) -> Poll<()> {
    shared.unregister();
    loop {
        if shared.wants_attention() {
            shared.attend();
        }
        if look() {
            return Poll::Ready(());
        }
        shared.register(cx.waker());
        if !shared.wants_attention() {
            return Poll::Pending;
        }
    }
}

fn run_kernel(shared: &WakeState, mut look: impl FnMut() -> bool) {
    loom::future::block_on(poll_fn(|cx| poll_kernel(shared, cx, &mut look)));
}

/// Tasks that two threads wake are all seen, each once.
fn wakes_are_not_lost() {
    let shared = Arc::new(WakeState::default());
    let threads = [1, 2].map(|key| {
        let waker = Waker::from(TaskWaker::new(shared.clone(), key));
        loom::thread::spawn(move || waker.wake())
    });
    let mut seen = Vec::new();
    run_kernel(&shared, || {
        let mut woken = Vec::new();
        shared.take_woken(&mut woken);
        seen.append(&mut woken);
        seen.len() >= 2
    });
    seen.sort_unstable();
    assert_eq!(seen, [1, 2]);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

/// A task that is woken again, also while it is polled, is polled again: `rearm` comes before the poll.
fn a_wake_during_the_poll_counts() {
    let shared = Arc::new(WakeState::default());
    let task = TaskWaker::new(shared.clone(), 7);
    let progress = Arc::new(loom::sync::atomic::AtomicUsize::new(0));
    let thread = {
        let (waker, progress) = (Waker::from(task.clone()), progress.clone());
        loom::thread::spawn(move || {
            for step in 1..=2 {
                progress.store(step, Ordering::Release);
                waker.wake_by_ref();
            }
        })
    };
    run_kernel(&shared, || {
        let mut woken = Vec::new();
        shared.take_woken(&mut woken);
        !woken.is_empty() && {
            task.rearm();
            progress.load(Ordering::Acquire) == 2
        }
    });
    thread.join().unwrap();
}

type Letters = Mailbox<(u8, u8), u8>;

fn mailbox(capacity: usize) -> Arc<Letters> {
    Arc::new(Mailbox::new(Arc::new(WakeState::default()), capacity))
}

/// Letters of two threads all arrive, those of one thread in its order.
fn letters_arrive_in_order() {
    let mailbox = mailbox(8);
    let threads = [0, 1].map(|thread| {
        let mailbox = mailbox.clone();
        loom::thread::spawn(move || {
            for number in 0..2 {
                mailbox.put(Needs::Kernel, || (thread, number)).unwrap();
            }
        })
    });
    let mut all = Vec::new();
    run_kernel(&mailbox.shared, || {
        let mut letters = VecDeque::new();
        mailbox.take(&mut letters);
        all.extend(letters);
        all.len() == 4
    });
    for thread in [0, 1] {
        let numbers: Vec<u8> = all
            .iter()
            .filter(|letter| letter.0 == thread)
            .map(|letter| letter.1)
            .collect();
        assert_eq!(numbers, [0, 1]);
    }
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

/// An urgent letter wakes the kernel although the announcement of an ordinary one is still out.
fn urgent_letters_wake() {
    let mailbox = mailbox(8);
    let thread = {
        let mailbox = mailbox.clone();
        loom::thread::spawn(move || {
            mailbox.put(Needs::Kernel, || (0, 0)).unwrap();
            mailbox.put_urgent(|| 9).unwrap();
        })
    };
    let (mut urgent, mut letters) = (Vec::new(), VecDeque::new());
    run_kernel(&mailbox.shared, || {
        urgent.append(&mut mailbox.take_urgent());
        let mut taken = VecDeque::new();
        mailbox.take(&mut taken);
        letters.append(&mut taken);
        (urgent.len(), letters.len()) == (1, 1)
    });
    thread.join().unwrap();
}

/// The last handle is dropped, with a letter sent before: `serve` takes the letter and ends.
fn the_last_handle_ends_serve() {
    let mailbox = mailbox(8);
    mailbox.enter();
    mailbox.enter();
    let threads = [0, 1].map(|thread| {
        let mailbox = mailbox.clone();
        loom::thread::spawn(move || {
            if thread == 0 {
                mailbox.put(Needs::Run, || (0, 0)).unwrap();
            }
            mailbox.leave();
        })
    });
    let mut taken = 0;
    run_kernel(&mailbox.shared, || {
        let mut letters = VecDeque::new();
        mailbox.take(&mut letters);
        taken += letters.len();
        mailbox.is_abandoned()
    });
    assert_eq!(taken, 1);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

/// A call at the moment in which the run ends is refused, or given out by the end: nobody waits for ever.
fn a_call_at_the_end_of_the_run_is_not_lost() {
    let mailbox = mailbox(8);
    let thread = {
        let mailbox = mailbox.clone();
        loom::thread::spawn(move || {
            let call = mailbox.put(Needs::Run, || (0, 0));
            let post = mailbox.put(Needs::Kernel, || (0, 1));
            (call, post)
        })
    };
    let (_, mut out) = mailbox.shut(Door::NoCalls);
    let (call, post) = thread.join().unwrap();
    let (_, rest) = mailbox.shut(Door::Closed);
    let first = out.len();
    out.extend(rest);
    assert_eq!(post, Ok(()));
    match call {
        // It came before the end, which gave it out.
        Ok(()) => assert!(first >= 1 && out[0] == (0, 0)),
        Err(refusal) => assert_eq!(refusal, Refusal::Ended),
    }
    assert!(out.contains(&(0, 1)));
    assert_eq!(mailbox.put(Needs::Kernel, || (0, 2)), Err(Refusal::Closed));
}

/// A full mailbox refuses, and what the kernel itself puts in always is taken.
fn a_full_mailbox_refuses() {
    let mailbox = mailbox(1);
    let threads = [0, 1].map(|thread| {
        let mailbox = mailbox.clone();
        loom::thread::spawn(move || mailbox.put(Needs::Kernel, || (thread, 0)).is_ok())
    });
    mailbox.put_always((2, 0)).unwrap();
    let accepted = threads.map(|thread| thread.join().unwrap());
    let mut letters = VecDeque::new();
    mailbox.take(&mut letters);
    assert_eq!(letters.len(), 1 + accepted.iter().filter(|ok| **ok).count());
    assert!(letters.contains(&(2, 0)));
    assert!(letters.len() <= 2);
}

/// Puts a letter as soon as there is room, as `post_wait` does.
fn put_waiting(mailbox: &Letters, letter: (u8, u8)) -> Result<(), Refusal> {
    let mut place = None;
    loom::future::block_on(poll_fn(|cx| {
        mailbox.poll_put(Needs::Kernel, &mut place, cx.waker(), || letter)
    }))
}

/// Two senders wait for the one place of a full mailbox: both are woken in the end, and the mailbox never holds more than one letter.
fn waiting_senders_all_get_room() {
    let mailbox = mailbox(1);
    mailbox.put(Needs::Kernel, || (9, 9)).unwrap();
    let threads = [0, 1].map(|thread| {
        let mailbox = mailbox.clone();
        loom::thread::spawn(move || put_waiting(&mailbox, (thread, 0)).unwrap())
    });
    let mut all = Vec::new();
    run_kernel(&mailbox.shared, || {
        let mut letters = VecDeque::new();
        mailbox.take(&mut letters);
        assert!(letters.len() <= 1, "{letters:?}");
        all.extend(letters);
        all.len() == 3
    });
    assert_eq!(all[0], (9, 9));
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

/// A sender gives up, perhaps just when it is called: the one behind it gets the room.
fn a_sender_that_gives_up_passes_the_room_on() {
    let mailbox = mailbox(1);
    mailbox.put(Needs::Kernel, || (9, 9)).unwrap();
    let mut place = None;
    let waiting = mailbox.poll_put(Needs::Kernel, &mut place, Waker::noop(), || (0, 0));
    assert_eq!(waiting, Poll::Pending);
    let gives_up = {
        let mailbox = mailbox.clone();
        loom::thread::spawn(move || mailbox.leave_line(place.unwrap()))
    };
    let waits = {
        let mailbox = mailbox.clone();
        loom::thread::spawn(move || put_waiting(&mailbox, (1, 0)).unwrap())
    };
    let mut all = Vec::new();
    run_kernel(&mailbox.shared, || {
        let mut letters = VecDeque::new();
        mailbox.take(&mut letters);
        all.extend(letters);
        all.len() == 2
    });
    assert_eq!(all, [(9, 9), (1, 0)]);
    gives_up.join().unwrap();
    waits.join().unwrap();
}

/// The kernel goes while senders wait: each is told, or its letter is among those that were not taken.
fn the_end_of_the_kernel_wakes_waiting_senders() {
    let mailbox = mailbox(1);
    mailbox.put(Needs::Kernel, || (9, 9)).unwrap();
    let threads = [0, 1].map(|thread| {
        let mailbox = mailbox.clone();
        loom::thread::spawn(move || put_waiting(&mailbox, (thread, 0)))
    });
    let mut letters = VecDeque::new();
    mailbox.take(&mut letters);
    let (_, rest) = mailbox.shut(Door::Closed);
    let sent = threads.map(|thread| thread.join().unwrap());
    let accepted = sent.iter().filter(|sent| sent.is_ok()).count();
    assert_eq!(rest.len(), accepted);
    assert!(sent.iter().all(|sent| matches!(sent, Ok(()) | Err(Refusal::Closed))));
}

fn main() {
    let models: [(&str, fn()); 10] = [
        ("wakes are not lost", wakes_are_not_lost),
        ("a wake during the poll counts", a_wake_during_the_poll_counts),
        ("letters arrive in order", letters_arrive_in_order),
        ("urgent letters wake", urgent_letters_wake),
        ("the last handle ends serve", the_last_handle_ends_serve),
        (
            "a call at the end of the run is not lost",
            a_call_at_the_end_of_the_run_is_not_lost,
        ),
        ("a full mailbox refuses", a_full_mailbox_refuses),
        ("waiting senders all get room", waiting_senders_all_get_room),
        (
            "a sender that gives up passes the room on",
            a_sender_that_gives_up_passes_the_room_on,
        ),
        (
            "the end of the kernel wakes waiting senders",
            the_end_of_the_kernel_wakes_waiting_senders,
        ),
    ];
    for (name, model) in models {
        let tried = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let count = tried.clone();
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(3);
        builder.check(move || {
            count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            model();
        });
        println!(
            "{name}: {} interleavings",
            tried.load(std::sync::atomic::Ordering::Relaxed)
        );
    }
}
