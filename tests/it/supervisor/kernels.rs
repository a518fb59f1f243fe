//! Kernels of a pool under a supervisor in another kernel.

use crate::socket_kit::within;
use poe::component::{
    Backoff, ChildChange, ChildEnd, ChildReport, ChildSpec, ChildState, KernelPool, KernelPoolBuilder, NextStep,
    PoolHandle, PoolOutcome, Strategy, Supervisor, SupervisorBuilder, SupervisorEnd,
};
use poe::event::{START, STOP};
use poe::{Event, KERNEL_SHUTDOWN, Kernel, OnFailure, Session, Signal};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const FAIL: Event<()> = Event::new("fail");

/// What the kernels have done, in order.
type Log = Arc<Mutex<Vec<String>>>;

fn say(log: &Log, what: String) {
    log.lock().unwrap().push(what);
}

fn take(log: &Log) -> Vec<String> {
    std::mem::take(&mut *log.lock().unwrap())
}

/// Each kernel has a session that stops everything there when it fails.
fn pool(kernels: usize, log: &Log) -> KernelPoolBuilder {
    let log = log.clone();
    KernelPool::builder(kernels).setup(move |kernel, number| {
        let log = log.clone();
        async move {
            let (start, stop) = (log.clone(), log.clone());
            Session::builder(())
                .on_failure(OnFailure::StopKernel)
                .on(START, move |cx, ()| {
                    say(&start, format!("start {number}"));
                    PoolHandle::of(cx.kernel)
                        .unwrap()
                        .alias_set(cx.kernel, &format!("fragile {number}"))
                })
                .on(FAIL, |_, ()| panic!("fragile"))
                .on(STOP, move |_, ()| say(&stop, format!("stop {number}")))
                .create(&kernel)
                .map(drop)
        }
    })
}

fn over(pool: &KernelPool, strategy: Strategy, change: impl Fn(ChildSpec) -> ChildSpec) -> SupervisorBuilder {
    (0..pool.kernels()).fold(Supervisor::builder(strategy), |supervisor, number| {
        supervisor.child(change(
            ChildSpec::kernel(format!("kernel {number}"), pool, number).unwrap(),
        ))
    })
}

#[derive(Clone, Default)]
struct Reports(Rc<RefCell<Vec<ChildReport>>>);

impl Reports {
    fn hook(&self) -> impl Fn(&ChildReport) + use<> {
        let reports = self.0.clone();
        move |report| reports.borrow_mut().push(report.clone())
    }

    fn count(&self, is_one: impl Fn(&ChildChange) -> bool) -> usize {
        self.0.borrow().iter().filter(|report| is_one(&report.change)).count()
    }

    fn started(&self) -> usize {
        self.count(|change| matches!(change, ChildChange::Started { .. }))
    }
}

/// Runs the supervisor's kernel until something is so.
async fn until(kernel: &Kernel, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < deadline, "it did not happen within 60 s");
        let _ = tokio::time::timeout(Duration::from_millis(2), kernel.serve()).await;
    }
}

fn kernel() -> Kernel {
    Kernel::builder().on_failure(OnFailure::StopSession).build()
}

