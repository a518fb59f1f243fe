//! JobQueue: random jobs, cancellations, pauses and numbers of workers against a simulation; failures; both modes.

use crate::kit::{LONG, Log, finish, virtually};
use poe::event::{START, STOP};
use poe::{CallError, Event, Kernel, Session, testing};
use poe_tools::{JobDone, JobError, JobId, JobQueue, JobQueueBuilder, JobResult};
use proptest::prelude::*;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::mpsc;
use std::time::Duration;
use tokio::time::Instant;

/// The distance of the script's steps in milliseconds. Job `n` takes a multiple of it and 2ⁿ, so no two things happen at one time unless
/// they belong together: no two workers have done the same set of jobs.
const STEP: u64 = 8192;

#[derive(Clone, Debug)]
enum Do {
    Enqueue { priority: i64, steps: u64, panics: bool },
    Cancel(usize),
    SetPriority(usize, i64),
    Pause,
    Resume,
    SetWorkers(usize),
}

fn script() -> impl Strategy<Value = Vec<Do>> {
    let enqueue = || (-2..3_i64, 0..4_u64, any::<bool>());
    let step = prop_oneof![
        4 => enqueue().prop_map(|(priority, steps, panics)| Do::Enqueue { priority, steps, panics }),
        1 => (0..12_usize).prop_map(Do::Cancel),
        1 => (0..12_usize, -3..4_i64).prop_map(|(job, priority)| Do::SetPriority(job, priority)),
        1 => Just(Do::Pause),
        2 => Just(Do::Resume),
        1 => (1..4_usize).prop_map(Do::SetWorkers),
    ];
    prop::collection::vec(step, 1..24)
}

/// A job of the script: its number, how long it takes, and whether it panics then.
#[derive(Clone, Copy, Debug)]
struct Job {
    number: usize,
    takes: u64,
    panics: bool,
}

/// What the simulation says of a script: `time start job` and `time end job how`.
#[derive(Default)]
struct Model {
    waiting: BTreeMap<usize, (i64, Job)>,
    running: BTreeMap<usize, (u64, Job)>,
    workers: usize,
    paused: bool,
    starts: Vec<String>,
    ends: Vec<String>,
}

impl Model {
    fn fill(&mut self, now: u64) {
        while !self.paused && self.running.len() < self.workers {
            let next = self
                .waiting
                .iter()
                .max_by_key(|(number, (priority, _))| (*priority, std::cmp::Reverse(**number)));
            let Some((&number, _)) = next else { return };
            let (_, job) = self.waiting.remove(&number).unwrap();
            self.starts.push(format!("{now} {number}"));
            self.running.insert(number, (now + job.takes, job));
        }
    }

    /// Ends all jobs that end before `until`.
    fn advance(&mut self, until: u64) {
        while let Some((&number, &(end, job))) = self.running.iter().min_by_key(|(_, (end, _))| *end)
            && end < until
        {
            self.running.remove(&number);
            let how = if job.panics { "failed" } else { "ok" };
            self.ends.push(format!("{end} {number} {how}"));
            self.fill(end);
        }
    }

    fn run(script: &[Do], workers: usize) -> Self {
        let mut model = Model {
            workers,
            ..Model::default()
        };
        let mut jobs = 0;
        for (step, what) in script.iter().enumerate() {
            let now = (step as u64 + 1) * STEP;
            model.advance(now);
            match *what {
                Do::Enqueue {
                    priority,
                    steps,
                    panics,
                } => {
                    let job = job(jobs, steps, panics);
                    model.waiting.insert(jobs, (priority, job));
                    jobs += 1;
                }
                Do::Cancel(number) => {
                    if model.waiting.remove(&number).is_some() || model.running.remove(&number).is_some() {
                        model.ends.push(format!("{now} {number} cancelled"));
                    }
                }
                Do::SetPriority(number, to) => {
                    if let Some((priority, _)) = model.waiting.get_mut(&number) {
                        *priority = to;
                    }
                }
                Do::Pause => model.paused = true,
                Do::Resume => model.paused = false,
                Do::SetWorkers(workers) => model.workers = workers,
            }
            model.fill(now);
        }
        // The script's end resumes.
        let now = (script.len() as u64 + 1) * STEP;
        model.advance(now);
        model.paused = false;
        model.fill(now);
        model.advance(u64::MAX);
        model
    }
}

