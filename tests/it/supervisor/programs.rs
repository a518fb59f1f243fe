//! Programs under a supervisor.

use poe::component::{ChildChange, ChildReport, ChildSpec, ChildState, Restart, Strategy, Supervisor};
use poe::wheel::Run;
use poe::{Kernel, OnFailure};
use std::cell::RefCell;
use std::process::Command;
use std::rc::Rc;
use std::time::{Duration, Instant};

type Ends = Rc<RefCell<Vec<String>>>;

/// Runs the kernel until something is so.
async fn until(kernel: &Kernel, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !is_so() {
        assert!(Instant::now() < deadline, "it did not happen within 30 s");
        let _ = tokio::time::timeout(Duration::from_millis(5), kernel.serve()).await;
    }
}

fn note(ends: &Ends) -> impl Fn(&ChildReport) + use<> {
    let ends = ends.clone();
    move |report| match &report.change {
        ChildChange::Ended { end, .. } => ends.borrow_mut().push(end.to_string()),
        ChildChange::StartFailed { failure, .. } => ends.borrow_mut().push(failure.to_string()),
        _ => {}
    }
}

fn kernel() -> Kernel {
    Kernel::builder().on_failure(OnFailure::StopSession).build()
}

#[tokio::test]
async fn a_program_is_restarted_when_its_status_says_that_it_failed() {
    let (kernel, ends) = (kernel(), Ends::default());
    let runs = Rc::new(RefCell::new(0));
    let count = runs.clone();
    let program = ChildSpec::program("job", move || {
        *count.borrow_mut() += 1;
        Run::shell(format!("exit {}", 2 - *count.borrow()))
    });
    let supervisor = Supervisor::builder(Strategy::OneForOne)
        .child(program.restart(Restart::Transient))
        .on_report(note(&ends))
        .start(&kernel)
        .unwrap();
    until(&kernel, || ends.borrow().len() == 2).await;
    assert_eq!(*runs.borrow(), 2);
    assert!(
        ends.borrow()[0].starts_with("failed: the program of `job` ended with exit status: 1"),
        "{ends:?}"
    );
    assert_eq!(ends.borrow()[1], "ended by itself");
    assert_eq!(supervisor.children()[0].state, ChildState::Down);
}

#[tokio::test]
async fn a_program_is_asked_with_term_and_killed_at_the_limit() {
    let (kernel, ends) = (kernel(), Ends::default());
    let dir = std::env::temp_dir().join(format!("poe-supervised-{}", std::process::id()));
    let ready = dir.clone();
    let stubborn = ChildSpec::program("stubborn", move || {
        Run::shell(format!("trap '' TERM; echo > {}; exec sleep 600", ready.display()))
    });
    let polite = ChildSpec::program("polite", || {
        let mut command = Command::new("sleep");
        command.arg("600");
        Run::builder(command)
    });
    let supervisor = Supervisor::builder(Strategy::OneForOne)
        .child(stubborn.shutdown(Duration::from_millis(300)))
        .child(polite)
        .on_report(note(&ends))
        .start(&kernel)
        .unwrap();
    until(&kernel, || dir.exists()).await;
    let report = kernel.shutdown(Duration::from_secs(20)).await;
    assert!(report.is_clean(), "{report}");
    assert!(supervisor.outcome().is_some());
    assert_eq!(*ends.borrow(), ["ended as asked", "was killed"]);
    std::fs::remove_file(&dir).unwrap();
}

#[tokio::test]
async fn a_program_that_does_not_exist_is_a_failed_start() {
    let kernel = kernel();
    let missing = ChildSpec::program("missing", || Run::builder(Command::new("/nowhere/at/all")));
    let ends = Ends::default();
    let supervisor = Supervisor::builder(Strategy::OneForOne)
        .child(missing)
        .on_report(note(&ends))
        .start(&kernel);
    let supervisor = supervisor.unwrap();
    until(&kernel, || supervisor.outcome().is_some()).await;
    assert!(ends.borrow()[0].contains("/nowhere/at/all"), "{ends:?}");
}
