//! A custom wheel, written outside the crate: a metronome, which counts at a steady pace. Run it with
//! `cargo run --example custom_wheel`.
//!
//! A wheel has two halves. [`Metronome`] is the value that a session keeps; dropping it ends the wheel. [`Beats`] is the
//! source that the kernel polls; it emits the events. They share the interval through an `Rc`.

use poe::extend::{Flow, Sleep, Source, SourceContext, WheelHandle};
use poe::{Context, Error, Event, HandlerResult, Kernel, KernelRef, Session, event::START};
use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{self, Poll};
use std::time::Duration;

/// The half in the session's heap.
pub(crate) struct Metronome {
    handle: WheelHandle,
    interval: Rc<Cell<Duration>>,
}

impl Metronome {
    /// Starts a metronome for the current session; the event `beat` carries the number of the beat.
    #[track_caller]
    pub(crate) fn start(kernel: &KernelRef<'_>, interval: Duration, beat: Event<u32>) -> Result<Self, Error> {
        let (sleep, interval) = (Sleep::new(interval), Rc::new(Cell::new(interval)));
        let source = Beats {
            beat,
            number: 0,
            sleep,
            interval: interval.clone(),
        };
        let handle = kernel.add_source("Metronome", source)?;
        Ok(Metronome { handle, interval })
    }

    /// Changes the pace from now on.
    pub(crate) fn set_interval(&self, interval: Duration) {
        self.interval.set(interval);
        self.handle.wake(); // so that the source reads it
    }
}

/// The half that the kernel polls.
struct Beats {
    beat: Event<u32>,
    number: u32,
    sleep: Sleep,
    interval: Rc<Cell<Duration>>,
}

impl Source for Beats {
    fn poll(&mut self, cx: &mut SourceContext<'_>, waker: &mut task::Context<'_>) -> Poll<()> {
        while Pin::new(&mut self.sleep).poll(waker).is_ready() {
            self.number += 1;
            self.sleep = Sleep::new(self.interval.get());
            match cx.emit(self.beat, self.number) {
                Flow::Go => {}
                Flow::Pause => break, // the kernel polls again at once; there is nothing to keep
                Flow::Gone => return Poll::Ready(()),
            }
        }
        Poll::Pending
    }
}

const BEAT: Event<u32> = Event::new("beat");

fn on_beat(cx: &mut Context<'_, Option<Metronome>>, number: u32) {
    println!("beat {number}");
    match (number, &*cx.heap) {
        (3, Some(metronome)) => metronome.set_interval(Duration::from_millis(20)),
        (6, _) => *cx.heap = None,
        _ => {}
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let kernel = Kernel::new();
    Session::builder(None)
        .on(START, |cx, ()| -> HandlerResult {
            *cx.heap = Some(Metronome::start(cx, Duration::from_millis(200), BEAT)?);
            println!("{}", cx.kernel.why_alive());
            Ok(())
        })
        .on(BEAT, on_beat)
        .create(&kernel)?;
    kernel.run().await
}