fn job(number: usize, steps: u64, panics: bool) -> Job {
    Job {
        number,
        takes: steps * STEP + (1 << (number % 13)),
        panics,
    }
}

const DONE: Event<JobDone<usize>> = Event::new("done");
const NEXT: Event<usize> = Event::new("next");

fn how(result: &Result<usize, JobError>) -> &'static str {
    match result {
        Ok(_) => "ok",
        Err(error) if error.is_failed() => "failed",
        Err(error) if error.is_cancelled() => "cancelled",
        Err(error) if error.is_timed_out() => "timed out",
        Err(error) if error.is_lost() => "lost",
        Err(_) => "refused",
    }
}

fn millis(began: Instant) -> u64 {
    began.elapsed().as_millis() as u64
}

fn by_futures(starts: &Log, began: Instant) -> JobQueueBuilder<Job, usize> {
    let starts = starts.clone();
    JobQueue::futures(move |job: Job| {
        starts.add(format!("{} {}", millis(began), job.number));
        async move {
            tokio::time::sleep(Duration::from_millis(job.takes)).await;
            assert!(!job.panics, "as the script says");
            job.number
        }
    })
}

fn by_sessions(starts: &Log, began: Instant) -> JobQueueBuilder<Job, usize> {
    const WORK: Event<()> = Event::new("work");
    let starts = starts.clone();
    JobQueue::sessions(move |cx, job: Job, result: JobResult<usize>| {
        starts.add(format!("{} {}", millis(began), job.number));
        let worker = Session::builder(Some(result))
            .on(START, move |cx, ()| {
                cx.delay(WORK, Duration::from_millis(job.takes), ())
            })
            .on(WORK, move |cx, ()| {
                assert!(!job.panics, "as the script says");
                let result = cx.heap.take().unwrap();
                assert_eq!(result.send(job.number), None);
            });
        cx.create(worker)
    })
}

struct Driver {
    queue: JobQueue<Job, usize>,
    script: Vec<Do>,
    jobs: Vec<JobId>,
    ends: Log,
    began: Instant,
}