#[tokio::test]
async fn a_kernel_that_fails_is_restarted_by_its_supervisor_and_the_report_says_where() {
    let (log, reports, kernel) = (Log::default(), Reports::default(), kernel());
    // The pool itself would not restart it.
    let pool = pool(2, &log).restarts(0, Duration::from_secs(10)).start().unwrap();
    let supervisor = over(&pool, Strategy::OneForOne, |child| child)
        .on_report(reports.hook())
        .start(&kernel)
        .unwrap();
    until(&kernel, || reports.started() == 2).await;
    assert_eq!(
        take(&log).len(),
        2,
        "the kernels run already, and are not started twice"
    );
    pool.handle().post("fragile 1", FAIL, ()).unwrap();
    let line = line!() - 1;
    until(&kernel, || reports.started() == 3).await;
    assert_eq!(take(&log), ["stop 1", "start 1"]);
    let failure = within(pool.next_failure()).await;
    assert_eq!((failure.kernel, failure.outcome), (1, PoolOutcome::LeftToSupervisor));
    let child = supervisor.children().remove(1);
    assert_eq!(child.restarts, 1);
    let failure = child.last_failure.unwrap();
    assert!(failure.failure.is_panic());
    assert_eq!(failure.event.as_deref(), Some("fail"));
    let place = failure.place.unwrap();
    assert_eq!((place.file(), place.line()), (file!(), line));
    // Its name is known again.
    assert!(pool.handle().resolve("fragile 1").is_some());
    assert!(kernel.shutdown(Duration::from_secs(20)).await.is_clean());
    assert_eq!(take(&log), ["stop 1", "stop 0"], "the last one first");
    assert!(
        !within(pool.shutdown(Duration::from_secs(10))).await.is_clean(),
        "the report has the failure"
    );
}

#[tokio::test]
async fn the_supervisors_strategy_stops_and_starts_the_other_kernels() {
    for (strategy, expected) in [
        (
            Strategy::OneForAll,
            ["stop 1", "stop 2", "stop 0", "start 0", "start 1", "start 2"].as_slice(),
        ),
        (
            Strategy::RestForOne,
            ["stop 1", "stop 2", "start 1", "start 2"].as_slice(),
        ),
    ] {
        let (log, reports, kernel) = (Log::default(), Reports::default(), kernel());
        let pool = pool(3, &log).start().unwrap();
        let _supervisor = over(&pool, strategy, |child| child)
            .on_report(reports.hook())
            .start(&kernel)
            .unwrap();
        until(&kernel, || reports.started() == 3).await;
        take(&log);
        pool.handle().post("fragile 1", FAIL, ()).unwrap();
        until(&kernel, || log.lock().unwrap().len() == expected.len()).await;
        until(&kernel, || reports.started() == 3 + expected.len() / 2).await;
        assert_eq!(take(&log), expected, "{strategy:?}");
        kernel.shutdown(Duration::from_secs(20)).await;
        within(pool.shutdown(Duration::from_secs(10))).await;
    }
}

#[tokio::test]
async fn the_intensity_and_the_backoff_are_the_supervisors() {
    let (log, reports, kernel) = (Log::default(), Reports::default(), kernel());
    let pool = pool(2, &log).restarts(1000, Duration::from_secs(1)).start().unwrap();
    let wait = Backoff::new().first(Duration::from_millis(5)).factor(1.0).jitter(0.0);
    let supervisor = over(&pool, Strategy::OneForOne, |child| child.backoff(wait.clone()))
        .intensity(2, Duration::from_secs(3600))
        .on_report(reports.hook())
        .start(&kernel)
        .unwrap();
    for failures in 0..3 {
        until(&kernel, || {
            reports.started() == 2 + failures && pool.handle().resolve("fragile 0").is_some()
        })
        .await;
        pool.handle().post("fragile 0", FAIL, ()).unwrap();
        until(&kernel, || {
            reports.count(|change| {
                matches!(
                    change,
                    ChildChange::Ended {
                        end: ChildEnd::Failed(_),
                        ..
                    }
                )
            }) == failures + 1
        })
        .await;
    }
    until(&kernel, || supervisor.outcome().is_some()).await;
    assert!(matches!(supervisor.outcome(), Some(SupervisorEnd::Failed(_))));
    let next: Vec<NextStep> = reports
        .0
        .borrow()
        .iter()
        .filter_map(|report| match &report.change {
            ChildChange::Ended {
                end: ChildEnd::Failed(_),
                next,
                ..
            } => Some(*next),
            _ => None,
        })
        .collect();
    let after = Duration::from_millis(5);
    assert_eq!(
        next,
        [
            NextStep::Restart { after },
            NextStep::Restart { after },
            NextStep::GiveUp
        ]
    );
    // The other kernel was asked to end.
    assert_eq!(pool.handle().resolve("fragile 1"), None);
    within(pool.shutdown(Duration::from_secs(10))).await;
}

