//! Runs one kernel in one Tokio runtime after another.

use poe::event::START;
use poe::{Kernel, Session};
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

/// The runtime that runs the kernel after the first one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Second {
    Same,
    CurrentThread {
        first_is_dropped: bool,
    },
    MultiThread {
        first_is_dropped: bool,
    },
    /// The first is dropped while the kernel waits in the second.
    DroppedMeanwhile,
    /// The second is only a visit: the kernel ends in the first.
    ThereAndBack,
    RunBlocking,
}

pub(crate) const SECOND: [Second; 8] = [
    Second::Same,
    Second::CurrentThread { first_is_dropped: true },
    Second::CurrentThread {
        first_is_dropped: false,
    },
    Second::MultiThread { first_is_dropped: true },
    Second::MultiThread {
        first_is_dropped: false,
    },
    Second::DroppedMeanwhile,
    Second::ThereAndBack,
    Second::RunBlocking,
];

/// Those in which the first runtime is gone at the end.
pub(crate) const FIRST_GOES: [Second; 4] = [
    Second::CurrentThread { first_is_dropped: true },
    Second::MultiThread { first_is_dropped: true },
    Second::DroppedMeanwhile,
    Second::RunBlocking,
];

pub(crate) fn current_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn multi_thread() -> Runtime {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(1).enable_all().build().unwrap()
}

async fn within(kernel: &Kernel) {
    let ran = tokio::time::timeout(Duration::from_secs(20), kernel.run()).await;
    ran.unwrap_or_else(|_| panic!("nothing came\n{}", kernel.why_alive()))
        .unwrap();
}

/// Long enough for everything to be registered; it waits for the trigger.
async fn for_a_moment(kernel: &Kernel) {
    let early = tokio::time::timeout(Duration::from_millis(30), kernel.run()).await;
    assert!(early.is_err(), "it ended before the trigger: {early:?}");
}

/// Sets up in the first runtime, then runs in the second one after `trigger`. All sessions must come to their end there.
pub(crate) fn switch<T>(make: impl Fn() -> Kernel, set_up: impl Fn(&Kernel) -> T, trigger: impl Fn(&T)) {
    switch_to(&SECOND, make, set_up, trigger);
}

pub(crate) fn switch_to<T>(
    seconds: &[Second],
    make: impl Fn() -> Kernel,
    set_up: impl Fn(&Kernel) -> T,
    trigger: impl Fn(&T),
) {
    for second in seconds {
        eprintln!("{second:?}");
        let kernel = make();
        let first = current_thread();
        let made = first.block_on(async {
            let made = set_up(&kernel);
            for_a_moment(&kernel).await;
            made
        });
        match *second {
            Second::Same => {
                trigger(&made);
                first.block_on(within(&kernel));
            }
            Second::CurrentThread { first_is_dropped } | Second::MultiThread { first_is_dropped } => {
                trigger(&made);
                let first = (!first_is_dropped).then_some(first);
                let second = match second {
                    Second::MultiThread { .. } => multi_thread(),
                    _ => current_thread(),
                };
                second.block_on(within(&kernel));
                drop(first);
            }
            Second::DroppedMeanwhile => {
                let second = current_thread();
                second.block_on(async {
                    // Registered here, with the first one still there …
                    let _ = tokio::time::timeout(Duration::from_millis(5), kernel.run()).await;
                    let going = std::thread::spawn(move || drop(first));
                    // … and for what cannot move that is the end.
                    let _ = tokio::time::timeout(Duration::from_millis(30), kernel.run()).await;
                    going.join().unwrap();
                    trigger(&made);
                    within(&kernel).await;
                });
            }
            Second::ThereAndBack => {
                let second = current_thread();
                second.block_on(for_a_moment(&kernel));
                trigger(&made);
                first.block_on(within(&kernel));
                drop(second);
            }
            Second::RunBlocking => {
                trigger(&made);
                drop(first);
                Session::builder(())
                    .on(START, |cx, ()| cx.sig("my own", "nothing"))
                    .create(&kernel)
                    .unwrap();
                kernel.run_blocking().unwrap();
            }
        }
        assert_eq!(kernel.session_count(), 0);
    }
}