/// Runs a script, and returns when jobs started and how they ended.
fn run(script: &[Do], workers: usize, make: impl Fn(&Log, Instant) -> JobQueueBuilder<Job, usize>) -> (Log, Log) {
    virtually(async {
        let kernel = testing::kernel();
        let (starts, ends, began) = (Log::default(), Log::default(), Instant::now());
        let queue = make(&starts, began).workers(workers).start(&kernel).unwrap();
        let driver = Driver {
            queue,
            script: script.to_vec(),
            jobs: Vec::new(),
            ends: ends.clone(),
            began,
        };
        Session::builder(driver)
            .on(START, |cx, ()| {
                for step in 0..=cx.heap.script.len() {
                    cx.delay_set(NEXT, Duration::from_millis((step as u64 + 1) * STEP), step);
                }
            })
            .on(NEXT, |cx, step| {
                let queue = cx.heap.queue.clone();
                let job_of = |number: usize| cx.heap.jobs.get(number).copied();
                match cx.heap.script.get(step) {
                    Some(&Do::Enqueue {
                        priority,
                        steps,
                        panics,
                    }) => {
                        let job = job(cx.heap.jobs.len(), steps, panics);
                        let id = queue.enqueue_with(cx, job, priority, DONE).unwrap();
                        cx.heap.jobs.push(id);
                    }
                    Some(&Do::Cancel(number)) => {
                        let _ = job_of(number).map(|id| queue.cancel(cx, id));
                    }
                    Some(&Do::SetPriority(number, to)) => {
                        let _ = job_of(number).map(|id| queue.set_priority(id, to));
                    }
                    Some(Do::Pause) => queue.pause(),
                    Some(Do::Resume) | None => queue.resume(cx),
                    Some(&Do::SetWorkers(workers)) => queue.set_workers(cx, workers),
                }
            })
            .on(DONE, |cx, done| {
                let number = cx.heap.jobs.iter().position(|id| *id == done.job).unwrap();
                if let Ok(result) = done.result {
                    assert_eq!(result, number);
                }
                let line = format!("{} {number} {}", millis(cx.heap.began), how(&done.result));
                cx.heap.ends.add(line);
            })
            .create(&kernel)
            .unwrap();
        kernel.run().await.unwrap();
        testing::assert_no_leaks(&kernel);
        (starts, ends)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]
    #[test]
    fn jobs_start_and_end_as_in_a_simulation(script in script(), workers in 1..4_usize) {
        let model = Model::run(&script, workers);
        let (starts, ends) = run(&script, workers, by_futures);
        prop_assert_eq!(&starts.lines(), &model.starts);
        prop_assert_eq!(&ends.lines(), &model.ends);
        let (starts, ends) = run(&script, workers, by_sessions);
        prop_assert_eq!(&starts.lines(), &model.starts);
        prop_assert_eq!(&ends.lines(), &model.ends);
    }
}

/// A session that notes the ends of its jobs.
fn asker(log: &Log) -> poe::SessionBuilder<Log> {
    Session::builder(log.clone()).on(DONE, |cx, done| {
        cx.heap.add(format!("{} {}", done.job, how(&done.result)))
    })
}

#[test]
fn a_full_queue_and_one_that_was_shut_down_give_the_job_back() {
    virtually(async {
        let kernel = testing::kernel();
        let queue = JobQueue::futures(async |n: usize| {
            tokio::time::sleep(Duration::from_secs(1)).await;
            n
        });
        let queue = queue.workers(1).capacity(2).alias("queue").start(&kernel).unwrap();
        let (log, ends) = (Log::default(), Log::default());
        asker(&log)
            .on(START, move |cx, ()| -> poe::HandlerResult {
                for n in 0..2 {
                    queue.enqueue(cx, n, DONE)?;
                }
                let refused = queue.enqueue(cx, 7, DONE).unwrap_err();
                assert!(refused.is_full() && refused.to_string().contains("2 jobs wait already"));
                assert_eq!(refused.into_job(), 7);
                let queue = queue.clone();
                // When the first one runs: one waits.
                cx.delay("later", 0.5, ());
                cx.state("later", move |cx, ()| {
                    queue.enqueue(cx, 2, DONE).unwrap();
                    queue.shutdown(cx);
                    cx.delay("last", 0.1, ());
                    let queue = queue.clone();
                    cx.state("last", move |cx, ()| {
                        assert_eq!((queue.waiting(), queue.running()), (0, 1));
                        let refused = queue.enqueue(cx, 7, DONE).unwrap_err();
                        assert!(!refused.is_full() && refused.to_string().contains("shut down"));
                    });
                });
                Ok(())
            })
            .create(&kernel)
            .unwrap();
        kernel.run().await.unwrap();
        assert_eq!(log.lines(), ["2 cancelled", "3 cancelled", "1 ok"]);
        assert!(kernel.resolve("queue").is_none() && ends.lines().is_empty());
    });
}

#[test]
fn a_job_that_takes_too_long_is_given_up_and_its_worker_stopped() {
    virtually(async {
        let kernel = testing::kernel();
        let (log, stopped) = (Log::default(), Log::default());
        let heap = stopped.clone();
        let sessions = JobQueue::sessions(move |cx, n: usize, result: JobResult<usize>| {
            let worker = Session::builder((heap.clone(), Some(result)))
                .on(START, move |cx, ()| cx.delay("work", 10.0 * n as f64, ()))
                .on("work", move |cx, ()| {
                    cx.heap.1.take().and_then(|result| result.send(n)).map_or((), |_| ())
                })
                .on("stay", |_, ()| ())
                .on(STOP, move |cx, ()| cx.heap.0.add(format!("stopped {n}")));
            cx.create(worker)
        });
        let limit = Duration::from_secs(15);
        let sessions = sessions.workers(2).time_limit(limit).start(&kernel).unwrap();
        let futures = JobQueue::futures(async |n: usize| {
            tokio::time::sleep(Duration::from_secs(10 * n as u64)).await;
            n
        });
        let futures = futures.workers(2).time_limit(limit).start(&kernel).unwrap();
        for queue in [sessions, futures] {
            asker(&log)
                .on(START, move |cx, ()| -> poe::HandlerResult {
                    for n in [2, 1, 3, 1] {
                        queue.enqueue(cx, n, DONE)?;
                    }
                    Ok(())
                })
                .create(&kernel)
                .unwrap();
        }
        kernel.run().await.unwrap();
        let each = ["2 ok", "1 timed out", "4 ok", "3 timed out"];
        let mut twice: Vec<_> = each.iter().chain(&each).map(|line| line.to_string()).collect();
        let mut lines = log.lines();
        twice.sort();
        lines.sort();
        assert_eq!(lines, twice);
        assert_eq!(stopped.lines(), ["stopped 1", "stopped 2", "stopped 1", "stopped 3"]);
    });
}

#[test]
fn a_thread_that_was_given_up_keeps_its_place_until_it_returns() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let kernel = Kernel::new();
        let (release, wait) = mpsc::channel::<()>();
        let wait = std::sync::Mutex::new(wait);
        let queue = JobQueue::blocking(move |n: usize| {
            match n {
                0 => wait.lock().unwrap().recv_timeout(LONG).unwrap(),
                1 => panic!("one too many"),
                _ => (),
            }
            n
        });
        let limit = Duration::from_millis(50);
        let queue = queue.workers(1).time_limit(limit).start(&kernel).unwrap();
        let log = Log::default();
        asker(&log)
            .on(START, move |cx, ()| -> poe::HandlerResult {
                for n in 0..3 {
                    queue.enqueue(cx, n, DONE)?;
                }
                let (queue, release) = (queue.clone(), release.clone());
                cx.state(DONE, move |cx, done| {
                    cx.heap.add(format!("{} {}", done.job, how(&done.result)));
                    if done.job.get() == 1 {
                        assert_eq!((queue.waiting(), queue.running()), (2, 1));
                        release.send(()).unwrap();
                    }
                });
                Ok(())
            })
            .create(&kernel)
            .unwrap();
        finish(&kernel).await;
        assert_eq!(log.lines(), ["1 timed out", "2 failed", "3 ok"]);
    });
}