#[tokio::test]
async fn a_kernel_that_does_not_end_is_stopped_at_the_limit() {
    let (log, reports, kernel) = (Log::default(), Reports::default(), kernel());
    let stops = log.clone();
    let pool = KernelPool::builder(1)
        .setup(move |kernel, _| {
            let (asked, stops) = (stops.clone(), stops.clone());
            async move {
                Session::builder(())
                    .on(START, |cx, ()| -> poe::HandlerResult {
                        cx.sig(KERNEL_SHUTDOWN, "asked");
                        cx.delay("much later", Duration::from_secs(3600), ());
                        Ok(cx.alias_set("stubborn")?)
                    })
                    .on("asked", move |cx, _: Signal| {
                        say(&asked, "asked".to_owned());
                        cx.sig_handled();
                    })
                    .on(STOP, move |_, ()| say(&stops, "stop".to_owned()))
                    .create(&kernel)
                    .map(drop)
            }
        })
        .start()
        .unwrap();
    let supervisor = over(&pool, Strategy::OneForOne, |child| {
        child.shutdown(Duration::from_millis(20))
    })
    .on_report(reports.hook())
    .start(&kernel)
    .unwrap();
    until(&kernel, || reports.started() == 1).await;
    supervisor.stop_child("kernel 0").unwrap();
    until(&kernel, || log.lock().unwrap().len() == 2).await;
    assert_eq!(take(&log), ["asked", "stop"]);
    until(&kernel, || supervisor.children()[0].state == ChildState::Down).await;
    let ends: Vec<String> = reports.0.borrow().iter().map(ToString::to_string).collect();
    assert!(ends[1].contains("was killed"), "{ends:?}");
    // It can be started again.
    supervisor.restart_child("kernel 0").unwrap();
    until(&kernel, || reports.started() == 2).await;
    assert!(
        within(pool.each(|kernel, _| async move { Ok(kernel.resolve("stubborn").is_some()) }))
            .await
            .unwrap()[0]
    );
    kernel.shutdown(Duration::from_secs(20)).await;
    assert!(within(pool.shutdown(Duration::from_secs(10))).await.is_clean());
}

