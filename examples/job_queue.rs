//! A queue of jobs: shell commands, a few at a time, each with a time limit, with progress as it comes.
//!
//! `cargo run --example job_queue -- [--at-once N] [--limit SECONDS] 'sleep 1; echo done' 'make' …` (on Unix). A job that
//! takes too long gets TERM, and KILL two seconds later. The exit status is 1 if a job failed. Each program's wheel has the number of
//! its job as a tag, so that handlers find the job by the wheel's ID.

#![cfg_attr(not(unix), allow(unused))]

#[cfg(unix)]
pub use queue::run_jobs;

#[cfg(unix)]
mod queue {
    use poe::event::START;
    use poe::filter::Line;
    use poe::wheel::{Exited, Input, Run};
    use poe::{Context, Event, HandlerResult, Kernel, Session, TimerId, WheelId};
    use std::collections::{HashMap, VecDeque};
    use std::rc::Rc;
    use std::time::Duration;

    /// The time between TERM and KILL.
    const GRACE: Duration = Duration::from_secs(2);

    const NEXT: Event<()> = Event::new("next");
    const OUTPUT: Event<Input<String>> = Event::new("output");
    const COMPLAINT: Event<Input<String>> = Event::new("complaint");
    const ENDED: Event<Exited> = Event::new("ended");
    const TOO_LATE: Event<WheelId> = Event::new("too late");

    /// The result of a job.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Outcome {
        /// The shell command.
        pub job: String,
        /// The lines that it wrote to standard output.
        pub lines: Vec<String>,
        /// `None` if it could not be started.
        pub code: Option<i32>,
        /// Whether it exceeded the limit.
        pub timed_out: bool,
    }

    impl Outcome {
        pub fn is_good(&self) -> bool {
            self.code == Some(0) && !self.timed_out
        }
    }

    /// A running job. It is over when the program has exited and all its outputs are closed, also by its children.
    struct Running {
        number: usize,
        wheel: Run,
        alarm: TimerId,
    }

    struct Queue {
        waiting: VecDeque<usize>,
        running: HashMap<WheelId, Running>,
        outcomes: Vec<Outcome>,
        at_once: usize,
        limit: Duration,
        progress: Rc<dyn Fn(&str)>,
        done: Option<tokio::sync::oneshot::Sender<Vec<Outcome>>>,
    }

    type Cx<'k> = Context<'k, Queue>;

    /// Runs the jobs, at most `at_once` at a time, each for at most `limit`; calls `progress` with each line of progress.
    pub async fn run_jobs(
        jobs: impl IntoIterator<Item = String>,
        at_once: usize,
        limit: Duration,
        progress: impl Fn(&str) + 'static,
    ) -> Result<Vec<Outcome>, poe::Error> {
        let outcomes: Vec<Outcome> = jobs
            .into_iter()
            .map(|job| Outcome {
                job,
                lines: Vec::new(),
                code: None,
                timed_out: false,
            })
            .collect();
        let (done, result) = tokio::sync::oneshot::channel();
        let queue = Queue {
            waiting: (0..outcomes.len()).collect(),
            running: HashMap::new(),
            outcomes,
            at_once: at_once.max(1),
            limit,
            progress: Rc::new(progress),
            done: Some(done),
        };
        let kernel = Kernel::new();
        Session::builder(queue)
            .on(START, |cx, ()| cx.yield_to(NEXT, ()))
            .on(NEXT, |cx, ()| start_some(cx))
            .on(OUTPUT, |cx, input| {
                if let Some(number) = cx.tag::<usize>(input.wheel) {
                    cx.heap.say(*number, &format!("| {}", input.record));
                    cx.heap.outcomes[*number].lines.push(input.record);
                }
            })
            .on(COMPLAINT, |cx, input| {
                if let Some(number) = cx.tag::<usize>(input.wheel) {
                    cx.heap.say(*number, &format!("! {}", input.record));
                }
            })
            .on(TOO_LATE, |cx, wheel| {
                if let Some(running) = cx.heap.running.get(&wheel) {
                    let number = running.number;
                    running.wheel.stop(GRACE);
                    cx.heap.outcomes[number].timed_out = true;
                    cx.heap.say(number, "takes too long");
                }
            })
            .on(ENDED, |cx, exited| {
                let Some(running) = cx.heap.running.remove(&exited.wheel) else {
                    return;
                };
                // After a timeout the timer is gone already.
                let _ = cx.alarm_remove(running.alarm);
                let outcome = &mut cx.heap.outcomes[running.number];
                // A program that was ended by a signal has no exit code; shells report 128 or more.
                outcome.code = exited.status.map(|status| status.code().unwrap_or(128));
                let good = outcome.is_good();
                cx.heap.say(running.number, if good { "is done" } else { "has failed" });
                cx.yield_to(NEXT, ());
            })
            .create(&kernel)?;
        kernel.run().await?;
        Ok(result.await.unwrap_or_default())
    }

    fn start_some(cx: &mut Cx<'_>) -> HandlerResult {
        while cx.heap.running.len() < cx.heap.at_once
            && let Some(number) = cx.heap.waiting.pop_front()
        {
            let job = Run::shell(cx.heap.outcomes[number].job.clone()).no_stdin().tag(number);
            let job = job.stdout(Line::lossy(), OUTPUT).stderr(Line::lossy(), COMPLAINT);
            match job.ended(ENDED).start(cx) {
                Ok(wheel) => {
                    let (id, limit) = (wheel.id(), cx.heap.limit);
                    let running = Running {
                        number,
                        wheel,
                        alarm: cx.delay_set(TOO_LATE, limit, id),
                    };
                    cx.heap.running.insert(id, running);
                    cx.heap.say(number, "starts");
                }
                Err(error) => cx.heap.say(number, &format!("cannot start: {error}")),
            }
        }
        if cx.heap.running.is_empty()
            && let Some(done) = cx.heap.done.take()
        {
            // The caller may have been dropped.
            let _ = done.send(std::mem::take(&mut cx.heap.outcomes));
        }
        Ok(())
    }

    impl Queue {
        fn say(&self, number: usize, what: &str) {
            let (left, all) = (self.waiting.len() + self.running.len(), self.outcomes.len());
            (self.progress)(&format!("[{}/{all}] job {}: {what}", all - left, number + 1));
        }
    }
}

#[cfg(unix)]
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (mut at_once, mut limit, mut jobs) = (2, 60.0, Vec::new());
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match &*arg {
            "--at-once" => at_once = args.next().ok_or("--at-once wants a number")?.parse()?,
            "--limit" => limit = args.next().ok_or("--limit wants seconds")?.parse()?,
            _ => jobs.push(arg),
        }
    }
    let limit = std::time::Duration::try_from_secs_f64(limit)?;
    let outcomes = run_jobs(jobs, at_once, limit, |line| println!("{line}")).await?;
    let failed = outcomes.iter().filter(|outcome| !outcome.is_good()).count();
    println!("{} done, {failed} failed", outcomes.len() - failed);
    std::process::exit(i32::from(failed > 0))
}

#[cfg(not(unix))]
fn main() {
    eprintln!("programs are run on Unix only");
}