#[test]
fn a_session_that_stops_takes_its_waiting_jobs_along() {
    virtually(async {
        let kernel = testing::kernel();
        let began = Log::default();
        let log = began.clone();
        let queue = JobQueue::futures(move |n: usize| {
            log.add(n.to_string());
            async move {
                tokio::time::sleep(Duration::from_secs(1)).await;
                n
            }
        });
        let queue = queue.workers(1).start(&kernel).unwrap();
        for first in [0, 10] {
            let queue = queue.clone();
            asker(&Log::default())
                .on(START, move |cx, ()| -> poe::HandlerResult {
                    for n in first..first + 2 {
                        queue.enqueue(cx, n, DONE)?;
                    }
                    if first == 0 {
                        // While the first of its jobs runs.
                        cx.delay("die", 0.5, ());
                    }
                    Ok(())
                })
                .on("die", |cx, ()| cx.signal(cx.session_id(), "KILL", ()).unwrap())
                .create(&kernel)
                .unwrap();
        }
        kernel.run().await.unwrap();
        assert_eq!(began.lines(), ["0", "10", "11"]);
    });
}

#[test]
fn a_worker_session_without_a_result_and_one_that_cannot_start() {
    virtually(async {
        let kernel = testing::kernel();
        let queue = JobQueue::sessions(|cx, n: usize, result: JobResult<usize>| match n {
            0 => cx.create(Session::builder(result).on(START, |_, ()| ())),
            1 => panic!("no"),
            _ => cx.create(Session::builder(result)), // it has no `_start`
        });
        let queue = queue.start(&kernel).unwrap();
        let log = Log::default();
        asker(&log)
            .on(START, move |cx, ()| -> poe::HandlerResult {
                for n in 0..3 {
                    queue.enqueue(cx, n, DONE)?;
                }
                Ok(())
            })
            .create(&kernel)
            .unwrap();
        kernel.run().await.unwrap();
        let mut lines = log.lines();
        lines.sort();
        assert_eq!(lines, ["1 lost", "2 failed", "3 failed"]);
    });
}