#[tokio::test]
async fn a_kernel_whose_supervisor_is_gone_is_stopped() {
    let (log, reports) = (Log::default(), Reports::default());
    let pool = pool(1, &log).start().unwrap();
    let kernel = kernel();
    over(&pool, Strategy::OneForOne, |child| child)
        .on_report(reports.hook())
        .start(&kernel)
        .unwrap();
    until(&kernel, || reports.started() == 1).await;
    take(&log);
    drop(kernel);
    within(async {
        while log.lock().unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    assert_eq!(take(&log), ["stop 0"]);
}

#[tokio::test]
async fn clients_wait_in_the_backlog_while_a_kernel_is_down() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let (log, reports, kernel) = (Log::default(), Reports::default(), kernel());
    let pool = pool(1, &log).start().unwrap();
    let server = pool
        .serve("127.0.0.1:0", |server| {
            server.client_input(|cx, line| {
                cx.client().put(line);
                cx.client().shutdown();
            })
        })
        .await
        .unwrap();
    let supervisor = over(&pool, Strategy::OneForOne, |child| child)
        .on_report(reports.hook())
        .start(&kernel)
        .unwrap();
    until(&kernel, || reports.started() == 1).await;
    supervisor.stop_child("kernel 0").unwrap();
    until(&kernel, || supervisor.children()[0].state == ChildState::Down).await;
    let mut client = tokio::net::TcpStream::connect(server.local_addr()).await.unwrap();
    client.write_all(b"hello\n").await.unwrap();
    supervisor.restart_child("kernel 0").unwrap();
    until(&kernel, || reports.started() == 2).await;
    let mut reply = String::new();
    within(client.read_to_string(&mut reply)).await.unwrap();
    assert_eq!(reply, "hello\r\n");
    // Without the child nobody starts it again, so the socket is closed.
    supervisor.remove_child("kernel 0").unwrap();
    until(&kernel, || supervisor.children().is_empty()).await;
    within(async {
        while tokio::net::TcpStream::connect(server.local_addr()).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    kernel.shutdown(Duration::from_secs(20)).await;
    assert!(within(pool.shutdown(Duration::from_secs(10))).await.is_clean());
}

#[tokio::test]
async fn a_setup_that_fails_is_a_failed_start() {
    let log = Log::default();
    let fails = log.clone();
    let (reports, kernel) = (Reports::default(), kernel());
    let pool = KernelPool::builder(1)
        .setup(move |kernel, _| {
            let starts = {
                let mut log = fails.lock().unwrap();
                log.push("setup".to_owned());
                log.len()
            };
            async move {
                Session::builder(())
                    .on_failure(OnFailure::StopKernel)
                    .on(START, |cx, ()| {
                        PoolHandle::of(cx.kernel).unwrap().alias_set(cx.kernel, "fragile 0")
                    })
                    .on(FAIL, |_, ()| panic!("fragile"))
                    .create(&kernel)?;
                // The second one fails with a session made already; the third finds none in its way.
                match starts {
                    2 => panic!("no database"),
                    _ => Ok(()),
                }
            }
        })
        .start()
        .unwrap();
    over(&pool, Strategy::OneForOne, |child| child)
        .on_report(reports.hook())
        .start(&kernel)
        .unwrap();
    until(&kernel, || reports.started() == 1).await;
    pool.handle().post("fragile 0", FAIL, ()).unwrap();
    until(&kernel, || reports.started() == 2).await;
    assert_eq!(log.lock().unwrap().len(), 3);
    let failed = reports.count(|change| match change {
        ChildChange::StartFailed { failure, .. } => failure.to_string().contains("no database"),
        _ => false,
    });
    assert_eq!(failed, 1);
    kernel.shutdown(Duration::from_secs(20)).await;
    within(pool.shutdown(Duration::from_secs(10))).await;
}

#[tokio::test]
async fn odd_uses_are_refused() {
    let (log, reports) = (Log::default(), Reports::default());
    let pool = pool(2, &log).start().unwrap();
    let error = ChildSpec::kernel("third", &pool, 2).unwrap_err();
    assert_eq!(
        error.to_string(),
        "a pool of 2 kernels has no kernel 2; the first one is kernel 0"
    );
    // Two supervisors of the same kernel.
    let kernel = kernel();
    let first = over(&pool, Strategy::OneForOne, |child| child)
        .on_report(reports.hook())
        .start(&kernel)
        .unwrap();
    until(&kernel, || reports.started() == 2).await;
    let second = over(&pool, Strategy::OneForOne, |child| child)
        .on_report(reports.hook())
        .start(&kernel)
        .unwrap();
    until(&kernel, || second.outcome().is_some()).await;
    let refused = reports
        .0
        .borrow()
        .iter()
        .any(|report| report.to_string().contains("has a supervisor already"));
    assert!(refused);
    assert!(first.outcome().is_none());
    kernel.shutdown(Duration::from_secs(20)).await;
    assert!(within(pool.shutdown(Duration::from_secs(10))).await.is_clean());
}

#[tokio::test]
async fn a_pool_that_is_gone_is_a_failure() {
    let (log, reports, kernel) = (Log::default(), Reports::default(), kernel());
    let pool = pool(1, &log).start().unwrap();
    let supervisor = over(&pool, Strategy::OneForOne, |child| child)
        .on_report(reports.hook())
        .start(&kernel)
        .unwrap();
    until(&kernel, || reports.started() == 1).await;
    drop(pool);
    until(&kernel, || supervisor.outcome().is_some()).await;
    let lost = reports
        .0
        .borrow()
        .iter()
        .any(|report| report.to_string().contains("the thread of kernel 0 has ended"));
    assert!(
        lost,
        "{:?}",
        reports.0.borrow().iter().map(ToString::to_string).collect::<Vec<_>>()
    );
}