#[test]
fn jobs_as_events_are_done_also_if_nobody_waits_for_the_result() {
    const SUM: Event<Result<Result<usize, JobError>, CallError<usize>>> = Event::new("sum");
    virtually(async {
        let kernel = testing::kernel();
        let done = Log::default();
        let log = done.clone();
        let queue = JobQueue::futures(move |n: usize| {
            log.add(n.to_string());
            async move { n + 1 }
        });
        queue.capacity(2).workers(1).alias("queue").start(&kernel).unwrap();
        let job = JobQueue::<usize, usize>::JOB;
        Session::builder(Vec::new())
            .on(START, move |cx, ()| -> poe::HandlerResult {
                cx.post("queue", job, 1)?;
                for n in 2..5 {
                    cx.ask("queue", job, n, SUM, LONG);
                }
                Ok(())
            })
            .on(SUM, |cx, sum| cx.heap.push(sum.unwrap()))
            .on(STOP, |cx, ()| {
                let refused = cx
                    .heap
                    .iter()
                    .filter(|sum| matches!(sum, Err(error) if error.is_refused()));
                assert_eq!((refused.count(), cx.heap.len()), (1, 3), "{:?}", cx.heap);
            })
            .create(&kernel)
            .unwrap();
        kernel.run().await.unwrap();
        assert_eq!(done.lines(), ["1", "2", "3"]);
    });
}

/// A source of jobs that become known at random times: each is done once, by as many workers as there are, and the source is asked only
/// when it is polled or a worker is free.
#[test]
fn an_active_queue_does_each_job_of_its_source_once() {
    proptest!(ProptestConfig { cases: 100, ..ProptestConfig::default() }, |(
        times in prop::collection::vec(0..200_u64, 0..40),
        workers in 1..5_usize,
        every in 1..40_u64,
        extra in 0..3_usize,
    )| {
        virtually(async {
            let kernel = testing::kernel();
            let log = Log::default();
            let (busy, most) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
            let (busy_now, most_now) = (busy.clone(), most.clone());
            let table = Rc::new(RefCell::new(times.iter().copied().enumerate().collect::<Vec<_>>()));
            let began = Instant::now();
            asker(&log).on(START, |cx, ()| cx.alias_set("log")).create(&kernel).unwrap();
            let queue = JobQueue::futures(move |n: usize| {
                busy.set(busy.get() + 1);
                most.set(most.get().max(busy.get()));
                let busy = busy.clone();
                async move {
                    tokio::time::sleep(Duration::from_millis(1 + n as u64 % 7)).await;
                    busy.set(busy.get() - 1);
                    n
                }
            });
            let (source, rest) = (table.clone(), table.clone());
            let free = busy_now.clone();
            let queue = queue
                .workers(workers)
                .source(Some(Duration::from_millis(every)), move |room| {
                    assert_eq!(room, workers - free.get());
                    let now = millis(began);
                    let mut found = Vec::new();
                    source.borrow_mut().retain(|(n, time)| {
                        let take = *time <= now && found.len() < room + extra;
                        if take {
                            found.push(*n);
                        }
                        !take
                    });
                    async move { Ok::<_, String>(found) }
                })
                .acknowledge("log", DONE)
                .start(&kernel)
                .unwrap();
            Session::builder(queue)
                .on(START, |cx, ()| cx.delay("end", 2.0, ()))
                .on("end", |cx, ()| cx.heap.shutdown(cx))
                .create(&kernel)
                .unwrap();
            kernel.run().await.unwrap();
            assert!(rest.borrow().is_empty() && most_now.get() <= workers);
            let mut lines = log.lines();
            lines.sort();
            let mut expected: Vec<_> = (1..=times.len()).map(|n| format!("{n} ok")).collect();
            expected.sort();
            assert_eq!(lines, expected);
        });
    });
}

#[test]
fn a_source_that_fails_or_panics_is_asked_again_and_one_without_an_interval_ends_the_queue() {
    virtually(async {
        let kernel = testing::kernel();
        let log = Log::default();
        asker(&log)
            .on(START, |cx, ()| cx.alias_set("log"))
            .create(&kernel)
            .unwrap();
        let asked = Rc::new(Cell::new(0));
        let count = asked.clone();
        let queue = JobQueue::futures(async |n: usize| n)
            .source(Some(Duration::from_secs(1)), move |_| {
                count.set(count.get() + 1);
                let n = count.get();
                assert!(n != 2, "the database is down");
                async move {
                    match n {
                        1 => Err("no route"),
                        3 => Ok(vec![3]),
                        _ => Ok(Vec::new()),
                    }
                }
            })
            .acknowledge("log", DONE)
            .start(&kernel)
            .unwrap();
        let ended = JobQueue::futures(async |n: usize| n)
            .source(None, async |_| Ok::<_, String>(Vec::new()))
            .start(&kernel)
            .unwrap();
        testing::run_for(&kernel, Duration::from_millis(5500)).await.unwrap();
        assert!(!kernel.is_alive(ended.session_id()) && kernel.is_alive(queue.session_id()));
        assert_eq!((asked.get(), log.lines()), (7, vec!["1 ok".to_owned()]));
    });
}

#[test]
fn under_a_supervisor_a_shutdown_lets_running_jobs_end() {
    use poe::component::{ChildSpec, Strategy, Supervisor};
    virtually(async {
        let kernel = testing::kernel();
        let log = Log::default();
        let queue = ChildSpec::new("queue", |cx| {
            let queue = JobQueue::futures(async |n: usize| {
                tokio::time::sleep(Duration::from_secs(2)).await;
                n
            });
            Ok::<_, poe::Error>(cx.start(queue.workers(1))?.session_id())
        });
        let supervisor = Supervisor::builder(Strategy::OneForOne)
            .child(queue.alias("queue"))
            .start(&kernel)
            .unwrap();
        const SUM: Event<Result<Result<usize, JobError>, CallError<usize>>> = Event::new("sum");
        Session::builder(log.clone())
            .on(START, |cx, ()| {
                for n in 0..2 {
                    cx.ask("queue", JobQueue::<usize, usize>::JOB, n, SUM, LONG);
                }
                cx.delay("end", 1.0, ());
            })
            .on("end", move |_, ()| supervisor.shutdown())
            .on(SUM, |cx, sum| cx.heap.add(how(&sum.unwrap())))
            .create(&kernel)
            .unwrap();
        kernel.run().await.unwrap();
        assert_eq!(log.lines(), ["cancelled", "ok"]);
        testing::assert_no_leaks(&kernel);
    });
}
